/* A request head as it came off the wire, and look-ups in it. Values are views into memory that lives as long as the
 * head; nothing is decoded or folded here, since signatures cover bytes as received. Thread: one at a time. */
#ifndef BASE_HTTP_HEAD_H
#define BASE_HTTP_HEAD_H

#include "base/compiler.h"
#include "base/limits.h"
#include "base/str.h"

struct http_header {
    struct str name; /* as sent */
    struct str value; /* without surrounding blanks */
};

struct http_head {
    struct str method;
    struct str target; /* raw request target: path with optional query, origin form */
    int minor_version; /* HTTP/1.x */
    size_t header_count;
    struct http_header headers[LIMIT_HEADER_COUNT];
};

/* The first header of that name (any case), or NULL. */
const struct http_header *http_find(const struct http_head *h, const char *name);
/* Its value; an empty view with ptr NULL when absent. */
struct str http_get(const struct http_head *h, const char *name);
size_t http_count(const struct http_head *h, const char *name);
/* Raw path (before '?') and raw query (behind it; ptr NULL without '?'). */
void http_split_target(struct str target, struct str *out_path, struct str *out_query);

/* "OK", "Not Found", … ; "Unknown" for codes not in the table. */
const char *http_status_text(int status);

#endif
