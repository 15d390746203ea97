/* Volumes: formatting, sessions and their ends, what the hour brings. */
#include "tests/support/unit.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/meta_rig.h"
#include "vfs/meta/settings.h"
#include "vfs/meta/upkeep.h"

#define HOUR_NS (3600ll * 1000000000)

/* The rig's folder and SQL, with a volume made by meta_format. */
static struct meta_rig rig;

static struct meta *open_volume(void)
{
    struct meta *m = NULL;
    const char *error = NULL;
    if (meta_open(str_z(rig.url), &(struct meta_options){.no_sync = true, .no_background = true}, &m, &error) < 0)
        fail_msg("%s", error);
    return m;
}

static void format_volume(uint32_t trash_days)
{
    CLEANUP(meta_settings_freep) struct meta_settings *s = meta_settings_new();
    const char *error = NULL;
    s->name = STR("vol");
    s->bucket = STR("/data/");
    s->trash_days = trash_days;
    if (meta_format(str_z(rig.url), s, false, &error) < 0)
        fail_msg("%s", error);
}

static int begin(void **state)
{
    (void)state;
    rig = (struct meta_rig){0};
    assert_true(tmpdir_make(rig.dir));
    (void)snprintf(rig.url, sizeof(rig.url), "sqlite3://%s/meta.db", rig.dir);
    return 0;
}

static int end(void **state)
{
    (void)state;
    clock_set_wall_for_test(0);
    assert_true(tmpdir_remove(rig.dir));
    return 0;
}

static int64_t number(const char *sql)
{
    return meta_rig_number(&rig, sql);
}

static void test_format(void **state)
{
    (void)state;
    const char *error = NULL;
    struct meta *m = NULL;
    format_volume(1);
    assert_int_equal(number("select value from jfs_counter where name='nextInode'"), 2);
    assert_int_equal(number("select value from jfs_counter where name='nextChunk'"), 1);
    assert_int_equal(number("select count(*) from jfs_counter"), 6);
    assert_int_equal(number("select mode from jfs_node where inode=1"), 0777);
    assert_int_equal(number("select mode from jfs_node where inode=9223372032828243968"), 0555);
    char *uuid = meta_rig_sql(&rig, "select json_extract(value,'$.UUID') from jfs_setting");

    CLEANUP(meta_settings_freep) struct meta_settings *other = meta_settings_new();
    other->name = STR("other");
    assert_int_equal(meta_format(str_z(rig.url), other, false, &error), -EEXIST);
    assert_true(str_find(str_z(error), STR("already")) > 0);
    other->capacity = 1 << 20;
    assert_int_equal(meta_format(str_z(rig.url), other, true, &error), 0);
    assert_int_equal(number("select json_extract(value,'$.Capacity') from jfs_setting"), 1 << 20);
    char *same = meta_rig_sql(&rig, "select json_extract(value,'$.UUID') from jfs_setting");
    assert_string_equal(uuid, same); /* other clients go on with the volume */
    free(uuid);
    free(same);
    other->change_log = true;
    assert_int_equal(meta_format(str_z(rig.url), other, true, &error), -ENOTSUP);
    assert_true(str_find(str_z(error), STR("ChangeLog")) > 0);
    m = open_volume();
    meta_close(m);
}

static void test_open_refuses(void **state)
{
    (void)state;
    const struct meta_options options = {.no_sync = true};
    const char *error = NULL;
    struct meta *m = NULL;
    assert_true(meta_open(str_z(rig.url), &options, &m, &error) < 0); /* nothing there; nothing is made */
    assert_int_not_equal(access(rig.url + sizeof("sqlite3://") - 1, F_OK), 0);
    assert_true(meta_open(STR("nosuch://x"), &options, &m, &error) < 0);
    format_volume(0);
    free(meta_rig_sql(&rig, "update jfs_setting set value=json_set(value,'$.MinClientVersion','9.0.0')"));
    assert_int_equal(meta_open(str_z(rig.url), &options, &m, &error), -ENOTSUP);
    assert_true(str_find(str_z(error), STR("MinClientVersion")) > 0);
    free(meta_rig_sql(&rig, "update jfs_setting set value='{'"));
    assert_int_equal(meta_open(str_z(rig.url), &options, &m, &error), -EINVAL);
    free(meta_rig_sql(&rig, "delete from jfs_setting"));
    assert_int_equal(meta_open(str_z(rig.url), &options, &m, &error), -ENODATA);
    assert_true(str_find(str_z(error), STR("not formatted")) > 0);
    assert_null(m);
}

static void test_session(void **state)
{
    (void)state;
    format_volume(1);
    struct meta *m = open_volume();
    assert_int_equal(number("select count(*) from jfs_session2"), 1);
    assert_int_equal(number("select sid from jfs_session2"), 1);
    assert_int_equal(number("select json_valid(info) from jfs_session2"), 1);
    assert_int_equal(number("select json_extract(info,'$.ProcessID') from jfs_session2"), getpid());
    /* Somebody took us for dead. */
    free(meta_rig_sql(&rig, "delete from jfs_session2"));
    meta_session_beat(m);
    assert_int_equal(number("select count(*) from jfs_session2 where sid=1"), 1);
    struct meta *second = open_volume();
    assert_int_equal(number("select max(sid) from jfs_session2"), 2);
    meta_close(second);
    meta_close(m);
    assert_int_equal(number("select count(*) from jfs_session2"), 0);
}

static void test_settings_reload(void **state)
{
    (void)state;
    format_volume(1);
    struct meta *m = open_volume();
    struct meta_attr attr;
    free(meta_rig_sql(&rig, "update jfs_setting set value=json_set(value,'$.TrashDays',7,'$.Capacity',5000000)"));
    meta_session_beat(m);
    assert_true(meta_features(m).trash_days == 7 && meta_features(m).capacity == 5000000);
    CLEANUP(meta_settings_freep) struct meta_settings *s = meta_settings_copy(m);
    assert_int_equal(s->trash_days, 7);
    assert_int_equal(meta_getattr(m, META_ROOT, &attr), 0);
    /* Another volume in the same place: nothing is touched any more. */
    free(meta_rig_sql(&rig, "update jfs_setting set value=json_set(value,'$.UUID','x')"));
    meta_session_beat(m);
    assert_int_equal(meta_mkdir(m, NULL, META_ROOT, STR("d"), 0755, 0, NULL, NULL), -EIO);
    assert_int_equal(number("select count(*) from jfs_edge"), 0);
    meta_close(m);
}

static meta_ino make_file(struct meta *m, const char *name, uint64_t length)
{
    struct meta_attr attr;
    meta_ino ino;
    assert_int_equal(meta_create(m, NULL, META_ROOT, str_z(name), 0644, 0, true, &ino, &attr), 0);
    assert_int_equal(meta_truncate(m, NULL, ino, length, true, &attr), 0);
    return ino;
}

/* A client that died: its locks and its unlinked open files go, when another's heartbeat finds it. */
static void test_stale_session(void **state)
{
    (void)state;
    format_volume(0);
    struct meta *dead = open_volume();
    meta_ino ino = make_file(dead, "open", 1);
    assert_int_equal(meta_flock(dead, META_ROOT, 1, 'W'), 0);
    assert_int_equal(meta_unlink(dead, NULL, META_ROOT, STR("open"), 0, NULL), 0);
    assert_int_equal(number("select count(*) from jfs_sustained where sid=1"), 1);
    assert_int_equal(number("select count(*) from jfs_node"), 2);
    free(meta_rig_sql(&rig, "update jfs_session2 set expire=1 where sid=1"));

    struct meta *m = open_volume();
    m->options.no_background = false; /* for the beat; its thread is not wanted */
    meta_session_beat(m);
    assert_int_equal(number("select count(*) from jfs_session2 where sid=1"), 0);
    assert_int_equal(number("select count(*) from jfs_sustained"), 0);
    assert_int_equal(number("select count(*) from jfs_flock"), 0);
    assert_int_equal(number("select count(*) from jfs_node"), 1);
    assert_int_equal(number("select inode from jfs_delfile"), (int64_t)ino);
    meta_node_close(dead, ino);
    meta_close(dead);
    meta_close(m);
}

/* A clock that is set, or a machine that slept: who finds that others are late was late itself. */
static void test_late_sessions_are_not_judged_by_a_late_one(void **state)
{
    (void)state;
    format_volume(0);
    struct meta *other = open_volume(), *m = open_volume();
    m->options.no_background = false; /* for the beat; its thread is not wanted */
    clock_set_wall_for_test(clock_wall_ns() + (int64_t)3600 * 1000000000);
    meta_session_beat(m);
    assert_int_equal(number("select count(*) from jfs_session2"), 2);
    clock_set_wall_for_test(0);
    meta_close(other);
    meta_close(m);
}

static void test_usage_is_written(void **state)
{
    (void)state;
    format_volume(0);
    struct meta *m = open_volume();
    struct meta_space space;
    struct meta_dir_stat stat;
    meta_node_close(m, make_file(m, "f", 10000));
    assert_int_equal(meta_statfs(m, META_ROOT, &space), 0);
    assert_true(space.used_inodes == 1 && space.total_bytes - space.free_bytes == 12288);
    assert_int_equal(meta_dir_stat(m, META_ROOT, &stat), 0);
    assert_true(stat.data_length == 10000 && stat.used_space == 12288 && stat.used_inodes == 1);
    meta_close(m);
    assert_int_equal(number("select value from jfs_counter where name='usedSpace'"), 12288);
    assert_int_equal(number("select value from jfs_counter where name='totalInodes'"), 1);
}

static void test_dir_quota(void **state)
{
    (void)state;
    format_volume(0);
    struct meta *m = open_volume();
    struct meta_attr attr;
    struct meta_quota q;
    struct meta_space space;
    struct meta_summary sum;
    meta_ino dir, sub, f;
    assert_int_equal(meta_mkdir(m, NULL, META_ROOT, STR("d"), 0755, 0, &dir, &attr), 0);
    assert_int_equal(meta_mkdir(m, NULL, dir, STR("s"), 0755, 0, &sub, &attr), 0);
    assert_int_equal(meta_quota_get(m, dir, &q), -ENOENT);
    assert_int_equal(meta_quota_set(m, dir, 21000, 3), 0);
    assert_int_equal(meta_quota_get(m, dir, &q), 0);
    assert_true(q.used_space == 4096 && q.used_inodes == 1 && q.max_space == 21000 && q.max_inodes == 3);
    assert_int_equal(meta_create(m, NULL, sub, STR("f"), 0644, 0, true, &f, &attr), 0);
    assert_int_equal(meta_truncate(m, NULL, f, 12000, true, NULL), 0);
    assert_int_equal(meta_truncate(m, NULL, f, 17000, true, NULL), -EDQUOT);
    assert_int_equal(meta_mkdir(m, NULL, sub, STR("x"), 0755, 0, &dir, &attr), 0);
    assert_int_equal(meta_mkdir(m, NULL, sub, STR("y"), 0755, 0, &dir, &attr), -EDQUOT);
    assert_int_equal(meta_statfs(m, sub, &space), 0);
    assert_true(space.free_inodes == 0 && space.used_inodes == 3);
    meta_usage_flush_quotas(m);
    assert_int_equal(number("select used_inodes from jfs_dir_quota"), 3);
    assert_int_equal(number("select used_space from jfs_dir_quota"), 4096 + 12288 + 4096);
    assert_int_equal(meta_summary(m, META_ROOT, &sum), 0);
    assert_true(sum.files == 1 && sum.directories == 4 && sum.length == 12000 && sum.space == 4 * 4096 + 12288);
    meta_node_close(m, f);
    meta_close(m);
}

/* Users and groups: counted when the setting says so, limited when they have a limit. */
static void test_owner_quota(void **state)
{
    (void)state;
    const struct meta_ctx user = {.uid = 7, .gid = 8};
    struct meta_attr attr;
    meta_ino f;
    format_volume(0);
    free(meta_rig_sql(&rig, "update jfs_setting set value=json_set(value,'$.UserGroupQuota',json('true'))"));
    struct meta *m = open_volume();
    assert_int_equal(meta_create(m, &user, META_ROOT, STR("f"), 0644, 0, true, &f, &attr), 0);
    assert_int_equal(meta_truncate(m, &user, f, 10000, true, NULL), 0);
    meta_usage_flush_quotas(m);
    assert_int_equal(number("select used_space from jfs_user_group_quota where qtype=1 and qkey=7"), 12288);
    assert_int_equal(number("select used_inodes from jfs_user_group_quota where qtype=2 and qkey=8"), 1);
    assert_int_equal(number("select max_space from jfs_user_group_quota where qtype=1 and qkey=7"), -1);
    free(meta_rig_sql(&rig, "update jfs_user_group_quota set max_space=20480 where qtype=2 and qkey=8"));
    meta_session_beat(m);
    assert_int_equal(meta_truncate(m, &user, f, 20480, true, NULL), 0);
    assert_int_equal(meta_truncate(m, &user, f, 20481, true, NULL), -EDQUOT);
    assert_int_equal(meta_truncate(m, &user, f, 0, true, NULL), 0);
    meta_usage_flush_quotas(m);
    assert_int_equal(number("select used_space from jfs_user_group_quota where qtype=2 and qkey=8"), 4096);
    meta_node_close(m, f);
    meta_close(m);
}

/* A quota that others removed or changed counts as they left it; what we owe it is not lost meanwhile. */
static void test_quota_reload(void **state)
{
    (void)state;
    struct meta_quota q;
    format_volume(0);
    struct meta *m = open_volume();
    assert_int_equal(meta_quota_set(m, META_ROOT, 1 << 20, -1), 0);
    meta_node_close(m, make_file(m, "f", 5000));
    free(meta_rig_sql(&rig, "update jfs_dir_quota set max_space=4096, used_space=100"));
    meta_session_beat(m);
    assert_true(meta_quota_cached(m, META_ROOT, &q));
    assert_true(q.max_space == 4096 && q.used_space == 100 + 8192);
    assert_int_equal(meta_quota_get(m, META_ROOT, &q), 0);
    assert_true(q.used_space == 100 + 8192 && q.used_inodes == 1);
    free(meta_rig_sql(&rig, "delete from jfs_dir_quota"));
    meta_session_beat(m);
    assert_false(meta_quota_cached(m, META_ROOT, &q));
    meta_node_close(m, make_file(m, "g", 5000));
    assert_int_equal(meta_quota_set(m, META_ROOT, -1, -1), 0); /* none to remove: fine */
    meta_close(m);
    assert_int_equal(number("select count(*) from jfs_dir_quota"), 0);
}

/* What was deleted stays for its days, then goes with its hour. */
static void test_trash_expires(void **state)
{
    (void)state;
    const int64_t now = 1700000000ll * 1000000000;
    clock_set_wall_for_test(now);
    format_volume(1);
    struct meta *m = open_volume();
    struct meta_attr attr;
    meta_ino dir;
    meta_node_close(m, make_file(m, "f", 10));
    assert_int_equal(meta_mkdir(m, NULL, META_ROOT, STR("d"), 0755, 0, &dir, &attr), 0);
    assert_int_equal(meta_unlink(m, NULL, META_ROOT, STR("f"), 0, NULL), 0);
    assert_int_equal(meta_rmdir(m, NULL, META_ROOT, STR("d"), 0), 0);
    assert_int_equal(number("select count(*) from jfs_edge"), 3); /* the hour and its two */
    meta_hourly(m);
    assert_int_equal(number("select count(*) from jfs_edge"), 3);
    clock_set_wall_for_test(now + 25 * HOUR_NS);
    meta_hourly(m);
    assert_int_equal(number("select count(*) from jfs_edge"), 3);
    clock_set_wall_for_test(now + 28 * HOUR_NS);
    meta_hourly(m);
    assert_int_equal(number("select count(*) from jfs_edge"), 0);
    assert_int_equal(number("select count(*) from jfs_node"), 2);
    assert_int_equal(number("select nlink from jfs_node where inode=9223372032828243968"), 2);
    assert_int_equal(number("select count(*) from jfs_delfile"), 1);
    clock_set_wall_for_test(now + 30 * HOUR_NS);
    meta_hourly(m);
    assert_int_equal(number("select count(*) from jfs_delfile"), 0);
    meta_close(m);
    assert_int_equal(number("select value from jfs_counter where name='usedSpace'"), 0);
    assert_int_equal(number("select value from jfs_counter where name='totalInodes'"), 0);
}

static void test_leases(void **state)
{
    (void)state;
    clock_set_wall_for_test(1700000000ll * 1000000000);
    format_volume(1);
    struct meta *a = open_volume(), *b = open_volume();
    assert_int_equal(meta_lease_take(a, "lastCleanupTrash", 3240), 1);
    assert_int_equal(meta_lease_take(b, "lastCleanupTrash", 3240), 0);
    clock_set_wall_for_test(1700000000ll * 1000000000 + HOUR_NS);
    assert_int_equal(meta_lease_take(b, "lastCleanupTrash", 3240), 1);
    assert_int_equal(meta_lease_take(a, "lastCleanupTrash", 3240), 0);
    meta_close(a);
    meta_close(b);
}

static int stored_slices;

static int delete_slice(void *arg, uint64_t id, uint32_t size)
{
    (void)arg;
    (void)id;
    (void)size;
    stored_slices--;
    return 0;
}

/* The thread in the background deletes what unlink leaves. */
static void test_background(void **state)
{
    (void)state;
    format_volume(0);
    struct meta *m;
    const char *error;
    assert_int_equal(meta_open(str_z(rig.url), &(struct meta_options){.no_sync = true}, &m, &error), 0);
    meta_set_data_callbacks(m, delete_slice, NULL, NULL);
    meta_ino ino = make_file(m, "f", 0);
    struct meta_slice s = {.size = 100, .len = 100};
    for (stored_slices = 0; stored_slices < 3; stored_slices++) {
        assert_int_equal(meta_new_slice(m, &s.id), 0);
        assert_int_equal(meta_write_slice(m, ino, 0, 0, &s, NULL), 0);
    }
    meta_node_close(m, ino);
    assert_int_equal(meta_unlink(m, NULL, META_ROOT, STR("f"), 0, NULL), 0);
    for (int i = 0; i < 500 && number("select count(*) from jfs_delfile") > 0; i++)
        (void)usleep(10000);
    meta_close(m);
    assert_int_equal(number("select count(*) from jfs_delfile"), 0);
    assert_int_equal(number("select count(*) from jfs_chunk_ref"), 0);
    assert_int_equal(stored_slices, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_format, begin, end),
        cmocka_unit_test_setup_teardown(test_open_refuses, begin, end),
        cmocka_unit_test_setup_teardown(test_session, begin, end),
        cmocka_unit_test_setup_teardown(test_settings_reload, begin, end),
        cmocka_unit_test_setup_teardown(test_stale_session, begin, end),
        cmocka_unit_test_setup_teardown(test_late_sessions_are_not_judged_by_a_late_one, begin, end),
        cmocka_unit_test_setup_teardown(test_usage_is_written, begin, end),
        cmocka_unit_test_setup_teardown(test_dir_quota, begin, end),
        cmocka_unit_test_setup_teardown(test_owner_quota, begin, end),
        cmocka_unit_test_setup_teardown(test_quota_reload, begin, end),
        cmocka_unit_test_setup_teardown(test_trash_expires, begin, end),
        cmocka_unit_test_setup_teardown(test_leases, begin, end),
        cmocka_unit_test_setup_teardown(test_background, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
