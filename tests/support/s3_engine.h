/* The whole engine in one process, over a real directory volume and a real identity store, without a socket: a call is
 * signed as a client signs it, its body goes in pieces through the five verbs, the answer is collected. What fails here
 * that a client cannot cause stops the test by CHECK. Thread: one at a time; several engines may live side by side. */
#ifndef TESTS_SUPPORT_S3_ENGINE_H
#define TESTS_SUPPORT_S3_ENGINE_H

#include <sys/types.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "s3api/checksum.h"
#include "s3api/s3.h"

#define S3_ENGINE_ACCESS_KEY "AKIDADMINISTRATOR"
#define S3_ENGINE_SECRET "administrators-secret-0123456789"
#define S3_ENGINE_HOST "s3.test"

struct s3_engine_options {
    const char *region;        /* NULL: us-east-1 */
    const char *domain;        /* NULL: none */
    const char *single_bucket; /* NULL: none */
    bool sigv2, read_only, block_public_access;
    enum s3_ownership ownership;
    uint64_t upload_expiry_s;
    uint32_t user_requests, user_rate;
    bool sidecar; /* records in the sidecar instead of xattrs */
    const char *root; /* another engine's, which it joins as a second gateway would; NULL: a volume and users of its own */
};

struct s3_engine;
/* options NULL: all defaults. */
struct s3_engine *s3_engine_new(const struct s3_engine_options *options);
void s3_engine_free(struct s3_engine *e);
/* Another caller of e's service, for a thread of its own; to be freed first. */
struct s3_engine *s3_engine_caller(struct s3_engine *e);
/* As fork(), of a process without other threads: one of them may hold a lock just then, say the sanitizer's allocator's, which
 * nobody would ever release in the child. What runs beside the calls is stopped before, and started anew in both. */
pid_t s3_engine_fork(struct s3_engine *e);
/* The end of such a child. ThreadSanitizer would wait a second for threads that still run. */
NORETURN void s3_engine_exit(struct s3_engine *e, int code);
/* The directory that the volume is, to look at by POSIX. */
const char *s3_engine_root(const struct s3_engine *e);
struct s3_service *s3_engine_service(const struct s3_engine *e);
/* Everything that calls return lives here, until s3_engine_free. */
struct arena *s3_engine_arena(const struct s3_engine *e);
/* A user beside the administrator, whose access key is `name` and whose secret is "secret-of-" + name. bucket NULL:
 * all. */
void s3_engine_add_user(struct s3_engine *e, const char *name, const char *bucket, bool read_only);
/* As above, with a POSIX identity. */
void s3_engine_add_posix_user(struct s3_engine *e, const char *name, uint32_t uid, uint32_t gid);

enum s3_call_auth {
    S3_CALL_SIGNED,    /* Authorization header */
    S3_CALL_PRESIGNED, /* query */
    S3_CALL_ANONYMOUS,
    S3_CALL_FORGED, /* header with a known access key and a wrong signature */
    S3_CALL_FORGED_QUERY
};

enum s3_call_wire {
    S3_WIRE_SHA256,          /* x-amz-content-sha256 is the body's */
    S3_WIRE_UNSIGNED,        /* UNSIGNED-PAYLOAD */
    S3_WIRE_STREAM,          /* STREAMING-AWS4-HMAC-SHA256-PAYLOAD */
    S3_WIRE_STREAM_TRAILER,  /* …-TRAILER */
    S3_WIRE_UNSIGNED_TRAILER /* STREAMING-UNSIGNED-PAYLOAD-TRAILER */
};

#define S3_CALL_HEADERS_MAX 32

struct s3_call {
    const char *method, *target;              /* target as on the wire */
    const char *headers[S3_CALL_HEADERS_MAX]; /* "Name: value", NULL behind the last; signed with the rest */
    struct str body;                          /* plain; ptr NULL: the request has none */
    enum s3_call_auth auth;
    enum s3_call_wire wire;
    const char *access_key;        /* NULL: the administrator; else that of a user added above */
    const char *host;              /* NULL: S3_ENGINE_HOST */
    const char *tls;               /* "TLSv1.3"; NULL: plain */
    enum s3_checksum_kind trailer; /* trailer wires: which checksum follows */
    size_t chunk_size;             /* of aws-chunked; 0: 64 KiB */
    size_t feed_size;              /* bytes of a piece, of which s3_feed gets one, then two, then three at once; 0: all in one */
    int64_t age_s;                 /* how long ago it was signed */
    bool no_length;                /* no Content-Length, as with chunked transfer coding */
    bool early;                    /* takes the early answer of a slow operation as soon as there may be one */
    /* Changes what goes over the wire after it was signed. May be NULL. */
    void (*tamper)(struct buf *wire_body);
};

struct s3_answer {
    int status;
    const struct http_header *headers;
    size_t header_count;
    struct str body;
    struct str code;        /* of an error document; empty otherwise */
    int64_t length;         /* as announced */
    bool was_quick;         /* by s3_begin_quick */
    bool answered_by_begin; /* no body byte was asked for */
    bool answered_early;    /* status, headers and the body's beginning were known before the result */
    bool close;
    size_t steps;           /* calls of s3_finish */
    struct s3_op_info info; /* texts copied */
};

struct s3_answer *s3_call(struct s3_engine *e, const struct s3_call *call);
/* Signed by the administrator, without headers. body NULL: none. */
struct s3_answer *s3_do(struct s3_engine *e, const char *method, const char *target, const char *body);
/* A document that S3 wants a checksum of, put by the administrator with its Content-MD5. */
struct s3_answer *s3_put_document(struct s3_engine *e, const char *target, const char *document);
/* ptr NULL when absent. */
struct str s3_answer_header(const struct s3_answer *a, const char *name);
/* Text of the first <name> of the body, as written (entities stay); ptr NULL when absent. */
struct str s3_answer_element(const struct s3_answer *a, const char *name);
/* How many times <name> occurs. */
size_t s3_answer_count(const struct s3_answer *a, const char *name);
/* A string that changes whenever anything below the volume's directory does: names, sizes, contents' times. */
struct str s3_engine_fingerprint(const struct s3_engine *e);

/* Status and code together, shown when they differ. code NULL: no error. */
#define assert_answer(answer, expected_status, expected_code)                                                          \
    do {                                                                                                               \
        const struct s3_answer *answer_ = (answer);                                                                    \
        const char *code_ = (expected_code);                                                                           \
        if (answer_->status != (expected_status) || !str_is(answer_->code, code_ ? code_ : ""))                        \
            fail_msg("%s: got %d %.*s, expected %d %s\n%.*s\n%s", answer_->info.operation, answer_->status,            \
                     STR_ARG(answer_->code), (expected_status), code_ ? code_ : "", STR_ARG(answer_->body),            \
                     answer_->info.cause ? answer_->info.cause : "");                                                  \
    } while (0)

#endif
