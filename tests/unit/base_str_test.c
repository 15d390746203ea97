#include "tests/support/unit.h"

#include "base/str.h"

static void comparing(void **state)
{
    (void)state;
    assert_true(str_eq(STR_EMPTY, STR("")));
    assert_true(str_is(STR("ab"), "ab"));
    assert_false(str_is(STR("ab"), "aB"));
    assert_true(str_eq_nocase(STR("Content-Type"), STR("content-tYPE")));
    assert_false(str_eq_nocase(STR("@"), STR("`"))); /* differ in the case bit only, but are no letters */
    assert_false(str_eq_nocase(STR("\xC4"), STR("\xE4")));
    assert_true(str_eq_secret(STR("secret"), STR("secret")));
    assert_false(str_eq_secret(STR("secret"), STR("secreT")));
    assert_false(str_eq_secret(STR("secret"), STR("secre")));
    assert_true(str_eq_secret(STR_EMPTY, STR("")));
}

static void ordering_is_by_bytes(void **state)
{
    (void)state;
    assert_true(str_cmp(STR("a"), STR("b")) < 0);
    assert_true(str_cmp(STR("a"), STR("a\x01")) < 0);
    assert_true(str_cmp(STR("a\x7F"), STR("a\x80")) < 0);
    assert_true(str_cmp(STR("b"), STR("aaaa")) > 0);
    assert_int_equal(str_cmp(STR("same"), STR("same")), 0);
    assert_int_equal(str_cmp(STR_EMPTY, STR("")), 0);
    assert_true(str_cmp(STR_EMPTY, STR("a")) < 0);
}

static void prefixes_and_suffixes(void **state)
{
    (void)state;
    assert_true(str_starts(STR("bucket/key"), STR("bucket/")));
    assert_true(str_starts(STR_EMPTY, STR_EMPTY));
    assert_false(str_starts(STR("b"), STR("bu")));
    assert_true(str_starts_nocase(STR("X-Amz-Date"), STR("x-amz-")));
    assert_true(str_ends(STR("a.txt"), STR(".txt")));
    assert_true(str_ends(STR("a"), STR("")));
    assert_false(str_ends(STR("txt"), STR(".txt")));
}

static void finding(void **state)
{
    (void)state;
    assert_int_equal(str_find_char(STR("a/b/c"), '/'), 1);
    assert_int_equal(str_rfind_char(STR("a/b/c"), '/'), 3);
    assert_int_equal(str_find_char(STR("abc"), '/'), -1);
    assert_int_equal(str_rfind_char(STR_EMPTY, '/'), -1);
    assert_int_equal(str_find(STR("a--b"), STR("--")), 1);
    assert_int_equal(str_find(STR("a-b"), STR("--")), -1);
    assert_int_equal(str_find(STR_EMPTY, STR("x")), -1);
    assert_int_equal(str_find(STR("abc"), STR_EMPTY), 0);
}

static void parts_clamp(void **state)
{
    (void)state;
    assert_str(str_from(STR("abc"), 1), "bc");
    assert_str(str_from(STR("abc"), 9), "");
    assert_str(str_from(STR_EMPTY, 3), "");
    assert_str(str_first(STR("abc"), 2), "ab");
    assert_str(str_first(STR("abc"), 9), "abc");
    assert_str(str_trim(STR(" \t a b\t ")), "a b");
    assert_str(str_trim(STR(" \t")), "");
    assert_str(str_trim(STR("\nx")), "\nx");
}

static void splitting(void **state)
{
    (void)state;
    struct str rest = STR("a,,b,"), token;
    const char *const expected[] = {"a", "", "b", ""};
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        assert_true(str_split(&rest, ',', &token));
        assert_str(token, expected[i]);
    }
    assert_false(str_split(&rest, ',', &token));
    assert_null(rest.ptr);

    rest = STR("");
    assert_true(str_split(&rest, ',', &token));
    assert_str(token, "");
    assert_false(str_split(&rest, ',', &token));
}

static void utf8(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        bool valid;
    } rows[] = {
        {STR_INIT(""), true},
        {STR_INIT("plain ASCII, more than eight bytes"), true},
        {STR_INIT("\x7F"), true},
        {STR_INIT("nul \0 inside"), true},
        {STR_INIT("gr\xC3\xBC\xC3\x9F"), true},
        {STR_INIT("\xE2\x82\xAC"), true},
        {STR_INIT("12345678\xF0\x9F\x98\x80"), true},
        {STR_INIT("\xEF\xBF\xBF"), true},
        {STR_INIT("\xF4\x8F\xBF\xBF"), true},  /* U+10FFFF */
        {STR_INIT("\xF4\x90\x80\x80"), false}, /* U+110000 */
        {STR_INIT("\xC0\x80"), false},         /* overlong */
        {STR_INIT("\xC1\xBF"), false},         /* overlong */
        {STR_INIT("\xE0\x9F\xBF"), false},     /* overlong */
        {STR_INIT("\xF0\x8F\xBF\xBF"), false}, /* overlong */
        {STR_INIT("\xED\x9F\xBF"), true},      /* U+D7FF */
        {STR_INIT("\xED\xA0\x80"), false},     /* surrogate */
        {STR_INIT("\xEE\x80\x80"), true},      /* U+E000 */
        {STR_INIT("\x80"), false},             /* continuation alone */
        {STR_INIT("12345678\xC3"), false},     /* cut short */
        {STR_INIT("\xE2\x82"), false},         /* cut short */
        {STR_INIT("\xE2\x28\xA1"), false},     /* bad second byte */
        {STR_INIT("\xF0\x9F\x98\x28"), false}, /* bad last byte */
        {STR_INIT("\xF5\x80\x80\x80"), false}, /* no such first byte */
        {STR_INIT("\xFF"), false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (str_is_utf8(rows[i].text) != rows[i].valid)
            fail_msg("row %zu", i);
    }
    assert_int_equal(str_utf8_len(STR("a")), 1);
    assert_int_equal(str_utf8_len(STR("\xE2\x82\xAC"
                                      "x")),
                     3);
    assert_int_equal(str_utf8_len(STR("\xFFx")), 0);
    assert_int_equal(str_utf8_len(STR_EMPTY), 0);
}

static void decimal_numbers(void **state)
{
    (void)state;
    uint64_t value = 7;
    assert_true(str_parse_u64(STR("0"), &value));
    assert_int_equal(value, 0);
    assert_true(str_parse_u64(STR("18446744073709551615"), &value));
    assert_true(value == UINT64_MAX);
    value = 7;
    static const char *const bad[] = {
        "", " 1", "1 ", "+1", "-1", "1a", "18446744073709551616", "99999999999999999999", "0x1"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(str_parse_u64(str_z(bad[i]), &value));
    assert_false(str_parse_u64_max(STR("101"), 100, &value));
    assert_int_equal(value, 7); /* not written on failure */
    assert_true(str_parse_u64_max(STR("100"), 100, &value));
    assert_int_equal(value, 100);
}

static void hexadecimal_numbers(void **state)
{
    (void)state;
    uint64_t value = 0;
    assert_true(str_parse_hex_u64(STR("dEaD01"), &value));
    assert_int_equal(value, 0xdead01);
    assert_true(str_parse_hex_u64(STR("ffffffffffffffff"), &value));
    assert_true(value == UINT64_MAX);
    assert_false(str_parse_hex_u64(STR("00000000000000001"), &value));
    assert_false(str_parse_hex_u64(STR(""), &value));
    assert_false(str_parse_hex_u64(STR("g"), &value));
    assert_false(str_parse_hex_u64(STR("0x1"), &value));
}

static void durations_and_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
    } durations[] = {{"10", 10000}, {"10s", 10000}, {"500ms", 500}, {"5m", 300000}, {"2h", 7200000}, {"7d", 604800000}},
      sizes[] = {{"4096", 4096},     {"64K", 65536},        {"64KiB", 65536}, {"10M", 10485760},
                 {"1G", 1073741824}, {"1T", 1099511627776}, {"0", 0},         {"2TiB", 2199023255552}};
    uint64_t value = 0;
    for (size_t i = 0; i < ARRAY_SIZE(durations); i++) {
        assert_true(str_parse_duration_ms(str_z(durations[i].text), &value));
        assert_true(value == durations[i].value);
    }
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        assert_true(str_parse_size(str_z(sizes[i].text), &value));
        assert_true(value == sizes[i].value);
    }
    static const char *const bad[] = {
        "", "s", "K", "1x", "1 s", "1.5K", "-1", "18446744073709551615T", "18446744073709551615d"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(str_parse_duration_ms(str_z(bad[i]), &value));
        assert_false(str_parse_size(str_z(bad[i]), &value));
    }
}

static void zeroing(void **state)
{
    (void)state;
    char secret[4] = {1, 2, 3, 4};
    secure_zero(secret, 3);
    assert_memory_equal(secret, "\0\0\0\4", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparing),
        cmocka_unit_test(ordering_is_by_bytes),
        cmocka_unit_test(prefixes_and_suffixes),
        cmocka_unit_test(finding),
        cmocka_unit_test(parts_clamp),
        cmocka_unit_test(splitting),
        cmocka_unit_test(utf8),
        cmocka_unit_test(decimal_numbers),
        cmocka_unit_test(hexadecimal_numbers),
        cmocka_unit_test(durations_and_sizes),
        cmocka_unit_test(zeroing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
