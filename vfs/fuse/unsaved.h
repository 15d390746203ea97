/* Which files hold bytes that were accepted but not committed, in memory that outlives the process that serves the mount: the
 * next one tells who had them open that they are lost, instead of saying that an fsync went well. Thread: any. */
#ifndef VFS_FUSE_UNSAVED_H
#define VFS_FUSE_UNSAVED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct vfuse_unsaved;

/* Memory for the table, as a descriptor to be handed from process to process; -errno. */
MUST_USE int vfuse_unsaved_create(void);
/* Takes over what is in it. -errno. memory -1: a table of this process alone. */
MUST_USE int vfuse_unsaved_open(int memory, struct vfuse_unsaved **out);
/* NULL is fine. */
void vfuse_unsaved_close(struct vfuse_unsaved *t);
/* For different files by any threads, for one file by one at a time. */
void vfuse_unsaved_mark(struct vfuse_unsaved *t, uint64_t ino);
void vfuse_unsaved_clear(struct vfuse_unsaved *t, uint64_t ino);
/* Did a process before us die with unsaved bytes of the file? */
bool vfuse_unsaved_is_lost(const struct vfuse_unsaved *t, uint64_t ino);

#endif
