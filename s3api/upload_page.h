/* One page of ListMultipartUploads, picked out of uploads that come in any order: the first `max` of them by key, those
 * of one key by id (and so by time). Memory: at most LIMIT_LIST_KEYS keys, about 1 MiB, however many uploads there are.
 * Pure. Thread: one at a time. */
#ifndef S3API_UPLOAD_PAGE_H
#define S3API_UPLOAD_PAGE_H

#include <stdbool.h>

#include "base/str.h"
#include "s3api/multipart.h"

struct s3_upload_page {
    size_t max, count;
    bool is_truncated;
    struct s3_upload_row {
        struct str key; /* or the common prefix */
        bool is_prefix;
        char id[S3_UPLOAD_ID_LEN]; /* unless is_prefix */
    } * *rows;                     /* owned, in order */
};

void s3_upload_page_init(struct s3_upload_page *p, size_t max);
/* id of S3_UPLOAD_ID_LEN bytes, or empty: key is a common prefix, kept once however often it comes. */
void s3_upload_page_add(struct s3_upload_page *p, struct str key, struct str id);
/* Also of a zeroed one. */
void s3_upload_page_done(struct s3_upload_page *p);

#endif
