#include "vfs/dir/warm.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

/* 1 MiB in all: more files than are hot at a time, before the rest is better left to workers. What is noted has its place among the
 * slots of one set, a line of the processor's cache, so that two that are read in turn do not drive each other out. */
#define SETS ((size_t)1 << 14)
#define WAYS 8
/* The kernel keeps what was used for longer than this, unless memory is very short. */
#define WARM_S 60
/* A slot is the upper bits of the hash and the second of the note. */
#define SECOND_MASK ((uint64_t)0xfffff)

struct warm {
    _Atomic uint64_t slots[SETS][WAYS];
};

struct warm *warm_new(void)
{
    struct warm *w = calloc(1, sizeof(*w));
    CHECK(w != NULL); /* out of memory */
    return w;
}

void warm_free(struct warm *w)
{
    free(w);
}

static uint64_t second(void)
{
    return (clock_mono_ms() / 1000) & SECOND_MASK;
}

static bool is_of(uint64_t slot, uint64_t path_hash)
{
    return (slot & ~SECOND_MASK) == (path_hash & ~SECOND_MASK);
}

static uint64_t age_s(uint64_t slot, uint64_t now_s)
{
    return (now_s - slot) & SECOND_MASK;
}

/* The slot of that path, or the one to give up for it. */
static _Atomic uint64_t *slot_for(struct warm *w, uint64_t path_hash, uint64_t now_s)
{
    _Atomic uint64_t *set = w->slots[path_hash % SETS], *oldest = &set[0];
    uint64_t oldest_s = 0;
    for (size_t i = 0; i < WAYS; i++) {
        uint64_t slot = atomic_load_explicit(&set[i], memory_order_relaxed);
        if (is_of(slot, path_hash))
            return &set[i];
        uint64_t age = slot ? age_s(slot, now_s) : UINT64_MAX;
        if (age > oldest_s) {
            oldest = &set[i];
            oldest_s = age;
        }
    }
    return oldest;
}

void warm_note(struct warm *w, uint64_t path_hash)
{
    uint64_t now_s = second(), note = (path_hash & ~SECOND_MASK) | now_s;
    _Atomic uint64_t *slot = slot_for(w, path_hash, now_s);
    /* Other threads read it, too: it stays in their caches while it is as it was. */
    if (atomic_load_explicit(slot, memory_order_relaxed) != note)
        atomic_store_explicit(slot, note, memory_order_relaxed);
}

static bool was_noted(const struct warm *w, uint64_t path_hash, uint64_t within_s)
{
    const _Atomic uint64_t *set = w->slots[path_hash % SETS];
    for (size_t i = 0; i < WAYS; i++) {
        uint64_t slot = atomic_load_explicit(&set[i], memory_order_relaxed);
        if (is_of(slot, path_hash))
            return age_s(slot, second()) <= within_s;
    }
    return false;
}

bool warm_has(const struct warm *w, uint64_t path_hash)
{
    return was_noted(w, path_hash, WARM_S);
}

bool warm_has_lately(const struct warm *w, uint64_t path_hash)
{
    return was_noted(w, path_hash, 1);
}
