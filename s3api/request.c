#include "s3api/request.h"

#include "auth/query.h"
#include "base/encode.h"

/* The bucket comes from the Host header, which is signed, also when the target is in absolute form: that form's
 * authority is not, so that it may not choose the bucket. */

static bool decode(struct str raw, struct arena *arena, struct str *out)
{
    struct buf decoded = buf_over(arena_alloc(arena, raw.len + 1), raw.len + 1);
    if (!uri_decode(raw, false, &decoded))
        return false;
    *out = buf_str(&decoded);
    return true;
}

/* "/path" of "http://host:port/path". */
static struct str without_authority(struct str path)
{
    ptrdiff_t colon = str_find(path, STR("://"));
    bool is_absolute = str_starts_nocase(path, STR("http://")) || str_starts_nocase(path, STR("https://"));
    if (!is_absolute)
        return path;
    struct str rest = str_from(path, (size_t)colon + 3);
    ptrdiff_t slash = str_find_char(rest, '/');
    return slash < 0 ? STR("/") : str_from(rest, (size_t)slash);
}

/* Host without its port; an IPv6 address keeps its brackets. */
static struct str host_name(struct str host)
{
    ptrdiff_t colon = str_rfind_char(host, ':');
    ptrdiff_t bracket = str_rfind_char(host, ']');
    return colon > bracket ? str_first(host, (size_t)colon) : host;
}

static struct str lower(struct str s, struct arena *arena)
{
    char *out = arena_dupz(arena, s);
    for (size_t i = 0; i < s.len; i++)
        if (out[i] >= 'A' && out[i] <= 'Z')
            out[i] = (char)(out[i] - 'A' + 'a');
    return str_of(out, s.len);
}

/* "bucket" of "bucket.domain:port", else empty. */
static struct str bucket_of_host(struct str host, struct str domain, struct arena *arena)
{
    struct str name = lower(host_name(host), arena);
    if (domain.len == 0 || name.len <= domain.len + 1)
        return STR_EMPTY;
    struct str tail = str_from(name, name.len - domain.len);
    struct str bucket = str_first(name, name.len - domain.len - 1);
    bool is_below = name.ptr[bucket.len] == '.' && str_eq_nocase(tail, domain);
    return is_below ? bucket : STR_EMPTY;
}

/* Splitting comes before decoding: an encoded slash in the first segment is part of a (then invalid) bucket name. */
static bool split_path(struct s3_request *r, struct str path, struct arena *arena)
{
    struct str rest = str_from(path, 1);
    if (r->virtual_host)
        return decode(rest, arena, &r->key);
    ptrdiff_t slash = str_find_char(rest, '/');
    if (slash < 0)
        return decode(rest, arena, &r->bucket);
    if (slash == 0)
        return false;
    return decode(str_first(rest, (size_t)slash), arena, &r->bucket) &&
           decode(str_from(rest, (size_t)slash + 1), arena, &r->key);
}

static bool parse_params(struct s3_request *r, struct str query, struct arena *arena)
{
    struct auth_query parsed;
    if (!auth_query_parse(query, arena, &parsed))
        return false;
    struct s3_param *params = arena_array_of(arena, struct s3_param, parsed.count);
    for (size_t i = 0; i < parsed.count; i++)
        params[i] = (struct s3_param){.name = parsed.params[i].name, .value = parsed.params[i].value};
    r->params = params;
    r->param_count = parsed.count;
    return true;
}

/* Parameters of a presigned URL that are headers in all but place. Those of the signature itself stay what they are. */
static bool is_moved_header(const struct s3_request *r, const struct s3_param *p)
{
    static const char *const signature[] = {"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires",
                                            "x-amz-signedheaders", "x-amz-signature", "x-amz-security-token",
                                            "x-amz-content-sha256"};
    bool is_plain = str_eq_nocase(p->name, STR("content-type")) || str_eq_nocase(p->name, STR("content-md5"));
    if (!is_plain && !str_starts_nocase(p->name, STR("x-amz-")))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(signature); i++)
        if (str_eq_nocase(p->name, str_z(signature[i])))
            return false;
    for (size_t i = 0; i < r->head->header_count; i++)
        if (str_eq_nocase(r->head->headers[i].name, p->name))
            return false;
    return true;
}

/* SDKs move what they would send as headers into the URLs that they presign (JS: x-amz-*; botocore with SigV2 the type and the
 * MD5, too), where the signature covers them; they mean the same there. What the request has as a header, the header says. False
 * when there is no room for one: whoever was given the URL could else drop what its signer wants, a checksum or tags, by headers
 * of his own. */
static bool take_moved_headers(struct s3_request *r, struct arena *arena)
{
    struct http_head *head = NULL;
    if (!s3_has_param(r, "X-Amz-Signature") && !s3_has_param(r, "Signature"))
        return true;
    for (size_t i = 0; i < r->param_count; i++) {
        if (!is_moved_header(r, &r->params[i]))
            continue;
        if (r->head->header_count == LIMIT_HEADER_COUNT)
            return false;
        if (!head) {
            head = arena_new_of(arena, struct http_head);
            *head = *r->head;
            r->head = head;
        }
        head->headers[head->header_count++] = (struct http_header){r->params[i].name, str_trim(r->params[i].value)};
    }
    return true;
}

/* "/bucket/key", "/bucket" or "/". */
static struct str resource_of(const struct s3_request *r, struct arena *arena)
{
    size_t size = r->bucket.len + r->key.len + 3;
    struct buf text = buf_over(arena_alloc(arena, size), size);
    buf_addc(&text, '/');
    buf_add(&text, r->bucket);
    if (r->key.len > 0) {
        buf_addc(&text, '/');
        buf_add(&text, r->key);
    }
    return buf_str(&text);
}

enum s3_error s3_request_parse(struct s3_request *r, const struct http_head *head, struct str domain,
                               struct arena *arena)
{
    *r = (struct s3_request){.head = head};
    struct str path;
    struct str query;
    http_split_target(head->target, &path, &query);
    path = without_authority(path);
    r->resource = path;
    if (path.len == 0 || path.ptr[0] != '/')
        return S3_INVALID_URI;
    r->bucket = bucket_of_host(http_get(head, "host"), domain, arena);
    r->virtual_host = r->bucket.len > 0;
    if (!split_path(r, path, arena) || !parse_params(r, query, arena) || !take_moved_headers(r, arena))
        return S3_INVALID_URI;
    r->resource = resource_of(r, arena);
    return S3_OK;
}

const struct s3_param *s3_param(const struct s3_request *r, const char *name)
{
    for (size_t i = 0; i < r->param_count; i++)
        if (str_is(r->params[i].name, name))
            return &r->params[i];
    return NULL;
}

struct str s3_param_value(const struct s3_request *r, const char *name)
{
    const struct s3_param *param = s3_param(r, name);
    return param ? param->value : STR_EMPTY;
}

bool s3_has_param(const struct s3_request *r, const char *name)
{
    return s3_param(r, name) != NULL;
}

struct str s3_header(const struct s3_request *r, const char *name)
{
    return http_get(r->head, name);
}
