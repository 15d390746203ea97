/* Command-line words, one after the other: `--name value`, `--name=value`, positionals; `--` ends the options.
 * Thread: main. */
#ifndef GATEWAY_ARGS_H
#define GATEWAY_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct gw_args {
    char **words;
    int count;
    int next;
    bool only_positionals;
    const char *inline_value; /* behind '=' of the option last returned */
};

enum gw_arg_kind { GW_ARG_END, GW_ARG_OPTION, GW_ARG_POSITIONAL };

struct gw_args gw_args_make(int count, char **words);
/* out: an option's name without dashes, or the positional word. */
enum gw_arg_kind gw_args_next(struct gw_args *a, struct str *out);
/* The value of the option just returned: behind '=' or the next word; NULL when there is none. */
const char *gw_args_value(struct gw_args *a);
/* A size; a number alone counts MiB, as with juicefs. */
bool gw_args_mebibytes(const char *value, uint64_t *out_bytes);
bool gw_args_octal(const char *value, int max, int *out);
/* -h or --help anywhere before `--`. */
bool gw_args_want_help(int count, char **words);

#endif
