/* The IAM policy language: documents are parsed once, into an immutable form, and evaluated purely.
 *
 * A new document is refused for what is not understood — an element, an effect, an operator, a condition key, an action that S3 does
 * not have, a malformed principal or resource — with one line that names it; nothing is stored and then ignored (SEC-30). It is also
 * refused for what makes no sense: an action that none of the resources is for, a key that the action does not have. Of a document that
 * was stored, the latter is no reason: what an earlier version took keeps its meaning, which is that such a statement matches nothing.
 * Sources: "IAM JSON policy elements reference", "IAM JSON policy evaluation logic" (IAM user guide); "Actions, resources,
 * and condition keys for Amazon S3" (service authorization reference). Thread: any; a parsed policy is read-only. */
#ifndef AUTH_POLICY_H
#define AUTH_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/compiler.h"
#include "base/str.h"

struct auth_policy;

enum auth_policy_kind {
    AUTH_POLICY_IDENTITY, /* attached to users and groups, or a session: no Principal */
    AUTH_POLICY_BUCKET    /* Principal or NotPrincipal required; resources must lie in the bucket */
};

/* A new document. bucket: the policy's own (AUTH_POLICY_BUCKET; empty otherwise). At most 20 KiB of JSON. -EINVAL with a line in *error
 * that names what is wrong ("MalformedPolicy" texts as AWS's where it has them). */
MUST_USE int auth_policy_parse(enum auth_policy_kind kind, struct str json, struct str bucket, struct auth_policy **out,
                               struct buf *error);
/* A stored one: -EINVAL only for what cannot be evaluated. */
MUST_USE int auth_policy_read(enum auth_policy_kind kind, struct str json, struct str bucket, struct auth_policy **out,
                              struct buf *error);
struct auth_policy *auth_policy_ref(struct auth_policy *p);
void auth_policy_unref(struct auth_policy *p);
/* The document as it was given. */
struct str auth_policy_text(const struct auth_policy *p);
/* AWS's meaning of "public" (GetBucketPolicyStatus, BlockPublicPolicy, RestrictPublicBuckets): grants to everybody without a
 * condition that fixes the caller (source address range, VPC, account, user id, …). */
bool auth_policy_is_public(const struct auth_policy *p);

/* A condition key with its values at this request. */
struct auth_context_value {
    struct str key; /* "aws:SourceIp", "s3:prefix", "s3:ExistingObjectTag/team"; compared without case (tag names exactly) */
    const struct str *values;
    size_t count; /* 0: the key is absent */
};

/* Answers a condition key, absent (count 0) when this request has none. Called lazily: some keys cost a look at the object. */
typedef void (*auth_context_fn)(void *data, struct str key, struct auth_context_value *out);

struct auth_policy_request {
    struct str action;       /* "s3:GetObject" */
    struct str resource;     /* "arn:aws:s3:::bucket/key", "arn:aws:s3:::bucket", "*" for the service */
    /* The caller: empty id is anonymous. */
    struct str principal_arn;  /* "arn:aws:iam::<account>:user/<name>", or ":role/<name>" */
    struct str session_arn;    /* of a session in a role, besides: "arn:aws:sts::<account>:assumed-role/<role>/<session>" */
    struct str principal_id;   /* canonical user id: grants by {"CanonicalUser": …} */
    struct str account;        /* account id of the caller */
    auth_context_fn context;
    void *context_data;
    /* What comparing may still cost, or NULL: patterns of somebody's policy times texts of somebody's request would take seconds. Where
     * none is left the verdict is AUTH_DENY. */
    uint64_t *steps;
};

enum auth_verdict { AUTH_NO_OPINION, AUTH_ALLOW, AUTH_DENY };

/* Explicit deny wins over allow within the policy. Several policies are combined by auth/authorize.h. */
enum auth_verdict auth_policy_evaluate(const struct auth_policy *p, const struct auth_policy_request *r);

/* The JSON of a canned policy; empty when there is none of that name:
 *   admin      everything
 *   owner      what belongs to the caller, and new buckets
 *   readonly   s3:Get*, s3:List*
 *   readwrite  readonly, objects of all buckets, new and empty buckets; everything of the caller's own buckets
 *   writeonly  uploads */
struct str auth_policy_canned(struct str name);
/* Names in order, from 0; empty behind the last. */
struct str auth_policy_canned_name(size_t index);

#endif
