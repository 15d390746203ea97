#include "base/encode.h"

static const char hex_lower[] = "0123456789abcdef";
static const char hex_upper[] = "0123456789ABCDEF";

/* Hex */

void hex_encode(const void *bytes, size_t size, char *out)
{
    const unsigned char *in = bytes;
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = hex_lower[in[i] >> 4];
        out[2 * i + 1] = hex_lower[in[i] & 15];
    }
}

void buf_add_hex(struct buf *b, const void *bytes, size_t size)
{
    char *room = buf_reserve(b, 2 * size);
    if (!room)
        return;
    hex_encode(bytes, size, room);
    buf_extend(b, 2 * size);
}

bool hex_decode(struct str text, void *out, size_t size)
{
    unsigned char *to = out;
    uint64_t byte;
    if (text.len != 2 * size)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (!str_parse_hex_u64(str_of(text.ptr + 2 * i, 2), &byte))
            return false;
        to[i] = (unsigned char)byte;
    }
    return true;
}

/* Base64 */

static const char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *bytes, size_t size, char *out)
{
    const unsigned char *in = bytes;
    for (; size > 0; out += 4) {
        size_t taken = size < 3 ? size : 3;
        uint32_t group = (uint32_t)in[0] << 16;
        if (taken > 1)
            group |= (uint32_t)in[1] << 8;
        if (taken > 2)
            group |= in[2];
        out[0] = base64_alphabet[group >> 18];
        out[1] = base64_alphabet[group >> 12 & 63];
        out[2] = taken > 1 ? base64_alphabet[group >> 6 & 63] : '=';
        out[3] = taken > 2 ? base64_alphabet[group & 63] : '=';
        in += taken;
        size -= taken;
    }
}

void buf_add_base64(struct buf *b, const void *bytes, size_t size)
{
    char *room = buf_reserve(b, BASE64_LEN(size));
    if (!room)
        return;
    base64_encode(bytes, size, room);
    buf_extend(b, BASE64_LEN(size));
}

enum base64_kind { BASE64_PLAIN, BASE64_URL };

static int base64_value(char c, enum base64_kind kind)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == (kind == BASE64_URL ? '-' : '+') ? 62 : c == (kind == BASE64_URL ? '_' : '/') ? 63 : -1;
}

/* `letters` digits (2 to 4) give letters - 1 bytes; the bits left over must be zero, so that every value has exactly
 * one text. */
static bool base64_group(const char *text, size_t letters, enum base64_kind kind, unsigned char *out)
{
    uint32_t group = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i < letters ? base64_value(text[i], kind) : 0;
        if (value < 0)
            return false;
        group = group << 6 | (uint32_t)value;
    }
    size_t bytes = letters - 1;
    if (group & (0xFFFFFFu >> (8 * bytes)))
        return false;
    for (size_t i = 0; i < bytes; i++)
        out[i] = (unsigned char)(group >> (16 - 8 * i));
    return true;
}

bool base64_decode(struct str text, void *out, size_t capacity, size_t *out_size)
{
    unsigned char *to = out;
    if (text.len % 4 != 0)
        return false;
    size_t padding = str_ends(text, STR("==")) ? 2 : str_ends(text, STR("=")) ? 1 : 0;
    size_t size = text.len / 4 * 3 - padding;
    if (size > capacity)
        return false;
    for (size_t at = 0; at < text.len; at += 4) {
        size_t letters = at + 4 == text.len ? 4 - padding : 4;
        if (!base64_group(text.ptr + at, letters, BASE64_PLAIN, to))
            return false;
        to += letters - 1;
    }
    *out_size = size;
    return true;
}

bool base64url_decode(struct str text, void *out, size_t capacity, size_t *out_size)
{
    unsigned char *to = out;
    size_t rest = text.len % 4;
    size_t size = text.len / 4 * 3 + (rest > 0 ? rest - 1 : 0);
    if (rest == 1 || size > capacity)
        return false;
    for (size_t at = 0; at < text.len; at += 4) {
        size_t letters = text.len - at < 4 ? text.len - at : 4;
        if (!base64_group(text.ptr + at, letters, BASE64_URL, to))
            return false;
        to += letters - 1;
    }
    *out_size = size;
    return true;
}

/* Percent-encoding */

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

void buf_add_uri(struct buf *b, struct str s, bool keep_slash)
{
    while (s.len > 0) {
        size_t plain = 0;
        while (plain < s.len && (is_unreserved(s.ptr[plain]) || (keep_slash && s.ptr[plain] == '/')))
            plain++;
        buf_add(b, str_first(s, plain));
        if (plain == s.len)
            return;
        unsigned char byte = (unsigned char)s.ptr[plain];
        const char escape[3] = {'%', hex_upper[byte >> 4], hex_upper[byte & 15]};
        buf_add(b, str_of(escape, sizeof(escape)));
        s = str_from(s, plain + 1);
    }
}

/* The byte at the start of s, which is not empty. Returns how many characters made it, 0 for a bad escape. */
static size_t uri_byte(struct str s, bool plus_is_space, char *out)
{
    uint64_t byte;
    *out = s.ptr[0] == '+' && plus_is_space ? ' ' : s.ptr[0];
    if (s.ptr[0] != '%')
        return 1;
    if (s.len < 3 || !str_parse_hex_u64(str_of(s.ptr + 1, 2), &byte))
        return 0;
    *out = (char)byte;
    return 3;
}

bool uri_decode(struct str s, bool plus_is_space, struct buf *out)
{
    size_t len_before = out->len;
    for (;;) {
        size_t plain = 0;
        while (plain < s.len && s.ptr[plain] != '%' && (s.ptr[plain] != '+' || !plus_is_space))
            plain++;
        buf_add(out, str_first(s, plain));
        s = str_from(s, plain);
        if (s.len == 0)
            return true;
        char c;
        size_t taken = uri_byte(s, plus_is_space, &c);
        if (taken == 0) {
            buf_truncate(out, len_before);
            return false;
        }
        buf_addc(out, c);
        s = str_from(s, taken);
    }
}

/* Case */

void buf_add_lower(struct buf *b, struct str s)
{
    char *room = buf_reserve(b, s.len);
    if (!room)
        return;
    for (size_t i = 0; i < s.len; i++)
        room[i] = (char)(s.ptr[i] >= 'A' && s.ptr[i] <= 'Z' ? s.ptr[i] + ('a' - 'A') : s.ptr[i]);
    buf_extend(b, s.len);
}

/* JSON */

static void add_json_ascii(struct buf *b, char c)
{
    static const char short_escapes[] = "\"\\\b\f\n\r\t";
    static const char short_letters[] = "\"\\bfnrt";
    const char *at = c ? strchr(short_escapes, c) : NULL;
    if (at) {
        buf_addc(b, '\\');
        buf_addc(b, short_letters[at - short_escapes]);
    } else if ((unsigned char)c < 0x20) {
        buf_addf(b, "\\u%04x", (unsigned)c);
    } else {
        buf_addc(b, c);
    }
}

void buf_add_json(struct buf *b, struct str s)
{
    buf_addc(b, '"');
    while (s.len > 0) {
        size_t step = str_utf8_len(s);
        if (step == 0)
            buf_addz(b, "\xEF\xBF\xBD");
        else if (step == 1)
            add_json_ascii(b, s.ptr[0]);
        else
            buf_add(b, str_first(s, step));
        s = str_from(s, step ? step : 1);
    }
    buf_addc(b, '"');
}
