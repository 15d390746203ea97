/* The cache on disk of a volume: its folders, of which each block has one, and a thread for each that writes what was
 * offered.
 *
 * Offers are names only: a block that has left memory when it comes to writing it is not written, so that a disk that
 * is behind holds neither memory nor readers. Thread: any. */
#ifndef VFS_DATA_DISK_CACHE_H
#define VFS_DATA_DISK_CACHE_H

#include "vfs/cache_options.h"
#include "vfs/data/disk_dir.h"

struct disk_cache;

/* Writes a block's body into out (body_max bytes); -ENOENT: not in memory any more. */
typedef int (*disk_source_fn)(void *arg, const struct block_id *id, char *out, uint32_t *out_size);

struct disk_cache_source {
    disk_source_fn copy;
    void *arg;
    uint32_t body_max;
    enum disk_form form;
};

/* NULL when the options name no folder. volume: its UUID. */
struct disk_cache *disk_cache_start(const struct vfs_cache_options *options, struct str volume,
                                    const struct disk_cache_source *source);
/* NULL is fine. */
void disk_cache_stop(struct disk_cache *c);
/* Bytes of memory that it takes. */
uint64_t disk_cache_memory(const struct disk_cache *c);

/* As disk_dir_read and so on, in the block's folder. */
MUST_USE int disk_cache_read(struct disk_cache *c, const struct block_id *id, uint32_t from, uint32_t size, char *out);
MUST_USE int disk_cache_read_body(struct disk_cache *c, const struct block_id *id, char *out, size_t capacity,
                                  size_t *out_size);
bool disk_cache_has(struct disk_cache *c, const struct block_id *id);
bool disk_cache_remove(struct disk_cache *c, const struct block_id *id);
/* The block is in memory: it may be written. Never waits. */
void disk_cache_offer(struct disk_cache *c, const struct block_id *id);
/* As disk_dir_put; counted. */
MUST_USE int disk_cache_put(struct disk_cache *c, struct disk_writer *w, const struct block_id *id, uint32_t body);

#endif
