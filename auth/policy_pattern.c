#include <errno.h>

#include "auth/policy_internal.h"

/* Variables ("Policy variables", IAM user guide): ${key}, ${key, 'default'}; ${*}, ${?} and ${$} are the characters themselves.
 * A variable's value is text: wildcards in it stand for themselves, so that a caller's name cannot widen a grant. */

static void add(struct policy_pattern *out, struct policy_token token)
{
    out->tokens[out->count++] = token;
}

static int parse_fallback(struct policy_parser *p, struct str text, struct policy_token *out)
{
    text = str_trim(text);
    if (text.len < 2 || text.ptr[0] != '\'' || text.ptr[text.len - 1] != '\'')
        return policy_fail(p, "Invalid default of a policy variable: %.*s", STR_ARG(text));
    out->has_fallback = true;
    out->fallback = str_of(text.ptr + 1, text.len - 2);
    return 0;
}

/* inside: between the braces. */
static int parse_variable(struct policy_parser *p, struct str inside, struct policy_pattern *out)
{
    struct policy_token token = {.kind = POLICY_VARIABLE};
    if (str_is(inside, "*") || str_is(inside, "?") || str_is(inside, "$")) {
        add(out, (struct policy_token){.kind = POLICY_TEXT, .text = inside});
        return 0;
    }
    ptrdiff_t comma = str_find_char(inside, ',');
    token.text = str_trim(comma < 0 ? inside : str_first(inside, (size_t)comma));
    token.key = policy_key_find(token.text);
    if (!token.key)
        return policy_fail(p, "Policy has an invalid variable: %.*s", STR_ARG(inside));
    int r = comma < 0 ? 0 : parse_fallback(p, str_from(inside, (size_t)comma + 1), &token);
    if (r == 0)
        add(out, token);
    return r;
}

/* Bytes up to what means something. */
static size_t literal_len(struct str s, unsigned flags)
{
    size_t i = 0;
    for (; i < s.len; i++) {
        bool is_wildcard = flags & POLICY_WILDCARDS && (s.ptr[i] == '*' || s.ptr[i] == '?');
        bool is_variable = flags & POLICY_VARIABLES && s.ptr[i] == '$' && i + 1 < s.len && s.ptr[i + 1] == '{';
        if (is_wildcard || is_variable)
            break;
    }
    return i;
}

int policy_pattern_parse(struct policy_parser *p, struct str source, unsigned flags, struct policy_pattern *out)
{
    *out = (struct policy_pattern){.source = source,
                                   .tokens = arena_array_of(p->arena, struct policy_token, source.len + 1)};
    if (!p->has_variables)
        flags &= ~(unsigned)POLICY_VARIABLES;
    for (struct str rest = source; rest.len > 0;) {
        size_t len = literal_len(rest, flags);
        if (len > 0) {
            add(out, (struct policy_token){.kind = POLICY_TEXT, .text = str_first(rest, len)});
        } else if (rest.ptr[0] != '$') {
            add(out, (struct policy_token){.kind = rest.ptr[0] == '*' ? POLICY_ANY : POLICY_ONE});
            len = 1;
        } else {
            ptrdiff_t end = str_find_char(rest, '}');
            if (end < 0)
                return policy_fail(p, "Policy has a variable that is not closed: %.*s", STR_ARG(source));
            int r = parse_variable(p, str_of(rest.ptr + 2, (size_t)end - 2), out);
            if (r < 0)
                return r;
            len = (size_t)end + 1;
        }
        rest = str_from(rest, len);
    }
    return 0;
}

bool policy_pattern_is_open(const struct policy_pattern *pattern)
{
    for (size_t i = 0; i < pattern->count; i++)
        if (pattern->tokens[i].kind != POLICY_TEXT)
            return true;
    return false;
}

/* Matching */

/* A variable's value is asked for anew wherever it is compared. */
#define VARIABLE_STEPS 100

static bool spend(const struct auth_policy_request *r, uint64_t steps)
{
    if (!r || !r->steps)
        return true;
    *r->steps -= steps < *r->steps ? steps : *r->steps;
    return *r->steps > 0;
}

/* Only a variable of one value is text. */
static bool resolve(const struct policy_token *token, const struct auth_policy_request *r, struct str *out)
{
    struct auth_context_value value = {0};
    if (!spend(r, VARIABLE_STEPS))
        return false;
    if (r)
        policy_context_value(token->key, token->text, r, &value);
    if (value.count == 1)
        *out = value.values[0];
    else
        *out = token->fallback;
    return value.count == 1 || token->has_fallback;
}

static bool all_resolve(const struct policy_pattern *pattern, const struct auth_policy_request *r)
{
    struct str value;
    for (size_t i = 0; i < pattern->count; i++)
        if (pattern->tokens[i].kind == POLICY_VARIABLE && !resolve(&pattern->tokens[i], r, &value))
            return false;
    return true;
}

/* Takes the token off *rest. */
static bool take(const struct policy_token *token, struct str *rest, unsigned flags, const struct auth_policy_request *r)
{
    struct str text = token->text;
    if (token->kind == POLICY_ONE) {
        size_t len = str_utf8_len(*rest);
        *rest = str_from(*rest, len > 0 ? len : 1);
        return true;
    }
    if (token->kind == POLICY_VARIABLE && !resolve(token, r, &text))
        return false;
    if (flags & POLICY_NOCASE ? !str_starts_nocase(*rest, text) : !str_starts(*rest, text))
        return false;
    *rest = str_from(*rest, text.len);
    return true;
}

/* The last "*" seen takes one byte more whenever what follows it does not fit: no recursion, at most length × tokens steps. */
enum policy_match policy_pattern_match(const struct policy_pattern *pattern, struct str text, unsigned flags,
                                       const struct auth_policy_request *r)
{
    size_t i = 0, star = SIZE_MAX;
    struct str rest = text, star_rest = text;
    if (!all_resolve(pattern, r))
        return POLICY_UNRESOLVED;
    while (spend(r, 1)) {
        if (i == pattern->count && rest.len == 0)
            return POLICY_YES;
        if (i < pattern->count && pattern->tokens[i].kind == POLICY_ANY) {
            star = i++;
            star_rest = rest;
            continue;
        }
        bool has_input = i < pattern->count && (rest.len > 0 || pattern->tokens[i].kind != POLICY_ONE);
        if (has_input && take(&pattern->tokens[i], &rest, flags, r)) {
            i++;
            continue;
        }
        if (star == SIZE_MAX || star_rest.len == 0)
            return POLICY_NO;
        star_rest = rest = str_from(star_rest, 1);
        i = star + 1;
    }
    return POLICY_NO; /* the verdict does not depend on it any more */
}
