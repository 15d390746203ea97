/* `sluice policy …`: policies of the identity store. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "auth/policy.h"
#include "base/encode.h"
#include "base/fd.h"
#include "base/limits.h"
#include "gateway/commands.h"
#include "gateway/store_command.h"

static const char usage[] =
    "usage: sluice policy VERB …                     (all verbs: --state DIR, default as serve; --json)\n\n"
    "  list                      canned policies and your own, and whom they are attached to\n"
    "  get NAME                  prints the document\n"
    "  put NAME FILE             adds or replaces it; -: from standard input\n"
    "  delete NAME               removes it; it must not be attached to anybody\n\n"
    "`sluice user attach` and `sluice group attach` put them to use.\n";

static int do_list(struct gw_store_call *c)
{
    struct auth_policy_row *rows;
    size_t count;
    if (auth_store_policy_list(c->store, c->arena, &rows, &count) < 0)
        return gw_store_fail(c->store);
    struct buf out = buf_make(GW_STORE_OUTPUT_MAX);
    if (!c->json)
        buf_addf(&out, "%-24s %-8s %-32s %s\n", "POLICY", "KIND", "USERS", "GROUPS");
    for (size_t i = 0; i < count; i++) {
        const struct auth_policy_row *row = &rows[i];
        CLEANUP(buf_done) struct buf users = buf_make(GW_STORE_OUTPUT_MAX), groups = buf_make(GW_STORE_OUTPUT_MAX);
        gw_store_add_names(&users, row->users, row->user_count, c->json);
        gw_store_add_names(&groups, row->groups, row->group_count, c->json);
        bool is_canned = row->created.len == 0;
        if (!c->json) {
            buf_addf(&out, "%-24.*s %-8s %-32s %s\n", STR_ARG(row->name), is_canned ? "canned" : "own", buf_z(&users),
                     buf_z(&groups));
            continue;
        }
        buf_addz(&out, i ? ",\n{\"policy\":" : "[{\"policy\":");
        buf_add_json(&out, row->name);
        buf_addf(&out, ",\"canned\":%s,\"users\":%s,\"groups\":%s}", is_canned ? "true" : "false", buf_z(&users), buf_z(&groups));
    }
    buf_addz(&out, c->json ? "]\n" : "");
    return gw_store_print(&out);
}

static int do_get(struct gw_store_call *c)
{
    struct str document;
    if (auth_store_policy_get(c->store, c->words[0], c->arena, &document) < 0)
        return gw_store_fail(c->store);
    printf("%.*s\n", STR_ARG(document));
    return 0;
}

static int do_put(struct gw_store_call *c)
{
    CLEANUP(buf_done) struct buf document = buf_make(LIMIT_POLICY_BYTES + 1);
    const char *path = str_is(c->words[1], "-") ? "/dev/stdin" : arena_dupz(c->arena, c->words[1]);
    int rc = fd_read_file(AT_FDCWD, path, &document);
    if (rc < 0) {
        fprintf(stderr, "sluice: %s: %s\n", path, strerror(-rc));
        return 1;
    }
    return gw_store_done(c, auth_store_policy_put(c->store, c->words[0], str_trim(buf_str(&document))));
}

static int do_delete(struct gw_store_call *c)
{
    return gw_store_done(c, auth_store_policy_remove(c->store, c->words[0]));
}

static const struct gw_store_verb verbs[] = {
    {"list", 0, do_list},
    {"get", 1, do_get},
    {"put", 2, do_put},
    {"delete", 1, do_delete},
};

int gw_cmd_policy(int argc, char **argv)
{
    return gw_store_command("policy", usage, verbs, ARRAY_SIZE(verbs), argc, argv);
}
