/* The chunked transfer coding (RFC 9112 §7.1), strict and incremental: any split of the bytes decodes alike. Chunk
 * extensions are tolerated up to LIMIT_CHUNK_LINE_BYTES, trailers up to LIMIT_TRAILER_BYTES; both are dropped. Pure.
 * Thread: any. */
#ifndef GATEWAY_HTTP_CHUNKED_H
#define GATEWAY_HTTP_CHUNKED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"

enum gw_chunked_state {
    GW_CHUNKED_SIZE,     /* in the hexadecimal digits */
    GW_CHUNKED_EXTENSION,
    GW_CHUNKED_SIZE_LF,  /* behind the CR of the size line */
    GW_CHUNKED_DATA,
    GW_CHUNKED_DATA_CR,
    GW_CHUNKED_DATA_LF,
    GW_CHUNKED_TRAILER,  /* at the start of a trailer line, or of the last, empty one */
    GW_CHUNKED_TRAILER_LINE,
    GW_CHUNKED_TRAILER_LF,
    GW_CHUNKED_END_LF,
    GW_CHUNKED_END
};

struct gw_chunked {
    enum gw_chunked_state state;
    uint64_t left; /* of the chunk's data; while in the size line, what it says so far */
    uint32_t line_bytes;
    uint32_t digits;
    uint32_t trailer_bytes;
};

static inline struct gw_chunked gw_chunked_make(void)
{
    return (struct gw_chunked){.state = GW_CHUNKED_SIZE};
}

/* Decodes bytes[0, *io_len) in place: the data of the body moves to the front. *io_len becomes the bytes of data, *out_used
 * what was consumed of the input: less than given only when the body has ended. -EBADMSG: malformed, -EMSGSIZE: over a limit. */
MUST_USE int gw_chunked_decode(struct gw_chunked *d, char *bytes, size_t *io_len, size_t *out_used);
static inline bool gw_chunked_ended(const struct gw_chunked *d)
{
    return d->state == GW_CHUNKED_END;
}

/* Room for the line before a chunk: 16 digits, CR LF, and a NUL. */
#define GW_CHUNKED_LINE_MAX 19
/* "1a2b" CR LF. size is not 0. */
struct str gw_chunked_line(size_t size, char out[GW_CHUNKED_LINE_MAX]);
/* Behind a chunk's data; the end of the body. */
#define GW_CHUNKED_AFTER STR("\r\n")
#define GW_CHUNKED_LAST STR("0\r\n\r\n")

#endif
