/* Presigned URLs of signature version 2, which boto3 and the aws cli still make by default for an endpoint of one's
 * own: ?AWSAccessKeyId=…&Expires=…&Signature=base64(HMAC-SHA1(secret, string to sign)).
 *
 *   string to sign = method \n Content-MD5 \n Content-Type \n Expires \n amz-headers resource
 *
 * Sources: "Signing and authenticating REST requests (AWS signature version 2)", Amazon S3 user guide; botocore.auth,
 * HmacV1QueryAuth. Two habits of botocore are followed where the guide is silent: it moves x-amz-*, Content-Type and
 * Content-MD5 from headers into parameters after having signed them as headers; and values of sub-resources are signed
 * decoded, the path as it is on the wire.
 *
 * Version 2 covers only a list of parameters. One that could choose another operation must not be added to somebody's
 * URL, so every parameter is either covered, or known to be harmless, or a reason to refuse. */
#include "auth/verify_internal.h"

#include "base/check.h"
#include "base/digest.h"
#include "base/encode.h"
#include "base/limits.h"

#define HMAC_SHA1_SIZE 20
#define SIGNATURE_SIZE BASE64_LEN(HMAC_SHA1_SIZE)

/* botocore's list, the one that clients in the field have. */
static const char *const covered_params[] = {
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "defaultObjectAcl",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "select",
    "select-type",
    "storageClass",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
};

/* Of the signature itself; of listings, which they only narrow; and the label that SDKs add. */
static const char *const harmless_params[] = {
    "AWSAccessKeyId",
    "Expires",
    "Signature",
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "key-marker",
    "list-type",
    "marker",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "prefix",
    "start-after",
    "upload-id-marker",
    "version-id-marker",
    "x-id",
};

static bool is_in(struct str name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_is(name, names[i]))
            return true;
    }
    return false;
}

static bool is_covered(struct str name)
{
    return is_in(name, covered_params, ARRAY_SIZE(covered_params));
}

static bool is_amz(struct str name)
{
    return str_starts_nocase(name, STR("x-amz-"));
}

/* Headers that botocore moves into the query. */
static bool is_moved_header(struct str name)
{
    return is_amz(name) || str_is(name, "content-type") || str_is(name, "content-md5");
}

static enum auth_error check_parameters(struct auth_attempt *t)
{
    if (auth_query_count(&t->query, "AWSAccessKeyId") != 1 || auth_query_count(&t->query, "Expires") != 1 ||
        auth_query_count(&t->query, "Signature") != 1) {
        return auth_refuse(t, AUTH_QUERY_MALFORMED,
                           STR("Query-string authentication requires the Signature, Expires "
                               "and AWSAccessKeyId parameters"));
    }
    for (size_t i = 0; i < t->query.count; i++) {
        struct str name = t->query.params[i].name;
        if (is_covered(name) || is_moved_header(name) || is_in(name, harmless_params, ARRAY_SIZE(harmless_params)))
            continue;
        return auth_refuse(t, AUTH_QUERY_MALFORMED,
                           arena_printf(t->arena,
                                        "The parameter \"%.*s\" is not covered by signature version 2; use "
                                        "signature version 4",
                                        STR_ARG(name)));
    }
    return AUTH_OK;
}

static int compare_names(const struct auth_param *a, const struct auth_param *b)
{
    return str_cmp(a->name, b->name);
}

/* Canonical headers: "name:value\n" of every x-amz-* header, sorted, values of one name joined by ','. One that came
 * only as a parameter counts as if it had come as a header. */

static struct str lower(struct str s, struct arena *arena)
{
    struct buf b = buf_over(arena_alloc(arena, s.len + 1), s.len + 1);
    buf_add_lower(&b, s);
    return buf_str(&b);
}

static bool has_header(const struct http_head *head, struct str name)
{
    for (size_t i = 0; i < head->header_count; i++) {
        if (str_eq_nocase(head->headers[i].name, name))
            return true;
    }
    return false;
}

static size_t collect_amz_headers(const struct auth_attempt *t, struct auth_param *out)
{
    size_t count = 0;
    for (size_t i = 0; i < t->head->header_count; i++) {
        const struct http_header *h = &t->head->headers[i];
        if (is_amz(h->name))
            out[count++] = (struct auth_param){lower(h->name, t->arena), str_trim(h->value)};
    }
    for (size_t i = 0; i < t->query.count; i++) {
        const struct auth_param *p = &t->query.params[i];
        if (is_amz(p->name) && !has_header(t->head, p->name))
            out[count++] = (struct auth_param){lower(p->name, t->arena), str_trim(p->value)};
    }
    auth_params_sort(out, count, compare_names);
    return count;
}

static void add_amz_headers(const struct auth_attempt *t, struct buf *out)
{
    struct auth_param *headers = arena_array_of(t->arena, struct auth_param, t->head->header_count + t->query.count);
    size_t count = collect_amz_headers(t, headers);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && str_eq(headers[i].name, headers[i - 1].name)) {
            buf_addc(out, ',');
        } else {
            buf_addz(out, i > 0 ? "\n" : "");
            buf_add(out, headers[i].name);
            buf_addc(out, ':');
        }
        buf_add(out, headers[i].value);
    }
    buf_addz(out, count > 0 ? "\n" : "");
}

/* Canonical resource: "/bucket/key" as on the wire, in whichever style the bucket was named, and the covered
 * parameters. */

/* The bucket of a virtual host: what stands before ".DOMAIN"; empty for path style. */
static struct str host_bucket(const struct auth_attempt *t)
{
    struct str host = http_get(t->head, "host"), domain = t->rules->expected_host_suffix;
    ptrdiff_t colon = str_rfind_char(host, ':');
    if (colon >= 0 && str_find_char(str_from(host, (size_t)colon), ']') < 0)
        host = str_first(host, (size_t)colon);
    if (domain.len == 0 || host.len <= domain.len + 1)
        return STR_EMPTY;
    size_t bucket_size = host.len - domain.len - 1;
    if (host.ptr[bucket_size] != '.' || !str_eq_nocase(str_from(host, bucket_size + 1), domain))
        return STR_EMPTY;
    return lower(str_first(host, bucket_size), t->arena);
}

/* "/bucket" in path style, which botocore signs as "/bucket/" though it sends it without the slash; older ones and
 * other clients sign what they send. Both name the same bucket, so either is good. */
static bool may_add_slash(const struct auth_attempt *t)
{
    return host_bucket(t).len == 0 && t->raw_path.len > 1 && str_rfind_char(t->raw_path, '/') == 0;
}

/* A parameter without a value and one with an empty value are both signed as the name alone. */
static void add_resource(const struct auth_attempt *t, bool add_slash, struct buf *out)
{
    struct str bucket = host_bucket(t);
    if (bucket.len > 0) {
        buf_addc(out, '/');
        buf_add(out, bucket);
    }
    buf_add(out, t->raw_path.len > 0 ? t->raw_path : STR("/"));
    buf_addz(out, add_slash ? "/" : "");

    struct auth_param *covered = arena_array_of(t->arena, struct auth_param, t->query.count);
    size_t count = 0;
    for (size_t i = 0; i < t->query.count; i++) {
        if (is_covered(t->query.params[i].name))
            covered[count++] = t->query.params[i];
    }
    auth_params_sort(covered, count, compare_names);
    for (size_t i = 0; i < count; i++) {
        buf_addc(out, i > 0 ? '&' : '?');
        buf_add(out, covered[i].name);
        if (covered[i].value.len > 0) {
            buf_addc(out, '=');
            buf_add(out, covered[i].value);
        }
    }
}

/* The header, or the parameter it was moved to. */
static struct str standard_header(const struct auth_attempt *t, const char *name)
{
    struct str value = http_get(t->head, name);
    return value.ptr ? value : auth_query_get(&t->query, name);
}

static size_t string_size_max(const struct auth_attempt *t)
{
    size_t size = t->head->method.len + t->raw_path.len + http_get(t->head, "host").len + 16;
    for (size_t i = 0; i < t->head->header_count; i++)
        size += t->head->headers[i].name.len + t->head->headers[i].value.len + 2;
    /* A parameter may be a header that was moved, or part of the resource; Expires is one, too. */
    for (size_t i = 0; i < t->query.count; i++)
        size += t->query.params[i].name.len + t->query.params[i].value.len + 2;
    return size;
}

static struct str string_to_sign(const struct auth_attempt *t, bool add_slash)
{
    size_t size = string_size_max(t);
    struct buf b = buf_over(arena_alloc(t->arena, size), size);
    buf_add(&b, t->head->method);
    buf_addc(&b, '\n');
    buf_add(&b, str_trim(standard_header(t, "content-md5")));
    buf_addc(&b, '\n');
    buf_add(&b, str_trim(standard_header(t, "content-type")));
    buf_addc(&b, '\n');
    buf_add(&b, auth_query_get(&t->query, "Expires"));
    buf_addc(&b, '\n');
    add_amz_headers(t, &b);
    add_resource(t, add_slash, &b);
    CHECK(!b.failed);
    return buf_str(&b);
}

static bool is_signed(const struct auth_attempt *t, const struct auth_key *key, struct str text)
{
    uint8_t mac[HMAC_SHA1_SIZE];
    char expected[SIGNATURE_SIZE];
    hmac_sha1(key->secret, text, mac);
    base64_encode(mac, sizeof(mac), expected);
    return str_eq_secret(str_of(expected, sizeof(expected)), auth_query_get(&t->query, "Signature"));
}

static enum auth_error check_signature(struct auth_attempt *t, const struct auth_key *key)
{
    struct str text = string_to_sign(t, false);
    if (is_signed(t, key, text) || (may_add_slash(t) && is_signed(t, key, string_to_sign(t, true))))
        return AUTH_OK;
    t->out->string_to_sign = text;
    t->out->signature_provided = auth_query_get(&t->query, "Signature");
    return AUTH_SIGNATURE_MISMATCH;
}

/* Version 2 has no limit to how far off Expires may be. */
static enum auth_error check_expires(struct auth_attempt *t)
{
    struct str text = auth_query_get(&t->query, "Expires");
    uint64_t expires_s;
    if (!str_parse_u64_max(text, INT64_MAX, &expires_s)) {
        return auth_refuse(t, AUTH_QUERY_MALFORMED,
                           arena_printf(t->arena, "Invalid date (should be seconds since epoch): %.*s", STR_ARG(text)));
    }
    t->out->expires_at_s = (int64_t)expires_s;
    if (t->now_s > t->out->expires_at_s)
        return auth_refuse(t, AUTH_EXPIRED, STR("Request has expired"));
    return AUTH_OK;
}

/* Both places are signed; ptr NULL: there is none. */
static struct str token(const struct auth_attempt *t)
{
    struct str header = http_get(t->head, "x-amz-security-token");
    for (size_t i = 0; i < t->query.count && !header.ptr; i++) {
        if (str_eq_nocase(t->query.params[i].name, STR("x-amz-security-token")))
            return t->query.params[i].value;
    }
    return header;
}

/* Chunk signatures are version 4's; the other framings need no seed. */
static enum auth_error check_payload(struct auth_attempt *t)
{
    struct str value = http_get(t->head, "x-amz-content-sha256");
    enum auth_error error = value.ptr ? auth_parse_payload(t, value) : AUTH_OK;
    if (error)
        return error;
    if (t->out->payload == AUTH_PAYLOAD_STREAM_SIGNED || t->out->payload == AUTH_PAYLOAD_STREAM_SIGNED_TRAILER)
        return auth_refuse(t, AUTH_PAYLOAD_HASH_INVALID, STR("Signature version 2 has no signed chunks."));
    return AUTH_OK;
}

enum auth_error sigv2_verify_query(struct auth_attempt *t)
{
    const struct auth_key *key;
    t->out->access_key = auth_query_get(&t->query, "AWSAccessKeyId");
    if (!t->rules->sigv2) {
        return auth_refuse(
            t, AUTH_SCHEME_UNSUPPORTED,
            STR("The authorization mechanism you have provided is not supported. Please use "
                "AWS4-HMAC-SHA256: use signature version 4 (boto3: Config(signature_version='s3v4'); aws "
                "cli: aws configure set default.s3.signature_version s3v4)."));
    }
    enum auth_error error = check_parameters(t);
    if (error)
        return error;
    error = auth_find_key(t, t->out->access_key, token(t), &key);
    if (error)
        return error;
    error = check_expires(t);
    if (error)
        return error;
    error = check_payload(t);
    if (error)
        return error;
    error = check_signature(t, key);
    if (error)
        return error;
    t->out->key = key;
    t->out->user = key->user;
    return AUTH_OK;
}
