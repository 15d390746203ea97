/* From a parsed request to its operation's row. Pure. Thread: any. */
#ifndef S3API_ROUTE_H
#define S3API_ROUTE_H

#include "s3api/op.h"

enum s3_route_verdict {
    S3_ROUTE_FOUND,
    S3_ROUTE_METHOD,       /* the resource is known, the method not for it */
    S3_ROUTE_CONFLICT,     /* two sub-resources at once */
    S3_ROUTE_NOT_FOR_KEY,  /* a sub-resource of buckets with a key … */
    S3_ROUTE_KEY_UNWANTED, /* … which with another method objects have, too */
    S3_ROUTE_KEY_MISSING,  /* a sub-resource of objects without a key */
    S3_ROUTE_PARAM_MISSING /* a sub-resource that needs a second one (uploadId without partNumber, or the reverse) */
};

struct s3_route {
    const struct s3_op_row *row; /* S3_ROUTE_FOUND only */
    const char *sub_resource;    /* the query name that decided, or NULL */
    const char *sub_resource2;   /* the other one of a conflict or the missing one */
};

enum s3_level s3_request_level(const struct s3_request *r);
/* The row that fits best. */
enum s3_route_verdict s3_route(const struct s3_request *r, struct s3_route *out);
/* Appends the methods that the request's resource has ("GET, PUT"): the Allow header of a 405. */
void s3_route_methods(const struct s3_request *r, struct buf *out);

#endif
