#include "vfs/dir/fresh.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mutex.h"
#include "vfs/dir/dir_internal.h"

struct node_id {
    uint64_t dev, ino;
};

struct entry {
    struct list link; /* in order */
    int fd, parent_fd; /* the former keeps the inode's number from being another's */
    struct node_id id, parent;
};

struct fresh {
    struct mutex lock;  /* guards map and order */
    struct map *map;    /* struct node_id -> struct entry */
    struct list order;  /* the one that was looked at longest ago first */
    atomic_size_t count; /* nearly always 0: seen without the lock */
};

static struct str key_of(const struct node_id *id)
{
    return str_of((const char *)id, sizeof(*id));
}

static void entry_free(void *value)
{
    struct entry *e = value;
    if (!e)
        return;
    list_remove(&e->link);
    fd_closep(&e->fd);
    fd_closep(&e->parent_fd);
    free(e);
}

/* The lock is held. */
static struct entry *take(struct fresh *f, const struct node_id *id)
{
    struct entry *e = map_remove(f->map, key_of(id));
    if (e)
        list_remove(&e->link);
    atomic_store(&f->count, map_count(f->map));
    return e;
}

struct fresh *fresh_new(void)
{
    struct fresh *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    mutex_init(&f->lock);
    f->map = map_new();
    list_init(&f->order);
    return f;
}

void fresh_free(struct fresh *f)
{
    if (!f)
        return;
    map_free(f->map, entry_free);
    mutex_done(&f->lock);
    free(f);
}

static struct entry *entry_new(int dir_fd, int parent_fd)
{
    struct stat dir, parent;
    if (fstat(dir_fd, &dir) < 0 || fstat(parent_fd, &parent) < 0)
        return NULL;
    struct entry *e = calloc(1, sizeof(*e));
    CHECK(e != NULL);
    *e = (struct entry){
        .fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0),
        .parent_fd = openat(parent_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
        .id = {dir.st_dev, dir.st_ino},
        .parent = {parent.st_dev, parent.st_ino},
    };
    list_init(&e->link);
    if (e->fd >= 0 && e->parent_fd >= 0)
        return e;
    int error = errno;
    entry_free(e);
    errno = error;
    return NULL;
}

/* What other programs and gateways remove is not dropped by anyone. So each one that comes has two looked at, and none that is gone
 * stays for long. The lock is held. */
static void look_at_some(struct fresh *f)
{
    for (int i = 0; i < 2 && !list_empty(&f->order); i++) {
        struct entry *e = list_entry(f->order.next, struct entry, link);
        list_remove(&e->link);
        if (is_removed(e->fd))
            entry_free(take(f, &e->id));
        else
            list_push_back(&f->order, &e->link);
    }
}

int fresh_add(struct fresh *f, int dir_fd, int parent_fd)
{
    struct entry *e = entry_new(dir_fd, parent_fd);
    if (!e)
        return -errno;
    mutex_lock(&f->lock);
    look_at_some(f);
    struct entry *old = take(f, &e->id);
    CHECK(map_set(f->map, key_of(&e->id), e) == NULL);
    list_push_back(&f->order, &e->link);
    atomic_store(&f->count, map_count(f->map));
    mutex_unlock(&f->lock);
    entry_free(old);
    return 0;
}

void fresh_drop(struct fresh *f, dev_t dev, ino_t ino)
{
    if (atomic_load(&f->count) == 0)
        return;
    struct node_id id = {dev, ino};
    mutex_lock(&f->lock);
    struct entry *e = take(f, &id);
    mutex_unlock(&f->lock);
    entry_free(e);
}

int fresh_collect(struct fresh *f, dev_t dev, ino_t ino, int *fds, size_t max)
{
    if (atomic_load(&f->count) == 0)
        return 0;
    struct node_id id = {dev, ino};
    size_t count = 0;
    int r = 0;
    mutex_lock(&f->lock);
    struct entry *e;
    while (r == 0 && count < max && (e = map_get(f->map, key_of(&id)))) {
        fds[count] = fcntl(e->parent_fd, F_DUPFD_CLOEXEC, 0);
        r = fds[count] < 0 ? -errno : 0;
        count += r == 0;
        id = e->parent;
    }
    mutex_unlock(&f->lock);
    while (r < 0 && count > 0)
        fd_closep(&fds[--count]);
    return r < 0 ? r : (int)count;
}

void fresh_settle(struct fresh *f, dev_t dev, ino_t ino, int count)
{
    struct node_id id = {dev, ino};
    for (int i = 0; i < count; i++) {
        mutex_lock(&f->lock);
        struct entry *e = take(f, &id);
        mutex_unlock(&f->lock);
        if (!e)
            return;
        id = e->parent;
        entry_free(e);
    }
}
