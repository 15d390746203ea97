/* The attributes in which JuiceFS's own S3 gateway keeps what it knows of an object (juicefs-format §9.6): s3-etag, s3-meta (JSON),
 * s3-tags. On volumes that it may serve too, ours are written beside our own record, and its are read where ours is missing.
 * Thread: worker. */
#ifndef S3API_JUICEFS_RECORDS_H
#define S3API_JUICEFS_RECORDS_H

#include "s3api/objmeta.h"

#define S3_JUICEFS_ETAG "s3-etag"
#define S3_JUICEFS_ETAG_BYTES 64

/* What they cannot hold (encodings, checksums, parts) is in our own record alone. */
MUST_USE int s3_juicefs_store(struct vfs_file *f, const struct vfs_cred *cred, const struct s3_objmeta *m);
/* Appends a record as ours would be. Nothing, when there are no such attributes, or when the file's bytes were the last to change:
 * that gateway renames every object after it wrote it, and does not say which state of the file its ETag is of. What cannot be
 * read is left out. */
MUST_USE int s3_juicefs_record(struct vfs_file *f, const struct vfs_attr *attr, struct arena *arena, struct buf *out);
/* The same of the ETag alone (empty: nothing), for listings. */
void s3_juicefs_record_of_etag(struct str etag, const struct vfs_attr *attr, struct buf *out);

#endif
