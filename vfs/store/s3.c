/* Objects in a bucket of an S3-compatible store, as the official client puts them there (§2.6): the user metadata `Crc32c`
 * holds the CRC-32C of the body as a decimal number and is compared when a whole object is read; payloads are not signed.
 * Unlike there, credentials that the volume does not name come from the environment only. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "auth/sigv4.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/encode.h"
#include "base/xml.h"
#include "vfs/store/http.h"
#include "vfs/store/s3_endpoint.h"
#include "vfs/store/store_driver.h"

#define DEFAULT_REGION "us-east-1"
/* Access without credentials, by the official client's convention. */
#define ANONYMOUS "anonymous"
#define CHECKSUM_HEADER "x-amz-meta-crc32c"
#define ERROR_BODY_MAX (16 * 1024)

struct s3_store {
    struct store_driver driver;
    struct arena *arena; /* holds the texts */
    struct s3_endpoint endpoint;
    struct str session_token, storage_class;
    struct sigv4_signer signer;
    bool anonymous;
    bool checksums;
    struct http_client *http;
};

static struct s3_store *self(struct store_driver *d)
{
    return container_of(d, struct s3_store, driver);
}

/* Opening */

static struct str environment(const char *name)
{
    return str_z(getenv(name));
}

static struct str default_region(void)
{
    struct str region = environment("AWS_REGION");
    if (region.len == 0)
        region = environment("AWS_DEFAULT_REGION");
    return region.len > 0 ? region : STR(DEFAULT_REGION);
}

/* The official client's switch. */
static bool wants_virtual_hosts(void)
{
    struct str v = environment("JFS_S3_VHOST_STYLE");
    return v.len > 0 && !str_is(v, "0") && !str_is(v, "false");
}

static void set_credentials(struct s3_store *s, const struct store_config *config)
{
    bool given = config->access_key.len > 0;
    struct str key = given ? config->access_key : environment("AWS_ACCESS_KEY_ID");
    struct str secret = given ? config->secret_key : environment("AWS_SECRET_ACCESS_KEY");
    struct str token = given ? config->session_token : environment("AWS_SESSION_TOKEN");
    s->signer.access_key = arena_dup(s->arena, key);
    s->signer.secret = arena_dup(s->arena, secret);
    s->session_token = arena_dup(s->arena, token);
    s->anonymous = str_is(key, ANONYMOUS);
}

static const char *parameter(const struct s3_store *s, const char *name)
{
    return s->endpoint.parameters.count ? arena_dupz(s->arena, auth_query_get(&s->endpoint.parameters, name)) : NULL;
}

static bool switched_on(const struct s3_store *s, const char *name)
{
    return str_eq_nocase(auth_query_get(&s->endpoint.parameters, name), STR("true"));
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

static void make_client(struct s3_store *s, const struct store_config *config)
{
    const struct http_client_config http = {
        .ca_file = parameter(s, "ca-certs"),
        .cert_file = parameter(s, "ssl-cert"),
        .key_file = parameter(s, "ssl-key"),
        .insecure = switched_on(s, "tls-insecure-skip-verify"),
        .connect_timeout_ms = or_default(config->connect_timeout_ms, LIMIT_STORE_CONNECT_TIMEOUT_MS),
        .stall_timeout_ms = or_default(config->stall_timeout_ms, LIMIT_STORE_STALL_TIMEOUT_MS),
        .request_timeout_ms = or_default(config->request_timeout_ms, LIMIT_STORE_REQUEST_TIMEOUT_MS),
    };
    s->http = http_client_new(&http);
}

static int check_config(const struct s3_store *s, struct str bucket, struct buf *why)
{
    if (s->signer.access_key.len == 0)
        return store_fail(why, -EINVAL, "no access key for the bucket %.*s, in the volume or as AWS_ACCESS_KEY_ID",
                          STR_ARG(bucket));
    if (s->signer.access_key.len > LIMIT_ACCESS_KEY_BYTES || s->signer.secret.len > LIMIT_SECRET_KEY_BYTES)
        return store_fail(why, -EINVAL, "the access key or its secret is too long");
    return 0;
}

static void s3_close(struct store_driver *d)
{
    struct s3_store *s = self(d);
    http_client_free(s->http);
    signing_key_cache_free(s->signer.keys);
    secure_zero((void *)(uintptr_t)s->signer.secret.ptr, s->signer.secret.len);
    secure_zero((void *)(uintptr_t)s->session_token.ptr, s->session_token.len);
    arena_free(s->arena);
    free(s);
}

static int s3_open(const struct store_config *config, struct str bucket, struct store_driver **out, struct buf *why)
{
    struct s3_store *s = calloc(1, sizeof(*s));
    CHECK(s != NULL); /* out of memory */
    s->driver.ops = &store_s3_ops;
    s->arena = arena_new();
    s->signer.keys = signing_key_cache_new();
    set_credentials(s, config);
    s->storage_class = arena_dup(s->arena, config->storage_class);
    int rc = check_config(s, bucket, why);
    if (rc == 0 && !s3_endpoint_parse(bucket, wants_virtual_hosts(), default_region(), s->arena, &s->endpoint))
        rc = store_fail(why, -EINVAL, "not the URL of a bucket: %.*s", STR_ARG(bucket));
    if (rc < 0) {
        s3_close(&s->driver);
        return rc;
    }
    s->signer.region = s->endpoint.region;
    s->checksums = !switched_on(s, "disable-checksum");
    make_client(s, config);
    *out = &s->driver;
    return 0;
}

/* One request */

struct request {
    const struct s3_store *store;
    struct arena *arena;
    struct http_head head;
    struct http_exchange exchange;
    struct buf error_body;
};

static struct request *request_new(const struct s3_store *s, struct str method)
{
    struct arena *arena = arena_new();
    struct request *r = arena_new_of(arena, struct request);
    r->store = s;
    r->arena = arena;
    r->head.method = method;
    r->error_body = buf_make(ERROR_BODY_MAX);
    r->exchange.request = &r->head;
    r->exchange.arena = arena;
    r->exchange.error_body = &r->error_body;
    return r;
}

static void request_freep(struct request **r)
{
    buf_done(&(*r)->error_body);
    arena_free((*r)->arena);
}

static void add_header(struct request *r, struct str name, struct str value)
{
    CHECK(r->head.header_count < LIMIT_HEADER_COUNT);
    r->head.headers[r->head.header_count++] = (struct http_header){name, value};
}

/* The path of a key ("" for the bucket itself), percent-encoded, and the query as it is. */
static void set_target(struct request *r, struct str key, struct str query)
{
    const struct s3_endpoint *e = &r->store->endpoint;
    size_t size = 3 * (e->bucket.len + key.len) + query.len + 8;
    struct buf target = buf_over(arena_alloc(r->arena, size), size);
    buf_addc(&target, '/');
    if (!e->by_host) {
        buf_add_uri(&target, e->bucket, false);
        if (key.len > 0)
            buf_addc(&target, '/');
    }
    buf_add_uri(&target, key, true);
    if (query.len > 0) {
        buf_addc(&target, '?');
        buf_add(&target, query);
    }
    CHECK(!target.failed);
    r->head.target = buf_str(&target);
    r->exchange.url = arena_printf(r->arena, "%s://%.*s%.*s", e->tls ? "https" : "http", STR_ARG(e->host),
                                   STR_ARG(r->head.target)).ptr;
}

static void sign(struct request *r)
{
    const struct s3_store *s = r->store;
    add_header(r, STR("Host"), s->endpoint.host);
    if (s->anonymous)
        return;
    char *date = arena_alloc(r->arena, CLOCK_TEXT_MAX);
    add_header(r, STR("x-amz-date"), clock_format_amz(clock_wall_s(), date));
    add_header(r, STR("x-amz-content-sha256"), STR("UNSIGNED-PAYLOAD"));
    if (s->session_token.len > 0)
        add_header(r, STR("x-amz-security-token"), s->session_token);
    add_header(r, STR("Authorization"), sigv4_sign(&s->signer, &r->head, r->arena));
}

/* What an answer that is no success means. */
static const struct {
    int status;       /* 0: any */
    const char *code; /* of the error document; NULL: any or none */
    int error;
} meanings[] = {
    {0, "SlowDown", -EBUSY},
    {0, "RequestTimeout", -EAGAIN},
    {0, "NoSuchBucket", -ENXIO},
    {0, "PermanentRedirect", -ENXIO},
    {0, "AuthorizationHeaderMalformed", -EACCES},
    {0, "InvalidStorageClass", -EINVAL},
    {404, NULL, -ENOENT},
    {401, NULL, -EACCES},
    {403, NULL, -EACCES},
    {408, NULL, -EAGAIN},
    {429, NULL, -EBUSY},
    {503, NULL, -EBUSY},
    {500, NULL, -EAGAIN},
    {502, NULL, -EAGAIN},
    {504, NULL, -EAGAIN},
};

static int meaning_of(int status, struct str code)
{
    for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
        if ((meanings[i].status == 0 || meanings[i].status == status) &&
            (meanings[i].code == NULL || str_is(code, meanings[i].code)))
            return meanings[i].error;
    return -EIO;
}

static int fail_answer(struct request *r, struct buf *why)
{
    struct xml_node *document = xml_parse(buf_str(&r->error_body), r->arena);
    struct str code = xml_child_text(document, "Code");
    struct str message = xml_child_text(document, "Message");
    struct str id = http_get(&r->exchange.head, "x-amz-request-id");
    return store_fail(why, meaning_of(r->exchange.status, code), "%.*s %.*s: HTTP %d %.*s %.*s (request %.*s)",
                      STR_ARG(r->head.method), STR_ARG(r->head.target), r->exchange.status, STR_ARG(code),
                      STR_ARG(message), STR_ARG(id));
}

/* Signs, sends, and makes an errno of an answer that is no success. */
static int run(struct request *r, struct buf *why)
{
    sign(r);
    int rc = http_client_run(r->store->http, &r->exchange, why);
    if (rc < 0)
        return rc;
    if (r->exchange.status < 200 || r->exchange.status >= 300)
        return fail_answer(r, why);
    return 0;
}

/* Objects */

static uint32_t crc32c_of(struct str bytes)
{
    uint8_t crc[DIGEST_SIZE_MAX];
    digest_bytes(DIGEST_CRC32C, bytes, crc);
    return (uint32_t)crc[0] << 24 | (uint32_t)crc[1] << 16 | (uint32_t)crc[2] << 8 | crc[3];
}

static int s3_put(struct store_driver *d, struct str key, struct str body, struct buf *why)
{
    const struct s3_store *s = self(d);
    CLEANUP(request_freep) struct request *r = request_new(s, STR("PUT"));
    set_target(r, key, STR_EMPTY);
    add_header(r, STR("Content-Type"), STR("application/octet-stream"));
    if (s->checksums)
        add_header(r, STR(CHECKSUM_HEADER), arena_printf(r->arena, "%" PRIu32, crc32c_of(body)));
    if (s->storage_class.len > 0)
        add_header(r, STR("x-amz-storage-class"), s->storage_class);
    r->exchange.body = body;
    struct buf ignored = buf_make(ERROR_BODY_MAX);
    r->exchange.out_buf = &ignored;
    int rc = run(r, why);
    buf_done(&ignored);
    return rc == -ENOENT ? -ENXIO : rc;
}

/* The number of bytes the answer's head promises; true when there is one. */
static bool promised_size(const struct request *r, uint64_t *out)
{
    return str_parse_u64(http_get(&r->exchange.head, "content-length"), out);
}

static int check_whole(const struct request *r, const struct store_read *read, struct buf *why)
{
    uint64_t expected;
    if (r->exchange.status != 200)
        return store_fail(why, -EIO, "HTTP %d for a whole object", r->exchange.status);
    if (!r->store->checksums || !str_parse_u64_max(http_get(&r->exchange.head, CHECKSUM_HEADER), UINT32_MAX, &expected))
        return 0;
    uint32_t found = crc32c_of(str_of(read->out, read->size));
    if (found == expected)
        return 0;
    return store_fail(why, -EBADMSG, "%.*s has CRC-32C %" PRIu32 ", it should be %" PRIu64, STR_ARG(r->head.target), found,
                      expected);
}

/* "bytes 5-9/100" begins where it was asked to. */
static int check_range(const struct request *r, const struct store_read *read, struct buf *why)
{
    uint64_t first;
    struct str value = http_get(&r->exchange.head, "content-range");
    if (r->exchange.status == 200)
        return 0;
    if (str_starts_nocase(value, STR("bytes "))) {
        value = str_trim(str_from(value, 6));
        ptrdiff_t dash = str_find_char(value, '-');
        if (dash > 0 && str_parse_u64(str_first(value, (size_t)dash), &first) && first == read->offset)
            return 0;
    }
    return store_fail(why, -EIO, "HTTP %d without the range that was asked for", r->exchange.status);
}

static int s3_get(struct store_driver *d, struct str key, struct store_read *read, struct buf *why)
{
    CLEANUP(request_freep) struct request *r = request_new(self(d), STR("GET"));
    if (read->capacity == 0 && !read->whole)
        return 0;
    set_target(r, key, STR_EMPTY);
    if (!read->whole) {
        add_header(r, STR("Range"), arena_printf(r->arena, "bytes=%" PRIu64 "-%" PRIu64, read->offset,
                                                 read->offset + read->capacity - 1));
        r->exchange.is_range = true;
        r->exchange.range_offset = read->offset;
    }
    r->exchange.out = read->out;
    r->exchange.capacity = read->capacity;
    int rc = run(r, why);
    if (!read->whole && r->exchange.status == 416) /* nothing is there any more */
        return 0;
    if (rc == -EFBIG && !read->whole)
        return -EIO; /* more than the range that was asked for */
    if (rc < 0)
        return rc;
    read->size = r->exchange.size;
    return read->whole ? check_whole(r, read, why) : check_range(r, read, why);
}

static int s3_head(struct store_driver *d, struct str key, struct store_object *out, struct buf *why)
{
    CLEANUP(request_freep) struct request *r = request_new(self(d), STR("HEAD"));
    set_target(r, key, STR_EMPTY);
    int rc = run(r, why);
    if (rc < 0)
        return rc;
    int64_t modified_s = 0;
    if (!promised_size(r, &out->size) || !clock_parse_http(http_get(&r->exchange.head, "last-modified"), &modified_s))
        return store_fail(why, -EIO, "the answer for %.*s has no length or time", STR_ARG(r->head.target));
    out->mtime_ns = modified_s * 1000000000;
    return 0;
}

static int s3_delete(struct store_driver *d, struct str key, struct buf *why)
{
    CLEANUP(request_freep) struct request *r = request_new(self(d), STR("DELETE"));
    set_target(r, key, STR_EMPTY);
    struct buf ignored = buf_make(ERROR_BODY_MAX);
    r->exchange.out_buf = &ignored;
    int rc = run(r, why);
    buf_done(&ignored);
    return rc == -ENOENT ? 0 : rc;
}

/* Listing: ListObjectsV2 from the last key on. Keys come percent-encoded, since XML cannot hold all of them. */

static int add_object(struct request *r, const struct xml_node *contents, struct str prefix, struct str after,
                      struct store_page *page, struct buf *why)
{
    struct store_object *o = &page->objects[page->count];
    struct str encoded = xml_child_text(contents, "Key");
    struct buf key = buf_over(arena_alloc(page->arena, encoded.len + 1), encoded.len + 1);
    bool ok = uri_decode(encoded, true, &key) && str_parse_u64(xml_child_text(contents, "Size"), &o->size) &&
              clock_parse_iso8601(xml_child_text(contents, "LastModified"), &o->mtime_ns);
    o->key = buf_str(&key);
    /* A store that gives other keys than were asked for would send the caller around in circles, or wipe what is not its. */
    struct str before = page->count > 0 ? page->objects[page->count - 1].key : after;
    if (!ok || !str_starts(o->key, prefix) || str_cmp(o->key, before) <= 0)
        return store_fail(why, -EIO, "%.*s: a listing with an entry that cannot be: %.*s", STR_ARG(r->head.target),
                          STR_ARG(encoded));
    page->count++;
    return 0;
}

static int take_listing(struct request *r, struct str body, struct str prefix, struct str after, struct store_page *page,
                        struct buf *why)
{
    struct xml_node *document = xml_parse(body, r->arena);
    if (!document || !str_is(document->name, "ListBucketResult"))
        return store_fail(why, -EIO, "%.*s: not a listing", STR_ARG(r->head.target));
    int rc = 0;
    for (const struct xml_node *n = document->first_child; n && rc == 0; n = n->next) {
        if (!str_is(n->name, "Contents"))
            continue;
        if (page->count == LIMIT_STORE_LIST_KEYS)
            return store_fail(why, -EIO, "%.*s: more keys than were asked for", STR_ARG(r->head.target));
        rc = add_object(r, n, prefix, after, page, why);
    }
    page->more = rc == 0 && page->count > 0 && str_is(xml_child_text(document, "IsTruncated"), "true");
    return rc;
}

static int s3_list(struct store_driver *d, struct str prefix, struct str after, struct store_page *page, struct buf *why)
{
    CLEANUP(request_freep) struct request *r = request_new(self(d), STR("GET"));
    size_t size = 3 * (prefix.len + after.len) + 128;
    struct buf query = buf_over(arena_alloc(r->arena, size), size);
    buf_addf(&query, "encoding-type=url&list-type=2&max-keys=%d&prefix=", LIMIT_STORE_LIST_KEYS);
    buf_add_uri(&query, prefix, false);
    if (after.len > 0) {
        buf_addz(&query, "&start-after=");
        buf_add_uri(&query, after, false);
    }
    CHECK(!query.failed);
    set_target(r, STR_EMPTY, buf_str(&query));
    struct buf body = buf_make(LIMIT_STORE_LIST_BYTES);
    r->exchange.out_buf = &body;
    int rc = run(r, why);
    if (rc == 0)
        rc = take_listing(r, buf_str(&body), prefix, after, page, why);
    buf_done(&body);
    return rc == -ENOENT ? -ENXIO : rc;
}

static int s3_create(struct store_driver *d, struct buf *why)
{
    const struct s3_store *s = self(d);
    struct str region = s->endpoint.region;
    CLEANUP(request_freep) struct request *look = request_new(s, STR("HEAD"));
    set_target(look, STR_EMPTY, STR_EMPTY);
    int rc = run(look, why);
    if (rc != -ENOENT && rc != -ENXIO)
        return rc;

    CLEANUP(request_freep) struct request *r = request_new(s, STR("PUT"));
    set_target(r, STR_EMPTY, STR_EMPTY);
    if (!str_is(region, DEFAULT_REGION)) /* which AWS refuses to be told */
        r->exchange.body = arena_printf(r->arena,
                                        "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                                        "<LocationConstraint>%.*s</LocationConstraint></CreateBucketConfiguration>",
                                        STR_ARG(region));
    struct buf ignored = buf_make(ERROR_BODY_MAX);
    r->exchange.out_buf = &ignored;
    rc = run(r, why);
    buf_done(&ignored);
    if (rc < 0 && r->exchange.status == 409) /* somebody else was faster; if it is not ours, the first object shows */
        return 0;
    return rc;
}

const struct store_ops store_s3_ops = {
    .name = "s3",
    .open = s3_open,
    .close = s3_close,
    .create = s3_create,
    .put = s3_put,
    .get = s3_get,
    .head = s3_head,
    .delete = s3_delete,
    .list = s3_list,
};
