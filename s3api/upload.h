/* One object on its way in, of whatever request brings it (PutObject, a browser form): checked, staged, written as its bytes come,
 * published. Thread: worker, one at a time. */
#ifndef S3API_UPLOAD_H
#define S3API_UPLOAD_H

#include "s3api/object.h"

struct s3_upload {
    struct s3_key key;
    struct s3_objmeta meta;
    struct s3_conditions conditions;
    struct vfs_file *stage; /* NULL for a directory object */
    uint64_t size;
};

/* All that the request (its key, its headers) and its op->body announce, decided before the first byte. */
enum s3_error s3_upload_begin(struct s3_op *op, struct s3_upload *u);
enum s3_error s3_upload_write(struct s3_op *op, struct s3_upload *u, struct pieces p);
/* After the verdict on op->body: publishes, and sets the ETag and checksum headers of the reply. */
enum s3_error s3_upload_publish(struct s3_op *op, struct s3_upload *u);
/* What was not published leaves nothing behind. */
void s3_upload_end(struct s3_upload *u);

#endif
