#include "tests/support/unit.h"

#include "base/json.h"

static const struct json *parse(struct arena *arena, const char *text)
{
    return json_parse(str_z(text), 1000, 4, arena, NULL);
}

static void test_round_trips(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "null", "true", "false", "0", "-7", "9223372036854775807", "1.5", "1.1", "0.30000000000000004", "\"\"", "\"a\\\"\\\\b\"", "[]", "{}",
        "{\"a\":[1,{\"b\":null}],\"c\":\"d\"}",
    };
    struct arena *arena = arena_new();
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        const struct json *value = parse(arena, texts[i]);
        struct buf out = buf_make(1000);
        assert_non_null(value);
        json_write(value, &out);
        assert_str(buf_str(&out), texts[i]);
        buf_done(&out);
    }
    arena_free(arena);
}

static void test_members(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    const struct json *object = parse(arena, " {\"b\": [1, 2], \"a\": \"xyz\"} ");
    assert_non_null(object);
    assert_int_equal(object->count, 2);
    assert_str(object->first->name, "b");
    assert_int_equal(json_member(object, "a")->text.len, 3);
    assert_int_equal(json_member(object, "b")->count, 2);
    assert_null(json_member(object, "c"));
    assert_null(json_member(json_member(object, "a"), "a"));
    assert_null(json_member(NULL, "a"));
    arena_free(arena);
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{", "nul", "{} x", "{\"a\":1,\"a\":2}", "[[[[1]]]]", "{\"a\\u0000\":1}",
                                        "\"\\u0000\"", "99999999999999999999"};
    struct arena *arena = arena_new();
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct buf error = buf_make(200);
        assert_null(json_parse(str_z(texts[i]), 1000, 4, arena, &error));
        assert_true(error.len > 0);
        buf_done(&error);
    }
    assert_null(json_parse(STR("[1]"), 2, 4, arena, NULL));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
