#include "s3api/xml.h"

#include "base/clock.h"

void xml_begin(struct buf *b)
{
    buf_addz(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
}

void xml_open(struct buf *b, const char *name)
{
    buf_addc(b, '<');
    buf_addz(b, name);
    buf_addc(b, '>');
}

void xml_open_ns(struct buf *b, const char *name)
{
    buf_addc(b, '<');
    buf_addz(b, name);
    buf_addz(b, " xmlns=\"" S3_XML_NAMESPACE "\">");
}

void xml_close(struct buf *b, const char *name)
{
    buf_addz(b, "</");
    buf_addz(b, name);
    buf_addc(b, '>');
}

/* What a character at the start of s becomes, NULL when it stays; *len is how many bytes it has. */
static const char *replacement(struct str s, size_t *len)
{
    static const char unknown[] = "\xef\xbf\xbd";
    unsigned char c = (unsigned char)s.ptr[0];
    *len = 1;
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\r':
        return "&#13;";
    case '\t':
    case '\n':
        return NULL;
    default:
        break;
    }
    if (c < 0x20)
        return unknown;
    if (c < 0x80)
        return NULL;
    size_t sequence_len = str_utf8_len(s);
    if (sequence_len == 0)
        return unknown;
    *len = sequence_len;
    /* U+FFFE and U+FFFF are no XML characters. */
    bool is_noncharacter = str_starts(s, STR("\xef\xbf\xbe")) || str_starts(s, STR("\xef\xbf\xbf"));
    return is_noncharacter ? unknown : NULL;
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '&' && c != '<' && c != '>' && c != '"';
}

/* Bytes at the start of s that stay as they are: nearly all of nearly all texts. */
static size_t plain_len(struct str s)
{
    size_t len = 0;
    while (len < s.len && is_plain((unsigned char)s.ptr[len]))
        len++;
    return len;
}

void xml_escape(struct buf *b, struct str value)
{
    size_t start = 0;
    size_t at = 0;
    for (;;) {
        at += plain_len(str_from(value, at));
        if (at == value.len)
            break;
        size_t len;
        const char *instead = replacement(str_from(value, at), &len);
        if (instead) {
            buf_add(b, str_of(value.ptr + start, at - start));
            buf_addz(b, instead);
            start = at + len;
        }
        at += len;
    }
    buf_add(b, str_from(value, start));
}

void xml_text(struct buf *b, const char *name, struct str value)
{
    xml_open(b, name);
    xml_escape(b, value);
    xml_close(b, name);
}

void xml_u64(struct buf *b, const char *name, uint64_t value)
{
    xml_open(b, name);
    buf_add_u64(b, value);
    xml_close(b, name);
}

void xml_bool(struct buf *b, const char *name, bool value)
{
    xml_text(b, name, value ? STR("true") : STR("false"));
}

void xml_etag(struct buf *b, const char *name, struct str etag)
{
    xml_open(b, name);
    buf_addz(b, "&quot;");
    xml_escape(b, etag);
    buf_addz(b, "&quot;");
    xml_close(b, name);
}

void xml_time(struct buf *b, const char *name, int64_t wall_ns)
{
    char text[CLOCK_TEXT_MAX];
    xml_text(b, name, clock_format_iso8601_ms(wall_ns, text));
}
