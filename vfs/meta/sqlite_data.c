/* Chunks, references to slices, and what is to be deleted. */
#include "base/check.h"
#include "base/limits.h"
#include "vfs/meta/sqlite_internal.h"

#define RECORD_SIZE 24 /* of a slice, §3.2 */

/* The official client appends by ||, which makes a text of the column: read it by its bytes, whatever it says it is. */
int sq_chunk_get(struct meta_txn *t, meta_ino ino, uint32_t indx, bool lock, struct buf *out)
{
    (void)lock;
    return sq_value_get(t, "SELECT slices FROM jfs_chunk WHERE inode = ?1 AND indx = ?2",
                        SQ_ARGS(sq_int((int64_t)ino), sq_int(indx)), out);
}

int sq_chunk_append(struct meta_txn *t, meta_ino ino, uint32_t indx, struct str records)
{
    return sq_change(t,
                     "INSERT INTO jfs_chunk (inode, indx, slices) VALUES (?1, ?2, ?3) "
                     "ON CONFLICT (inode, indx) DO UPDATE SET slices = slices || ?3",
                     SQ_ARGS(sq_int((int64_t)ino), sq_int(indx), sq_blob(records)));
}

static int chunk_put(struct meta_txn *t, meta_ino ino, uint32_t indx, struct str records)
{
    return sq_change_some(t, "UPDATE jfs_chunk SET slices = ?3 WHERE inode = ?1 AND indx = ?2",
                          SQ_ARGS(sq_int((int64_t)ino), sq_int(indx), sq_blob(records)), -META_AGAIN);
}

int sq_chunk_rewrite(struct meta_txn *t, meta_ino ino, uint32_t indx, uint32_t prefix_records, struct str records)
{
    struct buf old = buf_make(LIMIT_META_SLICE_LIST_BYTES), list = buf_make(LIMIT_META_SLICE_LIST_BYTES);
    int rc = sq_chunk_get(t, ino, indx, true, &old);
    if (rc >= 0) {
        buf_add(&list, records);
        buf_add(&list, str_from(buf_str(&old), (size_t)prefix_records * RECORD_SIZE));
        rc = list.failed ? -EIO : chunk_put(t, ino, indx, buf_str(&list));
    }
    buf_done(&old);
    buf_done(&list);
    return rc == -ENOENT ? -META_AGAIN : rc;
}

int sq_chunk_delete(struct meta_txn *t, meta_ino ino, uint32_t indx)
{
    return sq_change_some(t, "DELETE FROM jfs_chunk WHERE inode = ?1 AND indx = ?2",
                          SQ_ARGS(sq_int((int64_t)ino), sq_int(indx)), -META_AGAIN);
}

struct chunk_scan {
    meta_chunk_fn fn;
    void *arg;
};

static int chunk_row(const struct sq_rows *row, void *arg)
{
    const struct chunk_scan *scan = arg;
    return scan->fn(scan->arg, (meta_ino)sq_column_int(row, 0), (uint32_t)sq_column_int(row, 1), sq_column_bytes(row, 2));
}

int sq_chunk_scan(struct meta_txn *t, meta_ino ino, uint32_t from, uint32_t to, bool lock, meta_chunk_fn fn, void *arg)
{
    (void)lock;
    struct chunk_scan scan = {fn, arg};
    return sq_each(t,
                   "SELECT inode, indx, slices FROM jfs_chunk WHERE inode = ?1 AND indx >= ?2 AND indx <= ?3 ORDER BY indx",
                   SQ_ARGS(sq_int((int64_t)ino), sq_int(from), sq_int(to)), chunk_row, &scan);
}

int sq_chunk_scan_all(struct meta_txn *t, meta_ino after, uint64_t limit, meta_chunk_fn fn, void *arg)
{
    struct chunk_scan scan = {fn, arg};
    return sq_each(t,
                   "SELECT inode, indx, slices FROM jfs_chunk WHERE inode IN (SELECT DISTINCT inode FROM jfs_chunk "
                   "WHERE inode > ?1 ORDER BY inode LIMIT ?2) ORDER BY inode, indx",
                   SQ_ARGS(sq_int((int64_t)after), sq_limit(limit)), chunk_row, &scan);
}

/* References: true counts. */

int sq_ref_insert(struct meta_txn *t, uint64_t id, uint32_t size, int64_t refs)
{
    return sq_change(t, "INSERT INTO jfs_chunk_ref (chunkid, size, refs) VALUES (?1, ?2, ?3)",
                     SQ_ARGS(sq_int((int64_t)id), sq_int(size), sq_int(refs)));
}

int sq_ref_add(struct meta_txn *t, uint64_t id, uint32_t size, int64_t delta)
{
    return sq_change(t, "UPDATE jfs_chunk_ref SET refs = refs + ?3 WHERE chunkid = ?1 AND size = ?2",
                     SQ_ARGS(sq_int((int64_t)id), sq_int(size), sq_int(delta)));
}

int sq_ref_get(struct meta_txn *t, uint64_t id, uint32_t size, int64_t *out)
{
    struct sq_rows row;
    int rc = sq_row(sq_conn_of(t), "SELECT refs FROM jfs_chunk_ref WHERE chunkid = ?1 AND size = ?2",
                    SQ_ARGS(sq_int((int64_t)id), sq_int(size)), &row);
    if (rc < 0)
        return rc;
    *out = sq_column_int(&row, 0);
    sq_done(&row);
    return 0;
}

int sq_ref_delete(struct meta_txn *t, uint64_t id, uint32_t size)
{
    (void)size;
    return sq_change(t, "DELETE FROM jfs_chunk_ref WHERE chunkid = ?1", SQ_ARGS(sq_int((int64_t)id)));
}

struct ref_scan {
    meta_ref_fn fn;
    void *arg;
};

static int ref_row(const struct sq_rows *row, void *arg)
{
    const struct ref_scan *scan = arg;
    return scan->fn(scan->arg, (uint64_t)sq_column_int(row, 0), (uint32_t)sq_column_int(row, 1), sq_column_int(row, 2));
}

int sq_ref_scan_garbage(struct meta_txn *t, uint64_t after, uint64_t limit, meta_ref_fn fn, void *arg)
{
    struct ref_scan scan = {fn, arg};
    return sq_each(t,
                   "SELECT chunkid, size, refs FROM jfs_chunk_ref WHERE refs <= 0 AND chunkid > ?1 "
                   "ORDER BY chunkid LIMIT ?2",
                   SQ_ARGS(sq_int((int64_t)after), sq_limit(limit)), ref_row, &scan);
}

int sq_ref_scan(struct meta_txn *t, uint64_t after, uint64_t limit, meta_ref_fn fn, void *arg)
{
    struct ref_scan scan = {fn, arg};
    return sq_each(t, "SELECT chunkid, size, refs FROM jfs_chunk_ref WHERE chunkid > ?1 ORDER BY chunkid LIMIT ?2",
                   SQ_ARGS(sq_int((int64_t)after), sq_limit(limit)), ref_row, &scan);
}

/* Delayed slices */

int sq_delslices_insert(struct meta_txn *t, uint64_t id, int64_t deleted_s, struct str slices)
{
    return sq_change(t, "INSERT INTO jfs_delslices (chunkid, deleted, slices) VALUES (?1, ?2, ?3)",
                     SQ_ARGS(sq_int((int64_t)id), sq_int(deleted_s), sq_blob(slices)));
}

int sq_delslices_get(struct meta_txn *t, uint64_t id, int64_t deleted_s, bool lock, struct buf *out)
{
    (void)deleted_s;
    (void)lock;
    return sq_value_get(t, "SELECT slices FROM jfs_delslices WHERE chunkid = ?1", SQ_ARGS(sq_int((int64_t)id)), out);
}

int sq_delslices_delete(struct meta_txn *t, uint64_t id, int64_t deleted_s)
{
    (void)deleted_s;
    return sq_change(t, "DELETE FROM jfs_delslices WHERE chunkid = ?1", SQ_ARGS(sq_int((int64_t)id)));
}

struct delslices_scan {
    meta_delslices_fn fn;
    void *arg;
};

static int delslices_row(const struct sq_rows *row, void *arg)
{
    const struct delslices_scan *scan = arg;
    return scan->fn(scan->arg, (uint64_t)sq_column_int(row, 0), sq_column_int(row, 1), sq_column_bytes(row, 2));
}

int sq_delslices_scan(struct meta_txn *t, int64_t before_s, uint64_t limit, meta_delslices_fn fn, void *arg)
{
    struct delslices_scan scan = {fn, arg};
    return sq_each(t, "SELECT chunkid, deleted, slices FROM jfs_delslices WHERE deleted < ?1 LIMIT ?2",
                   SQ_ARGS(sq_int(before_s), sq_limit(limit)), delslices_row, &scan);
}

/* Deleted files */

int sq_delfile_insert(struct meta_txn *t, meta_ino ino, uint64_t length, int64_t now_s)
{
    return sq_change(t, "INSERT INTO jfs_delfile (inode, length, expire) VALUES (?1, ?2, ?3)",
                     SQ_ARGS(sq_int((int64_t)ino), sq_int((int64_t)length), sq_int(now_s)));
}

int sq_delfile_delete(struct meta_txn *t, meta_ino ino, uint64_t length)
{
    (void)length;
    return sq_change(t, "DELETE FROM jfs_delfile WHERE inode = ?1", SQ_ARGS(sq_int((int64_t)ino)));
}

struct delfile_scan {
    meta_delfile_fn fn;
    void *arg;
};

static int delfile_row(const struct sq_rows *row, void *arg)
{
    const struct delfile_scan *scan = arg;
    return scan->fn(scan->arg, (meta_ino)sq_column_int(row, 0), (uint64_t)sq_column_int(row, 1), sq_column_int(row, 2));
}

int sq_delfile_scan(struct meta_txn *t, int64_t before_s, uint64_t limit, meta_delfile_fn fn, void *arg)
{
    struct delfile_scan scan = {fn, arg};
    return sq_each(t, "SELECT inode, length, expire FROM jfs_delfile WHERE expire < ?1 LIMIT ?2",
                   SQ_ARGS(sq_int(before_s), sq_limit(limit)), delfile_row, &scan);
}

int sq_delfile_get(struct meta_txn *t, meta_ino ino, uint64_t *out_length)
{
    struct sq_rows row;
    int rc = sq_row(sq_conn_of(t), "SELECT length FROM jfs_delfile WHERE inode = ?1", SQ_ARGS(sq_int((int64_t)ino)), &row);
    if (rc < 0)
        return rc;
    *out_length = (uint64_t)sq_column_int(&row, 0);
    sq_done(&row);
    return 0;
}
