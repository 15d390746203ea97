#include "s3api/checksum.h"

#include <stdio.h>

#include "base/check.h"
#include "base/encode.h"
#include "base/limits.h"
#include "s3api/xml.h"

static const struct {
    const char *name, *header, *element;
    enum digest_kind digest;
} kinds[S3_CHECKSUM_KIND_COUNT] = {
    [S3_CHECKSUM_CRC32] = {"CRC32", "x-amz-checksum-crc32", "ChecksumCRC32", DIGEST_CRC32},
    [S3_CHECKSUM_CRC32C] = {"CRC32C", "x-amz-checksum-crc32c", "ChecksumCRC32C", DIGEST_CRC32C},
    [S3_CHECKSUM_CRC64NVME] = {"CRC64NVME", "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME", DIGEST_CRC64NVME},
    [S3_CHECKSUM_SHA1] = {"SHA1", "x-amz-checksum-sha1", "ChecksumSHA1", DIGEST_SHA1},
    [S3_CHECKSUM_SHA256] = {"SHA256", "x-amz-checksum-sha256", "ChecksumSHA256", DIGEST_SHA256},
};

_Static_assert(S3_CHECKSUM_TEXT_MAX >= BASE64_LEN(32) + sizeof("-10000"), "the longest value and its part count fit");

const char *s3_checksum_name(enum s3_checksum_kind k)
{
    return kinds[k].name;
}

const char *s3_checksum_header(enum s3_checksum_kind k)
{
    return kinds[k].header;
}

const char *s3_checksum_element(enum s3_checksum_kind k)
{
    return kinds[k].element;
}

enum s3_checksum_kind s3_checksum_by_name(struct str name)
{
    for (int k = S3_CHECKSUM_NONE + 1; k < S3_CHECKSUM_KIND_COUNT; k++)
        if (str_eq_nocase(name, str_z(kinds[k].name)))
            return (enum s3_checksum_kind)k;
    return S3_CHECKSUM_NONE;
}

enum s3_checksum_kind s3_checksum_by_header(struct str header_name)
{
    for (int k = S3_CHECKSUM_NONE + 1; k < S3_CHECKSUM_KIND_COUNT; k++)
        if (str_eq_nocase(header_name, str_z(kinds[k].header)))
            return (enum s3_checksum_kind)k;
    return S3_CHECKSUM_NONE;
}

enum digest_kind s3_checksum_digest(enum s3_checksum_kind k)
{
    CHECK(k != S3_CHECKSUM_NONE && k < S3_CHECKSUM_KIND_COUNT);
    return kinds[k].digest;
}

size_t s3_checksum_size(enum s3_checksum_kind k)
{
    return digest_size(s3_checksum_digest(k));
}

bool s3_checksum_parse(enum s3_checksum_kind k, struct str base64, struct s3_checksum *out)
{
    struct s3_checksum c = {.kind = k};
    size_t size;
    if (!base64_decode(base64, c.value, sizeof(c.value), &size) || size != s3_checksum_size(k))
        return false;
    *out = c;
    return true;
}

struct str s3_checksum_text(const struct s3_checksum *c, char out[S3_CHECKSUM_TEXT_MAX])
{
    size_t size = s3_checksum_size(c->kind);
    base64_encode(c->value, size, out);
    size_t len = BASE64_LEN(size);
    if (c->composite && c->part_count > 0) {
        CHECK(c->part_count <= LIMIT_PARTS);
        len += (size_t)snprintf(out + len, S3_CHECKSUM_TEXT_MAX - len, "-%u", c->part_count);
    }
    return str_of(out, len);
}

void s3_checksum_xml(struct buf *b, const struct s3_checksum *c)
{
    char text[S3_CHECKSUM_TEXT_MAX];
    if (c->kind != S3_CHECKSUM_NONE)
        xml_text(b, s3_checksum_element(c->kind), s3_checksum_text(c, text));
}

bool s3_checksum_eq(const struct s3_checksum *a, const struct s3_checksum *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == S3_CHECKSUM_NONE)
        return true;
    if (a->composite != b->composite || (a->composite && a->part_count != b->part_count))
        return false;
    return memcmp(a->value, b->value, s3_checksum_size(a->kind)) == 0;
}
