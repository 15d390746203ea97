#include "gateway/workers.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/mutex.h"

struct worker {
    struct gw_workers *pool;
    pthread_t thread;
    struct list idle_link;
    struct cond wake;
    bool woken, running; /* guarded by the pool's lock */
};

struct gw_workers {
    struct mutex lock; /* guards what follows */
    struct list jobs;
    atomic_size_t job_count; /* read without the lock too */
    /* The worker that went idle last comes first: its caches are warm, and the others may sleep on. */
    struct list idle;
    uint32_t running; /* workers with a job */
    bool waking; /* a worker was woken and has not looked for a job yet */
    bool stopping;

    size_t queue_max;
    struct metric *wait;
    uint32_t count, cores;
    struct worker *workers;
};

static _Thread_local struct worker *current;

bool gw_worker_is_current(void)
{
    return current != NULL;
}

/* Whom to wake, now that there is a job, or NULL. One at a time: who comes awake wakes the next one if there are jobs left
 * then. Short jobs are so done by a few busy workers, without a switch of threads for each; long ones get all the workers
 * there are. The lock is held; the caller signals when it has released it, so that nobody wakes up into a held lock. */
static struct worker *choose_waker(struct gw_workers *w)
{
    if (w->waking || list_empty(&w->jobs) || list_empty(&w->idle))
        return NULL;
    struct worker *who = list_entry(list_pop_front(&w->idle), struct worker, idle_link);
    who->woken = true;
    w->waking = true;
    return who;
}

static void sleep_idle(struct worker *me)
{
    list_push_front(&me->pool->idle, &me->idle_link);
    me->woken = false;
    while (!me->woken)
        cond_wait(&me->wake, &me->pool->lock);
    me->pool->waking = false;
}

/* The lock is held. */
static void set_running(struct worker *me, bool running)
{
    me->pool->running += (uint32_t)running - (uint32_t)me->running;
    me->running = running;
}

static struct gw_job *next_job(struct worker *me)
{
    struct gw_workers *w = me->pool;
    mutex_lock(&w->lock);
    set_running(me, false);
    while (list_empty(&w->jobs) && !w->stopping)
        sleep_idle(me);
    struct list *link = list_pop_front(&w->jobs);
    if (link) {
        w->job_count--;
        set_running(me, true);
    }
    struct worker *who = choose_waker(w);
    mutex_unlock(&w->lock);
    if (who)
        cond_signal(&who->wake);
    return link ? list_entry(link, struct gw_job, link) : NULL;
}

static void *worker_main(void *arg)
{
    struct worker *me = arg;
    current = me;
    for (struct gw_job *j; (j = next_job(me)) != NULL;) {
        uint64_t waited_ns = clock_mono_ns() - j->queued_ns;
        metric_observe_ns(me->pool->wait, waited_ns);
        j->run(j, waited_ns);
    }
    return NULL;
}

/* The lock is held; returns whom to signal without it, or NULL. */
static struct worker *enqueue(struct gw_workers *w, struct gw_job *j)
{
    list_push_back(&w->jobs, &j->link);
    w->job_count++;
    return choose_waker(w);
}

void gw_workers_submit(struct gw_workers *w, struct gw_job *j)
{
    j->queued_ns = clock_mono_ns();
    mutex_lock(&w->lock);
    struct worker *who = enqueue(w, j);
    mutex_unlock(&w->lock);
    if (who)
        cond_signal(&who->wake);
}

/* Two calls at once */

struct pair {
    struct gw_job job;
    void (*other)(void *);
    void *arg;
    struct worker *owner; /* waits for it, on its own `wake`: one that runs is not idle */
    bool over;            /* guarded by the pool's lock */
};

static void run_other(struct gw_job *j, uint64_t waited_ns)
{
    struct pair *p = container_of(j, struct pair, job);
    struct worker *owner = p->owner;
    (void)waited_ns;
    p->other(p->arg);
    mutex_lock(&owner->pool->lock);
    p->over = true; /* and gone, once the lock is released */
    set_running(current, false); /* soon to be back: the next call may already count on it */
    mutex_unlock(&owner->pool->lock);
    cond_signal(&owner->wake);
}

static bool has_core_left(const struct gw_workers *w)
{
    return w->running < w->cores && list_empty(&w->jobs);
}

/* Whether somebody may take it. */
static bool offer(struct gw_workers *w, struct pair *p)
{
    struct worker *who = NULL;
    p->job.queued_ns = clock_mono_ns();
    mutex_lock(&w->lock);
    bool is_offered = has_core_left(w);
    if (is_offered)
        who = enqueue(w, &p->job);
    mutex_unlock(&w->lock);
    if (who)
        cond_signal(&who->wake);
    return is_offered;
}

/* Waits until it is over; false: nobody has begun it, nor will. */
static bool settle(struct gw_workers *w, struct pair *p)
{
    mutex_lock(&w->lock);
    bool is_taken = list_empty(&p->job.link);
    if (!is_taken) {
        list_remove(&p->job.link);
        w->job_count--;
    }
    while (is_taken && !p->over)
        cond_wait(&p->owner->wake, &w->lock);
    mutex_unlock(&w->lock);
    return is_taken;
}

void gw_workers_both(void (*mine)(void *), void (*other)(void *), void *arg)
{
    CHECK(current != NULL);
    struct gw_workers *w = current->pool;
    struct pair p = {.job.run = run_other, .other = other, .arg = arg, .owner = current};
    bool is_offered = offer(w, &p);
    mine(arg);
    if (!is_offered || !settle(w, &p))
        other(arg);
}

bool gw_workers_busy(struct gw_workers *w)
{
    return atomic_load_explicit(&w->job_count, memory_order_relaxed) >= w->queue_max;
}

static double read_depth(void *data)
{
    struct gw_workers *w = data;
    return (double)atomic_load_explicit(&w->job_count, memory_order_relaxed);
}

static void show_depth(double (*read)(void *), struct gw_workers *w)
{
    metric_callback(METRIC_GAUGE, "sluice_worker_queue_depth", "", "Steps of requests that wait for a worker.", read, w);
}

struct gw_workers *gw_workers_start(uint32_t count, size_t queue_max, uint32_t cores)
{
    CHECK(count > 0);
    struct gw_workers *w = calloc(1, sizeof(*w));
    CHECK(w != NULL); /* out of memory */
    w->workers = calloc(count, sizeof(*w->workers));
    CHECK(w->workers != NULL); /* out of memory */
    w->count = count;
    w->cores = cores;
    w->queue_max = queue_max;
    mutex_init(&w->lock);
    list_init(&w->jobs);
    list_init(&w->idle);
    w->wait = metric_get(METRIC_HISTOGRAM, "sluice_worker_queue_wait_seconds", "", "Time that steps waited for a worker.");
    show_depth(read_depth, w);
    for (uint32_t i = 0; i < count; i++) {
        struct worker *me = &w->workers[i];
        me->pool = w;
        list_init(&me->idle_link);
        cond_init(&me->wake);
        char name[16];
        (void)snprintf(name, sizeof(name), "worker-%u", (unsigned)i % 10000);
        thread_start(&me->thread, name, worker_main, me);
    }
    return w;
}

void gw_workers_stop(struct gw_workers *w)
{
    if (!w)
        return;
    mutex_lock(&w->lock);
    w->stopping = true;
    for (struct list *link; (link = list_pop_front(&w->idle)) != NULL;) {
        struct worker *who = list_entry(link, struct worker, idle_link);
        who->woken = true;
        cond_signal(&who->wake);
    }
    mutex_unlock(&w->lock);
    for (uint32_t i = 0; i < w->count; i++)
        CHECK(pthread_join(w->workers[i].thread, NULL) == 0);
    show_depth(NULL, w);
    for (uint32_t i = 0; i < w->count; i++)
        cond_done(&w->workers[i].wake);
    mutex_done(&w->lock);
    free(w->workers);
    free(w);
}
