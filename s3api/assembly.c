#include "s3api/assembly.h"

#include <errno.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/limits.h"

/* Layouts that are considered; a client that makes more has parts of all sizes, and nothing would fit. */
#define LAYOUTS_MAX 8
/* One step's share: short enough for a worker, long enough not to count. */
#define STEP_BYTES (32ull << 20)
#define STEP_RECORDS 500

/* Choosing what to build in */

struct layout {
    const char *file;
    uint64_t bytes; /* already in their places */
    uint64_t end;   /* behind the last of them */
    bool is_usable; /* no listed part lies where another will be */
};

static struct layout *layout_of(struct layout *layouts, size_t *count, const char *file)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(layouts[i].file, file) == 0)
            return &layouts[i];
    if (*count == LAYOUTS_MAX)
        return NULL;
    layouts[*count] = (struct layout){.file = file, .is_usable = true};
    return &layouts[(*count)++];
}

/* False when no data file can become the object. */
static bool choose_layout(const struct s3_assembly *a, struct layout *out)
{
    struct layout layouts[LAYOUTS_MAX];
    size_t count = 0;
    uint64_t offset = 0;
    for (size_t i = 0; i < a->count; i++) {
        const struct s3_part *p = &a->parts[i];
        struct layout *l = s3_part_file_is_data(p->file) ? layout_of(layouts, &count, p->file) : NULL;
        if (l && (p->offset == offset || p->size == 0)) {
            l->bytes += p->size;
            l->end = offset + p->size;
        } else if (l) {
            l->is_usable = false;
        }
        offset += p->size;
    }
    const struct layout *best = NULL;
    for (size_t i = 0; i < count; i++)
        if (layouts[i].is_usable && (!best || layouts[i].bytes > best->bytes))
            best = &layouts[i];
    if (!best || best->bytes == 0)
        return false;
    *out = *best;
    return true;
}

/* 1: it is ours alone now. 0: somebody writes to it, or it is published already. */
static int take_data_file(struct s3_assembly *a, const struct layout *l)
{
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    struct vfs_attr attr;
    int r = vfs_open(a->upload, str_z(l->file), NULL, VFS_OPEN_WRITE, &f, NULL);
    if (r == 0 && vfs_lock(f, true) < 0)
        return 0;
    if (r == 0)
        r = vfs_fstat(f, &attr);
    if (r == 0)
        r = s3_part_file_is_ours(a->upload, l->file, &attr);
    if (r < 1)
        return r == -ENOENT ? -ENODATA : r;
    if (attr.size < l->end)
        return -ENODATA;
    a->file = TAKE(f);
    memcpy(a->target, l->file, sizeof(a->target));
    return 1;
}

int s3_assembly_begin(struct s3_assembly *a, struct vfs_dir *upload, const struct s3_part *parts, size_t count)
{
    CHECK(count > 0);
    *a = (struct s3_assembly){.upload = upload, .parts = parts, .count = count};
    for (size_t i = 0; i < count; i++)
        a->size += parts[i].size;
    struct layout layout;
    int r = choose_layout(a, &layout) ? take_data_file(a, &layout) : 0;
    return r < 0 ? r : 0;
}

/* Dropping what will lose its bytes */

static bool is_listed(const struct s3_assembly *a, uint32_t number)
{
    size_t low = 0, high = a->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (a->parts[middle].number == number)
            return true;
        if (a->parts[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static int drop_unlisted(struct s3_assembly *a, uint32_t number)
{
    struct s3_part p;
    int r = s3_part_read(a->upload, number, &p);
    if (r == -ENOENT || r == -EBADMSG)
        return 0;
    if (r == 0 && strcmp(p.file, a->target) == 0)
        r = s3_part_drop(a->upload, number);
    return r;
}

/* In place, the listed parts cover the object without gaps once all are moved: whatever else lies in the file is in the
 * way of one of them, or behind the end. */
static int clear_unlisted(struct s3_assembly *a)
{
    char from[S3_PART_NAME_SIZE];
    CLEANUP(vfs_scan_closep) struct vfs_scan *scan = NULL;
    struct vfs_dirent entry;
    uint32_t number;
    size_t budget = STEP_RECORDS;
    int r = vfs_scan_open(a->upload, STR_EMPTY, NULL, s3_part_name(a->cleared_to, from), &scan);
    while (r == 0 && (r = vfs_scan_next(scan, &entry)) == 1) {
        if (budget-- == 0)
            return 1;
        r = 0;
        if (!s3_part_name_parse(entry.name, &number))
            break; /* behind the last record */
        if (number > a->cleared_to && !is_listed(a, number))
            r = drop_unlisted(a, number);
        a->cleared_to = number;
    }
    a->is_cleared = r == 0;
    return r;
}

static bool is_in_place(const struct s3_assembly *a, const struct s3_part *p)
{
    return a->target[0] != '\0' && strcmp(a->target, p->file) == 0;
}

static bool is_untouched(const struct s3_assembly *a, uint64_t file_size)
{
    for (size_t i = 0; i < a->count; i++)
        if (!is_in_place(a, &a->parts[i]))
            return false;
    return file_size == a->size;
}

/* Moving */

static int open_source(struct s3_assembly *a, const struct s3_part *p)
{
    struct s3_part now;
    int r = 0;
    /* A part that was not in place may have got its record there before the lock was ours: then its bytes are. */
    if (a->target[0] != '\0')
        r = s3_part_read(a->upload, p->number, &now);
    if (r == 0 && a->target[0] != '\0' && !s3_part_eq(&now, p))
        r = -ESTALE;
    if (r == 0 && (!a->source || strcmp(a->source_name, p->file) != 0)) {
        vfs_closep(&a->source);
        r = vfs_open(a->upload, str_z(p->file), NULL, VFS_OPEN_READ, &a->source, NULL);
        memcpy(a->source_name, p->file, sizeof(a->source_name));
    }
    return r == -ENOENT ? -ESTALE : r;
}

static void next_part(struct s3_assembly *a)
{
    a->next_offset += a->parts[a->next].size;
    a->next_done = 0;
    a->next++;
}

/* 1: the part is where it belongs. */
static int move_some(struct s3_assembly *a, const struct s3_part *p, uint64_t *moved)
{
    int r = a->next_done == 0 ? open_source(a, p) : 0;
    if (r == 0)
        r = fault_point("multipart.move");
    if (r < 0)
        return r;
    uint64_t done = 0;
    uint64_t want = p->size - a->next_done;
    if (want > 0)
        r = vfs_clone_range(a->file, a->next_offset + a->next_done, a->source, p->offset + a->next_done, want, &done);
    if (r < 0)
        return r;
    if (done == 0 && want > 0)
        return -ENODATA;
    a->next_done += done;
    *moved += done;
    return a->next_done == p->size;
}

static int move_parts(struct s3_assembly *a)
{
    uint64_t moved = 0;
    int r = 0;
    while (a->next < a->count && moved < STEP_BYTES && r >= 0) {
        const struct s3_part *p = &a->parts[a->next];
        r = is_in_place(a, p) ? 1 : move_some(a, p, &moved);
        if (r == 1)
            next_part(a);
    }
    a->moved += moved;
    if (r < 0)
        return r;
    return a->next < a->count;
}

int s3_assembly_step(struct s3_assembly *a)
{
    CHECK(a->file != NULL);
    struct vfs_attr attr;
    int r = vfs_fstat(a->file, &attr);
    if (r < 0)
        return r;
    if (a->target[0] != '\0' && !a->is_cleared && !is_untouched(a, attr.size)) {
        r = clear_unlisted(a);
        return r < 0 ? r : 1;
    }
    r = move_parts(a);
    if (r != 0)
        return r;
    r = fault_point("multipart.cut");
    if (r == 0)
        r = vfs_truncate(a->file, a->size);
    return r;
}

void s3_assembly_end(struct s3_assembly *a)
{
    vfs_closep(&a->source);
    vfs_closep(&a->file);
}
