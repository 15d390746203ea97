#include "gateway/http_parse.h"

#include "tests/support/unit.h"

static struct gw_parsed parsed;

static enum gw_parse_result parse(const char *text, size_t len, enum gw_fault *fault)
{
    *fault = GW_FAULT_NONE;
    return gw_http_parse(text, len, 0, &parsed, fault);
}

#define H "Host: h\r\n"

/* Good heads, and what they mean. */
static void good_heads(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *method, *target;
        bool keep_alive, chunked, expect;
        int64_t length;
    } rows[] = {
        {"GET / HTTP/1.1\r\n" H "\r\n", "GET", "/", true, false, false, -1},
        {"\r\nGET / HTTP/1.1\r\n" H "\r\n", "GET", "/", true, false, false, -1},
        {"GET /a%2Fb?x=1&y HTTP/1.1\r\n" H "\r\n", "GET", "/a%2Fb?x=1&y", true, false, false, -1},
        {"GET / HTTP/1.0\r\n\r\n", "GET", "/", false, false, false, -1},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET", "/", true, false, false, -1},
        {"GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", "GET", "/", false, false, false, -1},
        {"GET / HTTP/1.1\r\n" H "Connection: x, Close\r\n\r\n", "GET", "/", false, false, false, -1},
        {"GET / HTTP/1.1\r\n" H "Connection: keep-alive\r\nConnection: close\r\n\r\n", "GET", "/", false, false, false, -1},
        {"PUT /b/k HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", "PUT", "/b/k", true, false, false, 0},
        {"PUT /b/k HTTP/1.1\r\n" H "content-length:  12 \r\n\r\n", "PUT", "/b/k", true, false, false, 12},
        {"PUT /b/k HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n", "PUT", "/b/k", true, true, false, -1},
        {"PUT /b/k HTTP/1.1\r\n" H "Content-Length: 5\r\nExpect: 100-Continue\r\n\r\n", "PUT", "/b/k", true, false, true, 5},
        {"PUT /b/k HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", "PUT", "/b/k", false, false, false, 5},
        {"GET http://h/x?y HTTP/1.1\r\n" H "\r\n", "GET", "/x?y", true, false, false, -1},
        {"OPTIONS * HTTP/1.1\r\n" H "\r\n", "OPTIONS", "*", true, false, false, -1},
        {"GET / HTTP/1.1\r\nHost: [::1]:9000\r\n\r\n", "GET", "/", true, false, false, -1},
        {"GET /\xc3\xa4 HTTP/1.1\r\n" H "X: \xc3\xa4\ty\r\nEmpty:\r\n\r\n", "GET", "/\xc3\xa4", true, false, false, -1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        enum gw_fault fault;
        if (parse(rows[i].text, strlen(rows[i].text), &fault) != GW_PARSE_DONE)
            fail_msg("row %zu: fault %d", i, (int)fault);
        assert_int_equal(parsed.size, strlen(rows[i].text));
        assert_str(parsed.head.method, rows[i].method);
        assert_str(parsed.head.target, rows[i].target);
        assert_int_equal(parsed.keep_alive, rows[i].keep_alive);
        assert_int_equal(parsed.chunked, rows[i].chunked);
        assert_int_equal(parsed.expect_continue, rows[i].expect);
        assert_int_equal(parsed.content_length, rows[i].length);
    }
}

/* The shapes by which requests are smuggled, and plain nonsense. */
static void refused_heads(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum gw_fault fault;
    } rows[] = {
        {"GET / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", GW_FAULT_FRAMING},
        {"GET / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", GW_FAULT_LENGTH},
        {"GET / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", GW_FAULT_LENGTH},
        {"GET / HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\n", GW_FAULT_LENGTH},
        {"GET / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\n", GW_FAULT_LENGTH},
        {"GET / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", GW_FAULT_LENGTH},
        {"GET / HTTP/1.1\r\n" H "Content-Length: 0x1\r\n\r\n", GW_FAULT_LENGTH},
        {"GET / HTTP/1.1\r\n" H "Content-Length: 1 2\r\n\r\n", GW_FAULT_LENGTH},
        {"GET / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", GW_FAULT_LENGTH},
        {"GET / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n", GW_FAULT_LENGTH},
        {"GET / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999999\r\n\r\n", GW_FAULT_LENGTH},
        {"GET / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n", GW_FAULT_CODING},
        {"GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n", GW_FAULT_CODING},
        {"GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", GW_FAULT_CODING},
        {"GET / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n", GW_FAULT_CODING},
        {"GET / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n", GW_FAULT_CODING},
        {"GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked;q=1\r\n\r\n", GW_FAULT_CODING},
        {"GET / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n", GW_FAULT_CODING},
        {"GET / HTTP/1.1\r\n" H "Transfer-Encoding:\x0b" "chunked\r\n\r\n", GW_FAULT_SYNTAX},
        {"GET / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n", GW_FAULT_CODING},
        {"GET / HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n", GW_FAULT_SYNTAX},
        {"GET / HTTP/1.1\r\n" H "Content-Length : 1\r\n\r\n", GW_FAULT_SYNTAX},
        {"GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n", GW_FAULT_HEADER_FOLD},
        {"GET / HTTP/1.1\r\n" H "X: a\r\n\tTransfer-Encoding: chunked\r\n\r\n", GW_FAULT_HEADER_FOLD},
        {"GET / HTTP/1.1\r\n X: a\r\n" H "\r\n", GW_FAULT_SYNTAX},
        {"GET / HTTP/1.1\n" H "\r\n", GW_FAULT_LINE_END},
        {"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", GW_FAULT_LINE_END},
        {"GET / HTTP/1.1\r\n" H "X: y\r\n\n", GW_FAULT_LINE_END},
        {"\nGET / HTTP/1.1\r\n" H "\r\n", GW_FAULT_LINE_END},
        {"GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n", GW_FAULT_SYNTAX},
        {"GET / HTTP/1.1\r\n" H "X: a\x01" "b\r\n\r\n", GW_FAULT_SYNTAX},
        {"GET / HTTP/1.1\r\n" H "X: a\x7f\r\n\r\n", GW_FAULT_SYNTAX},
        {"GET / HTTP/1.1\r\n" H ": v\r\n\r\n", GW_FAULT_SYNTAX},
        {"GET / HTTP/1.1\r\n" H "X y: v\r\n\r\n", GW_FAULT_SYNTAX},
        {"GET / HTTP/1.1\r\n" H "X\xc3: v\r\n\r\n", GW_FAULT_SYNTAX},
        {"GET / HTTP/1.1\r\n" H "NoColon\r\n\r\n", GW_FAULT_SYNTAX},
        {"GET / HTTP/1.1\r\n\r\n", GW_FAULT_HOST},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", GW_FAULT_HOST},
        {"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", GW_FAULT_HOST},
        {"GET / HTTP/1.1\r\nHost:\r\n\r\n", GW_FAULT_HOST},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", GW_FAULT_HOST},
        {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", GW_FAULT_HOST},
        {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", GW_FAULT_HOST},
        {"GET http://other/ HTTP/1.1\r\n" H "\r\n", GW_FAULT_TARGET},
        {"GET x HTTP/1.1\r\n" H "\r\n", GW_FAULT_TARGET},
        {"GET /a#b HTTP/1.1\r\n" H "\r\n", GW_FAULT_TARGET},
        {"GET * HTTP/1.1\r\n" H "\r\n", GW_FAULT_TARGET},
        {"CONNECT h:443 HTTP/1.1\r\n" H "\r\n", GW_FAULT_TARGET},
        {"G(T / HTTP/1.1\r\n" H "\r\n", GW_FAULT_METHOD},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n" H "\r\n", GW_FAULT_METHOD},
        {"GET  / HTTP/1.1\r\n" H "\r\n", GW_FAULT_SYNTAX},
        {"GET /  HTTP/1.1\r\n" H "\r\n", GW_FAULT_SYNTAX},
        {"GET /a b HTTP/1.1\r\n" H "\r\n", GW_FAULT_SYNTAX},
        {"GET /\r\n\r\n", GW_FAULT_SYNTAX},
        {"GET / HTTP/2.0\r\n" H "\r\n", GW_FAULT_VERSION},
        {"GET / HTTP/0.9\r\n" H "\r\n", GW_FAULT_VERSION},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", GW_FAULT_VERSION},
        {"GET / FTP/1.1\r\n" H "\r\n", GW_FAULT_SYNTAX},
        {"\x16\x03\x01\x02\x01\r\n\r\n", GW_FAULT_SYNTAX},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        enum gw_fault fault;
        enum gw_parse_result result = parse(rows[i].text, strlen(rows[i].text), &fault);
        if (result != GW_PARSE_FAULT || fault != rows[i].fault)
            fail_msg("row %zu (%s): result %d fault %d, expected %d", i, rows[i].text, (int)result, (int)fault,
                     (int)rows[i].fault);
    }
}

static void nul_bytes_are_refused(void **state)
{
    (void)state;
    static const char in_value[] = "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n";
    static const char in_target[] = "GET /a\0b HTTP/1.1\r\nHost: h\r\n\r\n";
    enum gw_fault fault;
    assert_int_equal(parse(in_value, sizeof(in_value) - 1, &fault), GW_PARSE_FAULT);
    assert_int_equal(parse(in_target, sizeof(in_target) - 1, &fault), GW_PARSE_FAULT);
}

static void any_split_gives_the_same(void **state)
{
    (void)state;
    static const char text[] = "PUT /bucket/key?partNumber=1 HTTP/1.1\r\nHost: example.com:9000\r\nContent-Length: 10\r\n"
                               "X-Amz-Date: 20260101T000000Z\r\n\r\n0123456789";
    size_t head = strlen(text) - 10;
    for (size_t step = 1; step <= head; step++) {
        size_t seen = 0;
        for (size_t len = step;; len += step) {
            if (len > sizeof(text) - 1)
                len = sizeof(text) - 1;
            enum gw_fault fault;
            enum gw_parse_result result = gw_http_parse(text, len, seen, &parsed, &fault);
            if (result == GW_PARSE_DONE)
                break;
            assert_int_equal(result, GW_PARSE_MORE);
            assert_true(len < head);
            seen = len;
        }
        assert_int_equal(parsed.size, head);
        assert_int_equal(parsed.content_length, 10);
    }
}

static void limits_hold(void **state)
{
    (void)state;
    static char text[2 * LIMIT_HEAD_BYTES];
    enum gw_fault fault;
    /* A target without end. */
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET /", 5);
    assert_int_equal(parse(text, 1000, &fault), GW_PARSE_MORE);
    assert_int_equal(parse(text, LIMIT_TARGET_BYTES + 100, &fault), GW_PARSE_FAULT);
    assert_int_equal(fault, GW_FAULT_TARGET_TOO_LONG);
    /* A target just over the limit, complete. */
    static const char end[] = " HTTP/1.1\r\nHost: h\r\n\r\n";
    memcpy(text + 5 + LIMIT_TARGET_BYTES, end, sizeof(end) - 1);
    assert_int_equal(parse(text, 5 + LIMIT_TARGET_BYTES + sizeof(end) - 1, &fault), GW_PARSE_FAULT);
    assert_int_equal(fault, GW_FAULT_TARGET_TOO_LONG);
    /* A header without end. */
    static const char start[] = "GET / HTTP/1.1\r\nHost: h\r\nX: ";
    memset(text, 'a', sizeof(text));
    memcpy(text, start, sizeof(start) - 1);
    assert_int_equal(parse(text, LIMIT_HEAD_BYTES - 1, &fault), GW_PARSE_MORE);
    assert_int_equal(parse(text, LIMIT_HEAD_BYTES, &fault), GW_PARSE_FAULT);
    assert_int_equal(fault, GW_FAULT_HEAD_TOO_LARGE);
    /* Too many headers. */
    size_t len = (size_t)sprintf(text, "GET / HTTP/1.1\r\nHost: h\r\n");
    for (int i = 1; i < LIMIT_HEADER_COUNT; i++)
        len += (size_t)sprintf(text + len, "X: y\r\n");
    size_t full = len + (size_t)sprintf(text + len, "\r\n");
    assert_int_equal(parse(text, full, &fault), GW_PARSE_DONE);
    full = len + (size_t)sprintf(text + len, "X: y\r\n\r\n");
    assert_int_equal(parse(text, full, &fault), GW_PARSE_FAULT);
    assert_int_equal(fault, GW_FAULT_HEAD_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_heads),      cmocka_unit_test(refused_heads), cmocka_unit_test(nul_bytes_are_refused),
        cmocka_unit_test(any_split_gives_the_same), cmocka_unit_test(limits_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
