/* The gateway's own state on JuiceFS volumes: apart from the directory that it belongs to, and gone with it. And directories that
 * were made on the way. And what is answered without waiting when another client has changed it in place. */
#include "tests/support/unit.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/support/meta_rig.h"
#include "vfs/meta/settings.h"
#include "vfs/vfs.h"

static struct meta_rig rig;
static struct vfs *volume;
static struct vfs_dir *root;

static void open_volume(void)
{
    const struct vfs_options options = {.sync = VFS_SYNC_NONE};
    const char *error = "";
    if (vfs_open_volume(rig.url, &options, &volume, &error) < 0)
        fail_msg("%s", error);
    root = vfs_root(volume);
}

static int begin(void **state)
{
    (void)state;
    char bucket[PATH_MAX + 16];
    const char *error = "";
    CLEANUP(meta_settings_freep) struct meta_settings *s = meta_settings_new();
    rig = (struct meta_rig){0};
    assert_true(tmpdir_make(rig.dir));
    (void)snprintf(rig.url, sizeof(rig.url), "sqlite3://%s/meta.db", rig.dir);
    (void)snprintf(bucket, sizeof(bucket), "%s/blocks/", rig.dir);
    assert_int_equal(mkdir(bucket, 0755), 0);
    s->name = STR("vol");
    s->bucket = meta_settings_keep(s, str_z(bucket));
    s->trash_days = 0;
    if (meta_format(str_z(rig.url), s, false, &error) < 0)
        fail_msg("%s", error);
    open_volume();
    return 0;
}

static int end(void **state)
{
    (void)state;
    vfs_close_volume(volume);
    assert_true(tmpdir_remove(rig.dir));
    return 0;
}

static int lookup(const char *path)
{
    struct vfs_attr attr;
    return vfs_lookup(root, str_z(path), NULL, &attr);
}

static int64_t count_nodes(void)
{
    return meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_node");
}

static void lies_apart(void **state)
{
    (void)state;
    assert_int_equal(vfs_mkdir(root, STR("b/.sluice/uploads/1"), NULL, 0), 0);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_edge WHERE name = CAST('.sluice' AS BLOB)"), 1);
    assert_int_equal(meta_rig_number(&rig, "SELECT mode FROM jfs_node JOIN jfs_edge USING (inode) WHERE name = "
                                           "CAST('.sluice' AS BLOB)"),
                     0700);
    assert_int_equal(lookup("b/.sluice/uploads/1"), 0);
    assert_int_equal(lookup("b/.sluice/uploads/2"), -ENOENT);
    assert_int_equal(lookup("absent/.sluice/uploads"), -ENOENT);
    struct vfs_scan *s = NULL;
    struct vfs_dirent e;
    assert_int_equal(vfs_scan_open(root, STR(""), NULL, STR(""), &s), 0);
    assert_int_equal(vfs_scan_next(s, &e), 1);
    assert_true(str_is(e.name, "b"));
    assert_int_equal(vfs_scan_next(s, &e), 0);
    vfs_scan_close(s);
}

static void follows_its_directory(void **state)
{
    (void)state;
    assert_int_equal(vfs_mkdir(root, STR("b/.sluice/config"), NULL, 0), 0);
    assert_int_equal(vfs_rename(root, STR("b"), STR("c"), NULL, 0), 0);
    assert_int_equal(lookup("c/.sluice/config"), 0);
    assert_int_equal(vfs_mkdir(root, STR("b"), NULL, 0), 0);
    assert_int_equal(lookup("b/.sluice/config"), -ENOENT);
    assert_int_equal(vfs_rename(root, STR("c/.sluice"), STR(".sluice/deleted.1"), NULL, VFS_RENAME_NOREPLACE), 0);
    assert_int_equal(lookup("c/.sluice"), -ENOENT);
    assert_int_equal(lookup(".sluice/deleted.1/config"), 0);
}

static void idle_state_goes_with_its_directory(void **state)
{
    (void)state;
    int64_t before = count_nodes();
    assert_int_equal(vfs_mkdir(root, STR("b/.sluice/uploads"), NULL, 0), 0);
    assert_int_equal(vfs_rmdir(root, STR("b"), NULL), 0);
    assert_int_equal(count_nodes(), before + 2); /* .sys/.sluice */
}

/* Another client removed the bucket: the next start finds what it left. */
static void state_of_nothing_is_swept(void **state)
{
    (void)state;
    assert_int_equal(vfs_mkdir(root, STR("b/.sluice/uploads/1"), NULL, 0), 0);
    assert_int_equal(vfs_mkdir(root, STR("kept/.sluice/uploads/1"), NULL, 0), 0);
    struct vfs_file *f = NULL;
    unsigned flags = VFS_OPEN_READ | VFS_OPEN_WRITE | VFS_OPEN_CREATE;
    assert_int_equal(vfs_open(root, STR("b/.sluice/uploads/1/data"), NULL, flags, &f, NULL), 0);
    assert_int_equal(vfs_write(f, STR("bytes"), 0), 0);
    assert_int_equal(vfs_sync(f), 0);
    vfs_close(f);
    int64_t nodes = count_nodes();
    /* As official clients do it: the directory's own names and node. */
    free(meta_rig_sql(&rig, "DELETE FROM jfs_node WHERE inode = (SELECT inode FROM jfs_edge WHERE name = CAST('b' AS BLOB))"));
    free(meta_rig_sql(&rig, "DELETE FROM jfs_edge WHERE name = CAST('b' AS BLOB)"));
    vfs_close_volume(volume);
    open_volume();
    assert_int_equal(count_nodes(), nodes - 1 - 4); /* INODE, uploads, 1, data */
    assert_int_equal(lookup("kept/.sluice/uploads/1"), 0);
}

/* The rows of a gateway that was killed stay until its session ends: they are in nobody's way. */
static void locks_keep_no_directory_on_the_way(void **state)
{
    (void)state;
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    assert_int_equal(vfs_mkdir(root, STR("b/on/the/way"), NULL, VFS_MKDIR_IMPLICIT), 0);
    assert_int_equal(vfs_open(root, STR("b/on/the"), NULL, VFS_OPEN_DIRECTORY, &f, NULL), 0);
    assert_int_equal(vfs_lock(f, true), 0);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_flock"), 1);
    vfs_prune(root, STR("b/on/the/way"), NULL);
    assert_int_equal(lookup("b"), -ENOENT);
}

static void is_private_from_the_start(void **state)
{
    static const char *const made[] = {"b/.sluice", "c/.sluice/uploads/1"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
        struct vfs_attr attr;
        assert_int_equal(vfs_mkdir(root, str_z(made[i]), NULL, 0), 0);
        assert_int_equal(vfs_lookup(root, str_first(str_z(made[i]), sizeof("b/.sluice") - 1), NULL, &attr), 0);
        assert_int_equal(attr.mode, 0700);
        assert_true(vfs_is_own(volume, &attr));
    }
}

static void write_through(struct vfs *v, const char *path, const char *text)
{
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    assert_int_equal(vfs_open(vfs_root(v), str_z(path), NULL, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &f, NULL), 0);
    assert_int_equal(vfs_write(f, str_z(text), 0), 0);
    assert_int_equal(vfs_sync(f), 0);
}

/* Bytes of before are not told as those of now: their time, and with it the ETag, is that of now. */
static void quick_answers_have_the_bytes_of_their_time(void **state)
{
    (void)state;
    struct vfs *other = NULL;
    const struct vfs_options options = {.sync = VFS_SYNC_NONE};
    const char *error = "";
    char text[8] = "";
    assert_int_equal(vfs_open_volume(rig.url, &options, &other, &error), 0);
    assert_int_equal(vfs_mkdir(root, STR("b"), NULL, 0), 0);
    write_through(other, "b/f", "before");
    write_through(other, "b/g", "");
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    assert_int_equal(vfs_open(root, STR("b/f"), NULL, VFS_OPEN_READ, &f, NULL), 0);
    assert_int_equal(vfs_read(f, text, sizeof(text), 0), 6);
    write_through(other, "b/f", "behind");
    /* What looks for the name, opens nothing and changes nothing. */
    CLEANUP(vfs_dir_closep) struct vfs_dir *d = NULL, *quick = NULL;
    assert_int_equal(vfs_dir_open(root, STR("b"), NULL, &d), 0);
    assert_int_equal(vfs_rename(root, STR("b/f"), STR("b/g"), NULL, VFS_RENAME_NOREPLACE), -EEXIST);
    CLEANUP(vfs_closep) struct vfs_file *now = NULL;
    int r = vfs_dir_open_nowait(root, STR("b"), &quick);
    if (r == 0)
        r = vfs_open(quick, STR("f"), NULL, VFS_OPEN_READ, &now, NULL);
    if (r == 0)
        r = (int)vfs_read_nowait(now, text, sizeof(text), 0);
    assert_true(r == -EAGAIN || (r == 6 && memcmp(text, "behind", 6) == 0));
    vfs_close_volume(other);
}

/* Attributes go with the last name: that it has none says nothing about a file found before. */
static void quick_answers_take_no_loss_for_absence(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf value = buf_make(16);
    CLEANUP(vfs_closep) struct vfs_file *slow = NULL, *quick = NULL;
    CLEANUP(vfs_dir_closep) struct vfs_dir *d = NULL, *quick_dir = NULL;
    assert_int_equal(vfs_mkdir(root, STR("b"), NULL, 0), 0);
    write_through(volume, "b/f", "text");
    for (int i = 0; i < 20 && !quick; i++) {
        vfs_closep(&slow);
        vfs_dir_closep(&d);
        vfs_dir_closep(&quick_dir);
        assert_int_equal(vfs_dir_open(root, STR("b"), NULL, &d), 0);
        assert_int_equal(vfs_open(root, STR("b/f"), NULL, VFS_OPEN_READ, &slow, NULL), 0);
        int r = vfs_dir_open_nowait(root, STR("b"), &quick_dir);
        if (r == 0)
            r = vfs_open(quick_dir, STR("f"), NULL, VFS_OPEN_READ, &quick, NULL);
        assert_true(r == 0 || r == -EAGAIN);
    }
    assert_non_null(quick);
    assert_int_equal(vfs_unlink(root, STR("b/f"), NULL, NULL), 0);
    assert_int_equal(vfs_xattr_get(slow, "user.test", &value), -ESTALE);
    assert_int_equal(vfs_xattr_get(quick, "user.test", &value), -EAGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lies_apart, begin, end),
        cmocka_unit_test_setup_teardown(follows_its_directory, begin, end),
        cmocka_unit_test_setup_teardown(idle_state_goes_with_its_directory, begin, end),
        cmocka_unit_test_setup_teardown(state_of_nothing_is_swept, begin, end),
        cmocka_unit_test_setup_teardown(is_private_from_the_start, begin, end),
        cmocka_unit_test_setup_teardown(locks_keep_no_directory_on_the_way, begin, end),
        cmocka_unit_test_setup_teardown(quick_answers_have_the_bytes_of_their_time, begin, end),
        cmocka_unit_test_setup_teardown(quick_answers_take_no_loss_for_absence, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
