#include "s3api/bucket.h"

#include <errno.h>

#include "base/limits.h"
#include "base/log.h"
#include "s3api/key.h"
#include "s3api/service.h"

/* Whoever may write a bucket's directory by POSIX may set its attributes below "user.". Where the process may (root, on filesystems that
 * have them), the record is therefore also kept below "trusted.", which the kernel keeps for root, and only that one counts: from the
 * moment that the volume's root bears the mark, before which the records that were there are taken over (SEC-24). */
#define RECORD_XATTR "user.sluice.bucket"
#define TRUSTED_XATTR "trusted.sluice.bucket"
#define MARK_XATTR "trusted.sluice.records"
#define RECORD_VERSION "1"
#define RECORD_BYTES_MAX 256

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
    if (!s3_bucket_path(op, name, &path))
        return S3_NO_SUCH_BUCKET;
    if (op->quick)
        return s3_fail_errno(op, -EAGAIN, S3_FOR_BUCKET);
    int r = vfs_open(vfs_root(op->service->volume), path, NULL, VFS_OPEN_DIRECTORY, &file, &attr);
    if (r < 0)
        return s3_fail_errno(op, r, S3_FOR_BUCKET);
    r = vfs_xattr_get(file, op->service->has_trusted_records ? TRUSTED_XATTR : RECORD_XATTR, &text);
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
    if (!s3_bucket_path(op, name, &path))
        return S3_NO_SUCH_BUCKET;
    buf_addf(&text, RECORD_VERSION " %ju %.*s", (uintmax_t)record->created_ns, STR_ARG(record->owner_id));
    int r = vfs_open(vfs_root(op->service->volume), path, NULL, VFS_OPEN_DIRECTORY, &file, NULL);
    if (r == 0)
        r = vfs_xattr_set(file, NULL, RECORD_XATTR, buf_str(&text)); /* for gateways that may not read the other */
    if (r == 0 && op->service->has_trusted_records)
        r = vfs_xattr_set(file, NULL, TRUSTED_XATTR, buf_str(&text));
    if (r == 0)
        r = vfs_sync(file);
    return r < 0 ? s3_fail_errno(op, r, S3_FOR_BUCKET) : S3_OK;
}

/* Taking over ---------------------------------------------------------------------------------------------------- */

static int take_over(struct vfs_dir *root, struct str name)
{
    CLEANUP(vfs_closep) struct vfs_file *file = NULL;
    CLEANUP(buf_done) struct buf text = buf_make(RECORD_BYTES_MAX);
    int r = vfs_open(root, name, NULL, VFS_OPEN_DIRECTORY, &file, NULL);
    if (r == 0)
        r = vfs_xattr_get(file, RECORD_XATTR, &text);
    if (r < 0)
        return r == -ENODATA || r == -ENOENT ? 0 : r;
    r = text.failed ? 0 : vfs_xattr_set(file, NULL, TRUSTED_XATTR, buf_str(&text));
    return r == 0 ? vfs_sync(file) : r;
}

static int take_over_all(struct s3_service *s, struct vfs_dir *root)
{
    CLEANUP(vfs_scan_closep) struct vfs_scan *scan = NULL;
    struct vfs_dirent entry;
    if (s->single_bucket.len > 0)
        return take_over(root, STR(""));
    int r = vfs_scan_open(root, STR(""), NULL, STR(""), &scan);
    while (r >= 0 && (r = vfs_scan_next(scan, &entry)) > 0)
        if (entry.type == VFS_DIRECTORY && s3_bucket_name_is_valid(entry.name) && (r = take_over(root, entry.name)) < 0)
            return r;
    return r;
}

/* The mark comes last: after a crash all is taken over again. */
static int seal(struct s3_service *s, struct vfs_dir *root, struct vfs_file *file)
{
    int r = vfs_xattr_set(file, NULL, TRUSTED_XATTR ".probe", STR("1"));
    if (r < 0)
        return r;
    r = vfs_xattr_remove(file, NULL, TRUSTED_XATTR ".probe");
    if (r == 0)
        r = take_over_all(s, root);
    if (r == 0)
        r = vfs_xattr_set(file, NULL, MARK_XATTR, STR(RECORD_VERSION));
    return r == 0 ? vfs_sync(file) : r;
}

void s3_bucket_records_start(struct s3_service *s)
{
    CLEANUP(vfs_closep) struct vfs_file *file = NULL;
    CLEANUP(buf_done) struct buf mark = buf_make(RECORD_BYTES_MAX);
    struct vfs_dir *root = vfs_root(s->volume);
    int r = vfs_open(root, STR(""), NULL, VFS_OPEN_DIRECTORY, &file, NULL);
    if (r == 0)
        r = vfs_xattr_get(file, MARK_XATTR, &mark);
    if (r == -ENODATA && !s->read_only)
        r = seal(s, root, file);
    s->has_trusted_records = r >= 0;
    if (r < 0)
        log_debug("bucket-records", "trusted=no errno=%d", -r);
}

