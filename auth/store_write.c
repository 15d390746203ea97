/* Changing the store: users and keys. */
#include <errno.h>

#include "auth/store_check.h"
#include "auth/store_internal.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/random.h"

/* Users */

static struct str now_text(char out[CLOCK_TEXT_MAX])
{
    return clock_format_iso8601_ms(clock_wall_ns(), out);
}

/* Parameters 1 to 7 of the statements that write a user. */
static void bind_user(struct store_query *q, const struct auth_user_spec *spec)
{
    store_query_bind_text(q, 1, spec->name);
    store_query_bind_text(q, 2, spec->display_name);
    if (spec->email.len > 0) /* else NULL */
        store_query_bind_text(q, 3, spec->email);
    store_query_bind_int(q, 4, spec->admin);
    store_query_bind_int(q, 5, spec->read_only);
    if (spec->posix.set) {
        store_query_bind_int(q, 6, spec->posix.uid);
        store_query_bind_int(q, 7, spec->posix.gid);
    }
}

static int run_user(struct auth_store *s, struct store_query *q)
{
    int rc = store_query_run(q);
    if (rc != -EEXIST)
        return rc;
    return store_db_fail(s->db, rc, "the name, the id or the e-mail address is taken by another user");
}

static int insert_user(struct auth_store *s, const struct auth_user_spec *spec)
{
    char id[64], created[CLOCK_TEXT_MAX];
    uint8_t random[sizeof(id) / 2];
    random_bytes(random, sizeof(random));
    hex_encode(random, sizeof(random), id);
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_query_init(&q, s->db,
                              "INSERT INTO users(name, display_name, email, admin, read_only, posix_uid, posix_gid,"
                              " canonical_id, created) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                              "adding the user");
    if (rc < 0)
        return rc;
    bind_user(&q, spec);
    store_query_bind_text(&q, 8, spec->id.len > 0 ? spec->id : str_of(id, sizeof(id)));
    store_query_bind_text(&q, 9, now_text(created));
    return run_user(s, &q);
}

static int update_user(struct auth_store *s, const struct auth_user_spec *spec)
{
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_query_init(&q, s->db,
                              "UPDATE users SET display_name = ?2, email = ?3, admin = ?4, read_only = ?5,"
                              " posix_uid = ?6, posix_gid = ?7 WHERE name = ?1",
                              "changing the user");
    if (rc < 0)
        return rc;
    bind_user(&q, spec);
    return run_user(s, &q);
}

int store_find_user(struct auth_store *s, struct str name, int64_t *out_user_id)
{
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_query_init(&q, s->db, "SELECT user_id FROM users WHERE name = ?", "finding the user");
    if (rc < 0)
        return rc;
    store_query_bind_text(&q, 1, name);
    rc = store_query_step(&q);
    if (rc == 0)
        return store_db_fail(s->db, -ENOENT, "there is no user %.*s", STR_ARG(name));
    if (rc > 0)
        *out_user_id = store_query_int(&q, 0);
    return rc;
}

/* A user's lists. The same value twice is once. */

static int write_buckets(struct auth_store *s, int64_t user_id, const struct auth_user_spec *spec)
{
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_query_init(&q, s->db, "INSERT OR IGNORE INTO user_buckets VALUES(?, ?)", "writing the user");
    for (size_t i = 0; rc >= 0 && i < spec->bucket_count; i++) {
        store_query_bind_int(&q, 1, user_id);
        store_query_bind_text(&q, 2, spec->buckets[i]);
        rc = store_query_run(&q);
    }
    return rc;
}

static int write_groups(struct auth_store *s, int64_t user_id, const struct auth_posix *posix)
{
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_query_init(&q, s->db, "INSERT OR IGNORE INTO user_groups VALUES(?, ?)", "writing the user");
    for (size_t i = 0; rc >= 0 && posix->set && i < posix->group_count; i++) {
        store_query_bind_int(&q, 1, user_id);
        store_query_bind_int(&q, 2, posix->groups[i]);
        rc = store_query_run(&q);
    }
    return rc;
}

static int delete_of_user(struct auth_store *s, const char *sql, int64_t user_id)
{
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_query_init(&q, s->db, sql, "writing the user");
    if (rc < 0)
        return rc;
    store_query_bind_int(&q, 1, user_id);
    return store_query_run(&q);
}

/* In place of the lists that are there. */
static int replace_lists(struct auth_store *s, const struct auth_user_spec *spec)
{
    int64_t user_id = 0;
    int rc = store_find_user(s, spec->name, &user_id);
    if (rc >= 0)
        rc = delete_of_user(s, "DELETE FROM user_buckets WHERE user_id = ?", user_id);
    if (rc >= 0)
        rc = delete_of_user(s, "DELETE FROM user_groups WHERE user_id = ?", user_id);
    if (rc >= 0)
        rc = write_buckets(s, user_id, spec);
    return rc < 0 ? rc : write_groups(s, user_id, &spec->posix);
}

static int write_user(struct auth_store *s, const struct auth_user_spec *spec,
                      int (*write)(struct auth_store *s, const struct auth_user_spec *spec))
{
    const char *problem = auth_check_user(spec);
    if (problem)
        return store_db_fail(s->db, -EINVAL, "%s", problem);
    int rc = auth_store_begin_change(s);
    if (rc < 0)
        return rc;
    rc = write(s, spec);
    if (rc >= 0)
        rc = replace_lists(s, spec); /* says so when there is no such user */
    return auth_store_end_change(s, rc);
}

int auth_store_user_add(struct auth_store *s, const struct auth_user_spec *spec)
{
    return write_user(s, spec, insert_user);
}

int auth_store_user_update(struct auth_store *s, const struct auth_user_spec *spec)
{
    return write_user(s, spec, update_user);
}

/* A change of the row that ?1 names; -ENOENT when there is none. */

static int run_on_row(struct auth_store *s, struct store_query *q, const char *kind, struct str name)
{
    store_query_bind_text(q, 1, name);
    int rc = store_query_run(q);
    if (rc == 0 && store_db_changes(s->db) == 0)
        return store_db_fail(s->db, -ENOENT, "there is no %s %.*s", kind, STR_ARG(name));
    return rc;
}

static int delete_row(struct auth_store *s, const char *sql, const char *kind, struct str name)
{
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_query_init(&q, s->db, sql, "removing from the identity store");
    return rc < 0 ? rc : run_on_row(s, &q, kind, name);
}

int auth_store_user_remove(struct auth_store *s, struct str name)
{
    int rc = auth_store_begin_change(s);
    return rc < 0 ? rc : auth_store_end_change(s, delete_row(s, "DELETE FROM users WHERE name = ?", "user", name));
}

/* Keys */

static int insert_key(struct auth_store *s, struct str user, struct str access_key, struct str secret)
{
    char created[CLOCK_TEXT_MAX], memory[STORE_SEALED_SIZE_MAX];
    struct buf sealed = buf_over(memory, sizeof(memory));
    int64_t user_id = 0;
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_find_user(s, user, &user_id);
    if (rc >= 0)
        rc = store_query_init(&q, s->db, "INSERT INTO access_keys VALUES(?, ?, ?, 1, ?)", "adding the key");
    if (rc < 0)
        return rc;
    secretbox_seal(s->master_key, access_key, secret, &sealed);
    CHECK(!sealed.failed);
    store_query_bind_text(&q, 1, access_key);
    store_query_bind_int(&q, 2, user_id);
    store_query_bind_blob(&q, 3, buf_str(&sealed));
    store_query_bind_text(&q, 4, now_text(created));
    rc = store_query_run(&q);
    return rc == -EEXIST ? store_db_fail(s->db, rc, "the access key %.*s is taken", STR_ARG(access_key)) : rc;
}

/* 20 characters, 90 random bits: unique without asking anybody. */
static struct str new_access_key(struct arena *arena)
{
    char text[20] = "SL";
    random_text(text + 2, sizeof(text) - 2, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    return arena_dup(arena, str_of(text, sizeof(text)));
}

static struct str new_secret(struct arena *arena)
{
    char *text = arena_alloc(arena, 40); /* 240 bits */
    random_text(text, 40, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    return str_of(text, 40);
}

int auth_store_key_add(struct auth_store *s, struct str user, struct str access_key, struct str secret,
                       struct arena *arena, struct str *out_access_key, struct str *out_secret)
{
    struct str key = access_key.len > 0 ? arena_dup(arena, access_key) : new_access_key(arena);
    struct str plain = secret.len > 0 ? arena_dup(arena, secret) : new_secret(arena);
    const char *problem = auth_check_access_key(key);
    if (!problem)
        problem = auth_check_secret(plain);
    if (problem)
        return store_db_fail(s->db, -EINVAL, "%s", problem);
    int rc = auth_store_begin_change(s);
    if (rc >= 0)
        rc = auth_store_end_change(s, insert_key(s, user, key, plain));
    if (rc < 0)
        return rc;
    *out_access_key = key;
    *out_secret = plain;
    return 0;
}

int auth_store_key_remove(struct auth_store *s, struct str access_key)
{
    const char *sql = "DELETE FROM access_keys WHERE access_key = ?";
    int rc = auth_store_begin_change(s);
    return rc < 0 ? rc : auth_store_end_change(s, delete_row(s, sql, "access key", access_key));
}

static int update_enabled(struct auth_store *s, struct str access_key, bool enabled)
{
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc =
        store_query_init(&q, s->db, "UPDATE access_keys SET enabled = ?2 WHERE access_key = ?1", "changing the key");
    if (rc < 0)
        return rc;
    store_query_bind_int(&q, 2, enabled);
    return run_on_row(s, &q, "access key", access_key);
}

int auth_store_key_enable(struct auth_store *s, struct str access_key, bool enabled)
{
    int rc = auth_store_begin_change(s);
    return rc < 0 ? rc : auth_store_end_change(s, update_enabled(s, access_key, enabled));
}
