#include "auth/sigv4.h"

#include <string.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/encode.h"

/* Room for UriEncode of `size` bytes. */
static size_t uri_size_max(size_t size)
{
    return 3 * size;
}

/* Canonical path: decoded once and encoded again, so that it does not matter which of the allowed spellings a client
 * puts on the wire; S3 does not remove "//", "." and "..", unlike other services. '+' is a plus sign in a path. */
static bool add_path(struct str raw, struct arena *arena, struct buf *out)
{
    if (raw.len == 0)
        raw = STR("/");
    struct buf decoded = buf_over(arena_alloc(arena, raw.len + 1), raw.len + 1);
    if (!uri_decode(raw, false, &decoded))
        return false;
    buf_add_uri(out, buf_str(&decoded), true);
    return true;
}

/* Canonical query: UriEncode of each name and value, sorted as encoded by name, then value. The signature itself is
 * left out; it is a parameter only of presigned requests. */

static struct str encode(struct str s, struct buf *memory)
{
    size_t start = memory->len;
    buf_add_uri(memory, s, false);
    return str_from(buf_str(memory), start);
}

static int compare_params(const struct auth_param *a, const struct auth_param *b)
{
    int by_name = str_cmp(a->name, b->name);
    return by_name ? by_name : str_cmp(a->value, b->value);
}

static size_t query_size_max(const struct auth_query *q)
{
    size_t size = 0;
    for (size_t i = 0; i < q->count; i++)
        size += uri_size_max(q->params[i].name.len + q->params[i].value.len) + 2;
    return size;
}

static void add_query(const struct auth_query *q, struct arena *arena, struct buf *out)
{
    if (q->count == 0)
        return;
    size_t size = query_size_max(q);
    struct buf memory = buf_over(arena_alloc(arena, size), size);
    struct auth_param *encoded = arena_array_of(arena, struct auth_param, q->count);
    size_t count = 0;
    for (size_t i = 0; i < q->count; i++) {
        const struct auth_param *p = &q->params[i];
        if (!str_is(p->name, "X-Amz-Signature"))
            encoded[count++] = (struct auth_param){encode(p->name, &memory), encode(p->value, &memory)};
    }
    auth_params_sort(encoded, count, compare_params);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_addc(out, '&');
        buf_add(out, encoded[i].name);
        buf_addc(out, '=');
        buf_add(out, encoded[i].value);
    }
}

/* Canonical headers: "name:value\n", the name in lower case, values of one name joined by ',' in the order received. A
 * header that is named but not there counts as empty. */

/* Trimmed, and inner runs of blanks as one space: AWS's "Trimall". */
static void add_trimmed(struct str s, struct buf *out)
{
    s = str_trim(s);
    char *room = buf_reserve(out, s.len);
    if (!room)
        return;
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        bool blank = s.ptr[i] == ' ' || s.ptr[i] == '\t';
        if (!blank)
            room[len++] = s.ptr[i];
        else if (room[len - 1] != ' ')
            room[len++] = ' ';
    }
    buf_extend(out, len);
}

static void add_header(const struct sigv4_message *m, struct str name, struct buf *out)
{
    bool first = true;
    buf_add_lower(out, name);
    buf_addc(out, ':');
    for (size_t i = 0; i < m->header_count; i++) {
        if (!str_eq_nocase(m->headers[i].name, name))
            continue;
        if (!first)
            buf_addc(out, ',');
        add_trimmed(m->headers[i].value, out);
        first = false;
    }
    buf_addc(out, '\n');
}

static void add_headers(const struct sigv4_message *m, struct buf *out)
{
    struct str rest = m->signed_headers, name;
    while (str_split(&rest, ';', &name))
        add_header(m, name, out);
}

static size_t canonical_size_max(const struct sigv4_message *m)
{
    size_t size = m->method.len + 1 + uri_size_max(m->path.len + 1) + 1 + query_size_max(m->query) + 1;
    for (size_t i = 0; i < m->header_count; i++)
        size += m->headers[i].value.len + 1;
    /* The names twice, as headers and as the list; each with ':' and '\n'. An empty list is one empty name. */
    size += 4 * (m->signed_headers.len + 1);
    return size + 2 + m->payload_hash.len;
}

bool sigv4_canonical_request(const struct sigv4_message *m, struct arena *arena, struct str *out)
{
    size_t size = canonical_size_max(m) + 1;
    struct buf b = buf_over(arena_alloc(arena, size), size);
    buf_add(&b, m->method);
    buf_addc(&b, '\n');
    if (!add_path(m->path, arena, &b))
        return false;
    buf_addc(&b, '\n');
    add_query(m->query, arena, &b);
    buf_addc(&b, '\n');
    add_headers(m, &b);
    buf_addc(&b, '\n');
    buf_add_lower(&b, m->signed_headers);
    buf_addc(&b, '\n');
    buf_add(&b, m->payload_hash);
    CHECK(!b.failed); /* only a header signed twice would overrun */
    *out = buf_str(&b);
    return true;
}

struct str sigv4_string_to_sign(struct str amz_date, struct str scope, struct str canonical_request,
                                struct arena *arena)
{
    uint8_t digest[DIGEST_SIZE_MAX];
    digest_bytes(DIGEST_SHA256, canonical_request, digest);
    size_t size = sizeof(SIGV4_ALGORITHM) + amz_date.len + 1 + scope.len + 1 + 64 + 1;
    struct buf b = buf_over(arena_alloc(arena, size), size);
    buf_add(&b, STR(SIGV4_ALGORITHM "\n"));
    buf_add(&b, amz_date);
    buf_addc(&b, '\n');
    buf_add(&b, scope);
    buf_addc(&b, '\n');
    buf_add_hex(&b, digest, 32);
    CHECK(!b.failed);
    return buf_str(&b);
}

void sigv4_signature(const uint8_t key[SIGNING_KEY_SIZE], struct str string_to_sign, char out[SIGV4_SIGNATURE_SIZE])
{
    uint8_t mac[32];
    hmac_sha256(str_of((const char *)key, SIGNING_KEY_SIZE), string_to_sign, mac);
    hex_encode(mac, sizeof(mac), out);
}

/* Signing */

static int compare_names(const struct auth_param *a, const struct auth_param *b)
{
    return str_cmp(a->name, b->name);
}

/* "host;x-amz-date": all names of the head in lower case, sorted, each once. */
static struct str list_names(const struct http_head *head, struct arena *arena)
{
    size_t size = 1;
    struct auth_param *names = arena_array_of(arena, struct auth_param, head->header_count);
    for (size_t i = 0; i < head->header_count; i++) {
        struct str name = head->headers[i].name;
        struct buf lower = buf_over(arena_alloc(arena, name.len + 1), name.len + 1);
        buf_add_lower(&lower, name);
        names[i].name = buf_str(&lower);
        size += name.len + 1;
    }
    auth_params_sort(names, head->header_count, compare_names);
    struct buf list = buf_over(arena_alloc(arena, size), size);
    for (size_t i = 0; i < head->header_count; i++) {
        if (i > 0 && str_eq(names[i].name, names[i - 1].name))
            continue;
        if (i > 0)
            buf_addc(&list, ';');
        buf_add(&list, names[i].name);
    }
    CHECK(!list.failed);
    return buf_str(&list);
}

struct str sigv4_sign(const struct sigv4_signer *signer, const struct http_head *head, struct arena *arena)
{
    struct str raw_path, raw_query, amz_date = http_get(head, "x-amz-date");
    struct auth_query query;
    http_split_target(head->target, &raw_path, &raw_query);
    CHECK(amz_date.len > SIGNING_KEY_DAY_SIZE);
    CHECK(http_find(head, "host") != NULL);
    CHECK(http_find(head, "x-amz-content-sha256") != NULL);
    CHECK(auth_query_parse(raw_query, arena, &query));

    struct sigv4_message message = {
        .method = head->method,
        .path = raw_path,
        .query = &query,
        .headers = head->headers,
        .header_count = head->header_count,
        .signed_headers = list_names(head, arena),
        .payload_hash = http_get(head, "x-amz-content-sha256"),
    };
    struct str canonical;
    CHECK(sigv4_canonical_request(&message, arena, &canonical));
    struct str day = str_first(amz_date, SIGNING_KEY_DAY_SIZE);
    struct str scope = arena_printf(arena, "%.*s/%.*s/s3/aws4_request", STR_ARG(day), STR_ARG(signer->region));
    struct str string_to_sign = sigv4_string_to_sign(amz_date, scope, canonical, arena);

    uint8_t key[SIGNING_KEY_SIZE];
    char signature[SIGV4_SIGNATURE_SIZE];
    signing_key_get(signer->keys, signer->secret, day, signer->region, key);
    sigv4_signature(key, string_to_sign, signature);
    secure_zero(key, sizeof(key));
    return arena_printf(arena, SIGV4_ALGORITHM " Credential=%.*s/%.*s, SignedHeaders=%.*s, Signature=%.*s",
                        STR_ARG(signer->access_key), STR_ARG(scope), STR_ARG(message.signed_headers),
                        (int)sizeof(signature), signature);
}
