/* `sluice mount`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "gateway/args.h"
#include "gateway/commands.h"
#include "gateway/mount.h"

#define TEXT_BYTES_MAX (64 * 1024)
#define BACKGROUND_LOG "/var/log/sluice-mount.log"

/* What the mount has said since `from`, for who started it. */
static void show_log(int log, off_t from)
{
    char bytes[4096];
    for (ssize_t n; (n = pread(log, bytes, sizeof(bytes), from)) > 0; from += n)
        (void)fwrite(bytes, 1, (size_t)n, stderr);
}

/* Waits until the keeper in the background says that the mount works, or has gone. */
static int wait_for_ready(int ready, pid_t keeper)
{
    char byte;
    ssize_t n;
    do {
        n = read(ready, &byte, 1);
    } while (n < 0 && errno == EINTR);
    if (n == 1)
        return 0;
    int status;
    if (waitpid(keeper, &status, 0) == keeper && WIFEXITED(status) && WEXITSTATUS(status) != 0)
        return WEXITSTATUS(status);
    return 1;
}

/* Whoever waits for the end of our output must not wait for the mount's. */
static bool leave_terminal(int log)
{
    CLEANUP(fd_closep) int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 && dup2(log, STDOUT_FILENO) >= 0 &&
           dup2(log, STDERR_FILENO) >= 0 && setsid() >= 0;
}

static int keep_in_background(const struct gw_mount_options *o, const char *log_file, int argc, char **argv)
{
    CLEANUP(fd_closep) int log = open(log_file, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    off_t from = log < 0 ? -1 : lseek(log, 0, SEEK_END);
    int ready[2];
    if (from < 0 || pipe2(ready, O_CLOEXEC) < 0) {
        fprintf(stderr, "sluice: cannot go to the background: %s\n", strerror(errno));
        return 1;
    }
    CLEANUP(fd_closep) int wait_end = ready[0];
    pid_t child = fork();
    if (child == 0)
        return leave_terminal(log) ? gw_mount_keep(o, argc, argv, ready[1]) : 1;
    close(ready[1]);
    int code = child < 0 ? 1 : wait_for_ready(wait_end, child);
    if (code != 0)
        show_log(log, from);
    return code;
}

static int run(const struct gw_mount_options *o, int argc, char **argv)
{
    const char *log = o->log_file ? o->log_file : o->background ? BACKGROUND_LOG : NULL;
    int r = log_open(log, o->log_level, false);
    if (r < 0) {
        fprintf(stderr, "sluice: log file %s: %s (--log FILE names another)\n", log, strerror(-r));
        return 1;
    }
    if (o->keeper >= 0)
        return gw_mount_serve(o);
    return o->background ? keep_in_background(o, log, argc, argv) : gw_mount_keep(o, argc, argv, -1);
}

int gw_cmd_mount(int argc, char **argv)
{
    struct buf text = buf_make(TEXT_BYTES_MAX);
    if (gw_args_want_help(argc, argv)) {
        gw_mount_options_help(&text);
        fputs(buf_z(&text), stdout);
        buf_done(&text);
        return 0;
    }
    struct gw_mount_options options;
    int r = gw_mount_options_parse(argc, argv, &options, &text);
    fputs(buf_z(&text), stderr);
    buf_done(&text);
    if (r < 0)
        return r == -EINVAL ? 2 : 1;
    int code = run(&options, argc, argv);
    gw_mount_options_done(&options);
    return code;
}
