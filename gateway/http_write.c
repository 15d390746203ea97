#include "gateway/http_write.h"

#include "base/check.h"

/* What this connection makes of the body, as header lines. */
static void write_framing(const struct gw_head_line *h, struct buf *out)
{
    switch (h->framing) {
    case GW_FRAMING_LENGTH:
        buf_addz(out, "Content-Length: ");
        buf_add_u64(out, h->length);
        buf_addz(out, "\r\n");
        return;
    case GW_FRAMING_CHUNKED:
        buf_addz(out, "Transfer-Encoding: chunked\r\n");
        return;
    case GW_FRAMING_NONE:
    case GW_FRAMING_CLOSE:
        return;
    }
}

size_t gw_head_write(const struct gw_head_line *h, char out[GW_HEAD_LINE_MAX])
{
    struct buf b = buf_over(out, GW_HEAD_LINE_MAX);
    CHECK(!h->keep_alive || h->framing != GW_FRAMING_CLOSE);
    buf_addz(&b, "HTTP/1.1 ");
    buf_add_u64(&b, (uint64_t)h->status);
    buf_addc(&b, ' ');
    buf_addz(&b, http_status_text(h->status));
    buf_addz(&b, "\r\nDate: ");
    buf_add(&b, h->date);
    buf_addz(&b, "\r\nServer: sluice\r\n");
    if (!h->keep_alive)
        buf_addz(&b, "Connection: close\r\n");
    else if (h->minor_version == 0)
        buf_addz(&b, "Connection: keep-alive\r\n");
    write_framing(h, &b);
    CHECK(!b.failed);
    return b.len;
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
