/* Whether a cache disk is to be used. Who does anything with it enters and leaves; a disk that fails, or on which
 * nobody has got an answer for LIMIT_DISK_CACHE_SLOW_MS, lets nobody in until a trial has gone well.
 *
 *          error, slow, no answer                    no space
 *   ON ──────────────────────────▶ OFF        ON ──────────────▶ FULL (no writes; reads go on)
 *    ◀───────── disk_gate_tried ────            ◀─ disk_gate_room ─
 *
 * Each transition is one line in the log. Thread: any. */
#ifndef VFS_DATA_DISK_GATE_H
#define VFS_DATA_DISK_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/metrics.h"
#include "base/str.h"

enum disk_state { DISK_OFF, DISK_FULL, DISK_ON };

struct disk_gate {
    struct str path; /* for the log; borrowed */
    _Atomic uint32_t state;
    _Atomic uint32_t inside;
    _Atomic uint64_t progress_ms; /* when somebody left last; all ones: nobody is inside */
    _Atomic uint64_t try_ms;      /* OFF: not before */
    _Atomic uint64_t pause_ms;    /* OFF: the next */
    uint64_t retry_ms;
    struct metric *errors;
};

/* retry_ms: the first pause of a disk that failed. error: 0, or why it begins OFF (negative errno). */
void disk_gate_init(struct disk_gate *g, struct str path, uint64_t retry_ms, int error);
/* False: the disk is not to be used. */
MUST_USE bool disk_gate_enter(struct disk_gate *g, uint64_t *out_began_ms);
/* rc: 0, or the negative errno that came of it. */
void disk_gate_leave(struct disk_gate *g, uint64_t began_ms, int rc);
/* One of many steps is done, inside. */
void disk_gate_step(struct disk_gate *g);
/* What an error means for the disk; for who stays inside. */
void disk_gate_judge(struct disk_gate *g, int rc);
/* FULL no more. */
void disk_gate_room(struct disk_gate *g);
/* OFF, long enough, and nobody is inside: until disk_gate_tried the caller is alone with the disk. */
MUST_USE bool disk_gate_may_try(struct disk_gate *g);
/* rc: what came of the trial. */
void disk_gate_tried(struct disk_gate *g, uint64_t began_ms, int rc);

static inline enum disk_state disk_gate_state(struct disk_gate *g)
{
    return (enum disk_state)atomic_load(&g->state);
}

#endif
