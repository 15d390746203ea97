/* Removing a directory with all below it, name by name: each goes as unlink and rmdir would let it go, to the trash where there
 * is one. Only the last removal is synced, which makes the others durable too. */
#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "vfs/meta/internal.h"

struct name {
    meta_ino parent, ino;
    uint8_t type;
    uint8_t len;
    char text[META_NAME_MAX];
};

struct removal {
    const struct meta_ctx *ctx;
    unsigned flags;
    meta_ino keep; /* this one's own name is left */
    struct buf todo; /* struct name each: directories, the deepest last */
    struct buf page; /* struct name each: some entries of the last of them */
    meta_progress_fn progress;
    void *arg;
};

static void push(struct buf *list, meta_ino parent, struct str text, meta_ino ino, uint8_t type)
{
    struct name n = {.parent = parent, .ino = ino, .type = type, .len = (uint8_t)text.len};
    memcpy(n.text, text.ptr, text.len);
    buf_add(list, str_of((const char *)&n, sizeof(n)));
}

static struct str text_of(const struct name *n)
{
    return str_of(n->text, n->len);
}

struct page_call {
    meta_ino parent;
    struct buf *out;
};

static int take_entry(void *arg, const struct meta_entry *e)
{
    struct page_call *c = arg;
    if (e->name.len > META_NAME_MAX)
        return -EIO;
    push(c->out, c->parent, e->name, e->ino, e->type);
    return 0;
}

/* What is left in the directory: its first entries. */
static int read_page(struct meta *m, struct removal *r, meta_ino dir)
{
    struct page_call c = {dir, &r->page};
    buf_reset(&r->page);
    const struct meta_edge_scan scan = {.parent = dir, .limit = LIMIT_META_TREE_PAGE};
    return meta_readdir(m, r->ctx, &scan, take_entry, &c);
}

static int told(const struct removal *r, uint64_t length)
{
    return r->progress ? r->progress(r->arg, 1, length) : 0;
}

/* Files go at once; directories wait for their own turn. */
static int empty_page(struct meta *m, struct removal *r)
{
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < r->page.len; at += sizeof(struct name)) {
        struct name n;
        memcpy(&n, r->page.ptr + at, sizeof(n));
        if (n.type == META_DIRECTORY) {
            push(&r->todo, n.parent, text_of(&n), n.ino, n.type);
            continue;
        }
        rc = meta_unlink(m, r->ctx, n.parent, text_of(&n), r->flags | META_LAZY, NULL);
        if (rc == -ENOENT)
            rc = 0; /* somebody was faster */
        if (rc == 0)
            rc = told(r, 0);
    }
    return rc == 0 && r->todo.failed ? -E2BIG : rc;
}

static int remove_all(struct meta *m, struct removal *r)
{
    int rc = 0;
    while (rc == 0 && r->todo.len > 0) {
        struct name n;
        memcpy(&n, r->todo.ptr + r->todo.len - sizeof(n), sizeof(n));
        rc = read_page(m, r, n.ino);
        if (rc == 0 && r->page.len > 0) {
            rc = empty_page(m, r);
            continue;
        }
        buf_truncate(&r->todo, r->todo.len - sizeof(n));
        if (rc == 0 && n.ino != r->keep)
            rc = meta_rmdir(m, r->ctx, n.parent, text_of(&n), r->flags | (r->todo.len > 0 ? META_LAZY : 0));
        if (rc == -ENOTEMPTY)
            push(&r->todo, n.parent, text_of(&n), n.ino, n.type); /* somebody adds: once more */
        if (rc == -ENOENT || rc == -ENOTEMPTY)
            rc = 0;
        else if (rc == 0)
            rc = told(r, 0);
    }
    return rc;
}

static int run(struct meta *m, struct removal *r, const struct name *top)
{
    r->todo = buf_make(LIMIT_META_TREE_NAMES * sizeof(struct name));
    r->page = buf_make(LIMIT_META_TREE_PAGE * sizeof(struct name));
    push(&r->todo, top->parent, text_of(top), top->ino, top->type);
    int rc = remove_all(m, r);
    buf_done(&r->todo);
    buf_done(&r->page);
    return rc;
}

int meta_remove_tree(struct meta *m, const struct meta_ctx *ctx, meta_ino parent, struct str name, unsigned flags,
                     meta_progress_fn progress, void *arg)
{
    struct meta_attr attr;
    struct name top = {.parent = parent};
    int rc = meta_check_name(name);
    if (rc < 0)
        return rc;
    rc = meta_lookup(m, ctx, parent, name, &top.ino, &attr);
    if (rc < 0)
        return rc;
    if (attr.type != META_DIRECTORY) {
        rc = meta_unlink(m, ctx, parent, name, flags, NULL);
        return rc == 0 && progress ? progress(arg, 1, 0) : rc;
    }
    struct removal r = {.ctx = ctx, .flags = flags, .progress = progress, .arg = arg};
    top.type = META_DIRECTORY;
    top.len = (uint8_t)name.len;
    memcpy(top.text, name.ptr, name.len);
    return run(m, &r, &top);
}

int meta_empty_tree(struct meta *m, meta_ino dir)
{
    struct removal r = {.flags = META_SKIP_TRASH, .keep = dir};
    const struct name top = {.ino = dir, .type = META_DIRECTORY};
    return run(m, &r, &top);
}
