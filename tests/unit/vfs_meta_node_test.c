/* What JuiceFS metadata means for nodes and names (vfs/meta/meta.h), over SQLite. */
#include <errno.h>
#include <sys/stat.h>

#include "base/check.h"
#include "tests/support/meta_rig.h"
#include "tests/support/unit.h"

static struct meta_rig rig;
static struct meta *m;

static const struct meta_ctx alice = {.uid = 1000, .gid = 1000, .check_permission = true};
static const struct meta_ctx bob = {.uid = 2000, .gid = 2000, .check_permission = true};

static int set_up(void **state)
{
    (void)state;
    meta_rig_open(&rig);
    m = rig.m;
    return 0;
}

/* Whatever a test did, the volume holds together. */
static int tear_down(void **state)
{
    (void)state;
    meta_rig_check(&rig);
    meta_rig_close(&rig);
    return 0;
}

static meta_ino dir_at(meta_ino parent, const char *name)
{
    meta_ino ino;
    assert_int_equal(meta_mkdir(m, NULL, parent, str_z(name), 0777, 0, &ino, NULL), 0);
    return ino;
}

static meta_ino file_at(meta_ino parent, const char *name)
{
    const struct meta_new what = {.type = META_FILE, .mode = 0644};
    meta_ino ino;
    assert_int_equal(meta_mknod(m, NULL, parent, str_z(name), &what, &ino, NULL), 0);
    return ino;
}

static struct meta_attr attr_of(meta_ino ino)
{
    struct meta_attr attr;
    assert_int_equal(meta_getattr(m, ino, &attr), 0);
    return attr;
}

/* 0: there is none. */
static meta_ino at(meta_ino parent, const char *name)
{
    meta_ino ino;
    struct meta_attr attr;
    int rc = meta_lookup(m, NULL, parent, str_z(name), &ino, &attr);
    if (rc == -ENOENT)
        return 0;
    assert_int_equal(rc, 0);
    return ino;
}

static void set_trash(uint32_t days)
{
    struct meta_features f = meta_features(m);
    f.trash_days = days;
    meta_set_features(m, &f);
}

static void set_mode(meta_ino ino, uint16_t mode, uint32_t uid, uint32_t gid)
{
    const struct meta_attr in = {.mode = mode, .uid = uid, .gid = gid};
    assert_int_equal(meta_setattr(m, NULL, ino, META_SET_UID | META_SET_GID, &in, NULL), 0);
    assert_int_equal(meta_setattr(m, NULL, ino, META_SET_MODE, &in, NULL), 0);
}

static void set_flags(meta_ino ino, uint8_t flags)
{
    const struct meta_attr in = {.flags = flags};
    assert_int_equal(meta_setattr(m, NULL, ino, META_SET_FLAGS, &in, NULL), 0);
}

static void assert_unlink(meta_ino parent, const char *name)
{
    assert_int_equal(meta_unlink(m, NULL, parent, str_z(name), 0, NULL), 0);
}

static int rename_to(meta_ino src, const char *name, meta_ino dst, const char *new_name, unsigned flags)
{
    return meta_rename(m, NULL, src, str_z(name), dst, str_z(new_name), flags, NULL, NULL);
}

/* Looking */

static void test_lookup(void **state)
{
    (void)state;
    const meta_ino a = dir_at(META_ROOT, "a"), b = dir_at(a, "b"), f = file_at(b, "f");
    meta_ino ino;
    struct meta_attr attr;
    assert_int_equal(at(a, "."), a);
    assert_int_equal(at(a, ".."), META_ROOT);
    assert_int_equal(at(b, ".."), a);
    assert_int_equal(at(META_ROOT, ".."), META_ROOT);
    assert_true(at(META_ROOT, ".trash") == META_TRASH);
    assert_int_equal(at(a, ".trash"), 0);
    assert_int_equal(at(b, "f"), f);
    assert_int_equal(meta_lookup(m, NULL, f, STR("x"), &ino, &attr), -ENOTDIR);
    assert_int_equal(meta_resolve(m, NULL, META_ROOT, STR("a/b/f"), &ino, &attr), 0);
    assert_int_equal(ino, f);
    assert_int_equal(meta_resolve(m, NULL, a, STR(""), &ino, &attr), 0);
    assert_int_equal(ino, a);
    assert_int_equal(meta_resolve(m, NULL, META_ROOT, STR("a/x/f"), &ino, &attr), -ENOENT);
    assert_int_equal(meta_resolve(m, NULL, META_ROOT, STR("a/b/f/g"), &ino, &attr), -ENOTDIR);
    assert_int_equal(meta_resolve(m, NULL, META_ROOT, STR("a//b"), &ino, &attr), -EINVAL);
    set_mode(a, 0700, 1000, 1000);
    assert_int_equal(meta_resolve(m, &alice, META_ROOT, STR("a/b"), &ino, &attr), 0);
    assert_int_equal(meta_resolve(m, &bob, META_ROOT, STR("a/b"), &ino, &attr), -EACCES);
    const struct meta_ctx unchecked = {.uid = 2000, .gid = 2000};
    assert_int_equal(meta_resolve(m, &unchecked, META_ROOT, STR("a/b"), &ino, &attr), 0);
}

static void test_names(void **state)
{
    (void)state;
    static const char nul[] = "a\0b";
    char long_name[META_NAME_MAX + 2];
    memset(long_name, 'x', sizeof(long_name));
    const struct {
        struct str name;
        int error;
    } rows[] = {
        {STR(""), -EINVAL},
        {STR("."), -EINVAL},
        {STR(".."), -EINVAL},
        {STR("a/b"), -EINVAL},
        {str_of(nul, 3), -EINVAL},
        {str_of(long_name, META_NAME_MAX + 1), -ENAMETOOLONG},
        {str_of(long_name, META_NAME_MAX), 0},
        {STR(".trash"), -EPERM},
        {STR("\xff\xfe"), 0}, /* names are bytes */
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        meta_ino ino;
        assert_int_equal(meta_mkdir(m, NULL, META_ROOT, rows[i].name, 0755, 0, &ino, NULL), rows[i].error);
    }
}

struct names {
    struct buf text;
    int left; /* entries to take, then stop */
};

static int take_name(void *arg, const struct meta_entry *e)
{
    struct names *n = arg;
    buf_add(&n->text, e->name);
    if (e->attr)
        buf_addf(&n->text, ":%o", e->attr->mode);
    buf_addf(&n->text, "%s%.*s ", e->xattr.ptr ? "=" : "", STR_ARG(e->xattr));
    return --n->left == 0 ? -ECANCELED : 0;
}

static void test_readdir(void **state)
{
    (void)state;
    char memory[256];
    struct names n = {.text = buf_over(memory, sizeof(memory))};
    const meta_ino d = dir_at(META_ROOT, "d"), f = file_at(d, "b");
    (void)file_at(d, "c");
    (void)dir_at(d, "a");
    assert_int_equal(meta_xattr_set(m, f, STR("user.x"), STR("1"), 0), 0);
    assert_int_equal(meta_readdir(m, NULL, &(struct meta_edge_scan){.parent = d}, take_name, &n), 0);
    assert_str(buf_str(&n.text), "a b c ");
    buf_reset(&n.text);
    const struct meta_edge_scan plus = {
        .parent = d, .after = STR_INIT("a"), .limit = 2, .want = META_EDGE_ATTR, .xattr_name = "user.x"};
    assert_int_equal(meta_readdir(m, NULL, &plus, take_name, &n), 0);
    assert_str(buf_str(&n.text), "b:644=1 c:644 ");
    n.left = 1;
    assert_int_equal(meta_readdir(m, NULL, &plus, take_name, &n), -ECANCELED);
    assert_int_equal(meta_readdir(m, NULL, &(struct meta_edge_scan){.parent = f}, take_name, &n), -ENOTDIR);
    set_mode(d, 0744, 1000, 1000);
    n.left = 0;
    buf_reset(&n.text);
    assert_int_equal(meta_readdir(m, &bob, &(struct meta_edge_scan){.parent = d}, take_name, &n), 0);
    assert_int_equal(meta_readdir(m, &bob, &plus, take_name, &n), -EACCES);
}

/* Making */

static void test_mknod(void **state)
{
    (void)state;
    const struct meta_new fifo = {.type = META_FIFO, .mode = 0666, .umask = 022, .rdev = 5};
    const struct meta_new device = {.type = META_BLOCK_DEVICE, .mode = 0600, .rdev = 0x801};
    struct meta_attr attr;
    meta_ino ino;
    const meta_ino d = dir_at(META_ROOT, "d");
    set_mode(d, 0777, 1000, 1000);
    assert_int_equal(meta_mknod(m, &bob, d, STR("p"), &fifo, &ino, &attr), 0);
    assert_int_equal(attr.mode, 0644);
    assert_int_equal(attr.uid, 2000);
    assert_int_equal(attr.gid, 2000);
    assert_int_equal(attr.rdev, 0);
    assert_int_equal(attr.nlink, 1);
    assert_int_equal(attr.parent, d);
    const struct meta_attr read = attr_of(ino);
    assert_memory_equal(&read.ctime, &attr.ctime, sizeof(attr.ctime));
    assert_int_equal(meta_mknod(m, NULL, d, STR("b"), &device, &ino, &attr), 0);
    assert_int_equal(attr.rdev, 0x801);
    meta_ino other = 0;
    assert_int_equal(meta_mknod(m, NULL, d, STR("b"), &fifo, &other, &attr), -EEXIST);
    assert_int_equal(other, ino);
    assert_int_equal(attr.type, META_BLOCK_DEVICE);
    assert_int_equal(meta_mknod(m, NULL, 4711, STR("b"), &fifo, &ino, &attr), -ENOENT);
    assert_int_equal(meta_mknod(m, NULL, other, STR("b"), &fifo, &ino, &attr), -ENOTDIR);
    assert_int_equal(meta_mknod(m, NULL, META_TRASH, STR("b"), &fifo, &ino, &attr), -EPERM);
    assert_int_equal(meta_mknod(m, NULL, d, STR("c"), &(struct meta_new){.type = 8}, &ino, &attr), -EINVAL);
    set_mode(d, 0755, 1000, 1000);
    assert_int_equal(meta_mknod(m, &bob, d, STR("c"), &fifo, &ino, &attr), -EACCES);
    set_flags(d, META_FLAG_IMMUTABLE);
    assert_int_equal(meta_mknod(m, NULL, d, STR("c"), &fifo, &ino, &attr), -EPERM);
}

static void test_mkdir_counts(void **state)
{
    (void)state;
    const meta_ino a = dir_at(META_ROOT, "a"), b = dir_at(a, "b");
    assert_int_equal(attr_of(META_ROOT).nlink, 3);
    assert_int_equal(attr_of(a).nlink, 3);
    assert_int_equal(attr_of(b).nlink, 2);
    assert_int_equal(attr_of(b).length, 4096);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_dir_stats"), 2);
    const struct timespec before = attr_of(b).mtime;
    (void)file_at(b, "f");
    assert_false(meta_time_eq(before, attr_of(b).mtime)); /* no skipping in the rig */
}

static void test_set_gid_directory(void **state)
{
    (void)state;
    const struct meta_new file = {.type = META_FILE, .mode = 02775};
    struct meta_attr attr;
    meta_ino ino;
    const meta_ino d = dir_at(META_ROOT, "d");
    set_mode(d, 02777, 1000, 77);
    assert_int_equal(meta_mkdir(m, &bob, d, STR("sub"), 0755, 0, &ino, &attr), 0);
    assert_int_equal(attr.gid, 77);
    assert_int_equal(attr.mode, 02755);
    assert_int_equal(meta_mknod(m, &bob, d, STR("f"), &file, &ino, &attr), 0);
    assert_int_equal(attr.gid, 77);
    assert_int_equal(attr.mode, 0775);
    const uint32_t groups[] = {77};
    const struct meta_ctx member = {.uid = 2000, .gid = 2000, .groups = groups, .group_count = 1};
    assert_int_equal(meta_mknod(m, &member, d, STR("g"), &file, &ino, &attr), 0);
    assert_int_equal(attr.mode, 02775);
}

static void test_symlink(void **state)
{
    (void)state;
    char target[META_SYMLINK_MAX + 1];
    memset(target, 't', sizeof(target));
    struct buf out = buf_make(8192);
    struct meta_attr attr;
    meta_ino ino;
    assert_int_equal(meta_symlink(m, NULL, META_ROOT, STR("l"), str_of(target, META_SYMLINK_MAX), &ino, &attr), 0);
    assert_int_equal(attr.length, META_SYMLINK_MAX);
    assert_int_equal(attr.mode, 0777);
    assert_int_equal(meta_readlink(m, ino, &out), 0);
    assert_int_equal(out.len, META_SYMLINK_MAX);
    assert_int_equal(meta_readlink(m, META_ROOT, &out), -EINVAL);
    assert_int_equal(meta_readlink(m, 4711, &out), -ENOENT);
    assert_int_equal(meta_symlink(m, NULL, META_ROOT, STR("k"), str_of(target, sizeof(target)), &ino, NULL), -ENAMETOOLONG);
    assert_int_equal(meta_symlink(m, NULL, META_ROOT, STR("k"), STR_EMPTY, &ino, NULL), -ENOENT);
    assert_unlink(META_ROOT, "l");
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_symlink"), 0);
    buf_done(&out);
}

static void test_create(void **state)
{
    (void)state;
    meta_ino ino, again;
    struct meta_attr attr;
    assert_int_equal(meta_create(m, &alice, META_ROOT, STR("f"), 0, 0, false, &ino, &attr), 0); /* open in spite of its mode */
    assert_true(meta_is_open(m, ino));
    meta_node_close(m, ino);
    assert_false(meta_is_open(m, ino));
    assert_int_equal(meta_create(m, &alice, META_ROOT, STR("f"), 0644, 0, true, &again, &attr), -EEXIST);
    assert_int_equal(meta_create(m, &alice, META_ROOT, STR("f"), 0644, 0, false, &again, &attr), -EACCES);
    assert_int_equal(meta_create(m, NULL, META_ROOT, STR("f"), 0644, 0, false, &again, &attr), 0);
    assert_int_equal(again, ino);
    meta_node_close(m, ino);
    (void)dir_at(META_ROOT, "d");
    assert_int_equal(meta_create(m, NULL, META_ROOT, STR("d"), 0644, 0, false, &again, &attr), -EEXIST);
}

static void test_link(void **state)
{
    (void)state;
    const meta_ino d = dir_at(META_ROOT, "d"), f = file_at(META_ROOT, "f");
    struct meta_attr attr;
    assert_int_equal(meta_link(m, NULL, f, d, STR("g"), &attr), 0);
    assert_int_equal(attr.nlink, 2);
    assert_int_equal(attr.parent, 0);
    assert_int_equal(meta_link(m, NULL, f, d, STR("g"), NULL), -EEXIST);
    assert_int_equal(meta_link(m, NULL, d, META_ROOT, STR("h"), NULL), -EPERM);
    assert_int_equal(meta_link(m, NULL, 4711, META_ROOT, STR("h"), NULL), -ENOENT);
    assert_int_equal(meta_link(m, NULL, f, META_ROOT, STR(".trash"), NULL), -EPERM);
    assert_unlink(META_ROOT, "f");
    assert_int_equal(attr_of(f).nlink, 1);
    assert_int_equal(attr_of(f).parent, 0); /* for ever */
    set_flags(f, META_FLAG_APPEND);
    assert_int_equal(meta_link(m, NULL, f, META_ROOT, STR("h"), NULL), -EPERM);
    set_flags(f, 0);
}

/* Removing */

static void test_unlink(void **state)
{
    (void)state;
    const meta_ino f = file_at(META_ROOT, "f");
    assert_int_equal(meta_xattr_set(m, f, STR("user.x"), STR("1"), 0), 0);
    assert_unlink(META_ROOT, "f");
    assert_int_equal(at(META_ROOT, "f"), 0);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_node WHERE inode > 1 AND type <> 2"), 0);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_xattr"), 0);
    assert_int_equal(meta_unlink(m, NULL, META_ROOT, STR("f"), 0, NULL), -ENOENT);
    (void)dir_at(META_ROOT, "d");
    assert_int_equal(meta_unlink(m, NULL, META_ROOT, STR("d"), 0, NULL), -EISDIR);
    assert_int_equal(meta_unlink(m, NULL, META_ROOT, STR(".trash"), 0, NULL), -EPERM);
}

static void test_unlink_refused(void **state)
{
    (void)state;
    const meta_ino d = dir_at(META_ROOT, "d"), f = file_at(d, "f");
    set_mode(d, 01777, 1000, 1000);
    assert_int_equal(meta_unlink(m, &bob, d, STR("f"), 0, NULL), -EACCES); /* sticky: neither's owner */
    set_mode(d, 0777, 1000, 1000);
    set_flags(f, META_FLAG_IMMUTABLE);
    assert_int_equal(meta_unlink(m, NULL, d, STR("f"), 0, NULL), -EPERM);
    set_flags(f, 0);
    set_flags(d, META_FLAG_APPEND);
    assert_int_equal(meta_unlink(m, NULL, d, STR("f"), 0, NULL), -EPERM);
    set_flags(d, 0);
    struct meta_attr attr = attr_of(f);
    struct meta_version v = {f, attr.length + 1, attr.mtime};
    assert_int_equal(meta_unlink(m, NULL, d, STR("f"), 0, &v), -ESTALE);
    v.length--;
    assert_int_equal(meta_unlink(m, &bob, d, STR("f"), 0, &v), 0);
}

static void test_unlinked_while_open(void **state)
{
    (void)state;
    const meta_ino d = dir_at(META_ROOT, "d"), f = file_at(d, "f");
    assert_int_equal(meta_node_open(m, NULL, f, META_OPEN_READ, NULL), 0);
    assert_int_equal(meta_node_open(m, NULL, f, META_OPEN_WRITE, NULL), 0);
    assert_unlink(d, "f");
    assert_int_equal(attr_of(f).nlink, 0);
    assert_int_equal(meta_rig_number(&rig, "SELECT inode FROM jfs_sustained WHERE sid = 1"), f);
    assert_int_equal(meta_link(m, NULL, f, META_ROOT, STR("g"), NULL), -ENOENT);
    assert_int_equal(meta_truncate(m, NULL, f, 10000, false, NULL), 0);
    meta_rig_check(&rig); /* it is nothing of the directory's any more */
    meta_node_close(m, f);
    assert_int_equal(attr_of(f).nlink, 0);
    meta_node_close(m, f);
    struct meta_attr attr;
    assert_int_equal(meta_getattr(m, f, &attr), -ENOENT);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_sustained"), 0);
    assert_int_equal(meta_node_open(m, NULL, f, META_OPEN_READ, NULL), -ENOENT);
}

/* Who comes to it after its last name has gone may see it, but not end it. */
static void test_unlinked_while_open_elsewhere(void **state)
{
    (void)state;
    const meta_ino f = file_at(META_ROOT, "f");
    assert_int_equal(meta_node_open(m, NULL, f, META_OPEN_READ, NULL), 0);
    assert_unlink(META_ROOT, "f");
    free(meta_rig_sql(&rig, "UPDATE jfs_sustained SET sid = 2"));
    meta_node_close(m, f);
    assert_int_equal(attr_of(f).nlink, 0);
    assert_int_equal(meta_node_open(m, NULL, f, META_OPEN_READ, NULL), 0);
    meta_node_close(m, f);
    assert_int_equal(attr_of(f).nlink, 0);
    assert_int_equal(meta_delete_sustained(m, 2, f), 0);
    struct meta_attr attr;
    assert_int_equal(meta_getattr(m, f, &attr), -ENOENT);
}

static void test_rmdir(void **state)
{
    (void)state;
    const meta_ino d = dir_at(META_ROOT, "d");
    (void)file_at(d, "f");
    assert_int_equal(meta_rmdir(m, NULL, META_ROOT, STR("d"), 0), -ENOTEMPTY);
    assert_int_equal(meta_rmdir(m, NULL, d, STR("f"), 0), -ENOTDIR);
    assert_unlink(d, "f");
    assert_int_equal(meta_rmdir(m, NULL, META_ROOT, STR("d"), 0), 0);
    assert_int_equal(attr_of(META_ROOT).nlink, 2);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_dir_stats"), 0);
    assert_int_equal(meta_rmdir(m, NULL, META_ROOT, STR("d"), 0), -ENOENT);
    assert_int_equal(meta_rmdir(m, NULL, META_TRASH, STR("2026-01-01-00"), 0), -EPERM);
}

static bool is_grey(const struct meta_attr *attr, struct str value)
{
    return attr->mode == 0750 && str_is(value, "grey");
}

static void test_rmdir_if(void **state)
{
    (void)state;
    static const struct meta_condition grey = {STR_INIT("user.colour"), is_grey};
    const meta_ino d = dir_at(META_ROOT, "d");
    assert_int_equal(meta_setattr(m, NULL, d, META_SET_MODE, &(struct meta_attr){.mode = 0750}, NULL), 0);
    assert_int_equal(meta_rmdir_if(m, NULL, META_ROOT, STR("d"), 0, &grey), -EBUSY);
    assert_int_equal(meta_xattr_set(m, d, STR("user.colour"), STR("grey"), 0), 0);
    assert_int_equal(meta_setattr(m, NULL, d, META_SET_MODE, &(struct meta_attr){.mode = 0700}, NULL), 0);
    assert_int_equal(meta_rmdir_if(m, NULL, META_ROOT, STR("d"), 0, &grey), -EBUSY);
    assert_int_equal(meta_setattr(m, NULL, d, META_SET_MODE, &(struct meta_attr){.mode = 0750}, NULL), 0);
    (void)file_at(d, "f");
    assert_int_equal(meta_rmdir_if(m, NULL, META_ROOT, STR("d"), 0, &grey), -ENOTEMPTY);
    assert_unlink(d, "f");
    assert_int_equal(meta_rmdir_if(m, NULL, META_ROOT, STR("d"), 0, &grey), 0);
    assert_int_equal(meta_rmdir_if(m, NULL, META_ROOT, STR("d"), 0, &grey), -ENOENT);
}

/* Trash */

static meta_ino hour(void)
{
    return (meta_ino)meta_rig_number(&rig, "SELECT inode FROM jfs_node WHERE inode > 9223372032828243968");
}

static void test_trash(void **state)
{
    (void)state;
    set_trash(1);
    const meta_ino d = dir_at(META_ROOT, "d"), f = file_at(d, "f");
    char name[64];
    assert_unlink(d, "f");
    (void)snprintf(name, sizeof(name), "%d-%d-f", (int)d, (int)f);
    assert_true(hour() == META_TRASH + 1);
    assert_int_equal(at(hour(), name), f);
    assert_int_equal(attr_of(f).nlink, 1);
    assert_true(attr_of(f).parent == hour());
    assert_int_equal(attr_of(hour()).mode, 0555);
    assert_int_equal(meta_rmdir(m, NULL, META_ROOT, STR("d"), 0), 0);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_edge WHERE parent > 9223372032828243968"), 2);
    /* What is in there is left alone, but for taking it out and for its end. */
    assert_int_equal(meta_node_open(m, NULL, f, META_OPEN_WRITE, NULL), -EPERM);
    assert_int_equal(meta_setattr(m, NULL, f, META_SET_MODE, &(struct meta_attr){.mode = 0}, NULL), -EPERM);
    assert_int_equal(meta_link(m, NULL, f, hour(), STR("x"), NULL), -EPERM);
    assert_int_equal(meta_unlink(m, &alice, hour(), str_z(name), 0, NULL), -EPERM);
    assert_int_equal(meta_rename(m, &alice, hour(), str_z(name), META_ROOT, STR("x"), 0, NULL, NULL), -EPERM);
    assert_int_equal(rename_to(META_ROOT, "d", hour(), "d", 0), -EPERM);
    assert_int_equal(rename_to(hour(), name, META_ROOT, "back", META_RENAME_NOREPLACE | META_RENAME_RESTORE), 0);
    assert_int_equal(attr_of(f).parent, META_ROOT);
    assert_unlink(META_ROOT, "back");
    (void)snprintf(name, sizeof(name), "1-%d-back", (int)f);
    assert_unlink(hour(), name);
    struct meta_attr attr;
    assert_int_equal(meta_getattr(m, f, &attr), -ENOENT);
    assert_true(hour() == META_TRASH + 1); /* one an hour (unless the hour just ended) */
    (void)file_at(META_ROOT, "g");
    assert_int_equal(meta_unlink(m, NULL, META_ROOT, STR("g"), META_SKIP_TRASH, NULL), 0);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_edge WHERE name LIKE '%-g'"), 0);
}

static void test_trash_of_hard_links(void **state)
{
    (void)state;
    set_trash(1);
    const meta_ino f = file_at(META_ROOT, "f");
    assert_int_equal(meta_link(m, NULL, f, META_ROOT, STR("g"), NULL), 0);
    assert_unlink(META_ROOT, "f");
    assert_int_equal(attr_of(f).nlink, 2);
    assert_int_equal(attr_of(f).parent, 0);
    assert_int_equal(meta_link(m, NULL, f, META_ROOT, STR("f"), NULL), 0);
    assert_unlink(META_ROOT, "f"); /* the trash has this very name of it already */
    assert_int_equal(attr_of(f).nlink, 2);
    assert_unlink(META_ROOT, "g");
    assert_int_equal(attr_of(f).nlink, 2);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_edge WHERE parent > 9223372032828243968"), 2);
}

static void test_trash_name_is_cut(void **state)
{
    (void)state;
    char name[META_NAME_MAX + 1], out[META_NAME_MAX + 1];
    memset(name, 'n', sizeof(name));
    const struct str cut = meta_trash_name(out, 12, 345, str_of(name, META_NAME_MAX));
    assert_int_equal(cut.len, META_NAME_MAX);
    assert_memory_equal(cut.ptr, "12-345-nnn", 10);
}

static void test_skip_trash_flag(void **state)
{
    (void)state;
    set_trash(1);
    const meta_ino d = dir_at(META_ROOT, "d");
    set_flags(d, META_FLAG_SKIP_TRASH);
    const meta_ino f = file_at(d, "f");
    assert_int_equal(attr_of(f).flags, META_FLAG_SKIP_TRASH);
    assert_unlink(d, "f");
    struct meta_attr attr;
    assert_int_equal(meta_getattr(m, f, &attr), -ENOENT);
}

/* Renaming */

static void test_rename(void **state)
{
    (void)state;
    const meta_ino a = dir_at(META_ROOT, "a"), b = dir_at(META_ROOT, "b"), f = file_at(a, "f"), s = dir_at(a, "s");
    assert_int_equal(rename_to(a, "f", b, "g", 0), 0);
    assert_int_equal(at(b, "g"), f);
    assert_int_equal(at(a, "f"), 0);
    assert_int_equal(attr_of(f).parent, b);
    assert_int_equal(rename_to(a, "s", b, "s", 0), 0);
    assert_int_equal(attr_of(s).parent, b);
    assert_int_equal(attr_of(a).nlink, 2);
    assert_int_equal(attr_of(b).nlink, 3);
    assert_int_equal(rename_to(b, "s", b, "s", 0), 0);
    assert_int_equal(rename_to(b, "none", b, "s", 0), -ENOENT);
    assert_int_equal(rename_to(b, "g", b, "s", 0), -EISDIR);
    assert_int_equal(rename_to(b, "s", b, "g", 0), -ENOTDIR);
    assert_int_equal(rename_to(b, "s", b, "g", META_RENAME_NOREPLACE), -EEXIST);
    assert_int_equal(rename_to(b, "s", b, "t", META_RENAME_NOREPLACE), 0);
    assert_int_equal(rename_to(b, "t", b, "none", META_RENAME_EXCHANGE), -ENOENT);
    assert_int_equal(rename_to(b, "t", b, "x", 4), -ENOTSUP);
    assert_int_equal(rename_to(b, "t", b, "x", 3), -EINVAL);
    assert_int_equal(rename_to(b, "t", META_ROOT, ".trash", 0), -EPERM);
}

static void test_rename_over(void **state)
{
    (void)state;
    const meta_ino a = dir_at(META_ROOT, "a"), b = dir_at(META_ROOT, "b"), f = file_at(a, "f");
    (void)file_at(b, "f");
    assert_int_equal(rename_to(a, "f", b, "f", 0), 0);
    assert_int_equal(at(b, "f"), f);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_node WHERE type = 1"), 1);
    assert_int_equal(rename_to(META_ROOT, "a", META_ROOT, "b", 0), -ENOTEMPTY);
    assert_int_equal(rename_to(META_ROOT, "b", META_ROOT, "a", 0), 0);
    assert_int_equal(at(META_ROOT, "a"), b);
    assert_int_equal(attr_of(META_ROOT).nlink, 3);
    struct meta_attr attr;
    assert_int_equal(meta_getattr(m, a, &attr), -ENOENT);
    /* Two names of one file: nothing happens. */
    assert_int_equal(meta_link(m, NULL, f, META_ROOT, STR("g"), NULL), 0);
    assert_int_equal(rename_to(META_ROOT, "g", b, "f", 0), 0);
    assert_int_equal(at(META_ROOT, "g"), f);
    /* What is replaced goes where unlinked things go. */
    set_trash(1);
    const meta_ino h = file_at(META_ROOT, "h"), i = file_at(META_ROOT, "i");
    assert_int_equal(rename_to(META_ROOT, "h", META_ROOT, "i", 0), 0);
    assert_int_equal(at(META_ROOT, "i"), h);
    assert_true(attr_of(i).parent == hour());
    set_trash(0);
    const meta_ino j = file_at(META_ROOT, "j");
    assert_int_equal(meta_node_open(m, NULL, h, META_OPEN_READ, NULL), 0);
    assert_int_equal(rename_to(META_ROOT, "j", META_ROOT, "i", 0), 0);
    assert_int_equal(at(META_ROOT, "i"), j);
    assert_int_equal(attr_of(h).nlink, 0);
    meta_node_close(m, h);
}

static void test_rename_exchange(void **state)
{
    (void)state;
    const meta_ino a = dir_at(META_ROOT, "a"), b = dir_at(META_ROOT, "b"), f = file_at(a, "f"), d = dir_at(b, "d");
    assert_int_equal(rename_to(a, "f", b, "d", META_RENAME_EXCHANGE), 0);
    assert_int_equal(at(a, "f"), d);
    assert_int_equal(at(b, "d"), f);
    assert_int_equal(attr_of(a).nlink, 3);
    assert_int_equal(attr_of(b).nlink, 2);
    assert_int_equal(attr_of(d).parent, a);
    assert_int_equal(attr_of(f).parent, b);
    assert_int_equal(rename_to(META_ROOT, "a", META_ROOT, "b", META_RENAME_EXCHANGE), 0);
    assert_int_equal(at(META_ROOT, "a"), b);
    /* Either way round, no directory gets below itself. */
    assert_int_equal(rename_to(META_ROOT, "b", a, "f", META_RENAME_EXCHANGE), -EINVAL);
    assert_int_equal(rename_to(a, "f", META_ROOT, "b", META_RENAME_EXCHANGE), -EINVAL);
}

static void test_rename_below_itself(void **state)
{
    (void)state;
    const meta_ino a = dir_at(META_ROOT, "a"), b = dir_at(a, "b"), c = dir_at(b, "c");
    assert_int_equal(rename_to(META_ROOT, "a", a, "x", 0), -EINVAL);
    assert_int_equal(rename_to(META_ROOT, "a", b, "x", 0), -EINVAL);
    assert_int_equal(rename_to(META_ROOT, "a", c, "x", 0), -EINVAL);
    assert_int_equal(rename_to(a, "b", META_ROOT, "b", 0), 0);
}

static void test_rename_permissions(void **state)
{
    (void)state;
    const meta_ino a = dir_at(META_ROOT, "a"), b = dir_at(META_ROOT, "b"), f = file_at(a, "f");
    set_mode(a, 01777, 1000, 1000);
    set_mode(b, 0777, 1000, 1000);
    assert_int_equal(meta_rename(m, &bob, a, STR("f"), b, STR("f"), 0, NULL, NULL), -EACCES);
    set_mode(f, 0644, 2000, 2000);
    assert_int_equal(meta_rename(m, &bob, a, STR("f"), b, STR("f"), 0, NULL, NULL), 0);
    set_mode(b, 0755, 1000, 1000);
    assert_int_equal(meta_rename(m, &bob, b, STR("f"), b, STR("g"), 0, NULL, NULL), -EACCES);
    set_flags(f, META_FLAG_IMMUTABLE);
    assert_int_equal(rename_to(b, "f", b, "g", 0), -EPERM);
    set_flags(f, 0);
    set_flags(b, META_FLAG_IMMUTABLE);
    assert_int_equal(rename_to(b, "f", b, "g", 0), -EPERM);
    set_flags(b, 0);
}

/* Attributes */

static void test_setattr(void **state)
{
    (void)state;
    const meta_ino f = file_at(META_ROOT, "f");
    set_mode(f, 06755, 1000, 1000);
    struct meta_attr in = {.uid = 2000, .gid = 2000, .mode = 0777, .mtime = {5, 6}};
    struct meta_attr out = {0};
    assert_int_equal(meta_setattr(m, &bob, f, META_SET_MODE, &in, NULL), -EPERM);
    assert_int_equal(meta_setattr(m, &alice, f, META_SET_UID, &in, NULL), -EPERM);
    assert_int_equal(meta_setattr(m, &alice, f, META_SET_GID, &in, NULL), -EPERM); /* not a member */
    assert_int_equal(meta_setattr(m, &bob, f, META_SET_MTIME, &in, NULL), -EACCES);
    assert_int_equal(meta_setattr(m, &bob, f, META_SET_MTIME_NOW, &in, NULL), -EACCES);
    assert_int_equal(attr_of(f).mode, 06755);
    const struct timespec ctime = attr_of(f).ctime;
    assert_int_equal(meta_setattr(m, &alice, f, META_SET_MTIME, &in, &out), 0);
    assert_true(meta_time_eq(out.mtime, in.mtime));
    assert_false(meta_time_eq(out.ctime, ctime));
    const struct timespec unchanged = out.ctime;
    assert_int_equal(meta_setattr(m, &alice, f, META_SET_MTIME, &in, &out), 0);
    assert_true(meta_time_eq(out.ctime, unchanged)); /* nothing to do, nothing done */
    assert_int_equal(meta_setattr(m, NULL, f, META_SET_UID | META_SET_GID, &in, &out), 0);
    assert_int_equal(out.mode, 0755); /* set-id bits go with the owner */
    assert_int_equal(out.uid, 2000);
    in.mode = 02770;
    assert_int_equal(meta_setattr(m, &bob, f, META_SET_MODE, &in, &out), 0);
    assert_int_equal(out.mode, 02770);
    set_mode(f, 0777, 0, 0);
    assert_int_equal(meta_setattr(m, &bob, f, META_SET_MTIME, &(struct meta_attr){.mtime = {7, 8}}, NULL), -EPERM);
    assert_int_equal(meta_setattr(m, &bob, f, META_SET_MTIME_NOW, &in, NULL), 0);
    assert_int_equal(meta_setattr(m, NULL, 4711, META_SET_MODE, &in, NULL), -ENOENT);
    assert_int_equal(meta_setattr(m, NULL, META_TRASH, META_SET_MODE, &in, NULL), -EPERM);
}

static void test_access(void **state)
{
    (void)state;
    const meta_ino f = file_at(META_ROOT, "f");
    set_mode(f, 0640, 1000, 3000);
    const uint32_t groups[] = {5, 3000};
    const struct meta_ctx member = {.uid = 2000, .gid = 2000, .groups = groups, .group_count = 2, .check_permission = true};
    assert_int_equal(meta_access(m, &alice, f, META_ACCESS_R | META_ACCESS_W, NULL), 0);
    assert_int_equal(meta_access(m, &alice, f, META_ACCESS_X, NULL), -EACCES);
    assert_int_equal(meta_access(m, &member, f, META_ACCESS_R, NULL), 0);
    assert_int_equal(meta_access(m, &member, f, META_ACCESS_W, NULL), -EACCES);
    assert_int_equal(meta_access(m, &bob, f, META_ACCESS_R, NULL), -EACCES);
    assert_int_equal(meta_node_open(m, &member, f, META_OPEN_WRITE, NULL), -EACCES);
    assert_false(meta_is_open(m, f));
    set_flags(f, META_FLAG_APPEND);
    assert_int_equal(meta_node_open(m, NULL, f, META_OPEN_WRITE, NULL), -EPERM);
    assert_int_equal(meta_node_open(m, NULL, f, META_OPEN_WRITE | META_OPEN_APPEND, NULL), 0);
    meta_node_close(m, f);
}

static void test_xattr(void **state)
{
    (void)state;
    struct buf out = buf_make(64);
    const meta_ino f = file_at(META_ROOT, "f");
    const struct timespec ctime = attr_of(f).ctime;
    assert_int_equal(meta_xattr_get(m, f, STR("user.a"), &out), -ENODATA);
    assert_int_equal(meta_xattr_set(m, f, STR("user.a"), STR("1"), META_XATTR_REPLACE), -ENODATA);
    assert_int_equal(meta_xattr_set(m, f, STR("user.a"), STR("1"), META_XATTR_CREATE), 0);
    assert_int_equal(meta_xattr_set(m, f, STR("user.a"), STR("2"), META_XATTR_CREATE), -EEXIST);
    assert_int_equal(meta_xattr_set(m, f, STR("user.a"), STR(""), META_XATTR_REPLACE), 0);
    assert_int_equal(meta_xattr_get(m, f, STR("user.a"), &out), 0);
    assert_int_equal(out.len, 0);
    assert_int_equal(meta_xattr_remove(m, f, STR("user.a")), 0);
    assert_int_equal(meta_xattr_remove(m, f, STR("user.a")), -ENODATA);
    assert_int_equal(meta_xattr_set(m, f, STR(""), STR("1"), 0), -EINVAL);
    assert_int_equal(meta_xattr_set(m, 4711, STR("user.a"), STR("1"), 0), -ENOENT);
    assert_true(meta_time_eq(ctime, attr_of(f).ctime));
    buf_done(&out);
}

/* ACLs */

static void enable_acl(void)
{
    struct meta_features f = meta_features(m);
    f.acl = true;
    meta_set_features(m, &f);
}

static void test_acl_access(void **state)
{
    (void)state;
    enable_acl();
    const meta_ino f = file_at(META_ROOT, "f");
    set_mode(f, 0640, 1000, 1000);
    struct meta_acl_entry users[] = {{2000, 6}};
    struct meta_acl rule = {.owner = 6, .group = 4, .mask = 4, .other = 0, .users = users, .user_count = 1};
    assert_int_equal(meta_acl_set(m, &bob, f, META_ACL_ACCESS, &rule), -EPERM);
    assert_int_equal(meta_acl_set(m, &alice, f, META_ACL_ACCESS, &rule), 0);
    assert_int_equal(attr_of(f).mode, 0640);
    assert_int_equal(meta_access(m, &bob, f, META_ACCESS_R, NULL), 0);
    assert_int_equal(meta_access(m, &bob, f, META_ACCESS_W, NULL), -EACCES); /* the mask */
    assert_int_equal(meta_setattr(m, &alice, f, META_SET_MODE, &(struct meta_attr){.mode = 0660}, NULL), 0);
    assert_int_equal(meta_access(m, &bob, f, META_ACCESS_W, NULL), 0); /* chmod changes the mask */
    struct meta_acl read;
    assert_int_equal(meta_acl_get(m, f, META_ACL_ACCESS, &read), 0);
    assert_int_equal(read.mask, 6);
    assert_int_equal(read.group, 4);
    meta_acl_done(&read);
    const struct meta_acl none = {META_ACL_UNSET, META_ACL_UNSET, META_ACL_UNSET, META_ACL_UNSET, NULL, NULL, 0, 0};
    assert_int_equal(meta_acl_set(m, NULL, f, META_ACL_ACCESS, &none), 0);
    assert_int_equal(meta_acl_get(m, f, META_ACL_ACCESS, &read), -ENODATA);
    const struct meta_acl minimal = {.owner = 7, .group = 5, .mask = META_ACL_UNSET, .other = 1};
    assert_int_equal(meta_acl_set(m, NULL, f, META_ACL_ACCESS, &minimal), 0);
    assert_int_equal(attr_of(f).mode, 0751);
    assert_int_equal(attr_of(f).access_acl, 0);
}

static void test_acl_inherited(void **state)
{
    (void)state;
    enable_acl();
    const meta_ino d = dir_at(META_ROOT, "d");
    struct meta_acl_entry users[] = {{2000, 7}};
    const struct meta_acl rule = {.owner = 7, .group = 5, .mask = 7, .other = 0, .users = users, .user_count = 1};
    assert_int_equal(meta_acl_set(m, NULL, d, META_ACL_DEFAULT, &rule), 0);
    assert_int_equal(attr_of(d).mode, 0777); /* default rules do not touch the mode */
    const struct meta_new file = {.type = META_FILE, .mode = 0666, .umask = 077}; /* the umask does not count */
    struct meta_attr attr;
    meta_ino ino;
    assert_int_equal(meta_mknod(m, NULL, d, STR("f"), &file, &ino, &attr), 0);
    assert_int_equal(attr.mode, 0660);
    assert_int_not_equal(attr.access_acl, 0);
    assert_int_equal(attr.default_acl, 0);
    assert_int_equal(meta_access(m, &bob, ino, META_ACCESS_W, NULL), 0);
    assert_int_equal(meta_mkdir(m, NULL, d, STR("s"), 0755, 0, &ino, &attr), 0);
    assert_int_equal(attr.default_acl, attr_of(d).default_acl);
    assert_int_equal(attr.mode, 0750);
}

static void test_acl_xattr_form(void **state)
{
    (void)state;
    static const char value[] = "\2\0\0\0"
                                "\1\0\7\0\xff\xff\xff\xff"
                                "\2\0\6\0\xd0\7\0\0"
                                "\4\0\5\0\xff\xff\xff\xff"
                                "\x10\0\7\0\xff\xff\xff\xff"
                                "\x20\0\1\0\xff\xff\xff\xff";
    const struct str whole = str_of(value, sizeof(value) - 1);
    struct meta_acl rule;
    assert_int_equal(meta_acl_parse_xattr(whole, &rule), 0);
    assert_int_equal(rule.user_count, 1);
    assert_int_equal(rule.users[0].id, 2000);
    assert_int_equal(rule.mask, 7);
    struct buf out = buf_make(256);
    meta_acl_format_xattr(&rule, &out);
    assert_int_equal(out.len, whole.len);
    assert_memory_equal(out.ptr, value, whole.len);
    meta_acl_done(&rule);
    assert_int_equal(meta_acl_parse_xattr(str_first(whole, whole.len - 1), &rule), -EINVAL);
    assert_int_equal(meta_acl_parse_xattr(STR("\3\0\0\0"), &rule), -EINVAL);
    assert_int_equal(meta_acl_parse_xattr(STR("\2\0\0\0\1\0\7\0\0\0\0\0\1\0\7\0\0\0\0\0"), &rule), -EINVAL); /* twice */
    assert_int_equal(meta_acl_parse_xattr(STR("\2\0\0\0\3\0\7\0\0\0\0\0"), &rule), -EINVAL);
    buf_done(&out);
}

/* Drafts, staging, publishing */

static struct meta_draft draft(meta_ino parent)
{
    struct meta_draft d;
    assert_int_equal(meta_draft(m, NULL, parent, 0666, 022, &d), 0);
    assert_int_equal(d.attr.nlink, 0);
    assert_int_equal(d.attr.mode, 0644);
    return d;
}

static meta_ino stage(meta_ino parent)
{
    const struct meta_draft d = draft(parent);
    assert_int_equal(meta_stage(m, &d), 0);
    return d.ino;
}

static int publish(meta_ino ino, meta_ino parent, const char *name, enum meta_publish_mode mode,
                   const struct meta_version *version)
{
    struct meta_publish how = {.mode = mode};
    if (version)
        how.version = *version;
    return meta_publish(m, NULL, ino, parent, str_z(name), &how, NULL);
}

static void test_publish(void **state)
{
    (void)state;
    const meta_ino d = dir_at(META_ROOT, "d"), one = stage(d), two = stage(d), three = stage(d);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_sustained WHERE sid = 1"), 3);
    assert_int_equal(meta_xattr_set(m, one, STR("user.x"), STR("1"), 0), 0);
    assert_int_equal(publish(one, d, "f", META_PUBLISH_CREATE, NULL), 0);
    assert_int_equal(at(d, "f"), one);
    assert_int_equal(attr_of(one).nlink, 1);
    assert_int_equal(attr_of(one).parent, d);
    assert_int_equal(publish(one, d, "f2", META_PUBLISH_CREATE, NULL), -EINVAL); /* has a name */
    assert_int_equal(publish(two, d, "f", META_PUBLISH_CREATE, NULL), -EEXIST);
    const struct meta_attr attr = attr_of(one);
    struct meta_version v = {two, attr.length, attr.mtime};
    assert_int_equal(publish(two, d, "f", META_PUBLISH_IF_VERSION, &v), -ESTALE);
    assert_int_equal(publish(two, d, "none", META_PUBLISH_IF_VERSION, &v), -ENOENT);
    v.ino = one;
    meta_node_close(m, one);
    assert_int_equal(attr_of(one).nlink, 1); /* published: closing is no end */
    assert_int_equal(publish(two, d, "f", META_PUBLISH_IF_VERSION, &v), 0);
    meta_node_close(m, two);
    assert_int_equal(at(d, "f"), two);
    struct meta_attr gone;
    assert_int_equal(meta_getattr(m, one, &gone), -ENOENT);
    (void)dir_at(d, "s");
    assert_int_equal(publish(three, d, "s", META_PUBLISH_REPLACE, NULL), -EISDIR);
    assert_int_equal(publish(three, 4711, "s", META_PUBLISH_REPLACE, NULL), -ENOENT);
    meta_node_close(m, three); /* never published */
    assert_int_equal(meta_getattr(m, three, &gone), -ENOENT);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_sustained"), 0);
}

/* One transaction, and nothing before it. */
static void test_publish_draft(void **state)
{
    (void)state;
    const struct timespec mtime = {.tv_sec = 1000000000, .tv_nsec = 123456789};
    const struct meta_slice slice = {.id = 5, .size = 10, .len = 10}, another = {.id = 6, .size = 1, .len = 1};
    const meta_ino d = dir_at(META_ROOT, "d"), old = file_at(d, "f");
    const struct meta_stamp before = meta_stamp(m);
    struct meta_draft f = draft(d);
    assert_true(meta_draft_take(&f, 1, 3, &slice, &mtime));
    assert_false(meta_draft_take(&f, 1, 13, &another, &mtime));
    const struct meta_stamp now = meta_stamp(m);
    assert_true(meta_stamp_eq(&before, &now));
    struct meta_attr attr;
    assert_int_equal(meta_getattr(m, f.ino, &attr), -ENOENT);
    const struct meta_xattr x = {STR_INIT("user.x"), STR_INIT("1")};
    const struct meta_publish how = {.draft = &f, .xattrs = &x, .xattr_count = 1};
    assert_int_equal(meta_publish(m, NULL, f.ino, d, STR("f"), &how, &attr), 0);
    assert_int_equal(attr.length, META_CHUNK_SIZE + 13);
    assert_true(meta_time_eq(attr.mtime, mtime));
    assert_int_equal(attr.nlink, 1);
    assert_int_equal(attr.parent, d);
    assert_int_equal(at(d, "f"), f.ino);
    assert_int_equal(meta_getattr(m, old, &attr), -ENOENT);
    struct meta_slice *pieces;
    size_t count;
    assert_int_equal(meta_read_chunk(m, f.ino, 1, &pieces, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(pieces[0].id, 5);
    assert_int_equal(pieces[0].pos, 3);
    free(pieces);
    meta_node_close(m, f.ino);
    assert_int_equal(at(d, "f"), f.ino);
}

/* Whoever unlinks it right after it was published must find that it is open. */
static void test_published_draft_is_open(void **state)
{
    (void)state;
    const struct meta_draft f = draft(META_ROOT);
    assert_int_equal(meta_publish(m, NULL, f.ino, META_ROOT, STR("f"), &(struct meta_publish){.draft = &f}, NULL), 0);
    assert_unlink(META_ROOT, "f");
    assert_int_equal(attr_of(f.ino).nlink, 0);
    meta_node_close(m, f.ino);
    struct meta_attr attr;
    assert_int_equal(meta_getattr(m, f.ino, &attr), -ENOENT);
}

static void limit_inodes(uint64_t max)
{
    struct meta_features f = meta_features(m);
    f.inodes = max;
    meta_set_features(m, &f);
}

static void test_draft_refused(void **state)
{
    (void)state;
    struct meta_draft d;
    const meta_ino dir = dir_at(META_ROOT, "d");
    assert_int_equal(meta_draft(m, NULL, 4711, 0666, 022, &d), -ENOENT);
    set_mode(dir, 0555, 0, 0);
    assert_int_equal(meta_draft(m, &alice, dir, 0666, 022, &d), -EACCES);
    limit_inodes(1);
    assert_int_equal(meta_draft(m, NULL, dir, 0666, 022, &d), -ENOSPC);
    limit_inodes(0);
    const struct meta_draft f = draft(dir);
    struct meta_publish how = {.mode = META_PUBLISH_CREATE, .draft = &f};
    (void)file_at(dir, "f");
    assert_int_equal(meta_publish(m, NULL, f.ino, dir, STR("f"), &how, NULL), -EEXIST);
    limit_inodes(1);
    assert_int_equal(meta_publish(m, NULL, f.ino, dir, STR("g"), &how, NULL), -ENOSPC);
    limit_inodes(0);
    meta_node_close(m, f.ino);
}

static void test_publish_into_trash(void **state)
{
    (void)state;
    set_trash(1);
    const meta_ino old = file_at(META_ROOT, "f"), new = stage(META_ROOT);
    assert_int_equal(meta_node_open(m, NULL, old, META_OPEN_READ, NULL), 0);
    assert_int_equal(publish(new, META_ROOT, "f", META_PUBLISH_REPLACE, NULL), 0);
    meta_node_close(m, old);
    meta_node_close(m, new);
    assert_true(attr_of(old).parent == hour());
    assert_int_equal(attr_of(old).nlink, 1);
    const meta_ino refused = stage(META_ROOT);
    assert_int_equal(publish(refused, hour(), "f", META_PUBLISH_REPLACE, NULL), -EPERM);
    meta_node_close(m, refused);
}

static void test_publish_named(void **state)
{
    (void)state;
    const meta_ino up = dir_at(META_ROOT, "up"), d = dir_at(META_ROOT, "d"), part = file_at(up, "data");
    (void)file_at(d, "f");
    set_mode(d, 02777, 1000, 77);
    const struct meta_publish how = {
        .from_parent = up, .from_name = STR_INIT("data"), .file_mode = 0666, .umask = 022};
    struct meta_attr attr;
    assert_int_equal(meta_publish(m, &alice, part, d, STR("f"), &how, &attr), 0);
    assert_int_equal(at(up, "data"), 0);
    assert_int_equal(at(d, "f"), part);
    assert_int_equal(attr.uid, 1000);
    assert_int_equal(attr.gid, 77);
    assert_int_equal(attr.mode, 0644);
    assert_int_equal(meta_publish(m, &alice, part, d, STR("g"), &how, &attr), -ENOENT); /* is not there any more */
}

/* After a crash, the session's end removes what was staged or unlinked while open: meta_rig_reopen forgets like a crash. */
static void test_crashed_session(void **state)
{
    (void)state;
    const meta_ino staged = stage(META_ROOT), open = file_at(META_ROOT, "f");
    assert_int_equal(meta_node_open(m, NULL, open, META_OPEN_READ, NULL), 0);
    assert_unlink(META_ROOT, "f");
    meta_rig_reopen(&rig);
    m = rig.m;
    assert_int_equal(meta_delete_sustained(m, 1, staged), 0);
    assert_int_equal(meta_delete_sustained(m, 1, open), 0);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_sustained"), 0);
    struct meta_attr attr;
    assert_int_equal(meta_getattr(m, staged, &attr), -ENOENT);
    assert_int_equal(meta_getattr(m, open, &attr), -ENOENT);
}

static void test_read_only(void **state)
{
    (void)state;
    (void)file_at(META_ROOT, "f");
    m->options.read_only = true;
    meta_ino ino;
    assert_int_equal(meta_mkdir(m, NULL, META_ROOT, STR("d"), 0755, 0, &ino, NULL), -EROFS);
    assert_int_equal(meta_unlink(m, NULL, META_ROOT, STR("f"), 0, NULL), -EROFS);
    assert_int_equal(rename_to(META_ROOT, "f", META_ROOT, "g", 0), -EROFS);
    struct meta_draft d;
    assert_int_equal(meta_draft(m, NULL, META_ROOT, 0644, 0, &d), -EROFS);
    assert_int_equal(meta_xattr_set(m, 2, STR("user.a"), STR("1"), 0), -EROFS);
    assert_true(at(META_ROOT, "f") != 0);
    m->options.read_only = false;
}

/* Names without nodes are damage that must not be in the way. */
static void test_damage(void **state)
{
    (void)state;
    const meta_ino f = file_at(META_ROOT, "f");
    char sql[128];
    (void)snprintf(sql, sizeof(sql), "DELETE FROM jfs_node WHERE inode = %d", (int)f);
    free(meta_rig_sql(&rig, sql));
    meta_rig_lost(&rig, 1);
    meta_ino ino;
    struct meta_attr attr;
    assert_int_equal(meta_lookup(m, NULL, META_ROOT, STR("f"), &ino, &attr), -ENOENT);
    assert_int_equal(meta_create(m, NULL, META_ROOT, STR("f"), 0644, 0, true, &ino, &attr), -EEXIST);
    set_trash(1);
    assert_unlink(META_ROOT, "f");
    (void)file_at(META_ROOT, "f");
    const meta_ino g = file_at(META_ROOT, "g");
    (void)snprintf(sql, sizeof(sql), "UPDATE jfs_node SET type = 9 WHERE inode = %d", (int)g);
    free(meta_rig_sql(&rig, sql));
    assert_int_equal(meta_getattr(m, g, &attr), -EIO);
    (void)snprintf(sql, sizeof(sql), "UPDATE jfs_node SET type = 1 WHERE inode = %d", (int)g);
    free(meta_rig_sql(&rig, sql));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lookup),
        TEST(test_names),
        TEST(test_readdir),
        TEST(test_mknod),
        TEST(test_mkdir_counts),
        TEST(test_set_gid_directory),
        TEST(test_symlink),
        TEST(test_create),
        TEST(test_link),
        TEST(test_unlink),
        TEST(test_unlink_refused),
        TEST(test_unlinked_while_open),
        TEST(test_unlinked_while_open_elsewhere),
        TEST(test_rmdir),
        TEST(test_rmdir_if),
        TEST(test_trash),
        TEST(test_trash_of_hard_links),
        TEST(test_trash_name_is_cut),
        TEST(test_skip_trash_flag),
        TEST(test_rename),
        TEST(test_rename_over),
        TEST(test_rename_exchange),
        TEST(test_rename_below_itself),
        TEST(test_rename_permissions),
        TEST(test_setattr),
        TEST(test_access),
        TEST(test_xattr),
        TEST(test_acl_access),
        TEST(test_acl_inherited),
        TEST(test_acl_xattr_form),
        TEST(test_publish),
        TEST(test_publish_draft),
        TEST(test_published_draft_is_open),
        TEST(test_draft_refused),
        TEST(test_publish_into_trash),
        TEST(test_publish_named),
        TEST(test_crashed_session),
        TEST(test_read_only),
        TEST(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
