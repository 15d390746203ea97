#include "tests/support/head.h"
#include "tests/support/unit.h"

#include "s3api/route.h"

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
    arena_free(arena);
    return 0;
}

static enum s3_error parse(const char *head_text, const char *domain, struct s3_request *out)
{
    struct http_head *head = arena_new_of(arena, struct http_head);
    *head = head_of(head_text);
    return s3_request_parse(out, head, str_z(domain), arena);
}

/* Parsing */

static const struct {
    const char *head;
    const char *domain;
    const char *bucket, *key, *resource; /* bucket NULL: InvalidURI */
} targets[] = {
    {"GET /\nHost: h", NULL, "", "", "/"},
    {"GET /b\nHost: h", NULL, "b", "", "/b"},
    {"GET /b/\nHost: h", NULL, "b", "", "/b"},
    {"GET /b/k\nHost: h", NULL, "b", "k", "/b/k"},
    {"GET /b/k/\nHost: h", NULL, "b", "k/", "/b/k/"},
    {"GET /b//k\nHost: h", NULL, "b", "/k", "/b//k"},
    {"GET /b/a/../c\nHost: h", NULL, "b", "a/../c", "/b/a/../c"},
    {"GET /b/a%2Fb%20c+d\nHost: h", NULL, "b", "a/b c+d", "/b/a/b c+d"},
    {"GET /b/%25%32%46\nHost: h", NULL, "b", "%2F", "/b/%2F"},
    {"GET /b/k?x=%20\nHost: h", NULL, "b", "k", "/b/k"},
    {"GET /b/k%3Fversions\nHost: h", NULL, "b", "k?versions", "/b/k?versions"},
    {"GET /b%2Fk\nHost: h", NULL, "b/k", "", "/b/k"},
    {"GET //k\nHost: h", NULL, NULL, NULL, NULL},
    {"GET /b/%zz\nHost: h", NULL, NULL, NULL, NULL},
    {"GET /b/%4\nHost: h", NULL, NULL, NULL, NULL},
    {"GET /%\nHost: h", NULL, NULL, NULL, NULL},
    {"GET /b?%zz\nHost: h", NULL, NULL, NULL, NULL},
    {"GET b\nHost: h", NULL, NULL, NULL, NULL},
    {"GET \nHost: h", NULL, NULL, NULL, NULL},
    {"GET *\nHost: h", NULL, NULL, NULL, NULL},
    /* Absolute form; its authority chooses nothing */
    {"GET http://h/b/k?x\nHost: h", NULL, "b", "k", "/b/k"},
    {"GET HTTPS://h:1/b\nHost: h", NULL, "b", "", "/b"},
    {"GET http://h\nHost: h", NULL, "", "", "/"},
    {"GET http://evil.s3.test/k\nHost: good.s3.test", "s3.test", "good", "k", "/good/k"},
    {"GET ftp://h/b\nHost: h", NULL, NULL, NULL, NULL},
    /* Virtual hosts */
    {"GET /\nHost: bkt.s3.test", "s3.test", "bkt", "", "/bkt"},
    {"GET /k/l\nHost: bkt.s3.test:9000", "s3.test", "bkt", "k/l", "/bkt/k/l"},
    {"GET //k\nHost: bkt.s3.test", "s3.test", "bkt", "/k", "/bkt//k"},
    {"GET /k\nHost: BKT.S3.Test", "s3.test", "bkt", "k", "/bkt/k"},
    {"GET /k\nHost: a.b.s3.test", "s3.test", "a.b", "k", "/a.b/k"},
    {"GET /b/k\nHost: s3.test:9000", "s3.test", "b", "k", "/b/k"},
    {"GET /b/k\nHost: .s3.test", "s3.test", "b", "k", "/b/k"},
    {"GET /b/k\nHost: xs3.test", "s3.test", "b", "k", "/b/k"},
    {"GET /b/k\nHost: other.test", "s3.test", "b", "k", "/b/k"},
    {"GET /b/k\nHost: [::1]:9000", "s3.test", "b", "k", "/b/k"},
    {"GET /b/k\nX: y", "s3.test", "b", "k", "/b/k"},
};

static void test_targets(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        struct s3_request r;
        enum s3_error error = parse(targets[i].head, targets[i].domain, &r);
        if ((error == S3_OK) != (targets[i].bucket != NULL))
            fail_msg("%s: %d", targets[i].head, (int)error);
        if (error != S3_OK) {
            assert_int_equal(error, S3_INVALID_URI);
            continue;
        }
        assert_str(r.bucket, targets[i].bucket);
        assert_str(r.key, targets[i].key);
        assert_str(r.resource, targets[i].resource);
    }
}

static void test_params(void **state)
{
    (void)state;
    struct s3_request r;
    assert_int_equal(parse("GET /b?uploads&prefix=a%2Bb+c&empty=&&x=1&x=2&a=b=c\nHost: h", NULL, &r), S3_OK);
    assert_int_equal(r.param_count, 6);
    assert_true(s3_has_param(&r, "uploads"));
    assert_str(s3_param_value(&r, "prefix"), "a+b c");
    assert_non_null(s3_param(&r, "empty"));
    assert_str(s3_param_value(&r, "empty"), "");
    assert_str(s3_param_value(&r, "x"), "1");
    assert_str(s3_param_value(&r, "a"), "b=c");
    assert_null(s3_param(&r, "Uploads"));
    assert_null(s3_param_value(&r, "absent").ptr);
}

static void test_too_many_params(void **state)
{
    (void)state;
    struct s3_request r;
    struct buf text = buf_make(10000);
    buf_addz(&text, "GET /b?p0");
    for (int i = 1; i < LIMIT_QUERY_PARAMS; i++)
        buf_addf(&text, "&p%d", i);
    assert_int_equal(parse(buf_z(&text), NULL, &r), S3_OK);
    buf_addz(&text, "&more");
    assert_int_equal(parse(buf_z(&text), NULL, &r), S3_INVALID_URI);
    buf_done(&text);
}

/* Rows */

static void test_every_row_is_reached(void **state)
{
    (void)state;
    static const char *const paths[] = {"/", "/bkt", "/bkt/key"};
    for (size_t i = 0; i < s3_op_row_count; i++) {
        const struct s3_op_row *row = &s3_op_rows[i];
        struct s3_route route;
        struct s3_request r;
        struct str head =
            arena_printf(arena, "%s %s%s%s%s%s\n%s%s", row->method, paths[row->level], row->query ? "?" : "",
                         row->query ? row->query : "", row->query2 ? "&" : "", row->query2 ? row->query2 : "",
                         row->header ? row->header : "", row->header ? ": value" : "");
        assert_int_equal(parse(head.ptr, NULL, &r), S3_OK);
        if (s3_route(&r, &route) != S3_ROUTE_FOUND || route.row != row)
            fail_msg("%s: %s", row->name, head.ptr);
    }
}

static void test_rows_are_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < s3_op_row_count; i++) {
        const struct s3_op_row *row = &s3_op_rows[i];
        bool is_get = strcmp(row->method, "GET") == 0 || strcmp(row->method, "HEAD") == 0;
        if (!row->begin && !row->finish)
            fail_msg("%s does nothing", row->name);
        if ((row->body == S3_BODY_KIND_STREAM) != (row->sink != NULL))
            fail_msg("%s: a sink is what streams have", row->name);
        if ((row->body == S3_BODY_KIND_SMALL) != (row->body_max > 0))
            fail_msg("%s: a maximum is what documents have", row->name);
        if (row->body != S3_BODY_KIND_NONE && !row->finish)
            fail_msg("%s: a body without an end", row->name);
        if (row->flags & S3_OP_SLOW && !row->finish)
            fail_msg("%s cannot be slow", row->name);
        if (is_get && row->flags & S3_OP_WRITE)
            fail_msg("%s writes", row->name);
        bool changes = strcmp(row->method, "PUT") == 0 || strcmp(row->method, "DELETE") == 0;
        if (changes && !(row->flags & S3_OP_WRITE))
            fail_msg("%s does not need to be allowed to write", row->name);
    }
}

static const struct {
    const char *head;
    enum s3_route_verdict verdict;
    const char *name; /* of the row, or the sub-resource that decided */
} requests[] = {
    {"GET /b?list-type=2", S3_ROUTE_FOUND, "ListObjectsV2"},
    {"GET /b?prefix=uploads", S3_ROUTE_FOUND, "ListObjects"},
    {"GET /b/?uploads=", S3_ROUTE_FOUND, "ListMultipartUploads"},
    {"GET /b/k?x-id=GetObject&partNumber=3&response-content-type=x", S3_ROUTE_FOUND, "GetObject"},
    {"HEAD /b/k?versionId=null", S3_ROUTE_FOUND, "HeadObject"},
    {"GET /b/k?list-type=2", S3_ROUTE_FOUND, "GetObject"},
    {"PUT /b/k?partNumber=1&uploadId=u", S3_ROUTE_FOUND, "UploadPart"},
    {"PUT /b/k?uploadId=u&partNumber=1\nx-amz-copy-source: b/k", S3_ROUTE_FOUND, "UploadPartCopy"},
    {"PUT /b/k\nX-Amz-Copy-Source: b/k", S3_ROUTE_FOUND, "CopyObject"},
    {"PUT /b/k?tagging\nx-amz-copy-source: b/k", S3_ROUTE_FOUND, "PutObjectTagging"},
    {"GET /b?analytics", S3_ROUTE_FOUND, "ListBucketAnalyticsConfigurations"},
    {"GET /b?analytics&id=x", S3_ROUTE_FOUND, "GetBucketAnalyticsConfiguration"},
    {"OPTIONS /b/k?acl&uploads", S3_ROUTE_FOUND, "Preflight"},
    {"GET /?acl", S3_ROUTE_FOUND, "ListBuckets"},
    /* Wrong methods */
    {"PUT /", S3_ROUTE_METHOD, NULL},
    {"HEAD /", S3_ROUTE_METHOD, NULL},
    {"PATCH /b", S3_ROUTE_METHOD, NULL},
    {"POST /b/k", S3_ROUTE_METHOD, NULL},
    {"get /b/k", S3_ROUTE_METHOD, NULL},
    {"POST /b?acl", S3_ROUTE_METHOD, "acl"},
    {"HEAD /b?acl", S3_ROUTE_METHOD, "acl"},
    {"DELETE /b/k?acl", S3_ROUTE_METHOD, "acl"},
    {"DELETE /b?location", S3_ROUTE_METHOD, "location"},
    {"GET /b?delete", S3_ROUTE_METHOD, "delete"},
    {"HEAD /b/k?uploadId=u", S3_ROUTE_METHOD, "uploadId"},
    /* Sub-resources of the other level */
    {"GET /b/k?uploads", S3_ROUTE_KEY_UNWANTED, "uploads"},
    {"GET /b/k?versions", S3_ROUTE_NOT_FOR_KEY, "versions"},
    {"DELETE /b/k?policy", S3_ROUTE_NOT_FOR_KEY, "policy"},
    {"PUT /b/k?versioning", S3_ROUTE_NOT_FOR_KEY, "versioning"},
    {"POST /b/k?delete", S3_ROUTE_NOT_FOR_KEY, "delete"},
    {"PUT /b?uploadId=u&partNumber=1", S3_ROUTE_KEY_MISSING, "uploadId"},
    {"POST /b?uploads", S3_ROUTE_KEY_MISSING, "uploads"},
    {"POST /b/?uploadId=u", S3_ROUTE_KEY_MISSING, "uploadId"},
    {"DELETE /b?uploadId=u", S3_ROUTE_KEY_MISSING, "uploadId"},
    {"GET /b?attributes", S3_ROUTE_KEY_MISSING, "attributes"},
    {"PUT /b?legal-hold", S3_ROUTE_KEY_MISSING, "legal-hold"},
    /* Too many, too few */
    {"GET /b?acl&policy", S3_ROUTE_CONFLICT, NULL},
    {"GET /b/k?acl&tagging", S3_ROUTE_CONFLICT, NULL},
    {"GET /b?versions&list-type=2", S3_ROUTE_CONFLICT, NULL},
    {"PUT /b/k?uploadId=u", S3_ROUTE_PARAM_MISSING, "uploadId"},
    {"PUT /b/k?partNumber=1", S3_ROUTE_PARAM_MISSING, "partNumber"},
    {"PUT /b/k?partNumber=1\nx-amz-copy-source: b/k", S3_ROUTE_PARAM_MISSING, "partNumber"},
};

static void test_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        struct s3_route route;
        struct s3_request r;
        assert_int_equal(parse(requests[i].head, NULL, &r), S3_OK);
        enum s3_route_verdict verdict = s3_route(&r, &route);
        const char *name = verdict == S3_ROUTE_FOUND ? route.row->name : route.sub_resource;
        if (verdict != requests[i].verdict)
            fail_msg("%s: %d %s", requests[i].head, (int)verdict, name);
        if (requests[i].name && (!name || strcmp(name, requests[i].name) != 0))
            fail_msg("%s: %s", requests[i].head, name ? name : "(none)");
        assert_int_equal(route.row != NULL, verdict == S3_ROUTE_FOUND);
    }
}

static void test_allowed_methods(void **state)
{
    (void)state;
    static const struct {
        const char *head, *methods;
    } rows[] = {
        {"PUT /", "GET, POST"},
        {"PATCH /b", "GET, HEAD, PUT, POST, DELETE"},
        {"POST /b/k", "GET, HEAD, PUT, DELETE"},
        {"POST /b?acl", "GET, PUT"},
        {"PUT /b?location", "GET"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct s3_request r;
        struct buf methods = buf_make(100);
        assert_int_equal(parse(rows[i].head, NULL, &r), S3_OK);
        s3_route_methods(&r, &methods);
        assert_str(buf_str(&methods), rows[i].methods);
        buf_done(&methods);
    }
}

/* Presigned URLs carry headers in their query. */
static void test_moved_headers(void **state)
{
    (void)state;
    struct s3_request r;
    static const char presigned[] = "PUT /b/k?X-Amz-Signature=0&X-Amz-Date=d&x-amz-meta-a=%201&X-Amz-Tagging=t%3D1&Content-Type=text%2Fplain"
                                    "&x-amz-acl=private&x=y\nHost: h\nx-amz-acl: public-read";
    assert_int_equal(parse(presigned, NULL, &r), S3_OK);
    assert_str(s3_header(&r, "x-amz-meta-a"), "1");
    assert_str(s3_header(&r, "x-amz-tagging"), "t=1");
    assert_str(s3_header(&r, "content-type"), "text/plain");
    assert_str(s3_header(&r, "x-amz-acl"), "public-read"); /* the header itself goes before */
    assert_null(s3_header(&r, "x-amz-date").ptr);
    assert_null(s3_header(&r, "x").ptr);
    assert_int_equal(parse("PUT /b/k?x-amz-tagging=t%3D1\nHost: h", NULL, &r), S3_OK);
    assert_null(s3_header(&r, "x-amz-tagging").ptr);
}

/* Whoever was given the URL adds headers until there is no room: nothing of the URL is left out then (SEC-07). */
static void test_moved_headers_without_room(void **state)
{
    (void)state;
    struct s3_request r;
    struct buf head = buf_make(LIMIT_HEAD_BYTES);
    buf_addz(&head, "PUT /b/k?X-Amz-Signature=0&x-amz-checksum-crc32=AAAAAA%3D%3D\nHost: h");
    for (size_t i = 2; i < LIMIT_HEADER_COUNT; i++)
        buf_addf(&head, "\njunk-%zu: x", i);
    assert_int_equal(parse(buf_z(&head), NULL, &r), S3_OK);
    assert_str(s3_header(&r, "x-amz-checksum-crc32"), "AAAAAA==");
    buf_addz(&head, "\njunk: x");
    assert_int_equal(parse(buf_z(&head), NULL, &r), S3_INVALID_URI);
    buf_done(&head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moved_headers),   cmocka_unit_test(test_moved_headers_without_room),
        cmocka_unit_test(test_targets),         cmocka_unit_test(test_params),
        cmocka_unit_test(test_too_many_params), cmocka_unit_test(test_every_row_is_reached),
        cmocka_unit_test(test_rows_are_sound),  cmocka_unit_test(test_requests),
        cmocka_unit_test(test_allowed_methods),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
