/* One table says for every option: its names on the command line, in the environment (SLUICE_ + upper case with '_') and in
 * the file (the name itself), its kind, default, bounds and help. Parsing, help and dump all read the table. */
#include "gateway/config.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <limits.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "auth/verify.h"
#include "base/fd.h"
#include "base/limits.h"
#include "gateway/args.h"
#include "gateway/cache_options.h"

enum option_kind {
    OPT_TEXT,
    OPT_LISTEN, /* repeatable; a comma-separated list in one value */
    OPT_COUNT,
    OPT_SIZE,
    OPT_CACHE, /* cache_options.h */
    OPT_MS,
    OPT_SECONDS,
    OPT_SWITCH, /* on | off */
    OPT_CHOICE
};

struct option {
    const char *name;
    enum option_kind kind;
    size_t offset;
    const char *initial; /* NULL: unset, or computed */
    uint64_t min, max;   /* COUNT, SIZE, MS, SECONDS */
    const char *choices; /* "always|none": index is the enum's value */
    bool secret;         /* never dumped; SLUICE_…_FILE names a file that holds it */
    const char *group;   /* heads a group in the help */
    const char *argument, *help;
};

#define AT(field) offsetof(struct gw_config, field)
#define DAY_S (24ull * 3600)

static const struct option options[] = {
    {"volume", OPT_TEXT, AT(volume), NULL, 0, 0, NULL, false, "What is served", "PATH",
     "directory to serve (or give it as the first word); file:///PATH is the same"},
    {"bucket", OPT_TEXT, AT(bucket), NULL, 0, 0, NULL, false, NULL, "NAME",
     "serve the whole volume as this one bucket instead of one bucket per directory"},
    {"sync", OPT_CHOICE, AT(sync), "always", 0, 0, "always|none", false, NULL, "MODE",
     "always: a 200 means that data and name survive a power loss; none: for scratch volumes"},
    {"xattr", OPT_CHOICE, AT(xattr), "auto", 0, 0, "auto|sidecar", false, NULL, "MODE",
     "where object metadata are kept: the files' extended attributes, or a SQLite sidecar in the volume"},
    {"read-only", OPT_SWITCH, AT(read_only), "off", 0, 0, NULL, false, NULL, "on|off", "refuse everything that writes"},
    {"upload-expiry", OPT_SECONDS, AT(upload_expiry_s), "7d", 0, 3650 * DAY_S, NULL, false, NULL, "TIME",
     "multipart uploads that are older are removed; 0: never"},
    {"state", OPT_TEXT, AT(state_dir), NULL, 0, 0, NULL, false, NULL, "DIR",
     "identities and master key (default: /var/lib/sluice as root, else ~/.local/state/sluice)"},

    {"listen", OPT_LISTEN, AT(listen), "127.0.0.1:9000", 0, 0, NULL, false, "Network", "ADDR:PORT",
     "where S3 is served; [::1]:9000, 0.0.0.0:9000, unix:/PATH; may be repeated"},
    {"admin", OPT_TEXT, AT(admin), "127.0.0.1:9001", 0, 0, NULL, false, NULL, "ADDR:PORT",
     "/healthz, /readyz and /metrics, without authentication; off: none"},
    {"region", OPT_TEXT, AT(region), "us-east-1", 0, 0, NULL, false, NULL, "NAME", "region that clients sign for"},
    {"domain", OPT_TEXT, AT(domain), NULL, 0, 0, NULL, false, NULL, "NAME",
     "also serve virtual-host style: BUCKET.NAME"},
    {"tls-cert", OPT_TEXT, AT(tls_cert), NULL, 0, 0, NULL, false, NULL, "FILE",
     "PEM certificate chain; with it every --listen address speaks https; reloaded when it changes"},
    {"tls-key", OPT_TEXT, AT(tls_key), NULL, 0, 0, NULL, false, NULL, "FILE", "PEM private key of --tls-cert"},
    {"ktls", OPT_SWITCH, AT(ktls), "on", 0, 0, NULL, false, NULL, "on|off",
     "let the kernel encrypt what is sent over https, if it has the tls module"},
    {"trusted-proxies", OPT_TEXT, AT(trusted_proxies), NULL, 0, 0, NULL, false, NULL, "CIDR,…",
     "take the client's address from X-Forwarded-For when the peer is one of these"},
    {"proxies-only", OPT_SWITCH, AT(proxies_only), "off", 0, 0, NULL, false, NULL, "on|off",
     "refuse requests that do not come from one of --trusted-proxies"},
    {"head-timeout", OPT_MS, AT(head_timeout_ms), "15s", 100, 3600000, NULL, false, NULL, "TIME",
     "for a whole request head"},
    {"idle-timeout", OPT_MS, AT(idle_timeout_ms), "75s", 100, 3600000, NULL, false, NULL, "TIME",
     "between requests on one connection"},
    {"body-timeout", OPT_MS, AT(body_timeout_ms), "60s", 100, 3600000, NULL, false, NULL, "TIME",
     "without one byte of a body, either way"},

    {"root-access-key", OPT_TEXT, AT(root_access_key), NULL, 0, 0, NULL, false, "Access", "KEY",
     "an administrator's access key that is not kept in the store"},
    {"root-secret-key", OPT_TEXT, AT(root_secret_key), NULL, 0, 0, NULL, true, NULL, "KEY",
     "its secret; better as SLUICE_ROOT_SECRET_KEY or SLUICE_ROOT_SECRET_KEY_FILE than on the command line"},
    {"sigv2", OPT_SWITCH, AT(sigv2), "on", 0, 0, NULL, false, NULL, "on|off",
     "accept presigned URLs of signature version 2 (boto3's default with a custom endpoint)"},
    {"anonymous-uid", OPT_COUNT, AT(anonymous_uid), "65534", 1, UINT32_MAX - 1, NULL, false, NULL, "N",
     "user id that requests without a signature act as, when the gateway runs as root"},
    {"anonymous-gid", OPT_COUNT, AT(anonymous_gid), "65534", 1, UINT32_MAX - 1, NULL, false, NULL, "N",
     "their group id"},
    {"object-ownership", OPT_CHOICE, AT(ownership), "BucketOwnerEnforced", 0, 0,
     "BucketOwnerEnforced|BucketOwnerPreferred|ObjectWriter", false, NULL, "MODE",
     "of buckets without ownership controls of their own; with the last two access control lists count, and buckets are "
     "their owners' only"},
    {"block-public-access", OPT_SWITCH, AT(block_public_access), "off", 0, 0, NULL, false, NULL, "on|off",
     "for buckets without a PublicAccessBlock of their own: no public policies and access lists"},

    {"roles", OPT_TEXT, AT(roles), NULL, 0, 0, NULL, false, NULL, "FILE",
     "JSON: roles that sessions may take on, and the OpenID issuers whose tokens count; read again on SIGHUP"},

    {"loops", OPT_COUNT, AT(loops), NULL, 1, 256, NULL, false, "Resources", "N",
     "event-loop threads (default: the cores this process may use)"},
    {"workers", OPT_COUNT, AT(workers), "32", 1, 1024, NULL, false, NULL, "N", "threads for file system calls"},
    {"connections", OPT_COUNT, AT(connections_max), "10000", 1, 1000000, NULL, false, NULL, "N",
     "connections at a time; more wait in the kernel"},
    {"memory", OPT_SIZE, AT(memory), NULL, 4ull << 20, 1ull << 40, NULL, false, NULL, "SIZE",
     "for object bytes in flight (48M); of a JuiceFS-format volume for its blocks, writers and buffers too (300M)"},
#define CACHE_ROW(name, argument, initial, help) {name, OPT_CACHE, AT(cache), initial, 0, 0, NULL, false, NULL, argument, help},
    GW_CACHE_OPTIONS(CACHE_ROW)
    {"user-requests", OPT_COUNT, AT(user_requests), "0", 0, 1000000, NULL, false, NULL, "N",
     "requests of one user at a time, or, without a signature, of one address; more get 503 SlowDown; 0: no limit"},
    {"user-rate", OPT_COUNT, AT(user_rate), "0", 0, 1000000, NULL, false, NULL, "N",
     "requests of one user, or address, a second, with bursts of a second's worth; 0: no limit"},
    {"drain-delay", OPT_MS, AT(drain_delay_ms), "0s", 0, 600000, NULL, false, NULL, "TIME",
     "after SIGTERM: not ready, but still accepting, until load balancers have noticed"},
    {"drain-timeout", OPT_MS, AT(drain_timeout_ms), "60s", 0, 3600000, NULL, false, NULL, "TIME",
     "after SIGTERM: for requests in flight"},

    {"access-log", OPT_TEXT, AT(access_log), "off", 0, 0, NULL, false, "Logs", "FILE",
     "one JSON line per request; -: standard output; off: none"},
    {"log", OPT_TEXT, AT(log_file), NULL, 0, 0, NULL, false, NULL, "FILE", "process log (default: standard error)"},
    {"log-level", OPT_CHOICE, AT(log_level), "info", 0, 0, "error|warn|info|debug", false, NULL, "LEVEL",
     "error, warn, info or debug"},
    {"log-format", OPT_CHOICE, AT(log_json), "text", 0, 0, "text|json", false, NULL, "FORMAT", "text or json"},
};

#define OPTION_COUNT ARRAY_SIZE(options)

/* Where a value came from, for messages. */
struct source {
    const char *what; /* "--sync", "SLUICE_SYNC", "sluice.conf: sync" */
    bool replaces_list;
};

static const struct option *find_option(struct str name)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (str_is(name, options[i].name))
            return &options[i];
    }
    return NULL;
}

static int set_choice(const struct option *o, void *field, const char *value)
{
    struct str rest = str_z(o->choices), choice;
    for (unsigned index = 0; str_split(&rest, '|', &choice); index++) {
        if (!str_is(choice, value))
            continue;
        if (field && o->offset == AT(log_json))
            *(bool *)field = index != 0;
        else if (field)
            *(unsigned *)field = index;
        return 0;
    }
    return -EINVAL;
}

static int set_number(const struct option *o, void *field, const char *value)
{
    uint64_t n = 0;
    struct str text = str_z(value);
    bool ok = o->kind == OPT_COUNT  ? str_parse_u64(text, &n)
              : o->kind == OPT_SIZE ? str_parse_size(text, &n)
                                    : str_parse_duration_ms(text, &n);
    if (ok && o->kind == OPT_SECONDS)
        n /= 1000;
    if (!ok || n < o->min || n > o->max)
        return -EINVAL;
    if (o->kind == OPT_COUNT)
        *(uint32_t *)field = (uint32_t)n;
    else
        *(uint64_t *)field = n;
    return 0;
}

static int add_listen(struct gw_config *c, const char *value)
{
    struct str rest = str_z(value), address;
    while (str_split(&rest, ',', &address)) {
        address = str_trim(address);
        if (address.len == 0 || c->listen_count == GW_LISTEN_MAX)
            return -EINVAL;
        c->listen[c->listen_count++] = arena_dupz(c->texts, address);
    }
    return 0;
}

/* of_cache: what is allowed for one of its options. */
static void explain_allowed(const struct option *o, const char *of_cache, struct buf *error)
{
    switch (o->kind) {
    case OPT_CHOICE:
        buf_addf(error, "allowed: %s", o->choices);
        break;
    case OPT_SWITCH:
        buf_addz(error, "allowed: on, off");
        break;
    case OPT_CACHE:
        buf_addf(error, "allowed: %s", of_cache);
        break;
    case OPT_COUNT:
        buf_addf(error, "allowed: a number from %llu to %llu", (unsigned long long)o->min, (unsigned long long)o->max);
        break;
    case OPT_SIZE:
        buf_addf(error, "allowed: a size such as 64M or 1G, at least %llu bytes", (unsigned long long)o->min);
        break;
    case OPT_MS:
    case OPT_SECONDS:
        buf_addz(error, "allowed: a time such as 500ms, 30s, 5m, 2h, 7d");
        break;
    case OPT_LISTEN:
        buf_addf(error, "allowed: up to %d of ADDR:PORT, [ADDR6]:PORT, unix:/PATH", GW_LISTEN_MAX);
        break;
    case OPT_TEXT:
        buf_addz(error, "a value is needed");
        break;
    }
    buf_addc(error, '\n');
}

static int set_option(struct gw_config *c, const struct option *o, const char *value, struct source from,
                      struct buf *error)
{
    void *field = (char *)c + o->offset;
    const char *of_cache = "";
    int rc = 0;
    switch (o->kind) {
    case OPT_TEXT:
        *(const char **)field = *value ? arena_dupz(c->texts, str_z(value)) : NULL;
        break;
    case OPT_LISTEN:
        if (from.replaces_list)
            c->listen_count = 0;
        rc = add_listen(c, value);
        break;
    case OPT_COUNT:
    case OPT_SIZE:
    case OPT_MS:
    case OPT_SECONDS:
        rc = set_number(o, field, value);
        break;
    case OPT_CACHE:
        rc = gw_cache_option_set(field, str_z(o->name), arena_dupz(c->texts, str_z(value)), &of_cache);
        break;
    case OPT_SWITCH:
        *(bool *)field = str_is(str_z(value), "on");
        rc = *(bool *)field || str_is(str_z(value), "off") ? 0 : -EINVAL;
        break;
    case OPT_CHOICE:
        rc = set_choice(o, field, value);
        break;
    }
    if (rc < 0) {
        buf_addf(error, "sluice: %s: '%s' is not allowed; ", from.what, o->secret ? "…" : value);
        explain_allowed(o, of_cache, error);
    }
    return rc;
}

/* Environment -------------------------------------------------------------------------------------------------------- */

static void env_name(const struct option *o, const char *suffix, char out[64])
{
    int len = snprintf(out, 64, "SLUICE_%s%s", o->name, suffix);
    for (int i = 0; i < len && i < 63; i++) {
        if (out[i] == '-')
            out[i] = '_';
        else if (out[i] >= 'a' && out[i] <= 'z')
            out[i] = (char)(out[i] - 'a' + 'A');
    }
}

/* A secret from the file that SLUICE_…_FILE names, without the newline at its end (Kubernetes and Docker secrets). */
static int set_from_secret_file(struct gw_config *c, const struct option *o, struct buf *error)
{
    char name[64];
    env_name(o, "_FILE", name);
    const char *path = getenv(name);
    if (!path || !*path)
        return 0;
    struct buf text = buf_make(4096);
    int rc = fd_read_file(AT_FDCWD, path, &text);
    if (rc < 0) {
        buf_addf(error, "sluice: %s: cannot read '%s': %s\n", name, path, strerror(-rc));
    } else {
        while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
            text.ptr[--text.len] = '\0';
        rc = set_option(c, o, buf_z(&text), (struct source){name, true}, error);
    }
    if (text.ptr)
        secure_zero(text.ptr, text.capacity);
    buf_done(&text);
    return rc;
}

static int apply_environment(struct gw_config *c, struct buf *error)
{
    int result = 0;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char name[64];
        env_name(&options[i], "", name);
        const char *value = getenv(name);
        /* An empty variable is how compose files and shells say "not set". */
        if (value && *value && set_option(c, &options[i], value, (struct source){name, true}, error) < 0)
            result = -EINVAL;
        if (options[i].secret && set_from_secret_file(c, &options[i], error) < 0)
            result = -EINVAL;
    }
    return result;
}

/* File --------------------------------------------------------------------------------------------------------------- */

struct file_context {
    struct gw_config *config;
    struct buf *error;
    const char *path;
    bool listen_seen;
    int result;
};

static int on_file_value(void *context, const char *section, const char *name, const char *value)
{
    (void)section; /* sections may be used to group, as in systemd's files; names are unique without them */
    struct file_context *f = context;
    const struct option *o = find_option(str_z(name));
    char what[PATH_MAX + 64];
    snprintf(what, sizeof what, "%s: %s", f->path, name);
    if (!o) {
        buf_addf(f->error, "sluice: %s: there is no such setting; `sluice serve --help` lists them\n", what);
        f->result = -EINVAL;
        return 1;
    }
    bool first_listen = o->kind == OPT_LISTEN && !f->listen_seen;
    if (o->kind == OPT_LISTEN)
        f->listen_seen = true;
    if (set_option(f->config, o, value, (struct source){what, first_listen}, f->error) < 0)
        f->result = -EINVAL;
    return 1;
}

static int apply_file(struct gw_config *c, const char *path, struct buf *error)
{
    struct file_context f = {.config = c, .error = error, .path = path};
    int line = ini_parse(path, on_file_value, &f);
    if (line < 0) {
        buf_addf(error, "sluice: --config: cannot read '%s': %s\n", path, strerror(errno));
        return -EINVAL;
    }
    if (line > 0) {
        buf_addf(error, "sluice: %s: line %d is not `name = value`\n", path, line);
        return -EINVAL;
    }
    return f.result;
}

/* Command line ------------------------------------------------------------------------------------------------------- */

static int apply_word(struct gw_config *c, struct gw_args *args, struct str name, bool *listen_seen, struct buf *error)
{
    const struct option *o = find_option(name);
    bool is_config = str_is(name, "config");
    if (!o && !is_config) {
        buf_addf(error, "sluice: there is no option --%.*s; `sluice serve --help` lists them\n", STR_ARG(name));
        return -EINVAL;
    }
    const char *value = gw_args_value(args);
    if (!value) {
        buf_addf(error, "sluice: --%.*s needs a value\n", STR_ARG(name));
        return -EINVAL;
    }
    if (is_config)
        return 0; /* read before everything else */
    char what[64];
    snprintf(what, sizeof what, "--%s", o->name);
    bool first_listen = o->kind == OPT_LISTEN && !*listen_seen;
    if (o->kind == OPT_LISTEN)
        *listen_seen = true;
    return set_option(c, o, value, (struct source){what, first_listen}, error);
}

static int apply_command_line(struct gw_config *c, int argc, char **argv, struct buf *error)
{
    struct gw_args args = gw_args_make(argc, argv);
    struct str word;
    bool volume_seen = false, listen_seen = false;
    int result = 0;
    for (enum gw_arg_kind kind; (kind = gw_args_next(&args, &word)) != GW_ARG_END;) {
        if (kind == GW_ARG_OPTION) {
            if (apply_word(c, &args, word, &listen_seen, error) < 0)
                result = -EINVAL;
        } else if (volume_seen) {
            buf_addf(error, "sluice: one volume is served; '%.*s' is too many\n", STR_ARG(word));
            result = -EINVAL;
        } else {
            c->volume = arena_dupz(c->texts, word);
            volume_seen = true;
        }
    }
    return result;
}

/* The file is named by --config or SLUICE_CONFIG and has the lowest rank, so it is looked for first. */
static const char *find_config_path(int argc, char **argv)
{
    struct gw_args args = gw_args_make(argc, argv);
    const char *path = getenv("SLUICE_CONFIG");
    struct str word;
    for (enum gw_arg_kind kind; (kind = gw_args_next(&args, &word)) != GW_ARG_END;) {
        if (kind != GW_ARG_OPTION)
            continue;
        const char *value = gw_args_value(&args);
        if (str_is(word, "config"))
            path = value;
    }
    return path && *path ? path : NULL;
}

/* Defaults and checks that need more than a row ----------------------------------------------------------------------- */

static const char *default_state_dir(struct arena *arena)
{
    if (geteuid() == 0)
        return "/var/lib/sluice";
    const char *base = getenv("XDG_STATE_HOME"), *tail = "/sluice";
    if (!base || !*base) {
        base = getenv("HOME");
        tail = "/.local/state/sluice";
    }
    if (!base || !*base)
        return NULL;
    return arena_printf(arena, "%s%s", base, tail).ptr;
}

const char *gw_config_state_dir(struct arena *arena)
{
    const char *given = getenv("SLUICE_STATE");
    return given && *given ? given : default_state_dir(arena);
}

uint32_t gw_usable_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count < 1 ? 1 : (uint32_t)count;
}

static int check_whole(const struct gw_config *c, struct buf *error)
{
    size_t before = error->len;
    if (!c->volume)
        buf_addz(error, "sluice: no volume given: `sluice serve PATH`, or SLUICE_VOLUME\n");
    if (!c->state_dir)
        buf_addz(error, "sluice: no state folder: neither HOME nor XDG_STATE_HOME is set; give --state DIR\n");
    if (!c->region || strlen(c->region) > AUTH_REGION_SIZE_MAX)
        buf_addf(error, "sluice: --region: 1 to %d characters\n", AUTH_REGION_SIZE_MAX);
    if (!c->tls_cert != !c->tls_key)
        buf_addz(error, "sluice: --tls-cert and --tls-key go together\n");
    if (c->volume && vfs_has_own_memory(c->volume) && c->memory > 0 && c->memory < LIMIT_MEMORY_VOLUME_MIN)
        buf_addf(error, "sluice: --memory: a JuiceFS-format volume needs at least %lluM\n", LIMIT_MEMORY_VOLUME_MIN >> 20);
    if (c->proxies_only && !c->trusted_proxies)
        buf_addz(error, "sluice: --proxies-only on needs --trusted-proxies\n");
    if (!c->root_access_key != !c->root_secret_key)
        buf_addz(error, "sluice: SLUICE_ROOT_ACCESS_KEY and SLUICE_ROOT_SECRET_KEY go together\n");
    /* A guessable root secret is worse than none: the store then makes a strong one. */
    if (c->root_secret_key && strlen(c->root_secret_key) < 16)
        buf_addz(error, "sluice: SLUICE_ROOT_SECRET_KEY is shorter than 16 characters; `openssl rand -base64 30` makes one\n");
    return error->len == before ? 0 : -EINVAL;
}

static void apply_defaults(struct gw_config *c)
{
    struct buf ignored = buf_make(256);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (options[i].initial && set_option(c, &options[i], options[i].initial, (struct source){"default", true}, &ignored) < 0)
            abort();
    }
    buf_done(&ignored);
    c->loops = gw_usable_cores();
    c->state_dir = default_state_dir(c->texts);
}

int gw_config_parse(int argc, char **argv, struct gw_config *out, struct buf *error)
{
    struct gw_config c = {.texts = arena_new()};
    apply_defaults(&c);
    const char *path = find_config_path(argc, argv);
    int result = path ? apply_file(&c, path, error) : 0;
    if (apply_environment(&c, error) < 0)
        result = -EINVAL;
    if (apply_command_line(&c, argc, argv, error) < 0)
        result = -EINVAL;
    if (result == 0)
        result = check_whole(&c, error);
    if (result == 0 && c.memory == 0)
        c.memory = vfs_has_own_memory(c.volume) ? LIMIT_MEMORY_VOLUME_DEFAULT : LIMIT_MEMORY_DEFAULT;
    if (result == 0)
        *out = c;
    else
        gw_config_done(&c);
    return result;
}

void gw_config_done(struct gw_config *c)
{
    arena_free(c->texts);
    c->texts = NULL;
}

/* Help and dump ------------------------------------------------------------------------------------------------------ */

void gw_config_help(struct buf *out)
{
    buf_addz(out, "usage: sluice serve VOLUME [OPTIONS]\n\n"
                  "Serves a directory: every directory in it is a bucket, every file an object.\n"
                  "Each option can also be given as a variable (--log-level: SLUICE_LOG_LEVEL) or in a file (log-level = info);\n"
                  "the command line wins over the environment, the environment over the file.\n\n"
                  "  --config FILE            read settings from FILE\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &options[i];
        if (o->group)
            buf_addf(out, "\n%s\n", o->group);
        size_t start = out->len;
        buf_addf(out, "  --%s %s", o->name, o->argument);
        do
            buf_addc(out, ' ');
        while (out->len - start < 27 && !out->failed);
        buf_addz(out, o->help);
        if (o->initial)
            buf_addf(out, " (%s)", o->initial);
        buf_addc(out, '\n');
    }
    buf_addz(out, "\nSignals: TERM and INT drain and stop; HUP reloads certificates, identities and log files; USR1 reopens logs.\n");
}

static void dump_choice(const struct option *o, const void *field, struct buf *out)
{
    unsigned value = o->offset == AT(log_json) ? *(const bool *)field : *(const unsigned *)field;
    struct str rest = str_z(o->choices), choice = STR_EMPTY;
    for (unsigned i = 0; i <= value && str_split(&rest, '|', &choice); i++)
        continue;
    buf_addf(out, "%s = %.*s\n", o->name, STR_ARG(choice));
}

static void dump_option(const struct gw_config *c, const struct option *o, struct buf *out)
{
    const void *field = (const char *)c + o->offset;
    switch (o->kind) {
    case OPT_TEXT: {
        const char *text = *(const char *const *)field;
        buf_addf(out, "%s%s = %s\n", text && !o->secret ? "" : "# ", o->name, !text ? "" : o->secret ? "(set)" : text);
        break;
    }
    case OPT_LISTEN:
        for (size_t i = 0; i < c->listen_count; i++)
            buf_addf(out, "%s = %s\n", o->name, c->listen[i]);
        break;
    case OPT_COUNT:
        buf_addf(out, "%s = %u\n", o->name, *(const uint32_t *)field);
        break;
    case OPT_SIZE:
        buf_addf(out, "%s = %llu\n", o->name, *(const unsigned long long *)field);
        break;
    case OPT_CACHE:
        buf_addf(out, "%s = ", o->name);
        gw_cache_option_show(field, o->name, out);
        buf_addc(out, '\n');
        break;
    case OPT_MS:
        buf_addf(out, "%s = %llums\n", o->name, *(const unsigned long long *)field);
        break;
    case OPT_SECONDS:
        buf_addf(out, "%s = %llus\n", o->name, *(const unsigned long long *)field);
        break;
    case OPT_SWITCH:
        buf_addf(out, "%s = %s\n", o->name, *(const bool *)field ? "on" : "off");
        break;
    case OPT_CHOICE:
        dump_choice(o, field, out);
        break;
    }
}

void gw_config_dump(const struct gw_config *c, struct buf *out)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (options[i].group)
            buf_addf(out, "%s# %s\n", i ? "\n" : "", options[i].group);
        dump_option(c, &options[i], out);
    }
}
