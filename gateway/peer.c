#include "gateway/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/check.h"

#define PROXIES_MAX 64
#define MAPPED_PREFIX_BITS 96

struct network {
    bool is_unix;
    struct in6_addr address; /* IPv4 as its mapped form */
    unsigned bits;
};

struct gw_proxies {
    size_t count;
    struct network networks[PROXIES_MAX];
};

static const struct in6_addr mapped_prefix = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

static bool has_prefix(const struct in6_addr *a, const struct in6_addr *prefix, unsigned bits)
{
    unsigned bytes = bits / 8, rest = bits % 8;
    if (memcmp(a->s6_addr, prefix->s6_addr, bytes) != 0)
        return false;
    return rest == 0 || ((a->s6_addr[bytes] ^ prefix->s6_addr[bytes]) >> (8 - rest)) == 0;
}

struct str gw_peer_text(const struct sockaddr_storage *address, char out[GW_PEER_TEXT_MAX])
{
    union {
        const struct sockaddr_storage *any;
        const struct sockaddr_in *v4;
        const struct sockaddr_in6 *v6;
    } a = {.any = address};
    const char *text = NULL;
    if (address->ss_family == AF_INET)
        text = inet_ntop(AF_INET, &a.v4->sin_addr, out, GW_PEER_TEXT_MAX);
    else if (address->ss_family == AF_INET6 && has_prefix(&a.v6->sin6_addr, &mapped_prefix, MAPPED_PREFIX_BITS))
        text = inet_ntop(AF_INET, a.v6->sin6_addr.s6_addr + MAPPED_PREFIX_BITS / 8, out, GW_PEER_TEXT_MAX);
    else if (address->ss_family == AF_INET6)
        text = inet_ntop(AF_INET6, &a.v6->sin6_addr, out, GW_PEER_TEXT_MAX);
    return text ? str_z(text) : STR("unix");
}

/* An address of either family, as IPv6. */
static bool parse_address(struct str s, struct in6_addr *out, unsigned *out_bits)
{
    char text[INET6_ADDRSTRLEN];
    if (s.len == 0 || s.len >= sizeof(text))
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    struct in_addr v4;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        *out = mapped_prefix;
        memcpy(out->s6_addr + MAPPED_PREFIX_BITS / 8, &v4, sizeof(v4));
        *out_bits = 32;
        return true;
    }
    *out_bits = 128;
    return inet_pton(AF_INET6, text, out) == 1;
}

static bool parse_network(struct str s, struct network *out)
{
    *out = (struct network){.is_unix = str_is(s, "unix")};
    if (out->is_unix)
        return true;
    ptrdiff_t slash = str_find_char(s, '/');
    unsigned width;
    if (!parse_address(slash < 0 ? s : str_first(s, (size_t)slash), &out->address, &width))
        return false;
    uint64_t bits = width;
    if (slash >= 0 && !str_parse_u64_max(str_from(s, (size_t)slash + 1), width, &bits))
        return false;
    out->bits = (unsigned)bits + (128 - width);
    return true;
}

int gw_proxies_parse(const char *list, struct gw_proxies **out, struct buf *error)
{
    struct gw_proxies *p = calloc(1, sizeof(*p));
    CHECK(p != NULL); /* out of memory */
    struct str rest = str_z(list), item;
    while (str_split(&rest, ',', &item)) {
        item = str_trim(item);
        if (item.len == 0)
            continue;
        if (p->count == PROXIES_MAX || !parse_network(item, &p->networks[p->count])) {
            buf_addf(error, "trusted-proxies: \"%.*s\" is no address or network (at most %d)", STR_ARG(item), PROXIES_MAX);
            free(p);
            return -EINVAL;
        }
        p->count++;
    }
    *out = p;
    return 0;
}

void gw_proxies_free(struct gw_proxies *p)
{
    free(p);
}

bool gw_proxies_has(const struct gw_proxies *p, struct str address)
{
    struct in6_addr a;
    unsigned width;
    bool is_unix = str_is(address, "unix");
    if (!is_unix && !parse_address(address, &a, &width))
        return false;
    for (size_t i = 0; i < p->count; i++) {
        const struct network *n = &p->networks[i];
        if (is_unix ? n->is_unix : !n->is_unix && has_prefix(&a, &n->address, n->bits))
            return true;
    }
    return false;
}

/* The part behind the last comma; *list becomes what is before it. */
static struct str take_last(struct str *list)
{
    ptrdiff_t comma = str_rfind_char(*list, ',');
    struct str last = comma < 0 ? *list : str_from(*list, (size_t)comma + 1);
    *list = comma < 0 ? STR_EMPTY : str_first(*list, (size_t)comma);
    return str_trim(last);
}

/* Of "192.0.2.1:4711", "[2001:db8::1]:4711" and "[2001:db8::1]", as some proxies write it, what is before the port. */
static struct str without_port(struct str s)
{
    ptrdiff_t bracket = str_find_char(s, ']'), colon = str_find_char(s, ':');
    if (str_starts(s, STR("[")) && bracket > 0)
        return str_of(s.ptr + 1, (size_t)bracket - 1);
    bool is_v4_with_port = colon >= 0 && colon == str_rfind_char(s, ':');
    return is_v4_with_port ? str_first(s, (size_t)colon) : s;
}

struct str gw_proxies_client(const struct gw_proxies *p, struct str peer, const struct http_head *head)
{
    if (p->count == 0 || !gw_proxies_has(p, peer))
        return peer;
    struct str client = peer;
    /* Headers and their items were added from the client outwards: walk them from the end. */
    for (size_t i = head->header_count; i-- > 0;) {
        if (!str_eq_nocase(head->headers[i].name, STR("x-forwarded-for")))
            continue;
        struct str list = head->headers[i].value;
        while (list.len > 0) {
            struct str address = without_port(take_last(&list));
            struct in6_addr ignored;
            unsigned width;
            /* What is no address was made up on the way here. */
            if (!parse_address(address, &ignored, &width))
                return client;
            client = address;
            if (!gw_proxies_has(p, client))
                return client;
        }
    }
    return client;
}
