/* How much one caller may ask for: requests at a time, and requests a second, with a burst of one second's worth. A caller is a user,
 * whichever keys and sessions it comes with; without a signature, a client address. Beyond that 503 SlowDown, which clients repeat
 * later. Thread: any. */
#ifndef S3API_LIMITS_H
#define S3API_LIMITS_H

#include "s3api/op.h"

struct s3_limits;
/* 0: no limit of that kind. */
struct s3_limits *s3_limits_new(uint32_t in_flight_max, uint32_t rate_max);
void s3_limits_free(struct s3_limits *l);

bool s3_limits_are_on(const struct s3_limits *l);
/* S3_OK, or S3_SLOW_DOWN. For an op whose caller is known, or is nobody; once. */
enum s3_error s3_limits_admit(struct s3_op *op);
/* The request is over. Also for one that was never admitted. */
void s3_limits_leave(struct s3_op *op);

#endif
