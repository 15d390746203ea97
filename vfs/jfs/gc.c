/* `sluice gc`: what is in the object store and belongs to nobody. An object is leaked when its slice was mentioned by no list before
 * the listing, is mentioned by none after it, and the object was older than the age when the lists were read first: what is
 * uploaded is committed long before that, or never (format §3.7). */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "vfs/data/scrub.h"
#include "vfs/jfs/admin.h"
#include "vfs/jfs/client.h"
#include "vfs/meta/check.h"
#include "vfs/meta/gc.h"

enum { TALLY_LEAKED, TALLY_DELETED };
const struct job_tally jfs_gc_tallies[JFS_GC_TALLIES] = {{"leaked", JOB_COUNT}, {"deleted", JOB_COUNT}};

struct leaked {
    struct block_id id;
    uint64_t stored;
};

struct gc {
    const struct jfs_gc *o;
    struct jfs_gc_result *r;
    struct jfs_client client;
    struct data_scrub *scrub;
    struct meta_mentions *mentions;
    struct leaked *suspects; /* LIMIT_DATA_SUSPECTS */
    size_t count;
};

static void add(struct jfs_gc_counts *c, uint64_t bytes)
{
    c->count++;
    c->bytes += bytes;
}

/* Leaked objects */

static int compare_leaked(const void *a, const void *b)
{
    const struct leaked *x = a, *y = b;
    if (x->id.slice != y->id.slice)
        return x->id.slice < y->id.slice ? -1 : 1;
    return x->id.index < y->id.index ? -1 : x->id.index > y->id.index;
}

static int tell_leaked(struct gc *g, const struct leaked *l, int deleted)
{
    char memory[BLOCK_KEY_MAX];
    const struct jfs_problem p = {.kind = "leaked-object",
                                  .text = "leaked object",
                                  .advice = !g->o->delete ? "--delete removes it" : deleted < 0 ? strerror(-deleted) : NULL,
                                  .slice = l->id.slice,
                                  .block = data_scrub_key(g->scrub, &l->id, memory),
                                  .repaired = deleted == 0};
    return g->o->fn(g->o->arg, &p);
}

static int settle_one(struct gc *g, const struct leaked *l)
{
    int deleted = g->o->delete ? data_delete_block(g->scrub, &l->id) : -EPERM;
    add(&g->r->leaked, l->stored);
    job_tally(g->o->job, TALLY_LEAKED, 1);
    if (deleted == 0) {
        add(&g->r->deleted, l->stored);
        job_tally(g->o->job, TALLY_DELETED, 1);
    }
    return tell_leaked(g, l, deleted);
}

/* A block of a slice that is there, but not one of those that the slice is cut into; nobody reads it. When lists contradict each
 * other about the slice's size, nothing is said. */
static int is_of_no_size(const struct gc *g, const struct leaked *l, uint32_t block_size)
{
    struct meta_mention pair[2];
    uint64_t at, all = meta_mentions_count(g->mentions);
    int rc = meta_mentions_seek(g->mentions, l->id.slice, &at);
    if (rc < 0 || at == all)
        return rc;
    rc = meta_mentions_read(g->mentions, at, all - at < 2 ? 1 : 2, pair);
    if (rc < 0 || pair[0].id != l->id.slice || (all - at >= 2 && pair[1].id == pair[0].id))
        return rc;
    return !block_is_of(&l->id, pair[0].size, block_size);
}

static int settle_suspects(struct gc *g, struct meta_probe *probes, uint32_t block_size)
{
    size_t count = 0, at = 0;
    qsort(g->suspects, g->count, sizeof(*g->suspects), compare_leaked);
    for (size_t i = 0; i < g->count; i++)
        if (count == 0 || probes[count - 1].id != g->suspects[i].id.slice)
            probes[count++] = (struct meta_probe){.id = g->suspects[i].id.slice};
    int rc = meta_probe(g->client.meta, g->o->job, probes, count);
    if (rc == 0)
        job_phase(g->o->job, g->o->delete ? "deleting leaked objects" : "counting leaked objects", JOB_COUNT, g->count);
    for (size_t i = 0; rc == 0 && i < g->count; i++) {
        const struct leaked *l = &g->suspects[i];
        while (probes[at].id < l->id.slice)
            at++;
        int leaked = probes[at].count == 0 ? 1 : is_of_no_size(g, l, block_size);
        rc = leaked < 0 ? leaked : job_stopped(g->o->job) ? -ECANCELED : leaked ? settle_one(g, l) : 0;
        job_add(g->o->job, 1);
    }
    g->count = 0;
    return rc;
}

static int settle(struct gc *g)
{
    if (g->count == 0)
        return 0;
    CLEANUP(meta_settings_freep) struct meta_settings *s = meta_settings_copy(g->client.meta);
    struct meta_probe *probes = calloc(g->count, sizeof(*probes));
    CHECK(probes != NULL); /* out of memory */
    int rc = settle_suspects(g, probes, s->block_size_kib * 1024);
    free(probes);
    return rc;
}

/* The other threads of the listing wait meanwhile. */
static int on_leaked(void *arg, const struct block_id *b, uint64_t object_size)
{
    struct gc *g = arg;
    g->suspects[g->count++] = (struct leaked){*b, object_size};
    int rc = g->count == LIMIT_DATA_SUSPECTS ? settle(g) : 0;
    if (rc == 0 && g->count == 0)
        job_phase(g->o->job, "listing objects", JOB_COUNT, 0);
    return rc;
}

/* Objects' times are the store's; deleting by a wrong clock would delete what is being uploaded. */
static int cutoff(struct gc *g, int64_t started_ns, int64_t *out)
{
    int64_t skew = 0;
    int rc = g->o->delete ? data_clock_skew(g->scrub, &skew) : 0;
    *out = started_ns + skew - (int64_t)g->o->age_s * 1000000000;
    return rc;
}

static void take_counts(struct jfs_gc_counts *out, const struct data_list_result *l, enum data_object_state state)
{
    *out = (struct jfs_gc_counts){l->objects[state], l->bytes[state]};
}

static int find_leaked(struct gc *g, int64_t started_ns)
{
    struct data_list_options options = {.fn = on_leaked, .arg = g};
    struct data_list_result result = {0};
    int rc = cutoff(g, started_ns, &options.before_ns);
    if (g->r->damaged_lists > 0)
        options.before_ns = INT64_MIN; /* all are too new */
    if (rc == 0)
        rc = data_list_leaked(g->scrub, g->mentions, &options, &result);
    if (rc == 0)
        rc = settle(g);
    take_counts(&g->r->used, &result, DATA_OBJECT_USED);
    take_counts(&g->r->new, &result, DATA_OBJECT_NEW);
    take_counts(&g->r->unknown, &result, DATA_OBJECT_UNKNOWN);
    return rc;
}

/* Metadata */

static int on_finding(void *arg, const struct meta_finding *x)
{
    struct gc *g = arg;
    const struct jfs_problem p = {.kind = meta_flaw_name(x->flaw),
                                  .text = meta_flaw_text(x->flaw),
                                  .advice = x->repaired ? NULL
                                            : x->flaw == META_FLAW_SLICE_UNUSED ? "--delete removes it"
                                                                                : "`sluice fsck` says more",
                                  .inode = x->ino,
                                  .slice = x->slice,
                                  .numbers = true,
                                  .found = x->found,
                                  .expected = x->expected,
                                  .repaired = x->repaired};
    g->r->unused += x->flaw == META_FLAW_SLICE_UNUSED;
    return g->o->fn(g->o->arg, &p);
}

static int count_pending(struct gc *g)
{
    struct meta_pending p;
    int rc = meta_pending(g->client.meta, &p);
    if (rc < 0)
        return rc;
    g->r->files = (struct jfs_gc_counts){p.files, p.file_bytes};
    g->r->delayed = (struct jfs_gc_counts){p.delayed, p.delayed_bytes};
    g->r->garbage = (struct jfs_gc_counts){p.garbage, p.garbage_bytes};
    return 0;
}

static int compact(struct gc *g)
{
    struct meta_compacted c;
    int rc = meta_compact_all(g->client.meta, g->o->threads, g->o->job, &c);
    g->r->chunks = c.chunks;
    g->r->rewritten = c.rewritten;
    g->r->failed = c.failed;
    return rc;
}

/* Counts are mended before anything is deleted by them: one that is too low would take data in use with it. What the duties
 * delete after the lists were read only makes some objects look used that are gone. */
static int clean_up(struct gc *g)
{
    const struct meta_check_options check = {.repair = g->o->delete, .job = g->o->job, .fn = on_finding, .arg = g};
    bool known = g->r->damaged_lists == 0;
    int rc = known ? meta_release_unused(g->client.meta, &check, g->mentions) : 0;
    if (rc < 0 || !g->o->delete)
        return rc;
    job_phase(g->o->job, "cleaning up", JOB_COUNT, 0);
    meta_run_duties(g->client.meta, g->o->job);
    if (known)
        meta_run_garbage(g->client.meta, g->o->job);
    return job_stopped(g->o->job) ? -ECANCELED : 0;
}

static int run(struct gc *g)
{
    struct meta_check_result gathered = {0};
    int rc = g->o->compact ? compact(g) : 0;
    int64_t started_ns = clock_wall_ns();
    if (rc == 0)
        rc = meta_gather(g->client.meta, g->o->job, g->mentions, &gathered);
    g->r->damaged_lists = gathered.damaged_lists;
    if (rc == 0)
        rc = clean_up(g);
    if (rc == 0)
        rc = find_leaked(g, started_ns);
    return rc == 0 ? count_pending(g) : rc;
}

static int open_all(struct gc *g, const char **why)
{
    bool writes = g->o->delete || g->o->compact;
    const struct jfs_client_options options = {
        .meta = {.read_only = !writes, .no_background = true, .mount_point = "gc"},
        .data = {.read_only = !writes},
    };
    int rc = jfs_client_open(g->o->url, &options, &g->client, why);
    if (rc < 0)
        return rc;
    CLEANUP(meta_settings_freep) struct meta_settings *s = meta_settings_copy(g->client.meta);
    return data_scrub_open(g->client.store, s, g->o->threads, g->o->job, &g->scrub, why);
}

int jfs_gc(const struct jfs_gc *options, struct jfs_gc_result *out, struct buf *error)
{
    struct gc g = {.o = options, .r = out};
    const char *why = "";
    *out = (struct jfs_gc_result){0};
    int rc = open_all(&g, &why);
    if (rc < 0)
        buf_addz(error, why);
    if (rc == 0) {
        g.mentions = meta_mentions_new(0);
        g.suspects = calloc(LIMIT_DATA_SUSPECTS, sizeof(*g.suspects)); /* pages that are not touched cost nothing */
        CHECK(g.suspects != NULL);
        rc = run(&g);
        if (rc < 0 && rc != -ECANCELED) {
            buf_addf(error, "%s: ", strerror(-rc));
            store_error(g.client.store, error);
        }
    }
    meta_mentions_free(g.mentions);
    free(g.suspects);
    data_scrub_close(g.scrub);
    if (g.client.meta)
        jfs_client_close(&g.client);
    return rc;
}
