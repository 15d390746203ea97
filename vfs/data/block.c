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

bool block_parse(struct str key, bool hash_prefix, struct block_id *out)
{
    char again[BLOCK_KEY_MAX];
    struct str rest = str_from(key, (size_t)(str_rfind_char(key, '/') + 1)), id, index;
    uint64_t slice, i, size;
    if (!str_split(&rest, '_', &id) || !rest.ptr || !str_split(&rest, '_', &index) || !rest.ptr)
        return false;
    if (!str_parse_u64(id, &slice) || !str_parse_u64_max(index, UINT32_MAX, &i) || !str_parse_u64_max(rest, UINT32_MAX, &size))
        return false;
    struct block_id b = {slice, (uint32_t)i, (uint32_t)size};
    if (!str_eq(block_key(&b, hash_prefix, again), key)) /* another spelling of the number, another folder */
        return false;
    *out = b;
    return true;
}
