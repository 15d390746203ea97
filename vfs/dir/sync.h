/* Group commit: concurrent requests to make files and directories durable are gathered, so that one journal commit of the
 * filesystem serves many of them. Thread: any. */
#ifndef VFS_DIR_SYNC_H
#define VFS_DIR_SYNC_H

#include <stddef.h>

#include "base/compiler.h"

struct syncer;
/* root_fd: where most files will be; decides whether syncfs(2) can be trusted and is worth it. */
struct syncer *syncer_new(int root_fd);
void syncer_free(struct syncer *s);

/* Data, attributes and (of directories) names on stable storage. The first error of these descriptors only. */
MUST_USE int syncer_run(struct syncer *s, const int *fds, size_t count);

#endif
