/* Sending: the answer is a row of spans that the socket takes as it can, filled up from the body's source. */
#include <errno.h>

#include "base/check.h"
#include "base/clock.h"
#include "gateway/chunks.h"
#include "gateway/conn_internal.h"

/* After this much, which it may write at once, one connection lets the others of its loop have a turn. */
#define TURN_BYTES (1024 * 1024)

/* Spans */

static void add_span(struct gw_output *o, struct str bytes)
{
    if (bytes.len == 0)
        return;
    CHECK(o->count < GW_SPANS_MAX);
    /* writev only reads through the pointer. */
    union {
        const char *in;
        void *out;
    } base = {.in = bytes.ptr};
    o->spans[o->count++] = (struct iovec){base.out, bytes.len};
}

static bool has_spans(const struct gw_output *o)
{
    return o->first < o->count;
}

/* A piece of the body, in the answer's framing. */
static void add_body(struct gw_conn *c, struct str bytes)
{
    struct gw_output *o = &c->out;
    if (bytes.len == 0)
        return;
    if (o->framing == GW_FRAMING_CHUNKED)
        add_span(o, gw_chunked_line(bytes.len, o->line));
    add_span(o, bytes);
    if (o->framing == GW_FRAMING_CHUNKED)
        add_span(o, GW_CHUNKED_AFTER);
    o->body_bytes += bytes.len;
}

static void end_body(struct gw_output *o)
{
    o->body_ended = true;
    if (o->framing == GW_FRAMING_CHUNKED)
        add_span(o, GW_CHUNKED_LAST);
}

static void spans_done(struct gw_conn *c)
{
    struct gw_output *o = &c->out;
    o->first = o->count = 0;
    o->body_bytes = 0;
    if (o->piece_left.len == 0)
        gw_piece_done(&o->piece, c->set->options->bridge->chunks);
}

void gw_conn_output_reset(struct gw_conn *c)
{
    c->out.piece_left = STR_EMPTY;
    spans_done(c);
    c->out.source = GW_SOURCE_NONE;
    c->out.body_ended = false;
}

/* Heads */

void gw_conn_output_continue(struct gw_conn *c)
{
    CHECK(c->send == GW_SEND_NOTHING);
    c->send = GW_SEND_INTERIM;
    add_span(&c->out, GW_CONTINUE);
}

/* A status that never has a body (RFC 9110 §6.4.1). */
static bool is_bodyless(int status)
{
    return status < 200 || status == 204 || status == 304;
}

static enum gw_framing choose_framing(const struct gw_conn *c, const struct gw_reply *r)
{
    if (is_bodyless(r->status) || (c->is_head && r->length < 0))
        return GW_FRAMING_NONE;
    if (r->length >= 0)
        return GW_FRAMING_LENGTH;
    return c->minor_version > 0 ? GW_FRAMING_CHUNKED : GW_FRAMING_CLOSE;
}

/* An unread body is in the way of the next request: it must be short enough to be dropped, and must be sure to come, which
 * it is not when the client waits for a 100 Continue that it will not get. */
static bool is_droppable(const struct gw_conn *c)
{
    if (c->receive == GW_RECEIVE_DONE)
        return true;
    return !c->expects && (c->chunked || c->body_left <= LIMIT_DRAIN_BYTES);
}

/* An empty body that was announced with Expect needs no 100 Continue (RFC 9110 §10.1.1), but botocore wants one: a final
 * status in its place is taken for the status of the connection's next answer too, and that answer is then waited for until
 * the client's timeout. So a success says both, and after anything else the connection ends. */
static void add_late_continue(struct gw_conn *c, int status)
{
    if (!c->expects || c->receive != GW_RECEIVE_DONE)
        return;
    c->expects = false;
    if (status < 300)
        add_span(&c->out, GW_CONTINUE);
    else
        c->keep_alive = false;
}

static void set_source(struct gw_conn *c, const struct gw_reply *r)
{
    struct gw_output *o = &c->out;
    static const enum gw_source sources[] = {
        [GW_REPLY_NONE] = GW_SOURCE_NONE,
        [GW_REPLY_BYTES] = GW_SOURCE_BYTES,
        [GW_REPLY_CHUNKS] = GW_SOURCE_CHUNKS,
        [GW_REPLY_FILE] = GW_SOURCE_FILE,
    };
    bool silent = c->is_head || is_bodyless(r->status);
    o->source = silent ? GW_SOURCE_NONE : sources[r->body];
    if (c->early)
        o->source = GW_SOURCE_EARLY;
    o->bytes = r->bytes;
    o->offset = r->offset;
    o->left = r->length > 0 ? (uint64_t)r->length : 0;
    o->body_ended = o->source == GW_SOURCE_NONE;
}

void gw_conn_output_begin(struct gw_conn *c, const struct gw_reply *r)
{
    CHECK(c->send == GW_SEND_NOTHING);
    struct gw_output *o = &c->out;
    c->send = GW_SEND_ANSWER;
    c->outcome.status = r->status;
    c->outcome.ttfb_ns = clock_mono_ns() - c->start_ns;
    o->framing = choose_framing(c, r);
    add_late_continue(c, r->status);
    c->keep_alive = c->keep_alive && !r->close && !c->set->draining && o->framing != GW_FRAMING_CLOSE && is_droppable(c);
    if (c->receive != GW_RECEIVE_DONE)
        c->receive = GW_RECEIVE_DROP;
    struct gw_head_line line = {
        .status = r->status,
        .minor_version = c->minor_version,
        .date = gw_loop_date(c->set->loop),
        .keep_alive = c->keep_alive,
        .framing = o->framing,
        .length = r->length > 0 ? (uint64_t)r->length : 0,
    };
    add_span(o, str_of(o->head, gw_head_write(&line, o->head)));
    add_span(o, r->headers);
    add_span(o, STR("\r\n"));
    set_source(c, r);
    if (c->early)
        add_body(c, r->bytes);
}

void gw_conn_output_late(struct gw_conn *c, struct str bytes)
{
    CHECK(c->early);
    c->out.source = GW_SOURCE_BYTES;
    c->out.bytes = bytes;
}

void gw_conn_output_space(struct gw_conn *c)
{
    if (!has_spans(&c->out))
        add_body(c, STR(" "));
}

/* Bodies: each puts the next piece in place, or says why not. */

static enum gw_progress fill_bytes(struct gw_conn *c)
{
    struct gw_output *o = &c->out;
    add_body(c, o->bytes);
    o->bytes = STR_EMPTY;
    end_body(o);
    return GW_PROGRESS_DONE;
}

static enum gw_progress take_piece(struct gw_conn *c)
{
    struct gw_output *o = &c->out;
    switch (gw_exchange_out_take(c->x, &o->piece)) {
    case GW_NEXT_WAIT:
        return GW_PROGRESS_EXCHANGE;
    case GW_NEXT_FAILED:
        return GW_PROGRESS_BROKEN;
    case GW_NEXT_END:
        if (o->framing == GW_FRAMING_LENGTH && o->left > 0)
            return GW_PROGRESS_BROKEN; /* less than was promised: never padded */
        end_body(o);
        return GW_PROGRESS_DONE;
    case GW_NEXT_READY:
        break;
    }
    o->piece_left = gw_piece_bytes(&o->piece);
    return GW_PROGRESS_DONE;
}

static enum gw_progress fill_piece(struct gw_conn *c)
{
    struct gw_output *o = &c->out;
    if (o->piece_left.len == 0) {
        enum gw_progress progress = take_piece(c);
        if (progress != GW_PROGRESS_DONE || o->body_ended)
            return progress;
    }
    struct str bytes = str_first(o->piece_left, o->piece_left.len < TURN_BYTES ? o->piece_left.len : TURN_BYTES);
    o->piece_left = str_from(o->piece_left, bytes.len);
    if (o->framing == GW_FRAMING_LENGTH) {
        if (bytes.len > o->left)
            return GW_PROGRESS_BROKEN;
        o->left -= bytes.len;
        o->body_ended = o->left == 0;
    }
    add_body(c, bytes);
    return GW_PROGRESS_DONE;
}

/* Sends by itself: the bytes never come here. */
static enum gw_progress send_file(struct gw_conn *c, size_t *io_turn)
{
    struct gw_output *o = &c->out;
    size_t size = 0;
    const struct gw_reply *r = gw_exchange_reply(c->x);
    switch (gw_exchange_file_window(c->x, o->offset, o->left, &size)) {
    case GW_NEXT_WAIT:
        return GW_PROGRESS_EXCHANGE;
    case GW_NEXT_FAILED:
    case GW_NEXT_END:
        return GW_PROGRESS_BROKEN;
    case GW_NEXT_READY:
        break;
    }
    ssize_t put = gw_sock_sendfile(c->sock, r->fd, o->offset, size);
    if (put == -EAGAIN)
        return GW_PROGRESS_SOCKET;
    if (put <= 0)
        return GW_PROGRESS_BROKEN; /* gone, or the file is shorter now */
    c->moved = true;
    c->outcome.bytes_out += (uint64_t)put;
    o->offset += (uint64_t)put;
    o->left -= (uint64_t)put;
    o->body_ended = o->left == 0;
    *io_turn += (size_t)put;
    return GW_PROGRESS_DONE;
}

static enum gw_progress next_piece(struct gw_conn *c, size_t *io_turn)
{
    switch (c->out.source) {
    case GW_SOURCE_BYTES:
        return fill_bytes(c);
    case GW_SOURCE_CHUNKS:
        return fill_piece(c);
    case GW_SOURCE_FILE:
        return send_file(c, io_turn);
    case GW_SOURCE_EARLY:
        return GW_PROGRESS_EXCHANGE;
    case GW_SOURCE_NONE:
        break;
    }
    CHECK(c->out.body_ended);
    return GW_PROGRESS_DONE;
}

static enum gw_progress write_spans(struct gw_conn *c, size_t *io_turn)
{
    struct gw_output *o = &c->out;
    bool more = !o->body_ended && o->source == GW_SOURCE_FILE;
    ssize_t put = gw_sock_write(c->sock, o->spans + o->first, o->count - o->first, more);
    if (put == -EAGAIN)
        return GW_PROGRESS_SOCKET;
    if (put < 0)
        return GW_PROGRESS_BROKEN;
    c->moved = true;
    *io_turn += (size_t)put;
    for (size_t left = (size_t)put; left > 0;) {
        struct iovec *span = &o->spans[o->first];
        size_t take = left < span->iov_len ? left : span->iov_len;
        span->iov_base = (char *)span->iov_base + take;
        span->iov_len -= take;
        left -= take;
        o->first += span->iov_len == 0;
    }
    if (!has_spans(o)) {
        c->outcome.bytes_out += o->body_bytes;
        spans_done(c);
    }
    return GW_PROGRESS_DONE;
}

/* Head and the first piece of a body that is at hand go out in one write. Not behind an early answer: its piece already uses
 * `line`. */
static bool wants_company(const struct gw_conn *c)
{
    const struct gw_output *o = &c->out;
    return c->send == GW_SEND_ANSWER && !c->early && !o->body_ended && o->body_bytes == 0 && o->first == 0 &&
           (o->source == GW_SOURCE_BYTES || o->source == GW_SOURCE_CHUNKS) && o->count + 4 <= GW_SPANS_MAX;
}

enum gw_progress gw_conn_output_run(struct gw_conn *c)
{
    struct gw_output *o = &c->out;
    size_t turn = 0;
    while (has_spans(o) || (c->send == GW_SEND_ANSWER && !o->body_ended)) {
        if (turn >= TURN_BYTES)
            return GW_PROGRESS_SOCKET;
        enum gw_progress progress;
        if (!has_spans(o))
            progress = next_piece(c, &turn);
        else if (wants_company(c) && next_piece(c, &turn) == GW_PROGRESS_BROKEN)
            progress = GW_PROGRESS_BROKEN;
        else
            progress = write_spans(c, &turn);
        if (progress != GW_PROGRESS_DONE)
            return progress;
    }
    return gw_sock_is_flushed(c->sock) ? GW_PROGRESS_DONE : GW_PROGRESS_SOCKET;
}
