#include "vfs/dir/sidecar.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

#include "base/check.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mutex.h"

#define BUSY_TIMEOUT_MS 10000

enum query { QUERY_GET, QUERY_SET, QUERY_ADD, QUERY_REMOVE, QUERY_FORGET, QUERY_COUNT };

static const char *const query_text[QUERY_COUNT] = {
    [QUERY_GET] = "SELECT value FROM xattr WHERE ino = ?1 AND btime = ?2 AND name = ?3",
    [QUERY_SET] = "INSERT OR REPLACE INTO xattr (ino, btime, name, value) VALUES (?1, ?2, ?3, ?4)",
    [QUERY_ADD] = "INSERT OR IGNORE INTO xattr (ino, btime, name, value) VALUES (?1, ?2, ?3, ?4)",
    [QUERY_REMOVE] = "DELETE FROM xattr WHERE ino = ?1 AND btime = ?2 AND name = ?3",
    [QUERY_FORGET] = "DELETE FROM xattr WHERE ino = ?1 AND btime = ?2",
};

static const char schema_text[] = "CREATE TABLE IF NOT EXISTS xattr (ino INTEGER NOT NULL, btime INTEGER NOT NULL, "
                                  "name TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (ino, btime, name)) "
                                  "WITHOUT ROWID";

struct sidecar {
    struct mutex lock; /* one statement at a time */
    sqlite3 *db;
    sqlite3_stmt *statements[QUERY_COUNT];
    int log_fd;
};

static int error_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
        return 0;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_TOOBIG:
        return -E2BIG;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    default:
        return -EIO;
    }
}

static int run(sqlite3 *db, const char *sql)
{
    return error_of(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

/* The log's frames carry checksums and are written before a set returns; syncing the file makes them last, together with
 * whatever else the caller syncs. On a shared filesystem SQLite syncs each set itself. */
static int set_modes(struct sidecar *s, bool shared_fs, bool durable)
{
    int r = run(s->db, shared_fs ? "PRAGMA journal_mode=TRUNCATE" : "PRAGMA journal_mode=WAL");
    if (r < 0)
        return r;
    if (!durable)
        return run(s->db, "PRAGMA synchronous=OFF");
    return run(s->db, shared_fs ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
}

static int open_log(struct sidecar *s, const char *path)
{
    char log[PATH_MAX];
    if ((size_t)snprintf(log, sizeof(log), "%s-wal", path) >= sizeof(log))
        return -ENAMETOOLONG;
    s->log_fd = open(log, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return s->log_fd < 0 ? -errno : 0;
}

static int prepare_all(struct sidecar *s)
{
    for (int i = 0; i < QUERY_COUNT; i++) {
        int code = sqlite3_prepare_v3(s->db, query_text[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i], NULL);
        if (code != SQLITE_OK)
            return error_of(code);
    }
    return 0;
}

static int start(struct sidecar *s, const char *path, bool shared_fs, bool durable)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    int r = error_of(sqlite3_open_v2(path, &s->db, flags, NULL));
    if (r < 0)
        return r;
    sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS);
    r = set_modes(s, shared_fs, durable);
    if (r == 0)
        r = run(s->db, schema_text);
    if (r == 0)
        r = prepare_all(s);
    /* Reading makes the log appear when the schema was there already. */
    if (r == 0)
        r = run(s->db, "SELECT count(*) FROM xattr WHERE ino = 0");
    return r == 0 && durable && !shared_fs ? open_log(s, path) : r;
}

int sidecar_open(const char *path, bool shared_fs, bool durable, struct sidecar **out)
{
    struct sidecar *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    mutex_init(&s->lock);
    s->log_fd = -1;
    int r = start(s, path, shared_fs, durable);
    if (r < 0) {
        sidecar_close(s);
        return r;
    }
    *out = s;
    return 0;
}

void sidecar_close(struct sidecar *s)
{
    if (!s)
        return;
    for (int i = 0; i < QUERY_COUNT; i++)
        sqlite3_finalize(s->statements[i]);
    CHECK(sqlite3_close(s->db) == SQLITE_OK);
    fd_closep(&s->log_fd);
    mutex_done(&s->lock);
    free(s);
}

int sidecar_log_fd(const struct sidecar *s)
{
    return s->log_fd;
}

/* Statements. Values are bound without copies: they are used up before the call returns. */

static sqlite3_stmt *bind(struct sidecar *s, enum query query, struct sidecar_key key, const char *name)
{
    sqlite3_stmt *q = s->statements[query];
    CHECK(sqlite3_bind_int64(q, 1, (sqlite3_int64)key.ino) == SQLITE_OK);
    CHECK(sqlite3_bind_int64(q, 2, key.btime_ns) == SQLITE_OK);
    CHECK(!name || sqlite3_bind_text(q, 3, name, -1, SQLITE_STATIC) == SQLITE_OK);
    return q;
}

static int finish(sqlite3_stmt *q)
{
    int code = sqlite3_reset(q);
    sqlite3_clear_bindings(q);
    return error_of(code);
}

static int step(sqlite3_stmt *q)
{
    (void)sqlite3_step(q); /* reset reports the same */
    return finish(q);
}

int sidecar_get(struct sidecar *s, struct sidecar_key key, const char *name, struct buf *out)
{
    mutex_lock(&s->lock);
    sqlite3_stmt *q = bind(s, QUERY_GET, key, name);
    bool found = sqlite3_step(q) == SQLITE_ROW;
    if (found)
        buf_add(out, str_of(sqlite3_column_blob(q, 0), (size_t)sqlite3_column_bytes(q, 0)));
    int r = finish(q);
    mutex_unlock(&s->lock);
    if (r < 0)
        return r;
    if (!found)
        return -ENODATA;
    return out->failed ? -EFBIG : 0;
}

static int put(struct sidecar *s, enum query query, struct sidecar_key key, const char *name, struct str value)
{
    if (value.len > LIMIT_OBJECT_RECORD_BYTES)
        return -E2BIG;
    mutex_lock(&s->lock);
    sqlite3_stmt *q = bind(s, query, key, name);
    CHECK(sqlite3_bind_blob(q, 4, value.len ? value.ptr : "", (int)value.len, SQLITE_STATIC) == SQLITE_OK);
    int r = step(q);
    mutex_unlock(&s->lock);
    return r;
}

int sidecar_set(struct sidecar *s, struct sidecar_key key, const char *name, struct str value)
{
    return put(s, QUERY_SET, key, name, value);
}

int sidecar_add(struct sidecar *s, struct sidecar_key key, const char *name, struct str value)
{
    return put(s, QUERY_ADD, key, name, value);
}

int sidecar_remove(struct sidecar *s, struct sidecar_key key, const char *name)
{
    mutex_lock(&s->lock);
    int r = step(bind(s, QUERY_REMOVE, key, name));
    mutex_unlock(&s->lock);
    return r;
}

void sidecar_forget(struct sidecar *s, struct sidecar_key key)
{
    mutex_lock(&s->lock);
    (void)step(bind(s, QUERY_FORGET, key, NULL));
    mutex_unlock(&s->lock);
}
