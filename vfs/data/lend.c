/* Lending the bytes of blocks in memory to who sends them: a copy less, and all of a block's rest at a time. What is not worth it,
 * or would be too much to lend, is read instead. */
#include <errno.h>

#include "base/limits.h"
#include "vfs/data/data_internal.h"

/* The piece with the byte at `pos`; NULL where there is none, or zeros. */
static const struct meta_slice *piece_at(const struct data_chunk *chunk, uint32_t pos)
{
    for (size_t i = 0; i < chunk->count; i++) {
        const struct meta_slice *p = &chunk->pieces[i];
        if (p->pos <= pos && pos - p->pos < p->len)
            return p->id != 0 ? p : NULL;
    }
    return NULL;
}

/* Not for less than a quarter of a block that is not there: whether such a piece is read alone is for data_read to say, as
 * it is for all when memory is short. */
static bool is_worth_it(struct data *d, const struct block_id *id, uint32_t size)
{
    if (size < LIMIT_DATA_LEND_BYTES || !data_cache_may_lend(d->cache, id))
        return false;
    return data_cache_has(d->cache, id) || (size > id->size / 4 && !data_cache_is_pressed(d->cache));
}

/* [from, from+size) of a block. -ENOENT: the list of slices may be old; data_read looks at it again. */
static int lend_block(struct data *d, const struct block_id *id, uint32_t from, uint32_t size, struct data_loan *out)
{
    struct cached_block *b;
    int rc = data_hold_block(d, id, size, &b);
    if (rc < 0)
        return rc == -ENOENT ? -EAGAIN : -EIO;
    if (!data_cache_lend(d->cache, b)) { /* others were quicker */
        data_cache_release(d->cache, b);
        return -EAGAIN;
    }
    *out = (struct data_loan){str_of(cached_block_bytes(b) + from, size), b};
    return 0;
}

int data_lend(struct data *d, meta_ino ino, uint64_t offset, uint64_t size, struct data_loan *out)
{
    if (offset > INT64_MAX || size > INT64_MAX - offset)
        return -EINVAL;
    uint32_t pos = (uint32_t)(offset & (META_CHUNK_SIZE - 1)), block_size = d->layout.block_size;
    struct data_chunk *chunk;
    int rc = data_chunk_get(d, ino, (uint32_t)(offset >> META_CHUNK_BITS), &chunk);
    if (rc < 0)
        return rc;
    rc = -EAGAIN;
    const struct meta_slice *p = piece_at(chunk, pos);
    if (p) {
        uint32_t at = p->off + (pos - p->pos), from = at % block_size, rest = p->len - (pos - p->pos);
        struct block_id id = block_at(p->id, p->size, at, block_size);
        uint32_t part = id.size - from < rest ? id.size - from : rest;
        if (part > size)
            part = (uint32_t)size;
        if (is_worth_it(d, &id, part)) {
            (void)data_plan_read(d, ino, offset, part, offset + size);
            rc = lend_block(d, &id, from, part, out);
        }
    }
    data_chunk_unref(chunk);
    return rc;
}

void data_loan_done(struct data *d, struct data_loan *l)
{
    data_cache_take_back(d->cache, l->block);
    *l = (struct data_loan){0};
}
