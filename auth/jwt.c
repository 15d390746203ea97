#include "auth/jwt.h"

#include "base/encode.h"
#include "base/limits.h"
#include "base/public_key.h"

#define DEPTH_MAX 8

static bool decode(struct str text, struct arena *arena, struct str *out)
{
    char *memory = arena_alloc(arena, text.len + 1);
    size_t size;
    if (!base64url_decode(text, memory, text.len, &size))
        return false;
    *out = str_of(memory, size);
    return true;
}

static const struct json *decode_object(struct str text, struct arena *arena)
{
    struct str bytes;
    const struct json *value =
        decode(text, arena, &bytes) ? json_parse(bytes, LIMIT_WEB_TOKEN_BYTES, DEPTH_MAX, arena, NULL) : NULL;
    return value && value->kind == JSON_IS_OBJECT ? value : NULL;
}

static struct str text_of(const struct json *object, const char *name)
{
    const struct json *n = json_member(object, name);
    return n && n->kind == JSON_IS_TEXT ? n->text : STR_EMPTY;
}

/* Seconds, also with a fraction, which is dropped. */
static bool time_of(const struct json *claims, const char *name, int64_t *out)
{
    const struct json *n = json_member(claims, name);
    uint64_t seconds;
    if (!n || n->kind != JSON_IS_NUMBER)
        return false;
    ptrdiff_t point = str_find_char(n->text, '.');
    if (!str_parse_u64_max(point < 0 ? n->text : str_first(n->text, (size_t)point), INT64_MAX, &seconds))
        return false;
    *out = (int64_t)seconds;
    return true;
}

bool jwt_parse(struct str text, struct arena *arena, struct jwt *out)
{
    ptrdiff_t first = str_find_char(text, '.'), last = str_rfind_char(text, '.');
    if (text.len > LIMIT_WEB_TOKEN_BYTES || first < 0 || first == last)
        return false;
    struct str payload = str_of(text.ptr + first + 1, (size_t)(last - first) - 1);
    const struct json *header = decode_object(str_first(text, (size_t)first), arena);
    struct jwt t = {.claims = decode_object(payload, arena), .signed_text = str_first(text, (size_t)last)};
    if (!header || !t.claims || json_member(header, "crit") || !decode(str_from(text, (size_t)last + 1), arena, &t.signature))
        return false;
    t.algorithm = text_of(header, "alg");
    t.key_id = text_of(header, "kid");
    t.issuer = text_of(t.claims, "iss");
    t.subject = text_of(t.claims, "sub");
    bool has_start = json_member(t.claims, "nbf") != NULL;
    if (!time_of(t.claims, "exp", &t.expires_s) || (has_start && !time_of(t.claims, "nbf", &t.not_before_s)))
        return false;
    *out = t;
    return true;
}

/* Keys */

static bool is_candidate(const struct jwt *t, const struct json *key)
{
    struct str id = text_of(key, "kid"), use = text_of(key, "use"), algorithm = text_of(key, "alg");
    bool is_rsa = str_is(t->algorithm, "RS256");
    return str_is(text_of(key, "kty"), is_rsa ? "RSA" : "EC") && (id.len == 0 || t->key_id.len == 0 || str_eq(id, t->key_id)) &&
           (use.len == 0 || str_is(use, "sig")) && (algorithm.len == 0 || str_eq(algorithm, t->algorithm));
}

static bool signed_by(const struct jwt *t, const struct json *key, struct arena *arena)
{
    struct str a, b;
    if (!is_candidate(t, key))
        return false;
    if (str_is(t->algorithm, "RS256"))
        return decode(text_of(key, "n"), arena, &a) && decode(text_of(key, "e"), arena, &b) &&
               rsa_sha256_verify(a, b, t->signed_text, t->signature);
    return str_is(text_of(key, "crv"), "P-256") && decode(text_of(key, "x"), arena, &a) &&
           decode(text_of(key, "y"), arena, &b) && p256_sha256_verify(a, b, t->signed_text, t->signature);
}

bool jwt_verify(const struct jwt *t, const struct json *key_set, struct arena *arena)
{
    const struct json *keys = json_member(key_set, "keys");
    if (!keys || keys->kind != JSON_IS_LIST || (!str_is(t->algorithm, "RS256") && !str_is(t->algorithm, "ES256")))
        return false;
    for (const struct json *key = keys->first; key; key = key->next)
        if (signed_by(t, key, arena))
            return true;
    return false;
}

/* Claims */

/* The usual matcher with one point to come back to: linear in practice, at worst the product of the lengths. */
static bool fits(struct str s, struct str pattern)
{
    size_t at = 0, p = 0, star = SIZE_MAX, mark = 0;
    while (at < s.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            mark = at;
        } else if (p < pattern.len && pattern.ptr[p] == s.ptr[at]) {
            p++;
            at++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            at = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

bool jwt_claim_fits(const struct jwt *t, const char *claim, struct str pattern)
{
    const struct json *n = json_member(t->claims, claim);
    if (n && n->kind == JSON_IS_TEXT)
        return fits(n->text, pattern);
    for (const struct json *item = n && n->kind == JSON_IS_LIST ? n->first : NULL; item; item = item->next)
        if (item->kind == JSON_IS_TEXT && fits(item->text, pattern))
            return true;
    return false;
}
