#include "vfs/dir/view.h"

#include <dirent.h>
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "vfs/dir/dir_internal.h"
#include "vfs/dir/view_internal.h"
#include "vfs/path.h"

/* So many bytes of entries at a time are enough to find something, and few enough to be read for that alone. */
#define READ_BYTES (32 * 1024)

/* Reading */

static int add_record(struct view *w, enum entry_kind kind, struct str name)
{
    size_t size = RECORD_HEAD + name.len + (kind == ENTRY_DIRECTORY);
    if (w->records_size + size > UINT32_MAX)
        return -EFBIG;
    if (w->records_size + size > w->records_capacity) {
        w->records_capacity = w->records_capacity ? w->records_capacity * 2 : 4096;
        w->records = realloc(w->records, w->records_capacity);
        CHECK(w->records != NULL);
    }
    if (w->count == w->capacity) {
        w->capacity = w->capacity ? w->capacity * 2 : 128;
        w->offsets = reallocarray(w->offsets, w->capacity, sizeof(*w->offsets));
        CHECK(w->offsets != NULL);
    }
    char *at = w->records + w->records_size;
    at[0] = (char)kind;
    at[1] = (char)name.len;
    memcpy(at + RECORD_HEAD, name.ptr, name.len);
    if (kind == ENTRY_DIRECTORY)
        at[RECORD_HEAD + name.len] = '/';
    w->offsets[w->count++] = (uint32_t)w->records_size;
    w->records_size += size;
    return 0;
}

static enum entry_kind kind_of_type(enum vfs_type type)
{
    switch (type) {
    case VFS_FILE:
        return ENTRY_FILE;
    case VFS_DIRECTORY:
        return ENTRY_DIRECTORY;
    case VFS_SYMLINK:
        return ENTRY_LINK;
    case VFS_OTHER:
        return ENTRY_OTHER;
    }
    return ENTRY_OTHER;
}

static enum entry_kind kind_of(int dir_fd, const char *name, unsigned char type)
{
    switch (type) {
    case DT_REG:
        return ENTRY_FILE;
    case DT_DIR:
        return ENTRY_DIRECTORY;
    case DT_LNK:
        return ENTRY_LINK;
    case DT_UNKNOWN:
        break;
    default:
        return ENTRY_OTHER;
    }
    struct vfs_attr attr;
    return attr_at(dir_fd, name, &attr) < 0 ? ENTRY_OTHER : kind_of_type(attr.type); /* gone, most likely */
}

bool view_kind_now(int dir_fd, struct str name, enum entry_kind *out)
{
    char text[NAME_MAX + 1];
    struct vfs_attr attr;
    CHECK(name.len <= NAME_MAX);
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    if (attr_at(dir_fd, text, &attr) < 0)
        return false;
    *out = kind_of_type(attr.type);
    return true;
}

/* Names that no scan shows. */
bool view_hides(struct str name)
{
    return str_is(name, VFS_PATH_STATE_NAME) || str_starts(name, STR(VFS_PATH_TEMP_PREFIX));
}

static int add_entry(struct view *w, int dir_fd, const char *name_z, unsigned char type)
{
    struct str name = str_z(name_z);
    if (name.len == 0 || name.len > NAME_MAX || str_is(name, ".") || str_is(name, ".."))
        return 0;
    if (view_hides(name)) {
        temp_remove_stale(dir_fd, name_z);
        return 0;
    }
    return add_record(w, kind_of(dir_fd, name_z, type), name);
}

/* 1: there may be more; 0: the end. */
static int read_step(struct view *w, int dir_fd)
{
    alignas(struct dirent64) char bytes[READ_BYTES];
    ssize_t size = getdents64(dir_fd, bytes, sizeof(bytes));
    if (size < 0)
        return name_errno();
    int r = 0;
    for (ssize_t at = 0; r == 0 && at < size;) {
        const struct dirent64 *e = (const void *)(bytes + at);
        r = add_entry(w, dir_fd, e->d_name, e->d_type);
        at += e->d_reclen;
    }
    return r < 0 ? r : size > 0;
}

/* Building */

static struct view *view_new(void)
{
    struct view *w = calloc(1, sizeof(*w));
    CHECK(w != NULL);
    atomic_init(&w->refs, 1);
    return w;
}

static void view_unrefp(struct view **w)
{
    view_unref(*w);
}

static int spill_part(struct spill **spill, const struct view_room *room, struct view *w)
{
    int r = *spill ? 0 : spill_new(room->spill_fd, spill);
    if (r < 0)
        return r;
    view_sort(w);
    return spill_add(*spill, w);
}

/* Gives back what growing by doubling took too much. */
static void trim(struct view *w)
{
    if (w->count == 0)
        return;
    w->records = realloc(w->records, w->records_size);
    w->offsets = reallocarray(w->offsets, w->count, sizeof(*w->offsets));
    CHECK(w->records != NULL && w->offsets != NULL);
    w->records_capacity = w->records_size;
    w->capacity = w->count;
}

int view_build(int dir_fd, const struct view_room *room, struct view **out)
{
    CLEANUP(spill_freep) struct spill *spill = NULL;
    CLEANUP(view_unrefp) struct view *w = view_new();
    int r = lseek(dir_fd, 0, SEEK_SET) < 0 ? -errno : 1;
    while (r > 0) {
        r = read_step(w, dir_fd);
        bool is_full = w->records_size >= room->memory_max || (r == 0 && spill && w->count > 0);
        if (r >= 0 && is_full) {
            int spilled = spill_part(&spill, room, w);
            r = spilled < 0 ? spilled : r;
        }
    }
    if (r < 0)
        return r;
    if (spill) {
        r = spill_merge(spill, w);
        if (r < 0)
            return r;
    } else {
        view_sort(w);
        trim(w);
    }
    *out = TAKE(w);
    return 0;
}

int view_build_some(int dir_fd, struct view **out)
{
    CLEANUP(view_unrefp) struct view *w = view_new();
    int r = 1;
    while (r > 0 && w->count == 0)
        r = read_step(w, dir_fd);
    if (r < 0)
        return r;
    *out = TAKE(w);
    return 0;
}

/* The view */

struct view *view_ref(struct view *w)
{
    atomic_fetch_add(&w->refs, 1);
    return w;
}

/* Pages of the files that a scan has touched count as this process's memory until they are let go; they stay in the page
 * cache. */
static void rest(struct view *w)
{
    if (!w->is_mapped)
        return;
    (void)madvise(w->records, w->records_size, MADV_DONTNEED);
    (void)madvise(w->offsets, w->count * sizeof(*w->offsets), MADV_DONTNEED);
}

void view_unref(struct view *w)
{
    if (!w)
        return;
    rest(w);
    if (atomic_fetch_sub(&w->refs, 1) > 1)
        return;
    if (w->is_mapped) {
        CHECK(munmap(w->records, w->records_size) == 0);
        CHECK(munmap(w->offsets, w->count * sizeof(*w->offsets)) == 0);
    } else {
        free(w->records);
        free(w->offsets);
    }
    free(w);
}

size_t view_count(const struct view *w)
{
    return w->count;
}

static uint64_t content_bytes(const struct view *w)
{
    return w->records_capacity + (uint64_t)w->capacity * sizeof(*w->offsets);
}

uint64_t view_bytes(const struct view *w)
{
    return sizeof(*w) + (w->is_mapped ? 0 : content_bytes(w));
}

uint64_t view_file_bytes(const struct view *w)
{
    return w->is_mapped ? content_bytes(w) : 0;
}

size_t view_find(const struct view *w, struct str from)
{
    size_t low = 0, high = w->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (str_cmp(record_extended(view_record(w, middle)), from) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct str view_entry(const struct view *w, size_t index, enum entry_kind *out_kind)
{
    CHECK(index < w->count);
    const char *record = view_record(w, index);
    *out_kind = (enum entry_kind)record[0];
    return record_name(record);
}
