#include "tests/support/unit.h"

#include <time.h>

#include "base/clock.h"

#define NS_PER_S 1000000000ll

static void clocks_run(void **state)
{
    (void)state;
    uint64_t before_ns = clock_mono_ns();
    assert_true(clock_mono_ns() >= before_ns);
    assert_in_range(clock_mono_ms() - before_ns / 1000000, 0, 10000);
    assert_in_range(clock_wall_s(), time(NULL) - 1, time(NULL) + 1);
}

static void wall_clock_can_be_fixed(void **state)
{
    (void)state;
    clock_set_wall_for_test(1369353600123456789);
    assert_true(clock_wall_ns() == 1369353600123456789);
    assert_int_equal(clock_wall_s(), 1369353600);
    clock_set_wall_for_test(0);
    assert_in_range(clock_wall_s(), time(NULL) - 1, time(NULL) + 1);
}

static const struct {
    int64_t wall_s;
    const char *http, *iso, *amz;
} dates[] = {
    {784111777, "Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37.000Z", "19941106T084937Z"},
    {0, "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00.000Z", "19700101T000000Z"},
    {-1, "Wed, 31 Dec 1969 23:59:59 GMT", "1969-12-31T23:59:59.000Z", "19691231T235959Z"},
    {951782400, "Tue, 29 Feb 2000 00:00:00 GMT", "2000-02-29T00:00:00.000Z", "20000229T000000Z"},
    {1369353600, "Fri, 24 May 2013 00:00:00 GMT", "2013-05-24T00:00:00.000Z", "20130524T000000Z"},
    {1709251199, "Thu, 29 Feb 2024 23:59:59 GMT", "2024-02-29T23:59:59.000Z", "20240229T235959Z"},
    {1709251200, "Fri, 01 Mar 2024 00:00:00 GMT", "2024-03-01T00:00:00.000Z", "20240301T000000Z"},
    {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT", "2100-03-01T00:00:00.000Z", "21000301T000000Z"},
};

static void known_dates(void **state)
{
    (void)state;
    char out[CLOCK_TEXT_MAX];
    for (size_t i = 0; i < ARRAY_SIZE(dates); i++) {
        int64_t wall_s = 1, wall_ns = 1;
        assert_str(clock_format_http(dates[i].wall_s, out), dates[i].http);
        assert_str(clock_format_iso8601_ms(dates[i].wall_s * NS_PER_S, out), dates[i].iso);
        assert_str(clock_format_amz(dates[i].wall_s, out), dates[i].amz);
        assert_true(clock_parse_http(str_z(dates[i].http), &wall_s));
        assert_true(wall_s == dates[i].wall_s);
        assert_true(clock_parse_amz(str_z(dates[i].amz), &wall_s));
        assert_true(wall_s == dates[i].wall_s);
        assert_true(clock_parse_iso8601(str_z(dates[i].iso), &wall_ns));
        assert_true(wall_ns == dates[i].wall_s * NS_PER_S);
    }
}

/* libc's calendar as the second opinion: a step that is prime to a day, over four centuries and more. */
static void every_day_agrees_with_libc(void **state)
{
    (void)state;
    char out[CLOCK_TEXT_MAX], expected[CLOCK_TEXT_MAX];
    for (int64_t wall_s = -13000000000; wall_s < 13000000000; wall_s += 86399 * 3) {
        struct tm tm;
        time_t t = wall_s;
        int64_t parsed;
        assert_non_null(gmtime_r(&t, &tm));
        assert_true(strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0);
        assert_str(clock_format_http(wall_s, out), expected);
        assert_true(clock_parse_http(str_z(expected), &parsed));
        assert_true(parsed == wall_s);
    }
}

static void formats_clamp_to_four_digits(void **state)
{
    (void)state;
    char out[CLOCK_TEXT_MAX];
    assert_str(clock_format_http(INT64_MAX, out), "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_str(clock_format_amz(INT64_MIN, out), "00010101T000000Z");
    assert_str(clock_format_iso8601_ms(1500000, out), "1970-01-01T00:00:00.001Z");
    assert_str(clock_format_iso8601_ms(-1, out), "1969-12-31T23:59:59.999Z");
}

static void http_forms(void **state)
{
    (void)state;
    clock_set_wall_for_test(1767225600 * NS_PER_S); /* 2026 */
    static const struct {
        const char *text;
        int64_t wall_s;
    } good[] = {
        {"Sun, 06 Nov 1994 08:49:37 -0000", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777}, {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Sun Nov 16 08:49:37 1994", 784975777},       {"Friday, 01-Jan-76 00:00:00 GMT", 3345062400},
        {"Friday, 01-Jan-77 00:00:00 GMT", 220924800}, {"Fri, 31 Dec 1999 23:59:60 GMT", 946684800},
    };
    static const char *const bad[] = {
        "",
        "now",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Thu, 29 Feb 2023 00:00:00 GMT",
        "Xxx, 06 Nov 1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "1994-11-06T08:49:37Z",
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        int64_t wall_s = 1;
        if (!clock_parse_http(str_z(good[i].text), &wall_s) || wall_s != good[i].wall_s)
            fail_msg("%s: %lld", good[i].text, (long long)wall_s);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        int64_t wall_s = 7;
        if (clock_parse_http(str_z(bad[i]), &wall_s) || wall_s != 7)
            fail_msg("%s", bad[i]);
    }
    clock_set_wall_for_test(0);
}

static void amz_is_strict(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "20130524T000000",
                                      "20130524T000000z",
                                      "20130524 000000Z",
                                      "2013-05-24T00:00:00Z",
                                      "20131324T000000Z",
                                      "00000408T000000Z", /* no year that could be written again */
                                      "99991231T235960Z",
                                      "20130524T000000ZZ",
                                      "2013052 T000000Z"};
    int64_t wall_s;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(clock_parse_amz(str_z(bad[i]), &wall_s));
}

static void iso8601_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t wall_ns;
    } good[] = {
        {"2009-10-12T17:50:30Z", 1255369830000000000},
        {"2009-10-12T17:50:30.5Z", 1255369830500000000},
        {"2009-10-12T17:50:30.123456789Z", 1255369830123456789},
        {"2009-10-12T17:50:30.1234567899Z", 1255369830123456789},
        {"2009-10-12T19:50:30+02:00", 1255369830000000000},
        {"2009-10-12T12:20:30.000-0530", 1255369830000000000},
        {"2262-04-11T23:47:16.854775807Z", INT64_MAX},
        {"2262-04-11T23:47:16.854775808Z", INT64_MAX},
        {"9999-10-12T17:50:30Z", INT64_MAX},
        {"1000-10-12T17:50:30Z", INT64_MIN},
    };
    static const char *const bad[] = {
        "",
        "2009-10-12",
        "2009-10-12T17:50:30",
        "2009-10-12T17:50:30.Z",
        "2009-10-12T17:50Z",
        "2009-10-12 17:50:30Z",
        "2009-13-12T17:50:30Z",
        "2009-10-12T17:50:30+2",
        "2009-10-12T17:50:30+24:00",
        "2009-10-12T17:50:30+02:60",
        "2009-10-12T17:50:30+02:00x",
        "2009-10-12T17:50:30ZZ",
        "0000-10-12T17:50:30Z",
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        int64_t wall_ns = 1;
        if (!clock_parse_iso8601(str_z(good[i].text), &wall_ns) || wall_ns != good[i].wall_ns)
            fail_msg("%s: %lld", good[i].text, (long long)wall_ns);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        int64_t wall_ns = 7;
        if (clock_parse_iso8601(str_z(bad[i]), &wall_ns) || wall_ns != 7)
            fail_msg("%s", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_run),
        cmocka_unit_test(wall_clock_can_be_fixed),
        cmocka_unit_test(known_dates),
        cmocka_unit_test(every_day_agrees_with_libc),
        cmocka_unit_test(formats_clamp_to_four_digits),
        cmocka_unit_test(http_forms),
        cmocka_unit_test(amz_is_strict),
        cmocka_unit_test(iso8601_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
