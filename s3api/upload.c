#include "s3api/upload.h"

#include "base/encode.h"
#include "s3api/body.h"

static enum s3_error directory_has_no_bytes(struct s3_op *op)
{
    return s3_fail(op, S3_INVALID_REQUEST,
                   "A key that ends in '/' names a directory, which holds no bytes: store the object under a key without it.");
}

static enum s3_error check_size(struct s3_op *op, const struct s3_upload *u, uint64_t size)
{
    if (u->key.is_directory && size > 0)
        return directory_has_no_bytes(op);
    if (size <= LIMIT_PUT_BYTES_MAX)
        return S3_OK;
    s3_fail_extra(op, "ProposedSize", arena_printf(op->arena, "%llu", (unsigned long long)size));
    s3_fail_extra(op, "MaxSizeAllowed", arena_printf(op->arena, "%llu", (unsigned long long)LIMIT_PUT_BYTES_MAX));
    return S3_ENTITY_TOO_LARGE;
}

enum s3_error s3_upload_begin(struct s3_op *op, struct s3_upload *u)
{
    *u = (struct s3_upload){0};
    int64_t length = s3_body_length(op);
    s3_conditions_from_request(&op->req, "", &u->conditions);
    enum s3_error e = s3_object_key(op, op->req.key, &u->key);
    if (e == S3_OK)
        e = s3_object_check_unsupported(op);
    if (e == S3_OK)
        e = s3_object_meta_from_request(op, &u->meta);
    if (e == S3_OK && length > 0)
        e = check_size(op, u, (uint64_t)length);
    if (e == S3_OK)
        e = s3_object_check_write(op, &u->key, &u->conditions);
    if (e != S3_OK)
        return e;
    enum s3_checksum_kind announced = s3_body_announced_checksum(op);
    s3_body_want(op, &(struct s3_body_want){
                         .md5 = true, .checksum = announced != S3_CHECKSUM_NONE ? announced : S3_CHECKSUM_CRC64NVME});
    if (u->key.is_directory)
        return S3_OK;
    int rc = vfs_stage(op->bucket, u->key.path, op->cred, length > 0 ? (uint64_t)length : 0, &u->stage);
    return rc < 0 ? s3_fail_errno(op, rc, S3_FOR_WRITE) : S3_OK;
}

enum s3_error s3_upload_write(struct s3_op *op, struct s3_upload *u, struct pieces p)
{
    size_t len = pieces_len(p);
    enum s3_error e = check_size(op, u, u->size + len);
    if (e != S3_OK || len == 0)
        return e;
    int rc = vfs_write_pieces(u->stage, p, u->size);
    if (rc < 0)
        return s3_fail_errno(op, rc, S3_FOR_WRITE);
    u->size += len;
    return S3_OK;
}

enum s3_error s3_upload_publish(struct s3_op *op, struct s3_upload *u)
{
    uint8_t md5[16];
    char etag[2 * sizeof(md5)];
    s3_body_md5(op, md5);
    hex_encode(md5, sizeof(md5), etag);
    u->meta.etag = arena_dup(op->arena, str_of(etag, sizeof(etag)));
    u->meta.checksum = s3_body_checksum(op);
    enum s3_error e = u->key.is_directory
                          ? s3_object_publish_directory(op, &u->key, &u->meta, &u->conditions)
                          : s3_object_publish(op, &u->key, u->stage, &u->meta, &u->conditions, NULL);
    if (e != S3_OK)
        return e;
    s3_reply_headerf(op, "ETag", "\"%.*s\"", STR_ARG(u->meta.etag));
    s3_reply_checksum(op, &u->meta.checksum);
    return S3_OK;
}

void s3_upload_end(struct s3_upload *u)
{
    vfs_closep(&u->stage);
}
