/* A client's session: a record with an expiry that the heartbeat pushes ahead. Whoever finds an expired one removes what it
 * held: locks, and files that were unlinked while open (§7.19). The same thread writes gathered usage and takes changed
 * settings over. */
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/random.h"
#include "vfs/meta/settings.h"
#include "vfs/meta/upkeep.h"

/* As official clients (§4.4, §7.19). */
#define HEARTBEAT_S 12
#define EXPIRE_S (5 * HEARTBEAT_S)
#define VOLUME_TICKS 1 /* seconds between writes of the volume's and directories' usage */
#define QUOTA_TICKS 3
#define REAP_MAX 1000

struct meta_session {
    struct meta *m;
    struct buf info;
    pthread_t thread;
    struct mutex lock; /* of stop; leaf */
    struct cond wake;
    bool stop;
    int64_t beat_s;          /* the last beat, by the wall clock */
    uint64_t spare_until_ms; /* monotonic: nobody is taken for dead before */
};

/* The record */

static void describe(const struct meta *m, struct buf *out)
{
    char host[256] = "", when[CLOCK_TEXT_MAX];
    (void)gethostname(host, sizeof(host) - 1); /* without one, it is empty */
    buf_addz(out, "{\"Version\":\"" META_CLIENT_VERSION "+sluice\",\"HostName\":");
    buf_add_json(out, str_z(host));
    buf_addz(out, ",\"MountPoint\":");
    buf_add_json(out, str_z(m->options.mount_point));
    buf_addz(out, ",\"MountTime\":");
    buf_add_json(out, clock_format_iso8601_ms(clock_wall_ns(), when));
    buf_addf(out, ",\"ProcessID\":%ld}", (long)getpid());
}

struct begin_call {
    struct str info;
    int64_t sid;
};

/* A session to go on with is brought back when somebody has removed it meanwhile. */
static int begin_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    struct begin_call *b = arg;
    if (m->options.resume_session != 0) {
        b->sid = (int64_t)m->options.resume_session;
        return META_DO(t, session_refresh, m->options.resume_session, clock_wall_s() + EXPIRE_S, b->info);
    }
    int rc = META_DO(t, counter_add, "nextSession", 1, &b->sid);
    return rc == 0 ? META_DO(t, session_insert, (uint64_t)b->sid, clock_wall_s() + EXPIRE_S, b->info) : rc;
}

static int refresh_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    const struct meta_session *s = arg;
    return META_DO(t, session_refresh, m->sid, clock_wall_s() + EXPIRE_S, buf_str(&s->info));
}

/* Cleaning up after sessions */

struct numbers {
    uint64_t sid;
    uint64_t items[REAP_MAX];
    size_t count;
};

static int add_number(struct numbers *n, uint64_t number)
{
    n->items[n->count++] = number;
    return n->count == REAP_MAX;
}

static int add_ino(void *arg, meta_ino ino)
{
    return add_number(arg, ino);
}

static int locks_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct numbers *n = arg;
    n->count = 0;
    int rc = META_DO(t, sustained_scan, n->sid, add_ino, n);
    return rc < 0 ? rc : META_DO(t, locks_delete_session, n->sid);
}

static int forget_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    const struct numbers *n = arg;
    return META_DO(t, session_delete, n->sid);
}

/* The record goes last: until then somebody else can take over. */
int meta_session_clean(struct meta *m, uint64_t sid)
{
    struct numbers n = {.sid = sid, .count = REAP_MAX};
    while (n.count == REAP_MAX) {
        int rc = meta_transact(m, META_TXN_WRITE, locks_txn, &n);
        for (size_t i = 0; rc >= 0 && i < n.count; i++)
            rc = meta_delete_sustained(m, sid, n.items[i]);
        if (rc < 0)
            return rc;
    }
    return meta_transact(m, META_TXN_WRITE, forget_txn, &n);
}

static int add_session(void *arg, const struct meta_session_row *row)
{
    return add_number(arg, row->sid);
}

static int stale_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct numbers *n = arg;
    n->count = 0;
    return META_DO(t, session_scan, clock_wall_s(), REAP_MAX, add_session, n);
}

/* Sessions expire by the wall clock. When it jumps ahead, the machine has slept, or the database was locked for long, all clients
 * are as late as we are: they get the time to say that they live. */
static bool may_reap(struct meta_session *s)
{
    const int64_t now_s = clock_wall_s();
    if (now_s - s->beat_s > EXPIRE_S / 2)
        s->spare_until_ms = clock_mono_ms() + EXPIRE_S * 1000;
    s->beat_s = now_s;
    return clock_mono_ms() >= s->spare_until_ms;
}

static void reap(struct meta *m)
{
    struct numbers n = {0};
    if (meta_lease_take(m, "lastCleanupSessions", HEARTBEAT_S * 9 / 10) != 1 ||
        meta_transact(m, META_TXN_READ, stale_txn, &n) < 0)
        return;
    for (size_t i = 0; i < n.count; i++) {
        if (n.items[i] == m->sid)
            continue; /* ours, late: the next beat brings it back */
        int rc = meta_session_clean(m, n.items[i]);
        log_debug("meta_session_clean", "sid=%llu rc=%d", (unsigned long long)n.items[i], rc);
    }
}

struct listing {
    meta_session_fn fn;
    void *arg;
};

static int listing_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    const struct listing *l = arg;
    return META_DO(t, session_scan, INT64_MAX, UINT64_MAX, l->fn, l->arg);
}

int meta_sessions(struct meta *m, meta_session_fn fn, void *arg)
{
    struct listing l = {fn, arg};
    return meta_transact(m, META_TXN_READ, listing_txn, &l);
}

struct ending {
    uint64_t sid;
    struct str info;
    bool is_there;
};

static int find_ending(void *arg, const struct meta_session_row *row)
{
    struct ending *e = arg;
    e->is_there |= row->sid == e->sid && str_eq(row->info, e->info);
    return e->is_there;
}

int meta_session_end(struct meta *m, uint64_t sid, struct str info)
{
    struct ending e = {.sid = sid, .info = info};
    int rc = meta_sessions(m, find_ending, &e);
    if (rc >= 0 && e.is_there)
        rc = meta_session_clean(m, sid);
    return rc < 0 ? rc : e.is_there;
}

struct lease {
    const char *counter;
    int64_t period_s;
};

static int lease_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    const struct lease *l = arg;
    int64_t last = 0, now_s = clock_wall_s();
    int rc = META_DO(t, counter_get, l->counter, &last);
    if (rc < 0 || last > now_s - l->period_s)
        return rc;
    rc = META_DO(t, counter_put, l->counter, now_s);
    return rc < 0 ? rc : 1;
}

int meta_lease_take(struct meta *m, const char *counter, int64_t period_s)
{
    struct lease l = {counter, period_s};
    return meta_transact(m, META_TXN_WRITE, lease_txn, &l);
}

/* The heartbeat */

void meta_session_beat(struct meta *m)
{
    struct buf error = buf_make(LIMIT_SETTINGS_BYTES);
    if (m->sid != 0 && meta_transact(m, META_TXN_WRITE, refresh_txn, m->session) < 0)
        log_debug("meta_beat", "sid=%llu", (unsigned long long)m->sid);
    if (meta_settings_reload(m, &error) < 0)
        log_debug("meta_reload", "error=\"%s\"", buf_z(&error));
    buf_done(&error);
    if (meta_quotas_load(m) < 0)
        log_debug("meta_quotas", NULL);
    if (m->sid != 0 && !m->options.no_background && may_reap(m->session))
        reap(m);
}

/* Within 10 %, so that clients that started together part. */
static uint64_t next_beat_ms(void)
{
    return clock_mono_ms() + HEARTBEAT_S * 900 + random_u64() % (HEARTBEAT_S * 200);
}

/* One second; false: it is time to end. */
static bool tick(struct meta_session *s)
{
    mutex_lock(&s->lock);
    if (!s->stop)
        (void)cond_wait_ms(&s->wake, &s->lock, 1000); /* `stop` tells why it ended */
    bool go_on = !s->stop;
    mutex_unlock(&s->lock);
    return go_on;
}

static void flush(struct meta *m, unsigned ticks)
{
    if (m->sid == 0)
        return;
    if (ticks % VOLUME_TICKS == 0)
        meta_usage_flush_volume(m);
    if (ticks % QUOTA_TICKS == 0)
        meta_usage_flush_quotas(m);
}

static void *run(void *arg)
{
    struct meta_session *s = arg;
    uint64_t beat_ms = next_beat_ms();
    for (unsigned ticks = 1; tick(s); ticks++) {
        flush(s->m, ticks);
        if (clock_mono_ms() < beat_ms)
            continue;
        meta_session_beat(s->m);
        beat_ms = next_beat_ms();
    }
    return NULL;
}

/* Life */

static void session_free(struct meta *m)
{
    struct meta_session *s = m->session;
    m->session = NULL;
    buf_done(&s->info);
    cond_done(&s->wake);
    mutex_done(&s->lock);
    free(s);
}

int meta_session_start(struct meta *m)
{
    struct meta_session *s = calloc(1, sizeof(*s));
    struct begin_call begin = {0};
    CHECK(s != NULL); /* out of memory */
    s->m = m;
    s->beat_s = clock_wall_s();
    s->info = buf_make(LIMIT_SETTINGS_BYTES);
    mutex_init(&s->lock);
    cond_init(&s->wake);
    describe(m, &s->info);
    begin.info = buf_str(&s->info);
    m->session = s;
    int rc = m->options.read_only ? 0 : meta_transact(m, META_TXN_WRITE, begin_txn, &begin);
    if (rc < 0) {
        session_free(m);
        return rc;
    }
    m->sid = (uint64_t)begin.sid;
    if (m->sid != 0 && !m->options.no_background)
        meta_duties_start(m, meta_hourly);
    thread_start(&s->thread, "meta-beat", run, s);
    return 0;
}

struct str meta_session_info(const struct meta *m)
{
    return m->sid != 0 ? buf_str(&m->session->info) : STR_EMPTY;
}

void meta_session_stop(struct meta *m)
{
    struct meta_session *s = m->session;
    if (!s)
        return;
    meta_duties_stop(m);
    mutex_lock(&s->lock);
    s->stop = true;
    cond_signal(&s->wake);
    mutex_unlock(&s->lock);
    CHECK(pthread_join(s->thread, NULL) == 0);
    session_free(m);
    if (m->sid == 0)
        return;
    /* What does not work here, others do when the session expires. */
    int rc = m->leaving ? 0 : meta_session_clean(m, m->sid);
    if (rc < 0)
        log_debug("meta_session_end", "sid=%llu rc=%d", (unsigned long long)m->sid, rc);
    meta_usage_flush_volume(m);
    meta_usage_flush_quotas(m);
    m->sid = 0;
}
