/* Opening and closing: metadata first, which says where the blocks are. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "base/limits.h"
#include "vfs/jfs/jfs.h"
#include "vfs/jfs/jfs_internal.h"
#include "vfs/meta/settings.h"
#include "vfs/path.h"

#define DEFAULT_FILE_MODE 0666
#define DEFAULT_DIR_MODE 0777

/* Handles */

struct jfs_dir *jfs_dir_new(struct jfs_volume *v, meta_ino ino, bool in_state)
{
    struct jfs_dir *d = calloc(1, sizeof(*d));
    CHECK(d != NULL); /* out of memory */
    d->base.volume = &v->base;
    d->ino = ino;
    d->in_state = in_state;
    return d;
}

static int open_dir(struct vfs_dir *parent, struct str path, const struct vfs_cred *cred, struct vfs_dir **out)
{
    struct jfs_volume *v = jfs_volume_of(parent->volume);
    struct meta_ctx scratch;
    const struct meta_ctx *ctx = jfs_ctx(v, cred, &scratch);
    struct jfs_place at;
    meta_ino ino;
    int r = jfs_locate(v, ctx, parent, path, JFS_FAIL, &at);
    if (r == 0)
        r = jfs_resolve_dir(v, ctx, at.dir, at.path, &ino);
    if (r == 0)
        *out = &jfs_dir_new(v, ino, jfs_skips_trash(jfs_dir_of(parent), path))->base;
    return r;
}

static void close_dir(struct vfs_dir *base)
{
    struct jfs_dir *d = jfs_dir_of(base);
    if (d != &jfs_volume_of(base->volume)->root)
        free(d);
}

/* Volume */

static int space(struct vfs *base, struct vfs_space *out)
{
    struct meta_space s;
    int r = meta_statfs(jfs_volume_of(base)->meta, META_ROOT, &s);
    if (r < 0)
        return r;
    *out = (struct vfs_space){
        .total_bytes = s.total_bytes,
        .free_bytes = s.free_bytes,
        .total_inodes = s.used_inodes + s.free_inodes,
        .free_inodes = s.free_inodes,
    };
    return 0;
}

static void close_volume(struct vfs *base)
{
    struct jfs_volume *v = jfs_volume_of(base);
    jfs_client_close(&v->client);
    alive_end(&v->alive); /* the session is over */
    free(v);
}

static const struct vfs_ops jfs_ops = {
    .juicefs_records = true,
    .close_volume = close_volume,
    .inherit = jfs_inherit,
    .space = space,
    .dir_open = open_dir,
    .dir_open_nowait = jfs_dir_open_nowait,
    .dir_close = close_dir,
    .mkdir = jfs_mkdir,
    .rmdir = jfs_rmdir,
    .prune = jfs_prune,
    .is_implicit = jfs_is_implicit,
    .set_implicit = jfs_set_implicit,
    .lookup = jfs_lookup,
    .unlink = jfs_unlink,
    .discard = jfs_discard,
    .rename = jfs_rename,
    .open = jfs_file_open,
    .close = jfs_file_close,
    .fstat = jfs_file_fstat,
    .read = jfs_file_read,
    .read_nowait = jfs_file_read_nowait,
    .lend = jfs_file_lend,
    .loan_done = jfs_loan_done,
    .write = jfs_file_write,
    .truncate = jfs_file_truncate,
    .file_fd = jfs_file_fd,
    .sync = jfs_file_sync,
    .clone_range = jfs_file_clone_range,
    .lock = jfs_file_lock,
    .setattr = jfs_file_setattr,
    .xattr_get = jfs_xattr_get,
    .xattr_set = jfs_xattr_set,
    .xattr_remove = jfs_xattr_remove,
    .xattr_each = jfs_xattr_each,
    .xattrs_set = jfs_xattrs_set,
    .stage = jfs_stage,
    .publish = jfs_publish,
    .scan_open = jfs_scan_open,
    .scan_open_unordered = jfs_scan_open_unordered,
    .scan_next = jfs_scan_next,
    .scan_stat = jfs_scan_stat,
    .scan_close = jfs_scan_close,
};

int jfs_volume_open(const char *url, const struct vfs_options *options, struct vfs **out, const char **out_error)
{
    struct jfs_volume *v = calloc(1, sizeof(*v));
    CHECK(v != NULL); /* out of memory */
    const struct jfs_client_options how = {
        .meta = {.no_sync = options->sync == VFS_SYNC_NONE,
                 .mount_point = "s3gateway",
                 .reclaim_delay_ms = LIMIT_META_RECLAIM_DELAY_MS},
        .no_sync = options->sync == VFS_SYNC_NONE,
        .data = {.memory = options->memory, .write_wait_ms = LIMIT_DATA_WRITE_WAIT_MS, .disk = options->cache},
    };
    int r = jfs_client_open(str_z(url), &how, &v->client, out_error);
    if (r < 0) {
        free(v);
        return r;
    }
    v->meta = v->client.meta;
    v->data = v->client.data;
    v->base.ops = &jfs_ops;
    v->base.root = &v->root.base;
    v->base.self_uid = geteuid();
    v->root = (struct jfs_dir){.base = {&v->base}, .ino = META_ROOT};
    v->options = *options;
    if (v->options.file_mode == 0)
        v->options.file_mode = DEFAULT_FILE_MODE;
    if (v->options.dir_mode == 0)
        v->options.dir_mode = DEFAULT_DIR_MODE;
    v->umask = (uint16_t)fd_umask();
    v->self = (struct meta_ctx){.uid = geteuid(), .gid = getegid(), .pid = (uint32_t)getpid()};
    atomic_init(&v->next_owner, 1);
    v->alive.fd = -1;
    jfs_state_sweep(v);
    *out = &v->base;
    return 0;
}
