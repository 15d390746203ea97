#include "auth/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "auth/master_key.h"
#include "auth/store_internal.h"
#include "base/check.h"
#include "base/fd.h"

#define DATABASE_FILE "identities.db"
#define SCHEMA_VERSION 2
#define BUSY_TIMEOUT_MS 5000
#define BUSY_PAUSE_MS 20
#define ERROR_SIZE 512

struct store_db {
    sqlite3 *sqlite;
    char error[ERROR_SIZE];
};

/* Errors */

static _Thread_local char last_error[ERROR_SIZE];

int store_db_fail(struct store_db *db, int error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(last_error, sizeof(last_error), format, args); /* cut off when too long */
    va_end(args);
    if (db)
        memcpy(db->error, last_error, sizeof(db->error));
    return error;
}

const char *auth_store_error(const struct auth_store *s)
{
    return s && s->db ? s->db->error : last_error;
}

static int errno_of(int sqlite_code)
{
    static const struct {
        int sqlite_code, error;
    } rows[] = {
        {SQLITE_BUSY, -EBUSY},     {SQLITE_LOCKED, -EBUSY},    {SQLITE_CONSTRAINT, -EEXIST},
        {SQLITE_READONLY, -EROFS}, {SQLITE_FULL, -ENOSPC},     {SQLITE_CANTOPEN, -EACCES},
        {SQLITE_PERM, -EACCES},    {SQLITE_CORRUPT, -EUCLEAN}, {SQLITE_NOTADB, -EUCLEAN},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if ((sqlite_code & 0xff) == rows[i].sqlite_code)
            return rows[i].error;
    }
    return -EIO;
}

static int sqlite_fail(struct store_db *db, const char *doing)
{
    int code = sqlite3_errcode(db->sqlite);
    return store_db_fail(db, errno_of(code), "%s: %s", doing, sqlite3_errmsg(db->sqlite));
}

/* The connection */

/* SQLite does not wait for others here as it does elsewhere. Where a write-ahead log is impossible the mode stays what
 * it was, and all still works, only with waiting. */
static int enable_wal(struct store_db *db, const char *path)
{
    const struct timespec pause = {.tv_nsec = BUSY_PAUSE_MS * 1000 * 1000};
    int rc = store_db_run(db, "PRAGMA journal_mode = WAL", path);
    for (int tries = 0; rc == -EBUSY && tries < BUSY_TIMEOUT_MS / BUSY_PAUSE_MS; tries++) {
        (void)nanosleep(&pause, NULL); /* a shorter pause is as good */
        rc = store_db_run(db, "PRAGMA journal_mode = WAL", path);
    }
    return rc;
}

/* *out is set on failure, too, to be closed. */
static int open_connection(const char *path, struct store_db **out)
{
    struct store_db *db = calloc(1, sizeof(*db));
    CHECK(db != NULL); /* out of memory */
    *out = db;
    /* Made here, since SQLite would make it as readable as the umask allows; its -wal and -shm take the mode over. By
     * mknod, since closing a descriptor of a database drops the locks of other handles in this process. */
    if (mknod(path, S_IFREG | 0600, 0) != 0 && errno != EEXIST)
        return store_db_fail(db, -errno, "cannot make %s: %s", path, strerror(errno));
    if (sqlite3_open_v2(path, &db->sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return sqlite_fail(db, path);
    CHECK(sqlite3_busy_timeout(db->sqlite, BUSY_TIMEOUT_MS) == SQLITE_OK);
    int rc = enable_wal(db, path);
    if (rc < 0)
        return rc;
    /* secure_delete: a removed secret, though sealed, does not linger in free pages. */
    return store_db_run(db,
                        "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;"
                        "PRAGMA trusted_schema = OFF",
                        path);
}

static void close_connection(struct store_db *db)
{
    if (!db)
        return;
    CHECK(sqlite3_close(db->sqlite) == SQLITE_OK);
    free(db);
}

int store_db_run(struct store_db *db, const char *sql, const char *doing)
{
    return sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : sqlite_fail(db, doing);
}

void store_db_rollback(struct store_db *db)
{
    (void)sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL); /* fails when there is nothing left to undo */
}

int store_db_changes(const struct store_db *db)
{
    return sqlite3_changes(db->sqlite);
}

/* Queries */

int store_query_init(struct store_query *q, struct store_db *db, const char *sql, const char *doing)
{
    *q = (struct store_query){.db = db, .doing = doing};
    return sqlite3_prepare_v2(db->sqlite, sql, -1, &q->st, NULL) == SQLITE_OK ? 0 : sqlite_fail(db, doing);
}

void store_query_done(struct store_query *q)
{
    (void)sqlite3_finalize(q->st); /* repeats the error of its last step, which was seen there */
    q->st = NULL;
}

/* Binding fails for a wrong index and out of memory only. */

void store_query_bind_text(struct store_query *q, int index, struct str text)
{
    const char *ptr = text.len > 0 ? text.ptr : ""; /* NULL would bind NULL */
    CHECK(sqlite3_bind_text(q->st, index, ptr, (int)text.len, SQLITE_STATIC) == SQLITE_OK);
}

void store_query_bind_blob(struct store_query *q, int index, struct str bytes)
{
    CHECK(sqlite3_bind_blob(q->st, index, bytes.ptr, (int)bytes.len, SQLITE_STATIC) == SQLITE_OK);
}

void store_query_bind_int(struct store_query *q, int index, int64_t value)
{
    CHECK(sqlite3_bind_int64(q->st, index, value) == SQLITE_OK);
}

int store_query_step(struct store_query *q)
{
    int code = sqlite3_step(q->st);
    if (code == SQLITE_ROW)
        return 1;
    return code == SQLITE_DONE ? 0 : sqlite_fail(q->db, q->doing);
}

int store_query_run(struct store_query *q)
{
    int rc;
    while ((rc = store_query_step(q)) > 0)
        continue;
    (void)sqlite3_reset(q->st); /* repeats the step's error */
    return rc;
}

struct str store_query_bytes(const struct store_query *q, int column)
{
    const char *ptr = sqlite3_column_blob(q->st, column);
    return str_of(ptr, (size_t)sqlite3_column_bytes(q->st, column));
}

int64_t store_query_int(const struct store_query *q, int column)
{
    return sqlite3_column_int64(q->st, column);
}

bool store_query_is_null(const struct store_query *q, int column)
{
    return sqlite3_column_type(q->st, column) == SQLITE_NULL;
}

/* Changes */

int auth_store_begin_change(struct auth_store *s)
{
    return store_db_run(s->db, "BEGIN IMMEDIATE", "starting a change of the identity store");
}

int auth_store_end_change(struct auth_store *s, int rc)
{
    if (rc >= 0)
        rc = store_db_run(s->db, "UPDATE meta SET value = value + 1 WHERE name = 'version'; COMMIT",
                          "writing the identity store");
    if (rc < 0)
        store_db_rollback(s->db);
    return rc;
}

/* The schema */

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

/* Policies by name; canned ones have no row, so what is attached refers to a name. */
static const char policies_schema[] = "CREATE TABLE policies("
                                      "  name TEXT PRIMARY KEY,"
                                      "  document TEXT NOT NULL,"
                                      "  created TEXT NOT NULL) STRICT, WITHOUT ROWID;"
                                      "CREATE TABLE user_policies("
                                      "  user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,"
                                      "  policy TEXT NOT NULL,"
                                      "  PRIMARY KEY(user_id, policy)) STRICT, WITHOUT ROWID;"
                                      "CREATE TABLE policy_groups("
                                      "  group_id INTEGER PRIMARY KEY,"
                                      "  name TEXT NOT NULL UNIQUE,"
                                      "  created TEXT NOT NULL) STRICT;"
                                      "CREATE TABLE group_members("
                                      "  user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,"
                                      "  group_id INTEGER NOT NULL REFERENCES policy_groups ON DELETE CASCADE,"
                                      "  PRIMARY KEY(user_id, group_id)) STRICT, WITHOUT ROWID;"
                                      "CREATE INDEX group_members_by_group ON group_members(group_id);"
                                      "CREATE TABLE group_policies("
                                      "  group_id INTEGER NOT NULL REFERENCES policy_groups ON DELETE CASCADE,"
                                      "  policy TEXT NOT NULL,"
                                      "  PRIMARY KEY(group_id, policy)) STRICT, WITHOUT ROWID;"
                                      "PRAGMA user_version = 2;";

/* What brings a store of version i to version i + 1. */
static const char *const schema_steps[] = {schema, policies_schema};
_Static_assert(ARRAY_SIZE(schema_steps) == SCHEMA_VERSION, "one step for each version");

#define KEY_CHECK_ROW "key_check"
#define KEY_CHECK_TEXT "sluice master key"

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
    bool is_new = version == 0;
    for (; rc >= 0 && version < SCHEMA_VERSION; version++)
        rc = store_db_run(s->db, schema_steps[version], "making the identity store");
    return rc >= 0 && is_new ? write_key_check(s) : rc;
}

static int ensure_schema(struct auth_store *s)
{
    int64_t version = 0;
    int rc = read_schema_version(s, &version);
    if (rc < 0 || version == SCHEMA_VERSION)
        return rc;
    if (version < 0 || version > SCHEMA_VERSION) {
        return store_db_fail(s->db, -ENOTSUP, "the identity store has version %d, this sluice knows %d: upgrade it",
                             (int)version, SCHEMA_VERSION);
    }
    rc = auth_store_begin_change(s);
    return rc < 0 ? rc : auth_store_end_change(s, make_schema(s));
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

/* Opening */

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
    int rc = open_connection(path, &s->db);
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
    close_connection(s->db);
    secure_zero(s, sizeof(*s));
    free(s);
}
