/* The order of checks, the same for header and query: form and scope of the claim, the access key, the time, which
 * headers are signed, the announced payload, and last the signature. AWS publishes no order; this one follows what it
 * is known to answer (a wrong region before an unknown key, an expired URL before a wrong signature).
 *
 * An unknown access key is told from a wrong secret by the answer itself, as S3's clients expect. So there is nothing
 * for timing to give away, and an unknown key costs one look-up and no signature; what is compared in constant time are
 * signatures. */
#include "auth/verify.h"

#include "auth/identity_internal.h"
#include "auth/session.h"
#include "auth/sigv4.h"
#include "auth/sigv4_request.h"
#include "auth/verify_internal.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/limits.h"

enum auth_error auth_refuse(struct auth_attempt *t, enum auth_error error, struct str message)
{
    t->out->message = message;
    return error;
}

struct str auth_service(const struct auth_attempt *t)
{
    return t->rules->service.len > 0 ? t->rules->service : STR("s3");
}

static enum auth_error find_session_key(struct auth_attempt *t, struct str access_key, struct str token,
                                        const struct auth_key **out)
{
    struct auth_session *session;
    enum auth_error error = auth_session_open(t->identities, token, t->now_s, t->arena, &session);
    if (error)
        return error;
    if (!str_eq(session->key.access_key, access_key))
        return AUTH_TOKEN_INVALID;
    t->out->session = session;
    *out = &session->key;
    return AUTH_OK;
}

enum auth_error auth_find_key(struct auth_attempt *t, struct str access_key, struct str token, const struct auth_key **out)
{
    if (token.ptr)
        return find_session_key(t, access_key, token, out);
    const struct auth_key *key = auth_snapshot_find(t->identities, access_key);
    if (!key)
        return AUTH_ACCESS_KEY_UNKNOWN;
    if (!key->enabled)
        return auth_refuse(t, AUTH_ACCESS_KEY_DISABLED, STR("The AWS Access Key Id you provided is disabled."));
    *out = key;
    return AUTH_OK;
}

/* Payload */

static const struct {
    const char *word;
    enum auth_payload payload;
} payload_words[] = {
    {"UNSIGNED-PAYLOAD", AUTH_PAYLOAD_UNSIGNED},
    {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", AUTH_PAYLOAD_STREAM_SIGNED},
    {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", AUTH_PAYLOAD_STREAM_SIGNED_TRAILER},
    {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", AUTH_PAYLOAD_STREAM_UNSIGNED_TRAILER},
};

enum auth_error auth_parse_payload(struct auth_attempt *t, struct str value)
{
    for (size_t i = 0; i < ARRAY_SIZE(payload_words); i++) {
        if (!str_is(value, payload_words[i].word))
            continue;
        t->out->payload = payload_words[i].payload;
        return AUTH_OK;
    }
    if (!hex_decode(value, t->out->payload_sha256, sizeof(t->out->payload_sha256))) {
        return auth_refuse(t, AUTH_PAYLOAD_HASH_INVALID,
                           STR("x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
                               "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a "
                               "valid sha256 value."));
    }
    t->out->payload = AUTH_PAYLOAD_SHA256;
    return AUTH_OK;
}

/* The text of the payload's hash, which the canonical request ends with. */
static enum auth_error take_header_payload(struct auth_attempt *t, struct str *out)
{
    if (t->rules->payload_hash.len > 0) {
        *out = t->rules->payload_hash;
        return auth_parse_payload(t, *out);
    }
    size_t count = http_count(t->head, "x-amz-content-sha256");
    if (count == 0) {
        return auth_refuse(t, AUTH_PAYLOAD_HASH_MISSING,
                           STR("Missing required header for this request: x-amz-content-sha256"));
    }
    if (count > 1)
        return auth_refuse(t, AUTH_PAYLOAD_HASH_INVALID, STR("x-amz-content-sha256 must be given once."));
    *out = http_get(t->head, "x-amz-content-sha256");
    return auth_parse_payload(t, *out);
}

/* A presigned URL seldom knows its body. Signers that do put the hash into a header, or move that header into the query
 * (the SDKs for JavaScript and Go). */
static enum auth_error take_query_payload(struct auth_attempt *t, struct str *out)
{
    struct str param = auth_query_get(&t->query, "X-Amz-Content-Sha256");
    size_t header_count = http_count(t->head, "x-amz-content-sha256");
    struct str header = http_get(t->head, "x-amz-content-sha256");
    if (header_count > 1 || auth_query_count(&t->query, "X-Amz-Content-Sha256") > 1 ||
        (param.ptr && header.ptr && !str_eq(param, header)))
        return auth_refuse(t, AUTH_PAYLOAD_HASH_INVALID, STR("x-amz-content-sha256 must be given once."));
    *out = param.ptr ? param : header.ptr ? header : STR("UNSIGNED-PAYLOAD");
    return auth_parse_payload(t, *out);
}

/* Signature version 4 */

static enum auth_error check_header_time(struct auth_attempt *t, const struct sigv4_claim *claim)
{
    int64_t skew_s = t->now_s - claim->signed_at_s;
    return skew_s > LIMIT_CLOCK_SKEW_S || skew_s < -LIMIT_CLOCK_SKEW_S ? AUTH_TIME_SKEWED : AUTH_OK;
}

static enum auth_error check_query_time(struct auth_attempt *t, const struct sigv4_claim *claim)
{
    t->out->expires_at_s = claim->signed_at_s + claim->expires_s;
    if (t->now_s >= t->out->expires_at_s)
        return auth_refuse(t, AUTH_EXPIRED, STR("Request has expired"));
    if (t->now_s < claim->signed_at_s - LIMIT_CLOCK_SKEW_S)
        return auth_refuse(t, AUTH_NOT_YET_VALID, STR("Request is not valid yet"));
    return AUTH_OK;
}

static bool must_be_signed(struct str header_name)
{
    return str_starts_nocase(header_name, STR("x-amz-"));
}

/* Host, and every x-amz-* header that is there: what a third party could otherwise add to a presigned URL, a copy
 * source or an ACL, would be acted upon as the signer's wish (SEC-07). */
static enum auth_error check_headers(struct auth_attempt *t, const struct sigv4_claim *claim)
{
    CLEANUP(buf_done) struct buf missing = buf_make(2 * LIMIT_HEAD_BYTES); /* empty: no memory */
    if (!sigv4_claim_signs(claim, STR("host")))
        buf_addz(&missing, "host");
    for (size_t i = 0; i < t->head->header_count; i++) {
        struct str name = t->head->headers[i].name;
        if (!must_be_signed(name) || sigv4_claim_signs(claim, name))
            continue;
        buf_addz(&missing, missing.len > 0 ? ", " : "");
        buf_add(&missing, name);
    }
    if (missing.len == 0)
        return AUTH_OK;
    t->out->headers_unsigned = arena_dup(t->arena, buf_str(&missing));
    return auth_refuse(t, AUTH_HEADERS_UNSIGNED,
                       STR("There were headers present in the request which were not signed"));
}

static enum auth_error check_signature(struct auth_attempt *t, const struct sigv4_claim *claim, struct str payload_hash,
                                       const uint8_t signing_key[SIGNING_KEY_SIZE])
{
    struct sigv4_message message = {
        .method = t->head->method,
        .path = t->raw_path,
        .query = &t->query,
        .headers = t->head->headers,
        .header_count = t->head->header_count,
        .signed_headers = claim->signed_headers,
        .payload_hash = payload_hash,
    };
    struct str canonical;
    if (!sigv4_canonical_request(&message, t->arena, &canonical))
        return AUTH_URI_MALFORMED;
    struct str string_to_sign = sigv4_string_to_sign(claim->amz_date, claim->scope, canonical, t->arena);
    char expected[SIGV4_SIGNATURE_SIZE];
    sigv4_signature(signing_key, string_to_sign, expected);
    if (str_eq_secret(str_of(expected, sizeof(expected)), claim->signature))
        return AUTH_OK;
    t->out->canonical_request = canonical;
    t->out->string_to_sign = string_to_sign;
    t->out->signature_provided = claim->signature;
    return AUTH_SIGNATURE_MISMATCH;
}

static bool has_signed_chunks(enum auth_payload payload)
{
    return payload == AUTH_PAYLOAD_STREAM_SIGNED || payload == AUTH_PAYLOAD_STREAM_SIGNED_TRAILER;
}

/* All that comes after the claim's form. */
static enum auth_error verify_claim(struct auth_attempt *t, const struct sigv4_claim *claim, bool by_query)
{
    const struct auth_key *key;
    struct str payload_hash;
    enum auth_error error = auth_find_key(t, claim->access_key, claim->token, &key);
    if (error)
        return error;
    error = by_query ? check_query_time(t, claim) : check_header_time(t, claim);
    if (error)
        return error;
    error = check_headers(t, claim);
    if (error)
        return error;
    error = by_query ? take_query_payload(t, &payload_hash) : take_header_payload(t, &payload_hash);
    if (error)
        return error;

    uint8_t signing_key[SIGNING_KEY_SIZE];
    if (t->rules->service.len == 0)
        signing_key_get(auth_snapshot_signing_keys(t->identities), key->secret, claim->day, t->rules->region, signing_key);
    else
        signing_key_derive_for(t->rules->service, key->secret, claim->day, t->rules->region, signing_key);
    error = check_signature(t, claim, payload_hash, signing_key);
    if (!error) {
        t->out->key = key;
        t->out->user = key->user;
        t->out->amz_date = claim->amz_date;
        t->out->scope = claim->scope;
        t->out->signature = claim->signature;
        t->out->signed_at_s = claim->signed_at_s;
        if (has_signed_chunks(t->out->payload))
            memcpy(t->out->signing_key, signing_key, sizeof(signing_key));
    }
    secure_zero(signing_key, sizeof(signing_key));
    return error;
}

static enum auth_error verify_header(struct auth_attempt *t)
{
    struct sigv4_claim claim;
    struct str text = http_get(t->head, "authorization");
    if (http_count(t->head, "authorization") > 1)
        return auth_refuse(t, AUTH_HEADER_MALFORMED, STR("There is more than one Authorization header."));
    if (str_starts(text, STR("AWS ")) || str_starts(text, STR("AWS4-ECDSA-P256-SHA256"))) {
        return auth_refuse(t, AUTH_SCHEME_UNSUPPORTED,
                           STR("The authorization mechanism you have provided is not supported. Please use "
                               "AWS4-HMAC-SHA256: use signature version 4 (boto3: Config(signature_version='s3v4'); "
                               "s3cmd: signature_v2 = False)."));
    }
    if (!str_starts(text, STR(SIGV4_ALGORITHM))) {
        return auth_refuse(t, AUTH_SCHEME_UNSUPPORTED,
                           STR("Unsupported Authorization Type; use signature version 4 (AWS4-HMAC-SHA256)."));
    }
    enum auth_error error = sigv4_claim_from_header(t, &claim);
    return error ? error : verify_claim(t, &claim, false);
}

static enum auth_error verify_query(struct auth_attempt *t)
{
    struct sigv4_claim claim;
    enum auth_error error = sigv4_claim_from_query(t, &claim);
    return error ? error : verify_claim(t, &claim, true);
}

/* No principal. The body may still be framed or hashed; chunks cannot be signed by nobody, and a framing that is not
 * understood must not become an object's content (SEC-06). */
static enum auth_error accept_anonymous(struct auth_attempt *t)
{
    struct str hash;
    if (!http_find(t->head, "x-amz-content-sha256"))
        return AUTH_OK;
    enum auth_error error = take_header_payload(t, &hash);
    if (error)
        return error;
    if (has_signed_chunks(t->out->payload))
        return auth_refuse(t, AUTH_PAYLOAD_HASH_INVALID, STR("An anonymous request cannot have signed chunks."));
    return AUTH_OK;
}

/* What marks a request as signed by query. Any one of them does: half a signature is an error, not an anonymous
 * request. */
static bool has_any(const struct auth_query *q, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (auth_query_count(q, names[i]) > 0)
            return true;
    }
    return false;
}

static enum auth_error verify_by_scheme(struct auth_attempt *t)
{
    static const char *const v4_marks[] = {"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature"};
    static const char *const v2_marks[] = {"AWSAccessKeyId", "Signature"};
    bool header = http_find(t->head, "authorization") != NULL;
    bool v4_query = has_any(&t->query, v4_marks, ARRAY_SIZE(v4_marks));
    bool v2_query = has_any(&t->query, v2_marks, ARRAY_SIZE(v2_marks));
    if (header + v4_query + v2_query > 1) {
        return auth_refuse(t, AUTH_TWO_MECHANISMS,
                           STR("Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature "
                               "query string parameter or the Authorization header should be specified"));
    }
    t->out->scheme = header     ? AUTH_SIGV4_HEADER
                     : v4_query ? AUTH_SIGV4_QUERY
                     : v2_query ? AUTH_SIGV2_QUERY
                                : AUTH_ANONYMOUS;
    switch (t->out->scheme) {
    case AUTH_ANONYMOUS:
        return accept_anonymous(t);
    case AUTH_SIGV4_HEADER:
        return verify_header(t);
    case AUTH_SIGV4_QUERY:
        return verify_query(t);
    case AUTH_SIGV2_QUERY:
    case AUTH_SIGV4_FORM:
    case AUTH_SIGV2_FORM:
        break;
    }
    return sigv2_verify_query(t);
}

enum auth_error auth_verify(const struct auth_rules *rules, const struct auth_snapshot *identities,
                            const struct http_head *head, struct arena *arena, struct auth_result *out)
{
    CHECK(rules->region.len <= AUTH_REGION_SIZE_MAX);
    *out = (struct auth_result){.scheme = AUTH_ANONYMOUS, .payload = AUTH_PAYLOAD_UNSIGNED};
    struct auth_attempt t = {
        .rules = rules,
        .identities = identities,
        .head = head,
        .now_s = clock_wall_s(),
        .arena = arena,
        .out = out,
    };
    struct str raw_query;
    http_split_target(head->target, &t.raw_path, &raw_query);
    if (!auth_query_parse(raw_query, arena, &t.query))
        return auth_refuse(&t, AUTH_URI_MALFORMED, STR("Couldn't parse the specified URI."));
    enum auth_error error = verify_by_scheme(&t);
    DCHECK((error == AUTH_OK && out->scheme != AUTH_ANONYMOUS) == (out->key != NULL));
    if (!out->key)
        out->session = NULL;
    return error;
}
