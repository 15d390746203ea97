/* Extended attributes. A staging file's stay with its handle, since nobody else can see the file, until publishing sets them in
 * the transaction that gives it its name: one, instead of one for each. */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/limits.h"
#include "vfs/jfs/jfs_internal.h"

static struct meta_xattr *find_staged(const struct jfs_file *f, struct str name)
{
    for (size_t i = 0; i < f->staging.xattr_count; i++)
        if (str_eq(f->staging.xattrs[i].name, name))
            return &f->staging.xattrs[i];
    return NULL;
}

/* value.ptr NULL: none. */
static void set_staged(struct jfs_file *f, struct str name, struct str value)
{
    struct jfs_staging *s = &f->staging;
    struct meta_xattr *x = find_staged(f, name);
    if (!x) {
        s->xattrs = realloc(s->xattrs, (s->xattr_count + 1) * sizeof(*s->xattrs));
        CHECK(s->xattrs != NULL); /* out of memory */
        x = &s->xattrs[s->xattr_count++];
        *x = (struct meta_xattr){.name = jfs_own(name)};
    }
    jfs_disown(&x->value);
    if (value.ptr)
        x->value = jfs_own(value);
}

void jfs_xattrs_forget_staged(struct jfs_file *f)
{
    for (size_t i = 0; i < f->staging.xattr_count; i++) {
        jfs_disown(&f->staging.xattrs[i].name);
        jfs_disown(&f->staging.xattrs[i].value);
    }
    free(f->staging.xattrs);
    f->staging.xattrs = NULL;
    f->staging.xattr_count = 0;
}

static int get_staged(const struct jfs_file *f, struct str name, struct buf *out)
{
    const struct meta_xattr *x = find_staged(f, name);
    if (!x || !x->value.ptr)
        return -ENODATA;
    buf_add(out, x->value);
    return 0;
}

/* A file's attributes go with its last name, under those who have it open: what it has none of, it may have lost. 0: it has not. */
static int refuse_loss(const struct jfs_file *f, struct meta *m)
{
    struct meta_attr attr;
    if (f->is_directory)
        return 0;
    if (f->nowait) {
        const struct meta_stamp now = meta_stamp(m);
        return meta_stamp_eq(&f->found, &now) ? 0 : -EAGAIN;
    }
    int r = meta_getattr(m, f->ino, &attr);
    return r == -ENOENT || (r == 0 && attr.nlink == 0) ? -ESTALE : 0;
}

int jfs_xattr_get(struct vfs_file *base, const char *name, struct buf *out)
{
    const struct jfs_file *f = jfs_file_of(base);
    struct meta *m = jfs_volume_of(base->volume)->meta;
    int r = f->is_staged ? get_staged(f, str_z(name), out)
            : f->nowait  ? meta_recall_xattr(m, f->ino, str_z(name), out)
                         : meta_xattr_get(m, f->ino, str_z(name), out);
    if (r == -ENODATA && !f->is_staged) {
        int lost = refuse_loss(f, m);
        return lost < 0 ? lost : r;
    }
    return r == 0 && out->failed ? -EFBIG : r;
}

static int may_write(struct jfs_volume *v, struct jfs_file *f, const struct vfs_cred *cred)
{
    struct meta_ctx scratch;
    struct meta_attr draft;
    if (!cred)
        return 0;
    bool is_draft = jfs_draft_attr(f, &draft);
    return meta_access(v->meta, jfs_ctx(v, cred, &scratch), f->ino, META_ACCESS_W, is_draft ? &draft : NULL);
}

int jfs_xattr_set(struct vfs_file *base, const struct vfs_cred *cred, const char *name, struct str value)
{
    struct jfs_volume *v = jfs_volume_of(base->volume);
    struct jfs_file *f = jfs_file_of(base);
    int r = value.len > LIMIT_OBJECT_RECORD_BYTES ? -E2BIG : fault_point("vfs.xattr");
    if (r == 0)
        r = may_write(v, f, cred);
    if (r == 0 && f->is_staged)
        set_staged(f, str_z(name), value.ptr ? value : STR(""));
    return r < 0 || f->is_staged ? r : meta_xattr_set(v->meta, f->ino, str_z(name), value, 0);
}

int jfs_xattr_remove(struct vfs_file *base, const struct vfs_cred *cred, const char *name)
{
    struct jfs_volume *v = jfs_volume_of(base->volume);
    struct jfs_file *f = jfs_file_of(base);
    int r = may_write(v, f, cred);
    if (r == 0 && f->is_staged)
        set_staged(f, str_z(name), (struct str){NULL, 0});
    else if (r == 0)
        r = meta_xattr_remove(v->meta, f->ino, str_z(name));
    return r == -ENODATA ? 0 : r;
}

static int set_several(struct jfs_volume *v, const struct jfs_file *f, const struct vfs_xattr *xattrs, size_t count)
{
    struct meta_xattr *all = calloc(count, sizeof(*all));
    CHECK(all != NULL); /* out of memory */
    for (size_t i = 0; i < count; i++)
        all[i] = (struct meta_xattr){str_z(xattrs[i].name), xattrs[i].value};
    int r = meta_xattrs_set(v->meta, f->ino, all, count);
    free(all);
    return r;
}

int jfs_xattrs_set(struct vfs_file *base, const struct vfs_cred *cred, const struct vfs_xattr *xattrs, size_t count)
{
    struct jfs_volume *v = jfs_volume_of(base->volume);
    struct jfs_file *f = jfs_file_of(base);
    int r = fault_point("vfs.xattr");
    for (size_t i = 0; r == 0 && i < count; i++)
        r = xattrs[i].value.len > LIMIT_OBJECT_RECORD_BYTES ? -E2BIG : 0;
    if (r == 0)
        r = may_write(v, f, cred);
    if (r < 0 || !f->is_staged)
        return r < 0 ? r : set_several(v, f, xattrs, count);
    for (size_t i = 0; i < count; i++)
        set_staged(f, str_z(xattrs[i].name), xattrs[i].value);
    return 0;
}

struct each {
    vfs_xattr_fn fn;
    void *arg;
    bool any;
};

static int pass_on(void *arg, struct str name, struct str value)
{
    struct each *each = arg;
    each->any = true;
    each->fn(each->arg, name, value);
    return 0;
}

static int each_staged(const struct jfs_file *f, vfs_xattr_fn fn, void *arg)
{
    for (size_t i = 0; i < f->staging.xattr_count; i++)
        if (f->staging.xattrs[i].value.ptr)
            fn(arg, f->staging.xattrs[i].name, f->staging.xattrs[i].value);
    return 0;
}

int jfs_xattr_each(struct vfs_file *base, vfs_xattr_fn fn, void *arg)
{
    const struct jfs_file *f = jfs_file_of(base);
    struct meta *m = jfs_volume_of(base->volume)->meta;
    struct each each = {fn, arg, false};
    if (f->is_staged)
        return each_staged(f, fn, arg);
    int r = f->nowait ? meta_recall_xattrs(m, f->ino, pass_on, &each) : meta_xattr_list(m, f->ino, pass_on, &each);
    return r == 0 && !each.any ? refuse_loss(f, m) : r;
}
