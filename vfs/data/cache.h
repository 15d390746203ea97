/* The memory of a volume's data, and the blocks kept in it: the least recently used go first, for everybody who needs
 * memory. Concurrent misses of one block load it once.
 *
 * Invariants: an entry that somebody holds is not freed; the budget counts every entry's bytes, loaded or not; who
 * needs room waits until holders let go, so nobody may wait for one block while holding another.
 *
 * *Thrashing*: when blocks go of which less than half was read, there are more readers than memory for them. For a
 * second after, data_cache_is_pressed says so: then pieces are better read alone. Thread: any. */
#ifndef VFS_DATA_CACHE_H
#define VFS_DATA_CACHE_H

#include "base/compiler.h"
#include "vfs/data/block.h"
#include "vfs/data/budget.h"

struct data_cache;
struct cached_block;

/* Fills `out` with the block's bytes; negative errno otherwise. */
typedef int (*block_load_fn)(void *arg, const struct block_id *id, char *out);

/* block_size: of the volume. */
struct data_cache *data_cache_new(uint64_t memory_max, uint32_t block_size);
/* Nobody holds anything. NULL is fine. */
void data_cache_free(struct data_cache *c);

struct data_cache_load {
    block_load_fn load;
    void *arg;
    uint64_t extra; /* bytes that loading takes beside the block */
    bool ahead;     /* for nobody who waits: -EAGAIN rather than waiting for room */
};
/* Holds the block, loading it when it is not there, or waiting for whoever loads it already. A failure is that of the
 * one load, for all who waited for it; the next call loads again. */
MUST_USE int data_cache_hold(struct data_cache *c, const struct block_id *id, const struct data_cache_load *how,
                             struct cached_block **out);
/* As data_cache_hold, but never loads: NULL when it is neither there nor being loaded, or its load fails. */
struct cached_block *data_cache_find(struct data_cache *c, const struct block_id *id);
/* As data_cache_find, but waits for no load. */
struct cached_block *data_cache_peek(struct data_cache *c, const struct block_id *id);
const char *cached_block_bytes(const struct cached_block *b);
/* So many of its bytes were of use to somebody. By who holds it. */
void cached_block_used(struct cached_block *b, uint32_t bytes);
void data_cache_release(struct data_cache *c, struct cached_block *b);
/* The block, held by the caller, is lent to somebody who may keep it for long. False: too much is lent already, and it is
 * only held, as before. */
MUST_USE bool data_cache_lend(struct data_cache *c, struct cached_block *b);
/* As data_cache_release, of a block that was lent. */
void data_cache_take_back(struct data_cache *c, struct cached_block *b);
/* Whether it would be, as things are. */
bool data_cache_may_lend(struct data_cache *c, const struct block_id *id);
bool data_cache_has(struct data_cache *c, const struct block_id *id);
/* Gives the cache malloc'd bytes of a block; kept only while there is room without waiting. */
void data_cache_put(struct data_cache *c, const struct block_id *id, char *bytes);
/* Forgets it; who holds it may go on. */
void data_cache_drop(struct data_cache *c, const struct block_id *id);
bool data_cache_is_pressed(struct data_cache *c);

/* Memory that is not the cache's. False: there is none now. */
MUST_USE bool data_cache_take(struct data_cache *c, enum data_memory kind, uint64_t size);
void data_cache_give(struct data_cache *c, enum data_memory kind, uint64_t size);
/* The memory of a whole block, taken as by data_cache_take: what one that has gone leaves, if there is any. NULL: there is no room
 * now. */
char *data_cache_take_block(struct data_cache *c, enum data_memory kind);
/* malloc'd bytes of a whole block, counted as this kind. */
void data_cache_give_block(struct data_cache *c, enum data_memory kind, char *bytes);
/* Waits until there is some. */
void data_cache_take_waiting(struct data_cache *c, enum data_memory kind, uint64_t size);
/* Until somebody gives something back; false when nobody did in timeout_ms. */
MUST_USE bool data_cache_wait(struct data_cache *c, uint64_t timeout_ms);
struct data_budget data_cache_budget(struct data_cache *c);

#endif
