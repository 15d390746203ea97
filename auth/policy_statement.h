/* A policy as parsed: what policy_parse.c makes and policy.c evaluates. */
#ifndef AUTH_POLICY_STATEMENT_H
#define AUTH_POLICY_STATEMENT_H

#include <stdatomic.h>

#include "auth/policy_internal.h"

struct policy_principal {
    enum { POLICY_EVERYBODY, POLICY_ACCOUNT, POLICY_ARN, POLICY_CANONICAL } kind;
    struct str text;
};

struct policy_statement {
    struct str sid;
    bool is_deny, not_principal, not_action, not_resource;
    struct policy_principal *principals;
    size_t principal_count;
    struct policy_pattern *actions, *resources;
    size_t action_count, resource_count;
    struct policy_condition *conditions;
    size_t condition_count;
};

struct auth_policy {
    atomic_size_t refs;
    struct arena *arena;
    struct str text;
    struct policy_statement *statements;
    size_t count;
};

/* Fills text's statements; -EINVAL with the line in p->error. */
MUST_USE int policy_parse_document(struct policy_parser *p, struct auth_policy *out);

#endif
