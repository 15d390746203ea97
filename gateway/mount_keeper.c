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
/* "--can-resume=" and a descriptor. */
#define ROLE_ARGUMENT_MAX 32
#define OUR_PROGRAM "/proc/self/exe"

struct keeper {
    const struct gw_mount_options *options;
    char program[PATH_MAX]; /* its name: an upgrade puts another one there */
    char **argv;            /* of other processes; argv[2] is their role */
    char role_argument[ROLE_ARGUMENT_MAX];
    int signals, channel, ready;
    pid_t server, candidate; /* -1: none */
    uint64_t server_started_ms;
    unsigned short_lives;
    struct gw_mount_state kept;
    bool works;     /* a server has served */
    bool upgrading; /* the program of that name takes our place when the server has ended */
    bool stopping;
    int exit_code;
};

static bool is_mounted(const struct keeper *k)
{
    return k->kept.devices.count > 0;
}

/* Returns when it did not work. */
static void execute(struct keeper *k, const char *program, const char *role, int inherited)
{
    (void)snprintf(k->role_argument, sizeof(k->role_argument), "--%s=%d", role, inherited);
    if (fcntl(inherited, F_SETFD, 0) == 0)
        execv(program, k->argv);
    fprintf(stderr, "sluice: %s: %s\n", program, strerror(errno));
}

/* A process of a group of its own: Ctrl-C is for the keeper, which unmounts first. Returns in the child as well, with 0. */
static pid_t fork_apart(void)
{
    pid_t child = fork();
    sigset_t none;
    sigemptyset(&none);
    if (child == 0 && (setpgid(0, 0) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0))
        _exit(1);
    return child;
}

/* Servers */

static int start_server(struct keeper *k)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    pid_t child = fork_apart();
    if (child == 0) {
        execute(k, OUR_PROGRAM, "keeper", pair[1]);
        _exit(1);
    }
    int r = child < 0 ? -errno : 0;
    close(pair[1]);
    k->channel = pair[0];
    k->server = child;
    k->server_started_ms = clock_mono_ms();
    k->kept.told.verb = GW_MOUNT_START;
    if (r == 0)
        r = gw_mount_send(k->channel, &k->kept.told, &k->kept.unsaved);
    k->kept.told.generation++;
    return r == -EPIPE ? 0 : r; /* it died already: noticed as any death */
}

/* Descriptors */

static void drop_clones(struct keeper *k)
{
    while (k->kept.devices.count > 1)
        close(k->kept.devices.fds[--k->kept.devices.count]);
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
    while (k->kept.devices.count < GW_MOUNT_DEVICES_MAX) {
        int clone = vfuse_device_clone(k->kept.devices.fds[0]);
        if (clone < 0)
            return clone;
        k->kept.devices.fds[k->kept.devices.count++] = clone;
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
    int device = vfuse_mount(&how);
    if (device < 0) {
        fprintf(stderr, "sluice: cannot mount on %s: %s\n", k->options->mount_point, explain(device));
        return device;
    }
    k->kept.devices.fds[k->kept.devices.count++] = device;
    return 0;
}

/* Messages */

static int on_opened(struct keeper *k, const struct gw_mount_message *m)
{
    k->kept.told.session = m->session;
    int r = is_mounted(k) ? 0 : mount_volume(k, m->name);
    if (r == 0)
        r = make_clones(k);
    if (r < 0)
        return r;
    struct gw_mount_message devices = k->kept.told;
    devices.verb = GW_MOUNT_DEVICES;
    devices.can_resend = vfuse_device_can_resend();
    r = gw_mount_send(k->channel, &devices, &k->kept.devices);
    if (r == 0 && k->works)
        log_info("mount_resumed", "server=%d", (int)k->server);
    return r == -EPIPE ? 0 : r; /* noticed as its death */
}

static void on_init(struct keeper *k, const struct gw_mount_message *m)
{
    memcpy(k->kept.told.init, m->init, m->init_size);
    k->kept.told.init_size = m->init_size;
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

/* Upgrades */

/* Asks the program that has our name now. */
static void start_candidate(struct keeper *k)
{
    CLEANUP(fd_closep) int state = gw_mount_state_write(&k->kept);
    k->candidate = state < 0 ? -1 : fork_apart();
    if (k->candidate == 0) {
        if (gw_mount_state_set_inherited(&k->kept, true) == 0)
            execute(k, k->program, "can-resume", state);
        _exit(1);
    }
    if (k->candidate < 0)
        log_error("upgrade_refused", "errno=%d", state < 0 ? -state : errno);
}

static void on_candidate(struct keeper *k, int status)
{
    k->candidate = -1;
    if (k->stopping)
        return;
    k->upgrading = WIFEXITED(status) && WEXITSTATUS(status) == GW_MOUNT_EXIT_ABLE;
    if (k->upgrading)
        (void)kill(k->server, SIGHUP); /* gone already: noticed */
    else
        log_error("upgrade_refused", "program=\"%s\" action=\"the one that runs goes on; unmounting and mounting changes over\"",
                  k->program);
}

/* Does not return when it worked. */
static void upgrade(struct keeper *k)
{
    k->upgrading = false;
    CLEANUP(fd_closep) int state = gw_mount_state_write(&k->kept);
    if (state >= 0 && gw_mount_state_set_inherited(&k->kept, true) == 0)
        execute(k, k->program, "resume", state);
    int r = gw_mount_state_set_inherited(&k->kept, false);
    log_error("upgrade_failed", "program=\"%s\" errno=%d", k->program, state < 0 ? -state : -r);
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
    if (k->candidate > 0 && waitpid(k->candidate, &status, WNOHANG) == k->candidate)
        on_candidate(k, status);
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
    if (k->upgrading)
        upgrade(k);
    pause_before_another(k);
    return start_server(k);
}

static void stop(struct keeper *k)
{
    if (k->stopping || !is_mounted(k)) {
        k->stopping = true;
        (void)kill(k->server, is_mounted(k) ? SIGKILL : SIGTERM); /* gone already: noticed */
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
        log_reopen();
        if (k->works && k->candidate < 0 && !k->upgrading)
            start_candidate(k);
        return 0;
    case SIGUSR1:
        log_reopen();
        (void)kill(k->server, SIGUSR1); /* gone already: noticed */
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

/* The others' command line: ours, and their role. */
static void make_arguments(struct keeper *k, int argc, char **argv)
{
    k->argv = calloc((size_t)argc + 4, sizeof(*k->argv));
    CHECK(k->argv != NULL); /* out of memory */
    static char name[] = "sluice", command[] = "mount";
    k->argv[0] = name;
    k->argv[1] = command;
    k->argv[2] = k->role_argument;
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

/* What the keeper before left. */
static int take_over(struct keeper *k)
{
    CLEANUP(fd_closep) int state = k->options->inherited;
    int r = gw_mount_state_read(state, &k->kept);
    if (r == 0)
        r = gw_mount_state_set_inherited(&k->kept, false);
    k->works = true;
    log_info("keeper_upgraded", "on=\"%s\" version=%s", k->options->mount_point, SLUICE_VERSION);
    return r;
}

static int begin(struct keeper *k)
{
    if (k->options->role == GW_MOUNT_SUCCESSOR)
        return take_over(k);
    k->kept.unsaved.fds[0] = vfuse_unsaved_create();
    k->kept.unsaved.count = k->kept.unsaved.fds[0] >= 0 ? 1 : 0;
    return 0;
}

int gw_mount_keep(const struct gw_mount_options *o, int argc, char **argv, int ready)
{
    struct keeper k = {.options = o, .channel = -1, .server = -1, .candidate = -1, .ready = ready};
    ssize_t n = readlink(OUR_PROGRAM, k.program, sizeof(k.program) - 1);
    k.signals = block_signals();
    if (n <= 0 || k.signals < 0) {
        fprintf(stderr, "sluice: cannot start: %s\n", strerror(errno));
        return 1;
    }
    make_arguments(&k, argc, argv);
    int r = begin(&k);
    if (r == 0)
        r = run(&k);
    if (r < 0) {
        k.exit_code = 1;
        log_error("keeper_failed", "errno=%d", -r);
        if (k.server > 0)
            (void)kill(k.server, SIGTERM); /* gone already is fine */
    }
    /* The server has gone without the mount: nobody will answer. */
    if ((is_mounted(&k) || k.works) && k.exit_code != 0 && vfuse_unmount(o->mount_point, true) == 0)
        log_warn("unmounted", "on=\"%s\"", o->mount_point);
    gw_mount_close_devices(&k.kept.devices);
    gw_mount_close_devices(&k.kept.unsaved);
    free(k.argv);
    close(k.signals);
    return k.exit_code;
}
