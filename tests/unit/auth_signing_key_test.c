#include "tests/support/unit.h"

#include <pthread.h>

#include "auth/signing_key.h"
#include "auth/verify.h"
#include "base/encode.h"
#include "base/limits.h"
#include "base/mutex.h"
#include "tests/support/death.h"

#define SECRET STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")

/* "Deriving the signing key", AWS General Reference, whose service is iam; this one for s3 by Python's hmac. */
static void test_derive(void **state)
{
    (void)state;
    uint8_t key[SIGNING_KEY_SIZE];
    char hex[2 * SIGNING_KEY_SIZE];
    signing_key_derive(SECRET, STR("20130524"), STR("us-east-1"), key);
    hex_encode(key, sizeof(key), hex);
    assert_str(str_of(hex, sizeof(hex)), "dbb893acc010964918f1fd433add87c70e8b0db6be30c1fbeafefa5ec6ba8378");
}

static void assert_cached(struct signing_key_cache *cache, struct str secret, struct str day, struct str region)
{
    uint8_t expected[SIGNING_KEY_SIZE], key[SIGNING_KEY_SIZE];
    signing_key_derive(secret, day, region, expected);
    for (int times = 0; times < 2; times++) {
        signing_key_get(cache, secret, day, region, key);
        assert_memory_equal(key, expected, sizeof(key));
    }
}

/* Texts that would be the same one behind the other. */
static void test_triples_are_distinct(void **state)
{
    (void)state;
    struct signing_key_cache *cache = signing_key_cache_new();
    assert_cached(cache, STR("secret12"), STR("20130524"), STR("us"));
    assert_cached(cache, STR("ssecret12"), STR("20130524"), STR("u"));
    assert_cached(cache, STR("ecret12"), STR("20130524"), STR("uss"));
    assert_cached(cache, STR("secret12"), STR("20130525"), STR("us"));
    signing_key_cache_free(cache);
}

/* Many more than there is room for: old ones go, none comes back wrong. */
static void test_eviction(void **state)
{
    (void)state;
    struct signing_key_cache *cache = signing_key_cache_new();
    for (int i = 0; i < 2000; i++) {
        char secret[20];
        snprintf(secret, sizeof(secret), "secret%d", i);
        assert_cached(cache, str_z(secret), STR("20130524"), STR("us-east-1"));
    }
    assert_cached(cache, STR("secret0"), STR("20130524"), STR("us-east-1"));
    signing_key_cache_free(cache);
    signing_key_cache_free(NULL);
}

static void test_longest(void **state)
{
    (void)state;
    char secret[LIMIT_SECRET_KEY_BYTES], region[AUTH_REGION_SIZE_MAX];
    memset(secret, 's', sizeof(secret));
    memset(region, 'r', sizeof(region));
    struct signing_key_cache *cache = signing_key_cache_new();
    assert_cached(cache, str_of(secret, sizeof(secret)), STR("20130524"), str_of(region, sizeof(region)));
    signing_key_cache_free(cache);
}

static void derive_too_long(void *arg)
{
    (void)arg;
    static const char secret[LIMIT_SECRET_KEY_BYTES + 1] = "s";
    uint8_t key[SIGNING_KEY_SIZE];
    signing_key_derive(str_of(secret, sizeof(secret)), STR("20130524"), STR("us-east-1"), key);
}

static void test_too_long(void **state)
{
    (void)state;
    assert_true(dies_of(SIGABRT, derive_too_long, NULL));
}

static void *hammer(void *arg)
{
    for (int i = 0; i < 3000; i++) {
        char secret[20];
        uint8_t expected[SIGNING_KEY_SIZE], key[SIGNING_KEY_SIZE];
        snprintf(secret, sizeof(secret), "secret%d", i % 400);
        signing_key_derive(str_z(secret), STR("20130524"), STR("us-east-1"), expected);
        signing_key_get(arg, str_z(secret), STR("20130524"), STR("us-east-1"), key);
        if (memcmp(key, expected, sizeof(key)) != 0)
            return arg;
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    struct signing_key_cache *cache = signing_key_cache_new();
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        thread_start(&threads[i], "hammer", hammer, cache);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    signing_key_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_derive),   cmocka_unit_test(test_triples_are_distinct),
        cmocka_unit_test(test_eviction), cmocka_unit_test(test_longest),
        cmocka_unit_test(test_too_long), cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests_name("auth/signing_key", tests, NULL, NULL);
}
