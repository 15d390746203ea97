#include "gateway/stats.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/compiler.h"
#include "base/map.h"
#include "base/metrics.h"

#define LABELS_MAX 128

/* Status codes with a series of their own; the last row stands for all others. */
static const int statuses[] = {0,   200, 204, 206, 301, 304, 307, 400, 403, 404, 405, 408, 409,
                               411, 412, 413, 414, 416, 431, 500, 501, 503, 505, -1};
#define STATUS_COUNT ARRAY_SIZE(statuses)

/* Made when first needed: most operations and combinations never occur, and every series is read at each scrape. */
typedef _Atomic(struct metric *) lazy_metric;

struct operation {
    const char *name;
    lazy_metric seconds, ttfb;
    lazy_metric requests[STATUS_COUNT];
};

struct gw_stats {
    struct operation *operations;
    struct map *by_name; /* read-only after start */
    struct operation *unknown;
    struct metric *received, *sent, *rejected, *foreign;
};

struct gw_stats *gw_stats_new(const char *const *operations)
{
    struct gw_stats *s = calloc(1, sizeof(*s));
    CHECK(s != NULL); /* out of memory */
    size_t count = 0;
    while (operations[count])
        count++;
    s->operations = calloc(count + 1, sizeof(*s->operations));
    CHECK(s->operations != NULL); /* out of memory */
    s->by_name = map_new();
    for (size_t i = 0; i < count; i++) {
        s->operations[i].name = operations[i];
        (void)map_set(s->by_name, str_z(operations[i]), &s->operations[i]);
    }
    s->unknown = map_get(s->by_name, STR("Unknown"));
    if (!s->unknown) {
        s->unknown = &s->operations[count];
        s->unknown->name = "Unknown";
    }
    s->received = metric_get(METRIC_COUNTER, "sluice_received_bytes_total", "", "Bytes of request bodies.");
    s->sent = metric_get(METRIC_COUNTER, "sluice_sent_bytes_total", "", "Bytes of response bodies.");
    s->rejected = metric_get(METRIC_COUNTER, "sluice_requests_rejected_total", "",
                             "Requests answered 503 SlowDown because all workers were taken.");
    s->foreign = metric_get(METRIC_COUNTER, "sluice_requests_foreign_total", "",
                            "Requests refused because they did not come from a trusted proxy.");
    return s;
}

void gw_stats_free(struct gw_stats *s)
{
    if (!s)
        return;
    map_free(s->by_name, NULL);
    free(s->operations);
    free(s);
}

static size_t status_index(int status)
{
    for (size_t i = 0; i < STATUS_COUNT - 1; i++) {
        if (statuses[i] == status)
            return i;
    }
    return STATUS_COUNT - 1;
}

static struct metric *make_counter(const struct operation *o, size_t index)
{
    char labels[LABELS_MAX], code[16] = "other";
    if (statuses[index] >= 0)
        (void)snprintf(code, sizeof(code), "%d", statuses[index]);
    (void)snprintf(labels, sizeof(labels), "api=\"%s\",code=\"%s\"", o->name, code);
    return metric_get(METRIC_COUNTER, "sluice_requests_total", labels,
                      "Requests by operation and status; 0: the client left before an answer.");
}

static void count_request(struct operation *o, int status)
{
    size_t index = status_index(status);
    struct metric *m = atomic_load_explicit(&o->requests[index], memory_order_acquire);
    if (!m) {
        m = make_counter(o, index); /* twice the same gives the same */
        atomic_store_explicit(&o->requests[index], m, memory_order_release);
    }
    metric_add(m, 1);
}

static void observe(lazy_metric *slot, const struct operation *o, const char *name, const char *help, uint64_t ns)
{
    struct metric *m = atomic_load_explicit(slot, memory_order_acquire);
    if (!m) {
        char labels[LABELS_MAX];
        (void)snprintf(labels, sizeof(labels), "api=\"%s\"", o->name);
        m = metric_get(METRIC_HISTOGRAM, name, labels, help);
        atomic_store_explicit(slot, m, memory_order_release);
    }
    metric_observe_ns(m, ns);
}

void gw_stats_add(struct gw_stats *s, const struct gw_stats_request *r)
{
    struct operation *o = r->operation ? map_get(s->by_name, str_z(r->operation)) : NULL;
    if (!o)
        o = s->unknown;
    count_request(o, r->status);
    metric_add(s->received, r->bytes_in);
    metric_add(s->sent, r->bytes_out);
    observe(&o->seconds, o, "sluice_request_seconds", "Time from the head of a request to the end of its answer.", r->total_ns);
    if (r->ttfb_ns > 0)
        observe(&o->ttfb, o, "sluice_ttfb_seconds", "Time from the head of a request to the first byte of its answer.", r->ttfb_ns);
    if (r->error_code) {
        char labels[LABELS_MAX];
        (void)snprintf(labels, sizeof(labels), "code=\"%s\"", r->error_code);
        metric_add(metric_get(METRIC_COUNTER, "sluice_errors_total", labels, "Error answers by S3 code."), 1);
    }
}

void gw_stats_foreign(struct gw_stats *s)
{
    metric_add(s->foreign, 1);
}

void gw_stats_rejected(struct gw_stats *s)
{
    metric_add(s->rejected, 1);
}
