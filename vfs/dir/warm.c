#include "vfs/dir/warm.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

/* 1 MiB of them: more files than are hot at a time, before the rest is better left to workers. */
#define SLOTS ((size_t)1 << 17)
/* The kernel keeps what was used for longer than this, unless memory is very short. */
#define WARM_S 60
/* A slot is the upper bits of the hash and the second of the note. */
#define SECOND_MASK ((uint64_t)0xfffff)

struct warm {
    _Atomic uint64_t slots[SLOTS];
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

static uint64_t now_s(void)
{
    return (clock_mono_ms() / 1000) & SECOND_MASK;
}

void warm_note(struct warm *w, uint64_t path_hash)
{
    atomic_store_explicit(&w->slots[path_hash % SLOTS], (path_hash & ~SECOND_MASK) | now_s(), memory_order_relaxed);
}

bool warm_has(const struct warm *w, uint64_t path_hash)
{
    uint64_t slot = atomic_load_explicit(&w->slots[path_hash % SLOTS], memory_order_relaxed);
    return (slot & ~SECOND_MASK) == (path_hash & ~SECOND_MASK) && ((now_s() - slot) & SECOND_MASK) <= WARM_S;
}
