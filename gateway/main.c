#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/str.h"
#include "gateway/commands.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    {"serve", gw_cmd_serve, "serve a directory as S3 buckets"},
    {"mount", gw_cmd_mount, "mount a JuiceFS-format volume"},
    {"umount", gw_cmd_umount, "unmount it"},
    {"warmup", gw_cmd_warmup, "fill this host's cache on disk, look at it, or empty it, by paths"},
    {"stats", gw_cmd_stats, "watch what a mount does"},
    {"user", gw_cmd_user, "add, list, change and remove users and their keys"},
    {"group", gw_cmd_group, "groups of users that share policies"},
    {"policy", gw_cmd_policy, "what users and groups may do, in the language of IAM policies"},
    {"format", gw_cmd_format, "make a JuiceFS-format volume"},
    {"status", gw_cmd_status, "settings, sessions and space of a JuiceFS-format volume"},
    {"info", gw_cmd_info, "what a path of a JuiceFS-format volume is made of"},
    {"fsck", gw_cmd_fsck, "check a JuiceFS-format volume, and repair it"},
    {"gc", gw_cmd_gc, "find what a JuiceFS-format volume has leaked, and remove it"},
    {"config", gw_cmd_config, "show or check the configuration that serve would use"},
    {"health", gw_cmd_health, "ask a running gateway whether it is ready (exit code 0 or 1)"},
    {"version", gw_cmd_version, "print the version"},
};

static void print_usage(FILE *out)
{
    fputs("sluice: an S3 gateway over a filesystem\n\nusage: sluice COMMAND [OPTIONS]\n\n", out);
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fputs("\n`sluice COMMAND --help` explains each. First steps:\n\n"
          "  sluice serve ./data          every directory in ./data is a bucket; prints a key pair once\n",
          out);
}

/* mount(8) calls us by this name. */
static bool is_mount_helper(const char *program)
{
    const char *slash = strrchr(program, '/');
    return strcmp(slash ? slash + 1 : program, "mount.sluice") == 0;
}

int main(int argc, char **argv)
{
    if (argc > 0 && is_mount_helper(argv[0]))
        return gw_cmd_mount_helper(argc - 1, argv + 1);
    struct str name = argc > 1 ? str_z(argv[1]) : STR_EMPTY;
    if (argc < 2) {
        print_usage(stderr);
        return 2;
    }
    if (str_is(name, "--help") || str_is(name, "-h") || str_is(name, "help")) {
        print_usage(stdout);
        return 0;
    }
    if (str_is(name, "--version"))
        name = STR("version");
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (str_is(name, commands[i].name))
            return commands[i].run(argc - 2, argv + 2);
    }
    fprintf(stderr, "sluice: unknown command '%s'; `sluice --help` lists them\n", argv[1]);
    return 2;
}
