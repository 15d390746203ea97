/* Inodes of files that are open here: one writer each, whatever number of handles, so that later writes end up above earlier
 * ones. */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "vfs/fuse/fuse_internal.h"

struct vfuse_nodes {
    struct mutex lock; /* guards all but the nodes' inside; leaf */
    struct map *by_ino;
};

static struct str key_of(const meta_ino *ino)
{
    return str_of((const char *)ino, sizeof(*ino));
}

struct vfuse_nodes *vfuse_nodes_new(void)
{
    struct vfuse_nodes *t = calloc(1, sizeof(*t));
    CHECK(t != NULL); /* out of memory */
    mutex_init(&t->lock);
    t->by_ino = map_new();
    return t;
}

static void node_free(struct vfuse_node *n)
{
    /* Nobody is left to be told how it went, if that failed when the last handle was closed. */
    if (atomic_load(&n->writer))
        data_writer_close(atomic_load(&n->writer));
    /* Bytes that could not be committed are for the next process to tell of, if there is one. */
    if (n->dirty && !n->v->leaving)
        vfuse_unsaved_clear(n->v->unsaved, n->ino);
    mutex_done(&n->lock);
    free(n);
}

void vfuse_nodes_free(struct vfuse_nodes *t)
{
    CHECK(map_count(t->by_ino) == 0); /* handles are gone */
    map_free(t->by_ino, NULL);
    mutex_done(&t->lock);
    free(t);
}

static struct vfuse_node *node_new(struct vfuse *v, meta_ino ino)
{
    struct vfuse_node *n = calloc(1, sizeof(*n));
    CHECK(n != NULL); /* out of memory */
    n->ino = ino;
    n->v = v;
    mutex_init(&n->lock);
    /* A process before us may have left locks. */
    atomic_init(&n->posix_locks, v->generation > 0);
    return n;
}

struct vfuse_node *vfuse_node_ref(struct vfuse *v, meta_ino ino)
{
    struct vfuse_nodes *t = v->nodes;
    mutex_lock(&t->lock);
    struct vfuse_node *n = map_get(t->by_ino, key_of(&ino));
    if (!n) {
        n = node_new(v, ino);
        (void)map_set(t->by_ino, key_of(&ino), n); /* there was none */
    }
    n->refs++;
    mutex_unlock(&t->lock);
    return n;
}

struct vfuse_node *vfuse_node_find(struct vfuse *v, meta_ino ino)
{
    struct vfuse_nodes *t = v->nodes;
    mutex_lock(&t->lock);
    struct vfuse_node *n = map_get(t->by_ino, key_of(&ino));
    if (n)
        n->refs++;
    mutex_unlock(&t->lock);
    return n;
}

void vfuse_node_unref(struct vfuse_node *n)
{
    if (!n)
        return;
    struct vfuse_nodes *t = n->v->nodes;
    mutex_lock(&t->lock);
    CHECK(n->refs > 0);
    bool last = --n->refs == 0;
    if (last)
        CHECK(map_remove(t->by_ino, key_of(&n->ino)) == n);
    mutex_unlock(&t->lock);
    if (last)
        node_free(n);
}

/* Writing */

int vfuse_node_flush_locked(struct vfuse_node *n)
{
    if (!n->dirty)
        return 0;
    int r = data_writer_flush(atomic_load(&n->writer));
    /* A failure stays to be told to everybody who asks. */
    if (r == 0) {
        n->dirty = false;
        vfuse_unsaved_clear(n->v->unsaved, n->ino);
    }
    return r;
}

int vfuse_node_flush(struct vfuse_node *n)
{
    mutex_lock(&n->lock);
    int r = vfuse_node_flush_locked(n);
    mutex_unlock(&n->lock);
    return r;
}

static int write_locked(struct vfuse_node *n, struct str bytes, uint64_t offset)
{
    struct data_writer *w = atomic_load(&n->writer);
    if (!w) {
        int r = data_writer_open(n->v->data, n->ino, NULL, &w);
        if (r < 0)
            return r;
        atomic_store(&n->writer, w);
    }
    if (!n->dirty)
        vfuse_unsaved_mark(n->v->unsaved, n->ino);
    n->dirty = true;
    return data_writer_write(w, bytes, offset);
}

int vfuse_node_write(struct vfuse_node *n, struct str bytes, uint64_t offset)
{
    mutex_lock(&n->lock);
    int r = write_locked(n, bytes, offset);
    if (r == 0 && offset + bytes.len > atomic_load(&n->length))
        atomic_store(&n->length, offset + bytes.len);
    mutex_unlock(&n->lock);
    return r;
}

int vfuse_flush_ino(struct vfuse *v, meta_ino ino)
{
    struct vfuse_node *n = vfuse_node_find(v, ino);
    if (!n)
        return 0;
    int r = vfuse_node_flush(n);
    vfuse_node_unref(n);
    return r;
}

/* Attributes */

/* Has the file changed since it was last looked at? By whom, is not known; ourselves, too. */
static bool has_changed(struct vfuse_node *n, const struct meta_attr *attr)
{
    struct vfuse_nodes *t = n->v->nodes;
    mutex_lock(&t->lock);
    bool changed = n->seen_length != attr->length || n->seen_mtime.tv_sec != attr->mtime.tv_sec ||
                   n->seen_mtime.tv_nsec != attr->mtime.tv_nsec;
    n->seen_length = attr->length;
    n->seen_mtime = attr->mtime;
    mutex_unlock(&t->lock);
    return changed;
}

/* The length as last seen may be older than what was last written: who opens the file, or asked for attributes before the write, notes
 * down what the metadata said. */
int vfuse_node_see_end(struct vfuse_node *n, uint64_t end, uint64_t *out_length)
{
    struct meta_attr attr;
    *out_length = atomic_load(&n->length);
    if (end <= *out_length)
        return 0;
    int r = meta_getattr(n->v->meta, n->ino, &attr);
    if (r < 0)
        return r == -ENOENT ? 0 : r; /* removed by another client: it has not grown */
    vfuse_node_adjust(n->v, n->ino, &attr);
    *out_length = attr.length;
    return 0;
}

void vfuse_node_adjust(struct vfuse *v, meta_ino ino, struct meta_attr *attr)
{
    if (attr->type != META_FILE)
        return;
    struct vfuse_node *n = vfuse_node_find(v, ino);
    if (!n)
        return;
    if (has_changed(n, attr))
        data_forget(v->data, ino);
    struct data_writer *w = atomic_load(&n->writer);
    if (w)
        attr->length = data_writer_length(w, attr->length);
    atomic_store(&n->length, attr->length);
    vfuse_node_unref(n);
}
