#include "gateway/http_chunked.h"

#include <errno.h>
#include <stdio.h>

#include "base/check.h"
#include "base/limits.h"

#define DIGITS_MAX 16

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_line_char(char c)
{
    unsigned char u = (unsigned char)c;
    return (u >= 0x20 || c == '\t') && u != 0x7f;
}

static int on_size(struct gw_chunked *d, char c)
{
    int value = hex_value(c);
    if (value >= 0) {
        if (++d->digits > DIGITS_MAX)
            return -EBADMSG;
        d->left = d->left << 4 | (uint64_t)value;
        return 0;
    }
    if (d->digits == 0)
        return -EBADMSG;
    if (c == '\r') {
        d->state = GW_CHUNKED_SIZE_LF;
        return 0;
    }
    /* RFC 9112 allows blanks before the ';' of an extension for old senders; none of ours does it. */
    if (c != ';')
        return -EBADMSG;
    d->state = GW_CHUNKED_EXTENSION;
    return 0;
}

static int on_extension(struct gw_chunked *d, char c)
{
    if (c == '\r') {
        d->state = GW_CHUNKED_SIZE_LF;
        return 0;
    }
    return is_line_char(c) ? 0 : -EBADMSG;
}

static int on_size_end(struct gw_chunked *d, char c)
{
    if (c != '\n')
        return -EBADMSG;
    /* No body can be that long; sums of sizes stay far from overflow. */
    if (d->left > INT64_MAX)
        return -EBADMSG;
    d->state = d->left > 0 ? GW_CHUNKED_DATA : GW_CHUNKED_TRAILER;
    d->digits = d->line_bytes = 0;
    return 0;
}

static int on_trailer(struct gw_chunked *d, char c)
{
    if (d->state == GW_CHUNKED_TRAILER && c == '\r') {
        d->state = GW_CHUNKED_END_LF;
        return 0;
    }
    if (d->state == GW_CHUNKED_TRAILER_LINE && c == '\r') {
        d->state = GW_CHUNKED_TRAILER_LF;
        return 0;
    }
    d->state = GW_CHUNKED_TRAILER_LINE;
    return is_line_char(c) ? 0 : -EBADMSG;
}

/* Steps to `next` when c is the one byte that may stand here. */
static int on_exactly(struct gw_chunked *d, char c, char wanted, enum gw_chunked_state next)
{
    if (c != wanted)
        return -EBADMSG;
    d->state = next;
    return 0;
}

/* Any byte that is not data. */
static int on_framing(struct gw_chunked *d, char c)
{
    switch (d->state) {
    case GW_CHUNKED_SIZE:
    case GW_CHUNKED_EXTENSION:
        if (++d->line_bytes > LIMIT_CHUNK_LINE_BYTES)
            return -EMSGSIZE;
        return d->state == GW_CHUNKED_SIZE ? on_size(d, c) : on_extension(d, c);
    case GW_CHUNKED_SIZE_LF:
        return on_size_end(d, c);
    case GW_CHUNKED_DATA_CR:
        return on_exactly(d, c, '\r', GW_CHUNKED_DATA_LF);
    case GW_CHUNKED_DATA_LF:
        return on_exactly(d, c, '\n', GW_CHUNKED_SIZE);
    case GW_CHUNKED_TRAILER:
    case GW_CHUNKED_TRAILER_LINE:
        if (++d->trailer_bytes > LIMIT_TRAILER_BYTES)
            return -EMSGSIZE;
        return on_trailer(d, c);
    case GW_CHUNKED_TRAILER_LF:
        return on_exactly(d, c, '\n', GW_CHUNKED_TRAILER);
    case GW_CHUNKED_END_LF:
        return on_exactly(d, c, '\n', GW_CHUNKED_END);
    case GW_CHUNKED_DATA:
    case GW_CHUNKED_END:
        break;
    }
    CHECK(d->state != GW_CHUNKED_DATA && d->state != GW_CHUNKED_END);
    return -EBADMSG;
}

int gw_chunked_decode(struct gw_chunked *d, char *bytes, size_t *io_len, size_t *out_used)
{
    size_t in = 0, kept = 0, len = *io_len;
    while (in < len && d->state != GW_CHUNKED_END) {
        if (d->state != GW_CHUNKED_DATA) {
            int rc = on_framing(d, bytes[in++]);
            if (rc < 0)
                return rc;
            continue;
        }
        size_t take = len - in < d->left ? len - in : (size_t)d->left;
        if (in != kept)
            memmove(bytes + kept, bytes + in, take);
        in += take;
        kept += take;
        d->left -= take;
        if (d->left == 0)
            d->state = GW_CHUNKED_DATA_CR;
    }
    *io_len = kept;
    *out_used = in;
    return 0;
}

struct str gw_chunked_line(size_t size, char out[GW_CHUNKED_LINE_MAX])
{
    CHECK(size > 0);
    int len = snprintf(out, GW_CHUNKED_LINE_MAX, "%zx\r\n", size);
    return str_of(out, (size_t)len);
}
