/* What the files of a JuiceFS volume share. For these files only. */
#ifndef VFS_JFS_JFS_INTERNAL_H
#define VFS_JFS_JFS_INTERNAL_H

#include <stdatomic.h>

#include "base/alive.h"
#include "base/limits.h"
#include "base/mutex.h"
#include "vfs/jfs/client.h"
#include "vfs/vfs_ops.h"

/* Set, to "1", on directories that were made on the way to something; see vfs_is_implicit. */
#define JFS_IMPLICIT_XATTR "user.sluice.implicit"
/* In the root: what gateways keep there, the official ones their uploads, we our state (state.c). */
#define JFS_GATEWAYS_NAME ".sys"
/* A race lost this often in a row is somebody who does not let us through. */
#define JFS_RACE_TURNS 50

struct jfs_dir {
    struct vfs_dir base;
    meta_ino ino;
    bool nowait;   /* vfs_dir_open_nowait */
    bool in_state; /* below a .sluice: what is removed there does not go to the trash */
};

struct jfs_volume {
    struct vfs base;
    struct jfs_dir root;
    struct vfs_options options;
    uint16_t umask;
    struct meta_ctx self; /* the process: owner of what it makes; nothing is forbidden to it */
    struct jfs_client client;
    struct meta *meta; /* the client's */
    struct data *data;
    _Atomic(uint64_t) next_owner; /* of locks */
    struct alive alive; /* inherit.c: our session, for the next process */
};

/* Present until the file has its name. */
struct jfs_staging {
    meta_ino dir;      /* the handle that the path is relative to */
    struct str parent; /* owned; directories made on the way end here. ptr NULL: none were made */
    struct meta_xattr *xattrs; /* its texts are owned */
    size_t xattr_count;
    /* Under the file's lock: */
    bool is_draft;           /* the database knows nothing of it, only `draft` does */
    bool flushing;           /* it is about to be published, as far as we know: the draft may keep a slice */
    bool may_be_published;   /* whether publishing has worked could not be told */
    struct meta_draft draft;
};

struct jfs_file {
    struct vfs_file base;
    meta_ino ino;
    bool can_write, is_directory, is_staged;
    bool nowait;                 /* opened from memory; the metadata has not been told */
    struct meta_stamp found;     /* nowait: the state of the metadata that it was found in, or an earlier one */
    struct meta_attr attr;       /* of a nowait file, as of then */
    bool is_locked;
    uint64_t owner;              /* of locks; 0: none taken yet */
    _Atomic(uint64_t) length;    /* as last seen */
    struct data_writer *writer;  /* NULL: nothing was written */
    struct mutex lock;           /* guards the making of `writer`, and the draft */
    meta_ino parent;             /* where vfs_open found it, for publishing it anew */
    struct str name;             /* owned */
    struct jfs_staging staging;
    unsigned set;                /* VFS_SET_… done through this handle */
};

static inline struct jfs_volume *jfs_volume_of(struct vfs *v)
{
    return (struct jfs_volume *)(void *)v;
}
static inline struct jfs_dir *jfs_dir_of(struct vfs_dir *d)
{
    return (struct jfs_dir *)(void *)d;
}
static inline struct jfs_file *jfs_file_of(struct vfs_file *f)
{
    return (struct jfs_file *)(void *)f;
}

struct jfs_node {
    meta_ino ino;
    struct meta_attr attr;
};

/* nowait.c: small files whose names and attributes are remembered; -EAGAIN for all others. Such a file is read whole at once,
 * or soon after by a worker; that it is not counted as open is made up for by the delay with which the data of removed files
 * goes, as for readers at other gateways (LIMIT_META_RECLAIM_DELAY_MS). */
int jfs_dir_open_nowait(struct vfs_dir *parent, struct str path, struct vfs_dir **out);
MUST_USE int jfs_lookup_nowait(struct vfs_dir *d, struct str path, struct vfs_attr *out);
MUST_USE int jfs_open_nowait(struct vfs_dir *d, struct str path, unsigned flags, struct vfs_file **out,
                             struct vfs_attr *out_attr);
ssize_t jfs_file_read_nowait(struct vfs_file *f, void *out, size_t size, uint64_t offset);
struct jfs_dir *jfs_dir_new(struct jfs_volume *v, meta_ino ino, bool in_state);

/* resolve.c */

/* On whose behalf; *scratch lives as long as the result is used. */
const struct meta_ctx *jfs_ctx(const struct jfs_volume *v, const struct vfs_cred *cred, struct meta_ctx *scratch);
/* The node behind a path below the directory; symlinks are followed, none leads out. */
MUST_USE int jfs_resolve(struct jfs_volume *v, const struct meta_ctx *ctx, meta_ino dir, struct str path,
                         struct jfs_node *out);
/* As jfs_resolve, of what must be a directory: else -ENOTDIR. */
MUST_USE int jfs_resolve_dir(struct jfs_volume *v, const struct meta_ctx *ctx, meta_ino dir, struct str path, meta_ino *out);
/* A name was gone where its directory had just been found: worth another turn, unless it is the handle's own directory that is no
 * more. */
bool jfs_is_gone(struct jfs_volume *v, meta_ino dir);
/* As jfs_resolve_dir; missing directories are made, implicitly, and *out_made says so (never reset). */
MUST_USE int jfs_make_dirs(struct jfs_volume *v, const struct meta_ctx *ctx, meta_ino dir, struct str path, meta_ino *out,
                           bool *out_made);
void jfs_attr(meta_ino ino, const struct meta_attr *a, struct vfs_attr *out);
/* The atime of a directory that the official gateway takes for an object (§9.4): 0 in whole milliseconds. */
static inline bool jfs_is_object_time(const struct timespec *atime)
{
    return atime->tv_sec == 0 && atime->tv_nsec < 1000000;
}
struct timespec jfs_time(int64_t ns);
struct meta_version jfs_version(const struct vfs_version *v);
/* Whether what has this path is ours alone, and would only litter the trash. */
bool jfs_skips_trash(const struct jfs_dir *d, struct str path);
uint64_t jfs_new_owner(struct jfs_volume *v);
/* A text of one's own, never NULL, and its end. */
struct str jfs_own(struct str s);
void jfs_disown(struct str *s);

/* state.c */

/* Where a caller's path leads: one with a segment ".sluice" elsewhere than it says. `text` holds it then. */
struct jfs_place {
    meta_ino dir;
    struct str path; /* below dir */
    char text[LIMIT_KEY_BYTES + 64];
};
/* The directory that the state is of, when it is not there. */
enum jfs_missing { JFS_FAIL, JFS_MAKE };
MUST_USE int jfs_locate(struct jfs_volume *v, const struct meta_ctx *ctx, struct vfs_dir *d, struct str path,
                        enum jfs_missing missing, struct jfs_place *out);
bool jfs_is_state_path(struct str path);
/* The mode that a directory at this place is made with: 0700 for the state, from its first moment, since other requests look whether
 * it is the process's own (s3_bucket_documents). */
uint16_t jfs_dir_mode(const struct jfs_volume *v, meta_ino dir, struct str path);
/* Removes a directory's state. -ENOTEMPTY when something in it is in use. */
MUST_USE int jfs_state_remove_idle(struct jfs_volume *v, meta_ino owner);
/* Removes the state of directories that are no more: other clients remove a bucket and know nothing of it. Best effort. */
void jfs_state_sweep(struct jfs_volume *v);

/* inherit.c */
void jfs_inherit(struct vfs *base, const char *state_dir);

/* node.c */
int jfs_lookup(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct vfs_attr *out);
int jfs_mkdir(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, unsigned flags);
int jfs_rmdir(struct vfs_dir *d, struct str path, const struct vfs_cred *cred);
void jfs_prune(struct vfs_dir *d, struct str path, const struct vfs_cred *cred);
void jfs_prune_below(struct jfs_volume *v, const struct meta_ctx *ctx, meta_ino dir, struct str path);
int jfs_is_implicit(struct vfs_dir *d, struct str path, const struct vfs_cred *cred);
int jfs_set_implicit(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, bool implicit);
/* A directory that is marked from its first moment: a crash must not leave one that looks made by hand, nor may an explicit one be
 * pruned before it has its mark. */
MUST_USE int jfs_mkdir_marked(struct jfs_volume *v, const struct meta_ctx *ctx, meta_ino parent, struct str name, uint16_t mode,
                              bool implicit, meta_ino *out);
int jfs_unlink(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, const struct vfs_version *expected);
int jfs_discard(struct vfs_dir *d, struct str path);
int jfs_rename(struct vfs_dir *d, struct str from, struct str to, const struct vfs_cred *cred, unsigned flags);

/* file.c */
struct jfs_file *jfs_file_new(struct jfs_volume *v, meta_ino ino, const struct meta_attr *attr);
/* Under which name it is to be found. */
void jfs_file_place(struct jfs_file *f, meta_ino parent, struct str name);
/* What was written is in the store, and committed, or kept by the draft. */
int jfs_flush(struct jfs_file *f);
/* As jfs_flush, and the file is one of the database: for what asks that by number. */
MUST_USE int jfs_settle(struct jfs_file *f);
int jfs_file_open(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, unsigned flags, struct vfs_file **out,
                  struct vfs_attr *out_attr);
void jfs_file_close(struct vfs_file *f);
int jfs_file_fstat(struct vfs_file *f, struct vfs_attr *out);
ssize_t jfs_file_read(struct vfs_file *f, void *out, size_t size, uint64_t offset);
int jfs_file_write(struct vfs_file *f, struct pieces p, uint64_t offset);
int jfs_file_truncate(struct vfs_file *f, uint64_t size);
int jfs_file_fd(struct vfs_file *f);
int jfs_file_lend(struct vfs_file *f, uint64_t offset, uint64_t size, struct vfs_loan *out);
void jfs_loan_done(struct vfs_loan *l);
int jfs_file_sync(struct vfs_file *f);
int jfs_file_clone_range(struct vfs_file *dst, uint64_t dst_offset, struct vfs_file *src, uint64_t src_offset,
                         uint64_t size, uint64_t *out_done);
int jfs_file_lock(struct vfs_file *f, bool exclusive);
int jfs_file_setattr(struct vfs_file *f, const struct vfs_cred *cred, const struct vfs_set *set);
/* xattr.c */
void jfs_xattrs_forget_staged(struct jfs_file *f);
int jfs_xattr_get(struct vfs_file *f, const char *name, struct buf *out);
int jfs_xattr_set(struct vfs_file *f, const struct vfs_cred *cred, const char *name, struct str value);
int jfs_xattr_remove(struct vfs_file *f, const struct vfs_cred *cred, const char *name);
int jfs_xattr_each(struct vfs_file *f, vfs_xattr_fn fn, void *arg);
int jfs_xattrs_set(struct vfs_file *f, const struct vfs_cred *cred, const struct vfs_xattr *xattrs, size_t count);

/* stage.c */
int jfs_stage(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, uint64_t size_hint, struct vfs_file **out);
/* Commits a slice of the file `arg` (struct data_commit). */
int jfs_take_slice(void *arg, uint32_t indx, uint32_t off, const struct meta_slice *slice, const struct timespec *mtime);
void jfs_draft_flushing(struct jfs_file *f, bool is_flushing);
/* A draft's attributes so far. False: it is none. */
MUST_USE bool jfs_draft_attr(struct jfs_file *f, struct meta_attr *out);
/* Sets its times. False: it is none, or more is asked for than times, or by somebody whose right to that has to be looked up. */
MUST_USE bool jfs_draft_set_times(struct jfs_file *f, const struct vfs_cred *cred, const struct vfs_set *set);
/* A draft is made a node without a name. */
MUST_USE int jfs_draft_stage(struct jfs_file *f);
/* A staged file is closed without having got a name. */
void jfs_staging_abandon(struct jfs_file *f);
void jfs_staging_done(struct jfs_file *f);
int jfs_publish(struct vfs_file *f, struct vfs_dir *d, struct str path, const struct vfs_cred *cred,
                const struct vfs_publish *how, struct vfs_attr *out_attr);

/* scan.c */
int jfs_scan_open(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct str from, struct vfs_scan **out);
int jfs_scan_open_unordered(struct vfs_dir *d, struct str path, const struct vfs_cred *cred, struct vfs_scan **out);
int jfs_scan_next(struct vfs_scan *s, struct vfs_dirent *out);
int jfs_scan_stat(struct vfs_scan *s, struct vfs_attr *out, const char *xattr_name, struct buf *out_value);
void jfs_scan_close(struct vfs_scan *s);

#endif
