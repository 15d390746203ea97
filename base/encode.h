/* Hex, base64 and percent-encoding. Thread: any. */
#ifndef BASE_ENCODE_H
#define BASE_ENCODE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/str.h"

/* Lower-case hex of size bytes: 2 * size characters, no NUL. */
void hex_encode(const void *bytes, size_t size, char *out);
void buf_add_hex(struct buf *b, const void *bytes, size_t size);
/* Exactly 2 * size digits of either case. */
MUST_USE bool hex_decode(struct str text, void *out, size_t size);

/* RFC 4648 §4, padded. */
#define BASE64_LEN(size) (((size) + 2) / 3 * 4)
void base64_encode(const void *bytes, size_t size, char *out);
void buf_add_base64(struct buf *b, const void *bytes, size_t size);
/* Strict: padded, no white space, no stray bits. *out_size is the decoded size, at most capacity, else false. */
MUST_USE bool base64_decode(struct str text, void *out, size_t capacity, size_t *out_size);
/* RFC 4648 §5 without padding, as JSON Web Tokens have it; as strict. */
MUST_USE bool base64url_decode(struct str text, void *out, size_t capacity, size_t *out_size);

/* AWS's UriEncode (SigV4): unreserved A-Z a-z 0-9 - . _ ~ stay, the rest becomes %XY in upper case; '/' stays when
 * keep_slash (also the form of listings with encoding-type=url). */
void buf_add_uri(struct buf *b, struct str s, bool keep_slash);
/* Decodes %XY; '+' is a blank only when plus_is_space. False on a bad escape. */
MUST_USE bool uri_decode(struct str s, bool plus_is_space, struct buf *out);

/* ASCII letters in lower case, other bytes as they are. */
void buf_add_lower(struct buf *b, struct str s);

/* JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void buf_add_json(struct buf *b, struct str s);

#endif
