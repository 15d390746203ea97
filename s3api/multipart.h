/* Multipart uploads, durable in the bucket: .sluice/uploads/<upload id>/
 *
 *   upload        record: key, owner, metadata, checksum algorithm and type, time
 *   data          the object in the making; equal parts lie at (number - 1) * unit
 *   unit          the part size that `data` is laid out by, written once (VFS_OPEN_EXCLUSIVE: two gateways agree)
 *   part.NNNNN    empty: claimed by an upload in progress; else the part's record: size, ETag, checksum, and where the bytes
 *                 are: at their offset in data, or in a file of their own
 *   aside.NNNNN.* the bytes of a part that does not fit its place (a size of its own, or uploaded again)
 *
 * Rules that keep a published object whole: whoever writes into `data` holds it open with a shared vfs_lock; Complete takes the
 * exclusive one, and when that is refused assembles into a fresh staging file instead. A claim lets one writer only into a
 * part's place; a later upload of the same part goes aside, its record replaces the former by rename.
 * Thread: worker. */
#ifndef S3API_MULTIPART_H
#define S3API_MULTIPART_H

#include "s3api/objmeta.h"
#include "s3api/op.h"

#define S3_UPLOAD_ID_LEN 32 /* lower-case hex of 128 random bits */

struct s3_upload {
    struct str id, key, owner_id, initiator_id;
    int64_t initiated_ns;
    enum s3_checksum_kind checksum; /* NONE: the client chose none */
    bool checksum_composite;
    struct s3_objmeta meta; /* content headers, user metadata and tags for the object to be */
};

/* S3_NO_SUCH_UPLOAD for unknown, malformed or foreign ids (the key must be the upload's own). */
enum s3_error s3_upload_open(struct s3_op *op, struct str upload_id, struct str key, struct s3_upload *out);
/* Removes the upload's folder and all in it. */
enum s3_error s3_upload_remove(struct s3_op *op, struct vfs_dir *bucket, struct str upload_id);

#endif
