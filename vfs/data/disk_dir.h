/* A folder of one disk with the blocks of one volume: DIR/UUID/sluice-1/{index,000…3ff/SLICE_INDEX_SIZE}. Several
 * processes may use it at once; each keeps its own limits.
 *
 * A file is in the cache when it has its name; disk_index.h knows which to evict. A record is made before its file, and
 * removed after it, so that a process may die anywhere.
 *
 * Nothing here fails its caller: what cannot be had from the disk comes from the store; disk_gate.h tells when it is
 * not asked at all. Thread: any, unless said otherwise; everything may block for as long as the disk does. */
#ifndef VFS_DATA_DISK_DIR_H
#define VFS_DATA_DISK_DIR_H

#include <stdbool.h>

#include "base/str.h"
#include "vfs/data/disk_file.h"
#include "vfs/data/disk_gate.h"
#include "vfs/data/disk_index.h"

struct disk_dir;

struct disk_dir_options {
    struct str path;    /* of the cache; copied */
    struct str volume;  /* its UUID; copied */
    uint64_t bytes_max; /* on the disk */
    uint64_t items_max; /* 0: no limit */
    double free_min;    /* what stays free of the filesystem's bytes, and of its inodes: 0 to 1 */
    unsigned mode;      /* of files; folders get the matching x */
    enum disk_form form;
    uint64_t retry_ms; /* how long a disk that failed is left alone at first; 0: the default */
};

/* A folder that cannot be opened is tried again by disk_dir_tend. */
struct disk_dir *disk_dir_new(const struct disk_dir_options *options);
/* Nobody uses it any more. NULL is fine. */
void disk_dir_free(struct disk_dir *d);
enum disk_state disk_dir_state(struct disk_dir *d);
/* The last known. */
struct disk_usage disk_dir_usage(struct disk_dir *d);

/* Bytes [from, from+size) of a block's body; -ENOENT: not to be had here. */
MUST_USE int disk_dir_read(struct disk_dir *d, const struct block_id *id, uint32_t from, uint32_t size, char *out);
/* The whole body, at most `capacity` bytes; -ENOENT: not to be had here. */
MUST_USE int disk_dir_read_body(struct disk_dir *d, const struct block_id *id, char *out, size_t capacity,
                                size_t *out_size);
bool disk_dir_has(struct disk_dir *d, const struct block_id *id);

/* Who writes: one for each thread. Files larger than LIMIT_DISK_CACHE_SYNC_BYTES leave the page cache with the next
 * put. */
struct disk_writer {
    char *file; /* begins with the body; the caller's, with room for disk_file_size() of the largest */
    int previous;
};
void disk_writer_init(struct disk_writer *w, char *file);
void disk_writer_done(struct disk_writer *w);
/* Puts a block whose body of so many bytes stands in w->file, making room. 0: it is in the cache (or was). -ENOSPC:
 * there is no room. -ENOENT: the disk is off or does not take it. */
MUST_USE int disk_dir_put(struct disk_dir *d, struct disk_writer *w, const struct block_id *id, uint32_t body);
/* Not in the cache any more. True: it was. */
bool disk_dir_remove(struct disk_dir *d, const struct block_id *id);
/* Keeps the limits, scrubs, tries a disk that is off. Once a second or so. Thread: one at a time. */
void disk_dir_tend(struct disk_dir *d);

#endif
