#include "vfs/dir/guard.h"

#include <errno.h>
#include <sys/file.h>
#include <time.h>

#include "base/check.h"

/* A gateway holds the lock for a rename's time. Whoever holds it much longer is a stranger, who must not stop a worker. */
#define HOLD_TRIES 400
#define HOLD_PAUSE_NS (5 * 1000 * 1000)

/* The node that vfs_lookup would find now. */
static int current_version(const struct dir_handle *h, struct str path, const struct place *p, struct vfs_version *out)
{
    struct vfs_attr attr;
    int r = attr_at(p->parent, p->name, &attr);
    if (r == 0 && attr.type == VFS_SYMLINK) {
        CLEANUP(fd_closep) int fd = resolve(h, path, O_PATH);
        r = fd < 0 ? fd : attr_of_fd(fd, &attr);
    }
    if (r == 0)
        *out = vfs_attr_version(&attr);
    return r;
}

static int lock_exclusive(int fd)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    return errno == EWOULDBLOCK ? -EBUSY : 0; /* else a filesystem without locks: the stripe is all there is */
}

bool guard_turn(int result, unsigned *turn)
{
    if (result != -EBUSY || ++*turn > HOLD_TRIES)
        return false;
    nanosleep(&(struct timespec){.tv_nsec = HOLD_PAUSE_NS}, NULL);
    return true;
}

static int check(const struct dir_handle *h, struct str path, const struct place *p, struct vfs_version expected)
{
    struct vfs_version now = {0};
    int r = current_version(h, path, p, &now);
    if (r < 0)
        return r;
    return vfs_version_eq(now, expected) ? 0 : -ESTALE;
}

int guard_hold(const struct dir_handle *h, struct str path, const struct place *p, struct vfs_version expected,
               int *out_held)
{
    int r = check(h, path, p, expected);
    if (r < 0)
        return r;
    CLEANUP(fd_closep) int fd = resolve_regular(h, path, O_RDONLY, true);
    if (fd == -EACCES || fd == -EPERM) { /* not for us to read: go on with the stripe */
        *out_held = -1;
        return 0;
    }
    if (fd < 0)
        return fd;
    struct vfs_attr held;
    r = attr_of_fd(fd, &held);
    if (r == 0)
        r = held.ino == expected.ino ? lock_exclusive(fd) : -ESTALE;
    if (r == 0)
        r = check(h, path, p, expected); /* again: the one who had the lock may have replaced it */
    if (r == 0)
        *out_held = fd_take(&fd);
    return r;
}
