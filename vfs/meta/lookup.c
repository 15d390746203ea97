/* Finding and reading: names, paths, attributes, entries. */
#include "base/check.h"
#include "base/limits.h"
#include "vfs/meta/memo.h"

struct look {
    const struct meta_ctx *ctx;
    meta_ino parent;
    struct str name;
    meta_ino ino;
    struct meta_attr attr;
};

static int look_at(struct meta_txn *t, meta_ino ino, struct look *l)
{
    l->ino = ino;
    return meta_node_get(t, ino, false, &l->attr);
}

/* One component; l->attr: the parent's attributes before, the node's after. */
static int step(struct meta_txn *t, struct look *l)
{
    if (l->attr.type != META_DIRECTORY)
        return -ENOTDIR;
    int rc = meta_check_access(t, l->ctx, &l->attr, META_ACCESS_X);
    if (rc < 0)
        return rc;
    if (str_is(l->name, "."))
        return look_at(t, l->parent, l);
    if (str_is(l->name, ".."))
        return look_at(t, l->parent == META_ROOT ? META_ROOT : l->attr.parent, l);
    if (l->parent == META_ROOT && str_is(l->name, META_TRASH_NAME))
        return look_at(t, META_TRASH, l);
    rc = meta_check_name(l->name);
    return rc < 0 ? rc : META_DO(t, edge_get_node, l->parent, l->name, &l->ino, &l->attr);
}

static int lookup_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct look *l = arg;
    int rc = meta_node_get(t, l->parent, false, &l->attr);
    return rc < 0 ? rc : step(t, l);
}

/* What is found depends on who asks when permissions are checked on the way. */
static bool is_for_all(const struct meta_ctx *ctx)
{
    return !ctx || !ctx->check_permission;
}

/* The read behind a memo: 0, or what went wrong; l->ino and l->attr are the result. */
static int remember(struct meta *m, const struct meta_memo_key *key, meta_txn_fn fn, void *arg, struct look *l)
{
    struct meta_memo_answer a;
    struct meta_stamp stamp = {0};
    const bool shared = is_for_all(l->ctx);
    if (shared && meta_memo_find(m, key, &a, NULL, &stamp)) {
        l->ino = a.ino;
        l->attr = a.attr;
        return a.rc;
    }
    int rc = meta_transact(m, META_TXN_READ, fn, arg);
    a = (struct meta_memo_answer){.rc = rc};
    if (rc == 0) {
        a.ino = l->ino;
        a.attr = l->attr;
    }
    meta_memo_keep(m, key, &a, STR_EMPTY, &stamp);
    return rc;
}

int meta_lookup(struct meta *m, const struct meta_ctx *ctx, meta_ino parent, struct str name, meta_ino *out_ino,
                struct meta_attr *out)
{
    const struct meta_memo_key key = {META_MEMO_NAME, parent, name};
    struct look l = {.ctx = ctx, .parent = parent, .name = name};
    int rc = remember(m, &key, lookup_txn, &l, &l);
    if (rc < 0)
        return rc;
    *out_ino = l.ino;
    *out = l.attr;
    return 0;
}

struct resolve {
    struct look look;
    meta_ino from;
    struct str path;
};

static int resolve_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct resolve *r = arg;
    struct look *l = &r->look;
    struct str rest = r->path;
    int rc = look_at(t, r->from, l);
    while (rc >= 0 && rest.len > 0 && str_split(&rest, '/', &l->name)) {
        l->parent = l->ino;
        rc = step(t, l);
    }
    return rc;
}

int meta_resolve(struct meta *m, const struct meta_ctx *ctx, meta_ino from, struct str path, meta_ino *out_ino,
                 struct meta_attr *out)
{
    const struct meta_memo_key key = {META_MEMO_PATH, from, path};
    struct resolve r = {.look = {.ctx = ctx}, .from = from, .path = path};
    int rc = remember(m, &key, resolve_txn, &r, &r.look);
    if (rc < 0)
        return rc;
    *out_ino = r.look.ino;
    *out = r.look.attr;
    return 0;
}

static int getattr_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct look *l = arg;
    return meta_node_get(t, l->ino, false, &l->attr);
}

int meta_getattr(struct meta *m, meta_ino ino, struct meta_attr *out)
{
    const struct meta_memo_key key = {.kind = META_MEMO_NODE, .ino = ino};
    struct look l = {.ino = ino};
    int rc = remember(m, &key, getattr_txn, &l, &l);
    if (rc >= 0)
        *out = l.attr;
    return rc;
}

static int recall(struct meta *m, const struct meta_memo_key *key, meta_ino *out_ino, struct meta_attr *out)
{
    struct meta_memo_answer a;
    struct meta_stamp stamp;
    if (!meta_memo_find(m, key, &a, NULL, &stamp))
        return -EAGAIN;
    if (a.rc == 0) {
        *out_ino = a.ino;
        *out = a.attr;
    }
    return a.rc;
}

int meta_recall_name(struct meta *m, meta_ino parent, struct str name, meta_ino *out_ino, struct meta_attr *out)
{
    return recall(m, &(struct meta_memo_key){META_MEMO_NAME, parent, name}, out_ino, out);
}

int meta_recall_path(struct meta *m, meta_ino from, struct str path, meta_ino *out_ino, struct meta_attr *out)
{
    return recall(m, &(struct meta_memo_key){META_MEMO_PATH, from, path}, out_ino, out);
}

struct access {
    const struct meta_ctx *ctx;
    meta_ino ino;
    unsigned want;
    const struct meta_attr *known;
};

static int access_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    const struct access *a = arg;
    struct meta_attr attr;
    int rc = 0;
    if (a->known)
        attr = *a->known;
    else
        rc = meta_node_get(t, a->ino, false, &attr);
    return rc < 0 ? rc : meta_check_access(t, a->ctx, &attr, a->want);
}

int meta_access(struct meta *m, const struct meta_ctx *ctx, meta_ino ino, unsigned want, const struct meta_attr *attr)
{
    struct access a = {ctx, ino, want, attr};
    return meta_transact(m, META_TXN_READ, access_txn, &a);
}

struct readlink {
    meta_ino ino;
    struct buf target;
};

static int readlink_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct readlink *r = arg;
    struct meta_attr attr;
    buf_reset(&r->target);
    int rc = META_DO(t, symlink_get, r->ino, &r->target);
    if (rc != -ENOENT)
        return rc;
    rc = META_DO(t, node_get, r->ino, false, &attr);
    if (rc < 0)
        return rc;
    return attr.type == META_SYMLINK ? -EIO : -EINVAL; /* a link without its target is damage */
}

int meta_readlink(struct meta *m, meta_ino ino, struct buf *out)
{
    struct readlink r = {.ino = ino, .target = buf_make(META_SYMLINK_MAX)};
    int rc = meta_transact(m, META_TXN_READ, readlink_txn, &r);
    if (rc >= 0)
        buf_add(out, buf_str(&r.target));
    buf_done(&r.target);
    return rc;
}

struct readdir {
    const struct meta_ctx *ctx;
    const struct meta_edge_scan *scan;
    meta_entry_fn fn;
    void *arg;
    bool begun; /* fn has seen entries: too late for another try */
};

static int entry(void *arg, const struct meta_entry *e)
{
    struct readdir *r = arg;
    r->begun = true;
    return r->fn(r->arg, e);
}

static int readdir_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct readdir *r = arg;
    const bool plus = (r->scan->want & META_EDGE_ATTR) || r->scan->xattr_name;
    struct meta_attr attr;
    int rc = meta_node_get(t, r->scan->parent, false, &attr);
    if (rc < 0)
        return rc;
    if (attr.type != META_DIRECTORY)
        return -ENOTDIR;
    rc = meta_check_access(t, r->ctx, &attr, plus ? META_ACCESS_R | META_ACCESS_X : META_ACCESS_R);
    if (rc >= 0)
        rc = META_DO(t, edge_scan, r->scan, entry, r);
    return rc == -META_AGAIN && r->begun ? -EBUSY : rc;
}

int meta_readdir(struct meta *m, const struct meta_ctx *ctx, const struct meta_edge_scan *scan, meta_entry_fn fn, void *arg)
{
    struct readdir r = {.ctx = ctx, .scan = scan, .fn = fn, .arg = arg};
    return meta_transact(m, META_TXN_READ, readdir_txn, &r);
}
