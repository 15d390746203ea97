/* Copies by reference: the destination's chunks get records that show the source's slices (§7.16). */
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "vfs/meta/upkeep.h"

struct copy {
    meta_ino src, dst;
    uint64_t src_off, dst_off, size;
    uint64_t copied;
    struct meta_attr src_attr, dst_attr;
    struct meta_growth growth;
};

/* Everything is read before the first write: the pieces of the whole range, as `pos` relative to its start would not
 * fit, in the order of the file with absolute offsets. */
struct piece {
    uint64_t at; /* in the source */
    struct meta_slice slice;
};

static int add_pieces(const struct copy *c, uint32_t indx, const struct meta_slice *list, size_t count, struct buf *out)
{
    uint64_t start = indx * META_CHUNK_SIZE, end = c->src_off + c->copied;
    uint64_t from = c->src_off > start ? c->src_off - start : 0;
    uint64_t to = end - start < META_CHUNK_SIZE ? end - start : META_CHUNK_SIZE;
    struct meta_slice *pieces = malloc((4 * count + 1) * sizeof(*pieces));
    CHECK(pieces != NULL); /* out of memory */
    size_t n = meta_slices_cover(list, count, (uint32_t)from, (uint32_t)(to - from), pieces);
    for (size_t i = 0; i < n; i++) {
        const struct piece p = {start + pieces[i].pos, pieces[i]};
        buf_add(out, str_of((const char *)&p, sizeof(p)));
    }
    free(pieces);
    return out->failed ? -EFBIG : 0;
}

static int read_pieces(struct meta_txn *t, const struct copy *c, struct buf *out)
{
    uint64_t last = (c->src_off + c->copied - 1) >> META_CHUNK_BITS;
    int rc = 0;
    for (uint64_t indx = c->src_off >> META_CHUNK_BITS; rc == 0 && indx <= last; indx++) {
        struct meta_slice *list = NULL;
        size_t count = 0;
        rc = meta_chunk_list(t, c->src, (uint32_t)indx, true, &list, &count);
        if (rc == 0)
            rc = add_pieces(c, (uint32_t)indx, list, count, out);
        free(list);
    }
    return rc;
}

static int append_one(struct meta_txn *t, meta_ino ino, uint64_t at, struct meta_slice s)
{
    char memory[META_SLICE_RECORD + 1];
    struct buf record = buf_over(memory, sizeof(memory));
    s.pos = (uint32_t)(at & (META_CHUNK_SIZE - 1));
    if (s.id == 0)
        s.size = s.off = 0;
    meta_slice_add(&record, &s);
    int rc = META_DO(t, chunk_append, ino, (uint32_t)(at >> META_CHUNK_BITS), buf_str(&record));
    if (rc == 0 && s.id > 0)
        rc = META_DO(t, ref_add, s.id, s.size, 1);
    return rc;
}

/* A piece may lie across a border of the destination's chunks. */
static int append_piece(struct meta_txn *t, meta_ino ino, uint64_t at, struct meta_slice s)
{
    uint64_t room = META_CHUNK_SIZE - (at & (META_CHUNK_SIZE - 1));
    if (s.len <= room)
        return append_one(t, ino, at, s);
    struct meta_slice rest = s;
    s.len = (uint32_t)room;
    rest.off += s.len;
    rest.len -= s.len;
    int rc = append_one(t, ino, at, s);
    return rc == 0 ? append_one(t, ino, at + room, rest) : rc;
}

static int append_pieces(struct meta_txn *t, const struct copy *c, const struct buf *pieces)
{
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < pieces->len; at += sizeof(struct piece)) {
        struct piece p;
        memcpy(&p, pieces->ptr + at, sizeof(p));
        rc = append_piece(t, c->dst, p.at - c->src_off + c->dst_off, p.slice);
    }
    return rc;
}

/* Both nodes, in ascending order, as every client locks them. */
static int read_nodes(struct meta_txn *t, struct copy *c)
{
    bool src_first = c->src <= c->dst;
    int rc = META_DO(t, node_get, src_first ? c->src : c->dst, true, src_first ? &c->src_attr : &c->dst_attr);
    if (rc == 0)
        rc = META_DO(t, node_get, src_first ? c->dst : c->src, true, src_first ? &c->dst_attr : &c->src_attr);
    if (rc < 0)
        return rc;
    if (c->src_attr.type != META_FILE || c->dst_attr.type != META_FILE)
        return -EINVAL;
    meta_lazy_when_nameless(t, &c->dst_attr);
    return c->dst_attr.flags & (META_FLAG_IMMUTABLE | META_FLAG_APPEND) ? -EPERM : 0;
}

static int copy_pieces(struct meta_txn *t, struct copy *c)
{
    const uint64_t end = c->dst_off + c->copied;
    struct buf pieces = buf_make(LIMIT_META_COPY_PIECES * sizeof(struct piece));
    int rc = read_pieces(t, c, &pieces);
    if (rc == 0 && end > c->dst_attr.length)
        rc = meta_growth_read(t, c->dst, &c->dst_attr, end, &c->growth);
    if (rc == 0)
        rc = append_pieces(t, c, &pieces);
    buf_done(&pieces);
    c->dst_attr.mtime = c->dst_attr.ctime = meta_now();
    return rc == 0 ? META_DO(t, node_put, c->dst, &c->dst_attr) : rc;
}

static int copy_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct copy *c = arg;
    meta_growth_begin(&c->growth);
    c->copied = 0;
    int rc = read_nodes(t, c);
    if (rc < 0 || c->src_off >= c->src_attr.length)
        return rc;
    uint64_t there = c->src_attr.length - c->src_off;
    c->copied = c->size < there ? c->size : there;
    return copy_pieces(t, c);
}

int meta_copy_range(struct meta *m, meta_ino src, uint64_t src_off, meta_ino dst, uint64_t dst_off, uint64_t size,
                    uint64_t *out_copied)
{
    struct copy c = {.src = src, .dst = dst, .src_off = src_off, .dst_off = dst_off, .size = size};
    if (dst_off >= LIMIT_META_FILE_BYTES || size >= LIMIT_META_FILE_BYTES - dst_off)
        return -EFBIG;
    if (size == 0) {
        *out_copied = 0;
        return 0;
    }
    int rc = meta_growth_check(m, dst, dst_off + size);
    if (rc == 0)
        rc = meta_transact(m, META_TXN_WRITE, copy_txn, &c);
    if (rc == 0) {
        *out_copied = c.copied;
        meta_growth_apply(m, &c.growth);
    }
    meta_growth_done(&c.growth);
    return rc;
}
