/* The Security Token Service, as far as notebooks need it: form-encoded requests to the root, answers in its own XML ("AWS Security
 * Token Service API reference"). Its clients sign the body's digest without a header for it, so that the caller is known when the
 * body is: a small one. */
#include "s3api/op_handlers.h"

#include "auth/query.h"
#include "auth/session.h"
#include "base/clock.h"
#include "s3api/access.h"
#include "s3api/gate.h"
#include "s3api/limits.h"
#include "s3api/oidc.h"
#include "s3api/service.h"
#include "s3api/xml.h"

#define NAMESPACE "https://sts.amazonaws.com/doc/2011-06-15/"

struct sts {
    struct auth_query params;
    const char *action;
};

static struct str param(const struct sts *s, const char *name)
{
    return auth_query_get(&s->params, name);
}

/* Documents */

static void open_result(struct s3_op *op, const struct sts *s)
{
    struct buf *b = &op->out;
    xml_begin(b);
    buf_addf(b, "<%sResponse xmlns=\"" NAMESPACE "\"><%sResult>", s->action, s->action);
}

static enum s3_error close_result(struct s3_op *op, const struct sts *s)
{
    struct buf *b = &op->out;
    buf_addf(b, "</%sResult>", s->action);
    xml_open(b, "ResponseMetadata");
    xml_text(b, "RequestId", op->in.request_id);
    xml_close(b, "ResponseMetadata");
    buf_addf(b, "</%sResponse>", s->action);
    return s3_reply_xml(op, 200);
}

/* What is asked of every session */

static bool is_session_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_letter && str_find_char(STR("_+=,.@-"), c) < 0)
            return false;
    }
    return s.len >= 2 && s.len <= 64;
}

static enum s3_error take_name(struct s3_op *op, const struct sts *s, struct auth_session_spec *spec)
{
    spec->name = param(s, "RoleSessionName");
    if (!spec->name.ptr)
        spec->name = STR("session"); /* MinIO's clients send none */
    if (is_session_name(spec->name))
        return S3_OK;
    return s3_fail(op, S3_STS_VALIDATION, "RoleSessionName must be 2 to 64 letters, digits or _+=,.@-");
}

static enum s3_error take_duration(struct s3_op *op, const struct sts *s, uint64_t max_s, struct auth_session_spec *spec)
{
    struct str text = param(s, "DurationSeconds");
    uint64_t duration_s = max_s < LIMIT_SESSION_S_DEFAULT ? max_s : LIMIT_SESSION_S_DEFAULT;
    bool is_good = !text.ptr || (str_parse_u64_max(text, max_s, &duration_s) && duration_s >= LIMIT_SESSION_S_MIN);
    if (!is_good)
        return s3_fail(op, S3_STS_VALIDATION, "DurationSeconds must be a number from %d to %llu, the longest session of this role",
                       LIMIT_SESSION_S_MIN, (unsigned long long)max_s);
    spec->issued_s = clock_wall_s();
    spec->expires_s = spec->issued_s + (int64_t)duration_s;
    return S3_OK;
}

static enum s3_error take_policy(struct s3_op *op, const struct sts *s, struct auth_session_spec *spec)
{
    struct auth_policy *policy = NULL;
    struct buf CLEANUP(buf_done) error = buf_make(LIMIT_TARGET_BYTES);
    spec->policy = param(s, "Policy");
    for (size_t i = 0; i < s->params.count; i++)
        if (str_starts(s->params.params[i].name, STR("PolicyArns.")))
            return s3_fail(op, S3_STS_VALIDATION, "PolicyArns is not supported; give the policy itself as Policy");
    if (spec->policy.len == 0)
        return S3_OK;
    if (spec->policy.len > LIMIT_SESSION_POLICY_BYTES)
        return S3_PACKED_POLICY_TOO_LARGE;
    if (auth_policy_parse(AUTH_POLICY_IDENTITY, spec->policy, STR_EMPTY, &policy, &error) < 0)
        return s3_fail(op, S3_MALFORMED_POLICY_DOCUMENT, "%s", buf_z(&error));
    auth_policy_unref(policy);
    return S3_OK;
}

static struct str session_arn(struct s3_op *op, const struct auth_session_spec *spec)
{
    if (spec->role.len == 0)
        return arena_printf(op->arena, "arn:aws:iam::" S3_ACCOUNT_ID ":user/%.*s", STR_ARG(spec->user->name));
    return s3_access_session_arn(op->arena, spec->role, spec->name);
}

static void write_credentials(struct s3_op *op, const struct auth_session_spec *spec)
{
    struct auth_credentials c;
    struct buf *b = &op->out;
    auth_session_issue(op->identities, spec, op->arena, &c);
    xml_open(b, "Credentials");
    xml_text(b, "AccessKeyId", c.access_key);
    xml_text(b, "SecretAccessKey", c.secret);
    xml_text(b, "SessionToken", c.token);
    xml_time(b, "Expiration", spec->expires_s * 1000000000);
    xml_close(b, "Credentials");
    xml_open(b, "AssumedRoleUser");
    xml_text(b, "AssumedRoleId", s3_access_userid(op->arena, spec->user, spec->role, spec->name));
    xml_text(b, "Arn", session_arn(op, spec));
    xml_close(b, "AssumedRoleUser");
    xml_u64(b, "PackedPolicySize", spec->policy.len * 100 / LIMIT_SESSION_POLICY_BYTES);
}

static enum s3_error take_common(struct s3_op *op, const struct sts *s, uint64_t max_s, struct auth_session_spec *spec)
{
    enum s3_error e = take_name(op, s, spec);
    if (e == S3_OK)
        e = take_duration(op, s, max_s, spec);
    return e == S3_OK ? take_policy(op, s, spec) : e;
}

/* "NAME" of "arn:aws:iam::ACCOUNT:role/PATH/NAME"; empty for anything else, such as the placeholders of MinIO's clients. */
static struct str role_name(struct str arn)
{
    ptrdiff_t at = str_find(arn, STR(":role/"));
    if (at < 0)
        return STR_EMPTY;
    struct str path = str_from(arn, (size_t)at + 6);
    return str_from(path, (size_t)(str_rfind_char(path, '/') + 1));
}

static enum s3_error deny(struct s3_op *op, const struct sts *s)
{
    return s3_fail(op, S3_ACCESS_DENIED, "The caller is not authorized to perform: sts:%s on resource: %.*s", s->action,
                   STR_ARG(param(s, "RoleArn")));
}

/* A role that nobody can act in is as good as none. */
static bool take_role(struct s3_op *op, const struct auth_role *role, struct auth_session_spec *spec)
{
    if (!role)
        return false;
    spec->role = role->name;
    spec->user = auth_snapshot_user(op->identities, role->user);
    return spec->user != NULL;
}

/* Actions */

static enum s3_error assume_role(struct s3_op *op, const struct sts *s)
{
    struct auth_session_spec spec = {.user = op->auth.user};
    struct str name = role_name(param(s, "RoleArn"));
    const struct auth_role *role = auth_roles_find(auth_snapshot_roles(op->identities), name);
    if (op->auth.session)
        return s3_fail(op, S3_ACCESS_DENIED, "A session cannot begin another one.");
    spec.parent_key = op->auth.key->access_key;
    bool is_self = name.len == 0;
    if (!is_self && (!role || !auth_role_trusts_user(role, op->auth.user->name) || !take_role(op, role, &spec)))
        return deny(op, s);
    enum s3_error e = take_common(op, s, is_self ? LIMIT_SESSION_S_MAX : role->max_session_s, &spec);
    if (e != S3_OK)
        return e;
    open_result(op, s);
    write_credentials(op, &spec);
    return close_result(op, s);
}

/* The role that was asked for; or, as MinIO's clients name none, the only one that trusts the token. */
static const struct auth_role *role_for_token(struct s3_op *op, const struct sts *s, const struct auth_issuer *issuer,
                                              const struct jwt *token)
{
    struct str name = role_name(param(s, "RoleArn"));
    const struct auth_role *found = NULL;
    const struct auth_role *role = auth_roles_first(auth_snapshot_roles(op->identities));
    for (; role; role = role->next) {
        bool is_asked_for = name.len == 0 || str_eq(role->name, name);
        if (!is_asked_for || !auth_role_trusts_token(role, issuer, token))
            continue;
        if (found)
            return NULL;
        found = role;
    }
    return found;
}

static enum s3_error assume_role_with_web_identity(struct s3_op *op, const struct sts *s)
{
    struct auth_session_spec spec = {0};
    const struct auth_issuer *issuer;
    struct jwt token;
    enum s3_error e = s3_oidc_verify(op, param(s, "WebIdentityToken"), &issuer, &token);
    if (e != S3_OK)
        return e;
    const struct auth_role *role = role_for_token(op, s, issuer, &token);
    if (!take_role(op, role, &spec))
        return deny(op, s);
    e = take_common(op, s, role->max_session_s, &spec);
    if (e != S3_OK)
        return e;
    open_result(op, s);
    xml_text(&op->out, "SubjectFromWebIdentityToken", token.subject);
    xml_text(&op->out, "Provider", issuer->url);
    write_credentials(op, &spec);
    return close_result(op, s);
}

static enum s3_error get_caller_identity(struct s3_op *op, const struct sts *s)
{
    const struct auth_session *session = op->auth.session;
    struct auth_session_spec spec = {.user = op->auth.user};
    if (session) {
        spec.role = session->role;
        spec.name = session->name;
    }
    open_result(op, s);
    xml_text(&op->out, "Arn", session_arn(op, &spec));
    xml_text(&op->out, "UserId", s3_access_userid(op->arena, spec.user, spec.role, spec.name));
    xml_text(&op->out, "Account", STR(S3_ACCOUNT_ID));
    return close_result(op, s);
}

static const struct {
    const char *name;
    bool is_signed; /* by a key; the other kind by the token in it */
    enum s3_error (*run)(struct s3_op *op, const struct sts *s);
} actions[] = {
    {"AssumeRole", true, assume_role},
    {"AssumeRoleWithWebIdentity", false, assume_role_with_web_identity},
    {"GetCallerIdentity", true, get_caller_identity},
};

enum s3_error s3_sts_finish(struct s3_op *op)
{
    struct sts s = {0};
    if (!auth_query_parse(buf_str(&op->body_bytes), op->arena, &s.params))
        return s3_fail(op, S3_STS_VALIDATION, "The body is no form.");
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
        if (!str_is(param(&s, "Action"), actions[i].name))
            continue;
        s.action = actions[i].name;
        enum s3_error e = actions[i].is_signed ? s3_gate_sts(op) : s3_limits_admit(op);
        return e == S3_OK ? actions[i].run(op, &s) : e;
    }
    return S3_INVALID_ACTION;
}
