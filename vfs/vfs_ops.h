/* What a kind of volume implements. vfs.c checks arguments (path grammar, flags) and calls these; each does what the
 * function of the same name in vfs/vfs.h says. Concrete handles embed the structs below as their first member.
 * May be included by vfs/ only. */
#ifndef VFS_VFS_OPS_H
#define VFS_VFS_OPS_H

#include "vfs/vfs.h"

struct vfs {
    const struct vfs_ops *ops;
    struct vfs_dir *root;
    uint32_t self_uid; /* whose the process's own files are here; network filesystems may squash it */
};
struct vfs_dir {
    struct vfs *volume;
};
struct vfs_file {
    struct vfs *volume;
};
struct vfs_scan {
    struct vfs *volume;
};

struct vfs_ops {
    bool juicefs_records;

    void (*close_volume)(struct vfs *v);
    void (*inherit)(struct vfs *v, const char *state_dir); /* NULL: nothing outlives a process */
    int (*space)(struct vfs *v, struct vfs_space *out);

    int (*dir_open)(struct vfs_dir *parent, struct str path, const struct vfs_cred *cred, struct vfs_dir **out);
    int (*dir_open_nowait)(struct vfs_dir *parent, struct str path, struct vfs_dir **out); /* NULL: always -EAGAIN */
    void (*dir_close)(struct vfs_dir *d);
    int (*mkdir)(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, unsigned flags);
    int (*rmdir)(struct vfs_dir *d, struct str path, const struct vfs_cred *cred);
    void (*prune)(struct vfs_dir *d, struct str path, const struct vfs_cred *cred);
    int (*is_implicit)(struct vfs_dir *d, struct str path, const struct vfs_cred *cred);
    int (*set_implicit)(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, bool implicit);

    int (*lookup)(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct vfs_attr *out);
    int (*unlink)(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, const struct vfs_version *expected);
    int (*discard)(struct vfs_dir *d, struct str path);
    int (*rename)(struct vfs_dir *d, struct str from, struct str to, const struct vfs_cred *cred, unsigned flags);

    int (*open)(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, unsigned flags, struct vfs_file **out,
                struct vfs_attr *out_attr);
    void (*close)(struct vfs_file *f);
    int (*fstat)(struct vfs_file *f, struct vfs_attr *out);
    ssize_t (*read)(struct vfs_file *f, void *out, size_t size, uint64_t offset);
    ssize_t (*read_nowait)(struct vfs_file *f, void *out, size_t size, uint64_t offset); /* NULL: always -EAGAIN */
    int (*lend)(struct vfs_file *f, uint64_t offset, uint64_t size, struct vfs_loan *out); /* NULL: always -EAGAIN */
    void (*loan_done)(struct vfs_loan *l); /* where lend */
    int (*write)(struct vfs_file *f, struct pieces p, uint64_t offset);
    int (*truncate)(struct vfs_file *f, uint64_t size);
    int (*file_fd)(struct vfs_file *f);
    int (*sync)(struct vfs_file *f);
    int (*clone_range)(struct vfs_file *dst, uint64_t dst_offset, struct vfs_file *src, uint64_t src_offset,
                       uint64_t size, uint64_t *out_done);
    int (*lock)(struct vfs_file *f, bool exclusive);
    int (*setattr)(struct vfs_file *f, const struct vfs_cred *cred, const struct vfs_set *set);
    int (*xattr_get)(struct vfs_file *f, const char *name, struct buf *out);
    int (*xattr_set)(struct vfs_file *f, const struct vfs_cred *cred, const char *name, struct str value);
    int (*xattr_remove)(struct vfs_file *f, const struct vfs_cred *cred, const char *name);
    int (*xattr_each)(struct vfs_file *f, vfs_xattr_fn fn, void *arg); /* where juicefs_records */
    int (*xattrs_set)(struct vfs_file *f, const struct vfs_cred *cred, const struct vfs_xattr *xattrs, size_t count); /* there, too */

    int (*stage)(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, uint64_t size_hint,
                 struct vfs_file **out);
    int (*publish)(struct vfs_file *f, struct vfs_dir *d, struct str path, const struct vfs_cred *cred,
                   const struct vfs_publish *how, struct vfs_attr *out_attr);

    int (*scan_open)(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct str from,
                     struct vfs_scan **out);
    int (*scan_open_unordered)(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct vfs_scan **out);
    int (*scan_next)(struct vfs_scan *s, struct vfs_dirent *out);
    int (*scan_stat)(struct vfs_scan *s, struct vfs_attr *out, const char *xattr_name, struct buf *out_value);
    void (*scan_expect)(struct vfs_scan *s, size_t count, const char *xattr_name); /* NULL: it makes no difference */
    void (*scan_close)(struct vfs_scan *s);
};

#endif
