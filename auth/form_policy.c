#include "auth/form.h"

#include <errno.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"

struct check {
    const struct auth_query *fields;
    bool covered[LIMIT_FORM_FIELDS];
    struct str bucket;
    struct arena *arena;
    struct auth_form_range range;
    struct buf *error;
};

static int malformed(struct check *c, const char *what)
{
    buf_reset(c->error);
    buf_addf(c->error, "Invalid Policy: %s", what);
    return -EINVAL;
}

static int refused(struct check *c, struct str what)
{
    buf_reset(c->error);
    buf_addf(c->error, "Invalid according to Policy: %.*s", STR_ARG(what));
    return -EACCES;
}

static int failed(struct check *c, const char *operator, struct str field, struct str wanted)
{
    return refused(c, arena_printf(c->arena, "Policy Condition failed: [\"%s\", \"$%.*s\", \"%.*s\"]", operator,
                                   STR_ARG(field), STR_ARG(wanted)));
}

/* Fields */

static struct str lower(struct arena *arena, struct str s)
{
    struct buf b = buf_over(arena_alloc(arena, s.len + 1), s.len + 1);
    buf_add_lower(&b, s);
    return buf_str(&b);
}

/* The value that a condition is about; the bucket comes from the URL (SEC-41). An absent field is an empty one. */
static struct str value_of(struct check *c, struct str name)
{
    struct str value = STR_EMPTY;
    for (size_t i = 0; i < c->fields->count; i++) {
        if (!str_eq(c->fields->params[i].name, name))
            continue;
        c->covered[i] = true;
        value = c->fields->params[i].value;
    }
    return str_is(name, "bucket") ? c->bucket : value;
}

/* What a policy cannot name, or need not. */
static bool is_exempt(struct str name)
{
    static const char *const names[] = {"awsaccesskeyid", "signature", "x-amz-signature", "policy", "file"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (str_is(name, names[i]))
            return true;
    return str_starts(name, STR("x-ignore-"));
}

static int check_covered(struct check *c)
{
    for (size_t i = 0; i < c->fields->count; i++) {
        struct str name = c->fields->params[i].name;
        if (!c->covered[i] && !is_exempt(name))
            return refused(c, arena_printf(c->arena, "Extra input fields: %.*s", STR_ARG(name)));
    }
    /* The form may repeat the bucket; then it must be the one in the URL. */
    struct str bucket = auth_query_get(c->fields, "bucket");
    return bucket.ptr && !str_eq(bucket, c->bucket) ? failed(c, "eq", STR("bucket"), c->bucket) : 0;
}

/* Conditions */

static int check_eq(struct check *c, struct str name, struct str wanted)
{
    return str_eq(value_of(c, name), wanted) ? 0 : failed(c, "eq", name, wanted);
}

/* A Content-Type of several, separated by commas, is several values. */
static bool all_start(struct str values, struct str prefix)
{
    struct str value;
    while (str_split(&values, ',', &value))
        if (!str_starts(str_trim(value), prefix))
            return false;
    return true;
}

static int check_starts(struct check *c, struct str name, struct str prefix)
{
    struct str value = value_of(c, name);
    bool holds = str_is(name, "content-type") && value.ptr ? all_start(value, prefix) : str_starts(value, prefix);
    return holds ? 0 : failed(c, "starts-with", name, prefix);
}

static bool is_number(const struct json *n, uint64_t *out)
{
    return (n->kind == JSON_IS_NUMBER || n->kind == JSON_IS_TEXT) && str_parse_u64(n->text, out);
}

static int take_range(struct check *c, const struct json *from)
{
    struct auth_form_range r;
    if (!is_number(from, &r.min) || !is_number(from->next, &r.max) || r.min > r.max)
        return malformed(c, "Invalid content-length-range: two numbers, the smaller one first, are wanted.");
    c->range.min = r.min > c->range.min ? r.min : c->range.min;
    c->range.max = r.max < c->range.max ? r.max : c->range.max;
    return 0;
}

/* ["eq", "$field", "value"] */
static int check_list(struct check *c, const struct json *list)
{
    const struct json *first = list->first;
    if (list->count != 3 || first->kind != JSON_IS_TEXT)
        return malformed(c, "Invalid Condition: a list of an operator and two values is wanted.");
    if (str_eq_nocase(first->text, STR("content-length-range")))
        return take_range(c, first->next);
    const struct json *field = first->next, *value = field->next;
    if (field->kind != JSON_IS_TEXT || value->kind != JSON_IS_TEXT || !str_starts(field->text, STR("$")))
        return malformed(c, "Invalid Condition: the second element must be \"$\" and a field's name, the third a text.");
    struct str name = lower(c->arena, str_from(field->text, 1));
    if (str_eq_nocase(first->text, STR("eq")))
        return check_eq(c, name, value->text);
    if (str_eq_nocase(first->text, STR("starts-with")))
        return check_starts(c, name, value->text);
    return malformed(c, "Invalid Condition: unknown operator.");
}

/* {"field": "value"} */
static int check_object(struct check *c, const struct json *object)
{
    if (object->count != 1 || object->first->kind != JSON_IS_TEXT)
        return malformed(c, "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.");
    return check_eq(c, lower(c->arena, object->first->name), object->first->text);
}

static int check_conditions(struct check *c, const struct json *conditions)
{
    if (!conditions || conditions->kind != JSON_IS_LIST)
        return malformed(c, "Policy missing conditions.");
    for (const struct json *n = conditions->first; n; n = n->next) {
        int rc = n->kind == JSON_IS_LIST     ? check_list(c, n)
                 : n->kind == JSON_IS_OBJECT ? check_object(c, n)
                                                 : malformed(c, "Invalid Condition: neither a list nor an object.");
        if (rc < 0)
            return rc;
    }
    return check_covered(c);
}

static int check_expiration(struct check *c, const struct json *expiration)
{
    int64_t expires_ns;
    if (!expiration || expiration->kind != JSON_IS_TEXT)
        return malformed(c, "Policy missing expiration.");
    if (!clock_parse_iso8601(expiration->text, &expires_ns))
        return malformed(c, "Invalid 'expiration' value.");
    return clock_wall_ns() >= expires_ns ? refused(c, STR("Policy expired.")) : 0;
}

int auth_form_check(const struct auth_query *fields, struct str bucket, struct arena *arena, struct auth_form_range *out,
                    struct buf *error)
{
    struct check c = {
        .fields = fields, .bucket = bucket, .arena = arena, .range = {.max = UINT64_MAX}, .error = error};
    struct str text = auth_query_get(fields, "policy");
    size_t size;
    char *bytes = arena_alloc(arena, text.len + 1);
    if (fields->count > LIMIT_FORM_FIELDS)
        return malformed(&c, "too many fields.");
    if (!base64_decode(text, bytes, text.len, &size))
        return malformed(&c, "Invalid Base64.");
    const struct json *document = json_parse(str_of(bytes, size), LIMIT_FORM_BYTES, LIMIT_POLICY_DEPTH, arena, error);
    if (!document || document->kind != JSON_IS_OBJECT)
        return malformed(&c, "Invalid JSON.");
    int rc = check_expiration(&c, json_member(document, "expiration"));
    if (rc == 0)
        rc = check_conditions(&c, json_member(document, "conditions"));
    if (rc == 0)
        *out = c.range;
    return rc;
}
