/* One request in flight: the only bridge between a connection (its loop), the workers and the S3 engine. The connection
 * gives body chunks and takes a reply; the engine's verbs run as steps on workers, one at a time, each bounded; what a step
 * changed is posted to the loop, which then calls the connection's `progress`. At most
 * LIMIT_CHUNKS_IN chunks of the body are held, and LIMIT_CHUNKS_OUT of the answer. Thread: the loop it was made on. */
#ifndef GATEWAY_EXCHANGE_H
#define GATEWAY_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"
#include "gateway/http_parse.h"
#include "gateway/inbuf.h"
#include "vfs/vfs.h"

struct chunk;
struct gw_access_log;
struct gw_chunks;
struct gw_exchange;
struct gw_loop;
struct gw_stats;
struct gw_workers;
struct s3_service;

/* What all exchanges share; immutable. */
struct gw_bridge {
    struct s3_service *s3;
    struct gw_workers *workers;
    struct gw_chunks *chunks;
    struct gw_stats *stats;
    struct gw_access_log *access_log; /* may be NULL */
    struct str host_id;               /* x-amz-id-2 */
    _Atomic uint32_t *in_flight;      /* exchanges that are not freed yet */
};

#define GW_REQUEST_ID_LEN 16
/* 16 upper-case hexadecimal digits; no NUL. */
void gw_request_id(char out[GW_REQUEST_ID_LEN]);

struct gw_request {
    const struct gw_parsed *parsed; /* copied; its views lie in head_bytes */
    struct gw_inbuf head_bytes;     /* taken over */
    struct str request_id, remote;  /* copied */
    const char *tls_version;        /* static text; NULL: plain */
    bool sends_files;               /* GW_REPLY_FILE is possible */
    void (*progress)(void *owner);  /* never from inside a call */
    void *owner;
};

/* Nothing runs before gw_exchange_go. */
struct gw_exchange *gw_exchange_new(const struct gw_bridge *bridge, struct gw_loop *loop, const struct gw_request *r);
void gw_exchange_go(struct gw_exchange *x);

enum gw_stage {
    GW_STAGE_BEGIN, /* the engine has not looked yet */
    GW_STAGE_BODY,  /* it wants the body */
    GW_STAGE_REPLY  /* gw_exchange_reply */
};
enum gw_stage gw_exchange_stage(struct gw_exchange *x);

/* The request's body -------------------------------------------------------------------------------------------------- */

/* An empty chunk to fill at once, or NULL: the queue is full, or the pool empty; progress will tell. */
struct chunk *gw_exchange_in_chunk(struct gw_exchange *x);
/* Gives it; one that is still empty goes back to the pool, since a peer that is slow to send shall not hold it. */
void gw_exchange_in_give(struct gw_exchange *x, struct chunk *c);
/* The body has ended. */
void gw_exchange_in_end(struct gw_exchange *x);

/* The reply ----------------------------------------------------------------------------------------------------------- */

enum gw_reply_body { GW_REPLY_NONE, GW_REPLY_BYTES, GW_REPLY_CHUNKS, GW_REPLY_FILE };

struct gw_reply {
    int status;
    struct str headers; /* whole lines, without the connection's own */
    enum gw_reply_body body;
    int64_t length;     /* -1: unknown */
    struct str bytes;   /* GW_REPLY_BYTES */
    int fd;             /* GW_REPLY_FILE: bytes from offset on, to be sent by the loop in windows */
    uint64_t offset;
    bool close;
};
/* NULL before GW_STAGE_REPLY; lives until gw_exchange_end. */
const struct gw_reply *gw_exchange_reply(struct gw_exchange *x);
/* A slow operation's head and first bytes, to be sent before its result is known; NULL when it has none, or no need of it
 * any more. Once taken, gw_exchange_reply will bring the rest of the body as bytes, whatever the result. */
const struct gw_reply *gw_exchange_early(struct gw_exchange *x);

/* A piece of a body: in a chunk, or else where the volume has it in memory. */
struct gw_piece {
    struct chunk *chunk;
    struct vfs_loan loan;
};
struct str gw_piece_bytes(const struct gw_piece *p);
/* None is fine, and what is left. Thread: any. */
void gw_piece_done(struct gw_piece *p, struct gw_chunks *chunks);

enum gw_next { GW_NEXT_READY, GW_NEXT_WAIT, GW_NEXT_END, GW_NEXT_FAILED };
/* GW_REPLY_CHUNKS: the next piece, the caller's to end. WAIT: progress will tell. */
enum gw_next gw_exchange_out_take(struct gw_exchange *x, struct gw_piece *out);
/* GW_REPLY_FILE: how many bytes from offset on are in memory, so that sending them does not wait for a disk. WAIT: a worker
 * fetches them, progress will tell. */
enum gw_next gw_exchange_file_window(struct gw_exchange *x, uint64_t offset, uint64_t left, size_t *out_size);

/* The end ------------------------------------------------------------------------------------------------------------- */

struct gw_outcome {
    int status;             /* sent; 0: none */
    const char *error_code; /* when the HTTP layer decided; NULL: the engine's */
    bool aborted;
    uint64_t bytes_in, bytes_out;
    uint64_t ttfb_ns;       /* 0: nothing was sent */
};
/* Always legal, once: no progress comes any more; what runs finishes, then the engine lets go, then memory is freed. */
void gw_exchange_end(struct gw_exchange *x, const struct gw_outcome *o);

#endif
