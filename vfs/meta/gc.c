#include "vfs/meta/gc.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "vfs/meta/upkeep.h"

#define HOUR_S 3600
#define DAY_S (24 * HOUR_S)
#define BATCH 1000

/* Pending */

static int count_file(void *arg, meta_ino ino, uint64_t length, int64_t deleted_s)
{
    struct meta_pending *p = arg;
    (void)ino;
    (void)deleted_s;
    p->files++;
    p->file_bytes += length;
    return 0;
}

static int count_delayed(void *arg, uint64_t id, int64_t deleted_s, struct str slices)
{
    struct meta_pending *p = arg;
    struct meta_slice *list = NULL;
    size_t count = 0;
    (void)id;
    (void)deleted_s;
    if (meta_delayed_parse(slices, &list, &count) < 0)
        return 0; /* fsck tells */
    p->delayed += count;
    for (size_t i = 0; i < count; i++)
        p->delayed_bytes += list[i].size;
    free(list);
    return 0;
}

static int count_garbage(void *arg, uint64_t id, uint32_t size, int64_t refs)
{
    struct meta_pending *p = arg;
    (void)id;
    (void)refs;
    p->garbage++;
    p->garbage_bytes += size;
    return 0;
}

static int pending_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct meta_pending *p = arg;
    (void)m;
    *p = (struct meta_pending){0};
    int rc = META_DO(t, delfile_scan, INT64_MAX, 0, count_file, p);
    if (rc == 0)
        rc = META_DO(t, delslices_scan, INT64_MAX, 0, count_delayed, p);
    return rc == 0 ? META_DO(t, ref_scan_garbage, 0, 0, count_garbage, p) : rc;
}

int meta_pending(struct meta *m, struct meta_pending *out)
{
    struct meta_pending p;
    int rc = meta_transact(m, META_TXN_READ, pending_txn, &p);
    if (rc == 0)
        *out = p;
    return rc;
}

/* Duties. An hour of the trash is over when all that went into it is old enough. Whoever still reads a deleted file through another
 * gateway has as long as there. */
void meta_run_duties(struct meta *m, struct job *job)
{
    const int64_t now_s = clock_wall_s(), days = meta_features(m).trash_days;
    CHECK(!m->duties);
    m->job = job;
    meta_trash_expire(m, now_s - days * DAY_S - HOUR_S);
    meta_reclaim_detached(m, now_s - DAY_S);
    meta_reclaim_deleted_files(m, now_s - LIMIT_META_RECLAIM_DELAY_MS / 1000);
    meta_reclaim_delayed(m, now_s - days * DAY_S);
    m->job = NULL;
}

void meta_run_garbage(struct meta *m, struct job *job)
{
    CHECK(!m->duties);
    m->job = job;
    meta_reclaim_garbage(m);
    m->job = NULL;
}

/* Compaction: some chunks at a time are noted, then rewritten by all threads. */

struct chunk_at {
    meta_ino ino;
    uint32_t indx;
};

struct compacting {
    struct meta *m;
    struct job *job;
    meta_ino after, inside;
    uint64_t next_indx;
    bool full;
    struct chunk_at chunks[BATCH];
    meta_ino last;
    size_t count;
    atomic_size_t next;
    atomic_uint_least64_t rewritten, failed;
};

static int note_chunk(void *arg, meta_ino ino, uint32_t indx, struct str records)
{
    struct compacting *k = arg;
    if (k->count == BATCH) {
        k->full = true;
        return 1;
    }
    k->last = ino;
    if (records.len > META_SLICE_RECORD)
        k->chunks[k->count++] = (struct chunk_at){ino, indx};
    return 0;
}

static int note_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct compacting *k = arg;
    (void)m;
    k->count = 0;
    k->full = false;
    k->last = 0;
    int rc = k->inside ? META_DO(t, chunk_scan, k->inside, (uint32_t)k->next_indx, UINT32_MAX, false, note_chunk, k)
                       : META_DO(t, chunk_scan_all, k->after, BATCH, note_chunk, k);
    return rc < 0 ? rc : 0;
}

static bool advance(struct compacting *k)
{
    const struct chunk_at *last = k->count > 0 ? &k->chunks[k->count - 1] : NULL;
    if (k->full && last->indx < UINT32_MAX) {
        k->inside = last->ino;
        k->next_indx = (uint64_t)last->indx + 1;
        return true;
    }
    k->after = k->inside ? k->inside : k->last;
    bool more = k->inside || k->last > 0;
    k->inside = 0;
    return more;
}

static void *compact_some(void *arg)
{
    struct compacting *k = arg;
    for (size_t i; !job_stopped(k->job) && (i = atomic_fetch_add(&k->next, 1)) < k->count;) {
        int rc = meta_compact_chunk(k->m, k->chunks[i].ino, k->chunks[i].indx);
        atomic_fetch_add(rc < 0 ? &k->failed : &k->rewritten, 1);
        job_add(k->job, 1);
    }
    return NULL;
}

static void compact_batch(struct compacting *k, uint32_t threads)
{
    pthread_t *ids = calloc(threads, sizeof(*ids));
    CHECK(ids != NULL); /* out of memory */
    k->next = 0;
    for (uint32_t i = 0; i < threads; i++)
        thread_start(&ids[i], "compact", compact_some, k);
    for (uint32_t i = 0; i < threads; i++)
        CHECK(pthread_join(ids[i], NULL) == 0);
    free(ids);
}

int meta_compact_all(struct meta *m, uint32_t threads, struct job *job, struct meta_compacted *out)
{
    struct compacting *k = calloc(1, sizeof(*k));
    CHECK(k != NULL); /* out of memory */
    k->m = m;
    k->job = job;
    *out = (struct meta_compacted){0};
    job_phase(job, "rewriting chunks", JOB_COUNT, 0);
    int rc = 0;
    bool more = true;
    while (rc == 0 && more) {
        rc = job_stopped(job) ? -ECANCELED : meta_transact(m, META_TXN_READ, note_txn, k);
        if (rc < 0)
            break;
        out->chunks += k->count;
        if (k->count > 0)
            compact_batch(k, threads);
        more = advance(k);
    }
    out->rewritten = k->rewritten;
    out->failed = k->failed;
    free(k);
    return rc;
}
