#include "s3api/copy_source.h"

#include "base/encode.h"
#include "s3api/access.h"
#include "s3api/bucket.h"

#define VERSION_MARK "?versionId="

/* The version is split off before decoding: an encoded question mark belongs to the key. */
enum s3_error s3_copy_name_parse(struct str header, struct arena *arena, struct s3_copy_name *out, const char **out_reason)
{
    struct s3_copy_name name = {0};
    ptrdiff_t mark = str_find(header, STR(VERSION_MARK));
    if (mark >= 0) {
        name.version_id = str_from(header, (size_t)mark + sizeof(VERSION_MARK) - 1);
        header = str_first(header, (size_t)mark);
    }
    struct buf decoded = buf_over(arena_alloc(arena, header.len + 1), header.len + 1);
    *out_reason = "Invalid copy source encoding";
    if (!uri_decode(header, true, &decoded))
        return S3_INVALID_ARGUMENT;
    struct str path = buf_str(&decoded);
    if (str_starts(path, STR("/")))
        path = str_from(path, 1);
    ptrdiff_t slash = str_find_char(path, '/');
    *out_reason = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey";
    if (slash <= 0 || (size_t)slash + 1 == path.len)
        return S3_INVALID_ARGUMENT;
    name.bucket = str_first(path, (size_t)slash);
    name.key = str_from(path, (size_t)slash + 1);
    *out = name;
    return S3_OK;
}

static enum s3_error parse(struct s3_op *op, struct s3_copy_name *out)
{
    struct str header = s3_header(&op->req, "x-amz-copy-source");
    const char *reason = NULL;
    if (s3_copy_name_parse(header, op->arena, out, &reason) == S3_OK)
        return S3_OK;
    op->detail.argument_name = STR("x-amz-copy-source");
    op->detail.argument_value = header;
    return s3_fail(op, S3_INVALID_ARGUMENT, "%s", reason);
}

enum s3_error s3_copy_source_check(struct s3_op *op, const struct s3_object *o)
{
    static const char prefix[] = "x-amz-copy-source-";
    struct s3_conditions c;
    s3_conditions_from_request(&op->req, prefix, &c);
    enum s3_error e = s3_check_copy_source(&c, o->meta.etag, s3_object_modified_s(o));
    return s3_fail_condition(op, e, prefix, &c, o->meta.etag);
}

/* The source's own policy decides of reading it (SEC-31), before it shows whether anything is there, and of that. */
static enum s3_error open_allowed(struct s3_op *op, bool takes_tags, struct s3_copy_source *s)
{
    enum s3_error opened = s3_bucket_open_source(op, s->name.bucket, &s->bucket);
    struct s3_policy policy = {0};
    if (opened == S3_NO_SUCH_BUCKET)
        return opened;
    if (s->bucket)
        policy = s3_policy_load(op, s->bucket, s->name.bucket);
    const struct s3_access a = {.bucket = s->name.bucket,
                                .key = s->name.key,
                                .version_id = s->name.version_id,
                                .dir = s->bucket,
                                .policy = &policy};
    enum s3_error error = s3_access_check_version(op, &a, "s3:GetObject", "s3:GetObjectVersion");
    if (error != S3_OK)
        op->detail = (struct s3_error_detail){0};
    else
        error = opened;
    if (error == S3_OK)
        error = s3_object_version_check(op, s->name.version_id);
    if (error == S3_OK)
        error = s3_access_hide_absence_of(op, &a, s3_object_open(op, s->bucket, s->name.key, &s->object));
    if (error == S3_OK && takes_tags && s->object.meta.tags.count > 0)
        error = s3_access_check_version(op, &a, "s3:GetObjectTagging", "s3:GetObjectVersionTagging");
    s3_policy_done(&policy);
    return error;
}

enum s3_error s3_copy_source_open(struct s3_op *op, bool takes_tags, struct s3_copy_source *out)
{
    struct s3_copy_source s = {0};
    enum s3_error e = parse(op, &s.name);
    if (e == S3_OK)
        e = open_allowed(op, takes_tags, &s);
    if (e == S3_OK)
        e = s3_copy_source_check(op, &s.object);
    if (e != S3_OK)
        s3_copy_source_close(&s);
    *out = s;
    return e;
}

void s3_copy_source_close(struct s3_copy_source *s)
{
    s3_object_close(&s->object);
    vfs_dir_closep(&s->bucket);
}
