/* Who is at the other end: the address of a connection as text, and the client behind a trusted proxy. Thread: any. */
#ifndef GATEWAY_PEER_H
#define GATEWAY_PEER_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/http_head.h"

#define GW_PEER_TEXT_MAX 64

/* "192.0.2.1", "2001:db8::1" (mapped IPv4 as IPv4), "unix". */
struct str gw_peer_text(const struct sockaddr_storage *address, char out[GW_PEER_TEXT_MAX]);

/* Networks whose X-Forwarded-For is believed. */
struct gw_proxies;
/* list: "10.0.0.0/8, 192.0.2.1, fd00::/8, unix"; NULL or empty: none. -EINVAL with a line in error. */
MUST_USE int gw_proxies_parse(const char *list, struct gw_proxies **out, struct buf *error);
void gw_proxies_free(struct gw_proxies *p);
/* Is that address one of them? */
bool gw_proxies_has(const struct gw_proxies *p, struct str address);
/* The address that the request comes from: peer, unless it is a trusted proxy; then the last one of X-Forwarded-For that is
 * not. A view of peer or of a header. */
struct str gw_proxies_client(const struct gw_proxies *p, struct str peer, const struct http_head *head);

#endif
