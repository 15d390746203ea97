/* Blocks ↔ objects: compressed first, then encrypted (format §2.3, §2.4). Thread: any. */
#ifndef VFS_DATA_CODEC_H
#define VFS_DATA_CODEC_H

#include "vfs/data/cipher.h"
#include "vfs/data/compress.h"

struct data_codec {
    enum compress_kind compression;
    struct data_cipher *cipher; /* NULL: not encrypted */
};

/* An object is the block as it is: parts of it can be read alone. */
static inline bool data_codec_is_plain(const struct data_codec *c)
{
    return c->compression == COMPRESS_NONE && !c->cipher;
}
/* What a block of `size` bytes may become, also at the official client's. */
size_t data_codec_bound(const struct data_codec *c, size_t size);
/* The object of a block of at least one byte. *out is malloc'd, at most data_codec_bound bytes. */
void data_codec_encode(const struct data_codec *c, struct str block, char **out, size_t *out_size);
/* Spoils `object`. -EBADMSG unless it holds exactly `size` bytes. */
MUST_USE int data_codec_decode(const struct data_codec *c, char *object, size_t object_size, char *out, size_t size);

#endif
