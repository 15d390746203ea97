#include "auth/authorize.h"

#include "auth/session.h"

/* Deny over allow over no opinion. */
static enum auth_verdict stronger(enum auth_verdict a, enum auth_verdict b)
{
    if (a == AUTH_DENY || b == AUTH_DENY)
        return AUTH_DENY;
    return a == AUTH_ALLOW ? a : b;
}

static enum auth_verdict of_user(const struct auth_user *u, const struct auth_policy_request *r)
{
    enum auth_verdict verdict = u->own_policy ? auth_policy_evaluate(u->own_policy, r) : AUTH_NO_OPINION;
    for (size_t i = 0; i < u->policy_count && verdict != AUTH_DENY; i++)
        verdict = stronger(verdict, auth_policy_evaluate(u->policies[i], r));
    return verdict;
}

static enum auth_verdict of_bucket(const struct auth_parties *p, const struct auth_policy_request *r)
{
    enum auth_verdict verdict = auth_policy_evaluate(p->bucket, r);
    return verdict == AUTH_ALLOW && p->bucket_grants_nothing ? AUTH_NO_OPINION : verdict;
}

enum auth_verdict auth_authorize(const struct auth_parties *parties, const struct auth_policy_request *r)
{
    enum auth_verdict verdict = parties->user ? of_user(parties->user, r) : AUTH_NO_OPINION;
    if (parties->bucket)
        verdict = stronger(verdict, of_bucket(parties, r));
    return auth_session_allows(parties->session, r) ? verdict : AUTH_DENY;
}
