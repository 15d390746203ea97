#include "s3api/op_handlers.h"

#include <errno.h>

#include "base/encode.h"
#include "s3api/access.h"
#include "s3api/object.h"

#define SOURCE "x-amz-rename-source"
#define SOURCE_IF SOURCE "-"

/* "[/]key", percent-encoded, of the same bucket. */
static enum s3_error parse_source(struct s3_op *op, struct s3_key *out)
{
    struct str header = s3_header(&op->req, SOURCE);
    struct buf decoded = buf_over(arena_alloc(op->arena, header.len + 1), header.len + 1);
    bool legal = header.len > 0 && uri_decode(header, true, &decoded);
    struct str key = buf_str(&decoded);
    if (legal && str_starts(key, STR("/")))
        key = str_from(key, 1);
    if (legal && key.len > 0)
        return s3_object_key(op, key, out);
    op->detail.argument_name = STR(SOURCE);
    op->detail.argument_value = header;
    return s3_fail(op, S3_INVALID_ARGUMENT, "The rename source must name a key of this bucket, URL-encoded");
}

static enum s3_error check_source(struct s3_op *op, const struct s3_key *source)
{
    struct s3_conditions c;
    struct s3_object o;
    s3_conditions_from_request(&op->req, SOURCE_IF, &c);
    struct s3_access a = s3_access_of(op, source->key, STR_EMPTY);
    enum s3_error e = s3_access_check(op, &a, "s3:GetObject");
    if (e == S3_OK)
        e = s3_access_check(op, &a, "s3:DeleteObject");
    if (e != S3_OK)
        return e;
    e = s3_access_hide_absence_of(op, &a, s3_object_open(op, op->bucket, source->key, &o));
    if (e == S3_OK)
        e = s3_fail_condition(op, s3_check_copy_source(&c, o.meta.etag, s3_object_modified_s(&o)), SOURCE_IF, &c,
                              o.meta.etag);
    s3_object_close(&o);
    return e;
}

/* Here, unlike for other writes, the dates count too. */
static enum s3_error check_target(struct s3_op *op, const struct s3_key *target, const struct s3_conditions *c)
{
    struct s3_object o;
    enum s3_error e = s3_object_check_write(op, target, c);
    if (e != S3_OK || !(c->if_modified_since.ptr || c->if_unmodified_since.ptr))
        return e;
    e = s3_object_open(op, op->bucket, target->key, &o);
    if (e == S3_OK)
        e = s3_fail_condition(op, s3_check_copy_source(c, o.meta.etag, s3_object_modified_s(&o)), "", c, o.meta.etag);
    s3_object_close(&o);
    if (e == S3_NO_SUCH_KEY)
        return c->if_modified_since.ptr ? S3_PRECONDITION_FAILED : S3_OK;
    return e;
}

enum s3_error s3_rename_object_begin(struct s3_op *op)
{
    struct s3_key source, target;
    struct s3_conditions c;
    s3_conditions_from_request(&op->req, "", &c);
    enum s3_error e = s3_object_key(op, op->req.key, &target);
    if (e == S3_OK)
        e = parse_source(op, &source);
    if (e == S3_OK && (source.is_directory || target.is_directory))
        e = s3_fail(op, S3_INVALID_REQUEST, "Objects whose keys end in '/' cannot be renamed");
    if (e == S3_OK)
        e = check_source(op, &source);
    if (e == S3_OK)
        e = check_target(op, &target, &c);
    if (e != S3_OK)
        return e;
    unsigned flags = str_is(c.if_none_match, "*") ? VFS_RENAME_NOREPLACE : 0;
    int rc = vfs_rename(op->bucket, source.path, target.path, op->cred, flags);
    if (rc == -EEXIST)
        return s3_fail_condition(op, S3_PRECONDITION_FAILED, "", &c, STR_EMPTY);
    if (rc < 0)
        return rc == -ENOENT ? S3_NO_SUCH_KEY : s3_fail_errno(op, rc, S3_FOR_WRITE);
    s3_object_prune_parents(op, source.path);
    return s3_reply_empty(op, 200);
}
