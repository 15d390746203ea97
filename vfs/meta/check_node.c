/* Nodes and names: each node in the transaction that counts what leads to it and what is in it (§6.4). */
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "vfs/meta/check_internal.h"

/* What leads to a node */

static int count_name(void *arg, meta_ino parent, struct str name)
{
    struct check_names *n = arg;
    (void)name;
    if (n->count++ == 0)
        n->first = parent;
    n->in_parent |= parent == n->parent;
    return 0;
}

int check_names_of(struct meta_txn *t, meta_ino ino, meta_ino parent, struct check_names *out)
{
    *out = (struct check_names){.parent = parent};
    return META_DO(t, name_scan, ino, count_name, out);
}

meta_ino check_parent_by_names(const struct check_names *n)
{
    return n->count == 1 ? n->first : 0;
}

bool check_parent_is_right(const struct meta_attr *a, const struct check_names *n)
{
    if (a->parent == 0 && a->type != META_DIRECTORY)
        return true; /* once linked twice, for good */
    return n->count == 1 && n->in_parent;
}

/* Kept and detached nodes: without a name, and rightly so */

static int add_sustained(void *arg, uint64_t sid, meta_ino ino)
{
    struct check *c = arg;
    if (c->sustained_count % 1024 == 0) {
        c->sustained = reallocarray(c->sustained, c->sustained_count + 1024, sizeof(*c->sustained));
        CHECK(c->sustained != NULL); /* out of memory */
    }
    c->sustained[c->sustained_count++] = (struct check_sustained){ino, sid};
    return c->sustained_count == LIMIT_META_SUSTAINED ? -E2BIG : 0;
}

static int compare_sustained(const void *a, const void *b)
{
    const struct check_sustained *x = a, *y = b;
    return x->ino < y->ino ? -1 : x->ino > y->ino;
}

int check_load_sustained(struct check *c, struct meta_txn *t)
{
    c->sustained_count = 0;
    int rc = META_DO(t, sustained_scan_all, add_sustained, c);
    if (rc == 0 && c->sustained_count > 0)
        qsort(c->sustained, c->sustained_count, sizeof(*c->sustained), compare_sustained);
    return rc;
}

static bool is_sustained(const struct check *c, meta_ino ino)
{
    const struct check_sustained key = {.ino = ino};
    return c->sustained_count > 0 &&
           bsearch(&key, c->sustained, c->sustained_count, sizeof(key), compare_sustained) != NULL;
}

static int find_detached(void *arg, meta_ino ino)
{
    return ino == *(meta_ino *)arg ? 1 : 0;
}

/* 1 or 0. */
static int is_detached(struct meta_txn *t, meta_ino ino)
{
    return META_DO(t, detached_scan, INT64_MAX, find_detached, &ino);
}

/* What is in a directory */

static int count_entry(void *arg, const struct meta_entry *e)
{
    struct check_content *d = arg;
    const struct meta_finding f = {.ino = e->ino, .parent = d->dir, .name = e->name, .found = e->type};
    d->subdirs += e->type == META_DIRECTORY;
    d->stat.used_inodes++;
    d->stat.used_space += e->attr ? (int64_t)meta_node_space(e->attr) : 4096;
    d->stat.data_length += e->attr && e->attr->type == META_FILE ? (int64_t)e->attr->length : 0;
    if (!d->c)
        return 0;
    if (!e->attr) {
        struct meta_finding gone = f;
        gone.flaw = META_FLAW_NAME_NODE;
        check_add(&d->c->list, &gone);
    } else if (e->attr->type != e->type) {
        struct meta_finding other = f;
        other.flaw = META_FLAW_NAME_TYPE;
        other.expected = e->attr->type;
        check_add(&d->c->list, &other);
    }
    return 0;
}

int check_content_of(struct check *c, struct meta_txn *t, meta_ino dir, struct check_content *out)
{
    const struct meta_edge_scan scan = {.parent = dir, .want = META_EDGE_ATTR};
    *out = (struct check_content){.c = c, .dir = dir};
    return META_DO(t, edge_scan, &scan, count_entry, out);
}

static int suspect_stat(struct check *c, struct meta_txn *t, meta_ino ino, const struct meta_dir_stat *expected)
{
    struct check_dir d = {.ino = ino, .expected = *expected};
    if (!meta_features(c->m).dir_stats)
        return 0;
    int rc = META_DO(t, dir_stat_get, ino, false, &d.found);
    d.missing = rc == -ENOENT;
    if (rc < 0 && !d.missing)
        return rc;
    /* A new volume's root has none until something is in it. */
    if (memcmp(&d.found, &d.expected, sizeof(d.found)) != 0 && c->dir_count < LIMIT_META_SUSPECT_DIRS)
        c->dirs[c->dir_count++] = d;
    return 0;
}

/* One node */

static void add_number(struct check *c, enum meta_flaw flaw, meta_ino ino, uint64_t found, uint64_t expected)
{
    const struct meta_finding f = {.flaw = flaw, .ino = ino, .found = (int64_t)found, .expected = (int64_t)expected};
    if (found != expected)
        check_add(&c->list, &f);
}

bool check_counts_subdirs(meta_ino ino)
{
    return !meta_is_trash(ino);
}

/* A node of no known type looks absent beside its name; it is told by itself. */
static int drop_unreadable(struct check *c, struct meta_txn *t)
{
    struct meta_attr attr;
    for (size_t i = 0; i < c->list.count; i++) {
        struct meta_finding *f = &c->list.items[i];
        int rc = f->flaw == META_FLAW_NAME_NODE ? META_DO(t, node_get, f->ino, false, &attr) : -ENOENT;
        if (rc == -EIO)
            check_drop(&c->list, i--);
        else if (rc < 0 && rc != -ENOENT)
            return rc;
    }
    return 0;
}

static int check_directory(struct check *c, struct meta_txn *t, meta_ino ino, const struct meta_attr *a,
                           const struct check_names *names)
{
    struct check_content content;
    int rc = check_content_of(c, t, ino, &content);
    if (rc < 0)
        return rc;
    rc = drop_unreadable(c, t);
    if (rc < 0)
        return rc;
    if (check_counts_subdirs(ino))
        add_number(c, META_FLAW_LINKS, ino, a->nlink, 2 + content.subdirs);
    add_number(c, META_FLAW_LENGTH, ino, a->length, 4096);
    if (names->count > 1)
        add_number(c, META_FLAW_NAMES, ino, names->count, 1);
    /* Nobody counts the trash's hours, and official clients take off what leaves an hour, but do not add what comes into it. */
    return meta_is_trash(ino) ? 0 : suspect_stat(c, t, ino, &content.stat);
}

static int check_symlink(struct check *c, struct meta_txn *t, meta_ino ino, const struct meta_attr *a)
{
    struct buf target = buf_make(LIMIT_META_CHUNK_BYTES);
    int rc = META_DO(t, symlink_get, ino, &target);
    if (rc == -ENOENT) {
        check_add(&c->list, &(struct meta_finding){.flaw = META_FLAW_TARGET, .ino = ino});
        rc = 0;
    } else if (rc == 0) {
        add_number(c, META_FLAW_LENGTH, ino, a->length, target.len);
    }
    buf_done(&target);
    return rc;
}

static int check_nameless(struct check *c, struct meta_txn *t, meta_ino ino, const struct meta_attr *a)
{
    if (is_sustained(c, ino)) {
        add_number(c, META_FLAW_LINKS, ino, a->nlink, 0);
        return 0;
    }
    int rc = is_detached(t, ino);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    check_add(&c->list, &(struct meta_finding){.flaw = META_FLAW_ORPHAN, .ino = ino, .found = (int64_t)a->length});
    return 0;
}

static int check_named(struct check *c, meta_ino ino, const struct meta_attr *a, const struct check_names *n)
{
    if (a->type != META_DIRECTORY)
        add_number(c, META_FLAW_LINKS, ino, a->nlink, n->count);
    if (!check_parent_is_right(a, n) && !(a->type == META_DIRECTORY && n->count > 1))
        add_number(c, META_FLAW_PARENT, ino, a->parent, check_parent_by_names(n));
    if (is_sustained(c, ino))
        check_add(&c->list, &(struct meta_finding){.flaw = META_FLAW_SUSTAINED, .ino = ino});
    return 0;
}

int check_node(struct check *c, struct meta_txn *t, meta_ino ino, const struct meta_attr *a)
{
    struct check_names names;
    if (a->type < META_FILE || a->type > META_SOCKET) {
        check_add(&c->list, &(struct meta_finding){.flaw = META_FLAW_NODE_TYPE, .ino = ino, .found = a->type});
        return 0;
    }
    int rc = check_names_of(t, ino, a->parent, &names);
    if (rc == 0 && ino != META_ROOT && ino != META_TRASH)
        rc = names.count == 0 ? check_nameless(c, t, ino, a) : check_named(c, ino, a, &names);
    if (rc == 0 && a->type == META_DIRECTORY)
        rc = check_directory(c, t, ino, a, &names);
    if (rc == 0 && a->type == META_SYMLINK)
        rc = check_symlink(c, t, ino, a);
    if (rc == 0 && a->type == META_FILE && a->length >= LIMIT_META_FILE_BYTES)
        add_number(c, META_FLAW_LENGTH, ino, a->length, 0);
    return rc;
}

/* All nodes */

struct batch {
    struct check *c;
    meta_ino after, last; /* (after, last] */
    size_t count;
    struct {
        meta_ino ino;
        struct meta_attr attr;
    } nodes[CHECK_BATCH];
    meta_ino nowhere[CHECK_BATCH]; /* no directories, but names stand in them */
    size_t nowhere_count, at;
};

static int add_node(void *arg, meta_ino ino, const struct meta_attr *attr)
{
    struct batch *b = arg;
    b->nodes[b->count].ino = ino;
    b->nodes[b->count++].attr = *attr;
    return 0;
}

/* Both ascend. */
static int match_parent(void *arg, meta_ino parent)
{
    struct batch *b = arg;
    if (parent > b->last)
        return 1;
    while (b->at < b->count && b->nodes[b->at].ino < parent)
        b->at++;
    bool is_directory = b->at < b->count && b->nodes[b->at].ino == parent && b->nodes[b->at].attr.type == META_DIRECTORY;
    if (!is_directory && b->nowhere_count < CHECK_BATCH)
        b->nowhere[b->nowhere_count++] = parent;
    return 0;
}

static int count_all(void *arg, const struct meta_entry *e)
{
    (void)e;
    ++*(int64_t *)arg;
    return 0;
}

static int find_nowhere(struct check *c, struct meta_txn *t, struct batch *b)
{
    b->nowhere_count = b->at = 0;
    int rc = META_DO(t, edge_parents, b->after, 0, match_parent, b);
    for (size_t i = 0; rc >= 0 && i < b->nowhere_count; i++) {
        const struct meta_edge_scan scan = {.parent = b->nowhere[i], .limit = CHECK_BATCH};
        struct meta_finding f = {.flaw = META_FLAW_NAME_PARENT, .ino = b->nowhere[i]};
        rc = META_DO(t, edge_scan, &scan, count_all, &f.found);
        check_add(&c->list, &f);
    }
    return rc < 0 ? rc : 0;
}

static int batch_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct batch *b = arg;
    struct check *c = b->c;
    size_t dirs = c->dir_count;
    (void)m;
    check_list_reset(&c->list);
    b->count = 0;
    int rc = check_load_sustained(c, t);
    if (rc == 0)
        rc = META_DO(t, node_scan, b->after, CHECK_BATCH, add_node, b);
    b->last = b->count == CHECK_BATCH ? b->nodes[b->count - 1].ino : INT64_MAX;
    for (size_t i = 0; rc == 0 && i < b->count; i++)
        rc = check_node(c, t, b->nodes[i].ino, &b->nodes[i].attr);
    if (rc == 0)
        rc = find_nowhere(c, t, b);
    if (rc < 0)
        c->dir_count = dirs; /* another try finds them again */
    return rc;
}

static int check_batch(struct check *c, struct batch *b)
{
    int rc = check_go_on(c);
    if (rc == 0)
        rc = meta_transact(c->m, META_TXN_READ, batch_txn, b);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < b->count; i++)
        *(meta_is_trash(b->nodes[i].ino) ? &c->trash_max : &c->inode_max) = b->nodes[i].ino; /* they ascend */
    c->result.nodes += b->count;
    job_add(c->options.job, b->count);
    return check_tell_all(c, check_repair_node);
}

static int roots_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct check *c = arg;
    const meta_ino roots[] = {META_ROOT, META_TRASH};
    struct meta_attr attr;
    int rc = 0;
    check_list_reset(&c->list);
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(roots); i++) {
        if (roots[i] == META_TRASH && meta_features(m).trash_days == 0)
            break;
        rc = META_DO(t, node_get, roots[i], false, &attr);
        if (rc == -ENOENT || (rc == 0 && attr.type != META_DIRECTORY)) {
            check_add(&c->list, &(struct meta_finding){.flaw = META_FLAW_ROOT, .ino = roots[i]});
            rc = 0;
        }
    }
    return rc == -EIO ? 0 : rc; /* told as a node of no type */
}

static int totals_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    return META_DO(t, counter_get, "totalInodes", (int64_t *)arg);
}

int check_nodes(struct check *c)
{
    struct batch *b = calloc(1, sizeof(*b));
    CHECK(b != NULL); /* out of memory */
    b->c = c;
    int64_t about = 0;
    int rc = meta_transact(c->m, META_TXN_READ, totals_txn, &about);
    job_phase(c->options.job, "checking nodes", JOB_COUNT, about > 0 ? (uint64_t)about : 0);
    if (rc == 0)
        rc = meta_transact(c->m, META_TXN_READ, roots_txn, c);
    if (rc == 0)
        rc = check_tell_all(c, check_repair_node);
    do {
        b->after = b->last;
        if (rc == 0)
            rc = check_batch(c, b);
        if (rc == 0 && c->dir_count + CHECK_BATCH > LIMIT_META_SUSPECT_DIRS)
            rc = check_dirs(c);
    } while (rc == 0 && b->last < INT64_MAX);
    free(b);
    return rc;
}

/* Kept for sessions that have no record: nobody will ever end them. A client that others took for dead brings its record back
 * at its next heartbeat. */

struct strays {
    struct check *c;
    struct map *sessions;
};

static int add_session(void *arg, const struct meta_session_row *row)
{
    struct strays *s = arg;
    (void)map_set(s->sessions, str_of((const char *)&row->sid, sizeof(row->sid)), s);
    return 0;
}

static int strays_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct strays *s = arg;
    struct check *c = s->c;
    (void)m;
    map_free(s->sessions, NULL);
    s->sessions = map_new();
    check_list_reset(&c->list);
    int rc = META_DO(t, session_scan, INT64_MAX, 0, add_session, s);
    if (rc == 0)
        rc = check_load_sustained(c, t);
    for (size_t i = 0; rc == 0 && i < c->sustained_count; i++) {
        const struct check_sustained *k = &c->sustained[i];
        if (map_get(s->sessions, str_of((const char *)&k->sid, sizeof(k->sid))))
            continue;
        check_add(&c->list, &(struct meta_finding){.flaw = META_FLAW_SUSTAINED, .ino = k->ino, .found = (int64_t)k->sid});
    }
    return rc;
}

int check_sustained(struct check *c)
{
    struct strays s = {.c = c};
    int rc = meta_transact(c->m, META_TXN_READ, strays_txn, &s);
    if (rc == 0 && c->list.count > 0) {
        rc = check_settle(c);
        if (rc == 0) /* longer than a heartbeat */
            rc = check_settle(c);
        if (rc == 0)
            rc = meta_transact(c->m, META_TXN_READ, strays_txn, &s);
        if (rc == 0)
            rc = check_tell_all(c, check_repair_node);
    }
    map_free(s.sessions, NULL);
    return rc;
}
