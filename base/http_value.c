#include "base/http_value.h"

/* Ranges */

static bool is_digits(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    }
    return s.len > 0;
}

/* A position beyond 2^64 is well-formed and beyond every representation, which the largest number expresses as well. */
static bool parse_position(struct str s, uint64_t *out)
{
    if (!is_digits(s))
        return false;
    if (!str_parse_u64(s, out))
        *out = UINT64_MAX;
    return true;
}

static enum http_range_verdict range_of_suffix(uint64_t suffix, uint64_t size, struct http_range *out)
{
    if (suffix == 0 || size == 0)
        return HTTP_RANGE_UNSATISFIABLE;
    uint64_t length = suffix < size ? suffix : size;
    *out = (struct http_range){.first = size - length, .length = length};
    return HTTP_RANGE_PART;
}

static enum http_range_verdict range_between(uint64_t first, uint64_t last, uint64_t size, struct http_range *out)
{
    if (first > last)
        return HTTP_RANGE_WHOLE; /* RFC 9110 calls it invalid, not unsatisfiable */
    if (first >= size)
        return HTTP_RANGE_UNSATISFIABLE;
    if (last >= size)
        last = size - 1;
    *out = (struct http_range){.first = first, .length = last - first + 1};
    return HTTP_RANGE_PART;
}

/* Several ranges fail as malformed: their comma is not a digit. */
enum http_range_verdict http_range_parse(struct str value, uint64_t size, struct http_range *out)
{
    struct str unit = STR("bytes=");
    if (!str_starts_nocase(value, unit))
        return HTTP_RANGE_WHOLE;
    struct str range = str_from(value, unit.len);
    ptrdiff_t dash = str_find_char(range, '-');
    if (dash < 0)
        return HTTP_RANGE_WHOLE;
    struct str left = str_first(range, (size_t)dash);
    struct str right = str_from(range, (size_t)dash + 1);

    uint64_t first = 0;
    uint64_t last = UINT64_MAX;
    if (right.len > 0 && !parse_position(right, &last))
        return HTTP_RANGE_WHOLE;
    if (left.len == 0)
        return right.len > 0 ? range_of_suffix(last, size, out) : HTTP_RANGE_WHOLE;
    if (!parse_position(left, &first))
        return HTTP_RANGE_WHOLE;
    return range_between(first, last, size, out);
}

bool http_copy_range_parse(struct str value, uint64_t *out_first, uint64_t *out_last)
{
    struct str unit = STR("bytes=");
    if (!str_starts(value, unit))
        return false;
    struct str range = str_from(value, unit.len);
    ptrdiff_t dash = str_find_char(range, '-');
    if (dash < 0)
        return false;
    uint64_t first;
    uint64_t last;
    if (!str_parse_u64(str_first(range, (size_t)dash), &first) ||
        !str_parse_u64(str_from(range, (size_t)dash + 1), &last) || first > last)
        return false;
    *out_first = first;
    *out_last = last;
    return true;
}

/* Entity tags */

/* Takes the bytes before the next comma outside of quotes off *rest. */
static struct str take_element(struct str *rest)
{
    bool quoted = false;
    size_t i = 0;
    for (; i < rest->len; i++) {
        if (rest->ptr[i] == '"')
            quoted = !quoted;
        if (rest->ptr[i] == ',' && !quoted)
            break;
    }
    struct str element = str_trim(str_first(*rest, i));
    *rest = str_from(*rest, i + 1);
    return element;
}

static bool element_is(struct str element, struct str etag, bool weak)
{
    struct str weak_mark = STR("W/");
    if (str_starts(element, weak_mark)) {
        if (!weak)
            return false;
        element = str_from(element, weak_mark.len);
    }
    if (element.len >= 2 && element.ptr[0] == '"' && element.ptr[element.len - 1] == '"')
        element = str_of(element.ptr + 1, element.len - 2);
    return element.len > 0 && str_eq(element, etag);
}

bool http_etag_list_has(struct str list, struct str etag, bool weak)
{
    if (str_is(str_trim(list), "*"))
        return true;
    while (list.len > 0) {
        if (element_is(take_element(&list), etag, weak))
            return true;
    }
    return false;
}
