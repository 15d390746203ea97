#include "tests/support/unit.h"

#include "s3api/checksum.h"

/* "123456789", as the published check values have it. */
static const struct {
    enum s3_checksum_kind kind;
    const char *name, *header, *element;
    size_t size;
    const char *base64;
} kinds[] = {
    {S3_CHECKSUM_CRC32, "CRC32", "x-amz-checksum-crc32", "ChecksumCRC32", 4, "y/Q5Jg=="},
    {S3_CHECKSUM_CRC32C, "CRC32C", "x-amz-checksum-crc32c", "ChecksumCRC32C", 4, "4waSgw=="},
    {S3_CHECKSUM_CRC64NVME, "CRC64NVME", "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME", 8, "rosUhgp5mIg="},
    {S3_CHECKSUM_SHA1, "SHA1", "x-amz-checksum-sha1", "ChecksumSHA1", 20, "98O8HYCOBHMq32eZZczDTKeuNEE="},
    {S3_CHECKSUM_SHA256, "SHA256", "x-amz-checksum-sha256", "ChecksumSHA256", 32,
     "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="},
};

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        assert_string_equal(s3_checksum_name(kinds[i].kind), kinds[i].name);
        assert_string_equal(s3_checksum_header(kinds[i].kind), kinds[i].header);
        assert_string_equal(s3_checksum_element(kinds[i].kind), kinds[i].element);
        assert_int_equal(s3_checksum_size(kinds[i].kind), kinds[i].size);
        assert_int_equal(s3_checksum_by_name(str_z(kinds[i].name)), kinds[i].kind);
        assert_int_equal(s3_checksum_by_header(str_z(kinds[i].header)), kinds[i].kind);
    }
    assert_null(s3_checksum_name(S3_CHECKSUM_NONE));
    assert_int_equal(s3_checksum_by_name(STR("crc32c")), S3_CHECKSUM_CRC32C);
    assert_int_equal(s3_checksum_by_header(STR("X-Amz-Checksum-Crc64Nvme")), S3_CHECKSUM_CRC64NVME);
    assert_int_equal(s3_checksum_by_name(STR("")), S3_CHECKSUM_NONE);
    assert_int_equal(s3_checksum_by_name(STR("CRC")), S3_CHECKSUM_NONE);
    assert_int_equal(s3_checksum_by_name(STR("SHA512")), S3_CHECKSUM_NONE);
    assert_int_equal(s3_checksum_by_header(STR("x-amz-checksum-")), S3_CHECKSUM_NONE);
    assert_int_equal(s3_checksum_by_header(STR("CRC32")), S3_CHECKSUM_NONE);
}

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        uint8_t digest[DIGEST_SIZE_MAX];
        char text[S3_CHECKSUM_TEXT_MAX];
        struct s3_checksum c;
        digest_bytes(s3_checksum_digest(kinds[i].kind), STR("123456789"), digest);
        assert_true(s3_checksum_parse(kinds[i].kind, str_z(kinds[i].base64), &c));
        assert_int_equal(c.kind, kinds[i].kind);
        assert_false(c.composite);
        assert_memory_equal(c.value, digest, kinds[i].size);
        assert_str(s3_checksum_text(&c, text), kinds[i].base64);
    }
}

static void test_bad_values(void **state)
{
    (void)state;
    struct s3_checksum c = {.kind = S3_CHECKSUM_SHA1};
    static const char *const values[] = {"",          "y/Q5Jg=",  "y/Q5Jg",       "y/Q5",     "y/Q5JgAA", "y/Q5Jg==-1",
                                         " y/Q5Jg==", "y_Q5Jg==", "rosUhgp5mIg=", "y/Q5Jh==", "====",     "y/Q5Jg==\n"};
    for (size_t i = 0; i < ARRAY_SIZE(values); i++)
        if (s3_checksum_parse(S3_CHECKSUM_CRC32, str_z(values[i]), &c))
            fail_msg("\"%s\"", values[i]);
    assert_int_equal(c.kind, S3_CHECKSUM_SHA1);
}

static void test_composites(void **state)
{
    (void)state;
    char text[S3_CHECKSUM_TEXT_MAX];
    struct s3_checksum c;
    assert_true(s3_checksum_parse(S3_CHECKSUM_SHA256, str_z(kinds[4].base64), &c));
    c.composite = true;
    c.part_count = 10000;
    assert_str(s3_checksum_text(&c, text), "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=-10000");
}

static void test_equality(void **state)
{
    (void)state;
    struct s3_checksum none = {0};
    struct s3_checksum a, b;
    assert_true(s3_checksum_parse(S3_CHECKSUM_CRC32, STR("y/Q5Jg=="), &a));
    b = a;
    assert_true(s3_checksum_eq(&a, &b));
    assert_true(s3_checksum_eq(&none, &none));
    assert_false(s3_checksum_eq(&a, &none));
    b.value[31] = 1; /* behind the value */
    assert_true(s3_checksum_eq(&a, &b));
    b.value[3] ^= 1;
    assert_false(s3_checksum_eq(&a, &b));
    b = a;
    b.kind = S3_CHECKSUM_CRC32C;
    assert_false(s3_checksum_eq(&a, &b));
    b = a;
    b.composite = true;
    b.part_count = 2;
    assert_false(s3_checksum_eq(&a, &b));
    struct s3_checksum other = b;
    other.part_count = 3;
    assert_false(s3_checksum_eq(&other, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),      cmocka_unit_test(test_values),   cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_composites), cmocka_unit_test(test_equality),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
