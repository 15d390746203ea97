/* What scrub.c and scrub_list.c share. */
#ifndef VFS_DATA_SCRUB_INTERNAL_H
#define VFS_DATA_SCRUB_INTERNAL_H

#include "base/mutex.h"
#include "vfs/data/data_internal.h"
#include "vfs/data/scrub.h"

struct data_scrub {
    struct store *store;
    struct data_layout layout;
    uint32_t threads;
    struct job *job;
};

/* Runs fn in each thread until all return; the first error, at which the others are to end soon. */
struct scrub_work {
    struct data_scrub *scrub;
    struct mutex lock; /* callbacks and what is handed out */
    _Atomic int error;
    int (*fn)(struct scrub_work *w);
};
MUST_USE int scrub_run(struct scrub_work *w);
/* 0, or why to end. */
MUST_USE int scrub_go_on(struct scrub_work *w);

#endif
