/* Counters, gauges and histograms, and their Prometheus text (exposition format 0.0.4). Metrics register themselves once,
 * at start; updates are relaxed atomics, spread over slots so that threads do not share a cache line. Thread: any. */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stdint.h>

#include "base/buf.h"

struct metric; /* one time series family member: name + fixed labels */

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* name: sluice_…_total, …_seconds, …_bytes. labels: `api="GetObject",code="200"` or "" (values already escaped). help is
 * printed once per name. Strings are copied. Registering the same (name, labels) again returns the same metric. */
struct metric *metric_get(enum metric_kind kind, const char *name, const char *labels, const char *help);
/* Counters go up only. */
void metric_add(struct metric *m, uint64_t value);
void metric_gauge_set(struct metric *m, int64_t value);
void metric_gauge_add(struct metric *m, int64_t delta);
/* Histograms of seconds; fixed buckets from 100 µs to 60 s. */
void metric_observe_ns(struct metric *m, uint64_t nanoseconds);
/* A gauge (or counter) read when scraped. `read` runs under the registry's lock: it must be quick and may not register
 * metrics. Registering the same (name, labels) again replaces it; read NULL hides the series, after which data may go. */
void metric_callback(enum metric_kind kind, const char *name, const char *labels, const char *help,
                     double (*read)(void *data), void *data);
/* Appends the text of all. */
void metrics_write(struct buf *out);
uint64_t metric_value_for_test(const struct metric *m);

#endif
