/* `sluice group …`: groups of users that share policies. */
#include "base/encode.h"
#include "gateway/commands.h"
#include "gateway/store_command.h"

static const char usage[] =
    "usage: sluice group VERB …                      (all verbs: --state DIR, default as serve; --json)\n\n"
    "  add NAME                  a new group\n"
    "  remove NAME               removes the group; its members stay as users\n"
    "  list                      groups, their members and policies\n"
    "  add-user NAME USER        makes the user a member\n"
    "  remove-user NAME USER     ends that\n"
    "  attach NAME POLICY        the policy holds for all members\n"
    "  detach NAME POLICY        no longer\n";

static int do_add(struct gw_store_call *c)
{
    return gw_store_done(c, auth_store_group_add(c->store, c->words[0]));
}

static int do_remove(struct gw_store_call *c)
{
    return gw_store_done(c, auth_store_group_remove(c->store, c->words[0]));
}

static int do_add_user(struct gw_store_call *c)
{
    return gw_store_done(c, auth_store_group_join(c->store, c->words[0], c->words[1]));
}

static int do_remove_user(struct gw_store_call *c)
{
    return gw_store_done(c, auth_store_group_leave(c->store, c->words[0], c->words[1]));
}

static int do_attach(struct gw_store_call *c)
{
    return gw_store_done(c, auth_store_attach(c->store, AUTH_STORE_GROUP, c->words[0], c->words[1]));
}

static int do_detach(struct gw_store_call *c)
{
    return gw_store_done(c, auth_store_detach(c->store, AUTH_STORE_GROUP, c->words[0], c->words[1]));
}

static int do_list(struct gw_store_call *c)
{
    struct auth_group_row *rows;
    size_t count;
    if (auth_store_group_list(c->store, c->arena, &rows, &count) < 0)
        return gw_store_fail(c->store);
    struct buf out = buf_make(GW_STORE_OUTPUT_MAX);
    if (c->json)
        buf_addc(&out, '[');
    else
        buf_addf(&out, "%-24s %-32s %s\n", "GROUP", "POLICIES", "MEMBERS");
    for (size_t i = 0; i < count; i++) {
        const struct auth_group_row *row = &rows[i];
        CLEANUP(buf_done) struct buf members = buf_make(GW_STORE_OUTPUT_MAX), policies = buf_make(GW_STORE_OUTPUT_MAX);
        gw_store_add_names(&members, row->members, row->member_count, c->json);
        gw_store_add_names(&policies, row->policies, row->policy_count, c->json);
        if (!c->json) {
            buf_addf(&out, "%-24.*s %-32s %s\n", STR_ARG(row->name), buf_z(&policies), buf_z(&members));
            continue;
        }
        buf_addz(&out, i ? ",\n{\"group\":" : "{\"group\":");
        buf_add_json(&out, row->name);
        buf_addf(&out, ",\"members\":%s,\"policies\":%s}", buf_z(&members), buf_z(&policies));
    }
    buf_addz(&out, c->json ? "]\n" : "");
    return gw_store_print(&out);
}

static const struct gw_store_verb verbs[] = {
    {"add", 1, do_add},           {"remove", 1, do_remove}, {"list", 0, do_list},     {"add-user", 2, do_add_user},
    {"remove-user", 2, do_remove_user}, {"attach", 2, do_attach}, {"detach", 2, do_detach},
};

int gw_cmd_group(int argc, char **argv)
{
    return gw_store_command("group", usage, verbs, ARRAY_SIZE(verbs), argc, argv);
}
