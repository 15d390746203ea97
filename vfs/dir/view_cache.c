#include "vfs/dir/view_cache.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mutex.h"
#include "vfs/dir/dir_internal.h"
#include "vfs/dir/view.h"

/* When is a view still true? A directory's times tell of changes, but they advance in ticks: a change made after the view
 * was built, in the tick of the change before it, leaves no trace. So a view is trusted later on only if that tick was
 * surely over when it was built:
 *  - by the clock, where it is the one that the times are taken from (a filesystem of this kernel);
 *  - else by having seen the same times long enough before.
 * One that is not trusted serves the scan that built it, and its times are remembered for the second rule. */

/* The kernel's tick is 1 to 10 ms. */
#define TICK_NS (20 * 1000 * 1000ll)
/* A filesystem with times in full seconds (or two, FAT). */
#define COARSE_TICK_NS (2100 * 1000 * 1000ll)

/* Smaller views are built about as fast as they are found. */
#define CACHE_COUNT_MIN 512
/* A view of a million entries has about 31 MiB. */
#define CACHE_BYTES_MAX (48u * 1024 * 1024)
#define CACHE_ENTRIES_MAX 1024

struct dir_state {
    dev_t dev;
    ino_t ino;
    int64_t mtime_ns, ctime_ns;
};

struct entry {
    struct list link; /* in lru, most recent first */
    struct dir_state state;
    uint64_t seen_ns;   /* when that state was first met, monotonic */
    struct view *view;  /* trusted; NULL: only the state is remembered */
    bool is_building;
};

struct view_cache {
    bool is_private_fs;
    struct mutex lock; /* guards what follows */
    struct cond built;
    struct list lru;
    size_t count, bytes;
};

struct view_cache *view_cache_new(bool is_private_fs)
{
    struct view_cache *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    c->is_private_fs = is_private_fs;
    mutex_init(&c->lock);
    cond_init(&c->built);
    list_init(&c->lru);
    return c;
}

static void drop_view(struct view_cache *c, struct entry *e)
{
    if (!e->view)
        return;
    c->bytes -= view_bytes(e->view);
    view_unref(e->view);
    e->view = NULL;
}

static void drop_entry(struct view_cache *c, struct entry *e)
{
    CHECK(!e->is_building);
    drop_view(c, e);
    list_remove(&e->link);
    c->count--;
    free(e);
}

void view_cache_free(struct view_cache *c)
{
    if (!c)
        return;
    while (!list_empty(&c->lru))
        drop_entry(c, list_entry(c->lru.next, struct entry, link));
    cond_done(&c->built);
    mutex_done(&c->lock);
    free(c);
}

/* States */

static int read_state(int dir_fd, struct dir_state *out)
{
    struct vfs_attr attr;
    struct stat st;
    int r = attr_of_fd(dir_fd, &attr);
    if (r == 0 && fstat(dir_fd, &st) < 0)
        r = -errno;
    if (r == 0)
        *out = (struct dir_state){st.st_dev, st.st_ino, attr.mtime_ns, attr.ctime_ns};
    return r;
}

static bool same_state(const struct dir_state *a, const struct dir_state *b)
{
    return a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

static int64_t tick_of(const struct dir_state *s)
{
    return s->mtime_ns % 1000000000 == 0 ? COARSE_TICK_NS : TICK_NS;
}

static int64_t coarse_now_ns(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t last_change_ns(const struct dir_state *s)
{
    return s->mtime_ns > s->ctime_ns ? s->mtime_ns : s->ctime_ns;
}

/* Is the tick of the last change over? Asked before the directory is read. */
static bool is_settled(const struct view_cache *c, const struct dir_state *s, uint64_t seen_ns)
{
    if (c->is_private_fs && coarse_now_ns() - last_change_ns(s) > tick_of(s))
        return true;
    return (int64_t)(clock_mono_ns() - seen_ns) > tick_of(s);
}

/* Entries; the lock is held. */

static struct entry *find_entry(struct view_cache *c, const struct dir_state *s)
{
    list_for_each(it, &c->lru) {
        struct entry *e = list_entry(it, struct entry, link);
        if (e->state.dev == s->dev && e->state.ino == s->ino)
            return e;
    }
    return NULL;
}

static void touch(struct view_cache *c, struct entry *e)
{
    list_remove(&e->link);
    list_push_front(&c->lru, &e->link);
}

static void evict(struct view_cache *c)
{
    struct list *it = c->lru.prev;
    while (it != &c->lru && (c->bytes > CACHE_BYTES_MAX || c->count > CACHE_ENTRIES_MAX)) {
        struct entry *e = list_entry(it, struct entry, link);
        it = it->prev;
        if (!e->is_building)
            drop_entry(c, e);
    }
}

/* The directory's entry, brought to the state that was just read. */
static struct entry *meet(struct view_cache *c, const struct dir_state *s)
{
    struct entry *e = find_entry(c, s);
    if (!e) {
        e = calloc(1, sizeof(*e));
        CHECK(e != NULL);
        list_push_front(&c->lru, &e->link);
        c->count++;
    } else {
        touch(c, e);
        if (same_state(&e->state, s))
            return e;
        drop_view(c, e);
    }
    e->state = *s;
    e->seen_ns = clock_mono_ns();
    return e;
}

/* Builds outside of the lock, which is held on entry and return. */
static int build(struct view_cache *c, struct entry *e, int dir_fd, struct view **out)
{
    struct dir_state before = e->state, after;
    bool settled = is_settled(c, &before, e->seen_ns);
    e->is_building = true;
    mutex_unlock(&c->lock);
    struct view *view = NULL;
    int r = view_build(dir_fd, &view);
    bool unchanged = r == 0 && read_state(dir_fd, &after) == 0 && same_state(&before, &after);
    mutex_lock(&c->lock);
    e->is_building = false;
    cond_broadcast(&c->built);
    if (r < 0)
        return r;
    bool keep = unchanged && settled && view_count(view) >= CACHE_COUNT_MIN && view_bytes(view) <= CACHE_BYTES_MAX;
    if (keep && same_state(&e->state, &before)) {
        drop_view(c, e);
        e->view = view_ref(view);
        c->bytes += view_bytes(view);
    }
    evict(c);
    *out = view;
    return 0;
}

int view_cache_get(struct view_cache *c, int dir_fd, struct view **out)
{
    for (;;) {
        struct dir_state now; /* anew in each turn: what another scan found while this one waited may be older */
        int r = read_state(dir_fd, &now);
        if (r < 0)
            return r;
        mutex_lock(&c->lock);
        struct entry *e = meet(c, &now);
        bool must_wait = e->is_building;
        if (must_wait)
            cond_wait(&c->built, &c->lock);
        else if (e->view)
            *out = view_ref(e->view);
        else
            r = build(c, e, dir_fd, out);
        mutex_unlock(&c->lock);
        if (!must_wait)
            return r;
    }
}
