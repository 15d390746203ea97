#include "tests/support/s3_engine.h"

#include <errno.h>
#include <ftw.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/live.h"
#include "auth/sigv4.h"
#include "auth/store.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/encode.h"
#include "vfs/dir/open_files.h"
#include "vfs/vfs.h"

/* At once. */
#define FEED_PIECES_MAX 3
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct s3_engine {
    char path[64];
    char *root, *state;
    struct vfs *volume;
    struct auth_live *identities;
    struct s3_service *service;
    struct s3_engine_options options;
    struct arena *arena;
    struct signing_key_cache *keys;
    struct str region;
    uint64_t calls;
    bool is_caller; /* of another engine's service */
    bool is_guest;  /* on another engine's volume */
};

/* Life
 * ------------------------------------------------------------------------------------------------------------------ */

static void make_folders(struct s3_engine *e, const char *root)
{
    e->is_guest = root != NULL;
    snprintf(e->path, sizeof(e->path), "%s", root ? root : "/tmp/sluice-engine-XXXXXX");
    CHECK(root ? dirname(e->path) == e->path : mkdtemp(e->path) != NULL);
    e->root = arena_dupz(e->arena, arena_printf(e->arena, "%s/root", e->path));
    e->state = arena_dupz(e->arena, arena_printf(e->arena, "%s/state", e->path));
    CHECK(root || mkdir(e->root, 0755) == 0);
}

static void start_service(struct s3_engine *e)
{
    const struct s3_engine_options *o = &e->options;
    CHECK(auth_live_start(e->state, STR(S3_ENGINE_ACCESS_KEY), STR(S3_ENGINE_SECRET), &e->identities) == 0);
    struct s3_service_options service_options = {
        .volume = e->volume,
        .identities = e->identities,
        .region = e->region,
        .domain = str_z(o->domain),
        .single_bucket = str_z(o->single_bucket),
        .sigv2 = o->sigv2,
        .ownership = o->ownership,
        .block_public_access = o->block_public_access,
        .read_only = o->read_only,
        .upload_expiry_s = o->upload_expiry_s,
        .user_requests = o->user_requests,
        .user_rate = o->user_rate,
    };
    CHECK(s3_service_new(&service_options, &e->service) == 0);
}

static void stop_service(struct s3_engine *e)
{
    s3_service_free(e->service);
    auth_live_stop(e->identities);
}

struct s3_engine *s3_engine_new(const struct s3_engine_options *options)
{
    open_files_keep_none_for_test(); /* who closes them would be a thread beside s3_engine_fork */
    struct s3_engine *e = calloc(1, sizeof(*e));
    CHECK(e != NULL);
    if (options)
        e->options = *options;
    e->arena = arena_new();
    e->keys = signing_key_cache_new();
    e->region = str_z(e->options.region ? e->options.region : "us-east-1");
    make_folders(e, e->options.root);
    const char *error = NULL;
    struct vfs_options volume_options = {.sync = VFS_SYNC_NONE,
                                         .xattr = e->options.sidecar ? VFS_XATTR_SIDECAR : VFS_XATTR_AUTO};
    CHECK(vfs_open_volume(e->root, &volume_options, &e->volume, &error) == 0);
    start_service(e);
    return e;
}

pid_t s3_engine_fork(struct s3_engine *e)
{
    CHECK(!e->is_caller);
    stop_service(e);
    pid_t child = fork();
    start_service(e);
    return child;
}

void s3_engine_exit(struct s3_engine *e, int code)
{
    stop_service(e);
    _exit(code);
}

struct s3_engine *s3_engine_caller(struct s3_engine *e)
{
    struct s3_engine *caller = malloc(sizeof(*caller));
    CHECK(caller != NULL);
    *caller = *e;
    caller->arena = arena_new();
    caller->keys = signing_key_cache_new();
    caller->is_caller = true;
    return caller;
}

static int remove_node(const char *path, const struct stat *st UNUSED, int kind UNUSED, struct FTW *ftw UNUSED)
{
    return remove(path);
}

static void close_engine(struct s3_engine *e)
{
    stop_service(e);
    vfs_close_volume(e->volume);
    CHECK(e->is_guest || nftw(e->path, remove_node, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

void s3_engine_free(struct s3_engine *e)
{
    if (!e)
        return;
    if (!e->is_caller)
        close_engine(e);
    signing_key_cache_free(e->keys);
    arena_free(e->arena);
    free(e);
}

const char *s3_engine_root(const struct s3_engine *e)
{
    return e->root;
}

struct s3_service *s3_engine_service(const struct s3_engine *e)
{
    return e->service;
}

struct arena *s3_engine_arena(const struct s3_engine *e)
{
    return e->arena;
}

static struct str secret_of(const struct s3_engine *e, const char *access_key)
{
    return access_key ? arena_printf(e->arena, "secret-of-%s", access_key) : STR(S3_ENGINE_SECRET);
}

static void add_user(struct s3_engine *e, const struct auth_user_spec *spec)
{
    struct auth_store *store = NULL;
    struct str key, secret;
    CHECK(auth_store_open(e->state, &store) == 0);
    CHECK(auth_store_user_add(store, spec) == 0);
    struct str wanted = secret_of(e, arena_dupz(e->arena, spec->name));
    CHECK(auth_store_key_add(store, spec->name, spec->name, wanted, e->arena, &key, &secret) == 0);
    auth_store_close(store);
    CHECK(auth_live_reload(e->identities) == 0);
}

void s3_engine_add_user(struct s3_engine *e, const char *name, const char *bucket, bool read_only)
{
    struct str only = str_z(bucket);
    add_user(e, &(struct auth_user_spec){
                    .name = str_z(name), .read_only = read_only, .buckets = &only, .bucket_count = bucket ? 1 : 0});
}

void s3_engine_add_posix_user(struct s3_engine *e, const char *name, uint32_t uid, uint32_t gid)
{
    add_user(e, &(struct auth_user_spec){.name = str_z(name), .posix = {.set = true, .uid = uid, .gid = gid}});
}

/* Signing
 * --------------------------------------------------------------------------------------------------------------- */

struct wire {
    struct s3_engine *e;
    const struct s3_call *call;
    struct http_head head;
    struct str amz_date, scope;
    struct str seed; /* signature of the head */
    struct buf body;
};

static void add_header(struct wire *w, const char *name, struct str value)
{
    CHECK(w->head.header_count < LIMIT_HEADER_COUNT);
    w->head.headers[w->head.header_count++] =
        (struct http_header){arena_dup(w->e->arena, str_z(name)), arena_dup(w->e->arena, value)};
}

static struct str hex_sha256(struct s3_engine *e, struct str bytes)
{
    uint8_t value[DIGEST_SIZE_MAX];
    char *text = arena_alloc(e->arena, 65);
    digest_bytes(DIGEST_SHA256, bytes, value);
    hex_encode(value, 32, text);
    return str_z(text);
}

static struct str payload_hash(struct wire *w)
{
    switch (w->call->wire) {
    case S3_WIRE_SHA256:
        return hex_sha256(w->e, w->call->body);
    case S3_WIRE_UNSIGNED:
        return STR("UNSIGNED-PAYLOAD");
    case S3_WIRE_STREAM:
        return STR("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    case S3_WIRE_STREAM_TRAILER:
        return STR("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER");
    case S3_WIRE_UNSIGNED_TRAILER:
        break;
    }
    return STR("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
}

static bool is_aws_chunked(const struct wire *w)
{
    return w->call->wire >= S3_WIRE_STREAM;
}

/* A signature of the right form that fits nothing. */
static void forge(struct str authorization)
{
    char *signature = (char *)(uintptr_t)authorization.ptr + authorization.len - SIGV4_SIGNATURE_SIZE;
    memset(signature, '5', SIGV4_SIGNATURE_SIZE);
}

static void sign_header(struct wire *w)
{
    struct sigv4_signer signer = {
        .access_key = str_z(w->call->access_key ? w->call->access_key : S3_ENGINE_ACCESS_KEY),
        .secret = secret_of(w->e, w->call->access_key),
        .region = w->e->region,
        .keys = w->e->keys,
    };
    struct str authorization = sigv4_sign(&signer, &w->head, w->e->arena);
    if (w->call->auth == S3_CALL_FORGED)
        forge(authorization);
    w->seed = str_from(authorization, authorization.len - SIGV4_SIGNATURE_SIZE);
    add_header(w, "Authorization", authorization);
}

/* A URL that signs the Host header only, as SDKs make them. */
static void sign_query(struct wire *w)
{
    struct arena *a = w->e->arena;
    struct str path, raw_query;
    struct auth_query query;
    struct str canonical;
    const char *access_key = w->call->access_key ? w->call->access_key : S3_ENGINE_ACCESS_KEY;
    struct str target = arena_printf(
        a,
        "%s%cX-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%s%%2F%.*s%%2F%.*s%%2Fs3%%2Faws4_request&X-Amz-Date=%.*s"
        "&X-Amz-Expires=600&X-Amz-SignedHeaders=host",
        w->call->target, strchr(w->call->target, '?') ? '&' : '?', access_key, 8, w->amz_date.ptr,
        STR_ARG(w->e->region), STR_ARG(w->amz_date));
    http_split_target(target, &path, &raw_query);
    CHECK(auth_query_parse(raw_query, a, &query));
    struct sigv4_message message = {
        .method = w->head.method,
        .path = path,
        .query = &query,
        .headers = w->head.headers,
        .header_count = w->head.header_count,
        .signed_headers = STR("host"),
        .payload_hash = STR("UNSIGNED-PAYLOAD"),
    };
    uint8_t key[SIGNING_KEY_SIZE];
    char signature[SIGV4_SIGNATURE_SIZE];
    CHECK(sigv4_canonical_request(&message, a, &canonical));
    signing_key_derive(secret_of(w->e, w->call->access_key), str_first(w->amz_date, 8), w->e->region, key);
    sigv4_signature(key, sigv4_string_to_sign(w->amz_date, w->scope, canonical, a), signature);
    if (w->call->auth == S3_CALL_FORGED_QUERY)
        memset(signature, '5', sizeof(signature));
    w->head.target = arena_printf(a, "%.*s&X-Amz-Signature=%.*s", STR_ARG(target), (int)sizeof(signature), signature);
}

/* Bodies
 * ---------------------------------------------------------------------------------------------------------------- */

static void add_chunk_signature(struct wire *w, const char *algorithm, const char *first_hash, struct str data_sha256)
{
    struct arena *a = w->e->arena;
    uint8_t key[SIGNING_KEY_SIZE];
    char *signature = arena_alloc(a, SIGV4_SIGNATURE_SIZE + 1);
    struct str string_to_sign = arena_printf(a, "%s\n%.*s\n%.*s\n%.*s\n%s%.*s", algorithm, STR_ARG(w->amz_date),
                                             STR_ARG(w->scope), STR_ARG(w->seed), first_hash, STR_ARG(data_sha256));
    signing_key_derive(secret_of(w->e, w->call->access_key), str_first(w->amz_date, 8), w->e->region, key);
    sigv4_signature(key, string_to_sign, signature);
    w->seed = str_z(signature);
    buf_add(&w->body, w->seed);
}

static void add_chunk(struct wire *w, struct str bytes)
{
    bool is_signed = w->call->wire != S3_WIRE_UNSIGNED_TRAILER;
    buf_addf(&w->body, "%zx", bytes.len);
    if (is_signed) {
        buf_addz(&w->body, ";chunk-signature=");
        add_chunk_signature(w, "AWS4-HMAC-SHA256-PAYLOAD", EMPTY_SHA256 "\n", hex_sha256(w->e, bytes));
    }
    buf_addz(&w->body, "\r\n");
    buf_add(&w->body, bytes);
    if (bytes.len > 0)
        buf_addz(&w->body, "\r\n");
}

static void add_trailer(struct wire *w)
{
    enum s3_checksum_kind kind = w->call->trailer;
    struct str canonical = STR("");
    if (kind != S3_CHECKSUM_NONE) {
        struct s3_checksum checksum = {.kind = kind};
        uint8_t value[DIGEST_SIZE_MAX];
        char text[S3_CHECKSUM_TEXT_MAX];
        digest_bytes(s3_checksum_digest(kind), w->call->body, value);
        memcpy(checksum.value, value, s3_checksum_size(kind));
        struct str base64 = s3_checksum_text(&checksum, text);
        canonical = arena_printf(w->e->arena, "%s:%.*s\n", s3_checksum_header(kind), STR_ARG(base64));
        buf_addf(&w->body, "%s:%.*s\r\n", s3_checksum_header(kind), STR_ARG(base64));
    }
    if (w->call->wire == S3_WIRE_STREAM_TRAILER) {
        buf_addz(&w->body, "x-amz-trailer-signature:");
        add_chunk_signature(w, "AWS4-HMAC-SHA256-TRAILER", "", hex_sha256(w->e, canonical));
        buf_addz(&w->body, "\r\n");
    }
}

static void write_body(struct wire *w)
{
    struct str rest = w->call->body;
    size_t chunk_size = w->call->chunk_size ? w->call->chunk_size : 64 * 1024;
    w->body = buf_make(SIZE_MAX / 2);
    if (!is_aws_chunked(w)) {
        buf_add(&w->body, rest);
        return;
    }
    while (rest.len > 0) {
        struct str chunk = str_first(rest, chunk_size);
        rest = str_from(rest, chunk.len);
        add_chunk(w, chunk);
    }
    add_chunk(w, STR(""));
    if (w->call->wire != S3_WIRE_STREAM)
        add_trailer(w);
    buf_addz(&w->body, "\r\n");
}

/* The size that the body will have on the wire, which is signed before the body is. */
static size_t wire_size(const struct wire *w)
{
    struct wire probe = {.e = w->e, .call = w->call, .amz_date = w->amz_date, .scope = w->scope};
    probe.seed = STR(EMPTY_SHA256);
    write_body(&probe);
    size_t size = probe.body.len;
    buf_done(&probe.body);
    return size;
}

/* The head
 * -------------------------------------------------------------------------------------------------------------- */

static void add_own_headers(struct wire *w)
{
    for (size_t i = 0; i < S3_CALL_HEADERS_MAX && w->call->headers[i]; i++) {
        struct str line = str_z(w->call->headers[i]);
        ptrdiff_t colon = str_find_char(line, ':');
        CHECK(colon > 0);
        add_header(w, arena_dupz(w->e->arena, str_first(line, (size_t)colon)),
                   str_trim(str_from(line, (size_t)colon + 1)));
    }
}

static void add_body_headers(struct wire *w)
{
    struct arena *a = w->e->arena;
    if (!w->call->body.ptr)
        return;
    if (!w->call->no_length)
        add_header(w, "Content-Length", arena_printf(a, "%zu", wire_size(w)));
    if (!is_aws_chunked(w))
        return;
    add_header(w, "x-amz-decoded-content-length", arena_printf(a, "%zu", w->call->body.len));
    if (w->call->wire != S3_WIRE_STREAM && w->call->trailer != S3_CHECKSUM_NONE)
        add_header(w, "x-amz-trailer", str_z(s3_checksum_header(w->call->trailer)));
}

static void write_head(struct wire *w)
{
    const struct s3_call *call = w->call;
    char date[CLOCK_TEXT_MAX];
    w->amz_date = arena_dup(w->e->arena, clock_format_amz(clock_wall_s() - call->age_s, date));
    w->scope = arena_printf(w->e->arena, "%.8s/%.*s/s3/aws4_request", w->amz_date.ptr, STR_ARG(w->e->region));
    w->head = (struct http_head){.method = str_z(call->method), .target = str_z(call->target), .minor_version = 1};
    add_header(w, "Host", str_z(call->host ? call->host : S3_ENGINE_HOST));
    add_own_headers(w);
    add_body_headers(w);
    switch (call->auth) {
    case S3_CALL_SIGNED:
    case S3_CALL_FORGED:
        add_header(w, "x-amz-date", w->amz_date);
        add_header(w, "x-amz-content-sha256", payload_hash(w));
        sign_header(w);
        break;
    case S3_CALL_PRESIGNED:
    case S3_CALL_FORGED_QUERY:
        sign_query(w);
        break;
    case S3_CALL_ANONYMOUS:
        break;
    }
}

/* Driving
 * --------------------------------------------------------------------------------------------------------------- */

static void read_file(struct s3_answer *a, const struct s3_reply *reply, struct buf *out)
{
    char block[4096];
    uint64_t done = 0;
    while (done < (uint64_t)reply->length) {
        uint64_t left = (uint64_t)reply->length - done;
        ssize_t n = vfs_read(reply->file, block, left < sizeof(block) ? (size_t)left : sizeof(block),
                             reply->file_offset + done);
        CHECK(n > 0);
        buf_add(out, str_of(block, (size_t)n));
        done += (uint64_t)n;
    }
    a->length = reply->length;
}

static void read_stream(struct s3_op *op, struct buf *out)
{
    char block[1000];
    ssize_t n;
    while ((n = s3_produce(op, block, sizeof(block))) > 0)
        buf_add(out, str_of(block, (size_t)n));
    CHECK(n == 0);
}

static void collect_body(struct s3_engine *e, struct s3_op *op, struct s3_answer *a)
{
    const struct s3_reply *reply = s3_reply(op);
    struct buf body = buf_make(SIZE_MAX / 2);
    switch (reply->body) {
    case S3_REPLY_NONE:
        break;
    case S3_REPLY_BYTES:
        buf_add(&body, reply->bytes);
        break;
    case S3_REPLY_FILE:
        read_file(a, reply, &body);
        break;
    case S3_REPLY_STREAM:
        read_stream(op, &body);
        break;
    }
    a->body = arena_dup(e->arena, buf_str(&body));
    buf_done(&body);
}

static void collect_head(struct s3_engine *e, const struct s3_reply *reply, struct s3_answer *a)
{
    struct http_header *headers = arena_array_of(e->arena, struct http_header, reply->header_count);
    for (size_t i = 0; i < reply->header_count; i++)
        headers[i] = (struct http_header){arena_dup(e->arena, reply->headers[i].name),
                                          arena_dup(e->arena, reply->headers[i].value)};
    a->status = reply->status;
    a->headers = headers;
    a->header_count = reply->header_count;
    a->length = reply->length;
    a->close = reply->close;
}

/* The head is sent before the result is known; the document's rest follows, whatever it says. */
static void answer_early(struct s3_engine *e, struct s3_op *op, struct s3_answer *a)
{
    const struct s3_reply *early = s3_early_reply(op);
    CHECK(early->body == S3_REPLY_BYTES && early->length == -1);
    collect_head(e, early, a);
    a->body = arena_dup(e->arena, early->bytes);
    a->answered_early = true;
}

static void collect(struct s3_engine *e, struct s3_op *op, struct s3_answer *a)
{
    if (a->answered_early) {
        a->body = arena_printf(e->arena, "%.*s  %.*s", STR_ARG(a->body), STR_ARG(s3_late_bytes(op)));
    } else {
        collect_head(e, s3_reply(op), a);
        collect_body(e, op, a);
    }
    s3_op_describe(op, &a->info);
    a->info.user = arena_dup(e->arena, a->info.user);
    a->info.access_key = arena_dup(e->arena, a->info.access_key);
    a->info.bucket = arena_dup(e->arena, a->info.bucket);
    a->info.key = arena_dup(e->arena, a->info.key);
    if (a->info.cause)
        a->info.cause = arena_dupz(e->arena, str_z(a->info.cause));
    /* HEAD has no document: the engine's word for the error serves. */
    a->code = str_z(a->info.error_code);
}

/* Feeds `count` pieces from the front of body at once, or what there is, and returns their bytes. From memory of their own, so that a
 * view kept into it shows under the sanitizer. */
static size_t feed_some(struct s3_op *op, struct str body, size_t size, size_t count)
{
    char *copies[FEED_PIECES_MAX];
    struct str at[FEED_PIECES_MAX];
    size_t used = 0, len = 0;
    for (; used < count && len < body.len; used++) {
        struct str piece = str_first(str_from(body, len), size);
        copies[used] = malloc(piece.len);
        CHECK(copies[used] != NULL);
        memcpy(copies[used], piece.ptr, piece.len);
        at[used] = str_of(copies[used], piece.len);
        len += piece.len;
    }
    (void)s3_feed(op, pieces_at(at, used));
    for (size_t i = 0; i < used; i++)
        free(copies[i]);
    return len;
}

static void drive(struct s3_engine *e, struct s3_op *op, const struct s3_call *call, struct str body,
                  struct s3_answer *a)
{
    a->answered_by_begin = s3_state(op) == S3_REPLY;
    size_t feed_size = call->feed_size ? call->feed_size : body.len;
    for (size_t count = 1; body.len > 0 && s3_state(op) == S3_BODY; count = count % FEED_PIECES_MAX + 1)
        body = str_from(body, feed_some(op, body, feed_size, count));
    while (s3_state(op) != S3_REPLY) {
        (void)s3_finish(op);
        CHECK(++a->steps < 1000000);
        if (call->early && !a->answered_early && s3_may_answer_early(op))
            answer_early(e, op, a);
    }
}

static bool is_read(const struct s3_call *call)
{
    return !call->body.ptr && (strcmp(call->method, "GET") == 0 || strcmp(call->method, "HEAD") == 0);
}

struct s3_answer *s3_call(struct s3_engine *e, const struct s3_call *call)
{
    struct s3_answer *a = arena_new_of(e->arena, struct s3_answer);
    struct arena *request_arena = arena_new();
    struct wire w = {.e = e, .call = call};
    write_head(&w);
    write_body(&w);
    if (call->tamper)
        call->tamper(&w.body);
    bool has_body = call->body.ptr != NULL;
    struct s3_incoming in = {
        .head = &w.head,
        .request_id = arena_printf(request_arena, "%016ju", (uintmax_t)++e->calls),
        .host_id = STR("engine"),
        .peer_address = STR("127.0.0.1"),
        .tls = call->tls,
        .has_body = has_body && (call->no_length || w.body.len > 0),
        .content_length = has_body && !call->no_length ? (int64_t)wire_size(&w) : -1,
    };
    /* As the gateway: what can be said without waiting is said so, by whatever test it is asked for. */
    struct s3_op *op = is_read(call) ? s3_begin_quick(e->service, &in, request_arena) : NULL;
    a->was_quick = op != NULL;
    if (!op)
        op = s3_begin(e->service, &in, request_arena);
    drive(e, op, call, has_body ? buf_str(&w.body) : STR_EMPTY, a);
    collect(e, op, a);
    s3_end(op);
    arena_free(request_arena);
    buf_done(&w.body);
    return a;
}

struct s3_answer *s3_do(struct s3_engine *e, const char *method, const char *target, const char *body)
{
    struct s3_call call = {.method = method, .target = target, .body = str_z(body)};
    return s3_call(e, &call);
}

/* Looking at answers
 * ---------------------------------------------------------------------------------------------------- */

struct s3_answer *s3_put_document(struct s3_engine *e, const char *target, const char *document)
{
    uint8_t md5[DIGEST_SIZE_MAX];
    struct buf header = buf_make(100);
    struct s3_call call = {.method = "PUT", .target = target, .body = str_z(document)};
    digest_bytes(DIGEST_MD5, call.body, md5);
    buf_addz(&header, "Content-MD5: ");
    buf_add_base64(&header, md5, 16);
    call.headers[0] = buf_z(&header);
    struct s3_answer *answer = s3_call(e, &call);
    buf_done(&header);
    return answer;
}

struct str s3_answer_header(const struct s3_answer *a, const char *name)
{
    for (size_t i = 0; i < a->header_count; i++)
        if (str_eq_nocase(a->headers[i].name, str_z(name)))
            return a->headers[i].value;
    return STR_EMPTY;
}

/* Behind the next "<name>" or "<name attributes>"; ptr NULL when there is none. */
static struct str after_open_tag(struct str xml, const char *name)
{
    struct str wanted = str_z(name);
    ptrdiff_t at;
    while ((at = str_find_char(xml, '<')) >= 0) {
        xml = str_from(xml, (size_t)at + 1);
        struct str rest = str_from(xml, wanted.len);
        bool is_name = str_starts(xml, wanted) && rest.len > 0 && (rest.ptr[0] == '>' || rest.ptr[0] == ' ');
        ptrdiff_t end = str_find_char(xml, '>');
        if (is_name && end >= 0)
            return str_from(xml, (size_t)end + 1);
    }
    return STR_EMPTY;
}

struct str s3_answer_element(const struct s3_answer *a, const char *name)
{
    struct str rest = after_open_tag(a->body, name);
    if (!rest.ptr)
        return STR_EMPTY;
    char close[64];
    snprintf(close, sizeof(close), "</%s>", name);
    ptrdiff_t end = str_find(rest, str_z(close));
    return str_first(rest, end < 0 ? 0 : (size_t)end);
}

size_t s3_answer_count(const struct s3_answer *a, const char *name)
{
    size_t count = 0;
    struct str rest = a->body;
    while ((rest = after_open_tag(rest, name)).ptr)
        count++;
    return count;
}

/* Fingerprint
 * ----------------------------------------------------------------------------------------------------------- */

static _Thread_local struct buf *fingerprint;

static int add_node(const char *path, const struct stat *st, int kind UNUSED, struct FTW *ftw UNUSED)
{
    buf_addf(fingerprint, "%s %ju %o %ju.%09ld\n", path, (uintmax_t)(S_ISDIR(st->st_mode) ? 0 : st->st_size),
             (unsigned)st->st_mode, (uintmax_t)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
    return 0;
}

static int compare_lines(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

struct str s3_engine_fingerprint(const struct s3_engine *e)
{
    struct buf lines = buf_make(SIZE_MAX / 2);
    struct str sorted[10000];
    struct str line;
    size_t count = 0;
    fingerprint = &lines;
    CHECK(nftw(e->root, add_node, 16, FTW_PHYS) == 0);
    struct str rest = buf_str(&lines);
    while (str_split(&rest, '\n', &line)) {
        CHECK(count < ARRAY_SIZE(sorted));
        sorted[count++] = line;
    }
    qsort(sorted, count, sizeof(sorted[0]), compare_lines);
    struct buf text = buf_make(SIZE_MAX / 2);
    for (size_t i = 0; i < count; i++) {
        buf_add(&text, sorted[i]);
        buf_addc(&text, '\n');
    }
    struct str result = arena_dup(e->arena, buf_str(&text));
    buf_done(&text);
    buf_done(&lines);
    return result;
}
