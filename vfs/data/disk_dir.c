#include "vfs/data/disk_dir_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"

#define NAME_BYTES 64
/* Victims that one put makes room with at most. */
#define PUT_VICTIMS 16
#define DISK_PAGE 4096u

enum disk_state disk_dir_state(struct disk_dir *d)
{
    return disk_gate_state(&d->gate);
}

struct disk_usage disk_dir_usage(struct disk_dir *d)
{
    return (struct disk_usage){atomic_load(&d->bytes), atomic_load(&d->items)};
}

/* Names */

uint32_t disk_dir_folder_of(const struct block_id *id)
{
    return (uint32_t)((id->slice + id->index) % DISK_DIR_FOLDERS);
}

static void name_of(const struct block_id *id, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "%03x/%" PRIu64 "_%" PRIu32 "_%" PRIu32, (unsigned)disk_dir_folder_of(id),
                   id->slice, id->index, id->size);
}

/* Reading */

int disk_dir_open_block(struct disk_dir *d, const struct block_id *id, struct disk_file *out, int flags)
{
    char name[NAME_BYTES];
    name_of(id, name);
    int fd = openat(d->folder, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NOATIME);
    if (fd < 0 && errno == EPERM) /* another user's file */
        fd = openat(d->folder, name, flags | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    int rc = disk_file_look(fd, id, d->options.form, out);
    if (rc < 0)
        close(fd);
    return rc < 0 ? rc : fd;
}

static uint32_t bytes_on_disk(uint32_t body)
{
    size_t size = disk_file_size(body);
    return (uint32_t)((size + DISK_PAGE - 1) / DISK_PAGE * DISK_PAGE);
}

static int unlink_block(struct disk_dir *d, const struct block_id *id)
{
    char name[NAME_BYTES];
    name_of(id, name);
    return unlinkat(d->folder, name, 0) < 0 ? -errno : 0;
}

/* A file whose record is lost, or another's, gets a new one. */
static int adopt(struct disk_dir *d, const struct block_id *id, const struct disk_file *f)
{
    struct disk_file again = *f;
    uint32_t slot;
    int fd = disk_dir_open_block(d, id, &again, O_RDWR);
    if (fd < 0)
        return fd;
    int rc = disk_index_mark(d->index, again.slot, id); /* others may have been here first */
    if (rc == -ENOENT) {
        rc = disk_index_add(d->index, id, bytes_on_disk(again.body), &slot);
        if (rc == 0)
            rc = disk_file_set_slot(fd, &again, slot);
    }
    close(fd);
    return rc;
}

int disk_dir_keep_record(struct disk_dir *d, const struct block_id *id, const struct disk_file *f)
{
    int rc = disk_index_mark(d->index, f->slot, id);
    return rc == -ENOENT ? adopt(d, id, f) : rc;
}

void disk_dir_drop_damaged(struct disk_dir *d, const struct block_id *id)
{
    metric_add(d->damaged, 1);
    log_warn("cache_block_damaged", "path=\"%.*s\" slice=%" PRIu64 " index=%" PRIu32, STR_ARG(d->options.path),
             id->slice, id->index);
    disk_gate_judge(&d->gate, unlink_block(d, id));
}

/* size 0: the whole, at most `capacity` bytes. */
static int read_block(struct disk_dir *d, const struct block_id *id, uint32_t from, uint32_t size, char *out,
                      size_t capacity, size_t *out_size)
{
    struct disk_file f;
    int fd = disk_dir_open_block(d, id, &f, O_RDONLY);
    if (fd < 0)
        return fd;
    if (size == 0)
        size = f.body;
    int rc =
        size > capacity || from > f.body || size > f.body - from ? -EBADMSG : disk_file_read(fd, &f, from, size, out);
    close(fd);
    if (rc == 0) /* whatever comes of the rest */
        disk_gate_judge(&d->gate, disk_dir_keep_record(d, id, &f));
    *out_size = size;
    return rc;
}

static int enter_and_read(struct disk_dir *d, const struct block_id *id, uint32_t from, uint32_t size, char *out,
                          size_t capacity, size_t *out_size)
{
    uint64_t began_ms;
    if (!disk_gate_enter(&d->gate, &began_ms))
        return -ENOENT;
    int rc = read_block(d, id, from, size, out, capacity, out_size);
    if (rc == -EBADMSG)
        disk_dir_drop_damaged(d, id);
    disk_gate_leave(&d->gate, began_ms, rc);
    return rc < 0 ? -ENOENT : 0;
}

int disk_dir_read(struct disk_dir *d, const struct block_id *id, uint32_t from, uint32_t size, char *out)
{
    size_t got;
    return enter_and_read(d, id, from, size, out, size, &got);
}

int disk_dir_read_body(struct disk_dir *d, const struct block_id *id, char *out, size_t capacity, size_t *out_size)
{
    return enter_and_read(d, id, 0, 0, out, capacity, out_size);
}

bool disk_dir_has(struct disk_dir *d, const struct block_id *id)
{
    char name[NAME_BYTES];
    name_of(id, name);
    uint64_t began_ms;
    if (!disk_gate_enter(&d->gate, &began_ms))
        return false;
    int rc = faccessat(d->folder, name, F_OK, 0) < 0 ? -errno : 0;
    disk_gate_leave(&d->gate, began_ms, rc);
    return rc == 0;
}

/* Room */

/* Evicts one block. The file goes first: a record without a file is dropped sooner or later, a file without a record is
 * not. */
static int evict_one(struct disk_dir *d)
{
    struct block_id id;
    uint32_t slot;
    int rc = disk_index_victim(d->index, &slot, &id);
    if (rc == 0)
        rc = unlink_block(d, &id);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    if (rc == 0)
        metric_add(d->evicted, 1);
    rc = disk_index_remove(d->index, slot, &id);
    return rc == -ENOENT ? 0 : rc; /* another process was faster */
}

static bool is_short(uint64_t free, uint64_t need, uint64_t total, double free_min)
{
    return total > 0 && (free < need || (double)(free - need) < (double)total * free_min);
}

/* Would `bytes` more in `items` more files break a limit? 1, 0, or an error. */
static int is_over(struct disk_dir *d, uint64_t bytes, uint64_t items)
{
    struct disk_usage u;
    struct statvfs fs;
    int rc = disk_index_usage(d->index, &u);
    if (rc < 0)
        return rc;
    atomic_store(&d->bytes, u.bytes);
    atomic_store(&d->items, u.items);
    const struct disk_dir_options *o = &d->options;
    if (u.bytes + bytes > o->bytes_max || (o->items_max > 0 && u.items + items > o->items_max))
        return 1;
    if (fstatvfs(d->folder, &fs) < 0)
        return -errno;
    return is_short(fs.f_bavail, bytes / fs.f_frsize + 1, fs.f_blocks, o->free_min) ||
           is_short(fs.f_favail, items, fs.f_files, o->free_min);
}

int disk_dir_make_room(struct disk_dir *d, uint64_t bytes, uint64_t items, unsigned victims)
{
    int rc;
    for (unsigned i = 0; (rc = is_over(d, bytes, items)) == 1; i++) {
        if (i == victims)
            return -ENOSPC;
        rc = evict_one(d);
        if (rc < 0)
            return rc == -ENOENT ? -ENOSPC : rc;
        disk_gate_step(&d->gate);
    }
    return rc;
}

/* Writing */

void disk_writer_init(struct disk_writer *w, char *file)
{
    *w = (struct disk_writer){file, -1};
}

/* What the file before has in the page cache goes once it is on the disk: by then it mostly is. */
static void drop_pages(struct disk_writer *w)
{
    if (w->previous < 0)
        return;
    (void)sync_file_range(w->previous, 0, 0,
                          SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    (void)posix_fadvise(w->previous, 0, 0, POSIX_FADV_DONTNEED);
    fd_closep(&w->previous);
}

void disk_writer_done(struct disk_writer *w)
{
    drop_pages(w);
}

static int create(struct disk_dir *d, const struct block_id *id)
{
    char name[NAME_BYTES];
    name_of(id, name);
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
    int fd = openat(d->folder, name, flags, d->options.mode);
    if (fd < 0 && errno == ENOENT) {
        char folder[8];
        (void)snprintf(folder, sizeof(folder), "%03x", (unsigned)disk_dir_folder_of(id));
        int rc = disk_dir_make_folder(d, d->folder, folder);
        if (rc < 0)
            return rc;
        fd = openat(d->folder, name, flags, d->options.mode);
    }
    return fd < 0 ? -errno : fd;
}

static int write_file(struct disk_dir *d, struct disk_writer *w, const struct block_id *id, uint32_t body,
                      uint32_t slot)
{
    int fd = create(d, id);
    if (fd < 0)
        return fd;
    size_t size = disk_file_size(body);
    disk_file_finish(w->file, body, id, d->options.form, slot);
    int rc = fault_point("disk.write");
    if (rc == 0 && (d->options.mode & 077) != 0 && fchmod(fd, d->options.mode) < 0)
        rc = -errno;
    if (rc == 0)
        rc = fd_pwrite_all(fd, w->file, size, 0);
    if (rc < 0) {
        close(fd);
        (void)unlink_block(d, id); /* a file without a footer is none */
        return rc;
    }
    if (size < LIMIT_DISK_CACHE_SYNC_BYTES) {
        close(fd);
        return 0;
    }
    (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    drop_pages(w);
    w->previous = fd;
    return 0;
}

static int put(struct disk_dir *d, struct disk_writer *w, const struct block_id *id, uint32_t body)
{
    uint32_t bytes = bytes_on_disk(body), slot;
    int rc = disk_dir_make_room(d, bytes, 1, PUT_VICTIMS);
    if (rc == 0)
        rc = disk_index_add(d->index, id, bytes, &slot);
    if (rc < 0)
        return rc;
    rc = write_file(d, w, id, body, slot);
    if (rc < 0) {
        int removed = disk_index_remove(d->index, slot, id);
        disk_gate_judge(&d->gate, removed);
    }
    return rc == -EEXIST ? 0 : rc;
}

int disk_dir_put(struct disk_dir *d, struct disk_writer *w, const struct block_id *id, uint32_t body)
{
    if (disk_gate_state(&d->gate) == DISK_FULL)
        return -ENOSPC;
    uint64_t began_ms;
    if (!disk_gate_enter(&d->gate, &began_ms))
        return -ENOENT;
    int rc = put(d, w, id, body);
    disk_gate_leave(&d->gate, began_ms, rc);
    return rc == 0 || rc == -ENOSPC ? rc : -ENOENT;
}

static int remove_block(struct disk_dir *d, const struct block_id *id)
{
    struct disk_file f;
    int fd = disk_dir_open_block(d, id, &f, O_RDONLY);
    if (fd < 0 && fd != -EBADMSG && fd != -ENODATA)
        return fd;
    if (fd >= 0)
        close(fd);
    int rc = unlink_block(d, id);
    if (rc < 0)
        return rc;
    if (fd >= 0)
        disk_gate_judge(&d->gate, disk_index_remove(d->index, f.slot, id));
    return 0;
}

bool disk_dir_remove(struct disk_dir *d, const struct block_id *id)
{
    uint64_t began_ms;
    if (!disk_gate_enter(&d->gate, &began_ms))
        return false;
    int rc = remove_block(d, id);
    disk_gate_leave(&d->gate, began_ms, rc);
    return rc == 0;
}
