/* The ranges that one owner has locked of one file (§7.18): sorted, not overlapping, neighbours of one kind and process
 * joined. Pure. Thread: any. */
#ifndef VFS_META_RANGES_H
#define VFS_META_RANGES_H

#include "base/buf.h"
#include "base/compiler.h"
#include "vfs/meta/meta.h"

#define META_RANGE_RECORD 24 /* bytes: u32 type, u32 pid, u64 start, u64 end; big-endian */

/* *out: malloc, for the caller to free; NULL when there is none. -EIO: damaged. */
MUST_USE int meta_ranges_parse(struct str records, struct meta_range_lock **out, size_t *out_count);
void meta_ranges_write(const struct meta_range_lock *ranges, size_t count, struct buf *out);
/* Sets, changes or (F_UNLCK) removes a range. out has room for count + 2; returns how many there are. */
size_t meta_ranges_set(const struct meta_range_lock *ranges, size_t count, const struct meta_range_lock *lock,
                       struct meta_range_lock *out);
/* The first of another owner's ranges that excludes the lock; NULL: none. */
const struct meta_range_lock *meta_ranges_conflict(const struct meta_range_lock *ranges, size_t count,
                                                   const struct meta_range_lock *lock);

#endif
