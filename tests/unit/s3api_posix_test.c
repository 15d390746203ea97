/* Objects that are files too: what comes and changes through POSIX shows through S3, and the attributes that other tools keep in
 * metadata are the file's. Run with records in xattrs and in the sidecar. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/s3_engine.h"
#include "tests/support/unit.h"

#define TEXT "The quick brown fox jumps over the lazy dog"
#define TEXT_ETAG "\"9e107d9d372bb6826bd81d3542a419d6\""

#define CALL(verb, path, content, ...) \
    s3_call(e, &(struct s3_call){.method = (verb), .target = (path), .headers = {__VA_ARGS__}, .body = str_z(content)})
#define assert_header(answer, name, expected) assert_str(s3_answer_header(answer, name), expected)
#define assert_no_header(answer, name) assert_null(s3_answer_header(answer, name).ptr)

static struct s3_engine *e;
static bool sidecar;

static int set_up(void **state UNUSED)
{
    e = s3_engine_new(&(struct s3_engine_options){.sidecar = sidecar});
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

static void write_file(const char *key, const char *text, int flags)
{
    int fd = open(posix_path(key), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static struct stat stat_of(const char *key)
{
    struct stat st;
    assert_int_equal(stat(posix_path(key), &st), 0);
    return st;
}

static void set_mtime(const char *key, time_t seconds)
{
    const struct timespec times[] = {{seconds, 0}, {seconds, 0}};
    assert_int_equal(utimensat(AT_FDCWD, posix_path(key), times, 0), 0);
}

/* Coherence ------------------------------------------------------------------------------------------------------ */

static void a_file_is_an_object(void **state UNUSED)
{
    assert_int_equal(mkdir(posix_path("dir"), 0755), 0);
    write_file("dir/page.html", TEXT, 0);
    struct s3_answer *a = CALL("GET", "/bucket/dir/page.html", NULL, "x-amz-checksum-mode: ENABLED");
    assert_answer(a, 200, NULL);
    assert_str(a->body, TEXT);
    assert_header(a, "Content-Type", "text/html");
    assert_no_header(a, "x-amz-checksum-type");
    struct str etag = s3_answer_header(a, "ETag");
    assert_int_equal(etag.len, 36);
    assert_true(str_ends(etag, STR("-1\"")));
    assert_true(str_eq(etag, s3_answer_header(s3_do(e, "HEAD", "/bucket/dir/page.html", NULL), "ETag")));
    write_file("dir/page.html", "!", O_APPEND);
    assert_false(str_eq(etag, s3_answer_header(s3_do(e, "HEAD", "/bucket/dir/page.html", NULL), "ETag")));
    const char *stale = arena_printf(s3_engine_arena(e), "If-Match: %.*s", STR_ARG(etag)).ptr;
    assert_answer(CALL("GET", "/bucket/dir/page.html", NULL, stale), 412, "PreconditionFailed");
    assert_answer(CALL("PUT", "/bucket/dir/page.html", "x", stale), 412, "PreconditionFailed");
}

static void a_changed_object_keeps_what_still_holds(void **state UNUSED)
{
    assert_answer(CALL("PUT", "/bucket/key.html", TEXT, "Content-Type: text/x", "x-amz-meta-a: b", "x-amz-tagging: k=v"), 200, NULL);
    write_file("key.html", "other bytes", O_TRUNC);
    struct s3_answer *a = CALL("GET", "/bucket/key.html", NULL, "x-amz-checksum-mode: ENABLED");
    assert_str(a->body, "other bytes");
    assert_header(a, "Content-Type", "text/x");
    assert_header(a, "x-amz-meta-a", "b");
    assert_header(a, "x-amz-tagging-count", "1");
    assert_no_header(a, "x-amz-checksum-crc64nvme");
    struct str etag = s3_answer_header(a, "ETag");
    assert_true(str_ends(etag, STR("-1\"")));
    /* Changing the metadata in place does not make the old digests come back. */
    assert_answer(CALL("PUT", "/bucket/key.html", NULL, "x-amz-copy-source: bucket/key.html", "x-amz-metadata-directive: REPLACE"), 200, NULL);
    a = CALL("GET", "/bucket/key.html", NULL, "x-amz-checksum-mode: ENABLED");
    assert_true(str_eq(etag, s3_answer_header(a, "ETag")));
    assert_no_header(a, "x-amz-checksum-crc64nvme");
    assert_answer(s3_do(e, "DELETE", "/bucket/key.html?tagging", NULL), 204, NULL);
    assert_true(str_eq(etag, s3_answer_header(s3_do(e, "HEAD", "/bucket/key.html", NULL), "ETag")));
}

/* The kernel stamps writes with the time of its last tick: a change right after the upload must be seen all the same. */
static void a_change_in_the_same_tick_shows(void **state UNUSED)
{
    for (int i = 0; i < 300; i++) {
        assert_answer(s3_do(e, "PUT", "/bucket/key", "0cc175b9"), 200, NULL);
        write_file("key", "92eb5ffe", 0);
        struct str etag = s3_answer_header(s3_do(e, "HEAD", "/bucket/key", NULL), "ETag");
        assert_true(str_ends(etag, STR("-1\"")));
    }
}

static void readers_keep_what_they_opened(void **state UNUSED)
{
    assert_answer(s3_do(e, "PUT", "/bucket/key", TEXT), 200, NULL);
    int fd = open(posix_path("key"), O_RDONLY | O_CLOEXEC);
    assert_answer(s3_do(e, "PUT", "/bucket/key", "new"), 200, NULL);
    char old[sizeof(TEXT)] = {0};
    assert_int_equal(read(fd, old, sizeof(old)), sizeof(TEXT) - 1);
    assert_string_equal(old, TEXT);
    close(fd);
}

static void a_renamed_or_copied_file_keeps_its_record(void **state UNUSED)
{
    assert_answer(CALL("PUT", "/bucket/key", TEXT, "x-amz-meta-a: b"), 200, NULL);
    assert_int_equal(rename(posix_path("key"), posix_path("moved")), 0);
    struct s3_answer *a = s3_do(e, "HEAD", "/bucket/moved", NULL);
    assert_header(a, "ETag", TEXT_ETAG);
    assert_header(a, "x-amz-meta-a", "b");
    assert_answer(s3_do(e, "HEAD", "/bucket/key", NULL), 404, "NoSuchKey");
}

/* A record that is not one, by malice or by accident, is no record. */
static void foreign_bytes_in_the_record(void **state UNUSED)
{
    if (sidecar)
        return;
    static const char *const records[] = {"", "\x01", "\x01\x02\xff", "\x02garbage", "hello", "\x01\x0e\x03\x7fxy"};
    for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
        assert_answer(s3_do(e, "PUT", "/bucket/key.txt", TEXT), 200, NULL);
        assert_int_equal(setxattr(posix_path("key.txt"), "user.sluice", records[i], strlen(records[i]), 0), 0);
        struct s3_answer *a = s3_do(e, "GET", "/bucket/key.txt", NULL);
        assert_answer(a, 200, NULL);
        assert_str(a->body, TEXT);
        assert_true(str_ends(s3_answer_header(a, "ETag"), STR("-1\"")));
        assert_header(a, "Content-Type", strlen(records[i]) == 1 ? "binary/octet-stream" : "text/plain");
    }
}

/* Dialects ------------------------------------------------------------------------------------------------------- */

static void rclone(void **state UNUSED)
{
    clock_set_wall_for_test(1700000000000000000);
    assert_answer(CALL("PUT", "/bucket/key", TEXT, "x-amz-meta-mtime: 1234567890.123456789"), 200, NULL);
    struct stat st = stat_of("key");
    assert_int_equal(st.st_mtim.tv_sec, 1234567890);
    assert_int_equal(st.st_mtim.tv_nsec, 123456789);
    struct s3_answer *a = s3_do(e, "HEAD", "/bucket/key", NULL);
    assert_header(a, "x-amz-meta-mtime", "1234567890.123456789");
    assert_header(a, "Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT"); /* of the upload */
    assert_header(a, "ETag", TEXT_ETAG);
    assert_answer(CALL("GET", "/bucket/key", NULL, "If-Modified-Since: Tue, 14 Nov 2023 22:13:19 GMT"), 200, NULL);
    assert_answer(CALL("GET", "/bucket/key", NULL, "If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT"), 304, "NotModified");
    /* A copy carries the time along. */
    assert_answer(CALL("PUT", "/bucket/copy", NULL, "x-amz-copy-source: bucket/key"), 200, NULL);
    assert_int_equal(stat_of("copy").st_mtim.tv_sec, 1234567890);
    /* And POSIX has the last word. */
    set_mtime("key", 1500000000);
    a = s3_do(e, "HEAD", "/bucket/key", NULL);
    assert_header(a, "x-amz-meta-mtime", "1500000000.000000000");
    assert_header(a, "Last-Modified", "Fri, 14 Jul 2017 02:40:00 GMT");
    assert_answer(CALL("PUT", "/bucket/key", TEXT, "x-amz-meta-mtime: soon"), 200, NULL);
    assert_int_equal(stat_of("key").st_mtim.tv_sec, 1700000000);
}

#define S3FS(mode, uid, gid) \
    "x-amz-meta-mode: " mode, "x-amz-meta-uid: " uid, "x-amz-meta-gid: " gid, "x-amz-meta-mtime: 1234567890"

static void s3fs_by_an_administrator(void **state UNUSED)
{
    assert_answer(CALL("PUT", "/bucket/key", TEXT, S3FS("33184", "1000", "100")), 200, NULL);
    struct stat st = stat_of("key");
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(st.st_uid, 1000);
    assert_int_equal(st.st_gid, 100);
    assert_int_equal(st.st_mtim.tv_sec, 1234567890);
    assert_int_equal(chmod(posix_path("key"), 0600), 0);
    assert_int_equal(chown(posix_path("key"), 1001, 101), 0);
    struct s3_answer *a = s3_do(e, "HEAD", "/bucket/key", NULL);
    assert_header(a, "x-amz-meta-mode", "33152");
    assert_header(a, "x-amz-meta-uid", "1001");
    assert_header(a, "x-amz-meta-gid", "101");
    assert_header(a, "x-amz-meta-mtime", "1234567890");
    assert_header(a, "ETag", TEXT_ETAG);
    assert_answer(CALL("PUT", "/bucket/d/", "", S3FS("16832", "1000", "100")), 200, NULL);
    st = stat_of("d");
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(st.st_uid, 1000);
    assert_header(s3_do(e, "HEAD", "/bucket/d/", NULL), "x-amz-meta-mode", "16832");
}

static void datasync(void **state UNUSED)
{
    assert_answer(CALL("PUT", "/bucket/key", TEXT, "x-amz-meta-file-permissions: 0640", "x-amz-meta-file-owner: 1000",
                       "x-amz-meta-file-group: 100", "x-amz-meta-file-mtime: 1234567890123ms"),
                  200, NULL);
    struct stat st = stat_of("key");
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(st.st_uid, 1000);
    assert_int_equal(st.st_gid, 100);
    assert_int_equal(st.st_mtim.tv_sec, 1234567890);
    assert_int_equal(st.st_mtim.tv_nsec, 123000000);
}

/* Owners are for those who may: never by a user who is no administrator and has no POSIX identity. */
static void owners_by_users(void **state UNUSED)
{
    s3_engine_add_user(e, "alice", NULL, false);
    struct s3_call call = {.method = "PUT", .target = "/bucket/key", .headers = {S3FS("35300", "1000", "100")},
                           .body = STR(TEXT), .access_key = "alice"};
    assert_answer(s3_call(e, &call), 200, NULL); /* 35300 is 0104744: set-uid is never taken */
    struct stat st = stat_of("key");
    assert_int_equal(st.st_uid, getuid());
    assert_int_equal(st.st_mode & 07777, 0744);
    assert_header(s3_do(e, "HEAD", "/bucket/key", NULL), "x-amz-meta-uid", "1000"); /* as sent: POSIX has not changed it */
}

static void owners_by_posix_users(void **state UNUSED)
{
    if (geteuid() != 0)
        skip();
    s3_engine_add_posix_user(e, "carol", 1000, 100);
    s3_engine_add_posix_user(e, "dave", 1001, 101);
    assert_int_equal(chmod(posix_path("."), 0777), 0);
    for (const char *dir = s3_engine_root(e); strrchr(dir, '/') != dir;) {
        assert_int_equal(chmod(dir, 0755), 0);
        dir = arena_dupz(s3_engine_arena(e), str_of(dir, (size_t)(strrchr(dir, '/') - dir)));
        if (strcmp(dir, "/tmp") == 0)
            break;
    }
    struct s3_call call = {.method = "PUT", .target = "/bucket/own/key", .headers = {S3FS("33152", "1001", "101")},
                           .body = STR(TEXT), .access_key = "carol"};
    assert_answer(s3_call(e, &call), 200, NULL);
    struct stat st = stat_of("own/key");
    assert_int_equal(st.st_uid, 1000);
    assert_int_equal(st.st_gid, 100);
    assert_int_equal(st.st_mode & 07777, 0600);
    call = (struct s3_call){.method = "GET", .target = "/bucket/own/key", .access_key = "dave"};
    assert_answer(s3_call(e, &call), 403, "AccessDenied");
    call.access_key = "carol";
    assert_str(s3_call(e, &call)->body, TEXT);
    call = (struct s3_call){.method = "DELETE", .target = "/bucket/own/key", .access_key = "dave"};
    assert_answer(s3_call(e, &call), 403, "AccessDenied");
    call.access_key = "carol";
    assert_answer(s3_call(e, &call), 204, NULL);
    call = (struct s3_call){.method = "PUT", .target = "/bucket/own/", .body = STR(""), .access_key = "carol"};
    assert_answer(s3_call(e, &call), 200, NULL);
    assert_int_equal(stat_of("own").st_uid, 1000);
}

/* New files take on what their directory passes on. */
static void the_group_of_a_setgid_directory(void **state UNUSED)
{
    if (geteuid() != 0)
        skip();
    assert_int_equal(mkdir(posix_path("shared"), 0755), 0);
    assert_int_equal(chown(posix_path("shared"), 0, 4242), 0);
    assert_int_equal(chmod(posix_path("shared"), 02775), 0);
    assert_answer(s3_do(e, "PUT", "/bucket/shared/sub/key", TEXT), 200, NULL);
    assert_int_equal(stat_of("shared/sub/key").st_gid, 4242);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_file_is_an_object),
        TEST(a_changed_object_keeps_what_still_holds),
        TEST(a_change_in_the_same_tick_shows),
        TEST(readers_keep_what_they_opened),
        TEST(a_renamed_or_copied_file_keeps_its_record),
        TEST(foreign_bytes_in_the_record),
        TEST(rclone),
        TEST(s3fs_by_an_administrator),
        TEST(datasync),
        TEST(owners_by_users),
        TEST(owners_by_posix_users),
        TEST(the_group_of_a_setgid_directory),
#undef TEST
    };
    return cmocka_run_group_tests_name(sidecar ? "sidecar" : "xattr", tests, NULL, NULL);
}

int main(void)
{
    int failed = run();
    sidecar = true;
    return failed + run();
}
