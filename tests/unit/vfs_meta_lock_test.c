#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>

#include "tests/support/meta_rig.h"

static struct meta_rig rig;

static int begin(void **state)
{
    (void)state;
    meta_rig_open(&rig);
    return 0;
}

static int end(void **state)
{
    (void)state;
    meta_rig_close(&rig);
    return 0;
}

/* Owners are told apart by session and number. */
static void as_session(uint64_t sid)
{
    rig.m->sid = sid;
}

static void test_flock(void **state)
{
    (void)state;
    assert_int_equal(meta_flock(rig.m, META_ROOT, 1, 'R'), 0);
    assert_int_equal(meta_flock(rig.m, META_ROOT, 2, 'R'), 0);
    assert_int_equal(meta_flock(rig.m, META_ROOT, 2, 'W'), -EAGAIN);
    assert_int_equal(meta_flock(rig.m, META_ROOT, 1, 'U'), 0);
    assert_int_equal(meta_flock(rig.m, META_ROOT, 2, 'W'), 0);
    as_session(2);
    assert_int_equal(meta_flock(rig.m, META_ROOT, 2, 'R'), -EAGAIN);
    assert_int_equal(meta_flock(rig.m, META_ROOT, 2, 'x'), -EINVAL);
    assert_int_equal(meta_flock(rig.m, 4711, 2, 'R'), -ENOENT);
    assert_int_equal(meta_rig_number(&rig, "select ltype from jfs_flock where sid=1 and owner=2"), 'W');
}

static void test_ranges(void **state)
{
    (void)state;
    struct meta_range_lock lock = {F_WRLCK, 10, 19, 5}, probe = {F_RDLCK, 0, 100, 6};
    assert_int_equal(meta_setlk(rig.m, META_ROOT, 1, &lock), 0);
    assert_int_equal(meta_getlk(rig.m, META_ROOT, 2, &probe), 0);
    assert_true(probe.type == F_WRLCK && probe.start == 10 && probe.end == 19 && probe.pid == 5);
    as_session(2);
    probe = (struct meta_range_lock){F_RDLCK, 0, 100, 6};
    assert_int_equal(meta_getlk(rig.m, META_ROOT, 1, &probe), 0);
    assert_true(probe.type == F_WRLCK && probe.pid == 0);
    assert_int_equal(meta_setlk(rig.m, META_ROOT, 1, &(struct meta_range_lock){F_RDLCK, 15, 15, 6}), -EAGAIN);
    assert_int_equal(meta_setlk(rig.m, META_ROOT, 1, &(struct meta_range_lock){F_WRLCK, 20, 30, 6}), 0);
    as_session(1);
    lock = (struct meta_range_lock){F_UNLCK, 12, 13, 5};
    assert_int_equal(meta_setlk(rig.m, META_ROOT, 1, &lock), 0);
    assert_int_equal(meta_rig_number(&rig, "select length(hex(records)) from jfs_plock where sid=1"), 2 * 2 * 24);
    lock = (struct meta_range_lock){F_UNLCK, 0, INT64_MAX, 5};
    assert_int_equal(meta_setlk(rig.m, META_ROOT, 1, &lock), 0);
    assert_int_equal(meta_setlk(rig.m, META_ROOT, 1, &lock), 0);
    assert_int_equal(meta_rig_number(&rig, "select count(*) from jfs_plock"), 1);
    probe = (struct meta_range_lock){F_WRLCK, 0, 19, 6};
    assert_int_equal(meta_getlk(rig.m, META_ROOT, 1, &probe), 0);
    assert_int_equal(probe.type, F_UNLCK);
    assert_int_equal(meta_setlk(rig.m, META_ROOT, 1, &(struct meta_range_lock){F_WRLCK, 2, 1, 6}), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_flock, begin, end),
        cmocka_unit_test_setup_teardown(test_ranges, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
