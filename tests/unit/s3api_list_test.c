/* ListObjects, ListObjectsV2 and ListObjectVersions, as a client sees them. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/limits.h"
#include "tests/support/s3_engine.h"
#include "tests/support/unit.h"

#define XMLNS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""
#define DECLARATION "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define EMPTY_ETAG "&quot;d41d8cd98f00b204e9800998ecf8427e&quot;"
#define A_ETAG "&quot;0cc175b9c0f1b6a831c399e269772661&quot;"

static struct s3_engine *e;

static int set_up(void **state UNUSED)
{
    e = s3_engine_new(NULL);
    return s3_do(e, "PUT", "/bucket", NULL)->status == 200 ? 0 : -1;
}

static int tear_down(void **state UNUSED)
{
    clock_set_wall_for_test(0);
    s3_engine_free(e);
    return 0;
}

static const char *posix_path(const char *path)
{
    return arena_printf(s3_engine_arena(e), "%s/bucket/%s", s3_engine_root(e), path).ptr;
}

static void put(const char *target)
{
    assert_answer(s3_do(e, "PUT", target, "a"), 200, NULL);
}

static struct s3_answer *get(const char *query)
{
    return s3_do(e, "GET", arena_printf(s3_engine_arena(e), "/bucket%s", query).ptr, NULL);
}

static struct s3_answer *get_ok(const char *query)
{
    struct s3_answer *a = get(query);
    assert_answer(a, 200, NULL);
    assert_str(s3_answer_header(a, "Content-Type"), "application/xml");
    assert_str(s3_answer_header(a, "x-amz-bucket-region"), "us-east-1");
    return a;
}

/* All texts of <element>, each followed by a blank. */
static struct str all_of(const struct s3_answer *a, const char *element)
{
    struct arena *arena = s3_engine_arena(e);
    struct str open = arena_printf(arena, "<%s>", element);
    struct str close = arena_printf(arena, "</%s>", element);
    struct str all = STR("");
    struct str rest = a->body;
    for (;;) {
        ptrdiff_t at = str_find(rest, open);
        if (at < 0)
            return all;
        rest = str_from(rest, (size_t)at + open.len);
        at = str_find(rest, close);
        assert_true(at >= 0);
        all = arena_printf(arena, "%.*s%.*s ", STR_ARG(all), STR_ARG(str_first(rest, (size_t)at)));
    }
}

static struct str element(const struct s3_answer *a, const char *name)
{
    return s3_answer_element(a, name);
}

#define assert_no_element(answer, name) assert_null(s3_answer_element(answer, name).ptr)

static void assert_argument(const char *query, const char *name, const char *value, const char *message)
{
    struct s3_answer *a = get(query);
    assert_answer(a, 400, "InvalidArgument");
    assert_str(element(a, "Message"), message);
    assert_str(element(a, "ArgumentName"), name);
    if (value)
        assert_str(element(a, "ArgumentValue"), value);
    else
        assert_no_element(a, "ArgumentValue");
}

/* Documents ---------------------------------------------------------------------------------------------------------- */

#define CHECKSUM "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>"
#define KEY_A "<Key>a</Key>"
#define FACTS_A "<LastModified>2023-11-14T22:13:20.123Z</LastModified><ETag>" A_ETAG "</ETag>" CHECKSUM "<Size>1</Size>"
#define STANDARD "<StorageClass>STANDARD</StorageClass>"

static struct str owner(void)
{
    struct s3_answer *a = s3_do(e, "GET", "/bucket?acl", NULL);
    return arena_printf(s3_engine_arena(e), "<Owner>%.*s</Owner>", STR_ARG(element(a, "Owner")));
}

static void documents_of_all_three(void **state UNUSED)
{
    clock_set_wall_for_test(1700000000123456789);
    put("/bucket/a");
    put("/bucket/b/c");
    clock_set_wall_for_test(0);
    struct str by = owner();
    struct arena *arena = s3_engine_arena(e);
    assert_str(get_ok("?delimiter=/")->body,
               arena_printf(arena,
                            DECLARATION "<ListBucketResult" XMLNS "><Name>bucket</Name><Prefix></Prefix><Marker></Marker>"
                                        "<MaxKeys>1000</MaxKeys><Delimiter>/</Delimiter><IsTruncated>false</IsTruncated>"
                                        "<Contents>" KEY_A FACTS_A "%.*s" STANDARD "</Contents>"
                                        "<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes></ListBucketResult>",
                            STR_ARG(by))
                   .ptr);
    assert_str(get_ok("?list-type=2&delimiter=/")->body,
               DECLARATION "<ListBucketResult" XMLNS "><Name>bucket</Name><Prefix></Prefix><KeyCount>2</KeyCount>"
                           "<MaxKeys>1000</MaxKeys><Delimiter>/</Delimiter><IsTruncated>false</IsTruncated>"
                           "<Contents>" KEY_A FACTS_A STANDARD "</Contents>"
                           "<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes></ListBucketResult>");
    assert_str(get_ok("?versions&prefix=a")->body,
               arena_printf(arena,
                            DECLARATION "<ListVersionsResult" XMLNS "><Name>bucket</Name><Prefix>a</Prefix>"
                                        "<KeyMarker></KeyMarker><VersionIdMarker></VersionIdMarker>"
                                        "<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>"
                                        "<Version>" KEY_A "<VersionId>null</VersionId><IsLatest>true</IsLatest>" FACTS_A
                                        "%.*s" STANDARD "</Version></ListVersionsResult>",
                            STR_ARG(by))
                   .ptr);
}

static void an_empty_bucket(void **state UNUSED)
{
    assert_str(get_ok("")->body, DECLARATION "<ListBucketResult" XMLNS "><Name>bucket</Name><Prefix></Prefix><Marker></Marker>"
                                             "<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>");
    assert_answer(s3_do(e, "GET", "/no-such-bucket?list-type=2", NULL), 404, "NoSuchBucket");
}

/* AWS knows one other version by its number, and takes any other number for the first. */
static void version_by_number(void **state UNUSED)
{
    assert_str(element(get_ok("?list-type=2"), "KeyCount"), "0");
    assert_no_element(get_ok("?list-type=1"), "KeyCount");
    assert_str(element(get_ok("?list-type=bogus"), "Marker"), "");
}

static void owner_when_asked_for(void **state UNUSED)
{
    put("/bucket/a");
    assert_no_element(get_ok("?list-type=2"), "Owner");
    assert_no_element(get_ok("?list-type=2&fetch-owner=false"), "Owner");
    assert_true(str_find(get_ok("?list-type=2&fetch-owner=true")->body, owner()) > 0);
    assert_true(str_find(get_ok("")->body, owner()) > 0);
}

static void class_and_checksum_as_recorded(void **state UNUSED)
{
    struct s3_call call = {.method = "PUT",
                           .target = "/bucket/cold",
                           .headers = {"x-amz-storage-class: STANDARD_IA", "x-amz-checksum-algorithm: SHA256",
                                       "x-amz-checksum-sha256: ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs="},
                           .body = STR("a")};
    assert_answer(s3_call(e, &call), 200, NULL);
    struct s3_answer *a = get_ok("?list-type=2");
    assert_str(element(a, "StorageClass"), "STANDARD_IA");
    assert_str(element(a, "ChecksumAlgorithm"), "SHA256");
    assert_str(element(a, "ChecksumType"), "FULL_OBJECT");
}

/* Files and directories of other doors -------------------------------------------------------------------------------- */

static void same_facts_as_head(void **state UNUSED)
{
    put("/bucket/s3");
    assert_answer(s3_do(e, "PUT", "/bucket/explicit/", ""), 200, NULL);
    put("/bucket/explicit/in");
    assert_int_equal(mkdir(posix_path("empty"), 0755), 0);
    assert_int_equal(mkdir(posix_path("full"), 0755), 0);
    FILE *f = fopen(posix_path("full/posix"), "we");
    assert_true(f && fputs("hello", f) >= 0 && fclose(f) == 0);
    struct s3_answer *a = get_ok("");
    assert_str(all_of(a, "Key"), "empty/ explicit/ explicit/in full/posix s3 ");
    assert_str(all_of(a, "Size"), "0 0 1 5 1 ");
    static const char *const keys[] = {"empty/", "explicit/", "explicit/in", "full/posix", "s3"};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        char target[64], prefix[64];
        (void)snprintf(target, sizeof(target), "/bucket/%s", keys[i]);
        (void)snprintf(prefix, sizeof(prefix), "?max-keys=1&prefix=%s", keys[i]);
        struct s3_answer *head = s3_do(e, "HEAD", target, NULL);
        a = get_ok(prefix);
        assert_answer(head, 200, NULL);
        assert_str(element(a, "Key"), keys[i]);
        struct str etag = element(a, "ETag");
        struct str bare = str_first(str_from(etag, 6), etag.len - 12); /* without &quot; */
        struct str quoted = s3_answer_header(head, "ETag");
        assert_true(str_eq(bare, str_first(str_from(quoted, 1), quoted.len - 2)));
        assert_int_equal(head->length, i == 3 ? 5 : i < 2 ? 0 : 1);
    }
    assert_str(all_of(get_ok("?delimiter=/"), "CommonPrefixes"),
               "<Prefix>empty/</Prefix> <Prefix>explicit/</Prefix> <Prefix>full/</Prefix> ");
}

static void what_posix_forbids(void **state UNUSED)
{
    s3_engine_add_posix_user(e, "bob", 4242, 4242);
    put("/bucket/open/a");
    put("/bucket/shut/a");
    put("/bucket/zz");
    assert_int_equal(mkdir(posix_path("home"), 0700), 0);
    assert_int_equal(chmod(posix_path("shut"), 0700), 0);
    assert_int_equal(chmod(posix_path("open/a"), 0600), 0);
    struct s3_call call = {.method = "GET", .target = "/bucket", .access_key = "bob"};
    struct s3_answer *a = s3_call(e, &call);
    assert_answer(a, 200, NULL);
    assert_str(all_of(a, "Key"), "open/a zz ");
    call.target = "/bucket?prefix=shut/";
    assert_answer(s3_call(e, &call), 403, "AccessDenied");
    call.target = "/bucket?prefix=sh";
    assert_answer(s3_call(e, &call), 200, NULL);
}

/* Parameters --------------------------------------------------------------------------------------------------------- */

static void url_encoding(void **state UNUSED)
{
    put("/bucket/a%2Bb%20c%25%26/%C3%A4*(x)");
    put("/bucket/a%2Bb%20d");
    struct s3_answer *a = get_ok("?encoding-type=url&prefix=a%2Bb%20&marker=a%2B&max-keys=1&delimiter=/%C3%A4");
    assert_str(element(a, "EncodingType"), "url");
    assert_str(element(a, "Marker"), "a%2B");
    assert_str(element(a, "Delimiter"), "/%C3%A4");
    assert_str(all_of(a, "Prefix"), "a%2Bb%20 a%2Bb%20c%25%26/%C3%A4 ");
    assert_str(element(a, "NextMarker"), "a%2Bb%20c%25%26/%C3%A4");
    a = get_ok("?list-type=2&encoding-type=url&start-after=a%2B");
    assert_str(element(a, "StartAfter"), "a%2B");
    assert_str(all_of(a, "Key"), "a%2Bb%20c%25%26/%C3%A4%2A%28x%29 a%2Bb%20d ");
    a = get_ok("?versions&encoding-type=url&key-marker=a%2B&max-keys=1");
    assert_str(element(a, "KeyMarker"), "a%2B");
    assert_str(element(a, "NextKeyMarker"), "a%2Bb%20c%25%26/%C3%A4%2A%28x%29");
    a = get_ok("");
    assert_str(all_of(a, "Key"), "a+b c%&amp;/\xc3\xa4*(x) a+b d ");
    assert_no_element(a, "EncodingType");
    assert_argument("?encoding-type=base64", "encoding-type", "base64", "Invalid Encoding Method specified in Request");
    assert_argument("?versions&encoding-type=URL", "encoding-type", "URL", "Invalid Encoding Method specified in Request");
}

static void control_characters_stay_xml(void **state UNUSED)
{
    put("/bucket/a%01b%0Ac");
    assert_str(all_of(get_ok(""), "Key"), "a\xef\xbf\xbd" "b\nc ");
    assert_str(all_of(get_ok("?encoding-type=url"), "Key"), "a%01b%0Ac ");
}

static void max_keys(void **state UNUSED)
{
    put("/bucket/a");
    put("/bucket/b");
    static const char *const dialects[] = {"", "list-type=2&", "versions&"};
    for (size_t i = 0; i < ARRAY_SIZE(dialects); i++) {
        char query[64];
        (void)snprintf(query, sizeof(query), "?%smax-keys=0", dialects[i]);
        struct s3_answer *a = get_ok(query);
        assert_str(element(a, "IsTruncated"), "false");
        assert_str(element(a, "MaxKeys"), "0");
        assert_no_element(a, "Key");
        (void)snprintf(query, sizeof(query), "?%smax-keys=2", dialects[i]);
        assert_str(element(get_ok(query), "IsTruncated"), "false");
        (void)snprintf(query, sizeof(query), "?%smax-keys=5000", dialects[i]);
        assert_str(element(get_ok(query), "MaxKeys"), "1000");
        (void)snprintf(query, sizeof(query), "?%smax-keys=2147483647", dialects[i]);
        assert_str(element(get_ok(query), "MaxKeys"), "1000");
        (void)snprintf(query, sizeof(query), "?%smax-keys=", dialects[i]);
        assert_str(element(get_ok(query), "MaxKeys"), "1000");
        (void)snprintf(query, sizeof(query), "?%smax-keys=-1", dialects[i]);
        assert_argument(query, "maxKeys", "-1", "Argument maxKeys must be an integer between 0 and 2147483647");
        (void)snprintf(query, sizeof(query), "?%smax-keys=blah", dialects[i]);
        assert_argument(query, "max-keys", "blah", "Provided max-keys not an integer or within integer range");
        (void)snprintf(query, sizeof(query), "?%smax-keys=2147483648", dialects[i]);
        assert_argument(query, "max-keys", "2147483648", "Provided max-keys not an integer or within integer range");
    }
}

static void texts_that_no_key_can_be(void **state UNUSED)
{
    put("/bucket/a");
    assert_answer(get("?prefix=%FF"), 400, "InvalidArgument");
    assert_answer(get("?delimiter=%80"), 400, "InvalidArgument");
    assert_answer(get("?marker=%C3"), 400, "InvalidArgument");
    assert_str(element(get_ok("?prefix=.sluice/"), "IsTruncated"), "false");
    assert_no_element(get_ok("?prefix=../"), "Key");
    assert_no_element(get_ok("?prefix=./"), "Key");
    assert_no_element(get_ok("?prefix=/"), "Key");
    assert_no_element(get_ok("?prefix=a/"), "Key");
    assert_str(element(get_ok("?prefix=%0A"), "Prefix"), "\n");
    assert_str(element(get_ok("?marker=%0A"), "Key"), "a");
}

/* Pages -------------------------------------------------------------------------------------------------------------- */

static void pages_of_v1(void **state UNUSED)
{
    static const char *const targets[] = {"/bucket/a", "/bucket/b/1", "/bucket/b/2", "/bucket/c"};
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
        put(targets[i]);
    struct s3_answer *a = get_ok("?max-keys=2");
    assert_str(element(a, "IsTruncated"), "true");
    assert_no_element(a, "NextMarker"); /* only with a delimiter */
    assert_str(all_of(get_ok("?max-keys=2&marker=b/1"), "Key"), "b/2 c ");
    a = get_ok("?max-keys=2&delimiter=/");
    assert_str(element(a, "NextMarker"), "b/");
    a = get_ok("?max-keys=2&delimiter=/&marker=b/");
    assert_str(all_of(a, "Key"), "c ");
    assert_str(element(a, "IsTruncated"), "false");
    assert_str(element(a, "Marker"), "b/");
    assert_no_element(a, "CommonPrefixes");
    assert_no_element(get_ok("?delimiter=/&marker=b/1"), "CommonPrefixes");
    assert_str(all_of(get_ok("?delimiter=/&marker=b"), "CommonPrefixes"), "<Prefix>b/</Prefix> ");
    assert_no_element(get_ok("?delimiter="), "Delimiter");
}

static const char *next_query(const struct s3_answer *a, const char *more)
{
    return arena_printf(s3_engine_arena(e), "?list-type=2%s&continuation-token=%.*s", more,
                        STR_ARG(element(a, "NextContinuationToken")))
        .ptr;
}

static void pages_of_v2(void **state UNUSED)
{
    static const char *const targets[] = {"/bucket/a", "/bucket/b/1", "/bucket/b/2", "/bucket/c"};
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
        put(targets[i]);
    struct s3_answer *a = get_ok("?list-type=2&max-keys=1&start-after=a&delimiter=/");
    assert_str(element(a, "StartAfter"), "a");
    assert_str(element(a, "KeyCount"), "1");
    assert_str(all_of(a, "CommonPrefixes"), "<Prefix>b/</Prefix> ");
    assert_no_element(a, "ContinuationToken");
    struct str token = element(a, "NextContinuationToken");
    a = get_ok(next_query(a, "&max-keys=1&start-after=a&delimiter=/"));
    assert_str(all_of(a, "Key"), "c ");
    assert_true(str_eq(element(a, "ContinuationToken"), token));
    assert_str(element(a, "StartAfter"), "a");
    assert_str(element(a, "IsTruncated"), "false");
    assert_no_element(a, "NextContinuationToken");
    /* Any engine takes it up. */
    char query[128];
    (void)snprintf(query, sizeof(query), "?list-type=2&delimiter=/&continuation-token=%.*s", STR_ARG(token));
    s3_engine_free(TAKE(e));
    assert_int_equal(set_up(NULL), 0);
    put("/bucket/b/1");
    put("/bucket/d");
    assert_str(all_of(get_ok(query), "Key"), "d ");
}

static void tokens_that_are_none(void **state UNUSED)
{
    static const char *const tokens[] = {"blah", "bucket/key", "AAAAAAAA", "%3D%3D", "a/b", "AV"};
    put("/bucket/a");
    for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
        char query[128];
        (void)snprintf(query, sizeof(query), "?list-type=2&continuation-token=%s", tokens[i]);
        assert_argument(query, "continuation-token", NULL, "The continuation token provided is incorrect");
    }
    struct s3_answer *a = get_ok("?list-type=2&continuation-token=");
    assert_str(element(a, "ContinuationToken"), "");
    assert_str(all_of(a, "Key"), "a ");
}

static void pages_of_versions(void **state UNUSED)
{
    put("/bucket/a");
    put("/bucket/b/1");
    put("/bucket/c");
    struct s3_answer *a = get_ok("?versions&max-keys=1");
    assert_str(element(a, "NextKeyMarker"), "a");
    assert_str(element(a, "NextVersionIdMarker"), "null");
    a = get_ok("?versions&max-keys=1&key-marker=a&version-id-marker=null&delimiter=/");
    assert_str(all_of(a, "CommonPrefixes"), "<Prefix>b/</Prefix> ");
    assert_str(element(a, "VersionIdMarker"), "null");
    assert_str(element(a, "NextKeyMarker"), "b/");
    assert_no_element(a, "NextVersionIdMarker");
    assert_str(all_of(get_ok("?versions&key-marker=b/&delimiter=/"), "Key"), "c ");
    assert_argument("?versions&version-id-marker=null", "version-id-marker", "null",
                    "A version-id marker cannot be specified without a key marker.");
    assert_argument("?versions&key-marker=a&version-id-marker=xyz", "version-id-marker", "xyz",
                    "Invalid version id specified");
}

static void a_full_page_and_its_end(void **state UNUSED)
{
    assert_int_equal(mkdir(posix_path("many"), 0755), 0);
    for (int i = 0; i < 1000; i++) {
        char path[32];
        (void)snprintf(path, sizeof(path), "many/%04d", i);
        FILE *f = fopen(posix_path(path), "we");
        assert_true(f && fclose(f) == 0);
    }
    struct s3_answer *a = get_ok("?list-type=2&prefix=many/");
    assert_str(element(a, "KeyCount"), "1000");
    assert_str(element(a, "IsTruncated"), "false");
    put("/bucket/many/x");
    a = get_ok("?list-type=2&prefix=many/");
    assert_str(element(a, "KeyCount"), "1000");
    assert_str(element(a, "IsTruncated"), "true");
    a = get_ok(next_query(a, "&prefix=many/"));
    assert_str(all_of(a, "Key"), "many/x ");
}

/* Trouble ------------------------------------------------------------------------------------------------------------ */

#ifdef SLUICE_FAULTS
static void long_listings_are_done_in_steps(void **state UNUSED)
{
    for (int i = 0; i < 40; i++) {
        char target[32];
        (void)snprintf(target, sizeof(target), "/bucket/d%02d/x", i);
        put(target);
    }
    fault_set_for_test("vfs.scan:2:sleep100");
    struct s3_answer *a = get_ok("?list-type=2");
    fault_set_for_test(NULL);
    assert_str(element(a, "KeyCount"), "40");
    assert_true(a->steps > 1);
}

static void errors_of_the_volume(void **state UNUSED)
{
    put("/bucket/a/b");
    fault_set_for_test("vfs.scan:2:EIO");
    assert_answer(get(""), 500, "InternalError");
    fault_set_for_test("vfs.scan:2:ENOENT");
    assert_no_element(get_ok(""), "Key");
    fault_set_for_test(NULL);
    assert_str(all_of(get_ok(""), "Key"), "a/b ");
}
#endif

/* Directories that objects left behind when they went through POSIX do not keep a bucket. */
static void deleting_a_bucket_of_leftovers(void **state UNUSED)
{
    put("/bucket/a/b/c");
    put("/bucket/a/d/e");
    assert_answer(s3_do(e, "DELETE", "/bucket", NULL), 409, "BucketNotEmpty");
    assert_int_equal(unlink(posix_path("a/b/c")), 0);
    assert_int_equal(unlink(posix_path("a/d/e")), 0);
    assert_no_element(get_ok("?delimiter=/"), "CommonPrefixes");
    assert_answer(s3_do(e, "DELETE", "/bucket", NULL), 204, NULL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(documents_of_all_three),
        TEST(an_empty_bucket),
        TEST(version_by_number),
        TEST(owner_when_asked_for),
        TEST(class_and_checksum_as_recorded),
        TEST(same_facts_as_head),
        TEST(what_posix_forbids),
        TEST(url_encoding),
        TEST(control_characters_stay_xml),
        TEST(max_keys),
        TEST(texts_that_no_key_can_be),
        TEST(pages_of_v1),
        TEST(pages_of_v2),
        TEST(tokens_that_are_none),
        TEST(pages_of_versions),
        TEST(a_full_page_and_its_end),
#ifdef SLUICE_FAULTS
        TEST(long_listings_are_done_in_steps),
        TEST(errors_of_the_volume),
#endif
        TEST(deleting_a_bucket_of_leftovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
