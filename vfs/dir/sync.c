#include "vfs/dir/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/list.h"
#include "base/metrics.h"
#include "base/mutex.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/* Descriptors of one batch. */
#define BATCH_MAX 256
/* From here on writeback is started everywhere before the first wait, so that the device sees it all at once. */
#define BATCH_WRITEBACK_MIN 4
/* From here on one syncfs is cheaper than an fsync each (measured on ext4: 3 to 8 times). */
#define BATCH_SYNCFS_MIN 8
/* syncfs also waits for what others write. When it took this long, it is left alone for a while. */
#define SYNCFS_SLOW_NS (100 * 1000 * 1000ull)
#define SYNCFS_PAUSE_NS (1000 * 1000 * 1000ull)
/* Files with more data flush it on their own thread, before they join: nobody else waits for it. */
#define FLUSH_ALONE_BYTES (1024 * 1024)

#define FLUSH_START SYNC_FILE_RANGE_WRITE
#define FLUSH_FINISH (SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER)

struct request {
    struct list link;
    const int *fds;
    size_t count;
    int result;
    bool is_done;
};

struct syncer {
    dev_t bulk_dev;
    bool can_bulk; /* syncfs is known to be as good as fsync on bulk_dev */
    struct metric *requests_total, *batches_total;
    struct mutex lock;
    struct cond changed;
    struct list queue;  /* guarded by lock */
    bool has_leader;    /* guarded by lock */
    uint64_t bulk_after_ns; /* the leader's */
};

/* One descriptor of a batch; equal nodes are synced once, through the first of them. */
struct item {
    int fd;
    dev_t dev;
    ino_t ino;
    bool is_dir;
    int result;
    struct request *request;
};

struct syncer *syncer_new(int root_fd)
{
    struct syncer *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->requests_total = metric_get(METRIC_COUNTER, "sluice_dir_sync_requests_total", "",
                                   "Requests to bring files or directories to stable storage.");
    s->batches_total = metric_get(METRIC_COUNTER, "sluice_dir_sync_batches_total", "",
                                  "Groups in which those requests were served.");
    mutex_init(&s->lock);
    cond_init(&s->changed);
    list_init(&s->queue);
    struct stat st;
    struct statfs fs;
    if (fstat(root_fd, &st) == 0 && fstatfs(root_fd, &fs) == 0) {
        /* Elsewhere it may do nothing (FUSE) or was not looked at. */
        s->can_bulk = fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC;
        s->bulk_dev = st.st_dev;
    }
    return s;
}

void syncer_free(struct syncer *s)
{
    if (!s)
        return;
    CHECK(list_empty(&s->queue));
    cond_done(&s->changed);
    mutex_done(&s->lock);
    free(s);
}

static int sync_one(const struct item *it)
{
    if (fsync(it->fd) == 0)
        return 0;
    /* Filesystems whose directories cannot be synced (some network ones) make names durable themselves. */
    if (it->is_dir && (errno == EINVAL || errno == EOPNOTSUPP))
        return 0;
    return -errno;
}

/* Waits for the data. What it reports no later fsync of the descriptor reports again, so it must not be lost. */
static int flush(int fd)
{
    if (sync_file_range(fd, 0, 0, FLUSH_FINISH) == 0)
        return 0;
    bool is_unsupported = errno == EINVAL || errno == ESPIPE || errno == ENOSYS || errno == EOPNOTSUPP;
    return is_unsupported ? 0 : -errno;
}

/* Errors of earlier writeback are reported to whoever waits through the file's own descriptor, hence the wait for each
 * file: syncfs alone would lose them. */
static bool sync_bulk(struct syncer *s, struct item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!items[i].is_dir)
            items[i].result = flush(items[i].fd);
    }
    uint64_t start_ns = clock_mono_ns();
    if (syncfs(items[0].fd) < 0)
        return false;
    uint64_t end_ns = clock_mono_ns();
    if (end_ns - start_ns > SYNCFS_SLOW_NS)
        s->bulk_after_ns = end_ns + SYNCFS_PAUSE_NS;
    return true;
}

static bool may_bulk(const struct syncer *s, const struct item *items, size_t count)
{
    if (!s->can_bulk || count < BATCH_SYNCFS_MIN || clock_mono_ns() < s->bulk_after_ns)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (items[i].dev != s->bulk_dev)
            return false;
    }
    return true;
}

static void sync_unique(struct syncer *s, struct item *items, size_t count)
{
    for (size_t i = 0; i < count && count >= BATCH_WRITEBACK_MIN; i++) {
        if (!items[i].is_dir)
            (void)sync_file_range(items[i].fd, 0, 0, FLUSH_START); /* a head start only; errors show below */
    }
    if (may_bulk(s, items, count) && sync_bulk(s, items, count))
        return;
    for (size_t i = 0; i < count; i++) {
        if (items[i].result == 0)
            items[i].result = sync_one(&items[i]);
    }
}

static int compare_items(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->dev != y->dev)
        return x->dev < y->dev ? -1 : 1;
    return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static bool same_node(const struct item *a, const struct item *b)
{
    return a->dev == b->dev && a->ino == b->ino;
}

/* Sorts, moves the first item of every node to the front and the rest behind; returns the number of nodes. Only
 * directories are shared: a file's pending errors belong to its own descriptors. */
static size_t make_unique(struct item *items, size_t count)
{
    qsort(items, count, sizeof(*items), compare_items);
    size_t unique = 0;
    for (size_t i = 0; i < count; i++) {
        if (unique > 0 && items[i].is_dir && same_node(&items[unique - 1], &items[i]))
            continue;
        struct item it = items[i];
        items[i] = items[unique];
        items[unique++] = it;
    }
    return unique;
}

static void add_items(struct item *items, size_t *count, struct request *q)
{
    for (size_t i = 0; i < q->count; i++) {
        struct stat st;
        if (fstat(q->fds[i], &st) < 0) {
            q->result = -errno;
            return;
        }
        items[(*count)++] = (struct item){
            .fd = q->fds[i], .dev = st.st_dev, .ino = st.st_ino, .is_dir = S_ISDIR(st.st_mode), .request = q};
    }
}

static void sync_batch(struct syncer *s, struct list *batch)
{
    struct item items[BATCH_MAX];
    size_t count = 0;
    list_for_each(it, batch)
        add_items(items, &count, list_entry(it, struct request, link));
    size_t unique = make_unique(items, count);
    sync_unique(s, items, unique);
    for (size_t i = 0; i < count; i++) {
        const struct item *synced = &items[i];
        for (size_t k = 0; k < unique && i >= unique; k++) {
            if (same_node(&items[k], &items[i]))
                synced = &items[k];
        }
        if (synced->result < 0 && items[i].request->result == 0)
            items[i].request->result = synced->result;
    }
}

static void take_batch(struct syncer *s, struct list *batch)
{
    size_t count = 0;
    list_for_each_safe(it, &s->queue) {
        struct request *q = list_entry(it, struct request, link);
        if (count + q->count > BATCH_MAX)
            break;
        count += q->count;
        list_remove(it);
        list_push_back(batch, it);
    }
}

/* The lock is held on entry and return. */
static void lead(struct syncer *s)
{
    struct list batch = LIST_INIT(batch);
    s->has_leader = true;
    take_batch(s, &batch);
    mutex_unlock(&s->lock);
    metric_add(s->batches_total, 1);
    sync_batch(s, &batch);
    mutex_lock(&s->lock);
    s->has_leader = false;
    list_for_each_safe(it, &batch) {
        list_remove(it);
        list_entry(it, struct request, link)->is_done = true;
    }
    cond_broadcast(&s->changed);
}

static int flush_large(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct stat st;
        if (fstat(fds[i], &st) < 0)
            return -errno;
        int r = S_ISREG(st.st_mode) && st.st_size > FLUSH_ALONE_BYTES ? flush(fds[i]) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

int syncer_run(struct syncer *s, const int *fds, size_t count)
{
    CHECK(count <= BATCH_MAX);
    if (count == 0)
        return 0;
    int r = fault_point("vfs.sync");
    if (r == 0)
        r = flush_large(fds, count);
    if (r < 0)
        return r;
    metric_add(s->requests_total, 1);
    struct request q = {.fds = fds, .count = count};
    mutex_lock(&s->lock);
    list_push_back(&s->queue, &q.link);
    while (!q.is_done) {
        if (s->has_leader)
            cond_wait(&s->changed, &s->lock);
        else
            lead(s);
    }
    mutex_unlock(&s->lock);
    return q.result;
}
