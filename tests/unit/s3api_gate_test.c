#include "tests/support/s3_engine.h"
#include "tests/support/unit.h"

#include "base/clock.h"
#include "base/limits.h"
#include "s3api/op.h"

/* Who is let in, and what the answer gives away. */

static struct s3_engine *engine;

static int set_up(void **state)
{
    (void)state;
    engine = s3_engine_new(NULL);
    assert_answer(s3_do(engine, "PUT", "/bkt", NULL), 200, NULL);
    assert_answer(s3_do(engine, "PUT", "/bkt/key", "content"), 200, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    s3_engine_free(engine);
    return 0;
}

static struct str printable(const char *format, ...) PRINTF(1, 2);
static struct str printable(const char *format, ...)
{
    va_list args;
    struct buf b = buf_make(10000);
    va_start(args, format);
    buf_addv(&b, format, args);
    va_end(args);
    struct str s = arena_dup(s3_engine_arena(engine), buf_str(&b));
    buf_done(&b);
    return s;
}

/* A request that reaches the row, on the bucket that exists. */
static struct s3_call call_of(const struct s3_op_row *row, const char *bucket)
{
    struct str path = row->level == S3_LEVEL_SERVICE  ? STR("/")
                      : row->level == S3_LEVEL_BUCKET ? printable("/%s", bucket)
                                                      : printable("/%s/key", bucket);
    struct str query = row->query
                           ? printable("?%s=1%s%s", row->query, row->query2 ? "&" : "", row->query2 ? row->query2 : "")
                           : STR("");
    if (row->query2)
        query = printable("%s=1", query.ptr);
    struct s3_call call = {.method = row->method, .target = printable("%s%s", path.ptr, query.ptr).ptr};
    if (row->header)
        call.headers[0] = printable("%s: bkt/key", row->header).ptr;
    if (row->body != S3_BODY_KIND_NONE)
        call.body = STR("<a>not let in</a>");
    return call;
}

static bool is_for_anybody(const struct s3_op_row *row)
{
    return row->flags & (S3_OP_ANONYMOUS | S3_OP_FORM);
}

/* Every row × every kind of payload × every way to lie: 403 before a body byte, and nothing on the volume changes.
 * SEC-01. */
static void test_forged_signatures_reach_nothing(void **state)
{
    (void)state;
    static const enum s3_call_auth lies[] = {S3_CALL_FORGED, S3_CALL_FORGED_QUERY, S3_CALL_ANONYMOUS};
    struct str before = s3_engine_fingerprint(engine);
    for (size_t i = 0; i < s3_op_row_count; i++) {
        const struct s3_op_row *row = &s3_op_rows[i];
        if (row->flags & S3_OP_STS) /* signed over its body: see tests/e2e/test_sts.py */
            continue;
        for (int wire = S3_WIRE_SHA256; wire <= S3_WIRE_UNSIGNED_TRAILER; wire++) {
            for (size_t k = 0; k < ARRAY_SIZE(lies); k++) {
                struct s3_call call = call_of(row, "bkt");
                call.wire = (enum s3_call_wire)wire;
                call.auth = lies[k];
                const struct s3_answer *a = s3_call(engine, &call);
                bool may_pass = is_for_anybody(row) && lies[k] == S3_CALL_ANONYMOUS;
                int refusal = strcmp(row->method, "OPTIONS") == 0 ? 400 : 403; /* no Origin */
                if (a->status != refusal && !(may_pass && a->status == 412))
                    fail_msg("%s, wire %d, lie %zu: %d %.*s", row->name, wire, k, a->status, STR_ARG(a->body));
                assert_true(a->answered_by_begin);
            }
        }
    }
    assert_true(str_eq(before, s3_engine_fingerprint(engine)));
}

/* What exists does not show through a wrong signature. */
static void test_forged_signatures_learn_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < s3_op_row_count; i++) {
        struct s3_call there = call_of(&s3_op_rows[i], "bkt"), absent = call_of(&s3_op_rows[i], "bko");
        there.auth = absent.auth = S3_CALL_FORGED;
        const struct s3_answer *a = s3_call(engine, &there), *b = s3_call(engine, &absent);
        assert_int_equal(a->status, b->status);
        assert_true(str_eq(a->code, b->code));
        assert_int_equal(a->header_count, b->header_count);
    }
}

/* Nor through the lack of any. */
static void test_unroutable_requests_are_authenticated_first(void **state)
{
    (void)state;
    static const char *const targets[] = {"/bkt?acl", "/bkt/key?versions", "/bkt?uploadId=1", "/bkt/key?acl&tagging"};
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        struct s3_call call = {.method = "PATCH", .target = targets[i], .auth = S3_CALL_FORGED};
        assert_answer(s3_call(engine, &call), 403, "SignatureDoesNotMatch");
        call.auth = S3_CALL_ANONYMOUS;
        assert_answer(s3_call(engine, &call), 403, "AccessDenied");
    }
}

static void test_mismatch_document(void **state)
{
    (void)state;
    struct s3_call call = {.method = "GET", .target = "/bkt/key", .auth = S3_CALL_FORGED};
    const struct s3_answer *a = s3_call(engine, &call);
    assert_answer(a, 403, "SignatureDoesNotMatch");
    assert_str(s3_answer_header(a, "content-type"), "application/xml");
    assert_str(s3_answer_element(a, "Code"), "SignatureDoesNotMatch");
    assert_true(s3_answer_element(a, "Message").len > 0);
    assert_str(s3_answer_element(a, "AWSAccessKeyId"), S3_ENGINE_ACCESS_KEY);
    assert_int_equal(s3_answer_element(a, "SignatureProvided").len, 64);
    assert_true(str_starts(s3_answer_element(a, "StringToSign"), STR("AWS4-HMAC-SHA256\n")));
    assert_true(str_starts(s3_answer_element(a, "CanonicalRequest"), STR("GET\n/bkt/key\n")));
    assert_str(s3_answer_element(a, "Resource"), "/bkt/key");
    assert_true(str_eq(s3_answer_element(a, "RequestId"), s3_answer_header(a, "x-amz-request-id")));
    assert_true(str_eq(s3_answer_element(a, "HostId"), s3_answer_header(a, "x-amz-id-2")));
    assert_str(s3_answer_header(a, "x-amz-bucket-region"), "us-east-1");
    assert_true(str_find(a->body, STR(S3_ENGINE_SECRET)) < 0);
}

/* Each authentication error has its code. */

static void test_unknown_key(void **state)
{
    (void)state;
    struct s3_call call = {.method = "GET", .target = "/bkt/key", .access_key = "NOBODY"};
    const struct s3_answer *a = s3_call(engine, &call);
    assert_answer(a, 403, "InvalidAccessKeyId");
    assert_str(s3_answer_element(a, "AWSAccessKeyId"), "NOBODY");
}

static void test_skewed_clock(void **state)
{
    (void)state;
    static const int64_t ages_s[] = {LIMIT_CLOCK_SKEW_S + 5, -LIMIT_CLOCK_SKEW_S - 5};
    for (size_t i = 0; i < ARRAY_SIZE(ages_s); i++) {
        struct s3_call call = {.method = "GET", .target = "/bkt/key", .age_s = ages_s[i]};
        const struct s3_answer *a = s3_call(engine, &call);
        assert_answer(a, 403, "RequestTimeTooSkewed");
        assert_str(s3_answer_element(a, "MaxAllowedSkewMilliseconds"), "900000");
        assert_int_equal(s3_answer_element(a, "RequestTime").len, strlen("20130524T000000Z"));
        assert_true(s3_answer_element(a, "ServerTime").len > 0);
    }
}

static void test_unsigned_header(void **state)
{
    (void)state;
    /* A presigned URL signs the host only; what comes besides is not the owner's word. SEC-07. */
    struct s3_call call = {.method = "PUT",
                           .target = "/bkt/injected",
                           .headers = {"x-amz-copy-source: /bkt/key"},
                           .auth = S3_CALL_PRESIGNED};
    const struct s3_answer *a = s3_call(engine, &call);
    assert_answer(a, 403, "AccessDenied");
    assert_str(s3_answer_element(a, "HeadersNotSigned"), "x-amz-copy-source");
    assert_answer(s3_do(engine, "HEAD", "/bkt/injected", NULL), 404, "NoSuchKey");
}

static void test_two_mechanisms(void **state)
{
    (void)state;
    struct s3_call call = {.method = "GET", .target = "/bkt/key?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=abc"};
    const struct s3_answer *a = s3_call(engine, &call);
    assert_int_equal(a->status, 400);
    assert_true(a->code.len > 0);
}

static void test_bad_payload_word(void **state)
{
    (void)state;
    struct s3_call call = {
        .method = "GET",
        .target = "/bkt/key",
        .headers = {"Authorization: AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c"},
        .auth = S3_CALL_ANONYMOUS};
    assert_answer(s3_call(engine, &call), 400, "AuthorizationHeaderMalformed");
}

static void test_presigned(void **state)
{
    (void)state;
    struct s3_call call = {.method = "GET", .target = "/bkt/key", .auth = S3_CALL_PRESIGNED};
    const struct s3_answer *a = s3_call(engine, &call);
    assert_answer(a, 200, NULL);
    assert_str(a->body, "content");
    assert_string_equal(a->info.auth, "QueryString");
    assert_string_equal(a->info.signature, "SigV4");
    call.age_s = 601; /* of the 600 that the driver signs for */
    a = s3_call(engine, &call);
    assert_answer(a, 403, "AccessDenied");
    assert_str(s3_answer_element(a, "Message"), "Request has expired");
    assert_true(s3_answer_element(a, "ServerTime").len > 0);
}

/* Unsigned trailers are for objects only. */
static void test_unsigned_trailer_elsewhere(void **state)
{
    (void)state;
    struct s3_call call = {.method = "PUT",
                           .target = "/bkt?tagging",
                           .body = STR("<Tagging><TagSet/></Tagging>"),
                           .wire = S3_WIRE_UNSIGNED_TRAILER,
                           .trailer = S3_CHECKSUM_CRC32};
    assert_answer(s3_call(engine, &call), 400, "InvalidRequest");
    call.target = "/bkt/trailed";
    assert_answer(s3_call(engine, &call), 200, NULL);
}

/* Authorisation */

static void test_user_of_one_bucket(void **state)
{
    (void)state;
    s3_engine_add_user(engine, "limited", "own", false);
    assert_answer(s3_do(engine, "PUT", "/own", NULL), 200, NULL);
    static const struct {
        const char *method, *target;
        int status;
    } rows[] = {
        {"PUT", "/own/k", 200},      {"GET", "/own/k", 200},      {"GET", "/own?list-type=2", 200},
        {"HEAD", "/own", 200},       {"GET", "/bkt/key", 403},    {"HEAD", "/bkt", 403},
        {"PUT", "/bkt/key", 403},    {"DELETE", "/bkt/key", 403}, {"HEAD", "/absent", 404},
        {"GET", "/absent/key", 404}, {"PUT", "/newbucket", 403},  {"GET", "/", 200},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct s3_call call = {.method = rows[i].method, .target = rows[i].target, .access_key = "limited"};
        if (str_is(str_z(rows[i].method), "PUT"))
            call.body = STR("");
        const struct s3_answer *a = s3_call(engine, &call);
        if (a->status != rows[i].status)
            fail_msg("%s %s: %d %.*s", rows[i].method, rows[i].target, a->status, STR_ARG(a->body));
        if (a->status == 403)
            assert_str(a->code, "AccessDenied");
    }
    struct s3_call list = {.method = "GET", .target = "/", .access_key = "limited"};
    const struct s3_answer *a = s3_call(engine, &list);
    assert_int_equal(s3_answer_count(a, "Bucket"), 1);
    assert_str(s3_answer_element(a, "Name"), "own");
}

/* A read-only user, and a read-only gateway: no row that writes lets them, nothing changes. */
static void refuse_all_writes(const char *access_key)
{
    struct str before = s3_engine_fingerprint(engine);
    for (size_t i = 0; i < s3_op_row_count; i++) {
        const struct s3_op_row *row = &s3_op_rows[i];
        if (!(row->flags & S3_OP_WRITE))
            continue;
        struct s3_call call = call_of(row, "bkt");
        call.access_key = access_key;
        const struct s3_answer *a = s3_call(engine, &call);
        if (a->status != 403 || !str_is(a->code, "AccessDenied"))
            fail_msg("%s: %d %.*s", row->name, a->status, STR_ARG(a->body));
    }
    assert_true(str_eq(before, s3_engine_fingerprint(engine)));
    struct s3_call read = {.method = "GET", .target = "/bkt/key", .access_key = access_key};
    assert_answer(s3_call(engine, &read), 200, NULL);
}

static void test_read_only_user(void **state)
{
    (void)state;
    s3_engine_add_user(engine, "reader", NULL, true);
    refuse_all_writes("reader");
}

static void test_read_only_gateway(void **state)
{
    (void)state;
    struct s3_engine *writable = engine;
    struct s3_engine_options options = {.read_only = true};
    engine = s3_engine_new(&options);
    char path[256];
    snprintf(path, sizeof(path), "mkdir %s/bkt && printf content >%s/bkt/key", s3_engine_root(engine),
             s3_engine_root(engine));
    assert_int_equal(system(path), 0);
    refuse_all_writes(NULL);
    s3_engine_free(engine);
    engine = writable;
}

static void test_expected_owner(void **state)
{
    (void)state;
    struct str owner = s3_answer_element(s3_do(engine, "GET", "/bkt?acl", NULL), "ID");
    assert_true(owner.len > 0);
    struct s3_call call = {.method = "GET", .target = "/bkt/key"};
    call.headers[0] = printable("x-amz-expected-bucket-owner: %.*s", STR_ARG(owner)).ptr;
    assert_answer(s3_call(engine, &call), 200, NULL);
    call.headers[0] = "x-amz-expected-bucket-owner: 123456789012";
    assert_answer(s3_call(engine, &call), 403, "AccessDenied");
    call.method = "DELETE";
    assert_answer(s3_call(engine, &call), 403, "AccessDenied");
    assert_answer(s3_do(engine, "HEAD", "/bkt/key", NULL), 200, NULL);
}

/* No row reaches a reserved name, by no spelling: SEC-24. */
static void test_reserved_names_by_every_row(void **state)
{
    (void)state;
    static const char *const keys[] = {".sluice/uploads/x", "%2Esluice/config/tagging",
                                       "a/.sluice/x",       ".SLUICE",
                                       ".sluice-x",         ".trash/x",
                                       "a/../.sluice",      "..%2f..%2fetc"};
    assert_answer(s3_do(engine, "POST", "/bkt/key?uploads", ""), 200, NULL); /* so that .sluice is there */
    struct str before = s3_engine_fingerprint(engine);
    for (size_t i = 0; i < s3_op_row_count; i++) {
        const struct s3_op_row *row = &s3_op_rows[i];
        if (row->level != S3_LEVEL_OBJECT)
            continue;
        for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
            struct s3_call call = call_of(row, "bkt");
            struct str query = str_z(strchr(call.target, '?'));
            call.target = printable("/bkt/%s%.*s", keys[k], STR_ARG(query)).ptr;
            const struct s3_answer *a = s3_call(engine, &call);
            if (a->status < 400)
                fail_msg("%s %s: %d", row->name, keys[k], a->status);
        }
    }
    assert_true(str_eq(before, s3_engine_fingerprint(engine)));
}

/* Routing errors of requests that are let in */
static void test_route_errors(void **state)
{
    (void)state;
    static const struct {
        const char *method, *target;
        int status;
        const char *code, *message_part;
    } rows[] = {
        {"POST", "/bkt/key", 405, "MethodNotAllowed", "not allowed"},
        {"PATCH", "/bkt", 405, "MethodNotAllowed", "not allowed"},
        {"PUT", "/", 405, "MethodNotAllowed", "not allowed"},
        {"POST", "/bkt?acl", 405, "MethodNotAllowed", "not allowed"},
        {"GET", "/bkt/key?uploads", 400, "InvalidRequest",
         "Key is not expected for the GET method ?uploads subresource"},
        {"GET", "/bkt/key?versions", 400, "InvalidRequest",
         "There is no such thing as the ?versions sub-resource for a key"},
        {"PUT", "/bkt?uploadId=x&partNumber=1", 400, "InvalidRequest", "A key must be specified"},
        {"PUT", "/bkt/key?partNumber=1", 400, "InvalidArgument", "does not accept partNumber without uploadId"},
        {"GET", "/bkt?acl&policy", 400, "InvalidArgument", "Conflicting query string parameters"},
        {"GET", "/Bad_Name", 400, "InvalidBucketName", "not valid"},
        {"PUT", "/..", 400, "InvalidBucketName", "not valid"},
        {"GET", "/%2e%2e/etc", 400, "InvalidBucketName", "not valid"},
        {"GET", "/bkt%2Fkey", 400, "InvalidBucketName", "not valid"},
        {"GET", "/absent-bucket", 404, "NoSuchBucket", "does not exist"},
        {"GET", "/absent-bucket/key", 404, "NoSuchBucket", "does not exist"},
        {"GET", "/absent-bucket?policy", 404, "NoSuchBucket", "does not exist"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct s3_answer *a = s3_do(engine, rows[i].method, rows[i].target, NULL);
        if (a->status != rows[i].status || !str_is(a->code, rows[i].code))
            fail_msg("%s %s: %d %.*s", rows[i].method, rows[i].target, a->status, STR_ARG(a->body));
        if (str_find(a->body, str_z(rows[i].message_part)) < 0)
            fail_msg("%s %s: %.*s", rows[i].method, rows[i].target, STR_ARG(a->body));
        assert_str(s3_answer_header(a, "content-type"), "application/xml");
    }
    const struct s3_answer *a = s3_do(engine, "POST", "/bkt?acl", NULL);
    assert_str(s3_answer_header(a, "allow"), "GET, PUT");
    assert_str(s3_answer_element(a, "Method"), "POST");
    assert_str(s3_answer_element(a, "ResourceType"), "ACL");
}

static void test_invalid_uri_needs_no_signature(void **state)
{
    (void)state;
    struct s3_call call = {.method = "GET", .target = "/bkt/%zz", .auth = S3_CALL_ANONYMOUS};
    assert_answer(s3_call(engine, &call), 400, "InvalidURI");
}

static void test_head_errors_have_no_body(void **state)
{
    (void)state;
    static const char *const targets[] = {"/bkt/absent", "/absent-bucket", "/bkt?acl", "/Bad_Name"};
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        const struct s3_answer *a = s3_do(engine, "HEAD", targets[i], NULL);
        assert_true(a->status >= 400);
        assert_int_equal(a->body.len, 0);
        assert_true(s3_answer_header(a, "x-amz-request-id").len > 0);
    }
    /* Clients find the region out this way, also when they may not look. */
    assert_str(s3_answer_header(s3_do(engine, "HEAD", "/absent-bucket", NULL), "x-amz-bucket-region"), "us-east-1");
    struct s3_call call = {.method = "HEAD", .target = "/bkt", .auth = S3_CALL_FORGED};
    assert_str(s3_answer_header(s3_call(engine, &call), "x-amz-bucket-region"), "us-east-1");
}

static void test_browser_form(void **state)
{
    (void)state;
    struct s3_call call = {.method = "POST", .target = "/bkt", .body = STR("form"), .auth = S3_CALL_ANONYMOUS};
    assert_answer(s3_call(engine, &call), 412, "PreconditionFailed");
}

/* The other region's name is in the answer, so that clients correct themselves. */
static void test_region(void **state)
{
    (void)state;
    struct s3_engine_options options = {.region = "eu-west-1"};
    struct s3_engine *other = s3_engine_new(&options);
    struct s3_call call = {.method = "GET", .target = "/", .auth = S3_CALL_ANONYMOUS};
    char date[CLOCK_TEXT_MAX];
    struct str amz_date = clock_format_amz(clock_wall_s(), date);
    call.headers[0] = printable("x-amz-date: %.*s", STR_ARG(amz_date)).ptr;
    call.headers[1] = "x-amz-content-sha256: UNSIGNED-PAYLOAD";
    call.headers[2] =
        printable("Authorization: AWS4-HMAC-SHA256 Credential=" S3_ENGINE_ACCESS_KEY "/%.8s/us-east-1/s3/aws4_request, "
                  "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
                  "Signature=5555555555555555555555555555555555555555555555555555555555555555",
                  amz_date.ptr)
            .ptr;
    const struct s3_answer *a = s3_call(other, &call);
    assert_answer(a, 400, "AuthorizationHeaderMalformed");
    assert_str(s3_answer_element(a, "Region"), "eu-west-1");
    s3_engine_free(other);
}

static void test_description(void **state)
{
    (void)state;
    const struct s3_answer *a = s3_do(engine, "GET", "/bkt/absent", NULL);
    assert_string_equal(a->info.operation, "GetObject");
    assert_string_equal(a->info.error_code, "NoSuchKey");
    assert_str(a->info.bucket, "bkt");
    assert_str(a->info.key, "absent");
    assert_str(a->info.access_key, S3_ENGINE_ACCESS_KEY);
    assert_string_equal(a->info.auth, "AuthHeader");
    assert_null(a->info.cause);
    a = s3_do(engine, "PATCH", "/bkt", NULL);
    assert_string_equal(a->info.operation, "Unknown");
}

static void test_operation_names(void **state)
{
    (void)state;
    const char *const *names = s3_operation_names();
    size_t count = 0;
    for (; names[count]; count++)
        for (size_t k = 0; k < count; k++)
            assert_string_not_equal(names[count], names[k]);
    assert_true(count > 100);
    assert_string_equal(names[0], "Unknown");
}

/* Virtual hosts, signed and all */
static void test_virtual_host(void **state)
{
    (void)state;
    struct s3_engine_options options = {.domain = "s3.test"};
    struct s3_engine *e = s3_engine_new(&options);
    struct s3_call call = {.method = "PUT", .target = "/", .host = "virtual.s3.test:9000"};
    assert_answer(s3_call(e, &call), 200, NULL);
    call.target = "/dir/key";
    call.body = STR("v");
    assert_answer(s3_call(e, &call), 200, NULL);
    assert_str(s3_do(e, "GET", "/virtual/dir/key", NULL)->body, "v");
    /* The authority of an absolute target chooses nothing. */
    call = (struct s3_call){.method = "GET", .target = "/dir/key", .host = "other.s3.test"};
    assert_answer(s3_call(e, &call), 404, "NoSuchBucket");
    s3_engine_free(e);
}

int main(void)
{
#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(test_forged_signatures_reach_nothing),
        WITH_ENGINE(test_forged_signatures_learn_nothing),
        WITH_ENGINE(test_unroutable_requests_are_authenticated_first),
        WITH_ENGINE(test_mismatch_document),
        WITH_ENGINE(test_unknown_key),
        WITH_ENGINE(test_skewed_clock),
        WITH_ENGINE(test_unsigned_header),
        WITH_ENGINE(test_two_mechanisms),
        WITH_ENGINE(test_bad_payload_word),
        WITH_ENGINE(test_presigned),
        WITH_ENGINE(test_unsigned_trailer_elsewhere),
        WITH_ENGINE(test_user_of_one_bucket),
        WITH_ENGINE(test_read_only_user),
        WITH_ENGINE(test_read_only_gateway),
        WITH_ENGINE(test_expected_owner),
        WITH_ENGINE(test_reserved_names_by_every_row),
        WITH_ENGINE(test_route_errors),
        WITH_ENGINE(test_invalid_uri_needs_no_signature),
        WITH_ENGINE(test_head_errors_have_no_body),
        WITH_ENGINE(test_browser_form),
        WITH_ENGINE(test_region),
        WITH_ENGINE(test_description),
        WITH_ENGINE(test_operation_names),
        WITH_ENGINE(test_virtual_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
