/* Who may ask: users, their access keys, and an immutable snapshot of all of them. A snapshot is built once and shared by
 * reference count; requests hold one from begin to end, so a change of identities never shows half-way.
 * Thread: any (snapshots are read-only). */
#ifndef AUTH_IDENTITY_H
#define AUTH_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"

struct auth_policy;

/* The POSIX identity that file operations of a user run under. */
struct auth_posix {
    bool set;
    uint32_t uid, gid;
    const uint32_t *groups;
    size_t group_count;
};

struct auth_user {
    struct str name;         /* as in `sluice user`; unique */
    struct str id;           /* canonical user id (64 hex digits unless given), S3's <Owner><ID> */
    struct str display_name; /* S3's <DisplayName>; the name unless given */
    struct str email;        /* may be empty */
    bool admin;              /* may do everything, every bucket */
    bool read_only;          /* holds for administrators too */
    const struct str *buckets; /* of users without attached policies: the only ones they may touch; bucket_count 0: all */
    size_t bucket_count;
    struct auth_posix posix;
    /* What judges the user (auth/authorize.h): what the options above mean, NULL when they say nothing, and what is attached to
     * the user and to the user's groups. References, the snapshot's. */
    struct auth_policy *own_policy;
    struct auth_policy *const *policies;
    size_t policy_count;
};

struct auth_key {
    struct str access_key;
    struct str secret; /* plain, in memory only; wiped with the snapshot */
    bool enabled;
    const struct auth_user *user;
};

struct auth_snapshot;
struct auth_roles;

struct auth_snapshot *auth_snapshot_ref(struct auth_snapshot *s);
/* The last one wipes the secrets. NULL is fine. */
void auth_snapshot_unref(struct auth_snapshot *s);
/* Enabled or not; NULL when no such key. Valid while the snapshot is held. */
const struct auth_key *auth_snapshot_find(const struct auth_snapshot *s, struct str access_key);
const struct auth_user *auth_snapshot_user(const struct auth_snapshot *s, struct str name);
/* By canonical id. */
const struct auth_user *auth_snapshot_user_by_id(const struct auth_snapshot *s, struct str id);
/* By e-mail address, in any case; users without one are not found. */
const struct auth_user *auth_snapshot_user_by_email(const struct auth_snapshot *s, struct str email);
/* The owner of what no record names an owner for (buckets made through POSIX): the first administrator, root before all.
 * Never NULL: without one it is a user "nobody" that has no key and that no look-up finds. */
const struct auth_user *auth_snapshot_default_owner(const struct auth_snapshot *s);
size_t auth_snapshot_user_count(const struct auth_snapshot *s);
/* The roles that go with it (roles.h); NULL: none. */
const struct auth_roles *auth_snapshot_roles(const struct auth_snapshot *s);

#endif
