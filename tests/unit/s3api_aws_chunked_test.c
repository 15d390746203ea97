#include "tests/support/unit.h"

#include "s3api/body_aws_chunked.h"

/* What a body decodes to, as text: "[size;signature]" data "|" for a chunk's end, "{name=value}", "$" for the empty
 * line, "!" for a framing error, "~" when the body may not end here. */
static void decode(struct str body, size_t piece_len, char *out, size_t out_size)
{
    struct aws_chunked d;
    struct aws_chunked_event event;
    size_t len = 0;
    enum aws_chunked_kind kind = AWS_CHUNKED_MORE;
    aws_chunked_init(&d);
    out[0] = '\0';
#define ADD(...) len += (size_t)snprintf(out + len, out_size - len, __VA_ARGS__)
    while (body.len > 0 && kind != AWS_CHUNKED_BAD) {
        struct str piece = str_first(body, piece_len);
        body = str_from(body, piece.len);
        while ((kind = aws_chunked_next(&d, &piece, &event)) != AWS_CHUNKED_MORE && kind != AWS_CHUNKED_BAD) {
            if (kind == AWS_CHUNKED_CHUNK)
                ADD("[%zx;%.*s]", (size_t)event.size, STR_ARG(event.signature));
            if (kind == AWS_CHUNKED_DATA)
                ADD("%.*s", STR_ARG(event.bytes));
            if (kind == AWS_CHUNKED_CHUNK_END)
                ADD("|");
            if (kind == AWS_CHUNKED_TRAILER)
                ADD("{%.*s=%.*s}", STR_ARG(event.name), STR_ARG(event.value));
            if (kind == AWS_CHUNKED_END)
                ADD("$");
        }
        if (kind == AWS_CHUNKED_MORE)
            assert_int_equal(piece.len, 0);
    }
    if (kind == AWS_CHUNKED_BAD)
        ADD("!");
    else if (!aws_chunked_is_complete(&d))
        ADD("~");
#undef ADD
}

static const struct {
    const char *body;
    const char *decoded;
} bodies[] = {
    /* boto3 over TLS; an empty object */
    {"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", "[5;]hello|[0;]|{x-amz-checksum-crc32=NhCmhg==}$"},
    {"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", "[0;]|{x-amz-checksum-crc32=AAAAAA==}$"},
    /* Signed chunks */
    {"3;chunk-signature=aa\r\nabc\r\n0;chunk-signature=bb\r\n\r\n", "[3;aa]abc|[0;bb]|$"},
    /* Signed trailer in the proper place; minio-go's empty line before it, and line feeds alone */
    {"0;chunk-signature=b\r\nx-amz-checksum-crc32c:v\r\nx-amz-trailer-signature:t\r\n\r\n",
     "[0;b]|{x-amz-checksum-crc32c=v}{x-amz-trailer-signature=t}$"},
    {"0;chunk-signature=b\r\nx-amz-checksum-crc32c:v\n\r\nx-amz-trailer-signature:t\r\n\r\n",
     "[0;b]|{x-amz-checksum-crc32c=v}${x-amz-trailer-signature=t}$"},
    {"0\r\nx-amz-checksum-crc32c:v\n\r\n\r\n", "[0;]|{x-amz-checksum-crc32c=v}$$"},
    /* Sizes and extensions */
    {"A\r\n0123456789\r\n000\r\n\r\n", "[a;]0123456789|[0;]|$"},
    {"1;x=y;chunk-signature=s;z\r\nq\r\n0\r\n\r\n", "[1;s]q|[0;]|$"},
    {"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "[1;]a|[2;]bc|[0;]|$"},
    /* Data that look like framing */
    {"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", "[7;]\r\n0\r\n\r\n|[0;]|$"},
    /* Spaces around a trailer's value */
    {"0\r\na: b \r\n\r\n", "[0;]|{a=b}$"},
    /* Ends too early */
    {"", "~"},
    {"5", "~"},
    {"5\r\nhel", "[5;]hel~"},
    {"5\r\nhello", "[5;]hello~"},
    {"5\r\nhello\r", "[5;]hello~"},
    {"5\r\nhello\r\n", "[5;]hello|~"},
    {"0\r\n", "[0;]|~"},
    {"0\r\na:b\r\n", "[0;]|{a=b}~"},
    {"0\r\n\r\nx", "[0;]|$~"},
    /* No framing */
    {"hello", "~"},
    {"hello\r\n", "!"},
    {"\r\n", "!"},
    {"5\nhello\r\n", "!"},
    {"-5\r\nhello\r\n", "!"},
    {" 5\r\nhello\r\n", "!"},
    {"5 \r\nhello\r\n", "!"},
    {"0x5\r\nhello\r\n", "!"},
    {"g\r\n", "!"},
    {";chunk-signature=a\r\n", "!"},
    {"11111111111111111\r\n", "!"},
    {"ffffffffffffffff\r\n", "!"},
    {"40000001\r\n", "!"},
    {"5\r\nhelloX", "[5;]hello~"},
    {"5\r\nhelloX\r\n", "[5;]hello!"},
    {"5\r\nhello\n", "[5;]hello!"},
    {"0\r\nno colon\r\n\r\n", "[0;]|!"},
    {"0\r\n:value\r\n\r\n", "[0;]|!"},
};

static void test_all_splits(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
        struct str body = str_z(bodies[i].body);
        for (size_t piece_len = 1; piece_len <= body.len + 1; piece_len++) {
            char decoded[512];
            decode(body, piece_len, decoded, sizeof(decoded));
            if (strcmp(decoded, bodies[i].decoded) != 0)
                fail_msg("in pieces of %zu: <%s> gives <%s>", piece_len, bodies[i].body, decoded);
        }
    }
}

static void assert_last(struct str body, const char *expected_end)
{
    static char decoded[64 * 1024];
    for (size_t piece_len = 1; piece_len <= 1000; piece_len += 333) {
        decode(body, piece_len, decoded, sizeof(decoded));
        assert_true(str_ends(str_z(decoded), str_z(expected_end)));
    }
}

static void test_endless_lines(void **state)
{
    (void)state;
    static char body[LIMIT_TRAILER_BYTES + 1000];
    memset(body, '1', sizeof(body));
    body[1] = ';';
    assert_last(str_of(body, LIMIT_AWS_CHUNK_LINE_BYTES), "~");
    assert_last(str_of(body, LIMIT_AWS_CHUNK_LINE_BYTES + 1), "!");
    memset(body, 't', sizeof(body));
    memcpy(body, "0\r\n", 3);
    assert_last(str_of(body, 3 + LIMIT_AWS_CHUNK_LINE_BYTES), "~");
    assert_last(str_of(body, 3 + LIMIT_AWS_CHUNK_LINE_BYTES + 1), "!");
    for (size_t i = 3; i + 4 <= sizeof(body); i += 4)
        memcpy(body + i, "a:b\n", 4);
    assert_last(str_of(body, 3 + LIMIT_TRAILER_BYTES), "~");
    assert_last(str_of(body, sizeof(body)), "!");
}

/* Nothing is decoded behind an error. */
static void test_error_sticks(void **state)
{
    (void)state;
    struct aws_chunked d;
    struct aws_chunked_event event;
    struct str bad = STR("x\r\n");
    struct str good = STR("5\r\nhello\r\n");
    aws_chunked_init(&d);
    assert_int_equal(aws_chunked_next(&d, &bad, &event), AWS_CHUNKED_BAD);
    assert_int_equal(aws_chunked_next(&d, &good, &event), AWS_CHUNKED_BAD);
    assert_false(aws_chunked_is_complete(&d));
}

static void test_data_are_not_copied(void **state)
{
    (void)state;
    struct aws_chunked d;
    struct aws_chunked_event event;
    struct str input = STR("5\r\nhello\r\n");
    const char *data = input.ptr + 3;
    aws_chunked_init(&d);
    assert_int_equal(aws_chunked_next(&d, &input, &event), AWS_CHUNKED_CHUNK);
    assert_int_equal(aws_chunked_next(&d, &input, &event), AWS_CHUNKED_DATA);
    assert_ptr_equal(event.bytes.ptr, data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_splits),
        cmocka_unit_test(test_endless_lines),
        cmocka_unit_test(test_error_sticks),
        cmocka_unit_test(test_data_are_not_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
