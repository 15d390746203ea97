#include "auth/form.h"

#include "auth/identity_internal.h"
#include "auth/sigv4.h"
#include "auth/sigv4_request.h"
#include "auth/verify_internal.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/encode.h"

#define HMAC_SHA1_SIZE 20

static enum auth_error field_missing(struct auth_attempt *t, const char *name)
{
    return auth_refuse(t, AUTH_FORM_FIELD_MISSING,
                       arena_printf(t->arena,
                                    "Bucket POST must contain a field named '%s'.  If it is specified, please check the "
                                    "order of the fields.",
                                    name));
}

static enum auth_error require(struct auth_attempt *t, const char *const *names, const char *const *labels, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!auth_query_get(&t->query, names[i]).ptr)
            return field_missing(t, labels[i]);
    return AUTH_OK;
}

static enum auth_error accept(struct auth_attempt *t, const struct auth_key *key, struct str expected, struct str given)
{
    t->out->signature_provided = given;
    if (!str_eq_secret(expected, given)) {
        t->out->string_to_sign = auth_query_get(&t->query, "policy");
        return AUTH_SIGNATURE_MISMATCH;
    }
    t->out->key = key;
    t->out->user = key->user;
    return AUTH_OK;
}

/* HMAC of the policy as it was sent, with the day's signing key. */
static enum auth_error verify_v4(struct auth_attempt *t)
{
    static const char *const names[] = {"policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"};
    static const char *const labels[] = {"policy", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date",
                                         "X-Amz-Signature"};
    struct sigv4_claim claim;
    const struct auth_key *key;
    enum auth_error error = require(t, names, labels, ARRAY_SIZE(names));
    if (!error)
        error = sigv4_claim_from_form(t, &claim);
    if (!error)
        error = auth_find_key(t, claim.access_key, claim.token, &key);
    if (error)
        return error;
    uint8_t signing_key[SIGNING_KEY_SIZE];
    char expected[SIGV4_SIGNATURE_SIZE];
    signing_key_get(auth_snapshot_signing_keys(t->identities), key->secret, claim.day, t->rules->region, signing_key);
    sigv4_signature(signing_key, auth_query_get(&t->query, "policy"), expected);
    secure_zero(signing_key, sizeof(signing_key));
    t->out->signed_at_s = claim.signed_at_s;
    return accept(t, key, str_of(expected, sizeof(expected)), claim.signature);
}

static enum auth_error verify_v2(struct auth_attempt *t)
{
    static const char *const names[] = {"policy", "awsaccesskeyid", "signature"};
    static const char *const labels[] = {"policy", "AWSAccessKeyId", "signature"};
    const struct auth_key *key;
    uint8_t mac[HMAC_SHA1_SIZE];
    char expected[BASE64_LEN(HMAC_SHA1_SIZE)];
    enum auth_error error = require(t, names, labels, ARRAY_SIZE(names));
    if (error)
        return error;
    if (!t->rules->sigv2)
        return auth_refuse(t, AUTH_SCHEME_UNSUPPORTED,
                           STR("The authorization mechanism you have provided is not supported. Please use "
                               "AWS4-HMAC-SHA256: sign the form with signature version 4 (boto3: "
                               "Config(signature_version='s3v4'))."));
    t->out->access_key = auth_query_get(&t->query, "awsaccesskeyid");
    error = auth_find_key(t, t->out->access_key, auth_query_get(&t->query, "x-amz-security-token"), &key);
    if (error)
        return error;
    hmac_sha1(key->secret, auth_query_get(&t->query, "policy"), mac);
    base64_encode(mac, sizeof(mac), expected);
    return accept(t, key, str_of(expected, sizeof(expected)), auth_query_get(&t->query, "signature"));
}

static bool has_any(const struct auth_query *fields, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (auth_query_get(fields, names[i]).ptr)
            return true;
    return false;
}

enum auth_error auth_verify_form(const struct auth_rules *rules, const struct auth_snapshot *identities,
                                 const struct auth_query *fields, struct arena *arena, struct auth_result *out)
{
    static const char *const v4_marks[] = {"x-amz-signature", "x-amz-credential", "x-amz-algorithm"};
    static const char *const v2_marks[] = {"signature", "awsaccesskeyid", "policy"};
    struct auth_attempt t = {
        .rules = rules, .identities = identities, .query = *fields, .now_s = clock_wall_s(), .arena = arena, .out = out};
    *out = (struct auth_result){.scheme = AUTH_ANONYMOUS, .payload = AUTH_PAYLOAD_UNSIGNED};
    if (has_any(fields, v4_marks, ARRAY_SIZE(v4_marks))) {
        if (auth_query_get(fields, "signature").ptr || auth_query_get(fields, "awsaccesskeyid").ptr)
            return auth_refuse(&t, AUTH_TWO_MECHANISMS, STR("Only one auth mechanism allowed in a form"));
        out->scheme = AUTH_SIGV4_FORM;
        return verify_v4(&t);
    }
    if (!has_any(fields, v2_marks, ARRAY_SIZE(v2_marks)))
        return AUTH_OK;
    out->scheme = AUTH_SIGV2_FORM;
    return verify_v2(&t);
}
