/* A view of bytes: pointer and length, by value, never NUL-terminated by promise, owns nothing.
 * The parsers of numbers here are the only ones of the project. Thread: any. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

struct str {
    const char *ptr; /* may be NULL when len is 0 */
    size_t len;
};

/* For printf: printf("%.*s", STR_ARG(s)). */
#define STR_ARG(s) ((int)(s).len), ((s).ptr ? (s).ptr : "")
/* A view of a string literal. STR_INIT is for static initialisers. */
#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_INIT(literal) {(literal), sizeof(literal) - 1}
#define STR_EMPTY ((struct str){NULL, 0})

static inline struct str str_of(const char *ptr, size_t len)
{
    return (struct str){ptr, len};
}

/* z may be NULL: an empty view. */
static inline struct str str_z(const char *z)
{
    return (struct str){z, z ? strlen(z) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool str_is(struct str a, const char *z)
{
    return str_eq(a, str_z(z));
}

/* For str_eq_nocase: of the same length. */
bool str_same_nocase(const char *a, const char *b, size_t len);
/* ASCII letters compare without case; other bytes exactly. */
static inline bool str_eq_nocase(struct str a, struct str b)
{
    return a.len == b.len && str_same_nocase(a.ptr, b.ptr, a.len);
}
/* Byte order, a shorter prefix first: <0, 0, >0. */
int str_cmp(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* Index of the first occurrence, or -1. */
ptrdiff_t str_find_char(struct str s, char c);
ptrdiff_t str_rfind_char(struct str s, char c);
ptrdiff_t str_find(struct str s, struct str needle);
/* The bytes from `from` (clamped to len) on. Arithmetic on a NULL ptr is undefined even by zero. */
static inline struct str str_from(struct str s, size_t from)
{
    if (from > s.len)
        from = s.len;
    return from > 0 ? str_of(s.ptr + from, s.len - from) : s;
}
/* The first `count` (clamped) bytes. */
static inline struct str str_first(struct str s, size_t count)
{
    return str_of(s.ptr, count < s.len ? count : s.len);
}
/* Without leading and trailing spaces and tabs. */
struct str str_trim(struct str s);
/* Takes the bytes before the next `sep` off *rest into *out_token; the separator is consumed. Returns false when
 * *rest was exhausted (its ptr becomes NULL after the last token). An empty rest with a ptr gives one empty token. */
bool str_split(struct str *rest, char sep, struct str *out_token);
/* Well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF). */
bool str_is_utf8(struct str s);
/* Bytes of the well-formed UTF-8 sequence that s starts with; 0 when there is none. */
size_t str_utf8_len(struct str s);
/* Decimal digits only, no sign, no blank, no leading '+'; false on empty, overflow or anything else. */
MUST_USE bool str_parse_u64(struct str s, uint64_t *out);
/* As str_parse_u64 and at most max. */
MUST_USE bool str_parse_u64_max(struct str s, uint64_t max, uint64_t *out);
/* Hexadecimal digits of either case, 1 to 16 of them. */
MUST_USE bool str_parse_hex_u64(struct str s, uint64_t *out);
/* "10", "10s", "500ms", "5m", "2h", "7d" to milliseconds; a plain number counts seconds. */
MUST_USE bool str_parse_duration_ms(struct str s, uint64_t *out_ms);
/* "4096", "64K", "64KiB", "10M", "1G", "1T" to bytes (powers of 1024). */
MUST_USE bool str_parse_size(struct str s, uint64_t *out_bytes);
/* Compares in a time that depends on the lengths only: for secrets and signatures. */
bool str_eq_secret(struct str a, struct str b);
/* Overwrites memory in a way the compiler keeps. */
void secure_zero(void *memory, size_t size);

#endif
