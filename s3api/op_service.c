#include "base/encode.h"
#include "s3api/access.h"
#include "s3api/bucket.h"
#include "s3api/key.h"
#include "s3api/op_handlers.h"
#include "s3api/ownership.h"
#include "s3api/service.h"
#include "s3api/xml.h"

#include <stdlib.h>

/* Operations that there are only to say so */

enum s3_error s3_not_implemented_begin(struct s3_op *op)
{
    return s3_fail(op, S3_NOT_IMPLEMENTED, "%s is not implemented.", op->row->name);
}

/* ListBuckets */

#define MAX_BUCKETS 10000 /* AWS's largest page */

struct bucket_names {
    struct str *items;
    size_t count, max;
};

struct bucket_query {
    struct str prefix, after;
    size_t max;
    bool is_paged;     /* such requests are told regions, too */
    bool is_elsewhere; /* bucket-region names another region */
};

static void add_name(struct s3_op *op, struct bucket_names *names, struct str name)
{
    if (names->count == names->max) {
        size_t max = names->max ? 2 * names->max : 64;
        struct str *grown = arena_array_of(op->arena, struct str, max);
        if (names->count > 0)
            memcpy(grown, names->items, names->count * sizeof(*grown));
        names->items = grown;
        names->max = max;
    }
    names->items[names->count++] = arena_dup(op->arena, name);
}

/* Directories that could not be addressed are no buckets; nor are those the user may not touch, or that are other users'
 * where lists count. */
static bool is_listed(struct s3_op *op, const struct bucket_query *q, struct str name)
{
    return s3_bucket_name_is_valid(name) && str_starts(name, q->prefix) && str_cmp(name, q->after) > 0 &&
           s3_access_has_bucket(op, name) && s3_owned_is_callers(op, name);
}

static int compare_names(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static enum s3_error scan_names(struct s3_op *op, const struct bucket_query *q, struct bucket_names *names)
{
    CLEANUP(vfs_scan_closep) struct vfs_scan *scan = NULL;
    struct vfs_dirent entry;
    int r = vfs_scan_open(vfs_root(op->service->volume), STR(""), NULL, STR(""), &scan);
    while (r >= 0 && (r = vfs_scan_next(scan, &entry)) > 0)
        if (entry.type == VFS_DIRECTORY && is_listed(op, q, entry.name))
            add_name(op, names, entry.name);
    if (r < 0)
        return s3_fail_errno(op, r, S3_FOR_BUCKET);
    /* A scan's order is that of keys, where "a-b/" comes before "a/"; buckets are in the order of their names. */
    if (names->count > 0)
        qsort(names->items, names->count, sizeof(names->items[0]), compare_names);
    return S3_OK;
}

static enum s3_error collect_names(struct s3_op *op, const struct bucket_query *q, struct bucket_names *names)
{
    struct str single = op->service->single_bucket;
    if (q->is_elsewhere)
        return S3_OK;
    if (single.len == 0)
        return scan_names(op, q, names);
    if (str_starts(single, q->prefix) && str_cmp(single, q->after) > 0 &&
        s3_access_has_bucket(op, single) && s3_owned_is_callers(op, single))
        add_name(op, names, single);
    return S3_OK;
}

static enum s3_error bad_argument(struct s3_op *op, const char *name, const char *message)
{
    op->detail.argument_name = str_z(name);
    op->detail.argument_value = s3_param_value(&op->req, name);
    return s3_fail(op, S3_INVALID_ARGUMENT, "%s", message);
}

static enum s3_error read_query(struct s3_op *op, struct bucket_query *q)
{
    struct str max_text = s3_param_value(&op->req, "max-buckets");
    struct str token = s3_param_value(&op->req, "continuation-token");
    struct str region = s3_param_value(&op->req, "bucket-region");
    uint64_t max = MAX_BUCKETS;
    *q = (struct bucket_query){.prefix = s3_param_value(&op->req, "prefix"), .max = MAX_BUCKETS};
    if (max_text.len > 0 && (!str_parse_u64_max(max_text, MAX_BUCKETS, &max) || max == 0))
        return bad_argument(op, "max-buckets", "max-buckets must be between 1 and 10000.");
    q->max = (size_t)max;
    q->is_elsewhere = region.len > 0 && !str_eq(region, op->service->region);
    q->is_paged = max_text.len > 0 || token.len > 0 || q->prefix.len > 0 || region.len > 0;
    if (token.len == 0)
        return S3_OK;
    char *after = arena_alloc(op->arena, LIMIT_BUCKET_NAME_MAX);
    size_t after_len;
    if (!base64_decode(token, after, LIMIT_BUCKET_NAME_MAX, &after_len))
        return bad_argument(op, "continuation-token", "The continuation token provided is incorrect");
    q->after = str_of(after, after_len);
    return S3_OK;
}

static enum s3_error write_bucket(struct s3_op *op, const struct bucket_query *q, struct str name)
{
    struct s3_bucket_record record;
    enum s3_error error = s3_bucket_record(op, name, &record);
    if (error == S3_NO_SUCH_BUCKET)
        return S3_OK; /* gone since the scan */
    if (error != S3_OK)
        return error;
    xml_open(&op->out, "Bucket");
    xml_text(&op->out, "Name", name);
    xml_time(&op->out, "CreationDate", record.created_ns);
    if (q->is_paged)
        xml_text(&op->out, "BucketRegion", op->service->region);
    xml_close(&op->out, "Bucket");
    return S3_OK;
}

static enum s3_error write_page(struct s3_op *op, const struct bucket_query *q, const struct bucket_names *names)
{
    struct buf *b = &op->out;
    size_t count = names->count < q->max ? names->count : q->max;
    xml_begin(b);
    xml_open_ns(b, "ListAllMyBucketsResult");
    s3_owner_xml(op, "Owner", op->auth.user->id);
    xml_open(b, "Buckets");
    for (size_t i = 0; i < count; i++) {
        enum s3_error error = write_bucket(op, q, names->items[i]);
        if (error != S3_OK)
            return error;
    }
    xml_close(b, "Buckets");
    if (q->prefix.len > 0)
        xml_text(b, "Prefix", q->prefix);
    if (count < names->count) {
        xml_open(b, "ContinuationToken");
        buf_add_base64(b, names->items[count - 1].ptr, names->items[count - 1].len);
        xml_close(b, "ContinuationToken");
    }
    xml_close(b, "ListAllMyBucketsResult");
    return s3_reply_xml(op, 200);
}

enum s3_error s3_list_buckets_begin(struct s3_op *op)
{
    struct bucket_query q;
    struct bucket_names names = {0};
    enum s3_error error = read_query(op, &q);
    if (error == S3_OK)
        error = collect_names(op, &q, &names);
    return error == S3_OK ? write_page(op, &q, &names) : error;
}
