/* A fixed number of threads that run jobs in the order they came; no more jobs than that run at once. Thread: any. */
#ifndef VFS_POOL_H
#define VFS_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

/* Embedded in what the job needs, which belongs to the pool until run() is called, and to run() then. */
struct vfs_job {
    struct list link;
    void (*run)(struct vfs_job *job);
};

struct vfs_pool;
/* name: at most 10 bytes. */
struct vfs_pool *vfs_pool_start(const char *name, uint32_t threads);
/* Runs what is queued, then ends. NULL is fine. Nobody submits any more. */
void vfs_pool_stop(struct vfs_pool *p);
void vfs_pool_submit(struct vfs_pool *p, struct vfs_job *job);
/* For who waits for the job's end: runs it here and now in place of an idle thread, if there is one, else queues it. */
void vfs_pool_run(struct vfs_pool *p, struct vfs_job *job);
/* Jobs that wait. */
uint64_t vfs_pool_depth(struct vfs_pool *p);

#endif
