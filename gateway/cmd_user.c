/* `sluice user …`: the identity store from the command line. A running gateway notices within a second. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth/store.h"
#include "base/arena.h"
#include "base/encode.h"
#include "gateway/args.h"
#include "gateway/commands.h"
#include "gateway/config.h"
#include "gateway/store_command.h"

#define LIST_MAX 256

static const char usage[] =
    "usage: sluice user VERB …                       (all verbs: --state DIR, default as serve; --json)\n\n"
    "  add NAME [OPTIONS]        adds a user and a key pair, and prints the pair\n"
    "  set NAME [OPTIONS]        changes what the options name, keeps the rest\n"
    "  list                      users and their access keys\n"
    "  remove NAME               removes the user and all keys\n"
    "  rotate NAME [--keep-old]  makes a new key pair and removes the old ones\n"
    "  add-key NAME              one more key pair\n"
    "  remove-key ACCESS-KEY     removes one key\n"
    "  disable ACCESS-KEY        refuses the key until\n"
    "  enable ACCESS-KEY         it is allowed again\n"
    "  attach NAME POLICY        the user may do what its policies say, and nothing else (`sluice policy`)\n"
    "  detach NAME POLICY        takes the policy away\n\n"
    "options of add and set:\n"
    "  --access-key K --secret-key S   instead of a generated pair (add, add-key, rotate)\n"
    "  --admin on|off            may do everything\n"
    "  --read-only on|off        may only read\n"
    "  --buckets A,B,…           without policies: may touch these buckets only; empty: all\n"
    "  --uid N --gid N --groups N,N,…   POSIX identity of the user's file operations (gateway run as root); --uid none takes it away\n"
    "  --display-name TEXT --email ADDRESS   as S3 shows the owner\n"
    "  --id ID                   canonical user id (add; generated otherwise)\n";

/* The words of one invocation. */
struct user_call {
    struct str name; /* the positional: a user's name, or an access key */
    struct str policy; /* the second one, of attach and detach */
    const char *state_dir;
    struct str access_key, secret_key;
    bool keep_old, json;
    /* What the options name; *_given tells for set. */
    struct auth_user_spec spec;
    bool admin_given, read_only_given, buckets_given, uid_given, gid_given, groups_given, display_name_given, email_given;
    struct str buckets[LIST_MAX];
    uint32_t groups[LIST_MAX];
};

static int complain(struct str option, const char *allowed)
{
    fprintf(stderr, "sluice: --%.*s: allowed: %s\n", STR_ARG(option), allowed);
    return -EINVAL;
}

static int parse_switch(struct str option, const char *value, bool *out)
{
    *out = str_is(str_z(value), "on");
    return *out || str_is(str_z(value), "off") ? 0 : complain(option, "on, off");
}

static int parse_id(struct str option, const char *value, uint32_t *out)
{
    uint64_t n;
    if (!str_parse_u64_max(str_z(value), UINT32_MAX - 1, &n))
        return complain(option, "a number");
    *out = (uint32_t)n;
    return 0;
}

static int parse_buckets(struct user_call *c, const char *value)
{
    struct str rest = str_z(value), item;
    c->buckets_given = true;
    c->spec.bucket_count = 0;
    c->spec.buckets = c->buckets;
    while (*value && str_split(&rest, ',', &item)) {
        if (c->spec.bucket_count == LIST_MAX)
            return complain(STR("buckets"), "at most 256 names");
        c->buckets[c->spec.bucket_count++] = str_trim(item);
    }
    return 0;
}

static int parse_groups(struct user_call *c, const char *value)
{
    struct str rest = str_z(value), item;
    c->spec.posix.group_count = 0;
    c->spec.posix.groups = c->groups;
    while (*value && str_split(&rest, ',', &item)) {
        uint64_t n;
        if (c->spec.posix.group_count == LIST_MAX || !str_parse_u64_max(str_trim(item), UINT32_MAX - 1, &n))
            return complain(STR("groups"), "at most 256 numbers, separated by commas");
        c->groups[c->spec.posix.group_count++] = (uint32_t)n;
    }
    return 0;
}

static int parse_option(struct user_call *c, struct str option, struct gw_args *args)
{
    if (str_is(option, "json") || str_is(option, "keep-old")) {
        *(str_is(option, "json") ? &c->json : &c->keep_old) = true;
        return 0;
    }
    const char *value = gw_args_value(args);
    struct str text = str_z(value);
    if (!value) {
        fprintf(stderr, "sluice: --%.*s needs a value\n", STR_ARG(option));
        return -EINVAL;
    }
    if (str_is(option, "state")) {
        c->state_dir = value;
    } else if (str_is(option, "access-key")) {
        c->access_key = text;
    } else if (str_is(option, "secret-key")) {
        c->secret_key = text;
    } else if (str_is(option, "id")) {
        c->spec.id = text;
    } else if (str_is(option, "display-name")) {
        c->spec.display_name = text;
        c->display_name_given = true;
    } else if (str_is(option, "email")) {
        c->spec.email = text;
        c->email_given = true;
    } else if (str_is(option, "admin")) {
        c->admin_given = true;
        return parse_switch(option, value, &c->spec.admin);
    } else if (str_is(option, "read-only")) {
        c->read_only_given = true;
        return parse_switch(option, value, &c->spec.read_only);
    } else if (str_is(option, "buckets")) {
        return parse_buckets(c, value);
    } else if (str_is(option, "uid")) {
        c->uid_given = true;
        c->spec.posix.set = !str_is(text, "none");
        return c->spec.posix.set ? parse_id(option, value, &c->spec.posix.uid) : 0;
    } else if (str_is(option, "gid")) {
        c->gid_given = true;
        return parse_id(option, value, &c->spec.posix.gid);
    } else if (str_is(option, "groups")) {
        c->groups_given = true;
        return parse_groups(c, value);
    } else {
        fprintf(stderr, "sluice: there is no option --%.*s; `sluice user --help` lists them\n", STR_ARG(option));
        return -EINVAL;
    }
    return 0;
}

/* words: how many positionals there may be. */
static int parse_call(int argc, char **argv, size_t words, struct user_call *c, struct arena *arena)
{
    struct gw_args args = gw_args_make(argc, argv);
    struct str word;
    c->state_dir = gw_config_state_dir(arena);
    for (enum gw_arg_kind kind; (kind = gw_args_next(&args, &word)) != GW_ARG_END;) {
        if (kind == GW_ARG_OPTION) {
            if (parse_option(c, word, &args) < 0)
                return -EINVAL;
        } else if (c->name.ptr && words == 2 && !c->policy.ptr) {
            c->policy = word;
        } else if (c->name.ptr) {
            fprintf(stderr, "sluice: '%.*s' is one word too many\n", STR_ARG(word));
            return -EINVAL;
        } else {
            c->name = word;
        }
    }
    if (!c->state_dir) {
        fputs("sluice: no state folder: neither HOME nor XDG_STATE_HOME is set; give --state DIR\n", stderr);
        return -EINVAL;
    }
    return 0;
}

static void print_pair(const struct user_call *c, struct str user, struct str access_key, struct str secret)
{
    if (!c->json) {
        printf("user        %.*s\naccess key  %.*s\nsecret key  %.*s\n", STR_ARG(user), STR_ARG(access_key), STR_ARG(secret));
        return;
    }
    struct buf out = buf_make(GW_STORE_OUTPUT_MAX);
    buf_addz(&out, "{\"user\":");
    buf_add_json(&out, user);
    buf_addz(&out, ",\"access_key\":");
    buf_add_json(&out, access_key);
    buf_addz(&out, ",\"secret_key\":");
    buf_add_json(&out, secret);
    buf_addc(&out, '}');
    puts(buf_z(&out));
    secure_zero(out.ptr, out.capacity);
    buf_done(&out);
}

static int add_key(struct auth_store *store, struct user_call *c, struct arena *arena)
{
    struct str access_key, secret;
    if (auth_store_key_add(store, c->name, c->access_key, c->secret_key, arena, &access_key, &secret) < 0)
        return gw_store_fail(store);
    print_pair(c, c->name, access_key, secret);
    return 0;
}

/* What the options name of *identity. It is a uid and a gid, or none: half of one would run as root's other half, and one that is lost
 * by the way as the gateway itself. */
static int change_posix(const struct user_call *c, struct auth_posix *identity)
{
    const struct auth_posix *asked = &c->spec.posix;
    bool has_gid = identity->set || c->gid_given, is_asked = c->uid_given || c->gid_given || c->groups_given;
    if (c->uid_given && !asked->set && !c->gid_given && !c->groups_given) {
        *identity = (struct auth_posix){0};
        return 0;
    }
    if (c->uid_given) {
        identity->set = asked->set;
        identity->uid = asked->uid;
    }
    if (c->gid_given)
        identity->gid = asked->gid;
    if (c->groups_given) {
        identity->groups = asked->groups;
        identity->group_count = asked->group_count;
    }
    if (!is_asked || (identity->set && has_gid))
        return 0;
    fputs("sluice: a POSIX identity needs both --uid and --gid\n", stderr);
    return -EINVAL;
}

static int do_add(struct auth_store *store, struct user_call *c, struct arena *arena)
{
    struct auth_posix identity = {0};
    if (change_posix(c, &identity) < 0)
        return 2;
    c->spec.posix = identity;
    c->spec.name = c->name;
    if (auth_store_user_add(store, &c->spec) < 0)
        return gw_store_fail(store);
    int rc = add_key(store, c, arena);
    /* A user without a key is of no use, and the name would be taken at the next try. */
    if (rc != 0 && auth_store_user_remove(store, c->name) < 0)
        return gw_store_fail(store);
    return rc;
}

static int find_row(struct auth_store *store, struct arena *arena, struct str name, const struct auth_user_row **out)
{
    struct auth_user_row *rows;
    size_t count;
    if (auth_store_list(store, arena, &rows, &count) < 0)
        return gw_store_fail(store);
    for (size_t i = 0; i < count; i++) {
        if (str_eq(rows[i].user.name, name)) {
            *out = &rows[i];
            return 0;
        }
    }
    fprintf(stderr, "sluice: there is no user '%.*s'; `sluice user list` shows them\n", STR_ARG(name));
    return 1;
}

static int do_set(struct auth_store *store, struct user_call *c, struct arena *arena)
{
    const struct auth_user_row *row = NULL;
    int rc = find_row(store, arena, c->name, &row);
    if (rc != 0)
        return rc;
    const struct auth_user *u = &row->user;
    struct auth_user_spec spec = {
        .name = c->name,
        .id = u->id,
        .display_name = c->display_name_given ? c->spec.display_name : u->display_name,
        .email = c->email_given ? c->spec.email : u->email,
        .admin = c->admin_given ? c->spec.admin : u->admin,
        .read_only = c->read_only_given ? c->spec.read_only : u->read_only,
        .buckets = c->buckets_given ? c->spec.buckets : u->buckets,
        .bucket_count = c->buckets_given ? c->spec.bucket_count : u->bucket_count,
        .posix = u->posix,
    };
    if (change_posix(c, &spec.posix) < 0)
        return 2;
    return auth_store_user_update(store, &spec) < 0 ? gw_store_fail(store) : 0;
}

static int do_remove(struct auth_store *store, struct user_call *c, struct arena *arena)
{
    (void)arena;
    return auth_store_user_remove(store, c->name) < 0 ? gw_store_fail(store) : 0;
}

static int do_rotate(struct auth_store *store, struct user_call *c, struct arena *arena)
{
    struct auth_user_row *rows;
    size_t count;
    if (auth_store_list(store, arena, &rows, &count) < 0)
        return gw_store_fail(store);
    int rc = add_key(store, c, arena);
    for (size_t i = 0; rc == 0 && !c->keep_old && i < count; i++) {
        if (str_eq(rows[i].user.name, c->name) && rows[i].access_key.len > 0 &&
            auth_store_key_remove(store, rows[i].access_key) < 0)
            rc = gw_store_fail(store);
    }
    return rc;
}

static int do_remove_key(struct auth_store *store, struct user_call *c, struct arena *arena)
{
    (void)arena;
    return auth_store_key_remove(store, c->name) < 0 ? gw_store_fail(store) : 0;
}

static int do_enable(struct auth_store *store, struct user_call *c, struct arena *arena)
{
    (void)arena;
    return auth_store_key_enable(store, c->name, true) < 0 ? gw_store_fail(store) : 0;
}

static int do_disable(struct auth_store *store, struct user_call *c, struct arena *arena)
{
    (void)arena;
    return auth_store_key_enable(store, c->name, false) < 0 ? gw_store_fail(store) : 0;
}

static void add_access_text(struct buf *out, const struct auth_user_row *row)
{
    const struct auth_user *u = &row->user;
    bool has_policies = row->policy_count + row->group_count > 0;
    buf_addz(out, u->admin ? "admin" : u->read_only ? "read-only" : has_policies ? "by policy" : "read-write");
    for (size_t i = 0; i < u->bucket_count && !has_policies; i++)
        buf_addf(out, "%s%.*s", i ? "," : " on ", STR_ARG(u->buckets[i]));
    for (size_t i = 0; i < row->policy_count; i++)
        buf_addf(out, "%s%.*s", i ? "," : ": ", STR_ARG(row->policies[i]));
    for (size_t i = 0; i < row->group_count; i++)
        buf_addf(out, "%s%.*s", i ? "," : " in ", STR_ARG(row->groups[i]));
    if (u->posix.set)
        buf_addf(out, " as %u:%u", u->posix.uid, u->posix.gid);
}

static void add_row_json(struct buf *out, const struct auth_user_row *row)
{
    const struct auth_user *u = &row->user;
    const struct {
        const char *name;
        struct str value;
    } texts[] = {{"user", u->name},   {"access_key", row->access_key},     {"created", row->created},
                 {"id", u->id},       {"display_name", u->display_name}, {"email", u->email}};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        buf_addf(out, "%s\"%s\":", i ? "," : "{", texts[i].name);
        buf_add_json(out, texts[i].value);
    }
    buf_addf(out, ",\"enabled\":%s,\"admin\":%s,\"read_only\":%s,\"buckets\":[", row->key_enabled ? "true" : "false",
             u->admin ? "true" : "false", u->read_only ? "true" : "false");
    for (size_t i = 0; i < u->bucket_count; i++) {
        buf_addz(out, i ? "," : "");
        buf_add_json(out, u->buckets[i]);
    }
    buf_addz(out, "],\"policies\":");
    gw_store_add_names(out, row->policies, row->policy_count, true);
    buf_addz(out, ",\"groups_of_policies\":");
    gw_store_add_names(out, row->groups, row->group_count, true);
    if (u->posix.set) {
        buf_addf(out, ",\"uid\":%u,\"gid\":%u,\"groups\":[", u->posix.uid, u->posix.gid);
        for (size_t i = 0; i < u->posix.group_count; i++)
            buf_addf(out, "%s%u", i ? "," : "", u->posix.groups[i]);
        buf_addc(out, ']');
    }
    buf_addc(out, '}');
}

static int do_list(struct auth_store *store, struct user_call *c, struct arena *arena)
{
    struct auth_user_row *rows;
    size_t count;
    if (auth_store_list(store, arena, &rows, &count) < 0)
        return gw_store_fail(store);
    struct buf out = buf_make(GW_STORE_OUTPUT_MAX);
    if (c->json)
        buf_addc(&out, '[');
    else
        buf_addf(&out, "%-20s %-24s %-8s %s\n", "USER", "ACCESS KEY", "KEY", "MAY");
    for (size_t i = 0; i < count; i++) {
        const struct auth_user_row *row = &rows[i];
        if (c->json) {
            buf_addz(&out, i ? ",\n" : "");
            add_row_json(&out, row);
            continue;
        }
        buf_addf(&out, "%-20.*s %-24.*s %-8s ", STR_ARG(row->user.name), STR_ARG(row->access_key),
                 row->access_key.len == 0 ? "none" : row->key_enabled ? "enabled" : "disabled");
        add_access_text(&out, row);
        buf_addc(&out, '\n');
    }
    if (c->json)
        buf_addz(&out, "]\n");
    fputs(buf_z(&out), stdout);
    buf_done(&out);
    return 0;
}

static int do_attach(struct auth_store *store, struct user_call *c, struct arena *arena)
{
    (void)arena;
    return auth_store_attach(store, AUTH_STORE_USER, c->name, c->policy) < 0 ? gw_store_fail(store) : 0;
}

static int do_detach(struct auth_store *store, struct user_call *c, struct arena *arena)
{
    (void)arena;
    return auth_store_detach(store, AUTH_STORE_USER, c->name, c->policy) < 0 ? gw_store_fail(store) : 0;
}

static const struct {
    const char *verb;
    size_t words;
    int (*run)(struct auth_store *store, struct user_call *c, struct arena *arena);
} verbs[] = {
    {"add", 1, do_add},         {"set", 1, do_set},
    {"list", 0, do_list},      {"remove", 1, do_remove},
    {"rotate", 1, do_rotate},   {"add-key", 1, add_key},
    {"remove-key", 1, do_remove_key}, {"enable", 1, do_enable},
    {"disable", 1, do_disable},
    {"attach", 2, do_attach},         {"detach", 2, do_detach},
};

int gw_cmd_user(int argc, char **argv)
{
    struct str verb = argc > 0 ? str_z(argv[0]) : STR_EMPTY;
    if (str_is(verb, "--help") || str_is(verb, "-h")) {
        fputs(usage, stdout);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        if (!str_is(verb, verbs[i].verb))
            continue;
        struct user_call call = {0};
        CLEANUP(arena_freep) struct arena *arena = arena_new();
        if (parse_call(argc - 1, argv + 1, verbs[i].words, &call, arena) < 0)
            return 2;
        size_t words = (call.name.len > 0 ? 1u : 0u) + (call.policy.len > 0 ? 1u : 0u);
        if (verbs[i].words != words) {
            static const char *const needed[] = {"takes no name", "a name is needed", "a name and a policy are needed"};
            fprintf(stderr, "sluice: user %s: %s\n", verbs[i].verb, needed[verbs[i].words]);
            return 2;
        }
        struct auth_store *store;
        if (auth_store_open(call.state_dir, &store) < 0)
            return gw_store_fail(NULL);
        int rc = verbs[i].run(store, &call, arena);
        auth_store_close(store);
        return rc;
    }
    return gw_store_no_verb("user", verb, usage);
}
