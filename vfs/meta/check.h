/* Looking a volume's metadata over for what cannot be (format §3.6, §6.4, §8.5), beside clients that go on working, and mending
 * what can be told for certain. Who calls does the same for the blocks in the object store.
 *
 * No false alarms: what one transaction changes is judged within one transaction; what clients write later than the change it
 * counts (statistics, counters, quotas) is judged only when it has stood still for settle_ms; counts of slices that seem wrong
 * are counted anew within one transaction. What does not stand still is not judged (meta_check_result.unsettled).
 * Repairs look again inside their transaction, and change counts by what they are off, so that nothing that happens at
 * the same time is lost, and two checks at once do not mend twice.
 *
 * Memory: some thousand nodes at a time, the mentions' run (mentions.h), directories that wait to be walked in a
 * subtree (8 bytes each), suspects (LIMIT_META_SUSPECTS). Thread: one; everything may block. */
#ifndef VFS_META_CHECK_H
#define VFS_META_CHECK_H

#include "base/job.h"
#include "vfs/meta/mentions.h"
#include "vfs/meta/meta.h"

enum meta_flaw {
    META_FLAW_NAME_NODE,      /* a name without its node */
    META_FLAW_NAME_TYPE,      /* a name of another type than its node */
    META_FLAW_NAME_PARENT,    /* names in what is no directory: found says how many at least */
    META_FLAW_ROOT,           /* the root's or the trash's node is missing */
    META_FLAW_NODE_TYPE,      /* a node of no type */
    META_FLAW_ORPHAN,         /* a node that nothing leads to */
    META_FLAW_LINKS,          /* nlink */
    META_FLAW_PARENT,
    META_FLAW_NAMES,          /* a directory with several names */
    META_FLAW_LENGTH,
    META_FLAW_TARGET,         /* a symbolic link without target */
    META_FLAW_SUSTAINED,      /* kept as unlinked and open, but by nobody, or it has a name */
    META_FLAW_CHUNK,          /* a chunk's list, or a list of delayed slices, that cannot be read */
    META_FLAW_CHUNK_OWNER,    /* data of no file */
    META_FLAW_REFS,           /* the count of a slice's mentions */
    META_FLAW_SLICE_UNUSED,   /* counted, but mentioned nowhere */
    META_FLAW_SLICE_SIZE,     /* counted under another size than mentioned */
    META_FLAW_DIR_SPACE,      /* statistics of a directory: space, or length; entries */
    META_FLAW_DIR_INODES,
    META_FLAW_VOLUME_SPACE,   /* counters of the volume */
    META_FLAW_VOLUME_INODES,
    META_FLAW_NEXT_NUMBER,    /* a counter that would give out numbers in use: of inodes or slices */
    META_FLAW_QUOTA_SPACE,    /* usage of a directory's quota, of a user's (uid in ino), of a group's */
    META_FLAW_QUOTA_INODES,
    META_FLAW_USER_SPACE,
    META_FLAW_USER_INODES,
    META_FLAW_GROUP_SPACE,
    META_FLAW_GROUP_INODES,
    META_FLAW_COUNT
};

struct meta_finding {
    enum meta_flaw flaw;
    meta_ino ino;          /* what it is about, or 0 */
    meta_ino parent;       /* of names: the directory */
    struct str name;
    uint32_t indx;         /* of a chunk */
    uint64_t slice;
    uint32_t size;
    int64_t found, expected; /* where the flaw is one of a number */
    bool repaired;
    bool kept;             /* the repair was not possible, or is none of ours: see meta_flaw_advice */
};

/* "orphan": for machines. */
const char *meta_flaw_name(enum meta_flaw flaw);
/* A few words for people: "links counted". */
const char *meta_flaw_text(enum meta_flaw flaw);
/* Why it is never repaired here and what to do; NULL: it is. */
const char *meta_flaw_advice(enum meta_flaw flaw);

/* Called outside of transactions. Not 0: the check ends with it. */
typedef int (*meta_finding_fn)(void *arg, const struct meta_finding *finding);

struct meta_check_options {
    bool repair;
    uint32_t settle_ms; /* 0: META_CHECK_SETTLE_MS */
    struct job *job;    /* progress and the wish to stop; may be NULL */
    meta_finding_fn fn;
    void *arg;
};
/* Clients write gathered usage every three seconds at the latest, when the database lets them. */
#define META_CHECK_SETTLE_MS 10000

struct meta_check_result {
    uint64_t nodes, chunks, slices; /* looked at; slices: mentions */
    uint64_t damaged_lists;         /* what they mention is not known */
    uint64_t unsettled;             /* statistics and counters that would not stand still */
    uint64_t not_told;              /* findings beyond what is remembered at a time */
};

/* The whole volume. -ECANCELED: the job was stopped. `mentions` (may be NULL) takes the slices that lists mention, for who looks
 * at blocks; not sorted yet when given, sorted after. */
MUST_USE int meta_check(struct meta *m, const struct meta_check_options *options, struct meta_mentions *mentions,
                        struct meta_check_result *out);
/* One node; recursive: and all below it. Slices' counts, the volume's counters and quotas are not looked at. */
MUST_USE int meta_check_subtree(struct meta *m, meta_ino ino, bool recursive, const struct meta_check_options *options,
                                struct meta_mentions *mentions, struct meta_check_result *out);
/* Gathers and sorts the slices that lists mention, and looks for nothing. */
MUST_USE int meta_gather(struct meta *m, struct job *job, struct meta_mentions *mentions, struct meta_check_result *out);

/* Slices that are counted but mentioned nowhere, which nobody would ever delete, become garbage for the duties (repair), or are
 * told. mentions: sorted, of all lists. */
MUST_USE int meta_release_unused(struct meta *m, const struct meta_check_options *options, struct meta_mentions *mentions);

/* Which of some slices are mentioned now, and where: one more scan of all lists, within one transaction. */
struct meta_probe {
    uint64_t id;     /* ascending, each once */
    uint32_t size;   /* as asked for; mentions of any size count */
    bool made;       /* as asked for: the count is the check's own, made a moment ago */
    /* results */
    uint32_t count;  /* mentions */
    uint32_t needed; /* not 0: by something that can be read */
    bool counted;    /* there is a count under this size: */
    int64_t refs;
    meta_ino ino;    /* a file that can be read, 0: none (delayed slices) */
    meta_ino inos[4]; /* files that mention it, readable or not */
};
MUST_USE int meta_probe(struct meta *m, struct job *job, struct meta_probe *probes, size_t count);

/* A path of the inode from the root, with '/' in front: one of them. Appends "inode N" when no path leads there. */
void meta_path_of(struct meta *m, meta_ino ino, struct buf *out);

#endif
