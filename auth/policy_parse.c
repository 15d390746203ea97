#include <errno.h>

#include "auth/policy_statement.h"
#include "base/limits.h"

#define ARN_S3 "arn:aws:s3:::"
#define ARN_IAM "arn:aws:iam::"
#define ARN_STS "arn:aws:sts::"

int policy_fail(struct policy_parser *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (p->error->len == 0)
        buf_addv(p->error, format, args);
    va_end(args);
    return -EINVAL;
}

/* Only the members that the object may have. */
static int check_members(struct policy_parser *p, const struct json *object, const char *const *known, size_t count)
{
    for (const struct json *n = object->first; n; n = n->next) {
        bool is_known = false;
        for (size_t i = 0; i < count; i++)
            is_known |= str_is(n->name, known[i]);
        if (!is_known)
            return policy_fail(p, "Unknown field %.*s", STR_ARG(n->name));
    }
    return 0;
}

static const struct json *items(const struct json *json, size_t *count)
{
    *count = json->kind == JSON_IS_LIST ? json->count : 1;
    return json->kind == JSON_IS_LIST ? json->first : json;
}

/* Element and its Not… form: at most one, and one where it is required. */
static int choose(struct policy_parser *p, const struct json *s, const char *name, const char *not_name,
                  bool *out_not, const struct json **out)
{
    const struct json *plain = json_member(s, name), *negated = json_member(s, not_name);
    *out_not = negated != NULL;
    *out = negated ? negated : plain;
    if (plain && negated)
        return policy_fail(p, "Statement has both %s and %s", name, not_name);
    return *out ? 0 : policy_fail(p, "Missing required field %s", name);
}

/* Principals */

static bool is_account(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] >= 'a' && s.ptr[i] <= 'z')))
            return false;
    return s.len > 0 && s.len <= 32;
}

/* "KIND/NAME" of each service's principals; a session's name follows its role's. */
static bool is_named_principal(struct str s, bool is_session)
{
    struct str kind, role, session = s;
    bool has_kind = str_split(&session, '/', &kind) && session.len > 0;
    if (!is_session)
        return has_kind && (str_is(kind, "user") || str_is(kind, "role"));
    return has_kind && str_is(kind, "assumed-role") && str_split(&session, '/', &role) && role.len > 0 && session.len > 0;
}

/* "arn:aws:iam::ACCOUNT:user/NAME" or ":role/NAME", "arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION", "arn:aws:iam::ACCOUNT:root",
 * "ACCOUNT", "*". Accounts of other systems (AWS's of 12 digits, Ceph's tenants) may be named; they are nobody here. */
static bool parse_aws_principal(struct str text, struct policy_principal *out)
{
    *out = (struct policy_principal){.kind = POLICY_EVERYBODY, .text = text};
    if (str_is(text, "*"))
        return true;
    out->kind = POLICY_ACCOUNT;
    bool is_session = str_starts(text, STR(ARN_STS));
    if (!is_session && !str_starts(text, STR(ARN_IAM)))
        return text.len == 12 && is_account(text);
    struct str account, rest = str_from(text, sizeof(ARN_IAM) - 1); /* both are of one length */
    if (!str_split(&rest, ':', &account) || !rest.ptr || !is_account(account))
        return false;
    if (!is_session && str_is(rest, "root")) {
        out->text = account;
        return true;
    }
    out->kind = POLICY_ARN;
    bool has_wildcard = str_find_char(rest, '*') >= 0 || str_find_char(rest, '?') >= 0;
    return is_named_principal(rest, is_session) && !has_wildcard;
}

static int parse_principal(struct policy_parser *p, struct str type, const struct json *n,
                           struct policy_principal *out)
{
    bool ok = false;
    if (n->kind != JSON_IS_TEXT)
        return policy_fail(p, "Invalid principal in policy");
    if (str_is(type, "AWS")) {
        ok = parse_aws_principal(n->text, out);
    } else if (str_is(type, "CanonicalUser")) {
        *out = (struct policy_principal){.kind = POLICY_CANONICAL, .text = n->text};
        ok = n->text.len > 0;
    } else {
        return policy_fail(p, "Invalid principal in policy: unsupported type %.*s", STR_ARG(type));
    }
    return ok ? 0 : policy_fail(p, "Invalid principal in policy: %.*s", STR_ARG(n->text));
}

static size_t count_principals(const struct json *json)
{
    size_t total = 1, count;
    for (const struct json *type = json->first; type; type = type->next) {
        (void)items(type, &count);
        total += count;
    }
    return total;
}

static int parse_principals(struct policy_parser *p, const struct json *json, struct policy_statement *s)
{
    s->principals = arena_array_of(p->arena, struct policy_principal, count_principals(json));
    if (json->kind == JSON_IS_TEXT && str_is(json->text, "*")) {
        s->principals[s->principal_count++] = (struct policy_principal){.kind = POLICY_EVERYBODY};
        return 0;
    }
    if (json->kind != JSON_IS_OBJECT)
        return policy_fail(p, "Invalid principal in policy");
    for (const struct json *type = json->first; type; type = type->next) {
        size_t count;
        const struct json *n = items(type, &count);
        for (size_t i = 0; i < count; i++, n = n->next) {
            int r = parse_principal(p, type->name, n, &s->principals[s->principal_count++]);
            if (r < 0)
                return r;
        }
    }
    return s->principal_count > 0 ? 0 : policy_fail(p, "Invalid principal in policy");
}

static int parse_who(struct policy_parser *p, const struct json *json, struct policy_statement *s)
{
    const struct json *who = NULL;
    if (p->kind == AUTH_POLICY_BUCKET) {
        int r = choose(p, json, "Principal", "NotPrincipal", &s->not_principal, &who);
        return r < 0 ? r : parse_principals(p, who, s);
    }
    if (json_member(json, "Principal") || json_member(json, "NotPrincipal"))
        return policy_fail(p, "Identity policies must not have a Principal");
    return 0;
}

/* Actions and resources */

static int parse_patterns(struct policy_parser *p, const struct json *json, const char *what, unsigned flags,
                          struct policy_pattern **out, size_t *out_count)
{
    size_t count;
    const struct json *n = items(json, &count);
    *out = arena_array_of(p->arena, struct policy_pattern, count + 1);
    for (*out_count = 0; *out_count < count; n = n->next) {
        if (n->kind != JSON_IS_TEXT || n->text.len == 0)
            return policy_fail(p, "Policy has an invalid %s", what);
        int r = policy_pattern_parse(p, n->text, flags, &(*out)[(*out_count)++]);
        if (r < 0)
            return r;
    }
    return count > 0 ? 0 : policy_fail(p, "Policy has an empty %s", what);
}

static int parse_actions(struct policy_parser *p, const struct json *json, struct policy_statement *s)
{
    const struct json *what = NULL;
    int r = choose(p, json, "Action", "NotAction", &s->not_action, &what);
    if (r == 0)
        r = parse_patterns(p, what, "action", POLICY_WILDCARDS, &s->actions, &s->action_count);
    return r;
}

/* The resource's bucket as a pattern; "*" is every resource. */
static struct str bucket_part(struct str source)
{
    struct str rest = str_is(source, "*") ? source : str_from(source, sizeof(ARN_S3) - 1);
    ptrdiff_t slash = str_find_char(rest, '/');
    return slash < 0 ? rest : str_first(rest, (size_t)slash);
}

static int check_resource(struct policy_parser *p, const struct policy_pattern *resource)
{
    struct policy_pattern bucket;
    struct str source = resource->source;
    bool is_arn = str_starts(source, STR(ARN_S3)) && source.len > sizeof(ARN_S3) - 1;
    if (!is_arn && !str_is(source, "*"))
        return policy_fail(p, "Policy has invalid resource: %.*s", STR_ARG(source));
    if (p->kind != AUTH_POLICY_BUCKET)
        return 0;
    int r = policy_pattern_parse(p, bucket_part(source), POLICY_WILDCARDS, &bucket);
    if (r < 0)
        return r;
    return policy_pattern_match(&bucket, p->bucket, 0, NULL) == POLICY_YES
               ? 0
               : policy_fail(p, "Policy has invalid resource: %.*s is not in the bucket", STR_ARG(source));
}

static int parse_resources(struct policy_parser *p, const struct json *json, struct policy_statement *s)
{
    const struct json *what = NULL;
    int r = choose(p, json, "Resource", "NotResource", &s->not_resource, &what);
    if (r == 0)
        r = parse_patterns(p, what, "resource", POLICY_WILDCARDS | POLICY_VARIABLES, &s->resources, &s->resource_count);
    for (size_t i = 0; r == 0 && i < s->resource_count; i++)
        r = check_resource(p, &s->resources[i]);
    return r;
}

/* Sense: what new documents are refused for although it could be evaluated, since their author thinks otherwise of it */

static unsigned resource_levels(struct str source)
{
    bool has_slash = str_find_char(source, '/') >= 0, has_any = str_find_char(source, '*') >= 0;
    if (str_is(source, "*"))
        return POLICY_LEVEL_ACCOUNT | POLICY_LEVEL_BUCKET | POLICY_LEVEL_OBJECT | POLICY_LEVEL_OTHER;
    return (has_slash ? 0u : (unsigned)POLICY_LEVEL_BUCKET) | (has_slash || has_any ? (unsigned)POLICY_LEVEL_OBJECT : 0u);
}

/* A grant of s3:GetObject on a bucket's own ARN grants nothing, and one of it by s3:prefix nobody. As AWS, which wants each action to
 * have a resource, and each action that is named to have all keys. */
static int check_combination(struct policy_parser *p, const struct policy_statement *s)
{
    unsigned levels = 0;
    if (p->kind != AUTH_POLICY_BUCKET || s->not_action || s->not_resource)
        return 0;
    for (size_t i = 0; i < s->resource_count; i++)
        levels |= resource_levels(s->resources[i].source);
    for (size_t i = 0; i < s->action_count; i++) {
        const struct policy_pattern *action = &s->actions[i];
        if (!(policy_action_levels(action) & levels))
            return policy_fail(p, "Action does not apply to any resource(s) in statement: %.*s", STR_ARG(action->source));
        if (!policy_conditions_apply(s->conditions, s->condition_count, action, levels))
            return policy_fail(p, "Conditions do not apply to combination of actions and resources in statement: %.*s",
                               STR_ARG(action->source));
    }
    return 0;
}

/* "NotPrincipal must be used with Deny": it would grant to everybody who is not named, anonymous callers included. Nothing is ever
 * asked for by an action that S3 does not have. */
static int check_sense(struct policy_parser *p, const struct policy_statement *s)
{
    if (s->not_principal && !s->is_deny)
        return policy_fail(p, "Allow with NotPrincipal is not allowed");
    for (size_t i = 0; i < s->action_count; i++)
        if (policy_action_levels(&s->actions[i]) == 0)
            return policy_fail(p, "Policy has invalid action: %.*s", STR_ARG(s->actions[i].source));
    return check_combination(p, s);
}

/* Statements */

static int parse_effect(struct policy_parser *p, const struct json *json, struct policy_statement *s)
{
    const struct json *effect = json_member(json, "Effect");
    const struct json *sid = json_member(json, "Sid");
    if (!effect)
        return policy_fail(p, "Missing required field Effect");
    if (sid && sid->kind != JSON_IS_TEXT)
        return policy_fail(p, "Invalid Sid");
    s->sid = sid ? sid->text : STR_EMPTY;
    s->is_deny = effect->kind == JSON_IS_TEXT && str_is(effect->text, "Deny");
    if (!s->is_deny && !(effect->kind == JSON_IS_TEXT && str_is(effect->text, "Allow")))
        return policy_fail(p, "Invalid effect: %.*s", STR_ARG(effect->text));
    return 0;
}

static int parse_statement(struct policy_parser *p, const struct json *json, struct policy_statement *s)
{
    static const char *const known[] = {"Sid",       "Effect",   "Principal",   "NotPrincipal", "Action",
                                        "NotAction", "Resource", "NotResource", "Condition"};
    if (json->kind != JSON_IS_OBJECT)
        return policy_fail(p, "A statement must be an object");
    const struct json *condition = json_member(json, "Condition");
    int r = check_members(p, json, known, ARRAY_SIZE(known));
    if (r == 0)
        r = parse_effect(p, json, s);
    if (r == 0)
        r = parse_who(p, json, s);
    if (r == 0)
        r = parse_actions(p, json, s);
    if (r == 0)
        r = parse_resources(p, json, s);
    if (r == 0 && condition)
        r = policy_conditions_parse(p, condition, &s->conditions, &s->condition_count);
    return r == 0 && !p->is_stored ? check_sense(p, s) : r;
}

static int check_sid(struct policy_parser *p, const struct auth_policy *policy)
{
    const struct policy_statement *last = &policy->statements[policy->count - 1];
    for (size_t i = 0; i + 1 < policy->count; i++)
        if (last->sid.len > 0 && str_eq(policy->statements[i].sid, last->sid))
            return policy_fail(p, "Statement IDs (SID) in a single policy must be unique: %.*s", STR_ARG(last->sid));
    return 0;
}

static int parse_head(struct policy_parser *p, const struct json *root)
{
    static const char *const known[] = {"Version", "Id", "Statement"};
    const struct json *version = json_member(root, "Version"), *id = json_member(root, "Id");
    int r = check_members(p, root, known, ARRAY_SIZE(known));
    if (r < 0)
        return r;
    p->has_variables = version && str_is(version->text, "2012-10-17");
    if (version && !p->has_variables && !str_is(version->text, "2008-10-17"))
        return policy_fail(p, "The policy must contain a valid version string: %.*s", STR_ARG(version->text));
    return id && id->kind != JSON_IS_TEXT ? policy_fail(p, "Invalid Id") : 0;
}

/* null means nothing in a policy. Recursion ends at the tree's depth, LIMIT_POLICY_DEPTH. */
static bool has_null(const struct json *json)
{
    bool found = json->kind == JSON_IS_NULL;
    for (const struct json *n = json->first; n && !found; n = n->next)
        found = has_null(n);
    return found;
}

/* NULL with a line in p->error. */
static const struct json *read_json(struct policy_parser *p, struct str text)
{
    struct buf why = buf_make(256);
    const struct json *root = NULL;
    if (text.len > p->size_max) {
        (void)policy_fail(p, "Policy is larger than %zu bytes", p->size_max); /* the line is all we want */
    } else if (text.len == 0 || text.ptr[0] != '{') {
        (void)policy_fail(p, "Policies must be valid JSON and the first byte must be '{'");
    } else {
        root = json_parse(text, p->size_max, LIMIT_POLICY_DEPTH, p->arena, &why);
        if (!root || has_null(root))
            (void)policy_fail(p, "This policy contains invalid Json: %s", root ? "null" : buf_z(&why));
        root = root && has_null(root) ? NULL : root;
    }
    buf_done(&why);
    return root;
}

int policy_parse_document(struct policy_parser *p, struct auth_policy *out)
{
    const struct json *root = read_json(p, out->text);
    const struct json *statements = json_member(root, "Statement");
    if (!root)
        return -EINVAL;
    int r = parse_head(p, root);
    if (r < 0)
        return r;
    size_t count = 0;
    const struct json *n = statements ? items(statements, &count) : NULL;
    if (count == 0)
        return policy_fail(p, "Missing required field Statement");
    out->statements = arena_array_of(p->arena, struct policy_statement, count);
    for (size_t i = 0; r == 0 && i < count; i++, n = n->next) {
        r = parse_statement(p, n, &out->statements[out->count++]);
        if (r == 0)
            r = check_sid(p, out);
    }
    return r;
}
