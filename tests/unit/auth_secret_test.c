/* SEC-08: secrets, signatures and session tokens meet what a caller sent in constant time only. The program's own memcmp and its like
 * (--wrap) look for them in what they are given; the requests are right ones, so that whoever compares finds an equal. */
#include "tests/support/unit.h"

#include <strings.h>

#include "auth/form.h"
#include "auth/session.h"
#include "auth/sigv4.h"
#include "auth/sigv4_chunk.h"
#include "auth/signing_key.h"
#include "base/digest.h"
#include "base/encode.h"
#include "tests/support/auth_rig.h"

/* The watch ------------------------------------------------------------------------------------------------------ */

#define PART 12 /* characters in a row that only the secret has */

static struct {
    struct str secrets[4];
    size_t count;
    const char *seen_by;
} watch;

static void look(const char *function, const void *bytes, size_t size)
{
    const char *p = bytes;
    for (size_t s = 0; s < watch.count; s++)
        for (size_t at = 0; size >= PART && at <= size - PART; at++) {
            size_t same = 0;
            while (same < PART && p[at + same] == watch.secrets[s].ptr[same])
                same++;
            if (same == PART)
                watch.seen_by = function;
        }
}

static int compare(const char *function, const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;
    look(function, a, n);
    look(function, b, n);
    for (size_t i = 0; i < n; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

static size_t shorter(const char *a, const char *b, size_t max)
{
    size_t n = 0;
    while (n < max && a[n] && b[n])
        n++;
    return n < max ? n + 1 : n;
}

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static int compare_nocase(const char *function, const char *a, const char *b, size_t n)
{
    n = shorter(a, b, n);
    look(function, a, n);
    look(function, b, n);
    for (size_t i = 0; i < n; i++)
        if (lower(a[i]) != lower(b[i]))
            return lower(a[i]) < lower(b[i]) ? -1 : 1;
    return 0;
}

int __wrap_memcmp(const void *a, const void *b, size_t n);
int __wrap_bcmp(const void *a, const void *b, size_t n);
int __wrap_strcmp(const char *a, const char *b);
int __wrap_strncmp(const char *a, const char *b, size_t n);
int __wrap_strcasecmp(const char *a, const char *b);
int __wrap_strncasecmp(const char *a, const char *b, size_t n);

int __wrap_memcmp(const void *a, const void *b, size_t n)
{
    return compare("memcmp", a, b, n);
}

int __wrap_bcmp(const void *a, const void *b, size_t n)
{
    return compare("bcmp", a, b, n);
}

int __wrap_strcmp(const char *a, const char *b)
{
    return compare("strcmp", a, b, shorter(a, b, SIZE_MAX));
}

int __wrap_strncmp(const char *a, const char *b, size_t n)
{
    return compare("strncmp", a, b, shorter(a, b, n));
}

int __wrap_strcasecmp(const char *a, const char *b)
{
    return compare_nocase("strcasecmp", a, b, SIZE_MAX);
}

int __wrap_strncasecmp(const char *a, const char *b, size_t n)
{
    return compare_nocase("strncasecmp", a, b, n);
}

static void watch_for(struct str secret)
{
    assert_true(secret.len >= PART);
    watch.secrets[watch.count++] = secret;
}

/* Everybody's secrets besides what the test adds. */
static void watch_start(void)
{
    watch.count = 0;
    watch.seen_by = NULL;
    watch_for(STR(EXAMPLE_SECRET));
}

static void watch_end(const char *what)
{
    watch.count = 0;
    if (watch.seen_by)
        fail_msg("%s: %s was given a secret", what, watch.seen_by);
}

/* Does it see what it is for? */
static void test_watch(void **state UNUSED)
{
    /* Nothing that a compiler could compare by itself. */
    const char *volatile one = "0123456789abcdef0123456789abcdef", *volatile other = "0123456789abcdef0123456789abcdeX";
    watch_start();
    watch_for(str_z(one));
    assert_false(str_eq(str_z(one), str_z(other)));
    assert_non_null(watch.seen_by);
    watch.seen_by = NULL;
    assert_false(str_is(str_z(other), one));
    assert_non_null(watch.seen_by);
    watch.seen_by = NULL;
    assert_false(str_eq_secret(str_z(one), str_z(other)));
    assert_true(str_eq_secret(str_z(one), str_z(one)));
    watch_end("str_eq_secret");
}

/* What is compared ------------------------------------------------------------------------------------------------ */

#define NAMES "host;x-amz-content-sha256;x-amz-date"
#define HOST "Host: examplebucket.s3.amazonaws.com\n"

static void test_requests(void **state UNUSED)
{
    static const struct {
        const char *what, *request, *signature;
    } rows[] = {
        {"header",
         "GET /?lifecycle\n" HOST "x-amz-content-sha256: " EMPTY_SHA256 "\nx-amz-date: 20130524T000000Z\n"
         "Authorization: AWS4-HMAC-SHA256 Credential=" EXAMPLE_ACCESS_KEY "/" EXAMPLE_SCOPE ",SignedHeaders=" NAMES ","
         "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543\n",
         "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
        {"query",
         "GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" EXAMPLE_ACCESS_KEY
         "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&"
         "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404\n" HOST,
         "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"},
        {"query of version 2",
         "GET /examplebucket/k?versionId=null&response-content-disposition=attachment%3B%20filename%3D%22a%20b%2Bc.txt%22&"
         "AWSAccessKeyId=" EXAMPLE_ACCESS_KEY "&Signature=fWkVJn%2Bng%2BGeJulCcNKMY0plqKg%3D&Expires=1369357200\n"
         "Host: gw.example.com:9000\n",
         "fWkVJn+ng+GeJulCcNKMY0plqKg="},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct auth_rig r;
        rig_init(&r);
        watch_start();
        watch_for(str_z(rows[i].signature));
        assert_int_equal(rig_verify(&r, rows[i].request), AUTH_OK);
        watch_end(rows[i].what);
        rig_done(&r);
    }
}

static void test_form(void **state UNUSED)
{
    struct auth_rig r;
    uint8_t key[SIGNING_KEY_SIZE];
    char signature[SIGV4_SIGNATURE_SIZE];
    static const char policy[] = "eyJleHBpcmF0aW9uIjogIjIwMzAtMDEtMDFUMDA6MDA6MDAuMDAwWiIsICJjb25kaXRpb25zIjogW119";
    rig_init(&r);
    signing_key_derive(STR(EXAMPLE_SECRET), STR("20130524"), STR("us-east-1"), key);
    sigv4_signature(key, str_z(policy), signature);
    struct auth_param params[] = {
        {STR("policy"), str_z(policy)},
        {STR("x-amz-algorithm"), STR("AWS4-HMAC-SHA256")},
        {STR("x-amz-credential"), STR(EXAMPLE_ACCESS_KEY "/" EXAMPLE_SCOPE)},
        {STR("x-amz-date"), STR("20130524T000000Z")},
        {STR("x-amz-signature"), str_of(signature, sizeof(signature))},
    };
    const struct auth_query fields = {.params = params, .count = ARRAY_SIZE(params)};
    watch_start();
    watch_for(str_of(signature, sizeof(signature)));
    assert_int_equal(auth_verify_form(&r.rules, r.identities, &fields, r.arena, &r.result), AUTH_OK);
    watch_end("form");
    rig_done(&r);
}

/* "Transferring Payload in Multiple Chunks" */
static void test_chunks(void **state UNUSED)
{
    static const char seed[] =
        "PUT /examplebucket/chunkObject.txt\nHost: s3.amazonaws.com\nx-amz-date: 20130524T000000Z\n"
        "x-amz-storage-class: REDUCED_REDUNDANCY\nContent-Encoding: aws-chunked\nx-amz-decoded-content-length: 66560\n"
        "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\nContent-Length: 66824\nAuthorization: AWS4-HMAC-SHA256 "
        "Credential=" EXAMPLE_ACCESS_KEY "/" EXAMPLE_SCOPE ",SignedHeaders=content-encoding;content-length;host;"
        "x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class,"
        "Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9\n";
    static const char signature[] = "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648";
    struct auth_rig r;
    struct sigv4_chain chain;
    uint8_t sha256[DIGEST_SIZE_MAX];
    char *data = malloc(65536);
    memset(data, 'a', 65536);
    digest_bytes(DIGEST_SHA256, str_of(data, 65536), sha256);
    free(data);
    rig_init(&r);
    watch_start();
    watch_for(str_z(signature));
    assert_int_equal(rig_verify(&r, seed), AUTH_OK);
    sigv4_chain_init(&chain, &r.result);
    assert_true(sigv4_chain_chunk(&chain, sha256, str_z(signature)));
    sigv4_chain_done(&chain);
    watch_end("chunk");
    rig_done(&r);
}

static void test_session(void **state UNUSED)
{
    struct auth_rig r;
    struct auth_credentials c;
    struct auth_session *session = NULL;
    rig_init(&r);
    const struct auth_session_spec spec = {
        .user = auth_snapshot_find(r.identities, STR(EXAMPLE_ACCESS_KEY))->user,
        .name = STR("s"),
        .expires_s = EXAMPLE_TIME_S + 900,
    };
    auth_session_issue(r.identities, &spec, r.arena, &c);
    watch_start();
    watch_for(c.secret);
    watch_for(c.token);
    assert_int_equal(auth_session_open(r.identities, c.token, EXAMPLE_TIME_S, r.arena, &session), AUTH_OK);
    assert_true(str_eq_secret(session->key.secret, c.secret));
    watch_end("session");
    rig_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watch),  cmocka_unit_test(test_requests), cmocka_unit_test(test_form),
        cmocka_unit_test(test_chunks), cmocka_unit_test(test_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
