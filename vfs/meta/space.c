/* Space: what a volume or a directory has left, what it holds, and the quotas of directories (§7.21, §7.22). */
#include "base/limits.h"
#include "vfs/meta/upkeep.h"

#define UNLIMITED_BYTES (1ull << 50) /* what a volume without capacity shows at least */
#define UNLIMITED_INODES (10ull << 20)

static uint64_t at_least_zero(int64_t n)
{
    return n > 0 ? (uint64_t)n : 0;
}

/* Doubled until it is at most `percent` full. */
static uint64_t room_for(uint64_t size, uint64_t used, uint64_t percent)
{
    while (size < UINT64_MAX / 200 && size * percent < used * 100)
        size *= 2;
    return size;
}

static void volume_space(struct meta *m, struct meta_space *out)
{
    const struct meta_features f = meta_features(m);
    int64_t space, inodes;
    meta_usage_volume(m, &space, &inodes);
    const uint64_t used = at_least_zero(space);
    out->used_inodes = at_least_zero(inodes);
    out->total_bytes = f.capacity > 0 ? f.capacity : room_for(UNLIMITED_BYTES, used, 80);
    if (out->total_bytes < used)
        out->total_bytes = used;
    out->free_bytes = out->total_bytes - used;
    out->free_inodes = f.inodes > out->used_inodes ? f.inodes - out->used_inodes : 0;
    if (f.inodes == 0)
        out->free_inodes = room_for(UNLIMITED_INODES, out->used_inodes, 400);
}

static void shrink(uint64_t *left, int64_t max, int64_t used)
{
    uint64_t rest = at_least_zero(max - used);
    if (max > 0 && rest < *left)
        *left = rest;
}

struct stat_call {
    meta_ino dir;
    struct meta_attr attr;
    struct meta_dir_stat stat;
};

static int attr_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct stat_call *c = arg;
    return META_DO(t, node_get, c->dir, false, &c->attr);
}

/* The nearest quota tells what is used; the least of all what is left. */
int meta_statfs(struct meta *m, meta_ino dir, struct meta_space *out)
{
    struct meta_space s;
    struct meta_quota q, nearest;
    bool limited = false;
    meta_ino at = 0;
    volume_space(m, &s);
    int rc = meta_quota_of(m, dir, &at);
    while (rc == 0 && at != 0 && meta_quota_cached(m, at, &q)) {
        if (!limited)
            nearest = q;
        limited = true;
        shrink(&s.free_bytes, q.max_space, q.used_space);
        shrink(&s.free_inodes, q.max_inodes, q.used_inodes);
        struct stat_call up = {.dir = at};
        if (at == META_ROOT)
            break;
        rc = meta_transact(m, META_TXN_READ, attr_txn, &up);
        if (rc == 0)
            rc = meta_quota_of(m, up.attr.parent, &at);
    }
    if (limited) {
        s.total_bytes = at_least_zero(nearest.used_space) + s.free_bytes;
        s.used_inodes = at_least_zero(nearest.used_inodes);
    }
    if (rc == 0)
        *out = s;
    return rc;
}

/* Statistics */

static int count_entry(void *arg, const struct meta_entry *e)
{
    struct meta_dir_stat *s = arg;
    s->used_inodes++;
    s->used_space += e->attr ? (int64_t)meta_node_space(e->attr) : 4096;
    s->data_length += e->attr && e->attr->type == META_FILE ? (int64_t)e->attr->length : 0;
    return 0;
}

int meta_dir_count(struct meta_txn *t, meta_ino dir, struct meta_dir_stat *out)
{
    const struct meta_edge_scan scan = {.parent = dir, .want = META_EDGE_ATTR};
    struct meta_dir_stat s = {0};
    int rc = META_DO(t, edge_scan, &scan, count_entry, &s);
    if (rc == 0)
        *out = s;
    return rc;
}

static int stat_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct stat_call *c = arg;
    int rc = attr_txn(m, t, c);
    if (rc == 0 && c->attr.type != META_DIRECTORY)
        rc = -ENOTDIR;
    if (rc < 0)
        return rc;
    rc = meta_features(m).dir_stats ? META_DO(t, dir_stat_get, c->dir, false, &c->stat) : -ENOENT;
    return rc == -ENOENT ? meta_dir_count(t, c->dir, &c->stat) : rc;
}

int meta_dir_stat(struct meta *m, meta_ino dir, struct meta_dir_stat *out)
{
    struct stat_call c = {.dir = dir};
    meta_usage_flush_volume(m);
    int rc = meta_transact(m, META_TXN_READ, stat_txn, &c);
    if (rc == 0)
        *out = c.stat;
    return rc;
}

/* Summary: the subtree's directories one after the other, those still to do on a stack. */

struct walk {
    meta_ino dir;
    struct buf todo; /* meta_ino each */
    size_t mark;     /* its length when the directory was begun, for another try */
    struct meta_summary before, sum;
};

static void count_node(struct meta_summary *sum, const struct meta_attr *attr)
{
    sum->space += meta_node_space(attr);
    if (attr->type == META_DIRECTORY) {
        sum->directories++;
        return;
    }
    sum->files++;
    if (attr->type == META_FILE)
        sum->length += attr->length;
}

static int walk_entry(void *arg, const struct meta_entry *e)
{
    struct walk *w = arg;
    if (!e->attr)
        return 0;
    count_node(&w->sum, e->attr);
    if (e->attr->type == META_DIRECTORY)
        buf_add(&w->todo, str_of((const char *)&e->ino, sizeof(e->ino)));
    return 0;
}

static int walk_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct walk *w = arg;
    const struct meta_edge_scan scan = {.parent = w->dir, .want = META_EDGE_ATTR};
    buf_truncate(&w->todo, w->mark);
    w->sum = w->before;
    return META_DO(t, edge_scan, &scan, walk_entry, w);
}

static int walk_all(struct meta *m, struct walk *w)
{
    int rc = 0;
    while (rc == 0 && w->todo.len > 0) {
        w->mark = w->todo.len - sizeof(meta_ino);
        memcpy(&w->dir, w->todo.ptr + w->mark, sizeof(meta_ino));
        w->before = w->sum;
        rc = meta_transact(m, META_TXN_READ, walk_txn, w);
        if (rc == 0 && w->todo.failed)
            rc = -E2BIG;
    }
    return rc;
}

int meta_summary(struct meta *m, meta_ino ino, struct meta_summary *out)
{
    struct stat_call c = {.dir = ino};
    struct walk w = {.todo = buf_make(LIMIT_META_WALK_DIRS * sizeof(meta_ino))};
    int rc = meta_transact(m, META_TXN_READ, attr_txn, &c);
    if (rc < 0)
        return rc;
    count_node(&w.sum, &c.attr);
    if (c.attr.type == META_DIRECTORY)
        buf_add(&w.todo, str_of((const char *)&ino, sizeof(ino)));
    rc = walk_all(m, &w);
    buf_done(&w.todo);
    if (rc == 0)
        *out = w.sum;
    return rc;
}

/* Quotas of directories */

struct quota_call {
    meta_ino dir;
    int64_t max_space, max_inodes;
    struct meta_summary sum;
    struct meta_quota quota;
};

static int quota_get_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct quota_call *c = arg;
    return META_DO(t, dir_quota_get, c->dir, false, &c->quota);
}

int meta_quota_get(struct meta *m, meta_ino dir, struct meta_quota *out)
{
    struct quota_call c = {.dir = dir};
    meta_usage_flush_quotas(m);
    int rc = meta_transact(m, META_TXN_READ, quota_get_txn, &c);
    if (rc == 0)
        *out = c.quota;
    return rc;
}

static int quota_set_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct quota_call *c = arg;
    int rc = META_DO(t, dir_quota_get, c->dir, true, &c->quota);
    if (rc == -ENOENT) {
        c->quota.used_space = (int64_t)c->sum.space - 4096;
        c->quota.used_inodes = (int64_t)(c->sum.files + c->sum.directories) - 1;
        rc = 0;
    }
    c->quota.max_space = c->max_space;
    c->quota.max_inodes = c->max_inodes;
    return rc == 0 ? META_DO(t, dir_quota_put, c->dir, &c->quota) : rc;
}

static int quota_delete_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    const struct quota_call *c = arg;
    return META_DO(t, dir_quota_delete, c->dir);
}

int meta_quota_set(struct meta *m, meta_ino dir, int64_t max_space, int64_t max_inodes)
{
    struct quota_call c = {.dir = dir, .max_space = max_space, .max_inodes = max_inodes};
    struct stat_call what = {.dir = dir};
    const bool removed = max_space < 0 && max_inodes < 0;
    if (!meta_features(m).dir_stats)
        return -ENOTSUP; /* without them nobody counts what quotas compare with (§1.2) */
    meta_usage_flush_quotas(m);
    int rc = meta_transact(m, META_TXN_READ, attr_txn, &what);
    if (rc == 0 && what.attr.type != META_DIRECTORY)
        rc = -ENOTDIR;
    if (rc == 0 && !removed)
        rc = meta_summary(m, dir, &c.sum);
    if (rc == 0)
        rc = meta_transact(m, META_TXN_WRITE, removed ? quota_delete_txn : quota_set_txn, &c);
    return rc == 0 ? meta_quotas_load(m) : rc;
}
