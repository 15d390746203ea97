#include "tests/support/s3_engine.h"
#include "tests/support/unit.h"

#include <unistd.h>

#include "base/limits.h"
#include "base/metrics.h"
#include "tests/support/head.h"

/* How much one caller may ask for. */

static struct s3_engine *engine;

static void set_up(uint32_t requests, uint32_t rate)
{
    engine = s3_engine_new(&(struct s3_engine_options){.user_requests = requests, .user_rate = rate});
    s3_engine_add_user(engine, "ann", NULL, false);
    s3_engine_add_user(engine, "bob", NULL, false);
}

static int tear_down(void **state)
{
    (void)state;
    s3_engine_free(engine);
    return 0;
}

static const struct s3_answer *list_as(const char *user)
{
    return s3_call(engine, &(struct s3_call){.method = "GET", .target = "/", .access_key = user});
}

static uint64_t refused(const char *label)
{
    return metric_value_for_test(metric_get(METRIC_COUNTER, "sluice_requests_limited_total", label, ""));
}

static void test_rate(void **state)
{
    (void)state;
    set_up(0, 3);
    uint64_t before = refused("limit=\"rate\"");
    for (int i = 0; i < 3; i++)
        assert_answer(list_as("ann"), 200, NULL);
    const struct s3_answer *a = list_as("ann");
    assert_answer(a, 503, "SlowDown");
    assert_str(s3_answer_header(a, "retry-after"), "1");
    assert_answer(list_as("bob"), 200, NULL);
    assert_int_equal(refused("limit=\"rate\""), before + 1);
    usleep(400 * 1000); /* one more every third of a second */
    assert_answer(list_as("ann"), 200, NULL);
    assert_answer(list_as("ann"), 503, "SlowDown");
}

/* A request that is being answered, from that address. */
static struct s3_op *begin(struct arena *arena, const struct http_head *head, const char *address)
{
    struct s3_incoming in = {
        .head = head, .request_id = STR("1"), .host_id = STR("host"), .peer_address = str_z(address), .content_length = -1};
    return s3_begin(s3_engine_service(engine), &in, arena);
}

static int status(const struct s3_op *op)
{
    return s3_reply(op)->status;
}

static void test_requests_at_a_time(void **state)
{
    (void)state;
    set_up(2, 0);
    struct http_head head = head_of("GET /bkt\nHost: s3.test\n");
    struct arena *arena = arena_new();
    struct s3_op *first = begin(arena, &head, "192.0.2.1"), *second = begin(arena, &head, "192.0.2.1");
    struct s3_op *third = begin(arena, &head, "192.0.2.1"), *other = begin(arena, &head, "192.0.2.2");
    assert_int_equal(status(first), 404);
    assert_int_equal(status(second), 404);
    assert_int_equal(status(third), 503);
    assert_int_equal(status(other), 404);
    assert_answer(list_as("ann"), 200, NULL);
    s3_end(third);
    s3_end(first);
    struct s3_op *fourth = begin(arena, &head, "192.0.2.1"), *fifth = begin(arena, &head, "192.0.2.1");
    assert_int_equal(status(fourth), 404);
    assert_int_equal(status(fifth), 503);
    s3_end(second);
    s3_end(fourth);
    s3_end(fifth);
    s3_end(other);
    arena_free(arena);
}

/* Whoever has one IPv6 address has as many as he likes beside it. */
static void test_addresses_of_one_network(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        int status;
    } rows[] = {
        {"2001:db8:0:1::1", 404}, {"2001:db8:0:1::1", 503},   {"2001:DB8::1:ffff:0:0:2", 503}, {"2001:db8:0:2::1", 404},
        {"::ffff:192.0.2.1", 404}, {"::ffff:192.0.2.2", 404}, {"192.0.2.3", 404},              {"unix", 404},
    };
    set_up(1, 0);
    struct http_head head = head_of("GET /bkt\nHost: s3.test\n");
    struct arena *arena = arena_new();
    struct s3_op *ops[ARRAY_SIZE(rows)];
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        ops[i] = begin(arena, &head, rows[i].address);
        if (status(ops[i]) != rows[i].status)
            fail_msg("%s: %d", rows[i].address, status(ops[i]));
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        s3_end(ops[i]);
    arena_free(arena);
}

/* More callers than are counted one by one: nobody gets around a limit, and nothing grows. */
static void test_many_callers(void **state)
{
    (void)state;
    set_up(1, 0);
    struct http_head head = head_of("GET /bkt\nHost: s3.test\n");
    enum { COUNT = LIMIT_CALLERS + LIMIT_CALLERS / 8 };
    struct s3_op **ops = calloc(COUNT, sizeof(struct s3_op *));
    struct arena *arena = arena_new();
    size_t passed = 0;
    for (size_t i = 0; i < COUNT; i++) {
        ops[i] = begin(arena, &head, arena_printf(arena, "10.%zu.%zu.1", i >> 8, i & 255).ptr);
        passed += status(ops[i]) == 404;
    }
    assert_in_range(passed, LIMIT_CALLERS / 2, LIMIT_CALLERS + 64);
    for (size_t i = 0; i < COUNT; i++)
        s3_end(ops[i]);
    struct s3_op *late = begin(arena, &head, "192.0.2.1");
    assert_int_equal(status(late), 404);
    s3_end(late);
    arena_free(arena);
    free(ops);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_rate, tear_down),
        cmocka_unit_test_teardown(test_requests_at_a_time, tear_down),
        cmocka_unit_test_teardown(test_addresses_of_one_network, tear_down),
        cmocka_unit_test_teardown(test_many_callers, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
