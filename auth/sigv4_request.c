#include "auth/sigv4_request.h"

#include "auth/signing_key.h"
#include "auth/sigv4.h"
#include "base/clock.h"
#include "base/limits.h"

/* Scope and signed headers, of either kind of request. The texts of errors are AWS's, for those who look them up. */

/* How complaints about a part begin, and which error they are. */
struct complaint {
    enum auth_error error;
    const char *prefix;
};

static const struct complaint header_complaint = {AUTH_HEADER_MALFORMED, "The authorization header is malformed; "};
static const struct complaint query_complaint = {AUTH_QUERY_MALFORMED,
                                                 "Error parsing the X-Amz-Credential parameter; "};

static enum auth_error complain(struct auth_attempt *t, const struct complaint *c, struct str detail)
{
    return auth_refuse(t, c->error, arena_printf(t->arena, "%s%.*s", c->prefix, STR_ARG(detail)));
}

/* With the value complained of in the middle. */
static enum auth_error complain_of(struct auth_attempt *t, const struct complaint *c, const char *before,
                                   struct str value, const char *after)
{
    return complain(t, c, arena_printf(t->arena, "%s%.*s%s", before, STR_ARG(value), after));
}

/* Takes the text behind the last '/' off *rest. */
static bool take_last_segment(struct str *rest, struct str *out)
{
    ptrdiff_t at = str_rfind_char(*rest, '/');
    if (at < 0)
        return false;
    *out = str_from(*rest, (size_t)at + 1);
    *rest = str_first(*rest, (size_t)at);
    return true;
}

static bool is_day(struct str s)
{
    uint64_t number;
    return s.len == SIGNING_KEY_DAY_SIZE && str_parse_u64(s, &number);
}

struct credential {
    struct str access_key, day, region, service, terminal;
};

/* "ACCESS-KEY/20130524/us-east-1/s3/aws4_request", read from its end: an access key may have slashes. */
static bool split_credential(struct str text, struct credential *out)
{
    out->access_key = text;
    return take_last_segment(&out->access_key, &out->terminal) && take_last_segment(&out->access_key, &out->service) &&
           take_last_segment(&out->access_key, &out->region) && take_last_segment(&out->access_key, &out->day) &&
           out->access_key.len > 0;
}

static enum auth_error parse_credential(struct auth_attempt *t, const struct complaint *c, struct str text,
                                        struct sigv4_claim *claim)
{
    struct credential parts;
    if (!split_credential(text, &parts)) {
        return complain(t, c,
                        STR("the Credential is mal-formed; expecting "
                            "\"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\"."));
    }
    t->out->access_key = parts.access_key;
    if (!is_day(parts.day)) {
        return complain_of(t, c, "incorrect date format \"", parts.day,
                           "\". This date in the credential must be in the format \"yyyyMMdd\".");
    }
    if (!str_is(parts.terminal, "aws4_request"))
        return complain_of(t, c, "incorrect terminal \"", parts.terminal, "\". This endpoint uses \"aws4_request\".");
    struct str service = auth_service(t);
    if (!str_eq(parts.service, service)) {
        struct str after = arena_printf(t->arena, "\". This endpoint belongs to \"%.*s\".", STR_ARG(service));
        return complain_of(t, c, "incorrect service \"", parts.service, after.ptr);
    }
    if (!str_eq(parts.region, t->rules->region)) {
        t->out->expected_region = t->rules->region;
        return complain(t, c,
                        arena_printf(t->arena, "the region '%.*s' is wrong; expecting '%.*s'", STR_ARG(parts.region),
                                     STR_ARG(t->rules->region)));
    }
    claim->access_key = parts.access_key;
    claim->day = parts.day;
    claim->scope = str_from(text, parts.access_key.len + 1);
    return AUTH_OK;
}

static bool has_name(struct str list, struct str wanted)
{
    struct str name;
    while (str_split(&list, ';', &name)) {
        if (str_eq_nocase(name, wanted))
            return true;
    }
    return false;
}

static size_t count_names(struct str list)
{
    struct str name;
    size_t count = 0;
    while (str_split(&list, ';', &name))
        count++;
    return count;
}

/* No name twice, however it is written, so that a canonical request never gets larger than its head; and not so many
 * that finding this out takes long. */
static bool are_valid_names(struct str list)
{
    struct str rest = list, name;
    if (list.len == 0 || count_names(list) > LIMIT_HEADER_COUNT)
        return false;
    while (str_split(&rest, ';', &name)) {
        if (name.len == 0 || has_name(rest, name))
            return false;
    }
    return true;
}

bool sigv4_claim_signs(const struct sigv4_claim *c, struct str header_name)
{
    return has_name(c->signed_headers, header_name);
}

static enum auth_error check_day(struct auth_attempt *t, const struct complaint *c, const struct sigv4_claim *claim)
{
    if (str_starts(claim->amz_date, claim->day))
        return AUTH_OK;
    return complain(t, c,
                    arena_printf(t->arena,
                                 "Invalid credential date \"%.*s\". This date is not the same as X-Amz-Date: \"%.*s\".",
                                 STR_ARG(claim->day), STR_ARG(str_first(claim->amz_date, SIGNING_KEY_DAY_SIZE))));
}

/* The Authorization header */

struct components {
    struct str credential, signed_headers, signature;
};

/* "Credential=…": NULL for anything else, and for what came before. */
static struct str *find_component(struct components *c, struct str name)
{
    struct str *slot = str_is(name, "Credential")      ? &c->credential
                       : str_is(name, "SignedHeaders") ? &c->signed_headers
                       : str_is(name, "Signature")     ? &c->signature
                                                       : NULL;
    return slot && !slot->ptr ? slot : NULL;
}

static enum auth_error parse_components(struct auth_attempt *t, struct str text, struct components *out)
{
    struct str rest = text, token;
    while (str_split(&rest, ',', &token)) {
        token = str_trim(token);
        ptrdiff_t equals = str_find_char(token, '=');
        struct str *slot = equals < 0 ? NULL : find_component(out, str_first(token, (size_t)equals));
        if (!slot)
            return complain_of(t, &header_complaint, "the authorization component \"", token, "\" is malformed.");
        *slot = str_from(token, (size_t)equals + 1);
    }
    if (out->credential.len > 0 && out->signed_headers.len > 0 && out->signature.len > 0)
        return AUTH_OK;
    return complain(t, &header_complaint,
                    STR("the authorization header requires three components: Credential, "
                        "SignedHeaders, and Signature."));
}

/* x-amz-date, else Date in either format. The string to sign has it in x-amz-date's. A wrong x-amz-date is not made
 * good by a right Date: the client signed what it sent. */
static enum auth_error take_header_date(struct auth_attempt *t, struct sigv4_claim *claim)
{
    const struct http_header *amz = http_find(t->head, "x-amz-date");
    struct str text = amz ? amz->value : http_get(t->head, "date");
    char formatted[CLOCK_TEXT_MAX];
    if (!clock_parse_amz(text, &claim->signed_at_s)) {
        if (amz || !clock_parse_http(text, &claim->signed_at_s)) {
            return auth_refuse(t, AUTH_DATE_MISSING,
                               STR("AWS authentication requires a valid Date or x-amz-date header"));
        }
        text = arena_dup(t->arena, clock_format_amz(claim->signed_at_s, formatted));
    }
    claim->amz_date = text;
    return AUTH_OK;
}

enum auth_error sigv4_claim_from_header(struct auth_attempt *t, struct sigv4_claim *out)
{
    struct sigv4_claim claim = {0};
    struct components components = {0};
    struct str text = str_from(http_get(t->head, "authorization"), sizeof(SIGV4_ALGORITHM) - 1);
    enum auth_error error = parse_components(t, str_trim(text), &components);
    if (error)
        return error;
    error = parse_credential(t, &header_complaint, components.credential, &claim);
    if (error)
        return error;
    if (!are_valid_names(components.signed_headers))
        return complain(t, &header_complaint, STR("the authorization component \"SignedHeaders\" is malformed."));
    error = take_header_date(t, &claim);
    if (error)
        return error;
    error = check_day(t, &header_complaint, &claim);
    if (error)
        return error;
    claim.signed_headers = components.signed_headers;
    claim.signature = components.signature;
    claim.token = http_get(t->head, "x-amz-security-token");
    *out = claim;
    return AUTH_OK;
}

/* The parameters of a presigned URL */

static enum auth_error check_algorithm(struct auth_attempt *t)
{
    struct str algorithm = auth_query_get(&t->query, "X-Amz-Algorithm");
    if (str_is(algorithm, SIGV4_ALGORITHM))
        return AUTH_OK;
    if (str_is(algorithm, "AWS4-ECDSA-P256-SHA256")) {
        return auth_refuse(t, AUTH_SCHEME_UNSUPPORTED,
                           STR("Signature version 4A is not supported; use signature version 4 (" SIGV4_ALGORITHM ")"));
    }
    return auth_refuse(t, AUTH_QUERY_MALFORMED, STR("X-Amz-Algorithm only supports \"" SIGV4_ALGORITHM "\""));
}

/* Each of them once: of two, one half of a system might read the first and the other half the second. */
static enum auth_error check_parameters(struct auth_attempt *t)
{
    static const char *const required[] = {"X-Amz-Algorithm", "X-Amz-Credential",    "X-Amz-Signature",
                                           "X-Amz-Date",      "X-Amz-SignedHeaders", "X-Amz-Expires"};
    for (size_t i = 0; i < ARRAY_SIZE(required); i++) {
        if (auth_query_count(&t->query, required[i]) == 1)
            continue;
        return auth_refuse(t, AUTH_QUERY_MALFORMED,
                           STR("Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
                               "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."));
    }
    return check_algorithm(t);
}

static enum auth_error take_expires(struct auth_attempt *t, struct sigv4_claim *claim)
{
    struct str text = auth_query_get(&t->query, "X-Amz-Expires");
    uint64_t seconds;
    bool negative = str_starts(text, STR("-"));
    if (!str_parse_u64(negative ? str_from(text, 1) : text, &seconds))
        return auth_refuse(t, AUTH_QUERY_MALFORMED, STR("X-Amz-Expires should be a number"));
    if (negative)
        return auth_refuse(t, AUTH_QUERY_MALFORMED, STR("X-Amz-Expires must be non-negative"));
    if (seconds > LIMIT_PRESIGN_EXPIRES_S) {
        return auth_refuse(t, AUTH_QUERY_MALFORMED,
                           STR("X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires "
                               "must be less than 604800 seconds"));
    }
    claim->expires_s = (int64_t)seconds;
    return AUTH_OK;
}

static enum auth_error take_query_date(struct auth_attempt *t, struct sigv4_claim *claim)
{
    claim->amz_date = auth_query_get(&t->query, "X-Amz-Date");
    if (clock_parse_amz(claim->amz_date, &claim->signed_at_s))
        return AUTH_OK;
    return auth_refuse(t, AUTH_QUERY_MALFORMED,
                       STR("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""));
}

enum auth_error sigv4_claim_from_query(struct auth_attempt *t, struct sigv4_claim *out)
{
    struct sigv4_claim claim = {0};
    enum auth_error error = check_parameters(t);
    if (error)
        return error;
    error = parse_credential(t, &query_complaint, auth_query_get(&t->query, "X-Amz-Credential"), &claim);
    if (error)
        return error;
    error = take_query_date(t, &claim);
    if (error)
        return error;
    error = check_day(t, &query_complaint, &claim);
    if (error)
        return error;
    error = take_expires(t, &claim);
    if (error)
        return error;
    claim.signed_headers = auth_query_get(&t->query, "X-Amz-SignedHeaders");
    if (!are_valid_names(claim.signed_headers))
        return auth_refuse(t, AUTH_QUERY_MALFORMED, STR("X-Amz-SignedHeaders is malformed"));
    claim.signature = auth_query_get(&t->query, "X-Amz-Signature");
    claim.token = auth_query_get(&t->query, "X-Amz-Security-Token");
    if (!claim.token.ptr)
        claim.token = http_get(t->head, "x-amz-security-token");
    *out = claim;
    return AUTH_OK;
}

/* The fields of a form */

enum auth_error sigv4_claim_from_form(struct auth_attempt *t, struct sigv4_claim *out)
{
    struct sigv4_claim claim = {0};
    if (!str_is(auth_query_get(&t->query, "x-amz-algorithm"), SIGV4_ALGORITHM))
        return auth_refuse(t, AUTH_FORM_FIELD_MISSING, STR("X-Amz-Algorithm only supports \"" SIGV4_ALGORITHM "\""));
    enum auth_error error = parse_credential(t, &query_complaint, auth_query_get(&t->query, "x-amz-credential"), &claim);
    if (error)
        return error;
    claim.amz_date = auth_query_get(&t->query, "x-amz-date");
    if (!clock_parse_amz(claim.amz_date, &claim.signed_at_s))
        return auth_refuse(t, AUTH_QUERY_MALFORMED,
                           STR("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""));
    error = check_day(t, &query_complaint, &claim);
    if (error)
        return error;
    claim.signature = auth_query_get(&t->query, "x-amz-signature");
    claim.token = auth_query_get(&t->query, "x-amz-security-token");
    *out = claim;
    return AUTH_OK;
}
