/* Names: looking up, making, removing, moving. */
#include <errno.h>

#include "base/fault.h"
#include "vfs/jfs/jfs_internal.h"
#include "vfs/path.h"

#define IMPLICIT STR("1")
/* As no mark. */
#define EXPLICIT STR("0")

int jfs_lookup(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct vfs_attr *out)
{
    struct jfs_volume *v = jfs_volume_of(d->volume);
    struct meta_ctx scratch;
    const struct meta_ctx *ctx = jfs_ctx(v, cred, &scratch);
    struct jfs_place at;
    struct jfs_node node;
    if (jfs_dir_of(d)->nowait)
        return jfs_lookup_nowait(d, path, out);
    int r = jfs_locate(v, ctx, d, path, JFS_FAIL, &at);
    if (r == 0)
        r = jfs_resolve(v, ctx, at.dir, at.path, &node);
    if (r == 0)
        jfs_attr(node.ino, &node.attr, out);
    return r;
}

/* Marks of implicit directories. The official gateway takes a directory whose atime is 0 for an object (§9.4), so explicit ones
 * get that too, and one that has it is explicit whatever its mark says. That gateway's delete of a directory with content sets an
 * atime in seconds where milliseconds are meant: a day of January 1970, which no other clock gives. */
#define DELETED_ATIME_S_MAX (366 * 24 * 3600)

static int mark(struct jfs_volume *v, meta_ino ino, bool implicit)
{
    struct meta_attr times = {0};
    int r = meta_xattr_set(v->meta, ino, STR(JFS_IMPLICIT_XATTR), implicit ? IMPLICIT : EXPLICIT, 0);
    return r < 0 ? r : meta_setattr(v->meta, NULL, ino, implicit ? META_SET_ATIME_NOW : META_SET_ATIME, &times, NULL);
}

int jfs_mkdir_marked(struct jfs_volume *v, const struct meta_ctx *ctx, meta_ino parent, struct str name, uint16_t mode,
                     bool implicit, meta_ino *out)
{
    const struct meta_new what = {
        .type = META_DIRECTORY,
        .mode = mode,
        .umask = v->umask,
        .xattr_name = JFS_IMPLICIT_XATTR,
        .xattr_value = implicit ? IMPLICIT : EXPLICIT,
    };
    return meta_mknod(v->meta, ctx, parent, name, &what, out, NULL);
}

/* value: of the mark. */
static bool is_marked(const struct meta_attr *attr, struct str value)
{
    const struct timespec *atime = &attr->atime;
    if (jfs_is_object_time(atime))
        return false;
    return (atime->tv_sec >= 0 && atime->tv_sec < DELETED_ATIME_S_MAX) || str_eq(value, IMPLICIT);
}

static int is_node_implicit(struct jfs_volume *v, const struct jfs_node *node)
{
    CLEANUP(buf_done) struct buf value = buf_make(LIMIT_META_XATTR_BYTES);
    int r = meta_xattr_get(v->meta, node->ino, STR(JFS_IMPLICIT_XATTR), &value);
    if (r < 0 && r != -ENODATA)
        return r;
    return is_marked(&node->attr, r < 0 ? STR_EMPTY : buf_str(&value));
}

int jfs_is_implicit(struct vfs_dir *d, struct str path, const struct vfs_cred *cred)
{
    struct jfs_volume *v = jfs_volume_of(d->volume);
    struct meta_ctx scratch;
    const struct meta_ctx *ctx = jfs_ctx(v, cred, &scratch);
    struct jfs_place at;
    struct jfs_node node;
    int r = jfs_locate(v, ctx, d, path, JFS_FAIL, &at);
    if (r == 0)
        r = jfs_resolve(v, ctx, at.dir, at.path, &node);
    if (r == 0 && node.attr.type != META_DIRECTORY)
        r = -ENOTDIR;
    return r < 0 ? r : is_node_implicit(v, &node);
}

int jfs_set_implicit(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, bool implicit)
{
    struct jfs_volume *v = jfs_volume_of(d->volume);
    struct meta_ctx scratch;
    const struct meta_ctx *ctx = jfs_ctx(v, cred, &scratch);
    struct jfs_place at;
    meta_ino ino;
    int r = jfs_locate(v, ctx, d, path, JFS_FAIL, &at);
    if (r == 0)
        r = jfs_resolve_dir(v, ctx, at.dir, at.path, &ino);
    if (r == 0 && cred)
        r = meta_access(v->meta, ctx, ino, META_ACCESS_W, NULL);
    return r < 0 ? r : mark(v, ino, implicit);
}

/* Making */

/* -EEXIST for a directory, also behind a link; whatever else has the name is in the way. */
static int refuse_mkdir(struct jfs_volume *v, const struct meta_ctx *ctx, meta_ino dir, struct str path)
{
    struct jfs_node node;
    int r = jfs_resolve(v, ctx, dir, path, &node);
    if (r < 0 && r != -ENOENT)
        return r;
    return r == 0 && node.attr.type == META_DIRECTORY ? -EEXIST : -ENOTDIR;
}

int jfs_mkdir(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, unsigned flags)
{
    struct jfs_volume *v = jfs_volume_of(d->volume);
    struct meta_ctx scratch;
    const struct meta_ctx *ctx = jfs_ctx(v, cred, &scratch);
    struct jfs_place at;
    for (int turn = 0; turn < JFS_RACE_TURNS; turn++) {
        bool made = false;
        meta_ino parent, ino;
        int r = jfs_locate(v, ctx, d, path, JFS_MAKE, &at);
        if (r == 0)
            r = jfs_make_dirs(v, ctx, at.dir, vfs_path_parent(at.path), &parent, &made);
        if (r < 0)
            return r;
        r = fault_point("vfs.mkdir");
        if (r == 0)
            r = jfs_mkdir_marked(v, ctx, parent, vfs_path_leaf(at.path), jfs_dir_mode(v, at.dir, at.path),
                                 flags & VFS_MKDIR_IMPLICIT, &ino);
        if (r == 0 && !(flags & VFS_MKDIR_IMPLICIT))
            r = mark(v, ino, false);
        if (r == -ENOENT && !jfs_is_gone(v, at.dir))
            continue; /* the parent, or the directory itself, has gone again */
        if (r < 0 && made)
            jfs_prune_below(v, ctx, at.dir, vfs_path_parent(at.path));
        return r == -EEXIST ? refuse_mkdir(v, ctx, at.dir, at.path) : r;
    }
    return -EBUSY;
}

/* Removing */

static unsigned trash_flags(const struct jfs_dir *d, struct str path)
{
    return jfs_skips_trash(d, path) ? META_SKIP_TRASH : 0;
}

int jfs_rmdir(struct vfs_dir *d, struct str path, const struct vfs_cred *cred)
{
    struct jfs_volume *v = jfs_volume_of(d->volume);
    struct meta_ctx scratch;
    const struct meta_ctx *ctx = jfs_ctx(v, cred, &scratch);
    unsigned flags = trash_flags(jfs_dir_of(d), path);
    struct jfs_place at;
    struct meta_attr attr;
    meta_ino parent, ino;
    int r = jfs_locate(v, ctx, d, path, JFS_FAIL, &at);
    if (r == 0)
        r = jfs_resolve_dir(v, ctx, at.dir, vfs_path_parent(at.path), &parent);
    if (r == 0)
        r = meta_lookup(v->meta, ctx, parent, vfs_path_leaf(at.path), &ino, &attr);
    if (r == 0)
        r = jfs_state_remove_idle(v, ino);
    return r < 0 ? r : meta_rmdir(v->meta, ctx, parent, vfs_path_leaf(at.path), flags);
}

void jfs_prune_below(struct jfs_volume *v, const struct meta_ctx *ctx, meta_ino dir, struct str path)
{
    static const struct meta_condition implicit = {STR_INIT(JFS_IMPLICIT_XATTR), is_marked};
    for (; path.len > 0; path = vfs_path_parent(path)) {
        meta_ino parent;
        int r = jfs_resolve_dir(v, ctx, dir, vfs_path_parent(path), &parent);
        if (r == 0)
            r = meta_rmdir_if(v->meta, ctx, parent, vfs_path_leaf(path), META_SKIP_TRASH, &implicit);
        if (r < 0 && r != -ENOENT) /* gone already: go on above it */
            return;
    }
}

void jfs_prune(struct vfs_dir *d, struct str path, const struct vfs_cred *cred)
{
    struct jfs_volume *v = jfs_volume_of(d->volume);
    struct meta_ctx scratch;
    const struct meta_ctx *ctx = jfs_ctx(v, cred, &scratch);
    struct jfs_place at;
    if (jfs_locate(v, ctx, d, path, JFS_FAIL, &at) == 0)
        jfs_prune_below(v, ctx, at.dir, at.path);
}

static int unlink_name(struct vfs_dir *d, struct str path, const struct meta_ctx *ctx, unsigned flags,
                       const struct vfs_version *expected)
{
    struct jfs_volume *v = jfs_volume_of(d->volume);
    struct jfs_place at;
    meta_ino parent;
    int r = fault_point("vfs.unlink");
    if (r == 0)
        r = jfs_locate(v, ctx, d, path, JFS_FAIL, &at);
    if (r == 0)
        r = jfs_resolve_dir(v, ctx, at.dir, vfs_path_parent(at.path), &parent);
    if (r < 0)
        return r;
    struct meta_version version;
    if (expected)
        version = jfs_version(expected);
    return meta_unlink(v->meta, ctx, parent, vfs_path_leaf(at.path), flags, expected ? &version : NULL);
}

int jfs_unlink(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, const struct vfs_version *expected)
{
    struct jfs_volume *v = jfs_volume_of(d->volume);
    struct meta_ctx scratch;
    return unlink_name(d, path, jfs_ctx(v, cred, &scratch), trash_flags(jfs_dir_of(d), path), expected);
}

int jfs_discard(struct vfs_dir *d, struct str path)
{
    return unlink_name(d, path, &jfs_volume_of(d->volume)->self, META_SKIP_TRASH, NULL);
}

/* Moving */

int jfs_rename(struct vfs_dir *d, struct str from, struct str to, const struct vfs_cred *cred, unsigned flags)
{
    struct jfs_volume *v = jfs_volume_of(d->volume);
    struct meta_ctx scratch;
    const struct meta_ctx *ctx = jfs_ctx(v, cred, &scratch);
    struct jfs_place old, new;
    bool made = false;
    int r = jfs_locate(v, ctx, d, from, JFS_FAIL, &old);
    if (r == 0)
        r = jfs_locate(v, ctx, d, to, JFS_MAKE, &new);
    if (r < 0)
        return r;
    r = -ENOENT;
    for (int turn = 0; turn < JFS_RACE_TURNS && r == -ENOENT; turn++) {
        meta_ino source, target, ino;
        r = jfs_resolve_dir(v, ctx, old.dir, vfs_path_parent(old.path), &source);
        struct meta_attr attr;
        if (r == 0)
            r = meta_lookup(v->meta, ctx, source, vfs_path_leaf(old.path), &ino, &attr);
        if (r < 0)
            break; /* the source is not there */
        r = jfs_make_dirs(v, ctx, new.dir, vfs_path_parent(new.path), &target, &made);
        if (r == 0)
            r = fault_point("vfs.rename");
        if (r == 0)
            r = meta_rename(v->meta, ctx, source, vfs_path_leaf(old.path), target, vfs_path_leaf(new.path),
                            flags & VFS_RENAME_NOREPLACE ? META_RENAME_NOREPLACE : 0, NULL, NULL);
    }
    if (r < 0 && made)
        jfs_prune_below(v, ctx, new.dir, vfs_path_parent(new.path));
    return r;
}
