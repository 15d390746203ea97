/* What the files of the directory volume share: its structs and the helpers that resolve, make and sync.
 *
 * Invariants:
 * 1. No path of a caller reaches the kernel except through resolve() and friends, below a dir_handle's descriptor.
 * 2. Names are made, replaced and removed under the stripe lock of (parent directory, name).
 * 3. Whatever carries a temporary name is entered in the intents before it gets the name.
 * 4. Path-taking system calls on behalf of a caller run inside a cred_scope; our own bookkeeping runs outside of it.
 * Lock order: a stripe (two only in ascending order), then leaf locks (fresh, intents, sidecar, views, graves).
 * Thread: any worker. */
#ifndef VFS_DIR_DIR_INTERNAL_H
#define VFS_DIR_DIR_INTERNAL_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/mutex.h"
#include "vfs/dir/cred.h"
#include "vfs/dir/dir.h"
#include "vfs/vfs_ops.h"

#define DIR_STRIPES 256
#define DIR_TEMP_NAME_SIZE 32 /* ".sluice-", 22 letters, NUL */
/* Directories made below each other before their names are synced: bounds what one publish has to sync. */
#define DIR_FRESH_DEPTH_MAX 64
#define DIR_IMPLICIT_XATTR "user.sluice.implicit"

struct fresh;
struct intents;
struct sidecar;
struct view_cache;
struct graves;
struct kept;
struct open_file;
struct open_files;
struct place;
struct warm;
struct ahead_pool;

struct dir_handle {
    struct vfs_dir base;
    int fd; /* O_PATH or O_RDONLY */
    dev_t dev;
    ino_t ino;
    bool nowait; /* of vfs_dir_open_nowait */
    unsigned kept_slot; /* vfs/dir/kept.h */
    uint64_t path_hash;
    atomic_uint refs;
};

struct dir_volume {
    struct vfs base;
    struct dir_handle root;
    int state_fd; /* <root>/.sluice, O_PATH; -1 when the root cannot be written */
    struct vfs_options options;
    struct identity self;
    uint32_t umask;
    dev_t private_dev; /* the root's filesystem when only this kernel changes it, and its clock gives the times; else 0 */
    atomic_bool no_tmpfile, no_reflink, no_copy_range, no_getxattrat, no_link_by_fd;
    struct fresh *fresh;       /* NULL with VFS_SYNC_NONE: then nothing is ever synced */
    struct intents *intents;   /* NULL when the root cannot be written */
    bool sidecar_only;         /* the filesystem keeps no xattrs: all are in the sidecar */
    _Atomic(struct sidecar *) sidecar; /* NULL as long as nothing is in it */
    struct mutex sidecar_lock; /* of whoever opens it */
    struct view_cache *views;
    struct graves *graves;
    struct warm *warm;
    struct kept *kept;
    struct open_files *open_files;
    struct ahead_pool *ahead;
    atomic_llong temp_swept_s; /* when leftovers in .sluice/tmp were last looked for, monotonic */
    struct mutex stripes[DIR_STRIPES];
};

/* Present while a file has no name but a temporary one, or none at all. */
struct staging {
    /* What it was made for, unless that is an entry of the handle's own directory: a reference, and a copy. */
    struct dir_handle *dir;
    struct str path;
    bool made_parents;   /* on the way to it */
    struct place *place; /* of it, as the process found it at place_ms; NULL for large files, and for who acts for somebody */
    uint64_t place_ms;
    int temp_dir; /* O_PATH; -1: the file is unnamed (O_TMPFILE) */
    char temp_name[DIR_TEMP_NAME_SIZE];
    size_t intent;
};

struct dir_file {
    struct vfs_file base;
    int fd;
    int parent_fd;      /* of a file made by vfs_open: to be synced with it the first time; else -1 */
    uint64_t path_hash; /* of an existing file that was opened for reading; else 0 */
    bool nowait;        /* opened through a handle that does not wait */
    struct open_file *shared; /* a reference to what fd belongs to; NULL: to this one alone */
    unsigned chosen;    /* VFS_SET_* that the caller decided: publishing leaves them alone */
    atomic_uint_least64_t unflushed; /* bytes written since writeback was last started */
    bool is_staging;
    struct staging staging;
};

static inline struct dir_volume *dir_volume_of(struct vfs *v)
{
    return container_of(v, struct dir_volume, base);
}
static inline struct dir_handle *dir_handle_of(struct vfs_dir *d)
{
    return container_of(d, struct dir_handle, base);
}
static inline struct dir_file *dir_file_of(struct vfs_file *f)
{
    return container_of(f, struct dir_file, base);
}

/* -errno of a call that took a name. ESTALE, which network filesystems say of a directory that is gone, means something
 * else in vfs/vfs.h. */
static inline int name_errno(void)
{
    return errno == ESTALE ? -ENOENT : -errno;
}

/* How far apart two changes may be and still leave the same time: the kernel's tick is 1 to 10 ms, but there are filesystems
 * with times in full seconds (or two, FAT). */
static inline int64_t dir_tick_ns(int64_t time_ns)
{
    return time_ns % 1000000000 == 0 ? 2100 * 1000 * 1000ll : 20 * 1000 * 1000ll;
}

/* Handles (dir.c) */
struct dir_handle *dir_handle_ref(struct dir_handle *h);
void dir_handle_unref(struct dir_handle *h);

/* For steps that another request's making or removing of directories can get in the way of: for (unsigned turn = 0;
 * race_turn(&turn);) tries them again, with growing pauses up to about a second in all. Then the answer is -EBUSY. */
MUST_USE bool race_turn(unsigned *turn);
/* An open directory without a name: it takes no new entries, whatever the error says. */
MUST_USE bool is_removed(int dir_fd);

/* Resolution (resolve.c). All return a descriptor (O_CLOEXEC) or -errno. */

/* Opens `path` below the handle, following inner links; flags as for open(2). */
MUST_USE int resolve(const struct dir_handle *h, struct str path, int flags);
/* The same as that identity. */
MUST_USE int resolve_as(const struct dir_volume *v, const struct dir_handle *h, struct str path, int flags,
                        const struct vfs_cred *cred);
/* One name in a directory that is already open; a symlink is -ELOOP. */
MUST_USE int resolve_child(int dir_fd, const char *name, int flags);
/* A regular file (or, with allow_dir, a directory); never opens anything else, -ENXIO. flags: O_RDONLY or O_RDWR. */
MUST_USE int resolve_regular(const struct dir_handle *h, struct str path, int flags, bool allow_dir);
/* What the path means at this moment, if that is a regular file; -EAGAIN otherwise. Confined to nothing, a hint. */
MUST_USE int look_regular(const struct dir_handle *h, struct str path, struct stat *out);
/* For reading what was just looked at, when name and inode are in memory: -EAGAIN when not, or when the file is not a regular one;
 * the caller has reason to believe that they are. Gives the attributes. */
MUST_USE int resolve_regular_nowait(const struct dir_handle *h, struct str path, struct vfs_attr *out_attr);
/* A second descriptor of the node behind an O_PATH descriptor. */
MUST_USE int reopen(int path_fd, int flags);
/* The directory opened so that it can be synced. */
MUST_USE int reopen_dir(int dir_fd);
/* The process's own state stays its own, whatever modes the volume's directories have. */
mode_t mode_of_new_dir(const struct dir_volume *v, struct str name);

/* A name and the open directory that has it. */
struct place {
    int parent; /* O_PATH, or the handle's own */
    bool is_borrowed; /* the latter, which must not be closed before */
    dev_t dev;
    ino_t ino; /* of the parent */
    char name[NAME_MAX + 1];
};
#define PLACE_INIT {.parent = -1}
void place_done(struct place *p);
/* The parent's descriptor, now the caller's to close; or negative errno. */
MUST_USE int place_take_parent(struct place *p);
MUST_USE int place_find(const struct dir_volume *v, const struct dir_handle *h, struct str path,
                        const struct vfs_cred *cred, struct place *out);
/* As place_find; missing parents are made, implicitly. *out_made: how many, also on failure. */
MUST_USE int place_make(struct dir_volume *v, const struct dir_handle *h, struct str path,
                        const struct vfs_cred *cred, struct place *out, unsigned *out_made);
/* Opens a directory (O_PATH), making what is missing of the path. */
MUST_USE int parents_make(struct dir_volume *v, const struct dir_handle *h, struct str path,
                          const struct vfs_cred *cred, unsigned *out_made);

struct mutex *stripe_of(struct dir_volume *v, const struct place *p);

/* Attributes (node.c); attr_at does not follow a link. */
MUST_USE int attr_of_fd(int fd, struct vfs_attr *out);
MUST_USE int attr_at(int dir_fd, const char *name, struct vfs_attr *out);
/* Both of a regular file, by its name in a directory on the private filesystem: two system calls instead of four. -EAGAIN: not
 * sure that they are of one file, or something else that is better met in opening it (xattr.c). */
MUST_USE int entry_read(struct dir_volume *v, int dir_fd, struct str name, const char *xattr_name, struct vfs_attr *out,
                        struct buf *out_value);

/* Extended attributes, wherever the volume keeps them (xattr.c); -ESTALE as in vfs/vfs.h. fd may not be O_PATH. */
MUST_USE int xattr_read(struct dir_volume *v, int fd, const char *name, struct buf *out);
/* Of a file that need not be opened for it; -EAGAIN when that cannot be: no such system call, the value is elsewhere, an error
 * that is better met in opening it. */
MUST_USE int xattr_read_at(struct dir_volume *v, int dir_fd, const char *file, const char *name, struct buf *out);
MUST_USE int xattr_write(struct dir_volume *v, int fd, const struct vfs_cred *cred, const char *name, struct str value);
MUST_USE int xattr_erase(struct dir_volume *v, int fd, const struct vfs_cred *cred, const char *name);
MUST_USE bool xattr_supported(int root_fd);
/* Opens the sidecar; `make`: whether it is there already or not. */
MUST_USE int xattr_open_sidecar(struct dir_volume *v, bool make);
/* As xattr_write, unless there is a value already. */
MUST_USE int xattr_add(struct dir_volume *v, int fd, const struct vfs_cred *cred, const char *name, struct str value);
/* Was, before a name of it goes: drops a sidecar's rows when `was` had its last link there. */
void xattr_forget(struct dir_volume *v, const struct vfs_attr *was);
/* The directory has just been made on the way to something. */
void dir_mark_new(struct dir_volume *v, int fd, const struct vfs_cred *cred);
bool dir_is_marked(struct dir_volume *v, int fd);

/* Files (file.c) */
struct dir_file *dir_file_new(struct dir_volume *v, int fd);

/* Temporary names (temp.c) */
void temp_name(char out[DIR_TEMP_NAME_SIZE]);
bool temp_is_name(const char *name);
/* Removes name when nobody is at work on it and it is older than an hour. */
void temp_remove_stale(int dir_fd, const char *name);
/* Opens (making it) the directory for temporary files below the handle. */
MUST_USE int temp_dir_open(struct dir_volume *v, const struct dir_handle *h);
/* Looks for stale files in it, at most once an hour. */
void temp_sweep(struct dir_volume *v, int temp_dir);
/* Links the file behind fd to a name. The thread acts as that identity already. */
MUST_USE int link_fd(struct dir_volume *v, int fd, int dir_fd, const char *name, const struct vfs_cred *cred);

/* What a new file of that directory would get: group, ACL, mode, owner (adopt.c). chosen: VFS_SET_* to leave alone. */
MUST_USE int adopt(struct dir_volume *v, int fd, int parent_fd, const struct vfs_cred *cred, unsigned chosen);

/* Removes `path` and its parents while they are implicit and empty (node.c). */
void prune(struct dir_volume *v, const struct dir_handle *h, struct str path, const struct vfs_cred *cred);

/* Makes a file's data, attributes and records durable (name.c). */
MUST_USE int sync_file(struct dir_volume *v, int fd);
/* Makes names durable: the directory, and directories above it that were made and not synced yet (name.c). */
MUST_USE int sync_names(struct dir_volume *v, const int *dir_fds, size_t count);

/* The operations. */
int dir_mkdir(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, unsigned flags);
int dir_rmdir(struct vfs_dir *d, struct str path, const struct vfs_cred *cred);
void dir_prune(struct vfs_dir *d, struct str path, const struct vfs_cred *cred);
int dir_is_implicit(struct vfs_dir *d, struct str path, const struct vfs_cred *cred);
int dir_set_implicit(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, bool implicit);
int dir_lookup(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct vfs_attr *out);
int dir_unlink(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, const struct vfs_version *expected);
int dir_discard(struct vfs_dir *d, struct str path);
int dir_rename(struct vfs_dir *d, struct str from, struct str to, const struct vfs_cred *cred, unsigned flags);
int dir_file_open(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, unsigned flags,
                  struct vfs_file **out, struct vfs_attr *out_attr);
void dir_file_close(struct vfs_file *f);
int dir_file_fstat(struct vfs_file *f, struct vfs_attr *out);
ssize_t dir_file_read(struct vfs_file *f, void *out, size_t size, uint64_t offset);
ssize_t dir_file_read_nowait(struct vfs_file *f, void *out, size_t size, uint64_t offset);
int dir_file_write(struct vfs_file *f, struct pieces p, uint64_t offset);
int dir_file_truncate(struct vfs_file *f, uint64_t size);
int dir_file_fd(struct vfs_file *f);
int dir_file_sync(struct vfs_file *f);
int dir_file_clone_range(struct vfs_file *dst, uint64_t dst_offset, struct vfs_file *src, uint64_t src_offset,
                         uint64_t size, uint64_t *out_done);
int dir_file_lock(struct vfs_file *f, bool exclusive);
int dir_file_setattr(struct vfs_file *f, const struct vfs_cred *cred, const struct vfs_set *set);
int dir_xattr_get(struct vfs_file *f, const char *name, struct buf *out);
int dir_xattr_set(struct vfs_file *f, const struct vfs_cred *cred, const char *name, struct str value);
int dir_xattr_remove(struct vfs_file *f, const struct vfs_cred *cred, const char *name);
int dir_stage(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, uint64_t size_hint,
              struct vfs_file **out);
/* The file got a name of its own, or goes away without one. */
void staging_done(struct dir_file *f);
/* Moves the place of that path out of it, if that was found a moment ago; else false. */
bool staging_take_place(struct dir_file *f, const struct dir_handle *h, struct str path, const struct vfs_cred *cred, struct place *out);
void staging_abandon(struct dir_file *f);
int dir_publish(struct vfs_file *f, struct vfs_dir *d, struct str path, const struct vfs_cred *cred,
                const struct vfs_publish *how, struct vfs_attr *out_attr);
int dir_scan_open(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct str from,
                  struct vfs_scan **out);
int dir_scan_open_unordered(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct vfs_scan **out);
int dir_scan_next(struct vfs_scan *s, struct vfs_dirent *out);
int dir_scan_stat(struct vfs_scan *s, struct vfs_attr *out, const char *xattr_name, struct buf *out_value);
void dir_scan_expect(struct vfs_scan *s, size_t count, const char *xattr_name);
void dir_scan_close(struct vfs_scan *s);

#endif
