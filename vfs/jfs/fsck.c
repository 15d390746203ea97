/* `sluice fsck`: the metadata's check, then the blocks of the slices that it found mentioned. */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "vfs/data/scrub.h"
#include "vfs/jfs/admin.h"
#include "vfs/jfs/client.h"
#include "vfs/meta/check.h"

enum { TALLY_PROBLEMS, TALLY_REPAIRED };
const struct job_tally jfs_fsck_tallies[JFS_FSCK_TALLIES] = {{"problems", JOB_COUNT}, {"repaired", JOB_COUNT}};

struct bad_block {
    struct block_id id;
    int error;
};

struct fsck {
    const struct jfs_fsck *o;
    struct jfs_fsck_result *r;
    struct meta *m;
    struct store *store;
    struct data_scrub *scrub;
    struct meta_mentions *mentions;
    struct bad_block *bad; /* LIMIT_DATA_SUSPECTS */
    size_t bad_count;
};

static int tell(struct fsck *f, struct jfs_problem *p)
{
    struct buf path = buf_make(LIMIT_META_PATH_BYTES);
    if (p->inode) {
        meta_path_of(f->m, p->inode, &path);
        p->path = buf_str(&path);
    }
    f->r->problems++;
    f->r->repaired += p->repaired;
    job_tally(f->o->job, TALLY_PROBLEMS, 1);
    job_tally(f->o->job, TALLY_REPAIRED, p->repaired);
    int rc = f->o->fn(f->o->arg, p);
    buf_done(&path);
    return rc;
}

/* Metadata */

/* Users and groups are no inodes. */
static bool is_of_owner(enum meta_flaw flaw)
{
    return flaw == META_FLAW_USER_SPACE || flaw == META_FLAW_USER_INODES || flaw == META_FLAW_GROUP_SPACE ||
           flaw == META_FLAW_GROUP_INODES;
}

static int on_finding(void *arg, const struct meta_finding *x)
{
    char memory[LIMIT_META_PATH_BYTES / 16];
    struct buf about = buf_over(memory, sizeof(memory));
    struct jfs_problem p = {.kind = meta_flaw_name(x->flaw),
                            .text = meta_flaw_text(x->flaw),
                            .advice = x->repaired ? NULL : meta_flaw_advice(x->flaw),
                            .inode = is_of_owner(x->flaw) ? 0 : x->ino,
                            .slice = x->slice,
                            .numbers = x->found != x->expected,
                            .found = x->found,
                            .expected = x->expected,
                            .repaired = x->repaired};
    if (is_of_owner(x->flaw))
        buf_addf(&about, "%llu", (unsigned long long)x->ino);
    else
        buf_add(&about, x->name);
    p.block = buf_str(&about);
    return tell(arg, &p);
}

static int check_metadata(struct fsck *f)
{
    const struct meta_check_options options = {.repair = f->o->repair, .job = f->o->job, .fn = on_finding, .arg = f};
    struct meta_check_result result = {0};
    struct meta_attr attr;
    meta_ino ino;
    struct str path = f->o->path;
    while (str_starts(path, STR("/")))
        path = str_from(path, 1);
    while (str_ends(path, STR("/")))
        path = str_first(path, path.len - 1);
    int rc = f->o->path.len > 0 ? meta_resolve(f->m, NULL, META_ROOT, path, &ino, &attr) : 0;
    if (rc < 0)
        return rc;
    rc = f->o->path.len > 0 ? meta_check_subtree(f->m, ino, f->o->recursive, &options, f->mentions, &result)
                            : meta_check(f->m, &options, f->mentions, &result);
    f->r->nodes = result.nodes;
    f->r->unsettled = result.unsettled;
    f->r->not_told += result.not_told;
    return rc;
}

/* Blocks */

static int on_bad_block(void *arg, const struct block_id *b, int error)
{
    struct fsck *f = arg;
    if (f->bad_count < LIMIT_DATA_SUSPECTS)
        f->bad[f->bad_count++] = (struct bad_block){*b, error};
    else
        f->r->not_told++;
    return 0;
}

static int tell_block(struct fsck *f, const struct bad_block *b, meta_ino ino)
{
    char memory[BLOCK_KEY_MAX];
    struct jfs_problem p = {.inode = ino, .slice = b->id.slice, .block = data_scrub_key(f->scrub, &b->id, memory)};
    p.advice = "what was in it is lost, unless a backup of the store has the object";
    if (b->error == -ENOENT) {
        p.kind = "lost-block";
        p.text = "lost block";
    } else if (b->error == -EMSGSIZE) {
        p.kind = "block-size";
        p.text = "block of another size";
    } else if (b->error == -EBADMSG) {
        p.kind = "damaged-block";
        p.text = "damaged block";
    } else {
        p.kind = "unreadable-block";
        p.text = "block that the store does not give";
        p.advice = "look at the store, then check again";
        f->r->unreadable++;
        return tell(f, &p);
    }
    f->r->lost_blocks++;
    f->r->lost_bytes += b->id.size;
    return tell(f, &p);
}

static int compare_bad(const void *a, const void *b)
{
    const struct bad_block *x = a, *y = b;
    if (x->id.slice != y->id.slice)
        return x->id.slice < y->id.slice ? -1 : 1;
    return x->id.index < y->id.index ? -1 : x->id.index > y->id.index;
}

static size_t probes_of(const struct fsck *f, struct meta_probe *probes)
{
    size_t count = 0;
    for (size_t i = 0; i < f->bad_count; i++)
        if (count == 0 || probes[count - 1].id != f->bad[i].id.slice)
            probes[count++] = (struct meta_probe){.id = f->bad[i].id.slice};
    return count;
}

static int compare_ino(const void *a, const void *b)
{
    const meta_ino *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static uint64_t distinct(meta_ino *inos, size_t count)
{
    uint64_t n = 0;
    qsort(inos, count, sizeof(*inos), compare_ino);
    for (size_t i = 0; i < count; i++)
        n += inos[i] != 0 && (i == 0 || inos[i] != inos[i - 1]);
    return n;
}

/* A block that was missing while its slice is needed still, and is missing still, is lost: blocks go after what mentions
 * them, and come before. */
static int confirm(struct fsck *f, struct meta_probe *probes, meta_ino *inos)
{
    qsort(f->bad, f->bad_count, sizeof(*f->bad), compare_bad);
    size_t count = probes_of(f, probes), at = 0;
    int rc = meta_probe(f->m, f->o->job, probes, count);
    for (size_t i = 0; rc == 0 && i < f->bad_count; i++) {
        struct bad_block *b = &f->bad[i];
        while (probes[at].id < b->id.slice)
            at++;
        if (!probes[at].needed)
            continue;
        b->error = data_check_block(f->scrub, &b->id, f->o->verify);
        if (b->error == 0)
            continue;
        inos[i] = probes[at].ino;
        rc = tell_block(f, b, probes[at].ino);
    }
    f->r->broken_files = distinct(inos, f->bad_count);
    return rc;
}

static int check_blocks(struct fsck *f)
{
    const struct data_check_options options = {
        .verify = f->o->verify, .sample_ppm = f->o->sample_ppm, .fn = on_bad_block, .arg = f};
    struct data_check_result result = {0};
    int rc = data_check_blocks(f->scrub, f->mentions, &options, &result);
    f->r->slices = result.slices;
    f->r->blocks = result.blocks;
    f->r->bytes = result.bytes;
    if (rc < 0 || f->bad_count == 0)
        return rc;
    struct meta_probe *probes = calloc(f->bad_count, sizeof(*probes));
    meta_ino *inos = calloc(f->bad_count, sizeof(*inos));
    CHECK(probes != NULL); /* out of memory */
    CHECK(inos != NULL);
    rc = confirm(f, probes, inos);
    free(probes);
    free(inos);
    return rc;
}

/* The whole */

static int open_all(struct fsck *f, const char **why)
{
    const struct meta_options options = {.read_only = !f->o->repair, .no_background = true, .mount_point = "fsck"};
    int rc = meta_open(f->o->url, &options, &f->m, why);
    if (rc < 0)
        return rc;
    CLEANUP(meta_settings_freep) struct meta_settings *s = meta_settings_copy(f->m);
    rc = jfs_store_open(s, false, &f->store, why);
    return rc == 0 ? data_scrub_open(f->store, s, 0, f->o->job, &f->scrub, why) : rc;
}

static int run(struct fsck *f, struct buf *error)
{
    int rc = check_metadata(f);
    if (rc < 0) {
        if (rc != -ECANCELED)
            buf_addf(error, rc == -ENOENT || rc == -ENOTDIR ? "%.*s: %s" : "%.*sthe metadata cannot be checked: %s",
                     STR_ARG(rc == -ENOENT || rc == -ENOTDIR ? f->o->path : STR_EMPTY), strerror(-rc));
        return rc;
    }
    rc = check_blocks(f);
    if (rc < 0 && rc != -ECANCELED) {
        buf_addf(error, "blocks cannot be checked: %s: ", strerror(-rc));
        store_error(f->store, error);
    }
    return rc;
}

int jfs_fsck(const struct jfs_fsck *options, struct jfs_fsck_result *out, struct buf *error)
{
    struct fsck f = {.o = options, .r = out};
    const char *why = "";
    *out = (struct jfs_fsck_result){0};
    int rc = open_all(&f, &why);
    if (rc < 0)
        buf_addz(error, why);
    if (rc == 0) {
        f.mentions = meta_mentions_new(0);
        f.bad = calloc(LIMIT_DATA_SUSPECTS, sizeof(*f.bad)); /* pages that are not touched cost nothing */
        CHECK(f.bad != NULL);
        rc = run(&f, error);
    }
    meta_mentions_free(f.mentions);
    free(f.bad);
    data_scrub_close(f.scrub);
    store_close(f.store);
    meta_close(f.m);
    return rc;
}
