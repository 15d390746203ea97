/* A bucket's PublicAccessBlock: what keeps it from being opened to everybody, by policy or by access control list, whoever wants
 * to ("Blocking public access to your Amazon S3 storage", S3 user guide). Kept as document "public-block". Thread: worker. */
#ifndef S3API_PUBLIC_BLOCK_H
#define S3API_PUBLIC_BLOCK_H

#include "s3api/op.h"

struct s3_public_block {
    bool block_acls;    /* BlockPublicAcls: lists that are public are not set, with an object or by themselves */
    bool ignore_acls;   /* IgnorePublicAcls: what lists grant to everybody, or to all who are known, does not count */
    bool block_policy;  /* BlockPublicPolicy: a policy that is public is not put */
    bool restrict_policy; /* RestrictPublicBuckets: a policy that is public grants nothing to anonymous callers */
};

/* Of an open bucket; the service's default when it has none, or for a bucket to be (NULL). What cannot be read blocks everything. */
struct s3_public_block s3_public_block_of(struct s3_op *op, struct vfs_dir *bucket);

#endif
