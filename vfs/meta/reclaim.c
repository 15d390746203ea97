/* Data that nobody needs any more: deleted files, slices without references, slices put off by compaction, old trash. Every
 * client of a volume may do this work; what one leaves undone, another finds (§3.7, §3.8, §7.20). */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "vfs/meta/upkeep.h"

int meta_refs_drop(struct meta_txn *t, const struct meta_slice *list, size_t count)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (list[i].id > 0)
            rc = META_DO(t, ref_add, list[i].id, list[i].size, -1);
    return rc;
}

struct slice_ref {
    uint64_t id;
    uint32_t size;
    int64_t refs;
};

static int ref_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct slice_ref *r = arg;
    return META_DO(t, ref_get, r->id, r->size, &r->refs);
}

static int forget_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct slice_ref *r = arg;
    t->lazy = true; /* who finds it again deletes again */
    return META_DO(t, ref_delete, r->id, r->size);
}

/* The record goes last: while it is there, somebody will try again. That nobody needs the slice any more is made durable first:
 * a loss of power must not bring back who does. */
static void delete_slice(struct meta *m, struct slice_ref r)
{
    if (!m->delete_slice || meta_sync(m) < 0 || m->delete_slice(m->data_arg, r.id, r.size) < 0)
        return;
    if (meta_transact(m, META_TXN_WRITE, forget_txn, &r) < 0)
        log_debug("meta_slice_kept", "id=%llu", (unsigned long long)r.id);
}

void meta_refs_reclaim(struct meta *m, const struct meta_slice *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct slice_ref r = {list[i].id, list[i].size, 0};
        if (r.id > 0 && meta_transact(m, META_TXN_READ, ref_txn, &r) == 0 && r.refs <= 0)
            delete_slice(m, r);
    }
}

/* Files */

struct drop {
    meta_ino ino;
    uint32_t indx;
    uint64_t length; /* of the file, for its record */
    struct meta_slice *list;
    size_t count;
};

/* What a list that cannot be read mentions, stays counted: `gc` finds those slices. The file would never go otherwise. */
static int read_dropped(struct meta_txn *t, struct drop *d)
{
    struct buf records = buf_make(LIMIT_META_SLICE_LIST_BYTES);
    int rc = META_DO(t, chunk_get, d->ino, d->indx, true, &records);
    if (rc == 0 && meta_slices_parse(buf_str(&records), &d->list, &d->count) < 0)
        log_debug("meta_chunk_unreadable", "ino=%llu chunk=%u", (unsigned long long)d->ino, d->indx);
    buf_done(&records);
    return rc;
}

static int drop_chunk_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct drop *d = arg;
    free(d->list);
    d->list = NULL;
    d->count = 0;
    int rc = read_dropped(t, d);
    if (rc == -ENOENT) /* another client was faster */
        return 0;
    if (rc == 0)
        rc = meta_refs_drop(t, d->list, d->count);
    return rc == 0 ? META_DO(t, chunk_delete, d->ino, d->indx) : rc;
}

static int drop_chunk(struct meta *m, meta_ino ino, uint32_t indx)
{
    struct drop d = {.ino = ino, .indx = indx};
    int rc = meta_transact(m, META_TXN_WRITE, drop_chunk_txn, &d);
    if (rc == 0)
        meta_refs_reclaim(m, d.list, d.count);
    free(d.list);
    return rc;
}

struct find {
    meta_ino ino;
    bool found;
    uint32_t indx;
};

static int take_first(void *arg, meta_ino ino, uint32_t indx, struct str records)
{
    (void)ino;
    (void)records;
    struct find *f = arg;
    f->found = true;
    f->indx = indx;
    return 1;
}

static int find_chunk_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct find *f = arg;
    f->found = false;
    return META_DO(t, chunk_scan, f->ino, 0, UINT32_MAX, false, take_first, f);
}

static int forget_file_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct drop *d = arg;
    return META_DO(t, delfile_delete, d->ino, d->length);
}

int meta_reclaim_file(struct meta *m, meta_ino ino, uint64_t length)
{
    struct find f = {.ino = ino, .found = true};
    struct drop d = {.ino = ino, .length = length};
    int rc = 0;
    while (rc >= 0 && f.found) {
        if (meta_duties_stopping(m))
            return -ECANCELED;
        rc = meta_transact(m, META_TXN_READ, find_chunk_txn, &f);
        if (rc >= 0 && f.found)
            rc = drop_chunk(m, ino, f.indx);
    }
    return rc < 0 ? rc : meta_transact(m, META_TXN_WRITE, forget_file_txn, &d);
}

void meta_delete_file_data(struct meta *m, meta_ino ino, uint64_t length)
{
    if (meta_duties_delete_file(m, ino, length))
        return;
    if (!m->session && meta_reclaim_file(m, ino, length) < 0)
        log_debug("meta_file_data_kept", "ino=%llu", (unsigned long long)ino);
}

/* Lists of what is to do are taken in batches: callbacks must not use the transaction, and volumes may hold millions. */

#define BATCH 1000

struct batch {
    int64_t before_s;
    uint64_t after;
    size_t count;
    struct {
        uint64_t id; /* or an inode */
        int64_t value; /* length; time */
        uint32_t size;
    } items[BATCH];
};

static int add_file(void *arg, meta_ino ino, uint64_t length, int64_t deleted_s)
{
    (void)deleted_s;
    struct batch *b = arg;
    b->items[b->count].id = ino;
    b->items[b->count++].value = (int64_t)length;
    return b->count == BATCH;
}

static int files_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct batch *b = arg;
    b->count = 0;
    return META_DO(t, delfile_scan, b->before_s, BATCH, add_file, b);
}

void meta_reclaim_deleted_files(struct meta *m, int64_t before_s)
{
    struct batch b = {.before_s = before_s, .count = BATCH};
    size_t done = 1;
    while (b.count == BATCH && done > 0 && !meta_duties_stopping(m)) {
        if (meta_transact(m, META_TXN_READ, files_txn, &b) < 0)
            return;
        done = 0;
        for (size_t i = 0; i < b.count; i++)
            done += meta_reclaim_file(m, b.items[i].id, (uint64_t)b.items[i].value) == 0;
    }
}

static int add_garbage(void *arg, uint64_t id, uint32_t size, int64_t refs)
{
    (void)refs;
    struct batch *b = arg;
    b->items[b->count].id = id;
    b->items[b->count++].size = size;
    return b->count == BATCH;
}

static int garbage_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct batch *b = arg;
    b->count = 0;
    return META_DO(t, ref_scan_garbage, b->after, BATCH, add_garbage, b);
}

void meta_reclaim_garbage(struct meta *m)
{
    struct batch b = {.count = BATCH};
    while (b.count == BATCH && !meta_duties_stopping(m)) {
        if (meta_transact(m, META_TXN_READ, garbage_txn, &b) < 0)
            return;
        for (size_t i = 0; i < b.count; i++) {
            b.after = b.items[i].id;
            delete_slice(m, (struct slice_ref){b.items[i].id, b.items[i].size, 0});
        }
    }
}

/* Slices put off */

struct delayed {
    uint64_t id;
    int64_t deleted_s;
    struct meta_slice *list;
    size_t count;
};

static int delayed_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct delayed *d = arg;
    struct buf bytes = buf_make(LIMIT_META_CHUNK_BYTES);
    free(d->list);
    d->list = NULL;
    d->count = 0;
    int rc = META_DO(t, delslices_get, d->id, d->deleted_s, true, &bytes);
    if (rc == 0)
        rc = meta_delayed_parse(buf_str(&bytes), &d->list, &d->count);
    buf_done(&bytes);
    if (rc == -ENOENT) /* another client was faster */
        return 0;
    if (rc == 0)
        rc = meta_refs_drop(t, d->list, d->count);
    return rc == 0 ? META_DO(t, delslices_delete, d->id, d->deleted_s) : rc;
}

static bool reclaim_delayed(struct meta *m, uint64_t id, int64_t deleted_s)
{
    struct delayed d = {.id = id, .deleted_s = deleted_s};
    int rc = meta_transact(m, META_TXN_WRITE, delayed_txn, &d);
    if (rc == 0)
        meta_refs_reclaim(m, d.list, d.count);
    free(d.list);
    return rc == 0;
}

static int add_delayed(void *arg, uint64_t id, int64_t deleted_s, struct str slices)
{
    (void)slices;
    struct batch *b = arg;
    b->items[b->count].id = id;
    b->items[b->count++].value = deleted_s;
    return b->count == BATCH;
}

static int delayed_list_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct batch *b = arg;
    b->count = 0;
    return META_DO(t, delslices_scan, b->before_s, BATCH, add_delayed, b);
}

void meta_reclaim_delayed(struct meta *m, int64_t before_s)
{
    struct batch b = {.before_s = before_s, .count = BATCH};
    size_t done = 1;
    while (b.count == BATCH && done > 0 && !meta_duties_stopping(m)) {
        if (meta_transact(m, META_TXN_READ, delayed_list_txn, &b) < 0)
            return;
        done = 0;
        for (size_t i = 0; i < b.count; i++)
            done += reclaim_delayed(m, b.items[i].id, b.items[i].value);
    }
}
