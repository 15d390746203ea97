/* Of a directory volume: files that are read again and again, without waiting, are what they are at that moment. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/contract/dir_volume_contract.h"

#define RECORD "user.test"
/* More than the clock's tick that two changes may share, and than a file is kept open for. */
#define SETTLED_MS 60
#define CLOSED_MS 1800

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* "content|record", or the error. */
struct answer {
    int error;
    struct vfs_attr attr;
    char text[64];
};

static struct answer ask(struct vfs_dir *root, const char *bucket, const char *path, bool may_wait)
{
    CLEANUP(vfs_dir_closep) struct vfs_dir *d = NULL;
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    CLEANUP(buf_done) struct buf record = buf_make(32);
    struct answer a = {0};
    char content[24];
    a.error = may_wait ? vfs_dir_open(root, str_z(bucket), NULL, &d) : vfs_dir_open_nowait(root, str_z(bucket), &d);
    if (a.error == 0)
        a.error = vfs_open(d, str_z(path), NULL, VFS_OPEN_READ, &f, &a.attr);
    if (a.error < 0)
        return a;
    int r = vfs_xattr_get(f, RECORD, &record);
    assert_true(r == 0 || r == -ENODATA);
    ssize_t got = vfs_read(f, content, sizeof(content), 0);
    assert_true(got >= 0);
    snprintf(a.text, sizeof(a.text), "%.*s|%s", (int)got, content, r < 0 ? "-" : buf_z(&record));
    return a;
}

/* As if it had been asked for some time. */
static struct answer ask_often(struct vfs_dir *root, const char *bucket, const char *path)
{
    struct answer a = {0};
    for (int i = 0; i < 4; i++) {
        (void)ask(root, bucket, path, true);
        a = ask(root, bucket, path, false);
    }
    return a;
}

#define assert_often(root, bucket, path, expected) assert_string_equal(ask_often((root), (bucket), (path)).text, (expected))
#define assert_never(root, bucket, path) assert_int_equal(ask_often((root), (bucket), (path)).error, -EAGAIN)

static void append(const char *path, const char *text)
{
    CLEANUP(fd_closep) int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void make(const struct volume_fixture *x, const char *path, const char *content)
{
    put(x->root, path, content);
    pause_ms(SETTLED_MS);
}

/* Descriptors of this process whose name has that in it. */
static int open_now(const char *part)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++) {
        char link[32], target[PATH_MAX];
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t len = readlink(link, target, sizeof(target) - 1);
        if (len < 0)
            continue;
        target[len] = '\0';
        count += strstr(target, part) != NULL;
    }
    return count;
}

/* Where nothing else changes the files, and their records are with them. */
static bool keeps_files(const struct volume_fixture *x)
{
    CLEANUP(vfs_dir_closep) struct vfs_dir *d = NULL;
    bool keeps = is_watchable(x) && strcmp(x->kind->name, "sidecar") != 0;
    assert_ok(vfs_mkdir(x->root, STR("probe"), NULL, 0));
    assert_int_equal(vfs_dir_open_nowait(x->root, STR("probe"), &d), keeps ? 0 : -EAGAIN);
    return keeps;
}

static void changes_are_seen(void **state)
{
    const struct volume_fixture *x = fixture_of(state);
    if (!keeps_files(x))
        return;
    make(x, "b/f", "one");
    assert_often(x->root, "b", "f", "one|-");
    assert_int_equal(open_now("/b/f"), 1);
    append(posix(x, "b/f"), "+two");
    struct answer a = ask_often(x->root, "b", "f");
    assert_string_equal(a.text, "one+two|-");
    assert_int_equal(a.attr.size, 7);
    pause_ms(SETTLED_MS);
    assert_often(x->root, "b", "f", "one+two|-");
    assert_ok(setxattr(posix(x, "b/f"), RECORD, "r1", 2, 0));
    assert_often(x->root, "b", "f", "one+two|r1");
    pause_ms(SETTLED_MS);
    assert_often(x->root, "b", "f", "one+two|r1");
    assert_ok(setxattr(posix(x, "b/f"), RECORD, "r2", 2, 0));
    assert_ok(chmod(posix(x, "b/f"), 0640));
    a = ask_often(x->root, "b", "f");
    assert_string_equal(a.text, "one+two|r2");
    assert_int_equal(a.attr.mode, 0640);
    pause_ms(SETTLED_MS);
    assert_often(x->root, "b", "f", "one+two|r2");
    assert_ok(removexattr(posix(x, "b/f"), RECORD));
    assert_often(x->root, "b", "f", "one+two|-");
}

static void other_files_of_the_name_are_seen(void **state)
{
    const struct volume_fixture *x = fixture_of(state);
    if (!keeps_files(x))
        return;
    make(x, "b/d/f", "old");
    make(x, "b/other", "new");
    assert_often(x->root, "b", "d/f", "old|-");
    assert_ok(rename(posix(x, "b/other"), posix(x, "b/d/f")));
    assert_often(x->root, "b", "d/f", "new|-");
    make(x, "b/d/f", "third"); /* through the volume */
    assert_often(x->root, "b", "d/f", "third|-");
    /* The directory above, and the bucket. */
    make(x, "b/e/f", "elsewhere");
    assert_ok(rename(posix(x, "b/d"), posix(x, "b/was")));
    assert_never(x->root, "b", "d/f");
    assert_ok(rename(posix(x, "b/e"), posix(x, "b/d")));
    assert_often(x->root, "b", "d/f", "elsewhere|-");
    make(x, "c/d/f", "another bucket's");
    assert_ok(rename(posix(x, "b"), posix(x, "a")));
    assert_ok(rename(posix(x, "c"), posix(x, "b")));
    assert_often(x->root, "b", "d/f", "another bucket's|-");
    assert_often(x->root, "a", "d/f", "elsewhere|-");
    assert_ok(unlink(posix(x, "b/d/f")));
    assert_never(x->root, "b", "d/f");
    assert_ok(symlink("../../a/d/f", posix(x, "b/d/f")));
    assert_never(x->root, "b", "d/f");
    /* Never was below this bucket, whatever is kept open of the other. */
    assert_often(x->root, "a", "d/f", "elsewhere|-");
    assert_ok(rename(posix(x, "b/d"), posix(x, "b/was")));
    assert_ok(symlink("../a/d", posix(x, "b/d")));
    assert_never(x->root, "b", "d/f");
}

static void removed_files_give_their_space_back(void **state)
{
    const struct volume_fixture *x = fixture_of(state);
    if (!keeps_files(x))
        return;
    make(x, "b/f", "one");
    make(x, "b/g", "two");
    assert_often(x->root, "b", "f", "one|-");
    assert_often(x->root, "b", "g", "two|-");
    assert_ok(unlink(posix(x, "b/f")));
    assert_never(x->root, "b", "f");
    assert_int_equal(open_now("/b/f"), 1);
    pause_ms(CLOSED_MS);
    assert_int_equal(open_now("/b/f"), 0);
    assert_int_equal(open_now("/b/g"), 0);
    assert_often(x->root, "b", "g", "two|-");
    assert_int_equal(open_now("/b/g"), 1);
}

/* There is room for some; and what readers hold stays as long as they do. */
static void many_files_are_read(void **state)
{
    enum { MANY = ROUNDS(3000, 300) };
    const struct volume_fixture *x = fixture_of(state);
    if (!keeps_files(x))
        return;
    char path[32], expected[32];
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof(path), "b/f%d", i);
        snprintf(expected, sizeof(expected), "%d", i);
        put(x->root, path, expected);
    }
    pause_ms(SETTLED_MS);
    CLEANUP(vfs_dir_closep) struct vfs_dir *d = NULL;
    CLEANUP(vfs_closep) struct vfs_file *held = NULL;
    assert_often(x->root, "b", "f7", "7|-");
    assert_ok(vfs_dir_open_nowait(x->root, STR("b"), &d));
    assert_ok(vfs_open(d, STR("f7"), NULL, VFS_OPEN_READ, &held, NULL));
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof(path), "f%d", i);
        snprintf(expected, sizeof(expected), "%d|-", i);
        assert_string_equal(ask(x->root, "b", path, true).text, expected);
        assert_string_equal(ask(x->root, "b", path, false).text, expected);
        assert_string_equal(ask(x->root, "b", path, false).text, expected);
    }
    char content[8];
    assert_int_equal(vfs_read(held, content, sizeof(content), 0), 1);
    assert_int_equal(content[0], '7');
}

int dir_reading_contract(const struct volume_kind *k)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(changes_are_seen, k),
        VOLUME_TEST(other_files_of_the_name_are_seen, k),
        VOLUME_TEST(removed_files_give_their_space_back, k),
        VOLUME_TEST(many_files_are_read, k),
    };
    return cmocka_run_group_tests_name("reading", tests, NULL, NULL);
}
