/* The loop's side of an exchange, and its life: a step may be queued or running on a worker while the loop goes on. Memory
 * is freed by the loop when nobody can come back: closed, ended, no step, no message, no wait for a chunk under way. */
#include "gateway/exchange.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/random.h"
#include "gateway/access_log.h"
#include "gateway/exchange_internal.h"
#include "gateway/stats.h"

void gw_request_id(char out[GW_REQUEST_ID_LEN])
{
    static const char digits[] = "0123456789ABCDEF";
    uint64_t id = random_u64();
    for (size_t i = 0; i < GW_REQUEST_ID_LEN; i++, id >>= 4)
        out[i] = digits[id & 15];
}

/* The end of life */

static void put_all(struct gw_exchange *x, struct list *chunks)
{
    for (struct list *link; (link = list_pop_front(chunks)) != NULL;)
        gw_chunks_put(x->bridge->chunks, list_entry(link, struct chunk, link));
}

static void log_request(const struct gw_exchange *x)
{
    const struct gw_outcome *o = &x->outcome;
    const char *code = o->error_code ? o->error_code : x->info.error_code;
    struct gw_stats_request counted = {
        .operation = x->info.operation,
        .error_code = code,
        .status = o->status,
        .bytes_in = o->bytes_in,
        .bytes_out = o->bytes_out,
        .total_ns = x->total_ns,
        .ttfb_ns = o->ttfb_ns,
    };
    gw_stats_add(x->bridge->stats, &counted);
    if (!x->bridge->access_log)
        return;
    struct gw_access line = {
        .start_wall_ns = x->start_wall_ns,
        .request_id = x->incoming.request_id,
        .remote = x->incoming.peer_address,
        .user = x->info.user,
        .access_key = x->info.access_key,
        .operation = x->info.operation,
        .auth = x->info.auth,
        .signature = x->info.signature,
        .tls = x->tls_version,
        .bucket = x->info.bucket,
        .key = x->info.key,
        .method = x->head.method,
        .target = x->head.target,
        .status = o->status,
        .s3_code = code,
        .aborted = o->aborted,
        .bytes_in = o->bytes_in,
        .bytes_out = o->bytes_out,
        .total_us = x->total_ns / 1000,
        .ttfb_us = o->ttfb_ns / 1000,
        .queue_us = x->queue_ns / 1000,
        .user_agent = http_get(&x->head, "user-agent"),
        .referer = http_get(&x->head, "referer"),
    };
    gw_access_log_add(x->bridge->access_log, &line);
}

/* The lock is held. */
static bool is_over(const struct gw_exchange *x)
{
    return x->closed && x->ended && !x->scheduled && !x->posted && !x->out_starved && !x->in_waiting;
}

static void exchange_free(struct gw_exchange *x)
{
    log_request(x);
    put_all(x, &x->in);
    for (struct gw_piece *p; (p = gw_exchange_out_pop(x)) != NULL;)
        gw_piece_done(p, x->bridge->chunks);
    if (x->in_spare)
        gw_chunks_put(x->bridge->chunks, x->in_spare);
    if (x->out_spare)
        gw_chunks_put(x->bridge->chunks, x->out_spare);
    gw_inbuf_free(&x->head_bytes, x->bridge->chunks);
    arena_free(x->arena);
    mutex_done(&x->lock);
    atomic_fetch_sub(x->bridge->in_flight, 1);
    free(x);
}

static void free_if_over(struct gw_exchange *x)
{
    CHECK(gw_loop_is_current(x->loop));
    mutex_lock(&x->lock);
    bool over = is_over(x);
    mutex_unlock(&x->lock);
    if (over)
        exchange_free(x);
}

void gw_exchange_end(struct gw_exchange *x, const struct gw_outcome *o)
{
    CHECK(gw_loop_is_current(x->loop));
    x->outcome = *o;
    x->total_ns = clock_mono_ns() - x->start_ns;
    x->owner = NULL;
    mutex_lock(&x->lock);
    CHECK(!x->closed);
    x->closed = true;
    bool over = is_over(x), idle = !x->scheduled && !x->ended;
    mutex_unlock(&x->lock);
    if (over) {
        exchange_free(x);
        return;
    }
    if (idle)
        gw_exchange_end_quick(x);
    mutex_lock(&x->lock);
    gw_exchange_schedule(x);
    mutex_unlock(&x->lock);
    free_if_over(x);
}

/* Messages from steps and from the chunk pool */

static void on_message(struct gw_message *m)
{
    struct gw_exchange *x = container_of(m, struct gw_exchange, message);
    mutex_lock(&x->lock);
    x->posted = false;
    mutex_unlock(&x->lock);
    if (x->owner)
        x->progress(x->owner);
    else
        free_if_over(x);
}

static void on_in_chunk(struct gw_chunk_waiter *w, struct chunk *c)
{
    struct gw_exchange *x = container_of(w, struct gw_exchange, in_waiter);
    x->in_waiting = false;
    x->in_spare = c;
    if (x->owner)
        x->progress(x->owner);
    else
        free_if_over(x);
}

static void on_out_chunk(struct gw_chunk_waiter *w, struct chunk *c)
{
    struct gw_exchange *x = container_of(w, struct gw_exchange, out_waiter);
    mutex_lock(&x->lock);
    x->out_starved = false;
    x->out_spare = c;
    gw_exchange_schedule(x);
    mutex_unlock(&x->lock);
    if (!x->owner)
        free_if_over(x);
}

/* The beginning */

struct gw_exchange *gw_exchange_new(const struct gw_bridge *bridge, struct gw_loop *loop, const struct gw_request *r)
{
    CHECK(gw_loop_is_current(loop));
    struct gw_exchange *x = calloc(1, sizeof(*x));
    CHECK(x != NULL); /* out of memory */
    x->bridge = bridge;
    x->loop = loop;
    x->arena = arena_new();
    x->head_bytes = r->head_bytes;
    x->start_ns = clock_mono_ns();
    x->start_wall_ns = clock_wall_ns();
    x->tls_version = r->tls_version;
    x->sends_files = r->sends_files;
    x->progress = r->progress;
    x->owner = r->owner;
    x->op_needed = true;

    const struct http_head *h = &r->parsed->head;
    x->head.method = h->method;
    x->head.target = h->target;
    x->head.minor_version = h->minor_version;
    x->head.header_count = h->header_count;
    memcpy(x->head.headers, h->headers, h->header_count * sizeof(h->headers[0]));
    x->incoming = (struct s3_incoming){
        .head = &x->head,
        .request_id = arena_dup(x->arena, r->request_id),
        .host_id = bridge->host_id,
        .peer_address = arena_dup(x->arena, r->remote),
        .tls = r->tls_version,
        .has_body = r->parsed->chunked || r->parsed->content_length > 0,
        .content_length = r->parsed->content_length,
    };
    x->in_end = !x->incoming.has_body;

    mutex_init(&x->lock);
    list_init(&x->in);
    x->job.run = gw_exchange_step;
    x->message.run = on_message;
    x->in_waiter.loop = x->out_waiter.loop = loop;
    x->in_waiter.got = on_in_chunk;
    x->out_waiter.got = on_out_chunk;
    x->scheduled = true; /* by gw_exchange_go */
    atomic_fetch_add(bridge->in_flight, 1);
    return x;
}

void gw_exchange_go(struct gw_exchange *x)
{
    CHECK(gw_loop_is_current(x->loop));
    if (!gw_exchange_try_quick(x))
        gw_workers_submit(x->bridge->workers, &x->job);
}

enum gw_stage gw_exchange_stage(struct gw_exchange *x)
{
    return atomic_load(&x->stage);
}

/* The request's body */

struct chunk *gw_exchange_in_chunk(struct gw_exchange *x)
{
    CHECK(gw_loop_is_current(x->loop));
    if (x->in_waiting)
        return NULL;
    mutex_lock(&x->lock);
    x->in_blocked = x->in_count >= gw_chunks_share(x->bridge->chunks, LIMIT_CHUNKS_IN);
    bool full = x->in_blocked;
    mutex_unlock(&x->lock);
    if (full)
        return NULL;
    struct chunk *c = x->in_spare;
    x->in_spare = NULL;
    if (!c)
        c = gw_chunks_get(x->bridge->chunks, &x->in_waiter);
    x->in_waiting = !c;
    return c;
}

void gw_exchange_in_give(struct gw_exchange *x, struct chunk *c)
{
    if (chunk_len(c) == 0) {
        gw_chunks_put(x->bridge->chunks, c);
        return;
    }
    mutex_lock(&x->lock);
    CHECK(!x->in_end);
    list_push_back(&x->in, &c->link);
    x->in_count++;
    gw_exchange_schedule(x);
    mutex_unlock(&x->lock);
}

void gw_exchange_in_end(struct gw_exchange *x)
{
    mutex_lock(&x->lock);
    x->in_end = true;
    gw_exchange_schedule(x);
    mutex_unlock(&x->lock);
}

/* The reply */

const struct gw_reply *gw_exchange_reply(struct gw_exchange *x)
{
    return gw_exchange_stage(x) == GW_STAGE_REPLY ? &x->reply : NULL;
}

const struct gw_reply *gw_exchange_early(struct gw_exchange *x)
{
    mutex_lock(&x->lock);
    bool take = x->early_ready && gw_exchange_stage(x) != GW_STAGE_REPLY;
    x->early_taken = x->early_taken || take;
    mutex_unlock(&x->lock);
    return take ? &x->early : NULL;
}

enum gw_next gw_exchange_out_take(struct gw_exchange *x, struct gw_piece *out)
{
    mutex_lock(&x->lock);
    enum gw_next next = GW_NEXT_READY;
    struct gw_piece *p = gw_exchange_out_pop(x);
    if (p)
        *out = *p;
    else if (x->out_failed)
        next = GW_NEXT_FAILED;
    else if (x->out_end)
        next = GW_NEXT_END;
    else
        next = GW_NEXT_WAIT;
    x->out_blocked = next == GW_NEXT_WAIT;
    gw_exchange_schedule(x);
    mutex_unlock(&x->lock);
    return next;
}
