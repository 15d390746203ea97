/* Rolling signatures of STREAMING-AWS4-HMAC-SHA256-PAYLOAD[-TRAILER] bodies: each chunk's signature covers the one before,
 * the first the request's own ("Transferring Payload in Multiple Chunks", S3 API reference). Thread: one at a time. */
#ifndef AUTH_SIGV4_CHUNK_H
#define AUTH_SIGV4_CHUNK_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/verify.h"
#include "base/compiler.h"
#include "base/str.h"

struct sigv4_chain {
    uint8_t signing_key[AUTH_SIGNING_KEY_SIZE];
    struct str amz_date, scope; /* live as long as the auth_result */
    char previous[64];
};

void sigv4_chain_init(struct sigv4_chain *c, const struct auth_result *seed);
/* True, and the chain moves on, when `signature` (64 hex digits) signs a chunk whose data have this SHA-256. */
MUST_USE bool sigv4_chain_chunk(struct sigv4_chain *c, const uint8_t data_sha256[32], struct str signature);
/* As above for the trailer; trailer_sha256 covers its canonical form: "name:value\n" for each trailing header. */
MUST_USE bool sigv4_chain_trailer(struct sigv4_chain *c, const uint8_t trailer_sha256[32], struct str signature);
/* Wipes the key. */
void sigv4_chain_done(struct sigv4_chain *c);

#endif
