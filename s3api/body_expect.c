#include "s3api/body_internal.h"

#include "base/encode.h"
#include "base/limits.h"

#define CHECKSUM_PREFIX STR("x-amz-checksum-")

/* Lengths */

static enum s3_error read_decoded_length(struct s3_op *op, struct s3_body_expect *out)
{
    uint64_t length;
    if (!str_parse_u64(s3_header(&op->req, "x-amz-decoded-content-length"), &length))
        return S3_MISSING_CONTENT_LENGTH;
    if (length > LIMIT_OBJECT_BYTES_MAX)
        return S3_ENTITY_TOO_LARGE;
    out->length = (int64_t)length;
    return S3_OK;
}

/* An upload says how long it is, or that it comes in chunks whose end shows (what cannot do without the length refuses
 * that); a small document need not. */
static enum s3_error read_length(struct s3_op *op, struct s3_body_expect *out)
{
    if (out->aws_chunked)
        return read_decoded_length(op, out);
    bool has_length = op->in.content_length >= 0 || http_find(op->req.head, "content-length");
    if (!has_length && http_find(op->req.head, "x-amz-decoded-content-length"))
        return read_decoded_length(op, out);
    if (!has_length && !op->in.has_body && op->row->body == S3_BODY_KIND_STREAM)
        return S3_MISSING_CONTENT_LENGTH;
    out->length = op->in.has_body ? op->in.content_length : 0;
    return S3_OK;
}

static enum s3_error check_length(struct s3_op *op, const struct s3_body_expect *e)
{
    if (op->row->body != S3_BODY_KIND_SMALL || e->length <= (int64_t)op->row->body_max)
        return S3_OK;
    s3_fail_extra(op, "MaxMessageLengthBytes", arena_printf(op->arena, "%zu", op->row->body_max));
    return S3_MAX_MESSAGE_LENGTH;
}

/* Digests of the whole */

static enum s3_error read_content_md5(struct s3_op *op, struct s3_body_expect *out)
{
    const struct http_header *header = http_find(op->req.head, "content-md5");
    if (!header)
        return S3_OK;
    size_t size;
    if (!base64_decode(header->value, out->md5, sizeof(out->md5), &size) || size != sizeof(out->md5)) {
        s3_fail_extra(op, "Content-MD5", header->value);
        return s3_fail(op, S3_INVALID_DIGEST, "The Content-MD5 you specified is not valid.");
    }
    out->has_md5 = true;
    return S3_OK;
}

static void read_payload(struct s3_op *op, struct s3_body_expect *out)
{
    switch (op->auth.payload) {
    case AUTH_PAYLOAD_UNSIGNED:
        break;
    case AUTH_PAYLOAD_SHA256:
        out->has_sha256 = true;
        memcpy(out->sha256, op->auth.payload_sha256, sizeof(out->sha256));
        break;
    case AUTH_PAYLOAD_STREAM_SIGNED:
        out->aws_chunked = out->signed_chunks = true;
        break;
    case AUTH_PAYLOAD_STREAM_SIGNED_TRAILER:
        out->aws_chunked = out->signed_chunks = out->has_trailer = true;
        break;
    case AUTH_PAYLOAD_STREAM_UNSIGNED_TRAILER:
        out->aws_chunked = out->has_trailer = true;
        break;
    }
}

/* Checksums: x-amz-checksum-* as a header or in a presigned URL, x-amz-trailer, x-amz-sdk-checksum-algorithm */

/* Headers of that family that are no checksums. */
static bool is_about_checksums(struct str name)
{
    static const char *const names[] = {"x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (str_eq_nocase(name, str_z(names[i])))
            return true;
    return false;
}

static enum s3_error add_checksum(struct s3_op *op, struct str name, struct str value, struct s3_body_expect *out)
{
    if (!str_starts_nocase(name, CHECKSUM_PREFIX) || is_about_checksums(name))
        return S3_OK;
    enum s3_checksum_kind kind = s3_checksum_by_header(name);
    if (kind == S3_CHECKSUM_NONE)
        return s3_fail(op, S3_INVALID_REQUEST,
                       "The algorithm type you specified in x-amz-checksum- header is invalid.");
    if (out->checksum.kind != S3_CHECKSUM_NONE)
        return s3_fail(op, S3_INVALID_REQUEST,
                       "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.");
    if (!s3_checksum_parse(kind, value, &out->checksum))
        return s3_fail(op, S3_INVALID_REQUEST, "Value for %s header is invalid.", s3_checksum_header(kind));
    return S3_OK;
}

static enum s3_error read_checksum(struct s3_op *op, struct s3_body_expect *out)
{
    const struct http_head *head = op->req.head;
    for (size_t i = 0; i < head->header_count; i++) {
        enum s3_error error = add_checksum(op, head->headers[i].name, head->headers[i].value, out);
        if (error != S3_OK)
            return error;
    }
    out->checksum_in_query = out->checksum.kind != S3_CHECKSUM_NONE &&
                             !http_find(op->in.head, s3_checksum_header(out->checksum.kind));
    return S3_OK;
}

static enum s3_error read_trailer_name(struct s3_op *op, struct s3_body_expect *out)
{
    struct str name = s3_header(&op->req, "x-amz-trailer");
    if (!name.ptr || name.len == 0)
        return S3_OK;
    enum s3_checksum_kind kind = s3_checksum_by_header(name);
    if (kind == S3_CHECKSUM_NONE || !out->has_trailer)
        return s3_fail(op, S3_INVALID_REQUEST, "The value specified in the x-amz-trailer header is not supported");
    if (out->checksum.kind != S3_CHECKSUM_NONE)
        return s3_fail(op, S3_INVALID_REQUEST,
                       "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.");
    out->checksum.kind = kind;
    out->checksum_in_trailer = true;
    return S3_OK;
}

static enum s3_error check_sdk_algorithm(struct s3_op *op, const struct s3_body_expect *e)
{
    struct str name = s3_header(&op->req, "x-amz-sdk-checksum-algorithm");
    if (!name.ptr || name.len == 0)
        return S3_OK;
    enum s3_checksum_kind kind = s3_checksum_by_name(name);
    if (kind == S3_CHECKSUM_NONE)
        return s3_fail(op, S3_INVALID_REQUEST,
                       "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
                       "[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]");
    if (e->checksum.kind == S3_CHECKSUM_NONE)
        return s3_fail(op, S3_INVALID_REQUEST,
                       "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer "
                       "headers were found.");
    if (kind != e->checksum.kind)
        return s3_fail(op, S3_INVALID_REQUEST, "Value for x-amz-sdk-checksum-algorithm header is invalid.");
    return S3_OK;
}

enum s3_error s3_body_expect_read_digests(struct s3_op *op, struct s3_body_expect *out)
{
    *out = (struct s3_body_expect){.length = -1};
    enum s3_error error = read_content_md5(op, out);
    if (error == S3_OK)
        error = read_checksum(op, out);
    return error == S3_OK ? check_sdk_algorithm(op, out) : error;
}

enum s3_error s3_body_expect_read(struct s3_op *op, struct s3_body_expect *out)
{
    *out = (struct s3_body_expect){.length = -1};
    read_payload(op, out);
    enum s3_error error = read_length(op, out);
    if (error == S3_OK)
        error = check_length(op, out);
    if (error == S3_OK)
        error = read_content_md5(op, out);
    bool is_of_body = !(op->row->flags & S3_OP_OBJECT_CHECKSUM);
    if (error == S3_OK && is_of_body)
        error = read_checksum(op, out);
    if (error == S3_OK && is_of_body)
        error = read_trailer_name(op, out);
    if (error == S3_OK && is_of_body)
        error = check_sdk_algorithm(op, out);
    if (error != S3_OK)
        return error;
    if ((op->row->flags & S3_OP_NEEDS_CHECKSUM) && !out->has_md5 && out->checksum.kind == S3_CHECKSUM_NONE)
        return S3_MISSING_CONTENT_MD5;
    return S3_OK;
}
