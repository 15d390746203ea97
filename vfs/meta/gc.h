/* What `sluice gc` does to the metadata, beside the check (check.h). Thread: one; everything may block. */
#ifndef VFS_META_GC_H
#define VFS_META_GC_H

#include "base/job.h"
#include "vfs/meta/meta.h"

/* What waits to be deleted. */
struct meta_pending {
    uint64_t files, file_bytes;       /* deleted ones whose data is there */
    uint64_t delayed, delayed_bytes;  /* slices that compaction replaced, kept as long as the trash */
    uint64_t garbage, garbage_bytes;  /* slices that nothing mentions any more */
};
MUST_USE int meta_pending(struct meta *m, struct meta_pending *out);
/* The hourly duties of the whole cluster (§7.24), now: expired hours of the trash, clones that nobody finishes, deleted files,
 * delayed slices that are old enough. Needs the data callbacks, and a volume without a duties' thread. */
void meta_run_duties(struct meta *m, struct job *job);
/* Deletes the slices that nothing mentions. */
void meta_run_garbage(struct meta *m, struct job *job);

struct meta_compacted {
    uint64_t chunks; /* looked at: of more than one record */
    uint64_t rewritten, failed;
};
/* Rewrites every chunk that is worth it, `threads` at a time. -ECANCELED: the job was stopped; what is rewritten, stays. */
MUST_USE int meta_compact_all(struct meta *m, uint32_t threads, struct job *job, struct meta_compacted *out);

#endif
