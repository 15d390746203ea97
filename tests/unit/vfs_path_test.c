#include "vfs/path.h"

#include "tests/support/unit.h"

static void accepts_and_refuses(void **state)
{
    (void)state;
    char segment[256], path[600];
    memset(segment, 's', 255);
    segment[255] = '\0';
    snprintf(path, sizeof(path), "%s/%s", segment, segment);
    const struct {
        struct str path;
        bool ok;
    } rows[] = {
        {STR(""), true},
        {STR_EMPTY, true},
        {STR("a"), true},
        {STR("a/b/c"), true},
        {STR("..."), true},
        {STR("a..b/.c"), true},
        {STR(" "), true},
        {STR("\xff\x01"), true},
        {STR(".sluice"), true},
        {STR(".sluice/uploads/x"), true},
        {STR(".sluicer"), true},
        {str_z(path), true},
        {STR("/"), false},
        {STR("/a"), false},
        {STR("a/"), false},
        {STR("a//b"), false},
        {STR("."), false},
        {STR(".."), false},
        {STR("a/."), false},
        {STR("../a"), false},
        {STR("a/../b"), false},
        {STR("a\0"), false},
        {STR("\0"), false},
        {STR("a/b\0c"), false},
        {STR(".sluice-"), false},
        {STR("a/.sluice-0/b"), false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (vfs_path_ok(rows[i].path) != rows[i].ok)
            fail_msg("row %zu: %.*s", i, STR_ARG(rows[i].path));
    }
    char too_long[257];
    memset(too_long, 's', 256);
    assert_false(vfs_path_ok(str_of(too_long, 256)));
}

static void cuts(void **state)
{
    (void)state;
    assert_str(vfs_path_parent(STR("a/b/c")), "a/b");
    assert_str(vfs_path_leaf(STR("a/b/c")), "c");
    assert_str(vfs_path_parent(STR("a")), "");
    assert_str(vfs_path_leaf(STR("a")), "a");
}

static void compares_by_segments(void **state)
{
    (void)state;
    assert_true(vfs_path_below(STR("a/b"), STR("a")));
    assert_true(vfs_path_below(STR("a"), STR("a")));
    assert_true(vfs_path_below(STR("a"), STR("")));
    assert_true(vfs_path_below(STR(""), STR("")));
    assert_false(vfs_path_below(STR("ab"), STR("a")));
    assert_false(vfs_path_below(STR("a"), STR("a/b")));
    assert_false(vfs_path_below(STR(""), STR("a")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_and_refuses),
        cmocka_unit_test(cuts),
        cmocka_unit_test(compares_by_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
