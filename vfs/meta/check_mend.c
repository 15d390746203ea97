/* Mending nodes and names. */
#include "base/limits.h"
#include "vfs/meta/check_internal.h"

/* Repairs: each looks again. -ENOENT: it is right by now. */

struct repair {
    const struct meta_finding *f;
};

static int mend_links(struct meta *m, struct meta_txn *t, meta_ino ino, struct meta_attr *a)
{
    struct check_names names;
    struct check_content content;
    int rc = check_names_of(t, ino, a->parent, &names);
    (void)m;
    if (rc == 0 && a->type == META_DIRECTORY)
        rc = check_content_of(NULL, t, ino, &content);
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
    struct check_names names;
    int rc = check_names_of(t, ino, a->parent, &names);
    if (rc < 0)
        return rc;
    if (names.count == 0 || check_parent_is_right(a, &names))
        return -ENOENT;
    if (a->type == META_DIRECTORY && names.count > 1)
        return -EPERM;
    a->parent = check_parent_by_names(&names);
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
    struct check_content content;
    int rc = META_DO(t, edge_get, f->parent, f->name, true, &edge);
    if (rc < 0)
        return rc;
    if (edge.type != META_DIRECTORY)
        return -EPERM;
    rc = META_DO(t, node_get, edge.ino, true, &a);
    if (rc != -ENOENT)
        return rc < 0 ? -EPERM : -ENOENT;
    rc = check_content_of(NULL, t, edge.ino, &content);
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
    struct check_content content;
    struct meta_attr a;
    int rc = META_DO(t, node_get, ino, true, &a);
    (void)m;
    if (rc != -ENOENT)
        return rc < 0 ? rc : a.type == META_DIRECTORY ? -ENOENT : -EPERM;
    rc = check_content_of(NULL, t, ino, &content);
    if (rc < 0)
        return rc;
    a = (struct meta_attr){.type = META_DIRECTORY, .mode = ino == META_ROOT ? 0777 : 0555, .nlink = 2, .length = 4096,
                           .parent = META_ROOT, .atime = meta_now()};
    if (check_counts_subdirs(ino))
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
