#include "s3api/dialect.h"

#include <sys/stat.h>

#include "base/log.h"

/* Bits of a mode that an object's metadata may set. */
#define MODE_BITS 01777u
#define ID_MAX (UINT32_MAX - 1) /* the last one means "leave it" to chown(2) */
#define NS_PER_S 1000000000u

static struct s3_pair *find(const struct s3_pairs *user, const char *name)
{
    for (size_t i = 0; i < user->count; i++)
        if (str_is(user->items[i].name, name))
            return &user->items[i];
    return NULL;
}

static bool is_s3fs(const struct s3_pairs *user)
{
    return find(user, "mode") && find(user, "uid") && find(user, "gid");
}

/* Wanted --------------------------------------------------------------------------------------------------------- */

static bool parse_octal(struct str s, uint32_t *out)
{
    uint32_t value = 0;
    if (s.len == 0 || s.len > 7)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '7')
            return false;
        value = value * 8 + (uint32_t)(s.ptr[i] - '0');
    }
    *out = value;
    return true;
}

static void want_mode(struct vfs_set *set, uint32_t mode)
{
    /* s3fs-fuse keeps symlinks and devices as objects too; their modes say nothing about the file that holds the bytes. */
    uint32_t format = mode & S_IFMT;
    if (format != 0 && format != S_IFREG && format != S_IFDIR)
        return;
    set->which |= VFS_SET_MODE;
    set->mode = mode & MODE_BITS;
}

static void want_owner(struct vfs_set *set, const struct s3_pair *uid, const struct s3_pair *gid)
{
    uint64_t u, g;
    if (!uid || !gid || !str_parse_u64_max(uid->value, ID_MAX, &u) || !str_parse_u64_max(gid->value, ID_MAX, &g))
        return;
    set->which |= VFS_SET_OWNER;
    set->uid = (uint32_t)u;
    set->gid = (uint32_t)g;
}

/* "1354040105.123456789" */
static bool parse_seconds(struct str s, int64_t *out_ns)
{
    ptrdiff_t dot = str_find_char(s, '.');
    struct str whole = dot < 0 ? s : str_first(s, (size_t)dot);
    struct str fraction = dot < 0 ? STR_EMPTY : str_first(str_from(s, (size_t)dot + 1), 9);
    uint64_t seconds, ns = 0;
    if (!str_parse_u64_max(whole, INT64_MAX / NS_PER_S - 1, &seconds))
        return false;
    if (fraction.len > 0 && !str_parse_u64(fraction, &ns))
        return false;
    for (size_t i = fraction.len; fraction.len > 0 && i < 9; i++)
        ns *= 10;
    *out_ns = (int64_t)(seconds * NS_PER_S + ns);
    return true;
}

/* "1354040105123", "1354040105123ms", "1354040105123456789ns" */
static bool parse_datasync_time(struct str s, int64_t *out_ns)
{
    bool is_ns = str_ends(s, STR("ns"));
    if (is_ns || str_ends(s, STR("ms")))
        s = str_first(s, s.len - 2);
    uint64_t unit = is_ns ? 1 : 1000000, value;
    if (!str_parse_u64_max(s, INT64_MAX / unit, &value))
        return false;
    *out_ns = (int64_t)(value * unit);
    return true;
}

struct vfs_set s3_dialect_wanted(const struct s3_pairs *user)
{
    struct vfs_set set = {0};
    uint64_t decimal;
    uint32_t octal;
    const struct s3_pair *permissions = find(user, "file-permissions");
    if (is_s3fs(user)) {
        if (str_parse_u64_max(find(user, "mode")->value, UINT32_MAX, &decimal))
            want_mode(&set, (uint32_t)decimal);
        want_owner(&set, find(user, "uid"), find(user, "gid"));
    } else if (permissions && parse_octal(permissions->value, &octal)) {
        want_mode(&set, octal);
        want_owner(&set, find(user, "file-owner"), find(user, "file-group"));
    }
    const struct s3_pair *mtime = find(user, "mtime"), *file_mtime = find(user, "file-mtime");
    bool known = mtime ? parse_seconds(mtime->value, &set.mtime_ns)
                       : file_mtime && parse_datasync_time(file_mtime->value, &set.mtime_ns);
    if (known)
        set.which |= VFS_SET_MTIME;
    return set;
}

/* Applied -------------------------------------------------------------------------------------------------------- */

static bool may_set_any(const struct s3_op *op)
{
    return op->cred ? op->cred->uid == 0 : op->auth.user && op->auth.user->admin;
}

static bool is_own_uid(const struct s3_op *op, uint32_t uid)
{
    return op->cred && op->cred->uid == uid;
}

static bool is_own_gid(const struct s3_op *op, uint32_t gid)
{
    for (size_t i = 0; op->cred && i < op->cred->group_count; i++)
        if (op->cred->groups[i] == gid)
            return true;
    return op->cred && op->cred->gid == gid;
}

/* A refusal is no reason to refuse the object: its bytes and metadata are kept all the same. */
static void set_or_leave(struct s3_op *op, struct vfs_file *f, const struct vfs_set *set)
{
    int rc = vfs_setattr(f, op->cred, set);
    if (rc < 0)
        log_debug("s3_dialect_refused", "which=%u errno=%d", set->which, -rc);
}

void s3_dialect_apply(struct s3_op *op, struct vfs_file *f, const struct vfs_set *wanted)
{
    struct vfs_attr attr;
    if (!(wanted->which & (VFS_SET_MODE | VFS_SET_OWNER)) || vfs_fstat(f, &attr) < 0)
        return;
    if (wanted->which & VFS_SET_OWNER) {
        struct vfs_set owner = {.which = VFS_SET_OWNER};
        owner.uid = may_set_any(op) || is_own_uid(op, wanted->uid) ? wanted->uid : attr.uid;
        owner.gid = may_set_any(op) || is_own_gid(op, wanted->gid) ? wanted->gid : attr.gid;
        if (owner.uid != attr.uid || owner.gid != attr.gid)
            set_or_leave(op, f, &owner);
    }
    if (wanted->which & VFS_SET_MODE) {
        struct vfs_set mode = {.which = VFS_SET_MODE, .mode = wanted->mode};
        set_or_leave(op, f, &mode);
    }
}

/* Read back ------------------------------------------------------------------------------------------------------ */

static void show(struct s3_pair *p, struct str value)
{
    if (p)
        p->value = value;
}

static void show_mode(struct s3_pairs *user, uint32_t mode, struct arena *arena)
{
    struct s3_pair *permissions = find(user, "file-permissions");
    uint64_t was = 0;
    if (is_s3fs(user)) {
        if (str_parse_u64_max(find(user, "mode")->value, UINT32_MAX, &was))
            show(find(user, "mode"), arena_printf(arena, "%u", ((uint32_t)was & S_IFMT) | mode));
    } else if (permissions) {
        uint32_t octal = 0;
        if (parse_octal(permissions->value, &octal))
            show(permissions, arena_printf(arena, octal & S_IFMT ? "0%o" : "%04o", (octal & S_IFMT) | mode));
    }
}

static void show_owner(struct s3_pairs *user, const struct vfs_attr *attr, struct arena *arena)
{
    bool s3fs = is_s3fs(user);
    show(find(user, s3fs ? "uid" : "file-owner"), arena_printf(arena, "%u", attr->uid));
    show(find(user, s3fs ? "gid" : "file-group"), arena_printf(arena, "%u", attr->gid));
}

static void show_mtime(struct s3_pairs *user, int64_t mtime_ns, struct arena *arena)
{
    struct s3_pair *mtime = find(user, "mtime"), *file_mtime = find(user, "file-mtime");
    long long seconds = mtime_ns / NS_PER_S, ns = mtime_ns % NS_PER_S;
    if (mtime && is_s3fs(user))
        mtime->value = arena_printf(arena, "%lld", seconds);
    else if (mtime)
        mtime->value = arena_printf(arena, "%lld.%09lld", seconds, ns);
    else if (file_mtime && str_ends(file_mtime->value, STR("ns")))
        file_mtime->value = arena_printf(arena, "%lldns", (long long)mtime_ns);
    else if (file_mtime)
        file_mtime->value = arena_printf(arena, "%lldms", (long long)(mtime_ns / 1000000));
}

void s3_dialect_overlay(struct s3_objmeta *m, const struct vfs_attr *attr, struct arena *arena)
{
    if (!m->posix.set || attr->mtime_ns < 0)
        return;
    if (attr->mode != m->posix.mode)
        show_mode(&m->user, attr->mode, arena);
    if (attr->uid != m->posix.uid || attr->gid != m->posix.gid)
        show_owner(&m->user, attr, arena);
    if (!m->fresh)
        show_mtime(&m->user, attr->mtime_ns, arena);
}
