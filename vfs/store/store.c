#include "vfs/store/store.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "base/random.h"
#include "vfs/store/rate.h"
#include "vfs/store/store_internal.h"

#define ERROR_TEXT_MAX 512

struct verb_metrics {
    struct metric *requests, *errors, *seconds;
};

/* Where the objects are. Never changed: another one takes its place (store_change), and it goes with the last attempt at it. */
struct place {
    const struct store_ops *ops;
    uint32_t shard_count;
    struct store_driver **shards;
    struct verb_metrics verbs[STORE_VERB_COUNT];
    unsigned users; /* the store, and attempts; guarded by the store's lock */
};

struct store {
    uint32_t shard_count;
    struct str prefix;
    uint32_t attempts_max, backoff_ms, patience_ms;
    atomic_int retry_tokens;
    struct metric *retries, *bytes_in, *bytes_out;
    struct rate upload, download;

    struct mutex lock; /* guards what follows */
    struct place *place;
    struct buf last_error;
};

static const struct store_ops *const drivers[] = {&store_file_ops, &store_s3_ops};

int store_fail(struct buf *why, int error, const char *format, ...)
{
    char text[ERROR_TEXT_MAX]; /* long keys and messages are cut, not dropped */
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buf_reset(why);
    buf_add(why, str_first(str_z(text), why->max));
    return error;
}

uint32_t store_shard_of(struct str key, uint32_t count)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < key.len; i++)
        hash = (hash ^ (uint8_t)key.ptr[i]) * 16777619u;
    return hash % count;
}

/* Opening */

static const struct store_ops *find_driver(struct str storage)
{
    for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
        if (str_eq_nocase(storage, str_z(drivers[i]->name)))
            return drivers[i];
    return NULL;
}

/* The bucket of one shard: its %d becomes the number. */
static int shard_bucket(struct str template, uint32_t shard, struct buf *out, struct buf *why)
{
    ptrdiff_t at = str_find(template, STR("%d"));
    struct str rest = str_from(template, (size_t)at + 2);
    if (at < 0 || str_find_char(rest, '%') >= 0 || str_find_char(str_first(template, (size_t)at), '%') >= 0)
        return store_fail(why, -EINVAL, "a bucket with shards needs one %%d in it, and no other %%: %.*s", STR_ARG(template));
    buf_add(out, str_first(template, (size_t)at));
    buf_add_u64(out, shard);
    buf_add(out, rest);
    return 0;
}

static int open_shard(struct place *p, const struct store_config *config, uint32_t shard, struct buf *why)
{
    if (p->shard_count == 1)
        return p->ops->open(config, config->bucket, &p->shards[shard], why);
    struct buf bucket = buf_make(config->bucket.len + 16);
    int rc = shard_bucket(config->bucket, shard, &bucket, why);
    if (rc == 0)
        rc = p->ops->open(config, buf_str(&bucket), &p->shards[shard], why);
    buf_done(&bucket);
    return rc;
}

static struct metric *verb_metric(const struct place *p, enum store_verb verb, enum metric_kind kind, const char *name,
                                  const char *help)
{
    static const char *const names[STORE_VERB_COUNT] = {"PUT", "GET", "HEAD", "DELETE", "LIST", "CREATE"};
    char labels[64];
    (void)snprintf(labels, sizeof(labels), "storage=\"%s\",verb=\"%s\"", p->ops->name, names[verb]);
    return metric_get(kind, name, labels, help);
}

static void get_metrics(struct place *p)
{
    for (enum store_verb v = 0; v < STORE_VERB_COUNT; v++) {
        p->verbs[v].requests = verb_metric(p, v, METRIC_COUNTER, "sluice_store_requests_total",
                                           "Requests to the object store, each attempt counted.");
        p->verbs[v].errors =
            verb_metric(p, v, METRIC_COUNTER, "sluice_store_errors_total", "Attempts that failed; a missing object is no failure.");
        p->verbs[v].seconds = verb_metric(p, v, METRIC_HISTOGRAM, "sluice_store_request_seconds",
                                          "Time of one attempt at the object store.");
    }
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

static void place_free(struct place *p)
{
    for (uint32_t i = 0; i < p->shard_count; i++)
        if (p->shards[i])
            p->ops->close(p->shards[i]);
    free(p->shards);
    free(p);
}

static int place_open(const struct store_config *config, struct place **out, struct buf *why)
{
    const struct store_ops *ops = find_driver(config->storage);
    if (!ops)
        return store_fail(why, -EINVAL, "no driver for the storage \"%.*s\"", STR_ARG(config->storage));
    if (config->shards > LIMIT_STORE_SHARDS)
        return store_fail(why, -EINVAL, "more than %d shards", LIMIT_STORE_SHARDS);
    struct place *p = calloc(1, sizeof(*p));
    CHECK(p != NULL); /* out of memory */
    p->ops = ops;
    p->users = 1;
    p->shard_count = or_default(config->shards, 1);
    p->shards = calloc(p->shard_count, sizeof(*p->shards));
    CHECK(p->shards != NULL); /* out of memory */
    get_metrics(p);
    int rc = 0;
    for (uint32_t i = 0; i < p->shard_count && rc == 0; i++)
        rc = open_shard(p, config, i, why);
    if (rc < 0)
        place_free(p);
    else
        *out = p;
    return rc;
}

static struct place *take_place(struct store *s)
{
    mutex_lock(&s->lock);
    struct place *p = s->place;
    p->users++;
    mutex_unlock(&s->lock);
    return p;
}

static void leave_place(struct store *s, struct place *p)
{
    mutex_lock(&s->lock);
    bool last = --p->users == 0;
    mutex_unlock(&s->lock);
    if (last)
        place_free(p);
}

int store_open(const struct store_config *config, struct store **out, struct buf *why)
{
    struct place *place = NULL;
    int rc = place_open(config, &place, why);
    if (rc < 0)
        return rc;
    struct store *s = calloc(1, sizeof(*s));
    char *prefix = malloc(config->prefix.len + 1);
    CHECK(s != NULL && prefix != NULL); /* out of memory */
    if (config->prefix.len > 0)
        memcpy(prefix, config->prefix.ptr, config->prefix.len);
    s->place = place;
    s->shard_count = place->shard_count;
    s->prefix = str_of(prefix, config->prefix.len);
    s->attempts_max = or_default(config->attempts_max, LIMIT_STORE_ATTEMPTS);
    s->patience_ms = or_default(config->patience_ms, LIMIT_STORE_RETRY_MS);
    s->backoff_ms = or_default(config->backoff_ms, LIMIT_STORE_BACKOFF_MS);
    atomic_init(&s->retry_tokens, LIMIT_STORE_RETRY_TOKENS);
    rate_init(&s->upload);
    rate_init(&s->download);
    mutex_init(&s->lock);
    s->last_error = buf_make(ERROR_TEXT_MAX);
    s->retries = metric_get(METRIC_COUNTER, "sluice_store_retries_total", "", "Attempts after the first of an operation.");
    s->bytes_in = metric_get(METRIC_COUNTER, "sluice_store_read_bytes_total", "", "Bytes of objects read from the store.");
    s->bytes_out = metric_get(METRIC_COUNTER, "sluice_store_written_bytes_total", "", "Bytes of objects written to the store.");
    *out = s;
    return 0;
}

int store_change(struct store *s, const struct store_config *config, struct buf *why)
{
    struct place *place = NULL;
    if (or_default(config->shards, 1) != s->shard_count)
        return store_fail(why, -EINVAL, "the number of shards cannot change");
    int rc = place_open(config, &place, why);
    if (rc < 0)
        return rc;
    mutex_lock(&s->lock);
    struct place *before = s->place;
    s->place = place;
    mutex_unlock(&s->lock);
    leave_place(s, before);
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    CHECK(s->place->users == 1);
    place_free(s->place);
    buf_done(&s->last_error);
    mutex_done(&s->lock);
    rate_done(&s->upload);
    rate_done(&s->download);
    free((void *)(uintptr_t)s->prefix.ptr);
    free(s);
}

void store_closep(struct store **s)
{
    store_close(TAKE(*s));
}

static uint64_t bytes_per_s(int64_t mbps)
{
    return mbps <= 0 ? 0 : (uint64_t)(mbps < INT32_MAX ? mbps : INT32_MAX) * 1000 * 1000 / 8;
}

void store_set_limits(struct store *s, int64_t upload_mbps, int64_t download_mbps)
{
    rate_set(&s->upload, bytes_per_s(upload_mbps));
    rate_set(&s->download, bytes_per_s(download_mbps));
}

/* Attempts */

static void keep_error(struct store *s, struct str text)
{
    mutex_lock(&s->lock);
    buf_reset(&s->last_error);
    buf_add(&s->last_error, str_first(text, s->last_error.max));
    mutex_unlock(&s->lock);
}

void store_error(struct store *s, struct buf *out)
{
    mutex_lock(&s->lock);
    buf_add(out, buf_str(&s->last_error));
    mutex_unlock(&s->lock);
}

static bool take_retry_token(struct store *s)
{
    int tokens = atomic_load(&s->retry_tokens);
    do {
        if (tokens < LIMIT_STORE_RETRY_COST)
            return false;
    } while (!atomic_compare_exchange_weak(&s->retry_tokens, &tokens, tokens - LIMIT_STORE_RETRY_COST));
    return true;
}

static void give_retry_token(struct store *s)
{
    int tokens = atomic_load(&s->retry_tokens);
    do {
        if (tokens >= LIMIT_STORE_RETRY_TOKENS)
            return;
    } while (!atomic_compare_exchange_weak(&s->retry_tokens, &tokens, tokens + 1));
}

/* Between half of and the whole of the pause, so that clients that failed together do not come back together. */
static void pause_before(const struct store *s, uint32_t attempt, bool slow_down)
{
    uint64_t pause_ms = (uint64_t)s->backoff_ms << (attempt < 16 ? attempt - 1 : 15);
    if (slow_down)
        pause_ms *= 2;
    if (pause_ms > LIMIT_STORE_BACKOFF_MAX_MS)
        pause_ms = LIMIT_STORE_BACKOFF_MAX_MS;
    uint64_t pause_us = pause_ms * 500 + random_u64() % (pause_ms * 500 + 1);
    struct timespec left = {.tv_sec = (time_t)(pause_us / 1000000), .tv_nsec = (long)(pause_us % 1000000) * 1000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

static bool is_transient(int rc)
{
    return rc == -EAGAIN || rc == -EBUSY;
}

/* After `attempts` of them, the first of which began at start_ms. */
static bool may_try_again(struct store *s, int rc, uint32_t attempts, uint64_t start_ms)
{
    uint32_t max = s->attempts_max;
    if (rc == -EBADMSG && max > LIMIT_STORE_DAMAGED_ATTEMPTS)
        max = LIMIT_STORE_DAMAGED_ATTEMPTS;
    else if (rc != -EBADMSG && !is_transient(rc))
        return false;
    return attempts < max && clock_mono_ms() - start_ms < s->patience_ms && take_retry_token(s);
}

static int run_once(struct store *s, uint32_t shard, enum store_verb verb, store_attempt_fn attempt, void *call,
                    struct buf *why)
{
    uint64_t start_ns = clock_mono_ns();
    struct place *p = take_place(s);
    buf_reset(why);
    int rc = fault_point("store.request");
    rc = rc < 0 ? store_fail(why, -EAGAIN, "injected fault") : attempt(p->shards[shard], call, why);
    metric_add(p->verbs[verb].requests, 1);
    metric_observe_ns(p->verbs[verb].seconds, clock_mono_ns() - start_ns);
    if (rc < 0 && rc != -ENOENT)
        metric_add(p->verbs[verb].errors, 1);
    leave_place(s, p);
    return rc;
}

int store_run(struct store *s, uint32_t shard, enum store_verb verb, store_attempt_fn attempt, void *call)
{
    char text[ERROR_TEXT_MAX];
    struct buf why = buf_over(text, sizeof(text));
    uint64_t start_ms = clock_mono_ms();
    int rc = run_once(s, shard, verb, attempt, call, &why);
    for (uint32_t n = 1; may_try_again(s, rc, n, start_ms); n++) {
        log_debug("store_retry", "attempt=%u error=\"%s\"", n, buf_z(&why));
        pause_before(s, n, rc == -EBUSY);
        metric_add(s->retries, 1);
        rc = run_once(s, shard, verb, attempt, call, &why);
    }
    if (rc >= 0 || rc == -ENOENT)
        give_retry_token(s);
    if (rc >= 0)
        return rc;
    keep_error(s, buf_str(&why));
    return is_transient(rc) ? -EIO : rc;
}

/* Operations */

uint32_t store_shard_count(const struct store *s)
{
    return s->shard_count;
}

struct str store_prefix(const struct store *s)
{
    return s->prefix;
}

int store_full_key(const struct store *s, struct str key, struct buf *out)
{
    if (s->prefix.len + key.len >= LIMIT_STORE_KEY_BYTES)
        return -EINVAL;
    buf_add(out, s->prefix);
    buf_add(out, key);
    CHECK(!out->failed);
    return 0;
}

struct object_call {
    struct str key; /* with the prefix */
    struct str body;
    struct store_read *read;
    struct store_object *object;
};

static int run_on_object(struct store *s, struct str key, enum store_verb verb, store_attempt_fn attempt,
                         struct object_call *call)
{
    char memory[LIMIT_STORE_KEY_BYTES];
    struct buf full = buf_over(memory, sizeof(memory));
    int rc = store_full_key(s, key, &full);
    if (rc < 0) {
        keep_error(s, STR("the key is too long"));
        return rc;
    }
    call->key = buf_str(&full);
    return store_run(s, store_shard_of(call->key, s->shard_count), verb, attempt, call);
}

static int attempt_put(struct store_driver *d, void *arg, struct buf *why)
{
    struct object_call *call = arg;
    return d->ops->put(d, call->key, call->body, why);
}

int store_put(struct store *s, struct str key, struct str body)
{
    struct object_call call = {.body = body};
    rate_wait(&s->upload, body.len);
    int rc = run_on_object(s, key, STORE_PUT, attempt_put, &call);
    if (rc == 0)
        metric_add(s->bytes_out, body.len);
    return rc;
}

static int attempt_get(struct store_driver *d, void *arg, struct buf *why)
{
    struct object_call *call = arg;
    call->read->size = 0;
    return d->ops->get(d, call->key, call->read, why);
}

static int get(struct store *s, struct str key, struct store_read *read, size_t *out_size)
{
    struct object_call call = {.read = read};
    int rc = run_on_object(s, key, STORE_GET, attempt_get, &call);
    if (rc < 0)
        return rc;
    CHECK(read->size <= read->capacity);
    metric_add(s->bytes_in, read->size);
    rate_wait(&s->download, read->size);
    *out_size = read->size;
    return 0;
}

int store_get(struct store *s, struct str key, char *out, size_t capacity, size_t *out_size)
{
    struct store_read read = {.whole = true, .out = out, .capacity = capacity};
    return get(s, key, &read, out_size);
}

int store_get_range(struct store *s, struct str key, uint64_t offset, char *out, size_t size, size_t *out_size)
{
    struct store_read read = {.offset = offset, .out = out, .capacity = size};
    return get(s, key, &read, out_size);
}

static int attempt_delete(struct store_driver *d, void *arg, struct buf *why)
{
    struct object_call *call = arg;
    return d->ops->delete(d, call->key, why);
}

int store_delete(struct store *s, struct str key)
{
    struct object_call call = {0};
    return run_on_object(s, key, STORE_DELETE, attempt_delete, &call);
}

static int attempt_head(struct store_driver *d, void *arg, struct buf *why)
{
    struct object_call *call = arg;
    return d->ops->head(d, call->key, call->object, why);
}

int store_head(struct store *s, struct str key, struct store_object *out)
{
    struct store_object object = {.key = key};
    struct object_call call = {.object = &object};
    int rc = run_on_object(s, key, STORE_HEAD, attempt_head, &call);
    if (rc == 0)
        *out = object;
    return rc;
}

static int attempt_create(struct store_driver *d, void *arg UNUSED, struct buf *why)
{
    return d->ops->create(d, why);
}

int store_create(struct store *s)
{
    int rc = 0;
    for (uint32_t i = 0; i < s->shard_count && rc == 0; i++)
        rc = store_run(s, i, STORE_CREATE, attempt_create, NULL);
    return rc;
}

static bool is_shard_missing(struct store *s, uint32_t shard)
{
    struct store_object ignored;
    struct object_call call = {.key = STR("juicefs_uuid"), .object = &ignored}; /* of any name: the bucket is what counts */
    return store_run(s, shard, STORE_HEAD, attempt_head, &call) == -ENXIO;
}

void store_complete(struct store *s)
{
    bool missing[LIMIT_STORE_SHARDS];
    uint32_t count = 0;
    struct place *p = take_place(s);
    bool late = p->ops->late_shards;
    leave_place(s, p);
    if (!late)
        return;
    for (uint32_t i = 0; i < s->shard_count; i++) {
        missing[i] = is_shard_missing(s, i);
        count += missing[i];
    }
    for (uint32_t i = 0; i < s->shard_count && count < s->shard_count; i++) {
        if (missing[i] && store_run(s, i, STORE_CREATE, attempt_create, NULL) < 0)
            log_debug("shard_not_made", "shard=%u", i); /* whoever needs it says why */
    }
}
