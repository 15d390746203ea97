#include "auth/signing_key.h"

#include <stdlib.h>

#include "auth/verify.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mutex.h"

/* A set-associative table: a lookup locks one set for the time of a few comparisons, so that threads which sign with
 * different keys rarely meet. Those of one key seldom do, since each few threads have their own copy of it. */
#define SET_COUNT 64
#define WAY_COUNT 4
#define COPIES 8

/* day ‖ size of the region ‖ region ‖ secret: no two triples share it. */
#define ID_SIZE_MAX (SIGNING_KEY_DAY_SIZE + 1 + AUTH_REGION_SIZE_MAX + LIMIT_SECRET_KEY_BYTES)
_Static_assert(AUTH_REGION_SIZE_MAX <= UINT8_MAX, "one byte holds the size of a region");
_Static_assert(AUTH_SIGNING_KEY_SIZE == SIGNING_KEY_SIZE, "one size of signing keys");

struct entry {
    char id[ID_SIZE_MAX];
    size_t id_size; /* 0: free */
    uint64_t used_at;
    uint8_t key[SIGNING_KEY_SIZE];
};

struct set {
    struct mutex lock;
    uint64_t clock; /* guarded by lock, as are the entries */
    struct entry ways[WAY_COUNT];
};

struct signing_key_cache {
    struct set sets[SET_COUNT];
};

/* Texts from outside are checked where they come in; see auth_rules and the limits of secrets. */
static void check_inputs(struct str secret, struct str day, struct str region)
{
    CHECK(secret.len > 0);
    CHECK(secret.len <= LIMIT_SECRET_KEY_BYTES);
    CHECK(day.len == SIGNING_KEY_DAY_SIZE);
    CHECK(region.len > 0);
    CHECK(region.len <= AUTH_REGION_SIZE_MAX);
}

void signing_key_derive_for(struct str service, struct str secret, struct str day, struct str region,
                            uint8_t out[SIGNING_KEY_SIZE])
{
    check_inputs(secret, day, region);
    char first[4 + LIMIT_SECRET_KEY_BYTES];
    memcpy(first, "AWS4", 4);
    memcpy(first + 4, secret.ptr, secret.len);
    hmac_sha256(str_of(first, 4 + secret.len), day, out);
    secure_zero(first, sizeof(first));

    struct str key = str_of((const char *)out, SIGNING_KEY_SIZE);
    hmac_sha256(key, region, out);
    hmac_sha256(key, service, out);
    hmac_sha256(key, STR("aws4_request"), out);
}

void signing_key_derive(struct str secret, struct str day, struct str region, uint8_t out[SIGNING_KEY_SIZE])
{
    signing_key_derive_for(STR("s3"), secret, day, region, out);
}

struct signing_key_cache *signing_key_cache_new(void)
{
    struct signing_key_cache *c = calloc(1, sizeof(*c));
    CHECK(c != NULL); /* out of memory */
    for (size_t i = 0; i < SET_COUNT; i++)
        mutex_init(&c->sets[i].lock);
    return c;
}

void signing_key_cache_free(struct signing_key_cache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < SET_COUNT; i++)
        mutex_done(&c->sets[i].lock);
    secure_zero(c, sizeof(*c));
    free(c);
}

static struct str make_id(struct str secret, struct str day, struct str region, char out[ID_SIZE_MAX])
{
    char *at = out;
    memcpy(at, day.ptr, SIGNING_KEY_DAY_SIZE);
    at += SIGNING_KEY_DAY_SIZE;
    *at++ = (char)region.len;
    memcpy(at, region.ptr, region.len);
    at += region.len;
    memcpy(at, secret.ptr, secret.len);
    at += secret.len;
    return str_of(out, (size_t)(at - out));
}

/* The entry of that id, or NULL. The set is locked. */
static struct entry *find_entry(struct set *set, struct str id)
{
    for (size_t i = 0; i < WAY_COUNT; i++) {
        struct entry *entry = &set->ways[i];
        if (str_eq_secret(str_of(entry->id, entry->id_size), id))
            return entry;
    }
    return NULL;
}

static bool recall(struct set *set, struct str id, uint8_t out[SIGNING_KEY_SIZE])
{
    mutex_lock(&set->lock);
    struct entry *entry = find_entry(set, id);
    if (entry) {
        entry->used_at = ++set->clock;
        memcpy(out, entry->key, SIGNING_KEY_SIZE);
    }
    mutex_unlock(&set->lock);
    return entry != NULL;
}

/* In place of the least recently used one; free entries were never used. */
static void remember(struct set *set, struct str id, const uint8_t key[SIGNING_KEY_SIZE])
{
    mutex_lock(&set->lock);
    struct entry *entry = find_entry(set, id); /* another thread may have been first */
    if (!entry) {
        entry = &set->ways[0];
        for (size_t i = 1; i < WAY_COUNT; i++) {
            if (set->ways[i].used_at < entry->used_at)
                entry = &set->ways[i];
        }
    }
    secure_zero(entry, sizeof(*entry));
    memcpy(entry->id, id.ptr, id.len);
    entry->id_size = id.len;
    entry->used_at = ++set->clock;
    memcpy(entry->key, key, SIGNING_KEY_SIZE);
    mutex_unlock(&set->lock);
}

void signing_key_get(struct signing_key_cache *c, struct str secret, struct str day, struct str region,
                     uint8_t out[SIGNING_KEY_SIZE])
{
    check_inputs(secret, day, region);
    char memory[ID_SIZE_MAX];
    struct str id = make_id(secret, day, region, memory);
    struct set *set = &c->sets[(hash_bytes(id) + thread_number() % COPIES) % SET_COUNT];
    if (!recall(set, id, out)) {
        signing_key_derive(secret, day, region, out);
        remember(set, id, out);
    }
    secure_zero(memory, sizeof(memory));
}
