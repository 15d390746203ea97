#include "s3api/bucket.h"

#include <errno.h>

#include "base/limits.h"
#include "s3api/key.h"
#include "s3api/service.h"
#include "s3api/xml.h"

/* Directories */

bool s3_bucket_path(const struct s3_op *op, struct str name, struct str *out)
{
    struct str single = op->service->single_bucket;
    if (single.len > 0) {
        *out = STR("");
        return str_eq(name, single);
    }
    *out = name;
    return s3_bucket_name_is_valid(name);
}

static enum s3_error check_owner(struct s3_op *op, struct str name, const char *header)
{
    struct str expected = s3_header(&op->req, header);
    struct s3_bucket_record record;
    if (!expected.ptr)
        return S3_OK;
    enum s3_error error = s3_bucket_record(op, name, &record);
    if (error != S3_OK)
        return error;
    return str_eq(expected, record.owner_id) ? S3_OK : S3_ACCESS_DENIED;
}

static enum s3_error open_checked(struct s3_op *op, struct str name, const char *owner_header, struct vfs_dir **out)
{
    struct str path;
    CLEANUP(vfs_dir_closep) struct vfs_dir *dir = NULL;
    if (!s3_bucket_path(op, name, &path))
        return S3_NO_SUCH_BUCKET;
    struct vfs_dir *root = vfs_root(op->service->volume);
    int r = op->quick ? vfs_dir_open_nowait(root, path, &dir) : vfs_dir_open(root, path, op->cred, &dir);
    if (r < 0)
        return s3_fail_errno(op, r, S3_FOR_BUCKET);
    enum s3_error error = check_owner(op, name, owner_header);
    if (error == S3_OK)
        *out = TAKE(dir);
    return error;
}

enum s3_error s3_bucket_open(struct s3_op *op, struct str name, struct vfs_dir **out)
{
    return open_checked(op, name, "x-amz-expected-bucket-owner", out);
}

enum s3_error s3_bucket_open_source(struct s3_op *op, struct str name, struct vfs_dir **out)
{
    enum s3_error error = open_checked(op, name, "x-amz-source-expected-bucket-owner", out);
    if (error == S3_NO_SUCH_BUCKET)
        op->detail.bucket_name = name;
    return error;
}

/* Owners */

void s3_owner_xml(struct s3_op *op, const char *element, struct str owner_id)
{
    xml_open(&op->out, element);
    s3_owner_fields_xml(op, owner_id);
    xml_close(&op->out, element);
}

void s3_owner_fields_xml(struct s3_op *op, struct str owner_id)
{
    const struct auth_user *user = auth_snapshot_user_by_id(op->identities, owner_id);
    xml_text(&op->out, "ID", owner_id);
    if (user)
        xml_text(&op->out, "DisplayName", user->display_name);
}
