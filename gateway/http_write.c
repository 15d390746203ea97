#include "gateway/http_write.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"

/* What this connection makes of the body, as header lines. */
static void write_framing(const struct gw_head_line *h, char *out, size_t size)
{
    out[0] = '\0';
    switch (h->framing) {
    case GW_FRAMING_LENGTH:
        (void)snprintf(out, size, "Content-Length: %" PRIu64 "\r\n", h->length);
        return;
    case GW_FRAMING_CHUNKED:
        (void)snprintf(out, size, "Transfer-Encoding: chunked\r\n");
        return;
    case GW_FRAMING_NONE:
    case GW_FRAMING_CLOSE:
        return;
    }
}

size_t gw_head_write(const struct gw_head_line *h, char out[GW_HEAD_LINE_MAX])
{
    char framing[64];
    write_framing(h, framing, sizeof(framing));
    CHECK(!h->keep_alive || h->framing != GW_FRAMING_CLOSE);
    const char *connection = "";
    if (!h->keep_alive)
        connection = "Connection: close\r\n";
    else if (h->minor_version == 0)
        connection = "Connection: keep-alive\r\n";
    int len = snprintf(out, GW_HEAD_LINE_MAX, "HTTP/1.1 %d %s\r\nDate: %.*s\r\nServer: sluice\r\n%s%s", h->status,
                       http_status_text(h->status), STR_ARG(h->date), connection, framing);
    CHECK(len > 0 && len < GW_HEAD_LINE_MAX);
    return (size_t)len;
}

void gw_header_write(struct buf *out, struct str name, struct str value)
{
    buf_add(out, name);
    buf_addz(out, ": ");
    size_t start = out->len;
    buf_add(out, value);
    for (size_t i = start; i < out->len; i++) {
        unsigned char c = (unsigned char)out->ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            out->ptr[i] = ' ';
    }
    buf_addz(out, "\r\n");
}
