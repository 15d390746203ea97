/* Housekeeping of multipart uploads: walks all buckets and uploads in the order of names, a bounded piece at a time. */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "s3api/key.h"
#include "s3api/multipart.h"

/* One piece: so many buckets and uploads looked at, and files removed. */
#define STEP_LOOKS 200
#define STEP_FILES 1000
/* A folder gets its record right after it is made, and loses it right before it goes. */
#define ORPHAN_AGE_NS (3600ll * 1000 * 1000 * 1000)
/* Behind every id. */
#define LAST_UPLOAD "g"

struct step {
    struct s3_service *s;
    struct s3_sweep *sweep;
    struct vfs_dir *bucket, *uploads;
    unsigned looks;
};

static void set_text(char *out, size_t size, struct str s)
{
    snprintf(out, size, "%.*s", STR_ARG(s));
}

/* The id tells when the upload began. */
static bool is_expired(const struct step *step, struct str id, int64_t now_ns)
{
    uint64_t initiated_ns;
    uint64_t expiry_s = step->s->upload_expiry_s;
    if (expiry_s == 0 || !str_parse_hex_u64(str_first(id, S3_UPLOAD_ID_LEN / 2), &initiated_ns))
        return false;
    uint64_t now = (uint64_t)now_ns;
    return now > initiated_ns && (now - initiated_ns) / 1000000000 >= expiry_s;
}

static bool is_over(const struct step *step, struct str id)
{
    char record[S3_UPLOAD_ID_LEN + sizeof("/upload")];
    struct vfs_attr attr;
    int64_t now_ns = clock_wall_ns();
    snprintf(record, sizeof(record), "%.*s/upload", STR_ARG(id));
    int r = vfs_lookup(step->uploads, str_z(record), NULL, &attr);
    if (r == 0)
        return is_expired(step, id, now_ns);
    if (r == -ENOENT)
        r = vfs_lookup(step->uploads, id, NULL, &attr);
    return r == 0 && now_ns - attr.mtime_ns > ORPHAN_AGE_NS;
}

/* 1: there is more of it. An upload that is being completed is left alone. */
static int remove_upload(const struct step *step, struct str id)
{
    CLEANUP(vfs_dir_closep) struct vfs_dir *dir = NULL;
    CLEANUP(vfs_closep) struct vfs_file *lock = NULL;
    int r = vfs_dir_open(step->uploads, id, NULL, &dir);
    if (r == 0)
        r = s3_upload_lock(dir, &lock);
    return r == 0 || r == -ENOENT ? s3_upload_discard(step->bucket, id, STEP_FILES) : r;
}

/* 1: the step is over. Errors of one upload do not keep the others waiting. */
static int sweep_uploads(struct step *step)
{
    CLEANUP(vfs_scan_closep) struct vfs_scan *scan = NULL;
    struct s3_sweep *sweep = step->sweep;
    struct vfs_dirent entry;
    int r = vfs_scan_open(step->uploads, STR_EMPTY, NULL, str_z(sweep->upload), &scan);
    while (r == 0 && (r = vfs_scan_next(scan, &entry)) == 1) {
        r = 0;
        if (!s3_upload_id_is_valid(entry.name))
            continue;
        bool is_continued = sweep->is_removing && str_is(entry.name, sweep->upload);
        set_text(sweep->upload, sizeof(sweep->upload), entry.name);
        sweep->is_removing = false;
        if (step->looks == 0)
            return 1;
        step->looks--;
        if (!is_continued && !is_over(step, entry.name))
            continue;
        sweep->is_removing = remove_upload(step, entry.name) == 1;
        if (sweep->is_removing)
            return 1;
        step->looks = 0; /* a removal is enough for one step */
    }
    set_text(sweep->upload, sizeof(sweep->upload), STR(LAST_UPLOAD));
    return 0;
}

static int sweep_bucket(struct step *step, struct str path)
{
    CLEANUP(vfs_dir_closep) struct vfs_dir *bucket = NULL;
    CLEANUP(vfs_dir_closep) struct vfs_dir *uploads = NULL;
    int r = vfs_dir_open(vfs_root(step->s->volume), path, NULL, &bucket);
    if (r == 0)
        r = vfs_dir_open(bucket, STR(S3_UPLOADS_DIR), NULL, &uploads);
    if (r < 0)
        return 0; /* no uploads, or a bucket that cannot be looked into */
    step->bucket = bucket;
    step->uploads = uploads;
    return sweep_uploads(step);
}

static int sweep_buckets(struct step *step)
{
    CLEANUP(vfs_scan_closep) struct vfs_scan *scan = NULL;
    struct s3_sweep *sweep = step->sweep;
    struct vfs_dirent entry;
    int r = vfs_scan_open(vfs_root(step->s->volume), STR_EMPTY, NULL, str_z(sweep->bucket), &scan);
    while (r == 0 && (r = vfs_scan_next(scan, &entry)) == 1) {
        r = 0;
        if (entry.type != VFS_DIRECTORY || !s3_bucket_name_is_valid(entry.name))
            continue;
        if (!str_is(entry.name, sweep->bucket)) {
            set_text(sweep->bucket, sizeof(sweep->bucket), entry.name);
            sweep->upload[0] = '\0';
            sweep->is_removing = false;
        }
        if (step->looks == 0)
            return 1;
        step->looks--;
        r = sweep_bucket(step, str_z(sweep->bucket));
    }
    return r;
}

bool s3_multipart_housekeep(struct s3_service *s)
{
    struct s3_sweep *sweep = &s->sweep;
    struct step step = {.s = s, .sweep = sweep, .looks = STEP_LOOKS};
    if (atomic_exchange(&sweep->busy, true))
        return false;
    int r = s->single_bucket.len > 0 ? sweep_bucket(&step, STR_EMPTY) : sweep_buckets(&step);
    if (r != 1) {
        sweep->bucket[0] = sweep->upload[0] = '\0';
        sweep->is_removing = false;
    }
    atomic_store(&sweep->busy, false);
    return r == 1;
}
