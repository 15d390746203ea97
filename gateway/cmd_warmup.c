/* `sluice warmup`: paths on a mount, whose .config says of which volume it is and where its cache, or paths of a
 * volume. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/limits.h"
#include "gateway/args.h"
#include "gateway/cache_options.h"
#include "gateway/commands.h"
#include "gateway/progress.h"
#include "vfs/jfs/admin.h"

#define THREADS_MAX 256
#define CONFIG_BYTES_MAX (256 * 1024)
#define LIST_BYTES_MAX (1024 * 1024 * 1024)

static const char usage[] =
    "usage: sluice warmup PATH… [OPTIONS]\n"
    "       sluice warmup META-URL PATH… --cache-dir DIR[:DIR…] [OPTIONS]\n\n"
    "Reads files, and all files below directories, into the cache on disk of this host. The first form takes paths on "
    "a sluice\n"
    "mount and fills that mount's cache; the second takes paths of the volume and needs no mount.\n\n"
    "  --file LIST, -f          and the paths in the file LIST, one a line; -: standard input\n"
    "  --check                  nothing is read: says how much of them is cached\n"
    "  --evict                  takes them out of the cache\n"
    "  --threads N, -p          as many blocks at a time (20), each with a block of memory\n"
    "  --cache-dir, --cache-size, --cache-items, --free-space-ratio, --cache-mode   as those of mount\n"
    "  --json                   the result as JSON\n"
    "  --quiet, -q              no progress on standard error\n\n"
    "Exit codes: 0 done, and with --check: all of it is cached; 1 not all; 2 wrong use; 130 interrupted.\n";

struct options {
    struct arena *arena;
    struct str *paths; /* as given, then as paths of the volume */
    size_t path_count, path_capacity;
    const char *list;
    struct jfs_warmup warmup;
    bool json, quiet, cache_given;
};

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "sluice: %s: %s\n", what, why);
    return -EINVAL;
}

/* Options */

static void add_path(struct options *o, struct str path)
{
    if (o->path_count == o->path_capacity) {
        o->path_capacity = o->path_capacity ? 2 * o->path_capacity : 16;
        o->paths = realloc(o->paths, o->path_capacity * sizeof(*o->paths));
        CHECK(o->paths != NULL); /* out of memory */
    }
    o->paths[o->path_count++] = str_z(arena_dupz(o->arena, path));
}

static bool set_option(struct options *o, struct str name, struct gw_args *args)
{
    if (str_is(name, "json"))
        return o->json = true;
    if (str_is(name, "quiet") || str_is(name, "q"))
        return o->quiet = true;
    if (str_is(name, "check") || str_is(name, "evict")) {
        bool other = o->warmup.action != JFS_WARMUP_FILL;
        o->warmup.action = str_is(name, "check") ? JFS_WARMUP_CHECK : JFS_WARMUP_EVICT;
        return !other;
    }
    const char *value = gw_args_value(args);
    if (!value)
        return false;
    if (str_is(name, "file") || str_is(name, "f")) {
        o->list = value;
        return true;
    }
    if (str_is(name, "threads") || str_is(name, "p")) {
        uint64_t n;
        bool ok = str_parse_u64_max(str_z(value), THREADS_MAX, &n) && n > 0;
        o->warmup.threads = ok ? (uint32_t)n : 0;
        return ok;
    }
    const char *allowed = NULL;
    o->cache_given = gw_cache_option_set(&o->warmup.cache, name, value, &allowed) > 0;
    if (allowed)
        fprintf(stderr, "sluice: --%.*s: '%s' is not allowed; allowed: %s\n", STR_ARG(name), value, allowed);
    return o->cache_given;
}

static int read_list(struct options *o)
{
    struct buf text = buf_make(LIST_BYTES_MAX);
    int rc = fd_read_file(AT_FDCWD, str_is(str_z(o->list), "-") ? "/dev/stdin" : o->list, &text);
    struct str rest = buf_str(&text), line;
    while (rc == 0 && str_split(&rest, '\n', &line)) {
        line = str_trim(line);
        if (line.len > 0)
            add_path(o, line);
    }
    buf_done(&text);
    return rc < 0 ? fail(o->list, strerror(-rc)) : 0;
}

static int parse(int argc, char **argv, struct options *o)
{
    struct gw_args args = gw_args_make(argc, argv);
    struct str word;
    for (enum gw_arg_kind kind; (kind = gw_args_next(&args, &word)) != GW_ARG_END;) {
        if (kind == GW_ARG_OPTION && !set_option(o, word, &args)) {
            fprintf(stderr, "sluice: '--%.*s' is not understood; `sluice warmup --help`\n", STR_ARG(word));
            return -EINVAL;
        }
        if (kind == GW_ARG_POSITIONAL && o->path_count == 0 && !o->warmup.url.ptr && str_find(word, STR("://")) > 0)
            o->warmup.url = word;
        else if (kind == GW_ARG_POSITIONAL)
            add_path(o, word);
    }
    if (o->list && read_list(o) < 0)
        return -EINVAL;
    if (o->path_count == 0)
        fputs(usage, stderr);
    return o->path_count > 0 ? 0 : -EINVAL;
}

/* Paths on a mount */

/* The directory that is the mount's root: the highest above `path` on the same filesystem. */
static int find_root(const char *path, char root[PATH_MAX])
{
    struct stat st, above;
    if (stat(path, &st) < 0)
        return -errno;
    (void)snprintf(root, PATH_MAX, "%s", path);
    for (;;) {
        char parent[PATH_MAX];
        (void)snprintf(parent, sizeof(parent), "%s", root);
        char *slash = strrchr(parent, '/');
        if (!slash || str_is(str_z(root), "/"))
            return 0;
        slash[slash == parent] = '\0';
        if (stat(parent, &above) < 0 || above.st_dev != st.st_dev)
            return 0;
        memcpy(root, parent, sizeof(parent));
    }
}

static bool member_u64(const struct json *object, const char *name, uint64_t *out)
{
    const struct json *m = json_member(object, name);
    return m && m->kind == JSON_IS_NUMBER && str_parse_u64(m->text, out);
}

static const char *member_text(struct arena *arena, const struct json *object, const char *name)
{
    const struct json *m = json_member(object, name);
    return m && m->kind == JSON_IS_TEXT ? arena_dupz(arena, m->text) : "";
}

/* What the mount says of itself. *out_subdir: the directory of the volume that its root is. */
static int read_config(struct options *o, const char *root, const char **out_subdir)
{
    char name[PATH_MAX + 16];
    struct buf text = buf_make(CONFIG_BYTES_MAX);
    (void)snprintf(name, sizeof(name), "%s/.config", root);
    int rc = fd_read_file(AT_FDCWD, name, &text);
    const struct json *top =
        rc < 0 ? NULL : json_parse(buf_str(&text), CONFIG_BYTES_MAX, LIMIT_SETTINGS_DEPTH, o->arena, NULL);
    const struct json *chunk = json_member(top, "Chunk"), *share = json_member(chunk, "FreeSpace");
    const char *url = member_text(o->arena, top, "MetaUrl"), *dirs = member_text(o->arena, chunk, "CacheDir");
    struct vfs_cache_options *c = &o->warmup.cache;
    uint64_t pid = 0, mode = 0;
    buf_done(&text);
    if (rc == -EACCES)
        return fail(name, "is for the mount's owner; run as that user, or root");
    if (!*url || !member_u64(top, "Pid", &pid))
        return fail(root, "is no sluice mount; `sluice warmup META-URL PATH…` needs none");
    *out_subdir = member_text(o->arena, json_member(top, "Meta"), "Subdir");
    o->warmup.url = str_z(url);
    /* A database in a file may be named relative to where the mount was started. */
    (void)snprintf(name, sizeof(name), "/proc/%llu/cwd", (unsigned long long)pid);
    if (str_find(o->warmup.url, STR(":///")) < 0 && chdir(name) < 0)
        return fail(name, strerror(errno));
    if (o->cache_given)
        return 0;
    if (!*dirs || str_is(str_z(dirs), "memory"))
        return fail(root, "is mounted without --cache-dir");
    c->dirs = dirs;
    if (!member_u64(chunk, "CacheSize", &c->bytes_max) || !member_u64(chunk, "CacheItems", &c->items_max) ||
        !member_u64(chunk, "CacheMode", &mode) || !share)
        return fail(root, "has a .config that is not understood");
    c->mode = (int)mode;
    c->free_min = strtod(arena_dupz(o->arena, share->text), NULL);
    return 0;
}

/* Paths of the volume in the place of those on the mount. */
static int leave_mount(struct options *o)
{
    char real[PATH_MAX], root[PATH_MAX], first[PATH_MAX] = "";
    const char *subdir = "";
    for (size_t i = 0; i < o->path_count; i++) {
        const char *path = o->paths[i].ptr;
        int rc = realpath(path, real) ? find_root(real, root) : -errno;
        if (rc < 0)
            return fail(path, strerror(-rc));
        if (i > 0 && !str_is(str_z(root), first))
            return fail(path, "is on another mount than the first path");
        memcpy(first, root, sizeof(first));
        o->paths[i] = str_z(arena_dupz(o->arena, str_from(str_z(real), str_is(str_z(root), "/") ? 0 : strlen(root))));
    }
    if (read_config(o, first, &subdir) < 0)
        return -EINVAL;
    struct str above = str_z(subdir);
    while (str_ends(above, STR("/")))
        above = str_first(above, above.len - 1);
    for (size_t i = 0; i < o->path_count && above.len > 0; i++)
        o->paths[i] = arena_printf(o->arena, "%.*s%s", STR_ARG(above), o->paths[i].ptr); /* which begins with '/' */
    return 0;
}

/* Running */

static void print_line(void *arg, struct str line)
{
    (void)arg;
    fprintf(stderr, "sluice: %.*s\n", STR_ARG(line));
}

static void add_json(const struct jfs_warmup_result *r, bool complete, uint64_t took_ms, struct buf *out)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {{"files", r->files},
                {"blocks", r->blocks},
                {"bytes", r->bytes},
                {"cached_blocks_before", r->there_blocks},
                {"cached_bytes_before", r->there_bytes},
                {"done_blocks", r->done_blocks},
                {"done_bytes", r->done_bytes},
                {"failed", r->failed},
                {"milliseconds", took_ms}};
    buf_addc(out, '{');
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        buf_addf(out, "\"%s\": %llu, ", rows[i].name, (unsigned long long)rows[i].value);
    buf_addf(out, "\"complete\": %s}\n", complete ? "true" : "false");
}

static void add_text(const struct options *o, const struct jfs_warmup_result *r, struct buf *out)
{
    static const char *const done[] = {
        [JFS_WARMUP_FILL] = "fetched", [JFS_WARMUP_CHECK] = "", [JFS_WARMUP_EVICT] = "evicted"};
    buf_addf(out, "%llu files, %llu blocks, ", (unsigned long long)r->files, (unsigned long long)r->blocks);
    gw_progress_bytes(out, r->bytes);
    if (o->warmup.action == JFS_WARMUP_CHECK) {
        double share = r->bytes ? 100.0 * (double)r->there_bytes / (double)r->bytes : 100;
        buf_addf(out, ": %llu blocks, ", (unsigned long long)r->there_blocks);
        gw_progress_bytes(out, r->there_bytes);
        buf_addf(out, " (%.1f%%) are cached\n", share);
        return;
    }
    buf_addf(out, ": %llu blocks %s (", (unsigned long long)r->done_blocks, done[o->warmup.action]);
    gw_progress_bytes(out, r->done_bytes);
    buf_addf(out, "), %llu %s (",
             (unsigned long long)(o->warmup.action == JFS_WARMUP_FILL ? r->there_blocks : r->blocks - r->there_blocks),
             o->warmup.action == JFS_WARMUP_FILL ? "there already" : "not there");
    gw_progress_bytes(out, o->warmup.action == JFS_WARMUP_FILL ? r->there_bytes : r->bytes - r->there_bytes);
    buf_addf(out, "), %llu failed\n", (unsigned long long)r->failed);
    if (o->warmup.action == JFS_WARMUP_FILL && r->bytes > o->warmup.cache.bytes_max) {
        buf_addz(out, "the cache is smaller than these files: ");
        gw_progress_bytes(out, o->warmup.cache.bytes_max);
        buf_addc(out, '\n');
    }
}

static int run(struct options *o)
{
    struct job job;
    struct jfs_warmup_result result;
    struct buf error = buf_make(LIMIT_SETTINGS_BYTES), out = buf_make(4096);
    uint64_t began_ms = clock_mono_ms();
    job_init(&job, NULL, 0);
    struct gw_progress_view *view =
        gw_progress_start(&job, &(struct gw_progress_options){.title = "warmup", .quiet = o->quiet});
    o->warmup.paths = o->paths;
    o->warmup.path_count = o->path_count;
    o->warmup.job = &job;
    o->warmup.tell = print_line;
    int rc = jfs_warmup(&o->warmup, &result, &error);
    if (o->json)
        add_json(&result, rc == 0 && result.failed == 0, clock_mono_ms() - began_ms, &out);
    else
        add_text(o, &result, &out);
    gw_progress_print(view, buf_str(&out));
    int code = gw_progress_end(view);
    if (rc < 0 && rc != -ECANCELED)
        fprintf(stderr, "sluice: %s\n", buf_z(&error));
    buf_done(&error);
    buf_done(&out);
    if (code != 0)
        return code;
    return rc < 0 || result.failed > 0 || (o->warmup.action == JFS_WARMUP_CHECK && result.there_blocks < result.blocks)
               ? 1
               : 0;
}

int gw_cmd_warmup(int argc, char **argv)
{
    if (gw_args_want_help(argc, argv)) {
        fputs(usage, stdout);
        return 0;
    }
    struct options o = {
        .arena = arena_new(),
        .warmup = {.threads = LIMIT_DATA_DOWNLOADS},
    };
    gw_cache_options_init(&o.warmup.cache);
    int code = 2;
    if (parse(argc, argv, &o) == 0) {
        if (o.warmup.url.ptr && !o.warmup.cache.dirs)
            (void)fail("--cache-dir", "names the cache's folders, absolute");
        else if (o.warmup.url.ptr || leave_mount(&o) == 0)
            code = run(&o);
    }
    free(o.paths);
    arena_free(o.arena);
    return code;
}
