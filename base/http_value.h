/* Parsers of header values (RFC 9110): ranges, entity-tag lists. Pure. Thread: any. */
#ifndef BASE_HTTP_VALUE_H
#define BASE_HTTP_VALUE_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"

enum http_range_verdict {
    HTTP_RANGE_WHOLE,        /* absent, malformed or several ranges: answer the whole representation, as S3 does */
    HTTP_RANGE_PART,         /* 206 with [first, first + length) */
    HTTP_RANGE_UNSATISFIABLE /* 416 */
};

struct http_range {
    uint64_t first;
    uint64_t length;
};

/* "bytes=a-b", "bytes=a-", "bytes=-n" against a representation of `size` bytes (RFC 9110 §14.1.2). */
enum http_range_verdict http_range_parse(struct str value, uint64_t size, struct http_range *out);
/* x-amz-copy-source-range: exactly "bytes=a-b", both present, a <= b; size is not considered. */
MUST_USE bool http_copy_range_parse(struct str value, uint64_t *out_first, uint64_t *out_last);

/* Does the list of If-Match / If-None-Match (quoted, unquoted, W/ prefixed, "*") name this entity tag? etag is given
 * without quotes. weak: W/ tags may match (If-None-Match). */
bool http_etag_list_has(struct str list, struct str etag, bool weak);

#endif
