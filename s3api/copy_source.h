/* x-amz-copy-source of CopyObject and UploadPartCopy: parsed and decoded exactly once, authorised as a read, opened by the same
 * key rules as any object, its conditions decided. Thread: worker. */
#ifndef S3API_COPY_SOURCE_H
#define S3API_COPY_SOURCE_H

#include "s3api/object.h"
#include "s3api/op.h"

struct s3_copy_name {
    struct str bucket, key;  /* decoded, arena */
    struct str version_id;   /* ptr NULL: none */
};

struct s3_copy_source {
    struct s3_copy_name name;
    struct vfs_dir *bucket;
    struct s3_object object; /* open */
};

/* "[/]bucket/key[?versionId=id]", percent-encoded; '+' is a blank, as AWS has it. Static text in *out_reason on
 * S3_INVALID_ARGUMENT. Pure. */
enum s3_error s3_copy_name_parse(struct str header, struct arena *arena, struct s3_copy_name *out, const char **out_reason);
/* All of it, from the request's headers (x-amz-copy-source, x-amz-copy-source-if-*, x-amz-source-expected-bucket-owner). takes_tags:
 * those of the source are copied, too, which is another permission where it has any. */
enum s3_error s3_copy_source_open(struct s3_op *op, bool takes_tags, struct s3_copy_source *out);
/* Decides the x-amz-copy-source-if-* conditions of the request on an object just opened. */
enum s3_error s3_copy_source_check(struct s3_op *op, const struct s3_object *o);
/* Also of a half-open one. */
void s3_copy_source_close(struct s3_copy_source *s);

#endif
