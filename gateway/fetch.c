#include "gateway/fetch.h"

#include <errno.h>

#include "vfs/store/http.h"

/* Fetches are rare, and each may trust other certificates: a client for each. */
int gw_fetch(void *data, const struct s3_fetch *what, struct buf *out, struct buf *why)
{
    (void)data;
    struct http_client_config config = {
        .ca_file = what->ca_file,
        .public_only = what->public_only,
        .connect_timeout_ms = LIMIT_OIDC_TIMEOUT_MS,
        .stall_timeout_ms = LIMIT_OIDC_TIMEOUT_MS,
        .request_timeout_ms = LIMIT_OIDC_TIMEOUT_MS,
    };
    struct arena *arena CLEANUP(arena_freep) = arena_new();
    struct http_head *head = arena_new_of(arena, struct http_head);
    head->method = STR("GET");
    head->headers[head->header_count++] = (struct http_header){STR("Accept"), STR("application/json")};
    struct http_exchange x = {.url = what->url, .request = head, .arena = arena, .out_buf = out};
    struct http_client *client = http_client_new(&config);
    int rc = http_client_run(client, &x, why);
    http_client_free(client);
    if (rc == 0 && x.status != 200) {
        buf_reset(why);
        buf_addf(why, "status %d", x.status);
        rc = -EBADMSG;
    }
    return rc;
}
