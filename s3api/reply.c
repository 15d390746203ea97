#include "base/check.h"
#include "base/limits.h"
#include "s3api/cors.h"
#include "s3api/op.h"
#include "s3api/route.h"
#include "s3api/service.h"
#include "s3api/xml.h"

#define HEADERS_MIN 24
/* Formatted values are made of names, numbers and tags of entities; a longer one is none that is worth sending. */
#define HEADER_FORMATTED_MAX 8192

static bool is_header_text(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '\r' || s.ptr[i] == '\n' || s.ptr[i] == '\0')
            return false;
    return true;
}

/* Names of user metadata come from stored records, which a file's owner may have written by hand. */
static bool is_header_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] == ':' || s.ptr[i] == 0x7f)
            return false;
    return s.len > 0;
}

static void grow_headers(struct s3_op *op)
{
    size_t count = op->reply.header_count;
    size_t max = count ? 2 * count : HEADERS_MIN;
    struct http_header *grown = arena_array_of(op->arena, struct http_header, max);
    if (count > 0)
        memcpy(grown, op->reply_headers, count * sizeof(*grown));
    op->reply_headers = grown;
    op->reply_headers_max = max;
    op->reply.headers = grown;
}

void s3_reply_header(struct s3_op *op, const char *name, struct str value)
{
    struct str name_text = str_z(name);
    if (!is_header_name(name_text) || !is_header_text(value))
        return;
    if (op->reply.header_count == op->reply_headers_max)
        grow_headers(op);
    op->reply_headers[op->reply.header_count++] = (struct http_header){name_text, arena_dup(op->arena, value)};
}

void s3_reply_headerf(struct s3_op *op, const char *name, const char *format, ...)
{
    char value[HEADER_FORMATTED_MAX];
    struct buf b = buf_over(value, sizeof(value));
    va_list args;
    va_start(args, format);
    buf_addv(&b, format, args);
    va_end(args);
    if (!b.failed)
        s3_reply_header(op, name, buf_str(&b));
}

enum s3_error s3_reply_empty(struct s3_op *op, int status)
{
    op->reply.status = status;
    op->reply.body = S3_REPLY_NONE;
    op->reply.length = 0;
    return S3_OK;
}

enum s3_error s3_reply_xml(struct s3_op *op, int status)
{
    if (op->out.failed) {
        op->error_cause = "the document is larger than LIMIT_XML_REPLY_BYTES";
        return S3_INTERNAL_ERROR;
    }
    op->reply.status = status;
    op->reply.body = S3_REPLY_BYTES;
    op->reply.bytes = buf_str(&op->out);
    op->reply.length = (int64_t)op->out.len;
    s3_reply_header(op, "Content-Type", STR("application/xml"));
    return S3_OK;
}

void s3_reply_start(struct s3_op *op)
{
    op->reply.header_count = 0;
    s3_reply_header(op, "x-amz-request-id", op->in.request_id);
    s3_reply_header(op, "x-amz-id-2", op->in.host_id);
    s3_cors_reply_headers(op);
}

/* Errors */

/* Names that the answer repeats, filled in here so that no operation has to. */
static void complete_detail(struct s3_op *op, enum s3_error error)
{
    struct s3_error_detail *d = &op->detail;
    bool is_about_bucket = error == S3_NO_SUCH_BUCKET || error == S3_INVALID_BUCKET_NAME ||
                           error == S3_BUCKET_NOT_EMPTY || error == S3_BUCKET_EXISTS || error == S3_BUCKET_OWNED ||
                           error == S3_NO_SUCH_TAG_SET;
    if (is_about_bucket && d->bucket_name.len == 0)
        d->bucket_name = op->req.bucket;
    if (error == S3_NO_SUCH_KEY && d->key.len == 0)
        d->key = op->req.key;
    if (error == S3_METHOD_NOT_ALLOWED && d->method.len == 0)
        d->method = op->in.head->method;
}

static void write_details(struct s3_op *op)
{
    const struct s3_error_detail *d = &op->detail;
    const struct {
        const char *element;
        struct str value;
    } rows[] = {
        {"ArgumentName", d->argument_name},
        {"ArgumentValue", d->argument_value},
        {"BucketName", d->bucket_name},
        {"Key", d->key},
        {"UploadId", d->upload_id},
        {"Region", d->region},
        {"AWSAccessKeyId", d->access_key},
        {"StringToSign", d->string_to_sign},
        {"SignatureProvided", d->signature_provided},
        {"CanonicalRequest", d->canonical_request},
        {"Condition", d->condition},
        {"Header", d->header},
        {"Method", d->method},
        {"ResourceType", d->resource_type},
        {"RangeRequested", d->range_requested},
        {"Expires", d->expires},
        {"ServerTime", d->server_time},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].value.len > 0)
            xml_text(&op->out, rows[i].element, rows[i].value);
    if (d->range_requested.len > 0)
        xml_u64(&op->out, "ActualObjectSize", d->range_size);
    for (size_t i = 0; i < d->extra_count; i++)
        xml_text(&op->out, d->extra[i].element, d->extra[i].value);
}

/* Clients of the Security Token Service read its own form of errors only. */
static void write_sts_document(struct s3_op *op, enum s3_error error)
{
    struct buf *b = &op->out;
    buf_reset(b);
    xml_begin(b);
    buf_addz(b, "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">");
    xml_open(b, "Error");
    xml_text(b, "Type", s3_error_status(error) < 500 ? STR("Sender") : STR("Receiver"));
    xml_text(b, "Code", str_z(s3_error_code(error)));
    xml_text(b, "Message", op->detail.message.len > 0 ? op->detail.message : str_z(s3_error_message(error)));
    xml_close(b, "Error");
    xml_text(b, "RequestId", op->in.request_id);
    xml_close(b, "ErrorResponse");
}

static void write_document(struct s3_op *op, enum s3_error error)
{
    struct buf *b = &op->out;
    if (op->row && op->row->flags & S3_OP_STS) {
        write_sts_document(op, error);
        return;
    }
    buf_reset(b);
    xml_begin(b);
    xml_open(b, "Error");
    xml_text(b, "Code", str_z(s3_error_code(error)));
    xml_text(b, "Message", op->detail.message.len > 0 ? op->detail.message : str_z(s3_error_message(error)));
    write_details(op);
    xml_text(b, "Resource", op->req.resource);
    xml_text(b, "RequestId", op->in.request_id);
    xml_text(b, "HostId", op->in.host_id);
    xml_close(b, "Error");
}

/* Clients that guessed the wrong region correct themselves by this header, also on refusals (botocore's redirector). */
static bool names_region(struct s3_op *op, int status)
{
    return op->req.bucket.len > 0 && (status == 301 || status == 400 || status == 403 || status == 404);
}

static void add_error_headers(struct s3_op *op, enum s3_error error)
{
    int status = s3_error_status(error);
    if (names_region(op, status))
        s3_reply_header(op, "x-amz-bucket-region", op->service->region);
    if (status == 503)
        s3_reply_header(op, "Retry-After", STR("1"));
    if (op->detail.range_requested.len > 0)
        s3_reply_headerf(op, "Content-Range", "bytes */%ju", (uintmax_t)op->detail.range_size);
    if (status == 405) {
        CLEANUP(buf_done) struct buf methods = buf_make(LIMIT_HEAD_BYTES);
        s3_route_methods(&op->req, &methods);
        s3_reply_header(op, "Allow", buf_str(&methods));
    }
}

/* A long body that was refused is cheaper cut off than read. */
static bool is_worth_closing(const struct s3_op *op)
{
    return op->state == S3_BODY && op->in.has_body && op->in.content_length > LIMIT_DRAIN_BYTES;
}

void s3_reply_error(struct s3_op *op, enum s3_error error)
{
    CHECK(error > S3_AGAIN);
    int status = s3_error_status(error);
    op->error = error;
    /* 304 carries the validators that the operation has set already; all others start anew. */
    size_t kept = status == 304 ? op->reply.header_count : 0;
    op->reply = (struct s3_reply){
        .headers = op->reply_headers, .header_count = kept, .status = status, .close = is_worth_closing(op)};
    if (status == 304)
        return;
    s3_reply_start(op);
    add_error_headers(op, error);
    complete_detail(op, error);
    write_document(op, error);
    s3_reply_header(op, "Content-Type", STR("application/xml"));
    if (str_is(op->in.head->method, "HEAD"))
        return;
    op->reply.body = S3_REPLY_BYTES;
    op->reply.bytes = buf_str(&op->out);
    op->reply.length = (int64_t)op->out.len;
}
