/* Staging and publishing. */
#include "tests/contract/volume_contract.h"

#include <errno.h>
#include <time.h>

static struct vfs_file *stage(struct vfs_dir *d, const char *path, const char *content)
{
    struct vfs_file *f = NULL;
    assert_ok(vfs_stage(d, str_z(path), NULL, strlen(content), &f));
    assert_ok(vfs_write(f, str_z(content), 0));
    return f;
}

static void appears_whole_at_publish(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_closep) struct vfs_file *f = stage(root, "a/b/f", "new");
    struct vfs_attr staged, published, found;
    CLEANUP(buf_done) struct buf value = buf_make(64);
    assert_missing(root, "a/b/f");
    assert_ok(vfs_xattr_set(f, NULL, "user.t", STR("meta")));
    struct vfs_set set = {.which = VFS_SET_MTIME, .mtime_ns = 1000000000123456789};
    assert_ok(vfs_setattr(f, NULL, &set));
    assert_ok(vfs_fstat(f, &staged));
    assert_ok(vfs_publish(f, root, STR("a/b/f"), NULL, &REPLACE, &published));
    assert_ok(vfs_lookup(root, STR("a/b/f"), NULL, &found));
    assert_true(vfs_version_eq(vfs_attr_version(&found), vfs_attr_version(&published)));
    assert_true(vfs_version_eq(vfs_attr_version(&found), vfs_attr_version(&staged)));
    assert_int_equal(found.mtime_ns, 1000000000123456789);
    assert_int_equal(found.nlink, 1);
    assert_content(root, "a/b/f", "new");
    assert_ok(vfs_xattr_get(f, "user.t", &value));
    assert_str(buf_str(&value), "meta");
    assert_listing(root, "a/b", "", "f:f ");
}

/* Set before the file has its name, kept with it. */
static void attributes_come_with_the_name(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(buf_done) struct buf value = buf_make(100);
    CLEANUP(vfs_closep) struct vfs_file *stage = NULL, *f = NULL;
    const struct vfs_publish how = {.mode = VFS_PUBLISH_CREATE};
    put(root, "taken", "x");
    assert_ok(vfs_stage(root, STR("f"), NULL, 0, &stage));
    assert_ok(vfs_write(stage, STR("x"), 0));
    assert_ok(vfs_xattr_set(stage, NULL, "user.a", STR("old")));
    assert_ok(vfs_xattr_set(stage, NULL, "user.a", STR("new")));
    assert_ok(vfs_xattr_set(stage, NULL, "user.b", STR("gone")));
    assert_ok(vfs_xattr_remove(stage, NULL, "user.b"));
    assert_ok(vfs_xattr_remove(stage, NULL, "user.c"));
    assert_ok(vfs_xattr_get(stage, "user.a", &value));
    assert_true(str_eq(buf_str(&value), STR("new")));
    assert_fails(vfs_xattr_get(stage, "user.b", &value), ENODATA);
    assert_fails(vfs_publish(stage, root, STR("taken"), NULL, &how, NULL), EEXIST);
    assert_ok(vfs_publish(stage, root, STR("f"), NULL, &how, NULL)); /* after a failure, too */
    assert_ok(vfs_open(root, STR("f"), NULL, VFS_OPEN_READ, &f, NULL));
    for (int i = 0; i < 2; i++) {
        struct vfs_file *seen = i == 0 ? stage : f;
        buf_reset(&value);
        assert_ok(vfs_xattr_get(seen, "user.a", &value));
        assert_true(str_eq(buf_str(&value), STR("new")));
        assert_fails(vfs_xattr_get(seen, "user.b", &value), ENODATA);
        assert_fails(vfs_xattr_get(seen, "user.c", &value), ENODATA);
    }
}

/* Read, changed and written on in between, by several calls that go different ways where the file is not a node yet. */
static void is_whole_however_it_was_made(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    struct vfs_set set = {.which = VFS_SET_MTIME, .mtime_ns = 1000000000123456789};
    struct vfs_attr attr;
    char bytes[16];
    for (int i = 0; i < 8; i++) {
        CLEANUP(vfs_closep) struct vfs_file *f = stage(root, "f", "abcdef");
        assert_ok(vfs_setattr(f, NULL, &set));
        if (i & 1) {
            assert_ok(vfs_write(f, STR("ij"), 8));
            assert_ok(vfs_sync(f));
        }
        if (i & 2)
            assert_int_equal(vfs_read(f, bytes, sizeof(bytes), 0), i & 1 ? 10 : 6);
        assert_ok(vfs_write(f, STR("CD"), 2));
        if (i & 4)
            assert_ok(vfs_truncate(f, 5));
        assert_ok(vfs_publish(f, root, STR("f"), NULL, &REPLACE, &attr));
        assert_true(attr.mtime_ns != set.mtime_ns); /* written to since */
        assert_int_equal(attr.size, i & 4 ? 5 : i & 1 ? 10 : 6);
        CLEANUP(vfs_closep) struct vfs_file *again = NULL;
        assert_ok(vfs_open(root, STR("f"), NULL, VFS_OPEN_READ, &again, NULL));
        assert_int_equal(vfs_read(again, bytes, sizeof(bytes), 0), attr.size);
        assert_memory_equal(bytes, "abCDef\0\0ij", attr.size);
    }
}

static void leaves_nothing_unpublished(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    assert_ok(vfs_mkdir(root, STR("kept"), NULL, 0));
    vfs_close(stage(root, "kept/x/y/f", "1"));
    vfs_close(stage(root, "new/f", "2"));
    put(root, "shared/g", "3");
    struct vfs_file *f = stage(root, "shared/x/f", "4");
    put(root, "shared/x/other", "5"); /* somebody else uses the directory by now */
    vfs_close(f);
    assert_listing(root, "", "", "kept:d shared:d ");
    assert_listing(root, "kept", "", "");
    assert_content(root, "shared/x/other", "5");
}

static void readers_keep_the_old_bytes(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_closep) struct vfs_file *reader = NULL;
    char text[16] = {0};
    put(root, "f", "old");
    assert_ok(vfs_open(root, STR("f"), NULL, VFS_OPEN_READ, &reader, NULL));
    put(root, "f", "newer");
    assert_int_equal(vfs_read(reader, text, sizeof(text), 0), 3);
    assert_string_equal(text, "old");
    assert_content(root, "f", "newer");
    assert_listing(root, "", "", "f:f ");
}

static void creates_once(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    assert_ok(try_put(root, "d/f", STR("first"), &CREATE));
    assert_fails(try_put(root, "d/f", STR("second"), &CREATE), EEXIST);
    assert_content(root, "d/f", "first");
    CLEANUP(vfs_closep) struct vfs_file *f = stage(root, "g", "again");
    put(root, "g", "taken");
    assert_fails(vfs_publish(f, root, STR("g"), NULL, &CREATE, NULL), EEXIST);
    assert_ok(vfs_unlink(root, STR("g"), NULL, NULL));
    assert_ok(vfs_publish(f, root, STR("g"), NULL, &CREATE, NULL)); /* a failed publish leaves the file usable */
    assert_content(root, "g", "again");
}

static void replaces_the_expected_version_only(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    put(root, "f", "one");
    struct vfs_publish old = if_version(version_of(root, "f"));
    assert_ok(try_put(root, "f", STR("two"), &old));
    assert_fails(try_put(root, "f", STR("three"), &old), ESTALE);
    assert_content(root, "f", "two");
    assert_ok(vfs_unlink(root, STR("f"), NULL, NULL));
    assert_fails(try_put(root, "f", STR("four"), &old), ENOENT);
    assert_fails(try_put(root, "no/such/f", STR("five"), &old), ENOENT);
    assert_listing(root, "", "", "");
}

static void sees_files_rewritten_in_place(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    struct vfs_file *f;
    put(root, "f", "one");
    struct vfs_publish old = if_version(version_of(root, "f"));
    assert_ok(vfs_open(root, STR("f"), NULL, VFS_OPEN_WRITE, &f, NULL));
    assert_ok(vfs_write(f, STR("longer"), 0));
    vfs_close(f);
    assert_fails(try_put(root, "f", STR("two"), &old), ESTALE);
    assert_fails(vfs_unlink(root, STR("f"), NULL, &old.version), ESTALE);
    assert_content(root, "f", "longer");
}

static void directories_are_in_the_way(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    assert_ok(vfs_mkdir(root, STR("d"), NULL, 0));
    assert_fails(try_put(root, "d", STR("x"), &REPLACE), EISDIR);
    assert_fails(try_put(root, "d", STR("x"), &CREATE), EISDIR);
    CLEANUP(vfs_closep) struct vfs_file *f = stage(root, "p/q/f", "x");
    vfs_prune(root, STR("p/q"), NULL);
    put(root, "p", "file");
    assert_fails(vfs_publish(f, root, STR("p/q/f"), NULL, &REPLACE, NULL), ENOTDIR);
    assert_listing(root, "", "", "d:d p:f ");
}

static void makes_vanished_parents_again(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_closep) struct vfs_file *f = stage(root, "x/y/f", "back");
    vfs_prune(root, STR("x/y"), NULL);
    assert_missing(root, "x");
    assert_ok(vfs_publish(f, root, STR("x/y/f"), NULL, &CREATE, NULL));
    assert_content(root, "x/y/f", "back");
    assert_int_equal(vfs_is_implicit(root, STR("x/y"), NULL), 1);
}

static void publishes_under_another_name(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_dir_closep) struct vfs_dir *d = NULL;
    CLEANUP(vfs_closep) struct vfs_file *f = stage(root, "here/f", "moved");
    assert_ok(vfs_mkdir(root, STR("bucket"), NULL, 0));
    assert_ok(vfs_dir_open(root, STR("bucket"), NULL, &d));
    assert_ok(vfs_publish(f, d, STR("there/g"), NULL, &REPLACE, NULL));
    assert_content(root, "bucket/there/g", "moved");
    assert_missing(root, "here/f");
    CLEANUP(vfs_closep) struct vfs_file *second = stage(root, "here/f", "moved too");
    assert_ok(vfs_publish(second, root, STR("there/f"), NULL, &REPLACE, NULL));
    assert_content(root, "there/f", "moved too");
    assert_missing(root, "here/f");
}

/* The directory that had the name goes its own way, once longer has passed than anybody takes a name to stay what it was. */
static void publishes_where_the_path_leads_by_then(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_closep) struct vfs_file *f = stage(root, "d/f", "late");
    assert_ok(vfs_rename(root, STR("d"), STR("e"), NULL, 0));
    nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
    assert_ok(vfs_publish(f, root, STR("d/f"), NULL, &REPLACE, NULL));
    assert_content(root, "d/f", "late");
    assert_missing(root, "e/f");
}

static void publishes_named_files(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    struct vfs_attr attr;
    const unsigned flags = VFS_OPEN_WRITE | VFS_OPEN_CREATE | VFS_OPEN_PRIVATE;
    assert_ok(vfs_mkdir(root, STR(".sluice/uploads/1"), NULL, 0));
    assert_ok(vfs_open(root, STR(".sluice/uploads/1/data"), NULL, flags, &f, NULL));
    assert_ok(vfs_write(f, STR("parts"), 0));
    put(root, "k/object", "before");
    assert_fails(vfs_publish(f, root, STR("k/object"), NULL, &CREATE, NULL), EEXIST);
    assert_ok(vfs_publish(f, root, STR("k/object"), NULL, &REPLACE, &attr));
    assert_content(root, "k/object", "parts");
    assert_ok(vfs_publish(f, root, STR("k/object"), NULL, &REPLACE, NULL)); /* once more is the same */
    int r = vfs_unlink(root, STR(".sluice/uploads/1/data"), NULL, NULL);
    assert_true(r == 0 || r == -ENOENT);
    assert_content(root, "k/object", "parts");
    assert_listing(root, "k", "", "object:f ");
    assert_ok(vfs_lookup(root, STR("k/object"), NULL, &attr));
    assert_int_equal(attr.nlink, 1);
    put(root, "plain", "x");
    struct vfs_attr plain;
    assert_ok(vfs_lookup(root, STR("plain"), NULL, &plain));
    assert_int_equal(attr.mode, plain.mode); /* as if it had been made there */
}

static void refuses_what_cannot_fit(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    struct vfs_file *f;
    struct vfs_space space;
    assert_ok(vfs_space(fixture_of(state)->volume, &space));
    assert_fails(vfs_stage(root, STR("d/f"), NULL, space.total_bytes + (1 << 30), &f), ENOSPC);
    assert_missing(root, "d");
}

static void works_the_same_when_durable(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    volume_reopen(x, VFS_SYNC_ALWAYS);
    put(x->root, "a/b/c/f", "1");
    put(x->root, "a/b/c/f", "2");
    assert_ok(try_put(x->root, "a/g", STR("3"), &CREATE));
    struct vfs_publish same = if_version(version_of(x->root, "a/g"));
    assert_ok(try_put(x->root, "a/g", STR("4"), &same));
    assert_ok(vfs_mkdir(x->root, STR("m/n"), NULL, 0));
    assert_ok(vfs_rename(x->root, STR("a/g"), STR("r/s/t"), NULL, 0));
    assert_ok(vfs_unlink(x->root, STR("a/b/c/f"), NULL, NULL));
    vfs_prune(x->root, STR("a/b/c"), NULL);
    assert_ok(vfs_rmdir(x->root, STR("m/n"), NULL));
    assert_listing(x->root, "", "", "m:d r:d ");
    char deep[2 * 200 + 8] = "";
    for (int i = 0; i < 200; i++) /* deeper than one sync takes in */
        strcat(deep, "d/");
    strcat(deep, "f");
    put(x->root, deep, "bottom");
    assert_content(x->root, deep, "bottom");
}

int volume_publish_contract(const struct volume_kind *k)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(appears_whole_at_publish, k),
        VOLUME_TEST(attributes_come_with_the_name, k),
        VOLUME_TEST(is_whole_however_it_was_made, k),
        VOLUME_TEST(leaves_nothing_unpublished, k),
        VOLUME_TEST(readers_keep_the_old_bytes, k),
        VOLUME_TEST(creates_once, k),
        VOLUME_TEST(replaces_the_expected_version_only, k),
        VOLUME_TEST(sees_files_rewritten_in_place, k),
        VOLUME_TEST(directories_are_in_the_way, k),
        VOLUME_TEST(makes_vanished_parents_again, k),
        VOLUME_TEST(publishes_under_another_name, k),
        VOLUME_TEST(publishes_where_the_path_leads_by_then, k),
        VOLUME_TEST(publishes_named_files, k),
        VOLUME_TEST(refuses_what_cannot_fit, k),
        VOLUME_TEST(works_the_same_when_durable, k),
    };
    return cmocka_run_group_tests_name("publishing", tests, NULL, NULL);
}
