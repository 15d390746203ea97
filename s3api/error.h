/* S3's errors: code, HTTP status and default message, one row each in error.c (AWS "Error responses"). */
#ifndef S3API_ERROR_H
#define S3API_ERROR_H

#include "base/str.h"

/* X(symbol, "Code", status, "Message.") */
#define S3_ERRORS(X)                                                                                                     \
    X(S3_ACCESS_DENIED, "AccessDenied", 403, "Access Denied")                                                            \
    X(S3_ACCESS_FORBIDDEN, "AccessForbidden", 403, "CORSResponse: CORS is not enabled for this bucket.")                  \
    X(S3_ACL_NOT_SUPPORTED, "AccessControlListNotSupported", 400, "The bucket does not allow ACLs")                       \
    X(S3_AUTH_HEADER_MALFORMED, "AuthorizationHeaderMalformed", 400, "The authorization header that you provided is not valid.") \
    X(S3_AUTH_QUERY_ERROR, "AuthorizationQueryParametersError", 400, "The authorization query parameters that you provided are not valid.") \
    X(S3_BAD_DIGEST, "BadDigest", 400, "The Content-MD5 or checksum value that you specified did not match what the server received.") \
    X(S3_BAD_REQUEST, "BadRequest", 400, "Bad Request")                                                                  \
    X(S3_BUCKET_EXISTS, "BucketAlreadyExists", 409, "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Select a different name and try again.") \
    X(S3_BUCKET_OWNED, "BucketAlreadyOwnedByYou", 409, "Your previous request to create the named bucket succeeded and you already own it.") \
    X(S3_BUCKET_NOT_EMPTY, "BucketNotEmpty", 409, "The bucket that you tried to delete is not empty.")                   \
    X(S3_CONDITIONAL_CONFLICT, "ConditionalRequestConflict", 409, "A conflicting operation occurred during this request; retry it.") \
    X(S3_ENTITY_TOO_LARGE, "EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed object size.")       \
    X(S3_ENTITY_TOO_SMALL, "EntityTooSmall", 400, "Your proposed upload is smaller than the minimum allowed object size.") \
    X(S3_EXPIRED_IDENTITY_TOKEN, "ExpiredTokenException", 400, "The web identity token that was passed is expired.") \
    X(S3_EXPIRED_TOKEN, "ExpiredToken", 400, "The provided token has expired.")                                          \
    X(S3_IDP_COMMUNICATION, "IDPCommunicationError", 400, "The identity provider could not be reached. Try again.")      \
    X(S3_ILLEGAL_LOCATION, "IllegalLocationConstraintException", 400, "The specified location constraint is not the region of this endpoint.") \
    X(S3_INCORRECT_FILE_COUNT, "IncorrectNumberOfFilesInPostRequest", 400, "POST requires exactly one file upload per request.") \
    X(S3_INCOMPLETE_BODY, "IncompleteBody", 400, "You did not provide the number of bytes specified by the Content-Length HTTP header.") \
    X(S3_INTERNAL_ERROR, "InternalError", 500, "We encountered an internal error. Please try again.")                    \
    X(S3_INVALID_ACCESS_KEY, "InvalidAccessKeyId", 403, "The AWS access key ID that you provided does not exist in our records.") \
    X(S3_INVALID_ACTION, "InvalidAction", 400, "The action is not one of AssumeRole, AssumeRoleWithWebIdentity, GetCallerIdentity.") \
    X(S3_INVALID_ARGUMENT, "InvalidArgument", 400, "Invalid Argument")                                                   \
    X(S3_INVALID_BUCKET_ACL, "InvalidBucketAclWithObjectOwnership", 400, "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting") \
    X(S3_INVALID_BUCKET_NAME, "InvalidBucketName", 400, "The specified bucket is not valid.")                            \
    X(S3_INVALID_CHUNK_SIZE, "InvalidChunkSizeError", 400, "Only the last chunk is allowed to have a size less than 8192 bytes") \
    X(S3_INVALID_DIGEST, "InvalidDigest", 400, "The Content-MD5 or checksum value that you specified is not valid.")     \
    X(S3_INVALID_IDENTITY_TOKEN, "InvalidIdentityToken", 400, "The web identity token that was passed could not be validated.") \
    X(S3_INVALID_LOCATION, "InvalidLocationConstraint", 400, "The specified location (Region) constraint is not valid.") \
    X(S3_INVALID_PART, "InvalidPart", 400, "One or more of the specified parts could not be found. The part might not have been uploaded, or the specified entity tag might not have matched the part's entity tag.") \
    X(S3_INVALID_PART_NUMBER, "InvalidPartNumber", 416, "The requested partnumber is not satisfiable")                    \
    X(S3_INVALID_PART_ORDER, "InvalidPartOrder", 400, "The list of parts was not in ascending order. The parts list must be specified in order by part number.") \
    X(S3_INVALID_POLICY_DOCUMENT, "InvalidPolicyDocument", 400, "The content of the form does not meet the conditions specified in the policy document.") \
    X(S3_INVALID_RANGE, "InvalidRange", 416, "The requested range is not satisfiable")                                   \
    X(S3_INVALID_REQUEST, "InvalidRequest", 400, "Invalid Request")                                                      \
    X(S3_INVALID_STORAGE_CLASS, "InvalidStorageClass", 400, "The storage class that you specified is not valid.")        \
    X(S3_INVALID_TAG, "InvalidTag", 400, "The tag that you provided is not valid.")                                      \
    X(S3_INVALID_TOKEN, "InvalidToken", 400, "The provided token is malformed or otherwise not valid.")                  \
    X(S3_INVALID_URI, "InvalidURI", 400, "The specified URI couldn't be parsed.")                                        \
    X(S3_KEY_TOO_LONG, "KeyTooLongError", 400, "Your key is too long.")                                                  \
    X(S3_MALFORMED_ACL, "MalformedACLError", 400, "The XML you provided was not well-formed or did not validate against our published schema") \
    X(S3_MALFORMED_POLICY, "MalformedPolicy", 400, "This policy contains invalid Json") \
    X(S3_MALFORMED_POLICY_DOCUMENT, "MalformedPolicyDocument", 400, "The policy document was malformed.")                 \
    X(S3_MALFORMED_POST, "MalformedPOSTRequest", 400, "The body of your POST request is not well-formed multipart/form-data.") \
    X(S3_MALFORMED_TRAILER, "MalformedTrailerError", 400, "The request contained trailing data that was not well-formed or did not conform to our published schema.") \
    X(S3_MALFORMED_XML, "MalformedXML", 400, "The XML that you provided was not well formed or did not validate against our published schema.") \
    X(S3_MAX_MESSAGE_LENGTH, "MaxMessageLengthExceeded", 400, "Your request was too large.")                             \
    X(S3_MAX_POST_FIELDS, "MaxPostPreDataLengthExceeded", 400, "Your POST request fields preceding the upload file were too large.") \
    X(S3_METADATA_TOO_LARGE, "MetadataTooLarge", 400, "Your metadata headers exceed the maximum allowed metadata size.") \
    X(S3_METHOD_NOT_ALLOWED, "MethodNotAllowed", 405, "The specified method is not allowed against this resource.")      \
    X(S3_MISSING_CONTENT_LENGTH, "MissingContentLength", 411, "You must provide the Content-Length HTTP header.")        \
    X(S3_MISSING_SECURITY_HEADER, "MissingSecurityHeader", 400, "Your request is missing a required header.")            \
    X(S3_MISSING_CONTENT_MD5, "InvalidRequest", 400, "Missing required header for this request: Content-MD5 OR x-amz-checksum-*") \
    X(S3_NO_SUCH_BUCKET, "NoSuchBucket", 404, "The specified bucket does not exist")                                     \
    X(S3_NO_SUCH_BUCKET_POLICY, "NoSuchBucketPolicy", 404, "The bucket policy does not exist")                           \
    X(S3_NO_SUCH_CORS, "NoSuchCORSConfiguration", 404, "The CORS configuration does not exist")                          \
    X(S3_NO_SUCH_ENCRYPTION, "ServerSideEncryptionConfigurationNotFoundError", 404, "The server side encryption configuration was not found") \
    X(S3_NO_SUCH_CONFIGURATION, "NoSuchConfiguration", 404, "The specified configuration does not exist.")               \
    X(S3_NO_SUCH_KEY, "NoSuchKey", 404, "The specified key does not exist.")                                             \
    X(S3_NO_SUCH_LIFECYCLE, "NoSuchLifecycleConfiguration", 404, "The lifecycle configuration does not exist")           \
    X(S3_NO_SUCH_OBJECT_LOCK, "ObjectLockConfigurationNotFoundError", 404, "Object Lock configuration does not exist for this bucket") \
    X(S3_NO_SUCH_OWNERSHIP, "OwnershipControlsNotFoundError", 404, "The bucket ownership controls were not found")       \
    X(S3_NO_SUCH_PUBLIC_ACCESS_BLOCK, "NoSuchPublicAccessBlockConfiguration", 404, "The public access block configuration was not found") \
    X(S3_NO_SUCH_REPLICATION, "ReplicationConfigurationNotFoundError", 404, "The replication configuration was not found") \
    X(S3_NO_SUCH_RETENTION, "NoSuchObjectLockConfiguration", 404, "The specified object does not have a ObjectLock configuration") \
    X(S3_NO_SUCH_TAG_SET, "NoSuchTagSet", 404, "There is no tag set associated with the bucket.")                        \
    X(S3_NO_SUCH_UPLOAD, "NoSuchUpload", 404, "The specified multipart upload does not exist. The upload ID might not be valid, or the multipart upload might have been aborted or completed.") \
    X(S3_NO_SUCH_VERSION, "NoSuchVersion", 404, "The specified version does not exist.")                                 \
    X(S3_NO_SUCH_WEBSITE, "NoSuchWebsiteConfiguration", 404, "The specified bucket does not have a website configuration") \
    X(S3_NOT_IMPLEMENTED, "NotImplemented", 501, "A header or operation that you provided implies functionality that is not implemented.") \
    X(S3_NOT_MODIFIED, "NotModified", 304, "Not Modified")                                                               \
    X(S3_PACKED_POLICY_TOO_LARGE, "PackedPolicyTooLarge", 400, "A session policy may have at most 2048 bytes.")             \
    X(S3_PARENT_IS_OBJECT, "InvalidRequest", 409, "A part of the key's path is an object, so nothing can be stored below it.") \
    X(S3_KEY_IS_DIRECTORY, "InvalidRequest", 409, "The key names a directory that holds other objects; use the key with a trailing slash.") \
    X(S3_PRECONDITION_FAILED, "PreconditionFailed", 412, "At least one of the preconditions that you specified did not hold.") \
    X(S3_REQUEST_EXPIRED, "AccessDenied", 403, "Request has expired")                                                    \
    X(S3_REQUEST_TIMEOUT, "RequestTimeout", 400, "Your socket connection to the server was not read from or written to within the timeout period.") \
    X(S3_REQUEST_TIME_SKEWED, "RequestTimeTooSkewed", 403, "The difference between the request time and the server's time is too large.") \
    X(S3_SHA256_MISMATCH, "XAmzContentSHA256Mismatch", 400, "The provided 'x-amz-content-sha256' header does not match what was computed.") \
    X(S3_SIGNATURE_MISMATCH, "SignatureDoesNotMatch", 403, "The request signature that we calculated does not match the signature that you provided. Check your AWS secret access key and signing method.") \
    X(S3_SLOW_DOWN, "SlowDown", 503, "Please reduce your request rate.")                                                 \
    X(S3_STORAGE_FULL, "InsufficientStorage", 507, "The volume is full.")                                                \
    X(S3_STS_VALIDATION, "ValidationError", 400, "A parameter is not valid.")                                            \
    X(S3_QUOTA_EXCEEDED, "QuotaExceeded", 403, "The storage quota is used up.")                                          \
    X(S3_READ_ONLY, "AccessDenied", 403, "The gateway or its volume is read-only.")                                      \
    X(S3_TOO_MANY_PARTS, "InvalidArgument", 400, "Part number must be an integer between 1 and 10000, inclusive")        \
    X(S3_USER_KEY_MISSING, "UserKeyMustBeSpecified", 400, "The bucket POST must contain the specified field name. If it is specified, check the order of the fields.") \
    X(S3_UNEXPECTED_CONTENT, "UnexpectedContent", 400, "This request does not support content")                           \
    X(S3_UNRESOLVABLE_GRANT, "UnresolvableGrantByEmailAddress", 400, "The e-mail address you provided does not match any account on record.") \
    X(S3_URI_TOO_LONG, "URITooLong", 414, "The request URI is too long.")

#define S3_ERROR_ENUM(symbol, code, status, message) symbol,
enum s3_error { S3_OK = 0, S3_AGAIN, S3_ERRORS(S3_ERROR_ENUM) S3_ERROR_COUNT };
#undef S3_ERROR_ENUM

const char *s3_error_code(enum s3_error e);
int s3_error_status(enum s3_error e);
const char *s3_error_message(enum s3_error e);

#define S3_ERROR_EXTRA_MAX 4
/* Elements that some errors carry besides Code, Message, Resource, RequestId and HostId; empty ones are left out. */
struct s3_error_detail {
    struct str message; /* instead of the default */
    struct str argument_name, argument_value;
    struct str bucket_name, key, upload_id;
    struct str region;                                     /* AuthorizationHeaderMalformed */
    struct str access_key, string_to_sign, signature_provided, canonical_request; /* SignatureDoesNotMatch */
    struct str condition;                                  /* PreconditionFailed: the header's name */
    struct str header;                                     /* NotImplemented, MissingSecurityHeader */
    struct str method, resource_type;                      /* MethodNotAllowed */
    uint64_t range_size;                                   /* InvalidRange: ActualObjectSize */
    struct str range_requested;
    struct str expires, server_time;                       /* expired presigned, skew */
    struct s3_error_extra {                                /* elements that one error only has: s3_fail_extra */
        const char *element;
        struct str value;
    } extra[S3_ERROR_EXTRA_MAX];
    size_t extra_count;
};

#endif
