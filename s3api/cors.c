#include "s3api/cors.h"

#include "base/limits.h"
#include "s3api/bucket.h"
#include "s3api/xml.h"

/* Documents ------------------------------------------------------------------------------------------------------ */

/* What a rule's elements are, in the order in which AWS answers them. */
static const struct element {
    const char *name;
    size_t offset;
    bool is_list;
} elements[] = {
    {"ID", offsetof(struct s3_cors_rule, id), false},
    {"AllowedHeader", offsetof(struct s3_cors_rule, headers), true},
    {"AllowedMethod", offsetof(struct s3_cors_rule, methods), true},
    {"AllowedOrigin", offsetof(struct s3_cors_rule, origins), true},
    {"ExposeHeader", offsetof(struct s3_cors_rule, exposed), true},
    {"MaxAgeSeconds", offsetof(struct s3_cors_rule, max_age_s), false},
};

static void *field_of(const struct s3_cors_rule *rule, const struct element *e)
{
    return (char *)(uintptr_t)rule + e->offset;
}

static const struct element *element_of(struct str name)
{
    for (size_t i = 0; i < ARRAY_SIZE(elements); i++)
        if (str_is(name, elements[i].name))
            return &elements[i];
    return NULL;
}

/* False for a second one of what may be there once. */
static bool take_element(struct arena *arena, const struct xml_node *rule_node, const struct element *e, struct str text,
                         struct s3_cors_rule *rule)
{
    if (!e->is_list) {
        struct str *only = field_of(rule, e);
        bool is_first = !only->ptr;
        *only = text.ptr ? text : STR("");
        return is_first;
    }
    struct s3_cors_texts *list = field_of(rule, e);
    if (!list->items)
        list->items = arena_array_of(arena, struct str, xml_child_count(rule_node, e->name));
    list->items[list->count++] = text;
    return true;
}

static bool has_more_than_one_wildcard(struct str s)
{
    return str_find_char(s, '*') != str_rfind_char(s, '*');
}

bool s3_cors_has_method(struct str method)
{
    static const char *const methods[] = {"GET", "PUT", "HEAD", "POST", "DELETE"};
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
        if (str_is(method, methods[i]))
            return true;
    return false;
}

static enum s3_error check_methods(struct s3_op *op, const struct s3_cors_texts *methods)
{
    for (size_t i = 0; i < methods->count; i++)
        if (!s3_cors_has_method(methods->items[i]))
            return s3_fail(op, S3_INVALID_REQUEST,
                           "Found unsupported HTTP method in CORS config. Unsupported method is %.*s",
                           STR_ARG(methods->items[i]));
    return S3_OK;
}

static enum s3_error check_wildcards(struct s3_op *op, const char *element, const struct s3_cors_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        if (has_more_than_one_wildcard(texts->items[i]))
            return s3_fail(op, S3_INVALID_REQUEST, "%s \"%.*s\" can not have more than one wildcard.", element,
                           STR_ARG(texts->items[i]));
    return S3_OK;
}

static enum s3_error check_exposed(struct s3_op *op, const struct s3_cors_texts *exposed)
{
    for (size_t i = 0; i < exposed->count; i++)
        if (str_find_char(exposed->items[i], '*') >= 0)
            return s3_fail(op, S3_INVALID_REQUEST,
                           "ExposeHeader \"%.*s\" contains wildcard. We currently do not support wildcard for "
                           "ExposeHeader.",
                           STR_ARG(exposed->items[i]));
    return S3_OK;
}

static enum s3_error check_rule(struct s3_op *op, const struct s3_cors_rule *rule)
{
    uint64_t age;
    if (rule->methods.count == 0 || rule->origins.count == 0)
        return S3_MALFORMED_XML;
    if (rule->max_age_s.ptr && !str_parse_u64_max(rule->max_age_s, INT32_MAX, &age))
        return S3_MALFORMED_XML;
    if (rule->id.len > LIMIT_CORS_ID_BYTES)
        return s3_fail(op, S3_INVALID_ARGUMENT, "ID length should not exceed allowed limit of %d", LIMIT_CORS_ID_BYTES);
    enum s3_error error = check_methods(op, &rule->methods);
    if (error == S3_OK)
        error = check_wildcards(op, "AllowedOrigin", &rule->origins);
    if (error == S3_OK)
        error = check_wildcards(op, "AllowedHeader", &rule->headers);
    return error == S3_OK ? check_exposed(op, &rule->exposed) : error;
}

static enum s3_error parse_rule(struct s3_op *op, const struct xml_node *node, struct s3_cors_rule *out)
{
    *out = (struct s3_cors_rule){0};
    for (const struct xml_node *n = node->first_child; n; n = n->next) {
        const struct element *e = element_of(n->name);
        if (!e || n->first_child || !take_element(op->arena, node, e, str_trim(n->text), out))
            return S3_MALFORMED_XML;
    }
    return check_rule(op, out);
}

enum s3_error s3_cors_parse(struct s3_op *op, struct str document, struct s3_cors_rules *out)
{
    const struct xml_node *root = xml_parse(document, op->arena);
    size_t count = root ? xml_child_count(root, "CORSRule") : 0;
    if (count == 0 || !str_is(root->name, "CORSConfiguration"))
        return S3_MALFORMED_XML;
    if (count > LIMIT_CORS_RULES)
        return s3_fail(op, S3_INVALID_REQUEST, "The number of CORS rules should not exceed allowed limit of %d rules.",
                       LIMIT_CORS_RULES);
    *out = (struct s3_cors_rules){.items = arena_array_of(op->arena, struct s3_cors_rule, count)};
    for (const struct xml_node *n = root->first_child; n; n = n->next) {
        if (!str_is(n->name, "CORSRule"))
            return S3_MALFORMED_XML;
        enum s3_error error = parse_rule(op, n, &out->items[out->count++]);
        if (error != S3_OK)
            return error;
    }
    return S3_OK;
}

static void write_rule(struct buf *b, const struct s3_cors_rule *rule)
{
    xml_open(b, "CORSRule");
    for (size_t i = 0; i < ARRAY_SIZE(elements); i++) {
        const struct element *e = &elements[i];
        const struct str *only = field_of(rule, e);
        if (!e->is_list && only->ptr)
            xml_text(b, e->name, *only);
        const struct s3_cors_texts *list = field_of(rule, e);
        for (size_t k = 0; e->is_list && k < list->count; k++)
            xml_text(b, e->name, list->items[k]);
    }
    xml_close(b, "CORSRule");
}

void s3_cors_write_xml(struct s3_op *op, const struct s3_cors_rules *rules)
{
    xml_begin(&op->out);
    xml_open_ns(&op->out, "CORSConfiguration");
    for (size_t i = 0; i < rules->count; i++)
        write_rule(&op->out, &rules->items[i]);
    xml_close(&op->out, "CORSConfiguration");
}

/* Matching ------------------------------------------------------------------------------------------------------- */

typedef bool (*equals_fn)(struct str a, struct str b);

/* At most one "*", for any bytes or none. */
static bool fits(struct str pattern, struct str text, equals_fn equals)
{
    ptrdiff_t star = str_find_char(pattern, '*');
    if (star < 0)
        return equals(pattern, text);
    struct str head = str_first(pattern, (size_t)star), tail = str_from(pattern, (size_t)star + 1);
    return text.len >= head.len + tail.len && equals(str_first(text, head.len), head) &&
           equals(str_from(text, text.len - tail.len), tail);
}

static bool any_fits(const struct s3_cors_texts *patterns, struct str text, equals_fn equals)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (fits(patterns->items[i], text, equals))
            return true;
    return false;
}

static bool all_headers_fit(const struct s3_cors_rule *rule, struct str headers)
{
    struct str name;
    if (headers.len == 0)
        return true;
    while (str_split(&headers, ',', &name))
        if (!any_fits(&rule->headers, str_trim(name), str_eq_nocase))
            return false;
    return true;
}

const struct s3_cors_rule *s3_cors_match(const struct s3_cors_rules *rules, struct str origin, struct str method,
                                         struct str headers)
{
    for (size_t i = 0; i < rules->count; i++) {
        const struct s3_cors_rule *rule = &rules->items[i];
        if (any_fits(&rule->origins, origin, str_eq) && any_fits(&rule->methods, method, str_eq) &&
            all_headers_fit(rule, headers))
            return rule;
    }
    return NULL;
}

/* A request ------------------------------------------------------------------------------------------------------ */

static enum s3_cors_verdict judge(struct s3_op *op, struct s3_cors *cors)
{
    struct s3_cors_rules rules;
    CLEANUP(buf_done) struct buf document = buf_make(LIMIT_CORS_BYTES);
    enum s3_error error = s3_bucket_config_peek(op, op->req.bucket, S3_CORS_CONFIG, &document);
    if (error == S3_NO_SUCH_BUCKET)
        return S3_CORS_NO_BUCKET;
    if (error != S3_OK || document.len == 0 || s3_cors_parse(op, buf_str(&document), &rules) != S3_OK)
        return S3_CORS_OFF;
    struct str method = s3_header(&op->req, "access-control-request-method");
    cors->rule = s3_cors_match(&rules, s3_header(&op->req, "origin"), method.ptr ? method : op->in.head->method,
                               s3_header(&op->req, "access-control-request-headers"));
    return cors->rule ? S3_CORS_ALLOWED : S3_CORS_REFUSED;
}

void s3_cors_look(struct s3_op *op)
{
    if (!s3_header(&op->req, "origin").ptr)
        return;
    op->cors.verdict = judge(op, &op->cors);
    op->detail = (struct s3_error_detail){0};
    op->error_cause = NULL;
}

static void reply_list(struct s3_op *op, const char *header, const struct s3_cors_texts *texts)
{
    CLEANUP(buf_done) struct buf all = buf_make(2 * LIMIT_CORS_BYTES);
    for (size_t i = 0; i < texts->count; i++)
        buf_addf(&all, "%s%.*s", i ? ", " : "", STR_ARG(texts->items[i]));
    if (all.len > 0)
        s3_reply_header(op, header, buf_str(&all));
}

/* All that was asked for, since the rule allows all of it. */
static void reply_asked_headers(struct s3_op *op, struct str asked)
{
    struct str name;
    CLEANUP(buf_done) struct buf all = buf_make(2 * LIMIT_HEAD_BYTES);
    while (asked.len > 0 && str_split(&asked, ',', &name))
        buf_addf(&all, "%s%.*s", all.len ? ", " : "", STR_ARG(str_trim(name)));
    for (size_t i = 0; i < all.len; i++)
        if (all.ptr[i] >= 'A' && all.ptr[i] <= 'Z')
            all.ptr[i] = (char)(all.ptr[i] - 'A' + 'a');
    if (all.len > 0)
        s3_reply_header(op, "Access-Control-Allow-Headers", buf_str(&all));
}

static bool allows_every_origin(const struct s3_cors_rule *rule)
{
    for (size_t i = 0; i < rule->origins.count; i++)
        if (str_is(rule->origins.items[i], "*"))
            return true;
    return false;
}

/* Credentials go with an origin that a rule names, never with all of them (SEC-59). */
void s3_cors_reply_headers(struct s3_op *op)
{
    const struct s3_cors_rule *rule = op->cors.rule;
    if (!rule)
        return;
    bool is_public = allows_every_origin(rule);
    s3_reply_header(op, "Access-Control-Allow-Origin", is_public ? STR("*") : s3_header(&op->req, "origin"));
    reply_list(op, "Access-Control-Allow-Methods", &rule->methods);
    reply_asked_headers(op, s3_header(&op->req, "access-control-request-headers"));
    reply_list(op, "Access-Control-Expose-Headers", &rule->exposed);
    if (rule->max_age_s.ptr)
        s3_reply_header(op, "Access-Control-Max-Age", rule->max_age_s);
    if (!is_public)
        s3_reply_header(op, "Access-Control-Allow-Credentials", STR("true"));
    s3_reply_header(op, "Vary", STR("Origin, Access-Control-Request-Headers, Access-Control-Request-Method"));
}
