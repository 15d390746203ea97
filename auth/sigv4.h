/* AWS Signature Version 4 in its three stages, each a function of its own: canonical request → string to sign →
 * signature. Verification and the signing of our own requests to an object store are both made of them.
 *
 * Source: "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk", Amazon S3 API
 * reference. Thread: any; results live in the arena. */
#ifndef AUTH_SIGV4_H
#define AUTH_SIGV4_H

#include <stdint.h>

#include "auth/query.h"
#include "auth/signing_key.h"
#include "base/arena.h"
#include "base/compiler.h"
#include "base/http_head.h"

#define SIGV4_ALGORITHM "AWS4-HMAC-SHA256"
#define SIGV4_SIGNATURE_SIZE 64 /* hex digits */

/* What a signature covers. Nothing is normalised beforehand: headers and path are as they are on the wire. */
struct sigv4_message {
    struct str method;
    struct str path; /* raw; empty counts as "/" */
    const struct auth_query *query;
    const struct http_header *headers;
    size_t header_count;
    struct str signed_headers; /* "host;x-amz-date": which headers, in which order; no name twice */
    struct str payload_hash;   /* hex SHA-256 of the body, or a word like UNSIGNED-PAYLOAD */
};

/* False for a bad percent escape in the path. */
MUST_USE bool sigv4_canonical_request(const struct sigv4_message *m, struct arena *arena, struct str *out);
struct str sigv4_string_to_sign(struct str amz_date, struct str scope, struct str canonical_request,
                                struct arena *arena);
/* Lower-case hex, no NUL. */
void sigv4_signature(const uint8_t key[SIGNING_KEY_SIZE], struct str string_to_sign, char out[SIGV4_SIGNATURE_SIZE]);

struct sigv4_signer {
    struct str access_key, secret, region;
    struct signing_key_cache *keys;
};

/* The value of the Authorization header that signs this outgoing request with all the headers the head has. It must
 * have Host, x-amz-date and x-amz-content-sha256; leave out what a proxy or the HTTP library may change. */
struct str sigv4_sign(const struct sigv4_signer *signer, const struct http_head *head, struct arena *arena);

#endif
