/* What store.c and store_scan.c share. Thread: as store.h. */
#ifndef VFS_STORE_STORE_INTERNAL_H
#define VFS_STORE_STORE_INTERNAL_H

#include "vfs/store/store_driver.h"

/* Names of the metrics' `verb` label too. */
enum store_verb { STORE_PUT, STORE_GET, STORE_HEAD, STORE_DELETE, STORE_LIST, STORE_CREATE, STORE_VERB_COUNT };

/* One attempt of an operation; `call` is the caller's own. */
typedef int (*store_attempt_fn)(struct store_driver *d, void *call, struct buf *why);

/* Attempts until one succeeds, fails for good, or none is left; counts and measures. */
MUST_USE int store_run(struct store *s, uint32_t shard, enum store_verb verb, store_attempt_fn attempt, void *call);
uint32_t store_shard_count(const struct store *s);
/* prefix ‖ key into `out`, a buffer over at least LIMIT_STORE_KEY_BYTES bytes. -EINVAL when too long. */
MUST_USE int store_full_key(const struct store *s, struct str key, struct buf *out);
struct str store_prefix(const struct store *s);

#endif
