/* Nodes and names: each node in the transaction that counts what leads to it and what is in it (§6.4). */
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "vfs/meta/check_internal.h"

/* What leads to a node */

struct names {
    meta_ino parent; /* the node's own idea of it */
    uint64_t count;
    meta_ino first;  /* a directory that names it */
    bool in_parent;
};

static int count_name(void *arg, meta_ino parent, struct str name)
{
    struct names *n = arg;
    (void)name;
    if (n->count++ == 0)
        n->first = parent;
    n->in_parent |= parent == n->parent;
    return 0;
}

static int names_of(struct meta_txn *t, meta_ino ino, meta_ino parent, struct names *out)
{
    *out = (struct names){.parent = parent};
    return META_DO(t, name_scan, ino, count_name, out);
}

/* The parent that the node should have by its names; 0: several (§6.4). */
static meta_ino parent_by_names(const struct names *n)
{
    return n->count == 1 ? n->first : 0;
}

static bool is_parent_right(const struct meta_attr *a, const struct names *n)
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

struct content {
    struct check *c;
    meta_ino dir;
    uint64_t subdirs;
    struct meta_dir_stat stat;
};

static int count_entry(void *arg, const struct meta_entry *e)
{
    struct content *d = arg;
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

static int content_of(struct check *c, struct meta_txn *t, meta_ino dir, struct content *out)
{
    const struct meta_edge_scan scan = {.parent = dir, .want = META_EDGE_ATTR};
    *out = (struct content){.c = c, .dir = dir};
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

/* The trash itself and its hours do not count what is in them. */
static bool counts_subdirs(meta_ino ino)
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
                           const struct names *names)
{
    struct content content;
    int rc = content_of(c, t, ino, &content);
    if (rc < 0)
        return rc;
    rc = drop_unreadable(c, t);
    if (rc < 0)
        return rc;
    if (counts_subdirs(ino))
        add_number(c, META_FLAW_LINKS, ino, a->nlink, 2 + content.subdirs);
    add_number(c, META_FLAW_LENGTH, ino, a->length, 4096);
    if (names->count > 1)
        add_number(c, META_FLAW_NAMES, ino, names->count, 1);
    return ino == META_TRASH ? 0 : suspect_stat(c, t, ino, &content.stat); /* nobody counts the trash's hours */
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

static int check_named(struct check *c, meta_ino ino, const struct meta_attr *a, const struct names *n)
{
    if (a->type != META_DIRECTORY)
        add_number(c, META_FLAW_LINKS, ino, a->nlink, n->count);
    if (!is_parent_right(a, n) && !(a->type == META_DIRECTORY && n->count > 1))
        add_number(c, META_FLAW_PARENT, ino, a->parent, parent_by_names(n));
    if (is_sustained(c, ino))
        check_add(&c->list, &(struct meta_finding){.flaw = META_FLAW_SUSTAINED, .ino = ino});
    return 0;
}

int check_node(struct check *c, struct meta_txn *t, meta_ino ino, const struct meta_attr *a)
{
    struct names names;
    if (a->type < META_FILE || a->type > META_SOCKET) {
        check_add(&c->list, &(struct meta_finding){.flaw = META_FLAW_NODE_TYPE, .ino = ino, .found = a->type});
        return 0;
    }
    int rc = names_of(t, ino, a->parent, &names);
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

/* Repairs: each looks again. -ENOENT: it is right by now. */

struct repair {
    const struct meta_finding *f;
};

static int mend_links(struct meta *m, struct meta_txn *t, meta_ino ino, struct meta_attr *a)
{
    struct names names;
    struct content content;
    int rc = names_of(t, ino, a->parent, &names);
    (void)m;
    if (rc == 0 && a->type == META_DIRECTORY)
        rc = content_of(NULL, t, ino, &content);
    if (rc < 0)
        return rc;
    uint64_t right = a->type == META_DIRECTORY ? 2 + content.subdirs : names.count;
    if (right == a->nlink)
        return -ENOENT;
    a->nlink = (uint32_t)right;
    return META_DO(t, node_put, ino, a);
}

static int mend_parent(struct meta_txn *t, meta_ino ino, struct meta_attr *a)
{
    struct names names;
    int rc = names_of(t, ino, a->parent, &names);
    if (rc < 0)
        return rc;
    if (names.count == 0 || is_parent_right(a, &names))
        return -ENOENT;
    if (a->type == META_DIRECTORY && names.count > 1)
        return -EPERM;
    a->parent = parent_by_names(&names);
    return META_DO(t, node_put, ino, a);
}

static int mend_length(struct meta_txn *t, meta_ino ino, struct meta_attr *a)
{
    uint64_t right = 4096;
    if (a->type == META_FILE)
        return -EPERM; /* whatever it was, it is lost */
    if (a->type == META_SYMLINK) {
        struct buf target = buf_make(LIMIT_META_CHUNK_BYTES);
        int rc = META_DO(t, symlink_get, ino, &target);
        right = target.len;
        buf_done(&target);
        if (rc < 0)
            return rc;
    }
    if (a->length == right)
        return -ENOENT;
    a->length = right;
    return META_DO(t, node_put, ino, a);
}

static int mend_node_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    const struct meta_finding *f = ((struct repair *)arg)->f;
    struct meta_attr a;
    int rc = META_DO(t, node_get, f->ino, true, &a);
    if (rc < 0)
        return rc;
    if (f->flaw == META_FLAW_LINKS)
        return mend_links(m, t, f->ino, &a);
    return f->flaw == META_FLAW_PARENT ? mend_parent(t, f->ino, &a) : mend_length(t, f->ino, &a);
}

/* The directory knows a name's type wrongly; what is a directory and what is not is not for us to choose. */
static int mend_type_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    const struct meta_finding *f = ((struct repair *)arg)->f;
    struct meta_edge edge;
    struct meta_attr a;
    (void)m;
    int rc = META_DO(t, edge_get, f->parent, f->name, true, &edge);
    if (rc == 0)
        rc = META_DO(t, node_get, edge.ino, true, &a);
    if (rc < 0)
        return rc;
    if (edge.type == a.type)
        return -ENOENT;
    if (edge.type == META_DIRECTORY || a.type == META_DIRECTORY)
        return -EPERM;
    edge.type = a.type;
    return META_DO(t, edge_replace, f->parent, f->name, edge);
}

/* A directory's node can be made anew from what its entries say; the volume's counters still count it. */
static int mend_missing_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    const struct meta_finding *f = ((struct repair *)arg)->f;
    struct meta_edge edge;
    struct meta_attr a;
    struct content content;
    int rc = META_DO(t, edge_get, f->parent, f->name, true, &edge);
    if (rc < 0)
        return rc;
    if (edge.type != META_DIRECTORY)
        return -EPERM;
    rc = META_DO(t, node_get, edge.ino, true, &a);
    if (rc != -ENOENT)
        return rc < 0 ? -EPERM : -ENOENT;
    rc = content_of(NULL, t, edge.ino, &content);
    if (rc < 0)
        return rc;
    a = (struct meta_attr){.type = META_DIRECTORY, .mode = 0755, .nlink = (uint32_t)(2 + content.subdirs), .length = 4096,
                           .parent = f->parent, .atime = meta_now()};
    a.mtime = a.ctime = a.atime;
    rc = META_DO(t, node_insert, edge.ino, &a);
    return rc == 0 && meta_features(m).dir_stats ? META_DO(t, dir_stat_put, edge.ino, &content.stat) : rc;
}

/* As formatting makes them. */
static int mend_root_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    const meta_ino ino = ((struct repair *)arg)->f->ino;
    struct content content;
    struct meta_attr a;
    int rc = META_DO(t, node_get, ino, true, &a);
    (void)m;
    if (rc != -ENOENT)
        return rc < 0 ? rc : a.type == META_DIRECTORY ? -ENOENT : -EPERM;
    rc = content_of(NULL, t, ino, &content);
    if (rc < 0)
        return rc;
    a = (struct meta_attr){.type = META_DIRECTORY, .mode = ino == META_ROOT ? 0777 : 0555, .nlink = 2, .length = 4096,
                           .parent = META_ROOT, .atime = meta_now()};
    if (counts_subdirs(ino))
        a.nlink += (uint32_t)content.subdirs;
    a.mtime = a.ctime = a.atime;
    return META_DO(t, node_insert, ino, &a);
}

/* Names stand in what is no directory: it may be one whose node can be made anew. */

struct naming {
    struct meta_finding f;
    char name[META_NAME_MAX];
};

static int take_name(void *arg, meta_ino parent, struct str name)
{
    struct naming *n = arg;
    if (name.len > sizeof(n->name))
        return -EIO;
    n->f.parent = parent;
    memcpy(n->name, name.ptr, name.len);
    n->f.name = str_of(n->name, name.len);
    return 1;
}

static int mend_nowhere_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    const meta_ino ino = ((struct repair *)arg)->f->ino;
    struct naming n = {.f = {.ino = ino}};
    struct repair r = {.f = &n.f};
    struct meta_attr attr;
    int rc = META_DO(t, node_get, ino, true, &attr);
    if (rc != -ENOENT)
        return rc < 0 ? rc : attr.type == META_DIRECTORY ? -ENOENT : -EPERM;
    rc = META_DO(t, name_scan, ino, take_name, &n);
    return rc == 1 ? mend_missing_txn(m, t, &r) : rc < 0 ? rc : -EPERM;
}

struct sustained_of {
    meta_ino ino;
    uint64_t sid;
};

static int find_sustained(void *arg, uint64_t sid, meta_ino ino)
{
    struct sustained_of *s = arg;
    if (ino != s->ino)
        return 0;
    s->sid = sid;
    return 1;
}

static int sustained_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    int rc = META_DO(t, sustained_scan_all, find_sustained, arg);
    return rc == 1 ? 0 : rc == 0 ? -ENOENT : rc;
}

static int mend_sustained(struct meta *m, meta_ino ino)
{
    struct sustained_of s = {.ino = ino};
    int rc = m->options.read_only ? -EROFS : meta_transact(m, META_TXN_READ, sustained_txn, &s);
    return rc == 0 ? meta_delete_sustained(m, s.sid, ino) : rc;
}

int check_repair_node(struct meta *m, const struct meta_finding *f)
{
    struct repair r = {.f = f};
    if (f->flaw == META_FLAW_LINKS || f->flaw == META_FLAW_PARENT || f->flaw == META_FLAW_LENGTH)
        return meta_transact(m, META_TXN_WRITE, mend_node_txn, &r);
    if (f->flaw == META_FLAW_NAME_TYPE)
        return meta_transact(m, META_TXN_WRITE, mend_type_txn, &r);
    if (f->flaw == META_FLAW_NAME_NODE && f->found == META_DIRECTORY)
        return meta_transact(m, META_TXN_WRITE, mend_missing_txn, &r);
    if (f->flaw == META_FLAW_ROOT)
        return meta_transact(m, META_TXN_WRITE, mend_root_txn, &r);
    if (f->flaw == META_FLAW_NAME_PARENT)
        return meta_transact(m, META_TXN_WRITE, mend_nowhere_txn, &r);
    if (f->flaw == META_FLAW_SUSTAINED)
        return mend_sustained(m, f->ino);
    return -EPERM;
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
