/* `sluice serve`, `sluice config`, `sluice version`. */
#include <errno.h>
#include <stdio.h>

#include "gateway/args.h"
#include "gateway/commands.h"
#include "gateway/config.h"
#include "gateway/server.h"

#define HELP_BYTES_MAX (64 * 1024)

static int parse_or_explain(int argc, char **argv, struct gw_config *config)
{
    struct buf error = buf_make(HELP_BYTES_MAX);
    int rc = gw_config_parse(argc, argv, config, &error);
    if (rc < 0)
        fputs(buf_z(&error), stderr);
    buf_done(&error);
    return rc;
}

int gw_cmd_serve(int argc, char **argv)
{
    if (gw_args_want_help(argc, argv)) {
        struct buf help = buf_make(HELP_BYTES_MAX);
        gw_config_help(&help);
        fputs(buf_z(&help), stdout);
        buf_done(&help);
        return 0;
    }
    struct gw_config config;
    if (parse_or_explain(argc, argv, &config) < 0)
        return 2;
    int code = gw_server_run(&config);
    gw_config_done(&config);
    return code;
}

int gw_cmd_config(int argc, char **argv)
{
    struct str verb = argc > 0 ? str_z(argv[0]) : STR_EMPTY;
    bool dump = str_is(verb, "dump");
    if (!dump && !str_is(verb, "check")) {
        fputs("usage: sluice config dump|check [the options of serve]\n"
              "  dump   prints the effective configuration, secrets left out, in the form of a config file\n"
              "  check  says what is wrong with it, or nothing\n",
              gw_args_want_help(argc, argv) ? stdout : stderr);
        return gw_args_want_help(argc, argv) ? 0 : 2;
    }
    struct gw_config config;
    if (parse_or_explain(argc - 1, argv + 1, &config) < 0)
        return 2;
    if (dump) {
        struct buf text = buf_make(HELP_BYTES_MAX);
        gw_config_dump(&config, &text);
        fputs(buf_z(&text), stdout);
        buf_done(&text);
    }
    gw_config_done(&config);
    return 0;
}

int gw_cmd_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("sluice " SLUICE_VERSION);
    return 0;
}
