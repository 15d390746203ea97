#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "vfs/dir/dir_internal.h"
#include "vfs/dir/guard.h"
#include "vfs/dir/intents.h"
#include "vfs/dir/leaving.h"
#include "vfs/path.h"

struct publication {
    struct dir_volume *v;
    struct dir_file *f;
    const struct dir_handle *h;
    struct str path;
    const struct vfs_cred *cred;
    const struct vfs_publish *how;
};

/* Filesystems without hard links can still move the one name that a named staging file has. Where identities matter that is
 * not tried: the refusal may have been meant for this one. */
static bool must_move(const struct publication *p, int link_result)
{
    bool no_links = link_result == -EPERM || link_result == -EOPNOTSUPP || link_result == -ENOSYS;
    return no_links && p->f->is_staging && p->f->staging.temp_dir >= 0 && !p->cred;
}

static int link_as(const struct publication *p, const struct place *at, const char *name)
{
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    int r = cred_enter(&scope, &p->v->self, p->cred);
    if (r == 0)
        r = fault_point("vfs.publish.link");
    return r < 0 ? r : link_fd(p->v, p->f->fd, at->parent, name, p->cred);
}

static int rename_as(const struct publication *p, const struct place *at, const char *name)
{
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    int r = cred_enter(&scope, &p->v->self, p->cred);
    if (r == 0)
        r = fault_point("vfs.publish.rename");
    if (r < 0)
        return r;
    return renameat(at->parent, name, at->parent, at->name) < 0 ? name_errno() : 0;
}

/* The name must be free: -EEXIST. */
static int put_new(const struct publication *p, const struct place *at)
{
    int r = link_as(p, at, at->name);
    if (!must_move(p, r))
        return r;
    const struct staging *s = &p->f->staging;
    return renameat2(s->temp_dir, s->temp_name, at->parent, at->name, RENAME_NOREPLACE) < 0 ? name_errno() : 0;
}

static int rename_over(const struct publication *p, const struct place *at)
{
    char name[DIR_TEMP_NAME_SIZE];
    temp_name(name);
    size_t intent = intents_enter(p->v->intents, at->parent, name);
    int r = link_as(p, at, name);
    if (r == 0) {
        r = rename_as(p, at, name);
        if (r < 0)
            (void)unlinkat(at->parent, name, 0); /* else a scan will, in an hour */
    } else if (must_move(p, r)) {
        const struct staging *s = &p->f->staging;
        r = renameat(s->temp_dir, s->temp_name, at->parent, at->name) < 0 ? name_errno() : 0;
    }
    intents_clear(p->v->intents, intent);
    return r;
}

/* -EAGAIN: nothing has the name any more. */
static int put_over(const struct publication *p, const struct place *at)
{
    CLEANUP(leaving_done) struct leaving was = LEAVING_INIT;
    struct vfs_attr mine;
    int r = leaving_look(at, &was);
    if (r < 0)
        return r == -ENOENT ? -EAGAIN : r;
    if (was.attr.type == VFS_DIRECTORY)
        return -EISDIR;
    /* Renaming one link of a file over another does nothing, and would leave the temporary one. */
    r = attr_of_fd(p->f->fd, &mine);
    if (r < 0 || mine.ino == was.attr.ino)
        return r;
    r = rename_over(p, at);
    if (r == 0)
        leaving_left(p->v, &was);
    return r;
}

static int put_any(const struct publication *p, const struct place *at)
{
    for (unsigned turn = 0; race_turn(&turn);) {
        int r = put_new(p, at);
        if (r == -EEXIST)
            r = put_over(p, at);
        if (r != -EAGAIN)
            return r;
    }
    return -EBUSY;
}

static int put_if_version(const struct publication *p, const struct place *at)
{
    CLEANUP(fd_closep) int held = -1;
    int r = guard_hold(p->h, p->path, at, p->how->version, &held);
    if (r == 0)
        r = put_over(p, at);
    return r == -EAGAIN ? -ENOENT : r;
}

static int put_only_new(const struct publication *p, const struct place *at)
{
    struct vfs_attr attr;
    int r = put_new(p, at);
    bool is_dir = r == -EEXIST && attr_at(at->parent, at->name, &attr) == 0 && attr.type == VFS_DIRECTORY;
    return is_dir ? -EISDIR : r;
}

static int put(const struct publication *p, const struct place *at)
{
    switch (p->how->mode) {
    case VFS_PUBLISH_REPLACE:
        return put_any(p, at);
    case VFS_PUBLISH_CREATE:
        return put_only_new(p, at);
    case VFS_PUBLISH_IF_VERSION:
        return put_if_version(p, at);
    }
    return -EINVAL;
}

/* A condition on an existing file needs no directories made. */
static int find_place(const struct publication *p, struct place *out, unsigned *made)
{
    if (p->how->mode == VFS_PUBLISH_IF_VERSION)
        return place_find(p->v, p->h, p->path, p->cred, out);
    if (staging_take_place(p->f, p->h, p->path, p->cred, out))
        return 0;
    return place_make(p->v, p->h, p->path, p->cred, out, made);
}

/* Everything about the file is settled and on stable storage before it has the name. */
static int prepare(const struct publication *p, const struct place *at)
{
    int r = p->f->is_staging ? 0 : adopt(p->v, p->f->fd, at->parent, p->cred, p->f->chosen);
    return r < 0 ? r : sync_file(p->v, p->f->fd);
}

static int publish_at(const struct publication *p, const struct place *at)
{
    struct mutex *stripe = stripe_of(p->v, at);
    unsigned turn = 0;
    int r;
    do {
        mutex_lock(stripe);
        r = put(p, at);
        mutex_unlock(stripe);
    } while (p->how->mode == VFS_PUBLISH_IF_VERSION && guard_turn(r, &turn));
    return r;
}

/* The name, once the file is ready for it. *at is where it was put. */
static int put_retrying(const struct publication *p, struct place *at, unsigned *made)
{
    for (unsigned turn = 0; race_turn(&turn);) {
        int r = publish_at(p, at);
        if (r != -ENOENT || p->how->mode == VFS_PUBLISH_IF_VERSION || is_removed(p->h->fd))
            return r;
        /* The directory was pruned before the file was in it. */
        place_done(at);
        r = find_place(p, at, made);
        if (r < 0)
            return r;
    }
    return -EBUSY;
}

int dir_publish(struct vfs_file *file, struct vfs_dir *d, struct str path, const struct vfs_cred *cred,
                const struct vfs_publish *how, struct vfs_attr *out_attr)
{
    struct publication p = {dir_volume_of(file->volume), dir_file_of(file), dir_handle_of(d), path, cred, how};
    CLEANUP(place_done) struct place at = PLACE_INIT;
    unsigned made = 0;
    int r = find_place(&p, &at, &made);
    if (r == 0)
        r = prepare(&p, &at);
    if (r == 0)
        r = put_retrying(&p, &at, &made);
    if (r < 0) {
        if (made > 0)
            prune(p.v, p.h, vfs_path_parent(path), cred);
        return r;
    }
    if (p.f->is_staging)
        staging_done(p.f);
    struct vfs_attr attr;
    r = out_attr ? attr_of_fd(p.f->fd, &attr) : 0;
    if (r == 0)
        r = sync_names(p.v, &at.parent, 1);
    if (r == 0 && out_attr)
        *out_attr = attr;
    return r;
}
