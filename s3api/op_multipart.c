/* CreateMultipartUpload and AbortMultipartUpload. */
#include <errno.h>

#include "base/encode.h"
#include "s3api/access.h"
#include "s3api/bucket.h"
#include "s3api/multipart.h"
#include "s3api/object.h"
#include "s3api/op_handlers.h"
#include "s3api/xml.h"

/* Create */

static enum s3_error fail_type(struct s3_op *op, const struct s3_upload *u, const char *type)
{
    CLEANUP(buf_done) struct buf name = buf_make(32);
    buf_add_lower(&name, str_z(s3_checksum_name(u->checksum)));
    return s3_fail(op, S3_INVALID_REQUEST, "The %s checksum type cannot be used with the %s checksum algorithm.", type,
                   buf_z(&name));
}

/* CRC64NVME is always of the whole object, SHA always of the parts' values, the other two as asked for (AWS: "Checking
 * object integrity", the table of multipart uploads). */
static enum s3_error read_checksum_type(struct s3_op *op, struct s3_upload *u)
{
    struct str type = s3_header(&op->req, "x-amz-checksum-type");
    bool is_sha = u->checksum == S3_CHECKSUM_SHA1 || u->checksum == S3_CHECKSUM_SHA256;
    u->checksum_composite = u->checksum != S3_CHECKSUM_NONE && u->checksum != S3_CHECKSUM_CRC64NVME;
    if (!type.ptr)
        return S3_OK;
    bool is_composite = str_eq_nocase(type, STR("COMPOSITE"));
    if (!is_composite && !str_eq_nocase(type, STR("FULL_OBJECT")))
        return s3_fail(op, S3_INVALID_REQUEST, "Value for x-amz-checksum-type header is invalid.");
    if (u->checksum == S3_CHECKSUM_NONE)
        return s3_fail(op, S3_INVALID_REQUEST,
                       "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.");
    if (is_composite && u->checksum == S3_CHECKSUM_CRC64NVME)
        return fail_type(op, u, "COMPOSITE");
    if (!is_composite && is_sha)
        return fail_type(op, u, "FULL_OBJECT");
    u->checksum_composite = is_composite;
    return S3_OK;
}

static enum s3_error read_checksum(struct s3_op *op, struct s3_upload *u)
{
    struct str name = s3_header(&op->req, "x-amz-checksum-algorithm");
    if (name.ptr)
        u->checksum = s3_checksum_by_name(name);
    if (name.ptr && u->checksum == S3_CHECKSUM_NONE)
        return s3_fail(op, S3_INVALID_REQUEST,
                       "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
                       "[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]");
    return read_checksum_type(op, u);
}

static enum s3_error read_request(struct s3_op *op, struct s3_upload *u)
{
    struct s3_key key;
    const struct s3_conditions none = {0};
    enum s3_error e = s3_object_key(op, op->req.key, &key);
    if (e == S3_OK && key.is_directory)
        e = s3_fail(op, S3_INVALID_REQUEST,
                    "A key that ends in '/' names a directory, which holds no bytes: it cannot be uploaded in parts.");
    if (e == S3_OK)
        e = s3_object_check_unsupported(op);
    if (e == S3_OK)
        e = read_checksum(op, u);
    if (e == S3_OK)
        e = s3_object_meta_from_request(op, &u->meta);
    if (e == S3_OK)
        e = s3_object_check_write(op, &key, &none);
    return e == S3_OK ? s3_object_may_write(op, &key) : e;
}

static enum s3_error read_owner(struct s3_op *op, struct s3_upload *u)
{
    struct s3_bucket_record bucket;
    enum s3_error e = s3_bucket_record(op, op->req.bucket, &bucket);
    if (e != S3_OK)
        return e;
    u->owner_id = u->meta.owner_id.len > 0 ? u->meta.owner_id : bucket.owner_id;
    u->initiator_id = op->auth.user ? op->auth.user->id : bucket.owner_id;
    return S3_OK;
}

enum s3_error s3_create_multipart_upload_begin(struct s3_op *op)
{
    struct s3_upload u = {.key = op->req.key, .asked = s3_access_object_headers(op)};
    enum s3_error e = read_request(op, &u);
    if (e == S3_OK)
        e = read_owner(op, &u);
    if (e == S3_OK)
        e = s3_upload_create(op, &u);
    if (e != S3_OK)
        return e;
    s3_upload_close(&u);
    if (u.checksum != S3_CHECKSUM_NONE) {
        s3_reply_header(op, "x-amz-checksum-algorithm", str_z(s3_checksum_name(u.checksum)));
        s3_reply_header(op, "x-amz-checksum-type", u.checksum_composite ? STR("COMPOSITE") : STR("FULL_OBJECT"));
    }
    struct buf *b = &op->out;
    xml_begin(b);
    xml_open_ns(b, "InitiateMultipartUploadResult");
    xml_text(b, "Bucket", op->req.bucket);
    xml_text(b, "Key", op->req.key);
    xml_text(b, "UploadId", u.id);
    xml_close(b, "InitiateMultipartUploadResult");
    return s3_reply_xml(op, 200);
}

/* Abort */

/* A Complete that is at work is not disturbed: the client may ask again, and then finds the upload or does not. */
static enum s3_error abort_upload(struct s3_op *op, struct s3_upload *u)
{
    CLEANUP(vfs_closep) struct vfs_file *lock = NULL;
    int r = s3_upload_lock(u->dir, &lock);
    if (r == -EAGAIN)
        return S3_CONDITIONAL_CONFLICT;
    if (r < 0) {
        op->detail.upload_id = u->id;
        return s3_fail_errno(op, r, S3_FOR_UPLOAD);
    }
    return s3_upload_remove(op, op->bucket, u->id);
}

enum s3_error s3_abort_multipart_upload_begin(struct s3_op *op)
{
    struct s3_upload u = {0};
    enum s3_error e = s3_upload_open(op, s3_param_value(&op->req, "uploadId"), op->req.key, &u);
    if (e == S3_OK)
        e = abort_upload(op, &u);
    s3_upload_close(&u);
    return e == S3_OK ? s3_reply_empty(op, 204) : e;
}
