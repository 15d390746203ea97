/* Object stores: whole objects under keys, as a JuiceFS-format volume keeps its blocks (format §2). A store is one or more
 * buckets of one driver, with the volume's name in front of every key:
 *
 *   driver  Storage  Bucket
 *   file    "file"   an absolute path; the key is put behind it as it is, so it should end in '/'
 *   s3      "s3"     http(s)://HOST[:PORT]/BUCKET or http(s)://BUCKET.HOST
 *
 * To add one: docs/howto/add-an-object-store.md.
 *
 * Here, once for all drivers: the prefix, the choice of a shard, retries, metrics. What a driver calls transient is tried
 * again with growing, random pauses, as long as the store as a whole mostly works (the retry budget).
 *
 * Errors: negative errno. -ENOENT no such object, -EACCES refused credentials or rights, -EINVAL a key that no store takes,
 * -ENXIO no such bucket, -ENOSPC a full disk, -EFBIG more bytes than there is room for, -EBADMSG bytes that do not fit their checksum, -EIO
 * anything else, also what stayed transient. store_error says more. Thread: any; all calls may block. */
#ifndef VFS_STORE_STORE_H
#define VFS_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/str.h"

/* Copied by store_open. Zero or empty means the default. */
struct store_config {
    struct str storage; /* the driver's name, any case */
    struct str bucket;  /* with shards > 1 a template with one %d */
    struct str access_key, secret_key, session_token;
    struct str storage_class;
    struct str prefix; /* "NAME/" */
    uint32_t shards;
    bool no_sync; /* file: objects need not survive a power loss (the official client never syncs) */

    uint32_t attempts_max; /* of one operation; the default is LIMIT_STORE_ATTEMPTS */
    uint32_t backoff_ms;
    uint32_t patience_ms; /* no attempt begins later after the first; bounds the stall timeout too */
    uint32_t connect_timeout_ms, stall_timeout_ms, request_timeout_ms;
};

struct store;

/* -EINVAL for a storage or bucket that cannot be; `why` gets a sentence. Contacts nobody yet. */
MUST_USE int store_open(const struct store_config *config, struct store **out, struct buf *why);
/* From now on everything goes to the storage and bucket of this configuration, with its keys and storage class; the rest, the number of
 * shards too, stays as it was. Attempts that run end where they began, and are repeated at the new place. On failure all stays. */
MUST_USE int store_change(struct store *s, const struct store_config *config, struct buf *why);
/* NULL is fine. All calls have returned. */
void store_close(struct store *s);
void store_closep(struct store **s);
/* Makes the buckets that are not there. */
MUST_USE int store_create(struct store *s);
/* Makes the buckets of shards that official clients leave to the first object, when some of the volume's are there. Where none is,
 * the whole store is missing (a disk that is not mounted), and stays so. Failures show in the operations that follow. */
void store_complete(struct store *s);

/* The object appears whole or not at all; one that is there is replaced. Durable when it returns. */
MUST_USE int store_put(struct store *s, struct str key, struct str body);
/* The whole object, of at most `capacity` bytes; compared with its checksum where it has one. */
MUST_USE int store_get(struct store *s, struct str key, char *out, size_t capacity, size_t *out_size);
/* At most `size` bytes from `offset` on; fewer only where the object ends. */
MUST_USE int store_get_range(struct store *s, struct str key, uint64_t offset, char *out, size_t size,
                             size_t *out_size);
/* An object that is not there counts as deleted. */
MUST_USE int store_delete(struct store *s, struct str key);

struct store_object {
    struct str key; /* without the volume's prefix; valid until the next call */
    uint64_t size;
    int64_t mtime_ns;
};

/* out->key is `key`. */
MUST_USE int store_head(struct store *s, struct str key, struct store_object *out);

/* Objects whose key begins with `prefix` and is greater than `after` (may be empty), in byte order, over all shards. */
struct store_scan;
struct store_scan *store_scan_open(struct store *s, struct str prefix, struct str after);
/* 1 with *out, 0 at the end. After an error only closing makes sense. */
MUST_USE int store_scan_next(struct store_scan *scan, struct store_object *out);
void store_scan_close(struct store_scan *scan);
void store_scan_closep(struct store_scan **scan);

/* Megabits of object bodies per second, in each direction, all transfers together; 0 or less: as fast as it goes. May change at any
 * time. */
void store_set_limits(struct store *s, int64_t upload_mbps, int64_t download_mbps);

/* What the driver said of the last failure of any operation: for the log and for people. */
void store_error(struct store *s, struct buf *out);

#endif
