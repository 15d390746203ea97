/* A blocking HTTP/1.1 client with kept-alive connections: the only file that knows libcurl. Any number of threads may call
 * at once, each call uses a connection of its own; connections that are free are used again, the last one first. No
 * redirects, no cookies, no other protocols. The process ignores SIGPIPE. Thread: any. */
#ifndef VFS_STORE_HTTP_H
#define VFS_STORE_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/compiler.h"
#include "base/http_head.h"

/* Texts may be NULL or empty for the default; they are copied. */
struct http_client_config {
    const char *ca_file, *cert_file, *key_file;
    bool insecure; /* any certificate is good */
    bool public_only; /* whatever the name resolves to, no address of a private, local or link-local network is connected to */
    uint32_t connect_timeout_ms, stall_timeout_ms, request_timeout_ms;
};

struct http_client;
struct http_client *http_client_new(const struct http_client_config *config);
/* NULL is fine. No call is running. */
void http_client_free(struct http_client *c);

struct http_exchange {
    /* The request. Its method is request->method, its headers are sent as they are (Host among them); url is NUL-terminated. */
    const char *url;
    const struct http_head *request;
    struct str body;
    struct arena *arena; /* for the answer's head */

    /* Where a body of status 2xx goes: the bytes, or (out NULL) a buffer. When a range was asked for and the answer is 200,
     * the whole object comes: what is before range_offset or does not fit behind it is dropped. */
    char *out;
    size_t capacity;
    struct buf *out_buf;
    bool is_range;
    uint64_t range_offset;

    /* The answer. */
    int status;
    struct http_head head; /* headers only */
    size_t size;           /* bytes in `out` */
    uint64_t passed;       /* bytes of a whole object seen */
    bool overflow;         /* the body had more than there was room for */
    struct buf *error_body; /* where the body of any other status goes, cut when it is too long */
};

/* 0 when a whole answer came, whatever its status; -EFBIG on overflow; -EAGAIN (and a sentence in `why`) when none did: no
 * connection, a reset, a timeout, fewer bytes than were promised; -EIO when none ever will: certificates, a bad URL. */
MUST_USE int http_client_run(struct http_client *c, struct http_exchange *x, struct buf *why);

#endif
