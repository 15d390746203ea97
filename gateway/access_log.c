#include "gateway/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/fd.h"
#include "base/http_head.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/mutex.h"

/* About 4,000 lines: a second of a busy gateway. */
#define BUFFER_BYTES (2 * 1024 * 1024)
/* The longest line: a target, a key and two headers, all of them escaped. */
#define LINE_BYTES (512 * 1024)
/* Lines wait at most this long for company. */
#define FLUSH_MS 200

struct gw_access_log {
    char *path; /* "-": stdout */
    pthread_t thread;
    struct metric *dropped;

    struct mutex lock; /* guards what follows */
    struct cond wake;
    struct buf lines;
    bool reopen, stopping;

    /* The thread's own. */
    int fd;
    struct buf writing;
};

/* The line */

/* Query parameters whose values could let a reader of the log act as the user. */
static const struct str secrets[] = {
    STR_INIT("X-Amz-Signature"), STR_INIT("Signature"), STR_INIT("X-Amz-Credential"), STR_INIT("X-Amz-Security-Token"),
    STR_INIT("AWSAccessKeyId"),
};

/* The name may be percent-encoded: it is decoded before it is compared. */
static bool is_secret(struct str raw_name)
{
    struct buf name = buf_make(64);
    bool found = !uri_decode(raw_name, true, &name) || name.failed;
    for (size_t i = 0; !found && i < ARRAY_SIZE(secrets); i++)
        found = str_eq_nocase(buf_str(&name), secrets[i]);
    buf_done(&name);
    return found;
}

static void redact_target(struct str target, struct buf *out)
{
    struct str path, query, param;
    http_split_target(target, &path, &query);
    buf_add(out, path);
    if (!query.ptr)
        return;
    char separator = '?';
    while (str_split(&query, '&', &param)) {
        ptrdiff_t equals = str_find_char(param, '=');
        struct str name = equals < 0 ? param : str_first(param, (size_t)equals);
        buf_addc(out, separator);
        separator = '&';
        /* A name that is secret or cannot be read keeps its value to itself. */
        if (equals >= 0 && is_secret(name)) {
            buf_add(out, name);
            buf_addz(out, "=-");
        } else {
            buf_add(out, param);
        }
    }
}

static void add_text(struct buf *out, const char *name, struct str value)
{
    if (value.len == 0)
        return;
    buf_addf(out, ",\"%s\":", name);
    buf_add_json(out, value);
}

static void add_number(struct buf *out, const char *name, uint64_t value)
{
    buf_addf(out, ",\"%s\":", name);
    buf_add_u64(out, value);
}

/* A referring page may be a presigned URL of ours. */
static void add_url(struct buf *out, const char *name, struct str url)
{
    struct buf clean = buf_make(LINE_BYTES);
    redact_target(url, &clean);
    add_text(out, name, buf_str(&clean));
    buf_done(&clean);
}

void gw_access_log_format(const struct gw_access *a, struct buf *out)
{
    char time[CLOCK_TEXT_MAX];
    buf_addz(out, "{\"time\":");
    buf_add_json(out, clock_format_iso8601_ms(a->start_wall_ns, time));
    add_text(out, "request_id", a->request_id);
    add_text(out, "remote", a->remote);
    add_text(out, "user", a->user);
    add_text(out, "access_key", a->access_key);
    add_text(out, "op", str_z(a->operation));
    add_text(out, "bucket", a->bucket);
    add_text(out, "key", a->key);
    add_text(out, "method", a->method);
    add_url(out, "target", a->target);
    add_number(out, "status", (uint64_t)a->status);
    add_text(out, "s3_code", str_z(a->s3_code));
    if (a->aborted)
        buf_addz(out, ",\"aborted\":true");
    add_number(out, "bytes_in", a->bytes_in);
    add_number(out, "bytes_out", a->bytes_out);
    add_number(out, "total_us", a->total_us);
    add_number(out, "ttfb_us", a->ttfb_us);
    add_number(out, "queue_us", a->queue_us);
    add_text(out, "user_agent", a->user_agent);
    add_url(out, "referer", a->referer);
    add_text(out, "tls", str_z(a->tls));
    add_text(out, "auth", str_z(a->auth));
    add_text(out, "signature", str_z(a->signature));
    buf_addz(out, "}\n");
}

/* Producers */

void gw_access_log_add(struct gw_access_log *l, const struct gw_access *a)
{
    if (!l)
        return;
    struct buf line = buf_make(LINE_BYTES);
    gw_access_log_format(a, &line);
    bool fits = !line.failed;
    mutex_lock(&l->lock);
    fits = fits && l->lines.len + line.len <= BUFFER_BYTES;
    if (fits) {
        if (l->lines.len == 0)
            cond_signal(&l->wake);
        buf_add(&l->lines, buf_str(&line));
    }
    mutex_unlock(&l->lock);
    buf_done(&line);
    if (!fits)
        metric_add(l->dropped, 1);
}

void gw_access_log_reopen(struct gw_access_log *l)
{
    if (!l)
        return;
    mutex_lock(&l->lock);
    l->reopen = true;
    cond_signal(&l->wake);
    mutex_unlock(&l->lock);
}

/* The writer */

static int open_path(const char *path)
{
    int fd = strcmp(path, "-") == 0 ? dup(STDOUT_FILENO) : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    return fd < 0 ? -errno : fd;
}

static void reopen(struct gw_access_log *l)
{
    int fd = open_path(l->path);
    if (fd < 0) {
        log_error("access_log_reopen", "path=\"%s\" error=\"%s\"", l->path, strerror(-fd));
        return;
    }
    (void)close(l->fd);
    l->fd = fd;
}

static void write_out(struct gw_access_log *l)
{
    int rc = fd_write_all(l->fd, l->writing.ptr, l->writing.len);
    if (rc < 0) {
        uint64_t lines = 0;
        for (size_t i = 0; i < l->writing.len; i++)
            lines += l->writing.ptr[i] == '\n';
        metric_add(l->dropped, lines);
        log_error("access_log_write", "path=\"%s\" error=\"%s\" lines=%llu", l->path, strerror(-rc),
                  (unsigned long long)lines);
    }
    buf_reset(&l->writing);
}

static void *writer_main(void *arg)
{
    struct gw_access_log *l = arg;
    bool stopping = false;
    while (!stopping) {
        mutex_lock(&l->lock);
        while (l->lines.len == 0 && !l->stopping && !l->reopen)
            cond_wait(&l->wake, &l->lock);
        if (!l->stopping && !l->reopen)
            (void)cond_wait_ms(&l->wake, &l->lock, FLUSH_MS); /* for company; a signal ends it early */
        struct buf full = l->lines;
        l->lines = l->writing;
        l->writing = full;
        bool wants_reopen = l->reopen;
        l->reopen = false;
        stopping = l->stopping;
        mutex_unlock(&l->lock);
        if (l->writing.len > 0)
            write_out(l);
        if (wants_reopen)
            reopen(l);
    }
    return NULL;
}

int gw_access_log_start(const char *path, struct gw_access_log **out)
{
    if (!path || strcmp(path, "off") == 0) {
        *out = NULL;
        return 0;
    }
    int fd = open_path(path);
    if (fd < 0)
        return fd;
    struct gw_access_log *l = calloc(1, sizeof(*l));
    CHECK(l != NULL); /* out of memory */
    l->path = strdup(path);
    CHECK(l->path != NULL); /* out of memory */
    l->fd = fd;
    l->lines = l->writing = buf_make(BUFFER_BYTES);
    l->dropped = metric_get(METRIC_COUNTER, "sluice_access_log_dropped_total", "",
                            "Lines lost because the access log could not be written fast enough.");
    mutex_init(&l->lock);
    cond_init(&l->wake);
    thread_start(&l->thread, "access-log", writer_main, l);
    *out = l;
    return 0;
}

void gw_access_log_stop(struct gw_access_log *l)
{
    if (!l)
        return;
    mutex_lock(&l->lock);
    l->stopping = true;
    cond_signal(&l->wake);
    mutex_unlock(&l->lock);
    CHECK(pthread_join(l->thread, NULL) == 0);
    (void)close(l->fd);
    buf_done(&l->lines);
    buf_done(&l->writing);
    cond_done(&l->wake);
    mutex_done(&l->lock);
    free(l->path);
    free(l);
}
