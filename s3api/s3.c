#include "s3api/s3.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "s3api/access.h"
#include "s3api/body.h"
#include "s3api/bucket.h"
#include "s3api/cors.h"
#include "s3api/gate.h"
#include "s3api/limits.h"
#include "s3api/multipart.h"
#include "s3api/oidc.h"
#include "s3api/op.h"
#include "s3api/plain.h"
#include "s3api/service.h"

/* Service */

int s3_service_new(const struct s3_service_options *options, struct s3_service **out)
{
    if (options->region.len == 0 || options->region.len > AUTH_REGION_SIZE_MAX)
        return -EINVAL;
    struct s3_service *s = calloc(1, sizeof(*s));
    CHECK(s != NULL); /* out of memory */
    s->texts = arena_new();
    s->volume = options->volume;
    s->identities = options->identities;
    s->region = arena_dup(s->texts, options->region);
    s->domain = arena_dup(s->texts, options->domain);
    s->single_bucket = arena_dup(s->texts, options->single_bucket);
    if (options->anonymous) {
        struct vfs_cred *anonymous = arena_new_of(s->texts, struct vfs_cred);
        *anonymous = (struct vfs_cred){.uid = options->anonymous->uid, .gid = options->anonymous->gid};
        s->anonymous = anonymous;
    }
    s->sigv2 = options->sigv2;
    s->block_public_access = options->block_public_access;
    s->read_only = options->read_only;
    s->ownership = options->ownership;
    s->upload_expiry_s = options->upload_expiry_s;
    s3_bucket_records_start(s);
    s->policies = s3_policy_cache_new();
    s->limits = s3_limits_new(options->user_requests, options->user_rate);
    s->oidc = s3_oidc_new(options->fetch, options->fetch_data);
    s->plain = s3_plain_cache_new();
    s->both = options->both;
    *out = s;
    return 0;
}

void s3_service_free(struct s3_service *s)
{
    if (!s)
        return;
    s3_policy_cache_free(s->policies);
    s3_oidc_free(s->oidc);
    s3_plain_cache_free(s->plain);
    s3_limits_free(s->limits);
    arena_free(s->texts);
    free(s);
}

bool s3_service_housekeep(struct s3_service *s)
{
    if (s->read_only)
        return false;
    bool has_more_buckets = s3_bucket_housekeep(s);
    return s3_multipart_housekeep(s) || has_more_buckets;
}

/* The five verbs */

static enum s3_state reply_with(struct s3_op *op, enum s3_error error)
{
    if (error == S3_AGAIN) {
        op->state = S3_WORKING;
        return op->state;
    }
    if (error != S3_OK)
        s3_reply_error(op, error);
    CHECK(op->reply.status != 0);
    op->state = S3_REPLY;
    return op->state;
}

/* The sink of documents. */
static enum s3_error collect(struct s3_op *op, struct pieces p)
{
    for (size_t i = 0; i < p.count; i++)
        buf_add(&op->body_bytes, p.at[i]);
    return op->body_bytes.failed ? S3_MAX_MESSAGE_LENGTH : S3_OK;
}

static enum s3_error open_body(struct s3_op *op)
{
    switch (op->row->body) {
    case S3_BODY_KIND_NONE:
        return S3_OK;
    case S3_BODY_KIND_SMALL:
        op->body_bytes = buf_make(op->row->body_max);
        return s3_body_open(op, collect);
    case S3_BODY_KIND_STREAM:
        break;
    }
    return s3_body_open(op, op->row->sink);
}

static enum s3_error begin(struct s3_op *op, enum s3_error parsed)
{
    if (parsed != S3_OK)
        return parsed;
    enum s3_error error = s3_gate(op);
    if (error == S3_OK)
        error = open_body(op);
    if (error != S3_OK)
        return error;
    op->begun = true;
    return op->row->begin ? s3_access_hide_absence(op, op->row->begin(op)) : S3_OK;
}

static struct s3_op *op_new(struct s3_service *s, const struct s3_incoming *in, struct arena *arena)
{
    struct s3_op *op = arena_new_of(arena, struct s3_op);
    op->service = s;
    op->arena = arena;
    op->in = *in;
    op->state = S3_BODY;
    op->out = buf_make(LIMIT_XML_REPLY_BYTES);
    return op;
}

struct s3_op *s3_begin(struct s3_service *s, const struct s3_incoming *in, struct arena *arena)
{
    struct s3_op *op = op_new(s, in, arena);
    enum s3_error parsed = s3_request_parse(&op->req, in->head, s->domain, arena);
    if (parsed == S3_OK)
        s3_cors_look(op);
    s3_reply_start(op);
    enum s3_error error = begin(op, parsed);
    CHECK(error != S3_AGAIN);
    if (error != S3_OK || !op->row->finish)
        reply_with(op, error);
    return op;
}

/* Refusals are left to workers too: so nothing that is said here depends on what could not be looked at. */
struct s3_op *s3_begin_quick(struct s3_service *s, const struct s3_incoming *in, struct arena *arena)
{
    if (http_find(in->head, "origin"))
        return NULL; /* the bucket's CORS document is read for it */
    struct s3_op *op = op_new(s, in, arena);
    op->quick = true;
    enum s3_error error = s3_request_parse(&op->req, in->head, s->domain, arena);
    s3_reply_start(op);
    error = begin(op, error);
    if (error == S3_OK && !op->would_wait) {
        reply_with(op, S3_OK);
        return op;
    }
    s3_end(op);
    return NULL;
}

enum s3_state s3_state(const struct s3_op *op)
{
    return op->state;
}

enum s3_state s3_feed(struct s3_op *op, struct pieces p)
{
    if (op->state != S3_BODY || op->row->body == S3_BODY_KIND_NONE || pieces_len(p) == 0)
        return op->state;
    enum s3_error error = s3_body_feed(op, p);
    return error == S3_OK ? op->state : reply_with(op, error);
}

enum s3_state s3_finish(struct s3_op *op)
{
    if (op->state == S3_REPLY)
        return op->state;
    if (op->state == S3_BODY && op->row->body != S3_BODY_KIND_NONE) {
        enum s3_error error = s3_body_finish(op);
        if (error != S3_OK)
            return reply_with(op, error);
    }
    return reply_with(op, s3_access_hide_absence(op, op->row->finish(op)));
}

const struct s3_reply *s3_reply(const struct s3_op *op)
{
    CHECK(op->state == S3_REPLY);
    return &op->reply;
}

void s3_reply_unreadable(struct s3_op *op, int negative_errno)
{
    CHECK(op->state == S3_REPLY && op->reply.body == S3_REPLY_FILE);
    reply_with(op, s3_fail_errno(op, negative_errno, S3_FOR_KEY));
}

ssize_t s3_produce(struct s3_op *op, char *out, size_t size)
{
    CHECK(op->state == S3_REPLY && op->reply.body == S3_REPLY_STREAM && op->error == S3_OK);
    return op->row->produce(op, out, size);
}

void s3_end(struct s3_op *op)
{
    if (op->begun && op->row->end)
        op->row->end(op);
    s3_body_close(op);
    s3_limits_leave(op);
    vfs_dir_closep(&op->documents);
    vfs_dir_closep(&op->bucket);
    s3_policy_done(&op->policy);
    buf_done(&op->out);
    buf_done(&op->body_bytes);
    secure_zero(op->auth.signing_key, sizeof(op->auth.signing_key));
    auth_snapshot_unref(op->identities);
    op->identities = NULL;
}

bool s3_may_end_quick(const struct s3_op *op)
{
    struct vfs_attr attr;
    if (!op->quick)
        return false;
    return op->reply.body != S3_REPLY_FILE || (vfs_fstat(op->reply.file, &attr) == 0 && attr.nlink > 0);
}

/* Early answers */

#define XML_DECLARATION "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

bool s3_may_answer_early(const struct s3_op *op)
{
    return op->state == S3_WORKING && op->row->flags & S3_OP_SLOW;
}

const struct s3_reply *s3_early_reply(struct s3_op *op)
{
    CHECK(s3_may_answer_early(op));
    struct s3_reply *early = arena_new_of(op->arena, struct s3_reply);
    s3_reply_header(op, "Content-Type", STR("application/xml"));
    *early = op->reply;
    early->status = 200;
    early->body = S3_REPLY_BYTES;
    early->bytes = STR(XML_DECLARATION);
    early->length = -1;
    return early;
}

struct str s3_late_bytes(struct s3_op *op)
{
    CHECK(op->state == S3_REPLY);
    if (op->reply.body != S3_REPLY_BYTES)
        return STR_EMPTY;
    struct str bytes = op->reply.bytes;
    return str_starts(bytes, STR(XML_DECLARATION)) ? str_from(bytes, strlen(XML_DECLARATION)) : bytes;
}

/* Description */

static const char *auth_text(enum auth_scheme scheme)
{
    switch (scheme) {
    case AUTH_ANONYMOUS:
        break;
    case AUTH_SIGV4_HEADER:
        return "AuthHeader";
    case AUTH_SIGV4_QUERY:
    case AUTH_SIGV2_QUERY:
        return "QueryString";
    case AUTH_SIGV4_FORM:
    case AUTH_SIGV2_FORM:
        return "PostForm";
    }
    return "-";
}

static const char *signature_text(enum auth_scheme scheme)
{
    switch (scheme) {
    case AUTH_ANONYMOUS:
        break;
    case AUTH_SIGV4_HEADER:
    case AUTH_SIGV4_QUERY:
    case AUTH_SIGV4_FORM:
        return "SigV4";
    case AUTH_SIGV2_QUERY:
    case AUTH_SIGV2_FORM:
        return "SigV2";
    }
    return "-";
}

void s3_op_describe(const struct s3_op *op, struct s3_op_info *out)
{
    *out = (struct s3_op_info){
        .operation = op->row ? op->row->name : "Unknown",
        .error_code = op->error != S3_OK ? s3_error_code(op->error) : NULL,
        .access_key = op->auth.key ? op->auth.key->access_key : op->auth.access_key,
        .bucket = op->req.bucket,
        .key = op->req.key,
        .auth = auth_text(op->auth.scheme),
        .signature = signature_text(op->auth.scheme),
        .cause = op->error != S3_OK && s3_error_status(op->error) >= 500 ? op->error_cause : NULL,
    };
    if (op->auth.user)
        out->user = op->auth.user->name;
}

static const char **operation_names;

static bool is_listed(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void collect_operation_names(void)
{
    size_t count = 0;
    operation_names = calloc(s3_op_row_count + 2, sizeof(*operation_names));
    CHECK(operation_names != NULL); /* out of memory */
    operation_names[count++] = "Unknown";
    for (size_t i = 0; i < s3_op_row_count; i++)
        if (!is_listed(operation_names, count, s3_op_rows[i].name))
            operation_names[count++] = s3_op_rows[i].name;
}

const char *const *s3_operation_names(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CHECK(pthread_once(&once, collect_operation_names) == 0);
    return operation_names;
}
