#include "base/limits.h"
#include "s3api/bucket.h"
#include "s3api/op_handlers.h"
#include "s3api/ownership.h"
#include "s3api/policy_cache.h"
#include "s3api/public_block.h"
#include "s3api/xml.h"

/* The document is kept and answered byte for byte as it was put; what it means is read by policy_cache.c. */

static enum s3_error none(struct s3_op *op)
{
    op->detail.bucket_name = op->req.bucket;
    return S3_NO_SUCH_BUCKET_POLICY;
}

enum s3_error s3_get_bucket_policy_begin(struct s3_op *op)
{
    enum s3_error error = s3_bucket_config_get(op, S3_POLICY_CONFIG, &op->out);
    if (error != S3_OK)
        return error;
    if (op->out.len == 0)
        return none(op);
    op->reply.status = 200;
    op->reply.body = S3_REPLY_BYTES;
    op->reply.bytes = buf_str(&op->out);
    op->reply.length = (int64_t)op->out.len;
    s3_reply_header(op, "Content-Type", STR("application/json"));
    return S3_OK;
}

enum s3_error s3_put_bucket_policy_finish(struct s3_op *op)
{
    struct auth_policy *policy = NULL;
    struct str document = buf_str(&op->body_bytes);
    CLEANUP(buf_done) struct buf reason = buf_make(2 * LIMIT_POLICY_BYTES);
    if (auth_policy_parse(AUTH_POLICY_BUCKET, document, op->req.bucket, &policy, &reason) < 0)
        return s3_fail(op, S3_MALFORMED_POLICY, "%.*s", STR_ARG(str_first(buf_str(&reason), LIMIT_TARGET_BYTES / 2)));
    bool is_public = auth_policy_is_public(policy);
    auth_policy_unref(policy);
    enum s3_error error = s3_bucket_make_reserved(op, op->bucket); /* what was planted blocks nothing any more */
    if (error != S3_OK)
        return error;
    if (is_public && s3_public_block_of(op, op->bucket).block_policy)
        return s3_fail(op, S3_ACCESS_DENIED, "Public policies are blocked by the BlockPublicPolicy setting of the bucket's "
                                             "PublicAccessBlock.");
    error = s3_bucket_config_put(op, S3_POLICY_CONFIG, document);
    return error == S3_OK ? s3_reply_empty(op, 204) : error;
}

enum s3_error s3_delete_bucket_policy_begin(struct s3_op *op)
{
    enum s3_error error = s3_bucket_config_delete(op, S3_POLICY_CONFIG);
    return error == S3_OK ? s3_reply_empty(op, 204) : error;
}

/* "Indicating whether the bucket is public": by its policy, or by its list where that counts. A bucket without a policy has an answer
 * too, as the reference promises; AWS itself says NoSuchBucketPolicy. */
enum s3_error s3_get_bucket_policy_status_begin(struct s3_op *op)
{
    const struct s3_owned *owned = s3_owned_of(op, op->bucket, op->req.bucket);
    bool is_public = op->policy.document && auth_policy_is_public(op->policy.document);
    if (!is_public && owned->mode != S3_OWNER_ENFORCED)
        is_public = s3_acl_is_public(&owned->acl) && !s3_public_block_of(op, op->bucket).ignore_acls;
    xml_begin(&op->out);
    xml_open_ns(&op->out, "PolicyStatus");
    xml_bool(&op->out, "IsPublic", is_public);
    xml_close(&op->out, "PolicyStatus");
    return s3_reply_xml(op, 200);
}
