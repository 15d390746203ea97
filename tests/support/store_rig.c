#include "tests/support/store_rig.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/encode.h"
#include "base/fd.h"
#include "base/list.h"
#include "base/mutex.h"

#define HEAD_MAX (16 * 1024)
#define BODY_MAX (64 * 1024 * 1024)
#define THREADS_MAX 256

struct object {
    struct list link; /* in the order of keys */
    struct buf key, body, crc;
};

struct store_rig {
    int listener;
    uint16_t port;
    pthread_t acceptor;
    atomic_uint delay_ms, requests, in_work, peak;

    struct mutex lock; /* guards what follows */
    struct list objects;
    enum store_rig_fault fault;
    unsigned fault_count;
    pthread_t threads[THREADS_MAX];
    int sockets[THREADS_MAX];
    unsigned thread_count;
};

struct peer {
    struct store_rig *rig;
    int fd;
    struct buf in;
    /* the request */
    struct buf method, query, key;
    struct str head;
    struct buf body;
    enum store_rig_fault fault;
};

static bool send_all(struct peer *p, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(p->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes = str_from(bytes, (size_t)n);
    }
    return true;
}

static bool receive_some(struct peer *p)
{
    char *room = buf_reserve(&p->in, 64 * 1024);
    CHECK(room != NULL);
    ssize_t n = recv(p->fd, room, 64 * 1024, 0);
    if (n <= 0)
        return false;
    buf_extend(&p->in, (size_t)n);
    return true;
}

static struct str header(const struct peer *p, const char *name)
{
    struct str rest = p->head, line;
    while (str_split(&rest, '\n', &line)) {
        ptrdiff_t colon = str_find_char(line, ':');
        if (colon > 0 && str_eq_nocase(str_first(line, (size_t)colon), str_z(name))) {
            struct str value = str_trim(str_from(line, (size_t)colon + 1));
            if (str_ends(value, STR("\r")))
                value.len--;
            return value;
        }
    }
    return STR_EMPTY;
}

/* One request into p; false when the peer is gone. */
static bool receive_request(struct peer *p)
{
    ptrdiff_t end;
    while ((end = str_find(buf_str(&p->in), STR("\r\n\r\n"))) < 0)
        if (!receive_some(p))
            return false;
    p->head = str_first(buf_str(&p->in), (size_t)end + 2);
    uint64_t length = 0;
    struct str text = header(p, "content-length");
    if (text.len > 0)
        CHECK(str_parse_u64(text, &length));
    size_t total = (size_t)end + 4 + (size_t)length;
    while (p->in.len < total)
        if (!receive_some(p))
            return false;
    p->head = str_first(buf_str(&p->in), (size_t)end + 2); /* the buffer may have moved */

    struct str rest = p->head, method, target, path, query;
    CHECK(str_split(&rest, ' ', &method) && str_split(&rest, ' ', &target));
    ptrdiff_t question = str_find_char(target, '?');
    path = question < 0 ? target : str_first(target, (size_t)question);
    query = question < 0 ? STR_EMPTY : str_from(target, (size_t)question + 1);
    buf_reset(&p->method), buf_reset(&p->query), buf_reset(&p->key), buf_reset(&p->body);
    buf_add(&p->method, method);
    buf_add(&p->query, query);
    CHECK(str_starts(path, STR("/b")));
    if (path.len > 3)
        CHECK(uri_decode(str_from(path, 3), false, &p->key));
    buf_add(&p->body, str_of(p->in.ptr + end + 4, (size_t)length));
    return true;
}

static enum store_rig_fault take_fault(struct store_rig *r)
{
    mutex_lock(&r->lock);
    enum store_rig_fault f = RIG_GOOD;
    if (r->fault_count > 0) {
        f = r->fault;
        r->fault_count--;
    }
    mutex_unlock(&r->lock);
    return f;
}

static struct object *find(struct store_rig *r, struct str key)
{
    list_for_each(it, &r->objects)
    {
        struct object *o = list_entry(it, struct object, link);
        if (str_eq(buf_str(&o->key), key))
            return o;
    }
    return NULL;
}

static void free_object(struct object *o)
{
    list_remove(&o->link);
    buf_done(&o->key);
    buf_done(&o->body);
    buf_done(&o->crc);
    free(o);
}

static void put(struct peer *p)
{
    struct store_rig *r = p->rig;
    struct object *o = find(r, buf_str(&p->key));
    if (o)
        free_object(o);
    o = calloc(1, sizeof(*o));
    CHECK(o != NULL);
    o->key = buf_make(2048);
    o->body = buf_make(BODY_MAX);
    o->crc = buf_make(64);
    buf_add(&o->key, buf_str(&p->key));
    buf_add(&o->body, buf_str(&p->body));
    buf_add(&o->crc, header(p, "x-amz-meta-crc32c"));
    struct list *at = r->objects.next;
    while (at != &r->objects && str_cmp(buf_str(&list_entry(at, struct object, link)->key), buf_str(&p->key)) < 0)
        at = at->next;
    list_add_before(at, &o->link);
}

static void add_head(struct buf *out, int status, uint64_t length, struct peer *p)
{
    buf_addf(out, "HTTP/1.1 %d X\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nx-amz-request-id: rig\r\n", status);
    if (p->fault == RIG_NO_LENGTH)
        buf_addz(out, "Connection: close\r\n");
    else
        buf_addf(out, "Content-Length: %" PRIu64 "\r\n", length);
}

static void add_error(struct buf *out, struct peer *p, int status, const char *code)
{
    char body[128];
    int size = snprintf(body, sizeof(body), "<Error><Code>%s</Code><Message>no</Message></Error>", code);
    bool head_only = str_is(buf_str(&p->method), "HEAD");
    add_head(out, status, head_only ? 0 : (uint64_t)size, p);
    buf_addz(out, "\r\n");
    if (!head_only)
        buf_addz(out, body);
}

static void get(struct peer *p, struct buf *out)
{
    struct object *o = find(p->rig, buf_str(&p->key));
    if (!o) {
        add_error(out, p, 404, "NoSuchKey");
        return;
    }
    struct str body = buf_str(&o->body), range = header(p, "range");
    uint64_t first = 0, last = 0, total = body.len;
    bool ranged = range.len > 0 && p->fault != RIG_NO_RANGES;
    if (ranged) {
        struct str spec = str_from(range, 6), a;
        CHECK(str_split(&spec, '-', &a) && str_parse_u64(a, &first) && str_parse_u64(spec, &last));
        if (first >= total) {
            add_error(out, p, 416, "InvalidRange");
            return;
        }
        if (p->fault == RIG_WRONG_RANGE && first > 0)
            first--;
        body = str_first(str_from(body, (size_t)first), (size_t)(last - first + 1));
    }
    if (p->fault == RIG_SHORT && body.len > 0)
        body.len--;
    add_head(out, ranged ? 206 : 200, body.len, p);
    if (ranged)
        buf_addf(out, "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n", first, first + body.len - 1, total);
    if (o->crc.len > 0)
        buf_addf(out, "x-amz-meta-crc32c: %s\r\n", buf_z(&o->crc));
    buf_addz(out, "\r\n");
    if (str_is(buf_str(&p->method), "HEAD"))
        return;
    size_t at = out->len;
    buf_add(out, body);
    if (p->fault == RIG_CORRUPT && body.len > 0)
        out->ptr[at + body.len / 2] ^= 1;
    if (p->fault == RIG_CUT_BODY || p->fault == RIG_STALL)
        buf_truncate(out, at + body.len / 2);
}

static struct str query_value(struct peer *p, const char *name, struct buf *memory)
{
    struct str rest = buf_str(&p->query), item, key;
    while (str_split(&rest, '&', &item))
        if (str_split(&item, '=', &key) && str_is(key, name))
            CHECK(uri_decode(item, true, memory));
    return buf_str(memory);
}

static void list(struct peer *p, struct buf *out)
{
    struct buf prefix_text = buf_make(4096), after_text = buf_make(4096), xml = buf_make(BODY_MAX);
    struct str prefix = query_value(p, "prefix", &prefix_text), after = query_value(p, "start-after", &after_text);
    unsigned count = 0;
    bool more = false;
    buf_addz(&xml, p->fault == RIG_BAD_XML ? "<ListBucketResult><Contents>" : "<ListBucketResult>");
    list_for_each(it, &p->rig->objects)
    {
        struct object *o = list_entry(it, struct object, link);
        if (!str_starts(buf_str(&o->key), prefix) || str_cmp(buf_str(&o->key), after) <= 0)
            continue;
        if (count == 1000) {
            more = true;
            break;
        }
        buf_addz(&xml, "<Contents><Key>");
        if (p->fault == RIG_WRONG_KEYS)
            buf_addz(&xml, "other/");
        buf_add_uri(&xml, buf_str(&o->key), true);
        buf_addf(&xml, "</Key><Size>%zu</Size><LastModified>2009-10-12T17:50:30.000Z</LastModified></Contents>", o->body.len);
        count++;
    }
    buf_addf(&xml, "<IsTruncated>%s</IsTruncated></ListBucketResult>", more ? "true" : "false");
    add_head(out, 200, xml.len, p);
    buf_addz(out, "\r\n");
    buf_add(out, buf_str(&xml));
    buf_done(&prefix_text), buf_done(&after_text), buf_done(&xml);
}

static void answer(struct peer *p, struct buf *out)
{
    struct str method = buf_str(&p->method);
    if (header(p, "authorization").len == 0)
        add_error(out, p, 403, "AccessDenied");
    else if (p->fault == RIG_500)
        add_error(out, p, 500, "InternalError");
    else if (p->fault == RIG_SLOW_DOWN)
        add_error(out, p, 503, "SlowDown");
    else if (p->fault == RIG_429)
        add_error(out, p, 429, "TooManyRequests");
    else if (p->fault == RIG_403)
        add_error(out, p, 403, "AccessDenied");
    else if (str_is(method, "GET") && p->key.len == 0)
        list(p, out);
    else if (str_is(method, "GET") || (str_is(method, "HEAD") && p->key.len > 0))
        get(p, out);
    else {
        if (str_is(method, "PUT"))
            put(p);
        struct object *o = str_is(method, "DELETE") ? find(p->rig, buf_str(&p->key)) : NULL;
        if (o)
            free_object(o);
        add_head(out, str_is(method, "DELETE") ? 204 : 200, 0, p);
        buf_addz(out, "\r\n");
    }
}

static void wait_for_end(struct peer *p)
{
    while (receive_some(p))
        buf_reset(&p->in);
}

/* False when the connection ends here. */
static bool serve_one(struct peer *p)
{
    struct store_rig *r = p->rig;
    if (!receive_request(p))
        return false;
    atomic_fetch_add(&r->requests, 1);
    unsigned now = atomic_fetch_add(&r->in_work, 1) + 1, peak = atomic_load(&r->peak);
    while (now > peak && !atomic_compare_exchange_weak(&r->peak, &peak, now))
        ;
    if (atomic_load(&r->delay_ms))
        (void)usleep(atomic_load(&r->delay_ms) * 1000);
    p->fault = take_fault(r);
    struct buf out = buf_make(BODY_MAX + HEAD_MAX);
    mutex_lock(&r->lock);
    if (p->fault != RIG_RESET)
        answer(p, &out);
    mutex_unlock(&r->lock);
    buf_reset(&p->in);
    atomic_fetch_sub(&r->in_work, 1);
    bool ok = send_all(p, buf_str(&out));
    buf_done(&out);
    if (p->fault == RIG_RESET) {
        struct linger now_ = {1, 0};
        (void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now_, sizeof(now_));
    }
    if (p->fault == RIG_STALL)
        wait_for_end(p);
    return ok && p->fault != RIG_RESET && p->fault != RIG_CUT_BODY && p->fault != RIG_STALL && p->fault != RIG_NO_LENGTH;
}

static void *serve(void *arg)
{
    struct peer *p = arg;
    while (serve_one(p))
        ;
    (void)shutdown(p->fd, SHUT_RDWR);
    (void)close(p->fd);
    buf_done(&p->in), buf_done(&p->method), buf_done(&p->query), buf_done(&p->key), buf_done(&p->body);
    free(p);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct store_rig *r = arg;
    for (int fd; (fd = accept(r->listener, NULL, NULL)) >= 0;) {
        struct peer *p = calloc(1, sizeof(*p));
        CHECK(p != NULL);
        p->rig = r;
        p->fd = fd;
        p->in = buf_make(BODY_MAX + HEAD_MAX);
        p->method = buf_make(16);
        p->query = p->key = buf_make(HEAD_MAX);
        p->body = buf_make(BODY_MAX);
        mutex_lock(&r->lock);
        CHECK(r->thread_count < THREADS_MAX);
        r->sockets[r->thread_count] = dup(fd);
        thread_start(&r->threads[r->thread_count++], "rig", serve, p);
        mutex_unlock(&r->lock);
    }
    return NULL;
}

struct store_rig *store_rig_start(void)
{
    struct store_rig *r = calloc(1, sizeof(*r));
    CHECK(r != NULL);
    mutex_init(&r->lock);
    list_init(&r->objects);
    r->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);
    CHECK(bind(r->listener, (struct sockaddr *)&a, size) == 0 && listen(r->listener, 64) == 0);
    CHECK(getsockname(r->listener, (struct sockaddr *)&a, &size) == 0);
    r->port = ntohs(a.sin_port);
    thread_start(&r->acceptor, "rig-accept", accept_all, r);
    return r;
}

void store_rig_stop(struct store_rig *r)
{
    (void)shutdown(r->listener, SHUT_RDWR);
    CHECK(pthread_join(r->acceptor, NULL) == 0);
    for (unsigned i = 0; i < r->thread_count; i++) {
        (void)shutdown(r->sockets[i], SHUT_RDWR);
        CHECK(pthread_join(r->threads[i], NULL) == 0);
        (void)close(r->sockets[i]);
    }
    (void)close(r->listener);
    while (!list_empty(&r->objects))
        free_object(list_entry(r->objects.next, struct object, link));
    mutex_done(&r->lock);
    free(r);
}

uint16_t store_rig_port(const struct store_rig *r)
{
    return r->port;
}

void store_rig_fail(struct store_rig *r, enum store_rig_fault fault, unsigned count)
{
    mutex_lock(&r->lock);
    r->fault = fault;
    r->fault_count = count;
    mutex_unlock(&r->lock);
}

unsigned store_rig_requests(struct store_rig *r)
{
    return atomic_load(&r->requests);
}

unsigned store_rig_connections(struct store_rig *r)
{
    mutex_lock(&r->lock);
    unsigned count = r->thread_count;
    mutex_unlock(&r->lock);
    return count;
}

unsigned store_rig_peak(struct store_rig *r)
{
    return atomic_load(&r->peak);
}

void store_rig_delay(struct store_rig *r, unsigned ms)
{
    atomic_store(&r->delay_ms, ms);
}
