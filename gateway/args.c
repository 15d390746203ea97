#include "gateway/args.h"

#include <stdlib.h>

struct gw_args gw_args_make(int count, char **words)
{
    return (struct gw_args){.words = words, .count = count};
}

enum gw_arg_kind gw_args_next(struct gw_args *a, struct str *out)
{
    a->inline_value = NULL;
    if (a->next < a->count && !a->only_positionals && str_is(str_z(a->words[a->next]), "--")) {
        a->only_positionals = true;
        a->next++;
    }
    if (a->next >= a->count)
        return GW_ARG_END;
    struct str word = str_z(a->words[a->next++]);
    if (a->only_positionals || !str_starts(word, STR("-")) || word.len == 1) {
        *out = word;
        return GW_ARG_POSITIONAL;
    }
    struct str name = str_from(word, str_starts(word, STR("--")) ? 2 : 1);
    ptrdiff_t equals = str_find_char(name, '=');
    if (equals >= 0) {
        a->inline_value = name.ptr + equals + 1;
        name = str_first(name, (size_t)equals);
    }
    *out = name;
    return GW_ARG_OPTION;
}

const char *gw_args_value(struct gw_args *a)
{
    if (a->inline_value)
        return a->inline_value;
    if (a->next >= a->count)
        return NULL;
    return a->words[a->next++];
}

bool gw_args_want_help(int count, char **words)
{
    for (int i = 0; i < count && !str_is(str_z(words[i]), "--"); i++) {
        if (str_is(str_z(words[i]), "--help") || str_is(str_z(words[i]), "-h"))
            return true;
    }
    return false;
}

bool gw_args_mebibytes(const char *value, uint64_t *out_bytes)
{
    uint64_t n;
    if (!str_parse_u64(str_z(value), &n))
        return str_parse_size(str_z(value), out_bytes);
    if (n > UINT64_MAX >> 20)
        return false;
    *out_bytes = n << 20;
    return true;
}

bool gw_args_octal(const char *value, int max, int *out)
{
    char *end;
    long n = strtol(value, &end, 8);
    if (end == value || *end != '\0' || n < 0 || n > max)
        return false;
    *out = (int)n;
    return true;
}
