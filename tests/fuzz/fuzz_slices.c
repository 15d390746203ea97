/* Records of chunks and of locks, which any client of the volume writes. What parses overlays without leaving the chunk, every
 * byte of it has one piece, and a plan covers what it says. */
#include "tests/fuzz/fuzz.h"

#include "vfs/meta/ranges.h"
#include "vfs/meta/slices.h"

static uint32_t sum_of(const struct meta_slice *pieces, size_t count, uint32_t pos)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        CHECK(pieces[i].pos == pos + sum && pieces[i].len > 0);
        sum += pieces[i].len;
    }
    return sum;
}

static void try_slices(struct str records)
{
    struct meta_slice *list;
    struct meta_compaction plan;
    size_t count;
    if (meta_slices_parse(records, &list, &count) < 0)
        return;
    struct meta_slice *pieces = calloc(4 * count + 1, sizeof(*pieces));
    size_t n = meta_slices_resolve(list, count, pieces);
    CHECK(n <= 2 * count);
    for (size_t i = 0; i < n; i++)
        CHECK(i == 0 || pieces[i].pos >= pieces[i - 1].pos + pieces[i - 1].len);
    n = meta_slices_cover(list, count, 0, META_CHUNK_SIZE, pieces);
    CHECK(sum_of(pieces, n, 0) == META_CHUNK_SIZE);
    if (meta_slices_plan(list, count, &plan)) {
        CHECK(plan.skipped < count && sum_of(plan.pieces, plan.piece_count, plan.pos) == plan.size);
        free(plan.pieces);
    }
    free(pieces);
    free(list);
}

static void try_ranges(struct str records)
{
    struct meta_range_lock *ranges;
    size_t count;
    struct buf again = buf_make(1 << 20);
    if (meta_ranges_parse(records, &ranges, &count) < 0)
        return;
    meta_ranges_write(ranges, count, &again);
    CHECK(again.failed || again.len == records.len);
    buf_done(&again);
    free(ranges);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_slices(fuzz_str(data, size));
    try_ranges(fuzz_str(data, size));
    return 0;
}
