/* Housekeeping of uploads. */
#include "s3api/multipart.h"

#include "tests/support/unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/multipart_client.h"

#define DAY_S 86400
#define SECOND_NS 1000000000ll

static struct s3_engine *new_engine(uint64_t expiry_s)
{
    struct s3_engine_options options = {.upload_expiry_s = expiry_s};
    struct s3_engine *e = s3_engine_new(&options);
    assert_answer(s3_do(e, "PUT", "/bucket", NULL), 200, NULL);
    assert_answer(s3_do(e, "PUT", "/other", NULL), 200, NULL);
    return e;
}

/* Calls until there is no more to do; returns how often. */
static unsigned sweep(struct s3_engine *e)
{
    unsigned steps = 1;
    while (s3_service_housekeep(s3_engine_service(e)))
        assert_true(++steps < 1000);
    return steps;
}

static size_t count_uploads(struct s3_engine *e)
{
    return s3_answer_count(s3_do(e, "GET", "/bucket?uploads", NULL), "Upload") +
           s3_answer_count(s3_do(e, "GET", "/other?uploads", NULL), "Upload");
}

static void test_old_uploads_go(void **state UNUSED)
{
    struct s3_engine *e = new_engine(DAY_S);
    int64_t now = clock_wall_ns();
    clock_set_wall_for_test(now - (DAY_S + 10) * SECOND_NS);
    for (int i = 0; i < 5; i++) {
        struct mpu u = mpu_create(e, i % 2 ? "/bucket/key" : "/other/key", NULL);
        mpu_part(&u, 1, STR("bytes"));
    }
    clock_set_wall_for_test(now - (DAY_S - 10) * SECOND_NS);
    mpu_create(e, "/bucket/young", NULL);
    mpu_create(e, "/other/young", NULL);
    clock_set_wall_for_test(now);
    assert_int_equal(count_uploads(e), 7);
    sweep(e);
    assert_int_equal(count_uploads(e), 2);
    clock_set_wall_for_test(now + 20 * SECOND_NS);
    sweep(e);
    assert_int_equal(count_uploads(e), 0);
    clock_set_wall_for_test(0);
    s3_engine_free(e);
}

static void test_nothing_expires_without_a_limit(void **state UNUSED)
{
    struct s3_engine *e = new_engine(0);
    int64_t now = clock_wall_ns();
    clock_set_wall_for_test(now - 1000ll * DAY_S * SECOND_NS);
    mpu_create(e, "/bucket/key", NULL);
    clock_set_wall_for_test(0);
    sweep(e);
    assert_int_equal(count_uploads(e), 1);
    s3_engine_free(e);
}

/* What a crash leaves between making the folder and its record, or between removing the record and the folder. */
static void test_folders_without_a_record_go_in_an_hour(void **state UNUSED)
{
    struct s3_engine *e = new_engine(0);
    char path[256], file[280];
    mpu_create(e, "/bucket/key", NULL);
    snprintf(path, sizeof(path), "%s/bucket/.sluice/uploads/%032d", s3_engine_root(e), 7);
    assert_int_equal(mkdir(path, 0700), 0);
    for (int i = 1; i <= 2500; i++) {
        snprintf(file, sizeof(file), "%s/part.%05d", path, i);
        FILE *part = fopen(file, "w");
        assert_non_null(part);
        fclose(part);
    }
    sweep(e);
    assert_int_equal(access(path, F_OK), 0);
    clock_set_wall_for_test(clock_wall_ns() + 3700 * SECOND_NS);
    assert_true(sweep(e) > 2); /* bounded steps */
    clock_set_wall_for_test(0);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(count_uploads(e), 1);
    s3_engine_free(e);
}

/* An upload that is being completed is not taken from under it. */
static void test_locked_uploads_stay(void **state UNUSED)
{
    struct s3_engine *e = new_engine(DAY_S);
    struct vfs_options options = {.sync = VFS_SYNC_NONE};
    struct vfs *volume;
    struct vfs_dir *dir;
    struct vfs_file *lock;
    const char *error;
    int64_t now = clock_wall_ns();
    clock_set_wall_for_test(now - (DAY_S + 10) * SECOND_NS);
    struct mpu u = mpu_create(e, "/bucket/key", NULL);
    clock_set_wall_for_test(0);
    assert_int_equal(vfs_open_volume(s3_engine_root(e), &options, &volume, &error), 0);
    struct str path = arena_printf(s3_engine_arena(e), "bucket/.sluice/uploads/%.*s", STR_ARG(u.id));
    assert_int_equal(vfs_dir_open(vfs_root(volume), path, NULL, &dir), 0);
    assert_int_equal(s3_upload_lock(dir, &lock), 0);
    sweep(e);
    assert_int_equal(count_uploads(e), 1);
    assert_answer(mpu_abort_call(&u), 409, "ConditionalRequestConflict");
    vfs_close(lock);
    sweep(e);
    assert_int_equal(count_uploads(e), 0);
    vfs_dir_close(dir);
    vfs_close_volume(volume);
    s3_engine_free(e);
}

static void test_many_uploads_in_bounded_steps(void **state UNUSED)
{
    struct s3_engine *e = new_engine(DAY_S);
    for (int i = 0; i < 450; i++)
        mpu_create(e, i % 2 ? "/bucket/key" : "/other/key", NULL);
    assert_int_equal(sweep(e), 3);
    assert_int_equal(count_uploads(e), 450);
    s3_engine_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_old_uploads_go),
        cmocka_unit_test(test_nothing_expires_without_a_limit),
        cmocka_unit_test(test_folders_without_a_record_go_in_an_hour),
        cmocka_unit_test(test_locked_uploads_stay),
        cmocka_unit_test(test_many_uploads_in_bounded_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
