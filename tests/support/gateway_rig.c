#include "tests/support/gateway_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "gateway/chunks.h"
#include "gateway/conn.h"
#include "gateway/exchange.h"
#include "gateway/listener.h"
#include "gateway/loop.h"
#include "gateway/stats.h"
#include "gateway/tls.h"
#include "gateway/workers.h"
#include "s3api/s3.h"
#include "tests/support/fake_s3.h"
#include "tests/support/unit.h"
#include "vfs/vfs.h"

#define LOOPS 2
#define PATIENCE_MS 5000

struct part {
    struct rig *rig;
    struct gw_loop *loop;
    struct gw_conns *conns;
    struct gw_acceptor *acceptor;
    struct gw_message message;
    void (*command)(struct part *p);
};

struct rig {
    char folder[64];
    struct vfs *volume;
    struct gw_bridge bridge;
    struct gw_conn_options options;
    struct gw_listener *listener;
    struct gw_tls *tls;
    struct part parts[LOOPS];
    struct gw_conns *all_conns[LOOPS];
    _Atomic uint32_t connections, in_flight;
    uint32_t connections_max;
    uint16_t port;
    struct mutex lock;
    struct cond wake;
    int commands_left;
};

/* The server's side */

static void on_command(struct gw_message *m)
{
    struct part *p = container_of(m, struct part, message);
    p->command(p);
    mutex_lock(&p->rig->lock);
    p->rig->commands_left--;
    cond_signal(&p->rig->wake);
    mutex_unlock(&p->rig->lock);
}

static void command(struct rig *r, void (*fn)(struct part *p))
{
    r->commands_left = LOOPS;
    for (int i = 0; i < LOOPS; i++) {
        r->parts[i].command = fn;
        r->parts[i].message.run = on_command;
        gw_post(r->parts[i].loop, &r->parts[i].message);
    }
    mutex_lock(&r->lock);
    while (r->commands_left > 0)
        cond_wait(&r->wake, &r->lock);
    mutex_unlock(&r->lock);
}

static void start_part(struct part *p)
{
    struct gw_acceptor_options o = {
        .loop = p->loop,
        .conns = p->conns,
        .all_conns = p->rig->all_conns,
        .loop_count = LOOPS,
        .count = &p->rig->connections,
        .connections_max = p->rig->connections_max,
    };
    p->acceptor = gw_acceptor_new(p->rig->listener, &o);
}

static void drain_part(struct part *p)
{
    gw_acceptor_free(p->acceptor);
    p->acceptor = NULL;
    gw_conns_drain(p->conns);
}

static void stop_part(struct part *p)
{
    gw_acceptor_free(p->acceptor);
    p->acceptor = NULL;
    gw_conns_cut(p->conns);
}

static bool answer(void *data, const struct http_head *head, struct gw_answer *out)
{
    (void)data;
    if (!str_is(head->target, "/health"))
        return false;
    *out = (struct gw_answer){.status = 200, .content_type = "text/plain", .body = buf_make(64)};
    buf_addz(&out->body, "well");
    return true;
}

static void set_options(struct rig *r, const struct rig_options *o)
{
    r->options = (struct gw_conn_options){
        .bridge = &r->bridge,
        .answer = answer,
        .tls = r->tls,
        .head_timeout_ms = o->head_timeout_ms ? o->head_timeout_ms : PATIENCE_MS,
        .idle_timeout_ms = o->idle_timeout_ms ? o->idle_timeout_ms : PATIENCE_MS,
        .body_timeout_ms = o->body_timeout_ms ? o->body_timeout_ms : PATIENCE_MS,
        .count = &r->connections,
    };
    r->connections_max = o->connections_max ? o->connections_max : 10000;
}

static void open_volume(struct rig *r)
{
    struct vfs_options options = {.sync = VFS_SYNC_NONE};
    const char *error = NULL;
    snprintf(r->folder, sizeof(r->folder), "/tmp/sluice-rig-XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    assert_int_equal(vfs_open_volume(r->folder, &options, &r->volume, &error), 0);
    fake_s3_open(r->volume);
}

struct rig *rig_start(const struct rig_options *o)
{
    struct rig *r = calloc(1, sizeof(*r));
    struct buf error = buf_make(1024);
    assert_non_null(r);
    assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR); /* as the server does: sendfile has no flag for it */
    mutex_init(&r->lock);
    cond_init(&r->wake);
    open_volume(r);
    if (o->tls_cert)
        assert_int_equal(gw_tls_new(o->tls_cert, o->tls_key, true, &r->tls, &error), 0);
    set_options(r, o);
    r->bridge.host_id = STR("rig");
    r->bridge.in_flight = &r->in_flight;
    r->bridge.stats = gw_stats_new(s3_operation_names());
    r->bridge.chunks = gw_chunks_new(o->memory ? o->memory : 48 << 20);
    r->bridge.workers = gw_workers_start(o->workers ? o->workers : 4, o->queue_max ? o->queue_max : 10000, 4);
    assert_int_equal(gw_listener_bind("127.0.0.1:0", LOOPS, &r->listener, &error), 0);
    struct str text = str_z(gw_listener_text(r->listener));
    r->port = (uint16_t)atoi(text.ptr + str_rfind_char(text, ':') + 1);
    for (unsigned i = 0; i < LOOPS; i++) {
        struct part *p = &r->parts[i];
        p->rig = r;
        p->loop = gw_loop_start(i);
        p->conns = r->all_conns[i] = gw_conns_new(p->loop, &r->options);
    }
    command(r, start_part);
    buf_done(&error);
    return r;
}

void rig_stop(struct rig *r)
{
    command(r, stop_part);
    assert_true(rig_settles(r));
    gw_workers_stop(r->bridge.workers);
    for (int i = 0; i < LOOPS; i++) {
        gw_loop_stop(r->parts[i].loop);
        gw_conns_free(r->parts[i].conns);
    }
    assert_int_equal(atomic_load(&r->connections), 0);
    gw_chunks_free(r->bridge.chunks);
    gw_stats_free(r->bridge.stats);
    gw_listener_free(r->listener);
    gw_tls_free(r->tls);
    vfs_close_volume(r->volume);
    char line[128];
    snprintf(line, sizeof(line), "rm -rf %s", r->folder);
    assert_int_equal(system(line), 0);
    cond_done(&r->wake);
    mutex_done(&r->lock);
    free(r);
}

uint16_t rig_port(const struct rig *r)
{
    return r->port;
}

unsigned rig_connections(const struct rig *r)
{
    return atomic_load(&r->connections);
}

unsigned rig_in_flight(const struct rig *r)
{
    return atomic_load(&r->in_flight);
}

struct gw_tls *rig_tls(struct rig *r)
{
    return r->tls;
}

void rig_drain(struct rig *r)
{
    command(r, drain_part);
}

bool rig_settles(struct rig *r)
{
    for (int i = 0; i < PATIENCE_MS; i++) {
        if (atomic_load(&r->in_flight) == 0 && fake_s3_begun() == fake_s3_ended())
            return true;
        usleep(1000);
    }
    return false;
}

bool rig_reaches(uint64_t (*value)(void), uint64_t least)
{
    for (int i = 0; i < PATIENCE_MS && value() < least; i++)
        usleep(1000);
    return value() >= least;
}

/* The client's side */

int rig_connect(const struct rig *r)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(r->port)};
    struct timeval patience = {PATIENCE_MS / 1000, 0};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static bool send_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t put = send(fd, bytes, len, MSG_NOSIGNAL);
        if (put <= 0)
            return false;
        bytes += put;
        len -= (size_t)put;
    }
    return true;
}

void rig_send(int fd, const char *text)
{
    assert_true(send_all(fd, text, strlen(text)));
}

bool rig_send_pattern(int fd, uint64_t size)
{
    static _Thread_local char piece[100000];
    for (uint64_t done = 0; done < size;) {
        size_t take = size - done < sizeof(piece) ? (size_t)(size - done) : sizeof(piece);
        for (size_t i = 0; i < take; i++)
            piece[i] = fake_s3_pattern(done + i);
        if (!send_all(fd, piece, take))
            return false;
        done += take;
    }
    return true;
}

/* One byte more; false at the end. */
static bool read_byte(int fd, struct buf *out)
{
    char byte;
    if (recv(fd, &byte, 1, 0) != 1)
        return false;
    buf_addc(out, byte);
    return true;
}

static bool read_line(int fd, struct buf *out)
{
    size_t start = out->len;
    while (read_byte(fd, out)) {
        if (out->len >= start + 2 && memcmp(out->ptr + out->len - 2, "\r\n", 2) == 0)
            return true;
    }
    return false;
}

static bool read_exactly(int fd, uint64_t size, struct buf *out)
{
    while (size > 0) {
        size_t take = size < 65536 ? (size_t)size : 65536;
        char *room = buf_reserve(out, take);
        assert_non_null(room);
        ssize_t got = recv(fd, room, take, 0);
        if (got <= 0)
            return false;
        buf_extend(out, (size_t)got);
        size -= (uint64_t)got;
    }
    return true;
}

static bool read_chunked(int fd, struct buf *out)
{
    for (;;) {
        struct buf line = buf_make(100);
        uint64_t size = 0;
        bool good = read_line(fd, &line) && str_parse_hex_u64(str_first(buf_str(&line), line.len - 2), &size);
        good = good && read_exactly(fd, size, out);
        buf_reset(&line);
        good = good && read_line(fd, &line) && line.len == 2;
        buf_done(&line);
        if (!good || size == 0)
            return good;
    }
}

bool rig_has_header(const struct rig_answer *a, const char *line)
{
    char text[256];
    snprintf(text, sizeof(text), "\r\n%s\r\n", line);
    return str_find(buf_str(&a->head), str_z(text)) >= 0;
}

struct rig_answer rig_read_answer(int fd, bool head)
{
    struct rig_answer a = {.head = buf_make(1 << 20), .body = buf_make(256 << 20)};
    size_t line = 0;
    do {
        line = a.head.len;
        if (!read_line(fd, &a.head))
            return a;
    } while (a.head.len - line > 2);
    a.status = atoi(a.head.ptr + 9);
    ptrdiff_t at = str_find(buf_str(&a.head), STR("\r\nContent-Length: "));
    if (head || a.status < 200 || a.status == 204 || a.status == 304)
        a.whole = true;
    else if (at >= 0)
        a.whole = read_exactly(fd, strtoull(a.head.ptr + at + 18, NULL, 10), &a.body);
    else if (rig_has_header(&a, "Transfer-Encoding: chunked"))
        a.whole = read_chunked(fd, &a.body);
    else
        a.whole = !read_exactly(fd, UINT64_MAX, &a.body);
    return a;
}

void rig_answer_done(struct rig_answer *a)
{
    buf_done(&a->head);
    buf_done(&a->body);
}

void rig_expect(int fd, const char *request, int status, const char *body)
{
    rig_send(fd, request);
    struct rig_answer a = rig_read_answer(fd, strncmp(request, "HEAD ", 5) == 0);
    if (a.status != status)
        fail_msg("%s: %d\n%s%s", request, a.status, buf_z(&a.head), buf_z(&a.body));
    assert_true(a.whole);
    if (body)
        assert_str(buf_str(&a.body), body);
    rig_answer_done(&a);
}

bool rig_is_closed(int fd)
{
    char byte;
    return recv(fd, &byte, 1, 0) == 0;
}
