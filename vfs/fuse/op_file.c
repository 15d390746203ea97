/* Operations on open files. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "vfs/fuse/fuse_internal.h"

#define INO(ino) ((unsigned long long)(ino))

/* Opening */

static bool writes(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY;
}

/* What the kernel may keep of a file that is being opened, and how. */
static void describe(struct vfuse *v, struct vfuse_handle *h, const struct meta_attr *attr, struct fuse_file_info *fi)
{
    h->can_write = writes(fi->flags);
    atomic_store(&h->node->length, attr->length);
    fi->fh = h->number;
    fi->keep_cache = data_see(v->data, h->ino, attr);
}

static int open_virtual(struct vfuse *v, const struct vfuse_virtual *f, struct fuse_file_info *fi)
{
    if (writes(fi->flags) && !vfuse_is_control(f))
        return -EACCES;
    struct vfuse_handle *h = vfuse_handle_new(v, VFUSE_VIRTUAL_HANDLE, f->ino);
    vfuse_virtual_open(v, f, h);
    fi->fh = h->number;
    fi->direct_io = true;
    return 0;
}

static int open_file(const struct vfuse_call *c, meta_ino ino, struct fuse_file_info *fi)
{
    struct vfuse *v = c->v;
    unsigned how = (writes(fi->flags) ? META_OPEN_WRITE : 0u) | (fi->flags & O_APPEND ? META_OPEN_APPEND : 0u) |
                   (fi->flags & O_TRUNC ? META_OPEN_TRUNCATE : 0u);
    struct meta_attr attr;
    int r = meta_node_open(v->meta, &c->ctx, ino, how, &attr);
    if (r < 0)
        return r;
    struct vfuse_handle *h = vfuse_handle_new(v, VFUSE_FILE_HANDLE, ino);
    if (fi->flags & O_TRUNC)
        r = vfuse_truncate(c, ino, 0, true, &attr);
    if (r < 0) {
        vfuse_handle_release(v, h->number);
        return r;
    }
    describe(v, h, &attr, fi);
    /* Attributes that the kernel still holds may be older: a file that has grown would be read to its old end only. Nothing
     * to invalidate (-ENOENT) is fine. */
    if (!fi->keep_cache)
        (void)fuse_lowlevel_notify_inval_inode(v->session, ino, -1, 0);
    return 0;
}

void vfuse_op_open(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_OPEN);
    const struct vfuse_virtual *f = vfuse_virtual_by_ino(ino);
    int r = f ? open_virtual(c.v, f, fi) : open_file(&c, ino, fi);
    uint64_t number = fi->fh;
    if (r < 0)
        vfuse_answer(&c, r);
    else if (!vfuse_may_answer(&c) || fuse_reply_open(request, fi) < 0)
        vfuse_handle_release(c.v, number); /* interrupted: the kernel knows of none */
    vfuse_end(&c, r, "(%llu,%#x) [fh:%llu]", INO(ino), (unsigned)fi->flags, (unsigned long long)number);
}

void vfuse_op_create(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_CREATE);
    meta_ino ino = 0;
    struct meta_attr attr;
    int r = vfuse_is_reserved(c.v, parent, str_z(name)) ? -EEXIST : 0;
    /* Asked again after a process died over it, the file is the one that we made. */
    bool exclusive = (fi->flags & O_EXCL) != 0 && !vfuse_is_resent;
    if (r == 0)
        r = meta_create(c.v->meta, &c.ctx, parent, str_z(name), (uint16_t)(mode & 07777),
                        vfuse_umask(&c), exclusive, &ino, &attr);
    struct vfuse_handle *h = NULL;
    if (r == 0) {
        h = vfuse_handle_new(c.v, VFUSE_FILE_HANDLE, ino);
        /* It may have been there. */
        if ((fi->flags & O_TRUNC) && attr.length > 0)
            r = vfuse_truncate(&c, ino, 0, true, &attr);
    }
    if (r == 0) {
        describe(c.v, h, &attr, fi);
        struct fuse_entry_param entry;
        vfuse_fill_entry(c.v, ino, &attr, &entry);
        uint64_t number = h->number;
        if (!vfuse_may_answer(&c) || fuse_reply_create(request, &entry, fi) < 0)
            vfuse_handle_release(c.v, number); /* interrupted: the kernel knows of none */
    } else {
        if (h)
            vfuse_handle_release(c.v, h->number);
        vfuse_answer(&c, r);
    }
    vfuse_end(&c, r, "(%llu,%s): %llu", INO(parent), name, INO(ino));
}

/* Reading and writing */

static ssize_t read_virtual(struct vfuse *v, struct vfuse_handle *h, char *out, size_t size, uint64_t offset)
{
    if (h->reader)
        return (ssize_t)vfuse_log_read(v->log, h->reader, out, size);
    if (h->control)
        return (ssize_t)vfuse_control_read(h->control, out, size, offset);
    struct str text = str_first(str_from(buf_str(&h->text), (size_t)offset), size);
    if (text.len > 0)
        memcpy(out, text.ptr, text.len);
    return (ssize_t)text.len;
}

static ssize_t read_file(struct vfuse *v, struct vfuse_handle *h, char *out, size_t size, uint64_t offset)
{
    uint64_t length;
    int r = vfuse_node_flush(h->node);
    if (r == 0)
        r = vfuse_node_see_end(h->node, offset + size, &length);
    if (r < 0)
        return r;
    if (offset >= length)
        return 0;
    if (size > length - offset)
        size = (size_t)(length - offset);
    return data_read(v->data, h->ino, offset, out, size);
}

void vfuse_op_read(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_READ);
    struct vfuse_handle *h = NULL;
    char *bytes = NULL;
    ssize_t n = vfuse_handle_get(c.v, fi, VFUSE_FILE_HANDLE, ino, &h);
    if (n == 0) {
        bytes = malloc(size);
        CHECK(bytes != NULL); /* out of memory; the kernel bounds the size */
        n = h->kind == VFUSE_VIRTUAL_HANDLE ? read_virtual(c.v, h, bytes, size, (uint64_t)offset)
                                            : read_file(c.v, h, bytes, size, (uint64_t)offset);
    }
    if (n < 0)
        vfuse_answer(&c, (int)n);
    else
        (void)(vfuse_may_answer(&c) && fuse_reply_buf(request, bytes, (size_t)n)); /* interrupted or not */
    free(bytes);
    if (n > 0 && h->kind == VFUSE_FILE_HANDLE)
        vfuse_count_bytes(&c, (size_t)n);
    vfuse_handle_put(c.v, h);
    if (ino != vfuse_virtuals[0].ino) /* reading the log would feed it */
        vfuse_end(&c, (int)n, "(%llu,%zu,%lld,%llu): (%zd)", INO(ino), size, (long long)offset, (unsigned long long)fi->fh, n);
}

static int write_handle(const struct vfuse_call *c, struct vfuse_handle *h, struct str bytes, uint64_t offset)
{
    if (h->control)
        return vfuse_control_write(h->control, c, bytes);
    if (h->kind != VFUSE_FILE_HANDLE || !h->can_write)
        return -EBADF;
    return offset + bytes.len > VFUSE_FILE_BYTES_MAX ? -EFBIG : vfuse_node_write(h->node, bytes, offset);
}

void vfuse_op_write(fuse_req_t request, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_WRITE);
    struct vfuse_handle *h = NULL;
    int r = vfuse_handle_get(c.v, fi, VFUSE_FILE_HANDLE, ino, &h);
    if (r == 0)
        r = write_handle(&c, h, str_of(bytes, size), (uint64_t)offset);
    if (r == 0)
        (void)(vfuse_may_answer(&c) && fuse_reply_write(request, size)); /* interrupted or not */
    else
        vfuse_answer(&c, r);
    if (r == 0 && h->kind == VFUSE_FILE_HANDLE)
        vfuse_count_bytes(&c, size);
    vfuse_handle_put(c.v, h);
    vfuse_end(&c, r, "(%llu,%zu,%lld,%llu)", INO(ino), size, (long long)offset, (unsigned long long)fi->fh);
}

/* Committing and closing */

/* durable: also when nothing can have been written through it. */
static int flush_handle(struct vfuse *v, meta_ino ino, struct fuse_file_info *fi, bool durable)
{
    if (vfuse_virtual_by_ino(ino))
        return 0;
    struct vfuse_handle *h;
    int r = vfuse_handle_get(v, fi, VFUSE_FILE_HANDLE, ino, &h);
    if (r < 0)
        return r;
    r = vfuse_node_flush(h->node);
    if (r == 0 && h->lost)
        r = -EIO;
    if (r == 0 && (durable || h->can_write))
        r = meta_sync(v->meta);
    vfuse_handle_put(v, h);
    /* It went on another mount, or its node did: what was written to it has no place any more. */
    return r == -ENOENT ? -EBADF : r;
}

/* POSIX: closing any descriptor of a file drops the process's record locks on it. */
static void drop_record_locks(struct vfuse *v, meta_ino ino, uint64_t owner)
{
    struct vfuse_node *n = vfuse_node_find(v, ino);
    if (n && atomic_load(&n->posix_locks)) {
        const struct meta_range_lock all = {.type = F_UNLCK, .start = 0, .end = INT64_MAX};
        int r = meta_setlk(v->meta, ino, owner, &all);
        if (r < 0)
            log_warn("locks_left", "inode=%llu errno=%d", INO(ino), -r); /* they end with the session */
        vfuse_waiters_wake(v);
    }
    vfuse_node_unref(n);
}

void vfuse_op_flush(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_FLUSH);
    int r = flush_handle(c.v, ino, fi, false);
    drop_record_locks(c.v, ino, fi->lock_owner);
    vfuse_answer(&c, r);
    vfuse_end(&c, r, "(%llu,%llu,%016llX)", INO(ino), (unsigned long long)fi->fh, (unsigned long long)fi->lock_owner);
}

void vfuse_op_fsync(fuse_req_t request, fuse_ino_t ino, int only_data, struct fuse_file_info *fi)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_FSYNC);
    int r = flush_handle(c.v, ino, fi, true);
    vfuse_answer(&c, r);
    vfuse_end(&c, r, "(%llu,%d)", INO(ino), only_data);
}

void vfuse_op_release(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_RELEASE);
    if (fi->flock_release) {
        int r = meta_flock(c.v->meta, ino, fi->lock_owner, 'U');
        if (r < 0)
            log_warn("locks_left", "inode=%llu errno=%d", INO(ino), -r); /* they end with the session */
        vfuse_waiters_wake(c.v);
    }
    vfuse_handle_release(c.v, fi->fh);
    vfuse_answer(&c, 0);
    vfuse_end(&c, 0, "(%llu,%llu)", INO(ino), (unsigned long long)fi->fh);
}

/* Ranges */

/* Gets a handle for changing the file's ranges. */
static int get_writable(struct vfuse *v, struct fuse_file_info *fi, meta_ino ino, struct vfuse_handle **out)
{
    int r = vfuse_handle_get(v, fi, VFUSE_FILE_HANDLE, ino, out);
    if (r == 0 && ((*out)->kind != VFUSE_FILE_HANDLE || !(*out)->can_write))
        r = -EBADF;
    return r;
}

static int allocate(struct vfuse_node *n, int mode, uint64_t offset, uint64_t size)
{
    struct vfuse *v = n->v;
    mutex_lock(&n->lock);
    int r = vfuse_node_flush_locked(n);
    if (r == 0)
        r = meta_fallocate(v->meta, n->ino, (unsigned)mode, offset, size);
    if (r == 0) {
        data_forget(v->data, n->ino);
        if (!(mode & FALLOC_FL_KEEP_SIZE) && offset + size > atomic_load(&n->length))
            atomic_store(&n->length, offset + size);
    }
    mutex_unlock(&n->lock);
    return r;
}

void vfuse_op_fallocate(fuse_req_t request, fuse_ino_t ino, int mode, off_t offset, off_t size, struct fuse_file_info *fi)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_FALLOCATE);
    struct vfuse_handle *h = NULL;
    int r = get_writable(c.v, fi, ino, &h);
    if (r == 0 && (uint64_t)offset + (uint64_t)size > VFUSE_FILE_BYTES_MAX)
        r = -EFBIG;
    if (r == 0)
        r = allocate(h->node, mode, (uint64_t)offset, (uint64_t)size);
    vfuse_answer(&c, r);
    vfuse_handle_put(c.v, h);
    vfuse_end(&c, r, "(%llu,%d,%lld,%lld)", INO(ino), mode, (long long)offset, (long long)size);
}

struct copy {
    struct vfuse_node *from, *to;
    uint64_t from_offset, to_offset, size;
};

static int copy_range(const struct copy *how, uint64_t *out_copied)
{
    struct vfuse *v = how->to->v;
    if (how->from != how->to) {
        int r = vfuse_node_flush(how->from);
        if (r < 0)
            return r;
    }
    mutex_lock(&how->to->lock);
    int r = vfuse_node_flush_locked(how->to);
    if (r == 0)
        r = meta_copy_range(v->meta, how->from->ino, how->from_offset, how->to->ino, how->to_offset, how->size, out_copied);
    if (r == 0) {
        data_forget(v->data, how->to->ino);
        if (how->to_offset + *out_copied > atomic_load(&how->to->length))
            atomic_store(&how->to->length, how->to_offset + *out_copied);
    }
    mutex_unlock(&how->to->lock);
    return r;
}

static bool overlaps(const struct copy *how)
{
    return how->from == how->to && how->from_offset < how->to_offset + how->size &&
           how->to_offset < how->from_offset + how->size;
}

void vfuse_op_copy(fuse_req_t request, fuse_ino_t from, off_t from_offset, struct fuse_file_info *from_fi, fuse_ino_t to,
                   off_t to_offset, struct fuse_file_info *to_fi, size_t size, int flags)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_COPY);
    struct vfuse_handle *source = NULL, *target = NULL;
    uint64_t copied = 0;
    int r = flags != 0 ? -EINVAL : vfuse_handle_get(c.v, from_fi, VFUSE_FILE_HANDLE, from, &source);
    if (r == 0 && source->kind != VFUSE_FILE_HANDLE)
        r = -ENOTSUP;
    if (r == 0)
        r = get_writable(c.v, to_fi, to, &target);
    if (r == 0) {
        /* The answer has 32 bits for the count. */
        const struct copy how = {source->node, target->node, (uint64_t)from_offset, (uint64_t)to_offset,
                                 size > LIMIT_FUSE_COPY_BYTES ? LIMIT_FUSE_COPY_BYTES : size};
        if (overlaps(&how))
            r = -EINVAL;
        else if (how.to_offset + how.size > VFUSE_FILE_BYTES_MAX)
            r = -EFBIG;
        else
            r = copy_range(&how, &copied);
    }
    if (r == 0)
        (void)(vfuse_may_answer(&c) && fuse_reply_write(request, copied)); /* interrupted or not */
    else
        vfuse_answer(&c, r);
    vfuse_handle_put(c.v, source);
    vfuse_handle_put(c.v, target);
    vfuse_end(&c, r, "(%llu,%lld,%llu,%lld,%zu): %llu", INO(from), (long long)from_offset, INO(to), (long long)to_offset, size,
              (unsigned long long)copied);
}

/* Holes */

/* The first offset from `offset` on, within its chunk, at which data (or a hole) begins; the chunk's end when there is none. */
static int seek_in_chunk(struct vfuse *v, meta_ino ino, uint64_t offset, bool data, uint64_t *out)
{
    uint32_t indx = (uint32_t)(offset >> META_CHUNK_BITS);
    uint64_t base = (uint64_t)indx << META_CHUNK_BITS, at = offset - base;
    struct meta_slice *slices;
    size_t count;
    int r = meta_read_chunk(v->meta, ino, indx, &slices, &count);
    if (r < 0)
        return r;
    uint64_t found = data ? META_CHUNK_SIZE : at;
    for (size_t i = 0; i < count; i++) {
        const struct meta_slice *s = &slices[i];
        uint64_t end = (uint64_t)s->pos + s->len;
        if (s->id == 0 || end <= (data ? at : found))
            continue;
        if (data) {
            found = s->pos > at ? s->pos : at;
            break;
        }
        if (s->pos > found)
            break;
        found = end;
    }
    free(slices);
    *out = base + found;
    return 0;
}

static int seek(struct vfuse *v, struct vfuse_handle *h, uint64_t offset, int whence, uint64_t *out)
{
    if (h->kind != VFUSE_FILE_HANDLE || (whence != SEEK_DATA && whence != SEEK_HOLE))
        return -EINVAL;
    int r = vfuse_node_flush(h->node);
    if (r < 0)
        return r;
    struct meta_attr attr;
    r = meta_getattr(v->meta, h->ino, &attr);
    if (r == 0 && offset >= attr.length)
        r = -ENXIO;
    if (r < 0)
        return r;
    while (offset < attr.length) {
        uint64_t found, chunk_end = (offset | (META_CHUNK_SIZE - 1)) + 1;
        r = seek_in_chunk(v, h->ino, offset, whence == SEEK_DATA, &found);
        if (r < 0)
            return r;
        if (found < chunk_end && found < attr.length) {
            *out = found;
            return 0;
        }
        offset = chunk_end;
    }
    if (whence == SEEK_DATA)
        return -ENXIO;
    *out = attr.length; /* there is a hole behind every file */
    return 0;
}

void vfuse_op_lseek(fuse_req_t request, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_LSEEK);
    struct vfuse_handle *h = NULL;
    uint64_t found = 0;
    int r = vfuse_handle_get(c.v, fi, VFUSE_FILE_HANDLE, ino, &h);
    if (r == 0)
        r = seek(c.v, h, (uint64_t)offset, whence, &found);
    if (r == 0)
        (void)(vfuse_may_answer(&c) && fuse_reply_lseek(request, (off_t)found)); /* interrupted or not */
    else
        vfuse_answer(&c, r);
    vfuse_handle_put(c.v, h);
    vfuse_end(&c, r, "(%llu,%lld,%d): %llu", INO(ino), (long long)offset, whence, (unsigned long long)found);
}
