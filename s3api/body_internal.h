/* What the request's headers announce of its body. Shared by body.c and body_expect.c. */
#ifndef S3API_BODY_INTERNAL_H
#define S3API_BODY_INTERNAL_H

#include "s3api/body.h"
#include "s3api/op.h"

struct s3_body_expect {
    bool aws_chunked;
    bool signed_chunks; /* aws_chunked: every chunk (and the trailer) carries a signature */
    bool has_trailer;   /* aws_chunked: trailing headers may follow */
    int64_t length;     /* decoded; -1 when it is not known */
    bool has_md5;
    uint8_t md5[16];
    bool has_sha256;
    uint8_t sha256[32];
    struct s3_checksum checksum; /* kind NONE: none announced */
    bool checksum_in_trailer;    /* only the kind is known yet */
    bool checksum_in_query;      /* hoisted into a presigned URL */
};

/* Reads and judges the headers; fails the op with AWS's message. */
enum s3_error s3_body_expect_read(struct s3_op *op, struct s3_body_expect *out);
/* Of the digests alone. */
enum s3_error s3_body_expect_read_digests(struct s3_op *op, struct s3_body_expect *out);

#endif
