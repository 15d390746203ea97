/* What exchange.c (loop side), exchange_step.c (worker side), exchange_file.c and exchange_out.c share. For these files only. */
#ifndef GATEWAY_EXCHANGE_INTERNAL_H
#define GATEWAY_EXCHANGE_INTERNAL_H

#include "base/arena.h"
#include "base/list.h"
#include "base/mutex.h"
#include "gateway/chunks.h"
#include "gateway/exchange.h"
#include "gateway/loop.h"
#include "gateway/workers.h"
#include "s3api/s3.h"

/* Bytes of a file that are sent, or fetched, at a time. */
#define GW_WINDOW_BYTES (512 * 1024)

/* What is known for logs; texts in the arena. */
struct gw_exchange_info {
    bool known;
    const char *operation, *error_code, *auth, *signature;
    struct str user, access_key, bucket, key;
};

struct gw_exchange {
    /* Set before the first step; read by both sides. */
    const struct gw_bridge *bridge;
    struct gw_loop *loop;
    struct arena *arena; /* the engine's; the loop touches it before the first step and after the last only */
    struct http_head head;
    struct gw_inbuf head_bytes;
    struct s3_incoming incoming;
    const char *tls_version;
    bool sends_files;
    uint64_t start_ns;
    int64_t start_wall_ns;

    /* The loop's. */
    void (*progress)(void *owner);
    void *owner;
    struct chunk *in_spare; /* came for in_waiter */
    bool in_waiting; /* in_waiter is with the pool */
    struct gw_outcome outcome;
    uint64_t total_ns;

    /* The running step's; seen by the next one through `lock`. */
    struct s3_op *op;
    enum s3_state state;
    bool early_asked;
    uint64_t file_next, file_left; /* of a file sent in pieces */
    uint64_t queue_ns;
    struct gw_exchange_info info;

    struct gw_job job;
    struct gw_message message;
    struct gw_chunk_waiter in_waiter, out_waiter;

    struct mutex lock; /* guards what follows */
    bool scheduled;    /* job is queued or running */
    bool posted;       /* message is under way */
    bool closed;       /* the loop is done with it */
    bool ended;        /* the engine is */
    bool untold;       /* the loop is to hear of the reply and of the end when the step leaves */
    bool op_needed;    /* the reply still refers to it */
    _Atomic(enum gw_stage) stage; /* written under the lock; whoever sees GW_STAGE_REPLY sees the reply */
    struct list in;
    uint32_t in_count; /* in the list and in the step that feeds them */
    struct gw_piece out[LIMIT_CHUNKS_OUT]; /* a ring: out_count from out_first on */
    uint32_t out_first, out_count;
    bool in_end, in_blocked; /* blocked: the loop found no room */
    bool out_end, out_failed, out_blocked; /* blocked: the loop found none */
    bool out_lent;    /* the last piece was a loan: the next comes when the loop is done with it */
    bool out_starved; /* a step found the pool empty; out_waiter is with it */
    struct chunk *out_spare;
    struct gw_reply reply, early;
    bool early_ready, early_taken;
    uint64_t warm_from, warm_until; /* of the file, known to be in memory */
    uint64_t fetch_from;
    size_t fetch_size; /* the loop wants this fetched; 0: nothing */
};

/* exchange_step.c */

/* Runs the next step if there is something to do and none is under way. The lock is held. */
void gw_exchange_schedule(struct gw_exchange *x);
void gw_exchange_step(struct gw_job *job, uint64_t waited_ns);
/* Does all of the request that can be done without waiting: true when the reply is there, false when a step has to begin.
 * Thread: loop, before the first step. */
bool gw_exchange_try_quick(struct gw_exchange *x);
/* Ends the op here if that needs no waiting; else a step will. Thread: loop, when it is closed and no step is under way. */
void gw_exchange_end_quick(struct gw_exchange *x);

/* exchange_out.c: the pieces of the reply's body. The lock is held. */

void gw_exchange_out_push(struct gw_exchange *x, const struct gw_piece *p);
/* The first, valid until the next push; NULL: there is none. */
struct gw_piece *gw_exchange_out_pop(struct gw_exchange *x);
/* May one more be made now? */
bool gw_exchange_out_has_room(const struct gw_exchange *x);

/* exchange_reply.c; on a worker, from a step, or on the loop by gw_exchange_try_quick */

/* Makes the engine's reply the exchange's. The exchange's lock is not held. */
void gw_exchange_publish(struct gw_exchange *x);
/* Makes the early reply available, if the operation has one. */
void gw_exchange_prepare_early(struct gw_exchange *x);
/* Copies what logs need, while the op is there. */
void gw_exchange_describe(struct gw_exchange *x);

#endif
