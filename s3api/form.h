/* Incremental parser of multipart/form-data as browsers send it (RFC 7578, RFC 2046 §5.1): small fields, then one file whose
 * bytes are handed on as they come. Knows the framing only; what fields mean is the caller's. Takes any split of the input,
 * copies no file bytes. Thread: one at a time. */
#ifndef S3API_FORM_H
#define S3API_FORM_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/limits.h"
#include "base/str.h"

enum s3_form_kind {
    S3_FORM_MORE,       /* the input is used up */
    S3_FORM_FIELD,      /* a whole field: name, value */
    S3_FORM_FILE_BEGIN, /* the field "file" begins: its file's name is value */
    S3_FORM_FILE_DATA,  /* bytes of it, a view into the input or into the parser */
    S3_FORM_FILE_END,   /* all its bytes were there; what follows is ignored, as S3 does */
    S3_FORM_TOO_LARGE,  /* more than LIMIT_FORM_BYTES before the file; nothing more is parsed */
    S3_FORM_BAD         /* not this format; nothing more is parsed */
};

struct s3_form_event {
    struct str name, value, bytes; /* valid until the next call */
};

/* RFC 2046: a boundary has at most 70 characters. */
#define S3_FORM_BOUNDARY_MAX 70

struct s3_form {
    enum {
        S3_FORM_IN_PREAMBLE,
        S3_FORM_IN_DELIMITER_END, /* behind a boundary: the line's end, or "--" */
        S3_FORM_IN_HEADERS,
        S3_FORM_IN_VALUE,
        S3_FORM_IN_FILE,
        S3_FORM_IN_EPILOGUE,
        S3_FORM_IN_ERROR
    } state;
    char delimiter[S3_FORM_BOUNDARY_MAX + 5]; /* "\r\n--boundary" */
    size_t delimiter_len, matched;            /* bytes of it that the input ended with */
    bool dashes;                              /* one '-' behind a boundary was there */
    bool has_file;
    size_t size;      /* bytes before the file */
    struct buf line;  /* a header's, in parts */
    struct buf name;  /* of the field, with its file's name behind it */
    struct str field, file_name;
    struct buf value;
};

/* The boundary out of a Content-Type header; false when that is not multipart/form-data, or has none that is legal. */
MUST_USE bool s3_form_boundary(struct str content_type, struct str *out);
void s3_form_init(struct s3_form *f, struct str boundary);
void s3_form_done(struct s3_form *f);
/* The next event of *input, whose bytes it takes off. */
enum s3_form_kind s3_form_next(struct s3_form *f, struct str *input, struct s3_form_event *out);

#endif
