/* What the files of the metadata semantics share. Not for use outside vfs/meta and its tests.
 *
 * How an operation is written: its arguments and results are a struct; a function over (transaction, struct) does one try,
 * from its first read to its last write, filling results in; meta_transact runs it, again when others were in the way,
 * so that each try starts by setting its results anew. What the operation changes of usage is gathered in a
 * struct meta_usage of that struct and given to meta_usage_apply after the commit. */
#ifndef VFS_META_INTERNAL_H
#define VFS_META_INTERNAL_H

#include <stdatomic.h>

#include "base/job.h"
#include "base/map.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "vfs/meta/meta.h"

/* What the semantics need of the settings, taken over at each reload (§8.2 item 1). */
struct meta_features {
    uint32_t trash_days; /* 0: no trash */
    bool acl, dir_stats, owner_quotas;
    uint64_t capacity, inodes; /* 0: no limit */
};

struct meta_ids {
    struct mutex lock;
    uint64_t next, end;
};
struct meta_usage;      /* below */
struct meta_opened;     /* opened.c */
struct meta_session;    /* session.c: heartbeat */
struct meta_duties;     /* duties.c: work in the background */
struct meta_quotas;     /* quota.c: cached quotas, usage that is not flushed */
struct meta_memo;       /* memo.h */

#define META_TRASH_HOUR_SIZE 16 /* "2026-01-31-23" */

struct meta {
    struct meta_engine *engine;
    struct meta_options options;
    struct mutex lock; /* of the next three: leaf */
    struct meta_features features;
    struct meta_settings *settings;
    struct mutex on_settings_lock; /* of the next two, held over calls of fn: comes before `lock` */
    meta_settings_fn on_settings;
    void *on_settings_arg;
    _Atomic uint64_t sid; /* 0: no session */
    bool leaving;         /* the session outlives us: somebody goes on with it */
    struct meta_ids inode_ids, slice_ids;
    struct {
        meta_ino ino; /* 0: none yet */
        char name[META_TRASH_HOUR_SIZE];
    } trash_hour; /* under `lock` */
    struct meta_opened *opened;
    struct meta_session *session;
    struct meta_duties *duties; /* NULL: none */
    struct job *job;            /* of the command that does duties now; NULL */
    _Atomic bool lost;          /* the volume was formatted anew under us: nothing is read or written any more */
    struct meta_quotas *quotas;
    struct meta_memo *memo;
    meta_delete_slice_fn delete_slice;
    meta_compact_slice_fn compact_slice;
    void *data_arg;
    struct metric *transactions[2]; /* by enum meta_txn_mode */
    struct metric *restarts;
};

/* core.c: a volume without setting record, session and duties: the caller sets features and sid (meta_open; tests). Takes the engine. */
struct meta *meta_new(struct meta_engine *engine, const struct meta_options *options);
/* The other way round; ends neither session nor duties. */
void meta_free(struct meta *m);
struct meta_features meta_features(struct meta *m);
void meta_set_features(struct meta *m, const struct meta_features *features);

/* Transactions (txn.c) ---------------------------------------------------------------------------------------------- */

typedef int (*meta_txn_fn)(struct meta *m, struct meta_txn *t, void *arg);
/* Begins, calls fn, commits when it returns >= 0, else undoes; runs it all again on -META_AGAIN, with
 * growing pauses, for LIMIT_META_RETRY_MS (then -EBUSY). Returns what fn returned. -EROFS for writing where nothing is
 * written. */
MUST_USE int meta_transact(struct meta *m, enum meta_txn_mode mode, meta_txn_fn fn, void *arg);

/* Engine-independent calls: t->ops->node_get(t, …) by a shorter name. */
#define META_DO(t, operation, ...) ((t)->ops->operation((t), __VA_ARGS__))

/* What is written to a node without a name (staged, or unlinked while open) may be lost with the power: the node would be. */
static inline void meta_lazy_when_nameless(struct meta_txn *t, const struct meta_attr *attr)
{
    t->lazy = attr->nlink == 0;
}

/* Numbers from the shared counters, taken in the batches of official clients (§3.5), which cost them a transaction each. */
#define META_INODE_BATCH 1024
#define META_SLICE_BATCH 4096
MUST_USE int meta_take_id(struct meta *m, struct meta_ids *ids, const char *counter, uint32_t batch, uint64_t *out);
MUST_USE int meta_new_ino(struct meta *m, meta_ino *out);

/* Nodes (node.c) ----------------------------------------------------------------------------------------------------- */

/* Now, as the format stores it (nanoseconds). */
struct timespec meta_now(void);
bool meta_time_eq(struct timespec a, struct timespec b);
/* Permission bits and ACL by §7.3. 0 or -EACCES. */
MUST_USE int meta_check_access(struct meta_txn *t, const struct meta_ctx *ctx, const struct meta_attr *attr, unsigned want);
bool meta_ctx_is_root(const struct meta_ctx *ctx);
bool meta_ctx_in_group(const struct meta_ctx *ctx, uint32_t gid);
/* Node 1 and the trash may be missing from a damaged volume; they are synthetic then (§7.2). */
MUST_USE int meta_node_get(struct meta_txn *t, meta_ino ino, bool lock, struct meta_attr *out);
/* A directory that is read without lock: -ENOENT, -ENOTDIR. */
MUST_USE int meta_directory_get(struct meta_txn *t, meta_ino ino, struct meta_attr *out);
/* -EINVAL (also for "." and ".."), -ENAMETOOLONG. */
MUST_USE int meta_check_name(struct str name);

/* ACL rules (acl.c) --------------------------------------------------------------------------------------------------- */

bool meta_acl_is_empty(const struct meta_acl *r);
/* No more than a mode says. */
bool meta_acl_is_minimal(const struct meta_acl *r);
bool meta_acl_allows(const struct meta_acl *r, const struct meta_ctx *ctx, const struct meta_attr *attr, unsigned want);
/* The rule takes on a mode's permission bits; a rule's bits; what is unset from a mode; a default rule becomes a new node's
 * own, made with this mode. */
void meta_acl_set_mode(struct meta_acl *r, uint16_t mode);
uint16_t meta_acl_mode(const struct meta_acl *r);
void meta_acl_fill_unset(struct meta_acl *r, uint16_t mode);
void meta_acl_for_child(struct meta_acl *r, uint16_t mode);
/* Finds or adds it. */
MUST_USE int meta_acl_store(struct meta_txn *t, const struct meta_acl *rule, uint32_t *out_id);

/* Open files (opened.c, files.c) ---------------------------------------------------------------------------------------- */

/* What the last close has to finish. */
enum meta_fate {
    META_KEPT,
    META_SUSTAINED, /* unlinked: the node is there for us alone */
    META_DELETED    /* unlinked just when it was opened: the node is gone, its data waits */
};
struct meta_opened *meta_opened_new(void);
void meta_opened_free(struct meta_opened *o);
void meta_opened_add(struct meta *m, meta_ino ino);
bool meta_is_open(struct meta *m, meta_ino ino);
/* false: it is not open (any more). */
bool meta_opened_set_fate(struct meta *m, meta_ino ino, enum meta_fate fate, uint64_t length);
/* What is to be finished, when that was the last close. */
enum meta_fate meta_opened_remove(struct meta *m, meta_ino ino, uint64_t *out_length);
/* The sustained inode of a session goes for good (§7.19 "delete-sustained"). Also for sessions found dead. */
MUST_USE int meta_delete_sustained(struct meta *m, uint64_t sid, meta_ino ino);

/* Drafts (draft.c) ---------------------------------------------------------------------------------------------------------- */

/* The file comes into the database, with these attributes. */
MUST_USE int meta_draft_insert(struct meta_txn *t, const struct meta_draft *d, const struct meta_attr *attr);

/* Extended attributes (xattr.c) ---------------------------------------------------------------------------------------------- */

MUST_USE int meta_xattrs_put(struct meta_txn *t, meta_ino ino, const struct meta_xattr *xattrs, size_t count);

/* Directories whose entries change (parent.c) ------------------------------------------------------------------------------ */

struct meta_parent {
    meta_ino ino;
    struct meta_attr attr; /* as read */
    int nlink;             /* change */
};
/* w and x permission; -EPERM for one of the flags. */
MUST_USE int meta_parent_get(struct meta_txn *t, const struct meta_ctx *ctx, meta_ino ino, unsigned forbidden_flags,
                             struct meta_parent *out);
/* As meta_parent_get for adding a name: nothing is added inside the trash (-ENOENT). */
MUST_USE int meta_parent_get_for_adding(struct meta_txn *t, const struct meta_ctx *ctx, meta_ino ino,
                                        struct meta_parent *out);
/* Its nlink and times, the latter not more often than the options say; nothing for the trash. */
MUST_USE int meta_parent_changed(struct meta *m, struct meta_txn *t, const struct meta_parent *p,
                                 const struct timespec *now);
/* Does the sticky bit keep ctx from removing or renaming the node? */
bool meta_sticky_denies(const struct meta_ctx *ctx, const struct meta_attr *parent, const struct meta_attr *attr);

/* A new node's group, mode, ACLs, flags and tier by its directory's; attr has type, uid and gid of the caller. */
MUST_USE int meta_inherit(struct meta_txn *t, const struct meta_ctx *ctx, const struct meta_attr *parent, uint16_t mode,
                          uint16_t umask, struct meta_attr *attr);

/* A flag of meta_rmdir beside META_SKIP_TRASH: the hours of the trash may go, for its duty (hourly.c) alone. */
#define META_TRASH_DUTY 0x10000u

/* What had a name and loses it (drop.c) ------------------------------------------------------------------------------------- */

struct meta_drop {
    /* in */
    meta_ino trash; /* of this hour; 0: none */
    const struct meta_version *expected;
    const struct meta_condition *only_if; /* of directories; NULL: none */
    /* out */
    struct meta_edge edge;
    struct meta_attr attr; /* after */
    meta_ino trashed;      /* the trash that has it now, or 0 */
    bool missing;          /* a name without a node: damage */
    bool sustained, gone;
};
/* Everything but the edge itself: checks, the trash's edge or the end of the node. d: as begun with its "in" part. */
MUST_USE int meta_drop_node(struct meta *m, struct meta_txn *t, const struct meta_ctx *ctx, const struct meta_parent *p,
                            struct str name, struct meta_edge edge, struct meta_drop *d);
void meta_drop_usage(const struct meta_drop *d, meta_ino parent, struct meta_usage *u);
/* After the commit: data and open files. */
void meta_drop_finish(struct meta *m, const struct meta_drop *d);

/* Trees (tree.c, clone.c) ------------------------------------------------------------------------------------------------------ */

/* All below the directory goes, past the trash. */
MUST_USE int meta_empty_tree(struct meta *m, meta_ino dir);
/* A directory that a clone was being built in goes, with all below it. */
MUST_USE int meta_remove_detached(struct meta *m, meta_ino ino);

/* Trash (trash.c) ---------------------------------------------------------------------------------------------------- */

/* The sub-directory of this hour, made when missing; 0 when what is removed from `parent` does not go to the trash. */
MUST_USE int meta_trash_for(struct meta *m, meta_ino parent, unsigned flags, meta_ino *out);
/* "{parent}-{ino}-{name}", at most 255 bytes. */
struct str meta_trash_name(char out[META_NAME_MAX + 1], meta_ino parent, meta_ino ino, struct str name);

/* Usage and quotas (quota.c) ----------------------------------------------------------------------------------------- */

/* What one operation changed (§7 VOL, DIR, DQ, UG). */
#define META_USAGE_OWNERS 3 /* one node that ends, one that changes hands */
#define META_USAGE_DIRS 8 /* rename: two parents, the trash, and room */
struct meta_usage_dir {
    meta_ino ino;
    int64_t length, space, inodes;     /* DIR */
    int64_t quota_space, quota_inodes; /* DQ: of this directory and those above it */
};
struct meta_usage_owner {
    uint32_t uid, gid;
    int64_t space, inodes;
};
struct meta_usage {
    int64_t space, inodes; /* VOL */
    struct meta_usage_owner owners[META_USAGE_OWNERS];
    unsigned owner_count;
    struct meta_usage_dir dirs[META_USAGE_DIRS];
    unsigned dir_count;
};
/* Gathering: usage.c. One record per directory. */
void meta_usage_dir_add(struct meta_usage *u, const struct meta_usage_dir *add);
void meta_usage_owner_add(struct meta_usage *u, uint32_t uid, uint32_t gid, int64_t space, int64_t inodes);
/* An entry came to (sign 1) or went from (sign -1) a directory: DIR; with quota also DQ. */
void meta_usage_entry(struct meta_usage *u, meta_ino dir, const struct meta_attr *attr, int sign, bool quota);
/* A node came to be or is no more: VOL and UG. */
void meta_usage_node(struct meta_usage *u, const struct meta_attr *attr, int sign);
/* A node's owner or group changed: UG of files and directories. */
void meta_usage_owner_moved(struct meta_usage *u, const struct meta_attr *before, const struct meta_attr *after);
/* After the commit. Never fails: what cannot be flushed now is kept and tried again. */
void meta_usage_apply(struct meta *m, const struct meta_usage *u);
/* -EDQUOT (user, group, a directory's quota), -ENOSPC (volume). dir 0: no directory. A negative or no growth is always
 * fine. uid, gid: whose the space will be. */
MUST_USE int meta_quota_check(struct meta *m, uint32_t uid, uint32_t gid, meta_ino dir, int64_t space, int64_t inodes);
/* The directories' part of it alone, for what is counted elsewhere already. */
MUST_USE int meta_quota_check_dirs(struct meta *m, meta_ino dir, int64_t space, int64_t inodes);
/* The nearest directory, itself included, that has a quota; 0: none. */
MUST_USE int meta_quota_of(struct meta *m, meta_ino dir, meta_ino *out);

/* Data of deleted files (chunks.c) ------------------------------------------------------------------------------------ */

/* A file's node is gone and its delfile record is in place: deletes its chunks and slices soon, in the background where
 * there is one, and then the record. Never fails; what is left is found by the hourly duty. */
void meta_delete_file_data(struct meta *m, meta_ino ino, uint64_t length);

#endif
