/* The algebra of a chunk's slice records (§3): pure functions over lists. Later records hide earlier ones where they overlap;
 * where there is none are zeros. Thread: any. */
#ifndef VFS_META_SLICES_H
#define VFS_META_SLICES_H

#include "base/buf.h"
#include "base/compiler.h"
#include "vfs/meta/attr.h"

#define META_SLICE_RECORD 24 /* bytes, §3.2 */

/* Appends one record. */
void meta_slice_add(struct buf *out, const struct meta_slice *s);
/* The record at p, sound or not. */
struct meta_slice meta_slice_read(const char *p);
/* The records of a chunk as they came. *out: malloc, for the caller to free, NULL when there are none. -EIO: damaged (§3.2). */
MUST_USE int meta_slices_parse(struct str records, struct meta_slice **out, size_t *out_count);

/* The slices of a delayed record (§3.8), each with its size alone. *out: malloc, for the caller to free. -EIO: damaged, or empty. */
MUST_USE int meta_delayed_parse(struct str bytes, struct meta_slice **out, size_t *out_count);

/* How `count` records overlay each other: sorted by pos, not overlapping, gaps left out. out has room for 2 * count pieces;
 * returns how many there are. */
size_t meta_slices_resolve(const struct meta_slice *list, size_t count, struct meta_slice *out);
/* The same for the part [pos, pos + len) of the chunk, all of it: gaps and unknown parts are pieces of id 0. out has room for
 * 4 * count + 1 pieces. */
size_t meta_slices_cover(const struct meta_slice *list, size_t count, uint32_t pos, uint32_t len, struct meta_slice *out);

/* What is worth rewriting as one new slice (§3.9). */
struct meta_compaction {
    size_t skipped;    /* records at the list's beginning that stay */
    uint32_t pos;      /* of the new slice in the chunk */
    uint32_t size;     /* and its length */
    struct meta_slice *pieces; /* its content, without gaps (id 0: zeros); malloc, for the caller to free */
    size_t piece_count;
};
/* false: nothing is. */
MUST_USE bool meta_slices_plan(const struct meta_slice *list, size_t count, struct meta_compaction *out);

#endif
