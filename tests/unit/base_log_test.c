#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mutex.h"

static char path[] = "/tmp/base_log_test.XXXXXX";

static int start(void **state)
{
    (void)state;
    CLEANUP(fd_closep) int fd = mkstemp(path);
    clock_set_wall_for_test(1795341600123456789);
    return fd < 0 ? -1 : 0;
}

static int stop(void **state)
{
    (void)state;
    clock_set_wall_for_test(0);
    return log_open(NULL, LOG_INFO, false) < 0 ? -1 : unlink(path);
}

/* What was logged since the last call. */
static void take_lines(struct buf *out)
{
    buf_reset(out);
    assert_int_equal(fd_read_file(AT_FDCWD, path, out), 0);
    assert_int_equal(truncate(path, 0), 0);
}

static void text_lines(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf lines = buf_make(10000);
    assert_int_equal(log_open(path, LOG_INFO, false), 0);
    log_info("listening", "port=%d tls=%s", 9000, "off");
    log_warn("bare", NULL);
    log_error("forged", "name=\"%s\"", "a\nb\x7F\xC3\xBC");
    take_lines(&lines);
    assert_string_equal(buf_z(&lines), "2026-11-22T10:00:00.123Z info listening port=9000 tls=off\n"
                                       "2026-11-22T10:00:00.123Z warn bare\n"
                                       "2026-11-22T10:00:00.123Z error forged name=\"a\\x0ab\\x7f\xC3\xBC\"\n");
}

static void json_lines(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf lines = buf_make(10000);
    assert_int_equal(log_open(path, LOG_DEBUG, true), 0);
    log_debug("step", "name=\"%s\"", "a\nb");
    log_info("bare", NULL);
    take_lines(&lines);
    assert_string_equal(
        buf_z(&lines),
        "{\"time\":\"2026-11-22T10:00:00.123Z\",\"level\":\"debug\",\"event\":\"step\",\"fields\":\"name="
        "\\\"a\\nb\\\"\"}\n"
        "{\"time\":\"2026-11-22T10:00:00.123Z\",\"level\":\"info\",\"event\":\"bare\",\"fields\":\"\"}\n");
}

static void levels_filter(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf lines = buf_make(10000);
    assert_int_equal(log_open(path, LOG_WARN, false), 0);
    assert_true(log_enabled(LOG_ERROR));
    assert_true(log_enabled(LOG_WARN));
    assert_false(log_enabled(LOG_INFO));
    log_info("unseen", "n=%d", 1);
    log_debug("unseen", "n=%d", 1);
    take_lines(&lines);
    assert_string_equal(buf_z(&lines), "");
}

static void long_fields_are_cut(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf lines = buf_make(100000);
    assert_int_equal(log_open(path, LOG_INFO, true), 0);
    char *bells = malloc(10000);
    assert_non_null(bells);
    memset(bells, '\a', 9999);
    bells[9999] = '\0';
    log_info("long", "v=%s", bells);
    free(bells);
    take_lines(&lines);
    assert_true(str_ends(buf_str(&lines), STR("\\u0007\"}\n")));
    assert_in_range(lines.len, 6 * 4000, 6 * 4096 + 200);
}

static void reopening_follows_rotation(void **state)
{
    (void)state;
    char moved[sizeof(path) + 2];
    CLEANUP(buf_done) struct buf lines = buf_make(10000);
    (void)snprintf(moved, sizeof(moved), "%s.1", path);
    assert_int_equal(log_open(path, LOG_INFO, false), 0);
    assert_int_equal(rename(path, moved), 0);
    log_info("old", NULL);
    log_reopen();
    log_info("new", NULL);
    take_lines(&lines);
    assert_string_equal(buf_z(&lines), "2026-11-22T10:00:00.123Z info new\n");
    buf_reset(&lines);
    assert_int_equal(fd_read_file(AT_FDCWD, moved, &lines), 0);
    assert_string_equal(buf_z(&lines), "2026-11-22T10:00:00.123Z info old\n");
    assert_int_equal(unlink(moved), 0);
}

static void bad_paths_keep_the_log(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf lines = buf_make(10000);
    assert_int_equal(log_open(path, LOG_INFO, false), 0);
    assert_int_equal(log_open("/nonexistent/log", LOG_ERROR, true), -ENOENT);
    errno = 42;
    log_info("still", NULL);
    assert_int_equal(errno, 42);
    take_lines(&lines);
    assert_string_equal(buf_z(&lines), "2026-11-22T10:00:00.123Z info still\n");
}

static void *log_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++)
        log_info("thread", "text=%0100d", 0);
    return NULL;
}

static void lines_stay_whole(void **state)
{
    (void)state;
    pthread_t threads[4];
    CLEANUP(buf_done) struct buf lines = buf_make(1000000);
    assert_int_equal(log_open(path, LOG_INFO, false), 0);
    for (size_t i = 0; i < 4; i++)
        thread_start(&threads[i], "test", log_many, NULL);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    take_lines(&lines);
    struct str rest = buf_str(&lines), line;
    size_t count = 0;
    while (str_split(&rest, '\n', &line) && line.len > 0) {
        assert_int_equal(line.len, strlen("2026-11-22T10:00:00.123Z info thread text=") + 100);
        count++;
    }
    assert_int_equal(count, 800);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_lines),
        cmocka_unit_test(json_lines),
        cmocka_unit_test(levels_filter),
        cmocka_unit_test(long_fields_are_cut),
        cmocka_unit_test(reopening_follows_rotation),
        cmocka_unit_test(bad_paths_keep_the_log),
        cmocka_unit_test(lines_stay_whole),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
