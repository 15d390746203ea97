/* The metrics of requests. Labels are bounded: operation names, HTTP status and S3 codes, never buckets,
 * keys or users. Thread: any. */
#ifndef GATEWAY_STATS_H
#define GATEWAY_STATS_H

#include <stdint.h>

struct gw_stats;

/* Registers the metrics; operations: NULL-terminated. Lives as long as the process's metrics: free it after all users. */
struct gw_stats *gw_stats_new(const char *const *operations);
void gw_stats_free(struct gw_stats *s);

struct gw_stats_request {
    const char *operation;  /* one of the operations, or anything else: "Unknown" */
    const char *error_code; /* NULL: none */
    int status;             /* 0: no answer was sent */
    uint64_t bytes_in, bytes_out;
    uint64_t total_ns;
    uint64_t ttfb_ns;       /* 0: nothing was sent */
};
void gw_stats_add(struct gw_stats *s, const struct gw_stats_request *r);
void gw_stats_rejected(struct gw_stats *s);
void gw_stats_foreign(struct gw_stats *s);

#endif
