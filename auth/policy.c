#include "auth/policy.h"

#include <stdlib.h>

#include "auth/policy_statement.h"
#include "base/check.h"
#include "base/limits.h"

/* Life */

int policy_parse(const struct policy_parser *base, struct str json, struct auth_policy **out)
{
    struct auth_policy *policy = calloc(1, sizeof(*policy));
    CHECK(policy != NULL); /* out of memory */
    atomic_init(&policy->refs, 1);
    policy->arena = arena_new();
    policy->text = arena_dup(policy->arena, json);
    struct policy_parser parser = *base;
    parser.arena = policy->arena;
    int r = policy_parse_document(&parser, policy);
    if (r == 0)
        *out = policy;
    else
        auth_policy_unref(policy);
    return r;
}

int auth_policy_parse(enum auth_policy_kind kind, struct str json, struct str bucket, struct auth_policy **out,
                      struct buf *error)
{
    const struct policy_parser parser = {.error = error, .kind = kind, .bucket = bucket, .size_max = LIMIT_POLICY_BYTES};
    return policy_parse(&parser, json, out);
}

int auth_policy_read(enum auth_policy_kind kind, struct str json, struct str bucket, struct auth_policy **out,
                     struct buf *error)
{
    const struct policy_parser parser = {
        .error = error, .kind = kind, .bucket = bucket, .size_max = LIMIT_POLICY_BYTES, .is_stored = true};
    return policy_parse(&parser, json, out);
}

struct auth_policy *auth_policy_ref(struct auth_policy *p)
{
    CHECK(atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed) > 0);
    return p;
}

void auth_policy_unref(struct auth_policy *p)
{
    if (!p)
        return;
    size_t before = atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before > 1)
        return;
    arena_free(p->arena);
    free(p);
}

struct str auth_policy_text(const struct auth_policy *p)
{
    return p->text;
}

/* Evaluation */

static bool principal_is(const struct policy_principal *p, bool with_accounts, const struct auth_policy_request *r)
{
    switch (p->kind) {
    case POLICY_EVERYBODY:
        return true;
    case POLICY_ACCOUNT:
        return with_accounts && r->account.len > 0 && str_eq(p->text, r->account);
    case POLICY_ARN:
        return (r->principal_arn.len > 0 && str_eq(p->text, r->principal_arn)) ||
               (r->session_arn.len > 0 && str_eq(p->text, r->session_arn));
    case POLICY_CANONICAL:
        return r->principal_id.len > 0 && str_eq(p->text, r->principal_id);
    }
    return false;
}

/* An account's name lets nobody pass: in a grant it hands the decision to that account's own policies ("Principal", IAM user guide), as
 * the exception of a refusal it means the account's root user, who is nobody here, and none of its other users ("NotPrincipal": with Bob
 * and Bob's account as exceptions, "all principals except for the user named Bob" are denied). */
static bool applies_to_caller(const struct policy_statement *s, const struct auth_policy_request *r)
{
    bool is_named = s->principal_count == 0, with_accounts = s->is_deny != s->not_principal;
    for (size_t i = 0; i < s->principal_count; i++)
        is_named |= principal_is(&s->principals[i], with_accounts, r);
    return is_named != s->not_principal;
}

static bool applies_to_action(const struct policy_statement *s, const struct auth_policy_request *r)
{
    bool is_named = false;
    for (size_t i = 0; i < s->action_count; i++)
        is_named |= policy_pattern_match(&s->actions[i], r->action, POLICY_NOCASE, NULL) == POLICY_YES;
    return is_named != s->not_action;
}

/* A variable without a value names nothing; an exception from a grant that cannot be read grants nothing. */
static bool applies_to_resource(const struct policy_statement *s, const struct auth_policy_request *r)
{
    bool is_named = false, has_unresolved = false;
    for (size_t i = 0; i < s->resource_count; i++) {
        enum policy_match m = policy_pattern_match(&s->resources[i], r->resource, 0, r);
        is_named |= m == POLICY_YES;
        has_unresolved |= m == POLICY_UNRESOLVED;
    }
    if (s->not_resource && has_unresolved && !s->is_deny)
        return false;
    return is_named != s->not_resource;
}

static bool applies(const struct policy_statement *s, const struct auth_policy_request *r)
{
    return applies_to_caller(s, r) && applies_to_action(s, r) && applies_to_resource(s, r) &&
           policy_conditions_hold(s->conditions, s->condition_count, s->is_deny, r);
}

enum auth_verdict auth_policy_evaluate(const struct auth_policy *p, const struct auth_policy_request *r)
{
    enum auth_verdict verdict = AUTH_NO_OPINION;
    for (size_t i = 0; i < p->count; i++) {
        const struct policy_statement *s = &p->statements[i];
        if (!s->is_deny && verdict == AUTH_ALLOW)
            continue;
        bool does_apply = applies(s, r), has_cost_too_much = r->steps && *r->steps == 0;
        if (has_cost_too_much || (does_apply && s->is_deny))
            return AUTH_DENY;
        if (does_apply)
            verdict = AUTH_ALLOW;
    }
    return verdict;
}

/* Public */

static bool is_for_everybody(const struct policy_statement *s)
{
    for (size_t i = 0; i < s->principal_count; i++)
        if (s->principals[i].kind == POLICY_EVERYBODY)
            return !s->not_principal;
    return s->not_principal; /* everybody but a few */
}

bool auth_policy_is_public(const struct auth_policy *p)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct policy_statement *s = &p->statements[i];
        if (!s->is_deny && is_for_everybody(s) && !policy_conditions_fix_caller(s->conditions, s->condition_count))
            return true;
    }
    return false;
}

/* Canned */

#define DOCUMENT(statements) STR_INIT("{\"Version\":\"2012-10-17\",\"Statement\":[" statements "]}")
#define ALLOW(actions, more) "{\"Effect\":\"Allow\",\"Action\":[" actions "],\"Resource\":\"*\"" more "}"
#define ALLOW_OWN ALLOW("\"s3:*\"", "," POLICY_OWN_CONDITION)

static const struct {
    const char *name;
    struct str text;
} canned[] = {
    {"admin", DOCUMENT(ALLOW("\"s3:*\"", ""))},
    {"owner", DOCUMENT(ALLOW("\"s3:CreateBucket\",\"s3:ListAllMyBuckets\"", "") "," ALLOW_OWN)},
    {"readonly", DOCUMENT(ALLOW(POLICY_READ_ACTIONS, ""))},
    {"readwrite", DOCUMENT(ALLOW(POLICY_READWRITE_ACTIONS, "") "," ALLOW_OWN)},
    {"writeonly", DOCUMENT(ALLOW("\"s3:PutObject\",\"s3:AbortMultipartUpload\",\"s3:ListMultipartUploadParts\"", ""))},
};

struct str auth_policy_canned(struct str name)
{
    for (size_t i = 0; i < ARRAY_SIZE(canned); i++)
        if (str_is(name, canned[i].name))
            return canned[i].text;
    return STR_EMPTY;
}

struct str auth_policy_canned_name(size_t index)
{
    return index < ARRAY_SIZE(canned) ? str_z(canned[index].name) : STR_EMPTY;
}
