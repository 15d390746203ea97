/* Operations on extended attributes. POSIX ACLs are kept by the metadata under their own records. */
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "vfs/fuse/fuse_internal.h"

#define XATTR_BYTES_MAX 65536 /* Linux: XATTR_SIZE_MAX, XATTR_LIST_MAX */
#define INO(ino) ((unsigned long long)(ino))

/* 0: no ACL. */
static int acl_type(const char *name)
{
    if (str_is(str_z(name), "system.posix_acl_access"))
        return META_ACL_ACCESS;
    return str_is(str_z(name), "system.posix_acl_default") ? META_ACL_DEFAULT : 0;
}

/* The kernel asks for these with every write and execution; official mounts know them only when told to. */
static bool is_refused(const struct vfuse *v, const char *name)
{
    return (!v->options.enable_cap && str_is(str_z(name), "security.capability")) ||
           (!v->options.enable_selinux && str_is(str_z(name), "security.selinux"));
}

static int set_acl(const struct vfuse_call *c, meta_ino ino, enum meta_acl_type type, struct str value)
{
    struct meta_acl rule;
    int r = meta_acl_parse_xattr(value, &rule);
    if (r < 0)
        return r;
    r = meta_acl_set(c->v->meta, &c->ctx, ino, type, &rule);
    meta_acl_done(&rule);
    /* The mode follows the rule. */
    if (r == 0)
        (void)fuse_lowlevel_notify_inval_inode(c->v->session, ino, -1, 0);
    return r;
}

static int set_xattr(const struct vfuse_call *c, meta_ino ino, const char *name, struct str value, int flags)
{
    if (vfuse_virtual_by_ino(ino))
        return -EPERM;
    if (is_refused(c->v, name))
        return -ENOTSUP;
    int type = acl_type(name);
    if (type != 0)
        return c->v->settings->enable_acl ? set_acl(c, ino, (enum meta_acl_type)type, value) : -ENOTSUP;
    unsigned how = (flags & XATTR_CREATE ? META_XATTR_CREATE : 0u) | (flags & XATTR_REPLACE ? META_XATTR_REPLACE : 0u);
    return meta_xattr_set(c->v->meta, ino, str_z(name), value, how);
}

void vfuse_op_setxattr(fuse_req_t request, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_SETXATTR);
    int r = set_xattr(&c, ino, name, str_of(value, size), flags);
    vfuse_answer(&c, r);
    vfuse_end(&c, r, "(%llu,%s,%zu,%d)", INO(ino), name, size, flags);
}

static int get_acl(const struct vfuse_call *c, meta_ino ino, enum meta_acl_type type, struct buf *out)
{
    struct meta_acl rule;
    int r = meta_acl_get(c->v->meta, ino, type, &rule);
    if (r < 0)
        return r;
    meta_acl_format_xattr(&rule, out);
    meta_acl_done(&rule);
    return 0;
}

static int get_xattr(const struct vfuse_call *c, meta_ino ino, const char *name, struct buf *out)
{
    if (vfuse_virtual_by_ino(ino) || is_refused(c->v, name))
        return -ENODATA;
    int type = acl_type(name);
    if (type != 0)
        return c->v->settings->enable_acl ? get_acl(c, ino, (enum meta_acl_type)type, out) : -ENOTSUP;
    return meta_xattr_get(c->v->meta, ino, str_z(name), out);
}

/* size 0: only how long it is. */
static void answer_bytes(const struct vfuse_call *c, int r, const struct buf *value, size_t size)
{
    if (r == 0 && value->failed)
        r = -E2BIG;
    if (r == 0 && size > 0 && value->len > size)
        r = -ERANGE;
    if (r < 0)
        vfuse_answer(c, r);
    else if (size == 0)
        (void)(vfuse_may_answer(c) && fuse_reply_xattr(c->request, value->len)); /* interrupted or not */
    else
        (void)(vfuse_may_answer(c) && fuse_reply_buf(c->request, value->ptr, value->len));
}

void vfuse_op_getxattr(fuse_req_t request, fuse_ino_t ino, const char *name, size_t size)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_GETXATTR);
    CLEANUP(buf_done) struct buf value = buf_make(XATTR_BYTES_MAX);
    int r = get_xattr(&c, ino, name, &value);
    answer_bytes(&c, r, &value, size);
    vfuse_end(&c, r, "(%llu,%s,%zu): (%zu)", INO(ino), name, size, value.len);
}

static int add_name(void *arg, struct str name, struct str value)
{
    (void)value;
    buf_add(arg, name);
    buf_addc(arg, '\0');
    return 0;
}

static int list_xattrs(const struct vfuse_call *c, meta_ino ino, struct buf *out)
{
    if (vfuse_virtual_by_ino(ino))
        return 0;
    struct meta_attr attr;
    int r = meta_getattr(c->v->meta, ino, &attr);
    if (r == 0)
        r = meta_xattr_list(c->v->meta, ino, add_name, out);
    if (r < 0)
        return r;
    if (attr.access_acl != 0)
        (void)add_name(out, STR("system.posix_acl_access"), STR_EMPTY);
    if (attr.default_acl != 0)
        (void)add_name(out, STR("system.posix_acl_default"), STR_EMPTY);
    return 0;
}

void vfuse_op_listxattr(fuse_req_t request, fuse_ino_t ino, size_t size)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_LISTXATTR);
    CLEANUP(buf_done) struct buf names = buf_make(XATTR_BYTES_MAX);
    int r = list_xattrs(&c, ino, &names);
    answer_bytes(&c, r, &names, size);
    vfuse_end(&c, r, "(%llu,%zu): (%zu)", INO(ino), size, names.len);
}

static int remove_xattr(const struct vfuse_call *c, meta_ino ino, const char *name)
{
    if (vfuse_virtual_by_ino(ino))
        return -EPERM;
    if (is_refused(c->v, name))
        return -ENOTSUP;
    int type = acl_type(name);
    if (type == 0)
        return meta_xattr_remove(c->v->meta, ino, str_z(name));
    if (!c->v->settings->enable_acl)
        return -ENOTSUP;
    const struct meta_acl none = {META_ACL_UNSET, META_ACL_UNSET, META_ACL_UNSET, META_ACL_UNSET, NULL, NULL, 0, 0};
    return meta_acl_set(c->v->meta, &c->ctx, ino, (enum meta_acl_type)type, &none);
}

void vfuse_op_removexattr(fuse_req_t request, fuse_ino_t ino, const char *name)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_REMOVEXATTR);
    int r = remove_xattr(&c, ino, name);
    vfuse_answer(&c, r);
    vfuse_end(&c, r, "(%llu,%s)", INO(ino), name);
}
