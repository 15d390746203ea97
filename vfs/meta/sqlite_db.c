#include "vfs/meta/sqlite_db.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "vfs/meta/engine.h"

#define SQL_MAX 8192
#define ERROR_SIZE 512
#define BUSY_PAUSE_MS 20
#define INDEX_REGION_BYTES 32768 /* of which a log's index consists (walformat.html §2) */
#define NATIVE_PREFIX "jfs_"

struct sq_conn {
    sqlite3 *db;
    struct sq_config config;
    bool log;
    struct map *statements; /* address of the SQL literal -> sqlite3_stmt */
};

static _Thread_local char last_error[ERROR_SIZE];

static int error_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CONSTRAINT: /* somebody was faster; the next try will see the row */
    case SQLITE_SCHEMA:
        return -META_AGAIN;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_READONLY:
        return -EROFS;
    default:
        return -EIO;
    }
}

static int fail(struct sq_conn *c, const char *doing)
{
    const int code = sqlite3_extended_errcode(c->db);
    (void)snprintf(last_error, sizeof(last_error), "%s: %s", doing, sqlite3_errmsg(c->db)); /* cut off when too long */
    log_debug("sqlite", "code=%d text=\"%s\"", code, last_error);
    return error_of(code);
}

/* The connection */

static int open_handle(struct sq_conn *c)
{
    const struct sq_config *config = &c->config;
    /* Made here, as its setting may hold the object store's secrets and SQLite would make it as readable as the umask
     * allows; its -wal and -shm take the mode over. */
    if (config->create && mknod(config->path, S_IFREG | 0600, 0) != 0 && errno != EEXIST) {
        const int error = errno;
        (void)snprintf(last_error, sizeof(last_error), "cannot make %s: %s", config->path, strerror(error));
        return -error;
    }
    const int flags = (config->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(config->path, &c->db, flags, NULL) != SQLITE_OK) {
        struct stat st;
        const bool missing = stat(config->path, &st) != 0 && errno == ENOENT;
        (void)fail(c, config->path);
        return missing ? -ENOENT : -EACCES;
    }
    CHECK(sqlite3_busy_timeout(c->db, (int)config->busy_ms) == SQLITE_OK);
    CHECK(sqlite3_extended_result_codes(c->db, 1) == SQLITE_OK);
    return 0;
}

/* The change to a write-ahead log does not wait for others by itself. */
static int enable_wal(struct sq_conn *c)
{
    const struct timespec pause = {.tv_nsec = BUSY_PAUSE_MS * 1000000};
    const uint64_t end_ms = clock_mono_ms() + c->config.busy_ms;
    int rc = sq_exec(c, "PRAGMA journal_mode = WAL");
    while (rc == -META_AGAIN && clock_mono_ms() < end_ms) {
        (void)nanosleep(&pause, NULL); /* a shorter pause is as good */
        rc = sq_exec(c, "PRAGMA journal_mode = WAL");
    }
    return rc;
}

static int find_mode(struct sq_conn *c)
{
    struct sq_rows row;
    int rc = sq_row(c, "PRAGMA journal_mode", SQ_NONE, &row);
    if (rc < 0)
        return rc;
    c->log = str_is(sq_column_bytes(&row, 0), "wal");
    sq_done(&row);
    return 0;
}

static int set_up(struct sq_conn *c)
{
    int rc = open_handle(c);
    if (rc >= 0 && !c->config.read_only)
        rc = enable_wal(c);
    if (rc >= 0)
        rc = find_mode(c);
    if (rc >= 0)
        rc = sq_exec(c, c->log ? "PRAGMA synchronous = NORMAL" : "PRAGMA synchronous = FULL");
    return rc < 0 ? rc : sq_exec(c, "PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY");
}

const volatile uint64_t *sq_index_header(struct sq_conn *c)
{
    struct sq_rows row;
    sqlite3_file *file = NULL;
    volatile void *region = NULL;
    /* A read, so that the log is open. */
    if (!c->log || sq_row(c, "SELECT COUNT(*) FROM sqlite_schema", SQ_NONE, &row) < 0)
        return NULL;
    sq_done(&row);
    if (sqlite3_file_control(c->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || !file || !file->pMethods ||
        file->pMethods->iVersion < 2 || file->pMethods->xShmMap(file, 0, INDEX_REGION_BYTES, 0, &region) != SQLITE_OK)
        return NULL;
    return region;
}

bool sq_has_log(const struct sq_conn *c)
{
    return c->log;
}

const char *sq_log_name(const struct sq_conn *c)
{
    return sqlite3_filename_wal(sqlite3_db_filename(c->db, "main"));
}

int sq_open(const struct sq_config *config, struct sq_conn **out, const char **out_error)
{
    struct sq_conn *c = calloc(1, sizeof(*c));
    CHECK(c != NULL); /* out of memory */
    c->config = *config;
    c->statements = map_new();
    int rc = set_up(c);
    if (rc < 0) {
        *out_error = last_error;
        sq_close(c);
        return rc;
    }
    *out = c;
    return 0;
}

static void finalize(void *statement)
{
    (void)sqlite3_finalize(statement); /* repeats the error of its last step, which was seen there */
}

void sq_close(struct sq_conn *c)
{
    if (!c)
        return;
    map_free(c->statements, finalize);
    CHECK(sqlite3_close(c->db) == SQLITE_OK);
    free(c);
}

const char *sq_prefix(const struct sq_conn *c)
{
    return c->config.prefix;
}

int sq_exec(struct sq_conn *c, const char *sql)
{
    return sqlite3_exec(c->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(c, sql);
}

/* Statements */

static void add_with_prefix(struct buf *out, struct str sql, const char *prefix)
{
    for (;;) {
        const ptrdiff_t at = str_find(sql, STR(NATIVE_PREFIX));
        if (at < 0)
            break;
        buf_add(out, str_first(sql, (size_t)at));
        buf_addz(out, prefix);
        sql = str_from(sql, (size_t)at + sizeof(NATIVE_PREFIX) - 1);
    }
    buf_add(out, sql);
}

static int prepare(struct sq_conn *c, const char *sql, sqlite3_stmt **out)
{
    char memory[SQL_MAX];
    struct buf text = buf_over(memory, sizeof(memory));
    add_with_prefix(&text, str_z(sql), c->config.prefix);
    CHECK(!text.failed);
    const int code = sqlite3_prepare_v3(c->db, text.ptr, (int)text.len + 1, SQLITE_PREPARE_PERSISTENT, out, NULL);
    return code == SQLITE_OK ? 0 : fail(c, sql);
}

static int statement_of(struct sq_conn *c, const char *sql, sqlite3_stmt **out)
{
    const struct str key = str_of((const char *)&sql, sizeof(sql));
    *out = map_get(c->statements, key);
    if (*out) {
        CHECK(!sqlite3_stmt_busy(*out)); /* a statement inside its own rows */
        return 0;
    }
    int rc = prepare(c, sql, out);
    if (rc >= 0)
        (void)map_set(c->statements, key, *out);
    return rc;
}

static void bind(sqlite3_stmt *statement, int index, const struct sq_value *value)
{
    const char *bytes = value->bytes.len > 0 ? value->bytes.ptr : ""; /* NULL would bind NULL */
    const int size = (int)value->bytes.len;
    int code = SQLITE_MISUSE;
    switch (value->kind) {
    case SQ_INT:
        code = sqlite3_bind_int64(statement, index, value->number);
        break;
    case SQ_BLOB:
        code = sqlite3_bind_blob(statement, index, bytes, size, SQLITE_STATIC);
        break;
    case SQ_TEXT:
        code = sqlite3_bind_text(statement, index, bytes, size, SQLITE_STATIC);
        break;
    }
    CHECK(code == SQLITE_OK); /* a wrong index, or out of memory */
}

int sq_start(struct sq_conn *c, const char *sql, struct sq_args args, struct sq_rows *out)
{
    *out = (struct sq_rows){.conn = c};
    int rc = statement_of(c, sql, &out->statement);
    if (rc < 0)
        return rc;
    for (int i = 0; i < args.count; i++)
        bind(out->statement, i + 1, &args.values[i]);
    return 0;
}

int sq_next(struct sq_rows *rows)
{
    const int code = sqlite3_step(rows->statement);
    if (code == SQLITE_ROW)
        return 1;
    return code == SQLITE_DONE ? 0 : fail(rows->conn, sqlite3_sql(rows->statement));
}

void sq_done(struct sq_rows *rows)
{
    if (!rows->statement)
        return;
    (void)sqlite3_reset(rows->statement); /* repeats the step's error */
    (void)sqlite3_clear_bindings(rows->statement); /* never fails */
}

int sq_row(struct sq_conn *c, const char *sql, struct sq_args args, struct sq_rows *out)
{
    int rc = sq_start(c, sql, args, out);
    if (rc >= 0)
        rc = sq_next(out);
    if (rc > 0)
        return 0;
    sq_done(out);
    return rc == 0 ? -ENOENT : rc;
}

int sq_run(struct sq_conn *c, const char *sql, struct sq_args args)
{
    struct sq_rows rows;
    int rc = sq_start(c, sql, args, &rows);
    while (rc >= 0 && (rc = sq_next(&rows)) > 0)
        continue;
    sq_done(&rows);
    return rc < 0 ? rc : sqlite3_changes(c->db);
}

int64_t sq_column_int(const struct sq_rows *rows, int column)
{
    return sqlite3_column_int64(rows->statement, column);
}

struct str sq_column_bytes(const struct sq_rows *rows, int column)
{
    const char *ptr = sqlite3_column_blob(rows->statement, column);
    const size_t len = (size_t)sqlite3_column_bytes(rows->statement, column);
    /* An empty value has no memory of its own; only NULL has no ptr here. */
    if (!ptr && sqlite3_column_type(rows->statement, column) != SQLITE_NULL)
        ptr = "";
    return str_of(ptr, len);
}

int64_t sq_last_id(struct sq_conn *c)
{
    return sqlite3_last_insert_rowid(c->db);
}
