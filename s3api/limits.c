#include "s3api/limits.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "s3api/service.h"

#define SECOND_NS 1000000000ull
#define STRIPE_COUNT 64
#define CALLERS_PER_STRIPE (LIMIT_CALLERS / STRIPE_COUNT)
/* Callers that find no room of their own, because too many others are active at once, share one. */
#define OVERFLOW STR("")

struct s3_caller {
    struct stripe *stripe;
    uint32_t in_flight;
    uint64_t due_ns; /* when all requests so far would have come, had they come evenly (GCRA) */
};

struct stripe {
    struct mutex lock;
    struct map *callers; /* guarded by lock, as are they */
};

struct s3_limits {
    uint32_t in_flight_max, rate_max;
    struct metric *refused_in_flight, *refused_rate;
    struct stripe stripes[STRIPE_COUNT];
};

struct s3_limits *s3_limits_new(uint32_t in_flight_max, uint32_t rate_max)
{
    static const char name[] = "sluice_requests_limited_total", help[] = "Requests answered 503 SlowDown because of a caller's limit.";
    struct s3_limits *l = calloc(1, sizeof(*l));
    CHECK(l != NULL); /* out of memory */
    l->in_flight_max = in_flight_max;
    l->rate_max = rate_max;
    l->refused_in_flight = metric_get(METRIC_COUNTER, name, "limit=\"in_flight\"", help);
    l->refused_rate = metric_get(METRIC_COUNTER, name, "limit=\"rate\"", help);
    for (size_t i = 0; i < STRIPE_COUNT; i++) {
        mutex_init(&l->stripes[i].lock);
        l->stripes[i].callers = map_new();
    }
    return l;
}

void s3_limits_free(struct s3_limits *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < STRIPE_COUNT; i++) {
        map_free(l->stripes[i].callers, free);
        mutex_done(&l->stripes[i].lock);
    }
    free(l);
}

/* Callers */

/* Of whoever has no request in flight and no burst to make up for, nothing needs to be known. */
static void forget_idle(struct stripe *s, uint64_t now_ns)
{
    struct map *kept = map_new();
    size_t cursor = 0;
    struct str name;
    void *value;
    while (map_next(s->callers, &cursor, &name, &value)) {
        struct s3_caller *c = value;
        if (c->in_flight > 0 || c->due_ns > now_ns)
            (void)map_set(kept, name, c);
        else
            free(c);
    }
    map_free(s->callers, NULL);
    s->callers = kept;
}

static struct s3_caller *find_caller(struct stripe *s, struct str name, uint64_t now_ns)
{
    struct s3_caller *c = map_get(s->callers, name);
    if (c)
        return c;
    if (map_count(s->callers) >= CALLERS_PER_STRIPE)
        forget_idle(s, now_ns);
    if (map_count(s->callers) >= CALLERS_PER_STRIPE && name.len > 0)
        return find_caller(s, OVERFLOW, now_ns);
    c = calloc(1, sizeof(*c));
    CHECK(c != NULL); /* out of memory */
    c->stripe = s;
    CHECK(map_set(s->callers, name, c) == NULL);
    return c;
}

/* A client has all addresses of the IPv6 network that it is in, 64 bits of them: together they are one caller. */
static struct str network_of(struct s3_op *op, struct str address)
{
    struct in6_addr a;
    char text[INET6_ADDRSTRLEN];
    bool is_v6 = inet_pton(AF_INET6, arena_dupz(op->arena, address), &a) == 1 && !IN6_IS_ADDR_V4MAPPED(&a);
    if (!is_v6)
        return address;
    memset(a.s6_addr + 8, 0, 8);
    return arena_dup(op->arena, str_z(inet_ntop(AF_INET6, &a, text, sizeof(text))));
}

/* No user's name has a slash. */
static struct str caller_name(struct s3_op *op)
{
    if (op->auth.user)
        return op->auth.user->name;
    return arena_printf(op->arena, "/%.*s", STR_ARG(network_of(op, op->in.peer_address)));
}

/* Admission */

static bool is_within_rate(const struct s3_limits *l, struct s3_caller *c, uint64_t now_ns)
{
    if (l->rate_max == 0)
        return true;
    uint64_t due_ns = c->due_ns > now_ns ? c->due_ns : now_ns, interval_ns = SECOND_NS / l->rate_max;
    if (due_ns + interval_ns > now_ns + SECOND_NS)
        return false;
    c->due_ns = due_ns + interval_ns;
    return true;
}

bool s3_limits_are_on(const struct s3_limits *l)
{
    return l->in_flight_max > 0 || l->rate_max > 0;
}

enum s3_error s3_limits_admit(struct s3_op *op)
{
    struct s3_limits *l = op->service->limits;
    CHECK(!op->caller);
    if (!s3_limits_are_on(l))
        return S3_OK;
    struct str name = caller_name(op);
    struct stripe *s = &l->stripes[hash_bytes(name) % STRIPE_COUNT];
    uint64_t now_ns = clock_mono_ns();
    mutex_lock(&s->lock);
    struct s3_caller *c = find_caller(s, name, now_ns);
    struct metric *refused = NULL;
    if (l->in_flight_max > 0 && c->in_flight >= l->in_flight_max)
        refused = l->refused_in_flight;
    else if (!is_within_rate(l, c, now_ns))
        refused = l->refused_rate;
    if (!refused) {
        c->in_flight++;
        op->caller = c;
    }
    mutex_unlock(&s->lock);
    if (!refused)
        return S3_OK;
    metric_add(refused, 1);
    op->error_cause = refused == l->refused_rate ? "limit of requests a second of this caller"
                                                 : "limit of requests at a time of this caller";
    return S3_SLOW_DOWN;
}

void s3_limits_leave(struct s3_op *op)
{
    struct s3_caller *c = op->caller;
    if (!c)
        return;
    struct stripe *s = c->stripe;
    mutex_lock(&s->lock);
    CHECK(c->in_flight > 0);
    c->in_flight--;
    mutex_unlock(&s->lock);
    op->caller = NULL;
}
