/* What can be asked and said of an object beside its bytes: tags, attributes. */
#include "s3api/op_handlers.h"

#include "base/clock.h"
#include "s3api/access.h"
#include "s3api/object.h"
#include "s3api/xml.h"

/* The request's object, of the version it asks for. */
static enum s3_error open_asked(struct s3_op *op, bool locked, struct s3_object *out)
{
    *out = (struct s3_object){0};
    enum s3_error e = s3_object_version_check(op, s3_param_value(&op->req, "versionId"));
    if (e != S3_OK)
        return e;
    return locked ? s3_object_open_locked(op, op->req.key, out) : s3_object_open(op, op->bucket, op->req.key, out);
}

/* Tags ----------------------------------------------------------------------------------------------------------- */

enum s3_error s3_get_object_tagging_begin(struct s3_op *op)
{
    struct s3_object o;
    enum s3_error e = open_asked(op, false, &o);
    if (e != S3_OK)
        return e;
    s3_object_close(&o);
    s3_tags_write_xml(op, &o.meta.tags);
    return s3_reply_xml(op, 200);
}

static enum s3_error replace_tags(struct s3_op *op, struct s3_pairs tags, int status)
{
    struct s3_object o;
    enum s3_error e = open_asked(op, true, &o);
    if (e == S3_OK) {
        o.meta.tags = tags;
        e = s3_object_store(op, &o);
    }
    s3_object_close(&o);
    return e == S3_OK ? s3_reply_empty(op, status) : e;
}

enum s3_error s3_put_object_tagging_finish(struct s3_op *op)
{
    struct s3_pairs tags;
    enum s3_error e = s3_tags_parse_xml(op, buf_str(&op->body_bytes), LIMIT_TAGS_PER_OBJECT, &tags);
    if (e != S3_OK)
        return e;
    struct s3_access a = s3_access_of(op, op->req.key, s3_param_value(&op->req, "versionId"));
    op->request_tags = &tags;
    e = s3_access_check_version(op, &a, op->row->action, op->row->version_action);
    op->request_tags = NULL;
    return e == S3_OK ? replace_tags(op, tags, 200) : e;
}

enum s3_error s3_delete_object_tagging_begin(struct s3_op *op)
{
    return replace_tags(op, (struct s3_pairs){0}, 204);
}

/* Attributes ----------------------------------------------------------------------------------------------------- */

enum { ASK_ETAG = 1, ASK_CHECKSUM = 2, ASK_PARTS = 4, ASK_STORAGE_CLASS = 8, ASK_SIZE = 16 };

static enum s3_error parse_names(struct s3_op *op, struct str names, unsigned *asked)
{
    static const char *const known[] = {"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"};
    struct str name;
    while (str_split(&names, ',', &name)) {
        unsigned bit = 0;
        name = str_trim(name);
        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
            if (str_is(name, known[i]))
                bit = 1u << i;
        if (!bit) {
            op->detail.argument_name = STR("x-amz-object-attributes");
            op->detail.argument_value = name;
            return s3_fail(op, S3_INVALID_ARGUMENT, "Invalid attribute name specified.");
        }
        *asked |= bit;
    }
    return S3_OK;
}

/* The header may be repeated instead of holding a list. */
static enum s3_error parse_asked(struct s3_op *op, unsigned *out)
{
    const struct http_head *head = op->req.head;
    *out = 0;
    for (size_t i = 0; i < head->header_count; i++) {
        const struct http_header *h = &head->headers[i];
        enum s3_error e = S3_OK;
        if (str_eq_nocase(h->name, STR("x-amz-object-attributes")) && h->value.len > 0)
            e = parse_names(op, h->value, out);
        if (e != S3_OK)
            return e;
    }
    if (*out == 0)
        return s3_fail(op, S3_INVALID_ARGUMENT, "The x-amz-object-attributes header specifying the attributes to be "
                                                "retrieved is either missing or empty");
    return S3_OK;
}

static enum s3_error number_header(struct s3_op *op, const char *name, uint64_t absent, uint64_t *out)
{
    struct str value = s3_header(&op->req, name);
    *out = absent;
    if (!value.ptr || str_parse_u64_max(value, INT32_MAX, out))
        return S3_OK;
    op->detail.argument_name = str_z(name);
    op->detail.argument_value = value;
    return s3_fail(op, S3_INVALID_ARGUMENT, "Provided %s not an integer or within integer range", name);
}

static void write_part(struct buf *b, const struct s3_part_info *part)
{
    xml_open(b, "Part");
    s3_checksum_xml(b, &part->checksum);
    xml_u64(b, "PartNumber", part->number);
    xml_u64(b, "Size", part->size);
    xml_close(b, "Part");
}

/* One page of the parts behind the marker. */
static void write_parts(struct buf *b, const struct s3_objmeta *m, uint64_t marker, uint64_t max)
{
    size_t first = 0;
    while (first < m->part_count && m->parts[first].number <= marker)
        first++;
    size_t end = m->part_count - first > max ? first + (size_t)max : m->part_count;
    xml_open(b, "ObjectParts");
    xml_u64(b, "PartsCount", m->part_count);
    xml_u64(b, "PartNumberMarker", marker);
    if (end < m->part_count && end > 0)
        xml_u64(b, "NextPartNumberMarker", m->parts[end - 1].number);
    xml_u64(b, "MaxParts", max);
    xml_bool(b, "IsTruncated", end < m->part_count);
    for (size_t i = first; i < end; i++)
        write_part(b, &m->parts[i]);
    xml_close(b, "ObjectParts");
}

static void write_attributes(struct s3_op *op, const struct s3_object *o, unsigned asked, uint64_t marker, uint64_t max)
{
    const struct s3_objmeta *m = &o->meta;
    struct buf *b = &op->out;
    xml_begin(b);
    xml_open_ns(b, "GetObjectAttributesResponse");
    if (asked & ASK_ETAG)
        xml_text(b, "ETag", m->etag); /* without quotes, here only */
    if (asked & ASK_CHECKSUM && m->checksum.kind != S3_CHECKSUM_NONE) {
        xml_open(b, "Checksum");
        s3_write_checksum(op, &m->checksum);
        xml_close(b, "Checksum");
    }
    if (asked & ASK_PARTS && m->part_count > 0)
        write_parts(b, m, marker, max);
    if (asked & ASK_STORAGE_CLASS)
        xml_text(b, "StorageClass", m->storage_class.len > 0 ? m->storage_class : STR("STANDARD"));
    if (asked & ASK_SIZE)
        xml_u64(b, "ObjectSize", o->attr.size);
    xml_close(b, "GetObjectAttributesResponse");
}

enum s3_error s3_get_object_attributes_begin(struct s3_op *op)
{
    struct s3_object o;
    unsigned asked;
    uint64_t max, marker;
    char date[CLOCK_TEXT_MAX];
    enum s3_error e = parse_asked(op, &asked);
    if (e == S3_OK)
        e = number_header(op, "x-amz-max-parts", LIMIT_LIST_KEYS, &max);
    if (e == S3_OK)
        e = number_header(op, "x-amz-part-number-marker", 0, &marker);
    if (e == S3_OK)
        e = open_asked(op, false, &o);
    if (e != S3_OK)
        return e;
    s3_object_close(&o);
    s3_reply_header(op, "Last-Modified", clock_format_http(s3_object_modified_s(&o), date));
    write_attributes(op, &o, asked, marker, max < LIMIT_LIST_KEYS ? max : LIMIT_LIST_KEYS);
    return s3_reply_xml(op, 200);
}
