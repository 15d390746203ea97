#include <pthread.h>
#include <stdlib.h>

#include "tests/support/head.h"
#include "tests/support/unit.h"

#include "auth/signing_key.h"
#include "base/encode.h"
#include "s3api/body.h"
#include "s3api/op.h"
#include "s3api/service.h"

/* The body chain by itself: headers and bytes go in, the verdict and what reached the sink come out. */

/* Fed at once. */
#define PIECES_MAX 81

static struct arena *arena;
static struct buf sunk;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    sunk = buf_make(SIZE_MAX / 2);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_done(&sunk);
    arena_free(arena);
    return 0;
}

static int sink_calls;

static enum s3_error sink(struct s3_op *op, struct pieces bytes)
{
    (void)op;
    sink_calls++;
    for (size_t i = 0; i < bytes.count; i++)
        buf_add(&sunk, bytes.at[i]);
    return S3_OK;
}

static const struct s3_op_row stream_row = {.name = "PutObject", .body = S3_BODY_KIND_STREAM};
static const struct s3_op_row small_row = {.name = "PutSmall", .body = S3_BODY_KIND_SMALL, .body_max = 100};
static const struct s3_op_row checked_row = {
    .name = "DeleteObjects", .body = S3_BODY_KIND_SMALL, .body_max = 100, .flags = S3_OP_NEEDS_CHECKSUM};
static const struct s3_op_row complete_row = {
    .name = "Complete", .body = S3_BODY_KIND_SMALL, .body_max = 100, .flags = S3_OP_OBJECT_CHECKSUM};

/* AWS's example of chunk signatures ("Transferring Payload in Multiple Chunks"). */
static void set_example_seed(struct s3_op *op, const char *seed)
{
    op->auth.amz_date = STR("20130524T000000Z");
    op->auth.scope = STR("20130524/us-east-1/s3/aws4_request");
    op->auth.signature = str_z(seed);
    signing_key_derive(STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), STR("20130524"), STR("us-east-1"),
                       op->auth.signing_key);
}

static int calls_at_once;

struct call {
    void (*run)(void *);
    void *arg;
};

static void *make_call(void *data)
{
    const struct call *c = data;
    c->run(c->arg);
    return NULL;
}

static void at_once(void (*mine)(void *), void (*other)(void *), void *arg)
{
    pthread_t thread;
    struct call c = {other, arg};
    calls_at_once++;
    assert_int_equal(pthread_create(&thread, NULL, make_call, &c), 0);
    mine(arg);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static struct s3_service service = {.both = at_once};

static struct s3_op *make_op(const struct s3_op_row *row, enum auth_payload payload, const char *headers)
{
    struct s3_op *op = arena_new_of(arena, struct s3_op);
    struct http_head *head = arena_new_of(arena, struct http_head);
    *head = head_of(arena_printf(arena, "PUT /b/k\nHost: h\n%s", headers).ptr);
    uint64_t length;
    bool has_length = str_parse_u64(http_get(head, "content-length"), &length);
    op->service = &service;
    op->arena = arena;
    op->row = row;
    op->auth = (struct auth_result){.scheme = AUTH_SIGV4_HEADER, .payload = payload};
    op->in = (struct s3_incoming){
        .head = head,
        .content_length = has_length ? (int64_t)length : -1,
        .has_body = (has_length && length > 0) || http_find(head, "transfer-encoding"),
    };
    op->req.head = head;
    return op;
}

static void set_payload_sha256(struct s3_op *op, struct str bytes)
{
    uint8_t value[DIGEST_SIZE_MAX];
    digest_bytes(DIGEST_SHA256, bytes, value);
    memcpy(op->auth.payload_sha256, value, sizeof(op->auth.payload_sha256));
}

static enum s3_error feed(struct s3_op *op, struct str bytes)
{
    return s3_body_feed(op, pieces_at(&bytes, 1));
}

/* Takes the next `count` pieces off *body and feeds them at once, from memory of their own, so that a view kept into it shows under
 * the sanitizer. */
static enum s3_error feed_next(struct s3_op *op, struct str *body, size_t piece_len, size_t count)
{
    struct str at[PIECES_MAX];
    size_t used = 0;
    assert_true(count <= PIECES_MAX);
    for (; used < count && body->len > 0; used++) {
        struct str piece = str_first(*body, piece_len);
        char *copy = malloc(piece.len);
        assert_non_null(copy);
        memcpy(copy, piece.ptr, piece.len);
        at[used] = str_of(copy, piece.len);
        *body = str_from(*body, piece.len);
    }
    enum s3_error error = s3_body_feed(op, pieces_at(at, used));
    for (size_t i = 0; i < used; i++)
        free((void *)(uintptr_t)at[i].ptr);
    return error;
}

/* Opens, feeds in pieces, so many at once, finishes. */
static enum s3_error run(struct s3_op *op, struct str body, size_t piece_len, size_t count)
{
    buf_reset(&sunk);
    enum s3_error error = s3_body_open(op, sink);
    while (error == S3_OK && body.len > 0)
        error = feed_next(op, &body, piece_len, count);
    return error == S3_OK ? s3_body_finish(op) : error;
}

static void assert_error(enum s3_error actual, enum s3_error expected, const struct s3_op *op, const char *what)
{
    if (actual != expected)
        fail_msg("%s: got %s (%.*s), expected %s", what, actual > S3_AGAIN ? s3_error_code(actual) : "OK",
                 STR_ARG(op->detail.message), expected > S3_AGAIN ? s3_error_code(expected) : "OK");
}

/* Plain bodies
 * ---------------------------------------------------------------------------------------------------------- */

#define HELLO_MD5 "XUFAKrxLKna5cZ2REBfFkg=="
#define HELLO_CRC32 "NhCmhg=="

static const struct {
    const char *headers, *body;
    enum s3_error error;
    const char *message; /* NULL: any */
} plain[] = {
    {"Content-Length: 5", "hello", S3_OK, NULL},
    {"Content-Length: 0", "", S3_OK, NULL},
    {"Content-Length: 5\nContent-MD5: " HELLO_MD5, "hello", S3_OK, NULL},
    {"Content-Length: 5\nx-amz-checksum-crc32: " HELLO_CRC32, "hello", S3_OK, NULL},
    {"Content-Length: 5\nx-amz-checksum-crc32: " HELLO_CRC32 "\nContent-MD5: " HELLO_MD5, "hello", S3_OK, NULL},
    {"Content-Length: 5\nx-amz-sdk-checksum-algorithm: CRC32\nx-amz-checksum-crc32: " HELLO_CRC32, "hello", S3_OK,
     NULL},
    /* SEC-05 */
    {"Transfer-Encoding: chunked\nx-amz-decoded-content-length: 5", "hello", S3_OK, NULL},
    /* Lengths */
    {"", "", S3_MISSING_CONTENT_LENGTH, NULL},
    {"Transfer-Encoding: chunked", "hello", S3_OK, NULL},
    {"Transfer-Encoding: chunked\nx-amz-decoded-content-length: x", "hello", S3_MISSING_CONTENT_LENGTH, NULL},
    {"Transfer-Encoding: chunked\nx-amz-decoded-content-length: 4", "hello", S3_INCOMPLETE_BODY, NULL},
    {"Transfer-Encoding: chunked\nx-amz-decoded-content-length: 99999999999999999", "", S3_ENTITY_TOO_LARGE, NULL},
    {"Content-Length: 6", "hello", S3_INCOMPLETE_BODY, NULL},
    {"Content-Length: 4", "hello", S3_INCOMPLETE_BODY, NULL},
    /* Content-MD5 */
    {"Content-Length: 5\nContent-MD5: AAAAAAAAAAAAAAAAAAAAAA==", "hello", S3_BAD_DIGEST,
     "The Content-MD5 you specified did not match what we received."},
    {"Content-Length: 5\nContent-MD5:", "hello", S3_INVALID_DIGEST, "The Content-MD5 you specified is not valid."},
    {"Content-Length: 5\nContent-MD5: WTF", "hello", S3_INVALID_DIGEST, NULL},
    {"Content-Length: 5\nContent-MD5: " HELLO_CRC32, "hello", S3_INVALID_DIGEST, NULL},
    /* Checksums */
    {"Content-Length: 5\nx-amz-checksum-crc32: AAAAAA==", "hello", S3_BAD_DIGEST,
     "The CRC32 you specified did not match the calculated checksum."},
    {"Content-Length: 5\nx-amz-checksum-crc32: AAAA", "hello", S3_INVALID_REQUEST,
     "Value for x-amz-checksum-crc32 header is invalid."},
    {"Content-Length: 5\nx-amz-checksum-crc32:", "hello", S3_INVALID_REQUEST, NULL},
    {"Content-Length: 5\nx-amz-checksum-crc33: AAAAAA==", "hello", S3_INVALID_REQUEST,
     "The algorithm type you specified in x-amz-checksum- header is invalid."},
    {"Content-Length: 5\nx-amz-checksum-crc32: " HELLO_CRC32 "\nx-amz-checksum-crc32c: AAAAAA==", "hello",
     S3_INVALID_REQUEST, "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."},
    {"Content-Length: 5\nx-amz-sdk-checksum-algorithm: CRC33", "hello", S3_INVALID_REQUEST, NULL},
    {"Content-Length: 5\nx-amz-sdk-checksum-algorithm: CRC32", "hello", S3_INVALID_REQUEST,
     "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were "
     "found."},
    {"Content-Length: 5\nx-amz-sdk-checksum-algorithm: SHA1\nx-amz-checksum-crc32: " HELLO_CRC32, "hello",
     S3_INVALID_REQUEST, "Value for x-amz-sdk-checksum-algorithm header is invalid."},
    {"Content-Length: 5\nx-amz-checksum-type: FULL_OBJECT\nx-amz-checksum-algorithm: CRC32", "hello", S3_OK, NULL},
    /* A trailer needs a body that can have one */
    {"Content-Length: 5\nx-amz-trailer: x-amz-checksum-crc32", "hello", S3_INVALID_REQUEST, NULL},
};

static void test_plain(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
        struct s3_op *op = make_op(&stream_row, AUTH_PAYLOAD_UNSIGNED, plain[i].headers);
        enum s3_error error = run(op, str_z(plain[i].body), 2, i % 3 + 1);
        assert_error(error, plain[i].error, op, plain[i].headers);
        if (plain[i].message)
            assert_str(op->detail.message, plain[i].message);
        if (error == S3_OK)
            assert_str(buf_str(&sunk), plain[i].body);
        s3_body_close(op);
    }
}

/* Large pieces are hashed by one thread and handed on by another */

#define LARGE 300000

static enum s3_error refuse_the_end(struct s3_op *op, struct pieces bytes)
{
    sink(op, bytes);
    return sunk.len < LARGE ? S3_OK : S3_SLOW_DOWN;
}

static struct str large_bytes(void)
{
    char *bytes = arena_alloc(arena, LARGE);
    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = (char)(i * i >> 7);
    return str_of(bytes, LARGE);
}

static void test_large_pieces(void **state)
{
    (void)state;
    struct s3_op *op = make_op(&stream_row, AUTH_PAYLOAD_SHA256, "Content-Length: 300000");
    struct str bytes = large_bytes();
    uint8_t md5[16], expected[DIGEST_SIZE_MAX];
    set_payload_sha256(op, bytes);
    digest_bytes(DIGEST_MD5, bytes, expected);
    for (size_t piece_len = 1000; piece_len <= LARGE; piece_len *= 4) {
        size_t count = piece_len % 3 + 1;
        buf_reset(&sunk);
        calls_at_once = 0;
        assert_int_equal(s3_body_open(op, sink), S3_OK);
        s3_body_want(op, &(struct s3_body_want){.md5 = true});
        for (struct str rest = bytes; rest.len > 0;)
            assert_int_equal(feed_next(op, &rest, piece_len, count), S3_OK);
        assert_error(s3_body_finish(op), S3_OK, op, "large");
        s3_body_md5(op, md5);
        assert_memory_equal(md5, expected, 16);
        assert_true(str_eq(buf_str(&sunk), bytes));
        assert_int_equal(calls_at_once > 0, count * piece_len > 32 * 1024);
        s3_body_close(op);
    }
}

static void test_large_pieces_that_are_refused(void **state)
{
    (void)state;
    struct s3_op *op = make_op(&stream_row, AUTH_PAYLOAD_UNSIGNED, "Content-Length: 300000");
    struct str bytes = large_bytes();
    buf_reset(&sunk);
    assert_int_equal(s3_body_open(op, refuse_the_end), S3_OK);
    s3_body_want(op, &(struct s3_body_want){.md5 = true});
    assert_int_equal(feed(op, str_first(bytes, LARGE / 2)), S3_OK);
    assert_int_equal(feed(op, str_from(bytes, LARGE / 2)), S3_SLOW_DOWN);
    s3_body_close(op);
}

static void test_never_more_than_the_length_reaches_the_sink(void **state)
{
    (void)state;
    struct s3_op *op = make_op(&stream_row, AUTH_PAYLOAD_UNSIGNED, "Content-Length: 3");
    assert_int_equal(s3_body_open(op, sink), S3_OK);
    assert_int_equal(s3_body_length(op), 3);
    assert_int_equal(feed(op, STR("ab")), S3_OK);
    assert_int_equal(feed(op, STR("cd")), S3_INCOMPLETE_BODY);
    assert_true(sunk.len <= 3);
    s3_body_close(op);
}

static void test_payload_hash(void **state)
{
    (void)state;
    struct s3_op *op = make_op(&stream_row, AUTH_PAYLOAD_SHA256, "Content-Length: 5");
    set_payload_sha256(op, STR("hello"));
    assert_error(run(op, STR("hello"), 1, 1), S3_OK, op, "right");
    s3_body_close(op);
    assert_error(run(op, STR("hellO"), 1, 1), S3_SHA256_MISMATCH, op, "wrong");
    assert_int_equal(op->detail.extra_count, 2);
    assert_string_equal(op->detail.extra[0].element, "ClientComputedContentSHA256");
    assert_str(op->detail.extra[0].value, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    s3_body_close(op);
}

/* One SHA-256 serves both the payload's hash and the checksum. */
static void test_payload_hash_and_sha256_checksum(void **state)
{
    (void)state;
    struct s3_op *op =
        make_op(&stream_row, AUTH_PAYLOAD_SHA256,
                "Content-Length: 5\nx-amz-checksum-sha256: LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=");
    set_payload_sha256(op, STR("hello"));
    assert_error(run(op, STR("hello"), 3, 1), S3_OK, op, "both");
    assert_int_equal(s3_body_checksum(op).kind, S3_CHECKSUM_SHA256);
    assert_memory_equal(s3_body_checksum(op).value, op->auth.payload_sha256, 32);
    s3_body_close(op);
}

static void test_wants(void **state)
{
    (void)state;
    struct s3_body_want want = {.md5 = true, .checksum = S3_CHECKSUM_CRC64NVME};
    struct s3_op *op = make_op(&stream_row, AUTH_PAYLOAD_UNSIGNED, "Content-Length: 9");
    uint8_t md5[16], expected[DIGEST_SIZE_MAX];
    assert_int_equal(s3_body_open(op, sink), S3_OK);
    assert_int_equal(s3_body_announced_checksum(op), S3_CHECKSUM_NONE);
    s3_body_want(op, &want);
    assert_int_equal(feed(op, STR("123456789")), S3_OK);
    assert_int_equal(s3_body_finish(op), S3_OK);
    assert_int_equal(s3_body_size(op), 9);
    s3_body_md5(op, md5);
    digest_bytes(DIGEST_MD5, STR("123456789"), expected);
    assert_memory_equal(md5, expected, 16);
    assert_int_equal(s3_body_checksum(op).kind, S3_CHECKSUM_CRC64NVME);
    assert_memory_equal(s3_body_checksum(op).value, "\xae\x8b\x14\x86\x0a\x79\x98\x88", 8);
    s3_body_close(op);
    s3_body_close(op);
}

static void test_nothing_wanted_nothing_kept(void **state)
{
    (void)state;
    struct s3_op *op = make_op(&stream_row, AUTH_PAYLOAD_UNSIGNED, "Content-Length: 5");
    assert_error(run(op, STR("hello"), 5, 1), S3_OK, op, "plain");
    assert_int_equal(s3_body_checksum(op).kind, S3_CHECKSUM_NONE);
    s3_body_close(op);
}

static void test_announced_wins_over_wanted(void **state)
{
    (void)state;
    struct s3_body_want want = {.checksum = S3_CHECKSUM_CRC64NVME};
    struct s3_op *op =
        make_op(&stream_row, AUTH_PAYLOAD_UNSIGNED, "Content-Length: 5\nx-amz-checksum-crc32: " HELLO_CRC32);
    assert_int_equal(s3_body_open(op, sink), S3_OK);
    s3_body_want(op, &want);
    assert_int_equal(s3_body_announced_checksum(op), S3_CHECKSUM_CRC32);
    assert_int_equal(feed(op, STR("hello")), S3_OK);
    assert_int_equal(s3_body_finish(op), S3_OK);
    assert_int_equal(s3_body_checksum(op).kind, S3_CHECKSUM_CRC32);
    s3_body_close(op);
}

/* Presigned URLs
 * -------------------------------------------------------------------------------------------------------- */

/* The request's parameters, one more among them. */
static void parse_target(struct s3_op *op, const char *target, const char *name, const char *value)
{
    struct buf text = buf_make(4096);
    struct http_head *head = arena_new_of(arena, struct http_head);
    buf_addf(&text, "%s&%s=", target, name);
    buf_add_uri(&text, str_z(value), false);
    *head = *op->in.head;
    head->target = arena_dup(arena, buf_str(&text));
    op->in.head = head;
    assert_int_equal(s3_request_parse(&op->req, head, STR_EMPTY, arena), S3_OK);
    buf_done(&text);
}

static void test_checksum_in_presigned_url(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *body;
        enum s3_error error;
        const char *message_part;
    } rows[] = {
        {"x-amz-checksum-crc32", HELLO_CRC32, "hello", S3_OK, ""},
        {"X-Amz-Checksum-Crc32", HELLO_CRC32, "hello", S3_OK, ""},
        {"x-amz-checksum-crc32", HELLO_CRC32, "hallo", S3_BAD_DIGEST, "did not match"},
        {"x-amz-checksum-crc32", "AAAAAA==", "hello", S3_BAD_DIGEST, "requestChecksumCalculation: \"WHEN_REQUIRED\""},
        {"x-amz-checksum-crc32", "AAAAAA==", "", S3_OK, ""},
        {"x-amz-checksum-crc32", "A", "hello", S3_INVALID_REQUEST, "is invalid"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct str headers = arena_printf(arena, "Content-Length: %zu", strlen(rows[i].body));
        struct s3_op *op = make_op(&stream_row, AUTH_PAYLOAD_UNSIGNED, headers.ptr);
        parse_target(op, "/b/k?X-Amz-Signature=0", rows[i].name, rows[i].value);
        assert_error(run(op, str_z(rows[i].body), 5, 1), rows[i].error, op, rows[i].value);
        assert_true(str_find(op->detail.message, str_z(rows[i].message_part)) >= 0 || rows[i].error == S3_OK);
        s3_body_close(op);
        /* Parameters mean nothing when the headers are signed. */
        parse_target(op, "/b/k?x-id=PutObject", rows[i].name, rows[i].value);
        assert_error(run(op, str_z(rows[i].body), 5, 1), S3_OK, op, "header");
        s3_body_close(op);
    }
}

/* Small documents
 * ------------------------------------------------------------------------------------------------------- */

static void test_small(void **state)
{
    (void)state;
    static const struct {
        const struct s3_op_row *row;
        const char *headers, *body;
        enum s3_error error;
    } rows[] = {
        {&small_row, "Content-Length: 5", "hello", S3_OK},
        {&small_row, "", "", S3_OK},
        {&small_row, "Transfer-Encoding: chunked", "hello", S3_OK},
        {&small_row, "Content-Length: 100", "", S3_INCOMPLETE_BODY},
        {&small_row, "Content-Length: 101", "", S3_MAX_MESSAGE_LENGTH},
        {&checked_row, "Content-Length: 5", "hello", S3_MISSING_CONTENT_MD5},
        {&checked_row, "Content-Length: 5\nContent-MD5: " HELLO_MD5, "hello", S3_OK},
        {&checked_row, "Content-Length: 5\nx-amz-checksum-crc32: " HELLO_CRC32, "hello", S3_OK},
        {&checked_row, "Content-Length: 5\nx-amz-checksum-crc32: AAAAAA==", "hello", S3_BAD_DIGEST},
        /* The object's checksum, which nobody compares with the document's */
        {&complete_row, "Content-Length: 5\nx-amz-checksum-crc32: AAAAAA==", "hello", S3_OK},
        {&complete_row, "Content-Length: 5\nx-amz-checksum-sha1: any-2", "hello", S3_OK},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct s3_op *op = make_op(rows[i].row, AUTH_PAYLOAD_UNSIGNED, rows[i].headers);
        assert_error(run(op, str_z(rows[i].body), 5, 1), rows[i].error, op, rows[i].headers);
        s3_body_close(op);
    }
}

/* aws-chunked, unsigned
 * ------------------------------------------------------------------------------------------------- */

#define UNSIGNED_TRAILER "Transfer-Encoding: chunked\nContent-Encoding: aws-chunked\nx-amz-decoded-content-length: "
#define CRC32_TRAILER "\nx-amz-trailer: x-amz-checksum-crc32"

static const struct {
    const char *headers, *body;
    enum s3_error error;
} unsigned_trailers[] = {
    {UNSIGNED_TRAILER "5" CRC32_TRAILER, "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:" HELLO_CRC32 "\r\n\r\n", S3_OK},
    {UNSIGNED_TRAILER "0" CRC32_TRAILER, "0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", S3_OK},
    {UNSIGNED_TRAILER "5\nx-amz-trailer: X-Amz-Checksum-CRC32",
     "5\r\nhello\r\n0\r\nX-AMZ-checksum-crc32: " HELLO_CRC32 " \r\n\r\n", S3_OK},
    {UNSIGNED_TRAILER "5" CRC32_TRAILER "\nx-amz-sdk-checksum-algorithm: CRC32",
     "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:" HELLO_CRC32 "\n\r\n\r\n", S3_OK},
    {UNSIGNED_TRAILER "5", "5\r\nhello\r\n0\r\n\r\n", S3_OK},
    {UNSIGNED_TRAILER "5\nContent-MD5: " HELLO_MD5, "5\r\nhello\r\n0\r\n\r\n", S3_OK},
    {UNSIGNED_TRAILER "5\nContent-MD5: AAAAAAAAAAAAAAAAAAAAAA==", "5\r\nhello\r\n0\r\n\r\n", S3_BAD_DIGEST},
    /* A header may not be sent besides */
    {UNSIGNED_TRAILER "5" CRC32_TRAILER "\nx-amz-checksum-crc32: " HELLO_CRC32, "", S3_INVALID_REQUEST},
    {UNSIGNED_TRAILER "5\nx-amz-trailer: x-amz-checksum-crc33", "", S3_INVALID_REQUEST},
    {UNSIGNED_TRAILER "5\nx-amz-trailer: x-amz-meta-a", "", S3_INVALID_REQUEST},
    {UNSIGNED_TRAILER "5" CRC32_TRAILER "\nx-amz-sdk-checksum-algorithm: SHA1", "", S3_INVALID_REQUEST},
    {"Transfer-Encoding: chunked" CRC32_TRAILER, "", S3_MISSING_CONTENT_LENGTH},
    {"Content-Length: 50" CRC32_TRAILER, "", S3_MISSING_CONTENT_LENGTH},
    /* The trailer is not what was announced */
    {UNSIGNED_TRAILER "5" CRC32_TRAILER, "5\r\nhello\r\n0\r\n\r\n", S3_MALFORMED_TRAILER},
    {UNSIGNED_TRAILER "5", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:" HELLO_CRC32 "\r\n\r\n", S3_MALFORMED_TRAILER},
    {UNSIGNED_TRAILER "5" CRC32_TRAILER, "5\r\nhello\r\n0\r\nx-amz-checksum-crc32c:AAAAAA==\r\n\r\n",
     S3_MALFORMED_TRAILER},
    {UNSIGNED_TRAILER "5" CRC32_TRAILER,
     "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:" HELLO_CRC32 "\r\nx-amz-meta-a:b\r\n\r\n", S3_MALFORMED_TRAILER},
    {UNSIGNED_TRAILER "5" CRC32_TRAILER,
     "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:" HELLO_CRC32 "\r\nx-amz-checksum-crc32:" HELLO_CRC32 "\r\n\r\n",
     S3_MALFORMED_TRAILER},
    {UNSIGNED_TRAILER "5" CRC32_TRAILER, "5\r\nhello\r\n0\r\n\r\nx-amz-checksum-crc32:" HELLO_CRC32 "\r\n\r\n",
     S3_MALFORMED_TRAILER},
    {UNSIGNED_TRAILER "5" CRC32_TRAILER,
     "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:" HELLO_CRC32 "\r\nx-amz-trailer-signature:aa\r\n\r\n",
     S3_MALFORMED_TRAILER},
    {UNSIGNED_TRAILER "5" CRC32_TRAILER, "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n", S3_INVALID_REQUEST},
    {UNSIGNED_TRAILER "5" CRC32_TRAILER, "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", S3_BAD_DIGEST},
    /* More or less than announced, or no framing at all */
    {UNSIGNED_TRAILER "4", "5\r\nhello\r\n0\r\n\r\n", S3_INCOMPLETE_BODY},
    {UNSIGNED_TRAILER "6", "5\r\nhello\r\n0\r\n\r\n", S3_INCOMPLETE_BODY},
    {UNSIGNED_TRAILER "5", "5\r\nhello\r\n", S3_INCOMPLETE_BODY},
    {UNSIGNED_TRAILER "5", "5\r\nhello\r\n0\r\n", S3_INCOMPLETE_BODY},
    {UNSIGNED_TRAILER "5" CRC32_TRAILER, "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:" HELLO_CRC32 "\r\n",
     S3_INCOMPLETE_BODY},
    {UNSIGNED_TRAILER "5", "hello", S3_INCOMPLETE_BODY},
    {UNSIGNED_TRAILER "5", "hello\r\n", S3_INCOMPLETE_BODY},
    {UNSIGNED_TRAILER "0", "", S3_INCOMPLETE_BODY},
    /* Only the last chunk may be small */
    {UNSIGNED_TRAILER "5", "4\r\nhell\r\n1\r\no\r\n0\r\n\r\n", S3_INVALID_CHUNK_SIZE},
};

static void test_unsigned_trailers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(unsigned_trailers); i++) {
        struct str body = str_z(unsigned_trailers[i].body);
        for (size_t piece_len = 1; piece_len <= body.len + 1; piece_len++) {
            for (size_t count = 1; count <= PIECES_MAX; count *= 3) {
                struct s3_op *op =
                    make_op(&stream_row, AUTH_PAYLOAD_STREAM_UNSIGNED_TRAILER, unsigned_trailers[i].headers);
                assert_error(run(op, body, piece_len, count), unsigned_trailers[i].error, op, unsigned_trailers[i].body);
                s3_body_close(op);
            }
        }
    }
}

static void test_chunk_size_minimum(void **state)
{
    (void)state;
    static const struct {
        size_t sizes[4];
        enum s3_error error;
    } rows[] = {
        {{8192, 8192, 1, 0}, S3_OK},
        {{100000, 8192, 5, 0}, S3_OK},
        {{1, 0}, S3_OK},
        {{8191, 8192, 0}, S3_INVALID_CHUNK_SIZE},
        {{8192, 8191, 8192, 0}, S3_INVALID_CHUNK_SIZE},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buf body = buf_make(1000000);
        size_t total = 0;
        for (size_t k = 0; k < 4 && rows[i].sizes[k]; k++) {
            buf_addf(&body, "%zx\r\n", rows[i].sizes[k]);
            for (size_t n = 0; n < rows[i].sizes[k]; n++)
                buf_addc(&body, 'x');
            buf_addz(&body, "\r\n");
            total += rows[i].sizes[k];
        }
        buf_addz(&body, "0\r\n\r\n");
        struct s3_op *op = make_op(&stream_row, AUTH_PAYLOAD_STREAM_UNSIGNED_TRAILER,
                                   arena_printf(arena, UNSIGNED_TRAILER "%zu", total).ptr);
        assert_error(run(op, buf_str(&body), 65536, i % 2 + 1), rows[i].error, op, "chunk sizes");
        if (rows[i].error == S3_INVALID_CHUNK_SIZE)
            assert_string_equal(op->detail.extra[1].element, "BadChunkSize");
        s3_body_close(op);
        buf_done(&body);
    }
}

/* Chunks of 8 KiB, of which each byte tells where it stands. */
static struct str many_chunks(size_t chunks, const char *end)
{
    struct buf b = buf_make(chunks * 9000 + 100);
    for (size_t i = 0; i < chunks; i++) {
        buf_addz(&b, "2000\r\n");
        for (size_t k = 0; k < 8192; k++)
            buf_addc(&b, (char)(i * 7 + k * k));
        buf_addz(&b, "\r\n");
    }
    buf_addz(&b, end);
    struct str s = arena_dup(arena, buf_str(&b));
    buf_done(&b);
    return s;
}

/* What one feed brings goes on as if there were no framing: by few calls, and large enough for two threads. */
static void test_data_of_many_chunks_goes_together(void **state)
{
    (void)state;
    static const struct {
        size_t chunks;
        int calls;
    } rows[] = {{1, 1}, {8, 1}, {32, 1}, {33, 2}, {100, 4}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct str body = many_chunks(rows[i].chunks, "0\r\n\r\n");
        struct s3_op *op = make_op(&stream_row, AUTH_PAYLOAD_STREAM_UNSIGNED_TRAILER,
                                   arena_printf(arena, UNSIGNED_TRAILER "%zu", rows[i].chunks * 8192).ptr);
        uint8_t md5[16], expected[DIGEST_SIZE_MAX];
        buf_reset(&sunk);
        sink_calls = calls_at_once = 0;
        assert_int_equal(s3_body_open(op, sink), S3_OK);
        s3_body_want(op, &(struct s3_body_want){.md5 = true});
        assert_int_equal(feed(op, body), S3_OK);
        assert_error(s3_body_finish(op), S3_OK, op, "many chunks");
        assert_int_equal(sink_calls, rows[i].calls);
        assert_int_equal(calls_at_once > 0, rows[i].chunks >= 4);
        assert_int_equal(sunk.len, rows[i].chunks * 8192);
        for (size_t k = 0; k < sunk.len; k++)
            assert_int_equal(sunk.ptr[k], (char)(k / 8192 * 7 + k % 8192 * (k % 8192)));
        s3_body_md5(op, md5);
        digest_bytes(DIGEST_MD5, buf_str(&sunk), expected);
        assert_memory_equal(md5, expected, 16);
        s3_body_close(op);
    }
}

static enum s3_error refuse(struct s3_op *op, struct pieces bytes)
{
    sink(op, bytes);
    return S3_SLOW_DOWN;
}

/* The error is that of the earlier bytes, however they are split, and nothing follows what was refused. */
static void test_what_comes_first_fails_first(void **state)
{
    (void)state;
    static const size_t lens[] = {1000, 8192, 100000, 1000000};
    for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
        struct str body = many_chunks(i % 2 ? 20 : 40, "no framing\r\n");
        struct s3_op *op = make_op(&stream_row, AUTH_PAYLOAD_STREAM_UNSIGNED_TRAILER, UNSIGNED_TRAILER "1000000");
        struct str rest = body;
        enum s3_error error = S3_OK;
        sink_calls = 0;
        assert_int_equal(s3_body_open(op, refuse), S3_OK);
        while (error == S3_OK)
            error = feed_next(op, &rest, lens[i], PIECES_MAX);
        assert_int_equal(error, S3_SLOW_DOWN);
        assert_int_equal(sink_calls, 1);
        s3_body_close(op);
        assert_int_equal(run(op, body, lens[i], PIECES_MAX), S3_INCOMPLETE_BODY);
        s3_body_close(op);
    }
}

/* aws-chunked, signed: AWS's own examples
 * ------------------------------------------------------------------------------- */

#define EXAMPLE_SIZE 66560 /* of 'a', in chunks of 64 KiB and the rest */

static struct str example(const char *const signatures[3], const char *tail)
{
    struct buf b = buf_make(100000);
    char *data = arena_alloc(arena, EXAMPLE_SIZE);
    memset(data, 'a', EXAMPLE_SIZE);
    buf_addf(&b, "10000;chunk-signature=%s\r\n", signatures[0]);
    buf_add(&b, str_of(data, 65536));
    buf_addf(&b, "\r\n400;chunk-signature=%s\r\n", signatures[1]);
    buf_add(&b, str_of(data, 1024));
    buf_addf(&b, "\r\n0;chunk-signature=%s\r\n%s", signatures[2], tail);
    struct str s = arena_dup(arena, buf_str(&b));
    buf_done(&b);
    return s;
}

#define EXAMPLE_HEADERS "Content-Length: 66824\nx-amz-decoded-content-length: 66560"
#define EXAMPLE_SEED "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
static const char *const example_signatures[3] = {
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
};

static enum s3_error run_example(struct str body, size_t piece_len, size_t count)
{
    struct s3_op *op = make_op(&stream_row, AUTH_PAYLOAD_STREAM_SIGNED, EXAMPLE_HEADERS);
    set_example_seed(op, EXAMPLE_SEED);
    enum s3_error error = run(op, body, piece_len, count);
    s3_body_close(op);
    return error;
}

static void test_signed_chunks(void **state)
{
    (void)state;
    struct str body = example(example_signatures, "\r\n");
    static const size_t pieces[] = {1, 2, 3, 7, 85, 86, 87, 88, 1000, 65535, 65536, 65537, 1000000};
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        for (size_t count = 1; count <= PIECES_MAX; count *= 3) {
            assert_int_equal(run_example(body, pieces[i], count), S3_OK);
            assert_int_equal(sunk.len, EXAMPLE_SIZE);
        }
    }
}

/* A changed byte, a cut, chunks in another order, a missing or a foreign signature: SEC-04. */
static void test_tampered_chunks(void **state)
{
    (void)state;
    struct str body = example(example_signatures, "\r\n");
    char *changed = arena_dupz(arena, body);
    static const size_t places[] = {90, 40000, 65620, 65800, 66500};
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        changed[places[i]] ^= 1;
        assert_int_not_equal(run_example(str_of(changed, body.len), 4096, 3), S3_OK);
        changed[places[i]] ^= 1;
    }
    for (size_t len = body.len - 200; len < body.len; len++)
        assert_int_not_equal(run_example(str_first(body, len), 4096, 3), S3_OK);
    const char *const swapped[3] = {example_signatures[1], example_signatures[0], example_signatures[2]};
    assert_int_equal(run_example(example(swapped, "\r\n"), 4096, 3), S3_SIGNATURE_MISMATCH);
    const char *const last_wrong[3] = {example_signatures[0], example_signatures[1], example_signatures[1]};
    assert_int_equal(run_example(example(last_wrong, "\r\n"), 4096, 3), S3_SIGNATURE_MISMATCH);
    const char *const short_one[3] = {"ad80", example_signatures[1], example_signatures[2]};
    assert_int_equal(run_example(example(short_one, "\r\n"), 4096, 3), S3_INCOMPLETE_BODY);
    /* Trailers were not announced by the payload's kind. */
    assert_int_equal(run_example(example(example_signatures, "a:b\r\n\r\n"), 4096, 3), S3_MALFORMED_TRAILER);
}

#define TRAILER_HEADERS EXAMPLE_HEADERS "\nx-amz-trailer: x-amz-checksum-crc32c"
#define TRAILER_SEED "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
#define TRAILER_SIGNATURE "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
static const char *const trailer_signatures[3] = {
    "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
    "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
    "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
};

static void test_signed_trailers(void **state)
{
    (void)state;
    static const struct {
        const char *tail;
        enum s3_error error;
    } rows[] = {
        {"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:" TRAILER_SIGNATURE "\r\n\r\n", S3_OK},
        {"x-amz-checksum-crc32c:sOO8/Q==\n\r\nx-amz-trailer-signature:" TRAILER_SIGNATURE "\r\n\r\n", S3_OK},
        {"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:" EXAMPLE_SEED "\r\n\r\n", S3_SIGNATURE_MISMATCH},
        {"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:x\r\n\r\n", S3_SIGNATURE_MISMATCH},
        {"x-amz-checksum-crc32c:AAAAAA==\r\nx-amz-trailer-signature:" TRAILER_SIGNATURE "\r\n\r\n",
         S3_SIGNATURE_MISMATCH},
        {"x-amz-checksum-crc32c:sOO8/Q==\r\n\r\n", S3_MALFORMED_TRAILER},
        {"\r\n", S3_MALFORMED_TRAILER},
        {"x-amz-trailer-signature:" TRAILER_SIGNATURE "\r\n\r\n", S3_SIGNATURE_MISMATCH},
        {"x-amz-trailer-signature:" TRAILER_SIGNATURE "\r\nx-amz-checksum-crc32c:sOO8/Q==\r\n\r\n",
         S3_SIGNATURE_MISMATCH},
        {"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:" TRAILER_SIGNATURE
         "\r\nx-amz-trailer-signature:" TRAILER_SIGNATURE "\r\n\r\n",
         S3_MALFORMED_TRAILER},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct str body = example(trailer_signatures, rows[i].tail);
        for (size_t piece_len = 1; piece_len < 100000; piece_len = piece_len * 3 + 1) {
            struct s3_op *op = make_op(&stream_row, AUTH_PAYLOAD_STREAM_SIGNED_TRAILER, TRAILER_HEADERS);
            set_example_seed(op, TRAILER_SEED);
            assert_error(run(op, body, piece_len, piece_len % 4 + 1), rows[i].error, op, rows[i].tail);
            s3_body_close(op);
        }
    }
}

/* Content-Encoding
 * ------------------------------------------------------------------------------------------------------ */

static void test_stored_content_encoding(void **state)
{
    (void)state;
    static const struct {
        const char *headers, *stored; /* NULL: none */
    } rows[] = {
        {"", NULL},
        {"Content-Encoding:", NULL},
        {"Content-Encoding: aws-chunked", NULL},
        {"Content-Encoding: AWS-Chunked, ", NULL},
        {"Content-Encoding: gzip", "gzip"},
        {"Content-Encoding: gzip,aws-chunked", "gzip"},
        {"Content-Encoding: aws-chunked,gzip", "gzip"},
        {"Content-Encoding: deflate, aws-chunked , gzip", "deflate, gzip"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct s3_op *op = make_op(&stream_row, AUTH_PAYLOAD_UNSIGNED, rows[i].headers);
        struct str stored = s3_stored_content_encoding(op);
        if (rows[i].stored)
            assert_str(stored, rows[i].stored);
        else
            assert_null(stored.ptr);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_never_more_than_the_length_reaches_the_sink),
        cmocka_unit_test(test_payload_hash),
        cmocka_unit_test(test_payload_hash_and_sha256_checksum),
        cmocka_unit_test(test_wants),
        cmocka_unit_test(test_nothing_wanted_nothing_kept),
        cmocka_unit_test(test_announced_wins_over_wanted),
        cmocka_unit_test(test_checksum_in_presigned_url),
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_unsigned_trailers),
        cmocka_unit_test(test_chunk_size_minimum),
        cmocka_unit_test(test_data_of_many_chunks_goes_together),
        cmocka_unit_test(test_what_comes_first_fails_first),
        cmocka_unit_test(test_signed_chunks),
        cmocka_unit_test(test_tampered_chunks),
        cmocka_unit_test(test_signed_trailers),
        cmocka_unit_test(test_stored_content_encoding),
        cmocka_unit_test(test_large_pieces),
        cmocka_unit_test(test_large_pieces_that_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
