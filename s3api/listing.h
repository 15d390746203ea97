/* Keys of a bucket in byte order: the pages behind ListObjects, ListObjectsV2 and ListObjectVersions, and what
 * ListMultipartUploads shares with them: grouping and parameters. Work per page is bounded by the page, however many keys the
 * bucket has (design §4).
 *
 * What is a key: a file, by its path; a directory that S3 made for its own sake, as "path/"; a directory made through POSIX, as
 * "path/", while nothing is listed below it, so that it can be seen at all. A directory made on the way to an object is no
 * key, and no common prefix either while nothing is listed below it. Not listed are symlinks to directories, devices and
 * the like, names that are not UTF-8, paths of more than LIMIT_KEY_BYTES, reserved names, and directories that the identity
 * may not read with all that is in them. A prefix that names a symlink to a directory inside the bucket lists that directory.
 * Thread: worker. */
#ifndef S3API_LISTING_H
#define S3API_LISTING_H

#include "s3api/objmeta.h"
#include "s3api/op.h"

struct s3_list_query {
    struct str prefix, delimiter; /* empty: none; any bytes */
    struct str after;             /* only keys and common prefixes behind this one; a prefix that it lies in is not repeated */
    uint32_t max;                 /* entries of both kinds together */
};

struct s3_list_entry {
    bool is_prefix;
    struct str key; /* or the common prefix, delimiter included */
    uint64_t size;  /* keys only, as the brief */
    struct s3_objmeta_brief brief;
};

/* The entry is valid during the call. */
typedef void (*s3_list_fn)(void *context, const struct s3_list_entry *entry);

/* A page in the making: from the arena, to be closed. The query's texts must live as long. */
struct s3_list;
struct s3_list *s3_list_open(struct s3_op *op, struct vfs_dir *bucket, const struct s3_list_query *q, s3_list_fn fn,
                             void *context);
/* Calls fn for entries, in order. S3_AGAIN: a bounded step is done; S3_OK: the page is complete. */
enum s3_error s3_list_run(struct s3_list *l);
/* After S3_OK: is there more? Then *out_last is what `after` of the next page must be (lives until the list is closed). */
bool s3_list_is_truncated(const struct s3_list *l, struct str *out_last);
/* NULL is fine. */
void s3_list_close(struct s3_list *l);

/* The part of key that a listing with this prefix and delimiter shows instead of it: up to the first delimiter behind the
 * prefix, delimiter included. Empty when the key is shown itself. The key must start with the prefix. */
struct str s3_common_prefix(struct str key, struct str prefix, struct str delimiter);

/* Does the bucket hold no object and no foreign entry at all? */
enum s3_error s3_bucket_is_empty(struct s3_op *op, struct vfs_dir *bucket, bool *out);
/* Removes what s3_bucket_is_empty overlooks: directories made on the way that were left empty. Best effort. */
void s3_bucket_sweep(struct s3_op *op, struct vfs_dir *bucket);

/* Parameters that all listings have. */
struct s3_list_params {
    struct str prefix, delimiter; /* ptr NULL: not given */
    uint32_t max;                 /* at most LIMIT_LIST_KEYS */
    bool url;                     /* encoding-type=url */
};
/* max_name: "max-keys", "max-uploads". */
enum s3_error s3_list_params_parse(struct s3_op *op, const char *max_name, struct s3_list_params *out);
/* S3_INVALID_ARGUMENT with ArgumentName and, unless it is empty, ArgumentValue. */
enum s3_error s3_list_fail_argument(struct s3_op *op, const char *name, struct str value, const char *message);
/* One more key or prefix of the request (markers); ptr NULL when absent. Fails when it is not UTF-8, as no key could be. */
enum s3_error s3_list_text_param(struct s3_op *op, const char *name, struct str *out);
/* <name> with a key or a part of one, encoded as the client asked. */
void s3_list_key_xml(struct buf *b, const struct s3_list_params *p, const char *name, struct str value);
/* <CommonPrefixes> */
void s3_list_prefix_xml(struct buf *b, const struct s3_list_params *p, struct str prefix);

/* ListObjectsV2's continuation tokens: the key to go on behind, in a form that no client takes for a key. */
struct str s3_list_token_encode(struct str key, struct arena *arena);
/* False for anything that s3_list_token_encode does not make. */
bool s3_list_token_decode(struct str token, struct arena *arena, struct str *out_key);

#endif
