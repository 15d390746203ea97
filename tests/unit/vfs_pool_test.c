#include "tests/support/unit.h"

#include "base/mutex.h"
#include "vfs/pool.h"

static struct mutex lock = MUTEX_INIT;
static struct cond changed;
static bool is_open;
static unsigned begun, ended;

struct gated {
    struct vfs_job job;
    pthread_t thread;
};

/* Ends when the gate is open. */
static void run(struct vfs_job *job)
{
    mutex_lock(&lock);
    container_of(job, struct gated, job)->thread = pthread_self();
    begun++;
    cond_broadcast(&changed);
    while (!is_open)
        cond_wait(&changed, &lock);
    ended++;
    cond_broadcast(&changed);
    mutex_unlock(&lock);
}

static void open_gate(void)
{
    mutex_lock(&lock);
    is_open = true;
    cond_broadcast(&changed);
    mutex_unlock(&lock);
}

static void wait_for(const unsigned *counter, unsigned value)
{
    mutex_lock(&lock);
    while (*counter < value)
        cond_wait(&changed, &lock);
    mutex_unlock(&lock);
}

static int set_up(void **state)
{
    (void)state;
    cond_init(&changed);
    is_open = false;
    begun = ended = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cond_done(&changed);
    return 0;
}

static void runs_in_place_of_an_idle_thread(void **state)
{
    (void)state;
    struct vfs_pool *p = vfs_pool_start("pool", 1);
    struct gated a = {.job.run = run};
    is_open = true;
    vfs_pool_run(p, &a.job);
    assert_int_equal(ended, 1);
    assert_true(pthread_equal(a.thread, pthread_self()));
    vfs_pool_stop(p);
}

static void queues_when_no_thread_is_idle(void **state)
{
    (void)state;
    struct vfs_pool *p = vfs_pool_start("pool", 1);
    struct gated a = {.job.run = run}, b = {.job.run = run};
    vfs_pool_submit(p, &a.job);
    wait_for(&begun, 1);
    vfs_pool_run(p, &b.job); /* would wait for the gate here */
    assert_int_equal(vfs_pool_depth(p), 1);
    open_gate();
    wait_for(&ended, 2);
    assert_true(pthread_equal(a.thread, b.thread));
    vfs_pool_stop(p);
}

static void *run_own(void *arg)
{
    static struct gated own = {.job.run = run};
    vfs_pool_run(arg, &own.job);
    return NULL;
}

/* A thread that is replaced takes no job meanwhile. */
static void no_more_run_than_there_are_threads(void **state)
{
    (void)state;
    struct vfs_pool *p = vfs_pool_start("pool", 1);
    struct gated b = {.job.run = run};
    pthread_t thread;
    thread_start(&thread, "own", run_own, p);
    wait_for(&begun, 1);
    vfs_pool_submit(p, &b.job);
    assert_int_equal(vfs_pool_depth(p), 1);
    mutex_lock(&lock);
    assert_false(cond_wait_ms(&changed, &lock, 50)); /* nobody begins */
    assert_int_equal(begun, 1);
    mutex_unlock(&lock);
    open_gate();
    assert_int_equal(pthread_join(thread, NULL), 0);
    wait_for(&ended, 2);
    vfs_pool_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(runs_in_place_of_an_idle_thread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(queues_when_no_thread_is_idle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_more_run_than_there_are_threads, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
