/* What one client of the whole cluster does once an hour (§7.24): a counter holds the time of the last run, and who sets it
 * first does the work. */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "vfs/meta/upkeep.h"

#define HOUR_S 3600
#define DAY_S (24 * HOUR_S)
#define LEASE_S (HOUR_S * 9 / 10)
#define NAMES_MAX 1000

/* Names are gathered first: entries cannot be removed while they are listed. */
struct names {
    size_t count;
    struct {
        uint8_t type;
        uint8_t len;
        meta_ino ino;
        char text[META_NAME_MAX];
    } items[NAMES_MAX];
};

static int add_name(void *arg, const struct meta_entry *e)
{
    struct names *n = arg;
    if (n->count == NAMES_MAX || e->name.len > META_NAME_MAX)
        return 0;
    n->items[n->count].type = e->type;
    n->items[n->count].ino = e->ino;
    n->items[n->count].len = (uint8_t)e->name.len;
    memcpy(n->items[n->count++].text, e->name.ptr, e->name.len);
    return 0;
}

static struct str name_at(const struct names *n, size_t i)
{
    return str_of(n->items[i].text, n->items[i].len);
}

static struct names *names_new(void)
{
    struct names *n = calloc(1, sizeof(*n));
    CHECK(n != NULL); /* out of memory */
    return n;
}

static int list(struct meta *m, meta_ino dir, struct str after, struct names *out)
{
    const struct meta_edge_scan scan = {.parent = dir, .after = after, .limit = NAMES_MAX};
    out->count = 0;
    int rc = meta_readdir(m, NULL, &scan, add_name, out);
    return rc < 0 ? rc : 0;
}

static int remove_one(struct meta *m, meta_ino dir, const struct names *n, size_t i)
{
    if (n->items[i].type == META_DIRECTORY)
        return meta_rmdir(m, NULL, dir, name_at(n, i), META_SKIP_TRASH);
    return meta_unlink(m, NULL, dir, name_at(n, i), META_SKIP_TRASH, NULL);
}

/* Empties a sub-directory of the trash. true: nothing is left in it. */
static bool empty(struct meta *m, meta_ino dir)
{
    struct names *n = names_new();
    struct str after = STR_EMPTY;
    char last[META_NAME_MAX];
    bool all = true;
    do {
        if (list(m, dir, after, n) < 0) {
            all = false;
            break;
        }
        for (size_t i = 0; i < n->count && !meta_duties_stopping(m); i++)
            all = remove_one(m, dir, n, i) == 0 && all;
        if (n->count > 0) {
            memcpy(last, n->items[n->count - 1].text, n->items[n->count - 1].len);
            after = str_of(last, n->items[n->count - 1].len);
        }
    } while (n->count == NAMES_MAX && !meta_duties_stopping(m));
    free(n);
    return all && !meta_duties_stopping(m);
}

/* "2024-01-31-23", UTC; false: no such name. */
static bool hour_of(struct str name, int64_t *out_s)
{
    char text[] = "0000-00-00T00:00:00Z";
    int64_t ns;
    if (name.len != 13 || name.ptr[10] != '-')
        return false;
    memcpy(text, name.ptr, 13);
    text[10] = 'T';
    if (!clock_parse_iso8601(str_z(text), &ns))
        return false;
    *out_s = ns / 1000000000;
    return true;
}

void meta_trash_expire(struct meta *m, int64_t before_s)
{
    struct names *hours = names_new();
    int rc = list(m, META_TRASH, STR_EMPTY, hours);
    for (size_t i = 0; rc == 0 && i < hours->count && !meta_duties_stopping(m); i++) {
        int64_t hour_s;
        if (!hour_of(name_at(hours, i), &hour_s) || hour_s >= before_s || !empty(m, hours->items[i].ino))
            continue;
        if (meta_rmdir(m, NULL, META_TRASH, name_at(hours, i), META_SKIP_TRASH | META_TRASH_DUTY) < 0)
            log_debug("meta_trash_kept", "hour=%.*s", STR_ARG(name_at(hours, i)));
    }
    free(hours);
}

/* Clones that nobody finishes any more. */
struct detached {
    int64_t before_s;
    struct buf list; /* meta_ino each */
};

static int keep_detached(void *arg, meta_ino ino)
{
    struct detached *d = arg;
    buf_add(&d->list, str_of((const char *)&ino, sizeof(ino)));
    return d->list.failed ? -EFBIG : 0;
}

static int detached_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct detached *d = arg;
    buf_reset(&d->list);
    return META_DO(t, detached_scan, d->before_s, keep_detached, d);
}

void meta_reclaim_detached(struct meta *m, int64_t before_s)
{
    struct detached d = {before_s, buf_make(NAMES_MAX * sizeof(meta_ino))};
    int rc = meta_transact(m, META_TXN_READ, detached_txn, &d);
    for (size_t at = 0; (rc == 0 || rc == -EFBIG) && at < d.list.len && !meta_duties_stopping(m); at += sizeof(meta_ino)) {
        meta_ino ino;
        memcpy(&ino, d.list.ptr + at, sizeof(ino));
        if (meta_remove_detached(m, ino) < 0)
            log_debug("meta_detached_kept", "ino=%llu", (unsigned long long)ino);
    }
    buf_done(&d.list);
}

static bool is_ours(struct meta *m, const char *counter)
{
    return !meta_duties_stopping(m) && meta_lease_take(m, counter, LEASE_S) == 1;
}

void meta_hourly(struct meta *m)
{
    const int64_t now_s = clock_wall_s(), days = meta_features(m).trash_days;
    if (is_ours(m, "lastCleanupFiles"))
        meta_reclaim_deleted_files(m, now_s - HOUR_S);
    if (is_ours(m, "nextCleanupSlices"))
        meta_reclaim_garbage(m);
    if (is_ours(m, "lastCleanupTrash")) {
        meta_trash_expire(m, now_s - days * DAY_S - 2 * HOUR_S);
        meta_reclaim_delayed(m, now_s - days * DAY_S);
        meta_reclaim_detached(m, now_s - DAY_S);
    }
}
