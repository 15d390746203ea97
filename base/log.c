#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/fd.h"
#include "base/mutex.h"

/* Longer fields are cut: a line must not grow with what a client sends. */
#define FIELDS_BYTES_MAX 4096
/* A byte takes at most six in JSON (\u0001). */
#define LINE_BYTES_MAX (6 * FIELDS_BYTES_MAX + 1024)

static const char *const level_names[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

static struct {
    enum log_level level; /* this and json: set before threads start */
    bool json;
    struct mutex lock; /* guards what follows, and keeps lines whole */
    int fd;
    char *path; /* NULL: stderr */
} logger = {.level = LOG_INFO, .lock = MUTEX_INIT, .fd = STDERR_FILENO};

static int open_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    return fd < 0 ? -errno : fd;
}

/* Call with the lock held. */
static void switch_fd(int fd)
{
    if (logger.fd != STDERR_FILENO)
        fd_closep(&logger.fd);
    logger.fd = fd;
}

int log_open(const char *path, enum log_level level, bool json)
{
    int fd = path ? open_file(path) : STDERR_FILENO;
    if (fd < 0)
        return fd;
    char *copy = path ? strdup(path) : NULL;
    CHECK(!path || copy); /* out of memory */
    mutex_lock(&logger.lock);
    switch_fd(fd);
    free(logger.path);
    logger.path = copy;
    logger.level = level;
    logger.json = json;
    mutex_unlock(&logger.lock);
    return 0;
}

void log_reopen(void)
{
    mutex_lock(&logger.lock);
    int fd = logger.path ? open_file(logger.path) : STDERR_FILENO;
    if (fd >= 0)
        switch_fd(fd);
    mutex_unlock(&logger.lock);
    /* The old file goes on being used: better there than nowhere. */
    if (fd < 0)
        log_error("log_reopen_failed", "errno=%d", -fd);
}

bool log_enabled(enum log_level level)
{
    return level <= logger.level;
}

/* Control bytes are escaped: a value from outside must not start a line of its own. */
static void add_one_line(struct buf *line, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 || c == 0x7F)
            buf_addf(line, "\\x%02x", c);
        else
            buf_addc(line, text.ptr[i]);
    }
}

static void add_text_line(struct buf *line, struct str time, enum log_level level, const char *event, struct str fields)
{
    buf_addf(line, "%.*s %s %s", STR_ARG(time), level_names[level], event);
    if (fields.len > 0)
        buf_addc(line, ' ');
    add_one_line(line, fields);
}

static void add_json_line(struct buf *line, struct str time, enum log_level level, const char *event, struct str fields)
{
    buf_addf(line, "{\"time\":\"%.*s\",\"level\":\"%s\",\"event\":", STR_ARG(time), level_names[level]);
    buf_add_json(line, str_z(event));
    buf_addz(line, ",\"fields\":");
    buf_add_json(line, fields);
    buf_addc(line, '}');
}

static void write_line(struct str line)
{
    mutex_lock(&logger.lock);
    /* Nobody is left to tell when the log cannot be written; the short write of a full disk is not continued, so that
     * other processes' lines in the same file stay whole. */
    ssize_t written = write(logger.fd, line.ptr, line.len);
    (void)written;
    mutex_unlock(&logger.lock);
}

void log_event(enum log_level level, const char *event, const char *fields, ...)
{
    if (!log_enabled(level))
        return;
    int saved_errno = errno;
    char text[FIELDS_BYTES_MAX];
    int len = 0;
    if (fields) {
        va_list args;
        va_start(args, fields);
        len = vsnprintf(text, sizeof(text), fields, args);
        va_end(args);
    }
    CHECK(len >= 0);
    struct str shown = str_of(text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);

    char time_text[CLOCK_TEXT_MAX];
    struct str time = clock_format_iso8601_ms(clock_wall_ns(), time_text);
    CLEANUP(buf_done) struct buf line = buf_make(LINE_BYTES_MAX);
    if (logger.json)
        add_json_line(&line, time, level, event, shown);
    else
        add_text_line(&line, time, level, event, shown);
    buf_addc(&line, '\n');
    write_line(buf_str(&line));
    errno = saved_errno;
}
