#include "auth/store_db.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include <sqlite3.h>

#include "base/check.h"

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

const char *store_db_error(const struct store_db *db)
{
    return db ? db->error : last_error;
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

int store_db_open(const char *path, struct store_db **out)
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

void store_db_close(struct store_db *db)
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
