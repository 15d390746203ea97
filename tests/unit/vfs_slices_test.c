#include "tests/support/unit.h"

#include <errno.h>

#include "base/encode.h"
#include "vfs/meta/slices.h"

/* §3.2's vectors */
static void test_records(void **state)
{
    (void)state;
    static const struct {
        struct meta_slice s;
        const char *hex;
    } rows[] = {
        {{0, 1, 4194304, 0, 4194304}, "000000000000000000000001004000000000000000400000"},
        {{100, 0, 0, 0, 67108764}, "000000640000000000000000000000000000000003ffff9c"},
        {{16, 0x1234, 100, 4, 96}, "000000100000000000001234000000640000000400000060"},
        {{0, 0x123456789abcdef0, 1, 0, 1}, "00000000123456789abcdef0000000010000000000000001"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buf record = buf_make(100), hex = buf_make(100);
        struct meta_slice *back;
        size_t count;
        meta_slice_add(&record, &rows[i].s);
        buf_add_hex(&hex, record.ptr, record.len);
        assert_str(buf_str(&hex), rows[i].hex);
        assert_int_equal(meta_slices_parse(buf_str(&record), &back, &count), 0);
        assert_int_equal(count, 1);
        assert_true(back->pos == rows[i].s.pos && back->id == rows[i].s.id && back->size == rows[i].s.size &&
                    back->off == rows[i].s.off && back->len == rows[i].s.len);
        free(back);
        buf_done(&record);
        buf_done(&hex);
    }
}

static void test_damaged_records(void **state)
{
    (void)state;
    static const struct meta_slice bad[] = {
        {1, 7, 67108864, 0, 67108864},       /* behind the chunk's end */
        {0xffffffff, 7, 10, 0, 10},
        {0, 7, 10, 5, 6},                    /* more than the slice has */
        {0, 7, 10, 0xffffffff, 2},
    };
    struct meta_slice *out;
    size_t count;
    assert_int_equal(meta_slices_parse(STR("12345678901234567890123"), &out, &count), -EIO);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct buf record = buf_make(100);
        meta_slice_add(&record, &bad[i]);
        assert_int_equal(meta_slices_parse(buf_str(&record), &out, &count), -EIO);
        buf_done(&record);
    }
    assert_int_equal(meta_slices_parse(STR_EMPTY, &out, &count), 0);
    assert_null(out);
}

/* The model: who owns each byte of a small chunk, and which byte of the slice it is. */

#define SPACE 64
#define LIST_MAX 24

struct model {
    uint64_t id[SPACE];
    uint32_t at[SPACE];
};

static void model_put(struct model *m, const struct meta_slice *s)
{
    for (uint32_t i = 0; i < s->len; i++) {
        m->id[s->pos + i] = s->id;
        m->at[s->pos + i] = s->id ? s->off + i : 0;
    }
}

static void assert_models(const struct model *a, const struct model *b)
{
    assert_memory_equal(a->id, b->id, sizeof(a->id));
    assert_memory_equal(a->at, b->at, sizeof(a->at));
}

static uint64_t seed = 1;

static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

static size_t random_list(struct meta_slice *list)
{
    size_t count = 1 + below(LIST_MAX);
    for (size_t i = 0; i < count; i++) {
        uint32_t pos = below(SPACE), off = below(4);
        uint32_t len = 1 + below(below(2) ? SPACE - pos : (SPACE - pos < 8 ? SPACE - pos : 8));
        uint64_t id = below(5) ? 1 + i : 0;
        list[i] = (struct meta_slice){pos, id, id ? off + len + below(3) : 0, id ? off : 0, len};
    }
    return count;
}

static void assert_sorted(const struct meta_slice *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_true(pieces[i].len > 0);
        assert_true(i == 0 || pieces[i].pos >= pieces[i - 1].pos + pieces[i - 1].len);
        assert_true(pieces[i].id == 0 || pieces[i].off + pieces[i].len <= pieces[i].size);
    }
}

static void check_resolve(const struct meta_slice *list, size_t count, const struct model *expected)
{
    struct meta_slice pieces[2 * LIST_MAX];
    struct model seen = {0};
    size_t n = meta_slices_resolve(list, count, pieces);
    assert_true(n <= 2 * count);
    assert_sorted(pieces, n);
    for (size_t i = 0; i < n; i++)
        model_put(&seen, &pieces[i]);
    assert_models(&seen, expected);
}

static void check_cover(const struct meta_slice *list, size_t count, const struct model *expected)
{
    struct meta_slice pieces[4 * LIST_MAX + 1];
    uint32_t pos = below(SPACE), len = 1 + below(SPACE - pos), at = pos;
    struct model seen = *expected;
    size_t n = meta_slices_cover(list, count, pos, len, pieces);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(pieces[i].pos, at);
        at += pieces[i].len;
        model_put(&seen, &pieces[i]);
    }
    assert_int_equal(at, pos + len);
    assert_models(&seen, expected);
}

/* The list with its compacted part replaced by one slice shows the same bytes. */
static void check_plan(const struct meta_slice *list, size_t count, const struct model *expected)
{
    struct meta_compaction c;
    if (!meta_slices_plan(list, count, &c))
        return;
    struct model seen = {0}, inside = {0};
    for (size_t i = 0; i < c.skipped; i++)
        model_put(&seen, &list[i]);
    uint32_t at = c.pos;
    for (size_t i = 0; i < c.piece_count; i++) {
        assert_int_equal(c.pieces[i].pos, at);
        at += c.pieces[i].len;
        model_put(&seen, &c.pieces[i]);
        model_put(&inside, &c.pieces[i]);
    }
    assert_int_equal(at, c.pos + c.size);
    assert_models(&seen, expected);
    assert_true(c.piece_count == 1 || (c.pieces[0].id != 0 && c.pieces[c.piece_count - 1].id != 0));
    free(c.pieces);
}

static void test_random(void **state)
{
    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct meta_slice list[LIST_MAX];
        struct model expected = {0};
        size_t count = random_list(list);
        for (size_t i = 0; i < count; i++)
            model_put(&expected, &list[i]);
        check_resolve(list, count, &expected);
        check_cover(list, count, &expected);
        check_plan(list, count, &expected);
    }
}

#define MB (1024u * 1024u)

static void test_plan_skips(void **state)
{
    (void)state;
    /* A large first slice that nothing overlays stays; one that is overlaid does not. */
    const struct meta_slice apart[] = {{0, 1, 8 * MB, 0, 8 * MB}, {8 * MB, 2, 10, 0, 10}, {8 * MB + 10, 3, 10, 0, 10}};
    const struct meta_slice over[] = {{0, 1, 8 * MB, 0, 8 * MB}, {0, 2, 10, 0, 10}};
    const struct meta_slice twice[] = {{0, 1, 8 * MB, 0, 8 * MB}, {0, 1, 8 * MB, 0, 8 * MB}};
    const struct meta_slice zeros[] = {{5, 0, 0, 0, 10}, {20, 0, 0, 0, 10}};
    struct meta_compaction c;
    assert_true(meta_slices_plan(apart, 3, &c));
    assert_int_equal(c.skipped, 1);
    assert_true(c.pos == 8 * MB && c.size == 20 && c.piece_count == 2);
    free(c.pieces);
    assert_true(meta_slices_plan(over, 2, &c));
    assert_true(c.skipped == 0 && c.pos == 0 && c.size == 8 * MB && c.piece_count == 2);
    free(c.pieces);
    assert_true(meta_slices_plan(twice, 2, &c));
    assert_true(c.skipped == 0 && c.piece_count == 1);
    free(c.pieces);
    assert_true(meta_slices_plan(zeros, 2, &c));
    assert_true(c.size == 1 && c.piece_count == 1 && c.pieces[0].id == 0);
    free(c.pieces);
    assert_false(meta_slices_plan(apart, 2, &c)); /* one record is left: as good as it gets */
    assert_false(meta_slices_plan(apart, 1, &c));
    assert_false(meta_slices_plan(apart, 0, &c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_damaged_records),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_plan_skips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
