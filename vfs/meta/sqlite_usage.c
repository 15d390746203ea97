/* Directory statistics, quotas, ACL rules. */
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "vfs/meta/sqlite_internal.h"

int sq_dir_stat_get(struct meta_txn *t, meta_ino ino, bool lock, struct meta_dir_stat *out)
{
    (void)lock;
    struct sq_rows row;
    int rc = sq_row(sq_conn_of(t), "SELECT data_length, used_space, used_inodes FROM jfs_dir_stats WHERE inode = ?1",
                    SQ_ARGS(sq_int((int64_t)ino)), &row);
    if (rc < 0)
        return rc;
    *out = (struct meta_dir_stat){sq_column_int(&row, 0), sq_column_int(&row, 1), sq_column_int(&row, 2)};
    sq_done(&row);
    return 0;
}

#define DIR_STAT_ARGS(ino, s) \
    SQ_ARGS(sq_int((int64_t)(ino)), sq_int((s)->data_length), sq_int((s)->used_space), sq_int((s)->used_inodes))

int sq_dir_stat_put(struct meta_txn *t, meta_ino ino, const struct meta_dir_stat *stat)
{
    return sq_change(t,
                     "INSERT INTO jfs_dir_stats (inode, data_length, used_space, used_inodes) VALUES (?1, ?2, ?3, ?4) "
                     "ON CONFLICT (inode) DO UPDATE SET data_length = ?2, used_space = ?3, used_inodes = ?4",
                     DIR_STAT_ARGS(ino, stat));
}

int sq_dir_stat_add(struct meta_txn *t, meta_ino ino, const struct meta_dir_stat *delta)
{
    return sq_change_some(t,
                          "UPDATE jfs_dir_stats SET data_length = data_length + ?2, used_space = used_space + ?3, "
                          "used_inodes = used_inodes + ?4 WHERE inode = ?1",
                          DIR_STAT_ARGS(ino, delta), -ENOENT);
}

int sq_dir_stat_delete(struct meta_txn *t, meta_ino ino)
{
    return sq_change(t, "DELETE FROM jfs_dir_stats WHERE inode = ?1", SQ_ARGS(sq_int((int64_t)ino)));
}

/* Quotas: the four numbers of a row begin at a column. */

static struct meta_quota quota_of(const struct sq_rows *row, int first)
{
    return (struct meta_quota){
        .max_space = sq_column_int(row, first),
        .max_inodes = sq_column_int(row, first + 1),
        .used_space = sq_column_int(row, first + 2),
        .used_inodes = sq_column_int(row, first + 3),
    };
}

static int quota_get(struct meta_txn *t, const char *sql, struct sq_args args, struct meta_quota *out)
{
    struct sq_rows row;
    int rc = sq_row(sq_conn_of(t), sql, args, &row);
    if (rc < 0)
        return rc;
    *out = quota_of(&row, 0);
    sq_done(&row);
    return 0;
}

#define QUOTA_VALUES(q) \
    sq_int((q)->max_space), sq_int((q)->max_inodes), sq_int((q)->used_space), sq_int((q)->used_inodes)

int sq_dir_quota_get(struct meta_txn *t, meta_ino ino, bool lock, struct meta_quota *out)
{
    (void)lock;
    return quota_get(t, "SELECT max_space, max_inodes, used_space, used_inodes FROM jfs_dir_quota WHERE inode = ?1",
                     SQ_ARGS(sq_int((int64_t)ino)), out);
}

int sq_dir_quota_put(struct meta_txn *t, meta_ino ino, const struct meta_quota *quota)
{
    return sq_change(t,
                     "INSERT INTO jfs_dir_quota (inode, max_space, max_inodes, used_space, used_inodes) "
                     "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (inode) DO UPDATE SET max_space = ?2, max_inodes = ?3, "
                     "used_space = ?4, used_inodes = ?5",
                     SQ_ARGS(sq_int((int64_t)ino), QUOTA_VALUES(quota)));
}

int sq_dir_quota_add(struct meta_txn *t, meta_ino ino, int64_t space, int64_t inodes)
{
    return sq_change_some(t,
                          "UPDATE jfs_dir_quota SET used_space = used_space + ?2, used_inodes = used_inodes + ?3 "
                          "WHERE inode = ?1",
                          SQ_ARGS(sq_int((int64_t)ino), sq_int(space), sq_int(inodes)), -ENOENT);
}

int sq_dir_quota_delete(struct meta_txn *t, meta_ino ino)
{
    return sq_change(t, "DELETE FROM jfs_dir_quota WHERE inode = ?1", SQ_ARGS(sq_int((int64_t)ino)));
}

struct dir_quota_scan {
    meta_dir_quota_fn fn;
    void *arg;
};

static int dir_quota_row(const struct sq_rows *row, void *arg)
{
    const struct dir_quota_scan *scan = arg;
    const struct meta_quota quota = quota_of(row, 1);
    return scan->fn(scan->arg, (meta_ino)sq_column_int(row, 0), &quota);
}

int sq_dir_quota_scan(struct meta_txn *t, meta_dir_quota_fn fn, void *arg)
{
    struct dir_quota_scan scan = {fn, arg};
    return sq_each(t, "SELECT inode, max_space, max_inodes, used_space, used_inodes FROM jfs_dir_quota ORDER BY inode",
                   SQ_NONE, dir_quota_row, &scan);
}

int sq_owner_quota_get(struct meta_txn *t, enum meta_owner_type type, uint32_t id, bool lock, struct meta_quota *out)
{
    (void)lock;
    return quota_get(t,
                     "SELECT max_space, max_inodes, used_space, used_inodes FROM jfs_user_group_quota "
                     "WHERE qtype = ?1 AND qkey = ?2",
                     SQ_ARGS(sq_int(type), sq_int(id)), out);
}

int sq_owner_quota_put(struct meta_txn *t, enum meta_owner_type type, uint32_t id, const struct meta_quota *quota)
{
    return sq_change(t,
                     "INSERT INTO jfs_user_group_quota (qtype, qkey, max_space, max_inodes, used_space, used_inodes) "
                     "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (qtype, qkey) DO UPDATE SET max_space = ?3, "
                     "max_inodes = ?4, used_space = ?5, used_inodes = ?6",
                     SQ_ARGS(sq_int(type), sq_int(id), QUOTA_VALUES(quota)));
}

int sq_owner_quota_add(struct meta_txn *t, enum meta_owner_type type, uint32_t id, int64_t space, int64_t inodes)
{
    return sq_change_some(t,
                          "UPDATE jfs_user_group_quota SET used_space = used_space + ?3, used_inodes = used_inodes + ?4 "
                          "WHERE qtype = ?1 AND qkey = ?2",
                          SQ_ARGS(sq_int(type), sq_int(id), sq_int(space), sq_int(inodes)), -ENOENT);
}

int sq_owner_quota_delete(struct meta_txn *t, enum meta_owner_type type, uint32_t id)
{
    return sq_change(t, "DELETE FROM jfs_user_group_quota WHERE qtype = ?1 AND qkey = ?2",
                     SQ_ARGS(sq_int(type), sq_int(id)));
}

struct owner_quota_scan {
    meta_owner_quota_fn fn;
    void *arg;
};

static int owner_quota_row(const struct sq_rows *row, void *arg)
{
    const struct owner_quota_scan *scan = arg;
    const struct meta_quota quota = quota_of(row, 2);
    return scan->fn(scan->arg, (enum meta_owner_type)sq_column_int(row, 0), (uint32_t)sq_column_int(row, 1), &quota);
}

int sq_owner_quota_scan(struct meta_txn *t, meta_owner_quota_fn fn, void *arg)
{
    struct owner_quota_scan scan = {fn, arg};
    return sq_each(t,
                   "SELECT qtype, qkey, max_space, max_inodes, used_space, used_inodes FROM jfs_user_group_quota "
                   "ORDER BY qtype, qkey",
                   SQ_NONE, owner_quota_row, &scan);
}

/* ACL rules: named entries are 6 bytes each, big-endian id and permissions (§4.3). */

#define ENTRY_SIZE 6

static int read_entries(struct str bytes, struct meta_acl_entry **out, uint32_t *out_count)
{
    if (bytes.len % ENTRY_SIZE != 0)
        return -EIO;
    const uint32_t count = (uint32_t)(bytes.len / ENTRY_SIZE);
    struct meta_acl_entry *entries = calloc(count ? count : 1, sizeof(*entries));
    CHECK(entries != NULL); /* out of memory */
    const uint8_t *p = (const uint8_t *)bytes.ptr;
    for (uint32_t i = 0; i < count; i++, p += ENTRY_SIZE) {
        entries[i].id = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        entries[i].perm = (uint16_t)(p[4] << 8 | p[5]);
    }
    *out = entries;
    *out_count = count;
    return 0;
}

static void write_entries(const struct meta_acl_entry *entries, uint32_t count, struct buf *out)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t id = entries[i].id;
        const uint16_t perm = entries[i].perm;
        const char bytes[ENTRY_SIZE] = {(char)(id >> 24), (char)(id >> 16),  (char)(id >> 8),
                                        (char)id,         (char)(perm >> 8), (char)perm};
        buf_add(out, str_of(bytes, sizeof(bytes)));
    }
}

/* Of a row: id, owner, group, mask, other, named users, named groups. */
static int read_rule(const struct sq_rows *row, struct meta_acl *out)
{
    struct meta_acl rule = {
        .owner = (uint16_t)sq_column_int(row, 1),
        .group = (uint16_t)sq_column_int(row, 2),
        .mask = (uint16_t)sq_column_int(row, 3),
        .other = (uint16_t)sq_column_int(row, 4),
    };
    int rc = read_entries(sq_column_bytes(row, 5), &rule.users, &rule.user_count);
    if (rc >= 0)
        rc = read_entries(sq_column_bytes(row, 6), &rule.groups, &rule.group_count);
    if (rc < 0) {
        free(rule.users);
        return rc;
    }
    *out = rule;
    return 0;
}

#define ACL_COLUMNS "id, owner, `group`, mask, other, named_users, named_groups"

int sq_acl_get(struct meta_txn *t, uint32_t id, struct meta_acl *out)
{
    struct sq_rows row;
    int rc = sq_row(sq_conn_of(t), "SELECT " ACL_COLUMNS " FROM jfs_acl WHERE id = ?1", SQ_ARGS(sq_int(id)), &row);
    if (rc < 0)
        return rc;
    rc = read_rule(&row, out);
    sq_done(&row);
    return rc;
}

int sq_acl_insert(struct meta_txn *t, const struct meta_acl *rule, uint32_t *out_id)
{
    struct buf users = buf_make(LIMIT_META_ACL_BYTES), groups = buf_make(LIMIT_META_ACL_BYTES);
    write_entries(rule->users, rule->user_count, &users);
    write_entries(rule->groups, rule->group_count, &groups);
    int rc = -E2BIG;
    if (!users.failed && !groups.failed)
        rc = sq_change(t,
                       "INSERT INTO jfs_acl (owner, `group`, mask, other, named_users, named_groups) "
                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                       SQ_ARGS(sq_int(rule->owner), sq_int(rule->group), sq_int(rule->mask), sq_int(rule->other),
                               sq_blob(buf_str(&users)), sq_blob(buf_str(&groups))));
    if (rc >= 0)
        *out_id = (uint32_t)sq_last_id(sq_conn_of(t));
    buf_done(&users);
    buf_done(&groups);
    return rc;
}

struct acl_scan {
    meta_acl_fn fn;
    void *arg;
};

static int acl_row(const struct sq_rows *row, void *arg)
{
    const struct acl_scan *scan = arg;
    struct meta_acl rule;
    int rc = read_rule(row, &rule);
    if (rc < 0)
        return rc;
    rc = scan->fn(scan->arg, (uint32_t)sq_column_int(row, 0), &rule);
    free(rule.users);
    free(rule.groups);
    return rc;
}

int sq_acl_scan(struct meta_txn *t, meta_acl_fn fn, void *arg)
{
    struct acl_scan scan = {fn, arg};
    return sq_each(t, "SELECT " ACL_COLUMNS " FROM jfs_acl ORDER BY id", SQ_NONE, acl_row, &scan);
}
