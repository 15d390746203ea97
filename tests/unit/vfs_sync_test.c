#include "vfs/dir/sync.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "base/mutex.h"
#include "tests/support/tmpdir.h"
#include "tests/support/unit.h"
#include "vfs/dir/fresh.h"

enum { THREADS = 24, ROUNDS = 10 };

static char path[PATH_MAX];

struct member {
    pthread_t thread;
    int dir, pipe_end;
    size_t index;
};

/* Every third one brings something that cannot be synced: it alone is told so. */
static void *run(void *arg)
{
    const struct member *m = arg;
    for (int i = 0; i < ROUNDS; i++) {
        CLEANUP(fd_closep) int fd = openat(m->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        CHECK(fd >= 0 && fd_pwrite_all(fd, "bytes", 5, 0) == 0);
        bool is_bad = m->index % 3 == 0;
        int fds[] = {fd, m->dir, m->pipe_end};
        int r = sync_nodes(fds, is_bad ? 3 : 2);
        CHECK(is_bad ? r == -EINVAL : r == 0);
        r = sync_nodes(&m->dir, 1);
        CHECK(r == 0);
    }
    return NULL;
}

static void errors_reach_their_callers_only(void **state)
{
    (void)state;
    struct member members[THREADS];
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_true(tmpdir_make(path));
    CLEANUP(fd_closep) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < THREADS; i++) {
        members[i] = (struct member){.dir = dir, .pipe_end = ends[1], .index = i};
        thread_start(&members[i].thread, "sync", run, &members[i]);
    }
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(members[i].thread, NULL), 0);
    assert_int_equal(sync_nodes(NULL, 0), 0);
    fd_closep(&ends[0]);
    fd_closep(&ends[1]);
    assert_true(tmpdir_remove(path));
}

/* Directories that wait for their names to be synced */

static int make(int parent, const char *name, struct stat *out)
{
    assert_int_equal(mkdirat(parent, name, 0755), 0);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, out), 0);
    return fd;
}

static int collect(struct fresh *f, const struct stat *st)
{
    int fds[8];
    int count = fresh_collect(f, st->st_dev, st->st_ino, fds, ARRAY_SIZE(fds));
    for (int i = 0; i < count; i++)
        fd_closep(&fds[i]);
    return count;
}

static void fresh_directories_bring_their_parents(void **state)
{
    (void)state;
    struct stat a, b, c;
    assert_true(tmpdir_make(path));
    CLEANUP(fd_closep) int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(fd_closep) int a_fd = make(root, "a", &a);
    CLEANUP(fd_closep) int b_fd = make(a_fd, "b", &b);
    CLEANUP(fd_closep) int c_fd = make(b_fd, "c", &c);
    struct fresh *f = fresh_new();
    assert_int_equal(collect(f, &c), 0);
    assert_int_equal(fresh_add(f, a_fd, root), 0);
    assert_int_equal(fresh_add(f, b_fd, a_fd), 0);
    assert_int_equal(fresh_add(f, c_fd, b_fd), 0);
    assert_int_equal(collect(f, &c), 3);
    assert_int_equal(collect(f, &b), 2);
    fresh_settle(f, b.st_dev, b.st_ino, 2); /* somebody published into b */
    assert_int_equal(collect(f, &a), 0);
    assert_int_equal(collect(f, &c), 1);
    fresh_drop(f, c.st_dev, c.st_ino);
    assert_int_equal(collect(f, &c), 0);
    fresh_settle(f, c.st_dev, c.st_ino, 1); /* by another who had collected before: nothing to do */
    assert_int_equal(fresh_add(f, c_fd, b_fd), 0);
    fresh_free(f);
    assert_true(tmpdir_remove(path));
}

static size_t count_descriptors(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void fresh_directories_that_others_remove_are_forgotten(void **state)
{
    (void)state;
    struct stat stay, gone;
    assert_true(tmpdir_make(path));
    CLEANUP(fd_closep) int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(fd_closep) int stay_fd = make(root, "stay", &stay);
    struct fresh *f = fresh_new();
    assert_int_equal(fresh_add(f, stay_fd, root), 0);
    size_t before = count_descriptors();
    int fds[100]; /* held, so that each is another inode */
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = make(root, "gone", &gone);
        assert_int_equal(fresh_add(f, fds[i], root), 0);
        assert_int_equal(unlinkat(root, "gone", AT_REMOVEDIR), 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        fd_closep(&fds[i]);
    assert_true(count_descriptors() <= before + 4);
    assert_int_equal(collect(f, &stay), 1);
    fresh_free(f);
    assert_true(tmpdir_remove(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_reach_their_callers_only),
        cmocka_unit_test(fresh_directories_bring_their_parents),
        cmocka_unit_test(fresh_directories_that_others_remove_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
