#include "vfs/store/rate.h"

#include <stdbool.h>
#include <time.h>

#include "base/clock.h"

#define NS_PER_S 1000000000ull
/* What was not used so lately may be caught up with: otherwise the pauses between transfers would lower the rate. */
#define BURST_NS (NS_PER_S / 10)
/* How often who waits looks whether the limit has changed. */
#define LOOK_NS (NS_PER_S / 4)

void rate_init(struct rate *r)
{
    *r = (struct rate){0};
    mutex_init(&r->lock);
}

void rate_done(struct rate *r)
{
    mutex_done(&r->lock);
}

void rate_set(struct rate *r, uint64_t bytes_per_s)
{
    mutex_lock(&r->lock);
    if (r->bytes_per_s != bytes_per_s) {
        r->bytes_per_s = bytes_per_s;
        r->free_ns = 0;
        r->changes++;
    }
    mutex_unlock(&r->lock);
}

static bool has_changed(struct rate *r, uint64_t changes)
{
    mutex_lock(&r->lock);
    bool changed = r->changes != changes;
    mutex_unlock(&r->lock);
    return changed;
}

static void wait_until(struct rate *r, uint64_t until_ns, uint64_t changes)
{
    for (uint64_t now = clock_mono_ns(); now < until_ns && !has_changed(r, changes); now = clock_mono_ns()) {
        uint64_t left = until_ns - now < LOOK_NS ? until_ns - now : LOOK_NS;
        (void)nanosleep(&(struct timespec){.tv_nsec = (long)left}, NULL); /* an interruption is one more look */
    }
}

void rate_wait(struct rate *r, uint64_t bytes)
{
    mutex_lock(&r->lock);
    if (r->bytes_per_s == 0) {
        mutex_unlock(&r->lock);
        return;
    }
    uint64_t now = clock_mono_ns(), oldest = now > BURST_NS ? now - BURST_NS : 0;
    if (r->free_ns < oldest)
        r->free_ns = oldest;
    uint64_t until = r->free_ns, changes = r->changes;
    r->free_ns += bytes / r->bytes_per_s * NS_PER_S + bytes % r->bytes_per_s * NS_PER_S / r->bytes_per_s;
    mutex_unlock(&r->lock);
    wait_until(r, until, changes);
}
