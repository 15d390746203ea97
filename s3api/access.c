#include "s3api/access.h"

#include "auth/authorize.h"
#include "auth/roles.h"
#include "auth/session.h"
#include "base/limits.h"
#include "s3api/bucket.h"
#include "s3api/ownership.h"
#include "s3api/precondition.h"
#include "s3api/public_block.h"

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

static struct str arn(struct arena *arena, struct str prefix, struct str name)
{
    const struct str parts[] = {prefix, name};
    return arena_join(arena, parts, ARRAY_SIZE(parts));
}

static struct str resource_arn(struct arena *arena, const struct s3_access *a)
{
    const struct str parts[] = {STR("arn:aws:s3:::"), a->bucket, STR("/"), a->key};
    return arena_join(arena, parts, a->key.len > 0 ? 4 : 2);
}

struct str s3_access_principal(struct s3_op *op)
{
    const struct auth_session *session = op->auth.session;
    if (session && session->role.len > 0)
        return arn(op->arena, STR("arn:aws:iam::" S3_ACCOUNT_ID ":role/"), session->role);
    const struct auth_user *user = op->auth.user;
    return user ? arn(op->arena, STR("arn:aws:iam::" S3_ACCOUNT_ID ":user/"), user->name) : STR_EMPTY;
}

struct str s3_access_session_arn(struct arena *arena, struct str role, struct str session)
{
    if (role.len == 0)
        return STR_EMPTY;
    return arena_printf(arena, "arn:aws:sts::" S3_ACCOUNT_ID ":assumed-role/%.*s/%.*s", STR_ARG(role), STR_ARG(session));
}

struct str s3_access_userid(struct arena *arena, const struct auth_user *user, struct str role, struct str session)
{
    if (role.len == 0)
        return user->id;
    return arena_printf(arena, "%.*s:%.*s", STR_ARG(auth_role_id(role, arena)), STR_ARG(session));
}

/* RestrictPublicBuckets keeps everybody out whose own policies do not reach here: nobody in particular, and others' accounts. */
static bool is_restricted(struct s3_op *op, const struct s3_access *a)
{
    return auth_policy_is_public(a->policy->document) && s3_public_block_of(op, a->dir).restrict_policy;
}

/* What the policies say. owned: how far the caller's own reach, and the bucket's. */
static enum auth_verdict policies_say(struct s3_op *op, const struct s3_access *a, const char *action,
                                      struct s3_owned_verdict owned)
{
    struct s3_access_question question = {.op = op, .access = a};
    uint64_t steps = LIMIT_POLICY_STEPS;
    const struct auth_user *user = op->auth.user;
    struct auth_parties parties = {.user = owned.is_own ? user : NULL, .session = op->auth.session};
    struct auth_policy_request r = {
        .action = str_z(action),
        .resource = resource_arn(op->arena, a),
        .context = s3_access_context,
        .context_data = &question,
        .steps = &steps,
    };
    if (user) {
        r.principal_arn = s3_access_principal(op);
        if (op->auth.session)
            r.session_arn = s3_access_session_arn(op->arena, op->auth.session->role, op->auth.session->name);
        r.principal_id = user->id;
        r.account = STR(S3_ACCOUNT_ID);
    }
    bool has_policy = a->policy->document || a->policy->is_unreadable;
    if (has_policy && !owned.is_foreign && !is_above_policy(op, a)) {
        if (a->policy->is_unreadable)
            return AUTH_DENY;
        parties.bucket = a->policy->document;
        parties.bucket_grants_nothing = !parties.user && is_restricted(op, a);
    }
    enum auth_verdict verdict = auth_authorize(&parties, &r);
    if (steps == 0)
        op->error_cause = "the policies are too much to compare the request with";
    return verdict;
}

static enum auth_verdict policies_say_all(struct s3_op *op, const struct s3_access *a, const char *action)
{
    return policies_say(op, a, action, (struct s3_owned_verdict){.is_own = true});
}

/* A deny counts wherever it comes from; then what a list grants, or what those policies grant that reach so far. */
static enum auth_verdict verdict_of(struct s3_op *op, const struct s3_access *a, const char *action,
                                    struct s3_owned_verdict *out_owned)
{
    enum auth_verdict verdict = policies_say_all(op, a, action);
    *out_owned = (struct s3_owned_verdict){0};
    if (verdict == AUTH_DENY)
        return AUTH_DENY;
    *out_owned = s3_owned_ask(op, a, action);
    if (out_owned->is_granted)
        return AUTH_ALLOW;
    bool reaches_all = out_owned->is_own && !out_owned->is_foreign;
    return reaches_all || verdict != AUTH_ALLOW ? verdict : policies_say(op, a, action, *out_owned);
}

/* That a key is not there shows to those who may list it, as a listing with it as the prefix would. */
static enum s3_error answer_absence(struct s3_op *op, const struct s3_access *a)
{
    struct s3_access bucket = *a;
    bucket.listed = a->key;
    bucket.key = bucket.version_id = STR_EMPTY;
    op->is_absence_told = true;
    return s3_access_check(op, &bucket, "s3:ListBucket") == S3_OK ? S3_NO_SUCH_KEY : S3_ACCESS_DENIED;
}

enum s3_error s3_access_check(struct s3_op *op, const struct s3_access *a, const char *action)
{
    struct s3_owned_verdict owned;
    enum auth_verdict verdict = verdict_of(op, a, action, &owned);
    if (verdict == AUTH_ALLOW)
        return S3_OK;
    return verdict == AUTH_NO_OPINION && owned.is_absent ? answer_absence(op, a) : S3_ACCESS_DENIED;
}

enum s3_error s3_access_check_version(struct s3_op *op, const struct s3_access *a, const char *action,
                                      const char *version_action)
{
    if (!version_action || !a->version_id.ptr)
        return s3_access_check(op, a, action);
    return policies_say_all(op, a, action) == AUTH_DENY ? S3_ACCESS_DENIED : s3_access_check(op, a, version_action);
}

/* Is the question for what the body says? Then somebody must be there who might be allowed; the rest is the operation's. */
static enum s3_error check_before_body(struct s3_op *op, const struct s3_access *a)
{
    const struct auth_user *user = op->auth.user;
    bool has_lists = s3_owned_of(op, a->dir, a->bucket)->mode != S3_OWNER_ENFORCED;
    bool is_hopeless = (!user && !a->policy->document && !has_lists) || a->policy->is_unreadable ||
                       (user && user->read_only && op->row->flags & S3_OP_WRITE);
    return is_hopeless ? S3_ACCESS_DENIED : S3_OK;
}

/* List and tags of an object to be are its writer's to choose, where lists say who writes. Nobody in particular owns nothing, and
 * chooses where a list lets him write. */
static enum s3_error check_choice_of_new(struct s3_op *op, const struct s3_access *a, const char *action)
{
    enum auth_verdict verdict = policies_say_all(op, a, action);
    bool may_choose = op->auth.user || s3_owned_ask(op, a, "s3:PutObject").is_granted;
    bool is_allowed = verdict == AUTH_ALLOW || (verdict == AUTH_NO_OPINION && may_choose);
    return is_allowed ? S3_OK : S3_ACCESS_DENIED;
}

static enum s3_error check_implied(struct s3_op *op, const struct s3_access *a, const char *action)
{
    bool is_new = strcmp(op->row->action, "s3:PutObject") == 0;
    if (is_new && s3_owned_of(op, a->dir, a->bucket)->mode != S3_OWNER_ENFORCED)
        return check_choice_of_new(op, a, action);
    return s3_access_check(op, a, action);
}

/* What a bucket to be is given, besides its list. */
static enum s3_error check_new_bucket(struct s3_op *op, const struct s3_access *a)
{
    enum s3_error error = S3_OK;
    if (s3_header(&op->req, "x-amz-object-ownership").ptr)
        error = s3_access_check(op, a, "s3:PutBucketOwnershipControls");
    if (error == S3_OK && op->request_tags && op->request_tags->count > 0)
        error = s3_access_check(op, a, "s3:TagResource");
    return error;
}

/* "To perform conditional writes with the HTTP If-Match header you must have the s3:PutObject and s3:GetObject permissions", and deletions
 * likewise: an ETag is mostly the MD5 of what is there. */
static bool asks_for_content(const struct s3_op *op)
{
    bool is_conditional = strcmp(op->row->action, "s3:PutObject") == 0 || strcmp(op->row->action, "s3:DeleteObject") == 0;
    return is_conditional && (s3_condition_tells_content(s3_header(&op->req, "if-match")) ||
                              s3_condition_tells_content(s3_header(&op->req, "if-none-match")) ||
                              s3_header(&op->req, "x-amz-if-match-size").ptr ||
                              s3_header(&op->req, "x-amz-if-match-last-modified-time").ptr);
}

/* What a header does beside the operation is what another operation would do (SEC-33). */
static enum s3_error check_headers(struct s3_op *op, const struct s3_access *a)
{
    enum s3_error error = S3_OK;
    if (!(op->row->flags & S3_OP_WRITE))
        return S3_OK;
    bool is_object = a->key.len > 0;
    if (is_object && asks_for_content(op))
        error = s3_access_check(op, a, "s3:GetObject");
    if (error != S3_OK)
        return error;
    if (is_object && s3_header(&op->req, "x-amz-tagging").ptr)
        error = check_implied(op, a, "s3:PutObjectTagging");
    if (error == S3_OK && s3_acl_has_headers(&op->req))
        error = is_object ? check_implied(op, a, "s3:PutObjectAcl") : s3_access_check(op, a, "s3:PutBucketAcl");
    bool is_new_bucket = strcmp(op->row->action, "s3:CreateBucket") == 0;
    return error == S3_OK && is_new_bucket ? check_new_bucket(op, a) : error;
}

static enum s3_error check_request(struct s3_op *op, const struct s3_access *a)
{
    const struct s3_op_row *row = op->row;
    enum s3_error error = s3_access_check_version(op, a, row->action, row->version_action);
    if (error == S3_OK)
        error = check_headers(op, a);
    if (error == S3_OK && row->also_action)
        error = s3_access_check_version(op, a, row->also_action, row->also_version_action);
    return error;
}

enum s3_error s3_access_check_row(struct s3_op *op)
{
    struct s3_access a = s3_access_of(op, op->req.key, s3_param_value(&op->req, "versionId"));
    return op->row->flags & S3_OP_BODY_ACCESS ? check_before_body(op, &a) : check_request(op, &a);
}

enum s3_error s3_access_check_tags(struct s3_op *op)
{
    struct s3_access a = s3_access_of(op, op->req.key, STR_EMPTY);
    return check_implied(op, &a, "s3:PutObjectTagging");
}

enum s3_error s3_access_check_body(struct s3_op *op)
{
    struct s3_access a = s3_access_of(op, op->req.key, s3_param_value(&op->req, "versionId"));
    return check_request(op, &a);
}

bool s3_access_has_bucket(struct s3_op *op, struct str bucket)
{
    static const struct s3_policy none = {0};
    struct s3_access a = {.bucket = bucket, .policy = &none};
    return s3_access_check(op, &a, "s3:ListBucket") == S3_OK || s3_access_check(op, &a, "s3:GetBucketLocation") == S3_OK;
}

enum s3_error s3_access_hide_absence_of(struct s3_op *op, const struct s3_access *a, enum s3_error error)
{
    if (error != S3_NO_SUCH_KEY)
        return error;
    struct s3_error_detail detail = op->detail;
    error = answer_absence(op, a);
    op->detail = error == S3_NO_SUCH_KEY ? detail : (struct s3_error_detail){0};
    return error;
}

enum s3_error s3_access_hide_absence(struct s3_op *op, enum s3_error error)
{
    if (error != S3_NO_SUCH_KEY || op->is_absence_told)
        return error;
    struct s3_access a = s3_access_of(op, op->req.key, STR_EMPTY);
    return s3_access_hide_absence_of(op, &a, error);
}
