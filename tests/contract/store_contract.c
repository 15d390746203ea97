/* The contract of vfs/store/store.h, run against every driver:
 *   store_contract file      files below a temporary directory
 *   store_contract s3        the s3 driver against tests/support/store_rig
 *   store_contract live      any store: SLUICE_TEST_STORE (driver), SLUICE_TEST_BUCKET, …_ACCESS_KEY, …_SECRET_KEY; used by
 *                            tests/e2e/test_store.py with a running gateway */
#include "tests/support/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mutex.h"
#include "tests/support/store_rig.h"
#include "tests/support/tmpdir.h"
#include "vfs/store/store.h"

static struct store_config config;
static char bucket[PATH_MAX + 16];

static int open_store(void **state)
{
    char text[256];
    struct buf why = buf_over(text, sizeof(text));
    struct store *s = NULL;
    if (store_open(&config, &s, &why) < 0)
        fail_msg("%s", buf_z(&why));
    assert_int_equal(store_create(s), 0);
    *state = s;
    return 0;
}

static int close_store(void **state)
{
    store_close(*state);
    return 0;
}

static void put(struct store *s, const char *key, struct str body)
{
    assert_int_equal(store_put(s, str_z(key), body), 0);
}

static void test_put_get_replace_delete(void **state)
{
    struct store *s = *state;
    char out[64];
    size_t size = 99;
    assert_int_equal(store_get(s, STR("chunks/0/0/1_0_5"), out, sizeof(out), &size), -ENOENT);
    assert_int_equal(size, 99);
    put(s, "chunks/0/0/1_0_5", STR("hello"));
    assert_int_equal(store_get(s, STR("chunks/0/0/1_0_5"), out, sizeof(out), &size), 0);
    assert_str(str_of(out, size), "hello");
    put(s, "chunks/0/0/1_0_5", STR("other words"));
    assert_int_equal(store_get(s, STR("chunks/0/0/1_0_5"), out, sizeof(out), &size), 0);
    assert_str(str_of(out, size), "other words");
    assert_int_equal(store_get(s, STR("chunks/0/0/1_0_5"), out, 11, &size), 0);
    assert_int_equal(store_get(s, STR("chunks/0/0/1_0_5"), out, 10, &size), -EFBIG);
    assert_int_equal(store_delete(s, STR("chunks/0/0/1_0_5")), 0);
    assert_int_equal(store_delete(s, STR("chunks/0/0/1_0_5")), 0);
    assert_int_equal(store_get(s, STR("chunks/0/0/1_0_5"), out, sizeof(out), &size), -ENOENT);
    put(s, "empty", STR_EMPTY);
    assert_int_equal(store_get(s, STR("empty"), out, sizeof(out), &size), 0);
    assert_int_equal(size, 0);
    assert_int_equal(store_delete(s, STR("empty")), 0);
}

static void test_ranges(void **state)
{
    struct store *s = *state;
    char out[16];
    size_t size;
    put(s, "r", STR("0123456789"));
    static const struct {
        uint64_t offset;
        size_t size;
        const char *expected;
    } rows[] = {{0, 3, "012"}, {3, 4, "3456"}, {9, 1, "9"}, {8, 10, "89"}, {10, 5, ""}, {500, 5, ""}, {0, 10, "0123456789"},
                {4, 0, ""}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(store_get_range(s, STR("r"), rows[i].offset, out, rows[i].size, &size), 0);
        assert_str(str_of(out, size), rows[i].expected);
    }
    assert_int_equal(store_get_range(s, STR("none"), 0, out, 3, &size), -ENOENT);
    assert_int_equal(store_delete(s, STR("r")), 0);
}

static void test_head(void **state)
{
    struct store *s = *state;
    struct store_object o = {.size = 77};
    assert_int_equal(store_head(s, STR("h/h"), &o), -ENOENT);
    assert_int_equal(o.size, 77);
    put(s, "h/h", STR("12345"));
    assert_int_equal(store_head(s, STR("h/h"), &o), 0);
    assert_int_equal(o.size, 5);
    assert_true(o.mtime_ns > 0);
    assert_str(o.key, "h/h");
    assert_int_equal(store_delete(s, STR("h/h")), 0);
}

#define BIG (5 * 1024 * 1024 + 17)
static void test_large_objects_of_any_bytes(void **state)
{
    struct store *s = *state;
    char *in = malloc(BIG), *out = malloc(BIG);
    size_t size;
    for (size_t i = 0; i < BIG; i++)
        in[i] = (char)(i * 31 + i / 257);
    put(s, "big", str_of(in, BIG));
    assert_int_equal(store_get(s, STR("big"), out, BIG, &size), 0);
    assert_int_equal(size, BIG);
    assert_memory_equal(in, out, BIG);
    assert_int_equal(store_get_range(s, STR("big"), 4000000, out, 70000, &size), 0);
    assert_int_equal(size, 70000);
    assert_memory_equal(in + 4000000, out, 70000);
    assert_int_equal(store_delete(s, STR("big")), 0);
    free(in);
    free(out);
}

/* The keys of a listing, each with a blank behind. */
static const char *keys(struct store *s, const char *prefix, const char *after)
{
    static char text[4096];
    struct buf out = buf_over(text, sizeof(text));
    CLEANUP(store_scan_closep) struct store_scan *scan = store_scan_open(s, str_z(prefix), str_z(after));
    struct store_object o;
    int rc;
    while ((rc = store_scan_next(scan, &o)) == 1) {
        buf_add(&out, o.key);
        buf_addc(&out, ' ');
    }
    assert_int_equal(rc, 0);
    assert_int_equal(store_scan_next(scan, &o), 0);
    return buf_z(&out);
}

static void test_listing(void **state)
{
    struct store *s = *state;
    static const char *const names[] = {"a", "a-b", "a0", "b/c", "b/c2/d", "b0", "c+d%20&=", "d/e/f", "d/e/g"};
    assert_string_equal(keys(s, "", ""), "");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        put(s, names[(i * 5) % ARRAY_SIZE(names)], STR("x"));
    assert_string_equal(keys(s, "", ""), "a a-b a0 b/c b/c2/d b0 c+d%20&= d/e/f d/e/g ");
    assert_string_equal(keys(s, "b", ""), "b/c b/c2/d b0 ");
    assert_string_equal(keys(s, "b/", ""), "b/c b/c2/d ");
    assert_string_equal(keys(s, "b/c2/", ""), "b/c2/d ");
    assert_string_equal(keys(s, "d/e/f", ""), "d/e/f ");
    assert_string_equal(keys(s, "nothing", ""), "");
    assert_string_equal(keys(s, "", "a-b"), "a0 b/c b/c2/d b0 c+d%20&= d/e/f d/e/g ");
    assert_string_equal(keys(s, "", "b/c"), "b/c2/d b0 c+d%20&= d/e/f d/e/g ");
    assert_string_equal(keys(s, "", "b/zzz"), "b0 c+d%20&= d/e/f d/e/g ");
    assert_string_equal(keys(s, "", "d/e/g"), "");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_int_equal(store_delete(s, str_z(names[i])), 0);
    assert_string_equal(keys(s, "", ""), "");
}

static void test_listing_of_many_pages(void **state)
{
    struct store *s = *state;
    char key[64];
    for (unsigned i = 0; i < 2100; i++) {
        (void)snprintf(key, sizeof(key), "chunks/0/%u/%u_0_1", i / 1000, i);
        put(s, key, STR("x"));
    }
    CLEANUP(store_scan_closep) struct store_scan *scan = store_scan_open(s, STR("chunks/"), STR_EMPTY);
    struct store_object o;
    unsigned count = 0;
    char last[64] = "";
    while (store_scan_next(scan, &o) == 1) {
        assert_true(str_cmp(str_z(last), o.key) < 0);
        (void)snprintf(last, sizeof(last), "%.*s", STR_ARG(o.key));
        assert_int_equal(o.size, 1);
        count++;
    }
    assert_int_equal(count, 2100);
    for (unsigned i = 0; i < 2100; i++) {
        (void)snprintf(key, sizeof(key), "chunks/0/%u/%u_0_1", i / 1000, i);
        assert_int_equal(store_delete(s, str_z(key)), 0);
    }
}

/* Volumes in one bucket do not see each other. */
static void test_volumes_are_apart(void **state)
{
    struct store *s = *state, *other = NULL;
    char text[256], out[8];
    size_t size;
    struct buf why = buf_over(text, sizeof(text));
    struct store_config second = config;
    second.prefix = STR("second/");
    assert_int_equal(store_open(&second, &other, &why), 0);
    put(s, "k", STR("first"));
    assert_int_equal(store_get(other, STR("k"), out, sizeof(out), &size), -ENOENT);
    assert_string_equal(keys(other, "", ""), "");
    assert_string_equal(keys(s, "", ""), "k ");
    assert_int_equal(store_delete(s, STR("k")), 0);
    store_close(other);
}

static void test_keys_that_no_store_takes(void **state)
{
    struct store *s = *state;
    char key[LIMIT_STORE_KEY_BYTES + 1];
    memset(key, 'k', sizeof(key));
    assert_int_equal(store_put(s, str_of(key, sizeof(key)), STR("x")), -EINVAL);
    char text[256] = "";
    struct buf why = buf_over(text, sizeof(text));
    store_error(s, &why);
    assert_true(why.len > 0);
}

/* Works on wherever the store is just then. */
struct worker {
    struct store *store;
    atomic_bool stop;
    unsigned turns;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    char out[8];
    size_t size;
    for (; !w->stop || w->turns < 10; w->turns++) {
        put(w->store, "worker", STR("bytes"));
        int rc = store_get(w->store, STR("worker"), out, sizeof(out), &size);
        assert_true(rc == 0 || rc == -ENOENT); /* the store has changed in between */
        assert_int_equal(store_delete(w->store, STR("worker")), 0);
    }
    return NULL;
}

static void test_another_place(void **state)
{
    struct store *s = *state;
    char dir[PATH_MAX], place[PATH_MAX + 16], out[8];
    size_t size;
    assert_true(tmpdir_make(dir));
    (void)snprintf(place, sizeof(place), config.shards > 1 ? "%s/%%d/" : "%s/", dir);
    const struct store_config other = {
        .storage = STR("file"), .bucket = str_z(place), .prefix = STR("vol/"), .shards = config.shards, .no_sync = true};
    struct store_config bad = other;
    CLEANUP(buf_done) struct buf why = buf_make(256);
    struct worker w = {.store = s};
    pthread_t thread;
    put(s, "k", STR("first"));
    assert_int_equal(store_change(s, &other, &why), 0);
    assert_int_equal(store_create(s), 0);
    assert_int_equal(store_get(s, STR("k"), out, sizeof(out), &size), -ENOENT);
    put(s, "k", STR("second"));
    thread_start(&thread, "worker", work, &w);
    for (int i = 0; i < 50; i++)
        assert_int_equal(store_change(s, i % 2 ? &other : &config, &why), 0);
    w.stop = true;
    assert_int_equal(pthread_join(thread, NULL), 0);
    bad.storage = STR("tape");
    assert_int_equal(store_change(s, &bad, &why), -EINVAL);
    assert_non_null(strstr(buf_z(&why), "tape"));
    bad = other;
    bad.shards = 7;
    assert_int_equal(store_change(s, &bad, &why), -EINVAL);
    assert_int_equal(store_get(s, STR("k"), out, sizeof(out), &size), 0);
    assert_str(str_of(out, size), "second");
    assert_int_equal(store_change(s, &config, &why), 0);
    assert_int_equal(store_get(s, STR("k"), out, sizeof(out), &size), 0);
    assert_str(str_of(out, size), "first");
    assert_int_equal(store_delete(s, STR("k")), 0);
    assert_int_equal(store_delete(s, STR("worker")), 0); /* it may have begun here and ended there */
    assert_true(tmpdir_remove(dir));
}

/* As of a volume whose other shards no official client has written to yet. */
static void test_shards_that_come_late(void **state)
{
    (void)state;
    char dir[PATH_MAX], late[PATH_MAX + 16], key[16];
    assert_true(tmpdir_make(dir));
    (void)snprintf(late, sizeof(late), "%s/late%%d/", dir);
    const struct store_config c = {
        .storage = STR("file"), .bucket = str_z(late), .prefix = STR("vol/"), .shards = 4, .no_sync = true};
    CLEANUP(buf_done) struct buf why = buf_make(256);
    CLEANUP(store_closep) struct store *s = NULL;
    assert_int_equal(store_open(&c, &s, &why), 0);
    store_complete(s);
    assert_int_equal(store_put(s, STR("0"), STR("bytes")), -ENXIO); /* nothing is there at all */
    (void)snprintf(late, sizeof(late), "%s/late2", dir);
    assert_int_equal(mkdir(late, 0700), 0);
    store_complete(s);
    for (int i = 0; i < 32; i++) {
        (void)snprintf(key, sizeof(key), "%d", i);
        assert_int_equal(store_put(s, str_z(key), STR("bytes")), 0);
    }
    assert_true(tmpdir_remove(dir));
}

static int run_contract(const char *name)
{
#define STORE_TEST(fn) cmocka_unit_test_setup_teardown(fn, open_store, close_store)
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_put_get_replace_delete), STORE_TEST(test_ranges), STORE_TEST(test_head),
        STORE_TEST(test_large_objects_of_any_bytes), STORE_TEST(test_listing), STORE_TEST(test_listing_of_many_pages),
        STORE_TEST(test_volumes_are_apart), STORE_TEST(test_keys_that_no_store_takes),
        STORE_TEST(test_another_place),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

static int run_file(void)
{
    char dir[PATH_MAX];
    CHECK(tmpdir_make(dir));
    (void)snprintf(bucket, sizeof(bucket), "%s/objects/", dir);
    config = (struct store_config){.storage = STR("FILE"), .bucket = str_z(bucket), .prefix = STR("vol/"), .no_sync = true};
    int failed = run_contract("file");
    (void)snprintf(bucket, sizeof(bucket), "%s/shard%%d/", dir);
    config.bucket = str_z(bucket);
    config.shards = 4;
    failed += run_contract("file, 4 shards");
    const struct CMUnitTest late[] = {cmocka_unit_test(test_shards_that_come_late)};
    failed += cmocka_run_group_tests_name("file, shards that come late", late, NULL, NULL);
    CHECK(tmpdir_remove(dir));
    return failed;
}

static int run_rig(void)
{
    struct store_rig *rig = store_rig_start();
    (void)snprintf(bucket, sizeof(bucket), "http://127.0.0.1:%u/b", store_rig_port(rig));
    config = (struct store_config){.storage = STR("s3"), .bucket = str_z(bucket), .prefix = STR("vol/"),
                                   .access_key = STR("key"), .secret_key = STR("secret")};
    int failed = run_contract("s3");
    store_rig_stop(rig);
    return failed;
}

static int run_live(void)
{
    const char *storage = getenv("SLUICE_TEST_STORE");
    CHECK(storage != NULL);
    config = (struct store_config){.storage = str_z(storage),
                                   .bucket = str_z(getenv("SLUICE_TEST_BUCKET")),
                                   .prefix = STR("vol/"),
                                   .access_key = str_z(getenv("SLUICE_TEST_ACCESS_KEY")),
                                   .secret_key = str_z(getenv("SLUICE_TEST_SECRET_KEY"))};
    return run_contract("live");
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    (void)signal(SIGPIPE, SIG_IGN);
    if (str_is(str_z(argv[1]), "file"))
        return run_file();
    if (str_is(str_z(argv[1]), "s3"))
        return run_rig();
    CHECK(str_is(str_z(argv[1]), "live"));
    return run_live();
}
