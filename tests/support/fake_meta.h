/* Metadata for tests of vfs/data: files as lists of slice records in memory, overlaid as the format says (§3.3). */
#ifndef TESTS_SUPPORT_FAKE_META_H
#define TESTS_SUPPORT_FAKE_META_H

#include "vfs/data/data_internal.h"

struct fake_meta;
struct fake_meta *fake_meta_new(void);
void fake_meta_free(struct fake_meta *m);
struct data_source fake_meta_source(struct fake_meta *m);

/* Called within write_slice, before it takes effect; not 0: the commit's result. May look at the store. */
typedef int (*fake_commit_fn)(void *arg, meta_ino ino, uint32_t indx, const struct meta_slice *slice);
void fake_meta_on_commit(struct fake_meta *m, fake_commit_fn fn, void *arg);
/* Records so far, and the i-th one: what was committed, in order; pos is its place in the chunk. */
size_t fake_meta_count(struct fake_meta *m);
struct meta_slice fake_meta_record(struct fake_meta *m, size_t i, meta_ino *out_ino, uint32_t *out_indx);
/* Adds a record as another client would. */
void fake_meta_add(struct fake_meta *m, meta_ino ino, uint32_t indx, struct meta_slice record);
/* Removes all records of a file. */
void fake_meta_clear(struct fake_meta *m, meta_ino ino);
/* Calls of read_chunk so far. */
unsigned fake_meta_reads(struct fake_meta *m);

#endif
