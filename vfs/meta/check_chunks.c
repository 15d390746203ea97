/* Lists of slices: can they be read, whose are they, and what do they mention (§3)? They are copied out of the transaction that
 * read them, a few megabytes at a time, and counted when it has ended, so that none is counted twice when a transaction
 * is tried again. */
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "vfs/meta/check_internal.h"

#define LISTS_MAX 65536

enum owner { OWNER_UNKNOWN, OWNER_FILE, OWNER_DELETED, OWNER_NONE };

struct list_at {
    meta_ino ino;
    uint32_t indx;
    size_t offset, len; /* of the bytes */
    enum owner owner;
};

struct lists {
    struct check *c;
    meta_ino only;      /* this inode alone; 0: all */
    meta_ino after;     /* inodes up to this one are done */
    meta_ino inside;    /* this one is begun, 0: none, */
    uint64_t next_indx; /* from here on */
    bool full;          /* the scan was stopped for lack of room */
    struct buf bytes;
    struct list_at *items; /* LISTS_MAX */
    size_t count;
};

/* Copying */

static int copy_list(void *arg, meta_ino ino, uint32_t indx, struct str records)
{
    struct lists *l = arg;
    bool room = l->count == 0 || (l->count < LISTS_MAX && l->bytes.len + records.len <= LIMIT_META_SCAN_BYTES);
    l->full = !room;
    if (!room)
        return 1;
    l->items[l->count++] = (struct list_at){.ino = ino, .indx = indx, .offset = l->bytes.len, .len = records.len};
    buf_add(&l->bytes, records);
    return l->bytes.failed ? -EIO : 0;
}

static int owner_of(struct meta_txn *t, meta_ino ino, enum owner *out)
{
    struct meta_attr attr;
    uint64_t length;
    int rc = META_DO(t, node_get, ino, false, &attr);
    *out = OWNER_FILE;
    if (rc == 0 || rc == -EIO) { /* of a node that cannot be read: better kept */
        *out = rc == 0 && attr.type != META_FILE ? OWNER_NONE : OWNER_FILE;
        return 0;
    }
    if (rc == -ENOENT)
        rc = META_DO(t, delfile_get, ino, &length);
    *out = rc == 0 ? OWNER_DELETED : OWNER_NONE;
    return rc == -ENOENT ? 0 : rc;
}

static int copy_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct lists *l = arg;
    (void)m;
    l->count = 0;
    l->full = false;
    buf_reset(&l->bytes);
    int rc = l->inside ? META_DO(t, chunk_scan, l->inside, (uint32_t)l->next_indx, UINT32_MAX, false, copy_list, l)
                       : META_DO(t, chunk_scan_all, l->after, CHECK_BATCH, copy_list, l);
    for (size_t i = 0; rc >= 0 && i < l->count; i++) {
        if (i > 0 && l->items[i].ino == l->items[i - 1].ino)
            l->items[i].owner = l->items[i - 1].owner;
        else
            rc = owner_of(t, l->items[i].ino, &l->items[i].owner);
    }
    return rc < 0 ? rc : 0;
}

/* Where to go on. false: that was all. */
static bool advance(struct lists *l)
{
    const struct list_at *last = l->count > 0 ? &l->items[l->count - 1] : NULL;
    if (l->full && last->indx < UINT32_MAX) {
        l->inside = last->ino;
        l->next_indx = (uint64_t)last->indx + 1;
        return true;
    }
    if (l->inside) {
        l->after = l->inside;
        l->inside = 0;
        return l->only == 0;
    }
    l->after = last ? last->ino : l->after;
    return last != NULL;
}

/* Counting */

static int mention(struct check *c, uint64_t id, uint32_t size, bool needed)
{
    if (id == 0)
        return 0;
    c->result.slices++;
    c->slice_max = id > c->slice_max ? id : c->slice_max;
    return c->mentions ? meta_mentions_add(c->mentions, id, size, needed) : 0;
}

/* What can be read of a damaged list: nobody shall take those slices for unused. */
static int mention_rest(struct check *c, struct str records)
{
    int rc = 0;
    for (; rc == 0 && records.len >= META_SLICE_RECORD; records = str_from(records, META_SLICE_RECORD)) {
        struct meta_slice s = meta_slice_read(records.ptr);
        rc = mention(c, s.id, s.size, false);
    }
    return rc;
}

static int count_list(struct check *c, const struct list_at *at, struct str records, bool is_first)
{
    struct meta_slice *list = NULL;
    size_t count = 0;
    struct meta_finding f = {.ino = at->ino, .indx = at->indx};
    c->result.chunks++;
    if (at->owner == OWNER_NONE && is_first) {
        f.flaw = META_FLAW_CHUNK_OWNER;
        check_add(&c->list, &f);
    }
    int rc = meta_slices_parse(records, &list, &count);
    if (rc < 0) {
        f.flaw = META_FLAW_CHUNK;
        check_add(&c->list, &f);
        c->result.damaged_lists++;
        return mention_rest(c, records);
    }
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = mention(c, list[i].id, list[i].size, at->owner == OWNER_FILE);
    free(list);
    return rc;
}

/* Repair: a deleted file's record makes every client's duties remove the data, counts included. */

static int any_name(void *arg, meta_ino parent, struct str name)
{
    (void)arg;
    (void)parent;
    (void)name;
    return 1;
}

static int give_to_duties_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    const struct meta_finding *f = arg;
    struct meta_attr attr;
    uint64_t length;
    (void)m;
    int rc = META_DO(t, node_get, f->ino, true, &attr);
    if (rc != -ENOENT)
        return rc < 0 ? rc : -EPERM; /* data of a directory, or of a link */
    rc = META_DO(t, name_scan, f->ino, any_name, NULL);
    if (rc != 0)
        return rc < 0 ? rc : -EPERM; /* the node is lost, and somebody may want what is left */
    rc = META_DO(t, delfile_get, f->ino, &length);
    if (rc != -ENOENT)
        return rc < 0 ? rc : -ENOENT;
    return META_DO(t, delfile_insert, f->ino, ((uint64_t)f->indx + 1) << META_CHUNK_BITS, meta_now().tv_sec);
}

static int repair_chunk(struct meta *m, const struct meta_finding *f)
{
    struct meta_finding copy = *f;
    return f->flaw == META_FLAW_CHUNK_OWNER ? meta_transact(m, META_TXN_WRITE, give_to_duties_txn, &copy) : -EPERM;
}

static int count_lists(struct lists *l)
{
    struct check *c = l->c;
    int rc = 0;
    check_list_reset(&c->list);
    for (size_t i = 0; rc == 0 && i < l->count; i++)
        rc = count_list(c, &l->items[i], str_of(l->bytes.ptr + l->items[i].offset, l->items[i].len),
                        i == 0 || l->items[i].ino != l->items[i - 1].ino);
    job_add(c->options.job, l->count);
    return rc == 0 ? check_tell_all(c, repair_chunk) : rc;
}

static int run(struct lists *l)
{
    bool more = true;
    int rc = 0;
    l->bytes = buf_make(LIMIT_META_SCAN_BYTES + LIMIT_META_SLICE_LIST_BYTES);
    l->items = calloc(LISTS_MAX, sizeof(*l->items));
    CHECK(l->items != NULL); /* out of memory */
    while (rc == 0 && more) {
        rc = check_go_on(l->c);
        if (rc == 0)
            rc = meta_transact(l->c->m, META_TXN_READ, copy_txn, l);
        if (rc == 0)
            rc = count_lists(l);
        more = advance(l);
    }
    buf_done(&l->bytes);
    free(l->items);
    return rc;
}

/* Delayed slices: read while the trash keeps them, so their blocks must be there. They have no order to go on from, so they are
 * counted as they come, in one transaction that cannot be tried again once it has begun. */

struct delayed {
    struct check *c;
    bool begun;
};

static int count_delayed(void *arg, uint64_t id, int64_t deleted_s, struct str slices)
{
    struct delayed *d = arg;
    struct check *c = d->c;
    struct meta_slice *list = NULL;
    size_t count = 0;
    (void)deleted_s;
    d->begun = true;
    int rc = meta_delayed_parse(slices, &list, &count);
    if (rc < 0) {
        check_add(&c->list, &(struct meta_finding){.flaw = META_FLAW_CHUNK, .slice = id});
        c->result.damaged_lists++;
        return 0;
    }
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = mention(c, list[i].id, list[i].size, true);
    free(list);
    return rc;
}

static int delayed_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct delayed *d = arg;
    (void)m;
    return d->begun ? -EBUSY : META_DO(t, delslices_scan, INT64_MAX, 0, count_delayed, d);
}

static int check_delayed(struct check *c)
{
    struct delayed d = {.c = c};
    check_list_reset(&c->list);
    int rc = meta_transact(c->m, META_TXN_READ, delayed_txn, &d);
    return rc == 0 ? check_tell_all(c, repair_chunk) : rc;
}

int check_chunks(struct check *c)
{
    struct lists l = {.c = c};
    job_phase(c->options.job, "reading lists of slices", JOB_COUNT, 0);
    int rc = run(&l);
    return rc == 0 ? check_delayed(c) : rc;
}

int check_chunks_of(struct check *c, meta_ino ino)
{
    struct lists l = {.c = c, .only = ino, .inside = ino};
    return run(&l);
}
