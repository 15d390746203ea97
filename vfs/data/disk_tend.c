/* What is done for a folder while nobody waits: opening it, limits, scrubbing, trying a disk that is off. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/limits.h"
#include "vfs/data/disk_dir_internal.h"

#define LAYOUT "sluice-1"
/* Victims that one tick makes room with at most. */
#define TICK_VICTIMS 2000
/* Folders that one tick scrubs: as many as are empty, and one that is not. */
#define TICK_FOLDERS 64

/* Scrubbing: files without a record get one. */

static bool parse_name(struct str name, struct block_id *out)
{
    struct str part;
    uint64_t slice, index, size;
    if (!str_split(&name, '_', &part) || !str_parse_u64(part, &slice) || !str_split(&name, '_', &part) ||
        !str_parse_u64_max(part, UINT32_MAX, &index) || !str_parse_u64_max(name, UINT32_MAX, &size))
        return false;
    *out = (struct block_id){slice, (uint32_t)index, (uint32_t)size};
    return true;
}

static int scrub_file(struct disk_dir *d, const struct block_id *id)
{
    struct disk_file f;
    int fd = disk_dir_open_block(d, id, &f, O_RDONLY);
    if (fd == -EBADMSG) {
        disk_dir_drop_damaged(d, id);
        return 0;
    }
    if (fd < 0)
        return fd == -ENOENT || fd == -ENODATA ? 0 : fd;
    close(fd);
    return disk_dir_keep_record(d, id, &f);
}

/* 1: there were files. */
static int scrub_folder(struct disk_dir *d, uint32_t folder)
{
    char name[8];
    (void)snprintf(name, sizeof(name), "%03x", (unsigned)folder);
    int fd = openat(d->folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    DIR *dir = fdopendir(fd);
    CHECK(dir != NULL); /* out of memory */
    int rc = 0;
    struct block_id id;
    for (struct dirent *e; rc >= 0 && (e = readdir(dir)) != NULL;) {
        if (!parse_name(str_z(e->d_name), &id) || disk_dir_folder_of(&id) != folder)
            continue;
        rc = scrub_file(d, &id);
        disk_gate_step(&d->gate);
        if (rc == 0)
            rc = 1;
    }
    closedir(dir);
    return rc;
}

static int scrub(struct disk_dir *d)
{
    int rc = 0;
    uint32_t folder;
    for (unsigned i = 0; i < TICK_FOLDERS && rc == 0; i++) {
        rc = disk_index_scrub(d->index, &folder);
        if (rc == 0)
            rc = scrub_folder(d, folder);
    }
    return rc == -ENOENT || rc == 1 ? 0 : rc;
}

/* Opening, at first and again */

static unsigned folder_mode(unsigned mode)
{
    return mode | ((mode & 0444) >> 2);
}

int disk_dir_make_folder(const struct disk_dir *d, int parent, const char *name)
{
    unsigned mode = folder_mode(d->options.mode);
    if (mkdirat(parent, name, mode) < 0)
        return errno == EEXIST ? 0 : -errno;
    return (mode & 077) != 0 && fchmodat(parent, name, mode, 0) < 0 ? -errno : 0;
}

static int make_folders(const struct disk_dir *d, char path[PATH_MAX])
{
    const struct disk_dir_options *o = &d->options;
    /* It comes from the metadata. */
    if (o->volume.len == 0 || o->volume.ptr[0] == '.' || memchr(o->volume.ptr, '/', o->volume.len) != NULL)
        return -EINVAL;
    int len = snprintf(path, PATH_MAX, "%.*s/%.*s/" LAYOUT, STR_ARG(o->path), STR_ARG(o->volume));
    if (len < 0 || len >= PATH_MAX)
        return -ENAMETOOLONG;
    for (char *slash = path; (slash = strchr(slash + 1, '/')) != NULL;) {
        *slash = '\0';
        int rc = disk_dir_make_folder(d, AT_FDCWD, path);
        *slash = '/';
        if (rc < 0)
            return rc;
    }
    return disk_dir_make_folder(d, AT_FDCWD, path);
}

static int open_folder(struct disk_dir *d)
{
    char path[PATH_MAX];
    int rc = make_folders(d, path);
    if (rc < 0)
        return rc;
    CLEANUP(fd_closep) int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -errno;
    rc = disk_index_open(folder, d->options.mode, DISK_DIR_FOLDERS, &d->index);
    if (rc == 0)
        d->folder = fd_take(&folder);
    return rc;
}

static void close_folder(struct disk_dir *d)
{
    disk_index_close(d->index);
    d->index = NULL;
    fd_closep(&d->folder);
}

/* Does the disk take and give bytes? */
static int try_file(const struct disk_dir *d)
{
    char name[40], out[sizeof(name)] = {0};
    (void)snprintf(name, sizeof(name), "trial.%d", (int)getpid());
    CLEANUP(fd_closep) int fd = openat(d->folder, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, d->options.mode);
    if (fd < 0)
        return -errno;
    (void)unlinkat(d->folder, name, 0); /* the next trial takes the same name */
    int rc = fault_point("disk.trial");
    if (rc == 0)
        rc = fd_pwrite_all(fd, name, sizeof(name), 0);
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    ssize_t n = rc < 0 ? rc : fd_pread_full(fd, out, sizeof(out), 0);
    return n < 0 ? (int)n : (size_t)n == sizeof(out) && memcmp(out, name, sizeof(out)) == 0 ? 0 : -EIO;
}

static void try_again(struct disk_dir *d)
{
    uint64_t began_ms = clock_mono_ms();
    if (!disk_gate_may_try(&d->gate))
        return;
    close_folder(d);
    int rc = open_folder(d);
    if (rc == 0)
        rc = try_file(d);
    disk_gate_tried(&d->gate, began_ms, rc);
}

void disk_dir_tend(struct disk_dir *d)
{
    uint64_t began_ms;
    if (!disk_gate_enter(&d->gate, &began_ms)) {
        try_again(d);
        return;
    }
    int rc = disk_dir_make_room(d, 0, 0, TICK_VICTIMS);
    if (rc == 0)
        disk_gate_room(&d->gate);
    if (rc == 0)
        rc = scrub(d);
    /* Many steps that take long together are no sign of a slow disk. */
    disk_gate_leave(&d->gate, clock_mono_ms(), rc);
}

static struct str own(struct str s)
{
    char *copy = strndup(s.ptr, s.len);
    CHECK(copy != NULL); /* out of memory */
    return str_of(copy, s.len);
}

struct disk_dir *disk_dir_new(const struct disk_dir_options *options)
{
    struct disk_dir *d = calloc(1, sizeof(*d));
    CHECK(d != NULL); /* out of memory */
    d->options = *options;
    d->options.path = own(options->path);
    d->options.volume = own(options->volume);
    d->folder = -1;
    d->damaged = metric_get(METRIC_COUNTER, "sluice_cache_disk_damaged_total", "",
                            "Blocks on cache disks whose checksums were wrong.");
    d->evicted = metric_get(METRIC_COUNTER, "juicefs_blockcache_evicts", "", "Blocks evicted from the cache on disk.");
    uint64_t retry_ms = options->retry_ms ? options->retry_ms : LIMIT_DISK_CACHE_OFF_MS;
    disk_gate_init(&d->gate, d->options.path, retry_ms, open_folder(d));
    return d;
}

void disk_dir_free(struct disk_dir *d)
{
    if (!d)
        return;
    close_folder(d);
    free((char *)(uintptr_t)d->options.path.ptr);
    free((char *)(uintptr_t)d->options.volume.ptr);
    free(d);
}
