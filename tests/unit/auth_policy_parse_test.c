#include "tests/support/unit.h"

#include <stdio.h>

#include "auth/policy.h"
#include "base/limits.h"

/* What is refused, and by which name (SEC-30, SEC-51); what is public. */

#define BUCKET "b"
#define STATEMENT(inside) "{\"Version\":\"2012-10-17\",\"Statement\":[{" inside "}]}"
#define ALLOW "\"Effect\":\"Allow\",\"Principal\":\"*\","
#define GET "\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::b/*\""
#define WITH(condition) STATEMENT(ALLOW GET ",\"Condition\":" condition)

static struct auth_policy *parse(enum auth_policy_kind kind, const char *json, struct buf *error)
{
    struct auth_policy *policy = NULL;
    *error = buf_make(1000);
    int r = auth_policy_parse(kind, str_z(json), str_z(BUCKET), &policy, error);
    assert_int_equal(r == 0, policy != NULL);
    assert_int_equal(r == 0, error->len == 0);
    return policy;
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json, *part;
    } rows[] = {
        {"", "valid JSON"},
        {"[]", "valid JSON"},
        {" {}", "first byte"},
        {"{}x", "invalid Json"},
        {"{\"Version\":null}", "null"},
        {"{\"Id\":\"a\",\"Id\":\"b\"}", "duplicate"},
        {"{\"Id\":\"\\u0000\"}", "invalid Json"},
        {"{\"Version\":\"2012-10-17\"}", "Statement"},
        {"{\"Version\":\"2012-10-17\",\"Statement\":[]}", "Statement"},
        {"{\"Version\":\"2020-01-01\",\"Statement\":[]}", "2020-01-01"},
        {"{\"Version\":\"2012-10-17\",\"Statment\":[]}", "Statment"},
        {"{\"Id\":7,\"Statement\":[]}", "Id"},
        {"{\"Statement\":[\"x\"]}", "object"},
        {STATEMENT(ALLOW GET ",\"Sed\":\"x\""), "Sed"},
        {STATEMENT("\"Principal\":\"*\"," GET), "Effect"},
        {STATEMENT("\"Effect\":\"allow\",\"Principal\":\"*\"," GET), "allow"},
        {STATEMENT("\"Effect\":\"Allow\"," GET), "Principal"},
        {STATEMENT(ALLOW "\"NotPrincipal\":\"*\"," GET), "both"},
        {STATEMENT("\"Effect\":\"Allow\",\"NotPrincipal\":{\"CanonicalUser\":\"x\"}," GET), "Allow with NotPrincipal"},
        {STATEMENT("\"Effect\":\"Allow\",\"Principal\":\"alice\"," GET), "principal"},
        {STATEMENT("\"Effect\":\"Allow\",\"Principal\":{}," GET), "principal"},
        {STATEMENT("\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"x\"}," GET), "Service"},
        {STATEMENT("\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"alice\"}," GET), "alice"},
        {STATEMENT("\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::000000000000:user/*\"}," GET), "user/*"},
        {STATEMENT("\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::000000000000:group/x\"}," GET), "group/x"},
        {STATEMENT("\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::000000000000:user/\"}," GET), "user/"},
        {STATEMENT("\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::000000000000:assumed-role/r/s\"}," GET), "assumed-role"},
        {STATEMENT("\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:sts::000000000000:user/a\"}," GET), "user/a"},
        {STATEMENT("\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:sts::000000000000:root\"}," GET), "root"},
        {STATEMENT("\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:sts::000000000000:assumed-role/r\"}," GET), "assumed-role/r"},
        {STATEMENT("\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:sts::000000000000:assumed-role/r/\"}," GET), "assumed-role/r/"},
        {STATEMENT("\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:sts::000000000000:assumed-role/r/*\"}," GET), "assumed-role/r/*"},
        {STATEMENT("\"Effect\":\"Allow\",\"Principal\":{\"AWS\":[]}," GET), "principal"},
        {STATEMENT(ALLOW "\"Resource\":\"arn:aws:s3:::b/*\""), "Action"},
        {STATEMENT(ALLOW "\"Action\":\"s3:Nonsense\",\"Resource\":\"arn:aws:s3:::b/*\""), "s3:Nonsense"},
        {STATEMENT(ALLOW "\"Action\":\"ec2:*\",\"Resource\":\"*\""), "ec2:*"},
        {STATEMENT(ALLOW "\"Action\":[],\"Resource\":\"*\""), "action"},
        {STATEMENT(ALLOW "\"Action\":[7],\"Resource\":\"*\""), "action"},
        {STATEMENT(ALLOW "\"Action\":\"s3:GetObject\""), "Resource"},
        {STATEMENT(ALLOW "\"Action\":\"s3:GetObject\",\"Resource\":\"b/*\""), "b/*"},
        {STATEMENT(ALLOW "\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::other/*\""), "other/*"},
        {STATEMENT(ALLOW "\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::bb/*\""), "bb/*"},
        {STATEMENT(ALLOW "\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::b\""), "does not apply"},
        {STATEMENT(ALLOW "\"Action\":\"s3:ListBucket\",\"Resource\":\"arn:aws:s3:::b/*\""), "does not apply"},
        {STATEMENT(ALLOW "\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::b/${aws:username\""), "not closed"},
        {STATEMENT(ALLOW "\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::b/${aws:nothing}\""), "aws:nothing"},
        {STATEMENT(ALLOW "\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::b/${aws:username, x}\""), "default"},
        {WITH("\"x\""), "Condition"},
        {WITH("{\"StringEqual\":{\"s3:prefix\":\"x\"}}"), "StringEqual"},
        {WITH("{\"ForSomeValues:StringEquals\":{\"s3:prefix\":\"x\"}}"), "ForSomeValues"},
        {WITH("{\"NullIfExists\":{\"s3:prefix\":\"true\"}}"), "NullIfExists"},
        {WITH("{\"StringEquals\":{}}"), "StringEquals"},
        {WITH("{\"StringEquals\":{\"s3:suffix\":\"x\"}}"), "s3:suffix"},
        {WITH("{\"StringEquals\":{\"aws:SourceVpc\":\"vpc-1\"}}"), "aws:SourceVpc"},
        {WITH("{\"StringEquals\":{\"s3:ExistingObjectTag/\":\"x\"}}"), "ExistingObjectTag"},
        {WITH("{\"StringEquals\":{\"s3:prefix\":[]}}"), "no value"},
        {WITH("{\"StringEquals\":{\"s3:prefix\":[{}]}}"), "s3:prefix"},
        {WITH("{\"NumericEquals\":{\"s3:max-keys\":\"ten\"}}"), "ten"},
        {WITH("{\"NumericEquals\":{\"s3:max-keys\":\"1.\"}}"), "1."},
        {WITH("{\"DateLessThan\":{\"aws:CurrentTime\":\"yesterday\"}}"), "yesterday"},
        {WITH("{\"Bool\":{\"aws:SecureTransport\":\"yes\"}}"), "yes"},
        {WITH("{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/33\"}}"), "/33"},
        {WITH("{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0\"}}"), "10.0.0"},
        {WITH("{\"ArnLike\":{\"aws:PrincipalArn\":\"arn:aws\"}}"), "arn:aws"},
        {WITH("{\"BinaryEquals\":{\"s3:prefix\":\"!\"}}"), "BinaryEquals"},
        {"{\"Statement\":[{\"Sid\":\"a\"," ALLOW GET "},{\"Sid\":\"a\"," ALLOW GET "}]}", "unique"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf error;
        struct auth_policy *policy = parse(AUTH_POLICY_BUCKET, rows[i].json, &error);
        if (policy || str_find(buf_str(&error), str_z(rows[i].part)) < 0)
            fail_msg("%s: %s", rows[i].json, policy ? "accepted" : buf_z(&error));
        buf_done(&error);
    }
}

/* Of a stored document nothing is refused that an earlier version took and that can be evaluated; all the rest is, as ever. */
static void test_stored(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        bool is_read;
    } rows[] = {
        {STATEMENT(ALLOW "\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::b\""), true},
        {STATEMENT(ALLOW "\"Action\":\"s3:ListBucket\",\"Resource\":\"arn:aws:s3:::b/*\""), true},
        {STATEMENT(ALLOW "\"Action\":\"s3:GetAccessPointScope\",\"Resource\":\"*\""), true},
        {STATEMENT("\"Effect\":\"Allow\",\"NotPrincipal\":{\"CanonicalUser\":\"x\"}," GET), true},
        {WITH("{\"StringEquals\":{\"s3:prefix\":\"x\"}}"), true},
        {WITH("{\"StringEquals\":{\"aws:SourceVpc\":\"vpc-1\"}}"), false},
        {WITH("{\"StringEqual\":{\"s3:prefix\":\"x\"}}"), false},
        {WITH("{\"DateLessThan\":{\"aws:CurrentTime\":\"yesterday\"}}"), false},
        {STATEMENT(ALLOW "\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::other/*\""), false},
        {STATEMENT("\"Effect\":\"allow\",\"Principal\":\"*\"," GET), false},
        {STATEMENT("\"Effect\":\"Allow\"," GET), false},
        {STATEMENT(ALLOW GET ",\"Sed\":\"x\""), false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buf error;
        struct auth_policy *policy = parse(AUTH_POLICY_BUCKET, rows[i].json, &error);
        if (policy)
            fail_msg("%s: accepted", rows[i].json);
        buf_reset(&error);
        int r = auth_policy_read(AUTH_POLICY_BUCKET, str_z(rows[i].json), str_z(BUCKET), &policy, &error);
        if ((r == 0) != rows[i].is_read || (error.len == 0) != rows[i].is_read)
            fail_msg("%s: %s", rows[i].json, r == 0 ? "read" : buf_z(&error));
        auth_policy_unref(policy);
        buf_done(&error);
    }
}

/* Keys that AWS has and nothing here can answer, by the service authorization reference of 2026. */
static void test_unanswerable_keys(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "aws:MultiFactorAuthPresent", "aws:PrincipalOrgID", "aws:PrincipalTag/team", "aws:ResourceTag/team",
        "aws:SourceArn", "aws:SourceVpc", "aws:SourceVpce", "aws:VpcSourceIp", "s3:AccessGrantsInstanceArn",
        "s3:AccessPointNetworkOrigin", "s3:AccessPointTag/team", "s3:BucketTag/team", "s3:DataAccessPointAccount", "s3:DataAccessPointArn",
        "s3:ExistingJobOperation", "s3:InventoryAccessibleOptionalFields", "s3:RequestObjectTag", "s3:annotation-prefix",
        "s3:destinationRegion", "s3:object-lock-legal-hold", "s3:object-lock-mode", "s3:object-lock-remaining-retention-days",
        "s3:object-lock-retain-until-date", "s3:x-amz-object-annotation-directive", "s3:x-amz-unheard-of",
    };
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        struct buf error;
        char json[1000];
        snprintf(json, sizeof(json), WITH("{\"StringEquals\":{\"%s\":\"x\"}}"), keys[i]);
        struct auth_policy *policy = parse(AUTH_POLICY_BUCKET, json, &error);
        if (policy || str_find(buf_str(&error), str_z(keys[i])) < 0)
            fail_msg("%s: %s", keys[i], policy ? "accepted" : buf_z(&error));
        buf_done(&error);
    }
}

/* Whether AWS takes a statement whose keys and actions do not all go together: what is named must, what wildcards stand for need not
 * altogether. */
static void test_keys_of_actions(void **state)
{
    (void)state;
#define OF(actions, resource, key) STATEMENT(ALLOW "\"Action\":[" actions "],\"Resource\":\"arn:aws:s3:::b" resource "\",\"Condition\":{\"StringLike\":{\"" key "\":\"x\"}}")
    static const struct {
        const char *json;
        bool is_taken;
    } rows[] = {
        {OF("\"s3:ListBucket\"", "", "s3:prefix"), true},
        {OF("\"s3:ListBucketVersions\"", "", "s3:delimiter"), true},
        {OF("\"s3:ListBucketMultipartUploads\"", "", "s3:prefix"), false},
        {OF("\"s3:ListBucket\",\"s3:GetBucketLocation\"", "", "s3:prefix"), false},
        {OF("\"s3:List*\"", "", "s3:prefix"), true},
        {OF("\"s3:*\"", "*", "s3:prefix"), true},
        {OF("\"s3:*\"", "/*", "s3:prefix"), false},
        {OF("\"s3:Get*\"", "*", "s3:prefix"), false},
        {OF("\"s3:GetObject\"", "/*", "s3:prefix"), false},
        {OF("\"s3:GetObject\"", "/*", "aws:UserAgent"), true},
        {OF("\"s3:GetObject\"", "/*", "s3:authType"), true},
        {OF("\"s3:GetObject\"", "/*", "s3:ExistingObjectTag/x"), true},
        {OF("\"s3:GetObjectRetention\"", "/*", "s3:ExistingObjectTag/x"), false},
        {OF("\"s3:DeleteObjectTagging\"", "/*", "s3:ExistingObjectTag/x"), true},
        {OF("\"s3:DeleteObject\"", "/*", "s3:ExistingObjectTag/x"), false},
        {OF("\"s3:PutObject\"", "/*", "s3:ExistingObjectTag/x"), false},
        {OF("\"s3:PutObjectAcl\"", "/*", "s3:ExistingObjectTag/x"), true},
        {OF("\"s3:PutObjectAcl\"", "/*", "s3:RequestObjectTag/x"), false},
        {OF("\"s3:PutObjectAcl\",\"s3:PutObjectTagging\"", "/*", "s3:RequestObjectTag/x"), false},
        {OF("\"s3:putobject\",\"S3:PUTOBJECTTAGGING\"", "/*", "s3:requestobjecttagkeys"), true},
        {OF("\"s3:PutObject\"", "/*", "s3:x-amz-copy-source"), true},
        {OF("\"s3:GetObject\",\"s3:PutObject\"", "/*", "s3:x-amz-copy-source"), false},
        {OF("\"s3:GetObject\",\"s3:PutObject\"", "/*", "s3:x-amz-acl"), false},
        {OF("\"s3:GetObjectVersion\",\"s3:PutObject\"", "/*", "s3:x-amz-metadata-directive"), false},
        {OF("\"s3:GetObjectVersion\"", "/*", "s3:VersionId"), true},
        {OF("\"s3:GetObject\"", "/*", "s3:VersionId"), false},
        {OF("\"s3:DeleteObject\"", "/*", "s3:if-match"), true},
        {OF("\"s3:DeleteObject\"", "/*", "s3:if-none-match"), false},
        {STATEMENT(ALLOW "\"NotAction\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::b\",\"Condition\":{\"Null\":{\"s3:prefix\":true}}"), true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buf error;
        struct auth_policy *policy = parse(AUTH_POLICY_BUCKET, rows[i].json, &error);
        bool is_named = str_find(buf_str(&error), STR("Conditions do not apply to combination of actions and resources in statement")) >= 0;
        if ((policy != NULL) != rows[i].is_taken || is_named == rows[i].is_taken)
            fail_msg("%s: %s", rows[i].json, policy ? "accepted" : buf_z(&error));
        auth_policy_unref(policy);
        buf_done(&error);
    }
    /* IAM does not look, and neither do we. */
    struct buf error;
    struct auth_policy *policy = parse(AUTH_POLICY_IDENTITY,
        STATEMENT("\"Effect\":\"Allow\",\"Action\":\"s3:GetObject\",\"Resource\":\"*\",\"Condition\":{\"Null\":{\"s3:prefix\":true}}"), &error);
    assert_non_null(policy);
    auth_policy_unref(policy);
    buf_done(&error);
}

static void test_bounds(void **state)
{
    (void)state;
    struct buf error, deep = buf_make(LIMIT_POLICY_BYTES), large = buf_make(2 * LIMIT_POLICY_BYTES);
    buf_addz(&deep, "{\"a\":");
    for (int i = 0; i < 9000; i++)
        buf_addz(&deep, "[");
    assert_null(parse(AUTH_POLICY_BUCKET, buf_z(&deep), &error));
    buf_done(&error);
    buf_reset(&deep);
    buf_addz(&deep, "{\"Statement\":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}");
    assert_null(parse(AUTH_POLICY_BUCKET, buf_z(&deep), &error));
    assert_true(str_find(buf_str(&error), STR("deeply")) >= 0);
    buf_done(&error);
    buf_addf(&large, "{\"Id\":\"%*s\"}", LIMIT_POLICY_BYTES, "");
    assert_null(parse(AUTH_POLICY_BUCKET, buf_z(&large), &error));
    assert_true(str_find(buf_str(&error), STR("larger")) >= 0);
    buf_done(&error);
    buf_done(&deep);
    buf_done(&large);
}

static void test_public(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        bool is_public;
    } rows[] = {
        {STATEMENT(ALLOW GET), true},
        {STATEMENT("\"Effect\":\"Allow\",\"Principal\":{\"AWS\":[\"000000000000\",\"*\"]}," GET), true},
        {STATEMENT("\"Effect\":\"Deny\",\"Principal\":\"*\"," GET), false},
        {STATEMENT("\"Effect\":\"Deny\",\"NotPrincipal\":{\"CanonicalUser\":\"x\"}," GET), false},
        {STATEMENT("\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::000000000000:user/a\"}," GET), false},
        {STATEMENT("\"Effect\":\"Allow\",\"NotPrincipal\":{\"CanonicalUser\":\"x\"}," GET), true},
        {STATEMENT("\"Effect\":\"Allow\",\"NotPrincipal\":\"*\"," GET), false},
        {WITH("{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/24\"}}"), false},
        {WITH("{\"IpAddress\":{\"aws:SourceIp\":[\"10.0.0.0/24\",\"0.0.0.0/1\"]}}"), true},
        {WITH("{\"IpAddress\":{\"aws:SourceIp\":\"::/0\"}}"), true},
        {WITH("{\"IpAddress\":{\"aws:SourceIp\":\"2001:db8::/48\"}}"), false},
        {WITH("{\"NotIpAddress\":{\"aws:SourceIp\":\"10.0.0.0/24\"}}"), true},
        {WITH("{\"StringEquals\":{\"aws:PrincipalAccount\":\"000000000000\"}}"), false},
        {WITH("{\"StringLike\":{\"aws:userid\":\"A*\"}}"), true},
        {WITH("{\"StringEqualsIfExists\":{\"aws:userid\":\"A\"}}"), true},
        {WITH("{\"ForAllValues:StringEquals\":{\"aws:userid\":\"A\"}}"), true},
        {WITH("{\"StringEquals\":{\"aws:Referer\":\"A\"}}"), true},
        {WITH("{\"ArnEquals\":{\"aws:PrincipalArn\":\"arn:aws:iam::000000000000:user/a\"}}"), false},
        {WITH("{\"ArnLike\":{\"aws:PrincipalArn\":\"arn:aws:iam::*:user/a\"}}"), true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf error;
        struct auth_policy *policy = NULL;
        error = buf_make(1000);
        int r = auth_policy_read(AUTH_POLICY_BUCKET, str_z(rows[i].json), str_z(BUCKET), &policy, &error);
        if (r < 0 || auth_policy_is_public(policy) != rows[i].is_public)
            fail_msg("%s: %s", rows[i].json, buf_z(&error));
        assert_str(auth_policy_text(policy), rows[i].json);
        auth_policy_unref(policy);
        buf_done(&error);
    }
}

static void test_identity_policies(void **state)
{
    (void)state;
    static const char *const names[] = {"readonly", "readwrite", "writeonly", "admin"};
    struct buf error;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct auth_policy *policy = parse(AUTH_POLICY_IDENTITY, auth_policy_canned(str_z(names[i])).ptr, &error);
        assert_non_null(policy);
        auth_policy_unref(policy);
        buf_done(&error);
    }
    assert_int_equal(auth_policy_canned(STR("other")).len, 0);
    assert_null(parse(AUTH_POLICY_IDENTITY, STATEMENT(ALLOW GET), &error));
    buf_done(&error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused), cmocka_unit_test(test_stored), cmocka_unit_test(test_keys_of_actions),
        cmocka_unit_test(test_unanswerable_keys), cmocka_unit_test(test_bounds),
                                       cmocka_unit_test(test_public), cmocka_unit_test(test_identity_policies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
