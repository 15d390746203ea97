#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "s3api/bucket.h"
#include "s3api/service.h"

/* A bucket's own .sluice (uploads, configuration) keeps its directory from being removed, and must not be lost when the
 * bucket turns out to hold an object after all. So it steps aside first, into the volume's .sluice, and comes back if
 * need be. */
#define ASIDE_PREFIX "deleted."
/* .sluice, its folders, an upload's folder and the files in it. */
#define RESERVED_DEPTH 4
/* How long a removal may take, generously: what lies aside for longer was left by a crash. */
#define ASIDE_AGE_NS (INT64_C(3600) * 1000000000)

static void note_litter(int r, const char *step)
{
    if (r < 0)
        log_debug("bucket-litter", "step=%s errno=%d", step, -r);
}

/* Whether all of it is gone. */
static bool remove_tree(struct vfs_dir *root, struct str path, struct arena *arena, int depth_left)
{
    struct vfs_dirent entry;
    CLEANUP(vfs_scan_closep) struct vfs_scan *scan = NULL;
    if (vfs_scan_open(root, path, NULL, STR(""), &scan) < 0)
        return false;
    while (vfs_scan_next(scan, &entry) > 0) {
        struct str child = arena_printf(arena, "%.*s/%.*s", STR_ARG(path), STR_ARG(entry.name));
        if (entry.type == VFS_DIRECTORY && depth_left > 0)
            (void)remove_tree(root, child, arena, depth_left - 1); /* shows in the rmdir below */
        else
            note_litter(vfs_unlink(root, child, NULL, NULL), "unlink");
    }
    int r = vfs_rmdir(root, path, NULL);
    note_litter(r, "rmdir");
    return r == 0;
}

enum s3_error s3_bucket_remove(struct s3_op *op)
{
    struct vfs_dir *root = vfs_root(op->service->volume);
    char suffix[16];
    random_text(suffix, sizeof(suffix), "0123456789abcdef");
    struct str reserved = arena_printf(op->arena, "%.*s/" S3_RESERVED_DIR, STR_ARG(op->req.bucket));
    struct str aside = arena_printf(op->arena, S3_RESERVED_DIR "/" ASIDE_PREFIX "%.*s", (int)sizeof(suffix), suffix);
    int moved = vfs_rename(root, reserved, aside, NULL, VFS_RENAME_NOREPLACE);
    if (moved < 0 && moved != -ENOENT)
        return s3_fail_errno(op, moved, S3_FOR_BUCKET);
    int r = vfs_rmdir(root, op->req.bucket, op->cred);
    if (r < 0 && moved == 0)
        note_litter(vfs_rename(root, aside, reserved, NULL, VFS_RENAME_NOREPLACE), "rename-back");
    if (r < 0)
        return s3_fail_errno(op, r, S3_FOR_BUCKET);
    if (moved == 0)
        (void)remove_tree(root, aside, op->arena, RESERVED_DEPTH); /* housekeeping tries again */
    return S3_OK;
}

/* The path of one that was left, in the arena; ptr NULL when there is none. */
static struct str find_left(struct vfs_dir *root, struct arena *arena)
{
    CLEANUP(vfs_scan_closep) struct vfs_scan *scan = NULL;
    struct vfs_dirent entry;
    struct vfs_attr attr;
    if (vfs_scan_open(root, STR(S3_RESERVED_DIR), NULL, STR(ASIDE_PREFIX), &scan) < 0)
        return STR_EMPTY;
    while (vfs_scan_next(scan, &entry) > 0 && str_starts(entry.name, STR(ASIDE_PREFIX))) {
        struct str path = arena_printf(arena, S3_RESERVED_DIR "/%.*s", STR_ARG(entry.name));
        bool is_old = vfs_scan_stat(scan, &attr, NULL, NULL) == 0 && clock_wall_ns() - attr.ctime_ns > ASIDE_AGE_NS;
        if (is_old)
            return path;
    }
    return STR_EMPTY;
}

bool s3_bucket_housekeep(struct s3_service *s)
{
    struct vfs_dir *root = vfs_root(s->volume);
    struct arena *arena = arena_new();
    struct str path = find_left(root, arena);
    bool removed = path.ptr && remove_tree(root, path, arena, RESERVED_DEPTH);
    arena_free(arena);
    return removed;
}
