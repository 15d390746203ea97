/* What `sluice user`, `sluice group` and `sluice policy` have in common: words, the identity store, lists as JSON. Thread: main. */
#ifndef GATEWAY_STORE_COMMAND_H
#define GATEWAY_STORE_COMMAND_H

#include "auth/store.h"
#include "base/buf.h"

#define GW_STORE_WORDS_MAX 2
/* Of one command's output: far above any list that a person reads. */
#define GW_STORE_OUTPUT_MAX (16 * 1024 * 1024)

struct gw_store_call {
    struct auth_store *store;
    struct arena *arena;
    struct str words[GW_STORE_WORDS_MAX]; /* behind the verb */
    bool json;
};

struct gw_store_verb {
    const char *name;
    size_t words;
    int (*run)(struct gw_store_call *call);
};

/* Runs argv's verb with --state DIR and --json understood; command: "policy", for messages. The exit code. */
int gw_store_command(const char *command, const char *usage, const struct gw_store_verb *verbs, size_t verb_count, int argc,
                     char **argv);
/* No verb, or one that there is not: says so, with the usage; exit code 2. */
int gw_store_no_verb(const char *command, struct str verb, const char *usage);
/* The store's own text; exit code 1. */
int gw_store_fail(struct auth_store *store);
/* result: what a call of the store returned. */
int gw_store_done(struct gw_store_call *call, int result);
/* "a,b" or ["a","b"]. */
void gw_store_add_names(struct buf *out, const struct str *names, size_t count, bool json);
/* Prints and releases. */
int gw_store_print(struct buf *out);

#endif
