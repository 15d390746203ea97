#include "s3api/bucket.h"

#include <errno.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/random.h"
#include "s3api/objmeta.h"
#include "s3api/service.h"

#define FOREIGN_PREFIX "foreign."

/* The folder ------------------------------------------------------------------------------------------------------ */

/* Whoever may write a bucket's directory by POSIX can put a .sluice there, made by himself or one that S3 made for him as a directory
 * and that he renamed. What the gateway makes is its own, closed to others, and bears no object's record (SEC-24). */
static int check_own(struct s3_op *op, struct vfs_dir *documents)
{
    struct vfs_attr attr;
    CLEANUP(vfs_closep) struct vfs_file *file = NULL;
    CLEANUP(buf_done) struct buf record = buf_make(LIMIT_OBJECT_RECORD_BYTES);
    int r = vfs_open(documents, STR(""), NULL, VFS_OPEN_DIRECTORY, &file, &attr);
    if (r == 0)
        r = vfs_xattr_get(file, S3_OBJMETA_XATTR, &record);
    if (r == -ENODATA && vfs_is_own(op->service->volume, &attr))
        return 0;
    if (r < 0 && r != -ENODATA)
        return r;
    /* Once, not with every request that meets it. */
    uint64_t which = attr.ino ^ (uint64_t)attr.mtime_ns;
    if (atomic_exchange(&op->service->foreign_noted, which) != which)
        log_error("bucket.foreign-documents", "bucket=%.*s uid=%u mode=%03o reason=\"" S3_RESERVED_DIR
                  " is not the gateway's own; nobody is let in until the bucket's policy is put or deleted\"",
                  STR_ARG(op->req.bucket), attr.uid, attr.mode & 07777);
    return -EPERM;
}

int s3_bucket_documents(struct s3_op *op, struct vfs_dir *bucket, struct vfs_dir **out, struct vfs_dir **out_owned)
{
    CLEANUP(vfs_dir_closep) struct vfs_dir *documents = NULL;
    bool is_ops = bucket == op->bucket;
    *out = is_ops ? op->documents : NULL;
    if (*out)
        return 0;
    int r = vfs_dir_open(bucket, STR(S3_RESERVED_DIR), NULL, &documents);
    if (r == 0)
        r = check_own(op, documents);
    if (r < 0)
        return r == -ENOTDIR ? -ENOENT : r;
    *(is_ops ? &op->documents : out_owned) = *out = TAKE(documents);
    return 0;
}

/* Aside, for the operator to look at: into the volume's own. */
static int put_aside(struct s3_op *op)
{
    struct str path;
    char suffix[16];
    if (!s3_bucket_path(op, op->req.bucket, &path) || path.len == 0)
        return -EPERM; /* the root's is the volume's own */
    random_text(suffix, sizeof(suffix), "0123456789abcdef");
    struct str from = arena_printf(op->arena, "%.*s/" S3_RESERVED_DIR, STR_ARG(path));
    struct str to = arena_printf(op->arena, S3_RESERVED_DIR "/" FOREIGN_PREFIX "%.*s", (int)sizeof(suffix), suffix);
    int r = vfs_rename(vfs_root(op->service->volume), from, to, NULL, VFS_RENAME_NOREPLACE);
    if (r == 0)
        log_warn("bucket.foreign-documents-moved", "bucket=%.*s to=\"%.*s\"", STR_ARG(op->req.bucket), STR_ARG(to));
    return r == -ENOENT ? 0 : r;
}

/* After this the bucket's .sluice is ours, or there is none. */
static int claim(struct s3_op *op, struct vfs_dir *bucket)
{
    struct vfs_dir *documents;
    CLEANUP(vfs_dir_closep) struct vfs_dir *owned = NULL;
    int r = s3_bucket_documents(op, bucket, &documents, &owned);
    return r == -EPERM ? put_aside(op) : r == -ENOENT ? 0 : r;
}

enum s3_error s3_bucket_make_reserved(struct s3_op *op, struct vfs_dir *bucket)
{
    int r = claim(op, bucket);
    if (r == 0)
        r = vfs_mkdir(bucket, STR(S3_RESERVED_DIR), NULL, 0);
    return r < 0 && r != -EEXIST ? s3_fail_errno(op, r, S3_FOR_WRITE) : S3_OK;
}

/* Documents ------------------------------------------------------------------------------------------------------- */

static struct str config_path(struct s3_op *op, const char *name)
{
    return arena_printf(op->arena, "config/%s", name);
}

enum s3_error s3_bucket_config_read(struct s3_op *op, struct vfs_dir *bucket, const char *name, struct buf *out)
{
    struct vfs_attr attr;
    struct vfs_dir *documents;
    CLEANUP(vfs_dir_closep) struct vfs_dir *owned = NULL;
    CLEANUP(vfs_closep) struct vfs_file *file = NULL;
    int r = s3_bucket_documents(op, bucket, &documents, &owned);
    if (r == 0)
        r = vfs_open(documents, config_path(op, name), NULL, VFS_OPEN_READ, &file, &attr);
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
    if (!s3_bucket_path(op, bucket, &path))
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
    struct str path = arena_printf(op->arena, S3_RESERVED_DIR "/%.*s", STR_ARG(config_path(op, name)));
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
    struct vfs_dir *documents;
    CLEANUP(vfs_dir_closep) struct vfs_dir *owned = NULL;
    int r = claim(op, bucket);
    if (r == 0)
        r = s3_bucket_documents(op, bucket, &documents, &owned);
    if (r == 0)
        r = vfs_unlink(documents, config_path(op, name), NULL, NULL);
    bool was_absent = r == -ENOENT || r == -ENOTDIR;
    return r < 0 && !was_absent ? s3_fail_errno(op, r, S3_FOR_WRITE) : S3_OK;
}

enum s3_error s3_bucket_config_delete(struct s3_op *op, const char *name)
{
    return s3_bucket_config_remove(op, op->bucket, name);
}

