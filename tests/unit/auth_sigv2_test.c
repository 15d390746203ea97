/* Presigned URLs of signature version 2: the example of the developer guide, and URLs that botocore 1.43 made. */
#include "tests/support/unit.h"

#include "tests/support/auth_rig.h"

/* botocore's, with ExpiresIn=3600 at the example time. */
#define KEY "AWSAccessKeyId=" EXAMPLE_ACCESS_KEY
#define END "Expires=1369357200"
#define PATH_HOST "\nHost: gw.example.com:9000\n"
#define VIRTUAL_HOST "\nHost: examplebucket.gw.example.com:9000\n"
#define PUT_QUERY                                                                                                      \
    "/k?" KEY "&Signature=l8MvWd5rOozWXv32BsR8gtBYBhM%3D&content-type=text%2Fplain&x-amz-acl=private"                  \
    "&x-amz-meta-two=2&x-amz-meta-one=%20a%20%20b%20&" END
#define LIST_SIGNATURE "&Signature=INGhiFr9NOGYSEx72ZsIaYThC4I%3D&"

/* "Signing and authenticating REST requests", Query String Request Authentication; in the guide's first edition Expires
 * was this one, and only that signature is right for the published secret. */
static void test_guide_example(void **state)
{
    (void)state;
    struct auth_rig r;
    rig_init(&r);
    r.rules.expected_host_suffix = STR("s3.amazonaws.com");
    rig_set_time(1175139620);
    const char *request =
        "GET /photos/puppy.jpg?" KEY "&Expires=1175139620&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D\n"
        "Host: johnsmith.s3.amazonaws.com\n";
    assert_int_equal(rig_verify(&r, request), AUTH_OK);
    assert_int_equal(r.result.scheme, AUTH_SIGV2_QUERY);
    assert_int_equal(r.result.payload, AUTH_PAYLOAD_UNSIGNED);
    assert_int_equal(r.result.expires_at_s, 1175139620);
    assert_str(r.result.user->name, "root");
    rig_set_time(1175139621);
    assert_int_equal(rig_verify(&r, request), AUTH_EXPIRED);
    rig_done(&r);
}

static const char *const good[] = {
    "GET /examplebucket/a%20b%2Bc/%C3%A9%281%29~%2A.txt?" KEY
    "&Signature=fmTzZjVPukcXaIQKzfy2YXciCTo%3D&" END PATH_HOST,
    "GET /a%20b%2Bc/%C3%A9%281%29~%2A.txt?" KEY "&Signature=fmTzZjVPukcXaIQKzfy2YXciCTo%3D&" END VIRTUAL_HOST,
    "GET "
    "/examplebucket/k?versionId=null&response-content-disposition=attachment%3B%20filename%3D%22a%20b%2Bc.txt%22&" KEY
    "&Signature=fWkVJn%2Bng%2BGeJulCcNKMY0plqKg%3D&" END PATH_HOST,
    /* Headers that botocore moved into the query count as headers, whether they also come as such or not. */
    "PUT /examplebucket" PUT_QUERY PATH_HOST,
    "PUT /examplebucket" PUT_QUERY PATH_HOST "Content-Type: text/plain\nX-Amz-Acl: private\nx-amz-meta-one: a  b\n",
    "PUT " PUT_QUERY VIRTUAL_HOST,
    /* A bucket's root is signed with a slash, and sent without or with it. */
    "GET /examplebucket?list-type=2&prefix=x%2F&max-keys=2&encoding-type=url&" KEY LIST_SIGNATURE END PATH_HOST,
    "GET /examplebucket/?list-type=2&prefix=x%2F&max-keys=2&encoding-type=url&" KEY LIST_SIGNATURE END PATH_HOST,
    "GET /?list-type=2&prefix=x%2F&max-keys=2&encoding-type=url&" KEY LIST_SIGNATURE END VIRTUAL_HOST,
    "GET /?list-type=2&" KEY LIST_SIGNATURE END "\nHost: ExampleBucket.GW.example.com\n",
    "POST /examplebucket/k?uploads&" KEY "&Signature=2f%2BkaTseBbKx4Evs739byu79xlY%3D&" END PATH_HOST,
    "PUT /examplebucket/k?partNumber=2&uploadId=u%2B%2F%3D&" KEY
    "&Signature=IHgL4X57BFg8gemzXlWWtAvIpyU%3D&" END PATH_HOST,
};

static void test_botocore(void **state)
{
    (void)state;
    struct auth_rig r;
    rig_init(&r);
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        enum auth_error error = rig_verify(&r, good[i]);
        if (error != AUTH_OK)
            fail_msg("%s\nerror %d, string to sign:\n%.*s", good[i], error, STR_ARG(r.result.string_to_sign));
        assert_non_null(r.result.key);
    }
    rig_done(&r);
}

#define GET_K "/examplebucket/k?"

static const struct {
    const char *request;
    enum auth_error error;
    const char *message;
} bad[] = {
    /* What is covered cannot be changed. */
    {"GET /examplebucket" PUT_QUERY PATH_HOST, AUTH_SIGNATURE_MISMATCH, NULL},
    {"PUT /otherbucket" PUT_QUERY PATH_HOST, AUTH_SIGNATURE_MISMATCH, NULL},
    {"PUT /examplebucket/k/" PUT_QUERY PATH_HOST, AUTH_SIGNATURE_MISMATCH, NULL},
    {"PUT /examplebucket" PUT_QUERY "&uploads" PATH_HOST, AUTH_SIGNATURE_MISMATCH, NULL},
    {"PUT /examplebucket" PUT_QUERY PATH_HOST "Content-Type: text/html\n", AUTH_SIGNATURE_MISMATCH, NULL},
    {"PUT /examplebucket" PUT_QUERY PATH_HOST "Content-MD5: XrY7u+Ae7tCTyyK7j1rNww==\n", AUTH_SIGNATURE_MISMATCH, NULL},
    {"PUT /examplebucket" PUT_QUERY PATH_HOST "x-amz-acl: public-read\n", AUTH_SIGNATURE_MISMATCH, NULL},
    {"PUT /examplebucket" PUT_QUERY PATH_HOST "x-amz-acl: private\nx-amz-acl: private\n", AUTH_SIGNATURE_MISMATCH,
     NULL},
    {"PUT /examplebucket" PUT_QUERY PATH_HOST "x-amz-copy-source: /other/secret\n", AUTH_SIGNATURE_MISMATCH, NULL},
    {"PUT /examplebucket" PUT_QUERY "&X-Amz-Tagging=a%3Db" PATH_HOST, AUTH_SIGNATURE_MISMATCH, NULL},
    {"PUT /k" PUT_QUERY "\nHost: gw.example.com.evil.org\n", AUTH_SIGNATURE_MISMATCH, NULL},
    /* What is not covered and might choose another operation is refused. */
    {"GET /examplebucket?encryption&" KEY LIST_SIGNATURE END PATH_HOST, AUTH_QUERY_MALFORMED,
     "The parameter \"encryption\" is not covered by signature version 2; use signature version 4"},
    {"PUT /examplebucket" PUT_QUERY "&retention" PATH_HOST, AUTH_QUERY_MALFORMED,
     "The parameter \"retention\" is not covered by signature version 2; use signature version 4"},
    /* Form. */
    {"GET " GET_K KEY "&Signature=x" PATH_HOST, AUTH_QUERY_MALFORMED,
     "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"},
    {"GET " GET_K KEY "&" END PATH_HOST, AUTH_QUERY_MALFORMED,
     "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"},
    {"GET " GET_K "Signature=x&" END PATH_HOST, AUTH_QUERY_MALFORMED,
     "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"},
    {"GET " GET_K KEY "&" KEY "&Signature=x&" END PATH_HOST, AUTH_QUERY_MALFORMED,
     "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"},
    {"GET " GET_K KEY "&Signature=x&Expires=tomorrow" PATH_HOST, AUTH_QUERY_MALFORMED,
     "Invalid date (should be seconds since epoch): tomorrow"},
    {"GET " GET_K KEY "&Signature=x&Expires=-1" PATH_HOST, AUTH_QUERY_MALFORMED,
     "Invalid date (should be seconds since epoch): -1"},
    {"GET " GET_K KEY "&Signature=x&Expires=9223372036854775808" PATH_HOST, AUTH_QUERY_MALFORMED,
     "Invalid date (should be seconds since epoch): 9223372036854775808"},
    /* Who and when. */
    {"GET " GET_K "AWSAccessKeyId=NOBODY&Signature=x&" END PATH_HOST, AUTH_ACCESS_KEY_UNKNOWN, NULL},
    {"GET " GET_K "AWSAccessKeyId=AKIADISABLED&Signature=x&" END PATH_HOST, AUTH_ACCESS_KEY_DISABLED,
     "The AWS Access Key Id you provided is disabled."},
    {"GET " GET_K KEY "&Signature=x&Expires=1369353599" PATH_HOST, AUTH_EXPIRED, "Request has expired"},
    {"GET " GET_K KEY "&Signature=x&x-amz-security-token=t&" END PATH_HOST, AUTH_TOKEN_INVALID, NULL},
    {"GET " GET_K KEY "&Signature=x&" END PATH_HOST "X-Amz-Security-Token: t\n", AUTH_TOKEN_INVALID, NULL},
    {"GET " GET_K KEY "&Signature=&" END PATH_HOST, AUTH_SIGNATURE_MISMATCH, NULL},
    {"GET " GET_K KEY "&Signature=vjbyPxybdZaNmGa%2ByT272YEAiv4%3D&" END PATH_HOST, AUTH_SIGNATURE_MISMATCH, NULL},
    /* Payload: no seed, no signed chunks. */
    {"PUT " GET_K KEY "&Signature=x&" END PATH_HOST "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\n",
     AUTH_PAYLOAD_HASH_INVALID, "Signature version 2 has no signed chunks."},
};

static void test_refusals(void **state)
{
    (void)state;
    struct auth_rig r;
    rig_init(&r);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        enum auth_error error = rig_verify(&r, bad[i].request);
        if (error != bad[i].error)
            fail_msg("%s\nerror %d, expected %d", bad[i].request, error, bad[i].error);
        assert_str(r.result.message, bad[i].message ? bad[i].message : "");
        assert_null(r.result.key);
        assert_null(r.result.user);
    }
    rig_done(&r);
}

static void test_mismatch_details(void **state)
{
    (void)state;
    struct auth_rig r;
    rig_init(&r);
    assert_int_equal(rig_verify(&r, "PUT " GET_K KEY "&Signature=abc&acl&" END PATH_HOST
                                    "Content-MD5: m\nContent-Type: t\nx-amz-b: 2\nX-Amz-A:  1 \nx-amz-b: 3\n"),
                     AUTH_SIGNATURE_MISMATCH);
    assert_str(r.result.string_to_sign, "PUT\nm\nt\n1369357200\nx-amz-a:1\nx-amz-b:2,3\n/examplebucket/k?acl");
    assert_str(r.result.signature_provided, "abc");
    assert_str(r.result.access_key, EXAMPLE_ACCESS_KEY);
    rig_done(&r);
}

static void test_switched_off(void **state)
{
    (void)state;
    struct auth_rig r;
    rig_init(&r);
    r.rules.sigv2 = false;
    assert_int_equal(rig_verify(&r, good[0]), AUTH_SCHEME_UNSUPPORTED);
    assert_true(str_find(r.result.message, STR("signature_version='s3v4'")) > 0);
    rig_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guide_example),    cmocka_unit_test(test_botocore),     cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_mismatch_details), cmocka_unit_test(test_switched_off),
    };
    return cmocka_run_group_tests_name("auth/sigv2", tests, NULL, NULL);
}
