#include "tests/support/unit.h"

#include <errno.h>

#include "base/encode.h"
#include "tests/support/jfs_objects.h"

#define OBJECT_MAX 4096

static struct data_codec make(enum compress_kind compression, const char *algorithm)
{
    struct data_codec c = {.compression = compression};
    const char *why = NULL;
    if (algorithm)
        assert_int_equal(data_cipher_new(str_z(jfs_key), STR_EMPTY, str_z(algorithm), &c.cipher, &why), 0);
    return c;
}

static size_t unhex(const char *hex, char *out)
{
    size_t size = strlen(hex) / 2;
    assert_true(hex_decode(str_z(hex), out, size));
    return size;
}

static void test_reads_the_official_clients_objects(void **state)
{
    (void)state;
    const struct str block = STR(JFS_BLOCK);
    for (size_t i = 0; i < ARRAY_SIZE(jfs_objects); i++) {
        struct data_codec c = make(jfs_objects[i].compression, jfs_objects[i].algorithm);
        char object[OBJECT_MAX], out[OBJECT_MAX];
        size_t size = unhex(jfs_objects[i].hex, object);
        assert_true(size <= data_codec_bound(&c, block.len));
        assert_int_equal(data_codec_decode(&c, object, size, out, block.len), 0);
        assert_str(str_of(out, block.len), JFS_BLOCK);
        /* A key that says another length names another block. */
        size = unhex(jfs_objects[i].hex, object);
        assert_int_equal(data_codec_decode(&c, object, size, out, block.len + 1), -EBADMSG);
        size = unhex(jfs_objects[i].hex, object);
        assert_int_equal(data_codec_decode(&c, object, size, out, block.len - 1), -EBADMSG);
        data_cipher_free(c.cipher);
    }
}

/* What is not encrypted is compressed as there, byte by byte. */
static void test_writes_what_the_official_client_writes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(jfs_objects); i++) {
        if (jfs_objects[i].algorithm)
            continue;
        struct data_codec c = make(jfs_objects[i].compression, NULL);
        char expected[OBJECT_MAX], *object;
        size_t size, expected_size = unhex(jfs_objects[i].hex, expected);
        data_codec_encode(&c, STR(JFS_BLOCK), &object, &size);
        assert_int_equal(size, expected_size);
        assert_memory_equal(object, expected, size);
        free(object);
    }
}

static void test_round_trips(void **state)
{
    (void)state;
    enum { SIZE = 300000 };
    static const size_t sizes[] = {1, 2, 15, 16, 17, 4096, SIZE};
    char *in = malloc(SIZE), *out = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        in[i] = (char)((i / 3) * (i % 7) >> 2);
    for (size_t i = 0; i < ARRAY_SIZE(jfs_objects); i++) {
        struct data_codec c = make(jfs_objects[i].compression, jfs_objects[i].algorithm);
        for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
            char *object;
            size_t size;
            data_codec_encode(&c, str_of(in, sizes[k]), &object, &size);
            assert_true(size <= data_codec_bound(&c, sizes[k]));
            assert_int_equal(data_codec_decode(&c, object, size, out, sizes[k]), 0);
            assert_memory_equal(in, out, sizes[k]);
            free(object);
        }
        data_cipher_free(c.cipher);
    }
    free(in);
    free(out);
}

static void test_two_objects_of_one_block_differ(void **state)
{
    (void)state;
    struct data_codec c = make(COMPRESS_NONE, "aes256gcm-rsa");
    char *a, *b;
    size_t a_size, b_size, head = 3 + 128;
    data_codec_encode(&c, STR(JFS_BLOCK), &a, &a_size);
    data_codec_encode(&c, STR(JFS_BLOCK), &b, &b_size);
    assert_int_equal(a_size, b_size);
    assert_memory_not_equal(a + 3, b + 3, 128);
    assert_memory_not_equal(a + head, b + head, 12);
    assert_memory_not_equal(a + head + 12, b + head + 12, strlen(JFS_BLOCK));
    free(a);
    free(b);
    data_cipher_free(c.cipher);
}

static void test_refuses_every_damage(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(jfs_objects); i++) {
        struct data_codec c = make(jfs_objects[i].compression, jfs_objects[i].algorithm);
        char object[OBJECT_MAX], out[OBJECT_MAX];
        size_t size = unhex(jfs_objects[i].hex, object);
        for (size_t cut = 0; cut < size; cut++) {
            (void)unhex(jfs_objects[i].hex, object);
            assert_int_equal(data_codec_decode(&c, object, cut, out, strlen(JFS_BLOCK)), -EBADMSG);
        }
        /* Compression alone has no checksum: a wrong byte may go unseen, but harms nothing else. */
        for (size_t at = 0; at < size && c.cipher; at++) {
            (void)unhex(jfs_objects[i].hex, object);
            object[at] ^= 0x10;
            assert_int_equal(data_codec_decode(&c, object, size, out, strlen(JFS_BLOCK)), -EBADMSG);
        }
        data_cipher_free(c.cipher);
    }
}

static void test_keys_that_cannot_be(void **state)
{
    (void)state;
    static const struct {
        struct str pem, algorithm;
    } rows[] = {
        {STR_INIT(""), STR_INIT("")},
        {STR_INIT("no key"), STR_INIT("aes256gcm-rsa")},
        {STR_INIT("-----BEGIN RSA PRIVATE KEY-----\nMIIC\n-----END RSA PRIVATE KEY-----\n"), STR_INIT("")},
        {STR_INIT("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n"
                  "MIIC\n-----END RSA PRIVATE KEY-----\n"), STR_INIT("")}, /* asks for no passphrase on the terminal */
        {{jfs_key, sizeof(jfs_key) - 1}, STR_INIT("sm4gcm")},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct data_cipher *c = NULL;
        const char *why = NULL;
        assert_int_equal(data_cipher_new(rows[i].pem, STR_EMPTY, rows[i].algorithm, &c, &why), -EINVAL);
        assert_null(c);
        assert_non_null(why);
    }
}

static void test_names_of_compressions(void **state)
{
    (void)state;
    enum compress_kind kind;
    assert_true(compress_kind_parse(STR(""), &kind) && kind == COMPRESS_NONE);
    assert_true(compress_kind_parse(STR("None"), &kind) && kind == COMPRESS_NONE);
    assert_true(compress_kind_parse(STR("LZ4"), &kind) && kind == COMPRESS_LZ4);
    assert_true(compress_kind_parse(STR("zstd"), &kind) && kind == COMPRESS_ZSTD);
    assert_false(compress_kind_parse(STR("gzip"), &kind));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_the_official_clients_objects),
        cmocka_unit_test(test_writes_what_the_official_client_writes),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_two_objects_of_one_block_differ),
        cmocka_unit_test(test_refuses_every_damage),
        cmocka_unit_test(test_keys_that_cannot_be),
        cmocka_unit_test(test_names_of_compressions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
