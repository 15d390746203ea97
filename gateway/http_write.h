/* Response heads as bytes. Pure. Thread: any. */
#ifndef GATEWAY_HTTP_WRITE_H
#define GATEWAY_HTTP_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/http_head.h"
#include "base/str.h"

enum gw_framing {
    GW_FRAMING_NONE,    /* no body and no word of one: 1xx, 204, 304 */
    GW_FRAMING_LENGTH,  /* Content-Length */
    GW_FRAMING_CHUNKED, /* the chunked coding */
    GW_FRAMING_CLOSE    /* until the connection closes (HTTP/1.0 and no length) */
};

struct gw_head_line {
    int status;
    int minor_version;     /* of the request: tells whether keep-alive must be said */
    struct str date;       /* IMF-fixdate */
    bool keep_alive;
    enum gw_framing framing;
    uint64_t length;       /* GW_FRAMING_LENGTH */
};

/* Room that gw_head_write never needs more than. */
#define GW_HEAD_LINE_MAX 320

/* Status line and the headers of this connection: Date, Server, Connection, framing. Whole lines; the caller sends the
 * reply's own header lines and the empty line behind them. Returns the bytes written. */
size_t gw_head_write(const struct gw_head_line *h, char out[GW_HEAD_LINE_MAX]);
/* "Name: value" CR LF. Control bytes in a value would split the head: they become blanks. */
void gw_header_write(struct buf *out, struct str name, struct str value);
/* The bytes that it writes. */
static inline size_t gw_header_size(struct str name, struct str value)
{
    return name.len + 2 + value.len + 2;
}

#define GW_CONTINUE STR("HTTP/1.1 100 Continue\r\n\r\n")

#endif
