#include <time.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/limits.h"
#include "vfs/meta/internal.h"

/* Growing by the square, as official clients do (§4.5): 1, 4, 9, … ms. */
static void pause_before(unsigned tries)
{
    const uint64_t ns = (uint64_t)tries * tries * 1000000; /* bounded by the time that tries may take */
    const struct timespec pause = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    (void)nanosleep(&pause, NULL); /* a shorter pause is as good */
}

static int try_once(struct meta *m, enum meta_txn_mode mode, meta_txn_fn fn, void *arg)
{
    struct meta_txn *t;
    int rc = m->engine->ops->begin(m->engine, mode, &t);
    if (rc < 0)
        return rc;
    int result = fn(m, t, arg);
    if (result < 0) {
        t->ops->abort(t);
        return result;
    }
    rc = fault_point("meta.commit");
    if (rc < 0) {
        t->ops->abort(t);
        return rc;
    }
    rc = t->ops->commit(t);
    if (rc >= 0)
        rc = fault_point("meta.committed");
    return rc < 0 ? rc : result;
}

static int try_until_done(struct meta *m, enum meta_txn_mode mode, meta_txn_fn fn, void *arg)
{
    const uint64_t end_ms = clock_mono_ms() + LIMIT_META_RETRY_MS;
    for (unsigned tries = 1;; tries++) {
        int rc = try_once(m, mode, fn, arg);
        if (rc != -META_AGAIN)
            return rc;
        if (clock_mono_ms() >= end_ms)
            return -EBUSY;
        metric_add(m->restarts, 1);
        pause_before(tries);
    }
}

int meta_sync(struct meta *m)
{
    return m->engine->ops->sync(m->engine);
}

int meta_transact(struct meta *m, enum meta_txn_mode mode, meta_txn_fn fn, void *arg)
{
    if (mode == META_TXN_WRITE && m->options.read_only)
        return -EROFS;
    if (m->lost)
        return -EIO;
    const uint64_t started_ns = clock_mono_ns();
    int rc = try_until_done(m, mode, fn, arg);
    metric_observe_ns(m->transactions[mode], clock_mono_ns() - started_ns);
    return rc;
}

/* An id that is taken and not used is lost, which does not matter. One that is used twice would: blocks of that name may be in
 * caches, which a loss of power does not empty. */

struct take {
    const char *counter;
    uint32_t count;
    uint64_t first;
};

static int take_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct take *a = arg;
    return META_DO(t, take_ids, a->counter, a->count, &a->first);
}

int meta_take_id(struct meta *m, struct meta_ids *ids, const char *counter, uint32_t batch, uint64_t *out)
{
    mutex_lock(&ids->lock);
    int rc = 0;
    if (ids->next == ids->end) {
        struct take a = {.counter = counter, .count = batch};
        rc = meta_transact(m, META_TXN_WRITE, take_txn, &a);
        if (rc >= 0)
            rc = meta_sync(m);
        if (rc >= 0) {
            ids->next = a.first;
            ids->end = a.first + batch;
        }
    }
    if (rc >= 0)
        *out = ids->next++;
    mutex_unlock(&ids->lock);
    return rc;
}

int meta_new_ino(struct meta *m, meta_ino *out)
{
    return meta_take_id(m, &m->inode_ids, "nextInode", META_INODE_BATCH, out);
}
