#include "s3api/route.h"

enum s3_level s3_request_level(const struct s3_request *r)
{
    if (r->bucket.len == 0)
        return S3_LEVEL_SERVICE;
    return r->key.len == 0 ? S3_LEVEL_BUCKET : S3_LEVEL_OBJECT;
}

static bool has_row(enum s3_level level, const char *sub_resource)
{
    for (size_t i = 0; i < s3_op_row_count; i++) {
        const struct s3_op_row *row = &s3_op_rows[i];
        if (row->level == level && row->query && strcmp(row->query, sub_resource) == 0)
            return true;
    }
    return false;
}

static bool has_row_for_method(enum s3_level level, struct str method, const char *sub_resource)
{
    for (size_t i = 0; i < s3_op_row_count; i++) {
        const struct s3_op_row *row = &s3_op_rows[i];
        if (row->level == level && row->query && strcmp(row->query, sub_resource) == 0 && str_is(method, row->method))
            return true;
    }
    return false;
}

/* The sub-resources of that level which the request names: the first, and another one if there is. */
static void find_sub_resources(const struct s3_request *r, enum s3_level level, struct s3_route *out)
{
    for (size_t i = 0; i < s3_op_row_count; i++) {
        const struct s3_op_row *row = &s3_op_rows[i];
        if (row->level != level || !row->query || !s3_has_param(r, row->query))
            continue;
        if (!out->sub_resource)
            out->sub_resource = row->query;
        else if (strcmp(out->sub_resource, row->query) != 0)
            out->sub_resource2 = row->query;
    }
}

/* How well the row fits, -1 when it does not: a sub-resource counts more than a second one, that more than a header. */
static int fitness(const struct s3_op_row *row, const struct s3_request *r, enum s3_level level)
{
    if (row->level != level || (row->query && !s3_has_param(r, row->query)))
        return -1;
    if (!str_is(r->head->method, row->method))
        return -1;
    if (row->query2 && !s3_has_param(r, row->query2))
        return -1;
    if (row->header && !http_find(r->head, row->header))
        return -1;
    return (row->query ? 4 : 0) + (row->query2 ? 2 : 0) + (row->header ? 1 : 0);
}

static const struct s3_op_row *best_row(const struct s3_request *r, enum s3_level level)
{
    const struct s3_op_row *best = NULL;
    int best_fitness = -1;
    for (size_t i = 0; i < s3_op_row_count; i++) {
        int f = fitness(&s3_op_rows[i], r, level);
        if (f > best_fitness) {
            best = &s3_op_rows[i];
            best_fitness = f;
        }
    }
    return best;
}

/* A name that belongs to the other one of buckets and objects. */
static enum s3_route_verdict check_level(const struct s3_request *r, enum s3_level level, struct s3_route *out)
{
    enum s3_level other = level == S3_LEVEL_BUCKET ? S3_LEVEL_OBJECT : S3_LEVEL_BUCKET;
    for (size_t i = 0; i < r->param_count; i++) {
        const char *name = NULL;
        for (size_t j = 0; j < s3_op_row_count && !name; j++) {
            const struct s3_op_row *row = &s3_op_rows[j];
            if (row->level == other && row->query && str_is(r->params[i].name, row->query))
                name = row->query;
        }
        /* list-type is a parameter of listings that happens to choose a row, and says nothing elsewhere. */
        if (!name || strcmp(name, "list-type") == 0 || has_row_for_method(level, r->head->method, name))
            continue;
        bool known_here = has_row(level, name);
        if (known_here && !has_row_for_method(other, r->head->method, name))
            continue;
        out->sub_resource = name;
        if (level == S3_LEVEL_BUCKET)
            return S3_ROUTE_KEY_MISSING;
        return known_here ? S3_ROUTE_KEY_UNWANTED : S3_ROUTE_NOT_FOR_KEY;
    }
    return S3_ROUTE_FOUND;
}

/* The best row does not use the sub-resource that is there: the method, or a second parameter, does not fit. */
static enum s3_route_verdict sub_resource_unused(const struct s3_request *r, enum s3_level level, struct s3_route *out)
{
    for (size_t i = 0; i < s3_op_row_count; i++) {
        const struct s3_op_row *row = &s3_op_rows[i];
        bool is_candidate = row->level == level && row->query && row->query2 && str_is(r->head->method, row->method);
        if (is_candidate && strcmp(row->query, out->sub_resource) == 0) {
            out->sub_resource2 = row->query2;
            return S3_ROUTE_PARAM_MISSING;
        }
    }
    return S3_ROUTE_METHOD;
}

/* A part number without its upload must not become an object. */
static bool lacks_first_param(const struct s3_request *r, enum s3_level level, struct s3_route *out)
{
    for (size_t i = 0; i < s3_op_row_count; i++) {
        const struct s3_op_row *row = &s3_op_rows[i];
        if (row->level != level || !(row->flags & S3_OP_WRITE) || !row->query2 || !str_is(r->head->method, row->method))
            continue;
        if (s3_has_param(r, row->query2) && !s3_has_param(r, row->query)) {
            out->sub_resource = row->query2;
            out->sub_resource2 = row->query;
            return true;
        }
    }
    return false;
}

static enum s3_route_verdict check_params(const struct s3_request *r, enum s3_level level, const struct s3_op_row *best,
                                          struct s3_route *out)
{
    if (level != S3_LEVEL_SERVICE) {
        enum s3_route_verdict verdict = check_level(r, level, out);
        if (verdict != S3_ROUTE_FOUND)
            return verdict;
    }
    find_sub_resources(r, level, out);
    if (out->sub_resource2)
        return S3_ROUTE_CONFLICT;
    if (!best)
        return S3_ROUTE_METHOD;
    if (out->sub_resource && !best->query)
        return sub_resource_unused(r, level, out);
    return !best->query && lacks_first_param(r, level, out) ? S3_ROUTE_PARAM_MISSING : S3_ROUTE_FOUND;
}

enum s3_route_verdict s3_route(const struct s3_request *r, struct s3_route *out)
{
    *out = (struct s3_route){0};
    enum s3_level level = s3_request_level(r);
    const struct s3_op_row *best = best_row(r, level);
    /* A preflight asks about another request, whatever that one names. */
    if (best && str_is(r->head->method, "OPTIONS")) {
        out->row = best;
        return S3_ROUTE_FOUND;
    }
    enum s3_route_verdict verdict = r->param_count > 0 ? check_params(r, level, best, out) : S3_ROUTE_FOUND;
    if (verdict == S3_ROUTE_FOUND && !best)
        verdict = S3_ROUTE_METHOD;
    if (verdict == S3_ROUTE_FOUND)
        out->row = best;
    return verdict;
}

void s3_route_methods(const struct s3_request *r, struct buf *out)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "POST", "DELETE"};
    struct s3_route route = {0};
    enum s3_level level = s3_request_level(r);
    find_sub_resources(r, level, &route);
    for (size_t m = 0; m < ARRAY_SIZE(methods); m++) {
        bool found = false;
        for (size_t i = 0; i < s3_op_row_count && !found; i++) {
            const struct s3_op_row *row = &s3_op_rows[i];
            bool same_resource =
                route.sub_resource ? row->query && strcmp(row->query, route.sub_resource) == 0 : !row->query;
            found = row->level == level && same_resource && strcmp(row->method, methods[m]) == 0;
        }
        if (found)
            buf_addf(out, "%s%s", out->len > 0 ? ", " : "", methods[m]);
    }
}
