/* TLS: the certificate in force and the sessions made with it. TLS 1.2 and later, ALPN http/1.1, session tickets. A new
 * certificate serves new connections; sessions keep what they began with.
 *
 * Sessions read and write the socket themselves (SSL_read, SSL_write); libh2o's TLS layer is not used, since it reads all
 * that the socket holds into a growing buffer before it decrypts, and what follows a close_notify stays in it for good.
 *
 * Where the kernel has TLS (Linux, module tls), OpenSSL gives it the key of what is sent at the end of the handshake. What
 * is received stays with OpenSSL, and so do alerts, which it sends through the kernel. The kernel keeps the first key for
 * good: a peer that asks for a new one (KeyUpdate, TLS 1.3) is disconnected.
 * Thread: gw_tls any; a session belongs to its connection's loop. */
#ifndef GATEWAY_TLS_H
#define GATEWAY_TLS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/compiler.h"

struct gw_tls;
struct gw_tls_session;

/* PEM files. kernel: let the kernel encrypt what is sent, if it can. On failure -EINVAL with one line in error. */
MUST_USE int gw_tls_new(const char *cert_path, const char *key_path, bool kernel, struct gw_tls **out,
                        struct buf *error);
void gw_tls_free(struct gw_tls *t);
/* Loads the files again; keeps the old certificate on failure. */
MUST_USE int gw_tls_reload(struct gw_tls *t, struct buf *error);
/* Have the files changed since they were loaded or last found broken? Looks at what the names lead to, so that swapped
 * symlinks (Kubernetes secrets) count. */
bool gw_tls_changed(struct gw_tls *t);
/* Seconds since 1970 at which the certificate ends. */
int64_t gw_tls_not_after(struct gw_tls *t);

/* Sessions whose cipher the kernel knows will be encrypted by it: it was wanted, and the kernel has the tls module. */
bool gw_tls_has_kernel(const struct gw_tls *t);

/* A server session over a non-blocking socket, which stays the caller's. The handshake happens in the first reads. */
struct gw_tls_session *gw_tls_session_new(struct gw_tls *t, int fd);
void gw_tls_session_free(struct gw_tls_session *s);
/* > 0 bytes, 0 at the peer's end, -EAGAIN, or another negative errno. On -EAGAIN *out_other says that the socket must become
 * ready in the other direction: writable for a read, readable for a write. */
MUST_USE ssize_t gw_tls_read(struct gw_tls_session *s, void *out, size_t size, bool *out_other);
/* May take fewer bytes than given. After -EAGAIN the next call must give the same bytes, possibly more of them. */
MUST_USE ssize_t gw_tls_write(struct gw_tls_session *s, const void *bytes, size_t size, bool *out_other);
/* The kernel encrypts what is sent from now on: the socket takes plain bytes, from files too, and gw_tls_write is not to be
 * called any more. Settled once a read has brought bytes. */
bool gw_tls_kernel_sends(const struct gw_tls_session *s);
/* Bytes have left the socket that no read returned yet: the socket's readiness will not tell of them. */
bool gw_tls_has_pending(const struct gw_tls_session *s);
/* close_notify, as far as the socket takes it now. */
void gw_tls_shutdown(struct gw_tls_session *s);
/* "TLSv1.3"; for logs. */
const char *gw_tls_version(const struct gw_tls_session *s);

#endif
