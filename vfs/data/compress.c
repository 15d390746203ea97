#include "vfs/data/compress.h"

#include <errno.h>
#include <limits.h>

#include <lz4.h>
#include <zstd.h>

#include "base/check.h"

/* The official client's; any level can be read. */
#define ZSTD_LEVEL 1

bool compress_kind_parse(struct str name, enum compress_kind *out)
{
    static const struct {
        const char *name;
        enum compress_kind kind;
    } rows[] = {{"", COMPRESS_NONE}, {"none", COMPRESS_NONE}, {"lz4", COMPRESS_LZ4}, {"zstd", COMPRESS_ZSTD}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (str_eq_nocase(name, str_z(rows[i].name))) {
            *out = rows[i].kind;
            return true;
        }
    }
    return false;
}

size_t compress_bound(enum compress_kind kind, size_t size)
{
    CHECK(size <= LZ4_MAX_INPUT_SIZE);
    switch (kind) {
    case COMPRESS_NONE:
        return size;
    case COMPRESS_LZ4:
        return (size_t)LZ4_compressBound((int)size);
    case COMPRESS_ZSTD:
        return ZSTD_compressBound(size);
    }
    return 0;
}

static size_t encode_lz4(struct str in, char *out)
{
    int size = LZ4_compress_default(in.ptr, out, (int)in.len, LZ4_compressBound((int)in.len));
    CHECK(size > 0);
    return (size_t)size;
}

static size_t encode_zstd(struct str in, char *out)
{
    size_t size = ZSTD_compress(out, ZSTD_compressBound(in.len), in.ptr, in.len, ZSTD_LEVEL);
    CHECK(!ZSTD_isError(size)); /* out of memory */
    return size;
}

size_t compress_encode(enum compress_kind kind, struct str in, char *out)
{
    CHECK(in.len > 0 && in.len <= LZ4_MAX_INPUT_SIZE);
    switch (kind) {
    case COMPRESS_NONE:
        memcpy(out, in.ptr, in.len);
        return in.len;
    case COMPRESS_LZ4:
        return encode_lz4(in, out);
    case COMPRESS_ZSTD:
        return encode_zstd(in, out);
    }
    return 0;
}

static bool decodes_to(enum compress_kind kind, struct str in, char *out, size_t size)
{
    switch (kind) {
    case COMPRESS_NONE:
        if (in.len != size)
            return false;
        memmove(out, in.ptr, size);
        return true;
    case COMPRESS_LZ4:
        return in.len <= INT_MAX && LZ4_decompress_safe(in.ptr, out, (int)in.len, (int)size) == (int)size;
    case COMPRESS_ZSTD:
        return ZSTD_decompress(out, size, in.ptr, in.len) == size;
    }
    return false;
}

int compress_decode(enum compress_kind kind, struct str in, char *out, size_t size)
{
    CHECK(size > 0 && size <= LZ4_MAX_INPUT_SIZE);
    return in.len > 0 && decodes_to(kind, in, out, size) ? 0 : -EBADMSG;
}
