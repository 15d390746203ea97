#include "tests/support/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

static char folder[] = "/tmp/base_fd_test.XXXXXX";
static int folder_fd = -1;

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder_fd < 0 ? -1 : 0;
}

static size_t count_entries(void)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    size_t count = 0;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2; /* . and .. */
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlinkat(folder_fd, "file", 0); /* may be there or not */
    fd_closep(&folder_fd);
    return rmdir(folder);
}

static void closing_and_taking(void **state)
{
    (void)state;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    int taken = fd_take(&fd);
    assert_int_equal(fd, -1);
    fd_closep(&fd);
    int number = taken;
    assert_true(fcntl(number, F_GETFD) >= 0);
    fd_closep(&taken);
    assert_int_equal(taken, -1);
    assert_int_equal(fcntl(number, F_GETFD), -1);
}

static void reading_and_writing_at_offsets(void **state)
{
    (void)state;
    CLEANUP(fd_closep) int fd = openat(folder_fd, "file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char text[16] = "";
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, "0123456789", 10), 0);
    assert_int_equal(fd_pwrite_all(fd, "abc", 3, 8), 0);
    assert_int_equal(fd_pwrite_all(fd, NULL, 0, 0), 0);
    assert_int_equal(fd_pread_full(fd, text, sizeof(text), 6), 5);
    assert_string_equal(text, "67abc");
    assert_int_equal(fd_pread_full(fd, text, 2, 0), 2);
    assert_int_equal(fd_pread_full(fd, text, 2, 100), 0);
    assert_int_equal(fd_pread_full(-1, text, 2, 0), -EBADF);
    assert_int_equal(fd_write_all(-1, text, 2), -EBADF);
    assert_int_equal(fd_pwrite_all(-1, text, 2, 0), -EBADF);
}

/* More pieces than one call takes, empty ones among them. */
static void writing_pieces(void **state)
{
    (void)state;
    CLEANUP(fd_closep) int fd = openat(folder_fd, "file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct str at[100];
    char text[400], expected[400];
    size_t len = 0;
    assert_true(fd >= 0);
    for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
        at[i] = str_first(STR("0123456"), i * 5 % 8);
        memcpy(expected + len, at[i].ptr, at[i].len);
        len += at[i].len;
    }
    for (size_t count = 0; count <= ARRAY_SIZE(at); count++) {
        struct pieces p = pieces_at(at, count);
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(fd_pwrite_pieces(fd, p, 3), 0);
        ssize_t got = fd_pread_full(fd, text, sizeof(text), 3);
        assert_int_equal(got, pieces_len(p));
        assert_memory_equal(text, expected, (size_t)got);
    }
    assert_int_equal(fd_pwrite_pieces(-1, pieces_at(at, 2), 0), -EBADF);
}

static void reading_whole_files(void **state)
{
    (void)state;
    static char bytes[40000];
    memset(bytes, 'x', sizeof(bytes));
    assert_int_equal(fd_write_file_atomic(folder_fd, "file", str_of(bytes, sizeof(bytes)), 0600), 0);

    CLEANUP(buf_done) struct buf exact = buf_make(sizeof(bytes) + 1);
    buf_addc(&exact, '>');
    assert_int_equal(fd_read_file(folder_fd, "file", &exact), 0);
    assert_int_equal(exact.len, sizeof(bytes) + 1);
    assert_int_equal(exact.ptr[sizeof(bytes)], 'x');

    CLEANUP(buf_done) struct buf small = buf_make(sizeof(bytes));
    buf_addc(&small, '>');
    assert_int_equal(fd_read_file(folder_fd, "file", &small), -EFBIG);
    assert_string_equal(buf_z(&small), ">");
    assert_false(small.failed);
    assert_int_equal(fd_read_file(folder_fd, "absent", &small), -ENOENT);
    assert_int_equal(fd_read_file(folder_fd, ".", &small), -EISDIR);

    CLEANUP(buf_done) struct buf proc = buf_make(4096); /* its size is said to be 0 */
    assert_int_equal(fd_read_file(AT_FDCWD, "/proc/self/comm", &proc), 0);
    assert_true(proc.len > 0);
}

static void writing_atomically(void **state)
{
    (void)state;
    struct stat st;
    char path[64];
    CLEANUP(buf_done) struct buf b = buf_make(100);
    assert_int_equal(fd_write_file_atomic(folder_fd, "file", STR("one"), 0600), 0);
    assert_int_equal(fstatat(folder_fd, "file", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    (void)snprintf(path, sizeof(path), "%s/file", folder);
    assert_int_equal(fd_write_file_atomic(AT_FDCWD, path, STR("two"), 0600), 0);
    assert_int_equal(fd_read_file(folder_fd, "file", &b), 0);
    assert_string_equal(buf_z(&b), "two");
    assert_int_equal(fd_write_file_atomic(folder_fd, "file", STR_EMPTY, 0600), 0);
    assert_int_equal(fstatat(folder_fd, "file", &st, 0), 0);
    assert_int_equal(st.st_size, 0);
    assert_int_equal(count_entries(), 1);
}

static void failed_writes_leave_nothing(void **state)
{
    (void)state;
    size_t before = count_entries();
    assert_int_equal(fd_write_file_atomic(folder_fd, "absent/file", STR("x"), 0600), -ENOENT);
    assert_int_equal(mkdirat(folder_fd, "in-the-way", 0700), 0);
    assert_int_equal(fd_write_file_atomic(folder_fd, "in-the-way", STR("x"), 0600), -EISDIR);
    assert_int_equal(unlinkat(folder_fd, "in-the-way", AT_REMOVEDIR), 0);
    assert_int_equal(count_entries(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closing_and_taking),          cmocka_unit_test(reading_and_writing_at_offsets),
        cmocka_unit_test(writing_pieces),
        cmocka_unit_test(reading_whole_files),         cmocka_unit_test(writing_atomically),
        cmocka_unit_test(failed_writes_leave_nothing),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
