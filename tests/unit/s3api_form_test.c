#include "tests/support/s3_engine.h"
#include "tests/support/unit.h"

#include "auth/sigv4.h"
#include "base/clock.h"
#include "base/encode.h"
#include "s3api/form.h"

/* Browser forms through the whole engine: signed, anonymous, and all the ways not to keep to the policy. */

#define BOUNDARY "----a boundary"
#define LATER "\"expiration\": \"2222-01-01T00:00:00Z\""
#define V4_CONDITIONS                                                                                                  \
    "[\"starts-with\", \"$x-amz-algorithm\", \"\"], [\"starts-with\", \"$X-Amz-Credential\", \"\"], "                  \
    "[\"starts-with\", \"$x-amz-date\", \"\"]"

static struct s3_engine *engine;

static int set_up(void **state)
{
    (void)state;
    engine = s3_engine_new(&(struct s3_engine_options){.sigv2 = true});
    assert_answer(s3_do(engine, "PUT", "/bkt", NULL), 200, NULL);
    assert_answer(s3_do(engine, "PUT", "/bkt/up/", ""), 200, NULL);
    s3_engine_add_user(engine, "reader", NULL, true);
    s3_engine_add_user(engine, "stranger", "elsewhere", false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    s3_engine_free(engine);
    return 0;
}

#define FIELDS_MAX 12

struct post {
    const char *fields[FIELDS_MAX][2]; /* name, value; NULL behind the last */
    const char *policy;                /* JSON; NULL: anonymous */
    bool v2, forged;
    const char *access_key; /* of a user of the engine; NULL: the administrator */
    const char *file;       /* NULL: none */
    const char *file_name;
    const char *bucket;     /* NULL: bkt */
    size_t feed_size;
};

static void add_field(struct buf *b, const char *name, struct str value)
{
    buf_addf(b, "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n", name);
    buf_add(b, value);
    buf_addz(b, "\r\n");
}

static void add_signature(struct buf *b, const struct post *p)
{
    const char *access_key = p->access_key ? p->access_key : S3_ENGINE_ACCESS_KEY;
    struct arena *a = s3_engine_arena(engine);
    struct str secret = p->access_key ? arena_printf(a, "secret-of-%s", access_key) : STR(S3_ENGINE_SECRET);
    struct buf policy = buf_make(100000);
    buf_add_base64(&policy, p->policy, strlen(p->policy));
    add_field(b, "Policy", buf_str(&policy));
    if (p->v2) {
        uint8_t mac[20];
        struct buf text = buf_make(100);
        hmac_sha1(secret, buf_str(&policy), mac);
        mac[0] ^= p->forged;
        buf_add_base64(&text, mac, sizeof(mac));
        add_field(b, "AWSAccessKeyId", str_z(access_key));
        add_field(b, "signature", buf_str(&text));
        buf_done(&text);
    } else {
        char date[CLOCK_TEXT_MAX], signature[SIGV4_SIGNATURE_SIZE];
        uint8_t key[SIGNING_KEY_SIZE];
        struct str now = clock_format_amz(clock_wall_s(), date);
        signing_key_derive(secret, str_first(now, 8), STR("us-east-1"), key);
        sigv4_signature(key, buf_str(&policy), signature);
        signature[0] = p->forged ? (signature[0] == '0' ? '1' : '0') : signature[0];
        add_field(b, "x-amz-algorithm", STR(SIGV4_ALGORITHM));
        add_field(b, "X-Amz-Credential", arena_printf(a, "%s/%.8s/us-east-1/s3/aws4_request", access_key, now.ptr));
        add_field(b, "x-amz-date", now);
        add_field(b, "x-amz-signature", str_of(signature, sizeof(signature)));
    }
    buf_done(&policy);
}

static const struct s3_answer *send_form(const struct post *p)
{
    struct buf b = buf_make(1000000);
    for (size_t i = 0; i < FIELDS_MAX && p->fields[i][0]; i++)
        add_field(&b, p->fields[i][0], str_z(p->fields[i][1]));
    if (p->policy)
        add_signature(&b, p);
    if (p->file) {
        buf_addf(&b, "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\n"
                     "Content-Type: image/png\r\n\r\n%s\r\n",
                 p->file_name ? p->file_name : "name.txt", p->file);
    }
    buf_addz(&b, "--" BOUNDARY "--\r\n");
    const char *bucket = p->bucket ? p->bucket : "bkt";
    struct s3_call call = {
        .method = "POST",
        .target = arena_printf(s3_engine_arena(engine), "/%s", bucket).ptr,
        .headers = {"Content-Type: multipart/form-data; boundary=\"" BOUNDARY "\"", "x-amz-meta-injected: by header"},
        .body = buf_str(&b),
        .auth = S3_CALL_ANONYMOUS,
        .feed_size = p->feed_size,
    };
    const struct s3_answer *a = s3_call(engine, &call);
    buf_done(&b);
    return a;
}

static const char policy_for_key[] = "{" LATER ", \"conditions\": [{\"bucKet\": \"bkt\"}, [\"starts-with\", \"$key\", \"up/\"], "
                                     V4_CONDITIONS "]}";

/* Uploads */

static void test_upload_in_any_split(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 7, 61};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        const struct s3_answer *a = send_form(&(struct post){.fields = {{"key", "up/${filename}"}},
                                                             .policy = policy_for_key,
                                                             .file = "\r\n--\r\n------a boundarz--\r\n\r",
                                                             .file_name = "C:\\pictures\\f.txt",
                                                             .feed_size = sizes[i]});
        assert_answer(a, 204, NULL);
        assert_string_equal(a->info.auth, "PostForm");
        assert_str(a->info.user, "root");
        assert_str(s3_answer_header(a, "location"), "http://" S3_ENGINE_HOST "/bkt/up/f.txt");
        assert_str(s3_answer_header(a, "etag"), "\"92570c371bd5a5494e115d7e11723d01\"");
        const struct s3_answer *got = s3_do(engine, "GET", "/bkt/up/f.txt", NULL);
        assert_str(got->body, "\r\n--\r\n------a boundarz--\r\n\r");
        assert_true(s3_answer_header(got, "x-amz-meta-injected").ptr == NULL);
        assert_answer(s3_do(engine, "DELETE", "/bkt/up/f.txt", NULL), 204, NULL);
    }
}

static void test_fields_become_the_objects(void **state)
{
    (void)state;
    static const char policy[] = "{" LATER ", \"conditions\": [[\"eq\", \"$KEY\", \"k\"], {\"acl\": \"bucket-owner-full-control\"}, "
                                 "[\"StArTs-WiTh\", \"$Content-Type\", \"text/\"], {\"x-amz-meta-a\": \"one\"}, "
                                 "[\"starts-with\", \"$tagging\", \"\"], [\"starts-with\", \"$x-amz-storage-class\", \"\"], "
                                 "[\"starts-with\", \"$x-amz-checksum-sha256\", \"\"], {\"success_action_status\": \"201\"}]}";
    const struct s3_answer *a = send_form(&(struct post){
        .fields = {{"kEy", "k"},
                   {"acl", "bucket-owner-full-control"},
                   {"Content-Type", "text/x-a,text/x-b"},
                   {"x-amz-meta-a", "one"},
                   {"tagging", "<Tagging><TagSet><Tag><Key>t+</Key><Value>v=1</Value></Tag></TagSet></Tagging>"},
                   {"x-amz-storage-class", "STANDARD_IA"},
                   {"x-amz-checksum-sha256", "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="},
                   {"x-ignore-me", "anything"},
                   {"success_action_status", "201"}},
        .policy = policy,
        .v2 = true,
        .file = "hello"});
    assert_answer(a, 201, NULL);
    assert_str(s3_answer_element(a, "Bucket"), "bkt");
    assert_str(s3_answer_element(a, "Key"), "k");
    assert_str(s3_answer_element(a, "ETag"), "&quot;5d41402abc4b2a76b9719d911017c592&quot;");
    const struct s3_answer *got = s3_do(engine, "HEAD", "/bkt/k", NULL);
    assert_str(s3_answer_header(got, "content-type"), "text/x-a,text/x-b");
    assert_str(s3_answer_header(got, "x-amz-meta-a"), "one");
    assert_str(s3_answer_header(got, "x-amz-storage-class"), "STANDARD_IA");
    assert_str(s3_answer_header(got, "x-amz-tagging-count"), "1");
    const struct s3_answer *tags = s3_do(engine, "GET", "/bkt/k?tagging", NULL);
    assert_str(s3_answer_element(tags, "Key"), "t+");
    assert_str(s3_answer_element(tags, "Value"), "v=1");
}

static void test_answers(void **state)
{
    (void)state;
    static const char policy[] =
        "{" LATER ", \"conditions\": [{\"key\": \"a b\"}, [\"starts-with\", \"$success_action_redirect\", \"\"], "
        "[\"starts-with\", \"$success_action_status\", \"\"]]}";
    struct post p = {.fields = {{"key", "a b"}, {"success_action_redirect", "https://x.example/done?a=1#end"}},
                     .policy = policy,
                     .v2 = true,
                     .file = "hello"};
    const struct s3_answer *a = send_form(&p);
    assert_answer(a, 303, NULL);
    assert_str(s3_answer_header(a, "location"), "https://x.example/done?a=1&bucket=bkt&key=a%20b&etag="
                                                "%225d41402abc4b2a76b9719d911017c592%22#end");
    p.fields[1][1] = "javascript:alert(1)";
    assert_answer(send_form(&p), 204, NULL);
    p.fields[1][1] = "http://x/\r\nSet-Cookie: a=b";
    a = send_form(&p);
    assert_answer(a, 204, NULL);
    assert_true(s3_answer_header(a, "set-cookie").ptr == NULL);
    p.fields[1][0] = "success_action_status";
    p.fields[1][1] = "200";
    assert_answer(send_form(&p), 200, NULL);
    p.fields[1][1] = "404";
    assert_answer(send_form(&p), 204, NULL);
}

/* Refusals leave the volume as it was. SEC-41. */

struct refusal {
    const char *what;
    struct post post;
    int status;
    const char *code;
};

#define OK_FIELDS {{"key", "up/k"}}
#define CONDITIONS(...) "{" LATER ", \"conditions\": [[\"starts-with\", \"$key\", \"up/\"], " V4_CONDITIONS ", " __VA_ARGS__ "]}"

static const struct refusal refusals[] = {
    {"forged", {OK_FIELDS, policy_for_key, .forged = true, .file = "x"}, 403, "SignatureDoesNotMatch"},
    {"forged v2", {OK_FIELDS, policy_for_key, .v2 = true, .forged = true, .file = "x"}, 403, "SignatureDoesNotMatch"},
    {"anonymous", {OK_FIELDS, NULL, .file = "x"}, 403, "AccessDenied"},
    {"read-only user", {OK_FIELDS, policy_for_key, .access_key = "reader", .file = "x"}, 403, "AccessDenied"},
    {"another's bucket", {OK_FIELDS, policy_for_key, .access_key = "stranger", .file = "x"}, 403, "AccessDenied"},
    {"unknown key", {OK_FIELDS, policy_for_key, .access_key = "nobody", .file = "x"}, 403, "InvalidAccessKeyId"},
    {"wrong key", {{{"key", "down/k"}}, policy_for_key, .file = "x"}, 403, "AccessDenied"},
    {"no key", {.policy = policy_for_key, .file = "x"}, 400, "UserKeyMustBeSpecified"},
    {"no file", {OK_FIELDS, policy_for_key, .file = NULL}, 400, "IncorrectNumberOfFilesInPostRequest"},
    {"extra field", {{{"key", "up/k"}, {"x-amz-meta-a", "1"}}, policy_for_key, .file = "x"}, 403, "AccessDenied"},
    {"field twice", {{{"key", "up/k"}, {"KEY", "up/l"}}, policy_for_key, .file = "x"}, 400, "InvalidArgument"},
    {"wrong bucket", {OK_FIELDS, CONDITIONS("{\"bucket\": \"other\"}"), .file = "x"}, 403, "AccessDenied"},
    {"bucket field", {{{"key", "up/k"}, {"bucket", "other"}}, policy_for_key, .file = "x"}, 403, "AccessDenied"},
    {"absent field", {OK_FIELDS, CONDITIONS("{\"acl\": \"private\"}"), .file = "x"}, 403, "AccessDenied"},
    {"too large", {OK_FIELDS, CONDITIONS("[\"content-length-range\", 0, 2]"), .file = "xyz"}, 400, "EntityTooLarge"},
    {"too small", {OK_FIELDS, CONDITIONS("[\"content-length-range\", \"4\", 9]"), .file = "xyz"}, 400, "EntityTooSmall"},
    {"narrowest range", {OK_FIELDS, CONDITIONS("[\"content-length-range\", 0, 2], [\"content-length-range\", 0, 9]"),
      .file = "xyz"}, 400, "EntityTooLarge"},
    {"range of one", {OK_FIELDS, CONDITIONS("[\"content-length-range\", 3]"), .file = "x"}, 400, "InvalidPolicyDocument"},
    {"range reversed", {OK_FIELDS, CONDITIONS("[\"content-length-range\", 9, 3]"), .file = "x"}, 400, "InvalidPolicyDocument"},
    {"range of words", {OK_FIELDS, CONDITIONS("[\"content-length-range\", \"a\", 3]"), .file = "x"}, 400, "InvalidPolicyDocument"},
    {"no operator", {OK_FIELDS, CONDITIONS("[\"matches\", \"$key\", \"up\"]"), .file = "x"}, 400, "InvalidPolicyDocument"},
    {"no dollar", {OK_FIELDS, CONDITIONS("[\"eq\", \"key\", \"up/k\"]"), .file = "x"}, 400, "InvalidPolicyDocument"},
    {"empty condition", {OK_FIELDS, CONDITIONS("{}"), .file = "x"}, 400, "InvalidPolicyDocument"},
    {"no expiration", {OK_FIELDS, "{\"conditions\": []}", .file = "x"}, 400, "InvalidPolicyDocument"},
    {"no conditions", {OK_FIELDS, "{" LATER "}", .file = "x"}, 400, "InvalidPolicyDocument"},
    {"expired", {OK_FIELDS, "{\"expiration\": \"2001-01-01T00:00:00Z\", \"conditions\": []}", .file = "x"}, 403, "AccessDenied"},
    {"bad date", {OK_FIELDS, "{\"expiration\": \"tomorrow\", \"conditions\": []}", .file = "x"}, 400, "InvalidPolicyDocument"},
    {"no json", {OK_FIELDS, "conditions", .file = "x"}, 400, "InvalidPolicyDocument"},
    {"content type of several",
     {{{"key", "up/k"}, {"Content-Type", "image/png,text/html"}},
      CONDITIONS("[\"starts-with\", \"$Content-Type\", \"image/\"]"), .file = "x"}, 403, "AccessDenied"},
    {"wrong checksum",
     {{{"key", "up/k"}, {"x-amz-checksum-crc32", "AAAAAA=="}}, CONDITIONS("[\"starts-with\", \"$x-amz-checksum-crc32\", \"\"]"),
      .file = "x"}, 400, "BadDigest"},
    {"encryption", {{{"key", "up/k"}, {"x-amz-server-side-encryption", "AES256"}},
      CONDITIONS("{\"x-amz-server-side-encryption\": \"AES256\"}"), .file = "x"}, 501, "NotImplemented"},
    {"reserved key", {{{"key", "up/../.sluice/x"}}, policy_for_key, .file = "x"}, 400, "InvalidArgument"},
    {"no bucket", {OK_FIELDS, CONDITIONS("[\"starts-with\", \"$bucket\", \"\"]"), .file = "x", .bucket = "bko"}, 404, "NoSuchBucket"},
};

static void test_refusals(void **state)
{
    (void)state;
    struct str before = s3_engine_fingerprint(engine);
    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
        const struct s3_answer *a = send_form(&refusals[i].post);
        if (a->status != refusals[i].status || !str_is(a->code, refusals[i].code))
            fail_msg("%s: %d %.*s", refusals[i].what, a->status, STR_ARG(a->body));
        if (!str_eq(before, s3_engine_fingerprint(engine)))
            fail_msg("%s changed the volume", refusals[i].what);
    }
}

/* Fields that an upload does nothing with satisfy no condition of the bucket's policy: a form is no copy, and its signature covers no
 * byte of the file (SEC-38). */
static void test_fields_without_effect(void **state)
{
    (void)state;
    static const struct {
        const char *condition, *field, *value;
    } rows[] = {
        {"\"StringEquals\":{\"s3:x-amz-content-sha256\":\"UNSIGNED-PAYLOAD\"}", "x-amz-content-sha256",
         "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"},
        {"\"StringNotLike\":{\"s3:x-amz-copy-source\":\"bkt/*\"}", "x-amz-copy-source", "bkt/up/k"},
        {"\"StringNotEquals\":{\"s3:x-amz-metadata-directive\":\"COPY\"}", "x-amz-metadata-directive", "COPY"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct arena *a = s3_engine_arena(engine);
        struct str policy = arena_printf(a, "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":"
                                            "\"s3:PutObject\",\"Resource\":\"arn:aws:s3:::bkt/*\",\"Condition\":{%s}}}", rows[i].condition);
        assert_answer(s3_do(engine, "PUT", "/bkt?policy", policy.ptr), 204, NULL);
        const struct post p = {
            .fields = {{"key", "up/k"}, {rows[i].field, rows[i].value}},
            .policy = arena_printf(a, "{" LATER ", \"conditions\": [{\"bucket\": \"bkt\"}, {\"key\": \"up/k\"}, {\"%s\": \"%s\"}, " V4_CONDITIONS "]}",
                                   rows[i].field, rows[i].value).ptr,
            .file = "x",
        };
        assert_answer(send_form(&p), 403, "AccessDenied");
    }
}

/* Half a signature is an error, never an anonymous form. */
static void test_half_signatures(void **state)
{
    (void)state;
    static const char *const names[] = {"policy",          "signature",        "AWSAccessKeyId",
                                        "x-amz-signature", "x-amz-credential", "x-amz-algorithm"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_answer(send_form(&(struct post){.fields = {{"key", "up/k"}, {names[i], "e30="}}, .file = "x"}), 400,
                      "InvalidArgument");
    struct post both = {.fields = {{"key", "up/k"}, {"signature", "x"}}, .policy = policy_for_key, .file = "x"};
    assert_answer(send_form(&both), 400, "InvalidArgument");
}

static const struct s3_answer *post_raw(const char *content_type, struct str body)
{
    struct s3_call call = {
        .method = "POST", .target = "/bkt", .headers = {content_type}, .body = body, .auth = S3_CALL_ANONYMOUS};
    return s3_call(engine, &call);
}

#define FORM_TYPE "Content-Type: multipart/form-data; boundary=b"

static void test_malformed_bodies(void **state)
{
    (void)state;
    assert_answer(post_raw("Content-Type: text/plain", STR("x")), 412, "PreconditionFailed");
    assert_answer(post_raw("Content-Type: multipart/form-data", STR("x")), 412, "PreconditionFailed");
    assert_answer(post_raw("Content-Type: multipart/form-data; boundary=", STR("x")), 412, "PreconditionFailed");
    assert_answer(post_raw(FORM_TYPE, STR("no form")), 400, "IncorrectNumberOfFilesInPostRequest");
    assert_answer(post_raw(FORM_TYPE, STR("--b?\r\n")), 400, "MalformedPOSTRequest");
    assert_answer(post_raw(FORM_TYPE, STR("--b\r\nContent-Type: text/plain\r\n\r\n")), 400, "MalformedPOSTRequest");
    assert_answer(post_raw(FORM_TYPE, STR("--b\r\nno header\r\n\r\n")), 400, "MalformedPOSTRequest");
    struct buf big = buf_make(2 * LIMIT_FORM_BYTES);
    buf_addz(&big, "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n");
    while (big.len <= LIMIT_FORM_BYTES)
        buf_addz(&big, "0123456789abcdef");
    assert_answer(post_raw(FORM_TYPE, buf_str(&big)), 400, "MaxPostPreDataLengthExceeded");
    buf_done(&big);
}

/* The file must have its end: what was cut off is not published. */
static void test_cut_off_file(void **state)
{
    (void)state;
    assert_answer(s3_do(engine, "PUT", "/bkt?policy",
                        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\","
                        "\"Action\":\"s3:PutObject\",\"Resource\":\"arn:aws:s3:::bkt/pub/*\"}]}"),
                  204, NULL);
    static const char form[] = "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\npub/k\r\n"
                               "--b\r\nContent-Disposition: form-data; name=file\r\n\r\ncontent\r\n--b--";
    assert_answer(post_raw(FORM_TYPE, str_of(form, sizeof(form) - 6)), 400, "MalformedPOSTRequest");
    assert_answer(s3_do(engine, "GET", "/bkt/pub/k", NULL), 404, "NoSuchKey");
    assert_answer(post_raw(FORM_TYPE, str_z(form)), 204, NULL);
    assert_str(s3_do(engine, "GET", "/bkt/pub/k", NULL)->body, "content");
}

/* A form may not be signed by the request around it. */
static void test_signed_request(void **state)
{
    (void)state;
    struct s3_call call = {.method = "POST", .target = "/bkt", .headers = {FORM_TYPE}, .body = STR("--b--")};
    assert_answer(s3_call(engine, &call), 403, "AccessDenied");
    call.auth = S3_CALL_PRESIGNED;
    assert_answer(s3_call(engine, &call), 403, "AccessDenied");
}

static void test_boundaries(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"multipart/form-data; boundary=abc", "abc"},
        {"Multipart/Form-Data;charset=utf-8 ; Boundary=\"a b;c\"", "a b;c"},
        {"multipart/form-data; boundary=abc; charset=utf-8", "abc"},
    };
    static const char *const bad[] = {"", "multipart/form-data", "multipart/mixed; boundary=abc",
                                      "multipart/form-data; boundary=\"abc", "multipart/form-data; charset=x"};
    struct str boundary;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_true(s3_form_boundary(str_z(good[i][0]), &boundary));
        assert_str(boundary, good[i][1]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(s3_form_boundary(str_z(bad[i]), &boundary));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boundaries),
        cmocka_unit_test_setup_teardown(test_upload_in_any_split, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fields_become_the_objects, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fields_without_effect, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_half_signatures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_malformed_bodies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_off_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_signed_request, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
