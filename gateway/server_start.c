/* Putting the server together, in the order in which things need each other, and taking it apart in reverse. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "auth/live.h"
#include "auth/roles.h"
#include "auth/store.h"
#include "base/check.h"
#include "base/encode.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/random.h"
#include "gateway/access_log.h"
#include "gateway/admin.h"
#include "gateway/chunks.h"
#include "gateway/fetch.h"
#include "gateway/health.h"
#include "gateway/listener.h"
#include "gateway/peer.h"
#include "gateway/sd_notify.h"
#include "gateway/server_internal.h"
#include "gateway/stats.h"
#include "gateway/tls.h"
#include "gateway/workers.h"
#include "s3api/s3.h"

#define ERROR_BYTES_MAX 4096
/* Steps that may wait for each worker: about a second of small requests. More waiting would only be longer waiting. */
#define QUEUE_PER_WORKER 64
#define HOUSEKEEPING_MS (60 * 1000)
#define FIRST_PASSED_FD 3

static bool refuse(const char *text)
{
    fprintf(stderr, "sluice: %s\n", text);
    return false;
}

/* Says the line in error, if rc is a failure. */
static bool check(int rc, struct buf *error)
{
    if (rc < 0)
        refuse(error->len > 0 ? buf_z(error) : strerror(-rc));
    buf_done(error);
    return rc >= 0;
}

/* Each connection is a descriptor, and each request that reads or writes a file a few more. */
static void raise_descriptor_limit(uint32_t connections_max)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* what there is will do, with the warning below */
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < connections_max)
        log_warn("few_descriptors", "limit=%llu connections_max=%u", (unsigned long long)limit.rlim_max,
                 (unsigned)connections_max);
}

/* Sockets */

static bool open_listeners(struct gw_server *s)
{
    const struct gw_config *c = s->config;
    int passed = gw_sd_listen_fds();
    for (int i = 0; i < passed && s->listener_count < GW_LISTENERS_MAX; i++)
        s->listeners[s->listener_count++] = gw_listener_adopt(FIRST_PASSED_FD + i, (unsigned)s->loop_count);
    for (size_t i = 0; passed == 0 && i < c->listen_count; i++) {
        struct buf error = buf_make(ERROR_BYTES_MAX);
        int rc = gw_listener_bind(c->listen[i], (unsigned)s->loop_count, &s->listeners[s->listener_count], &error);
        if (!check(rc, &error))
            return false;
        s->listener_count++;
    }
    if (!c->admin || strcmp(c->admin, "off") == 0)
        return true;
    struct buf error = buf_make(ERROR_BYTES_MAX);
    int rc = gw_listener_bind(c->admin, 1, &s->admin_listener, &error);
    return check(rc, &error);
}

static double read_not_after(void *data)
{
    return (double)gw_tls_not_after(data);
}

static bool open_tls(struct gw_server *s)
{
    if (!s->config->tls_cert)
        return true;
    struct buf error = buf_make(ERROR_BYTES_MAX);
    int rc = gw_tls_new(s->config->tls_cert, s->config->tls_key, s->config->ktls, &s->tls, &error);
    if (!check(rc, &error))
        return false;
    metric_callback(METRIC_GAUGE, "sluice_cert_not_after_seconds", "", "End of the TLS certificate, in seconds since 1970.",
                    read_not_after, s->tls);
    return true;
}

static bool open_proxies(struct gw_server *s)
{
    struct buf error = buf_make(ERROR_BYTES_MAX);
    return check(gw_proxies_parse(s->config->trusted_proxies, &s->proxies, &error), &error);
}

/* Volume and identities */

/* The part of --memory that is for chunks. */
static uint64_t chunk_memory(const struct gw_config *c)
{
    if (!vfs_has_own_memory(c->volume))
        return c->memory;
    return c->memory / 4 < LIMIT_CHUNK_MEMORY_MAX ? c->memory / 4 : LIMIT_CHUNK_MEMORY_MAX;
}

static bool open_volume(struct gw_server *s)
{
    struct vfs_options options = {.memory = s->config->memory - chunk_memory(s->config), .sync = s->config->sync, .xattr = s->config->xattr, .cache = s->config->cache};
    const char *why = NULL;
    int rc = vfs_open_volume(s->config->volume, &options, &s->volume, &why);
    if (rc >= 0)
        return true;
    struct buf error = buf_make(ERROR_BYTES_MAX);
    buf_addf(&error, "cannot open the volume %s: %s", s->config->volume, why ? why : strerror(-rc));
    return check(rc, &error);
}

static void greet(const struct gw_server *s, struct str access_key, struct str secret_key)
{
    const struct gw_config *c = s->config;
    const char *scheme = s->tls ? "https" : "http", *where = s->listener_count > 0 ? gw_listener_text(s->listeners[0]) : "";
    printf("\n  sluice serves %s at %s://%s\n\n"
           "  This is its first start, so an administrator was made. The secret key is shown only now:\n\n"
           "    export AWS_ACCESS_KEY_ID=%.*s\n"
           "    export AWS_SECRET_ACCESS_KEY=%.*s\n"
           "    export AWS_DEFAULT_REGION=%s\n\n"
           "  Try it:\n\n"
           "    aws --endpoint-url %s://%s s3 %s\n\n"
           "  `sluice user` adds users and keys, and replaces lost ones.\n\n",
           c->volume, scheme, where, STR_ARG(access_key), STR_ARG(secret_key), c->region, scheme, where,
           c->bucket ? "ls" : "mb s3://my-bucket");
    fflush(stdout);
}

static int add_administrator(struct gw_server *s, struct auth_store *store)
{
    CLEANUP(arena_freep) struct arena *arena = arena_new();
    struct auth_user_spec spec = {.name = STR("admin"), .admin = true};
    struct str access_key, secret_key;
    int rc = auth_store_user_add(store, &spec);
    if (rc >= 0)
        rc = auth_store_key_add(store, spec.name, STR_EMPTY, STR_EMPTY, arena, &access_key, &secret_key);
    if (rc < 0)
        return rc;
    greet(s, access_key, secret_key);
    union {
        const char *in;
        char *out;
    } secret = {.in = secret_key.ptr};
    secure_zero(secret.out, secret_key.len);
    return 0;
}

/* A gateway without any user could not be used, and one with a well-known key pair by everyone. */
static int ensure_administrator(struct gw_server *s, struct auth_store *store)
{
    CLEANUP(arena_freep) struct arena *arena = arena_new();
    struct auth_user_row *rows;
    size_t count;
    int rc = auth_store_list(store, arena, &rows, &count);
    if (rc < 0 || count > 0)
        return rc;
    return add_administrator(s, store);
}

static bool open_identities(struct gw_server *s)
{
    const struct gw_config *c = s->config;
    struct auth_store *store = NULL;
    int rc = auth_store_open(c->state_dir, &store);
    if (rc >= 0 && !c->root_access_key)
        rc = ensure_administrator(s, store);
    struct buf error = buf_make(ERROR_BYTES_MAX);
    if (rc < 0)
        buf_addf(&error, "identities in %s: %s", c->state_dir, auth_store_error(store));
    if (store)
        auth_store_close(store);
    if (!check(rc, &error))
        return false;
    rc = auth_live_start(c->state_dir, str_z(c->root_access_key), str_z(c->root_secret_key), &s->identities);
    if (rc < 0)
        buf_addf(&error, "identities in %s: %s", c->state_dir, auth_store_error(NULL));
    return check(rc, &error);
}

int gw_server_load_roles(struct gw_server *s, struct buf *error)
{
    const char *path = s->config->roles;
    struct auth_roles *roles = NULL;
    struct buf CLEANUP(buf_done) text = buf_make(LIMIT_ROLES_BYTES), problem = buf_make(ERROR_BYTES_MAX);
    if (!path)
        return 0;
    int rc = fd_read_file(AT_FDCWD, path, &text);
    if (rc < 0)
        buf_addz(&problem, strerror(-rc));
    else
        rc = auth_roles_parse(buf_str(&text), &roles, &problem);
    if (rc == 0) {
        rc = auth_live_set_roles(s->identities, roles);
        buf_addz(&problem, rc < 0 ? auth_store_error(NULL) : "");
    }
    auth_roles_unref(roles);
    if (rc < 0)
        buf_addf(error, "roles in %s: %s", path, buf_z(&problem));
    return rc;
}

/* The state folder is there now. */
static bool inherit(struct gw_server *s)
{
    vfs_inherit(s->volume, s->config->state_dir);
    return true;
}

static bool open_roles(struct gw_server *s)
{
    struct buf error = buf_make(ERROR_BYTES_MAX);
    int rc = gw_server_load_roles(s, &error);
    return check(rc, &error);
}

static bool open_engine(struct gw_server *s)
{
    const struct gw_config *c = s->config;
    /* Only root can act as somebody else. */
    const struct vfs_cred anonymous = {.uid = c->anonymous_uid, .gid = c->anonymous_gid};
    struct s3_service_options options = {
        .anonymous = geteuid() == 0 ? &anonymous : NULL,
        .block_public_access = c->block_public_access,
        .volume = s->volume,
        .identities = s->identities,
        .region = str_z(c->region),
        .domain = str_z(c->domain),
        .single_bucket = str_z(c->bucket),
        .sigv2 = c->sigv2,
        .ownership = c->ownership,
        .read_only = c->read_only,
        .user_requests = c->user_requests,
        .user_rate = c->user_rate,
        .fetch = gw_fetch,
        .both = gw_workers_both,
        .upload_expiry_s = c->upload_expiry_s,
    };
    int rc = s3_service_new(&options, &s->bridge.s3);
    struct buf error = buf_make(ERROR_BYTES_MAX);
    if (rc < 0)
        buf_addf(&error, "cannot start the S3 engine: %s", strerror(-rc));
    return check(rc, &error);
}

static bool open_access_log(struct gw_server *s)
{
    int rc = gw_access_log_start(s->config->access_log, &s->bridge.access_log);
    struct buf error = buf_make(ERROR_BYTES_MAX);
    if (rc < 0)
        buf_addf(&error, "cannot open the access log %s: %s", s->config->access_log, strerror(-rc));
    return check(rc, &error);
}

/* Threads */

static double read_count(void *data)
{
    return atomic_load((_Atomic uint32_t *)data);
}

static void open_bridge(struct gw_server *s)
{
    const struct gw_config *c = s->config;
    unsigned char random[8];
    random_bytes(random, sizeof(random));
    hex_encode(random, sizeof(random), s->host_id);
    s->bridge.host_id = str_of(s->host_id, 2 * sizeof(random));
    s->bridge.in_flight = &s->in_flight;
    s->bridge.stats = gw_stats_new(s3_operation_names());
    s->bridge.chunks = gw_chunks_new(chunk_memory(c));
    s->bridge.workers = gw_workers_start(c->workers, (size_t)c->workers * QUEUE_PER_WORKER, gw_usable_cores());
    metric_callback(METRIC_GAUGE, "sluice_connections", "", "Open client connections.", read_count, &s->connections);
    metric_callback(METRIC_GAUGE, "sluice_requests_in_flight", "", "Requests being answered.", read_count, &s->in_flight);
    gw_admin_show_process();
}

static void set_options(struct gw_server *s)
{
    const struct gw_config *c = s->config;
    s->s3_options = (struct gw_conn_options){
        .bridge = &s->bridge,
        .answer = gw_admin_answer_minio,
        .data = s->health,
        .proxies = s->proxies,
        .proxies_only = c->proxies_only,
        .tls = s->tls,
        .head_timeout_ms = c->head_timeout_ms,
        .idle_timeout_ms = c->idle_timeout_ms,
        .body_timeout_ms = c->body_timeout_ms,
        .count = &s->connections,
    };
    s->admin_options = s->s3_options;
    s->admin_options.answer = gw_admin_answer;
    s->admin_options.answers_all = true;
    s->admin_options.tls = NULL;
    s->admin_options.proxies_only = false;
    s->admin_options.count = &s->admin_connections;
}

/* Admin connections have their own bound, far from that of clients: probes must get through when those are many. */
#define ADMIN_CONNECTIONS_MAX 256

static void start_accepting(struct gw_serving *v)
{
    struct gw_server *s = v->server;
    struct gw_acceptor_options o = {
        .loop = v->loop,
        .conns = v->s3,
        .all_conns = s->s3_conns,
        .loop_count = s->loop_count,
        .count = &s->connections,
        .connections_max = s->config->connections_max,
    };
    for (size_t i = 0; i < s->listener_count; i++)
        v->acceptors[i] = gw_acceptor_new(s->listeners[i], &o);
    if (!v->admin || !s->admin_listener)
        return;
    o.conns = v->admin;
    o.all_conns = &v->admin;
    o.loop_count = 1;
    o.count = &s->admin_connections;
    o.connections_max = ADMIN_CONNECTIONS_MAX;
    v->admin_acceptor = gw_acceptor_new(s->admin_listener, &o);
}

static void open_loops(struct gw_server *s)
{
    for (size_t i = 0; i < s->loop_count; i++)
        s->loops[i] = gw_loop_start((unsigned)i);
    s->health = gw_health_start(s->volume, s->loops, s->loop_count);
    set_options(s);
    for (size_t i = 0; i < s->loop_count; i++) {
        struct gw_serving *v = &s->serving[i];
        v->server = s;
        v->loop = s->loops[i];
        v->s3 = s->s3_conns[i] = gw_conns_new(v->loop, &s->s3_options);
        v->admin = i == 0 ? gw_conns_new(v->loop, &s->admin_options) : NULL;
    }
    gw_server_command(s, start_accepting);
}

static void *keeper_main(void *arg)
{
    struct gw_server *s = arg;
    for (bool stopping = false; !stopping;) {
        bool more = s3_service_housekeep(s->bridge.s3);
        mutex_lock(&s->lock);
        if (!s->keeper_stopping && !more)
            (void)cond_wait_ms(&s->wake, &s->lock, HOUSEKEEPING_MS); /* an interval; stop ends it */
        stopping = s->keeper_stopping;
        mutex_unlock(&s->lock);
    }
    return NULL;
}

bool gw_server_open(struct gw_server *s, const struct gw_config *config)
{
    s->config = config;
    s->loop_count = config->loops > 0 ? config->loops : 1;
    s->loops = calloc(s->loop_count, sizeof(struct gw_loop *));
    s->serving = calloc(s->loop_count, sizeof(*s->serving));
    s->s3_conns = calloc(s->loop_count, sizeof(struct gw_conns *));
    CHECK(s->loops != NULL);
    CHECK(s->s3_conns != NULL);
    CHECK(s->serving != NULL);
    mutex_init(&s->lock);
    cond_init(&s->wake);
    raise_descriptor_limit(config->connections_max);
    if (!open_tls(s) || !open_proxies(s) || !open_listeners(s) || !open_volume(s) || !open_access_log(s) ||
        !open_identities(s) || !inherit(s) || !open_roles(s) || !open_engine(s))
        return false;
    open_bridge(s);
    open_loops(s);
    thread_start(&s->keeper, "housekeeping", keeper_main, s);
    s->keeper_started = true;
    return true;
}

static void stop_keeper(struct gw_server *s)
{
    if (!s->keeper_started)
        return;
    mutex_lock(&s->lock);
    s->keeper_stopping = true;
    cond_broadcast(&s->wake);
    mutex_unlock(&s->lock);
    CHECK(pthread_join(s->keeper, NULL) == 0);
}

static void close_loops(struct gw_server *s)
{
    gw_health_stop(s->health);
    for (size_t i = 0; i < s->loop_count; i++) {
        gw_loop_stop(s->loops[i]);
        gw_conns_free(s->serving[i].s3);
        gw_conns_free(s->serving[i].admin);
    }
}

void gw_server_close(struct gw_server *s)
{
    stop_keeper(s);
    gw_workers_stop(s->bridge.workers);
    close_loops(s);
    metric_callback(METRIC_GAUGE, "sluice_connections", "", "", NULL, NULL);
    metric_callback(METRIC_GAUGE, "sluice_requests_in_flight", "", "", NULL, NULL);
    if (s->tls)
        metric_callback(METRIC_GAUGE, "sluice_cert_not_after_seconds", "", "", NULL, NULL);
    gw_chunks_free(s->bridge.chunks);
    gw_stats_free(s->bridge.stats);
    gw_access_log_stop(s->bridge.access_log);
    s3_service_free(s->bridge.s3);
    if (s->identities)
        auth_live_stop(s->identities);
    if (s->volume)
        vfs_close_volume(s->volume);
    for (size_t i = 0; i < s->listener_count; i++)
        gw_listener_free(s->listeners[i]);
    gw_listener_free(s->admin_listener);
    gw_proxies_free(s->proxies);
    gw_tls_free(s->tls);
    free(s->serving);
    free(s->s3_conns);
    free(s->loops);
    cond_done(&s->wake);
    mutex_done(&s->lock);
}
