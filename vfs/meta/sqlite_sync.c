#include "vfs/meta/sqlite_sync.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/mutex.h"

struct sq_sync {
    char path[PATH_MAX];
    struct mutex lock; /* leaf, not held while syncing */
    struct cond ended;
    int fd; /* of the log, which stays the same file as long as we have a connection; -1: not opened yet */
    bool running;
    uint64_t begun, done; /* syncs, by number */
    int result; /* the first failure: a later sync that works says nothing about what that one lost */
};

struct sq_sync *sq_sync_new(const char *path)
{
    struct sq_sync *s = calloc(1, sizeof(*s));
    CHECK(s != NULL); /* out of memory */
    const int size = snprintf(s->path, sizeof(s->path), "%s", path);
    CHECK(size > 0 && (size_t)size < sizeof(s->path)); /* it has been opened by this name */
    mutex_init(&s->lock);
    cond_init(&s->ended);
    s->fd = -1;
    return s;
}

void sq_sync_free(struct sq_sync *s)
{
    if (!s)
        return;
    CHECK(!s->running);
    if (s->fd >= 0)
        (void)close(s->fd); /* only read from: nothing is lost */
    cond_done(&s->ended);
    mutex_done(&s->lock);
    free(s);
}

/* By the one thread that runs it. SQLite locks nothing by the log itself, so that opening and closing it is no harm. */
static int sync_log(struct sq_sync *s)
{
    int rc = fault_point("meta.sync");
    if (rc < 0)
        return -EIO;
    if (s->fd < 0)
        s->fd = open(s->path, O_RDONLY | O_CLOEXEC);
    return s->fd >= 0 && fdatasync(s->fd) == 0 ? 0 : -EIO;
}

/* A sync that began before the commit may have missed it, so one that begins later is waited for. */
int sq_sync_wait(struct sq_sync *s)
{
    mutex_lock(&s->lock);
    const uint64_t mine = s->begun + 1;
    while (s->done < mine && s->running)
        cond_wait(&s->ended, &s->lock);
    if (s->done < mine) {
        s->running = true;
        s->begun++;
        mutex_unlock(&s->lock);
        int rc = sync_log(s);
        mutex_lock(&s->lock);
        s->running = false;
        s->done = s->begun;
        if (rc < 0)
            s->result = rc;
        cond_broadcast(&s->ended);
    }
    int rc = s->result;
    mutex_unlock(&s->lock);
    return rc;
}
