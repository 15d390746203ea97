/* Whole trees: removing and cloning them, also where a commit fails on the way; an inode's paths. */
#include "tests/support/unit.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fault.h"
#include "tests/support/meta_rig.h"
#include "vfs/meta/upkeep.h"

#define SLICE_BYTES 8192u
#define COMMITS_MAX 60

static struct meta_rig rig;

static meta_ino make_directory(meta_ino parent, const char *name)
{
    meta_ino ino;
    struct meta_attr attr;
    assert_int_equal(meta_mkdir(rig.m, NULL, parent, str_z(name), 0755, 0, &ino, &attr), 0);
    return ino;
}

/* With one slice of data. */
static meta_ino make_file(meta_ino parent, const char *name, uint16_t mode)
{
    meta_ino ino;
    struct meta_attr attr;
    struct meta_slice slice = {.size = SLICE_BYTES, .len = SLICE_BYTES};
    assert_int_equal(meta_create(rig.m, NULL, parent, str_z(name), mode, 0, true, &ino, &attr), 0);
    meta_node_close(rig.m, ino);
    assert_int_equal(meta_new_slice(rig.m, &slice.id), 0);
    assert_int_equal(meta_write_slice(rig.m, ino, 0, 0, &slice, NULL), 0);
    return ino;
}

/* top: { a: { deep: { f }, wide: 600 files }, f (also a/link), symlink }. Returns top's inode. */
static meta_ino make_tree(const char *name, int files)
{
    meta_ino ino, top = make_directory(META_ROOT, name), a = make_directory(top, "a");
    meta_ino deep = make_directory(a, "deep"), wide = make_directory(a, "wide"), f = make_file(top, "f", 0644);
    struct meta_attr attr;
    (void)make_file(deep, "f", 0640);
    for (int i = 0; i < files; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "%04d", i);
        (void)make_file(wide, text, 0644);
    }
    assert_int_equal(meta_link(rig.m, NULL, f, a, STR("link"), &attr), 0);
    assert_int_equal(meta_symlink(rig.m, NULL, top, STR("symlink"), STR("a/deep"), &ino, &attr), 0);
    assert_int_equal(meta_xattr_set(rig.m, top, STR("user.x"), STR("value"), 0), 0);
    return top;
}

static meta_ino find(const char *path)
{
    meta_ino ino;
    struct meta_attr attr;
    int rc = meta_resolve(rig.m, NULL, META_ROOT, str_z(path), &ino, &attr);
    return rc == 0 ? ino : 0;
}

static int count(void *arg, uint64_t names, uint64_t bytes)
{
    (void)bytes;
    *(uint64_t *)arg += names;
    return 0;
}

static int clone_to(meta_ino from, const char *name, const struct meta_ctx *ctx, uint64_t *names)
{
    const struct meta_clone how = {.ctx = ctx, .from = from, .parent = META_ROOT, .name = str_z(name), .umask = 027};
    return meta_clone(rig.m, &how, names ? count : NULL, names);
}

static int64_t references(void)
{
    return meta_rig_number(&rig, "SELECT TOTAL(refs) FROM jfs_chunk_ref");
}

static void a_tree_goes(void **state)
{
    (void)state;
    uint64_t names = 0;
    meta_rig_open(&rig);
    (void)make_tree("t", 600);
    assert_int_equal(meta_remove_tree(rig.m, NULL, META_ROOT, STR("t"), META_SKIP_TRASH, count, &names), 0);
    assert_int_equal(names, 600 + 8);
    assert_int_equal(find("t"), 0);
    assert_int_equal(meta_remove_tree(rig.m, NULL, META_ROOT, STR("t"), META_SKIP_TRASH, NULL, NULL), -ENOENT);
    assert_int_equal(meta_remove_tree(rig.m, NULL, META_ROOT, STR("a/b"), META_SKIP_TRASH, NULL, NULL), -EINVAL);
    meta_rig_check(&rig);
    assert_int_equal(references(), 0);
    meta_rig_close(&rig);
}

static int stop_at_ten(void *arg, uint64_t names, uint64_t bytes)
{
    (void)bytes;
    uint64_t *sum = arg;
    *sum += names;
    return *sum < 10 ? 0 : -EINTR;
}

/* What the caller may not remove, and one who does not want it any more, end it where it is. */
static void a_tree_goes_as_far_as_it_may(void **state)
{
    (void)state;
    uint64_t names = 0;
    const struct meta_ctx other = {.uid = 7, .gid = 7, .check_permission = true};
    meta_rig_open(&rig);
    meta_ino top = make_tree("t", 30);
    assert_int_equal(meta_remove_tree(rig.m, &other, META_ROOT, STR("t"), META_SKIP_TRASH, NULL, NULL), -EACCES);
    assert_int_not_equal(find("t/f"), 0);
    assert_int_equal(meta_remove_tree(rig.m, NULL, META_ROOT, STR("t"), META_SKIP_TRASH, stop_at_ten, &names), -EINTR);
    assert_int_equal(find("t"), top);
    meta_rig_check(&rig);
    meta_rig_close(&rig);
}

static void a_tree_is_cloned(void **state)
{
    (void)state;
    uint64_t names = 0;
    struct meta_attr attr;
    struct meta_summary before, after;
    struct meta_slice *slices;
    size_t slice_count;
    meta_rig_open(&rig);
    meta_ino top = make_tree("t", 600);
    int64_t refs = references();
    assert_int_equal(clone_to(top, "c", NULL, &names), 0);
    assert_int_equal(names, 600 + 8);
    meta_rig_check(&rig);
    assert_int_equal(references(), 2 * refs + 1); /* the second name of a file is a file of its own */
    assert_int_equal(meta_summary(rig.m, top, &before), 0);
    assert_int_equal(meta_summary(rig.m, find("c"), &after), 0);
    assert_memory_equal(&before, &after, sizeof(before));
    assert_int_equal(meta_getattr(rig.m, find("c/a/deep/f"), &attr), 0);
    assert_int_equal(attr.mode, 0640);
    assert_int_equal(meta_getattr(rig.m, find("c/a/wide"), &attr), 0);
    assert_int_equal(attr.mode, 0750);
    assert_int_equal(meta_read_chunk(rig.m, find("c/f"), 0, &slices, &slice_count), 0);
    assert_int_equal(slice_count, 1);
    assert_int_equal(slices[0].len, SLICE_BYTES);
    free(slices);
    CLEANUP(buf_done) struct buf value = buf_make(100);
    assert_int_equal(meta_xattr_get(rig.m, find("c"), STR("user.x"), &value), 0);
    assert_string_equal(buf_z(&value), "value");
    assert_int_equal(clone_to(top, "c", NULL, NULL), -EEXIST);
    /* A part that the caller may not read. */
    const struct meta_ctx other = {.uid = 7, .gid = 7, .check_permission = true};
    assert_int_equal(meta_setattr(rig.m, NULL, META_ROOT, META_SET_MODE, &(struct meta_attr){.mode = 0777}, NULL), 0);
    assert_int_equal(clone_to(top, "d", &other, NULL), -EACCES);
    assert_int_equal(find("d"), 0);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_detached_node"), 0);
    meta_rig_check(&rig);
    meta_rig_close(&rig);
}

/* Whichever commit fails: the clone is not there, and nothing of it is left. */
static void a_clone_is_whole_or_not_there(void **state)
{
    (void)state;
#ifdef SLUICE_FAULTS
    meta_rig_open(&rig);
    meta_ino top = make_tree("t", 3);
    int64_t refs = references(), nodes = meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_node");
    int at = 1;
    for (int rc = -EIO; rc != 0; at++) {
        char fault[32];
        assert_true(at < COMMITS_MAX);
        (void)snprintf(fault, sizeof(fault), "meta.commit:%d:EIO", at);
        fault_set_for_test(fault);
        rc = clone_to(top, "c", NULL, NULL);
        fault_set_for_test(NULL);
        meta_rig_check(&rig);
        if (rc == 0)
            break;
        assert_int_equal(rc, -EIO);
        assert_int_equal(find("c"), 0);
        assert_int_equal(references(), refs);
        assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_node"), nodes);
        assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_detached_node"), 0);
    }
    assert_true(at > 12); /* a commit for each node at least */
    assert_int_not_equal(find("c/a/deep/f"), 0);
    meta_rig_close(&rig);
#endif
}

/* What a client that died was building goes with the hourly duty, a day later. */
static void an_unfinished_clone_goes(void **state)
{
    (void)state;
#ifdef SLUICE_FAULTS
    meta_rig_open(&rig);
    meta_ino top = make_tree("t", 3);
    int64_t refs = references();
    int64_t left = 0;
    /* The commit that makes the directory works, and nobody is told. */
    for (int at = 1; left == 0; at++) {
        char fault[32];
        assert_true(at < COMMITS_MAX);
        (void)snprintf(fault, sizeof(fault), "meta.committed:%d:EIO", at);
        fault_set_for_test(fault);
        assert_int_equal(clone_to(top, "c", NULL, NULL), -EIO);
        fault_set_for_test(NULL);
        left = meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_detached_node");
    }
    meta_rig_lost(&rig, -1); /* nor is it counted */
    meta_reclaim_detached(rig.m, clock_wall_s() - 10);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_detached_node"), 1);
    meta_reclaim_detached(rig.m, clock_wall_s() + 10);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_detached_node"), 0);
    assert_int_equal(references(), refs);
    meta_rig_check(&rig);
    meta_rig_close(&rig);
#endif
}

static int keep(void *arg, struct str path)
{
    struct buf *out = arg;
    buf_add(out, path);
    buf_addc(out, '\n');
    return 0;
}

static void paths(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf out = buf_make(1000);
    meta_rig_open(&rig);
    meta_ino top = make_tree("t", 1), a = find("t/a");
    assert_int_equal(meta_paths(rig.m, META_ROOT, META_ROOT, keep, &out), 0);
    assert_int_equal(meta_paths(rig.m, find("t/a/deep/f"), META_ROOT, keep, &out), 0);
    assert_int_equal(meta_paths(rig.m, find("t/a/deep/f"), a, keep, &out), 0);
    assert_int_equal(meta_paths(rig.m, find("t/symlink"), a, keep, &out), 0);
    assert_string_equal(buf_z(&out), "/\n/t/a/deep/f\n/deep/f\n\n");
    buf_reset(&out);
    assert_int_equal(meta_paths(rig.m, find("t/f"), top, keep, &out), 0);
    assert_non_null(strstr(buf_z(&out), "/f\n"));
    assert_non_null(strstr(buf_z(&out), "/a/link\n"));
    assert_int_equal(out.len, strlen("/f\n/a/link\n"));
    assert_int_equal(meta_paths(rig.m, 4711, META_ROOT, keep, &out), 0); /* none */
    assert_int_equal(out.len, strlen("/f\n/a/link\n"));
    meta_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_goes),
        cmocka_unit_test(a_tree_goes_as_far_as_it_may),
        cmocka_unit_test(a_tree_is_cloned),
        cmocka_unit_test(a_clone_is_whole_or_not_there),
        cmocka_unit_test(an_unfinished_clone_goes),
        cmocka_unit_test(paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
