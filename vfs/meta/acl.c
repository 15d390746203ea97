/* POSIX ACLs: the rules themselves (§6.7). Storing them on nodes is in setattr.c. */
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "vfs/meta/internal.h"

void meta_acl_done(struct meta_acl *rule)
{
    free(rule->users);
    free(rule->groups);
    *rule = (struct meta_acl){0};
}

bool meta_acl_is_empty(const struct meta_acl *r)
{
    return r->user_count + r->group_count == 0 && (r->owner & r->group & r->other & r->mask) == META_ACL_UNSET;
}

bool meta_acl_is_minimal(const struct meta_acl *r)
{
    return r->user_count + r->group_count == 0 && r->mask == META_ACL_UNSET;
}

static bool entries_eq(const struct meta_acl_entry *a, uint32_t a_count, const struct meta_acl_entry *b, uint32_t b_count)
{
    if (a_count != b_count)
        return false;
    for (uint32_t i = 0; i < a_count; i++) {
        if (a[i].id != b[i].id || a[i].perm != b[i].perm)
            return false;
    }
    return true;
}

static bool rule_eq(const struct meta_acl *a, const struct meta_acl *b)
{
    return a->owner == b->owner && a->group == b->group && a->mask == b->mask && a->other == b->other &&
           entries_eq(a->users, a->user_count, b->users, b->user_count) &&
           entries_eq(a->groups, a->group_count, b->groups, b->group_count);
}

static uint16_t with_bits(uint16_t part, uint16_t bits)
{
    return (uint16_t)((part & 0xFFF8) | (bits & 7));
}

void meta_acl_set_mode(struct meta_acl *r, uint16_t mode)
{
    uint16_t *group = meta_acl_is_minimal(r) ? &r->group : &r->mask;
    r->owner = with_bits(r->owner, mode >> 6);
    *group = with_bits(*group, mode >> 3);
    r->other = with_bits(r->other, mode);
}

uint16_t meta_acl_mode(const struct meta_acl *r)
{
    const uint16_t group = meta_acl_is_minimal(r) ? r->group : r->mask;
    return (uint16_t)((r->owner & 7) << 6 | (group & 7) << 3 | (r->other & 7));
}

void meta_acl_fill_unset(struct meta_acl *r, uint16_t mode)
{
    if (r->owner == META_ACL_UNSET)
        r->owner = mode >> 6 & 7;
    if (r->group == META_ACL_UNSET)
        r->group = mode >> 3 & 7;
    if (r->other == META_ACL_UNSET)
        r->other = mode & 7;
}

void meta_acl_for_child(struct meta_acl *r, uint16_t mode)
{
    r->owner &= mode >> 6 & 7;
    r->mask &= mode >> 3 & 7;
    r->other &= mode & 7;
}

/* -1: this group of entries does not speak of the caller. */
static int groups_allow(const struct meta_acl *r, const struct meta_ctx *ctx, uint32_t file_gid, unsigned want)
{
    int verdict = -1;
    if (meta_ctx_in_group(ctx, file_gid)) {
        if ((r->group & r->mask & want) == want)
            return 1;
        verdict = 0;
    }
    for (uint32_t i = 0; i < r->group_count; i++) {
        if (!meta_ctx_in_group(ctx, r->groups[i].id))
            continue;
        if ((r->groups[i].perm & r->mask & want) == want)
            return 1;
        verdict = 0;
    }
    return verdict;
}

bool meta_acl_allows(const struct meta_acl *r, const struct meta_ctx *ctx, const struct meta_attr *attr, unsigned want)
{
    if (ctx->uid == attr->uid)
        return (r->owner & want) == want;
    for (uint32_t i = 0; i < r->user_count; i++) {
        if (r->users[i].id == ctx->uid)
            return (r->users[i].perm & r->mask & want) == want;
    }
    const int by_group = groups_allow(r, ctx, attr->gid, want);
    return by_group >= 0 ? by_group > 0 : (r->other & want) == want;
}

/* Rules are stored once and shared. Two clients that store the same one at once make two, which does not matter. */

struct find {
    const struct meta_acl *rule;
    uint32_t id;
};

static int find_row(void *arg, uint32_t id, const struct meta_acl *rule)
{
    struct find *f = arg;
    if (!rule_eq(rule, f->rule))
        return 0;
    f->id = id;
    return 1;
}

int meta_acl_store(struct meta_txn *t, const struct meta_acl *rule, uint32_t *out_id)
{
    struct find f = {.rule = rule};
    int rc = META_DO(t, acl_scan, find_row, &f);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return META_DO(t, acl_insert, rule, out_id);
    *out_id = f.id;
    return 0;
}

/* The form of Linux's system.posix_acl_*: version 2, then entries of tag, permissions, id, all little-endian. */

#define XATTR_HEAD 4
#define XATTR_ENTRY 8
#define XATTR_VERSION 2
enum { TAG_OWNER = 1, TAG_USER = 2, TAG_GROUP = 4, TAG_NAMED_GROUP = 8, TAG_MASK = 0x10, TAG_OTHER = 0x20 };

static uint32_t get_le(const uint8_t *p, unsigned bytes)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint32_t)p[i] << (8 * i);
    return value;
}

static int take_entry(struct meta_acl *r, unsigned *seen, uint16_t tag, uint16_t perm, uint32_t id)
{
    uint16_t *const parts[] = {&r->owner, &r->group, &r->mask, &r->other};
    static const uint16_t tags[] = {TAG_OWNER, TAG_GROUP, TAG_MASK, TAG_OTHER};
    if (perm > 7)
        return -EINVAL;
    if (tag == TAG_USER) {
        r->users[r->user_count++] = (struct meta_acl_entry){id, perm};
        return 0;
    }
    if (tag == TAG_NAMED_GROUP) {
        r->groups[r->group_count++] = (struct meta_acl_entry){id, perm};
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
        if (tags[i] != tag || (*seen & tag))
            continue;
        *parts[i] = perm;
        *seen |= tag;
        return 0;
    }
    return -EINVAL;
}

int meta_acl_parse_xattr(struct str value, struct meta_acl *out)
{
    const uint8_t *p = (const uint8_t *)value.ptr;
    if (value.len < XATTR_HEAD || (value.len - XATTR_HEAD) % XATTR_ENTRY != 0 || value.len > LIMIT_META_ACL_BYTES ||
        get_le(p, 4) != XATTR_VERSION)
        return -EINVAL;
    const size_t count = (value.len - XATTR_HEAD) / XATTR_ENTRY;
    struct meta_acl rule = {META_ACL_UNSET, META_ACL_UNSET, META_ACL_UNSET, META_ACL_UNSET, NULL, NULL, 0, 0};
    rule.users = calloc(count + 1, sizeof(*rule.users));
    rule.groups = calloc(count + 1, sizeof(*rule.groups));
    CHECK(rule.users != NULL && rule.groups != NULL); /* out of memory */
    unsigned seen = 0;
    int rc = 0;
    p += XATTR_HEAD;
    for (size_t i = 0; i < count && rc >= 0; i++, p += XATTR_ENTRY)
        rc = take_entry(&rule, &seen, (uint16_t)get_le(p, 2), (uint16_t)get_le(p + 2, 2), get_le(p + 4, 4));
    if (rc < 0) {
        meta_acl_done(&rule);
        return rc;
    }
    *out = rule;
    return 0;
}

static void add_entry(struct buf *out, uint16_t tag, uint16_t perm, uint32_t id)
{
    const char bytes[XATTR_ENTRY] = {(char)tag, (char)(tag >> 8), (char)perm,       (char)(perm >> 8),
                                     (char)id,  (char)(id >> 8),  (char)(id >> 16), (char)(id >> 24)};
    buf_add(out, str_of(bytes, sizeof(bytes)));
}

void meta_acl_format_xattr(const struct meta_acl *r, struct buf *out)
{
    static const char head[XATTR_HEAD] = {XATTR_VERSION, 0, 0, 0};
    const uint32_t none = UINT32_MAX; /* Linux's "no id" */
    buf_add(out, str_of(head, sizeof(head)));
    add_entry(out, TAG_OWNER, r->owner, none);
    for (uint32_t i = 0; i < r->user_count; i++)
        add_entry(out, TAG_USER, r->users[i].perm, r->users[i].id);
    add_entry(out, TAG_GROUP, r->group, none);
    for (uint32_t i = 0; i < r->group_count; i++)
        add_entry(out, TAG_NAMED_GROUP, r->groups[i].perm, r->groups[i].id);
    if (r->mask != META_ACL_UNSET)
        add_entry(out, TAG_MASK, r->mask, none);
    add_entry(out, TAG_OTHER, r->other, none);
}
