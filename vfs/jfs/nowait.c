#include <errno.h>

#include "base/fault.h"
#include "base/limits.h"
#include "vfs/jfs/jfs_internal.h"
#include "vfs/path.h"

/* Symlinks are for who may walk. */
static int resolve(struct jfs_volume *v, meta_ino dir, struct str path, struct jfs_node *out)
{
    int r = meta_recall_path(v->meta, dir, path, &out->ino, &out->attr);
    return r == -ENOTDIR || (r == 0 && out->attr.type == META_SYMLINK) ? -EAGAIN : r;
}

static int resolve_dir(struct jfs_volume *v, meta_ino dir, struct str path, meta_ino *out)
{
    struct jfs_node node = {.ino = dir, .attr.type = META_DIRECTORY};
    int r = path.len > 0 ? resolve(v, dir, path, &node) : 0;
    *out = node.ino;
    return r == 0 && node.attr.type != META_DIRECTORY ? -EAGAIN : r;
}

/* Of the gateway's own, what is kept for the bucket itself: where that is, needs no search. */
int jfs_lookup_nowait(struct vfs_dir *d, struct str path, struct vfs_attr *out)
{
    struct jfs_volume *v = jfs_volume_of(d->volume);
    struct jfs_place at;
    struct jfs_node node;
    struct str rest = path, first;
    (void)str_split(&rest, '/', &first); /* empty: the directory itself */
    if (jfs_is_state_path(path) && !str_is(first, VFS_PATH_STATE_NAME))
        return -EAGAIN;
    int r = jfs_locate(v, &v->self, d, path, JFS_FAIL, &at);
    if (r == 0)
        r = resolve(v, at.dir, at.path, &node);
    if (r == 0)
        jfs_attr(node.ino, &node.attr, out);
    return r;
}

int jfs_dir_open_nowait(struct vfs_dir *parent, struct str path, struct vfs_dir **out)
{
    struct jfs_volume *v = jfs_volume_of(parent->volume);
    meta_ino ino;
    int r = jfs_is_state_path(path) ? -EAGAIN : resolve_dir(v, jfs_dir_of(parent)->ino, path, &ino);
    if (r < 0)
        return r;
    struct jfs_dir *d = jfs_dir_new(v, ino, jfs_skips_trash(jfs_dir_of(parent), path));
    d->nowait = true;
    *out = &d->base;
    return 0;
}

int jfs_open_nowait(struct vfs_dir *d, struct str path, unsigned flags, struct vfs_file **out, struct vfs_attr *out_attr)
{
    struct jfs_volume *v = jfs_volume_of(d->volume);
    const struct meta_stamp found = meta_stamp(v->meta);
    struct jfs_node node;
    meta_ino parent;
    if (flags != VFS_OPEN_READ || path.len == 0 || jfs_is_state_path(path))
        return -EAGAIN;
    int r = resolve_dir(v, jfs_dir_of(d)->ino, vfs_path_parent(path), &parent);
    if (r == 0)
        r = meta_recall_name(v->meta, parent, vfs_path_leaf(path), &node.ino, &node.attr);
    if (r < 0)
        return r;
    if (node.attr.type != META_FILE || node.attr.length > CHUNK_SIZE)
        return -EAGAIN;
    if (!data_see(v->data, node.ino, &node.attr)) /* changed in place since its bytes were looked for */
        return -EAGAIN;
    struct jfs_file *f = jfs_file_new(v, node.ino, &node.attr);
    f->nowait = true;
    f->found = found;
    f->attr = node.attr;
    if (out_attr)
        jfs_attr(node.ino, &node.attr, out_attr);
    *out = &f->base;
    return 0;
}

ssize_t jfs_file_read_nowait(struct vfs_file *base, void *out, size_t size, uint64_t offset)
{
    struct jfs_file *f = jfs_file_of(base);
    uint64_t length = atomic_load(&f->length);
    int r = fault_point("vfs.read");
    if (r < 0)
        return r;
    if (!f->nowait || offset >= length)
        return -EAGAIN;
    if (size > length - offset)
        size = (size_t)(length - offset);
    return data_read_nowait(jfs_volume_of(base->volume)->data, f->ino, offset, out, size);
}
