/* Changing attributes and ACLs (§7.4, §7.23). */
#include "base/check.h"
#include "vfs/meta/internal.h"

struct setattr {
    const struct meta_ctx *ctx;
    meta_ino ino;
    unsigned which;
    const struct meta_attr *in;
    struct meta_attr attr; /* after */
    struct meta_usage usage;
};

static bool checks(const struct meta_ctx *ctx)
{
    return !meta_ctx_is_root(ctx) && ctx->check_permission;
}

static bool owns(const struct meta_ctx *ctx, const struct meta_attr *attr)
{
    return meta_ctx_is_root(ctx) || ctx->uid == attr->uid;
}

/* A new owner must not inherit what the set-id bits give. */
static uint16_t set_id_mask(const struct meta_ctx *ctx, const struct meta_attr *cur)
{
    if (cur->type == META_DIRECTORY)
        return 07777;
    return !meta_ctx_is_root(ctx) || (cur->mode & 010) ? 01777 : 03777;
}

static int merge_owner(const struct setattr *s, const struct meta_attr *cur, struct meta_attr *next)
{
    if (s->which & META_SET_GID) {
        if (!owns(s->ctx, cur))
            return -EPERM;
        if (cur->gid != s->in->gid && checks(s->ctx) && !meta_ctx_in_group(s->ctx, s->in->gid))
            return -EPERM;
        next->gid = s->in->gid;
    }
    if ((s->which & META_SET_UID) && cur->uid != s->in->uid) {
        if (checks(s->ctx))
            return -EPERM;
        next->uid = s->in->uid;
    }
    return 0;
}

/* With an ACL, a mode sets its entries; without, only the owner may change more than nothing. */
static int merge_mode(struct meta_txn *t, const struct setattr *s, const struct meta_attr *cur, uint16_t mode,
                      struct meta_attr *next)
{
    if (!meta_ctx_is_root(s->ctx) && s->ctx->gid != cur->gid)
        mode &= 05777;
    if (cur->access_acl == 0) {
        const uint16_t gained = mode & (uint16_t)~cur->mode & 06000;
        if (!owns(s->ctx, cur) && ((cur->mode & 01777) != (mode & 01777) || gained != 0))
            return -EPERM;
        next->mode = mode;
        return 0;
    }
    if (!owns(s->ctx, cur))
        return -EPERM;
    struct meta_acl rule;
    int rc = META_DO(t, acl_get, cur->access_acl, &rule);
    if (rc < 0)
        return rc == -ENOENT ? -EIO : rc;
    meta_acl_set_mode(&rule, mode);
    next->mode = (uint16_t)((mode & 07000) | meta_acl_mode(&rule));
    rc = meta_acl_store(t, &rule, &next->access_acl);
    meta_acl_done(&rule);
    return rc;
}

/* "Now" is for who may write; another time for the owner only, but for files of root's, which are root's alone. */
static int merge_time(struct meta_txn *t, const struct setattr *s, const struct meta_attr *cur, bool now, bool given,
                      struct timespec value, struct timespec *out)
{
    if (!now && (!given || meta_time_eq(value, *out)))
        return 0;
    if (!now && cur->uid == 0 && !meta_ctx_is_root(s->ctx))
        return -EPERM;
    if (!owns(s->ctx, cur) && meta_check_access(t, s->ctx, cur, META_ACCESS_W) < 0)
        return -EACCES;
    *out = now ? meta_now() : value;
    return 0;
}

static int merge_times(struct meta_txn *t, const struct setattr *s, const struct meta_attr *cur, struct meta_attr *next)
{
    int rc = merge_time(t, s, cur, s->which & META_SET_ATIME_NOW, s->which & META_SET_ATIME, s->in->atime, &next->atime);
    if (rc < 0)
        return rc;
    return merge_time(t, s, cur, s->which & META_SET_MTIME_NOW, s->which & META_SET_MTIME, s->in->mtime, &next->mtime);
}

static int merge(struct meta_txn *t, const struct setattr *s, const struct meta_attr *cur, struct meta_attr *next)
{
    *next = *cur;
    uint16_t mode = s->in->mode & 07777;
    if (s->which & (META_SET_UID | META_SET_GID)) {
        mode |= cur->mode & 06000;
        if (cur->mode & 06000) {
            const uint16_t mask = set_id_mask(s->ctx, cur);
            next->mode &= mask;
            mode &= mask;
        }
    }
    int rc = merge_owner(s, cur, next);
    if (rc >= 0 && (s->which & META_SET_MODE))
        rc = merge_mode(t, s, cur, mode, next);
    if (rc >= 0)
        rc = merge_times(t, s, cur, next);
    if (s->which & META_SET_FLAGS)
        next->flags = s->in->flags;
    return rc;
}

static bool same(const struct meta_attr *a, const struct meta_attr *b)
{
    return a->flags == b->flags && a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
           a->access_acl == b->access_acl && meta_time_eq(a->atime, b->atime) && meta_time_eq(a->mtime, b->mtime);
}

static int setattr_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct setattr *s = arg;
    struct meta_attr cur;
    s->usage = (struct meta_usage){0};
    int rc = META_DO(t, node_get, s->ino, true, &cur);
    if (rc < 0)
        return rc;
    if (meta_in_trash(&cur))
        return -EPERM;
    meta_lazy_when_nameless(t, &cur);
    rc = merge(t, s, &cur, &s->attr);
    if (rc < 0 || same(&cur, &s->attr))
        return rc;
    if (cur.uid != s->attr.uid || cur.gid != s->attr.gid)
        meta_usage_owner_moved(&s->usage, &cur, &s->attr);
    s->attr.ctime = meta_now();
    return META_DO(t, node_put, s->ino, &s->attr);
}

int meta_setattr(struct meta *m, const struct meta_ctx *ctx, meta_ino ino, unsigned which, const struct meta_attr *in,
                 struct meta_attr *out)
{
    if (meta_is_trash(ino))
        return -EPERM;
    struct setattr s = {.ctx = ctx, .ino = ino, .which = which, .in = in};
    int rc = meta_transact(m, META_TXN_WRITE, setattr_txn, &s);
    if (rc < 0)
        return rc;
    meta_usage_apply(m, &s.usage);
    if (out)
        *out = s.attr;
    return 0;
}

/* ACLs of a node */

struct acl {
    const struct meta_ctx *ctx;
    meta_ino ino;
    enum meta_acl_type type;
    const struct meta_acl *in;
    struct meta_acl out;
};

static uint32_t *id_of(struct meta_attr *attr, enum meta_acl_type type)
{
    return type == META_ACL_ACCESS ? &attr->access_acl : &attr->default_acl;
}

static int acl_get_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct acl *a = arg;
    struct meta_attr attr;
    int rc = meta_node_get(t, a->ino, false, &attr);
    if (rc < 0)
        return rc;
    const uint32_t id = *id_of(&attr, a->type);
    if (id == 0)
        return -ENODATA;
    rc = META_DO(t, acl_get, id, &a->out);
    return rc == -ENOENT ? -EIO : rc;
}

int meta_acl_get(struct meta *m, meta_ino ino, enum meta_acl_type type, struct meta_acl *out)
{
    if (!meta_features(m).acl)
        return -ENOTSUP;
    struct acl a = {.ino = ino, .type = type};
    int rc = meta_transact(m, META_TXN_READ, acl_get_txn, &a);
    if (rc >= 0)
        *out = a.out;
    return rc;
}

/* A rule that says no more than a mode becomes the mode. */
static int apply_rule(struct meta_txn *t, const struct acl *a, struct meta_attr *attr)
{
    const bool access = a->type == META_ACL_ACCESS;
    struct meta_acl rule = *a->in; /* its entries stay the caller's */
    *id_of(attr, a->type) = 0;
    if (meta_acl_is_empty(&rule))
        return 0;
    const bool minimal = meta_acl_is_minimal(&rule);
    meta_acl_fill_unset(&rule, attr->mode);
    if (access)
        attr->mode = (uint16_t)((attr->mode & 07000) | meta_acl_mode(&rule));
    return access && minimal ? 0 : meta_acl_store(t, &rule, id_of(attr, a->type));
}

static int acl_set_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    const struct acl *a = arg;
    struct meta_attr cur;
    int rc = META_DO(t, node_get, a->ino, true, &cur);
    if (rc < 0)
        return rc;
    if (!owns(a->ctx, &cur) || (cur.flags & META_FLAG_IMMUTABLE))
        return -EPERM;
    struct meta_attr next = cur;
    if (!meta_ctx_is_root(a->ctx) && !meta_ctx_in_group(a->ctx, cur.gid))
        next.mode &= 05777;
    rc = apply_rule(t, a, &next);
    if (rc < 0 || (next.mode == cur.mode && next.access_acl == cur.access_acl && next.default_acl == cur.default_acl))
        return rc;
    next.ctime = meta_now();
    return META_DO(t, node_put, a->ino, &next);
}

int meta_acl_set(struct meta *m, const struct meta_ctx *ctx, meta_ino ino, enum meta_acl_type type,
                 const struct meta_acl *rule)
{
    if (!meta_features(m).acl)
        return -ENOTSUP;
    if (meta_is_trash(ino))
        return -EPERM;
    struct acl a = {.ctx = ctx, .ino = ino, .type = type, .in = rule};
    return meta_transact(m, META_TXN_WRITE, acl_set_txn, &a);
}
