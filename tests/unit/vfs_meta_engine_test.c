/* What every engine of JuiceFS metadata promises (vfs/meta/engine.h), over SQLite, and what its tables look like. */
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "tests/support/meta_rig.h"
#include "tests/support/unit.h"

static struct meta_rig rig;
static struct meta_txn *t;

static int set_up(void **state)
{
    (void)state;
    meta_rig_open_engine(&rig);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    meta_rig_close(&rig);
    return 0;
}

static void begin(enum meta_txn_mode mode)
{
    assert_int_equal(rig.engine->ops->begin(rig.engine, mode, &t), 0);
}

static void commit(void)
{
    assert_int_equal(t->ops->commit(t), 0);
}

static const struct meta_attr sample = {
    .type = META_FILE,
    .flags = 0x45,
    .mode = 06755,
    .uid = 4294967294u,
    .gid = 7,
    .atime = {1700000000, 1},
    .mtime = {-5, 999999999},
    .ctime = {40000000000, 123456789},
    .nlink = 3,
    .length = 1ull << 50,
    .rdev = 0x801,
    .parent = 12,
    .access_acl = 4,
    .default_acl = 5,
    .tier = 6,
};

static void assert_attr(const struct meta_attr *a, const struct meta_attr *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->mode, b->mode);
    assert_int_equal(a->uid, b->uid);
    assert_int_equal(a->gid, b->gid);
    assert_true(meta_time_eq(a->atime, b->atime));
    assert_true(meta_time_eq(a->mtime, b->mtime));
    assert_true(meta_time_eq(a->ctime, b->ctime));
    assert_int_equal(a->nlink, b->nlink);
    assert_int_equal(a->length, b->length);
    assert_int_equal(a->rdev, b->rdev);
    assert_int_equal(a->parent, b->parent);
    assert_int_equal(a->access_acl, b->access_acl);
    assert_int_equal(a->default_acl, b->default_acl);
    assert_int_equal(a->tier, b->tier);
}

static void test_nodes(void **state)
{
    (void)state;
    struct meta_attr attr;
    begin(META_TXN_WRITE);
    assert_int_equal(META_DO(t, node_get, 9, false, &attr), -ENOENT);
    assert_int_equal(META_DO(t, node_insert, 9, &sample), 0);
    assert_int_equal(META_DO(t, node_insert, 9, &sample), -META_AGAIN);
    commit();
    begin(META_TXN_WRITE);
    assert_int_equal(META_DO(t, node_get, 9, true, &attr), 0);
    assert_attr(&attr, &sample);
    attr.length = 5;
    attr.parent = 0;
    assert_int_equal(META_DO(t, node_put, 9, &attr), 0);
    assert_int_equal(META_DO(t, node_put, 10, &attr), -ENOENT);
    const struct timespec now = {1700000001, 2003};
    assert_int_equal(META_DO(t, node_touch, 9, -2, &now), 0);
    assert_int_equal(META_DO(t, node_touch, 10, 1, &now), -ENOENT);
    commit();
    attr.nlink = 1;
    attr.mtime = attr.ctime = now;
    struct meta_attr read;
    begin(META_TXN_READ);
    assert_int_equal(META_DO(t, node_get, 9, false, &read), 0);
    assert_attr(&read, &attr);
    struct meta_totals totals;
    assert_int_equal(META_DO(t, node_totals, &totals), 0);
    assert_int_equal(totals.nodes, 1);
    assert_int_equal(totals.used_space, 4096);
    commit();
    /* As the format has it: microseconds, and what is left of the nanoseconds. */
    char *times = meta_rig_sql(&rig, "SELECT mtime || ' ' || mtimensec || ' ' || atime || ' ' || atimensec FROM jfs_node");
    assert_string_equal(times, "1700000001000002 3 1700000000000000 1");
    free(times);
}

static void test_undone(void **state)
{
    (void)state;
    begin(META_TXN_WRITE);
    assert_int_equal(META_DO(t, node_insert, 9, &sample), 0);
    t->ops->abort(t);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_node"), 0);
}

static int collect_name(void *arg, const struct meta_entry *entry)
{
    struct buf *out = arg;
    buf_add(out, entry->name);
    buf_addf(out, ":%d:%d:", (int)entry->ino, entry->type);
    if (entry->attr)
        buf_addf(out, "%d", (int)entry->attr->nlink);
    buf_addf(out, "%s%.*s ", entry->xattr.ptr ? "=" : "", STR_ARG(entry->xattr));
    return 0;
}

static void assert_scan(const struct meta_edge_scan *scan, const char *expected)
{
    char memory[1024];
    struct buf names = buf_over(memory, sizeof(memory));
    begin(META_TXN_READ);
    assert_int_equal(META_DO(t, edge_scan, scan, collect_name, &names), 0);
    commit();
    assert_str(buf_str(&names), expected);
}

static void test_edges(void **state)
{
    (void)state;
    static const char *const names[] = {"b", "a", "\xff", "a.b", "B", "ab"};
    struct meta_edge edge;
    begin(META_TXN_WRITE);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_int_equal(META_DO(t, edge_insert, 1, str_z(names[i]), ((struct meta_edge){10 + i, 1})), 0);
    assert_int_equal(META_DO(t, edge_insert, 1, STR("b"), ((struct meta_edge){99, 1})), -META_AGAIN);
    assert_int_equal(META_DO(t, edge_insert, 2, STR("a"), ((struct meta_edge){11, 1})), 0);
    assert_int_equal(META_DO(t, node_insert, 11, &sample), 0);
    assert_int_equal(META_DO(t, xattr_put, 11, STR("user.k"), STR("v")), 0);
    assert_int_equal(META_DO(t, edge_replace, 1, STR("b"), ((struct meta_edge){10, 2})), 0);
    assert_int_equal(META_DO(t, edge_replace, 1, STR("none"), ((struct meta_edge){10, 2})), -META_AGAIN);
    assert_int_equal(META_DO(t, edge_get, 1, STR("b"), true, &edge), 0);
    assert_int_equal(edge.ino, 10);
    assert_int_equal(edge.type, 2);
    assert_int_equal(META_DO(t, edge_get, 1, STR("c"), false, &edge), -ENOENT);
    assert_int_equal(META_DO(t, edge_any, 1), 1);
    assert_int_equal(META_DO(t, edge_any, 3), 0);
    commit();
    assert_scan(&(struct meta_edge_scan){.parent = 1}, "B:14:1: a:11:1: a.b:13:1: ab:15:1: b:10:2: \xff:12:1: ");
    assert_scan(&(struct meta_edge_scan){.parent = 1, .after = STR_INIT("a"), .limit = 2}, "a.b:13:1: ab:15:1: ");
    assert_scan(&(struct meta_edge_scan){.parent = 1, .after = STR_INIT("a"), .inclusive = true, .limit = 1}, "a:11:1: ");
    assert_scan(&(struct meta_edge_scan){.parent = 1, .limit = 3, .want = META_EDGE_ATTR}, "B:14:1: a:11:1:3 a.b:13:1: ");
    assert_scan(&(struct meta_edge_scan){.parent = 1, .limit = 2, .want = META_EDGE_ATTR, .xattr_name = "user.k"},
                "B:14:1: a:11:1:3=v ");
}

static int collect_inode(void *arg, meta_ino ino)
{
    buf_addf(arg, "%llu ", (unsigned long long)ino);
    return 0;
}

static int collect_edge(void *arg, meta_ino parent, struct str name)
{
    buf_addf(arg, "%d/%.*s ", (int)parent, STR_ARG(name));
    return 0;
}

/* What checks ask for. */
static void test_edges_by_inode(void **state)
{
    (void)state;
    char memory[256];
    struct buf seen = buf_over(memory, sizeof(memory));
    begin(META_TXN_WRITE);
    for (meta_ino parent = 3; parent <= 9; parent += 3)
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(META_DO(t, edge_insert, parent, i ? STR("b") : STR("a"), ((struct meta_edge){20 + i, 1})), 0);
    assert_int_equal(META_DO(t, edge_insert, META_TRASH + 1, STR("c"), ((struct meta_edge){22, 1})), 0);
    assert_int_equal(META_DO(t, edge_parents, 0, 0, collect_inode, &seen), 0);
    assert_str(buf_str(&seen), "3 6 9 9223372032828243969 ");
    buf_reset(&seen);
    assert_int_equal(META_DO(t, edge_parents, 3, 2, collect_inode, &seen), 0);
    assert_str(buf_str(&seen), "6 9 ");
    buf_reset(&seen);
    assert_int_equal(META_DO(t, edge_parents, META_TRASH + 1, 2, collect_inode, &seen), 0);
    assert_int_equal(META_DO(t, name_scan, 99, collect_edge, &seen), 0);
    assert_int_equal(seen.len, 0);
    assert_int_equal(META_DO(t, edge_delete, 6, STR("b")), 0);
    assert_int_equal(META_DO(t, name_scan, 21, collect_edge, &seen), 0);
    assert_true(str_is(buf_str(&seen), "3/b 9/b ") || str_is(buf_str(&seen), "9/b 3/b "));
    commit();
}

static int stop_at_once(void *arg, const struct meta_entry *entry)
{
    (void)entry;
    ++*(int *)arg;
    return -ECANCELED;
}

static void test_scan_stops(void **state)
{
    (void)state;
    int seen = 0;
    begin(META_TXN_WRITE);
    assert_int_equal(META_DO(t, edge_insert, 1, STR("a"), ((struct meta_edge){2, 1})), 0);
    assert_int_equal(META_DO(t, edge_insert, 1, STR("b"), ((struct meta_edge){3, 1})), 0);
    assert_int_equal(META_DO(t, edge_scan, (&(struct meta_edge_scan){.parent = 1}), stop_at_once, &seen), -ECANCELED);
    assert_int_equal(seen, 1);
    assert_int_equal(META_DO(t, edge_delete, 1, STR("a")), 0);
    assert_int_equal(META_DO(t, edge_delete, 1, STR("a")), -META_AGAIN);
    commit();
}

static int collect_chunk(void *arg, meta_ino ino, uint32_t indx, struct str records)
{
    buf_addf(arg, "%d/%u:%.*s ", (int)ino, indx, STR_ARG(records));
    return 0;
}

static void test_chunks(void **state)
{
    (void)state;
    static const char one[] = "AAAAAAAAAAAAAAAAAAAAAAA1", two[] = "BBBB\0BBBBBBBBBBBBBBBBBB2", three[] = "CCCCCCCCCCCCCCCCCCCCCCC3";
    struct buf list = buf_make(1024);
    begin(META_TXN_WRITE);
    assert_int_equal(META_DO(t, chunk_get, 5, 0, false, &list), -ENOENT);
    assert_int_equal(META_DO(t, chunk_append, 5, 0, str_of(one, 24)), 0);
    assert_int_equal(META_DO(t, chunk_append, 5, 0, str_of(two, 24)), 0);
    assert_int_equal(META_DO(t, chunk_append, 5, 0, str_of(one, 24)), 0);
    commit();
    begin(META_TXN_WRITE);
    assert_int_equal(META_DO(t, chunk_get, 5, 0, true, &list), 0);
    assert_int_equal(list.len, 72); /* a NUL inside is no end, though SQLite calls the column a text by now */
    assert_memory_equal(list.ptr + 24, two, 24);
    assert_int_equal(META_DO(t, chunk_rewrite, 5, 0, 2, str_of(three, 24)), 0);
    buf_reset(&list);
    assert_int_equal(META_DO(t, chunk_get, 5, 0, true, &list), 0);
    assert_int_equal(list.len, 48);
    assert_memory_equal(list.ptr, three, 24);
    assert_memory_equal(list.ptr + 24, one, 24);
    assert_int_equal(META_DO(t, chunk_append, 5, 7, str_of(one, 24)), 0);
    assert_int_equal(META_DO(t, chunk_append, 6, 1, str_of(one, 24)), 0);
    buf_reset(&list);
    assert_int_equal(META_DO(t, chunk_scan, 5, 1, UINT32_MAX, false, collect_chunk, &list), 0);
    assert_str(buf_str(&list), "5/7:AAAAAAAAAAAAAAAAAAAAAAA1 ");
    assert_int_equal(META_DO(t, chunk_delete, 5, 0), 0);
    assert_int_equal(META_DO(t, chunk_delete, 5, 0), -META_AGAIN);
    buf_reset(&list);
    assert_int_equal(META_DO(t, chunk_scan_all, 0, 1, collect_chunk, &list), 0);
    assert_str(buf_str(&list), "5/7:AAAAAAAAAAAAAAAAAAAAAAA1 ");
    commit();
    buf_done(&list);
}

static int collect_ref(void *arg, uint64_t id, uint32_t size, int64_t refs)
{
    buf_addf(arg, "%d/%u=%d ", (int)id, size, (int)refs);
    return 0;
}

static void test_refs(void **state)
{
    (void)state;
    char memory[256];
    struct buf seen = buf_over(memory, sizeof(memory));
    int64_t refs;
    begin(META_TXN_WRITE);
    assert_int_equal(META_DO(t, ref_insert, 1, 100, 1), 0);
    assert_int_equal(META_DO(t, ref_insert, 2, 200, 2), 0);
    assert_int_equal(META_DO(t, ref_add, 1, 100, -1), 0);
    assert_int_equal(META_DO(t, ref_add, 2, 999, -2), 0); /* another size: another slice */
    assert_int_equal(META_DO(t, ref_get, 2, 200, &refs), 0);
    assert_int_equal(refs, 2);
    assert_int_equal(META_DO(t, ref_get, 3, 1, &refs), -ENOENT);
    assert_int_equal(META_DO(t, ref_scan_garbage, 0, 10, collect_ref, &seen), 0);
    assert_str(buf_str(&seen), "1/100=0 ");
    buf_reset(&seen);
    assert_int_equal(META_DO(t, ref_insert, 3, 300, 1), 0);
    assert_int_equal(META_DO(t, ref_scan, 1, 1, collect_ref, &seen), 0);
    assert_int_equal(META_DO(t, ref_scan, 2, 0, collect_ref, &seen), 0);
    assert_str(buf_str(&seen), "2/200=2 3/300=1 ");
    assert_int_equal(META_DO(t, ref_delete, 1, 100), 0);
    assert_int_equal(META_DO(t, ref_get, 1, 100, &refs), -ENOENT);
    commit();
}

static void test_deleted_files(void **state)
{
    (void)state;
    uint64_t length = 0;
    begin(META_TXN_WRITE);
    assert_int_equal(META_DO(t, delfile_get, 7, &length), -ENOENT);
    assert_int_equal(META_DO(t, delfile_insert, 7, 1ull << 40, 1000), 0);
    assert_int_equal(META_DO(t, delfile_get, 7, &length), 0);
    assert_int_equal(length, 1ull << 40);
    assert_int_equal(META_DO(t, delfile_delete, 7, length), 0);
    assert_int_equal(META_DO(t, delfile_get, 7, &length), -ENOENT);
    commit();
}

static void test_counters(void **state)
{
    (void)state;
    int64_t value;
    uint64_t first;
    begin(META_TXN_WRITE);
    assert_int_equal(META_DO(t, counter_get, "usedSpace", &value), 0);
    assert_int_equal(value, 0);
    assert_int_equal(META_DO(t, counter_add, "nextTrash", 1, &value), 0);
    assert_int_equal(value, 1);
    assert_int_equal(META_DO(t, take_ids, "nextChunk", 4096, &first), -EIO); /* a volume without its counters */
    assert_int_equal(META_DO(t, counter_put, "nextInode", 2), 0);
    assert_int_equal(META_DO(t, take_ids, "nextInode", 1024, &first), 0);
    assert_int_equal(first, 2);
    assert_int_equal(META_DO(t, counter_get, "nextInode", &value), 0);
    assert_int_equal(value, 1026);
    commit();
}

static int collect_sustained(void *arg, uint64_t sid, meta_ino ino)
{
    buf_addf(arg, "%d/%d ", (int)sid, (int)ino);
    return 0;
}

static int collect_session(void *arg, const struct meta_session_row *row)
{
    buf_addf(arg, "%d:%d:%.*s ", (int)row->sid, (int)row->expire_s, STR_ARG(row->info));
    return 0;
}

static void test_sessions(void **state)
{
    (void)state;
    char memory[256];
    struct buf seen = buf_over(memory, sizeof(memory));
    begin(META_TXN_WRITE);
    assert_int_equal(META_DO(t, session_insert, 1, 100, STR("{}")), 0);
    assert_int_equal(META_DO(t, session_refresh, 1, 200, STR("{1}")), 0);
    assert_int_equal(META_DO(t, session_refresh, 2, 300, STR("{2}")), 0);
    assert_int_equal(META_DO(t, session_scan, 300, 0, collect_session, &seen), 0);
    assert_str(buf_str(&seen), "1:200:{} ");
    buf_reset(&seen);
    assert_int_equal(META_DO(t, sustained_insert, 1, 77), 0);
    assert_int_equal(META_DO(t, sustained_insert, 1, 70), 0);
    assert_int_equal(META_DO(t, sustained_delete, 1, 77), 1);
    assert_int_equal(META_DO(t, sustained_scan, 1, collect_inode, &seen), 0);
    assert_str(buf_str(&seen), "70 ");
    buf_reset(&seen);
    assert_int_equal(META_DO(t, sustained_insert, 5, 71), 0);
    assert_int_equal(META_DO(t, sustained_scan_all, collect_sustained, &seen), 0);
    assert_true(str_is(buf_str(&seen), "1/70 5/71 ") || str_is(buf_str(&seen), "5/71 1/70 "));
    assert_int_equal(META_DO(t, session_delete, 1), 0);
    commit();
    assert_int_equal(meta_rig_number(&rig, "SELECT sid FROM jfs_session2"), 2);
}

static int collect_flock(void *arg, const struct meta_flock_row *row)
{
    buf_addf(arg, "%d/%llx:%c ", (int)row->holder.sid, (unsigned long long)row->holder.owner, row->type);
    return 0;
}

static int collect_plock(void *arg, const struct meta_plock_row *row)
{
    buf_addf(arg, "%d/%llx:%.*s ", (int)row->holder.sid, (unsigned long long)row->holder.owner, STR_ARG(row->records));
    return 0;
}

static void test_locks(void **state)
{
    (void)state;
    char memory[256];
    struct buf seen = buf_over(memory, sizeof(memory));
    const struct meta_lock_holder high = {1, 0xfedcba9876543210}, low = {2, 3};
    begin(META_TXN_WRITE);
    assert_int_equal(META_DO(t, flock_put, 5, high, 'R'), 0);
    assert_int_equal(META_DO(t, flock_put, 5, high, 'W'), 0);
    assert_int_equal(META_DO(t, flock_put, 5, low, 'R'), 0);
    assert_int_equal(META_DO(t, flock_delete, 5, low), 0);
    assert_int_equal(META_DO(t, plock_put, 5, low, STR("x")), 0);
    assert_int_equal(META_DO(t, plock_put, 5, low, STR("yy")), 0);
    assert_int_equal(META_DO(t, flock_scan, 5, collect_flock, &seen), 0);
    assert_int_equal(META_DO(t, plock_scan, 5, collect_plock, &seen), 0);
    assert_str(buf_str(&seen), "1/fedcba9876543210:W 2/3:yy ");
    assert_int_equal(META_DO(t, locks_delete_session, 1), 0);
    assert_int_equal(META_DO(t, plock_delete, 5, low), 0);
    commit();
    assert_int_equal(meta_rig_number(&rig, "SELECT (SELECT COUNT(*) FROM jfs_flock) + (SELECT COUNT(*) FROM jfs_plock)"), 0);
}

static void test_usage_records(void **state)
{
    (void)state;
    struct meta_dir_stat stat;
    struct meta_quota quota;
    begin(META_TXN_WRITE);
    assert_int_equal(META_DO(t, dir_stat_add, 1, (&(struct meta_dir_stat){1, 2, 3})), -ENOENT);
    assert_int_equal(META_DO(t, dir_stat_put, 1, (&(struct meta_dir_stat){10, 20, 30})), 0);
    assert_int_equal(META_DO(t, dir_stat_add, 1, (&(struct meta_dir_stat){1, 2, -3})), 0);
    assert_int_equal(META_DO(t, dir_stat_get, 1, false, &stat), 0);
    assert_int_equal(stat.data_length, 11);
    assert_int_equal(stat.used_space, 22);
    assert_int_equal(stat.used_inodes, 27);
    assert_int_equal(META_DO(t, dir_quota_put, 1, (&(struct meta_quota){100, -1, 5, 6})), 0);
    assert_int_equal(META_DO(t, dir_quota_add, 1, 10, -1), 0);
    assert_int_equal(META_DO(t, dir_quota_get, 1, true, &quota), 0);
    assert_int_equal(quota.max_inodes, -1);
    assert_int_equal(quota.used_space, 15);
    assert_int_equal(quota.used_inodes, 5);
    assert_int_equal(META_DO(t, owner_quota_add, META_OWNER_GROUP, 7, 1, 1), -ENOENT);
    assert_int_equal(META_DO(t, owner_quota_put, META_OWNER_GROUP, 7, &quota), 0);
    assert_int_equal(META_DO(t, owner_quota_get, META_OWNER_USER, 7, false, &quota), -ENOENT);
    assert_int_equal(META_DO(t, owner_quota_get, META_OWNER_GROUP, 7, false, &quota), 0);
    assert_int_equal(quota.max_space, 100);
    commit();
}

static void test_acl_records(void **state)
{
    (void)state;
    struct meta_acl_entry users[] = {{0x01020304, 7}, {5, 0}};
    const struct meta_acl rule = {.owner = 7, .group = 5, .mask = META_ACL_UNSET, .other = 1, .users = users, .user_count = 2};
    struct meta_acl read;
    uint32_t id, again;
    begin(META_TXN_WRITE);
    assert_int_equal(meta_acl_store(t, &rule, &id), 0);
    assert_int_equal(meta_acl_store(t, &rule, &again), 0);
    assert_int_equal(id, again);
    assert_int_equal(META_DO(t, acl_get, id, &read), 0);
    assert_int_equal(read.mask, META_ACL_UNSET);
    assert_int_equal(read.user_count, 2);
    assert_int_equal(read.users[0].id, 0x01020304);
    assert_int_equal(read.group_count, 0);
    meta_acl_done(&read);
    commit();
    char *blob = meta_rig_sql(&rig, "SELECT hex(named_users) FROM jfs_acl");
    assert_string_equal(blob, "010203040007000000050000");
    free(blob);
}

/* Statements of another client, word for word (§4.2). */
static void test_schema_is_the_official_one(void **state)
{
    (void)state;
    char *sql = meta_rig_sql(&rig, "SELECT sql FROM sqlite_master WHERE name = 'jfs_edge'");
    assert_string_equal(sql, "CREATE TABLE `jfs_edge` (`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `parent` INTEGER NOT "
                             "NULL, `name` BLOB NOT NULL, `inode` INTEGER NOT NULL, `type` INTEGER NOT NULL)");
    free(sql);
    sql = meta_rig_sql(&rig, "SELECT sql FROM sqlite_master WHERE name = 'UQE_jfs_edge_edge'");
    assert_string_equal(sql, "CREATE UNIQUE INDEX `UQE_jfs_edge_edge` ON `jfs_edge` (`parent`,`name`)");
    free(sql);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name LIKE 'jfs_%'"), 21);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"), 8);
    char *mode = meta_rig_sql(&rig, "PRAGMA journal_mode");
    assert_string_equal(mode, "wal");
    free(mode);
}

static void reopen(const char *query, bool read_only)
{
    meta_engine_close(rig.engine);
    rig.engine = NULL;
    char url[PATH_MAX + 64];
    (void)snprintf(url, sizeof(url), "%s%s", rig.url, query);
    const char *error = NULL;
    if (meta_engine_open(str_z(url), &(struct meta_engine_options){.read_only = read_only}, &rig.engine, &error) < 0)
        fail_msg("%s", error);
}

static void test_older_volume(void **state)
{
    (void)state;
    begin(META_TXN_WRITE);
    assert_int_equal(META_DO(t, node_insert, 9, &sample), 0);
    commit();
    free(meta_rig_sql(&rig, "ALTER TABLE jfs_node DROP COLUMN tier_id"));
    free(meta_rig_sql(&rig, "ALTER TABLE jfs_node DROP COLUMN mtimensec"));
    free(meta_rig_sql(&rig, "DROP TABLE jfs_user_group_quota"));
    struct meta_attr attr;
    struct meta_quota quota;
    reopen("", true);
    begin(META_TXN_READ);
    assert_int_equal(META_DO(t, node_get, 9, false, &attr), 0);
    assert_int_equal(attr.tier, 0);
    assert_int_equal(attr.access_acl, 4);
    assert_int_equal(META_DO(t, owner_quota_get, META_OWNER_USER, 0, false, &quota), -ENOENT);
    commit();
    struct meta_txn *write;
    assert_int_equal(rig.engine->ops->begin(rig.engine, META_TXN_WRITE, &write), -EROFS);
    assert_int_equal(rig.engine->ops->prepare(rig.engine), -EROFS);
    reopen("", false);
    assert_int_equal(rig.engine->ops->prepare(rig.engine), 0);
    begin(META_TXN_WRITE);
    assert_int_equal(META_DO(t, node_get, 9, true, &attr), 0);
    attr.tier = 2;
    assert_int_equal(META_DO(t, node_put, 9, &attr), 0);
    commit();
    assert_int_equal(meta_rig_number(&rig, "SELECT tier_id FROM jfs_node"), 2);
}

static void test_prefix(void **state)
{
    (void)state;
    reopen("?table_prefix=two&cache=shared", false);
    assert_int_equal(rig.engine->ops->prepare(rig.engine), 0);
    begin(META_TXN_WRITE);
    assert_int_equal(META_DO(t, node_insert, 9, &sample), 0);
    commit();
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_node"), 0);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_two_node"), 1);
    assert_int_equal(rig.engine->ops->wipe(rig.engine), 0);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM sqlite_master WHERE name LIKE 'jfs_two%'"), 0);
}

static void test_refused_urls(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        int error;
    } rows[] = {
        {"meta.db", -EINVAL},
        {"mongodb://host", -ENOTSUP},
        {"sqlite3://", -EINVAL},
        {"sqlite3:///no/such/folder/meta.db", -ENOENT},
        {"sqlite3://x.db?table_prefix=a'b", -EINVAL},
        {"sqlite3://x.db?unheard=of", -EINVAL},
        {"sqlite3://x.db?_busy_timeout=soon", -EINVAL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct meta_engine *e = NULL;
        const char *error = NULL;
        assert_int_equal(meta_engine_open(str_z(rows[i].url), &(struct meta_engine_options){0}, &e, &error), rows[i].error);
        assert_non_null(error);
        assert_null(e);
    }
}

enum { WRITERS = 4, ROUNDS = 50, ENGINES = 2 };

static void *add_rounds(void *arg)
{
    struct meta_engine *e = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct meta_txn *mine;
        int64_t value;
        int rc;
        while ((rc = e->ops->begin(e, META_TXN_WRITE, &mine)) == -META_AGAIN)
            continue;
        CHECK(rc == 0);
        CHECK(META_DO(mine, counter_get, "sum", &value) == 0);
        CHECK(META_DO(mine, counter_put, "sum", value + 1) == 0);
        CHECK(mine->ops->commit(mine) == 0);
    }
    return NULL;
}

/* Two engines over one file are as two processes: nobody's change is lost. */
static void test_writers_exclude_each_other(void **state)
{
    (void)state;
    struct meta_engine *engines[ENGINES] = {rig.engine};
    const char *error;
    assert_int_equal(meta_engine_open(str_z(rig.url), &(struct meta_engine_options){.no_sync = true}, &engines[1], &error), 0);
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_rounds, engines[i % ENGINES]), 0);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    meta_engine_close(engines[1]);
    assert_int_equal(meta_rig_number(&rig, "SELECT value FROM jfs_counter WHERE name = 'sum'"), WRITERS * ROUNDS);
}

static void *insert_rounds(void *arg)
{
    struct meta_engine *e = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct meta_txn *mine;
        CHECK(e->ops->begin(e, META_TXN_WRITE, &mine) == 0);
        mine->lazy = i % 2 == 0;
        CHECK(META_DO(mine, counter_add, "sum", 1, NULL) == 0);
        CHECK(mine->ops->commit(mine) == 0);
    }
    return NULL;
}

static void open_as(bool lazy)
{
    meta_engine_close(rig.engine);
    const char *error = NULL;
    if (meta_engine_open(str_z(rig.url), &(struct meta_engine_options){.lazy = lazy}, &rig.engine, &error) < 0)
        fail_msg("%s", error);
}

static void open_durable(void)
{
    open_as(false);
}

static void test_durable_commits_go_together(void **state)
{
    (void)state;
    open_durable();
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, insert_rounds, rig.engine), 0);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(meta_rig_number(&rig, "SELECT value FROM jfs_counter WHERE name = 'sum'"), WRITERS * ROUNDS);
}

/* The log is beside the database itself. */
static void test_durable_commits_through_a_link(void **state)
{
    (void)state;
    char link[PATH_MAX + 16];
    (void)snprintf(link, sizeof(link), "%s/link.db", rig.dir);
    assert_int_equal(symlink("meta.db", link), 0);
    (void)snprintf(rig.url, sizeof(rig.url), "sqlite3://%s/link.db", rig.dir);
    open_durable();
    begin(META_TXN_WRITE);
    assert_int_equal(META_DO(t, counter_add, "sum", 1, NULL), 0);
    commit();
}

#ifdef SLUICE_FAULTS

/* After one sync that failed, no other says that all is well. */
static void test_a_failed_sync_is_remembered(void **state)
{
    (void)state;
    open_durable();
    fault_set_for_test("meta.sync:2:EIO");
    for (int i = 0; i < 4; i++) {
        begin(META_TXN_WRITE);
        assert_int_equal(META_DO(t, counter_add, "sum", 1, NULL), 0);
        assert_int_equal(t->ops->commit(t), i == 0 ? 0 : -EIO);
    }
    begin(META_TXN_WRITE);
    t->lazy = true;
    assert_int_equal(META_DO(t, counter_add, "sum", 1, NULL), 0);
    commit();
    fault_set_for_test(NULL);
}

static void add_one(void)
{
    begin(META_TXN_WRITE);
    assert_int_equal(META_DO(t, counter_add, "sum", 1, NULL), 0);
    commit();
}

/* Commits wait for no sync, `sync` does, once for each state of the database. */
static void test_lazy_commits(void **state)
{
    (void)state;
    open_as(true);
    add_one();
    assert_int_equal(rig.engine->ops->sync(rig.engine), 0);
    fault_set_for_test("meta.sync:1:EIO");
    assert_int_equal(rig.engine->ops->sync(rig.engine), 0);
    add_one();
    free(meta_rig_sql(&rig, "UPDATE jfs_counter SET value = value + 1 WHERE name = 'sum'"));
    assert_int_equal(rig.engine->ops->sync(rig.engine), -EIO);
    assert_int_equal(rig.engine->ops->sync(rig.engine), -EIO);
    fault_set_for_test(NULL);
}

#endif

static void test_a_database_of_something_else(void **state)
{
    (void)state;
    assert_int_equal(rig.engine->ops->wipe(rig.engine), 0);
    struct buf value = buf_make(64);
    begin(META_TXN_READ);
    assert_int_equal(META_DO(t, setting_get, "format", &value), -ENOENT);
    commit();
    reopen("", true);
    begin(META_TXN_READ);
    assert_int_equal(META_DO(t, setting_get, "format", &value), -ENOENT);
    commit();
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nodes),
        TEST(test_undone),
        TEST(test_edges),
        TEST(test_edges_by_inode),
        TEST(test_scan_stops),
        TEST(test_chunks),
        TEST(test_refs),
        TEST(test_deleted_files),
        TEST(test_counters),
        TEST(test_sessions),
        TEST(test_locks),
        TEST(test_usage_records),
        TEST(test_acl_records),
        TEST(test_schema_is_the_official_one),
        TEST(test_older_volume),
        TEST(test_prefix),
        TEST(test_refused_urls),
        TEST(test_writers_exclude_each_other),
        TEST(test_durable_commits_go_together),
        TEST(test_durable_commits_through_a_link),
#ifdef SLUICE_FAULTS
        TEST(test_a_failed_sync_is_remembered),
        TEST(test_lazy_commits),
#endif
        TEST(test_a_database_of_something_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
