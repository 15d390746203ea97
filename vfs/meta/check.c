/* The check as a whole: its passes, and how findings are told and repaired. */
#include "vfs/meta/check.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "vfs/meta/check_internal.h"

#define POLL_MS 50

static const char lost[] = "what it named is gone; removing the name mends the directory";
static const char data[] = "its data may be wanted; look at it before anything is removed";

static const struct {
    const char *name, *text;
    const char *advice; /* NULL: repaired */
} flaws[META_FLAW_COUNT] = {
    [META_FLAW_NAME_NODE] = {"name-without-node", "name without its node", lost},
    [META_FLAW_NAME_TYPE] = {"name-type", "type in the directory", "file and directory cannot be told apart"},
    [META_FLAW_NAME_PARENT] = {"name-without-directory", "names in what is no directory", data},
    [META_FLAW_ROOT] = {"missing-root", "root or trash without its node", NULL},
    [META_FLAW_NODE_TYPE] = {"node-type", "node of an unknown type", "nobody can tell what it was"},
    [META_FLAW_ORPHAN] = {"orphan", "node that no name leads to", data},
    [META_FLAW_LINKS] = {"links", "links counted", NULL},
    [META_FLAW_PARENT] = {"parent", "parent of the node", NULL},
    [META_FLAW_NAMES] = {"directory-names", "names of a directory", "only one may stay; rename or remove the others"},
    [META_FLAW_LENGTH] = {"length", "length of the node", NULL},
    [META_FLAW_TARGET] = {"missing-target", "symbolic link without target", lost},
    [META_FLAW_SUSTAINED] = {"kept-open", "node kept for a session that has it no more", NULL},
    [META_FLAW_CHUNK] = {"chunk", "list of slices that cannot be read", data},
    [META_FLAW_CHUNK_OWNER] = {"chunk-without-file", "data of no file", NULL},
    [META_FLAW_REFS] = {"slice-count", "mentions counted of a slice", NULL},
    [META_FLAW_SLICE_UNUSED] = {"slice-unused", "slice that nothing mentions", "`sluice gc --delete` removes it"},
    [META_FLAW_SLICE_SIZE] = {"slice-size", "size of a slice", "lists and counts contradict each other"},
    [META_FLAW_DIR_SPACE] = {"directory-space", "space in the directory's statistics", NULL},
    [META_FLAW_DIR_INODES] = {"directory-inodes", "entries in the directory's statistics", NULL},
    [META_FLAW_VOLUME_SPACE] = {"volume-space", "used space of the volume", NULL},
    [META_FLAW_VOLUME_INODES] = {"volume-inodes", "inodes of the volume", NULL},
    [META_FLAW_NEXT_NUMBER] = {"next-number", "next free number", NULL},
    [META_FLAW_QUOTA_SPACE] = {"quota-space", "used space of the directory's quota", NULL},
    [META_FLAW_QUOTA_INODES] = {"quota-inodes", "used inodes of the directory's quota", NULL},
    [META_FLAW_USER_SPACE] = {"user-space", "used space of the user", NULL},
    [META_FLAW_USER_INODES] = {"user-inodes", "inodes of the user", NULL},
    [META_FLAW_GROUP_SPACE] = {"group-space", "used space of the group", NULL},
    [META_FLAW_GROUP_INODES] = {"group-inodes", "inodes of the group", NULL},
};

const char *meta_flaw_name(enum meta_flaw flaw)
{
    return flaws[flaw].name;
}

const char *meta_flaw_text(enum meta_flaw flaw)
{
    return flaws[flaw].text;
}

const char *meta_flaw_advice(enum meta_flaw flaw)
{
    return flaws[flaw].advice;
}

/* Findings */

void check_add(struct check_list *l, const struct meta_finding *f)
{
    if (l->count == LIMIT_META_FINDINGS) {
        l->beyond++;
        return;
    }
    if (l->count == l->capacity) {
        l->capacity = l->capacity ? 2 * l->capacity : 16;
        l->items = reallocarray(l->items, l->capacity, sizeof(*l->items));
        CHECK(l->items != NULL); /* out of memory */
    }
    struct meta_finding *copy = &l->items[l->count++];
    *copy = *f;
    if (f->name.len > 0) {
        char *name = malloc(f->name.len);
        CHECK(name != NULL); /* out of memory */
        memcpy(name, f->name.ptr, f->name.len);
        copy->name.ptr = name;
    }
}

static void free_name(struct meta_finding *f)
{
    if (f->name.len > 0)
        free((void *)(uintptr_t)f->name.ptr);
}

void check_drop(struct check_list *l, size_t index)
{
    free_name(&l->items[index]);
    l->items[index] = l->items[--l->count];
}

void check_list_reset(struct check_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free_name(&l->items[i]);
    l->count = 0;
    l->beyond = 0;
}

int check_tell(struct check *c, const struct meta_finding *f)
{
    return c->options.fn ? c->options.fn(c->options.arg, f) : 0;
}

int check_tell_all(struct check *c, check_repair_fn repair)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->list.count; i++) {
        struct meta_finding *f = &c->list.items[i];
        int mended = c->options.repair ? repair(c->m, f) : -EPERM;
        if (mended == -ENOENT)
            continue;
        f->repaired = mended == 0;
        f->kept = c->options.repair && mended < 0;
        rc = check_tell(c, f);
    }
    c->result.not_told += c->list.beyond;
    check_list_reset(&c->list);
    return rc;
}

/* Life */

int check_go_on(const struct check *c)
{
    return job_stopped(c->options.job) ? -ECANCELED : 0;
}

int check_settle(struct check *c)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000};
    uint64_t until_ms = clock_mono_ms() + c->options.settle_ms;
    job_phase(c->options.job, "waiting for what other clients count", JOB_COUNT, 0);
    while (check_go_on(c) == 0 && clock_mono_ms() < until_ms)
        (void)nanosleep(&pause, NULL); /* the clock is looked at */
    return check_go_on(c);
}

void check_init(struct check *c, struct meta *m, const struct meta_check_options *options)
{
    *c = (struct check){.m = m, .options = *options};
    if (c->options.settle_ms == 0)
        c->options.settle_ms = META_CHECK_SETTLE_MS;
    c->dirs = calloc(LIMIT_META_SUSPECT_DIRS, sizeof(*c->dirs));
    CHECK(c->dirs != NULL); /* out of memory */
}

void check_done(struct check *c)
{
    check_list_reset(&c->list);
    free(c->list.items);
    free(c->dirs);
    free(c->sustained);
}

/* Our own gathered usage would look like a client's that does not write it. */
static void flush_own(struct meta *m)
{
    if (m->options.read_only)
        return;
    meta_usage_flush_volume(m);
    meta_usage_flush_quotas(m);
}

static int check_all(struct check *c)
{
    flush_own(c->m);
    int rc = check_nodes(c);
    if (rc == 0)
        rc = check_sustained(c);
    if (rc == 0)
        rc = check_chunks(c);
    if (rc == 0)
        rc = meta_mentions_sort(c->mentions);
    if (rc == 0)
        rc = check_refs(c);
    flush_own(c->m); /* of repairs */
    return rc == 0 ? check_usage(c) : rc;
}

int meta_check(struct meta *m, const struct meta_check_options *options, struct meta_mentions *mentions,
               struct meta_check_result *out)
{
    struct check c;
    check_init(&c, m, options);
    struct meta_mentions *own = mentions ? NULL : meta_mentions_new(0);
    c.mentions = mentions ? mentions : own;
    int rc = check_all(&c);
    meta_mentions_free(own);
    *out = c.result;
    check_done(&c);
    return rc;
}

int meta_gather(struct meta *m, struct job *job, struct meta_mentions *mentions, struct meta_check_result *out)
{
    struct check c;
    check_init(&c, m, &(struct meta_check_options){.job = job});
    c.mentions = mentions;
    int rc = check_chunks(&c);
    if (rc == 0)
        rc = meta_mentions_sort(mentions);
    *out = c.result;
    check_done(&c);
    return rc;
}

/* A subtree: directories that are still to do on a stack */

struct walk {
    struct check *c;
    struct buf todo; /* meta_ino each */
    meta_ino dir;
    char after[META_NAME_MAX];
    size_t after_len;
    size_t dir_mark; /* suspects before the page, for another try */
    size_t count;
    struct {
        meta_ino ino;
        uint8_t type;
        uint8_t name_len;
        char name[META_NAME_MAX];
    } *entries; /* CHECK_BATCH */
};

static int walk_entry(void *arg, const struct meta_entry *e)
{
    struct walk *w = arg;
    if (e->name.len > META_NAME_MAX)
        return 0;
    w->entries[w->count].ino = e->ino;
    w->entries[w->count].type = e->type;
    w->entries[w->count].name_len = (uint8_t)e->name.len;
    memcpy(w->entries[w->count++].name, e->name.ptr, e->name.len);
    return 0;
}

static int one_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct walk *w = arg;
    struct meta_attr attr;
    (void)m;
    check_list_reset(&w->c->list);
    w->c->dir_count = 0;
    int rc = check_load_sustained(w->c, t);
    if (rc == 0)
        rc = META_DO(t, node_get, w->dir, false, &attr);
    return rc < 0 ? rc : check_node(w->c, t, w->dir, &attr);
}

/* A page of a directory's entries, each checked in the transaction that read the page. */
static int page_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct walk *w = arg;
    (void)m;
    const struct meta_edge_scan scan = {.parent = w->dir, .after = str_of(w->after, w->after_len), .limit = CHECK_BATCH};
    w->count = 0;
    w->c->dir_count = w->dir_mark;
    check_list_reset(&w->c->list);
    int rc = check_load_sustained(w->c, t);
    if (rc == 0)
        rc = META_DO(t, edge_scan, &scan, walk_entry, w);
    for (size_t i = 0; rc == 0 && i < w->count; i++) {
        struct meta_attr attr;
        int r = META_DO(t, node_get, w->entries[i].ino, false, &attr);
        if (r == 0)
            rc = check_node(w->c, t, w->entries[i].ino, &attr);
        else if (r == -EIO)
            check_add(&w->c->list, &(struct meta_finding){.flaw = META_FLAW_NODE_TYPE, .ino = w->entries[i].ino});
        else if (r != -ENOENT) /* told as one of the directory's entries */
            rc = r;
    }
    return rc;
}

static int walk_page(struct walk *w)
{
    struct check *c = w->c;
    w->dir_mark = c->dir_count;
    int rc = meta_transact(c->m, META_TXN_READ, page_txn, w);
    if (rc == 0)
        rc = check_tell_all(c, check_repair_node);
    for (size_t i = 0; rc == 0 && i < w->count; i++) {
        c->result.nodes++;
        job_add(c->options.job, 1);
        if (w->entries[i].type == META_DIRECTORY)
            buf_add(&w->todo, str_of((const char *)&w->entries[i].ino, sizeof(meta_ino)));
        else if (w->entries[i].type == META_FILE)
            rc = check_chunks_of(c, w->entries[i].ino);
    }
    if (w->count > 0) {
        w->after_len = w->entries[w->count - 1].name_len;
        memcpy(w->after, w->entries[w->count - 1].name, w->after_len);
    }
    return rc == 0 && w->todo.failed ? -E2BIG : rc;
}

static int walk_directory(struct walk *w)
{
    int rc;
    w->after_len = 0;
    do {
        rc = check_go_on(w->c);
        if (rc == 0)
            rc = walk_page(w);
        if (rc == 0 && w->c->dir_count + CHECK_BATCH > LIMIT_META_SUSPECT_DIRS)
            rc = check_dirs(w->c);
    } while (rc == 0 && w->count == CHECK_BATCH);
    return rc;
}

static int check_subtree(struct walk *w, bool recursive)
{
    struct check *c = w->c;
    struct meta_attr attr;
    int rc = meta_getattr(c->m, w->dir, &attr);
    if (rc == 0)
        rc = meta_transact(c->m, META_TXN_READ, one_txn, w);
    if (rc == 0)
        rc = check_tell_all(c, check_repair_node);
    c->result.nodes += rc == 0;
    if (rc == 0 && attr.type == META_FILE)
        rc = check_chunks_of(c, w->dir);
    if (rc == 0 && recursive && attr.type == META_DIRECTORY)
        buf_add(&w->todo, str_of((const char *)&w->dir, sizeof(meta_ino)));
    while (rc == 0 && w->todo.len > 0) {
        memcpy(&w->dir, w->todo.ptr + w->todo.len - sizeof(meta_ino), sizeof(meta_ino));
        buf_truncate(&w->todo, w->todo.len - sizeof(meta_ino));
        rc = walk_directory(w);
    }
    return rc == 0 ? check_dirs(c) : rc;
}

int meta_check_subtree(struct meta *m, meta_ino ino, bool recursive, const struct meta_check_options *options,
                       struct meta_mentions *mentions, struct meta_check_result *out)
{
    struct check c;
    struct walk w = {.c = &c, .dir = ino, .todo = buf_make(LIMIT_META_WALK_DIRS * sizeof(meta_ino))};
    w.entries = calloc(CHECK_BATCH, sizeof(*w.entries));
    CHECK(w.entries != NULL); /* out of memory */
    check_init(&c, m, options);
    c.mentions = mentions;
    flush_own(m);
    job_phase(options->job, "checking nodes", JOB_COUNT, 0);
    int rc = check_subtree(&w, recursive);
    if (rc == 0 && mentions)
        rc = meta_mentions_sort(mentions);
    *out = c.result;
    check_done(&c);
    buf_done(&w.todo);
    free(w.entries);
    return rc;
}
