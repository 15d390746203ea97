/* What the metadata remembers of its reads (vfs/meta/memo.h): never longer than it is true. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/limits.h"
#include "tests/support/meta_rig.h"
#include "tests/support/unit.h"

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
#define CHANGES 400
#define READERS 3

static struct meta_rig rig;
static struct meta *m;

static int set_up(void **state)
{
    (void)state;
    meta_rig_open(&rig);
    m = rig.m;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    meta_rig_close(&rig);
    return 0;
}

static meta_ino file_at(meta_ino parent, const char *name)
{
    const struct meta_new what = {.type = META_FILE, .mode = 0644};
    meta_ino ino;
    assert_int_equal(meta_mknod(m, NULL, parent, str_z(name), &what, &ino, NULL), 0);
    return ino;
}

static int recall(meta_ino parent, const char *name, meta_ino *out)
{
    struct meta_attr attr;
    return meta_recall_name(m, parent, str_z(name), out, &attr);
}

static int lookup(const struct meta_ctx *ctx, meta_ino parent, const char *name, meta_ino *out)
{
    struct meta_attr attr;
    return meta_lookup(m, ctx, parent, str_z(name), out, &attr);
}

/* Another client's commit: by a connection that this process's engine knows nothing of. */
static void change_by_others(void)
{
    free(meta_rig_sql(&rig, "UPDATE jfs_node SET gid = gid + 1 WHERE inode = 1"));
}

static void test_until_anything_changes(void **state)
{
    (void)state;
    meta_ino ino = file_at(META_ROOT, "a"), found = 0;
    assert_int_equal(recall(META_ROOT, "a", &found), -EAGAIN);
    assert_int_equal(lookup(NULL, META_ROOT, "a", &found), 0);
    found = 0;
    assert_int_equal(recall(META_ROOT, "a", &found), 0);
    assert_int_equal(found, ino);
    change_by_others();
    assert_int_equal(recall(META_ROOT, "a", &found), -EAGAIN);
    assert_int_equal(lookup(NULL, META_ROOT, "a", &found), 0);
    assert_int_equal(recall(META_ROOT, "a", &found), 0);
    assert_int_equal(meta_unlink(m, NULL, META_ROOT, STR("a"), META_SKIP_TRASH, NULL), 0);
    assert_int_equal(recall(META_ROOT, "a", &found), -EAGAIN);
    assert_int_equal(lookup(NULL, META_ROOT, "a", &found), -ENOENT);
}

static void test_absence(void **state)
{
    (void)state;
    meta_ino found;
    struct meta_attr attr;
    assert_int_equal(lookup(NULL, META_ROOT, "b", &found), -ENOENT);
    assert_int_equal(recall(META_ROOT, "b", &found), -ENOENT);
    assert_int_equal(meta_resolve(m, NULL, META_ROOT, STR("b/c"), &found, &attr), -ENOENT);
    assert_int_equal(meta_recall_path(m, META_ROOT, STR("b/c"), &found, &attr), -ENOENT);
    meta_ino ino = file_at(META_ROOT, "b");
    assert_int_equal(recall(META_ROOT, "b", &found), -EAGAIN);
    assert_int_equal(lookup(NULL, META_ROOT, "b", &found), 0);
    assert_int_equal(found, ino);
    assert_int_equal(meta_resolve(m, NULL, META_ROOT, STR("b/c"), &found, &attr), -ENOTDIR);
}

#ifdef SLUICE_FAULTS

/* Reads that are remembered go without a transaction: here, one that could not commit. */
static void test_no_transaction(void **state)
{
    (void)state;
    meta_ino ino = file_at(META_ROOT, "a"), found;
    struct meta_attr attr;
    CLEANUP(buf_done) struct buf value = buf_make(64);
    assert_int_equal(meta_xattr_get(m, ino, STR("user.x"), &value), -ENODATA);
    assert_int_equal(lookup(NULL, META_ROOT, "a", &found), 0);
    assert_int_equal(meta_getattr(m, ino, &attr), 0);
    fault_set_for_test("meta.commit:1:EIO");
    assert_int_equal(lookup(NULL, META_ROOT, "a", &found), 0);
    assert_int_equal(meta_getattr(m, ino, &attr), 0);
    assert_int_equal(meta_node_open(m, NULL, ino, META_OPEN_READ, NULL), 0);
    meta_node_close(m, ino);
    assert_int_equal(meta_xattr_get(m, ino, STR("user.x"), &value), -ENODATA);
    assert_int_equal(meta_getattr(m, META_ROOT, &attr), -EIO);
    fault_set_for_test(NULL);
    assert_int_equal(meta_getattr(m, META_ROOT, &attr), 0); /* a failure is not remembered */
}

#endif

/* What one may see is not for another. */
static void test_permissions(void **state)
{
    (void)state;
    const struct meta_ctx alice = {.uid = 1000, .gid = 1000, .check_permission = true};
    meta_ino dir, found;
    assert_int_equal(meta_mkdir(m, NULL, META_ROOT, STR("d"), 0700, 0, &dir, NULL), 0);
    meta_ino ino = file_at(dir, "a");
    assert_int_equal(lookup(NULL, dir, "a", &found), 0);
    assert_int_equal(lookup(&alice, dir, "a", &found), -EACCES);
    assert_int_equal(meta_setattr(m, NULL, ino, META_SET_MODE, &(struct meta_attr){.mode = 0600}, NULL), 0);
    assert_int_equal(meta_node_open(m, NULL, ino, META_OPEN_READ, NULL), 0);
    meta_node_close(m, ino);
    assert_int_equal(meta_node_open(m, &alice, ino, META_OPEN_READ, NULL), -EACCES);
}

static int append(void *arg, struct str name, struct str value)
{
    buf_add(arg, name);
    buf_addc(arg, '=');
    buf_add(arg, value);
    buf_addc(arg, ';');
    return 0;
}

static void test_attributes(void **state)
{
    (void)state;
    meta_ino ino = file_at(META_ROOT, "a");
    CLEANUP(buf_done) struct buf all = buf_make(8192);
    assert_int_equal(meta_xattr_set(m, ino, STR("user.a"), STR("1"), 0), 0);
    assert_int_equal(meta_xattr_set(m, ino, STR("user.b"), STR(""), 0), 0);
    assert_int_equal(meta_recall_xattrs(m, ino, append, &all), -EAGAIN);
    for (int turn = 0; turn < 2; turn++) {
        buf_reset(&all);
        assert_int_equal(meta_xattr_list(m, ino, append, &all), 0);
        assert_string_equal(buf_z(&all), "user.a=1;user.b=;");
    }
    buf_reset(&all);
    assert_int_equal(meta_recall_xattrs(m, ino, append, &all), 0);
    assert_string_equal(buf_z(&all), "user.a=1;user.b=;");

    /* Too large to be remembered, and read all the same. */
    char large[LIMIT_META_MEMO_BYTES];
    memset(large, 'x', sizeof(large));
    assert_int_equal(meta_xattr_set(m, ino, STR("user.b"), str_of(large, sizeof(large)), 0), 0);
    for (int turn = 0; turn < 2; turn++) {
        buf_reset(&all);
        assert_int_equal(meta_xattr_list(m, ino, append, &all), 0);
        assert_int_equal(all.len, strlen("user.a=1;user.b=;") + sizeof(large));
        assert_int_equal(meta_recall_xattrs(m, ino, append, &all), -EAGAIN);
    }
}

/* A volume that was formatted anew under us is not read from memory either. */
static void test_lost(void **state)
{
    (void)state;
    meta_ino found;
    (void)file_at(META_ROOT, "a");
    assert_int_equal(lookup(NULL, META_ROOT, "a", &found), 0);
    m->lost = true;
    assert_int_equal(recall(META_ROOT, "a", &found), -EAGAIN);
    assert_int_equal(lookup(NULL, META_ROOT, "a", &found), -EIO);
    m->lost = false;
}

/* Whoever reads sees at least what was committed when it began. */

struct race {
    meta_ino ino;
    _Atomic uint32_t committed;
};

static void *read_on(void *arg)
{
    struct race *r = arg;
    struct meta_attr attr;
    uint32_t least;
    do {
        least = atomic_load(&r->committed);
        CHECK(meta_getattr(m, r->ino, &attr) == 0);
        CHECK(attr.uid >= least);
    } while (least < CHANGES);
    return NULL;
}

static void test_race(void **state)
{
    (void)state;
    struct race r = {.ino = file_at(META_ROOT, "a")};
    pthread_t readers[READERS];
    for (size_t i = 0; i < READERS; i++)
        thread_start(&readers[i], "reader", read_on, &r);
    for (uint32_t i = 1; i <= CHANGES; i++) {
        assert_int_equal(meta_setattr(m, NULL, r.ino, META_SET_UID, &(struct meta_attr){.uid = i}, NULL), 0);
        atomic_store(&r.committed, i);
    }
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(readers[i], NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_until_anything_changes), TEST(test_absence), TEST(test_permissions),
        TEST(test_attributes),             TEST(test_lost),    TEST(test_race),
#ifdef SLUICE_FAULTS
        TEST(test_no_transaction),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
