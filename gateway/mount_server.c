/* The process that serves a mount. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "base/mutex.h"
#include "gateway/admin.h"
#include "gateway/mount.h"
#include "vfs/fuse/device.h"
#include "vfs/fuse/fuse.h"

struct server {
    const struct gw_mount_options *options;
    int channel;
    pid_t keeper;
    struct vfuse *volume;
    struct gw_mount_devices unsaved; /* one descriptor */
    bool again; /* another server follows; set before serving ends */
};

/* Signals: on a thread of their own, until the end of the process. */

static sigset_t our_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    static const int ours[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        sigaddset(&set, ours[i]);
    return set;
}

static void *watch_signals(void *arg)
{
    struct server *s = arg;
    sigset_t set = our_signals();
    for (int signal;;) {
        CHECK(sigwait(&set, &signal) == 0);
        if (signal == SIGUSR1) {
            log_reopen();
            continue;
        }
        s->again = signal == SIGHUP;
        /* Nobody is left to unmount. */
        if (!s->again && getppid() != s->keeper) {
            int r = vfuse_unmount(s->options->mount_point, true);
            if (r < 0)
                log_error("unmount_failed", "on=\"%s\" errno=%d", s->options->mount_point, -r);
        }
        vfuse_stop(s->volume);
        return NULL;
    }
}

/* The kernel's INIT must be safe with the keeper before it is answered. */
static void keep_init(void *arg, struct str init)
{
    struct server *s = arg;
    struct gw_mount_message m = {.verb = GW_MOUNT_INIT, .init_size = (uint32_t)init.len};
    if (init.len > sizeof(m.init)) {
        log_warn("mount_not_kept", "init_bytes=%zu", init.len);
        m.init_size = 0;
    } else {
        memcpy(m.init, init.ptr, init.len);
    }
    int r = gw_mount_send(s->channel, &m, NULL);
    if (r < 0)
        log_warn("keeper_gone", "errno=%d", -r);
}

static int open_volume(struct server *s, const struct gw_mount_message *start)
{
    const struct gw_mount_options *o = s->options;
    const struct vfuse_options how = {
        .url = o->url,
        .mount_point = o->mount_point,
        .read_only = o->read_only,
        .no_sync = o->no_sync,
        .no_background = o->no_background_jobs,
        .hide_internal = o->hide_internal,
        .subdir = o->subdir,
        .umask = o->umask,
        .enable_cap = o->enable_cap,
        .enable_selinux = o->enable_selinux,
        .memory = o->memory,
        .cache = o->cache,
        .io_size_max = (uint32_t)o->io_size_max,
        .store_patience_s = o->store_patience_s,
        .attr_cache_s = o->attr_cache_s,
        .entry_cache_s = o->entry_cache_s,
        .dir_entry_cache_s = o->dir_entry_cache_s,
        .negative_cache_s = o->negative_cache_s,
    };
    const struct vfuse_resume resume = {
        .init = str_of(start->init, start->init_size),
        .session = start->session,
        .unsaved = s->unsaved.count > 0 ? s->unsaved.fds[0] : -1,
        .generation = start->generation,
    };
    const char *error = NULL;
    int r = vfuse_open(&how, &resume, &s->volume, &error);
    if (r < 0)
        fprintf(stderr, "sluice: cannot open %s: %s\n", o->url, error ? error : strerror(-r));
    return r;
}

/* Says that the volume is open, and waits for the mount. */
static int get_devices(struct server *s, struct gw_mount_message *out, struct gw_mount_devices *devices)
{
    struct gw_mount_message opened = {.verb = GW_MOUNT_OPENED, .session = vfuse_session(s->volume)};
    struct str name = str_first(vfuse_volume_name(s->volume), sizeof(opened.name) - 1);
    memcpy(opened.name, name.ptr, name.len);
    int r = gw_mount_send(s->channel, &opened, NULL);
    if (r == 0)
        r = gw_mount_receive(s->channel, out, devices);
    if (r == 0 && (out->verb != GW_MOUNT_DEVICES || devices->count < 2))
        r = -EPROTO;
    return r;
}

static int serve(struct server *s, const struct gw_mount_message *start)
{
    struct gw_mount_devices devices = {.count = 0};
    struct gw_mount_message m;
    int r = get_devices(s, &m, &devices);
    if (r < 0)
        return r;
    pthread_t watcher;
    thread_start(&watcher, "signals", watch_signals, s);
    CHECK(pthread_detach(watcher) == 0);
    const struct vfuse_serving how = {
        .devices = devices.fds,
        .count = devices.count,
        .resend = start->init_size > 0 && m.can_resend,
        .keep = keep_init,
        .arg = s,
    };
    r = vfuse_serve(s->volume, &how);
    gw_mount_close_devices(&devices);
    return r;
}

int gw_mount_serve(const struct gw_mount_options *o)
{
    /* Whoever waits for signals waits on one thread. */
    sigset_t set = our_signals();
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    /* It was executed as /proc/self/exe, which is what ps would show. */
    CHECK(pthread_setname_np(pthread_self(), "sluice") == 0);
    struct server s = {.options = o, .channel = o->inherited, .keeper = getppid()};
    struct gw_mount_message start;
    int r = gw_mount_receive(s.channel, &start, &s.unsaved);
    if (r < 0 || start.verb != GW_MOUNT_START) {
        fprintf(stderr, "sluice: --keeper is not for the command line\n");
        return 2;
    }
    if (open_volume(&s, &start) < 0)
        return 1;
    gw_admin_show_process();
    struct gw_mount_metrics *metrics = gw_mount_metrics_start(o->metrics);
    r = serve(&s, &start);
    if (r < 0)
        log_error("serving_failed", "errno=%d", -r);
    gw_mount_metrics_stop(metrics);
    vfuse_close(s.volume, r == 1 && s.again);
    gw_mount_close_devices(&s.unsaved);
    close(s.channel);
    if (r < 0)
        return 1;
    return r == 1 && s.again ? GW_MOUNT_EXIT_AGAIN : 0;
}
