#include "s3api/bucket.h"
#include "s3api/listing.h"
#include "s3api/op_handlers.h"
#include "s3api/ownership.h"
#include "s3api/service.h"
#include "s3api/xml.h"

/* ListObjects, ListObjectsV2 and ListObjectVersions are one page of keys in three documents. */

enum version { LIST_V1, LIST_V2, LIST_VERSIONS };

struct listing {
    enum version version;
    struct s3_list_params params;
    struct str after;          /* marker, start-after, key-marker as given; ptr NULL: absent */
    struct str token;          /* V2: continuation-token as given */
    struct str version_marker; /* version-id-marker as given */
    struct str owner;          /* the element of each key; empty: none */
    struct s3_op *op;          /* keys may have owners of their own; NULL: they have not */
    struct s3_list *list;
    struct buf keys, prefixes; /* their elements: AWS gives all keys, then all prefixes */
    uint64_t count;
};

/* The page */

static void add_checksum(struct buf *b, const struct s3_checksum *c)
{
    if (c->kind == S3_CHECKSUM_NONE)
        return;
    xml_text(b, "ChecksumAlgorithm", str_z(s3_checksum_name(c->kind)));
    xml_text(b, "ChecksumType", c->composite ? STR("COMPOSITE") : STR("FULL_OBJECT"));
}

static void add_writer(struct listing *l, struct str owner_id)
{
    s3_owner_xml(l->op, "Owner", owner_id);
    buf_add(&l->keys, buf_str(&l->op->out));
    buf_reset(&l->op->out);
}

/* Without versioning, every object is its own latest version, and that is called "null". */
static void add_key(struct listing *l, const struct s3_list_entry *entry)
{
    struct buf *b = &l->keys;
    const char *element = l->version == LIST_VERSIONS ? "Version" : "Contents";
    const struct s3_objmeta_brief *brief = &entry->brief;
    xml_open(b, element);
    s3_list_key_xml(b, &l->params, "Key", entry->key);
    if (l->version == LIST_VERSIONS) {
        xml_text(b, "VersionId", STR("null"));
        xml_bool(b, "IsLatest", true);
    }
    xml_time(b, "LastModified", brief->modified_ns);
    xml_etag(b, "ETag", brief->etag);
    add_checksum(b, &brief->checksum);
    xml_u64(b, "Size", entry->size);
    if (l->op && brief->owner_id.len > 0)
        add_writer(l, brief->owner_id);
    else
        buf_add(b, l->owner);
    xml_text(b, "StorageClass", brief->storage_class.len > 0 ? brief->storage_class : STR("STANDARD"));
    xml_close(b, element);
}

static void on_entry(void *context, const struct s3_list_entry *entry)
{
    struct listing *l = context;
    l->count++;
    if (entry->is_prefix)
        s3_list_prefix_xml(&l->prefixes, &l->params, entry->key);
    else
        add_key(l, entry);
}

/* Parameters */

/* Renders the <Owner> that all keys of the bucket share. */
static enum s3_error find_owner(struct s3_op *op, struct listing *l)
{
    struct s3_bucket_record record;
    enum s3_error error = s3_bucket_record(op, op->req.bucket, &record);
    if (error != S3_OK)
        return error;
    if (s3_owned_of(op, op->bucket, op->req.bucket)->mode != S3_OWNER_ENFORCED)
        l->op = op;
    s3_owner_xml(op, "Owner", record.owner_id);
    l->owner = arena_dup(op->arena, buf_str(&op->out));
    buf_reset(&op->out);
    return S3_OK;
}

/* *out_after: where the page begins. */
static enum s3_error parse_v2_start(struct s3_op *op, struct listing *l, struct str *out_after)
{
    enum s3_error error = s3_list_text_param(op, "start-after", &l->after);
    if (error != S3_OK)
        return error;
    *out_after = l->after;
    l->token = s3_param_value(&op->req, "continuation-token");
    if (l->token.len > 0 && !s3_list_token_decode(l->token, op->arena, out_after))
        return s3_list_fail_argument(op, "continuation-token", STR_EMPTY, "The continuation token provided is incorrect");
    return S3_OK;
}

static enum s3_error parse_versions_start(struct s3_op *op, struct listing *l, struct str *out_after)
{
    enum s3_error error = s3_list_text_param(op, "key-marker", &l->after);
    if (error != S3_OK)
        return error;
    *out_after = l->after;
    l->version_marker = s3_param_value(&op->req, "version-id-marker");
    if (l->version_marker.len > 0 && l->after.len == 0)
        return s3_list_fail_argument(op, "version-id-marker", l->version_marker,
                                     "A version-id marker cannot be specified without a key marker.");
    if (l->version_marker.len > 0 && !str_is(l->version_marker, "null"))
        return s3_list_fail_argument(op, "version-id-marker", l->version_marker, "Invalid version id specified");
    return S3_OK;
}

static enum s3_error parse_start(struct s3_op *op, struct listing *l, struct str *out_after)
{
    switch (l->version) {
    case LIST_V1:
        break;
    case LIST_V2:
        return parse_v2_start(op, l, out_after);
    case LIST_VERSIONS:
        return parse_versions_start(op, l, out_after);
    }
    enum s3_error error = s3_list_text_param(op, "marker", &l->after);
    if (error == S3_OK)
        *out_after = l->after;
    return error;
}

static enum s3_error begin(struct s3_op *op, enum version version)
{
    struct listing *l = arena_new_of(op->arena, struct listing);
    l->version = version;
    l->keys = buf_make(LIMIT_XML_REPLY_BYTES);
    l->prefixes = buf_make(LIMIT_XML_REPLY_BYTES);
    op->data = l;
    struct s3_list_query query = {0};
    bool with_owner = version != LIST_V2 || str_is(s3_param_value(&op->req, "fetch-owner"), "true");
    enum s3_error error = s3_list_params_parse(op, "max-keys", &l->params);
    if (error == S3_OK)
        error = parse_start(op, l, &query.after);
    if (error == S3_OK && with_owner)
        error = find_owner(op, l);
    if (error != S3_OK)
        return error;
    query.prefix = l->params.prefix;
    query.delimiter = l->params.delimiter;
    query.max = l->params.max;
    l->list = s3_list_open(op, op->bucket, &query, on_entry, l);
    return S3_OK;
}

enum s3_error s3_list_objects_begin(struct s3_op *op)
{
    return begin(op, LIST_V1);
}

/* AWS has one other version only, and answers any other number as the first. */
enum s3_error s3_list_objects_v2_begin(struct s3_op *op)
{
    return begin(op, str_is(s3_param_value(&op->req, "list-type"), "2") ? LIST_V2 : LIST_V1);
}

enum s3_error s3_list_object_versions_begin(struct s3_op *op)
{
    return begin(op, LIST_VERSIONS);
}

/* Documents */

static void add_v1_head(struct buf *b, const struct listing *l, struct str next)
{
    s3_list_key_xml(b, &l->params, "Marker", l->after);
    /* Without a delimiter clients go on behind the last key. */
    if (next.ptr && l->params.delimiter.len > 0)
        s3_list_key_xml(b, &l->params, "NextMarker", next);
}

static void add_v2_head(struct buf *b, const struct listing *l, struct str next, struct arena *arena)
{
    if (l->token.ptr)
        xml_text(b, "ContinuationToken", l->token);
    if (l->after.ptr)
        s3_list_key_xml(b, &l->params, "StartAfter", l->after);
    if (next.ptr)
        xml_text(b, "NextContinuationToken", s3_list_token_encode(next, arena));
    xml_u64(b, "KeyCount", l->count);
}

static void add_versions_head(struct buf *b, const struct listing *l, struct str next)
{
    s3_list_key_xml(b, &l->params, "KeyMarker", l->after);
    xml_text(b, "VersionIdMarker", l->version_marker);
    if (!next.ptr)
        return;
    s3_list_key_xml(b, &l->params, "NextKeyMarker", next);
    if (s3_common_prefix(next, l->params.prefix, l->params.delimiter).len == 0)
        xml_text(b, "NextVersionIdMarker", STR("null"));
}

/* next: where the next page goes on; ptr NULL: there is none. */
static void add_document(struct s3_op *op, const struct listing *l, struct str next)
{
    struct buf *b = &op->out;
    const char *root = l->version == LIST_VERSIONS ? "ListVersionsResult" : "ListBucketResult";
    xml_begin(b);
    xml_open_ns(b, root);
    xml_text(b, "Name", op->req.bucket);
    s3_list_key_xml(b, &l->params, "Prefix", l->params.prefix);
    switch (l->version) {
    case LIST_V1:
        add_v1_head(b, l, next);
        break;
    case LIST_V2:
        add_v2_head(b, l, next, op->arena);
        break;
    case LIST_VERSIONS:
        add_versions_head(b, l, next);
        break;
    }
    xml_u64(b, "MaxKeys", l->params.max);
    if (l->params.delimiter.len > 0)
        s3_list_key_xml(b, &l->params, "Delimiter", l->params.delimiter);
    if (l->params.url)
        xml_text(b, "EncodingType", STR("url"));
    xml_bool(b, "IsTruncated", next.ptr != NULL);
    buf_add(b, buf_str(&l->keys));
    buf_add(b, buf_str(&l->prefixes));
    xml_close(b, root);
}

enum s3_error s3_list_objects_finish(struct s3_op *op)
{
    struct listing *l = op->data;
    enum s3_error error = s3_list_run(l->list);
    if (error != S3_OK)
        return error;
    struct str next = STR_EMPTY;
    (void)s3_list_is_truncated(l->list, &next); /* next stays empty then */
    add_document(op, l, next);
    s3_reply_header(op, "x-amz-bucket-region", op->service->region);
    return s3_reply_xml(op, 200);
}

void s3_list_objects_end(struct s3_op *op)
{
    struct listing *l = op->data;
    if (!l)
        return;
    s3_list_close(l->list);
    buf_done(&l->keys);
    buf_done(&l->prefixes);
}
