#include "s3api/acl.h"

#include "s3api/bucket.h"
#include "s3api/xml.h"

#define XSI_NAMESPACE "http://www.w3.org/2001/XMLSchema-instance"

/* Writing */

enum s3_error s3_acl_reply(struct s3_op *op, struct str owner_id)
{
    struct buf *b = &op->out;
    xml_begin(b);
    xml_open_ns(b, "AccessControlPolicy");
    s3_owner_xml(op, "Owner", owner_id);
    xml_open(b, "AccessControlList");
    xml_open(b, "Grant");
    buf_addz(b, "<Grantee xmlns:xsi=\"" XSI_NAMESPACE "\" xsi:type=\"CanonicalUser\">");
    xml_text(b, "ID", owner_id);
    const struct auth_user *owner = auth_snapshot_user_by_id(op->identities, owner_id);
    if (owner)
        xml_text(b, "DisplayName", owner->display_name);
    xml_close(b, "Grantee");
    xml_text(b, "Permission", STR("FULL_CONTROL"));
    xml_close(b, "Grant");
    xml_close(b, "AccessControlList");
    xml_close(b, "AccessControlPolicy");
    return s3_reply_xml(op, 200);
}

/* Headers */

static enum s3_error check_canned(struct s3_op *op, struct str canned)
{
    static const char *const others[] = {"public-read",   "public-read-write", "authenticated-read",
                                         "aws-exec-read", "bucket-owner-read", "log-delivery-write"};
    if (str_is(canned, "private") || str_is(canned, "bucket-owner-full-control"))
        return S3_OK;
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (str_is(canned, others[i]))
            return S3_ACL_NOT_SUPPORTED;
    op->detail.argument_name = STR("x-amz-acl");
    op->detail.argument_value = canned;
    return S3_INVALID_ARGUMENT;
}

static bool has_grant_headers(const struct s3_request *r)
{
    for (size_t i = 0; i < r->head->header_count; i++)
        if (str_starts_nocase(r->head->headers[i].name, STR("x-amz-grant-")))
            return true;
    return false;
}

enum s3_error s3_acl_check_headers(struct s3_op *op)
{
    struct str canned = s3_header(&op->req, "x-amz-acl");
    if (has_grant_headers(&op->req))
        return S3_ACL_NOT_SUPPORTED;
    return canned.ptr ? check_canned(op, canned) : S3_OK;
}

/* Documents */

static bool is_owners_grant(const struct xml_node *grant, struct str owner_id)
{
    const struct xml_node *grantee = xml_child(grant, "Grantee");
    return str_eq(xml_child_text(grantee, "ID"), owner_id) &&
           str_is(xml_child_text(grant, "Permission"), "FULL_CONTROL");
}

static enum s3_error check_document(struct s3_op *op, struct str owner_id)
{
    const struct xml_node *root = xml_parse(buf_str(&op->body_bytes), op->arena);
    const struct xml_node *list = xml_child(root, "AccessControlList");
    if (!list || !str_is(root->name, "AccessControlPolicy"))
        return S3_MALFORMED_ACL;
    struct str named_owner = xml_child_text(xml_child(root, "Owner"), "ID");
    bool is_owners = list->first_child != NULL && (!named_owner.ptr || str_eq(named_owner, owner_id));
    for (const struct xml_node *grant = list->first_child; grant; grant = grant->next) {
        if (!xml_child(grant, "Grantee") || !xml_child(grant, "Permission"))
            return S3_MALFORMED_ACL;
        is_owners = is_owners && is_owners_grant(grant, owner_id);
    }
    return is_owners ? S3_OK : S3_ACL_NOT_SUPPORTED;
}

enum s3_error s3_acl_check(struct s3_op *op, struct str owner_id)
{
    bool has_headers = http_find(op->req.head, "x-amz-acl") || has_grant_headers(&op->req);
    if (has_headers && op->body_bytes.len > 0)
        return s3_fail(op, S3_INVALID_REQUEST, "Specifying both Canned ACLs and Header Grants is not allowed.");
    if (has_headers)
        return s3_acl_check_headers(op);
    return op->body_bytes.len > 0 ? check_document(op, owner_id) : S3_MISSING_SECURITY_HEADER;
}
