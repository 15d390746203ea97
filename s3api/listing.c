#include "s3api/listing.h"

#include <errno.h>

#include "base/clock.h"
#include "s3api/juicefs_records.h"
#include "s3api/object.h"
#include "s3api/walk.h"

/* A step on a worker ends after this long; the clock is read once in so many nodes. */
#define STEP_MS 50
#define STEP_NODES 16
/* So many nodes of a group that was shown already are passed one by one, which costs less than finding its end by a new scan
 * as long as groups are small. */
#define PASS_NODES 128

struct s3_list {
    struct s3_op *op;
    struct s3_list_query q;
    s3_list_fn fn;
    void *context;
    struct s3_walk walk;
    struct arena *scratch; /* for one entry */
    struct buf record;
    uint32_t count;
    bool is_started, is_done, is_truncated;
    size_t passed;               /* nodes of the last group passed one by one */
    bool last_is_group;
    size_t last_len;
    char last[LIMIT_KEY_BYTES]; /* the entry given out last */
};

/* Grouping */

struct str s3_common_prefix(struct str key, struct str prefix, struct str delimiter)
{
    if (delimiter.len == 0)
        return STR_EMPTY;
    ptrdiff_t at = str_find(str_from(key, prefix.len), delimiter);
    return at < 0 ? STR_EMPTY : str_first(key, prefix.len + (size_t)at + delimiter.len);
}

static struct str group_of(const struct s3_list *l, struct str key)
{
    return s3_common_prefix(key, l->q.prefix, l->q.delimiter);
}

static struct str last_of(const struct s3_list *l)
{
    return str_of(l->last, l->last_len);
}

/* The first text behind all that starts with s; empty when there is none. Written to `out`, of at least s.len bytes. */
static struct str end_of(struct str s, char *out)
{
    size_t len = s.len;
    while (len > 0 && (unsigned char)s.ptr[len - 1] == 0xff)
        len--;
    if (len == 0)
        return STR_EMPTY;
    memcpy(out, s.ptr, len);
    out[len - 1] = (char)((unsigned char)out[len - 1] + 1);
    return str_of(out, len);
}

/* Entries */

static void give(struct s3_list *l, const struct s3_list_entry *entry)
{
    s3_walk_see(&l->walk);
    if (l->count == l->q.max) {
        l->is_truncated = l->is_done = true;
        return;
    }
    l->count++;
    l->walk.expected--;
    l->passed = 0;
    l->last_is_group = entry->is_prefix;
    l->last_len = entry->key.len;
    memcpy(l->last, entry->key.ptr, entry->key.len);
    l->fn(l->context, entry);
}

static void give_group(struct s3_list *l, struct str group)
{
    give(l, &(struct s3_list_entry){.is_prefix = true, .key = group});
    s3_walk_leave(&l->walk, group.len);
}

static void give_key(struct s3_list *l, struct str key, const struct vfs_attr *attr)
{
    struct s3_list_entry entry = {.key = key, .size = attr->type == VFS_DIRECTORY ? 0 : attr->size};
    s3_objmeta_brief(buf_str(&l->record), attr, l->scratch, &entry.brief);
    give(l, &entry);
    arena_reset(l->scratch);
}

/* Nodes */

/* It has gone since its name was read, or the identity may not pass the directory that it is in. */
static bool is_out_of_reach(int error)
{
    return error == -ENOENT || error == -ENOTDIR || error == -ESTALE || error == -EACCES || error == -EPERM;
}

/* Attributes and record of the present node. */
static int read_node(struct s3_list *l, struct vfs_attr *out)
{
    buf_reset(&l->record);
    int result = s3_walk_stat(&l->walk, out, S3_OBJMETA_XATTR, &l->record);
    if (result == 0 && l->record.len == 0 && vfs_dir_has_juicefs_records(l->walk.bucket)) {
        CLEANUP(buf_done) struct buf etag = buf_make(S3_JUICEFS_ETAG_BYTES);
        result = s3_walk_stat(&l->walk, out, S3_JUICEFS_ETAG, &etag);
        s3_juicefs_record_of_etag(buf_str(&etag), out, &l->record);
    }
    return result;
}

static int visit_file(struct s3_list *l, struct str key)
{
    struct str group = group_of(l, key);
    if (group.len > 0) {
        give_group(l, group);
        return 0;
    }
    struct vfs_attr attr;
    int result = read_node(l, &attr);
    if (result < 0)
        return is_out_of_reach(result) ? 0 : result;
    if (attr.type == VFS_FILE)
        give_key(l, key, &attr);
    return 0;
}

static int visit_directory(struct s3_list *l, struct str key)
{
    struct str group = group_of(l, key);
    int is_object = s3_directory_is_object(l->walk.bucket, str_first(key, key.len - 1), l->op->cred);
    if (is_object < 0)
        return is_out_of_reach(is_object) ? 0 : is_object;
    if (is_object > 0 && group.len > 0) {
        give_group(l, group);
        return 0;
    }
    bool is_pending = false;
    if (is_object > 0) {
        struct vfs_attr attr;
        int result = read_node(l, &attr);
        if (result < 0)
            return is_out_of_reach(result) ? 0 : result;
        /* Without a record, and no object of JuiceFS's gateway, it was made through POSIX: a key if nothing comes below. */
        is_pending = l->record.len == 0 && !attr.is_juicefs_object;
        if (!is_pending)
            give_key(l, key, &attr);
    }
    /* In a group, all that matters is whether there is a key. */
    if (!l->is_done)
        s3_walk_enter(&l->walk, group.len > 0 ? S3_WALK_UNORDERED : is_pending ? S3_WALK_NOTE : 0);
    return 0;
}

static int visit_left(struct s3_list *l, const struct s3_walk_node *node)
{
    if (!node->note || node->was_seen_below)
        return 0;
    struct vfs_attr attr;
    int result = vfs_lookup(l->walk.bucket, str_first(node->key, node->key.len - 1), l->op->cred, &attr);
    if (result < 0)
        return is_out_of_reach(result) ? 0 : result;
    buf_reset(&l->record);
    if (attr.type == VFS_DIRECTORY)
        give_key(l, node->key, &attr);
    return 0;
}

/* Passes over a node of the group that was given out last. */
static void pass(struct s3_list *l)
{
    char end[LIMIT_KEY_BYTES];
    if (++l->passed < PASS_NODES)
        return;
    l->passed = 0;
    s3_walk_seek(&l->walk, end_of(last_of(l), end));
}

static int visit(struct s3_list *l, const struct s3_walk_node *node)
{
    if (node->kind == S3_WALK_LEFT)
        return visit_left(l, node);
    if (!str_starts(node->key, l->q.prefix)) {
        l->is_done = true; /* the walk began at the prefix, so this is behind all that has it */
        return 0;
    }
    if (l->last_is_group && str_starts(node->key, last_of(l))) {
        pass(l);
        return 0;
    }
    if (node->kind == S3_WALK_FILE)
        return visit_file(l, node->key);
    if (node->kind == S3_WALK_DIRECTORY)
        return visit_directory(l, node->key);
    return 0;
}

/* Pages */

/* The first key that the page may show. False when there is none. */
static bool first_key(const struct s3_list_query *q, char out[LIMIT_KEY_BYTES + 1], struct str *out_from)
{
    struct str after = str_first(q->after, LIMIT_KEY_BYTES); /* keys are no longer, so nothing lies between */
    struct str group = str_starts(after, q->prefix) ? s3_common_prefix(after, q->prefix, q->delimiter) : STR_EMPTY;
    struct str from = end_of(group, out);
    if (group.len == 0 && after.len > 0) {
        /* No name holds a NUL, so nothing is between a key and the same with one more \1. */
        memcpy(out, after.ptr, after.len);
        out[after.len] = '\1';
        from = str_of(out, after.len + 1);
    }
    *out_from = str_cmp(from, q->prefix) > 0 ? from : q->prefix;
    return q->max > 0 && q->prefix.len <= LIMIT_KEY_BYTES && str_starts(*out_from, q->prefix) &&
           (group.len == 0 || from.len > 0);
}

/* The directory that the prefix names, when the page starts with it, is a key by the same rules as those that the walk meets. */
static int visit_base(struct s3_list *l, struct str base)
{
    CLEANUP(vfs_closep) struct vfs_file *file = NULL;
    struct vfs_attr attr;
    struct str path = str_first(base, base.len - 1);
    int is_object = s3_directory_is_object(l->walk.bucket, path, l->op->cred);
    if (is_object <= 0)
        return is_object;
    int result = vfs_open(l->walk.bucket, path, l->op->cred, VFS_OPEN_DIRECTORY, &file, &attr);
    if (result == 0)
        result = vfs_xattr_get(file, S3_OBJMETA_XATTR, &l->record);
    if (result == -ENODATA)
        s3_walk_mark_base(&l->walk, S3_WALK_NOTE);
    if (result == 0)
        give_key(l, base, &attr);
    return result;
}

static void start(struct s3_list *l)
{
    char from_bytes[LIMIT_KEY_BYTES + 1];
    struct str from;
    struct str base = str_first(l->q.prefix, (size_t)(str_rfind_char(l->q.prefix, '/') + 1));
    l->is_done = !first_key(&l->q, from_bytes, &from) || !s3_walk_start(&l->walk, l->walk.bucket, l->op->cred, base, from);
    /* Whatever keeps the directory from being looked at keeps the walk from reading it, and is reported there. */
    if (!l->is_done && base.len > 0 && str_eq(from, base))
        (void)visit_base(l, base);
}

struct s3_list *s3_list_open(struct s3_op *op, struct vfs_dir *bucket, const struct s3_list_query *q, s3_list_fn fn,
                             void *context)
{
    struct s3_list *l = arena_new_of(op->arena, struct s3_list);
    l->op = op;
    l->q = *q;
    l->fn = fn;
    l->context = context;
    l->walk.bucket = bucket;
    l->walk.expected = (size_t)q->max + 1; /* one more shows that the page is not the last */
    l->walk.expected_xattr = S3_OBJMETA_XATTR;
    l->scratch = arena_new();
    l->record = buf_make(LIMIT_OBJECT_RECORD_BYTES);
    return l;
}

enum s3_error s3_list_run(struct s3_list *l)
{
    uint64_t deadline_ms = clock_mono_ms() + STEP_MS;
    if (!l->is_started)
        start(l);
    l->is_started = true;
    for (unsigned nodes = 1; !l->is_done; nodes++) {
        struct s3_walk_node node;
        int result = s3_walk_next(&l->walk, &node);
        if (result > 0)
            result = visit(l, &node);
        else
            l->is_done = true;
        if (result < 0)
            return s3_fail_errno(l->op, result, S3_FOR_KEY);
        if (nodes % STEP_NODES == 0 && clock_mono_ms() >= deadline_ms)
            return l->is_done ? S3_OK : S3_AGAIN;
    }
    return S3_OK;
}

bool s3_list_is_truncated(const struct s3_list *l, struct str *out_last)
{
    if (l->is_truncated)
        *out_last = last_of(l);
    return l->is_truncated;
}

void s3_list_close(struct s3_list *l)
{
    if (!l)
        return;
    s3_walk_done(&l->walk);
    buf_done(&l->record);
    arena_freep(&l->scratch);
}

/* Empty buckets */

/* Looks for anything but directories made on the way; prune: removes those that turn out to be empty. */
static int find_content(struct s3_op *op, struct vfs_dir *bucket, bool prune, bool *out_found)
{
    struct s3_walk *w = arena_new_of(op->arena, struct s3_walk);
    struct s3_walk_node node;
    bool found = !s3_walk_start(w, bucket, op->cred, STR_EMPTY, STR_EMPTY);
    int result = 0;
    s3_walk_mark_base(w, S3_WALK_UNORDERED);
    while (!found && (result = s3_walk_next(w, &node)) > 0) {
        struct str path = str_first(node.key, node.key.len - (node.key.len > 0));
        if (node.kind == S3_WALK_DIRECTORY && s3_directory_is_object(bucket, path, op->cred) == 0)
            s3_walk_enter(w, S3_WALK_UNORDERED);
        else if (node.kind != S3_WALK_LEFT)
            found = true;
        else if (prune)
            vfs_prune(bucket, path, op->cred);
    }
    s3_walk_done(w);
    *out_found = found;
    return result;
}

enum s3_error s3_bucket_is_empty(struct s3_op *op, struct vfs_dir *bucket, bool *out)
{
    bool found;
    int result = find_content(op, bucket, false, &found);
    if (result < 0)
        return s3_fail_errno(op, result, S3_FOR_BUCKET);
    *out = !found;
    return S3_OK;
}

void s3_bucket_sweep(struct s3_op *op, struct vfs_dir *bucket)
{
    bool found;
    (void)find_content(op, bucket, true, &found); /* what stays makes removing the bucket fail */
}
