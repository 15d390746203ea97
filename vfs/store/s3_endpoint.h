/* The Bucket of an S3 volume taken apart, by the rules of the official client (pkg/object/s3.go):
 *   http://HOST[:PORT]/BUCKET      any compatible store
 *   http://BUCKET.HOST[:PORT]      the same
 *   https://BUCKET.s3.REGION.amazonaws.com and https://s3.REGION.amazonaws.com/BUCKET: AWS, always by virtual host
 * Without a scheme, https for AWS and http for others. Compatible stores are spoken to by path unless virtual hosts are asked
 * for. Parameters behind '?' are the client's: tls-insecure-skip-verify, ca-certs, ssl-cert, ssl-key, disable-checksum.
 * Pure. Thread: any. */
#ifndef VFS_STORE_S3_ENDPOINT_H
#define VFS_STORE_S3_ENDPOINT_H

#include <stdbool.h>

#include "auth/query.h"
#include "base/arena.h"
#include "base/compiler.h"
#include "base/str.h"

struct s3_endpoint {
    bool tls;
    struct str host;   /* as in the Host header, with the port when it was given, with the bucket when `by_host` */
    struct str bucket;
    struct str region; /* the default one when the name does not say */
    bool by_host;      /* the bucket is in the host, not in the path */
    struct auth_query parameters;
};

/* False when it is none; the texts are the arena's. */
MUST_USE bool s3_endpoint_parse(struct str bucket, bool virtual_hosts, struct str default_region, struct arena *arena,
                                struct s3_endpoint *out);

#endif
