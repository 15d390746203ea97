#include "auth/session.h"

#include <string.h>

#include "auth/identity_internal.h"
#include "auth/roles.h"
#include "base/check.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/random.h"
#include "base/secretbox.h"

#define CONTEXT STR("sluice session 1")
#define ACCESS_KEY_RANDOM 18
#define SECRET_SIZE 40
#define DEPTH_MAX 4

/* Issuing */

static void add_member(struct buf *b, const char *name, struct str value)
{
    buf_addf(b, "%s\"%s\":", b->len > 1 ? "," : "", name);
    buf_add_json(b, value);
}

static struct str seal(const struct auth_snapshot *s, const struct auth_session_spec *spec, const struct auth_credentials *c,
                       struct arena *arena)
{
    struct buf plain = buf_make(LIMIT_SESSION_TOKEN_BYTES), sealed = buf_make(LIMIT_SESSION_TOKEN_BYTES);
    struct buf text = buf_make(2 * LIMIT_SESSION_TOKEN_BYTES);
    buf_addc(&plain, '{');
    add_member(&plain, "key", c->access_key);
    add_member(&plain, "secret", c->secret);
    add_member(&plain, "user", spec->user->id);
    add_member(&plain, "parent", spec->parent_key);
    add_member(&plain, "role", spec->role);
    add_member(&plain, "name", spec->name);
    add_member(&plain, "policy", spec->policy);
    buf_addf(&plain, ",\"issued\":%lld,\"expires\":%lld}", (long long)spec->issued_s, (long long)spec->expires_s);
    secretbox_seal(auth_snapshot_session_key(s), CONTEXT, buf_str(&plain), &sealed);
    buf_add_base64(&text, sealed.ptr, sealed.len);
    CHECK(!plain.failed && !sealed.failed && !text.failed); /* each part has its limit */
    struct str token = arena_dup(arena, buf_str(&text));
    secure_zero(plain.ptr, plain.len);
    buf_done(&plain);
    buf_done(&sealed);
    buf_done(&text);
    return token;
}

void auth_session_issue(const struct auth_snapshot *s, const struct auth_session_spec *spec, struct arena *arena,
                        struct auth_credentials *out)
{
    static const char upper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    static const char any[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char access_key[2 + ACCESS_KEY_RANDOM] = "ST", secret[SECRET_SIZE];
    random_text(access_key + 2, ACCESS_KEY_RANDOM, upper);
    random_text(secret, sizeof(secret), any);
    out->access_key = arena_dup(arena, str_of(access_key, sizeof(access_key)));
    out->secret = arena_dup(arena, str_of(secret, sizeof(secret)));
    secure_zero(secret, sizeof(secret));
    out->token = seal(s, spec, out, arena);
}

/* Opening */

static struct str text_of(const struct json *object, const char *name)
{
    const struct json *n = json_member(object, name);
    return n && n->kind == JSON_IS_TEXT ? n->text : STR_EMPTY;
}

static void forget(void *data)
{
    struct auth_session *session = data;
    secure_zero((char *)(uintptr_t)session->key.secret.ptr, session->key.secret.len);
    for (size_t i = 0; i < session->policy_count; i++)
        auth_policy_unref(session->policies[i]);
}

/* Of a token that was opened: ours, every byte. Whoever it speaks for must still be there. */
static bool take_policies(const struct auth_snapshot *s, struct str text, struct auth_session *session)
{
    struct buf CLEANUP(buf_done) error = buf_make(LIMIT_TARGET_BYTES);
    if (session->role.len > 0) {
        const struct auth_role *role = auth_roles_find(auth_snapshot_roles(s), session->role);
        if (!role || !str_eq(role->user, session->key.user->name))
            return false;
        if (role->policy)
            session->policies[session->policy_count++] = auth_policy_ref(role->policy);
    }
    if (text.len == 0)
        return true;
    if (auth_policy_read(AUTH_POLICY_IDENTITY, text, STR_EMPTY, &session->policies[session->policy_count], &error) < 0)
        return false;
    session->policy_count++;
    return true;
}

static bool is_parent_good(const struct auth_snapshot *s, struct str parent)
{
    const struct auth_key *key = parent.len > 0 ? auth_snapshot_find(s, parent) : NULL;
    return parent.len == 0 || (key && key->enabled);
}

static enum auth_error read_session(const struct auth_snapshot *s, struct str plain, int64_t now_s, struct arena *arena,
                                    struct auth_session **out)
{
    const struct json *root = json_parse(plain, LIMIT_SESSION_TOKEN_BYTES, DEPTH_MAX, arena, NULL);
    const struct json *expires = json_member(root, "expires"), *issued = json_member(root, "issued");
    uint64_t expires_s, issued_s;
    if (!expires || !str_parse_u64_max(expires->text, INT64_MAX, &expires_s))
        return AUTH_TOKEN_INVALID;
    if (!issued || !str_parse_u64_max(issued->text, INT64_MAX / 1000000000, &issued_s))
        issued_s = 0;
    if (now_s >= (int64_t)expires_s)
        return AUTH_TOKEN_EXPIRED;
    struct auth_session *session = arena_new_of(arena, struct auth_session);
    *session = (struct auth_session){
        .key = {.access_key = text_of(root, "key"),
                .secret = text_of(root, "secret"),
                .enabled = true,
                .user = auth_snapshot_user_by_id(s, text_of(root, "user"))},
        .name = text_of(root, "name"),
        .role = text_of(root, "role"),
        .issued_s = (int64_t)issued_s,
        .expires_s = (int64_t)expires_s,
    };
    arena_on_free(arena, forget, session);
    bool is_good = session->key.user && session->key.access_key.len > 0 && session->key.secret.len > 0 && is_parent_good(s, text_of(root, "parent")) &&
                   take_policies(s, text_of(root, "policy"), session);
    if (!is_good)
        return AUTH_TOKEN_INVALID;
    *out = session;
    return AUTH_OK;
}

enum auth_error auth_session_open(const struct auth_snapshot *s, struct str token, int64_t now_s, struct arena *arena,
                                  struct auth_session **out)
{
    size_t size;
    if (token.len == 0 || token.len > 2 * LIMIT_SESSION_TOKEN_BYTES)
        return AUTH_TOKEN_INVALID;
    char *sealed = arena_alloc(arena, token.len);
    struct buf plain = buf_make(LIMIT_SESSION_TOKEN_BYTES);
    enum auth_error error = AUTH_TOKEN_INVALID;
    if (base64_decode(token, sealed, token.len, &size) &&
        secretbox_open(auth_snapshot_session_key(s), CONTEXT, str_of(sealed, size), &plain) == 0)
        error = read_session(s, buf_str(&plain), now_s, arena, out);
    if (plain.ptr)
        secure_zero(plain.ptr, plain.len);
    buf_done(&plain);
    return error;
}

bool auth_session_allows(const struct auth_session *session, const struct auth_policy_request *r)
{
    for (size_t i = 0; session && i < session->policy_count; i++)
        if (auth_policy_evaluate(session->policies[i], r) != AUTH_ALLOW)
            return false;
    return true;
}
