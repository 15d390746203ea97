/* Counts of slices (§3.6): a slice's count is that of the records that mention it. Both are read in the order of ids, at
 * different times, so that what differs is a suspect only: all lists are read once more, in one transaction with the counts.
 *
 * A count that is there is corrected by the difference, whatever clients do to it meanwhile. One that is missing cannot be: clients' own
 * differences are lost until it is there, and were it too low, data in use would be deleted. So it is made far too high first; then
 * all lists are read once more, and it is corrected as any other. */
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "vfs/meta/check_internal.h"

#define PAGE 256
/* More than the mentions that come or go while a check looks; what a check that is interrupted leaves is leaked data, and found by the
 * next. */
#define MADE_TOO_HIGH (1 << 20)

struct ref_row {
    uint64_t id;
    uint32_t size;
    int64_t refs;
};

struct compare {
    struct check *c;
    /* counts, a page at a time */
    struct ref_row rows[CHECK_BATCH];
    size_t row, row_count;
    uint64_t after;
    bool rows_end;
    /* mentions */
    struct meta_mention page[PAGE];
    size_t at, page_count;
    uint64_t next; /* index */
    uint64_t last; /* id */
    struct meta_probe *suspects;
    size_t suspect_count;
};

/* Probes ------------------------------------------------------------------------------------------------------------------ */

struct probing {
    struct job *job;
    struct meta_probe *probes;
    size_t count;
};

static struct meta_probe *probe_of(const struct probing *p, uint64_t id)
{
    size_t low = 0, high = p->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->probes[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < p->count && p->probes[low].id == id ? &p->probes[low] : NULL;
}

static void note_file(struct meta_probe *probe, meta_ino ino)
{
    for (size_t i = 0; i < ARRAY_SIZE(probe->inos); i++) {
        if (probe->inos[i] == 0)
            probe->inos[i] = ino;
        if (probe->inos[i] == ino)
            return;
    }
    probe->needed++; /* more files than we look at: one of them may be there */
}

static int probe_list(void *arg, meta_ino ino, uint32_t indx, struct str records)
{
    struct probing *p = arg;
    (void)indx;
    for (; records.len >= META_SLICE_RECORD; records = str_from(records, META_SLICE_RECORD)) {
        struct meta_slice s = meta_slice_read(records.ptr);
        struct meta_probe *probe = s.id > 0 ? probe_of(p, s.id) : NULL;
        if (!probe)
            continue;
        probe->count++;
        note_file(probe, ino);
    }
    job_add(p->job, 1);
    return job_stopped(p->job) ? -ECANCELED : 0;
}

static int probe_delayed(void *arg, uint64_t id, int64_t deleted_s, struct str slices)
{
    struct probing *p = arg;
    struct meta_slice *list = NULL;
    size_t count = 0;
    (void)id;
    (void)deleted_s;
    if (meta_delayed_parse(slices, &list, &count) < 0)
        return 0; /* told when it was read first */
    for (size_t i = 0; i < count; i++) {
        struct meta_probe *probe = probe_of(p, list[i].id);
        if (!probe)
            continue;
        probe->count++;
        probe->needed++;
    }
    free(list);
    return 0;
}

/* Of the files that mention it, the first that can be read. */
static int look_at_files(struct meta_txn *t, struct meta_probe *probe)
{
    struct meta_attr attr;
    for (size_t i = 0; i < ARRAY_SIZE(probe->inos) && probe->inos[i] != 0; i++) {
        int rc = META_DO(t, node_get, probe->inos[i], false, &attr);
        if (rc < 0 && rc != -ENOENT && rc != -EIO)
            return rc;
        if (rc < 0 || attr.type != META_FILE)
            continue;
        probe->needed++;
        probe->ino = probe->inos[i];
        return 0;
    }
    return 0;
}

static int look_at_count(struct meta_txn *t, struct meta_probe *probe)
{
    int rc = META_DO(t, ref_get, probe->id, probe->size, &probe->refs);
    probe->counted = rc == 0;
    return rc == -ENOENT ? 0 : rc;
}

static int probe_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct probing *p = arg;
    (void)m;
    for (size_t i = 0; i < p->count; i++)
        p->probes[i] = (struct meta_probe){.id = p->probes[i].id, .size = p->probes[i].size, .made = p->probes[i].made};
    int rc = META_DO(t, chunk_scan_all, 0, 0, probe_list, p);
    if (rc == 0)
        rc = META_DO(t, delslices_scan, INT64_MAX, 0, probe_delayed, p);
    for (size_t i = 0; rc == 0 && i < p->count; i++) {
        rc = look_at_files(t, &p->probes[i]);
        if (rc == 0)
            rc = look_at_count(t, &p->probes[i]);
    }
    return rc;
}

int meta_probe(struct meta *m, struct job *job, struct meta_probe *probes, size_t count)
{
    struct probing p = {job, probes, count};
    if (count == 0)
        return 0;
    job_phase(job, "looking again for slices", JOB_COUNT, 0);
    return meta_transact(m, META_TXN_READ, probe_txn, &p);
}

/* Judging suspects ---------------------------------------------------------------------------------------------------------- */

static int mend_count_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    const struct meta_finding *f = arg;
    int64_t refs;
    (void)m;
    int rc = META_DO(t, ref_get, f->slice, f->size, &refs);
    if (rc == 0 && refs == f->expected)
        return 0; /* it was missing */
    if (rc < 0 || refs != f->found)
        return rc < 0 ? rc : -ENOENT; /* somebody else is at it: the next check sees how it ends */
    return META_DO(t, ref_add, f->slice, f->size, f->expected - f->found);
}

static int repair_count(struct meta *m, const struct meta_finding *f)
{
    struct meta_finding copy = *f;
    bool ours = f->flaw == META_FLAW_REFS || f->flaw == META_FLAW_SLICE_UNUSED;
    return ours ? meta_transact(m, META_TXN_WRITE, mend_count_txn, &copy) : -EPERM;
}

static int leave_unused(struct meta *m, const struct meta_finding *f)
{
    return f->flaw == META_FLAW_SLICE_UNUSED ? -EPERM : repair_count(m, f);
}

/* Missing counts */

static int make_count_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    const struct meta_probe *p = arg;
    int64_t refs;
    (void)m;
    int rc = META_DO(t, ref_get, p->id, p->size, &refs);
    return rc == -ENOENT ? META_DO(t, ref_insert, p->id, p->size, (int64_t)p->count + MADE_TOO_HIGH) : rc;
}

/* 1: some were made, so that all is to be looked at again. */
static int make_counts(struct check *c, struct meta_probe *probes, size_t count)
{
    int made = 0;
    for (size_t i = 0; i < count; i++) {
        struct meta_probe *p = &probes[i];
        if (p->counted || p->count == 0)
            continue;
        int rc = meta_transact(c->m, META_TXN_WRITE, make_count_txn, p);
        if (rc < 0)
            return rc;
        p->made = true;
        made = 1;
    }
    return made;
}

static int correct_count_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    const struct meta_probe *p = arg;
    int64_t refs;
    (void)m;
    int rc = META_DO(t, ref_get, p->id, p->size, &refs);
    if (rc < 0 || refs != p->refs)
        return rc < 0 && rc != -ENOENT ? rc : 0; /* somebody is at it: the next check finds it too high */
    return META_DO(t, ref_add, p->id, p->size, (int64_t)p->count - refs);
}

static int correct_counts(struct check *c, const struct meta_probe *probes, size_t count)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct meta_probe copy = probes[i];
        if (copy.made && copy.counted)
            rc = meta_transact(c->m, META_TXN_WRITE, correct_count_txn, &copy);
    }
    return rc;
}

static int probe_suspects(struct compare *k)
{
    struct check *c = k->c;
    int rc = meta_probe(c->m, c->options.job, k->suspects, k->suspect_count);
    if (rc == 0 && c->options.repair)
        rc = make_counts(c, k->suspects, k->suspect_count);
    if (rc <= 0)
        return rc;
    rc = meta_probe(c->m, c->options.job, k->suspects, k->suspect_count);
    return rc == 0 ? correct_counts(c, k->suspects, k->suspect_count) : rc;
}

static void judge(struct check *c, const struct meta_probe *p)
{
    int64_t refs = p->counted && !p->made ? p->refs : 0;
    struct meta_finding f = {.slice = p->id, .size = p->size, .ino = p->ino, .found = refs, .expected = p->count};
    if (refs == p->count || (p->count == 0 && refs < 0))
        return; /* less than nothing is as good as nothing */
    f.flaw = p->count == 0 ? META_FLAW_SLICE_UNUSED : META_FLAW_REFS;
    check_add(&c->list, &f);
}

static int compare_probes(const void *a, const void *b)
{
    const struct meta_probe *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int judge_all(struct compare *k)
{
    struct check *c = k->c;
    qsort(k->suspects, k->suspect_count, sizeof(*k->suspects), compare_probes);
    int rc = probe_suspects(k);
    check_list_reset(&c->list);
    for (size_t i = 0; rc == 0 && i < k->suspect_count; i++) {
        judge(c, &k->suspects[i]);
        if (c->list.count == LIMIT_META_FINDINGS)
            rc = check_tell_all(c, c->release_unused ? repair_count : leave_unused);
    }
    k->suspect_count = 0;
    return rc == 0 ? check_tell_all(c, c->release_unused ? repair_count : leave_unused) : rc;
}

static int suspect(struct compare *k, uint64_t id, uint32_t size)
{
    if (k->suspect_count == LIMIT_META_SUSPECTS) {
        int rc = judge_all(k);
        if (rc < 0)
            return rc;
        job_phase(k->c->options.job, "comparing counts of slices", JOB_COUNT, 0);
    }
    k->suspects[k->suspect_count++] = (struct meta_probe){.id = id, .size = size};
    return 0;
}

/* Comparing ----------------------------------------------------------------------------------------------------------------- */

static int add_row(void *arg, uint64_t id, uint32_t size, int64_t refs)
{
    struct compare *k = arg;
    k->rows[k->row_count++] = (struct ref_row){id, size, refs};
    return 0;
}

static int rows_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct compare *k = arg;
    (void)m;
    k->row = k->row_count = 0;
    return META_DO(t, ref_scan, k->after, CHECK_BATCH, add_row, k);
}

/* NULL at the end. */
static int next_row(struct compare *k, const struct ref_row **out)
{
    if (k->row == k->row_count && !k->rows_end) {
        int rc = check_go_on(k->c);
        if (rc == 0)
            rc = meta_transact(k->c->m, META_TXN_READ, rows_txn, k);
        if (rc < 0)
            return rc;
        k->rows_end = k->row_count < CHECK_BATCH;
        if (k->row_count > 0)
            k->after = k->rows[k->row_count - 1].id;
        job_add(k->c->options.job, k->row_count);
    }
    *out = k->row < k->row_count ? &k->rows[k->row] : NULL;
    return 0;
}

static int next_mention(struct compare *k, const struct meta_mention **out)
{
    uint64_t left = meta_mentions_count(k->c->mentions) - k->next;
    if (k->at == k->page_count && left > 0) {
        k->at = 0;
        k->page_count = left < PAGE ? (size_t)left : PAGE;
        int rc = meta_mentions_read(k->c->mentions, k->next, k->page_count, k->page);
        if (rc < 0)
            return rc;
        k->next += k->page_count;
    }
    *out = k->at < k->page_count ? &k->page[k->at] : NULL;
    return 0;
}

struct one_ref {
    uint64_t id;
    uint32_t size;
    int64_t refs;
};

static int one_ref_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct one_ref *r = arg;
    (void)m;
    return META_DO(t, ref_get, r->id, r->size, &r->refs);
}

/* No record: what that counts, the engine knows (§3.6). */
static int check_uncounted(struct compare *k, const struct meta_mention *x)
{
    struct one_ref r = {.id = x->id, .size = x->size};
    int rc = meta_transact(k->c->m, META_TXN_READ, one_ref_txn, &r);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    return rc == 0 && r.refs == x->count ? 0 : suspect(k, x->id, x->size);
}

/* counted: 0 when mentions contradict each other. */
static int tell_size(struct check *c, uint32_t counted, const struct meta_mention *x)
{
    const struct meta_finding f = {
        .flaw = META_FLAW_SLICE_SIZE, .slice = x->id, .size = x->size, .found = counted, .expected = x->size,
        .kept = c->options.repair};
    return check_tell(c, &f);
}

static int compare_one(struct compare *k, const struct ref_row *row, const struct meta_mention *x)
{
    if (row && row->id > k->c->slice_max)
        k->c->slice_max = row->id;
    if (!x || (row && row->id < x->id)) {
        k->row++;
        return row->refs > 0 ? suspect(k, row->id, row->size) : 0;
    }
    k->at++;
    if (x->id == k->last)
        return tell_size(k->c, 0, x);
    k->last = x->id;
    if (!row || x->id < row->id)
        return check_uncounted(k, x);
    k->row++;
    if (row->size != x->size)
        return tell_size(k->c, row->size, x);
    return row->refs == x->count ? 0 : suspect(k, x->id, x->size);
}

static int compare_all(struct compare *k)
{
    for (;;) {
        const struct ref_row *row = NULL;
        const struct meta_mention *x = NULL;
        int rc = next_row(k, &row);
        if (rc == 0)
            rc = next_mention(k, &x);
        if (rc < 0 || (!row && !x))
            return rc;
        rc = compare_one(k, row, x);
        if (rc < 0)
            return rc;
    }
}

int check_refs(struct check *c)
{
    struct compare *k = calloc(1, sizeof(*k));
    CHECK(k != NULL); /* out of memory */
    k->c = c;
    k->suspects = calloc(LIMIT_META_SUSPECTS, sizeof(*k->suspects)); /* pages that are not touched cost nothing */
    CHECK(k->suspects != NULL);
    job_phase(c->options.job, "comparing counts of slices", JOB_COUNT, meta_mentions_count(c->mentions));
    int rc = compare_all(k);
    if (rc == 0)
        rc = judge_all(k);
    free(k->suspects);
    free(k);
    return rc;
}

int meta_release_unused(struct meta *m, const struct meta_check_options *options, struct meta_mentions *mentions)
{
    struct check c;
    check_init(&c, m, options);
    c.mentions = mentions;
    c.release_unused = true;
    int rc = check_refs(&c);
    check_done(&c);
    return rc;
}
