/* flock(2) and record locks. The metadata never waits; who has to is queued here and tried again by one thread, at once when
 * a lock of this mount goes, and in growing intervals for locks of other clients. The threads that serve the device never
 * wait for a lock, for they are needed to take it away. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

#include "base/check.h"
#include "vfs/fuse/fuse_internal.h"

#define INO(ino) ((unsigned long long)(ino))

struct waiter {
    struct list link;
    struct vfuse_call call;
    int device; /* that the answer goes through */
    meta_ino ino;
    uint64_t owner;
    char flock_type; /* 0: a record lock */
    struct meta_range_lock range;
};

struct vfuse_waiters {
    struct vfuse *v;
    struct mutex lock; /* guards the rest; leaf */
    struct cond wake;
    struct list queue;
    bool woken, stopping;
    pthread_t thread;
};

static int try(struct vfuse *v, const struct waiter *w)
{
    return w->flock_type ? meta_flock(v->meta, w->ino, w->owner, w->flock_type)
                         : meta_setlk(v->meta, w->ino, w->owner, &w->range);
}

static void finish(struct waiter *w, int r)
{
    vfuse_device = w->device;
    vfuse_answer(&w->call, r);
    vfuse_end(&w->call, r, "(%llu,%016llX)", INO(w->ino), (unsigned long long)w->owner);
    free(w);
}

/* Tries all that are queued; those that still have to wait go back. Returns how many got what they wanted. */
static size_t try_all(struct vfuse_waiters *t)
{
    struct list now;
    list_init(&now);
    mutex_lock(&t->lock);
    for (struct list *it; (it = list_pop_front(&t->queue)) != NULL;)
        list_push_back(&now, it);
    mutex_unlock(&t->lock);
    size_t done = 0;
    for (struct list *it; (it = list_pop_front(&now)) != NULL;) {
        struct waiter *w = list_entry(it, struct waiter, link);
        int r = fuse_req_interrupted(w->call.request) ? -EINTR : try(t->v, w);
        if (r == -EAGAIN) {
            mutex_lock(&t->lock);
            list_push_back(&t->queue, it);
            mutex_unlock(&t->lock);
        } else {
            finish(w, r);
            done++;
        }
    }
    return done;
}

static void *wait_for_locks(void *arg)
{
    struct vfuse_waiters *t = arg;
    uint64_t pause_ms = LIMIT_FUSE_LOCK_POLL_MIN_MS;
    for (;;) {
        mutex_lock(&t->lock);
        while (!t->stopping && list_empty(&t->queue))
            cond_wait(&t->wake, &t->lock);
        if (!t->stopping && !t->woken)
            (void)cond_wait_ms(&t->wake, &t->lock, pause_ms); /* either way it is time to look */
        bool stop = t->stopping, woken = t->woken;
        t->woken = false;
        mutex_unlock(&t->lock);
        if (stop)
            return NULL;
        size_t done = try_all(t);
        pause_ms = done > 0 || woken ? LIMIT_FUSE_LOCK_POLL_MIN_MS : pause_ms * 2;
        if (pause_ms > LIMIT_FUSE_LOCK_POLL_MAX_MS)
            pause_ms = LIMIT_FUSE_LOCK_POLL_MAX_MS;
    }
}

struct vfuse_waiters *vfuse_waiters_new(struct vfuse *v)
{
    struct vfuse_waiters *t = calloc(1, sizeof(*t));
    CHECK(t != NULL); /* out of memory */
    t->v = v;
    mutex_init(&t->lock);
    cond_init(&t->wake);
    list_init(&t->queue);
    thread_start(&t->thread, "fuse-locks", wait_for_locks, t);
    return t;
}

void vfuse_waiters_free(struct vfuse_waiters *t)
{
    if (!t)
        return;
    mutex_lock(&t->lock);
    t->stopping = true;
    cond_signal(&t->wake);
    mutex_unlock(&t->lock);
    CHECK(pthread_join(t->thread, NULL) == 0);
    for (struct list *it; (it = list_pop_front(&t->queue)) != NULL;)
        finish(list_entry(it, struct waiter, link), -EINTR);
    cond_done(&t->wake);
    mutex_done(&t->lock);
    free(t);
}

void vfuse_waiters_wake(struct vfuse *v)
{
    struct vfuse_waiters *t = v->waiters;
    mutex_lock(&t->lock);
    t->woken = !list_empty(&t->queue);
    if (t->woken)
        cond_signal(&t->wake);
    mutex_unlock(&t->lock);
}

/* Takes it, or queues for it. */
static void lock_or_wait(const struct waiter *what, bool sleep)
{
    struct vfuse *v = what->call.v;
    int r = try(v, what);
    if (r == -EAGAIN && sleep) {
        struct waiter *w = malloc(sizeof(*w));
        CHECK(w != NULL); /* out of memory */
        *w = *what;
        list_init(&w->link);
        w->device = vfuse_device;
        mutex_lock(&v->waiters->lock);
        list_push_back(&v->waiters->queue, &w->link);
        cond_signal(&v->waiters->wake);
        mutex_unlock(&v->waiters->lock);
        return;
    }
    bool unlocked = what->flock_type ? what->flock_type == 'U' : what->range.type == F_UNLCK;
    if (unlocked)
        vfuse_waiters_wake(v);
    vfuse_answer(&what->call, r);
    vfuse_end(&what->call, r, "(%llu,%016llX)", INO(what->ino), (unsigned long long)what->owner);
}

void vfuse_op_flock(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi, int op)
{
    int kind = op & ~LOCK_NB;
    const struct waiter w = {
        .call = vfuse_begin(request, VFUSE_FLOCK),
        .ino = ino,
        .owner = fi->lock_owner,
        .flock_type = kind == LOCK_UN ? 'U' : kind == LOCK_SH ? 'R' : 'W',
    };
    if (vfuse_virtual_by_ino(ino))
        vfuse_answer(&w.call, -EBADF);
    else
        lock_or_wait(&w, !(op & LOCK_NB));
}

static struct meta_range_lock range_of(const struct flock *lock)
{
    return (struct meta_range_lock){
        .type = lock->l_type,
        .start = (uint64_t)lock->l_start,
        .end = lock->l_len == 0 ? INT64_MAX : (uint64_t)(lock->l_start + lock->l_len - 1),
        .pid = (uint32_t)lock->l_pid,
    };
}

void vfuse_op_setlk(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock, int sleep)
{
    const struct waiter w = {
        .call = vfuse_begin(request, VFUSE_SETLK),
        .ino = ino,
        .owner = fi->lock_owner,
        .range = range_of(lock),
    };
    if (vfuse_virtual_by_ino(ino)) {
        vfuse_answer(&w.call, -EBADF);
        return;
    }
    struct vfuse_node *n = vfuse_node_find(w.call.v, ino);
    if (n)
        atomic_store(&n->posix_locks, true);
    vfuse_node_unref(n);
    lock_or_wait(&w, sleep != 0);
}

void vfuse_op_getlk(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_GETLK);
    struct meta_range_lock range = range_of(lock);
    int r = meta_getlk(c.v->meta, ino, fi->lock_owner, &range);
    if (r == 0) {
        lock->l_type = range.type;
        lock->l_whence = SEEK_SET;
        lock->l_start = (off_t)range.start;
        lock->l_len = range.end >= INT64_MAX ? 0 : (off_t)(range.end - range.start + 1);
        lock->l_pid = (pid_t)range.pid;
        (void)(vfuse_may_answer(&c) && fuse_reply_lock(request, lock)); /* interrupted or not */
    } else {
        vfuse_answer(&c, r);
    }
    vfuse_end(&c, r, "(%llu,%016llX)", INO(ino), (unsigned long long)fi->lock_owner);
}
