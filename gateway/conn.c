/* The life of a connection.
 *
 *             gw_conns_add                    start_request             (answer sent, keep-alive, body read)
 *                  │         ┌────────┐                      ┌─────────┐
 *                  └────────▶│  HEAD  │─────────────────────▶│ REQUEST │──────────────────────────┐
 *                            └────────┘◀──────┐              └─────────┘◀─────(pipelined head)────┤
 *           idle, head timeout │  ▲  │        │        answer_done│  │                            │
 *           peer's end         │  │  └ fault: answered as a REQUEST  │ keep-alive,                │
 *                              │  │           └─────────────────────│──────────────▶ HEAD ◀──────┘
 *                              │  │ body dropped          closes, or│  │ body not read
 *                              │  │                 body too long   ▼  ▼
 *                              │  │              ┌────────┐◀──── ┌───────┐
 *                              │  └──────────────│ LINGER │      │ DRAIN │
 *                              ▼                 └────────┘      └───────┘
 *                           ┌──────┐  peer's end, │ timeout          │ timeout
 *                           │ DEAD │◀─────────────┴──────────────────┘
 *                           └──────┘
 *
 * Within REQUEST two things go on side by side: `receive` (HOLD → BODY → DONE, or DROP once the answer is known) and `send`
 * (NOTHING → INTERIM → NOTHING → ANSWER). Every event only notes what happened and calls run(), which does all that can be
 * done now; nothing is done in callbacks that run() could not do again.
 *
 * Invariants: 1. the body is not read before the engine asked for it, except what came with the head; 2. an answer is begun
 * once, and only its end makes the next head parsed; 3. the peer has at most one timer: for a head, for idleness, or for
 * progress of a body; none while it is us who are slow; 4. the connection's memory goes in gw_conn_destroy(), called only
 * by run() and by the set, where nothing of it is on the stack. */
#include "gateway/conn.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "gateway/access_log.h"
#include "gateway/conn_internal.h"
#include "gateway/stats.h"
#include "gateway/tls.h"
#include "gateway/workers.h"

static void run(struct gw_conn *c);

/* The end */

static void end_exchange(struct gw_conn *c)
{
    gw_timer_stop(&c->space);
    if (!c->x)
        return;
    gw_conn_output_reset(c); /* its spans may lie in the exchange's memory */
    gw_exchange_end(c->x, &c->outcome);
    c->x = NULL;
}

void gw_conn_die(struct gw_conn *c)
{
    c->outcome.aborted = true;
    end_exchange(c);
    c->phase = GW_PHASE_DEAD;
}

void gw_conn_destroy(struct gw_conn *c)
{
    const struct gw_conn_options *o = c->set->options;
    if (c->x)
        gw_conn_die(c);
    gw_timer_stop(&c->timer);
    gw_timer_stop(&c->space);
    gw_conn_output_reset(c);
    gw_inbuf_free(&c->in, o->bridge->chunks);
    buf_done(&c->own_headers);
    buf_done(&c->own_body);
    gw_sock_close(c->sock);
    list_remove(&c->link);
    list_remove(&c->idle_link);
    atomic_fetch_sub(o->count, 1);
    free(c);
}

/* Answers made here */

#define OWN_BYTES_MAX (16 * 1024 * 1024)

static void answer(struct gw_conn *c, int status, const char *content_type, struct buf body, bool close)
{
    struct str request_id = str_of(c->request_id, sizeof(c->request_id));
    buf_done(&c->own_body);
    c->own_body = body;
    buf_done(&c->own_headers);
    c->own_headers = buf_make(OWN_BYTES_MAX);
    gw_header_write(&c->own_headers, STR("Content-Type"), str_z(content_type));
    gw_header_write(&c->own_headers, STR("x-amz-request-id"), request_id);
    gw_header_write(&c->own_headers, STR("x-amz-id-2"), c->set->options->bridge->host_id);
    if (status == 503)
        gw_header_write(&c->own_headers, STR("Retry-After"), STR("1"));
    struct gw_reply reply = {
        .status = status,
        .headers = buf_str(&c->own_headers),
        .body = GW_REPLY_BYTES,
        .length = (int64_t)body.len,
        .bytes = buf_str(&c->own_body),
        .close = close,
    };
    gw_conn_output_begin(c, &reply);
}

/* A fault before there was an exchange to log it. */
static void log_fault(const struct gw_conn *c, const struct gw_fault_row *row)
{
    const struct gw_bridge *bridge = c->set->options->bridge;
    if (c->set->options->answers_all)
        return;
    struct gw_stats_request counted = {.error_code = row->code, .status = row->status};
    gw_stats_add(bridge->stats, &counted);
    struct gw_access line = {
        .start_wall_ns = clock_wall_ns(),
        .request_id = str_of(c->request_id, sizeof(c->request_id)),
        .remote = c->peer,
        .status = row->status,
        .s3_code = row->code,
        .tls = gw_sock_tls_version(c->sock),
    };
    gw_access_log_add(bridge->access_log, &line);
}

/* The fault came before a head was understood. */
static void assume_request(struct gw_conn *c)
{
    gw_request_id(c->request_id);
    c->phase = GW_PHASE_REQUEST;
    c->minor_version = 1;
    c->is_head = c->keep_alive = c->chunked = c->expects = false;
    c->receive = GW_RECEIVE_DROP;
    c->outcome = (struct gw_outcome){0};
    c->start_ns = clock_mono_ns();
}

void gw_conn_fault(struct gw_conn *c, enum gw_fault f)
{
    const struct gw_fault_row *row = gw_fault_row(f);
    if (c->send != GW_SEND_NOTHING) {
        gw_conn_die(c); /* something else is half-way out */
        return;
    }
    if (c->phase == GW_PHASE_HEAD)
        assume_request(c);
    if (c->x) {
        c->outcome.status = row->status;
        c->outcome.error_code = row->code;
        end_exchange(c);
    } else {
        log_fault(c, row);
    }
    struct buf body = buf_make(OWN_BYTES_MAX);
    gw_fault_document(f, str_of(c->request_id, sizeof(c->request_id)), c->set->options->bridge->host_id, &body);
    answer(c, row->status, "application/xml", body, f != GW_FAULT_BUSY);
}

/* Requests */

static void on_progress(void *owner)
{
    run(owner);
}

/* S3's sign of life within a slow answer, whatever the worker is stuck in. */
static void on_space(struct gw_timer *t)
{
    struct gw_conn *c = container_of(t, struct gw_conn, space);
    gw_timer_start(c->set->loop, t, LIMIT_KEEPALIVE_SPACE_MS);
    if (c->send == GW_SEND_NOTHING) {
        const struct gw_reply *r = gw_exchange_early(c->x);
        c->early = r != NULL;
        if (r)
            gw_conn_output_begin(c, r);
    } else if (c->out.source == GW_SOURCE_EARLY) {
        gw_conn_output_space(c);
    }
    run(c);
}

static void start_exchange(struct gw_conn *c, const struct gw_parsed *p, const struct gw_inbuf *head_bytes)
{
    const struct gw_conn_options *o = c->set->options;
    struct gw_request r = {
        .parsed = p,
        .head_bytes = *head_bytes,
        .request_id = str_of(c->request_id, sizeof(c->request_id)),
        .remote = o->proxies ? gw_proxies_client(o->proxies, c->peer, &p->head) : c->peer,
        .tls_version = gw_sock_tls_version(c->sock),
        .sends_files = gw_sock_sends_files(c->sock),
        .progress = on_progress,
        .owner = c,
    };
    c->x = gw_exchange_new(o->bridge, c->set->loop, &r);
    /* A short body often comes with its head: then one step does it all. */
    if (c->receive == GW_RECEIVE_HOLD && !c->chunked && !c->expects && gw_inbuf_len(&c->in) >= c->body_left) {
        c->receive = GW_RECEIVE_BODY;
        gw_conn_input_body(c);
    }
    gw_exchange_go(c->x);
    if (!gw_exchange_reply(c->x))
        gw_timer_start(c->set->loop, &c->space, LIMIT_KEEPALIVE_SPACE_MS);
}

void gw_conn_start_request(struct gw_conn *c)
{
    const struct gw_conn_options *o = c->set->options;
    const struct gw_parsed *p = &c->set->parsed;
    bool has_body = p->chunked || p->content_length > 0;
    gw_request_id(c->request_id);
    c->phase = GW_PHASE_REQUEST;
    c->served = true;
    c->early = false;
    c->minor_version = p->head.minor_version;
    c->is_head = str_is(p->head.method, "HEAD");
    c->keep_alive = p->keep_alive;
    c->chunked = p->chunked;
    c->coding = gw_chunked_make();
    c->body_left = has_body && !p->chunked ? (uint64_t)p->content_length : 0;
    c->receive = has_body ? GW_RECEIVE_HOLD : GW_RECEIVE_DONE;
    c->expects = p->expect_continue;
    c->outcome = (struct gw_outcome){0};
    c->start_ns = clock_mono_ns();
    c->times = GW_TIMES_NOTHING; /* what ran was for the head */

    if (o->proxies_only && !gw_proxies_has(o->proxies, c->peer)) {
        gw_inbuf_consume(&c->in, p->size);
        gw_stats_foreign(o->bridge->stats);
        gw_conn_fault(c, GW_FAULT_FOREIGN);
        return;
    }
    struct gw_answer own;
    struct gw_inbuf head_bytes;
    if (o->answer && o->answer(o->data, &p->head, &own)) {
        gw_inbuf_consume(&c->in, p->size);
        answer(c, own.status, own.content_type, own.body, false);
        return;
    }
    CHECK(!o->answers_all);
    if (gw_workers_busy(o->bridge->workers) || !gw_inbuf_split(&c->in, o->bridge->chunks, p->size, &head_bytes)) {
        gw_inbuf_consume(&c->in, p->size);
        gw_stats_rejected(o->bridge->stats);
        gw_conn_fault(c, GW_FAULT_BUSY);
        return;
    }
    start_exchange(c, p, &head_bytes);
}

static void await_request(struct gw_conn *c)
{
    c->phase = GW_PHASE_HEAD;
    c->send = GW_SEND_NOTHING;
    c->seen = 0;
    if (gw_inbuf_len(&c->in) == 0)
        gw_inbuf_free(&c->in, c->set->options->bridge->chunks);
}

/* The answer is out. */
static void answer_done(struct gw_conn *c)
{
    end_exchange(c);
    gw_conn_output_reset(c);
    c->send = GW_SEND_DONE;
    c->drained = 0;
    bool unread = c->receive != GW_RECEIVE_DONE;
    if (c->keep_alive && !unread) {
        await_request(c);
        return;
    }
    /* Bytes that are still unread when a socket is closed make the kernel reset it, and the peer lose the answer. */
    c->phase = c->keep_alive ? GW_PHASE_DRAIN : GW_PHASE_LINGER;
    if (!c->keep_alive && !unread && gw_inbuf_len(&c->in) == 0)
        c->phase = GW_PHASE_DEAD;
    if (c->phase == GW_PHASE_LINGER)
        gw_sock_shutdown(c->sock);
}

static void start_linger(struct gw_conn *c)
{
    c->phase = GW_PHASE_LINGER;
    gw_sock_shutdown(c->sock);
}

/* Phases */

static void update_receive(struct gw_conn *c)
{
    if (c->x && c->receive == GW_RECEIVE_HOLD && c->send == GW_SEND_NOTHING &&
        gw_exchange_stage(c->x) == GW_STAGE_BODY) {
        c->receive = GW_RECEIVE_BODY;
        /* Who has begun to send does not wait for leave. */
        if (c->expects && gw_inbuf_len(&c->in) == 0)
            gw_conn_output_continue(c);
        c->expects = false;
    }
    if (c->receive == GW_RECEIVE_BODY)
        gw_conn_input_body(c);
}

static void update_answer(struct gw_conn *c)
{
    const struct gw_reply *r = c->x ? gw_exchange_reply(c->x) : NULL;
    if (!r)
        return;
    if (c->send == GW_SEND_NOTHING)
        gw_conn_output_begin(c, r);
    else if (c->out.source == GW_SOURCE_EARLY)
        gw_conn_output_late(c, r->bytes);
}

/* True when there may be more to do at once. */
static bool run_request(struct gw_conn *c)
{
    update_receive(c);
    if (c->phase != GW_PHASE_REQUEST)
        return true;
    update_answer(c);
    c->writing = false;
    if (c->send == GW_SEND_NOTHING)
        return false;
    switch (gw_conn_output_run(c)) {
    case GW_PROGRESS_BROKEN:
        gw_conn_die(c);
        return true;
    case GW_PROGRESS_SOCKET:
        c->writing = true;
        gw_sock_watch_write(c->sock);
        return false;
    case GW_PROGRESS_EXCHANGE:
        return false;
    case GW_PROGRESS_DONE:
        break;
    }
    if (c->send == GW_SEND_INTERIM)
        c->send = GW_SEND_NOTHING;
    else
        answer_done(c);
    return true;
}

static bool run_drain(struct gw_conn *c)
{
    if (!gw_conn_input_drop(c))
        start_linger(c);
    else if (c->receive == GW_RECEIVE_DONE)
        await_request(c);
    return c->phase != GW_PHASE_DRAIN;
}

static bool run_linger(struct gw_conn *c)
{
    if (!gw_conn_input_linger(c))
        c->phase = GW_PHASE_DEAD;
    return c->phase == GW_PHASE_DEAD;
}

/* Waiting */

static bool wants_read(const struct gw_conn *c)
{
    switch (c->phase) {
    case GW_PHASE_HEAD:
    case GW_PHASE_DRAIN:
        return true;
    case GW_PHASE_LINGER:
        return c->drained <= LIMIT_DRAIN_BYTES;
    case GW_PHASE_REQUEST:
        if (c->receive == GW_RECEIVE_BODY)
            return !c->blocked;
        /* Nothing is wanted; but taking the watch off costs a system call, so that waits until something comes. */
        return c->watching && !c->readable;
    case GW_PHASE_DEAD:
        break;
    }
    return false;
}

static enum gw_times what_to_time(const struct gw_conn *c)
{
    switch (c->phase) {
    case GW_PHASE_HEAD:
        return gw_inbuf_len(&c->in) == 0 ? GW_TIMES_IDLENESS : GW_TIMES_HEAD;
    case GW_PHASE_REQUEST:
        return c->writing || (c->receive == GW_RECEIVE_BODY && !c->blocked) ? GW_TIMES_BODY : GW_TIMES_NOTHING;
    case GW_PHASE_DRAIN:
    case GW_PHASE_LINGER:
        return GW_TIMES_GOODBYE;
    case GW_PHASE_DEAD:
        break;
    }
    return GW_TIMES_NOTHING;
}

static void arm_timer(struct gw_conn *c)
{
    const struct gw_conn_options *o = c->set->options;
    const uint64_t delays_ms[] = {
        /* A connection that never sent anything has a head's time for it. */
        [GW_TIMES_IDLENESS] = c->served ? o->idle_timeout_ms : o->head_timeout_ms,
        [GW_TIMES_HEAD] = o->head_timeout_ms,
        [GW_TIMES_BODY] = o->body_timeout_ms,
        [GW_TIMES_GOODBYE] = LIMIT_DRAIN_TIMEOUT_MS,
    };
    enum gw_times times = what_to_time(c);
    bool again = times == GW_TIMES_BODY && c->moved; /* the others end whatever comes meanwhile */
    c->moved = false;
    if (times == GW_TIMES_NOTHING)
        gw_timer_stop(&c->timer);
    else if (times != c->times || again)
        gw_timer_start(c->set->loop, &c->timer, delays_ms[times]);
    c->times = times;
}

static void update_idle(struct gw_conn *c)
{
    bool idle = c->phase == GW_PHASE_HEAD && gw_inbuf_len(&c->in) == 0;
    if (!idle)
        list_remove(&c->idle_link);
    else if (list_empty(&c->idle_link))
        list_push_back(&c->set->idle, &c->idle_link);
}

static void run(struct gw_conn *c)
{
    CHECK(gw_loop_is_current(c->set->loop));
    for (bool again = true; again;) {
        switch (c->phase) {
        case GW_PHASE_HEAD:
            again = gw_conn_input_head(c);
            break;
        case GW_PHASE_REQUEST:
            again = run_request(c);
            break;
        case GW_PHASE_DRAIN:
            again = run_drain(c);
            break;
        case GW_PHASE_LINGER:
            again = run_linger(c);
            break;
        case GW_PHASE_DEAD:
            gw_conn_destroy(c);
            return;
        }
    }
    update_idle(c);
    bool watch = wants_read(c);
    if (watch != c->watching)
        gw_sock_watch_read(c->sock, watch);
    c->watching = watch;
    arm_timer(c);
}

/* Events */

static void on_readable(void *owner)
{
    struct gw_conn *c = owner;
    c->readable = true;
    run(c);
}

static void on_timer(struct gw_timer *t)
{
    struct gw_conn *c = container_of(t, struct gw_conn, timer);
    bool answering = c->send == GW_SEND_ANSWER;
    c->times = GW_TIMES_NOTHING;
    if (c->phase == GW_PHASE_HEAD && gw_inbuf_len(&c->in) > 0)
        gw_conn_fault(c, GW_FAULT_TIMEOUT);
    else if (c->phase == GW_PHASE_REQUEST && !answering)
        gw_conn_fault(c, GW_FAULT_TIMEOUT);
    else
        gw_conn_die(c);
    run(c);
}

void gw_conns_add(struct gw_conns *set, int fd, const struct sockaddr_storage *peer)
{
    static const struct gw_sock_events events = {on_readable, on_progress};
    struct gw_conn *c = calloc(1, sizeof(*c));
    CHECK(c != NULL); /* out of memory */
    c->set = set;
    c->peer = gw_peer_text(peer, c->peer_text);
    c->timer.fn = on_timer;
    c->space.fn = on_space;
    list_init(&c->idle_link);
    list_push_back(&set->all, &c->link);
    atomic_fetch_add(set->options->count, 1);
    struct gw_tls *tls = set->options->tls;
    c->sock = gw_sock_new(set->loop, fd, tls ? gw_tls_session_new(tls, fd) : NULL, &events, c);
    run(c);
}
