#include "s3api/oidc.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mutex.h"
#include "s3api/service.h"

#define DISCOVERY_PATH "/.well-known/openid-configuration"
#define DEPTH_MAX 8

struct issuer_keys {
    struct buf text;     /* a JSON key set; empty: none was fetched yet */
    uint64_t fetched_ms; /* monotonic */
    uint64_t tried_ms;   /* 0: never */
    bool is_fetching;
};

struct s3_oidc {
    s3_fetch_fn fetch;
    void *data;
    struct mutex lock;
    struct map *issuers; /* URL → struct issuer_keys; guarded by lock */
};

struct s3_oidc *s3_oidc_new(s3_fetch_fn fetch, void *data)
{
    struct s3_oidc *o = calloc(1, sizeof(*o));
    CHECK(o != NULL); /* out of memory */
    o->fetch = fetch;
    o->data = data;
    mutex_init(&o->lock);
    o->issuers = map_new();
    return o;
}

static void free_keys(void *value)
{
    struct issuer_keys *k = value;
    buf_done(&k->text);
    free(k);
}

void s3_oidc_free(struct s3_oidc *o)
{
    if (!o)
        return;
    map_free(o->issuers, free_keys);
    mutex_done(&o->lock);
    free(o);
}

/* Fetching */

/* "host:port" of a URL. */
static struct str authority(struct str url)
{
    ptrdiff_t colon = str_find(url, STR("://"));
    struct str rest = str_from(url, (size_t)(colon + 3));
    ptrdiff_t slash = str_find_char(rest, '/');
    return slash < 0 ? rest : str_first(rest, (size_t)slash);
}

static bool is_url_allowed(const struct auth_issuer *issuer, struct str url)
{
    return str_starts(url, STR("https://")) || (issuer->insecure_http && str_starts(url, STR("http://")));
}

/* An address of the configuration is the operator's word; one that a document named may be in nobody's private network. */
static const struct json *fetch_json(struct s3_oidc *o, const struct auth_issuer *issuer, struct str url, bool is_configured,
                                     struct arena *arena, struct buf *out)
{
    struct buf CLEANUP(buf_done) why = buf_make(LIMIT_TARGET_BYTES);
    struct s3_fetch what = {
        .url = arena_dupz(arena, url),
        .ca_file = issuer->ca.len > 0 ? issuer->ca.ptr : NULL,
        .public_only = !is_configured && !str_eq(authority(url), authority(issuer->url)),
    };
    buf_reset(out);
    int rc = o->fetch ? o->fetch(o->data, &what, out, &why) : -1;
    const struct json *document = rc == 0 ? json_parse(buf_str(out), LIMIT_OIDC_BYTES, DEPTH_MAX, arena, &why) : NULL;
    if (!document)
        log_debug("oidc_fetch_failed", "url=\"%s\" reason=\"%s\"", what.url, buf_z(&why));
    return document;
}

static bool fetch_keys(struct s3_oidc *o, const struct auth_issuer *issuer, struct arena *arena, struct buf *out)
{
    struct str url = issuer->jwks_uri;
    if (url.len == 0) {
        struct str base = str_ends(issuer->url, STR("/")) ? str_first(issuer->url, issuer->url.len - 1) : issuer->url;
        struct str discovery = arena_printf(arena, "%.*s" DISCOVERY_PATH, STR_ARG(base));
        const struct json *document = fetch_json(o, issuer, discovery, true, arena, out);
        const struct json *name = json_member(document, "issuer"), *keys = json_member(document, "jwks_uri");
        bool is_good = name && str_eq(name->text, issuer->url) && keys && keys->kind == JSON_IS_TEXT;
        if (!is_good)
            return false;
        url = keys->text;
    }
    return is_url_allowed(issuer, url) && fetch_json(o, issuer, url, issuer->jwks_uri.len > 0, arena, out) != NULL;
}

/* Keys */

static struct issuer_keys *find_keys(struct s3_oidc *o, struct str url)
{
    struct issuer_keys *k = map_get(o->issuers, url);
    if (k)
        return k;
    k = calloc(1, sizeof(*k));
    CHECK(k != NULL); /* out of memory */
    k->text = buf_make(LIMIT_OIDC_BYTES);
    CHECK(map_set(o->issuers, url, k) == NULL);
    return k;
}

static bool is_old(const struct issuer_keys *k, uint64_t now_ms)
{
    return k->text.len == 0 || now_ms - k->fetched_ms > LIMIT_OIDC_AGE_S * 1000ull;
}

/* The lock is held, and let go for the time of the fetch. */
static void refresh(struct s3_oidc *o, const struct auth_issuer *issuer, struct issuer_keys *k, struct arena *arena)
{
    struct buf fetched = buf_make(LIMIT_OIDC_BYTES);
    k->is_fetching = true;
    mutex_unlock(&o->lock);
    bool ok = fetch_keys(o, issuer, arena, &fetched);
    mutex_lock(&o->lock);
    k->is_fetching = false;
    k->tried_ms = clock_mono_ms();
    if (ok) {
        struct buf old = k->text;
        k->text = fetched;
        fetched = old;
        k->fetched_ms = k->tried_ms;
    }
    buf_done(&fetched);
}

/* NULL when there are none to be had. must_be_new: those that are there did not do. */
static const struct json *keys_of(struct s3_oidc *o, const struct auth_issuer *issuer, bool must_be_new, struct arena *arena)
{
    mutex_lock(&o->lock);
    struct issuer_keys *k = find_keys(o, issuer->url);
    uint64_t now_ms = clock_mono_ms();
    bool may_try = !k->is_fetching && (k->tried_ms == 0 || now_ms - k->tried_ms > LIMIT_OIDC_RETRY_S * 1000ull);
    if (may_try && (must_be_new || is_old(k, now_ms)))
        refresh(o, issuer, k, arena);
    bool is_too_old = clock_mono_ms() - k->fetched_ms > LIMIT_OIDC_STALE_S * 1000ull;
    struct str text = is_too_old ? STR_EMPTY : arena_dup(arena, buf_str(&k->text));
    mutex_unlock(&o->lock);
    return text.len > 0 ? json_parse(text, LIMIT_OIDC_BYTES, DEPTH_MAX, arena, NULL) : NULL;
}

/* Tokens */

static bool has_audience(const struct auth_issuer *issuer, const struct jwt *token)
{
    for (size_t i = 0; i < issuer->audience_count; i++) {
        struct str wanted = issuer->audiences[i];
        if (str_find_char(wanted, '*') < 0 && jwt_claim_fits(token, "aud", wanted))
            return true;
    }
    return false;
}

static enum s3_error check_signature(struct s3_op *op, const struct auth_issuer *issuer, const struct jwt *token)
{
    struct s3_oidc *o = op->service->oidc;
    const struct json *keys = keys_of(o, issuer, false, op->arena);
    if (keys && jwt_verify(token, keys, op->arena))
        return S3_OK;
    /* The issuer may have new keys by now. */
    const struct json *fresh = keys ? keys_of(o, issuer, true, op->arena) : NULL;
    if (fresh && jwt_verify(token, fresh, op->arena))
        return S3_OK;
    return keys ? S3_INVALID_IDENTITY_TOKEN : S3_IDP_COMMUNICATION;
}

enum s3_error s3_oidc_verify(struct s3_op *op, struct str token, const struct auth_issuer **issuer, struct jwt *out)
{
    if (!jwt_parse(token, op->arena, out))
        return S3_INVALID_IDENTITY_TOKEN;
    *issuer = auth_roles_issuer(auth_snapshot_roles(op->identities), out->issuer);
    if (!*issuer || !has_audience(*issuer, out))
        return S3_INVALID_IDENTITY_TOKEN;
    int64_t now_s = clock_wall_s();
    bool is_expired = now_s - LIMIT_OIDC_SKEW_S >= out->expires_s;
    bool is_early = now_s + LIMIT_OIDC_SKEW_S < out->not_before_s;
    enum s3_error e = is_expired || is_early ? S3_OK : check_signature(op, *issuer, out);
    if (e != S3_OK)
        return e;
    return is_expired ? S3_EXPIRED_IDENTITY_TOKEN : is_early ? S3_INVALID_IDENTITY_TOKEN : S3_OK;
}
