#include "vfs/pool.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mutex.h"

struct vfs_pool {
    struct mutex lock; /* guards what follows, until `threads` */
    struct cond wake;
    struct list jobs;
    uint64_t depth;
    uint32_t running;
    bool stopping;

    uint32_t count;
    pthread_t threads[];
};

static struct vfs_job *next_job(struct vfs_pool *p)
{
    mutex_lock(&p->lock);
    while (list_empty(&p->jobs) ? !p->stopping : p->running == p->count)
        cond_wait(&p->wake, &p->lock);
    struct list *link = list_pop_front(&p->jobs);
    if (link) {
        p->depth--;
        p->running++;
    }
    mutex_unlock(&p->lock);
    return link ? list_entry(link, struct vfs_job, link) : NULL;
}

static void run(struct vfs_pool *p, struct vfs_job *job)
{
    job->run(job);
    mutex_lock(&p->lock);
    p->running--;
    if (!list_empty(&p->jobs))
        cond_signal(&p->wake);
    mutex_unlock(&p->lock);
}

static void *pool_main(void *arg)
{
    for (struct vfs_job *job; (job = next_job(arg)) != NULL;)
        run(arg, job);
    return NULL;
}

struct vfs_pool *vfs_pool_start(const char *name, uint32_t threads)
{
    struct vfs_pool *p = calloc(1, sizeof(*p) + threads * sizeof(pthread_t));
    CHECK(p != NULL && threads > 0);
    mutex_init(&p->lock);
    cond_init(&p->wake);
    list_init(&p->jobs);
    p->count = threads;
    for (uint32_t i = 0; i < threads; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "%.10s-%u", name, (unsigned)i % 1000);
        thread_start(&p->threads[i], text, pool_main, p);
    }
    return p;
}

void vfs_pool_stop(struct vfs_pool *p)
{
    if (!p)
        return;
    mutex_lock(&p->lock);
    p->stopping = true;
    cond_broadcast(&p->wake);
    mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->count; i++)
        CHECK(pthread_join(p->threads[i], NULL) == 0);
    CHECK(list_empty(&p->jobs));
    cond_done(&p->wake);
    mutex_done(&p->lock);
    free(p);
}

void vfs_pool_submit(struct vfs_pool *p, struct vfs_job *job)
{
    mutex_lock(&p->lock);
    CHECK(!p->stopping);
    list_push_back(&p->jobs, &job->link);
    p->depth++;
    cond_signal(&p->wake);
    mutex_unlock(&p->lock);
}

void vfs_pool_run(struct vfs_pool *p, struct vfs_job *job)
{
    mutex_lock(&p->lock);
    bool is_idle = list_empty(&p->jobs) && p->running < p->count;
    if (is_idle)
        p->running++;
    mutex_unlock(&p->lock);
    if (is_idle)
        run(p, job);
    else
        vfs_pool_submit(p, job);
}

uint64_t vfs_pool_depth(struct vfs_pool *p)
{
    mutex_lock(&p->lock);
    uint64_t depth = p->depth;
    mutex_unlock(&p->lock);
    return depth;
}
