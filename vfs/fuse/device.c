#define FUSE_USE_VERSION 314
#include "vfs/fuse/device.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <linux/fuse.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/fd.h"

#define DEVICE_PATH "/dev/fuse"
#define OPTIONS_BYTES_MAX 16384

/* Attributes may be remembered of a mount whose process has died; opening asks. */
static int open_directory(const char *mount_point)
{
    CLEANUP(fd_closep) int fd = open(mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : 0;
}

/* The mount point as it should be before mounting. */
static int look_at(const char *mount_point)
{
    int r = open_directory(mount_point);
    if (r == -ENOTCONN)
        r = vfuse_unmount(mount_point, true);
    if (r < 0)
        return r;
    struct stat s, above;
    if (stat(mount_point, &s) < 0)
        return -errno;
    char parent[PATH_MAX];
    int n = snprintf(parent, sizeof(parent), "%s/..", mount_point);
    if (n < 0 || (size_t)n >= sizeof(parent))
        return -ENAMETOOLONG;
    /* Inode 1 on a device of its own, above which there is another one: a FUSE mount's root. */
    if (s.st_ino == FUSE_ROOT_ID && stat(parent, &above) == 0 && above.st_dev != s.st_dev)
        return -EBUSY;
    return 0;
}

/* Commas and backslashes of a value, as libfuse reads them. */
static void add_escaped(struct buf *out, const char *value)
{
    for (; *value; value++) {
        if (*value == ',' || *value == '\\')
            buf_addc(out, '\\');
        buf_addc(out, *value);
    }
}

int vfuse_mount(const struct vfuse_mount_options *options)
{
    if (access(DEVICE_PATH, F_OK) < 0)
        return -ENODEV;
    int r = look_at(options->mount_point);
    if (r < 0)
        return r;
    CLEANUP(buf_done) struct buf text = buf_make(OPTIONS_BYTES_MAX);
    buf_addz(&text, "subtype=sluice,default_permissions,fsname=");
    add_escaped(&text, options->source);
    if (geteuid() == 0)
        buf_addz(&text, ",allow_other");
    if (options->read_only)
        buf_addz(&text, ",ro");
    if (options->options[0])
        buf_addf(&text, ",%s", options->options);
    if (text.failed)
        return -E2BIG;
    static const struct fuse_lowlevel_ops none;
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    CHECK(fuse_opt_add_arg(&args, "sluice") == 0 && fuse_opt_add_arg(&args, "-o") == 0 &&
          fuse_opt_add_arg(&args, buf_z(&text)) == 0); /* out of memory */
    struct fuse_session *session = fuse_session_new(&args, &none, sizeof(none), NULL);
    fuse_opt_free_args(&args);
    if (!session)
        return -EINVAL;
    /* The session is for mounting alone and takes its own descriptor along. */
    int device = -EPERM;
    if (fuse_session_mount(session, options->mount_point) == 0) {
        device = fcntl(fuse_session_fd(session), F_DUPFD_CLOEXEC, 0);
        device = device < 0 ? -errno : device;
    }
    fuse_session_destroy(session);
    return device;
}

int vfuse_device_clone(int device)
{
    int clone = open(DEVICE_PATH, O_RDWR | O_CLOEXEC);
    if (clone < 0)
        return -errno;
    uint32_t master = (uint32_t)device;
    if (ioctl(clone, FUSE_DEV_IOC_CLONE, &master) < 0) {
        int r = -errno;
        close(clone);
        return r;
    }
    return clone;
}

void vfuse_set_readahead(const char *mount_point, size_t bytes)
{
    struct statx sx;
    char path[sizeof("/sys/class/bdi/4294967295:4294967295/read_ahead_kb")];
    /* From what the kernel knows: nobody is there yet to answer a request of ours. */
    if (statx(AT_FDCWD, mount_point, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &sx) < 0)
        return;
    snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", sx.stx_dev_major, sx.stx_dev_minor);
    CLEANUP(fd_closep) int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        (void)dprintf(fd, "%zu", bytes / 1024); /* an optimisation */
}

bool vfuse_device_can_resend(void)
{
    struct utsname name;
    unsigned major = 0, minor = 0;
    return uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
           (major > 6 || (major == 6 && minor >= 9));
}

/* Users unmount their own mounts by the set-uid helper. */
static int unmount_by_helper(const char *mount_point, bool lazy)
{
    extern char **environ;
    char program[] = "fusermount3", unmount[] = "-u", quiet[] = "-q", lazily[] = "-z";
    char *path = strdup(mount_point);
    CHECK(path != NULL); /* out of memory */
    char *const argv[] = {program, unmount, quiet, lazy ? lazily : path, lazy ? path : NULL, NULL};
    pid_t child;
    int r = posix_spawnp(&child, program, NULL, NULL, argv, environ);
    free(path);
    if (r != 0)
        return -r;
    int status;
    if (waitpid(child, &status, 0) < 0)
        return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

int vfuse_unmount(const char *mount_point, bool lazy)
{
    if (umount2(mount_point, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
        return 0;
    if (errno != EPERM)
        return -errno;
    return unmount_by_helper(mount_point, lazy);
}
