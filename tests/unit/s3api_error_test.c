#include "tests/support/unit.h"

#include <ctype.h>
#include <errno.h>

#include "s3api/op.h"

static struct s3_op op;

static int set_up(void **state)
{
    (void)state;
    op = (struct s3_op){.arena = arena_new()};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(op.arena);
    return 0;
}

static void test_every_error_has_a_row(void **state)
{
    (void)state;
    for (int e = S3_AGAIN + 1; e < S3_ERROR_COUNT; e++) {
        int status = s3_error_status((enum s3_error)e);
        struct str code = str_z(s3_error_code((enum s3_error)e));
        assert_true(code.len > 0);
        for (size_t i = 0; i < code.len; i++)
            assert_true(isalnum((unsigned char)code.ptr[i]));
        assert_true(status == 304 || (status >= 400 && status < 600));
        assert_true(strlen(s3_error_message((enum s3_error)e)) > 0);
    }
}

static void test_statuses_that_clients_depend_on(void **state)
{
    (void)state;
    static const struct {
        enum s3_error error;
        const char *code;
        int status;
    } rows[] = {
        {S3_NO_SUCH_KEY, "NoSuchKey", 404},
        {S3_NO_SUCH_BUCKET, "NoSuchBucket", 404},
        {S3_NO_SUCH_UPLOAD, "NoSuchUpload", 404},
        {S3_ACCESS_DENIED, "AccessDenied", 403},
        {S3_SIGNATURE_MISMATCH, "SignatureDoesNotMatch", 403},
        {S3_AUTH_HEADER_MALFORMED, "AuthorizationHeaderMalformed", 400},
        {S3_PRECONDITION_FAILED, "PreconditionFailed", 412},
        {S3_INVALID_RANGE, "InvalidRange", 416},
        {S3_MISSING_CONTENT_LENGTH, "MissingContentLength", 411},
        {S3_METHOD_NOT_ALLOWED, "MethodNotAllowed", 405},
        {S3_NOT_IMPLEMENTED, "NotImplemented", 501},
        {S3_SLOW_DOWN, "SlowDown", 503},
        {S3_STORAGE_FULL, "InsufficientStorage", 507},
        {S3_BAD_DIGEST, "BadDigest", 400},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_string_equal(s3_error_code(rows[i].error), rows[i].code);
        assert_int_equal(s3_error_status(rows[i].error), rows[i].status);
    }
}

static void test_errno(void **state)
{
    (void)state;
    static const struct {
        int number;
        enum s3_error bucket, key, upload, write;
    } rows[] = {
        {ENOENT, S3_NO_SUCH_BUCKET, S3_NO_SUCH_KEY, S3_NO_SUCH_UPLOAD, S3_NO_SUCH_BUCKET},
        {ENOTDIR, S3_NO_SUCH_BUCKET, S3_NO_SUCH_KEY, S3_NO_SUCH_UPLOAD, S3_PARENT_IS_OBJECT},
        {EISDIR, S3_INTERNAL_ERROR, S3_NO_SUCH_KEY, S3_INTERNAL_ERROR, S3_KEY_IS_DIRECTORY},
        {ENXIO, S3_NO_SUCH_BUCKET, S3_NO_SUCH_KEY, S3_NO_SUCH_UPLOAD, S3_ACCESS_DENIED},
        {ENAMETOOLONG, S3_NO_SUCH_BUCKET, S3_KEY_TOO_LONG, S3_NO_SUCH_UPLOAD, S3_KEY_TOO_LONG},
        {EACCES, S3_ACCESS_DENIED, S3_ACCESS_DENIED, S3_ACCESS_DENIED, S3_ACCESS_DENIED},
        {EPERM, S3_ACCESS_DENIED, S3_ACCESS_DENIED, S3_ACCESS_DENIED, S3_ACCESS_DENIED},
        {ELOOP, S3_ACCESS_DENIED, S3_ACCESS_DENIED, S3_ACCESS_DENIED, S3_ACCESS_DENIED},
        {EXDEV, S3_ACCESS_DENIED, S3_ACCESS_DENIED, S3_ACCESS_DENIED, S3_ACCESS_DENIED},
        {EROFS, S3_READ_ONLY, S3_READ_ONLY, S3_READ_ONLY, S3_READ_ONLY},
        {ENOSPC, S3_STORAGE_FULL, S3_STORAGE_FULL, S3_STORAGE_FULL, S3_STORAGE_FULL},
        {EDQUOT, S3_QUOTA_EXCEEDED, S3_QUOTA_EXCEEDED, S3_QUOTA_EXCEEDED, S3_QUOTA_EXCEEDED},
        {EMFILE, S3_SLOW_DOWN, S3_SLOW_DOWN, S3_SLOW_DOWN, S3_SLOW_DOWN},
        {ENOMEM, S3_SLOW_DOWN, S3_SLOW_DOWN, S3_SLOW_DOWN, S3_SLOW_DOWN},
        {EIO, S3_INTERNAL_ERROR, S3_INTERNAL_ERROR, S3_INTERNAL_ERROR, S3_INTERNAL_ERROR},
        {12345, S3_INTERNAL_ERROR, S3_INTERNAL_ERROR, S3_INTERNAL_ERROR, S3_INTERNAL_ERROR},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(s3_fail_errno(&op, -rows[i].number, S3_FOR_BUCKET), rows[i].bucket);
        assert_int_equal(s3_fail_errno(&op, -rows[i].number, S3_FOR_KEY), rows[i].key);
        assert_int_equal(s3_fail_errno(&op, -rows[i].number, S3_FOR_UPLOAD), rows[i].upload);
        assert_int_equal(s3_fail_errno(&op, -rows[i].number, S3_FOR_WRITE), rows[i].write);
    }
}

static void test_cause_is_for_server_errors(void **state)
{
    (void)state;
    assert_int_equal(s3_fail_errno(&op, -ENOENT, S3_FOR_KEY), S3_NO_SUCH_KEY);
    assert_null(op.error_cause);
    assert_int_equal(s3_fail_errno(&op, -EIO, S3_FOR_WRITE), S3_INTERNAL_ERROR);
    assert_string_equal(op.error_cause, "EIO of write");
}

static void test_own_messages(void **state)
{
    (void)state;
    char text[] = "value";
    assert_int_equal(s3_fail(&op, S3_INVALID_REQUEST, "Value for %s header is invalid.", text), S3_INVALID_REQUEST);
    s3_fail_extra(&op, "Element", str_z(text));
    text[0] = 'V';
    assert_str(op.detail.message, "Value for value header is invalid.");
    assert_int_equal(op.detail.extra_count, 1);
    assert_str(op.detail.extra[0].value, "value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_error_has_a_row),
        cmocka_unit_test(test_statuses_that_clients_depend_on),
        cmocka_unit_test_setup_teardown(test_errno, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cause_is_for_server_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_own_messages, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
