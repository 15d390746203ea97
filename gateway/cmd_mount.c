/* `sluice mount`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "gateway/args.h"
#include "gateway/commands.h"
#include "gateway/mount.h"

#define TEXT_BYTES_MAX (64 * 1024)
/* Exit codes of mount(8). */
#define MOUNT_WRONG_USE 1
#define MOUNT_FAILED 32
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

/* The program that an upgrade would go on with, asked by the one that runs. */
static int say_whether_able(const struct gw_mount_options *o)
{
    struct gw_mount_state state;
    int r = gw_mount_state_read(o->inherited, &state);
    if (r < 0)
        fprintf(stderr, "sluice: cannot go on with a mount of that version: %s\n", strerror(-r));
    return r < 0 ? 1 : GW_MOUNT_EXIT_ABLE;
}

static int run(const struct gw_mount_options *o, int argc, char **argv)
{
    if (o->role == GW_MOUNT_CANDIDATE)
        return say_whether_able(o);
    const char *log = o->log_file ? o->log_file : o->background ? BACKGROUND_LOG : NULL;
    int r = log_open(log, o->log_level, false);
    if (r < 0) {
        fprintf(stderr, "sluice: log file %s: %s (--log FILE names another)\n", log, strerror(-r));
        return 1;
    }
    if (o->role == GW_MOUNT_SERVER)
        return gw_mount_serve(o);
    if (o->role == GW_MOUNT_SUCCESSOR) /* its own option comes first */
        return gw_mount_keep(o, argc - 1, argv + 1, -1);
    return o->background ? keep_in_background(o, log, argc, argv) : gw_mount_keep(o, argc, argv, -1);
}

/* Is the word one of the list's? */
static bool names(const char *list, const char *word)
{
    struct str rest = str_z(list), item;
    while (rest.ptr && str_split(&rest, ',', &item)) {
        if (str_is(item, word))
            return true;
    }
    return false;
}

/* only_check: the words are looked at, nothing is mounted. */
static int mount_by(int argc, char **argv, bool only_check)
{
    struct buf text = buf_make(TEXT_BYTES_MAX);
    struct gw_mount_options options;
    int r = gw_mount_options_parse(argc, argv, &options, &text);
    fputs(buf_z(&text), stderr);
    buf_done(&text);
    if (r < 0)
        return r == -EINVAL ? 2 : 1;
    int code = only_check ? 0 : run(&options, argc, argv);
    gw_mount_options_done(&options);
    return code;
}

int gw_cmd_mount(int argc, char **argv)
{
    if (gw_args_want_help(argc, argv)) {
        struct buf text = buf_make(TEXT_BYTES_MAX);
        gw_mount_options_help(&text);
        fputs(buf_z(&text), stdout);
        buf_done(&text);
        return 0;
    }
    return mount_by(argc, argv, false);
}

/* mount(8), "External helpers". Of its own options only -f (do nothing) matters here; -o holds all that fstab says. */
int gw_cmd_mount_helper(int argc, char **argv)
{
    static char options[] = "-o", background[] = "-d";
    char **words = calloc((size_t)argc + 2, sizeof(*words));
    CHECK(words != NULL); /* out of memory */
    int count = 0, code = 0;
    bool fake = false, foreground = false;
    for (int i = 0; i < argc && code == 0; i++) {
        if (strcmp(argv[i], "-o") == 0 && i + 1 < argc) {
            words[count++] = options;
            words[count++] = argv[++i];
            foreground = foreground || names(argv[i], "foreground") || names(argv[i], "f");
        } else if (strcmp(argv[i], "-t") == 0 && i + 1 < argc) {
            i++;
        } else if (argv[i][0] != '-') {
            words[count++] = argv[i];
        } else if (strspn(argv[i] + 1, "sfnv") == strlen(argv[i] + 1)) {
            fake = fake || strchr(argv[i], 'f');
        } else {
            fprintf(stderr, "mount.sluice: %s is not known here\n", argv[i]);
            code = 2;
        }
    }
    if (!foreground)
        words[count++] = background;
    if (code == 0)
        code = mount_by(count, words, fake);
    free(words);
    return code == 0 ? 0 : code == 2 ? MOUNT_WRONG_USE : MOUNT_FAILED;
}
