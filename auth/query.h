/* The query string as signatures see it: decoded once, in the order received. '+' counts as a blank, as S3 itself and
 * every form decoder read it (a plus sign is sent as %2B); so a raw '+' is signed as %20. Thread: any; memory is the
 * arena's. */
#ifndef AUTH_QUERY_H
#define AUTH_QUERY_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/limits.h"
#include "base/str.h"

struct auth_param {
    struct str name, value;
};

struct auth_query {
    struct auth_param *params;
    size_t count;
};

/* False for a bad percent escape or more than LIMIT_QUERY_PARAMS parameters. "name" is "name=", empty ones are dropped.
 */
MUST_USE bool auth_query_parse(struct str raw, struct arena *arena, struct auth_query *out);
size_t auth_query_count(const struct auth_query *q, const char *name);
/* The first value of that name; ptr NULL when absent. */
struct str auth_query_get(const struct auth_query *q, const char *name);

typedef int (*auth_param_compare_fn)(const struct auth_param *a, const struct auth_param *b);
/* Stable and without memory of its own; for as many as a head can hold. */
void auth_params_sort(struct auth_param *params, size_t count, auth_param_compare_fn compare);

#endif
