/* Names: bucket grammar, key ↔ path, reserved names. A key is a path, literally; what POSIX cannot hold is refused, never
 * normalised (design §4). Pure. Thread: any. */
#ifndef S3API_KEY_H
#define S3API_KEY_H

#include <stdbool.h>

#include "base/str.h"
#include "s3api/error.h"

/* AWS "Bucket naming rules": 3-63 of a-z 0-9 . -, letter or digit at both ends, no "..", not an IPv4 address, no
 * "xn--" prefix, no "-s3alias" suffix …. */
bool s3_bucket_name_is_valid(struct str name);

struct s3_key {
    struct str key;
    struct str path;   /* key without its trailing '/' */
    bool is_directory; /* the key ends in '/' */
};
/* S3_KEY_TOO_LONG, S3_INVALID_ARGUMENT (with the reason in *out_reason: static text), S3_INVALID_URI for bad UTF-8.
 * Reserved: any segment ".sluice" or starting with ".sluice-"; first segments .sys .trash .minio.sys.
 * S3_ACCESS_DENIED for those. */
enum s3_error s3_key_parse(struct str key, struct s3_key *out, const char **out_reason);
/* Is this directory entry ours, not the users'? */
bool s3_name_is_reserved(struct str segment, bool at_bucket_root);

#endif
