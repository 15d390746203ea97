/* Files without a name, and giving them one. */
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
    struct jfs_node node;
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
            r = meta_stage(v->meta, ctx, parent, (uint16_t)v->options.file_mode, v->umask, &node.ino, &node.attr);
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
    struct jfs_file *f = jfs_file_new(v, node.ino, &node.attr);
    f->can_write = f->is_staged = true;
    if (made)
        keep_parent(f, at.dir, parent_path);
    *out = &f->base;
    return 0;
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
    if (r == 0)
        r = meta_getattr(v->meta, f->ino, &before);
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
        if (made)
            jfs_prune_below(v, ctx, at.dir, vfs_path_parent(at.path));
        return r;
    }
    jfs_staging_done(f);
    jfs_file_place(f, parent, name);
    return out_attr ? jfs_file_fstat(base, out_attr) : 0;
}
