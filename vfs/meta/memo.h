/* What reads of the metadata found, kept until anything in the database changes: the same read then needs no transaction.
 *
 * It is exact: an answer is given only when nobody, on whatever client, has committed anything between the read that made it
 * and now (meta_engine_ops.stamp). With engines that cannot tell nothing is kept. What depends on who asks is not for here.
 * Thread: any; never waits for the database. */
#ifndef VFS_META_MEMO_H
#define VFS_META_MEMO_H

#include "vfs/meta/internal.h"

enum meta_memo_kind {
    META_MEMO_NODE = 1, /* ino */
    META_MEMO_NAME,     /* ino: the directory; text: the name */
    META_MEMO_PATH,     /* ino: where it starts; text: the path */
    META_MEMO_XATTR,    /* ino; text: the attribute's name */
    META_MEMO_XATTRS    /* ino: all its attributes */
};
struct meta_memo_key {
    enum meta_memo_kind kind;
    meta_ino ino;
    struct str text;
};
struct meta_memo_answer {
    int rc; /* what the read returned: 0, or that there is nothing (-ENOENT, -ENODATA, -ENOTDIR) */
    meta_ino ino;
    struct meta_attr attr;
};

struct meta_memo *meta_memo_new(void);
void meta_memo_free(struct meta_memo *memo);
/* bytes: values are appended; NULL where there are none. *out_stamp: for meta_memo_keep, after the read that a false asks
 * for. */
MUST_USE bool meta_memo_find(struct meta *m, const struct meta_memo_key *key, struct meta_memo_answer *out,
                             struct buf *bytes, struct meta_stamp *out_stamp);
/* stamp: from before the read. Other results than those above, and what is too large, are not kept. */
void meta_memo_keep(struct meta *m, const struct meta_memo_key *key, const struct meta_memo_answer *answer,
                    struct str bytes, const struct meta_stamp *stamp);

#endif
