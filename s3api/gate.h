/* The fixed order of checks that every request passes before its operation sees it: names, authentication,
 * authorisation, existence of the bucket. A later check never shows through an earlier one's answer. Thread: worker. */
#ifndef S3API_GATE_H
#define S3API_GATE_H

#include "s3api/op.h"

/* Runs all of them on a parsed request; sets op->row, auth, cred, bucket and its policy. */
enum s3_error s3_gate(struct s3_op *op);

#endif
