#include "tests/support/meta_rig.h"

#include <sqlite3.h>

#include "base/check.h"
#include "tests/support/unit.h"
#include "vfs/meta/upkeep.h"

void meta_rig_open_engine(struct meta_rig *rig)
{
    *rig = (struct meta_rig){0};
    assert_true(tmpdir_make(rig->dir));
    (void)snprintf(rig->url, sizeof(rig->url), "sqlite3://%s/meta.db", rig->dir);
    const struct meta_engine_options options = {.create = true, .no_sync = true};
    const char *error = NULL;
    if (meta_engine_open(str_z(rig->url), &options, &rig->engine, &error) < 0)
        fail_msg("%s", error);
    assert_int_equal(rig->engine->ops->prepare(rig->engine), 0);
}

static int fill(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    (void)arg;
    struct meta_attr root = {.type = META_DIRECTORY, .mode = 0777, .nlink = 2, .length = 4096, .parent = META_ROOT};
    root.atime = root.mtime = root.ctime = meta_now();
    int rc = META_DO(t, node_insert, META_ROOT, &root);
    root.mode = 0555;
    if (rc >= 0)
        rc = META_DO(t, node_insert, META_TRASH, &root);
    if (rc >= 0)
        rc = META_DO(t, counter_put, "nextInode", 2);
    if (rc >= 0)
        rc = META_DO(t, counter_put, "nextChunk", 1);
    return rc < 0 ? rc : META_DO(t, session_insert, 1, INT64_MAX, STR("{}"));
}

void meta_rig_open(struct meta_rig *rig)
{
    meta_rig_open_engine(rig);
    rig->m = meta_new(rig->engine, &(struct meta_options){.no_sync = true});
    rig->m->sid = 1;
    meta_set_features(rig->m, &(struct meta_features){.dir_stats = true});
    assert_int_equal(meta_transact(rig->m, META_TXN_WRITE, fill, NULL), 0);
}

void meta_rig_pause(struct meta_rig *rig)
{
    rig->features = meta_features(rig->m);
    meta_usage_flush_volume(rig->m);
    meta_free(rig->m);
    rig->m = NULL;
    rig->engine = NULL;
}

void meta_rig_resume(struct meta_rig *rig)
{
    const char *error = NULL;
    if (meta_engine_open(str_z(rig->url), &(struct meta_engine_options){.no_sync = true}, &rig->engine, &error) < 0)
        fail_msg("%s", error);
    rig->m = meta_new(rig->engine, &(struct meta_options){.no_sync = true});
    rig->m->sid = 1;
    meta_set_features(rig->m, &rig->features);
}

void meta_rig_reopen(struct meta_rig *rig)
{
    meta_rig_pause(rig);
    meta_rig_resume(rig);
}

void meta_rig_close(struct meta_rig *rig)
{
    if (rig->m)
        meta_free(rig->m);
    else
        meta_engine_close(rig->engine);
    assert_true(tmpdir_remove(rig->dir));
}

char *meta_rig_sql(const struct meta_rig *rig, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    char path[PATH_MAX + 16];
    (void)snprintf(path, sizeof(path), "%s/meta.db", rig->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    const int code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    const char *text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    char *copy = text ? strdup(text) : NULL;
    (void)sqlite3_finalize(statement);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return copy;
}

int64_t meta_rig_number(const struct meta_rig *rig, const char *sql)
{
    char *text = meta_rig_sql(rig, sql);
    const int64_t number = text ? strtoll(text, NULL, 10) : -1;
    free(text);
    return number;
}

void meta_rig_lost(struct meta_rig *rig, int nodes)
{
    const struct meta_usage gone = {.space = -4096 * nodes, .inodes = -nodes};
    meta_usage_apply(rig->m, &gone);
}

#define TRASH "9223372032828243968"
#define SPACE "CASE WHEN n.type = 1 AND n.length > 0 THEN (n.length + 4095) / 4096 * 4096 ELSE 4096 END"

/* Each finds what must not be (§8.5), and says it in its first column. */
static const char *const violations[] = {
    "SELECT 'name without its node: ' || e.name FROM jfs_edge e LEFT JOIN jfs_node n ON n.inode = e.inode "
    "WHERE n.inode IS NULL OR n.type <> e.type",
    "SELECT 'name in what is no directory: ' || e.name FROM jfs_edge e LEFT JOIN jfs_node n ON n.inode = e.parent "
    "WHERE n.inode IS NULL OR n.type <> 2",
    "SELECT 'links of directory ' || n.inode || ': ' || n.nlink FROM jfs_node n WHERE n.type = 2 AND n.inode < " TRASH
    " AND n.nlink <> 2 + (SELECT COUNT(*) FROM jfs_edge e WHERE e.parent = n.inode AND e.type = 2)",
    "SELECT 'links of file ' || n.inode || ': ' || n.nlink FROM jfs_node n WHERE n.type <> 2 "
    "AND n.nlink <> (SELECT COUNT(*) FROM jfs_edge e WHERE e.inode = n.inode)",
    "SELECT 'node without a name: ' || n.inode FROM jfs_node n WHERE n.inode NOT IN (1, " TRASH ") "
    "AND NOT EXISTS (SELECT 1 FROM jfs_edge e WHERE e.inode = n.inode) "
    "AND NOT EXISTS (SELECT 1 FROM jfs_sustained s WHERE s.inode = n.inode)",
    "SELECT 'kept though it has a name: ' || s.inode FROM jfs_sustained s LEFT JOIN jfs_node n ON n.inode = s.inode "
    "WHERE n.inode IS NULL OR n.nlink <> 0",
    "SELECT 'parent of ' || n.inode || ': ' || n.parent FROM jfs_node n WHERE n.parent > 0 AND n.nlink > 0 "
    "AND n.inode NOT IN (1, " TRASH ") "
    "AND NOT EXISTS (SELECT 1 FROM jfs_edge e WHERE e.parent = n.parent AND e.inode = n.inode)",
    "SELECT 'directory with two names: ' || inode FROM jfs_edge WHERE type = 2 GROUP BY inode HAVING COUNT(*) > 1",
    "SELECT 'target without its link: ' || s.inode FROM jfs_symlink s LEFT JOIN jfs_node n ON n.inode = s.inode "
    "WHERE n.type IS NOT 3",
    "SELECT 'link without its target: ' || n.inode FROM jfs_node n WHERE n.type = 3 "
    "AND NOT EXISTS (SELECT 1 FROM jfs_symlink s WHERE s.inode = n.inode)",
    "SELECT 'attribute of nothing: ' || x.inode FROM jfs_xattr x LEFT JOIN jfs_node n ON n.inode = x.inode "
    "WHERE n.inode IS NULL",
    "SELECT 'deleted and there: ' || d.inode FROM jfs_delfile d JOIN jfs_node n ON n.inode = d.inode",
    "SELECT 'data of nothing: ' || c.inode FROM jfs_chunk c WHERE NOT EXISTS (SELECT 1 FROM jfs_node n WHERE n.inode = c.inode) "
    "AND NOT EXISTS (SELECT 1 FROM jfs_delfile d WHERE d.inode = c.inode)",
    "SELECT 'statistics of nothing: ' || s.inode FROM jfs_dir_stats s LEFT JOIN jfs_node n ON n.inode = s.inode "
    "WHERE n.type IS NOT 2",
};
/* These hold when all that is gathered has been written. */
static const char *const drifts[] = {
    "SELECT 'used space: ' || c.value FROM jfs_counter c WHERE c.name = 'usedSpace' AND c.value <> "
    "(SELECT TOTAL(" SPACE ") FROM jfs_node n WHERE n.inode NOT IN (1, " TRASH "))",
    "SELECT 'nodes: ' || c.value FROM jfs_counter c WHERE c.name = 'totalInodes' AND c.value <> "
    "(SELECT COUNT(*) FROM jfs_node n WHERE n.inode NOT IN (1, " TRASH "))",
    "SELECT 'directory ' || s.inode || ' has entries: ' || s.used_inodes || ', bytes: ' || s.data_length "
    "FROM jfs_dir_stats s WHERE s.used_inodes <> (SELECT COUNT(*) FROM jfs_edge e WHERE e.parent = s.inode) "
    "OR s.used_space <> (SELECT TOTAL(" SPACE ") FROM jfs_edge e JOIN jfs_node n ON n.inode = e.inode "
    "WHERE e.parent = s.inode) OR s.data_length <> (SELECT TOTAL(n.length) FROM jfs_edge e JOIN jfs_node n "
    "ON n.inode = e.inode WHERE e.parent = s.inode AND n.type = 1)",
};

static void check_rows(const struct meta_rig *rig, const char *const *queries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *found = meta_rig_sql(rig, queries[i]);
        if (found)
            fail_msg("%s", found);
    }
}

void meta_rig_check_names(const struct meta_rig *rig)
{
    check_rows(rig, violations, ARRAY_SIZE(violations));
}

void meta_rig_check(struct meta_rig *rig)
{
    meta_rig_check_names(rig);
    if (!rig->m)
        return;
    meta_usage_flush_volume(rig->m);
    check_rows(rig, drifts, ARRAY_SIZE(drifts));
}
