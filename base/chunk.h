/* Object bytes in flight: 64-KiB chunks from one pool whose size is fixed at start, so that memory under any load is
 * bounded; exhaustion is the caller's back-pressure. Thread: the pool any; a chunk belongs to one side at a time. */
#ifndef BASE_CHUNK_H
#define BASE_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/limits.h"
#include "base/list.h"

struct chunk {
    struct list link;
    uint32_t start; /* first unread byte in data */
    uint32_t end;   /* behind the last filled byte */
    char *data;     /* CHUNK_SIZE bytes */
};

struct chunk_pool;
/* Reserves address space for count_max chunks; pages are touched on use and given back when idle. */
struct chunk_pool *chunk_pool_new(size_t count_max);
/* All chunks must have come back. */
void chunk_pool_free(struct chunk_pool *p);
/* NULL when all are in use. */
MUST_USE struct chunk *chunk_get(struct chunk_pool *p);
void chunk_put(struct chunk_pool *p, struct chunk *c);
size_t chunk_pool_in_use(const struct chunk_pool *p);
size_t chunk_pool_max(const struct chunk_pool *p);

static inline uint32_t chunk_len(const struct chunk *c)
{
    return c->end - c->start;
}
static inline uint32_t chunk_room(const struct chunk *c)
{
    return CHUNK_SIZE - c->end;
}

#endif
