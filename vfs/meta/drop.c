/* The end of a name: unlink, rmdir, and what rename and publish put something else in the place of. */
#include "base/limits.h"
#include "base/log.h"
#include "vfs/meta/internal.h"

static bool is_version(meta_ino ino, const struct meta_attr *attr, const struct meta_version *v)
{
    return v->ino == ino && v->length == attr->length && meta_time_eq(v->mtime, attr->mtime);
}

/* A second name of a file that is in this hour's trash already, under the very name that this one would get. */
static int in_trash_already(struct meta_txn *t, meta_ino trash, struct str name, struct meta_edge edge)
{
    struct meta_edge other;
    int rc = META_DO(t, edge_get, trash, name, true, &other);
    if (rc == -ENOENT)
        return 0;
    return rc < 0 ? rc : other.ino == edge.ino && other.type == edge.type;
}

/* 0, or -EBUSY. */
static int check_condition(struct meta_txn *t, const struct meta_condition *c, meta_ino ino, const struct meta_attr *attr)
{
    CLEANUP(buf_done) struct buf value = buf_make(LIMIT_META_XATTR_BYTES);
    int rc = META_DO(t, xattr_get, ino, c->xattr, true, &value);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    return c->is_met(attr, rc < 0 ? STR_EMPTY : buf_str(&value)) ? 0 : -EBUSY;
}

/* Checks, and whether the trash takes it. */
static int decide(struct meta_txn *t, const struct meta_ctx *ctx, const struct meta_parent *p, struct str trash_name,
                  struct meta_drop *d)
{
    if (d->expected && !is_version(d->edge.ino, &d->attr, d->expected))
        return -ESTALE;
    if (meta_sticky_denies(ctx, &p->attr, &d->attr))
        return -EACCES;
    const bool directory = d->edge.type == META_DIRECTORY;
    if (d->attr.flags & (META_FLAG_IMMUTABLE | META_FLAG_APPEND))
        return -EPERM;
    int rc = directory ? META_DO(t, edge_any, d->edge.ino) : 0;
    if (rc != 0)
        return rc < 0 ? rc : -ENOTEMPTY;
    rc = directory && d->only_if ? check_condition(t, d->only_if, d->edge.ino, &d->attr) : 0;
    if (rc < 0)
        return rc;
    d->trashed = d->attr.flags & META_FLAG_SKIP_TRASH ? 0 : d->trash;
    if (d->trashed == 0 || directory || d->attr.nlink <= 1)
        return 0;
    rc = in_trash_already(t, d->trashed, trash_name, d->edge);
    if (rc > 0)
        d->trashed = 0;
    return rc;
}

static int move_to_trash(struct meta_txn *t, const struct meta_parent *p, struct str trash_name, struct meta_drop *d)
{
    int rc = 0;
    if (d->attr.parent > 0) {
        d->attr.parent = d->trashed;
    } else {
        rc = META_DO(t, parent_add, d->edge.ino, d->trashed, 1);
        if (rc >= 0)
            rc = META_DO(t, parent_add, d->edge.ino, p->ino, -1);
    }
    if (rc >= 0)
        rc = META_DO(t, node_put, d->edge.ino, &d->attr);
    return rc < 0 ? rc : META_DO(t, edge_insert, d->trashed, trash_name, d->edge);
}

/* The last name of what is no regular file, or of one that nobody has open here. */
static int end_node(struct meta_txn *t, struct meta_drop *d)
{
    const meta_ino ino = d->edge.ino;
    int rc = 0;
    if (d->attr.type == META_FILE)
        rc = META_DO(t, delfile_insert, ino, d->attr.length, d->attr.ctime.tv_sec);
    else if (d->attr.type == META_SYMLINK)
        rc = META_DO(t, symlink_delete, ino);
    if (rc >= 0)
        rc = META_DO(t, node_delete, ino);
    d->gone = rc >= 0;
    return rc;
}

static int sustain_node(struct meta *m, struct meta_txn *t, struct meta_drop *d)
{
    int rc = META_DO(t, sustained_insert, m->sid, d->edge.ino);
    if (rc >= 0)
        rc = META_DO(t, node_put, d->edge.ino, &d->attr);
    d->sustained = rc >= 0;
    return rc;
}

static int lose_link(struct meta *m, struct meta_txn *t, const struct meta_parent *p, struct meta_drop *d)
{
    const bool directory = d->edge.type == META_DIRECTORY;
    if (!directory && d->attr.nlink > 0)
        d->attr.nlink--;
    if (!directory && d->attr.nlink > 0) {
        int rc = d->attr.parent == 0 ? META_DO(t, parent_add, d->edge.ino, p->ino, -1) : 0;
        return rc < 0 ? rc : META_DO(t, node_put, d->edge.ino, &d->attr);
    }
    const bool sustain = d->attr.type == META_FILE && m->sid != 0 && meta_is_open(m, d->edge.ino);
    int rc = sustain ? sustain_node(m, t, d) : end_node(t, d);
    return rc < 0 ? rc : META_DO(t, xattr_delete_all, d->edge.ino);
}

int meta_drop_node(struct meta *m, struct meta_txn *t, const struct meta_ctx *ctx, const struct meta_parent *p,
                   struct str name, struct meta_edge edge, struct meta_drop *d)
{
    *d = (struct meta_drop){.trash = d->trash, .expected = d->expected, .only_if = d->only_if, .edge = edge};
    char memory[META_NAME_MAX + 1];
    const struct str trash_name = meta_trash_name(memory, p->ino, edge.ino, name);
    int rc = META_DO(t, node_get, edge.ino, true, &d->attr);
    if (rc == -ENOENT) {
        d->missing = true;
        d->attr = (struct meta_attr){.type = edge.type};
        return d->expected ? -ESTALE : 0;
    }
    if (rc >= 0)
        rc = decide(t, ctx, p, trash_name, d);
    if (rc < 0)
        return rc;
    d->attr.ctime = meta_now();
    if (edge.type == META_DIRECTORY) {
        rc = META_DO(t, dir_stat_delete, edge.ino);
        if (rc >= 0)
            rc = META_DO(t, dir_quota_delete, edge.ino);
    }
    if (rc < 0)
        return rc;
    return d->trashed ? move_to_trash(t, p, trash_name, d) : lose_link(m, t, p, d);
}

void meta_drop_usage(const struct meta_drop *d, meta_ino parent, struct meta_usage *u)
{
    meta_usage_entry(u, parent, &d->attr, -1, !meta_is_trash(parent));
    if (d->trashed)
        meta_usage_entry(u, d->trashed, &d->attr, 1, false);
    if (d->gone)
        meta_usage_node(u, &d->attr, -1);
}

void meta_drop_finish(struct meta *m, const struct meta_drop *d)
{
    if (d->attr.type != META_FILE || (!d->sustained && !d->gone))
        return;
    const enum meta_fate fate = d->sustained ? META_SUSTAINED : META_DELETED;
    if (meta_opened_set_fate(m, d->edge.ino, fate, d->attr.length))
        return;
    if (d->gone)
        meta_delete_file_data(m, d->edge.ino, d->attr.length);
    else if (meta_delete_sustained(m, m->sid, d->edge.ino) < 0) /* closed meanwhile; the session's end finds it */
        log_debug("meta_sustained_kept", "ino=%llu", (unsigned long long)d->edge.ino);
}

/* unlink and rmdir */

struct remove {
    const struct meta_ctx *ctx;
    meta_ino parent;
    struct str name;
    bool directory, lazy;
    struct meta_drop drop;
    struct meta_usage usage;
};

static int remove_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct remove *r = arg;
    r->usage = (struct meta_usage){0};
    t->lazy = r->lazy;
    struct meta_parent p;
    struct meta_edge edge;
    int rc = meta_parent_get(t, r->ctx, r->parent, META_FLAG_IMMUTABLE | META_FLAG_APPEND, &p);
    if (rc >= 0)
        rc = META_DO(t, edge_get, r->parent, r->name, true, &edge);
    if (rc < 0)
        return rc;
    if (r->directory != (edge.type == META_DIRECTORY))
        return r->directory ? -ENOTDIR : -EISDIR;
    rc = meta_drop_node(m, t, r->ctx, &p, r->name, edge, &r->drop);
    if (rc >= 0)
        rc = META_DO(t, edge_delete, r->parent, r->name);
    if (rc < 0)
        return rc;
    p.nlink = r->directory ? -1 : 0;
    meta_drop_usage(&r->drop, r->parent, &r->usage);
    const struct timespec now = meta_now();
    return meta_parent_changed(m, t, &p, &now);
}

static int remove_name(struct meta *m, struct remove *r, unsigned flags)
{
    if (r->parent == META_ROOT && str_is(r->name, META_TRASH_NAME))
        return -EPERM;
    const bool hour = r->directory && r->parent == META_TRASH;
    if (meta_is_trash(r->parent) && (!meta_ctx_is_root(r->ctx) || (hour && !(flags & META_TRASH_DUTY))))
        return -EPERM;
    if (m->options.read_only)
        return -EROFS;
    r->lazy = (flags & META_LAZY) != 0;
    int rc = meta_check_name(r->name);
    if (rc >= 0)
        rc = meta_trash_for(m, r->parent, flags, &r->drop.trash);
    if (rc >= 0)
        rc = meta_transact(m, META_TXN_WRITE, remove_txn, r);
    if (rc < 0)
        return rc;
    meta_usage_apply(m, &r->usage);
    meta_drop_finish(m, &r->drop);
    return 0;
}

int meta_unlink(struct meta *m, const struct meta_ctx *ctx, meta_ino parent, struct str name, unsigned flags,
                const struct meta_version *expected)
{
    struct remove r = {.ctx = ctx, .parent = parent, .name = name, .drop = {.expected = expected}};
    return remove_name(m, &r, flags);
}

int meta_rmdir(struct meta *m, const struct meta_ctx *ctx, meta_ino parent, struct str name, unsigned flags)
{
    return meta_rmdir_if(m, ctx, parent, name, flags, NULL);
}

int meta_rmdir_if(struct meta *m, const struct meta_ctx *ctx, meta_ino parent, struct str name, unsigned flags,
                  const struct meta_condition *condition)
{
    struct remove r = {.ctx = ctx, .parent = parent, .name = name, .directory = true, .drop = {.only_if = condition}};
    return remove_name(m, &r, flags);
}
