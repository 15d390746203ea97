/* Where the gateway keeps its own: callers say BUCKET/.sluice, as for a directory volume, and it is /.sys/.sluice/INODE, INODE being
 * the bucket's. Inside the bucket official gateways would list it, hand it out and delete it as objects; /.sys, where they keep
 * their own uploads, they hide. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/log.h"
#include "vfs/jfs/jfs_internal.h"
#include "vfs/path.h"

#define STATES JFS_GATEWAYS_NAME "/" VFS_PATH_STATE_NAME
#define INODE_DIGITS 20
/* As deep as what is kept there: uploads, an upload, its files. */
#define DEPTH_MAX 4

/* Where the segment ".sluice" begins; -1: there is none. */
static ptrdiff_t find_state(struct str path)
{
    if (str_find(path, STR(VFS_PATH_STATE_NAME)) < 0)
        return -1;
    struct str rest = path, name;
    while (str_split(&rest, '/', &name))
        if (str_is(name, VFS_PATH_STATE_NAME))
            return name.ptr - path.ptr;
    return -1;
}

bool jfs_is_state_path(struct str path)
{
    return find_state(path) >= 0;
}

/* The directory whose state it is. */
static int find_owner(struct jfs_volume *v, const struct meta_ctx *ctx, meta_ino dir, struct str path, enum jfs_missing missing,
                      meta_ino *out)
{
    bool made = false;
    if (missing == JFS_FAIL)
        return jfs_resolve_dir(v, ctx, dir, path, out);
    int r = jfs_make_dirs(v, ctx, dir, path, out, &made);
    return r == 0 && jfs_is_gone(v, *out) ? -ENOENT : r; /* nothing would remove it */
}

int jfs_locate(struct jfs_volume *v, const struct meta_ctx *ctx, struct vfs_dir *d, struct str path, enum jfs_missing missing,
               struct jfs_place *out)
{
    ptrdiff_t at = find_state(path);
    out->dir = jfs_dir_of(d)->ino;
    out->path = path;
    if (at < 0)
        return 0;
    meta_ino owner;
    int r = find_owner(v, ctx, out->dir, str_first(path, at > 0 ? (size_t)at - 1 : 0), missing, &owner);
    if (r < 0)
        return r;
    struct buf text = buf_over(out->text, sizeof(out->text));
    buf_addf(&text, STATES "/%" PRIu64, owner);
    buf_add(&text, str_from(path, (size_t)at + sizeof(VFS_PATH_STATE_NAME) - 1));
    if (text.failed)
        return -ENAMETOOLONG;
    out->dir = META_ROOT;
    out->path = buf_str(&text);
    return 0;
}

uint16_t jfs_dir_mode(const struct jfs_volume *v, meta_ino dir, struct str path)
{
    bool is_state = dir == META_ROOT && (str_is(path, STATES) || str_starts(path, STR(STATES "/")));
    return is_state ? 0700 : (uint16_t)v->options.dir_mode;
}

static struct str path_of(meta_ino owner, char out[sizeof(STATES) + INODE_DIGITS + 1])
{
    int len = snprintf(out, sizeof(STATES) + INODE_DIGITS + 1, STATES "/%" PRIu64, owner);
    return str_of(out, (size_t)len);
}

static int remove_folder(struct jfs_volume *v, struct str path)
{
    meta_ino parent;
    int r = jfs_resolve_dir(v, &v->self, META_ROOT, vfs_path_parent(path), &parent);
    return r < 0 ? r : meta_rmdir(v->meta, &v->self, parent, vfs_path_leaf(path), META_SKIP_TRASH);
}

int jfs_state_remove_idle(struct jfs_volume *v, meta_ino owner)
{
    static const char *const parts[] = {"uploads", "config", "tmp"};
    char text[sizeof(STATES) + INODE_DIGITS + 1];
    struct str path = path_of(owner, text);
    struct jfs_node state;
    int r = jfs_resolve(v, &v->self, META_ROOT, path, &state);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(parts); i++) {
        char part[sizeof(text) + 16];
        int len = snprintf(part, sizeof(part), "%.*s/%s", STR_ARG(path), parts[i]);
        r = remove_folder(v, str_of(part, (size_t)len));
        r = r == -ENOENT ? 0 : r;
    }
    if (r == 0)
        r = remove_folder(v, path);
    return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

/* State whose bucket another client removed */

struct names {
    struct arena *arena;
    struct name {
        struct name *next;
        struct str name;
        meta_ino ino;
        bool is_directory;
    } *first;
};

static int add_name(void *arg, const struct meta_entry *e)
{
    struct names *names = arg;
    struct name *n = arena_new_of(names->arena, struct name);
    *n = (struct name){names->first, arena_dup(names->arena, e->name), e->ino, e->type == META_DIRECTORY};
    names->first = n;
    return 0;
}

static int read_names(struct jfs_volume *v, meta_ino dir, struct names *out)
{
    const struct meta_edge_scan all = {.parent = dir};
    return meta_readdir(v->meta, NULL, &all, add_name, out);
}

static void remove_tree(struct jfs_volume *v, meta_ino parent, const struct name *n, int depth_left)
{
    struct names below = {.arena = arena_new()};
    int r = n->is_directory && depth_left > 0 ? read_names(v, n->ino, &below) : 0;
    for (const struct name *b = below.first; r == 0 && b; b = b->next)
        remove_tree(v, n->ino, b, depth_left - 1);
    if (r == 0)
        r = n->is_directory ? meta_rmdir(v->meta, &v->self, parent, n->name, META_SKIP_TRASH)
                            : meta_unlink(v->meta, &v->self, parent, n->name, META_SKIP_TRASH, NULL);
    if (r < 0 && r != -ENOENT)
        log_debug("state_not_removed", "name=\"%.*s\" error=%d", STR_ARG(n->name), -r);
    arena_free(below.arena);
}

void jfs_state_sweep(struct jfs_volume *v)
{
    meta_ino states;
    struct names all = {.arena = arena_new()};
    int r = jfs_resolve_dir(v, &v->self, META_ROOT, STR(STATES), &states);
    if (r == 0)
        r = read_names(v, states, &all);
    for (const struct name *n = all.first; r == 0 && n; n = n->next) {
        uint64_t owner;
        struct meta_attr attr;
        if (str_parse_u64(n->name, &owner) && meta_getattr(v->meta, owner, &attr) == -ENOENT)
            remove_tree(v, states, n, DEPTH_MAX);
    }
    arena_free(all.arena);
}
