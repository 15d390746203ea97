/* One SQLite connection with its prepared statements, for the files of the SQLite engine. sqlite_db.c is the one file of
 * vfs/meta that knows SQLite.
 *
 * SQL texts are literals, prepared once per connection; "jfs_" in them stands for the volume's table prefix. Parameters are
 * ?1, ?2, … Errors: -META_AGAIN (busy, a row that is there already, a changed schema), -ENOSPC, -EROFS, else -EIO; the text
 * goes to the debug log. Thread: one at a time. */
#ifndef VFS_META_SQLITE_DB_H
#define VFS_META_SQLITE_DB_H

#include "base/compiler.h"
#include "base/str.h"

struct sq_conn;

struct sq_config {
    const char *path;
    const char *prefix; /* "jfs_" */
    bool read_only, create;
    uint32_t busy_ms;
};
/* Sets the journal mode, too: a write-ahead log, whose commits wait for no disk (sqlite_sync.h). *out_error: thread-local text. config's strings must outlive the connection. */
MUST_USE int sq_open(const struct sq_config *config, struct sq_conn **out, const char **out_error);
/* false: the file system has no write-ahead logs; every commit waits for the disk then. */
bool sq_has_log(const struct sq_conn *c);
/* Its name: beside the file that the database's path leads to, which may be a link. While the connection is open. */
const char *sq_log_name(const struct sq_conn *c);
/* What of the log's index changes with every commit of anybody (https://sqlite.org/walformat.html §2.1, the header): two
 * copies, of which the second is written first. SQLite maps it, as long as the connection is open. NULL: there is none.
 * Thread: any, for what it points at. */
#define SQ_INDEX_HEADER_WORDS 6
const volatile uint64_t *sq_index_header(struct sq_conn *c);
/* No statement may be in use. NULL is fine. */
void sq_close(struct sq_conn *c);

struct sq_value {
    enum { SQ_INT, SQ_BLOB, SQ_TEXT } kind;
    int64_t number;
    struct str bytes; /* the caller's until the statement is done */
};
static inline struct sq_value sq_int(int64_t number)
{
    return (struct sq_value){.kind = SQ_INT, .number = number};
}
static inline struct sq_value sq_blob(struct str bytes)
{
    return (struct sq_value){.kind = SQ_BLOB, .bytes = bytes};
}
static inline struct sq_value sq_text(struct str text)
{
    return (struct sq_value){.kind = SQ_TEXT, .bytes = text};
}
struct sq_args {
    const struct sq_value *values;
    int count;
};
#define SQ_ARGS(...)                                                                  \
    ((struct sq_args){(const struct sq_value[]){__VA_ARGS__},                         \
                      (int)(sizeof((const struct sq_value[]){__VA_ARGS__}) / sizeof(struct sq_value))})
#define SQ_NONE ((struct sq_args){NULL, 0})

struct sqlite3_stmt;
struct sq_rows {
    struct sq_conn *conn;
    struct sqlite3_stmt *statement;
};
/* One statement, to its end; the number of rows it changed. Not cached: sq_exec. */
MUST_USE int sq_run(struct sq_conn *c, const char *sql, struct sq_args args);
/* The first row; -ENOENT without one. On success sq_done must follow. */
MUST_USE int sq_row(struct sq_conn *c, const char *sql, struct sq_args args, struct sq_rows *out);
/* Rows one by one: after sq_start, sq_next gives 1 for a row and 0 at the end; sq_done in any case. */
MUST_USE int sq_start(struct sq_conn *c, const char *sql, struct sq_args args, struct sq_rows *out);
MUST_USE int sq_next(struct sq_rows *rows);
void sq_done(struct sq_rows *rows);
/* Columns of the current row count from 0; views last until the next step. NULL is 0 or an empty view with a NULL ptr. */
int64_t sq_column_int(const struct sq_rows *rows, int column);
struct str sq_column_bytes(const struct sq_rows *rows, int column);
/* Of the last insert. */
int64_t sq_last_id(struct sq_conn *c);

/* Statements that are not worth keeping; format as printf, with "jfs_" as it will be (use %s and sq_prefix). */
MUST_USE int sq_exec(struct sq_conn *c, const char *sql);
const char *sq_prefix(const struct sq_conn *c);

#endif
