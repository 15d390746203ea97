/* `juicefs summary` through .control: a directory's largest entries, and theirs, to a depth. */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/encode.h"
#include "vfs/fuse/control_internal.h"

/* What the official command asks for at most. */
#define DEPTH_MAX 10
#define ENTRIES_MAX 100

struct tree {
    char *name; /* owned */
    meta_ino ino;
    uint8_t type;
    uint64_t space, files, directories; /* itself included */
    struct tree *children;              /* owned: the largest, the largest first */
    size_t count;
    struct tree *rest; /* owned: all others in one; NULL: none */
};

struct walk {
    struct vfuse_job *job;
    struct vfuse_progress progress;
    unsigned entries; /* how many children are kept */
    size_t kept;      /* in the whole tree */
};

static void tree_done(struct tree *t)
{
    for (size_t i = 0; i < t->count; i++)
        tree_done(&t->children[i]);
    free(t->children);
    free(t->name);
    free(t->rest);
}

/* The names of one directory, a page at a time. */
struct page {
    struct tree *entries; /* LIMIT_META_TREE_PAGE */
    size_t count;
};

static int take_entry(void *arg, const struct meta_entry *e)
{
    struct page *p = arg;
    CHECK(p->count < LIMIT_META_TREE_PAGE);
    if (e->name.len > META_NAME_MAX)
        return -EIO;
    struct tree *t = &p->entries[p->count++];
    *t = (struct tree){.name = strndup(e->name.ptr, e->name.len), .ino = e->ino, .type = e->type};
    CHECK(t->name != NULL); /* out of memory */
    t->space = e->attr ? meta_node_space(e->attr) : 0;
    t->directories = e->type == META_DIRECTORY;
    t->files = e->type != META_DIRECTORY;
    return 0;
}

static void add_to_rest(struct tree *t, const struct tree *child)
{
    if (!t->rest)
        t->rest = calloc(1, sizeof(*t->rest));
    CHECK(t->rest != NULL); /* out of memory */
    t->rest->space += child->space;
    t->rest->files += child->files;
    t->rest->directories += child->directories;
}

/* Takes the child over: among the largest, or into what is left. */
static int add_child(struct walk *w, struct tree *t, struct tree *child)
{
    t->space += child->space;
    t->files += child->files;
    t->directories += child->directories;
    size_t at = t->count;
    while (at > 0 && t->children[at - 1].space < child->space)
        at--;
    if (at == w->entries) {
        add_to_rest(t, child);
        tree_done(child);
        return 0;
    }
    if (!t->children)
        t->children = calloc(w->entries, sizeof(*t->children));
    CHECK(t->children != NULL); /* out of memory */
    if (t->count == w->entries) {
        add_to_rest(t, &t->children[--t->count]);
        tree_done(&t->children[t->count]);
    }
    memmove(&t->children[at + 1], &t->children[at], (t->count - at) * sizeof(*t->children));
    t->children[at] = *child;
    t->count++;
    return ++w->kept > LIMIT_FUSE_SUMMARY_NODES ? -E2BIG : 0;
}

static int walk_directory(struct walk *w, struct tree *t, unsigned depth);

static int walk_entry(struct walk *w, struct tree *child, unsigned depth)
{
    int r = vfuse_progress_add(&w->progress, 1, child->space);
    if (r == 0 && child->type == META_DIRECTORY)
        r = walk_directory(w, child, depth - 1);
    return r == -ENOENT ? 0 : r; /* removed meanwhile */
}

static int walk_page(struct walk *w, struct tree *t, unsigned depth, struct page *p)
{
    int r = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (r == 0)
            r = walk_entry(w, &p->entries[i], depth);
        if (r == 0)
            r = add_child(w, t, &p->entries[i]);
        else
            tree_done(&p->entries[i]);
    }
    return r;
}

static int walk_children(struct walk *w, struct tree *t, unsigned depth)
{
    struct page p = {.entries = calloc(LIMIT_META_TREE_PAGE, sizeof(*p.entries))};
    CHECK(p.entries != NULL); /* out of memory */
    char after[META_NAME_MAX + 1] = "";
    int r;
    do {
        const struct meta_edge_scan scan = {
            .parent = t->ino, .after = str_z(after), .want = META_EDGE_ATTR, .limit = LIMIT_META_TREE_PAGE};
        p.count = 0;
        r = meta_readdir(w->job->control->v->meta, &w->job->ctx, &scan, take_entry, &p);
        if (p.count > 0)
            memcpy(after, p.entries[p.count - 1].name, strlen(p.entries[p.count - 1].name) + 1);
        if (r == 0)
            r = walk_page(w, t, depth, &p);
        else
            for (size_t i = 0; i < p.count; i++)
                tree_done(&p.entries[i]);
    } while (r == 0 && p.count == LIMIT_META_TREE_PAGE);
    free(p.entries);
    return r;
}

static int walk_directory(struct walk *w, struct tree *t, unsigned depth)
{
    if (depth > 0)
        return walk_children(w, t, depth);
    struct meta_summary sum;
    int r = meta_summary(w->job->control->v->meta, t->ino, &sum);
    if (r < 0)
        return r;
    t->space = sum.space;
    t->files = sum.files;
    t->directories = sum.directories;
    return vfuse_progress_add(&w->progress, sum.files + sum.directories, sum.space);
}

/* The document */

static void add_tree(struct buf *out, const struct tree *t, struct str path, meta_ino ino)
{
    buf_addf(out, "{\"Inode\":%llu,\"Path\":", (unsigned long long)ino);
    buf_add_json(out, path);
    buf_addf(out, ",\"Type\":%u,\"Size\":%llu,\"Files\":%llu,\"Dirs\":%llu", t->type, (unsigned long long)t->space,
             (unsigned long long)t->files, (unsigned long long)t->directories);
}

static void add_below(struct buf *out, struct buf *path, const struct tree *t)
{
    const size_t base = path->len;
    const char *separator = base > 0 ? "/" : "";
    for (size_t i = 0; i < t->count; i++) {
        buf_addz(out, i ? "," : ",\"Children\":[");
        buf_addf(path, "%s%s", separator, t->children[i].name);
        add_tree(out, &t->children[i], buf_str(path), t->children[i].ino);
        add_below(out, path, &t->children[i]);
        buf_addc(out, '}');
        buf_truncate(path, base);
    }
    if (t->rest) {
        buf_addf(path, "%s...", separator);
        buf_addz(out, t->count > 0 ? "," : ",\"Children\":[");
        t->rest->type = META_FILE;
        add_tree(out, t->rest, buf_str(path), 0);
        buf_addc(out, '}');
        buf_truncate(path, base);
    }
    if (t->count > 0 || t->rest)
        buf_addc(out, ']');
}

static int look(struct walk *w, struct tree *top, unsigned depth)
{
    struct vfuse *v = w->job->control->v;
    struct meta_attr attr;
    int r = meta_getattr(v->meta, top->ino, &attr);
    if (r == 0)
        r = meta_access(v->meta, &w->job->ctx, top->ino, META_ACCESS_R, &attr);
    if (r < 0)
        return r;
    top->type = attr.type;
    top->space = meta_node_space(&attr);
    top->directories = attr.type == META_DIRECTORY;
    top->files = attr.type != META_DIRECTORY;
    return attr.type == META_DIRECTORY ? walk_directory(w, top, depth) : 0;
}

int vfuse_control_summary(struct vfuse_job *job, meta_ino ino, unsigned depth, unsigned entries)
{
    struct walk w = {.job = job, .progress = {.control = job->control}, .entries = entries < ENTRIES_MAX ? entries : ENTRIES_MAX};
    struct tree top = {.ino = ino};
    CLEANUP(buf_done) struct buf out = buf_make(LIMIT_REPORT_BYTES);
    CLEANUP(buf_done) struct buf path = buf_make(LIMIT_META_PATH_BYTES);
    int r = look(&w, &top, depth < DEPTH_MAX ? depth : DEPTH_MAX);
    buf_addf(&out, "{\"Errno\":%d,\"Tree\":", r < 0 ? -r : 0);
    add_tree(&out, &top, STR_EMPTY, vfuse_kernel_ino(job->control->v, ino));
    if (r == 0)
        add_below(&out, &path, &top);
    buf_addz(&out, "}}");
    tree_done(&top);
    if (out.failed)
        return -EFBIG;
    vfuse_control_answer(job->control, &out);
    return 1;
}
