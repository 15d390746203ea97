/* The tables of a volume, word for word as the official client makes them: it reads these texts back (§4.2, A.1). */
#include "base/check.h"
#include "base/log.h"
#include "vfs/meta/sqlite_internal.h"

#define STATEMENT_MAX 1024

static const struct {
    const char *name, *columns;
} tables[] = {
    {"setting", "`name` TEXT PRIMARY KEY NOT NULL, `value` TEXT NOT NULL"},
    {"counter", "`name` TEXT PRIMARY KEY NOT NULL, `value` INTEGER NOT NULL"},
    {"edge",
     "`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `parent` INTEGER NOT NULL, `name` BLOB NOT NULL, "
     "`inode` INTEGER NOT NULL, `type` INTEGER NOT NULL"},
    {"node",
     "`inode` INTEGER PRIMARY KEY NOT NULL, `type` INTEGER NOT NULL, `flags` INTEGER NOT NULL, `mode` INTEGER NOT NULL, "
     "`uid` INTEGER NOT NULL, `gid` INTEGER NOT NULL, `atime` INTEGER NOT NULL, `mtime` INTEGER NOT NULL, "
     "`ctime` INTEGER NOT NULL, `atimensec` INTEGER DEFAULT 0 NOT NULL, `mtimensec` INTEGER DEFAULT 0 NOT NULL, "
     "`ctimensec` INTEGER DEFAULT 0 NOT NULL, `nlink` INTEGER NOT NULL, `length` INTEGER NOT NULL, `rdev` INTEGER NULL, "
     "`parent` INTEGER NULL, `access_acl_id` INTEGER NULL, `default_acl_id` INTEGER NULL, `tier_id` INTEGER NULL"},
    {"symlink", "`inode` INTEGER PRIMARY KEY NOT NULL, `target` BLOB NOT NULL"},
    {"xattr",
     "`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `inode` INTEGER NOT NULL, `name` TEXT NOT NULL, "
     "`value` BLOB NOT NULL"},
    {"chunk",
     "`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `inode` INTEGER NOT NULL, `indx` INTEGER NOT NULL, "
     "`slices` BLOB NOT NULL"},
    {"chunk_ref", "`chunkid` INTEGER PRIMARY KEY NOT NULL, `size` INTEGER NOT NULL, `refs` INTEGER NOT NULL"},
    {"delslices", "`chunkid` INTEGER PRIMARY KEY NOT NULL, `deleted` INTEGER NOT NULL, `slices` BLOB NOT NULL"},
    {"session2", "`sid` INTEGER PRIMARY KEY NOT NULL, `expire` INTEGER NOT NULL, `info` BLOB NULL"},
    {"sustained",
     "`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `sid` INTEGER NOT NULL, `inode` INTEGER NOT NULL"},
    {"delfile", "`inode` INTEGER PRIMARY KEY NOT NULL, `length` INTEGER NOT NULL, `expire` INTEGER NOT NULL"},
    {"flock",
     "`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `inode` INTEGER NOT NULL, `sid` INTEGER NOT NULL, "
     "`owner` INTEGER NOT NULL, `ltype` INTEGER NOT NULL"},
    {"plock",
     "`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `inode` INTEGER NOT NULL, `sid` INTEGER NOT NULL, "
     "`owner` INTEGER NOT NULL, `records` BLOB NOT NULL"},
    {"dir_quota",
     "`inode` INTEGER PRIMARY KEY NOT NULL, `max_space` INTEGER NOT NULL, `max_inodes` INTEGER NOT NULL, "
     "`used_space` INTEGER NOT NULL, `used_inodes` INTEGER NOT NULL"},
    {"user_group_quota",
     "`qtype` INTEGER NOT NULL, `qkey` INTEGER NOT NULL, `max_space` INTEGER NOT NULL, `max_inodes` INTEGER NOT NULL, "
     "`used_space` INTEGER NOT NULL, `used_inodes` INTEGER NOT NULL, PRIMARY KEY ( `qtype`,`qkey` )"},
    {"dir_stats",
     "`inode` INTEGER PRIMARY KEY NOT NULL, `data_length` INTEGER NOT NULL, `used_space` INTEGER NOT NULL, "
     "`used_inodes` INTEGER NOT NULL"},
    {"detached_node", "`inode` INTEGER PRIMARY KEY NOT NULL, `added` INTEGER NOT NULL"},
    {"acl",
     "`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `owner` INTEGER NULL, `group` INTEGER NULL, `mask` INTEGER NULL, "
     "`other` INTEGER NULL, `named_users` BLOB NULL, `named_groups` BLOB NULL"},
    {"delegation_token", "`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `token` BLOB NULL"},
    {"change_log", "`id` INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, `entry` TEXT NOT NULL"},
};

/* Columns that came with later versions of the format, all of them of the node table. */
static const struct {
    const char *name, *definition;
} late_columns[] = {
    {"atimensec", "INTEGER DEFAULT 0 NOT NULL"}, {"mtimensec", "INTEGER DEFAULT 0 NOT NULL"},
    {"ctimensec", "INTEGER DEFAULT 0 NOT NULL"}, {"access_acl_id", "INTEGER NULL"},
    {"default_acl_id", "INTEGER NULL"},          {"tier_id", "INTEGER NULL"},
};

static const struct {
    bool unique;
    const char *table, *name, *columns;
} indexes[] = {
    {true, "edge", "edge", "`parent`,`name`"},
    {false, "edge", "inode", "`inode`"},
    {true, "xattr", "name", "`inode`,`name`"},
    {true, "chunk", "chunk", "`inode`,`indx`"},
    {false, "chunk_ref", "refs", "`refs`"},
    {true, "sustained", "sustained", "`sid`,`inode`"},
    {true, "flock", "flock", "`inode`,`sid`,`owner`"},
    {true, "plock", "plock", "`inode`,`sid`,`owner`"},
};

static int execute(struct sq_conn *c, const char *format, ...) PRINTF(2, 3);
static int execute(struct sq_conn *c, const char *format, ...)
{
    char memory[STATEMENT_MAX];
    struct buf sql = buf_over(memory, sizeof(memory));
    va_list args;
    va_start(args, format);
    buf_addv(&sql, format, args);
    va_end(args);
    CHECK(!sql.failed);
    return sq_exec(c, sql.ptr);
}

int sq_schema_has(struct sq_conn *c, const char *name)
{
    char memory[STATEMENT_MAX];
    struct buf full = buf_over(memory, sizeof(memory));
    buf_addf(&full, "%s%s", sq_prefix(c), name);
    struct sq_rows row;
    int rc = sq_row(c, "SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ?1",
                    SQ_ARGS(sq_text(buf_str(&full))), &row);
    if (rc >= 0)
        sq_done(&row);
    return rc == -ENOENT ? 0 : rc < 0 ? rc : 1;
}

static int node_column_exists(struct sq_conn *c, const char *name)
{
    struct sq_rows row;
    int rc = sq_row(c, "SELECT 1 FROM pragma_table_info('jfs_node') WHERE name = ?1", SQ_ARGS(sq_text(str_z(name))), &row);
    if (rc >= 0)
        sq_done(&row);
    return rc == -ENOENT ? 0 : rc < 0 ? rc : 1;
}

static int make_tables(struct sq_conn *c)
{
    int rc = 0;
    for (size_t i = 0; i < ARRAY_SIZE(tables) && rc >= 0; i++)
        rc = execute(c, "CREATE TABLE IF NOT EXISTS `%s%s` (%s)", sq_prefix(c), tables[i].name, tables[i].columns);
    return rc;
}

static int add_columns(struct sq_conn *c)
{
    int rc = 0;
    for (size_t i = 0; i < ARRAY_SIZE(late_columns) && rc >= 0; i++) {
        rc = node_column_exists(c, late_columns[i].name);
        if (rc == 0)
            rc = execute(c, "ALTER TABLE `%snode` ADD `%s` %s", sq_prefix(c), late_columns[i].name,
                         late_columns[i].definition);
    }
    return rc;
}

/* The official client drops indexes that it does not know, so these are all there may be. */
static int make_indexes(struct sq_conn *c)
{
    int rc = 0;
    for (size_t i = 0; i < ARRAY_SIZE(indexes) && rc >= 0; i++)
        rc = execute(c, "CREATE %sINDEX IF NOT EXISTS `%s_%s%s_%s` ON `%s%s` (%s)", indexes[i].unique ? "UNIQUE " : "",
                     indexes[i].unique ? "UQE" : "IDX", sq_prefix(c), indexes[i].table, indexes[i].name, sq_prefix(c),
                     indexes[i].table, indexes[i].columns);
    return rc;
}

int sq_schema_prepare(struct sq_conn *c)
{
    int rc = sq_exec(c, "BEGIN IMMEDIATE");
    if (rc < 0)
        return rc;
    rc = make_tables(c);
    if (rc >= 0)
        rc = add_columns(c);
    if (rc >= 0)
        rc = make_indexes(c);
    if (rc >= 0)
        rc = sq_exec(c, "COMMIT");
    if (rc < 0 && sq_exec(c, "ROLLBACK") < 0)
        log_debug("sqlite", "text=\"nothing to undo\""); /* SQLite undid it by itself */
    return rc;
}

static int pretend_table(struct sq_conn *c, const char *name, const char *columns)
{
    int rc = sq_schema_has(c, name);
    return rc != 0 ? rc : execute(c, "CREATE TEMP TABLE `%s%s` (%s)", sq_prefix(c), name, columns);
}

/* A view in the way of the table gives the columns that it lacks. */
static int pretend_columns(struct sq_conn *c)
{
    char memory[STATEMENT_MAX];
    struct buf missing = buf_over(memory, sizeof(memory));
    for (size_t i = 0; i < ARRAY_SIZE(late_columns); i++) {
        int rc = node_column_exists(c, late_columns[i].name);
        if (rc < 0)
            return rc;
        if (rc == 0)
            buf_addf(&missing, ", 0 AS `%s`", late_columns[i].name);
    }
    CHECK(!missing.failed);
    if (missing.len == 0)
        return 0;
    return execute(c, "CREATE TEMP VIEW `%snode` AS SELECT *%s FROM main.`%snode`", sq_prefix(c), missing.ptr,
                   sq_prefix(c));
}

int sq_schema_pretend(struct sq_conn *c)
{
    int rc = 0;
    for (size_t i = 0; i < ARRAY_SIZE(tables) && rc >= 0; i++)
        rc = pretend_table(c, tables[i].name, tables[i].columns);
    return rc < 0 ? rc : pretend_columns(c);
}

int sq_schema_wipe(struct sq_conn *c)
{
    int rc = sq_exec(c, "BEGIN IMMEDIATE");
    for (size_t i = 0; i < ARRAY_SIZE(tables) && rc >= 0; i++)
        rc = execute(c, "DROP TABLE IF EXISTS `%s%s`", sq_prefix(c), tables[i].name);
    return rc < 0 ? rc : sq_exec(c, "COMMIT");
}
