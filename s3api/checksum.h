/* x-amz-checksum-*: names, kinds, values; composite and full-object. Pure. Thread: any. */
#ifndef S3API_CHECKSUM_H
#define S3API_CHECKSUM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/str.h"

enum s3_checksum_kind {
    S3_CHECKSUM_NONE,
    S3_CHECKSUM_CRC32,
    S3_CHECKSUM_CRC32C,
    S3_CHECKSUM_CRC64NVME,
    S3_CHECKSUM_SHA1,
    S3_CHECKSUM_SHA256,
    S3_CHECKSUM_KIND_COUNT
};

struct s3_checksum {
    enum s3_checksum_kind kind;
    bool composite;     /* of the parts' checksums, "-N"; else of the whole object */
    uint32_t part_count; /* composite; 0: the value of one part of such an object, or a value without "-N" */
    uint8_t value[32];
};

/* "CRC64NVME" (algorithm headers, XML) / "x-amz-checksum-crc64nvme" / "ChecksumCRC64NVME"; NULL for NONE. */
const char *s3_checksum_name(enum s3_checksum_kind k);
const char *s3_checksum_header(enum s3_checksum_kind k);
const char *s3_checksum_element(enum s3_checksum_kind k);
/* NONE when unknown; any case. */
enum s3_checksum_kind s3_checksum_by_name(struct str name);
enum s3_checksum_kind s3_checksum_by_header(struct str header_name);
enum digest_kind s3_checksum_digest(enum s3_checksum_kind k);
size_t s3_checksum_size(enum s3_checksum_kind k);
/* Base64 of exactly the right length. */
bool s3_checksum_parse(enum s3_checksum_kind k, struct str base64, struct s3_checksum *out);
/* Base64, with "-N" when composite of N parts. At most S3_CHECKSUM_TEXT_MAX bytes, no NUL. */
#define S3_CHECKSUM_TEXT_MAX 64
struct str s3_checksum_text(const struct s3_checksum *c, char out[S3_CHECKSUM_TEXT_MAX]);
/* <ChecksumCRC32>…</ChecksumCRC32>; nothing for NONE. */
void s3_checksum_xml(struct buf *b, const struct s3_checksum *c);
bool s3_checksum_eq(const struct s3_checksum *a, const struct s3_checksum *b);

#endif
