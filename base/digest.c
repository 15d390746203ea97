#include "base/digest.h"

#include <pthread.h>
#include <stdlib.h>

#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_Init and friends: see sha256_parts */
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "base/check.h"
#include "base/digest_internal.h"

/* The kinds, in the order of enum digest_kind */

struct kind_row {
    size_t size;
    const char *openssl_name; /* NULL: one of the CRCs */
};

static const struct kind_row kinds[DIGEST_KIND_COUNT] = {
    [DIGEST_MD5] = {16, "MD5"},
    [DIGEST_SHA1] = {20, "SHA1"},
    [DIGEST_SHA256] = {32, "SHA2-256"},
    [DIGEST_SHA512] = {64, "SHA2-512"},
    [DIGEST_CRC32] = {4, NULL},
    [DIGEST_CRC32C] = {4, NULL},
    [DIGEST_CRC64NVME] = {8, NULL},
};

static bool is_crc(enum digest_kind kind)
{
    return kinds[kind].openssl_name == NULL;
}

size_t digest_size(enum digest_kind kind)
{
    CHECK(kind < DIGEST_KIND_COUNT);
    return kinds[kind].size;
}

/* OpenSSL: algorithms are fetched once per process, since a fetch takes locks and walks the providers. One-shot work
 * has a context per thread; OpenSSL 3.0 still allocates the algorithm's state at each start, a hundred bytes. Calls
 * fail only when the library cannot allocate or lacks the algorithm: neither leaves anything to answer with. */

static EVP_MD *algorithms[DIGEST_KIND_COUNT];
static pthread_key_t thread_context_key;

static void thread_context_free(void *ctx)
{
    EVP_MD_CTX_free(ctx);
}

static void fetch_algorithms(void)
{
    for (int kind = 0; kind < DIGEST_KIND_COUNT; kind++) {
        if (!kinds[kind].openssl_name)
            continue;
        algorithms[kind] = EVP_MD_fetch(NULL, kinds[kind].openssl_name, NULL);
        CHECK(algorithms[kind] != NULL);
    }
    CHECK(pthread_key_create(&thread_context_key, thread_context_free) == 0);
}

static void fetch_algorithms_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, fetch_algorithms); /* fails for an invalid `once` only */
}

static void evp_start(EVP_MD_CTX *ctx, enum digest_kind kind)
{
    CHECK(EVP_DigestInit_ex2(ctx, algorithms[kind], NULL) == 1);
}

static void evp_update(EVP_MD_CTX *ctx, const void *bytes, size_t size)
{
    CHECK(EVP_DigestUpdate(ctx, bytes, size) == 1);
}

static void evp_final(EVP_MD_CTX *ctx, uint8_t *out)
{
    CHECK(EVP_DigestFinal_ex(ctx, out, NULL) == 1);
}

static EVP_MD_CTX *evp_new(void)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CHECK(ctx != NULL);
    return ctx;
}

/* This thread's context for one-shot work. */
static EVP_MD_CTX *thread_context(void)
{
    fetch_algorithms_once();
    EVP_MD_CTX *ctx = pthread_getspecific(thread_context_key);
    if (!ctx) {
        ctx = evp_new();
        CHECK(pthread_setspecific(thread_context_key, ctx) == 0);
    }
    return ctx;
}

/* A signature is three of these over a few hundred bytes. EVP needs as long to begin one, with its allocations, as the
 * compression function to do it. */
static void sha256_parts(struct str first, struct str second, uint8_t *out)
{
    SHA256_CTX ctx;
    CHECK(SHA256_Init(&ctx) == 1);
    CHECK(SHA256_Update(&ctx, first.ptr, first.len) == 1);
    CHECK(second.len == 0 || SHA256_Update(&ctx, second.ptr, second.len) == 1);
    CHECK(SHA256_Final(out, &ctx) == 1);
    secure_zero(&ctx, sizeof(ctx));
}

/* Of both, one behind the other. */
static void digest_parts(enum digest_kind kind, struct str first, struct str second, uint8_t *out)
{
    if (kind == DIGEST_SHA256) {
        sha256_parts(first, second, out);
        return;
    }
    EVP_MD_CTX *ctx = thread_context();
    evp_start(ctx, kind);
    evp_update(ctx, first.ptr, first.len);
    evp_update(ctx, second.ptr, second.len);
    evp_final(ctx, out);
}

/* Incremental digests */

struct digest {
    enum digest_kind kind;
    bool is_final;   /* waits for digest_reset */
    EVP_MD_CTX *evp; /* NULL for CRCs */
    uint64_t crc;
};

struct digest *digest_new(enum digest_kind kind)
{
    CHECK(kind < DIGEST_KIND_COUNT);
    struct digest *d = calloc(1, sizeof(*d));
    CHECK(d != NULL);
    d->kind = kind;
    if (!is_crc(kind)) {
        fetch_algorithms_once();
        d->evp = evp_new();
    }
    digest_reset(d);
    return d;
}

void digest_free(struct digest *d)
{
    if (!d)
        return;
    EVP_MD_CTX_free(d->evp);
    free(d);
}

void digest_freep(struct digest **d)
{
    digest_free(*d);
    *d = NULL;
}

void digest_reset(struct digest *d)
{
    d->is_final = false;
    d->crc = 0;
    if (d->evp)
        evp_start(d->evp, d->kind);
}

void digest_update(struct digest *d, struct str bytes)
{
    CHECK(!d->is_final);
    if (d->evp)
        evp_update(d->evp, bytes.ptr, bytes.len);
    else
        d->crc = digest_crc_update(d->kind, d->crc, bytes);
}

void digest_update_pieces(struct digest *d, struct pieces p)
{
    for (size_t i = 0; i < p.count; i++)
        digest_update(d, p.at[i]);
}

void digest_final(struct digest *d, uint8_t out[DIGEST_SIZE_MAX])
{
    CHECK(!d->is_final);
    d->is_final = true;
    if (d->evp)
        evp_final(d->evp, out);
    else
        digest_crc_encode(d->kind, d->crc, out);
}

void digest_bytes(enum digest_kind kind, struct str bytes, uint8_t out[DIGEST_SIZE_MAX])
{
    CHECK(kind < DIGEST_KIND_COUNT);
    if (is_crc(kind))
        digest_crc_encode(kind, digest_crc_update(kind, 0, bytes), out);
    else
        digest_parts(kind, bytes, STR_EMPTY, out);
}

/* HMAC from the plain digest: with a new key each time, as SigV4 has it, EVP_MAC needs twice the time and the memory
 * traffic. */

#define HMAC_BLOCK_SIZE 64 /* of SHA-1 and SHA-256 alike */

/* out may be the memory of key or message: the chain of SigV4 keys is one buffer then. */
static void hmac(enum digest_kind kind, struct str key, struct str message, uint8_t *out)
{
    uint8_t pad[HMAC_BLOCK_SIZE] = {0};
    uint8_t inner[DIGEST_SIZE_MAX];
    struct str block = str_of((const char *)pad, sizeof(pad));

    if (key.len > sizeof(pad))
        digest_bytes(kind, key, pad);
    else if (key.len > 0)
        memcpy(pad, key.ptr, key.len);

    for (size_t i = 0; i < sizeof(pad); i++)
        pad[i] ^= 0x36;
    digest_parts(kind, block, message, inner);

    for (size_t i = 0; i < sizeof(pad); i++)
        pad[i] ^= 0x36 ^ 0x5c;
    digest_parts(kind, block, str_of((const char *)inner, digest_size(kind)), out);

    secure_zero(pad, sizeof(pad));
    secure_zero(inner, sizeof(inner));
}

void hmac_sha256(struct str key, struct str message, uint8_t out[32])
{
    hmac(DIGEST_SHA256, key, message, out);
}

void hmac_sha1(struct str key, struct str message, uint8_t out[20])
{
    hmac(DIGEST_SHA1, key, message, out);
}
