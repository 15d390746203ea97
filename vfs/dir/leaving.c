#include "vfs/dir/leaving.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"

/* More young files than these are not overwritten within a tick by requests that wait for disks and networks. */
#define GRAVES_MAX 256

struct graves {
    struct mutex lock; /* guards what follows */
    struct grave {
        int fd;
        uint64_t until_ns; /* monotonic */
    } ring[GRAVES_MAX];
    size_t first;
    atomic_size_t count; /* read without the lock too */
};

struct graves *graves_new(void)
{
    struct graves *g = calloc(1, sizeof(*g));
    CHECK(g != NULL);
    mutex_init(&g->lock);
    return g;
}

static int take_first(struct graves *g)
{
    int fd = g->ring[g->first].fd;
    g->first = (g->first + 1) % GRAVES_MAX;
    g->count--;
    return fd;
}

void graves_free(struct graves *g)
{
    if (!g)
        return;
    while (g->count > 0) {
        int fd = take_first(g);
        fd_closep(&fd);
    }
    mutex_done(&g->lock);
    free(g);
}

static bool has_overdue(const struct graves *g, uint64_t now_ns)
{
    return g->count > 0 && g->ring[g->first].until_ns < now_ns;
}

/* A file keeps its space until then, so whatever leaves, also what is not kept, takes all along whose time is over. */
static void let_go(struct graves *g)
{
    int gone[GRAVES_MAX];
    size_t count = 0;
    if (atomic_load(&g->count) == 0)
        return;
    mutex_lock(&g->lock);
    uint64_t now_ns = clock_mono_ns();
    while (has_overdue(g, now_ns))
        gone[count++] = take_first(g);
    mutex_unlock(&g->lock);
    while (count > 0)
        fd_closep(&gone[--count]);
}

static void keep(struct graves *g, int fd, uint64_t until_ns)
{
    CLEANUP(fd_closep) int gone = -1;
    mutex_lock(&g->lock);
    if (g->count == GRAVES_MAX)
        gone = take_first(g);
    g->ring[(g->first + g->count) % GRAVES_MAX] = (struct grave){fd, until_ns};
    g->count++;
    mutex_unlock(&g->lock);
}

/* How long until the tick is over in which the node got its last attributes, which was not before it was made. */
static int64_t youth_ns(const struct vfs_attr *attr)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0);
    int64_t age_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - attr->ctime_ns;
    return dir_tick_ns(attr->ctime_ns) - age_ns;
}

void leaving_done(struct leaving *l)
{
    fd_closep(&l->fd);
}

int leaving_look(const struct place *p, struct leaving *out)
{
    CHECK(out->fd < 0);
    int r = attr_at(p->parent, p->name, &out->attr);
    /* While it has other names its number is not given out. */
    if (r == 0 && out->attr.type == VFS_FILE && out->attr.nlink == 1 && youth_ns(&out->attr) > 0)
        out->fd = openat(p->parent, p->name, O_PATH | O_NOFOLLOW | O_CLOEXEC); /* without it, the risk remains */
    return r;
}

void leaving_left(struct dir_volume *v, struct leaving *l)
{
    xattr_forget(v, &l->attr);
    let_go(v->graves);
    int64_t youth = youth_ns(&l->attr);
    if (l->fd >= 0 && youth > 0)
        keep(v->graves, fd_take(&l->fd), clock_mono_ns() + (uint64_t)youth);
}
