#include <errno.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/map.h"
#include "vfs/dir/dir_internal.h"
#include "vfs/dir/open_files.h"
#include "vfs/dir/warm.h"

#define WRITEBACK_BYTES (8u * 1024 * 1024)

struct dir_file *dir_file_new(struct dir_volume *v, int fd)
{
    struct dir_file *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    f->base.volume = &v->base;
    f->fd = fd;
    f->parent_fd = -1;
    return f;
}

/* Opening */

static int open_existing(struct dir_volume *v, const struct dir_handle *h, struct str path,
                         const struct vfs_cred *cred, unsigned flags)
{
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    int r = cred_enter(&scope, &v->self, cred);
    if (r < 0)
        return r;
    return resolve_regular(h, path, flags & VFS_OPEN_WRITE ? O_RDWR : O_RDONLY, flags & VFS_OPEN_DIRECTORY);
}

/* The name cannot be behind a link: with O_EXCL none is followed. *out_parent: to be synced with the file. */
static int create(struct dir_volume *v, const struct dir_handle *h, struct str path, const struct vfs_cred *cred,
                  unsigned flags, int *out_parent)
{
    CLEANUP(place_done) struct place p = PLACE_INIT;
    int r = place_find(v, h, path, cred, &p);
    if (r < 0)
        return r;
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    r = cred_enter(&scope, &v->self, cred);
    if (r == 0)
        r = fault_point("vfs.create");
    if (r < 0)
        return r;
    mode_t mode = flags & VFS_OPEN_PRIVATE ? 0600 : (mode_t)v->options.file_mode;
    CLEANUP(fd_closep) int fd = openat(p.parent, p.name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return name_errno();
    *out_parent = place_take_parent(&p);
    return *out_parent < 0 ? *out_parent : fd_take(&fd);
}

static int open_or_create(struct dir_volume *v, const struct dir_handle *h, struct str path,
                          const struct vfs_cred *cred, unsigned flags, int *out_parent)
{
    int fd = -ENOENT;
    for (unsigned turn = 0; race_turn(&turn);) {
        if (!(flags & VFS_OPEN_EXCLUSIVE))
            fd = open_existing(v, h, path, cred, flags);
        if (fd != -ENOENT || !(flags & VFS_OPEN_CREATE))
            return fd;
        fd = create(v, h, path, cred, flags, out_parent);
        if (fd != -EEXIST || flags & VFS_OPEN_EXCLUSIVE)
            return fd;
        fd = -ENOENT; /* made by somebody else, and possibly removed again: look anew */
    }
    return -EBUSY;
}

/* Below that handle. */
static uint64_t hash_path(const struct dir_handle *h, struct str path)
{
    return h->path_hash ^ hash_bytes(path);
}

static int open_nowait(struct dir_volume *v, struct dir_handle *h, struct str path, const struct vfs_cred *cred,
                       unsigned flags, struct vfs_file **out, struct vfs_attr *out_attr)
{
    struct vfs_attr attr;
    struct stat looked;
    uint64_t hash = hash_path(h, path);
    if (flags != VFS_OPEN_READ || cred || !warm_has(v->warm, hash))
        return -EAGAIN;
    int fd, r = look_regular(h, path, &looked);
    if (r < 0)
        return r;
    struct open_file *shared = open_files_get(v->open_files, hash, h, path, &looked);
    if (!shared) {
        fd = resolve_regular_nowait(h, path, &attr);
        if (fd < 0)
            return fd;
        if (warm_has_lately(v->warm, hash))
            shared = open_files_add(v->open_files, hash, h, path, &looked, fd, &attr);
    }
    if (shared) {
        fd = shared->fd;
        attr = shared->attr;
    }
    struct dir_file *f = dir_file_new(v, fd);
    f->path_hash = hash;
    f->nowait = true;
    f->shared = shared;
    if (out_attr)
        *out_attr = attr;
    *out = &f->base;
    return 0;
}

int dir_file_open(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, unsigned flags,
                  struct vfs_file **out, struct vfs_attr *out_attr)
{
    struct dir_volume *v = dir_volume_of(d->volume);
    if (dir_handle_of(d)->nowait)
        return open_nowait(v, dir_handle_of(d), path, cred, flags, out, out_attr);
    CLEANUP(fd_closep) int parent = -1;
    CLEANUP(fd_closep) int fd = open_or_create(v, dir_handle_of(d), path, cred, flags, &parent);
    if (fd < 0)
        return fd;
    struct vfs_attr attr;
    int r = out_attr ? attr_of_fd(fd, &attr) : 0;
    if (r < 0)
        return r;
    struct dir_file *f = dir_file_new(v, fd_take(&fd));
    if (flags == VFS_OPEN_READ)
        f->path_hash = hash_path(dir_handle_of(d), path);
    if (v->fresh)
        f->parent_fd = fd_take(&parent);
    if (out_attr)
        *out_attr = attr;
    *out = &f->base;
    return 0;
}

void dir_file_close(struct vfs_file *file)
{
    struct dir_file *f = dir_file_of(file);
    if (f->is_staging)
        staging_abandon(f);
    if (f->shared)
        open_file_unref(f->shared);
    else
        fd_closep(&f->fd);
    fd_closep(&f->parent_fd);
    free(f);
}

/* Content */

int dir_file_fstat(struct vfs_file *f, struct vfs_attr *out)
{
    return attr_of_fd(dir_file_of(f)->fd, out);
}

ssize_t dir_file_read(struct vfs_file *f, void *out, size_t size, uint64_t offset)
{
    int r = fault_point("vfs.read");
    return r < 0 ? r : fd_pread_full(dir_file_of(f)->fd, out, size, offset);
}

ssize_t dir_file_read_nowait(struct vfs_file *f, void *out, size_t size, uint64_t offset)
{
    struct iovec span = {out, size};
    int r = fault_point("vfs.read");
    if (r < 0)
        return r;
    ssize_t got = preadv2(dir_file_of(f)->fd, &span, 1, (off_t)offset, RWF_NOWAIT);
    if (got >= 0)
        return got;
    return errno == EOPNOTSUPP || errno == EINTR ? -EAGAIN : -errno;
}

/* What will have to be on the disk when the file is published goes there while the rest still arrives. */
static void start_writeback(struct dir_file *f, size_t written)
{
    if (atomic_fetch_add(&f->unflushed, written) + written < WRITEBACK_BYTES)
        return;
    atomic_store(&f->unflushed, 0);
    (void)sync_file_range(f->fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* a head start only: the sync tells of errors */
}

int dir_file_write(struct vfs_file *file, struct pieces p, uint64_t offset)
{
    struct dir_file *f = dir_file_of(file);
    int r = fault_point("vfs.write");
    if (r == 0)
        r = fd_pwrite_pieces(f->fd, p, offset);
    if (r == 0 && dir_volume_of(file->volume)->fresh)
        start_writeback(f, pieces_len(p));
    return r;
}

int dir_file_truncate(struct vfs_file *f, uint64_t size)
{
    return ftruncate(dir_file_of(f)->fd, (off_t)size) < 0 ? -errno : 0;
}

int dir_file_fd(struct vfs_file *f)
{
    return dir_file_of(f)->fd;
}

int dir_file_sync(struct vfs_file *file)
{
    struct dir_volume *v = dir_volume_of(file->volume);
    struct dir_file *f = dir_file_of(file);
    if (!v->fresh)
        return 0;
    int r = sync_file(v, f->fd);
    if (r < 0 || f->parent_fd < 0)
        return r;
    r = sync_names(v, &f->parent_fd, 1);
    if (r == 0)
        fd_closep(&f->parent_fd);
    return r;
}

int dir_file_lock(struct vfs_file *f, bool exclusive)
{
    if (flock(dir_file_of(f)->fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0)
        return 0;
    return errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

/* Attributes */

static struct timespec time_of(int64_t ns, bool chosen)
{
    if (!chosen)
        return (struct timespec){.tv_nsec = UTIME_OMIT};
    int64_t seconds = ns / 1000000000, rest = ns % 1000000000;
    if (rest < 0) {
        seconds--;
        rest += 1000000000;
    }
    return (struct timespec){.tv_sec = seconds, .tv_nsec = rest};
}

/* The owner first: giving a file away clears set-id bits that the mode may bring. The times last: nothing of the rest
 * touches them, and they are what a validator is made of. */
static int set_all(int fd, const struct vfs_set *set)
{
    if (set->which & VFS_SET_OWNER && fchown(fd, set->uid, set->gid) < 0)
        return -errno;
    if (set->which & VFS_SET_MODE && fchmod(fd, set->mode & 07777) < 0)
        return -errno;
    if (set->which & (VFS_SET_ATIME | VFS_SET_MTIME)) {
        struct timespec times[2] = {time_of(set->atime_ns, set->which & VFS_SET_ATIME),
                                    time_of(set->mtime_ns, set->which & VFS_SET_MTIME)};
        if (futimens(fd, times) < 0)
            return -errno;
    }
    return 0;
}

int dir_file_setattr(struct vfs_file *file, const struct vfs_cred *cred, const struct vfs_set *set)
{
    struct dir_volume *v = dir_volume_of(file->volume);
    struct dir_file *f = dir_file_of(file);
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    int r = cred_enter(&scope, &v->self, cred);
    if (r == 0)
        r = set_all(f->fd, set);
    if (r == 0)
        f->chosen |= set->which;
    return r;
}
