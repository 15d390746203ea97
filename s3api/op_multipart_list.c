/* ListParts and ListMultipartUploads. */
#include <errno.h>

#include "base/encode.h"
#include "base/limits.h"
#include "s3api/bucket.h"
#include "s3api/listing.h"
#include "s3api/multipart.h"
#include "s3api/object.h"
#include "s3api/op_handlers.h"
#include "s3api/part.h"
#include "s3api/upload_page.h"
#include "s3api/xml.h"

/* What both show of an upload. */
static void add_checksum_type(struct buf *b, const struct s3_upload *u)
{
    if (u->checksum == S3_CHECKSUM_NONE)
        return;
    xml_text(b, "ChecksumAlgorithm", str_z(s3_checksum_name(u->checksum)));
    xml_text(b, "ChecksumType", u->checksum_composite ? STR("COMPOSITE") : STR("FULL_OBJECT"));
}

static void add_people(struct s3_op *op, const struct s3_upload *u)
{
    s3_owner_xml(op, "Initiator", u->initiator_id);
    s3_owner_xml(op, "Owner", u->owner_id);
    xml_text(&op->out, "StorageClass", u->meta.storage_class.len > 0 ? u->meta.storage_class : STR("STANDARD"));
}

/* ListParts -------------------------------------------------------------------------------------------------------- */

struct part_page {
    struct s3_upload upload;
    uint32_t max, after, last;
    bool is_truncated;
    struct buf parts; /* their elements */
};

static enum s3_error read_part_marker(struct s3_op *op, uint32_t *out)
{
    struct str text = s3_param_value(&op->req, "part-number-marker");
    uint64_t value = 0;
    *out = 0;
    if (text.len > 0 && !str_parse_u64_max(text, INT32_MAX, &value)) {
        op->detail.argument_name = STR("part-number-marker");
        op->detail.argument_value = text;
        return s3_fail(op, S3_INVALID_ARGUMENT, "Provided part-number-marker not an integer or within integer range");
    }
    *out = value < LIMIT_PARTS ? (uint32_t)value : LIMIT_PARTS;
    return S3_OK;
}

static void add_part(struct part_page *page, const struct s3_part *p)
{
    struct buf *b = &page->parts;
    char etag[2 * sizeof(p->md5)];
    hex_encode(p->md5, sizeof(p->md5), etag);
    xml_open(b, "Part");
    xml_u64(b, "PartNumber", p->number);
    xml_time(b, "LastModified", p->time_ns);
    xml_etag(b, "ETag", str_of(etag, sizeof(etag)));
    xml_u64(b, "Size", p->size);
    if (page->upload.checksum != S3_CHECKSUM_NONE)
        s3_checksum_xml(b, &p->checksum);
    xml_close(b, "Part");
}

/* Records have their numbers' order. One that cannot be read is no part, as Complete sees it too. */
static int collect_parts(struct part_page *page)
{
    char from[S3_PART_NAME_SIZE];
    CLEANUP(vfs_scan_closep) struct vfs_scan *scan = NULL;
    struct vfs_dirent entry;
    struct s3_part part;
    uint32_t number, count = 0;
    int r = vfs_scan_open(page->upload.dir, STR_EMPTY, NULL, s3_part_name(page->after, from), &scan);
    while (r == 0 && (r = vfs_scan_next(scan, &entry)) == 1) {
        r = 0;
        if (!s3_part_name_parse(entry.name, &number))
            break; /* behind the last record */
        if (number <= page->after || s3_part_read(page->upload.dir, number, &part) < 0)
            continue;
        if (count == page->max) {
            page->is_truncated = true;
            break;
        }
        add_part(page, &part);
        page->last = number;
        count++;
    }
    return r;
}

static enum s3_error answer_parts(struct s3_op *op, const struct part_page *page)
{
    struct buf *b = &op->out;
    xml_begin(b);
    xml_open_ns(b, "ListPartsResult");
    xml_text(b, "Bucket", op->req.bucket);
    xml_text(b, "Key", op->req.key);
    xml_text(b, "UploadId", page->upload.id);
    add_people(op, &page->upload);
    xml_u64(b, "PartNumberMarker", page->after);
    xml_u64(b, "NextPartNumberMarker", page->last);
    xml_u64(b, "MaxParts", page->max);
    xml_bool(b, "IsTruncated", page->is_truncated);
    add_checksum_type(b, &page->upload);
    buf_add(b, buf_str(&page->parts));
    xml_close(b, "ListPartsResult");
    return s3_reply_xml(op, 200);
}

enum s3_error s3_list_parts_begin(struct s3_op *op)
{
    struct part_page page = {.parts = buf_make(LIMIT_XML_REPLY_BYTES)};
    struct s3_list_params params;
    enum s3_error e = s3_list_params_parse(op, "max-parts", &params);
    if (e == S3_OK)
        e = read_part_marker(op, &page.after);
    if (e == S3_OK)
        e = s3_upload_open(op, s3_param_value(&op->req, "uploadId"), op->req.key, &page.upload);
    if (e != S3_OK)
        return e;
    page.max = params.max;
    int r = collect_parts(&page);
    e = r < 0 ? s3_fail_errno(op, r, S3_FOR_UPLOAD) : answer_parts(op, &page);
    buf_done(&page.parts);
    s3_upload_close(&page.upload);
    return e;
}

/* ListMultipartUploads --------------------------------------------------------------------------------------------- */

/* Uploads lie in the order of their making, so each page looks at the records of all. */
#define STEP_UPLOADS 1000

struct upload_listing {
    struct s3_list_params params;
    struct str key_marker, id_marker; /* ptr NULL: absent */
    struct vfs_dir *dir;              /* NULL: there are no uploads */
    struct vfs_scan *scan;
    struct arena *scratch;
    struct s3_upload_page page;
};

/* The other door: uploads are kept by the process itself, but whom the kernel lets see no names in the bucket sees none of theirs. */
static int look_as_caller(struct s3_op *op)
{
    CLEANUP(vfs_scan_closep) struct vfs_scan *scan = NULL;
    return op->cred ? vfs_scan_open_unordered(op->bucket, STR_EMPTY, op->cred, &scan) : 0;
}

static bool is_within_reach(struct s3_op *op, const struct s3_upload *u)
{
    struct s3_key key;
    struct vfs_attr attr;
    if (!op->cred)
        return true;
    return s3_object_key(op, u->key, &key) == S3_OK && vfs_lookup(op->bucket, key.path, op->cred, &attr) != -EACCES;
}

enum s3_error s3_list_multipart_uploads_begin(struct s3_op *op)
{
    struct upload_listing *l = op->data = arena_new_of(op->arena, struct upload_listing);
    enum s3_error e = s3_list_params_parse(op, "max-uploads", &l->params);
    if (e == S3_OK)
        e = s3_list_text_param(op, "key-marker", &l->key_marker);
    if (e != S3_OK)
        return e;
    l->id_marker = s3_param_value(&op->req, "upload-id-marker");
    l->scratch = arena_new();
    s3_upload_page_init(&l->page, l->params.max);
    int r = look_as_caller(op);
    if (r < 0)
        return s3_fail_errno(op, r, S3_FOR_BUCKET);
    r = vfs_dir_open(op->bucket, STR(S3_UPLOADS_DIR), NULL, &l->dir);
    if (r == 0)
        r = vfs_scan_open(l->dir, STR_EMPTY, NULL, STR_EMPTY, &l->scan);
    return r < 0 && r != -ENOENT ? s3_fail_errno(op, r, S3_FOR_BUCKET) : S3_OK;
}

/* What is shown at a place of the order, and whether the page before this one has shown it: a common prefix by its
 * name, an upload of the marker's key only if the id marker says that it stopped before it. */
static bool is_before_page(const struct upload_listing *l, struct str shown, bool is_prefix, struct str id)
{
    if (!l->key_marker.ptr)
        return false;
    int order = str_cmp(shown, l->key_marker);
    if (order != 0 || is_prefix || l->id_marker.len == 0)
        return order <= 0;
    return str_cmp(id, l->id_marker) <= 0;
}

static void offer(struct upload_listing *l, const struct s3_upload *u)
{
    if (!str_starts(u->key, l->params.prefix))
        return;
    struct str prefix = s3_common_prefix(u->key, l->params.prefix, l->params.delimiter);
    bool is_prefix = prefix.len > 0;
    struct str shown = is_prefix ? prefix : u->key;
    if (!is_before_page(l, shown, is_prefix, u->id))
        s3_upload_page_add(&l->page, shown, is_prefix ? STR_EMPTY : u->id);
}

/* S3_AGAIN: a step is done. An upload whose record cannot be read is being made or removed. */
static enum s3_error look_through(struct s3_op *op, struct upload_listing *l)
{
    struct vfs_dirent entry;
    for (size_t budget = STEP_UPLOADS; budget > 0; budget--) {
        struct s3_upload u;
        int r = vfs_scan_next(l->scan, &entry);
        if (r < 0)
            return s3_fail_errno(op, r, S3_FOR_BUCKET);
        if (r == 0)
            return S3_OK;
        bool is_upload = s3_upload_id_is_valid(entry.name) && s3_upload_read(l->dir, entry.name, l->scratch, &u) == 0;
        if (is_upload && is_within_reach(op, &u))
            offer(l, &u);
        arena_reset(l->scratch);
    }
    return S3_AGAIN;
}

static void add_upload(struct s3_op *op, struct upload_listing *l, const struct s3_upload_row *row)
{
    struct buf *b = &op->out;
    struct s3_upload u;
    if (s3_upload_read(l->dir, str_of(row->id, sizeof(row->id)), l->scratch, &u) < 0)
        return; /* it has ended meanwhile */
    xml_open(b, "Upload");
    s3_list_key_xml(b, &l->params, "Key", u.key);
    xml_text(b, "UploadId", u.id);
    add_people(op, &u);
    xml_time(b, "Initiated", u.initiated_ns);
    add_checksum_type(b, &u);
    xml_close(b, "Upload");
    arena_reset(l->scratch);
}

static void add_head(struct s3_op *op, const struct upload_listing *l)
{
    struct buf *b = &op->out;
    const struct s3_upload_page *p = &l->page;
    const struct s3_upload_row *last = p->is_truncated && p->count > 0 ? p->rows[p->count - 1] : NULL;
    xml_text(b, "Bucket", op->req.bucket);
    s3_list_key_xml(b, &l->params, "KeyMarker", l->key_marker);
    xml_text(b, "UploadIdMarker", l->id_marker);
    if (last)
        s3_list_key_xml(b, &l->params, "NextKeyMarker", last->key);
    if (last && !last->is_prefix)
        xml_text(b, "NextUploadIdMarker", str_of(last->id, sizeof(last->id)));
    if (l->params.delimiter.len > 0)
        s3_list_key_xml(b, &l->params, "Delimiter", l->params.delimiter);
    s3_list_key_xml(b, &l->params, "Prefix", l->params.prefix);
    if (l->params.url)
        xml_text(b, "EncodingType", STR("url"));
    xml_u64(b, "MaxUploads", l->params.max);
    xml_bool(b, "IsTruncated", last != NULL);
}

enum s3_error s3_list_multipart_uploads_finish(struct s3_op *op)
{
    struct upload_listing *l = op->data;
    enum s3_error e = l->scan && l->params.max > 0 ? look_through(op, l) : S3_OK;
    if (e != S3_OK)
        return e;
    struct buf *b = &op->out;
    xml_begin(b);
    xml_open_ns(b, "ListMultipartUploadsResult");
    add_head(op, l);
    for (size_t i = 0; i < l->page.count; i++)
        if (!l->page.rows[i]->is_prefix)
            add_upload(op, l, l->page.rows[i]);
    for (size_t i = 0; i < l->page.count; i++)
        if (l->page.rows[i]->is_prefix)
            s3_list_prefix_xml(b, &l->params, l->page.rows[i]->key);
    xml_close(b, "ListMultipartUploadsResult");
    return s3_reply_xml(op, 200);
}

void s3_list_multipart_uploads_end(struct s3_op *op)
{
    struct upload_listing *l = op->data;
    if (!l)
        return;
    s3_upload_page_done(&l->page);
    vfs_scan_closep(&l->scan);
    vfs_dir_closep(&l->dir);
    arena_free(l->scratch);
}
