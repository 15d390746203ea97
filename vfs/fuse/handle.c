/* What the kernel has open, by numbers that tell which process gave them out: (generation << 40) + count. */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "vfs/fuse/fuse_internal.h"

#define GENERATION_SHIFT 40

struct vfuse_handles {
    struct mutex lock; /* guards the map, references and the count; leaf */
    struct map *by_number;
    uint64_t count;
};

static struct str key_of(const uint64_t *number)
{
    return str_of((const char *)number, sizeof(*number));
}

struct vfuse_handles *vfuse_handles_new(void)
{
    struct vfuse_handles *t = calloc(1, sizeof(*t));
    CHECK(t != NULL); /* out of memory */
    mutex_init(&t->lock);
    t->by_number = map_new();
    return t;
}

/* Frees; the inode stays open in the metadata's eyes. What was written is committed (mapped pages come after the last flush) while
 * the node can still be found: who opens the file next must not get a writer of its own that is faster. */
static void handle_forget(struct vfuse *v, struct vfuse_handle *h)
{
    int r = h->node ? vfuse_node_flush(h->node) : 0;
    if (r < 0 && r != -ENOENT)
        log_warn("bytes_lost", "inode=%llu errno=%d", (unsigned long long)h->ino, -r); /* whoever synced has been told */
    vfuse_node_unref(h->node);
    vfuse_dir_free(h->dir);
    if (h->reader)
        vfuse_log_close(v->log, h->reader);
    vfuse_control_close(h->control);
    buf_done(&h->text);
    free(h);
}

static void handle_close(struct vfuse *v, struct vfuse_handle *h)
{
    meta_ino file = h->node ? h->ino : 0;
    /* Commits what was written, before the file may go with its last close. */
    handle_forget(v, h);
    if (file != 0)
        meta_node_close(v->meta, file);
}

void vfuse_handles_free(struct vfuse *v, bool leave)
{
    size_t cursor = 0;
    struct str key;
    void *value;
    while (map_next(v->handles->by_number, &cursor, &key, &value)) {
        if (leave)
            handle_forget(v, value);
        else
            handle_close(v, value);
    }
    map_free(v->handles->by_number, NULL);
    mutex_done(&v->handles->lock);
    free(v->handles);
}

static struct vfuse_handle *make(struct vfuse *v, enum vfuse_handle_kind kind, meta_ino ino, uint64_t number)
{
    struct vfuse_handle *h = calloc(1, sizeof(*h));
    CHECK(h != NULL); /* out of memory */
    h->number = number;
    h->kind = kind;
    h->ino = ino;
    h->refs = 1;
    h->text = buf_make(LIMIT_FUSE_VIRTUAL_BYTES);
    if (kind == VFUSE_FILE_HANDLE)
        h->node = vfuse_node_ref(v, ino);
    if (kind == VFUSE_DIR_HANDLE)
        h->dir = vfuse_dir_new();
    return h;
}

struct vfuse_handle *vfuse_handle_new(struct vfuse *v, enum vfuse_handle_kind kind, meta_ino ino)
{
    struct vfuse_handles *t = v->handles;
    struct vfuse_handle *h = make(v, kind, ino, 0);
    mutex_lock(&t->lock);
    h->number = ((uint64_t)v->generation << GENERATION_SHIFT) + ++t->count;
    (void)map_set(t->by_number, key_of(&h->number), h); /* numbers are never used twice */
    mutex_unlock(&t->lock);
    return h;
}

/* Opened before our time. The kernel has checked then what the file may be used for. */
static int reopen(struct vfuse *v, enum vfuse_handle_kind kind, meta_ino ino, uint64_t number, struct vfuse_handle **out)
{
    if (number >> GENERATION_SHIFT >= v->generation)
        return -EBADF;
    const struct vfuse_virtual *virtual = vfuse_virtual_by_ino(ino);
    if (virtual && vfuse_is_control(virtual))
        return -EBADF; /* whose command died with that process */
    if (virtual)
        kind = VFUSE_VIRTUAL_HANDLE;
    struct meta_attr attr;
    if (kind == VFUSE_FILE_HANDLE) {
        int r = meta_node_open(v->meta, NULL, ino, META_OPEN_READ, &attr);
        if (r < 0)
            return r == -ENOENT ? -EBADF : r;
    }
    struct vfuse_handle *h = make(v, kind, ino, number);
    h->can_write = !v->options.read_only;
    h->lost = kind == VFUSE_FILE_HANDLE && vfuse_unsaved_is_lost(v->unsaved, ino);
    if (kind == VFUSE_FILE_HANDLE)
        atomic_store(&h->node->length, attr.length);
    if (virtual)
        vfuse_virtual_open(v, virtual, h);
    struct vfuse_handles *t = v->handles;
    mutex_lock(&t->lock);
    struct vfuse_handle *other = map_get(t->by_number, key_of(&number));
    if (other)
        other->refs++;
    else
        (void)map_set(t->by_number, key_of(&number), h); /* there was none */
    if (!other)
        h->refs++;
    mutex_unlock(&t->lock);
    if (other)
        handle_close(v, h);
    *out = other ? other : h;
    return 0;
}

int vfuse_handle_get(struct vfuse *v, const struct fuse_file_info *fi, enum vfuse_handle_kind kind, meta_ino ino,
                     struct vfuse_handle **out)
{
    struct vfuse_handles *t = v->handles;
    mutex_lock(&t->lock);
    struct vfuse_handle *h = map_get(t->by_number, key_of(&fi->fh));
    bool fits = h && h->ino == ino;
    if (fits)
        h->refs++;
    mutex_unlock(&t->lock);
    if (h && !fits)
        return -EBADF;
    if (!h)
        return reopen(v, kind, ino, fi->fh, out);
    *out = h;
    return 0;
}

void vfuse_handle_put(struct vfuse *v, struct vfuse_handle *h)
{
    if (!h)
        return;
    struct vfuse_handles *t = v->handles;
    mutex_lock(&t->lock);
    CHECK(h->refs > 0);
    bool last = --h->refs == 0;
    mutex_unlock(&t->lock);
    if (last)
        handle_close(v, h);
}

void vfuse_handle_release(struct vfuse *v, uint64_t number)
{
    struct vfuse_handles *t = v->handles;
    mutex_lock(&t->lock);
    struct vfuse_handle *h = map_remove(t->by_number, key_of(&number));
    mutex_unlock(&t->lock);
    vfuse_handle_put(v, h);
}
