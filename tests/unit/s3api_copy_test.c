/* CopyObject and RenameObject. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/s3_engine.h"
#include "tests/support/unit.h"

#define TEXT "The quick brown fox jumps over the lazy dog"
#define TEXT_ETAG "\"9e107d9d372bb6826bd81d3542a419d6\""
#define TEXT_CRC64 "12xUBUlUwUM="
#define EMPTY_ETAG "\"d41d8cd98f00b204e9800998ecf8427e\""

#define CALL(verb, path, content, ...) \
    s3_call(e, &(struct s3_call){.method = (verb), .target = (path), .headers = {__VA_ARGS__}, .body = str_z(content)})
#define COPY(to, from, ...) CALL("PUT", to, NULL, "x-amz-copy-source: " from, __VA_ARGS__)
#define assert_header(answer, name, expected) assert_str(s3_answer_header(answer, name), expected)
#define assert_no_header(answer, name) assert_null(s3_answer_header(answer, name).ptr)

static struct s3_engine *e;

static int set_up(void **state UNUSED)
{
    e = s3_engine_new(NULL);
    bool made = s3_do(e, "PUT", "/bucket", NULL)->status == 200 && s3_do(e, "PUT", "/other", NULL)->status == 200;
    struct s3_answer *a = CALL("PUT", "/bucket/source", TEXT, "Content-Type: text/plain", "x-amz-meta-color: red",
                               "x-amz-tagging: k=v", "Cache-Control: no-cache", "x-amz-storage-class: STANDARD_IA",
                               "x-amz-website-redirect-location: /x");
    return made && a->status == 200 ? 0 : -1;
}

static int tear_down(void **state UNUSED)
{
    clock_set_wall_for_test(0);
    s3_engine_free(e);
    return 0;
}

static const char *posix_path(const char *key)
{
    return arena_printf(s3_engine_arena(e), "%s/%s", s3_engine_root(e), key).ptr;
}

static struct stat stat_of(const char *key)
{
    struct stat st;
    assert_int_equal(stat(posix_path(key), &st), 0);
    return st;
}

static const char *header_of(const char *name, struct str value)
{
    return arena_printf(s3_engine_arena(e), "%s: %.*s", name, STR_ARG(value)).ptr;
}

/* Copies --------------------------------------------------------------------------------------------------------- */

static void a_copy_is_the_same(void **state UNUSED)
{
    struct s3_answer *a = COPY("/other/dir/copy", "bucket/source");
    assert_answer(a, 200, NULL);
    assert_str(s3_answer_element(a, "ETag"), "&quot;9e107d9d372bb6826bd81d3542a419d6&quot;");
    assert_str(s3_answer_element(a, "ChecksumCRC64NVME"), TEXT_CRC64);
    assert_str(s3_answer_element(a, "ChecksumType"), "FULL_OBJECT");
    assert_non_null(s3_answer_element(a, "LastModified").ptr);
    assert_true(str_find(a->body, STR("<CopyObjectResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">")) > 0);
    a = CALL("GET", "/other/dir/copy", NULL, "x-amz-checksum-mode: ENABLED");
    assert_str(a->body, TEXT);
    assert_header(a, "ETag", TEXT_ETAG);
    assert_header(a, "x-amz-checksum-crc64nvme", TEXT_CRC64);
    assert_header(a, "Content-Type", "text/plain");
    assert_header(a, "Cache-Control", "no-cache");
    assert_header(a, "x-amz-meta-color", "red");
    assert_header(a, "x-amz-tagging-count", "1");
    /* These two are said anew for every object. */
    assert_no_header(a, "x-amz-storage-class");
    assert_no_header(a, "x-amz-website-redirect-location");
    assert_int_not_equal(stat_of("other/dir/copy").st_ino, stat_of("bucket/source").st_ino);
}

static void forms_of_the_source(void **state UNUSED)
{
    assert_answer(CALL("PUT", "/bucket/a%20b%2Bc%3F", TEXT, NULL), 200, NULL);
    assert_answer(COPY("/bucket/1", "/bucket/source"), 200, NULL);
    assert_answer(COPY("/bucket/2", "bucket%2Fsource?versionId=null"), 200, NULL);
    assert_answer(COPY("/bucket/3", "bucket/a%20b%2Bc%3F"), 200, NULL);
    assert_answer(COPY("/bucket/4", "bucket/a+b%2Bc?"), 200, NULL);
    assert_answer(COPY("/bucket/x", "bucket/none"), 404, "NoSuchKey");
    assert_answer(COPY("/bucket/x", "nowhere/source"), 404, "NoSuchBucket");
    assert_answer(COPY("/bucket/x", "bucket"), 400, "InvalidArgument");
    assert_answer(COPY("/bucket/x", "bucket/%zz"), 400, "InvalidArgument");
    assert_answer(CALL("PUT", "/bucket/x", NULL, "x-amz-copy-source:"), 400, "InvalidArgument");
    assert_answer(COPY("/bucket/x", "bucket/source?versionId=abc"), 400, "InvalidArgument");
    assert_answer(COPY("/bucket/x", "bucket/source?versionId=3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrH"), 404, "NoSuchVersion");
    assert_int_equal(COPY("/bucket/x", "bucket/a//b")->status, 400);
    assert_int_equal(COPY("/bucket/x", "bucket/%2e%2e/bucket/source")->status, 400);
    assert_int_equal(COPY("/bucket/x", "bucket/.sluice/x")->status, 403);
    assert_int_equal(COPY("/bucket/x", "..%2Fbucket/source")->status, 404);
    assert_int_equal(s3_do(e, "HEAD", "/bucket/x", NULL)->status, 404);
}

/* Tags that are copied are read there and written here ("s3:GetObjectTagging for the source object and s3:PutObjectTagging for objects
 * in the destination bucket"); other tags or none ask for less (SEC-31, SEC-33). */
static void tags_of_the_source_must_be_allowed(void **state UNUSED)
{
    static const struct {
        const char *denied, *source, *directive;
        int status;
    } rows[] = {
        {"s3:GetObjectTagging", "x-amz-copy-source: bucket/source", NULL, 403},
        {"s3:PutObjectTagging", "x-amz-copy-source: bucket/source", NULL, 403},
        {"s3:GetObjectTagging", "x-amz-copy-source: bucket/source", "x-amz-tagging-directive: REPLACE", 200},
        {"s3:PutObjectTagging", "x-amz-copy-source: bucket/source", "x-amz-tagging-directive: REPLACE", 200},
        {"s3:GetObjectTagging", "x-amz-copy-source: bucket/plain", NULL, 200},
        {"s3:PutObjectTagging", "x-amz-copy-source: bucket/plain", NULL, 200},
    };
    assert_answer(s3_do(e, "PUT", "/bucket/plain", "x"), 200, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char policy[400];
        snprintf(policy, sizeof(policy),
                 "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"%s\","
                 "\"Resource\":\"arn:aws:s3:::bucket/*\"}}",
                 rows[i].denied);
        assert_answer(s3_do(e, "PUT", "/bucket?policy", policy), 204, NULL);
        const struct s3_answer *a = CALL("PUT", "/bucket/tagged", NULL, rows[i].source, rows[i].directive);
        if (a->status != rows[i].status)
            fail_msg("row %zu: %d", i, a->status);
    }
}

/* SEC-31 */
static void reading_the_source_must_be_allowed(void **state UNUSED)
{
    s3_engine_add_user(e, "alice", "other", false);
    struct s3_call call = {.method = "PUT", .target = "/other/copy", .headers = {"x-amz-copy-source: bucket/source"}, .access_key = "alice"};
    assert_answer(s3_call(e, &call), 403, "AccessDenied");
    assert_int_equal(s3_do(e, "HEAD", "/other/copy", NULL)->status, 404);
    s3_engine_add_user(e, "bob", NULL, true);
    call.access_key = "bob";
    assert_answer(s3_call(e, &call), 403, "AccessDenied");
}

static void directives(void **state UNUSED)
{
    assert_answer(COPY("/bucket/1", "bucket/source", "x-amz-metadata-directive: REPLACE", "x-amz-meta-shape: round",
                       "Content-Type: text/html", "x-amz-tagging: a=1&b=2"),
                  200, NULL);
    struct s3_answer *a = s3_do(e, "HEAD", "/bucket/1", NULL);
    assert_header(a, "Content-Type", "text/html");
    assert_header(a, "x-amz-meta-shape", "round");
    assert_no_header(a, "x-amz-meta-color");
    assert_no_header(a, "Cache-Control");
    assert_header(a, "x-amz-tagging-count", "1"); /* tags have a directive of their own */
    assert_header(a, "ETag", TEXT_ETAG);
    assert_answer(COPY("/bucket/2", "bucket/source", "x-amz-tagging-directive: REPLACE", "x-amz-tagging: a=1&b=2",
                       "x-amz-meta-shape: round", "x-amz-storage-class: ONEZONE_IA"),
                  200, NULL);
    a = s3_do(e, "HEAD", "/bucket/2", NULL);
    assert_header(a, "x-amz-tagging-count", "2");
    assert_header(a, "x-amz-meta-color", "red");
    assert_no_header(a, "x-amz-meta-shape");
    assert_header(a, "x-amz-storage-class", "ONEZONE_IA");
    assert_answer(COPY("/bucket/3", "bucket/source", "x-amz-metadata-directive: replace"), 400, "InvalidArgument");
    assert_answer(COPY("/bucket/3", "bucket/source", "x-amz-tagging-directive: NONE"), 400, "InvalidArgument");
    assert_answer(COPY("/bucket/3", "bucket/source", "x-amz-server-side-encryption: AES256"), 501, "NotImplemented");
}

static void checksums_of_copies(void **state UNUSED)
{
    struct s3_answer *a = COPY("/bucket/1", "bucket/source", "x-amz-checksum-algorithm: SHA1");
    assert_answer(a, 200, NULL);
    assert_str(s3_answer_element(a, "ChecksumSHA1"), "L9ThxnotKPzthJ7hu3bnORuT6xI=");
    assert_header(CALL("HEAD", "/bucket/1", NULL, "x-amz-checksum-mode: ENABLED"), "x-amz-checksum-sha1",
                  "L9ThxnotKPzthJ7hu3bnORuT6xI=");
    a = COPY("/bucket/2", "bucket/1", "x-amz-checksum-algorithm: CRC64NVME");
    assert_str(s3_answer_element(a, "ChecksumCRC64NVME"), TEXT_CRC64);
    assert_answer(COPY("/bucket/3", "bucket/1", "x-amz-checksum-algorithm: CRC16"), 400, "InvalidRequest");
}

/* Work of any size is done in bounded steps. */
static void large_copies_go_in_steps(void **state UNUSED)
{
    size_t size = 5 * 1024 * 1024 + 17;
    char *big = arena_alloc(s3_engine_arena(e), size + 1);
    memset(big, 'x', size);
    big[size / 2] = 'y';
    struct s3_call put = {.method = "PUT", .target = "/bucket/big", .body = str_of(big, size)};
    assert_answer(s3_call(e, &put), 200, NULL);
    struct s3_answer *a = COPY("/bucket/copy", "bucket/big", "x-amz-checksum-algorithm: CRC32C");
    assert_answer(a, 200, NULL);
    assert_in_range(a->steps, 6, 1000);
    assert_true(str_eq(s3_do(e, "GET", "/bucket/copy", NULL)->body, put.body));
    assert_str(s3_answer_header(s3_do(e, "HEAD", "/bucket/copy", NULL), "ETag"),
               s3_answer_header(s3_do(e, "HEAD", "/bucket/big", NULL), "ETag").ptr);
}

static void conditions_of_the_source(void **state UNUSED)
{
    clock_set_wall_for_test(1700000000000000000);
    assert_answer(CALL("PUT", "/bucket/source", TEXT, NULL), 200, NULL);
    static const struct {
        const char *header;
        int status;
    } rows[] = {
        {"x-amz-copy-source-if-match: " TEXT_ETAG, 200},
        {"x-amz-copy-source-if-match: \"x\"", 412},
        {"x-amz-copy-source-if-none-match: \"x\"", 200},
        {"x-amz-copy-source-if-none-match: " TEXT_ETAG, 412},
        {"x-amz-copy-source-if-modified-since: Tue, 14 Nov 2023 22:13:19 GMT", 200},
        {"x-amz-copy-source-if-modified-since: Tue, 14 Nov 2023 22:13:20 GMT", 412},
        {"x-amz-copy-source-if-unmodified-since: Tue, 14 Nov 2023 22:13:20 GMT", 200},
        {"x-amz-copy-source-if-unmodified-since: Tue, 14 Nov 2023 22:13:19 GMT", 412},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct s3_answer *a = COPY("/bucket/copy", "bucket/source", rows[i].header);
        assert_int_equal(a->status, rows[i].status);
        if (a->status == 412)
            assert_true(str_starts(str_z(rows[i].header), STR("x-amz-copy-source-if")) &&
                        str_starts_nocase(str_z(rows[i].header), s3_answer_element(a, "Condition")));
    }
}

static void conditions_of_the_target(void **state UNUSED)
{
    assert_answer(COPY("/bucket/copy", "bucket/source", "If-Match: *"), 404, "NoSuchKey");
    assert_answer(COPY("/bucket/copy", "bucket/source", "If-None-Match: *"), 200, NULL);
    assert_answer(COPY("/bucket/copy", "bucket/source", "If-None-Match: *"), 412, "PreconditionFailed");
    assert_answer(COPY("/bucket/copy", "bucket/source", "If-Match: \"x\""), 412, "PreconditionFailed");
    assert_answer(COPY("/bucket/copy", "bucket/source", "If-Match: " TEXT_ETAG), 200, NULL);
}

static void directories_are_copied_as_objects(void **state UNUSED)
{
    assert_answer(CALL("PUT", "/bucket/d/", "", "x-amz-meta-a: b"), 200, NULL);
    assert_answer(s3_do(e, "PUT", "/bucket/d/file", "x"), 200, NULL);
    assert_answer(COPY("/bucket/copy/", "bucket/d/"), 200, NULL);
    struct s3_answer *a = s3_do(e, "HEAD", "/bucket/copy/", NULL);
    assert_header(a, "ETag", EMPTY_ETAG);
    assert_header(a, "x-amz-meta-a", "b");
    assert_answer(COPY("/bucket/file", "bucket/d/"), 200, NULL);
    assert_header(s3_do(e, "HEAD", "/bucket/file", NULL), "ETag", EMPTY_ETAG);
    assert_answer(COPY("/bucket/d2/", "bucket/file"), 200, NULL);
    assert_answer(COPY("/bucket/d3/", "bucket/source"), 400, "InvalidRequest");
    assert_answer(COPY("/bucket/x", "bucket/d"), 404, "NoSuchKey");
}

/* A file that came by POSIX has no digests to hand on. */
static void copies_of_files_from_posix(void **state UNUSED)
{
    int fd = open(posix_path("bucket/data.csv"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, TEXT, sizeof(TEXT) - 1), sizeof(TEXT) - 1);
    close(fd);
    struct s3_answer *a = COPY("/bucket/copy", "bucket/data.csv");
    assert_answer(a, 200, NULL);
    assert_null(s3_answer_element(a, "ChecksumCRC64NVME").ptr);
    struct str etag = s3_answer_element(a, "ETag");
    struct s3_answer *head = s3_do(e, "HEAD", "/bucket/copy", NULL);
    assert_header(head, "Content-Type", "text/csv");
    assert_true(str_find(etag, str_first(str_from(s3_answer_header(head, "ETag"), 1), 34)) > 0);
    assert_answer(CALL("HEAD", "/bucket/copy", NULL, header_of("If-Match", s3_answer_header(head, "ETag"))), 200, NULL);
    a = COPY("/bucket/copy", "bucket/data.csv", "x-amz-checksum-algorithm: CRC64NVME");
    assert_str(s3_answer_element(a, "ChecksumCRC64NVME"), TEXT_CRC64);
}

/* Onto itself ---------------------------------------------------------------------------------------------------- */

static void onto_itself_needs_a_change(void **state UNUSED)
{
    assert_answer(COPY("/bucket/source", "bucket/source"), 400, "InvalidRequest");
    assert_answer(COPY("/bucket/source", "bucket/source", "x-amz-tagging-directive: REPLACE"), 400, "InvalidRequest");
    assert_answer(COPY("/bucket/source", "bucket/source", "x-amz-storage-class: STANDARD"), 200, NULL);
    assert_no_header(s3_do(e, "HEAD", "/bucket/source", NULL), "x-amz-storage-class");
}

static void onto_itself_is_in_place(void **state UNUSED)
{
    struct stat before = stat_of("bucket/source");
    clock_set_wall_for_test(2000000000000000000);
    struct s3_answer *a = COPY("/bucket/source", "bucket/source", "x-amz-metadata-directive: REPLACE", "x-amz-meta-shape: round");
    assert_answer(a, 200, NULL);
    assert_int_equal(a->steps, 1);
    assert_str(s3_answer_element(a, "LastModified"), "2033-05-18T03:33:20.000Z");
    a = CALL("GET", "/bucket/source", NULL, "x-amz-checksum-mode: ENABLED");
    assert_str(a->body, TEXT);
    assert_header(a, "ETag", TEXT_ETAG);
    assert_header(a, "x-amz-checksum-crc64nvme", TEXT_CRC64);
    assert_header(a, "x-amz-meta-shape", "round");
    assert_no_header(a, "x-amz-meta-color");
    assert_header(a, "x-amz-tagging-count", "1");
    assert_header(a, "Last-Modified", "Wed, 18 May 2033 03:33:20 GMT");
    struct stat after = stat_of("bucket/source");
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_equal(after.st_mtim.tv_sec, before.st_mtim.tv_sec); /* the bytes are as old as they were */
    assert_answer(COPY("/bucket/source", "bucket/source", "x-amz-checksum-algorithm: SHA1"), 200, NULL);
    assert_header(CALL("HEAD", "/bucket/source", NULL, "x-amz-checksum-mode: ENABLED"), "x-amz-checksum-sha1",
                  "L9ThxnotKPzthJ7hu3bnORuT6xI=");
    assert_int_equal(stat_of("bucket/source").st_ino, before.st_ino);
}

/* As s3fs-fuse does for utime and chmod. */
static void onto_itself_with_file_attributes(void **state UNUSED)
{
    ino_t ino = stat_of("bucket/source").st_ino;
    assert_answer(COPY("/bucket/source", "bucket/source", "x-amz-metadata-directive: REPLACE", "x-amz-meta-mode: 33152",
                       "x-amz-meta-uid: 1000", "x-amz-meta-gid: 100", "x-amz-meta-mtime: 1234567890"),
                  200, NULL);
    struct stat st = stat_of("bucket/source");
    assert_int_equal(st.st_ino, ino);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_uid, 1000);
    assert_int_equal(st.st_gid, 100);
    assert_int_equal(st.st_mtim.tv_sec, 1234567890);
    assert_int_equal(st.st_mtim.tv_nsec, 0);
    struct s3_answer *a = s3_do(e, "GET", "/bucket/source", NULL);
    assert_header(a, "ETag", TEXT_ETAG);
    assert_header(a, "x-amz-meta-mtime", "1234567890");
    assert_header(a, "x-amz-meta-mode", "33152");
    assert_str(a->body, TEXT);
    assert_answer(COPY("/bucket/d/", "bucket/d/", "x-amz-metadata-directive: REPLACE"), 404, "NoSuchKey");
    assert_answer(s3_do(e, "PUT", "/bucket/d/", ""), 200, NULL);
    assert_answer(COPY("/bucket/d/", "bucket/d/", "x-amz-metadata-directive: REPLACE", "x-amz-meta-mode: 16832",
                       "x-amz-meta-uid: 1000", "x-amz-meta-gid: 100", "x-amz-meta-mtime: 1234567890"),
                  200, NULL);
    assert_int_equal(stat_of("bucket/d").st_mode & 07777, 0700);
    assert_header(s3_do(e, "HEAD", "/bucket/d/", NULL), "x-amz-meta-mtime", "1234567890");
}

static void onto_itself_under_conditions(void **state UNUSED)
{
    assert_answer(COPY("/bucket/source", "bucket/source", "x-amz-metadata-directive: REPLACE", "If-Match: \"x\""), 412, "PreconditionFailed");
    assert_answer(COPY("/bucket/source", "bucket/source", "x-amz-metadata-directive: REPLACE", "If-None-Match: *"), 412, "PreconditionFailed");
    assert_answer(COPY("/bucket/source", "bucket/source", "x-amz-metadata-directive: REPLACE", "x-amz-copy-source-if-match: \"x\""), 412, "PreconditionFailed");
    assert_answer(COPY("/bucket/source", "bucket/source", "x-amz-metadata-directive: REPLACE", "If-Match: " TEXT_ETAG,
                       "x-amz-copy-source-if-match: " TEXT_ETAG),
                  200, NULL);
}

/* SEC-26: another name of the file keeps its metadata. */
static void onto_itself_with_two_names(void **state UNUSED)
{
    assert_int_equal(link(posix_path("bucket/source"), posix_path("bucket/second")), 0);
    assert_answer(COPY("/bucket/source", "bucket/source", "x-amz-metadata-directive: REPLACE", "x-amz-meta-shape: round"), 200, NULL);
    assert_header(s3_do(e, "HEAD", "/bucket/second", NULL), "x-amz-meta-color", "red");
    struct s3_answer *a = s3_do(e, "GET", "/bucket/source", NULL);
    assert_header(a, "x-amz-meta-shape", "round");
    assert_header(a, "ETag", TEXT_ETAG);
    assert_str(a->body, TEXT);
    assert_int_equal(stat_of("bucket/second").st_nlink, 1);
}

/* Renaming ------------------------------------------------------------------------------------------------------- */

#define RENAME(to, ...) CALL("PUT", to "?renameObject", NULL, __VA_ARGS__)

static void renaming(void **state UNUSED)
{
    assert_answer(s3_do(e, "PUT", "/bucket/deep/er/file", "x"), 200, NULL);
    ino_t ino = stat_of("bucket/source").st_ino;
    assert_answer(RENAME("/bucket/new/name", "x-amz-rename-source: /source"), 200, NULL);
    assert_answer(s3_do(e, "HEAD", "/bucket/source", NULL), 404, "NoSuchKey");
    struct s3_answer *a = s3_do(e, "GET", "/bucket/new/name", NULL);
    assert_header(a, "ETag", TEXT_ETAG);
    assert_header(a, "x-amz-meta-color", "red");
    assert_int_equal(stat_of("bucket/new/name").st_ino, ino);
    assert_answer(RENAME("/bucket/file", "x-amz-rename-source: deep/er/file"), 200, NULL);
    assert_int_equal(access(posix_path("bucket/deep"), F_OK), -1);
}

static void renaming_that_is_refused(void **state UNUSED)
{
    assert_answer(s3_do(e, "PUT", "/bucket/target", "x"), 200, NULL);
    assert_answer(s3_do(e, "PUT", "/bucket/d/", ""), 200, NULL);
    assert_answer(RENAME("/bucket/target", "x-amz-acl: private"), 400, "InvalidArgument");
    assert_answer(RENAME("/bucket/target", "x-amz-rename-source: none"), 404, "NoSuchKey");
    assert_answer(RENAME("/bucket/target/", "x-amz-rename-source: source"), 400, "InvalidRequest");
    assert_answer(RENAME("/bucket/x", "x-amz-rename-source: d/"), 400, "InvalidRequest");
    assert_answer(RENAME("/bucket/d", "x-amz-rename-source: source"), 409, "InvalidRequest");
    assert_answer(RENAME("/bucket/target", "x-amz-rename-source: source", "If-None-Match: *"), 412, "PreconditionFailed");
    assert_answer(RENAME("/bucket/target", "x-amz-rename-source: source", "If-Match: \"x\""), 412, "PreconditionFailed");
    assert_answer(RENAME("/bucket/none", "x-amz-rename-source: source", "If-Match: *"), 404, "NoSuchKey");
    assert_answer(RENAME("/bucket/target", "x-amz-rename-source: source", "x-amz-rename-source-if-match: \"x\""), 412, "PreconditionFailed");
    assert_answer(RENAME("/bucket/target", "x-amz-rename-source: source", "x-amz-rename-source-if-none-match: *"), 412, "PreconditionFailed");
    assert_answer(RENAME("/bucket/target", "x-amz-rename-source: source", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT"), 412, "PreconditionFailed");
    assert_answer(RENAME("/bucket/none", "x-amz-rename-source: source", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"), 412, "PreconditionFailed");
    assert_str(s3_do(e, "GET", "/bucket/target", NULL)->body, "x");
    assert_answer(RENAME("/bucket/target", "x-amz-rename-source: source", "x-amz-rename-source-if-match: " TEXT_ETAG), 200, NULL);
    assert_str(s3_do(e, "GET", "/bucket/target", NULL)->body, TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_copy_is_the_same),
        TEST(forms_of_the_source),
        TEST(tags_of_the_source_must_be_allowed),
        TEST(reading_the_source_must_be_allowed),
        TEST(directives),
        TEST(checksums_of_copies),
        TEST(large_copies_go_in_steps),
        TEST(conditions_of_the_source),
        TEST(conditions_of_the_target),
        TEST(directories_are_copied_as_objects),
        TEST(copies_of_files_from_posix),
        TEST(onto_itself_needs_a_change),
        TEST(onto_itself_is_in_place),
        TEST(onto_itself_with_file_attributes),
        TEST(onto_itself_under_conditions),
        TEST(onto_itself_with_two_names),
        TEST(renaming),
        TEST(renaming_that_is_refused),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
