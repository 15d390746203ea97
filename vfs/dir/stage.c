#include <errno.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "vfs/dir/dir_internal.h"
#include "vfs/dir/intents.h"
#include "vfs/path.h"

/* Smaller files are not worth asking for the space first. */
#define SPACE_CHECK_BYTES (1024 * 1024)
/* Whoever renames a directory on the way within such a moment comes after the upload: both were under way. */
#define PLACE_TRUST_MS 10

/* Unnamed */

/* ENOENT is what kernels before O_TMPFILE make of it. */
static bool is_unsupported(int error)
{
    return error == EOPNOTSUPP || error == EISDIR || error == EINVAL || error == ENOENT;
}

/* -ENOTSUP: a named file it must be. */
static int open_unnamed(struct dir_volume *v, const struct place *p, const struct vfs_cred *cred)
{
    if (atomic_load(&v->no_tmpfile))
        return -ENOTSUP;
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    int r = cred_enter(&scope, &v->self, cred);
    if (r < 0)
        return r;
    int fd = openat(p->parent, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, (mode_t)v->options.file_mode);
    if (fd >= 0)
        return fd;
    int error = errno;
    if (is_removed(p->parent)) /* ext4 says EPERM then, network filesystems ESTALE */
        return -ENOENT;
    return is_unsupported(error) ? -ENOTSUP : -error;
}

/* Named. On behalf of somebody the file is made in the target's directory, so that the kernel's own checks and inheritance
 * apply; the process's own files are made aside, where they disturb nobody, and adopted. */

static void drop_temp_name(struct dir_volume *v, struct staging *s)
{
    if (s->temp_dir < 0)
        return;
    (void)unlinkat(s->temp_dir, s->temp_name, 0); /* publishing may have moved it */
    intents_clear(v->intents, s->intent);
    fd_closep(&s->temp_dir);
}

static int create_as(struct dir_volume *v, const struct staging *s, const struct vfs_cred *cred, mode_t mode)
{
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    int r = cred_enter(&scope, &v->self, cred);
    if (r < 0)
        return r;
    int fd = openat(s->temp_dir, s->temp_name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    return fd < 0 ? name_errno() : fd;
}

/* In s->temp_dir, which is closed on failure. */
static int create_named(struct dir_volume *v, struct staging *s, const struct vfs_cred *cred, mode_t mode)
{
    temp_name(s->temp_name);
    s->intent = intents_enter(v->intents, s->temp_dir, s->temp_name);
    CLEANUP(fd_closep) int fd = create_as(v, s, cred, mode);
    int r = fd < 0 ? fd : 0;
    /* Held until the file is closed: whoever finds it old sees that somebody is at work on it. */
    if (r == 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        r = -EBUSY;
    if (r == 0)
        return fd_take(&fd);
    drop_temp_name(v, s);
    return r;
}

static int open_in_place(struct dir_volume *v, const struct place *p, const struct vfs_cred *cred, struct staging *s)
{
    s->temp_dir = fcntl(p->parent, F_DUPFD_CLOEXEC, 0);
    return s->temp_dir < 0 ? -errno : create_named(v, s, cred, (mode_t)v->options.file_mode);
}

static int create_aside(struct dir_volume *v, const struct dir_handle *h, struct staging *s)
{
    s->temp_dir = temp_dir_open(v, h);
    if (s->temp_dir < 0)
        return s->temp_dir;
    temp_sweep(v, s->temp_dir);
    return create_named(v, s, NULL, 0600);
}

static int open_aside(struct dir_volume *v, const struct dir_handle *h, const struct place *p, struct staging *s)
{
    if (faccessat(p->parent, ".", W_OK | X_OK, AT_EACCESS) < 0)
        return name_errno(); /* what making it in the directory itself would have found out */
    int fd = -ENOENT;
    for (unsigned turn = 0; fd == -ENOENT && race_turn(&turn);)
        fd = create_aside(v, h, s); /* -ENOENT: the state directory was removed meanwhile */
    if (fd == -EACCES) /* the state belongs to somebody else: a gateway that ran as root before */
        return open_in_place(v, p, NULL, s);
    if (fd < 0)
        return fd;
    int r = adopt(v, fd, p->parent, NULL, 0);
    if (r < 0) {
        drop_temp_name(v, s);
        fd_closep(&fd);
        return r;
    }
    return fd;
}

/* Either */

static int open_staged(struct dir_volume *v, const struct dir_handle *h, const struct place *p,
                       const struct vfs_cred *cred, struct staging *s)
{
    int fd = open_unnamed(v, p, cred);
    if (fd != -ENOTSUP)
        return fd;
    return cred ? open_in_place(v, p, cred, s) : open_aside(v, h, p, s);
}

/* For publishing it: the body of a small file is mostly there already. */
static void keep_place(struct staging *s, struct place *p)
{
    s->place = malloc(sizeof(*p));
    CHECK(s->place != NULL);
    *s->place = *p;
    s->place_ms = clock_mono_ms();
    *p = (struct place)PLACE_INIT;
}

static int open_staged_retrying(struct dir_volume *v, const struct dir_handle *h, struct str path, const struct vfs_cred *cred,
                                bool is_small, struct staging *s, unsigned *made)
{
    for (unsigned turn = 0; race_turn(&turn);) {
        CLEANUP(place_done) struct place p = PLACE_INIT;
        int r = place_make(v, h, path, cred, &p, made);
        if (r < 0)
            return r;
        int fd = open_staged(v, h, &p, cred, s);
        if (fd >= 0 && is_small && !cred && !p.is_borrowed)
            keep_place(s, &p);
        if (fd != -ENOENT || is_removed(h->fd))
            return fd;
    }
    return -EBUSY;
}

static int check_space(const struct dir_handle *h, uint64_t size_hint)
{
    struct statvfs fs;
    if (size_hint < SPACE_CHECK_BYTES || fstatvfs(h->fd, &fs) < 0)
        return 0;
    return fs.f_blocks > 0 && size_hint / fs.f_frsize > fs.f_bavail ? -ENOSPC : 0;
}

static void remember_path(struct staging *s, struct dir_handle *h, struct str path)
{
    char *copy = malloc(path.len + 1);
    CHECK(copy != NULL);
    memcpy(copy, path.ptr, path.len);
    s->path = str_of(copy, path.len);
    s->dir = dir_handle_ref(h);
}

int dir_stage(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, uint64_t size_hint,
              struct vfs_file **out)
{
    struct dir_volume *v = dir_volume_of(d->volume);
    struct dir_handle *h = dir_handle_of(d);
    struct staging s = {.temp_dir = -1};
    bool is_small = size_hint > 0 && size_hint < SPACE_CHECK_BYTES;
    unsigned made = 0;
    int r = fault_point("vfs.stage");
    if (r == 0)
        r = check_space(h, size_hint);
    if (r < 0)
        return r;
    int fd = open_staged_retrying(v, h, path, cred, is_small, &s, &made);
    if (fd < 0) {
        if (made > 0)
            prune(v, h, vfs_path_parent(path), cred);
        return fd;
    }
    s.made_parents = made > 0;
    if (str_find_char(path, '/') >= 0)
        remember_path(&s, h, path);
    struct dir_file *f = dir_file_new(v, fd);
    f->is_staging = true;
    f->staging = s;
    *out = &f->base;
    return 0;
}

bool staging_take_place(struct dir_file *f, const struct dir_handle *h, struct str path, const struct vfs_cred *cred, struct place *out)
{
    struct staging *s = &f->staging;
    bool is_it = f->is_staging && !cred && s->place && s->dir == h && str_eq(s->path, path);
    if (!is_it || clock_mono_ms() - s->place_ms > PLACE_TRUST_MS)
        return false;
    *out = *s->place;
    free(s->place);
    s->place = NULL;
    return true;
}

static void forget_path(struct staging *s)
{
    if (s->place)
        place_done(s->place);
    free(s->place);
    s->place = NULL;
    free((void *)(uintptr_t)s->path.ptr);
    s->path = STR_EMPTY;
    if (s->dir)
        dir_handle_unref(s->dir);
    s->dir = NULL;
}

void staging_done(struct dir_file *f)
{
    CHECK(f->is_staging);
    drop_temp_name(dir_volume_of(f->base.volume), &f->staging);
    forget_path(&f->staging);
    f->is_staging = false;
}

/* Directories that could not be pruned have got other entries: they are synced, so as not to be remembered for ever. */
static void settle_parents(struct dir_volume *v, const struct staging *s)
{
    CLEANUP(fd_closep) int fd = v->fresh ? resolve(s->dir, vfs_path_parent(s->path), O_PATH | O_DIRECTORY) : -1;
    if (fd >= 0 && sync_names(v, &fd, 1) < 0)
        log_debug("parents_not_synced", "path=%.*s", STR_ARG(vfs_path_parent(s->path)));
}

void staging_abandon(struct dir_file *f)
{
    struct dir_volume *v = dir_volume_of(f->base.volume);
    struct vfs_attr attr;
    if (atomic_load(&v->sidecar) && attr_of_fd(f->fd, &attr) == 0)
        xattr_forget(v, &attr);
    /* The parents are empty implicit directories of ours, so that removing them is nobody's act but our own. */
    if (f->staging.made_parents) {
        prune(v, f->staging.dir, vfs_path_parent(f->staging.path), NULL);
        settle_parents(v, &f->staging);
    }
    staging_done(f);
}
