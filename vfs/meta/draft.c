/* Files that are being written and that nobody else knows of. */
#include "base/check.h"
#include "vfs/meta/upkeep.h"

struct begin {
    const struct meta_ctx *ctx;
    meta_ino parent;
    uint16_t mode, umask;
    bool may_write;    /* in this transaction */
    bool inherits_acl; /* which is to be written */
    struct meta_attr attr;
};

static int begin_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct begin *b = arg;
    const struct timespec now = meta_now();
    struct meta_parent parent;
    int rc = meta_parent_get_for_adding(t, b->ctx, b->parent, &parent);
    b->inherits_acl = rc >= 0 && parent.attr.default_acl != 0;
    if (rc < 0 || (b->inherits_acl && !b->may_write))
        return rc;
    b->attr = (struct meta_attr){
        .type = META_FILE,
        .uid = b->ctx ? b->ctx->uid : 0,
        .gid = b->ctx ? b->ctx->gid : 0,
        .atime = now,
        .mtime = now,
        .ctime = now,
    };
    return meta_inherit(t, b->ctx, &parent.attr, b->mode, b->umask, &b->attr);
}

int meta_draft(struct meta *m, const struct meta_ctx *ctx, meta_ino parent, uint16_t mode, uint16_t umask, struct meta_draft *out)
{
    struct begin b = {.ctx = ctx, .parent = parent, .mode = mode, .umask = umask};
    meta_ino ino;
    if (m->options.read_only || m->sid == 0)
        return m->options.read_only ? -EROFS : -ENOTSUP; /* nobody would clean up after us, once it is staged */
    int rc = meta_is_trash(parent) ? -EPERM : 0;
    if (rc >= 0)
        rc = meta_transact(m, META_TXN_READ, begin_txn, &b);
    if (rc >= 0 && b.inherits_acl) {
        b.may_write = true;
        rc = meta_transact(m, META_TXN_WRITE, begin_txn, &b);
    }
    if (rc >= 0)
        rc = meta_quota_check(m, b.attr.uid, b.attr.gid, parent, (int64_t)meta_node_space(&b.attr), 1);
    if (rc >= 0)
        rc = meta_new_ino(m, &ino);
    if (rc < 0)
        return rc;
    meta_opened_add(m, ino);
    *out = (struct meta_draft){.ino = ino, .attr = b.attr};
    return 0;
}

bool meta_draft_take(struct meta_draft *d, uint32_t indx, uint32_t off, const struct meta_slice *slice,
                     const struct timespec *mtime)
{
    const uint64_t end = indx * META_CHUNK_SIZE + off + slice->len;
    if (d->slice.id != 0)
        return false;
    d->indx = indx;
    d->slice = *slice;
    d->slice.pos = off;
    d->attr.mtime = *mtime;
    if (d->attr.length < end)
        d->attr.length = end;
    return true;
}

int meta_draft_insert(struct meta_txn *t, const struct meta_draft *d, const struct meta_attr *attr)
{
    int rc = META_DO(t, node_insert, d->ino, attr);
    return rc < 0 || d->slice.id == 0 ? rc : meta_chunk_add(t, d->ino, d->indx, &d->slice);
}

struct stage {
    const struct meta_draft *draft;
    struct meta_usage usage;
};

static int stage_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct stage *s = arg;
    s->usage = (struct meta_usage){0};
    meta_lazy_when_nameless(t, &s->draft->attr);
    int rc = meta_draft_insert(t, s->draft, &s->draft->attr);
    meta_usage_node(&s->usage, &s->draft->attr, 1);
    return rc < 0 ? rc : META_DO(t, sustained_insert, m->sid, s->draft->ino);
}

int meta_stage(struct meta *m, const struct meta_draft *draft)
{
    struct stage s = {.draft = draft};
    int rc = meta_transact(m, META_TXN_WRITE, stage_txn, &s);
    if (rc < 0)
        return rc;
    (void)meta_opened_set_fate(m, draft->ino, META_SUSTAINED, 0); /* open it is */
    meta_usage_apply(m, &s.usage);
    return 0;
}
