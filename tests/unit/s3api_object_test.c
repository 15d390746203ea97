/* PUT, GET, HEAD and DELETE of objects, as a client sees them. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/encode.h"
#include "tests/support/s3_engine.h"
#include "tests/support/unit.h"

#define TEXT "The quick brown fox jumps over the lazy dog"
#define TEXT_MD5 "9e107d9d372bb6826bd81d3542a419d6"
#define TEXT_ETAG "\"" TEXT_MD5 "\""
#define EMPTY_ETAG "\"d41d8cd98f00b204e9800998ecf8427e\""

#define CALL(verb, path, content, ...) \
    s3_call(e, &(struct s3_call){.method = (verb), .target = (path), .headers = {__VA_ARGS__}, .body = str_z(content)})

static struct s3_engine *e;

static int set_up(void **state UNUSED)
{
    e = s3_engine_new(NULL);
    return s3_do(e, "PUT", "/bucket", NULL)->status == 200 ? 0 : -1;
}

static int tear_down(void **state UNUSED)
{
    clock_set_wall_for_test(0);
    s3_engine_free(e);
    return 0;
}

static const char *posix_path(const char *key)
{
    return arena_printf(s3_engine_arena(e), "%s/bucket/%s", s3_engine_root(e), key).ptr;
}

static void put(const char *target, const char *body)
{
    assert_answer(s3_do(e, "PUT", target, body), 200, NULL);
}

#define assert_header(answer, name, expected) assert_str(s3_answer_header(answer, name), expected)
#define assert_no_header(answer, name) assert_null(s3_answer_header(answer, name).ptr)

/* Putting and getting -------------------------------------------------------------------------------------------- */

static void put_and_get(void **state UNUSED)
{
    clock_set_wall_for_test(1700000000123456789);
    struct s3_answer *a = s3_do(e, "PUT", "/bucket/dir/key", TEXT);
    assert_answer(a, 200, NULL);
    assert_header(a, "ETag", TEXT_ETAG);
    assert_header(a, "x-amz-checksum-crc64nvme", "12xUBUlUwUM=");
    assert_header(a, "x-amz-checksum-type", "FULL_OBJECT");
    assert_int_equal(a->body.len, 0);
    for (int head = 0; head < 2; head++) {
        a = s3_do(e, head ? "HEAD" : "GET", "/bucket/dir/key", NULL);
        assert_answer(a, 200, NULL);
        assert_str(a->body, head ? "" : TEXT);
        assert_int_equal(a->length, sizeof(TEXT) - 1);
        assert_header(a, "ETag", TEXT_ETAG);
        assert_header(a, "Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT");
        assert_header(a, "Accept-Ranges", "bytes");
        assert_header(a, "Content-Type", "binary/octet-stream");
        assert_no_header(a, "x-amz-checksum-crc64nvme");
        assert_no_header(a, "x-amz-version-id");
        assert_no_header(a, "x-amz-storage-class");
        assert_no_header(a, "x-amz-tagging-count");
        assert_no_header(a, "Content-Range");
    }
    /* It is a plain file for everybody else. */
    struct stat st;
    assert_int_equal(stat(posix_path("dir/key"), &st), 0);
    assert_int_equal(st.st_size, sizeof(TEXT) - 1);
    assert_int_equal(st.st_nlink, 1);
}

/* What a worker has once read is then answered without one, until something changes. */
static void reads_without_waiting(void **state UNUSED)
{
    put("/bucket/dir/key", TEXT);
    assert_false(s3_do(e, "HEAD", "/bucket/dir/key", NULL)->was_quick);
    for (int head = 0; head < 2; head++) {
        struct s3_answer *a = s3_do(e, head ? "HEAD" : "GET", "/bucket/dir/key", NULL);
        assert_true(a->was_quick);
        assert_answer(a, 200, NULL);
        assert_str(a->body, head ? "" : TEXT);
        assert_header(a, "ETag", TEXT_ETAG);
    }
    struct s3_answer *a = CALL("GET", "/bucket/dir/key", NULL, "Range: bytes=4-8");
    assert_true(a->was_quick);
    assert_answer(a, 206, NULL);
    assert_str(a->body, "quick");
    put("/bucket/dir/key", "other");
    assert_str(s3_do(e, "GET", "/bucket/dir/key", NULL)->body, "other");
    /* Refusals, and what asks for more than the object, are a worker's. */
    a = s3_call(e, &(struct s3_call){.method = "GET", .target = "/bucket/dir/key", .auth = S3_CALL_FORGED});
    assert_false(a->was_quick);
    assert_answer(a, 403, "SignatureDoesNotMatch");
    assert_false(CALL("GET", "/bucket/dir/key", NULL, "Origin: http://elsewhere")->was_quick);
    assert_false(CALL("GET", "/bucket/dir/key", NULL, "x-amz-expected-bucket-owner: nobody")->was_quick);
    assert_false(CALL("GET", "/bucket/dir/key", NULL, "If-None-Match: *")->was_quick);
    assert_int_equal(unlink(posix_path("dir/key")), 0);
    assert_answer(s3_do(e, "GET", "/bucket/dir/key", NULL), 404, "NoSuchKey");
    assert_int_equal(symlink("/etc/passwd", posix_path("dir/key")), 0);
    assert_answer(s3_do(e, "GET", "/bucket/dir/key", NULL), 403, "AccessDenied");
    assert_int_equal(unlink(posix_path("dir/key")), 0);
    assert_int_equal(mkfifo(posix_path("dir/key"), 0600), 0);
    assert_answer(s3_do(e, "GET", "/bucket/dir/key", NULL), 404, "NoSuchKey");
}

static void make_old(const char *path)
{
    struct timespec times[2] = {{.tv_sec = 1600000000}, {.tv_sec = 1600000000}};
    const char *full = arena_printf(s3_engine_arena(e), "%s/%s", s3_engine_root(e), path).ptr;
    assert_int_equal(utimensat(AT_FDCWD, full, times, 0), 0);
}

/* Whether a bucket has documents that say who may read is looked at each time; that it has none is remembered when it has been
 * so for a while. */
static void a_policy_is_not_skipped(void **state UNUSED)
{
    put("/bucket/key", TEXT);
    s3_do(e, "GET", "/bucket/key", NULL);
    assert_true(s3_do(e, "GET", "/bucket/key", NULL)->was_quick);
    const char *deny = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\"Principal\":\"*\","
                       "\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::bucket/*\"}]}";
    assert_answer(CALL("PUT", "/bucket?policy", deny), 204, NULL);
    for (int i = 0; i < 3; i++)
        assert_answer(s3_do(e, "GET", "/bucket/key", NULL), 403, "AccessDenied");
    assert_answer(s3_do(e, "DELETE", "/bucket?policy", NULL), 204, NULL);
    assert_answer(s3_do(e, "GET", "/bucket/key", NULL), 200, NULL);
    assert_false(s3_do(e, "GET", "/bucket/key", NULL)->was_quick); /* too new to be remembered */
    make_old("bucket/.sluice/config");
    assert_false(s3_do(e, "GET", "/bucket/key", NULL)->was_quick);
    assert_true(s3_do(e, "GET", "/bucket/key", NULL)->was_quick);
    assert_answer(CALL("PUT", "/bucket?policy", deny), 204, NULL);
    assert_answer(s3_do(e, "GET", "/bucket/key", NULL), 403, "AccessDenied");
}

static void what_is_not_there(void **state UNUSED)
{
    put("/bucket/dir/file", "x");
    static const char *const targets[] = {"/bucket/none",      "/bucket/dir",   "/bucket/dir/", "/bucket/dir/file/",
                                          "/bucket/dir/file/x", "/bucket/none/"};
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        struct s3_answer *a = s3_do(e, "GET", targets[i], NULL);
        assert_answer(a, 404, "NoSuchKey");
        assert_str(s3_answer_element(a, "Key"), targets[i] + strlen("/bucket/"));
        assert_answer(s3_do(e, "HEAD", targets[i], NULL), 404, "NoSuchKey");
    }
    assert_answer(s3_do(e, "GET", "/nowhere/key", NULL), 404, "NoSuchBucket");
    assert_answer(s3_do(e, "PUT", "/nowhere/key", "x"), 404, "NoSuchBucket");
}

static void keys_that_cannot_be(void **state UNUSED)
{
    assert_int_equal(s3_do(e, "PUT", "/bucket/a//b", "x")->status, 400);
    assert_int_equal(s3_do(e, "PUT", "/bucket/a/../b", "x")->status, 400);
    assert_int_equal(s3_do(e, "PUT", "/bucket/.sluice/x", "x")->status, 403);
    assert_int_equal(s3_do(e, "GET", "/bucket/%2e%2e/bucket/x", NULL)->status, 400);
    put("/bucket/file", "x");
    assert_answer(s3_do(e, "PUT", "/bucket/file/below", "x"), 409, "InvalidRequest");
    assert_answer(s3_do(e, "PUT", "/bucket/file/", ""), 409, "InvalidRequest");
    put("/bucket/dir/x", "x");
    struct s3_answer *a = s3_do(e, "PUT", "/bucket/dir", "x");
    assert_answer(a, 409, "InvalidRequest");
    assert_true(a->answered_by_begin);
}

static void overwriting(void **state UNUSED)
{
    put("/bucket/key", "first");
    assert_answer(CALL("PUT", "/bucket/key", TEXT, "x-amz-meta-a: b"), 200, NULL);
    struct s3_answer *a = s3_do(e, "GET", "/bucket/key", NULL);
    assert_str(a->body, TEXT);
    assert_header(a, "x-amz-meta-a", "b");
    put("/bucket/key", "");
    a = s3_do(e, "GET", "/bucket/key", NULL);
    assert_str(a->body, "");
    assert_int_equal(a->length, 0);
    assert_header(a, "ETag", EMPTY_ETAG);
    assert_no_header(a, "x-amz-meta-a");
}

static void a_body_in_pieces(void **state UNUSED)
{
    char *big = arena_alloc(s3_engine_arena(e), 300001);
    for (size_t i = 0; i < 300000; i++)
        big[i] = (char)('a' + i % 26);
    const enum s3_call_wire wires[] = {S3_WIRE_SHA256, S3_WIRE_UNSIGNED, S3_WIRE_STREAM, S3_WIRE_STREAM_TRAILER,
                                       S3_WIRE_UNSIGNED_TRAILER};
    for (size_t i = 0; i < ARRAY_SIZE(wires); i++) {
        struct s3_call call = {.method = "PUT", .target = "/bucket/big", .body = str_z(big), .feed_size = 7777, .wire = wires[i]};
        if (wires[i] >= S3_WIRE_STREAM_TRAILER)
            call.trailer = S3_CHECKSUM_CRC32C;
        struct s3_answer *put_answer = s3_call(e, &call);
        assert_answer(put_answer, 200, NULL);
        if (call.trailer)
            assert_non_null(s3_answer_header(put_answer, "x-amz-checksum-crc32c").ptr);
        struct s3_answer *a = s3_do(e, "GET", "/bucket/big", NULL);
        assert_true(str_eq(a->body, str_z(big)));
        assert_no_header(a, "Content-Encoding");
    }
}

static void a_refused_body_leaves_nothing(void **state UNUSED)
{
    put("/bucket/key", "old");
    struct str before = s3_engine_fingerprint(e);
    assert_answer(CALL("PUT", "/bucket/key", "new", "Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg=="), 400, "BadDigest");
    assert_answer(CALL("PUT", "/bucket/key", "new", "x-amz-checksum-crc32: AAAAAA=="), 400, "BadDigest");
    assert_true(str_eq(before, s3_engine_fingerprint(e)));
    assert_answer(CALL("PUT", "/bucket/new/key", "new", "x-amz-checksum-crc32: AAAAAA=="), 400, "BadDigest");
    assert_int_equal(access(posix_path("new"), F_OK), -1);
    assert_str(s3_do(e, "GET", "/bucket/key", NULL)->body, "old");
}

/* Metadata ------------------------------------------------------------------------------------------------------- */

static void metadata_come_back(void **state UNUSED)
{
    struct s3_answer *a =
        CALL("PUT", "/bucket/key", TEXT, "Content-Type: text/html; charset=utf-8", "Cache-Control: max-age=5",
             "Content-Disposition: attachment; filename=\"a\"", "Content-Encoding: aws-chunked, gzip,br", "Content-Language: de",
             "Expires: Thu, 01 Dec 2030 16:00:00 GMT", "x-amz-website-redirect-location: /other", "x-amz-storage-class: STANDARD_IA",
             "X-Amz-Meta-Color: Blue ", "x-amz-meta-list: a", "x-amz-meta-list: b", "x-amz-meta-empty:",
             "x-amz-tagging: k=v&k2=v%202", "x-amz-acl: bucket-owner-full-control");
    assert_answer(a, 200, NULL);
    a = s3_do(e, "HEAD", "/bucket/key", NULL);
    assert_header(a, "Content-Type", "text/html; charset=utf-8");
    assert_header(a, "Cache-Control", "max-age=5");
    assert_header(a, "Content-Disposition", "attachment; filename=\"a\"");
    assert_header(a, "Content-Encoding", "gzip, br");
    assert_header(a, "Content-Language", "de");
    assert_header(a, "Expires", "Thu, 01 Dec 2030 16:00:00 GMT");
    assert_header(a, "x-amz-website-redirect-location", "/other");
    assert_header(a, "x-amz-storage-class", "STANDARD_IA");
    assert_header(a, "x-amz-meta-color", "Blue");
    assert_header(a, "x-amz-meta-list", "a,b");
    assert_header(a, "x-amz-meta-empty", "");
    assert_header(a, "x-amz-tagging-count", "2");
}

static void metadata_that_is_refused(void **state UNUSED)
{
    struct str before = s3_engine_fingerprint(e);
    const char *long_value =
        arena_printf(s3_engine_arena(e), "x-amz-meta-a: %s", (char *)memset(arena_alloc(s3_engine_arena(e), 2049), 'x', 2048)).ptr;
    static const struct {
        const char *header;
        int status;
        const char *code;
    } rows[] = {
        {"x-amz-storage-class: GLACIER", 400, "InvalidStorageClass"},
        {"x-amz-storage-class: cheap", 400, "InvalidStorageClass"},
        {"x-amz-server-side-encryption: AES256", 501, "NotImplemented"},
        {"x-amz-server-side-encryption: aws:kms", 501, "NotImplemented"},
        {"x-amz-server-side-encryption-customer-algorithm: AES256", 501, "NotImplemented"},
        {"x-amz-write-offset-bytes: 0", 501, "NotImplemented"},
        {"x-amz-object-lock-mode: GOVERNANCE", 400, "InvalidRequest"},
        {"x-amz-object-lock-legal-hold: ON", 400, "InvalidRequest"},
        {"x-amz-acl: public-read", 400, "AccessControlListNotSupported"},
        {"x-amz-grant-read: id=x", 400, "AccessControlListNotSupported"},
        {"x-amz-website-redirect-location: other", 400, "InvalidRequest"},
        {"x-amz-tagging: a=1&a=2", 400, "InvalidTag"},
        {"x-amz-tagging: a%=1", 400, "InvalidArgument"},
        {"x-amz-tagging: a=b<c>", 400, "InvalidTag"},
        {"x-amz-tagging: aws:a=1", 400, "InvalidTag"},
        {"x-amz-tagging: 1&2&3&4&5&6&7&8&9&10&11", 400, "InvalidTag"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct s3_answer *a = CALL("PUT", "/bucket/key", TEXT, rows[i].header);
        if (a->status != rows[i].status)
            fail_msg("%s: %d", rows[i].header, a->status);
        assert_answer(a, rows[i].status, rows[i].code);
        assert_true(a->answered_by_begin);
    }
    assert_answer(CALL("PUT", "/bucket/key", TEXT, long_value), 400, "MetadataTooLarge");
    assert_true(str_eq(before, s3_engine_fingerprint(e)));
}

static void response_overrides(void **state UNUSED)
{
    put("/bucket/key", TEXT);
    const char *target = "/bucket/key?response-content-type=text%2Fx&response-content-language=en&response-expires=never"
                         "&response-cache-control=no-cache&response-content-disposition=inline&response-content-encoding=br";
    for (int head = 0; head < 2; head++) {
        struct s3_answer *a = s3_do(e, head ? "HEAD" : "GET", target, NULL);
        assert_answer(a, 200, NULL);
        assert_header(a, "Content-Type", "text/x");
        assert_header(a, "Content-Language", "en");
        assert_header(a, "Expires", "never");
        assert_header(a, "Cache-Control", "no-cache");
        assert_header(a, "Content-Disposition", "inline");
        assert_header(a, "Content-Encoding", "br");
    }
    assert_header(s3_do(e, "GET", "/bucket/key", NULL), "Content-Type", "binary/octet-stream");
    /* SEC-52 */
    assert_no_header(s3_do(e, "GET", "/bucket/key?response-content-type=a%0d%0aSet-Cookie:x", NULL), "Set-Cookie");
    assert_no_header(s3_do(e, "GET", "/bucket/key?response-content-type=a%0d%0aSet-Cookie:x", NULL), "Content-Type");
}

static void checksums_when_asked_for(void **state UNUSED)
{
    assert_answer(CALL("PUT", "/bucket/key", TEXT, "x-amz-checksum-sha1: L9ThxnotKPzthJ7hu3bnORuT6xI="), 200, NULL);
    struct s3_answer *a = CALL("GET", "/bucket/key", NULL, "x-amz-checksum-mode: ENABLED");
    assert_header(a, "x-amz-checksum-sha1", "L9ThxnotKPzthJ7hu3bnORuT6xI=");
    assert_header(a, "x-amz-checksum-type", "FULL_OBJECT");
    assert_no_header(a, "x-amz-checksum-crc64nvme");
    assert_header(CALL("HEAD", "/bucket/key", NULL, "x-amz-checksum-mode: enabled"), "x-amz-checksum-sha1",
                  "L9ThxnotKPzthJ7hu3bnORuT6xI=");
    /* Never with a part of the bytes. */
    a = CALL("GET", "/bucket/key", NULL, "x-amz-checksum-mode: ENABLED", "Range: bytes=0-1");
    assert_answer(a, 206, NULL);
    assert_no_header(a, "x-amz-checksum-sha1");
    assert_no_header(a, "x-amz-checksum-type");
}

/* Ranges --------------------------------------------------------------------------------------------------------- */

static void ranges(void **state UNUSED)
{
    static const struct {
        const char *range;
        int status;
        const char *body, *content_range;
    } rows[] = {
        {"bytes=0-3", 206, "0123", "bytes 0-3/10"},
        {"bytes=4-4", 206, "4", "bytes 4-4/10"},
        {"bytes=7-", 206, "789", "bytes 7-9/10"},
        {"bytes=-2", 206, "89", "bytes 8-9/10"},
        {"bytes=-100", 206, "0123456789", "bytes 0-9/10"},
        {"bytes=0-100", 206, "0123456789", "bytes 0-9/10"},
        {"bytes=9-18446744073709551615", 206, "9", "bytes 9-9/10"},
        {"bytes=0-1,3-4", 200, "0123456789", NULL},
        {"bytes=5-2", 200, "0123456789", NULL},
        {"lines=0-3", 200, "0123456789", NULL},
        {"bytes=10-", 416, NULL, "bytes */10"},
        {"bytes=-0", 416, NULL, "bytes */10"},
    };
    put("/bucket/key", "0123456789");
    put("/bucket/empty", "");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *header = arena_printf(s3_engine_arena(e), "Range: %s", rows[i].range).ptr;
        struct s3_answer *a = CALL("GET", "/bucket/key", NULL, header), *head = CALL("HEAD", "/bucket/key", NULL, header);
        assert_answer(a, rows[i].status, rows[i].status == 416 ? "InvalidRange" : NULL);
        assert_int_equal(head->status, rows[i].status);
        if (rows[i].content_range)
            assert_header(a, "Content-Range", rows[i].content_range);
        else
            assert_no_header(a, "Content-Range");
        if (!rows[i].body)
            continue;
        assert_str(a->body, rows[i].body);
        assert_int_equal(a->length, strlen(rows[i].body));
        assert_int_equal(head->length, a->length);
        assert_header(a, "ETag", "\"781e5e245d69b566979b86e28d23f2c7\"");
    }
    struct s3_answer *a = CALL("GET", "/bucket/key", NULL, "Range: bytes=10-11");
    assert_str(s3_answer_element(a, "RangeRequested"), "bytes=10-11");
    assert_str(s3_answer_element(a, "ActualObjectSize"), "10");
    assert_answer(CALL("GET", "/bucket/empty", NULL, "Range: bytes=0-"), 416, "InvalidRange");
    assert_answer(CALL("GET", "/bucket/empty", NULL, "Range: bytes=-5"), 416, "InvalidRange");
}

static void if_range(void **state UNUSED)
{
    put("/bucket/key", TEXT);
    struct str modified = s3_answer_header(s3_do(e, "HEAD", "/bucket/key", NULL), "Last-Modified");
    const char *same_date = arena_printf(s3_engine_arena(e), "If-Range: %.*s", STR_ARG(modified)).ptr;
    assert_answer(CALL("GET", "/bucket/key", NULL, "Range: bytes=0-1", "If-Range: " TEXT_ETAG), 206, NULL);
    assert_answer(CALL("GET", "/bucket/key", NULL, "Range: bytes=0-1", same_date), 206, NULL);
    assert_answer(CALL("GET", "/bucket/key", NULL, "Range: bytes=0-1", "If-Range: \"other\""), 200, NULL);
    assert_answer(CALL("GET", "/bucket/key", NULL, "Range: bytes=0-1", "If-Range: Sun, 06 Nov 1994 08:49:37 GMT"), 200, NULL);
}

static void part_numbers_of_a_plain_object(void **state UNUSED)
{
    put("/bucket/key", TEXT);
    put("/bucket/empty", "");
    struct s3_answer *a = CALL("GET", "/bucket/key?partNumber=1", NULL, "x-amz-checksum-mode: ENABLED");
    assert_answer(a, 206, NULL);
    assert_str(a->body, TEXT);
    assert_header(a, "Content-Range", "bytes 0-42/43");
    assert_header(a, "x-amz-checksum-crc64nvme", "12xUBUlUwUM=");
    assert_no_header(a, "x-amz-mp-parts-count");
    assert_answer(s3_do(e, "GET", "/bucket/empty?partNumber=1", NULL), 200, NULL);
    assert_answer(s3_do(e, "GET", "/bucket/key?partNumber=2", NULL), 416, "InvalidPartNumber");
    assert_answer(s3_do(e, "GET", "/bucket/key?partNumber=0", NULL), 400, "InvalidArgument");
    assert_answer(s3_do(e, "GET", "/bucket/key?partNumber=10001", NULL), 400, "InvalidArgument");
    assert_answer(s3_do(e, "GET", "/bucket/key?partNumber=one", NULL), 400, "InvalidArgument");
    assert_answer(CALL("GET", "/bucket/key?partNumber=1", NULL, "Range: bytes=0-1"), 400, "InvalidRequest");
    assert_answer(s3_do(e, "HEAD", "/bucket/key?partNumber=1", NULL), 206, NULL);
}

/* Conditions ----------------------------------------------------------------------------------------------------- */

static void conditions_of_reads(void **state UNUSED)
{
    clock_set_wall_for_test(1700000000500000000);
    put("/bucket/key", TEXT);
    static const char *const modified[] = {"Tue, 14 Nov 2023 22:13:19 GMT", "Tue, 14 Nov 2023 22:13:20 GMT"};
    for (int head = 0; head < 2; head++) {
        const char *method = head ? "HEAD" : "GET";
        assert_answer(CALL(method, "/bucket/key", NULL, "If-Match: " TEXT_ETAG), 200, NULL);
        assert_answer(CALL(method, "/bucket/key", NULL, "If-Match: " TEXT_MD5), 200, NULL);
        assert_answer(CALL(method, "/bucket/key", NULL, "If-Match: *"), 200, NULL);
        assert_answer(CALL(method, "/bucket/key", NULL, "If-Match: \"other\""), 412, "PreconditionFailed");
        struct s3_answer *a = CALL(method, "/bucket/key", NULL, "If-None-Match: " TEXT_ETAG);
        assert_answer(a, 304, "NotModified");
        assert_header(a, "ETag", TEXT_ETAG);
        assert_header(a, "Last-Modified", modified[1]);
        assert_int_equal(a->body.len, 0);
        assert_answer(CALL(method, "/bucket/key", NULL, "If-None-Match: \"other\""), 200, NULL);
        assert_int_equal(CALL(method, "/bucket/key", NULL, "If-Modified-Since: Tue, 14 Nov 2023 22:13:19 GMT")->status, 200);
        assert_int_equal(CALL(method, "/bucket/key", NULL, "If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT")->status, 304);
        assert_int_equal(CALL(method, "/bucket/key", NULL, "If-Unmodified-Since: Tue, 14 Nov 2023 22:13:19 GMT")->status, 412);
        assert_int_equal(CALL(method, "/bucket/key", NULL, "If-Unmodified-Since: Tue, 14 Nov 2023 22:13:20 GMT")->status, 200);
        /* The condition counts before the range. */
        assert_int_equal(CALL(method, "/bucket/key", NULL, "If-Match: \"x\"", "Range: bytes=100-")->status, 412);
    }
    struct s3_answer *a = CALL("GET", "/bucket/key", NULL, "If-Match: \"other\"");
    assert_str(s3_answer_element(a, "Condition"), "If-Match");
    assert_answer(CALL("GET", "/bucket/none", NULL, "If-Match: *"), 404, "NoSuchKey");
}

static void conditions_of_writes(void **state UNUSED)
{
    assert_answer(CALL("PUT", "/bucket/key", "1", "If-Match: *"), 404, "NoSuchKey");
    assert_answer(CALL("PUT", "/bucket/key", "1", "If-Match: \"x\""), 404, "NoSuchKey");
    assert_answer(CALL("PUT", "/bucket/key", TEXT, "If-None-Match: *"), 200, NULL);
    struct s3_answer *a = CALL("PUT", "/bucket/key", "2", "If-None-Match: *");
    assert_answer(a, 412, "PreconditionFailed");
    assert_true(a->answered_by_begin);
    assert_str(s3_answer_element(a, "Condition"), "If-None-Match");
    assert_answer(CALL("PUT", "/bucket/key", "2", "If-Match: \"x\""), 412, "PreconditionFailed");
    assert_answer(CALL("PUT", "/bucket/key", "2", "If-None-Match: " TEXT_ETAG), 412, "PreconditionFailed");
    assert_str(s3_do(e, "GET", "/bucket/key", NULL)->body, TEXT);
    assert_answer(CALL("PUT", "/bucket/key", "2", "If-Match: " TEXT_ETAG), 200, NULL);
    assert_answer(CALL("PUT", "/bucket/key", "3", "If-Match: *"), 200, NULL);
    assert_answer(CALL("PUT", "/bucket/key", "4", "If-None-Match: \"other\""), 200, NULL);
    assert_str(s3_do(e, "GET", "/bucket/key", NULL)->body, "4");
    assert_answer(CALL("PUT", "/bucket/made/on/the/way", "x", "If-None-Match: *"), 200, NULL);
}

/* Versions ------------------------------------------------------------------------------------------------------- */

static void version_ids(void **state UNUSED)
{
    put("/bucket/key", TEXT);
    assert_answer(s3_do(e, "GET", "/bucket/key?versionId=null", NULL), 200, NULL);
    assert_answer(s3_do(e, "HEAD", "/bucket/key?versionId=null", NULL), 200, NULL);
    assert_answer(s3_do(e, "GET", "/bucket/key?versionId=x", NULL), 400, "InvalidArgument");
    assert_answer(s3_do(e, "GET", "/bucket/key?versionId=", NULL), 400, "InvalidArgument");
    assert_answer(s3_do(e, "GET", "/bucket/key?versionId=3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrH", NULL), 404, "NoSuchVersion");
    assert_answer(s3_do(e, "DELETE", "/bucket/key?versionId=3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrH", NULL), 204, NULL);
    assert_answer(s3_do(e, "GET", "/bucket/key", NULL), 200, NULL);
    assert_answer(s3_do(e, "DELETE", "/bucket/key?versionId=null", NULL), 204, NULL);
    assert_answer(s3_do(e, "GET", "/bucket/key", NULL), 404, "NoSuchKey");
}

/* Directory objects ---------------------------------------------------------------------------------------------- */

static void directory_objects(void **state UNUSED)
{
    struct s3_answer *a = CALL("PUT", "/bucket/a/d/", "", "Content-Type: application/x-directory; charset=UTF-8",
                               "x-amz-meta-color: red", "x-amz-tagging: k=v");
    assert_answer(a, 200, NULL);
    assert_header(a, "ETag", EMPTY_ETAG);
    assert_header(a, "x-amz-checksum-crc64nvme", "AAAAAAAAAAA=");
    put("/bucket/a/d/file", "x");
    for (int head = 0; head < 2; head++) {
        a = CALL(head ? "HEAD" : "GET", "/bucket/a/d/", NULL, "x-amz-checksum-mode: ENABLED");
        assert_answer(a, 200, NULL);
        assert_int_equal(a->length, 0);
        assert_header(a, "ETag", EMPTY_ETAG);
        assert_header(a, "Content-Type", "application/x-directory; charset=UTF-8");
        assert_header(a, "x-amz-meta-color", "red");
        assert_header(a, "x-amz-tagging-count", "1");
        assert_header(a, "x-amz-checksum-crc64nvme", "AAAAAAAAAAA=");
    }
    assert_answer(s3_do(e, "GET", "/bucket/a/d", NULL), 404, "NoSuchKey");
    assert_answer(s3_do(e, "GET", "/bucket/a/", NULL), 404, "NoSuchKey"); /* made on the way */
    put("/bucket/a/", ""); /* and now for its own sake */
    assert_header(s3_do(e, "GET", "/bucket/a/", NULL), "Content-Type", "application/x-directory");
    a = s3_do(e, "PUT", "/bucket/b/", "bytes");
    assert_answer(a, 400, "InvalidRequest");
    assert_true(a->answered_by_begin);
    assert_answer(s3_call(e, &(struct s3_call){.method = "PUT", .target = "/bucket/b/", .body = STR("bytes"), .no_length = true,
                                               .wire = S3_WIRE_UNSIGNED_TRAILER, .trailer = S3_CHECKSUM_CRC32}),
                  400, "InvalidRequest");
    assert_answer(s3_do(e, "GET", "/bucket/b/", NULL), 404, "NoSuchKey");
}

static void conditions_of_directory_objects(void **state UNUSED)
{
    assert_answer(CALL("PUT", "/bucket/d/", "", "If-Match: *"), 404, "NoSuchKey");
    assert_int_equal(access(posix_path("d"), F_OK), -1);
    assert_answer(CALL("PUT", "/bucket/d/", "", "If-None-Match: *"), 200, NULL);
    assert_answer(CALL("PUT", "/bucket/d/", "", "If-None-Match: *"), 412, "PreconditionFailed");
    assert_answer(CALL("PUT", "/bucket/d/", "", "If-Match: " EMPTY_ETAG), 200, NULL);
    put("/bucket/way/x", "x");
    assert_answer(CALL("PUT", "/bucket/way/", "", "If-None-Match: *"), 200, NULL);
    assert_answer(CALL("DELETE", "/bucket/d/", NULL, "If-Match: \"x\""), 412, "PreconditionFailed");
    assert_answer(CALL("DELETE", "/bucket/d/", NULL, "If-Match: " EMPTY_ETAG), 204, NULL);
    assert_answer(CALL("DELETE", "/bucket/d/", NULL, "If-Match: *"), 404, "NoSuchKey");
}

static void directories_made_through_posix(void **state UNUSED)
{
    assert_int_equal(mkdir(posix_path("posix"), 0755), 0);
    struct s3_answer *a = s3_do(e, "HEAD", "/bucket/posix/", NULL);
    assert_answer(a, 200, NULL);
    assert_header(a, "ETag", EMPTY_ETAG);
    assert_header(a, "Content-Type", "application/x-directory");
    assert_answer(s3_do(e, "HEAD", "/bucket/posix", NULL), 404, "NoSuchKey");
    put("/bucket/posix/sub/file", "x");
    assert_answer(s3_do(e, "DELETE", "/bucket/posix/sub/file", NULL), 204, NULL);
    assert_int_equal(access(posix_path("posix/sub"), F_OK), -1);
    assert_int_equal(access(posix_path("posix"), F_OK), 0); /* never goes that way */
}

/* Deleting ------------------------------------------------------------------------------------------------------- */

static void deleting(void **state UNUSED)
{
    put("/bucket/a/b/c", "x");
    put("/bucket/a/other", "x");
    struct s3_answer *a = s3_do(e, "DELETE", "/bucket/a/b/c", NULL);
    assert_answer(a, 204, NULL);
    assert_int_equal(a->length, 0);
    assert_no_header(a, "x-amz-delete-marker");
    assert_int_equal(access(posix_path("a/b"), F_OK), -1);
    assert_int_equal(access(posix_path("a"), F_OK), 0);
    assert_answer(s3_do(e, "DELETE", "/bucket/a/b/c", NULL), 204, NULL);
    assert_answer(s3_do(e, "DELETE", "/bucket/a", NULL), 204, NULL);  /* a directory, and no object */
    assert_answer(s3_do(e, "DELETE", "/bucket/a/", NULL), 204, NULL); /* an implicit one */
    assert_answer(s3_do(e, "DELETE", "/bucket/a/other/", NULL), 204, NULL);
    assert_answer(s3_do(e, "DELETE", "/bucket/a/other/x", NULL), 204, NULL);
    assert_str(s3_do(e, "GET", "/bucket/a/other", NULL)->body, "x");
    assert_answer(s3_do(e, "DELETE", "/nowhere/a", NULL), 404, "NoSuchBucket");
}

static void deleting_directory_objects(void **state UNUSED)
{
    put("/bucket/p/d/", "");
    put("/bucket/p/d/file", "x");
    assert_answer(s3_do(e, "DELETE", "/bucket/p/d/", NULL), 204, NULL);
    assert_answer(s3_do(e, "HEAD", "/bucket/p/d/", NULL), 404, "NoSuchKey");
    assert_str(s3_do(e, "GET", "/bucket/p/d/file", NULL)->body, "x");
    assert_answer(s3_do(e, "DELETE", "/bucket/p/d/file", NULL), 204, NULL);
    assert_int_equal(access(posix_path("p"), F_OK), -1);
    assert_answer(CALL("PUT", "/bucket/q/d/", "", "x-amz-meta-a: b"), 200, NULL);
    assert_answer(s3_do(e, "DELETE", "/bucket/q/d/", NULL), 204, NULL);
    assert_int_equal(access(posix_path("q"), F_OK), -1);
    put("/bucket/q/d/", "");
    assert_no_header(s3_do(e, "HEAD", "/bucket/q/d/", NULL), "x-amz-meta-a");
}

/* What is no object is no business of DELETE. */
static void deleting_spares_what_is_no_object(void **state UNUSED)
{
    put("/bucket/dir/file", "x");
    assert_int_equal(mkfifo(posix_path("fifo"), 0600), 0);
    assert_int_equal(symlink("dir", posix_path("link-to-dir")), 0);
    assert_int_equal(symlink("dir/file", posix_path("link-to-file")), 0);
    assert_int_equal(symlink("/etc/passwd", posix_path("link-out")), 0);
    assert_answer(s3_do(e, "DELETE", "/bucket/fifo", NULL), 204, NULL);
    assert_answer(s3_do(e, "DELETE", "/bucket/link-to-dir", NULL), 204, NULL);
    struct stat st;
    assert_int_equal(lstat(posix_path("fifo"), &st), 0);
    assert_int_equal(lstat(posix_path("link-to-dir"), &st), 0);
    assert_answer(s3_do(e, "GET", "/bucket/fifo", NULL), 404, "NoSuchKey");
    assert_int_equal(s3_do(e, "PUT", "/bucket/fifo", "x")->status, 403);
    assert_int_equal(s3_do(e, "GET", "/bucket/link-out", NULL)->status, 403);
    assert_str(s3_do(e, "GET", "/bucket/link-to-file", NULL)->body, "x");
    assert_answer(s3_do(e, "DELETE", "/bucket/link-to-file", NULL), 204, NULL);
    assert_int_equal(lstat(posix_path("link-to-file"), &st), -1);
    assert_str(s3_do(e, "GET", "/bucket/dir/file", NULL)->body, "x");
}

static void conditions_of_deletes(void **state UNUSED)
{
    clock_set_wall_for_test(1700000000000000000);
    static const struct {
        const char *header;
        int absent, present;
    } rows[] = {
        {"If-Match: \"x\"", 404, 412},
        {"x-amz-if-match-size: 42", 204, 412},
        {"x-amz-if-match-size: many", 400, 400},
        {"x-amz-if-match-last-modified-time: Tue, 14 Nov 2023 22:13:21 GMT", 204, 412},
        {"x-amz-if-match-last-modified-time: someday", 400, 400},
        {"If-Match: " TEXT_ETAG, 404, 204},
        {"If-Match: *", 404, 204},
        {"x-amz-if-match-size: 43", 204, 204},
        {"x-amz-if-match-last-modified-time: Tue, 14 Nov 2023 22:13:20 GMT", 204, 204},
        {"x-amz-if-match-last-modified-time: 2023-11-14T22:13:20Z", 204, 204},
        {"If-None-Match: *", 204, 204}, /* no condition of a delete */
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct s3_answer *a = CALL("DELETE", "/bucket/none", NULL, rows[i].header);
        if (a->status != rows[i].absent)
            fail_msg("%s: %d", rows[i].header, a->status);
        put("/bucket/key", TEXT);
        a = CALL("DELETE", "/bucket/key", NULL, rows[i].header);
        if (a->status != rows[i].present)
            fail_msg("%s: %d", rows[i].header, a->status);
        assert_int_equal(s3_do(e, "HEAD", "/bucket/key", NULL)->status, a->status == 204 ? 404 : 200);
    }
}

/* Deleting many -------------------------------------------------------------------------------------------------- */

static struct s3_answer *delete_many(const char *objects)
{
    const char *body = arena_printf(s3_engine_arena(e), "<Delete>%s</Delete>", objects).ptr;
    uint8_t md5[DIGEST_SIZE_MAX];
    digest_bytes(DIGEST_MD5, str_z(body), md5);
    CLEANUP(buf_done) struct buf header = buf_make(100);
    buf_addz(&header, "Content-MD5: ");
    buf_add_base64(&header, md5, 16);
    return CALL("POST", "/bucket?delete", body, buf_z(&header));
}

static void deleting_many(void **state UNUSED)
{
    clock_set_wall_for_test(1700000000000000000);
    put("/bucket/a", TEXT);
    put("/bucket/b%26", TEXT);
    put("/bucket/kept", TEXT);
    put("/bucket/dir/", "");
    struct s3_answer *a = delete_many("<Object><Key>a</Key></Object>"
                                      "<Object><Key>b&amp;</Key><VersionId>null</VersionId></Object>"
                                      "<Object><Key>none</Key></Object>"
                                      "<Object><Key>dir/</Key></Object>"
                                      "<Object><Key>kept</Key><ETag>\"x\"</ETag></Object>"
                                      "<Object><Key>kept</Key><Size>1</Size></Object>"
                                      "<Object><Key>kept</Key><LastModifiedTime>Tue, 14 Nov 2023 22:13:21 GMT</LastModifiedTime></Object>"
                                      "<Object><Key>kept</Key><VersionId>x</VersionId></Object>"
                                      "<Object><Key>none</Key><ETag>\"x\"</ETag></Object>"
                                      "<Object><Key>.sluice/x</Key></Object>");
    assert_answer(a, 200, NULL);
    assert_int_equal(s3_answer_count(a, "Deleted"), 4);
    assert_int_equal(s3_answer_count(a, "Error"), 6);
    assert_true(str_find(a->body, STR("<Deleted><Key>b&amp;</Key></Deleted>")) > 0);
    assert_true(str_find(a->body, STR("<Key>kept</Key><Code>PreconditionFailed</Code>")) > 0);
    assert_true(str_find(a->body, STR("<Key>none</Key><Code>NoSuchKey</Code>")) > 0);
    assert_true(str_find(a->body, STR("<Key>.sluice/x</Key><Code>AccessDenied</Code>")) > 0);
    assert_int_equal(s3_do(e, "HEAD", "/bucket/a", NULL)->status, 404);
    assert_int_equal(s3_do(e, "HEAD", "/bucket/dir/", NULL)->status, 404);
    assert_int_equal(s3_do(e, "HEAD", "/bucket/kept", NULL)->status, 200);
    a = delete_many("<Quiet>true</Quiet><Object><Key>kept</Key><ETag>" TEXT_MD5 "</ETag></Object>"
                    "<Object><Key>a</Key><VersionId>x</VersionId></Object>");
    assert_answer(a, 200, NULL);
    assert_int_equal(s3_answer_count(a, "Deleted"), 0);
    assert_int_equal(s3_answer_count(a, "Error"), 1);
    assert_int_equal(s3_do(e, "HEAD", "/bucket/kept", NULL)->status, 404);
}

static void deleting_too_many_or_nothing(void **state UNUSED)
{
    put("/bucket/k0", "x");
    CLEANUP(buf_done) struct buf objects = buf_make(1000000);
    for (int i = 0; i < 1000; i++)
        buf_addf(&objects, "<Object><Key>k%d</Key></Object>", i);
    struct s3_answer *a = delete_many(buf_z(&objects));
    assert_answer(a, 200, NULL);
    assert_int_equal(s3_answer_count(a, "Deleted"), 1000);
    put("/bucket/k0", "x");
    buf_addz(&objects, "<Object><Key>one more</Key></Object>");
    assert_answer(delete_many(buf_z(&objects)), 400, "MalformedXML");
    assert_answer(delete_many(""), 400, "MalformedXML");
    assert_answer(delete_many("<Object></Object>"), 400, "MalformedXML");
    assert_answer(delete_many("<Object><Key></Key></Object>"), 400, "MalformedXML");
    assert_answer(delete_many("<Object>"), 400, "MalformedXML");
    assert_int_equal(s3_do(e, "HEAD", "/bucket/k0", NULL)->status, 200);
}

/* Who may -------------------------------------------------------------------------------------------------------- */

static void refusals(void **state UNUSED)
{
    put("/bucket/key", TEXT);
    s3_engine_add_user(e, "reader", NULL, true);
    struct s3_call call = {.method = "PUT", .target = "/bucket/key", .body = STR("x"), .access_key = "reader"};
    assert_answer(s3_call(e, &call), 403, "AccessDenied");
    call = (struct s3_call){.method = "GET", .target = "/bucket/key", .access_key = "reader"};
    assert_str(s3_call(e, &call)->body, TEXT);
    call = (struct s3_call){.method = "GET", .target = "/bucket/key?response-content-type=x", .auth = S3_CALL_ANONYMOUS};
    assert_int_equal(s3_call(e, &call)->status, 403);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(put_and_get),
        TEST(reads_without_waiting),
        TEST(a_policy_is_not_skipped),
        TEST(what_is_not_there),
        TEST(keys_that_cannot_be),
        TEST(overwriting),
        TEST(a_body_in_pieces),
        TEST(a_refused_body_leaves_nothing),
        TEST(metadata_come_back),
        TEST(metadata_that_is_refused),
        TEST(response_overrides),
        TEST(checksums_when_asked_for),
        TEST(ranges),
        TEST(if_range),
        TEST(part_numbers_of_a_plain_object),
        TEST(conditions_of_reads),
        TEST(conditions_of_writes),
        TEST(version_ids),
        TEST(directory_objects),
        TEST(conditions_of_directory_objects),
        TEST(directories_made_through_posix),
        TEST(deleting),
        TEST(deleting_directory_objects),
        TEST(deleting_spares_what_is_no_object),
        TEST(conditions_of_deletes),
        TEST(deleting_many),
        TEST(deleting_too_many_or_nothing),
        TEST(refusals),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
