#include <errno.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "vfs/dir/ahead.h"
#include "vfs/dir/delta.h"
#include "vfs/dir/dir_internal.h"
#include "vfs/dir/view_cache.h"

struct dir_scan {
    struct vfs_scan base;
    struct dir_handle *h; /* a reference: where links are resolved */
    struct str path;      /* of the directory below it */
    char *text;           /* path, '/', and room for a name */
    size_t text_prefix;
    int fd;
    struct view *view;
    struct delta *delta; /* NULL: none */
    struct cursor cursor; /* over both */
    bool is_partial; /* unordered: the view is what was read last of the directory */
    struct vfs_dirent current; /* what scan_next returned last */
    enum entry_kind current_kind;
    struct ahead *ahead; /* NULL: nothing is read before it is asked for */
    bool is_private; /* on the filesystem that only this kernel changes */
    bool has_cred;
    struct vfs_cred cred; /* groups are our copy */
    uint32_t *groups;
};

static const struct vfs_cred *cred_of(const struct dir_scan *s)
{
    return s->has_cred ? &s->cred : NULL;
}

static void keep_cred(struct dir_scan *s, const struct vfs_cred *cred)
{
    if (!cred)
        return;
    s->has_cred = true;
    s->cred = *cred;
    s->groups = calloc(cred->group_count + 1, sizeof(*s->groups));
    CHECK(s->groups != NULL);
    if (cred->group_count > 0)
        memcpy(s->groups, cred->groups, cred->group_count * sizeof(*s->groups));
    s->cred.groups = s->groups;
}

static void keep_path(struct dir_scan *s, struct str path)
{
    s->text_prefix = path.len ? path.len + 1 : 0;
    s->text = malloc(s->text_prefix + NAME_MAX + 1);
    CHECK(s->text != NULL);
    if (path.len > 0) {
        memcpy(s->text, path.ptr, path.len);
        s->text[path.len] = '/';
    }
    s->path = str_of(s->text, path.len);
}

/* A scan without a view yet. */
static int open_scan(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct dir_scan **out)
{
    struct dir_volume *v = dir_volume_of(d->volume);
    struct stat st;
    int r = fault_point("vfs.scan");
    if (r < 0)
        return r;
    int fd = resolve_as(v, dir_handle_of(d), path, O_RDONLY | O_DIRECTORY, cred);
    if (fd < 0)
        return fd;
    struct dir_scan *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->base.volume = &v->base;
    s->h = dir_handle_ref(dir_handle_of(d));
    s->fd = fd;
    s->is_private = v->private_dev != 0 && fstat(fd, &st) == 0 && st.st_dev == v->private_dev;
    keep_path(s, path);
    keep_cred(s, cred);
    *out = s;
    return 0;
}

int dir_scan_open(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct str from,
                  struct vfs_scan **out)
{
    struct dir_scan *s;
    int r = open_scan(d, path, cred, &s);
    if (r < 0)
        return r;
    r = view_cache_get(dir_volume_of(d->volume)->views, s->fd, &s->view, &s->delta);
    if (r < 0) {
        dir_scan_close(&s->base);
        return r;
    }
    s->cursor = cursor_start(s->view, s->delta, from);
    *out = &s->base;
    return 0;
}

int dir_scan_open_unordered(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct vfs_scan **out)
{
    struct dir_scan *s;
    int r = open_scan(d, path, cred, &s);
    if (r < 0)
        return r;
    r = view_build_some(s->fd, &s->view);
    if (r < 0) {
        dir_scan_close(&s->base);
        return r;
    }
    s->cursor = cursor_start(s->view, NULL, STR_EMPTY);
    s->is_partial = true;
    *out = &s->base;
    return 0;
}

void dir_scan_close(struct vfs_scan *scan)
{
    struct dir_scan *s = container_of(scan, struct dir_scan, base);
    ahead_free(s->ahead);
    view_unref(s->view);
    delta_unref(s->delta);
    dir_handle_unref(s->h);
    fd_closep(&s->fd);
    free(s->text);
    free(s->groups);
    free(s);
}

/* Entries that are links are resolved from the confining directory, as a look-up of the whole path would. */
static int open_link(const struct dir_scan *s, struct str name, int flags)
{
    memcpy(s->text + s->text_prefix, name.ptr, name.len);
    struct str path = str_of(s->text, s->text_prefix + name.len);
    if (flags & O_PATH)
        return resolve_as(dir_volume_of(s->base.volume), s->h, path, flags, cred_of(s));
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    int r = cred_enter(&scope, &dir_volume_of(s->base.volume)->self, cred_of(s));
    return r < 0 ? r : resolve_regular(s->h, path, flags, false);
}

static enum vfs_type type_of_link(const struct dir_scan *s, struct str name)
{
    CLEANUP(fd_closep) int fd = open_link(s, name, O_PATH);
    struct vfs_attr attr;
    bool is_file = fd >= 0 && attr_of_fd(fd, &attr) == 0 && attr.type == VFS_FILE;
    return is_file ? VFS_FILE : VFS_SYMLINK;
}

static enum vfs_type type_of(const struct dir_scan *s, enum entry_kind kind, struct str name)
{
    switch (kind) {
    case ENTRY_FILE:
        return VFS_FILE;
    case ENTRY_DIRECTORY:
        return VFS_DIRECTORY;
    case ENTRY_LINK:
        return type_of_link(s, name);
    case ENTRY_OTHER:
        return VFS_OTHER;
    }
    return VFS_OTHER;
}

/* Reads on where the directory's descriptor stands. */
static int next_part(struct dir_scan *s)
{
    struct view *view;
    int r = view_build_some(s->fd, &view);
    if (r < 0)
        return r;
    if (view_count(view) == 0) {
        view_unref(view);
        s->is_partial = false; /* the last part stays: the entry last returned is in it */
        return 0;
    }
    view_unref(s->view);
    s->view = view;
    s->cursor = cursor_start(view, NULL, STR_EMPTY);
    return 0;
}

int dir_scan_next(struct vfs_scan *scan, struct vfs_dirent *out)
{
    struct dir_scan *s = container_of(scan, struct dir_scan, base);
    if (s->is_partial && s->cursor.at > 0 && s->cursor.at == view_count(s->view)) {
        int r = next_part(s);
        if (r < 0)
            return r;
    }
    if (!cursor_next(&s->cursor, &s->current.name, &s->current_kind))
        return 0;
    s->current.type = type_of(s, s->current_kind, s->current.name);
    *out = s->current;
    return 1;
}

/* The one entry that the attributes and the value both come from. */
static int open_entry(const struct dir_scan *s)
{
    struct str name = s->current.name;
    if (s->current_kind == ENTRY_LINK)
        return open_link(s, name, O_RDONLY);
    char text[NAME_MAX + 1];
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    int r = cred_enter(&scope, &dir_volume_of(s->base.volume)->self, cred_of(s));
    if (r < 0)
        return r;
    if (s->current_kind == ENTRY_DIRECTORY)
        return resolve_child(s->fd, text, O_RDONLY | O_DIRECTORY);
    /* It was a file when the directory was read; whatever took its name since is opened without effect, at worst. */
    return resolve_child(s->fd, text, O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

static int stat_entry(const struct dir_scan *s, struct vfs_attr *out)
{
    struct str name = s->current.name;
    CLEANUP(fd_closep) int fd = -1;
    if (s->current_kind == ENTRY_LINK && s->current.type == VFS_FILE) {
        fd = open_link(s, name, O_PATH);
        return fd < 0 ? fd : attr_of_fd(fd, out);
    }
    char text[NAME_MAX + 1];
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    int r = cred_enter(&scope, &dir_volume_of(s->base.volume)->self, cred_of(s));
    return r < 0 ? r : attr_at(s->fd, text, out);
}

static int stat_by_name(const struct dir_scan *s, struct vfs_attr *out, const char *xattr_name, struct buf *out_value)
{
    struct dir_volume *v = dir_volume_of(s->base.volume);
    if (!s->is_private || s->current_kind != ENTRY_FILE)
        return -EAGAIN;
    int r = s->ahead ? ahead_read(s->ahead, s->current.name, &s->cursor, xattr_name, out, out_value) : -EAGAIN;
    if (r != -EAGAIN)
        return r;
    CLEANUP(cred_leave) struct cred_scope scope = CRED_SCOPE_INIT;
    r = cred_enter(&scope, &v->self, cred_of(s));
    return r < 0 ? r : entry_read(v, s->fd, s->current.name, xattr_name, out, out_value);
}

/* Not on behalf of others, whom other threads would have to become for it. */
void dir_scan_expect(struct vfs_scan *scan, size_t count, const char *xattr_name)
{
    struct dir_scan *s = container_of(scan, struct dir_scan, base);
    bool can_read_ahead = s->is_private && !s->is_partial && !s->has_cred;
    ahead_free(s->ahead);
    s->ahead = can_read_ahead ? ahead_new(dir_volume_of(scan->volume), s->fd, xattr_name, count) : NULL;
}

static bool can_open(const struct dir_scan *s)
{
    return s->current.type == VFS_FILE || s->current.type == VFS_DIRECTORY;
}

static int stat_opened(const struct dir_scan *s, struct vfs_attr *out, const char *xattr_name, struct buf *out_value)
{
    CLEANUP(fd_closep) int fd = open_entry(s);
    /* Not readable for this identity, or something else by now: what there is to say of it is still said. */
    if (fd == -EACCES || fd == -EPERM || fd == -ENXIO || fd == -ELOOP || fd == -ENOTDIR || fd == -EWOULDBLOCK)
        return stat_entry(s, out);
    if (fd < 0)
        return fd;
    struct vfs_attr attr;
    int r = attr_of_fd(fd, &attr);
    if (r == 0 && attr.type != VFS_FILE && attr.type != VFS_DIRECTORY) {
        *out = attr;
        return 0;
    }
    if (r < 0)
        return r;
    r = xattr_read(dir_volume_of(s->base.volume), fd, xattr_name, out_value);
    if (r < 0 && r != -ENODATA)
        return r;
    *out = attr;
    return 0;
}

int dir_scan_stat(struct vfs_scan *scan, struct vfs_attr *out, const char *xattr_name, struct buf *out_value)
{
    struct dir_scan *s = container_of(scan, struct dir_scan, base);
    CHECK(s->current.name.ptr != NULL);
    if (!xattr_name || !can_open(s))
        return stat_entry(s, out);
    int r = stat_by_name(s, out, xattr_name, out_value);
    if (r != -EAGAIN)
        return r;
    for (unsigned turn = 0; race_turn(&turn);) {
        r = stat_opened(s, out, xattr_name, out_value);
        if (r != -ESTALE) /* else another file has taken the name meanwhile, or none has it */
            return r;
    }
    return -EBUSY;
}
