/* `sluice gc`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "gateway/args.h"
#include "gateway/commands.h"
#include "gateway/problems.h"
#include "vfs/jfs/admin.h"

#define AGE_S_DEFAULT 3600
/* The official client's variable for it. */
#define AGE_VARIABLE "JFS_GC_SKIPPEDTIME"
#define THREADS_MAX 256

static const char usage[] =
    "usage: sluice gc META-URL [OPTIONS]\n\n"
    "Finds objects of a JuiceFS-format volume that belong to nothing, beside its clients, and says what waits to be deleted.\n"
    "Nothing is changed without --delete or --compact.\n\n"
    "  --delete          removes leaked objects, and does the volume's clean-up duties now: old trash, clones that were given\n"
    "                    up a day ago, deleted files, slices that nothing mentions\n"
    "  --compact         rewrites fragmented chunks\n"
    "  --age TIME        younger objects may be uploads that are not committed yet (1h; or JFS_GC_SKIPPEDTIME, in seconds)\n"
    "  --threads N       requests at a time                                       (8)\n"
    "  --json            the findings as one JSON document\n"
    "  --quiet, -q       no progress on standard error\n\n"
    "Exit codes: 0 nothing leaked, or all of it deleted; 1 something is left, or gc failed; 2 wrong use; 130 interrupted.\n"
    "It can be interrupted and run again at any time, and several may run at once.\n";

struct options {
    struct jfs_gc gc;
    bool json, quiet;
};

static bool parse_age(struct str text, uint64_t *out_s)
{
    uint64_t ms;
    if (!str_parse_duration_ms(text, &ms) || ms / 1000 > INT32_MAX)
        return false;
    *out_s = ms / 1000;
    return true;
}

static bool set_option(struct options *o, struct str name, struct gw_args *args)
{
    const struct {
        const char *name, *letter;
        bool *flag;
    } flags[] = {{"delete", NULL, &o->gc.delete}, {"compact", NULL, &o->gc.compact}, {"json", NULL, &o->json}, {"quiet", "q", &o->quiet}};
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        if (str_is(name, flags[i].name) || (flags[i].letter && str_is(name, flags[i].letter)))
            return *flags[i].flag = true;
    }
    const char *value = str_is(name, "age") || str_is(name, "threads") ? gw_args_value(args) : NULL;
    uint64_t n;
    if (value && str_is(name, "age"))
        return parse_age(str_z(value), &o->gc.age_s);
    if (!value || !str_parse_u64_max(str_z(value), THREADS_MAX, &n) || n == 0)
        return false;
    o->gc.threads = (uint32_t)n;
    return true;
}

static bool parse(int argc, char **argv, struct options *o)
{
    struct gw_args args = gw_args_make(argc, argv);
    struct str word, age = str_z(getenv(AGE_VARIABLE));
    if (age.len > 0 && !parse_age(age, &o->gc.age_s)) {
        fputs("sluice: " AGE_VARIABLE " is no number of seconds\n", stderr);
        return false;
    }
    for (enum gw_arg_kind kind; (kind = gw_args_next(&args, &word)) != GW_ARG_END;) {
        if (kind == GW_ARG_POSITIONAL && !o->gc.url.ptr) {
            o->gc.url = word;
        } else if (kind == GW_ARG_POSITIONAL || !set_option(o, word, &args)) {
            fprintf(stderr, "sluice: '%.*s' is not understood; `sluice gc --help`\n", STR_ARG(word));
            return false;
        }
    }
    if (!o->gc.url.ptr)
        fputs(usage, stderr);
    return o->gc.url.ptr != NULL;
}

static void add_counts(struct buf *out, const struct jfs_gc_counts *c, const char *what)
{
    buf_addf(out, "%llu %s (", (unsigned long long)c->count, what);
    gw_progress_bytes(out, c->bytes);
    buf_addc(out, ')');
}

static void say(const struct options *o, const struct jfs_gc_result *r, struct buf *out)
{
    buf_addz(out, "objects: ");
    add_counts(out, &r->used, "in use");
    buf_addz(out, ", ");
    add_counts(out, &r->leaked, "leaked");
    buf_addz(out, ", ");
    add_counts(out, &r->deleted, "of these deleted");
    buf_addz(out, ", ");
    add_counts(out, &r->new, "too new to tell");
    buf_addz(out, ", ");
    add_counts(out, &r->unknown, "that are no blocks");
    buf_addz(out, o->gc.delete ? "\nstill waiting to be deleted: " : "\nwaiting to be deleted: ");
    add_counts(out, &r->files, "files");
    buf_addz(out, ", ");
    add_counts(out, &r->delayed, "slices kept with the trash");
    buf_addz(out, ", ");
    add_counts(out, &r->garbage, "slices of nothing");
    buf_addc(out, '\n');
    if (o->gc.compact)
        buf_addf(out, "chunks: %llu of several slices, %llu of them looked over and rewritten where it pays, %llu failed\n",
                 (unsigned long long)r->chunks, (unsigned long long)r->rewritten, (unsigned long long)r->failed);
    if (r->damaged_lists > 0)
        buf_addf(out, "%llu lists of slices cannot be read, so that nothing is taken for leaked; `sluice fsck` says which\n",
                 (unsigned long long)r->damaged_lists);
}

/* rc: how it ended; after an error there is nothing to sum up for people. */
static void summarize(const struct options *o, const struct jfs_gc_result *r, struct gw_problems *p, int rc)
{
    const struct gw_summary_row rows[] = {
        {"used_objects", r->used.count},     {"used_bytes", r->used.bytes},       {"leaked_objects", r->leaked.count},
        {"leaked_bytes", r->leaked.bytes},   {"deleted_objects", r->deleted.count}, {"deleted_bytes", r->deleted.bytes},
        {"new_objects", r->new.count},       {"new_bytes", r->new.bytes},         {"unknown_objects", r->unknown.count},
        {"pending_files", r->files.count},   {"pending_bytes", r->files.bytes},   {"delayed_slices", r->delayed.count},
        {"delayed_bytes", r->delayed.bytes}, {"garbage_slices", r->garbage.count}, {"unused_slices", r->unused},
        {"chunks", r->chunks},               {"compacted", r->rewritten},         {"compact_failed", r->failed},
        {"damaged_lists", r->damaged_lists}};
    struct buf out = buf_make(4096);
    gw_problems_end(p, rows, ARRAY_SIZE(rows), rc == 0);
    if (!p->json && (rc == 0 || rc == -ECANCELED))
        say(o, r, &out);
    gw_progress_print(p->view, buf_str(&out));
    buf_done(&out);
}

static bool is_clean(const struct options *o, const struct jfs_gc_result *r)
{
    bool leaked = r->leaked.count > r->deleted.count || (r->unused > 0 && !o->gc.delete);
    return !leaked && r->damaged_lists == 0 && r->failed == 0;
}

static int run(struct options *o)
{
    struct job job;
    struct jfs_gc_result result;
    struct buf error = buf_make(LIMIT_SETTINGS_BYTES);
    job_init(&job, jfs_gc_tallies, JFS_GC_TALLIES);
    struct gw_progress_options shown = {.title = "gc", .quiet = o->quiet};
    struct gw_problems problems = {.view = gw_progress_start(&job, &shown), .json = o->json, .done = "done"};
    o->gc.job = &job;
    o->gc.fn = gw_problems_tell;
    o->gc.arg = &problems;
    gw_problems_begin(&problems);
    int rc = jfs_gc(&o->gc, &result, &error);
    summarize(o, &result, &problems, rc);
    int code = gw_progress_end(problems.view);
    if (rc < 0 && rc != -ECANCELED)
        fprintf(stderr, "sluice: %s\n", buf_z(&error));
    else if (code == GW_EXIT_INTERRUPTED)
        fputs("sluice: interrupted; run it again, what was deleted or rewritten stays so\n", stderr);
    buf_done(&error);
    if (code != 0)
        return code;
    return rc < 0 || !is_clean(o, &result) ? 1 : 0;
}

int gw_cmd_gc(int argc, char **argv)
{
    struct options o = {.gc = {.age_s = AGE_S_DEFAULT, .threads = LIMIT_DATA_CHECKERS}};
    if (gw_args_want_help(argc, argv)) {
        fputs(usage, stdout);
        return 0;
    }
    return parse(argc, argv, &o) ? run(&o) : 2;
}
