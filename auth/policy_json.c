#include "auth/policy_json.h"

#include <jansson.h>

#include "base/limits.h"

static const struct policy_json *convert(json_t *value, struct arena *arena, size_t depth);

static bool append(struct policy_json *parent, struct policy_json **last, struct str name, json_t *value,
                   struct arena *arena, size_t depth)
{
    const struct policy_json *converted = convert(value, arena, depth + 1);
    if (!converted)
        return false;
    struct policy_json *node = arena_new_of(arena, struct policy_json);
    *node = *converted;
    node->name = name;
    if (*last)
        (*last)->next = node;
    else
        parent->first = node;
    *last = node;
    parent->count++;
    return true;
}

static bool convert_list(json_t *value, struct arena *arena, size_t depth, struct policy_json *out)
{
    struct policy_json *last = NULL;
    size_t i;
    json_t *item;
    json_array_foreach (value, i, item)
        if (!append(out, &last, STR_EMPTY, item, arena, depth))
            return false;
    return true;
}

static bool convert_object(json_t *value, struct arena *arena, size_t depth, struct policy_json *out)
{
    struct policy_json *last = NULL;
    const char *name;
    json_t *item;
    json_object_foreach (value, name, item)
        if (!append(out, &last, arena_dup(arena, str_z(name)), item, arena, depth))
            return false;
    return true;
}

/* NULL: null, which has no meaning in a policy, or too deep. Recursion ends at LIMIT_POLICY_DEPTH. */
static const struct policy_json *convert(json_t *value, struct arena *arena, size_t depth)
{
    struct policy_json *out = arena_new_of(arena, struct policy_json);
    bool ok = depth <= LIMIT_POLICY_DEPTH;
    out->kind = POLICY_JSON_SCALAR;
    if (!ok || json_is_null(value)) {
        ok = false;
    } else if (json_is_object(value)) {
        out->kind = POLICY_JSON_OBJECT;
        ok = convert_object(value, arena, depth, out);
    } else if (json_is_array(value)) {
        out->kind = POLICY_JSON_LIST;
        ok = convert_list(value, arena, depth, out);
    } else if (json_is_string(value)) {
        out->kind = POLICY_JSON_TEXT;
        out->text = arena_dup(arena, str_of(json_string_value(value), json_string_length(value)));
    } else if (json_is_integer(value)) {
        out->text = arena_printf(arena, "%lld", (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        out->text = arena_printf(arena, "%.15g", json_real_value(value));
    } else {
        out->text = json_is_true(value) ? STR("true") : STR("false");
    }
    return ok ? out : NULL;
}

const struct policy_json *policy_json_parse(struct str json, struct arena *arena, struct buf *error)
{
    json_error_t e;
    if (json.len > LIMIT_POLICY_BYTES) {
        buf_addf(error, "Policy is larger than %d bytes", LIMIT_POLICY_BYTES);
        return NULL;
    }
    if (json.len == 0 || json.ptr[0] != '{') {
        buf_addz(error, "Policies must be valid JSON and the first byte must be '{'");
        return NULL;
    }
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, &e);
    if (!root) {
        buf_addf(error, "This policy contains invalid Json: %s (line %d, column %d)", e.text, e.line, e.column);
        return NULL;
    }
    const struct policy_json *tree = convert(root, arena, 1);
    json_decref(root);
    if (!tree)
        buf_addz(error, "This policy contains invalid Json: null, or nested too deeply");
    return tree;
}

const struct policy_json *policy_json_member(const struct policy_json *object, const char *name)
{
    if (!object || object->kind != POLICY_JSON_OBJECT)
        return NULL;
    for (const struct policy_json *n = object->first; n; n = n->next)
        if (str_is(n->name, name))
            return n;
    return NULL;
}
