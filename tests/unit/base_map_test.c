#include "tests/support/unit.h"

#include "base/map.h"

static void set_get_remove(void **state)
{
    (void)state;
    struct map *m = map_new();
    int one = 1, two = 2;
    assert_null(map_get(m, STR("a")));
    assert_null(map_set(m, STR("a"), &one));
    assert_null(map_set(m, STR_EMPTY, &two)); /* an empty key is a key */
    assert_null(map_set(m, STR("a\0b"), &two));
    assert_ptr_equal(map_get(m, STR("a")), &one);
    assert_ptr_equal(map_get(m, STR("")), &two);
    assert_ptr_equal(map_set(m, STR("a"), &two), &one);
    assert_int_equal(map_count(m), 3);
    assert_ptr_equal(map_remove(m, STR("a")), &two);
    assert_null(map_remove(m, STR("a")));
    assert_null(map_get(m, STR("a")));
    assert_ptr_equal(map_get(m, STR("a\0b")), &two);
    assert_int_equal(map_count(m), 2);
    map_free(m, NULL);
    map_free(NULL, NULL);
}

static void keys_are_copied(void **state)
{
    (void)state;
    struct map *m = map_new();
    char key[] = "key";
    int value = 1;
    map_set(m, str_z(key), &value);
    key[0] = 'X';
    assert_ptr_equal(map_get(m, STR("key")), &value);
    map_free(m, NULL);
}

#define KEYS 2000

static struct str key_of(size_t i, char out[32])
{
    return str_of(out, (size_t)snprintf(out, 32, "key-%zu", i));
}

/* Random operations against an array that cannot be wrong. */
static void behaves_as_a_plain_table(void **state)
{
    (void)state;
    static int values[KEYS];
    static bool present[KEYS];
    struct map *m = map_new();
    size_t count = 0;
    uint32_t random = 1;
    char text[32];
    for (int step = 0; step < 100000; step++) {
        random = random * 1664525 + 1013904223;
        size_t i = (random >> 8) % KEYS;
        struct str key = key_of(i, text);
        if (random >> 31) {
            assert_ptr_equal(map_set(m, key, &values[i]), present[i] ? &values[i] : NULL);
            count += !present[i];
            present[i] = true;
        } else {
            assert_ptr_equal(map_remove(m, key), present[i] ? &values[i] : NULL);
            count -= present[i];
            present[i] = false;
        }
        assert_int_equal(map_count(m), count);
    }
    for (size_t i = 0; i < KEYS; i++)
        assert_ptr_equal(map_get(m, key_of(i, text)), present[i] ? &values[i] : NULL);
    map_free(m, NULL);
}

static void iteration_meets_each_once(void **state)
{
    (void)state;
    static int seen[100];
    struct map *m = map_new();
    char text[32];
    for (size_t i = 0; i < 100; i++)
        map_set(m, key_of(i, text), &seen[i]);
    size_t cursor = 0;
    struct str key;
    void *value;
    while (map_next(m, &cursor, &key, &value)) {
        assert_ptr_equal(map_get(m, key), value);
        ++*(int *)value;
    }
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(seen[i], 1);
    map_free(m, NULL);
}

static void values_are_freed(void **state)
{
    (void)state;
    struct map *m = map_new();
    map_set(m, STR("a"), malloc(10));
    map_set(m, STR("b"), malloc(10));
    free(map_set(m, STR("b"), malloc(10)));
    map_free(m, free); /* the sanitizer counts */
}

static void hash_depends_on_every_byte(void **state)
{
    (void)state;
    char bytes[20] = {0};
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        uint64_t hash = hash_bytes(str_of(bytes, len));
        assert_true(hash == hash_bytes(str_of(bytes, len)));
        for (size_t i = 0; i < len; i++) {
            bytes[i] ^= 1;
            assert_true(hash != hash_bytes(str_of(bytes, len)));
            bytes[i] ^= 1;
        }
        if (len > 0)
            assert_true(hash != hash_bytes(str_of(bytes, len - 1)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_get_remove),           cmocka_unit_test(keys_are_copied),
        cmocka_unit_test(behaves_as_a_plain_table), cmocka_unit_test(iteration_meets_each_once),
        cmocka_unit_test(values_are_freed),         cmocka_unit_test(hash_depends_on_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
