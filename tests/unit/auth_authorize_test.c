#include "tests/support/unit.h"

#include "auth/authorize.h"
#include "auth/session.h"
#include "auth/user_policy.h"

/* What the options of `sluice user`, policies, sessions and bucket policies come to together. */

#define DOCUMENT(statements) "{\"Version\":\"2012-10-17\",\"Statement\":[" statements "]}"
#define SAYS(effect, action) "{\"Effect\":\"" effect "\",\"Action\":\"" action "\",\"Resource\":\"*\"}"
#define BUCKET_SAYS(effect, action)                                                                                    \
    "{\"Effect\":\"" effect "\",\"Principal\":\"*\",\"Action\":\"" action "\",\"Resource\":\"arn:aws:s3:::bkt/*\"}"

static struct auth_policy *policy_of(enum auth_policy_kind kind, const char *json)
{
    struct auth_policy *policy = NULL;
    struct buf error = buf_make(1000);
    if (json && auth_policy_parse(kind, str_z(json), STR("bkt"), &policy, &error) < 0)
        fail_msg("%s: %s", json, buf_z(&error));
    buf_done(&error);
    return policy;
}

static enum auth_verdict ask(const struct auth_parties *parties, const char *action, const char *resource)
{
    const struct auth_policy_request r = {.action = str_z(action), .resource = str_z(resource)};
    return auth_authorize(parties, &r);
}

static void test_parties(void **state)
{
    (void)state;
    static const char allow[] = DOCUMENT(SAYS("Allow", "s3:GetObject")), deny[] = DOCUMENT(SAYS("Deny", "s3:*")),
                      other[] = DOCUMENT(SAYS("Allow", "s3:PutObject"));
    static const char bucket_allow[] = DOCUMENT(BUCKET_SAYS("Allow", "s3:GetObject")),
                      bucket_deny[] = DOCUMENT(BUCKET_SAYS("Deny", "s3:GetObject"));
    static const struct {
        const char *attached, *session, *bucket;
        bool is_anonymous, grants_nothing;
        enum auth_verdict verdict;
    } rows[] = {
        {other, NULL, NULL, false, false, AUTH_NO_OPINION},
        {allow, NULL, NULL, false, false, AUTH_ALLOW},
        {deny, NULL, bucket_allow, false, false, AUTH_DENY},
        {allow, NULL, bucket_deny, false, false, AUTH_DENY},
        {other, NULL, bucket_allow, false, false, AUTH_ALLOW},
        {other, NULL, bucket_allow, false, true, AUTH_NO_OPINION},
        {allow, NULL, bucket_deny, false, true, AUTH_DENY},
        {NULL, NULL, NULL, true, false, AUTH_NO_OPINION},
        {NULL, NULL, bucket_allow, true, false, AUTH_ALLOW},
        {NULL, NULL, bucket_allow, true, true, AUTH_NO_OPINION},
        {NULL, NULL, bucket_deny, true, false, AUTH_DENY},
        /* SEC-35: a session narrows, and one that only denies allows nothing. */
        {allow, allow, NULL, false, false, AUTH_ALLOW},
        {allow, other, NULL, false, false, AUTH_DENY},
        {allow, deny, NULL, false, false, AUTH_DENY},
        {other, allow, NULL, false, false, AUTH_NO_OPINION},
        {other, other, bucket_allow, false, false, AUTH_DENY},
        {deny, allow, bucket_allow, false, false, AUTH_DENY},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct auth_policy *attached = policy_of(AUTH_POLICY_IDENTITY, rows[i].attached);
        struct auth_policy *session = policy_of(AUTH_POLICY_IDENTITY, rows[i].session);
        struct auth_policy *bucket = policy_of(AUTH_POLICY_BUCKET, rows[i].bucket);
        const struct auth_user user = {.policies = &attached, .policy_count = 1};
        const struct auth_session narrowed = {.policies = {session}, .policy_count = 1};
        const struct auth_parties parties = {.user = rows[i].is_anonymous ? NULL : &user,
                                             .session = session ? &narrowed : NULL,
                                             .bucket = bucket,
                                             .bucket_grants_nothing = rows[i].grants_nothing};
        enum auth_verdict verdict = ask(&parties, "s3:GetObject", "arn:aws:s3:::bkt/k");
        if (verdict != rows[i].verdict)
            fail_msg("row %zu: %d", i, verdict);
        auth_policy_unref(attached);
        auth_policy_unref(session);
        auth_policy_unref(bucket);
    }
}

static enum auth_verdict of_user(const struct auth_user *options, const char *action, const char *resource)
{
    struct auth_user user = *options;
    user.own_policy = auth_user_policy_make(options);
    enum auth_verdict verdict = ask(&(struct auth_parties){.user = &user}, action, resource);
    auth_policy_unref(user.own_policy);
    return verdict;
}

/* The plain options, without any policy. */
static void test_options(void **state)
{
    (void)state;
    static const struct str some[] = {STR_INIT("one"), STR_INIT("t*o")};
    static const struct {
        bool admin, read_only;
        size_t bucket_count;
        const char *resource;
        bool may_read, may_write;
    } rows[] = {
        {true, false, 0, "x/k", true, true},   {true, false, 1, "x/k", true, true},
        {true, true, 0, "x/k", true, false},   {false, false, 0, "x/k", true, true},
        {false, true, 0, "x/k", true, false},  {false, false, 2, "one/k", true, true},
        {false, false, 2, "t*o/k", true, true}, {false, false, 2, "two/k", false, false},
        {false, false, 1, "t*o/k", false, false}, {false, false, 2, "On/k", false, false},
        {false, false, 2, "oneone/k", false, false}, {false, true, 2, "one/k", true, false},
        {false, true, 2, "x/k", false, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char arn[100];
        snprintf(arn, sizeof(arn), "arn:aws:s3:::%s", rows[i].resource);
        const struct auth_user user = {.admin = rows[i].admin,
                                       .read_only = rows[i].read_only,
                                       .buckets = some,
                                       .bucket_count = rows[i].bucket_count};
        bool may_read = of_user(&user, "s3:GetObject", arn) == AUTH_ALLOW;
        bool may_write = of_user(&user, "s3:PutObject", arn) == AUTH_ALLOW;
        if (may_read != rows[i].may_read || may_write != rows[i].may_write)
            fail_msg("row %zu: reads %d, writes %d", i, may_read, may_write);
        assert_int_equal(of_user(&user, "s3:ListAllMyBuckets", "arn:aws:s3:::"), AUTH_ALLOW);
        /* Buckets of others are theirs to rule (there is no owner in this question). */
        assert_int_equal(of_user(&user, "s3:PutBucketPolicy", "arn:aws:s3:::one") == AUTH_ALLOW,
                         rows[i].admin && !rows[i].read_only);
    }
}

/* Attached policies take the place of the default; read-only holds beside them. */
static void test_options_beside_policies(void **state)
{
    (void)state;
    struct auth_policy *attached = policy_of(AUTH_POLICY_IDENTITY, DOCUMENT(SAYS("Allow", "s3:PutObject")));
    struct auth_user user = {.policies = &attached, .policy_count = 1};
    assert_null(auth_user_policy_make(&user));
    assert_int_equal(of_user(&user, "s3:PutObject", "arn:aws:s3:::b/k"), AUTH_ALLOW);
    assert_int_equal(of_user(&user, "s3:GetObject", "arn:aws:s3:::b/k"), AUTH_NO_OPINION);
    user.read_only = true;
    assert_int_equal(of_user(&user, "s3:PutObject", "arn:aws:s3:::b/k"), AUTH_DENY);
    auth_policy_unref(attached);
}

static void test_canned(void **state)
{
    (void)state;
    size_t count = 0;
    for (struct str name; (name = auth_policy_canned_name(count)).len > 0; count++)
        auth_policy_unref(policy_of(AUTH_POLICY_IDENTITY, auth_policy_canned(name).ptr));
    assert_int_equal(count, 5);
    assert_int_equal(auth_policy_canned(STR("readonl")).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parties),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_options_beside_policies),
        cmocka_unit_test(test_canned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
