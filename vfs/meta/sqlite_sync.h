/* Durable commits, many at a time: SQLite commits to the write-ahead log without waiting for the disk, and who needs his
 * commit to survive a loss of power waits here afterwards, while others already write. One sync serves all that wait
 * (group commit). It covers what was committed before, too: the log is one sequence. Thread: any. */
#ifndef VFS_META_SQLITE_SYNC_H
#define VFS_META_SQLITE_SYNC_H

#include "base/compiler.h"

struct sq_sync;

/* path: of the log. */
struct sq_sync *sq_sync_new(const char *path);
/* NULL is fine. Nobody may wait. */
void sq_sync_free(struct sq_sync *s);
/* Returns when all that was committed before the call is on stable storage; -EIO when it may not be. */
MUST_USE int sq_sync_wait(struct sq_sync *s);

#endif
