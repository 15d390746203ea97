/* Tags, attributes and access control lists of objects. */
#include <sys/stat.h>

#include "base/digest.h"
#include "base/encode.h"
#include "tests/support/s3_engine.h"
#include "tests/support/unit.h"

#define TEXT "The quick brown fox jumps over the lazy dog"
#define TEXT_ETAG "\"9e107d9d372bb6826bd81d3542a419d6\""

#define CALL(verb, path, content, ...) \
    s3_call(e, &(struct s3_call){.method = (verb), .target = (path), .headers = {__VA_ARGS__}, .body = str_z(content)})
#define assert_header(answer, name, expected) assert_str(s3_answer_header(answer, name), expected)
#define assert_no_header(answer, name) assert_null(s3_answer_header(answer, name).ptr)

static struct s3_engine *e;

static int set_up(void **state UNUSED)
{
    e = s3_engine_new(NULL);
    bool made = s3_do(e, "PUT", "/bucket", NULL)->status == 200;
    return made && CALL("PUT", "/bucket/key", TEXT, "x-amz-meta-a: b")->status == 200 ? 0 : -1;
}

static int tear_down(void **state UNUSED)
{
    s3_engine_free(e);
    return 0;
}

/* Tags ----------------------------------------------------------------------------------------------------------- */

static struct s3_answer *put_tags(const char *target, const char *document)
{
    uint8_t md5[DIGEST_SIZE_MAX];
    CLEANUP(buf_done) struct buf header = buf_make(100);
    digest_bytes(DIGEST_MD5, str_z(document), md5);
    buf_addz(&header, "Content-MD5: ");
    buf_add_base64(&header, md5, 16);
    return CALL("PUT", target, document, buf_z(&header));
}

#define SET(tags) "<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet>" tags "</TagSet></Tagging>"
#define TAG(key, value) "<Tag><Key>" key "</Key><Value>" value "</Value></Tag>"

static void tagging(void **state UNUSED)
{
    struct s3_answer *a = s3_do(e, "GET", "/bucket/key?tagging", NULL);
    assert_answer(a, 200, NULL);
    assert_int_equal(s3_answer_count(a, "Tag"), 0);
    assert_int_equal(s3_answer_count(a, "TagSet"), 1);
    struct s3_answer *before = s3_do(e, "HEAD", "/bucket/key", NULL);
    assert_answer(put_tags("/bucket/key?tagging", SET(TAG("\xc3\xa4", "+-=._:/@") TAG("empty", "") TAG("color", "dark red"))), 200, NULL);
    a = s3_do(e, "GET", "/bucket/key?tagging", NULL);
    assert_int_equal(s3_answer_count(a, "Tag"), 3);
    assert_true(str_find(a->body, STR(TAG("color", "dark red"))) > 0);
    assert_true(str_find(a->body, STR(TAG("color", "dark red") TAG("empty", "") TAG("\xc3\xa4", "+-=._:/@"))) > 0);
    a = CALL("GET", "/bucket/key", NULL, "x-amz-checksum-mode: ENABLED");
    assert_header(a, "x-amz-tagging-count", "3");
    assert_header(a, "ETag", TEXT_ETAG);
    assert_header(a, "x-amz-checksum-crc64nvme", "12xUBUlUwUM=");
    assert_header(a, "x-amz-meta-a", "b");
    assert_true(str_eq(s3_answer_header(a, "Last-Modified"), s3_answer_header(before, "Last-Modified")));
    assert_answer(put_tags("/bucket/key?tagging&versionId=null", SET(TAG("one", "1"))), 200, NULL);
    assert_int_equal(s3_answer_count(s3_do(e, "GET", "/bucket/key?tagging", NULL), "Tag"), 1);
    assert_answer(s3_do(e, "DELETE", "/bucket/key?tagging", NULL), 204, NULL);
    assert_int_equal(s3_answer_count(s3_do(e, "GET", "/bucket/key?tagging", NULL), "Tag"), 0);
    assert_no_header(s3_do(e, "HEAD", "/bucket/key", NULL), "x-amz-tagging-count");
}

static void tags_of_directory_objects(void **state UNUSED)
{
    assert_answer(s3_do(e, "PUT", "/bucket/d/", ""), 200, NULL);
    assert_answer(put_tags("/bucket/d/?tagging", SET(TAG("a", "b"))), 200, NULL);
    assert_int_equal(s3_answer_count(s3_do(e, "GET", "/bucket/d/?tagging", NULL), "Tag"), 1);
    assert_answer(put_tags("/bucket/d?tagging", SET(TAG("a", "b"))), 404, "NoSuchKey");
}

static void tags_that_are_refused(void **state UNUSED)
{
    struct str long_key = arena_printf(s3_engine_arena(e), SET("<Tag><Key>%0129d</Key><Value/></Tag>"), 0);
    struct str long_value = arena_printf(s3_engine_arena(e), SET("<Tag><Key>k</Key><Value>%0257d</Value></Tag>"), 0);
    struct str full = arena_printf(s3_engine_arena(e), SET("<Tag><Key>%0128d</Key><Value>%0256d</Value></Tag>"), 0, 0);
    const struct {
        const char *document, *code;
    } rows[] = {
        {SET(TAG("a", "1") TAG("a", "2")), "InvalidTag"},
        {SET(TAG("", "1")), "InvalidTag"},
        {SET(TAG("a", "&lt;")), "InvalidTag"},
        {SET(TAG("aws:x", "1")), "InvalidTag"},
        {SET(TAG("1", "") TAG("2", "") TAG("3", "") TAG("4", "") TAG("5", "") TAG("6", "") TAG("7", "") TAG("8", "")
                 TAG("9", "") TAG("10", "") TAG("11", "")),
         "InvalidTag"},
        {long_key.ptr, "InvalidTag"},
        {long_value.ptr, "InvalidTag"},
        {SET("<Tag><Key>a</Key></Tag>"), "MalformedXML"},
        {SET("<Tog><Key>a</Key><Value/></Tog>"), "MalformedXML"},
        {"<Tagging></Tagging>", "MalformedXML"},
        {"<Other><TagSet></TagSet></Other>", "MalformedXML"},
        {"<Tagging>", "MalformedXML"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_answer(put_tags("/bucket/key?tagging", rows[i].document), 400, rows[i].code);
    assert_int_equal(s3_answer_count(s3_do(e, "GET", "/bucket/key?tagging", NULL), "Tag"), 0);
    assert_answer(put_tags("/bucket/key?tagging", full.ptr), 200, NULL);
    assert_answer(put_tags("/bucket/none?tagging", SET("")), 404, "NoSuchKey");
    assert_answer(s3_do(e, "GET", "/bucket/none?tagging", NULL), 404, "NoSuchKey");
    assert_answer(s3_do(e, "DELETE", "/bucket/none?tagging", NULL), 404, "NoSuchKey");
    assert_answer(s3_do(e, "GET", "/bucket/key?tagging&versionId=x", NULL), 400, "InvalidArgument");
}

/* Attributes ----------------------------------------------------------------------------------------------------- */

static void attributes(void **state UNUSED)
{
    struct s3_answer *a = CALL("GET", "/bucket/key?attributes", NULL,
                               "x-amz-object-attributes: ETag, Checksum,ObjectParts", "x-amz-object-attributes: StorageClass,ObjectSize");
    assert_answer(a, 200, NULL);
    assert_str(s3_answer_element(a, "ETag"), "9e107d9d372bb6826bd81d3542a419d6");
    assert_str(s3_answer_element(a, "ChecksumCRC64NVME"), "12xUBUlUwUM=");
    assert_str(s3_answer_element(a, "ChecksumType"), "FULL_OBJECT");
    assert_str(s3_answer_element(a, "StorageClass"), "STANDARD");
    assert_str(s3_answer_element(a, "ObjectSize"), "43");
    assert_int_equal(s3_answer_count(a, "ObjectParts"), 0);
    assert_non_null(s3_answer_header(a, "Last-Modified").ptr);
    a = CALL("GET", "/bucket/key?attributes", NULL, "x-amz-object-attributes: ObjectSize");
    assert_null(s3_answer_element(a, "ETag").ptr);
    assert_answer(s3_do(e, "GET", "/bucket/key?attributes", NULL), 400, "InvalidArgument");
    assert_answer(CALL("GET", "/bucket/key?attributes", NULL, "x-amz-object-attributes: Color"), 400, "InvalidArgument");
    assert_answer(CALL("GET", "/bucket/none?attributes", NULL, "x-amz-object-attributes: ETag"), 404, "NoSuchKey");
    assert_answer(CALL("GET", "/bucket/key?attributes", NULL, "x-amz-object-attributes: ETag", "x-amz-max-parts: -1"), 400, "InvalidArgument");
}

/* Parts ---------------------------------------------------------------------------------------------------------- */

#define PART_SIZE (5 * 1024 * 1024)

static void upload_parts(const char *target, int count)
{
    char *bytes = arena_alloc(s3_engine_arena(e), PART_SIZE);
    struct str id = s3_answer_element(s3_do(e, "POST", arena_printf(s3_engine_arena(e), "%s?uploads", target).ptr, NULL), "UploadId");
    CLEANUP(buf_done) struct buf list = buf_make(10000);
    buf_addz(&list, "<CompleteMultipartUpload>");
    for (int i = 1; i <= count; i++) {
        memset(bytes, 'a' + i, PART_SIZE);
        struct s3_call call = {.method = "PUT", .body = str_of(bytes, i < count ? PART_SIZE : 3)};
        call.target = arena_printf(s3_engine_arena(e), "%s?uploadId=%.*s&partNumber=%d", target, STR_ARG(id), i).ptr;
        struct s3_answer *a = s3_call(e, &call);
        assert_answer(a, 200, NULL);
        buf_addf(&list, "<Part><PartNumber>%d</PartNumber><ETag>%.*s</ETag></Part>", i, STR_ARG(s3_answer_header(a, "ETag")));
    }
    buf_addz(&list, "</CompleteMultipartUpload>");
    const char *complete = arena_printf(s3_engine_arena(e), "%s?uploadId=%.*s", target, STR_ARG(id)).ptr;
    assert_answer(s3_do(e, "POST", complete, buf_z(&list)), 200, NULL);
}

static void parts_of_a_multipart_object(void **state UNUSED)
{
    upload_parts("/bucket/parts", 3);
    struct s3_answer *a = s3_do(e, "HEAD", "/bucket/parts?partNumber=2", NULL);
    assert_answer(a, 206, NULL);
    assert_header(a, "Content-Range", "bytes 5242880-10485759/10485763");
    assert_header(a, "x-amz-mp-parts-count", "3");
    assert_int_equal(a->length, PART_SIZE);
    a = s3_do(e, "GET", "/bucket/parts?partNumber=3", NULL);
    assert_answer(a, 206, NULL);
    assert_str(a->body, "ddd");
    assert_answer(s3_do(e, "GET", "/bucket/parts?partNumber=4", NULL), 416, "InvalidPartNumber");
    assert_no_header(s3_do(e, "HEAD", "/bucket/parts", NULL), "x-amz-mp-parts-count");
    a = CALL("GET", "/bucket/parts?attributes", NULL, "x-amz-object-attributes: ObjectParts", "x-amz-max-parts: 2");
    assert_str(s3_answer_element(a, "PartsCount"), "3");
    assert_str(s3_answer_element(a, "IsTruncated"), "true");
    assert_str(s3_answer_element(a, "NextPartNumberMarker"), "2");
    assert_str(s3_answer_element(a, "MaxParts"), "2");
    assert_int_equal(s3_answer_count(a, "Part"), 2);
    a = CALL("GET", "/bucket/parts?attributes", NULL, "x-amz-object-attributes: ObjectParts", "x-amz-part-number-marker: 2");
    assert_int_equal(s3_answer_count(a, "Part"), 1);
    assert_str(s3_answer_element(a, "IsTruncated"), "false");
    assert_str(s3_answer_element(a, "Size"), "3");
    /* Tags and copies keep them; a change of metadata too. */
    assert_answer(put_tags("/bucket/parts?tagging", SET(TAG("a", "b"))), 200, NULL);
    assert_answer(CALL("PUT", "/bucket/parts", NULL, "x-amz-copy-source: bucket/parts", "x-amz-metadata-directive: REPLACE"), 200, NULL);
    assert_answer(CALL("PUT", "/bucket/copy", NULL, "x-amz-copy-source: bucket/parts"), 200, NULL);
    assert_header(s3_do(e, "HEAD", "/bucket/copy?partNumber=2", NULL), "x-amz-mp-parts-count", "3");
}

/* Access control lists ------------------------------------------------------------------------------------------- */

static void access_control_lists(void **state UNUSED)
{
    struct s3_answer *a = s3_do(e, "GET", "/bucket/key?acl", NULL);
    assert_answer(a, 200, NULL);
    assert_str(s3_answer_element(a, "Permission"), "FULL_CONTROL");
    assert_int_equal(s3_answer_count(a, "Grant"), 1);
    struct str same = a->body;
    assert_answer(CALL("PUT", "/bucket/key?acl", "", "x-amz-acl: bucket-owner-full-control"), 200, NULL);
    assert_answer(CALL("PUT", "/bucket/key?acl", "", "x-amz-acl: private"), 400, "AccessControlListNotSupported");
    assert_answer(CALL("PUT", "/bucket/key?acl", "", "x-amz-acl: public-read"), 400, "AccessControlListNotSupported");
    assert_answer(s3_call(e, &(struct s3_call){.method = "PUT", .target = "/bucket/key?acl", .body = same}), 200, NULL);
    assert_answer(s3_do(e, "GET", "/bucket/none?acl", NULL), 404, "NoSuchKey");
    assert_answer(CALL("PUT", "/bucket/none?acl", "", "x-amz-acl: private"), 404, "NoSuchKey");
}

static void what_is_not_there(void **state UNUSED)
{
    assert_answer(s3_do(e, "GET", "/bucket/key?retention", NULL), 400, "InvalidRequest");
    assert_answer(s3_do(e, "GET", "/bucket/key?legal-hold", NULL), 400, "InvalidRequest");
    assert_answer(s3_do(e, "GET", "/bucket/key?torrent", NULL), 501, "NotImplemented");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(tagging),
        TEST(tags_of_directory_objects),
        TEST(tags_that_are_refused),
        TEST(attributes),
        TEST(parts_of_a_multipart_object),
        TEST(access_control_lists),
        TEST(what_is_not_there),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
