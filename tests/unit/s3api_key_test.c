#include "tests/support/unit.h"

#include "base/limits.h"
#include "s3api/key.h"

/* Bucket names */

static const struct {
    const char *name;
    bool valid;
} bucket_names[] = {
    {"abc", true},
    {"a-b.c-d", true},
    {"0bucket9", true},
    {"a.b.c", true},
    {"1.2.3", true},
    {"1.2.3.4.5", true},
    {"256.1.1.1", true},
    {"amzn-s3-demo-bucket", true},
    {"", false},
    {"ab", false},
    {"Abc", false},
    {"a_b", false},
    {"a b", false},
    {"a/b", false},
    {"..", false},
    {"...", false},
    {"../x", false},
    {".abc", false},
    {"abc.", false},
    {"-abc", false},
    {"abc-", false},
    {"a..b", false},
    {"a.-b", false},
    {"a-.b", false},
    {"192.168.5.4", false},
    {"xn--bucket", false},
    {"sthree-bucket", false},
    {"bucket-s3alias", false},
    {"bucket--ol-s3", false},
    {"bucket.mrap", false},
    {"bucket--x-s3", false},
    {"bucket--table-s3", false},
    {".sluice", false},
    {"b\xc3\xbc"
     "cket",
     false},
};

/* SEC-22 */
static void test_bucket_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bucket_names); i++)
        if (s3_bucket_name_is_valid(str_z(bucket_names[i].name)) != bucket_names[i].valid)
            fail_msg("\"%s\"", bucket_names[i].name);
    assert_false(s3_bucket_name_is_valid(str_of("a\0b", 3)));
    char longest[LIMIT_BUCKET_NAME_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    assert_true(s3_bucket_name_is_valid(str_of(longest, LIMIT_BUCKET_NAME_MAX)));
    assert_false(s3_bucket_name_is_valid(str_of(longest, LIMIT_BUCKET_NAME_MAX + 1)));
}

/* Keys */

static const struct {
    const char *key;
    const char *path; /* NULL: refused */
    bool is_directory;
    enum s3_error error;
} keys[] = {
    {"a", "a", false, S3_OK},
    {"a/b/c", "a/b/c", false, S3_OK},
    {"a/", "a", true, S3_OK},
    {"a/b/", "a/b", true, S3_OK},
    {" ", " ", false, S3_OK},
    {"a b+c%20", "a b+c%20", false, S3_OK},
    {"...", "...", false, S3_OK},
    {"a/.../b", "a/.../b", false, S3_OK},
    {".a", ".a", false, S3_OK},
    {"a\nb", "a\nb", false, S3_OK},
    {"a\\b", "a\\b", false, S3_OK},
    {"\xe6\xbc\xa2\xe5\xad\x97", "\xe6\xbc\xa2\xe5\xad\x97", false, S3_OK},
    {"dir/.trash", "dir/.trash", false, S3_OK},
    {".trashcan", ".trashcan", false, S3_OK},
    {".sluices", ".sluices", false, S3_OK},
    {"sluice", "sluice", false, S3_OK},
    {"a/.config/x", "a/.config/x", false, S3_OK},
    {"", NULL, false, S3_INVALID_ARGUMENT},
    {"/", NULL, false, S3_INVALID_ARGUMENT},
    {"//", NULL, false, S3_INVALID_ARGUMENT},
    {"/a", NULL, false, S3_INVALID_ARGUMENT},
    {"a//b", NULL, false, S3_INVALID_ARGUMENT},
    {"a//", NULL, false, S3_INVALID_ARGUMENT},
    {".", NULL, false, S3_INVALID_ARGUMENT},
    {"..", NULL, false, S3_INVALID_ARGUMENT},
    {"./", NULL, false, S3_INVALID_ARGUMENT},
    {"../", NULL, false, S3_INVALID_ARGUMENT},
    {"a/../b", NULL, false, S3_INVALID_ARGUMENT},
    {"../a", NULL, false, S3_INVALID_ARGUMENT},
    {"a/..", NULL, false, S3_INVALID_ARGUMENT},
    {"a/./b", NULL, false, S3_INVALID_ARGUMENT},
    {"a\xff", NULL, false, S3_INVALID_URI},
    {"\xc0\xaf", NULL, false, S3_INVALID_URI},
    {"\xed\xa0\x80", NULL, false, S3_INVALID_URI},
    {".sluice", NULL, false, S3_ACCESS_DENIED},
    {".sluice/uploads/x", NULL, false, S3_ACCESS_DENIED},
    {"a/.sluice/x", NULL, false, S3_ACCESS_DENIED},
    {"a/.sluice", NULL, false, S3_ACCESS_DENIED},
    {".SLUICE/x", NULL, false, S3_ACCESS_DENIED},
    {".\xc5\xbfluice/x", NULL, false, S3_ACCESS_DENIED},
    {".slu\xc2\xad"
     "ice/x",
     NULL, false, S3_ACCESS_DENIED},
    {"\xe2\x80\x8d.sluice/x", NULL, false, S3_ACCESS_DENIED},
    {".sluice-tmp.1", NULL, false, S3_ACCESS_DENIED},
    {"a/.sluice-tmp.1", NULL, false, S3_ACCESS_DENIED},
    {".sys/x", NULL, false, S3_ACCESS_DENIED},
    {".trash/x", NULL, false, S3_ACCESS_DENIED},
    {".Trash/x", NULL, false, S3_ACCESS_DENIED},
    {".minio.sys/x", NULL, false, S3_ACCESS_DENIED},
    {".config/app", ".config/app", false, S3_OK},
};

static void test_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        struct s3_key key = {0};
        const char *reason = NULL;
        enum s3_error error = s3_key_parse(str_z(keys[i].key), &key, &reason);
        if (error != keys[i].error)
            fail_msg("\"%s\" gives %d", keys[i].key, (int)error);
        if (error != S3_OK) {
            assert_non_null(reason);
            assert_null(key.path.ptr);
            continue;
        }
        assert_str(key.key, keys[i].key);
        assert_str(key.path, keys[i].path);
        assert_int_equal(key.is_directory, keys[i].is_directory);
    }
}

static void test_nul_is_refused(void **state)
{
    (void)state;
    struct s3_key key;
    const char *reason;
    assert_int_equal(s3_key_parse(str_of("a\0b", 3), &key, &reason), S3_INVALID_ARGUMENT);
}

/* SEC-55 */
static void test_key_lengths(void **state)
{
    (void)state;
    struct s3_key key;
    const char *reason;
    char text[LIMIT_KEY_BYTES + 1];
    memset(text, 'k', sizeof(text));
    assert_int_equal(s3_key_parse(str_of(text, LIMIT_KEY_SEGMENT_BYTES), &key, &reason), S3_OK);
    assert_int_equal(s3_key_parse(str_of(text, LIMIT_KEY_SEGMENT_BYTES + 1), &key, &reason), S3_KEY_TOO_LONG);
    for (size_t i = 200; i < sizeof(text); i += 200)
        text[i] = '/';
    assert_int_equal(s3_key_parse(str_of(text, LIMIT_KEY_BYTES), &key, &reason), S3_OK);
    assert_int_equal(s3_key_parse(str_of(text, LIMIT_KEY_BYTES + 1), &key, &reason), S3_KEY_TOO_LONG);
}

static void test_reserved_names_of_the_root_are_free_elsewhere(void **state)
{
    (void)state;
    assert_true(s3_name_is_reserved(STR(".trash"), true));
    assert_false(s3_name_is_reserved(STR(".trash"), false));
    assert_true(s3_name_is_reserved(STR(".sluice"), false));
    assert_true(s3_name_is_reserved(STR(".sluice-x"), false));
    assert_false(s3_name_is_reserved(STR("sluice"), true));
    assert_false(s3_name_is_reserved(STR_EMPTY, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bucket_names),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_nul_is_refused),
        cmocka_unit_test(test_key_lengths),
        cmocka_unit_test(test_reserved_names_of_the_root_are_free_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
