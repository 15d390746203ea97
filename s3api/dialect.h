/* User metadata that other tools keep file attributes in, applied to the inode when an object is written and read back from it:
 *   rclone     mtime                                      seconds, with a fraction
 *   s3fs-fuse  mode, uid, gid (all of them) and mtime     decimal; seconds
 *   DataSync   file-permissions, file-owner, file-group, file-mtime    octal; decimal; milliseconds, or nanoseconds with "ns"
 *
 * The inode's mtime becomes the client's; S3's Last-Modified stays the time of the upload (objmeta.h), as `aws s3 sync` and
 * If-Modified-Since rely on it. What was applied is noted in the record: an attribute that has been changed through POSIX since
 * then shows in these names' values. Owners are set only where the identity may do so: to its own ids, or to any by an
 * administrator without a POSIX identity. Set-id bits are never taken. Thread: worker. */
#ifndef S3API_DIALECT_H
#define S3API_DIALECT_H

#include "s3api/objmeta.h"
#include "s3api/op.h"

/* What the metadata ask for; set.which 0: nothing. Pure. */
struct vfs_set s3_dialect_wanted(const struct s3_pairs *user);
/* Sets mode and owner, as far as allowed, but not mtime: its moment is the caller's. */
void s3_dialect_apply(struct s3_op *op, struct vfs_file *f, const struct vfs_set *wanted);
/* Rewrites the values of m->user that POSIX has changed since m->posix was noted (m->fresh: the mtime has not changed). */
void s3_dialect_overlay(struct s3_objmeta *m, const struct vfs_attr *attr, struct arena *arena);

#endif
