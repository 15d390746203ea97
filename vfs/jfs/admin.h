/* JuiceFS-format volumes from the command line: making one, looking at one. What official clients make can be looked at here,
 * and the other way round. Errors: negative errno with a line for people in *error. Thread: any; everything may block. */
#ifndef VFS_JFS_ADMIN_H
#define VFS_JFS_ADMIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/job.h"
#include "base/str.h"
#include "vfs/cache_options.h"

/* As the options of `juicefs format`. Empty and zero: not given, where zero is no value of its own. */
struct jfs_format {
    struct str url, name;
    struct str storage, bucket; /* of "file": a folder, made absolute */
    struct str access_key, secret_key, session_token, storage_class;
    struct str compression, encrypt_algo;
    struct str encrypt_key; /* PEM of an RSA key; its passphrase comes from JFS_RSA_PASSPHRASE */
    uint64_t block_size;    /* bytes */
    uint32_t shards;
    bool hash_prefix;
    uint64_t capacity, inodes; /* bytes, nodes */
    uint32_t trash_days;
    bool enable_acl;
    bool force;     /* replace the settings of a volume that exists */
    bool no_update; /* a volume that exists is fine as it is */
};

/* What an option's absence means (`juicefs format --help`); bucket is left empty. */
struct jfs_format jfs_format_defaults(void);
/* Makes the volume: settings, root, an object with its identity in its object store, which is tried out first and must
 * hold nothing of that name. *out: the setting record for people, secrets left out. -EEXIST: there is a volume. */
MUST_USE int jfs_format(const struct jfs_format *f, struct buf *out, struct buf *error);

/* Settings, sessions, space: the JSON of `juicefs status`. */
MUST_USE int jfs_status(struct str url, struct buf *out, struct buf *error);
/* What a path of the volume is, as `juicefs info` shows it: counts and sizes of all below it; the slices of a file. */
MUST_USE int jfs_info(struct str url, struct str path, struct buf *out, struct buf *error);

/* Checks ------------------------------------------------------------------------------------------------------------------ */

/* Something that is not as it should be. */
struct jfs_problem {
    const char *kind;      /* for machines: "links", "lost-block" */
    const char *text;      /* for people: "links counted" */
    const char *advice;    /* why it was left, and what to do; NULL */
    struct str path;       /* "/a/b", or "inode 5"; empty: it is about no file */
    uint64_t inode, slice; /* 0: none */
    struct str block;      /* the object's key, or what else it is about: the name of a counter */
    bool numbers;          /* these two: */
    int64_t found, expected;
    bool repaired;
};
/* Not 0 ends the work with it. */
typedef int (*jfs_problem_fn)(void *arg, const struct jfs_problem *problem);

struct jfs_fsck {
    struct str url;
    struct str path; /* this file or directory alone; empty: the whole volume */
    bool recursive;  /* with path: and what is below it */
    bool repair, verify;
    uint32_t sample_ppm; /* of the slices; 0: all */
    struct job *job;     /* tallies: jfs_fsck_tallies */
    jfs_problem_fn fn;
    void *arg;
};
struct jfs_fsck_result {
    uint64_t nodes, slices, blocks, bytes; /* looked at */
    uint64_t problems, repaired;
    uint64_t lost_blocks, lost_bytes, broken_files;
    uint64_t unreadable; /* blocks that the store would not give */
    uint64_t unsettled;  /* numbers that other clients changed all the time: not judged */
    uint64_t not_told;
};
#define JFS_FSCK_TALLIES 2 /* problems, repaired */
extern const struct job_tally jfs_fsck_tallies[JFS_FSCK_TALLIES];
/* What of a volume cannot be, blocks in the store included; `repair` mends what can be told for certain. Beside other clients.
 * -ECANCELED: the job was stopped; *out is filled all the same. */
MUST_USE int jfs_fsck(const struct jfs_fsck *options, struct jfs_fsck_result *out, struct buf *error);

struct jfs_gc {
    struct str url;
    bool delete, compact;
    uint64_t age_s; /* objects younger than this may be uploads that are not committed yet */
    uint32_t threads;
    struct job *job; /* tallies: jfs_gc_tallies */
    jfs_problem_fn fn; /* leaked objects, and what stands in the way */
    void *arg;
};
struct jfs_gc_counts {
    uint64_t count, bytes;
};
struct jfs_gc_result {
    struct jfs_gc_counts used, new, leaked, unknown; /* objects */
    struct jfs_gc_counts deleted;                    /* of the leaked */
    struct jfs_gc_counts files, delayed, garbage;    /* waiting to be deleted: before, without delete; after, with it */
    uint64_t unused;                                 /* slices that were counted but are mentioned nowhere */
    uint64_t chunks, rewritten, failed;              /* compact */
    uint64_t damaged_lists;                          /* not 0: nothing is taken for leaked */
};
#define JFS_GC_TALLIES 2 /* leaked, deleted */
extern const struct job_tally jfs_gc_tallies[JFS_GC_TALLIES];
MUST_USE int jfs_gc(const struct jfs_gc *options, struct jfs_gc_result *out, struct buf *error);

/* The cache on disk of this host, by paths of the volume: filled, looked at, or emptied. */
enum jfs_warmup_action { JFS_WARMUP_FILL, JFS_WARMUP_CHECK, JFS_WARMUP_EVICT };
struct jfs_warmup {
    struct str url;
    const struct str *paths; /* of the volume; "" and "/": all of it */
    size_t path_count;
    struct vfs_cache_options cache;
    enum jfs_warmup_action action;
    uint32_t threads; /* one block of memory each, compressed two */
    struct job *job;  /* bytes of files; may be NULL */
    /* Told of what did not work, a line each. Thread: any, one at a time. */
    void (*tell)(void *arg, struct str line);
    void *arg;
};
struct jfs_warmup_result {
    uint64_t files, bytes;              /* regular files, and the bytes of their blocks */
    uint64_t blocks;
    uint64_t there_blocks, there_bytes; /* cached before */
    uint64_t done_blocks, done_bytes;   /* put there, or evicted */
    uint64_t failed; /* blocks, and paths */
};
/* What is on the way when the job is stopped ends; then -ECANCELED. -EIO: the cache's disk takes no more. *out is written in
 * any case. */
MUST_USE int jfs_warmup(const struct jfs_warmup *w, struct jfs_warmup_result *out, struct buf *error);

#endif
