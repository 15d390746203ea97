#include "auth/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/master_key.h"
#include "auth/store_check.h"
#include "auth/store_internal.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/fd.h"
#include "base/random.h"

#define DATABASE_FILE "identities.db"
#define SCHEMA_VERSION 1

/* meta: `version` counts changes; `key_check` is a known text under the master key, so that a wrong key is noticed
 * before it seals anything. users: an empty display_name is the name; email, and uid with gid, are NULL when there is
 * none. Times are ISO 8601, for whoever looks in with the sqlite3 shell. */
static const char schema[] = "CREATE TABLE meta(name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;"
                             "CREATE TABLE users("
                             "  user_id INTEGER PRIMARY KEY,"
                             "  name TEXT NOT NULL UNIQUE,"
                             "  canonical_id TEXT NOT NULL UNIQUE,"
                             "  display_name TEXT NOT NULL,"
                             "  email TEXT UNIQUE COLLATE NOCASE,"
                             "  admin INTEGER NOT NULL,"
                             "  read_only INTEGER NOT NULL,"
                             "  posix_uid INTEGER CHECK(posix_uid BETWEEN 0 AND 4294967294),"
                             "  posix_gid INTEGER CHECK(posix_gid BETWEEN 0 AND 4294967294),"
                             "  created TEXT NOT NULL,"
                             "  CHECK((posix_uid IS NULL) = (posix_gid IS NULL))) STRICT;"
                             "CREATE TABLE user_buckets("
                             "  user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,"
                             "  bucket TEXT NOT NULL,"
                             "  PRIMARY KEY(user_id, bucket)) STRICT, WITHOUT ROWID;"
                             "CREATE TABLE user_groups("
                             "  user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,"
                             "  gid INTEGER NOT NULL CHECK(gid BETWEEN 0 AND 4294967294),"
                             "  PRIMARY KEY(user_id, gid)) STRICT, WITHOUT ROWID;"
                             "CREATE TABLE access_keys("
                             "  access_key TEXT PRIMARY KEY,"
                             "  user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,"
                             "  sealed_secret BLOB NOT NULL,"
                             "  enabled INTEGER NOT NULL,"
                             "  created TEXT NOT NULL) STRICT, WITHOUT ROWID;"
                             "CREATE INDEX access_keys_by_user ON access_keys(user_id);"
                             "INSERT INTO meta VALUES('version', 1);"
                             "PRAGMA user_version = 1;";
_Static_assert(SCHEMA_VERSION == 1, "the schema's text ends with its version");

#define KEY_CHECK_ROW "key_check"
#define KEY_CHECK_TEXT "sluice master key"

const char *auth_store_error(const struct auth_store *s)
{
    return store_db_error(s ? s->db : NULL);
}

/* Changes: each is one transaction that ends by counting the version up. */

static int begin_change(struct auth_store *s)
{
    return store_db_run(s->db, "BEGIN IMMEDIATE", "starting a change of the identity store");
}

static int end_change(struct auth_store *s, int rc)
{
    if (rc >= 0)
        rc = store_db_run(s->db, "UPDATE meta SET value = value + 1 WHERE name = 'version'; COMMIT",
                          "writing the identity store");
    if (rc < 0)
        store_db_rollback(s->db);
    return rc;
}

/* Opening */

static int read_schema_version(struct auth_store *s, int64_t *out)
{
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_query_init(&q, s->db, "PRAGMA user_version", "reading the identity store");
    if (rc == 0)
        rc = store_query_step(&q);
    if (rc > 0)
        *out = store_query_int(&q, 0);
    return rc < 0 ? rc : 0;
}

static int write_key_check(struct auth_store *s)
{
    char memory[STORE_SEALED_SIZE_MAX];
    struct buf sealed = buf_over(memory, sizeof(memory));
    CLEANUP(store_query_done) struct store_query q = {0};
    secretbox_seal(s->master_key, STR(KEY_CHECK_ROW), STR(KEY_CHECK_TEXT), &sealed);
    CHECK(!sealed.failed);
    int rc = store_query_init(&q, s->db, "INSERT INTO meta VALUES(?, ?)", "making the identity store");
    if (rc < 0)
        return rc;
    store_query_bind_text(&q, 1, STR(KEY_CHECK_ROW));
    store_query_bind_blob(&q, 2, buf_str(&sealed));
    return store_query_run(&q);
}

/* Inside a change: of two processes that come first, the second finds the schema made. */
static int make_schema(struct auth_store *s)
{
    int64_t version = 0;
    int rc = read_schema_version(s, &version);
    if (rc < 0 || version != 0)
        return rc;
    rc = store_db_run(s->db, schema, "making the identity store");
    return rc < 0 ? rc : write_key_check(s);
}

static int ensure_schema(struct auth_store *s)
{
    int64_t version = 0;
    int rc = read_schema_version(s, &version);
    if (rc < 0 || version == SCHEMA_VERSION)
        return rc;
    if (version != 0) {
        return store_db_fail(s->db, -ENOTSUP, "the identity store has version %d, this sluice knows %d: upgrade it",
                             (int)version, SCHEMA_VERSION);
    }
    rc = begin_change(s);
    return rc < 0 ? rc : end_change(s, make_schema(s));
}

static int check_master_key(struct auth_store *s)
{
    char memory[STORE_SEALED_SIZE_MAX];
    struct buf plain = buf_over(memory, sizeof(memory));
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_query_init(&q, s->db, "SELECT value FROM meta WHERE name = ?", "reading the identity store");
    if (rc < 0)
        return rc;
    store_query_bind_text(&q, 1, STR(KEY_CHECK_ROW));
    rc = store_query_step(&q);
    if (rc < 0)
        return rc;
    if (rc > 0 && secretbox_open(s->master_key, STR(KEY_CHECK_ROW), store_query_bytes(&q, 0), &plain) == 0)
        return 0;
    return store_db_fail(s->db, -EKEYREJECTED,
                         "the master key does not open the identity store: restore the " MASTER_KEY_FILE
                         " (or SLUICE_MASTER_KEY) that it was made with");
}

static int load_master_key(struct auth_store *s, int dirfd)
{
    char memory[256];
    struct buf text = buf_over(memory, sizeof(memory));
    bool is_new = faccessat(dirfd, DATABASE_FILE, F_OK, 0) != 0 && errno == ENOENT;
    int rc = master_key_load(dirfd, is_new, s->master_key, &text);
    return rc < 0 ? store_db_fail(NULL, rc, "%s", buf_z(&text)) : 0;
}

static int open_database(struct auth_store *s, const char *state_dir)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/" DATABASE_FILE, state_dir);
    CHECK(len > 0);
    if ((size_t)len >= sizeof(path))
        return store_db_fail(NULL, -ENAMETOOLONG, "the path of the state folder is too long");
    int rc = store_db_open(path, &s->db);
    if (rc == 0)
        rc = ensure_schema(s);
    return rc < 0 ? rc : check_master_key(s);
}

static int open_folder(struct auth_store *s, const char *state_dir)
{
    if (mkdir(state_dir, 0700) != 0 && errno != EEXIST)
        return store_db_fail(NULL, -errno, "cannot make the folder %s: %s", state_dir, strerror(errno));
    CLEANUP(fd_closep) int dirfd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0)
        return store_db_fail(NULL, -errno, "cannot open the folder %s: %s", state_dir, strerror(errno));
    int rc = load_master_key(s, dirfd);
    return rc < 0 ? rc : open_database(s, state_dir);
}

int auth_store_open(const char *state_dir, struct auth_store **out)
{
    struct auth_store *s = calloc(1, sizeof(*s));
    CHECK(s != NULL); /* out of memory */
    int rc = open_folder(s, state_dir);
    if (rc < 0) {
        auth_store_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void auth_store_close(struct auth_store *s)
{
    if (!s)
        return;
    store_db_close(s->db);
    secure_zero(s, sizeof(*s));
    free(s);
}

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

static int find_user(struct auth_store *s, struct str name, int64_t *out_user_id)
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
    int rc = find_user(s, spec->name, &user_id);
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
    int rc = begin_change(s);
    if (rc < 0)
        return rc;
    rc = write(s, spec);
    if (rc >= 0)
        rc = replace_lists(s, spec); /* says so when there is no such user */
    return end_change(s, rc);
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
    int rc = begin_change(s);
    return rc < 0 ? rc : end_change(s, delete_row(s, "DELETE FROM users WHERE name = ?", "user", name));
}

/* Keys */

static int insert_key(struct auth_store *s, struct str user, struct str access_key, struct str secret)
{
    char created[CLOCK_TEXT_MAX], memory[STORE_SEALED_SIZE_MAX];
    struct buf sealed = buf_over(memory, sizeof(memory));
    int64_t user_id = 0;
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = find_user(s, user, &user_id);
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
    int rc = begin_change(s);
    if (rc >= 0)
        rc = end_change(s, insert_key(s, user, key, plain));
    if (rc < 0)
        return rc;
    *out_access_key = key;
    *out_secret = plain;
    return 0;
}

int auth_store_key_remove(struct auth_store *s, struct str access_key)
{
    const char *sql = "DELETE FROM access_keys WHERE access_key = ?";
    int rc = begin_change(s);
    return rc < 0 ? rc : end_change(s, delete_row(s, sql, "access key", access_key));
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
    int rc = begin_change(s);
    return rc < 0 ? rc : end_change(s, update_enabled(s, access_key, enabled));
}
