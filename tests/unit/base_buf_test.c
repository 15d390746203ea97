#include "tests/support/unit.h"

#include "base/buf.h"

static void empty_needs_no_memory(void **state)
{
    (void)state;
    struct buf b = buf_make(10);
    assert_string_equal(buf_z(&b), "");
    assert_str(buf_str(&b), "");
    buf_consume(&b, 5);
    buf_truncate(&b, 0);
    buf_reset(&b);
    buf_done(&b);
    assert_int_equal(b.max, 10);
}

static void appending(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf b = buf_make(1000);
    buf_add(&b, STR_EMPTY);
    buf_add(&b, STR("view "));
    buf_addz(&b, "text ");
    buf_addc(&b, 'c');
    buf_addf(&b, " %d-%s", 42, "x");
    buf_addc(&b, ' ');
    buf_add_u64(&b, 0);
    buf_add_u64(&b, UINT64_MAX);
    assert_string_equal(buf_z(&b), "view text c 42-x 018446744073709551615");
    assert_int_equal(strlen(b.ptr), b.len);
}

static void long_formats_grow(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf b = buf_make(2000);
    buf_addf(&b, "%0500d|", 1);
    buf_addf(&b, "%0500d", 2);
    assert_int_equal(b.len, 1001);
    assert_int_equal(b.ptr[499], '1');
    assert_int_equal(b.ptr[1000], '2');
    assert_int_equal(b.ptr[1001], '\0');
}

static void maximum_is_reached_exactly(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf b = buf_make(200);
    for (int i = 0; i < 200; i++)
        buf_addc(&b, 'x');
    assert_false(b.failed);
    assert_int_equal(b.len, 200);
    buf_add(&b, STR_EMPTY);
    assert_false(b.failed);
    buf_addc(&b, 'y');
    assert_true(b.failed);
    assert_int_equal(b.len, 200);
}

static void failure_sticks_until_reset(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf b = buf_make(4);
    buf_addz(&b, "ab");
    buf_addf(&b, "%s", "cde");
    assert_true(b.failed);
    buf_addz(&b, "c"); /* would fit, but the text would have a hole */
    assert_null(buf_reserve(&b, 1));
    assert_string_equal(buf_z(&b), "ab");
    buf_reset(&b);
    assert_false(b.failed);
    assert_string_equal(buf_z(&b), "");
    buf_addz(&b, "abcd");
    assert_string_equal(buf_z(&b), "abcd");
}

static void reserve_and_extend(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf b = buf_make(100);
    assert_non_null(buf_reserve(&b, 10));
    assert_string_equal(buf_z(&b), ""); /* terminated even when nothing was filled */
    buf_addz(&b, "ab");
    char *room = buf_reserve(&b, 98);
    assert_non_null(room);
    memset(room, 'z', 98);
    buf_extend(&b, 2);
    assert_string_equal(buf_z(&b), "abzz");
    assert_null(buf_reserve(&b, 97));
    assert_true(b.failed);
}

static void huge_sizes_do_not_wrap(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf b = buf_make(100);
    buf_addz(&b, "ab");
    assert_null(buf_reserve(&b, SIZE_MAX));
    assert_true(b.failed);
}

static void taking_off_both_ends(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf b = buf_make(100);
    buf_addz(&b, "abcdef");
    buf_consume(&b, 2);
    assert_string_equal(buf_z(&b), "cdef");
    buf_truncate(&b, 3);
    assert_string_equal(buf_z(&b), "cde");
    buf_consume(&b, 99);
    assert_string_equal(buf_z(&b), "");
    assert_int_equal(b.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_needs_no_memory),      cmocka_unit_test(appending),
        cmocka_unit_test(long_formats_grow),          cmocka_unit_test(maximum_is_reached_exactly),
        cmocka_unit_test(failure_sticks_until_reset), cmocka_unit_test(reserve_and_extend),
        cmocka_unit_test(huge_sizes_do_not_wrap),     cmocka_unit_test(taking_off_both_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
