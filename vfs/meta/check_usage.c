/* What clients count later than they change it: statistics of directories, the volume's counters, usage of quotas (§4.4, §7).
 * Whatever is off is off by what a client lost when it died, and by what a living one has not written yet: only what is the same
 * before and after settle_ms is the former. Since everybody changes these numbers by differences, they are mended by one. */
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/map.h"
#include "vfs/meta/check_internal.h"

#define ROUNDS 4

/* Directories --------------------------------------------------------------------------------------------------------------- */

struct dir_call {
    struct check_dir now;
    const struct check_dir *before; /* repairing */
    bool gone;
};

static int read_dir(struct meta_txn *t, bool lock, struct dir_call *d)
{
    struct meta_attr attr;
    d->now.found = (struct meta_dir_stat){0};
    int rc = META_DO(t, node_get, d->now.ino, false, &attr);
    d->gone = rc == -ENOENT;
    if (rc < 0)
        return d->gone ? 0 : rc;
    rc = meta_dir_count(t, d->now.ino, &d->now.expected);
    if (rc < 0)
        return rc;
    rc = META_DO(t, dir_stat_get, d->now.ino, lock, &d->now.found);
    d->now.missing = rc == -ENOENT;
    return rc == -ENOENT ? 0 : rc;
}

static int read_dir_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    return read_dir(t, false, arg);
}

static bool same_stat(const struct meta_dir_stat *a, const struct meta_dir_stat *b)
{
    return a->data_length == b->data_length && a->used_space == b->used_space && a->used_inodes == b->used_inodes;
}

static int mend_dir_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct dir_call *d = arg;
    const struct meta_dir_stat *found = &d->before->found, *expected = &d->before->expected;
    (void)m;
    int rc = read_dir(t, true, d);
    if (rc < 0 || d->gone)
        return rc < 0 ? rc : -ENOENT;
    if (d->now.missing)
        return META_DO(t, dir_stat_put, d->now.ino, &d->now.expected);
    if (d->before->missing || !same_stat(&d->now.found, found))
        return -ENOENT;
    const struct meta_dir_stat off = {expected->data_length - found->data_length, expected->used_space - found->used_space,
                                      expected->used_inodes - found->used_inodes};
    return META_DO(t, dir_stat_add, d->now.ino, &off);
}

static int tell_number(struct check *c, enum meta_flaw flaw, meta_ino ino, int64_t found, int64_t expected, int mended)
{
    const struct meta_finding f = {.flaw = flaw,
                                   .ino = ino,
                                   .found = found,
                                   .expected = expected,
                                   .repaired = mended == 0,
                                   .kept = c->options.repair && mended < 0};
    return check_tell(c, &f);
}

static int tell_dir(struct check *c, const struct check_dir *dir)
{
    struct dir_call d = {.now = {.ino = dir->ino}, .before = dir};
    const struct meta_dir_stat *found = &dir->found, *expected = &dir->expected;
    int mended = c->options.repair ? meta_transact(c->m, META_TXN_WRITE, mend_dir_txn, &d) : -EPERM;
    int rc = 0;
    if (mended == -ENOENT)
        return 0;
    if (found->used_inodes != expected->used_inodes)
        rc = tell_number(c, META_FLAW_DIR_INODES, dir->ino, found->used_inodes, expected->used_inodes, mended);
    if (rc == 0 && found->used_space != expected->used_space)
        rc = tell_number(c, META_FLAW_DIR_SPACE, dir->ino, found->used_space, expected->used_space, mended);
    else if (rc == 0 && found->data_length != expected->data_length)
        rc = tell_number(c, META_FLAW_DIR_SPACE, dir->ino, found->data_length, expected->data_length, mended);
    return rc;
}

/* One look at each suspect: told, forgotten, or kept with what it shows now. */
static int judge_dirs(struct check *c)
{
    size_t kept = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->dir_count; i++) {
        struct dir_call d = {.now = {.ino = c->dirs[i].ino}};
        rc = meta_transact(c->m, META_TXN_READ, read_dir_txn, &d);
        if (rc < 0 || d.gone || same_stat(&d.now.found, &d.now.expected))
            continue;
        bool settled = d.now.missing == c->dirs[i].missing && same_stat(&d.now.found, &c->dirs[i].found) &&
                       same_stat(&d.now.expected, &c->dirs[i].expected);
        if (settled)
            rc = tell_dir(c, &d.now);
        else
            c->dirs[kept++] = d.now;
    }
    c->dir_count = kept;
    return rc;
}

int check_dirs(struct check *c)
{
    int rc = 0;
    for (int round = 0; rc == 0 && c->dir_count > 0 && round < ROUNDS; round++) {
        rc = check_settle(c);
        if (rc == 0)
            rc = judge_dirs(c);
    }
    c->result.unsettled += c->dir_count;
    c->dir_count = 0;
    return rc;
}

/* Pairs of space and inodes: the volume's, quotas' ------------------------------------------------------------------------------ */

enum gauge_kind { GAUGE_VOLUME, GAUGE_DIR, GAUGE_OWNER };

struct gauge {
    enum gauge_kind kind;
    uint64_t key;               /* directory, user, group */
    enum meta_owner_type owner; /* which of these two */
    int64_t found_space, found_inodes, space, inodes;
};

struct sample {
    struct check *c;
    struct gauge *items;
    size_t count, capacity;
    struct map *owners; /* struct owner_key -> struct owner_sum */
};

struct owner_key {
    uint32_t type, id;
};
struct owner_sum {
    int64_t space, inodes;
};

static int add_gauge(struct sample *s, const struct gauge *g)
{
    if (s->count == LIMIT_META_QUOTAS)
        return -E2BIG;
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? 2 * s->capacity : 16;
        s->items = reallocarray(s->items, s->capacity, sizeof(*s->items));
        CHECK(s->items != NULL); /* out of memory */
    }
    s->items[s->count++] = *g;
    return 0;
}

static int volume_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct gauge *g = arg;
    struct meta_totals totals;
    (void)m;
    int rc = META_DO(t, node_totals, &totals);
    if (rc == 0)
        rc = META_DO(t, counter_get, "usedSpace", &g->found_space);
    if (rc == 0)
        rc = META_DO(t, counter_get, "totalInodes", &g->found_inodes);
    if (rc < 0)
        return rc;
    g->space = totals.used_space;
    g->inodes = totals.nodes;
    return 0;
}

static int add_dir_quota(void *arg, meta_ino ino, const struct meta_quota *q)
{
    return add_gauge(arg, &(struct gauge){
                              .kind = GAUGE_DIR, .key = ino, .found_space = q->used_space, .found_inodes = q->used_inodes});
}

static int dir_quotas_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct sample *s = arg;
    (void)m;
    s->count = 1; /* behind the volume's */
    return META_DO(t, dir_quota_scan, add_dir_quota, s);
}

/* A directory that is gone, or goes meanwhile, has nothing to compare with. */
static int count_subtrees(struct sample *s)
{
    int rc = 0;
    for (size_t i = 1; rc == 0 && i < s->count; i++) {
        struct gauge *g = &s->items[i];
        struct meta_summary sum;
        rc = check_go_on(s->c);
        if (rc == 0)
            rc = meta_summary(s->c->m, g->key, &sum);
        if (rc == 0) {
            g->space = (int64_t)sum.space - 4096;
            g->inodes = (int64_t)(sum.files + sum.directories) - 1;
        } else if (rc == -ENOENT) {
            g->space = g->found_space;
            g->inodes = g->found_inodes;
            rc = 0;
        }
    }
    return rc;
}

static void add_owner(struct sample *s, enum meta_owner_type type, uint32_t id, int64_t space)
{
    const struct owner_key key = {type, id};
    struct str bytes = str_of((const char *)&key, sizeof(key));
    struct owner_sum *sum = map_get(s->owners, bytes);
    if (!sum) {
        sum = calloc(1, sizeof(*sum));
        CHECK(sum != NULL); /* out of memory */
        (void)map_set(s->owners, bytes, sum); /* it was not there */
    }
    sum->space += space;
    sum->inodes++;
}

static int add_owned(void *arg, meta_ino ino, const struct meta_attr *attr)
{
    struct sample *s = arg;
    if (ino == META_ROOT || ino == META_TRASH)
        return 0;
    add_owner(s, META_OWNER_USER, attr->uid, (int64_t)meta_node_space(attr));
    add_owner(s, META_OWNER_GROUP, attr->gid, (int64_t)meta_node_space(attr));
    return map_count(s->owners) > LIMIT_META_QUOTAS ? -E2BIG : 0;
}

static int add_owner_quota(void *arg, enum meta_owner_type type, uint32_t id, const struct meta_quota *q)
{
    struct sample *s = arg;
    const struct owner_key key = {type, id};
    const struct owner_sum *sum = map_get(s->owners, str_of((const char *)&key, sizeof(key)));
    struct gauge g = {
        .kind = GAUGE_OWNER, .key = id, .owner = type, .found_space = q->used_space, .found_inodes = q->used_inodes};
    if (sum) {
        g.space = sum->space;
        g.inodes = sum->inodes;
    }
    return add_gauge(s, &g);
}

/* Owners without a record get theirs when something of them changes (§7 UG); until then they are not counted. */
static int owners_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct sample *s = arg;
    size_t before = s->count;
    (void)m;
    map_free(s->owners, free);
    s->owners = map_new();
    int rc = META_DO(t, node_scan, 0, 0, add_owned, s);
    if (rc == 0)
        rc = META_DO(t, owner_quota_scan, add_owner_quota, s);
    if (rc < 0)
        s->count = before;
    return rc;
}

static int take_sample(struct check *c, struct sample *s)
{
    const struct meta_features f = meta_features(c->m);
    struct gauge volume = {.kind = GAUGE_VOLUME};
    *s = (struct sample){.c = c};
    int rc = meta_transact(c->m, META_TXN_READ, volume_txn, &volume);
    if (rc == 0)
        rc = add_gauge(s, &volume);
    if (rc == 0 && f.dir_stats)
        rc = meta_transact(c->m, META_TXN_READ, dir_quotas_txn, s);
    if (rc == 0)
        rc = count_subtrees(s);
    if (rc == 0 && f.owner_quotas)
        rc = meta_transact(c->m, META_TXN_READ, owners_txn, s);
    return rc;
}

static void sample_done(struct sample *s)
{
    map_free(s->owners, free);
    free(s->items);
}

static bool is_off(const struct gauge *g)
{
    return g->space != g->found_space || g->inodes != g->found_inodes;
}

static bool any_off(const struct sample *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (is_off(&s->items[i]))
            return true;
    return false;
}

/* Repair -------------------------------------------------------------------------------------------------------------------- */

struct mend {
    const struct gauge *g;
    int64_t space, inodes; /* what is to be added */
};

static int read_gauge(struct meta_txn *t, const struct gauge *g, int64_t *space, int64_t *inodes)
{
    struct meta_quota q;
    if (g->kind == GAUGE_VOLUME) {
        int rc = META_DO(t, counter_get, "usedSpace", space);
        return rc == 0 ? META_DO(t, counter_get, "totalInodes", inodes) : rc;
    }
    int rc = g->kind == GAUGE_DIR ? META_DO(t, dir_quota_get, g->key, true, &q)
                                  : META_DO(t, owner_quota_get, g->owner, (uint32_t)g->key, true, &q);
    if (rc == 0) {
        *space = q.used_space;
        *inodes = q.used_inodes;
    }
    return rc;
}

static int mend_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct mend *d = arg;
    const struct gauge *g = d->g;
    int64_t space, inodes;
    (void)m;
    int rc = read_gauge(t, g, &space, &inodes);
    if (rc < 0 || space != g->found_space || inodes != g->found_inodes)
        return rc < 0 ? rc : -ENOENT;
    int64_t more_space = g->space - space, more_inodes = g->inodes - inodes;
    if (g->kind == GAUGE_DIR)
        return META_DO(t, dir_quota_add, g->key, more_space, more_inodes);
    if (g->kind != GAUGE_VOLUME)
        return META_DO(t, owner_quota_add, g->owner, (uint32_t)g->key, more_space, more_inodes);
    rc = META_DO(t, counter_add, "usedSpace", more_space, NULL);
    return rc == 0 ? META_DO(t, counter_add, "totalInodes", more_inodes, NULL) : rc;
}

static enum meta_flaw space_flaw(const struct gauge *g)
{
    if (g->kind == GAUGE_OWNER)
        return g->owner == META_OWNER_USER ? META_FLAW_USER_SPACE : META_FLAW_GROUP_SPACE;
    return g->kind == GAUGE_DIR ? META_FLAW_QUOTA_SPACE : META_FLAW_VOLUME_SPACE;
}

static int tell_gauge(struct check *c, const struct gauge *g)
{
    struct mend d = {.g = g};
    int mended = c->options.repair ? meta_transact(c->m, META_TXN_WRITE, mend_txn, &d) : -EPERM;
    int rc = 0;
    if (mended == -ENOENT)
        return 0;
    if (g->space != g->found_space)
        rc = tell_number(c, space_flaw(g), g->key, g->found_space, g->space, mended);
    if (rc == 0 && g->inodes != g->found_inodes) /* the flaw of inodes follows that of space */
        rc = tell_number(c, (enum meta_flaw)(space_flaw(g) + 1), g->key, g->found_inodes, g->inodes, mended);
    return rc;
}

static bool same_gauge(const struct gauge *a, const struct gauge *b)
{
    return a->kind == b->kind && a->key == b->key && a->owner == b->owner && a->found_space == b->found_space &&
           a->found_inodes == b->found_inodes && a->space == b->space && a->inodes == b->inodes;
}

/* Quotas come in the same order each time; one that was added or removed meanwhile is looked at in the next round. */
static int judge_gauges(struct check *c, const struct sample *before, struct sample *now)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < now->count; i++) {
        struct gauge *g = &now->items[i];
        if (!is_off(g) || i >= before->count || !same_gauge(g, &before->items[i]))
            continue;
        rc = tell_gauge(c, g);
        g->space = g->found_space; /* it is told */
        g->inodes = g->found_inodes;
    }
    return rc;
}

/* Numbers that are given out (§3.5) ------------------------------------------------------------------------------------------------ */

struct number {
    const char *counter;
    int64_t least, value; /* it should be at least */
};

static int number_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct number *n = arg;
    (void)m;
    return META_DO(t, counter_get, n->counter, &n->value);
}

static int mend_number_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct number *n = arg;
    int64_t value;
    (void)m;
    int rc = META_DO(t, counter_get, n->counter, &value);
    return rc < 0 || value >= n->least ? rc : META_DO(t, counter_put, n->counter, n->least);
}

/* A number in use that is given out once more overwrites what has it: clients take numbers before they use them. */
static int check_number(struct check *c, const char *counter, uint64_t least)
{
    struct number n = {.counter = counter, .least = (int64_t)least};
    int rc = meta_transact(c->m, META_TXN_READ, number_txn, &n);
    if (rc < 0 || n.value >= n.least)
        return rc;
    struct meta_finding f = {
        .flaw = META_FLAW_NEXT_NUMBER, .name = str_z(counter), .found = n.value, .expected = n.least};
    int mended = c->options.repair ? meta_transact(c->m, META_TXN_WRITE, mend_number_txn, &n) : -EPERM;
    f.repaired = mended == 0;
    f.kept = c->options.repair && mended < 0;
    return check_tell(c, &f);
}

static int check_numbers(struct check *c)
{
    int rc = check_number(c, "nextInode", c->inode_max + 1);
    if (rc == 0)
        rc = check_number(c, "nextChunk", c->slice_max + 1);
    return rc == 0 && c->trash_max > META_TRASH ? check_number(c, "nextTrash", c->trash_max - META_TRASH) : rc;
}

/* Directories and gauges wait together. */
int check_usage(struct check *c)
{
    struct sample before, now;
    int rc = check_numbers(c);
    if (rc < 0)
        return rc;
    job_phase(c->options.job, "counting what is used", JOB_COUNT, 0);
    rc = take_sample(c, &before);
    for (int round = 0; rc == 0 && round < ROUNDS && (c->dir_count > 0 || any_off(&before)); round++) {
        rc = check_settle(c);
        if (rc == 0)
            rc = judge_dirs(c);
        if (rc == 0)
            rc = take_sample(c, &now);
        else
            break;
        if (rc == 0)
            rc = judge_gauges(c, &before, &now);
        sample_done(&before);
        before = now;
    }
    for (size_t i = 0; rc == 0 && i < before.count; i++)
        c->result.unsettled += is_off(&before.items[i]);
    c->result.unsettled += c->dir_count;
    c->dir_count = 0;
    sample_done(&before);
    return rc;
}
