#include "base/json.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/encode.h"

/* One level of json_parse. Recursion ends at depth_max. */
struct conversion {
    struct arena *arena;
    size_t depth_max;
};

static struct json *convert(json_t *value, const struct conversion *c, size_t depth);

static bool append(struct json *parent, struct json **last, struct str name, json_t *value, const struct conversion *c,
                   size_t depth)
{
    struct json *node = convert(value, c, depth + 1);
    if (!node)
        return false;
    node->name = name;
    if (*last)
        (*last)->next = node;
    else
        parent->first = node;
    *last = node;
    parent->count++;
    return true;
}

static bool convert_list(json_t *value, const struct conversion *c, size_t depth, struct json *out)
{
    struct json *last = NULL;
    size_t i;
    json_t *item;
    out->kind = JSON_IS_LIST;
    json_array_foreach (value, i, item)
        if (!append(out, &last, STR_EMPTY, item, c, depth))
            return false;
    return true;
}

static bool convert_object(json_t *value, const struct conversion *c, size_t depth, struct json *out)
{
    struct json *last = NULL;
    const char *name;
    json_t *item;
    out->kind = JSON_IS_OBJECT;
    json_object_foreach (value, name, item)
        if (!append(out, &last, arena_dup(c->arena, str_z(name)), item, c, depth))
            return false;
    return true;
}

/* As short as it means the same number, so that 1.1 is "1.1" again and not "1.1000000000000001". */
static struct str text_of_real(double value, struct arena *arena)
{
    struct str text = arena_printf(arena, "%.15g", value);
    return strtod(text.ptr, NULL) == value ? text : arena_printf(arena, "%.17g", value);
}

static void convert_scalar(json_t *value, struct arena *arena, struct json *out)
{
    if (json_is_string(value)) {
        out->kind = JSON_IS_TEXT;
        out->text = arena_dup(arena, str_of(json_string_value(value), json_string_length(value)));
    } else if (json_is_integer(value)) {
        out->kind = JSON_IS_NUMBER;
        out->text = arena_printf(arena, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_real(value)) {
        out->kind = JSON_IS_NUMBER;
        out->text = text_of_real(json_real_value(value), arena);
    } else if (json_is_boolean(value)) {
        out->kind = JSON_IS_BOOL;
        out->text = json_is_true(value) ? STR("true") : STR("false");
    }
}

/* NULL: too deep. */
static struct json *convert(json_t *value, const struct conversion *c, size_t depth)
{
    struct json *out = arena_new_of(c->arena, struct json);
    bool ok = depth <= c->depth_max;
    if (ok && json_is_object(value))
        ok = convert_object(value, c, depth, out);
    else if (ok && json_is_array(value))
        ok = convert_list(value, c, depth, out);
    else
        convert_scalar(value, c->arena, out);
    return ok ? out : NULL;
}

static const struct json *refuse(struct buf *error, const char *why)
{
    if (error)
        buf_addz(error, why);
    return NULL;
}

const struct json *json_parse(struct str text, size_t size_max, size_t depth_max, struct arena *arena, struct buf *error)
{
    json_error_t e;
    if (text.len > size_max)
        return refuse(error, "the JSON text is too long");
    json_t *root = json_loadb(text.len ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (!root) {
        if (error)
            buf_addf(error, "not valid JSON: %s (line %d, column %d)", e.text, e.line, e.column);
        return NULL;
    }
    const struct json *tree = convert(root, &(struct conversion){arena, depth_max}, 1);
    json_decref(root);
    return tree ? tree : refuse(error, "the JSON text is nested too deeply");
}

const struct json *json_member(const struct json *object, const char *name)
{
    if (!object || object->kind != JSON_IS_OBJECT)
        return NULL;
    for (const struct json *m = object->first; m; m = m->next)
        if (str_is(m->name, name))
            return m;
    return NULL;
}

static void write_items(const struct json *parent, struct buf *out)
{
    for (const struct json *item = parent->first; item; item = item->next) {
        buf_addz(out, item == parent->first ? "" : ",");
        if (parent->kind == JSON_IS_OBJECT) {
            buf_add_json(out, item->name);
            buf_addc(out, ':');
        }
        json_write(item, out);
    }
}

void json_write(const struct json *value, struct buf *out)
{
    switch (value->kind) {
    case JSON_IS_NULL:
        buf_addz(out, "null");
        break;
    case JSON_IS_BOOL:
    case JSON_IS_NUMBER:
        buf_add(out, value->text);
        break;
    case JSON_IS_TEXT:
        buf_add_json(out, value->text);
        break;
    case JSON_IS_LIST:
    case JSON_IS_OBJECT:
        buf_addc(out, value->kind == JSON_IS_LIST ? '[' : '{');
        write_items(value, out);
        buf_addc(out, value->kind == JSON_IS_LIST ? ']' : '}');
        break;
    }
}
