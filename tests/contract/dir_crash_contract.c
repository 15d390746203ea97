/* kill -9 at any moment: what is there afterwards is whole, and nothing else is. */
#include "tests/contract/dir_volume_contract.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/random.h"

enum { NAMES = 4, BODY = 5000 };

static const char *const paths[NAMES] = {"f", "d/f", "d/e/f", "x/y/f"};

/* In the child: replaces, creates and removes files until it is killed. Each file is one letter, repeated. */
static void work(void *arg, size_t index)
{
    struct vfs_dir *root = vfs_root(arg);
    char *body = malloc(BODY);
    CHECK(body != NULL);
    for (;;) {
        const char *path = paths[random_u64() % NAMES];
        memset(body, 'a' + (int)(random_u64() % 26), BODY);
        if (random_u64() % 8 == 0) {
            int r = vfs_unlink(root, str_z(path), NULL, NULL);
            CHECK(r == 0 || r == -ENOENT);
            vfs_prune(root, str_first(str_z(path), strlen(path) - 2), NULL);
        } else {
            int r = try_put(root, path, str_of(body, BODY), index % 2 ? &REPLACE : &CREATE);
            if (r < 0 && r != -EEXIST)
                check_failed(path, 0, strerror(-r));
        }
    }
}

static pid_t start_worker(const struct volume_kind *k)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        crew_join(crew_start(4, work, k->open(k, VFS_SYNC_NONE)));
        _exit(0);
    }
    return child;
}

static void reap(pid_t child)
{
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void assert_all_whole(struct vfs_dir *root)
{
    for (size_t i = 0; i < NAMES; i++) {
        static char body[BODY + 2];
        ssize_t got = try_get(root, paths[i], body, sizeof(body));
        if (got == -ENOENT)
            continue;
        assert_int_equal(got, BODY);
        for (size_t k = 1; k < BODY; k++)
            assert_int_equal(body[k], body[0]);
    }
}

static void assert_temp_is_empty(const struct volume_fixture *x)
{
    DIR *dir = opendir(posix(x, ".sluice/tmp"));
    while (dir) {
        const struct dirent *e = readdir(dir);
        if (!e)
            break;
        if (e->d_name[0] != '.' || e->d_name[1] == 's')
            fail_msg("left behind: .sluice/tmp/%s", e->d_name);
    }
    if (dir)
        closedir(dir);
}

static size_t count_intents(const struct volume_fixture *x)
{
    DIR *dir = opendir(posix(x, ".sluice"));
    size_t count = 0;
    CHECK(dir != NULL);
    for (const struct dirent *e; (e = readdir(dir));)
        count += strncmp(e->d_name, "intents.", 8) == 0;
    closedir(dir);
    return count;
}

/* The volume is closed while children work, so that each opening recovers from the one killed before. */
static void killed_writers_leave_nothing_torn(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    for (int i = 0; i < ROUNDS(60, 10); i++) {
        pid_t child = start_worker(x->kind);
        nanosleep(&(struct timespec){.tv_nsec = 1000000 * (long)(5 + random_u64() % 60)}, NULL);
        kill(child, SIGKILL);
        reap(child);
        volume_reopen(x, VFS_SYNC_NONE);
        assert_no_leftovers(x);
        assert_temp_is_empty(x);
        assert_all_whole(x->root);
        assert_int_equal(count_intents(x), 1);
    }
}

static void the_living_keep_their_work(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    assert_ok(vfs_stage(x->root, STR("d/f"), NULL, 0, &f));
    assert_ok(vfs_write(f, STR("in progress"), 0));
    for (int i = 0; i < 3; i++) {
        struct vfs *other = x->kind->open(x->kind, VFS_SYNC_NONE);
        vfs_close_volume(other);
    }
    assert_int_equal(count_intents(x), 1);
    assert_ok(vfs_publish(f, x->root, STR("d/f"), NULL, &REPLACE, NULL));
    assert_content(x->root, "d/f", "in progress");
    assert_no_leftovers(x);
}

#ifdef SLUICE_FAULTS

/* Killed exactly there. */
static void die_at(const struct volume_kind *k, const char *fault)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct vfs *v = k->open(k, VFS_SYNC_NONE);
        fault_set_for_test(fault);
        (void)try_put(vfs_root(v), "d/f", STR("new"), &REPLACE);
        _exit(0);
    }
    reap(child);
}

static void each_step_can_be_the_last(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    static const char *const faults[] = {"vfs.write:1:kill", "vfs.publish.link:1:kill", "vfs.publish.link:2:kill",
                                         "vfs.publish.rename:1:kill"};
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
        put(x->root, "d/f", "old");
        die_at(x->kind, faults[i]);
        volume_reopen(x, VFS_SYNC_NONE);
        assert_content(x->root, "d/f", "old");
        assert_listing(x->root, "d", "", "f:f ");
        assert_no_leftovers(x);
        assert_temp_is_empty(x);
    }
}

#endif

int dir_crash_contract(const struct volume_kind *k)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(killed_writers_leave_nothing_torn, k),
        VOLUME_TEST(the_living_keep_their_work, k),
#ifdef SLUICE_FAULTS
        VOLUME_TEST(each_step_can_be_the_last, k),
#endif
    };
    return cmocka_run_group_tests_name("crashes", tests, NULL, NULL);
}
