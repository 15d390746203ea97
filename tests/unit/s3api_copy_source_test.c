#include "tests/support/unit.h"

#include "s3api/copy_source.h"

/* SEC-21: decoded exactly once, and the version split off before. */
static void names(void **state UNUSED)
{
    static const struct {
        const char *header, *bucket, *key, *version; /* bucket NULL: refused */
    } rows[] = {
        {"bucket/key", "bucket", "key", NULL},
        {"/bucket/key", "bucket", "key", NULL},
        {"bucket%2Fkey", "bucket", "key", NULL},
        {"bucket/a/b%20c", "bucket", "a/b c", NULL},
        {"bucket/a+b", "bucket", "a b", NULL},
        {"bucket/a%2Bb", "bucket", "a+b", NULL},
        {"bucket/100%25", "bucket", "100%", NULL},
        {"bucket/%2525", "bucket", "%25", NULL},
        {"bucket/%E2%82%AC", "bucket", "\xe2\x82\xac", NULL},
        {"bucket/key?versionId=null", "bucket", "key", "null"},
        {"bucket/key?versionId=", "bucket", "key", ""},
        {"bucket/key%3FversionId=x", "bucket", "key?versionId=x", NULL},
        {"bucket/what?ever", "bucket", "what?ever", NULL},
        {"bucket/dir/", "bucket", "dir/", NULL},
        {"//key", NULL, NULL, NULL},
        {"bucket//key", "bucket", "/key", NULL}, /* the key rules refuse it */
        {"", NULL, NULL, NULL},
        {"/", NULL, NULL, NULL},
        {"bucket", NULL, NULL, NULL},
        {"bucket/", NULL, NULL, NULL},
        {"/bucket/", NULL, NULL, NULL},
        {"?versionId=null", NULL, NULL, NULL},
        {"bucket/100%", NULL, NULL, NULL},
        {"bucket/%zz", NULL, NULL, NULL},
    };
    struct arena *arena = arena_new();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct s3_copy_name name;
        const char *reason = NULL;
        enum s3_error e = s3_copy_name_parse(str_z(rows[i].header), arena, &name, &reason);
        if ((e == S3_OK) != (rows[i].bucket != NULL))
            fail_msg("%s: %d", rows[i].header, e);
        if (e != S3_OK) {
            assert_int_equal(e, S3_INVALID_ARGUMENT);
            assert_non_null(reason);
            continue;
        }
        assert_str(name.bucket, rows[i].bucket);
        assert_str(name.key, rows[i].key);
        assert_int_equal(name.version_id.ptr != NULL, rows[i].version != NULL);
        if (rows[i].version)
            assert_str(name.version_id, rows[i].version);
    }
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
