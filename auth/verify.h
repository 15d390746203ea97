/* The one function that turns a request head into a verified principal. Every request passes it before anything of the
 * request is acted upon (SEC-01, SEC-02). Header or query, SigV4 or presigned SigV2; nothing at all is anonymous.
 *
 * Sources: "Authenticating Requests (AWS Signature Version 4)", API reference of Amazon S3; SigV2 query string
 * authentication of the S3 developer guide. Thread: any. */
#ifndef AUTH_VERIFY_H
#define AUTH_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/error.h"
#include "auth/identity.h"
#include "base/arena.h"
#include "base/compiler.h"
#include "base/http_head.h"

enum auth_scheme { AUTH_ANONYMOUS, AUTH_SIGV4_HEADER, AUTH_SIGV4_QUERY, AUTH_SIGV2_QUERY, AUTH_SIGV4_FORM, AUTH_SIGV2_FORM };

/* What x-amz-content-sha256 announces of the body. */
enum auth_payload {
    AUTH_PAYLOAD_UNSIGNED,                /* UNSIGNED-PAYLOAD; presigned; anonymous without the header */
    AUTH_PAYLOAD_SHA256,                  /* hex SHA-256 of the body */
    AUTH_PAYLOAD_STREAM_SIGNED,           /* STREAMING-AWS4-HMAC-SHA256-PAYLOAD */
    AUTH_PAYLOAD_STREAM_SIGNED_TRAILER,   /* STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER */
    AUTH_PAYLOAD_STREAM_UNSIGNED_TRAILER  /* STREAMING-UNSIGNED-PAYLOAD-TRAILER */
};

struct auth_rules {
    struct str region;   /* the only region accepted in a scope; at most AUTH_REGION_SIZE_MAX bytes */
    bool sigv2;          /* presigned SigV2 queries accepted */
    struct str service;      /* whose requests these are; empty: "s3" */
    struct str payload_hash; /* hex SHA-256 of the body, for services that have no header for it; empty: the header's */
    struct str expected_host_suffix; /* unused by SigV4; SigV2 virtual hosts: the --domain, or empty */
};

struct auth_session;

#define AUTH_SIGNING_KEY_SIZE 32
#define AUTH_REGION_SIZE_MAX 64

struct auth_result {
    enum auth_scheme scheme;
    const struct auth_key *key;    /* NULL when anonymous */
    const struct auth_user *user;  /* NULL when anonymous */
    const struct auth_session *session; /* NULL: the user's own key (session.h) */
    enum auth_payload payload;
    uint8_t payload_sha256[32];    /* AUTH_PAYLOAD_SHA256 */
    /* Seed of chunk signatures (AUTH_PAYLOAD_STREAM_SIGNED*). */
    uint8_t signing_key[AUTH_SIGNING_KEY_SIZE];
    struct str amz_date; /* "20130524T000000Z" */
    struct str scope;    /* "20130524/us-east-1/s3/aws4_request" */
    struct str signature; /* 64 hex digits */
    int64_t signed_at_s;  /* SigV4 */
    int64_t expires_at_s; /* by query */
    /* Filled on failure, for the error document; views into the arena. Empty when they do not apply. */
    struct str access_key;
    struct str message;           /* overrides the error's default message */
    struct str expected_region;   /* AUTH_HEADER_MALFORMED by a wrong region */
    struct str string_to_sign;    /* AUTH_SIGNATURE_MISMATCH: the server's own */
    struct str canonical_request;
    struct str signature_provided;
    struct str headers_unsigned;  /* AUTH_HEADERS_UNSIGNED: "host, x-amz-acl", for <HeadersNotSigned> */
};

/* Verifies head against the identities at clock_wall_s(). Signing keys are cached per (secret, day, region). Of *out, the
 * principal and the seed are set on AUTH_OK only; a seed's signing key is the caller's to wipe. */
MUST_USE enum auth_error auth_verify(const struct auth_rules *rules, const struct auth_snapshot *identities,
                                     const struct http_head *head, struct arena *arena, struct auth_result *out);

#endif
