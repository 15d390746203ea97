/* Listening sockets. One address has a socket for each loop where the kernel can spread connections over them
 * (SO_REUSEPORT), else the loops share one. Thread: main binds; acceptors belong to their loop. */
#ifndef GATEWAY_LISTENER_H
#define GATEWAY_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"

struct gw_acceptor;
struct gw_conns;
struct gw_listener;
struct gw_loop;

/* address: "127.0.0.1:9000", "[::1]:9000", ":9000" (all), "host:9000", "unix:/run/sluice.sock"; port 0: any free one.
 * Refuses an address that somebody listens on, also another sluice. On failure -errno with one line in error. */
MUST_USE int gw_listener_bind(const char *address, unsigned loop_count, struct gw_listener **out, struct buf *error);
/* A socket that listens already (socket activation); takes fd over. */
struct gw_listener *gw_listener_adopt(int fd, unsigned loop_count);
/* Closes sockets that no acceptor took, removes the name of a Unix socket. NULL is fine. */
void gw_listener_free(struct gw_listener *l);
/* As bound: "127.0.0.1:9000", "unix:/run/sluice.sock". */
const char *gw_listener_text(const struct gw_listener *l);

struct gw_acceptor_options {
    struct gw_loop *loop;
    struct gw_conns *conns;              /* the loop's own */
    struct gw_conns *const *all_conns;   /* of all loops: what shares the limit; lives as long as the acceptor */
    size_t loop_count;
    const _Atomic uint32_t *count;       /* open connections of all loops */
    uint32_t connections_max;
};

/* On the loop: accepts from its socket into conns. Beyond connections_max open connections idle ones go first, of this loop or
 * of others; then new ones wait in the kernel's queue. */
struct gw_acceptor *gw_acceptor_new(struct gw_listener *l, const struct gw_acceptor_options *options);
/* Takes what is in the kernel's queue already, then stops listening. NULL is fine. */
void gw_acceptor_free(struct gw_acceptor *a);

#endif
