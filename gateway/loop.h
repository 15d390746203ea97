/* An event-loop thread: sockets (through sock.h), timers, and messages from other threads. It owns what was made for it and
 * never blocks. Wraps libh2o's event loop; timers are our own, on the monotonic clock, since libh2o's follow the wall clock
 * and fire or stall when it is set. Thread: loop, unless said otherwise. */
#ifndef GATEWAY_LOOP_H
#define GATEWAY_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/str.h"

struct gw_loop;

/* Embedded in what is handed over; the sender does not touch it again until run was called. */
struct gw_message {
    void *link[2]; /* the queue's */
    void (*run)(struct gw_message *m);
};

/* Zeroed before first use. */
struct gw_timer {
    struct list link;
    uint64_t due_ms;
    void (*fn)(struct gw_timer *t);
};

/* Takes messages when it returns. Thread: main. */
struct gw_loop *gw_loop_start(unsigned index);
/* Ends the thread after the messages posted so far, and frees the loop. Its sockets and timers must have gone, nobody may
 * post any more. NULL is fine. Thread: main. */
void gw_loop_stop(struct gw_loop *l);

/* m->run(m) on the loop, later. Thread: any. */
void gw_post(struct gw_loop *l, struct gw_message *m);
/* Thread: any. */
bool gw_loop_is_current(const struct gw_loop *l);
unsigned gw_loop_index(const struct gw_loop *l);
/* Milliseconds since the loop last came around; a turning loop does so every second. Thread: any. */
uint64_t gw_loop_silence_ms(const struct gw_loop *l);

/* Runs t->fn(t) once, at least delay_ms from now; starts anew when already started. There may be at most 16 different
 * delays in use, since each is a queue: starting and stopping cost the same however many timers there are. */
void gw_timer_start(struct gw_loop *l, struct gw_timer *t, uint64_t delay_ms);
/* Harmless when not started. */
void gw_timer_stop(struct gw_timer *t);

/* The present date for a Date header; made once a second. */
struct str gw_loop_date(struct gw_loop *l);

/* For sock.c and listener.c. */
struct st_h2o_evloop_t *gw_loop_backend(const struct gw_loop *l);

#endif
