/* An object's metadata ↔ one packed extended attribute, "user.sluice", with a validator (size and mtime of the file it
 * describes), so that a change made through POSIX is noticed: ETag, checksums and part sizes are then void, while type, user
 * metadata and tags stay. Binary: version byte, then tag-length-value fields; unknown fields are refused by version, known
 * ones bounded. Pure apart from load and store. Thread: worker. */
#ifndef S3API_OBJMETA_H
#define S3API_OBJMETA_H

#include "base/arena.h"
#include "base/buf.h"
#include "s3api/checksum.h"
#include "s3api/content_type.h"
#include "vfs/vfs.h"

#define S3_OBJMETA_XATTR "user.sluice"

struct s3_pair {
    struct str name, value;
};
struct s3_pairs {
    struct s3_pair *items;
    size_t count;
};

struct s3_part_info {
    uint32_t number; /* as uploaded; numbers may have gaps */
    uint64_t size;
    struct s3_checksum checksum; /* kind S3_CHECKSUM_NONE: none kept */
};

struct s3_objmeta {
    struct str etag; /* without quotes; 32 hex, or 32 hex "-N" */
    struct s3_checksum checksum;
    struct str content_type, cache_control, content_disposition, content_encoding, content_language, expires;
    struct str website_redirect, storage_class;
    struct str owner_id; /* who wrote it, where objects are their writers'; empty: the bucket's owner */
    struct str acl;      /* packed (acl.h); empty: private */
    struct s3_pairs user; /* names in lower case without "x-amz-meta-", values as sent */
    struct s3_pairs tags;
    struct s3_part_info *parts; /* of a multipart object, in order */
    size_t part_count;
    struct str upload_id; /* of the multipart upload that made it: Complete can be repeated */
    /* When S3 wrote the object: its Last-Modified. The file's own mtime is another thing when a client keeps its files' times
     * (dialect.h), when only metadata was changed, or for directories. 0 when encoding: the file's mtime. */
    int64_t modified_ns;
    /* The validator may fit this mtime too, 0: none. It lets metadata and mtime change together without a moment, or a crash,
     * in which the record describes neither state. Decoding leaves it 0. */
    int64_t next_mtime_ns;
    /* The inode's attributes as they were when a foreign dialect's were applied to it, so that a later change through POSIX is
     * seen (dialect.h). */
    struct s3_posix_note {
        bool set;
        uint32_t mode, uid, gid;
    } posix;
    bool fresh; /* after load: the validator fits; false: etag is derived, checksum and parts are empty */
};

/* Decodes against the file's present attributes; record empty (no xattr): everything derived: etag from inode, size and mtime
 * ("<32 hex>-1", never an MD5's form), type from the name (key). Unreadable bytes count as absent. A directory has no bytes that
 * could change: its record always fits, its etag is that of nothing. Strings live in the arena. */
void s3_objmeta_decode(struct str record, const struct vfs_attr *attr, struct str key, struct arena *arena,
                       struct s3_objmeta *out);
/* Appends the record. attr gives the validator. An empty etag is not kept but derived again when decoding. */
void s3_objmeta_encode(const struct s3_objmeta *m, const struct vfs_attr *attr, struct buf *out);
/* Of an open file. */
int s3_objmeta_load(struct vfs_file *f, const struct vfs_attr *attr, struct str key, struct arena *arena,
                    struct s3_objmeta *out);
/* Onto a file whose data are complete: reads its attributes for the validator. */
int s3_objmeta_store(struct vfs_file *f, const struct vfs_cred *cred, const struct s3_objmeta *m);
/* As s3_objmeta_store, for a validator of these attributes. */
int s3_objmeta_write(struct vfs_file *f, const struct vfs_cred *cred, const struct s3_objmeta *m, const struct vfs_attr *attr);
/* The derived ETag. */
struct str s3_etag_derive(const struct vfs_attr *attr, struct arena *arena);
/* What listings show of an object; decodes only as much as that takes. */
struct s3_objmeta_brief {
    struct str etag;
    int64_t modified_ns;
    struct s3_checksum checksum; /* kind NONE: none */
    struct str storage_class;    /* empty: STANDARD */
    struct str owner_id;         /* empty: the bucket's owner */
};
void s3_objmeta_brief(struct str record, const struct vfs_attr *attr, struct arena *arena, struct s3_objmeta_brief *out);
/* Its ETag alone. */
struct str s3_objmeta_etag(struct str record, const struct vfs_attr *attr, struct arena *arena);

#endif
