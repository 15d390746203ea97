/* Files that tell the next process of a dead one: each process keeps one of its own in a folder that others may use, and holds a lock on
 * it as long as it lives. What it writes there it need not sync: the page cache survives kill -9. Thread: any. */
#ifndef BASE_ALIVE_H
#define BASE_ALIVE_H

#include <stdbool.h>

#include "base/compiler.h"

#define ALIVE_NAME_MAX 64

struct alive {
    int fd;     /* for reading and writing; -1: none */
    int dir_fd; /* a duplicate */
    char name[ALIVE_NAME_MAX];
};

/* A new file PREFIX + random text, mode 0600, empty, locked. -errno, also where the filesystem has no locks. */
MUST_USE int alive_start(int dir_fd, const char *prefix, struct alive *out);
/* Removes it. Nothing where fd is -1, as after a failed alive_start. */
void alive_end(struct alive *a);

/* Called with a dead process's file, which is locked meanwhile; true: it goes. */
typedef bool (*alive_dead_fn)(void *arg, int fd);
/* For each file with the prefix whose process is gone. Best effort. The proof is the lock: only processes on one and the same kernel can
 * tell for sure where a filesystem keeps locks to itself. */
void alive_each_dead(int dir_fd, const char *prefix, alive_dead_fn fn, void *arg);

#endif
