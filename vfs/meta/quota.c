/* Usage and quotas. What operations change is gathered here and written by relative updates every second (volume,
 * directories) and every three (quotas), as official clients do; checks look at the last values read and what is not
 * written yet, so that a limit may be overshot by what others did since (§7.22). */
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "vfs/meta/upkeep.h"

/* A quota as last read, and what we owe it. */
struct cached {
    struct meta_quota quota;
    int64_t space, inodes; /* not written yet */
};

struct owner_key {
    uint32_t type; /* enum meta_owner_type */
    uint32_t id;
};

struct meta_quotas {
    struct mutex lock; /* of everything below; leaf */
    int64_t used_space, used_inodes; /* of the volume, as last read */
    int64_t new_space, new_inodes;   /* not written yet */
    struct map *dirs;                /* meta_ino -> struct meta_dir_stat not written yet */
    struct map *dir_quotas;          /* meta_ino -> struct cached */
    struct map *owners;              /* struct owner_key -> struct cached */
    bool owner_limits;               /* one of `owners` has a limit */
};

#define KEY(variable) str_of((const char *)&(variable), sizeof(variable))

struct meta_quotas *meta_quotas_new(void)
{
    struct meta_quotas *q = calloc(1, sizeof(*q));
    CHECK(q != NULL); /* out of memory */
    mutex_init(&q->lock);
    q->dirs = map_new();
    q->dir_quotas = map_new();
    q->owners = map_new();
    return q;
}

void meta_quotas_free(struct meta_quotas *q)
{
    if (!q)
        return;
    map_free(q->dirs, free);
    map_free(q->dir_quotas, free);
    map_free(q->owners, free);
    mutex_done(&q->lock);
    free(q);
}

/* The value of a key, made (zeroed) when missing. */
static void *value_of(struct map *map, struct str key, size_t size)
{
    void *value = map_get(map, key);
    if (!value) {
        value = calloc(1, size);
        CHECK(value != NULL); /* out of memory */
        (void)map_set(map, key, value); /* nothing was there */
    }
    return value;
}

/* Loading: into a set of its own, so that nobody waits for the database */

static int load_dir(void *arg, meta_ino ino, const struct meta_quota *quota)
{
    struct cached *c = value_of(((struct meta_quotas *)arg)->dir_quotas, KEY(ino), sizeof(*c));
    c->quota = *quota;
    return 0;
}

static int load_owner(void *arg, enum meta_owner_type type, uint32_t id, const struct meta_quota *quota)
{
    struct meta_quotas *q = arg;
    const struct owner_key key = {type, id};
    struct cached *c = value_of(q->owners, KEY(key), sizeof(*c));
    c->quota = *quota;
    q->owner_limits |= quota->max_space > 0 || quota->max_inodes > 0;
    return 0;
}

static int load_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct meta_quotas *fresh = arg;
    const struct meta_features f = meta_features(m);
    int rc = META_DO(t, counter_get, "usedSpace", &fresh->used_space);
    if (rc == 0)
        rc = META_DO(t, counter_get, "totalInodes", &fresh->used_inodes);
    if (rc == 0 && f.dir_stats)
        rc = META_DO(t, dir_quota_scan, load_dir, fresh);
    if (rc == 0 && f.owner_quotas)
        rc = META_DO(t, owner_quota_scan, load_owner, fresh);
    return rc;
}

/* New values; what we owe stays. */
static void take_over(struct map *map, const struct map *fresh)
{
    size_t cursor = 0;
    struct str key;
    void *value;
    while (map_next(fresh, &cursor, &key, &value)) {
        struct cached *c = value_of(map, key, sizeof(*c));
        c->quota = ((const struct cached *)value)->quota;
    }
}

/* Quotas that were removed. A map must not change while it is walked: one at a time. */
static void drop_missing(struct map *map, const struct map *fresh)
{
    size_t cursor = 0;
    struct str key;
    void *value;
    while (map_next(map, &cursor, &key, &value)) {
        if (map_get(fresh, key))
            continue;
        free(map_remove(map, key));
        cursor = 0;
    }
}

int meta_quotas_load(struct meta *m)
{
    struct meta_quotas *q = m->quotas, *fresh = meta_quotas_new();
    int rc = meta_transact(m, META_TXN_READ, load_txn, fresh);
    if (rc == 0) {
        mutex_lock(&q->lock);
        q->used_space = fresh->used_space;
        q->used_inodes = fresh->used_inodes;
        q->owner_limits = fresh->owner_limits;
        take_over(q->dir_quotas, fresh->dir_quotas);
        drop_missing(q->dir_quotas, fresh->dir_quotas);
        take_over(q->owners, fresh->owners);
        mutex_unlock(&q->lock);
    }
    meta_quotas_free(fresh);
    return rc;
}

bool meta_quotas_any(struct meta *m)
{
    const struct meta_features f = meta_features(m);
    struct meta_quotas *q = m->quotas;
    mutex_lock(&q->lock);
    bool any = f.capacity > 0 || f.inodes > 0 || (f.owner_quotas && q->owner_limits) ||
               (f.dir_stats && map_count(q->dir_quotas) > 0);
    mutex_unlock(&q->lock);
    return any;
}

/* The directories from one up to the root, itself included */

struct chain {
    meta_ino dir;
    struct buf inos; /* meta_ino each */
};

static int chain_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct chain *c = arg;
    struct meta_attr attr;
    meta_ino at = c->dir;
    buf_reset(&c->inos);
    for (;;) {
        buf_add(&c->inos, KEY(at));
        if (at == META_ROOT || meta_is_trash(at) || at == 0 || c->inos.failed)
            return c->inos.failed ? -ELOOP : 0;
        int rc = META_DO(t, node_get, at, false, &attr);
        if (rc < 0)
            return rc;
        at = attr.parent;
    }
}

static int chain_read(struct meta *m, meta_ino dir, struct buf *inos)
{
    struct chain c = {.dir = dir, .inos = *inos};
    int rc = meta_transact(m, META_TXN_READ, chain_txn, &c);
    *inos = c.inos;
    return rc;
}

/* Calls that follow are under the lock. */
static struct cached *quota_at(struct meta_quotas *q, const struct buf *inos, size_t i)
{
    return map_get(q->dir_quotas, str_of(inos->ptr + i * sizeof(meta_ino), sizeof(meta_ino)));
}

static bool has_dir_quotas(struct meta *m)
{
    bool on = meta_features(m).dir_stats;
    mutex_lock(&m->quotas->lock);
    on = on && map_count(m->quotas->dir_quotas) > 0;
    mutex_unlock(&m->quotas->lock);
    return on;
}

/* Gathering */

static void owe_dir_quotas(struct meta *m, const struct meta_usage_dir *d)
{
    struct buf inos = buf_make(LIMIT_META_DEPTH * sizeof(meta_ino));
    if ((d->quota_space != 0 || d->quota_inodes != 0) && has_dir_quotas(m) && chain_read(m, d->ino, &inos) == 0) {
        mutex_lock(&m->quotas->lock);
        for (size_t i = 0; i < inos.len / sizeof(meta_ino); i++) {
            struct cached *c = quota_at(m->quotas, &inos, i);
            if (c) {
                c->space += d->quota_space;
                c->inodes += d->quota_inodes;
            }
        }
        mutex_unlock(&m->quotas->lock);
    }
    buf_done(&inos);
}

static void owe_owner(struct meta_quotas *q, enum meta_owner_type type, uint32_t id, int64_t space, int64_t inodes)
{
    const struct owner_key key = {type, id};
    struct cached *c = value_of(q->owners, KEY(key), sizeof(*c));
    c->space += space;
    c->inodes += inodes;
}

static void owe_dir(struct meta_quotas *q, meta_ino ino, const struct meta_dir_stat *add)
{
    struct meta_dir_stat *s = value_of(q->dirs, KEY(ino), sizeof(*s));
    s->data_length += add->data_length;
    s->used_space += add->used_space;
    s->used_inodes += add->used_inodes;
}

void meta_usage_apply(struct meta *m, const struct meta_usage *u)
{
    const struct meta_features f = meta_features(m);
    struct meta_quotas *q = m->quotas;
    mutex_lock(&q->lock);
    q->new_space += u->space;
    q->new_inodes += u->inodes;
    for (unsigned i = 0; f.owner_quotas && i < u->owner_count; i++) {
        const struct meta_usage_owner *o = &u->owners[i];
        owe_owner(q, META_OWNER_USER, o->uid, o->space, o->inodes);
        owe_owner(q, META_OWNER_GROUP, o->gid, o->space, o->inodes);
    }
    for (unsigned i = 0; f.dir_stats && i < u->dir_count; i++) {
        const struct meta_usage_dir *d = &u->dirs[i];
        const struct meta_dir_stat add = {d->length, d->space, d->inodes};
        owe_dir(q, d->ino, &add);
    }
    mutex_unlock(&q->lock);
    for (unsigned i = 0; i < u->dir_count; i++)
        owe_dir_quotas(m, &u->dirs[i]);
}

/* Writing: the volume's counters and the directories' statistics */

struct flush {
    int64_t space, inodes;
    struct map *dirs;
    struct buf unknown; /* meta_ino of directories without statistics */
};

static int flush_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct flush *f = arg;
    size_t cursor = 0;
    struct str key;
    void *value;
    int rc = 0;
    buf_reset(&f->unknown);
    if (f->space != 0)
        rc = META_DO(t, counter_add, "usedSpace", f->space, NULL);
    if (rc == 0 && f->inodes != 0)
        rc = META_DO(t, counter_add, "totalInodes", f->inodes, NULL);
    while (rc == 0 && map_next(f->dirs, &cursor, &key, &value)) {
        meta_ino ino;
        memcpy(&ino, key.ptr, sizeof(ino));
        rc = META_DO(t, dir_stat_add, ino, value);
        if (rc == -ENOENT) {
            buf_add(&f->unknown, key);
            rc = 0;
        }
    }
    return rc;
}

/* Counts a directory's entries anew. arg: its number. */
static int recount_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    const meta_ino *ino = arg;
    struct meta_attr attr;
    struct meta_dir_stat s = {0};
    int rc = META_DO(t, node_get, *ino, false, &attr);
    if (rc == -ENOENT || (rc == 0 && attr.type != META_DIRECTORY))
        return 0; /* removed meanwhile */
    if (rc == 0)
        rc = meta_dir_count(t, *ino, &s);
    return rc == 0 ? META_DO(t, dir_stat_put, *ino, &s) : rc;
}

static void recount_unknown(struct meta *m, const struct buf *unknown)
{
    for (size_t at = 0; at < unknown->len; at += sizeof(meta_ino)) {
        meta_ino ino;
        memcpy(&ino, unknown->ptr + at, sizeof(ino));
        if (meta_transact(m, META_TXN_WRITE, recount_txn, &ino) < 0)
            log_debug("meta_dir_stat_kept", "ino=%llu", (unsigned long long)ino);
    }
}

static void give_back(struct meta_quotas *q, const struct flush *f)
{
    size_t cursor = 0;
    struct str key;
    void *value;
    mutex_lock(&q->lock);
    q->used_space -= f->space;
    q->used_inodes -= f->inodes;
    q->new_space += f->space;
    q->new_inodes += f->inodes;
    while (map_next(f->dirs, &cursor, &key, &value)) {
        meta_ino ino;
        memcpy(&ino, key.ptr, sizeof(ino));
        owe_dir(q, ino, value);
    }
    mutex_unlock(&q->lock);
}

void meta_usage_flush_volume(struct meta *m)
{
    struct meta_quotas *q = m->quotas;
    struct flush f = {.unknown = buf_make(LIMIT_META_FLUSH_DIRS * sizeof(meta_ino))};
    mutex_lock(&q->lock);
    bool nothing = q->new_space == 0 && q->new_inodes == 0 && map_count(q->dirs) == 0;
    if (!nothing) {
        f.space = q->new_space;
        f.inodes = q->new_inodes;
        f.dirs = q->dirs;
        q->used_space += f.space;
        q->used_inodes += f.inodes;
        q->new_space = q->new_inodes = 0;
        q->dirs = map_new();
    }
    mutex_unlock(&q->lock);
    if (nothing)
        return;
    if (meta_transact(m, META_TXN_WRITE, flush_txn, &f) < 0)
        give_back(q, &f);
    else
        recount_unknown(m, &f.unknown);
    map_free(f.dirs, free);
    buf_done(&f.unknown);
}

/* Writing: quotas */

struct debt {
    bool is_dir;
    meta_ino dir;
    struct owner_key owner;
    int64_t space, inodes;
};

struct debts {
    struct debt *items;
    size_t count;
};

/* sign -1: from what we owe to what counts as stored; 1: back again. */
static void settle(struct meta_quotas *q, const struct debt *d, int sign)
{
    struct cached *c = d->is_dir ? map_get(q->dir_quotas, KEY(d->dir)) : map_get(q->owners, KEY(d->owner));
    if (!c)
        return; /* that quota was removed */
    c->space += sign * d->space;
    c->inodes += sign * d->inodes;
    c->quota.used_space -= sign * d->space;
    c->quota.used_inodes -= sign * d->inodes;
}

static void collect(struct meta_quotas *q, bool is_dir, struct debts *out)
{
    struct map *map = is_dir ? q->dir_quotas : q->owners;
    size_t cursor = 0;
    struct str key;
    void *value;
    while (map_next(map, &cursor, &key, &value)) {
        const struct cached *c = value;
        struct debt *d = &out->items[out->count];
        if (c->space == 0 && c->inodes == 0)
            continue;
        *d = (struct debt){.is_dir = is_dir, .space = c->space, .inodes = c->inodes};
        memcpy(is_dir ? (void *)&d->dir : (void *)&d->owner, key.ptr, key.len);
        out->count++;
    }
}

static struct debts take_debts(struct meta_quotas *q)
{
    mutex_lock(&q->lock);
    struct debts all = {.items = calloc(map_count(q->dir_quotas) + map_count(q->owners) + 1, sizeof(struct debt))};
    CHECK(all.items != NULL); /* out of memory */
    collect(q, true, &all);
    collect(q, false, &all);
    for (size_t i = 0; i < all.count; i++)
        settle(q, &all.items[i], -1);
    mutex_unlock(&q->lock);
    return all;
}

static int pay(struct meta_txn *t, const struct debt *d)
{
    if (d->is_dir) {
        int rc = META_DO(t, dir_quota_add, d->dir, d->space, d->inodes);
        return rc == -ENOENT ? 0 : rc; /* removed meanwhile */
    }
    int rc = META_DO(t, owner_quota_add, d->owner.type, d->owner.id, d->space, d->inodes);
    if (rc == -ENOENT) {
        const struct meta_quota first = {-1, -1, d->space, d->inodes};
        rc = META_DO(t, owner_quota_put, d->owner.type, d->owner.id, &first);
    }
    return rc;
}

static int pay_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    const struct debts *all = arg;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < all->count; i++)
        rc = pay(t, &all->items[i]);
    return rc;
}

void meta_usage_flush_quotas(struct meta *m)
{
    struct debts all = take_debts(m->quotas);
    if (all.count > 0 && meta_transact(m, META_TXN_WRITE, pay_txn, &all) < 0) {
        mutex_lock(&m->quotas->lock);
        for (size_t i = 0; i < all.count; i++)
            settle(m->quotas, &all.items[i], 1);
        mutex_unlock(&m->quotas->lock);
    }
    free(all.items);
}

/* Checks */

static bool exceeds(int64_t used, int64_t delta, int64_t max)
{
    return delta > 0 && max > 0 && used + delta > max;
}

static bool cached_exceeds(const struct cached *c, int64_t space, int64_t inodes)
{
    return c && (exceeds(c->quota.used_space + c->space, space, c->quota.max_space) ||
                 exceeds(c->quota.used_inodes + c->inodes, inodes, c->quota.max_inodes));
}

static int check_volume(struct meta *m, uint32_t uid, uint32_t gid, int64_t space, int64_t inodes)
{
    const struct meta_features f = meta_features(m);
    const struct owner_key user = {META_OWNER_USER, uid}, group = {META_OWNER_GROUP, gid};
    struct meta_quotas *q = m->quotas;
    int rc = 0;
    mutex_lock(&q->lock);
    if (f.owner_quotas && (cached_exceeds(map_get(q->owners, KEY(user)), space, inodes) ||
                           cached_exceeds(map_get(q->owners, KEY(group)), space, inodes)))
        rc = -EDQUOT;
    else if (exceeds(q->used_space + q->new_space, space, (int64_t)f.capacity) ||
             exceeds(q->used_inodes + q->new_inodes, inodes, (int64_t)f.inodes))
        rc = -ENOSPC;
    mutex_unlock(&q->lock);
    return rc;
}

int meta_quota_check_dirs(struct meta *m, meta_ino dir, int64_t space, int64_t inodes)
{
    if ((space <= 0 && inodes <= 0) || dir == 0 || !has_dir_quotas(m))
        return 0;
    struct buf inos = buf_make(LIMIT_META_DEPTH * sizeof(meta_ino));
    int rc = chain_read(m, dir, &inos);
    mutex_lock(&m->quotas->lock);
    for (size_t i = 0; rc == 0 && i < inos.len / sizeof(meta_ino); i++)
        if (cached_exceeds(quota_at(m->quotas, &inos, i), space, inodes))
            rc = -EDQUOT;
    mutex_unlock(&m->quotas->lock);
    buf_done(&inos);
    return rc;
}

int meta_quota_check(struct meta *m, uint32_t uid, uint32_t gid, meta_ino dir, int64_t space, int64_t inodes)
{
    if (space <= 0 && inodes <= 0)
        return 0;
    int rc = check_volume(m, uid, gid, space, inodes);
    return rc < 0 ? rc : meta_quota_check_dirs(m, dir, space, inodes);
}

int meta_quota_of(struct meta *m, meta_ino dir, meta_ino *out)
{
    struct buf inos = buf_make(LIMIT_META_DEPTH * sizeof(meta_ino));
    meta_ino found = 0;
    int rc = has_dir_quotas(m) ? chain_read(m, dir, &inos) : 0;
    mutex_lock(&m->quotas->lock);
    for (size_t i = 0; rc == 0 && found == 0 && i < inos.len / sizeof(meta_ino); i++)
        if (quota_at(m->quotas, &inos, i))
            memcpy(&found, inos.ptr + i * sizeof(meta_ino), sizeof(found));
    mutex_unlock(&m->quotas->lock);
    buf_done(&inos);
    if (rc == 0)
        *out = found;
    return rc;
}

/* For statfs and the like */

void meta_usage_volume(struct meta *m, int64_t *out_space, int64_t *out_inodes)
{
    mutex_lock(&m->quotas->lock);
    *out_space = m->quotas->used_space + m->quotas->new_space;
    *out_inodes = m->quotas->used_inodes + m->quotas->new_inodes;
    mutex_unlock(&m->quotas->lock);
}

bool meta_quota_cached(struct meta *m, meta_ino dir, struct meta_quota *out)
{
    mutex_lock(&m->quotas->lock);
    const struct cached *c = map_get(m->quotas->dir_quotas, KEY(dir));
    if (c) {
        *out = c->quota;
        out->used_space += c->space;
        out->used_inodes += c->inodes;
    }
    mutex_unlock(&m->quotas->lock);
    return c != NULL;
}
