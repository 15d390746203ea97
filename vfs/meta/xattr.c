/* Extended attributes (§7.17). */
#include "base/check.h"
#include "base/limits.h"
#include "vfs/meta/internal.h"

struct xattr {
    meta_ino ino;
    struct str name, value;
    unsigned flags;
    struct buf found;
    meta_xattr_fn fn;
    void *arg;
};

static int check_name(struct str name)
{
    if (name.len > META_NAME_MAX)
        return -ERANGE;
    return name.len == 0 || memchr(name.ptr, '\0', name.len) ? -EINVAL : 0;
}

static int get_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct xattr *x = arg;
    buf_reset(&x->found);
    int rc = META_DO(t, xattr_get, x->ino, x->name, false, &x->found);
    return rc == -ENOENT ? -ENODATA : rc;
}

int meta_xattr_get(struct meta *m, meta_ino ino, struct str name, struct buf *out)
{
    struct xattr x = {.ino = ino, .name = name, .found = buf_make(LIMIT_META_XATTR_BYTES)};
    int rc = check_name(name);
    if (rc >= 0)
        rc = meta_transact(m, META_TXN_READ, get_txn, &x);
    if (rc >= 0)
        buf_add(out, buf_str(&x.found));
    buf_done(&x.found);
    return rc;
}

static int list_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    const struct xattr *x = arg;
    return META_DO(t, xattr_scan, x->ino, x->fn, x->arg);
}

int meta_xattr_list(struct meta *m, meta_ino ino, meta_xattr_fn fn, void *arg)
{
    struct xattr x = {.ino = ino, .fn = fn, .arg = arg};
    return meta_transact(m, META_TXN_READ, list_txn, &x);
}

/* The node is looked at too: an attribute of a node that has gone would stay for ever. */
static int set_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct xattr *x = arg;
    struct meta_attr attr;
    buf_reset(&x->found);
    int rc = META_DO(t, node_get, x->ino, false, &attr);
    if (rc < 0)
        return rc;
    meta_lazy_when_nameless(t, &attr);
    rc = META_DO(t, xattr_get, x->ino, x->name, true, &x->found);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    const bool there = rc >= 0;
    if (there && (x->flags & META_XATTR_CREATE))
        return -EEXIST;
    if (!there && (x->flags & META_XATTR_REPLACE))
        return -ENODATA;
    return there && str_eq(buf_str(&x->found), x->value) ? 0 : META_DO(t, xattr_put, x->ino, x->name, x->value);
}

int meta_xattr_set(struct meta *m, meta_ino ino, struct str name, struct str value, unsigned flags)
{
    struct xattr x = {.ino = ino, .name = name, .value = value, .flags = flags, .found = buf_make(LIMIT_META_XATTR_BYTES)};
    int rc = check_name(name);
    if (rc >= 0 && (flags == (META_XATTR_CREATE | META_XATTR_REPLACE)))
        rc = -EINVAL;
    if (rc >= 0 && value.len > LIMIT_META_XATTR_BYTES)
        rc = -E2BIG;
    if (rc >= 0)
        rc = meta_transact(m, META_TXN_WRITE, set_txn, &x);
    buf_done(&x.found);
    return rc;
}

static int remove_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    const struct xattr *x = arg;
    return META_DO(t, xattr_delete, x->ino, x->name);
}

int meta_xattr_remove(struct meta *m, meta_ino ino, struct str name)
{
    struct xattr x = {.ino = ino, .name = name};
    int rc = check_name(name);
    return rc < 0 ? rc : meta_transact(m, META_TXN_WRITE, remove_txn, &x);
}
