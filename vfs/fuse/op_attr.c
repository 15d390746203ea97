/* Operations on attributes. */
#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "vfs/fuse/fuse_internal.h"

#define STATFS_BLOCK 4096

static int get_attr(const struct vfuse_call *c, meta_ino ino, struct meta_attr *out)
{
    const struct vfuse_virtual *f = vfuse_virtual_by_ino(ino);
    if (!f)
        return meta_getattr(c->v->meta, ino, out);
    vfuse_virtual_attr(c->v, f, out);
    return 0;
}

void vfuse_op_getattr(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    struct vfuse_call c = vfuse_begin(request, VFUSE_GETATTR);
    struct meta_attr attr;
    int r = get_attr(&c, ino, &attr);
    if (r == 0)
        vfuse_answer_attr(&c, ino, &attr);
    else
        vfuse_answer(&c, r);
    vfuse_end(&c, r, "(%llu)", (unsigned long long)ino);
}

static int truncate_node(const struct vfuse_call *c, struct vfuse_node *n, uint64_t length, bool is_open,
                         struct meta_attr *out)
{
    mutex_lock(&n->lock);
    int r = vfuse_node_flush_locked(n);
    if (r == 0)
        r = meta_truncate(c->v->meta, &c->ctx, n->ino, length, is_open, out);
    if (r == 0) {
        data_forget(c->v->data, n->ino);
        atomic_store(&n->length, length);
    }
    mutex_unlock(&n->lock);
    return r;
}

int vfuse_truncate(const struct vfuse_call *c, meta_ino ino, uint64_t length, bool is_open, struct meta_attr *out)
{
    if (length > VFUSE_FILE_BYTES_MAX)
        return -EFBIG;
    struct vfuse_node *n = vfuse_node_ref(c->v, ino);
    int r = truncate_node(c, n, length, is_open, out);
    vfuse_node_unref(n);
    return r;
}

/* The kernel's request in the format's terms. */
static unsigned translate(const struct stat *to, int which, struct meta_attr *out)
{
    static const struct {
        int kernel;
        unsigned ours;
    } bits[] = {
        {FUSE_SET_ATTR_MODE, META_SET_MODE},
        {FUSE_SET_ATTR_UID, META_SET_UID},
        {FUSE_SET_ATTR_GID, META_SET_GID},
        {FUSE_SET_ATTR_ATIME, META_SET_ATIME},
        {FUSE_SET_ATTR_MTIME, META_SET_MTIME},
        {FUSE_SET_ATTR_ATIME_NOW, META_SET_ATIME_NOW},
        {FUSE_SET_ATTR_MTIME_NOW, META_SET_MTIME_NOW},
    };
    unsigned set = 0;
    for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
        if (which & bits[i].kernel)
            set |= bits[i].ours;
    }
    /* "Now" is the volume's to say. */
    if (set & META_SET_ATIME_NOW)
        set &= ~(unsigned)META_SET_ATIME;
    if (set & META_SET_MTIME_NOW)
        set &= ~(unsigned)META_SET_MTIME;
    *out = (struct meta_attr){
        .mode = (uint16_t)(to->st_mode & 07777),
        .uid = to->st_uid,
        .gid = to->st_gid,
        .atime = to->st_atim,
        .mtime = to->st_mtim,
    };
    return set;
}

static int set_attr(const struct vfuse_call *c, meta_ino ino, const struct stat *to, int which, bool is_open,
                    struct meta_attr *out)
{
    if (vfuse_virtual_by_ino(ino))
        return -EPERM;
    bool truncates = (which & FUSE_SET_ATTR_SIZE) != 0;
    if (truncates) {
        int r = vfuse_truncate(c, ino, (uint64_t)to->st_size, is_open, out);
        if (r < 0)
            return r;
    }
    struct meta_attr in;
    unsigned set = translate(to, which, &in);
    if (truncates)
        set &= ~(unsigned)META_SET_MTIME_NOW; /* done by truncation */
    if (set == 0)
        return truncates ? 0 : meta_getattr(c->v->meta, ino, out);
    /* A commit later than the given times would take their place. */
    if (set & (META_SET_MTIME | META_SET_MTIME_NOW)) {
        int r = vfuse_flush_ino(c->v, ino);
        if (r < 0)
            return r;
    }
    return meta_setattr(c->v->meta, &c->ctx, ino, set, &in, out);
}

void vfuse_op_setattr(fuse_req_t request, fuse_ino_t ino, struct stat *to, int which, struct fuse_file_info *fi)
{
    struct vfuse_call c = vfuse_begin(request, which & FUSE_SET_ATTR_SIZE ? VFUSE_TRUNCATE : VFUSE_SETATTR);
    struct meta_attr attr;
    int r = set_attr(&c, ino, to, which, fi != NULL, &attr);
    if (r == 0)
        vfuse_answer_attr(&c, ino, &attr);
    else
        vfuse_answer(&c, r);
    vfuse_end(&c, r, "(%llu,0x%x,mode:%04o,uid:%u,gid:%u,size:%llu)", (unsigned long long)ino, (unsigned)which,
              (unsigned)to->st_mode & 07777, to->st_uid, to->st_gid, (unsigned long long)to->st_size);
}

/* The kernel asks only where it does not check permissions itself. */
void vfuse_op_access(fuse_req_t request, fuse_ino_t ino, int mask)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_ACCESS);
    unsigned want = (mask & R_OK ? META_ACCESS_R : 0u) | (mask & W_OK ? META_ACCESS_W : 0u) | (mask & X_OK ? META_ACCESS_X : 0u);
    int r = vfuse_virtual_by_ino(ino) ? 0 : meta_access(c.v->meta, &c.ctx, ino, want, NULL);
    vfuse_answer(&c, r);
    vfuse_end(&c, r, "(%llu,%d)", (unsigned long long)ino, mask);
}

void vfuse_op_statfs(fuse_req_t request, fuse_ino_t ino)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_STATFS);
    struct meta_space space;
    int r = meta_statfs(c.v->meta, c.v->root, &space);
    if (r == 0) {
        uint64_t free_blocks = space.free_bytes / STATFS_BLOCK, blocks = space.total_bytes / STATFS_BLOCK;
        const struct statvfs s = {
            .f_bsize = STATFS_BLOCK,
            .f_frsize = STATFS_BLOCK,
            .f_blocks = blocks > 0 ? blocks : 1,
            .f_bfree = free_blocks,
            .f_bavail = free_blocks,
            .f_files = space.used_inodes + space.free_inodes,
            .f_ffree = space.free_inodes,
            .f_favail = space.free_inodes,
            .f_namemax = META_NAME_MAX,
        };
        (void)(vfuse_may_answer(&c) && fuse_reply_statfs(request, &s)); /* interrupted or not */
    } else {
        vfuse_answer(&c, r);
    }
    vfuse_end(&c, r, "(%llu)", (unsigned long long)ino);
}
