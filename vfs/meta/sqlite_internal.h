/* What the files of the SQLite engine share: the transaction, and the operations that each contributes to the table in
 * sqlite.c. */
#ifndef VFS_META_SQLITE_INTERNAL_H
#define VFS_META_SQLITE_INTERNAL_H

#include "vfs/meta/engine.h"
#include "vfs/meta/sqlite_db.h"

struct sq_txn {
    struct meta_txn base;
    struct sq_engine *engine;
    struct sq_conn *conn;
    enum meta_txn_mode mode;
};
static inline struct sq_conn *sq_conn_of(struct meta_txn *t)
{
    return container_of(t, struct sq_txn, base)->conn;
}

/* For operations without a result of their own: the number of changed rows is none. */
static inline int sq_change(struct meta_txn *t, const char *sql, struct sq_args args)
{
    int rc = sq_run(sq_conn_of(t), sql, args);
    return rc < 0 ? rc : 0;
}
/* As sq_change; `none` when no row changed. */
static inline int sq_change_some(struct meta_txn *t, const char *sql, struct sq_args args, int none)
{
    int rc = sq_run(sq_conn_of(t), sql, args);
    return rc == 0 ? none : rc < 0 ? rc : 0;
}
/* A LIMIT. */
static inline struct sq_value sq_limit(uint64_t limit)
{
    return sq_int(limit == 0 || limit > INT64_MAX ? -1 : (int64_t)limit);
}

/* Calls fn for each row until it does not return 0. */
typedef int (*sq_row_fn)(const struct sq_rows *row, void *arg);
MUST_USE int sq_each(struct meta_txn *t, const char *sql, struct sq_args args, sq_row_fn fn, void *arg);
/* The first column of the one row, appended; -ENOENT. */
MUST_USE int sq_value_get(struct meta_txn *t, const char *sql, struct sq_args args, struct buf *out);

/* sqlite_schema.c. Tables, indexes, and columns that are missing; on a connection that may not write, temporary ones that
 * are empty or NULL, so that every statement works. */
MUST_USE int sq_schema_prepare(struct sq_conn *c);
MUST_USE int sq_schema_pretend(struct sq_conn *c);
MUST_USE int sq_schema_wipe(struct sq_conn *c);
/* Is there a table of this name (without prefix) in the database? 1 or 0. */
MUST_USE int sq_schema_has(struct sq_conn *c, const char *name);

/* sqlite_node.c: node columns, in one order everywhere */
#define SQ_NODE_COLUMNS                                                                                                  \
    "n.inode, n.type, n.flags, n.mode, n.uid, n.gid, n.atime, n.mtime, n.ctime, n.atimensec, n.mtimensec, n.ctimensec, " \
    "n.nlink, n.length, n.rdev, n.parent, n.access_acl_id, n.default_acl_id, n.tier_id"
/* From a row whose columns from `first` on are those. */
void sq_node_read(const struct sq_rows *row, int first, struct meta_attr *out);

/* One line per operation of the table; engine.h says what they do. */
#define SQ_OPERATIONS(OP)                                                                                    \
    OP(setting_get) OP(setting_put) OP(counter_get) OP(counter_add) OP(counter_put) OP(take_ids)             \
    OP(node_get) OP(node_insert) OP(node_put) OP(node_touch) OP(node_delete) OP(node_scan) OP(node_totals)   \
    OP(edge_get) OP(edge_get_node) OP(edge_insert) OP(edge_replace) OP(edge_delete) OP(edge_scan)            \
    OP(edge_any) OP(edge_parents) OP(name_scan) OP(parent_scan) OP(parent_add)                               \
    OP(symlink_get) OP(symlink_insert) OP(symlink_delete)                                                    \
    OP(xattr_get) OP(xattr_put) OP(xattr_delete) OP(xattr_scan) OP(xattr_delete_all)                         \
    OP(chunk_get) OP(chunk_append) OP(chunk_rewrite) OP(chunk_delete) OP(chunk_scan) OP(chunk_scan_all)      \
    OP(ref_insert) OP(ref_add) OP(ref_get) OP(ref_delete) OP(ref_scan_garbage) OP(ref_scan)                  \
    OP(delslices_insert) OP(delslices_get) OP(delslices_delete) OP(delslices_scan)                           \
    OP(delfile_insert) OP(delfile_delete) OP(delfile_scan) OP(delfile_get)                                   \
    OP(session_insert) OP(session_refresh) OP(session_delete) OP(session_scan)                               \
    OP(sustained_insert) OP(sustained_delete) OP(sustained_scan) OP(sustained_scan_all)                      \
    OP(flock_scan) OP(flock_put) OP(flock_delete) OP(plock_scan) OP(plock_put) OP(plock_delete)              \
    OP(locks_delete_session)                                                                                 \
    OP(dir_stat_get) OP(dir_stat_put) OP(dir_stat_add) OP(dir_stat_delete)                                   \
    OP(dir_quota_get) OP(dir_quota_put) OP(dir_quota_add) OP(dir_quota_delete) OP(dir_quota_scan)            \
    OP(owner_quota_get) OP(owner_quota_put) OP(owner_quota_add) OP(owner_quota_delete) OP(owner_quota_scan)  \
    OP(acl_get) OP(acl_insert) OP(acl_scan)                                                                  \
    OP(detached_insert) OP(detached_delete) OP(detached_scan)
/* Each has the type of its member of the table. */
#define SQ_DECLARE(name) __typeof__(*((struct meta_engine_ops *)0)->name) sq_##name;
SQ_OPERATIONS(SQ_DECLARE)
#undef SQ_DECLARE

#endif
