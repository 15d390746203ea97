#include "s3api/completion.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/encode.h"
#include "base/limits.h"
#include "s3api/xml.h"

#define MD5_SIZE 16

/* "sha256": how AWS names algorithms in its messages. */
static const char *lower_name(struct s3_op *op, enum s3_checksum_kind kind)
{
    CLEANUP(buf_done) struct buf name = buf_make(32);
    buf_add_lower(&name, str_z(s3_checksum_name(kind)));
    return arena_dupz(op->arena, buf_str(&name));
}

static const char *type_name(bool is_composite)
{
    return is_composite ? "COMPOSITE" : "FULL_OBJECT";
}

/* Headers */

static enum s3_error read_size(struct s3_op *op, struct s3_completion *c)
{
    struct str value = s3_header(&op->req, "x-amz-mp-object-size");
    uint64_t digits;
    if (!value.ptr)
        return S3_OK;
    c->has_size = true;
    if (str_parse_u64(value, &c->size))
        return S3_OK;
    if (str_starts(value, STR("-")) && str_parse_u64(str_from(value, 1), &digits))
        return s3_fail(op, S3_INVALID_REQUEST, "Value for x-amz-mp-object-size header is less than zero: '%.*s'",
                       STR_ARG(value));
    return s3_fail(op, S3_INVALID_REQUEST, "Value for x-amz-mp-object-size header is invalid: '%.*s'", STR_ARG(value));
}

static enum s3_error read_type(struct s3_op *op, const struct s3_upload *u)
{
    struct str value = s3_header(&op->req, "x-amz-checksum-type");
    if (!value.ptr)
        return S3_OK;
    bool is_composite = str_eq_nocase(value, STR("COMPOSITE"));
    if (!is_composite && !str_eq_nocase(value, STR("FULL_OBJECT")))
        return s3_fail(op, S3_INVALID_REQUEST, "Value for x-amz-checksum-type header is invalid.");
    if (is_composite != u->checksum_composite)
        return s3_fail(
            op, S3_INVALID_REQUEST,
            "The upload was created using the %s checksum mode. The complete request must use the same checksum mode.",
            type_name(u->checksum_composite));
    return S3_OK;
}

/* "base64", and of composite ones also "base64-N", the form in which they are answered. */
static bool parse_object_checksum(struct str text, enum s3_checksum_kind kind, bool is_composite,
                                  struct s3_checksum *out)
{
    ptrdiff_t dash = is_composite ? str_find_char(text, '-') : -1;
    uint64_t count = 0;
    if (dash >= 0 && (!str_parse_u64_max(str_from(text, (size_t)dash + 1), LIMIT_PARTS, &count) || count == 0))
        return false;
    if (!s3_checksum_parse(kind, dash >= 0 ? str_first(text, (size_t)dash) : text, out))
        return false;
    out->composite = is_composite;
    out->part_count = (uint32_t)count;
    return true;
}

static enum s3_error read_checksum(struct s3_op *op, const struct s3_upload *u, struct s3_completion *c)
{
    for (int k = S3_CHECKSUM_NONE + 1; k < S3_CHECKSUM_KIND_COUNT; k++) {
        enum s3_checksum_kind kind = (enum s3_checksum_kind)k;
        struct str value = s3_header(&op->req, s3_checksum_header(kind));
        if (!value.ptr)
            continue;
        if (c->checksum.kind != S3_CHECKSUM_NONE)
            return s3_fail(op, S3_INVALID_REQUEST,
                           "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.");
        if (!parse_object_checksum(value, kind, u->checksum_composite, &c->checksum))
            return s3_fail(op, S3_INVALID_REQUEST, "Value for %s header is invalid.", s3_checksum_header(kind));
    }
    return S3_OK;
}

enum s3_error s3_completion_read_headers(struct s3_op *op, const struct s3_upload *u, struct s3_completion *c)
{
    enum s3_error e = read_size(op, c);
    if (e == S3_OK)
        e = read_type(op, u);
    if (e == S3_OK)
        e = read_checksum(op, u, c);
    return e;
}

/* The list */

static struct str unquote(struct str etag)
{
    if (etag.len >= 2 && etag.ptr[0] == '"' && etag.ptr[etag.len - 1] == '"')
        return str_of(etag.ptr + 1, etag.len - 2);
    return etag;
}

static enum s3_error read_number(struct s3_op *op, struct str text, uint32_t *out)
{
    uint64_t number;
    bool is_negative = str_starts(text, STR("-"));
    if (!str_parse_u64_max(is_negative ? str_from(text, 1) : text, INT32_MAX, &number))
        return S3_MALFORMED_XML;
    if (is_negative || number == 0) {
        op->detail.argument_name = STR("PartNumber");
        op->detail.argument_value = text;
        return s3_fail(op, S3_INVALID_ARGUMENT, "PartNumber must be >= 1");
    }
    *out = (uint32_t)number;
    return S3_OK;
}

static enum s3_error fail_part_checksum(struct s3_op *op, const struct xml_node *part)
{
    CLEANUP(buf_done) struct buf value = buf_make(LIMIT_XML_BYTES);
    for (int k = S3_CHECKSUM_NONE + 1; k < S3_CHECKSUM_KIND_COUNT; k++) {
        enum s3_checksum_kind kind = (enum s3_checksum_kind)k;
        struct str text = xml_child_text(part, s3_checksum_element(kind));
        if (text.len > 0)
            buf_addf(&value, "%s:%.*s;", s3_checksum_name(kind), STR_ARG(text));
    }
    op->detail.argument_name = STR("Checksum");
    op->detail.argument_value = arena_dup(op->arena, buf_str(&value));
    return s3_fail(op, S3_INVALID_ARGUMENT, "Invalid Base64 or multiple checksums present in request");
}

static enum s3_error read_part_checksum(struct s3_op *op, const struct xml_node *part, struct s3_checksum *out)
{
    for (int k = S3_CHECKSUM_NONE + 1; k < S3_CHECKSUM_KIND_COUNT; k++) {
        enum s3_checksum_kind kind = (enum s3_checksum_kind)k;
        struct str text = xml_child_text(part, s3_checksum_element(kind));
        if (text.len == 0)
            continue;
        if (out->kind != S3_CHECKSUM_NONE || !s3_checksum_parse(kind, text, out))
            return fail_part_checksum(op, part);
    }
    return S3_OK;
}

static enum s3_error read_part(struct s3_op *op, const struct xml_node *part, struct s3_listed_part *out)
{
    struct str number = xml_child_text(part, "PartNumber");
    struct str etag = xml_child_text(part, "ETag");
    if (!number.ptr || !etag.ptr)
        return S3_MALFORMED_XML;
    out->etag = unquote(etag);
    enum s3_error e = read_number(op, number, &out->number);
    return e == S3_OK ? read_part_checksum(op, part, &out->checksum) : e;
}

/* A part may be listed twice by a client that sent it twice and noted both answers: the later one counts. */
static enum s3_error append_part(struct s3_op *op, struct s3_completion *c, const struct s3_listed_part *part)
{
    struct s3_listed_part *last = c->count > 0 ? &c->listed[c->count - 1] : NULL;
    bool is_again = last && last->number == part->number && !str_eq(last->etag, part->etag);
    if (last && part->number <= last->number && !is_again) {
        op->detail.upload_id = s3_param_value(&op->req, "uploadId");
        return S3_INVALID_PART_ORDER;
    }
    if (is_again)
        *last = *part;
    else
        c->listed[c->count++] = *part;
    return S3_OK;
}

enum s3_error s3_completion_read_list(struct s3_op *op, struct s3_completion *c)
{
    const struct xml_node *root = xml_parse(buf_str(&op->body_bytes), op->arena);
    if (!root || !str_is(root->name, "CompleteMultipartUpload"))
        return S3_MALFORMED_XML;
    size_t count = xml_child_count(root, "Part");
    if (count == 0 || count > LIMIT_PARTS)
        return S3_MALFORMED_XML;
    c->listed = arena_array_of(op->arena, struct s3_listed_part, count);
    c->count = 0;
    for (const struct xml_node *n = root->first_child; n; n = n->next) {
        if (!str_is(n->name, "Part"))
            continue;
        CHECK(c->count < count);
        struct s3_listed_part part = {0};
        enum s3_error e = read_part(op, n, &part);
        if (e == S3_OK)
            e = append_part(op, c, &part);
        if (e != S3_OK)
            return e;
    }
    return S3_OK;
}

/* Against what was uploaded */

static void add_part_detail(struct s3_op *op, const struct s3_listed_part *l)
{
    s3_fail_extra(op, "PartNumber", arena_printf(op->arena, "%u", l->number));
    s3_fail_extra(op, "ETag", l->etag);
}

static enum s3_error fail_invalid_part(struct s3_op *op, const struct s3_listed_part *l)
{
    op->detail.upload_id = s3_param_value(&op->req, "uploadId");
    add_part_detail(op, l);
    return S3_INVALID_PART;
}

static bool etag_is(struct str etag, const uint8_t md5[MD5_SIZE])
{
    uint8_t bytes[MD5_SIZE];
    return etag.len == 2 * MD5_SIZE && hex_decode(etag, bytes, MD5_SIZE) && memcmp(bytes, md5, MD5_SIZE) == 0;
}

/* AWS asks for each part's checksum where the object's is made of them; what the parts came with serves as well. */
static enum s3_error check_part_checksum(struct s3_op *op, const struct s3_upload *u, const struct s3_listed_part *l,
                                         const struct s3_part *part)
{
    if (l->checksum.kind == S3_CHECKSUM_NONE)
        return S3_OK;
    if (s3_checksum_eq(&l->checksum, &part->checksum) || s3_checksum_eq(&l->checksum, &part->extra))
        return S3_OK;
    if (u->checksum != S3_CHECKSUM_NONE && l->checksum.kind != u->checksum)
        return s3_fail(op, S3_BAD_DIGEST, "The %s you specified for part %u did not match what we received.",
                       lower_name(op, l->checksum.kind), l->number);
    return fail_invalid_part(op, l);
}

enum s3_error s3_completion_check_part(struct s3_op *op, const struct s3_upload *u, const struct s3_completion *c,
                                       size_t i, const struct s3_part *part)
{
    const struct s3_listed_part *l = &c->listed[i];
    /* A record without the checksum that every part of the upload has is none of ours. */
    if (!part || part->checksum.kind != s3_upload_sum_kind(u) || !etag_is(l->etag, part->md5))
        return fail_invalid_part(op, l);
    enum s3_error e = check_part_checksum(op, u, l, part);
    if (e != S3_OK || i + 1 == c->count || part->size >= LIMIT_PART_BYTES_MIN)
        return e;
    s3_fail_extra(op, "ProposedSize", arena_printf(op->arena, "%" PRIu64, part->size));
    s3_fail_extra(op, "MinSizeAllowed", arena_printf(op->arena, "%llu", LIMIT_PART_BYTES_MIN));
    add_part_detail(op, l);
    return S3_ENTITY_TOO_SMALL;
}

/* The result */

static struct str object_etag(struct s3_op *op, const struct s3_part *parts, size_t count)
{
    CLEANUP(digest_freep) struct digest *md5 = digest_new(DIGEST_MD5);
    uint8_t value[DIGEST_SIZE_MAX];
    char hex[2 * MD5_SIZE];
    for (size_t i = 0; i < count; i++)
        digest_update(md5, str_of((const char *)parts[i].md5, MD5_SIZE));
    digest_final(md5, value);
    hex_encode(value, MD5_SIZE, hex);
    return arena_printf(op->arena, "%.*s-%zu", (int)sizeof(hex), hex, count);
}

static struct s3_checksum combine(const struct s3_part *parts, size_t count, enum s3_checksum_kind kind)
{
    struct s3_checksum sum = parts[0].checksum;
    for (size_t i = 1; i < count; i++) {
        uint8_t value[DIGEST_SIZE_MAX];
        digest_crc_combine(s3_checksum_digest(kind), sum.value, parts[i].checksum.value, parts[i].size, value);
        memcpy(sum.value, value, s3_checksum_size(kind));
    }
    return sum;
}

static struct s3_checksum compose(const struct s3_part *parts, size_t count, enum s3_checksum_kind kind)
{
    CLEANUP(digest_freep) struct digest *d = digest_new(s3_checksum_digest(kind));
    struct s3_checksum sum = {.kind = kind, .composite = true, .part_count = (uint32_t)count};
    uint8_t value[DIGEST_SIZE_MAX];
    for (size_t i = 0; i < count; i++)
        digest_update(d, str_of((const char *)parts[i].checksum.value, s3_checksum_size(kind)));
    digest_final(d, value);
    memcpy(sum.value, value, s3_checksum_size(kind));
    return sum;
}

static struct s3_checksum object_checksum(const struct s3_upload *u, const struct s3_part *parts, size_t count)
{
    enum s3_checksum_kind kind = s3_upload_sum_kind(u);
    for (size_t i = 0; i < count; i++)
        CHECK(parts[i].checksum.kind == kind); /* s3_completion_check_part */
    return u->checksum_composite ? compose(parts, count, kind) : combine(parts, count, kind);
}

/* An upload that chose no algorithm keeps CRC64NVME; as AWS, it does not look at checksums of other kinds. */
static enum s3_error check_object_checksum(struct s3_op *op, const struct s3_upload *u, const struct s3_completion *c,
                                           const struct s3_checksum *sum)
{
    struct s3_checksum sent = c->checksum;
    if (sent.kind == S3_CHECKSUM_NONE || (u->checksum == S3_CHECKSUM_NONE && sent.kind != sum->kind))
        return S3_OK;
    if (sent.part_count == 0)
        sent.part_count = sum->part_count;
    if (s3_checksum_eq(&sent, sum))
        return S3_OK;
    return s3_fail(op, S3_BAD_DIGEST, "The %s you specified did not match the calculated checksum.",
                   s3_checksum_name(sent.kind));
}

static void set_parts(struct s3_op *op, const struct s3_upload *u, const struct s3_part *parts, size_t count,
                      struct s3_objmeta *meta)
{
    meta->parts = arena_array_of(op->arena, struct s3_part_info, count);
    meta->part_count = count;
    for (size_t i = 0; i < count; i++) {
        meta->parts[i].number = parts[i].number;
        meta->parts[i].size = parts[i].size;
        if (u->checksum != S3_CHECKSUM_NONE)
            meta->parts[i].checksum = parts[i].checksum;
    }
}

enum s3_error s3_completion_result(struct s3_op *op, const struct s3_upload *u, const struct s3_completion *c,
                                   const struct s3_part *parts, struct s3_objmeta *meta)
{
    uint64_t size = 0;
    for (size_t i = 0; i < c->count; i++)
        size += parts[i].size;
    if (c->has_size && c->size != size)
        return s3_fail(op, S3_INVALID_REQUEST,
                       "The provided 'x-amz-mp-object-size' header value %" PRIu64
                       " does not match what was computed: %" PRIu64,
                       c->size, size);
    meta->checksum = object_checksum(u, parts, c->count);
    meta->etag = object_etag(op, parts, c->count);
    meta->upload_id = u->id;
    set_parts(op, u, parts, c->count, meta);
    return check_object_checksum(op, u, c, &meta->checksum);
}
