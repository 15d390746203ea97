#include "vfs/data/block.h"

#include <inttypes.h>
#include <stdio.h>

struct str block_key(const struct block_id *b, bool hash_prefix, char out[BLOCK_KEY_MAX])
{
    uint64_t millions = b->slice / 1000 / 1000;
    int len = hash_prefix ? snprintf(out, BLOCK_KEY_MAX, "chunks/%02X/%" PRIu64 "/%" PRIu64 "_%" PRIu32 "_%" PRIu32,
                                     (unsigned)(b->slice % 256), millions, b->slice, b->index, b->size)
                          : snprintf(out, BLOCK_KEY_MAX, "chunks/%" PRIu64 "/%" PRIu64 "/%" PRIu64 "_%" PRIu32 "_%" PRIu32,
                                     millions, b->slice / 1000, b->slice, b->index, b->size);
    return str_of(out, (size_t)len);
}
