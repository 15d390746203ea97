#include <arpa/inet.h>
#include <stdio.h>

#include "auth/policy_internal.h"
#include "base/clock.h"
#include "base/encode.h"

/* "IAM JSON policy elements: Condition operators". What a missing key means stands there too: a positive comparison fails, a
 * negated one holds, …IfExists holds, ForAllValues: holds, ForAnyValue: fails. */

enum type { TYPE_STRING, TYPE_NUMBER, TYPE_DATE, TYPE_BOOL, TYPE_BINARY, TYPE_IP, TYPE_ARN, TYPE_NULL };
enum order { EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL };

static const struct operator_row {
    const char *name;
    enum type type;
    bool negated;
    unsigned parse_flags, match_flags; /* of strings */
    enum order order;                  /* of numbers and dates */
} operators[] = {
    {"StringEquals", TYPE_STRING, false, POLICY_VARIABLES, 0, EQUAL},
    {"StringNotEquals", TYPE_STRING, true, POLICY_VARIABLES, 0, EQUAL},
    {"StringEqualsIgnoreCase", TYPE_STRING, false, POLICY_VARIABLES, POLICY_NOCASE, EQUAL},
    {"StringNotEqualsIgnoreCase", TYPE_STRING, true, POLICY_VARIABLES, POLICY_NOCASE, EQUAL},
    {"StringLike", TYPE_STRING, false, POLICY_VARIABLES | POLICY_WILDCARDS, 0, EQUAL},
    {"StringNotLike", TYPE_STRING, true, POLICY_VARIABLES | POLICY_WILDCARDS, 0, EQUAL},
    {"NumericEquals", TYPE_NUMBER, false, 0, 0, EQUAL},
    {"NumericNotEquals", TYPE_NUMBER, true, 0, 0, EQUAL},
    {"NumericLessThan", TYPE_NUMBER, false, 0, 0, LESS},
    {"NumericLessThanEquals", TYPE_NUMBER, false, 0, 0, LESS_EQUAL},
    {"NumericGreaterThan", TYPE_NUMBER, false, 0, 0, GREATER},
    {"NumericGreaterThanEquals", TYPE_NUMBER, false, 0, 0, GREATER_EQUAL},
    {"DateEquals", TYPE_DATE, false, 0, 0, EQUAL},
    {"DateNotEquals", TYPE_DATE, true, 0, 0, EQUAL},
    {"DateLessThan", TYPE_DATE, false, 0, 0, LESS},
    {"DateLessThanEquals", TYPE_DATE, false, 0, 0, LESS_EQUAL},
    {"DateGreaterThan", TYPE_DATE, false, 0, 0, GREATER},
    {"DateGreaterThanEquals", TYPE_DATE, false, 0, 0, GREATER_EQUAL},
    {"Bool", TYPE_BOOL, false, 0, 0, EQUAL},
    {"BinaryEquals", TYPE_BINARY, false, 0, 0, EQUAL},
    {"IpAddress", TYPE_IP, false, 0, 0, EQUAL},
    {"NotIpAddress", TYPE_IP, true, 0, 0, EQUAL},
    {"ArnEquals", TYPE_ARN, false, 0, 0, EQUAL},
    {"ArnLike", TYPE_ARN, false, 0, 0, EQUAL},
    {"ArnNotEquals", TYPE_ARN, true, 0, 0, EQUAL},
    {"ArnNotLike", TYPE_ARN, true, 0, 0, EQUAL},
    {"Null", TYPE_NULL, false, 0, 0, EQUAL},
};

#define ARN_PARTS 6 /* arn:partition:service:region:account:resource */

struct value {
    struct policy_pattern pattern; /* strings */
    struct policy_pattern *arn;    /* ARN_PARTS of them */
    int64_t number;                /* thousandths, or nanoseconds of a date */
    bool truth;
    struct str bytes;
    uint8_t address[16];
    unsigned prefix_bits;
};

struct policy_condition {
    const struct operator_row *op;
    enum { SINGLE, FOR_ALL, FOR_ANY } set;
    bool if_exists;
    struct str key;
    const struct policy_key_row *row;
    struct value *values;
    size_t count;
};

/* Values of each type, the same way from the policy and from the request */

/* Decimal with up to three digits behind the point, in thousandths. */
static bool parse_number(struct str s, int64_t *out)
{
    bool negative = s.len > 0 && s.ptr[0] == '-';
    uint64_t whole, fraction = 0;
    if (negative)
        s = str_from(s, 1);
    ptrdiff_t point = str_find_char(s, '.');
    if (!str_parse_u64_max(point < 0 ? s : str_first(s, (size_t)point), INT64_MAX / 1000 - 1, &whole))
        return false;
    if (point >= 0) {
        struct str digits = str_from(s, (size_t)point + 1);
        if (digits.len > 3 || !str_parse_u64(digits, &fraction))
            return false;
        for (size_t i = digits.len; i < 3; i++)
            fraction *= 10;
    }
    int64_t value = (int64_t)(whole * 1000 + fraction);
    *out = negative ? -value : value;
    return true;
}

/* W3C profile of ISO 8601 to the second, a day, or seconds since 1970. */
static bool parse_date(struct str s, int64_t *out)
{
    uint64_t epoch_s;
    char text[CLOCK_TEXT_MAX];
    if (str_parse_u64(s, &epoch_s)) {
        *out = epoch_s <= INT64_MAX / 1000000000 ? (int64_t)epoch_s * 1000000000 : INT64_MAX;
        return true;
    }
    if (s.len != 10)
        return clock_parse_iso8601(s, out);
    int len = snprintf(text, sizeof(text), "%.*sT00:00:00Z", STR_ARG(s));
    return clock_parse_iso8601(str_of(text, (size_t)len), out);
}

static bool parse_bool(struct str s, bool *out)
{
    *out = str_eq_nocase(s, STR("true"));
    return *out || str_eq_nocase(s, STR("false"));
}

/* IPv4 is kept as ::ffff:a.b.c.d, so that a client's address may come in either form. */
static bool parse_address(struct str s, uint8_t out[16], bool *out_is_v4)
{
    char text[INET6_ADDRSTRLEN + 1];
    if (s.len == 0 || s.len >= sizeof(text))
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    memset(out, 0, 16);
    out[10] = out[11] = 0xff;
    *out_is_v4 = inet_pton(AF_INET, text, out + 12) == 1;
    return *out_is_v4 || inet_pton(AF_INET6, text, out) == 1;
}

static bool parse_network(struct str s, struct value *out)
{
    bool is_v4;
    uint64_t bits;
    ptrdiff_t slash = str_find_char(s, '/');
    if (!parse_address(slash < 0 ? s : str_first(s, (size_t)slash), out->address, &is_v4))
        return false;
    uint64_t max = is_v4 ? 32 : 128;
    bits = max;
    if (slash >= 0 && !str_parse_u64_max(str_from(s, (size_t)slash + 1), max, &bits))
        return false;
    out->prefix_bits = (unsigned)(bits + (128 - max));
    return true;
}

#define V4_BITS 96 /* before an IPv4 address that is kept as IPv6 */

static bool is_v4_mapped(const uint8_t address[16])
{
    static const uint8_t v4[V4_BITS / 8] = {[10] = 0xff, [11] = 0xff};
    return memcmp(address, v4, sizeof(v4)) == 0;
}

/* "::/0" is every IPv6 address, and no IPv4 one, whose form here is ours. */
static bool network_has(const struct value *v, const uint8_t address[16])
{
    if (v->prefix_bits < V4_BITS && is_v4_mapped(address))
        return false;
    unsigned whole = v->prefix_bits / 8, rest = v->prefix_bits % 8;
    if (memcmp(v->address, address, whole) != 0)
        return false;
    return rest == 0 || ((v->address[whole] ^ address[whole]) & (0xff00u >> rest) & 0xffu) == 0;
}

/* The part before the next colon that is not inside a variable; the last part is all the rest. */
static bool take_arn_part(struct str *rest, bool is_last, struct str *out)
{
    int depth = 0;
    for (size_t i = 0; i < rest->len && !is_last; i++) {
        depth += rest->ptr[i] == '{' ? 1 : rest->ptr[i] == '}' ? -1 : 0;
        if (rest->ptr[i] != ':' || depth > 0)
            continue;
        *out = str_first(*rest, i);
        *rest = str_from(*rest, i + 1);
        return true;
    }
    *out = *rest;
    return is_last && rest->len > 0;
}

static int parse_arn(struct policy_parser *p, struct str text, struct value *out)
{
    struct str part, rest = text;
    out->arn = arena_array_of(p->arena, struct policy_pattern, ARN_PARTS);
    for (size_t i = 0; i < ARN_PARTS; i++) {
        if (!take_arn_part(&rest, i + 1 == ARN_PARTS, &part))
            return policy_fail(p, "Condition has an invalid ARN: %.*s", STR_ARG(text));
        int r = policy_pattern_parse(p, part, POLICY_WILDCARDS | POLICY_VARIABLES, &out->arn[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool decode_binary(struct str text, char *out, size_t capacity, size_t *size)
{
    return base64_decode(text, out, capacity, size);
}

/* Parsing */

static int parse_value(struct policy_parser *p, const struct operator_row *op, struct str text, struct value *out)
{
    bool ok = false;
    size_t size;
    switch (op->type) {
    case TYPE_STRING:
        return policy_pattern_parse(p, text, op->parse_flags, &out->pattern);
    case TYPE_ARN:
        return parse_arn(p, text, out);
    case TYPE_NUMBER:
        ok = parse_number(text, &out->number);
        break;
    case TYPE_DATE:
        ok = parse_date(text, &out->number);
        break;
    case TYPE_BOOL:
    case TYPE_NULL:
        ok = parse_bool(text, &out->truth);
        break;
    case TYPE_IP:
        ok = parse_network(text, out);
        break;
    case TYPE_BINARY: {
        char *bytes = arena_alloc(p->arena, text.len + 1);
        ok = decode_binary(text, bytes, text.len, &size);
        out->bytes = str_of(bytes, ok ? size : 0);
        break;
    }
    }
    return ok ? 0 : policy_fail(p, "Invalid value of the condition operator %s: %.*s", op->name, STR_ARG(text));
}

static int parse_operator(struct policy_parser *p, struct str name, struct policy_condition *out)
{
    static const struct str all = STR_INIT("ForAllValues:"), any = STR_INIT("ForAnyValue:"), exists = STR_INIT("IfExists");
    struct str rest = name;
    if (str_starts(rest, all)) {
        out->set = FOR_ALL;
        rest = str_from(rest, all.len);
    } else if (str_starts(rest, any)) {
        out->set = FOR_ANY;
        rest = str_from(rest, any.len);
    }
    if (str_ends(rest, exists)) {
        out->if_exists = true;
        rest = str_first(rest, rest.len - exists.len);
    }
    for (size_t i = 0; i < ARRAY_SIZE(operators); i++)
        if (str_is(rest, operators[i].name))
            out->op = &operators[i];
    bool is_odd = out->op && out->op->type == TYPE_NULL && (out->if_exists || out->set != SINGLE);
    if (!out->op || is_odd)
        return policy_fail(p, "Invalid Condition type : %.*s", STR_ARG(name));
    return 0;
}

static int parse_values(struct policy_parser *p, const struct json *json, struct policy_condition *out)
{
    const struct json *n = json->kind == JSON_IS_LIST ? json->first : json;
    size_t max = json->kind == JSON_IS_LIST ? json->count : 1;
    out->values = arena_array_of(p->arena, struct value, max > 0 ? max : 1);
    for (; out->count < max; n = n->next) {
        if (n->kind == JSON_IS_LIST || n->kind == JSON_IS_OBJECT)
            return policy_fail(p, "Invalid value of the condition key %.*s", STR_ARG(out->key));
        int r = parse_value(p, out->op, n->text, &out->values[out->count++]);
        if (r < 0)
            return r;
    }
    if (out->count == 0)
        return policy_fail(p, "Condition key %.*s has no value", STR_ARG(out->key));
    return 0;
}

static size_t count_conditions(const struct json *json)
{
    size_t count = 0;
    for (const struct json *op = json->first; op; op = op->next)
        count += op->count;
    return count;
}

static int parse_block(struct policy_parser *p, const struct json *block, struct policy_condition *out, size_t *count)
{
    struct policy_condition base = {0};
    int r = parse_operator(p, block->name, &base);
    if (r == 0 && (block->kind != JSON_IS_OBJECT || block->count == 0))
        r = policy_fail(p, "Condition %.*s must be an object with a key", STR_ARG(block->name));
    for (const struct json *n = block->first; r == 0 && n; n = n->next) {
        struct policy_condition *c = &out[(*count)++];
        *c = base;
        c->key = n->name;
        c->row = policy_key_find(n->name);
        if (!c->row)
            return policy_fail(p, "Policy has an invalid condition key: %.*s", STR_ARG(n->name));
        r = parse_values(p, n, c);
    }
    return r;
}

int policy_conditions_parse(struct policy_parser *p, const struct json *json, struct policy_condition **out,
                            size_t *out_count)
{
    size_t count = 0;
    if (json->kind != JSON_IS_OBJECT)
        return policy_fail(p, "Condition must be an object");
    struct policy_condition *conditions = arena_array_of(p->arena, struct policy_condition, count_conditions(json) + 1);
    for (const struct json *block = json->first; block; block = block->next) {
        int r = parse_block(p, block, conditions, &count);
        if (r < 0)
            return r;
    }
    *out = conditions;
    *out_count = count;
    return 0;
}

/* Evaluating */

static enum policy_match ordered(enum order order, int64_t value, int64_t limit)
{
    bool holds = false;
    switch (order) {
    case EQUAL:
        holds = value == limit;
        break;
    case LESS:
        holds = value < limit;
        break;
    case LESS_EQUAL:
        holds = value <= limit;
        break;
    case GREATER:
        holds = value > limit;
        break;
    case GREATER_EQUAL:
        holds = value >= limit;
        break;
    }
    return holds ? POLICY_YES : POLICY_NO;
}

static enum policy_match match_arn(const struct value *v, struct str text, const struct auth_policy_request *r)
{
    struct str part, rest = text;
    for (size_t i = 0; i < ARN_PARTS; i++) {
        if (!take_arn_part(&rest, i + 1 == ARN_PARTS, &part))
            return POLICY_NO;
        enum policy_match m = policy_pattern_match(&v->arn[i], part, 0, r);
        if (m != POLICY_YES)
            return m;
    }
    return POLICY_YES;
}

static enum policy_match match_binary(const struct value *v, struct str text)
{
    char bytes[1024];
    size_t size;
    bool is_equal = decode_binary(text, bytes, sizeof(bytes), &size) && str_eq(v->bytes, str_of(bytes, size));
    return is_equal ? POLICY_YES : POLICY_NO;
}

/* One value of the request against one of the policy. A text of the request that is not of the type matches nothing. */
static enum policy_match match_one(const struct operator_row *op, const struct value *v, struct str text,
                                   const struct auth_policy_request *r)
{
    int64_t number;
    bool truth, is_v4;
    uint8_t address[16];
    switch (op->type) {
    case TYPE_STRING:
        return policy_pattern_match(&v->pattern, text, op->match_flags, r);
    case TYPE_ARN:
        return match_arn(v, text, r);
    case TYPE_NUMBER:
        return parse_number(text, &number) ? ordered(op->order, number, v->number) : POLICY_NO;
    case TYPE_DATE:
        return parse_date(text, &number) ? ordered(op->order, number, v->number) : POLICY_NO;
    case TYPE_BOOL:
        return parse_bool(text, &truth) && truth == v->truth ? POLICY_YES : POLICY_NO;
    case TYPE_BINARY:
        return match_binary(v, text);
    case TYPE_IP:
        return parse_address(text, address, &is_v4) && network_has(v, address) ? POLICY_YES : POLICY_NO;
    case TYPE_NULL:
        break;
    }
    return POLICY_NO;
}

/* Does one value of the request satisfy the operator? The policy's values are alternatives of a positive one, and all of
 * them must differ for a negated one. What could not be compared because of a variable without a value never allows. */
static bool value_satisfies(const struct policy_condition *c, struct str text, bool is_deny,
                            const struct auth_policy_request *r)
{
    bool has_unresolved = false;
    for (size_t i = 0; i < c->count; i++) {
        enum policy_match m = match_one(c->op, &c->values[i], text, r);
        if (m == POLICY_YES)
            return !c->op->negated;
        has_unresolved |= m == POLICY_UNRESOLVED;
    }
    return c->op->negated && (is_deny || !has_unresolved);
}

static bool holds_null(const struct policy_condition *c, bool is_absent)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->values[i].truth == is_absent)
            return true;
    return false;
}

void policy_context_value(const struct policy_key_row *key, struct str name, const struct auth_policy_request *r,
                          struct auth_context_value *out)
{
    *out = (struct auth_context_value){.key = name};
    if (r->context && policy_key_applies(key, r->action))
        r->context(r->context_data, name, out);
}

static bool holds(const struct policy_condition *c, bool is_deny, const struct auth_policy_request *r)
{
    struct auth_context_value in;
    policy_context_value(c->row, c->key, r, &in);
    if (c->op->type == TYPE_NULL)
        return holds_null(c, in.count == 0);
    if (in.count == 0)
        return c->if_exists || c->set == FOR_ALL || (c->op->negated && c->set == SINGLE);
    /* Without a qualifier, several values of the request satisfy as one: a negated operator means none of them. */
    bool needs_all = c->set == FOR_ALL || (c->set == SINGLE && c->op->negated);
    for (size_t i = 0; i < in.count; i++)
        if (value_satisfies(c, in.values[i], is_deny, r) != needs_all)
            return !needs_all;
    return needs_all;
}

bool policy_conditions_hold(const struct policy_condition *conditions, size_t count, bool is_deny,
                            const struct auth_policy_request *r)
{
    for (size_t i = 0; i < count; i++)
        if (!holds(&conditions[i], is_deny, r))
            return false;
    return true;
}

/* Public or not */

/* AWS calls very broad ranges public; narrower than these is somebody's network. */
#define NARROW_V4_BITS (V4_BITS + 8)
#define NARROW_V6_BITS 32

static bool value_is_fixed(const struct policy_condition *c, const struct value *v)
{
    if (c->op->type == TYPE_IP)
        return v->prefix_bits >= (is_v4_mapped(v->address) ? NARROW_V4_BITS : NARROW_V6_BITS);
    for (size_t i = 0; c->op->type == TYPE_ARN && i < ARN_PARTS; i++)
        if (policy_pattern_is_open(&v->arn[i]))
            return false;
    return c->op->type == TYPE_ARN || (c->op->type == TYPE_STRING && !policy_pattern_is_open(&v->pattern));
}

static bool fixes_caller(const struct policy_condition *c)
{
    if (!c->row->fixes_caller || c->op->negated || c->if_exists || c->set == FOR_ALL)
        return false;
    for (size_t i = 0; i < c->count; i++)
        if (!value_is_fixed(c, &c->values[i]))
            return false;
    return true;
}

bool policy_conditions_fix_caller(const struct policy_condition *conditions, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fixes_caller(&conditions[i]))
            return true;
    return false;
}

/* Which actions */

bool policy_conditions_apply(const struct policy_condition *conditions, size_t count, const struct policy_pattern *action,
                             unsigned levels)
{
    for (size_t i = 0; i < count; i++)
        if (!policy_key_applies_to_some(conditions[i].row, action, levels))
            return false;
    return true;
}
