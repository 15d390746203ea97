/* A fixed number of threads that run jobs in the order they came. Thread: any. */
#ifndef VFS_DATA_POOL_H
#define VFS_DATA_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

/* Embedded in what the job needs, which belongs to the pool until run() is called, and to run() then. */
struct data_job {
    struct list link;
    void (*run)(struct data_job *job);
};

struct data_pool;
/* name: at most 10 bytes. */
struct data_pool *data_pool_start(const char *name, uint32_t threads);
/* Runs what is queued, then ends. NULL is fine. Nobody submits any more. */
void data_pool_stop(struct data_pool *p);
void data_pool_submit(struct data_pool *p, struct data_job *job);
/* Jobs that wait. */
uint64_t data_pool_depth(struct data_pool *p);

#endif
