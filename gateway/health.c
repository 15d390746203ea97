#include "gateway/health.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "gateway/loop.h"
#include "vfs/vfs.h"

#define CHECK_EVERY_MS 5000
/* Without an answer for this long the volume counts as unreachable. */
#define ANSWER_MAX_MS 15000
#define LOOP_SILENCE_MAX_MS 10000

struct gw_health {
    struct vfs *volume;
    struct gw_loop *const *loops;
    size_t loop_count;
    pthread_t thread;
    atomic_bool draining;

    struct mutex lock; /* guards what follows */
    struct cond wake;
    bool stopping;
    bool checked;
    int error; /* of the last check; 0: well */
    uint64_t answered_ms;
    struct vfs_space space;
};

/* The check */

static void check_volume(struct gw_health *h)
{
    struct vfs_space space;
    struct vfs_attr root;
    int rc = vfs_space(h->volume, &space);
    if (rc == 0)
        rc = vfs_lookup(vfs_root(h->volume), STR_EMPTY, NULL, &root);
    mutex_lock(&h->lock);
    bool changed = !h->checked || h->error != rc;
    h->checked = true;
    h->error = rc;
    h->answered_ms = clock_mono_ms();
    if (rc == 0)
        h->space = space;
    mutex_unlock(&h->lock);
    if (changed && rc < 0)
        log_error("volume_unreachable", "error=\"%s\"", strerror(-rc));
    else if (changed)
        log_info("volume_reachable", NULL);
}

static void *health_main(void *arg)
{
    struct gw_health *h = arg;
    for (bool stopping = false; !stopping;) {
        check_volume(h);
        mutex_lock(&h->lock);
        if (!h->stopping)
            (void)cond_wait_ms(&h->wake, &h->lock, CHECK_EVERY_MS); /* an interval; stop ends it */
        stopping = h->stopping;
        mutex_unlock(&h->lock);
    }
    return NULL;
}

/* Metrics */

static double read_total(void *data)
{
    struct gw_health *h = data;
    mutex_lock(&h->lock);
    uint64_t bytes = h->space.total_bytes;
    mutex_unlock(&h->lock);
    return (double)bytes;
}

static double read_free(void *data)
{
    struct gw_health *h = data;
    mutex_lock(&h->lock);
    uint64_t bytes = h->space.free_bytes;
    mutex_unlock(&h->lock);
    return (double)bytes;
}

static double read_free_inodes(void *data)
{
    struct gw_health *h = data;
    mutex_lock(&h->lock);
    uint64_t count = h->space.free_inodes;
    mutex_unlock(&h->lock);
    return (double)count;
}

static double read_ready(void *data)
{
    return gw_health_is_ready(data);
}

static void show(struct gw_health *h, bool on)
{
    static const struct {
        const char *name, *help;
        double (*read)(void *data);
    } rows[] = {
        {"sluice_volume_size_bytes", "Size of the volume.", read_total},
        {"sluice_volume_free_bytes", "Free space of the volume.", read_free},
        {"sluice_volume_free_inodes", "Files that can still be made on the volume.", read_free_inodes},
        {"sluice_ready", "1 when /readyz says so.", read_ready},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        metric_callback(METRIC_GAUGE, rows[i].name, "", rows[i].help, on ? rows[i].read : NULL, h);
}

struct gw_health *gw_health_start(struct vfs *volume, struct gw_loop *const *loops, size_t loop_count)
{
    struct gw_health *h = calloc(1, sizeof(*h));
    CHECK(h != NULL); /* out of memory */
    h->volume = volume;
    h->loops = loops;
    h->loop_count = loop_count;
    mutex_init(&h->lock);
    cond_init(&h->wake);
    show(h, true);
    thread_start(&h->thread, "health", health_main, h);
    return h;
}

void gw_health_stop(struct gw_health *h)
{
    if (!h)
        return;
    mutex_lock(&h->lock);
    h->stopping = true;
    cond_signal(&h->wake);
    mutex_unlock(&h->lock);
    CHECK(pthread_join(h->thread, NULL) == 0);
    show(h, false);
    cond_done(&h->wake);
    mutex_done(&h->lock);
    free(h);
}

/* Answers */

void gw_health_set_draining(struct gw_health *h)
{
    atomic_store(&h->draining, true);
}

bool gw_health_is_live(const struct gw_health *h)
{
    for (size_t i = 0; i < h->loop_count; i++) {
        if (gw_loop_silence_ms(h->loops[i]) > LOOP_SILENCE_MAX_MS)
            return false;
    }
    return true;
}

/* NULL when it is well. */
static const char *volume_trouble(struct gw_health *h)
{
    mutex_lock(&h->lock);
    bool checked = h->checked;
    int error = h->error;
    uint64_t answered_ms = h->answered_ms;
    mutex_unlock(&h->lock);
    if (!checked)
        return "not looked at yet";
    if (error < 0)
        return strerrordesc_np(-error);
    return clock_mono_ms() - answered_ms > ANSWER_MAX_MS ? "does not answer" : NULL;
}

bool gw_health_is_ready(struct gw_health *h)
{
    return !atomic_load(&h->draining) && !volume_trouble(h) && gw_health_is_live(h);
}

void gw_health_write(struct gw_health *h, struct buf *out)
{
    const char *trouble = volume_trouble(h);
    bool draining = atomic_load(&h->draining), live = gw_health_is_live(h);
    mutex_lock(&h->lock);
    struct vfs_space space = h->space;
    mutex_unlock(&h->lock);
    buf_addf(out, "{\"ready\":%s,\"live\":%s,\"draining\":%s,\"volume\":{\"reachable\":%s",
             !draining && live && !trouble ? "true" : "false", live ? "true" : "false", draining ? "true" : "false",
             trouble ? "false" : "true");
    if (trouble)
        buf_addf(out, ",\"reason\":\"%s\"", trouble);
    buf_addf(out, ",\"size_bytes\":%" PRIu64 ",\"free_bytes\":%" PRIu64 "},\"loops\":[", space.total_bytes,
             space.free_bytes);
    for (size_t i = 0; i < h->loop_count; i++)
        buf_addf(out, "%s{\"silent_ms\":%" PRIu64 "}", i > 0 ? "," : "", gw_loop_silence_ms(h->loops[i]));
    buf_addz(out, "]}\n");
}
