#include "tests/support/unit.h"

#include "base/encode.h"

static void hex(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf b = buf_make(100);
    unsigned char bytes[3] = {7, 7, 7};
    buf_add_hex(&b, "\x00\xab\xFF", 3);
    assert_string_equal(buf_z(&b), "00abff");
    assert_true(hex_decode(STR("00AbfF"), bytes, 3));
    assert_memory_equal(bytes, "\x00\xab\xFF", 3);
    assert_false(hex_decode(STR("00Abf"), bytes, 3));
    assert_false(hex_decode(STR("00Abff00"), bytes, 3));
    assert_false(hex_decode(STR("00Abfg"), bytes, 3));
    assert_false(hex_decode(STR("0x Abf"), bytes, 3));
    assert_true(hex_decode(STR_EMPTY, bytes, 0));
}

/* RFC 4648 §10 */
static void base64_vectors(void **state)
{
    (void)state;
    static const struct {
        struct str plain;
        const char *text;
    } rows[] = {
        {STR_INIT(""), ""},
        {STR_INIT("f"), "Zg=="},
        {STR_INIT("fo"), "Zm8="},
        {STR_INIT("foo"), "Zm9v"},
        {STR_INIT("foob"), "Zm9vYg=="},
        {STR_INIT("fooba"), "Zm9vYmE="},
        {STR_INIT("foobar"), "Zm9vYmFy"},
        {STR_INIT("\xFB\xFF\xFE\x00"), "+//+AA=="},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(buf_done) struct buf b = buf_make(100);
        char out[16];
        size_t size = 99;
        buf_add_base64(&b, rows[i].plain.ptr, rows[i].plain.len);
        assert_string_equal(buf_z(&b), rows[i].text);
        assert_int_equal(b.len, BASE64_LEN(rows[i].plain.len));
        assert_true(base64_decode(str_z(rows[i].text), out, rows[i].plain.len, &size));
        assert_int_equal(size, rows[i].plain.len);
        assert_memory_equal(out, rows[i].plain.ptr, size);
        if (size > 0)
            assert_false(base64_decode(str_z(rows[i].text), out, size - 1, &size));
    }
}

static void base64_is_strict(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z",        "Zg",    "Zg=",    "Zm9",   "Zh==", "Zm9=",     "====", "=",    "Z===",
        "Zg==Zg==", "Zm 9v", "Zm9v\n", " Zm9v", "Zm-_", "Zm9vYg=a", "Z=m9", "Zg=v", "\xC3\xA4\xC3\xA4",
    };
    char out[32];
    size_t size = 7;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (base64_decode(str_z(bad[i]), out, sizeof(out), &size))
            fail_msg("%s", bad[i]);
    }
    assert_int_equal(size, 7);
}

static void uri_encoding(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf b = buf_make(1000);
    buf_add_uri(&b, STR("a/B9-._~ +*'(%\xC3\xBC\0"), true);
    assert_string_equal(buf_z(&b), "a/B9-._~%20%2B%2A%27%28%25%C3%BC%00");
    buf_reset(&b);
    buf_add_uri(&b, STR("a/b"), false);
    assert_string_equal(buf_z(&b), "a%2Fb");
}

static void uri_decoding(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf b = buf_make(1000);
    assert_true(uri_decode(STR("a%2fb%2F+%41"), false, &b));
    assert_string_equal(buf_z(&b), "a/b/+A");
    buf_reset(&b);
    assert_true(uri_decode(STR("a+b%2B%00"), true, &b));
    assert_true(str_eq(buf_str(&b), STR("a b+\0")));
    buf_reset(&b);
    buf_addz(&b, "kept");
    static const char *const bad[] = {"%", "ab%", "ab%2", "%zz", "%2", "%%41", "%+1", "% 1"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(uri_decode(str_z(bad[i]), true, &b));
        assert_string_equal(buf_z(&b), "kept");
    }
    assert_true(uri_decode(STR_EMPTY, false, &b));
}

static void every_byte_comes_back(void **state)
{
    (void)state;
    char all[256];
    for (size_t i = 0; i < 256; i++)
        all[i] = (char)i;
    CLEANUP(buf_done) struct buf text = buf_make(1000);
    CLEANUP(buf_done) struct buf back = buf_make(1000);
    buf_add_uri(&text, str_of(all, 256), false);
    assert_true(uri_decode(buf_str(&text), true, &back));
    assert_true(str_eq(buf_str(&back), str_of(all, 256)));
}

static void json_strings(void **state)
{
    (void)state;
    static const struct {
        struct str plain;
        const char *json;
    } rows[] = {
        {STR_INIT(""), "\"\""},
        {STR_INIT("plain /"), "\"plain /\""},
        {STR_INIT("\"\\\b\f\n\r\t"), "\"\\\"\\\\\\b\\f\\n\\r\\t\""},
        {STR_INIT("\0\x1F\x7F"), "\"\\u0000\\u001f\x7F\""},
        {STR_INIT("\xC3\xBC\xF0\x9F\x98\x80"), "\"\xC3\xBC\xF0\x9F\x98\x80\""},
        {STR_INIT("a\xFF\xC3"), "\"a\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {STR_INIT("\xED\xA0\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(buf_done) struct buf b = buf_make(100);
        buf_add_json(&b, rows[i].plain);
        assert_string_equal(buf_z(&b), rows[i].json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex),          cmocka_unit_test(base64_vectors), cmocka_unit_test(base64_is_strict),
        cmocka_unit_test(uri_encoding), cmocka_unit_test(uri_decoding),   cmocka_unit_test(every_byte_comes_back),
        cmocka_unit_test(json_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
