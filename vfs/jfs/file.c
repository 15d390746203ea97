/* Open files. What was written is with the data layer until a flush commits it; whoever asks about the file flushes first. */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/mutex.h"
#include "vfs/jfs/jfs_internal.h"
#include "vfs/path.h"

/* By reference, at most this much in one transaction: 16 chunks. */
#define CLONE_BYTES_MAX (1024ull * 1024 * 1024)

struct jfs_file *jfs_file_new(struct jfs_volume *v, meta_ino ino, const struct meta_attr *attr)
{
    struct jfs_file *f = calloc(1, sizeof(*f));
    CHECK(f != NULL); /* out of memory */
    f->base.volume = &v->base;
    f->ino = ino;
    f->is_directory = attr->type == META_DIRECTORY;
    atomic_init(&f->length, attr->length);
    mutex_init(&f->lock);
    return f;
}

void jfs_file_place(struct jfs_file *f, meta_ino parent, struct str name)
{
    struct str copy = jfs_own(name);
    jfs_disown(&f->name);
    f->parent = parent;
    f->name = copy;
}

/* Opening */

/* The file is made if it may be; official clients see an empty file for a moment, as with open(2). */
static int open_node(struct jfs_volume *v, const struct meta_ctx *ctx, meta_ino parent, struct str name, unsigned flags,
                     struct jfs_node *node)
{
    if (!(flags & VFS_OPEN_CREATE))
        return meta_lookup(v->meta, ctx, parent, name, &node->ino, &node->attr);
    bool is_private = flags & VFS_OPEN_PRIVATE;
    int r = meta_create(v->meta, ctx, parent, name, is_private ? 0600 : (uint16_t)v->options.file_mode,
                        is_private ? 0 : v->umask, flags & VFS_OPEN_EXCLUSIVE, &node->ino, &node->attr);
    if (r == 0)
        meta_node_close(v->meta, node->ino); /* opened once more below, like any other */
    return r;
}

static int find(struct jfs_volume *v, const struct meta_ctx *ctx, struct vfs_dir *d, struct str path, unsigned flags,
                meta_ino *out_parent, struct jfs_node *out)
{
    struct jfs_place at;
    int r = jfs_locate(v, ctx, d, path, JFS_FAIL, &at);
    *out_parent = at.dir;
    if (r < 0 || path.len == 0)
        return r < 0 ? r : jfs_resolve(v, ctx, at.dir, at.path, out);
    r = jfs_resolve_dir(v, ctx, at.dir, vfs_path_parent(at.path), out_parent);
    if (r == 0)
        r = open_node(v, ctx, *out_parent, vfs_path_leaf(at.path), flags, out);
    return r == 0 && out->attr.type == META_SYMLINK ? jfs_resolve(v, ctx, at.dir, at.path, out) : r;
}

static int refuse_type(const struct meta_attr *attr, unsigned flags)
{
    if (attr->type == META_FILE || (attr->type == META_DIRECTORY && flags & VFS_OPEN_DIRECTORY))
        return 0;
    return attr->type == META_DIRECTORY ? -EISDIR : -ENXIO;
}

/* -EAGAIN: the file was replaced after its name was looked up. */
static int open_once(struct jfs_volume *v, const struct meta_ctx *ctx, struct vfs_dir *d, struct str path, unsigned flags,
                     meta_ino *out_parent, struct jfs_node *node, bool *out_can_write)
{
    int r = find(v, ctx, d, path, flags, out_parent, node);
    if (r == 0)
        r = refuse_type(&node->attr, flags);
    if (r < 0)
        return r;
    *out_can_write = flags & VFS_OPEN_WRITE && node->attr.type == META_FILE;
    r = meta_node_open(v->meta, ctx, node->ino, *out_can_write ? META_OPEN_WRITE : META_OPEN_READ, &node->attr);
    return r == -ENOENT ? -EAGAIN : r;
}

/* Another client may have changed it in place since it was last read here. */
static void see(struct jfs_volume *v, meta_ino ino, const struct meta_attr *attr)
{
    if (attr->type == META_FILE)
        (void)data_see(v->data, ino, attr);
}

int jfs_file_open(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, unsigned flags, struct vfs_file **out,
                  struct vfs_attr *out_attr)
{
    struct jfs_volume *v = jfs_volume_of(d->volume);
    struct meta_ctx scratch;
    const struct meta_ctx *ctx = jfs_ctx(v, cred, &scratch);
    struct jfs_node node;
    meta_ino parent;
    bool can_write;
    if (jfs_dir_of(d)->nowait)
        return cred ? -EAGAIN : jfs_open_nowait(d, path, flags, out, out_attr);
    int r = open_once(v, ctx, d, path, flags, &parent, &node, &can_write);
    for (int turn = 0; r == -EAGAIN && turn < JFS_RACE_TURNS; turn++)
        r = open_once(v, ctx, d, path, flags, &parent, &node, &can_write);
    if (r < 0)
        return r == -EAGAIN ? -EBUSY : r;
    see(v, node.ino, &node.attr);
    struct jfs_file *f = jfs_file_new(v, node.ino, &node.attr);
    f->can_write = can_write;
    jfs_file_place(f, parent, vfs_path_leaf(path));
    if (out_attr)
        jfs_attr(node.ino, &node.attr, out_attr);
    *out = &f->base;
    return 0;
}

static void close_writer(struct jfs_file *f)
{
    if (f->is_staged)
        jfs_draft_flushing(f, true); /* what is not published has no need of the database */
    data_writer_close(f->writer); /* who wants to know how it went has synced */
}

void jfs_file_close(struct vfs_file *base)
{
    struct jfs_file *f = jfs_file_of(base);
    struct jfs_volume *v = jfs_volume_of(base->volume);
    if (f->writer)
        close_writer(f);
    if (f->is_locked && meta_flock(v->meta, f->ino, f->owner, 'U') < 0)
        (void)0; /* goes with the session */
    if (!f->nowait)
        meta_node_close(v->meta, f->ino);
    if (f->is_staged)
        jfs_staging_abandon(f);
    jfs_disown(&f->name);
    mutex_done(&f->lock);
    free(f);
}

/* Bytes */

int jfs_flush(struct jfs_file *f)
{
    if (!f->writer)
        return 0;
    if (f->is_staged)
        jfs_draft_flushing(f, true);
    int r = data_writer_flush(f->writer);
    if (f->is_staged)
        jfs_draft_flushing(f, false);
    return r;
}

int jfs_settle(struct jfs_file *f)
{
    int r = jfs_flush(f);
    return r == 0 && f->is_staged ? jfs_draft_stage(f) : r;
}

static int get_writer(struct jfs_file *f, struct data_writer **out)
{
    struct jfs_volume *v = jfs_volume_of(f->base.volume);
    const struct data_commit commit = {jfs_take_slice, f};
    mutex_lock(&f->lock);
    int r = f->writer ? 0 : data_writer_open(v->data, f->ino, f->is_staged ? &commit : NULL, &f->writer);
    *out = f->writer;
    mutex_unlock(&f->lock);
    return r;
}

int jfs_file_fstat(struct vfs_file *base, struct vfs_attr *out)
{
    struct jfs_file *f = jfs_file_of(base);
    struct meta_attr attr = f->attr;
    int r = jfs_flush(f);
    if (r == 0 && !f->nowait && !jfs_draft_attr(f, &attr))
        r = meta_getattr(jfs_volume_of(base->volume)->meta, f->ino, &attr);
    if (r < 0)
        return r;
    if (!f->writer)
        see(jfs_volume_of(base->volume), f->ino, &attr);
    atomic_store(&f->length, attr.length);
    jfs_attr(f->ino, &attr, out);
    return 0;
}

/* Past the end as last seen, the file may have grown; one that another client has removed meanwhile has not. */
static int see_length(struct jfs_file *f, uint64_t wanted, uint64_t *out)
{
    *out = atomic_load(&f->length);
    if (wanted <= *out)
        return 0;
    struct vfs_attr attr;
    int r = jfs_file_fstat(&f->base, &attr);
    if (r == 0)
        *out = attr.size;
    return r == -ENOENT ? 0 : r;
}

/* How many of the bytes [offset, offset+size) there are, for reading them now. */
static int begin_reading(struct jfs_file *f, uint64_t offset, uint64_t size, uint64_t *out_size)
{
    uint64_t length = 0;
    *out_size = 0;
    if (f->is_directory)
        return -EISDIR;
    int r = fault_point("vfs.read");
    if (r == 0)
        r = jfs_settle(f);
    if (r == 0)
        r = see_length(f, offset + size, &length);
    if (r == 0 && offset < length)
        *out_size = size < length - offset ? size : length - offset;
    return r;
}

ssize_t jfs_file_read(struct vfs_file *base, void *out, size_t size, uint64_t offset)
{
    struct jfs_file *f = jfs_file_of(base);
    uint64_t there;
    int r = begin_reading(f, offset, size, &there);
    return r < 0 || there == 0 ? r : data_read(jfs_volume_of(base->volume)->data, f->ino, offset, out, (size_t)there);
}

int jfs_file_lend(struct vfs_file *base, uint64_t offset, uint64_t size, struct vfs_loan *out)
{
    struct jfs_file *f = jfs_file_of(base);
    struct data_loan loan;
    uint64_t there;
    int r = begin_reading(f, offset, size, &there);
    if (r == 0)
        r = there > 0 ? data_lend(jfs_volume_of(base->volume)->data, f->ino, offset, there, &loan) : -EAGAIN;
    if (r == 0)
        *out = (struct vfs_loan){loan.bytes, base->volume, loan.block};
    return r;
}

void jfs_loan_done(struct vfs_loan *l)
{
    struct data_loan loan = {l->bytes, l->held};
    data_loan_done(jfs_volume_of(l->volume)->data, &loan);
}

int jfs_file_write(struct vfs_file *base, struct pieces p, uint64_t offset)
{
    struct jfs_file *f = jfs_file_of(base);
    struct data_writer *w;
    if (!f->can_write)
        return -EBADF;
    int r = fault_point("vfs.write");
    if (r == 0)
        r = get_writer(f, &w);
    for (size_t i = 0; i < p.count && r == 0; i++) {
        r = data_writer_write(w, p.at[i], offset);
        offset += p.at[i].len;
    }
    if (r < 0)
        return r;
    uint64_t end = offset, length = atomic_load(&f->length);
    while (end > length && !atomic_compare_exchange_weak(&f->length, &length, end))
        continue;
    return 0;
}

int jfs_file_truncate(struct vfs_file *base, uint64_t size)
{
    struct jfs_file *f = jfs_file_of(base);
    struct jfs_volume *v = jfs_volume_of(base->volume);
    struct meta_attr attr;
    if (!f->can_write)
        return -EBADF;
    int r = jfs_settle(f);
    if (r == 0)
        r = meta_truncate(v->meta, NULL, f->ino, size, true, &attr);
    if (r < 0)
        return r;
    data_forget(v->data, f->ino);
    atomic_store(&f->length, size);
    return 0;
}

int jfs_file_fd(struct vfs_file *f)
{
    (void)f;
    return -ENOTSUP;
}

int jfs_file_sync(struct vfs_file *f)
{
    int r = fault_point("vfs.sync");
    return r < 0 ? r : jfs_flush(jfs_file_of(f));
}

int jfs_file_clone_range(struct vfs_file *dst_base, uint64_t dst_offset, struct vfs_file *src_base, uint64_t src_offset,
                         uint64_t size, uint64_t *out_done)
{
    struct jfs_file *dst = jfs_file_of(dst_base), *src = jfs_file_of(src_base);
    struct jfs_volume *v = jfs_volume_of(dst_base->volume);
    uint64_t part = size < CLONE_BYTES_MAX ? size : CLONE_BYTES_MAX, done = 0;
    int r = jfs_settle(src);
    if (r == 0)
        r = jfs_settle(dst);
    if (r == 0 && size > 0)
        r = meta_copy_range(v->meta, src->ino, src_offset, dst->ino, dst_offset, part, &done);
    if (r < 0)
        return r;
    data_forget(v->data, dst->ino);
    uint64_t length = atomic_load(&dst->length);
    while (dst_offset + done > length && !atomic_compare_exchange_weak(&dst->length, &length, dst_offset + done))
        continue;
    *out_done = done;
    return 0;
}

int jfs_file_lock(struct vfs_file *base, bool exclusive)
{
    struct jfs_file *f = jfs_file_of(base);
    struct jfs_volume *v = jfs_volume_of(base->volume);
    if (f->owner == 0)
        f->owner = jfs_new_owner(v);
    int r = jfs_settle(f);
    if (r == 0)
        r = meta_flock(v->meta, f->ino, f->owner, exclusive ? 'W' : 'R');
    f->is_locked = f->is_locked || r == 0;
    return r;
}

/* Attributes */

int jfs_file_setattr(struct vfs_file *base, const struct vfs_cred *cred, const struct vfs_set *set)
{
    static const struct {
        unsigned vfs, meta;
    } bits[] = {
        {VFS_SET_MODE, META_SET_MODE},
        {VFS_SET_OWNER, META_SET_UID | META_SET_GID},
        {VFS_SET_MTIME, META_SET_MTIME},
        {VFS_SET_ATIME, META_SET_ATIME},
    };
    struct jfs_file *f = jfs_file_of(base);
    struct jfs_volume *v = jfs_volume_of(base->volume);
    struct meta_ctx scratch;
    struct meta_attr in = {
        .mode = (uint16_t)set->mode,
        .uid = set->uid,
        .gid = set->gid,
        .mtime = jfs_time(set->mtime_ns),
        .atime = jfs_time(set->atime_ns),
    };
    unsigned which = 0;
    for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
        which |= set->which & bits[i].vfs ? bits[i].meta : 0;
    int r = jfs_flush(f);
    if (r == 0 && jfs_draft_set_times(f, cred, set))
        return 0;
    if (r == 0)
        r = jfs_settle(f);
    if (r == 0)
        r = meta_setattr(v->meta, jfs_ctx(v, cred, &scratch), f->ino, which, &in, NULL);
    if (r < 0)
        return r;
    f->set |= set->which;
    return 0;
}
