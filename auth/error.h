/* Why a signature was not accepted. s3api maps each to the S3 error. */
#ifndef AUTH_ERROR_H
#define AUTH_ERROR_H

enum auth_error {
    AUTH_OK = 0,
    AUTH_HEADER_MALFORMED,       /* 400 AuthorizationHeaderMalformed; region mismatch carries the expected region */
    AUTH_QUERY_MALFORMED,        /* 400 AuthorizationQueryParametersError */
    AUTH_URI_MALFORMED,          /* 400 InvalidURI: a bad percent escape, or too many query parameters */
    AUTH_TWO_MECHANISMS,         /* 400 InvalidArgument: header and query both */
    AUTH_SCHEME_UNSUPPORTED,     /* 400 InvalidRequest: SigV2 header, SigV4A, SigV2 query while switched off */
    AUTH_DATE_MISSING,           /* 403 AccessDenied: no valid Date or x-amz-date */
    AUTH_TIME_SKEWED,            /* 403 RequestTimeTooSkewed */
    AUTH_EXPIRED,                /* 403 AccessDenied "Request has expired" */
    AUTH_NOT_YET_VALID,          /* 403 AccessDenied "Request is not valid yet" */
    AUTH_ACCESS_KEY_UNKNOWN,     /* 403 InvalidAccessKeyId */
    AUTH_ACCESS_KEY_DISABLED,    /* 403 InvalidAccessKeyId, said so in the message */
    AUTH_FORM_FIELD_MISSING,     /* 400 InvalidArgument: a form with half a signature */
    AUTH_TOKEN_EXPIRED,          /* 400 ExpiredToken */
    AUTH_TOKEN_INVALID,          /* 400 InvalidToken: a session token we never issued */
    AUTH_HEADERS_UNSIGNED,       /* 403 AccessDenied "There were headers present in the request which were not signed" */
    AUTH_PAYLOAD_HASH_MISSING,   /* 400 InvalidRequest: Missing required header x-amz-content-sha256 */
    AUTH_PAYLOAD_HASH_INVALID,   /* 400 InvalidArgument: not a valid x-amz-content-sha256 value */
    AUTH_SIGNATURE_MISMATCH      /* 403 SignatureDoesNotMatch */
};

#endif
