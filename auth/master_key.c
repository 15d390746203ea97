#include "auth/master_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/encode.h"
#include "base/fd.h"
#include "base/random.h"

#define VARIABLE "SLUICE_MASTER_KEY"
#define HEX_SIZE (2 * SECRETBOX_KEY_SIZE)

/* Room for white space around the digits. */
#define FILE_SIZE_MAX 256

static int parse(struct str text, uint8_t out[SECRETBOX_KEY_SIZE])
{
    while (str_ends(text, STR("\n")) || str_ends(text, STR("\r")))
        text = str_first(text, text.len - 1);
    return hex_decode(str_trim(text), out, SECRETBOX_KEY_SIZE) ? 0 : -EINVAL;
}

/* Others than owner and group: an orchestrator hands secrets over by group. */
static bool is_open_to_others(int fd)
{
    struct stat st;
    return fstat(fd, &st) != 0 || (st.st_mode & S_IRWXO) != 0;
}

static int read_file(int dirfd, uint8_t out[SECRETBOX_KEY_SIZE], struct buf *error)
{
    char memory[FILE_SIZE_MAX];
    CLEANUP(fd_closep) int fd = openat(dirfd, MASTER_KEY_FILE, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int rc = -errno;
        if (rc != -ENOENT)
            buf_addf(error, "cannot open " MASTER_KEY_FILE ": %s", strerror(-rc));
        return rc;
    }
    if (is_open_to_others(fd)) {
        buf_addz(error, MASTER_KEY_FILE " can be read by everybody: chmod 600 it");
        return -EPERM;
    }
    ssize_t size = fd_pread_full(fd, memory, sizeof(memory), 0);
    int rc = size < 0 ? (int)size : parse(str_of(memory, (size_t)size), out);
    secure_zero(memory, sizeof(memory));
    if (rc < 0)
        buf_addz(error, rc == -EINVAL ? MASTER_KEY_FILE " is not 64 hex digits" : MASTER_KEY_FILE " cannot be read");
    return rc;
}

static int write_key(int fd)
{
    uint8_t key[SECRETBOX_KEY_SIZE];
    char line[HEX_SIZE + 1];
    random_bytes(key, sizeof(key));
    hex_encode(key, sizeof(key), line);
    line[HEX_SIZE] = '\n';
    int rc = fd_write_all(fd, line, sizeof(line));
    secure_zero(key, sizeof(key));
    secure_zero(line, sizeof(line));
    if (rc < 0)
        return rc;
    return fsync(fd) == 0 ? 0 : -errno;
}

/* Appears whole under its name; when another process was first, its key counts. */
static int publish(int dirfd, const char *temporary)
{
    if (linkat(dirfd, temporary, dirfd, MASTER_KEY_FILE, 0) != 0)
        return errno == EEXIST ? 0 : -errno;
    return fsync(dirfd) == 0 ? 0 : -errno;
}

static int make_file(int dirfd)
{
    char temporary[] = ".master.key.xxxxxxxxxxxx";
    random_text(temporary + sizeof(temporary) - 13, 12, "abcdefghijklmnopqrstuvwxyz234567");
    CLEANUP(fd_closep) int fd = openat(dirfd, temporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int rc = write_key(fd);
    if (rc == 0)
        rc = publish(dirfd, temporary);
    (void)unlinkat(dirfd, temporary, 0); /* a stray file harms nobody */
    return rc;
}

int master_key_load(int dirfd, bool may_make, uint8_t out[SECRETBOX_KEY_SIZE], struct buf *error)
{
    const char *variable = getenv(VARIABLE);
    if (variable && *variable) {
        int rc = parse(str_z(variable), out);
        if (rc < 0)
            buf_addz(error, VARIABLE " is not 64 hex digits");
        return rc;
    }
    int rc = read_file(dirfd, out, error);
    if (rc != -ENOENT)
        return rc;
    if (!may_make) {
        buf_addz(error,
                 "the identity store is there but its " MASTER_KEY_FILE " is not: restore that file, or set " VARIABLE);
        return -ENOKEY;
    }
    rc = make_file(dirfd);
    if (rc == 0)
        return read_file(dirfd, out, error);
    buf_addf(error, "cannot make " MASTER_KEY_FILE ": %s", strerror(-rc));
    return rc;
}
