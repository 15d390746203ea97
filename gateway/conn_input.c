/* Receiving: heads into the connection's buffer, bodies straight into the exchange's chunks. */
#include <errno.h>

#include "base/check.h"
#include "gateway/chunks.h"
#include "gateway/conn_internal.h"

#define SCRATCH_BYTES (16 * 1024)

static struct gw_chunks *chunks_of(const struct gw_conn *c)
{
    return c->set->options->bridge->chunks;
}

/* As gw_sock_read, for this event's one read. */
static ssize_t read_once(struct gw_conn *c, void *out, size_t size)
{
    if (!c->readable)
        return -EAGAIN;
    c->readable = false;
    ssize_t got = gw_sock_read(c->sock, out, size);
    c->moved = c->moved || got > 0;
    return got;
}

/* Heads */

/* True when the head is complete, or wrong. */
static bool parse(struct gw_conn *c)
{
    struct str bytes = gw_inbuf_str(&c->in);
    if (bytes.len <= c->seen)
        return false;
    enum gw_fault fault;
    switch (gw_http_parse(bytes.ptr, bytes.len, c->seen, &c->set->parsed, &fault)) {
    case GW_PARSE_DONE:
        gw_conn_start_request(c);
        return true;
    case GW_PARSE_FAULT:
        gw_conn_fault(c, fault);
        return true;
    case GW_PARSE_MORE:
        break;
    }
    c->seen = bytes.len;
    return false;
}

bool gw_conn_input_head(struct gw_conn *c)
{
    while (!parse(c)) {
        size_t size = 0;
        if (!c->readable)
            return false;
        char *room = gw_inbuf_room(&c->in, chunks_of(c), &size);
        if (!room) {
            gw_conn_fault(c, GW_FAULT_BUSY); /* a large head, and no memory for it */
            return true;
        }
        ssize_t got = read_once(c, room, size);
        if (got == -EAGAIN)
            return false;
        if (got <= 0) {
            gw_conn_die(c);
            return true;
        }
        gw_inbuf_extend(&c->in, (size_t)got);
    }
    return true;
}

/* Bodies */

/* Raw bytes to out: from the buffer as long as it has any, else from the socket. */
static ssize_t take(struct gw_conn *c, char *out, size_t size)
{
    if (!c->chunked && size > c->body_left)
        size = (size_t)c->body_left;
    struct str buffered = str_first(gw_inbuf_str(&c->in), size);
    if (buffered.len == 0)
        return read_once(c, out, size);
    memcpy(out, buffered.ptr, buffered.len);
    gw_inbuf_consume(&c->in, buffered.len);
    return (ssize_t)buffered.len;
}

/* What was taken too much belongs to the next request. Without memory for it there is none. */
static void give_back(struct gw_conn *c, struct str bytes)
{
    if (bytes.len == 0)
        return;
    /* Still at its old place when it came from the buffer. */
    if (c->in.start >= bytes.len && memcmp(c->in.bytes + c->in.start - bytes.len, bytes.ptr, bytes.len) == 0)
        c->in.start -= bytes.len;
    else if (!gw_inbuf_add(&c->in, chunks_of(c), bytes))
        c->keep_alive = false;
}

/* Takes the framing off bytes[0, size): returns the bytes of data, now in front, or -EBADMSG, -EMSGSIZE. */
static ssize_t decode(struct gw_conn *c, char *bytes, size_t size)
{
    if (!c->chunked) {
        c->body_left -= size;
        if (c->body_left == 0)
            c->receive = GW_RECEIVE_DONE;
        return (ssize_t)size;
    }
    size_t len = size, used = 0;
    int rc = gw_chunked_decode(&c->coding, bytes, &len, &used);
    if (rc < 0)
        return rc;
    give_back(c, str_of(bytes + used, size - used));
    if (gw_chunked_ended(&c->coding))
        c->receive = GW_RECEIVE_DONE;
    return (ssize_t)len;
}

/* One piece of the body into the chunk. False when there will be no more for now. */
static bool receive(struct gw_conn *c, struct chunk *chunk)
{
    ssize_t got = take(c, chunk->data, CHUNK_SIZE);
    ssize_t len = got > 0 ? decode(c, chunk->data, (size_t)got) : 0;
    if (len > 0)
        chunk->end = (uint32_t)len;
    c->outcome.bytes_in += chunk_len(chunk);
    gw_exchange_in_give(c->x, chunk);
    if (got == 0)
        gw_conn_fault(c, GW_FAULT_INCOMPLETE); /* half-closed: the peer may still read */
    else if (got < 0 && got != -EAGAIN)
        gw_conn_die(c);
    else if (len < 0)
        gw_conn_fault(c, GW_FAULT_CHUNKED);
    return got > 0 && len >= 0;
}

void gw_conn_input_body(struct gw_conn *c)
{
    while (c->receive == GW_RECEIVE_BODY) {
        /* A chunk is taken when there is something to put into it. */
        c->blocked = false;
        if (!c->readable && gw_inbuf_len(&c->in) == 0)
            return;
        struct chunk *chunk = gw_exchange_in_chunk(c->x);
        c->blocked = !chunk;
        if (!chunk || !receive(c, chunk))
            return;
    }
    gw_exchange_in_end(c->x);
}

bool gw_conn_input_drop(struct gw_conn *c)
{
    char scratch[SCRATCH_BYTES];
    while (c->receive != GW_RECEIVE_DONE) {
        ssize_t got = take(c, scratch, sizeof(scratch));
        if (got == -EAGAIN)
            return true;
        if (got <= 0 || decode(c, scratch, (size_t)got) < 0)
            return false;
        c->drained += (uint64_t)got;
        if (c->drained > LIMIT_DRAIN_BYTES)
            return false;
    }
    return true;
}

bool gw_conn_input_linger(struct gw_conn *c)
{
    char scratch[SCRATCH_BYTES];
    if (c->drained > LIMIT_DRAIN_BYTES)
        return true;
    ssize_t got = read_once(c, scratch, sizeof(scratch));
    if (got > 0)
        c->drained += (uint64_t)got;
    return got > 0 || got == -EAGAIN;
}
