#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "vfs/dir/dir_internal.h"
#include "vfs/path.h"

#define ALPHABET "0123456789abcdefghijklmnopqrstuvwxyz"
#define PREFIX_LEN (sizeof(VFS_PATH_TEMP_PREFIX) - 1)
/* Far above any time between giving a name and renaming it; files that take longer are locked. */
#define STALE_NS (3600ll * 1000 * 1000 * 1000)

_Static_assert(DIR_TEMP_NAME_SIZE > PREFIX_LEN + 16, "temporary names need to be hard to guess");

void temp_name(char out[DIR_TEMP_NAME_SIZE])
{
    memcpy(out, VFS_PATH_TEMP_PREFIX, PREFIX_LEN);
    random_text(out + PREFIX_LEN, DIR_TEMP_NAME_SIZE - 1 - PREFIX_LEN, ALPHABET);
    out[DIR_TEMP_NAME_SIZE - 1] = '\0';
}

bool temp_is_name(const char *name)
{
    struct str s = str_z(name);
    if (s.len != DIR_TEMP_NAME_SIZE - 1 || !str_starts(s, STR(VFS_PATH_TEMP_PREFIX)))
        return false;
    return strspn(name + PREFIX_LEN, ALPHABET) == s.len - PREFIX_LEN;
}

void temp_remove_stale(int dir_fd, const char *name)
{
    struct vfs_attr attr;
    if (!temp_is_name(name) || attr_at(dir_fd, name, &attr) < 0 || attr.type != VFS_FILE)
        return;
    if (clock_wall_ns() - attr.ctime_ns < STALE_NS)
        return;
    CLEANUP(fd_closep) int fd = resolve_child(dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        (void)unlinkat(dir_fd, name, 0); /* best effort: the next scan meets it again */
}

int temp_dir_open(struct dir_volume *v, const struct dir_handle *h)
{
    unsigned made = 0;
    return parents_make(v, h, STR(VFS_PATH_STATE_NAME "/tmp"), NULL, &made);
}

void temp_sweep(struct dir_volume *v, int temp_dir)
{
    long long now_s = (long long)(clock_mono_ms() / 1000), last_s = atomic_load(&v->temp_swept_s);
    if (last_s != 0 && now_s - last_s < STALE_NS / 1000000000)
        return;
    if (!atomic_compare_exchange_strong(&v->temp_swept_s, &last_s, now_s + 1))
        return;
    int fd = reopen_dir(temp_dir);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        fd_closep(&fd);
        return;
    }
    for (const struct dirent *e; (e = readdir(dir));)
        temp_remove_stale(temp_dir, e->d_name);
    closedir(dir);
}

/* Not by way of /proc, which takes the kernel a fifth longer. Before Linux 6.10 that needs a capability, which who acts for somebody does not
 * have; ENOENT says so, or that dir_fd was removed. */
static int link_by_fd(const struct dir_volume *v, int fd, int dir_fd, const char *name)
{
    if (atomic_load_explicit(&v->no_link_by_fd, memory_order_relaxed))
        return -ENOENT;
    return linkat(fd, "", dir_fd, name, AT_EMPTY_PATH) < 0 ? name_errno() : 0;
}

int link_fd(struct dir_volume *v, int fd, int dir_fd, const char *name, const struct vfs_cred *cred)
{
    int r = cred ? -ENOENT : link_by_fd(v, fd, dir_fd, name);
    if (r != -ENOENT)
        return r;
    char source[32];
    snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, source, dir_fd, name, AT_SYMLINK_FOLLOW) < 0)
        return name_errno();
    if (!cred)
        atomic_store_explicit(&v->no_link_by_fd, true, memory_order_relaxed);
    return 0;
}
