/* One verification on its way through the files of auth/. Thread: one at a time. */
#ifndef AUTH_VERIFY_INTERNAL_H
#define AUTH_VERIFY_INTERNAL_H

#include "auth/query.h"
#include "auth/verify.h"

struct auth_attempt {
    const struct auth_rules *rules;
    const struct auth_snapshot *identities;
    const struct http_head *head;
    struct str raw_path;
    struct auth_query query;
    int64_t now_s;
    struct arena *arena;
    struct auth_result *out;
};

/* Sets the message (static or the arena's) and returns the error. */
enum auth_error auth_refuse(struct auth_attempt *t, enum auth_error error, struct str message);

/* "s3", or what the rules say. */
struct str auth_service(const struct auth_attempt *t);

/* The enabled key of that name, into *out: one of the store, or, when a token (ptr not NULL) came along, that of the session, which
 * goes into the result. It becomes the principal when its signature turns out right. */
MUST_USE enum auth_error auth_find_key(struct auth_attempt *t, struct str access_key, struct str token,
                                       const struct auth_key **out);

/* What a x-amz-content-sha256 value announces, into t->out. */
MUST_USE enum auth_error auth_parse_payload(struct auth_attempt *t, struct str value);

/* Presigned SigV2 (sigv2.c): the whole verification. */
MUST_USE enum auth_error sigv2_verify_query(struct auth_attempt *t);

#endif
