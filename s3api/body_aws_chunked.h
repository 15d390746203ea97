/* Incremental decoder of the aws-chunked content coding: "size;chunk-signature=…\r\n" data "\r\n" …, a chunk of size 0,
 * trailing headers, an empty line. Knows the framing only; signatures and what trailers mean are the caller's. Takes
 * any split of the input, copies no data. Pure. Thread: one at a time. */
#ifndef S3API_BODY_AWS_CHUNKED_H
#define S3API_BODY_AWS_CHUNKED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/limits.h"
#include "base/str.h"

enum aws_chunked_kind {
    AWS_CHUNKED_MORE,      /* the input is used up */
    AWS_CHUNKED_CHUNK,     /* a chunk begins: size, signature (empty when it has none) */
    AWS_CHUNKED_DATA,      /* bytes of it, a view into the input */
    AWS_CHUNKED_CHUNK_END, /* all its bytes were there */
    AWS_CHUNKED_TRAILER,   /* name, value */
    AWS_CHUNKED_END, /* the empty line behind the trailers. minio-go puts the trailer's signature behind it, or a second
                        empty line: such lines are still decoded, as trailers or not at all. */
    AWS_CHUNKED_BAD  /* not this coding; nothing more is decoded */
};

struct aws_chunked_event {
    uint64_t size;
    struct str signature, bytes, name, value; /* valid until the next call */
};

struct aws_chunked {
    enum {
        AWS_CHUNKED_IN_HEADER,
        AWS_CHUNKED_IN_DATA,
        AWS_CHUNKED_IN_DATA_END,
        AWS_CHUNKED_IN_TRAILERS,
        AWS_CHUNKED_IN_ERROR
    } state;
    uint64_t data_left;
    uint64_t trailer_bytes;
    bool chunk_is_last; /* the chunk whose end comes next has size 0 */
    bool ended;
    size_t line_len;
    char line[LIMIT_AWS_CHUNK_LINE_BYTES];
};

void aws_chunked_init(struct aws_chunked *d);
/* The next event of *input, whose bytes it takes off. */
enum aws_chunked_kind aws_chunked_next(struct aws_chunked *d, struct str *input, struct aws_chunked_event *out);
/* May the body end here? */
bool aws_chunked_is_complete(const struct aws_chunked *d);

#endif
