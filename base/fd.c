#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/random.h"

#define READ_STEP (16 * 1024)
#define TEMP_RANDOM_CHARS 16
#define SPANS_MAX 16

void fd_closep(int *fd)
{
    if (*fd < 0)
        return;
    /* EINTR is not retried: on Linux the descriptor is gone. EBADF is somebody else's file closed: a bug of ours. */
    int saved_errno = errno;
    CHECK(close(*fd) == 0 || errno != EBADF);
    errno = saved_errno;
    *fd = -1;
}

int fd_take(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

int fd_pwrite_all(int fd, const void *bytes, size_t size, uint64_t offset)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t written = pwrite(fd, at, size, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        at += written;
        size -= (size_t)written;
        offset += (uint64_t)written;
    }
    return 0;
}

/* What one call takes of the pieces behind their first `done` bytes; returns the number of spans. */
static int fill_spans(struct iovec spans[SPANS_MAX], struct pieces p, size_t done)
{
    int count = 0;
    for (size_t i = 0; i < p.count && count < SPANS_MAX; i++) {
        struct str rest = str_from(p.at[i], done);
        done -= p.at[i].len - rest.len;
        if (rest.len > 0)
            spans[count++] = (struct iovec){(void *)(uintptr_t)rest.ptr, rest.len}; /* pwritev only reads */
    }
    return count;
}

int fd_pwrite_pieces(int fd, struct pieces p, uint64_t offset)
{
    struct iovec spans[SPANS_MAX];
    size_t size = pieces_len(p);
    for (size_t done = 0; done < size;) {
        ssize_t written = pwritev(fd, spans, fill_spans(spans, p, done), (off_t)(offset + done));
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        done += (size_t)written;
    }
    return 0;
}

ssize_t fd_pread_full(int fd, void *out, size_t size, uint64_t offset)
{
    char *at = out;
    size_t left = size;
    while (left > 0) {
        ssize_t got = pread(fd, at, left, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        at += got;
        left -= (size_t)got;
        offset += (uint64_t)got;
    }
    return (ssize_t)(size - left);
}

int fd_write_all(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t written = write(fd, at, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        at += written;
        size -= (size_t)written;
    }
    return 0;
}

/* Reads by steps and not by fstat's size, which is 0 in /proc. */
static int read_to_end(int fd, struct buf *out)
{
    for (;;) {
        size_t room = out->max - out->len;
        /* When out is full, one byte more tells the end from too much. */
        char probe;
        size_t step = room < READ_STEP ? room : READ_STEP;
        char *to = step ? buf_reserve(out, step) : &probe;
        ssize_t got = read(fd, to, step ? step : 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : 0;
        if (step == 0)
            return -EFBIG;
        buf_extend(out, (size_t)got);
    }
}

int fd_read_file(int dirfd, const char *path, struct buf *out)
{
    CHECK(!out->failed);
    CLEANUP(fd_closep) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    size_t len_before = out->len;
    int result = read_to_end(fd, out);
    if (result < 0)
        buf_truncate(out, len_before);
    return result;
}

/* "folder/" of a path with its slash, or empty. */
static struct str folder_of(const char *path)
{
    struct str whole = str_z(path);
    return str_first(whole, (size_t)(str_rfind_char(whole, '/') + 1));
}

/* A name beside the target (rename does not cross file systems), of its own so that it is never too long. */
static void add_temp_path(struct buf *out, const char *path)
{
    char random[TEMP_RANDOM_CHARS];
    random_text(random, sizeof(random), "abcdefghijklmnopqrstuvwxyz0123456789");
    buf_add(out, folder_of(path));
    buf_addz(out, ".tmp-");
    buf_add(out, str_of(random, sizeof(random)));
}

static int write_synced(int dirfd, const char *path, struct str bytes, unsigned mode)
{
    CLEANUP(fd_closep) int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, (mode_t)mode);
    if (fd < 0)
        return -errno;
    int result = fd_write_all(fd, bytes.ptr, bytes.len);
    if (result == 0 && fsync(fd) < 0)
        result = -errno;
    if (result < 0)
        (void)unlinkat(dirfd, path, 0); /* the first error is the one to tell */
    return result;
}

static int sync_folder(int dirfd, struct str folder)
{
    CLEANUP(buf_done) struct buf path = buf_make(PATH_MAX);
    buf_add(&path, folder.len ? folder : STR("."));
    CLEANUP(fd_closep) int fd = openat(dirfd, buf_z(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int fd_write_file_atomic(int dirfd, const char *path, struct str bytes, unsigned mode)
{
    CLEANUP(buf_done) struct buf temp = buf_make(PATH_MAX);
    add_temp_path(&temp, path);
    if (temp.failed)
        return -ENAMETOOLONG;
    int result = write_synced(dirfd, buf_z(&temp), bytes, mode);
    if (result < 0)
        return result;
    if (renameat(dirfd, buf_z(&temp), dirfd, path) < 0) {
        result = -errno;
        (void)unlinkat(dirfd, buf_z(&temp), 0); /* the first error is the one to tell */
        return result;
    }
    return sync_folder(dirfd, folder_of(path));
}

uint32_t fd_umask(void)
{
    CLEANUP(buf_done) struct buf status = buf_make(16 * 1024);
    uint64_t mask = 022;
    if (fd_read_file(AT_FDCWD, "/proc/self/status", &status) < 0)
        return (uint32_t)mask;
    struct str rest = buf_str(&status), line;
    while (str_split(&rest, '\n', &line)) {
        if (str_starts(line, STR("Umask:\t")))
            mask = strtoul(line.ptr + sizeof("Umask:\t") - 1, NULL, 8);
    }
    return (uint32_t)mask & 0777;
}
