#include "s3api/access.h"

#include "auth/authorize.h"
#include "s3api/bucket.h"

struct s3_access s3_access_of(const struct s3_op *op, struct str key, struct str version_id)
{
    return (struct s3_access){
        .bucket = op->req.bucket,
        .key = key,
        .version_id = version_id,
        .dir = op->bucket,
        .policy = &op->policy,
        .is_policy_of_owner = op->row->flags & S3_OP_POLICY,
    };
}

/* As AWS's root user: administrators and the owner can always take a policy away again. */
static bool is_above_policy(struct s3_op *op, const struct s3_access *a)
{
    struct s3_bucket_record record;
    if (!a->is_policy_of_owner || !op->auth.user)
        return false;
    if (op->auth.user->admin)
        return true;
    return s3_bucket_record(op, a->bucket, &record) == S3_OK && str_eq(record.owner_id, op->auth.user->id);
}

static enum auth_verdict verdict_of(struct s3_op *op, const struct s3_access *a, const char *action)
{
    struct s3_access_question question = {.op = op, .access = a};
    const struct auth_user *user = op->auth.user;
    struct auth_parties parties = {.user = user, .session = op->auth.session_policy};
    struct auth_policy_request r = {
        .action = str_z(action),
        .resource = a->key.len > 0
                        ? arena_printf(op->arena, "arn:aws:s3:::%.*s/%.*s", STR_ARG(a->bucket), STR_ARG(a->key))
                        : arena_printf(op->arena, "arn:aws:s3:::%.*s", STR_ARG(a->bucket)),
        .context = s3_access_context,
        .context_data = &question,
    };
    if (user) {
        r.principal_arn = arena_printf(op->arena, "arn:aws:iam::" S3_ACCOUNT_ID ":user/%.*s", STR_ARG(user->name));
        r.principal_id = user->id;
        r.account = STR(S3_ACCOUNT_ID);
    }
    bool has_policy = a->policy->document || a->policy->is_unreadable;
    if (has_policy && !is_above_policy(op, a)) {
        if (a->policy->is_unreadable)
            return AUTH_DENY;
        parties.bucket = a->policy->document;
    }
    return auth_authorize(&parties, &r);
}

enum s3_error s3_access_check(struct s3_op *op, const struct s3_access *a, const char *action)
{
    return verdict_of(op, a, action) == AUTH_ALLOW ? S3_OK : S3_ACCESS_DENIED;
}

enum s3_error s3_access_check_version(struct s3_op *op, const struct s3_access *a, const char *action,
                                      const char *version_action)
{
    if (!version_action || !a->version_id.ptr)
        return s3_access_check(op, a, action);
    return verdict_of(op, a, action) == AUTH_DENY ? S3_ACCESS_DENIED : s3_access_check(op, a, version_action);
}

/* Is the question for what the body says? Then somebody must be there who might be allowed; the rest is the operation's. */
static enum s3_error check_before_body(struct s3_op *op, const struct s3_access *a)
{
    const struct auth_user *user = op->auth.user;
    bool is_hopeless = (!user && !a->policy->document) || a->policy->is_unreadable ||
                       (user && user->read_only && op->row->flags & S3_OP_WRITE);
    return is_hopeless ? S3_ACCESS_DENIED : S3_OK;
}

static bool has_acl_headers(const struct s3_request *r)
{
    for (size_t i = 0; i < r->head->header_count; i++)
        if (str_eq_nocase(r->head->headers[i].name, STR("x-amz-acl")) ||
            str_starts_nocase(r->head->headers[i].name, STR("x-amz-grant-")))
            return true;
    return false;
}

/* What a header does beside the operation is what another operation would do (SEC-33). */
static enum s3_error check_headers(struct s3_op *op, const struct s3_access *a)
{
    enum s3_error error = S3_OK;
    if (!(op->row->flags & S3_OP_WRITE))
        return S3_OK;
    bool is_object = a->key.len > 0;
    if (is_object && s3_header(&op->req, "x-amz-tagging").ptr)
        error = s3_access_check(op, a, "s3:PutObjectTagging");
    if (error == S3_OK && has_acl_headers(&op->req))
        error = s3_access_check(op, a, is_object ? "s3:PutObjectAcl" : "s3:PutBucketAcl");
    return error;
}

enum s3_error s3_access_check_row(struct s3_op *op)
{
    const struct s3_op_row *row = op->row;
    struct s3_access a = s3_access_of(op, op->req.key, s3_param_value(&op->req, "versionId"));
    if (row->flags & S3_OP_BODY_ACCESS)
        return check_before_body(op, &a);
    enum s3_error error = s3_access_check_version(op, &a, row->action, row->version_action);
    if (error == S3_OK)
        error = check_headers(op, &a);
    if (error == S3_OK && row->also_action)
        error = s3_access_check_version(op, &a, row->also_action, row->also_version_action);
    return error;
}

bool s3_access_has_bucket(struct s3_op *op, struct str bucket)
{
    static const struct s3_policy none = {0};
    struct s3_access a = {.bucket = bucket, .policy = &none};
    return s3_access_check(op, &a, "s3:ListBucket") == S3_OK || s3_access_check(op, &a, "s3:GetBucketLocation") == S3_OK;
}

enum s3_error s3_access_hide_absence(struct s3_op *op, enum s3_error error)
{
    if (error != S3_NO_SUCH_KEY)
        return error;
    struct s3_access a = s3_access_of(op, STR_EMPTY, STR_EMPTY);
    return s3_access_check(op, &a, "s3:ListBucket") == S3_OK ? error : S3_ACCESS_DENIED;
}
