#include "vfs/dir/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"

#define READ_BYTES (16 * 1024)
_Static_assert(READ_BYTES > sizeof(struct inotify_event) + NAME_MAX + 1, "an event fits");

struct watch {
    int fd;
};

struct watch *watch_new(void)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0)
        return NULL;
    struct watch *w = calloc(1, sizeof(*w));
    CHECK(w != NULL);
    w->fd = fd;
    return w;
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    fd_closep(&w->fd);
    free(w);
}

static int add(struct watch *w, int dir_fd, uint32_t more)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", dir_fd);
    int id = inotify_add_watch(w->fd, path, IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR | more);
    return id < 0 ? -errno : id;
}

int watch_add(struct watch *w, int dir_fd)
{
    return add(w, dir_fd, 0);
}

int watch_add_whole(struct watch *w, int dir_fd)
{
    return add(w, dir_fd, IN_MOVE_SELF);
}

void watch_remove(struct watch *w, int id)
{
    (void)inotify_rm_watch(w->fd, id); /* the directory may be gone, and the watch with it */
}

static void report(const struct watch_sink *sink, const struct inotify_event *e)
{
    if (e->mask & IN_Q_OVERFLOW)
        sink->lost(sink->data);
    else if (e->mask & (IN_IGNORED | IN_MOVE_SELF))
        sink->ended(sink->data, e->wd);
    else if (e->len > 0)
        sink->changed(sink->data, e->wd, str_z(e->name));
}

bool watch_is_quiet(const struct watch *w)
{
    int waiting;
    return ioctl(w->fd, FIONREAD, &waiting) == 0 && waiting == 0;
}

void watch_read(struct watch *w, const struct watch_sink *sink)
{
    alignas(struct inotify_event) char bytes[READ_BYTES];
    for (;;) {
        ssize_t size = read(w->fd, bytes, sizeof(bytes));
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return;
        for (ssize_t at = 0; at < size;) {
            const struct inotify_event *e = (const void *)(bytes + at);
            report(sink, e);
            at += (ssize_t)sizeof(*e) + e->len;
        }
    }
}
