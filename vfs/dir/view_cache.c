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
#include "vfs/dir/dir_internal.h"
#include "vfs/dir/view.h"

/* When is a view still true? A directory's times tell of changes, but they advance in ticks: a change made after the view
 * was built, in the tick of the change before it, leaves no trace. So a view is kept for later scans only if that tick was
 * surely over when it was built:
 *  - by the clock, where it is the one that the times are taken from (a filesystem of this kernel);
 *  - else by having seen the same times long enough before.
 * One that is not kept serves the scan that built it, and its times are remembered for the second rule. */

/* Smaller views are built about as fast as they are found. */
#define CACHE_COUNT_MIN 512
/* Directories that say they are larger are read by one thread at a time, and few of them at once: each such build takes
 * tens of MiB for a while. Where directories do not tell their size, the first reading does. */
#define LARGE_DIR_BYTES (64 * 1024)
#define LARGE_BUILDS_MAX 2
/* Names of about half a million entries; larger views are files. */
#define VIEW_MEMORY_MAX (16u * 1024 * 1024)
/* In memory and in temporary files. */
#define CACHE_BYTES_MAX (32u * 1024 * 1024)
#define CACHE_FILE_BYTES_MAX (4ull * 1024 * 1024 * 1024)
#define CACHE_ENTRIES_MAX 1024

struct dir_state {
    uint64_t dev, ino;
    int64_t mtime_ns, ctime_ns;
    int64_t size;
};

struct entry {
    struct list link; /* in lru, most recent first */
    struct dir_state state;
    uint64_t seen_ns;  /* when that state was first met, monotonic */
    struct view *view; /* of that state for sure; NULL: only the state is remembered */
    bool is_building;
};

struct view_cache {
    bool is_private_fs;
    struct view_room room;
    struct metric *built_total;
    struct mutex lock; /* guards what follows */
    struct cond built;
    struct map *entries; /* dev and ino -> struct entry */
    struct list lru;
    uint64_t bytes, file_bytes;
    unsigned builds;
};

struct view_cache *view_cache_new(bool is_private_fs, int spill_fd)
{
    struct view_cache *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    c->is_private_fs = is_private_fs;
    c->room = (struct view_room){.memory_max = VIEW_MEMORY_MAX, .spill_fd = spill_fd};
    c->built_total = metric_get(METRIC_COUNTER, "sluice_dir_views_built_total", "",
                                "Times a directory was read and sorted for a listing.");
    mutex_init(&c->lock);
    cond_init(&c->built);
    c->entries = map_new();
    list_init(&c->lru);
    return c;
}

/* Entries; the lock is held. */

static struct str key_of(const struct dir_state *s)
{
    _Static_assert(offsetof(struct dir_state, ino) == 8, "the key is the first two fields");
    return str_of((const char *)s, 16);
}

static void drop_view(struct view_cache *c, struct entry *e)
{
    if (!e->view)
        return;
    c->bytes -= view_bytes(e->view);
    c->file_bytes -= view_file_bytes(e->view);
    view_unref(e->view);
    e->view = NULL;
}

static void drop_entry(struct view_cache *c, struct entry *e)
{
    CHECK(!e->is_building);
    drop_view(c, e);
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
        if (!e->is_building)
            drop_entry(c, e);
    }
}

static void store(struct view_cache *c, struct entry *e, struct view *view)
{
    drop_view(c, e);
    e->view = view_ref(view);
    c->bytes += view_bytes(view);
    c->file_bytes += view_file_bytes(view);
    evict(c);
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
        CHECK(map_set(c->entries, key_of(s), e) == NULL);
    }
    list_push_front(&c->lru, &e->link);
    if (e->seen_ns != 0 && same_state(&e->state, s))
        return e;
    drop_view(c, e);
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
    cond_done(&c->built);
    mutex_done(&c->lock);
    free(c);
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
    if (c->is_private_fs && ns_of(now) - last_ns > tick_ns)
        return true;
    return (int64_t)(clock_mono_ns() - seen_ns) > tick_ns;
}

/* Building; the lock is not held. */

static int build(struct view_cache *c, const struct dir_state *before, uint64_t seen_ns, int dir_fd,
                 struct view **out, bool *out_keep)
{
    struct dir_state after;
    bool settled = is_settled(c, before, seen_ns);
    metric_add(c->built_total, 1);
    int r = view_build(dir_fd, &c->room, out);
    if (r < 0)
        return r;
    *out_keep = settled && view_count(*out) >= CACHE_COUNT_MIN && read_state(dir_fd, &after) == 0 &&
                same_state(before, &after);
    return 0;
}

/* Nothing is known of the directory, and it is not said to be large. */
static int build_unknown(struct view_cache *c, const struct dir_state *now, int dir_fd, struct view **out)
{
    bool keep;
    int r = build(c, now, clock_mono_ns(), dir_fd, out, &keep);
    if (r < 0 || view_count(*out) < CACHE_COUNT_MIN)
        return r;
    mutex_lock(&c->lock);
    struct entry *e = meet(c, now);
    if (keep && !e->is_building)
        store(c, e, *out);
    evict(c);
    mutex_unlock(&c->lock);
    return 0;
}

/* The lock is held on entry and return, and e is not being built. */
static int build_entry(struct view_cache *c, struct entry *e, int dir_fd, struct view **out)
{
    struct dir_state before = e->state;
    uint64_t seen_ns = e->seen_ns;
    bool keep;
    e->is_building = true;
    c->builds++;
    mutex_unlock(&c->lock);
    int r = build(c, &before, seen_ns, dir_fd, out, &keep);
    mutex_lock(&c->lock);
    c->builds--;
    e->is_building = false;
    cond_broadcast(&c->built);
    /* Another scan may have met a newer state meanwhile. */
    if (r == 0 && keep && same_state(&e->state, &before))
        store(c, e, *out);
    evict(c);
    return r;
}

int view_cache_get(struct view_cache *c, int dir_fd, struct view **out)
{
    for (;;) {
        struct dir_state now; /* anew in each turn: what another scan built while this one waited may be older */
        int r = read_state(dir_fd, &now);
        if (r < 0)
            return r;
        mutex_lock(&c->lock);
        if (now.size <= LARGE_DIR_BYTES && !map_get(c->entries, key_of(&now))) {
            mutex_unlock(&c->lock);
            return build_unknown(c, &now, dir_fd, out);
        }
        struct entry *e = meet(c, &now);
        bool must_wait = e->is_building || (!e->view && c->builds >= LARGE_BUILDS_MAX);
        if (must_wait)
            cond_wait(&c->built, &c->lock);
        else if (e->view)
            *out = view_ref(e->view);
        else
            r = build_entry(c, e, dir_fd, out);
        mutex_unlock(&c->lock);
        if (!must_wait)
            return r;
    }
}
