#include "vfs/dir/ahead.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "vfs/dir/dir_internal.h"
#include "vfs/pool.h"

/* Files of one batch; a page of a listing has a thousand, and what is read in vain at its end should be little. */
#define BATCH 128
/* Fewer are not worth waking anybody. */
#define BATCH_MIN 16
/* Taken by a thread at a time. */
#define STRIDE 8
#define THREADS_MAX 4
/* Longer records are rare, and read when they are asked for. */
#define VALUE_BYTES 256

struct item {
    struct str name; /* the view's, which the scan holds */
    int result;
    struct vfs_attr attr;
    size_t value_size;
    char value[VALUE_BYTES];
};

/* Shared by the scan and by jobs that may come late, and then find nothing left to do: they must not touch what the scan
 * lends (descriptor, names) unless they got items, and the scan waits for those. */
struct batch {
    atomic_uint refs;
    atomic_size_t next; /* the first item that nobody has taken */
    struct mutex lock;
    struct cond finished;
    size_t done; /* guarded by lock */
    size_t count;
    struct dir_volume *v;
    int dir_fd;
    const char *xattr_name;
    struct item items[BATCH];
};

struct helper {
    struct vfs_job job;
    struct batch *batch; /* a reference */
};

struct ahead {
    struct dir_volume *v;
    int dir_fd;
    const char *xattr_name;
    size_t expected; /* files that will still be asked for */
    struct batch *batch; /* NULL: none */
    size_t at;           /* in it */
};

/* The pool */

struct ahead_pool {
    struct mutex lock;
    struct vfs_pool *threads; /* NULL: not started. Guarded by lock, constant once it is set */
    unsigned count;
};

struct ahead_pool *ahead_pool_new(void)
{
    struct ahead_pool *p = calloc(1, sizeof(*p));
    CHECK(p != NULL); /* out of memory */
    mutex_init(&p->lock);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    p->count = cores > 1 && cores < THREADS_MAX ? (unsigned)cores : cores > 1 ? THREADS_MAX : 1;
    return p;
}

void ahead_pool_free(struct ahead_pool *p)
{
    if (!p)
        return;
    vfs_pool_stop(p->threads);
    mutex_done(&p->lock);
    free(p);
}

static struct vfs_pool *threads_of(struct ahead_pool *p)
{
    mutex_lock(&p->lock);
    if (!p->threads)
        p->threads = vfs_pool_start("list", p->count);
    struct vfs_pool *threads = p->threads;
    mutex_unlock(&p->lock);
    return threads;
}

/* Batches */

static struct batch *batch_new(const struct ahead *a)
{
    struct batch *b = malloc(sizeof(*b)); /* items are written before they are read */
    CHECK(b != NULL);                     /* out of memory */
    atomic_init(&b->refs, 1);
    atomic_init(&b->next, 0);
    mutex_init(&b->lock);
    cond_init(&b->finished);
    b->done = b->count = 0;
    b->v = a->v;
    b->dir_fd = a->dir_fd;
    b->xattr_name = a->xattr_name;
    return b;
}

static void batch_unref(struct batch *b)
{
    if (!b || atomic_fetch_sub(&b->refs, 1) > 1)
        return;
    cond_done(&b->finished);
    mutex_done(&b->lock);
    free(b);
}

static void read_item(const struct batch *b, struct item *it)
{
    char memory[VALUE_BYTES + 1];
    struct buf value = buf_over(memory, sizeof(memory));
    it->result = entry_read(b->v, b->dir_fd, it->name, b->xattr_name, &it->attr, &value);
    if (it->result == -EFBIG)
        it->result = -EAGAIN;
    it->value_size = it->result == 0 ? value.len : 0;
    memcpy(it->value, memory, it->value_size);
}

static void batch_work(struct batch *b)
{
    for (size_t from; (from = atomic_fetch_add(&b->next, STRIDE)) < b->count;) {
        size_t end = from + STRIDE < b->count ? from + STRIDE : b->count;
        for (size_t i = from; i < end; i++)
            read_item(b, &b->items[i]);
        mutex_lock(&b->lock);
        b->done += end - from;
        if (b->done == b->count)
            cond_signal(&b->finished);
        mutex_unlock(&b->lock);
    }
}

static void helper_run(struct vfs_job *job)
{
    struct helper *h = container_of(job, struct helper, job);
    batch_work(h->batch);
    batch_unref(h->batch);
    free(h);
}

/* Nobody is called who has something else to do. */
static void call_helpers(struct batch *b)
{
    struct ahead_pool *p = b->v->ahead;
    struct vfs_pool *threads = threads_of(p);
    for (unsigned i = 1; i < p->count && vfs_pool_depth(threads) == 0; i++) {
        struct helper *h = calloc(1, sizeof(*h));
        CHECK(h != NULL); /* out of memory */
        h->job.run = helper_run;
        h->batch = b;
        atomic_fetch_add(&b->refs, 1);
        vfs_pool_submit(threads, &h->job);
    }
}

static void batch_run(struct batch *b)
{
    call_helpers(b);
    batch_work(b);
    mutex_lock(&b->lock);
    while (b->done < b->count)
        cond_wait(&b->finished, &b->lock);
    mutex_unlock(&b->lock);
}

/* Scans */

struct ahead *ahead_new(struct dir_volume *v, int dir_fd, const char *xattr_name, size_t count)
{
    struct ahead *a = calloc(1, sizeof(*a));
    CHECK(a != NULL); /* out of memory */
    *a = (struct ahead){.v = v, .dir_fd = dir_fd, .xattr_name = xattr_name, .expected = count};
    return a;
}

void ahead_free(struct ahead *a)
{
    if (!a)
        return;
    batch_unref(a->batch);
    free(a);
}

/* The names of the next batch, `name` first; how many there are. */
static size_t gather(const struct ahead *a, struct str name, struct cursor rest, struct str out[BATCH])
{
    size_t max = a->expected < BATCH ? a->expected : BATCH, count = 0;
    out[count++] = name;
    enum entry_kind kind;
    for (size_t seen = 1; seen < BATCH && count < max && cursor_next(&rest, &name, &kind); seen++) {
        if (kind == ENTRY_FILE)
            out[count++] = name;
    }
    return count;
}

static bool fill(struct ahead *a, struct str name, const struct cursor *rest)
{
    struct str names[BATCH];
    size_t count = a->expected < BATCH_MIN ? 0 : gather(a, name, *rest, names);
    batch_unref(a->batch);
    a->batch = NULL;
    if (count < BATCH_MIN) {
        a->expected = 0; /* nor look again at each of the few */
        return false;
    }
    struct batch *b = a->batch = batch_new(a);
    for (size_t i = 0; i < count; i++)
        b->items[i].name = names[i];
    b->count = count;
    a->at = 0;
    a->expected -= count;
    batch_run(b);
    return true;
}

/* Items are asked for in their order; some may be passed over. */
static const struct item *find(struct ahead *a, struct str name)
{
    struct batch *b = a->batch;
    while (b && a->at < b->count && b->items[a->at].name.ptr != name.ptr)
        a->at++;
    return b && a->at < b->count ? &b->items[a->at++] : NULL;
}

int ahead_read(struct ahead *a, struct str name, const struct cursor *rest, const char *xattr_name, struct vfs_attr *out,
               struct buf *out_value)
{
    if (strcmp(a->xattr_name, xattr_name) != 0)
        return -EAGAIN;
    const struct item *it = find(a, name);
    if (!it && fill(a, name, rest))
        it = find(a, name);
    if (!it)
        return -EAGAIN;
    if (it->result == 0) {
        *out = it->attr;
        buf_add(out_value, str_of(it->value, it->value_size));
    }
    return it->result;
}
