/* Blocks in memory, bounded: the least recently used go first. Concurrent misses of one block load it once.
 *
 * Invariants: an entry that somebody holds is not freed; `used` counts every entry's bytes, loaded or not; who needs room waits
 * until holders let go, so nobody may wait for one block while holding another. Thread: any. */
#ifndef VFS_DATA_CACHE_H
#define VFS_DATA_CACHE_H

#include "base/compiler.h"
#include "vfs/data/block.h"

struct data_cache;
struct cached_block;

/* Fills `out` with the block's bytes; negative errno otherwise. */
typedef int (*block_load_fn)(void *arg, const struct block_id *id, char *out);

struct data_cache *data_cache_new(uint64_t memory_max);
/* Nobody holds anything. NULL is fine. */
void data_cache_free(struct data_cache *c);

/* Holds the block, loading it when it is not there, or waiting for whoever loads it already. load_extra: bytes that loading takes
 * beside the block. A failure is that of the one load, for all who waited for it; the next call loads again. */
MUST_USE int data_cache_hold(struct data_cache *c, const struct block_id *id, uint64_t load_extra, block_load_fn load,
                             void *arg, struct cached_block **out);
/* As data_cache_hold, but never loads: NULL when it is neither there nor being loaded, or its load fails. */
struct cached_block *data_cache_find(struct data_cache *c, const struct block_id *id);
const char *cached_block_bytes(const struct cached_block *b);
void data_cache_release(struct data_cache *c, struct cached_block *b);
bool data_cache_has(struct data_cache *c, const struct block_id *id);
/* Gives the cache malloc'd bytes of a block; kept only while there is room without waiting. */
void data_cache_put(struct data_cache *c, const struct block_id *id, char *bytes);
/* Forgets it; who holds it may go on. */
void data_cache_drop(struct data_cache *c, const struct block_id *id);
uint64_t data_cache_used(struct data_cache *c);

#endif
