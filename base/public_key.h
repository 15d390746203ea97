/* Signatures made with other people's private keys (RFC 7518): the keys come as numbers, big-endian, out of a JWK. OpenSSL.
 * Thread: any. */
#ifndef BASE_PUBLIC_KEY_H
#define BASE_PUBLIC_KEY_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/str.h"

/* RSASSA-PKCS1-v1_5 with SHA-256. False for a wrong signature, and for keys below 2,048 or above 8,192 bits. */
MUST_USE bool rsa_sha256_verify(struct str modulus, struct str exponent, struct str message, struct str signature);
/* ECDSA on P-256 with SHA-256: x and y of 32 bytes, the signature r ‖ s of 64. False for anything else. */
MUST_USE bool p256_sha256_verify(struct str x, struct str y, struct str message, struct str signature);

#endif
