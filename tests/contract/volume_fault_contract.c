/* Steps that fail: whatever they were in the middle of, the old file stays whole and nothing else stays. */
#include "tests/contract/volume_contract.h"

#include <errno.h>

#include "base/fault.h"

#ifdef SLUICE_FAULTS

static const char *const points[] = {"vfs.stage", "vfs.write", "vfs.xattr", "vfs.sync",
                                     "vfs.publish.link", "vfs.publish.rename", "vfs.mkdir"};
/* More passes than any of the operations has. */
enum { PASSES = 8 };

static int put_with_record(struct vfs_dir *d, const char *path, const char *content)
{
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    int r = vfs_stage(d, str_z(path), NULL, 0, &f);
    if (r == 0)
        r = vfs_write(f, str_z(content), 0);
    if (r == 0)
        r = vfs_xattr_set(f, NULL, "user.t", str_z(content));
    return r < 0 ? r : vfs_publish(f, d, str_z(path), NULL, &REPLACE, NULL);
}

static void set_fault(const char *point, int pass, const char *error)
{
    char spec[64];
    snprintf(spec, sizeof(spec), "%s:%d:%s", point, pass, error);
    fault_set_for_test(spec);
}

/* The content and the record are of one state. */
static void assert_whole(struct vfs_dir *d, const char *path, const char *one, const char *other)
{
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    CLEANUP(buf_done) struct buf record = buf_make(64);
    char text[64] = {0};
    assert_ok(vfs_open(d, str_z(path), NULL, VFS_OPEN_READ, &f, NULL));
    assert_true(vfs_read(f, text, sizeof(text) - 1, 0) > 0);
    assert_true(strcmp(text, one) == 0 || strcmp(text, other) == 0);
    assert_ok(vfs_xattr_get(f, "user.t", &record));
    assert_str(buf_str(&record), text);
}

static void replacing(struct volume_fixture *x, const char *point, int pass)
{
    assert_ok(put_with_record(x->root, "d/f", "old"));
    set_fault(point, pass, "EIO");
    int r = put_with_record(x->root, "d/f", "new");
    fault_set_for_test(NULL);
    assert_true(r == 0 || r == -EIO);
    /* A failed sync of the name comes after the name: then either state is right. */
    assert_whole(x->root, "d/f", r == 0 ? "new" : "old", r == 0 || strcmp(point, "vfs.sync") == 0 ? "new" : "old");
    assert_listing(x->root, "d", "", "f:f ");
}

static void creating(struct volume_fixture *x, const char *point, int pass)
{
    set_fault(point, pass, "ENOSPC");
    int r = put_with_record(x->root, "n/e/w", "new");
    fault_set_for_test(NULL);
    assert_true(r == 0 || r == -ENOSPC);
    if (is_there(x->root, "n/e/w")) {
        assert_whole(x->root, "n/e/w", "new", "new");
        assert_ok(vfs_unlink(x->root, STR("n/e/w"), NULL, NULL));
        vfs_prune(x->root, STR("n/e"), NULL);
    } else {
        assert_int_equal(r, -ENOSPC);
    }
    assert_missing(x->root, "n"); /* the directories made on the way went with the failure */
}

static void run_points(struct volume_fixture *x)
{
    for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
        for (int pass = 1; pass <= PASSES; pass++) {
            replacing(x, points[i], pass);
            creating(x, points[i], pass);
        }
    }
}

static void failing_steps_leave_the_old_file(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    run_points(x);
    volume_reopen(x, VFS_SYNC_ALWAYS);
    run_points(x);
}

static void failures_are_passed_on(void **state)
{
    struct vfs_dir *root = fixture_of(state)->root;
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    char text[4];
    put(root, "f", "x");
    assert_ok(vfs_open(root, STR("f"), NULL, VFS_OPEN_READ, &f, NULL));
    fault_set_for_test("vfs.read:1:EIO");
    assert_fails((int)vfs_read(f, text, 1, 0), EIO);
    assert_int_equal(vfs_read(f, text, 1, 0), 1);
    fault_set_for_test("vfs.unlink:1:EROFS");
    assert_fails(vfs_unlink(root, STR("f"), NULL, NULL), EROFS);
    fault_set_for_test("vfs.rename:1:EIO");
    assert_fails(vfs_rename(root, STR("f"), STR("new/g"), NULL, 0), EIO);
    assert_missing(root, "new");
    assert_content(root, "f", "x");
}

int volume_fault_contract(const struct volume_kind *k)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(failing_steps_leave_the_old_file, k),
        VOLUME_TEST(failures_are_passed_on, k),
    };
    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}

#else

int volume_fault_contract(const struct volume_kind *k)
{
    (void)k;
    print_message("faults: skipped, this build has no fault points\n");
    return 0;
}

#endif
