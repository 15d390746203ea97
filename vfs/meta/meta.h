/* The metadata of a JuiceFS-format volume, by inode and shaped like POSIX: the format's semantics (§7), written once over the
 * typed records of engine.h. What official clients of the same volume see is at any time a state that they could have made
 * themselves.
 *
 * ctx: on whose behalf (NULL: root). Names are checked here: empty, longer than 255 bytes, with '/' or NUL are -EINVAL (too
 * long: -ENAMETOOLONG). "." and ".." are known to meta_lookup only. Volumes opened read-only answer -EROFS to what writes.
 * Errors: negative errno; outputs untouched. -EIO: a damaged record, or the database fails. -EBUSY: others were in the way all
 * the time.
 * Thread: any; everything may block. */
#ifndef VFS_META_META_H
#define VFS_META_META_H

#include "base/buf.h"
#include "base/compiler.h"
#include "vfs/meta/attr.h"
#include "vfs/meta/engine.h"

struct meta; /* an open volume's metadata */
struct meta_settings;

/* Volume (settings.h has the setting record) ------------------------------------------------------------------------ */

struct meta_options {
    bool read_only;     /* no session, nothing written */
    bool no_sync;       /* a change need not survive a loss of power */
    bool lazy;          /* nor before meta_sync: as with a local filesystem, whose callers say what must */
    bool no_background; /* none of the duties of §7.24 (tests, short commands); sessions are kept all the same */
    uint32_t reclaim_delay_ms;  /* a deleted file's data stays so long, for who reads it through another client */
    uint32_t skip_dir_mtime_ms; /* parents' times are left alone when newer than this; official clients: 100 */
    const char *mount_point;    /* told in the session's record; NULL: "" */
    uint64_t resume_session;    /* goes on with a session whose process ended without closing it; 0: a new one */
};

/* Opens the volume behind a metadata URL, checks its setting record (versions, features that we honour), and unless
 * read-only starts a session with its heartbeat and the background duties. *out_error: a line of text that names what is
 * the matter, static or thread-local. */
MUST_USE int meta_open(struct str url, const struct meta_options *options, struct meta **out, const char **out_error);
/* Ends the session, flushes what is accumulated, frees. All files must be closed. NULL is fine. */
void meta_close(struct meta *m);
/* Ends the background duties, and with them calls of the data layer; before the data layer goes. NULL is fine. */
void meta_stop(struct meta *m);
/* As meta_close, but the session stays, with its locks and unlinked open files, for who resumes it before it expires. */
void meta_leave(struct meta *m);
/* The session's number; 0: none. */
uint64_t meta_session_id(const struct meta *m);
/* Its record's text, which no other session has. Borrowed, until the session ends; empty: none. */
struct str meta_session_info(const struct meta *m);
/* Ends another session, whose process is known to be dead, as its expiry would: its locks, its unlinked open files. 1; 0: there is none of that
 * number and text, which may be somebody else's by now. */
MUST_USE int meta_session_end(struct meta *m, uint64_t sid, struct str info);
/* Makes a new volume: tables, setting, root and trash, counters (§1.5). -EEXIST: there is a volume; force: only the
 * setting record is replaced then. */
MUST_USE int meta_format(struct str url, const struct meta_settings *settings, bool force, const char **out_error);
/* The setting record as last loaded, as a copy for meta_settings_free (settings.h). */
MUST_USE struct meta_settings *meta_settings_copy(struct meta *m);
/* Calls fn with them now, and, on the heartbeat's thread, whenever they were read again. fn NULL: no more; no call is running when it
 * returns. */
typedef void (*meta_settings_fn)(void *arg, const struct meta_settings *settings);
void meta_on_settings(struct meta *m, meta_settings_fn fn, void *arg);
bool meta_is_read_only(const struct meta *m);
/* Calls fn for each client's session of the volume; fn runs inside a read transaction. */
MUST_USE int meta_sessions(struct meta *m, meta_session_fn fn, void *arg);

/* What was committed so far survives a loss of power. Cheap when that is so already. */
MUST_USE int meta_sync(struct meta *m);
/* The state of the database as of now; unknown where that cannot be told without asking it. Never waits. */
struct meta_stamp meta_stamp(struct meta *m);

/* Nodes by name ----------------------------------------------------------------------------------------------------- */

/* One name. parent's x permission is checked when ctx says so. "." and ".." work; the root has ".trash". */
MUST_USE int meta_lookup(struct meta *m, const struct meta_ctx *ctx, meta_ino parent, struct str name, meta_ino *out_ino,
                         struct meta_attr *out);
/* As meta_lookup, meta_resolve, meta_xattr_get and meta_xattr_list without a ctx, for threads that may not wait: what the same
 * call has found before, unless anything in the volume has been changed since; then, and otherwise, -EAGAIN. */
MUST_USE int meta_recall_name(struct meta *m, meta_ino parent, struct str name, meta_ino *out_ino, struct meta_attr *out);
MUST_USE int meta_recall_path(struct meta *m, meta_ino from, struct str path, meta_ino *out_ino, struct meta_attr *out);
MUST_USE int meta_recall_xattr(struct meta *m, meta_ino ino, struct str name, struct buf *out);
MUST_USE int meta_recall_xattrs(struct meta *m, meta_ino ino, meta_xattr_fn fn, void *arg);
/* A path of names separated by '/', without following symlinks (one on the way is -ENOTDIR); "" is `from` itself.
 * *out_ino and *out: the last component. One read transaction. */
MUST_USE int meta_resolve(struct meta *m, const struct meta_ctx *ctx, meta_ino from, struct str path, meta_ino *out_ino,
                          struct meta_attr *out);

struct meta_new {
    uint8_t type; /* enum meta_type */
    uint16_t mode, umask;
    uint32_t rdev;     /* devices */
    struct str target; /* symlinks: at most META_SYMLINK_MAX bytes */
    const char *xattr_name; /* an extended attribute that it has from the start; NULL: none */
    struct str xattr_value;
};
/* Makes a node of any type. -EEXIST: the name is taken (then *out_ino and *out are those of what is there). -EPERM in the
 * trash. -EDQUOT, -ENOSPC. */
MUST_USE int meta_mknod(struct meta *m, const struct meta_ctx *ctx, meta_ino parent, struct str name,
                        const struct meta_new *what, meta_ino *out_ino, struct meta_attr *out);
/* A regular file, opened as with meta_node_open; when the name is a regular file already and not exclusive, that one is. */
MUST_USE int meta_create(struct meta *m, const struct meta_ctx *ctx, meta_ino parent, struct str name, uint16_t mode,
                         uint16_t umask, bool exclusive, meta_ino *out_ino, struct meta_attr *out);
MUST_USE int meta_mkdir(struct meta *m, const struct meta_ctx *ctx, meta_ino parent, struct str name, uint16_t mode,
                        uint16_t umask, meta_ino *out_ino, struct meta_attr *out);
MUST_USE int meta_symlink(struct meta *m, const struct meta_ctx *ctx, meta_ino parent, struct str name, struct str target,
                          meta_ino *out_ino, struct meta_attr *out);
/* Appends the target. -EINVAL: no symlink. */
MUST_USE int meta_readlink(struct meta *m, meta_ino ino, struct buf *out);
/* Another name of a file. out: its attributes after. -EPERM for directories. */
MUST_USE int meta_link(struct meta *m, const struct meta_ctx *ctx, meta_ino ino, meta_ino parent, struct str name,
                       struct meta_attr *out);

enum {
    META_SKIP_TRASH = 1, /* even where the volume has a trash */
    META_LAZY = 2,       /* need not survive a loss of power before a later change does that is not lazy */
};
/* The name goes; the file too with its last name, into the trash where the volume has one. expected (may be NULL): -ESTALE
 * unless the name's file is of that version. -EISDIR for directories (official clients say EPERM). */
MUST_USE int meta_unlink(struct meta *m, const struct meta_ctx *ctx, meta_ino parent, struct str name, unsigned flags,
                         const struct meta_version *expected);
/* -ENOTEMPTY, -ENOTDIR. */
MUST_USE int meta_rmdir(struct meta *m, const struct meta_ctx *ctx, meta_ino parent, struct str name, unsigned flags);
/* Whether a directory with these attributes and this value of the extended attribute `xattr` (ptr NULL: it has none) is meant.
 * Asked inside the transaction, maybe several times. */
struct meta_condition {
    struct str xattr;
    bool (*is_met)(const struct meta_attr *attr, struct str value);
};
/* As meta_rmdir, decided in the same transaction. -EBUSY: the condition is not met. */
MUST_USE int meta_rmdir_if(struct meta *m, const struct meta_ctx *ctx, meta_ino parent, struct str name, unsigned flags,
                           const struct meta_condition *condition);

enum {
    META_RENAME_NOREPLACE = 1,
    META_RENAME_EXCHANGE = 2,
    META_RENAME_RESTORE = 32 /* out of the trash, with NOREPLACE */
};
/* -EINVAL also when the destination is below the source. -ENOTSUP: RENAME_WHITEOUT (4). */
MUST_USE int meta_rename(struct meta *m, const struct meta_ctx *ctx, meta_ino src_parent, struct str src_name,
                         meta_ino dst_parent, struct str dst_name, unsigned flags, meta_ino *out_ino,
                         struct meta_attr *out);

/* value.ptr NULL: there shall be none of that name. */
struct meta_xattr {
    struct str name, value;
};

/* A file that is being written, in our memory alone: nobody else knows of it, and a crash leaves nothing but blocks, for gc. meta_publish
 * brings it into the database, name and all, in one transaction. What takes long or needs the database on the way is staged: then
 * it is a node without a name, kept by our session alone, whose end, ours or that of the reaper, removes it with its blocks. */
struct meta_draft {
    meta_ino ino;
    struct meta_attr attr; /* as it will be, but for its parent and its ctime */
    uint32_t indx;
    struct meta_slice slice; /* in that chunk, from slice.pos on. id 0: none */
};
/* Owner, group, mode and ACL are those of a new file in `parent`. It counts as open until meta_node_close, which deletes it when it
 * was staged and not published. -EDQUOT, -ENOSPC: there is no room for another file. */
MUST_USE int meta_draft(struct meta *m, const struct meta_ctx *ctx, meta_ino parent, uint16_t mode, uint16_t umask,
                        struct meta_draft *out);
/* In place of meta_write_slice, for blocks that will not wait long for their publishing: clients' gc takes what nobody mentions for an
 * hour. False: a draft holds one slice, and has it already. */
MUST_USE bool meta_draft_take(struct meta_draft *d, uint32_t indx, uint32_t off, const struct meta_slice *slice,
                              const struct timespec *mtime);
/* It is no draft afterwards, but a node. */
MUST_USE int meta_stage(struct meta *m, const struct meta_draft *draft);
enum meta_publish_mode {
    META_PUBLISH_REPLACE,   /* whatever is there, but no directory: -EISDIR */
    META_PUBLISH_CREATE,    /* -EEXIST when the name is taken */
    META_PUBLISH_IF_VERSION /* -ESTALE unless the name's file is of that version, -ENOENT without one */
};
struct meta_publish {
    enum meta_publish_mode mode;
    struct meta_version version;
    const struct meta_draft *draft; /* NULL: it is in the database */
    /* The file has a name already: it moves from there, and takes on the group, mode and ACL of a new file in its new place
     * with this mode and umask. from_name empty: a draft, or a staged one. */
    meta_ino from_parent;
    struct str from_name;
    uint16_t file_mode, umask;
    const struct meta_xattr *xattrs; /* that it has from then on, beside others */
    size_t xattr_count;
};
/* Gives the file its name in one transaction, in which what had the name is unlinked (to the trash, if there is one). Never
 * -EPERM for what is immutable only by its parent's sticky bit when ctx is root. out (may be NULL): the file afterwards. On
 * -EIO and -EBUSY it may have its name all the same. */
MUST_USE int meta_publish(struct meta *m, const struct meta_ctx *ctx, meta_ino ino, meta_ino parent, struct str name,
                          const struct meta_publish *how, struct meta_attr *out);

/* Entries of a directory in byte order of their names, "." and ".." left out: those greater than scan->after (or equal, when
 * inclusive), at most scan->limit. fn runs inside a read transaction and must not call back into meta. Wants r permission,
 * and x too with attributes. */
MUST_USE int meta_readdir(struct meta *m, const struct meta_ctx *ctx, const struct meta_edge_scan *scan, meta_entry_fn fn,
                          void *arg);

/* Trees ------------------------------------------------------------------------------------------------------------- */

/* Told of each name as it is done; what it returns other than 0 ends the operation and is returned. */
typedef int (*meta_progress_fn)(void *arg, uint64_t names, uint64_t bytes);
/* A name with all below it, as ctx may; flags of meta_unlink. On failure some is gone. -E2BIG: too many names on the way.
 * progress may be NULL. */
MUST_USE int meta_remove_tree(struct meta *m, const struct meta_ctx *ctx, meta_ino parent, struct str name, unsigned flags,
                              meta_progress_fn progress, void *arg);

struct meta_clone {
    const struct meta_ctx *ctx;
    meta_ino from, parent;
    struct str name;
    bool preserve;  /* owner, mode and times of the originals; else they are the caller's, and now */
    uint16_t umask; /* without preserve */
};
/* A copy by reference of a file, or of a directory with all below it, which appears whole or not at all. -EEXIST. What the
 * caller may not read ends it (-EACCES). progress may be NULL. */
MUST_USE int meta_clone(struct meta *m, const struct meta_clone *how, meta_progress_fn progress, void *arg);

/* Calls fn for each path of the inode, as seen from the directory `root`: "/…", or empty when it is not below that. None of an
 * inode without a name, or without a node. */
typedef int (*meta_path_fn)(void *arg, struct str path);
MUST_USE int meta_paths(struct meta *m, meta_ino ino, meta_ino root, meta_path_fn fn, void *arg);

/* Attributes -------------------------------------------------------------------------------------------------------- */

MUST_USE int meta_getattr(struct meta *m, meta_ino ino, struct meta_attr *out);
enum { META_ACCESS_X = 1, META_ACCESS_W = 2, META_ACCESS_R = 4 };
/* -EACCES unless ctx may do all of `want`. attr (may be NULL) saves the read. */
MUST_USE int meta_access(struct meta *m, const struct meta_ctx *ctx, meta_ino ino, unsigned want,
                         const struct meta_attr *attr);
/* The format's bits; sizes change by meta_truncate. */
enum {
    META_SET_MODE = 1,
    META_SET_UID = 2,
    META_SET_GID = 4,
    META_SET_ATIME = 16,
    META_SET_MTIME = 32,
    META_SET_CTIME = 64, /* ignored: ctime is always now */
    META_SET_ATIME_NOW = 128,
    META_SET_MTIME_NOW = 256,
    META_SET_FLAGS = 0x8000
};
/* in: the new values of what `which` names. out (may be NULL): all attributes after. */
MUST_USE int meta_setattr(struct meta *m, const struct meta_ctx *ctx, meta_ino ino, unsigned which,
                          const struct meta_attr *in, struct meta_attr *out);

/* Extended attributes: no permissions are checked, as official clients leave that to the kernel. POSIX ACLs are not kept
 * here but by meta_acl_*, whatever the door. Appends the value; -ENODATA. */
MUST_USE int meta_xattr_get(struct meta *m, meta_ino ino, struct str name, struct buf *out);
/* Calls fn for each; fn runs inside a read transaction. */
MUST_USE int meta_xattr_list(struct meta *m, meta_ino ino, meta_xattr_fn fn, void *arg);
enum { META_XATTR_CREATE = 1, META_XATTR_REPLACE = 2 };
/* -EEXIST, -ENODATA by the flags; -ENOENT when the node has gone. */
MUST_USE int meta_xattr_set(struct meta *m, meta_ino ino, struct str name, struct str value, unsigned flags);
MUST_USE int meta_xattr_remove(struct meta *m, meta_ino ino, struct str name);
/* Several in one transaction. */
MUST_USE int meta_xattrs_set(struct meta *m, meta_ino ino, const struct meta_xattr *xattrs, size_t count);

enum meta_acl_type { META_ACL_ACCESS = 1, META_ACL_DEFAULT = 2 };
/* -ENODATA: none. -ENOTSUP: the volume has no ACLs. */
MUST_USE int meta_acl_get(struct meta *m, meta_ino ino, enum meta_acl_type type, struct meta_acl *out);
/* An empty rule removes. */
MUST_USE int meta_acl_set(struct meta *m, const struct meta_ctx *ctx, meta_ino ino, enum meta_acl_type type,
                          const struct meta_acl *rule);
/* The value of system.posix_acl_access and _default (§6.7). -EINVAL. */
MUST_USE int meta_acl_parse_xattr(struct str value, struct meta_acl *out);
void meta_acl_format_xattr(const struct meta_acl *rule, struct buf *out);
void meta_acl_done(struct meta_acl *rule);

/* Open files -------------------------------------------------------------------------------------------------------- */

enum {
    META_OPEN_READ = 0,
    META_OPEN_WRITE = 1,     /* and read */
    META_OPEN_APPEND = 2,
    META_OPEN_TRUNCATE = 4   /* only checked here against flags; meta_truncate does it */
};
/* Counts the inode as open in this session: unlinked, it stays until its last close. Checks permission by ctx. */
MUST_USE int meta_node_open(struct meta *m, const struct meta_ctx *ctx, meta_ino ino, unsigned flags,
                            struct meta_attr *out);
void meta_node_close(struct meta *m, meta_ino ino);

/* Data (chunks.c and friends): positions are given as chunk index and offset inside ------------------------------------ */

/* The pieces of a chunk as they overlay each other: sorted by pos, not overlapping; what no piece covers is zeros. Not
 * clipped to the file's length. *out: malloc, for the caller to free; NULL when there is none. */
MUST_USE int meta_read_chunk(struct meta *m, meta_ino ino, uint32_t indx, struct meta_slice **out, size_t *out_count);
/* A slice id that nobody else has. */
MUST_USE int meta_new_slice(struct meta *m, uint64_t *out_id);
/* Commits a slice whose blocks are durable in the object store: [off, off+slice->len) of the chunk now shows it; the file
 * grows as needed. slice->pos is ignored. -ENOENT: the file has gone; -EDQUOT, -ENOSPC: then the caller deletes the blocks. On
 * -EIO and -EBUSY the outcome may be unknown, and the blocks must stay (§3.7). mtime NULL: now. */
MUST_USE int meta_write_slice(struct meta *m, meta_ino ino, uint32_t indx, uint32_t off, const struct meta_slice *slice,
                              const struct timespec *mtime);
/* ctx is checked for w unless open_for_write. */
MUST_USE int meta_truncate(struct meta *m, const struct meta_ctx *ctx, meta_ino ino, uint64_t length, bool open_for_write,
                           struct meta_attr *out);
enum { META_FALLOC_KEEP_SIZE = 1, META_FALLOC_PUNCH_HOLE = 2, META_FALLOC_ZERO_RANGE = 0x10 };
MUST_USE int meta_fallocate(struct meta *m, meta_ino ino, unsigned mode, uint64_t off, uint64_t size);
/* By reference; *out_copied is clipped at the source's end. */
MUST_USE int meta_copy_range(struct meta *m, meta_ino src, uint64_t src_off, meta_ino dst, uint64_t dst_off, uint64_t size,
                             uint64_t *out_copied);
/* Told to delete a slice's blocks; negative: try again some other time. */
typedef int (*meta_delete_slice_fn)(void *arg, uint64_t id, uint32_t size);
/* Told to write `pieces` (zeros for id 0, no gaps) as one new slice; done when it returns 0. */
typedef int (*meta_compact_slice_fn)(void *arg, const struct meta_slice *pieces, size_t count, uint64_t new_id);
/* Before the first one is needed, by the data layer. Without them, data waits for other clients' duties. */
void meta_set_data_callbacks(struct meta *m, meta_delete_slice_fn delete_slice, meta_compact_slice_fn compact_slice,
                             void *arg);

/* Locks (§7.18): never wait; -EAGAIN ------------------------------------------------------------------------------------ */

/* type: 'R', 'W', 'U' (unlock). */
MUST_USE int meta_flock(struct meta *m, meta_ino ino, uint64_t owner, char type);
struct meta_range_lock {
    short type;          /* F_RDLCK, F_WRLCK, F_UNLCK */
    uint64_t start, end; /* both belong to it */
    uint32_t pid;
};
MUST_USE int meta_setlk(struct meta *m, meta_ino ino, uint64_t owner, const struct meta_range_lock *lock);
/* In: what one would like; out: F_UNLCK, or what is in the way (pid 0: another session's). */
MUST_USE int meta_getlk(struct meta *m, meta_ino ino, uint64_t owner, struct meta_range_lock *lock);

/* Calls the functions for each lock of the inode, inside a read transaction. */
typedef int (*meta_range_fn)(void *arg, struct meta_lock_holder holder, const struct meta_range_lock *range);
MUST_USE int meta_locks(struct meta *m, meta_ino ino, meta_flock_fn flock, meta_range_fn range, void *arg);

/* Space, quotas ------------------------------------------------------------------------------------------------------- */

struct meta_space {
    uint64_t total_bytes, free_bytes, used_inodes, free_inodes;
};
/* Below a directory: the least of its quotas and its ancestors'. */
MUST_USE int meta_statfs(struct meta *m, meta_ino dir, struct meta_space *out);
MUST_USE int meta_dir_stat(struct meta *m, meta_ino dir, struct meta_dir_stat *out);
struct meta_summary {
    uint64_t length, space, files, directories;
};
/* Of a whole subtree, itself included, by walking it. */
MUST_USE int meta_summary(struct meta *m, meta_ino ino, struct meta_summary *out);
/* Directories' quotas. -ENOENT: none. set with max -1/-1: removed. */
MUST_USE int meta_quota_get(struct meta *m, meta_ino dir, struct meta_quota *out);
MUST_USE int meta_quota_set(struct meta *m, meta_ino dir, int64_t max_space, int64_t max_inodes);

#endif
