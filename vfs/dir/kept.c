#include "vfs/dir/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/map.h"
#include "vfs/dir/watch.h"
#include "vfs/path.h"

#define SLOTS 64
/* A watch costs those who change the directory, so it is for what is asked for often. */
#define WATCHED_AFTER 16
#define NOT_WATCHED (-1)

/* What was seen, and since when. */
struct seen {
    bool is_true;
    uint64_t at_ms;
};

struct slot {
    struct mutex lock; /* guards what follows; leaf */
    char name[NAME_MAX + 1];
    struct dir_handle *h; /* a reference, or NULL; while it is open no other directory has its inode's number */
    dev_t dev;
    ino_t ino;
    unsigned asked;
    int watch_id;          /* of `.sluice` in it, or of the directory itself while there is none */
    bool watches_state;    /* the former */
    uint64_t changes;      /* grows with all that is reported, so that a look does not outlive one */
    struct seen named;     /* the name means h */
    struct seen absent;    /* `.sluice/LEAF` is not there */
    char leaf[NAME_MAX + 1];
};

struct kept {
    const struct dir_handle *root;
    dev_t private_dev;
    struct watch *watch; /* NULL: changes are not told */
    int root_id;
    struct mutex reading; /* whoever takes in what is reported; before the slots' */
    atomic_bool is_read;  /* somebody does */
    struct slot slots[SLOTS];
};

struct kept *kept_new(const struct dir_handle *root, dev_t private_dev)
{
    struct kept *k = calloc(1, sizeof(*k));
    CHECK(k != NULL); /* out of memory */
    k->root = root;
    k->private_dev = private_dev;
    k->watch = private_dev ? watch_new() : NULL;
    k->root_id = k->watch ? watch_add(k->watch, root->fd) : NOT_WATCHED;
    mutex_init(&k->reading);
    for (size_t i = 0; i < SLOTS; i++) {
        mutex_init(&k->slots[i].lock);
        k->slots[i].watch_id = NOT_WATCHED;
    }
    if (k->root_id < 0) {
        watch_free(k->watch);
        k->watch = NULL;
    }
    return k;
}

void kept_free(struct kept *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < SLOTS; i++) {
        if (k->slots[i].h)
            dir_handle_unref(k->slots[i].h);
        mutex_done(&k->slots[i].lock);
    }
    mutex_done(&k->reading);
    watch_free(k->watch);
    free(k);
}

static struct slot *slot_of(struct kept *k, struct str name)
{
    return &k->slots[hash_bytes(name) % SLOTS];
}

/* What is reported */

static void forget(struct slot *slot)
{
    slot->changes++;
    slot->named.is_true = slot->absent.is_true = false;
}

static void unwatch(struct kept *k, struct slot *slot)
{
    if (slot->watch_id != NOT_WATCHED)
        watch_remove(k->watch, slot->watch_id);
    slot->watch_id = NOT_WATCHED;
    slot->asked = 0;
    forget(slot);
}

static void on_changed(void *data, int id, struct str name)
{
    struct kept *k = data;
    if (id == k->root_id) {
        struct slot *slot = slot_of(k, name);
        mutex_lock(&slot->lock);
        forget(slot);
        mutex_unlock(&slot->lock);
        return;
    }
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *slot = &k->slots[i];
        mutex_lock(&slot->lock);
        if (slot->watch_id == id && slot->watches_state)
            forget(slot);
        else if (slot->watch_id == id && str_is(name, VFS_PATH_STATE_NAME))
            unwatch(k, slot); /* it is to be watched from now on */
        mutex_unlock(&slot->lock);
    }
}

static void on_ended(void *data, int id)
{
    struct kept *k = data;
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *slot = &k->slots[i];
        mutex_lock(&slot->lock);
        if (slot->watch_id == id)
            unwatch(k, slot);
        mutex_unlock(&slot->lock);
    }
}

static void on_lost(void *data)
{
    struct kept *k = data;
    for (size_t i = 0; i < SLOTS; i++) {
        mutex_lock(&k->slots[i].lock);
        unwatch(k, &k->slots[i]);
        mutex_unlock(&k->slots[i].lock);
    }
}

/* Afterwards all is forgotten that was reported before. Mostly nothing was, which takes no lock: is_read is set before a report leaves the
 * queue, and cleared when it has been taken in. */
static void catch_up(struct kept *k)
{
    if (!k->watch || (watch_is_quiet(k->watch) && !atomic_load(&k->is_read)))
        return;
    const struct watch_sink sink = {.data = k, .changed = on_changed, .ended = on_ended, .lost = on_lost};
    mutex_lock(&k->reading);
    atomic_store(&k->is_read, true);
    watch_read(k->watch, &sink);
    atomic_store(&k->is_read, false);
    mutex_unlock(&k->reading);
}

/* Watching; the slot's lock is held */

static int open_state(const struct slot *slot)
{
    return openat(slot->h->fd, VFS_PATH_STATE_NAME, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void watch_slot(struct kept *k, struct slot *slot)
{
    CLEANUP(fd_closep) int state = open_state(slot);
    if (state < 0 && errno == ENOENT) {
        slot->watch_id = watch_add(k->watch, slot->h->fd);
        slot->watches_state = false;
        if (slot->watch_id < 0)
            slot->watch_id = NOT_WATCHED;
        state = open_state(slot);
        if (state < 0)
            return;
        unwatch(k, slot); /* made in between */
    }
    int id = state < 0 ? -errno : watch_add_whole(k->watch, state);
    slot->watch_id = id < 0 ? NOT_WATCHED : id;
    slot->watches_state = true;
}

static bool holds(const struct seen *s)
{
    return s->is_true && clock_mono_ms() - s->at_ms < KEPT_TRUST_MS;
}

/* Handles */

static bool name_is(const struct kept *k, const char *name, dev_t dev, ino_t ino)
{
    struct stat st;
    return fstatat(k->root->fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0 && S_ISDIR(st.st_mode) && st.st_dev == dev &&
           st.st_ino == ino;
}

struct dir_handle *kept_get(struct kept *k, struct str name)
{
    struct slot *slot = slot_of(k, name);
    char text[NAME_MAX + 1];
    catch_up(k);
    mutex_lock(&slot->lock);
    if (!slot->h || !str_is(name, slot->name)) {
        mutex_unlock(&slot->lock);
        return NULL;
    }
    struct dir_handle *h = dir_handle_ref(slot->h);
    bool is_same = holds(&slot->named), is_reported = k->watch && slot->dev == k->private_dev;
    if (is_reported && slot->watch_id == NOT_WATCHED && ++slot->asked >= WATCHED_AFTER)
        watch_slot(k, slot);
    uint64_t changes = slot->changes;
    dev_t dev = slot->dev;
    ino_t ino = slot->ino;
    memcpy(text, slot->name, name.len + 1);
    mutex_unlock(&slot->lock);
    if (is_same)
        return h;
    uint64_t now_ms = clock_mono_ms();
    is_same = name_is(k, text, dev, ino);
    mutex_lock(&slot->lock);
    if (is_same && is_reported && slot->h == h && slot->changes == changes)
        slot->named = (struct seen){.is_true = true, .at_ms = now_ms};
    mutex_unlock(&slot->lock);
    if (is_same)
        return h;
    dir_handle_unref(h);
    return NULL;
}

void kept_put(struct kept *k, struct str name, struct dir_handle *h)
{
    if (name.len > NAME_MAX)
        return;
    struct slot *slot = slot_of(k, name);
    mutex_lock(&slot->lock);
    unwatch(k, slot);
    struct dir_handle *before = slot->h;
    slot->h = dir_handle_ref(h);
    slot->dev = h->dev;
    slot->ino = h->ino;
    memcpy(slot->name, name.ptr, name.len);
    slot->name[name.len] = '\0';
    h->kept_slot = (unsigned)(slot - k->slots);
    mutex_unlock(&slot->lock);
    if (before)
        dir_handle_unref(before);
}

/* What is absent */

/* The NAME of `.sluice/NAME`, or empty. */
static struct str leaf_of(struct str path)
{
    static const struct str state = STR_INIT(VFS_PATH_STATE_NAME "/");
    struct str leaf = str_starts(path, state) ? str_from(path, state.len) : STR_EMPTY;
    return leaf.len <= NAME_MAX && str_find_char(leaf, '/') < 0 ? leaf : STR_EMPTY;
}

bool kept_knows_absent(struct kept *k, const struct dir_handle *h, struct str path, uint64_t *out_token)
{
    struct str leaf = leaf_of(path);
    struct slot *slot = &k->slots[h->kept_slot];
    if (leaf.len == 0)
        return false;
    mutex_lock(&slot->lock);
    bool is_known = slot->h == h && holds(&slot->absent) && str_is(leaf, slot->leaf);
    *out_token = slot->changes;
    mutex_unlock(&slot->lock);
    return is_known;
}

void kept_is_absent(struct kept *k, const struct dir_handle *h, struct str path, uint64_t token)
{
    struct str leaf = leaf_of(path);
    struct slot *slot = &k->slots[h->kept_slot];
    if (leaf.len == 0)
        return;
    mutex_lock(&slot->lock);
    if (slot->h == h && slot->watch_id != NOT_WATCHED && slot->changes == token) {
        slot->absent = (struct seen){.is_true = true, .at_ms = clock_mono_ms()};
        memcpy(slot->leaf, leaf.ptr, leaf.len);
        slot->leaf[leaf.len] = '\0';
    }
    mutex_unlock(&slot->lock);
}
