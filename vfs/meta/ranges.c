#include "vfs/meta/ranges.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/check.h"

static void add_be(struct buf *out, uint64_t value, size_t size)
{
    for (size_t i = size; i-- > 0;)
        buf_addc(out, (char)(uint8_t)(value >> (8 * i)));
}

static uint64_t get_be(const char *p, size_t size)
{
    uint64_t v = 0;
    for (size_t i = 0; i < size; i++)
        v = v << 8 | (uint8_t)p[i];
    return v;
}

void meta_ranges_write(const struct meta_range_lock *ranges, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        add_be(out, (uint64_t)ranges[i].type, 4);
        add_be(out, ranges[i].pid, 4);
        add_be(out, ranges[i].start, 8);
        add_be(out, ranges[i].end, 8);
    }
}

int meta_ranges_parse(struct str records, struct meta_range_lock **out, size_t *out_count)
{
    size_t count = records.len / META_RANGE_RECORD;
    if (records.len % META_RANGE_RECORD != 0)
        return -EIO;
    struct meta_range_lock *ranges = count ? calloc(count, sizeof(*ranges)) : NULL;
    CHECK(count == 0 || ranges != NULL); /* out of memory */
    for (size_t i = 0; i < count; i++) {
        const char *r = records.ptr + i * META_RANGE_RECORD;
        ranges[i] = (struct meta_range_lock){.type = (short)get_be(r, 4),
                                             .pid = (uint32_t)get_be(r + 4, 4),
                                             .start = get_be(r + 8, 8),
                                             .end = get_be(r + 16, 8)};
    }
    *out = ranges;
    *out_count = count;
    return 0;
}

/* Appends, joined with the last one where that is the same lock going on. */
static size_t add(struct meta_range_lock *out, size_t n, struct meta_range_lock r)
{
    if (n > 0 && out[n - 1].type == r.type && out[n - 1].pid == r.pid && out[n - 1].end + 1 == r.start) {
        out[n - 1].end = r.end;
        return n;
    }
    out[n] = r;
    return n + 1;
}

/* The part of `r` before and the part behind the lock; the lock itself once, in its place. */
size_t meta_ranges_set(const struct meta_range_lock *ranges, size_t count, const struct meta_range_lock *lock,
                       struct meta_range_lock *out)
{
    size_t n = 0;
    bool placed = lock->type == F_UNLCK;
    for (size_t i = 0; i < count; i++) {
        struct meta_range_lock before = ranges[i], behind = ranges[i];
        if (before.start < lock->start) {
            if (before.end >= lock->start)
                before.end = lock->start - 1;
            n = add(out, n, before);
        }
        if (behind.end <= lock->end)
            continue;
        if (!placed)
            n = add(out, n, *lock);
        placed = true;
        if (behind.start <= lock->end)
            behind.start = lock->end + 1;
        n = add(out, n, behind);
    }
    return placed ? n : add(out, n, *lock);
}

const struct meta_range_lock *meta_ranges_conflict(const struct meta_range_lock *ranges, size_t count,
                                                   const struct meta_range_lock *lock)
{
    for (size_t i = 0; i < count; i++) {
        const struct meta_range_lock *r = &ranges[i];
        if ((lock->type == F_WRLCK || r->type == F_WRLCK) && lock->end >= r->start && lock->start <= r->end)
            return r;
    }
    return NULL;
}
