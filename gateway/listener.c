#include "gateway/listener.h"

#define H2O_USE_LIBUV 0
#include <h2o/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "base/log.h"
#include "gateway/conn.h"
#include "gateway/loop.h"

#define BACKLOG 4096
/* Connections taken at a time, so that a flood of them leaves the loop time for those it has. */
#define ACCEPT_TURN 16
/* When there is no descriptor or connection left: until some are free again. */
#define PAUSE_MS 20
#define TEXT_MAX 256

struct gw_listener {
    char text[TEXT_MAX];
    char unix_path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* "" when not ours to remove */
    unsigned fd_count;
    int *fds; /* one a loop; -1 when its acceptor has it */
};

struct gw_acceptor {
    struct gw_acceptor_options o;
    h2o_socket_t *h2o;
    int fd;
    struct gw_timer pause;
    bool complained;
};

/* Addresses */

struct endpoint {
    struct sockaddr_storage address;
    socklen_t len;
};

static bool parse_unix(struct str path, struct endpoint *out)
{
    struct sockaddr_un *un = (struct sockaddr_un *)(void *)&out->address;
    if (path.len == 0 || path.len >= sizeof(un->sun_path))
        return false;
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path.ptr, path.len);
    out->len = sizeof(*un);
    return true;
}

/* Both families on one socket, where the kernel has IPv6. */
static const char *all_addresses(void)
{
    CLEANUP(fd_closep) int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 ? "::" : "0.0.0.0";
}

/* host:port, with an empty host or "*" for all addresses. */
static bool parse_inet(struct str text, struct endpoint *out)
{
    ptrdiff_t colon = str_rfind_char(text, ':');
    if (colon < 0 || text.len >= TEXT_MAX)
        return false;
    struct str host = str_first(text, (size_t)colon);
    if (str_starts(host, STR("[")) && str_ends(host, STR("]")))
        host = str_of(host.ptr + 1, host.len - 2);
    bool all = host.len == 0 || str_is(host, "*");
    char host_z[TEXT_MAX], port_z[TEXT_MAX];
    (void)snprintf(host_z, sizeof(host_z), "%.*s", STR_ARG(host));
    (void)snprintf(port_z, sizeof(port_z), "%.*s", STR_ARG(str_from(text, (size_t)colon + 1)));
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
    if (port_z[0] == '\0' || getaddrinfo(all ? all_addresses() : host_z, port_z, &hints, &found) != 0)
        return false;
    memcpy(&out->address, found->ai_addr, found->ai_addrlen);
    out->len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static uint16_t *port_of(struct endpoint *e)
{
    if (e->address.ss_family == AF_INET6)
        return &((struct sockaddr_in6 *)(void *)&e->address)->sin6_port;
    return &((struct sockaddr_in *)(void *)&e->address)->sin_port;
}

static void write_text(struct gw_listener *l, const struct endpoint *e)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (e->address.ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)&e->address;
        (void)snprintf(l->text, sizeof(l->text), "unix:%s", un->sun_path);
        return;
    }
    int rc = getnameinfo((const struct sockaddr *)&e->address, e->len, host, sizeof(host), port, sizeof(port),
                         NI_NUMERICHOST | NI_NUMERICSERV);
    if (rc != 0)
        return;
    bool v6 = e->address.ss_family == AF_INET6;
    (void)snprintf(l->text, sizeof(l->text), v6 ? "[%.200s]:%s" : "%.200s:%s", host, port);
}

/* Binding */

static int bind_socket(const struct endpoint *e, bool share_port)
{
    CLEANUP(fd_closep) int fd = socket(e->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1, off = 0;
    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (e->address.ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (share_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
        return -errno;
    if (bind(fd, (const struct sockaddr *)&e->address, e->len) < 0)
        return -errno;
    return fd_take(&fd);
}

static int listen_on(int fd)
{
    return listen(fd, BACKLOG) < 0 ? -errno : 0;
}

/* Sockets that share a port would let a second gateway bind it too and take half of the connections; one that does not
 * share finds out whether somebody listens. It also chooses the port when none is given. */
static int probe_port(struct endpoint *e)
{
    CLEANUP(fd_closep) int fd = bind_socket(e, false);
    if (fd < 0)
        return fd;
    struct endpoint bound = {.len = sizeof(bound.address)};
    int rc = listen_on(fd);
    if (rc == 0 && getsockname(fd, (struct sockaddr *)&bound.address, &bound.len) == 0)
        *port_of(e) = *port_of(&bound);
    return rc;
}

static int bind_inet(struct gw_listener *l, struct endpoint *e)
{
    int rc = probe_port(e);
    for (unsigned i = 0; rc == 0 && i < l->fd_count; i++) {
        l->fds[i] = bind_socket(e, true);
        rc = l->fds[i] < 0 ? l->fds[i] : listen_on(l->fds[i]);
    }
    return rc;
}

static int share_fd(struct gw_listener *l, int fd)
{
    l->fds[0] = fd;
    for (unsigned i = 1; i < l->fd_count; i++) {
        l->fds[i] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (l->fds[i] < 0)
            return -errno;
    }
    return 0;
}

/* A socket file that nobody listens on is left from a crash. */
static void remove_stale(const struct endpoint *e)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)&e->address;
    struct stat st;
    CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || lstat(un->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    if (connect(fd, (const struct sockaddr *)un, sizeof(*un)) < 0 && errno == ECONNREFUSED)
        (void)unlink(un->sun_path);
}

static int bind_unix(struct gw_listener *l, const struct endpoint *e)
{
    remove_stale(e);
    int fd = bind_socket(e, false);
    if (fd < 0)
        return fd;
    memcpy(l->unix_path, ((const struct sockaddr_un *)(const void *)&e->address)->sun_path, sizeof(l->unix_path));
    int rc = share_fd(l, fd);
    return rc < 0 ? rc : listen_on(fd);
}

static struct gw_listener *listener_new(unsigned loop_count)
{
    struct gw_listener *l = calloc(1, sizeof(*l));
    CHECK(l != NULL); /* out of memory */
    l->fds = calloc(loop_count, sizeof(*l->fds));
    CHECK(l->fds != NULL); /* out of memory */
    l->fd_count = loop_count;
    for (unsigned i = 0; i < loop_count; i++)
        l->fds[i] = -1;
    return l;
}

int gw_listener_bind(const char *address, unsigned loop_count, struct gw_listener **out, struct buf *error)
{
    struct endpoint e = {0};
    struct str text = str_z(address);
    bool is_unix = str_starts(text, STR("unix:"));
    if (is_unix ? !parse_unix(str_from(text, 5), &e) : !parse_inet(text, &e)) {
        buf_addf(error, "cannot listen on %s: not an address (HOST:PORT or unix:PATH)", address);
        return -EINVAL;
    }
    struct gw_listener *l = listener_new(loop_count);
    int rc = is_unix ? bind_unix(l, &e) : bind_inet(l, &e);
    if (rc < 0) {
        buf_addf(error, "cannot listen on %s: %s", address,
                 rc == -EADDRINUSE ? "another process is listening there" : strerror(-rc));
        gw_listener_free(l);
        return rc;
    }
    write_text(l, &e);
    *out = l;
    return 0;
}

struct gw_listener *gw_listener_adopt(int fd, unsigned loop_count)
{
    struct gw_listener *l = listener_new(loop_count);
    struct endpoint e = {.len = sizeof(e.address)};
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    (void)snprintf(l->text, sizeof(l->text), "fd:%d", fd);
    if (getsockname(fd, (struct sockaddr *)&e.address, &e.len) == 0)
        write_text(l, &e);
    CHECK(share_fd(l, fd) == 0); /* as many descriptors as loops are always there at start */
    return l;
}

void gw_listener_free(struct gw_listener *l)
{
    if (!l)
        return;
    for (unsigned i = 0; i < l->fd_count; i++)
        fd_closep(&l->fds[i]);
    if (l->unix_path[0] != '\0')
        (void)unlink(l->unix_path);
    free(l->fds);
    free(l);
}

const char *gw_listener_text(const struct gw_listener *l)
{
    return l->text;
}

/* Accepting */

static void pause_accepting(struct gw_acceptor *a, const char *why)
{
    if (!a->complained)
        log_warn("accept_paused", "reason=\"%s\"", why);
    a->complained = true;
    h2o_socket_read_stop(a->h2o);
    gw_timer_start(a->o.loop, &a->pause, PAUSE_MS);
}

static bool is_full(const struct gw_acceptor *a)
{
    return atomic_load(a->o.count) >= a->o.connections_max;
}

/* An idle connection goes when one waits: of our own, or else other loops are asked, and the wait goes on meanwhile. */
static bool make_room(struct gw_acceptor *a)
{
    if (!is_full(a) || gw_conns_shed(a->o.conns))
        return true;
    for (size_t i = 0; i < a->o.loop_count; i++) {
        if (a->o.all_conns[i] != a->o.conns)
            gw_conns_ask_shed(a->o.all_conns[i]);
    }
    return false;
}

/* 0, or the negative errno that says why there is no connection. */
static int accept_one(struct gw_acceptor *a)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    memset(&peer, 0, sizeof(peer));
    int fd = accept4(a->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return -errno;
    int on = 1;
    if (peer.ss_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    gw_conns_add(a->o.conns, fd, &peer);
    return 0;
}

static bool is_out_of_resources(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS;
}

static void on_connection(h2o_socket_t *h, const char *err)
{
    struct gw_acceptor *a = h->data;
    (void)err;
    if (!make_room(a)) {
        pause_accepting(a, "as many connections as --connections allows are open");
        return;
    }
    /* Room is made for the one that is known to wait only: making it for another would drop the one just taken. */
    for (int i = 0; i < ACCEPT_TURN && !is_full(a); i++) {
        int rc = accept_one(a);
        /* A connection that was reset while it waited is not the listener's trouble. */
        if (rc == -ECONNABORTED || rc == -EINTR)
            continue;
        if (rc < 0 && is_out_of_resources(rc))
            pause_accepting(a, strerror(-rc));
        if (rc < 0)
            return;
    }
}

static void on_pause_end(struct gw_timer *t)
{
    struct gw_acceptor *a = container_of(t, struct gw_acceptor, pause);
    h2o_socket_read_start(a->h2o, on_connection);
}

struct gw_acceptor *gw_acceptor_new(struct gw_listener *l, const struct gw_acceptor_options *options)
{
    CHECK(gw_loop_is_current(options->loop));
    unsigned index = gw_loop_index(options->loop);
    CHECK(index < l->fd_count);
    struct gw_acceptor *a = calloc(1, sizeof(*a));
    CHECK(a != NULL); /* out of memory */
    a->o = *options;
    a->pause.fn = on_pause_end;
    a->fd = fd_take(&l->fds[index]);
    a->h2o = h2o_evloop_socket_create(gw_loop_backend(options->loop), a->fd, H2O_SOCKET_FLAG_DONT_READ);
    a->h2o->data = a;
    h2o_socket_read_start(a->h2o, on_connection);
    return a;
}

void gw_acceptor_free(struct gw_acceptor *a)
{
    if (!a)
        return;
    CHECK(gw_loop_is_current(a->o.loop));
    /* Closing the socket would reset those who connected and were not taken yet. */
    while (!is_full(a) && accept_one(a) == 0)
        continue;
    gw_timer_stop(&a->pause);
    h2o_socket_close(a->h2o);
    free(a);
}
