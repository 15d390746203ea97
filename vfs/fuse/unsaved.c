/* The table: inode numbers in slots found by hashing; a slot that is free is 0. What a process finds in it at its start is lost
 * for good, and stays until the mount ends. When no slot is free near the hash, the table says so and every file counts. */
#include "vfs/fuse/unsaved.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/map.h"

/* Slots that are looked at for one number. */
#define PROBES 64

struct shared {
    _Atomic uint64_t overflown; /* somebody had to go without a slot */
    _Atomic uint64_t slots[LIMIT_FUSE_UNSAVED];
};
struct vfuse_unsaved {
    struct shared *shared;
    struct map *lost; /* of processes before us */
    bool all_lost;
};

int vfuse_unsaved_create(void)
{
    int memory = memfd_create("sluice-unsaved", MFD_CLOEXEC);
    if (memory >= 0 && ftruncate(memory, sizeof(struct shared)) < 0) {
        int r = -errno;
        close(memory);
        return r;
    }
    return memory < 0 ? -errno : memory;
}

static struct str key_of(const uint64_t *ino)
{
    return str_of((const char *)ino, sizeof(*ino));
}

int vfuse_unsaved_open(int memory, struct vfuse_unsaved **out)
{
    int flags = memory < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, flags, memory, 0);
    if (shared == MAP_FAILED)
        return -errno;
    struct vfuse_unsaved *t = calloc(1, sizeof(*t));
    CHECK(t != NULL); /* out of memory */
    t->shared = shared;
    t->lost = map_new();
    t->all_lost = atomic_load(&shared->overflown) != 0;
    for (size_t i = 0; i < LIMIT_FUSE_UNSAVED; i++) {
        uint64_t ino = atomic_load(&shared->slots[i]);
        if (ino != 0)
            (void)map_set(t->lost, key_of(&ino), t); /* a set: any value */
    }
    *out = t;
    return 0;
}

void vfuse_unsaved_close(struct vfuse_unsaved *t)
{
    if (!t)
        return;
    map_free(t->lost, NULL);
    CHECK(munmap(t->shared, sizeof(*t->shared)) == 0);
    free(t);
}

/* The hash must be the same in every process: inode numbers are spread by a multiplication (Knuth). */
static _Atomic uint64_t *slot_at(const struct vfuse_unsaved *t, uint64_t ino, size_t probe)
{
    return &t->shared->slots[((ino * 0x9E3779B97F4A7C15ull >> 32) + probe) % LIMIT_FUSE_UNSAVED];
}

void vfuse_unsaved_mark(struct vfuse_unsaved *t, uint64_t ino)
{
    for (size_t i = 0; i < PROBES; i++) {
        uint64_t there = 0;
        if (atomic_compare_exchange_strong(slot_at(t, ino, i), &there, ino) || there == ino)
            return;
    }
    atomic_store(&t->shared->overflown, 1);
}

void vfuse_unsaved_clear(struct vfuse_unsaved *t, uint64_t ino)
{
    if (vfuse_unsaved_is_lost(t, ino))
        return;
    for (size_t i = 0; i < PROBES; i++) {
        uint64_t there = ino;
        if (atomic_compare_exchange_strong(slot_at(t, ino, i), &there, 0))
            return;
    }
}

bool vfuse_unsaved_is_lost(const struct vfuse_unsaved *t, uint64_t ino)
{
    return t->all_lost || map_get(t->lost, key_of(&ino)) != NULL;
}
