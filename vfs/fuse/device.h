/* /dev/fuse: mounting, the descriptors that serve a mount, unmounting. Needs nothing of a volume, so that a process that only
 * keeps descriptors stays small. Thread: main. Errors: negative errno. */
#ifndef VFS_FUSE_DEVICE_H
#define VFS_FUSE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

struct vfuse_mount_options {
    const char *mount_point;
    const char *source;  /* what mount(8) shows as the device */
    const char *options; /* of mount(8) and FUSE, comma-separated; may be "" */
    bool read_only;
};

/* Mounts, and returns the mount's device; closing it does not unmount. A mount point whose process died is unmounted first.
 * Messages of libfuse and fusermount3 go to stderr. -ENOENT, -ENOTDIR, -EBUSY: mounted already, -ENODEV: no /dev/fuse. */
MUST_USE int vfuse_mount(const struct vfuse_mount_options *options);
/* Another descriptor of the same mount, with a queue of its own for the requests read from it. */
MUST_USE int vfuse_device_clone(int device);
/* How far the kernel reads ahead of who reads a file in sequence: 128 KiB of its own accord, a request each. Only root can change it;
 * nothing happens where it cannot be. After INIT has been answered, which sets it. Thread: any. */
void vfuse_set_readahead(const char *mount_point, size_t bytes);
/* Can the kernel hand out unanswered requests again (Linux 6.9)? */
bool vfuse_device_can_resend(void);

/* lazy: even when in use; what is open goes on working until the process ends. -EBUSY, -EINVAL: not a mount point. */
MUST_USE int vfuse_unmount(const char *mount_point, bool lazy);

#endif
