#include "tests/support/unit.h"

#include <errno.h>
#include <signal.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/limits.h"
#include "tests/support/store_rig.h"
#include "vfs/store/s3_endpoint.h"
#include "vfs/store/store.h"
#include "vfs/store/store_driver.h"

/* Names of buckets */

static const struct {
    const char *bucket;
    const char *expected; /* tls host bucket region by_host */
} endpoints[] = {
    {"http://127.0.0.1:9000/b", "http 127.0.0.1:9000 b def path"},
    {"https://minio.example/b/", "https minio.example b def path"},
    {"http://b.minio.example:9000", "http minio.example:9000 b def path"},
    {"minio.example/b", "http minio.example b def path"},
    {"https://s3.eu-west-1.amazonaws.com/b", "https b.s3.eu-west-1.amazonaws.com b eu-west-1 host"},
    {"https://b.s3.eu-west-1.amazonaws.com", "https b.s3.eu-west-1.amazonaws.com b eu-west-1 host"},
    {"b.s3-eu-west-1.amazonaws.com", "https b.s3.eu-west-1.amazonaws.com b eu-west-1 host"},
    {"https://b.s3.amazonaws.com", "https b.s3.us-east-1.amazonaws.com b us-east-1 host"},
    {"https://b.s3.dualstack.us-west-2.amazonaws.com", "https b.s3.us-west-2.amazonaws.com b us-west-2 host"},
    {"https://b.s3.cn-north-1.amazonaws.com.cn", "https b.s3.cn-north-1.amazonaws.com.cn b cn-north-1 host"},
    {"https://s3.eu-west-1.amazonaws.com/b.c", "https s3.eu-west-1.amazonaws.com b.c eu-west-1 path"},
    {"https://b.vpce-1-2.s3.eu-west-1.vpce.amazonaws.com",
     "https vpce-1-2.s3.eu-west-1.vpce.amazonaws.com b eu-west-1 path"},
    {"plain", "https plain.s3.def.amazonaws.com plain def host"},
    {"http://h/b?tls-insecure-skip-verify=true", "http h b def path"},
    {"ftp://h/b", NULL},
    {"http:///b", NULL},
    {"http://user@h/b", NULL},
    {"http://.h", NULL},
    {"http://h/b?x=%zz", NULL},
    {"", NULL},
};

static void test_endpoints(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(endpoints); i++) {
        struct arena *arena = arena_new();
        struct s3_endpoint e;
        bool ok = s3_endpoint_parse(str_z(endpoints[i].bucket), false, STR("def"), arena, &e);
        if (ok != (endpoints[i].expected != NULL))
            fail_msg("%s: %s", endpoints[i].bucket, ok ? "taken" : "refused");
        if (ok)
            assert_str(arena_printf(arena, "%s %.*s %.*s %.*s %s", e.tls ? "https" : "http", STR_ARG(e.host),
                                    STR_ARG(e.bucket), STR_ARG(e.region), e.by_host ? "host" : "path"),
                       endpoints[i].expected);
        arena_free(arena);
    }
    struct arena *arena = arena_new();
    struct s3_endpoint e;
    assert_true(s3_endpoint_parse(STR("http://h:1/b"), true, STR("def"), arena, &e));
    assert_str(e.host, "b.h:1");
    assert_true(e.by_host);
    arena_free(arena);
}

static void test_shards(void **state)
{
    (void)state;
    /* §2.5 */
    assert_int_equal(store_shard_of(STR("myjfs/chunks/0/0/1_0_4194304"), UINT32_MAX), 2521471656u);
    assert_int_equal(store_shard_of(STR("myjfs/chunks/0/0/1_0_4194304"), 4), 0);
}

/* Misbehaving stores */

struct fixture {
    struct store_rig *rig;
    struct store *store;
};

static struct store *open_with(struct store_rig *rig, const char *parameters, uint32_t attempts)
{
    char bucket[128], text[256];
    (void)snprintf(bucket, sizeof(bucket), "http://127.0.0.1:%u/b%s", store_rig_port(rig), parameters);
    struct buf why = buf_over(text, sizeof(text));
    const struct store_config config = {.storage = STR("s3"), .bucket = str_z(bucket), .prefix = STR("vol/"),
                                        .access_key = STR("key"), .secret_key = STR("secret"), .attempts_max = attempts,
                                        .backoff_ms = 1, .stall_timeout_ms = 1000, .request_timeout_ms = 5000};
    struct store *s = NULL;
    assert_int_equal(store_open(&config, &s, &why), 0);
    return s;
}

static int setup(void **state)
{
    struct fixture *x = calloc(1, sizeof(*x));
    x->rig = store_rig_start();
    x->store = open_with(x->rig, "", 4);
    assert_int_equal(store_put(x->store, STR("k"), STR("0123456789")), 0);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *x = *state;
    store_close(x->store);
    store_rig_stop(x->rig);
    free(x);
    return 0;
}

/* A whole GET, a GET of a range and a PUT under a fault that lasts for so many requests. */
static const struct {
    enum store_rig_fault fault;
    unsigned count;
    int whole, range, put;
} rows[] = {
    {RIG_500, 3, 0, 0, 0},
    {RIG_500, 4, -EIO, -EIO, -EIO},
    {RIG_SLOW_DOWN, 3, 0, 0, 0},
    {RIG_SLOW_DOWN, 4, -EIO, -EIO, -EIO},
    {RIG_429, 2, 0, 0, 0},
    {RIG_RESET, 2, 0, 0, 0},
    {RIG_CUT_BODY, 2, 0, 0, 0},
    {RIG_NO_LENGTH, 2, 0, 0, 0},
    {RIG_STALL, 1, 0, 0, 0},
    {RIG_403, 1, -EACCES, -EACCES, -EACCES},
    {RIG_SHORT, 1, 0, 0, 0}, /* a range may be short where the object ends: who reads it compares */
    {RIG_SHORT, 3, -EBADMSG, 0, 0},
    {RIG_CORRUPT, 2, 0, 0, 0},
    {RIG_CORRUPT, 3, -EBADMSG, 0, 0},
    {RIG_NO_RANGES, 1, 0, 0, 0},
    {RIG_WRONG_RANGE, 1, 0, -EIO, 0},
};

static void test_misbehaving_stores(void **state)
{
    struct fixture *x = *state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char out[16];
        size_t size = 0;
        store_rig_fail(x->rig, rows[i].fault, rows[i].count);
        int rc = store_get(x->store, STR("k"), out, sizeof(out), &size);
        if (rc != rows[i].whole)
            fail_msg("row %zu: whole gave %d", i, rc);
        if (rc == 0)
            assert_str(str_of(out, size), "0123456789");
        store_rig_fail(x->rig, rows[i].fault, rows[i].count);
        rc = store_get_range(x->store, STR("k"), 3, out, 4, &size);
        if (rc != rows[i].range)
            fail_msg("row %zu: range gave %d", i, rc);
        if (rc == 0 && rows[i].fault != RIG_SHORT && rows[i].fault != RIG_CORRUPT)
            assert_str(str_of(out, size), "3456");
        store_rig_fail(x->rig, rows[i].fault, rows[i].count);
        rc = store_put(x->store, STR("p"), STR("body"));
        if (rc != rows[i].put)
            fail_msg("row %zu: put gave %d", i, rc);
        store_rig_fail(x->rig, RIG_GOOD, 0);
    }
}

static void test_silence_ends(void **state)
{
    struct fixture *x = *state;
    char out[16];
    size_t size;
    struct store *once = open_with(x->rig, "", 1);
    store_rig_fail(x->rig, RIG_STALL, 1);
    uint64_t start = clock_mono_ms();
    assert_int_equal(store_get(once, STR("k"), out, sizeof(out), &size), -EIO);
    assert_in_range(clock_mono_ms() - start, 500, 4500);
    store_close(once);
}

static void test_bad_listings(void **state)
{
    struct fixture *x = *state;
    static const enum store_rig_fault faults[] = {RIG_BAD_XML, RIG_WRONG_KEYS};
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
        struct store_object o;
        store_rig_fail(x->rig, faults[i], 1);
        struct store_scan *scan = store_scan_open(x->store, STR_EMPTY, STR_EMPTY);
        assert_int_equal(store_scan_next(scan, &o), -EIO);
        assert_int_equal(store_scan_next(scan, &o), -EIO);
        store_scan_close(scan);
    }
}

static void test_checksums_can_be_switched_off(void **state)
{
    struct fixture *x = *state;
    struct store *s = open_with(x->rig, "?disable-checksum=true", 1);
    char out[16];
    size_t size;
    store_rig_fail(x->rig, RIG_CORRUPT, 1);
    assert_int_equal(store_get(s, STR("k"), out, sizeof(out), &size), 0);
    assert_int_equal(size, 10);
    store_close(s);
}

static void test_connections_are_used_again(void **state)
{
    struct fixture *x = *state;
    char out[16];
    size_t size;
    unsigned before = store_rig_connections(x->rig);
    for (int i = 0; i < 50; i++)
        assert_int_equal(store_get(x->store, STR("k"), out, sizeof(out), &size), 0);
    assert_int_equal(store_rig_connections(x->rig), before);
}

/* When nothing works, operations fail at once instead of each trying for long: 100 retries are the budget, whatever asks. */
static void test_retries_have_a_budget(void **state)
{
    struct fixture *x = *state;
    char out[16];
    size_t size;
    unsigned before = store_rig_requests(x->rig);
    store_rig_fail(x->rig, RIG_500, 100000);
    for (int i = 0; i < 100; i++)
        assert_int_equal(store_get(x->store, STR("k"), out, sizeof(out), &size), -EIO);
    assert_in_range(store_rig_requests(x->rig) - before, 190, 200);
    store_rig_fail(x->rig, RIG_GOOD, 0);
    assert_int_equal(store_get(x->store, STR("k"), out, sizeof(out), &size), 0);
}

static void test_what_cannot_be_opened(void **state)
{
    (void)state;
    static const struct store_config bad[] = {
        {.storage = STR_INIT("tape"), .bucket = STR_INIT("http://h/b"), .access_key = STR_INIT("k")},
        {.storage = STR_INIT("s3"), .bucket = STR_INIT("ftp://h/b"), .access_key = STR_INIT("k")},
        {.storage = STR_INIT("s3"), .bucket = STR_INIT("http://h/b"), .access_key = STR_INIT("k"), .shards = 2},
        {.storage = STR_INIT("s3"), .bucket = STR_INIT("http://h/b%d%s"), .access_key = STR_INIT("k"), .shards = 2},
        {.storage = STR_INIT("s3"), .bucket = STR_INIT("http://h/b%d"), .access_key = STR_INIT("k"), .shards = 257},
        {.storage = STR_INIT("file"), .bucket = STR_INIT("relative/")},
        {.storage = STR_INIT("file"), .bucket = STR_INIT("/no/slash/at/the/end")},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char text[256];
        struct buf why = buf_over(text, sizeof(text));
        struct store *s = NULL;
        assert_int_equal(store_open(&bad[i], &s, &why), -EINVAL);
        assert_null(s);
        assert_true(why.len > 0);
    }
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_shards),
        cmocka_unit_test_setup_teardown(test_misbehaving_stores, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silence_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_listings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_checksums_can_be_switched_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connections_are_used_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_retries_have_a_budget, setup, teardown),
        cmocka_unit_test(test_what_cannot_be_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
