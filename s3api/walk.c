#include "s3api/walk.h"

#include <errno.h>

#include "base/check.h"
#include "s3api/key.h"

/* Levels that keep their scans open: the outermost ones, where most of a walk's returns go, and the innermost ones. */
#define OPEN_OUTER 8
#define OPEN_INNER 8

_Static_assert(sizeof(((struct s3_walk *)0)->key) < UINT16_MAX, "dir_len holds any length of a key");

static struct s3_walk_level *top(struct s3_walk *w)
{
    return &w->levels[w->depth - 1];
}

/* Can a key have this segment? What a path cannot have besides is the volume's to refuse. */
static bool segment_is_visible(struct str segment, bool at_root)
{
    return segment.len > 0 && str_is_utf8(segment) && !s3_name_is_reserved(segment, at_root);
}

static void mark(struct s3_walk_level *level, unsigned flags)
{
    level->note = flags & S3_WALK_NOTE;
    level->unordered = flags & S3_WALK_UNORDERED;
}

static void push(struct s3_walk *w, size_t dir_len, unsigned flags)
{
    CHECK(w->depth < S3_WALK_LEVELS);
    if (w->depth >= OPEN_OUTER + OPEN_INNER)
        vfs_scan_closep(&w->levels[w->depth - OPEN_INNER].scan);
    w->levels[w->depth] = (struct s3_walk_level){.dir_len = (uint16_t)dir_len};
    /* A scan without an order has no place to come back to, so that it may not be among those that are given back. */
    mark(&w->levels[w->depth], w->depth < OPEN_OUTER ? flags : flags & ~(unsigned)S3_WALK_UNORDERED);
    w->depth++;
}

/* Start and end */

static bool base_is_visible(struct str base)
{
    struct str rest = str_first(base, base.len - (base.len > 0));
    struct str segment;
    bool at_root = true;
    if (base.len == 0)
        return true;
    while (str_split(&rest, '/', &segment)) {
        if (!segment_is_visible(segment, at_root))
            return false;
        at_root = false;
    }
    return true;
}

bool s3_walk_start(struct s3_walk *w, struct vfs_dir *bucket, const struct vfs_cred *cred, struct str base, struct str from)
{
    CHECK(str_starts(from, base));
    w->bucket = bucket;
    w->cred = cred;
    w->depth = 0;
    w->key_len = 0;
    w->is_past = false;
    if (base.len > LIMIT_KEY_BYTES || from.len > sizeof(w->key) || !base_is_visible(base))
        return false;
    memcpy(w->key, from.ptr ? from.ptr : "", from.len);
    w->key_len = from.len;
    push(w, base.len, 0);
    /* A directory that `from` names without anything behind the '/' is itself still to come, so it is not entered here. */
    for (size_t i = base.len; i + 1 < from.len; i++) {
        size_t dir_len = top(w)->dir_len;
        if (from.ptr[i] != '/')
            continue;
        if (i >= LIMIT_KEY_BYTES || !segment_is_visible(str_of(from.ptr + dir_len, i - dir_len), dir_len == 0))
            break;
        push(w, i + 1, 0);
    }
    return true;
}

void s3_walk_mark_base(struct s3_walk *w, unsigned flags)
{
    mark(&w->levels[0], flags);
}

void s3_walk_done(struct s3_walk *w)
{
    for (size_t i = 0; i < w->depth; i++)
        vfs_scan_closep(&w->levels[i].scan);
    w->depth = 0;
}

/* Steps */

/* Opens the innermost level's scan where the walk is. */
static int open_top(struct s3_walk *w)
{
    struct s3_walk_level *level = top(w);
    size_t dir_len = level->dir_len;
    /* '0' comes right after '/', so this is behind everything that starts with a directory's key, and before all else. */
    if (w->is_past)
        w->key[w->key_len - 1] = '/' + 1;
    w->is_past = false;
    struct str path = str_of(w->key, dir_len > 0 ? dir_len - 1 : 0);
    struct str from = str_of(w->key + dir_len, w->key_len - dir_len);
    CHECK(!level->unordered || from.len == 0);
    if (level->unordered)
        return vfs_scan_open_unordered(w->bucket, path, w->cred, &level->scan);
    int result = vfs_scan_open(w->bucket, path, w->cred, from, &level->scan);
    if (result == 0 && w->expected > 0)
        vfs_scan_expect(level->scan, w->expected, w->expected_xattr);
    return result;
}

/* A directory that is gone, became a file, has a name that no path can have, or keeps its entries to others: there is
 * nothing in it. */
static bool is_nothing(int error)
{
    return error == -ENOENT || error == -ENOTDIR || error == -EINVAL || error == -ELOOP || error == -EXDEV ||
           error == -ENXIO || error == -EACCES || error == -EPERM;
}

/* Takes the innermost level off; the position is behind its directory. */
static struct s3_walk_level pop(struct s3_walk *w)
{
    struct s3_walk_level level = *top(w);
    vfs_scan_closep(&top(w)->scan);
    w->depth--;
    w->key_len = level.dir_len;
    w->is_past = true;
    return level;
}

/* Turns a directory entry into a node; false for what is left out. */
static bool make_node(struct s3_walk *w, const struct vfs_dirent *entry, struct s3_walk_node *out)
{
    size_t dir_len = top(w)->dir_len;
    size_t len = dir_len + entry->name.len + (entry->type == VFS_DIRECTORY);
    /* Longer names than ours exist on filesystems in user space. */
    if (len > sizeof(w->key) || s3_name_is_reserved(entry->name, dir_len == 0))
        return false;
    memcpy(w->key + dir_len, entry->name.ptr, entry->name.len);
    if (entry->type == VFS_DIRECTORY)
        w->key[len - 1] = '/';
    w->key_len = len;
    w->is_past = false;
    *out = (struct s3_walk_node){.kind = S3_WALK_FOREIGN, .key = str_of(w->key, len)};
    if (len > LIMIT_KEY_BYTES || !str_is_utf8(entry->name))
        return true;
    if (entry->type == VFS_FILE)
        out->kind = S3_WALK_FILE;
    if (entry->type == VFS_DIRECTORY)
        out->kind = S3_WALK_DIRECTORY;
    return true;
}

int s3_walk_next(struct s3_walk *w, struct s3_walk_node *out)
{
    while (w->depth > 0) {
        struct vfs_dirent entry;
        int result = top(w)->scan ? 0 : open_top(w);
        if (result == 0)
            result = vfs_scan_next(top(w)->scan, &entry);
        if (result > 0) {
            if (make_node(w, &entry, out))
                return 1;
            continue;
        }
        if (result < 0 && (!is_nothing(result) || (w->depth == 1 && (result == -EACCES || result == -EPERM))))
            return result;
        struct s3_walk_level left = pop(w);
        *out = (struct s3_walk_node){.kind = S3_WALK_LEFT,
                                     .key = str_of(w->key, w->key_len),
                                     .was_seen_below = left.is_seen,
                                     .note = left.note};
        return 1;
    }
    return 0;
}

int s3_walk_stat(struct s3_walk *w, struct vfs_attr *out, const char *xattr_name, struct buf *out_value)
{
    return vfs_scan_stat(top(w)->scan, out, xattr_name, out_value);
}

/* Moves */

void s3_walk_enter(struct s3_walk *w, unsigned flags)
{
    CHECK(w->key_len > top(w)->dir_len && w->key[w->key_len - 1] == '/');
    push(w, w->key_len, flags);
}

void s3_walk_see(struct s3_walk *w)
{
    for (size_t i = w->depth; i > 0 && !w->levels[i - 1].is_seen; i--)
        w->levels[i - 1].is_seen = true;
}

void s3_walk_leave(struct s3_walk *w, size_t len)
{
    while (w->depth > 1 && top(w)->dir_len >= len)
        (void)pop(w); /* the level's notes are of no use to anyone any more */
}

void s3_walk_seek(struct s3_walk *w, struct str target)
{
    CHECK(target.len <= sizeof(w->key));
    while (w->depth > 1 && !str_starts(target, str_of(w->key, top(w)->dir_len)))
        (void)pop(w); /* as above */
    if (w->depth == 0)
        return;
    vfs_scan_closep(&top(w)->scan);
    memcpy(w->key, target.ptr, target.len);
    w->key_len = target.len;
    w->is_past = false;
}
