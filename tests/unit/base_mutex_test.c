#include "tests/support/unit.h"

#include "base/clock.h"
#include "base/mutex.h"
#include "tests/support/death.h"

static struct mutex lock = MUTEX_INIT;
static uint64_t counter;

static void *count_up(void *arg)
{
    for (int i = 0; i < 20000; i++) {
        mutex_lock(arg);
        counter++;
        mutex_unlock(arg);
    }
    return NULL;
}

static void locks_exclude(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        thread_start(&threads[i], "fifteen-letters", count_up, &lock);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(counter, 80000);
}

static void lock_twice(void *arg)
{
    mutex_lock(arg);
    mutex_lock(arg);
}

static void unlock_unlocked(void *arg)
{
    mutex_unlock(arg);
}

static void misuse_aborts(void **state)
{
    (void)state;
    struct mutex m;
    mutex_init(&m);
    assert_true(dies_of(SIGABRT, lock_twice, &m));
    assert_true(dies_of(SIGABRT, unlock_unlocked, &m));
    assert_true(dies_of(SIGABRT, lock_twice, &lock));
    mutex_done(&m);
}

struct box {
    struct mutex lock;
    struct cond changed;
    int value; /* guarded by lock */
};

static void *set_value(void *arg)
{
    struct box *box = arg;
    mutex_lock(&box->lock);
    box->value = 1;
    cond_signal(&box->changed);
    cond_broadcast(&box->changed);
    mutex_unlock(&box->lock);
    return NULL;
}

static void conditions_wake(void **state)
{
    (void)state;
    struct box box = {.value = 0};
    pthread_t thread;
    mutex_init(&box.lock);
    cond_init(&box.changed);
    mutex_lock(&box.lock);
    thread_start(&thread, "setter", set_value, &box);
    while (box.value == 0)
        cond_wait(&box.changed, &box.lock);
    mutex_unlock(&box.lock);
    assert_int_equal(pthread_join(thread, NULL), 0);
    cond_done(&box.changed);
    mutex_done(&box.lock);
}

static void waits_end(void **state)
{
    (void)state;
    struct cond never;
    struct mutex m;
    mutex_init(&m);
    cond_init(&never);
    mutex_lock(&m);
    uint64_t start_ms = clock_mono_ms();
    bool signalled = true;
    while (signalled) /* POSIX allows to wake without reason */
        signalled = cond_wait_ms(&never, &m, 30);
    assert_in_range(clock_mono_ms() - start_ms, 29, 5000);
    mutex_unlock(&m);
    cond_done(&never);
    mutex_done(&m);
}

static void *read_name(void *arg)
{
    assert_int_equal(pthread_getname_np(pthread_self(), arg, 16), 0);
    return arg;
}

static void threads_have_names(void **state)
{
    (void)state;
    char name[16];
    void *result;
    pthread_t thread;
    thread_start(&thread, "worker/3", read_name, name);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, name);
    assert_string_equal(name, "worker/3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(misuse_aborts), cmocka_unit_test(locks_exclude),      cmocka_unit_test(conditions_wake),
        cmocka_unit_test(waits_end),     cmocka_unit_test(threads_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
