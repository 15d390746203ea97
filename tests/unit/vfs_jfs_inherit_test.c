/* What a killed gateway has left in the volume ends when the next one starts with its state folder, and only then: a session whose
 * process may live stays. */
#include "tests/support/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/limits.h"
#include "tests/support/meta_rig.h"
#include "vfs/meta/settings.h"
#include "vfs/vfs.h"

static struct meta_rig rig;
static char state_dir[PATH_MAX + 16];

static struct vfs *open_volume(void)
{
    const struct vfs_options options = {.sync = VFS_SYNC_NONE};
    struct vfs *volume = NULL;
    const char *error = "";
    if (vfs_open_volume(rig.url, &options, &volume, &error) < 0)
        fail_msg("%s", error);
    return volume;
}

static void format(void)
{
    char bucket[PATH_MAX + 16];
    const char *error = "";
    CLEANUP(meta_settings_freep) struct meta_settings *s = meta_settings_new();
    (void)snprintf(bucket, sizeof(bucket), "%s/blocks/", rig.dir);
    s->name = STR("vol");
    s->bucket = meta_settings_keep(s, str_z(bucket));
    if (meta_format(str_z(rig.url), s, false, &error) < 0)
        fail_msg("%s", error);
}

static int begin(void **state)
{
    (void)state;
    char bucket[PATH_MAX + 16];
    rig = (struct meta_rig){0};
    assert_true(tmpdir_make(rig.dir));
    (void)snprintf(rig.url, sizeof(rig.url), "sqlite3://%s/meta.db", rig.dir);
    (void)snprintf(bucket, sizeof(bucket), "%s/blocks/", rig.dir);
    (void)snprintf(state_dir, sizeof(state_dir), "%s/state", rig.dir);
    assert_true(mkdir(bucket, 0755) == 0 && mkdir(state_dir, 0700) == 0);
    format();
    return 0;
}

static int end(void **state)
{
    (void)state;
    assert_true(tmpdir_remove(rig.dir));
    return 0;
}

static int try_lock(struct vfs *volume, struct vfs_file **out)
{
    int r = vfs_open(vfs_root(volume), STR("f"), NULL, VFS_OPEN_READ | VFS_OPEN_WRITE | VFS_OPEN_CREATE, out, NULL);
    assert_int_equal(r, 0);
    return vfs_lock(*out, true);
}

/* In a child: this process forks without a volume open, and so without threads. */
static void hold(int ready_fd)
{
    struct vfs *volume = open_volume();
    struct vfs_file *f;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* when the test fails */
    vfs_inherit(volume, state_dir);
    if (try_lock(volume, &f) < 0 || write(ready_fd, "x", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static pid_t start_holder(void)
{
    int fds[2];
    char byte;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        hold(fds[1]);
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    return child;
}

static void kill_holder(pid_t child)
{
    int status = 0;
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_true(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
}

/* The only file of a session; its path. */
static void record_path(char out[PATH_MAX + 300])
{
    DIR *dir = opendir(state_dir);
    int count = 0;
    assert_non_null(dir);
    for (const struct dirent *e; (e = readdir(dir));)
        if (str_starts(str_z(e->d_name), STR("session."))) {
            (void)snprintf(out, PATH_MAX + 300, "%s/%s", state_dir, e->d_name);
            count++;
        }
    closedir(dir);
    assert_int_equal(count, 1);
}

static int count_records(void)
{
    DIR *dir = opendir(state_dir);
    int count = 0;
    assert_non_null(dir);
    for (const struct dirent *e; (e = readdir(dir));)
        count += str_starts(str_z(e->d_name), STR("session."));
    closedir(dir);
    return count;
}

/* Does a gateway that starts now get the lock? */
static bool is_free_for_next(void)
{
    struct vfs *volume = open_volume();
    struct vfs_file *f;
    vfs_inherit(volume, state_dir);
    int r = try_lock(volume, &f);
    assert_true(r == 0 || r == -EAGAIN);
    vfs_close(f);
    vfs_close_volume(volume);
    return r == 0;
}

static void ends_with_its_process(void **state)
{
    (void)state;
    pid_t holder = start_holder();
    assert_false(is_free_for_next());
    kill_holder(holder);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_session2"), 1);
    assert_true(is_free_for_next());
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_session2"), 0);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_flock"), 0);
    assert_int_equal(count_records(), 0);
}

/* Of two with one state folder, the one that lives keeps its session. */
static void leaves_the_living(void **state)
{
    (void)state;
    pid_t holder = start_holder();
    struct vfs *volume = open_volume();
    vfs_inherit(volume, state_dir);
    assert_int_equal(count_records(), 2);
    vfs_close_volume(volume);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_session2"), 1);
    assert_int_equal(count_records(), 1);
    kill_holder(holder);
}

/* A copy of a living gateway's state folder has its words, but not its lock. */
static void a_copy_proves_nothing(void **state)
{
    (void)state;
    char path[PATH_MAX + 300], copy[PATH_MAX + 32];
    CLEANUP(buf_done) struct buf text = buf_make(10000);
    pid_t holder = start_holder();
    record_path(path);
    assert_int_equal(fd_read_file(AT_FDCWD, path, &text), 0);
    (void)snprintf(copy, sizeof(copy), "%s/session.copy", state_dir);
    assert_int_equal(fd_write_file_atomic(AT_FDCWD, copy, buf_str(&text), 0600), 0);
    assert_false(is_free_for_next());
    assert_int_equal(count_records(), 1);
    kill_holder(holder);
}

static void replace_in_record(const char *what, const char *with)
{
    char path[PATH_MAX + 300];
    CLEANUP(buf_done) struct buf text = buf_make(10000), changed = buf_make(10000);
    record_path(path);
    assert_int_equal(fd_read_file(AT_FDCWD, path, &text), 0);
    ptrdiff_t at = str_find(buf_str(&text), str_z(what));
    assert_true(at >= 0);
    buf_add(&changed, str_first(buf_str(&text), (size_t)at));
    buf_addz(&changed, with);
    buf_add(&changed, str_from(buf_str(&text), (size_t)at + strlen(what)));
    CLEANUP(fd_closep) int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(fd_write_all(fd, changed.ptr, changed.len), 0);
}

/* Another machine's, where the lock might be its own affair; a number that is somebody else's by now; half a record. */
static void what_does_not_fit_is_left_to_expire(void **state)
{
    (void)state;
    static const struct {
        const char *what, *with, *sql;
    } rows[] = {
        {"boot ", "boot 0", NULL},
        {"file ", "file 1", NULL},
        {"sid ", "sid 7", NULL},
        {"\nsid", "", NULL},
        {"}\n", "", NULL},
        {"sid ", "sid ", "UPDATE jfs_session2 SET info = CAST(replace(info, 'ProcessID', 'processID') AS BLOB)"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        kill_holder(start_holder());
        replace_in_record(rows[i].what, rows[i].with);
        if (rows[i].sql)
            free(meta_rig_sql(&rig, rows[i].sql));
        if (is_free_for_next())
            fail_msg("row %zu", i);
        assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_session2"), 1);
        assert_int_equal(count_records(), 0);
        free(meta_rig_sql(&rig, "DELETE FROM jfs_session2"));
        free(meta_rig_sql(&rig, "DELETE FROM jfs_flock"));
    }
}

/* One state folder, two volumes: each is ended by its own gateway. */
static void another_volumes_waits_for_its_gateway(void **state)
{
    (void)state;
    char first[sizeof(rig.url)];
    kill_holder(start_holder());
    memcpy(first, rig.url, sizeof(first));
    (void)snprintf(rig.url, sizeof(rig.url), "sqlite3://%s/other.db", rig.dir);
    format();
    assert_true(is_free_for_next());
    assert_int_equal(count_records(), 1);
    memcpy(rig.url, first, sizeof(first));
    assert_true(is_free_for_next());
    assert_int_equal(count_records(), 0);
}

static void without_a_folder_it_serves_all_the_same(void **state)
{
    (void)state;
    struct vfs *volume = open_volume();
    vfs_inherit(volume, "/proc/self/status");
    vfs_inherit(volume, "/proc/self");
    vfs_close_volume(volume);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(ends_with_its_process),
        TEST(leaves_the_living),
        TEST(a_copy_proves_nothing),
        TEST(what_does_not_fit_is_left_to_expire),
        TEST(another_volumes_waits_for_its_gateway),
        TEST(without_a_folder_it_serves_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
