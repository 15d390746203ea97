#include "s3api/body.h"

#include "auth/sigv4_chunk.h"
#include "base/check.h"
#include "base/encode.h"
#include "base/limits.h"
#include "s3api/body_aws_chunked.h"
#include "s3api/body_internal.h"
#include "s3api/op.h"
#include "s3api/service.h"

/* From here on hashing takes longer than telling another thread. */
#define APART_BYTES_MIN (32 * 1024)
#define SIGNATURE_LEN 64
/* Views of the data of one feed. */
#define GATHERED_MAX 32

struct s3_body {
    struct s3_body_expect expect;
    s3_sink_fn sink;
    uint64_t size; /* decoded bytes so far */

    struct digest *md5, *sha256, *checksum; /* NULL when nobody asks; checksum may be sha256 (one pass for both) */
    enum s3_checksum_kind checksum_kind;
    uint8_t md5_value[16];
    struct s3_checksum checksum_value;

    struct aws_chunked decoder;
    struct sigv4_chain chain;
    struct digest *chunk_sha256;
    char chunk_signature[SIGNATURE_LEN];
    uint64_t chunk_number, chunk_size, chunk_size_before;
    bool trailer_seen, trailer_ended, trailer_signed;
    struct digest *trailer_sha256;
};

/* Opening */

static void add_checksum_digest(struct s3_body *b, enum s3_checksum_kind kind)
{
    b->checksum_kind = kind;
    bool is_shared = kind == S3_CHECKSUM_SHA256 && b->sha256;
    b->checksum = is_shared ? b->sha256 : digest_new(s3_checksum_digest(kind));
}

static void open_with(struct s3_op *op, struct s3_body *b, s3_sink_fn sink)
{
    b->sink = sink;
    if (b->expect.has_md5)
        b->md5 = digest_new(DIGEST_MD5);
    if (b->expect.has_sha256)
        b->sha256 = digest_new(DIGEST_SHA256);
    if (b->expect.checksum.kind != S3_CHECKSUM_NONE)
        add_checksum_digest(b, b->expect.checksum.kind);
    if (b->expect.aws_chunked)
        aws_chunked_init(&b->decoder);
    if (b->expect.signed_chunks) {
        sigv4_chain_init(&b->chain, &op->auth);
        b->chunk_sha256 = digest_new(DIGEST_SHA256);
        b->trailer_sha256 = digest_new(DIGEST_SHA256);
    }
    op->body = b;
}

enum s3_error s3_body_open(struct s3_op *op, s3_sink_fn sink)
{
    struct s3_body *b = arena_new_of(op->arena, struct s3_body);
    enum s3_error error = s3_body_expect_read(op, &b->expect);
    if (error == S3_OK)
        open_with(op, b, sink);
    return error;
}

enum s3_error s3_body_open_inner(struct s3_op *op, s3_sink_fn sink)
{
    struct s3_body *b = arena_new_of(op->arena, struct s3_body);
    enum s3_error error = s3_body_expect_read_digests(op, &b->expect);
    if (error == S3_OK)
        open_with(op, b, sink);
    return error;
}

void s3_body_want(struct s3_op *op, const struct s3_body_want *want)
{
    struct s3_body *b = op->body;
    CHECK(b->size == 0);
    if (want->md5 && !b->md5)
        b->md5 = digest_new(DIGEST_MD5);
    if (want->checksum != S3_CHECKSUM_NONE && !b->checksum)
        add_checksum_digest(b, want->checksum);
}

int64_t s3_body_length(const struct s3_op *op)
{
    return op->body->expect.length;
}

enum s3_checksum_kind s3_body_announced_checksum(const struct s3_op *op)
{
    return op->body->expect.checksum.kind;
}

void s3_body_close(struct s3_op *op)
{
    struct s3_body *b = op->body;
    if (!b)
        return;
    if (b->checksum != b->sha256)
        digest_free(b->checksum);
    digest_free(b->md5);
    digest_free(b->sha256);
    digest_free(b->chunk_sha256);
    digest_free(b->trailer_sha256);
    if (b->expect.signed_chunks)
        sigv4_chain_done(&b->chain);
    op->body = NULL;
}

/* Decoded bytes */

static void update(struct digest *d, struct pieces p)
{
    if (d)
        digest_update_pieces(d, p);
}

struct taking {
    struct s3_op *op;
    struct s3_body *body; /* op->body may become an inner one meanwhile */
    struct pieces bytes;
    enum s3_error error;
};

/* MD5 takes three times as long as all else together: it is what a large upload waits for. */
static void take_md5(void *arg)
{
    const struct taking *t = arg;
    update(t->body->md5, t->bytes);
}

static void take_rest(void *arg)
{
    struct taking *t = arg;
    const struct s3_body *b = t->body;
    update(b->chunk_sha256, t->bytes);
    update(b->sha256, t->bytes);
    if (b->checksum != b->sha256)
        update(b->checksum, t->bytes);
    t->error = b->sink(t->op, t->bytes);
}

/* Whether two threads may do it at once: they share nothing but the bytes. */
static bool is_worth_two(const struct s3_op *op, size_t len)
{
    return op->body->md5 && len >= APART_BYTES_MIN && op->service->both;
}

static enum s3_error take_bytes(struct s3_op *op, struct pieces bytes)
{
    struct s3_body *b = op->body;
    size_t len = pieces_len(bytes);
    if (b->expect.length >= 0 && len > (uint64_t)b->expect.length - b->size)
        return S3_INCOMPLETE_BODY;
    b->size += len;
    struct taking t = {.op = op, .body = b, .bytes = bytes};
    if (is_worth_two(op, len)) {
        op->service->both(take_md5, take_rest, &t);
    } else {
        take_md5(&t);
        take_rest(&t);
    }
    return t.error;
}

/* aws-chunked */

/* Data between the framing of one feed: taken together, as that of a plain body is. Views into what is fed. */
struct gathered {
    struct str at[GATHERED_MAX];
    size_t count;
};

static enum s3_error take_gathered(struct s3_op *op, struct gathered *g)
{
    enum s3_error error = g->count > 0 ? take_bytes(op, pieces_at(g->at, g->count)) : S3_OK;
    g->count = 0;
    return error;
}

static enum s3_error gather(struct s3_op *op, struct gathered *g, struct str bytes)
{
    enum s3_error error = g->count == GATHERED_MAX ? take_gathered(op, g) : S3_OK;
    if (error == S3_OK)
        g->at[g->count++] = bytes;
    return error;
}

static enum s3_error begin_chunk(struct s3_op *op, const struct aws_chunked_event *event)
{
    struct s3_body *b = op->body;
    b->chunk_size_before = b->chunk_size;
    b->chunk_size = event->size;
    b->chunk_number++;
    bool follows_small_one = b->chunk_number > 1 && b->chunk_size_before < LIMIT_AWS_CHUNK_BYTES_MIN;
    if (event->size > 0 && follows_small_one) {
        s3_fail_extra(op, "Chunk", arena_printf(op->arena, "%ju", (uintmax_t)b->chunk_number - 1));
        s3_fail_extra(op, "BadChunkSize", arena_printf(op->arena, "%ju", (uintmax_t)b->chunk_size_before));
        return S3_INVALID_CHUNK_SIZE;
    }
    if (!b->expect.signed_chunks)
        return S3_OK;
    if (event->signature.len != SIGNATURE_LEN)
        return S3_INCOMPLETE_BODY;
    memcpy(b->chunk_signature, event->signature.ptr, SIGNATURE_LEN);
    digest_reset(b->chunk_sha256);
    return S3_OK;
}

static enum s3_error end_chunk(struct s3_op *op, struct gathered *g)
{
    struct s3_body *b = op->body;
    uint8_t sha256[DIGEST_SIZE_MAX];
    if (!b->expect.signed_chunks)
        return S3_OK;
    enum s3_error error = take_gathered(op, g);
    if (error != S3_OK)
        return error;
    digest_final(b->chunk_sha256, sha256);
    digest_reset(b->chunk_sha256);
    bool is_signed = sigv4_chain_chunk(&b->chain, sha256, str_of(b->chunk_signature, SIGNATURE_LEN));
    return is_signed ? S3_OK : S3_SIGNATURE_MISMATCH;
}

static enum s3_error take_trailer_signature(struct s3_body *b, struct str signature)
{
    uint8_t sha256[DIGEST_SIZE_MAX];
    if (!b->expect.signed_chunks || !b->expect.has_trailer || b->trailer_signed)
        return S3_MALFORMED_TRAILER;
    digest_final(b->trailer_sha256, sha256);
    b->trailer_signed = true;
    return sigv4_chain_trailer(&b->chain, sha256, signature) ? S3_OK : S3_SIGNATURE_MISMATCH;
}

/* The one trailer there may be is the announced checksum; its signature may come behind the empty line. */
static enum s3_error take_trailer(struct s3_op *op, const struct aws_chunked_event *event)
{
    struct s3_body *b = op->body;
    if (str_eq_nocase(event->name, STR("x-amz-trailer-signature")))
        return take_trailer_signature(b, event->value);
    enum s3_checksum_kind kind = s3_checksum_by_header(event->name);
    bool is_announced = b->expect.checksum_in_trailer && kind == b->expect.checksum.kind;
    if (!is_announced || b->trailer_seen || b->trailer_ended || b->trailer_signed)
        return S3_MALFORMED_TRAILER;
    b->trailer_seen = true;
    if (b->trailer_sha256) {
        digest_update(b->trailer_sha256, str_z(s3_checksum_header(kind)));
        digest_update(b->trailer_sha256, STR(":"));
        digest_update(b->trailer_sha256, event->value);
        digest_update(b->trailer_sha256, STR("\n"));
    }
    if (!s3_checksum_parse(kind, event->value, &b->expect.checksum))
        return s3_fail(op, S3_INVALID_REQUEST, "Value for %s trailing header is invalid.", s3_checksum_header(kind));
    return S3_OK;
}

static enum s3_error decode(struct s3_op *op, struct gathered *g, struct str bytes)
{
    struct s3_body *b = op->body;
    struct aws_chunked_event event;
    enum s3_error error = S3_OK;
    while (error == S3_OK) {
        switch (aws_chunked_next(&b->decoder, &bytes, &event)) {
        case AWS_CHUNKED_MORE:
            return S3_OK;
        case AWS_CHUNKED_CHUNK:
            error = begin_chunk(op, &event);
            break;
        case AWS_CHUNKED_DATA:
            error = gather(op, g, event.bytes);
            break;
        case AWS_CHUNKED_CHUNK_END:
            error = end_chunk(op, g);
            break;
        case AWS_CHUNKED_TRAILER:
            error = take_trailer(op, &event);
            break;
        case AWS_CHUNKED_END:
            b->trailer_ended = true;
            break;
        case AWS_CHUNKED_BAD:
            return S3_INCOMPLETE_BODY;
        }
    }
    return error;
}

static enum s3_error feed_aws_chunked(struct s3_op *op, struct pieces p)
{
    struct gathered g = {.count = 0};
    enum s3_error error = S3_OK;
    for (size_t i = 0; i < p.count && error == S3_OK; i++)
        error = decode(op, &g, p.at[i]);
    /* What came first, fails first. */
    enum s3_error taken = take_gathered(op, &g);
    return taken != S3_OK ? taken : error;
}

enum s3_error s3_body_feed(struct s3_op *op, struct pieces p)
{
    return op->body->expect.aws_chunked ? feed_aws_chunked(op, p) : take_bytes(op, p);
}

/* The verdict */

static enum s3_error check_whole(const struct s3_body *b)
{
    if (b->expect.length >= 0 && b->size != (uint64_t)b->expect.length)
        return S3_INCOMPLETE_BODY;
    if (!b->expect.aws_chunked)
        return S3_OK;
    if (!aws_chunked_is_complete(&b->decoder))
        return S3_INCOMPLETE_BODY;
    bool lacks_checksum = b->expect.checksum_in_trailer && !b->trailer_seen;
    bool lacks_signature = b->expect.signed_chunks && b->expect.has_trailer && !b->trailer_signed;
    return lacks_checksum || lacks_signature ? S3_MALFORMED_TRAILER : S3_OK;
}

static struct str base64_text(struct s3_op *op, const uint8_t *bytes, size_t size)
{
    char *text = arena_alloc(op->arena, BASE64_LEN(size) + 1);
    base64_encode(bytes, size, text);
    return str_z(text);
}

static struct str hex_text(struct s3_op *op, const uint8_t *bytes, size_t size)
{
    char *text = arena_alloc(op->arena, 2 * size + 1);
    hex_encode(bytes, size, text);
    return str_z(text);
}

static enum s3_error check_md5(struct s3_op *op)
{
    struct s3_body *b = op->body;
    uint8_t value[DIGEST_SIZE_MAX];
    if (!b->md5)
        return S3_OK;
    digest_final(b->md5, value);
    memcpy(b->md5_value, value, sizeof(b->md5_value));
    if (!b->expect.has_md5 || memcmp(b->md5_value, b->expect.md5, sizeof(b->md5_value)) == 0)
        return S3_OK;
    s3_fail_extra(op, "ExpectedDigest", hex_text(op, b->expect.md5, sizeof(b->expect.md5)));
    s3_fail_extra(op, "CalculatedDigest", base64_text(op, b->md5_value, sizeof(b->md5_value)));
    return s3_fail(op, S3_BAD_DIGEST, "The Content-MD5 you specified did not match what we received.");
}

static enum s3_error check_sha256(struct s3_op *op, const uint8_t value[32])
{
    const struct s3_body *b = op->body;
    if (memcmp(value, b->expect.sha256, sizeof(b->expect.sha256)) == 0)
        return S3_OK;
    s3_fail_extra(op, "ClientComputedContentSHA256", hex_text(op, b->expect.sha256, sizeof(b->expect.sha256)));
    s3_fail_extra(op, "S3ComputedContentSHA256", hex_text(op, value, sizeof(b->expect.sha256)));
    return S3_SHA256_MISMATCH;
}

/* Some SDKs put the checksum of an empty body into presigned URLs, which then fit no upload. */
static bool is_checksum_of_nothing(const struct s3_checksum *c)
{
    struct s3_checksum nothing = {.kind = c->kind};
    uint8_t value[DIGEST_SIZE_MAX];
    digest_bytes(s3_checksum_digest(c->kind), STR_EMPTY, value);
    memcpy(nothing.value, value, s3_checksum_size(c->kind));
    return s3_checksum_eq(c, &nothing);
}

static enum s3_error check_checksum(struct s3_op *op)
{
    const struct s3_body *b = op->body;
    const struct s3_checksum *announced = &b->expect.checksum;
    if (announced->kind == S3_CHECKSUM_NONE || s3_checksum_eq(announced, &b->checksum_value))
        return S3_OK;
    const char *name = s3_checksum_name(announced->kind);
    if (b->expect.checksum_in_query && b->size > 0 && is_checksum_of_nothing(announced))
        return s3_fail(op, S3_BAD_DIGEST,
                       "The %s in the presigned URL is that of an empty body: create the URL with the client option "
                       "requestChecksumCalculation: \"WHEN_REQUIRED\".",
                       name);
    return s3_fail(op, S3_BAD_DIGEST, "The %s you specified did not match the calculated checksum.", name);
}

enum s3_error s3_body_finish(struct s3_op *op)
{
    struct s3_body *b = op->body;
    uint8_t value[DIGEST_SIZE_MAX];
    enum s3_error error = check_whole(b);
    if (error == S3_OK)
        error = check_md5(op);
    if (error == S3_OK && b->sha256) {
        digest_final(b->sha256, value);
        error = check_sha256(op, value);
    }
    if (error != S3_OK || !b->checksum)
        return error;
    if (b->checksum != b->sha256)
        digest_final(b->checksum, value);
    b->checksum_value.kind = b->checksum_kind;
    memcpy(b->checksum_value.value, value, s3_checksum_size(b->checksum_kind));
    return check_checksum(op);
}

uint64_t s3_body_size(const struct s3_op *op)
{
    return op->body->size;
}

void s3_body_md5(const struct s3_op *op, uint8_t out[16])
{
    CHECK(op->body->md5 != NULL);
    memcpy(out, op->body->md5_value, sizeof(op->body->md5_value));
}

struct s3_checksum s3_body_checksum(const struct s3_op *op)
{
    return op->body->checksum_value;
}

/* Content-Encoding */

struct str s3_stored_content_encoding(const struct s3_op *op)
{
    struct str rest = s3_header(&op->req, "content-encoding");
    struct str token;
    struct buf kept = buf_make(LIMIT_HEAD_BYTES);
    while (str_split(&rest, ',', &token)) {
        token = str_trim(token);
        if (token.len == 0 || str_eq_nocase(token, STR("aws-chunked")))
            continue;
        if (kept.len > 0)
            buf_addz(&kept, ", ");
        buf_add(&kept, token);
    }
    struct str result = kept.len > 0 ? arena_dup(op->arena, buf_str(&kept)) : STR_EMPTY;
    buf_done(&kept);
    return result;
}
