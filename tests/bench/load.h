/* The load client: a closed loop over a number of connections, in one thread. What is sent is made and signed before the clock
 * starts, bodies that come are dropped inside the kernel, so that the client costs less than any server. */
#ifndef TESTS_BENCH_LOAD_H
#define TESTS_BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct load_options {
    const char *host, *unix_path;
    uint64_t port;
    bool tls;
    struct str method, target; /* "{n}" in the target is the number of the request */
    uint64_t first, count;     /* numbers run from first to first + count - 1, and again */
    uint64_t body_size;
    const char *body_file;
    uint64_t range_size, object_size; /* range_size 0: no Range header */
    struct str header_name, header_value; /* one more header; empty: none */
    struct str access_key, secret_key, region; /* access_key empty: requests are not signed */
    uint64_t connections;
    uint64_t duration_ms, requests; /* what comes first ends the run; 0: no such end */
    bool walk; /* one listing, page after page */
    bool once; /* one request; its answer's body goes to stdout */
    bool pause; /* with connections, but without requests */
};

struct load_plan;
struct load_plan *load_plan_new(const struct load_options *o);
void load_plan_free(struct load_plan *p);
/* Behind every head. */
struct str load_plan_body(const struct load_plan *p);
/* The next request's head; valid until the next call for walks, else until the plan is freed. token: where a walk goes on. */
struct str load_plan_next(struct load_plan *p, struct str token);

/* Microseconds in classes of an eighth. */
#define LATENCY_CLASSES (8 * 40)
struct load_result {
    uint64_t requests, failures, bytes, elapsed_ns, listed;
    uint64_t client_cpu_ns;
    uint64_t latency[LATENCY_CLASSES];
    int last_status;
};
void load_run(const struct load_options *o, struct load_plan *p, struct load_result *out);

#endif
