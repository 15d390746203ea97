#include "tests/support/unit.h"

#include <errno.h>

#include "auth/live.h"
#include "auth/store.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "tests/support/state_dir.h"

#define ROOT_KEY STR("ROOTKEY")
#define ROOT_SECRET STR("root-secret")

struct fixture {
    struct state_dir dir;
    struct auth_live *live;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    state_dir_init(&f->dir);
    *state = f;
    return auth_live_start(f->dir.path, ROOT_KEY, ROOT_SECRET, &f->live);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    auth_live_stop(f->live);
    auth_live_stop(NULL);
    state_dir_done(&f->dir);
    free(f);
    return 0;
}

/* As the command line does it: another handle on the same folder. */
static void add_user(struct fixture *f, const char *name)
{
    struct auth_store *store;
    struct auth_user_spec spec = {.name = str_z(name)};
    assert_int_equal(auth_store_open(f->dir.path, &store), 0);
    assert_int_equal(auth_store_user_add(store, &spec), 0);
    auth_store_close(store);
}

static bool knows(struct fixture *f, const char *name)
{
    struct auth_snapshot *s = auth_live_get(f->live);
    bool found = auth_snapshot_user(s, str_z(name)) != NULL;
    assert_non_null(auth_snapshot_find(s, ROOT_KEY));
    auth_snapshot_unref(s);
    return found;
}

static void test_reload(void **state)
{
    struct fixture *f = *state;
    struct auth_snapshot *old = auth_live_get(f->live);
    assert_false(knows(f, "ann"));
    add_user(f, "ann");
    assert_int_equal(auth_live_reload(f->live), 0);
    assert_true(knows(f, "ann"));
    /* Who holds the old snapshot sees no change. */
    assert_null(auth_snapshot_user(old, STR("ann")));
    auth_snapshot_unref(old);
}

static void test_change_is_noticed(void **state)
{
    struct fixture *f = *state;
    add_user(f, "ann");
    uint64_t deadline_ms = clock_mono_ms() + 20000;
    while (!knows(f, "ann") && clock_mono_ms() < deadline_ms)
        usleep(20000);
    assert_true(knows(f, "ann"));
}

/* A store that cannot be read any more does not take the identities away. */
static void test_failure_keeps_the_snapshot(void **state)
{
    struct fixture *f = *state;
    add_user(f, "ann");
    assert_int_equal(auth_live_reload(f->live), 0);
    state_dir_sql(&f->dir, "INSERT INTO access_keys SELECT 'AK1', user_id, x'00', 1, '' FROM users");
    assert_int_equal(auth_live_reload(f->live), -EKEYREJECTED);
    assert_string_equal(auth_store_error(NULL), "the master key does not open the secret of AK1: remove that key");
    assert_true(knows(f, "ann"));
    state_dir_sql(&f->dir, "DELETE FROM access_keys; DELETE FROM users");
    assert_int_equal(auth_live_reload(f->live), 0);
    assert_false(knows(f, "ann"));
}

static void *get_many(void *arg)
{
    for (int i = 0; i < 20000; i++) {
        struct auth_snapshot *s = auth_live_get(arg);
        if (!auth_snapshot_find(s, ROOT_KEY))
            return arg;
        auth_snapshot_unref(s);
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[3];
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        thread_start(&threads[i], "get", get_many, f->live);
    for (int i = 0; i < 50; i++)
        assert_int_equal(auth_live_reload(f->live), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
}

static void test_bad_starts(void **state)
{
    (void)state;
    struct state_dir dir;
    struct auth_live *live = NULL;
    state_dir_init(&dir);
    assert_int_equal(auth_live_start(dir.path, ROOT_KEY, STR_EMPTY, &live), -EINVAL);
    assert_int_equal(auth_live_start(dir.path, STR_EMPTY, ROOT_SECRET, &live), -EINVAL);
    assert_int_equal(auth_live_start(dir.path, ROOT_KEY, STR("short"), &live), -EINVAL);
    assert_string_equal(auth_store_error(NULL), "the root user: a secret key is 8 to 128 printable ASCII characters "
                                                "without blanks");
    assert_int_equal(auth_live_start("/nonexistent/folder", ROOT_KEY, ROOT_SECRET, &live), -ENOENT);
    assert_true(str_starts(str_z(auth_store_error(NULL)), STR("cannot make the folder /nonexistent/folder: ")));
    assert_null(live);
    state_dir_done(&dir);
}

static void test_without_root(void **state)
{
    (void)state;
    struct state_dir dir;
    struct auth_live *live;
    state_dir_init(&dir);
    assert_int_equal(auth_live_start(dir.path, STR_EMPTY, STR_EMPTY, &live), 0);
    struct auth_snapshot *s = auth_live_get(live);
    assert_int_equal(auth_snapshot_user_count(s), 0);
    assert_str(auth_snapshot_default_owner(s)->name, "nobody");
    auth_snapshot_unref(s);
    auth_live_stop(live);
    state_dir_done(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
        cmocka_unit_test_setup_teardown(test_change_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failure_keeps_the_snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
        cmocka_unit_test(test_bad_starts),
        cmocka_unit_test(test_without_root),
    };
    return cmocka_run_group_tests_name("auth/live", tests, NULL, NULL);
}
