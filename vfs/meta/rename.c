/* Moving names (§7.9). */
#include "base/check.h"
#include "vfs/meta/internal.h"

#define DEPTH_MAX 65536 /* of directories; more is a ring, which only damage makes */

struct rename {
    const struct meta_ctx *ctx;
    meta_ino src_parent, dst_parent;
    struct str src_name, dst_name;
    unsigned flags;
    int64_t space, inodes; /* of a directory's whole subtree, where quotas want it */
    meta_ino ino;
    struct meta_attr attr;
    bool nothing; /* both names are the same file: done */
    struct meta_drop drop;
    struct meta_usage usage;
};

/* One end of the move, while it is worked out. */
struct place {
    struct meta_parent parent;
    bool taken; /* the name is somebody's */
    struct meta_edge edge;
    struct meta_attr attr;
};

static bool across(const struct rename *r)
{
    return r->src_parent != r->dst_parent;
}

static bool exchanges(const struct rename *r)
{
    return r->flags & META_RENAME_EXCHANGE;
}

static int parents_get(struct meta_txn *t, const struct rename *r, struct place *src, struct place *dst)
{
    int rc = meta_parent_get(t, r->ctx, r->src_parent, META_FLAG_IMMUTABLE | META_FLAG_APPEND, &src->parent);
    if (rc >= 0)
        rc = meta_parent_get(t, r->ctx, r->dst_parent, META_FLAG_IMMUTABLE, &dst->parent);
    if (rc < 0)
        return rc;
    return meta_in_trash(&dst->parent.attr) && !(r->flags & META_RENAME_RESTORE) ? -ENOENT : 0;
}

/* Is `dir` the directory `ino`, or below it? Only the ends are checked by official clients, for whom a kernel did the rest. */
static int is_below(struct meta_txn *t, meta_ino dir, meta_ino ino)
{
    struct meta_attr attr;
    for (int depth = 0; depth < DEPTH_MAX; depth++) {
        if (dir == ino)
            return 1;
        if (dir == META_ROOT || dir == 0 || meta_is_trash(dir))
            return 0;
        int rc = META_DO(t, node_get, dir, false, &attr);
        if (rc < 0)
            return rc;
        dir = attr.parent;
    }
    return -EIO;
}

static int check_moved(struct meta_txn *t, const struct rename *r, const struct place *from, meta_ino to)
{
    if (meta_sticky_denies(r->ctx, &from->parent.attr, &from->attr))
        return -EACCES;
    if (from->attr.flags & (META_FLAG_IMMUTABLE | META_FLAG_APPEND))
        return -EPERM;
    if (from->edge.type != META_DIRECTORY || !across(r))
        return 0;
    /* Out of a sticky directory, a directory goes with its own owner only. */
    if (!meta_ctx_is_root(r->ctx) && (from->parent.attr.mode & 01000) && r->ctx->uid != from->attr.uid)
        return -EACCES;
    int rc = is_below(t, to, from->edge.ino);
    return rc > 0 ? -EINVAL : rc;
}

/* The node's own idea of where it is, and the directories' counts, when it goes from one directory to another. */
static int move_node(struct meta_txn *t, struct place *node, struct meta_parent *from, struct meta_parent *to)
{
    int rc = 0;
    if (node->edge.type == META_DIRECTORY) {
        from->nlink--;
        to->nlink++;
        node->attr.parent = to->ino;
    } else if (node->attr.parent > 0) {
        node->attr.parent = to->ino;
    } else {
        rc = META_DO(t, parent_add, node->edge.ino, to->ino, 1);
        if (rc >= 0)
            rc = META_DO(t, parent_add, node->edge.ino, from->ino, -1);
    }
    return rc;
}

static int exchange(struct meta_txn *t, struct rename *r, struct place *src, struct place *dst)
{
    int rc = META_DO(t, node_get, dst->edge.ino, true, &dst->attr);
    if (rc >= 0)
        rc = check_moved(t, r, dst, r->src_parent);
    if (rc < 0)
        return rc;
    if (across(r)) {
        meta_usage_entry(&r->usage, r->dst_parent, &dst->attr, -1, true);
        meta_usage_entry(&r->usage, r->src_parent, &dst->attr, 1, true);
        rc = move_node(t, dst, &dst->parent, &src->parent);
    }
    dst->attr.ctime = meta_now();
    if (rc >= 0)
        rc = META_DO(t, edge_replace, r->src_parent, r->src_name, dst->edge);
    if (rc >= 0)
        rc = META_DO(t, edge_replace, r->dst_parent, r->dst_name, src->edge);
    return rc < 0 ? rc : META_DO(t, node_put, dst->edge.ino, &dst->attr);
}

static int replace(struct meta *m, struct meta_txn *t, struct rename *r, const struct place *src, struct place *dst)
{
    if (src->edge.type == META_DIRECTORY && dst->edge.type != META_DIRECTORY)
        return -ENOTDIR;
    if (src->edge.type != META_DIRECTORY && dst->edge.type == META_DIRECTORY)
        return -EISDIR;
    int rc = meta_drop_node(m, t, r->ctx, &dst->parent, r->dst_name, dst->edge, &r->drop);
    if (rc < 0)
        return rc;
    meta_drop_usage(&r->drop, r->dst_parent, &r->usage);
    if (dst->edge.type == META_DIRECTORY)
        dst->parent.nlink--;
    rc = META_DO(t, edge_delete, r->src_parent, r->src_name);
    return rc < 0 ? rc : META_DO(t, edge_replace, r->dst_parent, r->dst_name, src->edge);
}

static int put_in_place(struct meta *m, struct meta_txn *t, struct rename *r, struct place *src, struct place *dst)
{
    if (exchanges(r))
        return exchange(t, r, src, dst);
    if (dst->taken)
        return replace(m, t, r, src, dst);
    int rc = META_DO(t, edge_delete, r->src_parent, r->src_name);
    return rc < 0 ? rc : META_DO(t, edge_insert, r->dst_parent, r->dst_name, src->edge);
}

static void count_moved(struct rename *r)
{
    const bool from_trash = meta_is_trash(r->src_parent);
    const bool subtree = r->attr.type == META_DIRECTORY;
    meta_usage_entry(&r->usage, r->src_parent, &r->attr, -1, !from_trash && !subtree);
    meta_usage_entry(&r->usage, r->dst_parent, &r->attr, 1, !subtree);
    if (!subtree || r->inodes == 0)
        return;
    const struct meta_usage_dir to = {.ino = r->dst_parent, .quota_space = r->space, .quota_inodes = r->inodes};
    const struct meta_usage_dir from = {.ino = r->src_parent, .quota_space = -r->space, .quota_inodes = -r->inodes};
    meta_usage_dir_add(&r->usage, &to);
    if (!from_trash)
        meta_usage_dir_add(&r->usage, &from);
}

/* In the order of their numbers, as engines that lock rows want it. */
static int parents_changed(struct meta *m, struct meta_txn *t, const struct rename *r, struct meta_parent *src,
                           struct meta_parent *dst, const struct timespec *now)
{
    if (!across(r)) {
        dst->nlink += src->nlink;
        return meta_parent_changed(m, t, dst, now);
    }
    const struct meta_parent *first = src->ino < dst->ino ? src : dst, *second = first == src ? dst : src;
    int rc = meta_parent_changed(m, t, first, now);
    return rc < 0 ? rc : meta_parent_changed(m, t, second, now);
}

/* In the order in which a kernel finds what is wrong. */
static int look(struct meta_txn *t, struct rename *r, struct place *src, struct place *dst)
{
    int rc = parents_get(t, r, src, dst);
    if (rc >= 0)
        rc = META_DO(t, edge_get, r->src_parent, r->src_name, true, &src->edge);
    if (rc >= 0)
        rc = META_DO(t, node_get, src->edge.ino, true, &src->attr);
    if (rc < 0)
        return rc;
    rc = META_DO(t, edge_get, r->dst_parent, r->dst_name, true, &dst->edge);
    if (rc == -ENOENT && !exchanges(r))
        return 0;
    if (rc < 0)
        return rc;
    dst->taken = true;
    return r->flags & META_RENAME_NOREPLACE ? -EEXIST : 0;
}

static int rename_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct rename *r = arg;
    struct place src = {0}, dst = {0};
    r->usage = (struct meta_usage){0};
    r->drop = (struct meta_drop){.trash = r->drop.trash};
    int rc = look(t, r, &src, &dst);
    if (rc < 0)
        return rc;
    r->ino = src.edge.ino;
    r->attr = src.attr;
    r->nothing = dst.taken && src.edge.ino == dst.edge.ino;
    if (r->nothing)
        return 0;
    rc = check_moved(t, r, &src, r->dst_parent);
    if (rc >= 0)
        rc = put_in_place(m, t, r, &src, &dst);
    if (rc < 0)
        return rc;
    const struct timespec now = meta_now();
    if (across(r)) {
        count_moved(r);
        rc = move_node(t, &src, &src.parent, &dst.parent);
    }
    src.attr.ctime = now;
    r->attr = src.attr;
    if (rc >= 0)
        rc = META_DO(t, node_put, src.edge.ino, &src.attr);
    return rc < 0 ? rc : parents_changed(m, t, r, &src.parent, &dst.parent, &now);
}

/* Where another quota begins to count, a whole subtree does; and the quota must have room for it. */
static int weigh(struct meta *m, struct rename *r)
{
    meta_ino from = 0, to = 0, ino;
    struct meta_attr attr;
    int rc = meta_is_trash(r->src_parent) ? 0 : meta_quota_of(m, r->src_parent, &from);
    if (rc >= 0)
        rc = meta_quota_of(m, r->dst_parent, &to);
    if (rc < 0 || from == to)
        return rc;
    rc = meta_lookup(m, NULL, r->src_parent, r->src_name, &ino, &attr);
    if (rc < 0)
        return rc;
    int64_t space = (int64_t)meta_node_space(&attr), inodes = 1;
    if (attr.type == META_DIRECTORY) {
        struct meta_summary sum;
        rc = meta_summary(m, ino, &sum);
        if (rc < 0)
            return rc;
        r->space = space = (int64_t)sum.space;
        r->inodes = inodes = (int64_t)(sum.files + sum.directories);
    }
    return to == 0 ? 0 : meta_quota_check_dirs(m, r->dst_parent, space, inodes);
}

static int check_request(const struct meta *m, const struct rename *r)
{
    if ((r->src_parent == META_ROOT && str_is(r->src_name, META_TRASH_NAME)) ||
        (r->dst_parent == META_ROOT && str_is(r->dst_name, META_TRASH_NAME)) || meta_is_trash(r->dst_parent) ||
        (meta_is_trash(r->src_parent) && (!meta_ctx_is_root(r->ctx) || r->src_parent == META_TRASH)))
        return -EPERM;
    if (m->options.read_only)
        return -EROFS;
    if (r->flags & 4)
        return -ENOTSUP; /* RENAME_WHITEOUT */
    if (r->flags != 0 && r->flags != META_RENAME_NOREPLACE && r->flags != META_RENAME_EXCHANGE &&
        r->flags != (META_RENAME_NOREPLACE | META_RENAME_RESTORE))
        return -EINVAL;
    int rc = meta_check_name(r->src_name);
    return rc < 0 ? rc : meta_check_name(r->dst_name);
}

int meta_rename(struct meta *m, const struct meta_ctx *ctx, meta_ino src_parent, struct str src_name, meta_ino dst_parent,
                struct str dst_name, unsigned flags, meta_ino *out_ino, struct meta_attr *out)
{
    struct rename r = {.ctx = ctx,
                       .src_parent = src_parent,
                       .dst_parent = dst_parent,
                       .src_name = src_name,
                       .dst_name = dst_name,
                       .flags = flags};
    int rc = check_request(m, &r);
    if (rc >= 0 && src_parent != dst_parent)
        rc = weigh(m, &r);
    if (rc >= 0)
        rc = meta_trash_for(m, dst_parent, 0, &r.drop.trash);
    if (rc >= 0)
        rc = meta_transact(m, META_TXN_WRITE, rename_txn, &r);
    if (rc < 0)
        return rc;
    if (!r.nothing) {
        meta_usage_apply(m, &r.usage);
        meta_drop_finish(m, &r.drop);
    }
    if (out_ino)
        *out_ino = r.ino;
    if (out)
        *out = r.attr;
    return 0;
}
