#include "tests/support/s3_engine.h"
#include "tests/support/unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

/* Buckets: made, listed, described, configured, deleted. */

static struct s3_engine *engine;

static int set_up(void **state)
{
    (void)state;
    engine = s3_engine_new(NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    s3_engine_free(engine);
    return 0;
}

static const char *posix_path(const char *path)
{
    return arena_printf(s3_engine_arena(engine), "%s/%s", s3_engine_root(engine), path).ptr;
}

static void make_directory(const char *path)
{
    assert_int_equal(mkdir(posix_path(path), 0755), 0);
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(posix_path(path), &st) == 0;
}

static void make_bucket(const char *name)
{
    assert_answer(s3_do(engine, "PUT", arena_printf(s3_engine_arena(engine), "/%s", name).ptr, NULL), 200, NULL);
}

/* CreateBucket
 * ---------------------------------------------------------------------------------------------------------- */

static void test_create(void **state)
{
    (void)state;
    const struct s3_answer *a = s3_do(engine, "PUT", "/bkt", NULL);
    assert_answer(a, 200, NULL);
    assert_str(s3_answer_header(a, "location"), "/bkt");
    assert_str(s3_answer_header(a, "x-amz-bucket-arn"), "arn:aws:s3:::bkt");
    assert_int_equal(a->body.len, 0);
    assert_true(exists("bkt"));
}

static void test_create_again(void **state)
{
    (void)state;
    s3_engine_add_user(engine, "other", NULL, false);
    struct s3_call by_other = {.method = "PUT", .target = "/bkt", .access_key = "other"};
    make_bucket("bkt");
    assert_answer(s3_do(engine, "PUT", "/bkt/key", "kept"), 200, NULL);
    /* us-east-1 */
    assert_answer(s3_do(engine, "PUT", "/bkt", NULL), 200, NULL);
    assert_answer(s3_call(engine, &by_other), 409, "BucketAlreadyExists");
    assert_str(s3_do(engine, "GET", "/bkt/key", NULL)->body, "kept");
    /* A file has the name. */
    FILE *file = fopen(posix_path("file"), "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_answer(s3_do(engine, "PUT", "/file", NULL), 409, "BucketAlreadyExists");
    assert_answer(s3_do(engine, "GET", "/file", NULL), 404, "NoSuchBucket");
}

static void test_create_again_elsewhere(void **state)
{
    (void)state;
    struct s3_engine_options options = {.region = "eu-west-1"};
    struct s3_engine *e = s3_engine_new(&options);
    assert_answer(s3_do(e, "PUT", "/bkt", NULL), 200, NULL);
    assert_answer(s3_do(e, "PUT", "/bkt", NULL), 409, "BucketAlreadyOwnedByYou");
    s3_engine_free(e);
}

static void test_directory_made_by_posix_is_a_bucket(void **state)
{
    (void)state;
    s3_engine_add_user(engine, "other", NULL, false);
    struct s3_call by_other = {.method = "PUT", .target = "/posix", .access_key = "other"};
    make_directory("posix");
    assert_answer(s3_do(engine, "HEAD", "/posix", NULL), 200, NULL);
    /* The administrator's, for lack of a record. */
    assert_answer(s3_do(engine, "PUT", "/posix", NULL), 200, NULL);
    assert_answer(s3_call(engine, &by_other), 409, "BucketAlreadyExists");
}

#define CONFIGURATION(content) "<CreateBucketConfiguration>" content "</CreateBucketConfiguration>"

static void test_location_constraints(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int status;
        const char *code;
    } rows[] = {
        {"", 200, NULL},
        {CONFIGURATION(""), 200, NULL},
        {CONFIGURATION("<LocationConstraint/>"), 200, NULL},
        {CONFIGURATION("<LocationConstraint>us-east-1</LocationConstraint>"), 200, NULL},
        {"<?xml version=\"1.0\"?><CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n"
         "<LocationConstraint> us-east-1 </LocationConstraint></CreateBucketConfiguration>",
         200, NULL},
        {CONFIGURATION("<LocationConstraint>eu-west-1</LocationConstraint>"), 400,
         "IllegalLocationConstraintException"},
        {CONFIGURATION("<LocationConstraint>us-gov-west-1</LocationConstraint>"), 400,
         "IllegalLocationConstraintException"},
        {CONFIGURATION("<LocationConstraint>nowhere</LocationConstraint>"), 400, "InvalidLocationConstraint"},
        {CONFIGURATION("<LocationConstraint>eu-west</LocationConstraint>"), 400, "InvalidLocationConstraint"},
        {CONFIGURATION("<LocationConstraint>-1</LocationConstraint>"), 400, "InvalidLocationConstraint"},
        {CONFIGURATION("<LocationConstraint>eu-west-</LocationConstraint>"), 400, "InvalidLocationConstraint"},
        {CONFIGURATION("<Location><Name>use1-az4</Name></Location>"), 501, "NotImplemented"},
        {CONFIGURATION("<Tags/>"), 200, NULL},
        {CONFIGURATION("<Tags><Tag><Key>aws:a</Key><Value>b</Value></Tag></Tags>"), 400, "InvalidTag"},
        {CONFIGURATION("<Tags><Tag><Key>a</Key></Tag></Tags>"), 400, "MalformedXML"},
        {CONFIGURATION("<Tags><Other/></Tags>"), 400, "MalformedXML"},
        {"<Other/>", 400, "MalformedXML"},
        {"<CreateBucketConfiguration>", 400, "MalformedXML"},
        {"x", 400, "MalformedXML"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct str target = arena_printf(s3_engine_arena(engine), "/bucket-%zu", i);
        assert_answer(s3_do(engine, "PUT", target.ptr, rows[i].body), rows[i].status, rows[i].code);
        assert_int_equal(exists(target.ptr + 1), rows[i].status == 200);
    }
}

static void test_create_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        int status;
        const char *code;
    } rows[] = {
        {"x-amz-acl: private", 200, NULL},
        {"x-amz-acl: public-read", 400, "InvalidBucketAclWithObjectOwnership"},
        {"x-amz-acl: nonsense", 400, "InvalidArgument"},
        {"x-amz-grant-read: id=abc", 400, "InvalidBucketAclWithObjectOwnership"},
        {"x-amz-object-ownership: BucketOwnerEnforced", 200, NULL},
        {"x-amz-object-ownership: ObjectWriter", 200, NULL},
        {"x-amz-object-ownership: nonsense", 400, "InvalidArgument"},
        {"x-amz-bucket-object-lock-enabled: false", 200, NULL},
        {"x-amz-bucket-object-lock-enabled: True", 501, "NotImplemented"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct str target = arena_printf(s3_engine_arena(engine), "/bucket-%zu", i);
        struct s3_call call = {.method = "PUT", .target = target.ptr, .headers = {rows[i].header}};
        assert_answer(s3_call(engine, &call), rows[i].status, rows[i].code);
        assert_int_equal(exists(target.ptr + 1), rows[i].status == 200);
    }
}

/* DeleteBucket
 * ---------------------------------------------------------------------------------------------------------- */

static void test_delete(void **state)
{
    (void)state;
    make_bucket("bkt");
    const struct s3_answer *a = s3_do(engine, "DELETE", "/bkt", NULL);
    assert_answer(a, 204, NULL);
    assert_int_equal(a->body.len, 0);
    assert_false(exists("bkt"));
    assert_answer(s3_do(engine, "DELETE", "/bkt", NULL), 404, "NoSuchBucket");
}

static void test_delete_needs_emptiness(void **state)
{
    (void)state;
    make_bucket("bkt");
    assert_answer(s3_do(engine, "PUT", "/bkt/a/b", "x"), 200, NULL);
    const struct s3_answer *a = s3_do(engine, "DELETE", "/bkt", NULL);
    assert_answer(a, 409, "BucketNotEmpty");
    assert_str(s3_answer_element(a, "BucketName"), "bkt");
    assert_answer(s3_do(engine, "DELETE", "/bkt/a/b", NULL), 204, NULL);
    make_directory("bkt/made-by-posix");
    assert_answer(s3_do(engine, "DELETE", "/bkt", NULL), 409, "BucketNotEmpty");
    assert_int_equal(rmdir(posix_path("bkt/made-by-posix")), 0);
    assert_answer(s3_do(engine, "DELETE", "/bkt", NULL), 204, NULL);
}

#define TAGS "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"

static const struct s3_answer *put_tags(const char *body)
{
    struct s3_call call = {.method = "PUT", .target = "/bkt?tagging", .body = str_z(body)};
    struct s3_checksum checksum = {.kind = S3_CHECKSUM_CRC32};
    uint8_t value[DIGEST_SIZE_MAX];
    char text[S3_CHECKSUM_TEXT_MAX];
    digest_bytes(DIGEST_CRC32, call.body, value);
    memcpy(checksum.value, value, 4);
    struct str base64 = s3_checksum_text(&checksum, text);
    call.headers[0] = arena_printf(s3_engine_arena(engine), "x-amz-checksum-crc32: %.*s", STR_ARG(base64)).ptr;
    return s3_call(engine, &call);
}

/* Uploads and configuration go with the bucket, and nothing of them is left anywhere. */
static void test_delete_takes_our_own_files_along(void **state)
{
    (void)state;
    make_bucket("bkt");
    assert_answer(put_tags(TAGS), 204, NULL);
    assert_answer(s3_do(engine, "POST", "/bkt/key?uploads", ""), 200, NULL);
    assert_true(exists("bkt/.sluice/config/tagging"));
    assert_answer(s3_do(engine, "DELETE", "/bkt", NULL), 204, NULL);
    assert_true(str_find(s3_engine_fingerprint(engine), STR("tagging")) < 0);
    assert_true(str_find(s3_engine_fingerprint(engine), STR("deleted")) < 0);
    make_bucket("bkt");
    assert_answer(s3_do(engine, "GET", "/bkt?tagging", NULL), 404, "NoSuchTagSet");
}

/* What a crash left half removed goes later, when it is sure that nobody is at it any more. */
static void test_housekeeping(void **state)
{
    (void)state;
    make_bucket("bkt");
    make_directory(".sluice/deleted.0123");
    make_directory(".sluice/deleted.0123/config");
    FILE *file = fopen(posix_path(".sluice/deleted.0123/config/tagging"), "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    while (s3_service_housekeep(s3_engine_service(engine)))
        continue;
    assert_true(exists(".sluice/deleted.0123"));
    clock_set_wall_for_test(clock_wall_ns() + INT64_C(2) * 3600 * 1000000000);
    while (s3_service_housekeep(s3_engine_service(engine)))
        continue;
    clock_set_wall_for_test(0);
    assert_false(exists(".sluice/deleted.0123"));
    assert_true(exists("bkt"));
}

/* HeadBucket, GetBucketLocation
 * ----------------------------------------------------------------------------------------- */

static void test_head(void **state)
{
    (void)state;
    make_bucket("bkt");
    const struct s3_answer *a = s3_do(engine, "HEAD", "/bkt", NULL);
    assert_answer(a, 200, NULL);
    assert_str(s3_answer_header(a, "x-amz-bucket-region"), "us-east-1");
    assert_answer(s3_do(engine, "HEAD", "/bkt/", NULL), 200, NULL);
    assert_answer(s3_do(engine, "HEAD", "/absent", NULL), 404, "NoSuchBucket");
}

static void test_location(void **state)
{
    (void)state;
    make_bucket("bkt");
    const struct s3_answer *a = s3_do(engine, "GET", "/bkt?location", NULL);
    assert_answer(a, 200, NULL);
    assert_str(s3_answer_element(a, "LocationConstraint"), "");
    struct s3_engine_options options = {.region = "eu-west-1"};
    struct s3_engine *e = s3_engine_new(&options);
    assert_answer(s3_do(e, "PUT", "/bkt", NULL), 200, NULL);
    assert_str(s3_answer_element(s3_do(e, "GET", "/bkt?location", NULL), "LocationConstraint"), "eu-west-1");
    s3_engine_free(e);
}

/* ListBuckets
 * ----------------------------------------------------------------------------------------------------------- */

static void test_list(void **state)
{
    (void)state;
    make_bucket("zebra");
    make_bucket("apple-1");
    make_bucket("apple");
    make_bucket("apple.2");
    make_directory("posix");
    /* Nothing that S3 could not name, and no files. */
    make_directory("Hidden");
    assert_true(exists(".sluice"));
    make_directory("lost+found");
    FILE *file = fopen(posix_path("file"), "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    const struct s3_answer *a = s3_do(engine, "GET", "/", NULL);
    assert_answer(a, 200, NULL);
    assert_int_equal(s3_answer_count(a, "Bucket"), 5);
    assert_int_equal(s3_answer_count(a, "CreationDate"), 5);
    assert_int_equal(s3_answer_count(a, "ContinuationToken"), 0);
    assert_true(s3_answer_element(a, "ID").len > 0);
    static const char *const order[] = {">apple<", ">apple-1<", ">apple.2<", ">posix<", ">zebra<"};
    for (size_t i = 1; i < ARRAY_SIZE(order); i++)
        assert_true(str_find(a->body, str_z(order[i - 1])) < str_find(a->body, str_z(order[i])));
}

static void test_list_prefix_and_region(void **state)
{
    (void)state;
    make_bucket("aa-1");
    make_bucket("aa-2");
    make_bucket("bb-1");
    const struct s3_answer *a = s3_do(engine, "GET", "/?prefix=aa", NULL);
    assert_int_equal(s3_answer_count(a, "Bucket"), 2);
    assert_str(s3_answer_element(a, "Prefix"), "aa");
    assert_str(s3_answer_element(a, "BucketRegion"), "us-east-1");
    assert_int_equal(s3_answer_count(s3_do(engine, "GET", "/?bucket-region=us-east-1", NULL), "Bucket"), 3);
    assert_int_equal(s3_answer_count(s3_do(engine, "GET", "/?bucket-region=eu-west-1", NULL), "Bucket"), 0);
    assert_answer(s3_do(engine, "GET", "/?max-buckets=0", NULL), 400, "InvalidArgument");
    assert_answer(s3_do(engine, "GET", "/?max-buckets=10001", NULL), 400, "InvalidArgument");
    assert_answer(s3_do(engine, "GET", "/?max-buckets=x", NULL), 400, "InvalidArgument");
    assert_answer(s3_do(engine, "GET", "/?continuation-token=%21", NULL), 400, "InvalidArgument");
}

static void test_list_in_pages(void **state)
{
    (void)state;
    static const char *const names[] = {"aaa", "bbb", "ccc-1", "ccc", "ddd", "eee", "fff"};
    struct arena *arena = s3_engine_arena(engine);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        make_bucket(names[i]);
    for (size_t page = 1; page <= ARRAY_SIZE(names) + 1; page++) {
        size_t seen = 0, pages = 0;
        struct str token = STR_EMPTY;
        do {
            struct str target = arena_printf(arena, "/?max-buckets=%zu%s%.*s", page,
                                             token.ptr ? "&continuation-token=" : "", STR_ARG(token));
            const struct s3_answer *a = s3_do(engine, "GET", target.ptr, NULL);
            assert_answer(a, 200, NULL);
            assert_true(s3_answer_count(a, "Bucket") <= page);
            seen += s3_answer_count(a, "Bucket");
            struct str next = s3_answer_element(a, "ContinuationToken");
            assert_false(next.ptr && token.ptr && str_eq(next, token));
            token = next;
            assert_true(++pages <= ARRAY_SIZE(names));
        } while (token.ptr);
        assert_int_equal(seen, ARRAY_SIZE(names));
        assert_int_equal(pages, (ARRAY_SIZE(names) + page - 1) / page);
    }
}

/* Configurations that were never made
 * ----------------------------------------------------------------------------------- */

static void test_answers_of_an_unconfigured_bucket(void **state)
{
    (void)state;
    static const struct {
        const char *method, *query;
        int status;
        const char *code_or_element;
    } rows[] = {
        {"GET", "policy", 404, "NoSuchBucketPolicy"},
        {"GET", "policyStatus", 200, "PolicyStatus"},
        {"GET", "cors", 404, "NoSuchCORSConfiguration"},
        {"GET", "lifecycle", 404, "NoSuchLifecycleConfiguration"},
        {"GET", "encryption", 404, "ServerSideEncryptionConfigurationNotFoundError"},
        {"GET", "website", 404, "NoSuchWebsiteConfiguration"},
        {"GET", "replication", 404, "ReplicationConfigurationNotFoundError"},
        {"GET", "publicAccessBlock", 404, "NoSuchPublicAccessBlockConfiguration"},
        {"GET", "object-lock", 404, "ObjectLockConfigurationNotFoundError"},
        {"GET", "tagging", 404, "NoSuchTagSet"},
        {"GET", "analytics&id=1", 404, "NoSuchConfiguration"},
        {"GET", "metrics&id=1", 404, "NoSuchConfiguration"},
        {"GET", "inventory&id=1", 404, "NoSuchConfiguration"},
        {"GET", "intelligent-tiering&id=1", 404, "NoSuchConfiguration"},
        {"GET", "versioning", 200, "VersioningConfiguration"},
        {"GET", "notification", 200, "NotificationConfiguration"},
        {"GET", "accelerate", 200, "AccelerateConfiguration"},
        {"GET", "logging", 200, "BucketLoggingStatus"},
        {"GET", "requestPayment", 200, "RequestPaymentConfiguration"},
        {"GET", "ownershipControls", 200, "OwnershipControls"},
        {"GET", "analytics", 200, "ListBucketAnalyticsConfigurationResult"},
        {"GET", "metrics", 200, "ListMetricsConfigurationsResult"},
        {"GET", "inventory", 200, "ListInventoryConfigurationsResult"},
        {"GET", "intelligent-tiering", 200, "ListBucketIntelligentTieringConfigurationsOutput"},
        {"GET", "abac", 501, "NotImplemented"},
        {"GET", "session", 501, "NotImplemented"},
        {"GET", "metadataTable", 501, "NotImplemented"},
        {"PUT", "policy", 400, "MalformedPolicy"},
        {"PUT", "lifecycle", 501, "NotImplemented"},
        {"PUT", "encryption", 501, "NotImplemented"},
        {"PUT", "website", 501, "NotImplemented"},
        {"PUT", "notification", 501, "NotImplemented"},
        {"PUT", "versioning", 501, "NotImplemented"},
        {"PUT", "replication", 501, "NotImplemented"},
        {"PUT", "object-lock", 501, "NotImplemented"},
        {"PUT", "logging", 501, "NotImplemented"},
        {"DELETE", "policy", 204, NULL},
        {"DELETE", "cors", 204, NULL},
        {"DELETE", "lifecycle", 204, NULL},
        {"DELETE", "encryption", 204, NULL},
        {"DELETE", "website", 204, NULL},
        {"DELETE", "publicAccessBlock", 204, NULL},
        {"DELETE", "replication", 204, NULL},
        {"DELETE", "tagging", 204, NULL},
    };
    make_bucket("bkt");
    struct arena *arena = s3_engine_arena(engine);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        bool writes = strcmp(rows[i].method, "PUT") == 0;
        struct str target = arena_printf(arena, "/bkt?%s", rows[i].query);
        const struct s3_answer *a = s3_do(engine, rows[i].method, target.ptr, writes ? "<x/>" : NULL);
        bool is_error = rows[i].status >= 400;
        assert_answer(a, rows[i].status, is_error ? rows[i].code_or_element : NULL);
        if (rows[i].status == 200)
            assert_int_equal(s3_answer_count(a, rows[i].code_or_element), 1);
        if (rows[i].status != 204)
            assert_str(s3_answer_header(a, "content-type"), "application/xml");
        /* Of a bucket that does not exist, nothing is said. */
        target = arena_printf(arena, "/absent?%s", rows[i].query);
        assert_answer(s3_do(engine, rows[i].method, target.ptr, NULL), 404, "NoSuchBucket");
    }
    assert_str(s3_answer_element(s3_do(engine, "GET", "/bkt?requestPayment", NULL), "Payer"), "BucketOwner");
    assert_str(s3_answer_element(s3_do(engine, "GET", "/bkt?ownershipControls", NULL), "ObjectOwnership"),
               "BucketOwnerEnforced");
}

/* Nothing that is refused is kept. */
static void test_refused_configurations_leave_nothing(void **state)
{
    (void)state;
    make_bucket("bkt");
    struct str before = s3_engine_fingerprint(engine);
    assert_answer(s3_do(engine, "PUT", "/bkt?policy", "{}"), 400, "MalformedPolicy");
    assert_answer(s3_do(engine, "PUT", "/bkt?lifecycle", "<LifecycleConfiguration/>"), 501, "NotImplemented");
    assert_true(str_eq(before, s3_engine_fingerprint(engine)));
}

static void test_object_lock_of_objects(void **state)
{
    (void)state;
    make_bucket("bkt");
    static const char *const targets[] = {"/bkt/key?legal-hold", "/bkt/key?retention"};
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        const struct s3_answer *a = s3_do(engine, "GET", targets[i], NULL);
        assert_answer(a, 400, "InvalidRequest");
        assert_str(s3_answer_element(a, "Message"), "Bucket is missing Object Lock Configuration");
        assert_answer(s3_do(engine, "PUT", targets[i], "<x/>"), 400, "InvalidRequest");
    }
}

/* Tags
 * ------------------------------------------------------------------------------------------------------------------ */

static void test_tags(void **state)
{
    (void)state;
    make_bucket("bkt");
    assert_answer(put_tags(TAGS), 204, NULL);
    const struct s3_answer *a = s3_do(engine, "GET", "/bkt?tagging", NULL);
    assert_answer(a, 200, NULL);
    assert_str(s3_answer_element(a, "Key"), "k");
    assert_str(s3_answer_element(a, "Value"), "v");
    assert_answer(put_tags("<Tagging><TagSet><Tag><Key>a&amp;b</Key><Value/></Tag></TagSet></Tagging>"), 400,
                  "InvalidTag");
    assert_answer(
        put_tags("<Tagging><TagSet><Tag><Key>k</Key><Value>1</Value></Tag><Tag><Key>k</Key><Value>2</Value></Tag>"
                 "</TagSet></Tagging>"),
        400, "InvalidTag");
    assert_answer(put_tags("<Tagging>"), 400, "MalformedXML");
    assert_answer(s3_do(engine, "PUT", "/bkt?tagging", TAGS), 400, "InvalidRequest");
    assert_str(s3_answer_element(s3_do(engine, "GET", "/bkt?tagging", NULL), "Value"), "v");
    assert_answer(put_tags("<Tagging><TagSet><Tag><Key>k</Key><Value>w</Value></Tag></TagSet></Tagging>"), 204, NULL);
    assert_str(s3_answer_element(s3_do(engine, "GET", "/bkt?tagging", NULL), "Value"), "w");
    assert_answer(s3_do(engine, "DELETE", "/bkt?tagging", NULL), 204, NULL);
    assert_answer(s3_do(engine, "DELETE", "/bkt?tagging", NULL), 204, NULL);
    assert_answer(s3_do(engine, "GET", "/bkt?tagging", NULL), 404, "NoSuchTagSet");
}

static void test_tags_of_a_new_bucket(void **state)
{
    (void)state;
    static const char body[] = CONFIGURATION("<Tags><Tag><Key>b</Key><Value>2</Value></Tag><Tag><Key>a</Key><Value/></Tag></Tags>");
    assert_answer(s3_do(engine, "PUT", "/bkt", body), 200, NULL);
    const struct s3_answer *a = s3_do(engine, "GET", "/bkt?tagging", NULL);
    assert_answer(a, 200, NULL);
    assert_true(str_find(a->body, STR("<Tag><Key>a</Key><Value></Value></Tag><Tag><Key>b</Key><Value>2</Value></Tag>")) >= 0);
    assert_answer(s3_do(engine, "DELETE", "/bkt", NULL), 204, NULL);
    /* An object's tags are none of a bucket's. */
    struct s3_call call = {.method = "PUT", .target = "/bkt", .headers = {"x-amz-tagging: c=3"}};
    assert_answer(s3_call(engine, &call), 200, NULL);
    assert_answer(s3_do(engine, "GET", "/bkt?tagging", NULL), 404, "NoSuchTagSet");
}

/* The documents are no objects, by no spelling, and other users of the machine cannot look at them. */
static void test_documents_are_out_of_reach(void **state)
{
    (void)state;
    struct stat st;
    make_bucket("bkt");
    assert_answer(put_tags(TAGS), 204, NULL);
    assert_int_equal(stat(posix_path("bkt/.sluice"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_answer(s3_do(engine, "GET", "/bkt/.sluice/config/tagging", NULL), 403, "AccessDenied");
    assert_answer(s3_do(engine, "GET", "/bkt/%2Esluice%2Fconfig%2Ftagging", NULL), 403, "AccessDenied");
    assert_answer(s3_do(engine, "DELETE", "/bkt/.SLUICE/config/tagging", NULL), 403, "AccessDenied");
    assert_int_equal(s3_answer_count(s3_do(engine, "GET", "/bkt?list-type=2", NULL), "Contents"), 0);
}

/* Access control lists
 * -------------------------------------------------------------------------------------------------- */

static void test_acl(void **state)
{
    (void)state;
    make_bucket("bkt");
    const struct s3_answer *a = s3_do(engine, "GET", "/bkt?acl", NULL);
    assert_answer(a, 200, NULL);
    assert_int_equal(s3_answer_count(a, "Grant"), 1);
    assert_str(s3_answer_element(a, "Permission"), "FULL_CONTROL");
    assert_true(str_find(a->body, STR("xsi:type=\"CanonicalUser\"")) > 0);
    /* What was answered may be put back. */
    assert_answer(s3_do(engine, "PUT", "/bkt?acl", arena_dupz(s3_engine_arena(engine), a->body)), 200, NULL);
}

static void test_put_acl(void **state)
{
    (void)state;
    make_bucket("bkt");
    struct str owner = s3_answer_element(s3_do(engine, "GET", "/bkt?acl", NULL), "ID");
    static const char *const lists[] = {
        "<AccessControlList/>",
        "<AccessControlList><Grant><Grantee><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee>"
        "<Permission>READ</Permission></Grant></AccessControlList>",
        "<AccessControlList><Grant><Grantee><ID>other</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant>"
        "</AccessControlList>",
    };
    static const char *const codes[] = {"AccessControlListNotSupported", "AccessControlListNotSupported", "InvalidArgument"};
    const char *owner_element = arena_printf(s3_engine_arena(engine), "<Owner><ID>%.*s</ID></Owner>", STR_ARG(owner)).ptr;
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        char document[1000];
        snprintf(document, sizeof(document), "<AccessControlPolicy>%s%s</AccessControlPolicy>", owner_element, lists[i]);
        assert_answer(s3_do(engine, "PUT", "/bkt?acl", document), 400, codes[i]);
    }
    struct str read_only =
        arena_printf(s3_engine_arena(engine),
                     "<AccessControlPolicy>%s<AccessControlList><Grant><Grantee><ID>%.*s</ID></Grantee>"
                     "<Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>",
                     owner_element, STR_ARG(owner));
    assert_answer(s3_do(engine, "PUT", "/bkt?acl", read_only.ptr), 400, "AccessControlListNotSupported");
    assert_answer(s3_do(engine, "PUT", "/bkt?acl", "<AccessControlPolicy/>"), 400, "MalformedACLError");
    assert_answer(s3_do(engine, "PUT", "/bkt?acl", "<x"), 400, "MalformedACLError");
    assert_answer(s3_do(engine, "PUT", "/bkt?acl", ""), 400, "MissingSecurityHeader");
    static const struct {
        const char *header;
        int status;
        const char *code;
    } headers[] = {
        {"x-amz-acl: bucket-owner-full-control", 200, NULL},
        {"x-amz-acl: private", 400, "AccessControlListNotSupported"},
        {"x-amz-acl: public-read", 400, "AccessControlListNotSupported"},
        {"x-amz-acl: public-ready", 400, "InvalidArgument"},
        {"x-amz-grant-full-control: uri=http://acs.amazonaws.com/groups/global/AllUsers", 400, "AccessControlListNotSupported"},
        {"x-amz-grant-full-control: id=x", 400, "InvalidArgument"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
        struct s3_call call = {.method = "PUT", .target = "/bkt?acl", .headers = {headers[i].header}};
        assert_answer(s3_call(engine, &call), headers[i].status, headers[i].code);
    }
}

/* One bucket only
 * ------------------------------------------------------------------------------------------------------- */

static void test_single_bucket(void **state)
{
    (void)state;
    struct s3_engine_options options = {.single_bucket = "only"};
    struct s3_engine *e = s3_engine_new(&options);
    assert_answer(s3_do(e, "HEAD", "/only", NULL), 200, NULL);
    assert_answer(s3_do(e, "PUT", "/only/a/b", "x"), 200, NULL);
    assert_str(s3_do(e, "GET", "/only/a/b", NULL)->body, "x");
    struct str path = arena_printf(s3_engine_arena(e), "%s/a/b", s3_engine_root(e));
    assert_int_equal(access(path.ptr, F_OK), 0);
    const struct s3_answer *a = s3_do(e, "GET", "/", NULL);
    assert_int_equal(s3_answer_count(a, "Bucket"), 1);
    assert_str(s3_answer_element(a, "Name"), "only");
    assert_answer(s3_do(e, "PUT", "/only", NULL), 200, NULL);
    assert_answer(s3_do(e, "PUT", "/other", NULL), 403, "AccessDenied");
    assert_answer(s3_do(e, "HEAD", "/other", NULL), 404, "NoSuchBucket");
    assert_answer(s3_do(e, "GET", "/a/b", NULL), 400, "InvalidBucketName");
    assert_answer(s3_do(e, "DELETE", "/only", NULL), 403, "AccessDenied");
    s3_engine_free(e);
}

/* The POSIX identity of a user decides about directories, too. */
static void test_posix_identity(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    s3_engine_add_posix_user(engine, "nobody", 65534, 65534);
    struct s3_call call = {.method = "PUT", .target = "/theirs", .access_key = "nobody"};
    assert_int_equal(chmod(s3_engine_root(engine), 0755), 0);
    assert_answer(s3_call(engine, &call), 403, "AccessDenied");
    assert_int_equal(chmod(s3_engine_root(engine), 01777), 0);
    assert_answer(s3_call(engine, &call), 200, NULL);
    struct stat st;
    assert_int_equal(stat(posix_path("theirs"), &st), 0);
    assert_int_equal(st.st_uid, 65534);
    make_directory("private");
    assert_int_equal(chmod(posix_path("private"), 0700), 0);
    call = (struct s3_call){.method = "GET", .target = "/private", .access_key = "nobody"};
    assert_answer(s3_call(engine, &call), 403, "AccessDenied");
}

int main(void)
{
#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(test_create),
        WITH_ENGINE(test_create_again),
        WITH_ENGINE(test_create_again_elsewhere),
        WITH_ENGINE(test_directory_made_by_posix_is_a_bucket),
        WITH_ENGINE(test_location_constraints),
        WITH_ENGINE(test_create_headers),
        WITH_ENGINE(test_delete),
        WITH_ENGINE(test_delete_needs_emptiness),
        WITH_ENGINE(test_delete_takes_our_own_files_along),
        WITH_ENGINE(test_housekeeping),
        WITH_ENGINE(test_head),
        WITH_ENGINE(test_location),
        WITH_ENGINE(test_list),
        WITH_ENGINE(test_list_prefix_and_region),
        WITH_ENGINE(test_list_in_pages),
        WITH_ENGINE(test_answers_of_an_unconfigured_bucket),
        WITH_ENGINE(test_refused_configurations_leave_nothing),
        WITH_ENGINE(test_object_lock_of_objects),
        WITH_ENGINE(test_tags),
        WITH_ENGINE(test_tags_of_a_new_bucket),
        WITH_ENGINE(test_documents_are_out_of_reach),
        WITH_ENGINE(test_acl),
        WITH_ENGINE(test_put_acl),
        WITH_ENGINE(test_single_bucket),
        WITH_ENGINE(test_posix_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
