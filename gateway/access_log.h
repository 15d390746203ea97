/* The access log: one JSON line a request, written by a thread of its own from a bounded buffer, so that a slow disk costs
 * lines (they are counted) and never requests. Signatures, credentials and tokens never reach it.
 * Thread: any, unless said otherwise. */
#ifndef GATEWAY_ACCESS_LOG_H
#define GATEWAY_ACCESS_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"

struct gw_access_log;

struct gw_access {
    int64_t start_wall_ns;
    struct str request_id, remote;
    struct str user, access_key;    /* empty: left out */
    const char *operation, *auth, *signature, *tls; /* NULL: left out */
    struct str bucket, key;
    struct str method, target;      /* as received */
    int status;                     /* 0: no answer was sent */
    const char *s3_code;            /* NULL: none */
    bool aborted;                   /* the connection ended before the answer did */
    uint64_t bytes_in, bytes_out;   /* of the bodies, without transfer coding */
    uint64_t total_us, ttfb_us, queue_us;
    struct str user_agent, referer;
};

/* path "-": stdout; "off": no log, *out is NULL and every call below takes that. -errno. Thread: main. */
MUST_USE int gw_access_log_start(const char *path, struct gw_access_log **out);
/* Writes what is buffered. Thread: main. */
void gw_access_log_stop(struct gw_access_log *l);
/* Opens the path again, soon. */
void gw_access_log_reopen(struct gw_access_log *l);
void gw_access_log_add(struct gw_access_log *l, const struct gw_access *a);

/* For tests: the line that an entry becomes. */
struct buf;
void gw_access_log_format(const struct gw_access *a, struct buf *out);

#endif
