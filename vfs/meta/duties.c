/* The thread that works in the background: data of deleted files, long chunks, and once an hour what the whole cluster
 * shares (hourly.c). Its queues are bounded: what does not fit is in the database anyway. */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/random.h"
#include "vfs/meta/upkeep.h"

#define HOUR_MS (3600ull * 1000)

struct duty {
    meta_ino ino;
    uint64_t value;  /* chunk index; the file's length */
    uint64_t due_ms; /* monotonic */
};

/* A ring; what is in it is due in this order. */
struct duties {
    struct duty *items;
    size_t capacity, first, count;
};

struct meta_duties {
    struct meta *m;
    void (*hourly)(struct meta *m);
    pthread_t thread;
    struct mutex lock; /* of what follows; leaf */
    struct cond more;
    _Atomic bool stop;
    struct duties compactions, deletions;
};

static struct duties duties_make(size_t capacity)
{
    struct duties q = {.items = calloc(capacity, sizeof(*q.items)), .capacity = capacity};
    CHECK(q.items != NULL); /* out of memory */
    return q;
}

static bool put(struct duties *q, const struct duty *duty)
{
    if (q->count == q->capacity)
        return false;
    q->items[(q->first + q->count++) % q->capacity] = *duty;
    return true;
}

/* The first, if it is due; else *until_ms becomes its time when that is earlier. */
static bool take(struct duties *q, uint64_t now_ms, uint64_t *until_ms, struct duty *out)
{
    if (q->count == 0)
        return false;
    const struct duty *first = &q->items[q->first];
    if (first->due_ms > now_ms) {
        *until_ms = first->due_ms < *until_ms ? first->due_ms : *until_ms;
        return false;
    }
    *out = *first;
    q->first = (q->first + 1) % q->capacity;
    q->count--;
    return true;
}

static bool is_queued(const struct duties *q, meta_ino ino, uint64_t value)
{
    for (size_t i = 0; i < q->count; i++) {
        const struct duty *d = &q->items[(q->first + i) % q->capacity];
        if (d->ino == ino && d->value == value)
            return true;
    }
    return false;
}

bool meta_duties_delete_file(struct meta *m, meta_ino ino, uint64_t length)
{
    struct meta_duties *d = m->duties;
    if (!d)
        return false;
    mutex_lock(&d->lock);
    bool queued = put(&d->deletions, &(struct duty){ino, length, clock_mono_ms() + m->options.reclaim_delay_ms});
    cond_signal(&d->more);
    mutex_unlock(&d->lock);
    return queued;
}

/* Readers ask for the same chunk again until it is done. */
bool meta_duties_compact(struct meta *m, meta_ino ino, uint32_t indx)
{
    struct meta_duties *d = m->duties;
    if (!d || !m->compact_slice)
        return false;
    mutex_lock(&d->lock);
    bool queued = is_queued(&d->compactions, ino, indx) || put(&d->compactions, &(struct duty){ino, indx, 0});
    cond_signal(&d->more);
    mutex_unlock(&d->lock);
    return queued;
}

bool meta_duties_stopping(struct meta *m)
{
    return (m->duties && m->duties->stop) || job_stopped(m->job);
}

enum found { FOUND_NOTHING, FOUND_COMPACTION, FOUND_DELETION };

/* Waits for work until the time. Nothing: it came, or it is time to end. */
static enum found dequeue(struct meta_duties *d, uint64_t until_ms, struct duty *out)
{
    enum found found = FOUND_NOTHING;
    mutex_lock(&d->lock);
    while (!d->stop) {
        uint64_t now_ms = clock_mono_ms(), wake_ms = until_ms;
        if (take(&d->compactions, now_ms, &wake_ms, out))
            found = FOUND_COMPACTION;
        else if (take(&d->deletions, now_ms, &wake_ms, out))
            found = FOUND_DELETION;
        if (found != FOUND_NOTHING || now_ms >= until_ms)
            break;
        (void)cond_wait_ms(&d->more, &d->lock, wake_ms - now_ms); /* the conditions are looked at again */
    }
    mutex_unlock(&d->lock);
    return found;
}

static void work(struct meta *m, enum found found, const struct duty *duty)
{
    int rc = found == FOUND_COMPACTION ? meta_compact_chunk(m, duty->ino, (uint32_t)duty->value)
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
        enum found found = dequeue(d, hour_ms, &duty);
        if (found != FOUND_NOTHING)
            work(d->m, found, &duty);
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
    d->compactions = duties_make(LIMIT_META_COMPACTIONS);
    d->deletions = duties_make(LIMIT_META_DELETIONS);
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
    free(d->compactions.items);
    free(d->deletions.items);
    free(d);
}
