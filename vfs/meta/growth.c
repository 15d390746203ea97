/* What a change of a file's length means for the volume, its directories and its owners (§7.13 post). */
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "vfs/meta/upkeep.h"

struct growth_parent {
    meta_ino ino;
    int64_t links;
};

void meta_growth_begin(struct meta_growth *g)
{
    buf_done(&g->parents);
    *g = (struct meta_growth){.parents = buf_make(LIMIT_META_PARENTS * sizeof(struct growth_parent))};
}

void meta_growth_done(struct meta_growth *g)
{
    buf_done(&g->parents);
}

static int add_parent(void *arg, meta_ino parent, int64_t links)
{
    struct meta_growth *g = arg;
    const struct growth_parent p = {parent, links};
    buf_add(&g->parents, str_of((const char *)&p, sizeof(p)));
    return 0;
}

/* A file that was unlinked while open still says where it was, but has been taken off there. */
static int read_parents(struct meta_txn *t, meta_ino ino, const struct meta_attr *attr, struct meta_growth *g)
{
    if (attr->nlink == 0)
        return 0;
    if (attr->parent > 0)
        return add_parent(g, attr->parent, 1);
    return META_DO(t, parent_scan, ino, add_parent, g);
}

int meta_growth_read(struct meta_txn *t, meta_ino ino, struct meta_attr *attr, uint64_t length, struct meta_growth *g)
{
    g->uid = attr->uid;
    g->gid = attr->gid;
    g->length = (int64_t)(length - attr->length);
    g->space = (int64_t)(meta_align4k(length) - meta_align4k(attr->length));
    attr->length = length;
    return g->length ? read_parents(t, ino, attr, g) : 0;
}

static size_t parent_count(const struct meta_growth *g)
{
    return g->parents.len / sizeof(struct growth_parent);
}

static struct growth_parent parent_at(const struct meta_growth *g, size_t i)
{
    struct growth_parent p;
    memcpy(&p, g->parents.ptr + i * sizeof(p), sizeof(p));
    return p;
}

void meta_growth_apply(struct meta *m, struct meta_growth *g)
{
    if (g->length == 0)
        return;
    struct meta_usage volume = {.space = g->space};
    meta_usage_owner_add(&volume, g->uid, g->gid, g->space, 0);
    meta_usage_apply(m, &volume);
    for (size_t i = 0; i < parent_count(g); i++) {
        const struct growth_parent p = parent_at(g, i);
        struct meta_usage u = {0};
        const struct meta_usage_dir add = {.ino = p.ino,
                                           .length = p.links * g->length,
                                           .space = p.links * g->space,
                                           .quota_space = meta_is_trash(p.ino) ? 0 : p.links * g->space};
        meta_usage_dir_add(&u, &add);
        meta_usage_apply(m, &u);
    }
}

struct peek {
    meta_ino ino;
    uint64_t length;
    struct meta_growth growth;
};

static int peek_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct peek *p = arg;
    struct meta_attr attr;
    meta_growth_begin(&p->growth);
    int rc = META_DO(t, node_get, p->ino, false, &attr);
    if (rc < 0 || p->length <= attr.length)
        return rc;
    return meta_growth_read(t, p->ino, &attr, p->length, &p->growth);
}

int meta_growth_check(struct meta *m, meta_ino ino, uint64_t length)
{
    if (!meta_quotas_any(m))
        return 0;
    struct peek p = {.ino = ino, .length = length};
    int rc = meta_transact(m, META_TXN_READ, peek_txn, &p);
    for (size_t i = 0; rc == 0 && p.growth.space > 0 && i < parent_count(&p.growth); i++)
        rc = meta_quota_check(m, p.growth.uid, p.growth.gid, parent_at(&p.growth, i).ino, p.growth.space, 0);
    if (rc == 0 && p.growth.space > 0 && parent_count(&p.growth) == 0)
        rc = meta_quota_check(m, p.growth.uid, p.growth.gid, 0, p.growth.space, 0);
    meta_growth_done(&p.growth);
    return rc;
}
