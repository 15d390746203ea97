/* The SQLite engine: a pool of connections, one of them for writing, and transactions over them.
 *
 * Writers queue for the writing connection on a lock of this process before they meet SQLite's own, so that within one
 * process nobody waits by polling. The database may be used by other processes of the same host at the same time (WAL). */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mutex.h"
#include "vfs/meta/sqlite_internal.h"
#include "vfs/meta/sqlite_sync.h"

#define BUSY_TIMEOUT_MS 5000 /* official clients' */
#define READERS_MAX 16       /* connections; more than workers that read at once is no use, and each has a page cache */
#define PATH_SIZE 4096
#define PREFIX_SIZE 64

struct sq_engine {
    struct meta_engine base;
    struct sq_config config;
    char path[PATH_SIZE], prefix[PREFIX_SIZE];
    struct sq_sync *sync;  /* NULL: commits are durable by themselves, or need not be */
    struct mutex writing;  /* held by the write transaction; first */
    struct sq_txn writer;
    const volatile uint64_t *index; /* the header of the log's index; NULL: no log */
    bool lazy;             /* commits wait for no sync of their own */
    struct mutex lock;     /* of what follows; leaf */
    struct meta_stamp synced; /* a state that is on stable storage */
    struct cond returned;
    struct sq_txn readers[READERS_MAX];
    bool in_use[READERS_MAX];
};

static struct sq_engine *engine_of(struct meta_engine *e)
{
    return container_of(e, struct sq_engine, base);
}

/* The URL: sqlite3://PATH[?option=value&…]. Options that choose what we do anyway, or tune the official client's driver, are
 * passed over. */

static bool parse_prefix(struct sq_engine *e, struct str value)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    for (size_t i = 0; i < value.len; i++) {
        if (!memchr(allowed, value.ptr[i], sizeof(allowed) - 1))
            return false;
    }
    const int size = value.len == 0 ? snprintf(e->prefix, PREFIX_SIZE, "jfs_")
                                    : snprintf(e->prefix, PREFIX_SIZE, "jfs_%.*s_", STR_ARG(value));
    return size < PREFIX_SIZE;
}

static bool parse_option(struct sq_engine *e, struct str name, struct str value)
{
    static const char *const passed_over[] = {"cache", "_journal", "_journal_mode", "max_open_conns", "max_idle_conns",
                                              "max_idle_time", "max_life_time"};
    if (str_is(name, "table_prefix"))
        return parse_prefix(e, value);
    if (str_is(name, "_timeout") || str_is(name, "_busy_timeout")) {
        uint64_t ms;
        if (!str_parse_u64_max(value, INT32_MAX, &ms))
            return false;
        e->config.busy_ms = (uint32_t)ms;
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(passed_over); i++) {
        if (str_is(name, passed_over[i]))
            return true;
    }
    return false;
}

static int parse_url(struct sq_engine *e, struct str url, const char **out_error)
{
    struct str rest = str_from(url, strlen("sqlite3://")), path, option;
    if (!str_split(&rest, '?', &path) || path.len == 0 || path.len >= PATH_SIZE) {
        *out_error = "sqlite3://FILE: the file is missing, or its name too long";
        return -EINVAL;
    }
    memcpy(e->path, path.ptr, path.len);
    while (str_split(&rest, '&', &option)) {
        struct str name, value = option;
        if (!str_split(&value, '=', &name) || !parse_option(e, name, value)) {
            *out_error = "the metadata URL has an option that is not known, or whose value is not good; known: table_prefix, "
                         "_busy_timeout";
            return -EINVAL;
        }
    }
    return 0;
}

/* Connections */

static int connect_as(struct sq_engine *e, enum meta_txn_mode mode, struct sq_txn *t, const char **out_error)
{
    *t = (struct sq_txn){.base = {.ops = &meta_sqlite}, .engine = e, .mode = mode};
    int rc = sq_open(&e->config, &t->conn, out_error);
    if (rc < 0 || !e->config.read_only)
        return rc;
    rc = sq_schema_pretend(t->conn);
    if (rc < 0) {
        *out_error = "the database cannot be read as a volume's";
        sq_close(TAKE(t->conn));
    }
    return rc;
}

static void engine_close(struct meta_engine *base)
{
    struct sq_engine *e = engine_of(base);
    for (size_t i = 0; i < READERS_MAX; i++) {
        CHECK(!e->in_use[i]);
        sq_close(e->readers[i].conn);
    }
    sq_close(e->writer.conn);
    sq_sync_free(e->sync);
    cond_done(&e->returned);
    mutex_done(&e->lock);
    mutex_done(&e->writing);
    free(e);
}

static int engine_open(struct str url, const struct meta_engine_options *options, struct meta_engine **out,
                       const char **out_error)
{
    struct sq_engine *e = calloc(1, sizeof(*e));
    CHECK(e != NULL); /* out of memory */
    e->base.ops = &meta_sqlite;
    e->config = (struct sq_config){.path = e->path,
                                   .prefix = e->prefix,
                                   .read_only = options->read_only,
                                   .create = options->create,
                                   .busy_ms = BUSY_TIMEOUT_MS};
    CHECK(parse_prefix(e, STR_EMPTY));
    mutex_init(&e->writing);
    mutex_init(&e->lock);
    cond_init(&e->returned);
    int rc = parse_url(e, url, out_error);
    if (rc >= 0)
        rc = connect_as(e, options->read_only ? META_TXN_READ : META_TXN_WRITE, &e->writer, out_error);
    if (rc < 0) {
        engine_close(&e->base);
        return rc;
    }
    e->config.create = false;
    e->index = sq_index_header(e->writer.conn);
    e->lazy = options->lazy;
    if (!options->no_sync && sq_has_log(e->writer.conn))
        e->sync = sq_sync_new(sq_log_name(e->writer.conn));
    *out = &e->base;
    return 0;
}

static int on_writer(struct meta_engine *base, int (*fn)(struct sq_conn *c))
{
    struct sq_engine *e = engine_of(base);
    if (e->config.read_only)
        return -EROFS;
    mutex_lock(&e->writing);
    int rc = fn(e->writer.conn);
    mutex_unlock(&e->writing);
    return rc;
}

static int engine_prepare(struct meta_engine *base)
{
    return on_writer(base, sq_schema_prepare);
}

static int engine_wipe(struct meta_engine *base)
{
    return on_writer(base, sq_schema_wipe);
}

/* As SQLite reads it itself before each transaction (walIndexTryHdr): while somebody writes it the copies differ. */
static bool engine_stamp(struct meta_engine *base, struct meta_stamp *out)
{
    const volatile uint64_t *header = engine_of(base)->index;
    bool same = header != NULL;
    for (size_t i = 0; same && i < SQ_INDEX_HEADER_WORDS; i++)
        out->words[i] = header[i];
    atomic_thread_fence(memory_order_seq_cst);
    for (size_t i = 0; same && i < SQ_INDEX_HEADER_WORDS; i++)
        same = header[SQ_INDEX_HEADER_WORDS + i] == out->words[i];
    return same;
}

static int engine_sync(struct meta_engine *base)
{
    struct sq_engine *e = engine_of(base);
    struct meta_stamp now = {.known = false};
    if (!e->sync)
        return 0;
    now.known = engine_stamp(base, &now);
    mutex_lock(&e->lock);
    const bool is_synced = meta_stamp_eq(&e->synced, &now);
    mutex_unlock(&e->lock);
    int rc = is_synced ? 0 : sq_sync_wait(e->sync);
    if (rc < 0)
        return rc;
    mutex_lock(&e->lock);
    e->synced = now;
    mutex_unlock(&e->lock);
    return 0;
}

/* Transactions */

static size_t reader_free(const struct sq_engine *e)
{
    size_t i = 0;
    while (i < READERS_MAX && e->in_use[i])
        i++;
    return i;
}

static struct sq_txn *reader_take(struct sq_engine *e)
{
    mutex_lock(&e->lock);
    size_t i;
    while ((i = reader_free(e)) == READERS_MAX)
        cond_wait(&e->returned, &e->lock);
    e->in_use[i] = true;
    mutex_unlock(&e->lock);
    return &e->readers[i];
}

static void reader_return(struct sq_engine *e, const struct sq_txn *t)
{
    mutex_lock(&e->lock);
    e->in_use[t - e->readers] = false;
    cond_signal(&e->returned);
    mutex_unlock(&e->lock);
}

static int begin_read(struct sq_engine *e, struct meta_txn **out)
{
    struct sq_txn *t = reader_take(e);
    const char *error;
    int rc = t->conn ? 0 : connect_as(e, META_TXN_READ, t, &error);
    if (rc >= 0)
        rc = sq_run(t->conn, "BEGIN", SQ_NONE);
    if (rc < 0) {
        reader_return(e, t);
        return rc;
    }
    *out = &t->base;
    return 0;
}

/* IMMEDIATE: what it reads is then still so when it writes, and nobody else is in the way from here on. */
static int begin_write(struct sq_engine *e, struct meta_txn **out)
{
    if (e->config.read_only)
        return -EROFS;
    mutex_lock(&e->writing);
    int rc = sq_run(e->writer.conn, "BEGIN IMMEDIATE", SQ_NONE);
    if (rc < 0) {
        mutex_unlock(&e->writing);
        return rc;
    }
    e->writer.base.lazy = false;
    *out = &e->writer.base;
    return 0;
}

static int txn_begin(struct meta_engine *base, enum meta_txn_mode mode, struct meta_txn **out)
{
    return mode == META_TXN_WRITE ? begin_write(engine_of(base), out) : begin_read(engine_of(base), out);
}

static void leave(struct sq_txn *t)
{
    if (t->mode == META_TXN_WRITE)
        mutex_unlock(&t->engine->writing);
    else
        reader_return(t->engine, t);
}

static void txn_abort(struct meta_txn *base)
{
    struct sq_txn *t = container_of(base, struct sq_txn, base);
    int rc = sq_run(t->conn, "ROLLBACK", SQ_NONE);
    (void)rc; /* fails when SQLite has undone it by itself */
    leave(t);
}

/* The disk is waited for without the writing connection. */
static int txn_commit(struct meta_txn *base)
{
    struct sq_txn *t = container_of(base, struct sq_txn, base);
    const bool waits = t->mode == META_TXN_WRITE && !base->lazy && !t->engine->lazy;
    struct sq_sync *sync = waits ? t->engine->sync : NULL;
    int rc = sq_run(t->conn, "COMMIT", SQ_NONE);
    if (rc < 0) {
        txn_abort(base);
        return rc;
    }
    leave(t);
    return sync ? sq_sync_wait(sync) : 0;
}

/* Helpers of the operations */

int sq_each(struct meta_txn *t, const char *sql, struct sq_args args, sq_row_fn fn, void *arg)
{
    struct sq_rows rows;
    int rc = sq_start(sq_conn_of(t), sql, args, &rows);
    while (rc >= 0 && (rc = sq_next(&rows)) > 0 && (rc = fn(&rows, arg)) == 0)
        continue;
    sq_done(&rows);
    return rc;
}

int sq_value_get(struct meta_txn *t, const char *sql, struct sq_args args, struct buf *out)
{
    struct sq_rows row;
    int rc = sq_row(sq_conn_of(t), sql, args, &row);
    if (rc < 0)
        return rc;
    buf_add(out, sq_column_bytes(&row, 0));
    sq_done(&row);
    return out->failed ? -EIO : 0;
}

#define SQ_MEMBER(name) .name = sq_##name,
const struct meta_engine_ops meta_sqlite = {
    .scheme = "sqlite3",
    .open = engine_open,
    .close = engine_close,
    .prepare = engine_prepare,
    .wipe = engine_wipe,
    .sync = engine_sync,
    .stamp = engine_stamp,
    .begin = txn_begin,
    .commit = txn_commit,
    .abort = txn_abort,
    SQ_OPERATIONS(SQ_MEMBER)
};
#undef SQ_MEMBER
_Static_assert(sizeof((struct meta_stamp){0}.words) == SQ_INDEX_HEADER_WORDS * sizeof(uint64_t), "a stamp is that header");
