#include "s3api/op_handlers.h"

#include "base/encode.h"
#include "s3api/body.h"
#include "s3api/object.h"

struct put {
    struct s3_key key;
    struct s3_objmeta meta;
    struct s3_conditions conditions;
    struct vfs_file *stage; /* NULL for a directory object */
    uint64_t size;
};

static enum s3_error directory_has_no_bytes(struct s3_op *op)
{
    return s3_fail(op, S3_INVALID_REQUEST,
                   "A key that ends in '/' names a directory, which holds no bytes: store the object under a key without it.");
}

static enum s3_error check_size(struct s3_op *op, const struct put *p, uint64_t size)
{
    if (p->key.is_directory && size > 0)
        return directory_has_no_bytes(op);
    if (size <= LIMIT_PUT_BYTES_MAX)
        return S3_OK;
    s3_fail_extra(op, "ProposedSize", arena_printf(op->arena, "%llu", (unsigned long long)size));
    s3_fail_extra(op, "MaxSizeAllowed", arena_printf(op->arena, "%llu", (unsigned long long)LIMIT_PUT_BYTES_MAX));
    return S3_ENTITY_TOO_LARGE;
}

enum s3_error s3_put_object_begin(struct s3_op *op)
{
    struct put *p = op->data = arena_new_of(op->arena, struct put);
    int64_t length = s3_body_length(op);
    s3_conditions_from_request(&op->req, "", &p->conditions);
    enum s3_error e = s3_object_key(op, op->req.key, &p->key);
    if (e == S3_OK)
        e = s3_object_check_unsupported(op);
    if (e == S3_OK)
        e = s3_object_meta_from_request(op, &p->meta);
    if (e == S3_OK && length > 0)
        e = check_size(op, p, (uint64_t)length);
    if (e == S3_OK)
        e = s3_object_check_write(op, &p->key, &p->conditions);
    if (e != S3_OK)
        return e;
    enum s3_checksum_kind announced = s3_body_announced_checksum(op);
    s3_body_want(op, &(struct s3_body_want){
                         .md5 = true, .checksum = announced != S3_CHECKSUM_NONE ? announced : S3_CHECKSUM_CRC64NVME});
    if (p->key.is_directory)
        return S3_OK;
    int rc = vfs_stage(op->bucket, p->key.path, op->cred, length > 0 ? (uint64_t)length : 0, &p->stage);
    return rc < 0 ? s3_fail_errno(op, rc, S3_FOR_WRITE) : S3_OK;
}

enum s3_error s3_put_object_sink(struct s3_op *op, struct str bytes)
{
    struct put *p = op->data;
    enum s3_error e = check_size(op, p, p->size + bytes.len);
    if (e != S3_OK || bytes.len == 0)
        return e;
    int rc = vfs_write(p->stage, bytes, p->size);
    if (rc < 0)
        return s3_fail_errno(op, rc, S3_FOR_WRITE);
    p->size += bytes.len;
    return S3_OK;
}

enum s3_error s3_put_object_finish(struct s3_op *op)
{
    struct put *p = op->data;
    uint8_t md5[16];
    char etag[2 * sizeof(md5)];
    s3_body_md5(op, md5);
    hex_encode(md5, sizeof(md5), etag);
    p->meta.etag = str_of(etag, sizeof(etag));
    p->meta.checksum = s3_body_checksum(op);
    enum s3_error e = p->key.is_directory
                          ? s3_object_publish_directory(op, &p->key, &p->meta, &p->conditions)
                          : s3_object_publish(op, &p->key, p->stage, &p->meta, &p->conditions, NULL);
    if (e != S3_OK)
        return e;
    s3_reply_headerf(op, "ETag", "\"%.*s\"", STR_ARG(p->meta.etag));
    s3_reply_checksum(op, &p->meta.checksum);
    return s3_reply_empty(op, 200);
}

void s3_put_object_end(struct s3_op *op)
{
    struct put *p = op->data;
    if (p)
        vfs_closep(&p->stage);
}
