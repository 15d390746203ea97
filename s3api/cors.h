/* Cross-origin requests of browsers: a bucket's rules (PutBucketCors) and what they say to one request. The headers go onto every
 * answer to a request that has an Origin, errors included, and are the whole answer to a preflight. Source: "Using cross-origin
 * resource sharing (CORS)", S3 user guide, and AWS's answers as recorded in LocalStack's snapshots. Thread: worker. */
#ifndef S3API_CORS_H
#define S3API_CORS_H

#include "s3api/op.h"

#define S3_CORS_CONFIG "cors"

struct s3_cors_texts {
    struct str *items;
    size_t count;
};

struct s3_cors_rule {
    struct str id; /* ptr NULL: none */
    struct s3_cors_texts methods, origins, headers, exposed;
    struct str max_age_s; /* a number in text; ptr NULL: none */
};

struct s3_cors_rules {
    struct s3_cors_rule *items;
    size_t count;
};

/* <CORSConfiguration><CORSRule>…, checked; strings live in the arena. S3_MALFORMED_XML, S3_INVALID_REQUEST. */
enum s3_error s3_cors_parse(struct s3_op *op, struct str document, struct s3_cors_rules *out);
/* The same document, into op->out. */
void s3_cors_write_xml(struct s3_op *op, const struct s3_cors_rules *rules);
/* The first rule that allows origin, method and the requested headers (a comma-separated list, ptr NULL: none), or NULL. */
const struct s3_cors_rule *s3_cors_match(const struct s3_cors_rules *rules, struct str origin, struct str method,
                                         struct str headers);
/* Is it one of the methods that rules can name? */
bool s3_cors_has_method(struct str method);
/* Sets op->cors by the request's Origin and its bucket's rules, before anything is known of the caller: rules are for anybody. */
void s3_cors_look(struct s3_op *op);
/* The headers that op->cors says, onto the reply. */
void s3_cors_reply_headers(struct s3_op *op);

#endif
