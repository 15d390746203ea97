/* Directories that were made and whose own names are not yet on stable storage. Whoever publishes into one makes the names
 * above it durable too, also when another request made it. Thread: any. */
#ifndef VFS_DIR_FRESH_H
#define VFS_DIR_FRESH_H

#include <sys/types.h>

#include "base/compiler.h"

struct fresh;
struct fresh *fresh_new(void);
void fresh_free(struct fresh *f);

/* dir_fd was just made in parent_fd. */
MUST_USE int fresh_add(struct fresh *f, int dir_fd, int parent_fd);
/* It is gone again. */
void fresh_drop(struct fresh *f, dev_t dev, ino_t ino);

/* The directories that must be synced for the name of (dev, ino) and the names above it to last: writes at most max
 * descriptors (the caller's to close), nearest first. Returns the count, or -EMFILE with nothing written. */
MUST_USE int fresh_collect(struct fresh *f, dev_t dev, ino_t ino, int *fds, size_t max);
/* The first `count` of those have been synced. */
void fresh_settle(struct fresh *f, dev_t dev, ino_t ino, int count);

#endif
