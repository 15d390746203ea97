#include "vfs/data/cache.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mutex.h"

/* So many blocks more go unread than read: there is no room for them. */
#define WASTED_MAX 8
/* Memory of whole blocks that have gone is given to the next ones rather than back: so that what goes and what comes
 * are the same bytes, and the allocator keeps none of them for later. Beside the budget. */
#define SPARES_MAX 4
#define PRESSED_MS 1000

enum block_state { BLOCK_LOADING, BLOCK_READY, BLOCK_FAILED };

struct cached_block {
    struct list link; /* in `idle` while nobody holds it, else alone */
    struct block_id id;
    enum block_state state;
    int error;        /* of the load */
    unsigned holders; /* the loader among them */
    unsigned lent;    /* so many of the holders have lent it */
    bool dropped;     /* no longer in the map */
    uint64_t charge;
    _Atomic uint32_t used; /* bytes that were read of it, perhaps some twice */
    char *bytes;
};

struct data_cache {
    struct mutex lock; /* guards all */
    struct cond changed;
    struct map *blocks; /* block_id → struct cached_block */
    struct list idle;   /* the least recently used first */
    struct data_budget budget;
    unsigned waiting;
    uint32_t block_size;
    char *spares[SPARES_MAX];
    unsigned spare_count;
    unsigned wasted; /* 0 to WASTED_MAX */
    _Atomic uint64_t pressed_until_ms;
};

static struct str key_of(const struct block_id *id)
{
    return str_of((const char *)id, sizeof(*id));
}
_Static_assert(sizeof(struct block_id) == 16, "no padding in a key of the map");

struct data_cache *data_cache_new(uint64_t memory_max, uint32_t block_size)
{
    struct data_cache *c = calloc(1, sizeof(*c));
    CHECK(c != NULL); /* out of memory */
    mutex_init(&c->lock);
    cond_init(&c->changed);
    list_init(&c->idle);
    c->blocks = map_new();
    c->budget.max = memory_max;
    c->block_size = block_size;
    atomic_init(&c->pressed_until_ms, 0);
    return c;
}

/* Below, the lock is held. */

static void wake(struct data_cache *c)
{
    if (c->waiting > 0)
        cond_broadcast(&c->changed);
}

static void wait_for_change(struct data_cache *c)
{
    c->waiting++;
    cond_wait(&c->changed, &c->lock);
    c->waiting--;
}

/* NULL: there is none. */
static char *take_spare(struct data_cache *c)
{
    return c->spare_count > 0 ? c->spares[--c->spare_count] : NULL;
}

static void free_bytes(struct data_cache *c, char *bytes, uint32_t size)
{
    if (bytes && size == c->block_size && c->spare_count < SPARES_MAX)
        c->spares[c->spare_count++] = bytes;
    else
        free(bytes);
}

/* kind: what its bytes are counted as. */
static void free_block(struct data_cache *c, struct cached_block *b, enum data_memory kind)
{
    CHECK(b->holders == 0 && b->dropped);
    data_budget_give(&c->budget, kind, b->charge);
    free_bytes(c, b->bytes, b->id.size);
    free(b);
}

static void forget(struct data_cache *c, struct cached_block *b)
{
    if (!b->dropped)
        (void)map_remove(c->blocks, key_of(&b->id)); /* it is b */
    b->dropped = true;
    list_remove(&b->link);
    if (b->holders == 0)
        free_block(c, b, DATA_IDLE);
}

/* A block that was brought here for nothing, mostly, or one that was of use. */
static void judge(struct data_cache *c, const struct cached_block *b)
{
    bool wasted = atomic_load_explicit(&b->used, memory_order_relaxed) < b->id.size / 2;
    if (wasted && c->wasted < WASTED_MAX)
        c->wasted++;
    else if (!wasted && c->wasted > 0)
        c->wasted--;
    if (wasted && c->wasted == WASTED_MAX)
        atomic_store(&c->pressed_until_ms, clock_mono_ms() + PRESSED_MS);
}

static bool take(struct data_cache *c, enum data_memory kind, uint64_t size)
{
    uint64_t evict;
    if (!data_budget_fits(&c->budget, kind, size, &evict))
        return false;
    uint64_t until = c->budget.used[DATA_IDLE] - evict;
    while (c->budget.used[DATA_IDLE] > until) {
        struct cached_block *b = list_entry(c->idle.next, struct cached_block, link);
        judge(c, b);
        forget(c, b);
    }
    data_budget_take(&c->budget, kind, size);
    return true;
}

/* The bytes are taken. */
static struct cached_block *add_block(struct data_cache *c, const struct block_id *id, uint64_t charge)
{
    struct cached_block *b = calloc(1, sizeof(*b));
    CHECK(b != NULL); /* out of memory */
    list_init(&b->link);
    b->id = *id;
    b->charge = charge;
    CHECK(map_set(c->blocks, key_of(id), b) == NULL);
    return b;
}

static void rest(struct data_cache *c, struct cached_block *b)
{
    list_push_back(&c->idle, &b->link);
}

static enum data_memory kind_of(const struct cached_block *b)
{
    return b->lent > 0 ? DATA_LENT : b->holders > 0 ? DATA_READ : DATA_IDLE;
}

/* before: what it was counted as. */
static void count_anew(struct data_cache *c, const struct cached_block *b, enum data_memory before)
{
    data_budget_give(&c->budget, before, b->charge);
    data_budget_take(&c->budget, kind_of(b), b->charge);
}

static void let_go(struct data_cache *c, struct cached_block *b, enum data_memory before)
{
    CHECK(b->holders > 0);
    b->holders--;
    if (b->holders > 0) {
        count_anew(c, b, before);
        return;
    }
    if (b->dropped) {
        free_block(c, b, before);
    } else {
        count_anew(c, b, before);
        rest(c, b);
    }
    wake(c);
}

static void release(struct data_cache *c, struct cached_block *b)
{
    CHECK(b->holders > b->lent);
    let_go(c, b, kind_of(b));
}

static void hold(struct data_cache *c, struct cached_block *b)
{
    enum data_memory before = kind_of(b);
    if (b->holders++ == 0)
        list_remove(&b->link);
    count_anew(c, b, before);
}

/* Waits for the one that loads it; its error, or 0 with the block held. */
static int join(struct data_cache *c, struct cached_block *b)
{
    hold(c, b);
    while (b->state == BLOCK_LOADING)
        wait_for_change(c);
    if (b->state == BLOCK_READY)
        return 0;
    int error = b->error;
    release(c, b);
    return error;
}

/* Lock not held. */

void data_cache_free(struct data_cache *c)
{
    if (!c)
        return;
    while (!list_empty(&c->idle))
        forget(c, list_entry(c->idle.next, struct cached_block, link));
    CHECK(map_count(c->blocks) == 0 && data_budget_used(&c->budget) == 0);
    for (char *bytes = take_spare(c); bytes; bytes = take_spare(c))
        free(bytes);
    map_free(c->blocks, NULL);
    cond_done(&c->changed);
    mutex_done(&c->lock);
    free(c);
}

static void finish_load(struct data_cache *c, struct cached_block *b, int rc, uint64_t load_extra)
{
    mutex_lock(&c->lock);
    b->charge -= load_extra;
    data_budget_give(&c->budget, DATA_READ, load_extra);
    b->error = rc;
    b->state = rc < 0 ? BLOCK_FAILED : BLOCK_READY;
    if (rc < 0) {
        forget(c, b);
        release(c, b);
    }
    wake(c);
    mutex_unlock(&c->lock);
}

static char *new_bytes(uint32_t size)
{
    char *bytes = malloc(size);
    CHECK(bytes != NULL); /* out of memory */
    return bytes;
}

/* spare: memory of its size, or NULL. */
static int load_block(struct data_cache *c, struct cached_block *b, const struct data_cache_load *how, char *spare)
{
    b->bytes = spare ? spare : new_bytes(b->id.size);
    const struct block_id id = b->id;
    int rc = how->load(how->arg, &id, b->bytes);
    finish_load(c, b, rc, how->extra);
    return rc;
}

int data_cache_hold(struct data_cache *c, const struct block_id *id, const struct data_cache_load *how,
                    struct cached_block **out)
{
    struct cached_block *b;
    enum data_memory kind = how->ahead ? DATA_AHEAD : DATA_READ;
    int rc = 0;
    mutex_lock(&c->lock);
    while ((b = map_get(c->blocks, key_of(id))) == NULL && rc == 0 && !take(c, kind, id->size + how->extra)) {
        if (how->ahead)
            rc = -EAGAIN;
        else
            wait_for_change(c);
    }
    if (b) {
        rc = join(c, b);
        mutex_unlock(&c->lock);
    } else if (rc < 0) {
        mutex_unlock(&c->lock);
    } else {
        b = add_block(c, id, id->size + how->extra);
        b->holders = 1;
        char *spare = id->size == c->block_size ? take_spare(c) : NULL;
        mutex_unlock(&c->lock);
        rc = load_block(c, b, how, spare);
    }
    if (rc == 0)
        *out = b;
    return rc;
}

struct cached_block *data_cache_find(struct data_cache *c, const struct block_id *id)
{
    mutex_lock(&c->lock);
    struct cached_block *b = map_get(c->blocks, key_of(id));
    if (b && join(c, b) < 0)
        b = NULL;
    mutex_unlock(&c->lock);
    return b;
}

struct cached_block *data_cache_peek(struct data_cache *c, const struct block_id *id)
{
    mutex_lock(&c->lock);
    struct cached_block *b = map_get(c->blocks, key_of(id));
    if (b && b->state == BLOCK_READY)
        hold(c, b);
    else
        b = NULL;
    mutex_unlock(&c->lock);
    return b;
}

const char *cached_block_bytes(const struct cached_block *b)
{
    return b->bytes;
}

void cached_block_used(struct cached_block *b, uint32_t bytes)
{
    atomic_fetch_add_explicit(&b->used, bytes, memory_order_relaxed);
}

void data_cache_release(struct data_cache *c, struct cached_block *b)
{
    mutex_lock(&c->lock);
    release(c, b);
    mutex_unlock(&c->lock);
}

bool data_cache_lend(struct data_cache *c, struct cached_block *b)
{
    mutex_lock(&c->lock);
    CHECK(b->holders > b->lent);
    bool may = b->lent > 0 || data_budget_may_lend(&c->budget, b->charge);
    if (may) {
        enum data_memory before = kind_of(b);
        b->lent++;
        count_anew(c, b, before);
        wake(c); /* one more may be read, where it was the only one */
    }
    mutex_unlock(&c->lock);
    return may;
}

void data_cache_take_back(struct data_cache *c, struct cached_block *b)
{
    mutex_lock(&c->lock);
    CHECK(b->lent > 0);
    b->lent--;
    let_go(c, b, DATA_LENT);
    mutex_unlock(&c->lock);
}

bool data_cache_may_lend(struct data_cache *c, const struct block_id *id)
{
    mutex_lock(&c->lock);
    const struct cached_block *b = map_get(c->blocks, key_of(id));
    bool may = (b && b->lent > 0) || data_budget_may_lend(&c->budget, id->size);
    mutex_unlock(&c->lock);
    return may;
}

bool data_cache_has(struct data_cache *c, const struct block_id *id)
{
    mutex_lock(&c->lock);
    bool has = map_get(c->blocks, key_of(id)) != NULL;
    mutex_unlock(&c->lock);
    return has;
}

void data_cache_put(struct data_cache *c, const struct block_id *id, char *bytes)
{
    mutex_lock(&c->lock);
    if (map_get(c->blocks, key_of(id)) || !take(c, DATA_IDLE, id->size)) {
        free(bytes);
    } else {
        struct cached_block *b = add_block(c, id, id->size);
        b->bytes = bytes;
        b->state = BLOCK_READY;
        atomic_store(&b->used, id->size); /* written here: no reader has asked for it */
        rest(c, b);
    }
    mutex_unlock(&c->lock);
}

void data_cache_drop(struct data_cache *c, const struct block_id *id)
{
    mutex_lock(&c->lock);
    struct cached_block *b = map_get(c->blocks, key_of(id));
    if (b)
        forget(c, b);
    mutex_unlock(&c->lock);
}

bool data_cache_is_pressed(struct data_cache *c)
{
    uint64_t until_ms = atomic_load_explicit(&c->pressed_until_ms, memory_order_relaxed);
    return until_ms > 0 && clock_mono_ms() < until_ms;
}

/* Other memory */

bool data_cache_take(struct data_cache *c, enum data_memory kind, uint64_t size)
{
    mutex_lock(&c->lock);
    bool ok = take(c, kind, size);
    mutex_unlock(&c->lock);
    return ok;
}

void data_cache_take_waiting(struct data_cache *c, enum data_memory kind, uint64_t size)
{
    mutex_lock(&c->lock);
    while (!take(c, kind, size))
        wait_for_change(c);
    mutex_unlock(&c->lock);
}

void data_cache_give(struct data_cache *c, enum data_memory kind, uint64_t size)
{
    mutex_lock(&c->lock);
    data_budget_give(&c->budget, kind, size);
    wake(c);
    mutex_unlock(&c->lock);
}

char *data_cache_take_block(struct data_cache *c, enum data_memory kind)
{
    mutex_lock(&c->lock);
    bool ok = take(c, kind, c->block_size);
    char *spare = ok ? take_spare(c) : NULL;
    mutex_unlock(&c->lock);
    return spare || !ok ? spare : new_bytes(c->block_size);
}

void data_cache_give_block(struct data_cache *c, enum data_memory kind, char *bytes)
{
    mutex_lock(&c->lock);
    free_bytes(c, bytes, c->block_size);
    data_budget_give(&c->budget, kind, c->block_size);
    wake(c);
    mutex_unlock(&c->lock);
}

bool data_cache_wait(struct data_cache *c, uint64_t timeout_ms)
{
    mutex_lock(&c->lock);
    c->waiting++;
    bool given = cond_wait_ms(&c->changed, &c->lock, timeout_ms);
    c->waiting--;
    mutex_unlock(&c->lock);
    return given;
}

struct data_budget data_cache_budget(struct data_cache *c)
{
    mutex_lock(&c->lock);
    struct data_budget b = c->budget;
    mutex_unlock(&c->lock);
    return b;
}
