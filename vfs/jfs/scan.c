/* Ordered scans. The database gives names in byte order; a directory counts as its name plus '/'. So a directory waits until
 * all names are out that begin with its own and go on with a byte below '/'. Waiting directories are prefixes of each other, so
 * that a stack keeps them in order. */
#include <errno.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/fault.h"
#include "base/limits.h"
#include "vfs/jfs/jfs_internal.h"
#include "vfs/path.h"

/* A page is read in one transaction. The first is small: many scans want only to know whether there is something. */
#define PAGE_FIRST 32
#define PAGE_MAX 1024
/* Names that wait have different lengths. */
#define WAITING_MAX META_NAME_MAX

struct entry {
    struct str name; /* in the page's arena, or owned while it waits */
    struct jfs_node node;
    bool has_attr;
    struct str xattr; /* ptr NULL: absent */
};

struct jfs_scan {
    struct vfs_scan base;
    meta_ino root; /* of the handle: where links are resolved */
    struct str path; /* of the directory below it; owned */
    meta_ino dir;
    struct meta_ctx ctx; /* groups are our copy */
    uint32_t *groups;

    struct arena *page_memory;
    struct entry *page;
    size_t page_count, page_next, page_size;
    bool page_is_last;
    char after[META_NAME_MAX]; /* where the next page begins */
    size_t after_len;
    bool after_inclusive;
    char *xattr_name; /* read along since somebody asked for it */

    struct entry waiting[WAITING_MAX];
    size_t waiting_count;
    struct entry current;
    struct buf current_name;
};

static struct jfs_scan *scan_of(struct vfs_scan *s)
{
    return (struct jfs_scan *)(void *)s;
}

/* Pages */

static int add_entry(void *arg, const struct meta_entry *e)
{
    struct jfs_scan *s = arg;
    CHECK(s->page_count < s->page_size);
    struct entry *to = &s->page[s->page_count++];
    *to = (struct entry){.name = arena_dup(s->page_memory, e->name), .node = {.ino = e->ino}};
    to->node.attr.type = e->type;
    to->has_attr = e->attr != NULL;
    if (e->attr)
        to->node.attr = *e->attr;
    if (e->xattr.ptr)
        to->xattr = arena_dup(s->page_memory, e->xattr);
    return 0;
}

static int read_page(struct jfs_scan *s)
{
    struct jfs_volume *v = jfs_volume_of(s->base.volume);
    arena_reset(s->page_memory);
    s->page_size = s->page_size == 0 ? PAGE_FIRST : PAGE_MAX;
    s->page = arena_alloc(s->page_memory, s->page_size * sizeof(*s->page));
    s->page_count = s->page_next = 0;
    struct meta_edge_scan scan = {
        .parent = s->dir,
        .after = str_of(s->after, s->after_len),
        .inclusive = s->after_inclusive,
        .want = s->xattr_name ? META_EDGE_ATTR : 0,
        .xattr_name = s->xattr_name,
        .limit = s->page_size,
    };
    int r = meta_readdir(v->meta, NULL, &scan, add_entry, s);
    if (r < 0)
        return r;
    s->page_is_last = s->page_count < s->page_size;
    if (s->page_count == 0)
        return 0;
    struct str last = s->page[s->page_count - 1].name;
    memcpy(s->after, last.ptr, last.len);
    s->after_len = last.len;
    s->after_inclusive = false;
    return 0;
}

/* The next entry in the database's order, without taking it; NULL at the end. */
static int peek(struct jfs_scan *s, struct entry **out)
{
    *out = NULL;
    if (s->page_next == s->page_count && !s->page_is_last) {
        int r = read_page(s);
        if (r < 0)
            return r;
    }
    if (s->page_next < s->page_count)
        *out = &s->page[s->page_next];
    return 0;
}

/* Order */

/* Is `name`, whatever it is, before the directory `dir`? */
static bool before_directory(struct str name, struct str dir)
{
    return name.len > dir.len && memcmp(name.ptr, dir.ptr, dir.len) == 0 && (unsigned char)name.ptr[dir.len] < '/';
}

static void wait(struct jfs_scan *s, const struct entry *e)
{
    CHECK(s->waiting_count < WAITING_MAX);
    struct entry *to = &s->waiting[s->waiting_count++];
    *to = *e;
    to->name = jfs_own(e->name);
    if (e->xattr.ptr)
        to->xattr = jfs_own(e->xattr);
}

static void set_current(struct jfs_scan *s, const struct entry *e)
{
    buf_reset(&s->current_name);
    buf_add(&s->current_name, e->name);
    s->current = *e;
    s->current.name = buf_str(&s->current_name);
}

/* Directories that a scan from `from` begins with, although their names are before it: proper prefixes of it. */
static int find_waiting(struct jfs_scan *s, struct str from)
{
    struct jfs_volume *v = jfs_volume_of(s->base.volume);
    for (size_t i = 1; i < from.len && i <= META_NAME_MAX; i++) {
        unsigned char next = (unsigned char)from.ptr[i];
        if (from.ptr[i - 1] == '/')
            break;
        if (next > '/' || (next == '/' && i + 1 < from.len))
            continue;
        struct entry e = {.name = str_first(from, i)};
        if (str_is(e.name, ".") || str_is(e.name, ".."))
            continue;
        int r = meta_lookup(v->meta, NULL, s->dir, e.name, &e.node.ino, &e.node.attr);
        if (r == 0 && e.node.attr.type == META_DIRECTORY)
            wait(s, &e);
        else if (r < 0 && r != -ENOENT)
            return r;
    }
    return 0;
}

/* Opening */

static void keep_ctx(struct jfs_scan *s, const struct meta_ctx *ctx)
{
    s->ctx = *ctx;
    s->groups = calloc(ctx->group_count + 1, sizeof(*s->groups));
    CHECK(s->groups != NULL); /* out of memory */
    if (ctx->group_count > 0)
        memcpy(s->groups, ctx->groups, ctx->group_count * sizeof(*s->groups));
    s->ctx.groups = s->groups;
}

/* Listing takes leave to read the directory, as with opendir(3); attributes of its entries are looked at as the process. */
int jfs_scan_open(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct str from, struct vfs_scan **out)
{
    struct jfs_volume *v = jfs_volume_of(d->volume);
    struct meta_ctx scratch;
    const struct meta_ctx *ctx = jfs_ctx(v, cred, &scratch);
    struct jfs_place at;
    meta_ino dir;
    int r = fault_point("vfs.scan");
    if (r == 0)
        r = jfs_locate(v, ctx, d, path, JFS_FAIL, &at);
    if (r == 0)
        r = jfs_resolve_dir(v, ctx, at.dir, at.path, &dir);
    if (r == 0 && cred)
        r = meta_access(v->meta, ctx, dir, META_ACCESS_R, NULL);
    if (r < 0)
        return r;
    struct jfs_scan *s = calloc(1, sizeof(*s));
    CHECK(s != NULL); /* out of memory */
    s->base.volume = &v->base;
    s->root = at.dir;
    s->path = jfs_own(at.path);
    s->dir = dir;
    s->page_memory = arena_new();
    s->current_name = buf_make(META_NAME_MAX);
    keep_ctx(s, ctx);
    s->after_len = from.len < META_NAME_MAX ? from.len : META_NAME_MAX;
    if (from.len > 0)
        memcpy(s->after, from.ptr, s->after_len);
    s->after_inclusive = from.len <= META_NAME_MAX;
    r = find_waiting(s, from);
    if (r < 0) {
        jfs_scan_close(&s->base);
        return r;
    }
    *out = &s->base;
    return 0;
}

int jfs_scan_open_unordered(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct vfs_scan **out)
{
    return jfs_scan_open(d, path, cred, STR_EMPTY, out); /* the order costs nothing */
}

void jfs_scan_close(struct vfs_scan *base)
{
    struct jfs_scan *s = scan_of(base);
    for (size_t i = 0; i < s->waiting_count; i++) {
        jfs_disown(&s->waiting[i].name);
        jfs_disown(&s->waiting[i].xattr);
    }
    arena_free(s->page_memory);
    buf_done(&s->current_name);
    jfs_disown(&s->path);
    free(s->xattr_name);
    free(s->groups);
    free(s);
}

/* Entries */

static bool is_hidden(const struct jfs_scan *s, struct str name)
{
    return str_is(name, VFS_PATH_STATE_NAME) || str_starts(name, STR(VFS_PATH_TEMP_PREFIX)) ||
           (s->dir == META_ROOT && str_is(name, JFS_GATEWAYS_NAME));
}

/* A link to a file inside is that file. */
static int resolve_entry(const struct jfs_scan *s, struct str name, struct jfs_node *out)
{
    CLEANUP(buf_done) struct buf path = buf_make(LIMIT_KEY_BYTES + META_NAME_MAX + 2);
    if (s->path.len > 0) {
        buf_add(&path, s->path);
        buf_addc(&path, '/');
    }
    buf_add(&path, name);
    return path.failed ? -ENAMETOOLONG : jfs_resolve(jfs_volume_of(s->base.volume), &s->ctx, s->root, buf_str(&path), out);
}

static enum vfs_type type_of(struct jfs_scan *s, struct entry *e)
{
    struct jfs_node target;
    switch (e->node.attr.type) {
    case META_FILE:
        return VFS_FILE;
    case META_DIRECTORY:
        return VFS_DIRECTORY;
    case META_SYMLINK:
        if (resolve_entry(s, e->name, &target) < 0 || target.attr.type != META_FILE)
            return VFS_SYMLINK;
        e->node = target;
        e->has_attr = false; /* nor its xattr */
        return VFS_FILE;
    default:
        return VFS_OTHER;
    }
}

/* 1: s->current is the next entry; 0: there is none. */
static int advance(struct jfs_scan *s)
{
    for (;;) {
        struct entry *next;
        int r = peek(s, &next);
        if (r < 0)
            return r;
        struct entry *top = s->waiting_count > 0 ? &s->waiting[s->waiting_count - 1] : NULL;
        if (top && (!next || !before_directory(next->name, top->name))) {
            s->waiting_count--;
            set_current(s, top);
            jfs_disown(&top->name);
            jfs_disown(&top->xattr); /* asked for again, should it be wanted */
            s->current.xattr = STR_EMPTY;
            s->current.has_attr = false;
            return 1;
        }
        if (!next)
            return 0;
        s->page_next++;
        if (next->node.attr.type != META_DIRECTORY) {
            set_current(s, next);
            return 1;
        }
        wait(s, next);
    }
}

int jfs_scan_next(struct vfs_scan *base, struct vfs_dirent *out)
{
    struct jfs_scan *s = scan_of(base);
    int r;
    do
        r = advance(s);
    while (r == 1 && is_hidden(s, s->current.name));
    if (r == 1)
        *out = (struct vfs_dirent){.name = s->current.name, .type = type_of(s, &s->current)};
    return r;
}

/* Does the page that the current entry came from know the attribute? */
static bool has_xattr(const struct jfs_scan *s, const char *name)
{
    return s->current.has_attr && s->xattr_name && strcmp(s->xattr_name, name) == 0 && s->current.node.attr.type == META_FILE;
}

static void read_along(struct jfs_scan *s, const char *xattr_name)
{
    if (s->xattr_name && (!xattr_name || strcmp(s->xattr_name, xattr_name) == 0))
        return;
    for (size_t i = s->page_next; i < s->page_count; i++)
        s->page[i].has_attr = false; /* they came without it */
    free(s->xattr_name);
    s->xattr_name = strdup(xattr_name ? xattr_name : "");
    CHECK(s->xattr_name != NULL); /* out of memory */
}

int jfs_scan_stat(struct vfs_scan *base, struct vfs_attr *out, const char *xattr_name, struct buf *out_value)
{
    struct jfs_scan *s = scan_of(base);
    struct jfs_volume *v = jfs_volume_of(base->volume);
    struct jfs_node node = s->current.node;
    int r = s->current.has_attr ? 0 : meta_getattr(v->meta, node.ino, &node.attr);
    if (r == 0 && meta_in_trash(&node.attr))
        r = -ENOENT;
    if (r < 0)
        return r;
    if (xattr_name && has_xattr(s, xattr_name))
        buf_add(out_value, s->current.xattr);
    else if (xattr_name)
        r = meta_xattr_get(v->meta, node.ino, str_z(xattr_name), out_value);
    if (r < 0 && r != -ENODATA)
        return r;
    read_along(s, xattr_name);
    jfs_attr(node.ino, &node.attr, out);
    return 0;
}
