#include "auth/query.h"

#include "base/encode.h"

/* A view of the decoded bytes, which are appended to *memory. */
static bool decode(struct str raw, struct buf *memory, struct str *out)
{
    size_t start = memory->len;
    if (!uri_decode(raw, true, memory) || memory->failed)
        return false;
    *out = str_from(buf_str(memory), start);
    return true;
}

static bool parse_param(struct str raw, struct buf *memory, struct auth_param *out)
{
    ptrdiff_t equals = str_find_char(raw, '=');
    struct str name = equals < 0 ? raw : str_first(raw, (size_t)equals);
    struct str value = equals < 0 ? STR_EMPTY : str_from(raw, (size_t)equals + 1);
    return decode(name, memory, &out->name) && decode(value, memory, &out->value);
}

static size_t count_params_max(struct str raw)
{
    size_t count = 1;
    for (size_t i = 0; i < raw.len && count < LIMIT_QUERY_PARAMS; i++)
        count += raw.ptr[i] == '&';
    return count;
}

bool auth_query_parse(struct str raw, struct arena *arena, struct auth_query *out)
{
    struct auth_query query = {0};
    struct str rest = raw, token;
    if (raw.len > 0) {
        /* Decoding never lengthens. */
        struct buf memory = buf_over(arena_alloc(arena, raw.len + 1), raw.len + 1);
        query.params = arena_array_of(arena, struct auth_param, count_params_max(raw));
        while (str_split(&rest, '&', &token)) {
            if (token.len == 0)
                continue;
            if (query.count == LIMIT_QUERY_PARAMS || !parse_param(token, &memory, &query.params[query.count]))
                return false;
            query.count++;
        }
    }
    *out = query;
    return true;
}

size_t auth_query_count(const struct auth_query *q, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < q->count; i++)
        count += str_is(q->params[i].name, name);
    return count;
}

struct str auth_query_get(const struct auth_query *q, const char *name)
{
    for (size_t i = 0; i < q->count; i++) {
        if (str_is(q->params[i].name, name))
            return q->params[i].value;
    }
    return STR_EMPTY;
}

void auth_params_sort(struct auth_param *params, size_t count, auth_param_compare_fn compare)
{
    for (size_t sorted = 1; sorted < count; sorted++) {
        struct auth_param taken = params[sorted];
        size_t at = sorted;
        for (; at > 0 && compare(&taken, &params[at - 1]) < 0; at--)
            params[at] = params[at - 1];
        params[at] = taken;
    }
}
