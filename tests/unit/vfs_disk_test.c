#include "tests/support/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/random.h"
#include "tests/support/tmpdir.h"
#include "vfs/data/disk_dir.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ROUNDS(normal, slow) (slow)
#else
#define ROUNDS(normal, slow) (normal)
#endif

#define BODY_MAX (256 * 1024u)
#define RETRY_MS 20

/* A cache in a folder of its own. */
struct fixture {
    char dir[PATH_MAX];
    struct disk_dir *cache;
    struct disk_writer writer;
};

static struct disk_dir *open_cache(const struct fixture *x, uint64_t bytes_max, uint64_t items_max, double free_min)
{
    const struct disk_dir_options o = {.path = str_z(x->dir),
                                       .volume = STR("volume"),
                                       .bytes_max = bytes_max,
                                       .items_max = items_max,
                                       .free_min = free_min,
                                       .mode = 0600,
                                       .form = DISK_PLAIN,
                                       .retry_ms = RETRY_MS};
    return disk_dir_new(&o);
}

static int setup(void **state)
{
    struct fixture *x = calloc(1, sizeof(*x));
    assert_true(tmpdir_make(x->dir));
    x->cache = open_cache(x, 1ull << 30, 0, 0.0001);
    disk_writer_init(&x->writer, malloc(disk_file_size(BODY_MAX)));
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *x = *state;
#ifdef SLUICE_FAULTS
    fault_set_for_test(NULL);
#endif
    clock_set_wall_for_test(0);
    disk_writer_done(&x->writer);
    disk_dir_free(x->cache);
    (void)umount(x->dir); /* mounted by few tests */
    assert_true(tmpdir_remove(x->dir));
    free(x->writer.file);
    free(x);
    return 0;
}

static void reopen(struct fixture *x, uint64_t bytes_max, uint64_t items_max, double free_min)
{
    disk_writer_done(&x->writer);
    disk_dir_free(x->cache);
    x->cache = open_cache(x, bytes_max, items_max, free_min);
}

/* What a block holds follows from what it is. */

static void fill(char *out, const struct block_id *id)
{
    uint64_t seed = id->slice * 1000003 + id->index;
    for (uint32_t i = 0; i < id->size; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        out[i] = (char)(seed >> 56);
    }
}

static int put(struct fixture *x, uint64_t slice, uint32_t size)
{
    const struct block_id id = {slice, 0, size};
    fill(x->writer.file, &id);
    return disk_dir_put(x->cache, &x->writer, &id, size);
}

/* 0: right bytes; -ENOENT. Wrong bytes end the process, in children too. */
static int get(struct fixture *x, uint64_t slice, uint32_t size)
{
    const struct block_id id = {slice, 0, size};
    char *expected = malloc(size), *got = malloc(size);
    fill(expected, &id);
    int rc = disk_dir_read(x->cache, &id, 0, size, got);
    if (rc == 0 && memcmp(expected, got, size) != 0)
        abort();
    free(expected);
    free(got);
    return rc;
}

static void path_of(const struct fixture *x, uint64_t slice, uint32_t size, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%.200s/volume/sluice-1/%03x/%ju_0_%u", x->dir, (unsigned)(slice % 1024),
                   (uintmax_t)slice, size);
}

static void index_path(const struct fixture *x, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%.200s/volume/sluice-1/index", x->dir);
}

/* Files of blocks, and their bytes on the disk as the index counts them. */
static struct disk_usage count_files(const struct fixture *x)
{
    struct disk_usage u = {0};
    char folder[PATH_MAX];
    for (unsigned i = 0; i < 1024; i++) {
        (void)snprintf(folder, sizeof(folder), "%.200s/volume/sluice-1/%03x", x->dir, i);
        DIR *d = opendir(folder);
        struct stat st;
        for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
            if (e->d_name[0] == '.' || fstatat(dirfd(d), e->d_name, &st, 0) < 0)
                continue;
            u.items++;
            u.bytes += ((uint64_t)st.st_size + 4095) / 4096 * 4096;
        }
        if (d)
            closedir(d);
    }
    return u;
}

static struct disk_usage tended_usage(struct fixture *x)
{
    disk_dir_tend(x->cache);
    return disk_dir_usage(x->cache);
}

static void assert_counts_are_true(struct fixture *x)
{
    struct disk_usage files = count_files(x), index = tended_usage(x);
    assert_int_equal(index.items, files.items);
    assert_int_equal(index.bytes, files.bytes);
}

static void pause_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* Tends until the state is reached. */
static void wait_for(struct fixture *x, enum disk_state state)
{
    for (int i = 0; disk_dir_state(x->cache) != state; i++) {
        assert_true(i < 500);
        pause_ms(10);
        disk_dir_tend(x->cache);
    }
}

/* One file */

static void test_every_size_and_range(void **state)
{
    struct fixture *x = *state;
    const uint32_t sizes[] = {
        1, 2, 4095, DISK_PIECE - 1, DISK_PIECE, DISK_PIECE + 1, 3 * DISK_PIECE, BODY_MAX - 1, BODY_MAX};
    char *expected = malloc(BODY_MAX), *got = malloc(BODY_MAX);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        const struct block_id id = {i + 1, 0, sizes[i]};
        fill(expected, &id);
        assert_int_equal(put(x, id.slice, id.size), 0);
        assert_true(disk_dir_has(x->cache, &id));
        for (int k = 0; k < 50; k++) {
            uint32_t from = (uint32_t)(random_u64() % id.size), size = 1 + (uint32_t)(random_u64() % (id.size - from));
            if (k == 0) {
                from = 0;
                size = id.size;
            }
            assert_int_equal(disk_dir_read(x->cache, &id, from, size, got), 0);
            assert_memory_equal(got, expected + from, size);
        }
        size_t whole;
        assert_int_equal(disk_dir_read_body(x->cache, &id, got, BODY_MAX, &whole), 0);
        assert_int_equal(whole, id.size);
        assert_memory_equal(got, expected, id.size);
    }
    assert_counts_are_true(x);
    free(expected);
    free(got);
}

static void test_other_blocks_are_not_there(void **state)
{
    struct fixture *x = *state;
    char byte;
    assert_int_equal(put(x, 7, 100), 0);
    const struct block_id others[] = {{7, 1, 100}, {7, 0, 101}, {7 + 1024, 0, 100}, {8, 0, 100}};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        assert_int_equal(disk_dir_read(x->cache, &others[i], 0, 1, &byte), -ENOENT);
        assert_false(disk_dir_has(x->cache, &others[i]));
        assert_false(disk_dir_remove(x->cache, &others[i]));
    }
    /* A file under another's name is not believed. */
    char from[PATH_MAX], to[PATH_MAX];
    path_of(x, 7, 100, from);
    path_of(x, 7 + 1024, 100, to);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(get(x, 7 + 1024, 100), -ENOENT);
    assert_int_equal(access(to, F_OK), -1);
}

static void flip(const char *path, off_t at)
{
    int fd = open(path, O_RDWR);
    char c = 0;
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c = (char)(c ^ 0x20);
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    /* Old enough to be complete. */
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(futimens(fd, old), 0);
    close(fd);
}

/* Whichever byte is damaged: right bytes or none, and what is damaged goes and comes again. */
static void test_every_damaged_byte(void **state)
{
    struct fixture *x = *state;
    char path[PATH_MAX];
    const uint32_t size = 333;
    unsigned dropped = 0;
    for (off_t at = 0; at < (off_t)disk_file_size(size); at++) {
        assert_int_equal(put(x, 5, size), 0);
        path_of(x, 5, size, path);
        flip(path, at);
        int rc = get(x, 5, size);
        assert_int_equal(rc == 0, access(path, F_OK) == 0);
        dropped += rc < 0;
        (void)disk_dir_remove(x->cache, &(struct block_id){5, 0, size});
    }
    assert_int_equal(dropped, disk_file_size(size) - sizeof(uint32_t)); /* but for the slot */
}

static void test_every_cut(void **state)
{
    struct fixture *x = *state;
    char path[PATH_MAX];
    const uint32_t size = 50;
    path_of(x, 5, size, path);
    for (off_t length = 0; length < (off_t)disk_file_size(size); length++) {
        assert_int_equal(put(x, 5, size), 0);
        assert_int_equal(truncate(path, length), 0);
        assert_int_equal(get(x, 5, size), -ENOENT);
        assert_int_equal(access(path, F_OK), 0); /* somebody may be writing it */
        const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
        assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
        assert_int_equal(get(x, 5, size), -ENOENT);
        assert_int_equal(access(path, F_OK), -1);
    }
}

static void test_damage_is_in_one_piece(void **state)
{
    struct fixture *x = *state;
    char path[PATH_MAX], got[100];
    const struct block_id id = {9, 0, 3 * DISK_PIECE};
    assert_int_equal(put(x, id.slice, id.size), 0);
    path_of(x, id.slice, id.size, path);
    flip(path, DISK_PIECE + 17);
    assert_int_equal(disk_dir_read(x->cache, &id, 10, sizeof(got), got), 0);
    assert_int_equal(disk_dir_read(x->cache, &id, 2 * DISK_PIECE + 10, sizeof(got), got), 0);
    assert_int_equal(disk_dir_read(x->cache, &id, DISK_PIECE - 50, sizeof(got), got), -ENOENT);
    assert_false(disk_dir_has(x->cache, &id));
    assert_int_equal(disk_dir_state(x->cache), DISK_ON);
}

/* Limits */

static void test_stays_after_reopening(void **state)
{
    struct fixture *x = *state;
    for (uint64_t i = 1; i <= 50; i++)
        assert_int_equal(put(x, i, (uint32_t)(i * 100)), 0);
    reopen(x, 1ull << 30, 0, 0.0001);
    for (uint64_t i = 1; i <= 50; i++)
        assert_int_equal(get(x, i, (uint32_t)(i * 100)), 0);
    assert_counts_are_true(x);
    for (uint64_t i = 1; i <= 50; i++)
        assert_true(disk_dir_remove(x->cache, &(struct block_id){i, 0, (uint32_t)(i * 100)}));
    assert_counts_are_true(x);
    assert_int_equal(disk_dir_usage(x->cache).items, 0);
}

static void test_bytes_and_items_are_bounded(void **state)
{
    struct fixture *x = *state;
    reopen(x, 40 * 8192, 0, 0.0001);
    for (uint64_t i = 1; i <= 200; i++) {
        assert_int_equal(put(x, i, 5000), 0);
        assert_true(count_files(x).bytes <= 40 * 8192);
    }
    assert_int_equal(tended_usage(x).items, 40);
    assert_counts_are_true(x);
    reopen(x, 1ull << 30, 13, 0.0001);
    assert_int_equal(tended_usage(x).items, 13);
    for (uint64_t i = 300; i <= 330; i++)
        assert_int_equal(put(x, i, 10), 0);
    assert_int_equal(count_files(x).items, 13);
    assert_counts_are_true(x);
    /* What is larger than the whole cache has no place. */
    reopen(x, 4096, 0, 0.0001);
    assert_int_equal(put(x, 1000, 5000), -ENOSPC);
}

/* What is used stays, by far most of it. */
static void test_unused_goes_first(void **state)
{
    struct fixture *x = *state;
    int64_t now_ns = 1000000ll * 1000000000;
    clock_set_wall_for_test(now_ns);
    reopen(x, 1000 * 4096, 0, 0.0001);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(put(x, i, 100), 0);
    for (uint64_t round = 1; round <= 20; round++) {
        clock_set_wall_for_test(now_ns += 60ll * 1000000000);
        for (uint64_t i = 0; i < 200; i++)
            (void)get(x, i, 100);
        for (uint64_t i = 0; i < 150; i++)
            assert_int_equal(put(x, round * 1000 + i, 100), 0);
    }
    unsigned kept = 0;
    for (uint64_t i = 0; i < 200; i++)
        kept += get(x, i, 100) == 0;
    assert_in_range(kept, 190, 200);
    assert_counts_are_true(x);
}

/* The index */

static uint64_t bytes_read(void)
{
    char text[256];
    struct buf b = buf_over(text, sizeof(text));
    assert_int_equal(fd_read_file(AT_FDCWD, "/proc/self/io", &b), 0);
    unsigned long long n = 0;
    assert_int_equal(sscanf(buf_z(&b), "rchar: %llu", &n), 1);
    return n;
}

/* However many records there are, opening reads next to nothing. */
static void test_start_reads_no_records(void **state)
{
    struct fixture *x = *state;
    const uint32_t count = ROUNDS(100000, 5000);
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%.200s/volume/sluice-1", x->dir);
    int folder = open(path, O_RDONLY | O_DIRECTORY);
    struct disk_index *index;
    assert_int_equal(disk_index_open(folder, 0600, 1024, &index), 0);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot;
        assert_int_equal(disk_index_add(index, &(struct block_id){i, 0, 1000}, 4096, &slot), 0);
        assert_int_equal(slot, i);
    }
    disk_index_close(index);
    close(folder);
    disk_dir_free(x->cache);
    uint64_t before = bytes_read();
    x->cache = open_cache(x, 1ull << 40, 0, 0.0001);
    assert_int_equal(put(x, count + 1, 10), 0);
    assert_int_equal(get(x, count + 1, 10), 0);
    assert_in_range(bytes_read() - before, 64, 4096);
    assert_int_equal(tended_usage(x).items, count + 1);
}

static void test_lost_index_is_built_again(void **state)
{
    struct fixture *x = *state;
    char path[PATH_MAX];
    for (uint64_t i = 1; i <= 300; i++)
        assert_int_equal(put(x, i, 1000), 0);
    index_path(x, path);
    assert_int_equal(unlink(path), 0);
    reopen(x, 100 * 4096, 0, 0.0001);
    assert_int_equal(get(x, 17, 1000), 0); /* found all the same, and known from now on */
    for (int i = 0; i < 1100 && count_files(x).items > 100; i++)
        disk_dir_tend(x->cache);
    for (int i = 0; i < 1100; i++)
        disk_dir_tend(x->cache);
    assert_int_equal(count_files(x).items, 100);
    assert_counts_are_true(x);
}

/* Damage anywhere in the index costs records, nothing else. */
static void test_damaged_index_does_no_harm(void **state)
{
    struct fixture *x = *state;
    char path[PATH_MAX];
    index_path(x, path);
    reopen(x, 60 * 4096, 0, 0.0001);
    for (int round = 0; round < ROUNDS(60, 10); round++) {
        for (uint64_t i = 0; i < 40; i++) {
            uint64_t slice = random_u64() % 100;
            if (get(x, slice, 500) < 0)
                assert_int_equal(put(x, slice, 500), 0);
            if (i % 7 == 0)
                (void)disk_dir_remove(x->cache, &(struct block_id){random_u64() % 100, 0, 500});
        }
        int fd = open(path, O_RDWR);
        char junk[64];
        random_bytes(junk, sizeof(junk));
        off_t size = lseek(fd, 0, SEEK_END),
              at = round % 3 == 0 ? (off_t)(random_u64() % 64) : (off_t)(random_u64() % (uint64_t)size);
        assert_true(pwrite(fd, junk, 1 + random_u64() % sizeof(junk), at) > 0);
        close(fd);
    }
    assert_int_equal(disk_dir_state(x->cache), DISK_ON);
    /* Lost once more, so that the scrub adopts what has no record. */
    assert_int_equal(truncate(path, 0), 0);
    for (int i = 0; i < 1200; i++)
        disk_dir_tend(x->cache);
    assert_counts_are_true(x);
    assert_in_range(count_files(x).items, 1, 60);
}

/* Several processes */

/* Puts, gets and removes at random among many blocks, until rounds have passed; 0: for ever. */
static void use(struct fixture *x, unsigned rounds)
{
    for (unsigned i = 0; rounds == 0 || i < rounds; i++) {
        uint64_t slice = random_u64() % 400;
        uint32_t size = 1 + (uint32_t)(slice * 97 % 20000);
        if (get(x, slice, size) < 0 && put(x, slice, size) < 0)
            abort();
        if (i % 10 == 0)
            (void)disk_dir_remove(x->cache, &(struct block_id){slice, 0, size});
    }
}

static pid_t start_user(struct fixture *x, uint64_t bytes_max, unsigned rounds)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct fixture mine = *x;
        mine.cache = open_cache(x, bytes_max, 0, 0.0001);
        disk_writer_init(&mine.writer, malloc(disk_file_size(BODY_MAX)));
        use(&mine, rounds);
        _exit(disk_dir_state(mine.cache) == DISK_ON ? 0 : 1);
    }
    return pid;
}

static void test_processes_share_a_cache(void **state)
{
    struct fixture *x = *state;
    const uint64_t bytes_max = 150 * 12288;
    pid_t users[4];
    for (size_t i = 0; i < ARRAY_SIZE(users); i++)
        users[i] = start_user(x, bytes_max, ROUNDS(3000, 300));
    for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
        int status;
        assert_int_equal(waitpid(users[i], &status, 0), users[i]);
        assert_int_equal(status, 0);
    }
    /* Each may have put one block more than there was room for. */
    assert_true(count_files(x).bytes <= bytes_max + 4 * 24576);
    reopen(x, bytes_max, 0, 0.0001);
    disk_dir_tend(x->cache);
    assert_int_equal(disk_dir_state(x->cache), DISK_ON);
    for (uint64_t slice = 0; slice < 400; slice++)
        (void)get(x, slice, 1 + (uint32_t)(slice * 97 % 20000)); /* aborts on wrong bytes */
    /* Records whose files were removed in between are found when it comes to them. */
    struct disk_usage files = count_files(x), index = tended_usage(x);
    assert_true(index.bytes >= files.bytes && index.items >= files.items);
    assert_true(index.items <= files.items + 40);
}

static void test_killed_at_any_moment(void **state)
{
    struct fixture *x = *state;
    const uint64_t bytes_max = 100 * 12288;
    for (int round = 0; round < ROUNDS(60, 15); round++) {
        pid_t users[2];
        for (size_t i = 0; i < ARRAY_SIZE(users); i++)
            users[i] = start_user(x, bytes_max, 0);
        struct timespec t = {.tv_nsec = (long)(1 + random_u64() % 40) * 1000000};
        nanosleep(&t, NULL);
        for (size_t i = 0; i < ARRAY_SIZE(users); i++)
            assert_int_equal(kill(users[i], SIGKILL), 0);
        for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
            int status;
            assert_int_equal(waitpid(users[i], &status, 0), users[i]);
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        }
        reopen(x, bytes_max, 0, 0.0001);
        use(x, 20);
        assert_int_equal(disk_dir_state(x->cache), DISK_ON);
        /* No file is without a record, but for those that were being written; so the bound holds. */
        assert_true(count_files(x).bytes <= bytes_max + 3 * 24576);
        for (uint64_t slice = 0; slice < 400; slice++)
            (void)get(x, slice, 1 + (uint32_t)(slice * 97 % 20000));
    }
}

/* A process that was stopped while it holds the lock delays who writes, a while, and nobody who reads. */
static void test_lock_of_another_is_not_waited_for_long(void **state)
{
    struct fixture *x = *state;
    char path[PATH_MAX];
    assert_int_equal(put(x, 1, 100), 0);
    index_path(x, path);
    int fd = open(path, O_RDWR);
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
    uint64_t began_ms = clock_mono_ms();
    assert_int_equal(get(x, 1, 100), 0);
    assert_true(clock_mono_ms() - began_ms < 1000);
    assert_int_equal(put(x, 2, 100), -ENOENT);
    assert_int_equal(disk_dir_state(x->cache), DISK_OFF);
    close(fd);
    wait_for(x, DISK_ON);
    assert_int_equal(put(x, 2, 100), 0);
}

/* Disks that fail */

#ifdef SLUICE_FAULTS
static void test_failing_disk_is_left_alone(void **state)
{
    struct fixture *x = *state;
    static const char *const faults[] = {"disk.read", "disk.write", "disk.index", "disk.index:2"};
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
        assert_int_equal(put(x, 1, 1000), 0);
        fault_set_for_test(faults[i]);
        for (uint64_t k = 0; k < 5; k++) { /* each of them is met by some step of these */
            (void)get(x, 1, 1000);
            (void)put(x, 100 + i * 10 + k, 1000);
        }
        assert_int_equal(disk_dir_state(x->cache), DISK_OFF);
        assert_int_equal(get(x, 1, 1000), -ENOENT);
        assert_int_equal(put(x, 2, 1000), -ENOENT);
        wait_for(x, DISK_ON);
        assert_int_equal(get(x, 1, 1000), 0);
    }
    disk_dir_tend(x->cache);
    assert_counts_are_true(x);
}

/* A trial that fails makes the pause longer. */
static void test_trials_go_on(void **state)
{
    struct fixture *x = *state;
    fault_set_for_test("disk.write");
    assert_int_equal(put(x, 1, 1000), -ENOENT);
    assert_int_equal(disk_dir_state(x->cache), DISK_OFF);
    fault_set_for_test("disk.trial:2");
    pause_ms(RETRY_MS + 5);
    disk_dir_tend(x->cache); /* the first goes well */
    assert_int_equal(disk_dir_state(x->cache), DISK_ON);
    fault_set_for_test("disk.write");
    assert_int_equal(put(x, 1, 1000), -ENOENT);
    fault_set_for_test("disk.trial");
    pause_ms(RETRY_MS + 5);
    disk_dir_tend(x->cache);
    assert_int_equal(disk_dir_state(x->cache), DISK_OFF);
    wait_for(x, DISK_ON);
    assert_int_equal(put(x, 1, 1000), 0);
}

static void *read_in_background(void *arg)
{
    (void)get(arg, 1, 1000);
    return NULL;
}

/* While one waits for an answer, others do not. */
static void test_disk_without_answer(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(put(x, 1, 1000), 0);
    fault_set_for_test("disk.read:1:sleep5000");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_in_background, x), 0);
    pause_ms(LIMIT_DISK_CACHE_SLOW_MS + 300);
    uint64_t began_ms = clock_mono_ms();
    assert_int_equal(get(x, 1, 1000), -ENOENT);
    assert_int_equal(disk_dir_state(x->cache), DISK_OFF);
    disk_dir_tend(x->cache); /* no trial while somebody waits */
    assert_true(clock_mono_ms() - began_ms < 1000);
    assert_int_equal(disk_dir_state(x->cache), DISK_OFF);
    assert_int_equal(pthread_join(thread, NULL), 0);
    wait_for(x, DISK_ON);
    assert_int_equal(get(x, 1, 1000), 0);
}
#endif

static void test_folder_that_cannot_be_used(void **state)
{
    struct fixture *x = *state;
    char file[PATH_MAX];
    (void)snprintf(file, sizeof(file), "%.200s/in-the-way", x->dir);
    int fd = open(file, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    const struct disk_dir_options o = {.path = str_z(file),
                                       .volume = STR("volume"),
                                       .bytes_max = 1 << 20,
                                       .mode = 0600,
                                       .form = DISK_PLAIN,
                                       .retry_ms = RETRY_MS};
    disk_dir_free(x->cache);
    x->cache = disk_dir_new(&o);
    assert_int_equal(disk_dir_state(x->cache), DISK_OFF);
    assert_int_equal(put(x, 1, 10), -ENOENT);
    assert_int_equal(unlink(file), 0);
    wait_for(x, DISK_ON);
    assert_int_equal(put(x, 1, 10), 0);
    /* A volume's name leads nowhere else. */
    const char *const bad[] = {"", "..", ".hidden", "a/b", "../a"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct disk_dir_options other = o;
        other.volume = str_z(bad[i]);
        struct disk_dir *d = disk_dir_new(&other);
        assert_int_equal(disk_dir_state(d), DISK_OFF);
        disk_dir_free(d);
    }
}

/* Full disks */

static void mount_small(struct fixture *x, const char *options)
{
    if (mount("sluice-test", x->dir, "tmpfs", 0, options) < 0)
        skip(); /* not root */
}

static void test_free_space_is_kept(void **state)
{
    struct fixture *x = *state;
    mount_small(x, "size=8m");
    reopen(x, 1ull << 40, 0, 0.25);
    struct statvfs fs;
    for (uint64_t i = 1; i <= 200; i++) {
        assert_int_equal(put(x, i, 100000), 0);
        assert_int_equal(statvfs(x->dir, &fs), 0);
        assert_true(fs.f_bavail * 4 >= fs.f_blocks);
    }
    assert_in_range(count_files(x).items, 40, 70);
    /* Others fill the disk: the cache makes room for them. */
    char path[PATH_MAX];
    static const char block[1 << 20];
    (void)snprintf(path, sizeof(path), "%.200s/others", x->dir);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    for (int i = 0; i < 7; i++) {
        ssize_t n = write(fd, block, sizeof(block));
        disk_dir_tend(x->cache);
        if (n < (ssize_t)sizeof(block))
            break;
    }
    assert_int_equal(count_files(x).items, 0);
    assert_int_equal(disk_dir_state(x->cache), DISK_FULL);
    assert_int_equal(put(x, 999, 100000), -ENOSPC);
    assert_int_equal(ftruncate(fd, 0), 0);
    close(fd);
    wait_for(x, DISK_ON);
    assert_int_equal(put(x, 999, 100000), 0);
    assert_counts_are_true(x);
}

static void test_free_inodes_are_kept(void **state)
{
    struct fixture *x = *state;
    mount_small(x, "size=64m,nr_inodes=1000");
    reopen(x, 1ull << 40, 0, 0.5);
    struct statvfs fs;
    for (uint64_t i = 1; i <= 1500; i++) {
        int rc = put(x, 1024 * i, 100); /* all in one folder, which needs an inode too */
        assert_int_equal(rc, 0);
        assert_int_equal(statvfs(x->dir, &fs), 0);
        assert_true(fs.f_favail * 2 >= fs.f_files - 4);
    }
    assert_in_range(count_files(x).items, 450, 500);
}

static void test_no_space_is_no_harm(void **state)
{
    struct fixture *x = *state;
    mount_small(x, "size=1m");
    reopen(x, 1ull << 40, 0, 0.0000001); /* no room is kept: writes fail */
    unsigned stored = 0;
    for (uint64_t i = 1; i <= 100; i++) {
        stored += put(x, i, 60000) == 0;
        if (disk_dir_state(x->cache) == DISK_FULL)
            disk_dir_tend(x->cache);
        assert_int_not_equal(disk_dir_state(x->cache), DISK_OFF);
    }
    assert_in_range(stored, 10, 100);
    unsigned there = 0;
    for (uint64_t i = 1; i <= 100; i++)
        there += get(x, i, 60000) == 0;
    assert_in_range(there, 5, 17);
}

int main(void)
{
    assert_int_equal(log_open("/dev/null", LOG_ERROR, false), 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_size_and_range, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_blocks_are_not_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_damaged_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage_is_in_one_piece, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stays_after_reopening, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bytes_and_items_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unused_goes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_start_reads_no_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_index_is_built_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_index_does_no_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_processes_share_a_cache, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_at_any_moment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lock_of_another_is_not_waited_for_long, setup, teardown),
#ifdef SLUICE_FAULTS
        cmocka_unit_test_setup_teardown(test_failing_disk_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trials_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk_without_answer, setup, teardown),
#endif
        cmocka_unit_test_setup_teardown(test_folder_that_cannot_be_used, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_space_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_inodes_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_space_is_no_harm, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
