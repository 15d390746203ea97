/* The engine's own view of a service: immutable after s3_service_new, so every worker reads it without a lock.
 * Included by s3api/ only. Thread: any. */
#ifndef S3API_SERVICE_H
#define S3API_SERVICE_H

#include "base/arena.h"
#include "s3api/s3.h"

struct s3_service {
    struct vfs *volume;           /* borrowed */
    struct auth_live *identities; /* borrowed */
    struct str region, domain, single_bucket;
    bool sigv2, read_only;
    uint64_t upload_expiry_s;
    struct arena *texts; /* holds the strings above */
};

/* Bucket-level documents and the bucket record live here, unreachable by any key. */
#define S3_RESERVED_DIR ".sluice"

#endif
