/* The verdict of all policies together, as "Policy evaluation logic" (IAM user guide) has it: an explicit deny anywhere wins; then
 * what the caller's own policies or the bucket's allow; all else is refused. A session's policy narrows what is left and widens
 * nothing (SEC-35). Pure. Thread: any. */
#ifndef AUTH_AUTHORIZE_H
#define AUTH_AUTHORIZE_H

#include "auth/identity.h"
#include "auth/policy.h"

struct auth_session;

struct auth_parties {
    const struct auth_user *user;      /* NULL: anonymous */
    const struct auth_session *session; /* of temporary credentials (session.h), or NULL */
    const struct auth_policy *bucket;  /* of the bucket, or NULL */
    bool bucket_grants_nothing;        /* only what the bucket's policy refuses counts (RestrictPublicBuckets) */
};

/* AUTH_NO_OPINION: nobody allows it, which is a refusal unless an access control list grants it. AUTH_DENY: whatever else grants. */
enum auth_verdict auth_authorize(const struct auth_parties *parties, const struct auth_policy_request *r);

#endif
