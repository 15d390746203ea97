#include "base/public_key.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "base/check.h"

#define P256_SIZE 32
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192 /* what a verification may cost */
#define RSA_EXPONENT_SIZE_MAX 4

static const uint8_t *bytes(struct str s)
{
    return (const uint8_t *)s.ptr;
}

static EVP_PKEY *make_key(const char *type, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    CHECK(params != NULL && ctx != NULL);
    if (EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

/* Frees the key. What is left in the thread's queue of errors would puzzle whoever looks there next. */
static bool verify(EVP_PKEY *key, struct str message, const uint8_t *signature, size_t size)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CHECK(ctx != NULL);
    bool ok = key && EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
              EVP_DigestVerify(ctx, signature, size, bytes(message), message.len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return ok;
}

bool rsa_sha256_verify(struct str modulus, struct str exponent, struct str message, struct str signature)
{
    if (modulus.len > RSA_BITS_MAX / 8 || exponent.len == 0 || exponent.len > RSA_EXPONENT_SIZE_MAX)
        return false;
    BIGNUM *n = BN_bin2bn(bytes(modulus), (int)modulus.len, NULL), *e = BN_bin2bn(bytes(exponent), (int)exponent.len, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    CHECK(n != NULL && e != NULL && builder != NULL);
    CHECK(OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1);
    CHECK(OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1);
    bool is_sound = BN_num_bits(n) >= RSA_BITS_MIN && BN_is_odd(n) && BN_is_odd(e) && !BN_is_one(e);
    bool ok = is_sound && verify(make_key("RSA", builder), message, bytes(signature), signature.len);
    OSSL_PARAM_BLD_free(builder);
    BN_free(n);
    BN_free(e);
    return ok;
}

/* OpenSSL wants r and s in DER. */
static unsigned char *der_of(struct str signature, int *out_size)
{
    unsigned char *der = NULL;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(bytes(signature), P256_SIZE, NULL), *s = BN_bin2bn(bytes(signature) + P256_SIZE, P256_SIZE, NULL);
    CHECK(pair != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s) == 1);
    *out_size = i2d_ECDSA_SIG(pair, &der);
    CHECK(*out_size > 0);
    ECDSA_SIG_free(pair);
    return der;
}

bool p256_sha256_verify(struct str x, struct str y, struct str message, struct str signature)
{
    uint8_t point[1 + 2 * P256_SIZE] = {4}; /* uncompressed */
    int der_size;
    if (x.len != P256_SIZE || y.len != P256_SIZE || signature.len != 2 * (size_t)P256_SIZE)
        return false;
    memcpy(point + 1, x.ptr, P256_SIZE);
    memcpy(point + 1 + P256_SIZE, y.ptr, P256_SIZE);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    CHECK(builder != NULL);
    CHECK(OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1);
    CHECK(OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)) == 1);
    unsigned char *der = der_of(signature, &der_size);
    bool ok = verify(make_key("EC", builder), message, der, (size_t)der_size);
    OPENSSL_free(der);
    OSSL_PARAM_BLD_free(builder);
    return ok;
}
