#include "gateway/inbuf.h"

#include <stdlib.h>

#include "base/check.h"
#include "gateway/chunks.h"

/* Holds nearly every head: a signed request has about 1 KiB of them. */
#define HEAP_BYTES 4096

static void to_front(struct gw_inbuf *b)
{
    if (b->start > 0)
        memmove(b->bytes, b->bytes + b->start, b->end - b->start);
    b->end -= b->start;
    b->start = 0;
}

static bool start_heap(struct gw_inbuf *b)
{
    b->heap = b->bytes = malloc(HEAP_BYTES);
    CHECK(b->heap != NULL); /* out of memory */
    b->capacity = HEAP_BYTES;
    return true;
}

static bool heap_to_chunk(struct gw_inbuf *b, struct gw_chunks *chunks)
{
    struct chunk *c = gw_chunks_try_keep(chunks);
    if (!c)
        return false;
    if (b->end > 0)
        memcpy(c->data, b->bytes, b->end);
    free(b->heap);
    b->heap = NULL;
    b->chunk = c;
    b->bytes = c->data;
    b->capacity = CHUNK_SIZE;
    return true;
}

static bool make_room(struct gw_inbuf *b, struct gw_chunks *chunks, size_t size)
{
    if (!b->bytes)
        return size <= HEAP_BYTES ? start_heap(b) : heap_to_chunk(b, chunks);
    to_front(b);
    if (b->capacity - b->end >= size)
        return true;
    return b->heap && size <= CHUNK_SIZE - b->end && heap_to_chunk(b, chunks);
}

char *gw_inbuf_room(struct gw_inbuf *b, struct gw_chunks *chunks, size_t *out_size)
{
    if (b->end == b->capacity && !make_room(b, chunks, 1))
        return NULL;
    *out_size = b->capacity - b->end;
    return b->bytes + b->end;
}

void gw_inbuf_extend(struct gw_inbuf *b, size_t size)
{
    CHECK(size <= b->capacity - b->end);
    b->end += size;
}

void gw_inbuf_consume(struct gw_inbuf *b, size_t size)
{
    CHECK(size <= gw_inbuf_len(b));
    b->start += size;
}

bool gw_inbuf_add(struct gw_inbuf *b, struct gw_chunks *chunks, struct str bytes)
{
    if (bytes.len == 0)
        return true;
    if (b->capacity - b->end < bytes.len && !make_room(b, chunks, bytes.len))
        return false;
    memcpy(b->bytes + b->end, bytes.ptr, bytes.len);
    b->end += bytes.len;
    return true;
}

bool gw_inbuf_split(struct gw_inbuf *b, struct gw_chunks *chunks, size_t size, struct gw_inbuf *out_front)
{
    struct gw_inbuf rest = {0};
    if (!gw_inbuf_add(&rest, chunks, str_from(gw_inbuf_str(b), size)))
        return false;
    *out_front = *b;
    out_front->end = out_front->start + size;
    *b = rest;
    return true;
}

void gw_inbuf_free(struct gw_inbuf *b, struct gw_chunks *chunks)
{
    free(b->heap);
    if (b->chunk)
        gw_chunks_put_kept(chunks, b->chunk);
    *b = (struct gw_inbuf){0};
}
