#include "vfs/data/disk_gate.h"

#include <errno.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

#define NOBODY UINT64_MAX

static void say(const struct disk_gate *g, enum disk_state state, const char *why, int error)
{
    static const char *const events[] = {
        [DISK_OFF] = "cache_disk_off", [DISK_FULL] = "cache_disk_full", [DISK_ON] = "cache_disk_on"};
    log_event(state == DISK_ON ? LOG_INFO : LOG_WARN, events[state], "path=\"%.*s\" reason=\"%s\" errno=%d",
              STR_ARG(g->path), why, error);
}

static void change(struct disk_gate *g, enum disk_state from, enum disk_state to, const char *why, int error)
{
    uint32_t expected = from;
    if (atomic_compare_exchange_strong(&g->state, &expected, to))
        say(g, to, why, error);
}

static void switch_off(struct disk_gate *g, const char *why, int error)
{
    metric_add(g->errors, 1);
    atomic_store(&g->try_ms, clock_mono_ms() + atomic_load(&g->pause_ms));
    change(g, DISK_ON, DISK_OFF, why, error);
    change(g, DISK_FULL, DISK_OFF, why, error);
}

void disk_gate_init(struct disk_gate *g, struct str path, uint64_t retry_ms, int error)
{
    g->path = path;
    g->errors = metric_get(METRIC_COUNTER, "sluice_cache_disk_errors_total", "",
                           "Times that a cache disk failed or did not answer.");
    atomic_init(&g->inside, 0);
    atomic_init(&g->progress_ms, NOBODY);
    g->retry_ms = retry_ms;
    atomic_init(&g->pause_ms, retry_ms);
    atomic_init(&g->try_ms, 0);
    atomic_init(&g->state, DISK_ON);
    if (error < 0)
        switch_off(g, "cannot be opened", -error);
}

bool disk_gate_enter(struct disk_gate *g, uint64_t *out_began_ms)
{
    uint64_t now_ms = clock_mono_ms(), progress_ms = NOBODY;
    atomic_fetch_add(&g->inside, 1);
    if (disk_gate_state(g) != DISK_OFF) {
        if (atomic_compare_exchange_strong(&g->progress_ms, &progress_ms, now_ms) ||
            now_ms <= progress_ms + LIMIT_DISK_CACHE_SLOW_MS) {
            *out_began_ms = now_ms;
            return true;
        }
        switch_off(g, "no answer", 0);
    }
    atomic_fetch_sub(&g->inside, 1);
    return false;
}

void disk_gate_judge(struct disk_gate *g, int rc)
{
    switch (rc < 0 ? -rc : 0) {
    case 0:
    case ENOENT:
    case EEXIST:
    case ENODATA:
    case EBADMSG:
    case EMFILE: /* our own trouble */
    case ENFILE:
        return;
    case ENOSPC:
    case EDQUOT:
        change(g, DISK_ON, DISK_FULL, "no space", -rc);
        return;
    default:
        switch_off(g, "error", -rc);
    }
}

void disk_gate_step(struct disk_gate *g)
{
    atomic_store(&g->progress_ms, clock_mono_ms());
}

void disk_gate_leave(struct disk_gate *g, uint64_t began_ms, int rc)
{
    uint64_t now_ms = clock_mono_ms();
    disk_gate_judge(g, rc);
    if (now_ms > began_ms + LIMIT_DISK_CACHE_SLOW_MS)
        switch_off(g, "slow", 0);
    atomic_store(&g->progress_ms, now_ms);
    /* Who enters just now finds the time above, or NOBODY. */
    if (atomic_fetch_sub(&g->inside, 1) == 1)
        atomic_store(&g->progress_ms, NOBODY);
}

void disk_gate_room(struct disk_gate *g)
{
    change(g, DISK_FULL, DISK_ON, "room again", 0);
}

bool disk_gate_may_try(struct disk_gate *g)
{
    return disk_gate_state(g) == DISK_OFF && clock_mono_ms() >= atomic_load(&g->try_ms) && atomic_load(&g->inside) == 0;
}

void disk_gate_tried(struct disk_gate *g, uint64_t began_ms, int rc)
{
    uint64_t now_ms = clock_mono_ms(), pause_ms = atomic_load(&g->pause_ms);
    if (rc == 0 && now_ms <= began_ms + LIMIT_DISK_CACHE_SLOW_MS) {
        atomic_store(&g->pause_ms, g->retry_ms);
        change(g, DISK_OFF, DISK_ON, "works", 0);
        return;
    }
    pause_ms = pause_ms * 2 < LIMIT_DISK_CACHE_OFF_MAX_MS ? pause_ms * 2 : LIMIT_DISK_CACHE_OFF_MAX_MS;
    atomic_store(&g->pause_ms, pause_ms);
    atomic_store(&g->try_ms, now_ms + pause_ms);
}
