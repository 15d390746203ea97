/* One block in a file of the cache on disk:
 *
 *   body          the block; of encrypted volumes the object, so that nothing is on the disk in clear that was not in
 * the store u32[]         CRC32C of each piece of the body, so that a small read verifies only what it takes footer
 * which block this is, and where the index has it
 *
 * Numbers are the machine's own. A file is written once, front to back: one without a footer is still being written, or
 * its writer died. Nothing is synced; after a loss of power the checksums tell. Errors: negative errno. Thread: any. */
#ifndef VFS_DATA_DISK_FILE_H
#define VFS_DATA_DISK_FILE_H

#include "base/compiler.h"
#include "vfs/data/block.h"

/* What is verified as a whole. Larger pieces make small reads slow, smaller ones the table large. */
#define DISK_PIECE (32 * 1024u)
/* The largest block, compressed and encrypted, has a little more than 64 MiB. */
#define DISK_BODY_MAX (65 * 1024 * 1024u)
#define DISK_PIECES_MAX (DISK_BODY_MAX / DISK_PIECE)

enum disk_form { DISK_PLAIN = 1, DISK_SEALED = 2 };

/* What the end of a file says, verified. */
struct disk_file {
    uint32_t body; /* bytes */
    uint32_t slot; /* in the index; a hint, not covered by a checksum */
    uint32_t sums[DISK_PIECES_MAX];
};

/* Bytes of a file with a body of so many. */
size_t disk_file_size(uint32_t body);
/* Completes a file in memory: `file` begins with the body and has disk_file_size(body) bytes. */
void disk_file_finish(char *file, uint32_t body, const struct block_id *id, enum disk_form form, uint32_t slot);
/* -ENODATA: not complete, and young enough that somebody may be writing it. -EBADMSG: damaged, or not this block. */
MUST_USE int disk_file_look(int fd, const struct block_id *id, enum disk_form form, struct disk_file *out);
/* Bytes [from, from+size) of the body, verified. -EBADMSG: damaged. */
MUST_USE int disk_file_read(int fd, const struct disk_file *f, uint32_t from, uint32_t size, char *out);
/* Another place in the index. */
MUST_USE int disk_file_set_slot(int fd, const struct disk_file *f, uint32_t slot);

#endif
