#include "tests/support/unit.h"

#include "s3api/precondition.h"

/* The object of these tables was modified at this time and has this ETag. */
#define ETAG "9e107d9d372bb6826bd81d3542a419d6"
#define NOW_S 784111777
#define NOW "Sun, 06 Nov 1994 08:49:37 GMT"
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define AFTER "Sun, 06 Nov 1994 08:49:38 GMT"

struct row {
    const char *match, *none_match, *modified, *unmodified;
    enum s3_error expected;
};

static struct s3_conditions conditions_of(const struct row *r)
{
    return (struct s3_conditions){.if_match = str_z(r->match),
                                  .if_none_match = str_z(r->none_match),
                                  .if_modified_since = str_z(r->modified),
                                  .if_unmodified_since = str_z(r->unmodified)};
}

/* AWS, "GetObject", If-Match to If-Unmodified-Since, and the notes on their combinations; RFC 9110 §13.2.2. */
static const struct row reads[] = {
    {NULL, NULL, NULL, NULL, S3_OK},
    {"\"" ETAG "\"", NULL, NULL, NULL, S3_OK},
    {ETAG, NULL, NULL, NULL, S3_OK},
    {"*", NULL, NULL, NULL, S3_OK},
    {"\"other\", \"" ETAG "\"", NULL, NULL, NULL, S3_OK},
    {"\"other\"", NULL, NULL, NULL, S3_PRECONDITION_FAILED},
    {"", NULL, NULL, NULL, S3_PRECONDITION_FAILED},
    {NULL, "\"" ETAG "\"", NULL, NULL, S3_NOT_MODIFIED},
    {NULL, ETAG, NULL, NULL, S3_NOT_MODIFIED},
    {NULL, "W/\"" ETAG "\"", NULL, NULL, S3_NOT_MODIFIED},
    {NULL, "*", NULL, NULL, S3_NOT_MODIFIED},
    {NULL, "\"other\"", NULL, NULL, S3_OK},
    {NULL, NULL, BEFORE, NULL, S3_OK},
    {NULL, NULL, NOW, NULL, S3_NOT_MODIFIED},
    {NULL, NULL, AFTER, NULL, S3_NOT_MODIFIED},
    {NULL, NULL, "yesterday", NULL, S3_OK},
    {NULL, NULL, NULL, BEFORE, S3_PRECONDITION_FAILED},
    {NULL, NULL, NULL, NOW, S3_OK},
    {NULL, NULL, NULL, AFTER, S3_OK},
    {NULL, NULL, NULL, "tomorrow", S3_OK},
    /* If-Match true and If-Unmodified-Since false: 200. */
    {ETAG, NULL, NULL, BEFORE, S3_OK},
    /* If-None-Match false and If-Modified-Since true: 304. */
    {NULL, ETAG, BEFORE, NULL, S3_NOT_MODIFIED},
    /* If-None-Match true makes If-Modified-Since void. */
    {NULL, "other", AFTER, NULL, S3_OK},
    {"other", ETAG, NULL, NULL, S3_PRECONDITION_FAILED},
    {ETAG, ETAG, NULL, NULL, S3_NOT_MODIFIED},
};

static void of_reads(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(reads); i++) {
        struct s3_conditions c = conditions_of(&reads[i]);
        enum s3_error e = s3_check_read(&c, STR(ETAG), NOW_S);
        if (e != reads[i].expected)
            fail_msg("row %zu: %d", i, e);
        assert_int_equal(s3_has_conditions(&c), i > 0);
    }
}

/* The same, but a copy has no 304. */
static void of_copy_sources(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(reads); i++) {
        struct s3_conditions c = conditions_of(&reads[i]);
        enum s3_error expected = reads[i].expected == S3_OK ? S3_OK : S3_PRECONDITION_FAILED;
        assert_int_equal(s3_check_copy_source(&c, STR(ETAG), NOW_S), expected);
    }
}

static void of_writes(void **state UNUSED)
{
    static const struct {
        const char *match, *none_match;
        enum s3_error absent, present;
    } rows[] = {
        {NULL, NULL, S3_OK, S3_OK},
        {NULL, "*", S3_OK, S3_PRECONDITION_FAILED},
        {NULL, ETAG, S3_OK, S3_PRECONDITION_FAILED},
        {NULL, "other", S3_OK, S3_OK},
        {"*", NULL, S3_NO_SUCH_KEY, S3_OK},
        {ETAG, NULL, S3_NO_SUCH_KEY, S3_OK},
        {"other", NULL, S3_NO_SUCH_KEY, S3_PRECONDITION_FAILED},
        {"*", "*", S3_NO_SUCH_KEY, S3_PRECONDITION_FAILED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct s3_conditions c = {.if_match = str_z(rows[i].match), .if_none_match = str_z(rows[i].none_match)};
        assert_int_equal(s3_check_write(&c, false, STR_EMPTY), rows[i].absent);
        assert_int_equal(s3_check_write(&c, true, STR(ETAG)), rows[i].present);
    }
}

static void of_deletes(void **state UNUSED)
{
    static const struct {
        struct s3_conditions c;
        enum s3_error absent, present;
    } rows[] = {
        {{.has_size = false}, S3_OK, S3_OK},
        {{.if_match = STR_INIT(ETAG)}, S3_NO_SUCH_KEY, S3_OK},
        {{.if_match = STR_INIT("*")}, S3_NO_SUCH_KEY, S3_OK},
        {{.if_match = STR_INIT("other")}, S3_NO_SUCH_KEY, S3_PRECONDITION_FAILED},
        {{.has_size = true, .size = 9}, S3_OK, S3_OK},
        {{.has_size = true, .size = 8}, S3_OK, S3_PRECONDITION_FAILED},
        {{.has_modified = true, .modified_s = NOW_S}, S3_OK, S3_OK},
        {{.has_modified = true, .modified_s = NOW_S + 1}, S3_OK, S3_PRECONDITION_FAILED},
        {{.if_match = STR_INIT(ETAG), .has_size = true, .size = 8}, S3_NO_SUCH_KEY, S3_PRECONDITION_FAILED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(s3_check_delete(&rows[i].c, false, STR_EMPTY, 0, 0), rows[i].absent);
        assert_int_equal(s3_check_delete(&rows[i].c, true, STR(ETAG), 9, NOW_S), rows[i].present);
        assert_int_equal(s3_has_conditions(&rows[i].c), i > 0);
    }
}

static void the_culprit_is_named(void **state UNUSED)
{
    static const struct {
        struct s3_conditions c;
        const char *name;
    } rows[] = {
        {{.if_match = STR_INIT("other")}, "If-Match"},
        {{.if_none_match = STR_INIT(ETAG)}, "If-None-Match"},
        {{.if_match = STR_INIT(ETAG), .if_none_match = STR_INIT("*")}, "If-None-Match"},
        {{.if_unmodified_since = STR_INIT(BEFORE)}, "If-Unmodified-Since"},
        {{.if_modified_since = STR_INIT(AFTER)}, "If-Modified-Since"},
        {{.has_size = true}, "x-amz-if-match-size"},
        {{.has_modified = true}, "x-amz-if-match-last-modified-time"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_string_equal(s3_condition_name(&rows[i].c, STR(ETAG)), rows[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_reads),   cmocka_unit_test(of_copy_sources),      cmocka_unit_test(of_writes),
        cmocka_unit_test(of_deletes), cmocka_unit_test(the_culprit_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
