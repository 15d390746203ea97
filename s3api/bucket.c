#include "s3api/bucket.h"

#include <errno.h>

#include "base/limits.h"
#include "s3api/key.h"
#include "s3api/service.h"
#include "s3api/xml.h"

#define RECORD_XATTR "user.sluice.bucket"
#define RECORD_VERSION "1"
#define RECORD_BYTES_MAX 256
#define CONFIG_DIR S3_RESERVED_DIR "/config"

/* Directories */

/* The bucket's path below the volume's root: its name, or the root itself. */
static bool bucket_path(const struct s3_op *op, struct str name, struct str *out)
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
    if (!bucket_path(op, name, &path))
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

/* A directory of the process's own: whoever may use the bucket by POSIX has no business in it. */
enum s3_error s3_bucket_make_reserved(struct s3_op *op, struct vfs_dir *bucket)
{
    CLEANUP(vfs_closep) struct vfs_file *dir = NULL;
    struct vfs_set mode = {.which = VFS_SET_MODE, .mode = 0700};
    int r = vfs_mkdir(bucket, STR(S3_RESERVED_DIR), NULL, 0);
    if (r == -EEXIST)
        return S3_OK;
    if (r == 0)
        r = vfs_open(bucket, STR(S3_RESERVED_DIR), NULL, VFS_OPEN_DIRECTORY, &dir, NULL);
    if (r == 0)
        r = vfs_setattr(dir, NULL, &mode);
    return r < 0 ? s3_fail_errno(op, r, S3_FOR_WRITE) : S3_OK;
}

/* Record: "1 <created, ns> <owner id>" */

static bool record_parse(struct str text, struct s3_bucket_record *out)
{
    struct str version, created, owner;
    uint64_t created_ns;
    bool is_whole = str_split(&text, ' ', &version) && str_split(&text, ' ', &created) && str_split(&text, ' ', &owner);
    if (!is_whole || !str_is(version, RECORD_VERSION) || owner.len == 0)
        return false;
    if (!str_parse_u64_max(created, INT64_MAX, &created_ns))
        return false;
    *out = (struct s3_bucket_record){.owner_id = owner, .created_ns = (int64_t)created_ns};
    return true;
}

/* A directory that came by POSIX: its birth, as far as the filesystem knows it. */
static void record_default(const struct s3_op *op, const struct vfs_attr *attr, struct s3_bucket_record *out)
{
    int64_t oldest_ns = attr->mtime_ns < attr->ctime_ns ? attr->mtime_ns : attr->ctime_ns;
    out->owner_id = auth_snapshot_default_owner(op->identities)->id;
    out->created_ns = attr->btime_ns > 0 ? attr->btime_ns : oldest_ns;
}

enum s3_error s3_bucket_record(struct s3_op *op, struct str name, struct s3_bucket_record *out)
{
    struct str path;
    struct vfs_attr attr;
    CLEANUP(vfs_closep) struct vfs_file *file = NULL;
    CLEANUP(buf_done) struct buf text = buf_make(RECORD_BYTES_MAX);
    if (!bucket_path(op, name, &path))
        return S3_NO_SUCH_BUCKET;
    if (op->quick)
        return s3_fail_errno(op, -EAGAIN, S3_FOR_BUCKET);
    int r = vfs_open(vfs_root(op->service->volume), path, NULL, VFS_OPEN_DIRECTORY, &file, &attr);
    if (r < 0)
        return s3_fail_errno(op, r, S3_FOR_BUCKET);
    r = vfs_xattr_get(file, RECORD_XATTR, &text);
    if (r < 0 && r != -ENODATA)
        return s3_fail_errno(op, r, S3_FOR_BUCKET);
    if (r < 0 || text.failed || !record_parse(arena_dup(op->arena, buf_str(&text)), out))
        record_default(op, &attr, out);
    return S3_OK;
}

enum s3_error s3_bucket_record_write(struct s3_op *op, struct str name, const struct s3_bucket_record *record)
{
    struct str path;
    CLEANUP(vfs_closep) struct vfs_file *file = NULL;
    CLEANUP(buf_done) struct buf text = buf_make(RECORD_BYTES_MAX);
    if (!bucket_path(op, name, &path))
        return S3_NO_SUCH_BUCKET;
    buf_addf(&text, RECORD_VERSION " %ju %.*s", (uintmax_t)record->created_ns, STR_ARG(record->owner_id));
    int r = vfs_open(vfs_root(op->service->volume), path, NULL, VFS_OPEN_DIRECTORY, &file, NULL);
    if (r == 0)
        r = vfs_xattr_set(file, NULL, RECORD_XATTR, buf_str(&text));
    if (r == 0)
        r = vfs_sync(file);
    return r < 0 ? s3_fail_errno(op, r, S3_FOR_BUCKET) : S3_OK;
}

/* Configuration documents */

static struct str config_path(struct s3_op *op, const char *name)
{
    return arena_printf(op->arena, CONFIG_DIR "/%s", name);
}

enum s3_error s3_bucket_config_read(struct s3_op *op, struct vfs_dir *bucket, const char *name, struct buf *out)
{
    struct vfs_attr attr;
    CLEANUP(vfs_closep) struct vfs_file *file = NULL;
    int r = vfs_open(bucket, config_path(op, name), NULL, VFS_OPEN_READ, &file, &attr);
    if (r == -ENOENT || r == -ENOTDIR)
        return S3_OK;
    if (r < 0)
        return s3_fail_errno(op, r, S3_FOR_BUCKET);
    char *room = attr.size <= LIMIT_XML_BYTES ? buf_reserve(out, (size_t)attr.size) : NULL;
    if (!room) {
        op->error_cause = "a bucket's configuration document is larger than any that is written";
        return S3_INTERNAL_ERROR;
    }
    ssize_t size = vfs_read(file, room, (size_t)attr.size, 0);
    if (size < 0)
        return s3_fail_errno(op, (int)size, S3_FOR_BUCKET);
    buf_extend(out, (size_t)size);
    return S3_OK;
}

enum s3_error s3_bucket_config_get(struct s3_op *op, const char *name, struct buf *out)
{
    return s3_bucket_config_read(op, op->bucket, name, out);
}

enum s3_error s3_bucket_config_peek(struct s3_op *op, struct str bucket, const char *name, struct buf *out)
{
    struct str path;
    CLEANUP(vfs_dir_closep) struct vfs_dir *dir = NULL;
    if (!bucket_path(op, bucket, &path))
        return S3_NO_SUCH_BUCKET;
    if (op->quick)
        return s3_fail_errno(op, -EAGAIN, S3_FOR_BUCKET);
    int r = vfs_dir_open(vfs_root(op->service->volume), path, NULL, &dir);
    return r < 0 ? s3_fail_errno(op, r, S3_FOR_BUCKET) : s3_bucket_config_read(op, dir, name, out);
}

enum s3_error s3_bucket_config_write(struct s3_op *op, struct vfs_dir *bucket, const char *name, struct str bytes)
{
    CLEANUP(vfs_closep) struct vfs_file *stage = NULL;
    struct vfs_publish replace = {.mode = VFS_PUBLISH_REPLACE};
    struct str path = config_path(op, name);
    enum s3_error error = s3_bucket_make_reserved(op, bucket);
    if (error != S3_OK)
        return error;
    int r = vfs_stage(bucket, path, NULL, bytes.len, &stage);
    if (r == 0)
        r = vfs_write(stage, bytes, 0);
    if (r == 0)
        r = vfs_publish(stage, bucket, path, NULL, &replace, NULL);
    return r < 0 ? s3_fail_errno(op, r, S3_FOR_WRITE) : S3_OK;
}

enum s3_error s3_bucket_config_put(struct s3_op *op, const char *name, struct str bytes)
{
    return s3_bucket_config_write(op, op->bucket, name, bytes);
}

enum s3_error s3_bucket_config_remove(struct s3_op *op, struct vfs_dir *bucket, const char *name)
{
    int r = vfs_unlink(bucket, config_path(op, name), NULL, NULL);
    bool was_absent = r == -ENOENT || r == -ENOTDIR;
    return r < 0 && !was_absent ? s3_fail_errno(op, r, S3_FOR_WRITE) : S3_OK;
}

enum s3_error s3_bucket_config_delete(struct s3_op *op, const char *name)
{
    return s3_bucket_config_remove(op, op->bucket, name);
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
