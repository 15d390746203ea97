#include "gateway/progress.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mutex.h"

#define TTY_INTERVAL_MS 100
#define LOG_INTERVAL_MS 10000
#define LINE_BYTES_MAX 512
#define TTY_WIDTH_DEFAULT 80
/* The rate is that of the last ten seconds, one sample a second. */
#define RATE_SAMPLES 10
#define RATE_SAMPLE_MS 1000
/* Nobody believes more. */
#define SECONDS_LEFT_MAX (1000 * 3600)

struct sample {
    uint64_t at_ms, done;
};

struct gw_progress_view {
    struct job *job;
    struct gw_progress_options options;
    bool tty;
    pthread_t thread;
    int end; /* eventfd */
    int signals;
    sigset_t mask_before;
    atomic_bool interrupted;
    atomic_bool output_failed;
    /* of the thread alone */
    const char *phase;
    struct sample samples[RATE_SAMPLES];
    size_t sample_count;

    struct mutex lock; /* one at a time on the terminal */
    bool line_shown;
};

/* The text */

void gw_progress_bytes(struct buf *out, uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;
    if (bytes < 1024) {
        buf_addf(out, "%llu B", (unsigned long long)bytes);
        return;
    }
    for (; value >= 1023.95 && unit + 1 < ARRAY_SIZE(units); unit++)
        value /= 1024;
    buf_addf(out, "%.1f %s", value, units[unit]);
}

static void add_amount(struct buf *out, uint64_t amount, enum job_unit unit)
{
    if (unit == JOB_BYTES)
        gw_progress_bytes(out, amount);
    else
        buf_add_u64(out, amount);
}

static void add_time_left(struct buf *out, double seconds)
{
    if (seconds > SECONDS_LEFT_MAX)
        return;
    uint64_t s = (uint64_t)seconds + 1;
    if (s >= 3600)
        buf_addf(out, ", %llu:%02u:%02u left", (unsigned long long)(s / 3600), (unsigned)(s / 60 % 60), (unsigned)(s % 60));
    else
        buf_addf(out, ", %u:%02u left", (unsigned)(s / 60), (unsigned)(s % 60));
}

void gw_progress_text(const struct gw_progress_state *s, struct buf *out)
{
    const struct job *j = s->job;
    const char *phase = atomic_load(&j->phase);
    enum job_unit unit = (enum job_unit)atomic_load(&j->unit);
    uint64_t done = atomic_load(&j->done), total = atomic_load(&j->total);
    const char *separator = "; ";
    buf_addf(out, "%s: ", s->title);
    if (!phase) {
        buf_addz(out, "starting");
        return;
    }
    buf_addf(out, "%s ", phase);
    add_amount(out, done, unit);
    if (total > 0) {
        buf_addc(out, '/');
        add_amount(out, total, unit);
        buf_addf(out, " (%u%%)", (unsigned)(done >= total ? 100 : (double)done * 100 / (double)total));
    }
    if (s->rate >= 0.5) {
        buf_addz(out, ", ");
        add_amount(out, (uint64_t)(s->rate + 0.5), unit);
        buf_addz(out, "/s");
    }
    if (s->rate > 0 && total > done)
        add_time_left(out, (double)(total - done) / s->rate);
    for (size_t i = 0; i < j->tally_count; i++) {
        uint64_t value = job_tallied(j, i);
        if (value == 0)
            continue;
        buf_addz(out, separator);
        add_amount(out, value, j->tallies[i].unit);
        buf_addf(out, " %s", j->tallies[i].name);
        separator = ", ";
    }
}

/* The line */

static double rate_now(struct gw_progress_view *v)
{
    uint64_t now = clock_mono_ms(), done = atomic_load(&v->job->done);
    const char *phase = atomic_load(&v->job->phase);
    if (phase != v->phase || v->sample_count == 0 || done < v->samples[0].done) {
        v->phase = phase;
        v->samples[0] = (struct sample){now, done};
        v->sample_count = 1;
        return 0;
    }
    struct sample first = v->samples[0];
    if (now - v->samples[v->sample_count - 1].at_ms >= RATE_SAMPLE_MS) {
        if (v->sample_count == RATE_SAMPLES)
            memmove(v->samples, v->samples + 1, (--v->sample_count) * sizeof(v->samples[0]));
        v->samples[v->sample_count++] = (struct sample){now, done};
    }
    return now - first.at_ms < RATE_SAMPLE_MS ? 0 : (double)(done - first.done) * 1000 / (double)(now - first.at_ms);
}

static size_t terminal_width(int fd)
{
    struct winsize size;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : TTY_WIDTH_DEFAULT;
}

/* Progress that cannot be shown is no reason to stop. */
static void write_out(const struct gw_progress_view *v, const struct buf *text)
{
    ssize_t n = write(v->options.fd, buf_z(text), text->len);
    (void)n;
}

static void show(struct gw_progress_view *v)
{
    char memory[LINE_BYTES_MAX + 16];
    struct buf line = buf_over(memory, sizeof(memory));
    struct gw_progress_state state = {.title = v->options.title, .job = v->job, .rate = rate_now(v)};
    size_t start = v->tty ? 1 : 0, width = v->tty ? terminal_width(v->options.fd) - 1 : LINE_BYTES_MAX;
    if (v->tty)
        buf_addc(&line, '\r');
    gw_progress_text(&state, &line);
    if (line.len > start + width)
        buf_truncate(&line, start + width);
    buf_addz(&line, v->tty ? "\033[K" : "\n");
    mutex_lock(&v->lock);
    write_out(v, &line);
    v->line_shown = v->tty;
    mutex_unlock(&v->lock);
}

/* With the lock held. */
static void take_line_off(struct gw_progress_view *v)
{
    char memory[8];
    struct buf clear = buf_over(memory, sizeof(memory));
    if (!v->line_shown)
        return;
    buf_addz(&clear, "\r\033[K");
    write_out(v, &clear);
    v->line_shown = false;
}

void gw_progress_print(struct gw_progress_view *v, struct str text)
{
    if (text.len == 0)
        return;
    mutex_lock(&v->lock);
    take_line_off(v);
    if (fwrite(text.ptr, 1, text.len, stdout) != text.len || (v->tty && fflush(stdout) != 0)) {
        atomic_store(&v->output_failed, true);
        job_stop(v->job);
    }
    mutex_unlock(&v->lock);
}

/* Signals */

static void say(struct gw_progress_view *v, const char *what)
{
    char memory[LINE_BYTES_MAX];
    struct buf line = buf_over(memory, sizeof(memory));
    buf_addf(&line, "%s: %s\n", v->options.title, what);
    mutex_lock(&v->lock);
    take_line_off(v);
    write_out(v, &line);
    mutex_unlock(&v->lock);
}

static void take_signal(struct gw_progress_view *v)
{
    struct signalfd_siginfo info;
    if (read(v->signals, &info, sizeof(info)) != sizeof(info))
        return;
    if (atomic_exchange(&v->interrupted, true))
        _exit(GW_EXIT_INTERRUPTED);
    job_stop(v->job);
    say(v, "stopping; a second signal ends it at once");
}

static void *run(void *arg)
{
    struct gw_progress_view *v = arg;
    struct pollfd fds[] = {{.fd = v->end, .events = POLLIN}, {.fd = v->signals, .events = POLLIN}};
    uint64_t next_ms = clock_mono_ms() + v->options.interval_ms;
    for (;;) {
        uint64_t now = clock_mono_ms();
        if (now >= next_ms) {
            if (!v->options.quiet)
                show(v);
            next_ms = now + v->options.interval_ms;
        }
        if (poll(fds, ARRAY_SIZE(fds), (int)(next_ms - now)) < 0 && errno != EINTR)
            return NULL;
        if (fds[0].revents)
            return NULL;
        if (fds[1].revents)
            take_signal(v);
    }
}

static bool is_terminal(int fd)
{
    const char *term = getenv("TERM");
    return isatty(fd) && !str_is(str_z(term), "dumb");
}

struct gw_progress_view *gw_progress_start(struct job *job, const struct gw_progress_options *options)
{
    struct gw_progress_view *v = calloc(1, sizeof(*v));
    sigset_t mask;
    CHECK(v != NULL);
    v->job = job;
    v->options = *options;
    v->options.fd = options->fd ? options->fd : STDERR_FILENO;
    v->tty = is_terminal(v->options.fd);
    if (v->options.interval_ms == 0)
        v->options.interval_ms = v->tty ? TTY_INTERVAL_MS : LOG_INTERVAL_MS;
    mutex_init(&v->lock);
    sigemptyset(&mask);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGHUP);
    CHECK(pthread_sigmask(SIG_BLOCK, &mask, &v->mask_before) == 0);
    v->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    v->end = eventfd(0, EFD_CLOEXEC);
    CHECK(v->signals >= 0);
    CHECK(v->end >= 0);
    thread_start(&v->thread, "progress", run, v);
    return v;
}

int gw_progress_end(struct gw_progress_view *v)
{
    uint64_t one = 1;
    CHECK(write(v->end, &one, sizeof(one)) == sizeof(one));
    pthread_join(v->thread, NULL);
    mutex_lock(&v->lock);
    take_line_off(v);
    mutex_unlock(&v->lock);
    bool failed = atomic_load(&v->output_failed) || fflush(stdout) != 0;
    int code = failed ? 1 : atomic_load(&v->interrupted) ? GW_EXIT_INTERRUPTED : 0;
    if (failed)
        fputs("sluice: cannot write to standard output\n", stderr);
    close(v->end);
    close(v->signals);
    pthread_sigmask(SIG_SETMASK, &v->mask_before, NULL);
    mutex_done(&v->lock);
    free(v);
    return code;
}
