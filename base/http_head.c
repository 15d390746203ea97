#include "base/http_head.h"

/* Headers */

const struct http_header *http_find(const struct http_head *h, const char *name)
{
    struct str wanted = str_z(name);
    for (size_t i = 0; i < h->header_count; i++) {
        if (str_eq_nocase(h->headers[i].name, wanted))
            return &h->headers[i];
    }
    return NULL;
}

struct str http_get(const struct http_head *h, const char *name)
{
    const struct http_header *header = http_find(h, name);
    return header ? header->value : STR_EMPTY;
}

size_t http_count(const struct http_head *h, const char *name)
{
    struct str wanted = str_z(name);
    size_t count = 0;
    for (size_t i = 0; i < h->header_count; i++)
        count += str_eq_nocase(h->headers[i].name, wanted);
    return count;
}

/* Request target */

void http_split_target(struct str target, struct str *out_path, struct str *out_query)
{
    ptrdiff_t mark = str_find_char(target, '?');
    if (mark < 0) {
        *out_path = target;
        *out_query = STR_EMPTY;
        return;
    }
    *out_path = str_first(target, (size_t)mark);
    *out_query = str_from(target, (size_t)mark + 1);
}

/* Status */

/* RFC 9110 §15, RFC 6585 and the codes S3 adds to them. */
static const struct {
    int status;
    const char *text;
} status_texts[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *http_status_text(int status)
{
    for (size_t i = 0; i < ARRAY_SIZE(status_texts); i++) {
        if (status_texts[i].status == status)
            return status_texts[i].text;
    }
    return "Unknown";
}
