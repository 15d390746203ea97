/* Operations on names. */
#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "vfs/fuse/fuse_internal.h"

#define INO(ino) ((unsigned long long)(ino))

/* A request that a dead process may have carried out before us: finding its result is success. */
static bool was_done(int r, int sign)
{
    return vfuse_is_resent && r == sign;
}

static int check_new(const struct vfuse_call *c, meta_ino parent, const char *name)
{
    return vfuse_is_reserved(c->v, parent, str_z(name)) ? -EEXIST : 0;
}

static int check_old(const struct vfuse_call *c, meta_ino parent, const char *name)
{
    return vfuse_is_reserved(c->v, parent, str_z(name)) ? -EPERM : 0;
}

void vfuse_op_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_LOOKUP);
    const struct vfuse_virtual *f = vfuse_virtual_by_name(c.v, parent, str_z(name));
    meta_ino ino = 0;
    struct meta_attr attr;
    int r = 0;
    if (!f)
        r = meta_lookup(c.v->meta, &c.ctx, parent, str_z(name), &ino, &attr);
    if (r == -ENOENT && (f = vfuse_control_by_name(str_z(name))))
        r = 0;
    if (f) {
        ino = f->ino;
        vfuse_virtual_attr(c.v, f, &attr);
    }
    if (r == 0) {
        vfuse_answer_entry(&c, ino, &attr);
    } else if (r == -ENOENT && c.v->options.negative_cache_s > 0) {
        const struct fuse_entry_param absent = {.entry_timeout = c.v->options.negative_cache_s};
        (void)(vfuse_may_answer(&c) && fuse_reply_entry(request, &absent)); /* interrupted or not */
    } else {
        vfuse_answer(&c, r);
    }
    vfuse_end(&c, r, "(%llu,%s): %llu", INO(parent), name, INO(ino));
}

/* Answers for what made a name, whose inode and attributes stand in the results. */
static void answer_made(const struct vfuse_call *c, int r, meta_ino parent, const char *name, meta_ino ino,
                        struct meta_attr *attr)
{
    if (was_done(r, -EEXIST))
        r = meta_lookup(c->v->meta, &c->ctx, parent, str_z(name), &ino, attr);
    if (r == 0)
        vfuse_answer_entry(c, ino, attr);
    else
        vfuse_answer(c, r);
    vfuse_end(c, r, "(%llu,%s): %llu", INO(parent), name, INO(ino));
}

static uint8_t type_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFIFO: return META_FIFO;
    case S_IFSOCK: return META_SOCKET;
    case S_IFBLK: return META_BLOCK_DEVICE;
    case S_IFCHR: return META_CHAR_DEVICE;
    default: return META_FILE;
    }
}

void vfuse_op_mknod(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_MKNOD);
    const struct meta_new what = {
        .type = type_of(mode),
        .mode = (uint16_t)(mode & 07777),
        .umask = vfuse_umask(&c),
        .rdev = (uint32_t)device,
    };
    meta_ino ino = 0;
    struct meta_attr attr;
    int r = check_new(&c, parent, name);
    if (r == 0)
        r = meta_mknod(c.v->meta, &c.ctx, parent, str_z(name), &what, &ino, &attr);
    answer_made(&c, r, parent, name, ino, &attr);
}

void vfuse_op_mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_MKDIR);
    meta_ino ino = 0;
    struct meta_attr attr;
    int r = check_new(&c, parent, name);
    if (r == 0)
        r = meta_mkdir(c.v->meta, &c.ctx, parent, str_z(name), (uint16_t)(mode & 07777), vfuse_umask(&c), &ino, &attr);
    answer_made(&c, r, parent, name, ino, &attr);
}

void vfuse_op_symlink(fuse_req_t request, const char *target, fuse_ino_t parent, const char *name)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_SYMLINK);
    meta_ino ino = 0;
    struct meta_attr attr;
    int r = check_new(&c, parent, name);
    if (r == 0)
        r = meta_symlink(c.v->meta, &c.ctx, parent, str_z(name), str_z(target), &ino, &attr);
    answer_made(&c, r, parent, name, ino, &attr);
}

void vfuse_op_readlink(fuse_req_t request, fuse_ino_t ino)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_READLINK);
    CLEANUP(buf_done) struct buf target = buf_make(META_SYMLINK_MAX);
    int r = meta_readlink(c.v->meta, ino, &target);
    if (r == 0 && target.failed)
        r = -EIO;
    if (r == 0)
        (void)(vfuse_may_answer(&c) && fuse_reply_readlink(request, buf_z(&target))); /* interrupted or not */
    else
        vfuse_answer(&c, r);
    vfuse_end(&c, r, "(%llu): (%s)", INO(ino), buf_z(&target));
}

void vfuse_op_link(fuse_req_t request, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_LINK);
    struct meta_attr attr;
    int r = vfuse_virtual_by_ino(ino) ? -EPERM : check_old(&c, parent, name);
    if (r == 0)
        r = meta_link(c.v->meta, &c.ctx, ino, parent, str_z(name), &attr);
    answer_made(&c, r, parent, name, ino, &attr);
}

void vfuse_op_unlink(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_UNLINK);
    int r = check_old(&c, parent, name);
    if (r == 0)
        r = meta_unlink(c.v->meta, &c.ctx, parent, str_z(name), 0, NULL);
    /* "on Linux, EISDIR": the kernel has kept directories away; what is left is the trash's refusal. */
    vfuse_answer(&c, was_done(r, -ENOENT) ? 0 : r);
    vfuse_end(&c, r, "(%llu,%s)", INO(parent), name);
}

void vfuse_op_rmdir(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_RMDIR);
    int r = check_old(&c, parent, name);
    if (r == 0)
        r = meta_rmdir(c.v->meta, &c.ctx, parent, str_z(name), 0);
    vfuse_answer(&c, was_done(r, -ENOENT) ? 0 : r);
    vfuse_end(&c, r, "(%llu,%s)", INO(parent), name);
}

void vfuse_op_rename(fuse_req_t request, fuse_ino_t from_parent, const char *from, fuse_ino_t to_parent, const char *to,
                     unsigned flags)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_RENAME);
    meta_ino ino;
    struct meta_attr attr;
    int r = check_old(&c, from_parent, from);
    if (r == 0)
        r = check_old(&c, to_parent, to);
    if (r == 0)
        r = meta_rename(c.v->meta, &c.ctx, from_parent, str_z(from), to_parent, str_z(to), flags, &ino, &attr);
    vfuse_answer(&c, was_done(r, -ENOENT) ? 0 : r);
    vfuse_end(&c, r, "(%llu,%s,%llu,%s,%u)", INO(from_parent), from, INO(to_parent), to, flags);
}
