#include "tests/support/unit.h"

#include "base/fault.h"

#ifdef SLUICE_FAULTS

#include <errno.h>

#include "base/clock.h"
#include "tests/support/death.h"

static void no_fault_is_zero(void **state)
{
    (void)state;
    fault_set_for_test(NULL);
    assert_int_equal(fault_point("put.fsync"), 0);
    fault_set_for_test("");
    assert_int_equal(fault_point("put.fsync"), 0);
}

static void the_nth_pass_fails(void **state)
{
    (void)state;
    fault_set_for_test("put.fsync:3:ENOSPC");
    for (int pass = 1; pass <= 5; pass++) {
        assert_int_equal(fault_point("put.rename"), 0);
        assert_int_equal(fault_point("put.fsync"), pass == 3 ? -ENOSPC : 0);
    }
}

static void parts_may_be_left_out(void **state)
{
    (void)state;
    fault_set_for_test("a");
    assert_int_equal(fault_point("a"), -EIO);
    assert_int_equal(fault_point("a"), 0);
    fault_set_for_test("a:2");
    assert_int_equal(fault_point("a"), 0);
    assert_int_equal(fault_point("a"), -EIO);
    fault_set_for_test("a:EDQUOT");
    assert_int_equal(fault_point("a"), -EDQUOT);
}

static void sleeping(void **state)
{
    (void)state;
    fault_set_for_test("a:1:sleep30");
    uint64_t start_ms = clock_mono_ms();
    assert_int_equal(fault_point("a"), 0);
    assert_in_range(clock_mono_ms() - start_ms, 29, 5000);
}

static void pass_point(void *arg)
{
    (void)fault_point(arg); /* does not return */
}

static void killing(void **state)
{
    (void)state;
    char point[] = "a";
    fault_set_for_test("a:kill");
    assert_true(dies_of(SIGKILL, pass_point, point));
}

static void set_spec(void *arg)
{
    fault_set_for_test(arg);
}

static void misspelt_faults_abort(void **state)
{
    (void)state;
    char bad[][16] = {"a:0", "a:EWHAT", "a:1:", "a:1:EIO:x", "a:sleep", "a::EIO"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_true(dies_of(SIGABRT, set_spec, bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_fault_is_zero),
        cmocka_unit_test(the_nth_pass_fails),
        cmocka_unit_test(parts_may_be_left_out),
        cmocka_unit_test(sleeping),
        cmocka_unit_test(killing),
        cmocka_unit_test(misspelt_faults_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void points_are_the_constant_zero(void **state)
{
    (void)state;
    assert_int_equal(setenv("SLUICE_FAULT", "a", 1), 0);
    assert_int_equal(fault_point("a"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(points_are_the_constant_zero)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
