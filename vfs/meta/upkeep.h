/* What the files about data, space and sessions share beside internal.h. Not for use outside vfs/meta and its tests. */
#ifndef VFS_META_UPKEEP_H
#define VFS_META_UPKEEP_H

#include "vfs/meta/internal.h"
#include "vfs/meta/slices.h"

/* A file's length changes (growth.c) --------------------------------------------------------------------------------- */

struct meta_growth {
    int64_t length, space;
    uint32_t uid, gid;
    struct buf parents; /* struct growth_parent each */
};
/* Says whether the file may grow to `length` where the volume has limits at all (advisory, §7.22): before the
 * transaction, whose lock it would prolong. */
MUST_USE int meta_growth_check(struct meta *m, meta_ino ino, uint64_t length);
/* In the transaction, before its writes: what growing from attr->length to `length` means, and for whom. Sets attr->length.
 * *g: begun with meta_growth_begin at each try. */
void meta_growth_begin(struct meta_growth *g);
MUST_USE int meta_growth_read(struct meta_txn *t, meta_ino ino, struct meta_attr *attr, uint64_t length,
                              struct meta_growth *g);
/* After the commit. */
void meta_growth_apply(struct meta *m, struct meta_growth *g);
void meta_growth_done(struct meta_growth *g);

/* Reads a regular file's node with lock; -EPERM for what else there is and for files with one of the flags. */
MUST_USE int meta_file_get(struct meta_txn *t, meta_ino ino, unsigned forbidden_flags, struct meta_attr *out);
/* A chunk's list; an absent one is empty. */
MUST_USE int meta_chunk_list(struct meta_txn *t, meta_ino ino, uint32_t indx, bool lock, struct meta_slice **out,
                             size_t *out_count);
/* Appends a new slice, which is mentioned for the first time. */
MUST_USE int meta_chunk_add(struct meta_txn *t, meta_ino ino, uint32_t indx, const struct meta_slice *s);
/* Appends one record of zeros. */
MUST_USE int meta_chunk_zero(struct meta_txn *t, meta_ino ino, uint32_t indx, uint32_t pos, uint32_t len);

/* Slices that nobody needs (reclaim.c) --------------------------------------------------------------------------------- */

/* Each slice of the list is mentioned once less. */
MUST_USE int meta_refs_drop(struct meta_txn *t, const struct meta_slice *list, size_t count);
/* After the commit: deletes the blocks of those that are mentioned nowhere any more. What does not work is found again
 * by the hourly duty. */
void meta_refs_reclaim(struct meta *m, const struct meta_slice *list, size_t count);
/* The chunks of a file whose node has gone, then its delfile record. -EIO and others: some are left. */
MUST_USE int meta_reclaim_file(struct meta *m, meta_ino ino, uint64_t length);
/* Slices of count <= 0. */
void meta_reclaim_garbage(struct meta *m);
/* Files deleted, and slices put off, before the time. */
void meta_reclaim_deleted_files(struct meta *m, int64_t before_s);
void meta_reclaim_delayed(struct meta *m, int64_t before_s);
/* Clones begun before the time. */
void meta_reclaim_detached(struct meta *m, int64_t before_s);
/* Sub-directories of the trash for hours that ended before the time. */
void meta_trash_expire(struct meta *m, int64_t before_s);

/* Compaction (compact.c): a no-op without the callback ----------------------------------------------------------------- */

MUST_USE int meta_compact_chunk(struct meta *m, meta_ino ino, uint32_t indx);

/* Usage (quota.c) -------------------------------------------------------------------------------------------------------- */

struct meta_quotas *meta_quotas_new(void);
void meta_quotas_free(struct meta_quotas *q);
/* Reads counters and quotas of the volume; at open and every heartbeat. */
MUST_USE int meta_quotas_load(struct meta *m);
/* Is anything limited, so that growth must be checked? */
bool meta_quotas_any(struct meta *m);
/* Writes what was gathered: volume and directories; quotas. Kept for the next time when that fails. */
void meta_usage_flush_volume(struct meta *m);
void meta_usage_flush_quotas(struct meta *m);
/* Bytes and nodes of the volume, with what is not written yet. */
void meta_usage_volume(struct meta *m, int64_t *out_space, int64_t *out_inodes);
/* The cached quota of a directory with what is not written yet; false: none. */
bool meta_quota_cached(struct meta *m, meta_ino dir, struct meta_quota *out);
/* A directory's statistics by reading its entries (space.c). */
MUST_USE int meta_dir_count(struct meta_txn *t, meta_ino dir, struct meta_dir_stat *out);

/* Sessions and duties (session.c, duties.c, hourly.c) ------------------------------------------------------------------------------ */

/* Starts the heartbeat, unless options say so also the duties; the session's record exists only when not read-only. */
MUST_USE int meta_session_start(struct meta *m);
/* Ends both, flushes, gives up the session. */
void meta_session_stop(struct meta *m);
/* Removes a session that ended: its locks, its unlinked files, its record. */
MUST_USE int meta_session_clean(struct meta *m, uint64_t sid);
/* Takes the setting record over. -ENODATA: not formatted. */
MUST_USE int meta_settings_reload(struct meta *m, struct buf *error);
/* One heartbeat. */
void meta_session_beat(struct meta *m);

/* Starts the thread that works off what is queued, and calls `hourly` once an hour. */
void meta_duties_start(struct meta *m, void (*hourly)(struct meta *m));
/* Waits for the piece of work that runs; what is queued, other clients find. */
void meta_duties_stop(struct meta *m);
bool meta_duties_stopping(struct meta *m);
/* Queues work for the duties' thread. false: there is none, or too much is waiting. */
bool meta_duties_delete_file(struct meta *m, meta_ino ino, uint64_t length);
bool meta_duties_compact(struct meta *m, meta_ino ino, uint32_t indx);
/* The hourly ones; each runs once an hour in the whole cluster (§7.24). */
void meta_hourly(struct meta *m);
/* Is it our turn (§4.4 setIfSmall)? 1 or 0. */
MUST_USE int meta_lease_take(struct meta *m, const char *counter, int64_t period_s);

#endif
