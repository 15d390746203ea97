/* The process that holds a mount's descriptors and sees that somebody serves it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"
#include "gateway/mount.h"
#include "gateway/sd_notify.h"
#include "vfs/fuse/device.h"
#include "vfs/fuse/unsaved.h"

/* A server that lived shorter than this is one that dies of its work; then pauses grow, from the first to the second. */
#define SHORT_LIFE_MS 5000
#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 10000u
/* After so many short lives in a row, what is unanswered fails: one request may be what kills them. */
#define SHORT_LIVES_MAX 5
/* "keeper=" and a descriptor. */
#define KEEPER_ARGUMENT_MAX 32

struct keeper {
    const struct gw_mount_options *options;
    char program[PATH_MAX]; /* as it was started: an upgrade puts another one in its place */
    char **argv;            /* of the servers; argv[2] names the channel */
    char channel_argument[KEEPER_ARGUMENT_MAX];
    int signals, channel, ready;
    pid_t server;
    uint64_t server_started_ms;
    unsigned short_lives;
    struct vfuse_mount *mount;
    struct gw_mount_devices devices; /* the first one is the mount's */
    struct gw_mount_devices unsaved; /* one descriptor: what servers leave behind (vfs/fuse/unsaved.h) */
    struct gw_mount_message state;   /* what a server is told at its start */
    bool works;                      /* a server has served */
    bool stopping;
    int exit_code;
};

/* Servers */

static NORETURN void become_server(struct keeper *k, int channel)
{
    sigset_t none;
    sigemptyset(&none);
    /* A group of its own: Ctrl-C is for the keeper, which unmounts first. */
    if (setpgid(0, 0) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0 || fcntl(channel, F_SETFD, 0) < 0)
        _exit(1);
    (void)snprintf(k->channel_argument, sizeof(k->channel_argument), "--keeper=%d", channel);
    execv(k->program, k->argv);
    fprintf(stderr, "sluice: %s: %s\n", k->program, strerror(errno));
    _exit(1);
}

static int start_server(struct keeper *k)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    pid_t child = fork();
    if (child == 0)
        become_server(k, pair[1]);
    int r = child < 0 ? -errno : 0;
    close(pair[1]);
    k->channel = pair[0];
    k->server = child;
    k->server_started_ms = clock_mono_ms();
    k->state.verb = GW_MOUNT_START;
    if (r == 0)
        r = gw_mount_send(k->channel, &k->state, &k->unsaved);
    k->state.generation++;
    return r == -EPIPE ? 0 : r; /* it died already: noticed as any death */
}

/* Descriptors */

static void drop_clones(struct keeper *k)
{
    while (k->devices.count > 1)
        close(k->devices.fds[--k->devices.count]);
}

/* A server's unanswered requests belong to the descriptors they were read from: with these they fail, else they are handed out
 * again. */
static void keep_or_drop_clones(struct keeper *k)
{
    if (!vfuse_device_can_resend() || k->short_lives >= SHORT_LIVES_MAX)
        drop_clones(k);
}

static int make_clones(struct keeper *k)
{
    while (k->devices.count < GW_MOUNT_DEVICES_MAX) {
        int clone = vfuse_device_clone(k->devices.fds[0]);
        if (clone < 0)
            return clone;
        k->devices.fds[k->devices.count++] = clone;
    }
    return 0;
}

static const char *explain(int r)
{
    switch (-r) {
    case ENODEV: return "there is no /dev/fuse (load the fuse module; in a container, pass --device /dev/fuse)";
    case EBUSY: return "a FUSE filesystem is mounted there already";
    case EPERM: return "not permitted (see above; mounting needs root or the fuse3 package)";
    default: return strerror(-r);
    }
}

static int mount_volume(struct keeper *k, const char *name)
{
    char source[sizeof("JuiceFS:") + GW_MOUNT_NAME_MAX];
    (void)snprintf(source, sizeof(source), "JuiceFS:%s", name);
    const struct vfuse_mount_options how = {
        .mount_point = k->options->mount_point,
        .source = source,
        .options = buf_z(&k->options->passed),
        .read_only = k->options->read_only,
    };
    int r = vfuse_mount(&how, &k->mount);
    if (r < 0) {
        fprintf(stderr, "sluice: cannot mount on %s: %s\n", k->options->mount_point, explain(r));
        return r;
    }
    k->devices.fds[k->devices.count++] = vfuse_mount_device(k->mount);
    return 0;
}

/* Messages */

static int on_opened(struct keeper *k, const struct gw_mount_message *m)
{
    k->state.session = m->session;
    int r = k->mount ? 0 : mount_volume(k, m->name);
    if (r == 0)
        r = make_clones(k);
    if (r < 0)
        return r;
    struct gw_mount_message devices = k->state;
    devices.verb = GW_MOUNT_DEVICES;
    devices.can_resend = vfuse_device_can_resend();
    r = gw_mount_send(k->channel, &devices, &k->devices);
    if (r == 0 && k->works)
        log_info("mount_resumed", "server=%d", (int)k->server);
    return r == -EPIPE ? 0 : r; /* noticed as its death */
}

static void on_init(struct keeper *k, const struct gw_mount_message *m)
{
    memcpy(k->state.init, m->init, m->init_size);
    k->state.init_size = m->init_size;
    k->works = true;
    log_info("mounted", "on=\"%s\" server=%d", k->options->mount_point, (int)k->server);
    gw_sd_notify("READY=1");
    if (k->ready >= 0) {
        if (write(k->ready, "", 1) < 0)
            log_warn("nobody_waits", NULL); /* whoever started us has gone */
        close(k->ready);
        k->ready = -1;
    }
}

static int on_message(struct keeper *k)
{
    struct gw_mount_message m;
    int r = gw_mount_receive(k->channel, &m, NULL);
    if (r < 0) {
        close(k->channel);
        k->channel = -1;
        return 0; /* its end follows */
    }
    if (m.verb == GW_MOUNT_OPENED)
        return on_opened(k, &m);
    if (m.verb == GW_MOUNT_INIT)
        on_init(k, &m);
    return 0;
}

/* Ends */

/* Says how a server ended; true: another one shall follow. */
static bool wants_another(struct keeper *k, int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return false;
    if (k->stopping || !k->works) {
        k->exit_code = 1;
        return false;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == GW_MOUNT_EXIT_AGAIN) {
        k->short_lives = 0;
        return true;
    }
    bool was_short = clock_mono_ms() - k->server_started_ms < SHORT_LIFE_MS;
    k->short_lives = was_short ? k->short_lives + 1 : 0;
    log_error("server_died", "signal=%d code=%d", WIFSIGNALED(status) ? WTERMSIG(status) : 0,
              WIFEXITED(status) ? WEXITSTATUS(status) : 0);
    return true;
}

static void pause_before_another(const struct keeper *k)
{
    if (k->short_lives < 2)
        return;
    unsigned ms = k->short_lives < 8 ? (unsigned)PAUSE_MIN_MS << k->short_lives : PAUSE_MAX_MS;
    if (ms > PAUSE_MAX_MS)
        ms = PAUSE_MAX_MS;
    (void)usleep(ms * 1000);
}

/* 1: over. */
static int on_child(struct keeper *k)
{
    int status;
    if (waitpid(k->server, &status, WNOHANG) != k->server)
        return 0;
    k->server = -1;
    if (k->channel >= 0) {
        /* What it said before it died. */
        while (k->channel >= 0) {
            struct pollfd p = {.fd = k->channel, .events = POLLIN};
            if (poll(&p, 1, 0) <= 0 || on_message(k) < 0)
                break;
        }
        if (k->channel >= 0)
            close(k->channel);
        k->channel = -1;
    }
    if (!wants_another(k, status))
        return 1;
    keep_or_drop_clones(k);
    pause_before_another(k);
    return start_server(k);
}

static void stop(struct keeper *k)
{
    if (k->stopping || !k->mount) {
        k->stopping = true;
        (void)kill(k->server, k->mount ? SIGKILL : SIGTERM); /* gone already: noticed */
        return;
    }
    k->stopping = true;
    gw_sd_notify("STOPPING=1");
    if (vfuse_unmount(k->options->mount_point, false) == 0)
        return; /* the server sees it, commits, and ends */
    log_warn("mount_in_use", "on=\"%s\" action=\"unmounted lazily; open files are committed, then fail\"",
             k->options->mount_point);
    int r = vfuse_unmount(k->options->mount_point, true);
    if (r < 0)
        log_error("unmount_failed", "on=\"%s\" errno=%d", k->options->mount_point, -r);
    (void)kill(k->server, SIGTERM); /* gone already: noticed */
}

static int on_signal(struct keeper *k)
{
    struct signalfd_siginfo info;
    if (read(k->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return 0;
    switch (info.ssi_signo) {
    case SIGCHLD: return on_child(k);
    case SIGHUP:
    case SIGUSR1:
        log_reopen();
        (void)kill(k->server, (int)info.ssi_signo); /* gone already: noticed */
        return 0;
    default: stop(k); return 0;
    }
}

static int run(struct keeper *k)
{
    int r = start_server(k);
    while (r == 0) {
        struct pollfd fds[] = {{.fd = k->signals, .events = POLLIN}, {.fd = k->channel, .events = POLLIN}};
        if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
            return -errno;
        if (fds[1].revents != 0 && k->channel >= 0)
            r = on_message(k);
        if (r == 0 && (fds[0].revents & POLLIN))
            r = on_signal(k);
    }
    return r;
}

/* The servers' command line: ours, and the channel. */
static void make_arguments(struct keeper *k, int argc, char **argv)
{
    k->argv = calloc((size_t)argc + 4, sizeof(*k->argv));
    CHECK(k->argv != NULL); /* out of memory */
    static char name[] = "sluice", command[] = "mount";
    k->argv[0] = name;
    k->argv[1] = command;
    k->argv[2] = k->channel_argument;
    for (int i = 0; i < argc; i++)
        k->argv[3 + i] = argv[i];
}

static int block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    static const int ours[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        sigaddset(&set, ours[i]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int gw_mount_keep(const struct gw_mount_options *o, int argc, char **argv, int ready)
{
    struct keeper k = {.options = o, .channel = -1, .server = -1, .ready = ready};
    ssize_t n = readlink("/proc/self/exe", k.program, sizeof(k.program) - 1);
    k.signals = block_signals();
    if (n <= 0 || k.signals < 0) {
        fprintf(stderr, "sluice: cannot start: %s\n", strerror(errno));
        return 1;
    }
    make_arguments(&k, argc, argv);
    k.unsaved.fds[0] = vfuse_unsaved_create();
    k.unsaved.count = k.unsaved.fds[0] >= 0 ? 1 : 0;
    int r = run(&k);
    if (r < 0) {
        k.exit_code = 1;
        log_error("keeper_failed", "errno=%d", -r);
        if (k.server > 0)
            (void)kill(k.server, SIGTERM); /* gone already is fine */
    }
    /* The server has gone without the mount: nobody will answer. */
    if (k.mount && k.exit_code != 0 && vfuse_unmount(o->mount_point, true) == 0)
        log_warn("unmounted", "on=\"%s\"", o->mount_point);
    drop_clones(&k);
    gw_mount_close_devices(&k.unsaved);
    vfuse_mount_free(k.mount);
    free(k.argv);
    close(k.signals);
    return k.exit_code;
}
