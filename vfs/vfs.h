/* Volumes: a filesystem-shaped interface that S3 semantics (s3api) and FUSE stand on. It knows nodes, handles, ordered
 * directory reads, extended attributes, unnamed staging files, atomic publishing and range clones, and nothing of S3.
 *
 * Kinds: a directory of a mounted filesystem (vfs/dir); a JuiceFS-format volume (vfs/jfs). `struct vfs_ops` at the
 * end is the contract that a kind implements; tests/contract/volume_contract.c is that contract as a test.
 *
 * Paths are relative to a directory handle, segments separated by single '/', no leading or trailing '/', no empty, "."
 * or ".." segment, no NUL, each segment at most 255 bytes and none that starts with ".sluice-" (names of work in progress);
 * anything else is -EINVAL. The empty path is the directory itself. Resolution never leaves the handle's directory: not by
 * "..", not by a symlink, not by a race (-EXDEV when a link points out, as every absolute one does). Symlinks that stay
 * inside are followed, except as the last component of unlink, rename and publish, which act on the name. Only regular files
 * and directories are ever opened (-ENXIO for FIFOs, sockets and devices).
 *
 * cred: on whose behalf; NULL is the process itself. The volume applies the permissions that POSIX gives that identity.
 * Errors: negative errno, outputs untouched. ENOSPC, EDQUOT, EROFS, EACCES, EPERM, EIO can come from anywhere, and EBUSY
 * when others kept getting in the way (worth another try later).
 * Thread: worker (everything may block). Handles may be used by one thread at a time unless said otherwise. */
#ifndef VFS_VFS_H
#define VFS_VFS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/pieces.h"
#include "vfs/cache_options.h"

struct vfs;      /* an open volume */
struct vfs_dir;  /* a directory that confines what is resolved below it; may be shared by threads */
struct vfs_file; /* an open regular file, staging file, or directory opened for its attributes */
struct vfs_scan; /* an ordered walk over one directory */

struct vfs_cred {
    uint32_t uid, gid;
    const uint32_t *groups;
    size_t group_count;
};

enum vfs_type { VFS_FILE, VFS_DIRECTORY, VFS_SYMLINK, VFS_OTHER };

struct vfs_attr {
    enum vfs_type type;
    uint64_t ino;
    uint64_t size;
    int64_t mtime_ns, ctime_ns, btime_ns; /* btime 0 when the filesystem has none */
    uint32_t mode; /* permission bits, set-id and sticky */
    uint32_t uid, gid, nlink;
    bool is_juicefs_object; /* a directory that JuiceFS's own S3 gateway takes for an object, whoever made it one */
};

/* What tells one state of a file from another: a replaced or rewritten file differs in at least one. (Where the filesystem
 * has no time of birth, a file that was given the times of an earlier one may not.) */
struct vfs_version {
    uint64_t ino;
    uint64_t size;
    int64_t mtime_ns, btime_ns;
};
static inline struct vfs_version vfs_attr_version(const struct vfs_attr *a)
{
    return (struct vfs_version){a->ino, a->size, a->mtime_ns, a->btime_ns};
}
static inline bool vfs_version_eq(struct vfs_version a, struct vfs_version b)
{
    return a.ino == b.ino && a.size == b.size && a.mtime_ns == b.mtime_ns && a.btime_ns == b.btime_ns;
}

enum vfs_sync_mode {
    VFS_SYNC_ALWAYS, /* publish, unlink, mkdir, … return after data and name are on stable storage */
    VFS_SYNC_NONE
};
enum vfs_xattr_mode {
    VFS_XATTR_AUTO,   /* the filesystem's xattrs, or the sidecar where it has none */
    VFS_XATTR_SIDECAR /* always the sidecar */
};

struct vfs_options {
    enum vfs_sync_mode sync;
    enum vfs_xattr_mode xattr;
    uint32_t file_mode, dir_mode; /* for new files and directories, before umask; 0: 0666 and 0777 */
    uint64_t memory; /* bytes for buffers and cached blocks of volumes that need them; 0: the default */
    struct vfs_cache_options cache; /* on disk, for the same volumes */
};

/* Volume ------------------------------------------------------------------------------------------------------------ */

/* Do the volume's bytes pass through memory of its own (vfs_options.memory)? By its URL alone. */
bool vfs_has_own_memory(const char *url);
/* url: a path, file://PATH, or the URL of a JuiceFS-format volume's metadata (sqlite3://PATH). *out_error is a static or volume-owned line of text on failure. */
MUST_USE int vfs_open_volume(const char *url, const struct vfs_options *options, struct vfs **out, const char **out_error);
/* All handles must be closed. */
void vfs_close_volume(struct vfs *v);
/* Ends at once what processes that used the same state folder (of their own, not the volume's) and were killed have left in the volume
 * and would keep until it expires: locks, files without a name. Leaves word there for who comes after this one. What is not known for
 * sure to be a dead process's stays; best effort. Once, before the first request. */
void vfs_inherit(struct vfs *v, const char *state_dir);
/* Borrowed; lives as long as the volume. */
struct vfs_dir *vfs_root(struct vfs *v);

/* Is it the process's own, or root's, and closed to everybody else? */
bool vfs_is_own(const struct vfs *v, const struct vfs_attr *a);

struct vfs_space {
    uint64_t total_bytes, free_bytes; /* free to unprivileged users */
    uint64_t total_inodes, free_inodes;
};
MUST_USE int vfs_space(struct vfs *v, struct vfs_space *out);

/* Directories ------------------------------------------------------------------------------------------------------- */

/* A handle that confines. -ENOENT, -ENOTDIR. */
MUST_USE int vfs_dir_open(struct vfs_dir *parent, struct str path, const struct vfs_cred *cred, struct vfs_dir **out);
/* As vfs_dir_open for the process itself, but nothing that is done through this handle waits for a disk or another machine:
 * where it would have to, the answer is -EAGAIN. For vfs_lookup, vfs_open of files that others have lately opened for reading,
 * and vfs_xattr_get of files so opened; everything else is -EAGAIN. Volumes that cannot promise it answer -EAGAIN at once.
 * Thread: any. */
MUST_USE int vfs_dir_open_nowait(struct vfs_dir *parent, struct str path, struct vfs_dir **out);
void vfs_dir_close(struct vfs_dir *d);
void vfs_dir_closep(struct vfs_dir **d);

enum { VFS_MKDIR_IMPLICIT = 1 /* made on the way to a file: vfs_prune may remove it */ };
/* Makes the last component and, implicitly, its missing parents. A ".sluice" is the process's own from its first moment
 * (vfs_is_own). -EEXIST when a directory is there; -ENOTDIR when a file is in the way (of the last component too). */
MUST_USE int vfs_mkdir(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, unsigned flags);
/* -ENOTEMPTY, -ENOENT, -ENOTDIR. */
MUST_USE int vfs_rmdir(struct vfs_dir *d, struct str path, const struct vfs_cred *cred);
/* Removes `path` and then its parents upwards, below d, as long as each is an implicit directory and empty. Best effort. */
void vfs_prune(struct vfs_dir *d, struct str path, const struct vfs_cred *cred);
/* Was the directory made on the way (1), or by itself (0)? */
MUST_USE int vfs_is_implicit(struct vfs_dir *d, struct str path, const struct vfs_cred *cred);
/* Takes the mark away: the directory is now there for its own sake. */
MUST_USE int vfs_make_explicit(struct vfs_dir *d, struct str path, const struct vfs_cred *cred);
/* Gives the mark back (an explicit directory object was deleted while entries remain). */
MUST_USE int vfs_make_implicit(struct vfs_dir *d, struct str path, const struct vfs_cred *cred);

/* Nodes by name ----------------------------------------------------------------------------------------------------- */

/* Follows inner symlinks. -ENOENT, -ENOTDIR (a file in the way of the path), -ELOOP, -EXDEV, -EACCES. */
MUST_USE int vfs_lookup(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct vfs_attr *out);
/* expected NULL: whatever is there; else -ESTALE when the name's node is not (any more) of that version. -EISDIR for
 * directories. Durable as the sync mode says. */
MUST_USE int vfs_unlink(struct vfs_dir *d, struct str path, const struct vfs_cred *cred,
                        const struct vfs_version *expected);
/* As vfs_unlink of whatever is there, by the process itself, but not durable on its own: for many leavings of ours, which
 * would be found and removed again after a power loss. */
MUST_USE int vfs_discard(struct vfs_dir *d, struct str path);
enum { VFS_RENAME_NOREPLACE = 1 };
/* Within one volume. Missing parents of the target are made implicitly. */
MUST_USE int vfs_rename(struct vfs_dir *d, struct str from, struct str to, const struct vfs_cred *cred, unsigned flags);

/* Files ------------------------------------------------------------------------------------------------------------- */

enum {
    VFS_OPEN_READ = 0,
    VFS_OPEN_WRITE = 1,      /* read and write */
    VFS_OPEN_DIRECTORY = 2,  /* a directory is fine too, for attributes and xattrs */
    VFS_OPEN_CREATE = 4,     /* a named file, e.g. records of ours; parents must exist */
    VFS_OPEN_EXCLUSIVE = 8,  /* with CREATE: -EEXIST when the name exists (atomic, also between gateways) */
    VFS_OPEN_PRIVATE = 16    /* with CREATE: mode 0600 */
};
/* out_attr may be NULL. -EISDIR without VFS_OPEN_DIRECTORY. */
MUST_USE int vfs_open(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, unsigned flags,
                      struct vfs_file **out, struct vfs_attr *out_attr);
void vfs_close(struct vfs_file *f);
void vfs_closep(struct vfs_file **f);
MUST_USE int vfs_fstat(struct vfs_file *f, struct vfs_attr *out);
/* Fewer than size bytes only at the end of the file. May be called by several threads. */
MUST_USE ssize_t vfs_read(struct vfs_file *f, void *out, size_t size, uint64_t offset);
/* The same without waiting for a disk: -EAGAIN when that cannot be (told). Thread: any. */
MUST_USE ssize_t vfs_read_nowait(struct vfs_file *f, void *out, size_t size, uint64_t offset);
/* Bytes of a file where the volume has them in memory; they do not change. Private but for `bytes`. */
struct vfs_loan {
    struct str bytes;
    struct vfs *volume;
    void *held;
};
/* Lends the first of the bytes [offset, offset+size), so that they need not be copied to be sent; may wait for them to be
 * loaded. `size` is all that the caller is going to want. How many are lent is for the volume to say, more than none.
 * -EAGAIN: use vfs_read, here or always; other errors are those of vfs_read. Who has borrowed something may not wait for
 * more of the volume. The loan may outlive the file, not the volume. */
MUST_USE int vfs_lend(struct vfs_file *f, uint64_t offset, uint64_t size, struct vfs_loan *out);
/* Takes it back, once. Never waits. Thread: any. */
void vfs_loan_done(struct vfs_loan *l);
/* All of it. May be called by several threads for ranges that do not overlap. */
MUST_USE int vfs_write(struct vfs_file *f, struct str bytes, uint64_t offset);
/* The same of several pieces, one behind the other from offset on. After an error some of them may be written. */
MUST_USE int vfs_write_pieces(struct vfs_file *f, struct pieces p, uint64_t offset);
MUST_USE int vfs_truncate(struct vfs_file *f, uint64_t size);
/* A descriptor of the file's bytes for sendfile(2), borrowed; -ENOTSUP when the volume has none. */
MUST_USE int vfs_file_fd(struct vfs_file *f);
/* Data and attributes to stable storage; nothing with VFS_SYNC_NONE. */
MUST_USE int vfs_sync(struct vfs_file *f);
/* Makes dst's [dst_offset, +size) equal src's [src_offset, +size): by reference where the volume can, else copying. One
 * call does a bounded amount of work and says in *out_done how much (> 0 unless size is 0 or src ends: then 0). */
MUST_USE int vfs_clone_range(struct vfs_file *dst, uint64_t dst_offset, struct vfs_file *src, uint64_t src_offset,
                             uint64_t size, uint64_t *out_done);
/* Advisory lock of the open file, until it is closed; also between gateways. -EAGAIN when another holder is in the way. */
MUST_USE int vfs_lock(struct vfs_file *f, bool exclusive);
enum { VFS_SET_MODE = 1, VFS_SET_OWNER = 2, VFS_SET_MTIME = 4, VFS_SET_ATIME = 8 };
struct vfs_set {
    unsigned which;
    uint32_t mode, uid, gid;
    int64_t mtime_ns, atime_ns;
};
MUST_USE int vfs_setattr(struct vfs_file *f, const struct vfs_cred *cred, const struct vfs_set *set);

/* Extended attributes: name such as "user.sluice", value up to LIMIT_OBJECT_RECORD_BYTES (else -E2BIG). Appends the value;
 * -ENODATA when absent. -ESTALE: the file has lost its last name since it was opened, and its attributes with it, as on some
 * volumes they do: what has the name now is to be opened. */
MUST_USE int vfs_xattr_get(struct vfs_file *f, const char *name, struct buf *out);
MUST_USE int vfs_xattr_set(struct vfs_file *f, const struct vfs_cred *cred, const char *name, struct str value);
/* Absent is fine. */
MUST_USE int vfs_xattr_remove(struct vfs_file *f, const struct vfs_cred *cred, const char *name);
/* Calls fn for every attribute, all of one moment; -ESTALE as above. Only where vfs_has_juicefs_records. fn calls nothing of the volume. */
typedef void (*vfs_xattr_fn)(void *arg, struct str name, struct str value);
MUST_USE int vfs_xattr_each(struct vfs_file *f, vfs_xattr_fn fn, void *arg);

/* Sets several at once; value.ptr NULL: there shall be none of that name. Only where vfs_has_juicefs_records. */
struct vfs_xattr {
    const char *name;
    struct str value;
};
MUST_USE int vfs_xattrs_set(struct vfs_file *f, const struct vfs_cred *cred, const struct vfs_xattr *xattrs, size_t count);

/* Does JuiceFS's own S3 gateway serve the volume too, so that its records (the attributes s3-etag, s3-meta, s3-tags) are to be
 * kept beside ours? */
bool vfs_has_juicefs_records(const struct vfs_file *f);
bool vfs_dir_has_juicefs_records(const struct vfs_dir *d);

/* Staging and publishing -------------------------------------------------------------------------------------------- */

/* A file that has no name yet, made so that it will carry what the target's directory passes on (set-gid group, default
 * ACL). Missing parent directories of `path` are made implicitly. size_hint 0: unknown. Closing it unpublished leaves
 * nothing behind, now or after a crash (directories made on the way are pruned).
 * -ENOTDIR: a file in the way of a parent; -EISDIR is found at publish only. */
MUST_USE int vfs_stage(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, uint64_t size_hint,
                       struct vfs_file **out);

enum vfs_publish_mode {
    VFS_PUBLISH_REPLACE,   /* whatever is there */
    VFS_PUBLISH_CREATE,    /* -EEXIST when the name exists; atomic between gateways */
    VFS_PUBLISH_IF_VERSION /* -ESTALE unless the name's file is of that version; -ENOENT when it is gone */
};
struct vfs_publish {
    enum vfs_publish_mode mode;
    struct vfs_version version; /* VFS_PUBLISH_IF_VERSION */
};
/* Makes the file visible under `path` in one step: readers see the old file or the new one, whole. f is a staging file, or
 * a named file of the same volume (a multipart upload's data), which then takes on the mode, group and ACL of a new file in
 * the target's directory and the identity's ownership, except for what vfs_setattr set through this handle before, and may
 * keep its old name too, for the caller to unlink. Data and xattrs set before are durable
 * before the name is, and both when the call returns (sync mode). Missing parents are made again if they vanished.
 * A directory on the way that is renamed within 10 ms after vfs_stage found it may count as renamed after the publication.
 * -EISDIR: a directory has the name. out_attr (may be NULL): the published state. */
MUST_USE int vfs_publish(struct vfs_file *f, struct vfs_dir *d, struct str path, const struct vfs_cred *cred,
                         const struct vfs_publish *how, struct vfs_attr *out_attr);

/* Ordered directory reads ------------------------------------------------------------------------------------------- */

struct vfs_dirent {
    struct str name; /* valid until the next call on the scan */
    enum vfs_type type; /* VFS_FILE or VFS_DIRECTORY after following inner symlinks to files; symlinks to directories and
                           all else are VFS_SYMLINK and VFS_OTHER */
};

/* Entries of a directory in byte order of their names, a directory counting as its name plus '/' (so "a.b" < "a/" < "a0"):
 * the order of the keys below it. Starts at the first entry whose so extended name is >= from. The cost of a page does not
 * grow with the directory once its view exists (large directories keep one between calls, as long as nothing changed).
 * Names that belong to sluice's own work in progress are left out. -ENOENT, -ENOTDIR. */
MUST_USE int vfs_scan_open(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct str from,
                           struct vfs_scan **out);
/* All entries, in whatever order they are at hand: for whether there is something, without ordering a large directory. */
MUST_USE int vfs_scan_open_unordered(struct vfs_dir *d, struct str path, const struct vfs_cred *cred,
                                     struct vfs_scan **out);
/* 1: *out is set; 0: the end. */
MUST_USE int vfs_scan_next(struct vfs_scan *s, struct vfs_dirent *out);
/* Attributes of the entry last returned and, when xattr_name is not NULL, that attribute's value (appended; nothing when
 * absent). -ENOENT when it has gone meanwhile. */
MUST_USE int vfs_scan_stat(struct vfs_scan *s, struct vfs_attr *out, const char *xattr_name, struct buf *out_value);
/* The caller will ask for the attributes and this xattr (a static text) of about `count` files to come: they may be read several
 * at a time, and before they are asked for. vfs_scan_stat then tells of some moment since this call. */
void vfs_scan_expect(struct vfs_scan *s, size_t count, const char *xattr_name);
void vfs_scan_close(struct vfs_scan *s);
void vfs_scan_closep(struct vfs_scan **s);

#endif
