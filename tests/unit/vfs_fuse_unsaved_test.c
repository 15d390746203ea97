#include <unistd.h>

#include "base/limits.h"
#include "tests/support/unit.h"
#include "vfs/fuse/unsaved.h"

/* A process: what it has marked and not cleared, the next one finds lost. */
static void the_next_process_knows(void **state)
{
    (void)state;
    int memory = vfuse_unsaved_create();
    assert_true(memory >= 0);
    struct vfuse_unsaved *first, *second, *third;
    assert_int_equal(vfuse_unsaved_open(memory, &first), 0);
    vfuse_unsaved_mark(first, 7);
    vfuse_unsaved_mark(first, 7);
    vfuse_unsaved_mark(first, 8);
    vfuse_unsaved_clear(first, 8);
    vfuse_unsaved_clear(first, 9);
    assert_false(vfuse_unsaved_is_lost(first, 7)); /* it can still commit it */
    vfuse_unsaved_close(first);

    assert_int_equal(vfuse_unsaved_open(memory, &second), 0);
    assert_true(vfuse_unsaved_is_lost(second, 7));
    assert_false(vfuse_unsaved_is_lost(second, 8));
    /* Writing to it anew brings nothing back. */
    vfuse_unsaved_mark(second, 7);
    vfuse_unsaved_clear(second, 7);
    vfuse_unsaved_close(second);

    assert_int_equal(vfuse_unsaved_open(memory, &third), 0);
    assert_true(vfuse_unsaved_is_lost(third, 7));
    vfuse_unsaved_close(third);
    close(memory);
}

/* A table that had no room says that everything may be lost, rather than nothing. */
static void a_full_table_is_honest(void **state)
{
    (void)state;
    int memory = vfuse_unsaved_create();
    struct vfuse_unsaved *first, *second;
    assert_int_equal(vfuse_unsaved_open(memory, &first), 0);
    for (uint64_t ino = 1; ino <= LIMIT_FUSE_UNSAVED + 1; ino++)
        vfuse_unsaved_mark(first, ino);
    vfuse_unsaved_close(first);
    assert_int_equal(vfuse_unsaved_open(memory, &second), 0);
    assert_true(vfuse_unsaved_is_lost(second, 1));
    assert_true(vfuse_unsaved_is_lost(second, LIMIT_FUSE_UNSAVED * 2));
    vfuse_unsaved_close(second);
    close(memory);
}

static void without_memory_nothing_was_lost(void **state)
{
    (void)state;
    struct vfuse_unsaved *t;
    assert_int_equal(vfuse_unsaved_open(-1, &t), 0);
    vfuse_unsaved_mark(t, 1);
    assert_false(vfuse_unsaved_is_lost(t, 1));
    vfuse_unsaved_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_process_knows),
        cmocka_unit_test(a_full_table_is_honest),
        cmocka_unit_test(without_memory_nothing_was_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
