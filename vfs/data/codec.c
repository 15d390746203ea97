#include "vfs/data/codec.h"

#include <stdlib.h>

#include "base/check.h"

size_t data_codec_bound(const struct data_codec *c, size_t size)
{
    return compress_bound(c->compression, size) + (c->cipher ? data_cipher_overhead(c->cipher) : 0);
}

void data_codec_encode(const struct data_codec *c, struct str block, char **out, size_t *out_size)
{
    size_t bound = compress_bound(c->compression, block.len);
    char *packed = malloc(bound);
    CHECK(packed != NULL); /* out of memory */
    size_t size = compress_encode(c->compression, block, packed);
    if (c->cipher) {
        char *sealed = malloc(size + data_cipher_overhead(c->cipher));
        CHECK(sealed != NULL); /* out of memory */
        size = data_cipher_seal(c->cipher, str_of(packed, size), sealed);
        free(packed);
        packed = sealed;
    }
    *out = packed;
    *out_size = size;
}

int data_codec_decode(const struct data_codec *c, char *object, size_t object_size, char *out, size_t size)
{
    struct str packed = str_of(object, object_size);
    if (c->cipher) {
        int rc = data_cipher_open(c->cipher, object, object_size, &packed);
        if (rc < 0)
            return rc;
    }
    return compress_decode(c->compression, packed, out, size);
}
