/* JSON Web Tokens in compact form (RFC 7515, 7519) and key sets (RFC 7517): parsed, and verified with RS256 or ES256, nothing else.
 * A token that was only parsed says nothing yet. Thread: any; memory is the arena's. */
#ifndef AUTH_JWT_H
#define AUTH_JWT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/json.h"

struct jwt {
    struct str algorithm, key_id; /* key_id may be empty */
    const struct json *claims;
    struct str issuer, subject; /* may be empty */
    int64_t expires_s, not_before_s;
    struct str signed_text, signature; /* bytes */
};

/* False for anything that is not such a token of at most LIMIT_WEB_TOKEN_BYTES with an expiry, or that has critical headers. */
MUST_USE bool jwt_parse(struct str text, struct arena *arena, struct jwt *out);
/* Is one of the set's keys, of the token's algorithm and key id, its signer's? */
MUST_USE bool jwt_verify(const struct jwt *t, const struct json *key_set, struct arena *arena);
/* Does the claim, a text or a list of texts, have one that fits the pattern? '*' stands for any characters. */
bool jwt_claim_fits(const struct jwt *t, const char *claim, struct str pattern);

#endif
