#include "vfs/dir/intents.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alive.h"
#include "base/check.h"
#include "base/log.h"
#include "vfs/dir/dir_internal.h"
#include "vfs/path.h"

/* A slot holds the path of one temporary name below the root, NUL-terminated; an empty one is free. */
#define SLOT_SIZE PATH_MAX
#define NAME_PREFIX "intents."

struct intents {
    struct alive file;
    char root[PATH_MAX]; /* as the kernel spells it */
    struct mutex lock;   /* guards what follows */
    size_t *free_slots;
    size_t free_count, free_capacity;
    size_t slot_count;
};

/* Recovery */

static int path_of_fd(int fd, char out[PATH_MAX])
{
    char link[32];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, out, PATH_MAX - 1);
    if (len <= 0 || len >= PATH_MAX - 1)
        return -ENAMETOOLONG;
    out[len] = '\0';
    return (int)len;
}

/* The slots are only hints: what is removed must be a temporary name, reached without following links. */
static void remove_leftover(int root_fd, const char *path)
{
    struct str whole = str_z(path);
    struct str leaf = vfs_path_leaf(whole), parent = vfs_path_parent(whole);
    if (!temp_is_name(leaf.ptr))
        return;
    char parent_text[PATH_MAX];
    snprintf(parent_text, sizeof(parent_text), "%.*s", STR_ARG(parent));
    CLEANUP(fd_closep) int dir = resolve_child(root_fd, parent.len ? parent_text : ".", O_PATH | O_DIRECTORY);
    if (dir >= 0)
        (void)unlinkat(dir, leaf.ptr, 0); /* it may be gone already */
}

static void recover_slots(int root_fd, int fd)
{
    char slot[SLOT_SIZE];
    for (uint64_t at = 0;; at += SLOT_SIZE) {
        ssize_t got = fd_pread_full(fd, slot, sizeof(slot) - 1, at);
        if (got <= 0)
            return;
        slot[got] = '\0';
        if (slot[0] != '\0')
            remove_leftover(root_fd, slot);
    }
}

static bool recover(void *arg, int fd)
{
    const int *root_fd = arg;
    recover_slots(*root_fd, fd);
    return true;
}

/* Our own */

struct intents *intents_open(int root_fd, int state_fd)
{
    alive_each_dead(state_fd, NAME_PREFIX, recover, &root_fd);
    struct intents *in = calloc(1, sizeof(*in));
    CHECK(in != NULL);
    mutex_init(&in->lock);
    in->file.fd = -1;
    if (path_of_fd(root_fd, in->root) < 0 || alive_start(state_fd, NAME_PREFIX, &in->file) < 0) {
        intents_close(in);
        return NULL;
    }
    return in;
}

void intents_close(struct intents *in)
{
    if (!in)
        return;
    alive_end(&in->file);
    mutex_done(&in->lock);
    free(in->free_slots);
    free(in);
}

uint32_t intents_uid(const struct intents *in)
{
    struct stat st;
    return fstat(in->file.fd, &st) == 0 ? st.st_uid : geteuid();
}

static size_t take_slot(struct intents *in)
{
    mutex_lock(&in->lock);
    size_t slot = in->free_count > 0 ? in->free_slots[--in->free_count] : in->slot_count++;
    mutex_unlock(&in->lock);
    return slot;
}

static void give_slot(struct intents *in, size_t slot)
{
    mutex_lock(&in->lock);
    if (in->free_count == in->free_capacity) {
        in->free_capacity = in->free_capacity ? in->free_capacity * 2 : 16;
        in->free_slots = reallocarray(in->free_slots, in->free_capacity, sizeof(*in->free_slots));
        CHECK(in->free_slots != NULL);
    }
    in->free_slots[in->free_count++] = slot;
    mutex_unlock(&in->lock);
}

/* A full disk is no reason to stop: what the slot is for is clearing up. */
static void write_slot(struct intents *in, size_t slot, const char *text, size_t size)
{
    if (fd_pwrite_all(in->file.fd, text, size, (uint64_t)slot * SLOT_SIZE) < 0)
        log_debug("intent_not_written", "slot=%zu", slot);
}

size_t intents_enter(struct intents *in, int dir_fd, const char *name)
{
    if (!in)
        return INTENT_NONE;
    char path[PATH_MAX + NAME_MAX + 2];
    int len = path_of_fd(dir_fd, path);
    size_t root_len = strlen(in->root);
    struct str dir = str_of(path, len > 0 ? (size_t)len : 0);
    /* A directory that was moved out of the volume meanwhile is nobody's to clear up. */
    if (len < 0 || !vfs_path_below(dir, str_of(in->root, root_len == 1 ? 0 : root_len)))
        return INTENT_NONE;
    int end = snprintf(path + len, sizeof(path) - (size_t)len, "/%s", name);
    const char *relative = path + root_len;
    while (*relative == '/')
        relative++;
    size_t size = (size_t)(path + len + end - relative) + 1;
    if (size > SLOT_SIZE)
        return INTENT_NONE;
    size_t slot = take_slot(in);
    write_slot(in, slot, relative, size);
    return slot;
}

void intents_clear(struct intents *in, size_t slot)
{
    if (!in || slot == INTENT_NONE)
        return;
    write_slot(in, slot, "", 1);
    give_slot(in, slot);
}
