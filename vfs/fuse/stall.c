/* Requests that take long, because the object store or the database does, and whose program has been told to stop by a signal:
 * they are answered with EINTR while their thread goes on waiting. Not at once, since many a program is sent signals all the
 * time and does not expect EINTR of a file (Go's runtime; official clients wait a second, too).
 *
 * Each thread that serves the device has a slot with the request it is at; who takes the request out of it answers it. */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "vfs/fuse/fuse_internal.h"

#define TICK_MS 250

struct slot {
    struct mutex lock; /* guards the request, which is not answered while it is here; leaf */
    fuse_req_t request;
    uint64_t started_ms;
    int device;
};

struct vfuse_stalls {
    struct slot *slots;
    size_t count;
    struct mutex lock;
    struct cond stop;
    bool stopping;
    pthread_t thread;
};

static _Thread_local struct slot *own;

void vfuse_stall_attach(struct vfuse_stalls *t, size_t index)
{
    CHECK(index < t->count);
    own = &t->slots[index];
    own->device = vfuse_device;
}

/* Who waits for a lock is answered by another thread, which looks for interruptions itself. */
static bool has_slot(const struct vfuse_call *c)
{
    return own && c->op != VFUSE_SETLK && c->op != VFUSE_FLOCK;
}

void vfuse_stall_begin(const struct vfuse_call *c)
{
    if (!has_slot(c))
        return;
    mutex_lock(&own->lock);
    own->request = c->request;
    own->started_ms = c->started_ns / 1000000;
    mutex_unlock(&own->lock);
}

bool vfuse_may_answer(const struct vfuse_call *c)
{
    if (!has_slot(c))
        return true;
    mutex_lock(&own->lock);
    bool may = own->request == c->request;
    own->request = NULL;
    mutex_unlock(&own->lock);
    return may;
}

static void look_at(struct slot *s, uint64_t now_ms)
{
    mutex_lock(&s->lock);
    if (s->request && now_ms - s->started_ms >= LIMIT_FUSE_INTERRUPT_MS && fuse_req_interrupted(s->request)) {
        vfuse_device = s->device;
        (void)fuse_reply_err(s->request, EINTR); /* unmounted meanwhile */
        s->request = NULL;
    }
    mutex_unlock(&s->lock);
}

static void *watch(void *arg)
{
    struct vfuse_stalls *t = arg;
    mutex_lock(&t->lock);
    while (!t->stopping) {
        (void)cond_wait_ms(&t->stop, &t->lock, TICK_MS); /* either way it is time to look */
        for (size_t i = 0; i < t->count; i++)
            look_at(&t->slots[i], clock_mono_ms());
    }
    mutex_unlock(&t->lock);
    return NULL;
}

struct vfuse_stalls *vfuse_stalls_new(size_t threads)
{
    struct vfuse_stalls *t = calloc(1, sizeof(*t));
    CHECK(t != NULL); /* out of memory */
    t->count = threads;
    t->slots = calloc(threads, sizeof(*t->slots));
    CHECK(t->slots != NULL); /* out of memory */
    for (size_t i = 0; i < threads; i++)
        mutex_init(&t->slots[i].lock);
    mutex_init(&t->lock);
    cond_init(&t->stop);
    thread_start(&t->thread, "fuse-stalls", watch, t);
    return t;
}

void vfuse_stalls_free(struct vfuse_stalls *t)
{
    mutex_lock(&t->lock);
    t->stopping = true;
    cond_signal(&t->stop);
    mutex_unlock(&t->lock);
    CHECK(pthread_join(t->thread, NULL) == 0);
    for (size_t i = 0; i < t->count; i++)
        mutex_done(&t->slots[i].lock);
    cond_done(&t->stop);
    mutex_done(&t->lock);
    free(t->slots);
    free(t);
}
