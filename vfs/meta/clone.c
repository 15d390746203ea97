/* Copies of files and whole trees by reference (§7.16): a file's chunks show the slices of the original. A directory is built
 * where nobody sees it (`detached`), and gets its name with the last transaction, so that a clone is there whole or not at
 * all; what a crash leaves detached, the hourly duty of some client removes. Hard links become files of their own. */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "vfs/meta/upkeep.h"

struct cloning {
    const struct meta_clone *how;
    meta_progress_fn progress;
    void *arg;
    struct buf todo; /* struct pair each: directories whose entries are still to be cloned */
};

struct pair {
    meta_ino from, to;
    uint32_t nlink; /* that `to` has */
};

/* One node */

struct node_call {
    const struct meta_clone *how;
    meta_ino from, to, parent;
    struct str name;
    bool top;
    struct meta_attr attr; /* of the clone */
    struct meta_usage usage;
};

static int keep_xattr(void *arg, struct str name, struct str value)
{
    struct buf *out = arg;
    const size_t sizes[] = {name.len, value.len};
    buf_add(out, str_of((const char *)sizes, sizeof(sizes)));
    buf_add(out, name);
    buf_add(out, value);
    return out->failed ? -EFBIG : 0;
}

static int copy_xattrs(struct meta_txn *t, const struct node_call *c)
{
    CLEANUP(buf_done) struct buf all = buf_make(LIMIT_META_CLONE_BYTES);
    int rc = META_DO(t, xattr_scan, c->from, keep_xattr, &all);
    for (size_t at = 0; rc == 0 && at < all.len;) {
        size_t sizes[2];
        memcpy(sizes, all.ptr + at, sizeof(sizes));
        at += sizeof(sizes);
        rc = META_DO(t, xattr_put, c->to, str_of(all.ptr + at, sizes[0]), str_of(all.ptr + at + sizes[0], sizes[1]));
        at += sizes[0] + sizes[1];
    }
    return rc;
}

static int keep_chunk(void *arg, meta_ino ino, uint32_t indx, struct str records)
{
    (void)ino;
    struct buf *out = arg;
    const size_t head[] = {indx, records.len};
    buf_add(out, str_of((const char *)head, sizeof(head)));
    buf_add(out, records);
    return out->failed ? -EFBIG : 0;
}

static int add_refs(struct meta_txn *t, struct str records)
{
    struct meta_slice *list = NULL;
    size_t count = 0;
    int rc = meta_slices_parse(records, &list, &count);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (list[i].id > 0)
            rc = META_DO(t, ref_add, list[i].id, list[i].size, 1);
    }
    free(list);
    return rc;
}

static int copy_chunks(struct meta_txn *t, const struct node_call *c)
{
    CLEANUP(buf_done) struct buf all = buf_make(LIMIT_META_CLONE_BYTES);
    int rc = META_DO(t, chunk_scan, c->from, 0, UINT32_MAX, true, keep_chunk, &all);
    for (size_t at = 0; rc == 0 && at < all.len;) {
        size_t head[2];
        memcpy(head, all.ptr + at, sizeof(head));
        at += sizeof(head);
        const struct str records = str_of(all.ptr + at, head[1]);
        rc = META_DO(t, chunk_append, c->to, (uint32_t)head[0], records);
        if (rc == 0)
            rc = add_refs(t, records);
        at += head[1];
    }
    return rc;
}

static int copy_symlink(struct meta_txn *t, const struct node_call *c)
{
    CLEANUP(buf_done) struct buf target = buf_make(META_SYMLINK_MAX);
    int rc = META_DO(t, symlink_get, c->from, &target);
    return rc == 0 ? META_DO(t, symlink_insert, c->to, buf_str(&target)) : rc;
}

static int copy_content(struct meta_txn *t, const struct node_call *c)
{
    int rc = copy_xattrs(t, c);
    if (rc == 0 && c->attr.type == META_FILE && c->attr.length > 0)
        rc = copy_chunks(t, c);
    if (rc == 0 && c->attr.type == META_SYMLINK)
        rc = copy_symlink(t, c);
    /* Counted anew by what is put into it. */
    if (rc == 0 && c->attr.type == META_DIRECTORY)
        rc = META_DO(t, dir_stat_put, c->to, &(struct meta_dir_stat){0});
    return rc;
}

static void describe(struct node_call *c)
{
    struct meta_attr *a = &c->attr;
    a->parent = c->parent;
    if (a->type != META_DIRECTORY)
        a->nlink = 1;
    if (c->how->preserve)
        return;
    a->uid = c->how->ctx ? c->how->ctx->uid : 0;
    a->gid = c->how->ctx ? c->how->ctx->gid : 0;
    a->mode &= (uint16_t)~c->how->umask;
    a->atime = a->mtime = a->ctime = meta_now();
}

/* The place of the clone itself, in whose directory the caller must be allowed to add a name. */
static int look_at_target(struct meta_txn *t, const struct node_call *c, struct meta_parent *p)
{
    struct meta_edge edge;
    int rc = meta_parent_get_for_adding(t, c->how->ctx, c->parent, p);
    if (rc < 0)
        return rc;
    rc = META_DO(t, edge_get, c->parent, c->name, true, &edge);
    return rc == 0 ? -EEXIST : rc == -ENOENT ? 0 : rc;
}

static int clone_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct node_call *c = arg;
    struct meta_parent p = {.ino = c->parent};
    c->usage = (struct meta_usage){0};
    int rc = META_DO(t, node_get, c->from, true, &c->attr);
    if (rc == 0)
        rc = meta_check_access(t, c->how->ctx, &c->attr, META_ACCESS_R | (c->attr.type == META_DIRECTORY ? META_ACCESS_X : 0u));
    if (rc == 0 && c->top)
        rc = look_at_target(t, c, &p);
    if (rc < 0)
        return rc;
    describe(c);
    const bool detached = c->top && c->attr.type == META_DIRECTORY;
    t->lazy = detached || !c->top;
    rc = META_DO(t, node_insert, c->to, &c->attr);
    if (rc == 0)
        rc = copy_content(t, c);
    if (rc < 0)
        return rc;
    meta_usage_node(&c->usage, &c->attr, 1);
    if (detached)
        return META_DO(t, detached_insert, c->to, clock_wall_s());
    rc = META_DO(t, edge_insert, c->parent, c->name, ((struct meta_edge){c->to, c->attr.type}));
    meta_usage_entry(&c->usage, c->parent, &c->attr, 1, true);
    const struct timespec now = meta_now();
    return rc == 0 && c->top ? meta_parent_changed(m, t, &p, &now) : rc;
}

static int clone_node(struct meta *m, struct cloning *k, struct node_call *c)
{
    c->how = k->how;
    int rc = meta_new_ino(m, &c->to);
    if (rc == 0)
        rc = meta_transact(m, META_TXN_WRITE, clone_txn, c);
    if (rc < 0)
        return rc;
    meta_usage_apply(m, &c->usage);
    if (c->attr.type == META_DIRECTORY) {
        const struct pair p = {c->from, c->to, c->attr.nlink};
        buf_add(&k->todo, str_of((const char *)&p, sizeof(p)));
    }
    if (k->todo.failed)
        return -E2BIG;
    return k->progress ? k->progress(k->arg, 1, c->attr.length) : 0;
}

/* Directories */

struct page_call {
    struct buf *out; /* meta_ino, length of the name, name */
};

static int take_entry(void *arg, const struct meta_entry *e)
{
    struct page_call *c = arg;
    if (e->name.len > META_NAME_MAX)
        return -EIO;
    const uint64_t head[] = {e->ino, e->name.len};
    buf_add(c->out, str_of((const char *)head, sizeof(head)));
    buf_add(c->out, e->name);
    return c->out->failed ? -EFBIG : 0;
}

struct nlink_call {
    meta_ino ino;
    uint32_t nlink;
};

static int nlink_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    const struct nlink_call *c = arg;
    struct meta_attr attr;
    t->lazy = true;
    int rc = META_DO(t, node_get, c->ino, true, &attr);
    attr.nlink = c->nlink;
    return rc == 0 ? META_DO(t, node_put, c->ino, &attr) : rc;
}

/* Clones a page of entries; *after: in, the name that it follows; out, its last one. 1: there are more. */
static int clone_page(struct meta *m, struct cloning *k, const struct pair *dir, struct buf *after, uint32_t *subdirs)
{
    CLEANUP(buf_done) struct buf page = buf_make(LIMIT_META_TREE_PAGE * (2 * sizeof(uint64_t) + META_NAME_MAX));
    struct page_call call = {&page};
    const struct meta_edge_scan scan = {.parent = dir->from, .after = buf_str(after), .limit = LIMIT_META_TREE_PAGE};
    int rc = meta_readdir(m, k->how->ctx, &scan, take_entry, &call);
    size_t count = 0;
    for (size_t at = 0; rc == 0 && at < page.len; count++) {
        uint64_t head[2];
        memcpy(head, page.ptr + at, sizeof(head));
        const struct str name = str_of(page.ptr + at + sizeof(head), (size_t)head[1]);
        struct node_call c = {.from = head[0], .parent = dir->to, .name = name};
        rc = clone_node(m, k, &c);
        if (rc == 0 && c.attr.type == META_DIRECTORY)
            ++*subdirs;
        if (rc == -ENOENT)
            rc = 0; /* removed meanwhile */
        buf_reset(after);
        buf_add(after, name);
        at += sizeof(head) + name.len;
    }
    return rc < 0 ? rc : count == LIMIT_META_TREE_PAGE;
}

static int clone_entries(struct meta *m, struct cloning *k, const struct pair *dir)
{
    CLEANUP(buf_done) struct buf after = buf_make(META_NAME_MAX);
    uint32_t subdirs = 0;
    int rc;
    do {
        rc = clone_page(m, k, dir, &after, &subdirs);
    } while (rc == 1);
    struct nlink_call links = {dir->to, 2 + subdirs};
    if (rc == 0 && links.nlink != dir->nlink)
        rc = meta_transact(m, META_TXN_WRITE, nlink_txn, &links);
    return rc;
}

static int clone_below(struct meta *m, struct cloning *k)
{
    int rc = 0;
    while (rc == 0 && k->todo.len > 0) {
        struct pair dir;
        memcpy(&dir, k->todo.ptr + k->todo.len - sizeof(dir), sizeof(dir));
        buf_truncate(&k->todo, k->todo.len - sizeof(dir));
        rc = clone_entries(m, k, &dir);
    }
    return rc;
}

/* The end of a detached directory: its name, or none ever */

static int attach_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct node_call *c = arg;
    struct meta_parent p;
    c->usage = (struct meta_usage){0};
    int rc = look_at_target(t, c, &p);
    if (rc == 0)
        rc = META_DO(t, node_get, c->to, false, &c->attr);
    if (rc == 0)
        rc = META_DO(t, edge_insert, c->parent, c->name, ((struct meta_edge){c->to, META_DIRECTORY}));
    if (rc == 0)
        rc = META_DO(t, detached_delete, c->to);
    if (rc < 0)
        return rc;
    meta_usage_entry(&c->usage, c->parent, &c->attr, 1, true);
    p.nlink = 1;
    const struct timespec now = meta_now();
    return meta_parent_changed(m, t, &p, &now);
}

static int forget_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct node_call *c = arg;
    c->usage = (struct meta_usage){0};
    int rc = META_DO(t, node_get, c->to, true, &c->attr);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    if (rc == 0)
        meta_usage_node(&c->usage, &c->attr, -1);
    rc = rc == 0 ? META_DO(t, node_delete, c->to) : 0;
    if (rc == 0)
        rc = META_DO(t, dir_stat_delete, c->to);
    if (rc == 0)
        rc = META_DO(t, xattr_delete_all, c->to);
    return rc < 0 ? rc : META_DO(t, detached_delete, c->to);
}

int meta_remove_detached(struct meta *m, meta_ino ino)
{
    struct node_call c = {.to = ino};
    int rc = meta_empty_tree(m, ino);
    if (rc == 0 || rc == -ENOENT)
        rc = meta_transact(m, META_TXN_WRITE, forget_txn, &c);
    if (rc == 0)
        meta_usage_apply(m, &c.usage);
    return rc;
}

/* rc: how its beginning went. */
static int clone_directory(struct meta *m, struct cloning *k, struct node_call *top, int rc)
{
    if (rc == 0)
        rc = clone_below(m, k);
    if (rc == 0)
        rc = meta_transact(m, META_TXN_WRITE, attach_txn, top);
    if (rc == 0) {
        meta_usage_apply(m, &top->usage);
        return 0;
    }
    int left = meta_remove_detached(m, top->to);
    if (left < 0)
        log_debug("meta_detached_kept", "ino=%llu errno=%d", (unsigned long long)top->to, -left);
    return rc;
}

int meta_clone(struct meta *m, const struct meta_clone *how, meta_progress_fn progress, void *arg)
{
    struct meta_summary sum;
    if (m->options.read_only)
        return -EROFS;
    int rc = meta_check_name(how->name);
    if (rc == 0)
        rc = meta_summary(m, how->from, &sum);
    const struct meta_ctx *ctx = how->ctx;
    if (rc == 0)
        rc = meta_quota_check(m, ctx ? ctx->uid : 0, ctx ? ctx->gid : 0, how->parent, (int64_t)sum.space,
                              (int64_t)(sum.files + sum.directories));
    if (rc < 0)
        return rc;
    struct cloning k = {.how = how, .progress = progress, .arg = arg, .todo = buf_make(LIMIT_META_TREE_NAMES * sizeof(struct pair))};
    struct node_call top = {.from = how->from, .parent = how->parent, .name = how->name, .top = true};
    rc = clone_node(m, &k, &top);
    if (k.todo.len > 0)
        rc = clone_directory(m, &k, &top, rc);
    buf_done(&k.todo);
    return rc;
}
