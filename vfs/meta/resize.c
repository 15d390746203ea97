/* Truncation and holes: records of zeros, on growth as well as on shrinking, since data behind the end stays stored until it
 * is compacted away (§7.14, §7.15). */
#include "base/check.h"
#include "base/limits.h"
#include "vfs/meta/upkeep.h"

static uint32_t chunk_of(uint64_t off)
{
    return (uint32_t)(off >> META_CHUNK_BITS);
}

static uint32_t pos_in(uint64_t off)
{
    return (uint32_t)(off & (META_CHUNK_SIZE - 1));
}

struct resize {
    const struct meta_ctx *ctx;
    meta_ino ino;
    uint64_t length;
    bool open_for_write;
    struct meta_attr attr;
    struct meta_growth growth;
};

static int collect_index(void *arg, meta_ino ino, uint32_t indx, struct str records)
{
    (void)ino;
    (void)records;
    buf_add(arg, str_of((const char *)&indx, sizeof(indx)));
    return 0;
}

/* Chunks between the first and the last get a record only when they are there: the others are holes anyway. */
static int zero_between(struct meta_txn *t, meta_ino ino, const struct buf *indexes)
{
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < indexes->len; at += sizeof(uint32_t)) {
        uint32_t indx;
        memcpy(&indx, indexes->ptr + at, sizeof(indx));
        rc = meta_chunk_zero(t, ino, indx, 0, META_CHUNK_SIZE);
    }
    return rc;
}

/* What lay in [left, right) reads as zeros from now on. */
static int zero_resized(struct meta_txn *t, meta_ino ino, uint64_t left, uint64_t right, const struct buf *between)
{
    uint64_t first_end = ((uint64_t)chunk_of(left) + 1) << META_CHUNK_BITS;
    uint64_t stop = right < first_end ? right : first_end;
    int rc = meta_chunk_zero(t, ino, chunk_of(left), pos_in(left), (uint32_t)(stop - left));
    if (rc == 0)
        rc = zero_between(t, ino, between);
    if (rc == 0 && right > first_end && pos_in(right) > 0)
        rc = meta_chunk_zero(t, ino, chunk_of(right), 0, pos_in(right));
    return rc;
}

static int write_resized(struct meta_txn *t, struct resize *r, uint64_t old)
{
    uint64_t left = old < r->length ? old : r->length, right = old < r->length ? r->length : old;
    struct buf between = buf_make(LIMIT_META_FILE_CHUNKS * sizeof(uint32_t));
    int rc = 0;
    if (chunk_of(right) - chunk_of(left) > 1)
        rc = META_DO(t, chunk_scan, r->ino, chunk_of(left) + 1, chunk_of(right) - 1, true, collect_index, &between);
    if (rc == 0 && between.failed)
        rc = -EFBIG;
    if (rc == 0)
        rc = zero_resized(t, r->ino, left, right, &between);
    buf_done(&between);
    r->attr.mtime = r->attr.ctime = meta_now();
    return rc == 0 ? META_DO(t, node_put, r->ino, &r->attr) : rc;
}

static int truncate_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct resize *r = arg;
    meta_growth_begin(&r->growth);
    int rc = meta_file_get(t, r->ino, META_FLAG_IMMUTABLE | META_FLAG_APPEND, &r->attr);
    if (rc == 0 && !r->open_for_write && meta_in_trash(&r->attr))
        rc = -EPERM;
    if (rc == 0 && !r->open_for_write)
        rc = meta_check_access(t, r->ctx, &r->attr, META_ACCESS_W);
    uint64_t old = rc == 0 ? r->attr.length : 0;
    if (rc < 0 || old == r->length)
        return rc;
    rc = meta_growth_read(t, r->ino, &r->attr, r->length, &r->growth);
    return rc == 0 ? write_resized(t, r, old) : rc;
}

static int finish(struct meta *m, struct meta_growth *g, int rc)
{
    if (rc == 0)
        meta_growth_apply(m, g);
    meta_growth_done(g);
    return rc;
}

int meta_truncate(struct meta *m, const struct meta_ctx *ctx, meta_ino ino, uint64_t length, bool open_for_write,
                  struct meta_attr *out)
{
    struct resize r = {.ctx = ctx, .ino = ino, .length = length, .open_for_write = open_for_write};
    if (length >= LIMIT_META_FILE_BYTES)
        return -EFBIG;
    int rc = meta_growth_check(m, ino, length);
    if (rc == 0)
        rc = meta_transact(m, META_TXN_WRITE, truncate_txn, &r);
    if (rc == 0 && out)
        *out = r.attr;
    return finish(m, &r.growth, rc);
}

/* fallocate */

struct allocation {
    meta_ino ino;
    unsigned mode;
    uint64_t off, size;
    struct meta_growth growth;
};

/* Chunks that are not there are holes already: there may be millions of them in the range. */
static int zero_range(struct meta_txn *t, meta_ino ino, uint64_t off, uint64_t end)
{
    struct buf there = buf_make(LIMIT_META_FILE_CHUNKS * sizeof(uint32_t));
    int rc = off < end ? META_DO(t, chunk_scan, ino, chunk_of(off), chunk_of(end - 1), true, collect_index, &there) : 0;
    if (rc == 0 && there.failed)
        rc = -EFBIG;
    for (size_t at = 0; rc == 0 && at < there.len; at += sizeof(uint32_t)) {
        uint32_t indx;
        memcpy(&indx, there.ptr + at, sizeof(indx));
        const uint64_t start = indx * META_CHUNK_SIZE, stop = start + META_CHUNK_SIZE;
        const uint64_t from = off > start ? off : start, to = end < stop ? end : stop;
        rc = meta_chunk_zero(t, ino, indx, pos_in(from), (uint32_t)(to - from));
    }
    buf_done(&there);
    return rc;
}

static int allocate_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct allocation *a = arg;
    struct meta_attr attr;
    const bool zeroes = a->mode & (META_FALLOC_PUNCH_HOLE | META_FALLOC_ZERO_RANGE);
    const uint64_t end = a->off + a->size;
    meta_growth_begin(&a->growth);
    int rc = meta_file_get(t, a->ino, META_FLAG_IMMUTABLE | (zeroes ? META_FLAG_APPEND : 0), &attr);
    if (rc < 0)
        return rc;
    const uint64_t old = attr.length;
    if (end > old && !(a->mode & META_FALLOC_KEEP_SIZE))
        rc = meta_growth_read(t, a->ino, &attr, end, &a->growth);
    if (rc == 0 && zeroes)
        rc = zero_range(t, a->ino, a->off, end < old ? end : old);
    attr.mtime = attr.ctime = meta_now();
    return rc == 0 ? META_DO(t, node_put, a->ino, &attr) : rc;
}

int meta_fallocate(struct meta *m, meta_ino ino, unsigned mode, uint64_t off, uint64_t size)
{
    const unsigned known = META_FALLOC_KEEP_SIZE | META_FALLOC_PUNCH_HOLE | META_FALLOC_ZERO_RANGE;
    struct allocation a = {.ino = ino, .mode = mode, .off = off, .size = size};
    if (mode & ~known)
        return -ENOTSUP;
    if (size == 0 || ((mode & META_FALLOC_PUNCH_HOLE) && !(mode & META_FALLOC_KEEP_SIZE)))
        return -EINVAL;
    if (off >= LIMIT_META_FILE_BYTES || size >= LIMIT_META_FILE_BYTES - off)
        return -EFBIG;
    int rc = mode & META_FALLOC_KEEP_SIZE ? 0 : meta_growth_check(m, ino, off + size);
    if (rc == 0)
        rc = meta_transact(m, META_TXN_WRITE, allocate_txn, &a);
    return finish(m, &a.growth, rc);
}
