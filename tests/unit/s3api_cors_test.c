#include "tests/support/s3_engine.h"
#include "tests/support/unit.h"

#include "base/digest.h"
#include "base/encode.h"

/* Other origins: the rules' document, preflights, and what answers to other requests carry. */

static struct s3_engine *engine;

static int set_up(void **state)
{
    (void)state;
    engine = s3_engine_new(NULL);
    assert_answer(s3_do(engine, "PUT", "/bkt", NULL), 200, NULL);
    assert_answer(s3_do(engine, "PUT", "/bkt/k", "content"), 200, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    s3_engine_free(engine);
    return 0;
}

#define RULES(rules) "<CORSConfiguration>" rules "</CORSConfiguration>"
#define RULE(elements) "<CORSRule>" elements "</CORSRule>"
#define ORIGIN(o) "<AllowedOrigin>" o "</AllowedOrigin>"
#define METHOD(m) "<AllowedMethod>" m "</AllowedMethod>"
#define HEADER(h) "<AllowedHeader>" h "</AllowedHeader>"
#define EXPOSE(h) "<ExposeHeader>" h "</ExposeHeader>"
#define ANY RULE(ORIGIN("*") METHOD("GET"))

static const struct s3_answer *put_rules(const char *document)
{
    uint8_t md5[DIGEST_SIZE_MAX];
    struct buf header = buf_make(100);
    digest_bytes(DIGEST_MD5, str_z(document), md5);
    buf_addz(&header, "Content-MD5: ");
    buf_add_base64(&header, md5, 16);
    struct s3_call call = {.method = "PUT", .target = "/bkt?cors", .headers = {buf_z(&header)}, .body = str_z(document)};
    const struct s3_answer *a = s3_call(engine, &call);
    buf_done(&header);
    return a;
}

static const struct s3_answer *ask(const char *method, const char *target, const char *origin, const char *asked_method,
                                   const char *asked_headers)
{
    struct s3_call call = {.method = method, .target = target};
    size_t count = 0;
    call.auth = strcmp(method, "OPTIONS") == 0 ? S3_CALL_ANONYMOUS : S3_CALL_SIGNED;
    if (origin)
        call.headers[count++] = arena_printf(s3_engine_arena(engine), "Origin: %s", origin).ptr;
    if (asked_method)
        call.headers[count++] = arena_printf(s3_engine_arena(engine), "Access-Control-Request-Method: %s", asked_method).ptr;
    if (asked_headers)
        call.headers[count] = arena_printf(s3_engine_arena(engine), "Access-Control-Request-Headers: %s", asked_headers).ptr;
    return s3_call(engine, &call);
}

static void assert_allowed(const struct s3_answer *a, const char *origin)
{
    struct str value = s3_answer_header(a, "access-control-allow-origin");
    if (!str_is(value, origin ? origin : ""))
        fail_msg("%s: \"%.*s\", expected \"%s\"", a->info.operation, STR_ARG(value), origin ? origin : "");
    assert_int_equal(s3_answer_header(a, "vary").len > 0, origin != NULL);
}

/* Documents */

static void test_document(void **state)
{
    (void)state;
    static const char *const kept =
        "<CORSRule><ID>one &amp; only</ID><AllowedHeader>x-AMZ-*</AllowedHeader><AllowedMethod>GET</AllowedMethod>"
        "<AllowedMethod>PUT</AllowedMethod><AllowedOrigin>http://a</AllowedOrigin><ExposeHeader>ETag</ExposeHeader>"
        "<MaxAgeSeconds>3000</MaxAgeSeconds></CORSRule>";
    assert_answer(s3_do(engine, "GET", "/bkt?cors", NULL), 404, "NoSuchCORSConfiguration");
    assert_answer(s3_do(engine, "DELETE", "/bkt?cors", NULL), 204, NULL);
    assert_answer(put_rules(RULES(RULE("<MaxAgeSeconds> 3000 </MaxAgeSeconds>" EXPOSE("ETag") METHOD("GET") ORIGIN("http://a")
                                           METHOD("PUT") HEADER("x-AMZ-*") "<ID>one &amp; only</ID>"))),
                  200, NULL);
    const struct s3_answer *a = s3_do(engine, "GET", "/bkt?cors", NULL);
    assert_answer(a, 200, NULL);
    assert_true(str_find(a->body, str_z(kept)) >= 0);
    assert_answer(s3_do(engine, "DELETE", "/bkt?cors", NULL), 204, NULL);
    assert_answer(s3_do(engine, "GET", "/bkt?cors", NULL), 404, "NoSuchCORSConfiguration");
}

static void test_refused_documents(void **state)
{
    (void)state;
    static const struct {
        const char *document, *code, *message;
    } rows[] = {
        {"<CORSConfiguration/>", "MalformedXML", NULL},
        {"<CORSConfiguration", "MalformedXML", NULL},
        {"<Other>" ANY "</Other>", "MalformedXML", NULL},
        {RULES(ANY "<Rule/>"), "MalformedXML", NULL},
        {RULES(RULE(ORIGIN("*"))), "MalformedXML", NULL},
        {RULES(RULE(METHOD("GET"))), "MalformedXML", NULL},
        {RULES(RULE(METHOD("GET") ORIGIN("*") "<Unknown/>")), "MalformedXML", NULL},
        {RULES(RULE(METHOD("GET") ORIGIN("<b/>"))), "MalformedXML", NULL},
        {RULES(RULE(METHOD("GET") ORIGIN("*") "<ID>a</ID><ID>b</ID>")), "MalformedXML", NULL},
        {RULES(RULE(METHOD("GET") ORIGIN("*") "<MaxAgeSeconds>-1</MaxAgeSeconds>")), "MalformedXML", NULL},
        {RULES(RULE(METHOD("GET") ORIGIN("*") "<MaxAgeSeconds>x</MaxAgeSeconds>")), "MalformedXML", NULL},
        {RULES(RULE(METHOD("PATCH") ORIGIN("*"))), "InvalidRequest", "Unsupported method is PATCH"},
        {RULES(RULE(METHOD("get") ORIGIN("*"))), "InvalidRequest", "Unsupported method is get"},
        {RULES(RULE(METHOD("GET") ORIGIN("http://*.*"))), "InvalidRequest", "can not have more than one wildcard"},
        {RULES(RULE(METHOD("GET") ORIGIN("*") HEADER("*-*"))), "InvalidRequest", "can not have more than one wildcard"},
        {RULES(RULE(METHOD("GET") ORIGIN("*") EXPOSE("x-*"))), "InvalidRequest", "do not support wildcard for ExposeHeader"},
    };
    assert_answer(put_rules(RULES(ANY)), 200, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct s3_answer *a = put_rules(rows[i].document);
        assert_answer(a, 400, rows[i].code);
        if (rows[i].message)
            assert_true(str_find(s3_answer_element(a, "Message"), str_z(rows[i].message)) >= 0);
    }
    assert_true(str_find(s3_do(engine, "GET", "/bkt?cors", NULL)->body, STR("<AllowedMethod>GET")) >= 0);
}

static void test_limits(void **state)
{
    (void)state;
    struct buf document = buf_make(1024 * 1024);
    for (int extra = 0; extra < 2; extra++) {
        buf_reset(&document);
        buf_addz(&document, "<CORSConfiguration>");
        for (int i = 0; i < LIMIT_CORS_RULES + extra; i++)
            buf_addz(&document, ANY);
        buf_addz(&document, "</CORSConfiguration>");
        assert_answer(put_rules(buf_z(&document)), extra ? 400 : 200, extra ? "InvalidRequest" : NULL);
    }
    buf_addf(&document, "%*s", LIMIT_CORS_BYTES, "");
    assert_answer(put_rules(buf_z(&document)), 400, "MaxMessageLengthExceeded");
    buf_done(&document);
    /* Without a checksum it is not the document's that arrived. */
    assert_answer(s3_do(engine, "PUT", "/bkt?cors", RULES(ANY)), 400, "InvalidRequest");
}

/* Preflights */

static void test_preflight_allowed(void **state)
{
    (void)state;
    assert_answer(put_rules(RULES(RULE(ORIGIN("http://*.example.com") METHOD("GET") METHOD("PUT") HEADER("x-amz-*")
                                           HEADER("Content-Type") EXPOSE("ETag") EXPOSE("x-amz-request-id")
                                               "<MaxAgeSeconds>3000</MaxAgeSeconds>"))),
                  200, NULL);
    const struct s3_answer *a = ask("OPTIONS", "/bkt/k", "http://www.example.com", "PUT", "X-Amz-Date,content-type");
    static const char *const headers[][2] = {
        {"access-control-allow-origin", "http://www.example.com"},
        {"access-control-allow-methods", "GET, PUT"},
        {"access-control-allow-headers", "x-amz-date, content-type"},
        {"access-control-expose-headers", "ETag, x-amz-request-id"},
        {"access-control-max-age", "3000"},
        {"access-control-allow-credentials", "true"},
        {"vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"},
    };
    assert_answer(a, 200, NULL);
    assert_int_equal(a->body.len, 0);
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
        assert_str(s3_answer_header(a, headers[i][0]), headers[i][1]);
    /* A presigned URL of another method is asked about, not used. */
    struct s3_call presigned = {.method = "OPTIONS",
                                .target = "/bkt/k",
                                .headers = {"Origin: http://a.example.com", "Access-Control-Request-Method: PUT"},
                                .auth = S3_CALL_FORGED_QUERY};
    assert_answer(s3_call(engine, &presigned), 200, NULL);
}

static void test_preflight_refused(void **state)
{
    (void)state;
    static const struct {
        const char *target, *origin, *method, *headers;
        int status;
        const char *code, *message, *type;
    } rows[] = {
        {"/bkt/k", NULL, "GET", NULL, 400, "BadRequest", "Insufficient information. Origin request header needed.", ""},
        {"/absent-bucket/k", "http://a", NULL, NULL, 403, "AccessForbidden", "CORSResponse: Bucket not found", "OBJECT"},
        {"/no-rules", "http://a", "PUT", NULL, 403, "AccessForbidden", "CORSResponse: CORS is not enabled for this bucket.", "BUCKET"},
        {"/bkt/k", "http://a", NULL, NULL, 400, "BadRequest", "Invalid Access-Control-Request-Method: null", ""},
        {"/bkt/k", "http://a", "PATCH", NULL, 400, "BadRequest", "Invalid Access-Control-Request-Method: PATCH", ""},
        {"/bkt/k", "http://b", "GET", NULL, 403, "AccessForbidden", NULL, "OBJECT"},
        {"/bkt/k", "http://a", "PUT", NULL, 403, "AccessForbidden", NULL, "OBJECT"},
        {"/bkt", "http://a", "GET", "x-other", 403, "AccessForbidden", NULL, "BUCKET"},
        {"/bkt/k", "HTTP://A", "GET", NULL, 403, "AccessForbidden", NULL, "OBJECT"},
    };
    assert_answer(s3_do(engine, "PUT", "/no-rules", NULL), 200, NULL);
    assert_answer(put_rules(RULES(RULE(ORIGIN("http://a") METHOD("GET") HEADER("x-one")))), 200, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct s3_answer *a = ask("OPTIONS", rows[i].target, rows[i].origin, rows[i].method, rows[i].headers);
        assert_answer(a, rows[i].status, rows[i].code);
        assert_allowed(a, NULL);
        if (rows[i].message)
            assert_str(s3_answer_element(a, "Message"), rows[i].message);
        if (rows[i].status == 403)
            assert_str(s3_answer_element(a, "Method"), rows[i].method ? rows[i].method : "OPTIONS");
        assert_true(str_is(s3_answer_element(a, "ResourceType"), rows[i].type));
    }
}

static void test_origins(void **state)
{
    (void)state;
    static const struct {
        const char *origin, *allowed;
    } rows[] = {
        {"foo.suffix", "foo.suffix"}, {"foo.suffix.get", NULL}, {"startend", "startend"}, {"start12end", "start12end"},
        {"0start12end", NULL},        {"starend", NULL},        {"prefix", "prefix"},     {"bla.prefix", NULL},
        {"aba", NULL},                {"foo.put", NULL},
    };
    assert_answer(put_rules(RULES(RULE(METHOD("GET") ORIGIN("*suffix")) RULE(METHOD("GET") ORIGIN("start*end"))
                                      RULE(METHOD("GET") ORIGIN("prefix*") ORIGIN("ab*ba")) RULE(METHOD("PUT") ORIGIN("*.put")))),
                  200, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_allowed(ask("GET", "/bkt/k", rows[i].origin, NULL, NULL), rows[i].allowed);
        assert_allowed(ask("OPTIONS", "/bkt/k", rows[i].origin, "GET", NULL), rows[i].allowed);
    }
}

/* Other requests */

/* SEC-59 */
static void test_no_credentials_for_everybody(void **state)
{
    (void)state;
    assert_answer(put_rules(RULES(RULE(METHOD("GET") ORIGIN("http://a") ORIGIN("*")))), 200, NULL);
    const struct s3_answer *a = ask("GET", "/bkt/k", "http://a", NULL, NULL);
    assert_allowed(a, "*");
    assert_false(s3_answer_header(a, "access-control-allow-credentials").ptr);
}

static void test_answers_of_all_kinds(void **state)
{
    (void)state;
    static const char *const origin = "http://a";
    assert_answer(put_rules(RULES(RULE(METHOD("GET") METHOD("HEAD") ORIGIN("http://a")))), 200, NULL);
    const struct s3_answer *a = ask("GET", "/bkt/k", origin, NULL, NULL);
    assert_answer(a, 200, NULL);
    assert_str(a->body, "content");
    assert_allowed(a, origin);
    assert_allowed(ask("GET", "/bkt/k", NULL, NULL, NULL), NULL);
    assert_allowed(ask("DELETE", "/bkt/other", origin, NULL, NULL), NULL);
    assert_allowed(ask("HEAD", "/bkt/k", origin, NULL, NULL), origin);
    assert_allowed(ask("GET", "/bkt?list-type=2", origin, NULL, NULL), origin);
    /* Errors, too, or scripts could not see them. */
    a = ask("GET", "/bkt/absent", origin, NULL, NULL);
    assert_answer(a, 404, "NoSuchKey");
    assert_allowed(a, origin);
    struct s3_call forged = {.method = "GET", .target = "/bkt/k", .headers = {"Origin: http://a"}, .auth = S3_CALL_FORGED};
    a = s3_call(engine, &forged);
    assert_answer(a, 403, "SignatureDoesNotMatch");
    assert_allowed(a, origin);
    struct s3_call unchanged = {
        .method = "GET", .target = "/bkt/k", .headers = {"Origin: http://a", "If-None-Match: *"}};
    a = s3_call(engine, &unchanged);
    assert_int_equal(a->status, 304);
    assert_allowed(a, origin);
    /* The method that is asked for, where there is one. */
    assert_allowed(ask("DELETE", "/bkt/other", origin, "GET", NULL), origin);
}

int main(void)
{
#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(test_document),
        WITH_ENGINE(test_refused_documents),
        WITH_ENGINE(test_limits),
        WITH_ENGINE(test_preflight_allowed),
        WITH_ENGINE(test_preflight_refused),
        WITH_ENGINE(test_origins),
        WITH_ENGINE(test_no_credentials_for_everybody),
        WITH_ENGINE(test_answers_of_all_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
