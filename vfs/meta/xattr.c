/* Extended attributes (§7.17). */
#include "base/check.h"
#include "base/limits.h"
#include "vfs/meta/memo.h"

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
    const struct meta_memo_key key = {META_MEMO_XATTR, ino, name};
    struct meta_memo_answer a;
    struct meta_stamp stamp;
    int rc = check_name(name);
    if (rc < 0)
        return rc;
    if (meta_memo_find(m, &key, &a, out, &stamp))
        return a.rc;
    struct xattr x = {.ino = ino, .name = name, .found = buf_make(LIMIT_META_XATTR_BYTES)};
    a = (struct meta_memo_answer){.rc = meta_transact(m, META_TXN_READ, get_txn, &x)};
    if (a.rc >= 0)
        buf_add(out, buf_str(&x.found));
    meta_memo_keep(m, &key, &a, a.rc < 0 ? STR_EMPTY : buf_str(&x.found), &stamp);
    buf_done(&x.found);
    return a.rc;
}

/* All attributes as a memo has them: for each the sizes, the name, the value. */

struct sizes {
    uint32_t name, value;
};

static int collect(void *arg, struct str name, struct str value)
{
    struct xattr *x = arg;
    const struct sizes sizes = {(uint32_t)name.len, (uint32_t)value.len};
    buf_add(&x->found, str_of((const char *)&sizes, sizeof(sizes)));
    buf_add(&x->found, name);
    buf_add(&x->found, value);
    return x->fn(x->arg, name, value);
}

static int tell(struct str all, meta_xattr_fn fn, void *arg)
{
    struct sizes sizes;
    int rc = 0;
    for (; rc == 0 && all.len > 0; all = str_from(all, (size_t)sizes.name + sizes.value)) {
        memcpy(&sizes, all.ptr, sizeof(sizes));
        all = str_from(all, sizeof(sizes));
        rc = fn(arg, str_first(all, sizes.name), str_first(str_from(all, sizes.name), sizes.value));
    }
    return rc;
}

static int list_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct xattr *x = arg;
    buf_reset(&x->found);
    return META_DO(t, xattr_scan, x->ino, collect, x);
}

int meta_xattr_list(struct meta *m, meta_ino ino, meta_xattr_fn fn, void *arg)
{
    const struct meta_memo_key key = {.kind = META_MEMO_XATTRS, .ino = ino};
    struct meta_memo_answer a;
    struct meta_stamp stamp;
    struct xattr x = {.ino = ino, .fn = fn, .arg = arg, .found = buf_make(LIMIT_META_MEMO_BYTES)};
    if (meta_memo_find(m, &key, &a, &x.found, &stamp)) {
        a.rc = tell(buf_str(&x.found), fn, arg);
    } else {
        a = (struct meta_memo_answer){.rc = meta_transact(m, META_TXN_READ, list_txn, &x)};
        if (!x.found.failed)
            meta_memo_keep(m, &key, &a, buf_str(&x.found), &stamp);
    }
    buf_done(&x.found);
    return a.rc;
}

int meta_recall_xattr(struct meta *m, meta_ino ino, struct str name, struct buf *out)
{
    const struct meta_memo_key key = {META_MEMO_XATTR, ino, name};
    struct meta_memo_answer a;
    struct meta_stamp stamp;
    return meta_memo_find(m, &key, &a, out, &stamp) ? a.rc : -EAGAIN;
}

int meta_recall_xattrs(struct meta *m, meta_ino ino, meta_xattr_fn fn, void *arg)
{
    const struct meta_memo_key key = {.kind = META_MEMO_XATTRS, .ino = ino};
    struct meta_memo_answer a;
    struct meta_stamp stamp;
    char memory[LIMIT_META_MEMO_BYTES];
    struct buf all = buf_over(memory, sizeof(memory));
    if (!meta_memo_find(m, &key, &a, &all, &stamp))
        return -EAGAIN;
    return a.rc < 0 ? a.rc : tell(buf_str(&all), fn, arg);
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

int meta_xattrs_put(struct meta_txn *t, meta_ino ino, const struct meta_xattr *xattrs, size_t count)
{
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < count; i++) {
        const struct meta_xattr *x = &xattrs[i];
        rc = x->value.ptr ? META_DO(t, xattr_put, ino, x->name, x->value) : META_DO(t, xattr_delete, ino, x->name);
        if (rc == -ENODATA && !x->value.ptr)
            rc = 0;
    }
    return rc;
}

struct several {
    meta_ino ino;
    const struct meta_xattr *xattrs;
    size_t count;
};

static int set_several_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    const struct several *s = arg;
    struct meta_attr attr;
    int rc = META_DO(t, node_get, s->ino, false, &attr);
    if (rc < 0)
        return rc;
    meta_lazy_when_nameless(t, &attr);
    return meta_xattrs_put(t, s->ino, s->xattrs, s->count);
}

int meta_xattrs_set(struct meta *m, meta_ino ino, const struct meta_xattr *xattrs, size_t count)
{
    struct several s = {.ino = ino, .xattrs = xattrs, .count = count};
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < count; i++) {
        rc = check_name(xattrs[i].name);
        if (rc >= 0 && xattrs[i].value.len > LIMIT_META_XATTR_BYTES)
            rc = -E2BIG;
    }
    return rc < 0 ? rc : meta_transact(m, META_TXN_WRITE, set_several_txn, &s);
}
