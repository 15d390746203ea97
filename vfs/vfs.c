#include "vfs/vfs.h"

#include <errno.h>

#include "base/check.h"
#include "vfs/dir/dir.h"
#include "vfs/jfs/jfs.h"
#include "vfs/path.h"
#include "vfs/vfs_ops.h"

/* Paths come from keys, so a bad one is an answer to the client; a bad flag is a bug. */
#define REQUIRE_PATH(path)       \
    do {                         \
        if (!vfs_path_ok(path))  \
            return -EINVAL;      \
    } while (0)

/* Volume */

bool vfs_has_own_memory(const char *url)
{
    return !str_starts(str_z(url), STR("file://")) && str_find(str_z(url), STR("://")) >= 0;
}

int vfs_open_volume(const char *url, const struct vfs_options *options, struct vfs **out, const char **out_error)
{
    struct str location = str_z(url);
    if (vfs_has_own_memory(url))
        return jfs_volume_open(url, options, out, out_error);
    if (str_starts(location, STR("file://")))
        location = str_from(location, sizeof("file://") - 1);
    if (location.len == 0) {
        *out_error = "the volume's path is empty";
        return -EINVAL;
    }
    return dir_volume_open(location.ptr, options, out, out_error);
}

void vfs_close_volume(struct vfs *v)
{
    if (v)
        v->ops->close_volume(v);
}

void vfs_inherit(struct vfs *v, const char *state_dir)
{
    if (v->ops->inherit)
        v->ops->inherit(v, state_dir);
}

struct vfs_dir *vfs_root(struct vfs *v)
{
    return v->root;
}

bool vfs_is_own(const struct vfs *v, const struct vfs_attr *a)
{
    return (a->uid == v->self_uid || a->uid == 0) && (a->mode & 077) == 0;
}

int vfs_space(struct vfs *v, struct vfs_space *out)
{
    return v->ops->space(v, out);
}

/* Directories */

int vfs_dir_open(struct vfs_dir *parent, struct str path, const struct vfs_cred *cred, struct vfs_dir **out)
{
    REQUIRE_PATH(path);
    return parent->volume->ops->dir_open(parent, path, cred, out);
}

int vfs_dir_open_nowait(struct vfs_dir *parent, struct str path, struct vfs_dir **out)
{
    const struct vfs_ops *ops = parent->volume->ops;
    REQUIRE_PATH(path);
    return ops->dir_open_nowait ? ops->dir_open_nowait(parent, path, out) : -EAGAIN;
}

void vfs_dir_close(struct vfs_dir *d)
{
    if (d)
        d->volume->ops->dir_close(d);
}

void vfs_dir_closep(struct vfs_dir **d)
{
    vfs_dir_close(*d);
    *d = NULL;
}

int vfs_mkdir(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, unsigned flags)
{
    CHECK((flags & ~(unsigned)VFS_MKDIR_IMPLICIT) == 0);
    REQUIRE_PATH(path);
    return path.len == 0 ? -EEXIST : d->volume->ops->mkdir(d, path, cred, flags);
}

int vfs_rmdir(struct vfs_dir *d, struct str path, const struct vfs_cred *cred)
{
    REQUIRE_PATH(path);
    return path.len == 0 ? -EBUSY : d->volume->ops->rmdir(d, path, cred);
}

void vfs_prune(struct vfs_dir *d, struct str path, const struct vfs_cred *cred)
{
    if (path.len > 0 && vfs_path_ok(path))
        d->volume->ops->prune(d, path, cred);
}

int vfs_is_implicit(struct vfs_dir *d, struct str path, const struct vfs_cred *cred)
{
    REQUIRE_PATH(path);
    return d->volume->ops->is_implicit(d, path, cred);
}

int vfs_make_explicit(struct vfs_dir *d, struct str path, const struct vfs_cred *cred)
{
    REQUIRE_PATH(path);
    return d->volume->ops->set_implicit(d, path, cred, false);
}

int vfs_make_implicit(struct vfs_dir *d, struct str path, const struct vfs_cred *cred)
{
    REQUIRE_PATH(path);
    return d->volume->ops->set_implicit(d, path, cred, true);
}

/* Nodes by name */

int vfs_lookup(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct vfs_attr *out)
{
    REQUIRE_PATH(path);
    return d->volume->ops->lookup(d, path, cred, out);
}

int vfs_unlink(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, const struct vfs_version *expected)
{
    REQUIRE_PATH(path);
    return path.len == 0 ? -EISDIR : d->volume->ops->unlink(d, path, cred, expected);
}

int vfs_discard(struct vfs_dir *d, struct str path)
{
    REQUIRE_PATH(path);
    return path.len == 0 ? -EISDIR : d->volume->ops->discard(d, path);
}

int vfs_rename(struct vfs_dir *d, struct str from, struct str to, const struct vfs_cred *cred, unsigned flags)
{
    CHECK((flags & ~(unsigned)VFS_RENAME_NOREPLACE) == 0);
    REQUIRE_PATH(from);
    REQUIRE_PATH(to);
    if (from.len == 0 || to.len == 0)
        return -EBUSY;
    /* A directory cannot move below itself; seen here, before parents of the target are made for nothing. */
    if (to.len > from.len && vfs_path_below(to, from))
        return -EINVAL;
    return d->volume->ops->rename(d, from, to, cred, flags);
}

/* Files */

int vfs_open(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, unsigned flags, struct vfs_file **out,
             struct vfs_attr *out_attr)
{
    CHECK(flags < 2 * VFS_OPEN_PRIVATE);
    CHECK((flags & (VFS_OPEN_EXCLUSIVE | VFS_OPEN_PRIVATE)) == 0 || (flags & VFS_OPEN_CREATE));
    REQUIRE_PATH(path);
    if (path.len == 0 && !(flags & VFS_OPEN_DIRECTORY))
        return -EISDIR;
    return d->volume->ops->open(d, path, cred, flags, out, out_attr);
}

void vfs_close(struct vfs_file *f)
{
    if (f)
        f->volume->ops->close(f);
}

void vfs_closep(struct vfs_file **f)
{
    vfs_close(*f);
    *f = NULL;
}

int vfs_fstat(struct vfs_file *f, struct vfs_attr *out)
{
    return f->volume->ops->fstat(f, out);
}

ssize_t vfs_read(struct vfs_file *f, void *out, size_t size, uint64_t offset)
{
    return offset > INT64_MAX ? -EINVAL : f->volume->ops->read(f, out, size, offset);
}

ssize_t vfs_read_nowait(struct vfs_file *f, void *out, size_t size, uint64_t offset)
{
    const struct vfs_ops *ops = f->volume->ops;
    if (offset > INT64_MAX)
        return -EINVAL;
    return ops->read_nowait ? ops->read_nowait(f, out, size, offset) : -EAGAIN;
}

int vfs_lend(struct vfs_file *f, uint64_t offset, uint64_t size, struct vfs_loan *out)
{
    const struct vfs_ops *ops = f->volume->ops;
    if (size == 0 || offset > INT64_MAX || size > INT64_MAX - offset)
        return -EINVAL;
    return ops->lend ? ops->lend(f, offset, size, out) : -EAGAIN;
}

void vfs_loan_done(struct vfs_loan *l)
{
    l->volume->ops->loan_done(l);
    *l = (struct vfs_loan){0};
}

int vfs_write(struct vfs_file *f, struct str bytes, uint64_t offset)
{
    return vfs_write_pieces(f, pieces_at(&bytes, 1), offset);
}

int vfs_write_pieces(struct vfs_file *f, struct pieces p, uint64_t offset)
{
    size_t len = pieces_len(p);
    if (offset > INT64_MAX || len > INT64_MAX - offset)
        return -EFBIG;
    return len > 0 ? f->volume->ops->write(f, p, offset) : 0;
}

int vfs_truncate(struct vfs_file *f, uint64_t size)
{
    return size > INT64_MAX ? -EFBIG : f->volume->ops->truncate(f, size);
}

int vfs_file_fd(struct vfs_file *f)
{
    return f->volume->ops->file_fd(f);
}

int vfs_sync(struct vfs_file *f)
{
    return f->volume->ops->sync(f);
}

int vfs_clone_range(struct vfs_file *dst, uint64_t dst_offset, struct vfs_file *src, uint64_t src_offset,
                    uint64_t size, uint64_t *out_done)
{
    CHECK(dst->volume == src->volume);
    if (size > INT64_MAX || src_offset > INT64_MAX || dst_offset > INT64_MAX - size)
        return -EFBIG;
    if (size == 0) {
        *out_done = 0;
        return 0;
    }
    return dst->volume->ops->clone_range(dst, dst_offset, src, src_offset, size, out_done);
}

int vfs_lock(struct vfs_file *f, bool exclusive)
{
    return f->volume->ops->lock(f, exclusive);
}

int vfs_setattr(struct vfs_file *f, const struct vfs_cred *cred, const struct vfs_set *set)
{
    CHECK(set->which < 2 * VFS_SET_ATIME);
    return f->volume->ops->setattr(f, cred, set);
}

int vfs_xattr_get(struct vfs_file *f, const char *name, struct buf *out)
{
    return f->volume->ops->xattr_get(f, name, out);
}

int vfs_xattr_set(struct vfs_file *f, const struct vfs_cred *cred, const char *name, struct str value)
{
    return f->volume->ops->xattr_set(f, cred, name, value);
}

int vfs_xattr_remove(struct vfs_file *f, const struct vfs_cred *cred, const char *name)
{
    return f->volume->ops->xattr_remove(f, cred, name);
}

int vfs_xattrs_set(struct vfs_file *f, const struct vfs_cred *cred, const struct vfs_xattr *xattrs, size_t count)
{
    CHECK(f->volume->ops->xattrs_set != NULL);
    return f->volume->ops->xattrs_set(f, cred, xattrs, count);
}

int vfs_xattr_each(struct vfs_file *f, vfs_xattr_fn fn, void *arg)
{
    CHECK(f->volume->ops->xattr_each != NULL);
    return f->volume->ops->xattr_each(f, fn, arg);
}

bool vfs_has_juicefs_records(const struct vfs_file *f)
{
    return f->volume->ops->juicefs_records;
}

bool vfs_dir_has_juicefs_records(const struct vfs_dir *d)
{
    return d->volume->ops->juicefs_records;
}

/* Staging and publishing */

int vfs_stage(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, uint64_t size_hint,
              struct vfs_file **out)
{
    REQUIRE_PATH(path);
    return path.len == 0 ? -EISDIR : d->volume->ops->stage(d, path, cred, size_hint, out);
}

int vfs_publish(struct vfs_file *f, struct vfs_dir *d, struct str path, const struct vfs_cred *cred,
                const struct vfs_publish *how, struct vfs_attr *out_attr)
{
    CHECK(f->volume == d->volume);
    REQUIRE_PATH(path);
    return path.len == 0 ? -EISDIR : d->volume->ops->publish(f, d, path, cred, how, out_attr);
}

/* Ordered directory reads */

int vfs_scan_open(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct str from,
                  struct vfs_scan **out)
{
    REQUIRE_PATH(path);
    return d->volume->ops->scan_open(d, path, cred, from, out);
}

int vfs_scan_open_unordered(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct vfs_scan **out)
{
    REQUIRE_PATH(path);
    return d->volume->ops->scan_open_unordered(d, path, cred, out);
}

int vfs_scan_next(struct vfs_scan *s, struct vfs_dirent *out)
{
    return s->volume->ops->scan_next(s, out);
}

int vfs_scan_stat(struct vfs_scan *s, struct vfs_attr *out, const char *xattr_name, struct buf *out_value)
{
    return s->volume->ops->scan_stat(s, out, xattr_name, out_value);
}

void vfs_scan_expect(struct vfs_scan *s, size_t count, const char *xattr_name)
{
    if (s->volume->ops->scan_expect)
        s->volume->ops->scan_expect(s, count, xattr_name);
}

void vfs_scan_close(struct vfs_scan *s)
{
    if (s)
        s->volume->ops->scan_close(s);
}

void vfs_scan_closep(struct vfs_scan **s)
{
    vfs_scan_close(*s);
    *s = NULL;
}
