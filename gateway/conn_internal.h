/* What conn.c (life), conn_set.c, conn_input.c and conn_output.c share. For these files only. */
#ifndef GATEWAY_CONN_INTERNAL_H
#define GATEWAY_CONN_INTERNAL_H

#include <sys/uio.h>

#include "base/list.h"
#include "gateway/conn.h"
#include "gateway/exchange.h"
#include "gateway/http_chunked.h"
#include "gateway/http_error.h"
#include "gateway/http_write.h"
#include "gateway/inbuf.h"
#include "gateway/loop.h"
#include "gateway/peer.h"
#include "gateway/sock.h"

enum gw_phase { GW_PHASE_HEAD, GW_PHASE_REQUEST, GW_PHASE_DRAIN, GW_PHASE_LINGER, GW_PHASE_DEAD };

/* The request's body. */
enum gw_receive {
    GW_RECEIVE_HOLD, /* there is one; whether it is wanted is not known yet */
    GW_RECEIVE_BODY, /* on its way to the exchange */
    GW_RECEIVE_DROP, /* not wanted: dropped, if it comes */
    GW_RECEIVE_DONE  /* none, or all of it came */
};

/* Where the answer's body comes from. */
enum gw_source { GW_SOURCE_NONE, GW_SOURCE_BYTES, GW_SOURCE_CHUNKS, GW_SOURCE_FILE, GW_SOURCE_EARLY };

enum gw_send {
    GW_SEND_NOTHING,
    GW_SEND_INTERIM, /* 100 Continue */
    GW_SEND_ANSWER,
    GW_SEND_DONE
};

enum gw_progress {
    GW_PROGRESS_DONE,    /* all is sent */
    GW_PROGRESS_SOCKET,  /* the socket is full, or others shall have a turn: writable comes */
    GW_PROGRESS_EXCHANGE, /* the exchange has nothing yet: progress comes */
    GW_PROGRESS_BROKEN   /* the connection can only be closed */
};

enum gw_times { GW_TIMES_NOTHING, GW_TIMES_IDLENESS, GW_TIMES_HEAD, GW_TIMES_BODY, GW_TIMES_GOODBYE };

#define GW_SPANS_MAX 10

struct gw_output {
    struct iovec spans[GW_SPANS_MAX]; /* [first, count): to be written, in this order */
    int first, count;
    struct gw_piece piece; /* the spans' bytes; ended when they are written */
    struct str piece_left; /* what of it is in no span yet */
    uint64_t body_bytes; /* of the spans, those that are body */
    char head[GW_HEAD_LINE_MAX];
    char line[GW_CHUNKED_LINE_MAX];
    enum gw_framing framing;
    enum gw_source source;
    struct str bytes;
    uint64_t left;   /* GW_FRAMING_LENGTH: of the body */
    uint64_t offset; /* GW_SOURCE_FILE */
    bool body_ended;
};

struct gw_conn {
    struct list link;      /* in the set's all */
    struct list idle_link; /* in the set's idle, while nothing of a request has come */
    struct gw_conns *set;
    struct gw_sock *sock;
    char peer_text[GW_PEER_TEXT_MAX];
    struct str peer;
    struct gw_timer timer; /* of our patience with the peer; see arm_timer */
    enum gw_phase phase;
    bool served;           /* a request came already */
    bool watching;         /* for readable */
    bool readable;         /* the socket said so, and has not been read since */
    bool blocked;          /* the exchange takes no more of the body now */
    bool writing;          /* waiting for writable */
    bool moved;            /* bytes went either way since the timer was started */
    enum gw_times times;   /* what the timer runs for */

    struct gw_inbuf in;
    size_t seen; /* bytes of `in` that were parsed in vain */

    /* The request. */
    struct gw_exchange *x;
    char request_id[GW_REQUEST_ID_LEN];
    int minor_version;
    bool is_head, keep_alive;
    bool expects; /* 100 Continue is owed, if the body is wanted */
    enum gw_receive receive;
    bool chunked;
    struct gw_chunked coding;
    uint64_t body_left;    /* by Content-Length */
    uint64_t drained;      /* dropped bytes */
    struct gw_timer space; /* white space of a slow answer */

    /* The answer. */
    enum gw_send send;
    bool early;
    struct gw_output out;
    struct buf own_headers, own_body; /* of answers made here */
    struct gw_outcome outcome;
    uint64_t start_ns;
};

struct gw_conns {
    struct gw_loop *loop;
    const struct gw_conn_options *options;
    struct list all, idle;
    bool draining;
    struct gw_message shed;
    atomic_bool shed_asked; /* shed is under way */
    struct gw_parsed parsed; /* scratch */
};

/* conn.c */

/* Ends it whatever it does. Never from below the connection's own functions. */
void gw_conn_destroy(struct gw_conn *c);

/* The head in set->parsed is the next request. */
void gw_conn_start_request(struct gw_conn *c);
/* Answers with the fault's document and ends the exchange, if there is one; closes where an answer is under way. */
void gw_conn_fault(struct gw_conn *c, enum gw_fault f);
/* Nothing more can be done for this connection: it is freed when the present event has been dealt with. */
void gw_conn_die(struct gw_conn *c);

/* conn_input.c; each reads the socket at most once an event */

/* Reads a head. True when the connection has left GW_PHASE_HEAD. */
bool gw_conn_input_head(struct gw_conn *c);
/* Hands the body to the exchange, as far as it comes and is taken. */
void gw_conn_input_body(struct gw_conn *c);
/* Drops the body. False when there is too much of it, or the peer is gone; ends with GW_RECEIVE_DONE when the body did. */
bool gw_conn_input_drop(struct gw_conn *c);
/* Drops whatever comes. False when the peer has closed too. */
bool gw_conn_input_linger(struct gw_conn *c);

/* conn_output.c */

void gw_conn_output_continue(struct gw_conn *c);
/* The head, and what there is of the body. Decides whether the connection stays. */
void gw_conn_output_begin(struct gw_conn *c, const struct gw_reply *r);
/* The rest of an early answer. */
void gw_conn_output_late(struct gw_conn *c, struct str bytes);
void gw_conn_output_space(struct gw_conn *c);
enum gw_progress gw_conn_output_run(struct gw_conn *c);
void gw_conn_output_reset(struct gw_conn *c);

#endif
