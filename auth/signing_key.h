/* Signing keys of SigV4, HMAC^4("AWS4" + secret, day, region, "s3", "aws4_request"), and a cache of them: a key is good
 * for a day of all requests, deriving it costs as much as the rest of a verification. A cache holds at most a few
 * hundred keys, forgets the least recently used, and wipes what it forgets. Thread: any. */
#ifndef AUTH_SIGNING_KEY_H
#define AUTH_SIGNING_KEY_H

#include <stdint.h>

#include "base/str.h"

#define SIGNING_KEY_SIZE 32
#define SIGNING_KEY_DAY_SIZE 8 /* "20130524" */

/* day has SIGNING_KEY_DAY_SIZE bytes, secret at most LIMIT_SECRET_KEY_BYTES, region at most AUTH_REGION_SIZE_MAX. */
void signing_key_derive(struct str secret, struct str day, struct str region, uint8_t out[SIGNING_KEY_SIZE]);
/* The same for another service than S3. */
void signing_key_derive_for(struct str service, struct str secret, struct str day, struct str region,
                            uint8_t out[SIGNING_KEY_SIZE]);

struct signing_key_cache;
struct signing_key_cache *signing_key_cache_new(void);
/* NULL is fine. */
void signing_key_cache_free(struct signing_key_cache *c);
/* As signing_key_derive, remembered. */
void signing_key_get(struct signing_key_cache *c, struct str secret, struct str day, struct str region,
                     uint8_t out[SIGNING_KEY_SIZE]);

#endif
