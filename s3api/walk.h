/* A walk over a bucket's nodes in byte order of their keys, depth first, lazily: every directory counts as its name plus '/',
 * is returned before what is below it, and is only read when the caller enters it. The position is a key, so a walk starts in
 * the middle of any directory without reading what lies before, and leaves a group of keys behind without reading it.
 *
 * Memory and open scans are bounded however deep the tree is: a level in the middle of a deep stack gives its scan back and
 * opens another one, at its position, when the walk comes back to it. Reserved names are left out. What vanishes meanwhile
 * is passed over. Used by listing.c. Thread: worker. */
#ifndef S3API_WALK_H
#define S3API_WALK_H

#include "base/limits.h"
#include "vfs/vfs.h"

/* The root, and one level for each segment (at least one byte and its '/') of a directory's key. */
#define S3_WALK_LEVELS (LIMIT_KEY_BYTES / 2 + 1)

enum s3_walk_kind {
    S3_WALK_FILE,
    S3_WALK_DIRECTORY, /* may be entered before the next step */
    S3_WALK_LEFT,      /* nothing more below a directory that was entered or started in */
    S3_WALK_FOREIGN    /* an entry that no key names: no file or directory, not UTF-8, too long */
};

struct s3_walk_node {
    enum s3_walk_kind kind;
    struct str key;      /* of directories with the '/'; valid until the next step; FOREIGN's may be too long */
    bool was_seen_below; /* LEFT: s3_walk_see was called since it was entered */
    bool note;           /* LEFT: S3_WALK_NOTE was given when it was entered */
};

struct s3_walk_level {
    struct vfs_scan *scan; /* NULL: to be opened at the position */
    uint16_t dir_len;      /* the bytes of the key that name the directory: "", "a/", "a/b/" */
    bool is_seen, note, unordered;
};

struct s3_walk {
    struct vfs_dir *bucket;
    const struct vfs_cred *cred;
    /* The node returned last; for a level without a scan, where to open it. */
    char key[LIMIT_KEY_BYTES + LIMIT_KEY_SEGMENT_BYTES + 2];
    size_t key_len;
    /* How many files' attributes and which xattr will be asked for; 0: of few, or of none. To be set before the first step. */
    size_t expected;
    const char *expected_xattr;
    bool is_past; /* the position is behind everything that starts with key */
    size_t depth;
    struct s3_walk_level levels[S3_WALK_LEVELS];
};

/* The next step returns the first node whose key is >= from among those below the directory key `base` ("" or ending in '/'),
 * which from starts with. False, and an empty walk, when no key can start with the base. */
bool s3_walk_start(struct s3_walk *w, struct vfs_dir *bucket, const struct vfs_cred *cred, struct str base, struct str from);
/* 1: *out is set; 0: the end. Negative errno: also when the base may not be read; directories below it that may not
 * are left at once. */
MUST_USE int s3_walk_next(struct s3_walk *w, struct s3_walk_node *out);
/* Attributes and, appended, the named xattr of the FILE or DIRECTORY returned last, not entered. -ENOENT when it has gone. */
MUST_USE int s3_walk_stat(struct s3_walk *w, struct vfs_attr *out, const char *xattr_name, struct buf *out_value);
enum {
    S3_WALK_NOTE = 1,     /* for LEFT */
    S3_WALK_UNORDERED = 2 /* its nodes come in any order, which saves the ordering of a large directory; no walk seeks in it */
};
/* Before the first step: what to know of the base. */
void s3_walk_mark_base(struct s3_walk *w, unsigned flags);
/* Into the DIRECTORY returned last. */
void s3_walk_enter(struct s3_walk *w, unsigned flags);
/* Notes for LEFT, in every directory that the walk is in, that there is something below. */
void s3_walk_see(struct s3_walk *w);
/* Out of the directories whose keys start with the first `len` bytes of the position. */
void s3_walk_leave(struct s3_walk *w, size_t len);
/* Forward to the first node whose key is >= target, without reading what is between. target is behind the position and below
 * the base; LEFT is not said of directories that are left so. */
void s3_walk_seek(struct s3_walk *w, struct str target);
void s3_walk_done(struct s3_walk *w);

#endif
