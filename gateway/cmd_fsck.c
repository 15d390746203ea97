/* `sluice fsck`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "gateway/args.h"
#include "gateway/commands.h"
#include "gateway/problems.h"
#include "vfs/jfs/admin.h"

static const char usage[] =
    "usage: sluice fsck META-URL [OPTIONS]\n\n"
    "Checks a JuiceFS-format volume, beside its clients: metadata that cannot be, and blocks that are missing in the object\n"
    "store. Nothing is changed without --repair.\n\n"
    "  --path PATH       this file or directory alone\n"
    "  --recursive, -r   with --path: and all below it\n"
    "  --repair          mends what can be told for certain: links, parents, counts of slices, statistics, counters, quotas, …\n"
    "  --sample N%       looks at the blocks of so many slices only, others each time; 0.01% and more\n"
    "  --verify          reads and decodes the blocks instead of asking for their size\n"
    "  --json            the findings as one JSON document\n"
    "  --quiet, -q       no progress on standard error\n\n"
    "Exit codes: 0 nothing found, or all of it repaired; 1 something is left, or the check failed; 2 wrong use;\n"
    "130 interrupted. It can be interrupted and run again at any time.\n";

struct options {
    struct jfs_fsck fsck;
    bool json, quiet;
};

/* "5%", "0.25", to parts per million. */
static bool parse_sample(struct str text, uint32_t *out_ppm)
{
    struct str rest = str_ends(text, STR("%")) ? str_first(text, text.len - 1) : text, whole;
    uint64_t percent, part = 0, unit = 10000;
    if (!str_split(&rest, '.', &whole) || !str_parse_u64_max(whole, 100, &percent))
        return false;
    if (rest.ptr && (rest.len == 0 || rest.len > 2 || !str_parse_u64(rest, &part)))
        return false;
    part *= rest.len == 1 ? unit / 10 : unit / 100;
    *out_ppm = (uint32_t)(percent * unit + part);
    return *out_ppm > 0 && *out_ppm <= 100 * unit;
}

static bool set_option(struct options *o, struct str name, struct gw_args *args)
{
    const struct {
        const char *name, *letter;
        bool *flag;
    } flags[] = {{"recursive", "r", &o->fsck.recursive}, {"repair", NULL, &o->fsck.repair}, {"verify", NULL, &o->fsck.verify},
                 {"json", NULL, &o->json},               {"quiet", "q", &o->quiet}};
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        if (str_is(name, flags[i].name) || (flags[i].letter && str_is(name, flags[i].letter)))
            return *flags[i].flag = true;
    }
    const char *value = str_is(name, "path") || str_is(name, "sample") ? gw_args_value(args) : NULL;
    if (value && str_is(name, "path")) {
        o->fsck.path = str_z(value);
        return value[0] == '/';
    }
    return value && parse_sample(str_z(value), &o->fsck.sample_ppm);
}

static bool parse(int argc, char **argv, struct options *o)
{
    struct gw_args args = gw_args_make(argc, argv);
    struct str word;
    for (enum gw_arg_kind kind; (kind = gw_args_next(&args, &word)) != GW_ARG_END;) {
        if (kind == GW_ARG_POSITIONAL && !o->fsck.url.ptr) {
            o->fsck.url = word;
        } else if (kind == GW_ARG_POSITIONAL || !set_option(o, word, &args)) {
            fprintf(stderr, "sluice: '%.*s' is not understood; `sluice fsck --help`\n", STR_ARG(word));
            return false;
        }
    }
    if (!o->fsck.url.ptr)
        fputs(usage, stderr);
    return o->fsck.url.ptr != NULL;
}

/* rc: how the check ended; after an error there is nothing to sum up for people. */
static void summarize(const struct jfs_fsck_result *r, struct gw_problems *p, int rc)
{
    const bool complete = rc == 0;
    const struct gw_summary_row rows[] = {{"nodes", r->nodes},
                                          {"slices", r->slices},
                                          {"blocks", r->blocks},
                                          {"bytes", r->bytes},
                                          {"problems", r->problems},
                                          {"repaired", r->repaired},
                                          {"lost_blocks", r->lost_blocks},
                                          {"lost_bytes", r->lost_bytes},
                                          {"broken_files", r->broken_files},
                                          {"unreadable_blocks", r->unreadable},
                                          {"not_settled", r->unsettled},
                                          {"not_told", r->not_told}};
    struct buf out = buf_make(4096);
    gw_problems_end(p, rows, ARRAY_SIZE(rows), complete);
    if (p->json || (rc < 0 && rc != -ECANCELED))
        return;
    buf_addf(&out, "%s%llu nodes, %llu slices in %llu blocks, ", complete ? "" : "so far: ", (unsigned long long)r->nodes,
             (unsigned long long)r->slices, (unsigned long long)r->blocks);
    gw_progress_bytes(&out, r->bytes);
    buf_addf(&out, ": %llu problems, %llu repaired\n", (unsigned long long)r->problems, (unsigned long long)r->repaired);
    if (r->lost_blocks > 0) {
        buf_addf(&out, "%llu blocks are lost or damaged (", (unsigned long long)r->lost_blocks);
        gw_progress_bytes(&out, r->lost_bytes);
        buf_addf(&out, ") in %llu files\n", (unsigned long long)r->broken_files);
    }
    if (r->unsettled > 0)
        buf_addf(&out, "%llu statistics and counters changed all the time and were not judged\n", (unsigned long long)r->unsettled);
    if (r->not_told > 0)
        buf_addf(&out, "%llu more problems; check again when these are dealt with\n", (unsigned long long)r->not_told);
    gw_progress_print(p->view, buf_str(&out));
    buf_done(&out);
}

/* -ECANCELED is what a signal asked for; what the check was told by us stays its result. */
static int run(struct options *o)
{
    struct job job;
    struct jfs_fsck_result result;
    struct buf error = buf_make(LIMIT_SETTINGS_BYTES);
    job_init(&job, jfs_fsck_tallies, JFS_FSCK_TALLIES);
    struct gw_progress_options shown = {.title = "fsck", .quiet = o->quiet};
    struct gw_problems problems = {.view = gw_progress_start(&job, &shown), .json = o->json, .done = "repaired"};
    o->fsck.job = &job;
    o->fsck.fn = gw_problems_tell;
    o->fsck.arg = &problems;
    gw_problems_begin(&problems);
    int rc = jfs_fsck(&o->fsck, &result, &error);
    summarize(&result, &problems, rc);
    int code = gw_progress_end(problems.view);
    if (rc < 0 && rc != -ECANCELED)
        fprintf(stderr, "sluice: %s\n", buf_z(&error));
    else if (code == GW_EXIT_INTERRUPTED)
        fputs("sluice: interrupted; run it again, what was repaired stays\n", stderr);
    buf_done(&error);
    if (code != 0)
        return code;
    return rc < 0 || result.problems > result.repaired || result.not_told > 0 ? 1 : 0;
}

int gw_cmd_fsck(int argc, char **argv)
{
    struct options o = {.json = false};
    if (gw_args_want_help(argc, argv)) {
        fputs(usage, stdout);
        return 0;
    }
    return parse(argc, argv, &o) ? run(&o) : 2;
}
