/* The main thread: signals, and the timetable of stopping. */
#include "gateway/server.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "auth/live.h"
#include "auth/store.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "gateway/access_log.h"
#include "gateway/chunks.h"
#include "gateway/health.h"
#include "gateway/listener.h"
#include "gateway/sd_notify.h"
#include "gateway/server_internal.h"
#include "gateway/tls.h"

#define TICK_MS 1000
#define TLS_LOOK_MS 2000
/* While draining: how soon the end is noticed. */
#define DRAIN_TICK_MS 20
/* After connections were cut, for the steps that still run on workers. */
#define CUT_TIMEOUT_MS 10000
#define ERROR_BYTES_MAX 4096

/* Commands to loops */

static void on_command(struct gw_message *m)
{
    struct gw_serving *v = container_of(m, struct gw_serving, message);
    v->command(v);
    struct gw_server *s = v->server;
    mutex_lock(&s->lock);
    s->commands_left--;
    cond_broadcast(&s->wake);
    mutex_unlock(&s->lock);
}

void gw_server_command(struct gw_server *s, void (*command)(struct gw_serving *v))
{
    mutex_lock(&s->lock);
    s->commands_left = s->loop_count;
    mutex_unlock(&s->lock);
    for (size_t i = 0; i < s->loop_count; i++) {
        s->serving[i].command = command;
        s->serving[i].message.run = on_command;
        gw_post(s->serving[i].loop, &s->serving[i].message);
    }
    mutex_lock(&s->lock);
    while (s->commands_left > 0)
        cond_wait(&s->wake, &s->lock);
    mutex_unlock(&s->lock);
}

static void stop_accepting(struct gw_serving *v)
{
    for (size_t i = 0; i < v->server->listener_count; i++) {
        gw_acceptor_free(v->acceptors[i]);
        v->acceptors[i] = NULL;
    }
    gw_conns_drain(v->s3);
}

static void cut(struct gw_serving *v)
{
    gw_acceptor_free(v->admin_acceptor);
    v->admin_acceptor = NULL;
    gw_conns_cut(v->s3);
    if (v->admin)
        gw_conns_cut(v->admin);
}

/* Reloading */

static void reload_tls(struct gw_server *s)
{
    if (!s->tls)
        return;
    struct buf error = buf_make(ERROR_BYTES_MAX);
    if (gw_tls_reload(s->tls, &error) < 0)
        log_error("certificate_kept", "reason=\"%s\"", buf_z(&error));
    else
        log_info("certificate_loaded", "not_after=%" PRId64, gw_tls_not_after(s->tls));
    buf_done(&error);
}

static void reopen_logs(struct gw_server *s)
{
    log_reopen();
    gw_access_log_reopen(s->bridge.access_log);
}

static void reload(struct gw_server *s)
{
    char state[64];
    (void)snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_mono_ns() / 1000);
    gw_sd_notify(state);
    reopen_logs(s);
    reload_tls(s);
    if (auth_live_reload(s->identities) < 0)
        log_error("identities_kept", "reason=\"%s\"", auth_store_error(NULL));
    struct buf CLEANUP(buf_done) error = buf_make(LIMIT_TARGET_BYTES);
    if (gw_server_load_roles(s, &error) < 0)
        log_error("roles_kept", "reason=\"%s\"", buf_z(&error));
    log_info("reloaded", NULL);
    gw_sd_notify("READY=1");
}

static void dump_state(struct gw_server *s)
{
    struct buf health = buf_make(ERROR_BYTES_MAX);
    gw_health_write(s->health, &health);
    log_info("state", "connections=%u requests=%u health=%.*s", atomic_load(&s->connections), atomic_load(&s->in_flight),
             STR_ARG(str_trim(str_first(buf_str(&health), health.len > 0 ? health.len - 1 : 0))));
    buf_done(&health);
}

/* Waiting for signals */

struct watch {
    struct gw_server *server;
    int signals;
    uint64_t watchdog_ms, watchdog_due_ms, tls_due_ms;
};

static void tick(struct watch *w)
{
    uint64_t now_ms = clock_mono_ms();
    /* A stuck loop is what the service manager shall restart us for. */
    if (w->watchdog_ms > 0 && now_ms >= w->watchdog_due_ms && gw_health_is_live(w->server->health)) {
        gw_sd_notify("WATCHDOG=1");
        w->watchdog_due_ms = now_ms + w->watchdog_ms / 3;
    }
    if (w->server->tls && now_ms >= w->tls_due_ms) {
        w->tls_due_ms = now_ms + TLS_LOOK_MS;
        if (gw_tls_changed(w->server->tls))
            reload_tls(w->server);
    }
}

/* The signal that came within the time, or 0. */
static int next_signal(struct watch *w, uint64_t wait_ms)
{
    struct pollfd p = {w->signals, POLLIN, 0};
    struct signalfd_siginfo info;
    tick(w);
    if (poll(&p, 1, (int)wait_ms) <= 0)
        return 0;
    if (read(w->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return 0;
    return (int)info.ssi_signo;
}

static void serve(struct watch *w)
{
    for (;;) {
        switch (next_signal(w, TICK_MS)) {
        case SIGTERM:
        case SIGINT:
            return;
        case SIGHUP:
            reload(w->server);
            break;
        case SIGUSR1:
            reopen_logs(w->server);
            break;
        case SIGUSR2:
            dump_state(w->server);
            break;
        default:
            break;
        }
    }
}

/* Waits until over(s), a time, or a second signal; false on the latter. */
static bool drain_wait(struct watch *w, uint64_t timeout_ms, bool (*over)(struct gw_server *s))
{
    uint64_t until_ms = clock_mono_ms() + timeout_ms;
    while (clock_mono_ms() < until_ms && !over(w->server)) {
        int signal = next_signal(w, DRAIN_TICK_MS);
        if (signal == SIGTERM || signal == SIGINT)
            return false;
    }
    return true;
}

static bool never(struct gw_server *s)
{
    (void)s;
    return false;
}

static bool no_connections(struct gw_server *s)
{
    return atomic_load(&s->connections) == 0;
}

static bool nothing_in_flight(struct gw_server *s)
{
    return atomic_load(&s->in_flight) == 0;
}

/* The exit code. */
static int drain(struct watch *w)
{
    struct gw_server *s = w->server;
    const struct gw_config *c = s->config;
    gw_sd_notify("STOPPING=1");
    log_info("draining", "connections=%u requests=%u", atomic_load(&s->connections), atomic_load(&s->in_flight));
    /* Load balancers learn that we are leaving while we still take what they send. */
    gw_health_set_draining(s->health);
    bool patient = drain_wait(w, c->drain_delay_ms, never);
    gw_server_command(s, stop_accepting);
    patient = patient && drain_wait(w, c->drain_timeout_ms, no_connections);
    /* Connections without a request wait for their clients, requests without a connection have nobody who waits. */
    bool clean = no_connections(s) || nothing_in_flight(s);
    if (!clean)
        log_warn("drain_cut", "connections=%u requests=%u", atomic_load(&s->connections), atomic_load(&s->in_flight));
    gw_server_command(s, cut);
    if (patient)
        patient = drain_wait(w, CUT_TIMEOUT_MS, nothing_in_flight);
    if (!nothing_in_flight(s)) {
        /* A worker is stuck, or the user will not wait: what is not published leaves nothing behind. */
        log_warn("stopped_at_once", "requests=%u", atomic_load(&s->in_flight));
        _exit(1);
    }
    return clean ? 0 : 1;
}

static int open_signals(void)
{
    static const int ours[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        sigaddset(&set, ours[i]);
    /* Before any thread: they inherit it, and the signals come here only. */
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void announce(const struct gw_server *s)
{
    const char *tls = !s->tls ? "no" : gw_tls_has_kernel(s->tls) ? "kernel" : "yes";
    for (size_t i = 0; i < s->listener_count; i++)
        log_info("listening", "address=%s tls=%s volume=\"%s\"", gw_listener_text(s->listeners[i]), tls, s->config->volume);
    if (s->admin_listener)
        log_info("listening", "address=%s for=admin", gw_listener_text(s->admin_listener));
    gw_sd_notify("READY=1");
}

int gw_server_run(const struct gw_config *config)
{
    int rc = log_open(config->log_file, config->log_level, config->log_json);
    if (rc < 0) {
        fprintf(stderr, "sluice: cannot open the log %s: %s\n", config->log_file, strerror(-rc));
        return 1;
    }
    CLEANUP(fd_closep) int signals = open_signals();
    CHECK(signals >= 0);
    struct gw_server *s = calloc(1, sizeof(*s));
    CHECK(s != NULL); /* out of memory */
    int code = 1;
    if (gw_server_open(s, config)) {
        struct watch w = {.server = s, .signals = signals, .watchdog_ms = gw_sd_watchdog_ms()};
        announce(s);
        serve(&w);
        code = drain(&w);
    }
    gw_server_close(s);
    free(s);
    if (code == 0)
        log_info("stopped", NULL);
    return code;
}
