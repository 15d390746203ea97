/* What the object operations share: opening an object by key, answering with its headers, staging and publishing a new one.
 * Thread: worker. */
#ifndef S3API_OBJECT_H
#define S3API_OBJECT_H

#include "s3api/key.h"
#include "s3api/objmeta.h"
#include "s3api/op.h"
#include "s3api/precondition.h"

struct s3_object {
    struct s3_key key;
    struct vfs_file *file; /* also for explicit directory objects (size 0) */
    struct vfs_attr attr;
    struct s3_objmeta meta;
};

/* Parses and checks the request's key into *out; fails the op with the right code. */
enum s3_error s3_object_key(struct s3_op *op, struct str key, struct s3_key *out);
/* Opens `key` in `bucket` for reading: S3_NO_SUCH_KEY when absent, a directory without the slash, or a file with one. */
enum s3_error s3_object_open(struct s3_op *op, struct vfs_dir *bucket, struct str key, struct s3_object *out);
void s3_object_close(struct s3_object *o);
/* Content headers, metadata and tags of a PUT, CreateMultipartUpload or POST from the request's headers, checked. */
enum s3_error s3_object_meta_from_request(struct s3_op *op, struct s3_objmeta *out);
/* x-amz-tagging's "k=v&k2=v2", checked. */
enum s3_error s3_tags_parse_query(struct s3_op *op, struct str text, size_t tags_max, struct s3_pairs *out);
/* If-Match, If-None-Match … of the request, with a prefix ("" or "x-amz-copy-source-"). */
void s3_conditions_from_request(const struct s3_request *r, const char *prefix, struct s3_conditions *out);
/* Decides the write conditions now (before the body): what publish will decide again. */
enum s3_error s3_object_check_write(struct s3_op *op, const struct s3_key *key, const struct s3_conditions *c);
/* Publishes a finished staging file under the key with its metadata, deciding the conditions at that moment, atomically
 * with the change of name; loops while others change the object in between. On success *out_attr is the new object's. */
enum s3_error s3_object_publish(struct s3_op *op, const struct s3_key *key, struct vfs_file *stage,
                                const struct s3_objmeta *meta, const struct s3_conditions *c, struct vfs_attr *out_attr);
/* Deletes the object of that key (file, or explicit directory), prunes implicit parents. Absent is S3_OK with *out_existed
 * false. */
enum s3_error s3_object_delete(struct s3_op *op, const struct s3_key *key, const struct s3_conditions *c, bool *out_existed);
/* ETag, Last-Modified, checksum (when asked for and whole), content headers, user metadata, tag count … of a GET or HEAD. */
void s3_object_reply_headers(struct s3_op *op, const struct s3_object *o, bool with_checksum);

#endif
