#include "vfs/dir/view.h"

#include <dirent.h>
#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "vfs/dir/dir_internal.h"
#include "vfs/path.h"

/* One record: kind, length of the name, the name, '/' for a directory. */
#define RECORD_HEAD 2

struct view {
    atomic_uint refs;
    char *records;
    size_t records_size, records_capacity;
    uint32_t *offsets; /* in order */
    size_t count, capacity;
};

/* Records */

static struct str extended_name(const struct view *w, uint32_t offset)
{
    const unsigned char *r = (const unsigned char *)w->records + offset;
    return str_of((const char *)r + RECORD_HEAD, (size_t)r[1] + (r[0] == ENTRY_DIRECTORY));
}

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

/* Reading */

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
    if (attr_at(dir_fd, name, &attr) < 0)
        return ENTRY_OTHER; /* gone, most likely */
    if (attr.type == VFS_FILE || attr.type == VFS_DIRECTORY)
        return attr.type == VFS_FILE ? ENTRY_FILE : ENTRY_DIRECTORY;
    return attr.type == VFS_SYMLINK ? ENTRY_LINK : ENTRY_OTHER;
}

static int add_entry(struct view *w, int dir_fd, const char *name_z, unsigned char type)
{
    struct str name = str_z(name_z);
    if (name.len == 0 || name.len > NAME_MAX || str_is(name, ".") || str_is(name, ".."))
        return 0;
    if (str_is(name, VFS_PATH_STATE_NAME))
        return 0;
    if (str_starts(name, STR(VFS_PATH_TEMP_PREFIX))) {
        temp_remove_stale(dir_fd, name_z);
        return 0;
    }
    return add_record(w, kind_of(dir_fd, name_z, type), name);
}

static int read_all(struct view *w, int dir_fd)
{
    int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int error = -errno;
        fd_closep(&fd);
        return error;
    }
    rewinddir(dir);
    int r = 0;
    while (r == 0) {
        errno = 0;
        const struct dirent *e = readdir(dir);
        if (!e) {
            r = -errno;
            break;
        }
        r = add_entry(w, dir_fd, e->d_name, e->d_type);
    }
    closedir(dir);
    return r;
}

/* So many bytes of entries at a time are enough to find something, and few enough to be read for that alone. */
#define READ_SOME_BYTES (32 * 1024)

static int read_some(struct view *w, int dir_fd)
{
    alignas(struct dirent64) char bytes[READ_SOME_BYTES];
    int r = 0;
    while (r == 0 && w->count == 0) {
        ssize_t size = getdents64(dir_fd, bytes, sizeof(bytes));
        if (size <= 0)
            return size < 0 ? -errno : 0;
        for (ssize_t at = 0; r == 0 && at < size;) {
            const struct dirent64 *e = (const void *)(bytes + at);
            r = add_entry(w, dir_fd, e->d_name, e->d_type);
            at += e->d_reclen;
        }
    }
    return r;
}

/* Sorting: by the eight bytes behind what all names have in common, as one number; names are looked at only when those
 * are equal. */

struct sort_item {
    uint64_t key;
    uint32_t offset;
};

static size_t common_prefix(const struct view *w)
{
    struct str first = extended_name(w, w->offsets[0]);
    size_t common = first.len;
    for (size_t i = 1; i < w->count && common > 0; i++) {
        struct str name = extended_name(w, w->offsets[i]);
        size_t same = 0;
        while (same < common && same < name.len && name.ptr[same] == first.ptr[same])
            same++;
        common = same;
    }
    return common;
}

static uint64_t key_of(struct str name)
{
    uint64_t key = 0;
    for (size_t i = 0; i < sizeof(key); i++)
        key = key << 8 | (i < name.len ? (unsigned char)name.ptr[i] : 0);
    return key;
}

static int compare_items(const void *a, const void *b, void *view)
{
    const struct sort_item *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return str_cmp(extended_name(view, x->offset), extended_name(view, y->offset));
}

static void sort(struct view *w)
{
    if (w->count < 2)
        return;
    struct sort_item *items = reallocarray(NULL, w->count, sizeof(*items));
    CHECK(items != NULL);
    size_t common = common_prefix(w);
    for (size_t i = 0; i < w->count; i++)
        items[i] = (struct sort_item){key_of(str_from(extended_name(w, w->offsets[i]), common)), w->offsets[i]};
    qsort_r(items, w->count, sizeof(*items), compare_items, w);
    for (size_t i = 0; i < w->count; i++)
        w->offsets[i] = items[i].offset;
    free(items);
}

/* The view */

static int build(int (*read)(struct view *, int), int dir_fd, struct view **out)
{
    struct view *w = calloc(1, sizeof(*w));
    CHECK(w != NULL);
    atomic_init(&w->refs, 1);
    int r = read(w, dir_fd);
    if (r < 0) {
        view_unref(w);
        return r;
    }
    *out = w;
    return 0;
}

int view_build(int dir_fd, struct view **out)
{
    int r = build(read_all, dir_fd, out);
    if (r == 0)
        sort(*out);
    return r;
}

int view_build_some(int dir_fd, struct view **out)
{
    return build(read_some, dir_fd, out);
}

struct view *view_ref(struct view *w)
{
    atomic_fetch_add(&w->refs, 1);
    return w;
}

void view_unref(struct view *w)
{
    if (!w || atomic_fetch_sub(&w->refs, 1) > 1)
        return;
    free(w->records);
    free(w->offsets);
    free(w);
}

size_t view_count(const struct view *w)
{
    return w->count;
}

size_t view_bytes(const struct view *w)
{
    return sizeof(*w) + w->records_capacity + w->capacity * sizeof(*w->offsets);
}

size_t view_find(const struct view *w, struct str from)
{
    size_t low = 0, high = w->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (str_cmp(extended_name(w, w->offsets[middle]), from) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct str view_entry(const struct view *w, size_t index, enum entry_kind *out_kind)
{
    CHECK(index < w->count);
    const unsigned char *r = (const unsigned char *)w->records + w->offsets[index];
    *out_kind = (enum entry_kind)r[0];
    return str_of((const char *)r + RECORD_HEAD, r[1]);
}
