/* A bucket's own record and configuration documents. The record (owner, time of creation) is an extended attribute of the bucket's
 * directory (bucket_record.c); documents (tagging, policy, CORS, …) are files under .sluice/config/ of the bucket, and count only
 * in a .sluice that is the gateway's own (bucket_config.c). Thread: worker. */
#ifndef S3API_BUCKET_H
#define S3API_BUCKET_H

#include "s3api/op.h"

struct s3_bucket_record {
    struct str owner_id; /* the default owner's for directories made through POSIX */
    int64_t created_ns;
};

/* The bucket's path below the volume's root: its name, or the root itself. False: there is no such bucket. */
bool s3_bucket_path(const struct s3_op *op, struct str name, struct str *out);
/* The bucket's directory, confined: op->bucket. Also checks x-amz-expected-bucket-owner. S3_NO_SUCH_BUCKET. */
enum s3_error s3_bucket_open(struct s3_op *op, struct str name, struct vfs_dir **out);
/* As s3_bucket_open for the source bucket of a copy: checks x-amz-source-expected-bucket-owner instead. Whether the caller
 * may read there is copy_source's to ask, before anything of the answer shows. */
enum s3_error s3_bucket_open_source(struct s3_op *op, struct str name, struct vfs_dir **out);
/* Makes the bucket's .sluice, closed to other users than the process's own, unless it is there; one that is not the gateway's own
 * steps aside. */
enum s3_error s3_bucket_make_reserved(struct s3_op *op, struct vfs_dir *bucket);
/* The bucket's .sluice. -ENOENT: it has none; -EPERM: somebody else put one there. The handle lives as long as the op, or is the
 * caller's when *out_owned. */
MUST_USE int s3_bucket_documents(struct s3_op *op, struct vfs_dir *bucket, struct vfs_dir **out, struct vfs_dir **out_owned);
/* Once, before any request: whether records are kept where only root can write, and takes over what is not there yet. */
void s3_bucket_records_start(struct s3_service *s);
enum s3_error s3_bucket_record(struct s3_op *op, struct str name, struct s3_bucket_record *out);
/* Durable. */
enum s3_error s3_bucket_record_write(struct s3_op *op, struct str name, const struct s3_bucket_record *record);
/* Document by name ("tagging"); absent: S3_OK with out empty. */
enum s3_error s3_bucket_config_get(struct s3_op *op, const char *name, struct buf *out);
/* The same of any open bucket. */
enum s3_error s3_bucket_config_read(struct s3_op *op, struct vfs_dir *bucket, const char *name, struct buf *out);
enum s3_error s3_bucket_config_write(struct s3_op *op, struct vfs_dir *bucket, const char *name, struct str bytes);
enum s3_error s3_bucket_config_remove(struct s3_op *op, struct vfs_dir *bucket, const char *name);
/* Likewise of any bucket, whoever asks: for what is decided before the caller is known. */
enum s3_error s3_bucket_config_peek(struct s3_op *op, struct str bucket, const char *name, struct buf *out);
enum s3_error s3_bucket_config_put(struct s3_op *op, const char *name, struct str bytes);
enum s3_error s3_bucket_config_delete(struct s3_op *op, const char *name);
/* Removes the request's bucket, which holds no object: its directory, and what is ours in it. S3_BUCKET_NOT_EMPTY when an
 * object was stored meanwhile; then nothing is lost. */
enum s3_error s3_bucket_remove(struct s3_op *op);
/* One bounded piece of housekeeping: what a crash has left of a removed bucket. True when there may be more. */
bool s3_bucket_housekeep(struct s3_service *s);
/* <Owner> element contents for a canonical id. */
void s3_owner_xml(struct s3_op *op, const char *element, struct str owner_id);
/* <ID> and <DisplayName> alone. */
void s3_owner_fields_xml(struct s3_op *op, struct str owner_id);

#endif
