/* Tokens: web tokens against key sets, sealed sessions (whole, and what could be sealed in one), roles files. Nothing that was not
 * signed is believed. */
#include "tests/fuzz/fuzz.h"

#include "auth/identity_internal.h"
#include "auth/jwt.h"
#include "auth/roles.h"
#include "auth/session.h"
#include "auth/store.h"
#include "base/encode.h"

static const char key_set[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY\",\"y\":"
                              "\"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU\"}]}";

static void check_web_token(struct str text, struct arena *arena)
{
    struct jwt token;
    const struct json *ours = json_parse(str_z(key_set), LIMIT_OIDC_BYTES, 8, arena, NULL);
    if (jwt_parse(text, arena, &token)) {
        CHECK(!jwt_verify(&token, ours, arena));
        (void)jwt_claim_fits(&token, "sub", STR("a*b*"));
    }
    const struct json *foreign = json_parse(text, LIMIT_OIDC_BYTES, 8, arena, NULL);
    if (foreign && jwt_parse(STR("eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.AAAA"), arena, &token))
        CHECK(!jwt_verify(&token, foreign, arena));
}

static void check_session(struct str text, struct arena *arena)
{
    static struct auth_snapshot *identities;
    struct auth_session *session;
    struct buf sealed = buf_make(LIMIT_SESSION_TOKEN_BYTES), token = buf_make(2 * LIMIT_SESSION_TOKEN_BYTES);
    if (!identities)
        identities = auth_snapshot_with_root(NULL, STR("AKIAIOSFODNN7EXAMPLE"), STR("a-secret-nobody-has-signed-with"));
    CHECK(auth_session_open(identities, text, 0, arena, &session) != AUTH_OK);
    secretbox_seal(auth_snapshot_session_key(identities), STR("sluice session 1"), text, &sealed);
    buf_add_base64(&token, sealed.ptr, sealed.len);
    if (!sealed.failed && !token.failed && auth_session_open(identities, buf_str(&token), 0, arena, &session) == AUTH_OK)
        CHECK(session->key.user != NULL);
    buf_done(&sealed);
    buf_done(&token);
}

static void check_roles(struct str text)
{
    struct auth_roles *roles = NULL;
    struct buf error = buf_make(LIMIT_ROLES_BYTES);
    if (auth_roles_parse(text, &roles, &error) == 0)
        auth_roles_unref(roles);
    else
        CHECK(error.len > 0);
    buf_done(&error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new();
    struct str text = fuzz_str(data, size);
    check_web_token(text, arena);
    check_session(text, arena);
    check_roles(text);
    arena_free(arena);
    return 0;
}
