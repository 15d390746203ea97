/* Chunks: reading their slices, committing new ones (§7.12, §7.13). */
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "vfs/meta/upkeep.h"

int meta_file_get(struct meta_txn *t, meta_ino ino, unsigned forbidden_flags, struct meta_attr *out)
{
    int rc = META_DO(t, node_get, ino, true, out);
    if (rc == 0 && (out->type != META_FILE || (out->flags & forbidden_flags)))
        rc = -EPERM;
    if (rc == 0)
        meta_lazy_when_nameless(t, out);
    return rc;
}

int meta_chunk_list(struct meta_txn *t, meta_ino ino, uint32_t indx, bool lock, struct meta_slice **out, size_t *out_count)
{
    struct buf records = buf_make(LIMIT_META_CHUNK_BYTES);
    int rc = META_DO(t, chunk_get, ino, indx, lock, &records);
    if (rc == -ENOENT)
        rc = 0;
    if (rc == 0)
        rc = records.failed ? -EIO : meta_slices_parse(buf_str(&records), out, out_count);
    buf_done(&records);
    return rc;
}

static int append(struct meta_txn *t, meta_ino ino, uint32_t indx, const struct meta_slice *s)
{
    char memory[META_SLICE_RECORD + 1];
    struct buf record = buf_over(memory, sizeof(memory));
    meta_slice_add(&record, s);
    return META_DO(t, chunk_append, ino, indx, buf_str(&record));
}

int meta_chunk_add(struct meta_txn *t, meta_ino ino, uint32_t indx, const struct meta_slice *s)
{
    int rc = append(t, ino, indx, s);
    return rc < 0 ? rc : META_DO(t, ref_insert, s->id, s->size, 1);
}

int meta_chunk_zero(struct meta_txn *t, meta_ino ino, uint32_t indx, uint32_t pos, uint32_t len)
{
    CHECK(len > 0 && (uint64_t)pos + len <= META_CHUNK_SIZE);
    return append(t, ino, indx, &(struct meta_slice){.pos = pos, .len = len});
}

/* Reading */

struct read {
    meta_ino ino;
    uint32_t indx;
    struct meta_slice *list;
    size_t count;
};

static int read_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct read *r = arg;
    struct meta_attr attr;
    free(r->list);
    r->list = NULL;
    int rc = meta_chunk_list(t, r->ino, r->indx, false, &r->list, &r->count);
    if (rc == 0 && r->count == 0) { /* a hole, or no file at all */
        rc = META_DO(t, node_get, r->ino, false, &attr);
        if (rc == 0 && attr.type != META_FILE)
            rc = -EPERM;
    }
    return rc;
}

/* A list that reading shows to be long is rewritten, as official clients do (§3.9). */
static void want_compaction(struct meta *m, meta_ino ino, uint32_t indx, size_t records, size_t pieces)
{
    if (records >= LIMIT_META_READ_RECORDS || pieces >= LIMIT_META_READ_RECORDS)
        (void)meta_duties_compact(m, ino, indx); /* no thread for it: others will */
}

int meta_read_chunk(struct meta *m, meta_ino ino, uint32_t indx, struct meta_slice **out, size_t *out_count)
{
    struct read r = {.ino = ino, .indx = indx};
    int rc = meta_transact(m, META_TXN_READ, read_txn, &r);
    if (rc < 0 || r.count == 0) {
        free(r.list);
        if (rc >= 0) {
            *out = NULL;
            *out_count = 0;
        }
        return rc;
    }
    struct meta_slice *pieces = malloc(2 * r.count * sizeof(*pieces));
    CHECK(pieces != NULL); /* out of memory */
    *out_count = meta_slices_resolve(r.list, r.count, pieces);
    *out = pieces;
    want_compaction(m, ino, indx, r.count, *out_count);
    free(r.list);
    return 0;
}

/* Writing */

int meta_new_slice(struct meta *m, uint64_t *out_id)
{
    return meta_take_id(m, &m->slice_ids, "nextChunk", META_SLICE_BATCH, out_id);
}

struct write {
    meta_ino ino;
    uint32_t indx;
    struct meta_slice slice;
    struct timespec mtime;
    size_t records; /* of the chunk, afterwards */
    struct meta_growth growth;
};

static uint64_t end_of(const struct write *w)
{
    return w->indx * META_CHUNK_SIZE + w->slice.pos + w->slice.len;
}

static int count_records(struct meta_txn *t, meta_ino ino, uint32_t indx, size_t *out)
{
    struct buf records = buf_make(LIMIT_META_CHUNK_BYTES);
    int rc = META_DO(t, chunk_get, ino, indx, true, &records);
    *out = records.len / META_SLICE_RECORD;
    buf_done(&records);
    return rc == -ENOENT ? 0 : rc;
}

static int write_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct write *w = arg;
    struct meta_attr attr;
    meta_growth_begin(&w->growth);
    int rc = meta_file_get(t, w->ino, 0, &attr);
    if (rc == 0)
        rc = count_records(t, w->ino, w->indx, &w->records);
    if (rc == 0 && end_of(w) > attr.length)
        rc = meta_growth_read(t, w->ino, &attr, end_of(w), &w->growth);
    if (rc < 0)
        return rc;
    attr.ctime = meta_now();
    attr.mtime = w->mtime;
    rc = meta_chunk_add(t, w->ino, w->indx, &w->slice);
    if (rc == 0)
        rc = META_DO(t, node_put, w->ino, &attr);
    return rc;
}

/* Lists of many records slow every reader down; the longest ones hold the writer up until they are rewritten. */
static void compact_after_write(struct meta *m, const struct write *w)
{
    size_t n = w->records + 1;
    int rc = n >= LIMIT_META_CHUNK_RECORDS ? meta_compact_chunk(m, w->ino, w->indx) : 0;
    if (rc < 0) /* the write is done all the same */
        log_debug("meta_compact", "ino=%llu rc=%d", (unsigned long long)w->ino, rc);
    if (n < LIMIT_META_CHUNK_RECORDS && (n % 100 == 99 || n > 350))
        (void)meta_duties_compact(m, w->ino, w->indx);
}

int meta_write_slice(struct meta *m, meta_ino ino, uint32_t indx, uint32_t off, const struct meta_slice *slice,
                     const struct timespec *mtime)
{
    CHECK(slice->id > 0 && slice->len > 0);
    CHECK((uint64_t)slice->off + slice->len <= slice->size && (uint64_t)off + slice->len <= META_CHUNK_SIZE);
    struct write w = {.ino = ino, .indx = indx, .slice = *slice, .mtime = mtime ? *mtime : meta_now()};
    w.slice.pos = off;
    int rc = meta_growth_check(m, ino, end_of(&w));
    if (rc == 0)
        rc = meta_transact(m, META_TXN_WRITE, write_txn, &w);
    if (rc == 0) {
        meta_growth_apply(m, &w.growth);
        compact_after_write(m, &w);
    }
    meta_growth_done(&w.growth);
    return rc;
}
