/* Which blocks a cache on disk has, how large they are, and when they were used last: what evicting needs, and nothing
 * else. Whether a block is there only its file says, so that the index may be wrong without harm: a record without a
 * file is dropped when it is evicted, a file without a record gets one when it is read or at the next scrub.
 *
 * One file of 32-byte records, shared by all processes that use the cache. It is read and written by system calls
 * rather than mapped: a failing disk is then an error code, not SIGBUS. Changes are made under a lock of the file,
 * which ends with its process; the header says "dirty" meanwhile, and who finds it so counts all records anew. Nothing
 * is read at start but the header.
 *
 * Errors: negative errno; -ETIMEDOUT: another process holds the lock for seconds. Thread: any. */
#ifndef VFS_DATA_DISK_INDEX_H
#define VFS_DATA_DISK_INDEX_H

#include "base/compiler.h"
#include "vfs/data/block.h"

struct disk_index;
struct disk_usage {
    uint64_t bytes, items;
};

/* "index" in the folder, made if need be. folders: how many there are to scrub. */
MUST_USE int disk_index_open(int folder, unsigned mode, uint32_t folders, struct disk_index **out);
/* NULL is fine. */
void disk_index_close(struct disk_index *x);
MUST_USE int disk_index_add(struct disk_index *x, const struct block_id *id, uint32_t bytes, uint32_t *out_slot);
/* -ENOENT: the slot is not the block's. */
MUST_USE int disk_index_remove(struct disk_index *x, uint32_t slot, const struct block_id *id);
/* The block was used just now. -ENOENT: the slot is not the block's. */
MUST_USE int disk_index_mark(struct disk_index *x, uint32_t slot, const struct block_id *id);
MUST_USE int disk_index_usage(struct disk_index *x, struct disk_usage *out);
/* The one of some dozens, chosen at random, that was not used for the longest. -ENOENT: there is none. */
MUST_USE int disk_index_victim(struct disk_index *x, uint32_t *out_slot, struct block_id *out_id);
/* The next folder whose files may be without records, after the index was lost or the machine started anew; each is
 * given to one caller. -ENOENT: none. */
MUST_USE int disk_index_scrub(struct disk_index *x, uint32_t *out_folder);

#endif
