/* What operators' tools ask: /healthz, /readyz and /metrics on the admin listener; MinIO's health paths on the S3 listener, for
 * probes and load balancers that know those. Handlers of gw_conn_options.answer. Thread: loop. */
#ifndef GATEWAY_ADMIN_H
#define GATEWAY_ADMIN_H

#include <stdbool.h>

#include "base/http_head.h"

struct gw_answer;

/* data: struct gw_health. Answers everything. */
bool gw_admin_answer(void *data, const struct http_head *head, struct gw_answer *out);
/* data: struct gw_health. /minio/health/{live,ready,cluster,cluster/read}; false for all else. */
bool gw_admin_answer_minio(void *data, const struct http_head *head, struct gw_answer *out);

/* Metrics of the process itself: memory, descriptors, start, version. Thread: main, once. */
void gw_admin_show_process(void);

#endif
