#include "vfs/dir/sync.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"

/* Filesystems whose directories cannot be synced (some network ones) make names durable themselves. */
static bool makes_names_durable(int dir_fd, int error)
{
    struct stat st;
    return (error == EINVAL || error == EOPNOTSUPP) && fstat(dir_fd, &st) == 0 && S_ISDIR(st.st_mode);
}

int sync_nodes(const int *fds, size_t count)
{
    int r = count > 0 ? fault_point("vfs.sync") : 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        if (fsync(fds[i]) < 0 && !makes_names_durable(fds[i], errno))
            r = -errno;
    }
    return r;
}
