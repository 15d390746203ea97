/* Web identities: tokens of OpenID issuers that the roles file trusts, verified with the issuer's keys (OpenID Connect Discovery 1.0).
 * Keys are cached; one fetch an issuer runs at a time, bounded in time, by the worker that needs it, and what a token says decides
 * nothing before its signature holds, but which configured issuer's keys to look at (SEC-43). Thread: any. */
#ifndef S3API_OIDC_H
#define S3API_OIDC_H

#include "auth/roles.h"
#include "s3api/op.h"

struct s3_oidc;
/* fetch may be NULL: no issuer can be reached. */
struct s3_oidc *s3_oidc_new(s3_fetch_fn fetch, void *data);
void s3_oidc_free(struct s3_oidc *o);

/* The token's claims, after signature, issuer, audience and times were found right; the issuer is of the op's identities.
 * S3_INVALID_IDENTITY_TOKEN (one answer for all that is wrong with it), S3_EXPIRED_IDENTITY_TOKEN, S3_IDP_COMMUNICATION. */
enum s3_error s3_oidc_verify(struct s3_op *op, struct str token, const struct auth_issuer **issuer, struct jwt *out);

#endif
