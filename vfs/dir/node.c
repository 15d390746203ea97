#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/log.h"
#include "vfs/dir/dir_internal.h"
#include "vfs/dir/fresh.h"
#include "vfs/dir/guard.h"
#include "vfs/dir/kept.h"
#include "vfs/dir/sync.h"
#include "vfs/path.h"

/* Attributes */

static int64_t ns_of(struct statx_timestamp t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static enum vfs_type type_of(unsigned mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return VFS_FILE;
    case S_IFDIR:
        return VFS_DIRECTORY;
    case S_IFLNK:
        return VFS_SYMLINK;
    default:
        return VFS_OTHER;
    }
}

static int attr_read(int fd, const char *name, int flags, struct vfs_attr *out)
{
    struct statx sx;
    if (statx(fd, name, flags | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME, &sx) < 0)
        return name_errno();
    *out = (struct vfs_attr){
        .type = type_of(sx.stx_mode),
        .ino = sx.stx_ino,
        .size = sx.stx_size,
        .mtime_ns = ns_of(sx.stx_mtime),
        .ctime_ns = ns_of(sx.stx_ctime),
        .btime_ns = sx.stx_mask & STATX_BTIME ? ns_of(sx.stx_btime) : 0,
        .mode = sx.stx_mode & 07777,
        .uid = sx.stx_uid,
        .gid = sx.stx_gid,
        .nlink = sx.stx_nlink,
    };
    return 0;
}

int attr_of_fd(int fd, struct vfs_attr *out)
{
    return attr_read(fd, "", AT_EMPTY_PATH, out);
}

int attr_at(int dir_fd, const char *name, struct vfs_attr *out)
{
    return attr_read(dir_fd, name, AT_SYMLINK_NOFOLLOW, out);
}

static int lookup_nowait(struct dir_volume *v, const struct dir_handle *h, struct str path, struct vfs_attr *out)
{
    uint64_t token = 0;
    if (kept_knows_absent(v->kept, h, path, &token))
        return -ENOENT;
    CLEANUP(fd_closep) int fd = resolve(h, path, O_PATH);
    if (fd == -ENOENT)
        kept_is_absent(v->kept, h, path, token);
    return fd < 0 ? fd : attr_of_fd(fd, out);
}

/* An entry of the handle's own directory, unless it is a link, leads nowhere else: no need to open it. */
static bool lookup_entry(const struct dir_handle *h, struct str path, struct vfs_attr *out, int *out_result)
{
    struct vfs_attr attr;
    char name[NAME_MAX + 1];
    if (path.len == 0 || path.len > NAME_MAX || str_find_char(path, '/') >= 0)
        return false;
    memcpy(name, path.ptr, path.len);
    name[path.len] = '\0';
    *out_result = attr_at(h->fd, name, &attr);
    if (*out_result == 0 && attr.type == VFS_SYMLINK)
        return false;
    if (*out_result == 0)
        *out = attr;
    return true;
}

int dir_lookup(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct vfs_attr *out)
{
    struct dir_volume *v = dir_volume_of(d->volume);
    const struct dir_handle *h = dir_handle_of(d);
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    int r = cred_enter(&scope, &v->self, cred);
    if (r < 0)
        return r;
    if (h->nowait)
        return lookup_nowait(v, h, path, out);
    if (lookup_entry(h, path, out, &r))
        return r;
    CLEANUP(fd_closep) int fd = resolve(h, path, O_PATH);
    return fd < 0 ? fd : attr_of_fd(fd, out);
}

/* Marks of implicit directories */

#define IMPLICIT STR("1")
/* As no mark, except that whoever has just made the directory on the way cannot set theirs any more. */
#define EXPLICIT STR("0")

void dir_mark_new(struct dir_volume *v, int fd, const struct vfs_cred *cred)
{
    int r = xattr_add(v, fd, cred, DIR_IMPLICIT_XATTR, IMPLICIT);
    if (r < 0)
        log_debug("directory_not_marked", "error=%d", -r); /* it is merely never pruned */
}

bool dir_is_marked(struct dir_volume *v, int fd)
{
    CLEANUP(buf_done) struct buf value = buf_make(16);
    return xattr_read(v, fd, DIR_IMPLICIT_XATTR, &value) == 0 && str_eq(buf_str(&value), IMPLICIT);
}

int dir_is_implicit(struct vfs_dir *d, struct str path, const struct vfs_cred *cred)
{
    struct dir_volume *v = dir_volume_of(d->volume);
    CLEANUP(fd_closep) int fd = resolve_as(v, dir_handle_of(d), path, O_RDONLY | O_DIRECTORY, cred);
    return fd < 0 ? fd : dir_is_marked(v, fd);
}

int dir_set_implicit(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, bool implicit)
{
    struct dir_volume *v = dir_volume_of(d->volume);
    CLEANUP(fd_closep) int fd = resolve_as(v, dir_handle_of(d), path, O_RDONLY | O_DIRECTORY, cred);
    if (fd < 0)
        return fd;
    int r = xattr_write(v, fd, cred, DIR_IMPLICIT_XATTR, implicit ? IMPLICIT : EXPLICIT);
    if (r == 0)
        r = sync_file(v, fd); /* the mark may be in the sidecar */
    return r < 0 ? r : sync_names(v, &fd, 1);
}

/* Making directories */

static int mkdir_at(struct dir_volume *v, const struct place *p, const struct vfs_cred *cred)
{
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    int r = cred_enter(&scope, &v->self, cred);
    if (r == 0)
        r = fault_point("vfs.mkdir");
    if (r < 0)
        return r;
    return mkdirat(p->parent, p->name, mode_of_new_dir(v, str_z(p->name))) < 0 ? name_errno() : 0;
}

static int finish_mkdir(struct dir_volume *v, const struct place *p, const struct vfs_cred *cred, unsigned flags)
{
    CLEANUP(fd_closep) int fd = resolve_child(p->parent, p->name, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd; /* gone again already: somebody else's doing */
    if (flags & VFS_MKDIR_IMPLICIT)
        dir_mark_new(v, fd, cred);
    if (!v->fresh)
        return 0;
    int r = fresh_add(v->fresh, fd, p->parent);
    return r < 0 ? r : sync_names(v, &fd, 1);
}

/* -EEXIST for a directory, also behind a link; whatever else has the name is in the way. */
static int refuse_mkdir(struct vfs_dir *d, struct str path, const struct vfs_cred *cred)
{
    struct vfs_attr attr;
    int r = dir_lookup(d, path, cred, &attr);
    if (r < 0 && r != -ENOENT)
        return r;
    return r == 0 && attr.type == VFS_DIRECTORY ? -EEXIST : -ENOTDIR;
}

int dir_mkdir(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, unsigned flags)
{
    struct dir_volume *v = dir_volume_of(d->volume);
    for (unsigned turn = 0; race_turn(&turn);) {
        CLEANUP(place_done) struct place p = PLACE_INIT;
        unsigned made = 0;
        int r = place_make(v, dir_handle_of(d), path, cred, &p, &made);
        if (r == 0)
            r = mkdir_at(v, &p, cred);
        else if (r == -ENOENT)
            return r;
        if (r == 0)
            return finish_mkdir(v, &p, cred, flags);
        if (r == -ENOENT && !is_removed(dir_handle_of(d)->fd))
            continue;
        if (made > 0)
            prune(v, dir_handle_of(d), vfs_path_parent(path), cred);
        return r == -EEXIST ? refuse_mkdir(d, path, cred) : r;
    }
    return -EBUSY;
}

/* Removing directories */

static int rmdir_at(struct dir_volume *v, const struct place *p, const struct vfs_cred *cred)
{
    struct vfs_attr was;
    int r = attr_at(p->parent, p->name, &was);
    if (r < 0)
        return r;
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    r = cred_enter(&scope, &v->self, cred);
    if (r == 0)
        r = fault_point("vfs.rmdir");
    if (r < 0)
        return r;
    if (unlinkat(p->parent, p->name, AT_REMOVEDIR) < 0)
        return errno == EEXIST ? -ENOTEMPTY : name_errno();
    cred_leave(&scope);
    if (v->fresh)
        fresh_drop(v->fresh, p->dev, was.ino);
    xattr_forget(v, &was);
    return 0;
}

/* A directory whose last content is our own state, with nothing in progress in it, counts as empty. */
static bool remove_state(struct dir_volume *v, const struct place *p)
{
    struct dir_handle h = {.base = {&v->base}, .fd = p->parent, .dev = p->dev, .ino = p->ino};
    CLEANUP(place_done) struct place state = PLACE_INIT;
    char path[NAME_MAX + sizeof("/" VFS_PATH_STATE_NAME)];
    snprintf(path, sizeof(path), "%s/" VFS_PATH_STATE_NAME, p->name);
    CLEANUP(fd_closep) int fd = resolve_as(v, &h, str_z(path), O_RDONLY | O_DIRECTORY, NULL);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return false;
    for (const struct dirent *e; (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            (void)unlinkat(fd, e->d_name, AT_REMOVEDIR); /* what is in use stays, and is seen below */
    }
    fd = -1;
    closedir(dir);
    return place_find(v, &h, str_z(path), NULL, &state) == 0 && rmdir_at(v, &state, NULL) == 0;
}

int dir_rmdir(struct vfs_dir *d, struct str path, const struct vfs_cred *cred)
{
    struct dir_volume *v = dir_volume_of(d->volume);
    CLEANUP(place_done) struct place p = PLACE_INIT;
    int r = place_find(v, dir_handle_of(d), path, cred, &p);
    if (r < 0)
        return r;
    r = rmdir_at(v, &p, cred);
    if (r == -ENOTEMPTY && remove_state(v, &p))
        r = rmdir_at(v, &p, cred);
    return r < 0 ? r : sync_names(v, &p.parent, 1);
}

/* Whether the directory is marked is looked at as the process: it is our own record. Removing it is the caller's act. Who makes
 * it an object meanwhile holds its lock, or finds it gone. */
static bool prune_one(struct dir_volume *v, const struct dir_handle *h, struct str path, const struct vfs_cred *cred)
{
    CLEANUP(place_done) struct place p = PLACE_INIT;
    if (place_find(v, h, path, cred, &p) < 0)
        return false;
    CLEANUP(fd_closep) int fd = resolve_child(p.parent, p.name, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return fd == -ENOENT; /* gone already: go on above it */
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return false;
    return dir_is_marked(v, fd) && rmdir_at(v, &p, cred) == 0;
}

void prune(struct dir_volume *v, const struct dir_handle *h, struct str path, const struct vfs_cred *cred)
{
    while (path.len > 0 && prune_one(v, h, path, cred))
        path = vfs_path_parent(path);
}

void dir_prune(struct vfs_dir *d, struct str path, const struct vfs_cred *cred)
{
    prune(dir_volume_of(d->volume), dir_handle_of(d), path, cred);
}
