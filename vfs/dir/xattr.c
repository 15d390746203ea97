#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fault.h"
#include "vfs/dir/dir_internal.h"
#include "vfs/dir/open_files.h"
#include "vfs/dir/sidecar.h"
#include "vfs/dir/warm.h"

/* Nearly all values fit; the kernel's own maximum is 64 KiB. */
#define VALUE_GUESS 4096
#define VALUE_MAX (64 * 1024)
#define PROBE_NAME "user.sluice.probe"
#define SIDECAR_NAME "xattrs.db" /* in the volume's state directory */

/* The kernel's */

static int add_value(struct buf *out, const char *value, ssize_t size)
{
    if (size > 0)
        buf_add(out, str_of(value, (size_t)size));
    return out->failed ? -EFBIG : 0;
}

static int fs_read_large(int fd, const char *name, struct buf *out)
{
    char *value = malloc(VALUE_MAX);
    CHECK(value != NULL);
    ssize_t size = fgetxattr(fd, name, value, VALUE_MAX);
    int r = size < 0 ? -errno : add_value(out, value, size);
    free(value);
    return r;
}

static int fs_read(int fd, const char *name, struct buf *out)
{
    char value[VALUE_GUESS];
    ssize_t size = fgetxattr(fd, name, value, sizeof(value));
    if (size >= 0)
        return add_value(out, value, size);
    if (errno == ERANGE)
        return fs_read_large(fd, name, out);
    /* A filesystem without them mounted inside one that has them. */
    return errno == EOPNOTSUPP ? -ENODATA : -errno;
}

bool xattr_supported(int root_fd)
{
    CLEANUP(fd_closep) int fd = openat(root_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fsetxattr(fd, PROBE_NAME, "1", 1, 0) == 0;
    /* Unnamed files may be what is missing: the root itself tells, if it may be written. */
    if (fsetxattr(root_fd, PROBE_NAME, "1", 1, 0) == 0) {
        (void)fremovexattr(root_fd, PROBE_NAME); /* an empty name that means nothing */
        return true;
    }
    char value[1];
    return errno != EOPNOTSUPP && (fgetxattr(root_fd, PROBE_NAME, value, sizeof(value)) >= 0 || errno == ENODATA);
}

/* The sidecar's */

int xattr_open_sidecar(struct dir_volume *v, bool make)
{
    char path[PATH_MAX];
    char link[32];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", v->state_fd);
    ssize_t len = v->state_fd < 0 ? -1 : readlink(link, path, sizeof(path) - sizeof("/" SIDECAR_NAME));
    if (len < 0)
        return make ? -EROFS : 0;
    memcpy(path + len, "/" SIDECAR_NAME, sizeof("/" SIDECAR_NAME));
    if (!make && faccessat(v->state_fd, SIDECAR_NAME, F_OK, 0) < 0)
        return 0;
    struct sidecar *opened = NULL;
    int r = sidecar_open(path, v->private_dev == 0, v->options.sync == VFS_SYNC_ALWAYS, &opened);
    if (r == 0)
        atomic_store(&v->sidecar, opened);
    return r;
}

/* The sidecar, made by the first who needs it. */
static int need_sidecar(struct dir_volume *v, struct sidecar **out)
{
    mutex_lock(&v->sidecar_lock);
    int r = atomic_load(&v->sidecar) ? 0 : xattr_open_sidecar(v, true);
    mutex_unlock(&v->sidecar_lock);
    *out = atomic_load(&v->sidecar);
    return r;
}

static int key_of_fd(int fd, struct sidecar_key *out)
{
    struct vfs_attr attr;
    int r = attr_of_fd(fd, &attr);
    if (r == 0)
        *out = (struct sidecar_key){attr.ino, attr.btime_ns};
    return r;
}

/* The rule that the kernel has for names below "user.". */
static int may_write(struct dir_volume *v, int fd, const struct vfs_cred *cred)
{
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    int r = cred_enter(&scope, &v->self, cred);
    if (r < 0)
        return r;
    return faccessat(fd, "", W_OK, AT_EACCESS | AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* Whoever takes a file's last name takes its rows along, under those who have it open. */
static bool has_lost_rows(int fd)
{
    struct vfs_attr attr;
    return attr_of_fd(fd, &attr) == 0 && attr.type == VFS_FILE && attr.nlink == 0;
}

static int side_read(struct dir_volume *v, int fd, const char *name, struct buf *out)
{
    struct sidecar *sidecar = NULL;
    struct sidecar_key key;
    int r = need_sidecar(v, &sidecar); /* another gateway may have made it */
    if (r == 0)
        r = key_of_fd(fd, &key);
    if (r == 0)
        r = sidecar_get(sidecar, key, name, out);
    return r == -ENODATA && has_lost_rows(fd) ? -ESTALE : r;
}

static int side_write(struct dir_volume *v, int fd, const struct vfs_cred *cred, const char *name, struct str value, bool add)
{
    struct sidecar *sidecar = NULL;
    struct sidecar_key key;
    int r = may_write(v, fd, cred);
    if (r == 0)
        r = need_sidecar(v, &sidecar);
    if (r == 0)
        r = key_of_fd(fd, &key);
    if (r < 0)
        return r;
    return add ? sidecar_add(sidecar, key, name, value) : sidecar_set(sidecar, key, name, value);
}

/* Either */

/* Stands in the filesystem's attribute when the value had no room there and is in the sidecar. */
#define ELSEWHERE STR("\0sidecar")

int xattr_read(struct dir_volume *v, int fd, const char *name, struct buf *out)
{
    if (v->sidecar_only)
        return side_read(v, fd, name, out);
    size_t before = out->len;
    int r = fs_read(fd, name, out);
    if (r < 0 || !str_eq(str_from(buf_str(out), before), ELSEWHERE))
        return r;
    buf_truncate(out, before);
    return side_read(v, fd, name, out);
}

/* Linux 6.13; glibc has no wrapper yet. */
#ifndef SYS_getxattrat
#define SYS_getxattrat 464
#endif
struct xattr_request {
    uint64_t value; /* a pointer */
    uint32_t size, flags;
};

int xattr_read_at(struct dir_volume *v, int dir_fd, const char *file, const char *name, struct buf *out)
{
    char value[VALUE_GUESS];
    struct xattr_request request = {.value = (uintptr_t)value, .size = sizeof(value)};
    if (v->sidecar_only || atomic_load_explicit(&v->no_getxattrat, memory_order_relaxed))
        return -EAGAIN;
    long size = syscall(SYS_getxattrat, dir_fd, file, AT_SYMLINK_NOFOLLOW, name, &request, sizeof(request));
    if (size < 0 && errno == ENODATA)
        return -ENODATA;
    if (size < 0 && errno == ENOSYS)
        atomic_store(&v->no_getxattrat, true);
    if (size < 0 || str_eq(str_of(value, (size_t)size), ELSEWHERE))
        return -EAGAIN;
    return add_value(out, value, size);
}

/* The value is read first: a file that has been as it is for longer than the clock's tick was there then. */
int entry_read(struct dir_volume *v, int dir_fd, struct str name, const char *xattr_name, struct vfs_attr *out,
               struct buf *out_value)
{
    char text[NAME_MAX + 1];
    struct vfs_attr attr;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    size_t before = out_value->len;
    int r = xattr_read_at(v, dir_fd, text, xattr_name, out_value);
    if (r < 0 && r != -ENODATA)
        return r;
    bool settled = attr_at(dir_fd, text, &attr) == 0 && attr.type == VFS_FILE &&
                   clock_wall_ns() - attr.ctime_ns > dir_tick_ns(attr.ctime_ns);
    if (settled)
        *out = attr;
    else
        buf_truncate(out_value, before);
    return settled ? 0 : -EAGAIN;
}

static int fs_write(struct dir_volume *v, int fd, const struct vfs_cred *cred, const char *name, struct str value, int flags)
{
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    int r = cred_enter(&scope, &v->self, cred);
    if (r < 0)
        return r;
    return fsetxattr(fd, name, value.len ? value.ptr : "", value.len, flags) < 0 ? -errno : 0;
}

int xattr_write(struct dir_volume *v, int fd, const struct vfs_cred *cred, const char *name, struct str value)
{
    if (v->sidecar_only)
        return side_write(v, fd, cred, name, value, false);
    int r = fs_write(v, fd, cred, name, value, 0);
    /* No room in the inode's attributes (or on the disk, which then shows again). */
    if (r != -ENOSPC && r != -E2BIG && r != -ERANGE)
        return r;
    r = side_write(v, fd, cred, name, value, false);
    return r < 0 ? r : fs_write(v, fd, cred, name, ELSEWHERE, 0);
}

int xattr_add(struct dir_volume *v, int fd, const struct vfs_cred *cred, const char *name, struct str value)
{
    if (v->sidecar_only)
        return side_write(v, fd, cred, name, value, true);
    int r = fs_write(v, fd, cred, name, value, XATTR_CREATE);
    return r == -EEXIST ? 0 : r;
}

int xattr_erase(struct dir_volume *v, int fd, const struct vfs_cred *cred, const char *name)
{
    if (v->sidecar_only) {
        struct sidecar_key key;
        int r = may_write(v, fd, cred);
        if (r == 0)
            r = key_of_fd(fd, &key);
        return r < 0 ? r : sidecar_remove(atomic_load(&v->sidecar), key, name);
    }
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    int r = cred_enter(&scope, &v->self, cred);
    if (r < 0)
        return r;
    return fremovexattr(fd, name) < 0 && errno != ENODATA && errno != EOPNOTSUPP ? -errno : 0;
}

void xattr_forget(struct dir_volume *v, const struct vfs_attr *was)
{
    bool last = was->type == VFS_DIRECTORY || (was->type == VFS_FILE && was->nlink <= 1);
    struct sidecar *sidecar = atomic_load(&v->sidecar);
    if (sidecar && last)
        sidecar_forget(sidecar, (struct sidecar_key){was->ino, was->btime_ns});
}

/* Operations */

static int shared_read(struct open_file *f, const char *name, struct buf *out)
{
    const struct open_record *known = atomic_load(&f->record);
    if (known && strcmp(known->name, name) == 0)
        return known->is_absent ? -ENODATA : add_value(out, known->value.ptr, (ssize_t)known->value.len);
    size_t before = out->len;
    int r = fs_read(f->fd, name, out);
    if (r == 0 || r == -ENODATA)
        open_file_remember(f, name, r == -ENODATA, str_from(buf_str(out), before));
    return r;
}

static int read_nowait(const struct dir_file *f, const char *name, struct buf *out)
{
    size_t before = out->len;
    int r = f->shared ? shared_read(f->shared, name, out) : fs_read(f->fd, name, out);
    if (r < 0 || !str_eq(str_from(buf_str(out), before), ELSEWHERE))
        return r;
    buf_truncate(out, before);
    return -EAGAIN;
}

int dir_xattr_get(struct vfs_file *file, const char *name, struct buf *out)
{
    struct dir_volume *v = dir_volume_of(file->volume);
    struct dir_file *f = dir_file_of(file);
    int r = f->nowait ? read_nowait(f, name, out) : xattr_read(v, f->fd, name, out);
    if (r == -ESTALE && f->is_staging)
        r = -ENODATA; /* it has no name yet */
    if (f->path_hash && (r == 0 || r == -ENODATA))
        warm_note(v->warm, f->path_hash);
    return r;
}

int dir_xattr_set(struct vfs_file *f, const struct vfs_cred *cred, const char *name, struct str value)
{
    int r = fault_point("vfs.xattr");
    return r < 0 ? r : xattr_write(dir_volume_of(f->volume), dir_file_of(f)->fd, cred, name, value);
}

int dir_xattr_remove(struct vfs_file *f, const struct vfs_cred *cred, const char *name)
{
    return xattr_erase(dir_volume_of(f->volume), dir_file_of(f)->fd, cred, name);
}
