/* Request heads off the wire: picohttpparser for the grammar, then everything that would let two readers of the same bytes
 * disagree about where a request ends is refused. Pure; views point into the given bytes. Thread: any. */
#ifndef GATEWAY_HTTP_PARSE_H
#define GATEWAY_HTTP_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/http_head.h"
#include "gateway/http_error.h"

enum gw_parse_result {
    GW_PARSE_DONE,
    GW_PARSE_MORE, /* incomplete, and nothing wrong so far */
    GW_PARSE_FAULT /* *out_fault says what */
};

struct gw_parsed {
    struct http_head head;
    size_t size;            /* bytes of the head, its empty line included */
    bool keep_alive;        /* what the client asks for */
    bool chunked;
    int64_t content_length; /* -1: none given */
    bool expect_continue;
};

/* bytes[0, len) is what came so far; seen is the len of the call before that returned GW_PARSE_MORE (0 the first time), so
 * that a head that arrives byte by byte costs linear time. Bytes behind the head are not looked at. */
enum gw_parse_result gw_http_parse(const char *bytes, size_t len, size_t seen, struct gw_parsed *out,
                                   enum gw_fault *out_fault);

#endif
