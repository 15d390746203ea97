#include "tests/support/unit.h"

#include "base/http_head.h"

static const struct http_head head = {
    .method = STR_INIT("GET"),
    .target = STR_INIT("/"),
    .minor_version = 1,
    .header_count = 5,
    .headers =
        {
            {STR_INIT("Host"), STR_INIT("localhost")},
            {STR_INIT("x-amz-Meta-A"), STR_INIT("1")},
            {STR_INIT("X-Amz-Meta-a"), STR_INIT("2")},
            {STR_INIT("Empty"), STR_INIT("")},
            {STR_INIT("hos"), STR_INIT("prefix")},
            {STR_INIT("Behind"), STR_INIT("the count")},
        },
};

static void test_find_any_case_first_wins(void **state)
{
    (void)state;
    assert_ptr_equal(http_find(&head, "hOST"), &head.headers[0]);
    assert_ptr_equal(http_find(&head, "x-amz-meta-a"), &head.headers[1]);
    assert_ptr_equal(http_find(&head, "hos"), &head.headers[4]);
    assert_null(http_find(&head, "hosts"));
    assert_null(http_find(&head, ""));
    assert_null(http_find(&head, "behind"));
}

static void test_get_tells_empty_from_absent(void **state)
{
    (void)state;
    assert_str(http_get(&head, "host"), "localhost");
    assert_str(http_get(&head, "empty"), "");
    assert_non_null(http_get(&head, "empty").ptr);
    assert_null(http_get(&head, "absent").ptr);
    assert_int_equal(http_get(&head, "absent").len, 0);
}

static void test_count(void **state)
{
    (void)state;
    assert_int_equal(http_count(&head, "host"), 1);
    assert_int_equal(http_count(&head, "X-AMZ-META-A"), 2);
    assert_int_equal(http_count(&head, "absent"), 0);
}

static const struct {
    const char *target;
    const char *path;
    const char *query; /* NULL: none */
} targets[] = {
    {"/", "/", NULL},
    {"/b/k", "/b/k", NULL},
    {"/b/k?", "/b/k", ""},
    {"/b?list-type=2&prefix=a%3Fb", "/b", "list-type=2&prefix=a%3Fb"},
    {"/b?a=?&b=?", "/b", "a=?&b=?"},
    {"/b/%3Fk", "/b/%3Fk", NULL},
    {"?acl", "", "acl"},
    {"", "", NULL},
};

static void test_split_target(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        struct str path;
        struct str query;
        http_split_target(str_z(targets[i].target), &path, &query);
        assert_str(path, targets[i].path);
        assert_int_equal(query.ptr != NULL, targets[i].query != NULL);
        assert_str(query, targets[i].query);
    }
}

static void test_status_text(void **state)
{
    (void)state;
    assert_string_equal(http_status_text(200), "OK");
    assert_string_equal(http_status_text(206), "Partial Content");
    assert_string_equal(http_status_text(304), "Not Modified");
    assert_string_equal(http_status_text(404), "Not Found");
    assert_string_equal(http_status_text(416), "Range Not Satisfiable");
    assert_string_equal(http_status_text(503), "Service Unavailable");
    assert_string_equal(http_status_text(299), "Unknown");
    assert_string_equal(http_status_text(0), "Unknown");
    assert_string_equal(http_status_text(-1), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find_any_case_first_wins),
        cmocka_unit_test(test_get_tells_empty_from_absent),
        cmocka_unit_test(test_count),
        cmocka_unit_test(test_split_target),
        cmocka_unit_test(test_status_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
