/* Compaction: the records at the beginning of a long list become one slice (§3.9). Writers append only, so a prefix that is
 * still what was read can be replaced whatever came behind it meanwhile. */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "vfs/meta/upkeep.h"

struct compact_job {
    meta_ino ino;
    uint32_t indx;
    struct meta_slice *list; /* what was read: the first LIMIT_META_COMPACT_RECORDS */
    size_t count;
    struct meta_compaction plan;
    uint64_t id;    /* of the new slice */
    bool delayed;   /* the volume has a trash: old slices are readable for as long */
    bool outdated;  /* the list begins otherwise now */
};

static int read_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct compact_job *j = arg;
    free(j->list);
    j->list = NULL;
    j->count = 0;
    return meta_chunk_list(t, j->ino, j->indx, false, &j->list, &j->count);
}

static bool begins_as_read(const struct compact_job *j, const struct meta_slice *list, size_t count)
{
    bool same = count >= j->count;
    for (size_t i = 0; same && i < j->count; i++) {
        const struct meta_slice *a = &list[i], *b = &j->list[i];
        same = a->pos == b->pos && a->id == b->id && a->size == b->size && a->off == b->off && a->len == b->len;
    }
    return same;
}

static void add_be(struct buf *out, uint64_t value, size_t size)
{
    for (size_t i = size; i-- > 0;)
        buf_addc(out, (char)(uint8_t)(value >> (8 * i)));
}

/* The slices of the records that go. */
static const struct meta_slice *replaced(const struct compact_job *j, size_t *count)
{
    *count = j->count - j->plan.skipped;
    return j->list + j->plan.skipped;
}

static int put_off(struct meta_txn *t, const struct compact_job *j)
{
    size_t count;
    const struct meta_slice *old = replaced(j, &count);
    struct buf slices = buf_make(LIMIT_META_CHUNK_BYTES);
    for (size_t i = 0; i < count; i++) {
        if (old[i].id == 0)
            continue;
        add_be(&slices, old[i].id, 8);
        add_be(&slices, old[i].size, 4);
    }
    int rc = slices.len > 0 ? META_DO(t, delslices_insert, j->id, clock_wall_s(), buf_str(&slices)) : 0;
    buf_done(&slices);
    return rc;
}

static int rewrite(struct meta_txn *t, const struct compact_job *j)
{
    const struct meta_slice new_slice = {j->plan.pos, j->id, j->plan.size, 0, j->plan.size};
    struct buf records = buf_make(LIMIT_META_CHUNK_BYTES);
    size_t count;
    const struct meta_slice *old = replaced(j, &count);
    for (size_t i = 0; i < j->plan.skipped; i++)
        meta_slice_add(&records, &j->list[i]);
    meta_slice_add(&records, &new_slice);
    int rc = META_DO(t, chunk_rewrite, j->ino, j->indx, (uint32_t)j->count, buf_str(&records));
    buf_done(&records);
    if (rc == 0)
        rc = META_DO(t, ref_insert, j->id, j->plan.size, 1);
    if (rc == 0)
        rc = j->delayed ? put_off(t, j) : meta_refs_drop(t, old, count);
    return rc;
}

static int rewrite_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct compact_job *j = arg;
    struct meta_slice *list = NULL;
    size_t count = 0;
    int rc = meta_chunk_list(t, j->ino, j->indx, true, &list, &count);
    j->outdated = rc == 0 && !begins_as_read(j, list, count);
    if (rc == 0)
        rc = j->outdated ? -ESTALE : rewrite(t, j);
    free(list);
    return rc;
}

/* Nobody will see the new slice: it is garbage like others. */
static int discard_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct compact_job *j = arg;
    return META_DO(t, ref_insert, j->id, j->plan.size, 0);
}

static int discard(struct meta *m, struct compact_job *j)
{
    const struct meta_slice unused = {.id = j->id, .size = j->plan.size};
    int rc = meta_transact(m, META_TXN_WRITE, discard_txn, j);
    if (rc == 0)
        meta_refs_reclaim(m, &unused, 1);
    return rc;
}

static int run(struct meta *m, struct compact_job *j)
{
    int rc = meta_new_slice(m, &j->id);
    if (rc == 0)
        rc = m->compact_slice(m->data_arg, j->plan.pieces, j->plan.piece_count, j->id);
    if (rc < 0)
        return rc; /* what was written of the slice, `gc` finds: its id is in no list */
    rc = meta_transact(m, META_TXN_WRITE, rewrite_txn, j);
    if (rc == -ESTALE)
        return discard(m, j);
    if (rc == 0 && !j->delayed) {
        size_t count;
        const struct meta_slice *old = replaced(j, &count);
        meta_refs_reclaim(m, old, count);
    }
    return rc;
}

int meta_compact_chunk(struct meta *m, meta_ino ino, uint32_t indx)
{
    struct compact_job j = {.ino = ino, .indx = indx, .delayed = meta_features(m).trash_days > 0};
    if (!m->compact_slice)
        return 0;
    int rc = meta_transact(m, META_TXN_READ, read_txn, &j);
    if (j.count > LIMIT_META_COMPACT_RECORDS)
        j.count = LIMIT_META_COMPACT_RECORDS;
    if (rc == 0 && meta_slices_plan(j.list, j.count, &j.plan))
        rc = run(m, &j);
    log_debug("meta_compact", "ino=%llu chunk=%u records=%zu rc=%d", (unsigned long long)ino, indx, j.count, rc);
    free(j.plan.pieces);
    free(j.list);
    return rc;
}
