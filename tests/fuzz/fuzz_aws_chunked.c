/* The aws-chunked decoder: whatever the bytes and however they are split, the same events come out. */
#include "tests/fuzz/fuzz.h"

#include "base/digest.h"
#include "s3api/body_aws_chunked.h"

struct outcome {
    uint64_t data_bytes, trailers;
    bool bad, complete;
    uint8_t md5[DIGEST_SIZE_MAX];
};

static void decode(struct str bytes, size_t piece, struct outcome *out)
{
    struct aws_chunked decoder;
    struct digest *digest = digest_new(DIGEST_MD5);
    aws_chunked_init(&decoder);
    *out = (struct outcome){0};
    while (bytes.len > 0 && !out->bad) {
        struct str part = str_first(bytes, piece);
        bytes = str_from(bytes, part.len);
        struct aws_chunked_event event;
        for (enum aws_chunked_kind kind; (kind = aws_chunked_next(&decoder, &part, &event)) != AWS_CHUNKED_MORE;) {
            if (kind == AWS_CHUNKED_DATA) {
                out->data_bytes += event.bytes.len;
                digest_update(digest, event.bytes);
            }
            out->trailers += kind == AWS_CHUNKED_TRAILER;
            out->bad = kind == AWS_CHUNKED_BAD;
            if (out->bad)
                break;
        }
    }
    out->complete = aws_chunked_is_complete(&decoder);
    digest_final(digest, out->md5);
    digest_free(digest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, pieces;
    decode(fuzz_str(data, size), size ? size : 1, &whole);
    decode(fuzz_str(data, size), 1 + size % 7, &pieces);
    CHECK(whole.bad == pieces.bad && whole.complete == pieces.complete);
    CHECK(whole.bad || (whole.data_bytes == pieces.data_bytes && whole.trailers == pieces.trailers &&
                        memcmp(whole.md5, pieces.md5, 16) == 0));
    return 0;
}
