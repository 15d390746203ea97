/* /metrics of a mount: one event loop, as the gateway's admin listener. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "gateway/chunks.h"
#include "gateway/conn.h"
#include "gateway/exchange.h"
#include "gateway/listener.h"
#include "gateway/loop.h"
#include "gateway/mount.h"

#define METRICS_BYTES_MAX (4 * 1024 * 1024)
#define CONNECTIONS_MAX 64
/* For answers that are sent; requests here have no bodies. */
#define CHUNK_MEMORY (8 * CHUNK_SIZE)

struct gw_mount_metrics {
    struct gw_listener *listener;
    struct gw_loop *loop;
    struct gw_bridge bridge;
    struct gw_conn_options options;
    struct gw_conns *conns;
    struct gw_acceptor *acceptor;
    _Atomic uint32_t connections, in_flight;
    struct gw_message message;
    struct mutex lock; /* guards done */
    struct cond wake;
    bool done;
};

static bool answer(void *data, const struct http_head *head, struct gw_answer *out)
{
    (void)data;
    struct str path, query;
    http_split_target(head->target, &path, &query);
    bool known = str_is(path, "/metrics");
    *out = (struct gw_answer){.status = known ? 200 : 404,
                              .content_type = "text/plain; version=0.0.4; charset=utf-8",
                              .body = buf_make(METRICS_BYTES_MAX)};
    if (known)
        metrics_write(&out->body);
    else
        buf_addz(&out->body, "only /metrics is here\n");
    return true;
}

/* Runs fn on the loop and waits for it. */
static void on_loop(struct gw_mount_metrics *m, void (*fn)(struct gw_message *message))
{
    m->done = false;
    m->message.run = fn;
    gw_post(m->loop, &m->message);
    mutex_lock(&m->lock);
    while (!m->done)
        cond_wait(&m->wake, &m->lock);
    mutex_unlock(&m->lock);
}

static void finished(struct gw_mount_metrics *m)
{
    mutex_lock(&m->lock);
    m->done = true;
    cond_signal(&m->wake);
    mutex_unlock(&m->lock);
}

static void accept_on_loop(struct gw_message *message)
{
    struct gw_mount_metrics *m = container_of(message, struct gw_mount_metrics, message);
    const struct gw_acceptor_options how = {
        .loop = m->loop,
        .conns = m->conns,
        .all_conns = &m->conns,
        .loop_count = 1,
        .count = &m->connections,
        .connections_max = CONNECTIONS_MAX,
    };
    m->acceptor = gw_acceptor_new(m->listener, &how);
    finished(m);
}

static void cut_on_loop(struct gw_message *message)
{
    struct gw_mount_metrics *m = container_of(message, struct gw_mount_metrics, message);
    gw_acceptor_free(m->acceptor);
    gw_conns_cut(m->conns);
    finished(m);
}

struct gw_mount_metrics *gw_mount_metrics_start(const char *address)
{
    if (!address || strcmp(address, "off") == 0)
        return NULL;
    CLEANUP(buf_done) struct buf error = buf_make(1024);
    struct gw_listener *listener;
    if (gw_listener_bind(address, 1, &listener, &error) < 0) {
        log_warn("no_metrics", "reason=\"%.*s\"", STR_ARG(str_trim(buf_str(&error))));
        return NULL;
    }
    struct gw_mount_metrics *m = calloc(1, sizeof(*m));
    CHECK(m != NULL); /* out of memory */
    mutex_init(&m->lock);
    cond_init(&m->wake);
    m->listener = listener;
    m->bridge = (struct gw_bridge){.chunks = gw_chunks_new(CHUNK_MEMORY), .in_flight = &m->in_flight};
    m->options = (struct gw_conn_options){
        .bridge = &m->bridge,
        .answer = answer,
        .answers_all = true,
        .head_timeout_ms = LIMIT_HEAD_TIMEOUT_MS,
        .idle_timeout_ms = LIMIT_IDLE_TIMEOUT_MS,
        .body_timeout_ms = LIMIT_BODY_TIMEOUT_MS,
        .count = &m->connections,
    };
    m->loop = gw_loop_start(0);
    m->conns = gw_conns_new(m->loop, &m->options);
    on_loop(m, accept_on_loop);
    log_info("metrics", "address=%s", gw_listener_text(listener));
    return m;
}

void gw_mount_metrics_stop(struct gw_mount_metrics *m)
{
    if (!m)
        return;
    on_loop(m, cut_on_loop);
    gw_loop_stop(m->loop);
    gw_conns_free(m->conns);
    gw_listener_free(m->listener);
    gw_chunks_free(m->bridge.chunks);
    cond_done(&m->wake);
    mutex_done(&m->lock);
    free(m);
}
