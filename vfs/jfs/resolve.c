/* From paths to nodes. One transaction resolves a path without symlinks; where there are some, names are walked one by one. */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "vfs/jfs/jfs_internal.h"
#include "vfs/path.h"

/* As the kernel's. */
#define LINKS_MAX 40
/* Directories between the handle and where a path, or the links in it, lead to. */
#define DEPTH_MAX 2048

const struct meta_ctx *jfs_ctx(const struct jfs_volume *v, const struct vfs_cred *cred, struct meta_ctx *scratch)
{
    if (!cred)
        return &v->self;
    *scratch = (struct meta_ctx){
        .uid = cred->uid,
        .gid = cred->gid,
        .groups = cred->groups,
        .group_count = cred->group_count,
        .check_permission = true,
    };
    return scratch;
}

struct walk {
    struct jfs_volume *v;
    const struct meta_ctx *ctx;
    meta_ino chain[DEPTH_MAX]; /* from the handle's directory to the present node */
    size_t depth;              /* index of the last */
    struct meta_attr attr;     /* of the present node, when depth > 0 */
    unsigned links;
};

static int walk_path(struct walk *w, struct str path);

static int walk_link(struct walk *w, meta_ino link)
{
    if (++w->links > LINKS_MAX)
        return -ELOOP;
    CLEANUP(buf_done) struct buf target = buf_make(META_SYMLINK_MAX);
    int r = meta_readlink(w->v->meta, link, &target);
    if (r < 0)
        return r;
    struct str text = buf_str(&target);
    if (text.len == 0)
        return -ENOENT;
    return text.ptr[0] == '/' ? -EXDEV : walk_path(w, text);
}

static int walk_name(struct walk *w, struct str name)
{
    struct jfs_node next;
    int r = meta_lookup(w->v->meta, w->ctx, w->chain[w->depth], name, &next.ino, &next.attr);
    if (r < 0)
        return r;
    if (next.attr.type == META_SYMLINK)
        return walk_link(w, next.ino);
    if (w->depth + 1 == DEPTH_MAX)
        return -ENAMETOOLONG;
    w->chain[++w->depth] = next.ino;
    w->attr = next.attr;
    return 0;
}

/* ".." is known from the chain: links are the only paths that have it. */
static int walk_up(struct walk *w)
{
    if (w->depth == 0)
        return -EXDEV;
    w->depth--;
    w->attr.type = META_DIRECTORY;
    return 0;
}

static int walk_path(struct walk *w, struct str path)
{
    struct str rest = path, name;
    while (str_split(&rest, '/', &name)) {
        int r = 0;
        if (w->depth > 0 && w->attr.type != META_DIRECTORY)
            return -ENOTDIR;
        if (str_is(name, ".."))
            r = walk_up(w);
        else if (name.len > 0 && !str_is(name, "."))
            r = walk_name(w, name);
        if (r < 0)
            return r;
    }
    return 0;
}

static int resolve_links(struct jfs_volume *v, const struct meta_ctx *ctx, meta_ino dir, struct str path,
                         struct jfs_node *out)
{
    struct walk w = {.v = v, .ctx = ctx, .chain = {dir}};
    int r = walk_path(&w, path);
    if (r < 0)
        return r;
    out->ino = w.chain[w.depth];
    return meta_getattr(v->meta, out->ino, &out->attr);
}

int jfs_resolve(struct jfs_volume *v, const struct meta_ctx *ctx, meta_ino dir, struct str path, struct jfs_node *out)
{
    struct jfs_node node;
    int r = meta_resolve(v->meta, ctx, dir, path, &node.ino, &node.attr);
    if (r == -ENOTDIR || (r == 0 && node.attr.type == META_SYMLINK))
        return resolve_links(v, ctx, dir, path, out);
    if (r == 0)
        *out = node;
    return r;
}

int jfs_resolve_dir(struct jfs_volume *v, const struct meta_ctx *ctx, meta_ino dir, struct str path, meta_ino *out)
{
    struct jfs_node node;
    if (path.len == 0) {
        *out = dir;
        return 0;
    }
    int r = jfs_resolve(v, ctx, dir, path, &node);
    if (r < 0)
        return r;
    if (node.attr.type != META_DIRECTORY)
        return -ENOTDIR;
    *out = node.ino;
    return 0;
}

bool jfs_is_gone(struct jfs_volume *v, meta_ino dir)
{
    struct meta_attr attr;
    return meta_getattr(v->meta, dir, &attr) == -ENOENT || meta_in_trash(&attr);
}

int jfs_make_dirs(struct jfs_volume *v, const struct meta_ctx *ctx, meta_ino dir, struct str path, meta_ino *out,
                  bool *out_made)
{
    for (int turn = 0; turn < JFS_RACE_TURNS; turn++) {
        int r = jfs_resolve_dir(v, ctx, dir, path, out);
        if (r != -ENOENT || path.len == 0)
            return r;
        meta_ino parent;
        r = jfs_make_dirs(v, ctx, dir, vfs_path_parent(path), &parent, out_made);
        if (r < 0)
            return r;
        r = jfs_mkdir_marked(v, ctx, parent, vfs_path_leaf(path), jfs_dir_mode(v, dir, path), true, out);
        if (r == 0) {
            *out_made = true;
            return 0;
        }
        if ((r != -EEXIST && r != -ENOENT) || jfs_is_gone(v, dir))
            return r;
    }
    return -ENOTDIR; /* a link that leads nowhere */
}

void jfs_attr(meta_ino ino, const struct meta_attr *a, struct vfs_attr *out)
{
    static const enum vfs_type types[] = {
        [META_FILE] = VFS_FILE,        [META_DIRECTORY] = VFS_DIRECTORY, [META_SYMLINK] = VFS_SYMLINK,
        [META_FIFO] = VFS_OTHER,       [META_BLOCK_DEVICE] = VFS_OTHER,  [META_CHAR_DEVICE] = VFS_OTHER,
        [META_SOCKET] = VFS_OTHER,
    };
    *out = (struct vfs_attr){
        .type = types[a->type],
        .ino = ino,
        .size = a->length,
        .mtime_ns = (int64_t)a->mtime.tv_sec * 1000000000 + a->mtime.tv_nsec,
        .ctime_ns = (int64_t)a->ctime.tv_sec * 1000000000 + a->ctime.tv_nsec,
        .mode = a->mode,
        .uid = a->uid,
        .gid = a->gid,
        .nlink = a->nlink,
        .is_juicefs_object = a->type == META_DIRECTORY && jfs_is_object_time(&a->atime),
    };
}

struct timespec jfs_time(int64_t ns)
{
    int64_t s = ns / 1000000000, rest = ns % 1000000000;
    if (rest < 0) {
        s--;
        rest += 1000000000;
    }
    return (struct timespec){.tv_sec = s, .tv_nsec = rest};
}

struct meta_version jfs_version(const struct vfs_version *v)
{
    return (struct meta_version){.ino = v->ino, .length = v->size, .mtime = jfs_time(v->mtime_ns)};
}

bool jfs_skips_trash(const struct jfs_dir *d, struct str path)
{
    return d->in_state || jfs_is_state_path(path);
}

uint64_t jfs_new_owner(struct jfs_volume *v)
{
    return atomic_fetch_add(&v->next_owner, 1);
}

struct str jfs_own(struct str s)
{
    char *copy = malloc(s.len + 1);
    CHECK(copy != NULL); /* out of memory */
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    return str_of(copy, s.len);
}

void jfs_disown(struct str *s)
{
    free((char *)(uintptr_t)s->ptr);
    *s = STR_EMPTY;
}
