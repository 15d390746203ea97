/* Encryption of objects (format §2.4): every object has a data key and a nonce of its own; the data key is wrapped with the
 * volume's RSA key (OAEP with SHA-256, label "keys").
 *
 *   u16 big-endian  length of the wrapped key
 *   u8              length of the nonce
 *   wrapped key, nonce, cipher text, tag[16]
 *
 * Thread: any. */
#ifndef VFS_DATA_CIPHER_H
#define VFS_DATA_CIPHER_H

#include "base/compiler.h"
#include "base/str.h"

struct data_cipher;

/* pem: an RSA private key in PKCS#1 or PKCS#8, perhaps behind the passphrase. algorithm: "aes256gcm-rsa" (or "") or
 * "chacha20-rsa". -EINVAL with *out_why when the key cannot be read or the algorithm is none of ours. */
MUST_USE int data_cipher_new(struct str pem, struct str passphrase, struct str algorithm, struct data_cipher **out,
                             const char **out_why);
/* NULL is fine. */
void data_cipher_free(struct data_cipher *c);
/* Bytes that sealing adds. */
size_t data_cipher_overhead(const struct data_cipher *c);
/* out has plain.len + overhead bytes. Returns the bytes used. */
size_t data_cipher_seal(const struct data_cipher *c, struct str plain, char *out);
/* Opens in place: *out_plain is a part of `sealed`. -EBADMSG when the bytes are no object of this key. */
MUST_USE int data_cipher_open(const struct data_cipher *c, char *sealed, size_t size, struct str *out_plain);

#endif
