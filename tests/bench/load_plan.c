/* Requests, made and signed beforehand. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "auth/sigv4.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/fd.h"
#include "tests/bench/load.h"

#define HEAD_BYTES_MAX 8192
#define BODY_FILE_BYTES_MAX (16 * 1024 * 1024)

struct load_plan {
    const struct load_options *o;
    struct signing_key_cache *keys;
    struct arena *arena; /* of one request under construction */
    struct str *heads;
    size_t count, next;
    struct buf walk;
    struct buf body;
};

static void add_number(struct buf *b, struct str format, uint64_t number)
{
    ptrdiff_t at = str_find(format, STR("{n}"));
    if (at < 0) {
        buf_add(b, format);
        return;
    }
    buf_add(b, str_first(format, (size_t)at));
    buf_addf(b, "%08llu", (unsigned long long)number);
    buf_add(b, str_from(format, (size_t)at + 3));
}

static void add_header(struct http_head *h, struct str name, struct str value)
{
    CHECK(h->header_count < LIMIT_HEADER_COUNT);
    h->headers[h->header_count++] = (struct http_header){name, value};
}

static void add_signature(struct load_plan *p, struct http_head *h)
{
    const struct load_options *o = p->o;
    char date[CLOCK_TEXT_MAX];
    struct sigv4_signer signer = {o->access_key, o->secret_key, o->region, p->keys};
    if (o->access_key.len == 0)
        return;
    add_header(h, STR("x-amz-content-sha256"), STR("UNSIGNED-PAYLOAD"));
    add_header(h, STR("x-amz-date"), arena_dup(p->arena, clock_format_amz(clock_wall_s(), date)));
    add_header(h, STR("Authorization"), sigv4_sign(&signer, h, p->arena));
}

/* What a client adds that no signature covers, and what proxies may change. */
static void add_unsigned(struct load_plan *p, struct http_head *h, uint64_t number)
{
    const struct load_options *o = p->o;
    if (o->range_size > 0) {
        uint64_t first = number * o->range_size % (o->object_size - o->object_size % o->range_size);
        add_header(h, STR("Range"), arena_printf(p->arena, "bytes=%llu-%llu", (unsigned long long)first,
                                                 (unsigned long long)(first + o->range_size - 1)));
    }
    if (p->body.len > 0 || str_is(h->method, "PUT") || str_is(h->method, "POST"))
        add_header(h, STR("Content-Length"), arena_printf(p->arena, "%zu", p->body.len));
}

static void write_head(struct load_plan *p, struct str target, uint64_t number, struct buf *out)
{
    struct http_head *h = arena_new_of(p->arena, struct http_head);
    h->method = p->o->method;
    h->target = target;
    h->minor_version = 1;
    add_header(h, STR("Host"), arena_printf(p->arena, "%s:%llu", p->o->host, (unsigned long long)p->o->port));
    if (p->o->header_name.len > 0)
        add_header(h, p->o->header_name, p->o->header_value);
    add_signature(p, h);
    add_unsigned(p, h, number);
    buf_addf(out, "%.*s %.*s HTTP/1.1\r\n", STR_ARG(h->method), STR_ARG(h->target));
    for (size_t i = 0; i < h->header_count; i++)
        buf_addf(out, "%.*s: %.*s\r\n", STR_ARG(h->headers[i].name), STR_ARG(h->headers[i].value));
    buf_addz(out, "User-Agent: sluice-load\r\n\r\n");
    CHECK(!out->failed);
    arena_reset(p->arena);
}

static struct str make_head(struct load_plan *p, uint64_t number)
{
    char text[HEAD_BYTES_MAX];
    struct buf target = buf_over(text, sizeof(text));
    struct buf head = buf_make(HEAD_BYTES_MAX);
    add_number(&target, p->o->target, number);
    write_head(p, buf_str(&target), number, &head);
    return buf_str(&head); /* freed with the plan */
}

static void make_body(struct load_plan *p)
{
    const struct load_options *o = p->o;
    p->body = buf_make(o->body_file ? BODY_FILE_BYTES_MAX : (size_t)o->body_size);
    if (o->body_file) {
        CHECK(fd_read_file(AT_FDCWD, o->body_file, &p->body) == 0);
        return;
    }
    if (o->body_size == 0)
        return;
    char *bytes = buf_reserve(&p->body, (size_t)o->body_size);
    CHECK(bytes != NULL);
    for (size_t i = 0; i < o->body_size; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    buf_extend(&p->body, (size_t)o->body_size);
}

struct load_plan *load_plan_new(const struct load_options *o)
{
    struct load_plan *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    p->o = o;
    p->keys = signing_key_cache_new();
    p->arena = arena_new();
    p->walk = buf_make(HEAD_BYTES_MAX);
    make_body(p);
    if (o->walk)
        return p;
    p->count = (size_t)o->count;
    p->heads = calloc(p->count, sizeof(*p->heads));
    CHECK(p->heads != NULL);
    for (size_t i = 0; i < p->count; i++)
        p->heads[i] = make_head(p, o->first + i);
    return p;
}

void load_plan_free(struct load_plan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        struct buf head = {.ptr = (char *)(uintptr_t)p->heads[i].ptr};
        buf_done(&head);
    }
    free(p->heads);
    buf_done(&p->walk);
    buf_done(&p->body);
    arena_free(p->arena);
    signing_key_cache_free(p->keys);
    free(p);
}

struct str load_plan_body(const struct load_plan *p)
{
    return buf_str(&p->body);
}

struct str load_plan_next(struct load_plan *p, struct str token)
{
    if (!p->o->walk) {
        struct str head = p->heads[p->next];
        p->next = p->next + 1 == p->count ? 0 : p->next + 1;
        return head;
    }
    char text[HEAD_BYTES_MAX];
    struct buf target = buf_over(text, sizeof(text));
    buf_add(&target, p->o->target);
    if (token.len > 0) {
        buf_addz(&target, "&continuation-token=");
        buf_add_uri(&target, token, false);
    }
    buf_reset(&p->walk);
    write_head(p, buf_str(&target), 0, &p->walk);
    return buf_str(&p->walk);
}
