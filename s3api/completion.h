/* What a CompleteMultipartUpload request says, held against what was uploaded: the list of parts, the object's size and
 * checksum; and what follows from both, the object's ETag and checksum. No I/O. Thread: worker. */
#ifndef S3API_COMPLETION_H
#define S3API_COMPLETION_H

#include "s3api/multipart.h"
#include "s3api/part.h"

struct s3_listed_part {
    uint32_t number;
    struct str etag; /* without quotes */
    struct s3_checksum checksum;
};

struct s3_completion {
    struct s3_listed_part *listed; /* ascending */
    size_t count;
    bool has_size;
    uint64_t size;               /* x-amz-mp-object-size */
    struct s3_checksum checksum; /* x-amz-checksum-*, part_count 0 when it names none */
};

/* The headers; of an upload that exists. */
enum s3_error s3_completion_read_headers(struct s3_op *op, const struct s3_upload *u, struct s3_completion *c);
/* The body: at least one part, in order. */
enum s3_error s3_completion_read_list(struct s3_op *op, struct s3_completion *c);
/* Is the i-th listed part what was uploaded? part NULL: nothing was. */
enum s3_error s3_completion_check_part(struct s3_op *op, const struct s3_upload *u, const struct s3_completion *c,
                                       size_t i, const struct s3_part *part);
/* Sets etag, checksum, parts and upload_id of the object's metadata, and checks them against the headers. */
enum s3_error s3_completion_result(struct s3_op *op, const struct s3_upload *u, const struct s3_completion *c,
                                   const struct s3_part *parts, struct s3_objmeta *meta);

#endif
