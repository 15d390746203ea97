#include "vfs/dir/view.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/random.h"
#include "tests/support/tmpdir.h"
#include "tests/support/unit.h"
#include "vfs/dir/delta.h"

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

/* A view with any number of changes applied is the view of the directory as it is. */

static void change(int dir, struct names *changed)
{
    for (int i = 0; i < 40; i++) {
        char name[8] = {0}, other[8] = {0};
        random_text(name, 1 + random_u64() % 3, "ab!-0");
        random_text(other, 1 + random_u64() % 3, "ab!-0");
        switch (random_u64() % 5) {
        case 0:
            (void)!mkdirat(dir, name, 0755);
            break;
        case 1:
            (void)!unlinkat(dir, name, AT_REMOVEDIR);
            break;
        case 2:
            (void)!unlinkat(dir, name, 0);
            break;
        case 3:
            (void)!renameat(dir, name, dir, other);
            break;
        default:
            (void)!mknodat(dir, name, S_IFREG | 0644, 0);
        }
        names_add(changed, str_z(name));
        names_add(changed, str_z(other));
    }
}

static void assert_same(const struct view *now, const struct view *view, const struct delta *delta, const char *from)
{
    struct cursor a = cursor_start(now, NULL, str_z(from)), b = cursor_start(view, delta, str_z(from));
    struct str name, other;
    enum entry_kind kind, other_kind;
    while (cursor_next(&a, &name, &kind)) {
        assert_true(cursor_next(&b, &other, &other_kind));
        assert_true(str_eq(name, other));
        assert_int_equal(kind, other_kind);
    }
    assert_false(cursor_next(&b, &other, &other_kind));
}

static void changes_make_up_for_age(void **state)
{
    (void)state;
    CLEANUP(fd_closep) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct names changed = {0};
    change(dir, &changed);
    struct view *view = build(dir, 16 << 20);
    struct delta *delta = NULL;
    for (int i = 0; i < 100; i++) {
        names_done(&changed);
        change(dir, &changed);
        struct delta *next = delta_new(delta, view, dir, &changed);
        delta_unref(delta);
        delta = next;
        struct view *now = build(dir, 16 << 20);
        static const char *const starts[] = {"", "a", "a/", "a-", "b!", "0/"};
        for (size_t k = 0; k < ARRAY_SIZE(starts); k++)
            assert_same(now, view, delta, starts[k]);
        view_unref(now);
    }
    names_done(&changed);
    delta_unref(delta);
    view_unref(view);
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
        cmocka_unit_test_setup_teardown(changes_make_up_for_age, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_an_empty_directory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
