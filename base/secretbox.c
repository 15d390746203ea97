#include "base/secretbox.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/check.h"
#include "base/random.h"

#define NONCE_SIZE 12
#define TAG_SIZE 16

static EVP_CIPHER *aes_256_gcm, *aes_128_gcm;

static void fetch_ciphers(void)
{
    aes_256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    aes_128_gcm = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    CHECK(aes_256_gcm != NULL && aes_128_gcm != NULL);
}

struct box_key {
    const uint8_t *bytes;
    bool short_key; /* 128 bits, not 256 */
};

static void cipher_freep(EVP_CIPHER_CTX **ctx)
{
    EVP_CIPHER_CTX_free(*ctx); /* wipes the key schedule */
}

/* A context that has taken key, nonce and context. No call depends on foreign bytes, so failures are memory. */
static EVP_CIPHER_CTX *cipher_new(struct box_key key, const uint8_t *nonce, struct str context, bool encrypt)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, fetch_ciphers); /* fails for an invalid `once` only */
    CHECK(context.len <= INT_MAX);

    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    CHECK(ctx != NULL);
    CHECK(EVP_CipherInit_ex2(ctx, key.short_key ? aes_128_gcm : aes_256_gcm, key.bytes, nonce, encrypt, NULL) == 1);
    int size = 0;
    if (context.len > 0) /* a NULL input would end the message */
        CHECK(EVP_CipherUpdate(ctx, NULL, &size, (const uint8_t *)context.ptr, (int)context.len) == 1);
    return ctx;
}

/* GCM is a stream: as many bytes come out as go in. */
static void cipher_run(EVP_CIPHER_CTX *ctx, struct str in, uint8_t *out)
{
    CHECK(in.len <= INT_MAX);
    if (in.len == 0)
        return;
    int size = 0;
    CHECK(EVP_CipherUpdate(ctx, out, &size, (const uint8_t *)in.ptr, (int)in.len) == 1);
    CHECK((size_t)size == in.len);
}

static void seal(struct box_key key, struct str context, struct str plain, struct buf *out)
{
    size_t size = NONCE_SIZE + plain.len + TAG_SIZE;
    uint8_t *nonce = (uint8_t *)buf_reserve(out, size);
    if (!nonce)
        return;
    uint8_t *cipher_text = nonce + NONCE_SIZE;
    uint8_t *tag = cipher_text + plain.len;

    random_bytes(nonce, NONCE_SIZE);
    CLEANUP(cipher_freep) EVP_CIPHER_CTX *ctx = cipher_new(key, nonce, context, true);
    cipher_run(ctx, plain, cipher_text);
    int rest = 0;
    CHECK(EVP_CipherFinal_ex(ctx, tag, &rest) == 1 && rest == 0);
    CHECK(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, tag) == 1);
    buf_extend(out, size);
}

/* Does the tag fit what went through ctx? A mismatch leaves nothing in the thread's error queue, where it would be
 * taken for the error of the next TLS call. */
static bool tag_fits(EVP_CIPHER_CTX *ctx, const char *sealed_tag)
{
    uint8_t tag[TAG_SIZE];
    memcpy(tag, sealed_tag, sizeof(tag));
    CHECK(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) == 1);

    uint8_t nothing[1];
    int rest = 0;
    ERR_set_mark();
    bool fits = EVP_CipherFinal_ex(ctx, nothing, &rest) == 1;
    ERR_pop_to_mark();
    return fits;
}

static int open_box(struct box_key key, struct str context, struct str sealed, struct buf *out)
{
    if (sealed.len < NONCE_SIZE + TAG_SIZE || sealed.len > INT_MAX)
        return -EBADMSG;
    struct str cipher_text = str_of(sealed.ptr + NONCE_SIZE, sealed.len - NONCE_SIZE - TAG_SIZE);
    char *plain = buf_reserve(out, cipher_text.len);
    if (!plain)
        return -EMSGSIZE;

    CLEANUP(cipher_freep) EVP_CIPHER_CTX *ctx = cipher_new(key, (const uint8_t *)sealed.ptr, context, false);
    cipher_run(ctx, cipher_text, (uint8_t *)plain);
    if (!tag_fits(ctx, cipher_text.ptr + cipher_text.len)) {
        secure_zero(plain, cipher_text.len);
        return -EBADMSG;
    }
    buf_extend(out, cipher_text.len);
    return 0;
}

void secretbox_seal(const uint8_t key[SECRETBOX_KEY_SIZE], struct str context, struct str plain, struct buf *out)
{
    seal((struct box_key){key, false}, context, plain, out);
}

int secretbox_open(const uint8_t key[SECRETBOX_KEY_SIZE], struct str context, struct str sealed, struct buf *out)
{
    return open_box((struct box_key){key, false}, context, sealed, out);
}

void secretbox_seal128(const uint8_t key[SECRETBOX_KEY128_SIZE], struct str plain, struct buf *out)
{
    seal((struct box_key){key, true}, STR_EMPTY, plain, out);
}

int secretbox_open128(const uint8_t key[SECRETBOX_KEY128_SIZE], struct str sealed, struct buf *out)
{
    return open_box((struct box_key){key, true}, STR_EMPTY, sealed, out);
}
