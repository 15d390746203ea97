/* `sluice status META-URL` and `sluice info META-URL PATH…`: looking at a JuiceFS-format volume. */
#include <stdio.h>

#include "base/limits.h"
#include "gateway/commands.h"
#include "vfs/jfs/admin.h"

static const char status_usage[] = "usage: sluice status META-URL\n\n"
                                   "Settings, sessions and space of a JuiceFS-format volume, as JSON.\n";
static const char info_usage[] = "usage: sluice info META-URL PATH…\n\n"
                                 "What a path of a JuiceFS-format volume is: inode, what is below it, the slices of a file.\n";

static bool is_help(int argc, char **argv)
{
    return argc > 0 && (str_is(str_z(argv[0]), "--help") || str_is(str_z(argv[0]), "-h"));
}

/* Prints and frees; the exit code. */
static int finish(int rc, struct buf *out, struct buf *error)
{
    if (rc < 0)
        fprintf(stderr, "sluice: %s\n", buf_z(error));
    else
        fputs(buf_z(out), stdout);
    buf_done(out);
    buf_done(error);
    return rc < 0 ? 1 : 0;
}

int gw_cmd_status(int argc, char **argv)
{
    struct buf out = buf_make(LIMIT_REPORT_BYTES), error = buf_make(LIMIT_SETTINGS_BYTES);
    if (is_help(argc, argv) || argc != 1) {
        fputs(status_usage, is_help(argc, argv) ? stdout : stderr);
        return is_help(argc, argv) ? 0 : 2;
    }
    return finish(jfs_status(str_z(argv[0]), &out, &error), &out, &error);
}

int gw_cmd_info(int argc, char **argv)
{
    int code = 0;
    if (is_help(argc, argv) || argc < 2) {
        fputs(info_usage, is_help(argc, argv) ? stdout : stderr);
        return is_help(argc, argv) ? 0 : 2;
    }
    for (int i = 1; i < argc; i++) {
        struct buf out = buf_make(LIMIT_REPORT_BYTES), error = buf_make(LIMIT_SETTINGS_BYTES);
        int one = finish(jfs_info(str_z(argv[0]), str_z(argv[i]), &out, &error), &out, &error);
        code = one > code ? one : code;
    }
    return code;
}
