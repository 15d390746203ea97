#include "tests/support/unit.h"

#include <pthread.h>

#include "base/clock.h"
#include "vfs/store/rate.h"

static struct rate rate;

static int begin(void **state)
{
    (void)state;
    rate_init(&rate);
    return 0;
}

static int end(void **state)
{
    (void)state;
    rate_done(&rate);
    return 0;
}

static uint64_t since_ms(uint64_t start)
{
    return clock_mono_ms() - start;
}

static void no_limit_no_wait(void **state)
{
    (void)state;
    uint64_t start = clock_mono_ms();
    for (int i = 0; i < 1000; i++)
        rate_wait(&rate, UINT64_MAX / 2);
    assert_in_range(since_ms(start), 0, 1000);
}

/* All but the last transfer are paid for when the last begins; a tenth of a second is for free. */
static void keeps_the_rate(void **state)
{
    (void)state;
    rate_set(&rate, 1000 * 1000);
    uint64_t start = clock_mono_ms();
    for (int i = 0; i < 6; i++)
        rate_wait(&rate, 100 * 1000);
    assert_in_range(since_ms(start), 390, 5000);
}

static void *transfer(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++)
        rate_wait(&rate, 25 * 1000);
    return NULL;
}

static void is_shared(void **state)
{
    (void)state;
    pthread_t threads[4];
    rate_set(&rate, 1000 * 1000);
    uint64_t start = clock_mono_ms();
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, transfer, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_in_range(since_ms(start), 370, 5000);
}

static void *wait_long(void *arg)
{
    (void)arg;
    rate_wait(&rate, 1);
    return NULL;
}

static void a_new_limit_counts_at_once(void **state)
{
    (void)state;
    pthread_t thread;
    rate_set(&rate, 1);
    rate_wait(&rate, 1000 * 1000); /* twelve days */
    uint64_t start = clock_mono_ms();
    assert_int_equal(pthread_create(&thread, NULL, wait_long, NULL), 0);
    rate_set(&rate, 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    rate_wait(&rate, 1000);
    assert_in_range(since_ms(start), 0, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_limit_no_wait, begin, end),
        cmocka_unit_test_setup_teardown(keeps_the_rate, begin, end),
        cmocka_unit_test_setup_teardown(is_shared, begin, end),
        cmocka_unit_test_setup_teardown(a_new_limit_counts_at_once, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
