#include "tests/support/head.h"
#include "tests/support/unit.h"

#include "s3api/op.h"
#include "s3api/service.h"
#include "s3api/xml.h"

/* Replies by themselves: headers that may be sent, documents, errors. */

static struct s3_op op;
static struct s3_service service = {.region = STR_INIT("us-east-1")};
static struct http_head head;

static void start(const char *head_text)
{
    head = head_of(head_text);
    op = (struct s3_op){
        .arena = arena_new(),
        .service = &service,
        .in = {.head = &head, .request_id = STR_INIT("0123456789abcdef"), .host_id = STR_INIT("host")},
        .out = {.max = 10000},
    };
    assert_int_equal(s3_request_parse(&op.req, &head, STR_EMPTY, op.arena), S3_OK);
    s3_reply_start(&op);
}

static int tear_down(void **state)
{
    (void)state;
    buf_done(&op.out);
    arena_free(op.arena);
    return 0;
}

static struct str sent(const char *name)
{
    for (size_t i = 0; i < op.reply.header_count; i++)
        if (str_is(op.reply.headers[i].name, name))
            return op.reply.headers[i].value;
    return STR_EMPTY;
}

/* SEC-52 */
static void test_headers_that_would_be_more_than_one(void **state)
{
    (void)state;
    start("GET /b/k");
    size_t count = op.reply.header_count;
    s3_reply_header(&op, "a", STR("x\r\nSet-Cookie: y"));
    s3_reply_header(&op, "b", STR("x\ny"));
    s3_reply_header(&op, "c", STR("x\ry"));
    s3_reply_header(&op, "d", str_of("x\0y", 3));
    s3_reply_header(&op, "e\r\nf", STR("x"));
    s3_reply_header(&op, "e: f", STR("x"));
    s3_reply_header(&op, "", STR("x"));
    s3_reply_headerf(&op, "g", "%s", "x\r\ny");
    s3_reply_headerf(&op, "h", "%10000d", 1);
    assert_int_equal(op.reply.header_count, count);
    s3_reply_header(&op, "i", STR(""));
    s3_reply_headerf(&op, "j", "%d", 1);
    assert_int_equal(op.reply.header_count, count + 2);
}

static void test_many_headers(void **state)
{
    (void)state;
    start("GET /b/k");
    char value[16];
    for (int i = 0; i < 500; i++) {
        snprintf(value, sizeof(value), "%d", i);
        s3_reply_header(&op, "x-amz-meta-a", str_z(value));
    }
    assert_int_equal(op.reply.header_count, 502);
    assert_str(op.reply.headers[501].value, "499");
    assert_str(sent("x-amz-request-id"), "0123456789abcdef");
}

static void test_error_document(void **state)
{
    (void)state;
    start("GET /bkt/a%26b");
    s3_reply_header(&op, "ETag", STR("dropped"));
    s3_reply_error(&op, S3_NO_SUCH_KEY);
    assert_int_equal(op.reply.status, 404);
    assert_str(op.reply.bytes, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                               "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>"
                               "<Key>a&amp;b</Key><Resource>/bkt/a&amp;b</Resource>"
                               "<RequestId>0123456789abcdef</RequestId><HostId>host</HostId></Error>");
    assert_int_equal(op.reply.length, op.reply.bytes.len);
    assert_str(sent("Content-Type"), "application/xml");
    assert_str(sent("x-amz-bucket-region"), "us-east-1");
    assert_null(sent("ETag").ptr);
}

static void test_details(void **state)
{
    (void)state;
    start("GET /bkt/k");
    op.detail =
        (struct s3_error_detail){.range_requested = STR("bytes=9-"), .range_size = 5, .condition = STR("If-Match")};
    s3_fail_extra(&op, "Extra", STR("<x>"));
    enum s3_error error = s3_fail(&op, S3_INVALID_RANGE, "own %s", "message");
    s3_reply_error(&op, error);
    static const char *const parts[] = {"<Message>own message</Message>", "<RangeRequested>bytes=9-</RangeRequested>",
                                        "<ActualObjectSize>5</ActualObjectSize>", "<Condition>If-Match</Condition>",
                                        "<Extra>&lt;x&gt;</Extra>"};
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        assert_true(str_find(op.reply.bytes, str_z(parts[i])) > 0);
}

static void test_not_modified_keeps_its_validators(void **state)
{
    (void)state;
    start("GET /bkt/k");
    s3_reply_header(&op, "ETag", STR("\"e\""));
    s3_reply_error(&op, S3_NOT_MODIFIED);
    assert_int_equal(op.reply.status, 304);
    assert_int_equal(op.reply.body, S3_REPLY_NONE);
    assert_str(sent("ETag"), "\"e\"");
    assert_null(sent("Content-Type").ptr);
    assert_int_equal(op.out.len, 0);
}

static void test_head_and_overload(void **state)
{
    (void)state;
    start("HEAD /bkt/k");
    s3_reply_error(&op, S3_SLOW_DOWN);
    assert_int_equal(op.reply.status, 503);
    assert_int_equal(op.reply.body, S3_REPLY_NONE);
    assert_str(sent("Retry-After"), "1");
}

static void test_document_too_large(void **state)
{
    (void)state;
    start("GET /bkt");
    for (int i = 0; i < 1000; i++)
        xml_text(&op.out, "Key", STR("0123456789"));
    assert_int_equal(s3_reply_xml(&op, 200), S3_INTERNAL_ERROR);
    s3_reply_error(&op, S3_INTERNAL_ERROR);
    assert_true(str_starts(op.reply.bytes, STR("<?xml")));
    assert_non_null(op.error_cause);
}

int main(void)
{
#define WITH_OP(test) cmocka_unit_test_teardown(test, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_OP(test_headers_that_would_be_more_than_one),
        WITH_OP(test_many_headers),
        WITH_OP(test_error_document),
        WITH_OP(test_details),
        WITH_OP(test_not_modified_keeps_its_validators),
        WITH_OP(test_head_and_overload),
        WITH_OP(test_document_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
