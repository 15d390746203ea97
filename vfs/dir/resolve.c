#include "vfs/dir/dir_internal.h"

#include <errno.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/map.h"
#include "vfs/dir/fresh.h"
#include "vfs/path.h"

/* RESOLVE_BENEATH answers EAGAIN when a rename anywhere raced with a ".." inside a symlink. */
#define BENEATH_RETRIES 256
#define PROC_FD_PATH_SIZE 32

static int open_beneath(int dir_fd, const char *path, int flags, uint64_t extra)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | extra,
    };
    for (int i = 0; i < BENEATH_RETRIES; i++) {
        long fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
        if (fd >= 0)
            return (int)fd;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return name_errno();
        if (extra & RESOLVE_CACHED)
            return -EAGAIN;
        sched_yield();
    }
    return -EBUSY;
}

/* NUL-terminates; the empty path is the directory itself. */
static int path_text(struct str path, char out[PATH_MAX])
{
    if (path.len >= PATH_MAX)
        return -ENAMETOOLONG;
    if (path.len == 0) {
        memcpy(out, ".", 2);
        return 0;
    }
    memcpy(out, path.ptr, path.len);
    out[path.len] = '\0';
    return 0;
}

int resolve(const struct dir_handle *h, struct str path, int flags)
{
    char text[PATH_MAX];
    int r = path_text(path, text);
    return r < 0 ? r : open_beneath(h->fd, text, flags, h->nowait ? RESOLVE_CACHED : 0);
}

int resolve_as(const struct dir_volume *v, const struct dir_handle *h, struct str path, int flags,
               const struct vfs_cred *cred)
{
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    int r = cred_enter(&scope, &v->self, cred);
    return r < 0 ? r : resolve(h, path, flags);
}

int resolve_child(int dir_fd, const char *name, int flags)
{
    return open_beneath(dir_fd, name, flags, RESOLVE_NO_SYMLINKS);
}

int reopen(int path_fd, int flags)
{
    char link[PROC_FD_PATH_SIZE];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", path_fd);
    int fd = open(link, flags | O_CLOEXEC | O_NOCTTY);
    return fd < 0 ? -errno : fd;
}

int reopen_dir(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Races over directories */

bool is_removed(int dir_fd)
{
    struct stat st;
    return fstat(dir_fd, &st) < 0 || st.st_nlink == 0;
}

/* A directory that is being removed is there by name, and gone in every other respect, until the remover has finished;
 * it may have lost its processor in the middle. */
bool race_turn(unsigned *turn)
{
    enum { TURNS = 64, YIELDS = 4, PAUSE_NS = 25000, PAUSE_MAX_NS = 20000000 };
    if (*turn >= TURNS)
        return false;
    if (*turn > YIELDS) {
        long pause_ns = *turn > 16 ? PAUSE_MAX_NS : (long)PAUSE_NS << (*turn - YIELDS);
        nanosleep(&(struct timespec){.tv_nsec = pause_ns < PAUSE_MAX_NS ? pause_ns : PAUSE_MAX_NS}, NULL);
    } else if (*turn > 0) {
        sched_yield();
    }
    (*turn)++;
    return true;
}

/* Regular files and directories */

static int check_type(int fd, bool allow_dir, bool *out_is_dir)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    *out_is_dir = S_ISDIR(st.st_mode);
    if (S_ISREG(st.st_mode) || (*out_is_dir && allow_dir))
        return 0;
    return *out_is_dir ? -EISDIR : -ENXIO;
}

/* Looks at the node before it is opened for reading: opening a device or a FIFO has effects of its own. */
static int open_cautious(const struct dir_handle *h, const char *text, int flags, bool allow_dir)
{
    CLEANUP(fd_closep) int path_fd = open_beneath(h->fd, text, O_PATH, 0);
    if (path_fd < 0)
        return path_fd;
    bool is_dir;
    int r = check_type(path_fd, allow_dir, &is_dir);
    if (r < 0)
        return r;
    return reopen(path_fd, is_dir ? O_RDONLY | O_DIRECTORY : flags);
}

static int look(const struct dir_handle *h, const char *text, struct stat *out)
{
    return fstatat(h->fd, text, out, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0 && S_ISREG(out->st_mode) ? 0 : -EAGAIN;
}

int look_regular(const struct dir_handle *h, struct str path, struct stat *out)
{
    char text[PATH_MAX];
    int r = path_text(path, text);
    return r < 0 ? r : look(h, text, out);
}

int resolve_regular(const struct dir_handle *h, struct str path, int flags, bool allow_dir)
{
    char text[PATH_MAX];
    int r = path_text(path, text);
    if (r < 0)
        return r;
    /* Half the cost of open_cautious, for what nearly all names are. The hint is confined to nothing and proves nothing:
     * a node swapped in after it is opened without blocking, recognised below and closed. */
    struct stat hint;
    if (look(h, text, &hint) < 0)
        return open_cautious(h, text, flags, allow_dir);
    CLEANUP(fd_closep) int fd = open_beneath(h->fd, text, flags | O_NONBLOCK | O_NOCTTY, 0);
    if (fd == -EWOULDBLOCK || fd == -EBUSY) /* a lease is being broken: wait for it, once the type is sure */
        return open_cautious(h, text, flags, allow_dir);
    if (fd < 0)
        return fd;
    bool is_dir;
    r = check_type(fd, allow_dir, &is_dir);
    return r < 0 ? r : fd_take(&fd);
}

/* As above; one look at the attributes does for the type too. */
int resolve_regular_nowait(const struct dir_handle *h, struct str path, struct vfs_attr *out_attr)
{
    char text[PATH_MAX];
    int r = path_text(path, text);
    if (r < 0)
        return r;
    CLEANUP(fd_closep) int fd = open_beneath(h->fd, text, O_RDONLY | O_NONBLOCK | O_NOCTTY, RESOLVE_CACHED);
    if (fd < 0)
        return fd;
    r = attr_of_fd(fd, out_attr);
    if (r < 0)
        return r;
    return out_attr->type == VFS_FILE ? fd_take(&fd) : -EAGAIN;
}

/* Places */

void place_done(struct place *p)
{
    if (!p->is_borrowed)
        fd_closep(&p->parent);
    *p = (struct place)PLACE_INIT;
}

int place_take_parent(struct place *p)
{
    if (!p->is_borrowed)
        return fd_take(&p->parent);
    int fd = fcntl(p->parent, F_DUPFD_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

static void place_name(struct place *p, struct str name)
{
    CHECK(p->parent < 0);
    CHECK(name.len > 0 && name.len <= NAME_MAX);
    memcpy(p->name, name.ptr, name.len);
    p->name[name.len] = '\0';
}

static int place_set(struct place *p, int parent_fd, struct str name)
{
    struct stat st;
    if (parent_fd < 0)
        return parent_fd;
    if (fstat(parent_fd, &st) < 0) {
        int error = errno;
        close(parent_fd);
        return -error;
    }
    place_name(p, name);
    p->parent = parent_fd;
    p->dev = st.st_dev;
    p->ino = st.st_ino;
    return 0;
}

/* Most names are the handle's own entries: its directory is open already. Not on behalf of somebody, whose right to go through it
 * is seen in opening it. */
static bool place_borrow(struct place *p, const struct dir_handle *h, struct str path, const struct vfs_cred *cred)
{
    if (cred || str_find_char(path, '/') >= 0)
        return false;
    place_name(p, path);
    p->parent = h->fd;
    p->is_borrowed = true;
    p->dev = h->dev;
    p->ino = h->ino;
    return true;
}

int place_find(const struct dir_volume *v, const struct dir_handle *h, struct str path, const struct vfs_cred *cred,
               struct place *out)
{
    if (place_borrow(out, h, path, cred))
        return 0;
    return place_set(out, resolve_as(v, h, vfs_path_parent(path), O_PATH | O_DIRECTORY, cred), vfs_path_leaf(path));
}

int place_make(struct dir_volume *v, const struct dir_handle *h, struct str path, const struct vfs_cred *cred,
               struct place *out, unsigned *out_made)
{
    if (place_borrow(out, h, path, cred))
        return 0;
    return place_set(out, parents_make(v, h, vfs_path_parent(path), cred, out_made), vfs_path_leaf(path));
}

struct mutex *stripe_of(struct dir_volume *v, const struct place *p)
{
    char key[sizeof(p->dev) + sizeof(p->ino) + NAME_MAX];
    size_t name_len = strlen(p->name);
    memcpy(key, &p->dev, sizeof(p->dev));
    memcpy(key + sizeof(p->dev), &p->ino, sizeof(p->ino));
    memcpy(key + sizeof(p->dev) + sizeof(p->ino), p->name, name_len);
    return &v->stripes[hash_bytes(str_of(key, sizeof(p->dev) + sizeof(p->ino) + name_len)) % DIR_STRIPES];
}

/* Making parents */

mode_t mode_of_new_dir(const struct dir_volume *v, struct str name)
{
    return str_is(name, VFS_PATH_STATE_NAME) ? 0700 : (mode_t)v->options.dir_mode;
}

/* -EAGAIN: somebody else was at work here, look again. */
static int refuse_make(int parent_fd, const char *name, int error)
{
    struct vfs_attr attr;
    if (error == ENOENT || error == ESTALE)
        return -EAGAIN;
    if (error != EEXIST)
        return -error;
    /* A link that is there and does not resolve is dangling, and in the way. */
    return attr_at(parent_fd, name, &attr) == 0 && attr.type == VFS_SYMLINK ? -ENOTDIR : -EAGAIN;
}

/* Makes one directory and opens it for syncing. -EAGAIN as above. */
static int make_one(struct dir_volume *v, int parent_fd, struct str name, const struct vfs_cred *cred)
{
    char text[NAME_MAX + 1];
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    CLEANUP(fd_closep) int fd = -1;
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    int r = cred_enter(&scope, &v->self, cred);
    if (r < 0)
        return r;
    if (mkdirat(parent_fd, text, mode_of_new_dir(v, name)) < 0)
        return refuse_make(parent_fd, text, errno);
    fd = resolve_child(parent_fd, text, O_RDONLY | O_DIRECTORY);
    cred_leave(&scope);
    if (fd < 0)
        return fd == -ENOENT || fd == -ELOOP || fd == -ENOTDIR ? -EAGAIN : fd;
    dir_mark_new(v, fd, cred);
    if (v->fresh) {
        r = fresh_add(v->fresh, fd, parent_fd);
        if (r < 0)
            return r;
    }
    return fd_take(&fd);
}

/* rest: segments that were missing below base_fd, which is taken. */
static int make_chain(struct dir_volume *v, int base_fd, struct str rest, const struct vfs_cred *cred,
                      unsigned *out_made)
{
    CLEANUP(fd_closep) int at = base_fd;
    struct str name;
    for (unsigned depth = 1; str_split(&rest, '/', &name); depth++) {
        int fd = make_one(v, at, name, cred);
        if (fd < 0)
            return fd;
        (*out_made)++;
        fd_closep(&at);
        at = fd;
        int r = depth % DIR_FRESH_DEPTH_MAX == 0 ? sync_names(v, &at, 1) : 0;
        if (r < 0)
            return r;
    }
    return fd_take(&at);
}

int parents_make(struct dir_volume *v, const struct dir_handle *h, struct str path, const struct vfs_cred *cred,
                 unsigned *out_made)
{
    for (unsigned turn = 0; race_turn(&turn);) {
        int fd = resolve_as(v, h, path, O_PATH | O_DIRECTORY, cred);
        if (fd != -ENOENT)
            return fd;
        struct str prefix = path;
        while (fd == -ENOENT && prefix.len > 0) {
            prefix = vfs_path_parent(prefix);
            fd = resolve_as(v, h, prefix, O_PATH | O_DIRECTORY, cred);
        }
        if (fd < 0)
            return fd;
        fd = make_chain(v, fd, str_from(path, prefix.len ? prefix.len + 1 : 0), cred, out_made);
        if (fd != -EAGAIN)
            return fd;
        if (is_removed(h->fd))
            return -ENOENT;
    }
    return -EBUSY;
}
