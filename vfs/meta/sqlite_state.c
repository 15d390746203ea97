/* Settings, counters, sessions, locks, nodes under construction. */
#include "vfs/meta/sqlite_internal.h"

int sq_setting_get(struct meta_txn *t, const char *name, struct buf *out)
{
    /* Any database may be asked whether it is a volume. */
    int rc = sq_schema_has(sq_conn_of(t), "setting");
    if (rc <= 0)
        return rc < 0 ? rc : -ENOENT;
    return sq_value_get(t, "SELECT value FROM jfs_setting WHERE name = ?1", SQ_ARGS(sq_text(str_z(name))), out);
}

int sq_setting_put(struct meta_txn *t, const char *name, struct str value)
{
    return sq_change(t,
                     "INSERT INTO jfs_setting (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
                     SQ_ARGS(sq_text(str_z(name)), sq_text(value)));
}

/* Counters */

int sq_counter_get(struct meta_txn *t, const char *name, int64_t *out)
{
    struct sq_rows row;
    int rc = sq_row(sq_conn_of(t), "SELECT value FROM jfs_counter WHERE name = ?1", SQ_ARGS(sq_text(str_z(name))), &row);
    if (rc == -ENOENT) {
        *out = 0;
        return 0;
    }
    if (rc < 0)
        return rc;
    *out = sq_column_int(&row, 0);
    sq_done(&row);
    return 0;
}

int sq_counter_add(struct meta_txn *t, const char *name, int64_t delta, int64_t *out)
{
    int rc = sq_change(t,
                       "INSERT INTO jfs_counter (name, value) VALUES (?1, ?2) "
                       "ON CONFLICT (name) DO UPDATE SET value = value + ?2",
                       SQ_ARGS(sq_text(str_z(name)), sq_int(delta)));
    return rc < 0 || !out ? rc : sq_counter_get(t, name, out);
}

int sq_counter_put(struct meta_txn *t, const char *name, int64_t value)
{
    return sq_change(t,
                     "INSERT INTO jfs_counter (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
                     SQ_ARGS(sq_text(str_z(name)), sq_int(value)));
}

/* The counter is the next free number (§3.5). Without it, numbers that are taken would be given out again. */
int sq_take_ids(struct meta_txn *t, const char *name, uint32_t count, uint64_t *out_first)
{
    int64_t after = 0;
    int rc = sq_counter_add(t, name, count, &after);
    if (rc < 0)
        return rc;
    if (after <= (int64_t)count)
        return -EIO;
    *out_first = (uint64_t)after - count;
    return 0;
}

/* Sessions */

int sq_session_insert(struct meta_txn *t, uint64_t sid, int64_t expire_s, struct str info)
{
    return sq_change(t, "INSERT INTO jfs_session2 (sid, expire, info) VALUES (?1, ?2, ?3)",
                     SQ_ARGS(sq_int((int64_t)sid), sq_int(expire_s), sq_blob(info)));
}

int sq_session_refresh(struct meta_txn *t, uint64_t sid, int64_t expire_s, struct str info)
{
    return sq_change(t,
                     "INSERT INTO jfs_session2 (sid, expire, info) VALUES (?1, ?2, ?3) "
                     "ON CONFLICT (sid) DO UPDATE SET expire = ?2",
                     SQ_ARGS(sq_int((int64_t)sid), sq_int(expire_s), sq_blob(info)));
}

int sq_session_delete(struct meta_txn *t, uint64_t sid)
{
    return sq_change(t, "DELETE FROM jfs_session2 WHERE sid = ?1", SQ_ARGS(sq_int((int64_t)sid)));
}

struct session_scan {
    meta_session_fn fn;
    void *arg;
};

static int session_row(const struct sq_rows *row, void *arg)
{
    const struct session_scan *scan = arg;
    const struct meta_session_row session = {
        .sid = (uint64_t)sq_column_int(row, 0),
        .expire_s = sq_column_int(row, 1),
        .info = sq_column_bytes(row, 2),
    };
    return scan->fn(scan->arg, &session);
}

int sq_session_scan(struct meta_txn *t, int64_t before_s, uint64_t limit, meta_session_fn fn, void *arg)
{
    struct session_scan scan = {fn, arg};
    return sq_each(t, "SELECT sid, expire, info FROM jfs_session2 WHERE expire < ?1 ORDER BY sid LIMIT ?2",
                   SQ_ARGS(sq_int(before_s), sq_limit(limit)), session_row, &scan);
}

/* Inodes, for sustained and detached ones. */
struct ino_scan {
    meta_ino_fn fn;
    void *arg;
};

static int ino_row(const struct sq_rows *row, void *arg)
{
    const struct ino_scan *scan = arg;
    return scan->fn(scan->arg, (meta_ino)sq_column_int(row, 0));
}

int sq_sustained_insert(struct meta_txn *t, uint64_t sid, meta_ino ino)
{
    return sq_change(t, "INSERT INTO jfs_sustained (sid, inode) VALUES (?1, ?2)",
                     SQ_ARGS(sq_int((int64_t)sid), sq_int((int64_t)ino)));
}

int sq_sustained_delete(struct meta_txn *t, uint64_t sid, meta_ino ino)
{
    return sq_run(sq_conn_of(t), "DELETE FROM jfs_sustained WHERE sid = ?1 AND inode = ?2",
                  SQ_ARGS(sq_int((int64_t)sid), sq_int((int64_t)ino)));
}

int sq_sustained_scan(struct meta_txn *t, uint64_t sid, meta_ino_fn fn, void *arg)
{
    struct ino_scan scan = {fn, arg};
    return sq_each(t, "SELECT inode FROM jfs_sustained WHERE sid = ?1 ORDER BY inode", SQ_ARGS(sq_int((int64_t)sid)),
                   ino_row, &scan);
}

struct sustained_scan {
    meta_sustained_fn fn;
    void *arg;
};

static int sustained_row(const struct sq_rows *row, void *arg)
{
    const struct sustained_scan *scan = arg;
    return scan->fn(scan->arg, (uint64_t)sq_column_int(row, 0), (meta_ino)sq_column_int(row, 1));
}

int sq_sustained_scan_all(struct meta_txn *t, meta_sustained_fn fn, void *arg)
{
    struct sustained_scan scan = {fn, arg};
    return sq_each(t, "SELECT sid, inode FROM jfs_sustained", SQ_NONE, sustained_row, &scan);
}

int sq_detached_insert(struct meta_txn *t, meta_ino ino, int64_t added_s)
{
    return sq_change(t, "INSERT INTO jfs_detached_node (inode, added) VALUES (?1, ?2)",
                     SQ_ARGS(sq_int((int64_t)ino), sq_int(added_s)));
}

int sq_detached_delete(struct meta_txn *t, meta_ino ino)
{
    return sq_change(t, "DELETE FROM jfs_detached_node WHERE inode = ?1", SQ_ARGS(sq_int((int64_t)ino)));
}

int sq_detached_scan(struct meta_txn *t, int64_t before_s, meta_ino_fn fn, void *arg)
{
    struct ino_scan scan = {fn, arg};
    return sq_each(t, "SELECT inode FROM jfs_detached_node WHERE added < ?1", SQ_ARGS(sq_int(before_s)), ino_row, &scan);
}

/* Locks. Owners are any 64 bits, and stored as the signed number that has them. */

static struct meta_lock_holder holder_of(const struct sq_rows *row)
{
    return (struct meta_lock_holder){.sid = (uint64_t)sq_column_int(row, 0), .owner = (uint64_t)sq_column_int(row, 1)};
}

#define LOCK_ARGS(ino, holder) sq_int((int64_t)(ino)), sq_int((int64_t)(holder).sid), sq_int((int64_t)(holder).owner)

struct flock_scan {
    meta_flock_fn fn;
    void *arg;
};

static int flock_row(const struct sq_rows *row, void *arg)
{
    const struct flock_scan *scan = arg;
    const struct meta_flock_row lock = {.holder = holder_of(row), .type = (char)sq_column_int(row, 2)};
    return scan->fn(scan->arg, &lock);
}

int sq_flock_scan(struct meta_txn *t, meta_ino ino, meta_flock_fn fn, void *arg)
{
    struct flock_scan scan = {fn, arg};
    return sq_each(t, "SELECT sid, owner, ltype FROM jfs_flock WHERE inode = ?1", SQ_ARGS(sq_int((int64_t)ino)), flock_row,
                   &scan);
}

int sq_flock_put(struct meta_txn *t, meta_ino ino, struct meta_lock_holder holder, char type)
{
    return sq_change(t,
                     "INSERT INTO jfs_flock (inode, sid, owner, ltype) VALUES (?1, ?2, ?3, ?4) "
                     "ON CONFLICT (inode, sid, owner) DO UPDATE SET ltype = ?4",
                     SQ_ARGS(LOCK_ARGS(ino, holder), sq_int(type)));
}

int sq_flock_delete(struct meta_txn *t, meta_ino ino, struct meta_lock_holder holder)
{
    return sq_change(t, "DELETE FROM jfs_flock WHERE inode = ?1 AND sid = ?2 AND owner = ?3",
                     SQ_ARGS(LOCK_ARGS(ino, holder)));
}

struct plock_scan {
    meta_plock_fn fn;
    void *arg;
};

static int plock_row(const struct sq_rows *row, void *arg)
{
    const struct plock_scan *scan = arg;
    const struct meta_plock_row lock = {.holder = holder_of(row), .records = sq_column_bytes(row, 2)};
    return scan->fn(scan->arg, &lock);
}

int sq_plock_scan(struct meta_txn *t, meta_ino ino, meta_plock_fn fn, void *arg)
{
    struct plock_scan scan = {fn, arg};
    return sq_each(t, "SELECT sid, owner, records FROM jfs_plock WHERE inode = ?1", SQ_ARGS(sq_int((int64_t)ino)),
                   plock_row, &scan);
}

int sq_plock_put(struct meta_txn *t, meta_ino ino, struct meta_lock_holder holder, struct str records)
{
    return sq_change(t,
                     "INSERT INTO jfs_plock (inode, sid, owner, records) VALUES (?1, ?2, ?3, ?4) "
                     "ON CONFLICT (inode, sid, owner) DO UPDATE SET records = ?4",
                     SQ_ARGS(LOCK_ARGS(ino, holder), sq_blob(records)));
}

int sq_plock_delete(struct meta_txn *t, meta_ino ino, struct meta_lock_holder holder)
{
    return sq_change(t, "DELETE FROM jfs_plock WHERE inode = ?1 AND sid = ?2 AND owner = ?3",
                     SQ_ARGS(LOCK_ARGS(ino, holder)));
}

int sq_locks_delete_session(struct meta_txn *t, uint64_t sid)
{
    int rc = sq_change(t, "DELETE FROM jfs_flock WHERE sid = ?1", SQ_ARGS(sq_int((int64_t)sid)));
    return rc < 0 ? rc : sq_change(t, "DELETE FROM jfs_plock WHERE sid = ?1", SQ_ARGS(sq_int((int64_t)sid)));
}
