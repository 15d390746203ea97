/* Acting as POSIX users, and what new files inherit from their directory. Root only. */
#include "tests/contract/dir_volume_contract.h"

#include <errno.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/check.h"

static const uint32_t shared_groups[] = {3000};
static const struct vfs_cred alice = {.uid = 1001, .gid = 2001, .groups = shared_groups, .group_count = 1};
static const struct vfs_cred bob = {.uid = 1002, .gid = 2002};

static int put_as(struct vfs_dir *d, const char *path, const struct vfs_cred *cred)
{
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    int r = vfs_stage(d, str_z(path), cred, 0, &f);
    if (r == 0)
        r = vfs_xattr_set(f, cred, "user.t", STR("v"));
    return r < 0 ? r : vfs_publish(f, d, str_z(path), cred, &REPLACE, NULL);
}

static int open_as(struct vfs_dir *d, const char *path, const struct vfs_cred *cred, unsigned flags)
{
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    return vfs_open(d, str_z(path), cred, flags, &f, NULL);
}

static void home(struct volume_fixture *x, const char *path, const struct vfs_cred *cred, mode_t mode)
{
    assert_ok(mkdir(posix(x, path), 0700));
    assert_ok(chown(posix(x, path), cred->uid, cred->gid));
    assert_ok(chmod(posix(x, path), mode));
}

static void users_own_what_they_make(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    struct vfs_attr attr;
    home(x, "a", &alice, 0755);
    assert_ok(put_as(x->root, "a/new/f", &alice));
    assert_ok(vfs_lookup(x->root, STR("a/new/f"), NULL, &attr));
    assert_int_equal(attr.uid, alice.uid);
    assert_int_equal(attr.gid, alice.gid);
    assert_ok(vfs_lookup(x->root, STR("a/new"), NULL, &attr));
    assert_int_equal(attr.uid, alice.uid);
    assert_int_equal(vfs_is_implicit(x->root, STR("a/new"), &alice), 1);
    assert_int_equal(geteuid(), 0);
    assert_ok(put_as(x->root, "roots", NULL)); /* and the thread is itself again */
    assert_ok(vfs_lookup(x->root, STR("roots"), NULL, &attr));
    assert_int_equal(attr.uid, 0);
}

static void modes_decide_between_users(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    struct vfs_attr attr;
    struct vfs_scan *s;
    home(x, "a", &alice, 0700);
    assert_ok(put_as(x->root, "a/f", &alice));
    assert_fails(open_as(x->root, "a/f", &bob, VFS_OPEN_READ), EACCES);
    assert_fails(vfs_lookup(x->root, STR("a/f"), &bob, &attr), EACCES);
    assert_fails(put_as(x->root, "a/g", &bob), EACCES);
    assert_fails(put_as(x->root, "a/deep/g", &bob), EACCES);
    assert_fails(put_as(x->root, "mine", &bob), EACCES);
    assert_fails(vfs_unlink(x->root, STR("a/f"), &bob, NULL), EACCES);
    assert_fails(vfs_mkdir(x->root, STR("a/d"), &bob, 0), EACCES);
    assert_fails(vfs_rename(x->root, STR("a/f"), STR("b"), &bob, 0), EACCES);
    assert_fails(vfs_scan_open(x->root, STR("a"), &bob, STR_EMPTY, &s), EACCES);
    assert_ok(chmod(posix(x, "a"), 0755));
    assert_ok(open_as(x->root, "a/f", &bob, VFS_OPEN_READ));
    assert_fails(open_as(x->root, "a/f", &bob, VFS_OPEN_WRITE), EACCES);
    assert_fails(put_as(x->root, "a/f", &bob), EACCES);
    assert_ok(chmod(posix(x, "a/f"), 0600));
    assert_fails(open_as(x->root, "a/f", &bob, VFS_OPEN_READ), EACCES);
    assert_listing(x->root, "", "", "a:d ");
    assert_ok(vfs_unlink(x->root, STR("a/f"), &alice, NULL));
}

static void supplementary_groups_count(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    assert_ok(mkdir(posix(x, "shared"), 0700));
    assert_ok(chown(posix(x, "shared"), 0, 3000));
    assert_ok(chmod(posix(x, "shared"), 0770));
    assert_ok(put_as(x->root, "shared/f", &alice));
    assert_fails(put_as(x->root, "shared/g", &bob), EACCES);
    assert_fails(open_as(x->root, "shared/f", &bob, VFS_OPEN_READ), EACCES);
}

static void sticky_directories_protect_owners(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    assert_ok(mkdir(posix(x, "t"), 0777));
    assert_ok(chmod(posix(x, "t"), 01777));
    assert_ok(put_as(x->root, "t/f", &alice));
    int r = put_as(x->root, "t/f", &bob);
    assert_true(r == -EPERM || r == -EACCES);
    r = vfs_unlink(x->root, STR("t/f"), &bob, NULL);
    assert_true(r == -EPERM || r == -EACCES);
    assert_listing(x->root, "t", "", "f:f ");
    assert_no_leftovers(x);
    assert_ok(put_as(x->root, "t/f", &alice));
}

static void attributes_need_the_right(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    home(x, "a", &alice, 0755);
    assert_ok(put_as(x->root, "a/f", &alice));
    assert_ok(vfs_open(x->root, STR("a/f"), &bob, VFS_OPEN_READ, &f, NULL));
    struct vfs_set set = {.which = VFS_SET_MODE, .mode = 0666};
    assert_fails(vfs_setattr(f, &bob, &set), EPERM);
    set = (struct vfs_set){.which = VFS_SET_OWNER, .uid = bob.uid, .gid = bob.gid};
    assert_fails(vfs_setattr(f, &alice, &set), EPERM);
    assert_fails(vfs_xattr_set(f, &bob, "user.t", STR("stolen")), EACCES);
    assert_ok(vfs_xattr_set(f, &alice, "user.t", STR("own")));
    assert_ok(vfs_setattr(f, NULL, &set));
}

static void scans_see_what_the_user_may(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    CLEANUP(vfs_scan_closep) struct vfs_scan *s = NULL;
    CLEANUP(buf_done) struct buf value = buf_make(16);
    struct vfs_dirent e;
    struct vfs_attr attr;
    home(x, "a", &alice, 0755);
    assert_ok(put_as(x->root, "a/f", &alice));
    assert_ok(chmod(posix(x, "a/f"), 0600));
    assert_ok(vfs_scan_open(x->root, STR("a"), &bob, STR_EMPTY, &s));
    assert_int_equal(vfs_scan_next(s, &e), 1);
    assert_ok(vfs_scan_stat(s, &attr, "user.t", &value)); /* its attributes, as ls shows them; not the record */
    assert_int_equal(attr.uid, alice.uid);
    assert_int_equal(value.len, 0);
}

/* A process that is not root */

static void work_as_plain_user(const struct volume_kind *k, bool owns_root)
{
    const struct vfs_cred myself = {.uid = alice.uid, .gid = alice.gid};
    struct vfs_attr attr;
    struct vfs *v = k->open(k, VFS_SYNC_ALWAYS);
    struct vfs_dir *root = vfs_root(v);
    CHECK(vfs_lookup(root, STR("shown/f"), NULL, &attr) == 0);
    CHECK(vfs_lookup(root, STR("shown/f"), &bob, &attr) == -EPERM);
    CHECK(open_as(root, "shown/f", &myself, VFS_OPEN_READ) == 0);
    CHECK(strcmp(listing(root, "shown", ""), "f:f ") == 0);
    CHECK(put_as(root, "new/f", &bob) == -EPERM);
    CHECK(put_as(root, "shown/g", NULL) == -EACCES);
    CHECK(put_as(root, "new/f", NULL) == (owns_root ? 0 : -EACCES));
    CHECK(put_as(root, "new/f", &myself) == (owns_root ? 0 : -EACCES));
    vfs_close_volume(v);
}

static void run_as_plain_user(struct volume_fixture *x, bool owns_root)
{
    int status;
    assert_ok(chown(x->kind->posix_root, owns_root ? alice.uid : 0, 0));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        CHECK(setgroups(0, NULL) == 0 && setresgid(alice.gid, alice.gid, alice.gid) == 0);
        CHECK(setresuid(alice.uid, alice.uid, alice.uid) == 0);
        work_as_plain_user(x->kind, owns_root);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void plain_processes_act_for_themselves_only(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    assert_ok(mkdir(posix(x, "shown"), 0755));
    put(x->root, "shown/f", "x");
    if (strcmp(x->kind->name, "sidecar") == 0)
        skip(); /* needs to write its database */
    run_as_plain_user(x, false);
    run_as_plain_user(x, true);
}

/* Inheritance */

static uint32_t make_named(struct volume_fixture *x, const char *target, const struct vfs_cred *cred,
                           struct vfs_attr *out)
{
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    const unsigned flags = VFS_OPEN_WRITE | VFS_OPEN_CREATE | VFS_OPEN_PRIVATE;
    int r = vfs_mkdir(x->root, STR(".sluice/uploads"), NULL, 0);
    assert_true(r == 0 || r == -EEXIST);
    assert_ok(vfs_open(x->root, STR(".sluice/uploads/data"), NULL, flags, &f, NULL));
    assert_ok(vfs_publish(f, x->root, str_z(target), cred, &REPLACE, out));
    assert_ok(vfs_unlink(x->root, STR(".sluice/uploads/data"), NULL, NULL));
    return out->mode;
}

static void set_gid_directories_pass_on_their_group(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    struct vfs_attr attr;
    assert_ok(mkdir(posix(x, "g"), 0700));
    assert_ok(chown(posix(x, "g"), 0, 3333));
    assert_ok(chmod(posix(x, "g"), 02777));
    assert_ok(put_as(x->root, "g/sub/staged", &alice));
    assert_ok(vfs_lookup(x->root, STR("g/sub/staged"), NULL, &attr));
    assert_int_equal(attr.gid, 3333);
    assert_int_equal(attr.uid, alice.uid);
    assert_ok(vfs_lookup(x->root, STR("g/sub"), NULL, &attr));
    assert_int_equal(attr.gid, 3333);
    assert_int_equal(attr.mode & 02000, 02000);
    make_named(x, "g/adopted", &alice, &attr);
    assert_int_equal(attr.gid, 3333);
    assert_int_equal(attr.uid, alice.uid);
    assert_ok(vfs_lookup(x->root, STR("g/sub/staged"), NULL, &attr));
    uint32_t staged_mode = attr.mode;
    assert_int_equal(make_named(x, "g/sub/adopted", NULL, &attr), staged_mode);
    assert_int_equal(attr.gid, 3333);
    assert_int_equal(attr.uid, 0);
}

static void shell(const char *command, const char *path)
{
    char line[512];
    snprintf(line, sizeof(line), "%s %s", command, path);
    if (system(line) != 0)
        fail_msg("%s", line);
}

static void assert_same_acl(const struct volume_fixture *x, const char *a, const char *b)
{
    char one[512], other[512];
    ssize_t one_size = getxattr(posix(x, a), "system.posix_acl_access", one, sizeof(one));
    ssize_t other_size = getxattr(posix(x, b), "system.posix_acl_access", other, sizeof(other));
    assert_true(one_size > 0);
    assert_int_equal(one_size, other_size);
    assert_memory_equal(one, other, (size_t)one_size);
}

static void default_acls_are_passed_on(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    struct vfs_attr attr, native;
    if (system("command -v setfacl >/dev/null") != 0)
        skip();
    assert_ok(mkdir(posix(x, "acl"), 0777));
    shell("setfacl -d -m u:1001:rwx,g:3000:r-x,o::---", posix(x, "acl"));
    shell("touch", posix(x, "acl/native"));
    assert_ok(put_as(x->root, "acl/staged", NULL));
    make_named(x, "acl/adopted", NULL, &attr);
    assert_ok(vfs_lookup(x->root, STR("acl/native"), NULL, &native));
    assert_int_equal(attr.mode, native.mode);
    assert_same_acl(x, "acl/native", "acl/staged");
    assert_same_acl(x, "acl/native", "acl/adopted");
    /* And one that came with the file does not stay in a directory that passes none on. */
    assert_ok(mkdir(posix(x, "plain"), 0777));
    put(x->root, "acl/moving", "x");
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    assert_ok(vfs_open(x->root, STR("acl/moving"), NULL, VFS_OPEN_WRITE, &f, NULL));
    assert_ok(vfs_publish(f, x->root, STR("plain/moving"), NULL, &REPLACE, &attr));
    assert_true(getxattr(posix(x, "plain/moving"), "system.posix_acl_access", NULL, 0) < 0);
    assert_int_equal(attr.mode & 0111, 0);
}

static void own_state_is_private(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    struct vfs_attr attr;
    assert_ok(vfs_mkdir(x->root, STR("b/.sluice/uploads/1"), NULL, 0));
    assert_ok(vfs_lookup(x->root, STR("b/.sluice"), NULL, &attr));
    assert_int_equal(attr.mode, 0700);
    assert_ok(vfs_mkdir(x->root, STR("c/.sluice"), NULL, 0));
    assert_ok(vfs_lookup(x->root, STR("c/.sluice"), NULL, &attr));
    assert_int_equal(attr.mode, 0700);
    assert_ok(vfs_lookup(x->root, STR(".sluice"), NULL, &attr));
    assert_int_equal(attr.mode, 0700);
    assert_fails(vfs_lookup(x->root, STR("b/.sluice/uploads/1"), &alice, &attr), EACCES);
}

static void chosen_attributes_survive_publishing(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    struct vfs_attr attr;
    struct vfs_set set = {.which = VFS_SET_MODE | VFS_SET_OWNER, .mode = 0751, .uid = 77, .gid = 88};
    assert_ok(vfs_open(x->root, STR("data"), NULL, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &f, NULL));
    assert_ok(vfs_setattr(f, NULL, &set));
    assert_ok(vfs_publish(f, x->root, STR("named"), NULL, &REPLACE, &attr));
    assert_int_equal(attr.mode, 0751);
    assert_int_equal(attr.uid, 77);
    assert_int_equal(attr.gid, 88);
    vfs_closep(&f);
    assert_ok(vfs_stage(x->root, STR("staged"), NULL, 0, &f));
    assert_ok(vfs_setattr(f, NULL, &set));
    assert_ok(vfs_publish(f, x->root, STR("staged"), NULL, &REPLACE, &attr));
    assert_int_equal(attr.mode, 0751);
}

int dir_identity_contract(const struct volume_kind *k)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(users_own_what_they_make, k),
        VOLUME_TEST(modes_decide_between_users, k),
        VOLUME_TEST(supplementary_groups_count, k),
        VOLUME_TEST(sticky_directories_protect_owners, k),
        VOLUME_TEST(attributes_need_the_right, k),
        VOLUME_TEST(scans_see_what_the_user_may, k),
        VOLUME_TEST(plain_processes_act_for_themselves_only, k),
        VOLUME_TEST(set_gid_directories_pass_on_their_group, k),
        VOLUME_TEST(default_acls_are_passed_on, k),
        VOLUME_TEST(own_state_is_private, k),
        VOLUME_TEST(chosen_attributes_survive_publishing, k),
    };
    if (geteuid() != 0) {
        print_message("identities: skipped, not root\n");
        return 0;
    }
    return cmocka_run_group_tests_name("identities", tests, NULL, NULL);
}
