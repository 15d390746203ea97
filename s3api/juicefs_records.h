/* The attributes in which JuiceFS's own S3 gateway keeps what it knows of an object (juicefs-format §9.6): s3-etag, s3-meta (JSON),
 * s3-tags. On volumes that it may serve too they are written beside our own record and read with it: what both have, and that
 * gateway can change on an object of ours, is what its attributes say. Thread: worker. */
#ifndef S3API_JUICEFS_RECORDS_H
#define S3API_JUICEFS_RECORDS_H

#include "s3api/objmeta.h"

#define S3_JUICEFS_ETAG "s3-etag"
#define S3_JUICEFS_ETAG_BYTES 64

/* Beside `record`, ours, which alone has what they cannot hold (encodings, checksums, parts). */
MUST_USE int s3_juicefs_store(struct vfs_file *f, const struct vfs_cred *cred, const struct s3_objmeta *m, struct str record);
/* As s3_objmeta_load. With a record of ours: tags, user metadata and the three headers that s3-meta has are taken from there. That
 * gateway never changes the bytes or the ETag of a file that is there. Without: an object of that gateway's. Its ETag counts
 * unless the file's bytes were the last to change: it renames every object after it wrote it, and does not say which state of the
 * file its ETag is of. What cannot be read is left out. */
MUST_USE int s3_juicefs_load(struct vfs_file *f, const struct vfs_attr *attr, struct str key, struct arena *arena,
                             struct s3_objmeta *out);
/* A record as ours would be, of the ETag of such an object alone (empty: nothing), for listings. */
void s3_juicefs_record_of_etag(struct str etag, const struct vfs_attr *attr, struct buf *out);

#endif
