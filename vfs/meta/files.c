/* Open files: permission to open, and the end of those that lost their last name meanwhile. */
#include "base/check.h"
#include "base/log.h"
#include "vfs/meta/internal.h"

struct open {
    const struct meta_ctx *ctx;
    meta_ino ino;
    unsigned flags;
    struct meta_attr attr;
};

static int check_flags(const struct meta_attr *attr, unsigned flags)
{
    const bool writes = flags & (META_OPEN_WRITE | META_OPEN_TRUNCATE);
    if (!writes)
        return 0;
    if ((attr->flags & META_FLAG_IMMUTABLE) || meta_in_trash(attr))
        return -EPERM;
    if ((attr->flags & META_FLAG_APPEND) && (!(flags & META_OPEN_APPEND) || (flags & META_OPEN_TRUNCATE)))
        return -EPERM;
    return 0;
}

static int open_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct open *o = arg;
    int rc = meta_node_get(t, o->ino, false, &o->attr);
    if (rc >= 0)
        rc = meta_check_access(t, o->ctx, &o->attr,
                               o->flags & META_OPEN_WRITE ? META_ACCESS_R | META_ACCESS_W : META_ACCESS_R);
    return rc < 0 ? rc : check_flags(&o->attr, o->flags);
}

/* Without permissions to check. */
static int open_any(struct meta *m, struct open *o)
{
    int rc = meta_getattr(m, o->ino, &o->attr);
    return rc < 0 ? rc : check_flags(&o->attr, o->flags);
}

/* Counted first: who unlinks it from now on sees that it is open, and who did before shows in the read that follows. */
int meta_node_open(struct meta *m, const struct meta_ctx *ctx, meta_ino ino, unsigned flags, struct meta_attr *out)
{
    if (m->options.read_only && (flags & (META_OPEN_WRITE | META_OPEN_TRUNCATE)))
        return -EROFS;
    struct open o = {.ctx = ctx, .ino = ino, .flags = flags};
    meta_opened_add(m, ino);
    int rc = ctx && ctx->check_permission ? meta_transact(m, META_TXN_READ, open_txn, &o) : open_any(m, &o);
    if (rc < 0) {
        meta_node_close(m, ino);
        return rc;
    }
    /* Unlinked while open, and kept by the session that we go on with. */
    if (o.attr.nlink == 0)
        (void)meta_opened_set_fate(m, ino, META_SUSTAINED, 0); /* open it is */
    if (out)
        *out = o.attr;
    return 0;
}

void meta_node_close(struct meta *m, meta_ino ino)
{
    uint64_t length = 0;
    switch (meta_opened_remove(m, ino, &length)) {
    case META_KEPT:
        break;
    case META_SUSTAINED:
        if (meta_delete_sustained(m, m->sid, ino) < 0) /* the session's end finds it */
            log_debug("meta_sustained_kept", "ino=%llu", (unsigned long long)ino);
        break;
    case META_DELETED:
        meta_delete_file_data(m, ino, length);
        break;
    }
}

struct sustained {
    uint64_t sid;
    meta_ino ino;
    bool gone;
    struct meta_attr attr;
};

static int sustained_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct sustained *s = arg;
    s->gone = false;
    t->lazy = true; /* who cleans up after us does it again */
    int rc = META_DO(t, node_get, s->ino, true, &s->attr);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    const bool dead = rc >= 0 && s->attr.nlink == 0;
    rc = META_DO(t, sustained_delete, s->sid, s->ino);
    if (rc <= 0 || !dead) /* 0: another session keeps it, that had it open when it lost its name */
        return rc;
    rc = META_DO(t, delfile_insert, s->ino, s->attr.length, meta_now().tv_sec);
    if (rc >= 0)
        rc = META_DO(t, xattr_delete_all, s->ino);
    if (rc >= 0)
        rc = META_DO(t, node_delete, s->ino);
    s->gone = rc >= 0;
    return rc;
}

int meta_delete_sustained(struct meta *m, uint64_t sid, meta_ino ino)
{
    struct sustained s = {.sid = sid, .ino = ino};
    int rc = meta_transact(m, META_TXN_WRITE, sustained_txn, &s);
    if (rc < 0 || !s.gone)
        return rc < 0 ? rc : 0;
    struct meta_usage u = {0};
    meta_usage_node(&u, &s.attr, -1);
    meta_usage_apply(m, &u);
    meta_delete_file_data(m, ino, s.attr.length);
    return 0;
}
