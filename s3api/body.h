/* The chain that body bytes pass on their way to an operation, in this fixed order:
 *   aws-chunked decoding → chunk signatures → digests (MD5, the announced checksum, SHA-256) → sink
 * and the verdict at the end: lengths, signatures, trailer, Content-MD5, x-amz-checksum-*, x-amz-content-sha256.
 * Nothing is published before the verdict is S3_OK. Thread: worker, one at a time. */
#ifndef S3API_BODY_H
#define S3API_BODY_H

#include "s3api/checksum.h"
#include "s3api/error.h"

struct s3_op;
struct s3_body;
typedef enum s3_error (*s3_sink_fn)(struct s3_op *op, struct pieces p);

struct s3_body_want {
    bool md5;                       /* compute the MD5 even when no Content-MD5 asks for it (ETag) */
    enum s3_checksum_kind checksum; /* compute this one even when the client sent none (CRC64NVME by default) */
};

/* Reads the headers that describe the body (lengths, Content-MD5, checksum headers, x-amz-trailer, …) and refuses what does
 * not fit together. Makes op->body. Called by s3_begin before the row's begin for operations with a body. */
enum s3_error s3_body_open(struct s3_op *op, s3_sink_fn sink);
/* A body inside op->body, of which op->req's headers tell digests only: a form's file. Takes op->body's place; the caller puts the
 * outer one back when it is its turn. */
enum s3_error s3_body_open_inner(struct s3_op *op, s3_sink_fn sink);
/* What the operation needs besides; before the first byte. */
void s3_body_want(struct s3_op *op, const struct s3_body_want *want);
/* Decoded length, known before the first byte (Content-Length or x-amz-decoded-content-length); -1 when it is not. */
int64_t s3_body_length(const struct s3_op *op);
/* The checksum that the client announced (header or trailer), its kind only: known before the first byte. */
enum s3_checksum_kind s3_body_announced_checksum(const struct s3_op *op);
enum s3_error s3_body_feed(struct s3_op *op, struct pieces p);
/* The verdict. */
enum s3_error s3_body_finish(struct s3_op *op);
/* After the verdict. */
uint64_t s3_body_size(const struct s3_op *op);
void s3_body_md5(const struct s3_op *op, uint8_t out[16]);
/* kind NONE when neither announced nor wanted. */
struct s3_checksum s3_body_checksum(const struct s3_op *op);
void s3_body_close(struct s3_op *op);

/* The request's Content-Encoding as it is to be stored: without aws-chunked, which ends at the gateway. ptr NULL when
 * nothing is left. */
struct str s3_stored_content_encoding(const struct s3_op *op);

#endif
