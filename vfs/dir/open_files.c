#include "vfs/dir/open_files.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/check.h"
#include "base/clock.h"

#define WAYS 4
#define SETS (OPEN_FILES_MAX / WAYS)
/* Most records have a few hundred; longer ones are read each time. */
#define RECORD_BYTES_MAX 1024

struct set {
    struct mutex lock; /* leaf */
    struct open_file *files[WAYS]; /* references, or NULL */
};

struct open_files {
    dev_t private_dev;
    size_t count_max;
    struct set sets[SETS];
    atomic_size_t count;
    struct mutex lock; /* guards what follows; leaf */
    struct cond wake;
    bool started, stop;
    pthread_t closer;
};

static bool keeps_none;

void open_files_keep_none_for_test(void)
{
    keeps_none = true;
}

/* A quarter of the descriptors that the process may have: connections and requests need the others. */
static size_t choose_count_max(void)
{
    struct rlimit limit;
    if (keeps_none)
        return 0;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur / 4 >= OPEN_FILES_MAX)
        return OPEN_FILES_MAX;
    return limit.rlim_cur / 4;
}

struct open_files *open_files_new(dev_t private_dev)
{
    struct open_files *c = calloc(1, sizeof(*c));
    CHECK(c != NULL); /* out of memory */
    c->private_dev = private_dev;
    c->count_max = choose_count_max();
    for (size_t i = 0; i < SETS; i++)
        mutex_init(&c->sets[i].lock);
    mutex_init(&c->lock);
    cond_init(&c->wake);
    return c;
}

void open_file_unref(struct open_file *f)
{
    if (!f || atomic_fetch_sub(&f->refs, 1) > 1)
        return;
    fd_closep(&f->fd);
    dir_handle_unref(f->h);
    free(atomic_load(&f->record));
    free(f);
}

/* Closing */

static bool is_over(const struct open_file *f, uint64_t now_ms)
{
    return now_ms - f->opened_ms >= OPEN_FILES_MS;
}

/* Those that are over, or all. */
static void close_some(struct open_files *c, struct set *set, bool all)
{
    struct open_file *gone[WAYS] = {NULL};
    uint64_t now_ms = clock_mono_ms();
    mutex_lock(&set->lock);
    for (size_t i = 0; i < WAYS; i++) {
        struct open_file *f = set->files[i];
        if (!f || (!all && !is_over(f, now_ms)))
            continue;
        gone[i] = f;
        set->files[i] = NULL;
        atomic_fetch_sub(&c->count, 1);
    }
    mutex_unlock(&set->lock);
    for (size_t i = 0; i < WAYS; i++)
        open_file_unref(gone[i]);
}

/* Sleeps while nothing is kept. */
static void *closer_main(void *arg)
{
    struct open_files *c = arg;
    mutex_lock(&c->lock);
    while (!c->stop) {
        if (atomic_load(&c->count) == 0)
            cond_wait(&c->wake, &c->lock);
        else
            (void)cond_wait_ms(&c->wake, &c->lock, OPEN_FILES_MS / 2); /* an interval; the end cuts it short */
        mutex_unlock(&c->lock);
        for (size_t i = 0; i < SETS; i++)
            close_some(c, &c->sets[i], false);
        mutex_lock(&c->lock);
    }
    mutex_unlock(&c->lock);
    return NULL;
}

static void wake_closer(struct open_files *c)
{
    mutex_lock(&c->lock);
    if (!c->started)
        thread_start(&c->closer, "open-files", closer_main, c);
    c->started = true;
    cond_signal(&c->wake);
    mutex_unlock(&c->lock);
}

void open_files_free(struct open_files *c)
{
    if (!c)
        return;
    mutex_lock(&c->lock);
    c->stop = true;
    cond_signal(&c->wake);
    mutex_unlock(&c->lock);
    if (c->started)
        CHECK(pthread_join(c->closer, NULL) == 0);
    for (size_t i = 0; i < SETS; i++) {
        close_some(c, &c->sets[i], true);
        mutex_done(&c->sets[i].lock);
    }
    cond_done(&c->wake);
    mutex_done(&c->lock);
    free(c);
}

/* Keeping */

static int64_t ctime_ns_of(const struct stat *st)
{
    return (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
}

static bool is_same(const struct vfs_attr *attr, const struct stat *looked)
{
    return attr->ino == looked->st_ino && attr->ctime_ns == ctime_ns_of(looked);
}

struct open_file *open_files_get(struct open_files *c, uint64_t hash, const struct dir_handle *h, struct str path,
                                 const struct stat *looked)
{
    struct open_file *found = NULL;
    if (c->private_dev == 0 || looked->st_dev != c->private_dev)
        return NULL;
    uint64_t now_ms = clock_mono_ms();
    struct set *set = &c->sets[hash % SETS];
    mutex_lock(&set->lock);
    for (size_t i = 0; i < WAYS && !found; i++) {
        struct open_file *f = set->files[i];
        if (f && f->h == h && is_same(&f->attr, looked) && str_eq(f->path, path) && !is_over(f, now_ms))
            found = f;
    }
    if (found)
        atomic_fetch_add(&found->refs, 1);
    mutex_unlock(&set->lock);
    return found;
}

static struct open_file *file_new(struct dir_handle *h, struct str path, int fd, const struct vfs_attr *attr)
{
    struct open_file *f = malloc(sizeof(*f) + path.len);
    CHECK(f != NULL); /* out of memory */
    *f = (struct open_file){
        .fd = fd,
        .attr = *attr,
        .opened_ms = clock_mono_ms(),
        .h = dir_handle_ref(h),
        .path = str_of(f->path_bytes, path.len),
    };
    memcpy(f->path_bytes, path.ptr, path.len);
    atomic_init(&f->refs, 2);
    atomic_init(&f->record, NULL);
    return f;
}

struct open_file *open_files_add(struct open_files *c, uint64_t hash, struct dir_handle *h, struct str path,
                                 const struct stat *looked, int fd, const struct vfs_attr *attr)
{
    if (c->private_dev == 0 || looked->st_dev != c->private_dev || !is_same(attr, looked) ||
        atomic_load(&c->count) >= c->count_max || clock_wall_ns() - attr->ctime_ns <= dir_tick_ns(attr->ctime_ns))
        return NULL;
    struct set *set = &c->sets[hash % SETS];
    struct open_file *f = NULL;
    bool is_first = false;
    mutex_lock(&set->lock);
    for (size_t i = 0; i < WAYS && !f; i++) {
        if (set->files[i])
            continue;
        f = set->files[i] = file_new(h, path, fd, attr);
        is_first = atomic_fetch_add(&c->count, 1) == 0;
    }
    mutex_unlock(&set->lock);
    if (is_first)
        wake_closer(c);
    return f;
}

void open_file_remember(struct open_file *f, const char *name, bool is_absent, struct str value)
{
    if (value.len > RECORD_BYTES_MAX || atomic_load(&f->record))
        return;
    struct open_record *r = calloc(1, sizeof(*r) + value.len), *none = NULL;
    CHECK(r != NULL); /* out of memory */
    r->name = name;
    r->is_absent = is_absent;
    r->value = str_of(r->bytes, value.len);
    if (value.len > 0)
        memcpy(r->bytes, value.ptr, value.len);
    if (!atomic_compare_exchange_strong(&f->record, &none, r))
        free(r); /* another thread was faster */
}
