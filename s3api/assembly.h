/* From the parts that Complete lists to one file of their bytes, moving as few as can be.
 *
 * In place: when one data file holds parts exactly where the object has them, and none elsewhere that is listed, it
 * becomes the object itself: what lies outside of it is cloned into its gaps, and it is cut to the object's size. It
 * takes its exclusive lock (part.h, invariant 5). Otherwise, or when a writer is in the way, everything is cloned into
 * a fresh staging file.
 *
 * A crash at any point leaves an upload that can be completed by the same list: in place, only bytes change that no
 * record of a listed part names. Records of parts that are not listed, and whose bytes will be overwritten or cut off,
 * are dropped first, durably, so that no later Complete takes what is left for theirs.
 *
 * Thread: worker. Errors: negative errno. */
#ifndef S3API_ASSEMBLY_H
#define S3API_ASSEMBLY_H

#include "s3api/part.h"

struct s3_assembly {
    struct vfs_dir *upload;      /* borrowed */
    const struct s3_part *parts; /* borrowed; in the object's order */
    size_t count;
    uint64_t size;                  /* the object's */
    struct vfs_file *file;          /* what will be published; owned */
    char target[S3_PART_FILE_SIZE]; /* its name when in place; empty: a fresh one */
    bool is_cleared;                /* of unlisted parts */
    uint32_t cleared_to;
    size_t next; /* part being moved, its first byte's place, and how many of its bytes are there */
    uint64_t next_offset, next_done;
    struct vfs_file *source;
    char source_name[S3_PART_FILE_SIZE];
    uint64_t moved; /* bytes, for tests and metrics */
};

/* Decides. file NULL afterwards: the caller must put an empty staging file there (owned from then on). -ENODATA: the
 * data file has lost bytes that records name. */
MUST_USE int s3_assembly_begin(struct s3_assembly *a, struct vfs_dir *upload, const struct s3_part *parts,
                               size_t count);
/* One bounded step. 1: there is more; 0: file holds the object. -ESTALE: a listed part was uploaded again meanwhile,
 * read the records anew. */
MUST_USE int s3_assembly_step(struct s3_assembly *a);
/* Always, also of a zeroed one. In place, the exclusive lock ends here: the file's name in the folder must be gone when
 * it was published. */
void s3_assembly_end(struct s3_assembly *a);

#endif
