/* Authenticated encryption of small secrets at rest: AES-GCM, random 96-bit nonce. Thread: any. */
#ifndef BASE_SECRETBOX_H
#define BASE_SECRETBOX_H

#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/str.h"

#define SECRETBOX_KEY_SIZE 32

/* Appends nonce[12] ‖ ciphertext ‖ tag[16]. `context` is authenticated but not stored (bind a secret to its row). */
void secretbox_seal(const uint8_t key[SECRETBOX_KEY_SIZE], struct str context, struct str plain, struct buf *out);
/* Appends the plain text; -EBADMSG when key, context or bytes do not fit together. */
MUST_USE int secretbox_open(const uint8_t key[SECRETBOX_KEY_SIZE], struct str context, struct str sealed, struct buf *out);

/* The same with AES-128 and nothing authenticated beside: the form of a foreign record (vfs/meta/settings.h). */
#define SECRETBOX_KEY128_SIZE 16
void secretbox_seal128(const uint8_t key[SECRETBOX_KEY128_SIZE], struct str plain, struct buf *out);
MUST_USE int secretbox_open128(const uint8_t key[SECRETBOX_KEY128_SIZE], struct str sealed, struct buf *out);

#endif
