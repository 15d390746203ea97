/* Nodes, edges, and what hangs on a node: symlink targets, extended attributes. */
#include "vfs/meta/sqlite_internal.h"

/* Times are microseconds, and the nanoseconds beyond them in a column of their own (§4.3). */

static int64_t time_us(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t time_rest(struct timespec t)
{
    return t.tv_nsec % 1000;
}

static struct timespec time_of(int64_t us, int64_t rest)
{
    int64_t s = us / 1000000, part = us % 1000000;
    if (part < 0) {
        s--;
        part += 1000000;
    }
    return (struct timespec){.tv_sec = s, .tv_nsec = part * 1000 + rest % 1000};
}

void sq_node_read(const struct sq_rows *row, int first, struct meta_attr *out)
{
    const int c = first;
    *out = (struct meta_attr){
        .type = (uint8_t)sq_column_int(row, c + 1),
        .flags = (uint8_t)sq_column_int(row, c + 2),
        .mode = (uint16_t)sq_column_int(row, c + 3),
        .uid = (uint32_t)sq_column_int(row, c + 4),
        .gid = (uint32_t)sq_column_int(row, c + 5),
        .atime = time_of(sq_column_int(row, c + 6), sq_column_int(row, c + 9)),
        .mtime = time_of(sq_column_int(row, c + 7), sq_column_int(row, c + 10)),
        .ctime = time_of(sq_column_int(row, c + 8), sq_column_int(row, c + 11)),
        .nlink = (uint32_t)sq_column_int(row, c + 12),
        .length = (uint64_t)sq_column_int(row, c + 13),
        .rdev = (uint32_t)sq_column_int(row, c + 14),
        .parent = (meta_ino)sq_column_int(row, c + 15),
        .access_acl = (uint32_t)sq_column_int(row, c + 16),
        .default_acl = (uint32_t)sq_column_int(row, c + 17),
        .tier = (uint8_t)sq_column_int(row, c + 18),
    };
}

static int checked(const struct meta_attr *a)
{
    return a->type >= META_FILE && a->type <= META_SOCKET ? 0 : -EIO;
}

int sq_node_get(struct meta_txn *t, meta_ino ino, bool lock, struct meta_attr *out)
{
    (void)lock; /* the transaction has the whole database */
    struct sq_rows row;
    int rc = sq_row(sq_conn_of(t), "SELECT " SQ_NODE_COLUMNS " FROM jfs_node n WHERE n.inode = ?1",
                    SQ_ARGS(sq_int((int64_t)ino)), &row);
    if (rc < 0)
        return rc;
    struct meta_attr attr;
    sq_node_read(&row, 0, &attr);
    sq_done(&row);
    rc = checked(&attr);
    if (rc >= 0)
        *out = attr;
    return rc;
}

#define NODE_ARGS(ino, a)                                                                                             \
    SQ_ARGS(sq_int((int64_t)(ino)), sq_int((a)->type), sq_int((a)->flags), sq_int((a)->mode), sq_int((a)->uid),       \
            sq_int((a)->gid), sq_int(time_us((a)->atime)), sq_int(time_us((a)->mtime)), sq_int(time_us((a)->ctime)),  \
            sq_int(time_rest((a)->atime)), sq_int(time_rest((a)->mtime)), sq_int(time_rest((a)->ctime)),              \
            sq_int((a)->nlink), sq_int((int64_t)(a)->length), sq_int((a)->rdev), sq_int((int64_t)(a)->parent),        \
            sq_int((a)->access_acl), sq_int((a)->default_acl), sq_int((a)->tier))

int sq_node_insert(struct meta_txn *t, meta_ino ino, const struct meta_attr *attr)
{
    return sq_change(t,
                     "INSERT INTO jfs_node (inode, type, flags, mode, uid, gid, atime, mtime, ctime, atimensec, mtimensec, "
                     "ctimensec, nlink, length, rdev, parent, access_acl_id, default_acl_id, tier_id) "
                     "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
                     NODE_ARGS(ino, attr));
}

int sq_node_put(struct meta_txn *t, meta_ino ino, const struct meta_attr *attr)
{
    return sq_change_some(t,
                          "UPDATE jfs_node SET type = ?2, flags = ?3, mode = ?4, uid = ?5, gid = ?6, atime = ?7, mtime = ?8, "
                          "ctime = ?9, atimensec = ?10, mtimensec = ?11, ctimensec = ?12, nlink = ?13, length = ?14, "
                          "rdev = ?15, parent = ?16, access_acl_id = ?17, default_acl_id = ?18, tier_id = ?19 "
                          "WHERE inode = ?1",
                          NODE_ARGS(ino, attr), -ENOENT);
}

int sq_node_touch(struct meta_txn *t, meta_ino ino, int nlink_delta, const struct timespec *now)
{
    return sq_change_some(t,
                          "UPDATE jfs_node SET nlink = nlink + ?2, mtime = ?3, ctime = ?3, mtimensec = ?4, ctimensec = ?4 "
                          "WHERE inode = ?1",
                          SQ_ARGS(sq_int((int64_t)ino), sq_int(nlink_delta), sq_int(time_us(*now)),
                                  sq_int(time_rest(*now))),
                          -ENOENT);
}

int sq_node_delete(struct meta_txn *t, meta_ino ino)
{
    return sq_change(t, "DELETE FROM jfs_node WHERE inode = ?1", SQ_ARGS(sq_int((int64_t)ino)));
}

struct node_scan {
    meta_node_fn fn;
    void *arg;
};

static int node_row(const struct sq_rows *row, void *arg)
{
    const struct node_scan *scan = arg;
    struct meta_attr attr;
    sq_node_read(row, 0, &attr);
    return scan->fn(scan->arg, (meta_ino)sq_column_int(row, 0), &attr);
}

int sq_node_scan(struct meta_txn *t, meta_ino after, uint64_t limit, meta_node_fn fn, void *arg)
{
    struct node_scan scan = {fn, arg};
    return sq_each(t, "SELECT " SQ_NODE_COLUMNS " FROM jfs_node n WHERE n.inode > ?1 ORDER BY n.inode LIMIT ?2",
                   SQ_ARGS(sq_int((int64_t)after), sq_limit(limit)), node_row, &scan);
}

int sq_node_totals(struct meta_txn *t, struct meta_totals *out)
{
    struct sq_rows row;
    int rc = sq_row(sq_conn_of(t),
                    "SELECT COUNT(*), TOTAL(CASE WHEN type = 1 AND length > 0 THEN (length + 4095) / 4096 ELSE 1 END) "
                    "FROM jfs_node WHERE inode <> ?1 AND inode <> ?2",
                    SQ_ARGS(sq_int(META_ROOT), sq_int((int64_t)META_TRASH)), &row);
    if (rc < 0)
        return rc;
    *out = (struct meta_totals){.nodes = sq_column_int(&row, 0), .used_space = sq_column_int(&row, 1) * 4096};
    sq_done(&row);
    return 0;
}

/* Edges. Names are blobs: a text would never be equal to them. */

int sq_edge_get(struct meta_txn *t, meta_ino parent, struct str name, bool lock, struct meta_edge *out)
{
    (void)lock;
    struct sq_rows row;
    int rc = sq_row(sq_conn_of(t), "SELECT inode, type FROM jfs_edge WHERE parent = ?1 AND name = ?2",
                    SQ_ARGS(sq_int((int64_t)parent), sq_blob(name)), &row);
    if (rc < 0)
        return rc;
    *out = (struct meta_edge){.ino = (meta_ino)sq_column_int(&row, 0), .type = (uint8_t)sq_column_int(&row, 1)};
    sq_done(&row);
    return 0;
}

int sq_edge_get_node(struct meta_txn *t, meta_ino parent, struct str name, meta_ino *out_ino, struct meta_attr *out)
{
    struct sq_rows row;
    int rc = sq_row(sq_conn_of(t),
                    "SELECT " SQ_NODE_COLUMNS " FROM jfs_edge e JOIN jfs_node n ON n.inode = e.inode "
                    "WHERE e.parent = ?1 AND e.name = ?2",
                    SQ_ARGS(sq_int((int64_t)parent), sq_blob(name)), &row);
    if (rc < 0)
        return rc;
    struct meta_attr attr;
    sq_node_read(&row, 0, &attr);
    const meta_ino ino = (meta_ino)sq_column_int(&row, 0);
    sq_done(&row);
    rc = checked(&attr);
    if (rc < 0)
        return rc;
    *out_ino = ino;
    *out = attr;
    return 0;
}

int sq_edge_insert(struct meta_txn *t, meta_ino parent, struct str name, struct meta_edge edge)
{
    return sq_change(t, "INSERT INTO jfs_edge (parent, name, inode, type) VALUES (?1, ?2, ?3, ?4)",
                     SQ_ARGS(sq_int((int64_t)parent), sq_blob(name), sq_int((int64_t)edge.ino), sq_int(edge.type)));
}

int sq_edge_replace(struct meta_txn *t, meta_ino parent, struct str name, struct meta_edge edge)
{
    return sq_change_some(t, "UPDATE jfs_edge SET inode = ?3, type = ?4 WHERE parent = ?1 AND name = ?2",
                          SQ_ARGS(sq_int((int64_t)parent), sq_blob(name), sq_int((int64_t)edge.ino), sq_int(edge.type)),
                          -META_AGAIN);
}

int sq_edge_delete(struct meta_txn *t, meta_ino parent, struct str name)
{
    return sq_change_some(t, "DELETE FROM jfs_edge WHERE parent = ?1 AND name = ?2",
                          SQ_ARGS(sq_int((int64_t)parent), sq_blob(name)), -META_AGAIN);
}

#define SCAN_WHERE "WHERE e.parent = ?1 AND e.name >= ?2 ORDER BY e.name LIMIT ?3"
#define SCAN_NODE "LEFT JOIN jfs_node n ON n.inode = e.inode "
#define SCAN_XATTR "LEFT JOIN jfs_xattr x ON x.inode = e.inode AND x.name = ?4 "

struct edge_scan {
    bool attr, xattr;
    meta_entry_fn fn;
    void *arg;
};

static int edge_row(const struct sq_rows *row, void *arg)
{
    const struct edge_scan *scan = arg;
    struct meta_entry entry = {
        .name = sq_column_bytes(row, 0),
        .ino = (meta_ino)sq_column_int(row, 1),
        .type = (uint8_t)sq_column_int(row, 2),
        .xattr = scan->xattr ? sq_column_bytes(row, 3) : STR_EMPTY,
    };
    struct meta_attr attr;
    if (scan->attr) {
        sq_node_read(row, 4, &attr);
        if (checked(&attr) >= 0)
            entry.attr = &attr;
    }
    /* An empty name is damage that official clients step over, too. */
    return entry.name.len == 0 ? 0 : scan->fn(scan->arg, &entry);
}

int sq_edge_scan(struct meta_txn *t, const struct meta_edge_scan *scan, meta_entry_fn fn, void *arg)
{
    /* The least name that is greater than another is that one with a NUL behind it. */
    char memory[META_NAME_MAX + 2];
    struct buf from = buf_over(memory, sizeof(memory));
    buf_add(&from, scan->after);
    if (!scan->inclusive && scan->after.len > 0)
        buf_addc(&from, '\0');
    if (from.failed)
        return -ENAMETOOLONG;
    struct edge_scan rows = {.attr = scan->want & META_EDGE_ATTR, .xattr = scan->xattr_name, .fn = fn, .arg = arg};
    const struct sq_value parent = sq_int((int64_t)scan->parent), name = sq_blob(buf_str(&from)),
                          limit = sq_limit(scan->limit);
    if (rows.xattr)
        return sq_each(t,
                       "SELECT e.name, e.inode, e.type, x.value, " SQ_NODE_COLUMNS
                       " FROM jfs_edge e " SCAN_NODE SCAN_XATTR SCAN_WHERE,
                       SQ_ARGS(parent, name, limit, sq_text(str_z(scan->xattr_name))), edge_row, &rows);
    if (rows.attr)
        return sq_each(t, "SELECT e.name, e.inode, e.type, NULL, " SQ_NODE_COLUMNS " FROM jfs_edge e " SCAN_NODE SCAN_WHERE,
                       SQ_ARGS(parent, name, limit), edge_row, &rows);
    return sq_each(t, "SELECT e.name, e.inode, e.type FROM jfs_edge e " SCAN_WHERE, SQ_ARGS(parent, name, limit), edge_row,
                   &rows);
}

int sq_edge_any(struct meta_txn *t, meta_ino parent)
{
    struct sq_rows row;
    int rc = sq_row(sq_conn_of(t), "SELECT 1 FROM jfs_edge WHERE parent = ?1 LIMIT 1", SQ_ARGS(sq_int((int64_t)parent)),
                    &row);
    if (rc == -ENOENT)
        return 0;
    if (rc >= 0)
        sq_done(&row);
    return rc < 0 ? rc : 1;
}

struct name_scan {
    meta_edge_fn fn;
    void *arg;
};

static int name_row(const struct sq_rows *row, void *arg)
{
    const struct name_scan *scan = arg;
    return scan->fn(scan->arg, (meta_ino)sq_column_int(row, 0), sq_column_bytes(row, 1));
}

int sq_name_scan(struct meta_txn *t, meta_ino ino, meta_edge_fn fn, void *arg)
{
    struct name_scan scan = {fn, arg};
    return sq_each(t, "SELECT parent, name FROM jfs_edge WHERE inode = ?1", SQ_ARGS(sq_int((int64_t)ino)), name_row, &scan);
}

struct edge_parents {
    meta_ino_fn fn;
    void *arg;
};

static int edge_parent_row(const struct sq_rows *row, void *arg)
{
    const struct edge_parents *scan = arg;
    return scan->fn(scan->arg, (meta_ino)sq_column_int(row, 0));
}

/* From one to the next by a search each: their names would all be read otherwise. */
int sq_edge_parents(struct meta_txn *t, meta_ino after, uint64_t limit, meta_ino_fn fn, void *arg)
{
    struct edge_parents scan = {fn, arg};
    return sq_each(t,
                   "WITH RECURSIVE p(inode) AS (SELECT MIN(parent) FROM jfs_edge WHERE parent > ?1 UNION ALL "
                   "SELECT (SELECT MIN(parent) FROM jfs_edge WHERE parent > p.inode) FROM p WHERE p.inode IS NOT NULL) "
                   "SELECT inode FROM p WHERE inode IS NOT NULL LIMIT ?2",
                   SQ_ARGS(sq_int((int64_t)after), sq_limit(limit)), edge_parent_row, &scan);
}

struct parent_scan {
    meta_parent_fn fn;
    void *arg;
};

static int parent_row(const struct sq_rows *row, void *arg)
{
    const struct parent_scan *scan = arg;
    return scan->fn(scan->arg, (meta_ino)sq_column_int(row, 0), sq_column_int(row, 1));
}

int sq_parent_scan(struct meta_txn *t, meta_ino ino, meta_parent_fn fn, void *arg)
{
    struct parent_scan scan = {fn, arg};
    return sq_each(t, "SELECT parent, COUNT(*) FROM jfs_edge WHERE inode = ?1 GROUP BY parent",
                   SQ_ARGS(sq_int((int64_t)ino)), parent_row, &scan);
}

int sq_parent_add(struct meta_txn *t, meta_ino ino, meta_ino parent, int delta)
{
    (void)t;
    (void)ino;
    (void)parent;
    (void)delta;
    return 0;
}

/* Symbolic links */

int sq_symlink_get(struct meta_txn *t, meta_ino ino, struct buf *out)
{
    return sq_value_get(t, "SELECT target FROM jfs_symlink WHERE inode = ?1", SQ_ARGS(sq_int((int64_t)ino)), out);
}

int sq_symlink_insert(struct meta_txn *t, meta_ino ino, struct str target)
{
    return sq_change(t, "INSERT INTO jfs_symlink (inode, target) VALUES (?1, ?2)",
                     SQ_ARGS(sq_int((int64_t)ino), sq_blob(target)));
}

int sq_symlink_delete(struct meta_txn *t, meta_ino ino)
{
    return sq_change(t, "DELETE FROM jfs_symlink WHERE inode = ?1", SQ_ARGS(sq_int((int64_t)ino)));
}

/* Extended attributes: names are texts, values blobs. */

int sq_xattr_get(struct meta_txn *t, meta_ino ino, struct str name, bool lock, struct buf *out)
{
    (void)lock;
    return sq_value_get(t, "SELECT value FROM jfs_xattr WHERE inode = ?1 AND name = ?2",
                        SQ_ARGS(sq_int((int64_t)ino), sq_text(name)), out);
}

int sq_xattr_put(struct meta_txn *t, meta_ino ino, struct str name, struct str value)
{
    return sq_change(t,
                     "INSERT INTO jfs_xattr (inode, name, value) VALUES (?1, ?2, ?3) "
                     "ON CONFLICT (inode, name) DO UPDATE SET value = ?3",
                     SQ_ARGS(sq_int((int64_t)ino), sq_text(name), sq_blob(value)));
}

int sq_xattr_delete(struct meta_txn *t, meta_ino ino, struct str name)
{
    return sq_change_some(t, "DELETE FROM jfs_xattr WHERE inode = ?1 AND name = ?2",
                          SQ_ARGS(sq_int((int64_t)ino), sq_text(name)), -ENODATA);
}

struct xattr_scan {
    meta_xattr_fn fn;
    void *arg;
};

static int xattr_row(const struct sq_rows *row, void *arg)
{
    const struct xattr_scan *scan = arg;
    return scan->fn(scan->arg, sq_column_bytes(row, 0), sq_column_bytes(row, 1));
}

int sq_xattr_scan(struct meta_txn *t, meta_ino ino, meta_xattr_fn fn, void *arg)
{
    struct xattr_scan scan = {fn, arg};
    return sq_each(t, "SELECT name, value FROM jfs_xattr WHERE inode = ?1 ORDER BY name", SQ_ARGS(sq_int((int64_t)ino)),
                   xattr_row, &scan);
}

int sq_xattr_delete_all(struct meta_txn *t, meta_ino ino)
{
    return sq_change(t, "DELETE FROM jfs_xattr WHERE inode = ?1", SQ_ARGS(sq_int((int64_t)ino)));
}
