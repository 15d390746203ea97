#include "tests/support/unit.h"

#include "base/check.h"
#include "tests/support/death.h"

static void check_value(void *arg)
{
    const int *value = arg;
    CHECK(*value == 1);
}

static void true_conditions_pass(void **state)
{
    (void)state;
    int one = 1;
    assert_false(dies_of(SIGABRT, check_value, &one));
}

static void false_conditions_abort(void **state)
{
    (void)state;
    int two = 2;
    assert_true(dies_of(SIGABRT, check_value, &two));
}

static void message_names_the_place(void **state)
{
    (void)state;
    int pipe_fds[2];
    char text[256] = "";
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        become_quiet();
        (void)dup2(pipe_fds[1], STDERR_FILENO);
        check_failed("some.c", 42, "x > 0");
    }
    close(pipe_fds[1]);
    assert_true(read(pipe_fds[0], text, sizeof(text) - 1) > 0);
    close(pipe_fds[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_string_equal(text, "some.c:42: check failed: x > 0\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(true_conditions_pass),
        cmocka_unit_test(false_conditions_abort),
        cmocka_unit_test(message_names_the_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
