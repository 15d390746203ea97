/* Durability. Each thread syncs what is its own: filesystems with a journal let all who wait share a commit, so that there is no
 * need to gather them here. (That was tried, with one syncfs for all: it also waits for what others write. On a disk that others
 * use too, 64 uploads at a time were eight times slower.) Thread: any. */
#ifndef VFS_DIR_SYNC_H
#define VFS_DIR_SYNC_H

#include <stddef.h>

#include "base/compiler.h"

/* Data, attributes and (of directories) names on stable storage. The first error of these descriptors. */
MUST_USE int sync_nodes(const int *fds, size_t count);

#endif
