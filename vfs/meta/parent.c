/* Directories whose entries change, and what they pass on to new ones. */
#include "base/check.h"
#include "vfs/meta/internal.h"

int meta_parent_get(struct meta_txn *t, const struct meta_ctx *ctx, meta_ino ino, unsigned forbidden_flags,
                    struct meta_parent *out)
{
    *out = (struct meta_parent){.ino = ino};
    int rc = meta_directory_get(t, ino, &out->attr);
    if (rc >= 0)
        rc = meta_check_access(t, ctx, &out->attr, META_ACCESS_W | META_ACCESS_X);
    if (rc < 0)
        return rc;
    return out->attr.flags & forbidden_flags ? -EPERM : 0;
}

int meta_parent_get_for_adding(struct meta_txn *t, const struct meta_ctx *ctx, meta_ino ino, struct meta_parent *out)
{
    int rc = meta_parent_get(t, ctx, ino, META_FLAG_IMMUTABLE, out);
    if (rc < 0)
        return rc;
    return meta_in_trash(&out->attr) ? -ENOENT : 0;
}

static int64_t ms_between(struct timespec from, struct timespec to)
{
    return (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000;
}

int meta_parent_changed(struct meta *m, struct meta_txn *t, const struct meta_parent *p, const struct timespec *now)
{
    if (meta_is_trash(p->ino))
        return 0;
    if (p->nlink == 0 && ms_between(p->attr.mtime, *now) < (int64_t)m->options.skip_dir_mtime_ms)
        return 0;
    return META_DO(t, node_touch, p->ino, p->nlink, now);
}

bool meta_sticky_denies(const struct meta_ctx *ctx, const struct meta_attr *parent, const struct meta_attr *attr)
{
    return !meta_ctx_is_root(ctx) && (parent->mode & 01000) && ctx->uid != parent->uid && ctx->uid != attr->uid;
}

/* A default ACL takes the place of the umask. */
static int inherit_acl(struct meta_txn *t, const struct meta_attr *parent, uint16_t mode, struct meta_attr *attr)
{
    struct meta_acl rule;
    int rc = META_DO(t, acl_get, parent->default_acl, &rule);
    if (rc < 0)
        return rc == -ENOENT ? -EIO : rc;
    if (attr->type == META_DIRECTORY)
        attr->default_acl = parent->default_acl;
    if (meta_acl_is_minimal(&rule)) {
        attr->mode = mode & (uint16_t)(0xFE00 | meta_acl_mode(&rule));
    } else {
        meta_acl_for_child(&rule, mode);
        rc = meta_acl_store(t, &rule, &attr->access_acl);
        attr->mode = (uint16_t)((mode & 0xFE00) | meta_acl_mode(&rule));
    }
    meta_acl_done(&rule);
    return rc;
}

static void inherit_group(const struct meta_ctx *ctx, const struct meta_attr *parent, struct meta_attr *attr)
{
    if (!(parent->mode & 02000))
        return;
    attr->gid = parent->gid;
    if (attr->type == META_DIRECTORY)
        attr->mode |= 02000;
    else if ((attr->mode & 02010) == 02010 && !meta_ctx_is_root(ctx) && !meta_ctx_in_group(ctx, parent->gid))
        attr->mode &= (uint16_t)~02000;
}

int meta_inherit(struct meta_txn *t, const struct meta_ctx *ctx, const struct meta_attr *parent, uint16_t mode,
                 uint16_t umask, struct meta_attr *attr)
{
    int rc = 0;
    mode &= 07777;
    attr->access_acl = attr->default_acl = 0;
    attr->flags |= parent->flags & META_FLAG_SKIP_TRASH;
    attr->tier = parent->tier;
    if (parent->default_acl != 0 && attr->type != META_SYMLINK)
        rc = inherit_acl(t, parent, mode, attr);
    else
        attr->mode = mode & (uint16_t)~umask;
    if (rc >= 0)
        inherit_group(ctx, parent, attr);
    return rc;
}
