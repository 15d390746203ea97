/* What base/digest.c needs of the CRCs. A CRC travels as its plain value: 0 for no bytes, and the value after some
 * bytes is both the result and what the next update starts from. Thread: any. */
#ifndef BASE_DIGEST_INTERNAL_H
#define BASE_DIGEST_INTERNAL_H

#include <stdint.h>

#include "base/digest.h"

MUST_USE uint64_t digest_crc_update(enum digest_kind kind, uint64_t crc, struct str bytes);
/* Big-endian, digest_size(kind) bytes. */
void digest_crc_encode(enum digest_kind kind, uint64_t crc, uint8_t *out);

/* CRC64NVME without the processor's carry-less multiplication, so that tests reach it on every machine. */
MUST_USE uint64_t digest_crc64_portable(uint64_t crc, struct str bytes);

#endif
