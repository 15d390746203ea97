/* Names and directories. */
#include "tests/contract/volume_contract.h"

#include <errno.h>

static void refuses_malformed_paths(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    char long_segment[257];
    memset(long_segment, 'x', 256);
    long_segment[256] = '\0';
    const struct str bad[] = {STR("/"), STR("/a"), STR("a/"), STR("a//b"), STR("."), STR(".."), STR("a/./b"),
                              STR("a/../b"), STR("../a"), STR("a/.."), STR("a\0b"), str_z(long_segment),
                              STR(".sluice-x"), STR("a/.sluice-x/b")};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct vfs_attr attr;
        struct vfs_file *f;
        struct vfs_dir *d;
        struct vfs_scan *s;
        assert_fails(vfs_lookup(root, bad[i], NULL, &attr), EINVAL);
        assert_fails(vfs_open(root, bad[i], NULL, VFS_OPEN_READ, &f, NULL), EINVAL);
        assert_fails(vfs_stage(root, bad[i], NULL, 0, &f), EINVAL);
        assert_fails(vfs_mkdir(root, bad[i], NULL, 0), EINVAL);
        assert_fails(vfs_rmdir(root, bad[i], NULL), EINVAL);
        assert_fails(vfs_unlink(root, bad[i], NULL, NULL), EINVAL);
        assert_fails(vfs_rename(root, bad[i], STR("b"), NULL, 0), EINVAL);
        assert_fails(vfs_rename(root, STR("b"), bad[i], NULL, 0), EINVAL);
        assert_fails(vfs_dir_open(root, bad[i], NULL, &d), EINVAL);
        assert_fails(vfs_scan_open(root, bad[i], NULL, STR_EMPTY, &s), EINVAL);
        vfs_prune(root, bad[i], NULL);
    }
}

static void knows_the_empty_path(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    struct vfs_attr attr;
    struct vfs_file *f;
    assert_ok(vfs_lookup(root, STR_EMPTY, NULL, &attr));
    assert_int_equal(attr.type, VFS_DIRECTORY);
    assert_fails(vfs_open(root, STR_EMPTY, NULL, VFS_OPEN_READ, &f, NULL), EISDIR);
    assert_ok(vfs_open(root, STR_EMPTY, NULL, VFS_OPEN_DIRECTORY, &f, &attr));
    vfs_close(f);
    assert_fails(vfs_mkdir(root, STR_EMPTY, NULL, 0), EEXIST);
    assert_fails(vfs_unlink(root, STR_EMPTY, NULL, NULL), EISDIR);
    assert_fails(vfs_stage(root, STR_EMPTY, NULL, 0, &f), EISDIR);
}

static void keeps_names_byte_by_byte(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    static const char *const names[] = {"blank and\ttab", "new\nline", "\x01\x7f", "back\\slash", "caf\xc3\xa9",
                                        "cafe\xcc\x81", "...", "a..b", ".hidden", "~", "*?[]", "%2e%2e", "con"};
    char longest[256];
    memset(longest, 'n', 255);
    longest[255] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        put(root, names[i], names[i]);
    put(root, longest, "long");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_content(root, names[i], names[i]);
    assert_content(root, longest, "long");
}

static void makes_parents_implicitly(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    assert_ok(vfs_mkdir(root, STR("a/b/c"), NULL, 0));
    assert_int_equal(vfs_is_implicit(root, STR("a"), NULL), 1);
    assert_int_equal(vfs_is_implicit(root, STR("a/b"), NULL), 1);
    assert_int_equal(vfs_is_implicit(root, STR("a/b/c"), NULL), 0);
    assert_ok(vfs_mkdir(root, STR("a/i"), NULL, VFS_MKDIR_IMPLICIT));
    assert_int_equal(vfs_is_implicit(root, STR("a/i"), NULL), 1);
    assert_fails(vfs_mkdir(root, STR("a/b"), NULL, 0), EEXIST);
    assert_int_equal(vfs_is_implicit(root, STR("a/b"), NULL), 1);
    assert_fails(vfs_is_implicit(root, STR("none"), NULL), ENOENT);
}

static void changes_marks(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    put(root, "a/f", "x");
    assert_int_equal(vfs_is_implicit(root, STR("a"), NULL), 1);
    assert_ok(vfs_make_explicit(root, STR("a"), NULL));
    assert_ok(vfs_make_explicit(root, STR("a"), NULL));
    assert_int_equal(vfs_is_implicit(root, STR("a"), NULL), 0);
    assert_ok(vfs_make_implicit(root, STR("a"), NULL));
    assert_int_equal(vfs_is_implicit(root, STR("a"), NULL), 1);
    assert_fails(vfs_make_implicit(root, STR("a/f"), NULL), ENOTDIR);
}

static void sees_files_in_the_way(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    struct vfs_attr attr;
    struct vfs_file *f;
    struct vfs_dir *d;
    struct vfs_scan *s;
    put(root, "file", "x");
    assert_fails(vfs_lookup(root, STR("file/x"), NULL, &attr), ENOTDIR);
    assert_fails(vfs_stage(root, STR("file/x"), NULL, 0, &f), ENOTDIR);
    assert_fails(vfs_stage(root, STR("file/x/y/z"), NULL, 0, &f), ENOTDIR);
    assert_fails(vfs_mkdir(root, STR("file/x"), NULL, 0), ENOTDIR);
    assert_fails(vfs_mkdir(root, STR("file"), NULL, 0), ENOTDIR);
    assert_fails(vfs_rmdir(root, STR("file"), NULL), ENOTDIR);
    assert_fails(vfs_dir_open(root, STR("file"), NULL, &d), ENOTDIR);
    assert_fails(vfs_scan_open(root, STR("file"), NULL, STR_EMPTY, &s), ENOTDIR);
    assert_fails(vfs_dir_open(root, STR("none"), NULL, &d), ENOENT);
    assert_fails(vfs_scan_open(root, STR("none"), NULL, STR_EMPTY, &s), ENOENT);
}

static void removes_directories(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    put(root, "d/f", "x");
    assert_fails(vfs_rmdir(root, STR("d"), NULL), ENOTEMPTY);
    assert_fails(vfs_unlink(root, STR("d"), NULL, NULL), EISDIR);
    assert_ok(vfs_unlink(root, STR("d/f"), NULL, NULL));
    assert_ok(vfs_rmdir(root, STR("d"), NULL));
    assert_fails(vfs_rmdir(root, STR("d"), NULL), ENOENT);
}

static void own_state_does_not_keep_a_directory(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    assert_ok(vfs_mkdir(root, STR("b/.sluice/uploads/1"), NULL, 0));
    assert_fails(vfs_rmdir(root, STR("b"), NULL), ENOTEMPTY);
    assert_true(is_there(root, "b/.sluice/uploads/1"));
    assert_ok(vfs_rmdir(root, STR("b/.sluice/uploads/1"), NULL));
    assert_ok(vfs_rmdir(root, STR("b"), NULL));
}

static void prunes_only_what_is_implicit_and_empty(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_dir_closep) struct vfs_dir *d = NULL;
    assert_ok(vfs_mkdir(root, STR("b"), NULL, VFS_MKDIR_IMPLICIT));
    assert_ok(vfs_dir_open(root, STR("b"), NULL, &d));
    put(d, "x/y/z/f", "1");
    put(d, "x/g", "2");
    vfs_prune(d, STR("x/y/z"), NULL); /* not empty */
    assert_content(d, "x/y/z/f", "1");
    assert_ok(vfs_unlink(d, STR("x/y/z/f"), NULL, NULL));
    vfs_prune(d, STR("x/y/z"), NULL);
    assert_missing(d, "x/y");
    assert_content(d, "x/g", "2");
    assert_ok(vfs_unlink(d, STR("x/g"), NULL, NULL));
    assert_ok(vfs_make_explicit(d, STR("x"), NULL));
    vfs_prune(d, STR("x"), NULL);
    assert_true(is_there(d, "x"));
    assert_ok(vfs_make_implicit(d, STR("x"), NULL));
    vfs_prune(d, STR("x"), NULL);
    assert_missing(d, "x");
    assert_true(is_there(root, "b")); /* the confining directory itself never goes */
}

static void discards(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    put(root, "f", "one");
    assert_ok(vfs_discard(root, STR("f")));
    assert_missing(root, "f");
    assert_fails(vfs_discard(root, STR("f")), ENOENT);
    assert_fails(vfs_discard(root, STR_EMPTY), EISDIR);
    assert_fails(vfs_discard(root, STR("a//b")), EINVAL);
}

static void unlinks_the_expected_version_only(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    put(root, "f", "one");
    struct vfs_version old = version_of(root, "f");
    put(root, "f", "two!");
    assert_fails(vfs_unlink(root, STR("f"), NULL, &old), ESTALE);
    assert_content(root, "f", "two!");
    struct vfs_version now = version_of(root, "f");
    assert_ok(vfs_unlink(root, STR("f"), NULL, &now));
    assert_missing(root, "f");
    assert_fails(vfs_unlink(root, STR("f"), NULL, &now), ENOENT);
    assert_fails(vfs_unlink(root, STR("f"), NULL, NULL), ENOENT);
    assert_fails(vfs_unlink(root, STR("no/f"), NULL, NULL), ENOENT);
}

static void renames(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    put(root, "a", "1");
    put(root, "b", "2");
    assert_fails(vfs_rename(root, STR("a"), STR("b"), NULL, VFS_RENAME_NOREPLACE), EEXIST);
    assert_content(root, "b", "2");
    assert_ok(vfs_rename(root, STR("a"), STR("b"), NULL, 0));
    assert_missing(root, "a");
    assert_content(root, "b", "1");
    assert_ok(vfs_rename(root, STR("b"), STR("x/y/b"), NULL, VFS_RENAME_NOREPLACE));
    assert_content(root, "x/y/b", "1");
    assert_int_equal(vfs_is_implicit(root, STR("x/y"), NULL), 1);
    assert_ok(vfs_rename(root, STR("x/y"), STR("z"), NULL, 0));
    assert_content(root, "z/b", "1");
    assert_fails(vfs_rename(root, STR("z"), STR("z/inner/z"), NULL, 0), EINVAL);
    assert_missing(root, "z/inner");
    assert_fails(vfs_rename(root, STR("none"), STR("p/q"), NULL, 0), ENOENT);
    assert_missing(root, "p");
    assert_fails(vfs_rename(root, STR("z/b"), STR("x"), NULL, 0), EISDIR);
    put(root, "full/f", "3");
    assert_fails(vfs_rename(root, STR("z"), STR("full"), NULL, 0), ENOTEMPTY);
    assert_fails(vfs_rename(root, STR("z"), STR("full"), NULL, VFS_RENAME_NOREPLACE), EEXIST);
}

static void handles_confine_and_outlive_renames(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_dir_closep) struct vfs_dir *d = NULL;
    put(root, "b/f", "1");
    assert_ok(vfs_dir_open(root, STR("b"), NULL, &d));
    assert_ok(vfs_rename(root, STR("b"), STR("c"), NULL, 0));
    assert_content(d, "f", "1");
    put(d, "g", "2");
    assert_content(root, "c/g", "2");
}

static void removed_directories_take_nothing(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_dir_closep) struct vfs_dir *d = NULL;
    CLEANUP(vfs_closep) struct vfs_file *staged = NULL;
    struct vfs_file *f;
    assert_ok(vfs_mkdir(root, STR("b"), NULL, 0));
    assert_ok(vfs_dir_open(root, STR("b"), NULL, &d));
    assert_ok(vfs_stage(d, STR("f"), NULL, 0, &staged));
    int r = vfs_rmdir(root, STR("b"), NULL); /* a volume may hold the directory for the work in progress, or let it go */
    if (r == 0)
        assert_fails(vfs_publish(staged, d, STR("f"), NULL, &REPLACE, NULL), ENOENT);
    vfs_closep(&staged);
    assert_true(r == 0 || (r == -ENOTEMPTY && vfs_rmdir(root, STR("b"), NULL) == 0));
    r = try_put(d, "f", STR("x"), &REPLACE);
    assert_int_equal(r, -ENOENT);
    assert_fails(vfs_stage(d, STR("a/b/f"), NULL, 0, &f), ENOENT);
    assert_fails(vfs_mkdir(d, STR("a/b"), NULL, 0), ENOENT);
    assert_fails(vfs_open(d, STR("f"), NULL, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &f, NULL), ENOENT);
    assert_missing(root, "b");
}

static void reports_space(void **state)
{
    struct vfs_space space = {0};
    assert_ok(vfs_space(fixture_of(state)->volume, &space));
    assert_true(space.total_bytes > 0);
    assert_true(space.free_bytes <= space.total_bytes);
}

int volume_node_contract(const struct volume_kind *k)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(refuses_malformed_paths, k),
        VOLUME_TEST(knows_the_empty_path, k),
        VOLUME_TEST(keeps_names_byte_by_byte, k),
        VOLUME_TEST(makes_parents_implicitly, k),
        VOLUME_TEST(changes_marks, k),
        VOLUME_TEST(sees_files_in_the_way, k),
        VOLUME_TEST(removes_directories, k),
        VOLUME_TEST(own_state_does_not_keep_a_directory, k),
        VOLUME_TEST(prunes_only_what_is_implicit_and_empty, k),
        VOLUME_TEST(discards, k),
        VOLUME_TEST(unlinks_the_expected_version_only, k),
        VOLUME_TEST(renames, k),
        VOLUME_TEST(handles_confine_and_outlive_renames, k),
        VOLUME_TEST(removed_directories_take_nothing, k),
        VOLUME_TEST(reports_space, k),
    };
    return cmocka_run_group_tests_name("nodes", tests, NULL, NULL);
}
