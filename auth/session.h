/* Sessions: short-lived keys that somebody with a key of their own, or with a web identity's token, is given (AssumeRole …). Nothing
 * is stored: what a session is stands in its token, sealed under a key of the store's master key, so that every gateway of that
 * store knows it. It ends with its time, with its user, with the key it came from, with its role. Thread: any. */
#ifndef AUTH_SESSION_H
#define AUTH_SESSION_H

#include "auth/policy.h"
#include "auth/verify.h"

struct auth_role;

struct auth_session_spec {
    const struct auth_user *user;
    struct str parent_key; /* the access key that asked for it; empty: a web identity */
    struct str role;       /* empty: the user itself */
    struct str name;       /* RoleSessionName */
    struct str policy;     /* JSON, parsed before; at most LIMIT_SESSION_POLICY_BYTES; empty: none */
    int64_t issued_s, expires_s;
};

struct auth_credentials {
    struct str access_key, secret, token; /* the arena's */
};

void auth_session_issue(const struct auth_snapshot *s, const struct auth_session_spec *spec, struct arena *arena,
                        struct auth_credentials *out);

#define AUTH_SESSION_POLICIES_MAX 2

struct auth_session {
    struct auth_key key;
    struct str name, role; /* role empty: the user itself */
    int64_t issued_s; /* 0: by a gateway that did not say */
    int64_t expires_s;
    /* The role's and the session's own: what not each of them allows, the session may not (SEC-35). */
    struct auth_policy *policies[AUTH_SESSION_POLICIES_MAX];
    size_t policy_count;
};

/* Lives in the arena. AUTH_TOKEN_INVALID, AUTH_TOKEN_EXPIRED. That the caller has the session's secret remains to be seen. */
MUST_USE enum auth_error auth_session_open(const struct auth_snapshot *s, struct str token, int64_t now_s, struct arena *arena,
                                           struct auth_session **out);
/* Do all of its policies allow it? True for a NULL session. */
bool auth_session_allows(const struct auth_session *session, const struct auth_policy_request *r);

#endif
