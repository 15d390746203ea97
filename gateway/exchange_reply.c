/* From the engine's reply to the exchange's: header lines as bytes, and how the body will be sent. On a worker. */
#include <errno.h>

#include "base/check.h"
#include "base/log.h"
#include "gateway/exchange_internal.h"
#include "gateway/http_write.h"
#include "vfs/vfs.h"

/* Bodies up to this size are copied, so that the operation can end before they are sent. */
#define COPY_BYTES_MAX (16 * 1024)
#define HEADERS_BYTES_MAX (256 * 1024)

static bool has_header(const struct s3_reply *r, struct str name)
{
    for (size_t i = 0; i < r->header_count; i++) {
        if (str_eq_nocase(r->headers[i].name, name))
            return true;
    }
    return false;
}

static struct str header_lines(struct gw_exchange *x, const struct s3_reply *r)
{
    size_t size = 1 + gw_header_size(STR("x-amz-request-id"), x->incoming.request_id) +
                  gw_header_size(STR("x-amz-id-2"), x->incoming.host_id);
    for (size_t i = 0; i < r->header_count; i++)
        size += gw_header_size(r->headers[i].name, r->headers[i].value);
    CHECK(size <= HEADERS_BYTES_MAX); /* header values come from limited inputs */
    struct buf lines = buf_over(arena_alloc(x->arena, size), size);
    for (size_t i = 0; i < r->header_count; i++)
        gw_header_write(&lines, r->headers[i].name, r->headers[i].value);
    if (!has_header(r, STR("x-amz-request-id")))
        gw_header_write(&lines, STR("x-amz-request-id"), x->incoming.request_id);
    if (!has_header(r, STR("x-amz-id-2")))
        gw_header_write(&lines, STR("x-amz-id-2"), x->incoming.host_id);
    CHECK(!lines.failed);
    return buf_str(&lines);
}

void gw_exchange_describe(struct gw_exchange *x)
{
    if (x->info.known)
        return;
    struct s3_op_info info;
    s3_op_describe(x->op, &info);
    x->info = (struct gw_exchange_info){
        .known = true,
        .operation = info.operation,
        .error_code = info.error_code,
        .auth = info.auth,
        .signature = info.signature,
        .user = arena_dup(x->arena, info.user),
        .access_key = arena_dup(x->arena, info.access_key),
        .bucket = arena_dup(x->arena, info.bucket),
        .key = arena_dup(x->arena, info.key),
    };
    if (info.cause)
        log_warn("request_failed", "request_id=%.*s op=%s code=%s cause=\"%s\"", STR_ARG(x->incoming.request_id),
                 info.operation, info.error_code ? info.error_code : "-", info.cause);
}

/* Bodies */

static void take_bytes(struct gw_exchange *x, struct str bytes, struct gw_reply *out, bool *out_needs_op)
{
    out->body = GW_REPLY_BYTES;
    out->length = (int64_t)bytes.len;
    *out_needs_op = bytes.len > COPY_BYTES_MAX;
    out->bytes = *out_needs_op ? bytes : arena_dup(x->arena, bytes);
}

static bool is_head(const struct gw_exchange *x)
{
    return str_is(x->head.method, "HEAD");
}

/* Does the body begin with bytes that are read before the head is sent? All of a small file, so that one write sends both. Of a
 * file that is far away, the first piece: so that an error of its store is still an error's status, not a reply cut short. */
static bool is_read_first(const struct gw_exchange *x, const struct s3_reply *r)
{
    if (r->body != S3_REPLY_FILE || r->length == 0 || is_head(x))
        return false;
    return r->length <= CHUNK_SIZE || vfs_file_fd(r->file) < 0;
}

/* The bytes read, or negative errno: -EAGAIN when they are to be had later. */
static ssize_t read_chunk(struct gw_exchange *x, const struct s3_reply *r, struct gw_piece *out)
{
    out->chunk = gw_chunks_try(x->bridge->chunks);
    if (!out->chunk)
        return -EAGAIN;
    size_t size = r->length < CHUNK_SIZE ? (size_t)r->length : CHUNK_SIZE;
    bool may_wait = gw_worker_is_current();
    ssize_t got = may_wait ? vfs_read(r->file, out->chunk->data, size, r->file_offset)
                           : vfs_read_nowait(r->file, out->chunk->data, size, r->file_offset);
    if (got == (ssize_t)size) {
        out->chunk->end = (uint32_t)size;
        return got;
    }
    gw_piece_done(out, x->bridge->chunks);
    return got < 0 && may_wait ? got : -EAGAIN;
}

static ssize_t lend(const struct s3_reply *r, struct gw_piece *out)
{
    if (r->length <= CHUNK_SIZE || !gw_worker_is_current())
        return -EAGAIN;
    int rc = vfs_lend(r->file, r->file_offset, (uint64_t)r->length, &out->loan);
    return rc < 0 ? rc : (ssize_t)out->loan.bytes.len;
}

/* Negative errno: the file cannot be read. 0: what cannot be had now for other reasons is read later. Else `out` has bytes. */
static int read_first(struct gw_exchange *x, const struct s3_reply *r, struct gw_piece *out)
{
    if (!is_read_first(x, r))
        return 0;
    ssize_t got = lend(r, out);
    if (got == -EAGAIN)
        got = read_chunk(x, r, out);
    if (got < 0)
        return got == -EAGAIN ? 0 : (int)got;
    x->file_next = r->file_offset + (uint64_t)got;
    x->file_left = (uint64_t)r->length - (uint64_t)got;
    return 1;
}

static void take_file(struct gw_exchange *x, const struct s3_reply *r, bool has_first, struct gw_reply *out, bool *out_needs_op)
{
    CHECK(r->length >= 0);
    *out_needs_op = false;
    if (r->length == 0) {
        out->body = GW_REPLY_NONE;
        return;
    }
    out->body = GW_REPLY_CHUNKS;
    if (has_first) {
        *out_needs_op = x->file_left > 0;
        return;
    }
    *out_needs_op = true;
    int fd = x->sends_files ? vfs_file_fd(r->file) : -ENOTSUP;
    if (fd >= 0)
        out->body = GW_REPLY_FILE;
    out->fd = fd;
    out->offset = x->file_next = r->file_offset;
    x->file_left = (uint64_t)r->length;
}

static void take_body(struct gw_exchange *x, const struct s3_reply *r, bool has_first, struct gw_reply *out, bool *out_needs_op)
{
    *out_needs_op = false;
    out->length = r->length;
    if (is_head(x)) {
        out->body = GW_REPLY_NONE;
        if (r->body == S3_REPLY_BYTES)
            out->length = (int64_t)r->bytes.len;
        return;
    }
    switch (r->body) {
    case S3_REPLY_NONE:
        out->body = GW_REPLY_NONE;
        out->length = 0;
        return;
    case S3_REPLY_BYTES:
        take_bytes(x, r->bytes, out, out_needs_op);
        return;
    case S3_REPLY_FILE:
        take_file(x, r, has_first, out, out_needs_op);
        return;
    case S3_REPLY_STREAM:
        out->body = GW_REPLY_CHUNKS;
        *out_needs_op = true;
        return;
    }
}

/* From here on the loop waits for the reply itself. True: it has sent the early one. */
static bool end_early(struct gw_exchange *x)
{
    mutex_lock(&x->lock);
    bool taken = x->early_taken;
    x->early_ready = false;
    mutex_unlock(&x->lock);
    return taken;
}

void gw_exchange_publish(struct gw_exchange *x)
{
    struct gw_piece first = {0};
    bool late = x->early_asked && end_early(x);
    int read = late ? 0 : read_first(x, s3_reply(x->op), &first);
    if (read < 0)
        s3_reply_unreadable(x->op, read);
    gw_exchange_describe(x);
    struct gw_reply reply = {.fd = -1};
    bool needs_op = false;
    if (late) {
        reply.status = x->early.status;
        take_bytes(x, s3_late_bytes(x->op), &reply, &needs_op);
    } else {
        const struct s3_reply *r = s3_reply(x->op);
        reply.status = r->status;
        reply.close = r->close;
        reply.headers = header_lines(x, r);
        take_body(x, r, read > 0, &reply, &needs_op);
    }

    mutex_lock(&x->lock);
    if (read > 0) {
        gw_exchange_out_push(x, &first);
        x->out_end = x->file_left == 0;
    }
    x->reply = reply;
    x->op_needed = needs_op;
    x->stage = GW_STAGE_REPLY;
    mutex_unlock(&x->lock);
}

void gw_exchange_prepare_early(struct gw_exchange *x)
{
    /* HTTP/1.0 has no coding for a body of unknown length, and HEAD has no body to put an error into. */
    if (x->early_asked || !s3_may_answer_early(x->op) || x->head.minor_version == 0 || is_head(x))
        return;
    x->early_asked = true;
    const struct s3_reply *r = s3_early_reply(x->op);
    struct gw_reply early = {.status = r->status, .fd = -1, .length = -1, .body = GW_REPLY_BYTES};
    early.headers = header_lines(x, r);
    early.bytes = arena_dup(x->arena, r->bytes);
    mutex_lock(&x->lock);
    x->early = early;
    x->early_ready = true;
    mutex_unlock(&x->lock);
}
