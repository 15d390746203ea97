#include "tests/support/unit.h"

#include "auth/identity_internal.h"
#include "auth/store.h"

#define SECRET STR("secret-of-somebody")

static const struct auth_user *add_user(struct auth_snapshot *s, const char *name, const char *id, bool admin)
{
    struct auth_user user = {.name = str_z(name), .id = str_z(id), .display_name = str_z(name), .admin = admin};
    return auth_snapshot_add_user(s, &user);
}

static bool add_key(struct auth_snapshot *s, const char *access_key, const struct auth_user *user)
{
    struct auth_key key = {.access_key = str_z(access_key), .secret = SECRET, .enabled = true, .user = user};
    return auth_snapshot_add_key(s, &key);
}

static void test_empty(void **state)
{
    (void)state;
    struct auth_snapshot *s = auth_snapshot_new();
    assert_int_equal(auth_snapshot_user_count(s), 0);
    assert_null(auth_snapshot_find(s, STR("AK")));
    assert_null(auth_snapshot_find(s, STR_EMPTY));
    assert_null(auth_snapshot_user(s, STR("nobody")));
    const struct auth_user *owner = auth_snapshot_default_owner(s);
    assert_str(owner->name, "nobody");
    assert_int_equal(owner->id.len, 64);
    assert_null(auth_snapshot_user_by_id(s, owner->id));
    auth_snapshot_unref(s);
    auth_snapshot_unref(NULL);
}

static void test_look_ups(void **state)
{
    (void)state;
    struct auth_snapshot *s = auth_snapshot_new();
    const struct auth_user *ann = add_user(s, "ann", "1", false);
    const struct auth_user *ben = add_user(s, "ben", "2", true);
    assert_non_null(add_user(s, "cy", "3", true));
    assert_null(add_user(s, "ann", "4", false));
    assert_null(add_user(s, "dan", "1", false));
    assert_true(add_key(s, "AK1", ann));
    assert_true(add_key(s, "AK2", ann));
    assert_false(add_key(s, "AK1", ben));
    assert_int_equal(auth_snapshot_user_count(s), 3);
    assert_ptr_equal(auth_snapshot_find(s, STR("AK2"))->user, ann);
    assert_ptr_equal(auth_snapshot_find(s, STR("AK1"))->user, ann);
    assert_str(auth_snapshot_find(s, STR("AK1"))->secret, SECRET.ptr);
    assert_null(auth_snapshot_find(s, STR("ak1")));
    assert_ptr_equal(auth_snapshot_user(s, STR("ben")), ben);
    assert_ptr_equal(auth_snapshot_user_by_id(s, STR("2")), ben);
    assert_null(auth_snapshot_user_by_id(s, STR("ben")));
    assert_ptr_equal(auth_snapshot_default_owner(s), ben);
    assert_ptr_equal(auth_snapshot_ref(s), s);
    auth_snapshot_unref(s);
    assert_ptr_equal(auth_snapshot_user(s, STR("ben")), ben);
    auth_snapshot_unref(s);
}

static void test_copies_are_deep(void **state)
{
    (void)state;
    char name[] = "ann";
    struct str buckets[] = {STR("one"), STR("two")};
    uint32_t groups[] = {7, 8};
    struct auth_user user = {
        .name = str_z(name),
        .id = STR("1"),
        .display_name = STR("Ann"),
        .email = STR("ann@example.com"),
        .read_only = true,
        .buckets = buckets,
        .bucket_count = 2,
        .posix = {.set = true, .uid = 1000, .gid = 100, .groups = groups, .group_count = 2},
    };
    struct auth_snapshot *s = auth_snapshot_new();
    const struct auth_user *ann = auth_snapshot_add_user(s, &user);
    name[0] = 'X';
    buckets[1] = STR("other");
    groups[0] = 0;
    assert_str(ann->name, "ann");
    assert_str(ann->email, "ann@example.com");
    assert_str(ann->buckets[1], "two");
    assert_int_equal(ann->posix.groups[0], 7);
    assert_int_equal(ann->posix.uid, 1000);
    assert_true(ann->read_only);
    auth_snapshot_unref(s);
}

/* Root */

static void test_root_alone(void **state)
{
    (void)state;
    struct auth_snapshot *s = auth_snapshot_with_root(NULL, STR("ROOTKEY"), SECRET);
    const struct auth_key *key = auth_snapshot_find(s, STR("ROOTKEY"));
    assert_true(key->enabled);
    assert_true(key->user->admin);
    assert_str(key->user->name, "root");
    /* Stable over restarts: sha256("sluice rootROOTKEY"). */
    assert_str(key->user->id, "76882e2348ed3852c5c81e654f1c06c77ec1726bc97746e24dd9e542bea7ff8f");
    assert_ptr_equal(auth_snapshot_default_owner(s), key->user);
    auth_snapshot_unref(s);
}

static void test_root_beside_others(void **state)
{
    (void)state;
    struct auth_snapshot *base = auth_snapshot_new();
    assert_true(add_key(base, "AK1", add_user(base, "ann", "1", true)));
    struct auth_snapshot *s = auth_snapshot_with_root(base, STR("ROOTKEY"), SECRET);
    assert_null(auth_snapshot_find(base, STR("ROOTKEY")));
    auth_snapshot_unref(base);
    assert_str(auth_snapshot_find(s, STR("AK1"))->user->name, "ann");
    assert_str(auth_snapshot_find(s, STR("AK1"))->secret, SECRET.ptr);
    assert_str(auth_snapshot_default_owner(s)->name, "root");
    assert_int_equal(auth_snapshot_user_count(s), 2);
    auth_snapshot_unref(s);
}

/* Somebody in the store with root's name, id or access key does not become root, and root is not lost. */
static void test_root_is_not_taken_over(void **state)
{
    (void)state;
    struct auth_snapshot *root = auth_snapshot_with_root(NULL, STR("ROOTKEY"), SECRET);
    struct auth_snapshot *base = auth_snapshot_new();
    assert_true(add_key(base, "AK1", add_user(base, "root", "1", false)));
    const struct auth_user *same_id = add_user(base, "eve", auth_snapshot_default_owner(root)->id.ptr, false);
    assert_true(add_key(base, "AK2", same_id));
    assert_true(add_key(base, "ROOTKEY", add_user(base, "dan", "3", false)));
    struct auth_snapshot *s = auth_snapshot_with_root(base, STR("ROOTKEY"), SECRET);
    assert_null(auth_snapshot_find(s, STR("AK1")));
    assert_null(auth_snapshot_find(s, STR("AK2")));
    assert_str(auth_snapshot_find(s, STR("ROOTKEY"))->user->name, "root");
    assert_int_equal(auth_snapshot_user_count(s), 2);
    auth_snapshot_unref(s);
    auth_snapshot_unref(base);
    auth_snapshot_unref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_look_ups),
        cmocka_unit_test(test_copies_are_deep),
        cmocka_unit_test(test_root_alone),
        cmocka_unit_test(test_root_beside_others),
        cmocka_unit_test(test_root_is_not_taken_over),
    };
    return cmocka_run_group_tests_name("auth/identity", tests, NULL, NULL);
}
