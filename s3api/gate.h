/* The fixed order of checks that every request passes before its operation sees it: names, authentication,
 * authorisation, existence of the bucket. A later check never shows through an earlier one's answer. Thread: worker. */
#ifndef S3API_GATE_H
#define S3API_GATE_H

#include "s3api/op.h"

/* Runs all of them on a parsed request; sets op->row, auth, cred, bucket and its policy. */
enum s3_error s3_gate(struct s3_op *op);
struct auth_query;
/* The same for a browser form, whose row has S3_OP_FORM, so that s3_gate let anybody pass: by the fields that name the caller, and
 * the key that they brought into op->req. */
enum s3_error s3_gate_form(struct s3_op *op, const struct auth_query *fields);
/* The caller of an STS request, whose row has S3_OP_STS, after its body was read. S3_ACCESS_DENIED without one. */
enum s3_error s3_gate_sts(struct s3_op *op);

#endif
