/* What tools ask about one inode: its paths, its locks. */
#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "vfs/meta/internal.h"
#include "vfs/meta/ranges.h"

/* Names of an inode in one directory, each NUL-terminated. */
struct names_call {
    meta_ino ino;
    struct buf *out;
};

static int match_entry(void *arg, const struct meta_entry *e)
{
    struct names_call *c = arg;
    if (e->ino != c->ino)
        return 0;
    buf_add(c->out, e->name);
    buf_addc(c->out, '\0');
    return c->out->failed ? -EFBIG : 0;
}

static int names_in(struct meta *m, meta_ino parent, meta_ino ino, struct buf *out)
{
    struct names_call c = {ino, out};
    const struct meta_edge_scan scan = {.parent = parent};
    buf_reset(out);
    return meta_readdir(m, NULL, &scan, match_entry, &c);
}

static void prepend(struct buf *path, struct str name)
{
    CLEANUP(buf_done) struct buf rest = buf_make(path->max);
    buf_add(&rest, buf_str(path));
    buf_reset(path);
    buf_addc(path, '/');
    buf_add(path, name);
    buf_add(path, buf_str(&rest));
    path->failed = path->failed || rest.failed;
}

/* The path of a directory below `root`, "" for `root` itself. -EXDEV: it is elsewhere. */
static int directory_path(struct meta *m, meta_ino dir, meta_ino root, struct buf *out)
{
    CLEANUP(buf_done) struct buf names = buf_make(LIMIT_META_NAMES_BYTES);
    buf_reset(out);
    for (unsigned depth = 0; dir != root; depth++) {
        struct meta_attr attr;
        if (dir == META_ROOT || depth > LIMIT_META_DEPTH)
            return -EXDEV;
        if (dir == META_TRASH) {
            prepend(out, STR(META_TRASH_NAME));
            return root == META_ROOT ? 0 : -EXDEV;
        }
        int rc = meta_getattr(m, dir, &attr);
        if (rc == 0)
            rc = names_in(m, attr.parent, dir, &names);
        if (rc < 0)
            return rc;
        if (names.len == 0)
            return -ENOENT;
        prepend(out, str_z(names.ptr));
        if (out->failed)
            return -ENAMETOOLONG;
        dir = attr.parent;
    }
    return 0;
}

struct parents_call {
    meta_ino ino;
    struct meta_attr attr;
    struct buf list; /* meta_ino each */
};

static int keep_parent(void *arg, meta_ino parent, int64_t links)
{
    struct parents_call *c = arg;
    if (links > 0)
        buf_add(&c->list, str_of((const char *)&parent, sizeof(parent)));
    return c->list.failed ? -EFBIG : 0;
}

static int parents_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct parents_call *c = arg;
    buf_reset(&c->list);
    int rc = meta_node_get(t, c->ino, false, &c->attr);
    if (rc == 0 && c->attr.parent > 0)
        return keep_parent(c, c->attr.parent, 1);
    return rc == 0 ? META_DO(t, parent_scan, c->ino, keep_parent, c) : rc;
}

static int paths_in(struct meta *m, meta_ino parent, meta_ino ino, meta_ino root, meta_path_fn fn, void *arg)
{
    CLEANUP(buf_done) struct buf path = buf_make(LIMIT_META_NAMES_BYTES);
    CLEANUP(buf_done) struct buf names = buf_make(LIMIT_META_NAMES_BYTES);
    int rc = directory_path(m, parent, root, &path);
    if (rc == -EXDEV)
        return fn(arg, STR_EMPTY);
    if (rc == 0)
        rc = names_in(m, parent, ino, &names);
    const size_t base = path.len;
    for (size_t at = 0; rc == 0 && at < names.len; at += strlen(names.ptr + at) + 1) {
        buf_truncate(&path, base);
        buf_addc(&path, '/');
        buf_addz(&path, names.ptr + at);
        rc = path.failed ? -ENAMETOOLONG : fn(arg, buf_str(&path));
    }
    return rc;
}

int meta_paths(struct meta *m, meta_ino ino, meta_ino root, meta_path_fn fn, void *arg)
{
    if (ino == root)
        return fn(arg, STR("/"));
    if (ino == META_TRASH)
        return fn(arg, root == META_ROOT ? STR("/" META_TRASH_NAME) : STR_EMPTY);
    struct parents_call c = {.ino = ino, .list = buf_make(LIMIT_META_PARENTS * sizeof(meta_ino))};
    int rc = meta_transact(m, META_TXN_READ, parents_txn, &c);
    for (size_t at = 0; rc == 0 && at < c.list.len; at += sizeof(meta_ino)) {
        meta_ino parent;
        memcpy(&parent, c.list.ptr + at, sizeof(parent));
        rc = paths_in(m, parent, ino, root, fn, arg);
        if (rc == -ENOENT)
            rc = 0; /* gone while we looked */
    }
    buf_done(&c.list);
    return rc;
}

/* Locks */

struct locks_call {
    meta_ino ino;
    meta_flock_fn flock;
    meta_range_fn range;
    void *arg;
};

static int tell_ranges(void *arg, const struct meta_plock_row *row)
{
    const struct locks_call *c = arg;
    struct meta_range_lock *ranges = NULL;
    size_t count = 0;
    int rc = meta_ranges_parse(row->records, &ranges, &count);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = c->range(c->arg, row->holder, &ranges[i]);
    free(ranges);
    return rc;
}

static int locks_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct locks_call *c = arg;
    int rc = META_DO(t, flock_scan, c->ino, c->flock, c->arg);
    return rc == 0 ? META_DO(t, plock_scan, c->ino, tell_ranges, c) : rc;
}

int meta_locks(struct meta *m, meta_ino ino, meta_flock_fn flock, meta_range_fn range, void *arg)
{
    struct locks_call c = {ino, flock, range, arg};
    return meta_transact(m, META_TXN_READ, locks_txn, &c);
}
