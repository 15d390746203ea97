/* `sluice stats`: what a mount does, second by second, from its .stats file. The names are JuiceFS's, so that official mounts can
 * be watched too. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/fd.h"
#include "base/limits.h"
#include "gateway/args.h"
#include "gateway/commands.h"

#define STATS_BYTES_MAX (4 * 1024 * 1024)
#define INTERVAL_MAX_S 3600
#define ROOT_INO 1
#define COLUMN_WIDTH 5u
/* A header again after so many lines on a terminal. */
#define SCREEN_LINES 20

static const char usage[] = "usage: sluice stats DIR [options]\n"
                            "Shows what a mount of a JuiceFS-format volume does, ours or an official one, a line each second.\n\n"
                            "  --interval SECONDS   of each line (1)\n"
                            "  --count N            ends after N lines\n"
                            "  -l, --verbosity N    1: more columns\n"
                            "  --json               a JSON object a line\n\n"
                            "usage: cpu (100%: one core), mem (resident), buf (written and not uploaded), cache (blocks in memory). fuse: operations a\n"
                            "second, their mean time in ms, bytes a second. meta: transactions. blockcache: read from it, written to its disks.\n"
                            "object: bytes and requests of the object store.\n";

/* RATE: a counter, by the second; TIMES: a histogram, its count by the second and its mean in milliseconds. */
enum kind { GAUGE, RATE, CPU, TIMES };
struct column {
    const char *section, *title, *name;
    enum kind kind;
    bool is_bytes;
    unsigned verbosity; /* shown from there on */
};
static const struct column columns[] = {
    {"usage", "cpu", "juicefs_cpu_usage", CPU, false, 0},
    {"usage", "mem", "juicefs_memory", GAUGE, true, 0},
    {"usage", "buf", "juicefs_used_buffer_size_bytes", GAUGE, true, 0},
    {"usage", "cache", "juicefs_store_cache_size_bytes", GAUGE, true, 1},
    {"fuse", "ops", "juicefs_fuse_ops_durations_histogram_seconds", TIMES, false, 0},
    {"fuse", "read", "juicefs_fuse_read_size_bytes_sum", RATE, true, 0},
    {"fuse", "write", "juicefs_fuse_written_size_bytes_sum", RATE, true, 0},
    {"meta", "ops", "juicefs_meta_ops_durations_histogram_seconds", TIMES, false, 0},
    {"meta", "txn", "juicefs_transaction_durations_histogram_seconds", TIMES, false, 1},
    {"meta", "retry", "juicefs_transaction_restart", RATE, false, 1},
    {"blockcache", "read", "juicefs_blockcache_hit_bytes", RATE, true, 0},
    {"blockcache", "write", "juicefs_blockcache_write_bytes", RATE, true, 0},
    {"object", "get", "juicefs_object_request_data_bytes_GET", RATE, true, 0},
    {"object", "get_c", "juicefs_object_request_durations_histogram_seconds_GET", TIMES, false, 1},
    {"object", "put", "juicefs_object_request_data_bytes_PUT", RATE, true, 0},
    {"object", "put_c", "juicefs_object_request_durations_histogram_seconds_PUT", TIMES, false, 1},
    {"object", "del_c", "juicefs_object_request_durations_histogram_seconds_DELETE", TIMES, false, 1},
};

/* One look at the file: what its columns' lines add up to. */
struct sample {
    uint64_t at_ms;
    double value[ARRAY_SIZE(columns)]; /* of TIMES: the count */
    double sum[ARRAY_SIZE(columns)];   /* of TIMES: seconds */
};

struct watch {
    char path[PATH_MAX];
    uint64_t interval_ms, count, verbosity;
    bool json, on_terminal;
};

/* Samples */

static void take_line(struct sample *s, struct str line)
{
    ptrdiff_t space = str_find_char(line, ' ');
    if (space < 0)
        return;
    struct str name = str_first(line, (size_t)space);
    double value = strtod(line.ptr + space, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        struct str base = str_z(columns[i].name);
        if (columns[i].kind != TIMES && str_eq(name, base))
            s->value[i] += value;
        else if (columns[i].kind == TIMES && str_starts(name, base) && str_is(str_from(name, base.len), "_total"))
            s->value[i] += value;
        else if (columns[i].kind == TIMES && str_starts(name, base) && str_is(str_from(name, base.len), "_sum"))
            s->sum[i] += value;
    }
}

static int read_sample(const struct watch *w, struct sample *out)
{
    CLEANUP(buf_done) struct buf text = buf_make(STATS_BYTES_MAX);
    int r = fd_read_file(AT_FDCWD, w->path, &text);
    if (r < 0)
        return r;
    struct sample s = {.at_ms = clock_mono_ms()};
    struct str rest = buf_str(&text), line;
    while (rest.ptr && str_split(&rest, '\n', &line))
        take_line(&s, line);
    *out = s;
    return 0;
}

/* Counters begin anew with the mount's process. */
static double grown(double before, double after)
{
    return after >= before ? after - before : after;
}

struct cell {
    double value, mean_ms;
};

static struct cell cell_of(const struct sample *a, const struct sample *b, size_t i)
{
    double seconds = (double)(b->at_ms - a->at_ms) / 1000;
    if (columns[i].kind == GAUGE)
        return (struct cell){.value = b->value[i]};
    double count = grown(a->value[i], b->value[i]);
    struct cell c = {.value = seconds > 0 ? count / seconds : 0};
    if (columns[i].kind == TIMES && count > 0)
        c.mean_ms = grown(a->sum[i], b->sum[i]) * 1000 / count;
    return c;
}

/* Lines: five characters a column, as `juicefs stats` has them */

static void add_number(struct buf *out, double value, bool is_bytes)
{
    static const char units[] = " KMGTPE";
    size_t unit = 0;
    for (; value >= 10000 && unit + 2 < sizeof(units); unit++)
        value /= 1024;
    buf_addf(out, "%4.0f%c", value, unit == 0 ? (is_bytes && value > 0 ? 'B' : ' ') : units[unit]);
}

static void add_cell(struct buf *out, const struct column *column, struct cell c)
{
    if (column->kind == CPU) {
        buf_addf(out, c.value < 1 ? "%4.1f%%" : "%4.0f%%", c.value * 100);
        return;
    }
    add_number(out, c.value, column->is_bytes);
    if (column->kind == TIMES)
        buf_addf(out, c.mean_ms < 10 ? " %4.2f " : c.mean_ms < 100 ? " %4.1f " : " %4.0f ", c.mean_ms);
}

static const char *separator(size_t i, const char *last_section)
{
    return !last_section ? "" : strcmp(columns[i].section, last_section) == 0 ? " " : "|";
}

static void add_line(struct buf *out, const struct watch *w, const struct sample *a, const struct sample *b)
{
    const char *section = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        if (columns[i].verbosity > w->verbosity)
            continue;
        buf_addz(out, separator(i, section));
        add_cell(out, &columns[i], cell_of(a, b, i));
        section = columns[i].section;
    }
    buf_addc(out, '\n');
}

/* A section's name in the middle of dashes over its columns. */
static void add_section(struct buf *out, const char *name, size_t width)
{
    size_t len = strlen(name), left = width > len ? (width - len + 1) / 2 : 0;
    if (out->len > 0)
        buf_addc(out, ' ');
    for (size_t i = 0; i < left; i++)
        buf_addc(out, '-');
    buf_addz(out, name);
    for (size_t i = left + len; i < width; i++)
        buf_addc(out, '-');
}

static void add_header(struct buf *out, const struct watch *w)
{
    CLEANUP(buf_done) struct buf titles = buf_make(STATS_BYTES_MAX);
    const char *section = NULL;
    size_t width = 0;
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        if (columns[i].verbosity > w->verbosity)
            continue;
        if (section && strcmp(columns[i].section, section) != 0) {
            add_section(out, section, width);
            width = 0;
        }
        const char *title = columns[i].title;
        buf_addf(&titles, "%s%4s%s", separator(i, section), title, strlen(title) < COLUMN_WIDTH ? " " : "");
        buf_addz(&titles, columns[i].kind == TIMES ? "  lat " : "");
        width += (width > 0 ? 1u : 0u) + (columns[i].kind == TIMES ? 2 * COLUMN_WIDTH + 1 : COLUMN_WIDTH);
        section = columns[i].section;
    }
    add_section(out, section, width);
    buf_addf(out, "\n%s\n", buf_z(&titles));
}

static void add_json(struct buf *out, const struct sample *a, const struct sample *b)
{
    char when[CLOCK_TEXT_MAX];
    const char *section = NULL;
    buf_addz(out, "{\"time\":");
    buf_add_json(out, clock_format_iso8601_ms(clock_wall_ns(), when));
    buf_addf(out, ",\"seconds\":%.3f", (double)(b->at_ms - a->at_ms) / 1000);
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        const struct cell c = cell_of(a, b, i);
        bool begins = !section || strcmp(columns[i].section, section) != 0;
        if (begins)
            buf_addf(out, "%s,\"%s\":{", section ? "}" : "", columns[i].section);
        buf_addf(out, "%s\"%s\":%.9g", begins ? "" : ",", columns[i].title, c.value);
        if (columns[i].kind == TIMES)
            buf_addf(out, ",\"%s_ms\":%.6g", columns[i].title, c.mean_ms);
        section = columns[i].section;
    }
    buf_addz(out, "}}\n");
}

/* Watching */

static void show(const struct watch *w, uint64_t line, const struct sample *a, const struct sample *b)
{
    CLEANUP(buf_done) struct buf out = buf_make(STATS_BYTES_MAX);
    if (w->json) {
        add_json(&out, a, b);
    } else {
        if (line == 0 || (w->on_terminal && line % SCREEN_LINES == 0))
            add_header(&out, w);
        add_line(&out, w, a, b);
    }
    fputs(buf_z(&out), stdout);
    fflush(stdout);
}

static int watch(const struct watch *w)
{
    struct sample before, after;
    int r = read_sample(w, &before);
    for (uint64_t line = 0; r == 0 && (w->count == 0 || line < w->count) && !ferror(stdout); line++) {
        (void)poll(NULL, 0, (int)w->interval_ms); /* interrupted: an earlier line */
        r = read_sample(w, &after);
        if (r == 0)
            show(w, line, &before, &after);
        before = after;
    }
    if (r < 0)
        fprintf(stderr, "sluice: cannot read %s: %s\n", w->path, strerror(-r));
    return r < 0 ? 1 : 0;
}

/* Official mounts may have the file under a name with ".jfs" before it. */
static bool find_file(struct watch *w, const char *directory)
{
    static const char *const names[] = {".jfs.stats", ".stats"};
    struct stat s;
    if (stat(directory, &s) < 0) {
        fprintf(stderr, "sluice: %s: %s\n", directory, strerror(errno));
        return false;
    }
    for (size_t i = 0; s.st_ino == ROOT_INO && i < ARRAY_SIZE(names); i++) {
        int n = snprintf(w->path, sizeof(w->path), "%s/%s", directory, names[i]);
        if (n > 0 && (size_t)n < sizeof(w->path) && access(w->path, R_OK) == 0)
            return true;
    }
    fprintf(stderr, "sluice: %s is no mount point of a JuiceFS-format volume\n", directory);
    return false;
}

static bool take_option(struct watch *w, struct gw_args *args, struct str name)
{
    uint64_t seconds;
    if (str_is(name, "json"))
        return w->json = true;
    const char *value = gw_args_value(args);
    if (str_is(name, "interval") && str_parse_u64_max(str_z(value), INTERVAL_MAX_S, &seconds) && seconds > 0) {
        w->interval_ms = seconds * 1000;
        return true;
    }
    if (str_is(name, "count") || str_is(name, "c"))
        return str_parse_u64(str_z(value), &w->count);
    return (str_is(name, "verbosity") || str_is(name, "l")) && str_parse_u64(str_z(value), &w->verbosity);
}

int gw_cmd_stats(int argc, char **argv)
{
    struct watch w = {.interval_ms = 1000, .on_terminal = isatty(STDOUT_FILENO) == 1};
    struct gw_args args = gw_args_make(argc, argv);
    struct str word;
    const char *directory = NULL;
    if (gw_args_want_help(argc, argv)) {
        fputs(usage, stdout);
        return 0;
    }
    for (enum gw_arg_kind kind; (kind = gw_args_next(&args, &word)) != GW_ARG_END;) {
        bool taken = kind == GW_ARG_OPTION ? take_option(&w, &args, word) : !directory;
        if (kind == GW_ARG_POSITIONAL && !directory)
            directory = word.ptr;
        if (!taken) {
            fprintf(stderr, "sluice: stats: '%.*s' is not understood\n%s", STR_ARG(word), usage);
            return 2;
        }
    }
    if (!directory) {
        fputs(usage, stderr);
        return 2;
    }
    return find_file(&w, directory) ? watch(&w) : 1;
}
