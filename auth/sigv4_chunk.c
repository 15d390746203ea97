#include "auth/sigv4_chunk.h"

#include "auth/sigv4.h"
#include "base/check.h"
#include "base/encode.h"

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

_Static_assert(sizeof(((struct sigv4_chain *)0)->previous) == SIGV4_SIGNATURE_SIZE,
               "the chain holds a whole signature");

/* The longest string to sign: "AWS4-HMAC-SHA256-TRAILER", date, scope and three hashes, with line ends. */
#define STRING_SIZE_MAX (24 + 16 + (8 + AUTH_REGION_SIZE_MAX + 17) + 3 * 64 + 6)

void sigv4_chain_init(struct sigv4_chain *c, const struct auth_result *seed)
{
    CHECK(seed->payload == AUTH_PAYLOAD_STREAM_SIGNED || seed->payload == AUTH_PAYLOAD_STREAM_SIGNED_TRAILER);
    CHECK(seed->signature.len == sizeof(c->previous));
    *c = (struct sigv4_chain){.amz_date = seed->amz_date, .scope = seed->scope};
    memcpy(c->signing_key, seed->signing_key, sizeof(c->signing_key));
    memcpy(c->previous, seed->signature.ptr, sizeof(c->previous));
}

/* The next link covers the one before and the hashes (first_hash is a whole line or empty), and must be `signature`. */
static bool advance(struct sigv4_chain *c, const char *algorithm, const char *first_hash, const uint8_t sha256[32],
                    struct str signature)
{
    char memory[STRING_SIZE_MAX], expected[SIGV4_SIGNATURE_SIZE];
    struct buf b = buf_over(memory, sizeof(memory));
    buf_addf(&b, "%s\n%.*s\n%.*s\n%.*s\n%s", algorithm, STR_ARG(c->amz_date), STR_ARG(c->scope),
             (int)sizeof(c->previous), c->previous, first_hash);
    buf_add_hex(&b, sha256, 32);
    CHECK(!b.failed);
    sigv4_signature(c->signing_key, buf_str(&b), expected);
    if (!str_eq_secret(str_of(expected, sizeof(expected)), signature))
        return false;
    memcpy(c->previous, expected, sizeof(expected));
    return true;
}

/* The hash of nothing stands for the chunk's headers, of which there are none. */
bool sigv4_chain_chunk(struct sigv4_chain *c, const uint8_t data_sha256[32], struct str signature)
{
    return advance(c, SIGV4_ALGORITHM "-PAYLOAD", EMPTY_SHA256 "\n", data_sha256, signature);
}

bool sigv4_chain_trailer(struct sigv4_chain *c, const uint8_t trailer_sha256[32], struct str signature)
{
    return advance(c, SIGV4_ALGORITHM "-TRAILER", "", trailer_sha256, signature);
}

void sigv4_chain_done(struct sigv4_chain *c)
{
    secure_zero(c->signing_key, sizeof(c->signing_key));
}
