/* HTTP/1.1 connections: heads in, bodies through, answers out, in order, one request at a time. What a request means is not
 * known here: a small handler may answer at once, everything else becomes an exchange. Thread: the set's loop. */
#ifndef GATEWAY_CONN_H
#define GATEWAY_CONN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/http_head.h"

struct gw_bridge;
struct gw_conn;
struct gw_conns;
struct gw_loop;
struct gw_proxies;
struct gw_tls;

/* An answer that needs no worker. */
struct gw_answer {
    int status;
    const char *content_type;
    struct buf body; /* the connection frees it */
};

/* What the connections of one listener share; immutable, except the counter. */
struct gw_conn_options {
    const struct gw_bridge *bridge;   /* for its chunks and host id also when no exchange is ever made */
    /* Fills *out and returns true, or false: the request becomes an exchange. Must not block. */
    bool (*answer)(void *data, const struct http_head *head, struct gw_answer *out);
    void *data;
    bool answers_all;                 /* answer never returns false */
    const struct gw_proxies *proxies; /* NULL: none are trusted */
    bool proxies_only;                /* others than those are refused */
    struct gw_tls *tls;               /* NULL: plain */
    uint64_t head_timeout_ms, idle_timeout_ms, body_timeout_ms;
    _Atomic uint32_t *count;          /* connections of all loops */
};

/* The connections of one listener on one loop. */
struct gw_conns *gw_conns_new(struct gw_loop *l, const struct gw_conn_options *options);
/* Empty, with its loop stopped. NULL is fine. */
void gw_conns_free(struct gw_conns *s);
/* Takes the socket over and serves it until either side closes. */
void gw_conns_add(struct gw_conns *set, int fd, const struct sockaddr_storage *peer);
/* Closes the connection that has been idle longest; false when none is. */
bool gw_conns_shed(struct gw_conns *s);
/* The same, soon, on the set's own loop. Thread: any. */
void gw_conns_ask_shed(struct gw_conns *s);
/* Idle connections close now, the others with their next answer. */
void gw_conns_drain(struct gw_conns *s);
/* All of them close now. */
void gw_conns_cut(struct gw_conns *s);

#endif
