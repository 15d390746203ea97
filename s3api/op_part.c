/* UploadPart and UploadPartCopy. */
#include <errno.h>
#include <inttypes.h>

#include "base/check.h"
#include "base/encode.h"
#include "base/http_value.h"
#include "base/limits.h"
#include "s3api/body.h"
#include "s3api/copy_source.h"
#include "s3api/multipart.h"
#include "s3api/object.h"
#include "s3api/op_handlers.h"
#include "s3api/part.h"
#include "s3api/xml.h"

/* A copy's step: MD5 takes some 25 ms for it. */
#define COPY_STEP_BYTES (16ull << 20)
#define COPY_READ_BYTES (256 * 1024)

struct part_op {
    uint32_t number;
    struct s3_upload upload;
    struct s3_part_slot slot;
    struct digest *sum; /* of the object's kind, where the body's own digests are of another or none */
    /* UploadPartCopy */
    struct s3_copy_source source;
    uint64_t source_offset;
    struct digest *md5;
    char *bytes;
};

/* What both have in common ----------------------------------------------------------------------------------------- */

static enum s3_error read_number(struct s3_op *op, uint32_t *out)
{
    struct str text = s3_param_value(&op->req, "partNumber");
    uint64_t number;
    if (!str_parse_u64_max(text, LIMIT_PARTS, &number) || number == 0) {
        op->detail.argument_name = STR("partNumber");
        op->detail.argument_value = text;
        return S3_TOO_MANY_PARTS;
    }
    *out = (uint32_t)number;
    return S3_OK;
}

static enum s3_error open_upload(struct s3_op *op, struct part_op *p)
{
    enum s3_error e = read_number(op, &p->number);
    if (e == S3_OK)
        e = s3_object_check_unsupported(op);
    if (e == S3_OK)
        e = s3_upload_open(op, s3_param_value(&op->req, "uploadId"), op->req.key, &p->upload);
    return e;
}

/* The folder may have gone since it was opened: completed or aborted by somebody else. */
static enum s3_error fail_part(struct s3_op *op, const struct part_op *p, int r)
{
    if (r == -ENOENT)
        op->detail.upload_id = p->upload.id;
    return s3_fail_errno(op, r, S3_FOR_UPLOAD);
}

static enum s3_error begin_part(struct s3_op *op, struct part_op *p, uint64_t size)
{
    if (size > LIMIT_PART_BYTES_MAX) {
        s3_fail_extra(op, "ProposedSize", arena_printf(op->arena, "%" PRIu64, size));
        s3_fail_extra(op, "MaxSizeAllowed", arena_printf(op->arena, "%llu", LIMIT_PART_BYTES_MAX));
        return S3_ENTITY_TOO_LARGE;
    }
    int r = s3_part_begin(&p->slot, p->upload.dir, p->number, size);
    return r < 0 ? fail_part(op, p, r) : S3_OK;
}

static enum s3_error record_part(struct s3_op *op, struct part_op *p, struct s3_part *part)
{
    int r = s3_part_record(&p->slot, part);
    return r < 0 ? fail_part(op, p, r) : S3_OK;
}

static struct s3_checksum sum_value(struct digest *d, enum s3_checksum_kind kind)
{
    struct s3_checksum c = {.kind = kind};
    uint8_t value[DIGEST_SIZE_MAX];
    digest_final(d, value);
    memcpy(c.value, value, s3_checksum_size(kind));
    return c;
}

static void end_part(struct s3_op *op)
{
    struct part_op *p = op->data;
    if (!p)
        return;
    s3_part_end(&p->slot);
    s3_copy_source_close(&p->source);
    digest_freep(&p->sum);
    digest_freep(&p->md5);
    s3_upload_close(&p->upload);
}

/* UploadPart ------------------------------------------------------------------------------------------------------- */

/* An upload with an algorithm takes no other; a part without one gets it. An upload without takes any, checks it, and
 * keeps CRC64NVME besides. (AWS refuses parts without one where the object's checksum is made of the parts'.) */
static enum s3_error choose_checksum(struct s3_op *op, struct part_op *p)
{
    enum s3_checksum_kind announced = s3_body_announced_checksum(op), kept = s3_upload_sum_kind(&p->upload);
    bool is_free = p->upload.checksum == S3_CHECKSUM_NONE;
    if (!is_free && announced != S3_CHECKSUM_NONE && announced != kept) {
        CLEANUP(buf_done) struct buf names = buf_make(128);
        buf_add_lower(&names, str_z(s3_checksum_name(kept)));
        buf_addz(&names, ", actual checksum Type: ");
        buf_add_lower(&names, str_z(s3_checksum_name(announced)));
        return s3_fail(op, S3_INVALID_REQUEST, "Checksum Type mismatch occurred, expected checksum Type: %s",
                       buf_z(&names));
    }
    if (announced != S3_CHECKSUM_NONE && announced != kept)
        p->sum = digest_new(s3_checksum_digest(kept));
    s3_body_want(op, &(struct s3_body_want){.md5 = true, .checksum = kept});
    return S3_OK;
}

enum s3_error s3_upload_part_begin(struct s3_op *op)
{
    struct part_op *p = op->data = arena_new_of(op->arena, struct part_op);
    enum s3_error e = open_upload(op, p);
    if (e == S3_OK)
        e = choose_checksum(op, p);
    if (e != S3_OK)
        return e;
    int64_t length = s3_body_length(op);
    return length < 0 ? S3_MISSING_CONTENT_LENGTH : begin_part(op, p, (uint64_t)length);
}

enum s3_error s3_upload_part_sink(struct s3_op *op, struct pieces bytes)
{
    struct part_op *p = op->data;
    int r = s3_part_write(&p->slot, bytes);
    if (r < 0)
        return fail_part(op, p, r);
    if (p->sum)
        digest_update_pieces(p->sum, bytes);
    return S3_OK;
}

enum s3_error s3_upload_part_finish(struct s3_op *op)
{
    struct part_op *p = op->data;
    struct s3_part part = {.checksum = s3_body_checksum(op)};
    struct s3_checksum answer = part.checksum;
    if (p->sum) {
        part.extra = part.checksum;
        part.checksum = sum_value(p->sum, s3_upload_sum_kind(&p->upload));
    }
    s3_body_md5(op, part.md5);
    enum s3_error e = record_part(op, p, &part);
    if (e != S3_OK)
        return e;
    char etag[2 * sizeof(part.md5)], text[S3_CHECKSUM_TEXT_MAX];
    hex_encode(part.md5, sizeof(part.md5), etag);
    s3_reply_headerf(op, "ETag", "\"%.*s\"", (int)sizeof(etag), etag);
    if (p->upload.checksum != S3_CHECKSUM_NONE || s3_body_announced_checksum(op) != S3_CHECKSUM_NONE)
        s3_reply_header(op, s3_checksum_header(answer.kind), s3_checksum_text(&answer, text));
    return s3_reply_empty(op, 200);
}

void s3_upload_part_end(struct s3_op *op)
{
    end_part(op);
}

/* UploadPartCopy --------------------------------------------------------------------------------------------------- */

static enum s3_error fail_range(struct s3_op *op, struct str value, uint64_t size)
{
    op->detail.range_requested = value;
    op->detail.range_size = size;
    return s3_fail(op, S3_INVALID_RANGE, "Range specified is not valid for source object of size: %" PRIu64, size);
}

static enum s3_error read_range(struct s3_op *op, struct part_op *p, uint64_t *out_size)
{
    struct str value = s3_header(&op->req, "x-amz-copy-source-range");
    uint64_t source_size = p->source.object.attr.size, first, last;
    *out_size = source_size;
    if (!value.ptr)
        return S3_OK;
    if (!http_copy_range_parse(value, &first, &last)) {
        op->detail.argument_name = STR("x-amz-copy-source-range");
        op->detail.argument_value = value;
        return s3_fail(
            op, S3_INVALID_ARGUMENT,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy");
    }
    if (last >= source_size)
        return fail_range(op, value, source_size);
    p->source_offset = first;
    *out_size = last - first + 1;
    return S3_OK;
}

enum s3_error s3_upload_part_copy_begin(struct s3_op *op)
{
    struct part_op *p = op->data = arena_new_of(op->arena, struct part_op);
    uint64_t size;
    enum s3_error e = open_upload(op, p);
    if (e == S3_OK)
        e = s3_copy_source_open(op, false, &p->source);
    if (e == S3_OK)
        e = read_range(op, p, &size);
    if (e == S3_OK)
        e = begin_part(op, p, size);
    if (e != S3_OK)
        return e;
    p->md5 = digest_new(DIGEST_MD5);
    p->sum = digest_new(s3_checksum_digest(s3_upload_sum_kind(&p->upload)));
    p->bytes = arena_alloc(op->arena, COPY_READ_BYTES);
    return S3_OK;
}

/* What was cloned is read back from the part, not from the source: so the ETag is of the bytes that were taken, even if
 * somebody changes the source through POSIX meanwhile. */
static int digest_range(struct part_op *p, uint64_t offset, uint64_t size)
{
    while (size > 0) {
        size_t want = size < COPY_READ_BYTES ? (size_t)size : COPY_READ_BYTES;
        ssize_t got = vfs_read(p->slot.file, p->bytes, want, offset);
        if (got < 0)
            return (int)got;
        if ((size_t)got != want)
            return -EIO;
        digest_update(p->md5, str_of(p->bytes, want));
        digest_update(p->sum, str_of(p->bytes, want));
        offset += want;
        size -= want;
    }
    return 0;
}

/* 1: there is more. -ESTALE: the source has become shorter. */
static int copy_step(struct part_op *p)
{
    struct s3_part_slot *s = &p->slot;
    uint64_t from = s->done;
    while (s->done < s->size && s->done - from < COPY_STEP_BYTES) {
        uint64_t want = s->size - s->done, room = COPY_STEP_BYTES - (s->done - from), done;
        int r = vfs_clone_range(s->file, s->offset + s->done, p->source.object.file, p->source_offset + s->done,
                                want < room ? want : room, &done);
        if (r < 0)
            return r;
        if (done == 0)
            return -ESTALE;
        s->done += done;
    }
    int r = digest_range(p, s->offset + from, s->done - from);
    return r < 0 ? r : s->done < s->size;
}

static enum s3_error answer_copy(struct s3_op *op, const struct part_op *p, const struct s3_part *part)
{
    char etag[2 * sizeof(part->md5)];
    struct buf *b = &op->out;
    hex_encode(part->md5, sizeof(part->md5), etag);
    xml_begin(b);
    xml_open_ns(b, "CopyPartResult");
    xml_time(b, "LastModified", part->time_ns);
    xml_etag(b, "ETag", str_of(etag, sizeof(etag)));
    if (p->upload.checksum != S3_CHECKSUM_NONE)
        s3_checksum_xml(b, &part->checksum);
    xml_close(b, "CopyPartResult");
    return s3_reply_xml(op, 200);
}

enum s3_error s3_upload_part_copy_finish(struct s3_op *op)
{
    struct part_op *p = op->data;
    int r = copy_step(p);
    if (r == 1)
        return S3_AGAIN;
    if (r == -ESTALE)
        return S3_CONDITIONAL_CONFLICT;
    if (r < 0)
        return fail_part(op, p, r);
    struct s3_part part = {0};
    uint8_t md5[DIGEST_SIZE_MAX];
    digest_final(p->md5, md5);
    memcpy(part.md5, md5, sizeof(part.md5));
    part.checksum = sum_value(p->sum, s3_upload_sum_kind(&p->upload));
    enum s3_error e = record_part(op, p, &part);
    return e == S3_OK ? answer_copy(op, p, &part) : e;
}

void s3_upload_part_copy_end(struct s3_op *op)
{
    end_part(op);
}
