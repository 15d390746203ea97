/* Own civil-date arithmetic: strftime and strptime depend on the locale, timegm on the zone database, and none of them
 * is strict about what it accepts. */
#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/check.h"

#define NS_PER_S 1000000000ll
#define S_PER_DAY 86400

/* 0001-01-01 and 9999-12-31T23:59:59: what four digits of a year can say. */
#define WALL_S_MIN (-62135596800ll)
#define WALL_S_MAX 253402300799ll

static _Atomic int64_t wall_for_test_ns;

static struct timespec read_clock(clockid_t id)
{
    struct timespec t;
    CHECK(clock_gettime(id, &t) == 0);
    return t;
}

uint64_t clock_mono_ns(void)
{
    struct timespec t = read_clock(CLOCK_MONOTONIC);
    return (uint64_t)t.tv_sec * (uint64_t)NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_mono_ms(void)
{
    return clock_mono_ns() / 1000000;
}

int64_t clock_wall_ns(void)
{
    int64_t fixed_ns = atomic_load_explicit(&wall_for_test_ns, memory_order_relaxed);
    if (fixed_ns != 0)
        return fixed_ns;
    struct timespec t = read_clock(CLOCK_REALTIME);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t clock_wall_s(void)
{
    return clock_wall_ns() / NS_PER_S;
}

void clock_set_wall_for_test(int64_t wall_ns)
{
    atomic_store_explicit(&wall_for_test_ns, wall_ns, memory_order_relaxed);
}

/* Civil dates (proleptic Gregorian, UTC) */

struct civil {
    int64_t year;
    int month; /* 1 to 12 */
    int day;   /* 1 to 31 */
    int hour, minute, second;
    int weekday; /* 0 is Sunday; output only */
};

static const char *const month_names = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char *const day_names[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in_month(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Years of this arithmetic begin in March, so that the leap day is a year's last; eras are 400 years, after which the
 * calendar repeats. Valid for year >= 0, which the four digits of every format ensure. */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

/* wall_s is clamped: a file's time may be anything, a date's text has four digits of a year. */
static struct civil civil_from_wall(int64_t wall_s)
{
    if (wall_s < WALL_S_MIN)
        wall_s = WALL_S_MIN;
    if (wall_s > WALL_S_MAX)
        wall_s = WALL_S_MAX;
    int64_t second = wall_s % S_PER_DAY;
    int64_t days = wall_s / S_PER_DAY;
    if (second < 0) {
        second += S_PER_DAY;
        days--;
    }
    int64_t z = days + 719468; /* days since 0000-03-01, positive by the clamp above */
    int64_t era = z / 146097;
    int64_t day_of_era = z % 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    int month = (int)(march_month < 10 ? march_month + 3 : march_month - 9);
    return (struct civil){
        .year = year_of_era + era * 400 + (month <= 2),
        .month = month,
        .day = (int)(day_of_year - (153 * march_month + 2) / 5 + 1),
        .hour = (int)(second / 3600),
        .minute = (int)(second / 60 % 60),
        .second = (int)(second % 60),
        .weekday = (int)(((days + 4) % 7 + 7) % 7), /* 1970-01-01 was a Thursday */
    };
}

/* False for dates that do not exist, and for those that could not be written again. Second 60 is allowed, as the protocols do, and
 * counts as the next minute's 0. */
static bool civil_to_wall(const struct civil *c, int64_t *out_wall_s)
{
    if (c->month < 1 || c->month > 12 || c->day < 1 || c->day > days_in_month(c->year, c->month))
        return false;
    if (c->hour > 23 || c->minute > 59 || c->second > 60)
        return false;
    *out_wall_s = days_from_civil(c->year, c->month, c->day) * S_PER_DAY + c->hour * 3600 + c->minute * 60 + c->second;
    return *out_wall_s >= WALL_S_MIN && *out_wall_s <= WALL_S_MAX;
}

/* Formats */

static struct str printed(const char *text, int len)
{
    CHECK(len > 0 && len < CLOCK_TEXT_MAX);
    return str_of(text, (size_t)len);
}

static char *put_text(char *at, const char *text, size_t len)
{
    memcpy(at, text, len);
    return at + len;
}

static char *put_digits(char *at, int value, int count)
{
    for (int i = count - 1; i >= 0; i--, value /= 10)
        at[i] = (char)('0' + value % 10);
    return at + count;
}

/* Every answer has one or two, and every listed key: so they are not made by printf. */
struct str clock_format_http(int64_t wall_s, char out[CLOCK_TEXT_MAX])
{
    struct civil c = civil_from_wall(wall_s);
    char *at = put_text(out, day_names[c.weekday], 3);
    at = put_digits(put_text(at, ", ", 2), c.day, 2);
    at = put_text(put_text(put_text(at, " ", 1), month_names + 3 * (c.month - 1), 3), " ", 1);
    at = put_text(put_digits(at, (int)c.year, 4), " ", 1);
    at = put_text(put_digits(at, c.hour, 2), ":", 1);
    at = put_text(put_digits(at, c.minute, 2), ":", 1);
    at = put_text(put_digits(at, c.second, 2), " GMT", 5);
    return str_of(out, (size_t)(at - out) - 1);
}

struct str clock_format_iso8601_ms(int64_t wall_ns, char out[CLOCK_TEXT_MAX])
{
    int64_t wall_s = wall_ns / NS_PER_S;
    int64_t ns = wall_ns % NS_PER_S;
    if (ns < 0) {
        ns += NS_PER_S;
        wall_s--;
    }
    struct civil c = civil_from_wall(wall_s);
    char *at = put_text(put_digits(out, (int)c.year, 4), "-", 1);
    at = put_text(put_digits(at, c.month, 2), "-", 1);
    at = put_text(put_digits(at, c.day, 2), "T", 1);
    at = put_text(put_digits(at, c.hour, 2), ":", 1);
    at = put_text(put_digits(at, c.minute, 2), ":", 1);
    at = put_text(put_digits(at, c.second, 2), ".", 1);
    at = put_text(put_digits(at, (int)(ns / 1000000), 3), "Z", 2);
    return str_of(out, (size_t)(at - out) - 1);
}

struct str clock_format_amz(int64_t wall_s, char out[CLOCK_TEXT_MAX])
{
    struct civil c = civil_from_wall(wall_s);
    return printed(out, snprintf(out, CLOCK_TEXT_MAX, "%04d%02d%02dT%02d%02d%02dZ", (int)c.year, c.month, c.day, c.hour,
                                 c.minute, c.second));
}

/* Parsers. A text is matched against a pattern, character by character: y n d h m s take one digit of the year, month,
 * day, hour, minute and second; 'N' a month's three letters, '_' a digit or a blank of the day (asctime), anything else
 * itself.
 */

static bool match_month(struct str s, int *out_month)
{
    for (int month = 1; month <= 12; month++) {
        if (str_starts(s, str_of(month_names + 3 * (month - 1), 3))) {
            *out_month = month;
            return true;
        }
    }
    return false;
}

static bool match_digit(struct civil *c, char field, char digit)
{
    if (digit < '0' || digit > '9')
        return false;
    if (field == 'y') {
        c->year = c->year * 10 + (digit - '0');
        return true;
    }
    int *target = field == 'n'   ? &c->month
                  : field == 'h' ? &c->hour
                  : field == 'm' ? &c->minute
                  : field == 's' ? &c->second
                                 : &c->day;
    *target = *target * 10 + (digit - '0');
    return true;
}

/* Takes what matches off *s. */
static bool match_pattern(struct str *s, const char *pattern, struct civil *c)
{
    for (; *pattern; pattern++) {
        size_t taken = 1;
        bool matches;
        if (s->len == 0)
            return false;
        if (*pattern == 'N') {
            matches = match_month(*s, &c->month);
            taken = 3;
        } else if (strchr("yndhms", *pattern)) {
            matches = match_digit(c, *pattern, s->ptr[0]);
        } else if (*pattern == '_') {
            matches = s->ptr[0] == ' ' || match_digit(c, 'd', s->ptr[0]);
        } else {
            matches = s->ptr[0] == *pattern;
        }
        if (!matches)
            return false;
        *s = str_from(*s, taken);
    }
    return true;
}

static bool parse_whole(struct str s, const char *pattern, int64_t *out_wall_s)
{
    struct civil c = {0};
    return match_pattern(&s, pattern, &c) && s.len == 0 && civil_to_wall(&c, out_wall_s);
}

/* A two-digit year more than 50 years ahead is the past one (RFC 9110 §5.6.7). */
static bool parse_rfc850(struct str s, int64_t *out_wall_s)
{
    struct civil c = {0};
    if (!match_pattern(&s, ", dd-N-yy hh:mm:ss GMT", &c) || s.len != 0)
        return false;
    int64_t this_year = civil_from_wall(clock_wall_s()).year;
    c.year += this_year - this_year % 100;
    if (c.year > this_year + 50)
        c.year -= 100;
    return civil_to_wall(&c, out_wall_s);
}

/* A day's name must be one, but need not be the right one: it carries no information. "-0000" is how Python's e-mail package, and
 * so botocore in a Date header, says UTC (RFC 5322 §3.3). */
bool clock_parse_http(struct str s, int64_t *out_wall_s)
{
    for (size_t i = 0; i < ARRAY_SIZE(day_names); i++) {
        struct str name = str_z(day_names[i]);
        if (str_starts(s, name) && parse_rfc850(str_from(s, name.len), out_wall_s))
            return true;
        if (!str_starts(s, str_first(name, 3)))
            continue;
        struct str rest = str_from(s, 3);
        return parse_whole(rest, ", dd N yyyy hh:mm:ss GMT", out_wall_s) ||
               parse_whole(rest, ", dd N yyyy hh:mm:ss -0000", out_wall_s) ||
               parse_whole(rest, " N _d hh:mm:ss yyyy", out_wall_s);
    }
    return false;
}

bool clock_parse_amz(struct str s, int64_t *out_wall_s)
{
    return parse_whole(s, "yyyynnddThhmmssZ", out_wall_s);
}

/* Takes ".digits" off; digits past the ninth are below our resolution and dropped. */
static bool take_fraction(struct str *s, int64_t *out_ns)
{
    *out_ns = 0;
    if (!str_starts(*s, STR(".")))
        return true;
    *s = str_from(*s, 1);
    size_t digits = 0;
    for (int64_t unit = NS_PER_S / 10; digits < s->len && s->ptr[digits] >= '0' && s->ptr[digits] <= '9'; unit /= 10)
        *out_ns += (s->ptr[digits++] - '0') * unit;
    *s = str_from(*s, digits);
    return digits > 0;
}

static bool parse_zone(struct str s, int64_t *out_offset_s)
{
    struct civil c = {0};
    if (str_eq(s, STR("Z"))) {
        *out_offset_s = 0;
        return true;
    }
    bool east = str_starts(s, STR("+"));
    if (!east && !str_starts(s, STR("-")))
        return false;
    s = str_from(s, 1);
    if (!match_pattern(&s, s.len == 4 ? "hhmm" : "hh:mm", &c) || s.len != 0 || c.hour > 23 || c.minute > 59)
        return false;
    int64_t offset_s = c.hour * 3600 + c.minute * 60;
    *out_offset_s = east ? offset_s : -offset_s;
    return true;
}

bool clock_parse_iso8601(struct str s, int64_t *out_wall_ns)
{
    struct civil c = {0};
    int64_t wall_s, fraction_ns, offset_s, wall_ns;
    if (!match_pattern(&s, "yyyy-nn-ddThh:mm:ss", &c) || !civil_to_wall(&c, &wall_s))
        return false;
    if (!take_fraction(&s, &fraction_ns) || !parse_zone(s, &offset_s))
        return false;
    if (__builtin_mul_overflow(wall_s - offset_s, NS_PER_S, &wall_ns) ||
        __builtin_add_overflow(wall_ns, fraction_ns, &wall_ns))
        wall_ns = wall_s < 0 ? INT64_MIN : INT64_MAX;
    *out_wall_ns = wall_ns;
    return true;
}
