#include "vfs/dir/view.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/random.h"
#include "tests/support/tmpdir.h"
#include "tests/support/unit.h"

static char path[PATH_MAX];

static int setup(void **state)
{
    (void)state;
    return tmpdir_make(path) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return tmpdir_remove(path) ? 0 : -1;
}

static void fill(int dir, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char name[64] = {0};
        random_text(name, 1 + random_u64() % 40, "ab.-0\xc3\xa4");
        if (random_u64() % 4 == 0) {
            (void)!mkdirat(dir, name, 0755); /* the same name again is fine */
            continue;
        }
        int fd = openat(dir, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        fd_closep(&fd);
    }
}

static struct view *build(int dir, size_t memory_max)
{
    struct view *w = NULL;
    const struct view_room room = {.memory_max = memory_max, .spill_fd = dir};
    assert_int_equal(view_build(dir, &room, &w), 0);
    return w;
}

/* However little memory there is, the view is the same. */
static void spilled_views_are_equal(void **state)
{
    (void)state;
    CLEANUP(fd_closep) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fill(dir, 5000);
    struct view *whole = build(dir, 16 << 20);
    assert_true(view_count(whole) > 1000);
    assert_int_equal(view_file_bytes(whole), 0);
    static const size_t rooms[] = {1, 10000, 40000};
    for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
        struct view *spilled = build(dir, rooms[i]);
        assert_true(view_file_bytes(spilled) > 0);
        assert_true(view_bytes(spilled) < 1000);
        assert_int_equal(view_count(spilled), view_count(whole));
        for (size_t k = 0; k < view_count(whole); k++) {
            enum entry_kind a, b;
            struct str name = view_entry(whole, k, &a);
            assert_true(str_eq(view_entry(spilled, k, &b), name));
            assert_int_equal(a, b);
            if (k % 16 == 0)
                assert_int_equal(view_find(spilled, name), view_find(whole, name));
        }
        view_unref(spilled);
    }
    view_unref(whole);
}

static void orders_extended_names(void **state)
{
    (void)state;
    CLEANUP(fd_closep) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fill(dir, 3000);
    struct view *w = build(dir, 16 << 20);
    char last[300] = "";
    for (size_t i = 0; i < view_count(w); i++) {
        enum entry_kind kind;
        char name[300];
        struct str s = view_entry(w, i, &kind);
        snprintf(name, sizeof(name), "%.*s%s", STR_ARG(s), kind == ENTRY_DIRECTORY ? "/" : "");
        assert_true(strcmp(last, name) < 0);
        assert_int_equal(view_find(w, str_z(name)), i);
        memcpy(last, name, sizeof(last));
    }
    assert_int_equal(view_find(w, STR("\xff")), view_count(w));
    assert_int_equal(view_find(w, STR_EMPTY), 0);
    view_unref(w);
}

static void reads_an_empty_directory(void **state)
{
    (void)state;
    CLEANUP(fd_closep) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct view *w = build(dir, 1);
    assert_int_equal(view_count(w), 0);
    assert_int_equal(view_find(w, STR("a")), 0);
    view_unref(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(spilled_views_are_equal, setup, teardown),
        cmocka_unit_test_setup_teardown(orders_extended_names, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_an_empty_directory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
