#include "s3api/listing.h"

#include "base/check.h"
#include "base/digest.h"
#include "base/encode.h"
#include "s3api/xml.h"

/* Parameters */

enum s3_error s3_list_fail_argument(struct s3_op *op, const char *name, struct str value, const char *message)
{
    op->detail.argument_name = str_z(name);
    op->detail.argument_value = value;
    return s3_fail(op, S3_INVALID_ARGUMENT, "%s", message);
}

/* AWS reads a 32-bit number first and looks at its sign then, with a message for each. */
static enum s3_error parse_max(struct s3_op *op, const char *name, uint32_t *out)
{
    struct str text = s3_param_value(&op->req, name);
    uint64_t value;
    *out = LIMIT_LIST_KEYS;
    if (text.len == 0)
        return S3_OK;
    if (str_starts(text, STR("-")) && str_parse_u64_max(str_from(text, 1), (uint64_t)INT32_MAX + 1, &value) && value > 0) {
        const char *argument = strcmp(name, "max-keys") == 0 ? "maxKeys" : name;
        struct str message =
            arena_printf(op->arena, "Argument %s must be an integer between 0 and 2147483647", argument);
        return s3_list_fail_argument(op, argument, text, message.ptr);
    }
    if (!str_parse_u64_max(text, INT32_MAX, &value)) {
        struct str message =
            arena_printf(op->arena, "Provided %s not an integer or within integer range", name);
        return s3_list_fail_argument(op, name, text, message.ptr);
    }
    if (value < LIMIT_LIST_KEYS)
        *out = (uint32_t)value;
    return S3_OK;
}

enum s3_error s3_list_text_param(struct s3_op *op, const char *name, struct str *out)
{
    *out = s3_param_value(&op->req, name);
    if (str_is_utf8(*out))
        return S3_OK;
    return s3_list_fail_argument(op, name, STR_EMPTY, "The parameter must be UTF-8");
}

enum s3_error s3_list_params_parse(struct s3_op *op, const char *max_name, struct s3_list_params *out)
{
    struct str encoding = s3_param_value(&op->req, "encoding-type");
    *out = (struct s3_list_params){.url = encoding.len > 0};
    if (out->url && !str_is(encoding, "url"))
        return s3_list_fail_argument(op, "encoding-type", encoding, "Invalid Encoding Method specified in Request");
    enum s3_error error = parse_max(op, max_name, &out->max);
    if (error == S3_OK)
        error = s3_list_text_param(op, "prefix", &out->prefix);
    if (error == S3_OK)
        error = s3_list_text_param(op, "delimiter", &out->delimiter);
    return error;
}

void s3_list_key_xml(struct buf *b, const struct s3_list_params *p, const char *name, struct str value)
{
    if (!p->url) {
        xml_text(b, name, value);
        return;
    }
    xml_open(b, name);
    buf_add_uri(b, value, true);
    xml_close(b, name);
}

void s3_list_prefix_xml(struct buf *b, const struct s3_list_params *p, struct str prefix)
{
    xml_open(b, "CommonPrefixes");
    s3_list_key_xml(b, p, "Prefix", prefix);
    xml_close(b, "CommonPrefixes");
}

/* Continuation tokens: base64url, without padding, of a version byte, the CRC-32C of the key, and the key. The CRC tells a
 * token from a text that some client made up or cut. */
#define TOKEN_VERSION 1
#define TOKEN_HEAD 5
#define TOKEN_BYTES_MAX (TOKEN_HEAD + LIMIT_KEY_BYTES)

static void swap_alphabet(char *text, size_t len, const char *from, const char *to)
{
    for (size_t i = 0; i < len; i++) {
        const char *at = text[i] ? strchr(from, text[i]) : NULL;
        if (at)
            text[i] = to[at - from];
    }
}

static void token_head(struct str key, uint8_t out[TOKEN_HEAD])
{
    uint8_t crc[DIGEST_SIZE_MAX];
    digest_bytes(DIGEST_CRC32C, key, crc);
    out[0] = TOKEN_VERSION;
    memcpy(out + 1, crc, TOKEN_HEAD - 1);
}

struct str s3_list_token_encode(struct str key, struct arena *arena)
{
    uint8_t bytes[TOKEN_BYTES_MAX];
    CHECK(key.len <= LIMIT_KEY_BYTES);
    token_head(key, bytes);
    memcpy(bytes + TOKEN_HEAD, key.ptr ? key.ptr : "", key.len);
    size_t size = TOKEN_HEAD + key.len;
    size_t len = (size * 4 + 2) / 3; /* without padding */
    char *text = arena_alloc(arena, BASE64_LEN(size));
    base64_encode(bytes, size, text);
    swap_alphabet(text, len, "+/", "-_");
    return str_of(text, len);
}

bool s3_list_token_decode(struct str token, struct arena *arena, struct str *out_key)
{
    uint8_t head[TOKEN_HEAD];
    if (token.len > BASE64_LEN(TOKEN_BYTES_MAX))
        return false;
    for (size_t i = 0; i < token.len; i++)
        if (strchr("+/=", token.ptr[i])) /* a NUL too */
            return false;
    size_t padded_len = (token.len + 3) / 4 * 4;
    char *text = arena_alloc(arena, padded_len + 1);
    uint8_t *bytes = arena_alloc(arena, padded_len + 1);
    memset(text, '=', padded_len);
    memcpy(text, token.ptr ? token.ptr : "", token.len);
    swap_alphabet(text, token.len, "-_", "+/");
    size_t size;
    if (!base64_decode(str_of(text, padded_len), bytes, padded_len, &size) || size < TOKEN_HEAD)
        return false;
    struct str key = str_of((char *)bytes + TOKEN_HEAD, size - TOKEN_HEAD);
    token_head(key, head);
    if (key.len > LIMIT_KEY_BYTES || memcmp(head, bytes, TOKEN_HEAD) != 0)
        return false;
    *out_key = key;
    return true;
}
