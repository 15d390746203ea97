#include "tests/support/unit.h"
#include "vfs/meta/mentions.h"

#define RECORD 16

/* A run of as many records. */
static struct meta_mentions *small(size_t records)
{
    return meta_mentions_new(records * RECORD);
}

static void assert_at(const struct meta_mentions *x, uint64_t index, uint64_t id, uint32_t size, uint32_t count, bool needed)
{
    struct meta_mention m;
    assert_int_equal(meta_mentions_read(x, index, 1, &m), 0);
    assert_int_equal(m.id, id);
    assert_int_equal(m.size, size);
    assert_int_equal(m.count, count);
    assert_int_equal(m.needed, needed);
}

static void equal_ones_are_counted(void **state)
{
    (void)state;
    /* In memory; in runs; with all equal ones in runs of their own. */
    static const size_t runs[] = {1000, 4, 3, 2, 1};
    for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
        struct meta_mentions *x = small(runs[i]);
        static const struct {
            uint64_t id;
            uint32_t size;
            bool needed;
        } rows[] = {{9, 10, false}, {5, 7, false}, {9, 10, true}, {5, 6, false}, {1ull << 62, 1, true}, {9, 10, false}};
        for (size_t r = 0; r < ARRAY_SIZE(rows); r++)
            assert_int_equal(meta_mentions_add(x, rows[r].id, rows[r].size, rows[r].needed), 0);
        assert_int_equal(meta_mentions_sort(x), 0);
        assert_int_equal(meta_mentions_count(x), 4);
        assert_at(x, 0, 5, 6, 1, false);
        assert_at(x, 1, 5, 7, 1, false);
        assert_at(x, 2, 9, 10, 3, true);
        assert_at(x, 3, 1ull << 62, 1, 1, true);
        meta_mentions_free(x);
    }
}

static void none_is_fine(void **state)
{
    (void)state;
    struct meta_mentions *x = small(4);
    struct meta_mention m;
    uint64_t index;
    assert_int_equal(meta_mentions_sort(x), 0);
    assert_int_equal(meta_mentions_count(x), 0);
    assert_int_equal(meta_mentions_find(x, 0, &m), 0);
    assert_int_equal(meta_mentions_seek(x, 7, &index), 0);
    assert_int_equal(index, 0);
    meta_mentions_free(x);
    meta_mentions_free(NULL);
}

/* Ids 3, 6, 9, … in a scattered order, over many runs and pages. */
static void each_is_found(void **state)
{
    (void)state;
    enum { COUNT = 5003, STEP = 1999 }; /* without a common divisor */
    static const size_t runs[] = {COUNT + 1, 100};
    for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
        struct meta_mentions *x = small(runs[i]);
        struct meta_mention m;
        uint64_t index;
        for (uint64_t k = 0; k < COUNT; k++)
            assert_int_equal(meta_mentions_add(x, 3 * (1 + k * STEP % COUNT), 5, true), 0);
        assert_int_equal(meta_mentions_sort(x), 0);
        assert_int_equal(meta_mentions_count(x), COUNT);
        for (uint64_t id = 0; id <= 3 * COUNT + 3; id++) {
            uint64_t expected = id == 0 ? 0 : (id - 1) / 3;
            assert_int_equal(meta_mentions_seek(x, id, &index), 0);
            assert_int_equal(index, expected < COUNT ? expected : COUNT);
            bool there = id > 0 && id % 3 == 0 && id <= 3 * COUNT;
            assert_int_equal(meta_mentions_find(x, id, &m), there);
            if (there)
                assert_int_equal(m.id, id);
        }
        meta_mentions_free(x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_ones_are_counted),
        cmocka_unit_test(none_is_fine),
        cmocka_unit_test(each_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
