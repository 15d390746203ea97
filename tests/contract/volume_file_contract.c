/* Open files: content, attributes, extended attributes, locks, clones. */
#include "tests/contract/volume_contract.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"

static void reads_and_writes_ranges(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    struct vfs_attr attr;
    char text[32];
    assert_fails(vfs_open(root, STR("f"), NULL, VFS_OPEN_WRITE, &f, NULL), ENOENT);
    assert_ok(vfs_open(root, STR("f"), NULL, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &f, &attr));
    assert_int_equal(attr.size, 0);
    assert_ok(vfs_write(f, STR("world"), 6));
    assert_ok(vfs_write(f, STR("hello "), 0));
    assert_int_equal(vfs_read(f, text, sizeof(text), 0), 11);
    assert_memory_equal(text, "hello world", 11);
    assert_int_equal(vfs_read(f, text, 5, 6), 5);
    assert_int_equal(vfs_read(f, text, 5, 9), 2);
    assert_int_equal(vfs_read(f, text, 5, 11), 0);
    assert_int_equal(vfs_read(f, text, 5, 1ull << 40), 0);
    assert_ok(vfs_truncate(f, 5));
    assert_ok(vfs_fstat(f, &attr));
    assert_int_equal(attr.size, 5);
    assert_ok(vfs_sync(f));
    assert_fails(vfs_write(f, STR("x"), UINT64_MAX), EFBIG);
    struct str at[] = {STR("lo,"), STR(" "), STR_EMPTY, STR("pieces"), STR(" of any length")};
    assert_ok(vfs_write_pieces(f, pieces_at(at, ARRAY_SIZE(at)), 3));
    assert_ok(vfs_write_pieces(f, pieces_at(NULL, 0), 100));
    assert_int_equal(vfs_read(f, text, sizeof(text), 0), 27);
    assert_memory_equal(text, "hello, pieces of any length", 27);
}

static void opens_with_flags(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    struct vfs_file *f;
    struct vfs_attr attr;
    const unsigned create = VFS_OPEN_WRITE | VFS_OPEN_CREATE;
    assert_fails(vfs_open(root, STR("no/f"), NULL, create, &f, NULL), ENOENT);
    assert_ok(vfs_open(root, STR("f"), NULL, create | VFS_OPEN_EXCLUSIVE | VFS_OPEN_PRIVATE, &f, &attr));
    assert_int_equal(attr.mode, 0600);
    vfs_close(f);
    assert_fails(vfs_open(root, STR("f"), NULL, create | VFS_OPEN_EXCLUSIVE, &f, NULL), EEXIST);
    assert_ok(vfs_open(root, STR("f"), NULL, create, &f, NULL));
    vfs_close(f);
    assert_ok(vfs_mkdir(root, STR("d"), NULL, 0));
    assert_fails(vfs_open(root, STR("d"), NULL, VFS_OPEN_READ, &f, NULL), EISDIR);
    assert_ok(vfs_open(root, STR("d"), NULL, VFS_OPEN_DIRECTORY, &f, &attr));
    assert_int_equal(attr.type, VFS_DIRECTORY);
    vfs_close(f);
    assert_ok(vfs_open(root, STR("f"), NULL, VFS_OPEN_DIRECTORY, &f, &attr));
    assert_int_equal(attr.type, VFS_FILE);
    vfs_close(f);
    f = NULL;
    assert_fails(vfs_open(root, STR("none"), NULL, VFS_OPEN_READ, &f, NULL), ENOENT);
    assert_null(f); /* outputs stay untouched on failure */
}

/* Optional; but what is said without waiting is the same. */
static void answers_without_waiting(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_dir_closep) struct vfs_dir *d = NULL;
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    CLEANUP(buf_done) struct buf value = buf_make(100);
    struct vfs_attr attr;
    char text[8];
    assert_ok(vfs_mkdir(root, STR("d"), NULL, 0));
    put(root, "d/f", "bytes");
    assert_ok(vfs_dir_open(root, STR("d"), NULL, &d)); /* what somebody has looked at may be known */
    vfs_dir_closep(&d);
    int r = vfs_dir_open_nowait(root, STR("d"), &d);
    if (r == -EAGAIN)
        return;
    assert_ok(r);
    assert_fails(vfs_open(d, STR("f"), NULL, VFS_OPEN_READ, &f, NULL), EAGAIN); /* nobody has read it yet */
    for (int i = 0; i < 2; i++) {
        CLEANUP(vfs_dir_closep) struct vfs_dir *waiting = NULL;
        CLEANUP(vfs_closep) struct vfs_file *first = NULL;
        assert_ok(vfs_dir_open(root, STR("d"), NULL, &waiting));
        assert_ok(vfs_open(waiting, STR("f"), NULL, VFS_OPEN_READ, &first, NULL));
        assert_fails(vfs_xattr_get(first, "user.test", &value), ENODATA);
        assert_int_equal(vfs_read(first, text, sizeof(text), 0), 5);
    }
    assert_ok(vfs_open(d, STR("f"), NULL, VFS_OPEN_READ, &f, &attr));
    assert_int_equal(attr.size, 5);
    assert_fails(vfs_xattr_get(f, "user.test", &value), ENODATA);
    ssize_t got = vfs_read_nowait(f, text, sizeof(text), 1);
    if (got != -EAGAIN) {
        assert_int_equal(got, 4);
        assert_memory_equal(text, "ytes", 4);
    }
    assert_fails(vfs_open(d, STR("f"), NULL, VFS_OPEN_WRITE, &f, NULL), EAGAIN);
    r = vfs_lookup(d, STR("none"), NULL, &attr);
    assert_true(r == -ENOENT || r == -EAGAIN);
    assert_ok(vfs_unlink(root, STR("d/f"), NULL, NULL));
    struct vfs_file *gone;
    assert_fails(vfs_open(d, STR("f"), NULL, VFS_OPEN_READ, &gone, NULL), EAGAIN);
}

/* What is asked for often may be remembered, as long as it is true. */
static int lookup_without_waiting(struct vfs_dir *root, struct str name, struct str path)
{
    CLEANUP(vfs_dir_closep) struct vfs_dir *d = NULL;
    struct vfs_attr attr;
    int r = 0;
    for (int i = 0; i < 40 && r == 0; i++) {
        vfs_dir_closep(&d);
        r = vfs_dir_open_nowait(root, name, &d);
        if (r == 0 && i % 2 == 1)
            (void)!vfs_lookup(d, path, NULL, &attr);
    }
    return r < 0 ? r : vfs_lookup(d, path, NULL, &attr);
}

#define assert_absent(root, name)                                             \
    do {                                                                      \
        int absent_r_ = lookup_without_waiting(root, STR(name), STR(".sluice/config")); \
        assert_true(absent_r_ == -ENOENT || absent_r_ == -EAGAIN);            \
    } while (0)
#define assert_present(root, name)                                            \
    do {                                                                      \
        int present_r_ = lookup_without_waiting(root, STR(name), STR(".sluice/config")); \
        assert_true(present_r_ == 0 || present_r_ == -EAGAIN);                \
    } while (0)

static void remembers_only_what_is_true(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    assert_ok(vfs_mkdir(root, STR("b"), NULL, 0));
    assert_absent(root, "b");
    assert_ok(vfs_mkdir(root, STR("b/.sluice"), NULL, 0));
    assert_absent(root, "b");
    assert_ok(vfs_mkdir(root, STR("b/.sluice/config"), NULL, 0));
    assert_present(root, "b");
    assert_ok(vfs_rmdir(root, STR("b/.sluice/config"), NULL));
    assert_absent(root, "b");
    /* The directory of the absent name gives way to another, and that to none. */
    assert_ok(vfs_mkdir(root, STR("other"), NULL, 0));
    assert_ok(vfs_mkdir(root, STR("other/config"), NULL, 0));
    assert_ok(vfs_rename(root, STR("b/.sluice"), STR("aside"), NULL, 0));
    assert_ok(vfs_rename(root, STR("other"), STR("b/.sluice"), NULL, 0));
    assert_present(root, "b");
    assert_ok(vfs_rename(root, STR("b/.sluice"), STR("other"), NULL, 0));
    assert_absent(root, "b");
    assert_ok(vfs_rename(root, STR("other"), STR("b/.sluice"), NULL, 0));
    assert_present(root, "b");
    assert_ok(vfs_rename(root, STR("b/.sluice"), STR("other"), NULL, 0));
    assert_absent(root, "b");
    /* So does the first directory. */
    assert_ok(vfs_rename(root, STR("b"), STR("was"), NULL, 0));
    int r = lookup_without_waiting(root, STR("b"), STR(".sluice/config"));
    assert_true(r == -ENOENT || r == -EAGAIN);
    assert_ok(vfs_mkdir(root, STR("b"), NULL, 0));
    assert_ok(vfs_mkdir(root, STR("b/.sluice"), NULL, 0));
    assert_ok(vfs_mkdir(root, STR("b/.sluice/config"), NULL, 0));
    assert_present(root, "b");
    assert_absent(root, "was");
}

/* One thread makes and removes; others never see what had been over before they asked. */
struct asked {
    struct vfs_dir *root;
    atomic_uint turn; /* its remainder is a step */
    atomic_uint wrong;
    atomic_bool over;
};

enum { STEP_ABSENT, STEP_MAKING, STEP_PRESENT, STEP_REMOVING, STEPS };

static void *ask_all_the_time(void *arg)
{
    struct asked *a = arg;
    while (!atomic_load(&a->over)) {
        unsigned before = atomic_load(&a->turn);
        int r = lookup_without_waiting(a->root, STR("b"), STR(".sluice/config"));
        if (atomic_load(&a->turn) != before || r == -EAGAIN)
            continue;
        if ((before % STEPS == STEP_ABSENT && r != -ENOENT) || (before % STEPS == STEP_PRESENT && r != 0))
            atomic_fetch_add(&a->wrong, 1);
    }
    return NULL;
}

static void remembers_only_what_is_true_for_all(void **state)
{
    struct asked a = {.root = fixture_of(state)->root};
    pthread_t threads[2];
    assert_ok(vfs_mkdir(a.root, STR("b"), NULL, 0));
    assert_ok(vfs_mkdir(a.root, STR("b/.sluice"), NULL, 0));
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_all_the_time, &a), 0);
    for (int i = 0; i < 300; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
        atomic_fetch_add(&a.turn, 1);
        assert_ok(vfs_mkdir(a.root, STR("b/.sluice/config"), NULL, 0));
        atomic_fetch_add(&a.turn, 1);
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
        atomic_fetch_add(&a.turn, 1);
        assert_ok(vfs_rmdir(a.root, STR("b/.sluice/config"), NULL));
        atomic_fetch_add(&a.turn, 1);
    }
    atomic_store(&a.over, true);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&a.wrong), 0);
}

static void lends_a_descriptor(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    char text[8];
    put(root, "f", "bytes");
    assert_ok(vfs_open(root, STR("f"), NULL, VFS_OPEN_READ, &f, NULL));
    int fd = vfs_file_fd(f);
    if (fd == -ENOTSUP)
        return;
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, text, sizeof(text), 0), 5);
}

/* Optional, too; but what is lent are the file's bytes, as they were, whatever becomes of the file. */
static void lends_bytes(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    enum { SIZE = 700000, LOANS_MAX = 32 };
    char *in = malloc(SIZE), *out = malloc(SIZE);
    struct vfs_loan loans[LOANS_MAX];
    size_t from[LOANS_MAX], count = 0;
    struct vfs_publish how = {.mode = VFS_PUBLISH_REPLACE};
    for (size_t i = 0; i < SIZE; i++)
        in[i] = (char)('a' + i * 31 / 17 % 26);
    assert_ok(try_put(root, "f", str_of(in, SIZE), &how));
    assert_ok(vfs_open(root, STR("f"), NULL, VFS_OPEN_READ, &f, NULL));
    assert_fails(vfs_lend(f, 0, 0, &loans[0]), EINVAL);
    assert_fails(vfs_lend(f, UINT64_MAX, 1, &loans[0]), EINVAL);
    assert_fails(vfs_lend(f, SIZE, 1, &loans[0]), EAGAIN);
    for (size_t at = 0; at < SIZE;) {
        int r = count < LOANS_MAX ? vfs_lend(f, at, SIZE - at, &loans[count]) : -EAGAIN;
        size_t part = SIZE - at < 50000 ? SIZE - at : 50000;
        if (r == -EAGAIN) {
            assert_int_equal(vfs_read(f, out + at, part, at), part);
        } else {
            assert_ok(r);
            part = loans[count].bytes.len;
            assert_in_range(part, 1, SIZE - at);
            memcpy(out + at, loans[count].bytes.ptr, part);
            from[count++] = at;
        }
        at += part;
    }
    assert_memory_equal(out, in, SIZE);
    vfs_closep(&f);
    put(root, "f", "replaced");
    assert_ok(vfs_unlink(root, STR("f"), NULL, NULL));
    for (size_t i = 0; i < count; i++) {
        assert_memory_equal(loans[i].bytes.ptr, in + from[i], loans[i].bytes.len);
        vfs_loan_done(&loans[i]);
    }
    free(in);
    free(out);
}

static void sets_attributes(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    struct vfs_attr before, after;
    put(root, "f", "x");
    assert_ok(vfs_open(root, STR("f"), NULL, VFS_OPEN_READ, &f, &before));
    struct vfs_set set = {.which = VFS_SET_MTIME | VFS_SET_MODE, .mode = 0640, .mtime_ns = 1234567890123456789};
    assert_ok(vfs_setattr(f, NULL, &set));
    assert_ok(vfs_fstat(f, &after));
    assert_int_equal(after.mode, 0640);
    assert_int_equal(after.mtime_ns, 1234567890123456789);
    set = (struct vfs_set){.which = VFS_SET_MTIME, .mtime_ns = -1500000000};
    assert_ok(vfs_setattr(f, NULL, &set));
    assert_ok(vfs_lookup(root, STR("f"), NULL, &after));
    assert_int_equal(after.mtime_ns, -1500000000);
    assert_int_equal(after.ino, before.ino);
    assert_int_equal(after.uid, before.uid);
}

static void keeps_extended_attributes(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    CLEANUP(buf_done) struct buf value = buf_make(8192);
    put(root, "d/f", "x");
    assert_ok(vfs_open(root, STR("d/f"), NULL, VFS_OPEN_WRITE, &f, NULL));
    assert_fails(vfs_xattr_get(f, "user.t", &value), ENODATA);
    assert_ok(vfs_xattr_remove(f, NULL, "user.t"));
    assert_ok(vfs_xattr_set(f, NULL, "user.t", STR("one\0two")));
    buf_addz(&value, "<");
    assert_ok(vfs_xattr_get(f, "user.t", &value)); /* appends */
    assert_true(str_eq(buf_str(&value), STR("<one\0two")));
    assert_ok(vfs_xattr_set(f, NULL, "user.t", STR_EMPTY));
    buf_reset(&value);
    assert_ok(vfs_xattr_get(f, "user.t", &value));
    assert_int_equal(value.len, 0);
    assert_ok(vfs_xattr_remove(f, NULL, "user.t"));
    assert_fails(vfs_xattr_get(f, "user.t", &value), ENODATA);
    char large[3900];
    memset(large, 'v', sizeof(large));
    assert_ok(vfs_xattr_set(f, NULL, "user.t", str_of(large, sizeof(large))));
    assert_ok(vfs_xattr_get(f, "user.t", &value));
    assert_int_equal(value.len, sizeof(large));
    struct buf small = buf_make(10);
    assert_fails(vfs_xattr_get(f, "user.t", &small), EFBIG);
    buf_done(&small);
}

/* Whatever the filesystem below has room for. */
static void keeps_large_attributes(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    CLEANUP(buf_done) struct buf value = buf_make(LIMIT_OBJECT_RECORD_BYTES);
    char *large = malloc(LIMIT_OBJECT_RECORD_BYTES + 1);
    assert_non_null(large);
    memset(large, 'v', LIMIT_OBJECT_RECORD_BYTES + 1);
    assert_ok(vfs_stage(x->root, STR("d/f"), NULL, 0, &f));
    assert_ok(vfs_xattr_set(f, NULL, "user.t", str_of(large, LIMIT_OBJECT_RECORD_BYTES)));
    assert_fails(vfs_xattr_set(f, NULL, "user.t", str_of(large, LIMIT_OBJECT_RECORD_BYTES + 1)), E2BIG);
    assert_ok(vfs_publish(f, x->root, STR("d/f"), NULL, &(struct vfs_publish){.mode = VFS_PUBLISH_REPLACE}, NULL));
    vfs_closep(&f);
    volume_reopen(x, VFS_SYNC_ALWAYS);
    assert_ok(vfs_open(x->root, STR("d/f"), NULL, VFS_OPEN_WRITE, &f, NULL));
    assert_ok(vfs_xattr_get(f, "user.t", &value));
    assert_true(str_eq(buf_str(&value), str_of(large, LIMIT_OBJECT_RECORD_BYTES)));
    free(large);
    assert_ok(vfs_xattr_set(f, NULL, "user.t", STR("small again")));
    buf_reset(&value);
    assert_ok(vfs_xattr_get(f, "user.t", &value));
    assert_str(buf_str(&value), "small again");
    assert_ok(vfs_xattr_remove(f, NULL, "user.t"));
    assert_fails(vfs_xattr_get(f, "user.t", &value), ENODATA);
}

static void keeps_extended_attributes_of_directories(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    CLEANUP(buf_done) struct buf value = buf_make(64);
    assert_ok(vfs_mkdir(root, STR("d"), NULL, 0));
    assert_ok(vfs_open(root, STR("d"), NULL, VFS_OPEN_DIRECTORY, &f, NULL));
    assert_ok(vfs_xattr_set(f, NULL, "user.t", STR("v")));
    assert_ok(vfs_xattr_get(f, "user.t", &value));
    assert_str(buf_str(&value), "v");
}

static void attributes_go_with_the_file(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    for (int i = 0; i < 20; i++) { /* often enough that inode numbers come again */
        CLEANUP(vfs_closep) struct vfs_file *f = NULL;
        CLEANUP(buf_done) struct buf value = buf_make(64);
        put(root, "f", "x");
        assert_ok(vfs_open(root, STR("f"), NULL, VFS_OPEN_WRITE, &f, NULL));
        assert_fails(vfs_xattr_get(f, "user.t", &value), ENODATA);
        assert_ok(vfs_xattr_set(f, NULL, "user.t", STR("v")));
        if (i % 2)
            assert_ok(vfs_unlink(root, STR("f"), NULL, NULL));
    }
}

static void locks_between_open_files(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    struct vfs *other = x->kind->open(x->kind, VFS_SYNC_NONE);
    struct vfs_file *a, *b;
    put(x->root, "f", "x");
    assert_ok(vfs_open(x->root, STR("f"), NULL, VFS_OPEN_READ, &a, NULL));
    assert_ok(vfs_open(vfs_root(other), STR("f"), NULL, VFS_OPEN_READ, &b, NULL));
    assert_ok(vfs_lock(a, true));
    assert_fails(vfs_lock(b, true), EAGAIN);
    assert_fails(vfs_lock(b, false), EAGAIN);
    vfs_close(a);
    assert_ok(vfs_lock(b, false));
    assert_ok(vfs_open(x->root, STR("f"), NULL, VFS_OPEN_READ, &a, NULL));
    assert_ok(vfs_lock(a, false));
    vfs_close(a);
    vfs_close(b);
    vfs_close_volume(other);
}

/* Clones */

static void fill(char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 31 + (i >> 12));
}

static void clone_all(struct vfs_file *dst, uint64_t dst_at, struct vfs_file *src, uint64_t src_at, uint64_t size)
{
    while (size > 0) {
        uint64_t done = UINT64_MAX;
        assert_ok(vfs_clone_range(dst, dst_at, src, src_at, size, &done));
        assert_true(done > 0 && done <= size);
        dst_at += done;
        src_at += done;
        size -= done;
    }
}

static void clones_ranges(void **state)
{
    enum { SIZE = 3 * 1024 * 1024 + 17 };
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_closep) struct vfs_file *src = NULL;
    CLEANUP(vfs_closep) struct vfs_file *dst = NULL;
    static char bytes[SIZE], back[SIZE];
    uint64_t done = 1;
    fill(bytes, SIZE);
    put(root, "src", "");
    assert_ok(vfs_open(root, STR("src"), NULL, VFS_OPEN_WRITE, &src, NULL));
    assert_ok(vfs_write(src, str_of(bytes, SIZE), 0));
    assert_ok(vfs_stage(root, STR("dst"), NULL, SIZE, &dst));
    static const struct {
        uint64_t dst, src, size;
    } rows[] = {{0, 0, SIZE}, {4096, 8192, 65536}, {1, 3, 2000001}, {0, SIZE - 5, 5}, {65536, 0, 4096}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        clone_all(dst, rows[i].dst, src, rows[i].src, rows[i].size);
        assert_int_equal(vfs_read(dst, back, rows[i].size, rows[i].dst), rows[i].size);
        assert_memory_equal(back, bytes + rows[i].src, rows[i].size);
    }
    assert_ok(vfs_clone_range(dst, 0, src, SIZE, 10, &done));
    assert_int_equal(done, 0);
    assert_ok(vfs_clone_range(dst, 0, src, 0, 0, &done));
    assert_int_equal(done, 0);
    assert_ok(vfs_clone_range(dst, 0, src, SIZE - 3, 100, &done)); /* ends with the source */
    assert_int_equal(done, 3);
}

int volume_file_contract(const struct volume_kind *k)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(reads_and_writes_ranges, k),
        VOLUME_TEST(opens_with_flags, k),
        VOLUME_TEST(answers_without_waiting, k),
        VOLUME_TEST(remembers_only_what_is_true, k),
        VOLUME_TEST(remembers_only_what_is_true_for_all, k),
        VOLUME_TEST(lends_a_descriptor, k),
        VOLUME_TEST(lends_bytes, k),
        VOLUME_TEST(sets_attributes, k),
        VOLUME_TEST(keeps_extended_attributes, k),
        VOLUME_TEST(keeps_large_attributes, k),
        VOLUME_TEST(keeps_extended_attributes_of_directories, k),
        VOLUME_TEST(attributes_go_with_the_file, k),
        VOLUME_TEST(locks_between_open_files, k),
        VOLUME_TEST(clones_ranges, k),
    };
    return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
