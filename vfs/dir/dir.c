#include "vfs/dir/dir.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/check.h"
#include "base/map.h"
#include "vfs/dir/ahead.h"
#include "vfs/dir/dir_internal.h"
#include "vfs/dir/fresh.h"
#include "vfs/dir/intents.h"
#include "vfs/dir/kept.h"
#include "vfs/dir/leaving.h"
#include "vfs/dir/open_files.h"
#include "vfs/dir/sidecar.h"
#include "vfs/dir/view_cache.h"
#include "vfs/dir/warm.h"
#include "vfs/path.h"

/* Makes a path's hash depend on where its handles divide it. */
#define HASH_FACTOR 0x9e3779b97f4a7c15ull
#define DEFAULT_FILE_MODE 0666
#define DEFAULT_DIR_MODE 0777

/* Handles */

struct dir_handle *dir_handle_ref(struct dir_handle *h)
{
    atomic_fetch_add(&h->refs, 1);
    return h;
}

/* The root's reference is the volume's, so that it never comes to its end here. */
void dir_handle_unref(struct dir_handle *h)
{
    if (atomic_fetch_sub(&h->refs, 1) > 1)
        return;
    fd_closep(&h->fd);
    free(h);
}

/* Of an open directory, whose descriptor is taken. */
static int dir_handle_set(struct dir_handle *h, int fd)
{
    struct stat st;
    h->fd = fd;
    if (fstat(fd, &st) < 0)
        return -errno;
    h->dev = st.st_dev;
    h->ino = st.st_ino;
    return 0;
}

/* The descriptor is taken. */
static int dir_handle_new(const struct dir_handle *parent, struct str path, int fd, struct dir_handle **out)
{
    struct dir_handle *h = calloc(1, sizeof(*h));
    CHECK(h != NULL);
    h->base.volume = parent->base.volume;
    h->path_hash = (parent->path_hash ^ hash_bytes(path)) * HASH_FACTOR;
    atomic_init(&h->refs, 1);
    int r = dir_handle_set(h, fd);
    if (r < 0)
        dir_handle_unref(h);
    else
        *out = h;
    return r;
}

static int dir_handle_open(struct vfs_dir *parent, struct str path, const struct vfs_cred *cred, struct vfs_dir **out)
{
    struct dir_volume *v = dir_volume_of(parent->volume);
    int fd = resolve_as(v, dir_handle_of(parent), path, O_PATH | O_DIRECTORY, cred);
    if (fd < 0)
        return fd;
    struct dir_handle *h = NULL;
    int r = dir_handle_new(dir_handle_of(parent), path, fd, &h);
    if (r == 0)
        *out = &h->base;
    return r;
}

/* Elsewhere the kernel may have to ask other machines, or the sidecar's database, whatever it has in memory. */
static int dir_handle_open_nowait(struct vfs_dir *parent, struct str path, struct vfs_dir **out)
{
    const struct dir_volume *v = dir_volume_of(parent->volume);
    if (v->private_dev == 0 || v->sidecar_only)
        return -EAGAIN;
    bool is_name = path.len > 0 && str_find_char(path, '/') < 0 && dir_handle_of(parent) == &v->root;
    struct dir_handle *kept = is_name ? kept_get(v->kept, path) : NULL;
    if (kept) {
        *out = &kept->base;
        return 0;
    }
    struct dir_handle looker = {.fd = dir_handle_of(parent)->fd, .nowait = true};
    int fd = resolve(&looker, path, O_PATH | O_DIRECTORY);
    if (fd < 0)
        return fd;
    struct dir_handle *h = NULL;
    int r = dir_handle_new(dir_handle_of(parent), path, fd, &h);
    if (r < 0)
        return r;
    h->nowait = true;
    if (is_name)
        kept_put(v->kept, path, h);
    *out = &h->base;
    return 0;
}

static void dir_handle_close(struct vfs_dir *d)
{
    dir_handle_unref(dir_handle_of(d));
}

/* Volume */

static int dir_space(struct vfs *v, struct vfs_space *out)
{
    struct statvfs fs;
    if (fstatvfs(dir_volume_of(v)->root.fd, &fs) < 0)
        return -errno;
    *out = (struct vfs_space){
        .total_bytes = (uint64_t)fs.f_blocks * fs.f_frsize,
        .free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize,
        .total_inodes = fs.f_files,
        .free_inodes = fs.f_favail,
    };
    return 0;
}

static void dir_volume_close(struct vfs *base)
{
    struct dir_volume *v = dir_volume_of(base);
    ahead_pool_free(v->ahead);
    open_files_free(v->open_files);
    kept_free(v->kept);
    CHECK(v->root.fd < 0 || atomic_load(&v->root.refs) == 1);
    view_cache_free(v->views);
    graves_free(v->graves);
    warm_free(v->warm);
    sidecar_close(atomic_load(&v->sidecar));
    mutex_done(&v->sidecar_lock);
    intents_close(v->intents);
    fresh_free(v->fresh);
    for (size_t i = 0; i < DIR_STRIPES; i++)
        mutex_done(&v->stripes[i]);
    identity_done(&v->self);
    fd_closep(&v->state_fd);
    fd_closep(&v->root.fd);
    free(v);
}

static const struct vfs_ops dir_ops = {
    .close_volume = dir_volume_close,
    .space = dir_space,
    .dir_open = dir_handle_open,
    .dir_open_nowait = dir_handle_open_nowait,
    .dir_close = dir_handle_close,
    .mkdir = dir_mkdir,
    .rmdir = dir_rmdir,
    .prune = dir_prune,
    .is_implicit = dir_is_implicit,
    .set_implicit = dir_set_implicit,
    .lookup = dir_lookup,
    .unlink = dir_unlink,
    .discard = dir_discard,
    .rename = dir_rename,
    .open = dir_file_open,
    .close = dir_file_close,
    .fstat = dir_file_fstat,
    .read = dir_file_read,
    .read_nowait = dir_file_read_nowait,
    .write = dir_file_write,
    .truncate = dir_file_truncate,
    .file_fd = dir_file_fd,
    .sync = dir_file_sync,
    .clone_range = dir_file_clone_range,
    .lock = dir_file_lock,
    .setattr = dir_file_setattr,
    .xattr_get = dir_xattr_get,
    .xattr_set = dir_xattr_set,
    .xattr_remove = dir_xattr_remove,
    .stage = dir_stage,
    .publish = dir_publish,
    .scan_open = dir_scan_open,
    .scan_open_unordered = dir_scan_open_unordered,
    .scan_next = dir_scan_next,
    .scan_stat = dir_scan_stat,
    .scan_expect = dir_scan_expect,
    .scan_close = dir_scan_close,
};

static struct dir_volume *volume_new(const struct vfs_options *options)
{
    struct dir_volume *v = calloc(1, sizeof(*v));
    CHECK(v != NULL);
    v->base.ops = &dir_ops;
    v->base.root = &v->root.base;
    v->root.base.volume = &v->base;
    v->root.fd = v->state_fd = -1;
    atomic_init(&v->root.refs, 1);
    v->options = *options;
    if (v->options.file_mode == 0)
        v->options.file_mode = DEFAULT_FILE_MODE;
    if (v->options.dir_mode == 0)
        v->options.dir_mode = DEFAULT_DIR_MODE;
    v->graves = graves_new();
    v->warm = warm_new();
    v->ahead = ahead_pool_new();
    mutex_init(&v->sidecar_lock);
    identity_read(&v->self);
    for (size_t i = 0; i < DIR_STRIPES; i++)
        mutex_init(&v->stripes[i]);
    return v;
}

/* The filesystem, if it is one that only this kernel writes to. */
static dev_t private_dev(const struct dir_handle *root)
{
    static const unsigned long local[] = {EXT4_SUPER_MAGIC, 0x58465342 /* XFS */, BTRFS_SUPER_MAGIC,
                                          F2FS_SUPER_MAGIC, TMPFS_MAGIC, 0x2fc12fc1 /* ZFS */};
    struct statfs fs;
    if (fstatfs(root->fd, &fs) < 0)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(local); i++) {
        if ((unsigned long)fs.f_type == local[i])
            return root->dev;
    }
    return 0;
}

/* A root that cannot be written is served as it is: there is nothing to recover and nothing to record. */
static int open_state(struct dir_volume *v, const char **out_error)
{
    unsigned made = 0;
    v->sidecar_only = v->options.xattr == VFS_XATTR_SIDECAR || !xattr_supported(v->root.fd);
    v->state_fd = parents_make(v, &v->root, STR(VFS_PATH_STATE_NAME), NULL, &made);
    if (v->state_fd >= 0)
        v->intents = intents_open(v->root.fd, v->state_fd);
    v->base.self_uid = v->intents ? intents_uid(v->intents) : geteuid();
    v->views = view_cache_new(v->private_dev, v->state_fd);
    int r = xattr_open_sidecar(v, v->sidecar_only);
    if (r < 0)
        *out_error = v->sidecar_only
                         ? "the filesystem has no extended attributes, and .sluice/xattrs.db cannot be opened in their place"
                         : ".sluice/xattrs.db, which holds large records, cannot be opened";
    return r;
}

static int volume_start(struct dir_volume *v, const char *path, const char **out_error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 ? -errno : dir_handle_set(&v->root, fd);
    if (r < 0) {
        *out_error = r == -ENOENT    ? "the volume's directory does not exist"
                     : r == -ENOTDIR ? "the volume's path is not a directory"
                                     : "the volume's directory cannot be opened";
        return r;
    }
    if (access("/proc/self/fd", X_OK) < 0) {
        *out_error = "/proc is not mounted";
        return -errno;
    }
    v->umask = fd_umask();
    v->private_dev = private_dev(&v->root);
    v->kept = kept_new(&v->root, v->private_dev);
    v->open_files = open_files_new(v->private_dev);
    if (v->options.sync == VFS_SYNC_ALWAYS)
        v->fresh = fresh_new();
    return open_state(v, out_error);
}

int dir_volume_open(const char *path, const struct vfs_options *options, struct vfs **out, const char **out_error)
{
    struct dir_volume *v = volume_new(options);
    int r = volume_start(v, path, out_error);
    if (r < 0) {
        dir_volume_close(&v->base);
        return r;
    }
    *out = &v->base;
    return 0;
}

void dir_volume_limit_for_test(struct vfs *base, bool no_tmpfile, bool no_offload)
{
    struct dir_volume *v = dir_volume_of(base);
    atomic_store(&v->no_tmpfile, no_tmpfile);
    atomic_store(&v->no_reflink, no_offload);
    atomic_store(&v->no_copy_range, no_offload);
}
