#include "auth/roles.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/limits.h"

#define DEPTH_MAX 24

struct auth_roles {
    atomic_size_t refs;
    struct arena *arena;
    struct auth_issuer *issuers;
    size_t issuer_count;
    struct auth_role *first, **end;
};

/* One parsing; the first failure stays. */
struct reader {
    struct auth_roles *roles;
    struct buf *error;
    bool failed;
};

static void complain(struct reader *r, const char *what, struct str value)
{
    if (!r->failed)
        buf_addf(r->error, "%s: '%.*s'", what, STR_ARG(value));
    r->failed = true;
}

static void check_members(struct reader *r, const struct json *object, const char *const *known, size_t count)
{
    for (const struct json *n = object->first; n; n = n->next) {
        bool is_known = false;
        for (size_t i = 0; i < count; i++)
            is_known = is_known || str_is(n->name, known[i]);
        if (!is_known)
            complain(r, "there is no such setting", n->name);
    }
}

static struct str text(struct reader *r, const struct json *object, const char *name, bool is_required)
{
    const struct json *n = json_member(object, name);
    if (n && n->kind == JSON_IS_TEXT && n->text.len > 0)
        return arena_dup(r->roles->arena, n->text);
    if (n || is_required)
        complain(r, "a text is missing", str_z(name));
    return STR_EMPTY;
}

/* The list of that name, NULL when absent or wrong. */
static const struct json *list(struct reader *r, const struct json *object, const char *name, enum json_kind kind)
{
    const struct json *n = json_member(object, name);
    for (const struct json *item = n ? n->first : NULL; item; item = item->next)
        if (item->kind != kind)
            complain(r, "an element of this list is of the wrong kind", str_z(name));
    if (n && n->kind == JSON_IS_LIST)
        return n;
    complain(r, "a list is missing", str_z(name));
    return NULL;
}

static void read_issuer(struct reader *r, const struct json *object, struct auth_issuer *out)
{
    static const char *const known[] = {"url", "audiences", "jwks_uri", "ca", "insecure_http"};
    check_members(r, object, known, ARRAY_SIZE(known));
    const struct json *insecure = json_member(object, "insecure_http");
    *out = (struct auth_issuer){
        .url = text(r, object, "url", true),
        .jwks_uri = text(r, object, "jwks_uri", false),
        .ca = text(r, object, "ca", false),
        .insecure_http = insecure && insecure->kind == JSON_IS_BOOL && str_is(insecure->text, "true"),
    };
    bool is_allowed = str_starts(out->url, STR("https://")) || (out->insecure_http && str_starts(out->url, STR("http://")));
    if (!is_allowed)
        complain(r, "an issuer's url must begin with https://", out->url);
    const struct json *audiences = list(r, object, "audiences", JSON_IS_TEXT);
    if (!audiences || audiences->count == 0) {
        complain(r, "an issuer needs at least one audience", out->url);
        return;
    }
    struct str *values = arena_array_of(r->roles->arena, struct str, audiences->count);
    for (const struct json *n = audiences->first; n; n = n->next)
        values[out->audience_count++] = arena_dup(r->roles->arena, n->text);
    out->audiences = values;
}

static void read_claims(struct reader *r, const struct json *object, struct auth_trust *out)
{
    if (!object)
        return;
    if (object->kind != JSON_IS_OBJECT) {
        complain(r, "an object is missing", STR("claims"));
        return;
    }
    struct auth_claim *claims = arena_array_of(r->roles->arena, struct auth_claim, object->count);
    for (const struct json *n = object->first; n; n = n->next) {
        if (n->kind != JSON_IS_TEXT)
            complain(r, "a claim's pattern must be a text", n->name);
        claims[out->claim_count++] =
            (struct auth_claim){arena_dup(r->roles->arena, n->name), arena_dup(r->roles->arena, n->text)};
    }
    out->claims = claims;
}

static void read_trust(struct reader *r, const struct json *object, struct auth_trust *out)
{
    static const char *const known[] = {"user", "issuer", "claims"};
    check_members(r, object, known, ARRAY_SIZE(known));
    struct str issuer = text(r, object, "issuer", false);
    *out = (struct auth_trust){.user = text(r, object, "user", false)};
    if ((issuer.len > 0) == (out->user.len > 0))
        complain(r, "a trust is in a user or in an issuer", STR("trust"));
    if (issuer.len == 0)
        return;
    out->issuer = auth_roles_issuer(r->roles, issuer);
    if (!out->issuer)
        complain(r, "there is no such issuer", issuer);
    read_claims(r, json_member(object, "claims"), out);
}

static struct auth_policy *read_policy(struct reader *r, const struct json *value)
{
    struct auth_policy *policy = NULL;
    struct buf CLEANUP(buf_done) document = buf_make(2 * LIMIT_POLICY_BYTES);
    if (!value)
        return NULL;
    json_write(value, &document);
    if (auth_policy_parse(AUTH_POLICY_IDENTITY, buf_str(&document), STR_EMPTY, &policy, r->error) < 0)
        r->failed = true;
    return policy;
}

static bool is_role_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.ptr[i] >= 'a' && s.ptr[i] <= 'z') || (s.ptr[i] >= 'A' && s.ptr[i] <= 'Z') ||
              (s.ptr[i] >= '0' && s.ptr[i] <= '9') || str_find_char(STR("+=,.@-_"), s.ptr[i]) >= 0))
            return false;
    return s.len > 0 && s.len <= 64;
}

static void read_role(struct reader *r, const struct json *object)
{
    static const char *const known[] = {"name", "user", "policy", "max_session", "trust"};
    struct auth_role *role = arena_new_of(r->roles->arena, struct auth_role);
    *r->roles->end = role;
    r->roles->end = &role->next;
    check_members(r, object, known, ARRAY_SIZE(known));
    role->max_session_s = LIMIT_SESSION_S_DEFAULT;
    role->policy = read_policy(r, json_member(object, "policy"));
    role->user = text(r, object, "user", true);
    struct str name = text(r, object, "name", true);
    if (!is_role_name(name) || auth_roles_find(r->roles, name))
        complain(r, "a role's name must be its own, of letters, digits and +=,.@-_", name);
    role->name = name;
    const struct json *max = json_member(object, "max_session");
    if (max && (max->kind != JSON_IS_NUMBER || !str_parse_u64_max(max->text, LIMIT_SESSION_S_MAX, &role->max_session_s) ||
                role->max_session_s < LIMIT_SESSION_S_MIN))
        complain(r, "max_session must be 900 to 43200 seconds", name);
    const struct json *trusts = list(r, object, "trust", JSON_IS_OBJECT);
    struct auth_trust *values = arena_array_of(r->roles->arena, struct auth_trust, trusts ? trusts->count : 0);
    for (const struct json *n = trusts ? trusts->first : NULL; n && !r->failed; n = n->next)
        read_trust(r, n, &values[role->trust_count++]);
    role->trusts = values;
}

static void read_all(struct reader *r, const struct json *root)
{
    static const char *const known[] = {"issuers", "roles"};
    check_members(r, root, known, ARRAY_SIZE(known));
    const struct json *issuers = json_member(root, "issuers") ? list(r, root, "issuers", JSON_IS_OBJECT) : NULL;
    const struct json *roles = list(r, root, "roles", JSON_IS_OBJECT);
    r->roles->issuers = arena_array_of(r->roles->arena, struct auth_issuer, issuers ? issuers->count : 0);
    for (const struct json *n = issuers ? issuers->first : NULL; n && !r->failed; n = n->next)
        read_issuer(r, n, &r->roles->issuers[r->roles->issuer_count++]);
    for (const struct json *n = roles ? roles->first : NULL; n && !r->failed; n = n->next)
        read_role(r, n);
}

int auth_roles_parse(struct str json, struct auth_roles **out, struct buf *error)
{
    struct auth_roles *roles = calloc(1, sizeof(*roles));
    CHECK(roles != NULL); /* out of memory */
    atomic_init(&roles->refs, 1);
    roles->arena = arena_new();
    roles->end = &roles->first;
    struct arena *scratch CLEANUP(arena_freep) = arena_new();
    const struct json *root = json_parse(json, LIMIT_ROLES_BYTES, DEPTH_MAX, scratch, error);
    struct reader r = {.roles = roles, .error = error, .failed = !root};
    if (root && root->kind == JSON_IS_OBJECT)
        read_all(&r, root);
    else if (root)
        complain(&r, "an object is wanted", STR("{…}"));
    if (r.failed) {
        auth_roles_unref(roles);
        return -EINVAL;
    }
    *out = roles;
    return 0;
}

struct auth_roles *auth_roles_ref(struct auth_roles *r)
{
    if (r)
        atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void auth_roles_unref(struct auth_roles *r)
{
    if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (struct auth_role *role = r->first; role; role = role->next)
        if (role->policy)
            auth_policy_unref(role->policy);
    arena_free(r->arena);
    free(r);
}

const struct auth_role *auth_roles_first(const struct auth_roles *r)
{
    return r ? r->first : NULL;
}

const struct auth_role *auth_roles_find(const struct auth_roles *r, struct str name)
{
    for (const struct auth_role *role = auth_roles_first(r); role; role = role->next)
        if (str_eq(role->name, name))
            return role;
    return NULL;
}

const struct auth_issuer *auth_roles_issuer(const struct auth_roles *r, struct str url)
{
    for (size_t i = 0; r && i < r->issuer_count; i++)
        if (str_eq(r->issuers[i].url, url))
            return &r->issuers[i];
    return NULL;
}

struct str auth_role_id(struct str name, struct arena *arena)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", prefix[] = "AROA";
    char id[21]; /* as long as AWS's */
    uint8_t digest[DIGEST_SIZE_MAX];
    digest_bytes(DIGEST_SHA256, name, digest);
    memcpy(id, prefix, sizeof(prefix) - 1);
    for (size_t i = sizeof(prefix) - 1; i < sizeof(id); i++)
        id[i] = letters[digest[i] % 32];
    return arena_dup(arena, str_of(id, sizeof(id)));
}

bool auth_role_trusts_user(const struct auth_role *role, struct str user)
{
    for (size_t i = 0; i < role->trust_count; i++)
        if (role->trusts[i].user.len > 0 && str_eq(role->trusts[i].user, user))
            return true;
    return false;
}

static bool claims_fit(const struct auth_trust *trust, const struct jwt *token)
{
    for (size_t i = 0; i < trust->claim_count; i++)
        if (!jwt_claim_fits(token, trust->claims[i].name.ptr, trust->claims[i].pattern))
            return false;
    return true;
}

bool auth_role_trusts_token(const struct auth_role *role, const struct auth_issuer *issuer, const struct jwt *token)
{
    for (size_t i = 0; i < role->trust_count; i++)
        if (role->trusts[i].issuer == issuer && claims_fit(&role->trusts[i], token))
            return true;
    return false;
}
