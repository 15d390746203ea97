/* The process is killed at every step of UploadPart, Complete and Abort in turn; then another one goes on. */
#include "tests/support/unit.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/metrics.h"
#include "base/random.h"
#include "tests/support/multipart_client.h"

#define KEY "/bucket/dir/key"

#ifdef SLUICE_FAULTS

/* The steps that the operations pass. */
static const char *const complete_points[] = {
    "vfs.stage", "vfs.xattr",      "vfs.publish.link", "vfs.publish.rename", "vfs.clone",         "vfs.unlink",
    "vfs.rmdir", "multipart.move", "multipart.cut",    "multipart.publish",  "multipart.discard",
};
static const char *const part_points[] = {
    "vfs.create", "vfs.write", "vfs.stage", "vfs.publish.link", "vfs.publish.rename", "multipart.part.synced",
};
static const char *const abort_points[] = {"vfs.unlink", "vfs.rmdir", "multipart.discard"};

struct fixture {
    struct s3_engine *e;
    struct str first, second, third, old;
    struct mpu u;
    struct mpu_part parts[3];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->e = s3_engine_new(NULL);
    assert_answer(s3_do(f->e, "PUT", "/bucket", NULL), 200, NULL);
    f->first = mpu_bytes(f->e, MPU_PART_MIN, 1);
    f->second = mpu_bytes(f->e, 3000, 2);
    f->third = mpu_bytes(f->e, 2000, 3);
    f->old = mpu_bytes(f->e, 500, 4);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    s3_engine_free(f->e);
    free(f);
    return 0;
}

/* Does it in a process of its own that is killed at the n-th pass of the point. False when it never got there. */
static bool killed_at(struct fixture *f, const char *point, unsigned pass, void (*act)(struct fixture *))
{
    pid_t pid = s3_engine_fork(f->e);
    assert_true(pid >= 0);
    if (pid == 0) {
        char spec[64];
        snprintf(spec, sizeof(spec), "%s:%u:kill", point, pass);
        /* Random bytes are drawn in advance: else both processes would make the same names of them. */
        for (int i = 0; i < 10000; i++)
            (void)random_u64();
        fault_set_for_test(spec);
        act(f);
        s3_engine_exit(f->e, 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return true;
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    return false;
}

static bool is_two_parts(struct fixture *f, struct str body)
{
    return body.len == f->first.len + f->second.len && str_starts(body, f->first) && str_ends(body, f->second);
}

/* The upload can be completed, or is; then nothing of it is left. */
static void finish(struct fixture *f)
{
    struct s3_answer *a = s3_do(f->e, "GET", KEY, NULL);
    bool is_old = a->status == 404 || str_eq(a->body, f->old);
    if (!is_old && !is_two_parts(f, a->body))
        fail_msg("a torn object of %zu bytes", a->body.len);
    assert_answer(mpu_complete_call(&f->u, f->parts, 2, NULL), 200, NULL);
    a = s3_do(f->e, "GET", KEY, NULL);
    assert_answer(a, 200, NULL);
    assert_true(is_two_parts(f, a->body));
    assert_answer(s3_do(f->e, "GET", "/bucket?uploads", NULL), 200, NULL);
    assert_int_equal(s3_answer_count(s3_do(f->e, "GET", "/bucket?uploads", NULL), "Upload"), 0);
}

/* Complete --------------------------------------------------------------------------------------------------------- */

static void complete(struct fixture *f)
{
    assert_answer(mpu_complete_call(&f->u, f->parts, 2, NULL), 200, NULL);
}

static void uniform(struct fixture *f)
{
    f->parts[0] = mpu_part(&f->u, 1, f->first);
    f->parts[1] = mpu_part(&f->u, 2, f->second);
}

static void repeated(struct fixture *f)
{
    f->parts[1] = mpu_part(&f->u, 2, f->third);
    f->parts[0] = mpu_part(&f->u, 1, f->first);
    f->parts[1] = mpu_part(&f->u, 2, f->second);
}

static void with_unlisted(struct fixture *f)
{
    uniform(f);
    f->parts[2] = mpu_part(&f->u, 3, f->third);
}

static void scattered(struct fixture *f)
{
    f->parts[0] = mpu_part(&f->u, 5, f->first);
    f->parts[1] = mpu_part(&f->u, 9, f->second);
}

static void over_an_object(struct fixture *f)
{
    struct s3_call put = {.method = "PUT", .target = KEY, .body = f->old};
    uniform(f);
    assert_answer(s3_call(f->e, &put), 200, NULL);
}

static void kill_complete(struct fixture *f, void (*prepare)(struct fixture *))
{
    unsigned kills = 0;
    for (size_t i = 0; i < ARRAY_SIZE(complete_points); i++) {
        bool killed = true;
        for (unsigned pass = 1; killed; pass++) {
            f->u = mpu_create(f->e, KEY, NULL);
            prepare(f);
            killed = killed_at(f, complete_points[i], pass, complete);
            kills += killed;
            finish(f);
            assert_answer(s3_do(f->e, "DELETE", KEY, NULL), 204, NULL);
        }
    }
    assert_true(kills > 8);
}

static void test_complete_of_a_uniform_upload(void **state)
{
    kill_complete(*state, uniform);
}

static void test_complete_that_moves_a_part(void **state)
{
    kill_complete(*state, repeated);
}

static void test_complete_that_drops_a_part(void **state)
{
    kill_complete(*state, with_unlisted);
}

static void test_complete_that_assembles_afresh(void **state)
{
    kill_complete(*state, scattered);
}

static void test_complete_over_an_object(void **state)
{
    kill_complete(*state, over_an_object);
}

/* A crash right behind the publication, and then writers that think the upload goes on. */
static void test_writers_after_a_crash_do_not_touch_the_object(void **state)
{
    struct fixture *f = *state;
    f->u = mpu_create(f->e, KEY, NULL);
    uniform(f);
    assert_true(killed_at(f, "multipart.discard", 1, complete) || killed_at(f, "vfs.unlink", 1, complete));
    struct s3_answer *a = mpu_part_call(&f->u, 3, f->third, NULL);
    assert_true(a->status == 200 || a->status == 404);
    assert_true(is_two_parts(f, s3_do(f->e, "GET", KEY, NULL)->body));
    finish(f);
}

/* UploadPart ------------------------------------------------------------------------------------------------------- */

static void send_second(struct fixture *f)
{
    mpu_part(&f->u, 2, f->second);
}

/* The part can be sent again at once, finds its place free, and the first part has suffered nothing. */
static void test_upload_part(void **state)
{
    struct fixture *f = *state;
    struct metric *moved = metric_get(METRIC_COUNTER, "sluice_multipart_moved_bytes_total", "", "");
    unsigned kills = 0;
    for (size_t i = 0; i < ARRAY_SIZE(part_points); i++) {
        bool killed = true;
        for (unsigned pass = 1; killed; pass++) {
            uint64_t before = metric_value_for_test(moved);
            f->u = mpu_create(f->e, KEY, NULL);
            f->parts[0] = mpu_part(&f->u, 1, f->first);
            killed = killed_at(f, part_points[i], pass, send_second);
            kills += killed;
            bool is_recorded = s3_answer_count(mpu_list_parts_call(&f->u, ""), "Part") == 2;
            f->parts[1] = mpu_part(&f->u, 2, f->second);
            finish(f);
            if (!is_recorded)
                assert_int_equal(metric_value_for_test(moved), before);
            assert_answer(s3_do(f->e, "DELETE", KEY, NULL), 204, NULL);
        }
    }
    assert_true(kills > 4);
}

/* Abort ------------------------------------------------------------------------------------------------------------ */

static void abort_upload(struct fixture *f)
{
    assert_answer(mpu_abort_call(&f->u), 204, NULL);
}

/* Gone or whole. */
static void test_abort(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_SIZE(abort_points); i++) {
        bool killed = true;
        for (unsigned pass = 1; killed; pass++) {
            f->u = mpu_create(f->e, KEY, NULL);
            uniform(f);
            killed = killed_at(f, abort_points[i], pass, abort_upload);
            struct s3_answer *a = mpu_complete_call(&f->u, f->parts, 2, NULL);
            if (a->status == 200) {
                assert_true(is_two_parts(f, s3_do(f->e, "GET", KEY, NULL)->body));
                assert_answer(s3_do(f->e, "DELETE", KEY, NULL), 204, NULL);
            } else {
                assert_answer(a, 404, "NoSuchUpload");
            }
        }
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_complete_of_a_uniform_upload),
        T(test_complete_that_moves_a_part),
        T(test_complete_that_drops_a_part),
        T(test_complete_that_assembles_afresh),
        T(test_complete_over_an_object),
        T(test_writers_after_a_crash_do_not_touch_the_object),
        T(test_upload_part),
        T(test_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    puts("skipped: built without SLUICE_FAULTS");
    return 0;
}

#endif
