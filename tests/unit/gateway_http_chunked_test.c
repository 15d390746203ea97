#include "gateway/http_chunked.h"

#include <errno.h>

#include "base/limits.h"
#include "tests/support/unit.h"

/* Feeds text in pieces of `step` bytes; returns 0 with the data in out, or the error. */
static int decode(const char *text, size_t len, size_t step, char *out, size_t *out_len, size_t *out_used, bool *out_ended)
{
    struct gw_chunked d = gw_chunked_make();
    char piece[512];
    *out_len = *out_used = 0;
    while (*out_used < len && !gw_chunked_ended(&d)) {
        size_t size = len - *out_used < step ? len - *out_used : step, used;
        memcpy(piece, text + *out_used, size);
        int rc = gw_chunked_decode(&d, piece, &size, &used);
        if (rc < 0)
            return rc;
        memcpy(out + *out_len, piece, size);
        *out_len += size;
        *out_used += used;
    }
    *out_ended = gw_chunked_ended(&d);
    return 0;
}

static void good_bodies_in_every_split(void **state)
{
    (void)state;
    static const struct {
        const char *text, *data;
        size_t left; /* bytes behind the body */
    } rows[] = {
        {"0\r\n\r\n", "", 0},
        {"5\r\nhello\r\n0\r\n\r\n", "hello", 0},
        {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET ", "hello world", 4},
        {"00005\r\nhello\r\n000\r\n\r\n", "hello", 0},
        {"a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n", "01234567890123456789a", 0},
        {"5;x=y\r\nhello\r\n0;z\r\n\r\n", "hello", 0},
        {"1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\n", "\r\n", 0},
        {"2\r\nhi\r\n0\r\nx-amz-checksum-crc32: AAAAAA==\r\nY: z\r\n\r\nrest", "hi", 4},
    };
    char out[512];
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t len = strlen(rows[i].text);
        for (size_t step = 1; step <= len; step++) {
            size_t out_len, used;
            bool ended;
            assert_int_equal(decode(rows[i].text, len, step, out, &out_len, &used, &ended), 0);
            assert_true(ended);
            assert_str(str_of(out, out_len), rows[i].data);
            assert_int_equal(len - used, rows[i].left);
        }
    }
}

static void refused_bodies_in_every_split(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "+5\r\nhello\r\n",
        "0x5\r\nhello\r\n",
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "5\nhello\r\n",
        "5\r\rhello\r\n",
        "5\r\nhelloX\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\rX",
        "5;x\x01\r\nhello",
        "5;x\ny\r\nhello",
        ";x\r\n",
        "11111111111111111\r\n",
        "ffffffffffffffff\r\n",
        "8000000000000000\r\n",
        "0\r\nX: a\nY: b\r\n\r\n",
        "0\r\nX: a\x01\r\n\r\n",
        "0\r\n\rX",
        "0\r\nX: a\rb\r\n",
    };
    char out[512];
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t len = strlen(rows[i]);
        for (size_t step = 1; step <= len; step++) {
            size_t out_len, used;
            bool ended = false;
            if (decode(rows[i], len, step, out, &out_len, &used, &ended) != -EBADMSG)
                fail_msg("row %zu step %zu was taken", i, step);
        }
    }
}

static int decode_long(const char *start, char fill, size_t count)
{
    struct gw_chunked d = gw_chunked_make();
    char text[64];
    size_t len = strlen(start), used;
    memcpy(text, start, len);
    int rc = gw_chunked_decode(&d, text, &len, &used);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        len = 1;
        text[0] = fill;
        rc = gw_chunked_decode(&d, text, &len, &used);
    }
    return rc;
}

static void limits_hold(void **state)
{
    (void)state;
    assert_int_equal(decode_long("5;", 'x', LIMIT_CHUNK_LINE_BYTES - 3), 0);
    assert_int_equal(decode_long("5;", 'x', LIMIT_CHUNK_LINE_BYTES), -EMSGSIZE);
    assert_int_equal(decode_long("0\r\nX: ", 'x', LIMIT_TRAILER_BYTES - 10), 0);
    assert_int_equal(decode_long("0\r\nX: ", 'x', LIMIT_TRAILER_BYTES), -EMSGSIZE);
}

static void large_chunks_pass(void **state)
{
    (void)state;
    struct gw_chunked d = gw_chunked_make();
    char text[] = "7fffffffffffffff\r\nabc";
    size_t len = sizeof(text) - 1, used;
    assert_int_equal(gw_chunked_decode(&d, text, &len, &used), 0);
    assert_int_equal(len, 3);
    assert_true(d.left == (uint64_t)INT64_MAX - 3);
}

static void lines_are_hexadecimal(void **state)
{
    (void)state;
    char line[GW_CHUNKED_LINE_MAX];
    assert_str(gw_chunked_line(1, line), "1\r\n");
    assert_str(gw_chunked_line(65536, line), "10000\r\n");
    assert_str(gw_chunked_line(SIZE_MAX, line), "ffffffffffffffff\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_bodies_in_every_split),
        cmocka_unit_test(refused_bodies_in_every_split),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(large_chunks_pass),
        cmocka_unit_test(lines_are_hexadecimal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
