#include "gateway/http_parse.h"

#include "base/check.h"

/* picohttpparser, as exported by libh2o 2.2.5; Debian ships no header of it. */
struct phr_header {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};
int phr_parse_request(const char *bytes, size_t len, const char **method, size_t *method_len, const char **path,
                      size_t *path_len, int *minor_version, struct phr_header *headers, size_t *header_count,
                      size_t last_len);

#define LIMIT_METHOD_BYTES 32

/* Characters */

static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           (c != '\0' && strchr("!#$%&'*+.^_`|~", c) != NULL);
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_token_char(s.ptr[i]))
            return false;
    }
    return s.len > 0;
}

/* No control bytes; a tab is white space. */
static bool is_clean_value(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* phr takes a lone LF for a line end; other readers may not, which is how requests are smuggled. */
static bool has_bare_line_end(const char *bytes, size_t len)
{
    const char *end = bytes + len;
    for (const char *p = bytes; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++) {
        if (p == bytes || p[-1] != '\r')
            return true;
    }
    return false;
}

/* Header by header */

/* reg-name, IPv4, [IPv6], with an optional port: what can stand in a Host header, without user info or path. */
static bool is_host(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
        if (!plain && (c == '\0' || strchr("_~:[]%", c) == NULL))
            return false;
    }
    return s.len > 0;
}

static enum gw_fault check_host(const struct http_head *h)
{
    size_t count = http_count(h, "host");
    if (count == 0)
        return h->minor_version == 0 ? GW_FAULT_NONE : GW_FAULT_HOST;
    return count == 1 && is_host(http_get(h, "host")) ? GW_FAULT_NONE : GW_FAULT_HOST;
}

/* Where the body ends must be said once and in one way (RFC 9112 §6.3; stricter than it, as we are an origin). */
static enum gw_fault parse_framing(struct gw_parsed *p)
{
    size_t lengths = http_count(&p->head, "content-length");
    size_t codings = http_count(&p->head, "transfer-encoding");
    p->content_length = -1;
    p->chunked = codings > 0;
    if (lengths > 0 && codings > 0)
        return GW_FAULT_FRAMING;
    if (codings > 0) {
        bool chunked = str_eq_nocase(http_get(&p->head, "transfer-encoding"), STR("chunked"));
        return codings == 1 && chunked && p->head.minor_version > 0 ? GW_FAULT_NONE : GW_FAULT_CODING;
    }
    if (lengths == 0)
        return GW_FAULT_NONE;
    uint64_t length;
    if (lengths > 1 || !str_parse_u64_max(http_get(&p->head, "content-length"), INT64_MAX, &length))
        return GW_FAULT_LENGTH;
    p->content_length = (int64_t)length;
    return GW_FAULT_NONE;
}

/* RFC 9110 §10.1.1: an HTTP/1.0 client cannot take an interim answer, its expectation is ignored. So is any other than
 * 100-continue, as S3 does. */
static void parse_expect(struct gw_parsed *p)
{
    p->expect_continue = p->head.minor_version > 0 && str_eq_nocase(http_get(&p->head, "expect"), STR("100-continue"));
}

static void parse_connection(struct gw_parsed *p)
{
    bool close = p->head.minor_version == 0;
    for (size_t i = 0; i < p->head.header_count; i++) {
        if (!str_eq_nocase(p->head.headers[i].name, STR("connection")))
            continue;
        struct str rest = p->head.headers[i].value, token;
        while (str_split(&rest, ',', &token)) {
            token = str_trim(token);
            if (str_eq_nocase(token, STR("close"))) {
                p->keep_alive = false;
                return;
            }
            if (str_eq_nocase(token, STR("keep-alive")))
                close = false;
        }
    }
    p->keep_alive = !close;
}

/* The request line */

/* "http://host/path" to "/path" (RFC 9112 §3.2.2), when host is the Host header's: then both say the same. */
static bool reduce_absolute_form(struct http_head *h)
{
    static const struct str schemes[] = {STR_INIT("http://"), STR_INIT("https://")};
    for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
        if (!str_starts_nocase(h->target, schemes[i]))
            continue;
        struct str rest = str_from(h->target, schemes[i].len);
        ptrdiff_t slash = str_find_char(rest, '/');
        if (slash < 0 || !str_eq_nocase(str_first(rest, (size_t)slash), http_get(h, "host")))
            return false;
        h->target = str_from(rest, (size_t)slash);
        return true;
    }
    return false;
}

static enum gw_fault check_request_line(struct http_head *h)
{
    if (h->method.len > LIMIT_METHOD_BYTES || !is_token(h->method))
        return GW_FAULT_METHOD;
    if (h->target.len > LIMIT_TARGET_BYTES)
        return GW_FAULT_TARGET_TOO_LONG;
    if (str_find_char(h->target, '#') >= 0)
        return GW_FAULT_TARGET;
    if (str_starts(h->target, STR("/")))
        return GW_FAULT_NONE;
    if (str_is(h->target, "*"))
        return str_is(h->method, "OPTIONS") ? GW_FAULT_NONE : GW_FAULT_TARGET;
    return reduce_absolute_form(h) ? GW_FAULT_NONE : GW_FAULT_TARGET;
}

static enum gw_fault check_headers(const struct http_head *h)
{
    for (size_t i = 0; i < h->header_count; i++) {
        if (h->headers[i].name.len == 0)
            return GW_FAULT_HEADER_FOLD;
        if (!is_token(h->headers[i].name) || !is_clean_value(h->headers[i].value))
            return GW_FAULT_SYNTAX;
    }
    return GW_FAULT_NONE;
}

/* phr says only "bad": the version is worth telling apart, for HTTP/2 with prior knowledge and the like. */
static enum gw_fault explain(const char *bytes, size_t len, size_t header_count)
{
    if (header_count == LIMIT_HEADER_COUNT)
        return GW_FAULT_HEAD_TOO_LARGE;
    const char *line_end = memchr(bytes, '\n', len);
    struct str line = str_trim(str_of(bytes, line_end ? (size_t)(line_end - bytes) : len));
    if (str_ends(line, STR("\r")))
        line.len--;
    ptrdiff_t blank = str_rfind_char(line, ' ');
    struct str version = blank < 0 ? STR_EMPTY : str_from(line, (size_t)blank + 1);
    if (str_starts(version, STR("HTTP/")) && !str_starts(version, STR("HTTP/1.")))
        return GW_FAULT_VERSION;
    return GW_FAULT_SYNTAX;
}

/* Too much of a head that is not complete yet. */
static enum gw_fault check_partial(const char *bytes, size_t len)
{
    if (len >= LIMIT_TARGET_BYTES + LIMIT_METHOD_BYTES + 16 && memchr(bytes, '\n', len) == NULL)
        return GW_FAULT_TARGET_TOO_LONG;
    return len >= LIMIT_HEAD_BYTES ? GW_FAULT_HEAD_TOO_LARGE : GW_FAULT_NONE;
}

static enum gw_fault validate(const char *bytes, struct gw_parsed *p)
{
    if (p->size > LIMIT_HEAD_BYTES)
        return GW_FAULT_HEAD_TOO_LARGE;
    if (has_bare_line_end(bytes, p->size))
        return GW_FAULT_LINE_END;
    enum gw_fault fault = check_headers(&p->head);
    if (!fault)
        fault = check_host(&p->head);
    if (!fault)
        fault = check_request_line(&p->head);
    if (!fault)
        fault = parse_framing(p);
    parse_expect(p);
    parse_connection(p);
    return fault;
}

static void copy_head(struct http_head *h, const struct phr_header *headers, size_t count)
{
    h->header_count = count;
    for (size_t i = 0; i < count; i++) {
        h->headers[i].name = str_of(headers[i].name, headers[i].name_len);
        h->headers[i].value = str_trim(str_of(headers[i].value, headers[i].value_len));
    }
}

enum gw_parse_result gw_http_parse(const char *bytes, size_t len, size_t seen, struct gw_parsed *out,
                                   enum gw_fault *out_fault)
{
    struct phr_header headers[LIMIT_HEADER_COUNT];
    size_t count = LIMIT_HEADER_COUNT;
    CHECK(seen <= len);
    int size = phr_parse_request(bytes, len, &out->head.method.ptr, &out->head.method.len, &out->head.target.ptr,
                                 &out->head.target.len, &out->head.minor_version, headers, &count, seen);
    if (size == -2) {
        *out_fault = check_partial(bytes, len);
        return *out_fault ? GW_PARSE_FAULT : GW_PARSE_MORE;
    }
    if (size < 0) {
        *out_fault = explain(bytes, len, count);
        return GW_PARSE_FAULT;
    }
    out->size = (size_t)size;
    copy_head(&out->head, headers, count);
    *out_fault = validate(bytes, out);
    return *out_fault ? GW_PARSE_FAULT : GW_PARSE_DONE;
}
