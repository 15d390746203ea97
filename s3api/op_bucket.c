#include <errno.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "s3api/access.h"
#include "s3api/bucket.h"
#include "s3api/listing.h"
#include "s3api/op_handlers.h"
#include "s3api/ownership.h"
#include "s3api/service.h"
#include "s3api/tags.h"
#include "s3api/xml.h"

/* CreateBucket */

struct create {
    bool has_ownership; /* asked for, not the service's */
    enum s3_ownership ownership;
    struct s3_acl acl;
    struct s3_pairs tags;
};

static enum s3_error read_ownership(struct s3_op *op, struct create *c)
{
    struct str name = s3_header(&op->req, "x-amz-object-ownership");
    c->ownership = op->service->ownership;
    c->has_ownership = name.ptr != NULL;
    if (!name.ptr || s3_ownership_by_name(name, &c->ownership))
        return S3_OK;
    return s3_fail(op, S3_INVALID_ARGUMENT, "Invalid x-amz-object-ownership header: %.*s", STR_ARG(name));
}

static enum s3_error read_acl(struct s3_op *op, struct create *c)
{
    struct s3_acl_context context = {op->auth.user->id, op->auth.user->id, true};
    bool has_grants = s3_acl_has_headers(&op->req) && !s3_header(&op->req, "x-amz-acl").ptr;
    if (has_grants && c->ownership == S3_OWNER_ENFORCED)
        return S3_INVALID_BUCKET_ACL;
    enum s3_error error = s3_acl_from_headers(op, &context, &c->acl);
    if (error == S3_OK && c->ownership != S3_OWNER_ENFORCED)
        error = s3_owned_check_public(op, NULL, &c->acl);
    bool is_refused = error == S3_OK && c->ownership == S3_OWNER_ENFORCED && !s3_acl_is_private(&c->acl);
    return is_refused ? S3_INVALID_BUCKET_ACL : error;
}

enum s3_error s3_create_bucket_begin(struct s3_op *op)
{
    struct create *c = op->data = arena_new_of(op->arena, struct create);
    if (str_eq_nocase(s3_header(&op->req, "x-amz-bucket-object-lock-enabled"), STR("true"))) {
        op->detail.header = STR("x-amz-bucket-object-lock-enabled");
        return S3_NOT_IMPLEMENTED;
    }
    struct str namespace = s3_header(&op->req, "x-amz-bucket-namespace");
    if (namespace.ptr && !str_is(namespace, "global")) {
        op->detail.header = STR("x-amz-bucket-namespace");
        return S3_NOT_IMPLEMENTED;
    }
    enum s3_error error = read_ownership(op, c);
    return error == S3_OK ? read_acl(op, c) : error;
}

/* "eu-central-1", "us-gov-west-1": what a region's name looks like. */
static bool looks_like_region(struct str s)
{
    struct str token;
    size_t words = 0;
    struct str rest = s;
    while (str_split(&rest, '-', &token)) {
        bool is_number = rest.ptr == NULL && token.len == 1 && token.ptr[0] >= '1' && token.ptr[0] <= '9';
        for (size_t i = 0; i < token.len; i++)
            if (!is_number && (token.ptr[i] < 'a' || token.ptr[i] > 'z'))
                return false;
        if (token.len == 0 || (rest.ptr == NULL && !is_number))
            return false;
        words++;
    }
    return words >= 3;
}

/* The own region, or none, which AWS allows at us-east-1's endpoint only and a gateway everywhere: it has just one. */
static enum s3_error check_location(struct s3_op *op, const struct xml_node *root)
{
    struct str location = op->location = xml_child_text(root, "LocationConstraint");
    if (location.len == 0 || str_eq(location, op->service->region))
        return S3_OK;
    if (looks_like_region(location))
        return s3_fail(op, S3_ILLEGAL_LOCATION,
                       "The %.*s location constraint is incompatible for the region specific endpoint this request was "
                       "sent to.",
                       STR_ARG(location));
    s3_fail_extra(op, "LocationConstraint", location);
    return s3_fail(op, S3_INVALID_LOCATION, "The specified location-constraint is not valid");
}

static enum s3_error read_configuration(struct s3_op *op)
{
    struct create *c = op->data;
    op->request_tags = &c->tags; /* not the header's, which is for objects */
    if (op->body_bytes.len == 0)
        return S3_OK;
    const struct xml_node *root = xml_parse(buf_str(&op->body_bytes), op->arena);
    if (!root || !str_is(root->name, "CreateBucketConfiguration"))
        return S3_MALFORMED_XML;
    if (xml_child(root, "Location") || xml_child(root, "Bucket"))
        return s3_fail(op, S3_NOT_IMPLEMENTED, "Directory buckets are not implemented.");
    const struct xml_node *tags = xml_child(root, "Tags");
    enum s3_error error = tags ? s3_tags_read_set(op, tags, LIMIT_TAGS_PER_BUCKET, &c->tags) : S3_OK;
    return error == S3_OK ? check_location(op, root) : error;
}

/* In us-east-1 making one's own bucket again is no error, elsewhere it is. */
static enum s3_error already_exists(struct s3_op *op)
{
    struct s3_bucket_record record;
    enum s3_error error = s3_bucket_record(op, op->req.bucket, &record);
    if (error == S3_ACCESS_DENIED || error == S3_NO_SUCH_BUCKET)
        return S3_BUCKET_EXISTS;
    if (error != S3_OK)
        return error;
    if (!str_eq(record.owner_id, op->auth.user->id))
        return S3_BUCKET_EXISTS;
    return str_is(op->service->region, "us-east-1") ? S3_OK : S3_BUCKET_OWNED;
}

static enum s3_error write_tags(struct s3_op *op, struct vfs_dir *bucket)
{
    const struct create *c = op->data;
    if (c->tags.count == 0)
        return S3_OK;
    s3_tags_write_xml(op, &c->tags);
    enum s3_error error = s3_bucket_config_write(op, bucket, S3_TAGGING_CONFIG, buf_str(&op->out));
    buf_reset(&op->out);
    return error;
}

/* The list before the mode that gives it force. */
static enum s3_error write_documents(struct s3_op *op, struct str name)
{
    const struct create *c = op->data;
    if (!c->has_ownership && s3_acl_is_private(&c->acl) && c->tags.count == 0)
        return S3_OK;
    CLEANUP(vfs_dir_closep) struct vfs_dir *bucket = NULL;
    enum s3_error error = s3_bucket_open(op, name, &bucket);
    if (error == S3_OK)
        error = write_tags(op, bucket);
    if (error == S3_OK)
        error = s3_owned_put_bucket_acl(op, bucket, &c->acl);
    return error == S3_OK && c->has_ownership ? s3_owned_put_mode(op, bucket, c->ownership) : error;
}

static enum s3_error make_bucket(struct s3_op *op)
{
    struct vfs_dir *root = vfs_root(op->service->volume);
    struct str name = op->req.bucket;
    struct s3_bucket_record record = {.owner_id = op->auth.user->id, .created_ns = clock_wall_ns()};
    if (op->service->single_bucket.len > 0 && !str_eq(name, op->service->single_bucket))
        return s3_fail(op, S3_ACCESS_DENIED, "This gateway serves one bucket only.");
    int r = op->service->single_bucket.len > 0 ? -EEXIST : vfs_mkdir(root, name, op->cred, 0);
    if (r == -EEXIST)
        return already_exists(op);
    if (r == -ENOTDIR)
        return S3_BUCKET_EXISTS;
    if (r < 0)
        return s3_fail_errno(op, r, S3_FOR_WRITE);
    enum s3_error error = s3_bucket_record_write(op, name, &record);
    if (error == S3_OK)
        error = write_documents(op, name);
    if (error == S3_OK)
        return S3_OK;
    r = vfs_rmdir(root, name, NULL);
    if (r < 0) /* it stays, without a record: the default owner's */
        log_debug("bucket-undo-failed", "errno=%d", -r);
    return error;
}

enum s3_error s3_create_bucket_finish(struct s3_op *op)
{
    enum s3_error error = read_configuration(op);
    if (error == S3_OK)
        error = s3_access_check_body(op);
    if (error == S3_OK)
        error = make_bucket(op);
    if (error != S3_OK)
        return error;
    s3_reply_headerf(op, "Location", "/%.*s", STR_ARG(op->req.bucket));
    s3_reply_headerf(op, "x-amz-bucket-arn", "arn:aws:s3:::%.*s", STR_ARG(op->req.bucket));
    return s3_reply_empty(op, 200);
}

/* DeleteBucket */

enum s3_error s3_delete_bucket_begin(struct s3_op *op)
{
    bool is_empty = false;
    if (op->service->single_bucket.len > 0)
        return s3_fail(op, S3_ACCESS_DENIED, "This gateway's only bucket cannot be deleted.");
    enum s3_error error = s3_bucket_is_empty(op, op->bucket, &is_empty);
    if (error != S3_OK)
        return error;
    if (!is_empty)
        return S3_BUCKET_NOT_EMPTY;
    s3_bucket_sweep(op, op->bucket);
    vfs_dir_closep(&op->bucket);
    error = s3_bucket_remove(op);
    return error == S3_OK ? s3_reply_empty(op, 204) : error;
}

/* HeadBucket, GetBucketLocation */

/* pyarrow and others take the region from here. */
enum s3_error s3_head_bucket_begin(struct s3_op *op)
{
    s3_reply_header(op, "x-amz-bucket-region", op->service->region);
    s3_reply_headerf(op, "x-amz-bucket-arn", "arn:aws:s3:::%.*s", STR_ARG(op->req.bucket));
    s3_reply_header(op, "x-amz-access-point-alias", STR("false"));
    s3_reply_header(op, "Content-Type", STR("application/xml"));
    return s3_reply_empty(op, 200);
}

/* us-east-1 is said by saying nothing. */
enum s3_error s3_get_bucket_location_begin(struct s3_op *op)
{
    bool is_default = str_is(op->service->region, "us-east-1");
    xml_begin(&op->out);
    xml_open_ns(&op->out, "LocationConstraint");
    xml_escape(&op->out, is_default ? STR_EMPTY : op->service->region);
    xml_close(&op->out, "LocationConstraint");
    return s3_reply_xml(op, 200);
}
