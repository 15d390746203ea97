/* Removing and moving names, and making them last. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "vfs/dir/dir_internal.h"
#include "vfs/dir/fresh.h"
#include "vfs/dir/guard.h"
#include "vfs/dir/leaving.h"
#include "vfs/dir/sidecar.h"
#include "vfs/dir/sync.h"
#include "vfs/path.h"

int sync_file(struct dir_volume *v, int fd)
{
    int fds[2] = {fd, -1};
    if (!v->fresh)
        return 0;
    const struct sidecar *sidecar = atomic_load(&v->sidecar);
    if (sidecar)
        fds[1] = sidecar_log_fd(sidecar);
    return sync_nodes(fds, fds[1] < 0 ? 1 : 2);
}

/* A directory to be synced, and those above it whose names for it are not on stable storage yet. */
struct chain {
    dev_t dev;
    ino_t ino;
    int fresh; /* how many of them */
};

/* Appends the descriptors to fds; *used counts them, also on failure. */
static int open_chain(struct dir_volume *v, int dir_fd, struct chain *out, int *fds, size_t *used)
{
    struct stat st;
    if (fstat(dir_fd, &st) < 0)
        return -errno;
    int fd = reopen_dir(dir_fd);
    if (fd < 0)
        return fd;
    fds[(*used)++] = fd;
    *out = (struct chain){.dev = st.st_dev, .ino = st.st_ino};
    int r = fresh_collect(v->fresh, st.st_dev, st.st_ino, fds + *used, DIR_FRESH_DEPTH_MAX);
    if (r < 0)
        return r;
    out->fresh = r;
    *used += (size_t)r;
    return 0;
}

int sync_names(struct dir_volume *v, const int *dir_fds, size_t count)
{
    enum { DIRS_MAX = 2 };
    CHECK(count <= DIRS_MAX);
    if (!v->fresh)
        return 0;
    int fds[DIRS_MAX * (DIR_FRESH_DEPTH_MAX + 1)] = {0};
    struct chain chains[DIRS_MAX] = {0};
    size_t used = 0;
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++)
        r = open_chain(v, dir_fds[i], &chains[i], fds, &used);
    if (r == 0)
        r = sync_nodes(fds, used);
    for (size_t i = 0; i < count && r == 0; i++)
        fresh_settle(v->fresh, chains[i].dev, chains[i].ino, chains[i].fresh);
    while (used > 0)
        fd_closep(&fds[--used]);
    return r;
}

/* Unlink */

static int unlink_locked(struct dir_volume *v, const struct dir_handle *h, struct str path, const struct place *p,
                         const struct vfs_cred *cred, const struct vfs_version *expected)
{
    CLEANUP(fd_closep) int held = -1;
    if (expected) {
        int r = guard_hold(h, path, p, *expected, &held);
        if (r < 0)
            return r;
    }
    CLEANUP(leaving_done) struct leaving l = LEAVING_INIT;
    int r = leaving_look(p, &l);
    if (r == 0)
        r = fault_point("vfs.unlink");
    if (r < 0)
        return r;
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    r = cred_enter(&scope, &v->self, cred);
    if (r < 0)
        return r;
    if (unlinkat(p->parent, p->name, 0) < 0)
        return name_errno();
    cred_leave(&scope);
    leaving_left(v, &l);
    return 0;
}

static int unlink_place(struct vfs_dir *d, struct str path, const struct vfs_cred *cred,
                        const struct vfs_version *expected, struct place *out)
{
    struct dir_volume *v = dir_volume_of(d->volume);
    int r = place_find(v, dir_handle_of(d), path, cred, out);
    if (r < 0)
        return r;
    struct mutex *stripe = stripe_of(v, out);
    unsigned turn = 0;
    do {
        mutex_lock(stripe);
        r = unlink_locked(v, dir_handle_of(d), path, out, cred, expected);
        mutex_unlock(stripe);
    } while (expected && guard_turn(r, &turn));
    return r;
}

int dir_unlink(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, const struct vfs_version *expected)
{
    CLEANUP(place_done) struct place p = PLACE_INIT;
    int r = unlink_place(d, path, cred, expected, &p);
    return r < 0 ? r : sync_names(dir_volume_of(d->volume), &p.parent, 1);
}

int dir_discard(struct vfs_dir *d, struct str path)
{
    CLEANUP(place_done) struct place p = PLACE_INIT;
    return unlink_place(d, path, NULL, NULL, &p);
}

/* Rename */

/* Filesystems without RENAME_NOREPLACE: looking first is all that is left there. */
static int rename_plain(const struct place *from, const struct place *to, unsigned flags)
{
    struct vfs_attr attr;
    if (flags & VFS_RENAME_NOREPLACE && attr_at(to->parent, to->name, &attr) == 0)
        return -EEXIST;
    if (renameat(from->parent, from->name, to->parent, to->name) == 0)
        return 0;
    return errno == EEXIST ? -ENOTEMPTY : name_errno(); /* XFS says so of a directory with entries */
}

static int rename_as(struct dir_volume *v, const struct place *from, const struct place *to,
                     const struct vfs_cred *cred, unsigned flags)
{
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    int r = cred_enter(&scope, &v->self, cred);
    if (r == 0)
        r = fault_point("vfs.rename");
    if (r < 0)
        return r;
    if (!(flags & VFS_RENAME_NOREPLACE))
        return rename_plain(from, to, flags);
    if (renameat2(from->parent, from->name, to->parent, to->name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno == EINVAL || errno == ENOSYS)
        return rename_plain(from, to, flags);
    return errno == ENOTEMPTY ? -EEXIST : name_errno();
}

static int rename_locked(struct dir_volume *v, const struct place *from, const struct place *to,
                         const struct vfs_cred *cred, unsigned flags)
{
    struct vfs_attr moved;
    CLEANUP(leaving_done) struct leaving replaced = LEAVING_INIT;
    int r = attr_at(from->parent, from->name, &moved);
    if (r < 0)
        return r;
    bool replaces = leaving_look(to, &replaced) == 0;
    r = rename_as(v, from, to, cred, flags);
    if (r == 0 && replaces && replaced.attr.ino != moved.ino)
        leaving_left(v, &replaced);
    return r;
}

static int rename_places(struct dir_volume *v, const struct place *from, const struct place *to,
                         const struct vfs_cred *cred, unsigned flags)
{
    struct mutex *a = stripe_of(v, from), *b = stripe_of(v, to);
    struct mutex *first = a < b ? a : b, *second = a < b ? b : a;
    mutex_lock(first);
    if (second != first)
        mutex_lock(second);
    int r = rename_locked(v, from, to, cred, flags);
    if (second != first)
        mutex_unlock(second);
    mutex_unlock(first);
    if (r < 0)
        return r;
    int parents[] = {from->parent, to->parent};
    return sync_names(v, parents, 2);
}

int dir_rename(struct vfs_dir *d, struct str from_path, struct str to_path, const struct vfs_cred *cred,
               unsigned flags)
{
    struct dir_volume *v = dir_volume_of(d->volume);
    for (unsigned turn = 0; race_turn(&turn);) {
        CLEANUP(place_done) struct place from = PLACE_INIT;
        CLEANUP(place_done) struct place to = PLACE_INIT;
        struct vfs_attr attr;
        unsigned made = 0;
        int r = place_find(v, dir_handle_of(d), from_path, cred, &from);
        if (r == 0)
            r = attr_at(from.parent, from.name, &attr);
        if (r < 0) /* what is to be moved is not there: no race over the target's parents */
            return r;
        r = place_make(v, dir_handle_of(d), to_path, cred, &to, &made);
        if (r == 0)
            r = rename_places(v, &from, &to, cred, flags);
        if (r < 0 && made > 0)
            prune(v, dir_handle_of(d), vfs_path_parent(to_path), cred);
        if (r != -ENOENT || is_removed(dir_handle_of(d)->fd))
            return r;
    }
    return -EBUSY;
}
