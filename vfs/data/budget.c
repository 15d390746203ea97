#include "vfs/data/budget.h"

#include "base/check.h"

uint64_t data_budget_used(const struct data_budget *b)
{
    uint64_t sum = 0;
    for (int i = 0; i < DATA_MEMORY_KINDS; i++)
        sum += b->used[i];
    return sum;
}

/* used: of everybody but idle blocks, with what is asked for. */
static bool may_have(const struct data_budget *b, enum data_memory kind, uint64_t size, uint64_t used)
{
    switch (kind) {
    case DATA_IDLE:
        return used <= b->max;
    case DATA_AHEAD:
        return used - b->used[DATA_LENT] <= b->max / 2 && used <= b->max / 4 * 3;
    case DATA_READ:
        return b->used[kind] == 0 || (used <= b->max && b->used[kind] + b->used[DATA_LENT] + size <= b->max / 4 * 3);
    case DATA_WRITE:
        return b->used[kind] == 0 || (used <= b->max && b->used[kind] + size <= b->max / 4 * 3);
    case DATA_CODE:
        return b->used[kind] == 0 || used <= b->max;
    case DATA_LENT: /* what is lent has been read before */
    case DATA_MEMORY_KINDS:
        break;
    }
    return false;
}

bool data_budget_may_lend(const struct data_budget *b, uint64_t size)
{
    return b->used[DATA_LENT] + size <= b->max / 2;
}

bool data_budget_fits(const struct data_budget *b, enum data_memory kind, uint64_t size, uint64_t *out_evict)
{
    uint64_t sum = data_budget_used(b) + size, over = sum > b->max ? sum - b->max : 0;
    if (!may_have(b, kind, size, sum - b->used[DATA_IDLE]))
        return false;
    *out_evict = over < b->used[DATA_IDLE] ? over : b->used[DATA_IDLE];
    return true;
}

static enum data_memory counted_as(enum data_memory kind)
{
    return kind == DATA_AHEAD ? DATA_READ : kind;
}

void data_budget_take(struct data_budget *b, enum data_memory kind, uint64_t size)
{
    b->used[counted_as(kind)] += size;
}

void data_budget_give(struct data_budget *b, enum data_memory kind, uint64_t size)
{
    uint64_t *used = &b->used[counted_as(kind)];
    CHECK(*used >= size);
    *used -= size;
}
