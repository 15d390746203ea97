/* Media types by file-name extension: for files that came in through POSIX, where nobody said what they are. Pure.
 * Thread: any. */
#ifndef S3API_CONTENT_TYPE_H
#define S3API_CONTENT_TYPE_H

#include "base/str.h"

#define S3_CONTENT_TYPE_DEFAULT "binary/octet-stream"
#define S3_CONTENT_TYPE_DIRECTORY "application/x-directory"

/* By the extension of the key's last segment, in any case; S3_CONTENT_TYPE_DIRECTORY for a key that ends in '/',
 * S3_CONTENT_TYPE_DEFAULT when unknown. */
const char *s3_content_type_of(struct str key);

#endif
