#include "gateway/store_command.h"

#include <errno.h>
#include <stdio.h>

#include "base/encode.h"
#include "gateway/args.h"
#include "gateway/config.h"

int gw_store_fail(struct auth_store *store)
{
    fprintf(stderr, "sluice: %s\n", auth_store_error(store));
    return 1;
}

int gw_store_no_verb(const char *command, struct str verb, const char *usage)
{
    if (verb.len > 0)
        fprintf(stderr, "sluice: there is no `%s %.*s`\n\n", command, STR_ARG(verb));
    fputs(usage, stderr);
    return 2;
}

int gw_store_done(struct gw_store_call *call, int result)
{
    return result < 0 ? gw_store_fail(call->store) : 0;
}

void gw_store_add_names(struct buf *out, const struct str *names, size_t count, bool json)
{
    if (json)
        buf_addc(out, '[');
    for (size_t i = 0; i < count; i++) {
        buf_addz(out, i ? "," : "");
        if (json)
            buf_add_json(out, names[i]);
        else
            buf_add(out, names[i]);
    }
    if (json)
        buf_addc(out, ']');
}

int gw_store_print(struct buf *out)
{
    fputs(buf_z(out), stdout);
    buf_done(out);
    return 0;
}

/* The state folder, or NULL after a line that says what is wrong. */
static const char *parse_words(struct gw_store_call *call, const char *command, const struct gw_store_verb *verb, int argc,
                               char **argv)
{
    struct gw_args args = gw_args_make(argc, argv);
    struct str word;
    size_t count = 0;
    const char *state_dir = gw_config_state_dir(call->arena);
    for (enum gw_arg_kind kind; (kind = gw_args_next(&args, &word)) != GW_ARG_END;) {
        if (kind == GW_ARG_POSITIONAL) {
            if (count < verb->words)
                call->words[count] = word;
            count++;
        } else if (str_is(word, "json")) {
            call->json = true;
        } else if (str_is(word, "state")) {
            state_dir = gw_args_value(&args);
        } else {
            fprintf(stderr, "sluice: there is no option --%.*s; `sluice %s --help` lists them\n", STR_ARG(word), command);
            return NULL;
        }
    }
    if (count != verb->words) {
        fprintf(stderr, "sluice: %s %s: %zu words are needed, %zu were given; see `sluice %s --help`\n", command, verb->name,
                verb->words, count, command);
        return NULL;
    }
    if (!state_dir)
        fputs("sluice: no state folder: neither HOME nor XDG_STATE_HOME is set; give --state DIR\n", stderr);
    return state_dir;
}

static int run(const char *command, const struct gw_store_verb *verb, int argc, char **argv)
{
    CLEANUP(arena_freep) struct arena *arena = arena_new();
    struct gw_store_call call = {.arena = arena};
    const char *state_dir = parse_words(&call, command, verb, argc, argv);
    if (!state_dir)
        return 2;
    if (auth_store_open(state_dir, &call.store) < 0)
        return gw_store_fail(NULL);
    int rc = verb->run(&call);
    auth_store_close(call.store);
    return rc;
}

int gw_store_command(const char *command, const char *usage, const struct gw_store_verb *verbs, size_t verb_count, int argc,
                     char **argv)
{
    struct str word = argc > 0 ? str_z(argv[0]) : STR_EMPTY;
    if (str_is(word, "--help") || str_is(word, "-h")) {
        fputs(usage, stdout);
        return 0;
    }
    for (size_t i = 0; i < verb_count; i++)
        if (str_is(word, verbs[i].name))
            return run(command, &verbs[i], argc - 1, argv + 1);
    return gw_store_no_verb(command, word, usage);
}
