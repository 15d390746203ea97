/* Reading what is in memory, for threads that may not wait: what is in one block of one piece, as small files are. */
#include <errno.h>

#include "vfs/data/data_internal.h"

/* The piece that has all of [pos, pos+size). */
static const struct meta_slice *piece_of(const struct data_chunk *chunk, uint32_t pos, uint32_t size)
{
    for (size_t i = 0; i < chunk->count; i++) {
        const struct meta_slice *p = &chunk->pieces[i];
        if (p->pos <= pos && (uint64_t)pos + size <= (uint64_t)p->pos + p->len)
            return p->id != 0 ? p : NULL;
    }
    return NULL;
}

static int read_piece(struct data *d, const struct meta_slice *p, uint32_t pos, uint32_t size, char *out)
{
    uint32_t at = p->off + pos - p->pos, block_size = d->layout.block_size, from = at % block_size;
    struct block_id id = block_at(p->id, p->size, at, block_size);
    if (id.size - from < size)
        return -EAGAIN;
    struct cached_block *b = data_cache_peek(d->cache, &id);
    if (!b)
        return -EAGAIN;
    metric_add(d->hits, 1);
    metric_add(d->hit_bytes, size);
    metric_add(d->memory_hits, 1);
    memcpy(out, cached_block_bytes(b) + from, size);
    cached_block_used(b, size);
    data_cache_release(d->cache, b);
    return 0;
}

ssize_t data_read_nowait(struct data *d, meta_ino ino, uint64_t offset, void *out, size_t size)
{
    uint32_t pos = (uint32_t)(offset & (META_CHUNK_SIZE - 1));
    if (offset >> META_CHUNK_BITS > INT32_MAX || size > META_CHUNK_SIZE - pos)
        return -EAGAIN;
    struct data_chunk *chunk = data_chunk_peek(d, ino, (uint32_t)(offset >> META_CHUNK_BITS));
    if (!chunk)
        return -EAGAIN;
    const struct meta_slice *p = piece_of(chunk, pos, (uint32_t)size);
    int rc = p ? read_piece(d, p, pos, (uint32_t)size, out) : -EAGAIN;
    data_chunk_unref(chunk);
    return rc < 0 ? rc : (ssize_t)size;
}
