/* Resolved chunks, remembered for a moment, and beyond it as long as the metadata has not changed at all: a file read in small
 * pieces asks the metadata once, not for each piece, and files that are read often seldom. A chunk that changed while it was
 * being read from the metadata is used, but not remembered. */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/map.h"
#include "vfs/data/data_internal.h"

struct chunk_key {
    meta_ino ino;
    uint64_t indx;
};

struct remembered {
    struct list link; /* the oldest first */
    struct chunk_key key;
    uint64_t read_ms;
    struct meta_stamp stamp; /* of the metadata, before it was read */
    struct data_chunk *chunk;
};

struct data_chunks {
    struct mutex lock; /* guards all */
    struct map *map;   /* chunk_key → struct remembered */
    struct list all;
    uint64_t changes; /* grows with everything that is forgotten */
};

static struct str key_of(const struct chunk_key *k)
{
    return str_of((const char *)k, sizeof(*k));
}

struct data_chunks *data_chunks_new(void)
{
    struct data_chunks *c = calloc(1, sizeof(*c));
    CHECK(c != NULL); /* out of memory */
    mutex_init(&c->lock);
    list_init(&c->all);
    c->map = map_new();
    return c;
}

void data_chunk_unref(struct data_chunk *c)
{
    if (atomic_fetch_sub(&c->refs, 1) > 1)
        return;
    free(c->pieces);
    free(c);
}

/* The lock is held. */
static void drop(struct data_chunks *c, struct remembered *r)
{
    CHECK(map_remove(c->map, key_of(&r->key)) == r);
    list_remove(&r->link);
    data_chunk_unref(r->chunk);
    free(r);
}

void data_chunks_free(struct data_chunks *c)
{
    if (!c)
        return;
    while (!list_empty(&c->all))
        drop(c, list_entry(c->all.next, struct remembered, link));
    map_free(c->map, NULL);
    mutex_done(&c->lock);
    free(c);
}

static bool is_believed(const struct remembered *r, const struct meta_stamp *now)
{
    return clock_mono_ms() - r->read_ms < LIMIT_DATA_CHUNK_AGE_MS || meta_stamp_eq(&r->stamp, now);
}

static struct data_chunk *find(struct data_chunks *c, const struct chunk_key *key, const struct meta_stamp *now,
                               uint64_t *out_changes)
{
    struct data_chunk *chunk = NULL;
    mutex_lock(&c->lock);
    *out_changes = c->changes;
    struct remembered *r = map_get(c->map, key_of(key));
    if (r && is_believed(r, now)) {
        chunk = r->chunk;
        atomic_fetch_add(&chunk->refs, 1);
    } else if (r) {
        drop(c, r);
    }
    mutex_unlock(&c->lock);
    return chunk;
}

static void remember(struct data_chunks *c, const struct chunk_key *key, struct data_chunk *chunk, uint64_t changes,
                     const struct meta_stamp *stamp)
{
    mutex_lock(&c->lock);
    if (c->changes == changes && !map_get(c->map, key_of(key))) {
        if (map_count(c->map) >= LIMIT_DATA_CHUNKS)
            drop(c, list_entry(c->all.next, struct remembered, link));
        struct remembered *r = calloc(1, sizeof(*r));
        CHECK(r != NULL); /* out of memory */
        r->key = *key;
        r->read_ms = clock_mono_ms();
        r->stamp = *stamp;
        r->chunk = chunk;
        atomic_fetch_add(&chunk->refs, 1);
        list_push_back(&c->all, &r->link);
        CHECK(map_set(c->map, key_of(&r->key), r) == NULL);
    }
    mutex_unlock(&c->lock);
}

/* Pieces from a database are foreign data: what reading them would trip over is -EIO. */
static bool are_sane(const struct meta_slice *pieces, size_t count)
{
    uint64_t end = 0;
    for (size_t i = 0; i < count; i++) {
        const struct meta_slice *p = &pieces[i];
        if (p->pos < end || p->len == 0 || (uint64_t)p->pos + p->len > META_CHUNK_SIZE)
            return false;
        if (p->id != 0 && ((uint64_t)p->off + p->len > p->size || p->size > META_CHUNK_SIZE))
            return false;
        end = (uint64_t)p->pos + p->len;
    }
    return true;
}

int data_chunk_get(struct data *d, meta_ino ino, uint32_t indx, struct data_chunk **out)
{
    const struct chunk_key key = {ino, indx};
    uint64_t changes;
    const struct meta_stamp stamp = d->source.stamp(d->source.arg);
    struct data_chunk *chunk = find(d->chunks, &key, &stamp, &changes);
    if (!chunk) {
        struct meta_slice *pieces = NULL;
        size_t count = 0;
        int rc = d->source.read_chunk(d->source.arg, ino, indx, &pieces, &count);
        if (rc == 0 && !are_sane(pieces, count)) {
            free(pieces);
            rc = -EIO;
        }
        if (rc < 0)
            return rc;
        chunk = calloc(1, sizeof(*chunk));
        CHECK(chunk != NULL); /* out of memory */
        atomic_init(&chunk->refs, 1);
        chunk->pieces = pieces;
        chunk->count = count;
        remember(d->chunks, &key, chunk, changes, &stamp);
    }
    *out = chunk;
    return 0;
}

struct data_chunk *data_chunk_peek(struct data *d, meta_ino ino, uint32_t indx)
{
    const struct chunk_key key = {ino, indx};
    const struct meta_stamp stamp = d->source.stamp(d->source.arg);
    uint64_t changes;
    return find(d->chunks, &key, &stamp, &changes);
}

void data_chunk_forget(struct data *d, meta_ino ino, uint32_t indx)
{
    struct data_chunks *c = d->chunks;
    const struct chunk_key key = {ino, indx};
    mutex_lock(&c->lock);
    c->changes++;
    struct remembered *r = map_get(c->map, key_of(&key));
    if (r)
        drop(c, r);
    mutex_unlock(&c->lock);
}

void data_chunk_forget_all(struct data *d, meta_ino ino)
{
    struct data_chunks *c = d->chunks;
    mutex_lock(&c->lock);
    c->changes++;
    list_for_each_safe(it, &c->all)
    {
        struct remembered *r = list_entry(it, struct remembered, link);
        if (r->key.ino == ino)
            drop(c, r);
    }
    mutex_unlock(&c->lock);
}
