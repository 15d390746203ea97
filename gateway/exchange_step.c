/* The workers' side of an exchange. A step does one thing after the other (enum todo) until there is nothing to do, or its
 * share of time or bytes is used up; then it queues itself behind the other requests. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/exchange_internal.h"
#include "vfs/vfs.h"

#define STEP_NS 20000000ull

enum todo { TODO_NOTHING, TODO_BEGIN, TODO_FEED, TODO_FINISH, TODO_PUBLISH, TODO_PRODUCE, TODO_FETCH, TODO_END };

/* What next: decided from the shared state, under the lock. */
static enum todo next_todo(const struct gw_exchange *x)
{
    if (x->ended)
        return TODO_NOTHING;
    if (x->closed || !x->op_needed)
        return TODO_END;
    if (!x->op)
        return TODO_BEGIN;
    if (x->state == S3_WORKING)
        return TODO_FINISH;
    if (x->state == S3_BODY && !list_empty(&x->in))
        return TODO_FEED;
    if (x->state == S3_BODY)
        return x->in_end ? TODO_FINISH : TODO_NOTHING;
    if (x->stage != GW_STAGE_REPLY)
        return TODO_PUBLISH;
    if (x->reply.body == GW_REPLY_CHUNKS && !x->out_end && !x->out_failed && !x->out_starved &&
        gw_exchange_out_has_room(x))
        return TODO_PRODUCE;
    return x->fetch_size > 0 && !x->out_failed ? TODO_FETCH : TODO_NOTHING;
}

void gw_exchange_schedule(struct gw_exchange *x)
{
    if (x->scheduled || next_todo(x) == TODO_NOTHING)
        return;
    x->scheduled = true;
    gw_workers_submit(x->bridge->workers, &x->job);
}

/* Calls the connection's progress, soon; several calls become one. */
static void tell_loop(struct gw_exchange *x)
{
    mutex_lock(&x->lock);
    bool post = !x->posted;
    x->posted = true;
    mutex_unlock(&x->lock);
    if (post)
        gw_post(x->loop, &x->message);
}

/* What is done */

static void do_begin(struct gw_exchange *x)
{
    x->op = s3_begin(x->bridge->s3, &x->incoming, x->arena);
    CHECK(x->op != NULL);
    x->state = s3_state(x->op);
    if (x->state != S3_BODY)
        return;
    mutex_lock(&x->lock);
    x->stage = GW_STAGE_BODY;
    bool tell = !x->in_end;
    mutex_unlock(&x->lock);
    if (tell)
        tell_loop(x);
}

static size_t do_feed(struct gw_exchange *x)
{
    struct chunk *chunks[LIMIT_CHUNKS_FED];
    struct str at[LIMIT_CHUNKS_FED];
    uint32_t count = 0;
    mutex_lock(&x->lock);
    for (struct list *link; count < LIMIT_CHUNKS_FED && (link = list_pop_front(&x->in)) != NULL; count++) {
        struct chunk *c = chunks[count] = list_entry(link, struct chunk, link);
        at[count] = str_of(c->data + c->start, chunk_len(c));
    }
    mutex_unlock(&x->lock);

    struct pieces p = pieces_at(at, count);
    x->state = s3_feed(x->op, p);
    for (uint32_t i = 0; i < count; i++)
        gw_chunks_put(x->bridge->chunks, chunks[i]);

    mutex_lock(&x->lock);
    x->in_count -= count;
    bool tell = x->in_blocked;
    x->in_blocked = false;
    mutex_unlock(&x->lock);
    if (tell)
        tell_loop(x);
    return pieces_len(p);
}

static void do_finish(struct gw_exchange *x)
{
    gw_exchange_prepare_early(x);
    x->state = s3_finish(x->op);
    CHECK(x->state != S3_BODY);
}

/* A chunk for the reply, or NULL: then another step comes when there is one. */
static struct chunk *out_chunk(struct gw_exchange *x)
{
    mutex_lock(&x->lock);
    struct chunk *c = x->out_spare;
    x->out_spare = NULL;
    x->out_starved = !c;
    mutex_unlock(&x->lock);
    if (c)
        return c;
    c = gw_chunks_get(x->bridge->chunks, &x->out_waiter);
    if (!c)
        return NULL;
    mutex_lock(&x->lock);
    x->out_starved = false;
    mutex_unlock(&x->lock);
    return c;
}

/* 1, 0 when that was the end, or a negative errno: -EAGAIN when a chunk is to be filled. */
static int lend(struct gw_exchange *x, struct gw_piece *out)
{
    const struct s3_reply *r = s3_reply(x->op);
    if (r->body != S3_REPLY_FILE)
        return -EAGAIN;
    int rc = vfs_lend(r->file, x->file_next, x->file_left, &out->loan);
    if (rc < 0)
        return rc;
    x->file_next += out->loan.bytes.len;
    x->file_left -= out->loan.bytes.len;
    return x->file_left > 0;
}

/* Fills c: 1, 0 when that was the end, or a negative errno. */
static int fill_chunk(struct gw_exchange *x, struct chunk *c)
{
    const struct s3_reply *r = s3_reply(x->op);
    if (r->body == S3_REPLY_FILE) {
        size_t size = x->file_left < CHUNK_SIZE ? (size_t)x->file_left : CHUNK_SIZE;
        ssize_t got = size > 0 ? vfs_read(r->file, c->data, size, x->file_next) : 0;
        if (got < (ssize_t)size)
            return got < 0 ? (int)got : -EIO; /* cut short under us: the length is promised already */
        c->end = (uint32_t)size;
        x->file_next += size;
        x->file_left -= size;
        return x->file_left > 0;
    }
    while (chunk_room(c) > 0) {
        ssize_t got = s3_produce(x->op, c->data + c->end, chunk_room(c));
        if (got <= 0)
            return (int)got;
        c->end += (uint32_t)got;
    }
    return 1;
}

static size_t do_produce(struct gw_exchange *x)
{
    struct gw_piece piece = {0};
    int rc = lend(x, &piece);
    if (rc == -EAGAIN) {
        piece.chunk = out_chunk(x);
        if (!piece.chunk)
            return 0;
        rc = fill_chunk(x, piece.chunk);
    }
    size_t size = rc < 0 ? 0 : gw_piece_bytes(&piece).len;
    mutex_lock(&x->lock);
    x->out_failed = rc < 0;
    x->out_end = rc == 0;
    x->op_needed = rc > 0;
    if (size > 0)
        gw_exchange_out_push(x, &piece);
    bool tell = x->out_blocked;
    x->out_blocked = false;
    mutex_unlock(&x->lock);
    if (size == 0)
        gw_piece_done(&piece, x->bridge->chunks);
    if (rc < 0)
        log_warn("reply_cut", "request_id=%.*s error=%d", STR_ARG(x->incoming.request_id), -rc);
    if (tell)
        tell_loop(x);
    return size;
}

/* Reads the window, so that it is in memory, and starts the kernel on the next one. */
static int fetch(int fd, uint64_t from, size_t size)
{
    char scratch[16 * 1024];
    (void)readahead(fd, (off_t)from, 2 * (size_t)GW_WINDOW_BYTES); /* an optimisation */
    for (size_t done = 0; done < size;) {
        size_t want = size - done < sizeof(scratch) ? size - done : sizeof(scratch);
        ssize_t got = pread(fd, scratch, want, (off_t)(from + done));
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0)
            return 0; /* cut short: the loop's sendfile finds the same */
        done += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static size_t do_fetch(struct gw_exchange *x)
{
    mutex_lock(&x->lock);
    uint64_t from = x->fetch_from;
    size_t size = x->fetch_size;
    mutex_unlock(&x->lock);
    int rc = fetch(x->reply.fd, from, size);
    mutex_lock(&x->lock);
    x->fetch_size = 0;
    x->out_failed = rc < 0;
    x->warm_from = from;
    x->warm_until = from + size;
    mutex_unlock(&x->lock);
    if (rc < 0)
        log_warn("reply_cut", "request_id=%.*s error=%d", STR_ARG(x->incoming.request_id), -rc);
    tell_loop(x);
    return size;
}

static void end_op(struct gw_exchange *x)
{
    if (!x->op)
        return;
    gw_exchange_describe(x);
    s3_end(x->op);
    x->op = NULL;
}

static void do_end(struct gw_exchange *x)
{
    end_op(x);
    mutex_lock(&x->lock);
    x->ended = true;
    mutex_unlock(&x->lock);
}

/* What has been said in full is ended first: the loop then hears of both at once, and a client that asks for more finds what it held
 * given back. An upload that failed may leave a large file to remove, which is not to keep the answer waiting. */
static void do_publish(struct gw_exchange *x)
{
    gw_exchange_publish(x);
    bool has_failed_body = x->incoming.has_body && x->reply.status >= 400;
    if (x->op_needed || has_failed_body) {
        tell_loop(x);
        return;
    }
    end_op(x);
    mutex_lock(&x->lock);
    x->ended = x->untold = true;
    mutex_unlock(&x->lock);
}

/* Returns the body bytes that went through. */
static size_t do_one(struct gw_exchange *x, enum todo todo)
{
    switch (todo) {
    case TODO_BEGIN:
        do_begin(x);
        return 0;
    case TODO_FEED:
        return do_feed(x);
    case TODO_FINISH:
        do_finish(x);
        return 0;
    case TODO_PUBLISH:
        do_publish(x);
        return 0;
    case TODO_PRODUCE:
        return do_produce(x);
    case TODO_FETCH:
        return do_fetch(x);
    case TODO_END:
        do_end(x);
        return 0;
    case TODO_NOTHING:
        break;
    }
    CHECK(todo != TODO_NOTHING);
    return 0;
}

/* Nothing to do: the loop will schedule the next step. It waits for this one when it has closed the exchange meanwhile. The
 * exchange may be freed as soon as the lock is released, or the message is posted. */
static bool leave(struct gw_exchange *x, enum todo *out_todo)
{
    mutex_lock(&x->lock);
    *out_todo = next_todo(x);
    if (*out_todo != TODO_NOTHING) {
        mutex_unlock(&x->lock);
        return false;
    }
    x->scheduled = false;
    bool post = (x->closed || x->untold) && !x->posted;
    x->posted = x->posted || post;
    x->untold = false;
    struct gw_loop *loop = x->loop;
    mutex_unlock(&x->lock);
    if (post)
        gw_post(loop, &x->message);
    return true;
}

/* Most small reads of what is in memory end here: handing them to a worker and back would take longer than doing them. */
bool gw_exchange_try_quick(struct gw_exchange *x)
{
    CHECK(gw_loop_is_current(x->loop));
    bool is_read = str_is(x->head.method, "GET") || str_is(x->head.method, "HEAD");
    if (!is_read || x->incoming.has_body)
        return false;
    x->op = s3_begin_quick(x->bridge->s3, &x->incoming, x->arena);
    if (!x->op)
        return false;
    x->state = s3_state(x->op);
    gw_exchange_publish(x);
    bool ends = !x->op_needed;
    if (ends)
        end_op(x);
    mutex_lock(&x->lock);
    x->ended = ends;
    x->scheduled = false;
    gw_exchange_schedule(x);
    mutex_unlock(&x->lock);
    return true;
}

void gw_exchange_end_quick(struct gw_exchange *x)
{
    if (x->op && s3_may_end_quick(x->op))
        do_end(x);
}

void gw_exchange_step(struct gw_job *job, uint64_t waited_ns)
{
    struct gw_exchange *x = container_of(job, struct gw_exchange, job);
    CHECK(gw_worker_is_current());
    x->queue_ns += waited_ns;
    uint64_t until_ns = clock_mono_ns() + STEP_NS;
    size_t bytes = 0;
    for (enum todo todo; !leave(x, &todo);) {
        /* Others wait too; but what is decided is said, and what is over is ended, before they have their turn. */
        bool quick = todo == TODO_PUBLISH || todo == TODO_END;
        if (!quick && (bytes >= LIMIT_STEP_BYTES || clock_mono_ns() >= until_ns)) {
            gw_workers_submit(x->bridge->workers, &x->job);
            return;
        }
        bytes += do_one(x, todo);
    }
}
