#include "base/limits.h"
#include "s3api/bucket.h"
#include "s3api/cors.h"
#include "s3api/op_handlers.h"

/* The configuration */

enum s3_error s3_get_bucket_cors_begin(struct s3_op *op)
{
    enum s3_error error = s3_bucket_config_get(op, S3_CORS_CONFIG, &op->out);
    if (error != S3_OK)
        return error;
    if (op->out.len > 0)
        return s3_reply_xml(op, 200);
    op->detail.bucket_name = op->req.bucket;
    return S3_NO_SUCH_CORS;
}

/* Stored as it will be answered. */
enum s3_error s3_put_bucket_cors_finish(struct s3_op *op)
{
    struct s3_cors_rules rules;
    enum s3_error error = s3_cors_parse(op, buf_str(&op->body_bytes), &rules);
    if (error != S3_OK)
        return error;
    s3_cors_write_xml(op, &rules);
    if (op->out.len > LIMIT_CORS_BYTES)
        return S3_MAX_MESSAGE_LENGTH;
    error = s3_bucket_config_put(op, S3_CORS_CONFIG, buf_str(&op->out));
    return error == S3_OK ? s3_reply_empty(op, 200) : error;
}

enum s3_error s3_delete_bucket_cors_begin(struct s3_op *op)
{
    enum s3_error error = s3_bucket_config_delete(op, S3_CORS_CONFIG);
    return error == S3_OK ? s3_reply_empty(op, 204) : error;
}

/* Preflights */

static enum s3_error forbid(struct s3_op *op, const char *message)
{
    struct str method = s3_header(&op->req, "access-control-request-method");
    op->detail.method = method.ptr ? method : op->in.head->method;
    op->detail.resource_type = op->req.key.len > 0 ? STR("OBJECT") : STR("BUCKET");
    return s3_fail(op, S3_ACCESS_FORBIDDEN, "%s", message);
}

enum s3_error s3_preflight_begin(struct s3_op *op)
{
    struct str method = s3_header(&op->req, "access-control-request-method");
    if (op->cors.verdict == S3_CORS_NO_ORIGIN)
        return s3_fail(op, S3_BAD_REQUEST, "Insufficient information. Origin request header needed.");
    if (op->cors.verdict == S3_CORS_NO_BUCKET)
        return forbid(op, "CORSResponse: Bucket not found");
    if (op->cors.verdict == S3_CORS_OFF)
        return forbid(op, s3_error_message(S3_ACCESS_FORBIDDEN));
    if (!s3_cors_has_method(method))
        return s3_fail(op, S3_BAD_REQUEST, "Invalid Access-Control-Request-Method: %.*s",
                       STR_ARG(method.ptr ? method : STR("null")));
    if (op->cors.verdict == S3_CORS_REFUSED)
        return forbid(op, "CORSResponse: This CORS request is not allowed. This is usually because the evalution of "
                          "Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers "
                          "are not whitelisted by the resource's CORS spec.");
    return s3_reply_empty(op, 200);
}
