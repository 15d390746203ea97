#include "gateway/sock.h"

#define H2O_USE_LIBUV 0
#include <h2o/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "base/check.h"
#include "gateway/loop.h"
#include "gateway/tls.h"

/* One TLS record: what a write gathers from small spans. */
#define RECORD_BYTES (16 * 1024)

struct gw_sock {
    struct gw_loop *loop;
    h2o_socket_t *h2o; /* only tells readiness: it is told not to read, and never asked to write */
    int fd;
    struct gw_tls_session *tls;
    const struct gw_sock_events *events;
    void *owner;
    bool watch_read;
    /* TLS may need the other direction first. */
    bool read_needs_write, write_needs_read;
    struct gw_timer pending; /* decrypted bytes are waiting that the descriptor will not tell of */
};

static void on_readable(h2o_socket_t *h, const char *err);
static void on_writable(h2o_socket_t *h, const char *err);

/* Readiness */

static void arm_read(struct gw_sock *s)
{
    bool wanted = s->watch_read || s->write_needs_read;
    if (wanted == (h2o_socket_is_reading(s->h2o) != 0))
        return;
    if (wanted)
        h2o_socket_read_start(s->h2o, on_readable);
    else
        h2o_socket_read_stop(s->h2o);
}

static void arm_write(struct gw_sock *s)
{
    if (!h2o_socket_is_writing(s->h2o))
        h2o_socket_notify_write(s->h2o, on_writable);
}

/* The socket may be gone when the owner returns: each of these ends with its call. */
static void on_readable(h2o_socket_t *h, const char *err)
{
    struct gw_sock *s = h->data;
    (void)err; /* the owner's read says what it was */
    if (s->write_needs_read) {
        s->write_needs_read = false;
        arm_read(s);
        s->events->writable(s->owner);
        return;
    }
    s->events->readable(s->owner);
}

static void on_writable(h2o_socket_t *h, const char *err)
{
    struct gw_sock *s = h->data;
    (void)err;
    if (s->read_needs_write) {
        s->read_needs_write = false;
        s->events->readable(s->owner);
        return;
    }
    s->events->writable(s->owner);
}

static void on_pending(struct gw_timer *t)
{
    struct gw_sock *s = container_of(t, struct gw_sock, pending);
    if (s->watch_read)
        s->events->readable(s->owner);
}

struct gw_sock *gw_sock_new(struct gw_loop *l, int fd, struct gw_tls_session *tls, const struct gw_sock_events *events,
                            void *owner)
{
    CHECK(gw_loop_is_current(l));
    struct gw_sock *s = calloc(1, sizeof(*s));
    CHECK(s != NULL); /* out of memory */
    s->loop = l;
    s->fd = fd;
    s->tls = tls;
    s->events = events;
    s->owner = owner;
    s->pending.fn = on_pending;
    s->h2o = h2o_evloop_socket_create(gw_loop_backend(l), fd, H2O_SOCKET_FLAG_IS_ACCEPTED_CONNECTION);
    s->h2o->data = s;
    h2o_socket_dont_read(s->h2o, 1);
    return s;
}

void gw_sock_close(struct gw_sock *s)
{
    CHECK(gw_loop_is_current(s->loop));
    gw_timer_stop(&s->pending);
    if (s->tls) {
        gw_tls_shutdown(s->tls);
        gw_tls_session_free(s->tls);
    }
    h2o_socket_close(s->h2o);
    free(s);
}

void gw_sock_watch_read(struct gw_sock *s, bool on)
{
    bool starts = on && !s->watch_read;
    s->watch_read = on;
    arm_read(s);
    if (starts && s->tls && gw_tls_has_pending(s->tls))
        gw_timer_start(s->loop, &s->pending, 0);
}

void gw_sock_watch_write(struct gw_sock *s)
{
    arm_write(s);
}

/* Bytes */

static ssize_t read_tls(struct gw_sock *s, void *out, size_t size)
{
    bool other;
    ssize_t got = gw_tls_read(s->tls, out, size, &other);
    if (got == -EAGAIN && other) {
        s->read_needs_write = true;
        arm_write(s);
    }
    /* Only a full read leaves whole records behind; the rest of a partial one will come through the descriptor. */
    if (got == (ssize_t)size && s->watch_read && gw_tls_has_pending(s->tls))
        gw_timer_start(s->loop, &s->pending, 0);
    return got;
}

ssize_t gw_sock_read(struct gw_sock *s, void *out, size_t size)
{
    CHECK(size > 0);
    if (s->tls)
        return read_tls(s, out, size);
    ssize_t got;
    do
        got = read(s->fd, out, size);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

/* Up to a record's bytes from the front of the spans, in one piece: small spans would each become a record. The same front
 * gives the same piece, or a longer one, which is what a write that was refused needs when it is tried again. */
static struct str gather(const struct iovec *spans, int span_count, char scratch[RECORD_BYTES])
{
    if (span_count == 1 || spans[0].iov_len >= RECORD_BYTES)
        return str_of(spans[0].iov_base, spans[0].iov_len < RECORD_BYTES ? spans[0].iov_len : RECORD_BYTES);
    size_t len = 0;
    for (int i = 0; i < span_count && len < RECORD_BYTES; i++) {
        size_t take = spans[i].iov_len < RECORD_BYTES - len ? spans[i].iov_len : RECORD_BYTES - len;
        memcpy(scratch + len, spans[i].iov_base, take);
        len += take;
    }
    return str_of(scratch, len);
}

static ssize_t write_tls(struct gw_sock *s, const struct iovec *spans, int span_count)
{
    char scratch[RECORD_BYTES];
    struct str piece = gather(spans, span_count, scratch);
    bool other;
    ssize_t put = gw_tls_write(s->tls, piece.ptr, piece.len, &other);
    if (put == -EAGAIN && other) {
        s->write_needs_read = true;
        arm_read(s);
    }
    return put;
}

ssize_t gw_sock_write(struct gw_sock *s, const struct iovec *spans, int span_count, bool more)
{
    CHECK(span_count > 0);
    if (!gw_sock_sends_files(s))
        return write_tls(s, spans, span_count);
    /* sendmsg only reads through the pointer. */
    union {
        const struct iovec *in;
        struct iovec *out;
    } iov = {.in = spans};
    struct msghdr message = {.msg_iov = iov.out, .msg_iovlen = (size_t)span_count};
    /* The kernel's TLS would keep a record open for what follows, and has no timer to end it. */
    int flags = MSG_NOSIGNAL | (more && !s->tls ? MSG_MORE : 0);
    ssize_t put;
    do
        put = sendmsg(s->fd, &message, flags);
    while (put < 0 && errno == EINTR);
    return put < 0 ? -errno : put;
}

ssize_t gw_sock_sendfile(struct gw_sock *s, int fd, uint64_t offset, size_t size)
{
    CHECK(gw_sock_sends_files(s));
    off_t at = (off_t)offset;
    ssize_t put;
    do
        put = sendfile(s->fd, fd, &at, size);
    while (put < 0 && errno == EINTR);
    return put < 0 ? -errno : put;
}

/* The kernel's TLS takes bytes as long as the socket has room, and keeps the last record to itself when that did not go in
 * whole; it pushes on before anything else once there is room. */
bool gw_sock_is_flushed(struct gw_sock *s)
{
    if (!s->tls || !gw_tls_kernel_sends(s->tls))
        return true;
    struct pollfd room = {.fd = s->fd, .events = POLLOUT};
    return poll(&room, 1, 0) != 0;
}

void gw_sock_shutdown(struct gw_sock *s)
{
    if (s->tls)
        gw_tls_shutdown(s->tls);
    (void)shutdown(s->fd, SHUT_WR); /* fails only when the peer is gone */
}

bool gw_sock_sends_files(const struct gw_sock *s)
{
    return !s->tls || gw_tls_kernel_sends(s->tls);
}

const char *gw_sock_tls_version(const struct gw_sock *s)
{
    return s->tls ? gw_tls_version(s->tls) : NULL;
}
