/* The three stages against AWS's published examples ("Signature Calculations for the Authorization Header: Transferring
 * Payload in a Single Chunk", Amazon S3 API reference), and the rules of canonical form one by one. */
#include "tests/support/unit.h"

#include "auth/sigv4.h"
#include "base/digest.h"
#include "base/encode.h"
#include "tests/support/head.h"

#define ACCESS_KEY "AKIAIOSFODNN7EXAMPLE"
#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define SCOPE "20130524/us-east-1/s3/aws4_request"
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define COMMON_HEADERS                                                                                                 \
    "Host: examplebucket.s3.amazonaws.com\nx-amz-content-sha256: " EMPTY_SHA256 "\nx-amz-date: 20130524T000000Z\n"

static bool canonicalise(const char *text, const char *signed_headers, const char *payload, struct arena *arena,
                         struct str *out)
{
    struct http_head head = head_of(text);
    struct auth_query query;
    struct str path, raw_query;
    http_split_target(head.target, &path, &raw_query);
    assert_true(auth_query_parse(raw_query, arena, &query));
    struct sigv4_message message = {
        .method = head.method,
        .path = path,
        .query = &query,
        .headers = head.headers,
        .header_count = head.header_count,
        .signed_headers = str_z(signed_headers),
        .payload_hash = str_z(payload),
    };
    return sigv4_canonical_request(&message, arena, out);
}

/* AWS's examples: every stage has its published value */

static const struct {
    const char *request, *signed_headers, *payload, *canonical_sha256, *signature;
} examples[] = {
    {"GET /test.txt\nRange: bytes=0-9\n" COMMON_HEADERS, "host;range;x-amz-content-sha256;x-amz-date", EMPTY_SHA256,
     "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"PUT /test$file.text\nHost: examplebucket.s3.amazonaws.com\nDate: Fri, 24 May 2013 00:00:00 GMT\n"
     "x-amz-date: 20130524T000000Z\nx-amz-storage-class: REDUCED_REDUNDANCY\n"
     "x-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072\n",
     "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
     "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
     "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {"GET /?lifecycle\n" COMMON_HEADERS, "host;x-amz-content-sha256;x-amz-date", EMPTY_SHA256,
     "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca",
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {"GET /?max-keys=2&prefix=J\n" COMMON_HEADERS, "host;x-amz-content-sha256;x-amz-date", EMPTY_SHA256,
     "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7",
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    {"GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" ACCESS_KEY "%2F20130524%2Fus-east-1%2Fs3%2F"
     "aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=ignored\n"
     "Host: examplebucket.s3.amazonaws.com\n",
     "host", "UNSIGNED-PAYLOAD", "3bfa292879f6447bbcda7001decf97f4a54dc650c8942174ae0a9121cf58ad04",
     "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"},
};

static void test_examples(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    uint8_t key[SIGNING_KEY_SIZE], digest[DIGEST_SIZE_MAX];
    signing_key_derive(STR(SECRET), STR("20130524"), STR("us-east-1"), key);
    for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
        struct str canonical;
        char hex[64], signature[SIGV4_SIGNATURE_SIZE];
        assert_true(
            canonicalise(examples[i].request, examples[i].signed_headers, examples[i].payload, arena, &canonical));
        digest_bytes(DIGEST_SHA256, canonical, digest);
        hex_encode(digest, 32, hex);
        assert_str(str_of(hex, sizeof(hex)), examples[i].canonical_sha256);
        struct str string_to_sign = sigv4_string_to_sign(STR("20130524T000000Z"), STR(SCOPE), canonical, arena);
        sigv4_signature(key, string_to_sign, signature);
        assert_str(str_of(signature, sizeof(signature)), examples[i].signature);
    }
    arena_free(arena);
}

/* Canonical form */

static const struct {
    const char *request, *signed_headers, *expected;
} forms[] = {
    /* Paths: whatever the spelling on the wire, one form; nothing is normalised. */
    {"GET /a%20b(c)%2fd+e~%7E", "", "GET\n/a%20b%28c%29/d%2Be~~\n\n:\n\n\nX"},
    {"GET /a//b/../c/./", "", "GET\n/a//b/../c/./\n\n:\n\n\nX"},
    {"GET /\xc3\xa9%C3%a9", "", "GET\n/%C3%A9%C3%A9\n\n:\n\n\nX"},
    {"GET ", "", "GET\n/\n\n:\n\n\nX"},
    /* Queries: sorted as encoded, names before values; no '=' is an empty value; '+' is a blank. */
    {"GET /?b=2&a=1&A=0&uploads", "", "GET\n/\nA=0&a=1&b=2&uploads=\n:\n\n\nX"},
    {"GET /?a=2&a=1&a-b=0&a", "", "GET\n/\na=&a=1&a=2&a-b=0\n:\n\n\nX"},
    {"GET /?k=%c3%a9&k=z&%6b=/+~*%2B", "", "GET\n/\nk=%2F%20~%2A%2B&k=%C3%A9&k=z\n:\n\n\nX"},
    {"GET /?&&x==y&", "", "GET\n/\nx=%3Dy\n:\n\n\nX"},
    {"GET /?X-Amz-Signature=1&x-amz-signature=2&X%2dAmz-Signature=3", "", "GET\n/\nx-amz-signature=2\n:\n\n\nX"},
    /* Headers: lower case, blanks trimmed and collapsed, repeated ones joined in the order received, absent ones empty.
     */
    {"GET /\nHost:  a \n", "host", "GET\n/\n\nhost:a\n\nhost\nX"},
    {"GET /\nX-B:  a \t b   \"c   d\"  \nhOsT: h", "host;x-b", "GET\n/\n\nhost:h\nx-b:a b \"c d\"\n\nhost;x-b\nX"},
    {"GET /\nx-b: 2\nHost: h\nX-B: 1, 0\nx-b:\n", "host;x-b", "GET\n/\n\nhost:h\nx-b:2,1, 0,\n\nhost;x-b\nX"},
    {"GET /\nHost: h", "X-Absent;Host", "GET\n/\n\nx-absent:\nhost:h\n\nx-absent;host\nX"},
};

static void test_canonical_form(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        struct str canonical;
        assert_true(canonicalise(forms[i].request, forms[i].signed_headers, "X", arena, &canonical));
        assert_str(canonical, forms[i].expected);
    }
    arena_free(arena);
}

static void test_bad_escapes(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct auth_query query;
    struct str canonical;
    assert_false(canonicalise("GET /%", "", "X", arena, &canonical));
    assert_false(canonicalise("GET /%4g", "", "X", arena, &canonical));
    assert_false(auth_query_parse(STR("a=%"), arena, &query));
    assert_false(auth_query_parse(STR("%zz"), arena, &query));
    arena_free(arena);
}

/* The size of the canonical request is computed beforehand: the worst of everything must fit. */
static void test_largest(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct http_head head = {.method = STR("GET")};
    struct auth_query query;
    struct str canonical;
    struct buf target = buf_make(LIMIT_TARGET_BYTES), names = buf_make(LIMIT_HEAD_BYTES);
    for (int i = 0; i < 1000; i++)
        buf_addz(&target, "/\x01\x02\x03");
    struct str path = arena_dup(arena, buf_str(&target));
    buf_reset(&target);
    for (int i = 0; i < LIMIT_QUERY_PARAMS; i++)
        buf_addz(&target, i ? "&\x01\x02=\x03" : "\x01");
    assert_true(auth_query_parse(buf_str(&target), arena, &query));
    for (int i = 0; i < LIMIT_HEADER_COUNT; i++) {
        struct str name = arena_printf(arena, "x-%d", i / 2);
        head.headers[head.header_count++] = (struct http_header){name, STR("a\tb")};
        buf_addf(&names, "%sx-%d", i ? ";" : "", i);
    }
    struct sigv4_message message = {
        .method = head.method,
        .path = path,
        .query = &query,
        .headers = head.headers,
        .header_count = head.header_count,
        .signed_headers = buf_str(&names),
        .payload_hash = STR(EMPTY_SHA256),
    };
    assert_true(sigv4_canonical_request(&message, arena, &canonical));
    assert_true(str_ends(canonical, STR(EMPTY_SHA256)));
    buf_addc(&target, '&');
    buf_addc(&target, 'x');
    assert_false(auth_query_parse(buf_str(&target), arena, &query));
    buf_done(&names);
    buf_done(&target);
    arena_free(arena);
}

/* Signing */

static void test_sign(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct sigv4_signer signer = {STR(ACCESS_KEY), STR(SECRET), STR("us-east-1"), signing_key_cache_new()};
    for (size_t i = 0; i < 4; i++) {
        struct http_head head = head_of(examples[i].request);
        struct str expected =
            arena_printf(arena, "AWS4-HMAC-SHA256 Credential=" ACCESS_KEY "/" SCOPE ", SignedHeaders=%s, Signature=%s",
                         examples[i].signed_headers, examples[i].signature);
        assert_str(sigv4_sign(&signer, &head, arena), expected.ptr);
    }
    signing_key_cache_free(signer.keys);
    arena_free(arena);
}

static void test_sign_names_each_header_once(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct sigv4_signer signer = {STR(ACCESS_KEY), STR(SECRET), STR("us-east-1"), signing_key_cache_new()};
    struct http_head head = head_of("PUT /a\nx-two: 1\n" COMMON_HEADERS "X-Two: 2\nAccept: */*\n");
    struct str value = sigv4_sign(&signer, &head, arena);
    assert_true(str_find(value, STR("SignedHeaders=accept;host;x-amz-content-sha256;x-amz-date;x-two, ")) > 0);
    signing_key_cache_free(signer.keys);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),    cmocka_unit_test(test_canonical_form),
        cmocka_unit_test(test_bad_escapes), cmocka_unit_test(test_largest),
        cmocka_unit_test(test_sign),        cmocka_unit_test(test_sign_names_each_header_once),
    };
    return cmocka_run_group_tests_name("auth/sigv4", tests, NULL, NULL);
}
