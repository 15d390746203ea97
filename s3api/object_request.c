/* What the headers of a request that makes an object say of it. */
#include "s3api/object.h"

#include "base/limits.h"
#include "s3api/body.h"
#include "s3api/ownership.h"

#define META_PREFIX "x-amz-meta-"

/* Classes whose objects can be read at once. They are kept and shown, though all bytes lie on the one volume there is; the
 * archive classes are refused, since clients do not read such an object before they have restored it. */
static const char *const storage_classes[] = {"STANDARD",    "REDUCED_REDUNDANCY",  "STANDARD_IA",
                                              "ONEZONE_IA",  "INTELLIGENT_TIERING", "GLACIER_IR",
                                              "EXPRESS_ONEZONE"};

static enum s3_error storage_class_of(struct s3_op *op, struct str *out)
{
    struct str name = s3_header(&op->req, "x-amz-storage-class");
    if (!name.ptr || str_is(name, "STANDARD"))
        return S3_OK;
    for (size_t i = 0; i < ARRAY_SIZE(storage_classes); i++)
        if (str_is(name, storage_classes[i])) {
            *out = name;
            return S3_OK;
        }
    return S3_INVALID_STORAGE_CLASS;
}

/* Repeated headers of one name are one value, joined by commas (RFC 9110 §5.3). */
static void add_pair(struct s3_pairs *pairs, struct str name, struct str value, struct arena *arena)
{
    char *lower = arena_dupz(arena, name);
    for (size_t i = 0; i < name.len; i++)
        if (lower[i] >= 'A' && lower[i] <= 'Z')
            lower[i] = (char)(lower[i] - 'A' + 'a');
    name.ptr = lower;
    for (size_t i = 0; i < pairs->count; i++)
        if (str_eq(pairs->items[i].name, name)) {
            struct str *had = &pairs->items[i].value;
            *had = arena_printf(arena, "%.*s,%.*s", STR_ARG(*had), STR_ARG(value));
            return;
        }
    pairs->items[pairs->count++] = (struct s3_pair){name, value};
}

static enum s3_error user_metadata_of(struct s3_op *op, struct s3_pairs *out)
{
    const struct http_head *head = op->req.head;
    struct s3_pairs pairs = {.items = arena_array_of(op->arena, struct s3_pair, head->header_count + 1)};
    for (size_t i = 0; i < head->header_count; i++) {
        const struct http_header *h = &head->headers[i];
        if (str_starts_nocase(h->name, STR(META_PREFIX)))
            add_pair(&pairs, str_from(h->name, sizeof(META_PREFIX) - 1), h->value, op->arena);
    }
    size_t size = 0;
    for (size_t i = 0; i < pairs.count; i++)
        size += pairs.items[i].name.len + pairs.items[i].value.len;
    if (size > LIMIT_USER_METADATA_BYTES)
        return S3_METADATA_TOO_LARGE;
    *out = pairs;
    return S3_OK;
}

static enum s3_error redirect_of(struct s3_op *op, struct str *out)
{
    struct str to = s3_header(&op->req, "x-amz-website-redirect-location");
    bool legal = str_starts(to, STR("/")) || str_starts(to, STR("http://")) || str_starts(to, STR("https://"));
    if (to.ptr && !legal)
        return s3_fail(op, S3_INVALID_REQUEST,
                       "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.");
    *out = to;
    return S3_OK;
}

enum s3_error s3_object_meta_from_request(struct s3_op *op, struct s3_objmeta *out)
{
    const struct s3_request *r = &op->req;
    struct s3_objmeta m = {
        .content_type = s3_header(r, "content-type"),
        .cache_control = s3_header(r, "cache-control"),
        .content_disposition = s3_header(r, "content-disposition"),
        .content_encoding = s3_stored_content_encoding(op),
        .content_language = s3_header(r, "content-language"),
        .expires = s3_header(r, "expires"),
    };
    if (m.content_type.len == 0)
        m.content_type = STR_EMPTY;
    enum s3_error e = user_metadata_of(op, &m.user);
    struct str tagging = s3_header(r, "x-amz-tagging");
    if (e == S3_OK && tagging.len > 0)
        e = s3_tags_parse_query(op, tagging, LIMIT_TAGS_PER_OBJECT, &m.tags);
    if (e == S3_OK)
        e = storage_class_of(op, &m.storage_class);
    if (e == S3_OK)
        e = redirect_of(op, &m.website_redirect);
    if (e == S3_OK)
        e = s3_owned_new_object(op, &m);
    if (e == S3_OK)
        *out = m;
    return e;
}

/* Refusals ------------------------------------------------------------------------------------------------------- */

/* A promise that is not kept is worse than one that is not made: nothing of this is ignored. */
enum s3_error s3_object_check_unsupported(struct s3_op *op)
{
    static const char *const absent[] = {
        "x-amz-server-side-encryption",
        "x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-server-side-encryption-context",
        "x-amz-server-side-encryption-customer-algorithm",
        "x-amz-server-side-encryption-customer-key",
        "x-amz-server-side-encryption-customer-key-md5",
        "x-amz-copy-source-server-side-encryption-customer-algorithm",
        "x-amz-copy-source-server-side-encryption-customer-key",
        "x-amz-write-offset-bytes",
    };
    for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
        if (s3_header(&op->req, absent[i]).ptr) {
            op->detail.header = str_z(absent[i]);
            return S3_NOT_IMPLEMENTED;
        }
    static const char *const locks[] = {"x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date",
                                        "x-amz-object-lock-legal-hold"};
    for (size_t i = 0; i < ARRAY_SIZE(locks); i++)
        if (s3_header(&op->req, locks[i]).ptr)
            return s3_fail(op, S3_INVALID_REQUEST, "Bucket is missing Object Lock Configuration");
    return S3_OK;
}

/* Conditions ----------------------------------------------------------------------------------------------------- */

static struct str condition(const struct s3_request *r, const char *prefix, const char *name)
{
    char header[64];
    struct buf b = buf_over(header, sizeof(header));
    buf_addz(&b, prefix);
    buf_addz(&b, name);
    return b.failed ? STR_EMPTY : s3_header(r, header);
}

void s3_conditions_from_request(const struct s3_request *r, const char *prefix, struct s3_conditions *out)
{
    *out = (struct s3_conditions){
        .if_match = condition(r, prefix, "if-match"),
        .if_none_match = condition(r, prefix, "if-none-match"),
        .if_modified_since = condition(r, prefix, "if-modified-since"),
        .if_unmodified_since = condition(r, prefix, "if-unmodified-since"),
    };
}

enum s3_error s3_fail_condition(struct s3_op *op, enum s3_error e, const char *prefix, const struct s3_conditions *c,
                                struct str etag)
{
    if (e == S3_PRECONDITION_FAILED)
        op->detail.condition = arena_printf(op->arena, "%s%s", prefix, s3_condition_name(c, etag));
    return e;
}
