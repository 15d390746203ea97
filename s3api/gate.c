#include "s3api/gate.h"

#include "auth/form.h"
#include "auth/live.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/encode.h"
#include "base/limits.h"
#include "s3api/access.h"
#include "s3api/bucket.h"
#include "s3api/key.h"
#include "s3api/limits.h"
#include "s3api/ownership.h"
#include "s3api/plain.h"
#include "s3api/route.h"
#include "s3api/service.h"

/* Authentication */

static const struct {
    enum s3_error error;
    const char *message; /* NULL: the error's own */
} by_auth_error[] = {
    [AUTH_HEADER_MALFORMED] = {S3_AUTH_HEADER_MALFORMED, NULL},
    [AUTH_QUERY_MALFORMED] = {S3_AUTH_QUERY_ERROR, NULL},
    [AUTH_URI_MALFORMED] = {S3_INVALID_URI, NULL},
    [AUTH_TWO_MECHANISMS] =
        {S3_INVALID_ARGUMENT,
         "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query "
         "string parameter or the Authorization header should be specified"},
    [AUTH_SCHEME_UNSUPPORTED] = {S3_INVALID_REQUEST, "The authorization mechanism you have provided is not supported. "
                                                     "Please use AWS4-HMAC-SHA256."},
    [AUTH_DATE_MISSING] = {S3_ACCESS_DENIED, "AWS authentication requires a valid Date or x-amz-date header"},
    [AUTH_TIME_SKEWED] = {S3_REQUEST_TIME_SKEWED, NULL},
    [AUTH_EXPIRED] = {S3_REQUEST_EXPIRED, NULL},
    [AUTH_NOT_YET_VALID] = {S3_ACCESS_DENIED, "Request is not valid yet"},
    [AUTH_ACCESS_KEY_UNKNOWN] = {S3_INVALID_ACCESS_KEY, NULL},
    [AUTH_ACCESS_KEY_DISABLED] = {S3_INVALID_ACCESS_KEY, "The AWS access key ID that you provided is disabled."},
    [AUTH_FORM_FIELD_MISSING] = {S3_INVALID_ARGUMENT, NULL},
    [AUTH_TOKEN_EXPIRED] = {S3_EXPIRED_TOKEN, NULL},
    [AUTH_TOKEN_INVALID] = {S3_INVALID_TOKEN, NULL},
    [AUTH_HEADERS_UNSIGNED] = {S3_ACCESS_DENIED, "There were headers present in the request which were not signed"},
    [AUTH_PAYLOAD_HASH_MISSING] = {S3_INVALID_REQUEST,
                                   "Missing required header for this request: x-amz-content-sha256"},
    [AUTH_PAYLOAD_HASH_INVALID] = {S3_INVALID_ARGUMENT,
                                   "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "
                                   "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
                                   "or a valid sha256 value."},
    [AUTH_SIGNATURE_MISMATCH] = {S3_SIGNATURE_MISMATCH, NULL},
};

static struct str time_text(struct s3_op *op, int64_t wall_s)
{
    char text[CLOCK_TEXT_MAX];
    return arena_dup(op->arena, clock_format_iso8601_ms(wall_s * 1000000000, text));
}

/* As the client wrote it, wherever it did. */
static struct str request_time(const struct s3_op *op)
{
    struct str header = s3_header(&op->req, "x-amz-date");
    if (!header.ptr)
        header = s3_header(&op->req, "date");
    return header.ptr ? header : s3_param_value(&op->req, "X-Amz-Date");
}

/* What each error's document tells besides: enough to find a clock, region or signing mistake by. */
static void add_auth_detail(struct s3_op *op, enum auth_error error)
{
    const struct auth_result *a = &op->auth;
    struct s3_error_detail *d = &op->detail;
    d->region = a->expected_region;
    if (error == AUTH_SIGNATURE_MISMATCH || error == AUTH_ACCESS_KEY_UNKNOWN || error == AUTH_ACCESS_KEY_DISABLED)
        d->access_key = a->access_key;
    if (error == AUTH_SIGNATURE_MISMATCH) {
        d->string_to_sign = a->string_to_sign;
        d->signature_provided = a->signature_provided;
        d->canonical_request = a->canonical_request;
    }
    if (error == AUTH_TIME_SKEWED || error == AUTH_EXPIRED)
        d->server_time = time_text(op, clock_wall_s());
    if (error == AUTH_TIME_SKEWED) {
        s3_fail_extra(op, "RequestTime", request_time(op));
        s3_fail_extra(op, "MaxAllowedSkewMilliseconds", arena_printf(op->arena, "%d", LIMIT_CLOCK_SKEW_S * 1000));
    }
    if (error == AUTH_EXPIRED && a->expires_at_s > 0)
        d->expires = time_text(op, a->expires_at_s);
    if (error == AUTH_HEADERS_UNSIGNED)
        s3_fail_extra(op, "HeadersNotSigned", a->headers_unsigned);
    if (error == AUTH_PAYLOAD_HASH_INVALID) {
        d->argument_name = STR("x-amz-content-sha256");
        d->argument_value = s3_header(&op->req, "x-amz-content-sha256");
    }
}

static struct auth_rules auth_rules(const struct s3_op *op)
{
    return (struct auth_rules){
        .region = op->service->region, .sigv2 = op->service->sigv2, .expected_host_suffix = op->service->domain};
}

static enum s3_error fail_auth(struct s3_op *op, enum auth_error error)
{
    add_auth_detail(op, error);
    if (op->auth.message.len > 0)
        op->detail.message = op->auth.message;
    else if (by_auth_error[error].message)
        op->detail.message = str_z(by_auth_error[error].message);
    return by_auth_error[error].error;
}

static enum s3_error authenticate(struct s3_op *op)
{
    struct auth_rules rules = auth_rules(op);
    enum auth_error error = auth_verify(&rules, op->identities, op->in.head, op->arena, &op->auth);
    if (error == AUTH_OK)
        return S3_OK;
    /* A preflight repeats a presigned URL that was made for another method; it is answered as anybody's. */
    if (str_is(op->in.head->method, "OPTIONS")) {
        op->auth = (struct auth_result){.scheme = AUTH_ANONYMOUS};
        return S3_OK;
    }
    return fail_auth(op, error);
}

/* Routing */

static struct str upper(struct s3_op *op, const char *z)
{
    char *out = arena_dupz(op->arena, str_z(z));
    for (char *c = out; *c; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    return str_z(out);
}

static struct str resource_type(struct s3_op *op, const char *sub_resource)
{
    if (sub_resource)
        return upper(op, sub_resource);
    switch (s3_request_level(&op->req)) {
    case S3_LEVEL_SERVICE:
        return STR("SERVICE");
    case S3_LEVEL_BUCKET:
        return STR("BUCKET");
    case S3_LEVEL_OBJECT:
        break;
    }
    return STR("OBJECT");
}

static enum s3_error fail_route(struct s3_op *op, enum s3_route_verdict verdict, const struct s3_route *route)
{
    switch (verdict) {
    case S3_ROUTE_FOUND:
        return S3_OK;
    case S3_ROUTE_METHOD:
        op->detail.resource_type = resource_type(op, route->sub_resource);
        return S3_METHOD_NOT_ALLOWED;
    case S3_ROUTE_CONFLICT:
        op->detail.argument_name = STR("ResourceType");
        op->detail.argument_value = str_z(route->sub_resource);
        return s3_fail(op, S3_INVALID_ARGUMENT, "Conflicting query string parameters: %s, %s", route->sub_resource,
                       route->sub_resource2);
    case S3_ROUTE_NOT_FOR_KEY:
        return s3_fail(op, S3_INVALID_REQUEST, "There is no such thing as the ?%s sub-resource for a key",
                       route->sub_resource);
    case S3_ROUTE_KEY_UNWANTED:
        return s3_fail(op, S3_INVALID_REQUEST, "Key is not expected for the %.*s method ?%s subresource",
                       STR_ARG(op->in.head->method), route->sub_resource);
    case S3_ROUTE_KEY_MISSING:
        return s3_fail(op, S3_INVALID_REQUEST, "A key must be specified");
    case S3_ROUTE_PARAM_MISSING:
        break;
    }
    return s3_fail(op, S3_INVALID_ARGUMENT, "This operation does not accept %s without %s", route->sub_resource,
                   route->sub_resource2);
}

/* Authorisation */

static enum s3_error check_caller(struct s3_op *op)
{
    bool is_for_anybody = op->row->flags & S3_OP_ANONYMOUS && !op->auth.user;
    if (is_for_anybody)
        return S3_OK;
    if (op->row->action)
        return s3_access_check_row(op);
    return op->auth.user ? S3_OK : S3_ACCESS_DENIED;
}

static enum s3_error authorise(struct s3_op *op)
{
    enum s3_error error = check_caller(op);
    if (error != S3_OK)
        return error;
    if (op->row->flags & S3_OP_WRITE && op->service->read_only)
        return S3_READ_ONLY;
    if (op->auth.payload == AUTH_PAYLOAD_STREAM_UNSIGNED_TRAILER && !(op->row->flags & S3_OP_UNSIGNED_TRAILER))
        return s3_fail(op, S3_INVALID_REQUEST,
                       "The value of x-amz-content-sha256 header is invalid: STREAMING-UNSIGNED-PAYLOAD-TRAILER is for "
                       "PutObject and UploadPart only.");
    return S3_OK;
}

/* Files are then opened as that user, on the volume's own terms. */
static void take_posix_identity(struct s3_op *op)
{
    const struct auth_user *user = op->auth.user;
    if (!user)
        op->cred = op->service->anonymous;
    if (!user || !user->posix.set)
        return;
    op->cred_storage = (struct vfs_cred){
        .uid = user->posix.uid,
        .gid = user->posix.gid,
        .groups = user->posix.groups,
        .group_count = user->posix.group_count,
    };
    op->cred = &op->cred_storage;
}

static enum s3_error check_names(const struct s3_op *op)
{
    struct str bucket = op->req.bucket;
    bool is_named = s3_request_level(&op->req) != S3_LEVEL_SERVICE;
    bool is_single = op->service->single_bucket.len > 0 && str_eq(bucket, op->service->single_bucket);
    return is_named && !is_single && !s3_bucket_name_is_valid(bucket) ? S3_INVALID_BUCKET_NAME : S3_OK;
}

/* What the bucket's own documents say of who may do what. Most buckets have none. */
static void load_rules(struct s3_op *op)
{
    static const struct s3_owned of_plain = {.mode = S3_OWNER_ENFORCED, .has_controls = true};
    bool is_plain = s3_plain_is(op);
    if (is_plain && op->service->ownership == S3_OWNER_ENFORCED) {
        op->owned = &of_plain;
        return;
    }
    op->would_wait = op->quick; /* to read them, and what conditions may ask for */
    if (op->quick || is_plain)
        return;
    op->policy = s3_policy_load(op, op->bucket, op->req.bucket);
    if (!op->policy.is_unreadable)
        s3_plain_learn(op);
}

/* The bucket is opened first, since its policy has a say. That there is none is told to everybody, as AWS does: names are no secret,
 * what is in a bucket is. */
static enum s3_error pass_bucket(struct s3_op *op)
{
    bool has_bucket = op->row->level != S3_LEVEL_SERVICE && !(op->row->flags & S3_OP_NO_BUCKET);
    enum s3_error opened = has_bucket ? s3_bucket_open(op, op->req.bucket, &op->bucket) : S3_OK;
    struct s3_error_detail detail = op->detail;
    if (op->bucket)
        load_rules(op);
    if (op->would_wait)
        return S3_AGAIN;
    if (opened == S3_NO_SUCH_BUCKET)
        return opened;
    op->detail = (struct s3_error_detail){0};
    enum s3_error error = authorise(op);
    if (error != S3_OK)
        return error;
    op->detail = detail;
    return opened;
}

static bool may_be_quick(const struct s3_op *op)
{
    return op->row && op->row->flags & S3_OP_QUICK;
}

enum s3_error s3_gate(struct s3_op *op)
{
    struct s3_route route;
    enum s3_error error = check_names(op);
    if (error != S3_OK)
        return error;
    enum s3_route_verdict verdict = s3_route(&op->req, &route);
    op->row = route.row;
    if (op->quick && !may_be_quick(op))
        return S3_AGAIN;
    op->identities = auth_live_get(op->service->identities);
    if (op->row && op->row->flags & S3_OP_STS)
        return S3_OK;
    error = authenticate(op);
    if (error != S3_OK)
        return error;
    if (!op->row)
        return op->auth.user ? fail_route(op, verdict, &route) : S3_ACCESS_DENIED;
    if (op->row->flags & S3_OP_FORM)
        return op->service->read_only ? S3_READ_ONLY : S3_OK;
    /* Who is counted is counted once: not here and then again on a worker. */
    if (op->quick && s3_limits_are_on(op->service->limits))
        return S3_AGAIN;
    error = s3_limits_admit(op);
    if (error != S3_OK)
        return error;
    take_posix_identity(op);
    if (op->quick && op->cred)
        return S3_AGAIN;
    return pass_bucket(op);
}

enum s3_error s3_gate_sts(struct s3_op *op)
{
    struct auth_rules rules = auth_rules(op);
    uint8_t digest[DIGEST_SIZE_MAX];
    char hash[64];
    digest_bytes(DIGEST_SHA256, buf_str(&op->body_bytes), digest);
    hex_encode(digest, 32, hash);
    rules.service = STR("sts");
    rules.payload_hash = str_of(hash, sizeof(hash));
    rules.sigv2 = false;
    enum auth_error error = auth_verify(&rules, op->identities, op->in.head, op->arena, &op->auth);
    if (error != AUTH_OK)
        return fail_auth(op, error);
    if (!op->auth.user)
        return s3_fail(op, S3_ACCESS_DENIED, "Request is missing Authentication Token");
    return s3_limits_admit(op);
}

enum s3_error s3_gate_form(struct s3_op *op, const struct auth_query *fields)
{
    struct auth_rules rules = auth_rules(op);
    enum auth_error error = auth_verify_form(&rules, op->identities, fields, op->arena, &op->auth);
    if (error != AUTH_OK)
        return fail_auth(op, error);
    enum s3_error admitted = s3_limits_admit(op);
    if (admitted != S3_OK)
        return admitted;
    take_posix_identity(op);
    return pass_bucket(op);
}
