/* An operation in progress, and the table of operations: one row each, which says all that is the same kind of fact for
 * every operation. Included by s3api/ only. */
#ifndef S3API_OP_H
#define S3API_OP_H

#include "auth/policy.h"
#include "auth/verify.h"
#include "base/arena.h"
#include "base/buf.h"
#include "s3api/error.h"
#include "s3api/request.h"
#include "s3api/s3.h"
#include "vfs/vfs.h"

struct s3_body;
struct s3_caller;
struct s3_pairs;

enum s3_level { S3_LEVEL_SERVICE, S3_LEVEL_BUCKET, S3_LEVEL_OBJECT };

enum s3_body_kind {
    S3_BODY_KIND_NONE,  /* a body is ignored (and drained), also when the row has a finish */
    S3_BODY_KIND_SMALL, /* collected into op->body_bytes, at most body_max bytes, then finish */
    S3_BODY_KIND_STREAM /* handed to sink as it comes */
};

enum {
    S3_OP_WRITE = 1,          /* needs a writable gateway */
    S3_OP_SLOW = 2,           /* may answer early with white space */
    S3_OP_NO_BUCKET = 4,      /* does not need the bucket to exist (CreateBucket) */
    S3_OP_NEEDS_CHECKSUM = 8, /* Content-MD5 or x-amz-checksum-* is required (DeleteObjects, …) */
    S3_OP_UNSIGNED_TRAILER = 16, /* STREAMING-UNSIGNED-PAYLOAD-TRAILER is allowed (PutObject, UploadPart) */
    S3_OP_ANONYMOUS = 32, /* answers anybody and reveals nothing: CORS preflights, browser forms (signed in their body) */
    S3_OP_STS = 1024, /* the Security Token Service: signed as such, over the body (s3_gate_sts) */
    S3_OP_FORM = 512, /* a browser form: who asks, and for which key, stands in its body (s3_gate_form) */
    S3_OP_QUICK = 4096,      /* may succeed without waiting for anything (s3_begin_quick) */
    S3_OP_POLICY = 128,      /* about the bucket's policy, which cannot refuse it to the owner */
    S3_OP_BODY_ACCESS = 256, /* what is to be allowed stands in the body: the operation asks s3_access_check itself */
    S3_OP_OBJECT_CHECKSUM = 64 /* x-amz-checksum-* describes the object to be, not the body (CompleteMultipartUpload) */
};

struct s3_op_row {
    const char *name;      /* as in AWS's API reference */
    const char *action;    /* what policies call it ("s3:GetObject"); NULL: rows that answer anybody, and CreateSession */
    const char *version_action; /* the same of a version that the request names (SEC-32), or NULL */
    const char *also_action;    /* demanded besides, or NULL */
    const char *also_version_action;
    enum s3_level level;
    const char *method;
    const char *query;     /* sub-resource that must be present ("uploads"), or NULL */
    const char *query2;    /* a second one ("partNumber" with "uploadId"), or NULL */
    const char *header;    /* header that must be present ("x-amz-copy-source"), or NULL */
    enum s3_body_kind body;
    size_t body_max;       /* S3_BODY_KIND_SMALL */
    unsigned flags;
    /* Everything that can be decided before the body. Fills op->reply when the row has no finish. May be NULL when it has. */
    enum s3_error (*begin)(struct s3_op *op);
    /* S3_BODY_KIND_STREAM: decoded bytes. */
    enum s3_error (*sink)(struct s3_op *op, struct pieces p);
    /* The body is complete and verified. S3_AGAIN: a bounded step is done, call again. Then op->reply is filled. NULL when
     * begin does all. Also called for rows without a body (S3_BODY_KIND_NONE), for work in steps. */
    enum s3_error (*finish)(struct s3_op *op);
    /* S3_REPLY_STREAM bodies. */
    ssize_t (*produce)(struct s3_op *op, char *out, size_t size);
    /* Releases what begin took (not arena memory); called exactly once if begin was called, whatever it returned (op->data
     * NULL when it failed before setting it). May be NULL. */
    void (*end)(struct s3_op *op);
};

/* Every header of a PUT may come back as metadata, and our own beside them. */
#define S3_REPLY_HEADERS_MAX (LIMIT_HEADER_COUNT + 32)

/* What the bucket's rules say to a request that comes from another origin (cors.h). */
enum s3_cors_verdict { S3_CORS_NO_ORIGIN, S3_CORS_NO_BUCKET, S3_CORS_OFF, S3_CORS_REFUSED, S3_CORS_ALLOWED };
struct s3_cors {
    enum s3_cors_verdict verdict;
    const struct s3_cors_rule *rule; /* S3_CORS_ALLOWED only */
};

/* A bucket's policy as it is at this request (policy_cache.h). */
struct s3_policy {
    struct auth_policy *document; /* a reference, or NULL: the bucket has none */
    bool is_unreadable;           /* there is one that nobody can say the meaning of: denies */
};

struct s3_owned;

/* An object as it was when somebody was allowed to touch it (ownership.h); bucket NULL: nobody asked. */
struct s3_judged {
    const struct vfs_dir *bucket;
    struct str key, owner_id, acl;
};

/* The tags by which a condition allowed it (access_context.c); whoever asks again is told the same. tags NULL: nobody asked. */
struct s3_judged_tags {
    const struct vfs_dir *bucket;
    struct str bucket_name, key;
    const struct s3_pairs *tags;
};

struct s3_upload;

struct s3_op {
    const struct s3_op_row *row;
    struct s3_service *service;
    struct arena *arena;
    struct s3_incoming in;
    struct s3_request req;
    enum s3_state state;
    enum s3_error error;         /* S3_OK until the reply is an error */
    bool quick;                  /* by s3_begin_quick: may not wait, and fails with whatever where it would have to */
    bool would_wait;             /* it had to, so that nothing it says counts */
    bool begun;                  /* the gate let it pass: the row's end is due */
    const char *error_cause;     /* for the log */
    struct s3_error_detail detail; /* extra elements of the error document */

    struct auth_snapshot *identities; /* a reference, held to the end */
    struct auth_result auth;
    struct vfs_cred cred_storage;
    const struct vfs_cred *cred; /* NULL: the process itself */

    struct s3_cors cors;
    const struct s3_owned *owned; /* of the bucket, loaded when first asked for */
    struct s3_judged judged;
    struct s3_judged_tags judged_tags;
    const struct s3_upload *judged_upload; /* of which a part or the end is judged (access_context.c); NULL: nobody asked */
    bool is_absence_told;         /* S3_NO_SUCH_KEY is for the caller to know (access.h) */
    struct s3_policy policy;              /* of the bucket */
    const struct s3_pairs *request_tags;  /* of a body that was read (an object's, or those of a bucket to be); NULL: the header's */
    struct str location;                  /* CreateBucket's, of its body */
    struct vfs_dir *bucket; /* open unless S3_OP_NO_BUCKET or level service */
    struct vfs_dir *documents; /* the bucket's .sluice, once it was asked for and found to be ours (bucket_config.c) */
    struct s3_body *body;
    struct buf body_bytes;  /* S3_BODY_KIND_SMALL */

    struct s3_caller *caller; /* whom the request counts for (limits.h), or NULL */
    struct s3_reply reply;
    struct http_header *reply_headers; /* what reply.headers points to, grown by s3_reply_header */
    size_t reply_headers_max;
    struct buf out;         /* bytes of the reply's document */
    void *data;             /* the operation's own, in the arena */
};

extern const struct s3_op_row s3_op_rows[];
extern const size_t s3_op_row_count;

/* Fails with a message of its own instead of the error's default one. Returns error. */
enum s3_error s3_fail(struct s3_op *op, enum s3_error error, const char *message_format, ...) PRINTF(3, 4);
/* One more element of the error document, besides those that struct s3_error_detail has by name; the value is copied. */
void s3_fail_extra(struct s3_op *op, const char *element, struct str value);
/* errno of a volume call to an S3 error, given what was looked up. The one place where this is done. */
enum s3_looked_up { S3_FOR_BUCKET, S3_FOR_KEY, S3_FOR_UPLOAD, S3_FOR_WRITE };
enum s3_error s3_fail_errno(struct s3_op *op, int negative_errno, enum s3_looked_up what);

/* Reply building (reply.c). Names live as long as the op (literals, or its arena); values are copied into the arena. A name or
 * value that no header may have (CR, LF, NUL) drops the header (SEC-52). Formatted values are of bounded length. */
void s3_reply_header(struct s3_op *op, const char *name, struct str value);
void s3_reply_headerf(struct s3_op *op, const char *name, const char *format, ...) PRINTF(3, 4);
/* Status without a body. */
enum s3_error s3_reply_empty(struct s3_op *op, int status);
/* op->out holds an XML document: sends it with application/xml. */
enum s3_error s3_reply_xml(struct s3_op *op, int status);
/* Engine: the headers that every answer has; the reply for an error, whatever was built before. */
void s3_reply_start(struct s3_op *op);
void s3_reply_error(struct s3_op *op, enum s3_error error);

#endif
