#include "tests/support/unit.h"

#include <pthread.h>

#include "base/digest.h"
#include "base/digest_internal.h"
#include "base/encode.h"

static void assert_hex(const uint8_t *bytes, size_t size, const char *expected)
{
    char hex[2 * DIGEST_SIZE_MAX];
    hex_encode(bytes, size, hex);
    assert_str(str_of(hex, 2 * size), expected);
}

static void assert_digest(enum digest_kind kind, struct str message, const char *expected)
{
    uint8_t out[DIGEST_SIZE_MAX];
    digest_bytes(kind, message, out);
    assert_hex(out, digest_size(kind), expected);
}

/* A fixed sequence, so that a failure repeats. */
static uint32_t next_number(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

#define NOISE_SIZE 20000

static char noise_bytes[NOISE_SIZE];

static int fill_noise(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (size_t i = 0; i < sizeof(noise_bytes); i++)
        noise_bytes[i] = (char)next_number(&random);
    return 0;
}

static struct str noise(void)
{
    return str_of(noise_bytes, sizeof(noise_bytes));
}

/* Published vectors */

#define MESSAGE_56 "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
#define MESSAGE_112                                                                                                    \
    "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"                                                         \
    "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"
#define DIGITS_64 "0123456701234567012345670123456701234567012345670123456701234567"

static const struct {
    enum digest_kind kind;
    const char *message;
    int repeat;
    const char *expected;
} vectors[] = {
    /* RFC 1321, A.5 */
    {DIGEST_MD5, "", 1, "d41d8cd98f00b204e9800998ecf8427e"},
    {DIGEST_MD5, "a", 1, "0cc175b9c0f1b6a831c399e269772661"},
    {DIGEST_MD5, "abc", 1, "900150983cd24fb0d6963f7d28e17f72"},
    {DIGEST_MD5, "message digest", 1, "f96b697d7cb7938d525a2f31aaf161d0"},
    {DIGEST_MD5, "abcdefghijklmnopqrstuvwxyz", 1, "c3fcd3d76192e4007dfb496cca67e13b"},
    {DIGEST_MD5, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 1,
     "d174ab98d277d9f5a5611c2c9f419d9f"},
    {DIGEST_MD5, "1234567890", 8, "57edf4a22be3c955ac49da2e2107b67a"},
    /* RFC 3174, 7.3 */
    {DIGEST_SHA1, "abc", 1, "a9993e364706816aba3e25717850c26c9cd0d89d"},
    {DIGEST_SHA1, MESSAGE_56, 1, "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
    {DIGEST_SHA1, "a", 1000000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"},
    {DIGEST_SHA1, DIGITS_64, 10, "dea356a2cddd90c7a7ecedc5ebb563934f460452"},
    /* RFC 6234, 8.5 */
    {DIGEST_SHA256, "abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {DIGEST_SHA256, MESSAGE_56, 1, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {DIGEST_SHA256, "a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    {DIGEST_SHA256, DIGITS_64, 10, "594847328451bdfa85056225462cc1d867d877fb388df0ce35f25ab5562bfbb5"},
    {DIGEST_SHA512, "abc", 1,
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
     "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
    {DIGEST_SHA512, MESSAGE_112, 1,
     "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
     "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909"},
    {DIGEST_SHA512, "a", 1000000,
     "e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973eb"
     "de0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b"},
    {DIGEST_SHA512, DIGITS_64, 10,
     "89d05ba632c699c31231ded4ffc127d5a894dad412c0e024db872d1abd2ba814"
     "1a0f85072a9be1e2aa04cf33c765cb510813a39cd5a84c4acaa64d3f3fb7bae9"},
    /* Check values of the CRC catalogue */
    {DIGEST_CRC32, "123456789", 1, "cbf43926"},
    {DIGEST_CRC32C, "123456789", 1, "e3069283"},
    {DIGEST_CRC64NVME, "123456789", 1, "ae8b14860a799888"},
    {DIGEST_CRC32, "", 1, "00000000"},
    {DIGEST_CRC32C, "", 1, "00000000"},
    {DIGEST_CRC64NVME, "", 1, "0000000000000000"},
};

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        struct digest *d = digest_new(vectors[i].kind);
        for (int n = 0; n < vectors[i].repeat; n++)
            digest_update(d, str_z(vectors[i].message));
        uint8_t out[DIGEST_SIZE_MAX];
        digest_final(d, out);
        assert_hex(out, digest_size(vectors[i].kind), vectors[i].expected);
        if (vectors[i].repeat == 1)
            assert_digest(vectors[i].kind, str_z(vectors[i].message), vectors[i].expected);
        digest_free(d);
    }
}

/* RFC 3720, B.4 */
static void test_crc32c_iscsi_vectors(void **state)
{
    (void)state;
    char up[32];
    char down[32];
    char zeros[32] = {0};
    char ones[32];
    memset(ones, 0xff, sizeof(ones));
    for (size_t i = 0; i < sizeof(up); i++) {
        up[i] = (char)i;
        down[i] = (char)(sizeof(up) - 1 - i);
    }
    assert_digest(DIGEST_CRC32C, str_of(zeros, sizeof(zeros)), "8a9136aa");
    assert_digest(DIGEST_CRC32C, str_of(ones, sizeof(ones)), "62a8ab43");
    assert_digest(DIGEST_CRC32C, str_of(up, sizeof(up)), "46dd794e");
    assert_digest(DIGEST_CRC32C, str_of(down, sizeof(down)), "113fdb5c");
}

/* NVM Command Set Specification, "64b CRC test cases" */
static void test_crc64_nvme_vectors(void **state)
{
    (void)state;
    static char page[4096];
    struct str whole = str_of(page, sizeof(page));
    assert_digest(DIGEST_CRC64NVME, whole, "6482d367eb22b64e");
    memset(page, 0xff, sizeof(page));
    assert_digest(DIGEST_CRC64NVME, whole, "c0ddba7302eca3ac");
    for (size_t i = 0; i < sizeof(page); i++)
        page[i] = (char)i;
    assert_digest(DIGEST_CRC64NVME, whole, "3e729f5f6750449c");
    for (size_t i = 0; i < sizeof(page); i++)
        page[i] = (char)(0xff - i);
    assert_digest(DIGEST_CRC64NVME, whole, "9a2df64b8e9e517e");
}

/* Properties of all kinds */

static void test_sizes(void **state)
{
    (void)state;
    static const size_t sizes[DIGEST_KIND_COUNT] = {16, 20, 32, 64, 4, 4, 8};
    for (int kind = 0; kind < DIGEST_KIND_COUNT; kind++)
        assert_int_equal(digest_size((enum digest_kind)kind), sizes[kind]);
}

static void test_random_splits_equal_one_shot(void **state)
{
    (void)state;
    uint32_t random = 7;
    for (int kind = 0; kind < DIGEST_KIND_COUNT; kind++) {
        struct digest *d = digest_new((enum digest_kind)kind);
        for (int round = 0; round < 100; round++) {
            struct str rest = str_first(noise(), next_number(&random) % NOISE_SIZE);
            uint8_t expected[DIGEST_SIZE_MAX];
            digest_bytes((enum digest_kind)kind, rest, expected);

            digest_reset(d);
            while (rest.len > 0) {
                struct str piece = str_first(rest, next_number(&random) % 700);
                digest_update(d, piece);
                rest = str_from(rest, piece.len);
            }
            digest_update(d, STR_EMPTY);
            uint8_t out[DIGEST_SIZE_MAX];
            digest_final(d, out);
            assert_memory_equal(out, expected, digest_size((enum digest_kind)kind));
        }
        digest_free(d);
    }
}

static void test_reset_forgets(void **state)
{
    (void)state;
    for (int kind = 0; kind < DIGEST_KIND_COUNT; kind++) {
        uint8_t expected[DIGEST_SIZE_MAX];
        uint8_t out[DIGEST_SIZE_MAX];
        digest_bytes((enum digest_kind)kind, STR("abc"), expected);

        struct digest *d = digest_new((enum digest_kind)kind);
        digest_update(d, STR("something else"));
        digest_reset(d);
        digest_update(d, STR("abc"));
        digest_final(d, out);
        assert_memory_equal(out, expected, digest_size((enum digest_kind)kind));
        digest_freep(&d);
        assert_null(d);
        digest_freep(&d);
    }
}

static void *digest_on_a_thread(void *result)
{
    uint8_t *out = result;
    for (int i = 0; i < 100; i++)
        hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?"), out);
    digest_bytes(DIGEST_CRC64NVME, STR("123456789"), out + 32);
    return NULL;
}

static void test_threads_do_not_share_contexts(void **state)
{
    (void)state;
    pthread_t threads[4];
    uint8_t results[4][32 + DIGEST_SIZE_MAX];
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, digest_on_a_thread, results[i]), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_hex(results[i], 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert_hex(results[i] + 32, 8, "ae8b14860a799888");
    }
}

/* CRCs */

struct crc_model {
    enum digest_kind kind;
    uint64_t poly; /* reflected */
    uint64_t ones;
};

static const struct crc_model crc_models[] = {
    {DIGEST_CRC32, 0xEDB88320u, UINT32_MAX},
    {DIGEST_CRC32C, 0x82F63B78u, UINT32_MAX},
    {DIGEST_CRC64NVME, 0x9A6C9329AC4BC9B5u, UINT64_MAX},
};

/* The definition, bit by bit. */
static uint64_t crc_by_definition(const struct crc_model *model, struct str bytes)
{
    uint64_t crc = model->ones;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (uint8_t)bytes.ptr[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? (crc >> 1) ^ model->poly : crc >> 1;
    }
    return crc ^ model->ones;
}

/* Every length around the widths of the vector loops, at every alignment. */
static void test_crc_of_every_length_and_alignment(void **state)
{
    (void)state;
    for (size_t m = 0; m < ARRAY_SIZE(crc_models); m++) {
        for (size_t len = 0; len < 300; len++) {
            for (size_t offset = 0; offset < 17; offset++) {
                struct str bytes = str_first(str_from(noise(), offset), len);
                if (digest_crc_update(crc_models[m].kind, 0, bytes) != crc_by_definition(&crc_models[m], bytes))
                    fail_msg("kind %d, %zu bytes at offset %zu", (int)crc_models[m].kind, len, offset);
            }
        }
    }
}

static void test_crc64_portable_equals_fastest(void **state)
{
    (void)state;
    uint32_t random = 3;
    for (int round = 0; round < 2000; round++) {
        struct str bytes = str_from(noise(), next_number(&random) % 64);
        bytes = str_first(bytes, next_number(&random) % 4000);
        uint64_t before = (uint64_t)next_number(&random) << 40 | next_number(&random);
        assert_int_equal(digest_crc64_portable(before, bytes), digest_crc_update(DIGEST_CRC64NVME, before, bytes));
    }
}

static void test_combine_equals_whole(void **state)
{
    (void)state;
    uint32_t random = 5;
    for (size_t m = 0; m < ARRAY_SIZE(crc_models); m++) {
        enum digest_kind kind = crc_models[m].kind;
        for (int round = 0; round < 300; round++) {
            struct str whole = str_first(noise(), next_number(&random) % NOISE_SIZE);
            struct str a = str_first(whole, next_number(&random) % NOISE_SIZE);
            struct str b = str_from(whole, a.len);
            uint8_t crc_whole[DIGEST_SIZE_MAX];
            uint8_t crc_a[DIGEST_SIZE_MAX];
            uint8_t crc_b[DIGEST_SIZE_MAX];
            digest_bytes(kind, whole, crc_whole);
            digest_bytes(kind, a, crc_a);
            digest_bytes(kind, b, crc_b);
            digest_crc_combine(kind, crc_a, crc_b, b.len, crc_a); /* in place, as a running sum */
            assert_memory_equal(crc_a, crc_whole, digest_size(kind));
        }
    }
}

/* No test can read terabytes: the sum of 2^41 bytes is doubled from one megabyte's in two groupings. */
static void test_combine_of_large_sizes_is_associative(void **state)
{
    (void)state;
    for (size_t m = 0; m < ARRAY_SIZE(crc_models); m++) {
        enum digest_kind kind = crc_models[m].kind;
        uint8_t unit[DIGEST_SIZE_MAX];
        digest_bytes(kind, noise(), unit);
        uint8_t left[DIGEST_SIZE_MAX];
        uint8_t right[DIGEST_SIZE_MAX];
        memcpy(left, unit, sizeof(unit));
        uint64_t size = NOISE_SIZE;
        for (; size < 1ull << 41; size *= 2)
            digest_crc_combine(kind, left, left, size, left);
        /* (X‖X)‖U = X‖(X‖U) */
        digest_crc_combine(kind, left, unit, NOISE_SIZE, right);
        digest_crc_combine(kind, left, right, size + NOISE_SIZE, right);
        digest_crc_combine(kind, left, left, size, left);
        digest_crc_combine(kind, left, unit, NOISE_SIZE, left);
        assert_memory_equal(left, right, digest_size(kind));
    }
}

/* HMAC */

struct hmac_row {
    struct str key;
    struct str message;
    const char *expected; /* may be a prefix of the result, where the RFC truncates */
};

#define TIMES_10(text) text text text text text text text text text text
#define TIMES_20(text) TIMES_10(text) TIMES_10(text)
#define TIMES_50(text) TIMES_20(text) TIMES_20(text) TIMES_10(text)
#define TIMES_80(text) TIMES_50(text) TIMES_20(text) TIMES_10(text)
#define TIMES_131(text) TIMES_80(text) TIMES_50(text) text
#define BYTES_1_TO_25 "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22\23\24\25\26\27\30\31"

/* RFC 4231, 4.2 to 4.8 */
static const struct hmac_row hmac_sha256_rows[] = {
    {STR_INIT(TIMES_20("\x0b")), STR_INIT("Hi There"),
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {STR_INIT("Jefe"), STR_INIT("what do ya want for nothing?"),
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {STR_INIT(TIMES_20("\xaa")), STR_INIT(TIMES_50("\xdd")),
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {STR_INIT(BYTES_1_TO_25), STR_INIT(TIMES_50("\xcd")),
     "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
    {STR_INIT(TIMES_20("\x0c")), STR_INIT("Test With Truncation"), "a3b6167473100ee06e0c796c2955552b"},
    {STR_INIT(TIMES_131("\xaa")), STR_INIT("Test Using Larger Than Block-Size Key - Hash Key First"),
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {STR_INIT(TIMES_131("\xaa")),
     STR_INIT("This is a test using a larger than block-size key and a larger than block-size data. The key needs to "
              "be hashed before being used by the HMAC algorithm."),
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
};

/* RFC 2202, 3 */
static const struct hmac_row hmac_sha1_rows[] = {
    {STR_INIT(TIMES_20("\x0b")), STR_INIT("Hi There"), "b617318655057264e28bc0b6fb378c8ef146be00"},
    {STR_INIT("Jefe"), STR_INIT("what do ya want for nothing?"), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
    {STR_INIT(TIMES_20("\xaa")), STR_INIT(TIMES_50("\xdd")), "125d7342b9ac11cd91a39af48aa17b4f63f175d3"},
    {STR_INIT(BYTES_1_TO_25), STR_INIT(TIMES_50("\xcd")), "4c9007f4026250c6bc8414f9bf50c86c2d7235da"},
    {STR_INIT(TIMES_20("\x0c")), STR_INIT("Test With Truncation"), "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04"},
    {STR_INIT(TIMES_80("\xaa")), STR_INIT("Test Using Larger Than Block-Size Key - Hash Key First"),
     "aa4ae5e15272d00e95705637ce8a3b55ed402112"},
    {STR_INIT(TIMES_80("\xaa")), STR_INIT("Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data"),
     "e8e99d0f45237d786d6bbaa7965c7808bbff1a91"},
};

static void test_hmac_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(hmac_sha256_rows); i++) {
        const struct hmac_row *row = &hmac_sha256_rows[i];
        uint8_t out[32];
        hmac_sha256(row->key, row->message, out);
        assert_hex(out, strlen(row->expected) / 2, row->expected);
    }
    for (size_t i = 0; i < ARRAY_SIZE(hmac_sha1_rows); i++) {
        const struct hmac_row *row = &hmac_sha1_rows[i];
        uint8_t out[20];
        hmac_sha1(row->key, row->message, out);
        assert_hex(out, sizeof(out), row->expected);
    }
}

static void test_hmac_of_empty_key_and_message(void **state)
{
    (void)state;
    uint8_t out[32];
    hmac_sha256(STR_EMPTY, STR_EMPTY, out);
    assert_hex(out, sizeof(out), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* A key of exactly one block is used as it is, one byte more is hashed first. */
static void test_hmac_key_at_block_size(void **state)
{
    (void)state;
    char key[65];
    memset(key, 'k', sizeof(key));
    uint8_t out[32];
    hmac_sha256(str_of(key, 64), STR("m"), out);
    assert_hex(out, sizeof(out), "3b7a8d453e76edb519238a515105a57508d0f169f480ebeee120a9e7803289fa");
    hmac_sha256(str_of(key, 65), STR("m"), out);
    assert_hex(out, sizeof(out), "c2d7d4c2256ddb097409ec0c67e1d58fa1a007fc6932cac0d892a525d08af7cc");
}

/* The derivation of AWS's SigV4 documentation, with one buffer for the whole chain. */
static void test_hmac_chain_in_place(void **state)
{
    (void)state;
    uint8_t key[32];
    hmac_sha256(STR("AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), STR("20120215"), key);
    struct str chained = str_of((const char *)key, sizeof(key));
    hmac_sha256(chained, STR("us-east-1"), key);
    hmac_sha256(chained, STR("iam"), key);
    hmac_sha256(chained, STR("aws4_request"), key);
    assert_hex(key, sizeof(key), "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_crc32c_iscsi_vectors),
        cmocka_unit_test(test_crc64_nvme_vectors),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_random_splits_equal_one_shot),
        cmocka_unit_test(test_reset_forgets),
        cmocka_unit_test(test_threads_do_not_share_contexts),
        cmocka_unit_test(test_crc_of_every_length_and_alignment),
        cmocka_unit_test(test_crc64_portable_equals_fastest),
        cmocka_unit_test(test_combine_equals_whole),
        cmocka_unit_test(test_combine_of_large_sizes_is_associative),
        cmocka_unit_test(test_hmac_vectors),
        cmocka_unit_test(test_hmac_of_empty_key_and_message),
        cmocka_unit_test(test_hmac_key_at_block_size),
        cmocka_unit_test(test_hmac_chain_in_place),
    };
    return cmocka_run_group_tests(tests, fill_noise, NULL);
}
