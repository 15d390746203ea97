#include "vfs/meta/slices.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"

/* Records, big-endian: pos, id, size, off, len */

static void put_be32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t get_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

void meta_slice_add(struct buf *out, const struct meta_slice *s)
{
    uint8_t r[META_SLICE_RECORD];
    put_be32(r, s->pos);
    put_be32(r + 4, (uint32_t)(s->id >> 32));
    put_be32(r + 8, (uint32_t)s->id);
    put_be32(r + 12, s->size);
    put_be32(r + 16, s->off);
    put_be32(r + 20, s->len);
    buf_add(out, str_of((const char *)r, sizeof(r)));
}

static uint64_t end_of(const struct meta_slice *s)
{
    return (uint64_t)s->pos + s->len;
}

static bool is_sound(const struct meta_slice *s)
{
    return end_of(s) <= META_CHUNK_SIZE && (s->id == 0 || (uint64_t)s->off + s->len <= s->size);
}

struct meta_slice meta_slice_read(const char *p)
{
    const uint8_t *r = (const uint8_t *)p;
    return (struct meta_slice){.pos = get_be32(r),
                               .id = (uint64_t)get_be32(r + 4) << 32 | get_be32(r + 8),
                               .size = get_be32(r + 12),
                               .off = get_be32(r + 16),
                               .len = get_be32(r + 20)};
}

int meta_slices_parse(struct str records, struct meta_slice **out, size_t *out_count)
{
    size_t count = records.len / META_SLICE_RECORD;
    if (records.len % META_SLICE_RECORD != 0)
        return -EIO;
    struct meta_slice *list = count ? malloc(count * sizeof(*list)) : NULL;
    CHECK(count == 0 || list != NULL); /* out of memory */
    for (size_t i = 0; i < count; i++) {
        list[i] = meta_slice_read(records.ptr + i * META_SLICE_RECORD);
        if (!is_sound(&list[i])) {
            free(list);
            return -EIO;
        }
    }
    *out = list;
    *out_count = count;
    return 0;
}

#define DELAYED_RECORD 12 /* id, size; big-endian */

int meta_delayed_parse(struct str bytes, struct meta_slice **out, size_t *out_count)
{
    size_t count = bytes.len / DELAYED_RECORD;
    if (count == 0 || bytes.len % DELAYED_RECORD != 0)
        return -EIO;
    struct meta_slice *list = calloc(count, sizeof(*list));
    CHECK(list != NULL); /* out of memory */
    for (size_t i = 0; i < count; i++) {
        const uint8_t *r = (const uint8_t *)bytes.ptr + i * DELAYED_RECORD;
        list[i].id = (uint64_t)get_be32(r) << 32 | get_be32(r + 4);
        list[i].size = get_be32(r + 8);
    }
    *out = list;
    *out_count = count;
    return 0;
}

/* Overlay */

static void cut_head(struct meta_slice *s, uint64_t pos)
{
    uint32_t cut = (uint32_t)(pos - s->pos);
    s->pos += cut;
    s->off += cut;
    s->len -= cut;
}

/* First piece that ends behind pos; pieces are sorted. */
static size_t find_behind(const struct meta_slice *pieces, size_t count, uint64_t pos)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (end_of(&pieces[middle]) > pos)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void move(struct meta_slice *pieces, size_t to, size_t from, size_t count)
{
    memmove(pieces + to, pieces + from, (count - from) * sizeof(*pieces));
}

/* Puts s over what is there; adds two pieces at most. */
static size_t overlay(struct meta_slice *pieces, size_t count, const struct meta_slice *s)
{
    size_t first = find_behind(pieces, count, s->pos);
    if (first < count && pieces[first].pos < s->pos) {
        move(pieces, first + 1, first, count++);
        pieces[first].len = s->pos - pieces[first].pos;
        cut_head(&pieces[++first], s->pos);
    }
    size_t last = find_behind(pieces, count, end_of(s));
    if (last < count && pieces[last].pos < end_of(s))
        cut_head(&pieces[last], end_of(s));
    move(pieces, first + 1, last, count);
    pieces[first] = *s;
    return count - (last - first) + 1;
}

size_t meta_slices_resolve(const struct meta_slice *list, size_t count, struct meta_slice *out)
{
    size_t pieces = 0;
    for (size_t i = 0; i < count; i++)
        if (list[i].len > 0)
            pieces = overlay(out, pieces, &list[i]);
    return pieces;
}

/* Sorts pieces that begin at `to` of an array into its start, as meta_slices_cover describes. The two do not overtake each
 * other: each piece read makes two at most. */
static size_t fill_gaps(struct meta_slice *out, size_t from, size_t count, uint32_t pos, uint64_t end)
{
    size_t n = 0;
    uint64_t at = pos;
    for (size_t i = from; i < from + count; i++) {
        struct meta_slice s = out[i];
        if (end_of(&s) <= at || s.pos >= end)
            continue;
        if (s.pos < at)
            cut_head(&s, at);
        if (end_of(&s) > end)
            s.len = (uint32_t)(end - s.pos);
        if (s.pos > at)
            out[n++] = (struct meta_slice){.pos = (uint32_t)at, .len = (uint32_t)(s.pos - at)};
        out[n++] = s;
        at = end_of(&s);
    }
    if (at < end)
        out[n++] = (struct meta_slice){.pos = (uint32_t)at, .len = (uint32_t)(end - at)};
    return n;
}

size_t meta_slices_cover(const struct meta_slice *list, size_t count, uint32_t pos, uint32_t len, struct meta_slice *out)
{
    size_t from = 2 * count;
    size_t pieces = meta_slices_resolve(list, count, out + from);
    return fill_gaps(out, from, pieces, pos, (uint64_t)pos + len);
}

/* Compaction */

static struct meta_slice *pieces_new(size_t count)
{
    struct meta_slice *pieces = malloc((4 * count + 1) * sizeof(*pieces));
    CHECK(pieces != NULL); /* out of memory */
    return pieces;
}

/* The records' content without zeros at both ends; zeros alone become one byte of them. */
static void compact(const struct meta_slice *list, size_t count, struct meta_compaction *out)
{
    struct meta_slice *p = out->pieces;
    size_t n = meta_slices_cover(list, count, 0, META_CHUNK_SIZE, p), first = 0;
    while (n > 0 && p[n - 1].id == 0 && n > 1)
        n--;
    while (first + 1 < n && p[first].id == 0)
        first++;
    out->piece_count = n - first;
    move(p, 0, first, n);
    if (out->piece_count == 1 && p[0].id == 0)
        p[0].len = 1;
    out->pos = p[0].pos;
    out->size = (uint32_t)(end_of(&p[out->piece_count - 1]) - out->pos);
}

static bool same(const struct meta_slice *a, const struct meta_slice *b)
{
    return a->pos == b->pos && a->id == b->id && a->size == b->size && a->off == b->off && a->len == b->len;
}

/* A first record that is large, seen whole, and of which there is no second: rewriting it would not pay. */
static bool is_kept(const struct meta_slice *list, size_t count, const struct meta_compaction *c)
{
    if (list[0].len < 1024 * 1024 || (uint64_t)list[0].len * 5 < c->size)
        return false;
    if (list[0].id == 0 || !same(&list[0], &c->pieces[0]))
        return false;
    for (size_t i = 1; i < count; i++)
        if (same(&list[i], &list[0]))
            return false;
    return true;
}

bool meta_slices_plan(const struct meta_slice *list, size_t count, struct meta_compaction *out)
{
    struct meta_compaction c = {.pieces = pieces_new(count)};
    for (; count - c.skipped >= 2; c.skipped++) {
        compact(list + c.skipped, count - c.skipped, &c);
        if (!is_kept(list + c.skipped, count - c.skipped, &c)) {
            *out = c;
            return true;
        }
    }
    free(c.pieces);
    return false;
}
