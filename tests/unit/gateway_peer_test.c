#include "gateway/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "tests/support/unit.h"

static void addresses_are_text(void **state)
{
    (void)state;
    char out[GW_PEER_TEXT_MAX];
    struct sockaddr_storage a = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&a;
    v4->sin_family = AF_INET;
    assert_int_equal(inet_pton(AF_INET, "192.0.2.7", &v4->sin_addr), 1);
    assert_str(gw_peer_text(&a, out), "192.0.2.7");
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&a;
    v6->sin6_family = AF_INET6;
    assert_int_equal(inet_pton(AF_INET6, "2001:db8::1", &v6->sin6_addr), 1);
    assert_str(gw_peer_text(&a, out), "2001:db8::1");
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.8", &v6->sin6_addr), 1);
    assert_str(gw_peer_text(&a, out), "192.0.2.8");
    a.ss_family = AF_UNIX;
    assert_str(gw_peer_text(&a, out), "unix");
}

static struct http_head head_with(const char *first, const char *second)
{
    struct http_head h = {.header_count = 0};
    const char *values[] = {first, second};
    for (size_t i = 0; i < 2; i++) {
        if (values[i])
            h.headers[h.header_count++] = (struct http_header){STR_INIT("X-Forwarded-For"), str_z(values[i])};
    }
    return h;
}

static void only_trusted_proxies_are_believed(void **state)
{
    (void)state;
    static const struct {
        const char *trusted, *peer, *first, *second, *client;
    } rows[] = {
        {NULL, "10.0.0.1", "1.2.3.4", NULL, "10.0.0.1"},
        {"10.0.0.0/8", "10.0.0.1", "1.2.3.4", NULL, "1.2.3.4"},
        {"10.0.0.0/8", "10.0.0.1", NULL, NULL, "10.0.0.1"},
        {"10.0.0.0/8", "11.0.0.1", "1.2.3.4", NULL, "11.0.0.1"},
        {"10.0.0.0/8", "10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", NULL, "1.2.3.4"},
        {"10.0.0.0/8", "10.0.0.1", "6.6.6.6", "1.2.3.4", "1.2.3.4"},
        {"10.0.0.0/8", "10.0.0.1", "6.6.6.6, garbage", NULL, "10.0.0.1"},
        {"10.0.0.0/8", "10.0.0.1", "10.0.0.3", NULL, "10.0.0.3"},
        {"fd00::/8, unix", "unix", "1.2.3.4", NULL, "1.2.3.4"},
        {"fd00::/8", "fd12::1", "2001:db8::9", NULL, "2001:db8::9"},
        {"10.0.0.1", "10.0.0.2", "1.2.3.4", NULL, "10.0.0.2"},
        {"0.0.0.0/0", "8.8.8.8", "1.2.3.4", NULL, "1.2.3.4"},
        /* With ports, as some proxies write them */
        {"10.0.0.0/8", "10.0.0.1", "1.2.3.4:4711", NULL, "1.2.3.4"},
        {"10.0.0.0/8", "10.0.0.1", "1.2.3.4, 10.0.0.2:80", NULL, "1.2.3.4"},
        {"10.0.0.0/8", "10.0.0.1", "[2001:db8::9]:4711", NULL, "2001:db8::9"},
        {"10.0.0.0/8", "10.0.0.1", "[2001:db8::9]", NULL, "2001:db8::9"},
        {"10.0.0.0/8", "10.0.0.1", "2001:db8::9", NULL, "2001:db8::9"},
        {"10.0.0.0/8", "10.0.0.1", "1.2.3.4, ]:1", NULL, "10.0.0.1"},
        {"10.0.0.0/8", "10.0.0.1", "1.2.3.4, [", NULL, "10.0.0.1"},
        {"10.0.0.0/8", "10.0.0.1", "1.2.3.4, :1", NULL, "10.0.0.1"},
        {"0.0.0.0/0", "2001:db8::1", "1.2.3.4", NULL, "2001:db8::1"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct gw_proxies *p = NULL;
        struct buf error = buf_make(256);
        assert_int_equal(gw_proxies_parse(rows[i].trusted, &p, &error), 0);
        struct http_head h = head_with(rows[i].first, rows[i].second);
        assert_str(gw_proxies_client(p, str_z(rows[i].peer), &h), rows[i].client);
        gw_proxies_free(p);
        buf_done(&error);
    }
}

static void bad_networks_are_named(void **state)
{
    (void)state;
    static const char *const rows[] = {"10.0.0.0/33", "10.0.0", "x", "::/129", "10.0.0.0/", "10.0.0.0/-1"};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct gw_proxies *p = NULL;
        struct buf error = buf_make(256);
        assert_int_equal(gw_proxies_parse(rows[i], &p, &error), -EINVAL);
        assert_true(str_find(buf_str(&error), str_z(rows[i])) >= 0);
        buf_done(&error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_text),
        cmocka_unit_test(only_trusted_proxies_are_believed),
        cmocka_unit_test(bad_networks_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
