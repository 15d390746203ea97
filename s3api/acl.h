/* Access control lists, as AWS has them since buckets enforce their owner: the one list there is says that the owner
 * may do everything; setting that one is accepted, any other refused. Buckets and objects alike. Thread: worker. */
#ifndef S3API_ACL_H
#define S3API_ACL_H

#include "s3api/op.h"

/* Answers with the owner's list. */
enum s3_error s3_acl_reply(struct s3_op *op, struct str owner_id);
/* Judges x-amz-acl, x-amz-grant-* and the collected XML body of a request to set a list: S3_OK when it says what is so
 * anyway, S3_ACL_NOT_SUPPORTED for any other list, S3_MALFORMED_ACL. */
enum s3_error s3_acl_check(struct s3_op *op, struct str owner_id);
/* Judges x-amz-acl and x-amz-grant-* alone, of a request that makes an object or a bucket. */
enum s3_error s3_acl_check_headers(struct s3_op *op);

#endif
