/* The only file that knows the JSON library: a document as a small tree in an arena. Strict: no duplicate keys, no NUL, nothing
 * behind the value, bounded depth and size. Thread: any. */
#ifndef AUTH_POLICY_JSON_H
#define AUTH_POLICY_JSON_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"

enum policy_json_kind {
    POLICY_JSON_TEXT,   /* strings */
    POLICY_JSON_SCALAR, /* numbers and booleans, as text */
    POLICY_JSON_LIST,
    POLICY_JSON_OBJECT
};

struct policy_json {
    enum policy_json_kind kind;
    struct str name; /* of an object's member */
    struct str text;
    const struct policy_json *first; /* of a list or an object */
    const struct policy_json *next;
    size_t count; /* elements */
};

/* NULL with a line in *error. */
const struct policy_json *policy_json_parse(struct str json, struct arena *arena, struct buf *error);
/* NULL when absent. */
const struct policy_json *policy_json_member(const struct policy_json *object, const char *name);

#endif
