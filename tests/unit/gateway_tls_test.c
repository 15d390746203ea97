/* TLS connections against OpenSSL's own client. */
#include "gateway/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/fake_s3.h"
#include "tests/support/gateway_rig.h"
#include "tests/support/unit.h"

#define H "Host: h\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" H "\r\n"

static char folder[] = "/tmp/sluice-tls-XXXXXX";
static char cert[64], key[64];
static struct rig *rig;
static SSL_CTX *ctx;

static void make_certificate(const char *name)
{
    char line[512];
    snprintf(line, sizeof(line),
             "cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 7 -subj /CN=%s "
             "-keyout key.new -out cert.new 2>/dev/null && mv key.new key.pem && mv cert.new cert.pem",
             folder, name);
    assert_int_equal(system(line), 0);
}

static int start(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(cert, sizeof(cert), "%s/cert.pem", folder);
    snprintf(key, sizeof(key), "%s/key.pem", folder);
    make_certificate("first");
    struct rig_options o = {.tls_cert = cert, .tls_key = key, .head_timeout_ms = 1000};
    rig = rig_start(&o);
    ctx = SSL_CTX_new(TLS_client_method());
    assert_non_null(ctx);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    char line[128];
    rig_stop(rig);
    SSL_CTX_free(ctx);
    snprintf(line, sizeof(line), "rm -rf %s", folder);
    return system(line);
}

static SSL *connect_tls(int *out_fd)
{
    SSL *ssl = SSL_new(ctx);
    *out_fd = rig_connect(rig);
    assert_int_equal(SSL_set_fd(ssl, *out_fd), 1);
    assert_int_equal(SSL_connect(ssl), 1);
    return ssl;
}

static void close_tls(SSL *ssl, int fd)
{
    SSL_free(ssl);
    close(fd);
}

static bool write_tls(SSL *ssl, const char *bytes, size_t len)
{
    size_t put;
    return len == 0 || (SSL_write_ex(ssl, bytes, len, &put) == 1 && put == len);
}

/* Reads a head and a body of Content-Length, or of `size` when the answer is chunked in one piece; returns the body. */
static struct buf read_answer(SSL *ssl, int *out_status)
{
    struct buf in = buf_make(64 << 20);
    ptrdiff_t end = -1;
    char piece[20000];
    size_t got, body = 0;
    *out_status = 0;
    while (end < 0 || in.len < (size_t)end + 4 + body) {
        if (end >= 0 && in.len >= (size_t)end + 4 + body)
            break;
        size_t want = end < 0 ? 1 : (size_t)end + 4 + body - in.len;
        if (SSL_read_ex(ssl, piece, want < sizeof(piece) ? want : sizeof(piece), &got) != 1)
            break;
        buf_add(&in, str_of(piece, got));
        if (end < 0 && (end = str_find(buf_str(&in), STR("\r\n\r\n"))) >= 0) {
            ptrdiff_t length = str_find(buf_str(&in), STR("Content-Length: "));
            *out_status = atoi(in.ptr + 9);
            body = length >= 0 ? strtoull(in.ptr + length + 16, NULL, 10) : 0;
        }
    }
    buf_consume(&in, end < 0 ? in.len : (size_t)end + 4);
    return in;
}

static void expect(SSL *ssl, const char *request, int status, uint64_t size)
{
    int got;
    assert_true(write_tls(ssl, request, strlen(request)));
    struct buf body = read_answer(ssl, &got);
    assert_int_equal(got, status);
    assert_int_equal(body.len, size);
    for (size_t i = 0; i < body.len && status == 200; i++)
        assert_true(body.ptr[i] == fake_s3_pattern(i));
    buf_done(&body);
}

static void bodies_come_whole(void **state)
{
    (void)state;
    int fd;
    SSL *ssl = connect_tls(&fd);
    expect(ssl, GET("/bytes?size=10"), 200, 10);
    expect(ssl, GET("/bytes?size=3000000"), 200, 3000000);
    expect(ssl, GET("/file?size=1000"), 200, 1000);
    expect(ssl, GET("/file?size=5000000"), 200, 5000000);
    expect(ssl, GET("/lent?size=5000000"), 200, 5000000);
    expect(ssl, GET("/stream?size=5000000&length=1"), 200, 5000000);
    expect(ssl, GET("/none"), 204, 0);
    close_tls(ssl, fd);
}

static void uploads_arrive_whole(void **state)
{
    (void)state;
    static char body[3000000];
    char expected[100];
    int fd, status;
    SSL *ssl = connect_tls(&fd);
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = fake_s3_pattern(i);
    for (int round = 0; round < 3; round++) {
        static const char head[] = "PUT /sink HTTP/1.1\r\n" H "Content-Length: 3000000\r\n\r\n";
        assert_true(write_tls(ssl, head, sizeof(head) - 1));
        assert_true(write_tls(ssl, body, sizeof(body)));
        struct buf answer = read_answer(ssl, &status);
        snprintf(expected, sizeof(expected), "%zu %llu", sizeof(body),
                 (unsigned long long)fake_s3_checksum(sizeof(body)));
        assert_str(buf_str(&answer), expected);
        buf_done(&answer);
    }
    close_tls(ssl, fd);
}

/* One record brings several requests, of which only the first is seen through the socket. */
static void pipelined_requests_are_answered(void **state)
{
    (void)state;
    char requests[20000] = "";
    int fd, status;
    SSL *ssl = connect_tls(&fd);
    for (int i = 0; i < 100; i++)
        strcat(requests, i & 1 ? "PUT /echo HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi" : GET("/work?ms=1"));
    assert_true(write_tls(ssl, requests, strlen(requests)));
    for (int i = 0; i < 100; i++) {
        struct buf body = read_answer(ssl, &status);
        assert_str(buf_str(&body), i & 1 ? "hi" : "<Result/>");
        buf_done(&body);
    }
    close_tls(ssl, fd);
}

static void keys_may_be_updated(void **state)
{
    (void)state;
    int fd;
    SSL *ssl = connect_tls(&fd);
    for (int i = 0; i < 5; i++) {
        expect(ssl, GET("/stream?size=100000&length=1"), 200, 100000);
        /* The kernel's own key stays: who asks for another is disconnected. */
        bool asks = !gw_tls_has_kernel(rig_tls(rig));
        assert_int_equal(SSL_key_update(ssl, asks ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    }
    close_tls(ssl, fd);
}

static void a_key_that_cannot_be_updated_ends_the_connection(void **state)
{
    (void)state;
    int fd;
    char byte;
    size_t got;
    if (!gw_tls_has_kernel(rig_tls(rig)))
        skip();
    SSL *ssl = connect_tls(&fd);
    expect(ssl, GET("/none"), 204, 0);
    assert_int_equal(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    assert_true(write_tls(ssl, GET("/none"), strlen(GET("/none"))));
    assert_int_equal(SSL_read_ex(ssl, &byte, 1, &got), 0);
    assert_int_equal(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN); /* an orderly end, under the old key */
    close_tls(ssl, fd);
}

static void new_certificates_serve_new_connections(void **state)
{
    (void)state;
    int old_fd, new_fd;
    struct buf error = buf_make(1024);
    SSL *old = connect_tls(&old_fd);
    expect(old, GET("/none"), 204, 0);
    assert_false(gw_tls_changed(rig_tls(rig)));
    make_certificate("second");
    assert_true(gw_tls_changed(rig_tls(rig)));
    assert_int_equal(gw_tls_reload(rig_tls(rig), &error), 0);
    assert_false(gw_tls_changed(rig_tls(rig)));
    SSL *fresh = connect_tls(&new_fd);
    X509 *peer = SSL_get1_peer_certificate(fresh);
    char name[256];
    assert_string_equal(X509_NAME_oneline(X509_get_subject_name(peer), name, sizeof(name)), "/CN=second");
    X509_free(peer);
    expect(fresh, GET("/none"), 204, 0);
    expect(old, GET("/none"), 204, 0);
    int64_t days = (gw_tls_not_after(rig_tls(rig)) - clock_wall_s()) / 86400;
    assert_true(days >= 6 && days <= 7);
    /* A broken pair is refused and the good one stays. */
    FILE *broken = fopen(cert, "w");
    fputs("nonsense", broken);
    fclose(broken);
    assert_true(gw_tls_changed(rig_tls(rig)));
    assert_int_equal(gw_tls_reload(rig_tls(rig), &error), -EINVAL);
    assert_true(str_find(buf_str(&error), str_z(cert)) >= 0);
    assert_false(gw_tls_changed(rig_tls(rig)));
    expect(fresh, GET("/none"), 204, 0);
    close_tls(fresh, new_fd);
    fresh = connect_tls(&new_fd);
    expect(fresh, GET("/none"), 204, 0);
    close_tls(fresh, new_fd);
    close_tls(old, old_fd);
    make_certificate("third");
    assert_int_equal(gw_tls_reload(rig_tls(rig), &error), 0);
    buf_done(&error);
}

/* Sends until the peer has closed, or much has gone; true in the first case. */
static bool is_refused(int fd)
{
    static char junk[65536];
    for (int i = 0; i < 2000; i++) {
        if (send(fd, junk, sizeof(junk), MSG_NOSIGNAL) < 0)
            return true;
    }
    return false;
}

static void what_follows_the_end_is_not_kept(void **state)
{
    (void)state;
    int fd;
    SSL *ssl = connect_tls(&fd);
    expect(ssl, GET("/none"), 204, 0);
    (void)SSL_shutdown(ssl);
    assert_true(is_refused(fd));
    close_tls(ssl, fd);
}

static void strangers_are_turned_away(void **state)
{
    (void)state;
    /* Not TLS. */
    int fd = rig_connect(rig);
    rig_send(fd, GET("/none"));
    char bytes[16];
    ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
    assert_true(got <= 7); /* an alert at most */
    close(fd);
    /* A handshake that never ends. */
    fd = rig_connect(rig);
    assert_true(rig_is_closed(fd));
    close(fd);
    /* Only HTTP/2. */
    SSL *ssl = SSL_new(ctx);
    fd = rig_connect(rig);
    assert_int_equal(SSL_set_alpn_protos(ssl, (const unsigned char *)"\x02h2", 3), 0);
    assert_int_equal(SSL_set_fd(ssl, fd), 1);
    assert_int_not_equal(SSL_connect(ssl), 1);
    close_tls(ssl, fd);
    /* Too old. */
    ssl = SSL_new(ctx);
    fd = rig_connect(rig);
    assert_int_equal(SSL_set_max_proto_version(ssl, TLS1_1_VERSION), 1);
    assert_int_equal(SSL_set_fd(ssl, fd), 1);
    assert_int_not_equal(SSL_connect(ssl), 1);
    close_tls(ssl, fd);
    ERR_clear_error();
}

static void sessions_resume(void **state)
{
    (void)state;
    int fd;
    SSL *ssl = connect_tls(&fd);
    expect(ssl, GET("/none"), 204, 0); /* the tickets come with it */
    SSL_SESSION *session = SSL_get1_session(ssl);
    (void)SSL_shutdown(ssl); /* else the session counts as broken */
    close_tls(ssl, fd);
    ssl = SSL_new(ctx);
    fd = rig_connect(rig);
    assert_int_equal(SSL_set_session(ssl, session), 1);
    assert_int_equal(SSL_set_fd(ssl, fd), 1);
    assert_int_equal(SSL_connect(ssl), 1);
    assert_int_equal(SSL_session_reused(ssl), 1);
    expect(ssl, GET("/bytes?size=100"), 200, 100);
    SSL_SESSION_free(session);
    close_tls(ssl, fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_come_whole),
        cmocka_unit_test(uploads_arrive_whole),
        cmocka_unit_test(pipelined_requests_are_answered),
        cmocka_unit_test(keys_may_be_updated),
        cmocka_unit_test(a_key_that_cannot_be_updated_ends_the_connection),
        cmocka_unit_test(new_certificates_serve_new_connections),
        cmocka_unit_test(what_follows_the_end_is_not_kept),
        cmocka_unit_test(strangers_are_turned_away),
        cmocka_unit_test(sessions_resume),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
