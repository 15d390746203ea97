/* Copying ranges: by reference, in the kernel, or through memory, whichever the filesystem has. */
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "vfs/dir/dir_internal.h"

/* One call's share, so that a worker looks up now and then. References cost by extents, not by bytes. */
#define REFLINK_STEP (1ull << 30)
#define OFFLOAD_STEP (16ull << 20)
#define MEMORY_STEP (1ull << 20)

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* -ENOTSUP: not this range, not here. */
static int clone_by_reference(struct dir_volume *v, const struct file_clone_range *range, int dst)
{
    if (atomic_load(&v->no_reflink))
        return -ENOTSUP;
    if (ioctl(dst, FICLONERANGE, range) == 0)
        return 0;
    if (errno == EOPNOTSUPP || errno == ENOTTY || errno == ENOSYS)
        atomic_store(&v->no_reflink, true);
    bool refused = errno == EOPNOTSUPP || errno == ENOTTY || errno == ENOSYS || errno == EINVAL || errno == EXDEV;
    return refused ? -ENOTSUP : -errno;
}

static ssize_t clone_in_kernel(struct dir_volume *v, int dst, uint64_t dst_offset, int src, uint64_t src_offset,
                               uint64_t size)
{
    if (atomic_load(&v->no_copy_range))
        return -ENOTSUP;
    off_t from = (off_t)src_offset, to = (off_t)dst_offset;
    ssize_t done = copy_file_range(src, &from, dst, &to, size, 0);
    if (done >= 0)
        return done;
    if (errno == ENOSYS || errno == EOPNOTSUPP)
        atomic_store(&v->no_copy_range, true);
    bool refused = errno == ENOSYS || errno == EOPNOTSUPP || errno == EXDEV || errno == EINVAL;
    return refused ? -ENOTSUP : -errno;
}

static ssize_t clone_through_memory(int dst, uint64_t dst_offset, int src, uint64_t src_offset, uint64_t size)
{
    char *bytes = malloc(size);
    CHECK(bytes != NULL);
    ssize_t got = fd_pread_full(src, bytes, size, src_offset);
    int r = got > 0 ? fd_pwrite_all(dst, bytes, (size_t)got, dst_offset) : 0;
    free(bytes);
    return r < 0 ? r : got;
}

int dir_file_clone_range(struct vfs_file *dst_file, uint64_t dst_offset, struct vfs_file *src_file,
                         uint64_t src_offset, uint64_t size, uint64_t *out_done)
{
    struct dir_volume *v = dir_volume_of(dst_file->volume);
    int dst = dir_file_of(dst_file)->fd, src = dir_file_of(src_file)->fd;
    struct stat st;
    int r = fault_point("vfs.clone");
    if (r == 0 && fstat(src, &st) < 0)
        r = -errno;
    if (r < 0)
        return r;
    if (src_offset >= (uint64_t)st.st_size) {
        *out_done = 0;
        return 0;
    }
    size = min_u64(size, (uint64_t)st.st_size - src_offset);
    struct file_clone_range range = {.src_fd = src,
                                     .src_offset = src_offset,
                                     .src_length = min_u64(size, REFLINK_STEP),
                                     .dest_offset = dst_offset};
    ssize_t done = clone_by_reference(v, &range, dst);
    if (done == 0)
        done = (ssize_t)range.src_length;
    if (done == -ENOTSUP)
        done = clone_in_kernel(v, dst, dst_offset, src, src_offset, min_u64(size, OFFLOAD_STEP));
    if (done == -ENOTSUP || done == 0) /* 0 inside the file: a filesystem that does not really offer it */
        done = clone_through_memory(dst, dst_offset, src, src_offset, min_u64(size, MEMORY_STEP));
    if (done < 0)
        return (int)done;
    *out_done = (uint64_t)done;
    return 0;
}
