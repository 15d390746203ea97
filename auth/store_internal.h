/* The parts of the identity store, for the files that write it (store_write.c) and read it (store_read.c). store.c owns
 * the database and is the one file of auth/ that knows SQLite; here is the little of it that the others need. Errors
 * are negative errno: -EBUSY another process holds the database too long, -EEXIST a constraint, -EUCLEAN a damaged
 * file, -EROFS, -ENOSPC, -EACCES, else -EIO. Thread: one at a time. */
#ifndef AUTH_STORE_INTERNAL_H
#define AUTH_STORE_INTERNAL_H

#include "auth/store.h"
#include "base/limits.h"
#include "base/secretbox.h"

/* Room for a sealed secret: nonce, tag and a NUL more than the secret itself. */
#define STORE_SEALED_SIZE_MAX (LIMIT_SECRET_KEY_BYTES + 64)

struct sqlite3_stmt;
struct store_db;

/* Sets the text that auth_store_error gives; db may be NULL. Returns error. */
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

struct auth_store {
    struct store_db *db;
    uint8_t master_key[SECRETBOX_KEY_SIZE];
};

/* A reading of several tables that fit together: begins a transaction, which store_db_rollback ends. */
MUST_USE int store_begin_reading(struct auth_store *s);

/* A list of names; both in the arena. */
struct store_names {
    struct str *items;
    size_t count;
};
/* Column 0 of every row; id: parameter 1, text when it has bytes, else the number. */
MUST_USE int store_read_names(struct auth_store *s, const char *sql, int64_t id, struct str text, struct arena *arena,
                              struct store_names *out);
/* Room for one more item behind `count`; the array doubles when it is full. */
void *store_make_room(struct arena *arena, void *items, size_t count, size_t item_size);
/* -ENOENT with a text. */
MUST_USE int store_find_user(struct auth_store *s, struct str name, int64_t *out_user_id);
/* The policies attached to a user and to its groups, as references: parsed once for all users by way of `parsed`, a map of name
 * to struct auth_policy that is the caller's to free. */
struct map;
MUST_USE int store_read_policies(struct auth_store *s, int64_t user_id, struct map *parsed, struct arena *arena,
                                 struct auth_user *out);

/* A change is one transaction. The end, with the result of what was done in it, counts the version up and commits, or
 * undoes all; it returns that result or its own failure. */
MUST_USE int auth_store_begin_change(struct auth_store *s);
MUST_USE int auth_store_end_change(struct auth_store *s, int rc);

#endif
