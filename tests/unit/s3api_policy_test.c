#include "tests/support/s3_engine.h"
#include "tests/support/unit.h"

#include <fcntl.h>
#include <stdio.h>

#include "auth/policy.h"
#include "base/digest.h"
#include "base/encode.h"
#include "base/fd.h"
#include "s3api/op.h"

/* Bucket policies at work: who gets in by them, who is kept out, and that nothing goes around them. */

static struct s3_engine *engine;

static int set_up(void **state)
{
    (void)state;
    engine = s3_engine_new(NULL);
    assert_answer(s3_do(engine, "PUT", "/bkt", NULL), 200, NULL);
    assert_answer(s3_do(engine, "PUT", "/bkt/public/k", "content"), 200, NULL);
    assert_answer(s3_do(engine, "PUT", "/bkt/private/k", "secret"), 200, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    s3_engine_free(engine);
    return 0;
}

#define DOCUMENT(statements) "{\"Version\":\"2012-10-17\",\"Statement\":[" statements "]}"
#define STATEMENT(effect, who, action, resource, more)                                                                 \
    "{\"Effect\":\"" effect "\",\"Principal\":" who ",\"Action\":" action ",\"Resource\":" resource more "}"
#define ANYBODY "\"*\""
#define USER(name) "{\"AWS\":\"arn:aws:iam::000000000000:user/" name "\"}"
#define IN "\"arn:aws:s3:::bkt\""
#define ALL "\"arn:aws:s3:::bkt/*\""
#define PUBLIC "\"arn:aws:s3:::bkt/public/*\""
#define BOTH "[" IN "," ALL "]"
#define IF(condition) ",\"Condition\":{" condition "}"

static void put_policy(const char *document)
{
    assert_answer(s3_do(engine, "PUT", "/bkt?policy", document), 204, NULL);
}

/* who NULL: nobody. */
static struct s3_call call_by(const char *who, const char *method, const char *target)
{
    struct s3_call call = {.method = method, .target = target, .access_key = who};
    call.auth = who ? S3_CALL_SIGNED : S3_CALL_ANONYMOUS;
    if (strcmp(method, "PUT") == 0)
        call.body = STR("x");
    return call;
}

static int status_of(const char *who, const char *method, const char *target, const char *header)
{
    struct s3_call call = call_by(who, method, target);
    call.headers[0] = header;
    return s3_call(engine, &call)->status;
}

/* The document itself */

static void test_document(void **state)
{
    (void)state;
    static const char document[] = DOCUMENT(STATEMENT("Allow", ANYBODY, "\"s3:GetObject\"", ALL, ""));
    assert_answer(s3_do(engine, "GET", "/bkt?policy", NULL), 404, "NoSuchBucketPolicy");
    assert_str(s3_answer_element(s3_do(engine, "GET", "/bkt?policyStatus", NULL), "IsPublic"), "false");
    put_policy(document);
    const struct s3_answer *a = s3_do(engine, "GET", "/bkt?policy", NULL);
    assert_answer(a, 200, NULL);
    assert_str(a->body, document);
    assert_str(s3_answer_header(a, "content-type"), "application/json");
    assert_str(s3_answer_element(s3_do(engine, "GET", "/bkt?policyStatus", NULL), "IsPublic"), "true");
    put_policy(DOCUMENT(STATEMENT("Deny", ANYBODY, "\"s3:PutObject\"", ALL, "")));
    assert_str(s3_answer_element(s3_do(engine, "GET", "/bkt?policyStatus", NULL), "IsPublic"), "false");
    assert_answer(s3_do(engine, "DELETE", "/bkt?policy", NULL), 204, NULL);
    assert_answer(s3_do(engine, "GET", "/bkt?policy", NULL), 404, "NoSuchBucketPolicy");
}

/* SEC-30 */
static void test_refused_documents_are_not_kept(void **state)
{
    (void)state;
    static const char before[] = DOCUMENT(STATEMENT("Allow", ANYBODY, "\"s3:GetObject\"", PUBLIC, ""));
    put_policy(before);
    const struct s3_answer *a = s3_do(engine, "PUT", "/bkt?policy",
                                      DOCUMENT(STATEMENT("Allow", ANYBODY, "\"s3:GetObject\"", ALL,
                                                         IF("\"StringEquals\":{\"aws:SourceVpc\":\"v\"}"))));
    assert_answer(a, 400, "MalformedPolicy");
    assert_true(str_find(s3_answer_element(a, "Message"), STR("aws:SourceVpc")) >= 0);
    assert_answer(s3_do(engine, "PUT", "/bkt?policy", "not json"), 400, "MalformedPolicy");
    assert_str(s3_do(engine, "GET", "/bkt?policy", NULL)->body, before);
}

/* Every row that a policy can speak of has an action that there is (SEC-02). */
static void test_actions_of_all_rows(void **state)
{
    (void)state;
    struct arena *arena = s3_engine_arena(engine);
    for (size_t i = 0; i < s3_op_row_count; i++) {
        const struct s3_op_row *row = &s3_op_rows[i];
        const char *const names[] = {row->action, row->version_action, row->also_action, row->also_version_action};
        if (!row->action && !(row->flags & (S3_OP_ANONYMOUS | S3_OP_STS)) && strcmp(row->name, "CreateSession") != 0)
            fail_msg("%s has no action", row->name);
        for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
            struct auth_policy *policy = NULL;
            struct buf error = buf_make(1000);
            struct str json = arena_printf(arena, "{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"%s\",\"Resource\":\"*\"}}",
                                           names[k] ? names[k] : "s3:*");
            if (auth_policy_parse(AUTH_POLICY_IDENTITY, json, STR(""), &policy, &error) < 0)
                fail_msg("%s: %s", row->name, buf_z(&error));
            auth_policy_unref(policy);
            buf_done(&error);
        }
    }
}

/* Nobody in particular (SEC-40) */

static void test_anonymous_reading(void **state)
{
    (void)state;
    assert_int_equal(status_of(NULL, "GET", "/bkt/public/k", NULL), 403);
    put_policy(DOCUMENT(STATEMENT("Allow", ANYBODY, "\"s3:GetObject\"", PUBLIC, "")));
    struct s3_call get = call_by(NULL, "GET", "/bkt/public/k");
    const struct s3_answer *a = s3_call(engine, &get);
    assert_answer(a, 200, NULL);
    assert_str(a->body, "content");
    static const struct {
        const char *method, *target;
        int status;
    } rows[] = {
        {"HEAD", "/bkt/public/k", 200},
        {"GET", "/bkt/private/k", 403},
        {"GET", "/bkt/public/absent", 403}, /* who may not list learns nothing */
        {"GET", "/bkt/public/k?response-content-type=text/html", 400},
        {"GET", "/bkt/public/k?tagging", 403},
        {"GET", "/bkt/public/k?versionId=null", 403},
        {"GET", "/bkt", 403},
        {"GET", "/bkt?list-type=2&prefix=public/", 403},
        {"HEAD", "/bkt", 403},
        {"GET", "/bkt?policy", 403},
        {"PUT", "/bkt/public/new", 403},
        {"DELETE", "/bkt/public/k", 403},
        {"POST", "/bkt/public/k?uploads", 403},
        {"GET", "/", 403},
        {"GET", "/absent/public/k", 404},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int status = status_of(NULL, rows[i].method, rows[i].target, NULL);
        if (status != rows[i].status)
            fail_msg("%s %s: %d", rows[i].method, rows[i].target, status);
    }
    /* A wrong signature is no lack of one. */
    struct s3_call forged = {.method = "GET", .target = "/bkt/public/k", .auth = S3_CALL_FORGED};
    assert_answer(s3_call(engine, &forged), 403, "SignatureDoesNotMatch");
    assert_answer(s3_do(engine, "DELETE", "/bkt?policy", NULL), 204, NULL);
    assert_int_equal(status_of(NULL, "GET", "/bkt/public/k", NULL), 403);
}

static void test_anonymous_listing_and_writing(void **state)
{
    (void)state;
    put_policy(DOCUMENT(STATEMENT("Allow", ANYBODY, "[\"s3:ListBucket\",\"s3:GetObject\",\"s3:PutObject\"]", BOTH, "")));
    assert_int_equal(status_of(NULL, "GET", "/bkt?list-type=2", NULL), 200);
    assert_int_equal(status_of(NULL, "GET", "/bkt/public/absent", NULL), 404);
    assert_int_equal(status_of(NULL, "PUT", "/bkt/new", NULL), 200);
    assert_int_equal(status_of(NULL, "DELETE", "/bkt/new", NULL), 403);
    assert_int_equal(status_of(NULL, "GET", "/bkt?versions", NULL), 403);
    /* Tags by header are another permission (SEC-33). */
    assert_int_equal(status_of(NULL, "PUT", "/bkt/new", "x-amz-tagging: a=b"), 403);
}

/* Deny (SEC-34) */

static void test_deny_wins(void **state)
{
    (void)state;
    s3_engine_add_user(engine, "alice", NULL, false);
    put_policy(DOCUMENT(STATEMENT("Allow", ANYBODY, "\"s3:*\"", BOTH, "") "," STATEMENT(
        "Deny", ANYBODY, "\"s3:GetObject\"", "\"arn:aws:s3:::bkt/private/*\"", "")));
    assert_int_equal(status_of("alice", "GET", "/bkt/private/k", NULL), 403);
    assert_answer(s3_do(engine, "GET", "/bkt/private/k", NULL), 403, "AccessDenied");
    assert_int_equal(status_of(NULL, "GET", "/bkt/private/k", NULL), 403);
    assert_int_equal(status_of("alice", "GET", "/bkt/public/k", NULL), 200);
}

/* Who rules a bucket: its owner and administrators; others see to data only. */
static void test_policies_of_others(void **state)
{
    (void)state;
    static const char *const targets[] = {"?policy", "?acl", "?cors", "?tagging"};
    s3_engine_add_user(engine, "alice", NULL, false);
    s3_engine_add_user(engine, "bob", NULL, false);
    struct s3_call make = {.method = "PUT", .target = "/own", .access_key = "alice"};
    assert_answer(s3_call(engine, &make), 200, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        struct str own = arena_printf(s3_engine_arena(engine), "/own%s", targets[i]);
        struct str other = arena_printf(s3_engine_arena(engine), "/bkt%s", targets[i]);
        assert_int_equal(status_of("bob", "PUT", own.ptr, NULL), 403);
        assert_int_equal(status_of("alice", "PUT", other.ptr, NULL), 403);
        assert_int_not_equal(status_of("alice", "PUT", own.ptr, NULL), 403); /* but what the body deserves */
    }
    assert_int_equal(status_of("bob", "DELETE", "/own?policy", NULL), 403);
    assert_int_equal(status_of("bob", "PUT", "/own/k", NULL), 200);
    assert_int_equal(status_of("alice", "DELETE", "/own?policy", NULL), 204);
}

/* As AWS's root: the way back stays open to the owner and to administrators, to nobody else. */
static void test_nobody_is_locked_out_for_ever(void **state)
{
    (void)state;
    s3_engine_add_user(engine, "alice", NULL, false);
    s3_engine_add_user(engine, "bob", NULL, false);
    struct s3_call make = {.method = "PUT", .target = "/own", .access_key = "alice"};
    assert_answer(s3_call(engine, &make), 200, NULL);
    struct s3_call put = call_by("alice", "PUT", "/own?policy");
    put.body = STR("{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:*\","
                   "\"Resource\":[\"arn:aws:s3:::own\",\"arn:aws:s3:::own/*\"]}}");
    assert_answer(s3_call(engine, &put), 204, NULL);
    assert_int_equal(status_of("alice", "GET", "/own", NULL), 403);
    assert_int_equal(status_of("bob", "GET", "/own?policy", NULL), 403);
    assert_int_equal(status_of("bob", "DELETE", "/own?policy", NULL), 403);
    assert_int_equal(status_of("alice", "GET", "/own?policy", NULL), 200);
    assert_answer(s3_do(engine, "GET", "/own?policy", NULL), 200, NULL);
    assert_int_equal(status_of("alice", "DELETE", "/own?policy", NULL), 204);
    assert_int_equal(status_of("alice", "GET", "/own", NULL), 200);
}

/* As an earlier version, or somebody else, would have left it. */
static void store_policy(const char *document)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/bkt/.sluice/config/policy", s3_engine_root(engine));
    assert_int_equal(fd_write_file_atomic(AT_FDCWD, path, str_z(document), 0600), 0);
}

/* A document that nobody can read may have been a refusal. */
static void test_unreadable_policy_denies(void **state)
{
    (void)state;
    put_policy(DOCUMENT(STATEMENT("Allow", ANYBODY, "\"s3:*\"", BOTH, "")));
    assert_int_equal(status_of(NULL, "GET", "/bkt/public/k", NULL), 200);
    store_policy("{");
    assert_int_equal(status_of(NULL, "GET", "/bkt/public/k", NULL), 403);
    assert_answer(s3_do(engine, "GET", "/bkt/public/k", NULL), 403, "AccessDenied");
    assert_answer(s3_do(engine, "DELETE", "/bkt?policy", NULL), 204, NULL);
    assert_answer(s3_do(engine, "GET", "/bkt/public/k", NULL), 200, NULL);
}

/* One that could not be put today does what it says. */
static void test_policy_of_an_earlier_version(void **state)
{
    (void)state;
    static const char document[] = DOCUMENT(STATEMENT("Allow", ANYBODY, "[\"s3:GetObject\",\"s3:ListBucket\"]", ALL, "") ","
        STATEMENT("Allow", ANYBODY, "\"s3:PutObject\"", ALL, IF("\"StringEquals\":{\"s3:prefix\":\"x\"}")));
    put_policy(DOCUMENT(STATEMENT("Deny", ANYBODY, "\"s3:*\"", BOTH, "")));
    assert_int_equal(status_of(NULL, "GET", "/bkt/public/k", NULL), 403);
    assert_answer(s3_do(engine, "PUT", "/bkt?policy", document), 400, "MalformedPolicy");
    store_policy(document);
    assert_int_equal(status_of(NULL, "GET", "/bkt/public/k", NULL), 200);
    assert_int_equal(status_of(NULL, "GET", "/bkt", NULL), 403);
    assert_int_equal(status_of(NULL, "PUT", "/bkt/public/new?prefix=x", NULL), 403);
    assert_answer(s3_do(engine, "GET", "/bkt/public/k", NULL), 200, NULL);
    assert_str(s3_do(engine, "GET", "/bkt?policy", NULL)->body, document);
}

/* Users */

static void test_user_of_another_bucket(void **state)
{
    (void)state;
    s3_engine_add_user(engine, "limited", "other", false);
    s3_engine_add_user(engine, "reader", "other", true);
    assert_int_equal(status_of("limited", "GET", "/bkt/public/k", NULL), 403);
    put_policy(DOCUMENT(STATEMENT("Allow", USER("limited"), "\"s3:*\"", ALL, "") "," STATEMENT(
        "Allow", USER("reader"), "\"s3:*\"", ALL, "")));
    assert_int_equal(status_of("limited", "GET", "/bkt/public/k", NULL), 200);
    assert_int_equal(status_of("limited", "PUT", "/bkt/new", NULL), 200);
    assert_int_equal(status_of("limited", "GET", "/bkt", NULL), 403);
    assert_int_equal(status_of("reader", "GET", "/bkt/public/k", NULL), 200);
    assert_int_equal(status_of("reader", "PUT", "/bkt/new", NULL), 403); /* read-only whatever others grant */
    assert_int_equal(status_of(NULL, "GET", "/bkt/public/k", NULL), 403);
}

/* PublicAccessBlock (SEC-40) */

#define BLOCK(elements) "<PublicAccessBlockConfiguration>" elements "</PublicAccessBlockConfiguration>"

static void put_block(const char *document, int status)
{
    assert_int_equal(s3_put_document(engine, "/bkt?publicAccessBlock", document)->status, status);
}

static void test_public_block_document(void **state)
{
    (void)state;
    assert_answer(s3_do(engine, "GET", "/bkt?publicAccessBlock", NULL), 404, "NoSuchPublicAccessBlockConfiguration");
    put_block(BLOCK("<BlockPublicPolicy>TRUE</BlockPublicPolicy><IgnorePublicAcls>false</IgnorePublicAcls>"), 200);
    const struct s3_answer *a = s3_do(engine, "GET", "/bkt?publicAccessBlock", NULL);
    assert_str(s3_answer_element(a, "BlockPublicPolicy"), "true");
    assert_str(s3_answer_element(a, "BlockPublicAcls"), "false");
    assert_str(s3_answer_element(a, "IgnorePublicAcls"), "false");
    assert_str(s3_answer_element(a, "RestrictPublicBuckets"), "false");
    put_block(BLOCK("<BlockPublicPolicy>perhaps</BlockPublicPolicy>"), 400);
    put_block(BLOCK("<BlockEverything>true</BlockEverything>"), 400);
    put_block("<Other/>", 400);
    assert_str(s3_answer_element(s3_do(engine, "GET", "/bkt?publicAccessBlock", NULL), "BlockPublicPolicy"), "true");
    assert_answer(s3_do(engine, "DELETE", "/bkt?publicAccessBlock", NULL), 204, NULL);
    assert_answer(s3_do(engine, "GET", "/bkt?publicAccessBlock", NULL), 404, "NoSuchPublicAccessBlockConfiguration");
}

static void test_public_policies_are_blocked(void **state)
{
    (void)state;
    static const char public[] = DOCUMENT(STATEMENT("Allow", ANYBODY, "\"s3:GetObject\"", ALL, ""));
    static const char others[] = DOCUMENT(STATEMENT("Allow", USER("alice"), "\"s3:GetObject\"", ALL, "") "," STATEMENT(
        "Allow", ANYBODY, "\"s3:GetObject\"", ALL, IF("\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}")));
    put_block(BLOCK("<BlockPublicPolicy>true</BlockPublicPolicy>"), 200);
    assert_answer(s3_do(engine, "PUT", "/bkt?policy", public), 403, "AccessDenied");
    assert_answer(s3_do(engine, "GET", "/bkt?policy", NULL), 404, "NoSuchBucketPolicy");
    put_policy(others);
    put_block(BLOCK("<BlockPublicPolicy>false</BlockPublicPolicy>"), 200);
    put_policy(public);
    /* One that is there already goes on to count. */
    put_block(BLOCK("<BlockPublicPolicy>true</BlockPublicPolicy>"), 200);
    assert_int_equal(status_of(NULL, "GET", "/bkt/public/k", NULL), 200);
}

static void test_public_buckets_are_restricted(void **state)
{
    (void)state;
    s3_engine_add_user(engine, "limited", "other", false);
    put_policy(DOCUMENT(STATEMENT("Allow", ANYBODY, "[\"s3:GetObject\",\"s3:ListBucket\",\"s3:PutObject\"]", BOTH, "")));
    static const struct {
        const char *method, *target, *header;
    } rows[] = {
        {"GET", "/bkt/public/k", NULL},
        {"HEAD", "/bkt/public/k", NULL},
        {"GET", "/bkt", NULL},
        {"HEAD", "/bkt", NULL},
        {"PUT", "/bkt/new", NULL},
        {"POST", "/bkt/new?uploads", NULL},
        {"GET", "/bkt/public/k", "If-Modified-Since: Tue, 01 Jan 2030 00:00:00 GMT"},
    };
    put_block(BLOCK("<RestrictPublicBuckets>true</RestrictPublicBuckets>"), 200);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(status_of(NULL, rows[i].method, rows[i].target, rows[i].header), 403);
        assert_int_not_equal(status_of("limited", rows[i].method, rows[i].target, rows[i].header), 403);
    }
    assert_str(s3_answer_element(s3_do(engine, "GET", "/bkt?policyStatus", NULL), "IsPublic"), "true");
    assert_answer(s3_do(engine, "DELETE", "/bkt?publicAccessBlock", NULL), 204, NULL);
    assert_int_equal(status_of(NULL, "GET", "/bkt/public/k", NULL), 200);
    /* One that cannot be read blocks. */
    char command[300];
    put_block(BLOCK("<RestrictPublicBuckets>false</RestrictPublicBuckets>"), 200);
    snprintf(command, sizeof(command), "echo nonsense > %s/bkt/.sluice/config/public-block", s3_engine_root(engine));
    assert_int_equal(system(command), 0);
    assert_int_equal(status_of(NULL, "GET", "/bkt/public/k", NULL), 403);
}

/* The gateway's default, and a bucket that has its own. */
static void test_public_access_is_blocked_by_default(void **state)
{
    (void)state;
    static const char public[] = DOCUMENT(STATEMENT("Allow", ANYBODY, "\"s3:GetObject\"", ALL, ""));
    struct s3_engine *open = engine;
    struct s3_engine_options options = {.block_public_access = true};
    engine = s3_engine_new(&options);
    assert_answer(s3_do(engine, "PUT", "/bkt", NULL), 200, NULL);
    assert_str(s3_answer_element(s3_do(engine, "GET", "/bkt?publicAccessBlock", NULL), "RestrictPublicBuckets"), "true");
    assert_answer(s3_do(engine, "PUT", "/bkt?policy", public), 403, "AccessDenied");
    put_block(BLOCK(""), 200);
    put_policy(public);
    s3_engine_free(engine);
    engine = open;
}

/* Conditions */

static void test_conditions(void **state)
{
    (void)state;
    static const struct {
        const char *action, *resource, *condition;
        const char *method, *target, *header;
        int status;
    } rows[] = {
        {"s3:ListBucket", IN, "\"StringLike\":{\"s3:prefix\":\"public/*\"}", "GET", "/bkt?list-type=2&prefix=public/", NULL, 200},
        {"s3:ListBucket", IN, "\"StringLike\":{\"s3:prefix\":\"public/*\"}", "GET", "/bkt?list-type=2&prefix=priv", NULL, 403},
        {"s3:ListBucket", IN, "\"StringLike\":{\"s3:prefix\":\"public/*\"}", "GET", "/bkt?list-type=2", NULL, 403},
        {"s3:ListBucket", IN, "\"StringEquals\":{\"s3:prefix\":\"\"}", "GET", "/bkt?prefix=", NULL, 200},
        {"s3:ListBucket", IN, "\"StringEquals\":{\"s3:delimiter\":\"/\"}", "GET", "/bkt?delimiter=/", NULL, 200},
        {"s3:ListBucket", IN, "\"StringEquals\":{\"s3:delimiter\":\"/\"}", "GET", "/bkt", NULL, 403},
        {"s3:ListBucket", IN, "\"NumericLessThanEquals\":{\"s3:max-keys\":\"10\"}", "GET", "/bkt?max-keys=10", NULL, 200},
        {"s3:ListBucket", IN, "\"NumericLessThanEquals\":{\"s3:max-keys\":\"10\"}", "GET", "/bkt?max-keys=11", NULL, 403},
        /* What only listings have, objects do not get by adding it. */
        {"s3:*", "[" IN "," ALL "]", "\"StringLike\":{\"s3:prefix\":\"public/*\"}", "GET", "/bkt?prefix=public/", NULL, 200},
        {"s3:*", "[" IN "," ALL "]", "\"StringLike\":{\"s3:prefix\":\"public/*\"}", "GET", "/bkt/private/k?prefix=public/", NULL, 403},
        {"s3:*", "[" IN "," ALL "]", "\"StringLike\":{\"s3:prefix\":\"public/*\"}", "GET", "/bkt?acl&prefix=public/", NULL, 403},
        {"s3:*", "[" IN "," ALL "]", "\"StringLike\":{\"s3:prefix\":\"public/*\"}", "GET", "/bkt?uploads&prefix=public/", NULL, 403},
        {"s3:*Object", ALL, "\"StringEquals\":{\"s3:x-amz-acl\":\"private\"}", "GET", "/bkt/private/k", "x-amz-acl: private", 403},
        {"s3:GetObject", ALL, "\"Null\":{\"s3:TlsVersion\":\"true\"}", "GET", "/bkt/public/k", "tls-version: 1.3", 200},
        {"s3:GetObject", ALL, "\"IpAddress\":{\"aws:SourceIp\":\"127.0.0.0/8\"}", "GET", "/bkt/public/k", NULL, 200},
        {"s3:GetObject", ALL, "\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}", "GET", "/bkt/public/k", "x-forwarded-for: 10.0.0.1", 403},
        {"s3:GetObject", ALL, "\"Bool\":{\"aws:SecureTransport\":\"true\"}", "GET", "/bkt/public/k", "aws-securetransport: true", 403},
        {"s3:GetObject", ALL, "\"StringEquals\":{\"aws:Referer\":\"http://me\"}", "GET", "/bkt/public/k", "Referer: http://me", 200},
        {"s3:GetObject", ALL, "\"StringEquals\":{\"aws:Referer\":\"http://me\"}", "GET", "/bkt/public/k", NULL, 403},
        {"s3:GetObject", ALL, "\"StringLike\":{\"aws:UserAgent\":\"curl/*\"}", "GET", "/bkt/public/k", "User-Agent: curl/8", 200},
        {"s3:GetObject", ALL, "\"DateLessThan\":{\"aws:CurrentTime\":\"2001-01-01T00:00:00Z\"}", "GET", "/bkt/public/k", NULL, 403},
        {"s3:GetObject", ALL, "\"DateGreaterThan\":{\"aws:CurrentTime\":\"2001-01-01T00:00:00Z\"}", "GET", "/bkt/public/k", NULL, 200},
        {"s3:GetObject", ALL, "\"Null\":{\"aws:username\":\"true\"}", "GET", "/bkt/public/k", NULL, 200},
        {"s3:GetObject", ALL, "\"StringEquals\":{\"aws:PrincipalType\":\"Anonymous\"}", "GET", "/bkt/public/k", NULL, 200},
        {"s3:GetObject", ALL, "\"StringEquals\":{\"s3:authType\":\"REST-HEADER\"}", "GET", "/bkt/public/k", NULL, 403},
        {"s3:PutObject", ALL, "\"StringEquals\":{\"s3:if-none-match\":\"*\"}", "PUT", "/bkt/c1", "If-None-Match: *", 200},
        {"s3:PutObject", ALL, "\"StringEquals\":{\"s3:if-none-match\":\"*\"}", "PUT", "/bkt/c2", NULL, 403},
        /* AWS's way to have no object replaced; another value than "*" would replace it. */
        {"s3:PutObject", ALL, "\"Null\":{\"s3:if-none-match\":\"false\"}", "PUT", "/bkt/c7", "If-None-Match: *", 200},
        {"s3:PutObject", ALL, "\"Null\":{\"s3:if-none-match\":\"false\"}", "PUT", "/bkt/c7", "If-None-Match: \"x\"", 403},
        {"s3:PutObject", ALL, "\"Null\":{\"s3:if-none-match\":\"false\"}", "PUT", "/bkt/c7", "If-None-Match: ", 403},
        {"s3:PutObject", ALL, "\"StringEquals\":{\"s3:x-amz-acl\":\"bucket-owner-full-control\"}", "PUT", "/bkt/c3", NULL, 403},
        {"s3:PutObject*", ALL, "\"StringEquals\":{\"s3:x-amz-acl\":\"bucket-owner-full-control\"}", "PUT", "/bkt/c3",
         "x-amz-acl: bucket-owner-full-control", 200},
        /* A list by header is another permission (SEC-33). */
        {"s3:PutObject", ALL, "\"StringEquals\":{\"s3:x-amz-acl\":\"bucket-owner-full-control\"}", "PUT", "/bkt/c3",
         "x-amz-acl: bucket-owner-full-control", 403},
        {"s3:PutObject", ALL, "\"Bool\":{\"s3:ObjectCreationOperation\":\"true\"}", "PUT", "/bkt/c6", NULL, 200},
        {"s3:PutObject", ALL, "\"Bool\":{\"s3:ObjectCreationOperation\":\"true\"}", "POST", "/bkt/c6?uploads", NULL, 403},
        {"s3:PutObject", ALL, "\"Bool\":{\"s3:ObjectCreationOperation\":\"false\"}", "POST", "/bkt/c6?uploads", NULL, 200},
        {"s3:PutObject*", ALL, "\"StringEquals\":{\"s3:RequestObjectTag/team\":\"red\"}", "PUT", "/bkt/c4", "x-amz-tagging: team=red", 200},
        {"s3:PutObject*", ALL, "\"StringEquals\":{\"s3:RequestObjectTag/team\":\"red\"}", "PUT", "/bkt/c4", "x-amz-tagging: team=blue", 403},
        {"s3:PutObject*", ALL, "\"ForAllValues:StringEquals\":{\"s3:RequestObjectTagKeys\":[\"team\"]}", "PUT", "/bkt/c5",
         "x-amz-tagging: team=red&other=1", 403},
        {"s3:GetObject", ALL, "\"StringEquals\":{\"s3:ExistingObjectTag/team\":\"red\"}", "GET", "/bkt/tagged", NULL, 200},
        {"s3:GetObject", ALL, "\"StringEquals\":{\"s3:ExistingObjectTag/Team\":\"red\"}", "GET", "/bkt/tagged", NULL, 403},
        {"s3:GetObject", ALL, "\"StringEquals\":{\"s3:ExistingObjectTag/team\":\"red\"}", "GET", "/bkt/public/k", NULL, 403},
    };
    struct s3_call tagged = {.method = "PUT", .target = "/bkt/tagged", .headers = {"x-amz-tagging: team=red"}, .body = STR("x")};
    assert_answer(s3_call(engine, &tagged), 200, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char document[1000];
        snprintf(document, sizeof(document), DOCUMENT(STATEMENT("Allow", ANYBODY, "\"%s\"", "%s", IF("%s"))),
                 rows[i].action, rows[i].resource, rows[i].condition);
        put_policy(document);
        int status = status_of(NULL, rows[i].method, rows[i].target, rows[i].header);
        if (status != rows[i].status)
            fail_msg("%s with %s %s %s: %d", rows[i].condition, rows[i].method, rows[i].target,
                     rows[i].header ? rows[i].header : "", status);
    }
}

/* What the signature says; presigned URLs of a certain age. */
static void test_signature_conditions(void **state)
{
    (void)state;
    put_policy(DOCUMENT(STATEMENT("Deny", ANYBODY, "\"s3:GetObject\"", ALL, IF("\"NumericGreaterThan\":{\"s3:signatureAge\":60000}"))));
    struct s3_call call = {.method = "GET", .target = "/bkt/public/k", .auth = S3_CALL_PRESIGNED};
    assert_answer(s3_call(engine, &call), 200, NULL);
    call.age_s = 100;
    assert_answer(s3_call(engine, &call), 403, "AccessDenied");
    put_policy(DOCUMENT(STATEMENT("Deny", ANYBODY, "\"s3:*\"", ALL, IF("\"StringNotEquals\":{\"s3:authType\":\"REST-HEADER\"}"))));
    call.age_s = 0;
    assert_answer(s3_call(engine, &call), 403, "AccessDenied");
    assert_answer(s3_do(engine, "GET", "/bkt/public/k", NULL), 200, NULL);
    /* A presigned URL leaves its body unsigned, without a header that says so. */
    put_policy(DOCUMENT(STATEMENT("Deny", ANYBODY, "\"s3:PutObject\"", ALL, IF("\"StringEquals\":{\"s3:x-amz-content-sha256\":\"UNSIGNED-PAYLOAD\"}"))));
    call.method = "PUT";
    call.body = STR("x");
    assert_answer(s3_call(engine, &call), 403, "AccessDenied");
    call.auth = S3_CALL_SIGNED;
    call.wire = S3_WIRE_SHA256;
    assert_answer(s3_call(engine, &call), 200, NULL);
}

static void test_tls_conditions(void **state)
{
    (void)state;
    put_policy(DOCUMENT(STATEMENT("Allow", ANYBODY, "\"s3:GetObject\"", ALL, IF("\"NumericGreaterThanEquals\":{\"s3:TlsVersion\":1.3}"))));
    struct s3_call call = call_by(NULL, "GET", "/bkt/public/k");
    assert_answer(s3_call(engine, &call), 403, "AccessDenied");
    call.tls = "TLSv1.2";
    assert_answer(s3_call(engine, &call), 403, "AccessDenied");
    call.tls = "TLSv1.3";
    assert_answer(s3_call(engine, &call), 200, NULL);
}

/* That a key is absent shows to those who may list it: under that prefix, in that bucket. */
static void test_absent_keys(void **state)
{
    (void)state;
    s3_engine_add_user(engine, "limited", "own", false);
    assert_answer(s3_do(engine, "PUT", "/own", NULL), 200, NULL);
    put_policy(DOCUMENT(STATEMENT("Allow", ANYBODY, "\"s3:ListBucket\"", IN, IF("\"StringLike\":{\"s3:prefix\":\"public/*\"}")) "," STATEMENT(
        "Allow", ANYBODY, "[\"s3:GetObject\",\"s3:PutObject\",\"s3:DeleteObject\"]", ALL, "")));
    assert_int_equal(status_of("limited", "GET", "/bkt/public/absent", NULL), 404);
    assert_int_equal(status_of("limited", "HEAD", "/bkt/public/absent", NULL), 404);
    assert_int_equal(status_of("limited", "GET", "/bkt/private/absent", NULL), 403);
    assert_int_equal(status_of("limited", "GET", "/bkt/private/absent?prefix=public/", NULL), 403);
    assert_int_equal(status_of("limited", "GET", "/own/absent", NULL), 404);
    /* Of the source, not of the target, which the caller may list. */
    assert_int_equal(status_of("limited", "PUT", "/own/copy", "x-amz-copy-source: bkt/private/absent"), 403);
    assert_int_equal(status_of("limited", "PUT", "/own/copy", "x-amz-copy-source: bkt/public/absent"), 404);
    assert_int_equal(status_of("limited", "PUT", "/bkt/private/copy", "x-amz-copy-source: bkt/public/absent"), 404);
    assert_int_equal(status_of("limited", "PUT", "/bkt/public/moved?renameObject", "x-amz-rename-source: private/absent"), 403);
    assert_int_equal(status_of("limited", "PUT", "/bkt/private/moved?renameObject", "x-amz-rename-source: public/absent"), 404);
    assert_int_equal(status_of("limited", "DELETE", "/bkt/private/absent", "If-Match: \"x\""), 403);
}

/* A new name makes an object appear as a PUT does. */
static void test_renames_create(void **state)
{
    (void)state;
    s3_engine_add_user(engine, "alice", NULL, false);
    put_policy(DOCUMENT(STATEMENT("Deny", ANYBODY, "\"s3:PutObject\"", ALL,
                                  IF("\"Null\":{\"s3:if-none-match\":\"true\"},\"Bool\":{\"s3:ObjectCreationOperation\":\"true\"}"))));
    struct s3_call call = call_by("alice", "PUT", "/bkt/moved?renameObject");
    call.body = STR_EMPTY;
    call.headers[0] = "x-amz-rename-source: public/k";
    assert_answer(s3_call(engine, &call), 403, "AccessDenied");
    call.headers[1] = "If-None-Match: *";
    assert_answer(s3_call(engine, &call), 200, NULL);
}

/* Beyond one key */

static struct s3_answer *delete_as(const char *who, const char *body, const char *more)
{
    uint8_t md5[DIGEST_SIZE_MAX];
    struct buf header = buf_make(100);
    digest_bytes(DIGEST_MD5, str_z(body), md5);
    buf_addz(&header, "Content-MD5: ");
    buf_add_base64(&header, md5, 16);
    struct s3_call call = call_by(who, "POST", "/bkt?delete");
    call.headers[0] = buf_z(&header);
    call.headers[1] = more;
    call.body = str_z(body);
    struct s3_answer *a = s3_call(engine, &call);
    buf_done(&header);
    return a;
}

/* The ETag that a key must have stands in the body, and is the condition "if-match" of that key. */
static void test_conditions_of_a_batch(void **state)
{
    (void)state;
    put_policy(DOCUMENT(STATEMENT("Allow", ANYBODY, "\"s3:DeleteObject\"", ALL, IF("\"Null\":{\"s3:if-match\":\"false\"}"))));
    const struct s3_answer *a = delete_as(NULL, "<Delete><Object><Key>public/k</Key></Object><Object><Key>private/k</Key><ETag>*</ETag></Object>"
                                                "<Object><Key>absent</Key><ETag>*</ETag></Object></Delete>",
                                          "If-Match: *"); /* which is for none of them */
    assert_answer(a, 200, NULL);
    assert_int_equal(s3_answer_count(a, "Deleted"), 1);
    assert_int_equal(s3_answer_count(a, "Error"), 2);
    assert_true(str_find(a->body, STR("NoSuchKey")) < 0); /* nobody may list it */
    assert_answer(s3_do(engine, "HEAD", "/bkt/private/k", NULL), 404, "NoSuchKey");
    assert_answer(s3_do(engine, "HEAD", "/bkt/public/k", NULL), 200, NULL);
}

/* Whoever may write only learns nothing of what is there: neither a guess at its ETag nor one at its size is answered, whatever the
 * request does then. */
static void test_conditions_tell_nothing_of_the_content(void **state)
{
    (void)state;
    static const struct {
        const char *method, *header;
        int status;
    } rows[] = {
        {"PUT", "If-Match: \"9a0364b9e99bb480dd25e1f0284c8555\"", 403}, {"PUT", "If-Match: \"x\"", 403},
        {"PUT", "If-None-Match: \"x\"", 403},                         {"PUT", "If-None-Match: *", 412},
        {"PUT", "If-Match: *", 200},                                  {"DELETE", "If-Match: \"x\"", 403},
        {"DELETE", "x-amz-if-match-size: 1", 403},                    {"DELETE", "x-amz-if-match-last-modified-time: 2001-01-01T00:00:00Z", 403},
        {"DELETE", "If-Match: *", 204},
    };
    put_policy(DOCUMENT(STATEMENT("Allow", ANYBODY, "[\"s3:PutObject\",\"s3:DeleteObject\"]", ALL, "")));
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int status = status_of(NULL, rows[i].method, "/bkt/private/k", rows[i].header);
        if (status != rows[i].status)
            fail_msg("%s with %s: %d", rows[i].method, rows[i].header, status);
    }
    static const char body[] = "<Delete><Object><Key>public/k</Key><ETag>x</ETag></Object><Object><Key>public/k</Key><Size>7</Size></Object></Delete>";
    const struct s3_answer *a = delete_as(NULL, body, NULL);
    assert_int_equal(s3_answer_count(a, "Error"), 2);
    assert_str(s3_answer_element(a, "Code"), "AccessDenied");
    put_policy(DOCUMENT(STATEMENT("Allow", ANYBODY, "[\"s3:PutObject\",\"s3:GetObject\"]", ALL, "")));
    assert_int_equal(status_of(NULL, "PUT", "/bkt/public/k", "If-Match: \"x\""), 412);
}

static void test_each_key_of_a_batch(void **state)
{
    (void)state;
    static const char body[] = "<Delete><Object><Key>public/k</Key></Object><Object><Key>private/k</Key></Object>"
                               "<Object><Key>private/k</Key><VersionId>null</VersionId></Object></Delete>";
    assert_answer(delete_as(NULL, body, NULL), 403, "AccessDenied");
    put_policy(DOCUMENT(STATEMENT("Allow", ANYBODY, "\"s3:DeleteObject\"", PUBLIC, "") "," STATEMENT(
        "Deny", ANYBODY, "\"s3:DeleteObject\"", "\"arn:aws:s3:::bkt/private/*\"", "")));
    s3_engine_add_user(engine, "alice", NULL, false);
    for (int round = 0; round < 2; round++) {
        const struct s3_answer *a = delete_as(round == 0 ? NULL : "alice", body, NULL);
        assert_answer(a, 200, NULL);
        assert_int_equal(s3_answer_count(a, "Deleted"), 1);
        assert_int_equal(s3_answer_count(a, "Error"), 2);
        assert_str(s3_answer_element(a, "Code"), "AccessDenied");
    }
    assert_answer(s3_do(engine, "HEAD", "/bkt/private/k", NULL), 200, NULL);
    assert_answer(s3_do(engine, "HEAD", "/bkt/public/k", NULL), 404, "NoSuchKey");
}

/* The tags of a body are conditions too, decided when it has been read. */
static void test_tags_in_a_body(void **state)
{
    (void)state;
    static const char red[] = "<Tagging><TagSet><Tag><Key>team</Key><Value>red</Value></Tag></TagSet></Tagging>";
    static const char blue[] = "<Tagging><TagSet><Tag><Key>team</Key><Value>blue</Value></Tag></TagSet></Tagging>";
    put_policy(DOCUMENT(STATEMENT("Deny", ANYBODY, "\"s3:PutObjectTagging\"", ALL,
                                  IF("\"StringNotEquals\":{\"s3:RequestObjectTag/team\":\"red\"}"))));
    struct s3_call call = {.method = "PUT", .target = "/bkt/public/k?tagging", .wire = S3_WIRE_SHA256};
    struct buf header = buf_make(100);
    for (int i = 0; i < 2; i++) {
        uint8_t md5[DIGEST_SIZE_MAX];
        call.body = str_z(i == 0 ? red : blue);
        digest_bytes(DIGEST_MD5, call.body, md5);
        buf_reset(&header);
        buf_addz(&header, "Content-MD5: ");
        buf_add_base64(&header, md5, 16);
        call.headers[0] = buf_z(&header);
        assert_answer(s3_call(engine, &call), i == 0 ? 200 : 403, i == 0 ? NULL : "AccessDenied");
    }
    buf_done(&header);
    assert_true(str_find(s3_do(engine, "GET", "/bkt/public/k?tagging", NULL)->body, STR("red")) >= 0);
}

/* Tags that a copy would ignore satisfy no condition on those it has. */
static void test_tags_of_a_copy(void **state)
{
    (void)state;
    s3_engine_add_user(engine, "alice", NULL, false);
    put_policy(DOCUMENT(STATEMENT("Deny", ANYBODY, "\"s3:PutObject\"", ALL, IF("\"StringNotEquals\":{\"s3:RequestObjectTag/team\":\"red\"}"))));
    struct s3_call call = call_by("alice", "PUT", "/bkt/copy");
    call.body = STR_EMPTY;
    call.headers[0] = "x-amz-copy-source: bkt/public/k";
    call.headers[1] = "x-amz-tagging: team=red";
    assert_answer(s3_call(engine, &call), 403, "AccessDenied");
    call.headers[2] = "x-amz-tagging-directive: COPY";
    assert_answer(s3_call(engine, &call), 403, "AccessDenied");
    call.headers[2] = "x-amz-tagging-directive: REPLACE";
    assert_answer(s3_call(engine, &call), 200, NULL);
    call.target = "/bkt/renamed?renameObject";
    call.headers[0] = "x-amz-rename-source: public/k";
    call.headers[2] = NULL;
    assert_answer(s3_call(engine, &call), 403, "AccessDenied");
}

static int upload_in_parts(const char *beginning, const char *later)
{
    struct arena *arena = s3_engine_arena(engine);
    struct s3_call begin = {.method = "POST", .target = "/bkt/parts?uploads", .headers = {beginning}};
    const struct s3_answer *a = s3_call(engine, &begin);
    assert_answer(a, 200, NULL);
    struct str id = arena_dup(arena, s3_answer_element(a, "UploadId"));
    const char *target = arena_printf(arena, "/bkt/parts?partNumber=1&uploadId=%.*s", STR_ARG(id)).ptr;
    struct s3_call part = {.method = "PUT", .target = target, .headers = {later}, .body = STR("x"), .access_key = "alice"};
    a = s3_call(engine, &part);
    if (a->status != 200)
        return a->status;
    struct str tag = arena_dup(arena, s3_answer_header(a, "etag"));
    struct s3_call end = {
        .method = "POST",
        .target = arena_printf(arena, "/bkt/parts?uploadId=%.*s", STR_ARG(id)).ptr,
        .headers = {later},
        .body = arena_printf(arena, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%.*s</ETag></Part></CompleteMultipartUpload>",
                             STR_ARG(tag)),
        .access_key = "alice",
    };
    return s3_call(engine, &end)->status;
}

/* What an object will be is said when its upload begins: parts and the end are judged by that, and not by headers of theirs, which
 * would do nothing. */
static void test_parts_are_judged_by_their_upload(void **state)
{
    (void)state;
    s3_engine_add_user(engine, "alice", NULL, false);
    static const struct {
        const char *condition, *header, *other;
    } rows[] = {
        {"\"StringNotEquals\":{\"s3:x-amz-acl\":\"bucket-owner-full-control\"}", "x-amz-acl: bucket-owner-full-control", NULL},
        {"\"StringNotEquals\":{\"s3:RequestObjectTag/team\":\"red\"}", "x-amz-tagging: team=red", "x-amz-tagging: team=blue"},
        {"\"ForAnyValue:StringNotEquals\":{\"s3:RequestObjectTagKeys\":[\"team\"]}", "x-amz-tagging: team=red", "x-amz-tagging: other=red"},
        {"\"StringNotEquals\":{\"s3:x-amz-storage-class\":\"STANDARD_IA\"}", "x-amz-storage-class: STANDARD_IA", NULL},
        {"\"Null\":{\"s3:x-amz-website-redirect-location\":\"true\"}", "x-amz-website-redirect-location: /a b%20c", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char document[1000];
        snprintf(document, sizeof(document), DOCUMENT(STATEMENT("Deny", "%s", "\"s3:PutObject\"", ALL, IF("%s"))), USER("alice"), rows[i].condition);
        put_policy(document);
        if (upload_in_parts(rows[i].header, NULL) != 200)
            fail_msg("%s: refused", rows[i].condition);
        if (upload_in_parts(rows[i].other, rows[i].header) != 403)
            fail_msg("%s: allowed by a header of the part", rows[i].condition);
    }
}

/* SEC-31 */
static void test_copy_sources(void **state)
{
    (void)state;
    s3_engine_add_user(engine, "alice", NULL, false);
    s3_engine_add_user(engine, "limited", "own", false);
    assert_answer(s3_do(engine, "PUT", "/own", NULL), 200, NULL);
    put_policy(DOCUMENT(STATEMENT("Allow", ANYBODY, "\"s3:GetObject\"", PUBLIC, "") "," STATEMENT(
        "Deny", ANYBODY, "\"s3:GetObject\"", "\"arn:aws:s3:::bkt/private/*\"", "")));
    assert_int_equal(status_of("limited", "PUT", "/own/copy", "x-amz-copy-source: bkt/public/k"), 200);
    assert_int_equal(status_of("limited", "PUT", "/own/copy", "x-amz-copy-source: bkt/private/k"), 403);
    assert_int_equal(status_of("alice", "PUT", "/own/copy", "x-amz-copy-source: /bkt/private%2Fk"), 403);
    assert_int_equal(status_of("alice", "PUT", "/own/copy", "x-amz-copy-source: bkt/private/k?versionId=null"), 403);
    assert_int_equal(status_of("limited", "PUT", "/bkt/copy", "x-amz-copy-source: own/copy"), 403);
    assert_int_equal(status_of("alice", "PUT", "/bkt/moved?renameObject", "x-amz-rename-source: private/k"), 403);
    put_policy(DOCUMENT(STATEMENT("Deny", ANYBODY, "\"s3:PutObject\"", ALL,
                                  IF("\"StringNotLike\":{\"s3:x-amz-copy-source\":\"own/*\"}"))));
    assert_int_equal(status_of("alice", "PUT", "/bkt/copy", "x-amz-copy-source: /own/copy"), 200);
    assert_int_equal(status_of("alice", "PUT", "/bkt/copy", "x-amz-copy-source: bkt/public/k"), 403);
}

int main(void)
{
#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(test_document),
        WITH_ENGINE(test_refused_documents_are_not_kept),
        WITH_ENGINE(test_actions_of_all_rows),
        WITH_ENGINE(test_anonymous_reading),
        WITH_ENGINE(test_anonymous_listing_and_writing),
        WITH_ENGINE(test_deny_wins),
        WITH_ENGINE(test_nobody_is_locked_out_for_ever),
        WITH_ENGINE(test_public_block_document),
        WITH_ENGINE(test_public_policies_are_blocked),
        WITH_ENGINE(test_public_buckets_are_restricted),
        WITH_ENGINE(test_public_access_is_blocked_by_default),
        WITH_ENGINE(test_policies_of_others),
        WITH_ENGINE(test_unreadable_policy_denies),
        WITH_ENGINE(test_policy_of_an_earlier_version),
        WITH_ENGINE(test_user_of_another_bucket),
        WITH_ENGINE(test_conditions),
        WITH_ENGINE(test_signature_conditions),
        WITH_ENGINE(test_tls_conditions),
        WITH_ENGINE(test_absent_keys),
        WITH_ENGINE(test_renames_create),
        WITH_ENGINE(test_conditions_of_a_batch),
        WITH_ENGINE(test_conditions_tell_nothing_of_the_content),
        WITH_ENGINE(test_each_key_of_a_batch),
        WITH_ENGINE(test_tags_in_a_body),
        WITH_ENGINE(test_tags_of_a_copy),
        WITH_ENGINE(test_parts_are_judged_by_their_upload),
        WITH_ENGINE(test_copy_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
