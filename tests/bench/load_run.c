/* The closed loop: each connection sends a request, takes the answer, sends the next. */
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "gateway/http_chunked.h"
#include "tests/bench/load.h"

#define ANSWER_BYTES (64 * 1024)
#define KEPT_BYTES_MAX (64 * 1024 * 1024)
#define EVENTS 256

enum phase { PHASE_HANDSHAKE, PHASE_SEND, PHASE_HEAD, PHASE_BODY, PHASE_DONE };

struct conn {
    struct load *load;
    int fd;
    SSL *ssl;
    enum phase phase;
    bool wants_write; /* as epoll knows it */
    struct str head, body; /* still to be sent */
    uint64_t start_ns, left;
    bool is_chunked, is_closing, is_head;
    struct gw_chunked coding;
    int status;
    struct buf answer; /* the head; with `keep` the body */
    bool keep;
};

struct load {
    const struct load_options *o;
    struct load_plan *plan;
    struct load_result *result;
    SSL_CTX *tls;
    int epoll;
    uint64_t started, end_ns;
    size_t open;
    char *scratch;
};

static void start_request(struct conn *c, struct str token);

/* Connections */

static int connect_to(const struct load_options *o)
{
    char port[16];
    struct addrinfo *found = NULL;
    if (o->unix_path) {
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", o->unix_path);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        return fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ? -errno : fd;
    }
    (void)snprintf(port, sizeof(port), "%llu", (unsigned long long)o->port);
    if (getaddrinfo(o->host, port, &(struct addrinfo){.ai_socktype = SOCK_STREAM}, &found) != 0)
        return -EHOSTUNREACH;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) < 0)
        fd = -errno;
    freeaddrinfo(found);
    if (fd >= 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* unsupported: merely slower */
    return fd;
}

static void watch(struct conn *c, bool write)
{
    if (c->wants_write == write)
        return;
    c->wants_write = write;
    struct epoll_event e = {.events = EPOLLIN | (write ? EPOLLOUT : 0u), .data.ptr = c};
    CHECK(epoll_ctl(c->load->epoll, EPOLL_CTL_MOD, c->fd, &e) == 0);
}

static void open_conn(struct load *l, struct conn *c)
{
    c->load = l;
    c->wants_write = false;
    c->fd = connect_to(l->o);
    if (c->fd < 0) {
        fprintf(stderr, "connect: %s\n", strerror(-c->fd));
        exit(1);
    }
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    CHECK(epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &e) == 0);
    if (l->tls) {
        c->ssl = SSL_new(l->tls);
        CHECK(c->ssl && SSL_set_fd(c->ssl, c->fd) == 1 && SSL_connect(c->ssl) == 1);
    }
    l->open++;
}

static void close_conn(struct conn *c)
{
    SSL_free(c->ssl);
    c->ssl = NULL;
    (void)close(c->fd);
    c->phase = PHASE_DONE;
    c->load->open--;
}

/* Sockets are blocking, MSG_DONTWAIT makes each call not wait; TLS reads and writes only when the descriptor is ready, and may
 * wait for the rest of a record. */
static ssize_t conn_read(struct conn *c, void *out, size_t size, bool drop)
{
    if (c->ssl) {
        int got = SSL_read(c->ssl, out, (int)size);
        return got > 0 ? got : 0;
    }
    /* With MSG_TRUNC a stream's bytes go without being copied (tcp(7)). */
    ssize_t got = recv(c->fd, out, size, MSG_DONTWAIT | (drop && !c->load->o->unix_path ? MSG_TRUNC : 0));
    return got < 0 ? -errno : got;
}

static ssize_t conn_write(struct conn *c)
{
    if (c->ssl) {
        struct str piece = c->head.len > 0 ? c->head : str_first(c->body, 16 * 1024);
        return SSL_write(c->ssl, piece.ptr, (int)piece.len);
    }
    struct iovec spans[2] = {{(void *)(uintptr_t)c->head.ptr, c->head.len}, {(void *)(uintptr_t)c->body.ptr, c->body.len}};
    struct msghdr m = {.msg_iov = spans, .msg_iovlen = 2};
    ssize_t put = sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    return put < 0 ? -errno : put;
}

/* Answers */

static size_t class_of(uint64_t us)
{
    if (us < 8)
        return (size_t)us;
    unsigned log = 63u - (unsigned)__builtin_clzll(us);
    size_t class = 8 * (size_t)(log - 2) + (us >> (log - 3) & 7);
    return class < LATENCY_CLASSES ? class : LATENCY_CLASSES - 1;
}

static struct str between(struct str s, struct str before, struct str after)
{
    ptrdiff_t at = str_find(s, before);
    if (at < 0)
        return STR_EMPTY;
    struct str rest = str_from(s, (size_t)at + before.len);
    ptrdiff_t end = str_find(rest, after);
    return end < 0 ? STR_EMPTY : str_first(rest, (size_t)end);
}

static uint64_t count_of(struct str body, struct str tag)
{
    uint64_t count = 0;
    for (ptrdiff_t at; (at = str_find(body, tag)) >= 0; body = str_from(body, (size_t)at + tag.len))
        count++;
    return count;
}

static bool is_over(const struct load *l)
{
    return (l->o->requests && l->started >= l->o->requests) || (l->o->duration_ms && clock_mono_ns() >= l->end_ns);
}

/* The answer is whole: counts it, and sends the next request. */
static void answer_done(struct conn *c)
{
    struct load *l = c->load;
    struct load_result *r = l->result;
    uint64_t now_ns = clock_mono_ns();
    struct str token = STR_EMPTY;
    r->requests++;
    r->last_status = c->status;
    r->failures += c->status < 200 || c->status > 299;
    r->latency[class_of((now_ns - c->start_ns) / 1000)]++;
    if (l->o->once)
        (void)fwrite(c->answer.ptr, 1, c->answer.len, stdout);
    if (l->o->walk) {
        r->listed += count_of(buf_str(&c->answer), STR("<Key>")) + count_of(buf_str(&c->answer), STR("<CommonPrefixes>"));
        token = between(buf_str(&c->answer), STR("<NextContinuationToken>"), STR("</NextContinuationToken>"));
    }
    if (is_over(l) || (l->o->walk && token.len == 0)) {
        close_conn(c);
        return;
    }
    if (c->is_closing) {
        close_conn(c);
        open_conn(l, c);
    }
    start_request(c, token);
}

static bool header_of(struct str line, struct str name, struct str *out)
{
    if (!str_starts_nocase(line, name))
        return false;
    *out = str_trim(str_from(line, name.len));
    return true;
}

/* The head is complete in `head`. */
static void parse_head(struct conn *c, struct str head)
{
    struct str line, value;
    uint64_t status = 0;
    c->left = c->is_chunked = false;
    c->status = head.len > 12 && str_parse_u64(str_first(str_from(head, 9), 3), &status) ? (int)status : 0;
    while (str_split(&head, '\n', &line)) {
        line = str_first(line, line.len > 0 ? line.len - 1 : 0);
        if (header_of(line, STR("content-length:"), &value))
            CHECK(str_parse_u64(value, &c->left));
        else if (header_of(line, STR("transfer-encoding:"), &value))
            c->is_chunked = true;
        else if (header_of(line, STR("connection:"), &value))
            c->is_closing = str_eq_nocase(value, STR("close"));
    }
    c->coding = gw_chunked_make();
    if (c->is_head || c->status == 204 || c->status == 304)
        c->left = c->is_chunked = false;
}

/* Bytes of the body. */
static void take_body(struct conn *c, char *bytes, size_t size)
{
    if (c->is_chunked) {
        size_t used;
        CHECK(gw_chunked_decode(&c->coding, bytes, &size, &used) == 0);
    } else {
        CHECK(size <= c->left);
        c->left -= size;
    }
    c->load->result->bytes += size;
    if (c->keep)
        buf_add(&c->answer, str_of(bytes, size));
    if (c->is_chunked ? gw_chunked_ended(&c->coding) : c->left == 0)
        answer_done(c);
}

static void take_head(struct conn *c, const char *bytes, size_t size)
{
    buf_add(&c->answer, str_of(bytes, size));
    ptrdiff_t end = str_find(buf_str(&c->answer), STR("\r\n\r\n"));
    if (end < 0)
        return;
    parse_head(c, str_first(buf_str(&c->answer), (size_t)end + 2));
    if (c->status == 100) {
        buf_consume(&c->answer, (size_t)end + 4);
        return;
    }
    c->phase = PHASE_BODY;
    CLEANUP(buf_done) struct buf rest = buf_make(ANSWER_BYTES * 2);
    buf_add(&rest, str_from(buf_str(&c->answer), (size_t)end + 4));
    buf_reset(&c->answer);
    if (rest.len > 0 || (c->left == 0 && !c->is_chunked))
        take_body(c, rest.ptr, rest.len);
}

static void broken(struct conn *c)
{
    c->load->result->failures++;
    close_conn(c);
    if (is_over(c->load) || c->load->o->walk)
        return;
    open_conn(c->load, c);
    start_request(c, STR_EMPTY);
}

static void on_readable(struct conn *c)
{
    bool drop = c->phase == PHASE_BODY && !c->is_chunked && !c->keep;
    size_t size = drop && !c->ssl ? (size_t)c->left : ANSWER_BYTES;
    do {
        ssize_t got = conn_read(c, c->load->scratch, size, drop);
        if (got == -EAGAIN || got == -EINTR)
            return;
        if (got <= 0) {
            broken(c);
            return;
        }
        if (c->phase == PHASE_BODY)
            take_body(c, c->load->scratch, (size_t)got);
        else
            take_head(c, c->load->scratch, (size_t)got);
    } while (c->ssl && c->phase > PHASE_SEND && c->phase != PHASE_DONE && SSL_pending(c->ssl) > 0);
}

/* Requests */

static void send_request(struct conn *c)
{
    while (c->head.len + c->body.len > 0) {
        ssize_t put = conn_write(c);
        if (put == -EAGAIN) {
            watch(c, true);
            return;
        }
        if (put <= 0) {
            broken(c);
            return;
        }
        size_t of_head = (size_t)put < c->head.len ? (size_t)put : c->head.len;
        c->head = str_from(c->head, of_head);
        c->body = str_from(c->body, (size_t)put - of_head);
    }
    c->phase = PHASE_HEAD;
    watch(c, false);
}

static void start_request(struct conn *c, struct str token)
{
    struct load *l = c->load;
    l->started++;
    c->head = load_plan_next(l->plan, token);
    c->body = load_plan_body(l->plan);
    c->keep = l->o->once || l->o->walk;
    c->is_head = str_is(l->o->method, "HEAD");
    c->is_closing = false;
    c->phase = PHASE_SEND;
    buf_reset(&c->answer);
    c->start_ns = clock_mono_ns();
    send_request(c);
}

static void on_event(struct conn *c, uint32_t events)
{
    if (c->phase == PHASE_SEND && events & EPOLLOUT)
        send_request(c);
    else if (c->phase != PHASE_DONE && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        on_readable(c);
}

/* A run */

static uint64_t cpu_ns(void)
{
    struct rusage u;
    CHECK(getrusage(RUSAGE_SELF, &u) == 0);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000 +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}

static void serve(struct load *l)
{
    struct epoll_event events[EVENTS];
    while (l->open > 0 && (!l->o->pause || clock_mono_ns() < l->end_ns)) {
        int count = epoll_wait(l->epoll, events, EVENTS, 1000);
        for (int i = 0; i < count; i++)
            on_event(events[i].data.ptr, events[i].events);
    }
}

void load_run(const struct load_options *o, struct load_plan *p, struct load_result *out)
{
    *out = (struct load_result){0};
    struct load l = {.o = o, .plan = p, .result = out, .epoll = epoll_create1(EPOLL_CLOEXEC), .scratch = malloc(ANSWER_BYTES)};
    CHECK(l.epoll >= 0 && l.scratch != NULL);
    l.tls = o->tls ? SSL_CTX_new(TLS_client_method()) : NULL;
    struct conn *conns = calloc((size_t)o->connections, sizeof(*conns));
    CHECK(conns != NULL);
    for (size_t i = 0; i < o->connections; i++) {
        conns[i].answer = buf_make(KEPT_BYTES_MAX);
        open_conn(&l, &conns[i]);
    }
    uint64_t before_ns = cpu_ns(), start_ns = clock_mono_ns();
    l.end_ns = start_ns + o->duration_ms * 1000000;
    for (size_t i = 0; i < o->connections && !o->pause && (i == 0 || !o->requests || l.started < o->requests); i++)
        start_request(&conns[i], STR_EMPTY);
    for (size_t i = 0; i < o->connections && !o->pause; i++)
        if (conns[i].phase == PHASE_HANDSHAKE)
            close_conn(&conns[i]); /* more connections than requests */
    serve(&l);
    out->elapsed_ns = clock_mono_ns() - start_ns;
    out->client_cpu_ns = cpu_ns() - before_ns;
    for (size_t i = 0; i < o->connections; i++) {
        if (conns[i].phase != PHASE_DONE)
            close_conn(&conns[i]);
        buf_done(&conns[i].answer);
    }
    SSL_CTX_free(l.tls);
    free(conns);
    free(l.scratch);
    (void)close(l.epoll);
}
