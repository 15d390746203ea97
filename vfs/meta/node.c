/* Rules about single nodes: names, times, permissions. */
#include "base/check.h"
#include "base/clock.h"
#include "vfs/meta/internal.h"

struct timespec meta_now(void)
{
    const int64_t ns = clock_wall_ns();
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

bool meta_time_eq(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

int meta_check_name(struct str name)
{
    if (name.len > META_NAME_MAX)
        return -ENAMETOOLONG;
    const bool bad = name.len == 0 || str_is(name, ".") || str_is(name, "..") || memchr(name.ptr, '/', name.len) ||
                     memchr(name.ptr, '\0', name.len);
    return bad ? -EINVAL : 0;
}

bool meta_ctx_is_root(const struct meta_ctx *ctx)
{
    return !ctx || ctx->uid == 0;
}

bool meta_ctx_in_group(const struct meta_ctx *ctx, uint32_t gid)
{
    if (!ctx || ctx->gid == gid)
        return !ctx ? gid == 0 : true;
    for (size_t i = 0; i < ctx->group_count; i++) {
        if (ctx->groups[i] == gid)
            return true;
    }
    return false;
}

static unsigned mode_access(const struct meta_ctx *ctx, const struct meta_attr *attr)
{
    if (ctx->uid == attr->uid)
        return attr->mode >> 6 & 7;
    return meta_ctx_in_group(ctx, attr->gid) ? attr->mode >> 3 & 7 : attr->mode & 7u;
}

int meta_check_access(struct meta_txn *t, const struct meta_ctx *ctx, const struct meta_attr *attr, unsigned want)
{
    if (meta_ctx_is_root(ctx) || !ctx->check_permission)
        return 0;
    if (attr->access_acl == 0 || (attr->mode & 070) == 0)
        return (mode_access(ctx, attr) & want) == want ? 0 : -EACCES;
    struct meta_acl rule;
    int rc = META_DO(t, acl_get, attr->access_acl, &rule);
    if (rc < 0)
        return rc == -ENOENT ? -EIO : rc;
    const bool can = meta_acl_allows(&rule, ctx, attr, want);
    meta_acl_done(&rule);
    return can ? 0 : -EACCES;
}

int meta_node_get(struct meta_txn *t, meta_ino ino, bool lock, struct meta_attr *out)
{
    int rc = META_DO(t, node_get, ino, lock, out);
    if (rc != -ENOENT || (ino != META_ROOT && ino != META_TRASH))
        return rc;
    *out = (struct meta_attr){.type = META_DIRECTORY,
                              .mode = ino == META_TRASH ? 0555 : 0777,
                              .nlink = 2,
                              .length = 4096,
                              .parent = META_ROOT};
    return 0;
}

int meta_directory_get(struct meta_txn *t, meta_ino ino, struct meta_attr *out)
{
    int rc = META_DO(t, node_get, ino, false, out);
    if (rc < 0)
        return rc;
    return out->type == META_DIRECTORY ? 0 : -ENOTDIR;
}
