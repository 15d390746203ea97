/* Buckets without documents that have a say in who may read: no policy, no ownership controls, no list. Remembered as long as the
 * directory of those documents is the same, so that one look at it answers for all of them. Bounded. Thread: any. */
#ifndef S3API_PLAIN_H
#define S3API_PLAIN_H

#include "s3api/op.h"

struct s3_plain_cache;
struct s3_plain_cache *s3_plain_cache_new(void);
void s3_plain_cache_free(struct s3_plain_cache *c);

/* Of the request's open bucket: certainly so? Does not wait when the bucket's handle does not. */
bool s3_plain_is(struct s3_op *op);
/* Looks, so that s3_plain_is knows from now on. On a worker. */
void s3_plain_learn(struct s3_op *op);

#endif
