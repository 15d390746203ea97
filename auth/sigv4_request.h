/* What a SigV4 request claims: the Authorization header, or the X-Amz-* parameters of a presigned URL, parsed and
 * checked for form and for the scope that this endpoint accepts. Nothing is believed yet. Thread: one at a time. */
#ifndef AUTH_SIGV4_REQUEST_H
#define AUTH_SIGV4_REQUEST_H

#include <stdint.h>

#include "auth/verify_internal.h"
#include "base/compiler.h"

struct sigv4_claim {
    struct str access_key;
    struct str day;      /* "20130524" */
    struct str scope;    /* "20130524/us-east-1/s3/aws4_request" */
    struct str amz_date; /* "20130524T000000Z" */
    int64_t signed_at_s;
    int64_t expires_s;         /* presigned: how long */
    struct str signed_headers; /* "host;x-amz-date", no name empty or twice */
    struct str signature;
    struct str token; /* of a session; ptr NULL: none */
};

MUST_USE enum auth_error sigv4_claim_from_header(struct auth_attempt *t, struct sigv4_claim *out);
MUST_USE enum auth_error sigv4_claim_from_query(struct auth_attempt *t, struct sigv4_claim *out);
/* From a browser form's fields, t->query, all of which are there; it signs no headers, and expires with its policy. */
MUST_USE enum auth_error sigv4_claim_from_form(struct auth_attempt *t, struct sigv4_claim *out);

/* Is the header among the claim's signed ones? */
bool sigv4_claim_signs(const struct sigv4_claim *c, struct str header_name);

#endif
