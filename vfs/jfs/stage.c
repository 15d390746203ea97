/* Files without a name, and giving them one.
 *
 * They begin as drafts, in memory alone. What is small enough stays one until it is published: its slice is committed by nobody but the
 * flush that precedes publishing. A slice that is committed on the way, since its chunk is full or it has waited for long, makes the
 * file a node in the database, which keeps it there for our session: who knows when it will be published, if ever, and
 * blocks that nobody mentions are leaked ones to gc. */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/fault.h"
#include "vfs/jfs/jfs_internal.h"
#include "vfs/path.h"

static void keep_parent(struct jfs_file *f, meta_ino dir, struct str parent)
{
    f->staging.dir = dir;
    f->staging.parent = jfs_own(parent);
}

/* Better before the bytes have come than after. */
static int check_room(struct jfs_volume *v, uint64_t size)
{
    struct meta_space space;
    int r = meta_statfs(v->meta, META_ROOT, &space);
    return r == 0 && size > space.free_bytes ? -ENOSPC : r;
}

int jfs_stage(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, uint64_t size_hint, struct vfs_file **out)
{
    struct jfs_volume *v = jfs_volume_of(d->volume);
    struct meta_ctx scratch;
    const struct meta_ctx *ctx = jfs_ctx(v, cred, &scratch);
    struct jfs_place at;
    struct meta_draft draft;
    bool made = false;
    int r = fault_point("vfs.stage");
    if (r == 0 && size_hint > 0)
        r = check_room(v, size_hint);
    if (r == 0)
        r = jfs_locate(v, ctx, d, path, JFS_MAKE, &at);
    struct str parent_path = r == 0 ? vfs_path_parent(at.path) : STR_EMPTY;
    for (int turn = 0; r == 0 && turn < JFS_RACE_TURNS; turn++) {
        meta_ino parent;
        r = jfs_make_dirs(v, ctx, at.dir, parent_path, &parent, &made);
        if (r == 0)
            r = meta_draft(v->meta, ctx, parent, (uint16_t)v->options.file_mode, v->umask, &draft);
        if (r == 0)
            break;
        r = r == -ENOENT && !jfs_is_gone(v, at.dir) ? 0 : r; /* the parent has gone again */
        if (turn + 1 == JFS_RACE_TURNS)
            r = -EBUSY;
    }
    if (r < 0) {
        if (made)
            jfs_prune_below(v, ctx, at.dir, parent_path);
        return r;
    }
    struct jfs_file *f = jfs_file_new(v, draft.ino, &draft.attr);
    f->can_write = f->is_staged = f->staging.is_draft = true;
    f->staging.draft = draft;
    if (made)
        keep_parent(f, at.dir, parent_path);
    *out = &f->base;
    return 0;
}

/* Drafts */

static int stage_locked(struct jfs_file *f)
{
    struct jfs_staging *s = &f->staging;
    int r = s->is_draft ? meta_stage(jfs_volume_of(f->base.volume)->meta, &s->draft) : 0;
    if (r == 0)
        s->is_draft = false;
    return r;
}

int jfs_draft_stage(struct jfs_file *f)
{
    mutex_lock(&f->lock);
    int r = stage_locked(f);
    mutex_unlock(&f->lock);
    return r;
}

int jfs_take_slice(void *arg, uint32_t indx, uint32_t off, const struct meta_slice *slice, const struct timespec *mtime)
{
    struct jfs_file *f = arg;
    struct jfs_staging *s = &f->staging;
    mutex_lock(&f->lock);
    bool taken = s->is_draft && s->flushing && meta_draft_take(&s->draft, indx, off, slice, mtime);
    int r = taken ? 0 : stage_locked(f);
    mutex_unlock(&f->lock);
    return r < 0 || taken ? r : meta_write_slice(jfs_volume_of(f->base.volume)->meta, f->ino, indx, off, slice, mtime);
}

void jfs_draft_flushing(struct jfs_file *f, bool is_flushing)
{
    mutex_lock(&f->lock);
    f->staging.flushing = is_flushing;
    mutex_unlock(&f->lock);
}

bool jfs_draft_attr(struct jfs_file *f, struct meta_attr *out)
{
    mutex_lock(&f->lock);
    bool is_draft = f->staging.is_draft;
    if (is_draft)
        *out = f->staging.draft.attr;
    mutex_unlock(&f->lock);
    return is_draft;
}

bool jfs_draft_set_times(struct jfs_file *f, const struct vfs_cred *cred, const struct vfs_set *set)
{
    struct meta_attr *attr = &f->staging.draft.attr;
    mutex_lock(&f->lock);
    bool ok = f->staging.is_draft && !(set->which & ~(unsigned)(VFS_SET_MTIME | VFS_SET_ATIME)) &&
              (!cred || cred->uid == 0 || cred->uid == attr->uid);
    if (ok && set->which & VFS_SET_MTIME)
        attr->mtime = jfs_time(set->mtime_ns);
    if (ok && set->which & VFS_SET_ATIME)
        attr->atime = jfs_time(set->atime_ns);
    mutex_unlock(&f->lock);
    return ok;
}

/* Nobody else has seen it. */
static void drop_draft(struct jfs_file *f)
{
    const struct jfs_staging *s = &f->staging;
    if (s->is_draft && s->draft.slice.id != 0 && !s->may_be_published)
        data_discard_slice(jfs_volume_of(f->base.volume)->data, s->draft.slice.id, s->draft.slice.size);
}

void jfs_staging_done(struct jfs_file *f)
{
    jfs_disown(&f->staging.parent);
    jfs_xattrs_forget_staged(f);
    f->staging = (struct jfs_staging){0};
    f->is_staged = false;
}

/* The parents are empty implicit directories of ours, so that removing them is nobody's act but our own. */
void jfs_staging_abandon(struct jfs_file *f)
{
    struct jfs_volume *v = jfs_volume_of(f->base.volume);
    drop_draft(f);
    if (f->staging.parent.ptr)
        jfs_prune_below(v, &v->self, f->staging.dir, f->staging.parent);
    jfs_staging_done(f);
}

/* Mode and owner that were set by hand stay, where the new place would change them. */
static int set_again(struct jfs_volume *v, const struct jfs_file *f, const struct meta_attr *before)
{
    unsigned which = (f->set & VFS_SET_MODE ? META_SET_MODE : 0) | (f->set & VFS_SET_OWNER ? META_SET_UID | META_SET_GID : 0);
    return which == 0 ? 0 : meta_setattr(v->meta, &v->self, f->ino, which, before, NULL);
}

/* Published again: it is there already. */
static bool is_at(const struct jfs_file *f, meta_ino parent, struct str name)
{
    return !f->is_staged && f->parent == parent && str_eq(f->name, name);
}

int jfs_publish(struct vfs_file *base, struct vfs_dir *d, struct str path, const struct vfs_cred *cred,
                const struct vfs_publish *how, struct vfs_attr *out_attr)
{
    static const enum meta_publish_mode modes[] = {
        [VFS_PUBLISH_REPLACE] = META_PUBLISH_REPLACE,
        [VFS_PUBLISH_CREATE] = META_PUBLISH_CREATE,
        [VFS_PUBLISH_IF_VERSION] = META_PUBLISH_IF_VERSION,
    };
    struct jfs_volume *v = jfs_volume_of(base->volume);
    struct jfs_file *f = jfs_file_of(base);
    struct meta_ctx scratch;
    const struct meta_ctx *ctx = jfs_ctx(v, cred, &scratch);
    struct meta_publish request = {
        .mode = modes[how->mode],
        .version = jfs_version(&how->version),
        .from_parent = f->parent,
        .from_name = f->is_staged ? STR_EMPTY : f->name,
        .file_mode = (uint16_t)v->options.file_mode,
        .umask = v->umask,
        .xattrs = f->staging.xattrs,
        .xattr_count = f->staging.xattr_count,
    };
    struct jfs_place at;
    struct meta_attr before, after;
    int r = jfs_locate(v, ctx, d, path, JFS_MAKE, &at);
    struct str name = r == 0 ? vfs_path_leaf(at.path) : STR_EMPTY;
    if (r == 0)
        r = jfs_flush(f);
    if (r == 0)
        r = fault_point("vfs.publish");
    if (r == 0 && !f->is_staged)
        r = meta_getattr(v->meta, f->ino, &before);
    if (f->staging.is_draft)
        request.draft = &f->staging.draft;
    bool made = false, published = false;
    meta_ino parent;
    for (int turn = 0; r == 0 && !published && turn < JFS_RACE_TURNS; turn++) {
        r = jfs_make_dirs(v, ctx, at.dir, vfs_path_parent(at.path), &parent, &made);
        if (r == 0 && is_at(f, parent, name))
            break;
        if (r == 0)
            r = meta_publish(v->meta, ctx, f->ino, parent, name, &request, &after);
        published = r == 0;
        if (r == -ENOENT && how->mode != VFS_PUBLISH_IF_VERSION && !jfs_is_gone(v, at.dir))
            r = 0; /* the parent has gone again */
    }
    if (r == 0 && !published && !is_at(f, parent, name))
        r = -EBUSY;
    if (r == 0 && !f->is_staged)
        r = set_again(v, f, &before);
    if (r < 0) {
        f->staging.may_be_published |= r == -EIO || r == -EBUSY;
        if (made)
            jfs_prune_below(v, ctx, at.dir, vfs_path_parent(at.path));
        return r;
    }
    jfs_staging_done(f);
    jfs_file_place(f, parent, name);
    return out_attr ? jfs_file_fstat(base, out_attr) : 0;
}
