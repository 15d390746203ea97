#include "vfs/dir/view_cache.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "vfs/dir/delta.h"
#include "vfs/dir/dir_internal.h"
#include "vfs/dir/view.h"
#include "vfs/dir/watch.h"

/* When is a view still true?
 *
 * On a filesystem that only this kernel changes, the directory is watched from before it is read: what the kernel tells of
 * since is looked at again by name and kept beside the view as a delta.
 *
 * Elsewhere, as long as the directory's times are the same. But they advance in ticks: a change made after the view was
 * built, in the tick of the change before it, leaves no trace. So a view is kept only if that tick was surely over when it
 * was built: by the clock, where it is the one the times are taken from; else by having seen the same times long enough
 * before. One that is not kept serves the scan that built it, and its times are remembered for the latter rule. */

/* Smaller views are built about as fast as they are found. */
#define CACHE_COUNT_MIN 512
/* Directories that say they are larger are read by one thread at a time, and few of them at once: each such build takes
 * tens of MiB for a while. Where directories do not tell their size, the first reading does. */
#define LARGE_DIR_BYTES (64 * 1024)
#define LARGE_BUILDS_MAX 2
/* Names of about half a million entries; larger views are files. */
#define VIEW_MEMORY_MAX (16u * 1024 * 1024)
/* Beyond this many changes a new view is cheaper. */
#define CHANGES_MAX 16384
/* In memory and in temporary files. */
#define CACHE_BYTES_MAX (32u * 1024 * 1024)
#define CACHE_FILE_BYTES_MAX (4ull * 1024 * 1024 * 1024)
#define CACHE_ENTRIES_MAX 1024

#define NOT_WATCHED (-1)

struct dir_state {
    uint64_t dev, ino;
    int64_t mtime_ns, ctime_ns;
    int64_t size;
};

struct entry {
    struct list link; /* in lru, most recent first */
    struct dir_state state;
    uint64_t seen_ns; /* when that state was first met, monotonic */
    /* Together the directory's content: always, when watched, but for the names that `changed` has; else in `state`. */
    struct view *view; /* NULL: nothing is kept */
    struct delta *delta;
    struct names changed;
    int watch_id;
    bool is_busy; /* a thread is building or refreshing it, outside of the lock */
};

struct view_cache {
    uint64_t private_dev;
    struct view_room room;
    struct metric *built_total;
    struct mutex lock;   /* guards what follows */
    struct cond settled; /* an entry is no longer busy */
    struct map *entries; /* dev and ino -> struct entry */
    struct list lru;
    struct watch *watch; /* NULL: changes are not told */
    struct map *watched; /* watch_id -> struct entry */
    uint64_t bytes, file_bytes;
    unsigned builds;
};

struct view_cache *view_cache_new(dev_t private_dev, int spill_fd)
{
    struct view_cache *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    c->private_dev = private_dev;
    c->room = (struct view_room){.memory_max = VIEW_MEMORY_MAX, .spill_fd = spill_fd};
    c->built_total = metric_get(METRIC_COUNTER, "sluice_dir_views_built_total", "",
                                "Times a directory was read and sorted for a listing.");
    mutex_init(&c->lock);
    cond_init(&c->settled);
    c->entries = map_new();
    c->watched = map_new();
    list_init(&c->lru);
    if (private_dev)
        c->watch = watch_new();
    return c;
}

/* Entries; the lock is held. */

static struct str key_of(const struct dir_state *s)
{
    _Static_assert(offsetof(struct dir_state, ino) == 8, "the key is the first two fields");
    return str_of((const char *)s, 16);
}

static struct str key_of_watch(const int *id)
{
    return str_of((const char *)id, sizeof(*id));
}

static void drop_content(struct view_cache *c, struct entry *e)
{
    if (e->view) {
        c->bytes -= view_bytes(e->view) + delta_bytes(e->delta);
        c->file_bytes -= view_file_bytes(e->view);
    }
    view_unref(e->view);
    delta_unref(e->delta);
    names_done(&e->changed);
    e->view = NULL;
    e->delta = NULL;
}

static void set_content(struct view_cache *c, struct entry *e, struct view *view, struct delta *delta)
{
    struct view *new_view = view_ref(view);
    struct delta *new_delta = delta_ref(delta);
    struct names changed = e->changed;
    e->changed = (struct names){0};
    drop_content(c, e);
    e->view = new_view;
    e->delta = new_delta;
    e->changed = changed;
    c->bytes += view_bytes(view) + delta_bytes(delta);
    c->file_bytes += view_file_bytes(view);
}

static void unwatch(struct view_cache *c, struct entry *e)
{
    if (e->watch_id == NOT_WATCHED)
        return;
    CHECK(map_remove(c->watched, key_of_watch(&e->watch_id)) == e);
    watch_remove(c->watch, e->watch_id);
    e->watch_id = NOT_WATCHED;
}

static void drop_entry(struct view_cache *c, struct entry *e)
{
    CHECK(!e->is_busy);
    unwatch(c, e);
    drop_content(c, e);
    list_remove(&e->link);
    CHECK(map_remove(c->entries, key_of(&e->state)) == e);
    free(e);
}

static bool is_over(const struct view_cache *c)
{
    return c->bytes > CACHE_BYTES_MAX || c->file_bytes > CACHE_FILE_BYTES_MAX ||
           map_count(c->entries) > CACHE_ENTRIES_MAX;
}

static void evict(struct view_cache *c)
{
    struct list *it = c->lru.prev;
    while (it != &c->lru && is_over(c)) {
        struct entry *e = list_entry(it, struct entry, link);
        it = it->prev;
        if (!e->is_busy)
            drop_entry(c, e);
    }
}

static bool same_state(const struct dir_state *a, const struct dir_state *b)
{
    return a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

/* The directory's entry, brought to the state that was just read. */
static struct entry *meet(struct view_cache *c, const struct dir_state *s)
{
    struct entry *e = map_get(c->entries, key_of(s));
    if (e) {
        list_remove(&e->link);
    } else {
        e = calloc(1, sizeof(*e));
        CHECK(e != NULL);
        e->watch_id = NOT_WATCHED;
        CHECK(map_set(c->entries, key_of(s), e) == NULL);
    }
    list_push_front(&c->lru, &e->link);
    if (e->seen_ns != 0 && same_state(&e->state, s))
        return e;
    if (e->watch_id == NOT_WATCHED)
        drop_content(c, e);
    e->state = *s;
    e->seen_ns = clock_mono_ns();
    return e;
}

void view_cache_free(struct view_cache *c)
{
    if (!c)
        return;
    while (!list_empty(&c->lru))
        drop_entry(c, list_entry(c->lru.next, struct entry, link));
    map_free(c->entries, NULL);
    map_free(c->watched, NULL);
    watch_free(c->watch);
    cond_done(&c->settled);
    mutex_done(&c->lock);
    free(c);
}

/* What the kernel tells; the lock is held. */

static void forget_watched(struct view_cache *c, struct entry *e)
{
    unwatch(c, e);
    drop_content(c, e);
}

static void on_changed(void *data, int id, struct str name)
{
    struct view_cache *c = data;
    struct entry *e = map_get(c->watched, key_of_watch(&id));
    if (!e || view_hides(name))
        return;
    names_add(&e->changed, name);
    if (e->changed.count > CHANGES_MAX)
        forget_watched(c, e);
}

static void on_ended(void *data, int id)
{
    struct view_cache *c = data;
    struct entry *e = map_get(c->watched, key_of_watch(&id));
    if (e)
        forget_watched(c, e);
}

static void on_lost(void *data)
{
    struct view_cache *c = data;
    list_for_each(it, &c->lru) {
        struct entry *e = list_entry(it, struct entry, link);
        if (e->watch_id != NOT_WATCHED)
            forget_watched(c, e);
    }
}

static void hear_changes(struct view_cache *c)
{
    const struct watch_sink sink = {.data = c, .changed = on_changed, .ended = on_ended, .lost = on_lost};
    if (c->watch && map_count(c->watched) > 0)
        watch_read(c->watch, &sink);
}

static void start_watching(struct view_cache *c, struct entry *e, int dir_fd)
{
    /* What is mounted inside may be another kind of filesystem. */
    bool can_watch = c->watch && e->watch_id == NOT_WATCHED && e->state.dev == c->private_dev;
    int id = can_watch ? watch_add(c->watch, dir_fd) : -1;
    if (id < 0)
        return; /* watched already, or to be judged by its times */
    e->watch_id = id;
    CHECK(map_set(c->watched, key_of_watch(&id), e) == NULL);
}

/* States */

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int read_state(int dir_fd, struct dir_state *out)
{
    struct stat st;
    if (fstat(dir_fd, &st) < 0)
        return -errno;
    *out = (struct dir_state){st.st_dev, st.st_ino, ns_of(st.st_mtim), ns_of(st.st_ctim), st.st_size};
    return 0;
}

/* Is the tick of the last change over? Asked before the directory is read. */
static bool is_settled(const struct view_cache *c, const struct dir_state *s, uint64_t seen_ns)
{
    int64_t tick_ns = dir_tick_ns(s->mtime_ns);
    int64_t last_ns = s->mtime_ns > s->ctime_ns ? s->mtime_ns : s->ctime_ns;
    struct timespec now;
    CHECK(clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0);
    if (s->dev == c->private_dev && ns_of(now) - last_ns > tick_ns)
        return true;
    return (int64_t)(clock_mono_ns() - seen_ns) > tick_ns;
}

/* Building */

/* The lock is not held. *out_true: the view is the directory's content for as long as its times are the same. */
static int build(struct view_cache *c, const struct dir_state *before, uint64_t seen_ns, int dir_fd,
                 struct view **out, bool *out_true)
{
    struct dir_state after;
    bool settled = is_settled(c, before, seen_ns);
    metric_add(c->built_total, 1);
    int r = view_build(dir_fd, &c->room, out);
    if (r == 0)
        *out_true = settled && read_state(dir_fd, &after) == 0 && same_state(before, &after);
    return r;
}

/* Nothing is known of the directory, and it is not said to be large. The lock is not held. */
static int build_unknown(struct view_cache *c, const struct dir_state *now, int dir_fd, struct view **out)
{
    bool is_true;
    int r = build(c, now, clock_mono_ns(), dir_fd, out, &is_true);
    if (r < 0 || view_count(*out) < CACHE_COUNT_MIN)
        return r;
    mutex_lock(&c->lock);
    struct entry *e = meet(c, now);
    if (is_true && !e->is_busy && e->watch_id == NOT_WATCHED)
        set_content(c, e, *out, NULL);
    evict(c);
    mutex_unlock(&c->lock);
    return 0;
}

/* The lock is held on entry and return, and is not in between; e stays. */
static void begin_work(struct view_cache *c, struct entry *e)
{
    e->is_busy = true;
    mutex_unlock(&c->lock);
}

static void end_work(struct view_cache *c, struct entry *e)
{
    mutex_lock(&c->lock);
    e->is_busy = false;
    cond_broadcast(&c->settled);
}

static int build_entry(struct view_cache *c, struct entry *e, int dir_fd, struct view **out)
{
    struct dir_state before = e->state;
    uint64_t seen_ns = e->seen_ns;
    bool is_true = false;
    start_watching(c, e, dir_fd);
    int id = e->watch_id;
    names_done(&e->changed); /* the reading that follows sees all of those */
    c->builds++;
    begin_work(c, e);
    int r = build(c, &before, seen_ns, dir_fd, out, &is_true);
    end_work(c, e);
    c->builds--;
    if (r == 0 && view_count(*out) >= CACHE_COUNT_MIN) {
        bool is_watched = id != NOT_WATCHED && e->watch_id == id;
        if (is_watched || (e->watch_id == NOT_WATCHED && is_true && same_state(&e->state, &before)))
            set_content(c, e, *out, NULL);
    } else {
        forget_watched(c, e);
    }
    evict(c);
    return r;
}

/* The view with the changes that were told of. The lock as above. */
static void refresh_entry(struct view_cache *c, struct entry *e, int dir_fd, struct view **out,
                          struct delta **out_delta)
{
    struct view *view = view_ref(e->view);
    struct delta *old = delta_ref(e->delta);
    struct names changed = e->changed;
    int id = e->watch_id;
    e->changed = (struct names){0};
    begin_work(c, e);
    struct delta *delta = delta_new(old, view, dir_fd, &changed);
    end_work(c, e);
    if (e->watch_id == id && delta_count(delta) <= CHANGES_MAX)
        set_content(c, e, view, delta);
    else
        forget_watched(c, e);
    evict(c);
    delta_unref(old);
    names_done(&changed);
    *out = view;
    *out_delta = delta;
}

/* The lock is held; e is not busy. */
static int get_from(struct view_cache *c, struct entry *e, int dir_fd, struct view **out, struct delta **out_delta)
{
    if (!e->view)
        return build_entry(c, e, dir_fd, out);
    if (e->changed.count > 0) {
        refresh_entry(c, e, dir_fd, out, out_delta);
        return 0;
    }
    *out = view_ref(e->view);
    *out_delta = delta_ref(e->delta);
    return 0;
}

int view_cache_get(struct view_cache *c, int dir_fd, struct view **out, struct delta **out_delta)
{
    *out_delta = NULL;
    for (;;) {
        struct dir_state now; /* anew in each turn: what another scan built while this one waited may be older */
        int r = read_state(dir_fd, &now);
        if (r < 0)
            return r;
        mutex_lock(&c->lock);
        hear_changes(c);
        if (now.size <= LARGE_DIR_BYTES && !map_get(c->entries, key_of(&now))) {
            mutex_unlock(&c->lock);
            return build_unknown(c, &now, dir_fd, out);
        }
        struct entry *e = meet(c, &now);
        bool must_wait = e->is_busy || (!e->view && c->builds >= LARGE_BUILDS_MAX);
        if (must_wait)
            cond_wait(&c->settled, &c->lock);
        else
            r = get_from(c, e, dir_fd, out, out_delta);
        mutex_unlock(&c->lock);
        if (!must_wait)
            return r;
    }
}
