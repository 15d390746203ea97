/* Bucket policies as parsed, shared by all workers: one slot a hash of the bucket's name, valid for the document's version (inode,
 * size, mtime), so that a change, also through another gateway, counts at the next request. Bounded. Thread: any. */
#ifndef S3API_POLICY_CACHE_H
#define S3API_POLICY_CACHE_H

#include "s3api/op.h"

struct s3_policy_cache;
struct s3_policy_cache *s3_policy_cache_new(void);
void s3_policy_cache_free(struct s3_policy_cache *c);

#define S3_POLICY_CONFIG "policy"

/* Of an open bucket. */
struct s3_policy s3_policy_load(struct s3_op *op, struct vfs_dir *bucket, struct str name);
void s3_policy_done(struct s3_policy *p);

#endif
