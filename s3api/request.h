/* The request after parsing and routing: what everything later looks at. Bucket and key are decoded exactly once, here; the
 * same bytes are checked, authorised, logged and opened (SEC-20). Lives in the op's arena. */
#ifndef S3API_REQUEST_H
#define S3API_REQUEST_H

#include "base/arena.h"
#include "base/http_head.h"
#include "base/limits.h"
#include "s3api/error.h"

struct s3_param {
    struct str name, value; /* decoded; "?uploads" is "?uploads=" */
};

struct s3_request {
    const struct http_head *head; /* with what a presigned URL carries of headers in its query */
    struct str bucket; /* empty at the service level */
    struct str key;    /* decoded; empty at the bucket level */
    struct str resource; /* "/bucket/key" decoded, for <Resource> */
    bool virtual_host;
    const struct s3_param *params; /* at most LIMIT_QUERY_PARAMS */
    size_t param_count;
};

/* Splits target and Host into bucket, key and parameters. domain may be empty. S3_INVALID_URI for what cannot be decoded or
 * has more than LIMIT_QUERY_PARAMS parameters, or with the headers in a presigned URL more than LIMIT_HEADER_COUNT headers. */
enum s3_error s3_request_parse(struct s3_request *r, const struct http_head *head, struct str domain, struct arena *arena);
/* NULL when absent. */
const struct s3_param *s3_param(const struct s3_request *r, const char *name);
/* Value, or an empty view with ptr NULL when the parameter is absent. */
struct str s3_param_value(const struct s3_request *r, const char *name);
bool s3_has_param(const struct s3_request *r, const char *name);
/* Header value; ptr NULL when absent. */
struct str s3_header(const struct s3_request *r, const char *name);

#endif
