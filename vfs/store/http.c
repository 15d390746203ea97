#include "vfs/store/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <curl/curl.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/mutex.h"

/* Bytes per read from a connection; curl's default of 16 KiB costs a tenth of the rate with large blocks. */
#define READ_BYTES (256 * 1024L)

/* Bytes a second below which a transfer stands still. Not 1: curl means the average of five seconds, in which the head of an
 * answer alone is more. */
#define STALL_RATE 1024L

struct connection {
    struct list link;
    CURL *easy;
    char error[CURL_ERROR_SIZE];
};

struct http_client {
    struct http_client_config config;
    struct mutex lock; /* guards what follows */
    struct list idle;  /* the last used first */
    size_t idle_count;
};

static void init_library(void)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

static char *copy_text(const char *z)
{
    if (!z || !z[0])
        return NULL;
    char *copy = strdup(z);
    CHECK(copy != NULL); /* out of memory */
    return copy;
}

struct http_client *http_client_new(const struct http_client_config *config)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CHECK(pthread_once(&once, init_library) == 0);
    struct http_client *c = calloc(1, sizeof(*c));
    CHECK(c != NULL); /* out of memory */
    c->config = *config;
    c->config.ca_file = copy_text(config->ca_file);
    c->config.cert_file = copy_text(config->cert_file);
    c->config.key_file = copy_text(config->key_file);
    mutex_init(&c->lock);
    list_init(&c->idle);
    return c;
}

static void free_connection(struct connection *k)
{
    curl_easy_cleanup(k->easy);
    free(k);
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    for (struct list *link; (link = list_pop_front(&c->idle)) != NULL;)
        free_connection(list_entry(link, struct connection, link));
    mutex_done(&c->lock);
    free((void *)(uintptr_t)c->config.ca_file);
    free((void *)(uintptr_t)c->config.cert_file);
    free((void *)(uintptr_t)c->config.key_file);
    free(c);
}

/* Options are all of known types and values: only memory can fail. */
#define SET(easy, option, value) CHECK(curl_easy_setopt((easy), (option), (value)) == CURLE_OK)

static struct connection *take_connection(struct http_client *c)
{
    mutex_lock(&c->lock);
    struct list *link = list_pop_front(&c->idle);
    if (link)
        c->idle_count--;
    mutex_unlock(&c->lock);
    if (link)
        return list_entry(link, struct connection, link);
    struct connection *k = calloc(1, sizeof(*k));
    CHECK(k != NULL); /* out of memory */
    list_init(&k->link);
    k->easy = curl_easy_init();
    CHECK(k->easy != NULL); /* out of memory */
    return k;
}

static void give_connection(struct http_client *c, struct connection *k)
{
    curl_easy_reset(k->easy); /* forgets options, keeps the connection */
    mutex_lock(&c->lock);
    bool keep = c->idle_count < LIMIT_STORE_IDLE_CONNECTIONS;
    if (keep) {
        list_push_front(&c->idle, &k->link);
        c->idle_count++;
    }
    mutex_unlock(&c->lock);
    if (!keep)
        free_connection(k);
}

/* The answer's bytes */

static bool is_success(const struct http_exchange *x)
{
    return x->status >= 200 && x->status < 300;
}

static void take_head_line(struct http_exchange *x, struct str line)
{
    ptrdiff_t colon = str_find_char(line, ':');
    while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
        line.len--;
    if (str_starts(line, STR("HTTP/"))) { /* also behind a 100 Continue */
        x->head.header_count = 0;
        return;
    }
    if (colon <= 0 || x->head.header_count == LIMIT_HEADER_COUNT)
        return;
    struct http_header *h = &x->head.headers[x->head.header_count++];
    h->name = arena_dup(x->arena, str_first(line, (size_t)colon));
    h->value = arena_dup(x->arena, str_trim(str_from(line, (size_t)colon + 1)));
}

static size_t on_head(char *ptr, size_t size, size_t count, void *data)
{
    take_head_line(data, str_of(ptr, size * count));
    return size * count;
}

static struct str wanted_of_whole(struct http_exchange *x, struct str bytes)
{
    uint64_t before = x->range_offset > x->passed ? x->range_offset - x->passed : 0;
    x->passed += bytes.len;
    bytes = before < bytes.len ? str_from(bytes, (size_t)before) : STR_EMPTY;
    return str_first(bytes, x->capacity - x->size);
}

static bool take_object_bytes(struct http_exchange *x, struct str bytes)
{
    if (x->is_range && x->status == 200)
        bytes = wanted_of_whole(x, bytes);
    if (bytes.len > x->capacity - x->size) {
        x->overflow = true;
        return false;
    }
    if (bytes.len > 0)
        memcpy(x->out + x->size, bytes.ptr, bytes.len);
    x->size += bytes.len;
    return true;
}

struct transfer {
    CURL *easy;
    struct http_exchange *x;
};

/* Returning less than it was given makes curl stop. */
static size_t on_body(char *ptr, size_t size, size_t count, void *data)
{
    struct transfer *t = data;
    struct http_exchange *x = t->x;
    struct str bytes = str_of(ptr, size * count);
    long status = 0;
    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status); /* cannot fail here */
    x->status = (int)status;
    if (!is_success(x)) {
        buf_add(x->error_body, str_first(bytes, x->error_body->max - x->error_body->len));
        return bytes.len;
    }
    if (!x->out) {
        buf_add(x->out_buf, bytes);
        x->overflow = x->out_buf->failed;
        return x->overflow ? 0 : bytes.len;
    }
    return take_object_bytes(x, bytes) ? bytes.len : 0;
}

/* The request */

static struct curl_slist *header_lines(const struct http_head *head, struct arena *arena)
{
    struct curl_slist *lines = NULL;
    for (size_t i = 0; i < head->header_count; i++) {
        const struct http_header *h = &head->headers[i];
        struct str line = arena_printf(arena, "%.*s: %.*s", STR_ARG(h->name), STR_ARG(h->value));
        lines = curl_slist_append(lines, line.ptr);
        CHECK(lines != NULL); /* out of memory */
    }
    /* curl's own additions that no store needs: an empty value leaves the header out. */
    lines = curl_slist_append(lines, "Expect:");
    CHECK(lines != NULL);
    lines = curl_slist_append(lines, "Accept:");
    CHECK(lines != NULL);
    return lines;
}

/* Addresses */

static bool is_public_v4(uint32_t address)
{
    static const struct {
        uint32_t network;
        int bits;
    } others[] = {{0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},
                  {0xa9fe0000, 16}, {0xac100000, 12}, {0xc0a80000, 16}, {0xe0000000, 3}};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if ((address ^ others[i].network) >> (32 - others[i].bits) == 0)
            return false;
    return true;
}

/* Of IPv6 only global unicast, 2000::/3, and what stands for an IPv4 address. */
static bool is_public(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)address;
        return is_public_v4(ntohl(v4->sin_addr.s_addr));
    }
    const struct sockaddr_in6 *v6 = (const void *)address;
    const uint8_t *b = v6->sin6_addr.s6_addr;
    if (address->sa_family != AF_INET6)
        return false;
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        return is_public_v4((uint32_t)b[12] << 24 | (uint32_t)b[13] << 16 | (uint32_t)b[14] << 8 | b[15]);
    return (b[0] & 0xe0) == 0x20;
}

static curl_socket_t open_public_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)data;
    (void)purpose;
    if (!is_public(&address->addr))
        return CURL_SOCKET_BAD;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static void set_options(const struct http_client *c, CURL *e)
{
    const struct http_client_config *o = &c->config;
    SET(e, CURLOPT_NOSIGNAL, 1L);
    SET(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(e, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(e, CURLOPT_PATH_AS_IS, 1L);
    SET(e, CURLOPT_TCP_KEEPALIVE, 1L);
    SET(e, CURLOPT_BUFFERSIZE, READ_BYTES);
    SET(e, CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_timeout_ms);
    SET(e, CURLOPT_TIMEOUT_MS, (long)o->request_timeout_ms);
    SET(e, CURLOPT_LOW_SPEED_LIMIT, STALL_RATE);
    SET(e, CURLOPT_LOW_SPEED_TIME, (long)((o->stall_timeout_ms + 999) / 1000));
    if (o->ca_file)
        SET(e, CURLOPT_CAINFO, o->ca_file);
    if (o->cert_file)
        SET(e, CURLOPT_SSLCERT, o->cert_file);
    if (o->key_file)
        SET(e, CURLOPT_SSLKEY, o->key_file);
    if (o->public_only)
        SET(e, CURLOPT_OPENSOCKETFUNCTION, open_public_socket);
    if (o->insecure) {
        SET(e, CURLOPT_SSL_VERIFYPEER, 0L);
        SET(e, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

static void set_request(CURL *e, const struct http_exchange *x, const struct curl_slist *lines)
{
    const struct str method = x->request->method;
    SET(e, CURLOPT_URL, x->url);
    SET(e, CURLOPT_HTTPHEADER, lines);
    if (str_is(method, "HEAD")) {
        SET(e, CURLOPT_NOBODY, 1L);
    } else if (str_is(method, "PUT")) {
        /* As POST's fields the body is sent from where it is, and again when a kept connection turns out to be dead. */
        SET(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body.len);
        SET(e, CURLOPT_POSTFIELDS, x->body.len ? x->body.ptr : "");
        SET(e, CURLOPT_CUSTOMREQUEST, "PUT");
    } else if (str_is(method, "DELETE")) {
        SET(e, CURLOPT_CUSTOMREQUEST, "DELETE");
    } else {
        CHECK(str_is(method, "GET"));
        SET(e, CURLOPT_HTTPGET, 1L);
    }
}

/* An answer ends by its length or its last chunk; one that ends with the connection may be cut anywhere. */
static bool is_framed(const struct http_exchange *x)
{
    return str_is(x->request->method, "HEAD") || x->status == 204 || x->status == 304 ||
           http_find(&x->head, "content-length") || http_find(&x->head, "transfer-encoding");
}

static bool is_hopeless(CURLcode code)
{
    static const CURLcode codes[] = {CURLE_URL_MALFORMAT,     CURLE_UNSUPPORTED_PROTOCOL,   CURLE_SSL_CERTPROBLEM,
                                     CURLE_SSL_CACERT_BADFILE, CURLE_PEER_FAILED_VERIFICATION};
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        if (codes[i] == code)
            return true;
    return false;
}

static int finish(struct http_exchange *x, const struct connection *k, CURLcode code, struct buf *why)
{
    long status = 0;
    (void)curl_easy_getinfo(k->easy, CURLINFO_RESPONSE_CODE, &status); /* cannot fail here */
    x->status = (int)status;
    buf_reset(why);
    if (x->overflow) {
        buf_addz(why, "the answer has more bytes than were asked for");
        return -EFBIG;
    }
    if (code != CURLE_OK) {
        buf_addz(why, k->error[0] ? k->error : curl_easy_strerror(code));
        return is_hopeless(code) ? -EIO : -EAGAIN;
    }
    if (!is_framed(x)) {
        buf_addz(why, "the answer has no length");
        return -EAGAIN;
    }
    return 0;
}

int http_client_run(struct http_client *c, struct http_exchange *x, struct buf *why)
{
    struct connection *k = take_connection(c);
    struct transfer t = {.easy = k->easy, .x = x};
    struct curl_slist *lines = header_lines(x->request, x->arena);
    x->size = 0;
    x->passed = 0;
    x->head.header_count = 0;
    x->overflow = false;
    k->error[0] = '\0';
    set_options(c, k->easy);
    set_request(k->easy, x, lines);
    SET(k->easy, CURLOPT_ERRORBUFFER, k->error);
    SET(k->easy, CURLOPT_HEADERFUNCTION, on_head);
    SET(k->easy, CURLOPT_HEADERDATA, x);
    SET(k->easy, CURLOPT_WRITEFUNCTION, on_body);
    SET(k->easy, CURLOPT_WRITEDATA, &t);
    int rc = finish(x, k, curl_easy_perform(k->easy), why);
    give_connection(c, k);
    curl_slist_free_all(lines);
    return rc;
}
