#include "auth/policy_internal.h"

/* "Actions, resources, and condition keys for Amazon S3", service authorization reference: every action, with the kind of resource
 * it is about. Those that sluice has no operation for may be named, since they can be granted without effect. */
static const struct {
    const char *name;
    unsigned level;
} actions[] = {
    {"s3:AbortMultipartUpload", POLICY_LEVEL_OBJECT},
    {"s3:AllowVendedLogDeliveryForResource", POLICY_LEVEL_BUCKET},
    {"s3:AssociateAccessGrantsIdentityCenter", POLICY_LEVEL_OTHER},
    {"s3:BypassGovernanceRetention", POLICY_LEVEL_OBJECT},
    {"s3:CreateAccessGrant", POLICY_LEVEL_OTHER},
    {"s3:CreateAccessGrantsInstance", POLICY_LEVEL_OTHER},
    {"s3:CreateAccessGrantsLocation", POLICY_LEVEL_OTHER},
    {"s3:CreateAccessPoint", POLICY_LEVEL_OTHER},
    {"s3:CreateAccessPointForObjectLambda", POLICY_LEVEL_OTHER},
    {"s3:CreateBucket", POLICY_LEVEL_BUCKET},
    {"s3:CreateBucketMetadataTableConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:CreateJob", POLICY_LEVEL_ACCOUNT},
    {"s3:CreateMultiRegionAccessPoint", POLICY_LEVEL_OTHER},
    {"s3:CreateStorageLensGroup", POLICY_LEVEL_ACCOUNT},
    {"s3:DeleteAccessGrant", POLICY_LEVEL_OTHER},
    {"s3:DeleteAccessGrantsInstance", POLICY_LEVEL_OTHER},
    {"s3:DeleteAccessGrantsInstanceResourcePolicy", POLICY_LEVEL_OTHER},
    {"s3:DeleteAccessGrantsLocation", POLICY_LEVEL_OTHER},
    {"s3:DeleteAccessPoint", POLICY_LEVEL_OTHER},
    {"s3:DeleteAccessPointForObjectLambda", POLICY_LEVEL_OTHER},
    {"s3:DeleteAccessPointPolicy", POLICY_LEVEL_OTHER},
    {"s3:DeleteAccessPointPolicyForObjectLambda", POLICY_LEVEL_OTHER},
    {"s3:DeleteBucket", POLICY_LEVEL_BUCKET},
    {"s3:DeleteBucketMetadataTableConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:DeleteBucketPolicy", POLICY_LEVEL_BUCKET},
    {"s3:DeleteBucketWebsite", POLICY_LEVEL_BUCKET},
    {"s3:DeleteJobTagging", POLICY_LEVEL_OTHER},
    {"s3:DeleteMultiRegionAccessPoint", POLICY_LEVEL_OTHER},
    {"s3:DeleteObject", POLICY_LEVEL_OBJECT},
    {"s3:DeleteObjectAnnotation", POLICY_LEVEL_OBJECT},
    {"s3:DeleteObjectTagging", POLICY_LEVEL_OBJECT},
    {"s3:DeleteObjectVersion", POLICY_LEVEL_OBJECT},
    {"s3:DeleteObjectVersionAnnotation", POLICY_LEVEL_OBJECT},
    {"s3:DeleteObjectVersionTagging", POLICY_LEVEL_OBJECT},
    {"s3:DeleteStorageLensConfiguration", POLICY_LEVEL_OTHER},
    {"s3:DeleteStorageLensConfigurationTagging", POLICY_LEVEL_OTHER},
    {"s3:DeleteStorageLensGroup", POLICY_LEVEL_OTHER},
    {"s3:DescribeJob", POLICY_LEVEL_OTHER},
    {"s3:DescribeMultiRegionAccessPointOperation", POLICY_LEVEL_OTHER},
    {"s3:DissociateAccessGrantsIdentityCenter", POLICY_LEVEL_OTHER},
    {"s3:GetAccelerateConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:GetAccessGrant", POLICY_LEVEL_OTHER},
    {"s3:GetAccessGrantsInstance", POLICY_LEVEL_OTHER},
    {"s3:GetAccessGrantsInstanceForPrefix", POLICY_LEVEL_OTHER},
    {"s3:GetAccessGrantsInstanceResourcePolicy", POLICY_LEVEL_OTHER},
    {"s3:GetAccessGrantsLocation", POLICY_LEVEL_OTHER},
    {"s3:GetAccessPoint", POLICY_LEVEL_OTHER},
    {"s3:GetAccessPointConfigurationForObjectLambda", POLICY_LEVEL_OTHER},
    {"s3:GetAccessPointForObjectLambda", POLICY_LEVEL_OTHER},
    {"s3:GetAccessPointPolicy", POLICY_LEVEL_OTHER},
    {"s3:GetAccessPointPolicyForObjectLambda", POLICY_LEVEL_OTHER},
    {"s3:GetAccessPointPolicyStatus", POLICY_LEVEL_OTHER},
    {"s3:GetAccessPointPolicyStatusForObjectLambda", POLICY_LEVEL_OTHER},
    {"s3:GetAccountPublicAccessBlock", POLICY_LEVEL_ACCOUNT},
    {"s3:GetAnalyticsConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:GetBucketAbac", POLICY_LEVEL_BUCKET},
    {"s3:GetBucketAcl", POLICY_LEVEL_BUCKET},
    {"s3:GetBucketCORS", POLICY_LEVEL_BUCKET},
    {"s3:GetBucketLocation", POLICY_LEVEL_BUCKET},
    {"s3:GetBucketLogging", POLICY_LEVEL_BUCKET},
    {"s3:GetBucketMetadataTableConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:GetBucketNotification", POLICY_LEVEL_BUCKET},
    {"s3:GetBucketObjectLockConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:GetBucketOwnershipControls", POLICY_LEVEL_BUCKET},
    {"s3:GetBucketPolicy", POLICY_LEVEL_BUCKET},
    {"s3:GetBucketPolicyStatus", POLICY_LEVEL_BUCKET},
    {"s3:GetBucketPublicAccessBlock", POLICY_LEVEL_BUCKET},
    {"s3:GetBucketRequestPayment", POLICY_LEVEL_BUCKET},
    {"s3:GetBucketTagging", POLICY_LEVEL_BUCKET},
    {"s3:GetBucketVersioning", POLICY_LEVEL_BUCKET},
    {"s3:GetBucketWebsite", POLICY_LEVEL_BUCKET},
    {"s3:GetDataAccess", POLICY_LEVEL_OTHER},
    {"s3:GetEncryptionConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:GetIntelligentTieringConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:GetInventoryConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:GetJobTagging", POLICY_LEVEL_OTHER},
    {"s3:GetLifecycleConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:GetMetricsConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:GetMultiRegionAccessPoint", POLICY_LEVEL_OTHER},
    {"s3:GetMultiRegionAccessPointPolicy", POLICY_LEVEL_OTHER},
    {"s3:GetMultiRegionAccessPointPolicyStatus", POLICY_LEVEL_OTHER},
    {"s3:GetMultiRegionAccessPointRoutes", POLICY_LEVEL_OTHER},
    {"s3:GetObject", POLICY_LEVEL_OBJECT},
    {"s3:GetObjectAcl", POLICY_LEVEL_OBJECT},
    {"s3:GetObjectAnnotation", POLICY_LEVEL_OBJECT},
    {"s3:GetObjectAttributes", POLICY_LEVEL_OBJECT},
    {"s3:GetObjectLegalHold", POLICY_LEVEL_OBJECT},
    {"s3:GetObjectRetention", POLICY_LEVEL_OBJECT},
    {"s3:GetObjectTagging", POLICY_LEVEL_OBJECT},
    {"s3:GetObjectTorrent", POLICY_LEVEL_OBJECT},
    {"s3:GetObjectVersion", POLICY_LEVEL_OBJECT},
    {"s3:GetObjectVersionAcl", POLICY_LEVEL_OBJECT},
    {"s3:GetObjectVersionAnnotation", POLICY_LEVEL_OBJECT},
    {"s3:GetObjectVersionAnnotationForReplication", POLICY_LEVEL_OBJECT},
    {"s3:GetObjectVersionAttributes", POLICY_LEVEL_OBJECT},
    {"s3:GetObjectVersionForReplication", POLICY_LEVEL_OBJECT},
    {"s3:GetObjectVersionTagging", POLICY_LEVEL_OBJECT},
    {"s3:GetObjectVersionTorrent", POLICY_LEVEL_OBJECT},
    {"s3:GetReplicationConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:GetStorageLensConfiguration", POLICY_LEVEL_OTHER},
    {"s3:GetStorageLensConfigurationTagging", POLICY_LEVEL_OTHER},
    {"s3:GetStorageLensDashboard", POLICY_LEVEL_OTHER},
    {"s3:GetStorageLensGroup", POLICY_LEVEL_OTHER},
    {"s3:InitiateReplication", POLICY_LEVEL_OBJECT},
    {"s3:ListAccessGrants", POLICY_LEVEL_OTHER},
    {"s3:ListAccessGrantsInstances", POLICY_LEVEL_ACCOUNT},
    {"s3:ListAccessGrantsLocations", POLICY_LEVEL_OTHER},
    {"s3:ListAccessPoints", POLICY_LEVEL_ACCOUNT},
    {"s3:ListAccessPointsForObjectLambda", POLICY_LEVEL_ACCOUNT},
    {"s3:ListAllMyBuckets", POLICY_LEVEL_ACCOUNT},
    {"s3:ListBucket", POLICY_LEVEL_BUCKET},
    {"s3:ListBucketMultipartUploads", POLICY_LEVEL_BUCKET},
    {"s3:ListBucketVersions", POLICY_LEVEL_BUCKET},
    {"s3:ListCallerAccessGrants", POLICY_LEVEL_ACCOUNT},
    {"s3:ListJobs", POLICY_LEVEL_ACCOUNT},
    {"s3:ListMultiRegionAccessPoints", POLICY_LEVEL_ACCOUNT},
    {"s3:ListMultipartUploadParts", POLICY_LEVEL_OBJECT},
    {"s3:ListObjectAnnotations", POLICY_LEVEL_OBJECT},
    {"s3:ListObjectVersionAnnotations", POLICY_LEVEL_OBJECT},
    {"s3:ListStorageLensConfigurations", POLICY_LEVEL_ACCOUNT},
    {"s3:ListStorageLensGroups", POLICY_LEVEL_ACCOUNT},
    {"s3:ListTagsForResource", POLICY_LEVEL_BUCKET | POLICY_LEVEL_OTHER},
    {"s3:ObjectOwnerOverrideToBucketOwner", POLICY_LEVEL_OBJECT},
    {"s3:PauseReplication", POLICY_LEVEL_BUCKET},
    {"s3:PutAccelerateConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:PutAccessGrantsInstanceResourcePolicy", POLICY_LEVEL_OTHER},
    {"s3:PutAccessPointConfigurationForObjectLambda", POLICY_LEVEL_OTHER},
    {"s3:PutAccessPointPolicy", POLICY_LEVEL_OTHER},
    {"s3:PutAccessPointPolicyForObjectLambda", POLICY_LEVEL_OTHER},
    {"s3:PutAccessPointPublicAccessBlock", POLICY_LEVEL_ACCOUNT},
    {"s3:PutAccountPublicAccessBlock", POLICY_LEVEL_ACCOUNT},
    {"s3:PutAnalyticsConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:PutBucketAbac", POLICY_LEVEL_BUCKET},
    {"s3:PutBucketAcl", POLICY_LEVEL_BUCKET},
    {"s3:PutBucketCORS", POLICY_LEVEL_BUCKET},
    {"s3:PutBucketLogging", POLICY_LEVEL_BUCKET},
    {"s3:PutBucketNotification", POLICY_LEVEL_BUCKET},
    {"s3:PutBucketObjectLockConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:PutBucketOwnershipControls", POLICY_LEVEL_BUCKET},
    {"s3:PutBucketPolicy", POLICY_LEVEL_BUCKET},
    {"s3:PutBucketPublicAccessBlock", POLICY_LEVEL_BUCKET},
    {"s3:PutBucketRequestPayment", POLICY_LEVEL_BUCKET},
    {"s3:PutBucketTagging", POLICY_LEVEL_BUCKET},
    {"s3:PutBucketVersioning", POLICY_LEVEL_BUCKET},
    {"s3:PutBucketWebsite", POLICY_LEVEL_BUCKET},
    {"s3:PutEncryptionConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:PutIntelligentTieringConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:PutInventoryConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:PutJobTagging", POLICY_LEVEL_OTHER},
    {"s3:PutLifecycleConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:PutMetricsConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:PutMultiRegionAccessPointPolicy", POLICY_LEVEL_OTHER},
    {"s3:PutObject", POLICY_LEVEL_OBJECT},
    {"s3:PutObjectAcl", POLICY_LEVEL_OBJECT},
    {"s3:PutObjectAnnotation", POLICY_LEVEL_OBJECT},
    {"s3:PutObjectLegalHold", POLICY_LEVEL_OBJECT},
    {"s3:PutObjectRetention", POLICY_LEVEL_OBJECT},
    {"s3:PutObjectTagging", POLICY_LEVEL_OBJECT},
    {"s3:PutObjectVersionAcl", POLICY_LEVEL_OBJECT},
    {"s3:PutObjectVersionAnnotation", POLICY_LEVEL_OBJECT},
    {"s3:PutObjectVersionTagging", POLICY_LEVEL_OBJECT},
    {"s3:PutReplicationConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:PutStorageLensConfiguration", POLICY_LEVEL_ACCOUNT},
    {"s3:PutStorageLensConfigurationTagging", POLICY_LEVEL_OTHER},
    {"s3:ReplicateDelete", POLICY_LEVEL_OBJECT},
    {"s3:ReplicateObject", POLICY_LEVEL_OBJECT},
    {"s3:ReplicateObjectAnnotation", POLICY_LEVEL_OBJECT},
    {"s3:ReplicateTags", POLICY_LEVEL_OBJECT},
    {"s3:RestoreObject", POLICY_LEVEL_OBJECT},
    {"s3:SubmitMultiRegionAccessPointRoutes", POLICY_LEVEL_OTHER},
    {"s3:TagResource", POLICY_LEVEL_BUCKET | POLICY_LEVEL_OTHER},
    {"s3:UntagResource", POLICY_LEVEL_BUCKET | POLICY_LEVEL_OTHER},
    {"s3:UpdateAccessGrantsLocation", POLICY_LEVEL_OTHER},
    {"s3:UpdateBucketMetadataAnnotationTableConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:UpdateBucketMetadataInventoryTableConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:UpdateBucketMetadataJournalTableConfiguration", POLICY_LEVEL_BUCKET},
    {"s3:UpdateJobPriority", POLICY_LEVEL_OTHER},
    {"s3:UpdateJobStatus", POLICY_LEVEL_OTHER},
    {"s3:UpdateObjectEncryption", POLICY_LEVEL_OBJECT},
    {"s3:UpdateStorageLensGroup", POLICY_LEVEL_OTHER},
};

/* The actions that have a key of S3's own, in the same reference; each name ends with a blank. */
#define LISTINGS "ListBucket ListBucketVersions "
#define OF_OBJECT_ACL "PutObjectAcl PutObjectVersionAcl "
#define WRITES "PutObject BypassGovernanceRetention "
#define GRANTS WRITES OF_OBJECT_ACL "CreateBucket PutBucketAcl "
#define TAGGED WRITES "PutObjectTagging PutObjectVersionTagging "
#define OF_VERSION                                                                                                     \
    "DeleteObjectVersion DeleteObjectVersionTagging GetObjectVersion GetObjectVersionAcl GetObjectVersionAttributes "   \
    "GetObjectVersionTagging GetObjectVersionTorrent PutObjectVersionAcl PutObjectVersionTagging "
#define OF_TAGGED_OBJECT                                                                                               \
    OF_OBJECT_ACL "DeleteObjectTagging DeleteObjectVersionTagging GetObject GetObjectAcl GetObjectAttributes "          \
                  "GetObjectTagging GetObjectVersion GetObjectVersionAcl GetObjectVersionAttributes "                   \
                  "GetObjectVersionTagging PutObjectTagging PutObjectVersionTagging UpdateObjectEncryption "
#define ENCRYPTED WRITES "ReplicateObject "

/* What sluice can answer of AWS's global keys and of S3's own. A key that it could never answer is unknown, since a condition on it
 * would look like protection: VPCs, organisations, access points and grants, and what belongs to features that sluice does not have
 * (object lock, bucket tags in policies, annotations, inventory, batch jobs). */
static const struct policy_key_row keys[] = {
    {"aws:CurrentTime", false, NULL},
    {"aws:EpochTime", false, NULL},
    {"aws:PrincipalAccount", true, NULL},
    {"aws:PrincipalArn", true, NULL},
    {"aws:PrincipalIsAWSService", false, NULL},
    {"aws:PrincipalType", false, NULL},
    {"aws:Referer", false, NULL},
    {"aws:RequestTag/", false, "CreateBucket TagResource "},
    {"aws:RequestedRegion", false, NULL},
    {"aws:ResourceAccount", false, NULL},
    {"aws:SecureTransport", false, NULL},
    {"aws:SourceIp", true, NULL},
    {"aws:TagKeys", false, "CreateBucket TagResource "},
    {"aws:TokenIssueTime", false, NULL},
    {"aws:UserAgent", false, NULL},
    {"aws:ViaAWSService", false, NULL},
    {"aws:userid", true, NULL},
    {"aws:username", true, NULL},
    {"s3:ExistingObjectTag/", false, OF_TAGGED_OBJECT},
    {"s3:ObjectCreationOperation", false, "PutObject "},
    {"s3:RequestObjectTag/", false, TAGGED},
    {"s3:RequestObjectTagKeys", false, TAGGED},
    {"s3:ResourceAccount", false, NULL},
    {"s3:TlsVersion", false, NULL},
    {"s3:VersionId", false, OF_VERSION},
    {"s3:authType", false, NULL},
    {"s3:delimiter", false, LISTINGS},
    {"s3:if-match", false, "DeleteObject PutObject "},
    {"s3:if-none-match", false, "PutObject "},
    {"s3:locationconstraint", false, "CreateBucket "},
    {"s3:max-keys", false, LISTINGS},
    {"s3:prefix", false, LISTINGS},
    {"s3:signatureAge", false, NULL},
    {"s3:signatureversion", false, NULL},
    {"s3:x-amz-acl", false, GRANTS},
    {"s3:x-amz-bucket-namespace", false, "CreateBucket "},
    {"s3:x-amz-content-sha256", false, NULL},
    {"s3:x-amz-copy-source", false, WRITES},
    {"s3:x-amz-grant-full-control", false, GRANTS},
    {"s3:x-amz-grant-read", false, GRANTS},
    {"s3:x-amz-grant-read-acp", false, GRANTS},
    {"s3:x-amz-grant-write", false, GRANTS},
    {"s3:x-amz-grant-write-acp", false, GRANTS},
    {"s3:x-amz-metadata-directive", false, WRITES},
    {"s3:x-amz-object-ownership", false, "CreateBucket "},
    {"s3:x-amz-server-side-encryption", false, ENCRYPTED "UpdateObjectEncryption "},
    {"s3:x-amz-server-side-encryption-aws-kms-key-id", false, ENCRYPTED "UpdateObjectEncryption "},
    {"s3:x-amz-server-side-encryption-customer-algorithm", false, ENCRYPTED},
    {"s3:x-amz-storage-class", false, WRITES OF_OBJECT_ACL},
    {"s3:x-amz-website-redirect-location", false, WRITES},
    {"sluice:BucketOwner", false, NULL}, /* canonical id; with the next, what "readwrite" and "owner" tell one's own buckets by */
    {"sluice:UserId", true, NULL},       /* canonical id of the user who acts, in a role, too */
};

unsigned policy_action_levels(const struct policy_pattern *pattern)
{
    unsigned levels = 0;
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
        if (policy_pattern_match(pattern, str_z(actions[i].name), POLICY_NOCASE, NULL) == POLICY_YES)
            levels |= actions[i].level;
    return levels;
}

const struct policy_key_row *policy_key_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        struct str row = str_z(keys[i].name);
        bool has_tag = str_ends(row, STR("/"));
        if (has_tag ? name.len > row.len && str_starts_nocase(name, row) : str_eq_nocase(name, row))
            return &keys[i];
    }
    return NULL;
}

bool policy_key_applies(const struct policy_key_row *key, struct str action)
{
    struct str rest = key->actions ? str_z(key->actions) : STR_EMPTY, name, prefix = STR("s3:");
    if (!key->actions)
        return true;
    while (str_split(&rest, ' ', &name))
        if (name.len > 0 && action.len == prefix.len + name.len && str_eq(str_from(action, prefix.len), name))
            return true;
    return false;
}

bool policy_key_applies_to_some(const struct policy_key_row *key, const struct policy_pattern *action, unsigned levels)
{
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
        struct str name = str_z(actions[i].name);
        if (actions[i].level & levels && policy_key_applies(key, name) &&
            policy_pattern_match(action, name, POLICY_NOCASE, NULL) == POLICY_YES)
            return true;
    }
    return false;
}
