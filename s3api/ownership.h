/* Who owns what in a bucket, and what access control lists therefore say ("Controlling ownership of objects", S3 user guide).
 *
 * With BucketOwnerEnforced, lists are derived and decide nothing: users are members of one account, and what they may is said by
 * their own rights and by policies. In the other two modes lists count, as between accounts: the bucket is its owner's, each object its
 * writer's, and everybody else but administrators needs a grant, in a list or the bucket's policy.
 *
 * Kept as documents "ownership" (the mode's name, or "none" once controls were deleted) and "acl" (packed); objects keep theirs
 * in their record. Thread: worker. */
#ifndef S3API_OWNERSHIP_H
#define S3API_OWNERSHIP_H

#include "s3api/access.h"
#include "s3api/acl.h"
#include "s3api/object.h"

#define S3_OWNERSHIP_CONFIG "ownership"
#define S3_ACL_CONFIG "acl"

struct s3_owned {
    enum s3_ownership mode;
    bool has_controls;   /* GetBucketOwnershipControls has an answer */
    bool is_chosen;      /* by the bucket's owner, not by the service's default */
    struct str owner_id; /* the bucket's; not loaded with S3_OWNER_ENFORCED */
    struct s3_acl acl;   /* likewise */
};

/* "ObjectWriter", … */
const char *s3_ownership_name(enum s3_ownership mode);
/* False for any other word. */
bool s3_ownership_by_name(struct str name, enum s3_ownership *out);

/* Of an open bucket; of the request's own it is loaded once. What cannot be read grants nothing to anybody. */
const struct s3_owned *s3_owned_of(struct s3_op *op, struct vfs_dir *bucket, struct str name);

struct s3_owned_verdict {
    bool is_own;     /* the caller's own rights reach this far */
    bool is_granted; /* a list says so */
    bool is_foreign; /* an object that the bucket's owner does not own: its policy cannot grant it */
    bool is_absent;  /* an object that is not there, so that nobody can say */
};
/* What ownership and lists say of the action; remembers the list that it judged by, see s3_owned_is_as_judged. */
struct s3_owned_verdict s3_owned_ask(struct s3_op *op, const struct s3_access *a, const char *action);
/* False when the object that was opened now is not the one that was judged, in that its list, owner or tags are others. */
bool s3_owned_is_as_judged(const struct s3_op *op, const struct s3_object *o, const struct vfs_dir *bucket);
/* Is the bucket one of the caller's, for ListBuckets? */
bool s3_owned_is_callers(struct s3_op *op, struct str bucket);

/* Sets the mode of an open bucket; deletes the controls of the request's own. Durable. */
enum s3_error s3_owned_put_mode(struct s3_op *op, struct vfs_dir *bucket, enum s3_ownership mode);
enum s3_error s3_owned_delete_mode(struct s3_op *op);
/* Sets the list of an open bucket; nothing is kept of the private one. */
enum s3_error s3_owned_put_bucket_acl(struct s3_op *op, struct vfs_dir *bucket, const struct s3_acl *acl);
/* S3_ACCESS_DENIED for a list that is public where such lists are blocked (public_block.h). */
enum s3_error s3_owned_check_public(struct s3_op *op, struct vfs_dir *bucket, const struct s3_acl *acl);
/* Owner and list of an object that the request makes, by its headers, into *meta. S3_ACL_NOT_SUPPORTED where lists do not count. */
enum s3_error s3_owned_new_object(struct s3_op *op, struct s3_objmeta *meta);
/* The object's list as it counts, or as it is derived. */
enum s3_error s3_owned_object_acl(struct s3_op *op, const struct s3_objmeta *meta, struct s3_acl *out);
enum s3_error s3_owned_bucket_acl(struct s3_op *op, struct s3_acl *out);

#endif
