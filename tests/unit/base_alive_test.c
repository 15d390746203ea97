#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alive.h"
#include "base/fd.h"
#include "tests/support/tmpdir.h"

static char folder[PATH_MAX];
static int folder_fd;

static int begin(void **state)
{
    (void)state;
    assert_true(tmpdir_make(folder));
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder_fd < 0 ? -1 : 0;
}

static int end(void **state)
{
    (void)state;
    fd_closep(&folder_fd);
    return tmpdir_remove(folder) ? 0 : -1;
}

struct seen {
    int count;
    bool goes;
    char text[8];
};

static bool look(void *arg, int fd)
{
    struct seen *s = arg;
    ssize_t size = fd_pread_full(fd, s->text, sizeof(s->text) - 1, 0);
    assert_true(size >= 0);
    s->text[size] = '\0';
    s->count++;
    return s->goes;
}

static struct seen dead(bool goes)
{
    struct seen s = {.goes = goes};
    alive_each_dead(folder_fd, "mark.", look, &s);
    return s;
}

static void test_the_living_are_left_alone(void **state)
{
    (void)state;
    struct alive a, b;
    assert_int_equal(alive_start(folder_fd, "mark.", &a), 0);
    assert_int_equal(alive_start(folder_fd, "mark.", &b), 0);
    assert_int_equal(dead(true).count, 0);
    assert_int_equal(faccessat(folder_fd, a.name, F_OK, 0), 0);
    alive_end(&a);
    assert_int_equal(faccessat(folder_fd, a.name, F_OK, 0), -1);
    alive_end(&a);
    alive_end(&b);
    assert_int_equal(dead(true).count, 0);
}

static void test_a_dead_one_is_found_until_it_goes(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct alive a;
        if (alive_start(folder_fd, "mark.", &a) < 0 || fd_pwrite_all(a.fd, "here", 4, 0) < 0)
            _exit(1);
        (void)raise(SIGKILL);
    }
    int status = 0;
    assert_true(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    struct alive other;
    assert_int_equal(alive_start(folder_fd, "other.", &other), 0);
    struct seen s = dead(false);
    assert_true(s.count == 1 && strcmp(s.text, "here") == 0);
    assert_int_equal(dead(true).count, 1);
    assert_int_equal(dead(true).count, 0);
    alive_end(&other);
}

/* What somebody else put there: links, devices, folders. */
static void test_only_files_count(void **state)
{
    (void)state;
    CLEANUP(fd_closep) int fd = openat(folder_fd, "target", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(symlinkat("target", folder_fd, "mark.link"), 0);
    assert_int_equal(mkfifoat(folder_fd, "mark.fifo", 0600), 0);
    assert_int_equal(mkdirat(folder_fd, "mark.folder", 0700), 0);
    assert_int_equal(dead(true).count, 0);
    assert_int_equal(faccessat(folder_fd, "mark.fifo", F_OK, 0), 0);
}

static void test_no_folder(void **state)
{
    (void)state;
    struct alive a;
    CLEANUP(fd_closep) int fd = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(alive_start(fd, "mark.", &a) < 0);
    assert_int_equal(a.fd, -1);
    alive_end(&a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {TEST(test_the_living_are_left_alone), TEST(test_a_dead_one_is_found_until_it_goes),
                                       TEST(test_only_files_count), TEST(test_no_folder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
