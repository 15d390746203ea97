/* What server.c (the main thread) and server_start.c (putting together and taking apart) share. For these files only. */
#ifndef GATEWAY_SERVER_INTERNAL_H
#define GATEWAY_SERVER_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/mutex.h"
#include "gateway/conn.h"
#include "gateway/exchange.h"
#include "gateway/loop.h"
#include "gateway/server.h"

#define GW_LISTENERS_MAX 64

struct auth_live;
struct gw_acceptor;
struct gw_health;
struct gw_listener;
struct gw_server;

/* One loop's share of the server. */
struct gw_serving {
    struct gw_server *server;
    struct gw_loop *loop;
    struct gw_conns *s3, *admin;
    struct gw_acceptor *acceptors[GW_LISTENERS_MAX];
    struct gw_acceptor *admin_acceptor;
    struct gw_message message;
    void (*command)(struct gw_serving *v);
};

struct gw_server {
    const struct gw_config *config;
    char host_id[32];

    struct vfs *volume;
    struct auth_live *identities;
    struct gw_tls *tls;
    struct gw_proxies *proxies;
    struct gw_health *health;
    struct gw_bridge bridge;
    struct gw_conn_options s3_options, admin_options;
    _Atomic uint32_t connections, admin_connections, in_flight;

    struct gw_listener *listeners[GW_LISTENERS_MAX];
    size_t listener_count;
    struct gw_listener *admin_listener;
    struct gw_loop **loops;
    struct gw_serving *serving; /* one a loop */
    struct gw_conns **s3_conns; /* the same ones as theirs */
    size_t loop_count;

    /* The housekeeping thread. */
    pthread_t keeper;
    bool keeper_started;
    struct mutex lock;
    struct cond wake;
    bool keeper_stopping;   /* guarded by lock */
    size_t commands_left;   /* guarded by lock */
};

/* Runs command on every loop and waits for all. */
void gw_server_command(struct gw_server *s, void (*command)(struct gw_serving *v));

/* server_start.c */

/* Everything up to accepting connections. False after saying why on stderr; gw_server_close takes it then too. */
bool gw_server_open(struct gw_server *s, const struct gw_config *config);
/* Reads the file that --roles names; without one there are none. -errno with a line in *error: the roles stay as they were. */
MUST_USE int gw_server_load_roles(struct gw_server *s, struct buf *error);
/* Loops must have no connections and no exchanges. */
void gw_server_close(struct gw_server *s);

#endif
