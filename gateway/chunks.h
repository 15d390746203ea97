/* Chunks for all connections, with a queue for those that found the pool empty: a returned chunk goes to who waits longest,
 * so that exhaustion slows everyone alike and starves nobody. As long as nobody waits each few threads keep one returned chunk at hand,
 * which goes neither through a lock nor to another processor. Thread: any, unless said otherwise. */
#ifndef GATEWAY_CHUNKS_H
#define GATEWAY_CHUNKS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/chunk.h"
#include "base/compiler.h"
#include "gateway/loop.h"

struct gw_chunks;

/* Embedded in who waits. */
struct gw_chunk_waiter {
    struct gw_message message;
    struct list link;
    struct gw_loop *loop;
    struct chunk *chunk;
    void (*got)(struct gw_chunk_waiter *w, struct chunk *c); /* on the loop; the chunk is the callee's */
};

struct gw_chunks *gw_chunks_new(uint64_t memory);
/* All chunks must have come back. NULL is fine. */
void gw_chunks_free(struct gw_chunks *p);
/* A chunk, or NULL: then w->got brings one, always, even if nobody wants it any more; w must live until then. Nothing is
 * given while others wait. */
MUST_USE struct chunk *gw_chunks_get(struct gw_chunks *p, struct gw_chunk_waiter *w);
/* A chunk, or NULL, and no waiting: for who has another way. */
MUST_USE struct chunk *gw_chunks_try(struct gw_chunks *p);
void gw_chunks_put(struct gw_chunks *p, struct chunk *c);
/* The same for what a request keeps until it is over, and which it then needs others beside: at most half of all chunks, so that
 * requests never hold everything that they wait for. Given back by gw_chunks_put_kept. */
MUST_USE struct chunk *gw_chunks_try_keep(struct gw_chunks *p);
void gw_chunks_put_kept(struct gw_chunks *p, struct chunk *c);
/* How many chunks one direction of a request may hold now, at least 1, at most `most`: fewer when the pool runs low, so that slow
 * peers share what is left instead of locking it. */
uint32_t gw_chunks_share(const struct gw_chunks *p, uint32_t most);

#endif
