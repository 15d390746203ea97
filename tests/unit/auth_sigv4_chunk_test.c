/* Chunk signatures: the examples of "Transferring Payload in Multiple Chunks" and "Including Trailing Headers", Amazon
 * S3 API reference, from the request itself to the last signature; and chains that are broken. */
#include "tests/support/unit.h"

#include "auth/sigv4_chunk.h"
#include "base/digest.h"
#include "tests/support/auth_rig.h"

#define REQUEST(kind, length, names, extra, signature)                                                                 \
    "PUT /examplebucket/chunkObject.txt\nHost: s3.amazonaws.com\nx-amz-date: 20130524T000000Z\n"                       \
    "x-amz-storage-class: REDUCED_REDUNDANCY\nContent-Encoding: aws-chunked\nx-amz-decoded-content-length: 66560\n"    \
    "x-amz-content-sha256: " kind "\nContent-Length: " length "\n" extra "Authorization: AWS4-HMAC-SHA256 "            \
    "Credential=" EXAMPLE_ACCESS_KEY "/" EXAMPLE_SCOPE ",SignedHeaders=" names ",Signature=" signature "\n"

static const char plain_request[] =
    REQUEST("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "66824",
            "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
            "x-amz-storage-class",
            "", "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9");

/* The published signature leaves Content-Length out. */
static const char trailer_request[] = REQUEST(
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "66946",
    "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;"
    "x-amz-trailer",
    "x-amz-trailer: x-amz-checksum-crc32c\n", "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e");

static const char *const plain_signatures[] = {
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
};

static const char *const trailer_signatures[] = {
    "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
    "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
    "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
};
#define TRAILER "x-amz-checksum-crc32c:sOO8/Q==\n"
#define TRAILER_SIGNATURE "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"

/* 65,536 and 1,024 times 'a', and nothing. */
static uint8_t data_sha256[3][DIGEST_SIZE_MAX];

static int hash_data(void **state)
{
    (void)state;
    static const size_t sizes[] = {65536, 1024, 0};
    char *data = malloc(sizes[0]);
    memset(data, 'a', sizes[0]);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        digest_bytes(DIGEST_SHA256, str_of(data, sizes[i]), data_sha256[i]);
    free(data);
    return 0;
}

struct fixture {
    struct auth_rig rig;
    struct sigv4_chain chain;
};

static void begin(struct fixture *f, const char *request)
{
    rig_init(&f->rig);
    assert_int_equal(rig_verify(&f->rig, request), AUTH_OK);
    sigv4_chain_init(&f->chain, &f->rig.result);
}

static void end(struct fixture *f)
{
    static const uint8_t wiped[AUTH_SIGNING_KEY_SIZE] = {0};
    sigv4_chain_done(&f->chain);
    assert_memory_equal(f->chain.signing_key, wiped, sizeof(wiped));
    rig_done(&f->rig);
}

static void test_chunks(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, plain_request);
    assert_int_equal(f.rig.result.payload, AUTH_PAYLOAD_STREAM_SIGNED);
    for (size_t i = 0; i < 3; i++)
        assert_true(sigv4_chain_chunk(&f.chain, data_sha256[i], str_z(plain_signatures[i])));
    end(&f);
}

static void test_trailer(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t trailer_sha256[DIGEST_SIZE_MAX];
    begin(&f, trailer_request);
    assert_int_equal(f.rig.result.payload, AUTH_PAYLOAD_STREAM_SIGNED_TRAILER);
    for (size_t i = 0; i < 3; i++)
        assert_true(sigv4_chain_chunk(&f.chain, data_sha256[i], str_z(trailer_signatures[i])));
    digest_bytes(DIGEST_SHA256, STR("x-amz-checksum-crc32c:AAAAAA==\n"), trailer_sha256);
    assert_false(sigv4_chain_trailer(&f.chain, trailer_sha256, STR(TRAILER_SIGNATURE)));
    digest_bytes(DIGEST_SHA256, STR(TRAILER), trailer_sha256);
    assert_false(sigv4_chain_chunk(&f.chain, trailer_sha256, STR(TRAILER_SIGNATURE)));
    assert_true(sigv4_chain_trailer(&f.chain, trailer_sha256, STR(TRAILER_SIGNATURE)));
    end(&f);
}

/* SEC-04: a changed byte, a chunk left out, chunks in another order; a failure does not move the chain on. */
static void test_broken_chains(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, plain_request);
    assert_false(sigv4_chain_chunk(&f.chain, data_sha256[1], str_z(plain_signatures[0])));
    assert_false(sigv4_chain_chunk(&f.chain, data_sha256[1], str_z(plain_signatures[1])));
    assert_false(sigv4_chain_chunk(&f.chain, data_sha256[0], str_z(trailer_signatures[0])));
    assert_false(sigv4_chain_chunk(&f.chain, data_sha256[0], STR_EMPTY));
    assert_false(sigv4_chain_chunk(&f.chain, data_sha256[0], str_first(str_z(plain_signatures[0]), 63)));
    assert_true(sigv4_chain_chunk(&f.chain, data_sha256[0], str_z(plain_signatures[0])));
    assert_false(sigv4_chain_chunk(&f.chain, data_sha256[0], str_z(plain_signatures[0])));
    assert_false(sigv4_chain_chunk(&f.chain, data_sha256[2], str_z(plain_signatures[2])));
    end(&f);
}

/* The longest region still fits the chain's strings. */
static void test_longest_region(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    char region[AUTH_REGION_SIZE_MAX];
    memset(region, 'r', sizeof(region));
    struct auth_result seed = {
        .payload = AUTH_PAYLOAD_STREAM_SIGNED,
        .amz_date = STR("20130524T000000Z"),
        .scope = arena_printf(arena, "20130524/%.*s/s3/aws4_request", (int)sizeof(region), region),
        .signature = str_z(plain_signatures[0]),
    };
    struct sigv4_chain chain;
    sigv4_chain_init(&chain, &seed);
    assert_false(sigv4_chain_trailer(&chain, data_sha256[0], str_z(plain_signatures[0])));
    assert_false(sigv4_chain_chunk(&chain, data_sha256[0], str_z(plain_signatures[0])));
    sigv4_chain_done(&chain);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_trailer),
        cmocka_unit_test(test_broken_chains),
        cmocka_unit_test(test_longest_region),
    };
    return cmocka_run_group_tests_name("auth/sigv4_chunk", tests, hash_data, NULL);
}
