#include "gateway/chunks.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/metrics.h"
#include "base/mutex.h"

/* Below this a handful of requests would wait for each other all the time. */
#define COUNT_MIN 64
#define SPARES 8

/* One line of the processor's cache each. */
struct spare {
    alignas(64) _Atomic(struct chunk *) chunk;
};

struct gw_chunks {
    struct spare spares[SPARES];
    struct chunk_pool *pool; /* for which spares are in use */
    struct mutex lock; /* guards waiters, and makes "none free, so wait" one step */
    struct list waiters;
    atomic_size_t waiting; /* how many; written under the lock */
    atomic_size_t kept;    /* by requests, until they are over */
    struct metric *waits;
};

static double read_in_use(void *data)
{
    const struct gw_chunks *p = data;
    size_t used = chunk_pool_in_use(p->pool);
    for (size_t i = 0; i < SPARES && used > 0; i++)
        used -= atomic_load(&p->spares[i].chunk) != NULL;
    return (double)used * CHUNK_SIZE;
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

static struct chunk *steal(struct gw_chunks *p)
{
    struct chunk *c = NULL;
    for (size_t i = 0; i < SPARES && !c; i++)
        c = atomic_exchange(&p->spares[i].chunk, NULL);
    return c;
}

struct gw_chunks *gw_chunks_new(uint64_t memory)
{
    struct gw_chunks *p = aligned_alloc(alignof(struct gw_chunks), sizeof(*p));
    CHECK(p != NULL); /* out of memory */
    memset(p, 0, sizeof(*p));
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
    CHECK(atomic_load(&p->kept) == 0);
    show(p, NULL, NULL);
    for (struct chunk *c; (c = steal(p)) != NULL;)
        chunk_put(p->pool, c);
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

/* The spare chunk of the calling thread, while nobody waits. */
static struct chunk *take_spare(struct gw_chunks *p)
{
    return atomic_load(&p->waiting) == 0 ? atomic_exchange(&p->spares[thread_number() % SPARES].chunk, NULL) : NULL;
}

/* Whoever comes to wait meanwhile has either counted itself before the last look here, or looks at the spares after it. */
static bool keep_spare(struct gw_chunks *p, struct chunk **c)
{
    struct chunk *none = NULL;
    _Atomic(struct chunk *) *spare = &p->spares[thread_number() % SPARES].chunk;
    if (atomic_load(&p->waiting) > 0 || !atomic_compare_exchange_strong(spare, &none, *c))
        return false;
    if (atomic_load(&p->waiting) == 0)
        return true;
    *c = atomic_exchange(spare, NULL);
    return *c == NULL;
}

/* The lock is held. */
static struct chunk *get_locked(struct gw_chunks *p)
{
    if (!list_empty(&p->waiters))
        return NULL;
    struct chunk *c = chunk_get(p->pool);
    return c ? c : steal(p);
}

struct chunk *gw_chunks_get(struct gw_chunks *p, struct gw_chunk_waiter *w)
{
    struct chunk *c = take_spare(p);
    if (c)
        return c;
    mutex_lock(&p->lock);
    atomic_fetch_add(&p->waiting, 1);
    c = get_locked(p);
    if (c) {
        atomic_fetch_sub(&p->waiting, 1);
    } else {
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
    struct chunk *c = take_spare(p);
    if (c)
        return c;
    mutex_lock(&p->lock);
    c = get_locked(p);
    mutex_unlock(&p->lock);
    return c;
}

void gw_chunks_put(struct gw_chunks *p, struct chunk *c)
{
    CHECK(list_empty(&c->link)); /* still in somebody's queue */
    c->start = c->end = 0;
    if (keep_spare(p, &c))
        return;
    mutex_lock(&p->lock);
    struct list *link = list_pop_front(&p->waiters);
    if (link)
        atomic_fetch_sub(&p->waiting, 1);
    else
        chunk_put(p->pool, c);
    mutex_unlock(&p->lock);
    if (!link)
        return;
    struct gw_chunk_waiter *w = list_entry(link, struct gw_chunk_waiter, link);
    w->chunk = c;
    gw_post(w->loop, &w->message);
}

struct chunk *gw_chunks_try_keep(struct gw_chunks *p)
{
    bool may_keep = atomic_fetch_add(&p->kept, 1) < chunk_pool_max(p->pool) / 2;
    struct chunk *c = may_keep ? gw_chunks_try(p) : NULL;
    if (!c)
        atomic_fetch_sub(&p->kept, 1);
    return c;
}

void gw_chunks_put_kept(struct gw_chunks *p, struct chunk *c)
{
    atomic_fetch_sub(&p->kept, 1);
    gw_chunks_put(p, c);
}

uint32_t gw_chunks_share(const struct gw_chunks *p, uint32_t most)
{
    size_t used = chunk_pool_in_use(p->pool), quarter = chunk_pool_max(p->pool) / 4;
    uint32_t share = LIMIT_CHUNKS_IN;
    for (; share > 1 && used >= quarter; used -= quarter)
        share /= 2;
    return share < most ? share : most;
}
