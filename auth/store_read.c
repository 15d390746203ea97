/* Reading the store: the snapshot that requests are judged by, and listings. Each is one read transaction, so that the
 * tables fit together. */
#include <errno.h>

#include "auth/identity_internal.h"
#include "auth/store_check.h"
#include "auth/policy.h"
#include "auth/store_internal.h"
#include "base/digest.h"
#include "base/map.h"

#define READING "reading the identity store"

void *store_make_room(struct arena *arena, void *items, size_t count, size_t item_size)
{
    if ((count & (count - 1)) != 0) /* not 0, 1, 2, 4, … */
        return items;
    void *larger = arena_alloc(arena, (count > 0 ? 2 * count : 1) * item_size);
    if (count > 0)
        memcpy(larger, items, count * item_size);
    return larger;
}

int store_begin_reading(struct auth_store *s)
{
    return store_db_run(s->db, "BEGIN", READING);
}

int store_read_names(struct auth_store *s, const char *sql, int64_t id, struct str text, struct arena *arena,
                     struct store_names *out)
{
    *out = (struct store_names){0};
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_query_init(&q, s->db, sql, READING);
    if (rc < 0)
        return rc;
    if (text.len > 0)
        store_query_bind_text(&q, 1, text);
    else
        store_query_bind_int(&q, 1, id);
    while ((rc = store_query_step(&q)) > 0) {
        out->items = store_make_room(arena, out->items, out->count, sizeof(*out->items));
        out->items[out->count++] = arena_dup(arena, store_query_bytes(&q, 0));
    }
    return rc;
}

static int read_buckets(struct auth_store *s, int64_t user_id, struct arena *arena, struct auth_user *out)
{
    struct store_names names;
    int rc = store_read_names(s, "SELECT bucket FROM user_buckets WHERE user_id = ? ORDER BY bucket", user_id, STR_EMPTY,
                              arena, &names);
    if (rc < 0)
        return rc;
    out->buckets = names.items;
    out->bucket_count = names.count;
    return 0;
}

static int read_groups(struct auth_store *s, int64_t user_id, struct arena *arena, struct auth_posix *out)
{
    uint32_t *groups = NULL;
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_query_init(&q, s->db, "SELECT gid FROM user_groups WHERE user_id = ? ORDER BY gid", READING);
    if (rc < 0)
        return rc;
    store_query_bind_int(&q, 1, user_id);
    while ((rc = store_query_step(&q)) > 0) {
        groups = store_make_room(arena, groups, out->group_count, sizeof(*groups));
        groups[out->group_count++] = (uint32_t)store_query_int(&q, 0);
    }
    out->groups = groups;
    return rc;
}

#define USER_COLUMNS                                                                                                   \
    "u.user_id, u.name, u.canonical_id, u.display_name, u.email, u.admin, u.read_only, u.posix_uid, u.posix_gid"
#define USER_COLUMN_COUNT 9

/* From a row that starts with USER_COLUMNS. */
static int read_user(struct auth_store *s, const struct store_query *row, struct arena *arena, struct auth_user *out)
{
    int64_t user_id = store_query_int(row, 0);
    *out = (struct auth_user){
        .name = arena_dup(arena, store_query_bytes(row, 1)),
        .id = arena_dup(arena, store_query_bytes(row, 2)),
        .display_name = arena_dup(arena, store_query_bytes(row, 3)),
        .email = arena_dup(arena, store_query_bytes(row, 4)),
        .admin = store_query_int(row, 5) != 0,
        .read_only = store_query_int(row, 6) != 0,
        .posix = {.set = !store_query_is_null(row, 7),
                  .uid = (uint32_t)store_query_int(row, 7),
                  .gid = (uint32_t)store_query_int(row, 8)},
    };
    if (out->display_name.len == 0)
        out->display_name = out->name;
    int rc = read_buckets(s, user_id, arena, out);
    return rc < 0 ? rc : read_groups(s, user_id, arena, &out->posix);
}

/* The snapshot */

static void unref_policy(void *policy)
{
    auth_policy_unref(policy);
}

static int load_user(struct auth_store *s, const struct store_query *row, struct map *parsed, struct arena *arena,
                     struct auth_snapshot *snapshot)
{
    struct auth_user user;
    int rc = read_user(s, row, arena, &user);
    if (rc >= 0)
        rc = store_read_policies(s, store_query_int(row, 0), parsed, arena, &user);
    if (rc >= 0 && !auth_snapshot_add_user(snapshot, &user))
        rc = store_db_fail(s->db, -EUCLEAN, "two users of one name or id: the identity store is damaged");
    return rc;
}

static int load_users(struct auth_store *s, struct auth_snapshot *snapshot)
{
    CLEANUP(arena_freep) struct arena *arena = arena_new();
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_query_init(&q, s->db, "SELECT " USER_COLUMNS " FROM users u ORDER BY u.user_id", READING);
    if (rc < 0)
        return rc;
    struct map *parsed = map_new();
    while ((rc = store_query_step(&q)) > 0) {
        rc = load_user(s, &q, parsed, arena, snapshot);
        if (rc < 0)
            break;
    }
    map_free(parsed, unref_policy);
    return rc;
}

/* From a row of access key, name of the user, enabled, sealed secret. */
static int load_key(struct auth_store *s, const struct store_query *row, struct auth_snapshot *snapshot)
{
    char memory[STORE_SEALED_SIZE_MAX];
    struct buf plain = buf_over(memory, sizeof(memory));
    struct auth_key key = {
        .access_key = store_query_bytes(row, 0),
        .enabled = store_query_int(row, 2) != 0,
        .user = auth_snapshot_user(snapshot, store_query_bytes(row, 1)),
    };
    int rc = secretbox_open(s->master_key, key.access_key, store_query_bytes(row, 3), &plain);
    key.secret = buf_str(&plain);
    if (rc < 0) {
        rc = store_db_fail(s->db, -EKEYREJECTED, "the master key does not open the secret of %.*s: remove that key",
                           STR_ARG(key.access_key));
    } else if (!key.user || auth_check_secret(key.secret) || !auth_snapshot_add_key(snapshot, &key)) {
        rc = store_db_fail(s->db, -EUCLEAN, "the access key %.*s is damaged: remove it", STR_ARG(key.access_key));
    }
    secure_zero(memory, sizeof(memory));
    return rc;
}

static int load_keys(struct auth_store *s, struct auth_snapshot *snapshot)
{
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_query_init(&q, s->db,
                              "SELECT k.access_key, u.name, k.enabled, k.sealed_secret"
                              " FROM access_keys k JOIN users u USING(user_id)",
                              READING);
    if (rc < 0)
        return rc;
    while ((rc = store_query_step(&q)) > 0) {
        rc = load_key(s, &q, snapshot);
        if (rc < 0)
            return rc;
    }
    return rc;
}

int auth_store_load(struct auth_store *s, struct auth_snapshot **out)
{
    int rc = store_begin_reading(s);
    if (rc < 0)
        return rc;
    struct auth_snapshot *snapshot = auth_snapshot_new();
    uint8_t session_key[SECRETBOX_KEY_SIZE];
    hmac_sha256(str_of((const char *)s->master_key, sizeof(s->master_key)), STR("sluice session tokens"), session_key);
    auth_snapshot_set_session_key(snapshot, session_key);
    secure_zero(session_key, sizeof(session_key));
    rc = load_users(s, snapshot);
    if (rc >= 0)
        rc = load_keys(s, snapshot);
    store_db_rollback(s->db);
    if (rc < 0) {
        auth_snapshot_unref(snapshot);
        return rc;
    }
    *out = snapshot;
    return 0;
}

int auth_store_version(struct auth_store *s, uint64_t *out)
{
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_query_init(&q, s->db, "SELECT value FROM meta WHERE name = 'version'", READING);
    if (rc == 0)
        rc = store_query_step(&q);
    if (rc < 0)
        return rc;
    *out = (uint64_t)store_query_int(&q, 0);
    return 0;
}

/* Listings */

static int read_attached(struct auth_store *s, int64_t user_id, struct arena *arena, struct auth_user_row *out)
{
    struct store_names policies, groups;
    int rc = store_read_names(s, "SELECT policy FROM user_policies WHERE user_id = ? ORDER BY policy", user_id, STR_EMPTY,
                              arena, &policies);
    if (rc >= 0)
        rc = store_read_names(s,
                              "SELECT name FROM policy_groups JOIN group_members USING(group_id) WHERE user_id = ?"
                              " ORDER BY name",
                              user_id, STR_EMPTY, arena, &groups);
    if (rc < 0)
        return rc;
    out->policies = policies.items;
    out->policy_count = policies.count;
    out->groups = groups.items;
    out->group_count = groups.count;
    return 0;
}

static int list_rows(struct auth_store *s, struct arena *arena, struct auth_user_row **out_rows, size_t *out_count)
{
    struct auth_user_row *rows = NULL;
    size_t count = 0;
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_query_init(&q, s->db,
                              "SELECT " USER_COLUMNS ", k.access_key, k.enabled, coalesce(k.created, u.created)"
                              " FROM users u LEFT JOIN access_keys k USING(user_id)"
                              " ORDER BY u.name, k.created, k.access_key",
                              READING);
    if (rc < 0)
        return rc;
    while ((rc = store_query_step(&q)) > 0) {
        rows = store_make_room(arena, rows, count, sizeof(*rows));
        struct auth_user_row *row = &rows[count++];
        row->access_key = arena_dup(arena, store_query_bytes(&q, USER_COLUMN_COUNT));
        row->key_enabled = store_query_int(&q, USER_COLUMN_COUNT + 1) != 0;
        row->created = arena_dup(arena, store_query_bytes(&q, USER_COLUMN_COUNT + 2));
        rc = read_user(s, &q, arena, &row->user);
        if (rc >= 0)
            rc = read_attached(s, store_query_int(&q, 0), arena, row);
        if (rc < 0)
            return rc;
    }
    if (rc < 0)
        return rc;
    *out_rows = rows;
    *out_count = count;
    return 0;
}

int auth_store_list(struct auth_store *s, struct arena *arena, struct auth_user_row **out_rows, size_t *out_count)
{
    int rc = store_begin_reading(s);
    if (rc < 0)
        return rc;
    rc = list_rows(s, arena, out_rows, out_count);
    store_db_rollback(s->db);
    return rc;
}
