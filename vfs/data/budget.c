#include "base/check.h"
#include "vfs/data/data_internal.h"

void data_budget_init(struct data_budget *b, uint64_t max)
{
    mutex_init(&b->lock);
    cond_init(&b->freed);
    b->used = 0;
    b->max = max;
}

void data_budget_done(struct data_budget *b)
{
    CHECK(b->used == 0);
    cond_done(&b->freed);
    mutex_done(&b->lock);
}

bool data_budget_take(struct data_budget *b, uint64_t size)
{
    mutex_lock(&b->lock);
    bool ok = b->used + size <= b->max;
    if (ok)
        b->used += size;
    mutex_unlock(&b->lock);
    return ok;
}

void data_budget_give(struct data_budget *b, uint64_t size)
{
    mutex_lock(&b->lock);
    CHECK(b->used >= size);
    b->used -= size;
    cond_broadcast(&b->freed);
    mutex_unlock(&b->lock);
}

bool data_budget_wait(struct data_budget *b, uint64_t timeout_ms)
{
    mutex_lock(&b->lock);
    bool freed = cond_wait_ms(&b->freed, &b->lock, timeout_ms);
    mutex_unlock(&b->lock);
    return freed;
}
