/* Giving a finished file its name in one step. */
#include "base/check.h"
#include "vfs/meta/internal.h"

struct publish {
    const struct meta_ctx *ctx;
    meta_ino ino, parent;
    struct str name;
    const struct meta_publish *how;
    struct meta_attr attr;
    bool replaced;
    struct meta_drop drop;
    struct meta_usage usage;
};

/* Staged: in the database, without a name. */
static bool is_staged(const struct publish *p)
{
    return p->how->from_name.len == 0 && !p->how->draft;
}

/* What has the name now makes room, or does not. */
static int take_name(struct meta *m, struct meta_txn *t, struct publish *p, const struct meta_parent *parent)
{
    const struct meta_edge mine = {p->ino, META_FILE};
    struct meta_edge edge;
    int rc = META_DO(t, edge_get, p->parent, p->name, true, &edge);
    if (rc == -ENOENT && p->how->mode != META_PUBLISH_IF_VERSION)
        return META_DO(t, edge_insert, p->parent, p->name, mine);
    if (rc < 0)
        return rc;
    if (edge.type == META_DIRECTORY)
        return -EISDIR;
    if (p->how->mode == META_PUBLISH_CREATE)
        return -EEXIST;
    if (edge.ino == p->ino)
        return -EEXIST; /* a file cannot replace itself */
    p->drop.expected = p->how->mode == META_PUBLISH_IF_VERSION ? &p->how->version : NULL;
    rc = meta_drop_node(m, t, p->ctx, parent, p->name, edge, &p->drop);
    if (rc < 0)
        return rc;
    p->replaced = true;
    meta_drop_usage(&p->drop, p->parent, &p->usage);
    return META_DO(t, edge_replace, p->parent, p->name, mine);
}

/* Where the file is now. */
static int find_file(struct meta_txn *t, struct publish *p)
{
    const struct meta_draft *draft = p->how->draft;
    if (!draft)
        return META_DO(t, node_get, p->ino, true, &p->attr);
    p->attr = draft->attr;
    p->attr.nlink = 1;
    p->attr.parent = p->parent;
    meta_usage_node(&p->usage, &p->attr, 1);
    return 0;
}

static int leave_session(struct meta *m, struct meta_txn *t, struct publish *p)
{
    if (p->attr.nlink != 0)
        return -EINVAL;
    p->attr.nlink = 1;
    p->attr.parent = p->parent;
    return META_DO(t, sustained_delete, m->sid, p->ino);
}

static int leave_name(struct meta *m, struct meta_txn *t, struct publish *p, const struct meta_parent *to,
                      const struct timespec *now)
{
    const struct meta_publish *how = p->how;
    struct meta_parent from;
    struct meta_edge edge;
    int rc = meta_parent_get(t, p->ctx, how->from_parent, META_FLAG_IMMUTABLE | META_FLAG_APPEND, &from);
    if (rc >= 0)
        rc = META_DO(t, edge_get, how->from_parent, how->from_name, true, &edge);
    if (rc < 0)
        return rc;
    if (edge.ino != p->ino)
        return -ENOENT;
    meta_usage_entry(&p->usage, how->from_parent, &p->attr, -1, true);
    if (p->attr.parent > 0) {
        p->attr.parent = p->parent;
    } else {
        rc = META_DO(t, parent_add, p->ino, p->parent, 1);
        if (rc >= 0)
            rc = META_DO(t, parent_add, p->ino, how->from_parent, -1);
    }
    p->attr.uid = p->ctx ? p->ctx->uid : 0;
    p->attr.gid = p->ctx ? p->ctx->gid : 0;
    if (rc >= 0)
        rc = meta_inherit(t, p->ctx, &to->attr, how->file_mode, how->umask, &p->attr);
    if (rc >= 0)
        rc = META_DO(t, edge_delete, how->from_parent, how->from_name);
    return rc < 0 || how->from_parent == p->parent ? rc : meta_parent_changed(m, t, &from, now);
}

static int publish_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct publish *p = arg;
    const struct timespec now = meta_now();
    struct meta_parent parent;
    p->usage = (struct meta_usage){0};
    p->drop = (struct meta_drop){.trash = p->drop.trash};
    p->replaced = false;
    int rc = meta_parent_get_for_adding(t, p->ctx, p->parent, &parent);
    if (rc >= 0)
        rc = find_file(t, p);
    if (rc < 0)
        return rc;
    if (p->attr.type != META_FILE)
        return -EINVAL;
    const struct meta_attr before = p->attr;
    rc = take_name(m, t, p, &parent);
    if (rc >= 0 && !p->how->draft)
        rc = is_staged(p) ? leave_session(m, t, p) : leave_name(m, t, p, &parent, &now);
    if (rc < 0)
        return rc;
    if (before.uid != p->attr.uid || before.gid != p->attr.gid)
        meta_usage_owner_moved(&p->usage, &before, &p->attr);
    meta_usage_entry(&p->usage, p->parent, &p->attr, 1, true);
    p->attr.ctime = now;
    rc = p->how->draft ? meta_draft_insert(t, p->how->draft, &p->attr) : META_DO(t, node_put, p->ino, &p->attr);
    if (rc >= 0)
        rc = meta_xattrs_put(t, p->ino, p->how->xattrs, p->how->xattr_count);
    return rc < 0 ? rc : meta_parent_changed(m, t, &parent, &now);
}

/* A node is counted since it was staged, a draft is not; the directories are new to both. */
static int check_quota(struct meta *m, const struct publish *p)
{
    struct meta_attr attr;
    if (p->how->draft) {
        const struct meta_attr *a = &p->how->draft->attr;
        return meta_quota_check(m, a->uid, a->gid, p->parent, (int64_t)meta_node_space(a), 1);
    }
    int rc = meta_getattr(m, p->ino, &attr);
    if (rc < 0 || p->how->from_parent == p->parent)
        return rc;
    return meta_quota_check_dirs(m, p->parent, (int64_t)meta_node_space(&attr), 1);
}

/* Its last close is no end from the moment on when it has its name; and is one again for who unlinks it right then, so that
 * this is said before. */
static int commit(struct meta *m, struct publish *p)
{
    const bool was_open = is_staged(p) && meta_opened_set_fate(m, p->ino, META_KEPT, 0);
    int rc = meta_transact(m, META_TXN_WRITE, publish_txn, p);
    if (rc < 0 && was_open)
        (void)meta_opened_set_fate(m, p->ino, META_SUSTAINED, 0); /* the caller has it open */
    return rc;
}

int meta_publish(struct meta *m, const struct meta_ctx *ctx, meta_ino ino, meta_ino parent, struct str name,
                 const struct meta_publish *how, struct meta_attr *out)
{
    struct publish p = {.ctx = ctx, .ino = ino, .parent = parent, .name = name, .how = how};
    if (meta_is_trash(parent) || (parent == META_ROOT && str_is(name, META_TRASH_NAME)))
        return -EPERM;
    int rc = m->options.read_only ? -EROFS : meta_check_name(name);
    if (rc >= 0)
        rc = check_quota(m, &p);
    if (rc >= 0)
        rc = meta_trash_for(m, parent, 0, &p.drop.trash);
    if (rc >= 0)
        rc = commit(m, &p);
    if (rc < 0)
        return rc;
    meta_usage_apply(m, &p.usage);
    if (p.replaced)
        meta_drop_finish(m, &p.drop);
    if (out)
        *out = p.attr;
    return 0;
}
