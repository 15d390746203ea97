/* A volume's data with a cache on disk. */
#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/metrics.h"
#include "tests/support/fake_meta.h"
#include "tests/support/jfs_objects.h"
#include "tests/support/store_rig.h"
#include "tests/support/tmpdir.h"
#include "vfs/data/block.h"

#define BLOCK (256 * 1024u)
#define FILE_INO 7
#define FILE_SIZE (5 * BLOCK + 1000)

struct fixture {
    char dir[PATH_MAX];
    struct store_rig *rig;
    struct store *store;
    struct fake_meta *meta;
    struct data *data;
    bool encrypted;
    char *bytes; /* of the file */
};

static void open_data_at(struct fixture *x, const char *dirs)
{
    const struct data_source source = fake_meta_source(x->meta);
    struct data_layout layout = {.block_size = BLOCK};
    if (x->encrypted) {
        const char *why;
        layout.codec.compression = COMPRESS_LZ4;
        assert_int_equal(
            data_cipher_new(str_z(jfs_key), STR_EMPTY, str_z(jfs_objects[4].algorithm), &layout.codec.cipher, &why), 0);
    }
    const struct data_options options = {.memory = 16 << 20,
                                         .uploads = 4,
                                         .downloads = 4,
                                         .disk = {.dirs = dirs, .bytes_max = 1 << 30, .free_min = 0.0001}};
    x->data = data_new(x->store, &source, &layout, &options, STR("volume"));
}

static void open_data(struct fixture *x)
{
    open_data_at(x, x->dir);
}

static void write_file(struct fixture *x)
{
    struct data_writer *w;
    assert_int_equal(data_writer_open(x->data, FILE_INO, NULL, &w), 0);
    assert_int_equal(data_writer_write(w, str_of(x->bytes, FILE_SIZE), 0), 0);
    assert_int_equal(data_writer_flush(w), 0);
    data_writer_close(w);
}

static int setup(void **state)
{
    struct fixture *x = calloc(1, sizeof(*x));
    char bucket[64], text[256];
    struct buf why = buf_over(text, sizeof(text));
    assert_true(tmpdir_make(x->dir));
    x->rig = store_rig_start();
    (void)snprintf(bucket, sizeof(bucket), "http://127.0.0.1:%u/b", store_rig_port(x->rig));
    const struct store_config config = {.storage = STR("s3"),
                                        .bucket = str_z(bucket),
                                        .prefix = STR("v/"),
                                        .access_key = STR("k"),
                                        .secret_key = STR("s")};
    assert_int_equal(store_open(&config, &x->store, &why), 0);
    x->meta = fake_meta_new();
    x->bytes = malloc(FILE_SIZE);
    for (uint32_t i = 0; i < FILE_SIZE; i++)
        x->bytes[i] = (char)((i * 2654435761u) >> 13);
    open_data(x);
    write_file(x);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *x = *state;
#ifdef SLUICE_FAULTS
    fault_set_for_test(NULL);
#endif
    data_close(x->data);
    fake_meta_free(x->meta);
    store_close(x->store);
    store_rig_stop(x->rig);
    assert_true(tmpdir_remove(x->dir));
    free(x->bytes);
    free(x);
    return 0;
}

/* As another process would find things. */
static void reopen(struct fixture *x)
{
    data_close(x->data);
    open_data(x);
}

static void assert_reads(struct fixture *x, uint64_t offset, size_t size)
{
    char *out = malloc(size);
    assert_int_equal(data_read(x->data, FILE_INO, offset, out, size), size);
    assert_memory_equal(out, x->bytes + offset, size);
    free(out);
}

static uint64_t value(const char *name)
{
    return metric_value_for_test(metric_get(METRIC_COUNTER, name, "", ""));
}

static bool is_cached(struct fixture *x, uint32_t at)
{
    struct meta_slice record = fake_meta_record(x->meta, 0, &(meta_ino){0}, &(uint32_t){0});
    struct block_id id = block_at(record.id, record.size, at, BLOCK);
    return disk_cache_has(x->data->disk, &id);
}

static void wait_until_cached(struct fixture *x)
{
    for (uint32_t at = 0; at < FILE_SIZE; at += BLOCK) {
        for (int i = 0; !is_cached(x, at); i++) {
            assert_true(i < 1000);
            usleep(5000);
        }
    }
}

static void fill_cache(struct fixture *x)
{
    assert_reads(x, 0, FILE_SIZE);
    wait_until_cached(x);
}

static void test_second_process_asks_the_store_for_nothing(void **state)
{
    struct fixture *x = *state;
    fill_cache(x);
    reopen(x);
    unsigned before = store_rig_requests(x->rig);
    uint64_t misses = value("juicefs_blockcache_miss"), hit_bytes = value("juicefs_blockcache_hit_bytes");
    assert_reads(x, 0, FILE_SIZE);
    reopen(x);
    assert_reads(x, 2 * BLOCK + 77, 1000); /* a piece */
    assert_int_equal(store_rig_requests(x->rig), before);
    assert_int_equal(value("juicefs_blockcache_miss"), misses);
    assert_int_equal(value("juicefs_blockcache_hit_bytes") - hit_bytes, FILE_SIZE + 1000);
}

/* Small pieces come alone from the store, and their blocks after them: the next ones come from the disk. */
static void test_random_reads_warm_the_disk(void **state)
{
    struct fixture *x = *state;
    reopen(x);
    assert_false(is_cached(x, 3 * BLOCK));
    assert_reads(x, 3 * BLOCK + 5000, 100);
    for (int i = 0; !is_cached(x, 3 * BLOCK); i++) {
        assert_true(i < 1000);
        usleep(5000);
    }
    reopen(x);
    unsigned before = store_rig_requests(x->rig);
    assert_reads(x, 3 * BLOCK + 90000, 100);
    assert_int_equal(store_rig_requests(x->rig), before);
}

static void test_small_writes_are_cached(void **state)
{
    struct fixture *x = *state;
    /* The file's last block is short: it was put into memory when it was uploaded. */
    for (int i = 0; !is_cached(x, 5 * BLOCK); i++) {
        assert_true(i < 1000);
        usleep(5000);
    }
    assert_false(is_cached(x, 0));
}

static struct fixture *walked;
static int damage(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)ftw;
    if (flag != FTW_F || strstr(path, "index"))
        return 0;
    int fd = open(path, O_RDWR);
    char c = 0;
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &c, 1, st->st_size / 2), 1);
    c = (char)~c;
    assert_int_equal(pwrite(fd, &c, 1, st->st_size / 2), 1);
    close(fd);
    return 0;
}

static void test_damaged_blocks_are_fetched_anew(void **state)
{
    struct fixture *x = *state;
    fill_cache(x);
    reopen(x);
    uint64_t damaged = value("sluice_cache_disk_damaged_total");
    walked = x;
    assert_int_equal(nftw(x->dir, damage, 16, FTW_PHYS), 0);
    assert_reads(x, 0, FILE_SIZE);
    assert_int_equal(value("sluice_cache_disk_damaged_total") - damaged, 6);
    wait_until_cached(x);
    reopen(x);
    unsigned before = store_rig_requests(x->rig);
    assert_reads(x, 0, FILE_SIZE);
    assert_int_equal(store_rig_requests(x->rig), before);
}

static unsigned files_seen;
static int count_file(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    files_seen += flag == FTW_F && !strstr(path, "index");
    return 0;
}

static unsigned count_in(const char *dir)
{
    files_seen = 0;
    assert_int_equal(nftw(dir, count_file, 16, FTW_PHYS), 0);
    return files_seen;
}

/* Blocks are spread over the folders; each stays where it is when one more is added, unless the new one has it; the
 * loss of one is the loss of its blocks. */
static void test_several_disks(void **state)
{
    struct fixture *x = *state;
    char dirs[3][PATH_MAX], list[4 * PATH_MAX];
    for (int i = 0; i < 3; i++) {
        (void)snprintf(dirs[i], PATH_MAX, "%.200s/disk%d", x->dir, i);
        assert_int_equal(mkdir(dirs[i], 0700), 0);
    }
    fill_cache(x); /* in memory too: that the folders are filled by what is read again */
    (void)snprintf(list, sizeof(list), "%s/:%s:", dirs[0], dirs[1]);
    for (int slices = 0; slices < 5; slices++) { /* 30 blocks */
        data_close(x->data);
        fake_meta_clear(x->meta, FILE_INO);
        open_data_at(x, list);
        write_file(x);
        fill_cache(x);
    }
    assert_int_equal(count_in(dirs[0]) + count_in(dirs[1]), 30);
    assert_in_range(count_in(dirs[0]), 3, 27);
    /* In another order, and with one more. */
    (void)snprintf(list, sizeof(list), "%s:%s:%s", dirs[1], dirs[2], dirs[0]);
    data_close(x->data);
    open_data_at(x, list);
    unsigned there = 0;
    for (uint32_t at = 0; at < FILE_SIZE; at += BLOCK)
        there += is_cached(x, at);
    assert_in_range(there, 1, 6);
    uint64_t misses = value("juicefs_blockcache_miss");
    assert_reads(x, 0, FILE_SIZE);
    assert_true(value("juicefs_blockcache_miss") - misses <= 6 - there);
    wait_until_cached(x);
    assert_int_equal(count_in(dirs[0]) + count_in(dirs[1]) + count_in(dirs[2]), 30 + 6 - there);
    data_close(x->data);
    for (int i = 0; i < 2; i++)
        assert_true(tmpdir_remove(dirs[i]));
    open_data_at(x, list);
    assert_reads(x, 0, FILE_SIZE);
    wait_until_cached(x);
}

static void test_deleted_blocks_leave_the_disk(void **state)
{
    struct fixture *x = *state;
    fill_cache(x);
    struct meta_slice record = fake_meta_record(x->meta, 0, &(meta_ino){0}, &(uint32_t){0});
    assert_int_equal(data_delete_slice(x->data, record.id, record.size), 0);
    for (uint32_t at = 0; at < FILE_SIZE; at += BLOCK)
        assert_false(is_cached(x, at));
}

#ifdef SLUICE_FAULTS
static void test_failing_disk_fails_nobody(void **state)
{
    struct fixture *x = *state;
    static const char *const faults[] = {"disk.read", "disk.write", "disk.index", "disk.read:2:EUCLEAN"};
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
        fault_set_for_test(faults[i]);
        reopen(x);
        assert_reads(x, 0, FILE_SIZE);
        write_file(x);
        assert_reads(x, BLOCK + 10, 100);
    }
}
#endif

/* Nothing of an encrypted volume is on the cache's disk in clear. */

static bool found_clear;
static int look_for_clear(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)ftw;
    if (flag != FTW_F || strstr(path, "index"))
        return 0;
    struct buf text = buf_make((size_t)st->st_size + 1);
    assert_int_equal(fd_read_file(AT_FDCWD, path, &text), 0);
    if (memmem(text.ptr, text.len, walked->bytes + 100, 32) ||
        memmem(text.ptr, text.len, walked->bytes + 5 * BLOCK + 100, 32))
        found_clear = true;
    buf_done(&text);
    return 0;
}

static void open_encrypted(struct fixture *x)
{
    data_close(x->data);
    fake_meta_clear(x->meta, FILE_INO);
    x->encrypted = true;
    open_data(x);
    write_file(x);
}

static bool has_clear(struct fixture *x)
{
    walked = x;
    found_clear = false;
    assert_int_equal(nftw(x->dir, look_for_clear, 16, FTW_PHYS), 0);
    return found_clear;
}

static void test_encrypted_blocks_stay_so(void **state)
{
    struct fixture *x = *state;
    fill_cache(x);
    assert_true(has_clear(x)); /* the search finds what is there */
    assert_int_equal(tmpdir_remove(x->dir), true);
    assert_int_equal(mkdir(x->dir, 0700), 0);
    uint64_t writes = value("juicefs_blockcache_writes");
    open_encrypted(x);
    char out[1000];
    assert_int_equal(data_read(x->data, FILE_INO, 0, out, sizeof(out)), sizeof(out));
    assert_memory_equal(out, x->bytes, sizeof(out));
    assert_reads(x, 0, FILE_SIZE);
    for (int i = 0; value("juicefs_blockcache_writes") < writes + 6; i++) { /* all of its blocks */
        assert_true(i < 1000);
        usleep(5000);
    }
    assert_false(has_clear(x));
    reopen(x);
    unsigned before = store_rig_requests(x->rig);
    assert_reads(x, 0, FILE_SIZE);
    assert_int_equal(store_rig_requests(x->rig), before);
}

int main(void)
{
    assert_int_equal(log_open("/dev/null", LOG_ERROR, false), 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_second_process_asks_the_store_for_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_reads_warm_the_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_small_writes_are_cached, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_blocks_are_fetched_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(test_several_disks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deleted_blocks_leave_the_disk, setup, teardown),
#ifdef SLUICE_FAULTS
        cmocka_unit_test_setup_teardown(test_failing_disk_fails_nobody, setup, teardown),
#endif
        cmocka_unit_test_setup_teardown(test_encrypted_blocks_stay_so, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
