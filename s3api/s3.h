/* The S3 engine's public face: sans I/O. It is given a request head and body bytes and asked for a reply; it owns no socket
 * and no thread (but may borrow one for a moment, s3_both_fn). One request is one struct s3_op, driven by five verbs, all
 * called on worker threads (but for s3_begin_quick, and s3_end of what it gave), never two at once for one op:
 *
 *   s3_begin ──▶ S3_BODY ──s3_feed*──▶ s3_finish ──▶ S3_WORKING ──s3_finish*──▶ S3_REPLY ──s3_produce*──▶ s3_end
 *        └──────────────── (error, or no body wanted) ───────────────────────────▲
 *
 * begin  parses, routes, authenticates, authorises, checks preconditions and opens. An error is known here, before
 *        `100 Continue` is sent and before a body byte is read: the state is then S3_REPLY at once.
 * feed   takes body bytes as they come, in any split (HTTP's transfer coding already removed; aws-chunked still on).
 * finish says the body has ended; verifies digests and publishes atomically. Long work is done in bounded steps: while the state
 *        is S3_WORKING, call it again.
 * produce fills response bytes when the reply's body is S3_REPLY_STREAM.
 * end    is always legal, once: releases everything; what was not published leaves nothing behind.
 */
#ifndef S3API_S3_H
#define S3API_S3_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/compiler.h"
#include "base/http_head.h"
#include "base/pieces.h"

struct auth_live;
struct vfs;
struct vfs_cred;
struct vfs_file;
struct s3_service;
struct s3_op;

/* Who owns the objects of a bucket, and whether access control lists count there (AWS "Controlling ownership of objects"). */
enum s3_ownership { S3_OWNER_ENFORCED, S3_OWNER_PREFERRED, S3_OWNER_WRITER };
/* A document of somebody else's server: a GET, bounded in time and in size by `out`. */
struct s3_fetch {
    const char *url;
    const char *ca_file; /* certificates to trust instead of the system's, or NULL */
    bool public_only;    /* an address of a private or local network counts as unreachable */
};
/* 0 for a 200, else negative errno and a sentence in *why. Thread: worker; blocks. */
typedef int (*s3_fetch_fn)(void *data, const struct s3_fetch *what, struct buf *out, struct buf *why);

/* Calls both with `arg`, on two threads at once where that is sooner, and returns when both have returned. Thread: worker. */
typedef void (*s3_both_fn)(void (*mine)(void *arg), void (*other)(void *arg), void *arg);

struct s3_service_options {
    struct vfs *volume;           /* borrowed */
    struct auth_live *identities; /* borrowed */
    struct str region;            /* "us-east-1" */
    struct str domain;            /* virtual-host style: bucket.DOMAIN; empty: path style only */
    struct str single_bucket;     /* --bucket: the whole root is this one bucket; empty: directories are buckets */
    const struct vfs_cred *anonymous; /* whom requests without a signature act as; NULL: the process. Copied, without groups */
    bool sigv2;                   /* presigned SigV2 queries accepted */
    enum s3_ownership ownership;  /* of buckets that have no controls of their own */
    bool read_only;               /* every writing operation is refused */
    uint32_t user_requests;       /* of one caller, at a time; 0: any number */
    uint32_t user_rate;           /* of one caller, in a second; 0: any number */
    s3_fetch_fn fetch;            /* keys of web identities; NULL: none are accepted */
    void *fetch_data;
    s3_both_fn both;              /* large bodies are hashed and written at once; NULL: in turn */
    bool block_public_access;     /* for buckets that have no PublicAccessBlock of their own */
    uint64_t upload_expiry_s;     /* multipart uploads older than this may be cleaned; 0: never */
};

/* Copies the texts. Thread: any; the service is shared by all workers. */
MUST_USE int s3_service_new(const struct s3_service_options *options, struct s3_service **out);
void s3_service_free(struct s3_service *s);
/* One bounded piece of housekeeping (stale multipart uploads); true when there is more to do now. Thread: worker. */
bool s3_service_housekeep(struct s3_service *s);

struct s3_incoming {
    const struct http_head *head; /* lives as long as the op */
    struct str request_id;        /* 16 hex digits, x-amz-request-id */
    struct str host_id;           /* x-amz-id-2 */
    struct str peer_address;      /* text of the client's address */
    const char *tls;              /* "TLSv1.3"; NULL: plain */
    bool has_body;                /* a Content-Length above 0 or a transfer coding */
    int64_t content_length;       /* -1: none given (chunked or no body) */
};

enum s3_state { S3_BODY, S3_WORKING, S3_REPLY };

enum s3_reply_body {
    S3_REPLY_NONE,   /* no body, and no Content-Length unless the headers carry one (HEAD) */
    S3_REPLY_BYTES,  /* bytes below, whole */
    S3_REPLY_FILE,   /* [file_offset, +length) of `file` (may be sent with sendfile when vfs_file_fd gives one) */
    S3_REPLY_STREAM  /* s3_produce until 0; length is known when >= 0 */
};

struct s3_reply {
    int status;
    const struct http_header *headers; /* without Content-Length, Date, Connection, Transfer-Encoding, Server */
    size_t header_count;
    enum s3_reply_body body;
    struct str bytes;
    struct vfs_file *file; /* borrowed until s3_end; vfs_read and vfs_lend may be used on it by the worker */
    uint64_t file_offset;
    int64_t length; /* of the body; for HEAD the length that GET would have; -1: unknown, use chunked coding */
    bool close;     /* the rest of the request body is not worth draining: close after the answer */
};

/* Never fails: an error is a reply. `arena` outlives the op. */
struct s3_op *s3_begin(struct s3_service *s, const struct s3_incoming *in, struct arena *arena);
/* As s3_begin, on a thread that may not wait: the op, in S3_REPLY and not with an error, or NULL where that would have meant to
 * wait, or to refuse: then nothing has happened, and s3_begin is to be called on a worker. Thread: any. */
struct s3_op *s3_begin_quick(struct s3_service *s, const struct s3_incoming *in, struct arena *arena);
enum s3_state s3_state(const struct s3_op *op);
/* The next bytes of the body: as many at once as there are, since each call of this costs one of the filesystem and one of `both`. */
enum s3_state s3_feed(struct s3_op *op, struct pieces p);
enum s3_state s3_finish(struct s3_op *op);
/* Valid in S3_REPLY. */
const struct s3_reply *s3_reply(const struct s3_op *op);
/* Nothing of the reply has been sent, and its file cannot be read (negative errno): the reply is an error's from here on. */
void s3_reply_unreadable(struct s3_op *op, int negative_errno);
/* May this op's answer start before its result is known? Then, after LIMIT_KEEPALIVE_SPACE_MS of work, the caller sends
 * s3_early_reply's head with chunked coding, its bytes (the XML declaration), white space now and then, and, when the state is S3_REPLY,
 * s3_late_bytes (the document without declaration, an <Error> if it came to that), as S3 does for Complete and Copy. */
bool s3_may_answer_early(const struct s3_op *op);
const struct s3_reply *s3_early_reply(struct s3_op *op);
struct str s3_late_bytes(struct s3_op *op);
/* > 0 bytes, 0 at the end, negative errno: the connection can only be cut. */
MUST_USE ssize_t s3_produce(struct s3_op *op, char *out, size_t size);
void s3_end(struct s3_op *op);
/* May s3_end be called on a thread that may not wait? An op of s3_begin_quick, unless its file has lost its name meanwhile: then
 * letting go of it is what frees its blocks. */
bool s3_may_end_quick(const struct s3_op *op);

/* For logs and metrics; valid from s3_begin to s3_end. */
struct s3_op_info {
    const char *operation;  /* "PutObject"; "Unknown" when it could not be routed */
    const char *error_code; /* S3 code, or NULL */
    struct str user;        /* principal's name; empty when anonymous */
    struct str access_key;
    struct str bucket, key;
    const char *auth;       /* "AuthHeader", "QueryString", "PostForm", "-" as in AWS's access log */
    const char *signature;  /* "SigV4", "SigV2", "-" */
    const char *cause;      /* internal cause of a 5xx for the process log, or NULL */
};
void s3_op_describe(const struct s3_op *op, struct s3_op_info *out);

/* All operation names, NULL-terminated: labels of metrics, registered once. */
const char *const *s3_operation_names(void);

#endif
