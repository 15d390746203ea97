#include "s3api/op_handlers.h"

#include "base/clock.h"
#include "base/http_value.h"
#include "s3api/object.h"

/* What of the object is sent. */
struct span {
    uint64_t first, length;
    bool is_part;                      /* 206 */
    const struct s3_part_info *part;   /* partNumber of a multipart object */
};

static const struct override {
    const char *param;
    size_t offset;
} overrides[] = {
    {"response-content-type", offsetof(struct s3_objmeta, content_type)},
    {"response-content-language", offsetof(struct s3_objmeta, content_language)},
    {"response-expires", offsetof(struct s3_objmeta, expires)},
    {"response-cache-control", offsetof(struct s3_objmeta, cache_control)},
    {"response-content-disposition", offsetof(struct s3_objmeta, content_disposition)},
    {"response-content-encoding", offsetof(struct s3_objmeta, content_encoding)},
};

static enum s3_error check_request(struct s3_op *op)
{
    for (size_t i = 0; i < ARRAY_SIZE(overrides) && op->auth.scheme == AUTH_ANONYMOUS; i++)
        if (s3_has_param(&op->req, overrides[i].param))
            return s3_fail(op, S3_INVALID_REQUEST,
                           "Request specific response headers cannot be used for anonymous GET requests.");
    if (s3_header(&op->req, "x-amz-server-side-encryption-customer-algorithm").ptr)
        return s3_fail(op, S3_INVALID_REQUEST, "The encryption parameters are not applicable to this object.");
    return s3_object_version_check(op, s3_param_value(&op->req, "versionId"));
}

static void apply_overrides(struct s3_op *op, struct s3_objmeta *m)
{
    for (size_t i = 0; i < ARRAY_SIZE(overrides); i++) {
        struct str value = s3_param_value(&op->req, overrides[i].param);
        if (value.len > 0)
            *(struct str *)(void *)((char *)m + overrides[i].offset) = value;
    }
}

/* Which bytes ---------------------------------------------------------------------------------------------------- */

static enum s3_error part_span(struct s3_op *op, const struct s3_object *o, struct str number_text, struct span *out)
{
    uint64_t number;
    if (s3_header(&op->req, "range").ptr)
        return s3_fail(op, S3_INVALID_REQUEST, "Cannot specify both Range header and partNumber query parameter");
    if (!str_parse_u64_max(number_text, LIMIT_PARTS, &number) || number == 0) {
        op->detail.argument_name = STR("partNumber");
        op->detail.argument_value = number_text;
        return S3_TOO_MANY_PARTS;
    }
    *out = (struct span){.length = o->attr.size, .is_part = o->attr.size > 0};
    if (o->meta.part_count == 0)
        return number == 1 ? S3_OK : S3_INVALID_PART_NUMBER;
    for (size_t i = 0; i < o->meta.part_count; i++) {
        const struct s3_part_info *part = &o->meta.parts[i];
        if (part->number == number) {
            out->part = part;
            out->length = part->size;
            out->is_part = part->size > 0;
            return S3_OK;
        }
        out->first += part->size;
    }
    return S3_INVALID_PART_NUMBER;
}

/* RFC 9110 §13.1.5: a range is for those who have the rest of the same representation. AWS does not document If-Range; without
 * heeding it, a client that resumes a download would join bytes of two objects. */
static bool if_range_holds(struct s3_op *op, const struct s3_object *o)
{
    struct str value = s3_header(&op->req, "if-range");
    int64_t date_s;
    if (!value.ptr)
        return true;
    if (clock_parse_http(value, &date_s))
        return date_s == s3_object_modified_s(o);
    return http_etag_list_has(value, o->meta.etag, false);
}

static enum s3_error range_span(struct s3_op *op, const struct s3_object *o, struct span *out)
{
    struct str value = s3_header(&op->req, "range");
    struct http_range range;
    *out = (struct span){.length = o->attr.size};
    if (!value.ptr || !if_range_holds(op, o))
        return S3_OK;
    switch (http_range_parse(value, o->attr.size, &range)) {
    case HTTP_RANGE_WHOLE:
        break;
    case HTTP_RANGE_PART:
        *out = (struct span){.first = range.first, .length = range.length, .is_part = true};
        break;
    case HTTP_RANGE_UNSATISFIABLE:
        op->detail.range_size = o->attr.size;
        op->detail.range_requested = value;
        return S3_INVALID_RANGE;
    }
    return S3_OK;
}

static enum s3_error choose_span(struct s3_op *op, const struct s3_object *o, struct span *out)
{
    const struct s3_param *number = s3_param(&op->req, "partNumber");
    return number ? part_span(op, o, number->value, out) : range_span(op, o, out);
}

/* Answers -------------------------------------------------------------------------------------------------------- */

static void reply_part(struct s3_op *op, const struct s3_object *o, const struct span *span)
{
    s3_reply_headerf(op, "Content-Range", "bytes %llu-%llu/%llu", (unsigned long long)span->first,
                     (unsigned long long)(span->first + span->length - 1), (unsigned long long)o->attr.size);
    if (span->part)
        s3_reply_headerf(op, "x-amz-mp-parts-count", "%zu", o->meta.part_count);
}

/* A checksum goes only with all the bytes it covers: clients compare it with what they got. */
static void reply_headers(struct s3_op *op, struct s3_object *o, const struct span *span)
{
    struct s3_checksum whole = o->meta.checksum;
    if (span->part) {
        o->meta.checksum = span->part->checksum;
        o->meta.checksum.composite = whole.composite; /* the type is the object's */
    }
    s3_object_reply_headers(op, o, span->part || span->length == o->attr.size);
    o->meta.checksum = whole;
    if (span->is_part)
        reply_part(op, o, span);
}

static enum s3_error begin(struct s3_op *op, bool with_body)
{
    struct s3_object *o = op->data = arena_new_of(op->arena, struct s3_object);
    enum s3_error e = check_request(op);
    if (e == S3_OK)
        e = s3_object_open(op, op->bucket, op->req.key, o);
    if (e != S3_OK)
        return e;
    struct s3_conditions conditions;
    s3_conditions_from_request(&op->req, "", &conditions);
    e = s3_check_read(&conditions, o->meta.etag, s3_object_modified_s(o));
    if (e == S3_NOT_MODIFIED) {
        s3_object_reply_headers(op, o, false);
        return e;
    }
    if (e != S3_OK)
        return s3_fail_condition(op, e, "", &conditions, o->meta.etag);
    struct span span = {0};
    e = choose_span(op, o, &span);
    if (e != S3_OK)
        return e;
    apply_overrides(op, &o->meta);
    reply_headers(op, o, &span);
    op->reply.status = span.is_part ? 206 : 200;
    op->reply.length = (int64_t)span.length;
    op->reply.body = !with_body ? S3_REPLY_NONE : span.length > 0 ? S3_REPLY_FILE : S3_REPLY_BYTES;
    op->reply.file = o->file;
    op->reply.file_offset = span.first;
    return S3_OK;
}

static void end(struct s3_op *op)
{
    struct s3_object *o = op->data;
    if (o)
        s3_object_close(o);
}

enum s3_error s3_get_object_begin(struct s3_op *op)
{
    return begin(op, true);
}

void s3_get_object_end(struct s3_op *op)
{
    end(op);
}

enum s3_error s3_head_object_begin(struct s3_op *op)
{
    return begin(op, false);
}

void s3_head_object_end(struct s3_op *op)
{
    end(op);
}
