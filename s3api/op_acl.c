/* Ownership controls of buckets; access control lists of buckets and objects. */
#include "s3api/bucket.h"
#include "s3api/op_handlers.h"
#include "s3api/ownership.h"
#include "s3api/xml.h"

/* Ownership controls */

enum s3_error s3_get_bucket_ownership_controls_begin(struct s3_op *op)
{
    const struct s3_owned *owned = s3_owned_of(op, op->bucket, op->req.bucket);
    if (!owned->has_controls) {
        op->detail.bucket_name = op->req.bucket;
        return S3_NO_SUCH_OWNERSHIP;
    }
    xml_begin(&op->out);
    xml_open_ns(&op->out, "OwnershipControls");
    xml_open(&op->out, "Rule");
    xml_text(&op->out, "ObjectOwnership", str_z(s3_ownership_name(owned->mode)));
    xml_close(&op->out, "Rule");
    xml_close(&op->out, "OwnershipControls");
    return s3_reply_xml(op, 200);
}

static enum s3_error parse_controls(struct s3_op *op, enum s3_ownership *out)
{
    const struct xml_node *root = xml_parse(buf_str(&op->body_bytes), op->arena);
    const struct xml_node *rule = xml_child(root, "Rule");
    if (!rule || rule->next || root->first_child != rule || !str_is(root->name, "OwnershipControls"))
        return S3_MALFORMED_XML;
    bool is_known = s3_ownership_by_name(xml_child_text(rule, "ObjectOwnership"), out);
    return is_known && xml_child_count(rule, "ObjectOwnership") == 1 ? S3_OK : S3_MALFORMED_XML;
}

/* Lists that would lose their meaning have to be taken back first. */
enum s3_error s3_put_bucket_ownership_controls_finish(struct s3_op *op)
{
    struct s3_acl acl;
    enum s3_ownership mode;
    enum s3_error error = parse_controls(op, &mode);
    if (error == S3_OK && mode == S3_OWNER_ENFORCED)
        error = s3_owned_bucket_acl(op, &acl);
    if (error == S3_OK && mode == S3_OWNER_ENFORCED && !s3_acl_is_private(&acl))
        error = S3_INVALID_BUCKET_ACL;
    if (error == S3_OK)
        error = s3_owned_put_mode(op, op->bucket, mode);
    return error == S3_OK ? s3_reply_empty(op, 200) : error;
}

enum s3_error s3_delete_bucket_ownership_controls_begin(struct s3_op *op)
{
    enum s3_error error = s3_owned_delete_mode(op);
    return error == S3_OK ? s3_reply_empty(op, 204) : error;
}

/* Lists of buckets */

enum s3_error s3_get_bucket_acl_begin(struct s3_op *op)
{
    struct s3_acl acl;
    enum s3_error error = s3_owned_bucket_acl(op, &acl);
    return error == S3_OK ? s3_acl_reply(op, &acl) : error;
}

/* The list that a request asks for, instead of `present`. */
static enum s3_error asked_acl(struct s3_op *op, const struct s3_acl *present, bool is_bucket, struct s3_acl *out)
{
    const struct s3_owned *owned = s3_owned_of(op, op->bucket, op->req.bucket);
    struct str bucket_owner_id = owned->mode == S3_OWNER_ENFORCED ? present->owner_id : owned->owner_id;
    const struct s3_acl_context c = {present->owner_id, bucket_owner_id, is_bucket};
    bool is_canned_private = str_is(s3_header(&op->req, "x-amz-acl"), "private");
    enum s3_error error = s3_acl_from_request(op, &c, out);
    if (owned->mode != S3_OWNER_ENFORCED)
        return error;
    bool is_refused = error == S3_ACCESS_DENIED || (error == S3_OK && (is_canned_private || !s3_acl_is_private(out)));
    return is_refused ? S3_ACL_NOT_SUPPORTED : error;
}

enum s3_error s3_put_bucket_acl_finish(struct s3_op *op)
{
    struct s3_acl present, asked;
    enum s3_error error = s3_owned_bucket_acl(op, &present);
    if (error == S3_OK)
        error = asked_acl(op, &present, true, &asked);
    if (error == S3_OK)
        error = s3_owned_check_public(op, op->bucket, &asked);
    if (error == S3_OK)
        error = s3_owned_put_bucket_acl(op, op->bucket, &asked);
    return error == S3_OK ? s3_reply_empty(op, 200) : error;
}

/* Lists of objects */

static enum s3_error open_asked(struct s3_op *op, bool locked, struct s3_object *out)
{
    *out = (struct s3_object){0};
    enum s3_error error = s3_object_version_check(op, s3_param_value(&op->req, "versionId"));
    if (error != S3_OK)
        return error;
    return locked ? s3_object_open_locked(op, op->req.key, out) : s3_object_open(op, op->bucket, op->req.key, out);
}

enum s3_error s3_get_object_acl_begin(struct s3_op *op)
{
    struct s3_object o;
    struct s3_acl acl;
    enum s3_error error = open_asked(op, false, &o);
    if (error == S3_OK)
        error = s3_owned_object_acl(op, &o.meta, &acl);
    s3_object_close(&o);
    return error == S3_OK ? s3_acl_reply(op, &acl) : error;
}

/* Where lists do not count, none is kept, so that none comes into force later that nobody remembers. */
static enum s3_error store_acl(struct s3_op *op, struct s3_object *o)
{
    struct s3_acl present, asked;
    enum s3_error error = s3_owned_object_acl(op, &o->meta, &present);
    if (error == S3_OK)
        error = asked_acl(op, &present, false, &asked);
    if (error == S3_OK)
        error = s3_owned_check_public(op, op->bucket, &asked);
    if (error != S3_OK || s3_owned_of(op, op->bucket, op->req.bucket)->mode == S3_OWNER_ENFORCED)
        return error;
    o->meta.acl = s3_acl_pack(&asked, op->arena);
    return s3_object_store(op, o);
}

enum s3_error s3_put_object_acl_finish(struct s3_op *op)
{
    struct s3_object o;
    enum s3_error error = open_asked(op, true, &o);
    if (error == S3_OK)
        error = store_acl(op, &o);
    s3_object_close(&o);
    return error == S3_OK ? s3_reply_empty(op, 200) : error;
}
