#include "tests/support/meta_rig.h"

#include <sqlite3.h>

#include "base/check.h"
#include "tests/support/unit.h"

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
    assert_int_equal(meta_transact(rig->m, META_TXN_WRITE, fill, NULL), 0);
}

void meta_rig_reopen(struct meta_rig *rig)
{
    const struct meta_features features = meta_features(rig->m);
    meta_free(rig->m);
    const char *error = NULL;
    if (meta_engine_open(str_z(rig->url), &(struct meta_engine_options){.no_sync = true}, &rig->engine, &error) < 0)
        fail_msg("%s", error);
    rig->m = meta_new(rig->engine, &(struct meta_options){.no_sync = true});
    rig->m->sid = 1;
    meta_set_features(rig->m, &features);
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
