/* Compression of blocks (format §2.3): one bare unit a block, no header; the length of the plain bytes is in the block's key.
 * The only owner of liblz4 and libzstd. Pure. Thread: any. */
#ifndef VFS_DATA_COMPRESS_H
#define VFS_DATA_COMPRESS_H

#include "base/compiler.h"
#include "base/str.h"

enum compress_kind {
    COMPRESS_NONE,
    COMPRESS_LZ4, /* an LZ4 block, not a frame */
    COMPRESS_ZSTD /* a frame */
};

/* False for names that are none; "" is none, any case. */
MUST_USE bool compress_kind_parse(struct str name, enum compress_kind *out);
/* What `size` plain bytes may become at most. */
size_t compress_bound(enum compress_kind kind, size_t size);
/* out has compress_bound(in.len) bytes. Returns the bytes used. */
size_t compress_encode(enum compress_kind kind, struct str in, char *out);
/* -EBADMSG unless `in` gives exactly `size` bytes. */
MUST_USE int compress_decode(enum compress_kind kind, struct str in, char *out, size_t size);

#endif
