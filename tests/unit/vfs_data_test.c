#include "tests/support/unit.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/random.h"
#include "tests/support/fake_meta.h"
#include "tests/support/store_rig.h"
#include "tests/support/tmpdir.h"
#include "vfs/data/block.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ROUNDS(normal, slow) (slow)
#else
#define ROUNDS(normal, slow) (normal)
#endif

#define BLOCK (64 * 1024u)
#define FILE_INO 7

/* A volume's data over a store of files and metadata in memory. */

struct fixture {
    char dir[PATH_MAX];
    struct store *store;
    struct fake_meta *meta;
    struct data *data;
};

static void open_data(struct fixture *x, enum compress_kind compression, uint64_t memory)
{
    const struct data_source source = fake_meta_source(x->meta);
    const struct data_layout layout = {.block_size = BLOCK, .codec.compression = compression};
    const struct data_options options = {.memory = memory, .uploads = 4, .downloads = 4};
    x->data = data_new(x->store, &source, &layout, &options, STR("volume"));
}

static int setup(void **state)
{
    struct fixture *x = calloc(1, sizeof(*x));
    char bucket[PATH_MAX + 2], text[256];
    struct buf why = buf_over(text, sizeof(text));
    assert_true(tmpdir_make(x->dir));
    (void)snprintf(bucket, sizeof(bucket), "%s/", x->dir);
    const struct store_config config = {.storage = STR("file"), .bucket = str_z(bucket), .prefix = STR("vol/"),
                                        .no_sync = true, .backoff_ms = 1, .attempts_max = 2};
    assert_int_equal(store_open(&config, &x->store, &why), 0);
    assert_int_equal(store_create(x->store), 0);
    x->meta = fake_meta_new();
    open_data(x, COMPRESS_NONE, 0);
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
    assert_true(tmpdir_remove(x->dir));
    free(x);
    return 0;
}

static void reopen(struct fixture *x, enum compress_kind compression, uint64_t memory)
{
    data_close(x->data);
    open_data(x, compression, memory);
}

static struct data_writer *open_writer(struct fixture *x)
{
    struct data_writer *w;
    assert_int_equal(data_writer_open(x->data, FILE_INO, NULL, &w), 0);
    return w;
}

static size_t count_objects(struct fixture *x)
{
    struct store_scan *scan = store_scan_open(x->store, STR_EMPTY, STR_EMPTY);
    struct store_object o;
    size_t count = 0;
    while (store_scan_next(scan, &o) == 1)
        count++;
    store_scan_close(scan);
    return count;
}

static void fill(char *out, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1103515245u + 12345;
        out[i] = (char)(seed >> 16);
    }
}

static void assert_reads(struct fixture *x, uint64_t offset, const char *expected, size_t size)
{
    char *out = malloc(size + 1);
    assert_int_equal(data_read(x->data, FILE_INO, offset, out, size), size);
    for (size_t i = 0; i < size; i++)
        if (out[i] != expected[i])
            fail_msg("byte %zu of [%ju, +%zu) differs", i, (uintmax_t)offset, size);
    free(out);
}

/* Keys */

static void test_block_keys(void **state)
{
    (void)state;
    static const struct {
        uint64_t slice;
        bool hash;
        const char *key;
    } rows[] = {{1, false, "chunks/0/0/1_0_4194304"},
                {123456789, false, "chunks/123/123456/123456789_0_4194304"},
                {123456789, true, "chunks/15/123/123456789_0_4194304"},
                {999, true, "chunks/E7/0/999_0_4194304"}};
    char memory[BLOCK_KEY_MAX];
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct block_id id = block_at(rows[i].slice, 5000000, 0, 4194304);
        assert_str(block_key(&id, rows[i].hash, memory), rows[i].key);
    }
    struct block_id last = block_at(1, 5000000, 4999999, 4194304);
    assert_str(block_key(&last, false, memory), "chunks/0/0/1_1_805696");
    assert_int_equal(block_count(4194304, 4194304), 1);
    assert_int_equal(block_count(4194305, 4194304), 2);
}

/* What lists of objects hold is foreign: only the exact spelling is a block's. */
static void test_keys_of_blocks(void **state)
{
    (void)state;
    static const char *const others[] = {"",
                                         "chunks",
                                         "chunks/0/0/1_0",
                                         "chunks/0/0/1_0_5_6",
                                         "chunks/0/0/01_0_5",
                                         "chunks/0/0/+1_0_5",
                                         "chunks/0/1/1_0_5",
                                         "chunks/1_0_5",
                                         "chunks/0/0/1_0_5000000000",
                                         "chunks/0/0/99999999999999999999_0_5",
                                         "chunks/0/0/_0_5",
                                         "chunks/0/0/1__5",
                                         "chunk/0/0/1_0_5"};
    struct block_id b;
    assert_true(block_parse(STR("chunks/123/123456/123456789_3_5"), false, &b));
    assert_int_equal(b.slice, 123456789);
    assert_int_equal(b.index, 3);
    assert_int_equal(b.size, 5);
    assert_true(block_parse(STR("chunks/15/123/123456789_3_5"), true, &b));
    assert_false(block_parse(STR("chunks/15/123/123456789_3_5"), false, &b));
    assert_false(block_parse(STR("chunks/123/123456/123456789_3_5"), true, &b));
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        assert_false(block_parse(str_z(others[i]), false, &b));
        assert_false(block_parse(str_z(others[i]), true, &b));
    }
    const struct block_id of = {1, 1, 10}, longer = {1, 1, 11}, behind = {1, 2, 10}, full = {1, 0, 64};
    assert_true(block_is_of(&of, 74, 64));
    assert_true(block_is_of(&full, 74, 64));
    assert_false(block_is_of(&longer, 74, 64));
    assert_false(block_is_of(&behind, 74, 64));
    assert_false(block_is_of(&full, 0, 64));
}

/* Writing and reading */

static void test_small_file(void **state)
{
    struct fixture *x = *state;
    struct data_writer *w = open_writer(x);
    assert_int_equal(data_writer_write(w, STR("hello "), 0), 0);
    assert_int_equal(data_writer_write(w, STR("world"), 6), 0);
    assert_int_equal(data_writer_length(w, 3), 11);
    assert_int_equal(data_writer_length(w, 300), 300);
    assert_int_equal(fake_meta_count(x->meta), 0);
    assert_int_equal(data_writer_flush(w), 0);
    assert_int_equal(fake_meta_count(x->meta), 1);
    assert_int_equal(data_writer_length(w, 3), 3); /* the metadata knows it now */
    assert_reads(x, 0, "hello world\0\0", 13);
    assert_reads(x, 4, "o w", 3);
    assert_int_equal(data_writer_flush(w), 0);
    assert_int_equal(fake_meta_count(x->meta), 1);
    data_writer_close(w);
    struct store_object o;
    assert_int_equal(store_head(x->store, STR("chunks/0/0/1_0_11"), &o), 0);
    assert_int_equal(o.size, 11);
}

static void test_holes_overwrites_and_chunks(void **state)
{
    struct fixture *x = *state;
    struct data_writer *w = open_writer(x);
    char *in = calloc(1, 300000), expected[100] = {0};
    fill(in, 300000, 1);
    uint64_t edge = META_CHUNK_SIZE - 100000;
    assert_int_equal(data_writer_write(w, str_of(in, 300000), edge), 0);
    assert_int_equal(data_writer_write(w, STR("xyz"), edge + 5), 0); /* the block is with an upload: a new slice */
    assert_int_equal(data_writer_write(w, STR("end"), 5 * META_CHUNK_SIZE), 0);
    assert_int_equal(data_writer_flush(w), 0);
    memcpy(in + 5, "xyz", 3);
    assert_reads(x, edge, in, 300000);
    assert_reads(x, 0, expected, 100);
    assert_reads(x, 3 * META_CHUNK_SIZE, expected, 100);
    assert_reads(x, 5 * META_CHUNK_SIZE, "end\0", 4);
    data_writer_close(w);
    free(in);
}

static void test_closing_flushes(void **state)
{
    struct fixture *x = *state;
    struct data_writer *w = open_writer(x);
    assert_int_equal(data_writer_write(w, STR("kept"), 10), 0);
    data_writer_close(w);
    assert_reads(x, 10, "kept", 4);
}

static void test_refuses_what_the_format_cannot_hold(void **state)
{
    struct fixture *x = *state;
    struct data_writer *w = open_writer(x);
    char out[8];
    assert_int_equal(data_writer_write(w, STR("x"), 1ull << 57), -EFBIG);
    assert_int_equal(data_writer_write(w, STR("x"), UINT64_MAX), -EFBIG);
    assert_int_equal(data_read(x->data, FILE_INO, UINT64_MAX, out, 1), -EINVAL);
    assert_int_equal(data_writer_flush(w), 0);
    data_writer_close(w);
}

/* Any mixture of writes, flushes and reads shows what a plain array would. Two windows of the file, one over a chunk's edge. */

#define WINDOW (7 * BLOCK)
static const uint64_t windows[] = {0, META_CHUNK_SIZE - 3 * BLOCK - 17};

static void random_step(struct fixture *x, struct data_writer *w, char *model)
{
    uint64_t r = random_u64();
    size_t window = r % 2, at = (size_t)(r >> 8) % WINDOW;
    size_t size = (r >> 40) % 4 == 0 ? (size_t)(r >> 48) % (2 * BLOCK) : (size_t)(r >> 48) % 3000;
    if (size > WINDOW - at)
        size = WINDOW - at;
    char *m = model + window * WINDOW + at;
    switch ((r >> 1) % 8) {
    case 0:
        assert_int_equal(data_writer_flush(w), 0);
        break;
    case 1:
    case 2:
        assert_int_equal(data_writer_flush(w), 0);
        assert_reads(x, windows[window] + at, m, size);
        break;
    default:
        fill(m, size, (unsigned)r);
        assert_int_equal(data_writer_write(w, str_of(m, size), windows[window] + at), 0);
    }
}

static void run_model(struct fixture *x, unsigned steps)
{
    char *model = calloc(2, WINDOW);
    struct data_writer *w = open_writer(x);
    for (unsigned i = 0; i < steps; i++)
        random_step(x, w, model);
    assert_int_equal(data_writer_flush(w), 0);
    for (size_t i = 0; i < 2; i++)
        assert_reads(x, windows[i], model + i * WINDOW, WINDOW);
    data_writer_close(w);
    fake_meta_clear(x->meta, FILE_INO);
    data_forget(x->data, FILE_INO);
    free(model);
}

static void test_model(void **state)
{
    struct fixture *x = *state;
    static const enum compress_kind kinds[] = {COMPRESS_NONE, COMPRESS_LZ4, COMPRESS_ZSTD};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        reopen(x, kinds[i], 0);
        run_model(x, ROUNDS(600, 150));
        reopen(x, kinds[i], 4 * BLOCK); /* hardly any memory */
        run_model(x, ROUNDS(200, 60));
    }
}

/* Commits */

struct commit_check {
    struct fixture *x;
    unsigned calls, fail_at;
    int error;
};

/* §2.2: all blocks are in the store when the metadata hears of the slice. */
static int check_blocks(void *arg, meta_ino ino, uint32_t indx, const struct meta_slice *s)
{
    struct commit_check *c = arg;
    (void)ino, (void)indx;
    for (uint32_t i = 0; i < block_count(s->size, BLOCK); i++) {
        struct block_id id = block_at(s->id, s->size, i * BLOCK, BLOCK);
        char memory[BLOCK_KEY_MAX];
        struct store_object o;
        CHECK(store_head(c->x->store, block_key(&id, false, memory), &o) == 0);
    }
    return ++c->calls == c->fail_at ? c->error : 0;
}

static void test_blocks_first_then_commits_in_order(void **state)
{
    struct fixture *x = *state;
    struct commit_check c = {.x = x};
    fake_meta_on_commit(x->meta, check_blocks, &c);
    struct data_writer *w = open_writer(x);
    char *in = malloc(5 * BLOCK);
    fill(in, 5 * BLOCK, 3);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(data_writer_write(w, str_of(in, (i * 7919) % (5 * BLOCK) + 1), (uint64_t)(i * 104729) % (9 * BLOCK)), 0);
    assert_int_equal(data_writer_flush(w), 0);
    uint64_t last = 0;
    for (size_t i = 0; i < fake_meta_count(x->meta); i++) {
        meta_ino ino;
        uint32_t indx;
        struct meta_slice s = fake_meta_record(x->meta, i, &ino, &indx);
        assert_true(s.id > last); /* one writer: ids are given in the order of beginning */
        last = s.id;
    }
    assert_int_equal(c.calls, fake_meta_count(x->meta));
    data_writer_close(w);
    free(in);
}

/* 64 MiB written in a row are one slice a chunk, begun to upload long before the end. */
static void test_large_file(void **state)
{
    struct fixture *x = *state;
    struct data_writer *w = open_writer(x);
    char *in = malloc(1024 * 1024);
    fill(in, 1024 * 1024, 5);
    for (uint64_t i = 0; i < 70; i++)
        assert_int_equal(data_writer_write(w, str_of(in, 1024 * 1024), i * 1024 * 1024), 0);
    assert_int_equal(data_writer_flush(w), 0);
    assert_int_equal(fake_meta_count(x->meta), 2);
    for (uint64_t i = 0; i < 70; i++)
        assert_reads(x, i * 1024 * 1024, in, 1024 * 1024);
    data_writer_close(w);
    free(in);
}

/* What was not committed is deleted behind the writer's back. */
static void wait_for_objects(struct fixture *x, size_t count)
{
    for (int i = 0; i < 2000 && count_objects(x) != count; i++)
        usleep(5000);
    assert_int_equal(count_objects(x), count);
}

static void test_definite_refusals_delete_blocks(void **state)
{
    struct fixture *x = *state;
    static const struct {
        int error;
        bool kept;
    } rows[] = {{-ENOENT, false}, {-ENOSPC, false}, {-EDQUOT, false}, {-EIO, true}, {-EBUSY, true}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct commit_check c = {.x = x, .fail_at = 1, .error = rows[i].error};
        size_t before = count_objects(x);
        fake_meta_on_commit(x->meta, check_blocks, &c);
        struct data_writer *w = open_writer(x);
        assert_int_equal(data_writer_write(w, STR("one"), 0), 0);
        assert_int_equal(data_writer_write(w, STR("two"), 100), 0); /* dropped, whatever the error: it was not tried */
        assert_int_equal(data_writer_flush(w), rows[i].error);
        assert_int_equal(data_writer_flush(w), rows[i].error);
        assert_int_equal(data_writer_write(w, STR("three"), 200), rows[i].error);
        data_writer_close(w);
        assert_int_equal(fake_meta_count(x->meta), 0);
        wait_for_objects(x, before + (rows[i].kept ? 1 : 0));
    }
}

#ifdef SLUICE_FAULTS
/* The n-th use of a step fails: the writer says so, nothing after the failure is committed, what is committed can be read, and
 * no memory is lost (teardown checks the budget). */
static void test_faults(void **state)
{
    struct fixture *x = *state;
    static const char *const points[] = {"data.store", "data.commit", "store.file.write"};
    char *in = malloc(6 * BLOCK);
    fill(in, 6 * BLOCK, 9);
    for (size_t p = 0; p < ARRAY_SIZE(points); p++) {
        bool failed = true;
        for (unsigned n = 1; failed; n++) {
            char spec[64];
            (void)snprintf(spec, sizeof(spec), "%s:%u:EIO", points[p], n);
            fake_meta_clear(x->meta, FILE_INO);
            data_forget(x->data, FILE_INO);
            struct data_writer *w = open_writer(x);
            fault_set_for_test(spec);
            int rc = data_writer_write(w, str_of(in, 3 * BLOCK + 5), 0);
            if (rc == 0)
                rc = data_writer_write(w, str_of(in, 2 * BLOCK), 10 * BLOCK);
            int flushed = data_writer_flush(w);
            assert_int_equal(data_writer_flush(w), flushed);
            fault_set_for_test(NULL);
            failed = flushed < 0;
            if (failed)
                assert_int_equal(flushed, -EIO);
            if (rc < 0)
                assert_int_equal(rc, flushed);
            data_writer_close(w);
            if (!failed) {
                assert_reads(x, 0, in, 3 * BLOCK + 5);
                assert_reads(x, 10 * BLOCK, in, 2 * BLOCK);
            }
            assert_in_range(n, 1, 100);
        }
    }
    free(in);
}
#endif

/* Reading what is not as it should be */

static void put_slice(struct fixture *x, uint64_t id, const char *text)
{
    char memory[BLOCK_KEY_MAX];
    struct block_id b = block_at(id, (uint32_t)strlen(text), 0, BLOCK);
    assert_int_equal(store_put(x->store, block_key(&b, false, memory), str_z(text)), 0);
}

static struct meta_slice whole(uint64_t id, uint32_t size)
{
    return (struct meta_slice){.id = id, .size = size, .len = size};
}

static void test_missing_and_damaged_blocks(void **state)
{
    struct fixture *x = *state;
    char out[16];
    fake_meta_add(x->meta, FILE_INO, 0, whole(500, 5));
    assert_int_equal(data_read(x->data, FILE_INO, 0, out, 5), -EIO);
    put_slice(x, 500, "later");
    assert_reads(x, 0, "later", 5); /* a failure is not remembered */
    assert_int_equal(store_put(x->store, STR("chunks/0/0/501_0_5"), STR("four")), 0);
    fake_meta_add(x->meta, FILE_INO, 0, whole(501, 5));
    data_forget(x->data, FILE_INO);
    assert_int_equal(data_read(x->data, FILE_INO, 0, out, 5), -EIO);
    assert_int_equal(store_put(x->store, STR("chunks/0/0/501_0_5"), STR("longer")), 0);
    assert_int_equal(data_read(x->data, FILE_INO, 0, out, 5), -EIO);
}

/* Compaction by another client: the old blocks go while we still know the old list. */
static void test_blocks_that_moved(void **state)
{
    struct fixture *x = *state;
    put_slice(x, 600, "old");
    fake_meta_add(x->meta, FILE_INO, 0, whole(600, 3));
    assert_reads(x, 0, "old", 3);
    fake_meta_clear(x->meta, FILE_INO);
    put_slice(x, 601, "new");
    fake_meta_add(x->meta, FILE_INO, 0, whole(601, 3));
    assert_int_equal(data_delete_slice(x->data, 600, 3), 0);
    assert_reads(x, 0, "new", 3);
}

static void test_forgetting(void **state)
{
    struct fixture *x = *state;
    put_slice(x, 700, "aaa");
    put_slice(x, 701, "bbb");
    fake_meta_add(x->meta, FILE_INO, 0, whole(700, 3));
    assert_reads(x, 0, "aaa", 3);
    unsigned reads = fake_meta_reads(x->meta);
    assert_reads(x, 1, "aa", 2);
    assert_int_equal(fake_meta_reads(x->meta), reads);
    fake_meta_add(x->meta, FILE_INO, 0, whole(701, 3));
    data_forget(x->data, FILE_INO);
    assert_reads(x, 0, "bbb", 3);
}

static void test_pieces_that_cannot_be(void **state)
{
    struct fixture *x = *state;
    char out[8];
    static const struct meta_slice bad[] = {
        {.id = 1, .size = 10, .off = 5, .len = 6},
        {.id = 1, .size = 70000000, .len = 10},
        {.id = 1, .size = 10, .off = UINT32_MAX, .len = 5},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        fake_meta_clear(x->meta, FILE_INO);
        data_forget(x->data, FILE_INO);
        fake_meta_add(x->meta, FILE_INO, 0, bad[i]);
        assert_int_equal(data_read(x->data, FILE_INO, 0, out, 5), -EIO);
    }
}

/* Slices as a whole */

static void test_merge_and_delete(void **state)
{
    struct fixture *x = *state;
    struct data_writer *w = open_writer(x);
    char *in = calloc(1, 4 * BLOCK);
    fill(in, 2 * BLOCK + 100, 11);
    assert_int_equal(data_writer_write(w, str_of(in, 2 * BLOCK + 100), 0), 0);
    assert_int_equal(data_writer_flush(w), 0);
    data_writer_close(w);
    size_t before = count_objects(x);
    const struct meta_slice pieces[] = {
        {.pos = 0, .id = 1, .size = 2 * BLOCK + 100, .off = 50, .len = BLOCK},
        {.pos = BLOCK, .id = 0, .len = 1000},
        {.pos = BLOCK + 1000, .id = 1, .size = 2 * BLOCK + 100, .off = 0, .len = BLOCK + 1},
    };
    uint32_t total = 2 * BLOCK + 1001;
    assert_int_equal(data_merge_slices(x->data, pieces, ARRAY_SIZE(pieces), 900), 0);
    assert_int_equal(count_objects(x), before + 3);
    fake_meta_clear(x->meta, FILE_INO);
    fake_meta_add(x->meta, FILE_INO, 0, whole(900, total));
    data_forget(x->data, FILE_INO);
    char *expected = calloc(1, total);
    memcpy(expected, in + 50, BLOCK);
    memcpy(expected + BLOCK + 1000, in, BLOCK + 1);
    assert_reads(x, 0, expected, total);
    assert_int_equal(data_delete_slice(x->data, 900, total), 0);
    assert_int_equal(data_delete_slice(x->data, 900, total), 0);
    assert_int_equal(count_objects(x), before);
    const struct meta_slice lost = {.id = 12345, .size = 10, .len = 10};
    assert_int_equal(data_merge_slices(x->data, &lost, 1, 901), -EIO);
    assert_int_equal(count_objects(x), before);
    free(in);
    free(expected);
}

/* Threads */

struct thread_arg {
    struct fixture *x;
    struct data_writer *writer;
    const char *bytes;
    unsigned number;
};

#define THREADS 6
#define SHARE (5 * BLOCK + 123)

static void *write_share(void *arg)
{
    struct thread_arg *a = arg;
    for (size_t done = 0; done < SHARE;) {
        size_t part = SHARE - done < 10007 ? SHARE - done : 10007;
        CHECK(data_writer_write(a->writer, str_of(a->bytes + done, part), a->number * (uint64_t)SHARE + done) == 0);
        done += part;
        if (done % 3 == 0)
            CHECK(data_writer_flush(a->writer) == 0);
    }
    return NULL;
}

static void *read_all(void *arg)
{
    struct thread_arg *a = arg;
    char *out = malloc(THREADS * SHARE);
    CHECK(out != NULL);
    for (unsigned i = 0; i < 4; i++) {
        CHECK(data_read(a->x->data, FILE_INO, 0, out, THREADS * SHARE) == THREADS * SHARE);
        CHECK(memcmp(out, a->bytes, THREADS * SHARE) == 0);
        for (size_t at = a->number * 999; at + 5000 < THREADS * SHARE; at += 77777) {
            CHECK(data_read(a->x->data, FILE_INO, at, out, 5000) == 5000);
            CHECK(memcmp(out, a->bytes + at, 5000) == 0);
        }
    }
    free(out);
    return NULL;
}

static void run_threads(struct fixture *x, uint64_t memory)
{
    reopen(x, COMPRESS_NONE, memory);
    char *in = malloc(THREADS * SHARE);
    fill(in, THREADS * SHARE, 21);
    struct data_writer *w = open_writer(x);
    struct thread_arg args[THREADS];
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        args[i] = (struct thread_arg){x, w, in + i * SHARE, i};
        thread_start(&threads[i], "share", write_share, &args[i]);
    }
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    assert_int_equal(data_writer_flush(w), 0);
    data_writer_close(w);
    reopen(x, COMPRESS_NONE, memory); /* a cold cache */
    for (unsigned i = 0; i < THREADS; i++) {
        args[i].bytes = in;
        thread_start(&threads[i], "reader", read_all, &args[i]);
    }
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    fake_meta_clear(x->meta, FILE_INO);
    free(in);
}

static void test_threads(void **state)
{
    run_threads(*state, 0);
    run_threads(*state, 4 * BLOCK);
}

/* Memory */

static void test_who_may_have_memory(void **state)
{
    (void)state;
    static const struct {
        uint64_t used[DATA_MEMORY_KINDS]; /* idle, read, (ahead), write, code, lent; of 100 */
        enum data_memory kind;
        uint64_t size;
        bool fits;
        uint64_t evict;
    } rows[] = {
        {{0}, DATA_READ, 75, true, 0},
        {{100}, DATA_READ, 10, true, 10}, /* idle blocks make way */
        {{100}, DATA_WRITE, 75, true, 75},
        {{90, 5}, DATA_CODE, 30, true, 25},
        {{0, 70}, DATA_READ, 6, false, 0}, /* three quarters each */
        {{0, 0, 0, 70}, DATA_WRITE, 6, false, 0},
        {{0, 25, 0, 75}, DATA_READ, 1, false, 0},
        {{0, 0, 0, 75, 25}, DATA_READ, 25, true, 0}, /* one block always */
        {{0, 75, 0, 0, 25}, DATA_WRITE, 25, true, 0},
        {{0, 50, 0, 50}, DATA_CODE, 25, true, 0},
        {{0, 50, 0, 40, 5}, DATA_CODE, 6, false, 0},
        {{50, 30, 0, 10}, DATA_AHEAD, 10, true, 0}, /* read-ahead stops at half, whatever is idle */
        {{50, 30, 0, 10}, DATA_AHEAD, 11, false, 0},
        {{80, 10, 0, 10}, DATA_IDLE, 10, true, 10},
        {{0, 50, 0, 45}, DATA_IDLE, 6, false, 0},
        {{0, 1, 0, 0, 0, 50}, DATA_READ, 24, true, 0}, /* what is lent is the readers', but does not shut them out */
        {{0, 1, 0, 0, 0, 50}, DATA_READ, 25, false, 0},
        {{0, 0, 0, 50, 0, 50}, DATA_READ, 25, true, 0},
        {{0, 0, 0, 0, 0, 50}, DATA_AHEAD, 25, true, 0},
        {{0, 0, 0, 0, 0, 50}, DATA_AHEAD, 26, false, 0},
        {{0, 50, 0, 0, 0, 10}, DATA_AHEAD, 1, false, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct data_budget b = {.max = 100};
        uint64_t evict = 0;
        memcpy(b.used, rows[i].used, sizeof(b.used));
        if (data_budget_fits(&b, rows[i].kind, rows[i].size, &evict) != rows[i].fits || evict != rows[i].evict)
            fail_msg("row %zu: evict %ju", i, (uintmax_t)evict);
    }
    const struct data_budget lending = {.max = 100, .used = {[DATA_READ] = 60, [DATA_LENT] = 30}};
    assert_true(data_budget_may_lend(&lending, 20));
    assert_false(data_budget_may_lend(&lending, 21));
}

static void set_up_slices(struct fixture *x, uint32_t blocks, char *bytes)
{
    struct data_writer *w = open_writer(x);
    fill(bytes, blocks * BLOCK, 77);
    assert_int_equal(data_writer_write(w, str_of(bytes, blocks * BLOCK), 0), 0);
    assert_int_equal(data_writer_flush(w), 0);
    data_writer_close(w);
}

/* More readers than there is memory for whole blocks: they read pieces, and each byte is not fetched over and over. */
static void test_more_readers_than_memory(void **state)
{
    struct fixture *x = *state;
    enum { READERS = 24, STEPS = 16, STEP = BLOCK / STEPS };
    char *in = malloc(READERS * BLOCK);
    set_up_slices(x, READERS, in);
    reopen(x, COMPRESS_NONE, 6 * BLOCK);
    struct metric *ranged = metric_get(METRIC_COUNTER, "sluice_data_ranged_reads_total", "", "");
    uint64_t before = metric_value_for_test(ranged);
    for (unsigned step = 0; step < STEPS; step++)
        for (uint64_t i = 0; i < READERS; i++)
            assert_reads(x, i * BLOCK + step * STEP, in + i * BLOCK + step * STEP, STEP);
    assert_true(data_cache_is_pressed(x->data->cache));
    assert_in_range(metric_value_for_test(ranged) - before, READERS * STEPS / 2, READERS * STEPS);
    /* With memory enough it is over. */
    usleep(1100 * 1000);
    assert_false(data_cache_is_pressed(x->data->cache));
    before = metric_value_for_test(ranged);
    for (unsigned i = 0; i < 3 * STEPS; i++)
        assert_reads(x, i * STEP, in + i * STEP, STEP);
    assert_int_equal(metric_value_for_test(ranged), before);
    free(in);
}

/* Lending */

static uint64_t used_as(struct fixture *x, enum data_memory kind)
{
    struct data_budget b = data_cache_budget(x->data->cache);
    return b.used[kind];
}

/* The first bytes of [offset, +size) are lent, `expected` of them, and right. */
static struct data_loan borrow(struct fixture *x, uint64_t offset, uint64_t size, const char *in, size_t expected)
{
    struct data_loan loan;
    assert_int_equal(data_lend(x->data, FILE_INO, offset, size, &loan), 0);
    assert_int_equal(loan.bytes.len, expected);
    assert_memory_equal(loan.bytes.ptr, in + offset, expected);
    return loan;
}

static void test_lending(void **state)
{
    struct fixture *x = *state;
    enum { BLOCKS = 6 };
    char *in = malloc(BLOCKS * BLOCK);
    struct data_loan none;
    set_up_slices(x, BLOCKS, in);
    reopen(x, COMPRESS_NONE, 0);
    struct data_loan loans[] = {
        borrow(x, 0, BLOCKS * BLOCK, in, BLOCK), /* cold: loaded; at most the rest of the block */
        borrow(x, BLOCK, BLOCK, in, BLOCK),
        borrow(x, 0, BLOCK, in, BLOCK), /* to two at once */
    };
    assert_int_equal(used_as(x, DATA_LENT), 2 * BLOCK);
    /* What a chunk could hold is read, and so are holes. */
    assert_int_equal(data_lend(x->data, FILE_INO, 0, BLOCK - 1, &none), -EAGAIN);
    assert_int_equal(data_lend(x->data, FILE_INO, 1, BLOCKS * BLOCK, &none), -EAGAIN);
    assert_int_equal(data_lend(x->data, FILE_INO, 9 * BLOCK, BLOCK, &none), -EAGAIN);
    assert_int_equal(data_lend(x->data, FILE_INO, UINT64_MAX, BLOCK, &none), -EINVAL);
    assert_reads(x, 0, in, 2 * BLOCK); /* holding what is lent changes nothing */
    assert_int_equal(used_as(x, DATA_LENT), 2 * BLOCK);
    /* The slice goes: who has borrowed of it keeps it. */
    assert_int_equal(data_delete_slice(x->data, 1, BLOCKS * BLOCK), 0);
    assert_memory_equal(loans[0].bytes.ptr, in, BLOCK);
    data_loan_done(x->data, &loans[0]);
    assert_int_equal(used_as(x, DATA_LENT), 2 * BLOCK);
    assert_memory_equal(loans[2].bytes.ptr, in, BLOCK);
    data_loan_done(x->data, &loans[2]);
    assert_int_equal(used_as(x, DATA_LENT), BLOCK);
    data_loan_done(x->data, &loans[1]);
    struct data_budget b = data_cache_budget(x->data->cache);
    assert_int_equal(data_budget_used(&b), 0);
    assert_int_equal(data_lend(x->data, FILE_INO, 0, BLOCK, &none), -EAGAIN); /* missing: data_read may know more */
    free(in);
}

/* Half of the memory may be lent; everybody reads on with the rest. */
static void test_lending_ends_at_half(void **state)
{
    struct fixture *x = *state;
    enum { BLOCKS = 20, MEMORY = 8, HALF = MEMORY / 2 };
    char *in = malloc(BLOCKS * BLOCK);
    struct data_loan loans[HALF], again, more;
    set_up_slices(x, BLOCKS, in);
    reopen(x, COMPRESS_NONE, MEMORY * BLOCK);
    for (uint64_t i = 0; i < HALF; i++)
        loans[i] = borrow(x, i * BLOCK, BLOCK, in, BLOCK);
    assert_int_equal(data_lend(x->data, FILE_INO, HALF * BLOCK, BLOCK, &more), -EAGAIN);
    again = borrow(x, BLOCK, BLOCK, in, BLOCK); /* costs nothing */
    for (int round = 0; round < 2; round++) {
        assert_reads(x, 0, in, BLOCKS * BLOCK);
        struct data_budget b = data_cache_budget(x->data->cache);
        assert_true(data_budget_used(&b) <= b.max);
    }
    for (size_t i = 0; i < HALF; i++)
        assert_memory_equal(loans[i].bytes.ptr, in + i * BLOCK, BLOCK);
    data_loan_done(x->data, &loans[1]);
    assert_int_equal(data_lend(x->data, FILE_INO, HALF * BLOCK, BLOCK, &more), -EAGAIN); /* `again` has it still */
    data_loan_done(x->data, &again);
    assert_reads(x, HALF * BLOCK, in + HALF * BLOCK, BLOCK); /* in memory, whether or not that is short now */
    loans[1] = borrow(x, HALF * BLOCK, BLOCK, in, BLOCK);
    for (size_t i = 0; i < HALF; i++)
        data_loan_done(x->data, &loans[i]);
    assert_int_equal(used_as(x, DATA_LENT) + used_as(x, DATA_READ), 0);
    free(in);
}

/* Blocks of what is asked for are fetched side by side, and none behind it, unless the reader has gone on there before. */
static void test_lending_fetches_what_is_asked_for(void **state)
{
    struct fixture *x = *state;
    enum { BLOCKS = 12 };
    char *in = malloc(BLOCKS * BLOCK);
    set_up_slices(x, BLOCKS, in);
    static const struct {
        uint64_t at, asked;
        unsigned fetches;
    } rows[] = {{2, 2, 1}, {3, 1, 0}, {4, 2, 4}, {5, 1, 3}}; /* on the way the window grows */
    reopen(x, COMPRESS_NONE, 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t before = metric_value_for_test(x->data->read_ahead);
        struct data_loan l = borrow(x, rows[i].at * BLOCK, rows[i].asked * BLOCK, in, BLOCK);
        if (metric_value_for_test(x->data->read_ahead) - before != rows[i].fetches)
            fail_msg("row %zu: %ju fetches", i, (uintmax_t)(metric_value_for_test(x->data->read_ahead) - before));
        data_loan_done(x->data, &l);
    }
    free(in);
}

/* A small part of a large block that is not there is read alone, not lent. */
static void test_lending_loads_no_block_for_a_piece(void **state)
{
    struct fixture *x = *state;
    enum { LARGE = 512 * 1024 };
    const struct data_source source = fake_meta_source(x->meta);
    const struct data_layout layout = {.block_size = LARGE};
    const struct data_options options = {.uploads = 1, .downloads = 1};
    char *in = malloc(LARGE);
    fill(in, LARGE, 4);
    data_close(x->data);
    x->data = data_new(x->store, &source, &layout, &options, STR("volume"));
    struct data_writer *w = open_writer(x);
    assert_int_equal(data_writer_write(w, str_of(in, LARGE), 0), 0);
    data_writer_close(w);
    struct data_loan l;
    assert_int_equal(data_lend(x->data, FILE_INO, 1000, LARGE / 4, &l), -EAGAIN);
    l = borrow(x, 1000, LARGE / 4 + 1, in, LARGE / 4 + 1);
    data_loan_done(x->data, &l);
    l = borrow(x, 2000, LARGE / 4, in, LARGE / 4); /* now that it is there */
    data_loan_done(x->data, &l);
    free(in);
}

#ifdef SLUICE_FAULTS
static void test_lending_tells_of_the_store(void **state)
{
    struct fixture *x = *state;
    char *in = malloc(BLOCK);
    struct data_loan l;
    set_up_slices(x, 1, in);
    reopen(x, COMPRESS_NONE, 0);
    fault_set_for_test("data.load:1:EIO");
    assert_int_equal(data_lend(x->data, FILE_INO, 0, BLOCK, &l), -EIO);
    l = borrow(x, 0, BLOCK, in, BLOCK);
    data_loan_done(x->data, &l);
    free(in);
}
#endif

static void *lend_and_read(void *arg)
{
    struct thread_arg *a = arg;
    char *out = malloc(BLOCK);
    CHECK(out != NULL);
    for (unsigned i = 0; i < ROUNDS(2000, 400); i++) {
        uint64_t at = (i * 7 + a->number * 3) % 16 * BLOCK;
        struct data_loan l;
        int rc = data_lend(a->x->data, FILE_INO, at, BLOCK, &l);
        CHECK(rc == 0 || rc == -EAGAIN);
        CHECK(data_read(a->x->data, FILE_INO, (at + 5 * BLOCK) % (16 * BLOCK), out, 1000) == 1000);
        CHECK(memcmp(out, a->bytes + (at + 5 * BLOCK) % (16 * BLOCK), 1000) == 0);
        if (rc == 0) {
            CHECK(memcmp(l.bytes.ptr, a->bytes + at, BLOCK) == 0);
            data_loan_done(a->x->data, &l);
        }
    }
    free(out);
    return NULL;
}

/* Lenders and readers in less memory than they would like: all get on, and every byte is right. */
static void test_lending_threads(void **state)
{
    struct fixture *x = *state;
    char *in = malloc(16 * BLOCK);
    struct thread_arg args[THREADS];
    pthread_t threads[THREADS];
    set_up_slices(x, 16, in);
    reopen(x, COMPRESS_NONE, 6 * BLOCK);
    for (unsigned i = 0; i < THREADS; i++) {
        args[i] = (struct thread_arg){x, NULL, in, i};
        thread_start(&threads[i], "lender", lend_and_read, &args[i]);
    }
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    assert_int_equal(used_as(x, DATA_LENT) + used_as(x, DATA_READ), 0);
    free(in);
}

#ifdef SLUICE_FAULTS
/* A store that takes nothing: who writes waits as long as was said, and is told. */
static void test_writers_are_pushed_back(void **state)
{
    struct fixture *x = *state;
    const struct data_source source = fake_meta_source(x->meta);
    const struct data_layout layout = {.block_size = BLOCK};
    const struct data_options options = {.memory = 8 * BLOCK, .uploads = 1, .downloads = 1, .write_wait_ms = 100};
    data_close(x->data);
    x->data = data_new(x->store, &source, &layout, &options, STR("volume"));
    char *in = calloc(20, BLOCK);
    struct data_writer *w = open_writer(x);
    fault_set_for_test("data.store:1:sleep2000");
    assert_int_equal(data_writer_write(w, str_of(in, 20 * BLOCK), 0), -EBUSY);
    struct data_budget b = data_cache_budget(x->data->cache);
    assert_in_range(b.used[DATA_WRITE], 5 * BLOCK, 6 * BLOCK);
    /* What was taken is not lost by that. */
    assert_int_equal(data_writer_flush(w), 0);
    assert_int_equal(data_writer_write(w, STR("on"), 20 * BLOCK), 0);
    assert_int_equal(data_writer_flush(w), 0);
    data_writer_close(w);
    free(in);
}
#endif

/* A commit may have slices merged, by the thread that uploads. */
struct merging {
    struct data *data;
    atomic_bool begun, full;
    _Atomic int result;
};

static int merge_when_full(void *arg, meta_ino ino, uint32_t indx, const struct meta_slice *slice)
{
    struct merging *m = arg;
    (void)indx;
    (void)slice;
    if (ino != FILE_INO)
        return 0;
    const struct meta_slice pieces[] = {{.id = 1, .size = 100, .len = 100}, {.pos = 100, .len = BLOCK}};
    atomic_store(&m->begun, true);
    while (!atomic_load(&m->full))
        usleep(1000);
    atomic_store(&m->result, data_merge_slices(m->data, pieces, 2, 900));
    return 0;
}

static void test_merging_waits_for_no_upload(void **state)
{
    struct fixture *x = *state;
    const struct data_source source = fake_meta_source(x->meta);
    const struct data_layout layout = {.block_size = BLOCK, .codec.compression = COMPRESS_LZ4};
    const struct data_options options = {.memory = 8 * BLOCK, .uploads = 1, .downloads = 1, .write_wait_ms = 100};
    data_close(x->data);
    x->data = data_new(x->store, &source, &layout, &options, STR("volume"));
    struct merging m = {.data = x->data, .result = 1};
    char *in = calloc(20, BLOCK);
    struct data_writer *first = open_writer(x), *merged = open_writer(x), *other;
    assert_int_equal(data_writer_write(first, str_of(in, 100), 0), 0);
    assert_int_equal(data_writer_flush(first), 0);
    data_writer_close(first);
    fake_meta_on_commit(x->meta, merge_when_full, &m);
    assert_int_equal(data_writer_write(merged, str_of(in, 100), 1000), 0);
    usleep(2000);
    data_writers_age(x->data, 1);
    while (!atomic_load(&m.begun))
        usleep(1000);
    assert_int_equal(data_writer_open(x->data, FILE_INO + 1, NULL, &other), 0);
    assert_int_equal(data_writer_write(other, str_of(in, 20 * BLOCK), 0), -EBUSY);
    atomic_store(&m.full, true);
    assert_int_equal(data_writer_flush(other), 0);
    assert_int_equal(atomic_load(&m.result), 0);
    data_writer_close(other);
    data_writer_close(merged);
    fake_meta_on_commit(x->meta, NULL, NULL);
    free(in);
}

/* Many writers that each hold a little, and no more memory: all get on. */
static void test_back_pressure(void **state)
{
    struct fixture *x = *state;
    enum { WRITERS = 40 };
    struct data_writer *writers[WRITERS];
    reopen(x, COMPRESS_NONE, 8 * BLOCK);
    char in[3000];
    fill(in, sizeof(in), 5);
    for (unsigned i = 0; i < WRITERS; i++)
        assert_int_equal(data_writer_open(x->data, 100 + i, NULL, &writers[i]), 0);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < WRITERS; i++)
            assert_int_equal(data_writer_write(writers[i], str_of(in, sizeof(in)), round * sizeof(in)), 0);
        struct data_budget b = data_cache_budget(x->data->cache);
        assert_true(data_budget_used(&b) <= b.max);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        assert_int_equal(data_writer_flush(writers[i]), 0);
        data_writer_close(writers[i]);
        char out[3000];
        assert_int_equal(data_read(x->data, 100 + i, 3000, out, 3000), 3000);
        assert_memory_equal(out, in, 3000);
    }
}

static void test_old_slices_are_committed(void **state)
{
    struct fixture *x = *state;
    struct data_writer *w = open_writer(x);
    char in[BLOCK];
    fill(in, sizeof(in), 1);
    /* A full block whose upload has ended, and a part of one: both without a flush. */
    assert_int_equal(data_writer_write(w, str_of(in, sizeof(in)), 0), 0);
    assert_int_equal(data_writer_write(w, STR("tail"), 5 * BLOCK), 0);
    for (unsigned i = 0; i < 200 && count_objects(x) == 0; i++)
        usleep(10000);
    usleep(20000);
    data_writers_age(x->data, 1);
    for (unsigned i = 0; i < 500 && fake_meta_count(x->meta) < 2; i++)
        usleep(10000);
    assert_int_equal(fake_meta_count(x->meta), 2);
    data_writer_close(w);
}

static void test_read_only(void **state)
{
    struct fixture *x = *state;
    struct data_writer *w = NULL;
    const struct data_source source = fake_meta_source(x->meta);
    const struct data_layout layout = {.block_size = BLOCK};
    const struct data_options options = {.read_only = true};
    struct data *d = data_new(x->store, &source, &layout, &options, STR("volume"));
    put_slice(x, 800, "abc");
    fake_meta_add(x->meta, FILE_INO, 0, whole(800, 3));
    char out[3];
    assert_int_equal(data_read(d, FILE_INO, 0, out, 3), 3);
    assert_memory_equal(out, "abc", 3);
    assert_int_equal(data_writer_open(d, FILE_INO, NULL, &w), -EROFS);
    assert_int_equal(data_delete_slice(d, 800, 3), -EROFS);
    data_close(d);
}

/* Over a store that takes its time: requests are side by side, and each block is asked for once. */

static void test_parallel_and_single_flight(void **state)
{
    (void)state;
    struct store_rig *rig = store_rig_start();
    char bucket[64], text[256];
    struct buf why = buf_over(text, sizeof(text));
    (void)snprintf(bucket, sizeof(bucket), "http://127.0.0.1:%u/b", store_rig_port(rig));
    const struct store_config config = {.storage = STR("s3"), .bucket = str_z(bucket), .prefix = STR("v/"),
                                        .access_key = STR("k"), .secret_key = STR("s")};
    struct fixture x = {.meta = fake_meta_new()};
    assert_int_equal(store_open(&config, &x.store, &why), 0);
    open_data(&x, COMPRESS_NONE, 0);
    char *in = malloc(THREADS * SHARE);
    fill(in, THREADS * SHARE, 2);
    store_rig_delay(rig, 20);
    struct data_writer *w = open_writer(&x);
    assert_int_equal(data_writer_write(w, str_of(in, THREADS * SHARE), 0), 0);
    assert_int_equal(data_writer_flush(w), 0);
    data_writer_close(w);
    assert_in_range(store_rig_peak(rig), 3, 4);
    reopen(&x, COMPRESS_NONE, 0);
    unsigned before = store_rig_requests(rig);
    struct thread_arg args[THREADS];
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        args[i] = (struct thread_arg){&x, NULL, in, i};
        thread_start(&threads[i], "reader", read_all, &args[i]);
    }
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    assert_int_equal(store_rig_requests(rig) - before, block_count(THREADS * SHARE, BLOCK));
    /* A small piece from the middle of a cold block comes alone. */
    reopen(&x, COMPRESS_NONE, 0);
    uint64_t ranged = metric_value_for_test(x.data->ranged);
    char out[100];
    assert_int_equal(data_read(x.data, FILE_INO, 3 * BLOCK + 1000, out, 100), 100);
    assert_memory_equal(out, in + 3 * BLOCK + 1000, 100);
    assert_int_equal(metric_value_for_test(x.data->ranged), ranged + 1);
    struct data_budget empty = data_cache_budget(x.data->cache);
    assert_int_equal(data_budget_used(&empty), 0);
    data_close(x.data);
    store_close(x.store);
    fake_meta_free(x.meta);
    store_rig_stop(rig);
    free(in);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
#define DATA_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_block_keys),
        cmocka_unit_test(test_keys_of_blocks),
        DATA_TEST(test_small_file),
        DATA_TEST(test_holes_overwrites_and_chunks),
        DATA_TEST(test_closing_flushes),
        DATA_TEST(test_refuses_what_the_format_cannot_hold),
        DATA_TEST(test_model),
        DATA_TEST(test_blocks_first_then_commits_in_order),
        DATA_TEST(test_large_file),
        DATA_TEST(test_definite_refusals_delete_blocks),
#ifdef SLUICE_FAULTS
        DATA_TEST(test_faults),
#endif
        DATA_TEST(test_missing_and_damaged_blocks),
        DATA_TEST(test_blocks_that_moved),
        DATA_TEST(test_forgetting),
        DATA_TEST(test_pieces_that_cannot_be),
        DATA_TEST(test_merge_and_delete),
        DATA_TEST(test_threads),
        cmocka_unit_test(test_who_may_have_memory),
        DATA_TEST(test_more_readers_than_memory),
        DATA_TEST(test_lending),
        DATA_TEST(test_lending_ends_at_half),
        DATA_TEST(test_lending_fetches_what_is_asked_for),
        DATA_TEST(test_lending_loads_no_block_for_a_piece),
#ifdef SLUICE_FAULTS
        DATA_TEST(test_lending_tells_of_the_store),
#endif
        DATA_TEST(test_lending_threads),
#ifdef SLUICE_FAULTS
        DATA_TEST(test_writers_are_pushed_back),
#endif
        DATA_TEST(test_merging_waits_for_no_upload),
        DATA_TEST(test_back_pressure),
        DATA_TEST(test_old_slices_are_committed),
        DATA_TEST(test_read_only),
        cmocka_unit_test(test_parallel_and_single_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
