/* auth_verify over signature version 4, by header and by query, and over requests that are not signed. */
#include "tests/support/unit.h"

#include "auth/sigv4.h"
#include "base/encode.h"
#include "tests/support/auth_rig.h"

/* Requests that are right */

#define ALGORITHM "AWS4-HMAC-SHA256 "
#define CREDENTIAL "Credential=" EXAMPLE_ACCESS_KEY "/" EXAMPLE_SCOPE
#define DATE "x-amz-date: 20130524T000000Z\n"
#define AWS_HOST "Host: examplebucket.s3.amazonaws.com\n"
#define AWS_COMMON AWS_HOST "x-amz-content-sha256: " EMPTY_SHA256 "\n" DATE
#define AWS_NAMES "SignedHeaders=host;x-amz-content-sha256;x-amz-date,"
#define GATEWAY_HOST "Host: gw.example.com:9000\n"
#define QUERY_CREDENTIAL "X-Amz-Credential=" EXAMPLE_ACCESS_KEY "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
#define QUERY_HEAD "X-Amz-Algorithm=AWS4-HMAC-SHA256&" QUERY_CREDENTIAL "&X-Amz-Date=20130524T000000Z&"
#define QUERY_HOST QUERY_HEAD "X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature="

static const struct {
    const char *request;
    enum auth_scheme scheme;
    enum auth_payload payload;
} good[] = {
    /* Amazon S3 API reference. */
    {"GET /test.txt\nRange: bytes=0-9\n" AWS_COMMON "Authorization: " ALGORITHM CREDENTIAL
     ",SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
     "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41\n",
     AUTH_SIGV4_HEADER, AUTH_PAYLOAD_SHA256},
    {"PUT /test$file.text\n" AWS_HOST "Date: Fri, 24 May 2013 00:00:00 GMT\n" DATE
     "x-amz-storage-class: REDUCED_REDUNDANCY\n"
     "x-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072\n"
     "authorization: " ALGORITHM CREDENTIAL
     ",  SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class , "
     "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd\n",
     AUTH_SIGV4_HEADER, AUTH_PAYLOAD_SHA256},
    {"GET /?lifecycle\n" AWS_COMMON "Authorization: " ALGORITHM CREDENTIAL "," AWS_NAMES
     "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543\n",
     AUTH_SIGV4_HEADER, AUTH_PAYLOAD_SHA256},
    {"GET /?prefix=J&max-keys=2\n" AWS_COMMON "Authorization: " ALGORITHM CREDENTIAL "," AWS_NAMES
     "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7\n",
     AUTH_SIGV4_HEADER, AUTH_PAYLOAD_SHA256},
    {"GET /test.txt?" QUERY_HEAD "X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature="
     "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404\n" AWS_HOST,
     AUTH_SIGV4_QUERY, AUTH_PAYLOAD_UNSIGNED},
    /* botocore 1.43, as it came over the wire. */
    {"PUT /examplebucket/a%20b%2Bc/%C3%A9%281%29~%2A.txt\nHost: gw.example.com:9000\nAccept-Encoding: identity\n"
     "x-amz-meta-m: x  y\nContent-Type: text/plain\nUser-Agent: Boto3/1.43.11\nExpect: 100-continue\n"
     "x-amz-checksum-crc32: 99GJgg==\nx-amz-sdk-checksum-algorithm: CRC32\nX-Amz-Date: 20130524T000000Z\n"
     "X-Amz-Content-SHA256: 185f8db32271fe25f561a6fc938b2e264306ec304eda518007d1764826381969\n"
     "Authorization: " ALGORITHM CREDENTIAL ", SignedHeaders=content-type;host;x-amz-checksum-crc32;"
     "x-amz-content-sha256;x-amz-date;x-amz-meta-m;x-amz-sdk-checksum-algorithm, "
     "Signature=96e85e2031fcc60b2bb8a14259c5b5062e748527db30d100185e13faae22ec83\n"
     "amz-sdk-request: attempt=1\nContent-Length: 5\n",
     AUTH_SIGV4_HEADER, AUTH_PAYLOAD_SHA256},
    {"GET /examplebucket?list-type=2&prefix=a%20b%2B%C3%A9%2F&delimiter=%2F&start-after=~%2A&encoding-type=url\n"
     "Host: gw.example.com:9000\n" DATE "X-Amz-Content-SHA256: " EMPTY_SHA256 "\nAuthorization: " ALGORITHM CREDENTIAL
     ", SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
     "Signature=cd4ad3d2518951f0dfb9a62e2c98dd2723aea0c40a295f62067145aaf6819212\n",
     AUTH_SIGV4_HEADER, AUTH_PAYLOAD_SHA256},
    {"GET /examplebucket/k?versionId=null&response-content-disposition=attachment%3B%20filename%3D%22a%20b%2Bc.txt%22"
     "&" QUERY_HOST "dfffa42aa28bebc3a5d56590e29a66032bcf79620127ef8a7fd4623c7a6ebd72\n" GATEWAY_HOST,
     AUTH_SIGV4_QUERY, AUTH_PAYLOAD_UNSIGNED},
    /* The same with a raw '+' for the blank and other spellings of what needs no escape. */
    {"GET /examplebucket/%6b?versionId=%6eull&response-content-disposition=attachment;+filename=\"a+b%2bc.txt\""
     "&" QUERY_HOST "dfffa42aa28bebc3a5d56590e29a66032bcf79620127ef8a7fd4623c7a6ebd72\n" GATEWAY_HOST,
     AUTH_SIGV4_QUERY, AUTH_PAYLOAD_UNSIGNED},
    {"PUT /examplebucket/k?" QUERY_HEAD "X-Amz-Expires=3600&X-Amz-SignedHeaders=content-type%3Bhost%3Bx-amz-acl%3B"
     "x-amz-meta-one%3Bx-amz-meta-two&X-Amz-Signature="
     "158117d5191a5086f2d311365ca664eddb131657f3b06c6eb252f5fa2bab286a\n" GATEWAY_HOST
     "content-type: text/plain\nx-amz-acl: private\nx-amz-meta-one: a  b\nx-amz-meta-two: 2\nContent-Length: 9\n",
     AUTH_SIGV4_QUERY, AUTH_PAYLOAD_UNSIGNED},
    {"PUT /examplebucket/k?partNumber=2&uploadId=u%2B%2F%3D&" QUERY_HOST
     "bc2c78e01758a12a377b619a6c6c4c029586e319834f30d52683db2073b524bf\n" GATEWAY_HOST,
     AUTH_SIGV4_QUERY, AUTH_PAYLOAD_UNSIGNED},
    /* Nobody. */
    {"GET /examplebucket/k?versionId=1&Expires=1\n" GATEWAY_HOST, AUTH_ANONYMOUS, AUTH_PAYLOAD_UNSIGNED},
    {"PUT /k\n" GATEWAY_HOST "x-amz-content-sha256: UNSIGNED-PAYLOAD\n", AUTH_ANONYMOUS, AUTH_PAYLOAD_UNSIGNED},
    {"PUT /k\n" GATEWAY_HOST "x-amz-content-sha256: " EMPTY_SHA256 "\n", AUTH_ANONYMOUS, AUTH_PAYLOAD_SHA256},
    {"PUT /k\n" GATEWAY_HOST "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\n", AUTH_ANONYMOUS,
     AUTH_PAYLOAD_STREAM_UNSIGNED_TRAILER},
};

static void test_good(void **state)
{
    (void)state;
    struct auth_rig r;
    rig_init(&r);
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        enum auth_error error = rig_verify(&r, good[i].request);
        if (error != AUTH_OK)
            fail_msg("%s\nerror %d %.*s, canonical request:\n%.*s", good[i].request, error, STR_ARG(r.result.message),
                     STR_ARG(r.result.canonical_request));
        assert_int_equal(r.result.scheme, good[i].scheme);
        assert_int_equal(r.result.payload, good[i].payload);
        assert_int_equal(r.result.key != NULL, good[i].scheme != AUTH_ANONYMOUS);
        assert_true(r.result.user == (r.result.key ? r.result.key->user : NULL));
    }
    rig_done(&r);
}

static void test_result(void **state)
{
    (void)state;
    struct auth_rig r;
    uint8_t empty[32], no_key[AUTH_SIGNING_KEY_SIZE] = {0};
    rig_init(&r);
    assert_int_equal(rig_verify(&r, good[0].request), AUTH_OK);
    assert_str(r.result.key->access_key, EXAMPLE_ACCESS_KEY);
    assert_str(r.result.user->name, "root");
    assert_str(r.result.amz_date, "20130524T000000Z");
    assert_str(r.result.scope, EXAMPLE_SCOPE);
    assert_str(r.result.signature, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    assert_int_equal(r.result.signed_at_s, EXAMPLE_TIME_S);
    assert_true(hex_decode(STR(EMPTY_SHA256), empty, sizeof(empty)));
    assert_memory_equal(r.result.payload_sha256, empty, sizeof(empty));
    /* A key leaves only as the seed of chunks. */
    assert_memory_equal(r.result.signing_key, no_key, sizeof(no_key));
    assert_int_equal(rig_verify(&r, good[4].request), AUTH_OK);
    assert_int_equal(r.result.expires_at_s, EXAMPLE_TIME_S + 86400);
    rig_done(&r);
}

/* Requests that are wrong */

#define NO_SIGNATURE "0000000000000000000000000000000000000000000000000000000000000000"
#define HEADER(credential, names, signature)                                                                           \
    "GET /k\n" AWS_COMMON "Authorization: " ALGORITHM credential ", SignedHeaders=" names ", Signature=" signature "\n"
#define HEADER_OF(scope) HEADER("Credential=" scope, "host;x-amz-content-sha256;x-amz-date", NO_SIGNATURE)
/* Signed by everything but a right signature, with other headers in place of the common ones. */
#define HEADER_WITH(headers, names)                                                                                    \
    "GET /k\n" AWS_HOST headers "Authorization: " ALGORITHM CREDENTIAL ", SignedHeaders=" names                        \
    ", Signature=" NO_SIGNATURE "\n"
#define ALL_NAMES "host;x-amz-content-sha256;x-amz-date"
#define SHA256 "x-amz-content-sha256: " EMPTY_SHA256 "\n"
#define MALFORMED "The authorization header is malformed; "
#define EXPECTING "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\"."
#define COMPONENTS "the authorization header requires three components: Credential, SignedHeaders, and Signature."
#define NO_DATE "AWS authentication requires a valid Date or x-amz-date header"
#define UNSIGNED "There were headers present in the request which were not signed"
#define HASH_ONCE "x-amz-content-sha256 must be given once."
#define HASH_VALUES                                                                                                    \
    "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "                              \
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value."
#define ONE_MECHANISM                                                                                                  \
    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter "     \
    "or the Authorization header should be specified"

struct bad {
    const char *request;
    enum auth_error error;
    const char *message;
};

static void check_bad(const struct bad *rows, size_t count)
{
    struct auth_rig r;
    rig_init(&r);
    for (size_t i = 0; i < count; i++) {
        enum auth_error error = rig_verify(&r, rows[i].request);
        if (error != rows[i].error)
            fail_msg("%s\nerror %d \"%.*s\", expected %d", rows[i].request, error, STR_ARG(r.result.message),
                     rows[i].error);
        if (!str_is(r.result.message, rows[i].message))
            fail_msg("%s\nmessage \"%.*s\"", rows[i].request, STR_ARG(r.result.message));
        assert_null(r.result.key);
        assert_null(r.result.user);
    }
    rig_done(&r);
}

static const struct bad bad_headers[] = {
    /* Schemes */
    {"GET /k\n" AWS_COMMON "Authorization: AWS " EXAMPLE_ACCESS_KEY ":frJIUN8DYpKDtOLCwo//yllqDzg=\n",
     AUTH_SCHEME_UNSUPPORTED,
     "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256: use signature "
     "version 4 (boto3: Config(signature_version='s3v4'); s3cmd: signature_v2 = False)."},
    {"GET /k\n" AWS_COMMON "Authorization: AWS4-ECDSA-P256-SHA256 Credential=x\n", AUTH_SCHEME_UNSUPPORTED,
     "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256: use signature "
     "version 4 (boto3: Config(signature_version='s3v4'); s3cmd: signature_v2 = False)."},
    {"GET /k\n" AWS_COMMON "Authorization: Basic dXNlcjpwYXNz\n", AUTH_SCHEME_UNSUPPORTED,
     "Unsupported Authorization Type; use signature version 4 (AWS4-HMAC-SHA256)."},
    {"GET /k\n" AWS_COMMON "Authorization:\n", AUTH_SCHEME_UNSUPPORTED,
     "Unsupported Authorization Type; use signature version 4 (AWS4-HMAC-SHA256)."},
    {"GET /k\n" AWS_COMMON "Authorization: x\nauthorization: x\n", AUTH_HEADER_MALFORMED,
     "There is more than one Authorization header."},
    /* Components */
    {"GET /k\n" AWS_COMMON "Authorization: " ALGORITHM "\n", AUTH_HEADER_MALFORMED,
     MALFORMED "the authorization component \"\" is malformed."},
    {"GET /k\n" AWS_COMMON "Authorization: " ALGORITHM "Credential\n", AUTH_HEADER_MALFORMED,
     MALFORMED "the authorization component \"Credential\" is malformed."},
    {"GET /k\n" AWS_COMMON "Authorization: " ALGORITHM "credential=a\n", AUTH_HEADER_MALFORMED,
     MALFORMED "the authorization component \"credential=a\" is malformed."},
    {"GET /k\n" AWS_COMMON "Authorization: " ALGORITHM "Signature=a, Signature=b\n", AUTH_HEADER_MALFORMED,
     MALFORMED "the authorization component \"Signature=b\" is malformed."},
    {"GET /k\n" AWS_COMMON "Authorization: " ALGORITHM CREDENTIAL ", SignedHeaders=host\n", AUTH_HEADER_MALFORMED,
     MALFORMED COMPONENTS},
    {"GET /k\n" AWS_COMMON "Authorization: " ALGORITHM CREDENTIAL ", Signature=x\n", AUTH_HEADER_MALFORMED,
     MALFORMED COMPONENTS},
    {"GET /k\n" AWS_COMMON "Authorization: " ALGORITHM "SignedHeaders=host, Signature=x\n", AUTH_HEADER_MALFORMED,
     MALFORMED COMPONENTS},
    {HEADER(CREDENTIAL, "", NO_SIGNATURE), AUTH_HEADER_MALFORMED, MALFORMED COMPONENTS},
    /* Scope */
    {HEADER_OF("a"), AUTH_HEADER_MALFORMED, MALFORMED EXPECTING},
    {HEADER_OF(EXAMPLE_SCOPE), AUTH_HEADER_MALFORMED, MALFORMED EXPECTING},
    {HEADER_OF("/" EXAMPLE_SCOPE), AUTH_HEADER_MALFORMED, MALFORMED EXPECTING},
    {HEADER_OF("a/2013-5-24/us-east-1/s3/aws4_request"), AUTH_HEADER_MALFORMED,
     MALFORMED "incorrect date format \"2013-5-24\". This date in the credential must be in the format \"yyyyMMdd\"."},
    {HEADER_OF("a/20130524/us-east-1/s3/aws4"), AUTH_HEADER_MALFORMED,
     MALFORMED "incorrect terminal \"aws4\". This endpoint uses \"aws4_request\"."},
    {HEADER_OF("a/20130524/us-east-1/ec2/aws4_request"), AUTH_HEADER_MALFORMED,
     MALFORMED "incorrect service \"ec2\". This endpoint belongs to \"s3\"."},
    {HEADER_OF("a/20130524/eu-west-1/s3/aws4_request"), AUTH_HEADER_MALFORMED,
     MALFORMED "the region 'eu-west-1' is wrong; expecting 'us-east-1'"},
    {HEADER_OF("a/20130524//s3/aws4_request"), AUTH_HEADER_MALFORMED,
     MALFORMED "the region '' is wrong; expecting 'us-east-1'"},
    {HEADER_OF("a/20130523/us-east-1/s3/aws4_request"), AUTH_HEADER_MALFORMED,
     MALFORMED "Invalid credential date \"20130523\". This date is not the same as X-Amz-Date: \"20130524\"."},
    /* Signed headers */
    {HEADER(CREDENTIAL, "host;;x-amz-date", NO_SIGNATURE), AUTH_HEADER_MALFORMED,
     MALFORMED "the authorization component \"SignedHeaders\" is malformed."},
    {HEADER(CREDENTIAL, "host;Host", NO_SIGNATURE), AUTH_HEADER_MALFORMED,
     MALFORMED "the authorization component \"SignedHeaders\" is malformed."},
    {HEADER(CREDENTIAL, "x-amz-content-sha256;x-amz-date", NO_SIGNATURE), AUTH_HEADERS_UNSIGNED, UNSIGNED},
    {HEADER(CREDENTIAL, "host;x-amz-content-sha256", NO_SIGNATURE), AUTH_HEADERS_UNSIGNED, UNSIGNED},
    {HEADER_WITH(SHA256 DATE "X-AMZ-Copy-Source: /a/b\n", ALL_NAMES), AUTH_HEADERS_UNSIGNED, UNSIGNED},
    /* Date */
    {HEADER_WITH(SHA256, ALL_NAMES), AUTH_DATE_MISSING, NO_DATE},
    {HEADER_WITH(SHA256 "Date: 24 May 2013\n", ALL_NAMES), AUTH_DATE_MISSING, NO_DATE},
    {HEADER_WITH(SHA256 "x-amz-date: 2013-05-24T00:00:00Z\nDate: Fri, 24 May 2013 00:00:00 GMT\n", ALL_NAMES),
     AUTH_DATE_MISSING, NO_DATE},
    /* Who */
    {HEADER_OF("NOBODY/" EXAMPLE_SCOPE), AUTH_ACCESS_KEY_UNKNOWN, ""},
    {HEADER_OF("a/b/" EXAMPLE_SCOPE), AUTH_ACCESS_KEY_UNKNOWN, ""},
    {HEADER_OF("AKIADISABLED/" EXAMPLE_SCOPE), AUTH_ACCESS_KEY_DISABLED,
     "The AWS Access Key Id you provided is disabled."},
    {HEADER_WITH(SHA256 DATE "x-amz-security-token: t\n", ALL_NAMES ";x-amz-security-token"), AUTH_TOKEN_INVALID, ""},
    /* Payload */
    {HEADER_WITH(DATE, ALL_NAMES), AUTH_PAYLOAD_HASH_MISSING,
     "Missing required header for this request: x-amz-content-sha256"},
    {HEADER_WITH(SHA256 SHA256 DATE, ALL_NAMES), AUTH_PAYLOAD_HASH_INVALID, HASH_ONCE},
    {HEADER_WITH(DATE "x-amz-content-sha256:\n", ALL_NAMES), AUTH_PAYLOAD_HASH_INVALID, HASH_VALUES},
    {HEADER_WITH(DATE "x-amz-content-sha256: unsigned-payload\n", ALL_NAMES), AUTH_PAYLOAD_HASH_INVALID, HASH_VALUES},
    {HEADER_WITH(DATE "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD\n", ALL_NAMES), AUTH_PAYLOAD_HASH_INVALID,
     HASH_VALUES},
    {HEADER_WITH(DATE "x-amz-content-sha256: STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD\n", ALL_NAMES),
     AUTH_PAYLOAD_HASH_INVALID, HASH_VALUES},
    {HEADER_WITH(DATE "x-amz-content-sha256: e3b0c442\n", ALL_NAMES), AUTH_PAYLOAD_HASH_INVALID, HASH_VALUES},
    /* Signature */
    {HEADER_OF(EXAMPLE_ACCESS_KEY "/" EXAMPLE_SCOPE), AUTH_SIGNATURE_MISMATCH, ""},
    {HEADER(CREDENTIAL, ALL_NAMES, "0"), AUTH_SIGNATURE_MISMATCH, ""},
    {HEADER(CREDENTIAL, "accept;" ALL_NAMES, NO_SIGNATURE), AUTH_SIGNATURE_MISMATCH, ""},
    {"GET /%zz\n" AWS_COMMON "Authorization: " ALGORITHM CREDENTIAL ", " AWS_NAMES "Signature=0\n", AUTH_URI_MALFORMED,
     ""},
    {"GET /?a=%zz\n" AWS_COMMON "Authorization: " ALGORITHM CREDENTIAL ", " AWS_NAMES "Signature=0\n",
     AUTH_URI_MALFORMED, "Couldn't parse the specified URI."},
};

static void test_bad_headers(void **state)
{
    (void)state;
    check_bad(bad_headers, ARRAY_SIZE(bad_headers));
}

#define QUERY(algorithm, credential, date, expires, names)                                                             \
    "GET /k?X-Amz-Algorithm=" algorithm "&X-Amz-Credential=" credential "&X-Amz-Date=" date "&X-Amz-Expires=" expires  \
    "&X-Amz-SignedHeaders=" names "&X-Amz-Signature=" NO_SIGNATURE "\n" GATEWAY_HOST
#define V4 "AWS4-HMAC-SHA256"
#define WHO EXAMPLE_ACCESS_KEY "/" EXAMPLE_SCOPE
#define WHEN "20130524T000000Z"
#define IN_CREDENTIAL "Error parsing the X-Amz-Credential parameter; "
#define ALL_PARAMETERS                                                                                                 \
    "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "          \
    "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
#define A_WEEK                                                                                                         \
    "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "         \
    "604800 seconds"
#define LONG_FORMAT "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
#define GOOD_QUERY QUERY(V4, WHO, WHEN, "3600", "host")

static const struct bad bad_queries[] = {
    /* Parameters: all, each once */
    {"GET /k?X-Amz-Signature=x\n" GATEWAY_HOST, AUTH_QUERY_MALFORMED, ALL_PARAMETERS},
    {"GET /k?X-Amz-Algorithm=x\n" GATEWAY_HOST, AUTH_QUERY_MALFORMED, ALL_PARAMETERS},
    {"GET /k?X-Amz-Credential=x\n" GATEWAY_HOST, AUTH_QUERY_MALFORMED, ALL_PARAMETERS},
    {"GET /k?X%2DAmz-Signature=x\n" GATEWAY_HOST, AUTH_QUERY_MALFORMED, ALL_PARAMETERS},
    {"GET /k?" QUERY_HEAD "X-Amz-Expires=1&X-Amz-SignedHeaders=host\n" GATEWAY_HOST, AUTH_QUERY_MALFORMED,
     ALL_PARAMETERS},
    {"GET /k?X-Amz-Expires=1&" QUERY_HOST "x\n" GATEWAY_HOST, AUTH_QUERY_MALFORMED, ALL_PARAMETERS},
    {QUERY("AWS4-HMAC-SHA1", WHO, WHEN, "1", "host"), AUTH_QUERY_MALFORMED,
     "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""},
    {QUERY("AWS4-ECDSA-P256-SHA256", WHO, WHEN, "1", "host"), AUTH_SCHEME_UNSUPPORTED,
     "Signature version 4A is not supported; use signature version 4 (AWS4-HMAC-SHA256)"},
    /* Scope */
    {QUERY(V4, "a", WHEN, "1", "host"), AUTH_QUERY_MALFORMED, IN_CREDENTIAL EXPECTING},
    {QUERY(V4, "a/2013/us-east-1/s3/aws4_request", WHEN, "1", "host"), AUTH_QUERY_MALFORMED,
     IN_CREDENTIAL "incorrect date format \"2013\". This date in the credential must be in the format \"yyyyMMdd\"."},
    {QUERY(V4, "a/20130524/us-east-1/s3/x", WHEN, "1", "host"), AUTH_QUERY_MALFORMED,
     IN_CREDENTIAL "incorrect terminal \"x\". This endpoint uses \"aws4_request\"."},
    {QUERY(V4, "a/20130524/us-east-1/x/aws4_request", WHEN, "1", "host"), AUTH_QUERY_MALFORMED,
     IN_CREDENTIAL "incorrect service \"x\". This endpoint belongs to \"s3\"."},
    {QUERY(V4, "a/20130524/x/s3/aws4_request", WHEN, "1", "host"), AUTH_QUERY_MALFORMED,
     IN_CREDENTIAL "the region 'x' is wrong; expecting 'us-east-1'"},
    {QUERY(V4, "a/20130525/us-east-1/s3/aws4_request", WHEN, "1", "host"), AUTH_QUERY_MALFORMED,
     IN_CREDENTIAL "Invalid credential date \"20130525\". This date is not the same as X-Amz-Date: \"20130524\"."},
    /* Time */
    {QUERY(V4, WHO, "20130524", "1", "host"), AUTH_QUERY_MALFORMED, LONG_FORMAT},
    {QUERY(V4, WHO, "Fri, 24 May 2013 00:00:00 GMT", "1", "host"), AUTH_QUERY_MALFORMED, LONG_FORMAT},
    {QUERY(V4, WHO, WHEN, "", "host"), AUTH_QUERY_MALFORMED, "X-Amz-Expires should be a number"},
    {QUERY(V4, WHO, WHEN, "1h", "host"), AUTH_QUERY_MALFORMED, "X-Amz-Expires should be a number"},
    {QUERY(V4, WHO, WHEN, "-1", "host"), AUTH_QUERY_MALFORMED, "X-Amz-Expires must be non-negative"},
    {QUERY(V4, WHO, WHEN, "604801", "host"), AUTH_QUERY_MALFORMED, A_WEEK},
    {QUERY(V4, WHO, WHEN, "18446744073709551616", "host"), AUTH_QUERY_MALFORMED, "X-Amz-Expires should be a number"},
    /* Signed headers: the presigned URL's holder may add nothing (SEC-07). */
    {QUERY(V4, WHO, WHEN, "1", ""), AUTH_QUERY_MALFORMED, "X-Amz-SignedHeaders is malformed"},
    {QUERY(V4, WHO, WHEN, "1", "host;host"), AUTH_QUERY_MALFORMED, "X-Amz-SignedHeaders is malformed"},
    {QUERY(V4, WHO, WHEN, "1", "range"), AUTH_HEADERS_UNSIGNED, UNSIGNED},
    {GOOD_QUERY "x-amz-copy-source: /a/b\n", AUTH_HEADERS_UNSIGNED, UNSIGNED},
    {GOOD_QUERY "X-Amz-Tagging: a=b\n", AUTH_HEADERS_UNSIGNED, UNSIGNED},
    {GOOD_QUERY "x-amz-content-sha256: UNSIGNED-PAYLOAD\n", AUTH_HEADERS_UNSIGNED, UNSIGNED},
    /* Who */
    {QUERY(V4, "NOBODY/" EXAMPLE_SCOPE, WHEN, "1", "host"), AUTH_ACCESS_KEY_UNKNOWN, ""},
    {QUERY(V4, "AKIADISABLED/" EXAMPLE_SCOPE, WHEN, "1", "host"), AUTH_ACCESS_KEY_DISABLED,
     "The AWS Access Key Id you provided is disabled."},
    {"GET /k?X-Amz-Security-Token=t&" QUERY_HOST "x\n" GATEWAY_HOST, AUTH_TOKEN_INVALID, ""},
    {GOOD_QUERY "x-amz-security-token: t\n", AUTH_TOKEN_INVALID, ""},
    /* Payload */
    {"GET /k?X-Amz-Content-Sha256=x&" QUERY_HOST "x\n" GATEWAY_HOST, AUTH_PAYLOAD_HASH_INVALID, HASH_VALUES},
    {"GET /k?X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&" QUERY_HEAD
     "X-Amz-Expires=1&X-Amz-SignedHeaders=host;x-amz-content-sha256&X-Amz-Signature=x\n" GATEWAY_HOST SHA256,
     AUTH_PAYLOAD_HASH_INVALID, HASH_ONCE},
    /* Signature */
    {GOOD_QUERY, AUTH_SIGNATURE_MISMATCH, ""},
    {QUERY(V4, WHO, WHEN, "604800", "host"), AUTH_SIGNATURE_MISMATCH, ""},
    {"GET /%zz?" QUERY_HOST "x\n" GATEWAY_HOST, AUTH_URI_MALFORMED, ""},
    /* What is covered: the method, the path, any other parameter. */
    {"PUT /examplebucket/k?partNumber=3&uploadId=u%2B%2F%3D&" QUERY_HOST
     "bc2c78e01758a12a377b619a6c6c4c029586e319834f30d52683db2073b524bf\n" GATEWAY_HOST,
     AUTH_SIGNATURE_MISMATCH, ""},
    {"PUT /examplebucket/k?partNumber=2&uploadId=u%2B%2F%3D&tagging&" QUERY_HOST
     "bc2c78e01758a12a377b619a6c6c4c029586e319834f30d52683db2073b524bf\n" GATEWAY_HOST,
     AUTH_SIGNATURE_MISMATCH, ""},
    {"PUT /examplebucket/k?partNumber=2&uploadId=u%2B%2F%3D&" QUERY_HOST
     "bc2c78e01758a12a377b619a6c6c4c029586e319834f30d52683db2073b524bf\nHost: gw.example.org:9000\n",
     AUTH_SIGNATURE_MISMATCH, ""},
};

static void test_bad_queries(void **state)
{
    (void)state;
    check_bad(bad_queries, ARRAY_SIZE(bad_queries));
}

#define AUTHORIZATION "Authorization: " ALGORITHM CREDENTIAL ", " AWS_NAMES " Signature=x\n"

/* Never a fall from one mechanism to another, or to none (SEC-03); no framing for nobody (SEC-06). */
static const struct bad bad_mixtures[] = {
    {"GET /k?X-Amz-Signature=x\n" GATEWAY_HOST AUTHORIZATION, AUTH_TWO_MECHANISMS, ONE_MECHANISM},
    {"GET /k?X-Amz-Algorithm=\n" GATEWAY_HOST AUTHORIZATION, AUTH_TWO_MECHANISMS, ONE_MECHANISM},
    {"GET /k?Signature=x\n" GATEWAY_HOST "Authorization: AWS a:b\n", AUTH_TWO_MECHANISMS, ONE_MECHANISM},
    {"GET /k?AWSAccessKeyId=x\n" GATEWAY_HOST "Authorization:\n", AUTH_TWO_MECHANISMS, ONE_MECHANISM},
    {"GET /k?AWSAccessKeyId=x&X-Amz-Credential=x\n" GATEWAY_HOST, AUTH_TWO_MECHANISMS, ONE_MECHANISM},
    {"PUT /k\n" GATEWAY_HOST "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\n", AUTH_PAYLOAD_HASH_INVALID,
     "An anonymous request cannot have signed chunks."},
    {"PUT /k\n" GATEWAY_HOST "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER\n",
     AUTH_PAYLOAD_HASH_INVALID, "An anonymous request cannot have signed chunks."},
    {"PUT /k\n" GATEWAY_HOST "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILERS\n", AUTH_PAYLOAD_HASH_INVALID,
     HASH_VALUES},
    {"GET /k?%\n" GATEWAY_HOST, AUTH_URI_MALFORMED, "Couldn't parse the specified URI."},
};

static void test_bad_mixtures(void **state)
{
    (void)state;
    check_bad(bad_mixtures, ARRAY_SIZE(bad_mixtures));
}

static void test_details_of_failures(void **state)
{
    (void)state;
    struct auth_rig r;
    rig_init(&r);
    assert_int_equal(rig_verify(&r, HEADER_OF("a/20130524/eu-west-1/s3/aws4_request")), AUTH_HEADER_MALFORMED);
    assert_str(r.result.expected_region, "us-east-1");
    assert_str(r.result.access_key, "a");

    assert_int_equal(rig_verify(&r, HEADER_WITH(SHA256 DATE "X-Amz-Acl: a\nx-amz-b: 1\n", "x-amz-date")),
                     AUTH_HEADERS_UNSIGNED);
    assert_str(r.result.headers_unsigned, "host, x-amz-content-sha256, X-Amz-Acl, x-amz-b");

    assert_int_equal(rig_verify(&r, HEADER(CREDENTIAL, ALL_NAMES, "abc")), AUTH_SIGNATURE_MISMATCH);
    assert_str(r.result.signature_provided, "abc");
    assert_str(r.result.canonical_request,
               "GET\n/k\n\nhost:examplebucket.s3.amazonaws.com\n"
               "x-amz-content-sha256:" EMPTY_SHA256 "\nx-amz-date:" WHEN "\n\n" ALL_NAMES "\n" EMPTY_SHA256);
    assert_true(str_starts(r.result.string_to_sign, STR("AWS4-HMAC-SHA256\n" WHEN "\n" EXAMPLE_SCOPE "\n")));
    rig_done(&r);
}

/* Time, with signatures that are right: SEC-09 */

static void test_header_time(void **state)
{
    (void)state;
    static const struct {
        int offset_s;
        enum auth_error error;
    } rows[] = {
        {900, AUTH_OK}, {-900, AUTH_OK}, {901, AUTH_TIME_SKEWED}, {-901, AUTH_TIME_SKEWED}, {86400, AUTH_TIME_SKEWED}};
    struct auth_rig r;
    rig_init(&r);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        rig_set_time(EXAMPLE_TIME_S + rows[i].offset_s);
        assert_int_equal(rig_verify(&r, good[0].request), rows[i].error);
    }
    rig_done(&r);
}

static void test_query_time(void **state)
{
    (void)state;
    static const struct {
        int offset_s;
        enum auth_error error;
    } rows[] = {{86399, AUTH_OK}, {86400, AUTH_EXPIRED}, {-900, AUTH_OK}, {-901, AUTH_NOT_YET_VALID}};
    struct auth_rig r;
    rig_init(&r);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        rig_set_time(EXAMPLE_TIME_S + rows[i].offset_s);
        assert_int_equal(rig_verify(&r, good[4].request), rows[i].error);
    }
    rig_done(&r);
}

/* SEC-09: how long a URL may be good for, by this clock and not by the caller's; and one day for both dates. Signatures are wrong here, and
 * looked at last. */
static void test_presigned_limits(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        int64_t later_s;
        enum auth_error error;
    } rows[] = {
        {QUERY(V4, WHO, WHEN, "1", "host"), 0, AUTH_SIGNATURE_MISMATCH},
        {QUERY(V4, WHO, WHEN, "1", "host"), 1, AUTH_EXPIRED},
        {QUERY(V4, WHO, WHEN, "0", "host"), 0, AUTH_EXPIRED},
        {QUERY(V4, WHO, WHEN, "604800", "host"), 604799, AUTH_SIGNATURE_MISMATCH},
        {QUERY(V4, WHO, WHEN, "604800", "host"), 604800, AUTH_EXPIRED},
        {QUERY(V4, WHO, WHEN, "604801", "host"), 0, AUTH_QUERY_MALFORMED},
        /* A date of the caller's own does not make it younger. */
        {QUERY(V4, WHO, WHEN, "3600", "host") "x-amz-date: 20130524T235959Z\n", 3600, AUTH_EXPIRED},
        {QUERY(V4, WHO, WHEN, "3600", "host") "Date: Fri, 24 May 2013 23:59:59 GMT\n", 3600, AUTH_EXPIRED},
        /* The day of the scope is the day of the date, both ways. */
        {QUERY(V4, WHO, "20130525T000000Z", "3600", "host"), 86400, AUTH_QUERY_MALFORMED},
        {QUERY(V4, WHO, "20130523T235959Z", "3600", "host"), 0, AUTH_QUERY_MALFORMED},
        {HEADER_WITH("x-amz-content-sha256: " EMPTY_SHA256 "\nx-amz-date: 20130523T235959Z\n", ALL_NAMES), 0, AUTH_HEADER_MALFORMED},
        {HEADER_WITH("x-amz-content-sha256: " EMPTY_SHA256 "\nx-amz-date: 20130525T000000Z\n", ALL_NAMES), 0, AUTH_HEADER_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct auth_rig r;
        rig_init(&r);
        rig_set_time(EXAMPLE_TIME_S + rows[i].later_s);
        enum auth_error error = rig_verify(&r, rows[i].request);
        if (error != rows[i].error)
            fail_msg("%s, %lld s later: %d", rows[i].request, (long long)rows[i].later_s, (int)error);
        rig_done(&r);
    }
}

/* Signed by our own signer, since nobody publishes such requests */

static struct str sign(struct auth_rig *r, struct http_head *head)
{
    struct sigv4_signer signer = {STR(EXAMPLE_ACCESS_KEY), STR(EXAMPLE_SECRET), STR("us-east-1"),
                                  auth_snapshot_signing_keys(r->identities)};
    return sigv4_sign(&signer, head, r->arena);
}

static void test_every_payload(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        enum auth_payload payload;
        bool is_seed;
    } rows[] = {
        {"PUT /k\nHost: h\n" DATE "x-amz-content-sha256: UNSIGNED-PAYLOAD\n", AUTH_PAYLOAD_UNSIGNED, false},
        {"PUT /k\nHost: h\n" DATE SHA256, AUTH_PAYLOAD_SHA256, false},
        {"PUT /k\nHost: h\n" DATE "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\n",
         AUTH_PAYLOAD_STREAM_SIGNED, true},
        {"PUT /k\nHost: h\n" DATE "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER\n",
         AUTH_PAYLOAD_STREAM_SIGNED_TRAILER, true},
        {"PUT /k\nHost: h\n" DATE "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\n",
         AUTH_PAYLOAD_STREAM_UNSIGNED_TRAILER, false},
    };
    struct auth_rig r;
    uint8_t key[SIGNING_KEY_SIZE], none[SIGNING_KEY_SIZE] = {0};
    rig_init(&r);
    signing_key_derive(STR(EXAMPLE_SECRET), STR("20130524"), STR("us-east-1"), key);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct http_head head = head_of(rows[i].request);
        head.headers[head.header_count] = (struct http_header){STR("Authorization"), sign(&r, &head)};
        head.header_count++;
        assert_int_equal(rig_verify_head(&r, &head), AUTH_OK);
        assert_int_equal(r.result.payload, rows[i].payload);
        assert_memory_equal(r.result.signing_key, rows[i].is_seed ? key : none, sizeof(key));
    }
    rig_done(&r);
}

/* head's target has all parameters but the signature; returns it with one. */
static struct str presign(struct auth_rig *r, const struct http_head *head, const char *names, const char *payload)
{
    struct auth_query query;
    struct str path, raw_query, canonical;
    uint8_t key[SIGNING_KEY_SIZE];
    char signature[SIGV4_SIGNATURE_SIZE];
    http_split_target(head->target, &path, &raw_query);
    assert_true(auth_query_parse(raw_query, r->arena, &query));
    struct sigv4_message message = {.method = head->method,
                                    .path = path,
                                    .query = &query,
                                    .headers = head->headers,
                                    .header_count = head->header_count,
                                    .signed_headers = str_z(names),
                                    .payload_hash = str_z(payload)};
    assert_true(sigv4_canonical_request(&message, r->arena, &canonical));
    signing_key_derive(STR(EXAMPLE_SECRET), STR("20130524"), STR("us-east-1"), key);
    sigv4_signature(key, sigv4_string_to_sign(STR(WHEN), STR(EXAMPLE_SCOPE), canonical, r->arena), signature);
    return arena_printf(r->arena, "%.*s&X-Amz-Signature=%.*s", STR_ARG(head->target), (int)sizeof(signature),
                        signature);
}

/* A presigned URL may know its body: by a signed header, or by that header moved into the query. */
static void test_presigned_payload(void **state)
{
    (void)state;
    static const struct {
        const char *request, *names, *hash;
        enum auth_payload payload;
    } rows[] = {
        {"PUT /k?" QUERY_HEAD "X-Amz-Expires=1&X-Amz-SignedHeaders=host;x-amz-content-sha256\nHost: h\n" SHA256,
         "host;x-amz-content-sha256", EMPTY_SHA256, AUTH_PAYLOAD_SHA256},
        {"PUT /k?" QUERY_HEAD "X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Content-Sha256=" EMPTY_SHA256
         "\nHost: h\n",
         "host", EMPTY_SHA256, AUTH_PAYLOAD_SHA256},
        {"PUT /k?" QUERY_HEAD "X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD"
         "\nHost: h\n",
         "host", "UNSIGNED-PAYLOAD", AUTH_PAYLOAD_UNSIGNED},
    };
    struct auth_rig r;
    rig_init(&r);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct http_head head = head_of(rows[i].request);
        head.target = presign(&r, &head, rows[i].names, rows[i].hash);
        assert_int_equal(rig_verify_head(&r, &head), AUTH_OK);
        assert_int_equal(r.result.payload, rows[i].payload);
    }
    rig_done(&r);
}

/* A request with Date and no x-amz-date: the string to sign has it in x-amz-date's form. */
static void test_date_header(void **state)
{
    (void)state;
    struct auth_rig r;
    rig_init(&r);
    struct http_head head = head_of("GET /k\nHost: h\nDate: Fri, 24 May 2013 00:00:00 GMT\n" SHA256);
    struct auth_query query = {0};
    struct sigv4_message message = {.method = head.method,
                                    .path = head.target,
                                    .query = &query,
                                    .headers = head.headers,
                                    .header_count = head.header_count,
                                    .signed_headers = STR("date;host;x-amz-content-sha256"),
                                    .payload_hash = STR(EMPTY_SHA256)};
    struct str canonical;
    uint8_t key[SIGNING_KEY_SIZE];
    char signature[SIGV4_SIGNATURE_SIZE];
    assert_true(sigv4_canonical_request(&message, r.arena, &canonical));
    signing_key_derive(STR(EXAMPLE_SECRET), STR("20130524"), STR("us-east-1"), key);
    sigv4_signature(key, sigv4_string_to_sign(STR(WHEN), STR(EXAMPLE_SCOPE), canonical, r.arena), signature);
    struct str value = arena_printf(r.arena, ALGORITHM CREDENTIAL ", SignedHeaders=%.*s, Signature=%.*s",
                                    STR_ARG(message.signed_headers), (int)sizeof(signature), signature);
    head.headers[head.header_count] = (struct http_header){STR("Authorization"), value};
    head.header_count++;
    assert_int_equal(rig_verify_head(&r, &head), AUTH_OK);
    assert_str(r.result.amz_date, WHEN);
    rig_done(&r);
}

/* Lists of thousands of names, and hundreds of parameters, are refused before they cost anything. */
static void test_floods(void **state)
{
    (void)state;
    struct auth_rig r;
    rig_init(&r);
    struct buf text = buf_make(LIMIT_HEAD_BYTES);
    buf_addz(&text, "GET /k\n" AWS_COMMON "Authorization: " ALGORITHM CREDENTIAL ", Signature=x, SignedHeaders=host");
    for (int i = 0; i < LIMIT_HEADER_COUNT; i++)
        buf_addf(&text, ";%x", i);
    assert_int_equal(rig_verify(&r, buf_z(&text)), AUTH_HEADER_MALFORMED);
    buf_reset(&text);
    buf_addz(&text, "GET /k?a");
    for (int i = 0; i < LIMIT_QUERY_PARAMS; i++)
        buf_addz(&text, "&a");
    assert_int_equal(rig_verify(&r, buf_z(&text)), AUTH_URI_MALFORMED);
    buf_done(&text);
    rig_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),          cmocka_unit_test(test_result),
        cmocka_unit_test(test_bad_headers),   cmocka_unit_test(test_bad_queries),
        cmocka_unit_test(test_bad_mixtures),  cmocka_unit_test(test_details_of_failures),
        cmocka_unit_test(test_header_time),   cmocka_unit_test(test_query_time),
        cmocka_unit_test(test_presigned_limits),
        cmocka_unit_test(test_every_payload), cmocka_unit_test(test_presigned_payload),
        cmocka_unit_test(test_date_header),   cmocka_unit_test(test_floods),
    };
    return cmocka_run_group_tests_name("auth/verify", tests, NULL, NULL);
}
