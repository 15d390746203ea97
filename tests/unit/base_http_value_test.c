#include "tests/support/unit.h"

#include "base/http_value.h"

/* Ranges */

#define WHOLE HTTP_RANGE_WHOLE
#define PART HTTP_RANGE_PART
#define NOT_SATISFIABLE HTTP_RANGE_UNSATISFIABLE
#define MAX "18446744073709551615"
#define MORE_THAN_MAX "18446744073709551616"

static const struct {
    const char *value;
    uint64_t size;
    enum http_range_verdict verdict;
    uint64_t first;
    uint64_t length;
} ranges[] = {
    /* RFC 9110, 14.1.2 */
    {"bytes=0-499", 10000, PART, 0, 500},
    {"bytes=500-999", 10000, PART, 500, 500},
    {"bytes=-500", 10000, PART, 9500, 500},
    {"bytes=9500-", 10000, PART, 9500, 500},
    {"bytes=0-0", 10000, PART, 0, 1},
    /* The unit's name has no case */
    {"Bytes=0-1", 10, PART, 0, 2},
    /* The end is clamped */
    {"bytes=0-9", 10, PART, 0, 10},
    {"bytes=0-10", 10, PART, 0, 10},
    {"bytes=9-9", 10, PART, 9, 1},
    {"bytes=9-1000", 10, PART, 9, 1},
    {"bytes=0-", 10, PART, 0, 10},
    {"bytes=-10", 10, PART, 0, 10},
    {"bytes=-11", 10, PART, 0, 10},
    {"bytes=-1", 10, PART, 9, 1},
    {"bytes=007-008", 10, PART, 7, 2},
    /* Numbers at and beyond 2^64 */
    {"bytes=0-" MAX, 10, PART, 0, 10},
    {"bytes=0-" MORE_THAN_MAX, 10, PART, 0, 10},
    {"bytes=-" MORE_THAN_MAX, 10, PART, 0, 10},
    {"bytes=" MORE_THAN_MAX "-", 10, NOT_SATISFIABLE, 0, 0},
    {"bytes=" MORE_THAN_MAX "-" MORE_THAN_MAX "0", 10, NOT_SATISFIABLE, 0, 0},
    {"bytes=" MORE_THAN_MAX "-5", 10, WHOLE, 0, 0},
    {"bytes=0-", UINT64_MAX, PART, 0, UINT64_MAX},
    {"bytes=" MAX "-", UINT64_MAX, NOT_SATISFIABLE, 0, 0},
    /* Beyond the end */
    {"bytes=10-", 10, NOT_SATISFIABLE, 0, 0},
    {"bytes=10-10", 10, NOT_SATISFIABLE, 0, 0},
    {"bytes=40-50", 5, NOT_SATISFIABLE, 0, 0},
    {"bytes=-0", 10, NOT_SATISFIABLE, 0, 0},
    /* Nothing of nothing */
    {"bytes=0-", 0, NOT_SATISFIABLE, 0, 0},
    {"bytes=0-0", 0, NOT_SATISFIABLE, 0, 0},
    {"bytes=-1", 0, NOT_SATISFIABLE, 0, 0},
    {"bytes=-0", 0, NOT_SATISFIABLE, 0, 0},
    {"bytes=x", 0, WHOLE, 0, 0},
    {"", 0, WHOLE, 0, 0},
    /* Malformed, other units, several ranges */
    {"", 10, WHOLE, 0, 0},
    {"bytes", 10, WHOLE, 0, 0},
    {"bytes=", 10, WHOLE, 0, 0},
    {"bytes=-", 10, WHOLE, 0, 0},
    {"bytes=5", 10, WHOLE, 0, 0},
    {"bytes=5-2", 10, WHOLE, 0, 0},
    {"bytes=50-20", 10, WHOLE, 0, 0},
    {"bytes=a-b", 10, WHOLE, 0, 0},
    {"bytes=0-b", 10, WHOLE, 0, 0},
    {"bytes=0x1-2", 10, WHOLE, 0, 0},
    {"bytes=+1-2", 10, WHOLE, 0, 0},
    {"bytes=--1", 10, WHOLE, 0, 0},
    {"bytes=1--2", 10, WHOLE, 0, 0},
    {"bytes=1-2-3", 10, WHOLE, 0, 0},
    {"bytes= 1-2", 10, WHOLE, 0, 0},
    {"bytes=1 - 2", 10, WHOLE, 0, 0},
    {"bytes =1-2", 10, WHOLE, 0, 0},
    {"1-2", 10, WHOLE, 0, 0},
    {"items=1-2", 10, WHOLE, 0, 0},
    {"bytes=0-1,3-4", 10, WHOLE, 0, 0},
    {"bytes=0-1, -1", 10, WHOLE, 0, 0},
    {"bytes=0-1,", 10, WHOLE, 0, 0},
    {"bytes=0-,-1", 10, WHOLE, 0, 0},
    {"bytes=-1,0-", 10, WHOLE, 0, 0},
};

static void test_ranges(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
        struct http_range range = {77, 88};
        enum http_range_verdict verdict = http_range_parse(str_z(ranges[i].value), ranges[i].size, &range);
        if (verdict != ranges[i].verdict)
            fail_msg("\"%s\" of %ju bytes gives %d", ranges[i].value, (uintmax_t)ranges[i].size, (int)verdict);
        assert_int_equal(range.first, verdict == PART ? ranges[i].first : 77);
        assert_int_equal(range.length, verdict == PART ? ranges[i].length : 88);
    }
}

static void test_absent_range(void **state)
{
    (void)state;
    struct http_range range;
    assert_int_equal(http_range_parse(STR_EMPTY, 10, &range), HTTP_RANGE_WHOLE);
}

static const struct {
    const char *value;
    bool fits;
    uint64_t first;
    uint64_t last;
} copy_ranges[] = {
    {"bytes=0-0", true, 0, 0},
    {"bytes=0-9", true, 0, 9},
    {"bytes=5-" MAX, true, 5, UINT64_MAX},
    {"bytes=5-" MORE_THAN_MAX, false, 0, 0},
    {"bytes=9-8", false, 0, 0},
    {"bytes=5-", false, 0, 0},
    {"bytes=-5", false, 0, 0},
    {"bytes=-", false, 0, 0},
    {"bytes=5", false, 0, 0},
    {"bytes=0-1,2-3", false, 0, 0},
    {"bytes=0 -1", false, 0, 0},
    {"Bytes=0-1", false, 0, 0},
    {"0-1", false, 0, 0},
    {"", false, 0, 0},
};

static void test_copy_ranges(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(copy_ranges); i++) {
        uint64_t first = 77;
        uint64_t last = 88;
        bool fits = http_copy_range_parse(str_z(copy_ranges[i].value), &first, &last);
        if (fits != copy_ranges[i].fits)
            fail_msg("\"%s\" gives %d", copy_ranges[i].value, fits);
        assert_int_equal(first, fits ? copy_ranges[i].first : 77);
        assert_int_equal(last, fits ? copy_ranges[i].last : 88);
    }
}

/* Entity tags */

enum names { NEVER, WEAKLY, ALWAYS }; /* what the list must say of the tag */

static const struct {
    const char *list;
    const char *etag;
    enum names names;
} etag_lists[] = {
    /* RFC 9110, 13.1.1 and 13.1.2 */
    {"\"xyzzy\"", "xyzzy", ALWAYS},
    {"\"xyzzy\", \"r2d2xxxx\", \"c3piozzzz\"", "r2d2xxxx", ALWAYS},
    {"\"xyzzy\", \"r2d2xxxx\", \"c3piozzzz\"", "c3piozzzz", ALWAYS},
    {"\"xyzzy\", \"r2d2xxxx\", \"c3piozzzz\"", "r2d2", NEVER},
    {"W/\"xyzzy\"", "xyzzy", WEAKLY},
    {"W/\"xyzzy\", W/\"r2d2xxxx\", W/\"c3piozzzz\"", "c3piozzzz", WEAKLY},
    {"W/\"a\", \"a\"", "a", ALWAYS},
    {"*", "anything", ALWAYS},
    {" * ", "anything", ALWAYS},
    /* A star is a word of its own only */
    {"\"*\"", "anything", NEVER},
    {"\"a\", *", "anything", NEVER},
    /* Unquoted, as many S3 clients send them */
    {"abc", "abc", ALWAYS},
    {"abc,def", "def", ALWAYS},
    {"\tabc , def ", "abc", ALWAYS},
    {"abc", "ab", NEVER},
    {"abc", "ABC", NEVER},
    {"W/abc", "abc", WEAKLY},
    {"9b2cf535f27731c974343645a3985328-2", "9b2cf535f27731c974343645a3985328-2", ALWAYS},
    /* Commas inside quotes belong to the tag */
    {"\"a,b\"", "a,b", ALWAYS},
    {"\"a,b\"", "a", NEVER},
    {"\"a,b\"", "b", NEVER},
    {"\"x\",\"a,b\",\"y\"", "a,b", ALWAYS},
    {"\"x\",\"a,b\",\"y\"", "y", ALWAYS},
    {"W/\"a, b\" , \"y\"", "a, b", WEAKLY},
    /* Empty elements and odd quotes */
    {"", "a", NEVER},
    {"", "", NEVER},
    {",", "", NEVER},
    {", ,\"a\",,", "a", ALWAYS},
    {"\"\"", "", NEVER},
    {"\"", "", NEVER},
    {"\"a", "a", NEVER},
    {"a\"", "a", NEVER},
    {"\"a\"b", "a", NEVER},
    {"\"a, \"b\"", "b", NEVER},
    {"w/\"a\"", "a", NEVER},
    {"W/ \"a\"", "a", NEVER},
};

static void test_etag_lists(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(etag_lists); i++) {
        struct str list = str_z(etag_lists[i].list);
        struct str etag = str_z(etag_lists[i].etag);
        if (http_etag_list_has(list, etag, false) != (etag_lists[i].names == ALWAYS))
            fail_msg("strong: <%s> and <%s>", etag_lists[i].list, etag_lists[i].etag);
        if (http_etag_list_has(list, etag, true) != (etag_lists[i].names != NEVER))
            fail_msg("weak: <%s> and <%s>", etag_lists[i].list, etag_lists[i].etag);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_absent_range),
        cmocka_unit_test(test_copy_ranges),
        cmocka_unit_test(test_etag_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
