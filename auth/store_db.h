/* The little of SQLite that the identity store needs; store_db.c is the one file of auth/ that knows the library.
 * Errors are negative errno: -EBUSY another process holds the database too long, -EEXIST a constraint, -EUCLEAN a
 * damaged file, -EROFS, -ENOSPC, -EACCES, else -EIO. Thread: one at a time. */
#ifndef AUTH_STORE_DB_H
#define AUTH_STORE_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"

struct sqlite3_stmt;
struct store_db;

/* Makes the file (mode 0600) when it is not there. *out is set on failure, too: it has the text, and is to be closed. */
MUST_USE int store_db_open(const char *path, struct store_db **out);
/* NULL is fine. All queries must be done. */
void store_db_close(struct store_db *db);
/* Text of the last failure of db; with db NULL of this thread's last one with any. */
const char *store_db_error(const struct store_db *db);
/* Sets that text; db may be NULL. Returns error. */
int store_db_fail(struct store_db *db, int error, const char *format, ...) PRINTF(3, 4);

/* Statements without parameters and results. doing: begins the text of a failure. */
MUST_USE int store_db_run(struct store_db *db, const char *sql, const char *doing);
/* Undoes the open transaction; one that only read ends well this way. */
void store_db_rollback(struct store_db *db);
/* Rows that the last statement changed. */
int store_db_changes(const struct store_db *db);

/* One prepared statement: CLEANUP(store_query_done) struct store_query q = {0}; */
struct store_query {
    struct store_db *db;
    struct sqlite3_stmt *st;
    const char *doing;
};

MUST_USE int store_query_init(struct store_query *q, struct store_db *db, const char *sql, const char *doing);
void store_query_done(struct store_query *q);
/* Parameters count from 1, are NULL until bound, and stay bound. The bytes are the caller's until the query is done. */
void store_query_bind_text(struct store_query *q, int index, struct str text);
void store_query_bind_blob(struct store_query *q, int index, struct str bytes);
void store_query_bind_int(struct store_query *q, int index, int64_t value);
/* 1: a row; 0: the end. */
MUST_USE int store_query_step(struct store_query *q);
/* Steps to the end, ready to be bound and run again. */
MUST_USE int store_query_run(struct store_query *q);
/* Columns count from 0. The view lasts until the next step; NULL is empty, or 0. */
struct str store_query_bytes(const struct store_query *q, int column);
int64_t store_query_int(const struct store_query *q, int column);
bool store_query_is_null(const struct store_query *q, int column);

#endif
