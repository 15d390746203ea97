#include "s3api/object.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "s3api/dialect.h"
#include "s3api/ownership.h"
#include "s3api/xml.h"

#define NS_PER_S 1000000000
/* Whoever holds the lock of an object rewrites its record, which takes well under a millisecond. */
#define LOCK_ATTEMPTS 2000
#define LOCK_PAUSE_NS 1000000
/* Each means that somebody has replaced the object between two calls; then the client may ask again. */
#define REOPENINGS_MAX 100

enum s3_error s3_object_key(struct s3_op *op, struct str key, struct s3_key *out)
{
    const char *reason = NULL;
    enum s3_error e = s3_key_parse(key, out, &reason);
    if (e == S3_OK || !reason)
        return e;
    op->detail.argument_name = STR("key");
    op->detail.argument_value = key;
    return s3_fail(op, e, "%s", reason);
}

enum s3_error s3_object_version_check(struct s3_op *op, struct str version_id)
{
    if (!version_id.ptr || str_is(version_id, "null"))
        return S3_OK;
    op->detail.argument_name = STR("versionId");
    op->detail.argument_value = version_id;
    if (version_id.len == 0)
        return s3_fail(op, S3_INVALID_ARGUMENT, "Version id cannot be the empty string");
    /* AWS's ids are 32 characters; one of that shape may have existed, any other never did. */
    bool plausible = version_id.len == 32;
    for (size_t i = 0; i < version_id.len; i++) {
        char c = version_id.ptr[i];
        plausible &= (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                     c == '_' || c == '-';
    }
    return plausible ? S3_NO_SUCH_VERSION : s3_fail(op, S3_INVALID_ARGUMENT, "Invalid version id specified");
}

/* Opening -------------------------------------------------------------------------------------------------------- */

int s3_directory_is_object(struct vfs_dir *bucket, struct str path, const struct vfs_cred *cred)
{
    int implicit = vfs_is_implicit(bucket, path, cred);
    return implicit < 0 ? implicit : !implicit;
}

static enum s3_error no_such_key(struct s3_op *op, struct str key)
{
    op->detail.key = key;
    return S3_NO_SUCH_KEY;
}

static enum s3_error fail_key(struct s3_op *op, int rc, struct str key)
{
    enum s3_error e = s3_fail_errno(op, rc, S3_FOR_KEY);
    return e == S3_NO_SUCH_KEY ? no_such_key(op, key) : e;
}

int s3_object_lock(struct vfs_file *f)
{
    int rc = vfs_lock(f, true);
    for (int i = 0; rc == -EAGAIN && i < LOCK_ATTEMPTS; i++) {
        (void)nanosleep(&(struct timespec){.tv_nsec = LOCK_PAUSE_NS}, NULL);
        rc = vfs_lock(f, true);
    }
    return rc;
}

/* The node behind the key, when it is of the kind that the key says. */
static enum s3_error open_node(struct s3_op *op, struct vfs_dir *bucket, struct s3_object *o)
{
    unsigned flags = o->key.is_directory ? VFS_OPEN_DIRECTORY : VFS_OPEN_READ;
    int rc = vfs_open(bucket, o->key.path, op->cred, flags, &o->file, &o->attr);
    if (rc < 0)
        return fail_key(op, rc, o->key.key);
    if (!o->key.is_directory)
        return S3_OK;
    if (o->attr.type != VFS_DIRECTORY)
        return no_such_key(op, o->key.key);
    rc = s3_directory_is_object(bucket, o->key.path, op->cred);
    if (rc < 0)
        return fail_key(op, rc, o->key.key);
    return rc ? S3_OK : no_such_key(op, o->key.key);
}

static enum s3_error load(struct s3_op *op, struct s3_object *o, bool *out_again)
{
    int rc = s3_objmeta_load(o->file, &o->attr, o->key.key, op->arena, &o->meta);
    *out_again = rc == -ESTALE;
    if (rc < 0)
        return fail_key(op, rc == -ESTALE ? -EBUSY : rc, o->key.key);
    s3_dialect_overlay(&o->meta, &o->attr, op->arena);
    if (o->attr.type == VFS_DIRECTORY)
        o->attr.size = 0;
    return S3_OK;
}

/* *out_again: another took its name and its record meanwhile. */
static enum s3_error open_once(struct s3_op *op, struct vfs_dir *bucket, struct str key, bool locked, struct s3_object *out,
                               bool *out_again)
{
    struct s3_object o = {0};
    *out_again = false;
    enum s3_error e = s3_object_key(op, key, &o.key);
    if (e == S3_OK)
        e = open_node(op, bucket, &o);
    if (e == S3_OK && locked) {
        int rc = s3_object_lock(o.file);
        if (rc == 0)
            rc = vfs_fstat(o.file, &o.attr);
        e = rc < 0 ? fail_key(op, rc, key) : S3_OK;
    }
    if (e == S3_OK)
        e = load(op, &o, out_again);
    if (e == S3_OK && !s3_owned_is_as_judged(op, &o, bucket))
        e = S3_ACCESS_DENIED; /* another one came in between: whoever asks again is judged by that */
    if (e != S3_OK)
        s3_object_close(&o);
    *out = o;
    return e;
}

static enum s3_error open_object(struct s3_op *op, struct vfs_dir *bucket, struct str key, bool locked,
                                 struct s3_object *out)
{
    bool again = true;
    enum s3_error e = S3_OK;
    for (int i = 0; again && i < REOPENINGS_MAX; i++)
        e = open_once(op, bucket, key, locked, out, &again);
    return e;
}

enum s3_error s3_object_open(struct s3_op *op, struct vfs_dir *bucket, struct str key, struct s3_object *out)
{
    return open_object(op, bucket, key, false, out);
}

enum s3_error s3_object_open_locked(struct s3_op *op, struct str key, struct s3_object *out)
{
    return open_object(op, op->bucket, key, true, out);
}

void s3_object_close(struct s3_object *o)
{
    vfs_closep(&o->file);
}

/* The attributes under which the record was read go into its validator, not those of now: a change through POSIX in between
 * must not be taken for something that the record describes. */
enum s3_error s3_object_store(struct s3_op *op, struct s3_object *o)
{
    struct s3_objmeta m = o->meta;
    if (str_eq(m.etag, s3_etag_derive(&o->attr, op->arena)))
        m.etag = STR_EMPTY;
    if (m.posix.set)
        m.posix = (struct s3_posix_note){true, o->attr.mode, o->attr.uid, o->attr.gid};
    int rc = s3_objmeta_write(o->file, op->cred, &m, &o->attr);
    if (rc == 0)
        rc = vfs_sync(o->file);
    return rc < 0 ? s3_fail_errno(op, rc, S3_FOR_WRITE) : S3_OK;
}

/* Answering ------------------------------------------------------------------------------------------------------ */

static struct str checksum_type(const struct s3_checksum *c)
{
    return c->composite ? STR("COMPOSITE") : STR("FULL_OBJECT");
}

void s3_reply_checksum(struct s3_op *op, const struct s3_checksum *c)
{
    if (c->kind == S3_CHECKSUM_NONE)
        return;
    char text[S3_CHECKSUM_TEXT_MAX];
    s3_reply_header(op, s3_checksum_header(c->kind), s3_checksum_text(c, text));
    s3_reply_header(op, "x-amz-checksum-type", checksum_type(c));
}

void s3_write_checksum(struct s3_op *op, const struct s3_checksum *c)
{
    s3_checksum_xml(&op->out, c);
    if (c->kind != S3_CHECKSUM_NONE)
        xml_text(&op->out, "ChecksumType", checksum_type(c));
}

static void reply_text(struct s3_op *op, const char *name, struct str value)
{
    if (value.len > 0)
        s3_reply_header(op, name, value);
}

static struct str quoted(struct s3_op *op, struct str etag)
{
    struct buf text = buf_over(arena_alloc(op->arena, etag.len + 3), etag.len + 3);
    buf_addc(&text, '"');
    buf_add(&text, etag);
    buf_addc(&text, '"');
    return buf_str(&text);
}

void s3_object_reply_headers(struct s3_op *op, const struct s3_object *o, bool with_checksum)
{
    const struct s3_objmeta *m = &o->meta;
    char date[CLOCK_TEXT_MAX];
    s3_reply_header(op, "ETag", quoted(op, m->etag));
    s3_reply_header(op, "Last-Modified", clock_format_http(s3_object_modified_s(o), date));
    s3_reply_header(op, "Accept-Ranges", STR("bytes"));
    reply_text(op, "Content-Type", m->content_type);
    reply_text(op, "Cache-Control", m->cache_control);
    reply_text(op, "Content-Disposition", m->content_disposition);
    reply_text(op, "Content-Encoding", m->content_encoding);
    reply_text(op, "Content-Language", m->content_language);
    reply_text(op, "Expires", m->expires);
    reply_text(op, "x-amz-website-redirect-location", m->website_redirect);
    reply_text(op, "x-amz-storage-class", m->storage_class);
    for (size_t i = 0; i < m->user.count; i++)
        s3_reply_header(op, arena_printf(op->arena, "x-amz-meta-%.*s", STR_ARG(m->user.items[i].name)).ptr,
                        m->user.items[i].value);
    if (m->tags.count > 0)
        s3_reply_headerf(op, "x-amz-tagging-count", "%zu", m->tags.count);
    if (with_checksum && str_eq_nocase(s3_header(&op->req, "x-amz-checksum-mode"), STR("ENABLED")))
        s3_reply_checksum(op, &m->checksum);
}

int64_t s3_object_modified_s(const struct s3_object *o)
{
    int64_t ns = o->meta.modified_ns;
    return ns / NS_PER_S - (ns % NS_PER_S < 0);
}
