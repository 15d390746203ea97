/* How a slice is cut into blocks, and their keys (format §2.1, §2.2). Pure. Thread: any. */
#ifndef VFS_DATA_BLOCK_H
#define VFS_DATA_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"

struct block_id {
    uint64_t slice;
    uint32_t index; /* in the slice */
    uint32_t size;  /* plain bytes */
};

#define BLOCK_KEY_MAX 96

/* The block of a slice of slice_size bytes that holds the byte at `offset`. */
static inline struct block_id block_at(uint64_t slice, uint32_t slice_size, uint32_t offset, uint32_t block_size)
{
    uint32_t index = offset / block_size;
    uint32_t left = slice_size - index * block_size;
    return (struct block_id){slice, index, left < block_size ? left : block_size};
}

static inline uint32_t block_count(uint32_t slice_size, uint32_t block_size)
{
    return slice_size / block_size + (slice_size % block_size != 0);
}

/* NUL-terminated too. */
struct str block_key(const struct block_id *b, bool hash_prefix, char out[BLOCK_KEY_MAX]);
/* The other way round; false: no block of such a volume has that key. */
MUST_USE bool block_parse(struct str key, bool hash_prefix, struct block_id *out);
/* Is it one of the blocks that a slice of slice_size bytes is cut into? */
static inline bool block_is_of(const struct block_id *b, uint32_t slice_size, uint32_t block_size)
{
    return b->index < block_count(slice_size, block_size) &&
           b->size == block_at(b->slice, slice_size, b->index * block_size, block_size).size;
}

#endif
