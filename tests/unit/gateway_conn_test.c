/* Connections over real sockets: framing, order, expectations, ends. */
#include "gateway/conn.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/fake_s3.h"
#include "tests/support/gateway_rig.h"
#include "tests/support/unit.h"

#define H "Host: h\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" H "\r\n"

static struct rig *rig;

static int start(void **state)
{
    (void)state;
    struct rig_options o = {.head_timeout_ms = 700, .idle_timeout_ms = 1200, .body_timeout_ms = 800};
    rig = rig_start(&o);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    rig_stop(rig);
    return 0;
}

static void requests_follow_each_other(void **state)
{
    (void)state;
    int fd = rig_connect(rig);
    rig_expect(fd, GET("/bytes?size=5"), 200, "ahovc");
    rig_expect(fd, "PUT /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello", 200, "hello");
    rig_expect(fd, "PUT /echo HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", 200, "");
    rig_expect(fd, "PUT /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, "abc");
    rig_expect(fd, GET("/none"), 204, "");
    rig_expect(fd, "HEAD /bytes?size=5 HTTP/1.1\r\n" H "\r\n", 200, "");
    rig_expect(fd, "HEAD /file?size=100000 HTTP/1.1\r\n" H "\r\n", 200, "");
    rig_expect(fd, "HEAD /stream?size=5 HTTP/1.1\r\n" H "\r\n", 200, "");
    rig_expect(fd, GET("/stream?size=5"), 200, "ahovc");
    rig_expect(fd, GET("/file?size=5"), 200, "ahovc");
    rig_expect(fd, GET("/nothing"), 404, NULL);
    rig_expect(fd, GET("/health"), 200, "well");
    rig_expect(fd, GET("/bytes?size=5"), 200, "ahovc");
    close(fd);
}

static void heads_have_what_clients_need(void **state)
{
    (void)state;
    int fd = rig_connect(rig);
    rig_send(fd, "HEAD /file?size=100000 HTTP/1.1\r\n" H "\r\n");
    struct rig_answer a = rig_read_answer(fd, true);
    assert_true(rig_has_header(&a, "Content-Length: 100000"));
    assert_true(rig_has_header(&a, "Server: sluice"));
    assert_true(rig_has_header(&a, "X-Fake: yes"));
    assert_true(rig_has_header(&a, "x-amz-id-2: rig"));
    char date[CLOCK_TEXT_MAX], line[64];
    int64_t now = clock_wall_s();
    snprintf(line, sizeof(line), "Date: %.*s", STR_ARG(clock_format_http(now, date)));
    bool dated = rig_has_header(&a, line);
    snprintf(line, sizeof(line), "Date: %.*s", STR_ARG(clock_format_http(now - 1, date)));
    assert_true(dated || rig_has_header(&a, line));
    rig_answer_done(&a);
    rig_send(fd, "BAD\r\n\r\n");
    a = rig_read_answer(fd, false);
    assert_int_equal(a.status, 400);
    assert_true(rig_has_header(&a, "Connection: close"));
    assert_true(str_find(buf_str(&a.head), STR("\r\nx-amz-request-id: ")) >= 0);
    assert_true(str_find(buf_str(&a.head), STR("\r\nDate: ")) >= 0);
    assert_true(str_find(buf_str(&a.body), STR("<Code>BadRequest</Code>")) >= 0);
    rig_answer_done(&a);
    assert_true(rig_is_closed(fd));
    close(fd);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    static const char requests[] = GET("/stream?size=3") "PUT /echo HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi" GET(
        "/work?ms=20") "PUT /echo HTTP/1.1\r\n" H
                       "Transfer-Encoding: chunked\r\n\r\n2\r\nyo\r\n0\r\n\r\n" GET("/health") GET("/file?size=4");
    static const char *const bodies[] = {"aho", "hi", "<Result/>", "yo", "well", "ahov"};
    for (size_t step = 1; step < sizeof(requests); step += step < 8 ? 1 : 50) {
        int fd = rig_connect(rig);
        for (size_t at = 0; at < sizeof(requests) - 1; at += step) {
            size_t len = sizeof(requests) - 1 - at < step ? sizeof(requests) - 1 - at : step;
            assert_int_equal(send(fd, requests + at, len, MSG_NOSIGNAL), (ssize_t)len);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
            struct rig_answer a = rig_read_answer(fd, false);
            assert_str(buf_str(&a.body), bodies[i]);
            rig_answer_done(&a);
        }
        close(fd);
    }
}

static void old_and_closing_clients_are_left(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        bool closes;
    } rows[] = {
        {"GET /bytes HTTP/1.0\r\n\r\n", true},
        {"GET /stream?size=10 HTTP/1.0\r\n\r\n", true},
        {"GET /bytes HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false},
        {"GET /stream?size=10&length=1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false},
        {"GET /stream?size=10 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true},
        {"GET /bytes HTTP/1.1\r\n" H "Connection: close\r\n\r\n", true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int fd = rig_connect(rig);
        rig_send(fd, rows[i].request);
        struct rig_answer a = rig_read_answer(fd, false);
        assert_str(buf_str(&a.body), "ahovcjqxel");
        assert_int_equal(rig_has_header(&a, "Connection: close"), rows[i].closes);
        rig_answer_done(&a);
        if (rows[i].closes)
            assert_true(rig_is_closed(fd));
        else
            rig_expect(fd, GET("/none"), 204, "");
        close(fd);
    }
}

/* Expectations: 100 only when the body is wanted, the final answer at once when it is not. */
static void expectations_are_met_or_not(void **state)
{
    (void)state;
    int fd = rig_connect(rig);
    rig_expect(fd, "PUT /echo HTTP/1.1\r\n" H "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", 100, NULL);
    rig_expect(fd, "hello", 200, "hello");
    rig_expect(fd, "PUT /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n", 100, NULL);
    rig_expect(fd, "5\r\nhello\r\n0\r\n\r\n", 200, "hello");
    /* The body comes without waiting: no 100. */
    rig_expect(fd, "PUT /echo HTTP/1.1\r\n" H "Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello", 200, "hello");
    /* An empty body needs no leave, but botocore takes a final answer without it for the next request's too. */
    rig_expect(fd, "PUT /echo HTTP/1.1\r\n" H "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n", 100, NULL);
    rig_expect(fd, "", 200, "");
    rig_expect(fd, "PUT /nothing HTTP/1.1\r\n" H "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n", 404, NULL);
    assert_true(rig_is_closed(fd));
    close(fd);
    fd = rig_connect(rig);
    /* Refused: the final answer, and no body is read. */
    rig_expect(fd, "PUT /refuse HTTP/1.1\r\n" H "Content-Length: 5000000\r\nExpect: 100-continue\r\n\r\n", 403, NULL);
    assert_true(rig_is_closed(fd));
    close(fd);
    fd = rig_connect(rig);
    rig_expect(fd, "PUT /echo HTTP/1.1\r\n" H "Content-Length: 5\r\nExpect: bananas\r\n\r\nhello", 200, "hello");
    rig_expect(fd, "PUT /echo HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello", 200, "hello");
    close(fd);
}

/* A client that sends all before it reads still gets the answer, whatever the size. */
static void refusals_reach_clients_that_send_on(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        uint64_t size;
        bool closes;
    } rows[] = {
        {"/refuse", 10, false},           {"/refuse", 1000, false},      {"/refuse", 900000, false},
        {"/refuse", 2000000, true},       {"/refuse-close", 1000, true}, {"/sink?fail_after=0", 900000, false},
        {"/sink?fail_after=0", 3000000, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char head[200];
        int fd = rig_connect(rig);
        snprintf(head, sizeof(head), "PUT %s HTTP/1.1\r\n" H "Content-Length: %llu\r\n\r\n", rows[i].path,
                 (unsigned long long)rows[i].size);
        rig_send(fd, head);
        (void)rig_send_pattern(fd, rows[i].size);
        struct rig_answer a = rig_read_answer(fd, false);
        if (a.status < 400 || !a.whole)
            fail_msg("row %zu: status %d", i, a.status);
        rig_answer_done(&a);
        if (rows[i].closes)
            assert_true(rig_is_closed(fd));
        else
            rig_expect(fd, GET("/none"), 204, "");
        close(fd);
    }
}

static void a_refused_chunked_body_is_dropped(void **state)
{
    (void)state;
    int fd = rig_connect(rig);
    rig_expect(fd, "PUT /refuse HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 403, NULL);
    rig_expect(fd, GET("/none"), 204, "");
    rig_expect(fd, "PUT /refuse HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5\r\nhel", 403, NULL);
    rig_expect(fd, "lo\r\n0\r\n\r\n" GET("/none"), 204, "");
    /* Not dropped in time: closed. */
    rig_expect(fd, "PUT /refuse HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhel", 403, NULL);
    assert_true(rig_is_closed(fd));
    close(fd);
}

static void broken_bodies_are_refused(void **state)
{
    (void)state;
    int fd = rig_connect(rig);
    rig_expect(fd, "PUT /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX", 400, NULL);
    assert_true(rig_is_closed(fd));
    close(fd);
    fd = rig_connect(rig);
    rig_send(fd, "PUT /echo HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nhello");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    struct rig_answer a = rig_read_answer(fd, false);
    assert_int_equal(a.status, 400);
    assert_true(str_find(buf_str(&a.body), STR("IncompleteBody")) >= 0);
    rig_answer_done(&a);
    assert_true(rig_is_closed(fd));
    close(fd);
}

/* A client that has said all may close its side and wait. */
static void half_closed_clients_are_answered(void **state)
{
    (void)state;
    int fd = rig_connect(rig);
    rig_send(fd, GET("/work?ms=50"));
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    struct rig_answer a = rig_read_answer(fd, false);
    assert_int_equal(a.status, 200);
    assert_str(buf_str(&a.body), "<Result/>");
    rig_answer_done(&a);
    assert_true(rig_is_closed(fd));
    close(fd);
}

static void slow_clients_are_told(void **state)
{
    (void)state;
    /* A head that never ends. */
    int fd = rig_connect(rig);
    rig_expect(fd, "GET / HTTP/1.1\r\nHost:", 400, NULL);
    assert_true(rig_is_closed(fd));
    close(fd);
    /* A head byte by byte does not buy time. */
    fd = rig_connect(rig);
    rig_send(fd, "GET / HTTP/1.1\r\nX: ");
    bool closed = false;
    for (int i = 0; i < 40 && !closed; i++) {
        char byte;
        usleep(50000);
        (void)send(fd, "a", 1, MSG_NOSIGNAL);
        closed = recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 1;
    }
    assert_true(closed);
    close(fd);
    /* A body that stops. */
    fd = rig_connect(rig);
    rig_send(fd, "PUT /echo HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nhello");
    struct rig_answer a = rig_read_answer(fd, false);
    assert_int_equal(a.status, 400);
    assert_true(str_find(buf_str(&a.body), STR("RequestTimeout")) >= 0);
    rig_answer_done(&a);
    close(fd);
    /* Nothing at all: closed without a word. */
    fd = rig_connect(rig);
    assert_true(rig_is_closed(fd));
    close(fd);
    /* Idle after a request. */
    fd = rig_connect(rig);
    rig_expect(fd, GET("/none"), 204, "");
    assert_true(rig_is_closed(fd));
    close(fd);
}

/* A body that trickles is fine, as long as it moves. */
static void patient_clients_are_served(void **state)
{
    (void)state;
    int fd = rig_connect(rig);
    rig_send(fd, "PUT /echo HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\n");
    for (int i = 0; i < 10; i++) {
        usleep(150000);
        rig_send(fd, "x");
    }
    struct rig_answer a = rig_read_answer(fd, false);
    assert_str(buf_str(&a.body), "xxxxxxxxxx");
    rig_answer_done(&a);
    close(fd);
}

static void large_heads_are_read_and_larger_ones_refused(void **state)
{
    (void)state;
    static char text[100000];
    int fd = rig_connect(rig);
    size_t len = (size_t)sprintf(text, "GET /bytes?size=3 HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < 100; i++) {
        len += (size_t)sprintf(text + len, "X-%d: ", i);
        memset(text + len, 'v', 500);
        len += 500;
        len += (size_t)sprintf(text + len, "\r\n");
    }
    strcpy(text + len, "\r\n");
    rig_expect(fd, text, 200, "aho");
    rig_expect(fd, text, 200, "aho");
    close(fd);
    fd = rig_connect(rig);
    len = (size_t)sprintf(text, "GET /bytes?size=3 HTTP/1.1\r\nHost: h\r\nX: ");
    memset(text + len, 'v', 70000);
    strcpy(text + len + 70000, "\r\n\r\n");
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL);
    struct rig_answer a = rig_read_answer(fd, false);
    assert_int_equal(a.status, 431);
    rig_answer_done(&a);
    close(fd);
    fd = rig_connect(rig);
    memset(text, 'v', 20000);
    memcpy(text, "GET /", 5);
    text[20000] = '\0';
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL);
    a = rig_read_answer(fd, false);
    assert_int_equal(a.status, 414);
    rig_answer_done(&a);
    close(fd);
}

static void draining_closes_after_the_answer(void **state)
{
    (void)state;
    struct rig_options o = {0};
    struct rig *r = rig_start(&o);
    int idle = rig_connect(r), busy = rig_connect(r), sending = rig_connect(r);
    rig_expect(idle, GET("/none"), 204, "");
    rig_send(busy, GET("/work?ms=300"));
    rig_send(sending, "PUT /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhel");
    usleep(100000);
    rig_drain(r);
    assert_true(rig_is_closed(idle));
    struct rig_answer a = rig_read_answer(busy, false);
    assert_int_equal(a.status, 200);
    assert_true(rig_has_header(&a, "Connection: close"));
    rig_answer_done(&a);
    assert_true(rig_is_closed(busy));
    rig_send(sending, "lo");
    a = rig_read_answer(sending, false);
    assert_str(buf_str(&a.body), "hello");
    assert_true(rig_has_header(&a, "Connection: close"));
    rig_answer_done(&a);
    assert_true(rig_is_closed(sending));
    for (int i = 0; i < 1000 && rig_connections(r) > 0; i++)
        usleep(1000);
    assert_int_equal(rig_connections(r), 0);
    close(idle);
    close(busy);
    close(sending);
    rig_stop(r);
}

/* At the limit of connections the idle ones make room. */
static void idle_connections_make_room(void **state)
{
    (void)state;
    struct rig_options o = {.connections_max = 4};
    struct rig *r = rig_start(&o);
    int fds[40];
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = rig_connect(r);
        rig_expect(fds[i], GET("/none"), 204, "");
        assert_true(rig_connections(r) <= 4);
    }
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        close(fds[i]);
    rig_stop(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_follow_each_other),
        cmocka_unit_test(heads_have_what_clients_need),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(old_and_closing_clients_are_left),
        cmocka_unit_test(expectations_are_met_or_not),
        cmocka_unit_test(refusals_reach_clients_that_send_on),
        cmocka_unit_test(a_refused_chunked_body_is_dropped),
        cmocka_unit_test(broken_bodies_are_refused),
        cmocka_unit_test(half_closed_clients_are_answered),
        cmocka_unit_test(slow_clients_are_told),
        cmocka_unit_test(patient_clients_are_served),
        cmocka_unit_test(large_heads_are_read_and_larger_ones_refused),
        cmocka_unit_test(draining_closes_after_the_answer),
        cmocka_unit_test(idle_connections_make_room),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
