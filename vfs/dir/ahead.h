/* Attributes and records of a scan's next files, read before they are asked for: by the thread that asks and, at the same time, by
 * those of a small pool that have nothing else to do. What one thread reads of a large directory is bound by the memory's
 * latency, or the disk's, so that two read twice as much. Thread: the scan's, one at a time. */
#ifndef VFS_DIR_AHEAD_H
#define VFS_DIR_AHEAD_H

#include "vfs/dir/delta.h"

struct dir_volume;

/* The volume's threads; none are started before they are needed. */
struct ahead_pool;
struct ahead_pool *ahead_pool_new(void);
/* NULL is fine. */
void ahead_pool_free(struct ahead_pool *p);

/* Of one scan. dir_fd is borrowed; xattr_name is a static text; count: how many files the caller will ask for, at most. */
struct ahead;
struct ahead *ahead_new(struct dir_volume *v, int dir_fd, const char *xattr_name, size_t count);
/* NULL is fine. */
void ahead_free(struct ahead *a);
/* The file `name`, which `rest` is behind: as entry_read would read it, or did since ahead_new. -EAGAIN: ask again without this. */
MUST_USE int ahead_read(struct ahead *a, struct str name, const struct cursor *rest, const char *xattr_name,
                        struct vfs_attr *out, struct buf *out_value);

#endif
