#include "base/limits.h"
#include "s3api/bucket.h"
#include "s3api/op_handlers.h"
#include "s3api/tags.h"
#include "s3api/xml.h"

/* What sluice does not configure has the answer that AWS gives for a bucket where it was never configured. */

/* Configurations that are absent */

static const struct {
    const char *query;
    enum s3_error error;
} absent[] = {
    {"lifecycle", S3_NO_SUCH_LIFECYCLE},
    {"encryption", S3_NO_SUCH_ENCRYPTION},
    {"website", S3_NO_SUCH_WEBSITE},
    {"replication", S3_NO_SUCH_REPLICATION},
    {"object-lock", S3_NO_SUCH_OBJECT_LOCK},
    {"analytics", S3_NO_SUCH_CONFIGURATION},
    {"intelligent-tiering", S3_NO_SUCH_CONFIGURATION},
    {"inventory", S3_NO_SUCH_CONFIGURATION},
    {"metrics", S3_NO_SUCH_CONFIGURATION},
};

enum s3_error s3_absent_config_begin(struct s3_op *op)
{
    for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
        if (strcmp(absent[i].query, op->row->query) != 0)
            continue;
        op->detail.bucket_name = op->req.bucket;
        return absent[i].error;
    }
    return S3_NOT_IMPLEMENTED;
}

enum s3_error s3_delete_absent_config_begin(struct s3_op *op)
{
    return s3_reply_empty(op, 204);
}

/* Configurations that have a default */

static const struct {
    const char *query;
    const char *root, *content;
} defaults[] = {
    {"versioning", "VersioningConfiguration", ""},
    {"notification", "NotificationConfiguration", ""},
    {"accelerate", "AccelerateConfiguration", ""},
    {"logging", "BucketLoggingStatus", ""},
    {"requestPayment", "RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>"},
    {"analytics", "ListBucketAnalyticsConfigurationResult", "<IsTruncated>false</IsTruncated>"},
    {"intelligent-tiering", "ListBucketIntelligentTieringConfigurationsOutput", "<IsTruncated>false</IsTruncated>"},
    {"inventory", "ListInventoryConfigurationsResult", "<IsTruncated>false</IsTruncated>"},
    {"metrics", "ListMetricsConfigurationsResult", "<IsTruncated>false</IsTruncated>"},
};

enum s3_error s3_default_config_begin(struct s3_op *op)
{
    for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
        if (strcmp(defaults[i].query, op->row->query) != 0)
            continue;
        xml_begin(&op->out);
        xml_open_ns(&op->out, defaults[i].root);
        buf_addz(&op->out, defaults[i].content);
        xml_close(&op->out, defaults[i].root);
        return s3_reply_xml(op, 200);
    }
    return S3_NOT_IMPLEMENTED;
}

/* Object lock belongs to a bucket before it can to an object. */
enum s3_error s3_object_lock_missing_begin(struct s3_op *op)
{
    return s3_fail(op, S3_INVALID_REQUEST, "Bucket is missing Object Lock Configuration");
}

/* Tags */

enum s3_error s3_get_bucket_tagging_begin(struct s3_op *op)
{
    enum s3_error error = s3_bucket_config_get(op, S3_TAGGING_CONFIG, &op->out);
    if (error != S3_OK)
        return error;
    return op->out.len > 0 ? s3_reply_xml(op, 200) : S3_NO_SUCH_TAG_SET;
}

/* Stored as it will be answered. */
enum s3_error s3_put_bucket_tagging_finish(struct s3_op *op)
{
    struct s3_pairs tags;
    enum s3_error error = s3_tags_parse_xml(op, buf_str(&op->body_bytes), LIMIT_TAGS_PER_BUCKET, &tags);
    if (error != S3_OK)
        return error;
    s3_tags_write_xml(op, &tags);
    error = s3_bucket_config_put(op, S3_TAGGING_CONFIG, buf_str(&op->out));
    return error == S3_OK ? s3_reply_empty(op, 204) : error;
}

enum s3_error s3_delete_bucket_tagging_begin(struct s3_op *op)
{
    enum s3_error error = s3_bucket_config_delete(op, S3_TAGGING_CONFIG);
    return error == S3_OK ? s3_reply_empty(op, 204) : error;
}
