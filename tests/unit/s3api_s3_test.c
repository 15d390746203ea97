#include "tests/support/s3_engine.h"
#include "tests/support/unit.h"

#include "base/encode.h"

/* The five verbs from end to end: every shape of body that SDKs send, in any split, whole or tampered with; slow
 * answers. */

static struct s3_engine *engine;

static int set_up(void **state)
{
    (void)state;
    engine = s3_engine_new(NULL);
    assert_answer(s3_do(engine, "PUT", "/bkt", NULL), 200, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    s3_engine_free(engine);
    return 0;
}

static struct str noise(size_t size)
{
    static char bytes[300000];
    assert_true(size <= sizeof(bytes));
    uint32_t x = 1;
    for (size_t i = 0; i < size; i++) {
        x = x * 1664525u + 1013904223u;
        bytes[i] = (char)(x >> 24);
    }
    return str_of(bytes, size);
}

static struct str base64_of(enum digest_kind kind, struct str bytes)
{
    uint8_t value[DIGEST_SIZE_MAX];
    struct buf b = buf_make(100);
    digest_bytes(kind, bytes, value);
    buf_add_base64(&b, value, digest_size(kind));
    struct str s = arena_dup(s3_engine_arena(engine), buf_str(&b));
    buf_done(&b);
    return s;
}

static const char *header(const char *name, struct str value)
{
    return arena_printf(s3_engine_arena(engine), "%s: %.*s", name, STR_ARG(value)).ptr;
}

/* Shapes
 * ---------------------------------------------------------------------------------------------------------------- */

static const struct shape {
    const char *name;
    enum s3_call_wire wire;
    bool no_length;
    enum s3_checksum_kind trailer, checksum;
    bool md5;
    const char *header;
    enum s3_call_auth auth;
} shapes[] = {
    {.name = "A: signed payload, checksum in the header", .wire = S3_WIRE_SHA256, .checksum = S3_CHECKSUM_CRC32},
    {.name = "B: unsigned with trailer, no length",
     .wire = S3_WIRE_UNSIGNED_TRAILER,
     .no_length = true,
     .trailer = S3_CHECKSUM_CRC32,
     .header = "Content-Encoding: aws-chunked"},
    {.name = "B of aws-cli v2", .wire = S3_WIRE_UNSIGNED_TRAILER, .no_length = true, .trailer = S3_CHECKSUM_CRC64NVME},
    {.name = "B with a length", .wire = S3_WIRE_UNSIGNED_TRAILER, .trailer = S3_CHECKSUM_SHA256},
    {.name = "C: signed chunks", .wire = S3_WIRE_STREAM, .md5 = true},
    {.name = "C': signed chunks and trailer",
     .wire = S3_WIRE_STREAM_TRAILER,
     .trailer = S3_CHECKSUM_CRC32C,
     .header = "Content-Encoding: gzip,aws-chunked"},
    {.name = "C' without a trailer", .wire = S3_WIRE_STREAM_TRAILER},
    {.name = "D: unsigned payload", .wire = S3_WIRE_UNSIGNED, .md5 = true},
    {.name = "E: presigned", .wire = S3_WIRE_UNSIGNED, .auth = S3_CALL_PRESIGNED},
};

static struct s3_call call_of(const struct shape *shape, struct str body)
{
    struct s3_call call = {
        .method = "PUT",
        .target = "/bkt/dir/key",
        .body = body,
        .wire = shape->wire,
        .no_length = shape->no_length,
        .trailer = shape->trailer,
        .auth = shape->auth,
    };
    size_t count = 0;
    if (shape->header)
        call.headers[count++] = shape->header;
    if (shape->md5)
        call.headers[count++] = header("Content-MD5", base64_of(DIGEST_MD5, body));
    if (shape->checksum != S3_CHECKSUM_NONE) {
        struct str value = base64_of(s3_checksum_digest(shape->checksum), body);
        call.headers[count++] = header(s3_checksum_header(shape->checksum), value);
        call.headers[count++] = header("x-amz-sdk-checksum-algorithm", str_z(s3_checksum_name(shape->checksum)));
    }
    return call;
}

static void test_every_shape_stores_the_bytes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 5, 65535, 65536, 65537, 200000};
    static const size_t feeds[] = {1, 7, 4096, 65536, 0};
    for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
        for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
            struct str body = noise(sizes[k]);
            for (size_t f = sizes[k] > 10 ? 2 : 0; f < ARRAY_SIZE(feeds); f++) {
                struct s3_call call = call_of(&shapes[i], body);
                call.feed_size = feeds[f];
                const struct s3_answer *a = s3_call(engine, &call);
                if (a->status != 200)
                    fail_msg("%s, %zu bytes by %zu: %d %.*s", shapes[i].name, sizes[k], feeds[f], a->status,
                             STR_ARG(a->body));
                a = s3_do(engine, "GET", "/bkt/dir/key", NULL);
                assert_answer(a, 200, NULL);
                assert_true(str_eq(a->body, body));
            }
        }
    }
}

/* The framing's name is not part of what is kept. */
static void test_content_encoding(void **state)
{
    (void)state;
    struct s3_call call = call_of(&shapes[1], STR("x"));
    assert_answer(s3_call(engine, &call), 200, NULL);
    assert_null(s3_answer_header(s3_do(engine, "HEAD", "/bkt/dir/key", NULL), "content-encoding").ptr);
    call = call_of(&shapes[5], STR("x"));
    assert_answer(s3_call(engine, &call), 200, NULL);
    assert_str(s3_answer_header(s3_do(engine, "HEAD", "/bkt/dir/key", NULL), "content-encoding"), "gzip");
}

/* Tampering
 * ------------------------------------------------------------------------------------------------------------- */

static size_t flipped;

static void flip(struct buf *wire_body)
{
    wire_body->ptr[flipped % wire_body->len] ^= 1;
}

static void cut(struct buf *wire_body)
{
    buf_truncate(wire_body, wire_body->len - 1 - flipped % (wire_body->len - 1));
}

static void append(struct buf *wire_body)
{
    buf_addz(wire_body, "more");
}

static void assert_old_object(const char *what, size_t at)
{
    const struct s3_answer *a = s3_do(engine, "GET", "/bkt/dir/key", NULL);
    if (a->status != 200 || !str_is(a->body, "old"))
        fail_msg("%s, %zu: %d %.*s", what, at, a->status, STR_ARG(str_first(a->body, 100)));
}

/* No changed, missing or additional byte gets past the digests and signatures; the object that was there stays. SEC-04.
 */
static void test_tampered_bodies_change_nothing(void **state)
{
    (void)state;
    static void (*const tampers[])(struct buf *) = {flip, cut, append};
    struct str body = noise(20000);
    assert_answer(s3_do(engine, "PUT", "/bkt/dir/key", "old"), 200, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
        bool is_protected = shapes[i].auth != S3_CALL_PRESIGNED;
        for (size_t t = 0; t < ARRAY_SIZE(tampers) && is_protected; t++) {
            for (flipped = 0; flipped < 20000; flipped += 617) {
                struct s3_call call = call_of(&shapes[i], body);
                call.chunk_size = 9000;
                call.tamper = tampers[t];
                const struct s3_answer *a = s3_call(engine, &call);
                /* An unsigned chunk header's letter case, for one, may change without harm. */
                if (a->status == 200 && str_eq(s3_do(engine, "GET", "/bkt/dir/key", NULL)->body, body)) {
                    assert_answer(s3_do(engine, "PUT", "/bkt/dir/key", "old"), 200, NULL);
                    continue;
                }
                assert_true(a->status >= 400 && a->status < 500);
                assert_old_object(shapes[i].name, flipped);
            }
        }
    }
}

static void test_length_disagreements(void **state)
{
    (void)state;
    assert_answer(s3_do(engine, "PUT", "/bkt/dir/key", "old"), 200, NULL);
    struct s3_call call = call_of(&shapes[7], STR("hello"));
    call.headers[0] = NULL;
    call.tamper = append;
    assert_answer(s3_call(engine, &call), 400, "IncompleteBody");
    assert_old_object("too long", 0);
    flipped = 2;
    call.tamper = cut;
    assert_answer(s3_call(engine, &call), 400, "IncompleteBody");
    assert_old_object("too short", 0);
    call.tamper = NULL;
    call.no_length = true;
    assert_answer(s3_call(engine, &call), 200, NULL);
    assert_str(s3_do(engine, "GET", "/bkt/dir/key", NULL)->body, "hello");
}

/* A wrong checksum has its own answer, with the values to compare. */
static void test_digest_errors(void **state)
{
    (void)state;
    struct s3_call call = {.method = "PUT", .target = "/bkt/key", .body = STR("hello")};
    call.headers[0] = "Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==";
    const struct s3_answer *a = s3_call(engine, &call);
    assert_answer(a, 400, "BadDigest");
    assert_str(s3_answer_element(a, "CalculatedDigest"), "XUFAKrxLKna5cZ2REBfFkg==");
    call.headers[0] = NULL;
    call.tamper = append;
    call.wire = S3_WIRE_SHA256;
    call.body = STR("");
    a = s3_call(engine, &call);
    assert_answer(a, 400, "IncompleteBody");
    call.body = STR("hello");
    flipped = 0;
    call.tamper = flip;
    a = s3_call(engine, &call);
    assert_answer(a, 400, "XAmzContentSHA256Mismatch");
    assert_int_equal(s3_answer_element(a, "S3ComputedContentSHA256").len, 64);
    assert_answer(s3_do(engine, "HEAD", "/bkt/key", NULL), 404, "NoSuchKey");
}

/* Refused before the body: whether the rest is worth reading. */
static void test_close(void **state)
{
    (void)state;
    struct s3_call call = {.method = "PUT", .target = "/absent-bucket/key", .body = noise(1000)};
    const struct s3_answer *a = s3_call(engine, &call);
    assert_answer(a, 404, "NoSuchBucket");
    assert_true(a->answered_by_begin);
    assert_false(a->close);
    char *large = arena_alloc(s3_engine_arena(engine), 2 * LIMIT_DRAIN_BYTES);
    call.body = str_of(large, 2 * LIMIT_DRAIN_BYTES);
    a = s3_call(engine, &call);
    assert_answer(a, 404, "NoSuchBucket");
    assert_true(a->close);
}

/* A body where none is wanted is let pass. */
static void test_unwanted_body(void **state)
{
    (void)state;
    assert_answer(s3_do(engine, "PUT", "/bkt/key", "x"), 200, NULL);
    assert_answer(s3_do(engine, "GET", "/bkt/key", "not wanted"), 200, NULL);
    assert_answer(s3_do(engine, "DELETE", "/bkt/key", "not wanted"), 204, NULL);
    struct s3_call copy = {
        .method = "PUT", .target = "/bkt/copy", .headers = {"x-amz-copy-source: bkt/other"}, .body = STR("not wanted")};
    assert_answer(s3_do(engine, "PUT", "/bkt/other", "x"), 200, NULL);
    assert_answer(s3_call(engine, &copy), 200, NULL);
    assert_str(s3_do(engine, "GET", "/bkt/copy", NULL)->body, "x");
}

/* Slow answers
 * ---------------------------------------------------------------------------------------------------------- */

#define LARGE_BYTES (64 * 1024 * 1024)

static void test_early_answer(void **state)
{
    (void)state;
    char *large = calloc(1, LARGE_BYTES);
    assert_non_null(large);
    struct s3_call put = {
        .method = "PUT", .target = "/bkt/large", .body = str_of(large, LARGE_BYTES), .wire = S3_WIRE_UNSIGNED};
    assert_answer(s3_call(engine, &put), 200, NULL);
    free(large);
    struct s3_call copy = {
        .method = "PUT", .target = "/bkt/copy", .headers = {"x-amz-copy-source: bkt/large"}, .early = true};
    const struct s3_answer *a = s3_call(engine, &copy);
    assert_answer(a, 200, NULL);
    if (!a->answered_early)
        return; /* the filesystem clones by reference */
    assert_str(s3_answer_header(a, "content-type"), "application/xml");
    assert_true(s3_answer_header(a, "x-amz-request-id").len > 0);
    assert_true(str_starts(a->body, STR("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n  <CopyObjectResult")));
    assert_int_equal(s3_answer_count(a, "ETag"), 1);
}

int main(void)
{
#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(test_every_shape_stores_the_bytes),
        WITH_ENGINE(test_content_encoding),
        WITH_ENGINE(test_tampered_bodies_change_nothing),
        WITH_ENGINE(test_length_disagreements),
        WITH_ENGINE(test_digest_errors),
        WITH_ENGINE(test_close),
        WITH_ENGINE(test_unwanted_body),
        WITH_ENGINE(test_early_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
