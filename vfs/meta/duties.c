/* The thread that works in the background: data of deleted files, long chunks, and once an hour what the whole cluster
 * shares (hourly.c). Its queue is bounded: what does not fit is in the database anyway. */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/random.h"
#include "vfs/meta/upkeep.h"

#define HOUR_MS (3600ull * 1000)

struct duty {
    bool compact; /* else: delete a file's data */
    meta_ino ino;
    uint64_t value; /* chunk index; the file's length */
};

struct meta_duties {
    struct meta *m;
    void (*hourly)(struct meta *m);
    pthread_t thread;
    struct mutex lock; /* of what follows; leaf */
    struct cond more;
    _Atomic bool stop;
    struct duty queue[LIMIT_META_QUEUE]; /* a ring */
    size_t first, count;
};

static bool is_queued(const struct meta_duties *d, const struct duty *wanted)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct duty *q = &d->queue[(d->first + i) % LIMIT_META_QUEUE];
        if (q->compact == wanted->compact && q->ino == wanted->ino && q->value == wanted->value)
            return true;
    }
    return false;
}

static bool enqueue(struct meta_duties *d, const struct duty *wanted)
{
    if (!d)
        return false;
    mutex_lock(&d->lock);
    bool queued = is_queued(d, wanted);
    if (!queued && d->count < LIMIT_META_QUEUE) {
        d->queue[(d->first + d->count++) % LIMIT_META_QUEUE] = *wanted;
        cond_signal(&d->more);
        queued = true;
    }
    mutex_unlock(&d->lock);
    return queued;
}

bool meta_duties_delete_file(struct meta *m, meta_ino ino, uint64_t length)
{
    return enqueue(m->duties, &(struct duty){false, ino, length});
}

bool meta_duties_compact(struct meta *m, meta_ino ino, uint32_t indx)
{
    return m->compact_slice && enqueue(m->duties, &(struct duty){true, ino, indx});
}

bool meta_duties_stopping(struct meta *m)
{
    return m->duties && m->duties->stop;
}

/* Waits for work until the time; false: it came, or it is time to end. */
static bool dequeue(struct meta_duties *d, uint64_t until_ms, struct duty *out)
{
    uint64_t now_ms = clock_mono_ms();
    mutex_lock(&d->lock);
    while (d->count == 0 && !d->stop && now_ms < until_ms) {
        (void)cond_wait_ms(&d->more, &d->lock, until_ms - now_ms); /* the conditions are looked at again */
        now_ms = clock_mono_ms();
    }
    bool found = d->count > 0 && !d->stop;
    if (found) {
        *out = d->queue[d->first];
        d->first = (d->first + 1) % LIMIT_META_QUEUE;
        d->count--;
    }
    mutex_unlock(&d->lock);
    return found;
}

static void work(struct meta *m, const struct duty *duty)
{
    int rc = duty->compact ? meta_compact_chunk(m, duty->ino, (uint32_t)duty->value)
                           : meta_reclaim_file(m, duty->ino, duty->value);
    if (rc < 0)
        log_debug("meta_duty", "ino=%llu rc=%d", (unsigned long long)duty->ino, rc);
}

/* Within 10 %, so that clients that started together part. */
static uint64_t next_hour_ms(void)
{
    return clock_mono_ms() + HOUR_MS * 9 / 10 + random_u64() % (HOUR_MS / 5);
}

static void *run(void *arg)
{
    struct meta_duties *d = arg;
    uint64_t hour_ms = next_hour_ms();
    while (!d->stop) {
        struct duty duty;
        if (dequeue(d, hour_ms, &duty))
            work(d->m, &duty);
        if (!d->stop && clock_mono_ms() >= hour_ms) {
            d->hourly(d->m);
            hour_ms = next_hour_ms();
        }
    }
    return NULL;
}

void meta_duties_start(struct meta *m, void (*hourly)(struct meta *m))
{
    struct meta_duties *d = calloc(1, sizeof(*d));
    CHECK(d != NULL); /* out of memory */
    d->m = m;
    d->hourly = hourly;
    mutex_init(&d->lock);
    cond_init(&d->more);
    m->duties = d;
    thread_start(&d->thread, "meta-duties", run, d);
}

void meta_duties_stop(struct meta *m)
{
    struct meta_duties *d = m->duties;
    if (!d)
        return;
    mutex_lock(&d->lock);
    d->stop = true;
    cond_signal(&d->more);
    mutex_unlock(&d->lock);
    CHECK(pthread_join(d->thread, NULL) == 0);
    m->duties = NULL;
    cond_done(&d->more);
    mutex_done(&d->lock);
    free(d);
}
