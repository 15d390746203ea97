/* What the object operations share: opening an object by key, answering with its headers, staging and publishing a new one.
 * Thread: worker. */
#ifndef S3API_OBJECT_H
#define S3API_OBJECT_H

#include "s3api/key.h"
#include "s3api/objmeta.h"
#include "s3api/op.h"
#include "s3api/precondition.h"
#include "s3api/tags.h"

struct s3_object {
    struct s3_key key;
    struct vfs_file *file; /* also for explicit directory objects (size 0) */
    struct vfs_attr attr;
    struct s3_objmeta meta;
};

/* Parses and checks the request's key into *out; fails the op with the right code. */
enum s3_error s3_object_key(struct s3_op *op, struct str key, struct s3_key *out);
/* Is the directory at `path` an object (of key "path/")? 1: made by S3 for its own sake, or through POSIX; 0: made on the way to
 * an object. Negative errno. GET, HEAD and listings all ask here. */
MUST_USE int s3_directory_is_object(struct vfs_dir *bucket, struct str path, const struct vfs_cred *cred);
/* Opens `key` in `bucket` for reading: S3_NO_SUCH_KEY when absent, a directory without the slash, or a file with one. The
 * user metadata show the inode's attributes where a dialect asks for it (dialect.h). */
enum s3_error s3_object_open(struct s3_op *op, struct vfs_dir *bucket, struct str key, struct s3_object *out);
/* As above, of op->bucket, for changing the record in place: no other s3_object_open_locked of the object is open at a time. */
enum s3_error s3_object_open_locked(struct s3_op *op, struct str key, struct s3_object *out);
/* The lock that s3_object_open_locked takes: waits for others that rewrite the record, not for ever (-EAGAIN). */
MUST_USE int s3_object_lock(struct vfs_file *f);
/* Replaces the record of an object opened locked, atomically and durably, by o->meta; data and ETag stay. */
enum s3_error s3_object_store(struct s3_op *op, struct s3_object *o);
/* versionId of the request: absent or "null", which every object of an unversioned bucket has; else fails as AWS does. */
enum s3_error s3_object_version_check(struct s3_op *op, struct str version_id);
void s3_object_close(struct s3_object *o);
/* Content headers, metadata, tags, owner and list of a PUT, CreateMultipartUpload or POST from the request's headers, checked. */
enum s3_error s3_object_meta_from_request(struct s3_op *op, struct s3_objmeta *out);
/* Refuses what a request that makes an object asks for and sluice does not have: encryption, object lock, append. */
enum s3_error s3_object_check_unsupported(struct s3_op *op);
/* If-Match, If-None-Match … of the request, with a prefix ("" or "x-amz-copy-source-"). */
void s3_conditions_from_request(const struct s3_request *r, const char *prefix, struct s3_conditions *out);
/* Decides the write conditions now (before the body): what publish will decide again. Also refuses a key whose name is taken by
 * a directory. */
enum s3_error s3_object_check_write(struct s3_op *op, const struct s3_key *key, const struct s3_conditions *c);
/* The other door, where nothing is published yet: does the kernel let the caller's identity make that name? S3_OK for the process itself. */
enum s3_error s3_object_may_write(struct s3_op *op, const struct s3_key *key);
/* Publishes a finished staging file under the key with its metadata, deciding the conditions at that moment, atomically
 * with the change of name; loops while others change the object in between. Its Last-Modified is meta->modified_ns, 0: now.
 * On success *out_attr is the new object's. */
enum s3_error s3_object_publish(struct s3_op *op, const struct s3_key *key, struct vfs_file *stage,
                                const struct s3_objmeta *meta, const struct s3_conditions *c, struct vfs_attr *out_attr);
/* As above for a key that ends in '/': makes the directory, or makes it explicit. meta: etag and checksum of no bytes. */
enum s3_error s3_object_publish_directory(struct s3_op *op, const struct s3_key *key, const struct s3_objmeta *meta,
                                          const struct s3_conditions *c);
/* Deletes the object of that key (file, or explicit directory), prunes implicit parents. Absent is S3_OK with *out_existed
 * false. */
enum s3_error s3_object_delete(struct s3_op *op, const struct s3_key *key, const struct s3_conditions *c, bool *out_existed);
/* After something of that path has gone: removes the implicit directories that are empty now. Best effort. */
void s3_object_prune_parents(struct s3_op *op, struct str path);
/* Fails the op for a condition that does not hold, with <Condition>prefix + name. */
enum s3_error s3_fail_condition(struct s3_op *op, enum s3_error e, const char *prefix, const struct s3_conditions *c, struct str etag);
/* ETag, Last-Modified, checksum (when asked for and whole), content headers, user metadata, tag count … of a GET or HEAD. */
void s3_object_reply_headers(struct s3_op *op, const struct s3_object *o, bool with_checksum);

/* x-amz-checksum-<kind> and -type; nothing for kind NONE. */
void s3_reply_checksum(struct s3_op *op, const struct s3_checksum *c);
/* The same as elements of op->out. */
void s3_write_checksum(struct s3_op *op, const struct s3_checksum *c);
/* Last-Modified. */
int64_t s3_object_modified_s(const struct s3_object *o);

#endif
