#include "s3api/op_handlers.h"

#include "base/clock.h"
#include "s3api/access.h"
#include "s3api/object.h"
#include "s3api/precondition.h"
#include "s3api/xml.h"

/* A step on a worker ends after this long: a deletion may wait for the disk. */
#define STEP_MS 20

/* What says which state of the object is meant; texts as sent, ptr NULL when absent. */
struct guard {
    struct str etag, size, modified;
};

static enum s3_error parse_guard(struct s3_op *op, const struct guard *g, struct s3_conditions *out)
{
    *out = (struct s3_conditions){.if_match = g->etag, .has_size = g->size.ptr, .has_modified = g->modified.ptr};
    int64_t ns = 0;
    if (g->size.ptr && !str_parse_u64(g->size, &out->size))
        return s3_fail(op, S3_INVALID_ARGUMENT, "The size to match must be a number of bytes");
    if (!g->modified.ptr || clock_parse_http(g->modified, &out->modified_s))
        return S3_OK;
    if (!clock_parse_iso8601(g->modified, &ns))
        return s3_fail(op, S3_INVALID_ARGUMENT, "The last modified time to match must be a date");
    out->modified_s = ns / 1000000000;
    return S3_OK;
}

/* Versions that never were are deleted as successfully as keys that never were. */
static enum s3_error delete_one(struct s3_op *op, struct str key_text, struct str version_id, const struct guard *g)
{
    struct s3_key key;
    struct s3_conditions conditions;
    bool existed;
    enum s3_error e = s3_object_version_check(op, version_id);
    if (e != S3_OK)
        return e == S3_NO_SUCH_VERSION ? S3_OK : e;
    e = s3_object_key(op, key_text, &key);
    if (e == S3_OK)
        e = parse_guard(op, g, &conditions);
    return e == S3_OK ? s3_object_delete(op, &key, &conditions, &existed) : e;
}

enum s3_error s3_delete_object_begin(struct s3_op *op)
{
    const struct guard g = {.etag = s3_header(&op->req, "if-match"),
                            .size = s3_header(&op->req, "x-amz-if-match-size"),
                            .modified = s3_header(&op->req, "x-amz-if-match-last-modified-time")};
    enum s3_error e = delete_one(op, op->req.key, s3_param_value(&op->req, "versionId"), &g);
    return e == S3_OK ? s3_reply_empty(op, 204) : e;
}

/* Many ----------------------------------------------------------------------------------------------------------- */

struct batch {
    const struct xml_node *next; /* child of <Delete>; NULL at the end */
    bool quiet;
};

static enum s3_error parse_batch(struct s3_op *op, struct batch *out)
{
    const struct xml_node *root = xml_parse(buf_str(&op->body_bytes), op->arena);
    if (!root || !str_is(root->name, "Delete"))
        return S3_MALFORMED_XML;
    size_t count = 0;
    for (const struct xml_node *n = root->first_child; n; n = n->next) {
        if (!str_is(n->name, "Object"))
            continue;
        const struct xml_node *key = xml_child(n, "Key");
        if (!key || key->text.len == 0 || ++count > LIMIT_DELETE_KEYS)
            return S3_MALFORMED_XML;
    }
    *out = (struct batch){.next = root->first_child, .quiet = str_eq_nocase(xml_child_text(root, "Quiet"), STR("true"))};
    return count > 0 ? S3_OK : S3_MALFORMED_XML;
}

static void write_result(struct s3_op *op, const struct batch *b, const struct xml_node *object, enum s3_error e)
{
    struct buf *out = &op->out;
    const struct xml_node *version = xml_child(object, "VersionId");
    if (e == S3_OK && b->quiet)
        return;
    const char *element = e == S3_OK ? "Deleted" : "Error";
    xml_open(out, element);
    xml_text(out, "Key", xml_child(object, "Key")->text);
    if (version && !str_is(version->text, "null"))
        xml_text(out, "VersionId", version->text);
    if (e != S3_OK) {
        xml_text(out, "Code", str_z(s3_error_code(e)));
        xml_text(out, "Message", op->detail.message.len > 0 ? op->detail.message : str_z(s3_error_message(e)));
    }
    xml_close(out, element);
}

static void delete_node(struct s3_op *op, const struct batch *b, const struct xml_node *object)
{
    const struct xml_node *version = xml_child(object, "VersionId");
    const struct guard g = {.etag = xml_child_text(object, "ETag"),
                            .size = xml_child_text(object, "Size"),
                            .modified = xml_child_text(object, "LastModifiedTime")};
    struct str key = xml_child(object, "Key")->text, version_id = version ? version->text : STR_EMPTY;
    struct s3_access a = s3_access_of(op, key, version_id);
    a.is_in_body = true;
    a.if_match = g.etag;
    enum s3_error e = s3_access_check_version(op, &a, op->row->action, op->row->version_action);
    if (e == S3_OK && (s3_condition_tells_content(g.etag) || g.size.ptr || g.modified.ptr))
        e = s3_access_check(op, &a, "s3:GetObject");
    if (e == S3_OK)
        e = s3_access_hide_absence_of(op, &a, delete_one(op, key, version_id, &g));
    write_result(op, b, object, e);
    op->detail = (struct s3_error_detail){0}; /* it was this key's */
}

enum s3_error s3_delete_objects_finish(struct s3_op *op)
{
    struct batch *b = op->data;
    if (!b) {
        b = op->data = arena_new_of(op->arena, struct batch);
        enum s3_error e = parse_batch(op, b);
        if (e != S3_OK)
            return e;
        xml_begin(&op->out);
        xml_open_ns(&op->out, "DeleteResult");
    }
    uint64_t start_ms = clock_mono_ms();
    for (; b->next; b->next = b->next->next) {
        if (clock_mono_ms() - start_ms >= STEP_MS)
            return S3_AGAIN;
        if (str_is(b->next->name, "Object"))
            delete_node(op, b, b->next);
    }
    xml_close(&op->out, "DeleteResult");
    return s3_reply_xml(op, 200);
}
