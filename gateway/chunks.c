#include "gateway/chunks.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/metrics.h"
#include "base/mutex.h"

/* Below this a handful of requests would wait for each other all the time. */
#define COUNT_MIN 64

struct gw_chunks {
    struct chunk_pool *pool;
    struct mutex lock; /* guards waiters, and makes "none free, so wait" one step */
    struct list waiters;
    struct metric *waits;
};

static double read_in_use(void *data)
{
    return (double)chunk_pool_in_use(((struct gw_chunks *)data)->pool) * CHUNK_SIZE;
}

static double read_max(void *data)
{
    return (double)chunk_pool_max(((struct gw_chunks *)data)->pool) * CHUNK_SIZE;
}

static void show(struct gw_chunks *p, double (*in_use)(void *), double (*max)(void *))
{
    metric_callback(METRIC_GAUGE, "sluice_chunk_memory_used_bytes", "", "Object bytes in flight.", in_use, p);
    metric_callback(METRIC_GAUGE, "sluice_chunk_memory_limit_bytes", "", "Memory for object bytes in flight.", max, p);
}

struct gw_chunks *gw_chunks_new(uint64_t memory)
{
    struct gw_chunks *p = calloc(1, sizeof(*p));
    CHECK(p != NULL); /* out of memory */
    size_t count = (size_t)(memory / CHUNK_SIZE);
    p->pool = chunk_pool_new(count < COUNT_MIN ? COUNT_MIN : count);
    mutex_init(&p->lock);
    list_init(&p->waiters);
    p->waits = metric_get(METRIC_COUNTER, "sluice_chunk_waits_total", "",
                          "Times that a request waited because all chunk memory was in use.");
    show(p, read_in_use, read_max);
    return p;
}

void gw_chunks_free(struct gw_chunks *p)
{
    if (!p)
        return;
    CHECK(list_empty(&p->waiters));
    show(p, NULL, NULL);
    chunk_pool_free(p->pool);
    mutex_done(&p->lock);
    free(p);
}

static void deliver(struct gw_message *m)
{
    struct gw_chunk_waiter *w = container_of(m, struct gw_chunk_waiter, message);
    struct chunk *c = w->chunk;
    w->chunk = NULL;
    w->got(w, c);
}

struct chunk *gw_chunks_get(struct gw_chunks *p, struct gw_chunk_waiter *w)
{
    mutex_lock(&p->lock);
    struct chunk *c = list_empty(&p->waiters) ? chunk_get(p->pool) : NULL;
    if (!c) {
        w->message.run = deliver;
        list_push_back(&p->waiters, &w->link);
    }
    mutex_unlock(&p->lock);
    if (!c)
        metric_add(p->waits, 1);
    return c;
}

struct chunk *gw_chunks_try(struct gw_chunks *p)
{
    mutex_lock(&p->lock);
    struct chunk *c = list_empty(&p->waiters) ? chunk_get(p->pool) : NULL;
    mutex_unlock(&p->lock);
    return c;
}

void gw_chunks_put(struct gw_chunks *p, struct chunk *c)
{
    mutex_lock(&p->lock);
    struct list *link = list_pop_front(&p->waiters);
    if (!link)
        chunk_put(p->pool, c);
    mutex_unlock(&p->lock);
    if (!link)
        return;
    struct gw_chunk_waiter *w = list_entry(link, struct gw_chunk_waiter, link);
    c->start = c->end = 0;
    w->chunk = c;
    gw_post(w->loop, &w->message);
}

uint32_t gw_chunks_share(const struct gw_chunks *p)
{
    size_t used = chunk_pool_in_use(p->pool), max = chunk_pool_max(p->pool);
    if (used < max / 2)
        return LIMIT_CHUNKS_PER_DIRECTION;
    return used < max / 4 * 3 ? 2 : 1;
}
