/* Roles that sessions may take on, and who may: the file that --roles names.
 *
 *   {"issuers": [{"url": "https://idp.example.org/realms/lab", "audiences": ["sluice"]}],
 *    "roles": [{"name": "notebook", "user": "notebook", "policy": {…}, "max_session": 43200,
 *               "trust": [{"user": "alice"},
 *                         {"issuer": "https://idp.example.org/realms/lab", "claims": {"sub": "system:serviceaccount:lab:*"}}]}]}
 *
 * A session in a role acts as the role's user, narrowed by the role's policy where there is one. An issuer may also have "jwks_uri"
 * (instead of discovery), "ca" (a file of certificates to trust) and "insecure_http" (true: its URL may be http).
 * Immutable once parsed. Thread: any. */
#ifndef AUTH_ROLES_H
#define AUTH_ROLES_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/jwt.h"
#include "auth/policy.h"

struct auth_issuer {
    struct str url, jwks_uri, ca; /* jwks_uri and ca may be empty */
    const struct str *audiences;  /* one of them must be the token's */
    size_t audience_count;
    bool insecure_http;
};

struct auth_claim {
    struct str name, pattern;
};

struct auth_trust {
    struct str user;                  /* its own keys may; or empty: */
    const struct auth_issuer *issuer; /* tokens of that issuer, all of whose claims fit */
    const struct auth_claim *claims;
    size_t claim_count;
};

struct auth_role {
    struct str name, user;
    struct auth_policy *policy; /* or NULL */
    uint64_t max_session_s;
    const struct auth_trust *trusts;
    size_t trust_count;
    struct auth_role *next;
};

struct auth_roles;

/* -EINVAL with a line in *error that names what is wrong; a member that is not understood is. */
MUST_USE int auth_roles_parse(struct str json, struct auth_roles **out, struct buf *error);
struct auth_roles *auth_roles_ref(struct auth_roles *r);
/* NULL is fine, here and below. */
void auth_roles_unref(struct auth_roles *r);
const struct auth_role *auth_roles_find(const struct auth_roles *r, struct str name);
/* In the order of the file; NULL behind the last. */
const struct auth_role *auth_roles_first(const struct auth_roles *r);
const struct auth_issuer *auth_roles_issuer(const struct auth_roles *r, struct str url);

/* "AROA…", as AWS names roles in user ids: of the name, so that all gateways have the same, and a role of that name again. The arena's. */
struct str auth_role_id(struct str name, struct arena *arena);

bool auth_role_trusts_user(const struct auth_role *role, struct str user);
/* The token has been verified, with that issuer's keys. */
bool auth_role_trusts_token(const struct auth_role *role, const struct auth_issuer *issuer, const struct jwt *token);

#endif
