/* `sluice umount`: unmounts, and waits until the processes that served the mount have committed and gone. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "gateway/args.h"
#include "gateway/commands.h"
#include "vfs/fuse/device.h"

#define CONFIG_BYTES_MAX (1024 * 1024)
#define WAIT_MS (120 * 1000)

static const char usage[] = "usage: sluice umount [--lazy] DIR\n"
                            "Unmounts and waits until everything written is in the volume.\n"
                            "  --lazy   (-l, --force, -f) also when files are open: programs keep them as long as the mount's process lives\n";

/* The keeper's process, as the mount's .config says: ours, one member a line. -1: not told. */
static int keeper_of(const char *directory)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/.config", directory);
    CLEANUP(buf_done) struct buf config = buf_make(CONFIG_BYTES_MAX);
    if (n < 0 || (size_t)n >= sizeof(path) || fd_read_file(AT_FDCWD, path, &config) < 0)
        return -1;
    struct str rest = buf_str(&config), line;
    while (str_split(&rest, '\n', &line)) {
        static const char member[] = "\"PPid\": ";
        uint64_t pid;
        line = str_trim(line);
        if (str_starts(line, STR(member)) && str_parse_u64_max(str_from(line, sizeof(member) - 1), INT32_MAX, &pid) && pid > 1)
            return (int)syscall(SYS_pidfd_open, (pid_t)pid, 0u);
    }
    return -1;
}

static int unmount(const char *directory, bool lazy)
{
    CLEANUP(fd_closep) int keeper = keeper_of(directory);
    int r = vfuse_unmount(directory, lazy);
    if (r == -EBUSY)
        fprintf(stderr, "sluice: %s is in use (`fuser -m %s` says by whom; --lazy unmounts all the same)\n", directory, directory);
    else if (r == -EINVAL)
        fprintf(stderr, "sluice: %s is not a mount point\n", directory);
    else if (r < 0)
        fprintf(stderr, "sluice: cannot unmount %s: %s\n", directory, strerror(-r));
    if (r < 0)
        return 1;
    struct pollfd p = {.fd = keeper, .events = POLLIN};
    if (keeper >= 0 && !lazy && poll(&p, 1, WAIT_MS) == 0) {
        fprintf(stderr, "sluice: %s is unmounted, but what was written is still being uploaded; see the mount's log\n", directory);
        return 1;
    }
    return 0;
}

int gw_cmd_umount(int argc, char **argv)
{
    if (gw_args_want_help(argc, argv)) {
        fputs(usage, stdout);
        return 0;
    }
    struct gw_args args = gw_args_make(argc, argv);
    struct str word;
    const char *directory = NULL;
    bool lazy = false;
    for (enum gw_arg_kind kind; (kind = gw_args_next(&args, &word)) != GW_ARG_END;) {
        bool is_lazy = str_is(word, "lazy") || str_is(word, "l") || str_is(word, "force") || str_is(word, "f");
        if (kind == GW_ARG_POSITIONAL && !directory) {
            directory = word.ptr;
        } else if (kind == GW_ARG_OPTION && is_lazy) {
            lazy = true;
        } else {
            fputs(usage, stderr);
            return 2;
        }
    }
    if (!directory) {
        fputs(usage, stderr);
        return 2;
    }
    /* A mount whose process died cannot be resolved, but can be unmounted. */
    char *path = realpath(directory, NULL);
    int code = unmount(path ? path : directory, lazy);
    free(path);
    return code;
}
