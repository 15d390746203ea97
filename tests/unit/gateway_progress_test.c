#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "gateway/progress.h"
#include "tests/support/unit.h"

#define TEXT_MAX 512
#define WAIT_MS 10000

static const struct job_tally tallies[] = {{"lost", JOB_COUNT}, {"read", JOB_BYTES}};

static void assert_text(const struct job *job, double rate, const char *expected)
{
    char memory[TEXT_MAX];
    struct buf out = buf_over(memory, sizeof(memory));
    struct gw_progress_state state = {.title = "fsck", .job = job, .rate = rate};
    gw_progress_text(&state, &out);
    assert_str(buf_str(&out), expected);
}

static void the_line_says_how_far_and_what_was_found(void **state)
{
    (void)state;
    struct job job;
    job_init(&job, tallies, ARRAY_SIZE(tallies));
    assert_text(&job, 0, "fsck: starting");
    job_phase(&job, "checking blocks", JOB_COUNT, 0);
    job_add(&job, 120);
    assert_text(&job, 0, "fsck: checking blocks 120");
    job_total(&job, 480);
    assert_text(&job, 60, "fsck: checking blocks 120/480 (25%), 60/s, 0:07 left");
    job_tally(&job, 0, 3);
    job_tally(&job, 1, 3 << 20);
    assert_text(&job, 0.1, "fsck: checking blocks 120/480 (25%), 1:00:01 left; 3 lost, 3.0 MiB read");
    job_add(&job, 400);
    assert_text(&job, 60, "fsck: checking blocks 520/480 (100%), 60/s; 3 lost, 3.0 MiB read");
    job_phase(&job, "reading", JOB_BYTES, 4ull << 30);
    job_add(&job, 1ull << 30);
    assert_text(&job, 1536, "fsck: reading 1.0 GiB/4.0 GiB (25%), 1.5 KiB/s, 582:32:33 left; 3 lost, 3.0 MiB read");
}

static void bytes_are_shown_in_their_unit(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {{0, "0 B"},
                {1023, "1023 B"},
                {1024, "1.0 KiB"},
                {1024 * 1024 - 1, "1.0 MiB"},
                {1536ull << 30, "1.5 TiB"},
                {UINT64_MAX, "16.0 EiB"}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char memory[TEXT_MAX];
        struct buf out = buf_over(memory, sizeof(memory));
        gw_progress_bytes(&out, rows[i].bytes);
        assert_str(buf_str(&out), rows[i].text);
    }
}

/* Everything that was shown, when the end of the pipe is closed. */
static struct str read_all(int fd, char *memory, size_t size)
{
    size_t len = 0;
    for (ssize_t n; len < size && (n = read(fd, memory + len, size - len)) > 0;)
        len += (size_t)n;
    return str_of(memory, len);
}

static void logs_get_lines(void **state)
{
    (void)state;
    struct job job;
    int ends[2];
    char first[128], rest[64 * 1024];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    job_init(&job, NULL, 0);
    job_phase(&job, "counting", JOB_COUNT, 10);
    struct gw_progress_options options = {.title = "gc", .fd = ends[1], .interval_ms = 10};
    struct gw_progress_view *v = gw_progress_start(&job, &options);
    ssize_t n = read(ends[0], first, sizeof(first));
    job_add(&job, 10);
    assert_int_equal(gw_progress_end(v), 0);
    close(ends[1]);
    struct str shown = read_all(ends[0], rest, sizeof(rest));
    close(ends[0]);
    assert_true(str_starts(str_of(first, (size_t)n), STR("gc: counting 0/10 (0%)\n")));
    assert_int_equal(str_find_char(shown, '\r'), -1);
    assert_int_equal(str_find_char(shown, '\033'), -1);
}

static void quiet_shows_nothing(void **state)
{
    (void)state;
    struct job job;
    int ends[2];
    char memory[64];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    job_init(&job, NULL, 0);
    struct gw_progress_options options = {.title = "gc", .quiet = true, .fd = ends[1], .interval_ms = 1};
    struct gw_progress_view *v = gw_progress_start(&job, &options);
    usleep(20000);
    assert_int_equal(gw_progress_end(v), 0);
    close(ends[1]);
    assert_int_equal(read_all(ends[0], memory, sizeof(memory)).len, 0);
    close(ends[0]);
}

static void a_signal_stops_the_job(void **state)
{
    (void)state;
    struct job job;
    sigset_t before, after;
    job_init(&job, NULL, 0);
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    CLEANUP(fd_closep) int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct gw_progress_options options = {.title = "gc", .quiet = true, .fd = nowhere};
    struct gw_progress_view *v = gw_progress_start(&job, &options);
    assert_false(job_stopped(&job));
    kill(getpid(), SIGTERM);
    for (uint64_t until = clock_mono_ms() + WAIT_MS; !job_stopped(&job) && clock_mono_ms() < until;)
        usleep(1000);
    assert_true(job_stopped(&job));
    assert_int_equal(gw_progress_end(v), GW_EXIT_INTERRUPTED);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    assert_int_equal(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
}

static void nobody_need_watch(void **state)
{
    (void)state;
    job_phase(NULL, "x", JOB_COUNT, 1);
    job_add(NULL, 1);
    job_tally(NULL, 7, 1);
    job_stop(NULL);
    assert_false(job_stopped(NULL));
    assert_int_equal(job_tallied(NULL, 7), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_says_how_far_and_what_was_found),
        cmocka_unit_test(bytes_are_shown_in_their_unit),
        cmocka_unit_test(logs_get_lines),
        cmocka_unit_test(quiet_shows_nothing),
        cmocka_unit_test(a_signal_stops_the_job),
        cmocka_unit_test(nobody_need_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
