#include "vfs/data/cipher.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/check.h"
#include "base/random.h"

#define HEAD_SIZE 3
#define KEY_SIZE 32
#define NONCE_SIZE 12
#define TAG_SIZE 16
#define LABEL "keys"

struct data_cipher {
    EVP_PKEY *rsa;
    EVP_CIPHER *aead;
    size_t wrapped_size; /* of a data key: the RSA modulus */
};

/* The format's names, and OpenSSL's. */
static const struct {
    const char *name, *cipher;
} algorithms[] = {{"", "AES-256-GCM"}, {"aes256gcm-rsa", "AES-256-GCM"}, {"chacha20-rsa", "ChaCha20-Poly1305"}};

static EVP_CIPHER *fetch_aead(struct str algorithm)
{
    for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++)
        if (str_is(algorithm, algorithms[i].name))
            return EVP_CIPHER_fetch(NULL, algorithms[i].cipher, NULL);
    return NULL;
}

/* OpenSSL asks for a passphrase here, and on the terminal when nobody answers. */
static int give_passphrase(char *out, int size, int writing UNUSED, void *data)
{
    const struct str *passphrase = data;
    if (passphrase->len == 0 || passphrase->len > (size_t)size)
        return -1;
    memcpy(out, passphrase->ptr, passphrase->len);
    return (int)passphrase->len;
}

/* What goes wrong with foreign bytes leaves nothing in the thread's error queue, where the next TLS call would find it. */
static EVP_PKEY *read_key(struct str pem, struct str passphrase)
{
    CHECK(pem.len <= INT_MAX);
    BIO *in = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    CHECK(in != NULL); /* out of memory */
    ERR_set_mark();
    EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, give_passphrase, &passphrase);
    ERR_pop_to_mark();
    BIO_free(in);
    return key;
}

static int fail(struct data_cipher *c, const char **out_why, const char *why)
{
    data_cipher_free(c);
    *out_why = why;
    return -EINVAL;
}

int data_cipher_new(struct str pem, struct str passphrase, struct str algorithm, struct data_cipher **out,
                    const char **out_why)
{
    struct data_cipher *c = calloc(1, sizeof(*c));
    CHECK(c != NULL); /* out of memory */
    c->aead = fetch_aead(algorithm);
    if (!c->aead)
        return fail(c, out_why, "the encryption algorithm is none of aes256gcm-rsa and chacha20-rsa");
    c->rsa = read_key(pem, passphrase);
    if (!c->rsa)
        return fail(c, out_why, "the volume's encryption key cannot be read: is the passphrase right?");
    if (!EVP_PKEY_is_a(c->rsa, "RSA"))
        return fail(c, out_why, "the volume's encryption key is no RSA key");
    c->wrapped_size = (size_t)EVP_PKEY_get_size(c->rsa);
    if (c->wrapped_size > UINT16_MAX)
        return fail(c, out_why, "the volume's encryption key is too large");
    *out = c;
    return 0;
}

void data_cipher_free(struct data_cipher *c)
{
    if (!c)
        return;
    EVP_PKEY_free(c->rsa);
    EVP_CIPHER_free(c->aead);
    free(c);
}

size_t data_cipher_overhead(const struct data_cipher *c)
{
    return HEAD_SIZE + c->wrapped_size + NONCE_SIZE + TAG_SIZE;
}

/* The data key */

static void pkey_ctx_freep(EVP_PKEY_CTX **ctx)
{
    EVP_PKEY_CTX_free(*ctx);
}

static void set_oaep(EVP_PKEY_CTX *ctx)
{
    void *label = OPENSSL_strdup(LABEL); /* becomes the context's */
    CHECK(label != NULL);
    CHECK(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1);
    CHECK(EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1);
    CHECK(EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1);
    CHECK(EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, label, (int)strlen(LABEL)) == 1);
}

static void wrap_key(const struct data_cipher *c, const uint8_t key[KEY_SIZE], uint8_t *out)
{
    CLEANUP(pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, c->rsa, NULL);
    CHECK(ctx != NULL && EVP_PKEY_encrypt_init(ctx) == 1);
    set_oaep(ctx);
    size_t size = c->wrapped_size;
    CHECK(EVP_PKEY_encrypt(ctx, out, &size, key, KEY_SIZE) == 1 && size == c->wrapped_size);
}

static bool unwrap_key(const struct data_cipher *c, struct str wrapped, uint8_t key[KEY_SIZE])
{
    if (wrapped.len != c->wrapped_size)
        return false;
    CLEANUP(pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, c->rsa, NULL);
    CHECK(ctx != NULL && EVP_PKEY_decrypt_init(ctx) == 1);
    set_oaep(ctx);
    size_t size = c->wrapped_size;
    uint8_t *plain = malloc(size);
    CHECK(plain != NULL); /* out of memory */
    ERR_set_mark();
    bool ok = EVP_PKEY_decrypt(ctx, plain, &size, (const uint8_t *)wrapped.ptr, wrapped.len) == 1 && size == KEY_SIZE;
    ERR_pop_to_mark();
    if (ok)
        memcpy(key, plain, KEY_SIZE);
    secure_zero(plain, c->wrapped_size);
    free(plain);
    return ok;
}

/* The object. Both ciphers are streams: as many bytes come out as go in. */

static void cipher_ctx_freep(EVP_CIPHER_CTX **ctx)
{
    EVP_CIPHER_CTX_free(*ctx);
}

static EVP_CIPHER_CTX *start(const struct data_cipher *c, const uint8_t *key, const uint8_t *nonce, bool encrypt)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    CHECK(ctx != NULL);
    CHECK(EVP_CipherInit_ex2(ctx, c->aead, key, nonce, encrypt, NULL) == 1);
    return ctx;
}

static void run(EVP_CIPHER_CTX *ctx, struct str in, uint8_t *out)
{
    int size = 0;
    CHECK(in.len <= INT_MAX);
    if (in.len > 0)
        CHECK(EVP_CipherUpdate(ctx, out, &size, (const uint8_t *)in.ptr, (int)in.len) == 1 && (size_t)size == in.len);
}

size_t data_cipher_seal(const struct data_cipher *c, struct str plain, char *out)
{
    uint8_t key[KEY_SIZE];
    uint8_t *head = (uint8_t *)out, *wrapped = head + HEAD_SIZE, *nonce = wrapped + c->wrapped_size;
    uint8_t *body = nonce + NONCE_SIZE, *tag = body + plain.len;
    head[0] = (uint8_t)(c->wrapped_size >> 8);
    head[1] = (uint8_t)c->wrapped_size;
    head[2] = NONCE_SIZE;
    random_bytes(key, sizeof(key));
    random_bytes(nonce, NONCE_SIZE);
    wrap_key(c, key, wrapped);
    CLEANUP(cipher_ctx_freep) EVP_CIPHER_CTX *ctx = start(c, key, nonce, true);
    secure_zero(key, sizeof(key));
    run(ctx, plain, body);
    int rest = 0;
    CHECK(EVP_CipherFinal_ex(ctx, tag, &rest) == 1 && rest == 0);
    CHECK(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, tag) == 1);
    return plain.len + data_cipher_overhead(c);
}

static bool tag_fits(EVP_CIPHER_CTX *ctx, char *tag)
{
    uint8_t nothing[1];
    int rest = 0;
    CHECK(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) == 1);
    ERR_set_mark();
    bool fits = EVP_CipherFinal_ex(ctx, nothing, &rest) == 1;
    ERR_pop_to_mark();
    return fits;
}

int data_cipher_open(const struct data_cipher *c, char *sealed, size_t size, struct str *out_plain)
{
    uint8_t key[KEY_SIZE];
    if (size < data_cipher_overhead(c) || size > INT_MAX)
        return -EBADMSG;
    const uint8_t *head = (const uint8_t *)sealed;
    if (((size_t)head[0] << 8 | head[1]) != c->wrapped_size || head[2] != NONCE_SIZE)
        return -EBADMSG;
    char *wrapped = sealed + HEAD_SIZE, *nonce = wrapped + c->wrapped_size, *body = nonce + NONCE_SIZE;
    size_t body_size = size - data_cipher_overhead(c);
    if (!unwrap_key(c, str_of(wrapped, c->wrapped_size), key))
        return -EBADMSG;
    CLEANUP(cipher_ctx_freep) EVP_CIPHER_CTX *ctx = start(c, key, (const uint8_t *)nonce, false);
    secure_zero(key, sizeof(key));
    run(ctx, str_of(body, body_size), (uint8_t *)body);
    if (!tag_fits(ctx, body + body_size))
        return -EBADMSG;
    *out_plain = str_of(body, body_size);
    return 0;
}
