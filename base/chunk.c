/* Where a chunk can be: in use; `warm` (free, its pages are likely resident, the last one returned in front); `cold`
 * (free, pages given back); or past `fresh_next` (never used, no pages yet). chunk_get prefers them in that order, so
 * that the working set is as small as the load allows. Chunks that stayed at the warm list's end for a whole period
 * were not needed by it and become cold. */
#include "base/chunk.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mutex.h"

#define IDLE_PERIOD_MS 1000
/* Not worth a system call: this many chunks stay warm for the next burst. */
#define WARM_KEPT 16
/* Bounds the time under the lock; what is left over is cooled by the next calls. */
#define COOL_STEP 8

struct chunk_pool {
    char *data;
    struct chunk *chunks; /* chunks[i].data is data + i * CHUNK_SIZE */
    size_t count_max;
    atomic_size_t in_use; /* written under the lock */

    struct mutex lock; /* guards what follows */
    struct list warm;
    struct list cold;
    size_t fresh_next;
    size_t warm_count;
    size_t warm_min; /* the least of warm_count in this period */
    size_t to_cool;  /* decided at the end of the last period */
    uint64_t period_end_ms;
};

struct chunk_pool *chunk_pool_new(size_t count_max)
{
    CHECK(count_max > 0 && count_max <= SIZE_MAX / CHUNK_SIZE);
    struct chunk_pool *p = calloc(1, sizeof(*p));
    CHECK(p != NULL); /* out of memory */
    p->chunks = calloc(count_max, sizeof(*p->chunks));
    CHECK(p->chunks != NULL); /* out of memory */
    p->data =
        mmap(NULL, count_max * CHUNK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(p->data != MAP_FAILED); /* out of address space */
    p->count_max = count_max;
    list_init(&p->warm);
    list_init(&p->cold);
    p->period_end_ms = clock_mono_ms() + IDLE_PERIOD_MS;
    mutex_init(&p->lock);
    return p;
}

void chunk_pool_free(struct chunk_pool *p)
{
    if (!p)
        return;
    CHECK(chunk_pool_in_use(p) == 0);
    mutex_done(&p->lock);
    CHECK(munmap(p->data, p->count_max * CHUNK_SIZE) == 0);
    free(p->chunks);
    free(p);
}

static struct chunk *take_free(struct chunk_pool *p)
{
    struct list *link = list_pop_front(&p->warm);
    if (link) {
        p->warm_count--;
        if (p->warm_count < p->warm_min)
            p->warm_min = p->warm_count;
        return list_entry(link, struct chunk, link);
    }
    link = list_pop_front(&p->cold);
    if (link)
        return list_entry(link, struct chunk, link);
    if (p->fresh_next == p->count_max)
        return NULL;
    struct chunk *c = &p->chunks[p->fresh_next];
    c->data = p->data + p->fresh_next * CHUNK_SIZE;
    list_init(&c->link);
    p->fresh_next++;
    return c;
}

struct chunk *chunk_get(struct chunk_pool *p)
{
    mutex_lock(&p->lock);
    struct chunk *c = take_free(p);
    if (c)
        atomic_fetch_add_explicit(&p->in_use, 1, memory_order_relaxed);
    mutex_unlock(&p->lock);
    if (!c)
        return NULL;
    c->start = c->end = 0;
    return c;
}

static void period_tick(struct chunk_pool *p)
{
    uint64_t now_ms = clock_mono_ms();
    if (now_ms < p->period_end_ms)
        return;
    p->to_cool = p->warm_min > WARM_KEPT ? p->warm_min - WARM_KEPT : 0;
    p->warm_min = p->warm_count;
    p->period_end_ms = now_ms + IDLE_PERIOD_MS;
}

static void cool_some(struct chunk_pool *p)
{
    for (int i = 0; i < COOL_STEP && p->to_cool > 0 && p->warm_count > WARM_KEPT; i++) {
        struct list *link = p->warm.prev;
        struct chunk *c = list_entry(link, struct chunk, link);
        list_remove(link);
        list_push_back(&p->cold, link);
        p->to_cool--;
        p->warm_count--;
        if (p->warm_count < p->warm_min)
            p->warm_min = p->warm_count;
        CHECK(madvise(c->data, CHUNK_SIZE, MADV_DONTNEED) == 0);
    }
}

void chunk_put(struct chunk_pool *p, struct chunk *c)
{
    CHECK(c >= p->chunks && c < p->chunks + p->count_max);
    mutex_lock(&p->lock);
    CHECK(list_empty(&c->link)); /* neither returned before nor still in somebody's queue */
    list_push_front(&p->warm, &c->link);
    p->warm_count++;
    atomic_fetch_sub_explicit(&p->in_use, 1, memory_order_relaxed);
    period_tick(p);
    cool_some(p);
    mutex_unlock(&p->lock);
}

size_t chunk_pool_in_use(const struct chunk_pool *p)
{
    return atomic_load_explicit(&p->in_use, memory_order_relaxed);
}

size_t chunk_pool_max(const struct chunk_pool *p)
{
    return p->count_max;
}
