#include "tests/support/unit.h"

#include <errno.h>

#include "base/encode.h"
#include "base/secretbox.h"

#define OVERHEAD (12 + 16)

static const uint8_t key[SECRETBOX_KEY_SIZE] = "0123456789abcdef0123456789abcde";
static const uint8_t other_key[SECRETBOX_KEY_SIZE] = "0123456789abcdef0123456789abcdE";

/* Published vectors (McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B): only opening can be
 * compared, since sealing draws its nonce. */

static const struct {
    const char *key;
    const char *context;
    const char *sealed; /* nonce, cipher text, tag */
    const char *plain;
} vectors[] = {
    /* Test cases 13, 14 and 16 */
    {"0000000000000000000000000000000000000000000000000000000000000000", "",
     "000000000000000000000000"
     "530f8afbc74536b9a963b4f1c4cb738b",
     ""},
    {"0000000000000000000000000000000000000000000000000000000000000000", "",
     "000000000000000000000000"
     "cea7403d4d606b6e074ec5d3baf39d18"
     "d0d1c8a799996bf0265b98b5d48ab919",
     "00000000000000000000000000000000"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "cafebabefacedbaddecaf888"
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
     "76fc6ece0f4e1768cddf8853bb2d551b",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"},
};

static struct str unhex(const char *hex, char *out)
{
    struct str text = str_z(hex);
    assert_true(hex_decode(text, out, text.len / 2));
    return str_of(out, text.len / 2);
}

static void test_opens_published_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        char key_bytes[SECRETBOX_KEY_SIZE];
        char context[64];
        char sealed[128];
        char plain[128];
        unhex(vectors[i].key, key_bytes);
        struct str expected = unhex(vectors[i].plain, plain);
        struct buf out = buf_make(128);
        assert_int_equal(secretbox_open((const uint8_t *)key_bytes, unhex(vectors[i].context, context),
                                        unhex(vectors[i].sealed, sealed), &out),
                         0);
        assert_true(str_eq(buf_str(&out), expected));
        buf_done(&out);
    }
}

/* Own boxes */

static void test_round_trip_of_all_sizes(void **state)
{
    (void)state;
    char plain[200];
    memset(plain, 'p', sizeof(plain));
    for (size_t size = 0; size <= sizeof(plain); size++) {
        struct buf sealed = buf_make(1024);
        struct buf opened = buf_make(1024);
        secretbox_seal(key, STR("row 1"), str_of(plain, size), &sealed);
        assert_false(sealed.failed);
        assert_int_equal(sealed.len, size + OVERHEAD);
        assert_int_equal(secretbox_open(key, STR("row 1"), buf_str(&sealed), &opened), 0);
        assert_true(str_eq(buf_str(&opened), str_of(plain, size)));
        buf_done(&sealed);
        buf_done(&opened);
    }
}

static void test_appends(void **state)
{
    (void)state;
    struct buf sealed = buf_make(1024);
    struct buf opened = buf_make(1024);
    buf_addz(&sealed, "before ");
    secretbox_seal(key, STR_EMPTY, STR("secret"), &sealed);
    assert_str(str_first(buf_str(&sealed), 7), "before ");
    buf_addz(&opened, "the ");
    assert_int_equal(secretbox_open(key, STR_EMPTY, str_from(buf_str(&sealed), 7), &opened), 0);
    assert_str(buf_str(&opened), "the secret");
    buf_done(&sealed);
    buf_done(&opened);
}

static void test_same_plain_seals_differently(void **state)
{
    (void)state;
    struct buf a = buf_make(1024);
    struct buf b = buf_make(1024);
    secretbox_seal(key, STR_EMPTY, STR("secret"), &a);
    secretbox_seal(key, STR_EMPTY, STR("secret"), &b);
    assert_false(str_eq(str_first(buf_str(&a), 12), str_first(buf_str(&b), 12)));
    assert_false(str_eq(str_from(buf_str(&a), 12), str_from(buf_str(&b), 12)));
    buf_done(&a);
    buf_done(&b);
}

static void assert_does_not_open(const uint8_t *with_key, struct str context, struct str sealed)
{
    struct buf opened = buf_make(1024);
    buf_addz(&opened, "kept");
    assert_int_equal(secretbox_open(with_key, context, sealed, &opened), -EBADMSG);
    assert_str(buf_str(&opened), "kept");
    assert_false(opened.failed);
    buf_done(&opened);
}

static void test_refuses_wrong_key_and_context(void **state)
{
    (void)state;
    struct buf sealed = buf_make(1024);
    secretbox_seal(key, STR("row 1"), STR("secret"), &sealed);
    assert_does_not_open(other_key, STR("row 1"), buf_str(&sealed));
    assert_does_not_open(key, STR("row 2"), buf_str(&sealed));
    assert_does_not_open(key, STR_EMPTY, buf_str(&sealed));
    buf_done(&sealed);
}

static void test_refuses_every_changed_bit(void **state)
{
    (void)state;
    struct buf sealed = buf_make(1024);
    secretbox_seal(key, STR("row 1"), STR("secret"), &sealed);
    for (size_t bit = 0; bit < 8 * sealed.len; bit++) {
        sealed.ptr[bit / 8] ^= (char)(1 << bit % 8);
        assert_does_not_open(key, STR("row 1"), buf_str(&sealed));
        sealed.ptr[bit / 8] ^= (char)(1 << bit % 8);
    }
    buf_done(&sealed);
}

static void test_refuses_every_other_length(void **state)
{
    (void)state;
    struct buf sealed = buf_make(1024);
    secretbox_seal(key, STR("row 1"), STR("secret"), &sealed);
    for (size_t size = 0; size < sealed.len; size++)
        assert_does_not_open(key, STR("row 1"), str_first(buf_str(&sealed), size));
    buf_addc(&sealed, 0);
    assert_does_not_open(key, STR("row 1"), buf_str(&sealed));
    assert_does_not_open(key, STR("row 1"), STR_EMPTY);
    buf_done(&sealed);
}

static void test_full_buffers(void **state)
{
    (void)state;
    struct buf sealed = buf_make(6 + OVERHEAD);
    secretbox_seal(key, STR_EMPTY, STR("secrets"), &sealed);
    assert_true(sealed.failed);
    assert_int_equal(sealed.len, 0);
    buf_reset(&sealed);
    secretbox_seal(key, STR_EMPTY, STR("secret"), &sealed);
    assert_false(sealed.failed);

    struct buf opened = buf_make(5);
    assert_int_equal(secretbox_open(key, STR_EMPTY, buf_str(&sealed), &opened), -EMSGSIZE);
    assert_true(opened.failed);
    assert_int_equal(opened.len, 0);
    buf_done(&sealed);
    buf_done(&opened);
}

/* The vector of the foreign record's description: key is the MD5 of a UUID. */
static void test_128(void **state)
{
    (void)state;
    uint8_t key128[SECRETBOX_KEY128_SIZE], sealed[64];
    size_t size;
    assert_true(hex_decode(STR("459c7999f440244b163b38e375fededd"), key128, sizeof(key128)));
    assert_true(base64_decode(STR("AAECAwQFBgcICQoLT+R88YHM+N5NlNmjxrb1Iad5Xtz0hQ=="), sealed, sizeof(sealed), &size));
    struct buf plain = buf_make(64), again = buf_make(64);
    assert_int_equal(secretbox_open128(key128, str_of((char *)sealed, size), &plain), 0);
    assert_str(buf_str(&plain), "secret");
    secretbox_seal128(key128, STR("other"), &again);
    buf_reset(&plain);
    assert_int_equal(secretbox_open128(key128, buf_str(&again), &plain), 0);
    assert_str(buf_str(&plain), "other");
    again.ptr[again.len - 1] ^= 1;
    assert_int_equal(secretbox_open128(key128, buf_str(&again), &plain), -EBADMSG);
    buf_done(&plain);
    buf_done(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_128),
        cmocka_unit_test(test_opens_published_vectors),
        cmocka_unit_test(test_round_trip_of_all_sizes),
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_same_plain_seals_differently),
        cmocka_unit_test(test_refuses_wrong_key_and_context),
        cmocka_unit_test(test_refuses_every_changed_bit),
        cmocka_unit_test(test_refuses_every_other_length),
        cmocka_unit_test(test_full_buffers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
