/* Bytes that a connection has read and not consumed: a request head in the making, pipelined requests, the start of a body.
 * Small on the heap; a large head takes a chunk of the pool, so that many connections with large heads cannot grow memory, and
 * no more than half of the pool, so that their bodies can still come.
 * Thread: one at a time. */
#ifndef GATEWAY_INBUF_H
#define GATEWAY_INBUF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct chunk;
struct gw_chunks;

struct gw_inbuf {
    char *heap; /* or */
    struct chunk *chunk;
    char *bytes; /* of either; NULL when empty-handed */
    size_t start, end, capacity;
};

static inline struct str gw_inbuf_str(const struct gw_inbuf *b)
{
    return str_of(b->bytes ? b->bytes + b->start : NULL, b->end - b->start);
}
static inline size_t gw_inbuf_len(const struct gw_inbuf *b)
{
    return b->end - b->start;
}
/* Room behind the bytes, at least one; NULL when there can be no more: full, or the pool is. May move the bytes. */
char *gw_inbuf_room(struct gw_inbuf *b, struct gw_chunks *chunks, size_t *out_size);
/* Adds what was filled of the room. */
void gw_inbuf_extend(struct gw_inbuf *b, size_t size);
void gw_inbuf_consume(struct gw_inbuf *b, size_t size);
/* The first `size` bytes stay where they are and belong to *out_front; b keeps the rest, moved elsewhere. False when there is
 * no memory for that. */
bool gw_inbuf_split(struct gw_inbuf *b, struct gw_chunks *chunks, size_t size, struct gw_inbuf *out_front);
/* Appends a copy; false when it does not fit. */
bool gw_inbuf_add(struct gw_inbuf *b, struct gw_chunks *chunks, struct str bytes);
void gw_inbuf_free(struct gw_inbuf *b, struct gw_chunks *chunks);

#endif
