#include "s3api/acl.h"

#include "base/check.h"
#include "base/limits.h"
#include "s3api/bucket.h"
#include "s3api/xml.h"

#define XSI_NAMESPACE "http://www.w3.org/2001/XMLSchema-instance"
#define GROUPS "http://acs.amazonaws.com/groups/"
/* aws-exec-read: the account by which EC2 fetches machine images. */
#define EC2_ID "6aa5a366c34c1cbe25dc49211496e913e0351eb0e8c37aa3477e40942ec6b97c"

static const struct group {
    enum s3_grantee grantee;
    char packed;
    const char *uri;
} groups[] = {
    {S3_GRANTEE_ALL_USERS, 'e', GROUPS "global/AllUsers"},
    {S3_GRANTEE_AUTHENTICATED_USERS, 'a', GROUPS "global/AuthenticatedUsers"},
    {S3_GRANTEE_LOG_DELIVERY, 'l', GROUPS "s3/LogDelivery"},
};

static const struct permission {
    const char *name, *header;
    unsigned permit;
} permissions[] = {
    {"READ", "x-amz-grant-read", S3_PERMIT_READ},
    {"WRITE", "x-amz-grant-write", S3_PERMIT_WRITE},
    {"READ_ACP", "x-amz-grant-read-acp", S3_PERMIT_READ_ACP},
    {"WRITE_ACP", "x-amz-grant-write-acp", S3_PERMIT_WRITE_ACP},
    {"FULL_CONTROL", "x-amz-grant-full-control", S3_PERMIT_FULL_CONTROL},
};

/* Lists ---------------------------------------------------------------------------------------------------------- */

static void start(struct arena *arena, struct str owner_id, struct s3_acl *out)
{
    *out = (struct s3_acl){.owner_id = owner_id,
                           .items = arena_array_of(arena, struct s3_grant, LIMIT_ACL_GRANTS)};
}

static bool add(struct s3_acl *acl, enum s3_grantee grantee, struct str id, unsigned permit)
{
    if (acl->count == LIMIT_ACL_GRANTS)
        return false;
    acl->items[acl->count++] = (struct s3_grant){grantee, id, permit};
    return true;
}

void s3_acl_private(struct arena *arena, struct str owner_id, struct s3_acl *out)
{
    start(arena, owner_id, out);
    add(out, S3_GRANTEE_USER, owner_id, S3_PERMIT_FULL_CONTROL);
}

bool s3_acl_is_private(const struct s3_acl *acl)
{
    const struct s3_grant *only = acl->items;
    return acl->count == 1 && only->grantee == S3_GRANTEE_USER && str_eq(only->id, acl->owner_id) &&
           only->permit == S3_PERMIT_FULL_CONTROL;
}

static bool is_public(const struct s3_grant *grant)
{
    return grant->grantee == S3_GRANTEE_ALL_USERS || grant->grantee == S3_GRANTEE_AUTHENTICATED_USERS;
}

bool s3_acl_is_public(const struct s3_acl *acl)
{
    for (size_t i = 0; i < acl->count; i++)
        if (is_public(&acl->items[i]))
            return true;
    return false;
}

static bool is_for(const struct s3_grant *grant, struct str user_id)
{
    switch (grant->grantee) {
    case S3_GRANTEE_USER:
        return user_id.len > 0 && str_eq(grant->id, user_id);
    case S3_GRANTEE_ALL_USERS:
        return true;
    case S3_GRANTEE_AUTHENTICATED_USERS:
        return user_id.len > 0;
    case S3_GRANTEE_LOG_DELIVERY:
        break;
    }
    return false;
}

unsigned s3_acl_permits(const struct s3_acl *acl, struct str user_id, bool with_public)
{
    unsigned permits = 0;
    for (size_t i = 0; i < acl->count; i++)
        if (is_for(&acl->items[i], user_id) && (with_public || !is_public(&acl->items[i])))
            permits |= acl->items[i].permit;
    return permits;
}

/* Packing -------------------------------------------------------------------------------------------------------- */

static char packed_kind(enum s3_grantee grantee)
{
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
        if (groups[i].grantee == grantee)
            return groups[i].packed;
    return 'u';
}

struct str s3_acl_pack(const struct s3_acl *acl, struct arena *arena)
{
    CLEANUP(buf_done) struct buf b = buf_make(LIMIT_ACL_BYTES);
    buf_addc(&b, '1');
    for (size_t i = 0; i < acl->count; i++) {
        buf_addf(&b, "\n%x%c", acl->items[i].permit, packed_kind(acl->items[i].grantee));
        buf_add(&b, acl->items[i].id);
    }
    CHECK(!b.failed); /* ids are limited, and so are grants */
    return s3_acl_is_private(acl) ? STR_EMPTY : arena_dup(arena, buf_str(&b));
}

static bool unpack_grant(struct str line, struct s3_acl *acl)
{
    uint64_t permit;
    if (line.len < 2 || !str_parse_hex_u64(str_first(line, 1), &permit))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
        if (line.len == 2 && line.ptr[1] == groups[i].packed)
            return add(acl, groups[i].grantee, STR_EMPTY, (unsigned)permit);
    return line.ptr[1] == 'u' && line.len > 2 && add(acl, S3_GRANTEE_USER, str_from(line, 2), (unsigned)permit);
}

void s3_acl_unpack(struct str packed, struct str owner_id, struct arena *arena, struct s3_acl *out)
{
    struct str line;
    if (packed.len == 0) {
        s3_acl_private(arena, owner_id, out);
        return;
    }
    start(arena, owner_id, out);
    bool is_readable = str_split(&packed, '\n', &line) && str_is(line, "1");
    while (is_readable && str_split(&packed, '\n', &line))
        is_readable = unpack_grant(line, out);
    if (!is_readable)
        out->count = 0;
}

/* Grantees ------------------------------------------------------------------------------------------------------- */

static enum s3_error fail_grantee(struct s3_op *op, const char *name, struct str value, const char *message)
{
    op->detail.argument_name = str_z(name);
    op->detail.argument_value = value;
    return s3_fail(op, S3_INVALID_ARGUMENT, "%s", message);
}

/* Also an owner who is no user any more. */
static enum s3_error by_id(struct s3_op *op, struct str id, struct str owner_id, struct s3_grant *out)
{
    *out = (struct s3_grant){.grantee = S3_GRANTEE_USER, .id = id};
    bool is_known = str_eq(id, owner_id) || str_is(id, EC2_ID) || auth_snapshot_user_by_id(op->identities, id);
    return is_known ? S3_OK : fail_grantee(op, "CanonicalUser/ID", id, "Invalid id");
}

static enum s3_error by_email(struct s3_op *op, struct str email, struct s3_grant *out)
{
    const struct auth_user *user = auth_snapshot_user_by_email(op->identities, email);
    if (!user)
        return S3_UNRESOLVABLE_GRANT;
    *out = (struct s3_grant){.grantee = S3_GRANTEE_USER, .id = user->id};
    return S3_OK;
}

static enum s3_error by_uri(struct s3_op *op, struct str uri, struct s3_grant *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
        if (str_is(uri, groups[i].uri)) {
            *out = (struct s3_grant){.grantee = groups[i].grantee};
            return S3_OK;
        }
    return fail_grantee(op, "Group/URI", uri, "Invalid group uri");
}

/* Headers -------------------------------------------------------------------------------------------------------- */

bool s3_acl_has_headers(const struct s3_request *r)
{
    for (size_t i = 0; i < r->head->header_count; i++)
        if (str_starts_nocase(r->head->headers[i].name, STR("x-amz-grant-")))
            return true;
    return http_find(r->head, "x-amz-acl") != NULL;
}

/* AWS "Canned ACL": what each grants beside the owner's full control. Bits of the last two: granted in objects only. */
static const struct {
    const char *name;
    enum s3_grantee grantee;
    unsigned permits[2];
    const char *id;
    bool is_bucket_owner;
} canned[] = {
    {.name = "private"},
    {.name = "public-read", .grantee = S3_GRANTEE_ALL_USERS, .permits = {S3_PERMIT_READ}},
    {.name = "public-read-write", .grantee = S3_GRANTEE_ALL_USERS, .permits = {S3_PERMIT_READ, S3_PERMIT_WRITE}},
    {.name = "authenticated-read", .grantee = S3_GRANTEE_AUTHENTICATED_USERS, .permits = {S3_PERMIT_READ}},
    {.name = "aws-exec-read", .permits = {S3_PERMIT_READ}, .id = EC2_ID},
    {.name = "log-delivery-write", .grantee = S3_GRANTEE_LOG_DELIVERY, .permits = {S3_PERMIT_WRITE, S3_PERMIT_READ_ACP}},
    {.name = "bucket-owner-read", .permits = {S3_PERMIT_READ}, .is_bucket_owner = true},
    {.name = "bucket-owner-full-control", .permits = {S3_PERMIT_FULL_CONTROL}, .is_bucket_owner = true},
};

static enum s3_error from_canned(struct s3_op *op, const struct s3_acl_context *c, struct str name, struct s3_acl *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(canned); i++) {
        if (!str_is(name, canned[i].name))
            continue;
        bool adds_nothing = canned[i].is_bucket_owner && (c->is_bucket || str_eq(c->owner_id, c->bucket_owner_id));
        struct str id = canned[i].is_bucket_owner ? c->bucket_owner_id : str_z(canned[i].id);
        s3_acl_private(op->arena, c->owner_id, out);
        for (size_t k = 0; k < ARRAY_SIZE(canned[i].permits) && !adds_nothing; k++)
            if (canned[i].permits[k])
                add(out, canned[i].grantee, id, canned[i].permits[k]);
        return S3_OK;
    }
    op->detail.argument_name = STR("x-amz-acl");
    op->detail.argument_value = name;
    return S3_INVALID_ARGUMENT;
}

static struct str unquoted(struct str s)
{
    bool is_quoted = s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"';
    return is_quoted ? str_of(s.ptr + 1, s.len - 2) : s;
}

/* id="…", emailAddress="…" or uri="…". */
static enum s3_error grantee_of_header(struct s3_op *op, const char *header, struct str text, struct str owner_id,
                                       struct s3_grant *out)
{
    ptrdiff_t equals = str_find_char(text, '=');
    struct str kind = equals < 0 ? text : str_trim(str_first(text, (size_t)equals));
    struct str value = equals < 0 ? STR_EMPTY : unquoted(str_trim(str_from(text, (size_t)equals + 1)));
    if (str_eq_nocase(kind, STR("id")))
        return by_id(op, value, owner_id, out);
    if (str_eq_nocase(kind, STR("emailAddress")))
        return by_email(op, value, out);
    if (str_eq_nocase(kind, STR("uri")))
        return by_uri(op, value, out);
    return fail_grantee(op, header, text, "Argument format not recognized");
}

static enum s3_error from_grant_header(struct s3_op *op, const struct permission *p, struct str value, struct s3_acl *acl)
{
    struct str item;
    while (str_split(&value, ',', &item)) {
        struct s3_grant grant;
        enum s3_error error = grantee_of_header(op, p->header, str_trim(item), acl->owner_id, &grant);
        if (error != S3_OK)
            return error;
        if (!add(acl, grant.grantee, grant.id, p->permit))
            return S3_MALFORMED_ACL;
    }
    return S3_OK;
}

/* The list is then what the headers say, no more: the owner's full control is not added. */
static enum s3_error from_grant_headers(struct s3_op *op, const struct s3_acl_context *c, struct s3_acl *out)
{
    start(op->arena, c->owner_id, out);
    for (size_t i = 0; i < ARRAY_SIZE(permissions); i++) {
        struct str value = s3_header(&op->req, permissions[i].header);
        enum s3_error error = value.ptr ? from_grant_header(op, &permissions[i], value, out) : S3_OK;
        if (error != S3_OK)
            return error;
    }
    return S3_OK;
}

static bool has_grant_headers(const struct s3_request *r)
{
    for (size_t i = 0; i < ARRAY_SIZE(permissions); i++)
        if (s3_header(r, permissions[i].header).ptr)
            return true;
    return false;
}

enum s3_error s3_acl_from_headers(struct s3_op *op, const struct s3_acl_context *c, struct s3_acl *out)
{
    struct str name = s3_header(&op->req, "x-amz-acl");
    bool has_grants = has_grant_headers(&op->req);
    if (name.ptr && has_grants)
        return s3_fail(op, S3_INVALID_REQUEST, "Specifying both Canned ACLs and Header Grants is not allowed");
    if (has_grants)
        return from_grant_headers(op, c, out);
    return from_canned(op, c, name.ptr ? name : STR("private"), out);
}

/* Documents ------------------------------------------------------------------------------------------------------ */

static enum s3_error grantee_of_node(struct s3_op *op, const struct xml_node *node, struct str owner_id, struct s3_grant *out)
{
    struct str id = xml_child_text(node, "ID"), email = xml_child_text(node, "EmailAddress");
    struct str uri = xml_child_text(node, "URI");
    if (id.ptr)
        return by_id(op, id, owner_id, out);
    if (email.ptr)
        return by_email(op, email, out);
    return uri.ptr ? by_uri(op, uri, out) : S3_MALFORMED_ACL;
}

static unsigned permit_of(struct str name)
{
    for (size_t i = 0; i < ARRAY_SIZE(permissions); i++)
        if (str_is(name, permissions[i].name))
            return permissions[i].permit;
    return 0;
}

static enum s3_error take_grant(struct s3_op *op, const struct xml_node *node, struct s3_acl *acl)
{
    struct s3_grant grant;
    const struct xml_node *grantee = xml_child(node, "Grantee");
    unsigned permit = permit_of(xml_child_text(node, "Permission"));
    if (!grantee || permit == 0 || !str_is(node->name, "Grant"))
        return S3_MALFORMED_ACL;
    enum s3_error error = grantee_of_node(op, grantee, acl->owner_id, &grant);
    if (error != S3_OK)
        return error;
    return add(acl, grant.grantee, grant.id, permit) ? S3_OK : S3_MALFORMED_ACL;
}

/* Naming another owner is no way to give something away. */
static enum s3_error from_document(struct s3_op *op, const struct s3_acl_context *c, struct s3_acl *out)
{
    const struct xml_node *root = xml_parse(buf_str(&op->body_bytes), op->arena);
    const struct xml_node *list = xml_child(root, "AccessControlList");
    if (!list || !str_is(root->name, "AccessControlPolicy"))
        return S3_MALFORMED_ACL;
    struct str owner = xml_child_text(xml_child(root, "Owner"), "ID");
    if (!owner.ptr)
        return S3_MALFORMED_ACL;
    if (!str_eq(owner, c->owner_id))
        return S3_ACCESS_DENIED;
    start(op->arena, c->owner_id, out);
    for (const struct xml_node *node = list->first_child; node; node = node->next) {
        enum s3_error error = take_grant(op, node, out);
        if (error != S3_OK)
            return error;
    }
    return S3_OK;
}

enum s3_error s3_acl_from_request(struct s3_op *op, const struct s3_acl_context *c, struct s3_acl *out)
{
    bool has_headers = s3_acl_has_headers(&op->req), has_body = op->body_bytes.len > 0;
    if (has_headers && has_body)
        return S3_UNEXPECTED_CONTENT;
    if (has_headers)
        return s3_acl_from_headers(op, c, out);
    return has_body ? from_document(op, c, out) : S3_MISSING_SECURITY_HEADER;
}

static void write_grantee(struct s3_op *op, const struct s3_grant *grant)
{
    struct buf *b = &op->out;
    bool is_user = grant->grantee == S3_GRANTEE_USER;
    buf_addf(b, "<Grantee xmlns:xsi=\"" XSI_NAMESPACE "\" xsi:type=\"%s\">", is_user ? "CanonicalUser" : "Group");
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
        if (groups[i].grantee == grant->grantee)
            xml_text(b, "URI", str_z(groups[i].uri));
    if (is_user)
        s3_owner_fields_xml(op, grant->id);
    xml_close(b, "Grantee");
}

static struct str permission_name(unsigned permit)
{
    for (size_t i = 0; i < ARRAY_SIZE(permissions); i++)
        if (permissions[i].permit == permit)
            return str_z(permissions[i].name);
    return STR_EMPTY;
}

static void write_grants(struct s3_op *op, const struct s3_acl *acl, bool of_users)
{
    for (size_t i = 0; i < acl->count; i++) {
        const struct s3_grant *grant = &acl->items[i];
        if ((grant->grantee == S3_GRANTEE_USER) != of_users)
            continue;
        xml_open(&op->out, "Grant");
        write_grantee(op, grant);
        xml_text(&op->out, "Permission", permission_name(grant->permit));
        xml_close(&op->out, "Grant");
    }
}

/* Groups first: the order has no meaning, but clients compare with it (ceph/s3-tests). */
enum s3_error s3_acl_reply(struct s3_op *op, const struct s3_acl *acl)
{
    struct buf *b = &op->out;
    xml_begin(b);
    xml_open_ns(b, "AccessControlPolicy");
    s3_owner_xml(op, "Owner", acl->owner_id);
    xml_open(b, "AccessControlList");
    write_grants(op, acl, false);
    write_grants(op, acl, true);
    xml_close(b, "AccessControlList");
    xml_close(b, "AccessControlPolicy");
    return s3_reply_xml(op, 200);
}
