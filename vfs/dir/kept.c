#include "vfs/dir/kept.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/map.h"

#define SLOTS 64

struct slot {
    char name[NAME_MAX + 1];
    struct dir_handle *h; /* a reference, or NULL; while it is open no other directory has its inode's number */
    dev_t dev;
    ino_t ino;
};

struct kept {
    struct mutex lock;
    struct slot slots[SLOTS]; /* guarded by lock */
};

struct kept *kept_new(void)
{
    struct kept *k = calloc(1, sizeof(*k));
    CHECK(k != NULL); /* out of memory */
    mutex_init(&k->lock);
    return k;
}

void kept_free(struct kept *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        if (k->slots[i].h)
            dir_handle_unref(k->slots[i].h);
    mutex_done(&k->lock);
    free(k);
}

static struct slot *slot_of(struct kept *k, struct str name)
{
    return &k->slots[hash_bytes(name) % SLOTS];
}

struct dir_handle *kept_get(struct kept *k, const struct dir_handle *parent, struct str name)
{
    struct stat st;
    struct dir_handle *h = NULL;
    dev_t dev = 0;
    ino_t ino = 0;
    char text[NAME_MAX + 1];
    mutex_lock(&k->lock);
    struct slot *slot = slot_of(k, name);
    if (slot->h && str_is(name, slot->name)) {
        h = dir_handle_ref(slot->h);
        dev = slot->dev;
        ino = slot->ino;
        memcpy(text, slot->name, name.len + 1);
    }
    mutex_unlock(&k->lock);
    if (!h)
        return NULL;
    bool is_same = fstatat(parent->fd, text, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0 && S_ISDIR(st.st_mode) &&
                   st.st_dev == dev && st.st_ino == ino;
    if (is_same)
        return h;
    dir_handle_unref(h);
    return NULL;
}

void kept_put(struct kept *k, struct str name, struct dir_handle *h)
{
    struct stat st;
    if (name.len > NAME_MAX || fstat(h->fd, &st) < 0)
        return;
    mutex_lock(&k->lock);
    struct slot *slot = slot_of(k, name);
    struct dir_handle *before = slot->h;
    slot->h = dir_handle_ref(h);
    slot->dev = st.st_dev;
    slot->ino = st.st_ino;
    memcpy(slot->name, name.ptr, name.len);
    slot->name[name.len] = '\0';
    mutex_unlock(&k->lock);
    if (before)
        dir_handle_unref(before);
}
