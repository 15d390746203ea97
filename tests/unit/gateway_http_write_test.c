#include "gateway/http_write.h"

#include "gateway/http_error.h"
#include "tests/support/unit.h"

static void heads_are_written(void **state)
{
    (void)state;
    static const char date[] = "Sun, 06 Nov 1994 08:49:37 GMT";
    static const struct {
        struct gw_head_line line;
        const char *text;
    } rows[] = {
        {{.status = 200, .minor_version = 1, .keep_alive = true, .framing = GW_FRAMING_LENGTH, .length = 5},
         "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: sluice\r\nContent-Length: 5\r\n"},
        {{.status = 206, .minor_version = 1, .keep_alive = true, .framing = GW_FRAMING_CHUNKED},
         "HTTP/1.1 206 Partial Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: sluice\r\n"
         "Transfer-Encoding: chunked\r\n"},
        {{.status = 200, .minor_version = 0, .framing = GW_FRAMING_CLOSE},
         "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: sluice\r\nConnection: close\r\n"},
        {{.status = 204, .minor_version = 0, .keep_alive = true, .framing = GW_FRAMING_NONE},
         "HTTP/1.1 204 No Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: sluice\r\n"
         "Connection: keep-alive\r\n"},
        {{.status = 200, .minor_version = 1, .keep_alive = true, .framing = GW_FRAMING_LENGTH, .length = UINT64_MAX},
         "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: sluice\r\n"
         "Content-Length: 18446744073709551615\r\n"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char out[GW_HEAD_LINE_MAX];
        struct gw_head_line line = rows[i].line;
        line.date = STR(date);
        assert_str(str_of(out, gw_head_write(&line, out)), rows[i].text);
    }
}

static void header_values_cannot_split_the_head(void **state)
{
    (void)state;
    struct buf out = buf_make(1024);
    gw_header_write(&out, STR("X-A"), STR("b\r\nSet-Cookie: c\0d\x7f"));
    assert_int_equal(out.len, gw_header_size(STR("X-A"), STR("b\r\nSet-Cookie: c\0d\x7f")));
    assert_str(buf_str(&out), "X-A: b  Set-Cookie: c d \r\n");
    buf_done(&out);
}

static void faults_are_documents(void **state)
{
    (void)state;
    for (enum gw_fault f = GW_FAULT_NONE + 1; f < GW_FAULT_COUNT; f++) {
        assert_true(gw_fault_row(f)->status >= 400);
        assert_non_null(gw_fault_row(f)->code);
        assert_non_null(gw_fault_row(f)->message);
    }
    struct buf out = buf_make(4096);
    gw_fault_document(GW_FAULT_BUSY, STR("R"), STR("H"), &out);
    assert_str(buf_str(&out), "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SlowDown</Code><Message>Please "
                              "reduce your request rate.</Message><RequestId>R</RequestId><HostId>H</HostId></Error>");
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_are_written),
        cmocka_unit_test(header_values_cannot_split_the_head),
        cmocka_unit_test(faults_are_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
