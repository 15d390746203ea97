/* Digests and checksums as one incremental interface. OpenSSL is used in base/digest.c and base/secretbox.c only; CRC32 and
 * CRC32C come from ISA-L, CRC64NVME is ours (no Debian package has its polynomial). Thread: a context is used by one thread
 * at a time. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/pieces.h"

enum digest_kind {
    DIGEST_MD5,
    DIGEST_SHA1,
    DIGEST_SHA256,
    DIGEST_SHA512,
    DIGEST_CRC32,     /* IEEE 802.3, big-endian bytes */
    DIGEST_CRC32C,    /* Castagnoli, big-endian bytes */
    DIGEST_CRC64NVME, /* NVMe, big-endian bytes; check value ae8b14860a799888 */
    DIGEST_KIND_COUNT
};

#define DIGEST_SIZE_MAX 64

/* Bytes of the result. */
size_t digest_size(enum digest_kind kind);

struct digest; /* heap object; reused by digest_reset */
struct digest *digest_new(enum digest_kind kind);
void digest_free(struct digest *d);
void digest_freep(struct digest **d);
void digest_reset(struct digest *d);
void digest_update(struct digest *d, struct str bytes);
void digest_update_pieces(struct digest *d, struct pieces p);
/* Writes digest_size bytes; the context must be reset before further use. */
void digest_final(struct digest *d, uint8_t out[DIGEST_SIZE_MAX]);
/* One shot. */
void digest_bytes(enum digest_kind kind, struct str bytes, uint8_t out[DIGEST_SIZE_MAX]);

/* CRC of A‖B from the CRCs of A and B and B's length: a multipart object's full-object CRC without reading it again.
 * kind is one of the three CRCs; values as digest_final writes them. */
void digest_crc_combine(enum digest_kind kind, const uint8_t *crc_a, const uint8_t *crc_b, uint64_t size_b, uint8_t *out);

/* HMAC (RFC 2104). */
void hmac_sha256(struct str key, struct str message, uint8_t out[32]);
void hmac_sha1(struct str key, struct str message, uint8_t out[20]);

#endif
