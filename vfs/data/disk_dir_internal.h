/* What disk_dir.c and disk_tend.c share. */
#ifndef VFS_DATA_DISK_DIR_INTERNAL_H
#define VFS_DATA_DISK_DIR_INTERNAL_H

#include <stdatomic.h>

#include "base/metrics.h"
#include "vfs/data/disk_dir.h"

#define DISK_DIR_FOLDERS 1024u

struct disk_dir {
    struct disk_dir_options options; /* texts are owned */
    int folder;                      /* changed only while OFF, by disk_dir_tend, when nobody is inside */
    struct disk_index *index;        /* as folder */

    struct disk_gate gate;
    _Atomic uint64_t bytes, items;
    struct metric *damaged, *evicted;
};

/* disk_dir.c, inside the gate: 0 or a negative errno */

uint32_t disk_dir_folder_of(const struct block_id *id);
/* The descriptor of a block's file, and its end. */
MUST_USE int disk_dir_open_block(struct disk_dir *d, const struct block_id *id, struct disk_file *out, int flags);
/* The record of a file that was used just now: a new one, when it has none. */
MUST_USE int disk_dir_keep_record(struct disk_dir *d, const struct block_id *id, const struct disk_file *f);
/* It is fetched from the store and put here once more. The record is dropped when it comes to evicting it. */
void disk_dir_drop_damaged(struct disk_dir *d, const struct block_id *id);
/* For so many bytes in so many more files. -ENOSPC: evicting so many victims is not enough. */
MUST_USE int disk_dir_make_room(struct disk_dir *d, uint64_t bytes, uint64_t items, unsigned victims);

/* disk_tend.c: made if need be; the umask does not count where others are to have access */
MUST_USE int disk_dir_make_folder(const struct disk_dir *d, int parent, const char *name);

#endif
