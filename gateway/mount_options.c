/* The options of `sluice mount`, under the names of `juicefs mount`. Each may also stand in -o, as in /etc/fstab. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "gateway/args.h"
#include "gateway/cache_options.h"
#include "gateway/mount.h"

#define PASSED_BYTES_MAX 8192

enum kind { FLAG, SECONDS, SIZE, MEBIBYTES, CACHE, TEXT, MODE, LEVEL, VERBOSE, QUIET };
struct row {
    const char *name, *other_name;
    enum kind kind;
    size_t offset; /* in struct gw_mount_options */
    const char *help;
};
#define AT(member) offsetof(struct gw_mount_options, member)
static const struct row rows[] = {
    {"background", "d", FLAG, AT(background), "run in the background; returns when the mount works"},
    {"subdir", NULL, TEXT, AT(subdir), "PATH of a directory of the volume that is mounted as the root; made when missing"},
    {"read-only", "ro", FLAG, AT(read_only), "nothing can be changed, nothing is written to the volume"},
    {"attr-cache", NULL, SECONDS, AT(attr_cache_s), "SECONDS that the kernel trusts attributes (1)"},
    {"entry-cache", NULL, SECONDS, AT(entry_cache_s), "SECONDS that the kernel trusts names of files (1)"},
    {"dir-entry-cache", NULL, SECONDS, AT(dir_entry_cache_s), "SECONDS that the kernel trusts names of directories (1)"},
    {"negative-entry-cache", NULL, SECONDS, AT(negative_cache_s), "SECONDS that the kernel trusts that a name is absent (0)"},
    {"memory", NULL, SIZE, AT(memory), "SIZE of all buffers and cached blocks together (300M)"},
    {"buffer-size", NULL, MEBIBYTES, AT(memory), "the same, also in MiB, as juicefs has it"},
#define CACHE_ROW(name, argument, initial, help) {name, NULL, CACHE, AT(cache), argument " " help " (" initial ")"},
    GW_CACHE_OPTIONS(CACHE_ROW)
    {"get-timeout", "put-timeout", SECONDS, AT(store_patience_s), "SECONDS for which a request to the object store is repeated (30)"},
    {"max-fuse-io", NULL, SIZE, AT(io_size_max), "SIZE of the kernel's largest request (1M)"},
    {"no-bgjob", NULL, FLAG, AT(no_background_jobs), "leave the volume's background duties to other clients"},
    {"no-sync", NULL, FLAG, AT(no_sync), "what fsync has confirmed may be lost with the power"},
    {"umask", NULL, MODE, AT(umask), "OCTAL that new files and directories lose, whatever the program's own umask"},
    {"enable-cap", NULL, FLAG, AT(enable_cap), "keep security.capability of files"},
    {"enable-selinux", NULL, FLAG, AT(enable_selinux), "keep security.selinux of files"},
    {"hide-internal", NULL, FLAG, AT(hide_internal), "do not list .accesslog, .config, .stats and .trash"},
    {"metrics", NULL, TEXT, AT(metrics), "ADDR:PORT of /metrics (127.0.0.1:9567); off: none"},
    {"log", NULL, TEXT, AT(log_file), "FILE of the log (standard error; /var/log/sluice-mount.log in the background)"},
    {"log-level", NULL, LEVEL, AT(log_level), "error, warn, info (the default) or debug"},
    {"verbose", "v", VERBOSE, AT(log_level), "the same as --log-level debug"},
    {"quiet", "q", QUIET, AT(log_level), "the same as --log-level warn"},
};
/* What fstab entries hold for mount(8) and init systems, not for filesystems. */
static const char *const ignored[] = {"defaults", "rw",     "_netdev", "auto",  "noauto",
                                      "nofail",   "user",   "nouser",  "users", "owner", "allow_other"};

/* Options of `juicefs mount` that are no options of ours. Without advice: accepted, since what they ask for is so in any case,
 * concerns other engines, or is a hint about speed. */
static const struct foreign {
    const char *name;
    bool has_value;
    const char *advice;
} foreign[] = {
    {"f", false, NULL},
    {"foreground", false, NULL},
    {"force", false, NULL},
    {"no-syslog", false, NULL},
    {"no-agent", false, NULL},
    {"no-color", false, NULL},
    {"no-usage-report", false, NULL},
    {"no-update", false, NULL},
    {"log-id", true, NULL},
    {"consul", true, NULL},
    {"custom-labels", true, NULL},
    {"disable-transparent-hugepage", false, NULL},
    {"enable-xattr", false, NULL},
    {"sort-dir", false, NULL},
    {"fast-statfs", false, NULL},
    {"readdir-cache", false, NULL},
    {"open-cache", true, NULL},
    {"open-cache-limit", true, NULL},
    {"heartbeat", true, NULL},
    {"backup-meta", true, NULL},
    {"backup-skip-trash", false, NULL},
    {"skip-dir-nlink", true, NULL},
    {"skip-dir-mtime", true, NULL},
    {"network-interfaces", true, NULL},
    {"io-retries", true, NULL},
    {"max-uploads", true, NULL},
    {"max-downloads", true, NULL},
    {"max-deletes", true, NULL},
    {"max-stage-write", true, NULL},
    {"max-readahead", true, NULL},
    {"prefetch", true, NULL},
    {"check-storage", false, NULL},
    {"verify-cache-checksum", true, NULL},
    {"cache-eviction", true, NULL},
    {"cache-scan-interval", true, NULL},
    {"cache-expire", true, NULL},
    {"cache-partial-only", false, NULL},
    {"cache-large-write", false, NULL},
    {"writeback", false, "what close and fsync confirm is in the object store; there is no mode that promises less than --no-sync"},
    {"writeback-threshold-size", true, "there is no --writeback"},
    {"upload-delay", true, "there is no --writeback"},
    {"upload-hours", true, "there is no --writeback"},
    {"writeback_cache", false, "the kernel would keep what programs write from other mounts"},
    {"upload-limit", true, "the volume's UploadLimit counts (juicefs config --upload-limit)"},
    {"download-limit", true, "the volume's DownloadLimit counts (juicefs config --download-limit)"},
    {"storage", true, "the volume's settings say it; `juicefs config META-URL --storage …` changes them"},
    {"bucket", true, "the volume's settings say it; `juicefs config META-URL --bucket …` changes them"},
    {"storage-class", true, "the volume's settings say it; `juicefs config META-URL --storage-class …` changes them"},
    {"tag", true, "objects are not tagged"},
    {"atime-mode", true, "access times stay as they are (noatime)"},
    {"root-squash", true, "users are not mapped; mount by a user of its own, or --read-only"},
    {"all-squash", true, "users are not mapped; mount by a user of its own, or --read-only"},
    {"prefix-internal", false, "the virtual files keep their names; --hide-internal does not list them"},
    {"enable-ioctl", false, "file flags cannot be changed through the mount"},
    {"non-default-permission", false, "the kernel always checks permissions"},
    {"update-fstab", false, "write the line into /etc/fstab: META-URL DIR sluice _netdev 0 0"},
    {"pyroscope", true, "there is no agent; --metrics has figures"},
};

/* What a mount's processes tell each other. */
static const struct {
    const char *name;
    enum gw_mount_role role;
} roles[] = {
    {"keeper", GW_MOUNT_SERVER},
    {"can-resume", GW_MOUNT_CANDIDATE},
    {"resume", GW_MOUNT_SUCCESSOR},
};

static const struct row *find(struct str name)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (str_is(name, rows[i].name) || (rows[i].other_name && str_is(name, rows[i].other_name)))
            return &rows[i];
    }
    return NULL;
}

static const struct foreign *find_foreign(struct str name)
{
    for (size_t i = 0; i < ARRAY_SIZE(foreign); i++) {
        if (str_is(name, foreign[i].name))
            return &foreign[i];
    }
    return NULL;
}

/* "1", "0.5", "1.0s", "500ms", "1m". */
static bool parse_seconds(const char *text, double *out)
{
    static const struct {
        const char *suffix;
        double seconds;
    } units[] = {{"", 1}, {"s", 1}, {"ms", 0.001}, {"m", 60}, {"h", 3600}};
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || errno != 0 || !isfinite(value) || value < 0)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (strcmp(end, units[i].suffix) == 0) {
            *out = value * units[i].seconds;
            return true;
        }
    }
    return false;
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
    if (row->kind == VERBOSE || row->kind == QUIET) {
        *(enum log_level *)at = row->kind == VERBOSE ? LOG_DEBUG : LOG_WARN;
        return !value;
    }
    if (row->kind == FLAG) {
        *(bool *)at = !value || strcmp(value, "false") != 0;
        return !value || strcmp(value, "true") == 0 || strcmp(value, "false") == 0;
    }
    if (!value)
        return false;
    switch (row->kind) {
    case FLAG:
    case VERBOSE:
    case QUIET: break;
    case SECONDS: return parse_seconds(value, at);
    case SIZE: return str_parse_size(str_z(value), at);
    case MEBIBYTES: return gw_args_mebibytes(value, at);
    case CACHE: return gw_cache_option_set(at, str_z(row->name), value, &(const char *){NULL}) > 0;
    case TEXT:
        *(const char **)at = value;
        return true;
    case MODE: return gw_args_octal(value, 0777, at);
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

/* An option of juicefs's. 1: taken; 0: it is none. */
static int take_foreign(struct str name, struct buf *error)
{
    const struct foreign *f = find_foreign(name);
    if (!f)
        return 0;
    if (!f->advice)
        return 1;
    buf_addf(error, "sluice: mount does not have juicefs's --%s: %s\n", f->name, f->advice);
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
    int r = take_foreign(name, error);
    if (r != 0)
        return r < 0 ? r : 0;
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

static bool has_value(const struct row *row)
{
    return row->kind != FLAG && row->kind != VERBOSE && row->kind != QUIET;
}

static int take_foreign_option(struct gw_args *args, struct str name, struct buf *error)
{
    int r = take_foreign(name, error);
    if (r == 0)
        return refuse(error, name, NULL);
    if (r > 0 && find_foreign(name)->has_value && !gw_args_value(args)) {
        buf_addf(error, "sluice: --%.*s wants a value\n", STR_ARG(name));
        return -EINVAL;
    }
    return r < 0 ? r : 0;
}

static bool take_role(struct gw_mount_options *o, enum gw_mount_role role, const char *descriptor)
{
    uint64_t number;
    if (!str_parse_u64_max(str_z(descriptor), INT32_MAX, &number))
        return false;
    o->role = role;
    o->inherited = (int)number;
    return true;
}

static int take_option(struct gw_mount_options *o, struct gw_args *args, struct str name, struct buf *error)
{
    if (str_is(name, "o"))
        return o->list_count < GW_MOUNT_LISTS_MAX ? take_items(o, gw_args_value(args), error) : refuse(error, name, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
        if (str_is(name, roles[i].name))
            return take_role(o, roles[i].role, gw_args_value(args)) ? 0 : refuse(error, name, NULL);
    }
    const struct row *row = find(name);
    if (!row)
        return take_foreign_option(args, name, error);
    const char *value = has_value(row) ? gw_args_value(args) : args->inline_value;
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
        .umask = -1,
    };
    gw_cache_options_init(&out->cache);
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
