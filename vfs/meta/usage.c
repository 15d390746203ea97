/* Gathers what an operation changes of usage (§7, VOL, DIR, DQ, UG). */
#include "base/check.h"
#include "vfs/meta/internal.h"

void meta_usage_dir_add(struct meta_usage *u, const struct meta_usage_dir *add)
{
    for (unsigned i = 0; i < u->dir_count; i++) {
        struct meta_usage_dir *d = &u->dirs[i];
        if (d->ino != add->ino)
            continue;
        d->length += add->length;
        d->space += add->space;
        d->inodes += add->inodes;
        d->quota_space += add->quota_space;
        d->quota_inodes += add->quota_inodes;
        return;
    }
    CHECK(u->dir_count < META_USAGE_DIRS);
    u->dirs[u->dir_count++] = *add;
}

void meta_usage_entry(struct meta_usage *u, meta_ino dir, const struct meta_attr *attr, int sign, bool quota)
{
    const int64_t space = sign * (int64_t)meta_node_space(attr);
    const struct meta_usage_dir add = {
        .ino = dir,
        .length = attr->type == META_FILE ? sign * (int64_t)attr->length : 0,
        .space = space,
        .inodes = sign,
        .quota_space = quota ? space : 0,
        .quota_inodes = quota ? sign : 0,
    };
    meta_usage_dir_add(u, &add);
}

void meta_usage_owner_add(struct meta_usage *u, uint32_t uid, uint32_t gid, int64_t space, int64_t inodes)
{
    CHECK(u->owner_count < ARRAY_SIZE(u->owners));
    u->owners[u->owner_count++] = (struct meta_usage_owner){uid, gid, space, inodes};
}

void meta_usage_node(struct meta_usage *u, const struct meta_attr *attr, int sign)
{
    const int64_t space = sign * (int64_t)meta_node_space(attr);
    u->space += space;
    u->inodes += sign;
    meta_usage_owner_add(u, attr->uid, attr->gid, space, sign);
}

void meta_usage_owner_moved(struct meta_usage *u, const struct meta_attr *before, const struct meta_attr *after)
{
    if (before->type != META_FILE && before->type != META_DIRECTORY)
        return;
    const int64_t space = (int64_t)meta_node_space(before);
    meta_usage_owner_add(u, before->uid, before->gid, -space, -1);
    meta_usage_owner_add(u, after->uid, after->gid, space, 1);
}
