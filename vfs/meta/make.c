/* New names: of new nodes, and of files that there are. */
#include "base/check.h"
#include "vfs/meta/internal.h"

struct make {
    const struct meta_ctx *ctx;
    meta_ino parent;
    struct str name;
    const struct meta_new *what;
    bool opens; /* the new node, for its maker */
    meta_ino ino, found;
    struct meta_attr attr;
    struct meta_usage usage;
};

static void describe(const struct make *k, const struct timespec *now, struct meta_attr *out)
{
    const uint8_t type = k->what->type;
    *out = (struct meta_attr){
        .type = type,
        .uid = k->ctx ? k->ctx->uid : 0,
        .gid = k->ctx ? k->ctx->gid : 0,
        .atime = *now,
        .mtime = *now,
        .ctime = *now,
        .nlink = type == META_DIRECTORY ? 2 : 1,
        .length = type == META_DIRECTORY ? 4096 : type == META_SYMLINK ? k->what->target.len : 0,
        .rdev = type == META_BLOCK_DEVICE || type == META_CHAR_DEVICE ? k->what->rdev : 0,
        .parent = k->parent,
    };
}

static int insert_node(struct meta_txn *t, const struct make *k, meta_ino ino, const struct meta_attr *attr)
{
    int rc = META_DO(t, node_insert, ino, attr);
    if (rc >= 0 && attr->type == META_SYMLINK)
        rc = META_DO(t, symlink_insert, ino, k->what->target);
    if (rc >= 0 && attr->type == META_DIRECTORY)
        rc = META_DO(t, dir_stat_put, ino, &(struct meta_dir_stat){0});
    if (rc >= 0 && k->what->xattr_name)
        rc = META_DO(t, xattr_put, ino, str_z(k->what->xattr_name), k->what->xattr_value);
    return rc;
}

/* The name is taken: what is there. A name without a node is damage, and still taken. */
static int found(struct meta_txn *t, struct make *k, struct meta_edge edge)
{
    int rc = META_DO(t, node_get, edge.ino, false, &k->attr);
    if (rc == -ENOENT)
        k->attr = (struct meta_attr){.type = edge.type, .parent = k->parent};
    else if (rc < 0)
        return rc;
    k->found = edge.ino;
    return -EEXIST;
}

static int make_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct make *k = arg;
    const meta_ino ino = k->ino;
    struct meta_parent p;
    struct meta_edge edge;
    k->usage = (struct meta_usage){0};
    int rc = meta_parent_get_for_adding(t, k->ctx, k->parent, &p);
    if (rc < 0)
        return rc;
    rc = META_DO(t, edge_get, k->parent, k->name, true, &edge);
    if (rc != -ENOENT)
        return rc < 0 ? rc : found(t, k, edge);
    const struct timespec now = meta_now();
    describe(k, &now, &k->attr);
    rc = meta_inherit(t, k->ctx, &p.attr, k->what->mode, k->what->umask, &k->attr);
    if (rc >= 0)
        rc = insert_node(t, k, ino, &k->attr);
    if (rc >= 0)
        rc = META_DO(t, edge_insert, k->parent, k->name, ((struct meta_edge){ino, k->what->type}));
    if (rc < 0)
        return rc;
    meta_usage_node(&k->usage, &k->attr, 1);
    meta_usage_entry(&k->usage, k->parent, &k->attr, 1, true);
    p.nlink = k->what->type == META_DIRECTORY ? 1 : 0;
    return meta_parent_changed(m, t, &p, &now);
}

static int check_new(const struct meta *m, const struct make *k)
{
    const struct meta_new *what = k->what;
    if (what->type < META_FILE || what->type > META_SOCKET)
        return -EINVAL;
    if (what->type == META_SYMLINK && (what->target.len == 0 || what->target.len > META_SYMLINK_MAX))
        return what->target.len == 0 ? -ENOENT : -ENAMETOOLONG;
    if (meta_is_trash(k->parent) || (k->parent == META_ROOT && str_is(k->name, META_TRASH_NAME)))
        return -EPERM;
    return m->options.read_only ? -EROFS : 0;
}

static int make(struct meta *m, struct make *k, meta_ino *out_ino, struct meta_attr *out)
{
    int rc = check_new(m, k);
    if (rc >= 0)
        rc = meta_quota_check(m, k->ctx ? k->ctx->uid : 0, k->ctx ? k->ctx->gid : 0, k->parent, 4096, 1);
    if (rc >= 0)
        rc = meta_new_ino(m, &k->ino);
    if (rc < 0)
        return rc;
    if (k->opens)
        meta_opened_add(m, k->ino); /* before anybody can unlink it */
    rc = meta_transact(m, META_TXN_WRITE, make_txn, k);
    if (rc < 0 && k->opens)
        meta_node_close(m, k->ino);
    if (rc < 0 && rc != -EEXIST)
        return rc;
    if (rc >= 0)
        meta_usage_apply(m, &k->usage);
    *out_ino = rc < 0 ? k->found : k->ino;
    if (out)
        *out = k->attr;
    return rc;
}

int meta_mknod(struct meta *m, const struct meta_ctx *ctx, meta_ino parent, struct str name, const struct meta_new *what,
               meta_ino *out_ino, struct meta_attr *out)
{
    struct make k = {.ctx = ctx, .parent = parent, .name = name, .what = what};
    int rc = meta_check_name(name);
    return rc < 0 ? rc : make(m, &k, out_ino, out);
}

int meta_mkdir(struct meta *m, const struct meta_ctx *ctx, meta_ino parent, struct str name, uint16_t mode, uint16_t umask,
               meta_ino *out_ino, struct meta_attr *out)
{
    const struct meta_new what = {.type = META_DIRECTORY, .mode = mode, .umask = umask};
    return meta_mknod(m, ctx, parent, name, &what, out_ino, out);
}

int meta_symlink(struct meta *m, const struct meta_ctx *ctx, meta_ino parent, struct str name, struct str target,
                 meta_ino *out_ino, struct meta_attr *out)
{
    const struct meta_new what = {.type = META_SYMLINK, .mode = 0777, .target = target};
    return meta_mknod(m, ctx, parent, name, &what, out_ino, out);
}

int meta_create(struct meta *m, const struct meta_ctx *ctx, meta_ino parent, struct str name, uint16_t mode, uint16_t umask,
                bool exclusive, meta_ino *out_ino, struct meta_attr *out)
{
    const struct meta_new what = {.type = META_FILE, .mode = mode, .umask = umask};
    struct make k = {.ctx = ctx, .parent = parent, .name = name, .what = &what, .opens = true};
    meta_ino ino;
    struct meta_attr attr;
    int rc = meta_check_name(name);
    if (rc >= 0)
        rc = make(m, &k, &ino, &attr); /* its maker may write to it whatever its mode says */
    if (rc == -EEXIST && !exclusive && attr.type == META_FILE)
        rc = meta_node_open(m, ctx, ino, META_OPEN_WRITE, &attr);
    if (rc < 0)
        return rc;
    *out_ino = ino;
    if (out)
        *out = attr;
    return 0;
}

/* Another name */

struct link {
    const struct meta_ctx *ctx;
    meta_ino ino, parent;
    struct str name;
    struct meta_attr attr;
    struct meta_usage usage;
};

/* From the second name on, a node does not say where it is: engines that keep a map of parents get both. */
static int add_parents(struct meta_txn *t, const struct link *l)
{
    int rc = l->attr.parent > 0 ? META_DO(t, parent_add, l->ino, l->attr.parent, 1) : 0;
    return rc < 0 ? rc : META_DO(t, parent_add, l->ino, l->parent, 1);
}

static int link_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct link *l = arg;
    struct meta_parent p;
    struct meta_edge edge;
    l->usage = (struct meta_usage){0};
    int rc = meta_parent_get_for_adding(t, l->ctx, l->parent, &p);
    if (rc < 0)
        return rc;
    rc = META_DO(t, edge_get, l->parent, l->name, true, &edge);
    if (rc != -ENOENT)
        return rc < 0 ? rc : -EEXIST;
    rc = META_DO(t, node_get, l->ino, true, &l->attr);
    if (rc < 0)
        return rc;
    if (l->attr.type == META_DIRECTORY || (l->attr.flags & (META_FLAG_IMMUTABLE | META_FLAG_APPEND)))
        return -EPERM;
    if (l->attr.nlink == 0)
        return -ENOENT; /* unlinked, or staged: meta_publish is for those */
    rc = add_parents(t, l);
    const struct timespec now = meta_now();
    l->attr.parent = 0;
    l->attr.nlink++;
    l->attr.ctime = now;
    if (rc >= 0)
        rc = META_DO(t, edge_insert, l->parent, l->name, ((struct meta_edge){l->ino, l->attr.type}));
    if (rc >= 0)
        rc = META_DO(t, node_put, l->ino, &l->attr);
    meta_usage_entry(&l->usage, l->parent, &l->attr, 1, true);
    return rc < 0 ? rc : meta_parent_changed(m, t, &p, &now);
}

int meta_link(struct meta *m, const struct meta_ctx *ctx, meta_ino ino, meta_ino parent, struct str name,
              struct meta_attr *out)
{
    if (meta_is_trash(parent) || (parent == META_ROOT && str_is(name, META_TRASH_NAME)))
        return -EPERM;
    struct link l = {.ctx = ctx, .ino = ino, .parent = parent, .name = name};
    int rc = meta_check_name(name);
    if (rc >= 0)
        rc = meta_getattr(m, ino, &l.attr);
    if (rc >= 0)
        rc = meta_quota_check_dirs(m, parent, (int64_t)meta_node_space(&l.attr), 1);
    if (rc >= 0)
        rc = meta_transact(m, META_TXN_WRITE, link_txn, &l);
    if (rc < 0)
        return rc;
    meta_usage_apply(m, &l.usage);
    if (out)
        *out = l.attr;
    return 0;
}
