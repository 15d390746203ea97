#include "s3api/ownership.h"

#include "base/limits.h"
#include "s3api/bucket.h"
#include "s3api/public_block.h"
#include "s3api/service.h"

#define NO_CONTROLS "none"

static const char *const names[] = {
    [S3_OWNER_ENFORCED] = "BucketOwnerEnforced",
    [S3_OWNER_PREFERRED] = "BucketOwnerPreferred",
    [S3_OWNER_WRITER] = "ObjectWriter",
};

const char *s3_ownership_name(enum s3_ownership mode)
{
    return names[mode];
}

bool s3_ownership_by_name(struct str name, enum s3_ownership *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (str_is(name, names[i])) {
            *out = (enum s3_ownership)i;
            return true;
        }
    return false;
}

/* Loading -------------------------------------------------------------------------------------------------------- */

static bool read_document(struct s3_op *op, struct vfs_dir *bucket, const char *name, struct str *out)
{
    struct s3_error_detail detail = op->detail;
    CLEANUP(buf_done) struct buf text = buf_make(LIMIT_ACL_BYTES);
    bool is_readable = s3_bucket_config_read(op, bucket, name, &text) == S3_OK;
    *out = arena_dup(op->arena, buf_str(&text));
    op->detail = detail;
    return is_readable;
}

/* Buckets of no controls are as AWS had them before there were any. */
static bool load_mode(struct s3_op *op, struct vfs_dir *bucket, struct s3_owned *owned)
{
    struct str text;
    owned->mode = op->service->ownership;
    owned->has_controls = owned->mode != S3_OWNER_WRITER;
    if (!read_document(op, bucket, S3_OWNERSHIP_CONFIG, &text))
        return false;
    if (text.len == 0)
        return true;
    owned->is_chosen = owned->has_controls = s3_ownership_by_name(text, &owned->mode);
    if (!owned->has_controls)
        owned->mode = S3_OWNER_WRITER;
    return true;
}

static void load(struct s3_op *op, struct vfs_dir *bucket, struct str name, struct s3_owned *owned)
{
    struct s3_bucket_record record;
    struct str packed;
    bool is_readable = load_mode(op, bucket, owned);
    if (is_readable && owned->mode == S3_OWNER_ENFORCED)
        return;
    struct s3_error_detail detail = op->detail;
    is_readable = is_readable && s3_bucket_record(op, name, &record) == S3_OK &&
                  read_document(op, bucket, S3_ACL_CONFIG, &packed);
    op->detail = detail;
    if (is_readable) {
        owned->owner_id = record.owner_id;
        s3_acl_unpack(packed, owned->owner_id, op->arena, &owned->acl);
    } else {
        *owned = (struct s3_owned){.mode = S3_OWNER_WRITER};
    }
}

const struct s3_owned *s3_owned_of(struct s3_op *op, struct vfs_dir *bucket, struct str name)
{
    static const struct s3_owned nothing = {.mode = S3_OWNER_ENFORCED};
    if (!bucket)
        return &nothing; /* of a bucket that is not there */
    if (bucket == op->bucket && op->owned)
        return op->owned;
    struct s3_owned *owned = arena_new_of(op->arena, struct s3_owned);
    load(op, bucket, name, owned);
    if (bucket == op->bucket)
        op->owned = owned;
    return owned;
}

/* Storing -------------------------------------------------------------------------------------------------------- */

enum s3_error s3_owned_put_mode(struct s3_op *op, struct vfs_dir *bucket, enum s3_ownership mode)
{
    return s3_bucket_config_write(op, bucket, S3_OWNERSHIP_CONFIG, str_z(names[mode]));
}

enum s3_error s3_owned_delete_mode(struct s3_op *op)
{
    return s3_bucket_config_write(op, op->bucket, S3_OWNERSHIP_CONFIG, STR(NO_CONTROLS));
}

enum s3_error s3_owned_put_bucket_acl(struct s3_op *op, struct vfs_dir *bucket, const struct s3_acl *acl)
{
    struct str packed = s3_acl_pack(acl, op->arena);
    if (packed.len > 0)
        return s3_bucket_config_write(op, bucket, S3_ACL_CONFIG, packed);
    return s3_bucket_config_remove(op, bucket, S3_ACL_CONFIG);
}

/* Judging -------------------------------------------------------------------------------------------------------- */

/* AWS "Access control list (ACL) overview", mapping of permissions. */
static const struct rule {
    const char *action;
    bool is_of_object;
    unsigned permit;
} rules[] = {
    {"s3:ListBucket", false, S3_PERMIT_READ},
    {"s3:ListBucketVersions", false, S3_PERMIT_READ},
    {"s3:ListBucketMultipartUploads", false, S3_PERMIT_READ},
    {"s3:PutObject", false, S3_PERMIT_WRITE},
    {"s3:DeleteObject", false, S3_PERMIT_WRITE},
    {"s3:DeleteObjectVersion", false, S3_PERMIT_WRITE},
    {"s3:AbortMultipartUpload", false, S3_PERMIT_WRITE},
    {"s3:ListMultipartUploadParts", false, S3_PERMIT_WRITE},
    {"s3:GetBucketAcl", false, S3_PERMIT_READ_ACP},
    {"s3:PutBucketAcl", false, S3_PERMIT_WRITE_ACP},
    {"s3:GetObject", true, S3_PERMIT_READ},
    {"s3:GetObjectVersion", true, S3_PERMIT_READ},
    {"s3:GetObjectAttributes", true, S3_PERMIT_READ},
    {"s3:GetObjectVersionAttributes", true, S3_PERMIT_READ},
    {"s3:GetObjectTorrent", true, S3_PERMIT_READ},
    {"s3:GetObjectVersionTorrent", true, S3_PERMIT_READ},
    {"s3:GetObjectAcl", true, S3_PERMIT_READ_ACP},
    {"s3:GetObjectVersionAcl", true, S3_PERMIT_READ_ACP},
    {"s3:PutObjectAcl", true, S3_PERMIT_WRITE_ACP},
    {"s3:PutObjectVersionAcl", true, S3_PERMIT_WRITE_ACP},
};

static const struct rule *rule_of(const char *action)
{
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        if (strcmp(rules[i].action, action) == 0)
            return &rules[i];
    return NULL;
}

static struct str caller_id(const struct s3_op *op)
{
    return op->auth.user ? op->auth.user->id : STR_EMPTY;
}

static bool is_caller(const struct s3_op *op, struct str id)
{
    return op->auth.user && id.len > 0 && str_eq(op->auth.user->id, id);
}

static struct str owner_of(const struct s3_owned *owned, const struct s3_objmeta *meta)
{
    return meta->owner_id.len > 0 ? meta->owner_id : owned->owner_id;
}

/* What is found wrong here is told where the operation looks again. */
static enum s3_error look_at(struct s3_op *op, const struct s3_access *a, struct s3_objmeta *out)
{
    struct s3_object o = {0};
    struct s3_error_detail detail = op->detail;
    const char *cause = op->error_cause;
    op->judged = (struct s3_judged){0};
    enum s3_error error = s3_object_open(op, a->dir, a->key, &o);
    if (error == S3_OK) {
        *out = o.meta;
        op->judged = (struct s3_judged){a->dir, a->key, o.meta.owner_id, o.meta.acl};
    }
    s3_object_close(&o);
    op->detail = detail;
    op->error_cause = cause;
    return error;
}

static unsigned permits_of(struct s3_op *op, const struct s3_access *a, const struct s3_acl *acl)
{
    bool with_public = !s3_acl_is_public(acl) || !s3_public_block_of(op, a->dir).ignore_acls;
    return s3_acl_permits(acl, caller_id(op), with_public);
}

static struct s3_owned_verdict ask_of_object(struct s3_op *op, const struct s3_access *a, const struct s3_owned *owned,
                                             const struct rule *rule)
{
    struct s3_acl acl;
    struct s3_objmeta meta;
    enum s3_error error = look_at(op, a, &meta);
    if (error != S3_OK)
        return (struct s3_owned_verdict){.is_own = is_caller(op, owned->owner_id), .is_absent = error == S3_NO_SUCH_KEY};
    struct str owner_id = owner_of(owned, &meta);
    unsigned permits = is_caller(op, owner_id) ? S3_PERMIT_READ_ACP | S3_PERMIT_WRITE_ACP : 0; /* always */
    s3_acl_unpack(meta.acl, owner_id, op->arena, &acl);
    permits |= permits_of(op, a, &acl);
    return (struct s3_owned_verdict){
        .is_own = is_caller(op, owner_id),
        .is_granted = (permits & rule->permit) != 0,
        .is_foreign = !str_eq(owner_id, owned->owner_id),
    };
}

struct s3_owned_verdict s3_owned_ask(struct s3_op *op, const struct s3_access *a, const char *action)
{
    const struct s3_owned *owned = s3_owned_of(op, a->dir, a->bucket);
    const struct rule *rule = rule_of(action);
    if (owned->mode == S3_OWNER_ENFORCED || (op->auth.user && op->auth.user->admin))
        return (struct s3_owned_verdict){.is_own = true};
    if (rule && rule->is_of_object)
        return ask_of_object(op, a, owned, rule);
    return (struct s3_owned_verdict){
        .is_own = is_caller(op, owned->owner_id),
        .is_granted = rule && (permits_of(op, a, &owned->acl) & rule->permit) != 0,
    };
}

static bool are_equal(const struct s3_pairs *a, const struct s3_pairs *b)
{
    for (size_t i = 0; i < a->count && a->count == b->count; i++)
        if (!str_eq(a->items[i].name, b->items[i].name) || !str_eq(a->items[i].value, b->items[i].value))
            return false;
    return a->count == b->count;
}

bool s3_owned_is_as_judged(const struct s3_op *op, const struct s3_object *o, const struct vfs_dir *bucket)
{
    const struct s3_judged *j = &op->judged;
    const struct s3_judged_tags *t = &op->judged_tags;
    bool has_list = j->bucket && j->bucket == bucket && str_eq(j->key, o->key.key);
    bool has_tags = t->tags && t->bucket == bucket && str_eq(t->key, o->key.key);
    if (has_list && !(str_eq(j->owner_id, o->meta.owner_id) && str_eq(j->acl, o->meta.acl)))
        return false;
    return !has_tags || are_equal(t->tags, &o->meta.tags);
}

bool s3_owned_is_callers(struct s3_op *op, struct str bucket)
{
    struct s3_bucket_record record;
    struct str mode = STR_EMPTY;
    enum s3_ownership parsed = S3_OWNER_WRITER;
    CLEANUP(buf_done) struct buf text = buf_make(LIMIT_ACL_BYTES);
    if (op->auth.user->admin)
        return true;
    if (s3_bucket_config_peek(op, bucket, S3_OWNERSHIP_CONFIG, &text) == S3_OK)
        mode = text.len > 0 ? buf_str(&text) : str_z(s3_ownership_name(op->service->ownership));
    if (s3_ownership_by_name(mode, &parsed) && parsed == S3_OWNER_ENFORCED)
        return true;
    return s3_bucket_record(op, bucket, &record) == S3_OK && is_caller(op, record.owner_id);
}

/* Lists of objects and buckets ----------------------------------------------------------------------------------- */

enum s3_error s3_owned_check_public(struct s3_op *op, struct vfs_dir *bucket, const struct s3_acl *acl)
{
    if (!s3_acl_is_public(acl) || !s3_public_block_of(op, bucket).block_acls)
        return S3_OK;
    return s3_fail(op, S3_ACCESS_DENIED,
                   "Public access control lists are blocked by the BlockPublicAcls setting of the bucket's PublicAccessBlock.");
}

/* The lists that say what is so anyway, in their canned form. AWS refuses "private" too, which rclone and s3cmd send with every
 * object unless told otherwise: so do buckets whose owner chose to enforce, but not all those of the service's default. */
static enum s3_error check_enforced(struct s3_op *op, const struct s3_owned *owned)
{
    struct s3_acl asked;
    struct s3_acl_context nobody = {.is_bucket = true};
    struct str name = s3_header(&op->req, "x-amz-acl");
    if (!s3_acl_has_headers(&op->req))
        return S3_OK;
    enum s3_error error = name.ptr ? s3_acl_from_headers(op, &nobody, &asked) : S3_OK;
    if (error != S3_OK)
        return error;
    bool is_so = str_is(name, "bucket-owner-full-control") || (!owned->is_chosen && str_is(name, "private"));
    return is_so ? S3_OK : S3_ACL_NOT_SUPPORTED;
}

enum s3_error s3_owned_new_object(struct s3_op *op, struct s3_objmeta *meta)
{
    struct s3_acl acl;
    const struct s3_owned *owned = s3_owned_of(op, op->bucket, op->req.bucket);
    if (owned->mode == S3_OWNER_ENFORCED)
        return check_enforced(op, owned);
    bool is_given = owned->mode == S3_OWNER_PREFERRED &&
                    str_is(s3_header(&op->req, "x-amz-acl"), "bucket-owner-full-control");
    /* Nobody in particular owns nothing. */
    struct str writer = is_given || !op->auth.user ? owned->owner_id : op->auth.user->id;
    const struct s3_acl_context context = {.owner_id = writer, .bucket_owner_id = owned->owner_id};
    enum s3_error error = s3_acl_from_headers(op, &context, &acl);
    if (error == S3_OK)
        error = s3_owned_check_public(op, op->bucket, &acl);
    if (error != S3_OK)
        return error;
    meta->owner_id = str_eq(writer, owned->owner_id) ? STR_EMPTY : writer;
    meta->acl = s3_acl_pack(&acl, op->arena);
    return S3_OK;
}

static enum s3_error derived(struct s3_op *op, struct s3_acl *out)
{
    struct s3_bucket_record record;
    enum s3_error error = s3_bucket_record(op, op->req.bucket, &record);
    if (error == S3_OK)
        s3_acl_private(op->arena, record.owner_id, out);
    return error;
}

enum s3_error s3_owned_object_acl(struct s3_op *op, const struct s3_objmeta *meta, struct s3_acl *out)
{
    const struct s3_owned *owned = s3_owned_of(op, op->bucket, op->req.bucket);
    if (owned->mode == S3_OWNER_ENFORCED)
        return derived(op, out);
    s3_acl_unpack(meta->acl, owner_of(owned, meta), op->arena, out);
    return S3_OK;
}

enum s3_error s3_owned_bucket_acl(struct s3_op *op, struct s3_acl *out)
{
    const struct s3_owned *owned = s3_owned_of(op, op->bucket, op->req.bucket);
    if (owned->mode == S3_OWNER_ENFORCED)
        return derived(op, out);
    *out = owned->acl;
    return S3_OK;
}
