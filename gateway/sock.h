/* A connected stream socket on a loop, plain or TLS: readiness callbacks, and reads and writes that never block and never
 * take more than the caller gives room for. Nothing is buffered here, so that a fast peer grows no memory.
 * Thread: loop. */
#ifndef GATEWAY_SOCK_H
#define GATEWAY_SOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/compiler.h"

struct gw_loop;
struct gw_sock;
struct gw_tls_session;

/* Called from the loop, never from inside a call on the socket; may close it. */
struct gw_sock_events {
    void (*readable)(void *owner); /* bytes, the end, or an error: read to know */
    void (*writable)(void *owner);
};

/* Takes fd and tls (NULL: plain) over. */
struct gw_sock *gw_sock_new(struct gw_loop *l, int fd, struct gw_tls_session *tls, const struct gw_sock_events *events,
                            void *owner);
/* No callback comes afterwards. */
void gw_sock_close(struct gw_sock *s);

/* While on, `readable` is called as long as there is something to read. */
void gw_sock_watch_read(struct gw_sock *s, bool on);
/* `writable` is called once, when the socket has room. */
void gw_sock_watch_write(struct gw_sock *s);

/* > 0 bytes; 0 at the end of the stream; -EAGAIN; other negative errno: the connection is broken. */
MUST_USE ssize_t gw_sock_read(struct gw_sock *s, void *out, size_t size);
/* Bytes taken, possibly fewer than given; -EAGAIN; other negative errno. more: bytes follow at once (no segment of its
 * own). After -EAGAIN the same bytes must come again, possibly more of them. */
MUST_USE ssize_t gw_sock_write(struct gw_sock *s, const struct iovec *spans, int span_count, bool more);
/* From a file, if gw_sock_sends_files. 0 at the end of the file. */
MUST_USE ssize_t gw_sock_sendfile(struct gw_sock *s, int fd, uint64_t offset, size_t size);
/* False while some of what a write took waits in the kernel for room in the socket, and would be lost by a close: `writable`
 * comes when to ask again. */
bool gw_sock_is_flushed(struct gw_sock *s);
/* The peer sees the end; reading goes on. */
void gw_sock_shutdown(struct gw_sock *s);
/* Plain, or encrypted by the kernel. Settled once a read has brought bytes. */
bool gw_sock_sends_files(const struct gw_sock *s);
/* "TLSv1.3", or NULL. */
const char *gw_sock_tls_version(const struct gw_sock *s);

#endif
