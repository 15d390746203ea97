/* Extended attributes in a SQLite database, for filesystems that have none, or no room for a large one. Keyed by inode number and birth time, since
 * numbers are used again; where there is no birth time, whoever removes a file through us takes its rows along.
 * The database is <state>/xattrs.db. Thread: any. */
#ifndef VFS_DIR_SIDECAR_H
#define VFS_DIR_SIDECAR_H

#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/str.h"

struct sidecar;
struct sidecar_key {
    uint64_t ino;
    int64_t btime_ns;
};

/* shared_fs: other hosts may have the filesystem mounted, so that a write-ahead log in shared memory cannot be used.
 * durable: sets are on stable storage at the latest after sidecar_log_fd was synced. */
MUST_USE int sidecar_open(const char *path, bool shared_fs, bool durable, struct sidecar **out);
void sidecar_close(struct sidecar *s);
/* What to sync for all sets so far to last; -1: they do already. Borrowed. */
int sidecar_log_fd(const struct sidecar *s);

/* Appends; -ENODATA. */
MUST_USE int sidecar_get(struct sidecar *s, struct sidecar_key key, const char *name, struct buf *out);
/* -E2BIG above LIMIT_OBJECT_RECORD_BYTES. */
MUST_USE int sidecar_set(struct sidecar *s, struct sidecar_key key, const char *name, struct str value);
/* As sidecar_set, unless there is a value already. */
MUST_USE int sidecar_add(struct sidecar *s, struct sidecar_key key, const char *name, struct str value);
/* Absent is fine. */
MUST_USE int sidecar_remove(struct sidecar *s, struct sidecar_key key, const char *name);
/* All of the node's, best effort: rows left behind never match another node. */
void sidecar_forget(struct sidecar *s, struct sidecar_key key);

#endif
