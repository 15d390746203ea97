#include "base/str.h"

/* Compare and find */

static unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? (unsigned char)(u | 0x20) : u;
}

bool str_same_nocase(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (a[i] != b[i] && lower(a[i]) != lower(b[i]))
            return false;
    }
    return true;
}

int str_cmp(struct str a, struct str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.ptr, b.ptr, common) : 0;
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq(str_first(s, prefix.len), prefix);
}

bool str_starts_nocase(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq_nocase(str_first(s, prefix.len), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.len >= suffix.len && str_eq(str_from(s, s.len - suffix.len), suffix);
}

ptrdiff_t str_find_char(struct str s, char c)
{
    const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;
    return at ? at - s.ptr : -1;
}

ptrdiff_t str_rfind_char(struct str s, char c)
{
    const char *at = s.len ? memrchr(s.ptr, c, s.len) : NULL;
    return at ? at - s.ptr : -1;
}

ptrdiff_t str_find(struct str s, struct str needle)
{
    if (needle.len == 0)
        return 0;
    const char *at = s.len ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
    return at ? at - s.ptr : -1;
}

bool str_eq_secret(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    /* volatile: the compiler may not leave the loop once a difference is known. */
    volatile unsigned char difference = 0;
    for (size_t i = 0; i < a.len; i++)
        difference = (unsigned char)(difference | (a.ptr[i] ^ b.ptr[i]));
    return difference == 0;
}

void secure_zero(void *memory, size_t size)
{
    if (size > 0)
        explicit_bzero(memory, size);
}

/* Parts */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && is_blank(s.ptr[0]))
        s = str_from(s, 1);
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool str_split(struct str *rest, char sep, struct str *out_token)
{
    if (!rest->ptr)
        return false;
    ptrdiff_t at = str_find_char(*rest, sep);
    if (at < 0) {
        *out_token = *rest;
        *rest = STR_EMPTY;
        return true;
    }
    *out_token = str_first(*rest, (size_t)at);
    *rest = str_from(*rest, (size_t)at + 1);
    return true;
}

/* UTF-8 */

/* RFC 3629 §4 as a table: by first byte, the length of the sequence and the range of its second byte, which is where
 * overlong forms, surrogates and code points past U+10FFFF show. */
static const struct utf8_row {
    unsigned char first_min, first_max, second_min, second_max, len;
} utf8_rows[] = {
    {0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
    {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
    {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
};

static bool utf8_row_matches(const struct utf8_row *row, const unsigned char *bytes, size_t size)
{
    if (bytes[0] < row->first_min || bytes[0] > row->first_max || size < row->len)
        return false;
    if (row->len > 1 && (bytes[1] < row->second_min || bytes[1] > row->second_max))
        return false;
    for (size_t i = 2; i < row->len; i++) {
        if ((bytes[i] & 0xC0) != 0x80)
            return false;
    }
    return true;
}

size_t str_utf8_len(struct str s)
{
    if (s.len == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(utf8_rows); i++) {
        if (utf8_row_matches(&utf8_rows[i], (const unsigned char *)s.ptr, s.len))
            return utf8_rows[i].len;
    }
    return 0;
}

/* The length of a prefix that is ASCII, in steps of eight bytes: nearly all keys are. */
static size_t ascii_prefix(struct str s)
{
    size_t at = 0;
    for (; at + 8 <= s.len; at += 8) {
        uint64_t word;
        memcpy(&word, s.ptr + at, sizeof(word));
        if (word & 0x8080808080808080u)
            break;
    }
    return at;
}

bool str_is_utf8(struct str s)
{
    while (s.len > 0) {
        s = str_from(s, ascii_prefix(s));
        if (s.len == 0)
            return true;
        size_t step = str_utf8_len(s);
        if (step == 0)
            return false;
        s = str_from(s, step);
    }
    return true;
}

/* Numbers */

bool str_parse_u64_max(struct str s, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'), &value) || value > max)
            return false;
    }
    *out = value;
    return true;
}

bool str_parse_u64(struct str s, uint64_t *out)
{
    return str_parse_u64_max(s, UINT64_MAX, out);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    unsigned char l = lower(c);
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

bool str_parse_hex_u64(struct str s, uint64_t *out)
{
    uint64_t value = 0;
    if (s.len == 0 || s.len > 16)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        int digit = hex_digit(s.ptr[i]);
        if (digit < 0)
            return false;
        value = value << 4 | (uint64_t)digit;
    }
    *out = value;
    return true;
}

struct unit {
    const char *suffix;
    uint64_t factor;
};

static bool parse_with_unit(struct str s, const struct unit *units, size_t unit_count, uint64_t *out)
{
    size_t digits = 0;
    while (digits < s.len && s.ptr[digits] >= '0' && s.ptr[digits] <= '9')
        digits++;
    uint64_t number;
    if (!str_parse_u64(str_first(s, digits), &number))
        return false;
    struct str suffix = str_from(s, digits);
    for (size_t i = 0; i < unit_count; i++) {
        uint64_t value;
        if (!str_eq_nocase(suffix, str_z(units[i].suffix)))
            continue;
        if (__builtin_mul_overflow(number, units[i].factor, &value))
            return false;
        *out = value;
        return true;
    }
    return false;
}

bool str_parse_duration_ms(struct str s, uint64_t *out_ms)
{
    static const struct unit units[] = {
        {"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {"d", 24 * 3600 * 1000},
    };
    return parse_with_unit(s, units, ARRAY_SIZE(units), out_ms);
}

bool str_parse_size(struct str s, uint64_t *out_bytes)
{
    static const struct unit units[] = {
        {"", 1},           {"K", 1ull << 10},   {"KiB", 1ull << 10}, {"M", 1ull << 20},   {"MiB", 1ull << 20},
        {"G", 1ull << 30}, {"GiB", 1ull << 30}, {"T", 1ull << 40},   {"TiB", 1ull << 40},
    };
    return parse_with_unit(s, units, ARRAY_SIZE(units), out_bytes);
}
