#include "tests/support/fake_meta.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define RECORDS_MAX 20000
#define PIECES_MAX 4096

struct record {
    meta_ino ino;
    uint32_t indx;
    struct meta_slice slice;
};

struct fake_meta {
    struct mutex lock;
    uint64_t next_id;
    size_t count;
    unsigned reads;
    fake_commit_fn on_commit;
    void *commit_arg;
    struct record records[RECORDS_MAX];
};

struct fake_meta *fake_meta_new(void)
{
    struct fake_meta *m = calloc(1, sizeof(*m));
    CHECK(m != NULL);
    mutex_init(&m->lock);
    m->next_id = 1;
    return m;
}

void fake_meta_free(struct fake_meta *m)
{
    mutex_done(&m->lock);
    free(m);
}

struct view {
    size_t count;
    struct meta_slice pieces[PIECES_MAX];
};

static void add_piece(struct view *v, struct meta_slice p)
{
    CHECK(v->count < PIECES_MAX);
    if (p.len > 0)
        v->pieces[v->count++] = p;
}

/* The newest record hides what is below it: each older piece keeps what is left and right of it. */
static void overlay(struct view *v, struct meta_slice top)
{
    struct view *old = malloc(sizeof(*old));
    CHECK(old != NULL);
    *old = *v;
    v->count = 0;
    for (size_t i = 0; i < old->count; i++) {
        struct meta_slice p = old->pieces[i], left = p, right = p;
        uint32_t top_end = top.pos + top.len, end = p.pos + p.len;
        left.len = p.pos < top.pos ? (end < top.pos ? end : top.pos) - p.pos : 0;
        uint32_t right_pos = p.pos > top_end ? p.pos : top_end;
        right.len = end > right_pos ? end - right_pos : 0;
        right.pos = right_pos;
        right.off = p.off + (right_pos - p.pos);
        add_piece(v, left);
        add_piece(v, right);
    }
    free(old);
    add_piece(v, top);
}

static int by_pos(const void *a, const void *b)
{
    const struct meta_slice *x = a, *y = b;
    return x->pos < y->pos ? -1 : x->pos > y->pos;
}

static int read_chunk(void *arg, meta_ino ino, uint32_t indx, struct meta_slice **out, size_t *out_count)
{
    struct fake_meta *m = arg;
    struct view *v = calloc(1, sizeof(*v));
    CHECK(v != NULL);
    mutex_lock(&m->lock);
    m->reads++;
    for (size_t i = 0; i < m->count; i++)
        if (m->records[i].ino == ino && m->records[i].indx == indx)
            overlay(v, m->records[i].slice);
    mutex_unlock(&m->lock);
    qsort(v->pieces, v->count, sizeof(v->pieces[0]), by_pos);
    *out_count = v->count;
    *out = NULL;
    if (v->count > 0) {
        *out = malloc(v->count * sizeof(**out));
        CHECK(*out != NULL);
        memcpy(*out, v->pieces, v->count * sizeof(**out));
    }
    free(v);
    return 0;
}

static int new_slice(void *arg, uint64_t *out_id)
{
    struct fake_meta *m = arg;
    mutex_lock(&m->lock);
    *out_id = m->next_id++;
    mutex_unlock(&m->lock);
    return 0;
}

void fake_meta_add(struct fake_meta *m, meta_ino ino, uint32_t indx, struct meta_slice record)
{
    mutex_lock(&m->lock);
    CHECK(m->count < RECORDS_MAX && record.len > 0 && record.pos + record.len <= META_CHUNK_SIZE);
    m->records[m->count++] = (struct record){ino, indx, record};
    mutex_unlock(&m->lock);
}

static int write_slice(void *arg, meta_ino ino, uint32_t indx, uint32_t off, const struct meta_slice *slice,
                       const struct timespec *mtime)
{
    struct fake_meta *m = arg;
    CHECK(mtime->tv_sec > 0 && slice->off == 0 && slice->len == slice->size && slice->id > 0);
    struct meta_slice record = *slice;
    record.pos = off;
    int rc = m->on_commit ? m->on_commit(m->commit_arg, ino, indx, &record) : 0;
    if (rc == 0)
        fake_meta_add(m, ino, indx, record);
    return rc;
}

/* Never told: chunks are remembered for their time only. */
static struct meta_stamp stamp(void *arg)
{
    (void)arg;
    return (struct meta_stamp){.known = false};
}

struct data_source fake_meta_source(struct fake_meta *m)
{
    return (struct data_source){m, read_chunk, new_slice, write_slice, stamp};
}

void fake_meta_on_commit(struct fake_meta *m, fake_commit_fn fn, void *arg)
{
    m->on_commit = fn;
    m->commit_arg = arg;
}

size_t fake_meta_count(struct fake_meta *m)
{
    mutex_lock(&m->lock);
    size_t count = m->count;
    mutex_unlock(&m->lock);
    return count;
}

struct meta_slice fake_meta_record(struct fake_meta *m, size_t i, meta_ino *out_ino, uint32_t *out_indx)
{
    mutex_lock(&m->lock);
    CHECK(i < m->count);
    *out_ino = m->records[i].ino;
    *out_indx = m->records[i].indx;
    struct meta_slice s = m->records[i].slice;
    mutex_unlock(&m->lock);
    return s;
}

void fake_meta_clear(struct fake_meta *m, meta_ino ino)
{
    mutex_lock(&m->lock);
    size_t kept = 0;
    for (size_t i = 0; i < m->count; i++)
        if (m->records[i].ino != ino)
            m->records[kept++] = m->records[i];
    m->count = kept;
    mutex_unlock(&m->lock);
}

unsigned fake_meta_reads(struct fake_meta *m)
{
    mutex_lock(&m->lock);
    unsigned reads = m->reads;
    mutex_unlock(&m->lock);
    return reads;
}
