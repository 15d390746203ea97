/* The engine's own view of a service: immutable after s3_service_new, so every worker reads it without a lock, but for the place
 * where housekeeping goes on and the caches of policies. Included by s3api/ only. Thread: any. */
#ifndef S3API_SERVICE_H
#define S3API_SERVICE_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/limits.h"
#include "s3api/s3.h"

/* Whoever sets busy owns the rest until it is cleared. Zeroed: at the beginning. */
struct s3_sweep {
    atomic_bool busy;
    char bucket[LIMIT_BUCKET_NAME_MAX + 1];
    char upload[40]; /* id of the upload that comes next */
    bool is_removing; /* that one, step by step */
};

struct s3_limits;
struct s3_oidc;
struct s3_plain_cache;
struct s3_policy_cache;
struct vfs_cred;

struct s3_service {
    struct vfs *volume;           /* borrowed */
    struct auth_live *identities; /* borrowed */
    struct str region, domain, single_bucket;
    const struct vfs_cred *anonymous; /* NULL: the process itself */
    bool sigv2, read_only, block_public_access;
    bool has_trusted_records;    /* bucket_record.c */
    _Atomic(uint64_t) foreign_noted; /* which planted folder the log named last */
    enum s3_ownership ownership;
    uint64_t upload_expiry_s;
    struct arena *texts; /* holds the strings above */
    struct s3_policy_cache *policies;
    struct s3_oidc *oidc;
    struct s3_plain_cache *plain;
    struct s3_limits *limits;
    s3_both_fn both; /* or NULL */
    struct s3_sweep sweep;
};

/* Bucket-level documents and the bucket record live here, unreachable by any key. */
#define S3_RESERVED_DIR ".sluice"

#endif
