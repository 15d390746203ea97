/* UploadPart and UploadPartCopy over the whole engine. */
#include "tests/support/unit.h"

#include <dirent.h>

#include "base/digest.h"
#include "base/encode.h"
#include "tests/support/multipart_client.h"

#define KEY "/bucket/key"
#define BYTES "a part's bytes"

struct fixture {
    struct s3_engine *e;
    struct mpu u;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->e = s3_engine_new(NULL);
    assert_answer(s3_do(f->e, "PUT", "/bucket", NULL), 200, NULL);
    f->u = mpu_create(f->e, KEY, NULL);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    s3_engine_free(f->e);
    free(f);
    return 0;
}

static size_t files_of_upload(struct fixture *f, const char *prefix)
{
    struct str path =
        arena_printf(s3_engine_arena(f->e), "%s/bucket/.sluice/uploads/%.*s", s3_engine_root(f->e), STR_ARG(f->u.id));
    DIR *dir = opendir(path.ptr);
    size_t count = 0;
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    closedir(dir);
    return count;
}

static struct str quoted_md5(struct fixture *f, struct str bytes)
{
    uint8_t value[DIGEST_SIZE_MAX];
    char hex[33] = "";
    digest_bytes(DIGEST_MD5, bytes, value);
    hex_encode(value, 16, hex);
    return arena_printf(s3_engine_arena(f->e), "\"%s\"", hex);
}

/* UploadPart ------------------------------------------------------------------------------------------------------- */

static void test_a_part_is_answered_with_its_md5(void **state)
{
    struct fixture *f = *state;
    struct s3_answer *a = mpu_part_call(&f->u, 1, STR(BYTES), NULL);
    assert_answer(a, 200, NULL);
    assert_true(str_eq(s3_answer_header(a, "ETag"), quoted_md5(f, STR(BYTES))));
    assert_false(s3_answer_header(a, "x-amz-checksum-crc64nvme").ptr);
}

static void test_all_ways_over_the_wire(void **state)
{
    struct fixture *f = *state;
    struct str bytes = mpu_bytes(f->e, 200000, 1);
    for (int wire = S3_WIRE_SHA256; wire <= S3_WIRE_UNSIGNED_TRAILER; wire++) {
        struct str target =
            arena_printf(s3_engine_arena(f->e), KEY "?partNumber=%d&uploadId=%.*s", wire + 1, STR_ARG(f->u.id));
        struct s3_call call = {.method = "PUT",
                               .target = target.ptr,
                               .body = bytes,
                               .wire = (enum s3_call_wire)wire,
                               .feed_size = 777,
                               .trailer = wire >= S3_WIRE_STREAM_TRAILER ? S3_CHECKSUM_CRC32 : S3_CHECKSUM_NONE};
        struct s3_answer *a = s3_call(f->e, &call);
        assert_answer(a, 200, NULL);
        assert_true(str_eq(s3_answer_header(a, "ETag"), quoted_md5(f, bytes)));
        assert_int_equal(s3_answer_header(a, "x-amz-checksum-crc32").len > 0, wire >= S3_WIRE_STREAM_TRAILER);
    }
}

static void test_numbers(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"0", "10001", "-1", "x", "", "99999999999999999999", "1.0"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct str target =
            arena_printf(s3_engine_arena(f->e), KEY "?partNumber=%s&uploadId=%.*s", bad[i], STR_ARG(f->u.id));
        struct s3_answer *a = s3_do(f->e, "PUT", target.ptr, "x");
        assert_answer(a, 400, "InvalidArgument");
        assert_true(a->answered_by_begin);
        assert_str(s3_answer_element(a, "ArgumentName"), "partNumber");
    }
    assert_answer(mpu_part_call(&f->u, 10000, STR("x"), NULL), 200, NULL);
}

static void test_too_large_a_part_is_refused_before_it_comes(void **state)
{
    struct fixture *f = *state;
    struct str target = arena_printf(s3_engine_arena(f->e), KEY "?partNumber=1&uploadId=%.*s", STR_ARG(f->u.id));
    struct s3_call call = {.method = "PUT",
                           .target = target.ptr,
                           .body = STR("x"),
                           .no_length = true,
                           .wire = S3_WIRE_UNSIGNED,
                           .headers = {"x-amz-decoded-content-length: 5368709121"}};
    struct s3_answer *a = s3_call(f->e, &call);
    assert_answer(a, 400, "EntityTooLarge");
    assert_true(a->answered_by_begin);
    assert_str(s3_answer_element(a, "ProposedSize"), "5368709121");
    assert_str(s3_answer_element(a, "MaxSizeAllowed"), "5368709120");
    call.headers[0] = NULL;
    assert_answer(s3_call(f->e, &call), 411, "MissingContentLength");
}

/* A part that was not whole, or not what was announced, leaves nothing: no record, no file. */
static void test_refused_parts_leave_nothing(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *header, *code;
    } rows[] = {
        {"x-amz-checksum-crc32: AAAAAA==", "BadDigest"},
        {"x-amz-checksum-sha256: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "BadDigest"},
        {"Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==", "BadDigest"},
        {"x-amz-server-side-encryption-customer-algorithm: AES256", "NotImplemented"},
    };
    for (size_t again = 0; again < 2; again++) {
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
            struct s3_answer *a = mpu_part_call(&f->u, 1, STR(BYTES), (const char *const[]){rows[i].header, NULL});
            assert_answer(a, i == 3 ? 501 : 400, rows[i].code);
        }
        assert_int_equal(s3_answer_count(mpu_list_parts_call(&f->u, ""), "Part"), again);
        assert_int_equal(files_of_upload(f, "aside."), 0);
        assert_answer(mpu_part_call(&f->u, 1, STR(BYTES), NULL), 200, NULL);
    }
}

static void test_only_the_last_of_repeated_parts_is_kept(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 5; i++)
        mpu_part(&f->u, 1, mpu_bytes(f->e, 1000 + i, i));
    assert_int_equal(files_of_upload(f, "aside."), 1);
    struct s3_answer *a = mpu_list_parts_call(&f->u, "");
    assert_int_equal(s3_answer_count(a, "Part"), 1);
    assert_str(s3_answer_element(a, "Size"), "1004");
}

/* No filesystem has files as long as the place of a short part would need that comes far behind a long one. */
static void test_places_beyond_the_longest_file_are_not_taken(void **state)
{
    struct fixture *f = *state;
    struct str unit = arena_printf(s3_engine_arena(f->e), "%s/bucket/.sluice/uploads/%.*s/unit", s3_engine_root(f->e), STR_ARG(f->u.id));
    FILE *file = fopen(unit.ptr, "w");
    assert_non_null(file);
    fputs("5368709120", file); /* as after a part of 5 GiB */
    assert_int_equal(fclose(file), 0);
    struct str first = mpu_bytes(f->e, 5 << 20, 1), second = mpu_bytes(f->e, 1000, 2);
    mpu_part(&f->u, 300, first);
    assert_int_equal(files_of_upload(f, "aside."), 0);
    mpu_part(&f->u, 10000, second);
    assert_int_equal(files_of_upload(f, "aside."), 1);
}

static struct mpu create(struct fixture *f, const char *algorithm, const char *type)
{
    struct arena *arena = s3_engine_arena(f->e);
    return mpu_create(f->e, KEY,
                      (const char *const[]){arena_printf(arena, "x-amz-checksum-algorithm: %s", algorithm).ptr,
                                            arena_printf(arena, "x-amz-checksum-type: %s", type).ptr, NULL});
}

static void test_checksum_kinds(void **state)
{
    struct fixture *f = *state;
    static const char *const sha1[] = {"x-amz-checksum-sha1: 98O8HYCOBHMq32eZZczDTKeuNEE=", NULL};
    static const char *const crc32[] = {"x-amz-checksum-crc32: y/Q5Jg==", NULL};
    struct str body = STR("123456789");
    struct mpu composite = create(f, "CRC32", "COMPOSITE"), full = create(f, "CRC32", "FULL_OBJECT");
    struct s3_answer *a = mpu_part_call(&composite, 1, body, sha1);
    assert_answer(a, 400, "InvalidRequest");
    assert_str(s3_answer_element(a, "Message"),
               "Checksum Type mismatch occurred, expected checksum Type: crc32, actual checksum Type: sha1");
    a = mpu_part_call(&composite, 1, body, NULL);
    assert_answer(a, 200, NULL);
    assert_str(s3_answer_header(a, "x-amz-checksum-crc32"), "y/Q5Jg==");
    a = mpu_part_call(&composite, 1, body, crc32);
    assert_answer(a, 200, NULL);
    assert_str(s3_answer_header(a, "x-amz-checksum-crc32"), "y/Q5Jg==");
    a = mpu_part_call(&full, 1, body, NULL);
    assert_answer(a, 200, NULL);
    assert_str(s3_answer_header(a, "x-amz-checksum-crc32"), "y/Q5Jg==");
    assert_answer(mpu_part_call(&full, 1, body, sha1), 400, "InvalidRequest");
    a = mpu_part_call(&f->u, 1, body, sha1);
    assert_answer(a, 200, NULL);
    assert_str(s3_answer_header(a, "x-amz-checksum-sha1"), "98O8HYCOBHMq32eZZczDTKeuNEE=");
}

static void test_reading_users_may_not(void **state)
{
    struct fixture *f = *state;
    s3_engine_add_user(f->e, "reader", NULL, true);
    s3_engine_add_user(f->e, "other", "elsewhere", false);
    struct str before = s3_engine_fingerprint(f->e);
    static const char *const users[] = {"reader", "other"};
    for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
        struct str target = arena_printf(s3_engine_arena(f->e), KEY "?partNumber=1&uploadId=%.*s", STR_ARG(f->u.id));
        struct s3_call call = {.method = "PUT", .target = target.ptr, .body = STR("x"), .access_key = users[i]};
        assert_answer(s3_call(f->e, &call), 403, "AccessDenied");
        call.method = "DELETE";
        call.target = arena_printf(s3_engine_arena(f->e), KEY "?uploadId=%.*s", STR_ARG(f->u.id)).ptr;
        assert_answer(s3_call(f->e, &call), 403, "AccessDenied");
        call.method = "POST";
        assert_answer(s3_call(f->e, &call), 403, "AccessDenied");
    }
    assert_true(str_eq(before, s3_engine_fingerprint(f->e)));
}

/* UploadPartCopy --------------------------------------------------------------------------------------------------- */

static void test_copies_of_ranges(void **state)
{
    struct fixture *f = *state;
    struct str bytes = mpu_bytes(f->e, 40 * 1024 * 1024 + 7, 5); /* more than one step */
    struct s3_call put = {.method = "PUT", .target = "/bucket/source%20%2B", .body = bytes, .wire = S3_WIRE_UNSIGNED};
    assert_answer(s3_call(f->e, &put), 200, NULL);
    struct s3_answer *a = mpu_copy_call(&f->u, 1, "/bucket/source%20%2B", "bytes=0-20971519", NULL);
    assert_answer(a, 200, NULL);
    assert_true(a->steps > 1);
    struct str etag = s3_answer_element(a, "ETag");
    assert_true(str_is(etag, arena_printf(s3_engine_arena(f->e), "&quot;%.32s&quot;",
                                          quoted_md5(f, str_first(bytes, 20971520)).ptr + 1)
                                 .ptr));
    assert_true(s3_answer_element(a, "LastModified").len > 0);
    assert_false(s3_answer_element(a, "ChecksumCRC64NVME").ptr);
    struct mpu_part parts[2] = {{.number = 1, .etag = etag}, {.number = 2}};
    a = mpu_copy_call(&f->u, 2, "bucket/source+%2B", "bytes=20971520-41943046", NULL);
    parts[1].etag = s3_answer_element(a, "ETag");
    a = mpu_complete_call(&f->u, parts, 2, NULL);
    assert_answer(a, 200, NULL);
    uint8_t value[DIGEST_SIZE_MAX];
    char base64[BASE64_LEN(8) + 1] = "";
    digest_bytes(DIGEST_CRC64NVME, bytes, value);
    base64_encode(value, 8, base64);
    assert_str(s3_answer_element(a, "ChecksumCRC64NVME"), base64);
    a = s3_do(f->e, "GET", KEY, NULL);
    assert_true(str_eq(a->body, bytes));
}

static void test_copies_of_whole_objects(void **state)
{
    struct fixture *f = *state;
    struct mpu u = create(f, "SHA256", "COMPOSITE");
    assert_answer(s3_do(f->e, "PUT", "/bucket/source", "123456789"), 200, NULL);
    assert_answer(s3_do(f->e, "PUT", "/bucket/empty", ""), 200, NULL);
    struct s3_answer *a = mpu_copy_call(&u, 1, "/bucket/source", NULL, NULL);
    assert_answer(a, 200, NULL);
    assert_str(s3_answer_element(a, "ChecksumSHA256"), "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=");
    a = mpu_copy_call(&u, 2, "/bucket/empty", NULL, NULL);
    assert_answer(a, 200, NULL);
    assert_str(s3_answer_element(a, "ETag"), "&quot;d41d8cd98f00b204e9800998ecf8427e&quot;");
}

static void test_copies_that_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *source, *range, *header;
        int status;
        const char *code;
    } rows[] = {
        {"/bucket/none", NULL, NULL, 404, "NoSuchKey"},
        {"/none/source", NULL, NULL, 404, "NoSuchBucket"},
        {"nonsense", NULL, NULL, 400, "InvalidArgument"},
        {"/bucket/source", "bytes=0-9", NULL, 416, "InvalidRange"},
        {"/bucket/source", "bytes=9-9", NULL, 416, "InvalidRange"},
        {"/bucket/source", "bytes=3-2", NULL, 400, "InvalidArgument"},
        {"/bucket/source", "bytes=0", NULL, 400, "InvalidArgument"},
        {"/bucket/source", "0-2", NULL, 400, "InvalidArgument"},
        {"/bucket/source", "bytes=0-2,3-5", NULL, 400, "InvalidArgument"},
        {"/bucket/source", "bytes=-2", NULL, 400, "InvalidArgument"},
        {"/bucket/source", NULL, "x-amz-copy-source-if-match: \"x\"", 412, "PreconditionFailed"},
        {"/bucket/source", NULL, "x-amz-copy-source-if-none-match: *", 412, "PreconditionFailed"},
    };
    assert_answer(s3_do(f->e, "PUT", "/bucket/source", "123456789"), 200, NULL);
    struct str before = s3_engine_fingerprint(f->e);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct s3_answer *a =
            mpu_copy_call(&f->u, 1, rows[i].source, rows[i].range, (const char *const[]){rows[i].header, NULL});
        if (a->status != rows[i].status || !str_is(a->code, rows[i].code))
            fail_msg("row %zu: %d %.*s", i, a->status, STR_ARG(a->code));
    }
    assert_true(str_eq(before, s3_engine_fingerprint(f->e)));
    struct mpu none = {.e = f->e, .target = KEY, .id = STR("nothing")};
    assert_answer(mpu_copy_call(&none, 1, "/bucket/source", NULL, NULL), 404, "NoSuchUpload");
    assert_answer(mpu_copy_call(&f->u, 0, "/bucket/source", NULL, NULL), 400, "InvalidArgument");
}

/* SEC-31: the source is read with the rights of the user who copies. */
static void test_copies_need_the_right_to_read(void **state)
{
    struct fixture *f = *state;
    s3_engine_add_user(f->e, "fish", "bucket", false);
    assert_answer(s3_do(f->e, "PUT", "/secrets", NULL), 200, NULL);
    assert_answer(s3_do(f->e, "PUT", "/secrets/key", "secret"), 200, NULL);
    struct str target = arena_printf(s3_engine_arena(f->e), KEY "?partNumber=1&uploadId=%.*s", STR_ARG(f->u.id));
    struct s3_call call = {
        .method = "PUT", .target = target.ptr, .access_key = "fish", .headers = {"x-amz-copy-source: /secrets/key"}};
    assert_answer(s3_call(f->e, &call), 403, "AccessDenied");
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_a_part_is_answered_with_its_md5),
        T(test_all_ways_over_the_wire),
        T(test_numbers),
        T(test_too_large_a_part_is_refused_before_it_comes),
        T(test_refused_parts_leave_nothing),
        T(test_only_the_last_of_repeated_parts_is_kept),
        T(test_places_beyond_the_longest_file_are_not_taken),
        T(test_checksum_kinds),
        T(test_reading_users_may_not),
        T(test_copies_of_ranges),
        T(test_copies_of_whole_objects),
        T(test_copies_that_are_refused),
        T(test_copies_need_the_right_to_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
