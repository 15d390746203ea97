/* From a parsed request to its operation's row. Pure. Thread: any. */
#ifndef S3API_ROUTE_H
#define S3API_ROUTE_H

#include "s3api/op.h"

/* Why there is no row: what the error document says. Static texts. */
struct s3_route_miss {
    const char *message;      /* NULL: the error's own */
    const char *sub_resource; /* the query name that decided, or NULL */
};

enum s3_level s3_request_level(const struct s3_request *r);
/* The row that fits best, or S3_METHOD_NOT_ALLOWED, S3_INVALID_REQUEST, S3_INVALID_ARGUMENT with *out_miss. */
enum s3_error s3_route(const struct s3_request *r, const struct s3_op_row **out, struct s3_route_miss *out_miss);

#endif
