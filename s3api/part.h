/* Parts of an upload: their records, and where their bytes go.
 *
 * A part's place is (number - 1) * unit in data.<unit>. Which unit (part.c, choose_unit): the part's own size when such
 * a layout exists; else the largest unit so far when the part is smaller (the last part usually is); else its own size
 * makes a new layout. So equal parts find their places whatever number comes first and however many begin at once, and
 * the worst that a short last part can do, by coming first, is to lie in a layout of its own: one part's bytes for
 * Complete to move.
 *
 * Invariants
 * 1. [(n - 1) * U, n * U) of data.U holds bytes of part n only.
 * 2. One writer: only who holds the exclusive lock of the empty file that has the name part.NNNNN writes to part N's
 *    places. A crash frees the lock, and with it the places. Anybody else writes a file of its own, aside.<random>.
 * 3. Bytes that a record names never change: nobody gets a place of a part that has a record, and names of aside files
 *    are used once. Records are replaced, never removed: s3_part_drop leaves one that says "no such part".
 * 4. A record gets its name after the bytes are on stable storage.
 * 5. A writer holds the shared lock of data.U from before its first byte until its record has its name. Complete's
 *    exclusive lock therefore means that no writer is there; and as it lasts until data.U has lost its name here, none
 *    comes.
 * 6. Nobody writes to a data.U with a second link: it is published already (a crash kept Complete from removing the
 *    folder).
 *
 * Thread: worker; one slot by one at a time. Errors: negative errno. */
#ifndef S3API_PART_H
#define S3API_PART_H

#include "s3api/checksum.h"
#include "vfs/vfs.h"

#define S3_PART_FILE_SIZE 40

struct s3_part {
    uint32_t number;
    uint64_t size;
    uint8_t md5[16];
    int64_t time_ns;
    struct s3_checksum checksum; /* what the object's checksum is made of */
    struct s3_checksum extra; /* of another kind, sent for an upload that chose none: only compared again by Complete */
    char file[S3_PART_FILE_SIZE]; /* of the upload's folder */
    uint64_t offset;
};

/* -ENOENT: no such part (yet). -EBADMSG. */
MUST_USE int s3_part_read(struct vfs_dir *upload, uint32_t number, struct s3_part *out);
/* Durably makes the part one that was never uploaded. */
MUST_USE int s3_part_drop(struct vfs_dir *upload, uint32_t number);
/* Same bytes, at the same place? */
bool s3_part_eq(const struct s3_part *a, const struct s3_part *b);
/* Names of records, to scan the folder from, and back: false for other files. */
#define S3_PART_NAME_SIZE sizeof("part.00000")
struct str s3_part_name(uint32_t number, char out[S3_PART_NAME_SIZE]);
bool s3_part_name_parse(struct str name, uint32_t *out_number);
/* Is it a data file, as opposed to one that holds one part only? */
bool s3_part_file_is_data(const char *file);
/* Of a data file: nobody but its name in this folder knows it (invariant 6). */
MUST_USE int s3_part_file_is_ours(struct vfs_dir *upload, const char *file, const struct vfs_attr *opened);

/* A part on its way. */
struct s3_part_slot {
    struct vfs_dir *upload; /* borrowed */
    uint32_t number;
    uint64_t size;         /* announced */
    uint64_t done;         /* written */
    struct vfs_file *file; /* bytes go to [offset, +size) */
    char name[S3_PART_FILE_SIZE];
    uint64_t offset;
    struct vfs_file *claim; /* NULL: aside */
    bool is_recorded;
};

/* -ENOENT: the upload has ended. */
MUST_USE int s3_part_begin(struct s3_part_slot *s, struct vfs_dir *upload, uint32_t number, uint64_t size);
/* -EFBIG past the announced size. */
MUST_USE int s3_part_write(struct s3_part_slot *s, struct pieces p);
/* Makes the part durable and records it; fills number, size, time and place of *p. All bytes must be there. */
MUST_USE int s3_part_record(struct s3_part_slot *s, struct s3_part *p);
/* Always, also of a zeroed slot: what was not recorded leaves nothing. */
void s3_part_end(struct s3_part_slot *s);

#endif
