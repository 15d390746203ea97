/* What the files of the policy language share: parsed patterns, conditions, the tables of names. Included by auth/policy*.c and
 * their tests only. Thread: any. */
#ifndef AUTH_POLICY_INTERNAL_H
#define AUTH_POLICY_INTERNAL_H

#include "auth/policy.h"
#include "base/json.h"

/* Parsing: what every step needs. */
struct policy_parser {
    struct arena *arena; /* becomes the policy's */
    struct buf *error;
    enum auth_policy_kind kind;
    struct str bucket;
    size_t size_max; /* bytes */
    bool is_stored;     /* nobody can be asked to put it otherwise: only what cannot be evaluated is refused */
    bool has_variables; /* Version 2012-10-17 */
};

/* Writes the line and returns -EINVAL. */
int policy_fail(struct policy_parser *p, const char *format, ...) PRINTF(2, 3);

/* A policy of the text. base: kind, bucket, size_max, is_stored, error. */
MUST_USE int policy_parse(const struct policy_parser *base, struct str json, struct auth_policy **out);

/* What reading is, and what users may do who are given no policy: data everywhere, all of what is their own. */
#define POLICY_READ_ACTIONS "\"s3:Get*\",\"s3:List*\""
#define POLICY_READWRITE_ACTIONS                                                                                       \
    POLICY_READ_ACTIONS ",\"s3:PutObject*\",\"s3:DeleteObject*\",\"s3:AbortMultipartUpload\",\"s3:RestoreObject\","       \
                        "\"s3:CreateBucket\",\"s3:DeleteBucket\""
#define POLICY_OWN_CONDITION "\"Condition\":{\"StringEquals\":{\"sluice:BucketOwner\":\"${sluice:UserId}\"}}"

/* Patterns (policy_pattern.c) */

struct policy_key_row;

struct policy_token {
    enum { POLICY_TEXT, POLICY_ANY, POLICY_ONE, POLICY_VARIABLE } kind;
    struct str text; /* literal, or the variable's key */
    const struct policy_key_row *key; /* of a variable */
    bool has_fallback;
    struct str fallback; /* ${key, 'fallback'} */
};

struct policy_pattern {
    struct str source;
    struct policy_token *tokens;
    size_t count;
};

enum { POLICY_WILDCARDS = 1, POLICY_VARIABLES = 2 };
enum { POLICY_NOCASE = 1 };
enum policy_match { POLICY_NO, POLICY_YES, POLICY_UNRESOLVED /* a variable without a value */ };

/* -EINVAL for a variable that is not closed or whose key is unknown. */
MUST_USE int policy_pattern_parse(struct policy_parser *p, struct str source, unsigned flags, struct policy_pattern *out);
/* r may be NULL when the pattern has no variables. */
enum policy_match policy_pattern_match(const struct policy_pattern *pattern, struct str text, unsigned flags,
                                       const struct auth_policy_request *r);
/* Does "*" or "?" or a variable make it stand for more than one text? */
bool policy_pattern_is_open(const struct policy_pattern *pattern);

/* Names (policy_names.c) */

enum policy_level { POLICY_LEVEL_ACCOUNT = 1, POLICY_LEVEL_BUCKET = 2, POLICY_LEVEL_OBJECT = 4, POLICY_LEVEL_OTHER = 8 };
/* The levels of all actions that the pattern stands for; 0: S3 has none. */
unsigned policy_action_levels(const struct policy_pattern *pattern);

struct policy_key_row {
    const char *name;   /* ends with '/' when a tag's name follows */
    bool fixes_caller;  /* a fixed value of it makes a grant to everybody not public */
    const char *actions; /* of S3 that have it, without "s3:"; NULL: all */
};
const struct policy_key_row *policy_key_find(struct str name);
/* Does the action have that key? */
bool policy_key_applies(const struct policy_key_row *key, struct str action);
/* Does one of the actions have it that the pattern stands for and that are about a resource of these levels? */
bool policy_key_applies_to_some(const struct policy_key_row *key, const struct policy_pattern *action, unsigned levels);

/* Conditions (policy_condition.c) */

struct policy_condition;
MUST_USE int policy_conditions_parse(struct policy_parser *p, const struct json *json,
                                     struct policy_condition **out, size_t *out_count);
/* is_deny: on which side a comparison errs that cannot be made. */
bool policy_conditions_hold(const struct policy_condition *conditions, size_t count, bool is_deny,
                            const struct auth_policy_request *r);
bool policy_conditions_fix_caller(const struct policy_condition *conditions, size_t count);
/* Do all keys go with the action and resources of these levels (policy_key_applies_to_some)? */
bool policy_conditions_apply(const struct policy_condition *conditions, size_t count, const struct policy_pattern *action,
                             unsigned levels);
/* The key's values at this request, absent where the action does not have it: what a client adds to a request of another kind
 * answers no condition. */
void policy_context_value(const struct policy_key_row *key, struct str name, const struct auth_policy_request *r,
                          struct auth_context_value *out);

#endif
