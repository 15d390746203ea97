#include "tests/support/unit.h"

#include "auth/policy.h"

/* What a policy says of a request: AWS's documented examples, and each operator with a key that is there, is not, or has
 * several values (SEC-39). */

#define ALICE "arn:aws:iam::000000000000:user/alice"
#define BOB "arn:aws:iam::000000000000:user/bob"
#define ROLE "arn:aws:iam::000000000000:role/reader"
#define SESSION "arn:aws:sts::000000000000:assumed-role/reader/pod-1"

/* "key=value|value;key=…" */
static void answer(void *data, struct str key, struct auth_context_value *out)
{
    static struct str values[8];
    struct str pair, name, value, rest = str_z(data);
    *out = (struct auth_context_value){.key = key, .values = values};
    while (rest.ptr && str_split(&rest, ';', &pair)) {
        struct str texts = pair;
        if (!str_split(&texts, '=', &name) || !str_eq_nocase(name, key))
            continue;
        while (texts.ptr && str_split(&texts, '|', &value))
            values[out->count++] = value;
    }
}

typedef int (*reading)(enum auth_policy_kind kind, struct str json, struct str bucket, struct auth_policy **out, struct buf *error);

static enum auth_verdict evaluate_by(reading read, const char *json, const char *action, const char *resource, const char *who,
                                     char *context)
{
    struct buf error = buf_make(1000);
    struct auth_policy *policy = NULL;
    if (read(AUTH_POLICY_BUCKET, str_z(json), STR("b"), &policy, &error) < 0)
        fail_msg("%s: %s", json, buf_z(&error));
    struct auth_policy_request r = {.action = str_z(action),
                                    .resource = str_z(resource),
                                    .principal_arn = str_z(who),
                                    .session_arn = who && strcmp(who, ROLE) == 0 ? STR(SESSION) : STR_EMPTY,
                                    .principal_id = who ? STR("c0ffee") : STR_EMPTY,
                                    .account = who ? STR("000000000000") : STR_EMPTY,
                                    .context = answer,
                                    .context_data = context};
    enum auth_verdict verdict = auth_policy_evaluate(policy, &r);
    auth_policy_unref(policy);
    buf_done(&error);
    return verdict;
}

static enum auth_verdict evaluate(const char *json, const char *action, const char *resource, const char *who, char *context)
{
    return evaluate_by(auth_policy_parse, json, action, resource, who, context);
}

#define ONE(effect, who, action, resource)                                                                             \
    "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"" effect "\"," who ",\"Action\":\"" action                \
    "\",\"Resource\":\"arn:aws:s3:::" resource "\"}}"
#define ANYBODY "\"Principal\":\"*\""

static void test_elements(void **state)
{
    (void)state;
    static const struct {
        const char *json, *action, *resource, *who;
        enum auth_verdict verdict;
    } rows[] = {
        {ONE("Allow", ANYBODY, "s3:GetObject", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", NULL, AUTH_ALLOW},
        {ONE("Allow", ANYBODY, "S3:getobject", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", NULL, AUTH_ALLOW},
        {ONE("Allow", ANYBODY, "s3:GetObject", "b/*"), "s3:GetObjectVersion", "arn:aws:s3:::b/k", NULL, AUTH_NO_OPINION},
        {ONE("Allow", ANYBODY, "s3:GetObject", "b/*"), "s3:GetObject", "arn:aws:s3:::bb/k", NULL, AUTH_NO_OPINION},
        {ONE("Allow", ANYBODY, "s3:Get*", "b/a?/*x"), "s3:GetObject", "arn:aws:s3:::b/a1/yxx", NULL, AUTH_ALLOW},
        {ONE("Allow", ANYBODY, "s3:Get*", "b/a?/*x"), "s3:GetObject", "arn:aws:s3:::b/a/x", NULL, AUTH_NO_OPINION},
        {ONE("Allow", ANYBODY, "s3:*", "b/K"), "s3:GetObject", "arn:aws:s3:::b/k", NULL, AUTH_NO_OPINION},
        {ONE("Deny", ANYBODY, "s3:*", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", ALICE, AUTH_DENY},
        {ONE("Allow", "\"Principal\":{\"AWS\":\"" ALICE "\"}", "s3:*", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", ALICE, AUTH_ALLOW},
        {ONE("Allow", "\"Principal\":{\"AWS\":\"" ALICE "\"}", "s3:*", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", BOB, AUTH_NO_OPINION},
        {ONE("Allow", "\"Principal\":{\"AWS\":\"" ALICE "\"}", "s3:*", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", NULL, AUTH_NO_OPINION},
        {ONE("Allow", "\"Principal\":{\"CanonicalUser\":\"c0ffee\"}", "s3:*", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", BOB, AUTH_ALLOW},
        {ONE("Allow", "\"Principal\":{\"AWS\":\"000000000000\"}", "s3:*", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", BOB, AUTH_NO_OPINION},
        {ONE("Deny", "\"Principal\":{\"AWS\":\"arn:aws:iam::000000000000:root\"}", "s3:*", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", BOB, AUTH_DENY},
        {ONE("Deny", "\"NotPrincipal\":{\"AWS\":\"" ALICE "\"}", "s3:*", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", ALICE, AUTH_NO_OPINION},
        {ONE("Deny", "\"NotPrincipal\":{\"AWS\":\"" ALICE "\"}", "s3:*", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", NULL, AUTH_DENY},
        {ONE("Deny", "\"NotPrincipal\":{\"AWS\":[\"" ALICE "\",\"arn:aws:iam::000000000000:root\"]}", "s3:*", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", ALICE, AUTH_NO_OPINION},
        {ONE("Deny", "\"NotPrincipal\":{\"AWS\":[\"" ALICE "\",\"arn:aws:iam::000000000000:root\"]}", "s3:*", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", BOB, AUTH_DENY},
        {ONE("Deny", "\"NotPrincipal\":{\"AWS\":\"000000000000\"}", "s3:*", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", BOB, AUTH_DENY},
        {ONE("Allow", "\"Principal\":{\"AWS\":\"" ROLE "\"}", "s3:*", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", ROLE, AUTH_ALLOW},
        {ONE("Deny", "\"NotPrincipal\":{\"AWS\":\"" ROLE "\"}", "s3:*", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", ROLE, AUTH_NO_OPINION},
        {ONE("Deny", "\"NotPrincipal\":{\"AWS\":\"" ROLE "\"}", "s3:*", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", ALICE, AUTH_DENY},
        {ONE("Allow", "\"Principal\":{\"AWS\":\"" SESSION "\"}", "s3:*", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", ROLE, AUTH_ALLOW},
        {ONE("Allow", "\"Principal\":{\"AWS\":\"" SESSION "0\"}", "s3:*", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", ROLE, AUTH_NO_OPINION},
        {ONE("Allow", "\"Principal\":{\"AWS\":\"" SESSION "\"}", "s3:*", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", ALICE, AUTH_NO_OPINION},
        {ONE("Deny", "\"NotPrincipal\":{\"AWS\":[\"" SESSION "\",\"" ROLE "\",\"000000000000\"]}", "s3:*", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", ROLE, AUTH_NO_OPINION},
        {ONE("Deny", "\"NotPrincipal\":{\"AWS\":[\"" SESSION "\",\"" ROLE "\",\"000000000000\"]}", "s3:*", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", ALICE, AUTH_DENY},
        {ONE("Allow", ANYBODY, "s3:*", "b/home/${aws:username}/*"), "s3:GetObject", "arn:aws:s3:::b/home/alice/x", ALICE, AUTH_ALLOW},
        {ONE("Allow", ANYBODY, "s3:*", "b/home/${aws:username}/*"), "s3:GetObject", "arn:aws:s3:::b/home/bob/x", ALICE, AUTH_NO_OPINION},
        {ONE("Allow", ANYBODY, "s3:*", "b/${aws:Referer}"), "s3:GetObject", "arn:aws:s3:::b/x", ALICE, AUTH_NO_OPINION},
        {ONE("Allow", ANYBODY, "s3:*", "b/${aws:Referer, 'x'}"), "s3:GetObject", "arn:aws:s3:::b/x", ALICE, AUTH_ALLOW},
        {ONE("Allow", ANYBODY, "s3:*", "b/${aws:UserAgent}"), "s3:GetObject", "arn:aws:s3:::b/abc", ALICE, AUTH_NO_OPINION},
        {ONE("Allow", ANYBODY, "s3:*", "b/${*}${?}${$}"), "s3:GetObject", "arn:aws:s3:::b/*?$", NULL, AUTH_ALLOW},
        {ONE("Allow", ANYBODY, "s3:*", "b/${*}"), "s3:GetObject", "arn:aws:s3:::b/x", NULL, AUTH_NO_OPINION},
        {"{\"Version\":\"2008-10-17\",\"Statement\":{\"Effect\":\"Allow\"," ANYBODY
         ",\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::b/${aws:username}\"}}", "s3:GetObject", "arn:aws:s3:::b/alice", ALICE, AUTH_NO_OPINION},
        {"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\"," ANYBODY
         ",\"NotAction\":\"s3:Delete*\",\"NotResource\":\"arn:aws:s3:::b/secret/*\"}]}", "s3:GetObject", "arn:aws:s3:::b/x", NULL, AUTH_ALLOW},
        {"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\"," ANYBODY
         ",\"NotAction\":\"s3:Delete*\",\"NotResource\":\"arn:aws:s3:::b/secret/*\"}]}", "s3:GetObject", "arn:aws:s3:::b/secret/x", NULL, AUTH_NO_OPINION},
        {"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\"," ANYBODY
         ",\"NotAction\":\"s3:Delete*\",\"NotResource\":\"arn:aws:s3:::b/${aws:Referer}/*\"}]}", "s3:GetObject", "arn:aws:s3:::b/x", NULL, AUTH_NO_OPINION},
        {"{\"Statement\":[{\"Effect\":\"Allow\"," ANYBODY ",\"Action\":\"s3:*\",\"Resource\":\"*\"},{\"Effect\":\"Deny\"," ANYBODY
         ",\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::b/x*\"}]}", "s3:GetObject", "arn:aws:s3:::b/xx", ALICE, AUTH_DENY},
    };
    static char context[] = "aws:username=alice;aws:UserAgent=*";
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum auth_verdict v = evaluate(rows[i].json, rows[i].action, rows[i].resource, rows[i].who, context);
        if (v != rows[i].verdict)
            fail_msg("row %zu: %s: %d", i, rows[i].json, (int)v);
    }
}

static void test_conditions(void **state)
{
    (void)state;
    static const struct {
        const char *condition;
        const char *context;
        bool holds;
    } rows[] = {
        /* Strings */
        {"\"StringEquals\":{\"s3:prefix\":[\"a\",\"b\"]}", "s3:prefix=b", true},
        {"\"StringEquals\":{\"S3:Prefix\":\"b\"}", "s3:prefix=b", true},
        {"\"StringEquals\":{\"s3:prefix\":\"*\"}", "s3:prefix=b", false},
        {"\"StringEquals\":{\"s3:prefix\":\"b\"}", "", false},
        {"\"StringEqualsIfExists\":{\"s3:prefix\":\"b\"}", "", true},
        {"\"StringEqualsIfExists\":{\"s3:prefix\":\"b\"}", "s3:prefix=c", false},
        {"\"StringNotEquals\":{\"s3:prefix\":[\"a\",\"b\"]}", "s3:prefix=b", false},
        {"\"StringNotEquals\":{\"s3:prefix\":[\"a\",\"b\"]}", "s3:prefix=c", true},
        {"\"StringNotEquals\":{\"s3:prefix\":\"b\"}", "", true},
        {"\"StringNotEqualsIfExists\":{\"s3:prefix\":\"b\"}", "", true},
        {"\"StringEqualsIgnoreCase\":{\"s3:prefix\":\"AbC\"}", "s3:prefix=aBc", true},
        {"\"StringNotEqualsIgnoreCase\":{\"s3:prefix\":\"AbC\"}", "s3:prefix=aBc", false},
        {"\"StringLike\":{\"s3:prefix\":\"a*c?\"}", "s3:prefix=abbcd", true},
        {"\"StringLike\":{\"s3:prefix\":\"a*\"}", "", false},
        {"\"StringNotLike\":{\"s3:prefix\":\"a*\"}", "s3:prefix=abc", false},
        {"\"StringNotLike\":{\"s3:prefix\":\"a*\"}", "", true},
        {"\"StringEquals\":{\"s3:prefix\":\"${aws:username}/\"}", "s3:prefix=alice/;aws:username=alice", true},
        {"\"StringEquals\":{\"s3:prefix\":\"${aws:username}/\"}", "s3:prefix=alice/", false},
        /* A comparison that cannot be made never allows. */
        {"\"StringNotEquals\":{\"s3:prefix\":\"${aws:username}/\"}", "s3:prefix=alice/", false},
        /* Numbers, dates */
        {"\"NumericLessThan\":{\"s3:TlsVersion\":1.2}", "s3:TlsVersion=1.1", true},
        {"\"NumericEquals\":{\"s3:TlsVersion\":1.1}", "s3:TlsVersion=1.1", true},
        {"\"NumericEquals\":{\"s3:max-keys\":10}", "s3:max-keys=10", true},
        {"\"NumericLessThanEquals\":{\"s3:max-keys\":\"10\"}", "s3:max-keys=11", false},
        {"\"NumericLessThan\":{\"s3:max-keys\":1.2}", "s3:max-keys=1.1", true},
        {"\"NumericGreaterThan\":{\"s3:max-keys\":\"-5\"}", "s3:max-keys=0", true},
        {"\"NumericGreaterThanEquals\":{\"s3:max-keys\":\"5\"}", "s3:max-keys=5", true},
        {"\"NumericNotEquals\":{\"s3:max-keys\":\"5\"}", "", true},
        {"\"NumericLessThan\":{\"s3:max-keys\":\"5\"}", "", false},
        {"\"NumericLessThan\":{\"s3:max-keys\":\"5\"}", "s3:max-keys=x", false},
        {"\"DateGreaterThan\":{\"aws:CurrentTime\":\"2020-01-01T00:00:00Z\"}", "aws:CurrentTime=2020-01-01T00:00:01Z", true},
        {"\"DateLessThan\":{\"aws:CurrentTime\":\"2020-01-01\"}", "aws:CurrentTime=2020-01-01T00:00:01Z", false},
        {"\"DateLessThan\":{\"aws:CurrentTime\":\"9999-12-31T23:59:59Z\"}", "aws:CurrentTime=2020-01-01T00:00:01Z", true},
        {"\"DateLessThan\":{\"aws:EpochTime\":\"9999999999\"}", "aws:EpochTime=1577836800", true},
        {"\"DateEquals\":{\"aws:EpochTime\":\"1577836800\"}", "aws:EpochTime=1577836800", true},
        {"\"DateNotEquals\":{\"aws:EpochTime\":\"1577836800\"}", "", true},
        {"\"DateLessThanEquals\":{\"aws:EpochTime\":\"1577836800\"}", "aws:EpochTime=1577836800", true},
        {"\"DateGreaterThanEquals\":{\"aws:EpochTime\":\"1577836801\"}", "aws:EpochTime=1577836800", false},
        /* Truth, presence, bytes */
        {"\"Bool\":{\"aws:SecureTransport\":\"true\"}", "aws:SecureTransport=true", true},
        {"\"Bool\":{\"aws:SecureTransport\":false}", "aws:SecureTransport=true", false},
        {"\"Bool\":{\"aws:SecureTransport\":false}", "", false},
        {"\"BoolIfExists\":{\"aws:SecureTransport\":false}", "", true},
        {"\"Null\":{\"s3:prefix\":\"true\"}", "", true},
        {"\"Null\":{\"s3:prefix\":\"true\"}", "s3:prefix=", false},
        {"\"Null\":{\"s3:prefix\":\"false\"}", "s3:prefix=x", true},
        {"\"Null\":{\"s3:prefix\":\"false\"}", "", false},
        {"\"BinaryEquals\":{\"s3:prefix\":\"QUJD\"}", "s3:prefix=QUJD", true},
        {"\"BinaryEquals\":{\"s3:prefix\":\"QUJD\"}", "s3:prefix=QUJE", false},
        /* Addresses */
        {"\"IpAddress\":{\"aws:SourceIp\":\"10.1.0.0/20\"}", "aws:SourceIp=10.1.15.255", true},
        {"\"IpAddress\":{\"aws:SourceIp\":\"10.1.0.0/20\"}", "aws:SourceIp=10.1.16.0", false},
        {"\"IpAddress\":{\"aws:SourceIp\":\"10.1.2.3\"}", "aws:SourceIp=::ffff:10.1.2.3", true},
        {"\"IpAddress\":{\"aws:SourceIp\":\"2001:db8::/33\"}", "aws:SourceIp=2001:db8:7fff::1", true},
        {"\"IpAddress\":{\"aws:SourceIp\":\"2001:db8::/33\"}", "aws:SourceIp=2001:db8:8000::1", false},
        {"\"IpAddress\":{\"aws:SourceIp\":\"0.0.0.0/0\"}", "aws:SourceIp=2001:db8::1", false},
        {"\"IpAddress\":{\"aws:SourceIp\":\"::/0\"}", "aws:SourceIp=2001:db8::1", true},
        {"\"IpAddress\":{\"aws:SourceIp\":\"::/32\"}", "aws:SourceIp=10.1.1.1", false}, /* a narrow range, not all of IPv4 */
        {"\"IpAddress\":{\"aws:SourceIp\":\"::/32\"}", "aws:SourceIp=::ffff:10.1.1.1", false},
        {"\"NotIpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}", "aws:SourceIp=10.1.1.1", false},
        {"\"NotIpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}", "", true},
        /* ARNs: a wildcard ends at a colon */
        {"\"ArnLike\":{\"aws:PrincipalArn\":\"arn:aws:iam::*:user/a*\"}", "aws:PrincipalArn=" ALICE, true},
        {"\"ArnEquals\":{\"aws:PrincipalArn\":\"arn:*:*:*:*:root\"}", "aws:PrincipalArn=" ALICE, false},
        {"\"ArnLike\":{\"aws:PrincipalArn\":\"arn:*:*:*:*:*\"}", "aws:PrincipalArn=arn:aws:iam", false},
        {"\"ArnNotLike\":{\"aws:PrincipalArn\":\"arn:aws:iam::*:user/a*\"}", "aws:PrincipalArn=" ALICE, false},
        {"\"ArnNotEquals\":{\"aws:PrincipalArn\":\"arn:aws:iam::*:user/a*\"}", "", true},
        /* Sets; negation is asked of each value (SEC-39) */
        {"\"ForAllValues:StringEquals\":{\"s3:RequestObjectTagKeys\":[\"a\",\"b\"]}", "s3:RequestObjectTagKeys=a|b", true},
        {"\"ForAllValues:StringEquals\":{\"s3:RequestObjectTagKeys\":[\"a\",\"b\"]}", "s3:RequestObjectTagKeys=a|c", false},
        {"\"ForAllValues:StringEquals\":{\"s3:RequestObjectTagKeys\":\"a\"}", "", true},
        {"\"ForAllValues:StringNotEquals\":{\"s3:RequestObjectTagKeys\":\"a\"}", "s3:RequestObjectTagKeys=b|c", true},
        {"\"ForAllValues:StringNotEquals\":{\"s3:RequestObjectTagKeys\":\"a\"}", "s3:RequestObjectTagKeys=a|c", false},
        {"\"ForAllValues:StringNotEquals\":{\"s3:RequestObjectTagKeys\":\"a\"}", "", true},
        {"\"ForAnyValue:StringEquals\":{\"s3:RequestObjectTagKeys\":\"a\"}", "s3:RequestObjectTagKeys=b|a", true},
        {"\"ForAnyValue:StringEquals\":{\"s3:RequestObjectTagKeys\":\"a\"}", "s3:RequestObjectTagKeys=b|c", false},
        {"\"ForAnyValue:StringEquals\":{\"s3:RequestObjectTagKeys\":\"a\"}", "", false},
        {"\"ForAnyValue:StringNotEquals\":{\"s3:RequestObjectTagKeys\":\"a\"}", "s3:RequestObjectTagKeys=a|b", true},
        {"\"ForAnyValue:StringNotEquals\":{\"s3:RequestObjectTagKeys\":\"a\"}", "s3:RequestObjectTagKeys=a", false},
        {"\"ForAnyValue:StringNotEquals\":{\"s3:RequestObjectTagKeys\":\"a\"}", "", false},
        {"\"ForAnyValue:StringLikeIfExists\":{\"s3:RequestObjectTagKeys\":\"a*\"}", "", true},
        {"\"StringNotEquals\":{\"s3:RequestObjectTagKeys\":\"a\"}", "s3:RequestObjectTagKeys=b|a", false},
        /* All blocks and all keys must hold. */
        {"\"StringEquals\":{\"s3:prefix\":\"a\",\"s3:delimiter\":\"/\"}", "s3:prefix=a;s3:delimiter=/", true},
        {"\"StringEquals\":{\"s3:prefix\":\"a\",\"s3:delimiter\":\"/\"}", "s3:prefix=a", false},
        {"\"StringEquals\":{\"s3:prefix\":\"a\"},\"Bool\":{\"aws:SecureTransport\":true}", "s3:prefix=a", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char json[1000], context[200];
        const char *action = strstr(rows[i].condition, "s3:RequestObjectTagKeys") ? "s3:PutObject" : "s3:ListBucket";
        snprintf(json, sizeof(json),
                 "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"%s\","
                 "\"Resource\":\"arn:aws:s3:::b*\",\"Condition\":{%s}}}",
                 action, rows[i].condition);
        snprintf(context, sizeof(context), "%s", rows[i].context);
        enum auth_verdict v = evaluate(json, action, "arn:aws:s3:::b/k", ALICE, context);
        if (v != (rows[i].holds ? AUTH_ALLOW : AUTH_NO_OPINION))
            fail_msg("%s with %s: %d", rows[i].condition, rows[i].context, (int)v);
    }
}

/* A key that the action does not have is absent, in conditions and in variables, whatever the request says. */
static void test_keys_of_other_actions(void **state)
{
    (void)state;
    static const struct {
        const char *effect, *rest, *action;
        enum auth_verdict verdict;
    } rows[] = {
        {"Allow", "\"Resource\":\"*\",\"Condition\":{\"StringEquals\":{\"s3:prefix\":\"x\"}}", "s3:ListBucket", AUTH_ALLOW},
        {"Allow", "\"Resource\":\"*\",\"Condition\":{\"StringEquals\":{\"s3:prefix\":\"x\"}}", "s3:GetBucketAcl", AUTH_NO_OPINION},
        {"Allow", "\"Resource\":\"*\",\"Condition\":{\"StringEquals\":{\"s3:prefix\":\"x\"}}", "s3:ListBucketMultipartUploads", AUTH_NO_OPINION},
        {"Deny", "\"Resource\":\"*\",\"Condition\":{\"StringNotEquals\":{\"s3:prefix\":\"x\"}}", "s3:GetBucketAcl", AUTH_DENY},
        {"Allow", "\"Resource\":\"arn:aws:s3:::b/${s3:x-amz-acl}\"", "s3:PutObject", AUTH_ALLOW},
        {"Allow", "\"Resource\":\"arn:aws:s3:::b/${s3:x-amz-acl}\"", "s3:GetObject", AUTH_NO_OPINION},
        {"Allow", "\"Resource\":\"arn:aws:s3:::b/${s3:x-amz-acl, 'k'}\"", "s3:GetObject", AUTH_ALLOW},
    };
    static char context[] = "s3:prefix=x;s3:x-amz-acl=k";
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char json[400];
        snprintf(json, sizeof(json), "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"%s\",\"Principal\":\"*\",\"Action\":\"s3:*\",%s}}",
                 rows[i].effect, rows[i].rest);
        enum auth_verdict v = evaluate(json, rows[i].action, "arn:aws:s3:::b/k", ALICE, context);
        if (v != rows[i].verdict)
            fail_msg("row %zu: %s: %d", i, json, (int)v);
    }
}

/* What only stored documents may have: such an action never fits, such a key is absent, such an exception is one. */
static void test_stored_without_sense(void **state)
{
    (void)state;
#define PREFIX(effect, operator, value) "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"" effect "\"," ANYBODY ",\"Action\":" \
    "\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::b/*\",\"Condition\":{\"" operator "\":{\"s3:prefix\":" value "}}}}"
#define ALL_BUT(who) ONE("Allow", "\"NotPrincipal\":{\"AWS\":\"" who "\"}", "s3:GetObject", "b/*")
    static const struct {
        const char *json, *action, *resource, *who;
        enum auth_verdict verdict;
    } rows[] = {
        {ONE("Allow", ANYBODY, "s3:GetObject", "b"), "s3:GetObject", "arn:aws:s3:::b/k", ALICE, AUTH_NO_OPINION},
        {ONE("Deny", ANYBODY, "s3:GetObject", "b"), "s3:GetObject", "arn:aws:s3:::b/k", ALICE, AUTH_NO_OPINION},
        {ONE("Allow", ANYBODY, "s3:ListBucket", "b/*"), "s3:ListBucket", "arn:aws:s3:::b", ALICE, AUTH_NO_OPINION},
        {ONE("Deny", ANYBODY, "s3:ListBucket", "b/*"), "s3:ListBucket", "arn:aws:s3:::b", ALICE, AUTH_NO_OPINION},
        {ONE("Allow", ANYBODY, "s3:Gone", "b/*"), "s3:GetObject", "arn:aws:s3:::b/k", ALICE, AUTH_NO_OPINION},
        {PREFIX("Allow", "StringEquals", "\"x\""), "s3:GetObject", "arn:aws:s3:::b/k", ALICE, AUTH_NO_OPINION},
        {PREFIX("Deny", "StringEquals", "\"x\""), "s3:GetObject", "arn:aws:s3:::b/k", ALICE, AUTH_NO_OPINION},
        {PREFIX("Deny", "StringNotEquals", "\"x\""), "s3:GetObject", "arn:aws:s3:::b/k", ALICE, AUTH_DENY},
        {PREFIX("Allow", "Null", "true"), "s3:GetObject", "arn:aws:s3:::b/k", ALICE, AUTH_ALLOW},
        {ALL_BUT(ALICE), "s3:GetObject", "arn:aws:s3:::b/k", ALICE, AUTH_NO_OPINION},
        {ALL_BUT(ALICE), "s3:GetObject", "arn:aws:s3:::b/k", BOB, AUTH_ALLOW},
        {ALL_BUT(ALICE), "s3:GetObject", "arn:aws:s3:::b/k", NULL, AUTH_ALLOW},
        {ALL_BUT("000000000000"), "s3:GetObject", "arn:aws:s3:::b/k", BOB, AUTH_NO_OPINION},
    };
    static char context[] = "s3:prefix=x";
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        enum auth_verdict v = evaluate_by(auth_policy_read, rows[i].json, rows[i].action, rows[i].resource, rows[i].who, context);
        if (v != rows[i].verdict)
            fail_msg("row %zu: %s: %d", i, rows[i].json, (int)v);
    }
}

/* One of the two texts is a bucket owner's, the other anybody's: together they may not keep a worker busy for seconds, and a comparison
 * that was given up is no way around a refusal. */
static void test_cost(void **state)
{
    (void)state;
    static const struct {
        const char *effect, *repeated, *tail; /* behind a "*" */
        bool is_too_much;
        enum auth_verdict verdict;
    } rows[] = {
        {"Allow", "?", "b", true, AUTH_DENY},
        {"Deny", "?", "b", true, AUTH_DENY},
        {"Allow", "?", "*", false, AUTH_ALLOW},
        {"Allow", "${aws:username}", "b", true, AUTH_DENY},
    };
    static char context[70000] = "aws:username=;aws:UserAgent=";
    memset(context + strlen(context), 'a', 60000);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buf json = buf_make(20000), error = buf_make(1000);
        struct auth_policy *policy = NULL;
        buf_addf(&json, "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"%s\"," ANYBODY ",\"Action\":\"s3:GetObject\",\"Resource\":"
                        "\"arn:aws:s3:::b/*\",\"Condition\":{\"StringLike\":{\"aws:UserAgent\":\"*", rows[i].effect);
        for (size_t k = 0; k < 500; k++)
            buf_addz(&json, rows[i].repeated);
        buf_addf(&json, "%s\"}}}}", rows[i].tail);
        assert_int_equal(auth_policy_parse(AUTH_POLICY_BUCKET, buf_str(&json), STR("b"), &policy, &error), 0);
        uint64_t steps = 1000000;
        const struct auth_policy_request r = {.action = STR("s3:GetObject"),
                                              .resource = STR("arn:aws:s3:::b/k"),
                                              .context = answer,
                                              .context_data = context,
                                              .steps = &steps};
        if (auth_policy_evaluate(policy, &r) != rows[i].verdict || (steps == 0) != rows[i].is_too_much)
            fail_msg("row %zu: %d steps left", i, (int)steps);
        auth_policy_unref(policy);
        buf_done(&json);
        buf_done(&error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_elements), cmocka_unit_test(test_conditions),
                                       cmocka_unit_test(test_keys_of_other_actions), cmocka_unit_test(test_stored_without_sense),
                                       cmocka_unit_test(test_cost)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
