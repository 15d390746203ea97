/* May this caller do this? Gathers who asks and the policies that have a say, and lets auth/authorize.h decide: the caller's own,
 * those attached, the session's, the bucket's; and, where lists count, what ownership.h says. Thread: worker. */
#ifndef S3API_ACCESS_H
#define S3API_ACCESS_H

#include "s3api/objmeta.h"
#include "s3api/op.h"
#include "s3api/policy_cache.h"

/* The one account of a gateway, as LocalStack has it: principals are arn:aws:iam::000000000000:user/NAME. */
#define S3_ACCOUNT_ID "000000000000"

/* What is to be touched, and the policy that rules it. */
struct s3_access {
    struct str bucket, key; /* key empty: the bucket itself */
    struct str version_id;  /* ptr NULL: none was asked for */
    struct vfs_dir *dir;    /* borrowed */
    const struct s3_policy *policy;
    bool is_policy_of_owner; /* operations on the policy itself: it cannot lock the owner out */
    struct str listed;       /* of the bucket: whether a listing may show this key; ptr NULL: another question */
    bool is_in_body;         /* one of the keys of DeleteObjects: what its header would say stands there */
    struct str if_match;     /* of such a key: the ETag that it must have; ptr NULL: none */
};

/* Something of the request's own bucket, in the way of its row. */
struct s3_access s3_access_of(const struct s3_op *op, struct str key, struct str version_id);
/* S3_ACCESS_DENIED, or S3_OK. */
enum s3_error s3_access_check(struct s3_op *op, const struct s3_access *a, const char *action);
/* "arn:aws:iam::…:user/NAME", or of the role that a session is in; empty: anonymous. */
struct str s3_access_principal(struct s3_op *op);
/* "arn:aws:sts::…:assumed-role/ROLE/SESSION"; empty: role is. */
struct str s3_access_session_arn(struct arena *arena, struct str role, struct str session);
/* AWS's "aws:userid", the same for web identities: "ROLE-ID:SESSION" of a session in a role, else the user's id. role empty: none. */
struct str s3_access_userid(struct arena *arena, const struct auth_user *user, struct str role, struct str session);
/* As s3_access_check, by the action of a version when one was asked for (SEC-32). The only version there is is the current one, "null": to
 * name it does not lead around a deny of the plain action. */
enum s3_error s3_access_check_version(struct s3_op *op, const struct s3_access *a, const char *action,
                                      const char *version_action);
/* All that the row demands of the request's own object or bucket, other actions that its headers imply included. */
enum s3_error s3_access_check_row(struct s3_op *op);
/* Would the caller's own policies alone let it do that to a bucket? For listings of buckets, which ask for every name. */
bool s3_access_has_bucket(struct s3_op *op, struct str bucket);
/* Of an object to be: may it have tags that no header of the request names (those of a copy's source)? */
enum s3_error s3_access_check_tags(struct s3_op *op);
/* For rows that are judged after their body was read (S3_OP_BODY_ACCESS), and of which the whole request is one question. */
enum s3_error s3_access_check_body(struct s3_op *op);
/* A caller who may not list a key does not learn that it is not there: S3_NO_SUCH_KEY becomes S3_ACCESS_DENIED. Asked where the
 * absent key is another than the request's; s3_access_hide_absence asks for that one, unless it was told before. */
enum s3_error s3_access_hide_absence_of(struct s3_op *op, const struct s3_access *a, enum s3_error error);
enum s3_error s3_access_hide_absence(struct s3_op *op, enum s3_error error);

/* The request's headers that say what the object will be and that policies may ask for: a multipart upload keeps them, since parts
 * and its end are judged by them. Names are literals. */
#define S3_ACCESS_OBJECT_HEADERS_MAX 8
struct s3_pairs s3_access_object_headers(struct s3_op *op);

/* Condition keys of one question (access_context.c). */
struct s3_access_question {
    struct s3_op *op;
    const struct s3_access *access;
};
/* An auth_context_fn over struct s3_access_question. */
void s3_access_context(void *data, struct str key, struct auth_context_value *out);

#endif
