#include "base/alive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "base/random.h"

#define RANDOM_SIZE 16
#define TURNS 100

static bool is_at_name(int fd, int dir_fd, const char *name)
{
    struct stat open_one, named;
    return fstat(fd, &open_one) == 0 && fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

/* Ours, locked: 1. Before it was locked, somebody took it for a dead one's: 0, and it is his to remove. */
static int start_once(struct alive *a, size_t prefix_size)
{
    random_text(a->name + prefix_size, RANDOM_SIZE, "0123456789abcdefghijklmnopqrstuvwxyz");
    a->name[prefix_size + RANDOM_SIZE] = '\0';
    CLEANUP(fd_closep) int fd = openat(a->dir_fd, a->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? 0 : -errno;
    int rc = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno;
    if (rc == -EWOULDBLOCK || (rc == 0 && !is_at_name(fd, a->dir_fd, a->name)))
        return 0;
    if (rc < 0) {
        (void)unlinkat(a->dir_fd, a->name, 0); /* nobody could tell that it is in use */
        return rc;
    }
    a->fd = fd_take(&fd);
    return 1;
}

int alive_start(int dir_fd, const char *prefix, struct alive *out)
{
    size_t prefix_size = strlen(prefix);
    CHECK(prefix_size + RANDOM_SIZE < sizeof(out->name));
    *out = (struct alive){.fd = -1, .dir_fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0)};
    if (out->dir_fd < 0)
        return -errno;
    memcpy(out->name, prefix, prefix_size);
    int rc = 0;
    for (int turn = 0; rc == 0 && turn < TURNS; turn++)
        rc = start_once(out, prefix_size);
    if (rc <= 0)
        fd_closep(&out->dir_fd);
    return rc > 0 ? 0 : rc < 0 ? rc : -EBUSY;
}

void alive_end(struct alive *a)
{
    if (a->fd < 0)
        return;
    (void)unlinkat(a->dir_fd, a->name, 0); /* else the next one finds it */
    fd_closep(&a->fd);
    fd_closep(&a->dir_fd);
}

static void look_at(int dir_fd, const char *name, alive_dead_fn fn, void *arg)
{
    CLEANUP(fd_closep) int fd = openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 || !is_at_name(fd, dir_fd, name))
        return; /* its owner lives, or another process has been here */
    if (fn(arg, fd))
        (void)unlinkat(dir_fd, name, 0); /* stays for the next one */
}

void alive_each_dead(int dir_fd, const char *prefix, alive_dead_fn fn, void *arg)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        fd_closep(&fd);
        return;
    }
    for (const struct dirent *e; (e = readdir(dir));) {
        if (strncmp(e->d_name, prefix, strlen(prefix)) == 0)
            look_at(dir_fd, e->d_name, fn, arg);
    }
    closedir(dir);
}
