/* POST Object: a browser's upload. The fields before the file become the request that a PutObject would have been: its key, its
 * headers, its signature; from there on the file's bytes go the way of any other upload's. Only what a field says counts: headers of
 * the POST itself are the browser's, and no policy covers them. */
#include "s3api/op_handlers.h"

#include <errno.h>

#include "auth/form.h"
#include "base/check.h"
#include "base/encode.h"
#include "s3api/body.h"
#include "s3api/form.h"
#include "s3api/gate.h"
#include "s3api/upload.h"
#include "s3api/xml.h"

struct post {
    struct s3_form form;
    struct auth_query fields; /* names in lower case, none twice */
    struct auth_form_range range;
    struct s3_body *other; /* the form's body while the file's is op->body, and the other way round; NULL before the file */
    struct s3_upload upload;
    bool has_file, is_whole;
};

static struct str field(const struct post *p, const char *name)
{
    return auth_query_get(&p->fields, name);
}

static void swap_bodies(struct s3_op *op, struct post *p)
{
    struct s3_body *was = op->body;
    op->body = p->other;
    p->other = was;
}

/* Before the body */

enum s3_error s3_post_object_begin(struct s3_op *op)
{
    struct post *p = op->data = arena_new_of(op->arena, struct post);
    struct str boundary;
    if (op->auth.scheme != AUTH_ANONYMOUS)
        return s3_fail(op, S3_ACCESS_DENIED, "A form is signed by its own fields, not by a header or a query.");
    if (op->auth.payload == AUTH_PAYLOAD_STREAM_UNSIGNED_TRAILER)
        return s3_fail(op, S3_INVALID_REQUEST, "x-amz-content-sha256 is not for forms.");
    if (!s3_form_boundary(s3_header(&op->req, "content-type"), &boundary)) {
        op->detail.condition = STR("Bucket POST must be of the enclosure-type multipart/form-data");
        return S3_PRECONDITION_FAILED;
    }
    s3_form_init(&p->form, boundary);
    p->fields.params = arena_array_of(op->arena, struct auth_param, LIMIT_FORM_FIELDS);
    return S3_OK;
}

/* Fields */

static enum s3_error add_field(struct s3_op *op, struct post *p, struct str name, struct str value)
{
    struct buf lower = buf_over(arena_alloc(op->arena, name.len + 1), name.len + 1);
    buf_add_lower(&lower, name);
    if (p->fields.count == LIMIT_FORM_FIELDS)
        return S3_MAX_POST_FIELDS;
    if (field(p, lower.ptr).ptr) {
        op->detail.argument_name = buf_str(&lower);
        return s3_fail(op, S3_INVALID_ARGUMENT, "The form has two fields of this name.");
    }
    p->fields.params[p->fields.count++] =
        (struct auth_param){buf_str(&lower), str_of(arena_dupz(op->arena, value), value.len)};
    return S3_OK;
}

/* Some browsers give the file's whole path on their machine. */
static struct str base_name(struct str path)
{
    ptrdiff_t slash = str_rfind_char(path, '/'), backslash = str_rfind_char(path, '\\');
    return str_from(path, (size_t)((slash > backslash ? slash : backslash) + 1));
}

/* ${filename} counts for the policy as what stands for it. */
static enum s3_error take_key(struct s3_op *op, struct post *p, struct str file_name)
{
    static const struct str variable = STR_INIT("${filename}");
    struct str *key = NULL;
    for (size_t i = 0; i < p->fields.count; i++)
        if (str_is(p->fields.params[i].name, "key"))
            key = &p->fields.params[i].value;
    ptrdiff_t at = key ? str_find(*key, variable) : -1;
    if (at >= 0) {
        struct str tail = str_from(*key, (size_t)at + variable.len), name = base_name(file_name);
        *key = arena_printf(op->arena, "%.*s%.*s%.*s", (int)at, key->ptr, STR_ARG(name), STR_ARG(tail));
    }
    if (!key || key->len == 0)
        return S3_USER_KEY_MISSING;
    op->req.key = *key;
    op->req.resource = arena_printf(op->arena, "/%.*s/%.*s", STR_ARG(op->req.bucket), STR_ARG(*key));
    return S3_OK;
}

/* Headers out of fields */

/* What is about the connection and its policies, not about the object. */
static const char *const kept_headers[] = {"host", "user-agent", "referer", "origin"};

static const struct {
    const char *field, *header;
} from_fields[] = {
    {"acl", "x-amz-acl"},
    {"cache-control", "Cache-Control"},
    {"content-disposition", "Content-Disposition"},
    {"content-encoding", "Content-Encoding"},
    {"content-language", "Content-Language"},
    {"content-md5", "Content-MD5"},
    {"content-type", "Content-Type"},
    {"expires", "Expires"},
};

static struct str header_of(struct str name)
{
    static const char *const signature[] = {"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature",
                                            "x-amz-security-token"};
    for (size_t i = 0; i < ARRAY_SIZE(from_fields); i++)
        if (str_is(name, from_fields[i].field))
            return str_z(from_fields[i].header);
    for (size_t i = 0; i < ARRAY_SIZE(signature); i++)
        if (str_is(name, signature[i]))
            return STR_EMPTY;
    return str_starts(name, STR("x-amz-")) ? name : STR_EMPTY;
}

static bool is_header_text(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((s.ptr[i] >= 0 && s.ptr[i] < ' ' && s.ptr[i] != '\t') || s.ptr[i] == 0x7f)
            return false;
    return true;
}

static void push(struct http_head *head, struct str name, struct str value)
{
    CHECK(head->header_count < LIMIT_HEADER_COUNT);
    head->headers[head->header_count++] = (struct http_header){name, value};
}

/* The field has the document, the header the short form. */
static enum s3_error push_tagging(struct s3_op *op, struct http_head *head, struct str document)
{
    struct s3_pairs tags;
    enum s3_error e = s3_tags_parse_xml(op, document, LIMIT_TAGS_PER_OBJECT, &tags);
    if (e != S3_OK)
        return e;
    struct buf CLEANUP(buf_done) b = buf_make(LIMIT_FORM_BYTES * 3);
    for (size_t i = 0; i < tags.count; i++) {
        buf_addz(&b, i > 0 ? "&" : "");
        buf_add_uri(&b, tags.items[i].name, false);
        buf_addc(&b, '=');
        buf_add_uri(&b, tags.items[i].value, false);
    }
    push(head, STR("x-amz-tagging"), arena_dup(op->arena, buf_str(&b)));
    return S3_OK;
}

static enum s3_error make_head(struct s3_op *op, const struct post *p)
{
    struct http_head *head = arena_new_of(op->arena, struct http_head);
    *head = (struct http_head){.method = op->in.head->method, .target = op->in.head->target, .minor_version = 1};
    for (size_t i = 0; i < ARRAY_SIZE(kept_headers); i++) {
        const struct http_header *h = http_find(op->in.head, kept_headers[i]);
        if (h)
            push(head, h->name, h->value);
    }
    enum s3_error e = S3_OK;
    for (size_t i = 0; i < p->fields.count && e == S3_OK; i++) {
        const struct auth_param *f = &p->fields.params[i];
        struct str name = header_of(f->name);
        if (str_is(f->name, "tagging")) {
            e = push_tagging(op, head, f->value);
        } else if (name.ptr && !is_header_text(f->value)) {
            op->detail.argument_name = f->name;
            e = s3_fail(op, S3_INVALID_ARGUMENT, "The field has control characters.");
        } else if (name.ptr) {
            push(head, name, str_trim(f->value));
        }
    }
    op->req.head = head;
    return e;
}

/* The file */

static enum s3_error check_policy(struct s3_op *op, struct post *p)
{
    struct buf CLEANUP(buf_done) error = buf_make(2 * LIMIT_FORM_BYTES);
    p->range = (struct auth_form_range){.max = UINT64_MAX};
    if (op->auth.scheme == AUTH_ANONYMOUS)
        return S3_OK;
    int rc = auth_form_check(&p->fields, op->req.bucket, op->arena, &p->range, &error);
    if (rc == 0)
        return S3_OK;
    return s3_fail(op, rc == -EACCES ? S3_ACCESS_DENIED : S3_INVALID_POLICY_DOCUMENT, "%s", buf_z(&error));
}

static enum s3_error too_large(struct s3_op *op, const struct post *p, uint64_t size)
{
    s3_fail_extra(op, "ProposedSize", arena_printf(op->arena, "%ju", (uintmax_t)size));
    s3_fail_extra(op, "MaxSizeAllowed", arena_printf(op->arena, "%ju", (uintmax_t)p->range.max));
    return S3_ENTITY_TOO_LARGE;
}

static enum s3_error write_file(struct s3_op *op, struct pieces bytes)
{
    struct post *p = op->data;
    uint64_t size = p->upload.size + pieces_len(bytes);
    return size > p->range.max ? too_large(op, p, size) : s3_upload_write(op, &p->upload, bytes);
}

/* All that can be decided is, before the first byte of the file. */
static enum s3_error begin_file(struct s3_op *op, struct post *p, struct str file_name)
{
    p->has_file = true;
    enum s3_error e = take_key(op, p, file_name);
    if (e == S3_OK)
        e = make_head(op, p);
    if (e == S3_OK)
        e = s3_gate_form(op, &p->fields);
    if (e == S3_OK)
        e = check_policy(op, p);
    if (e != S3_OK)
        return e;
    struct s3_body *outer = op->body;
    e = s3_body_open_inner(op, write_file);
    if (e != S3_OK)
        return e;
    p->other = outer;
    e = s3_upload_begin(op, &p->upload);
    swap_bodies(op, p);
    return e;
}

static enum s3_error feed_file(struct s3_op *op, struct post *p, struct str bytes)
{
    swap_bodies(op, p);
    enum s3_error e = s3_body_feed(op, pieces_at(&bytes, 1));
    swap_bodies(op, p);
    return e;
}

static enum s3_error take_event(struct s3_op *op, struct post *p, enum s3_form_kind kind, const struct s3_form_event *event)
{
    switch (kind) {
    case S3_FORM_MORE:
        break;
    case S3_FORM_FIELD:
        return add_field(op, p, event->name, event->value);
    case S3_FORM_FILE_BEGIN:
        return begin_file(op, p, event->value);
    case S3_FORM_FILE_DATA:
        return feed_file(op, p, event->bytes);
    case S3_FORM_FILE_END:
        p->is_whole = true;
        break;
    case S3_FORM_TOO_LARGE:
        return S3_MAX_POST_FIELDS;
    case S3_FORM_BAD:
        return S3_MALFORMED_POST;
    }
    return S3_OK;
}

static enum s3_error parse(struct s3_op *op, struct post *p, struct str bytes)
{
    enum s3_error e = S3_OK;
    while (bytes.len > 0 && e == S3_OK) {
        struct s3_form_event event;
        enum s3_form_kind kind = s3_form_next(&p->form, &bytes, &event);
        e = take_event(op, p, kind, &event);
    }
    return e;
}

enum s3_error s3_post_object_sink(struct s3_op *op, struct pieces bytes)
{
    enum s3_error e = S3_OK;
    for (size_t i = 0; i < bytes.count && e == S3_OK; i++)
        e = parse(op, op->data, bytes.at[i]);
    return e;
}

/* The answer */

static struct str object_url(struct s3_op *op)
{
    struct buf CLEANUP(buf_done) b = buf_make(LIMIT_HEAD_BYTES);
    buf_addf(&b, "%s://", op->in.tls ? "https" : "http");
    buf_add(&b, http_get(op->in.head, "host"));
    if (!op->req.virtual_host) {
        buf_addc(&b, '/');
        buf_add_uri(&b, op->req.bucket, false);
    }
    buf_addc(&b, '/');
    buf_add_uri(&b, op->req.key, true);
    return arena_dup(op->arena, buf_str(&b));
}

/* A URL that a browser may be sent to; anything else counts as not given, as with S3. */
static struct str redirect_of(const struct post *p)
{
    struct str url = field(p, "success_action_redirect");
    if (!url.ptr)
        url = field(p, "redirect");
    bool is_url = str_starts_nocase(url, STR("http://")) || str_starts_nocase(url, STR("https://"));
    return is_url && is_header_text(url) && str_find_char(url, ' ') < 0 ? url : STR_EMPTY;
}

static enum s3_error reply_redirect(struct s3_op *op, struct str url, struct str etag)
{
    struct buf CLEANUP(buf_done) b = buf_make(2 * LIMIT_FORM_BYTES);
    ptrdiff_t fragment = str_find_char(url, '#');
    struct str base = fragment < 0 ? url : str_first(url, (size_t)fragment);
    buf_add(&b, base);
    buf_addz(&b, str_find_char(base, '?') < 0 ? "?bucket=" : "&bucket=");
    buf_add_uri(&b, op->req.bucket, false);
    buf_addz(&b, "&key=");
    buf_add_uri(&b, op->req.key, false);
    buf_addf(&b, "&etag=%%22%.*s%%22", STR_ARG(etag));
    if (fragment >= 0)
        buf_add(&b, str_from(url, (size_t)fragment));
    s3_reply_header(op, "Location", buf_str(&b));
    return s3_reply_empty(op, 303);
}

static enum s3_error reply_document(struct s3_op *op, struct str etag)
{
    struct buf *b = &op->out;
    xml_begin(b);
    xml_open(b, "PostResponse");
    xml_text(b, "Location", object_url(op));
    xml_text(b, "Bucket", op->req.bucket);
    xml_text(b, "Key", op->req.key);
    xml_etag(b, "ETag", etag);
    xml_close(b, "PostResponse");
    return s3_reply_xml(op, 201);
}

static enum s3_error reply(struct s3_op *op, const struct post *p)
{
    struct str redirect = redirect_of(p), status = field(p, "success_action_status");
    if (redirect.ptr)
        return reply_redirect(op, redirect, p->upload.meta.etag);
    s3_reply_header(op, "Location", object_url(op));
    if (str_is(status, "201"))
        return reply_document(op, p->upload.meta.etag);
    return s3_reply_empty(op, str_is(status, "200") ? 200 : 204);
}

static enum s3_error publish(struct s3_op *op, struct post *p)
{
    if (p->upload.size < p->range.min) {
        s3_fail_extra(op, "ProposedSize", arena_printf(op->arena, "%ju", (uintmax_t)p->upload.size));
        s3_fail_extra(op, "MinSizeAllowed", arena_printf(op->arena, "%ju", (uintmax_t)p->range.min));
        return S3_ENTITY_TOO_SMALL;
    }
    enum s3_error e = s3_body_finish(op);
    return e == S3_OK ? s3_upload_publish(op, &p->upload) : e;
}

enum s3_error s3_post_object_finish(struct s3_op *op)
{
    struct post *p = op->data;
    if (!p->is_whole)
        return p->has_file ? S3_MALFORMED_POST : S3_INCORRECT_FILE_COUNT;
    swap_bodies(op, p);
    enum s3_error e = publish(op, p);
    swap_bodies(op, p);
    return e == S3_OK ? reply(op, p) : e;
}

void s3_post_object_end(struct s3_op *op)
{
    struct post *p = op->data;
    if (!p)
        return;
    s3_form_done(&p->form);
    s3_upload_end(&p->upload);
    if (!p->other)
        return;
    swap_bodies(op, p);
    s3_body_close(op);
    swap_bodies(op, p);
}
