#include "vfs/data/cache.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mutex.h"

enum block_state { BLOCK_LOADING, BLOCK_READY, BLOCK_FAILED };

struct cached_block {
    struct list link; /* in `idle` while nobody holds it, else alone */
    struct block_id id;
    enum block_state state;
    int error;        /* of the load */
    unsigned holders; /* the loader among them */
    bool dropped;     /* no longer in the map */
    uint64_t charge;
    char *bytes;
};

struct data_cache {
    struct mutex lock; /* guards all */
    struct cond changed;
    struct map *blocks; /* block_id → struct cached_block */
    struct list idle;   /* the least recently used first */
    uint64_t used, max;
};

static struct str key_of(const struct block_id *id)
{
    return str_of((const char *)id, sizeof(*id));
}
_Static_assert(sizeof(struct block_id) == 16, "no padding in a key of the map");

struct data_cache *data_cache_new(uint64_t memory_max)
{
    struct data_cache *c = calloc(1, sizeof(*c));
    CHECK(c != NULL); /* out of memory */
    mutex_init(&c->lock);
    cond_init(&c->changed);
    list_init(&c->idle);
    c->blocks = map_new();
    c->max = memory_max;
    return c;
}

/* Below, the lock is held. */

static void free_block(struct data_cache *c, struct cached_block *b)
{
    CHECK(b->holders == 0 && b->dropped);
    CHECK(c->used >= b->charge);
    c->used -= b->charge;
    free(b->bytes);
    free(b);
}

static void forget(struct data_cache *c, struct cached_block *b)
{
    if (!b->dropped)
        (void)map_remove(c->blocks, key_of(&b->id)); /* it is b */
    b->dropped = true;
    list_remove(&b->link);
    if (b->holders == 0)
        free_block(c, b);
}

static bool make_room(struct data_cache *c, uint64_t size)
{
    while (c->used + size > c->max && !list_empty(&c->idle))
        forget(c, list_entry(c->idle.next, struct cached_block, link));
    /* One block always fits, however small the cache is. */
    return c->used + size <= c->max || c->used == 0;
}

static struct cached_block *add_block(struct data_cache *c, const struct block_id *id, uint64_t charge)
{
    struct cached_block *b = calloc(1, sizeof(*b));
    CHECK(b != NULL); /* out of memory */
    list_init(&b->link);
    b->id = *id;
    b->charge = charge;
    b->holders = 1;
    c->used += charge;
    CHECK(map_set(c->blocks, key_of(id), b) == NULL);
    return b;
}

static void release(struct data_cache *c, struct cached_block *b)
{
    CHECK(b->holders > 0);
    if (--b->holders > 0)
        return;
    if (b->dropped)
        free_block(c, b);
    else
        list_push_back(&c->idle, &b->link);
    cond_broadcast(&c->changed);
}

static void hold(struct cached_block *b)
{
    b->holders++;
    list_remove(&b->link);
}

/* Waits for the one that loads it; its error, or 0 with the block held. */
static int join(struct data_cache *c, struct cached_block *b)
{
    hold(b);
    while (b->state == BLOCK_LOADING)
        cond_wait(&c->changed, &c->lock);
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
    CHECK(map_count(c->blocks) == 0 && c->used == 0);
    map_free(c->blocks, NULL);
    cond_done(&c->changed);
    mutex_done(&c->lock);
    free(c);
}

static void finish_load(struct data_cache *c, struct cached_block *b, int rc, uint64_t load_extra)
{
    mutex_lock(&c->lock);
    b->charge -= load_extra;
    c->used -= load_extra;
    b->error = rc;
    b->state = rc < 0 ? BLOCK_FAILED : BLOCK_READY;
    if (rc < 0) {
        forget(c, b);
        release(c, b);
    }
    cond_broadcast(&c->changed);
    mutex_unlock(&c->lock);
}

static int load_block(struct data_cache *c, struct cached_block *b, uint64_t load_extra, block_load_fn load, void *arg)
{
    b->bytes = malloc(b->id.size);
    CHECK(b->bytes != NULL); /* out of memory */
    const struct block_id id = b->id;
    int rc = load(arg, &id, b->bytes);
    finish_load(c, b, rc, load_extra);
    return rc;
}

int data_cache_hold(struct data_cache *c, const struct block_id *id, uint64_t load_extra, block_load_fn load, void *arg,
                    struct cached_block **out)
{
    struct cached_block *b;
    mutex_lock(&c->lock);
    while ((b = map_get(c->blocks, key_of(id))) == NULL && !make_room(c, id->size + load_extra))
        cond_wait(&c->changed, &c->lock);
    int rc = 0;
    if (b) {
        rc = join(c, b);
        mutex_unlock(&c->lock);
    } else {
        b = add_block(c, id, id->size + load_extra);
        mutex_unlock(&c->lock);
        rc = load_block(c, b, load_extra, load, arg);
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

const char *cached_block_bytes(const struct cached_block *b)
{
    return b->bytes;
}

void data_cache_release(struct data_cache *c, struct cached_block *b)
{
    mutex_lock(&c->lock);
    release(c, b);
    mutex_unlock(&c->lock);
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
    if (map_get(c->blocks, key_of(id)) || !make_room(c, id->size)) {
        free(bytes);
    } else {
        struct cached_block *b = add_block(c, id, id->size);
        b->bytes = bytes;
        b->state = BLOCK_READY;
        release(c, b);
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

uint64_t data_cache_used(struct data_cache *c)
{
    mutex_lock(&c->lock);
    uint64_t used = c->used;
    mutex_unlock(&c->lock);
    return used;
}
