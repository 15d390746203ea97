/* The If-* family (RFC 9110 §13, as S3 applies it). Pure. Thread: any. */
#ifndef S3API_PRECONDITION_H
#define S3API_PRECONDITION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "s3api/error.h"

struct s3_conditions {
    struct str if_match, if_none_match;                   /* ptr NULL: absent */
    struct str if_modified_since, if_unmodified_since;    /* HTTP dates; malformed ones are ignored */
    /* Deletes only. */
    bool has_size, has_modified;
    uint64_t size;      /* x-amz-if-match-size */
    int64_t modified_s; /* x-amz-if-match-last-modified-time */
};
/* Does the outcome of an If-Match or If-None-Match (value; ptr NULL: absent) tell what is in the object, not only whether there is one
 * ("*")? Then it is for those who may read it. */
bool s3_condition_tells_content(struct str value);
/* Is there a condition at all? */
bool s3_has_conditions(const struct s3_conditions *c);

/* For reads of an existing object: S3_OK, S3_NOT_MODIFIED (304) or S3_PRECONDITION_FAILED (412). If-Match true makes
 * If-Unmodified-Since void; If-None-Match false makes If-Modified-Since void. */
enum s3_error s3_check_read(const struct s3_conditions *c, struct str etag, int64_t mtime_s);
/* For copy sources: 412 for all failures. */
enum s3_error s3_check_copy_source(const struct s3_conditions *c, struct str etag, int64_t mtime_s);
/* For writes: exists false: If-Match gives S3_NO_SUCH_KEY; If-None-Match: * on an existing one S3_PRECONDITION_FAILED. Only
 * "*" is legal for If-None-Match on writes in AWS; other tags are compared (superset). */
enum s3_error s3_check_write(const struct s3_conditions *c, bool exists, struct str etag);
/* For deletes: as AWS, If-Match on what does not exist is S3_NO_SUCH_KEY, while the other conditions hold of nothing. */
enum s3_error s3_check_delete(const struct s3_conditions *c, bool exists, struct str etag, uint64_t size, int64_t mtime_s);
/* Name of the header, without a prefix, that made one of the functions above say no: for <Condition>. */
const char *s3_condition_name(const struct s3_conditions *c, struct str etag);

#endif
