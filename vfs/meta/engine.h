/* The narrow table between the semantics of the format (meta.h, written once) and the database that holds it. An engine
 * only maps typed records to the native layout of the format (§4 SQL, §5 Redis); it knows nothing of permissions, trash or
 * quotas, decides nothing, and checks only what its layout requires.
 *
 * A transaction belongs to one thread. All its reads see one state. Redis and TKV engines send writes at commit, so that a
 * transaction reads all it needs before its first write, and never counts on reading its own writes.
 * `lock` on a read says that the record will be written on the strength of it (FOR UPDATE, WATCH).
 *
 * Errors: negative errno. -META_AGAIN from any of them (commit too) is: others were in the way, run it all again (§4.5);
 * meta_transact (internal.h) does. -EIO: the record is damaged, or the database fails. -EROFS: opened for reading only.
 * "get": -ENOENT when absent, outputs untouched. "put": makes or replaces. "insert": the record must not be there
 * (-META_AGAIN when it is: another client was faster). "delete": absent is fine unless said otherwise. Bytes handed to a
 * callback live until it returns; a callback returns 0 to go on, and what else it returns ends the scan and is returned.
 * It may not use the transaction. Scans with an order say so. */
#ifndef VFS_META_ENGINE_H
#define VFS_META_ENGINE_H

#include <errno.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "vfs/meta/attr.h"

/* No database error maps to it. */
#define META_AGAIN ERESTART

struct meta_engine;
struct meta_engine_ops;

/* Engines embed this as their first member. */
struct meta_txn {
    const struct meta_engine_ops *ops;
    /* Set by who writes: this commit need not survive a loss of power before a later one does that is not lazy. */
    bool lazy;
};

enum meta_txn_mode { META_TXN_READ, META_TXN_WRITE };

struct meta_engine_options {
    bool read_only; /* nothing is ever written, the schema not even looked after */
    bool create;    /* make the database when there is none */
    bool no_sync;   /* commits need not survive a loss of power (they stay consistent) */
    bool lazy;      /* nor before `sync` */
};

/* Record types that are not in attr.h */

struct meta_edge {
    meta_ino ino;
    uint8_t type;
};
enum { META_EDGE_ATTR = 1 /* join the node */ };
struct meta_edge_scan {
    meta_ino parent;
    struct str after;       /* names greater than this one, in byte order; empty: from the start */
    bool inclusive;         /* and this one */
    unsigned want;          /* META_EDGE_ATTR */
    const char *xattr_name; /* or NULL: that attribute's value too */
    uint64_t limit;         /* 0: none */
};
struct meta_dir_stat {
    int64_t data_length, used_space, used_inodes;
};
struct meta_quota {
    int64_t max_space, max_inodes; /* <= 0: no limit */
    int64_t used_space, used_inodes;
};
enum meta_owner_type { META_OWNER_USER = 1, META_OWNER_GROUP = 2 };
struct meta_session_row {
    uint64_t sid;
    int64_t expire_s; /* 0 in the listing of engines that do not say */
    struct str info;  /* JSON, §7.19 */
};
struct meta_lock_holder {
    uint64_t sid, owner;
};
struct meta_flock_row {
    struct meta_lock_holder holder;
    char type; /* 'R', 'W' */
};
struct meta_plock_row {
    struct meta_lock_holder holder;
    struct str records; /* §7.18 */
};
/* Sums over all nodes but the root's and the trash's own, §4.4. */
struct meta_totals {
    int64_t used_space, nodes;
};

typedef int (*meta_entry_fn)(void *arg, const struct meta_entry *entry);
typedef int (*meta_parent_fn)(void *arg, meta_ino parent, int64_t links);
typedef int (*meta_ino_fn)(void *arg, meta_ino ino);
typedef int (*meta_edge_fn)(void *arg, meta_ino parent, struct str name);
typedef int (*meta_sustained_fn)(void *arg, uint64_t sid, meta_ino ino);
typedef int (*meta_node_fn)(void *arg, meta_ino ino, const struct meta_attr *attr);
typedef int (*meta_name_fn)(void *arg, struct str name);
typedef int (*meta_xattr_fn)(void *arg, struct str name, struct str value);
typedef int (*meta_chunk_fn)(void *arg, meta_ino ino, uint32_t indx, struct str records);
typedef int (*meta_ref_fn)(void *arg, uint64_t id, uint32_t size, int64_t refs);
typedef int (*meta_delslices_fn)(void *arg, uint64_t id, int64_t deleted_s, struct str slices);
typedef int (*meta_delfile_fn)(void *arg, meta_ino ino, uint64_t length, int64_t deleted_s);
typedef int (*meta_session_fn)(void *arg, const struct meta_session_row *row);
typedef int (*meta_flock_fn)(void *arg, const struct meta_flock_row *row);
typedef int (*meta_plock_fn)(void *arg, const struct meta_plock_row *row);
typedef int (*meta_dir_quota_fn)(void *arg, meta_ino ino, const struct meta_quota *quota);
typedef int (*meta_owner_quota_fn)(void *arg, enum meta_owner_type type, uint32_t id, const struct meta_quota *quota);
typedef int (*meta_acl_fn)(void *arg, uint32_t id, const struct meta_acl *rule);

struct meta_engine_ops {
    const char *scheme; /* of the metadata URL: "sqlite3" */

    /* Engine. url: whole. *out_error: a line of text in static or thread-local memory, on failure. A database without
     * the format's tables is fine (formatting follows); with create they are made. */
    int (*open)(struct str url, const struct meta_engine_options *options, struct meta_engine **out, const char **out_error);
    void (*close)(struct meta_engine *e);
    /* Makes what is missing of tables and columns, as an official client does when its session starts (§4.2). */
    int (*prepare)(struct meta_engine *e);
    /* Removes every record of the volume. */
    int (*wipe)(struct meta_engine *e);

    /* What was committed so far, by anybody, is on stable storage; nothing with no_sync. */
    int (*sync)(struct meta_engine *e);
    /* The present state, without a transaction and without waiting: what a transaction that begins afterwards reads is that
     * or later. false: it cannot be told just now. NULL: never. */
    bool (*stamp)(struct meta_engine *e, struct meta_stamp *out);

    /* Transactions. A write transaction may wait for others. commit ends the transaction whatever it returns; abort
     * too. */
    int (*begin)(struct meta_engine *e, enum meta_txn_mode mode, struct meta_txn **out);
    int (*commit)(struct meta_txn *t);
    void (*abort)(struct meta_txn *t);

    /* Settings and counters. name: plain ("format"; "nextInode"). */
    int (*setting_get)(struct meta_txn *t, const char *name, struct buf *out);
    int (*setting_put)(struct meta_txn *t, const char *name, struct str value);
    /* 0 when the counter is not there. */
    int (*counter_get)(struct meta_txn *t, const char *name, int64_t *out);
    /* Adds (making the counter when absent) and says the value after; out may be NULL. */
    int (*counter_add)(struct meta_txn *t, const char *name, int64_t delta, int64_t *out);
    int (*counter_put)(struct meta_txn *t, const char *name, int64_t value);
    /* Takes `count` numbers of "nextInode" or "nextChunk" by the engine's convention (§3.5): [*out_first, +count). */
    int (*take_ids)(struct meta_txn *t, const char *name, uint32_t count, uint64_t *out_first);

    /* Nodes */
    int (*node_get)(struct meta_txn *t, meta_ino ino, bool lock, struct meta_attr *out);
    int (*node_insert)(struct meta_txn *t, meta_ino ino, const struct meta_attr *attr);
    /* All of the attributes; read with lock before. -ENOENT. */
    int (*node_put)(struct meta_txn *t, meta_ino ino, const struct meta_attr *attr);
    /* A parent directory, which is read without lock: nlink changes by nlink_delta, mtime and ctime to *now. -ENOENT: the
     * directory has gone meanwhile. */
    int (*node_touch)(struct meta_txn *t, meta_ino ino, int nlink_delta, const struct timespec *now);
    int (*node_delete)(struct meta_txn *t, meta_ino ino);
    /* All nodes with a number > after, ascending, at most limit. */
    int (*node_scan)(struct meta_txn *t, meta_ino after, uint64_t limit, meta_node_fn fn, void *arg);
    int (*node_totals)(struct meta_txn *t, struct meta_totals *out);

    /* Edges: the names of directories */
    int (*edge_get)(struct meta_txn *t, meta_ino parent, struct str name, bool lock, struct meta_edge *out);
    /* Edge and node at once: what lookup needs. An edge without a node is -ENOENT. */
    int (*edge_get_node)(struct meta_txn *t, meta_ino parent, struct str name, meta_ino *out_ino, struct meta_attr *out);
    int (*edge_insert)(struct meta_txn *t, meta_ino parent, struct str name, struct meta_edge edge);
    /* Changes what a name that exists leads to. */
    int (*edge_replace)(struct meta_txn *t, meta_ino parent, struct str name, struct meta_edge edge);
    /* -META_AGAIN when it is not there (it was read before). */
    int (*edge_delete)(struct meta_txn *t, meta_ino parent, struct str name);
    /* In byte order of the names. */
    int (*edge_scan)(struct meta_txn *t, const struct meta_edge_scan *scan, meta_entry_fn fn, void *arg);
    /* Does the directory have any entry? 1 or 0. */
    int (*edge_any)(struct meta_txn *t, meta_ino parent);
    /* The directories that name this inode, each with its number of names, for nodes whose parent is 0. */
    int (*parent_scan)(struct meta_txn *t, meta_ino ino, meta_parent_fn fn, void *arg);
    /* Every name of the inode, in no order. For checks and messages: an engine without an index by inode finds them slowly. */
    int (*name_scan)(struct meta_txn *t, meta_ino ino, meta_edge_fn fn, void *arg);
    /* The inodes > after that names stand in, whether or not they are directories: ascending, at most limit. */
    int (*edge_parents)(struct meta_txn *t, meta_ino after, uint64_t limit, meta_ino_fn fn, void *arg);
    /* The parent map of engines that keep one for hard-linked nodes (§6.4); SQL has it in the edges and does nothing. */
    int (*parent_add)(struct meta_txn *t, meta_ino ino, meta_ino parent, int delta);

    /* Symbolic links, extended attributes */
    int (*symlink_get)(struct meta_txn *t, meta_ino ino, struct buf *out);
    int (*symlink_insert)(struct meta_txn *t, meta_ino ino, struct str target);
    int (*symlink_delete)(struct meta_txn *t, meta_ino ino);
    int (*xattr_get)(struct meta_txn *t, meta_ino ino, struct str name, bool lock, struct buf *out);
    int (*xattr_put)(struct meta_txn *t, meta_ino ino, struct str name, struct str value);
    /* -ENODATA when absent. */
    int (*xattr_delete)(struct meta_txn *t, meta_ino ino, struct str name);
    int (*xattr_scan)(struct meta_txn *t, meta_ino ino, meta_xattr_fn fn, void *arg);
    int (*xattr_delete_all)(struct meta_txn *t, meta_ino ino);

    /* Chunks: lists of 24-byte slice records (§3.2), raw. An absent list is -ENOENT. */
    int (*chunk_get)(struct meta_txn *t, meta_ino ino, uint32_t indx, bool lock, struct buf *out);
    /* Adds records behind the list, making it when absent. */
    int (*chunk_append)(struct meta_txn *t, meta_ino ino, uint32_t indx, struct str records);
    /* Replaces the first `prefix_records` records, which the transaction read with lock, by others. */
    int (*chunk_rewrite)(struct meta_txn *t, meta_ino ino, uint32_t indx, uint32_t prefix_records, struct str records);
    /* -META_AGAIN when absent (it was read before). */
    int (*chunk_delete)(struct meta_txn *t, meta_ino ino, uint32_t indx);
    /* The lists of one inode from chunk `from` up to and with `to`, ascending. */
    int (*chunk_scan)(struct meta_txn *t, meta_ino ino, uint32_t from, uint32_t to, bool lock, meta_chunk_fn fn, void *arg);
    /* The lists of all inodes greater than `after`, by inode; at most `limit` inodes. */
    int (*chunk_scan_all)(struct meta_txn *t, meta_ino after, uint64_t limit, meta_chunk_fn fn, void *arg);

    /* Counts of references to slices, as true counts: the engine converts (§3.6). Slices of count <= 0 may go. */
    int (*ref_insert)(struct meta_txn *t, uint64_t id, uint32_t size, int64_t refs);
    int (*ref_add)(struct meta_txn *t, uint64_t id, uint32_t size, int64_t delta);
    /* A slice without a record counts as the layout says: SQL -ENOENT, others 1. */
    int (*ref_get)(struct meta_txn *t, uint64_t id, uint32_t size, int64_t *out);
    int (*ref_delete)(struct meta_txn *t, uint64_t id, uint32_t size);
    /* Those of count <= 0 with an id > after, ascending where the engine can, at most limit. */
    int (*ref_scan_garbage)(struct meta_txn *t, uint64_t after, uint64_t limit, meta_ref_fn fn, void *arg);
    /* All records with an id > after, whatever they count, ascending, at most limit. */
    int (*ref_scan)(struct meta_txn *t, uint64_t after, uint64_t limit, meta_ref_fn fn, void *arg);

    /* Delayed slices (§3.8) and files whose data is to go (§7.20) */
    int (*delslices_insert)(struct meta_txn *t, uint64_t id, int64_t deleted_s, struct str slices);
    int (*delslices_get)(struct meta_txn *t, uint64_t id, int64_t deleted_s, bool lock, struct buf *out);
    int (*delslices_delete)(struct meta_txn *t, uint64_t id, int64_t deleted_s);
    /* Those deleted before before_s, at most limit. */
    int (*delslices_scan)(struct meta_txn *t, int64_t before_s, uint64_t limit, meta_delslices_fn fn, void *arg);
    int (*delfile_insert)(struct meta_txn *t, meta_ino ino, uint64_t length, int64_t now_s);
    int (*delfile_delete)(struct meta_txn *t, meta_ino ino, uint64_t length);
    int (*delfile_scan)(struct meta_txn *t, int64_t before_s, uint64_t limit, meta_delfile_fn fn, void *arg);
    /* The record of an inode, whatever its length: -ENOENT. Maybe slow: for checks. */
    int (*delfile_get)(struct meta_txn *t, meta_ino ino, uint64_t *out_length);

    /* Sessions, and the unlinked inodes that they keep */
    int (*session_insert)(struct meta_txn *t, uint64_t sid, int64_t expire_s, struct str info);
    /* Sets the expiry, and brings the record back when it has gone. */
    int (*session_refresh)(struct meta_txn *t, uint64_t sid, int64_t expire_s, struct str info);
    int (*session_delete)(struct meta_txn *t, uint64_t sid);
    /* Those that expire before before_s (INT64_MAX: all), at most limit. */
    int (*session_scan)(struct meta_txn *t, int64_t before_s, uint64_t limit, meta_session_fn fn, void *arg);
    int (*sustained_insert)(struct meta_txn *t, uint64_t sid, meta_ino ino);
    /* 1; 0: it was absent. */
    int (*sustained_delete)(struct meta_txn *t, uint64_t sid, meta_ino ino);
    int (*sustained_scan)(struct meta_txn *t, uint64_t sid, meta_ino_fn fn, void *arg);
    /* Those of all sessions, also of ones without a record. */
    int (*sustained_scan_all)(struct meta_txn *t, meta_sustained_fn fn, void *arg);

    /* Locks (§7.18) */
    int (*flock_scan)(struct meta_txn *t, meta_ino ino, meta_flock_fn fn, void *arg);
    int (*flock_put)(struct meta_txn *t, meta_ino ino, struct meta_lock_holder holder, char type);
    int (*flock_delete)(struct meta_txn *t, meta_ino ino, struct meta_lock_holder holder);
    int (*plock_scan)(struct meta_txn *t, meta_ino ino, meta_plock_fn fn, void *arg);
    int (*plock_put)(struct meta_txn *t, meta_ino ino, struct meta_lock_holder holder, struct str records);
    int (*plock_delete)(struct meta_txn *t, meta_ino ino, struct meta_lock_holder holder);
    /* All locks, of both kinds, of a session. */
    int (*locks_delete_session)(struct meta_txn *t, uint64_t sid);

    /* Directory statistics and quotas. add: relative; -ENOENT when there is no record. */
    int (*dir_stat_get)(struct meta_txn *t, meta_ino ino, bool lock, struct meta_dir_stat *out);
    int (*dir_stat_put)(struct meta_txn *t, meta_ino ino, const struct meta_dir_stat *stat);
    int (*dir_stat_add)(struct meta_txn *t, meta_ino ino, const struct meta_dir_stat *delta);
    int (*dir_stat_delete)(struct meta_txn *t, meta_ino ino);
    int (*dir_quota_get)(struct meta_txn *t, meta_ino ino, bool lock, struct meta_quota *out);
    int (*dir_quota_put)(struct meta_txn *t, meta_ino ino, const struct meta_quota *quota);
    int (*dir_quota_add)(struct meta_txn *t, meta_ino ino, int64_t space, int64_t inodes);
    int (*dir_quota_delete)(struct meta_txn *t, meta_ino ino);
    int (*dir_quota_scan)(struct meta_txn *t, meta_dir_quota_fn fn, void *arg);
    int (*owner_quota_get)(struct meta_txn *t, enum meta_owner_type type, uint32_t id, bool lock, struct meta_quota *out);
    int (*owner_quota_put)(struct meta_txn *t, enum meta_owner_type type, uint32_t id, const struct meta_quota *quota);
    int (*owner_quota_add)(struct meta_txn *t, enum meta_owner_type type, uint32_t id, int64_t space, int64_t inodes);
    int (*owner_quota_delete)(struct meta_txn *t, enum meta_owner_type type, uint32_t id);
    int (*owner_quota_scan)(struct meta_txn *t, meta_owner_quota_fn fn, void *arg);

    /* ACL rules: immutable once stored. get fills *out (meta_acl_done). */
    int (*acl_get)(struct meta_txn *t, uint32_t id, struct meta_acl *out);
    int (*acl_insert)(struct meta_txn *t, const struct meta_acl *rule, uint32_t *out_id);
    int (*acl_scan)(struct meta_txn *t, meta_acl_fn fn, void *arg);

    /* Nodes of a clone under construction (§7.16) */
    int (*detached_insert)(struct meta_txn *t, meta_ino ino, int64_t added_s);
    int (*detached_delete)(struct meta_txn *t, meta_ino ino);
    int (*detached_scan)(struct meta_txn *t, int64_t before_s, meta_ino_fn fn, void *arg);
};

struct meta_engine {
    const struct meta_engine_ops *ops;
};

/* Finds the engine by the URL's scheme and opens the database. -ENOTSUP: no engine of that name. */
MUST_USE int meta_engine_open(struct str url, const struct meta_engine_options *options, struct meta_engine **out,
                              const char **out_error);
/* NULL is fine. */
void meta_engine_close(struct meta_engine *e);

extern const struct meta_engine_ops meta_sqlite;

#endif
