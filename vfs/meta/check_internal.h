/* What the files of the check share. Not for use outside vfs/meta and its tests. */
#ifndef VFS_META_CHECK_INTERNAL_H
#define VFS_META_CHECK_INTERNAL_H

#include "vfs/meta/check.h"
#include "vfs/meta/upkeep.h"

#define CHECK_BATCH 1000

/* Findings of one transaction, told when it has ended. */
struct check_list {
    struct meta_finding *items; /* names: malloc */
    size_t count, capacity;
    uint64_t beyond; /* LIMIT_META_FINDINGS */
};

/* A directory whose statistics were not those of its entries. */
struct check_dir {
    meta_ino ino;
    bool missing;
    struct meta_dir_stat found, expected;
};

struct check {
    struct meta *m;
    struct meta_check_options options;
    struct meta_mentions *mentions; /* may be NULL */
    struct meta_check_result result;
    struct check_list list;
    struct check_dir *dirs; /* suspects: LIMIT_META_SUSPECT_DIRS */
    size_t dir_count;
    meta_ino inode_max, trash_max; /* the largest numbers seen; 0: none */
    uint64_t slice_max;
    bool release_unused; /* slices that are counted and mentioned nowhere become garbage */
    /* of the batch */
    struct check_sustained *sustained;
    size_t sustained_count;
};

void check_init(struct check *c, struct meta *m, const struct meta_check_options *options);
void check_done(struct check *c);
/* 0, or -ECANCELED. */
MUST_USE int check_go_on(const struct check *c);
/* Within a transaction: remembers; the name is copied. */
void check_add(struct check_list *l, const struct meta_finding *f);
void check_drop(struct check_list *l, size_t index);
void check_list_reset(struct check_list *l);
/* Outside: tells what was found, with what became of it. */
MUST_USE int check_tell(struct check *c, const struct meta_finding *f);
/* Tells the whole list, repairing what `repair` can (0: repaired; -ENOENT: it is not so any more, and is not told; else kept). */
typedef int (*check_repair_fn)(struct meta *m, const struct meta_finding *f);
MUST_USE int check_tell_all(struct check *c, check_repair_fn repair);
/* Waits for settle_ms. -ECANCELED. */
MUST_USE int check_settle(struct check *c);

/* check_node.c */
/* What leads to a node. */
struct check_names {
    meta_ino parent; /* the node's own idea of it */
    uint64_t count;
    meta_ino first;  /* a directory that names it */
    bool in_parent;
};
/* parent: the node's own idea of it. */
MUST_USE int check_names_of(struct meta_txn *t, meta_ino ino, meta_ino parent, struct check_names *out);
/* The parent that the node should have by its names; 0: several (§6.4). */
meta_ino check_parent_by_names(const struct check_names *n);
bool check_parent_is_right(const struct meta_attr *a, const struct check_names *n);
/* What is in a directory. */
struct check_content {
    struct check *c;
    meta_ino dir;
    uint64_t subdirs;
    struct meta_dir_stat stat;
};
/* Entries that cannot be are added to c's list; NULL: just counts. */
MUST_USE int check_content_of(struct check *c, struct meta_txn *t, meta_ino dir, struct check_content *out);
/* The trash itself and its hours do not count what is in them. */
bool check_counts_subdirs(meta_ino ino);
struct check_sustained {
    meta_ino ino;
    uint64_t sid;
};
/* Everything about one node, within a transaction; *attr as just read. */
MUST_USE int check_node(struct check *c, struct meta_txn *t, meta_ino ino, const struct meta_attr *attr);
MUST_USE int check_load_sustained(struct check *c, struct meta_txn *t);
/* All nodes; names in what is no directory; the two nodes that must be there; kept inodes. */
MUST_USE int check_nodes(struct check *c);
MUST_USE int check_sustained(struct check *c);

/* check_mend.c: looks again, in a transaction of its own. */
int check_repair_node(struct meta *m, const struct meta_finding *f);

/* check_chunks.c: all lists, or those of one file. Gathers mentions. */
MUST_USE int check_chunks(struct check *c);
MUST_USE int check_chunks_of(struct check *c, meta_ino ino);

/* check_refs.c: counts of slices against c->mentions, which are sorted. */
MUST_USE int check_refs(struct check *c);

/* check_usage.c */
/* Judges the suspects that are remembered, and forgets them. */
MUST_USE int check_dirs(struct check *c);
/* The volume's counters, quotas, and directories that are left. */
MUST_USE int check_usage(struct check *c);

#endif
