/* Keys of a bucket in byte order: the walk behind ListObjects, ListObjectsV2 and ListObjectVersions, and the grouping that
 * ListMultipartUploads uses too. Work per page is bounded by the page, however many keys the bucket has (design §4).
 * Thread: worker. */
#ifndef S3API_LISTING_H
#define S3API_LISTING_H

#include "s3api/objmeta.h"
#include "s3api/op.h"

struct s3_list_query {
    struct str prefix, delimiter; /* empty: none; any bytes */
    struct str after;             /* only keys (and common prefixes) after this one, in byte order */
    uint32_t max;                 /* entries of both kinds together */
};

struct s3_list_entry {
    bool is_prefix;
    struct str key; /* or the common prefix, delimiter included */
    struct vfs_attr attr; /* keys only */
    struct str etag;
    struct str record; /* the raw objmeta record, for checksum algorithms; may be empty */
};

typedef enum s3_error (*s3_list_fn)(void *context, const struct s3_list_entry *entry);

/* Calls fn for each entry of the page. *out_truncated: there is more; then *out_last is what `after` of the next page must be
 * (arena). */
enum s3_error s3_list_keys(struct s3_op *op, struct vfs_dir *bucket, const struct s3_list_query *q, s3_list_fn fn,
                           void *context, bool *out_truncated, struct str *out_last);
/* Does the bucket hold no object and no foreign entry at all? */
enum s3_error s3_bucket_is_empty(struct s3_op *op, struct vfs_dir *bucket, bool *out);

#endif
