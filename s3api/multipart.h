/* Multipart uploads, durable in the bucket: .sluice/uploads/<upload id>/
 *
 *   upload        record: key, owner, what was asked for, metadata, checksum algorithm and type, time
 *   data.<unit>   the object in the making: part n lies at (n - 1) * unit; more than one only when a part came that was
 *                 larger than all before
 *   unit          the largest unit so far: a hint, where smaller parts go
 *   part.NNNNN    the part's record: size, ETag, checksums, and where the bytes are; empty: nothing yet, or an upload
 *                 in progress that holds its exclusive vfs_lock and so alone may write to the part's place
 *   aside.*       the bytes of a part that does not get its place (uploaded again, or twice at a time)
 *
 * Rules that keep a published object whole: whoever writes into a data file holds it open with a shared vfs_lock;
 * Complete takes the exclusive one, and when that is refused assembles into a fresh staging file instead. One writer
 * only gets a part's place, and once its record is there those bytes never change; a later upload of the part goes
 * aside, its record replaces the former by rename. part.h and assembly.h say more.
 *
 * The record `upload` is the upload's existence: it comes last when the folder is made and goes first. Whoever ends the
 * upload (Complete, Abort, housekeeping) holds its exclusive vfs_lock meanwhile.
 *
 * Thread: worker. */
#ifndef S3API_MULTIPART_H
#define S3API_MULTIPART_H

#include "s3api/objmeta.h"
#include "s3api/op.h"
#include "s3api/service.h"

/* Lower-case hex: 64 bits of the time of Create in nanoseconds, so that ids of one key sort by time (what
 * ListMultipartUploads promises), then 64 random bits. Ids are no secrets: every operation is authorised by itself. */
#define S3_UPLOAD_ID_LEN 32
#define S3_UPLOADS_DIR S3_RESERVED_DIR "/uploads"

struct s3_upload {
    struct vfs_dir *dir; /* the upload's folder */
    struct str id, key, owner_id, initiator_id;
    int64_t initiated_ns;
    enum s3_checksum_kind checksum; /* NONE: the client chose none */
    bool checksum_composite;
    struct s3_objmeta meta; /* content headers, user metadata and tags for the object to be */
    struct s3_pairs asked;  /* what policies ask of its beginning (s3_access_object_headers) */
};

/* What the object's checksum is of: an upload without an algorithm gets the one that S3 adds by itself. */
static inline enum s3_checksum_kind s3_upload_sum_kind(const struct s3_upload *u)
{
    return u->checksum == S3_CHECKSUM_NONE ? S3_CHECKSUM_CRC64NVME : u->checksum;
}

/* Makes the folder and the record of all that *u says; sets id, initiated_ns and dir. */
enum s3_error s3_upload_create(struct s3_op *op, struct s3_upload *u);
/* S3_NO_SUCH_UPLOAD for unknown, malformed or foreign ids (the key must be the upload's own). Of somebody else's upload also what
 * s3_object_may_write says of its key. */
enum s3_error s3_upload_open(struct s3_op *op, struct str upload_id, struct str key, struct s3_upload *out);
/* Closes the folder. Also of an upload that was not opened (zeroed). */
void s3_upload_close(struct s3_upload *u);
/* Removes the upload's folder and all in it. */
enum s3_error s3_upload_remove(struct s3_op *op, struct vfs_dir *bucket, struct str upload_id);

/* What follows knows no request: errors are negative errno. */

/* The record's file, locked exclusively: -EAGAIN while somebody else ends the upload, -ENOENT when it is gone. */
MUST_USE int s3_upload_lock(struct vfs_dir *upload, struct vfs_file **out);
/* Removes up to `budget` files of an upload, the record first, then the folder. 1: there is more; 0: it is gone;
 * -ENOTEMPTY: it holds what is not ours to remove yet (leavings of a crash, which the volume removes in time). */
MUST_USE int s3_upload_discard(struct vfs_dir *bucket, struct str upload_id, size_t budget);
/* The record alone, for listings: strings in the arena, dir NULL. -ENOENT; -EBADMSG: not a record. */
MUST_USE int s3_upload_read(struct vfs_dir *uploads, struct str upload_id, struct arena *arena, struct s3_upload *out);
bool s3_upload_id_is_valid(struct str id);
/* Writes or replaces a file of the folder, whole or not at all, durably. */
MUST_USE int s3_upload_write_file(struct vfs_dir *upload, struct str name, struct str bytes);
/* A whole small file; -ENOENT, -EBADMSG when it is larger than out's maximum. */
MUST_USE int s3_upload_read_file(struct vfs_dir *upload, struct str name, struct buf *out);

/* One bounded piece of housekeeping: removes uploads older than the service's upload_expiry_s, and folders that have no
 * record (left by a crash, or by a Complete that did not wait for their removal). True when there is more to do now. */
bool s3_multipart_housekeep(struct s3_service *s);

#endif
