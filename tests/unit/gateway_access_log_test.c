#include "gateway/access_log.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "tests/support/unit.h"

static void lines_are_json_without_secrets(void **state)
{
    (void)state;
    struct gw_access a = {
        .start_wall_ns = 784111777000000000,
        .request_id = STR_INIT("00AA"),
        .remote = STR_INIT("192.0.2.1"),
        .user = STR_INIT("ann"),
        .access_key = STR_INIT("SLKEY"),
        .operation = "GetObject",
        .bucket = STR_INIT("b"),
        .key = STR_INIT("k \"q\"\n"),
        .method = STR_INIT("GET"),
        .target = STR_INIT("/b/k?X-Amz-Credential=SLKEY%2F2026&X-Amz-Signature=beef&x=1&x-amz-security-token=t&Si%67nature=s"),
        .status = 200,
        .bytes_out = 7,
        .total_us = 5,
        .user_agent = STR_INIT("agent"),
        .referer = STR_INIT("http://h/p?Signature=s&AWSAccessKeyId=a&y"),
        .auth = "QueryString",
    };
    struct buf out = buf_make(4096);
    gw_access_log_format(&a, &out);
    assert_str(buf_str(&out),
               "{\"time\":\"1994-11-06T08:49:37.000Z\",\"request_id\":\"00AA\",\"remote\":\"192.0.2.1\",\"user\":\"ann\","
               "\"access_key\":\"SLKEY\",\"op\":\"GetObject\",\"bucket\":\"b\",\"key\":\"k \\\"q\\\"\\n\",\"method\":\"GET\","
               "\"target\":\"/b/k?X-Amz-Credential=-&X-Amz-Signature=-&x=1&x-amz-security-token=-&Si%67nature=-\","
               "\"status\":200,\"bytes_in\":0,\"bytes_out\":7,\"total_us\":5,\"ttfb_us\":0,\"queue_us\":0,"
               "\"user_agent\":\"agent\",\"referer\":\"http://h/p?Signature=-&AWSAccessKeyId=-&y\",\"auth\":\"QueryString\"}\n");
    buf_done(&out);
}

static size_t lines_of(const char *path)
{
    struct buf text = buf_make(1 << 20);
    if (fd_read_file(AT_FDCWD, path, &text) < 0)
        return 0;
    size_t lines = 0;
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    buf_done(&text);
    return lines;
}

static void a_rotated_log_goes_on(void **state)
{
    (void)state;
    char path[] = "/tmp/sluice-access-XXXXXX", moved[64];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    snprintf(moved, sizeof(moved), "%s.1", path);
    struct gw_access_log *l = NULL;
    assert_int_equal(gw_access_log_start(path, &l), 0);
    struct gw_access a = {.method = STR_INIT("GET"), .target = STR_INIT("/")};
    for (int i = 0; i < 10; i++)
        gw_access_log_add(l, &a);
    for (int i = 0; i < 200 && lines_of(path) < 10; i++)
        usleep(10000);
    assert_int_equal(lines_of(path), 10);
    assert_int_equal(rename(path, moved), 0);
    gw_access_log_reopen(l);
    for (int i = 0; i < 200 && access(path, F_OK) < 0; i++)
        usleep(10000);
    gw_access_log_add(l, &a);
    gw_access_log_stop(l);
    assert_int_equal(lines_of(path), 1);
    assert_int_equal(lines_of(moved), 10);
    unlink(path);
    unlink(moved);
}

static void off_is_nothing(void **state)
{
    (void)state;
    struct gw_access_log *l = NULL;
    struct gw_access a = {.status = 200};
    assert_int_equal(gw_access_log_start("off", &l), 0);
    assert_null(l);
    gw_access_log_add(l, &a);
    gw_access_log_reopen(l);
    gw_access_log_stop(l);
    assert_true(gw_access_log_start("/nonexistent/dir/log", &l) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_json_without_secrets),
        cmocka_unit_test(a_rotated_log_goes_on),
        cmocka_unit_test(off_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
