/* Bodies through exchanges: both directions, back-pressure, slow work, disconnects, and what is left afterwards: nothing. */
#include "gateway/exchange.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/metrics.h"
#include "tests/support/fake_s3.h"
#include "tests/support/gateway_rig.h"
#include "tests/support/unit.h"

#define H "Host: h\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" H "\r\n"

/* NULL, or what is wrong: threads cannot assert. */
static const char *pattern_trouble(struct str s, uint64_t size)
{
    if (s.len != size)
        return "wrong length";
    for (uint64_t i = 0; i < size; i++) {
        if (s.ptr[i] != fake_s3_pattern(i))
            return "wrong bytes";
    }
    return NULL;
}

static const char *try_get(int fd, const char *path, uint64_t size)
{
    char request[200];
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" H "\r\n", path);
    rig_send(fd, request);
    struct rig_answer a = rig_read_answer(fd, false);
    const char *trouble = a.status != 200 ? "wrong status" : !a.whole ? "cut" : pattern_trouble(buf_str(&a.body), size);
    rig_answer_done(&a);
    return trouble;
}

static void get_pattern(int fd, const char *path, uint64_t size)
{
    const char *trouble = try_get(fd, path, size);
    if (trouble)
        fail_msg("GET %s: %s", path, trouble);
}

static void bodies_of_every_kind_come_whole(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0, 1, 9999, 65535, 65536, 65537, 131072, 524288, 524289, 1048577, 20000003};
    struct rig_options o = {0};
    struct rig *r = rig_start(&o);
    int fd = rig_connect(r);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        static const char *const kinds[] = {"bytes", "stream", "file", "lent"};
        char path[100];
        for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
            snprintf(path, sizeof(path), "/%s?size=%llu", kinds[k], (unsigned long long)sizes[i]);
            get_pattern(fd, path, sizes[i]);
            snprintf(path, sizeof(path), "/%s?size=%llu&quick=1", kinds[k], (unsigned long long)sizes[i]);
            get_pattern(fd, path, sizes[i]);
        }
        snprintf(path, sizeof(path), "/stream?size=%llu&length=1", (unsigned long long)sizes[i]);
        get_pattern(fd, path, sizes[i]);
    }
    close(fd);
    rig_stop(r);
}

static const char *try_put(int fd, const char *query, uint64_t size, bool chunked)
{
    char head[200], expected[100];
    if (chunked)
        snprintf(head, sizeof(head), "PUT /sink%s HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n%llx\r\n", query,
                 (unsigned long long)size);
    else
        snprintf(head, sizeof(head), "PUT /sink%s HTTP/1.1\r\n" H "Content-Length: %llu\r\n\r\n", query,
                 (unsigned long long)size);
    rig_send(fd, head);
    if (!rig_send_pattern(fd, size))
        return "not taken";
    if (chunked)
        rig_send(fd, "\r\n0\r\n\r\n");
    struct rig_answer a = rig_read_answer(fd, false);
    snprintf(expected, sizeof(expected), "%llu %llu", (unsigned long long)size,
             (unsigned long long)fake_s3_checksum(size));
    const char *trouble = a.status == 0                            ? "no answer"
                          : a.status != 200                        ? "wrong status"
                          : !str_is(buf_str(&a.body), expected) ? "wrong bytes"
                                                                   : NULL;
    rig_answer_done(&a);
    return trouble;
}

static void put_pattern(int fd, const char *query, uint64_t size, bool chunked)
{
    const char *trouble = try_put(fd, query, size, chunked);
    if (trouble)
        fail_msg("PUT %s of %llu: %s", query, (unsigned long long)size, trouble);
}

static void uploads_arrive_whole(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 3000, 4096, 65536, 65537, 300000, 10000001};
    struct rig_options o = {0};
    struct rig *r = rig_start(&o);
    int fd = rig_connect(r);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        put_pattern(fd, "", sizes[i], false);
        put_pattern(fd, "", sizes[i], true);
    }
    put_pattern(fd, "?slow=1", 2000000, false);
    close(fd);
    rig_stop(r);
}

static int64_t chunk_bytes_used(void)
{
    struct buf text = buf_make(1 << 20);
    metrics_write(&text);
    ptrdiff_t at = str_find(buf_str(&text), STR("\nsluice_chunk_memory_used_bytes "));
    assert_true(at >= 0);
    int64_t value = atoll(text.ptr + at + 32);
    buf_done(&text);
    return value;
}

/* A disk that hangs: what is sent stays in the kernel and in the request's chunks, which go on together when the disk does. */
static void a_hanging_disk_holds_no_memory(void **state)
{
    (void)state;
    struct rig_options o = {.workers = 2};
    struct rig *r = rig_start(&o);
    fake_s3_gate(false);
    int fd = rig_connect(r), other = rig_connect(r);
    rig_send(fd, "PUT /sink HTTP/1.1\r\n" H "Content-Length: 50000000\r\n\r\n");
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    static char piece[1 << 20];
    for (int still = 0; still < 50;) {
        still = send(fd, piece, sizeof(piece), MSG_NOSIGNAL) > 0 ? 0 : still + 1;
        usleep(2000);
    }
    assert_true(chunk_bytes_used() <= LIMIT_CHUNKS_IN * CHUNK_SIZE);
    /* The loop and the other worker are free. */
    rig_expect(other, GET("/bytes?size=3"), 200, "aho");
    fake_s3_gate(true);
    while (fake_s3_fed_at_once() < LIMIT_CHUNKS_FED)
        usleep(1000);
    close(fd);
    close(other);
    rig_stop(r);
    assert_int_equal(fake_s3_fed_at_once(), LIMIT_CHUNKS_FED);
}

enum { SLOW_READERS = 20 };

static void start_slow_readers(struct rig *r, const char *request, int fds[SLOW_READERS])
{
    int small = 16 * 1024;
    for (size_t i = 0; i < SLOW_READERS; i++) {
        fds[i] = rig_connect(r);
        assert_int_equal(setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
        rig_send(fds[i], request);
    }
}

/* Readers that do not read: a few chunks each, however large the object. */
static void slow_readers_hold_little(void **state)
{
    (void)state;
    struct rig_options o = {.workers = 2};
    struct rig *r = rig_start(&o);
    int fds[SLOW_READERS];
    start_slow_readers(r, GET("/stream?size=100000000"), fds);
    usleep(300000);
    assert_true(chunk_bytes_used() <= (int64_t)ARRAY_SIZE(fds) * (LIMIT_CHUNKS_OUT + 1) * CHUNK_SIZE);
    int fast = rig_connect(r);
    get_pattern(fast, "/stream?size=1000000", 1000000);
    close(fast);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        close(fds[i]);
    rig_stop(r);
}

static uint64_t loans(void)
{
    return fake_s3_loans();
}

/* What is lent to readers that do not read: one piece each. It comes back when they go, and to the others meanwhile nothing is
 * missing. */
static void slow_readers_borrow_one_piece(void **state)
{
    (void)state;
    struct rig_options o = {.workers = 2};
    struct rig *r = rig_start(&o);
    int fds[SLOW_READERS];
    start_slow_readers(r, GET("/lent?size=100000000"), fds);
    assert_true(rig_reaches(loans, 1));
    int fast = rig_connect(r);
    get_pattern(fast, "/lent?size=10000000", 10000000);
    get_pattern(fast, "/lent?size=70000", 70000);
    close(fast);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        close(fds[i]);
    assert_true(rig_settles(r));
    assert_int_equal(fake_s3_loans(), 0);
    assert_int_equal(fake_s3_loans_peak(), 1);
    rig_stop(r);
}

/* An error before anything was sent is a status, later ones cut the reply. */
static void errors_of_lenders_are_told(void **state)
{
    (void)state;
    struct rig_options o = {0};
    struct rig *r = rig_start(&o);
    int fd = rig_connect(r);
    rig_expect(fd, GET("/lent?size=3000000&lost_at=1000"), 500, NULL);
    rig_send(fd, GET("/lent?size=9000000&lost_at=4000000"));
    struct rig_answer a = rig_read_answer(fd, false);
    assert_int_equal(a.status, 200);
    assert_false(a.whole);
    assert_in_range(a.body.len, 1300001, 4000000);
    for (size_t at = 0; at < a.body.len; at++)
        assert_true(a.body.ptr[at] == fake_s3_pattern(at));
    rig_answer_done(&a);
    close(fd);
    assert_true(rig_settles(r));
    assert_int_equal(fake_s3_loans(), 0);
    rig_stop(r);
}

struct client {
    struct rig *rig;
    bool upload;
    pthread_t thread;
    const char *trouble;
};

static void *client_main(void *arg)
{
    struct client *c = arg;
    int fd = rig_connect(c->rig);
    for (int i = 0; i < 2 && !c->trouble; i++)
        c->trouble = c->upload ? try_put(fd, "", 400000, i & 1) : try_get(fd, "/stream?size=400000", 400000);
    close(fd);
    return NULL;
}

/* More streams than chunks: all of them go on, none fails. */
static void an_empty_pool_only_slows(void **state)
{
    (void)state;
    struct rig_options o = {.memory = 1, .body_timeout_ms = 60000}; /* 64 chunks */
    struct rig *r = rig_start(&o);
    struct client clients[100];
    for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
        clients[i] = (struct client){.rig = r, .upload = i & 1};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, client_main, &clients[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
        assert_int_equal(pthread_join(clients[i].thread, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
        if (clients[i].trouble)
            fail_msg("client %zu: %s", i, clients[i].trouble);
    }
    rig_stop(r);
}

/* As many readers that do not read as there are chunks; the others still get through when those time out. */
static void stuck_readers_lose_their_chunks(void **state)
{
    (void)state;
    struct rig_options o = {.memory = 1, .body_timeout_ms = 700};
    struct rig *r = rig_start(&o);
    int fds[80];
    int small = 4096;
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = rig_connect(r);
        assert_int_equal(setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
        rig_send(fds[i], GET("/stream?size=100000000"));
    }
    int fast = rig_connect(r);
    get_pattern(fast, "/stream?size=3000000", 3000000);
    close(fast);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        close(fds[i]);
    rig_stop(r);
}

static uint64_t ops_begun(void)
{
    return fake_s3_begun();
}

static void overload_is_said_at_once(void **state)
{
    (void)state;
    struct rig_options o = {.workers = 1, .queue_max = 2};
    struct rig *r = rig_start(&o);
    int busy[4], fd = rig_connect(r);
    uint64_t before = fake_s3_begun();
    for (size_t i = 0; i < ARRAY_SIZE(busy); i++) {
        busy[i] = rig_connect(r);
        rig_send(busy[i], GET("/work?ms=400"));
        assert_true(i > 0 || rig_reaches(ops_begun, before + 1));
        usleep(20000);
    }
    rig_send(fd, GET("/bytes"));
    struct rig_answer a = rig_read_answer(fd, false);
    assert_int_equal(a.status, 503);
    assert_true(rig_has_header(&a, "Retry-After: 1"));
    assert_true(str_find(buf_str(&a.body), STR("SlowDown")) >= 0);
    rig_answer_done(&a);
    sleep(1);
    rig_expect(fd, GET("/bytes"), 200, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(busy); i++)
        close(busy[i]);
    close(fd);
    rig_stop(r);
}

/* What was promised and cannot be kept: the connection is cut, nothing is made up. */
static void broken_promises_cut_the_connection(void **state)
{
    (void)state;
    static const char *const requests[] = {
        GET("/file?size=100000&promise=200000"),      GET("/file?size=3000000&promise=4000000"),
        GET("/stream?size=100000&cut_at=50000"),      GET("/stream?size=100000&length=1&cut_at=90000"),
        GET("/stream?size=10000000&cut_at=9000000"),
    };
    struct rig_options o = {0};
    struct rig *r = rig_start(&o);
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        int fd = rig_connect(r);
        rig_send(fd, requests[i]);
        struct rig_answer a = rig_read_answer(fd, false);
        assert_false(a.whole);
        for (size_t at = 0; at < a.body.len; at++)
            assert_true(a.body.ptr[at] == fake_s3_pattern(at));
        rig_answer_done(&a);
        close(fd);
    }
    rig_stop(r);
}

static uint64_t ms_to_head(int fd, const char *request, struct rig_answer *out)
{
    uint64_t start_ms = clock_mono_ms();
    struct buf first = buf_make(16);
    char byte;
    rig_send(fd, request);
    assert_int_equal(recv(fd, &byte, 1, MSG_PEEK), 1);
    uint64_t ms = clock_mono_ms() - start_ms;
    *out = rig_read_answer(fd, false);
    buf_done(&first);
    return ms;
}

/* Signs of life come although the worker is stuck in one step; errors end up inside the body. */
static void slow_work_shows_signs_of_life(void **state)
{
    (void)state;
    struct rig_options o = {0};
    struct rig *r = rig_start(&o);
    int fd = rig_connect(r);
    struct rig_answer a;
    uint64_t ms = ms_to_head(fd, GET("/work?ms=1700&early"), &a);
    assert_true(ms >= 400 && ms < 900);
    assert_int_equal(a.status, 200);
    assert_true(a.whole);
    assert_true(rig_has_header(&a, "Transfer-Encoding: chunked"));
    assert_true(rig_has_header(&a, "X-Fake: yes"));
    assert_true(str_starts(buf_str(&a.body), STR("<?xml?>\n  ")));
    assert_true(str_ends(buf_str(&a.body), STR(" <Result/>")));
    rig_answer_done(&a);
    /* The same connection goes on; in steps; with an error. */
    ms = ms_to_head(fd, GET("/work?ms=100&steps=9&early&bad"), &a);
    assert_true(ms >= 400 && ms < 900);
    assert_int_equal(a.status, 200);
    assert_true(str_ends(buf_str(&a.body), STR(" <Error><Code>InternalError</Code></Error>")) ||
                str_ends(buf_str(&a.body), STR("\n<Error><Code>InternalError</Code></Error>")));
    rig_answer_done(&a);
    /* Quick work has an ordinary answer, and so have HTTP/1.0 clients. */
    ms_to_head(fd, GET("/work?ms=50&early&bad"), &a);
    assert_int_equal(a.status, 500);
    rig_answer_done(&a);
    ms_to_head(fd, "GET /work?ms=700&early HTTP/1.0\r\n\r\n", &a);
    assert_str(buf_str(&a.body), "<Result/>");
    rig_answer_done(&a);
    close(fd);
    rig_stop(r);
}

/* Clients that vanish at every point: every op is ended, all memory comes back (rig_stop checks). */
static void clients_may_vanish_any_time(void **state)
{
    (void)state;
    static const char *const requests[] = {
        GET("/stream?size=3000000"),
        GET("/file?size=3000000"),
        GET("/lent?size=5000000"),
        GET("/lent?size=100000"),
        GET("/work?ms=30&early"),
        GET("/bytes?size=2000000"),
        "PUT /sink HTTP/1.1\r\n" H "Content-Length: 100000\r\n\r\nabc",
        "PUT /sink?slow HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nhe",
        "PUT /sink HTTP/1.1\r\n" H "Content-Length: 10\r\nExpect: 100-continue\r\n\r\n",
        "GET /unfinished HTTP/1.1\r\n",
    };
    struct rig_options o = {.workers = 2};
    struct rig *r = rig_start(&o);
    for (int round = 0; round < 40; round++) {
        for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
            int fd = rig_connect(r);
            struct linger reset = {1, 0};
            rig_send(fd, requests[i]);
            usleep((unsigned)(round * round * 3));
            if (round & 1)
                setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
            close(fd);
        }
    }
    assert_true(rig_settles(r));
    assert_int_equal(fake_s3_loans(), 0);
    int fd = rig_connect(r);
    rig_expect(fd, GET("/bytes?size=3"), 200, "aho");
    close(fd);
    rig_stop(r);
}

/* Stopping in the middle of everything. */
static void cutting_leaves_nothing(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct rig_options o = {.workers = 2};
        struct rig *r = rig_start(&o);
        int fds[12];
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
            fds[i] = rig_connect(r);
            rig_send(fds[i], i % 4 == 0   ? GET("/stream?size=30000000")
                             : i % 4 == 1 ? GET("/file?size=20000000")
                             : i % 4 == 2 ? GET("/lent?size=20000000")
                                          : "PUT /sink?slow HTTP/1.1\r\n" H "Content-Length: 1000\r\n\r\nx");
        }
        usleep((unsigned)round * 5000);
        rig_stop(r);
        assert_int_equal(fake_s3_loans(), 0);
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
            close(fds[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_of_every_kind_come_whole),
        cmocka_unit_test(uploads_arrive_whole),
        cmocka_unit_test(a_hanging_disk_holds_no_memory),
        cmocka_unit_test(slow_readers_hold_little),
        cmocka_unit_test(slow_readers_borrow_one_piece),
        cmocka_unit_test(errors_of_lenders_are_told),
        cmocka_unit_test(an_empty_pool_only_slows),
        cmocka_unit_test(stuck_readers_lose_their_chunks),
        cmocka_unit_test(overload_is_said_at_once),
        cmocka_unit_test(broken_promises_cut_the_connection),
        cmocka_unit_test(slow_work_shows_signs_of_life),
        cmocka_unit_test(clients_may_vanish_any_time),
        cmocka_unit_test(cutting_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
