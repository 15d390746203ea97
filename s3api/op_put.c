#include "s3api/op_handlers.h"

#include "s3api/upload.h"

enum s3_error s3_put_object_begin(struct s3_op *op)
{
    struct s3_upload *u = op->data = arena_new_of(op->arena, struct s3_upload);
    return s3_upload_begin(op, u);
}

enum s3_error s3_put_object_sink(struct s3_op *op, struct pieces p)
{
    return s3_upload_write(op, op->data, p);
}

enum s3_error s3_put_object_finish(struct s3_op *op)
{
    enum s3_error e = s3_upload_publish(op, op->data);
    return e == S3_OK ? s3_reply_empty(op, 200) : e;
}

void s3_put_object_end(struct s3_op *op)
{
    struct s3_upload *u = op->data;
    if (u)
        s3_upload_end(u);
}
