/* Which slices the lists of a volume mention, and how often: gathered in any order, then read in the order of their ids. Volumes
 * have hundreds of millions of them, so that memory holds one run; sorted runs go to a temporary file without a name ($TMPDIR,
 * /var/tmp or /tmp) and are merged into another, of 16 bytes a slice: 1.6 GB for 10^8. Beside the runs, memory holds one id
 * for 256 slices.
 *
 * Thread: one while gathering; any number once sorted. */
#ifndef VFS_META_MENTIONS_H
#define VFS_META_MENTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct meta_mention {
    uint64_t id;
    uint32_t size;
    uint32_t count : 31;
    uint32_t needed : 1; /* by something that can be read: its blocks must be there */
};

struct meta_mentions;

/* memory: bytes for a run, at least a few records; 0: LIMIT_META_MENTIONS_BYTES. */
struct meta_mentions *meta_mentions_new(size_t memory);
/* NULL is fine. */
void meta_mentions_free(struct meta_mentions *x);
/* One more mention. -ENOSPC and others of the temporary file. */
MUST_USE int meta_mentions_add(struct meta_mentions *x, uint64_t id, uint32_t size, bool needed);
/* All are there: from now on they are read. */
MUST_USE int meta_mentions_sort(struct meta_mentions *x);
/* Slices: pairs of (id, size), ascending. */
uint64_t meta_mentions_count(const struct meta_mentions *x);
/* `count` of them from `index` on. */
MUST_USE int meta_mentions_read(const struct meta_mentions *x, uint64_t index, size_t count, struct meta_mention *out);
/* *out_index: that of the first whose id is not below `id`; meta_mentions_count when there is none. */
MUST_USE int meta_mentions_seek(const struct meta_mentions *x, uint64_t id, uint64_t *out_index);
/* Is the slice (of any size) mentioned? 1 with the first one in *out, or 0. */
MUST_USE int meta_mentions_find(const struct meta_mentions *x, uint64_t id, struct meta_mention *out);

#endif
