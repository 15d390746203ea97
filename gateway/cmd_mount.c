/* `sluice mount`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/args.h"
#include "gateway/commands.h"
#include "gateway/mount.h"

#define TEXT_BYTES_MAX (64 * 1024)
#define BACKGROUND_LOG "/var/log/sluice-mount.log"

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

/* In the background, errors go where the command was given until the mount works, and to the log from the beginning. */
static int keep_in_background(const struct gw_mount_options *o, int argc, char **argv)
{
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) < 0)
        return 1;
    pid_t child = fork();
    if (child < 0)
        return 1;
    if (child > 0) {
        close(ready[1]);
        return wait_for_ready(ready[0], child);
    }
    close(ready[0]);
    if (setsid() < 0 || chdir("/") < 0)
        return 1;
    return gw_mount_keep(o, argc, argv, ready[1]);
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
    return o->background ? keep_in_background(o, argc, argv) : gw_mount_keep(o, argc, argv, -1);
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
