#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>

#include "base/encode.h"
#include "vfs/meta/ranges.h"

#define SPACE 40

static uint64_t seed = 1;

static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

/* Every byte has a lock or none. */
static void test_random(void **state)
{
    (void)state;
    static const short types[] = {F_RDLCK, F_WRLCK, F_UNLCK};
    for (int round = 0; round < 3000; round++) {
        struct meta_range_lock now[SPACE * 2 + 2], next[SPACE * 2 + 4];
        size_t count = 0;
        short type[SPACE];
        uint32_t pid[SPACE] = {0};
        for (size_t i = 0; i < SPACE; i++)
            type[i] = F_UNLCK;
        for (int step = 0; step < 20; step++) {
            struct meta_range_lock lock = {.type = types[below(3)], .start = below(SPACE), .pid = 1 + below(2)};
            lock.end = lock.start + below((uint32_t)(SPACE - lock.start));
            for (uint64_t i = lock.start; i <= lock.end; i++) {
                type[i] = lock.type;
                pid[i] = lock.pid;
            }
            size_t n = meta_ranges_set(now, count, &lock, next);
            assert_true(n <= count + 2 && n <= SPACE);
            memcpy(now, next, n * sizeof(*now));
            count = n;
        }
        uint64_t at = 0;
        for (size_t r = 0; r < count; r++) {
            for (; at < now[r].start; at++)
                assert_int_equal(type[at], F_UNLCK);
            for (; at <= now[r].end; at++)
                assert_true(type[at] == now[r].type && pid[at] == now[r].pid);
            /* neighbours of one kind are one range */
            assert_false(r > 0 && now[r - 1].end + 1 == now[r].start && now[r - 1].type == now[r].type &&
                         now[r - 1].pid == now[r].pid);
        }
        for (; at < SPACE; at++)
            assert_int_equal(type[at], F_UNLCK);
    }
}

static void test_records(void **state)
{
    (void)state;
    const struct meta_range_lock ranges[] = {{F_RDLCK, 0, 9, 1}, {F_WRLCK, 10, INT64_MAX, 0x01020304}};
    struct buf records = buf_make(1000), hex = buf_make(1000);
    meta_ranges_write(ranges, 2, &records);
    buf_add_hex(&hex, records.ptr, records.len);
    assert_str(buf_str(&hex), "000000000000000100000000000000000000000000000009"
                              "0000000101020304000000000000000a7fffffffffffffff");
    struct meta_range_lock *back;
    size_t count;
    assert_int_equal(meta_ranges_parse(buf_str(&records), &back, &count), 0);
    assert_int_equal(count, 2);
    assert_true(back[1].type == F_WRLCK && back[1].start == 10 && back[1].end == INT64_MAX && back[1].pid == 0x01020304);
    free(back);
    assert_int_equal(meta_ranges_parse(STR("short"), &back, &count), -EIO);
    buf_done(&records);
    buf_done(&hex);
}

static void test_conflicts(void **state)
{
    (void)state;
    const struct meta_range_lock held[] = {{F_RDLCK, 0, 9, 1}, {F_WRLCK, 20, 29, 1}};
    const struct {
        struct meta_range_lock wanted;
        const struct meta_range_lock *in_the_way;
    } rows[] = {
        {{F_RDLCK, 0, 9, 2}, NULL},      {{F_WRLCK, 9, 9, 2}, &held[0]},   {{F_WRLCK, 10, 19, 2}, NULL},
        {{F_RDLCK, 15, 20, 2}, &held[1]}, {{F_RDLCK, 29, 40, 2}, &held[1]}, {{F_RDLCK, 30, 40, 2}, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_ptr_equal(meta_ranges_conflict(held, 2, &rows[i].wanted), rows[i].in_the_way);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_conflicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
