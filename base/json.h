/* JSON text (RFC 8259) as a tree of plain values, and back. The one owner of libjansson. Thread: any. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/compiler.h"
#include "base/str.h"

enum json_kind { JSON_IS_NULL, JSON_IS_BOOL, JSON_IS_NUMBER, JSON_IS_TEXT, JSON_IS_LIST, JSON_IS_OBJECT };

struct json {
    enum json_kind kind;
    struct str name; /* of an object's member */
    struct str text; /* of a text its bytes, of a number its digits, of a bool "true" or "false" */
    const struct json *first; /* of a list or an object, in the order of the text */
    const struct json *next;
    size_t count;
};

/* One value and nothing behind it, of at most size_max bytes, nested at most depth_max deep; names of members are unique, no
 * text holds a NUL.
 * The tree lives in the arena. NULL otherwise, and a line for people in *error (may be NULL). */
const struct json *json_parse(struct str text, size_t size_max, size_t depth_max, struct arena *arena, struct buf *error);
/* NULL when `object` is NULL, no object, or has no member of that name. */
const struct json *json_member(const struct json *object, const char *name);
/* Appends the value as text, without white space. */
void json_write(const struct json *value, struct buf *out);

#endif
