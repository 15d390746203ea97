/* The options of `sluice mount`, under the names of `juicefs mount`. Each may also stand in -o, as in /etc/fstab. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "gateway/args.h"
#include "gateway/mount.h"

#define PASSED_BYTES_MAX 8192

enum kind { FLAG, SECONDS, SIZE, MEBIBYTES, TEXT, LEVEL };
struct row {
    const char *name, *other_name;
    enum kind kind;
    size_t offset; /* in struct gw_mount_options */
    const char *help;
};
#define AT(member) offsetof(struct gw_mount_options, member)
static const struct row rows[] = {
    {"background", "d", FLAG, AT(background), "run in the background; returns when the mount works"},
    {"read-only", "ro", FLAG, AT(read_only), "nothing can be changed, nothing is written to the volume"},
    {"attr-cache", NULL, SECONDS, AT(attr_cache_s), "SECONDS that the kernel trusts attributes (1)"},
    {"entry-cache", NULL, SECONDS, AT(entry_cache_s), "SECONDS that the kernel trusts names of files (1)"},
    {"dir-entry-cache", NULL, SECONDS, AT(dir_entry_cache_s), "SECONDS that the kernel trusts names of directories (1)"},
    {"negative-entry-cache", NULL, SECONDS, AT(negative_cache_s), "SECONDS that the kernel trusts that a name is absent (0)"},
    {"memory", NULL, SIZE, AT(memory), "SIZE of all buffers and cached blocks together (300M)"},
    {"buffer-size", NULL, MEBIBYTES, AT(memory), "the same in MiB, as juicefs has it"},
    {"max-fuse-io", NULL, SIZE, AT(io_size_max), "SIZE of the kernel's largest request (1M)"},
    {"no-bgjob", NULL, FLAG, AT(no_background_jobs), "leave the volume's background duties to other clients"},
    {"no-sync", NULL, FLAG, AT(no_sync), "what fsync has confirmed may be lost with the power"},
    {"hide-internal", NULL, FLAG, AT(hide_internal), "do not list .accesslog, .config, .stats and .trash"},
    {"metrics", NULL, TEXT, AT(metrics), "ADDR:PORT of /metrics (127.0.0.1:9567); off: none"},
    {"log", NULL, TEXT, AT(log_file), "FILE of the log (standard error; /var/log/sluice-mount.log in the background)"},
    {"log-level", NULL, LEVEL, AT(log_level), "error, warn, info (the default) or debug"},
};
/* What fstab entries hold for mount(8) and init systems, not for filesystems. */
static const char *const ignored[] = {"defaults", "rw", "_netdev", "auto", "noauto", "nofail", "user", "nouser", "allow_other"};

static const struct row *find(struct str name)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (str_is(name, rows[i].name) || (rows[i].other_name && str_is(name, rows[i].other_name)))
            return &rows[i];
    }
    return NULL;
}

static bool parse_seconds(const char *text, double *out)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || errno != 0 || !isfinite(value) || value < 0)
        return false;
    *out = value;
    return true;
}

static bool parse_level(const char *text, enum log_level *out)
{
    static const char *const names[] = {[LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* value NULL: none was given. */
static bool set(struct gw_mount_options *o, const struct row *row, const char *value)
{
    void *at = (char *)o + row->offset;
    if (row->kind == FLAG) {
        *(bool *)at = !value || strcmp(value, "false") != 0;
        return !value || strcmp(value, "true") == 0 || strcmp(value, "false") == 0;
    }
    if (!value)
        return false;
    switch (row->kind) {
    case FLAG: break;
    case SECONDS: return parse_seconds(value, at);
    case SIZE: return str_parse_size(str_z(value), at);
    case MEBIBYTES:
        if (!str_parse_u64_max(str_z(value), UINT64_MAX >> 20, at))
            return false;
        *(uint64_t *)at <<= 20;
        return true;
    case TEXT:
        *(const char **)at = value;
        return true;
    case LEVEL: return parse_level(value, at);
    }
    return false;
}

static int refuse(struct buf *error, struct str name, const char *value)
{
    const struct row *row = find(name);
    if (!row)
        buf_addf(error, "sluice: mount has no option '%.*s'; `sluice mount --help` lists them\n", STR_ARG(name));
    else
        buf_addf(error, "sluice: --%.*s: '%s' is not what it wants: %s\n", STR_ARG(name), value ? value : "", row->help);
    return -EINVAL;
}

static bool is_ignored(struct str name)
{
    for (size_t i = 0; i < ARRAY_SIZE(ignored); i++) {
        if (str_is(name, ignored[i]))
            return true;
    }
    return str_starts(name, STR("x-")) || str_starts(name, STR("comment="));
}

/* One item of -o: an option of ours, or one of the filesystem's. Values live in the command line, cut at commas. */
static int take_item(struct gw_mount_options *o, char *item, struct buf *error)
{
    char *value = strchr(item, '=');
    struct str name = value ? str_of(item, (size_t)(value - item)) : str_z(item);
    if (name.len == 0 || is_ignored(str_z(item)))
        return 0;
    const struct row *row = find(name);
    if (row)
        return set(o, row, value ? value + 1 : NULL) ? 0 : refuse(error, name, value ? value + 1 : NULL);
    buf_addf(&o->passed, "%s%s", o->passed.len > 0 ? "," : "", item);
    return 0;
}

static int take_items(struct gw_mount_options *o, const char *list, struct buf *error)
{
    if (!list)
        return refuse(error, STR("o"), NULL);
    char *copy = strdup(list), *state = NULL;
    CHECK(copy != NULL); /* out of memory */
    o->lists[o->list_count++] = copy;
    for (char *item = strtok_r(copy, ",", &state); item; item = strtok_r(NULL, ",", &state)) {
        int r = take_item(o, item, error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int take_option(struct gw_mount_options *o, struct gw_args *args, struct str name, struct buf *error)
{
    if (str_is(name, "o"))
        return o->list_count < GW_MOUNT_LISTS_MAX ? take_items(o, gw_args_value(args), error) : refuse(error, name, NULL);
    uint64_t number;
    if (str_is(name, "keeper")) {
        if (!str_parse_u64_max(str_z(gw_args_value(args)), INT32_MAX, &number))
            return refuse(error, name, NULL);
        o->keeper = (int)number;
        return 0;
    }
    const struct row *row = find(name);
    if (!row)
        return refuse(error, name, NULL);
    const char *value = row->kind == FLAG ? args->inline_value : gw_args_value(args);
    return set(o, row, value) ? 0 : refuse(error, name, value);
}

static int finish(struct gw_mount_options *o, const char *directory, struct buf *error)
{
    if (!o->url || !directory) {
        buf_addz(error, "usage: sluice mount META-URL DIR [options]; see `sluice mount --help`\n");
        return -EINVAL;
    }
    if (o->io_size_max > LIMIT_FUSE_IO_BYTES || o->io_size_max < 4096)
        return refuse(error, STR("max-fuse-io"), "a size outside of 4K to 1M");
    o->mount_point = realpath(directory, NULL);
    /* A mount point whose process died cannot be looked at, but is where it says. */
    if (!o->mount_point && errno == ENOTCONN && directory[0] == '/') {
        o->mount_point = strdup(directory);
        CHECK(o->mount_point != NULL); /* out of memory */
    }
    if (!o->mount_point) {
        int r = -errno;
        buf_addf(error, "sluice: mount point %s: %s\n", directory, strerror(-r));
        return r;
    }
    return 0;
}

int gw_mount_options_parse(int argc, char **argv, struct gw_mount_options *out, struct buf *error)
{
    *out = (struct gw_mount_options){
        .passed = buf_make(PASSED_BYTES_MAX),
        .attr_cache_s = 1,
        .entry_cache_s = 1,
        .dir_entry_cache_s = 1,
        .memory = 300ull << 20,
        .io_size_max = LIMIT_FUSE_IO_BYTES,
        .metrics = "127.0.0.1:9567",
        .log_level = LOG_INFO,
        .keeper = -1,
    };
    struct gw_args args = gw_args_make(argc, argv);
    struct str word;
    const char *directory = NULL;
    int r = 0;
    for (enum gw_arg_kind kind; r == 0 && (kind = gw_args_next(&args, &word)) != GW_ARG_END;) {
        if (kind == GW_ARG_OPTION)
            r = take_option(out, &args, word, error);
        else if (!out->url)
            out->url = word.ptr;
        else if (!directory)
            directory = word.ptr;
        else
            r = refuse(error, word, NULL);
    }
    if (r == 0)
        r = finish(out, directory, error);
    if (r < 0)
        gw_mount_options_done(out);
    return r;
}

void gw_mount_options_done(struct gw_mount_options *o)
{
    for (size_t i = 0; i < o->list_count; i++)
        free(o->lists[i]);
    o->list_count = 0;
    free(o->mount_point);
    o->mount_point = NULL;
    buf_done(&o->passed);
}

void gw_mount_options_help(struct buf *out)
{
    buf_addz(out, "usage: sluice mount META-URL DIR [options]\n"
                  "Mounts a JuiceFS-format volume, such as sqlite3:///var/lib/volume.db. Stays in the foreground unless told otherwise;\n"
                  "ends with `sluice umount DIR` or SIGTERM. SIGHUP: goes on with the program that is installed now.\n\n"
                  "  -o LIST                    options of mount(8), FUSE, or any of these: -o ro,attr-cache=3\n");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        buf_addf(out, "  %s%-*s%s\n", "--", 25, rows[i].name, rows[i].help);
}
