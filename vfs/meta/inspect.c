/* What tools ask about one inode: its paths, its locks. */
#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "vfs/meta/internal.h"
#include "vfs/meta/ranges.h"

/* All names of an inode: struct head and the bytes of the name, each. */
struct head {
    meta_ino parent;
    size_t len;
};
struct names_call {
    meta_ino ino;
    struct buf list;
};

static int keep_name(void *arg, meta_ino parent, struct str name)
{
    struct names_call *c = arg;
    const struct head h = {parent, name.len};
    buf_add(&c->list, str_of((const char *)&h, sizeof(h)));
    buf_add(&c->list, name);
    return c->list.failed ? -EFBIG : 0;
}

static int names_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct names_call *c = arg;
    buf_reset(&c->list);
    return META_DO(t, name_scan, c->ino, keep_name, c);
}

/* The name at *at of the list; *at: behind it. */
static struct str next_name(const struct buf *list, size_t *at, meta_ino *out_parent)
{
    struct head h;
    memcpy(&h, list->ptr + *at, sizeof(h));
    struct str name = str_of(list->ptr + *at + sizeof(h), h.len);
    *at += sizeof(h) + h.len;
    *out_parent = h.parent;
    return name;
}

static void prepend(struct buf *path, struct str name)
{
    CLEANUP(buf_done) struct buf rest = buf_make(path->max);
    buf_add(&rest, buf_str(path));
    buf_reset(path);
    buf_addc(path, '/');
    buf_add(path, name);
    buf_add(path, buf_str(&rest));
}

/* Puts the path of a directory below `root` before what is in *path. -EXDEV: it is elsewhere, or nowhere. */
static int prepend_directory(struct meta *m, meta_ino dir, meta_ino root, struct buf *path)
{
    struct names_call c = {.list = buf_make(LIMIT_META_PATH_BYTES)};
    int rc = 0;
    for (unsigned depth = 0; rc == 0 && dir != root; depth++) {
        if (dir == META_TRASH && root == META_ROOT) {
            prepend(path, STR(META_TRASH_NAME));
            break;
        }
        c.ino = dir;
        rc = meta_transact(m, META_TXN_READ, names_txn, &c);
        if (rc == 0 && (c.list.len == 0 || dir == META_ROOT || depth > LIMIT_META_DEPTH))
            rc = -EXDEV;
        size_t at = 0;
        if (rc == 0)
            prepend(path, next_name(&c.list, &at, &dir));
        if (rc == 0 && path->failed)
            rc = -ENAMETOOLONG;
    }
    buf_done(&c.list);
    return rc;
}

static int tell_path(struct meta *m, meta_ino parent, struct str name, meta_ino root, meta_path_fn fn, void *arg)
{
    CLEANUP(buf_done) struct buf path = buf_make(LIMIT_META_PATH_BYTES);
    prepend(&path, name);
    int rc = prepend_directory(m, parent, root, &path);
    if (rc == -EXDEV)
        return fn(arg, STR_EMPTY);
    return rc < 0 ? rc : fn(arg, buf_str(&path));
}

int meta_paths(struct meta *m, meta_ino ino, meta_ino root, meta_path_fn fn, void *arg)
{
    if (ino == root)
        return fn(arg, STR("/"));
    if (ino == META_TRASH)
        return fn(arg, root == META_ROOT ? STR("/" META_TRASH_NAME) : STR_EMPTY);
    struct names_call c = {.ino = ino, .list = buf_make(LIMIT_META_NAMES_BYTES)};
    int rc = meta_transact(m, META_TXN_READ, names_txn, &c);
    for (size_t at = 0; rc == 0 && at < c.list.len;) {
        meta_ino parent;
        struct str name = next_name(&c.list, &at, &parent);
        rc = tell_path(m, parent, name, root, fn, arg);
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
