/* Access control lists as AWS has them ("Access control list (ACL) overview", S3 user guide): who is granted what, the headers and
 * documents that say so, and the packed form that object records and bucket documents keep. What a list means for a request is
 * decided in ownership.h. Thread: worker. */
#ifndef S3API_ACL_H
#define S3API_ACL_H

#include "s3api/op.h"

enum s3_grantee { S3_GRANTEE_USER, S3_GRANTEE_ALL_USERS, S3_GRANTEE_AUTHENTICATED_USERS, S3_GRANTEE_LOG_DELIVERY };

enum { S3_PERMIT_READ = 1, S3_PERMIT_WRITE = 2, S3_PERMIT_READ_ACP = 4, S3_PERMIT_WRITE_ACP = 8, S3_PERMIT_FULL_CONTROL = 15 };

struct s3_grant {
    enum s3_grantee grantee;
    struct str id; /* canonical, S3_GRANTEE_USER only */
    unsigned permit;
};

struct s3_acl {
    struct str owner_id;
    struct s3_grant *items;
    size_t count;
};

/* Who is asked for canned lists. */
struct s3_acl_context {
    struct str owner_id, bucket_owner_id;
    bool is_bucket; /* bucket-owner-read and -full-control mean nothing there */
};

/* The list that there is when nobody asked for one: the owner may do all. */
void s3_acl_private(struct arena *arena, struct str owner_id, struct s3_acl *out);
bool s3_acl_is_private(const struct s3_acl *acl);
/* Does it grant anything to all users, or all with a signature? */
bool s3_acl_is_public(const struct s3_acl *acl);
/* What the list permits that user, empty id: nobody in particular; a set of S3_PERMIT_*. */
unsigned s3_acl_permits(const struct s3_acl *acl, struct str user_id, bool with_public);

/* Packed: "1", then a line per grant: permit as a hex digit, kind ('u' with the id, 'e', 'a', 'l'). Unreadable bytes grant nothing.
 * Empty text is the private list. */
struct str s3_acl_pack(const struct s3_acl *acl, struct arena *arena);
void s3_acl_unpack(struct str packed, struct str owner_id, struct arena *arena, struct s3_acl *out);

/* Does the request have x-amz-acl, x-amz-grant-*? */
bool s3_acl_has_headers(const struct s3_request *r);
/* The list that x-amz-acl or x-amz-grant-* ask for; without any the private one. S3_INVALID_ARGUMENT, S3_INVALID_REQUEST (both
 * kinds), S3_UNRESOLVABLE_GRANT. */
enum s3_error s3_acl_from_headers(struct s3_op *op, const struct s3_acl_context *c, struct s3_acl *out);
/* Of headers or the collected body of a request to set a list. Also S3_MALFORMED_ACL, S3_MISSING_SECURITY_HEADER, S3_ACCESS_DENIED
 * when the document names another owner. */
enum s3_error s3_acl_from_request(struct s3_op *op, const struct s3_acl_context *c, struct s3_acl *out);
/* Answers with the list. */
enum s3_error s3_acl_reply(struct s3_op *op, const struct s3_acl *acl);

#endif
