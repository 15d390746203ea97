#include "auth/identity.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "auth/identity_internal.h"
#include "auth/roles.h"
#include "auth/store.h"
#include "auth/user_policy.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/encode.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/random.h"

struct user_node {
    struct auth_user user;
    struct user_node *next;
};

struct key_node {
    struct auth_key key;
    char *secret; /* key.secret, writable to be wiped */
    struct key_node *next;
};

struct auth_snapshot {
    atomic_size_t refs;
    struct arena *arena;                  /* all texts and nodes */
    struct user_node *users, **users_end; /* in the order added */
    struct key_node *keys;
    struct map *users_by_name, *users_by_id; /* of struct auth_user */
    struct map *keys_by_access_key;          /* of struct auth_key */
    const struct auth_user *default_owner;
    struct auth_user nobody;
    struct signing_key_cache *signing_keys;
    uint8_t session_key[SECRETBOX_KEY_SIZE];
    struct auth_roles *roles; /* a reference, or NULL */
};

/* The canonical id of somebody who has no random one: 64 hex digits that stay the same. */
static struct str make_id(struct arena *arena, const char *kind, struct str name)
{
    uint8_t digest[DIGEST_SIZE_MAX];
    char hex[64];
    digest_bytes(DIGEST_SHA256, arena_printf(arena, "%s%.*s", kind, STR_ARG(name)), digest);
    hex_encode(digest, 32, hex);
    return arena_dup(arena, str_of(hex, sizeof(hex)));
}

struct auth_snapshot *auth_snapshot_new(void)
{
    struct auth_snapshot *s = calloc(1, sizeof(*s));
    CHECK(s != NULL); /* out of memory */
    atomic_init(&s->refs, 1);
    s->arena = arena_new();
    s->users_end = &s->users;
    s->users_by_name = map_new();
    s->users_by_id = map_new();
    s->keys_by_access_key = map_new();
    s->signing_keys = signing_key_cache_new();
    random_bytes(s->session_key, sizeof(s->session_key));
    s->nobody = (struct auth_user){
        .name = STR("nobody"),
        .id = make_id(s->arena, "sluice nobody", STR_EMPTY),
        .display_name = STR("nobody"),
    };
    s->default_owner = &s->nobody;
    return s;
}

static void drop_policies(const struct auth_user *u)
{
    auth_policy_unref(u->own_policy);
    for (size_t i = 0; i < u->policy_count; i++)
        auth_policy_unref(u->policies[i]);
}

static void snapshot_free(struct auth_snapshot *s)
{
    for (struct key_node *node = s->keys; node; node = node->next)
        secure_zero(node->secret, node->key.secret.len);
    for (struct user_node *node = s->users; node; node = node->next)
        drop_policies(&node->user);
    signing_key_cache_free(s->signing_keys);
    secure_zero(s->session_key, sizeof(s->session_key));
    auth_roles_unref(s->roles);
    map_free(s->keys_by_access_key, NULL);
    map_free(s->users_by_id, NULL);
    map_free(s->users_by_name, NULL);
    arena_free(s->arena);
    free(s);
}

struct auth_snapshot *auth_snapshot_ref(struct auth_snapshot *s)
{
    CHECK(atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed) > 0);
    return s;
}

void auth_snapshot_unref(struct auth_snapshot *s)
{
    if (!s)
        return;
    size_t before = atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before == 1)
        snapshot_free(s);
}

/* Building */

static void copy_user(struct arena *arena, const struct auth_user *from, struct auth_user *to)
{
    *to = *from;
    to->name = arena_dup(arena, from->name);
    to->id = arena_dup(arena, from->id);
    to->display_name = arena_dup(arena, from->display_name);
    to->email = arena_dup(arena, from->email);

    struct str *buckets = arena_array_of(arena, struct str, from->bucket_count);
    for (size_t i = 0; i < from->bucket_count; i++)
        buckets[i] = arena_dup(arena, from->buckets[i]);
    to->buckets = buckets;

    uint32_t *groups = arena_array_of(arena, uint32_t, from->posix.group_count);
    for (size_t i = 0; i < from->posix.group_count; i++)
        groups[i] = from->posix.groups[i];
    to->posix.groups = groups;

    struct auth_policy **policies = arena_array_of(arena, struct auth_policy *, from->policy_count);
    for (size_t i = 0; i < from->policy_count; i++)
        policies[i] = auth_policy_ref(from->policies[i]);
    to->policies = policies;
    to->own_policy = auth_user_policy_make(to);
}

const struct auth_user *auth_snapshot_add_user(struct auth_snapshot *s, const struct auth_user *user)
{
    if (map_get(s->users_by_name, user->name) || map_get(s->users_by_id, user->id))
        return NULL;
    struct user_node *node = arena_new_of(s->arena, struct user_node);
    copy_user(s->arena, user, &node->user);
    *s->users_end = node;
    s->users_end = &node->next;
    CHECK(map_set(s->users_by_name, node->user.name, &node->user) == NULL);
    CHECK(map_set(s->users_by_id, node->user.id, &node->user) == NULL);
    if (user->admin && s->default_owner == &s->nobody)
        s->default_owner = &node->user;
    return &node->user;
}

bool auth_snapshot_add_key(struct auth_snapshot *s, const struct auth_key *key)
{
    CHECK(key->user != NULL);
    CHECK(auth_snapshot_user(s, key->user->name) == key->user);
    CHECK(key->secret.len > 0);
    CHECK(key->secret.len <= LIMIT_SECRET_KEY_BYTES);
    if (auth_snapshot_find(s, key->access_key))
        return false;
    struct key_node *node = arena_new_of(s->arena, struct key_node);
    node->secret = arena_dupz(s->arena, key->secret);
    node->key = *key;
    node->key.access_key = arena_dup(s->arena, key->access_key);
    node->key.secret = str_of(node->secret, key->secret.len);
    node->next = s->keys;
    s->keys = node;
    CHECK(map_set(s->keys_by_access_key, node->key.access_key, &node->key) == NULL);
    return true;
}

static void add_root(struct auth_snapshot *s, struct str access_key, struct str secret)
{
    struct auth_user root = {
        .name = STR(AUTH_ROOT_NAME),
        .id = make_id(s->arena, "sluice root", access_key),
        .display_name = STR(AUTH_ROOT_NAME),
        .admin = true,
    };
    struct auth_key key = {
        .access_key = access_key, .secret = secret, .enabled = true, .user = auth_snapshot_add_user(s, &root)};
    CHECK(auth_snapshot_add_key(s, &key));
}

/* The copy of that user in s; NULL when it was left out because s has another user of its name or id. */
static const struct auth_user *find_copy(const struct auth_snapshot *s, const struct auth_user *user)
{
    const struct auth_user *found = auth_snapshot_user(s, user->name);
    return found && str_eq(found->id, user->id) ? found : NULL;
}

/* What is already there comes first: a user or an access key of `from` that is taken is left out, and a user's keys
 * with it, so that no key changes hands because of a name. */
static void add_all(struct auth_snapshot *s, const struct auth_snapshot *from)
{
    for (const struct user_node *node = from->users; node; node = node->next)
        (void)auth_snapshot_add_user(s, &node->user); /* NULL: taken */
    for (const struct key_node *node = from->keys; node; node = node->next) {
        struct auth_key key = node->key;
        key.user = find_copy(s, key.user);
        if (key.user)
            (void)auth_snapshot_add_key(s, &key); /* false: taken */
    }
}

struct auth_snapshot *auth_snapshot_with_root(struct auth_snapshot *base, struct str access_key, struct str secret)
{
    struct auth_snapshot *s = auth_snapshot_new();
    add_root(s, access_key, secret);
    if (base) {
        add_all(s, base);
        auth_snapshot_set_session_key(s, base->session_key);
        auth_snapshot_set_roles(s, base->roles);
    }
    return s;
}

/* Looking up */

const struct auth_key *auth_snapshot_find(const struct auth_snapshot *s, struct str access_key)
{
    return map_get(s->keys_by_access_key, access_key);
}

const struct auth_user *auth_snapshot_user(const struct auth_snapshot *s, struct str name)
{
    return map_get(s->users_by_name, name);
}

const struct auth_user *auth_snapshot_user_by_id(const struct auth_snapshot *s, struct str id)
{
    return map_get(s->users_by_id, id);
}

const struct auth_user *auth_snapshot_user_by_email(const struct auth_snapshot *s, struct str email)
{
    for (const struct user_node *node = s->users; node; node = node->next)
        if (email.len > 0 && str_eq_nocase(node->user.email, email))
            return &node->user;
    return NULL;
}

const struct auth_user *auth_snapshot_default_owner(const struct auth_snapshot *s)
{
    return s->default_owner;
}

size_t auth_snapshot_user_count(const struct auth_snapshot *s)
{
    return map_count(s->users_by_name);
}

struct signing_key_cache *auth_snapshot_signing_keys(const struct auth_snapshot *s)
{
    return s->signing_keys;
}

const struct auth_roles *auth_snapshot_roles(const struct auth_snapshot *s)
{
    return s->roles;
}

void auth_snapshot_set_roles(struct auth_snapshot *s, struct auth_roles *roles)
{
    auth_roles_unref(s->roles);
    s->roles = auth_roles_ref(roles);
}

void auth_snapshot_set_session_key(struct auth_snapshot *s, const uint8_t key[SECRETBOX_KEY_SIZE])
{
    memcpy(s->session_key, key, sizeof(s->session_key));
}

const uint8_t *auth_snapshot_session_key(const struct auth_snapshot *s)
{
    return s->session_key;
}
