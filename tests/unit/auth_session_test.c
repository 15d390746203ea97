#include "tests/support/unit.h"

#include "auth/identity_internal.h"
#include "auth/roles.h"
#include "auth/session.h"
#include "base/clock.h"
#include "base/encode.h"

/* Tokens of others and our own: what is believed, and what is not. */

/* Made with OpenSSL's command by tests/e2e/oidc.py; the private keys are gone. */
/* clang-format off */
#define KEY_SET \
    "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"},{\"kty\":\"RSA\",\"kid\":\"rsa\",\"use\":\"sig\",\"alg\":\"" \
    "RS256\",\"n\":\"sblI0ABn3sqNyu3mk0V4RQ2XIgtj-IzJ1T3Wa4wcysJqkOD_ZmQprts6ncvapcpsp0jPO7hTmt1Nr47SYaSm" \
    "PqSDQi0xS5-PMPwc6UhEZJqXRitIPvHms6Hw0qy86y4rv49WIMGoDxi98-HAFuZlRwJLXrm5j-DDxL9nnyDDYYpatpaKEx5MNPZs" \
    "wxv8C9UvxlpZQbzOCFB9Vmrgrtw70LzKtP12ilYymq3z7CsVngNsmGzk2JyrFfPEAsm0N7uz6keKSFL9ZdM04XWgpGJ_I9wPeMZw" \
    "LuggtWoZ_cfnnr-um6Qdo9Gvq29YPgRMhYOpX1gMj7ShSBpMv61aVMecxw\",\"e\":\"AQAB\"},{\"kty\":\"EC\",\"crv\"" \
    ":\"P-256\",\"kid\":\"ec\",\"x\":\"X81ITsJ7IvsXluT0alSfuabaA4BW-fTIWj4bELmIKng\",\"y\":\"sWQQCbC2PQZy" \
    "v_M93vQC3qmHUg1_99zciQM-dkBiwkg\"}]}"
#define RS256_TOKEN \
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlLm9yZyIsImF1ZCI6WyJ4Iiwic2x" \
    "1aWNlIl0sInN1YiI6Im1lIiwiZXhwIjo0MTAyNDQ0ODAwLCJuYmYiOjEwMDAuNSwiZ3JvdXBzIjpbImEiLCJiIl19.VnLMrzQ5z7" \
    "w3I9wALo_C5Cj5fWOY-H_KnQihl9aKsykr71H51OyGzo17dbYMm55LEY-AdjoX9GUsaWTZheXZANBYSEr63ADVRfCN4enTTBenMq" \
    "sN_XoNTP5HYkcVyPevdwOCXbzMF7BW53k-n-5x9FjRm6aPBj1XhPN9fQ84c_k9lsIvsexd0hxFtHvtFFIwYCPmNNCQXkAmbF867l" \
    "ibDVbCL9w5Zi6GSg06sms2DtDp__e7ifey52YgGG3OQHjYsDUDXrd9xizKZELJ6XmlkVp8LLNTc3q8dXdEN2gkLVUBkUcQe5gAdy" \
    "PHy6YuqCF7sVA8JQppvZ-_zjRrGyI-sg"
#define ES256_TOKEN \
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIn0.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlLm9yZyIsImF1ZCI6WyJ4Iiwic2x1" \
    "aWNlIl0sInN1YiI6Im1lIiwiZXhwIjo0MTAyNDQ0ODAwLCJuYmYiOjEwMDAuNSwiZ3JvdXBzIjpbImEiLCJiIl19.6Y_eYSYkTkI" \
    "N27zbg6ZpiSm9ULtSO2GLW6pYRVy2me6_uvGrLz-Au7fikn-SOlaoYU6aWCY_1UfoAWY-MsZS1g"
/* clang-format on */

static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    clock_set_wall_for_test(0);
    arena_free(arena);
    return 0;
}

static const struct json *key_set(const char *text)
{
    const struct json *keys = json_parse(str_z(text), LIMIT_OIDC_BYTES, 8, arena, NULL);
    assert_non_null(keys);
    return keys;
}

/* Web tokens */

static void test_signatures(void **state)
{
    (void)state;
    static const char *const tokens[] = {RS256_TOKEN, ES256_TOKEN};
    const struct json *keys = key_set(KEY_SET), *none = key_set("{\"keys\":[]}");
    for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
        struct jwt t;
        assert_true(jwt_parse(str_z(tokens[i]), arena, &t));
        assert_true(jwt_verify(&t, keys, arena));
        assert_false(jwt_verify(&t, none, arena));
        assert_str(t.issuer, "https://idp.example.org");
        assert_str(t.subject, "me");
        assert_int_equal(t.expires_s, 4102444800);
        assert_int_equal(t.not_before_s, 1000);
        /* Each byte of the text counts, but for those that a signature ignores: none. */
        for (size_t at = 0; at < strlen(tokens[i]); at += 7) {
            char *changed = arena_dupz(arena, str_z(tokens[i]));
            changed[at] = changed[at] == 'A' ? 'B' : 'A';
            assert_false(jwt_parse(str_z(changed), arena, &t) && jwt_verify(&t, keys, arena));
        }
    }
}

static void test_keys_that_do_not_fit(void **state)
{
    (void)state;
    struct jwt t;
    assert_true(jwt_parse(STR(RS256_TOKEN), arena, &t));
    static const char *const sets[] = {
        "{}", "{\"keys\":{}}", "{\"keys\":[{\"kty\":\"RSA\"}]}", "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"\"}]}", "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"!\",\"e\":\"AQAB\"}]}",
        "{\"keys\":[1,\"a\",null]}"};
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
        assert_false(jwt_verify(&t, key_set(sets[i]), arena));
    t.algorithm = STR("HS256");
    assert_false(jwt_verify(&t, key_set(KEY_SET), arena));
    t.algorithm = STR("none");
    assert_false(jwt_verify(&t, key_set(KEY_SET), arena));
    t.algorithm = STR("RS256");
    t.key_id = STR("ec");
    assert_false(jwt_verify(&t, key_set(KEY_SET), arena));
    assert_true(jwt_parse(STR(ES256_TOKEN), arena, &t));
    static const char off_curve[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
                                    "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}";
    assert_false(jwt_verify(&t, key_set(off_curve), arena));
}

static void test_what_is_no_token(void **state)
{
    (void)state;
    static const char *const texts[] = {"", ".", "..", "a.b", "a.b.c", "e30.e30.", "e30.eyJleHAiOiJ4In0.", "e30.W10.",
                                        "e30.eyJleHAiOjF9.=", "eyJjcml0IjpbXX0.eyJleHAiOjF9."};
    struct jwt t;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_false(jwt_parse(str_z(texts[i]), arena, &t));
    assert_true(jwt_parse(STR("e30.eyJleHAiOjF9."), arena, &t)); /* {} . {"exp":1} */
}

static void test_claims(void **state)
{
    (void)state;
    static const struct {
        const char *claim, *pattern;
        bool fits;
    } rows[] = {
        {"sub", "me", true},      {"sub", "m*", true},  {"sub", "*e", true},     {"sub", "*", true},  {"sub", "m*e*", true},
        {"sub", "m", false},      {"sub", "", false},   {"sub", "mee", false},   {"sub", "*m", false}, {"groups", "b", true},
        {"groups", "c", false},   {"aud", "sluice", true}, {"exp", "*", false},  {"absent", "*", false}, {"iss", "https://*.org", true},
        {"iss", "https://*.com", false}, {"iss", "*idp*example*", true},
    };
    struct jwt t;
    assert_true(jwt_parse(STR(RS256_TOKEN), arena, &t));
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (jwt_claim_fits(&t, rows[i].claim, str_z(rows[i].pattern)) != rows[i].fits)
            fail_msg("%s against %s", rows[i].claim, rows[i].pattern);
}

/* The roles file */

#define ISSUER "{\"url\":\"https://idp\",\"audiences\":[\"a\"]}"
#define POLICY "{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"s3:GetObject\",\"Resource\":\"*\"}]}"

static struct auth_roles *parse_roles(const char *text)
{
    struct auth_roles *roles = NULL;
    struct buf error = buf_make(10000);
    int rc = auth_roles_parse(str_z(text), &roles, &error);
    assert_true((rc == 0) == (roles != NULL) && (rc == 0) == (error.len == 0));
    buf_done(&error);
    return roles;
}

static void test_roles(void **state)
{
    (void)state;
    struct auth_roles *roles = parse_roles(
        "{\"issuers\":[" ISSUER "],\"roles\":[{\"name\":\"r\",\"user\":\"u\",\"policy\":" POLICY ",\"max_session\":900,"
        "\"trust\":[{\"user\":\"alice\"},{\"issuer\":\"https://idp\",\"claims\":{\"sub\":\"m*\",\"groups\":\"b\"}}]}]}");
    assert_non_null(roles);
    const struct auth_role *role = auth_roles_find(roles, STR("r"));
    const struct auth_issuer *issuer = auth_roles_issuer(roles, STR("https://idp"));
    assert_ptr_equal(auth_roles_first(roles), role);
    assert_null(auth_roles_find(roles, STR("")));
    assert_null(auth_roles_issuer(roles, STR("https://idp/")));
    assert_true(auth_role_trusts_user(role, STR("alice")));
    assert_false(auth_role_trusts_user(role, STR("")));
    assert_false(auth_role_trusts_user(role, STR("bob")));
    struct jwt t;
    assert_true(jwt_parse(STR(RS256_TOKEN), arena, &t));
    assert_true(auth_role_trusts_token(role, issuer, &t));
    struct auth_issuer other = *issuer;
    assert_false(auth_role_trusts_token(role, &other, &t));
    auth_roles_unref(roles);
}

static void test_roles_that_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "[]", "{}", "{\"roles\":{}}", "{\"roles\":[1]}", "{\"roles\":[],\"more\":1}",
        "{\"roles\":[{\"name\":\"r\",\"trust\":[]}]}",
        "{\"roles\":[{\"name\":\"r\",\"user\":\"u\"}]}",
        "{\"roles\":[{\"name\":\"a/b\",\"user\":\"u\",\"trust\":[]}]}",
        "{\"roles\":[{\"name\":\"r\",\"user\":\"u\",\"trust\":[]},{\"name\":\"r\",\"user\":\"u\",\"trust\":[]}]}",
        "{\"roles\":[{\"name\":\"r\",\"user\":\"u\",\"trust\":[{}]}]}",
        "{\"roles\":[{\"name\":\"r\",\"user\":\"u\",\"trust\":[{\"issuer\":\"https://idp\"}]}]}",
        "{\"roles\":[{\"name\":\"r\",\"user\":\"u\",\"trust\":[],\"polcy\":{}}]}",
        "{\"roles\":[{\"name\":\"r\",\"user\":\"u\",\"trust\":[],\"policy\":{\"Statement\":1}}]}",
        "{\"roles\":[{\"name\":\"r\",\"user\":\"u\",\"trust\":[],\"max_session\":60}]}",
        "{\"roles\":[{\"name\":\"r\",\"user\":\"u\",\"trust\":[],\"max_session\":\"1h\"}]}",
        "{\"issuers\":[{\"url\":\"http://idp\",\"audiences\":[\"a\"]}],\"roles\":[]}",
        "{\"issuers\":[{\"url\":\"https://idp\",\"audiences\":[]}],\"roles\":[]}",
        "{\"issuers\":[{\"url\":\"https://idp\"}],\"roles\":[]}",
        "{\"issuers\":[" ISSUER "],\"roles\":[{\"name\":\"r\",\"user\":\"u\",\"trust\":[{\"issuer\":\"https://idp\",\"user\":\"x\"}]}]}",
        "{\"issuers\":[" ISSUER "],\"roles\":[{\"name\":\"r\",\"user\":\"u\",\"trust\":[{\"issuer\":\"https://idp\",\"claims\":{\"a\":1}}]}]}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (parse_roles(texts[i]))
            fail_msg("taken: %s", texts[i]);
}

/* Sessions */

static struct auth_snapshot *make_identities(bool enabled)
{
    static const uint8_t key[SECRETBOX_KEY_SIZE] = "one key of one master key";
    struct auth_snapshot *s = auth_snapshot_new();
    struct auth_user user = {.name = STR("u"), .id = STR("id-of-u"), .display_name = STR("u")};
    struct auth_key parent = {.access_key = STR("PARENT"), .secret = STR("secret-secret"), .enabled = enabled};
    struct auth_roles *roles =
        parse_roles("{\"roles\":[{\"name\":\"r\",\"user\":\"u\",\"policy\":" POLICY ",\"trust\":[]}]}");
    parent.user = auth_snapshot_add_user(s, &user);
    assert_true(auth_snapshot_add_key(s, &parent));
    auth_snapshot_set_session_key(s, key);
    auth_snapshot_set_roles(s, roles);
    auth_roles_unref(roles);
    return s;
}

static struct auth_credentials issue(const struct auth_snapshot *s, const char *role)
{
    struct auth_credentials c;
    struct auth_session_spec spec = {
        .user = auth_snapshot_user(s, STR("u")),
        .parent_key = STR("PARENT"),
        .role = str_z(role),
        .name = STR("name"),
        .policy = STR(POLICY),
        .expires_s = 2000,
    };
    auth_session_issue(s, &spec, arena, &c);
    return c;
}

static void test_session(void **state)
{
    (void)state;
    struct auth_snapshot *s = make_identities(true), *again = make_identities(true), *off = make_identities(false);
    struct auth_credentials c = issue(s, "r");
    struct auth_session *session;
    assert_int_equal(auth_session_open(again, c.token, 1999, arena, &session), AUTH_OK);
    assert_true(str_eq(session->key.access_key, c.access_key) && str_eq(session->key.secret, c.secret));
    assert_ptr_equal(session->key.user, auth_snapshot_user(again, STR("u")));
    assert_str(session->role, "r");
    assert_str(session->name, "name");
    assert_int_equal(session->policy_count, 2);
    struct auth_policy_request get = {.action = STR("s3:GetObject"), .resource = STR("arn:aws:s3:::b/k")};
    struct auth_policy_request put = {.action = STR("s3:PutObject"), .resource = STR("arn:aws:s3:::b/k")};
    assert_true(auth_session_allows(session, &get) && !auth_session_allows(session, &put));
    assert_true(auth_session_allows(NULL, &put));
    assert_int_equal(auth_session_open(s, c.token, 2000, arena, &session), AUTH_TOKEN_EXPIRED);
    assert_int_equal(auth_session_open(off, c.token, 1999, arena, &session), AUTH_TOKEN_INVALID);

    /* Without its role, its user, or the key that seals it. */
    auth_snapshot_set_roles(again, NULL);
    assert_int_equal(auth_session_open(again, c.token, 1999, arena, &session), AUTH_TOKEN_INVALID);
    assert_int_equal(auth_session_open(again, issue(s, "").token, 1999, arena, &session), AUTH_OK);
    struct auth_snapshot *empty = auth_snapshot_new();
    assert_int_equal(auth_session_open(empty, c.token, 1999, arena, &session), AUTH_TOKEN_INVALID);
    auth_snapshot_set_session_key(empty, auth_snapshot_session_key(s));
    assert_int_equal(auth_session_open(empty, c.token, 1999, arena, &session), AUTH_TOKEN_INVALID);
    auth_snapshot_unref(empty);
    auth_snapshot_unref(off);
    auth_snapshot_unref(again);
    auth_snapshot_unref(s);
}

static void test_tampered_session(void **state)
{
    (void)state;
    struct auth_snapshot *s = make_identities(true);
    struct auth_credentials c = issue(s, "");
    struct auth_session *session;
    for (size_t at = 0; at < c.token.len; at += 3) {
        char *changed = arena_dupz(arena, c.token);
        changed[at] = changed[at] == 'A' ? 'B' : 'A';
        assert_int_equal(auth_session_open(s, str_of(changed, c.token.len), 1999, arena, &session), AUTH_TOKEN_INVALID);
        assert_int_equal(auth_session_open(s, str_first(c.token, at), 1999, arena, &session), AUTH_TOKEN_INVALID);
    }
    auth_snapshot_unref(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_signatures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys_that_do_not_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_token, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_claims, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_roles, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_roles_that_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_session, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tampered_session, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
