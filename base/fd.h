/* Descriptors: scope-bound closing, full reads and writes. Thread: any. Errors: negative errno. */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/pieces.h"

/* Closes when >= 0 and sets -1: CLEANUP(fd_closep) int fd = -1; */
void fd_closep(int *fd);
/* Hands over: returns *fd and sets it to -1. */
int fd_take(int *fd);
/* All bytes at the offset, through short writes and EINTR. */
MUST_USE int fd_pwrite_all(int fd, const void *bytes, size_t size, uint64_t offset);
/* The same of several pieces, by as few calls as may be: filesystems take large ones for less. */
MUST_USE int fd_pwrite_pieces(int fd, struct pieces p, uint64_t offset);
/* Up to size bytes; fewer only at end of file. Returns the count. */
MUST_USE ssize_t fd_pread_full(int fd, void *out, size_t size, uint64_t offset);
MUST_USE int fd_write_all(int fd, const void *bytes, size_t size);
/* Appends the whole file to out; -EFBIG past out's maximum. dirfd as for openat. */
MUST_USE int fd_read_file(int dirfd, const char *path, struct buf *out);
/* Writes a file so that it appears whole or not at all, synced: temporary name, fsync, rename, fsync of the folder. */
MUST_USE int fd_write_file_atomic(int dirfd, const char *path, struct str bytes, unsigned mode);
/* The process's umask, without changing it as umask(2) would for a moment and all threads. */
uint32_t fd_umask(void);

#endif
