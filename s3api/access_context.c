#include "s3api/access.h"

#include "auth/session.h"
#include "base/check.h"
#include "base/clock.h"
#include "s3api/bucket.h"
#include "s3api/copy_source.h"
#include "s3api/multipart.h"
#include "s3api/object.h"
#include "s3api/service.h"

/* The condition keys of auth/policy_names.c at this request. Those about the caller and the connection come from what the gateway
 * itself knows, never from what a header says (SEC-38). */

static void set(struct s3_op *op, struct auth_context_value *out, struct str value)
{
    struct str *only = arena_new_of(op->arena, struct str);
    *only = value;
    out->values = only;
    out->count = value.ptr ? 1 : 0;
}

/* Where a header counts: where the operation acts on it. */
enum counts {
    ANYWHERE,
    OF_OBJECT, /* with parts and the end of an upload, as it was when the upload began */
    OF_COPY
};

/* Keys that are a header or a parameter, as the client sent it. Which actions have them is the policy language's to know
 * (auth/policy_names.c), which does not ask for others. */
static const struct {
    const char *key, *header, *param;
    enum counts counts;
} from_client[] = {
    {"aws:Referer", "referer", NULL, ANYWHERE},
    {"aws:UserAgent", "user-agent", NULL, ANYWHERE},
    {"s3:delimiter", NULL, "delimiter", ANYWHERE},
    {"s3:if-match", "if-match", NULL, ANYWHERE},
    {"s3:max-keys", NULL, "max-keys", ANYWHERE},
    {"s3:prefix", NULL, "prefix", ANYWHERE},
    {"s3:x-amz-acl", "x-amz-acl", NULL, OF_OBJECT},
    {"s3:x-amz-bucket-namespace", "x-amz-bucket-namespace", NULL, ANYWHERE},
    {"s3:x-amz-grant-full-control", "x-amz-grant-full-control", NULL, OF_OBJECT},
    {"s3:x-amz-grant-read", "x-amz-grant-read", NULL, OF_OBJECT},
    {"s3:x-amz-grant-read-acp", "x-amz-grant-read-acp", NULL, OF_OBJECT},
    {"s3:x-amz-grant-write", "x-amz-grant-write", NULL, OF_OBJECT},
    {"s3:x-amz-grant-write-acp", "x-amz-grant-write-acp", NULL, OF_OBJECT},
    {"s3:x-amz-metadata-directive", "x-amz-metadata-directive", NULL, OF_COPY},
    {"s3:x-amz-object-ownership", "x-amz-object-ownership", NULL, ANYWHERE},
    {"s3:x-amz-server-side-encryption", "x-amz-server-side-encryption", NULL, ANYWHERE},
    {"s3:x-amz-server-side-encryption-aws-kms-key-id", "x-amz-server-side-encryption-aws-kms-key-id", NULL, ANYWHERE},
    {"s3:x-amz-server-side-encryption-customer-algorithm", "x-amz-server-side-encryption-customer-algorithm", NULL, ANYWHERE},
    {"s3:x-amz-storage-class", "x-amz-storage-class", NULL, OF_OBJECT},
    {"s3:x-amz-website-redirect-location", "x-amz-website-redirect-location", NULL, OF_OBJECT},
};

/* Parameters of the same names elsewhere mean something else, or nothing. */
static bool is_listing(const struct s3_op *op)
{
    return op->row->level == S3_LEVEL_BUCKET && !(op->row->flags & S3_OP_WRITE);
}

static bool is_copy(const struct s3_op *op)
{
    return op->row->header && strcmp(op->row->header, "x-amz-copy-source") == 0;
}

static bool goes_on_with_upload(const struct s3_op *op)
{
    return op->row->query && strcmp(op->row->query, "uploadId") == 0;
}

static struct str param_or_empty(const struct s3_request *req, const char *name)
{
    struct str value = s3_param_value(req, name);
    return !value.ptr && s3_has_param(req, name) ? STR("") : value;
}

struct s3_pairs s3_access_object_headers(struct s3_op *op)
{
    struct s3_pairs out = {.items = arena_array_of(op->arena, struct s3_pair, S3_ACCESS_OBJECT_HEADERS_MAX)};
    for (size_t i = 0; i < ARRAY_SIZE(from_client); i++) {
        struct str value = from_client[i].counts == OF_OBJECT ? s3_header(&op->req, from_client[i].header) : STR_EMPTY;
        if (!value.ptr)
            continue;
        CHECK(out.count < S3_ACCESS_OBJECT_HEADERS_MAX);
        out.items[out.count++] = (struct s3_pair){str_z(from_client[i].header), value};
    }
    return out;
}

/* What the upload's beginning asked for; nothing when there is no such upload, or the bucket does not open: the operation will tell. */
static const struct s3_upload *upload_of(struct s3_op *op)
{
    struct s3_upload u = {0};
    struct s3_error_detail detail = op->detail;
    const char *cause = op->error_cause;
    if (op->judged_upload)
        return op->judged_upload;
    struct s3_upload *kept = arena_new_of(op->arena, struct s3_upload);
    *kept = (struct s3_upload){0};
    if (op->bucket && s3_upload_open(op, s3_param_value(&op->req, "uploadId"), op->req.key, &u) == S3_OK)
        *kept = (struct s3_upload){.meta = u.meta, .asked = u.asked};
    s3_upload_close(&u);
    op->detail = detail;
    op->error_cause = cause;
    return op->judged_upload = kept;
}

static struct str header_of(struct s3_op *op, const char *name, enum counts counts)
{
    if (counts == OF_COPY && !is_copy(op))
        return STR_EMPTY;
    if (counts != OF_OBJECT || !goes_on_with_upload(op))
        return s3_header(&op->req, name);
    const struct s3_pairs *asked = &upload_of(op)->asked;
    for (size_t i = 0; i < asked->count; i++)
        if (str_is(asked->items[i].name, name))
            return asked->items[i].value;
    return STR_EMPTY;
}

static bool answer_from_client(struct s3_access_question *q, struct str key, struct auth_context_value *out)
{
    const struct s3_request *req = &q->op->req;
    for (size_t i = 0; i < ARRAY_SIZE(from_client); i++) {
        if (!str_eq_nocase(key, str_z(from_client[i].key)))
            continue;
        struct str value = STR_EMPTY;
        if (from_client[i].header)
            value = header_of(q->op, from_client[i].header, from_client[i].counts);
        else if (is_listing(q->op))
            value = param_or_empty(req, from_client[i].param);
        set(q->op, out, value);
        return true;
    }
    return false;
}

/* What the question itself says instead of the request. */
static bool answer_from_question(struct s3_access_question *q, struct str key, struct auth_context_value *out)
{
    const struct s3_access *a = q->access;
    if (str_eq_nocase(key, STR("s3:VersionId")))
        set(q->op, out, a->version_id);
    else if (a->listed.ptr && str_eq_nocase(key, STR("s3:prefix")))
        set(q->op, out, a->listed);
    else if (a->is_in_body && str_eq_nocase(key, STR("s3:if-match")))
        set(q->op, out, a->if_match);
    else
        return false;
    return true;
}

/* Who, how, when */

static struct str now_text(struct s3_op *op)
{
    char text[CLOCK_TEXT_MAX];
    return arena_dup(op->arena, clock_format_iso8601_ms(clock_wall_ns(), text));
}

static struct str issue_time(struct s3_op *op)
{
    char text[CLOCK_TEXT_MAX];
    const struct auth_session *session = op->auth.session;
    if (!session || session->issued_s == 0)
        return STR_EMPTY;
    return arena_dup(op->arena, clock_format_iso8601_ms(session->issued_s * 1000000000, text));
}

/* "1.3" */
static struct str tls_version(const struct s3_op *op)
{
    static const struct str word = STR_INIT("TLSv");
    struct str name = op->in.tls ? str_z(op->in.tls) : STR_EMPTY;
    return str_starts(name, word) ? str_from(name, word.len) : STR_EMPTY;
}

static struct str auth_type(const struct s3_op *op)
{
    switch (op->auth.scheme) {
    case AUTH_ANONYMOUS:
        break;
    case AUTH_SIGV4_HEADER:
        return STR("REST-HEADER");
    case AUTH_SIGV4_QUERY:
    case AUTH_SIGV2_QUERY:
        return STR("REST-QUERY-STRING");
    case AUTH_SIGV4_FORM:
    case AUTH_SIGV2_FORM:
        return STR("POST");
    }
    return STR_EMPTY;
}

static struct str signature_version(const struct s3_op *op)
{
    if (op->auth.scheme == AUTH_ANONYMOUS)
        return STR_EMPTY;
    bool is_v2 = op->auth.scheme == AUTH_SIGV2_QUERY || op->auth.scheme == AUTH_SIGV2_FORM;
    return is_v2 ? STR("AWS") : STR("AWS4-HMAC-SHA256");
}

/* Milliseconds. Only SigV4 says when; "in Signature Version 2, this value is always set to 0". */
static struct str signature_age(struct s3_op *op)
{
    bool is_v4 = op->auth.scheme == AUTH_SIGV4_HEADER || op->auth.scheme == AUTH_SIGV4_QUERY ||
                 op->auth.scheme == AUTH_SIGV4_FORM;
    if (!is_v4)
        return op->auth.scheme == AUTH_ANONYMOUS ? STR_EMPTY : STR("0");
    return arena_printf(op->arena, "%lld", (long long)(clock_wall_s() - op->auth.signed_at_s) * 1000);
}

/* For writes S3 has no other value. One that names an ETag keeps nothing from being overwritten, so that it must not pass where a policy
 * wants writes that do ("Enforce conditional writes on Amazon S3 buckets": the key must not be null). */
static struct str create_only(const struct s3_op *op)
{
    struct str value = s3_header(&op->req, "if-none-match");
    return str_is(value, "*") ? value : STR_EMPTY;
}

/* What the signature covers of the body: that of a presigned URL seldom anything, with or without a word of it; that of a form never,
 * whatever a field of that name says. */
static struct str payload_hash(const struct s3_op *op)
{
    struct str said = s3_header(&op->req, "x-amz-content-sha256");
    if (op->row->flags & S3_OP_FORM)
        return op->auth.scheme == AUTH_SIGV4_FORM ? STR("UNSIGNED-PAYLOAD") : STR_EMPTY;
    if (said.ptr || op->auth.scheme != AUTH_SIGV4_QUERY)
        return said;
    said = s3_param_value(&op->req, "X-Amz-Content-Sha256");
    return said.ptr ? said : STR("UNSIGNED-PAYLOAD");
}

static struct str userid(struct s3_op *op)
{
    const struct auth_session *session = op->auth.session;
    if (!op->auth.user)
        return STR_EMPTY;
    return s3_access_userid(op->arena, op->auth.user, session ? session->role : STR_EMPTY, session ? session->name : STR_EMPTY);
}

static struct str known_to_gateway(struct s3_op *op, struct str key)
{
    const struct auth_user *user = op->auth.user;
    bool is_role = op->auth.session && op->auth.session->role.len > 0;
    const struct {
        const char *key;
        struct str value;
    } rows[] = {
        {"aws:PrincipalAccount", user ? STR(S3_ACCOUNT_ID) : STR_EMPTY},
        {"aws:PrincipalIsAWSService", STR("false")},
        {"aws:PrincipalType", user ? is_role ? STR("AssumedRole") : STR("User") : STR("Anonymous")},
        {"aws:RequestedRegion", op->service->region},
        {"aws:ResourceAccount", STR(S3_ACCOUNT_ID)},
        {"aws:SecureTransport", op->in.tls ? STR("true") : STR("false")},
        {"aws:SourceIp", op->in.peer_address}, /* IPv4 as IPv6 on dual-stack sockets: the policy's reader knows both */
        {"aws:ViaAWSService", STR("false")},
        {"aws:username", user && !is_role ? user->name : STR_EMPTY}, /* roles have none */
        {"s3:ResourceAccount", STR(S3_ACCOUNT_ID)},
        {"s3:TlsVersion", tls_version(op)},
        {"s3:authType", auth_type(op)},
        {"s3:if-none-match", create_only(op)},
        {"s3:locationconstraint", op->location},
        {"s3:signatureversion", signature_version(op)},
        {"s3:x-amz-content-sha256", payload_hash(op)},
        {"sluice:UserId", user ? user->id : STR_EMPTY},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (str_eq_nocase(key, str_z(rows[i].key)))
            return rows[i].value;
    if (str_eq_nocase(key, STR("aws:PrincipalArn")))
        return s3_access_principal(op);
    if (str_eq_nocase(key, STR("aws:userid")))
        return userid(op);
    if (str_eq_nocase(key, STR("aws:CurrentTime")))
        return now_text(op);
    if (str_eq_nocase(key, STR("aws:EpochTime")))
        return arena_printf(op->arena, "%lld", (long long)clock_wall_s());
    if (str_eq_nocase(key, STR("aws:TokenIssueTime")))
        return issue_time(op);
    if (str_eq_nocase(key, STR("s3:signatureAge")))
        return signature_age(op);
    return STR_EMPTY;
}

/* "bucket/key" in one spelling, whatever the header's (SEC-20). */
static struct str copy_source(struct s3_op *op)
{
    struct s3_copy_name name;
    const char *reason;
    struct str header = header_of(op, "x-amz-copy-source", OF_COPY);
    if (!header.ptr || s3_copy_name_parse(header, op->arena, &name, &reason) != S3_OK)
        return STR_EMPTY;
    return arena_printf(op->arena, "%.*s/%.*s", STR_ARG(name.bucket), STR_ARG(name.key));
}

/* Does the operation make an object appear? Parts and the beginning of an upload do not ("Enforce conditional writes"); a new name
 * does. */
static struct str creates_object(const struct s3_op *op)
{
    static const char *const creating[] = {"PutObject", "CopyObject", "PostObject", "CompleteMultipartUpload", "RenameObject"};
    for (size_t i = 0; i < ARRAY_SIZE(creating); i++)
        if (strcmp(op->row->name, creating[i]) == 0)
            return STR("true");
    return STR("false");
}

static struct str bucket_owner(struct s3_access_question *q)
{
    struct s3_bucket_record record;
    struct s3_error_detail detail = q->op->detail;
    enum s3_error error = s3_bucket_record(q->op, q->access->bucket, &record);
    q->op->detail = detail;
    bool is_to_be = error == S3_NO_SUCH_BUCKET && q->op->row->flags & S3_OP_NO_BUCKET && q->op->auth.user;
    if (is_to_be)
        return q->op->auth.user->id; /* a bucket is its maker's */
    return error == S3_OK ? record.owner_id : STR_EMPTY;
}

/* Tags */

/* What is found wrong here is told where the operation looks again; it then must find these tags (s3_owned_is_as_judged). */
static const struct s3_pairs *look_at_tags(struct s3_op *op, const struct s3_access *a)
{
    struct s3_object o = {0};
    struct s3_error_detail detail = op->detail;
    const char *cause = op->error_cause;
    struct s3_pairs *tags = arena_new_of(op->arena, struct s3_pairs);
    *tags = (struct s3_pairs){0};
    if (s3_object_open(op, a->dir, a->key, &o) == S3_OK)
        *tags = o.meta.tags;
    s3_object_close(&o);
    op->detail = detail;
    op->error_cause = cause;
    return tags;
}

static const struct s3_pairs *existing_tags(struct s3_access_question *q)
{
    static const struct s3_pairs none = {0};
    const struct s3_access *a = q->access;
    struct s3_judged_tags *j = &q->op->judged_tags;
    bool is_known = j->tags && j->bucket == a->dir && str_eq(j->bucket_name, a->bucket) && str_eq(j->key, a->key);
    if (!a->dir || a->key.len == 0)
        return &none;
    if (!is_known)
        *j = (struct s3_judged_tags){a->dir, a->bucket, a->key, look_at_tags(q->op, a)};
    return j->tags;
}

/* Is the header what the object will have? A copy keeps its source's tags unless it is to replace them, a new name its own. */
static bool takes_tags_of_header(const struct s3_op *op)
{
    if (strcmp(op->row->name, "CopyObject") == 0)
        return str_is(s3_header(&op->req, "x-amz-tagging-directive"), "REPLACE");
    return strcmp(op->row->name, "RenameObject") != 0;
}

static struct s3_pairs request_tags(struct s3_op *op)
{
    struct s3_pairs tags = {0};
    struct str header = s3_header(&op->req, "x-amz-tagging");
    struct s3_error_detail detail = op->detail;
    if (op->request_tags)
        return *op->request_tags;
    if (goes_on_with_upload(op))
        return upload_of(op)->meta.tags;
    if (header.ptr && takes_tags_of_header(op) && s3_tags_parse_query(op, header, LIMIT_TAGS_PER_OBJECT, &tags) != S3_OK)
        tags = (struct s3_pairs){0};
    op->detail = detail;
    return tags;
}

/* Tags' names are exact. */
static struct str tag_value(const struct s3_pairs *tags, struct str name)
{
    for (size_t i = 0; i < tags->count; i++)
        if (str_eq(tags->items[i].name, name))
            return tags->items[i].value.ptr ? tags->items[i].value : STR("");
    return STR_EMPTY;
}

/* The tag's name, of a key that asks for one tag of the request's; ptr NULL: another key. A bucket's have AWS's names of tags
 * of any resource. */
static struct str requested_tag(struct str key)
{
    static const struct str object = STR_INIT("s3:RequestObjectTag/"), bucket = STR_INIT("aws:RequestTag/");
    if (str_starts_nocase(key, object))
        return str_from(key, object.len);
    return str_starts_nocase(key, bucket) ? str_from(key, bucket.len) : STR_EMPTY;
}

static bool answer_tags(struct s3_access_question *q, struct str key, struct auth_context_value *out)
{
    static const struct str existing = STR_INIT("s3:ExistingObjectTag/");
    if (str_starts_nocase(key, existing)) {
        set(q->op, out, tag_value(existing_tags(q), str_from(key, existing.len)));
        return true;
    }
    struct str asked = requested_tag(key);
    bool is_names = str_eq_nocase(key, STR("s3:RequestObjectTagKeys")) || str_eq_nocase(key, STR("aws:TagKeys"));
    if (!is_names && !asked.ptr)
        return false;
    struct s3_pairs tags = request_tags(q->op);
    if (!is_names) {
        set(q->op, out, tag_value(&tags, asked));
        return true;
    }
    struct str *names = arena_array_of(q->op->arena, struct str, tags.count + 1);
    for (size_t i = 0; i < tags.count; i++)
        names[i] = tags.items[i].name;
    out->values = names;
    out->count = tags.count;
    return true;
}

void s3_access_context(void *data, struct str key, struct auth_context_value *out)
{
    struct s3_access_question *q = data;
    *out = (struct auth_context_value){.key = key};
    if (answer_tags(q, key, out) || answer_from_question(q, key, out) || answer_from_client(q, key, out))
        return;
    if (str_eq_nocase(key, STR("s3:x-amz-copy-source")))
        set(q->op, out, copy_source(q->op));
    else if (str_eq_nocase(key, STR("s3:ObjectCreationOperation")))
        set(q->op, out, creates_object(q->op));
    else if (str_eq_nocase(key, STR("sluice:BucketOwner")))
        set(q->op, out, bucket_owner(q));
    else
        set(q->op, out, known_to_gateway(q->op, key));
}
