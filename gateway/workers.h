/* The threads that may block: a bounded pool that runs jobs in the order they came. Jobs of requests already admitted are
 * always taken; the bound is for admission, which asks gw_workers_busy first. Thread: any, unless said otherwise. */
#ifndef GATEWAY_WORKERS_H
#define GATEWAY_WORKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct gw_workers;

/* Embedded in what is worked on; belongs to the pool from submit until run is called. */
struct gw_job {
    struct list link;
    uint64_t queued_ns;
    void (*run)(struct gw_job *j, uint64_t waited_ns); /* on a worker */
};

/* queue_max: jobs waiting beyond which the pool counts as busy. cores: processors they share. Thread: main. */
struct gw_workers *gw_workers_start(uint32_t count, size_t queue_max, uint32_t cores);
/* Runs what is queued, then ends the threads. Thread: main. */
void gw_workers_stop(struct gw_workers *w);

void gw_workers_submit(struct gw_workers *w, struct gw_job *j);
bool gw_workers_busy(struct gw_workers *w);
bool gw_worker_is_current(void);

/* Calls both, and returns when both have returned: `other` on another worker meanwhile, if a core is left for it, no job waits
 * for either, and one comes to it before `mine` is over; else after `mine`. Thread: worker. */
void gw_workers_both(void (*mine)(void *), void (*other)(void *), void *arg);

#endif
