/* The embedded identity store: users, keys, groups and policies in SQLite (DIR/identities.db), secrets sealed with AES-256-GCM under the
 * master key (DIR/master.key, mode 0600, made at first use; or SLUICE_MASTER_KEY: 64 hex digits). One writer at a time,
 * any number of processes: the command line changes the store while a gateway runs and the gateway notices.
 * Thread: a store handle is used by one thread at a time. Errors: negative errno; auth_store_error has one line of text
 * that says what to do. */
#ifndef AUTH_STORE_H
#define AUTH_STORE_H

#include "auth/identity.h"
#include "base/arena.h"
#include "base/compiler.h"

struct auth_store;

/* Makes the folder (0700), the master key and the schema when missing. -EKEYREJECTED: the master key is not the one that the
 * store was made with; -ENOKEY: there is none though there is a store. */
MUST_USE int auth_store_open(const char *state_dir, struct auth_store **out);
void auth_store_close(struct auth_store *s);
/* Text of the last failure of s; with s NULL of this thread's last one with any store, such as a failed open. */
const char *auth_store_error(const struct auth_store *s);

struct auth_user_spec {
    struct str name;
    struct str id, display_name, email; /* empty: generated, the name, none */
    bool admin, read_only;
    const struct str *buckets;
    size_t bucket_count;
    struct auth_posix posix;
};

/* -EEXIST: the name, id or e-mail is taken; -EINVAL: a bad name (1 to 64 of A-Z a-z 0-9 . _ - @, not "root") or
 * value. */
MUST_USE int auth_store_user_add(struct auth_store *s, const struct auth_user_spec *spec);
/* Changes all but name and id. -ENOENT. */
MUST_USE int auth_store_user_update(struct auth_store *s, const struct auth_user_spec *spec);
/* With all keys. -ENOENT. */
MUST_USE int auth_store_user_remove(struct auth_store *s, struct str name);
/* Adds a key. Empty access_key or secret: generated (20 of A-Z2-7 with a leading "SL"; 40 of base64url, 240 bits) and copied to the
 * arena. -EEXIST: the access key is taken; -EINVAL: bad characters or lengths (access key 3 to 128, secret 8 to 128). */
MUST_USE int auth_store_key_add(struct auth_store *s, struct str user, struct str access_key, struct str secret,
                                struct arena *arena, struct str *out_access_key, struct str *out_secret);
MUST_USE int auth_store_key_remove(struct auth_store *s, struct str access_key);
MUST_USE int auth_store_key_enable(struct auth_store *s, struct str access_key, bool enabled);

/* Policies by name: canned ones (auth_policy_canned), which are always there, and one's own. */

/* Adds the policy, or changes its document at once for all whom it is attached to. -EINVAL: the document is refused, the text names
 * what is wrong with it, or a bad name; -EEXIST: a canned one has that name. */
MUST_USE int auth_store_policy_put(struct auth_store *s, struct str name, struct str document);
/* -ENOENT; -EBUSY: it is attached to somebody; -EPERM: it is a canned one. */
MUST_USE int auth_store_policy_remove(struct auth_store *s, struct str name);
/* The document as it was put, in the arena. -ENOENT. */
MUST_USE int auth_store_policy_get(struct auth_store *s, struct str name, struct arena *arena, struct str *out);

/* Groups of users: what is attached to one holds for its members. Names as those of users. -EEXIST, -EINVAL; -ENOENT. */
MUST_USE int auth_store_group_add(struct auth_store *s, struct str name);
MUST_USE int auth_store_group_remove(struct auth_store *s, struct str name);
/* Twice is once. -ENOENT: no such group or user; when it ends, no such member. */
MUST_USE int auth_store_group_join(struct auth_store *s, struct str group, struct str user);
MUST_USE int auth_store_group_leave(struct auth_store *s, struct str group, struct str user);

enum auth_store_holder { AUTH_STORE_USER, AUTH_STORE_GROUP };
/* Twice is once. -ENOENT: no such holder or policy; for detach, not attached. */
MUST_USE int auth_store_attach(struct auth_store *s, enum auth_store_holder kind, struct str holder, struct str policy);
MUST_USE int auth_store_detach(struct auth_store *s, enum auth_store_holder kind, struct str holder, struct str policy);

/* For listings, by name. */
struct auth_policy_row {
    struct str name, created; /* created is empty for canned ones */
    const struct str *users, *groups; /* whom it is attached to */
    size_t user_count, group_count;
};
MUST_USE int auth_store_policy_list(struct auth_store *s, struct arena *arena, struct auth_policy_row **out, size_t *out_count);
struct auth_group_row {
    struct str name, created;
    const struct str *members, *policies;
    size_t member_count, policy_count;
};
MUST_USE int auth_store_group_list(struct auth_store *s, struct arena *arena, struct auth_group_row **out, size_t *out_count);

/* Reads all into a new snapshot (one reference, the caller's). */
MUST_USE int auth_store_load(struct auth_store *s, struct auth_snapshot **out);
/* A number that changes when another process or this one has changed the store; cheap enough to ask every second. */
MUST_USE int auth_store_version(struct auth_store *s, uint64_t *out);

/* Names of users with their keys (without secrets), ordered by name: for listings. */
struct auth_user_row {
    struct auth_user user;
    struct str access_key; /* one row per key; empty when the user has none */
    bool key_enabled;
    struct str created; /* ISO 8601 */
    const struct str *policies, *groups; /* names of what is attached to the user itself, and of its groups */
    size_t policy_count, group_count;
};
MUST_USE int auth_store_list(struct auth_store *s, struct arena *arena, struct auth_user_row **out_rows, size_t *out_count);

/* Administrator from the environment (SLUICE_ROOT_ACCESS_KEY and _SECRET_KEY): a snapshot that holds it beside the store's
 * own; never written to disk. base may be NULL. Consumes nothing. */
struct auth_snapshot *auth_snapshot_with_root(struct auth_snapshot *base, struct str access_key, struct str secret);

#endif
